/*
 * hook_ask.c - the hooks whose answer counts: one question walks down its
 * chain, from the cache or by a call, until an endpoint decides.
 *
 * A question waits in one of two ways: delayed, while the broker goes on, or
 * held, while the broker's thread stands still. The call it waits for is an
 * inquiry. That may outlive its question, when the broker could stand still
 * no longer, or have none from the start, as a probe: what the endpoint then
 * answers can still be kept for the next one who asks.
 */
#include "plugin/hook.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cache/cache.h"
#include "plugin/hook_private.h"
#include "plugin/hook_table.h"
#include "plugin/pending.h"

enum {
	HELD_LONG_US = 100000,     /* worth a line in the log */
	LEAST_WAIT_US = 1000,      /* less is not worth a call */
	PAST_ITS_TIME_US = 100000, /* the pool's own limit comes first */
};

struct question {
	struct hooks *hooks;
	struct settings *settings; /* a reference: those it began with */
	const struct event *ev;
	struct event *copy; /* what `ev` is when delayed, or NULL */
	size_t index;       /* of the endpoint being asked */
	uint64_t generation, ticket;
	struct inquiry *inquiry;      /* under way, or NULL */
	const struct verdict *answer; /* of the endpoint at `index` */
	bool looked_up;               /* in the cache, at `index` */
	uint8_t key[CACHE_KEY_LEN];
};

/* One call to one endpoint. */
struct inquiry {
	struct hooks *hooks;
	struct settings *settings; /* a reference, for `webhook` */
	const struct webhook *webhook;
	struct question *question; /* NULL: nobody waits */
	struct pool_call *call;
	size_t sent; /* bytes of the body */
	uint64_t generation;
	bool cacheable;
	bool given_up; /* as a failure, which is counted and logged */
	uint8_t key[CACHE_KEY_LEN];
};

static const struct webhook *asked(const struct question *q)
{
	return &q->settings->chain[q->ev->hook][q->index];
}

static bool cacheable(const struct question *q)
{
	return hook_table[q->ev->hook].cacheable;
}

/* ---- one endpoint's answer ---- */

static void warn_of_payload(struct hooks *hooks, const struct webhook *webhook)
{
	if (webhook->stats->warned & 1u << WARNED_CACHED_PAYLOAD)
		return;
	webhook->stats->warned |= 1u << WARNED_CACHED_PAYLOAD;
	hooks_log(hooks, LOG_LEVEL_WARN,
		  "%s: endpoint %s replies with a payload and max-age: "
		  "the kept answer will not rewrite payloads. Leave "
		  "out cache-control from such replies",
		  hook_table[webhook->hook].name, webhook->shown);
}

static void keep(struct inquiry *inq, const struct verdict *v,
		 const struct pool_reply *reply)
{
	const struct webhook *webhook = inq->webhook;
	struct hooks *hooks = inq->hooks;
	uint64_t ttl = codec_max_age_ms(reply->cache_control, reply->age_s);
	const struct verdict *kept;

	if (!ttl || v->decision != DECISION_OK || !inq->cacheable ||
	    inq->generation != hooks->generation)
		return;
	if (verdict_has(v, MODIFIER_PAYLOAD))
		warn_of_payload(hooks, webhook);
	if (verdict_create(v, 1u << MODIFIER_PAYLOAD, &kept) != 0)
		return;
	cache_put(hooks->cache, inq->key, &webhook->stats->cache, kept,
		  kept->size, ttl, hooks_now_ms(hooks));
	verdict_unref(kept);
}

static void note_denial(struct question *q, const struct verdict *v)
{
	const struct webhook *webhook = asked(q);

	atomic_fetch_add_explicit(&webhook->stats->errors, 1,
				  memory_order_relaxed);
	hooks_log(q->hooks, LOG_LEVEL_INFO,
		  "%s: endpoint %s refused client %.*s: %.*s",
		  hook_table[webhook->hook].name, webhook->shown,
		  (int)q->ev->client_id.len,
		  (const char *)q->ev->client_id.data, (int)v->reason.len,
		  (const char *)v->reason.data);
}

/* Modifiers that the host cannot honour: each is said once, none is lost in
 * silence. */
static void note_without_effect(struct question *q, const struct verdict *v)
{
	const struct broker_ops *ops = q->hooks->ops;
	const struct webhook *webhook = asked(q);
	uint32_t *said = &webhook->stats->ineffective;
	char names[512] = "";

	for (size_t i = 0; i < ops->without_effect_count; i++) {
		const struct modifier_without_effect *m;
		size_t len = strlen(names);

		m = &ops->without_effect[i];
		if (!verdict_has(v, m->id) || *said & 1u << m->id ||
		    !(m->hooks & 1u << webhook->hook))
			continue;
		*said |= 1u << m->id;
		snprintf(names + len, sizeof(names) - len, " %s", m->name);
	}
	if (*names)
		hooks_log(q->hooks, LOG_LEVEL_WARN,
			  "%s: endpoint %s replies with modifiers that this "
			  "Mosquitto cannot honour; they have no effect:%s",
			  hook_table[webhook->hook].name, webhook->shown,
			  names);
}

/* The operator's choice for an endpoint that gives no answer at all. */
static const struct verdict *by_policy(struct question *q, const char *error)
{
	const struct webhook *webhook = asked(q);

	switch (webhook->on_error) {
	case ON_ERROR_NEXT:
		return verdict_ref(&verdict_next);
	case ON_ERROR_ALLOW:
		if (q->ev->will)
			return verdict_deny(error);
		atomic_fetch_add_explicit(&webhook->stats->allowed_on_error, 1,
					  memory_order_relaxed);
		hooks_log(q->hooks, LOG_LEVEL_WARN,
			  "%s: client %.*s allowed without an answer "
			  "(on_error = allow)",
			  hook_table[webhook->hook].name,
			  (int)q->ev->client_id.len,
			  (const char *)q->ev->client_id.data);
		return verdict_ref(&verdict_ok);
	default:
		return verdict_deny(error);
	}
}

/* The endpoint was not asked, or not for long enough. */
static const struct verdict *unasked(struct question *q, const char *why)
{
	const struct webhook *webhook = asked(q);

	atomic_fetch_add_explicit(&webhook->stats->unasked, 1,
				  memory_order_relaxed);
	hook_trouble(q->hooks, webhook, TROUBLE_UNASKED, why);
	return by_policy(q, why);
}

static const struct verdict *refusal(struct question *q, const char *error)
{
	hook_failed(q->hooks, asked(q), error);
	return verdict_deny(error);
}

/* A reply that is no answer, for whoever still waits for one. */
static const struct verdict *without_answer(struct inquiry *inq,
					    const struct pool_reply *reply,
					    const char *error)
{
	struct question *q = inq->question;

	if (reply->error == -EHOSTDOWN)
		return q ? unasked(q, error) : NULL;
	if (!inq->given_up)
		hook_failed(inq->hooks, inq->webhook, error);
	return q ? by_policy(q, error) : NULL;
}

static int decode(const struct inquiry *inq, const struct pool_reply *reply,
		  const struct verdict **ret,
		  char reterr[static CODEC_ERROR_LEN])
{
	const struct webhook *webhook = inq->webhook;
	int err;

	err = codec_decode(webhook->hook, &webhook->codec, reply->body,
			   reply->len, ret, reterr);
	if (err == -ENOMEM)
		snprintf(reterr, CODEC_ERROR_LEN, "no memory for the reply");
	return err;
}

/* The verdict of a reply; anything wrong with it is a refusal. NULL when
 * nobody waits. */
static const struct verdict *conclude(struct inquiry *inq,
				      const struct pool_reply *reply)
{
	struct webhook_stats *stats = inq->webhook->stats;
	char error[CODEC_ERROR_LEN] = "";
	struct question *q = inq->question;
	const struct verdict *v = NULL;
	enum hook_outcome outcome = hook_outcome(reply, error);

	atomic_fetch_add_explicit(&stats->requests, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&stats->bytes_sent, inq->sent,
				  memory_order_relaxed);
	if (outcome == OUTCOME_NONE)
		return without_answer(inq, reply, error);
	if (outcome == OUTCOME_REFUSAL || decode(inq, reply, &v, error) != 0) {
		hook_failed(inq->hooks, inq->webhook, error);
		return q ? verdict_deny(error) : NULL;
	}
	if (q && v->decision == DECISION_DENY)
		note_denial(q, v);
	if (q)
		note_without_effect(q, v);
	keep(inq, v, reply);
	if (q)
		return v;
	verdict_unref(v);
	return NULL;
}

/* The kept answer of the endpoint at `index`, or NULL. Only ok is ever kept,
 * so a hit decides. */
static const struct verdict *from_cache(struct question *q)
{
	const struct webhook *webhook = asked(q);
	struct hooks *hooks = q->hooks;
	const struct verdict *v;

	if (q->looked_up || !cacheable(q) || q->generation != hooks->generation)
		return NULL;
	q->looked_up = true;
	codec_key(q->ev, webhook->target, hooks->secret, q->key);
	v = cache_get(hooks->cache, q->key, &webhook->stats->cache,
		      hooks_now_ms(hooks));
	return v ? verdict_ref(v) : NULL;
}

/* ---- a call ---- */

static void inquiry_free(struct inquiry *inq)
{
	settings_unref(inq->settings);
	free(inq);
}

static void go_on(struct question *q);

static void inquiry_done(const struct pool_reply *reply, void *arg)
{
	struct inquiry *inq = arg;
	struct question *q = inq->question;
	const struct verdict *v = conclude(inq, reply);

	inquiry_free(inq);
	if (!q)
		return;
	q->inquiry = NULL;
	q->answer = v;
	if (q->copy)
		go_on(q);
}

/* Ask the endpoint at `index`, as `kind`; a POOL_ASIDE is nobody's. Returns 0
 * or -errno. */
static int inquire(struct question *q, enum pool_kind kind)
{
	struct hook_message message = {
		.webhook = asked(q),
		.ev = q->ev,
		.kind = kind,
	};
	struct inquiry *inq = calloc(1, sizeof(*inq));
	int err;

	if (!inq)
		return -ENOMEM;
	inq->hooks = q->hooks;
	inq->settings = settings_ref(q->settings);
	inq->webhook = asked(q);
	inq->question = kind == POOL_ASIDE ? NULL : q;
	inq->generation = q->generation;
	inq->cacheable = cacheable(q);
	memcpy(inq->key, q->key, sizeof(inq->key));
	err = hook_send(q->hooks, &message, inquiry_done, inq, &inq->call,
			&inq->sent);
	if (err)
		inquiry_free(inq);
	else
		q->inquiry = inq->question ? inq : NULL;
	return err;
}

/* What follows when it could not be sent. */
static const struct verdict *not_sent(struct question *q, int err)
{
	if (err != -EBUSY)
		return refusal(q, strerror(-err));
	return unasked(q, "too many calls wait for their endpoints");
}

/* ---- standing still ---- */

static int64_t now_us(const struct question *q)
{
	return q->hooks->ops->now_us(q->hooks->ops_ctx);
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
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
static const struct verdict *give_up(struct question *q, int64_t waited_us)
{
	char why[128];

	q->inquiry->question = NULL;
	q->inquiry->given_up = true;
	q->inquiry = NULL;
	snprintf(why, sizeof(why),
		 "no answer within %lld ms, and the broker waits no longer "
		 "(blocking_timeout, blocking_budget)",
		 (long long)(waited_us / 1000));
	hook_failed(q->hooks, asked(q), why);
	return by_policy(q, why);
}

/* The answer to the question's inquiry. */
static const struct verdict *stand_still(struct question *q, int64_t may_us)
{
	struct pool_call *call = q->inquiry->call;
	int64_t from_us = now_us(q);
	const struct verdict *v;
	int64_t to_us;
	int err;

	err = pool_wait(q->hooks->pool, call, from_us + may_us);
	to_us = now_us(q);
	note_held(q, from_us, to_us);
	if (err)
		return give_up(q, to_us - from_us);
	v = q->answer;
	q->answer = NULL;
	return v ? v : verdict_deny("the call ended without an answer");
}

/* While the breaker is open nobody waits, but a question may go as a probe. */
static const struct verdict *hold(struct question *q)
{
	int64_t may_us = may_hold_us(q);
	enum pool_look look;
	int err;

	look = pool_look(q->hooks->pool, asked(q)->target);
	if (look != POOL_LOOK_GOOD) {
		if (look == POOL_LOOK_PROBE)
			inquire(q, POOL_ASIDE);
		return unasked(q, "not asked: its circuit breaker is open");
	}
	if (may_us < LEAST_WAIT_US)
		return unasked(q, "not asked: the broker has stood still for "
				  "long enough (blocking_timeout, "
				  "blocking_budget)");
	err = inquire(q, POOL_HOLD);
	return err ? not_sent(q, err) : stand_still(q, may_us);
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
		const struct verdict *v = from_cache(q);

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
 * under way that go_on() will be called after. */
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
		v = from_cache(q);
		if (v)
			continue;
		err = inquire(q, POOL_ASK);
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

	hooks->ops->complete_auth(hooks->ops_ctx, id, q->ticket,
				  current ? v : NULL);
	verdict_unref(v);
	question_free(q);
}

/* A delayed question has its answer. */
static void go_on(struct question *q)
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
	const struct verdict *v = from_cache(q);
	struct question *later;
	uint64_t ticket;

	if (v) {
		*ret = v;
		return HOOK_DONE;
	}
	later = delay(q);
	if (!later) {
		hooks_log(q->hooks, LOG_LEVEL_ERR,
			  "%s: client refused: no room for another pending "
			  "login",
			  hook_table[q->ev->hook].name);
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

enum hook_result hook_ask(struct hooks *hooks, const struct event *ev,
			  bool may_delay, const struct verdict **ret,
			  uint64_t *ret_ticket)
{
	struct question q = {
		.hooks = hooks,
		.settings = hooks->settings,
		.ev = ev,
		.generation = hooks->generation,
	};

	if (!hooks_has(hooks, ev->hook)) {
		*ret = verdict_ref(&verdict_next);
		return HOOK_DONE;
	}
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
