/* test_metrics.c - plugin/admin/metrics.h, plugin/admin/pages.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/metrics.h"
#include "plugin/admin/pages.h"
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"
#include "pool/pool.h"
#include "test/unit/idle_broker.h"

enum {
	PATIENCE_MS = 10000,
	VERNEMQS = 81,
};

struct fixture {
	struct hooks *hooks;
	struct broker_ops ops;
	int64_t now_us;
	char *text;
};

/* ---- the broker ---- */

static int64_t now_us(void *ctx)
{
	struct fixture *f = ctx;

	return f->now_us;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->ops = idle_broker;
	f->ops.now_us = now_us;
	f->now_us = 1000000;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->hooks)
		hooks_stop(f->hooks);
	hooks_destroy(f->hooks);
	free(f->text);
	free(f);
	return 0;
}

static void load(struct fixture *f, const struct settings_opt *opts, size_t n)
{
	struct conf_error error = { "" };
	struct settings *s;

	if (settings_load(opts, n, &s, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(hooks_create(&f->hooks, s, &f->ops, f), 0);
	settings_unref(s);
}

/* Put settings in force that have one webhook more, or one fewer. */
static void change(struct fixture *f, enum hook_id hook, const char *url,
		   bool add)
{
	struct settings *old = hooks_settings(f->hooks), *s = NULL;
	struct webhook more = { .hook = hook, .timeout_ms = 1000 };
	struct conf_error error;

	more.endpoint = strdup(url);
	assert_non_null(more.endpoint);
	assert_int_equal(add ? settings_with(old, &more, &s, &error)
			     : settings_without(old, hook, url, &s),
			 0);
	assert_int_equal(hooks_apply(f->hooks, old, s), 0);
	settings_unref(old);
	settings_unref(s);
	free(more.endpoint);
	hooks_refresh(f->hooks);
}

static struct webhook_stats *stats_of(struct fixture *f, enum hook_id hook,
				      size_t i)
{
	return hooks_settings_now(f->hooks)->chain[hook][i].stats;
}

/* ---- the text ---- */

static const char *text_of(struct fixture *f)
{
	size_t len;
	char *text;

	assert_int_equal(metrics_text(f->hooks, &text, &len), 0);
	free(f->text);
	f->text = strndup(text, len);
	free(text);
	assert_non_null(f->text);
	assert_int_equal(strlen(f->text), len);
	assert_int_equal(f->text[len - 1], '\n');
	return f->text;
}

/* How many lines begin so. */
static unsigned lines_with(const char *text, const char *start)
{
	unsigned n = 0;

	for (const char *at = text; *at; at = strchr(at, '\n') + 1)
		n += strncmp(at, start, strlen(start)) == 0;
	return n;
}

static void expect_line(const char *text, const char *line)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s\n", line);
	if (lines_with(text, whole) != 1)
		fail_msg("not there, or not once: %s", line);
}

/* ---- VerneMQ's ---- */

static void vernemqs_names_are_all_there(void **state)
{
	struct fixture *f = *state;
	const char *text;
	char line[128];

	load(f, NULL, 0);
	text = text_of(f);
	assert_int_equal(lines_with(text, "webhooks_"), VERNEMQS);
	assert_int_equal(lines_with(text, "# HELP webhooks_"), VERNEMQS);
	assert_int_equal(lines_with(text, "# TYPE webhooks_"), VERNEMQS);
	for (int h = 0; h < HOOK_COUNT; h++) {
		snprintf(line, sizeof(line), "webhooks_%s_requests 0",
			 hook_table[h].name);
		expect_line(text, line);
	}
	expect_line(text, "webhooks_on_message_drop_bytes_sent 0");
	expect_line(text, "webhooks_on_topic_unsubscribed_errors 0");
	expect_line(text, "webhooks_on_config_change_requests 0");
	expect_line(text, "# HELP webhooks_on_deliver_m5_requests Number of "
			  "requests to on_deliver_m5 webhooks");
	expect_line(text, "# HELP webhooks_on_publish_errors Number of errors "
			  "calling on_publish webhooks");
	expect_line(text, "# HELP webhooks_on_publish_bytes_sent Number of "
			  "bytes sent to on_publish webhooks");
	expect_line(text, "# HELP webhooks_auth_on_register_m5_cancelled "
			  "Number of auth_on_register_m5 webhook requests "
			  "cancelled due to client close");
	expect_line(text, "# HELP webhooks_auth_on_register_timeouts Number "
			  "of auth_on_register webhook requests that timed "
			  "out");
	expect_line(text, "# HELP webhooks_auth_on_register_elapsed_ms Total "
			  "elapsed milliseconds spent in auth_on_register "
			  "webhook requests");
	expect_line(text, "# TYPE webhooks_auth_on_register_elapsed_ms "
			  "counter");
}

/* Nothing of ours goes by hook or endpoint when there is none. */
static void without_webhooks_there_are_no_labels(void **state)
{
	struct fixture *f = *state;
	const char *text;

	load(f, NULL, 0);
	text = text_of(f);
	assert_null(strstr(text, "endpoint="));
	expect_line(text, "vmq_webhooks_webhooks 0");
	expect_line(text,
		    "vmq_webhooks_build_info{version=\"" VMQ_WEBHOOKS_VERSION
		    "\"} 1");
	expect_line(text, "vmq_webhooks_settings_changes_total 0");
}

/* ---- ours ---- */

#define A "hook=\"auth_on_publish\",endpoint=\"http://h/\""

static const struct settings_opt one_webhook[] = {
	{ "vmq_webhooks.a.hook", "auth_on_publish" },
	{ "vmq_webhooks.a.endpoint", "http://h/" },
};

/* A member, and the line it is told in: a different number for each. */
static const struct {
	size_t offset;
	const char *name, *label;
} numbers[] = {
#define N(member, name, label)                                                 \
	{                                                                      \
		offsetof(struct webhook_stats, member), name, label            \
	}
	N(ends[END_OK], "calls_total", ",outcome=\"ok\""),
	N(ends[END_NEXT], "calls_total", ",outcome=\"next\""),
	N(ends[END_DENIED], "calls_total", ",outcome=\"denied\""),
	N(ends[END_REFUSED], "calls_total", ",outcome=\"refused\""),
	N(ends[END_UNAVAILABLE], "calls_total", ",outcome=\"unavailable\""),
	N(ends[END_FAILED], "calls_total", ",outcome=\"failed\""),
	N(ends[END_TIMEOUT], "calls_total", ",outcome=\"timeout\""),
	N(bytes_sent, "sent_bytes_total", ""),
	N(unasked, "unasked_total", ""),
	N(given_up, "given_up_total", ""),
	N(allowed_on_error, "allowed_on_error_total", ""),
	N(dropped, "notifications_lost_total", ",reason=\"dropped\""),
	N(expired, "notifications_lost_total", ",reason=\"expired\""),
	N(undelivered, "notifications_lost_total", ",reason=\"undelivered\""),
	N(held_calls, "broker_held_calls_total", ""),
	N(cache.entries, "cache_entries", ""),
	N(cache.bytes, "cache_bytes", ""),
	N(cache.refusals, "cache_refusals", ""),
	N(cache.hits, "cache_hits_total", ""),
	N(cache.misses, "cache_misses_total", ""),
	N(cache.refusal_hits, "cache_refusal_hits_total", ""),
	N(cache.stale, "cache_stale_hits_total", ""),
	N(cache.stale_if_error, "cache_stale_if_error_total", ""),
	N(cache.stores, "cache_stores_total", ""),
	N(cache.rejected, "cache_rejected_total", ""),
	N(cache.late, "cache_late_total", ""),
	N(cache.evicted, "cache_evicted_total", ""),
	N(cache.refusals_evicted, "cache_refusals_evicted_total", ""),
	N(cache.expired, "cache_expired_total", ""),
#undef N
};

enum {
	NUMBERS = sizeof(numbers) / sizeof(numbers[0])
};

static _Atomic uint64_t *number(struct webhook_stats *stats, size_t i)
{
	return (_Atomic uint64_t *)(void *)((char *)stats + numbers[i].offset);
}

static void every_counter_is_told(void **state)
{
	struct fixture *f = *state;
	struct webhook_stats *stats;
	const char *text;
	char line[256];

	load(f, one_webhook, 2);
	stats = stats_of(f, HOOK_AUTH_ON_PUBLISH, 0);
	for (size_t i = 0; i < NUMBERS; i++)
		atomic_store(number(stats, i), 1000 + i);
	atomic_store(&stats->held_us, 12345678);
	text = text_of(f);
	for (size_t i = 0; i < NUMBERS; i++) {
		snprintf(line, sizeof(line), "vmq_webhooks_%s{" A "%s} %zu",
			 numbers[i].name, numbers[i].label, 1000 + i);
		expect_line(text, line);
	}
	expect_line(text,
		    "vmq_webhooks_broker_held_seconds_total{" A "} 12.345678");
	/* a name that has several labels is introduced once */
	assert_int_equal(
		lines_with(text, "# TYPE vmq_webhooks_calls_total counter"), 1);
	for (size_t i = 0; i < NUMBERS; i++)
		atomic_store(number(stats, i), 0);
}

static void only_what_can_be_kept_has_a_cache(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.a.hook", "on_publish" },
		{ "vmq_webhooks.a.endpoint", "http://h/" },
	};
	struct fixture *f = *state;
	const char *text;

	load(f, opts, 2);
	text = text_of(f);
	assert_int_equal(lines_with(text, "vmq_webhooks_cache_"), 0);
	expect_line(text, "vmq_webhooks_sent_bytes_total{hook=\"on_publish\","
			  "endpoint=\"http://h/\"} 0");
}

static void times_are_cumulative_histograms(void **state)
{
	struct fixture *f = *state;
	struct histogram *h;
	const char *text;

	load(f, one_webhook, 2);
	h = &stats_of(f, HOOK_AUTH_ON_PUBLISH, 0)->times[TIME_TOTAL];
	histogram_add(h, 90);
	histogram_add(h, 2500);
	histogram_add(h, 2501);
	histogram_add(h, 99000000);
	text = text_of(f);
	expect_line(text, "# TYPE vmq_webhooks_call_seconds histogram");
	expect_line(text,
		    "vmq_webhooks_call_seconds_bucket{" A ",le=\"0.0001\"} 1");
	expect_line(text,
		    "vmq_webhooks_call_seconds_bucket{" A ",le=\"0.001\"} 1");
	expect_line(text,
		    "vmq_webhooks_call_seconds_bucket{" A ",le=\"0.0025\"} 2");
	expect_line(text,
		    "vmq_webhooks_call_seconds_bucket{" A ",le=\"0.005\"} 3");
	expect_line(text,
		    "vmq_webhooks_call_seconds_bucket{" A ",le=\"60\"} 3");
	expect_line(text,
		    "vmq_webhooks_call_seconds_bucket{" A ",le=\"+Inf\"} 4");
	expect_line(text, "vmq_webhooks_call_seconds_sum{" A "} 99.005091");
	expect_line(text, "vmq_webhooks_call_seconds_count{" A "} 4");
	expect_line(text, "vmq_webhooks_queue_seconds_count{" A "} 0");
	expect_line(text, "vmq_webhooks_connect_seconds_count{" A "} 0");
	expect_line(text, "vmq_webhooks_first_byte_seconds_count{" A "} 0");
}

/* They differ in what is not shown. */
static void the_same_labels_are_one_series(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.a.hook", "auth_on_publish" },
		{ "vmq_webhooks.a.endpoint", "http://joe:s3cret@h/" },
		{ "vmq_webhooks.b.hook", "auth_on_publish" },
		{ "vmq_webhooks.b.endpoint", "http://h/" },
		{ "vmq_webhooks.c.hook", "auth_on_publish" },
		{ "vmq_webhooks.c.endpoint", "http://ann:s3cret@h/" },
		{ "vmq_webhooks.d.hook", "auth_on_subscribe" },
		{ "vmq_webhooks.d.endpoint", "http://joe:s3cret@h/" },
	};
	struct fixture *f = *state;
	struct webhook_stats *joe, *plain, *ann;
	const char *text;

	load(f, opts, 8);
	joe = stats_of(f, HOOK_AUTH_ON_PUBLISH, 0);
	plain = stats_of(f, HOOK_AUTH_ON_PUBLISH, 1);
	ann = stats_of(f, HOOK_AUTH_ON_PUBLISH, 2);
	atomic_store(&joe->bytes_sent, 1);
	atomic_store(&plain->bytes_sent, 10);
	atomic_store(&ann->bytes_sent, 100);
	histogram_add(&joe->times[TIME_QUEUE], 200);
	histogram_add(&ann->times[TIME_QUEUE], 200);
	text = text_of(f);
	assert_int_equal(lines_with(text, "vmq_webhooks_sent_bytes_total{"), 3);
	expect_line(text, "vmq_webhooks_sent_bytes_total{hook=\""
			  "auth_on_publish\",endpoint=\"http://***@h/\"} 101");
	expect_line(text, "vmq_webhooks_sent_bytes_total{" A "} 10");
	expect_line(text, "vmq_webhooks_sent_bytes_total{hook=\""
			  "auth_on_subscribe\",endpoint=\"http://***@h/\"} 0");
	expect_line(text, "vmq_webhooks_queue_seconds_count{hook=\""
			  "auth_on_publish\",endpoint=\"http://***@h/\"} 2");
	assert_null(strstr(text, "s3cret"));
	assert_null(strstr(text, "joe"));
}

static void labels_are_escaped(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.a.hook", "auth_on_publish" },
		{ "vmq_webhooks.a.endpoint", "http://h/\"\\\xc3\xa9\xff" },
		{ "vmq_webhooks.b.hook", "auth_on_publish" },
		{ "vmq_webhooks.b.endpoint", "http://h/\"\\%C3%A9%FF" },
	};
	struct fixture *f = *state;
	const char *text;

	load(f, opts, 4);
	text = text_of(f);
	/* and when that makes them the same they are one */
	expect_line(text, "vmq_webhooks_sent_bytes_total{hook=\""
			  "auth_on_publish\",endpoint=\"http://h/\\\"\\\\"
			  "%C3%A9%FF\"} 0");
	assert_int_equal(lines_with(text, "vmq_webhooks_sent_bytes_total{"), 1);
}

static void wait_for_endpoint(struct fixture *f, const char *url)
{
	int64_t end = pool_now_ms() + PATIENCE_MS;
	struct pool_endpoint_stats stats;

	while (pool_get_stats(hooks_pool(f->hooks), url, &stats) != 0)
		assert_true(pool_now_ms() < end);
}

static void an_endpoint_of_several_hooks_is_told_once(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.a.hook", "auth_on_publish" },
		{ "vmq_webhooks.a.endpoint", "http://h/" },
		{ "vmq_webhooks.b.hook", "on_publish" },
		{ "vmq_webhooks.b.endpoint", "http://h/" },
		{ "vmq_webhooks.c.hook", "on_publish" },
		{ "vmq_webhooks.c.endpoint", "http://i/" },
	};
	struct fixture *f = *state;
	const char *text;

	load(f, opts, 6);
	/* nobody has come to them yet */
	assert_int_equal(lines_with(text_of(f), "vmq_webhooks_endpoint_"), 0);
	assert_int_equal(hooks_start(f->hooks), 0);
	wait_for_endpoint(f, "http://h/");
	text = text_of(f);
	assert_int_equal(lines_with(text, "vmq_webhooks_endpoint_connections{"),
			 2);
	expect_line(text, "vmq_webhooks_endpoint_connections{endpoint=\""
			  "http://h/\"} 0");
	expect_line(text, "vmq_webhooks_endpoint_breaker_open{endpoint=\""
			  "http://i/\"} 0");
	assert_int_equal(lines_with(text, "# TYPE vmq_webhooks_endpoint_"), 13);
}

/* Prometheus keeps what it reads, and whoever reaches the port may read. */
static void values_in_a_query_are_not_shown(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.a.hook", "on_publish" },
		{ "vmq_webhooks.a.endpoint", "http://h/a?b=s3cret&d" },
		{ "vmq_webhooks.b.hook", "on_publish" },
		{ "vmq_webhooks.b.endpoint", "http://h/a?b=other3cret&e" },
	};
	struct fixture *f = *state;
	const char *text;

	load(f, opts, 4);
	assert_int_equal(hooks_start(f->hooks), 0);
	wait_for_endpoint(f, "http://h/a?b=other3cret&e");
	text = text_of(f);
	expect_line(text, "vmq_webhooks_endpoint_connections{endpoint=\""
			  "http://h/a?b=***&***\"} 0");
	assert_null(strstr(text, "3cret"));
	expect_line(text, "vmq_webhooks_sent_bytes_total{hook=\"on_publish\","
			  "endpoint=\"http://h/a?b=***&***\"} 0");
}

#define PAUSED "vmq_webhooks_endpoint_paused{endpoint=\"http://h/\"} "

static void a_pause_is_told(void **state)
{
	struct fixture *f = *state;
	struct pool *pool;

	load(f, one_webhook, 2);
	pool = hooks_pool(f->hooks);
	assert_int_equal(hooks_start(f->hooks), 0);
	wait_for_endpoint(f, "http://h/");
	expect_line(text_of(f), PAUSED "0");
	assert_int_equal(pool_pause(pool, "http://h/", true), 0);
	expect_line(text_of(f), PAUSED "1");
	assert_int_equal(pool_pause(pool, "http://h/", false), 0);
	expect_line(text_of(f), PAUSED "0");
}

static void changes_are_counted(void **state)
{
	struct fixture *f = *state;
	const char *text;

	load(f, one_webhook, 2);
	change(f, HOOK_ON_PUBLISH, "http://i/", true);
	text = text_of(f);
	expect_line(text, "vmq_webhooks_settings_changes_total 1");
	expect_line(text, "vmq_webhooks_webhooks 2");
	assert_non_null(strstr(text, "endpoint=\"http://i/\""));
	change(f, HOOK_ON_PUBLISH, "http://i/", false);
	text = text_of(f);
	expect_line(text, "vmq_webhooks_settings_changes_total 2");
	expect_line(text, "vmq_webhooks_webhooks 1");
	assert_null(strstr(text, "endpoint=\"http://i/\""));
}

/* Ten URLs of 60 KB in a hundred lines each. */
static void a_text_has_a_ceiling(void **state)
{
	struct fixture *f = *state;
	char *url = malloc(65536), *text = NULL;
	size_t len = 0;

	assert_non_null(url);
	load(f, NULL, 0);
	for (int i = 0; i < 60; i++) {
		snprintf(url, 65536, "http://h/%d/%015000d", i, 0);
		change(f, HOOK_AUTH_ON_PUBLISH, url, true);
	}
	assert_int_equal(metrics_text(f->hooks, &text, &len), -EFBIG);
	assert_null(text);
	free(url);
}

/* ---- /health ---- */

static void expect_health(struct fixture *f, unsigned status, const char *part)
{
	struct admin_reply reply = admin_page_health(f->hooks, f->now_us);
	char body[512];

	snprintf(body, sizeof(body), "%.*s", (int)reply.len,
		 reply.body ? reply.body : "");
	free(reply.body);
	if (!strstr(body, part))
		fail_msg("%s", body);
	assert_int_equal(reply.status, status);
}

static void a_broker_that_ticks_is_healthy(void **state)
{
	struct fixture *f = *state;

	load(f, one_webhook, 2);
	expect_health(f, 200, "{\"status\":\"ok\"");
	expect_health(f, 200, "\"broker_ticks\":false");
	hooks_tick(f->hooks);
	expect_health(f, 200, "\"broker_ticks\":true");
	f->now_us += PAGES_UNSEEN_MS * 1000 - 1;
	expect_health(f, 200, "\"broker_seen_ms_ago\":4999");
	expect_health(f, 200, "\"webhooks\":1,\"open_breakers\":0}");
	f->now_us += 1;
	expect_health(f, 503,
		      "{\"status\":\"failing\",\"reason\":\"the broker's "
		      "thread was last seen 5000 ms ago\"");
	hooks_tick(f->hooks);
	expect_health(f, 200, "\"status\":\"ok\"");
}

/* Events alone are one only as long as there are no ticks: a clock is not
 * read for each. */
static void a_tick_is_a_sign_of_life(void **state)
{
	struct fixture *f = *state;

	load(f, NULL, 0);
	f->now_us += 1000;
	hooks_refresh(f->hooks);
	expect_health(f, 200, "\"broker_seen_ms_ago\":0");
	hooks_tick(f->hooks);
	f->now_us += PAGES_UNSEEN_MS * 1000;
	hooks_refresh(f->hooks);
	expect_health(f, 503, "failing");
	hooks_tick(f->hooks);
	expect_health(f, 200, "\"broker_seen_ms_ago\":0");
}

/* 2.0.11 with per_listener_settings: seen when clients do something. */
static void one_that_never_ticks_is_not_missed(void **state)
{
	struct fixture *f = *state;

	f->ops.may_never_tick = true;
	load(f, NULL, 0);
	f->now_us += 3600 * 1000000LL;
	expect_health(f, 200, "\"broker_ticks\":false");
	hooks_refresh(f->hooks);
	f->now_us += PAGES_UNSEEN_MS * 1000;
	expect_health(f, 200, "\"status\":\"ok\"");
	/* it does, after all */
	hooks_tick(f->hooks);
	f->now_us += PAGES_UNSEEN_MS * 1000;
	expect_health(f, 503, "failing");
}

static void one_that_should_tick_and_never_did_is_missed(void **state)
{
	struct fixture *f = *state;

	load(f, NULL, 0);
	f->now_us += PAGES_UNSEEN_MS * 1000;
	expect_health(f, 503, "failing");
}

/* ---- pages ---- */

static void there_are_two_pages(void **state)
{
	static const char *const none[] = {
		"/",         "",        "/metric",  "/metricsx",
		"/metrics/", "/Health", "/healthz", "/api/v1/webhooks/show",
		"metrics",
	};
	struct fixture *f = *state;
	struct admin_reply reply;

	load(f, NULL, 0);
	assert_true(admin_page(f->hooks, "/metrics?a=b", &reply));
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.type,
			    "text/plain; version=0.0.4; charset=utf-8");
	free(reply.body);
	assert_true(admin_page(f->hooks, "/health", &reply));
	assert_null(reply.type);
	free(reply.body);
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_false(admin_page(f->hooks, none[i], &reply));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vernemqs_names_are_all_there),
		TEST(without_webhooks_there_are_no_labels),
		TEST(every_counter_is_told),
		TEST(only_what_can_be_kept_has_a_cache),
		TEST(times_are_cumulative_histograms),
		TEST(the_same_labels_are_one_series),
		TEST(values_in_a_query_are_not_shown),
		TEST(a_pause_is_told),
		TEST(labels_are_escaped),
		TEST(an_endpoint_of_several_hooks_is_told_once),
		TEST(changes_are_counted),
		TEST(a_text_has_a_ceiling),
		TEST(a_broker_that_ticks_is_healthy),
		TEST(a_tick_is_a_sign_of_life),
		TEST(one_that_never_ticks_is_not_missed),
		TEST(one_that_should_tick_and_never_did_is_missed),
		TEST(there_are_two_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
