#include "plugin/admin/metrics.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"
#include "pool/histogram.h"
#include "pool/pool.h"

#ifndef VMQ_WEBHOOKS_VERSION
#define VMQ_WEBHOOKS_VERSION "0.1"
#endif

#define LABELS_MAX 48 /* beside the URL */

/* A webhook with its counters; or an endpoint, whose numbers are a copy. */
struct row {
	char *labels;
	bool cacheable;
	struct webhook_stats *stats;
	struct pool_endpoint_stats pool;
};

struct rows {
	size_t n;
	struct row *at; /* by labels, ascending */
};

/* ---- the tables ---- */

struct family {
	const char *name, *type, *help;
	size_t offset, size;
	const char *label; /* one more, or NULL */
	enum metrics_unit unit;
	bool cache; /* only of hooks whose answers may be kept */
};

#define OF(member)                                                             \
	offsetof(struct webhook_stats, member),                                \
		sizeof(((struct webhook_stats *)0)->member)
#define CALLS(end, outcome)                                                    \
	{                                                                      \
		"vmq_webhooks_calls_total", "counter",                         \
			"Calls by how they ended", OF(ends[end]),              \
			"outcome=\"" outcome "\"", METRICS_NUMBER, false       \
	}
#define COUNT(name, member, help)                                              \
	{                                                                      \
		"vmq_webhooks_" name, "counter", help, OF(member), NULL,       \
			METRICS_NUMBER, false                                  \
	}
#define LOST(member, reason)                                                   \
	{                                                                      \
		"vmq_webhooks_notifications_lost_total", "counter",            \
			"Notifications that the endpoint did not get",         \
			OF(member), "reason=\"" reason "\"", METRICS_NUMBER,   \
			false                                                  \
	}
#define CACHE(name, type, member, help)                                        \
	{                                                                      \
		"vmq_webhooks_cache_" name, type, help, OF(cache.member),      \
			NULL, METRICS_NUMBER, true                             \
	}

static const struct family of_webhooks[] = {
	CALLS(END_OK, "ok"),
	CALLS(END_NEXT, "next"),
	CALLS(END_DENIED, "denied"),
	CALLS(END_REFUSED, "refused"),
	CALLS(END_UNAVAILABLE, "unavailable"),
	CALLS(END_FAILED, "failed"),
	CALLS(END_TIMEOUT, "timeout"),
	COUNT("sent_bytes_total", bytes_sent, "Bytes of the bodies of calls"),
	COUNT("unasked_total", unasked,
	      "Questions not put to the endpoint: its breaker was open, it was "
	      "paused, or the broker had stood still for long enough"),
	COUNT("given_up_total", given_up,
	      "Calls that the broker waited for no longer"),
	COUNT("allowed_on_error_total", allowed_on_error,
	      "Questions allowed without an answer (on_error = allow)"),
	LOST(dropped, "dropped"),
	LOST(expired, "expired"),
	LOST(undelivered, "undelivered"),
	COUNT("broker_held_calls_total", held_calls,
	      "Calls that the broker stood still for"),
	{ "vmq_webhooks_broker_held_seconds_total", "counter",
	  "How long the broker stood still for calls", OF(held_us), NULL,
	  METRICS_MICROSECONDS, false },
	CACHE("entries", "gauge", entries, "Answers kept, refusals included"),
	CACHE("bytes", "gauge", bytes, "Bytes of the answers kept"),
	CACHE("refusals", "gauge", refusals, "Refusals among the entries"),
	CACHE("hits_total", "counter", hits, "Look-ups that found an answer"),
	CACHE("misses_total", "counter", misses, "Look-ups that found none"),
	CACHE("refusal_hits_total", "counter", refusal_hits,
	      "Hits that were refusals"),
	CACHE("stale_hits_total", "counter", stale,
	      "Hits past their life, while the answer was refreshed"),
	CACHE("stale_if_error_total", "counter", stale_if_error,
	      "Kept answers that served because the endpoint failed"),
	CACHE("stores_total", "counter", stores, "Answers that were kept"),
	CACHE("rejected_total", "counter", rejected,
	      "Answers not kept for want of room or memory"),
	CACHE("late_total", "counter", late,
	      "Answers not kept because something was cleared meanwhile"),
	CACHE("evicted_total", "counter", evicted,
	      "Entries that made room for others"),
	CACHE("refusals_evicted_total", "counter", refusals_evicted,
	      "Refusals among the evicted"),
	CACHE("expired_total", "counter", expired,
	      "Entries that ended by time"),
};

static const struct {
	const char *name, *help;
} of_times[TIMES] = {
	[TIME_QUEUE] = { "vmq_webhooks_queue_seconds",
			 "How long calls waited to be sent" },
	[TIME_CONNECT] = { "vmq_webhooks_connect_seconds",
			   "How long calls without a connection took for one" },
	[TIME_FIRST_BYTE] = { "vmq_webhooks_first_byte_seconds",
			      "How long the endpoint took to begin its reply" },
	[TIME_TOTAL] = { "vmq_webhooks_call_seconds",
			 "How long calls took from beginning to end" },
};

#define POOL(name, type, member, help)                                         \
	{                                                                      \
		"vmq_webhooks_endpoint_" name, type, help,                     \
			offsetof(struct pool_endpoint_stats, member),          \
			sizeof(((struct pool_endpoint_stats *)0)->member),     \
			NULL, METRICS_NUMBER, false                            \
	}

static const struct family of_endpoints[] = {
	POOL("requests_total", "counter", sent,
	     "HTTP requests sent, each attempt"),
	POOL("retries_total", "counter", retries,
	     "Requests that were sent again after a failure"),
	POOL("reused_connections_total", "counter", reused_connection,
	     "Calls replied to on a connection that was there"),
	POOL("queue_full_total", "counter", refused,
	     "Calls refused because the queue was full"),
	POOL("breaker_refused_total", "counter", broken,
	     "Calls refused because the circuit breaker was open"),
	POOL("breaker_opened_total", "counter", opened,
	     "How often the circuit breaker has opened"),
	POOL("breaker_open", "gauge", open,
	     "Whether the circuit breaker is open"),
	POOL("breaker_open_for_waiting", "gauge", open_for_holding,
	     "Whether it is open for calls that the broker would wait for"),
	POOL("paused", "gauge", paused, "Whether it is paused"),
	POOL("in_flight_calls", "gauge", in_flight, "Calls under way"),
	POOL("queued_calls", "gauge", queued, "Calls that wait to be sent"),
	POOL("queued_bytes", "gauge", queued_bytes,
	     "Bytes of the bodies of calls that wait"),
	POOL("connections", "gauge", connections,
	     "Connections that are open or being opened"),
};

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* ---- rows ---- */

/* A label's value: a URL has no line ends; what is no ASCII is escaped as it
 * may be in any URL, so that the text is UTF-8 whatever it was. */
static char *escape(char *to, const char *url)
{
	static const char hex[] = "0123456789ABCDEF";

	for (const char *from = url; *from; from++) {
		unsigned char c = (unsigned char)*from;

		if (c >= 0x7f || c < ' ') {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
			continue;
		}
		if (c == '"' || c == '\\')
			*to++ = '\\';
		*to++ = *from;
	}
	return to;
}

/* To free(), or NULL. */
static char *make_labels(const char *hook, const char *url)
{
	size_t size = LABELS_MAX + 3 * strlen(url) + (hook ? strlen(hook) : 0);
	char *labels = malloc(size), *to = labels;

	if (!labels)
		return NULL;
	to += snprintf(to, size, hook ? "hook=\"%s\",endpoint=\"" : "%s",
		       hook ? hook : "endpoint=\"");
	to = escape(to, url);
	*to++ = '"';
	*to = '\0';
	return labels;
}

static int by_labels(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	return strcmp(left->labels, right->labels);
}

static void rows_free(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		free(rows->at[i].labels);
	free(rows->at);
}

static int rows_init(struct rows *rows, const struct settings *s)
{
	*rows = (struct rows){ .at = calloc(s->webhooks + 1,
					    sizeof(*rows->at)) };
	return rows->at ? 0 : -ENOMEM;
}

static int webhook_rows(const struct settings *s, struct rows *rows)
{
	int err = rows_init(rows, s);

	for (int h = 0; h < HOOK_COUNT && !err; h++) {
		for (size_t i = 0; i < s->chained[h] && !err; i++) {
			const struct webhook *webhook = &s->chain[h][i];
			struct row *row = &rows->at[rows->n];

			row->labels = make_labels(hook_table[h].name,
						  webhook->logged);
			row->cacheable = hook_table[h].cacheable;
			row->stats = webhook->stats;
			if (row->labels)
				rows->n++;
			else
				err = -ENOMEM;
		}
	}
	if (!err)
		qsort(rows->at, rows->n, sizeof(*rows->at), by_labels);
	return err;
}

struct targeted {
	const struct webhook *webhook;
};

static int by_target(const void *a, const void *b)
{
	const struct targeted *left = a, *right = b;

	return strcmp(left->webhook->target, right->webhook->target);
}

/* Every webhook, by target. Returns an array to free(), or NULL. */
static struct targeted *sort_by_target(const struct settings *s)
{
	struct targeted *list = calloc(s->webhooks + 1, sizeof(*list));
	size_t n = 0;

	for (int h = 0; list && h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++)
			list[n++].webhook = &s->chain[h][i];
	}
	if (list)
		qsort(list, n, sizeof(*list), by_target);
	return list;
}

/* One that the dispatcher has not come to yet has no row. */
static int endpoint_rows(struct hooks *hooks, const struct settings *s,
			 struct rows *rows)
{
	struct targeted *list = sort_by_target(s);
	int err = rows_init(rows, s);

	if (!list)
		err = -ENOMEM;
	for (size_t i = 0; i < s->webhooks && !err; i++) {
		const struct webhook *webhook = list[i].webhook;
		struct row *row = &rows->at[rows->n];

		if (i && by_target(&list[i - 1], &list[i]) == 0)
			continue;
		if (pool_get_stats(hooks_pool(hooks), webhook->target,
				   &row->pool) != 0)
			continue;
		row->labels = make_labels(NULL, webhook->logged);
		if (row->labels)
			rows->n++;
		else
			err = -ENOMEM;
	}
	free(list);
	if (!err)
		qsort(rows->at, rows->n, sizeof(*rows->at), by_labels);
	return err;
}

/* Whether the next row is told together with this one. */
static bool goes_on(const struct rows *rows, size_t i)
{
	return i + 1 < rows->n &&
	       by_labels(&rows->at[i], &rows->at[i + 1]) == 0;
}

/* ---- families ---- */

static uint64_t of_webhook(const struct row *row, const struct family *f)
{
	const _Atomic uint64_t *counter;

	counter = (const void *)((const char *)row->stats + f->offset);
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t of_endpoint(const struct row *row, const struct family *f)
{
	const char *at = (const char *)&row->pool + f->offset;
	uint64_t wide;
	uint32_t narrow;
	bool truth;

	switch (f->size) {
	case sizeof(wide):
		memcpy(&wide, at, sizeof(wide));
		return wide;
	case sizeof(narrow):
		memcpy(&narrow, at, sizeof(narrow));
		return narrow;
	default:
		memcpy(&truth, at, sizeof(truth));
		return truth;
	}
}

typedef uint64_t read_fn(const struct row *row, const struct family *f);

static void tell(const struct metrics_sink *sink, const struct family *f,
		 const char *labels, uint64_t value)
{
	char *all = NULL;

	if (!f->label) {
		sink->value(sink->arg, labels, value, f->unit);
		return;
	}
	if (asprintf(&all, "%s,%s", labels, f->label) >= 0)
		sink->value(sink->arg, all, value, f->unit);
	free(all);
}

/* Families of one name follow one another. */
static void walk_families(const struct metrics_sink *sink,
			  const struct family *list, size_t n, read_fn *read,
			  const struct rows *rows)
{
	for (size_t k = 0; k < n; k++) {
		const struct family *f = &list[k];
		uint64_t sum = 0;

		if (!k || strcmp(list[k - 1].name, f->name) != 0)
			sink->begin(sink->arg, f->name, f->type, f->help);
		for (size_t i = 0; i < rows->n; i++) {
			if (f->cache && !rows->at[i].cacheable)
				continue;
			sum += read(&rows->at[i], f);
			if (goes_on(rows, i))
				continue;
			tell(sink, f, rows->at[i].labels, sum);
			sum = 0;
		}
	}
}

static void walk_times(const struct metrics_sink *sink, const struct rows *rows)
{
	for (int t = 0; t < TIMES; t++) {
		struct histogram_values values = { .count = 0 };

		sink->begin(sink->arg, of_times[t].name, "histogram",
			    of_times[t].help);
		for (size_t i = 0; i < rows->n; i++) {
			histogram_read(&rows->at[i].stats->times[t], &values);
			if (goes_on(rows, i))
				continue;
			sink->histogram(sink->arg, rows->at[i].labels, &values);
			memset(&values, 0, sizeof(values));
		}
	}
}

/* ---- VerneMQ's ---- */

/* It has them, and never counts. */
static const char *const idle_hooks[] = {
	"on_message_drop",
	"on_topic_unsubscribed",
	"on_config_change",
};

static const struct vernemqs {
	const char *name;
	const char *help[2]; /* before and after the hook's name */
	size_t offset;
	bool milliseconds, logins; /* only of auth_on_register */
} vernemqs[] = {
	{ "requests",
	  { "Number of requests to", "webhooks" },
	  offsetof(struct hook_totals, requests),
	  false,
	  false },
	{ "errors",
	  { "Number of errors calling", "webhooks" },
	  offsetof(struct hook_totals, errors),
	  false,
	  false },
	{ "bytes_sent",
	  { "Number of bytes sent to", "webhooks" },
	  offsetof(struct hook_totals, bytes_sent),
	  false,
	  false },
	{ "cancelled",
	  { "Number of", "webhook requests cancelled due to client close" },
	  offsetof(struct hook_totals, cancelled),
	  false,
	  true },
	{ "timeouts",
	  { "Number of", "webhook requests that timed out" },
	  offsetof(struct hook_totals, timeouts),
	  false,
	  true },
	{ "elapsed_ms",
	  { "Total elapsed milliseconds spent in", "webhook requests" },
	  offsetof(struct hook_totals, elapsed_us),
	  true,
	  true },
};

static void tell_vernemqs(const struct metrics_sink *sink,
			  const struct vernemqs *v, const char *hook,
			  uint64_t value)
{
	char name[96], help[128];

	snprintf(name, sizeof(name), "webhooks_%s_%s", hook, v->name);
	snprintf(help, sizeof(help), "%s %s %s", v->help[0], hook, v->help[1]);
	sink->begin(sink->arg, name, "counter", help);
	sink->value(sink->arg, "", value, METRICS_NUMBER);
}

static void walk_vernemqs(struct hooks *hooks, const struct metrics_sink *sink)
{
	for (size_t k = 0; k < LEN(vernemqs); k++) {
		const struct vernemqs *v = &vernemqs[k];

		for (int h = 0; h < HOOK_COUNT; h++) {
			const _Atomic uint64_t *counter;
			uint64_t value;

			if (v->logins && h != HOOK_AUTH_ON_REGISTER &&
			    h != HOOK_AUTH_ON_REGISTER_M5)
				continue;
			counter = (const void *)((const char *)hooks_totals(
							 hooks, h) +
						 v->offset);
			value = atomic_load_explicit(counter,
						     memory_order_relaxed);
			tell_vernemqs(sink, v, hook_table[h].name,
				      v->milliseconds ? value / 1000 : value);
		}
		for (size_t i = 0; !v->logins && i < LEN(idle_hooks); i++)
			tell_vernemqs(sink, v, idle_hooks[i], 0);
	}
}

/* ---- the plugin ---- */

static void one(const struct metrics_sink *sink, const char *name,
		const char *type, const char *help, uint64_t value,
		enum metrics_unit unit)
{
	sink->begin(sink->arg, name, type, help);
	sink->value(sink->arg, "", value, unit);
}

static uint64_t since(int64_t then_us, int64_t now_us)
{
	return now_us > then_us ? (uint64_t)(now_us - then_us) : 0;
}

static void walk_plugin(struct hooks *hooks, const struct settings *s,
			const struct metrics_sink *sink)
{
	int64_t now = pool_now_us();
	struct hooks_pulse pulse;

	hooks_get_pulse(hooks, &pulse);
	sink->begin(sink->arg, "vmq_webhooks_build_info", "gauge",
		    "The version, as a label");
	sink->value(sink->arg, "version=\"" VMQ_WEBHOOKS_VERSION "\"", 1,
		    METRICS_NUMBER);
	one(sink, "vmq_webhooks_uptime_seconds", "gauge",
	    "Since the plugin was loaded", since(pulse.started_us, now),
	    METRICS_MICROSECONDS);
	one(sink, "vmq_webhooks_broker_idle_seconds", "gauge",
	    "Since the broker's thread was last seen",
	    since(pulse.seen_us, now), METRICS_MICROSECONDS);
	one(sink, "vmq_webhooks_webhooks", "gauge",
	    "Webhooks that are registered", s->webhooks, METRICS_NUMBER);
	one(sink, "vmq_webhooks_settings_changes_total", "counter",
	    "How often other settings came into force", pulse.changes,
	    METRICS_NUMBER);
}

int metrics_walk(struct hooks *hooks, const struct metrics_sink *sink)
{
	struct settings *s = hooks_settings(hooks);
	struct rows webhooks = { 0 }, endpoints = { 0 };
	int err = webhook_rows(s, &webhooks);

	if (!err)
		err = endpoint_rows(hooks, s, &endpoints);
	if (!err) {
		walk_vernemqs(hooks, sink);
		walk_plugin(hooks, s, sink);
		walk_families(sink, of_webhooks, LEN(of_webhooks), of_webhook,
			      &webhooks);
		walk_times(sink, &webhooks);
		walk_families(sink, of_endpoints, LEN(of_endpoints),
			      of_endpoint, &endpoints);
	}
	rows_free(&webhooks);
	rows_free(&endpoints);
	settings_unref(s);
	return err;
}
