/*
 * hook.h - one event's way through the house: for each endpoint of the
 * hook's chain encode, cache, pool, decode; then a verdict.
 *
 * Broker's thread only, unless a function says otherwise. A hook cannot
 * fail: whatever goes wrong has become a refusal and a line in the log.
 */
#ifndef PLUGIN_HOOK_HOOK_H
#define PLUGIN_HOOK_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/broker.h"
#include "plugin/event.h"
#include "plugin/verdict.h"

struct cache_stats;
struct hooks;
struct pool;
struct settings;
struct settings_opt;

/* Start nothing; take a reference of `s`. `ops` must outlive the result.
 * Returns 0 or -errno. */
int hooks_create(struct hooks **ret, struct settings *s,
		 const struct broker_ops *ops, void *ops_ctx);

/* Start the dispatcher. Returns 0 or -errno. */
int hooks_start(struct hooks *hooks);

/* Whether any endpoint is registered for `hook`. */
bool hooks_has(struct hooks *hooks, enum hook_id hook);

/* Whether one of its endpoints is to be waited for (`blocking = on`). */
bool hooks_block(struct hooks *hooks, enum hook_id hook);

/* Whether one of them is to know of the listener: the event should have it. */
bool hooks_forward(struct hooks *hooks, enum hook_id hook);

/* The settings this thread works with; valid until the next hooks_refresh()
 * or hooks_tick(). */
const struct settings *hooks_settings_now(const struct hooks *hooks);

enum hook_result {
	HOOK_DONE = 0, /* `ret` is set: verdict_unref() it */
	HOOK_PENDING,  /* `ret_ticket` is set, and complete_auth() follows
			 * once */
};

/*
 * Ask the chain of an HOOK_ASKS or HOOK_OFFERS hook. With `may_delay` an
 * answer that needs a call is PENDING; without it the broker's thread waits,
 * within the bounds of contract.md, decision 8; beyond them, and while an
 * endpoint's circuit breaker is open, `on_error` answers at once. Without any
 * endpoint the verdict is DECISION_NEXT.
 */
enum hook_result hook_ask(struct hooks *hooks, const struct event *ev,
			  bool may_delay, const struct verdict **ret,
			  uint64_t *ret_ticket);

/* Tell every endpoint of the hook; what HOOK_OFFERS hooks answer is ignored
 * then. Never waits; in the order of the calls, for one client and endpoint. */
void hook_tell(struct hooks *hooks, const struct event *ev);

/* The client's delayed login no longer counts: its answer will be dropped. */
void hook_forget(struct hooks *hooks, const char *client_id);
/* The same for one login. Returns whether it counted until now. */
bool hook_withdraw(struct hooks *hooks, const char *client_id, uint64_t ticket);

/* Somebody goes by this client id, or does so no longer: events of an id are
 * numbered for as long as it is known. */
void hooks_know(struct hooks *hooks, const char *client_id);
void hooks_unknow(struct hooks *hooks, const char *client_id);

/* From the broker's tick: apply the answers that came in, take up new
 * settings, sweep the cache. Returns how many calls are still open. */
unsigned hooks_tick(struct hooks *hooks);

/* From any other callback, first: take up new settings, and nothing that
 * could touch a client. */
void hooks_refresh(struct hooks *hooks);

/* The broker is shutting down, and callbacks may still come: see budget.h. */
void hooks_shut_down(struct hooks *hooks);

/* For the admin socket. */

/* A reference to the settings in force. Any thread. */
struct settings *hooks_settings(struct hooks *hooks);

/* Put `s` in force in place of `old`, and take a reference of its own. Any
 * thread. Returns 0; -EAGAIN when `old` is no longer in force (look again);
 * -EBUSY (calls under way need too many of those before: settings_slot.h); or
 * -ENOMEM. */
int hooks_apply(struct hooks *hooks, const struct settings *old,
		struct settings *s);

/* That -EBUSY, for people. */
#define HOOKS_BUSY                                                             \
	"calls under way or waiting still need many earlier settings; try "    \
	"again when they have ended (within max_event_age)"

struct pool *hooks_pool(struct hooks *hooks);

/* The time of day, in milliseconds since 1970. Any thread. */
int64_t hooks_unix_ms(const struct hooks *hooks);

/* What VerneMQ counts of each hook (contract.md, section 16): since the plugin
 * was loaded, webhooks that are gone included. Relaxed atomics. */
struct hook_totals {
	_Atomic uint64_t requests, errors, bytes_sent;
	/* Logins that nobody waited for any more when they were answered. */
	_Atomic uint64_t cancelled;
	_Atomic uint64_t timeouts, elapsed_us;
};

/* Any thread; as long as `hooks`. */
const struct hook_totals *hooks_totals(const struct hooks *hooks,
				       enum hook_id hook);

/* Whether the broker's thread lives. Times are those of broker_ops' now_us. */
struct hooks_pulse {
	int64_t started_us; /* hooks_create() */
	int64_t seen_us;    /* it last ticked; or raised an event, as long as
			     * it has never ticked */
	bool ticked, may_never_tick;
	unsigned changes; /* of the settings */
};

/* Any thread. */
void hooks_get_pulse(const struct hooks *hooks, struct hooks_pulse *ret);

/* How often a hook came up since the start, and when last. A question counts
 * also when there is no endpoint for it. */
struct hook_seen {
	uint64_t events;
	int64_t ago_ms; /* the last, or the turn of the broker's loop that it
			 * was in; of no meaning without events */
};

/* Any thread. */
void hooks_get_seen(const struct hooks *hooks, enum hook_id hook,
		    struct hook_seen *ret);

/* Say what is to be known of a hook with the settings `s`: see broker.h. Any
 * thread. */
void hooks_explain(const struct hooks *hooks, const struct settings *s,
		   enum hook_id hook, broker_say_fn *say, void *arg);

/* ---- reading the settings again: hook_reload.c ---- */

/* From where: a copy is kept. Before hooks_start(). Returns 0 or -ENOMEM. */
int hooks_set_source(struct hooks *hooks, const struct settings_opt *opts,
		     size_t n);

/* How it went. */
struct hooks_reload {
	/* 0, and then the two: what was in force, and what is now. Otherwise
	 * nothing has changed. */
	int err;
	struct settings *before, *now;
	/* For people: what has changed, in lines with '\n' between them; or
	 * what is wrong. */
	char text[8192 + 64];
	/* How many webhooks of run time are the configuration's by now: they
	 * are to be saved no more. */
	size_t taken;
};

/*
 * Read them again from there and put them in force; hooks_settings() has them
 * when it returns, the broker's thread takes them up with its next callback.
 * Any thread. Fails with `err` as settings_load() and settings_succeed() do,
 * when the host cannot do what they ask for (-EINVAL), with -ENOENT without a
 * source and -EAGAIN when others keep changing them. NULL: no memory.
 */
struct hooks_reload *hooks_reload(struct hooks *hooks);

/* Log it. */
void hooks_log_reload(struct hooks *hooks, const struct hooks_reload *reload);

void hooks_reload_free(struct hooks_reload *reload); /* or NULL */

/* What to select: all that agrees in everything given. */
struct hooks_selection {
	enum hook_id hook; /* HOOK_COUNT: any */
	/* NULL: any. The URL without its user and password (`shown`); of the
	 * client as it goes by now, and the user name that it sent at
	 * CONNECT. */
	const char *endpoint, *client_id, *username;
};

/* Kept answers that agree are never given again, and answers to what was
 * asked before are not kept. Returns how many entries went; see cache.h on
 * those that are still counted. */
size_t hooks_cache_clear(struct hooks *hooks,
			 const struct hooks_selection *selection);

/* Part from the clients with that id, that user name, or both: one is given.
 * Those whose login is under way are refused, as it was asked before.
 * Returns how many, or -EAGAIN outside of a tick, and in callbacks that come
 * of parting from somebody: try again in the next. */
long hooks_disconnect(struct hooks *hooks,
		      const struct hooks_selection *selection);

/* One line in the broker's log, if `log_level` has it. */
void hooks_log(struct hooks *hooks, int level, const char *fmt, ...)
	__attribute__((cold, format(printf, 3, 4)));

/* Deliver what notifications wait, for up to `drain_timeout`, log how many
 * were not, stop the dispatcher and join it: every open call has ended. */
void hooks_stop(struct hooks *hooks);
void hooks_destroy(struct hooks *hooks); /* NULL is fine */

#endif /* PLUGIN_HOOK_HOOK_H */
