/*
 * hook_cache.c - what is kept of answers, and for whom it serves.
 */
#include "plugin/hook/hook.h"

#include <sodium.h>
#include <string.h>
#include "plugin/hook/hook_ask.h"
#include "plugin/hook_table.h"

enum {
	SWEEP = 256, /* entries in a step */
	SWEEP_CLEARING = 4096,
};

/* ---- questions ---- */

/* What holds for all questions to it. */
__attribute__((cold)) static void prepare(struct hooks *hooks,
					  const struct webhook *webhook)
{
	struct cache_group *group = &webhook->stats->cache;

	if (!group->hook) {
		group->hook = (uint64_t)webhook->hook + 1;
		group->endpoint =
			codec_tag(bytes_of(webhook->shown), hooks->secret);
	}
	codec_secret_of(webhook->target, hooks->secret,
			hooks->of[webhook->hook].secret);
	hooks->of[webhook->hook].asked = webhook;
}

/* Of a login, of which not every endpoint is told everything. */
__attribute__((noinline)) static void key_as_told(struct question *q,
						  const uint8_t *secret)
{
	struct event told = hook_event(asked(q), q->ev);

	codec_key(&told, secret, q->kept.key);
}

__attribute__((hot)) static void name_question(struct question *q)
{
	const struct webhook *webhook = asked(q);
	const uint8_t *secret = q->hooks->of[webhook->hook].secret;

	if (q->hooks->of[webhook->hook].asked != webhook)
		prepare(q->hooks, webhook);
	q->kept.group = &webhook->stats->cache;
	if (!q->ev->listener)
		codec_key(q->ev, secret, q->kept.key);
	else
		key_as_told(q, secret);
}

/* What a clear selects by matters to what is stored, not to who looks. */
__attribute__((noinline)) static void name_asker(struct question *q)
{
	const struct event *ev = q->ev;
	const uint8_t *secret = q->hooks->secret;

	q->kept.client = codec_tag(ev->client_id, secret);
	q->kept.username = codec_tag(ev->sent_username.data ? ev->sent_username
							    : ev->username,
				     secret);
}

__attribute__((cold)) static void refresh(struct question *q)
{
	name_asker(q);
	if (inquire(q, POOL_ASK, true, NULL) != 0)
		cache_refresh_failed(q->hooks->cache, &q->kept,
				     hooks_now_ms(q->hooks));
}

/* Most is fresh for longer than the coarse clock can be behind; then the other
 * one, which takes as long as half of all the rest, need not be read. */
__attribute__((hot)) static enum cache_result look_up(struct question *q,
						      const void **ret)
{
	struct hooks *hooks = q->hooks;
	int64_t before_us;

	if (hooks->ops->coarse_us) {
		before_us = hooks->ops->coarse_us(hooks->ops_ctx) +
			    BROKER_COARSE_US;
		if (cache_get_fresh(hooks->cache, &q->kept,
				    before_us / 1000 + 1, ret))
			return CACHE_FRESH;
	}
	return cache_get(hooks->cache, &q->kept, hooks_now_ms(hooks), ret);
}

__attribute__((hot)) const struct verdict *kept_find(struct question *q)
{
	struct hooks *hooks = q->hooks;
	const struct verdict *v;
	enum cache_result result;
	const void *value;

	if (q->looked_up || !hook_table[q->ev->hook].cacheable)
		return NULL;
	q->looked_up = true;
	name_question(q);
	cache_expect(hooks->cache, q->kept.key);
	result = look_up(q, &value);
	/* What its endpoint is asked, with options of old, is not kept. */
	if (result != CACHE_FRESH && q->settings != hooks->settings)
		cache_void(&q->kept);
	if (result == CACHE_MISS) {
		name_asker(q);
		return NULL;
	}
	v = verdict_ref(value);
	question_trace(q, "kept ", v, NULL);
	if (result == CACHE_REFRESH)
		refresh(q);
	return v;
}

const struct verdict *kept_for_failure(struct question *q)
{
	const void *value;

	if (!q->looked_up)
		return NULL;
	value = cache_get_if_error(q->hooks->cache, &q->kept,
				   hooks_now_ms(q->hooks));
	return value ? verdict_ref(value) : NULL;
}

/* ---- answers ---- */

static void warn_of_payload(struct hooks *hooks, const struct webhook *webhook)
{
	if (webhook->stats->warned & 1u << WARNED_CACHED_PAYLOAD)
		return;
	webhook->stats->warned |= 1u << WARNED_CACHED_PAYLOAD;
	hooks_log(hooks, LOG_LEVEL_WARN,
		  "%s: endpoint %s replies with a payload and max-age: "
		  "the kept answer will not rewrite payloads. Leave "
		  "out cache-control from such replies",
		  hook_table[webhook->hook].name, webhook->logged);
}

/* Keys that share a slot cost each other a call now and then. */
static uint64_t *newest(const struct inquiry *inq)
{
	const uint8_t *key = inq->kept.key;

	return &inq->hooks->answered[(key[0] << 8 | key[1]) % ANSWERED_SLOTS];
}

/* There was a no: a yes to what was asked up to now no longer counts. */
static void revoke(const struct inquiry *inq)
{
	*newest(inq) = inq->hooks->requests;
}

/* Note that this one has been answered. Returns whether a newer one has. */
static bool is_outdated(const struct inquiry *inq, enum decision decision)
{
	bool outdated = inq->number <= *newest(inq);

	if (decision != DECISION_OK)
		revoke(inq);
	else if (!outdated)
		*newest(inq) = inq->number;
	return outdated;
}

void kept_spoilt(struct inquiry *inq)
{
	if (!inq->cacheable)
		return;
	revoke(inq);
	cache_remove(inq->hooks->cache, &inq->kept);
}

void kept_failed(struct inquiry *inq)
{
	if (inq->refresh)
		cache_refresh_failed(inq->hooks->cache, &inq->kept,
				     hooks_now_ms(inq->hooks));
}

bool hook_keeps(const struct webhook *webhook, enum decision decision)
{
	return decision == DECISION_OK ||
	       (decision == DECISION_DENY && webhook->cache_refusals);
}

/* The payload is another's next time. A plain ok, as most are, is one for
 * all. NULL: no memory. */
static const struct verdict *to_keep(const struct verdict *v)
{
	const uint32_t payload = 1u << MODIFIER_PAYLOAD;
	const struct verdict *kept = NULL;

	if (v->decision == DECISION_OK && !(v->given & ~payload))
		return verdict_ref(&verdict_ok);
	return verdict_create(v, payload, &kept) ? NULL : kept;
}

/* What a login is answered goes by the id that the client gets by it, too. */
static void name_alias(struct inquiry *inq, const struct verdict *v)
{
	const struct modifier_value *id = verdict_get(v, MODIFIER_CLIENT_ID);

	if (id)
		inq->kept.alias = codec_tag(id->text, inq->hooks->secret);
}

/* RFC 9111 section 4.2.3: an answer is as old as the request that went out for
 * it, besides its Age. */
static uint64_t age_ms(const struct inquiry *inq,
		       const struct pool_reply *reply, int64_t now_ms)
{
	uint64_t not_sent_us = reply->times.queue_us + reply->times.connect_us;
	int64_t went_ms = inq->asked_ms + (int64_t)(not_sent_us / 1000);

	return now_ms > went_ms ? (uint64_t)(now_ms - went_ms) : 0;
}

void kept_store(struct inquiry *inq, const struct verdict *v,
		const struct pool_reply *reply)
{
	bool yes = v->decision == DECISION_OK;
	struct hooks *hooks = inq->hooks;
	int64_t now_ms = hooks_now_ms(hooks);
	const struct verdict *kept = NULL;
	struct cache_life life;
	bool outdated;

	if (!inq->cacheable)
		return;
	outdated = is_outdated(inq, v->decision);
	if (outdated && yes) {
		cache_refresh_over(hooks->cache, &inq->kept);
		return;
	}
	if (!outdated && hook_keeps(inq->webhook, v->decision) &&
	    codec_cache_life(reply->cache_control, reply->age_s, &life))
		kept = to_keep(v);
	if (!kept) {
		cache_remove(hooks->cache, &inq->kept);
		return;
	}
	if (verdict_has(v, MODIFIER_PAYLOAD))
		warn_of_payload(hooks, inq->webhook);
	name_alias(inq, v);
	life.age_ms = age_ms(inq, reply, now_ms);
	cache_put(hooks->cache, &inq->kept, yes ? CACHE_ANSWER : CACHE_REFUSAL,
		  kept, kept->size, &life, now_ms);
	verdict_unref(kept);
}

/* ---- the whole ---- */

void hook_cache_sweep(struct hooks *hooks)
{
	cache_sweep(hooks->cache,
		    cache_is_clearing(hooks->cache) ? SWEEP_CLEARING : SWEEP,
		    hooks_now_ms(hooks));
}

size_t hooks_cache_clear(struct hooks *hooks,
			 const struct hooks_selection *selection)
{
	struct cache_filter filter = { 0 };

	if (selection->hook != HOOK_COUNT)
		filter.hook = (uint64_t)selection->hook + 1;
	if (selection->endpoint)
		filter.endpoint =
			codec_tag(bytes_of(selection->endpoint), hooks->secret);
	if (selection->client_id)
		filter.client = codec_tag(bytes_of(selection->client_id),
					  hooks->secret);
	if (selection->username)
		filter.username =
			codec_tag(bytes_of(selection->username), hooks->secret);
	return cache_clear(hooks->cache, &filter);
}
