#include "plugin/hook.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cache/cache.h"
#include "plugin/hook_private.h"
#include "plugin/hook_table.h"
#include "plugin/pending.h"

/* Until they are settings (issues 4 to 7): ceilings that hold a flood. */
enum {
	MAX_REPLY = 1024 * 1024,
	MAX_QUEUE = 10000,
	MAX_PENDING = 65536,
	SWEEP_PER_TICK = 256,
	LOG_INTERVAL_MS = 10000,
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

static int make_parts(struct hooks *hooks, struct settings *s)
{
	struct cache_opts cache = { SETTINGS_CACHE_BYTES, retain, release };
	int err;

	randombytes_buf(hooks->secret, sizeof(hooks->secret));
	err = cache_create(&hooks->cache, &cache);
	if (!err)
		err = pending_create(&hooks->pending, MAX_PENDING);
	if (!err)
		err = pool_create(&hooks->pool, hooks->ops->wake,
				  hooks->ops_ctx);
	if (!err)
		err = settings_slot_init(&hooks->slot, s);
	return err;
}

/* pool_configure() with the distinct endpoints of all chains. */
static int configure_pool(const struct settings *s, void *arg)
{
	struct hooks *hooks = arg;
	struct pool_endpoint_opts *eps;
	size_t total = 0, n = 0;
	int err;

	for (int h = 0; h < HOOK_COUNT; h++)
		total += s->chained[h];
	eps = calloc(total + 1, sizeof(*eps));
	if (!eps)
		return -ENOMEM;
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++) {
			const char *url = s->chain[h][i].endpoint;
			size_t k = 0;

			while (k < n && strcmp(eps[k].url, url) != 0)
				k++;
			if (k < n)
				continue;
			eps[n++] = (struct pool_endpoint_opts){
				.url = url,
				.max_connections = s->pool_max_connections,
				.idle_ms = s->pool_timeout_ms,
				.max_queue = MAX_QUEUE,
				.max_reply = MAX_REPLY,
			};
		}
	}
	err = pool_configure(hooks->pool, eps, n);
	free(eps);
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
	err = make_parts(hooks, s);
	if (err)
		goto out;
	hooks->settings = settings_ref(s);
	hooks->version = settings_slot_version(&hooks->slot);
	err = configure_pool(s, hooks);
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

void hooks_stop(struct hooks *hooks)
{
	pool_stop(hooks->pool);
}

void hooks_destroy(struct hooks *hooks)
{
	if (!hooks)
		return;
	pool_destroy(hooks->pool);
	cache_destroy(hooks->cache);
	pending_destroy(hooks->pending);
	settings_unref(hooks->settings);
	settings_slot_clear(&hooks->slot);
	sodium_memzero(hooks->secret, sizeof(hooks->secret));
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
	return settings_slot_swap(&hooks->slot, old, s, configure_pool, hooks);
}

/* Entries of webhooks that are no longer there go: their counters may be
 * freed with the last settings that hold them. */
static void drop_stale_entries(struct hooks *hooks, const struct settings *s)
{
	const struct settings *old = hooks->settings;

	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < old->chained[h]; i++) {
			const struct webhook *was = &old->chain[h][i];
			const struct webhook *is;

			is = settings_find(s, h, was->endpoint);
			if (!is || is->stats != was->stats)
				cache_drop_group(hooks->cache,
						 &was->stats->cache);
		}
	}
}

static void take_up_settings(struct hooks *hooks)
{
	unsigned version = settings_slot_version(&hooks->slot);
	struct settings *s;

	if (version == hooks->version)
		return;
	s = settings_slot_get(&hooks->slot);
	drop_stale_entries(hooks, s);
	settings_unref(hooks->settings);
	hooks->settings = s;
	hooks->version = version;
	hooks->generation++;
}

bool hooks_has(struct hooks *hooks, enum hook_id hook)
{
	return hooks->settings->chained[hook] > 0;
}

bool hooks_block(struct hooks *hooks, enum hook_id hook)
{
	const struct settings *s = hooks->settings;

	for (size_t i = 0; i < s->chained[hook]; i++) {
		if (s->chain[hook][i].blocking)
			return true;
	}
	return false;
}

const struct settings *hooks_settings_now(const struct hooks *hooks)
{
	return hooks->settings;
}

/* ---- the broker's rhythm ---- */

unsigned hooks_tick(struct hooks *hooks)
{
	take_up_settings(hooks);
	cache_sweep(hooks->cache, SWEEP_PER_TICK,
		    hooks->ops->now_ms(hooks->ops_ctx));
	return pool_collect(hooks->pool);
}

void hooks_refresh(struct hooks *hooks)
{
	take_up_settings(hooks);
	/* A broker that delays no logins has no client that an answer could
	 * free, and may be one that never ticks: 2.0.11 with
	 * per_listener_settings. */
	if (!hooks->ops->delays_logins)
		pool_collect(hooks->pool);
}

/* ---- calls ---- */

int hook_send(struct hooks *hooks, const struct webhook *webhook,
	      const struct event *ev, bool in_lane, pool_done_fn *done,
	      void *arg, struct pool_call **ret_call, size_t *ret_len)
{
	struct pool_request req = {
		.endpoint = webhook->endpoint,
		.hook = hook_table[webhook->hook].name,
		.timeout_ms = webhook->timeout_ms,
	};
	int err;

	err = codec_encode(ev, &webhook->codec, &req.body, &req.len);
	if (err)
		return err;
	if (in_lane) {
		req.lane = ev->client_id.data;
		req.lane_len = ev->client_id.len;
	}
	*ret_len = req.len;
	err = pool_submit(hooks->pool, &req, done, arg, ret_call);
	if (err) {
		sodium_memzero(req.body, req.len); /* with a password */
		free(req.body);
	}
	return err;
}

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

/* ---- log ---- */

void hooks_log(struct hooks *hooks, int level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	hooks->ops->log(hooks->ops_ctx, level, line);
}

void hook_failed(struct hooks *hooks, const struct webhook *webhook,
		 const char *what)
{
	struct webhook_stats *stats = webhook->stats;
	int64_t now = hooks->ops->now_ms(hooks->ops_ctx);

	atomic_fetch_add_explicit(&stats->errors, 1, memory_order_relaxed);
	if (stats->logged_ms && now - stats->logged_ms < LOG_INTERVAL_MS) {
		stats->unlogged++;
		return;
	}
	if (stats->unlogged)
		hooks_log(hooks, LOG_LEVEL_ERR,
			  "%s: endpoint %s: %s (and %llu more failures since "
			  "the last such line)",
			  hook_table[webhook->hook].name, webhook->shown, what,
			  (unsigned long long)stats->unlogged);
	else
		hooks_log(hooks, LOG_LEVEL_ERR, "%s: endpoint %s: %s",
			  hook_table[webhook->hook].name, webhook->shown, what);
	stats->logged_ms = now;
	stats->unlogged = 0;
}

size_t hooks_cache_clear(struct hooks *hooks)
{
	hooks->generation++;
	return cache_clear(hooks->cache);
}

struct pool *hooks_pool(struct hooks *hooks)
{
	return hooks->pool;
}
