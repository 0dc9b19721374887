/*
 * test_hook_reload.c - the core again: its settings are read anew while
 * questions are asked.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "test/replay/fake_pool.h"
#include "test/replay/stage.h"

#define WEBHOOK(name, hook, url)                                               \
	"vmq_webhooks." name ".hook = " hook "\n"                              \
	"vmq_webhooks." name ".endpoint = " url "\n"

#define PUBLISH   WEBHOOK("p", "auth_on_publish", "http://p/")
#define SUBSCRIBE WEBHOOK("s", "auth_on_subscribe", "http://s/")
#define LOGIN     WEBHOOK("l", "auth_on_register", "http://l/")
#define BOTH      PUBLISH SUBSCRIBE

/* ---- the stage ---- */

/* The host's part: what it is asked, and what it says. */
static struct {
	struct hooks *hooks;
	struct broker_ops ops;
	char file[64], log[4096];
	bool refuses;
	unsigned races; /* so many times somebody is faster */
	unsigned reports;
	size_t before, now; /* webhooks, of the last report */
} host;

static void write_file(const char *text)
{
	FILE *f = fopen(host.file, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void take_log(void *ctx, enum log_level level, const char *line)
{
	size_t len = strlen(host.log);

	(void)ctx;
	snprintf(host.log + len, sizeof(host.log) - len, "%s: %s\n",
		 level == LOG_LEVEL_ERR ? "error" : "info", line);
}

static void register_one(const char *url)
{
	struct settings *old = hooks_settings(host.hooks), *s;
	struct webhook webhook = { .hook = HOOK_ON_PUBLISH,
				   .endpoint = (char *)(uintptr_t)url,
				   .timeout_ms = 5000 };
	struct conf_error error;

	assert_int_equal(settings_with(old, &webhook, &s, &error), 0);
	assert_int_equal(hooks_apply(host.hooks, old, s), 0);
	settings_unref(old);
	settings_unref(s);
}

/* Between the look at the old settings and the new ones' coming into force. */
static int check(void *ctx, const struct settings *s, struct conf_error *reterr)
{
	char url[32];

	(void)ctx;
	assert_non_null(s);
	if (host.races) {
		snprintf(url, sizeof(url), "http://r%u/", host.races--);
		register_one(url);
	}
	if (!host.refuses)
		return 0;
	snprintf(reterr->text, sizeof(reterr->text), "not on this host");
	return -EINVAL;
}

static void report(void *ctx, const struct settings *before,
		   const struct settings *now)
{
	(void)ctx;
	host.reports++;
	host.before = before->webhooks;
	host.now = now->webhooks;
}

static struct hooks *begin(const char *text)
{
	struct settings_opt opt = { "config_file", host.file };
	struct conf_error error;
	struct settings *s;

	memset(&broker, 0, sizeof(broker));
	broker.now_us = SECOND;
	fake_pool_clock_us = &broker.now_us;
	write_file(text);
	host.ops = stage_ops;
	host.ops.log = take_log;
	host.ops.check = check;
	host.ops.report = report;
	assert_int_equal(settings_load(&opt, 1, &s, &error), 0);
	assert_int_equal(hooks_create(&host.hooks, s, &host.ops, NULL), 0);
	settings_unref(s);
	assert_int_equal(hooks_set_source(host.hooks, &opt, 1), 0);
	return host.hooks;
}

static int setup(void **state)
{
	int fd;

	(void)state;
	memset(&host, 0, sizeof(host));
	snprintf(host.file, sizeof(host.file), "/tmp/test_reload.XXXXXX");
	fd = mkstemp(host.file);
	return fd < 0 || close(fd) != 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	finish(host.hooks);
	return unlink(host.file);
}

/* Read this, and log what came of it. Returns that. */
static int reload(const char *text)
{
	struct hooks_reload *r;
	int err;

	if (text)
		write_file(text);
	r = hooks_reload(host.hooks);
	assert_non_null(r);
	err = r->err;
	assert_true(*r->text);
	assert_true(err ? !r->before && !r->now : r->before && r->now);
	hooks_log_reload(host.hooks, r);
	hooks_reload_free(r);
	return err;
}

static struct event subscribe_to(const char *topic)
{
	static struct topic filter;
	struct event ev = publish_to("");

	filter = (struct topic){ .filter = bytes_of(topic) };
	ev.hook = HOOK_AUTH_ON_SUBSCRIBE;
	ev.topics = &filter;
	ev.topics_count = 1;
	return ev;
}

static void keep(const struct event *ev)
{
	unsigned before = fake_calls_count;

	fake_pool_will_answer(200, OK, "max-age=60");
	callback(host.hooks, ev, DECISION_OK);
	assert_int_equal(fake_calls_count, before + 1);
}

static void is_kept(const struct event *ev)
{
	unsigned before = fake_calls_count;

	callback(host.hooks, ev, DECISION_OK);
	assert_int_equal(fake_calls_count, before);
}

/* ---- the outcome ---- */

static void new_settings_are_taken_up_by_the_next_callback(void **state)
{
	struct hooks *hooks = begin(PUBLISH);
	struct event ev = subscribe_to("t");

	(void)state;
	assert_int_equal(reload(BOTH), 0);
	assert_false(hooks_has(hooks, HOOK_AUTH_ON_SUBSCRIBE));
	hooks_refresh(hooks);
	assert_true(hooks_has(hooks, HOOK_AUTH_ON_SUBSCRIBE));
	fake_pool_will_answer(200, OK, NULL);
	callback(hooks, &ev, DECISION_OK);
	assert_string_equal(fake_calls[0].endpoint, "http://s/");
}

static void the_log_has_the_report_line_by_line(void **state)
{
	begin(PUBLISH);
	(void)state;
	assert_int_equal(reload(BOTH), 0);
	assert_string_equal(
		host.log,
		"info: configuration read again: webhooks: 1 added, 0 removed, "
		"0 changed, 1 kept\n"
		"info: added: vmq_webhooks.s (auth_on_subscribe http://s/)\n"
		"info: kept: p\n");
	assert_int_equal(host.reports, 1);
	assert_int_equal(host.before, 1);
	assert_int_equal(host.now, 2);
}

static void an_emptied_file_is_remarked_upon(void **state)
{
	static const char remark[] =
		"info: no webhook is left: was the file emptied?\n";

	(void)state;
	begin(BOTH);
	assert_int_equal(reload(PUBLISH), 0);
	assert_null(strstr(host.log, remark));
	assert_int_equal(reload("# nothing\n"), 0);
	assert_non_null(strstr(host.log, remark));
	host.log[0] = '\0';
	assert_int_equal(reload("# nothing\n"), 0);
	assert_null(strstr(host.log, remark));
}

static void what_is_wrong_changes_nothing(void **state)
{
	struct hooks *hooks = begin(PUBLISH);
	struct event ev = publish_to("t");
	char want[256];

	(void)state;
	keep(&ev);
	assert_int_equal(reload(SUBSCRIBE "vmq_webhooks.retrys = 1\n"),
			 -EINVAL);
	snprintf(want, sizeof(want),
		 "error: %s:3: vmq_webhooks.retrys: ", host.file);
	assert_memory_equal(host.log, want, strlen(want));
	assert_non_null(strstr(host.log, "did you mean "
					 "\"vmq_webhooks.retries\"?\n"
					 "error: the configuration that is in "
					 "force stays as it is\n"));
	assert_int_equal(host.reports, 0);
	is_kept(&ev);
	assert_false(hooks_has(hooks, HOOK_AUTH_ON_SUBSCRIBE));
	/* and once it is right it counts */
	assert_int_equal(reload(BOTH), 0);
	is_kept(&ev);
	assert_true(hooks_has(hooks, HOOK_AUTH_ON_SUBSCRIBE));
}

static void a_missing_file_changes_nothing(void **state)
{
	struct hooks *hooks = begin(PUBLISH);

	(void)state;
	assert_int_equal(unlink(host.file), 0);
	assert_int_equal(reload(NULL), -ENOENT);
	assert_non_null(strstr(host.log, host.file));
	hooks_refresh(hooks);
	assert_true(hooks_has(hooks, HOOK_AUTH_ON_PUBLISH));
	write_file("");
}

static void what_the_host_cannot_do_changes_nothing(void **state)
{
	struct hooks *hooks = begin(PUBLISH);

	(void)state;
	host.refuses = true;
	assert_int_equal(reload(BOTH), -EINVAL);
	assert_string_equal(host.log, "error: not on this host\n"
				      "error: the configuration that is in "
				      "force stays as it is\n");
	hooks_refresh(hooks);
	assert_false(hooks_has(hooks, HOOK_AUTH_ON_SUBSCRIBE));
}

static void without_a_source_there_is_nothing_to_read(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_publish", "http://one/"),
	};
	struct hooks_reload *r;

	(void)state;
	host.hooks = hooks_of(opts, 2);
	r = hooks_reload(host.hooks);
	assert_int_equal(r->err, -ENOENT);
	hooks_reload_free(r);
	hooks_reload_free(NULL);
}

/* ---- races ---- */

static void who_registers_meanwhile_is_not_lost(void **state)
{
	struct hooks *hooks = begin(PUBLISH);

	(void)state;
	host.races = 2;
	assert_int_equal(reload(BOTH), 0);
	hooks_refresh(hooks);
	assert_int_equal(hooks_settings_now(hooks)->webhooks, 4);
	assert_true(hooks_has(hooks, HOOK_AUTH_ON_SUBSCRIBE));
	/* said of the time that counted */
	assert_non_null(strstr(host.log, "1 added, 0 removed, 0 changed, "
					 "3 kept"));
}

static void whoever_always_comes_too_late_is_told_so(void **state)
{
	struct hooks *hooks = begin(PUBLISH);

	(void)state;
	host.races = 1000;
	assert_int_equal(reload(BOTH), -EAGAIN);
	assert_non_null(strstr(host.log, "somebody else keeps changing"));
	hooks_refresh(hooks);
	assert_false(hooks_has(hooks, HOOK_AUTH_ON_SUBSCRIBE));
}

/* ---- the cache ---- */

static void entries_of_the_unchanged_stay(void **state)
{
	struct hooks *hooks = begin(BOTH);
	struct event publish = publish_to("t"), subscribe = subscribe_to("t");
	struct webhook_stats *stats;

	(void)state;
	keep(&publish);
	keep(&subscribe);
	stats = stats_of(hooks, HOOK_AUTH_ON_SUBSCRIBE, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(reload(i ? NULL : BOTH), 0);
	is_kept(&publish);
	is_kept(&subscribe);
	/* those of one whose options have changed go, but for its counters */
	assert_int_equal(
		reload(BOTH "vmq_webhooks.s.response_timeout = 4000\n"), 0);
	is_kept(&publish);
	keep(&subscribe);
	is_kept(&subscribe);
	assert_ptr_equal(stats_of(hooks, HOOK_AUTH_ON_SUBSCRIBE, 0), stats);
	assert_int_equal(stats->requests, 2);
	assert_int_equal(stats->cache.entries, 1);
	assert_int_equal(stats->cache.stores, 2);
	/* there and back before anybody looked: nothing has changed */
	assert_int_equal(reload(BOTH), 0);
	assert_int_equal(
		reload(BOTH "vmq_webhooks.s.response_timeout = 4000\n"), 0);
	is_kept(&subscribe);
}

static void entries_of_the_removed_go(void **state)
{
	struct event publish = publish_to("t"), subscribe = subscribe_to("t");

	begin(BOTH);
	(void)state;
	keep(&publish);
	keep(&subscribe);
	assert_int_equal(reload(PUBLISH), 0);
	assert_int_equal(reload(BOTH), 0);
	is_kept(&publish);
	keep(&subscribe);
}

static void what_was_asked_before_is_not_kept(void **state)
{
	struct hooks *hooks = begin(LOGIN);
	struct event ev = login_of("c");
	uint64_t ticket;

	(void)state;
	hooks_refresh(hooks);
	ticket = ask_later(hooks, &ev);
	assert_int_equal(reload(NULL), 0);
	hooks_refresh(hooks);
	fake_pool_answer(0, 200, OK, "max-age=60");
	/* it counts for whoever asked */
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.decision, DECISION_OK);
	assert_int_equal(broker.ticket, ticket);
	ask_later(hooks, &ev);
	assert_int_equal(fake_calls_count, 2);
	fake_pool_answer(1, 200, OK, "max-age=60");
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_REGISTER, 0)->cache.late,
			 1);
	is_kept(&ev);
}

#define TWO_LOGINS                                                             \
	WEBHOOK("l", "auth_on_register", "http://l/")                          \
	WEBHOOK("m", "auth_on_register", "http://m/")

/* A login on its way down the chain when the options of the next endpoint
 * change asks it as they were; what it says then is nobody else's. */
static void what_is_asked_with_options_of_old_is_not_kept(void **state)
{
	static const struct {
		const char *before, *now, *answer;
	} cases[] = {
		{ "vmq_webhooks.m.header.Tenant = a\n",
		  "vmq_webhooks.m.header.Tenant = b\n", OK },
		{ "vmq_webhooks.m.cache_refusals = on\n", "", DENY },
	};
	struct event ev = login_of("c");
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hooks *hooks;

		snprintf(text, sizeof(text), TWO_LOGINS "%s", cases[i].before);
		hooks = begin(text);
		hooks_refresh(hooks);
		ask_later(hooks, &ev);
		snprintf(text, sizeof(text), TWO_LOGINS "%s", cases[i].now);
		assert_int_equal(reload(text), 0);
		hooks_refresh(hooks);
		fake_pool_answer(0, 200, NEXT, NULL);
		fake_pool_answer(1, 200, cases[i].answer, "max-age=60");
		assert_int_equal(
			stats_of(hooks, HOOK_AUTH_ON_REGISTER, 1)->cache.late,
			1);
		assert_int_equal(broker.completed, 1);
		ask_later(hooks, &ev);
		fake_pool_answer(2, 200, NEXT, NULL);
		assert_int_equal(fake_calls_count, 4);
		fake_pool_answer(3, 200, OK, NULL);
		if (!i)
			finish(hooks);
	}
}

static void the_cache_has_its_new_bound(void **state)
{
	struct hooks *hooks = begin(PUBLISH);
	struct event ev = publish_to("t");
	char topic[16];
	uint64_t bytes;

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(topic, sizeof(topic), "%d", i);
		ev = publish_to(topic);
		keep(&ev);
		broker.now_us += MS;
		if (i == 50) /* not more than FAKE_POOL_MAX */
			fake_pool_reset();
	}
	bytes = stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0)->cache.bytes;
	assert_int_equal(reload(PUBLISH "vmq_webhooks.cache_max_bytes = "
					"16384\n"),
			 0);
	for (int i = 0; i < 20; i++) {
		broker.now_us += 10 * MS;
		hooks_tick(hooks);
	}
	assert_true(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0)->cache.bytes <
		    bytes);
	assert_true(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0)->cache.bytes <=
		    16384);
	is_kept(&ev);
	assert_int_equal(reload(PUBLISH "vmq_webhooks.cache_max_bytes = 0\n"),
			 0);
	for (int i = 0; i < 20; i++) {
		broker.now_us += 10 * MS;
		hooks_tick(hooks);
	}
	assert_int_equal(
		stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0)->cache.entries, 0);
	keep(&ev);
	keep(&ev);
	assert_int_equal(reload(PUBLISH), 0);
	keep(&ev);
	is_kept(&ev);
}

/* ---- calls ---- */

static void calls_end_as_they_began(void **state)
{
	struct hooks *hooks = begin(LOGIN "vmq_webhooks.l.on_error = allow\n");
	struct event ev = login_of("c");

	(void)state;
	hooks_refresh(hooks);
	ask_later(hooks, &ev);
	assert_int_equal(reload(WEBHOOK("x", "auth_on_register", "http://x/")),
			 0);
	hooks_refresh(hooks);
	fake_pool_fail(0, -EIO);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.decision, DECISION_OK);
	/* who asks now asks the new one */
	ask_later(hooks, &ev);
	assert_string_equal(fake_calls[1].endpoint, "http://x/");
	fake_pool_answer(1, 200, DENY, NULL);
	assert_int_equal(broker.decision, DECISION_DENY);
}

static void what_calls_carry_is_new_too(void **state)
{
	struct hooks *hooks = begin(PUBLISH);
	struct event ev = publish_to("t");

	(void)state;
	assert_int_equal(reload(PUBLISH "vmq_webhooks.header.X = 1\n"
					"vmq_webhooks.max_queue = 77\n"
					"vmq_webhooks.p.response_timeout = "
					"70\n"),
			 0);
	fake_pool_will_answer(200, OK, NULL);
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(fake_calls[0].timeout_ms, 70);
	assert_string_equal(
		fake_calls[0].headers[fake_calls[0].headers_count - 1], "X: 1");
	assert_int_equal(fake_pool_opts.max_queue, 77);
}

/* A question that began with an old chain goes its way to the end. */
static void endpoints_stay_for_who_may_still_ask_them(void **state)
{
	struct hooks *hooks =
		begin(LOGIN WEBHOOK("m", "auth_on_register", "http://m/"));
	struct event ev = login_of("c");

	(void)state;
	hooks_refresh(hooks);
	ask_later(hooks, &ev);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			reload(WEBHOOK("x", "auth_on_register", "http://x/")),
			0);
		hooks_refresh(hooks);
		assert_true(fake_pool_knows("http://l/"));
		assert_true(fake_pool_knows("http://m/"));
		assert_true(fake_pool_knows("http://x/"));
	}
	fake_pool_answer(0, 200, NEXT, NULL);
	assert_string_equal(fake_calls[1].endpoint, "http://m/");
	hooks_refresh(hooks);
	assert_true(fake_pool_knows("http://m/"));
	fake_pool_answer(1, 200, OK, NULL);
	assert_int_equal(broker.decision, DECISION_OK);
	hooks_refresh(hooks);
	assert_false(fake_pool_knows("http://l/"));
	assert_false(fake_pool_knows("http://m/"));
	assert_true(fake_pool_knows("http://x/"));
}

static void endpoints_that_nobody_can_ask_any_more_go(void **state)
{
	struct hooks *hooks = begin(LOGIN);

	(void)state;
	assert_int_equal(reload(PUBLISH), 0);
	/* the broker's thread has not looked yet */
	assert_true(fake_pool_knows("http://l/"));
	assert_true(fake_pool_knows("http://p/"));
	assert_int_equal(reload(SUBSCRIBE), 0);
	assert_int_equal(reload(WEBHOOK("x", "on_publish", "http://x/")), 0);
	/* and has never worked with these */
	assert_true(fake_pool_knows("http://l/"));
	assert_false(fake_pool_knows("http://p/"));
	hooks_tick(hooks);
	assert_false(fake_pool_knows("http://l/"));
	assert_false(fake_pool_knows("http://s/"));
	assert_true(fake_pool_knows("http://x/"));
}

/* The new ones count for an endpoint that both have. */
static void limits_of_the_new_settings_count(void **state)
{
	struct hooks *hooks = begin(LOGIN);
	struct event ev = login_of("c");

	(void)state;
	hooks_refresh(hooks);
	ask_later(hooks, &ev);
	assert_int_equal(reload(LOGIN "vmq_webhooks.max_queue = 77\n"), 0);
	assert_int_equal(fake_pool_opts.max_queue, 77);
	hooks_refresh(hooks);
	assert_int_equal(fake_pool_opts.max_queue, 77);
	fake_pool_answer(0, 200, OK, NULL);
	hooks_refresh(hooks);
	assert_int_equal(fake_pool_opts.max_queue, 77);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_settings_are_taken_up_by_the_next_callback),
		TEST(the_log_has_the_report_line_by_line),
		TEST(an_emptied_file_is_remarked_upon),
		TEST(what_is_wrong_changes_nothing),
		TEST(a_missing_file_changes_nothing),
		TEST(what_the_host_cannot_do_changes_nothing),
		TEST(without_a_source_there_is_nothing_to_read),
		TEST(who_registers_meanwhile_is_not_lost),
		TEST(whoever_always_comes_too_late_is_told_so),
		TEST(entries_of_the_unchanged_stay),
		TEST(entries_of_the_removed_go),
		TEST(what_was_asked_before_is_not_kept),
		TEST(what_is_asked_with_options_of_old_is_not_kept),
		TEST(the_cache_has_its_new_bound),
		TEST(calls_end_as_they_began),
		TEST(what_calls_carry_is_new_too),
		TEST(endpoints_stay_for_who_may_still_ask_them),
		TEST(endpoints_that_nobody_can_ask_any_more_go),
		TEST(limits_of_the_new_settings_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
