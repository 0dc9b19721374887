/*
 * hook_ask.c - the hooks whose answer counts: one question walks down its
 * chain, from the cache or by a call, until an endpoint decides.
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

/* The pool's own timer is the deadline; this much later we no longer trust
 * it to come. */
enum {
	DEADLINE_SLACK_MS = 100
};

struct question {
	struct hooks *hooks;
	struct settings *settings; /* a reference: those it began with */
	const struct event *ev;
	struct event *copy;     /* what `ev` is when delayed, or NULL */
	size_t index;           /* of the endpoint being asked */
	struct pool_call *call; /* until its answer */
	size_t sent;            /* bytes of the body under way */
	uint64_t generation, ticket;
	const struct verdict *answer; /* of the endpoint at `index` */
	bool looked_up;               /* in the cache, at `index` */
	uint8_t key[CACHE_KEY_LEN];
};

static void question_done(const struct pool_reply *reply, void *arg);

static const struct webhook *asked(const struct question *q)
{
	return &q->settings->chain[q->ev->hook][q->index];
}

static bool cacheable(const struct question *q)
{
	return hook_table[q->ev->hook].cacheable;
}

/* ---- one endpoint's answer ---- */

static void keep(struct question *q, const struct verdict *v,
		 const struct pool_reply *reply)
{
	const struct webhook *webhook = asked(q);
	struct hooks *hooks = q->hooks;
	uint64_t ttl = codec_max_age_ms(reply->cache_control, reply->age_s);
	const struct verdict *kept;

	if (!ttl || v->decision != DECISION_OK || !cacheable(q) ||
	    q->generation != hooks->generation)
		return;
	if (verdict_has(v, MODIFIER_PAYLOAD) &&
	    !(webhook->stats->warned & 1u << WARNED_CACHED_PAYLOAD)) {
		webhook->stats->warned |= 1u << WARNED_CACHED_PAYLOAD;
		hooks_log(hooks, LOG_LEVEL_WARN,
			  "%s: endpoint %s replies with a payload and max-age: "
			  "the kept answer will not rewrite payloads. Leave "
			  "out cache-control from such replies",
			  hook_table[webhook->hook].name, webhook->shown);
	}
	if (verdict_create(v, 1u << MODIFIER_PAYLOAD, &kept) != 0)
		return;
	cache_put(hooks->cache, q->key, &webhook->stats->cache, kept,
		  kept->size, ttl, hooks->ops->now_ms(hooks->ops_ctx));
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
static const struct verdict *without_answer(struct question *q,
					    const char *error)
{
	const struct webhook *webhook = asked(q);

	hook_failed(q->hooks, webhook, error);
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

static const struct verdict *refusal(struct question *q, const char *error)
{
	hook_failed(q->hooks, asked(q), error);
	return verdict_deny(error);
}

/* The verdict of a reply; anything wrong with it is a refusal. */
static const struct verdict *conclude(struct question *q,
				      const struct pool_reply *reply)
{
	const struct webhook *webhook = asked(q);
	char error[CODEC_ERROR_LEN] = "";
	const struct verdict *v = NULL;
	int err;

	atomic_fetch_add_explicit(&webhook->stats->requests, 1,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&webhook->stats->bytes_sent, q->sent,
				  memory_order_relaxed);
	switch (hook_outcome(reply, error)) {
	case OUTCOME_NONE:
		return without_answer(q, error);
	case OUTCOME_REFUSAL:
		return refusal(q, error);
	default:
		break;
	}
	err = codec_decode(webhook->hook, &webhook->codec, reply->body,
			   reply->len, &v, error);
	if (err == -ENOMEM)
		snprintf(error, sizeof(error), "no memory for the reply");
	if (err)
		return refusal(q, error);
	if (v->decision == DECISION_DENY)
		note_denial(q, v);
	note_without_effect(q, v);
	keep(q, v, reply);
	return v;
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
	codec_key(q->ev, webhook->endpoint, hooks->secret, q->key);
	v = cache_get(hooks->cache, q->key, &webhook->stats->cache,
		      hooks->ops->now_ms(hooks->ops_ctx));
	return v ? verdict_ref(v) : NULL;
}

/* ---- the chain ---- */

/* Go on down the chain. Returns the verdict, or NULL when a call is under
 * way that question_done() will be told of. */
static const struct verdict *ask_on(struct question *q)
{
	const struct verdict *v;
	int err;

	if (q->index == q->settings->chained[q->ev->hook])
		return verdict_ref(&verdict_next);
	v = from_cache(q);
	if (v)
		return v;
	err = hook_send(q->hooks, asked(q), q->ev, false, question_done, q,
			&q->call, &q->sent);
	if (!err)
		return NULL;
	return refusal(q, strerror(-err));
}

/* What follows from the answer of the endpoint at `index`. */
static const struct verdict *ask_after(struct question *q)
{
	const struct verdict *v = q->answer;

	q->answer = NULL;
	if (!v)
		return verdict_deny("the call ended without an answer");
	if (v->decision != DECISION_NEXT)
		return v;
	verdict_unref(v);
	q->index++;
	q->looked_up = false;
	return ask_on(q);
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

static void question_done(const struct pool_reply *reply, void *arg)
{
	struct question *q = arg;
	const struct verdict *v;

	q->call = NULL;
	q->answer = conclude(q, reply);
	if (!q->copy)
		return; /* wait_for() goes on with it */
	v = ask_after(q);
	if (v)
		complete(q, v);
}

/* ---- the two ways to ask ---- */

static const struct verdict *wait_for(struct question *q)
{
	const struct verdict *v = ask_on(q);

	while (!v) {
		int64_t deadline = q->hooks->ops->now_ms(q->hooks->ops_ctx) +
				   asked(q)->timeout_ms + DEADLINE_SLACK_MS;

		pool_wait(q->hooks->pool, q->call, deadline);
		v = ask_after(q);
	}
	return v;
}

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
	v = ask_on(later);
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
	*ret = wait_for(&q);
	settings_unref(q.settings);
	return HOOK_DONE;
}

void hook_forget(struct hooks *hooks, const char *client_id)
{
	pending_forget(hooks->pending, client_id);
}
