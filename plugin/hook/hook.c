#include "plugin/hook/hook.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cache/cache.h"
#include "plugin/hook/hook_private.h"
#include "plugin/hook_table.h"
#include "plugin/pending.h"
#include "plugin/sequence.h"
#include "plugin/settings/settings_reload.h"

/* Ceilings that hold a flood. */
enum {
	MAX_PENDING = 65536,
};

enum {
	CHORES_MS = 10, /* from one time to the next */
};

/* ---- life ---- */

static void retain(const void *value)
{
	verdict_ref(value);
}

static void release(const void *value)
{
	verdict_unref(value);
}

/* What tells this start of the broker from all others. */
static void identify(struct hooks *hooks)
{
	uint8_t random[8];

	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(hooks->instance, sizeof(hooks->instance), random,
		       sizeof(random));
	snprintf(hooks->epoch, sizeof(hooks->epoch), "%lld",
		 (long long)hooks->ops->unix_ms(hooks->ops_ctx) * 1000 +
			 randombytes_uniform(1000));
}

static struct cache_limits cache_limits(const struct settings *s)
{
	uint64_t bytes = s->limits.cache_max_bytes;

	return (struct cache_limits){
		.max_bytes = bytes - bytes / SETTINGS_REFUSALS_SHARE,
		.max_refusal_bytes = bytes / SETTINGS_REFUSALS_SHARE,
		.jitter_percent = s->limits.cache_jitter,
	};
}

static int make_parts(struct hooks *hooks, struct settings *s)
{
	struct cache_limits limits = cache_limits(s);
	struct cache_opts cache = {
		.max_bytes = limits.max_bytes,
		.max_refusal_bytes = limits.max_refusal_bytes,
		.jitter_percent = limits.jitter_percent,
		.retain = retain,
		.release = release,
	};
	int err;

	randombytes_buf(hooks->secret, sizeof(hooks->secret));
	randombytes_buf(hooks->trace_key, sizeof(hooks->trace_key));
	identify(hooks);
	randombytes_buf(&cache.seed, sizeof(cache.seed));
	err = cache_create(&hooks->cache, &cache);
	if (!err)
		err = pending_create(&hooks->pending, MAX_PENDING);
	if (!err)
		err = sequences_create(&hooks->sequences);
	if (!err)
		err = pool_create(&hooks->pool, hooks->ops->wake,
				  hooks->ops_ctx);
	if (!err)
		err = settings_slot_init(&hooks->slot, s);
	return err;
}

int hooks_create(struct hooks **ret, struct settings *s,
		 const struct broker_ops *ops, void *ops_ctx)
{
	struct hooks *hooks;
	int err = -EIO;

	if (sodium_init() < 0)
		return -EIO;
	hooks = calloc(1, sizeof(*hooks));
	if (!hooks)
		return -ENOMEM;
	hooks->ops = ops;
	hooks->ops_ctx = ops_ctx;
	hooks->started_us = ops->now_us(ops_ctx);
	hooks->seen_us = hooks->started_us;
	err = make_parts(hooks, s);
	if (err)
		goto out;
	hooks->settings = settings_ref(s);
	hooks->version = settings_slot_version(&hooks->slot);
	err = hook_configure_pool((const struct settings *const *)&s, 1, hooks);
out:
	if (err)
		hooks_destroy(hooks);
	else
		*ret = hooks;
	return err;
}

int hooks_start(struct hooks *hooks)
{
	return pool_start(hooks->pool);
}

static void report_undelivered(struct hooks *hooks)
{
	const struct settings *s = hooks->settings;

	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++) {
			const struct webhook *webhook = &s->chain[h][i];
			uint64_t n = atomic_load_explicit(
				&webhook->stats->undelivered,
				memory_order_relaxed);

			if (n)
				hooks_log(hooks, LOG_LEVEL_WARN,
					  "%s: endpoint %s: %llu notifications "
					  "were not delivered when the broker "
					  "stopped (drain_timeout)",
					  hook_table[h].name, webhook->logged,
					  (unsigned long long)n);
		}
	}
	if (hooks->undelivered)
		hooks_log(hooks, LOG_LEVEL_WARN,
			  "%llu notifications to endpoints deregistered before "
			  "were not delivered when the broker stopped "
			  "(drain_timeout)",
			  (unsigned long long)hooks->undelivered);
}

void hooks_stop(struct hooks *hooks)
{
	pool_stop(hooks->pool, hooks->settings->limits.drain_timeout_ms);
	report_undelivered(hooks);
	hook_sum_up(hooks, true);
}

static void forget_asked(struct hooks *hooks)
{
	for (int h = 0; h < HOOK_COUNT; h++) {
		hooks->of[h].asked = NULL;
		sodium_memzero(hooks->of[h].secret,
			       sizeof(hooks->of[h].secret));
	}
}

void hooks_destroy(struct hooks *hooks)
{
	if (!hooks)
		return;
	pool_destroy(hooks->pool);
	cache_destroy(hooks->cache);
	pending_destroy(hooks->pending);
	sequences_destroy(hooks->sequences);
	settings_unref(hooks->settings);
	settings_slot_clear(&hooks->slot);
	settings_source_destroy(hooks->source);
	sodium_memzero(hooks->secret, sizeof(hooks->secret));
	forget_asked(hooks);
	free(hooks);
}

/* ---- settings ---- */

struct settings *hooks_settings(struct hooks *hooks)
{
	return settings_slot_get(&hooks->slot);
}

int hooks_apply(struct hooks *hooks, const struct settings *old,
		struct settings *s)
{
	return settings_slot_swap(&hooks->slot, old, s, hook_configure_pool,
				  hooks);
}

/* What a webhook with these settings was told no longer counts. Another with
 * another password in its URL loses its entries, too. */
static void clear_entries(struct hooks *hooks, const struct webhook *webhook)
{
	const struct cache_group *group = &webhook->stats->cache;
	struct cache_filter filter = {
		.hook = group->hook,
		.endpoint = group->endpoint,
	};

	if (filter.hook) /* or it was never used */
		cache_clear(hooks->cache, &filter);
}

/* Entries of webhooks that have changed go, and of those that are no longer
 * there: their counters may be freed with the last settings that hold them.
 * What the log was still to hear of the latter is said. */
static void part_from_webhooks(struct hooks *hooks, const struct settings *s)
{
	const struct settings *old = hooks->settings;

	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < old->chained[h]; i++) {
			const struct webhook *was = &old->chain[h][i];
			const struct webhook *is;

			is = settings_find(s, h, was->endpoint);
			if (!is || is->stats != was->stats) {
				cache_drop_group(hooks->cache,
						 &was->stats->cache);
				hook_sum_up_webhook(hooks, was, true);
			} else if (!settings_same_webhook(was, is)) {
				clear_entries(hooks, was);
			}
		}
	}
}

__attribute__((cold)) static void take_up_new_settings(struct hooks *hooks)
{
	unsigned version = settings_slot_version(&hooks->slot);
	struct settings *s = settings_slot_get(&hooks->slot);
	struct cache_limits limits;

	part_from_webhooks(hooks, s);
	limits = cache_limits(s);
	cache_set_limits(hooks->cache, &limits);
	settings_unref(hooks->settings);
	hooks->settings = s;
	hooks->version = version;
	forget_asked(hooks);
	/* What was asked under the old ones is not kept. */
	cache_new_generation(hooks->cache);
}

__attribute__((hot)) static void take_up_settings(struct hooks *hooks)
{
	if (settings_slot_version(&hooks->slot) != hooks->version)
		take_up_new_settings(hooks);
}

/* Endpoints that only they had go with the last who works with them. */
static void forget_old_settings(struct hooks *hooks)
{
	settings_slot_sweep(&hooks->slot, hook_reduce_pool, hooks);
}

bool hooks_has(struct hooks *hooks, enum hook_id hook)
{
	return hooks->settings->chained[hook] > 0;
}

bool hooks_block(struct hooks *hooks, enum hook_id hook)
{
	return settings_block(hooks->settings, hook);
}

bool hooks_forward(struct hooks *hooks, enum hook_id hook)
{
	const struct settings *s = hooks->settings;

	for (size_t i = 0; i < s->chained[hook]; i++) {
		if (s->chain[hook][i].call.forward)
			return true;
	}
	return false;
}

const struct settings *hooks_settings_now(const struct hooks *hooks)
{
	return hooks->settings;
}

/* ---- the broker's rhythm ---- */

int64_t hooks_now_ms(const struct hooks *hooks)
{
	return hooks->ops->now_us(hooks->ops_ctx) / 1000;
}

/* The broker's thread is at it. */
static void be_seen(struct hooks *hooks)
{
	atomic_store_explicit(&hooks->seen_us,
			      hooks->ops->now_us(hooks->ops_ctx),
			      memory_order_relaxed);
}

void hooks_get_pulse(const struct hooks *hooks, struct hooks_pulse *ret)
{
	*ret = (struct hooks_pulse){
		.started_us = hooks->started_us,
		.seen_us = atomic_load_explicit(&hooks->seen_us,
						memory_order_relaxed),
		.ticked = atomic_load_explicit(&hooks->ticked,
					       memory_order_relaxed),
		.may_never_tick = hooks->ops->may_never_tick,
		.changes = settings_slot_version(&hooks->slot) - 1,
	};
}

int64_t hooks_unix_ms(const struct hooks *hooks)
{
	return hooks->ops->unix_ms(hooks->ops_ctx);
}

/* What need not be done at each tick: a busy broker has thousands a second. */
static void do_chores(struct hooks *hooks)
{
	int64_t now =
		atomic_load_explicit(&hooks->seen_us, memory_order_relaxed) /
		1000;

	if (now < hooks->chores_ms)
		return;
	hooks->chores_ms = now + CHORES_MS;
	hook_cache_sweep(hooks);
	hook_sum_up(hooks, false);
	hook_remind(hooks);
}

unsigned hooks_tick(struct hooks *hooks)
{
	unsigned open;

	be_seen(hooks);
	atomic_store_explicit(&hooks->ticked, true, memory_order_relaxed);
	take_up_settings(hooks);
	forget_old_settings(hooks);
	do_chores(hooks);
	hooks->ticking = true;
	open = pool_collect(hooks->pool);
	hooks->ticking = false;
	return open;
}

long hooks_disconnect(struct hooks *hooks,
		      const struct hooks_selection *selection)
{
	long n;

	if (!hooks->ticking)
		return -EAGAIN;
	hooks->ticking = false; /* in the callbacks that follow from it */
	n = (long)hooks->ops->disconnect(hooks->ops_ctx, selection->client_id,
					 selection->username);
	hooks->ticking = true;
	return n;
}

__attribute__((hot)) void hooks_refresh(struct hooks *hooks)
{
	if (!atomic_load_explicit(&hooks->ticked, memory_order_relaxed))
		be_seen(hooks);
	budget_begin(&hooks->budget);
	take_up_settings(hooks);
	forget_old_settings(hooks);
	/* A broker that delays no logins has no client that an answer could
	 * free, and may be one that never ticks: 2.0.11 with
	 * per_listener_settings. */
	if (!hooks->ops->delays_logins)
		pool_collect(hooks->pool);
}

void hooks_shut_down(struct hooks *hooks)
{
	budget_shut_down(&hooks->budget);
}

void hooks_know(struct hooks *hooks, const char *client_id)
{
	sequences_hold(hooks->sequences, client_id);
}

void hooks_unknow(struct hooks *hooks, const char *client_id)
{
	sequences_release(hooks->sequences, client_id);
}

/* ---- calls ---- */

int hook_send(struct hooks *hooks, const struct hook_message *message,
	      pool_done_fn *done, void *arg, struct pool_call **ret_call,
	      size_t *ret_len)
{
	const struct webhook *webhook = message->webhook;
	struct event ev = hook_event(webhook, message->ev);
	struct pool_endpoint_opts trial;
	struct hook_headers headers;
	struct pool_request req = {
		.kind = message->kind,
		.endpoint = webhook->target,
		.headers = headers.list,
		.timeout_ms = message->timeout_ms ? message->timeout_ms
						  : webhook->timeout_ms,
		.stream = webhook->hook,
		.retries = webhook->retries,
		.max_age_ms = webhook->max_event_age_ms,
	};
	int err;

	err = codec_encode(&ev, &webhook->codec, &req.body, &req.len);
	if (err)
		return err;
	err = hook_headers_write(hooks, message, req.body, req.len, &headers);
	if (err)
		goto out;
	req.headers_count = headers.count;
	if (message->kind == POOL_TELL) {
		req.lane = message->ev->client_id.data;
		req.lane_len = message->ev->client_id.len;
	}
	if (message->trial) {
		trial = hook_endpoint_opts(hooks->settings, webhook);
		req.trial = &trial;
	}
	*ret_len = req.len;
	err = pool_submit(hooks->pool, &req, done, arg, ret_call);
out:
	if (err) {
		sodium_memzero(req.body, req.len); /* with a password */
		free(req.body);
	}
	return err;
}

_Static_assert((int)HOOK_COUNT <= POOL_STREAMS, "a stream for each hook");

enum hook_outcome hook_outcome(const struct pool_reply *reply,
			       char reterr[static CODEC_ERROR_LEN])
{
	if (reply->error) {
		snprintf(reterr, CODEC_ERROR_LEN, "%s", reply->error_text);
		return OUTCOME_NONE;
	}
	if (reply->status == 200)
		return OUTCOME_ANSWER;
	snprintf(reterr, CODEC_ERROR_LEN,
		 "answered with status %ld instead of 200", reply->status);
	return reply->status == 429 || reply->status >= 500 ? OUTCOME_NONE
							    : OUTCOME_REFUSAL;
}

struct pool *hooks_pool(struct hooks *hooks)
{
	return hooks->pool;
}
