/*
 * hook_endpoints.c - from settings to the endpoints of the pool.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook/hook_private.h"

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

struct pool_endpoint_opts hook_endpoint_opts(const struct settings *s,
					     const struct webhook *webhook)
{
	const struct settings_limits *l = &s->limits;

	return (struct pool_endpoint_opts){
		.name = webhook->target,
		.url = webhook->endpoint,
		.transport = webhook->transport->way,
		.max_connections = l->pool_max_connections,
		.idle_ms = l->pool_timeout_ms,
		.max_queue = l->max_queue,
		.max_queue_bytes = l->max_queue_bytes,
		.max_reply = webhook->transport->max_reply,
		.breaker_failures = l->breaker_failures,
		.breaker_open_ms = l->breaker_open_ms,
		/* no call is waited for any longer */
		.prompt_ms =
			least(l->blocking_timeout_ms, l->blocking_budget_ms),
	};
}

/* A webhook's use of an endpoint. Of several the lower rank counts. */
struct use {
	const struct settings *settings;
	const struct webhook *webhook;
	size_t rank;
};

static int by_name_and_rank(const void *a, const void *b)
{
	const struct use *left = a, *right = b;
	int order = strcmp(left->webhook->target, right->webhook->target);

	return order ? order
		     : (left->rank > right->rank) - (left->rank < right->rank);
}

static void list_uses(const struct settings *const *live, size_t n,
		      struct use *ret)
{
	size_t count = 0;

	for (size_t k = 0; k < n; k++) {
		const struct settings *s = live[k];

		for (int h = 0; h < HOOK_COUNT; h++) {
			for (size_t i = 0; i < s->chained[h]; i++, count++)
				ret[count] = (struct use){ s, &s->chain[h][i],
							   count };
		}
	}
}

/* Their distinct endpoints, at least one place for them. Returns an array to
 * free(), or NULL. */
static struct pool_endpoint_opts *list_endpoints(
	const struct settings *const *live, size_t n, size_t *ret_n)
{
	struct pool_endpoint_opts *eps;
	size_t total = 0, count = 0;
	struct use *uses;

	for (size_t i = 0; i < n; i++)
		total += live[i]->webhooks;
	eps = calloc(total + 1, sizeof(*eps));
	uses = calloc(total + 1, sizeof(*uses));
	if (!eps || !uses)
		goto fail;
	list_uses(live, n, uses);
	qsort(uses, total, sizeof(*uses), by_name_and_rank);
	for (size_t i = 0; i < total; i++) {
		const struct webhook *webhook = uses[i].webhook;

		if (!count || strcmp(eps[count - 1].name, webhook->target) != 0)
			eps[count++] =
				hook_endpoint_opts(uses[i].settings, webhook);
	}
	free(uses);
	*ret_n = count;
	return eps;
fail:
	free(uses);
	free(eps);
	return NULL;
}

int hook_configure_pool(const struct settings *const *live, size_t n, void *arg)
{
	struct hooks *hooks = arg;
	struct pool_endpoint_opts *eps;
	size_t count;
	int err;

	eps = list_endpoints(live, n, &count);
	if (!eps)
		return -ENOMEM;
	err = pool_configure(hooks->pool, eps, count);
	if (!err)
		hooks->endpoints = count;
	free(eps);
	return err;
}

int hook_reduce_pool(const struct settings *const *live, size_t n, void *arg)
{
	struct hooks *hooks = arg;
	struct pool_endpoint_opts *eps;
	size_t count;

	eps = list_endpoints(live, n, &count);
	if (!eps)
		return -ENOMEM;
	free(eps);
	return count == hooks->endpoints ? 0
					 : hook_configure_pool(live, n, arg);
}
