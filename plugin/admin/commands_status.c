/*
 * commands_status.c - webhooks: status. A row for each endpoint, made of
 * atomics alone.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "plugin/admin/ago.h"
#include "plugin/admin/commands_private.h"
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/json_writer.h"
#include "plugin/settings/settings.h"
#include "pool/pool.h"

enum {
	WARNINGS_LEN = 512,
	TROUBLE_LEN = 256,
	HOOKS_LEN = 512,
};

/* One of the webhooks, in an array that ends with NULL. */
struct entry {
	const struct webhook *hook;
};

/* What there is to say of one endpoint, or of all. */
struct status {
	struct pool_endpoint_stats pool;
	uint64_t ends[ENDS], unasked, dropped, held_calls, held_us;
	struct histogram_values latency;
	int64_t failed_ms; /* the newest failure, in the time of day; 0: none */
	char failure[REMARK_LEN];
};

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- sums ---- */

static void add_webhook(struct status *to, const struct webhook_stats *stats)
{
	char text[REMARK_LEN];
	int64_t when;

	for (int i = 0; i < ENDS; i++)
		to->ends[i] += get(&stats->ends[i]);
	to->unasked += get(&stats->unasked);
	to->dropped += get(&stats->dropped) + get(&stats->expired);
	to->held_calls += get(&stats->held_calls);
	to->held_us += get(&stats->held_us);
	histogram_read(&stats->times[TIME_TOTAL], &to->latency);
	if (remark_read(&stats->trouble, &when, text) && when > to->failed_ms) {
		to->failed_ms = when;
		memcpy(to->failure, text, sizeof(text));
	}
}

static void add_endpoint(struct status *to, const struct status *of)
{
	to->pool.sent += of->pool.sent;
	to->pool.retries += of->pool.retries;
	to->pool.opened += of->pool.opened;
	to->pool.queued += of->pool.queued;
	to->pool.in_flight += of->pool.in_flight;
	to->pool.connections += of->pool.connections;
	for (int i = 0; i < ENDS; i++)
		to->ends[i] += of->ends[i];
	to->unasked += of->unasked;
	to->dropped += of->dropped;
	to->held_calls += of->held_calls;
	to->held_us += of->held_us;
	for (int i = 0; i <= HISTOGRAM_BOUNDS; i++)
		to->latency.buckets[i] += of->latency.buckets[i];
	to->latency.count += of->latency.count;
	to->latency.sum_us += of->latency.sum_us;
}

/* ---- words ---- */

static const char *state_of(const struct pool_endpoint_stats *stats)
{
	if (stats->paused)
		return "paused";
	if (stats->open)
		return "open";
	return stats->open_for_holding ? "open for holding" : "good";
}

/* ", " and then the text, if anything is there. */
static void list(char *to, size_t size, const char *separator, const char *text,
		 size_t len)
{
	size_t at = strlen(to);

	snprintf(to + at, size - at, "%s%.*s", at ? separator : "", (int)len,
		 text);
}

static void list_warnings(char *to, const struct transport_settings *t)
{
	const char *text;

	for (unsigned i = 0; (text = transport_settings_warning(t, i)); i++)
		list(to, WARNINGS_LEN, "; ", text, strlen(text));
}

/* For a narrow column: the newest failure, and the beginnings of warnings. */
static void sum_up(char *to, const struct status *status, int64_t now_ms,
		   const struct transport_settings *t)
{
	char ago[AGO_LEN], failure[AGO_LEN + REMARK_LEN + 8];
	const char *text;

	if (status->pool.paused) {
		ago_write(pool_now_ms() - status->pool.paused_since_ms, ago);
		snprintf(to, TROUBLE_LEN, "paused for %s", ago);
	}
	if (status->failed_ms) {
		ago_write(now_ms - status->failed_ms, ago);
		snprintf(failure, sizeof(failure), "%s ago: %s", ago,
			 status->failure);
		list(to, TROUBLE_LEN, "; ", failure, strlen(failure));
	}
	for (unsigned i = 0; (text = transport_settings_warning(t, i)); i++)
		list(to, TROUBLE_LEN, "; ", text, strcspn(text, ":"));
}

static void list_hooks(char *to, const struct entry *of, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = hook_table[of[i].hook->hook].name;

		list(to, HOOKS_LEN, ", ", name, strlen(name));
	}
}

/* ---- rows ---- */

static void put_numbers(struct json_writer *w, const struct status *s)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "queued", s->pool.queued },
		{ "in_flight", s->pool.in_flight },
		{ "connections", s->pool.connections },
		{ "sent", s->pool.sent },
		{ "ok",
		  s->ends[END_OK] + s->ends[END_NEXT] + s->ends[END_DENIED] },
		{ "failed", s->ends[END_REFUSED] + s->ends[END_UNAVAILABLE] +
				    s->ends[END_FAILED] },
		{ "timeouts", s->ends[END_TIMEOUT] },
		{ "unasked", s->unasked },
		{ "dropped", s->dropped },
		{ "retries", s->pool.retries },
		{ "opened", s->pool.opened },
		{ "held_calls", s->held_calls },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_int(w, numbers[i].name, (int64_t)numbers[i].value);
	json_millis(w, "held_ms", s->held_us);
	json_millis(w, "p50_ms", histogram_quantile(&s->latency, 0.5));
	json_millis(w, "p99_ms", histogram_quantile(&s->latency, 0.99));
}

static void put_failure(struct json_writer *w, const struct status *s,
			int64_t now_ms)
{
	time_t seconds = (time_t)(s->failed_ms / 1000);
	char when[32];
	struct tm tm;

	if (!s->failed_ms) {
		json_text(w, "last_error", bytes_of(""));
		json_text(w, "last_error_time", bytes_of(""));
		json_null(w, "last_error_ago_s");
		return;
	}
	gmtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_text(w, "last_error", bytes_of(s->failure));
	json_text(w, "last_error_time", bytes_of(when));
	json_int(w, "last_error_ago_s",
		 now_ms > s->failed_ms ? (now_ms - s->failed_ms) / 1000 : 0);
}

/* Of the webhooks `of`, which have one endpoint. */
static void endpoint_row(struct json_writer *w, const struct status *s,
			 const struct entry *of, size_t n, int64_t now_ms)
{
	char warnings[WARNINGS_LEN] = "", trouble[TROUBLE_LEN] = "";
	char hooks[HOOKS_LEN] = "";

	list_warnings(warnings, of[0].hook->transport);
	sum_up(trouble, s, now_ms, of[0].hook->transport);
	list_hooks(hooks, of, n);
	json_open(w, NULL, '{');
	json_text(w, "endpoint", bytes_of(of[0].hook->shown));
	json_text(w, "state", bytes_of(state_of(&s->pool)));
	put_numbers(w, s);
	put_failure(w, s, now_ms);
	json_text(w, "trouble", bytes_of(trouble));
	json_text(w, "warnings", bytes_of(warnings));
	json_text(w, "hooks", bytes_of(hooks));
	json_close(w, '}');
}

static void sum_row(struct json_writer *w, const struct status *s, size_t good,
		    size_t endpoints)
{
	char state[64];

	snprintf(state, sizeof(state), "%zu of %zu good", good, endpoints);
	json_open(w, NULL, '{');
	json_text(w, "endpoint", bytes_of("(all)"));
	json_text(w, "state", bytes_of(state));
	put_numbers(w, s);
	put_failure(w, s, 0);
	json_text(w, "trouble", bytes_of(""));
	json_text(w, "warnings", bytes_of(""));
	json_text(w, "hooks", bytes_of(""));
	json_close(w, '}');
}

/* ---- all of it ---- */

static int by_endpoint(const void *a, const void *b)
{
	const struct webhook *left = ((const struct entry *)a)->hook;
	const struct webhook *right = ((const struct entry *)b)->hook;
	int order = strcmp(left->shown, right->shown);

	if (!order)
		order = strcmp(left->target, right->target);
	return order ? order : (int)left->hook - (int)right->hook;
}

/* Every webhook, those of one endpoint side by side. An array to free(), or
 * NULL without memory. */
static struct entry *sorted(const struct settings *s)
{
	struct entry *ret = calloc(s->webhooks + 1, sizeof(*ret));
	size_t n = 0;

	if (!ret)
		return NULL;
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++)
			ret[n++].hook = &s->chain[h][i];
	}
	qsort(ret, n, sizeof(*ret), by_endpoint);
	return ret;
}

/* The first `n` of these are one endpoint's; returns how many. */
static size_t same_endpoint(const struct entry *list)
{
	size_t n = 1;

	while (list[n].hook &&
	       strcmp(list[n].hook->target, list[0].hook->target) == 0)
		n++;
	return n;
}

static void put_rows(struct json_writer *w, struct hooks *hooks,
		     const struct entry *list)
{
	int64_t now_ms = hooks_unix_ms(hooks);
	struct status all = { 0 };
	size_t endpoints = 0, good = 0, n;

	for (; list->hook; list += n) {
		struct status s = { 0 };

		n = same_endpoint(list);
		/* one that the dispatcher has not come to yet has done
		 * nothing */
		(void)pool_get_stats(hooks_pool(hooks), list[0].hook->target,
				     &s.pool);
		for (size_t i = 0; i < n; i++)
			add_webhook(&s, list[i].hook->stats);
		endpoint_row(w, &s, list, n, now_ms);
		add_endpoint(&all, &s);
		endpoints++;
		good += strcmp(state_of(&s.pool), "good") == 0;
	}
	if (endpoints)
		sum_row(w, &all, good, endpoints);
}

void command_status(const struct job *job)
{
	struct hooks *hooks = job->commands->hooks;
	struct settings *s = hooks_settings(hooks);
	struct entry *list = sorted(s);
	struct json_writer w = JSON_WRITER_INIT;
	struct admin_reply reply = { .status = 500 };

	if (list) {
		admin_reply_table_open(&w);
		put_rows(&w, hooks, list);
		reply = admin_reply_table_close(&w);
	}
	free(list);
	settings_unref(s);
	job_answer(job, reply);
}
