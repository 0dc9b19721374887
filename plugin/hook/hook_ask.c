/*
 * hook_ask.c - the hooks whose answer counts: one question walks down its
 * chain, from the cache or by a call, until an endpoint decides.
 *
 * A question waits in one of two ways: delayed, while the broker goes on, or
 * held, while the broker's thread stands still.
 */
#include "plugin/hook/hook.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook/hook_ask.h"
#include "plugin/hook_table.h"
#include "plugin/pending.h"

enum {
	HELD_LONG_US = 100000,     /* worth a line in the log */
	LEAST_WAIT_US = 1000,      /* less is not worth a call */
	PAST_ITS_TIME_US = 100000, /* the pool's own limit comes first */
};

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- for the log ---- */

void question_log(const struct question *q, const char *how,
		  const struct verdict *v, const char *why)
{
	static const char *const texts[] = {
		[DECISION_OK] = "ok",
		[DECISION_NEXT] = "next",
		[DECISION_DENY] = "refused: ",
	};
	const struct webhook *webhook = asked(q);
	struct bytes reason = v ? v->reason : bytes_of(why);

	hooks_log(q->hooks, LOG_LEVEL_DEBUG,
		  "%s: endpoint %s: client %.*s: %s%s%.*s",
		  hook_table[webhook->hook].name, webhook->logged,
		  (int)q->ev->client_id.len,
		  (const char *)q->ev->client_id.data, how,
		  v ? texts[v->decision] : "", (int)reason.len,
		  (const char *)reason.data);
}

/* ---- without an answer ---- */

static void note_allowed(struct question *q)
{
	const struct webhook *webhook = asked(q);
	char what[256];

	atomic_fetch_add_explicit(&webhook->stats->allowed_on_error, 1,
				  memory_order_relaxed);
	snprintf(what, sizeof(what),
		 "client %.*s allowed without an answer (on_error = allow)",
		 (int)least(q->ev->client_id.len, 128),
		 (const char *)q->ev->client_id.data);
	hook_trouble(q->hooks, webhook, TROUBLE_ALLOWED, what);
}

const struct verdict *question_by_policy(struct question *q, const char *error)
{
	const struct webhook *webhook = asked(q);
	const struct verdict *kept = kept_for_failure(q);

	question_trace(q, "no answer: ", NULL, error);
	if (kept)
		return kept;
	switch (webhook->on_error) {
	case ON_ERROR_NEXT:
		return verdict_ref(&verdict_next);
	case ON_ERROR_ALLOW:
		if (q->ev->will)
			return verdict_deny(error);
		note_allowed(q);
		return verdict_ref(&verdict_ok);
	default:
		return verdict_deny(error);
	}
}

const struct verdict *question_unasked(struct question *q, const char *why)
{
	const struct webhook *webhook = asked(q);

	atomic_fetch_add_explicit(&webhook->stats->unasked, 1,
				  memory_order_relaxed);
	hook_trouble(q->hooks, webhook, TROUBLE_UNASKED, why);
	return question_by_policy(q, why);
}

static const struct verdict *refusal(struct question *q, const char *error)
{
	hook_failed(q->hooks, asked(q), error);
	question_trace(q, "not asked: ", NULL, error);
	return verdict_deny(error);
}

/* What follows when it could not be sent. */
static const struct verdict *not_sent(struct question *q, int err)
{
	if (err != -EBUSY)
		return refusal(q, strerror(-err));
	return question_unasked(q, "too many calls wait for their endpoints");
}

/* ---- standing still ---- */

static int64_t now_us(const struct question *q)
{
	return q->hooks->ops->now_us(q->hooks->ops_ctx);
}

static int64_t may_hold_us(const struct question *q)
{
	const struct settings_limits *l = &q->settings->limits;
	int64_t own = (int64_t)asked(q)->timeout_ms * 1000;

	return least(budget_left_us(&q->hooks->budget, now_us(q),
				    l->blocking_timeout_ms,
				    l->blocking_budget_ms),
		     own + PAST_ITS_TIME_US);
}

static void note_held(struct question *q, int64_t from_us, int64_t to_us)
{
	const struct webhook *webhook = asked(q);
	struct webhook_stats *stats = webhook->stats;
	char what[96];

	budget_spend(&q->hooks->budget, from_us, to_us);
	atomic_fetch_add_explicit(&stats->held_calls, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&stats->held_us, (uint64_t)(to_us - from_us),
				  memory_order_relaxed);
	if (to_us - from_us < HELD_LONG_US)
		return;
	snprintf(what, sizeof(what), "the broker stood still for %lld ms",
		 (long long)((to_us - from_us) / 1000));
	hook_trouble(q->hooks, webhook, TROUBLE_HELD, what);
}

/* The call goes on without its question. */
static const struct verdict *give_up(struct question *q, struct inquiry *inq,
				     int64_t waited_us)
{
	char why[128];

	inquiry_give_up(inq);
	atomic_fetch_add_explicit(&asked(q)->stats->given_up, 1,
				  memory_order_relaxed);
	snprintf(why, sizeof(why),
		 "no answer within %lld ms, and the broker waits no longer "
		 "(blocking_timeout, blocking_budget)",
		 (long long)(waited_us / 1000));
	hook_failed(q->hooks, asked(q), why);
	return question_by_policy(q, why);
}

/* The answer to the question's inquiry. */
static const struct verdict *stand_still(struct question *q,
					 struct inquiry *inq, int64_t may_us)
{
	struct pool_call *call = inq->call;
	int64_t from_us = now_us(q);
	const struct verdict *v;
	int64_t to_us;
	int err;

	err = pool_wait(q->hooks->pool, call, from_us + may_us);
	to_us = now_us(q);
	note_held(q, from_us, to_us);
	if (err)
		return give_up(q, inq, to_us - from_us);
	v = q->answer;
	q->answer = NULL;
	return v ? v : verdict_deny("the call ended without an answer");
}

/* While the breaker is open nobody waits, but a question may go as a probe. */
static const struct verdict *hold(struct question *q)
{
	int64_t may_us = may_hold_us(q);
	struct inquiry *inq = NULL;
	enum pool_look look;
	int err;

	look = pool_look(q->hooks->pool, asked(q)->target);
	if (look == POOL_LOOK_PAUSED)
		return question_unasked(q, "not asked: it is paused");
	if (look != POOL_LOOK_GOOD) {
		if (look == POOL_LOOK_PROBE)
			inquire(q, POOL_ASIDE, false, NULL);
		return question_unasked(
			q, "not asked: its circuit breaker is open");
	}
	if (may_us < LEAST_WAIT_US)
		return question_unasked(
			q, "not asked: the broker has stood still for "
			   "long enough (blocking_timeout, "
			   "blocking_budget)");
	err = inquire(q, POOL_HOLD, false, &inq);
	if (err || !inq)
		return not_sent(q, err);
	return stand_still(q, inq, may_us);
}

/* ---- the chain ---- */

static bool at_its_end(const struct question *q)
{
	return q->index == q->settings->chained[q->ev->hook];
}

/* Past an endpoint that has no opinion. */
static void move_on(struct question *q, const struct verdict *next)
{
	verdict_unref(next);
	q->index++;
	q->looked_up = false;
}

static const struct verdict *ask_held(struct question *q)
{
	while (!at_its_end(q)) {
		const struct verdict *v = kept_find(q);

		if (!v)
			v = hold(q);
		if (v->decision != DECISION_NEXT)
			return v;
		move_on(q, v);
	}
	return verdict_ref(&verdict_next);
}

/* Go on down the chain from the answer `v` of the endpoint at `index`, or
 * from there on for NULL. Returns the verdict, or NULL when an inquiry is
 * under way that question_go_on() will be called after. */
static const struct verdict *ask_on(struct question *q, const struct verdict *v)
{
	for (;;) {
		int err;

		if (v && v->decision != DECISION_NEXT)
			return v;
		if (v)
			move_on(q, v);
		if (at_its_end(q))
			return verdict_ref(&verdict_next);
		v = kept_find(q);
		if (v)
			continue;
		err = inquire(q, POOL_ASK, false, NULL);
		if (!err)
			return NULL;
		v = not_sent(q, err);
	}
}

static void question_free(struct question *q)
{
	settings_unref(q->settings);
	event_free(q->copy);
	free(q);
}

static void complete(struct question *q, const struct verdict *v)
{
	struct hooks *hooks = q->hooks;
	const char *id = q->ev->client_id.data;

	bool current = pending_close(hooks->pending, id, q->ticket);

	if (!current)
		hook_count_cancelled(hooks, q->ev->hook);
	hooks->ops->complete_auth(hooks->ops_ctx, id, q->ticket,
				  current ? v : NULL);
	verdict_unref(v);
	question_free(q);
}

void question_go_on(struct question *q)
{
	const struct verdict *v = q->answer;

	q->answer = NULL;
	v = ask_on(q, v ? v : verdict_deny("the call ended without an answer"));
	if (v)
		complete(q, v);
}

/* ---- the two ways to ask ---- */

/* Move a question off the stack and open its ticket, before any of its calls
 * can end. Returns NULL when it cannot be delayed. */
static struct question *delay(const struct question *q)
{
	struct question *later = malloc(sizeof(*later));

	if (!later)
		return NULL;
	*later = *q;
	later->copy = NULL;
	if (event_copy(q->ev, &later->copy) != 0)
		goto fail;
	later->ev = later->copy;
	later->ticket = pending_open(q->hooks->pending, q->ev->client_id.data);
	if (!later->ticket)
		goto fail;
	settings_ref(later->settings);
	return later;
fail:
	event_free(later->copy);
	free(later);
	return NULL;
}

static enum hook_result ask_later(struct question *q,
				  const struct verdict **ret,
				  uint64_t *ret_ticket)
{
	const struct verdict *v;
	struct question *later;
	uint64_t ticket;

	later = delay(q);
	if (!later) {
		hook_trouble(q->hooks, asked(q), TROUBLE_UNASKED,
			     "client refused: no room for another pending "
			     "login");
		*ret = verdict_deny("no room for another pending login");
		return HOOK_DONE;
	}
	ticket = later->ticket;
	v = ask_on(later, NULL);
	if (!v) {
		*ret_ticket = ticket;
		return HOOK_PENDING;
	}
	pending_close(q->hooks->pending, later->ev->client_id.data, ticket);
	question_free(later);
	*ret = v;
	return HOOK_DONE;
}

__attribute__((hot)) enum hook_result hook_ask(struct hooks *hooks,
					       const struct event *ev,
					       bool may_delay,
					       const struct verdict **ret,
					       uint64_t *ret_ticket)
{
	struct question q = {
		.hooks = hooks,
		.settings = hooks->settings,
		.ev = ev,
		.number = ++hooks->events,
	};

	hook_see(hooks, ev->hook);
	if (!hooks_has(hooks, ev->hook)) {
		*ret = verdict_ref(&verdict_next);
		return HOOK_DONE;
	}
	/* What is kept decides, and takes no reference of the settings. */
	*ret = kept_find(&q);
	if (*ret)
		return HOOK_DONE;
	if (may_delay)
		return ask_later(&q, ret, ret_ticket);
	settings_ref(q.settings);
	*ret = ask_held(&q);
	settings_unref(q.settings);
	return HOOK_DONE;
}

void hook_forget(struct hooks *hooks, const char *client_id)
{
	pending_forget(hooks->pending, client_id);
}

bool hook_withdraw(struct hooks *hooks, const char *client_id, uint64_t ticket)
{
	return pending_close(hooks->pending, client_id, ticket);
}
