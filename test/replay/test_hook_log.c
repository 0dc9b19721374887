/*
 * test_hook_log.c - what the log hears of webhooks, and how often, on a clock
 * in the test's hand.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "test/replay/fake_pool.h"
#include "test/replay/stage.h"

#define URL        "http://joe:pw@one/x?token=s3cret&plain"
#define LINE(hook) hook ": endpoint http://***@one/x?token=***&***: "

/* A webhook on `hook` with one more option, or NULL. */
static struct hooks *hooks_with(const char *hook, const char *key,
				const char *value)
{
	const struct settings_opt opts[] = {
		HOOK("a", hook, URL),
		{ key, value },
	};

	return hooks_of(opts, key ? 3 : 2);
}

static void tick_after(struct hooks *hooks, int64_t us)
{
	broker.now_us += us;
	hooks_tick(hooks);
}

/* Tell, and have it end so. */
static void told(struct hooks *hooks, int error, long status, const char *text)
{
	struct event ev = login_of("c");
	unsigned n = fake_calls_count;

	ev.hook = HOOK_ON_CLIENT_GONE;
	hook_tell(hooks, &ev);
	assert_int_equal(fake_calls_count, n + 1);
	if (error)
		fake_pool_fail_by(n, error, text);
	else
		fake_pool_answer(n, status, text, NULL);
}

static void refused(struct hooks *hooks)
{
	told(hooks, -ECONNREFUSED, 0, "connection refused");
}

static void expect_line(const char *line)
{
	assert_string_equal(broker.line, line);
}

static unsigned count(const char *part)
{
	unsigned n = 0;

	for (const char *at = strstr(broker.log, part); at;
	     at = strstr(at + 1, part))
		n++;
	return n;
}

/* ---- once, then in sums ---- */

static void a_problem_is_said_once_and_then_summed_up(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);

	(void)state;
	refused(hooks);
	assert_int_equal(broker.logged, 1);
	expect_line(LINE("on_client_gone") "connection refused");
	for (int i = 0; i < 5; i++) {
		broker.now_us += SECOND;
		refused(hooks);
	}
	tick_after(hooks, 4999 * MS);
	assert_int_equal(broker.logged, 1);
	tick_after(hooks, SECOND);
	assert_int_equal(broker.logged, 2);
	expect_line(LINE("on_client_gone") "5 more failures within 11 s, "
					   "failing for 11 s, the last: "
					   "connection refused");
	tick_after(hooks, 20 * SECOND);
	assert_int_equal(broker.logged, 2);
	assert_int_equal(broker.levels[LOG_LEVEL_ERR], 2);
	finish(hooks);
}

static void what_lasts_says_since_when(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);

	(void)state;
	refused(hooks);
	tick_after(hooks, 35 * (int64_t)SECOND);
	refused(hooks);
	expect_line(LINE("on_client_gone") "connection refused, failing for "
					   "35 s");
	tick_after(hooks, 600 * (int64_t)SECOND);
	told(hooks, 0, 503, "");
	expect_line(LINE("on_client_gone") "answered with status 503 instead "
					   "of 200, failing for 10 min");
	tick_after(hooks, 86400 * (int64_t)SECOND);
	refused(hooks);
	assert_non_null(strstr(broker.line, ", failing for 24 h"));
	finish(hooks);
}

static void the_end_sums_up_what_was_not_said(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);

	(void)state;
	for (int i = 0; i < 3; i++)
		refused(hooks);
	finish(hooks);
	expect_line(LINE("on_client_gone") "2 more failures within 0 s, the "
					   "last: connection refused");
}

static void what_was_not_said_of_a_removed_webhook_is_summed_up(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);
	struct settings *old = hooks_settings(hooks), *without;

	(void)state;
	for (int i = 0; i < 3; i++)
		refused(hooks);
	assert_int_equal(
		settings_without(old, HOOK_ON_CLIENT_GONE, URL, &without), 0);
	assert_int_equal(hooks_apply(hooks, old, without), 0);
	hooks_refresh(hooks);
	assert_int_equal(count("2 more failures"), 1);
	settings_unref(old);
	settings_unref(without);
	finish(hooks);
	assert_int_equal(broker.logged, 2);
}

/* ---- its end ---- */

static void the_end_of_a_problem_is_said_once(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);

	(void)state;
	for (int i = 0; i < 7; i++) {
		refused(hooks);
		tick_after(hooks, 5 * SECOND);
	}
	broker.logged = 0;
	told(hooks, 0, 200, "{}");
	assert_int_equal(broker.logged, 2);
	assert_int_equal(count("more failures within 5 s, failing for 35 s"),
			 1);
	expect_line(LINE("on_client_gone") "answers again after 35 s, 7 "
					   "failures meanwhile");
	assert_int_equal(broker.levels[LOG_LEVEL_WARN], 1);
	told(hooks, 0, 200, "{}");
	tick_after(hooks, 60 * (int64_t)SECOND);
	assert_int_equal(broker.logged, 2);
	/* and it begins anew */
	refused(hooks);
	expect_line(LINE("on_client_gone") "connection refused");
	finish(hooks);
}

static void what_was_soon_over_has_no_end(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);

	(void)state;
	refused(hooks);
	broker.now_us += 999 * MS;
	told(hooks, 0, 200, "{}");
	assert_int_equal(broker.logged, 1);
	tick_after(hooks, 11 * SECOND);
	refused(hooks);
	expect_line(LINE("on_client_gone") "connection refused");
	broker.now_us += SECOND;
	told(hooks, 0, 200, "{}");
	expect_line(LINE("on_client_gone") "answers again after 1 s, 1 failure "
					   "meanwhile");
	finish(hooks);
}

/* Down for a second, up for a second, for an hour. */
static void what_comes_and_goes_does_not_flood(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);

	(void)state;
	for (int i = 0; i < 100; i++) {
		refused(hooks);
		tick_after(hooks, SECOND);
		told(hooks, 0, 200, "{}");
		tick_after(hooks, SECOND);
	}
	/* of 200 s: a line in ten of each, the failures and the returns */
	assert_in_range(broker.logged, 20, 60);
	assert_non_null(strstr(broker.log, "more returns within"));
	finish(hooks);
}

static void a_refusal_by_the_endpoint_is_an_answer(void **state)
{
	struct hooks *hooks = hooks_with("auth_on_publish", NULL, NULL);
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_will_answer(500, "", NULL);
	ask(hooks, &ev);
	broker.now_us += 2 * SECOND;
	fake_pool_will_answer(200, DENY, NULL);
	ask(hooks, &ev);
	assert_int_equal(count("answers again after 2 s, 1 failure "), 1);
	finish(hooks);
}

static void what_was_not_asked_says_since_when(void **state)
{
	struct hooks *hooks = hooks_with("auth_on_publish", NULL, NULL);
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_will_answer(500, "", NULL);
	ask(hooks, &ev);
	broker.now_us += 2 * SECOND;
	fake_pool_looks(POOL_LOOK_OPEN);
	ask(hooks, &ev);
	expect_line(LINE("auth_on_publish") "not asked: its circuit breaker is "
					    "open, failing for 2 s");
	assert_null(strstr(broker.log, "answers again"));
	finish(hooks);
}

/* ---- different problems ---- */

static void problems_do_not_hide_each_other(void **state)
{
	static const struct {
		int error;
		long status;
		const char *text, *line;
	} problems[] = {
		{ -ECONNREFUSED, 0, "connection refused", "connection ref" },
		{ -EIO, 0, "TLS: expired", "TLS: expired" },
		{ 0, 500, "", "status 500" },
		{ 0, 404, "", "status 404" },
		{ 0, 200, "{", "not JSON" },
		{ -ETIME, 0, "too old", "too old" },
	};
	enum {
		PROBLEMS = sizeof(problems) / sizeof(*problems)
	};
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);

	(void)state;
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < PROBLEMS; i++) {
			told(hooks, problems[i].error, problems[i].status,
			     problems[i].text);
			if (round == 0)
				assert_non_null(
					strstr(broker.line, problems[i].line));
		}
	assert_int_equal(broker.logged, PROBLEMS);
	tick_after(hooks, 10 * SECOND);
	assert_int_equal(broker.logged, 2 * PROBLEMS);
	assert_int_equal(count("2 more failures"), PROBLEMS - 1);
	assert_int_equal(count("2 more notifications lost"), 1);
	finish(hooks);
}

static void a_measured_number_makes_no_other_problem(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);
	char text[64];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "no answer within %d ms", 95 + i);
		told(hooks, -ETIMEDOUT, 0, text);
	}
	assert_int_equal(broker.logged, 1);
	tick_after(hooks, 10 * SECOND);
	assert_non_null(strstr(broker.line, "19 more failures within 10 s"));
	assert_non_null(strstr(broker.line, "the last: no answer within 114"));
	finish(hooks);
}

/* Six have lines of their own; what an endpoint makes up has one more. */
static void ever_other_problems_do_not_flood(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);
	char text[] = "made up: aa";
	unsigned n = 0;

	(void)state;
	for (char a = 'a'; a <= 'j'; a++)
		for (char b = 'a'; b <= 'j'; b++) {
			text[sizeof(text) - 3] = a;
			text[sizeof(text) - 2] = b;
			told(hooks, -EIO, 0, text);
			n++;
		}
	assert_int_equal(broker.logged, WEBHOOK_PROBLEMS + 1);
	tick_after(hooks, 10 * SECOND);
	assert_int_equal(broker.logged, WEBHOOK_PROBLEMS + 2);
	expect_line(LINE("on_client_gone") "93 more failures within 10 s, "
					   "failing for 10 s, the last: made "
					   "up: jj");
	assert_int_equal(n, 100);
	/* lines that fell silent are free again */
	tick_after(hooks, 10 * SECOND);
	told(hooks, -EIO, 0, "another");
	told(hooks, -EIO, 0, "and one more");
	assert_int_equal(count("another"), 1);
	assert_int_equal(count("and one more"), 1);
	finish(hooks);
}

/* ---- what may come for each client ---- */

static void refusals_are_summed_up(void **state)
{
	struct hooks *hooks = hooks_with("auth_on_register", NULL, NULL);
	char id[] = "c0";

	(void)state;
	for (; id[1] < '5'; id[1]++) {
		struct event ev = login_of(id);

		fake_pool_will_answer(200, DENY, NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	}
	assert_int_equal(broker.logged, 1);
	expect_line(LINE("auth_on_register") "refused client c0: no");
	tick_after(hooks, 10 * SECOND);
	expect_line(LINE("auth_on_register") "4 more refusals within 10 s, the "
					     "last: refused client c4: no");
	assert_int_equal(broker.levels[LOG_LEVEL_INFO], 2);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_REGISTER, 0)->errors, 5);
	finish(hooks);
}

static void who_is_allowed_without_an_answer_is_summed_up(void **state)
{
	struct hooks *hooks = hooks_with("auth_on_register",
					 "vmq_webhooks.a.on_error", "allow");
	char id[] = "c0";

	(void)state;
	for (; id[1] < '5'; id[1]++) {
		struct event ev = login_of(id);

		fake_pool_will_answer(500, "", NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_OK);
	}
	assert_int_equal(broker.levels[LOG_LEVEL_WARN], 1);
	assert_int_equal(count("client c0 allowed without an answer"), 1);
	tick_after(hooks, 10 * SECOND);
	assert_int_equal(count("4 more clients allowed within 10 s, failing "
			       "for 10 s, the last: client c4 allowed"),
			 1);
	assert_int_equal(
		stats_of(hooks, HOOK_AUTH_ON_REGISTER, 0)->allowed_on_error, 5);
	finish(hooks);
}

/* ---- log_interval ---- */

static void the_interval_is_a_setting(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone",
					 "vmq_webhooks.log_interval", "2000");

	(void)state;
	refused(hooks);
	refused(hooks);
	tick_after(hooks, 1999 * MS);
	assert_int_equal(broker.logged, 1);
	tick_after(hooks, SECOND);
	assert_int_equal(broker.logged, 2);
	finish(hooks);
}

static void without_an_interval_every_line_is_written(void **state)
{
	struct hooks *hooks =
		hooks_with("on_client_gone", "vmq_webhooks.log_interval", "0");

	(void)state;
	for (int i = 0; i < 50; i++)
		refused(hooks);
	assert_int_equal(broker.logged, 50);
	tick_after(hooks, 20 * SECOND);
	assert_int_equal(broker.logged, 50);
	finish(hooks);
}

/* ---- log_level ---- */

/* One line of each level but debug, and what makes debug ones. */
static void make_noise(struct hooks *hooks)
{
	struct event ev = publish_to("t");

	fake_pool_will_answer(200, OK, "max-age=5");
	ask(hooks, &ev);
	ask(hooks, &ev);
	ev.topic = bytes_of("u");
	fake_pool_will_answer(200, NEXT, NULL);
	ask(hooks, &ev);
	fake_pool_will_answer(200, DENY, NULL);
	ask(hooks, &ev);
	fake_pool_will_answer(500, "", NULL);
	ask(hooks, &ev);
	fake_pool_will_answer(403, "", NULL);
	ask(hooks, &ev);
	fake_pool_looks(POOL_LOOK_OPEN);
	ask(hooks, &ev);
	fake_pool_looks(POOL_LOOK_GOOD);
}

static void lines_below_the_level_are_not_written(void **state)
{
	static const struct {
		const char *level;
		unsigned written[4];
	} levels[] = {
		{ "debug", { 7, 1, 1, 2 } },
		{ "info", { 0, 1, 1, 2 } },
		{ "warning", { 0, 0, 1, 2 } },
		{ "error", { 0, 0, 0, 2 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		struct hooks *hooks =
			hooks_with("auth_on_publish", "vmq_webhooks.log_level",
				   levels[i].level);

		make_noise(hooks);
		for (int k = 0; k < 4; k++)
			assert_int_equal(broker.levels[k],
					 levels[i].written[k]);
		finish(hooks);
	}
}

static void debug_tells_of_every_question(void **state)
{
	struct hooks *hooks = hooks_with("auth_on_publish",
					 "vmq_webhooks.log_level", "debug");

	(void)state;
	make_noise(hooks);
	assert_int_equal(count("client c: answered ok\n"), 1);
	assert_int_equal(count("client c: kept ok\n"), 1);
	assert_int_equal(count("client c: answered next\n"), 1);
	assert_int_equal(count("client c: answered refused: no\n"), 1);
	assert_int_equal(count("client c: no answer: answered with status 500 "
			       "instead of 200\n"),
			 1);
	assert_int_equal(count("client c: no usable answer: answered with "
			       "status 403 instead of 200\n"),
			 1);
	assert_int_equal(count("client c: no answer: not asked: its circuit "
			       "breaker is open\n"),
			 1);
	/* and one for everybody: the refusal's first */
	assert_int_equal(count("client c: "), 8);
	finish(hooks);
	hooks = hooks_with("on_client_gone", "vmq_webhooks.log_level", "debug");
	told(hooks, 0, 200, "{}");
	expect_line(LINE("on_client_gone") "told");
	finish(hooks);
}

/* ---- new settings ---- */

static void set_level_and_interval(struct hooks *hooks, const char *level,
				   const char *interval)
{
	const struct settings_opt opts[] = {
		HOOK("b", "on_client_wakeup", "http://two/"),
		{ "vmq_webhooks.log_level", level },
		{ "vmq_webhooks.log_interval", interval },
	};
	struct settings *old = hooks_settings(hooks), *fresh, *both;
	struct webhook webhook = old->chain[HOOK_ON_CLIENT_GONE][0];
	struct conf_error error;

	assert_int_equal(settings_load(opts, 4, &fresh, &error), 0);
	assert_int_equal(settings_with(fresh, &webhook, &both, &error), 0);
	assert_int_equal(hooks_apply(hooks, old, both), 0);
	hooks_refresh(hooks);
	settings_unref(old);
	settings_unref(fresh);
	settings_unref(both);
}

static void both_follow_the_settings(void **state)
{
	struct hooks *hooks = hooks_with("on_client_gone", NULL, NULL);

	(void)state;
	refused(hooks);
	refused(hooks);
	assert_int_equal(broker.logged, 1);
	set_level_and_interval(hooks, "error", "0");
	broker.logged = 0;
	refused(hooks);
	refused(hooks);
	assert_int_equal(broker.logged, 2);
	broker.now_us += 5 * SECOND;
	told(hooks, 0, 200, "{}"); /* a warning */
	assert_int_equal(broker.logged, 2);
	set_level_and_interval(hooks, "debug", "5000");
	told(hooks, 0, 200, "{}");
	assert_int_equal(broker.logged, 3);
	refused(hooks);
	refused(hooks);
	assert_int_equal(broker.logged, 4);
	tick_after(hooks, 5 * SECOND);
	assert_int_equal(broker.logged, 5);
	finish(hooks);
}

/* ---- secrets ---- */

static void no_line_has_a_secret(void **state)
{
	static const char *const secrets[] = { "joe",   "pw",     "s3cret",
					       "plain", "secret", "aGk" };
	struct hooks *hooks = hooks_with("auth_on_publish",
					 "vmq_webhooks.log_level", "debug");

	(void)state;
	make_noise(hooks);
	fake_pool_takes(200 * MS);
	fake_pool_will_answer(
		200, "{\"result\":\"ok\",\"modifiers\":{\"payload\":\"aGk=\"}}",
		"max-age=5");
	ask(hooks, &(struct event){ .hook = HOOK_AUTH_ON_PUBLISH,
				    .mountpoint = bytes_of(""),
				    .client_id = bytes_of("c"),
				    .username = bytes_of("u"),
				    .topic = bytes_of("v"),
				    .payload = bytes_of("plain") });
	assert_int_equal(count("replies with a payload"), 1);
	assert_int_equal(count("stood still"), 1);
	finish(hooks);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
		assert_null(strstr(broker.log, secrets[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_problem_is_said_once_and_then_summed_up),
		cmocka_unit_test(what_lasts_says_since_when),
		cmocka_unit_test(the_end_sums_up_what_was_not_said),
		cmocka_unit_test(
			what_was_not_said_of_a_removed_webhook_is_summed_up),
		cmocka_unit_test(the_end_of_a_problem_is_said_once),
		cmocka_unit_test(what_was_soon_over_has_no_end),
		cmocka_unit_test(what_comes_and_goes_does_not_flood),
		cmocka_unit_test(a_refusal_by_the_endpoint_is_an_answer),
		cmocka_unit_test(what_was_not_asked_says_since_when),
		cmocka_unit_test(problems_do_not_hide_each_other),
		cmocka_unit_test(a_measured_number_makes_no_other_problem),
		cmocka_unit_test(ever_other_problems_do_not_flood),
		cmocka_unit_test(refusals_are_summed_up),
		cmocka_unit_test(who_is_allowed_without_an_answer_is_summed_up),
		cmocka_unit_test(the_interval_is_a_setting),
		cmocka_unit_test(without_an_interval_every_line_is_written),
		cmocka_unit_test(lines_below_the_level_are_not_written),
		cmocka_unit_test(debug_tells_of_every_question),
		cmocka_unit_test(both_follow_the_settings),
		cmocka_unit_test(no_line_has_a_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
