/*
 * hook_ask.h - what the files about asking share: a question on its way down
 * the chain (hook_ask.c), the call that it waits for (hook_inquiry.c), and
 * what is kept of answers (hook_cache.c).
 *
 * Broker's thread only.
 */
#ifndef PLUGIN_HOOK_HOOK_ASK_H
#define PLUGIN_HOOK_HOOK_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>
#include "cache/cache.h"
#include "plugin/hook/hook_private.h"
#include "plugin/settings/settings.h"

struct question {
	struct hooks *hooks;
	struct settings *settings; /* a reference: those it began with */
	const struct event *ev;
	struct event *copy;           /* what `ev` is when delayed, or NULL */
	size_t index;                 /* of the endpoint being asked */
	uint64_t ticket;              /* of a delayed login */
	uint64_t number;              /* of the event */
	bool looked_up;               /* in the cache, at `index` */
	struct cache_ticket kept;     /* of that look-up */
	const struct verdict *answer; /* of the endpoint at `index` */
	struct question *next;        /* that waits for the same inquiry */
};

/* One call to one endpoint. */
struct inquiry {
	struct hooks *hooks;
	struct settings *settings; /* a reference, for `webhook` */
	const struct webhook *webhook;
	struct question *questions; /* that wait for it; NULL: none */
	struct pool_call *call;
	size_t sent;     /* bytes of the body */
	uint64_t number; /* of the request */
	int64_t asked_ms;
	bool cacheable;
	bool refresh;  /* of a kept answer that is past its life */
	bool given_up; /* as a failure, which is counted and logged */
	bool shared;   /* in hooks->inquiries */
	struct cache_ticket kept;
	UT_hash_handle hh;
};

/* The webhook that is being asked. */
static inline const struct webhook *asked(const struct question *q)
{
	return &q->settings->chain[q->ev->hook][q->index];
}

/* ---- hook_ask.c ---- */

/* A delayed question has its `answer`. It may be gone afterwards. */
void question_go_on(struct question *q);

/* The endpoint gives no answer at all: a kept one that may serve for that
 * case, or the operator's choice. */
const struct verdict *question_by_policy(struct question *q, const char *error);

/* A line for debugging: `how` there is the verdict `v`, or why there is
 * none. */
void question_log(const struct question *q, const char *how,
		  const struct verdict *v, const char *why)
	__attribute__((cold));

static inline void question_trace(const struct question *q, const char *how,
				  const struct verdict *v, const char *why)
{
	if (hooks_says(q->hooks, LOG_LEVEL_DEBUG))
		question_log(q, how, v, why);
}

/* Likewise, and it was not asked, or not waited for: counts and logs. */
const struct verdict *question_unasked(struct question *q, const char *why);

/* ---- hook_inquiry.c ---- */

/*
 * Ask the endpoint of `q` as `kind`. A POOL_ASIDE is nobody's, nor is a
 * refresh; of a delayed question the inquiry of another that asks the very
 * same may serve. When the answer is there `q->answer` is set, and a delayed
 * question goes on. Returns 0 or -errno; `ret`, which may be NULL, is then set
 * to what lasts until that answer.
 */
int inquire(struct question *q, enum pool_kind kind, bool refresh,
	    struct inquiry **ret);

/* Nobody waits any longer: the call goes on by itself. */
void inquiry_give_up(struct inquiry *inq);

/* ---- hook_cache.c ---- */

/* The kept answer of the endpoint at `index`, a reference, or NULL. One that
 * is past its life begins to be refreshed, once. */
const struct verdict *kept_find(struct question *q);

/* One that serves while the endpoint fails, a reference, or NULL. */
const struct verdict *kept_for_failure(struct question *q);

/* What the answer `v` with this reply means for the cache. What was asked
 * before the newest answer to the very same question is not kept, even if it
 * comes last; nor is a yes that was asked before the last no came. */
void kept_store(struct inquiry *inq, const struct verdict *v,
		const struct pool_reply *reply);

/* There was an answer, though none that could be kept; there was none. */
void kept_spoilt(struct inquiry *inq);
void kept_failed(struct inquiry *inq);

#endif /* PLUGIN_HOOK_HOOK_ASK_H */
