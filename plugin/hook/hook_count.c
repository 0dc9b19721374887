/*
 * hook_count.c - what is counted of calls: per webhook, which goes with its
 * settings, and per hook, which stays. One place for both, so that they agree.
 */
#include "plugin/hook/hook.h"

#include <errno.h>
#include <stdatomic.h>
#include "plugin/hook/hook_private.h"

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

enum webhook_end hook_end_of(const struct pool_reply *reply)
{
	char why[CODEC_ERROR_LEN];

	if (reply->error)
		return reply->error == -ETIMEDOUT ? END_TIMEOUT : END_FAILED;
	switch (hook_outcome(reply, why)) {
	case OUTCOME_ANSWER:
		return END_OK;
	case OUTCOME_REFUSAL:
		return END_REFUSED;
	default:
		return END_UNAVAILABLE;
	}
}

static void count_times(struct webhook_stats *stats,
			const struct pool_times *times)
{
	histogram_add(&stats->times[TIME_QUEUE], times->queue_us);
	if (times->connect_us)
		histogram_add(&stats->times[TIME_CONNECT], times->connect_us);
	if (times->first_byte_us)
		histogram_add(&stats->times[TIME_FIRST_BYTE],
			      times->first_byte_us);
	histogram_add(&stats->times[TIME_TOTAL], times->total_us);
}

void hook_count_call(struct hooks *hooks, const struct webhook *webhook,
		     const struct pool_reply *reply, enum webhook_end end,
		     size_t sent)
{
	struct hook_totals *totals = &hooks->totals[webhook->hook];
	struct webhook_stats *stats = webhook->stats;

	add(&stats->requests, 1);
	add(&stats->bytes_sent, sent);
	add(&stats->ends[end], 1);
	count_times(stats, &reply->times);
	add(&totals->requests, 1);
	add(&totals->bytes_sent, sent);
	add(&totals->elapsed_us, reply->times.total_us);
	if (end == END_TIMEOUT)
		add(&totals->timeouts, 1);
}

void hook_count_error(struct hooks *hooks, const struct webhook *webhook)
{
	add(&webhook->stats->errors, 1);
	add(&hooks->totals[webhook->hook].errors, 1);
}

void hook_count_cancelled(struct hooks *hooks, enum hook_id hook)
{
	add(&hooks->totals[hook].cancelled, 1);
}

const struct hook_totals *hooks_totals(const struct hooks *hooks,
				       enum hook_id hook)
{
	return &hooks->totals[hook];
}

/* ---- events ---- */

/* Nobody else writes these, and every publish comes here: neither the bus is
 * locked nor a clock read. */
__attribute__((hot)) void hook_see(struct hooks *hooks, enum hook_id hook)
{
	_Atomic uint64_t *events = &hooks->of[hook].events;

	atomic_store_explicit(
		events, atomic_load_explicit(events, memory_order_relaxed) + 1,
		memory_order_relaxed);
	atomic_store_explicit(
		&hooks->of[hook].last_us,
		atomic_load_explicit(&hooks->seen_us, memory_order_relaxed),
		memory_order_relaxed);
}

void hooks_get_seen(const struct hooks *hooks, enum hook_id hook,
		    struct hook_seen *ret)
{
	int64_t last_us;

	ret->events = atomic_load_explicit(&hooks->of[hook].events,
					   memory_order_relaxed);
	last_us = atomic_load_explicit(&hooks->of[hook].last_us,
				       memory_order_relaxed);
	ret->ago_ms = (hooks->ops->now_us(hooks->ops_ctx) - last_us) / 1000;
}

void hooks_explain(const struct hooks *hooks, const struct settings *s,
		   enum hook_id hook, broker_say_fn *say, void *arg)
{
	if (hooks->ops->explain)
		hooks->ops->explain(hooks->ops_ctx, s, hook, say, arg);
	else if (!s->chained[hook])
		say(arg, REMARK_NEVER, "no endpoint");
}
