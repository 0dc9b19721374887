/*
 * hook_private.h - what the files of hook.h share. Broker's thread only but
 * for the slot.
 */
#ifndef PLUGIN_HOOK_HOOK_PRIVATE_H
#define PLUGIN_HOOK_HOOK_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/broker.h"
#include "plugin/budget.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "plugin/settings/settings_slot.h"
#include "plugin/trace.h"
#include "pool/pool.h"

enum {
	ANSWERED_SLOTS = 8192
};

struct cache;
struct inquiry;
struct pending;
struct sequences;
struct settings_source;

struct hooks {
	/* What a question reads whose answer is known stands here, in few
	 * lines of the processor's caches, from the end of the slot to the
	 * beginning of the budget; and one entry of `of`. */
	struct settings_slot slot;
	const struct broker_ops *ops;
	void *ops_ctx;
	struct cache *cache;
	/* The settings this thread works with: those of the slot as of its
	 * last look. */
	struct settings *settings;
	unsigned version;   /* of the slot, at that look */
	bool ticking;       /* in hooks_tick(), and in no callback */
	atomic_bool ticked; /* for any thread */
	/* Events are numbered: from that and `trace_key` come the traces. */
	uint64_t events;
	_Atomic int64_t seen_us; /* for any thread */
	struct budget budget;
	struct {
		/* The webhook that was asked last, and the secret of questions
		 * to it. Other settings' webhooks may come to lie where one
		 * has lain: with every settings taken up all are forgotten. */
		const struct webhook *asked;
		uint8_t secret[16];
		/* For any thread to read. */
		_Atomic uint64_t events;
		_Atomic int64_t last_us;
	} of[HOOK_COUNT];
	struct pool *pool;
	struct pending *pending;
	struct sequences *sequences;
	size_t endpoints; /* that the pool has; under the slot's lock */
	struct settings_source *source; /* NULL: none; immutable */
	struct inquiry *inquiries;      /* by key: those that others may join */
	int64_t chores_ms;              /* next, see do_chores() */
	uint8_t secret[16];             /* of what is told apart in the cache */
	/* Of this start of the broker: when it was, in microseconds since
	 * 1970, and what no other has. Requests are numbered. */
	char epoch[24], instance[24];
	uint64_t requests;
	uint8_t trace_key[TRACE_KEY_LEN];
	/* By key, as far as there are slots: the newest request that was
	 * answered, or had been sent when there was an answer that is no yes. */
	uint64_t answered[ANSWERED_SLOTS];
	uint64_t undelivered; /* at the end, of webhooks removed before */
	int64_t sum_up_ms;    /* the log's next summary */
	int64_t remind_ms;    /* of what is paused, next; 0: not yet set */
	struct hook_totals totals[HOOK_COUNT];
	int64_t started_us;
};

int64_t hooks_now_ms(const struct hooks *hooks);

/* One request to one webhook. */
struct hook_message {
	const struct webhook *webhook;
	const struct event *ev;
	enum pool_kind kind;
	bool trial;          /* a POOL_ASK by an endpoint of its own */
	uint32_t timeout_ms; /* 0: the webhook's */
	uint64_t event;    /* its number: whoever else is asked has the same */
	uint64_t sequence; /* 0: none */
};

/* hook_headers.c */

enum {
	HOOK_HEADERS = 6, /* at most, of our own, beside the signature */
	HOOK_HEADER_LEN = 96,
};

/* Those of one request, for struct pool_request: `list` points into the rest
 * and into the webhook's credentials. */
struct hook_headers {
	const char *list[POOL_HEADERS_MAX];
	size_t count;
	char lines[HOOK_HEADERS][HOOK_HEADER_LEN];
	char signature[sizeof("webhook-signature: ") + SIGNATURE_LEN];
};

/* Write them, for this body, under a new id. The first is `vernemq-hook`.
 * Returns 0 or -ENOMEM. */
int hook_headers_write(struct hooks *hooks, const struct hook_message *message,
		       const void *body, size_t len, struct hook_headers *ret);

/* The event as this webhook is to know it: with its listener or without. */
struct event hook_event(const struct webhook *webhook, const struct event *ev);

/* Send it. `done(reply, arg)` follows a success, once. Returns 0, -ENOMEM,
 * -EBUSY (too much is under way) or -ESHUTDOWN. */
int hook_send(struct hooks *hooks, const struct hook_message *message,
	      pool_done_fn *done, void *arg, struct pool_call **ret_call,
	      size_t *ret_len);

/* hook_cache.c: whether answers with this decision may be kept at all. */
bool hook_keeps(const struct webhook *webhook, enum decision decision);

/* ---- hook_endpoints.c ---- */

/* What the webhook's endpoint is to the pool. Borrows from both. */
struct pool_endpoint_opts hook_endpoint_opts(const struct settings *s,
					     const struct webhook *webhook);

/* For the slot: `arg` is the hooks. */

/* pool_configure() with the endpoints of all settings that somebody works with:
 * what was asked under old ones may go on to the next of its chain. */
int hook_configure_pool(const struct settings *const *live, size_t n,
			void *arg);
/* The same when fewer settings are left: nothing to do unless there are fewer
 * endpoints, too. */
int hook_reduce_pool(const struct settings *const *live, size_t n, void *arg);

/* hook_cache.c: a step of the cache's sweep. */
void hook_cache_sweep(struct hooks *hooks);

enum hook_outcome {
	OUTCOME_ANSWER = 0, /* a 200 */
	OUTCOME_REFUSAL,    /* another status: an answer, though no yes */
	OUTCOME_NONE,       /* no answer at all: `on_error` decides */
};

/* What `reply` is (contract.md, decision 1); unless it is an answer `reterr`
 * says why, in a few words with the URL left out. */
enum hook_outcome hook_outcome(const struct pool_reply *reply,
			       char reterr[static CODEC_ERROR_LEN]);

/* hook_count.c */

/* The hook came up. */
void hook_see(struct hooks *hooks, enum hook_id hook);

/* How a call ended, as far as the reply tells without being decoded. */
enum webhook_end hook_end_of(const struct pool_reply *reply);

/* A call has ended that carried `sent` bytes. */
void hook_count_call(struct hooks *hooks, const struct webhook *webhook,
		     const struct pool_reply *reply, enum webhook_end end,
		     size_t sent);

/* A denial, or no usable answer. */
void hook_count_error(struct hooks *hooks, const struct webhook *webhook);

/* A login was answered that nobody waits for. */
void hook_count_cancelled(struct hooks *hooks, enum hook_id hook);

/* hook_log.c */

/* Whether lines of that level are written. */
static inline bool hooks_says(const struct hooks *hooks, int level)
{
	return level >= (int)hooks->settings->log_level;
}

/*
 * Lines about one webhook that may come often. The first of a problem is said
 * at once; those of the next `log_interval` are counted, and summed up in one
 * more. WEBHOOK_PROBLEMS at a time have a line of their own; of further ones
 * there is one for all of a kind.
 */
void hook_trouble(struct hooks *hooks, const struct webhook *webhook,
		  enum webhook_trouble kind, const char *what);

/* Say what is to be summed up by now; or all, at the end and of what goes.
 * From the tick. */
void hook_sum_up(struct hooks *hooks, bool all);
void hook_sum_up_webhook(struct hooks *hooks, const struct webhook *webhook,
			 bool all);

/* hook_remind.c: say now and then which endpoints are paused. From the tick. */
void hook_remind(struct hooks *hooks);

/* Count and log a call that brought no usable answer. */
void hook_failed(struct hooks *hooks, const struct webhook *webhook,
		 const char *what);

/* One that did: what failed before is over. */
void hook_answered(struct hooks *hooks, const struct webhook *webhook);

#endif /* PLUGIN_HOOK_HOOK_PRIVATE_H */
