/*
 * hook.h - one event's way through the house: for each endpoint of the
 * hook's chain encode, cache, pool, decode; then a verdict.
 *
 * Broker's thread only, unless a function says otherwise. A hook cannot
 * fail: whatever goes wrong has become a refusal and a line in the log.
 */
#ifndef PLUGIN_HOOK_H
#define PLUGIN_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/event.h"
#include "plugin/verdict.h"

struct broker_ops;
struct cache_stats;
struct hooks;
struct pool;
struct settings;

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
 * or -ENOMEM. */
int hooks_apply(struct hooks *hooks, const struct settings *old,
		struct settings *s);

struct pool *hooks_pool(struct hooks *hooks);

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
 * Returns how many, or -EAGAIN outside of a tick, and in callbacks that come
 * of parting from somebody: try again in the next. */
long hooks_disconnect(struct hooks *hooks,
		      const struct hooks_selection *selection);

/* One line in the broker's log. */
void hooks_log(struct hooks *hooks, int level, const char *fmt, ...)
	__attribute__((cold, format(printf, 3, 4)));

/* Deliver what notifications wait, for up to `drain_timeout`, log how many
 * were not, stop the dispatcher and join it: every open call has ended. */
void hooks_stop(struct hooks *hooks);
void hooks_destroy(struct hooks *hooks); /* NULL is fine */

#endif /* PLUGIN_HOOK_H */
