#include "plugin/settings/settings.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/broker.h"
#include "plugin/redact.h"
#include "plugin/settings/settings_private.h"
#include "plugin/settings/settings_register.h"
#include "pool/pool.h"

/* ---- counters ---- */

_Static_assert(sizeof(struct webhook_stats) <= 4096, "a page per webhook");

static struct webhook_stats *stats_ref(struct webhook_stats *stats)
{
	if (!stats)
		stats = calloc(1, sizeof(*stats));
	if (stats)
		atomic_fetch_add_explicit(&stats->refs, 1,
					  memory_order_relaxed);
	return stats;
}

static void stats_unref(struct webhook_stats *stats)
{
	if (stats && atomic_fetch_sub_explicit(&stats->refs, 1,
					       memory_order_acq_rel) == 1)
		free(stats);
}

void settings_share_stats(struct webhook *webhook, struct webhook_stats *stats)
{
	stats_ref(stats);
	stats_unref(webhook->stats);
	webhook->stats = stats;
}

/* ---- in the making ---- */

struct settings *settings_new(void)
{
	struct settings *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	s->enabled = true;
	s->log_level = LOG_LEVEL_INFO;
	transport_keys_init(&s->transport_keys);
	s->limits = (struct settings_limits){
		.pool_max_connections = SETTINGS_CONNECTIONS_DEFAULT,
		.pool_timeout_ms = SETTINGS_POOL_TIMEOUT_DEFAULT_MS,
		.blocking_timeout_ms = SETTINGS_BLOCKING_DEFAULT_MS,
		.blocking_budget_ms = SETTINGS_BUDGET_DEFAULT_MS,
		.breaker_failures = SETTINGS_BREAKER_DEFAULT,
		.breaker_open_ms = SETTINGS_BREAKER_OPEN_DEFAULT_MS,
		.max_queue = SETTINGS_QUEUE_DEFAULT,
		.max_queue_bytes = SETTINGS_QUEUE_BYTES_DEFAULT,
		.retries = SETTINGS_RETRIES_DEFAULT,
		.max_event_age_ms = SETTINGS_AGE_DEFAULT_MS,
		.drain_timeout_ms = SETTINGS_DRAIN_DEFAULT_MS,
		.cache_max_bytes = SETTINGS_CACHE_BYTES,
		.log_interval_ms = SETTINGS_LOG_INTERVAL_DEFAULT_MS,
	};
	return s;
}

static void webhook_clear(struct webhook *webhook)
{
	free(webhook->name);
	free(webhook->endpoint);
	free(webhook->shown);
	free(webhook->logged);
	credentials_unref(webhook->call.credentials);
	free(webhook->target);
	free(webhook->options);
	transport_settings_unref(webhook->transport);
	registration_unref(webhook->registration);
	stats_unref(webhook->stats);
}

int settings_append(struct settings *s, const struct webhook *webhook,
		    struct webhook_stats *stats)
{
	struct webhook copy = *webhook, *chain = s->chain[webhook->hook];
	size_t n = s->chained[webhook->hook];

	chain = realloc(chain, (n + 1) * sizeof(*chain));
	if (!chain)
		return -ENOMEM;
	s->chain[webhook->hook] = chain;
	copy.name = webhook->name ? strdup(webhook->name) : NULL;
	copy.endpoint = strdup(webhook->endpoint);
	copy.shown = redact_url(webhook->endpoint);
	copy.logged = redact_url_and_query(webhook->endpoint);
	copy.call.credentials = credentials_ref(webhook->call.credentials);
	copy.transport = transport_settings_ref(webhook->transport);
	copy.target =
		transport_settings_name(webhook->transport, webhook->endpoint);
	copy.options = strdup(webhook->options ? webhook->options : "");
	copy.registration = registration_ref(webhook->registration);
	copy.stats = stats_ref(stats);
	if ((webhook->name && !copy.name) || !copy.endpoint || !copy.shown ||
	    !copy.logged || !copy.target || !copy.options || !copy.stats) {
		webhook_clear(&copy);
		return -ENOMEM;
	}
	chain[n] = copy;
	s->chained[webhook->hook] = n + 1;
	s->webhooks++;
	return 0;
}

int settings_mount(struct settings *s, unsigned port, const char *mountpoint)
{
	struct listener_mount *mounts;
	char *copy = strdup(mountpoint);

	mounts = realloc(s->mounts, (s->mounts_count + 1) * sizeof(*mounts));
	if (mounts)
		s->mounts = mounts;
	if (!mounts || !copy) {
		free(copy);
		return -ENOMEM;
	}
	mounts[s->mounts_count++] = (struct listener_mount){ port, copy };
	return 0;
}

const char *settings_mountpoint(const struct settings *s, unsigned port)
{
	for (size_t i = 0; port != 0 && i < s->mounts_count; i++)
		if (s->mounts[i].port == port)
			return s->mounts[i].mountpoint;
	return s->mountpoint ? s->mountpoint : "";
}

/* What is no webhook's. */
static int copy_globals(const struct settings *s, struct settings *copy)
{
	copy->enabled = s->enabled;
	copy->limits = s->limits;
	copy->admin_socket_given = s->admin_socket_given;
	copy->default_policy = s->default_policy;
	copy->read_checks = s->read_checks;
	copy->publish_denied = s->publish_denied;
	copy->log_level = s->log_level;
	copy->call = s->call;
	credentials_ref(copy->call.credentials);
	copy->transport = transport_settings_ref(s->transport);
	copy->persist = s->persist;
	copy->persist_file = strdup(s->persist_file);
	copy->admin_socket = strdup(s->admin_socket);
	copy->mountpoint = s->mountpoint ? strdup(s->mountpoint) : NULL;
	copy->metrics_listen =
		s->metrics_listen ? strdup(s->metrics_listen) : NULL;
	if (!copy->persist_file || !copy->admin_socket ||
	    (s->mountpoint && !copy->mountpoint) ||
	    (s->metrics_listen && !copy->metrics_listen) ||
	    settings_users_copy(&copy->admin_users, &s->admin_users) != 0 ||
	    transport_keys_copy(&s->transport_keys, &copy->transport_keys) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->mounts_count; i++) {
		int err = settings_mount(copy, s->mounts[i].port,
					 s->mounts[i].mountpoint);

		if (err)
			return err;
	}
	return 0;
}

/* A copy of `s` but for the webhook `without`, which may be NULL. */
static int copy_without(const struct settings *s, const struct webhook *without,
			struct settings **ret)
{
	struct settings *copy = settings_new();
	int err;

	if (!copy)
		return -ENOMEM;
	err = copy_globals(s, copy);
	if (err)
		goto out;
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++) {
			const struct webhook *w = &s->chain[h][i];

			if (w == without)
				continue;
			err = settings_append(copy, w, w->stats);
			if (err)
				goto out;
		}
	}
out:
	if (err)
		settings_unref(copy);
	else
		*ret = copy;
	return err;
}

int settings_copy(const struct settings *s, struct settings **ret)
{
	return copy_without(s, NULL, ret);
}

/* ---- values ---- */

const struct webhook *settings_find(const struct settings *s, enum hook_id hook,
				    const char *endpoint)
{
	for (size_t i = 0; i < s->chained[hook]; i++)
		if (strcmp(s->chain[hook][i].endpoint, endpoint) == 0)
			return &s->chain[hook][i];
	return NULL;
}

int settings_without(const struct settings *s, enum hook_id hook,
		     const char *endpoint, struct settings **ret)
{
	const struct webhook *webhook = settings_find(s, hook, endpoint);

	if (!webhook)
		return -ENOENT;
	return copy_without(s, webhook, ret);
}

bool settings_block(const struct settings *s, enum hook_id hook)
{
	for (size_t i = 0; i < s->chained[hook]; i++) {
		if (s->chain[hook][i].blocking)
			return true;
	}
	return false;
}

struct settings *settings_ref(struct settings *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void settings_unref(struct settings *s)
{
	if (!s ||
	    atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++)
			webhook_clear(&s->chain[h][i]);
		free(s->chain[h]);
	}
	for (size_t i = 0; i < s->mounts_count; i++)
		free(s->mounts[i].mountpoint);
	free(s->mounts);
	free(s->mountpoint);
	free(s->persist_file);
	free(s->admin_socket);
	settings_users_clear(&s->admin_users);
	free(s->metrics_listen);
	credentials_unref(s->call.credentials);
	transport_keys_clear(&s->transport_keys);
	transport_settings_unref(s->transport);
	free(s);
}
