/* test_count.c - what is counted of calls: plugin/hook/hook_count.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include "test/replay/fake_pool.h"
#include "test/replay/stage.h"

static struct hooks *one_login(void)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_register", "http://one/"),
	};

	return hooks_of(opts, 2);
}

static struct hooks *one_telling(void)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_register", "http://one/"),
	};

	return hooks_of(opts, 2);
}

static uint64_t of(const _Atomic uint64_t *counter)
{
	return atomic_load(counter);
}

static uint64_t count_of(const struct webhook_stats *stats,
			 enum webhook_time time)
{
	struct histogram_values values = { .count = 0 };

	histogram_read(&stats->times[time], &values);
	return values.count;
}

/* One call, ended so and counted nowhere else. */
static void expect_end(const struct webhook_stats *stats, enum webhook_end end)
{
	for (int i = 0; i < ENDS; i++)
		assert_int_equal(of(&stats->ends[i]), i == (int)end);
	assert_int_equal(of(&stats->requests), 1);
	assert_int_equal(count_of(stats, TIME_TOTAL), 1);
	assert_int_equal(count_of(stats, TIME_QUEUE), 1);
}

static void expect_nothing(const struct webhook_stats *stats)
{
	for (int i = 0; i < ENDS; i++)
		assert_int_equal(of(&stats->ends[i]), 0);
	for (int i = 0; i < TIMES; i++)
		assert_int_equal(count_of(stats, i), 0);
	assert_int_equal(of(&stats->requests), 0);
	assert_int_equal(of(&stats->bytes_sent), 0);
}

static void each_answer_is_an_end_of_its_own(void **state)
{
	static const struct {
		long status;
		const char *body;
		enum webhook_end end;
		unsigned errors;
	} answers[] = {
		{ 200, OK, END_OK, 0 },
		{ 200, NEXT, END_NEXT, 0 },
		{ 200, DENY, END_DENIED, 1 },
		{ 200, "", END_REFUSED, 1 },
		{ 200, "{\"result\":1}", END_REFUSED, 1 },
		{ 200, "{\"result\":\"ok\",\"modifiers\":{\"no\":1}}",
		  END_REFUSED, 1 },
		{ 404, OK, END_REFUSED, 1 },
		{ 204, "", END_REFUSED, 1 },
		{ 429, OK, END_UNAVAILABLE, 1 },
		{ 500, OK, END_UNAVAILABLE, 1 },
		{ 503, OK, END_UNAVAILABLE, 1 },
	};
	struct event ev = login_of("c");

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct hooks *hooks = one_login();
		struct webhook_stats *stats = stats_of(hooks, ev.hook, 0);

		fake_pool_will_answer(answers[i].status, answers[i].body, NULL);
		ask(hooks, &ev);
		expect_end(stats, answers[i].end);
		assert_int_equal(of(&stats->errors), answers[i].errors);
		assert_true(of(&stats->bytes_sent) > 0);
		finish(hooks);
	}
}

static void each_failure_too(void **state)
{
	static const struct {
		int error;
		enum webhook_end end;
	} failures[] = {
		{ -ETIMEDOUT, END_TIMEOUT }, { -ECONNREFUSED, END_FAILED },
		{ -EIO, END_FAILED },        { -EFBIG, END_FAILED },
		{ -EBUSY, END_FAILED },
	};
	struct event ev = login_of("c");

	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
		struct hooks *hooks = one_login();
		struct webhook_stats *stats = stats_of(hooks, ev.hook, 0);

		ask_later(hooks, &ev);
		fake_pool_fail(0, failures[i].error);
		expect_end(stats, failures[i].end);
		assert_int_equal(of(&stats->errors), 1);
		assert_int_equal(of(&hooks_totals(hooks, ev.hook)->timeouts),
				 failures[i].end == END_TIMEOUT);
		finish(hooks);
	}
}

static void what_was_not_asked_is_no_request(void **state)
{
	struct event ev = login_of("c");
	struct hooks *hooks = one_login();
	struct webhook_stats *stats = stats_of(hooks, ev.hook, 0);

	(void)state;
	ask_later(hooks, &ev);
	fake_pool_fail(0, -EHOSTDOWN);
	fake_pool_looks(POOL_LOOK_OPEN);
	ask(hooks, &ev);
	expect_nothing(stats);
	assert_int_equal(of(&stats->unasked), 2);
	assert_int_equal(of(&stats->errors), 0);
	finish(hooks);
}

static void a_call_given_up_ends_once(void **state)
{
	struct event ev = login_of("c");
	struct hooks *hooks = one_login();
	struct webhook_stats *stats = stats_of(hooks, ev.hook, 0);

	(void)state;
	ask(hooks, &ev);
	assert_int_equal(of(&stats->given_up), 1);
	assert_int_equal(of(&stats->errors), 1);
	expect_nothing(stats);
	fake_pool_answer(0, 200, OK, NULL);
	expect_end(stats, END_OK);
	assert_int_equal(of(&stats->given_up), 1);
	assert_int_equal(of(&stats->errors), 1);
	finish(hooks);
}

/* Whoever waits for it: two that share it, nobody, or nobody any more. */
static void a_refusal_counts_once_for_each_call(void **state)
{
	struct event ev = login_of("c");
	struct hooks *hooks = one_login();
	struct webhook_stats *stats = stats_of(hooks, ev.hook, 0);

	(void)state;
	ask_later(hooks, &ev);
	ask_later(hooks, &ev);
	assert_int_equal(fake_calls_count, 1);
	fake_pool_answer(0, 200, DENY, NULL);
	expect_end(stats, END_DENIED);
	assert_int_equal(of(&stats->errors), 1);
	fake_pool_looks(POOL_LOOK_PROBE);
	ask(hooks, &ev);
	assert_int_equal(of(&stats->errors), 1);
	fake_pool_answer(1, 200, DENY, NULL);
	assert_int_equal(of(&stats->errors), 2);
	fake_pool_looks(POOL_LOOK_GOOD);
	ask(hooks, &ev);
	assert_int_equal(of(&stats->given_up), 1);
	assert_int_equal(of(&stats->errors), 3);
	fake_pool_answer(2, 200, DENY, NULL);
	assert_int_equal(of(&stats->requests), 3);
	assert_int_equal(of(&stats->ends[END_DENIED]), 3);
	assert_int_equal(of(&stats->errors), 3);
	assert_int_equal(of(&hooks_totals(hooks, ev.hook)->errors), 3);
	finish(hooks);
}

/* ---- notifications ---- */

static void a_notification_is_answered_or_not(void **state)
{
	static const struct {
		long status;
		const char *body;
		enum webhook_end end;
	} answers[] = {
		{ 200, "{}", END_OK },        { 200, OK, END_OK },
		{ 200, DENY, END_OK },        { 200, "no", END_REFUSED },
		{ 404, "{}", END_REFUSED },   { 502, "{}", END_UNAVAILABLE },
		{ 429, "", END_UNAVAILABLE },
	};
	struct event ev = login_of("c");

	(void)state;
	ev.hook = HOOK_ON_REGISTER;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct hooks *hooks = one_telling();
		struct webhook_stats *stats = stats_of(hooks, ev.hook, 0);

		hook_tell(hooks, &ev);
		fake_pool_answer(0, answers[i].status, answers[i].body, NULL);
		expect_end(stats, answers[i].end);
		assert_int_equal(of(&stats->errors), answers[i].end != END_OK);
		finish(hooks);
	}
}

static void a_notification_that_is_lost_is_no_request(void **state)
{
	static const int errors[] = { -EBUSY, -ETIME, -ECANCELED };
	struct event ev = login_of("c");

	(void)state;
	ev.hook = HOOK_ON_REGISTER;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		struct hooks *hooks = one_telling();
		struct webhook_stats *stats = stats_of(hooks, ev.hook, 0);

		hook_tell(hooks, &ev);
		fake_pool_fail(0, errors[i]);
		expect_nothing(stats);
		assert_int_equal(of(&stats->errors), 0);
		assert_int_equal(of(&stats->dropped), errors[i] == -EBUSY);
		assert_int_equal(of(&stats->expired), errors[i] == -ETIME);
		assert_int_equal(of(&stats->undelivered),
				 errors[i] == -ECANCELED);
		assert_int_equal(of(&hooks_totals(hooks, ev.hook)->requests),
				 0);
		finish(hooks);
	}
}

/* ---- times ---- */

static void a_part_that_was_not_is_not_among_the_times(void **state)
{
	const struct pool_times all = { 10, 20, 30, 70 };
	struct event ev = login_of("c");
	struct hooks *hooks = one_login();
	struct webhook_stats *stats = stats_of(hooks, ev.hook, 0);

	(void)state;
	fake_pool_times(all);
	fake_pool_will_answer(200, OK, NULL);
	ask(hooks, &ev);
	for (int i = 0; i < TIMES; i++)
		assert_int_equal(count_of(stats, i), 1);
	fake_pool_times((struct pool_times){ .total_us = 5000 });
	ask_later(hooks, &ev);
	fake_pool_fail(1, -ETIMEDOUT);
	assert_int_equal(count_of(stats, TIME_CONNECT), 1);
	assert_int_equal(count_of(stats, TIME_FIRST_BYTE), 1);
	assert_int_equal(count_of(stats, TIME_QUEUE), 2);
	assert_int_equal(count_of(stats, TIME_TOTAL), 2);
	assert_int_equal(of(&hooks_totals(hooks, ev.hook)->elapsed_us), 5070);
	finish(hooks);
}

/* ---- per hook ---- */

static void totals_outlive_their_webhooks(void **state)
{
	struct event ev = login_of("c");
	struct hooks *hooks = one_login();
	const struct hook_totals *totals = hooks_totals(hooks, ev.hook);
	struct settings *old = hooks_settings(hooks), *none;
	uint64_t sent;

	(void)state;
	fake_pool_will_answer(200, DENY, NULL);
	ask(hooks, &ev);
	assert_int_equal(of(&totals->requests), 1);
	assert_int_equal(of(&totals->errors), 1);
	sent = of(&totals->bytes_sent);
	assert_int_equal(sent, of(&stats_of(hooks, ev.hook, 0)->bytes_sent));
	assert_int_equal(settings_without(old, ev.hook, "http://one/", &none),
			 0);
	assert_int_equal(hooks_apply(hooks, old, none), 0);
	settings_unref(old);
	settings_unref(none);
	hooks_refresh(hooks);
	assert_false(hooks_has(hooks, ev.hook));
	assert_int_equal(of(&totals->requests), 1);
	assert_int_equal(of(&totals->errors), 1);
	assert_int_equal(of(&totals->bytes_sent), sent);
	/* and are the hook's own */
	assert_int_equal(
		of(&hooks_totals(hooks, HOOK_AUTH_ON_REGISTER_M5)->requests),
		0);
	finish(hooks);
}

static void a_login_that_nobody_waits_for_is_cancelled(void **state)
{
	struct event ev = login_of("c");
	struct hooks *hooks = one_login();
	const struct hook_totals *totals = hooks_totals(hooks, ev.hook);

	(void)state;
	ask_later(hooks, &ev);
	hook_forget(hooks, "c");
	fake_pool_answer(0, 200, OK, NULL);
	assert_int_equal(broker.voided, 1);
	assert_int_equal(of(&totals->cancelled), 1);
	assert_int_equal(of(&totals->errors), 0);
	ask_later(hooks, &ev);
	fake_pool_answer(1, 200, OK, NULL);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(of(&totals->cancelled), 1);
	finish(hooks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_is_an_end_of_its_own),
		cmocka_unit_test(each_failure_too),
		cmocka_unit_test(what_was_not_asked_is_no_request),
		cmocka_unit_test(a_call_given_up_ends_once),
		cmocka_unit_test(a_refusal_counts_once_for_each_call),
		cmocka_unit_test(a_notification_is_answered_or_not),
		cmocka_unit_test(a_notification_that_is_lost_is_no_request),
		cmocka_unit_test(a_part_that_was_not_is_not_among_the_times),
		cmocka_unit_test(totals_outlive_their_webhooks),
		cmocka_unit_test(a_login_that_nobody_waits_for_is_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
