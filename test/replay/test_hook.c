/*
 * test_hook.c - the core, from an event to what the broker is asked, on a
 * pool and a clock in the test's hand.
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

static struct hooks *two_logins(void)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_register", "http://one/"),
		HOOK("b", "auth_on_register", "http://two/"),
	};

	return hooks_of(opts, 4);
}

static struct hooks *one_publish(void)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_publish", "http://one/"),
	};

	return hooks_of(opts, 2);
}

/* ---- the chain ---- */

static void without_an_endpoint_there_is_no_opinion(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = login_of("c");

	(void)state;
	assert_int_equal(ask(hooks, &ev), DECISION_NEXT);
	assert_int_equal(fake_calls_count, 0);
	finish(hooks);
}

static void the_first_ok_decides(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	fake_pool_will_answer(200, OK, NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 1);
	assert_string_equal(fake_calls[0].endpoint, "http://one/");
	assert_string_equal(fake_calls[0].hook, "auth_on_register");
	assert_false(fake_calls[0].in_lane);
	assert_non_null(strstr(fake_calls[0].body, "\"client_id\":\"c\""));
	finish(hooks);
}

static void next_asks_the_next_endpoint(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	fake_pool_will_answer(200, NEXT, NULL);
	fake_pool_will_answer(200, OK, NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 2);
	assert_string_equal(fake_calls[1].endpoint, "http://two/");
	finish(hooks);
}

static void next_from_all_is_no_opinion(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	fake_pool_will_answer(200, NEXT, NULL);
	fake_pool_will_answer(200, NEXT, NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_NEXT);
	finish(hooks);
}

static void whatever_is_no_answer_refuses_and_ends_the_chain(void **state)
{
	static const struct {
		long status;
		const char *body;
	} bad[] = {
		{ 200, DENY },
		{ 200, "" },
		{ 200, "[]" },
		{ 200, "{}" },
		{ 200, "{\"result\":1}" },
		{ 200, "ok" },
		{ 404, OK },
		{ 500, OK },
		{ 204, "" },
		{ 302, OK },
		{ 200, "{\"result\":\"ok\",\"modifiers\":{\"no\":1}}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hooks *hooks = two_logins();
		struct event ev = login_of("c");

		fake_pool_will_answer(bad[i].status, bad[i].body, NULL);
		fake_pool_will_answer(200, OK, NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_DENY);
		assert_int_equal(fake_calls_count, 1);
		assert_non_null(strstr(broker.line, "http://one/"));
		finish(hooks);
	}
}

static void a_timeout_refuses(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	assert_int_equal(fake_calls_count, 1);
	finish(hooks);
}

static void what_cannot_be_sent_refuses(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	fake_pool_refuse_next(-ENOMEM);
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	assert_int_equal(fake_calls_count, 0);
	finish(hooks);
}

/* ---- on_error ---- */

static struct hooks *lenient_login(const char *on_error)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_register", "http://one/"),
		{ "vmq_webhooks.a.on_error", on_error },
	};

	return hooks_of(opts, 3);
}

static void on_error_governs_what_is_no_answer(void **state)
{
	static const long none[] = { 429, 500, 503 };
	struct event ev = login_of("c");

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		struct hooks *hooks = lenient_login("allow");

		fake_pool_will_answer(none[i], "", NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_OK);
		assert_non_null(strstr(broker.line, "on_error = allow"));
		/* and a timeout */
		assert_int_equal(ask(hooks, &ev), DECISION_OK);
		finish(hooks);
		hooks = lenient_login("next");
		fake_pool_will_answer(none[i], "", NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_NEXT);
		finish(hooks);
	}
}

static void on_error_does_not_soften_an_answer(void **state)
{
	static const struct {
		long status;
		const char *body;
	} answers[] = {
		{ 404, OK },   { 301, OK },   { 200, "" },
		{ 200, "{}" }, { 200, DENY }, { 204, "" },
	};
	struct event ev = login_of("c");

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct hooks *hooks = lenient_login("allow");

		fake_pool_will_answer(answers[i].status, answers[i].body, NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_DENY);
		finish(hooks);
	}
}

static void on_error_allows_no_will(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_publish", "http://one/"),
		{ "vmq_webhooks.a.on_error", "allow" },
	};
	struct hooks *hooks = hooks_of(opts, 3);
	struct event ev = publish_to("t");

	(void)state;
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	ev.will = true;
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	finish(hooks);
}

/* ---- modifiers that the host cannot honour ---- */

static void a_modifier_without_effect_is_said_once(void **state)
{
	static const char reply[] = "{\"result\":\"ok\",\"modifiers\":"
				    "{\"retry_interval\":5}}";
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	fake_pool_will_answer(200, reply, NULL);
	fake_pool_will_answer(200, reply, NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_non_null(strstr(broker.line, "retry_interval"));
	assert_int_equal(broker.logged, 1);
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(broker.logged, 1);
	/* another one is another matter */
	fake_pool_will_answer(200,
			      "{\"result\":\"ok\",\"modifiers\":"
			      "{\"retry_interval\":5,\"upgrade_qos\":true}}",
			      NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(broker.logged, 2);
	assert_null(strstr(broker.line, "retry_interval"));
	assert_non_null(strstr(broker.line, "upgrade_qos"));
	finish(hooks);
}

/* ---- the cache ---- */

static void a_kept_answer_makes_no_call(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_will_answer(200, OK, "max-age=10");
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	broker.now_us += 9999000;
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 1);
	broker.now_us += 1000;
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	assert_int_equal(fake_calls_count, 2);
	finish(hooks);
}

static void another_question_is_asked(void **state)
{
	struct hooks *hooks = one_publish();
	struct event a = publish_to("t"), b = publish_to("u");

	(void)state;
	fake_pool_will_answer(200, OK, "max-age=10");
	assert_int_equal(ask(hooks, &a), DECISION_OK);
	assert_int_equal(ask(hooks, &b), DECISION_DENY);
	assert_int_equal(fake_calls_count, 2);
	finish(hooks);
}

static void only_ok_with_max_age_is_kept(void **state)
{
	static const struct {
		const char *body, *cache_control;
	} cases[] = {
		{ OK, NULL },           { OK, "no-store, max-age=10" },
		{ DENY, "max-age=10" }, { NEXT, "max-age=10" },
		{ "{}", "max-age=10" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hooks *hooks = one_publish();
		struct event ev = publish_to("t");

		fake_pool_will_answer(200, cases[i].body,
				      cases[i].cache_control);
		ask(hooks, &ev);
		ask(hooks, &ev);
		assert_int_equal(fake_calls_count, 2);
		finish(hooks);
	}
}

static void a_payload_is_not_kept(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");
	const struct verdict *v;

	(void)state;
	fake_pool_will_answer(200,
			      "{\"result\":\"ok\",\"modifiers\":"
			      "{\"topic\":\"x\",\"payload\":\"aGk=\"}}",
			      "max-age=10");
	hook_ask(hooks, &ev, false, &v, NULL);
	assert_true(verdict_has(v, MODIFIER_PAYLOAD));
	verdict_unref(v);
	assert_non_null(strstr(broker.line, "payload"));
	hook_ask(hooks, &ev, false, &v, NULL);
	assert_false(verdict_has(v, MODIFIER_PAYLOAD));
	assert_true(verdict_has(v, MODIFIER_TOPIC));
	verdict_unref(v);
	assert_int_equal(fake_calls_count, 1);
	finish(hooks);
}

static void a_clear_voids_answers_under_way(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_register", "http://one/"),
	};
	struct hooks *hooks = hooks_of(opts, 2);
	struct event ev = login_of("c");

	(void)state;
	ask_later(hooks, &ev);
	clear_all(hooks);
	fake_pool_answer(0, 200, OK, "max-age=10");
	assert_int_equal(broker.decision, DECISION_OK);
	ask_later(hooks, &ev);
	assert_int_equal(fake_calls_count, 2);
	finish(hooks);
}

static void replaced_settings_take_their_entries_along(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");
	struct settings *old, *without, *with;
	struct webhook again = { .hook = HOOK_AUTH_ON_PUBLISH,
				 .endpoint = (char *)"http://one/",
				 .timeout_ms = 5000,
				 .codec.base64_payload = true };
	struct conf_error error;

	(void)state;
	fake_pool_will_answer(200, OK, "max-age=10");
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	old = hooks_settings(hooks);
	assert_int_equal(settings_without(old, HOOK_AUTH_ON_PUBLISH,
					  "http://one/", &without),
			 0);
	assert_int_equal(hooks_apply(hooks, old, without), 0);
	hooks_refresh(hooks);
	assert_int_equal(ask(hooks, &ev), DECISION_NEXT);
	assert_int_equal(settings_with(without, &again, &with, &error), 0);
	assert_int_equal(hooks_apply(hooks, old, with), -EAGAIN);
	assert_int_equal(hooks_apply(hooks, without, with), 0);
	hooks_refresh(hooks);
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	assert_int_equal(fake_calls_count, 2);
	settings_unref(old);
	settings_unref(without);
	settings_unref(with);
	finish(hooks);
}

/* ---- delayed logins ---- */

static void a_delayed_login_is_completed_once(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");
	uint64_t ticket = ask_later(hooks, &ev);

	(void)state;
	assert_int_equal(broker.completed, 0);
	fake_pool_answer(0, 200, NEXT, NULL);
	assert_int_equal(broker.completed, 0);
	fake_pool_answer(1, 200, OK, NULL);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.decision, DECISION_OK);
	assert_int_equal(broker.ticket, ticket);
	assert_string_equal(broker.client, "c");
	finish(hooks);
	assert_int_equal(broker.completed, 1);
}

/* The first attempt's ok must not admit whoever came second. */
static void an_answer_belongs_to_its_own_login(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");
	uint64_t second;

	(void)state;
	ask_later(hooks, &ev);
	ev.password = bytes_of("another");
	second = ask_later(hooks, &ev);
	fake_pool_answer(0, 200, OK, NULL);
	assert_int_equal(broker.completed, 0);
	assert_int_equal(broker.voided, 1);
	fake_pool_answer(1, 200, DENY, NULL);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.decision, DECISION_DENY);
	assert_int_equal(broker.ticket, second);
	finish(hooks);
}

static void a_forgotten_login_is_not_completed(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	ask_later(hooks, &ev);
	hook_forget(hooks, "c");
	fake_pool_answer(0, 200, OK, NULL);
	assert_int_equal(broker.completed, 0);
	assert_int_equal(broker.voided, 1);
	finish(hooks);
}

static void a_kept_login_is_answered_at_once(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");
	const struct verdict *v;
	uint64_t ticket;

	(void)state;
	ask_later(hooks, &ev);
	fake_pool_answer(0, 200, OK, "max-age=10");
	assert_int_equal(hook_ask(hooks, &ev, true, &v, &ticket), HOOK_DONE);
	assert_int_equal(v->decision, DECISION_OK);
	verdict_unref(v);
	ev.password = bytes_of("other");
	ask_later(hooks, &ev);
	finish(hooks);
}

static void a_delayed_login_fails_closed(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	ask_later(hooks, &ev);
	fake_pool_fail(0, -ECONNREFUSED);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.decision, DECISION_DENY);
	finish(hooks);
}

/* ---- notifications ---- */

static void all_endpoints_are_told_in_the_clients_lane(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
		HOOK("b", "on_client_gone", "http://two/"),
	};
	struct hooks *hooks = hooks_of(opts, 4);
	struct event ev = login_of("c");

	(void)state;
	ev.hook = HOOK_ON_CLIENT_GONE;
	hook_tell(hooks, &ev);
	assert_int_equal(fake_calls_count, 2);
	assert_true(fake_calls[0].in_lane && fake_calls[1].in_lane);
	assert_string_equal(fake_calls[0].lane, "c");
	assert_string_equal(fake_calls[1].endpoint, "http://two/");
	/* their answers change nothing, whatever they say */
	fake_pool_answer(0, 200, DENY, NULL);
	assert_int_equal(broker.logged, 0);
	finish(hooks);
}

static void a_lost_notification_is_logged_and_the_next_ones_summed_up(
	void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
	};
	struct hooks *hooks = hooks_of(opts, 2);
	struct event ev = login_of("c");

	(void)state;
	ev.hook = HOOK_ON_CLIENT_GONE;
	for (unsigned i = 0; i < 4; i++) {
		hook_tell(hooks, &ev);
		fake_pool_answer(i, 500, "", NULL);
	}
	broker.now_us += 9999000;
	hooks_tick(hooks);
	assert_int_equal(broker.logged, 1);
	broker.now_us += 1000000;
	hooks_tick(hooks);
	assert_int_equal(broker.logged, 2);
	assert_non_null(strstr(broker.line, "3 more failures"));
	hooks_tick(hooks);
	assert_int_equal(broker.logged, 2);
	finish(hooks);
}

/* ---- how long the broker may stand still ---- */

static struct webhook_stats *publish_stats(struct hooks *hooks)
{
	return stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0);
}

static struct hooks *publish_with(const char *key, const char *value)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_publish", "http://joe:pw@one/"),
		{ key, value },
	};

	return hooks_of(opts, 3);
}

/* One after the other, the first of them lenient. */
static struct hooks *three_publishes(void)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_publish", "http://one/"),
		HOOK("b", "auth_on_publish", "http://two/"),
		HOOK("c", "auth_on_publish", "http://three/"),
		{ "vmq_webhooks.a.on_error", "next" },
		{ "vmq_webhooks.b.on_error", "next" },
		{ "vmq_webhooks.blocking_timeout", "300" },
		{ "vmq_webhooks.blocking_budget", "1000" },
	};

	return hooks_of(opts, 10);
}

static void one_callback_is_bounded_with_its_whole_chain(void **state)
{
	struct hooks *hooks = three_publishes();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(200 * MS);
	fake_pool_will_answer(200, NEXT, NULL);
	fake_pool_will_answer(200, OK, NULL);
	/* of the second 100 ms are left, of the third nothing */
	assert_int_equal(callback(hooks, &ev, DECISION_DENY), 300 * MS);
	assert_int_equal(fake_calls_count, 2);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 1)->errors, 1);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 2)->unasked, 1);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 2)->errors, 0);
	/* the next callback has its own time */
	fake_pool_takes(20 * MS);
	assert_int_equal(callback(hooks, &ev, DECISION_OK), 20 * MS);
	finish(hooks);
}

static void two_questions_of_one_callback_share_its_time(void **state)
{
	struct hooks *hooks =
		publish_with("vmq_webhooks.blocking_budget", "1000");
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(600 * MS);
	fake_pool_will_answer(200, OK, NULL);
	fake_pool_will_answer(200, OK, NULL);
	assert_int_equal(callback(hooks, &ev, DECISION_OK), 600 * MS);
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	assert_int_equal(broker.now_us, 2000 * MS);
	finish(hooks);
}

static void the_endpoints_own_timeout_is_the_lesser_bound(void **state)
{
	struct hooks *hooks =
		publish_with("vmq_webhooks.a.response_timeout", "40");
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(10 * (int64_t)SECOND);
	/* the pool ends it before, and is given a moment to say so */
	assert_in_range(callback(hooks, &ev, DECISION_DENY), 40 * MS, 140 * MS);
	assert_int_equal(fake_calls[0].timeout_ms, 40);
	finish(hooks);
}

static void many_short_calls_are_bounded_together(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(60 * MS);
	for (unsigned i = 0; i < 9; i++)
		fake_pool_will_answer(200, OK, NULL);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(callback(hooks, &ev, DECISION_OK), 60 * MS);
	/* 20 ms are left */
	assert_int_equal(callback(hooks, &ev, DECISION_DENY), 20 * MS);
	assert_int_equal(fake_calls_count, 9);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(callback(hooks, &ev, DECISION_DENY), 0);
	assert_int_equal(fake_calls_count, 9);
	assert_int_equal(publish_stats(hooks)->unasked, 100);
	assert_int_equal(publish_stats(hooks)->requests, 8);
	finish(hooks);
}

static void it_comes_back_as_the_second_slides(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");
	int64_t first = broker.now_us;

	(void)state;
	fake_pool_takes(100 * MS);
	for (unsigned i = 0; i < 6; i++)
		fake_pool_will_answer(200, OK, NULL);
	for (unsigned i = 0; i < 5; i++)
		callback(hooks, &ev, DECISION_OK);
	callback(hooks, &ev, DECISION_DENY);
	broker.now_us = first + SECOND;
	assert_int_equal(callback(hooks, &ev, DECISION_DENY), 0);
	broker.now_us = first + SECOND + 100 * MS;
	assert_int_equal(callback(hooks, &ev, DECISION_OK), 100 * MS);
	assert_int_equal(fake_calls_count, 6);
	finish(hooks);
}

static void beyond_the_bounds_on_error_decides_without_a_call(void **state)
{
	static const struct {
		const char *on_error;
		enum decision decision;
	} cases[] = {
		{ "deny", DECISION_DENY },
		{ "next", DECISION_NEXT },
		{ "allow", DECISION_OK },
	};
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct hooks *hooks = publish_with("vmq_webhooks.a.on_error",
						   cases[i].on_error);

		fake_pool_takes(SECOND);
		assert_int_equal(callback(hooks, &ev, cases[i].decision),
				 500 * MS);
		assert_int_equal(callback(hooks, &ev, cases[i].decision), 0);
		assert_int_equal(fake_calls_count, 1);
		assert_int_equal(publish_stats(hooks)->allowed_on_error,
				 cases[i].decision == DECISION_OK ? 2 : 0);
		finish(hooks);
	}
}

static void a_kept_answer_needs_no_time(void **state)
{
	struct hooks *hooks = one_publish();
	struct event a = publish_to("a"), b = publish_to("b");

	(void)state;
	fake_pool_will_answer(200, OK, "max-age=10");
	callback(hooks, &a, DECISION_OK);
	fake_pool_takes(SECOND);
	callback(hooks, &b, DECISION_DENY);
	assert_int_equal(callback(hooks, &a, DECISION_OK), 0);
	finish(hooks);
}

static void delayed_logins_need_none_either(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c"), held = login_of("d");

	(void)state;
	fake_pool_takes(SECOND);
	callback(hooks, &held, DECISION_DENY);
	ask_later(hooks, &ev);
	fake_pool_answer(1, 200, OK, NULL);
	assert_int_equal(broker.decision, DECISION_OK);
	finish(hooks);
}

static void a_thousand_is_no_bound(void **state)
{
	struct hooks *hooks =
		publish_with("vmq_webhooks.blocking_budget", "1000");
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(900 * MS);
	for (unsigned i = 0; i < 10; i++) {
		fake_pool_will_answer(200, OK, NULL);
		assert_int_equal(callback(hooks, &ev, DECISION_OK), 900 * MS);
	}
	finish(hooks);
}

static void a_shutdown_has_two_seconds_in_all(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(400 * MS);
	hooks_shut_down(hooks);
	for (unsigned i = 0; i < 5; i++) {
		fake_pool_will_answer(200, OK, NULL);
		assert_int_equal(callback(hooks, &ev, DECISION_OK), 400 * MS);
	}
	broker.now_us += 10 * (int64_t)SECOND;
	assert_int_equal(callback(hooks, &ev, DECISION_DENY), 0);
	finish(hooks);
}

/* ---- what is given up on ---- */

static void a_late_answer_is_kept(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(10 * (int64_t)SECOND);
	callback(hooks, &ev, DECISION_DENY);
	assert_int_equal(publish_stats(hooks)->requests, 0);
	fake_pool_answer(0, 200, OK, "max-age=10");
	assert_int_equal(publish_stats(hooks)->requests, 1);
	assert_int_equal(callback(hooks, &ev, DECISION_OK), 0);
	assert_int_equal(fake_calls_count, 1);
	finish(hooks);
}

static void a_late_answer_without_max_age_is_not(void **state)
{
	static const char *const bodies[] = { OK, DENY, NEXT };
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct hooks *hooks = one_publish();

		fake_pool_takes(10 * (int64_t)SECOND);
		callback(hooks, &ev, DECISION_DENY);
		fake_pool_answer(0, 200, bodies[i], i ? "max-age=10" : NULL);
		broker.now_us += 2 * SECOND;
		fake_pool_takes(0);
		callback(hooks, &ev, DECISION_DENY);
		assert_int_equal(fake_calls_count, 2);
		finish(hooks);
	}
}

static void a_late_answer_is_not_kept_past_a_clear(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(10 * (int64_t)SECOND);
	callback(hooks, &ev, DECISION_DENY);
	clear_all(hooks);
	fake_pool_answer(0, 200, OK, "max-age=10");
	broker.now_us += 2 * SECOND;
	callback(hooks, &ev, DECISION_DENY);
	assert_int_equal(fake_calls_count, 2);
	finish(hooks);
}

/* Nobody is there any longer for a late answer to decide about. */
static void a_late_answer_completes_nothing(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	fake_pool_takes(10 * (int64_t)SECOND);
	callback(hooks, &ev, DECISION_DENY);
	fake_pool_answer(0, 200, NEXT, NULL);
	assert_int_equal(broker.completed + broker.voided, 0);
	assert_int_equal(fake_calls_count, 1);
	finish(hooks);
}

static void a_late_failure_is_counted_once(void **state)
{
	struct event ev = publish_to("t");

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct hooks *hooks = one_publish();
		unsigned logged;

		fake_pool_takes(10 * (int64_t)SECOND);
		callback(hooks, &ev, DECISION_DENY);
		assert_int_equal(publish_stats(hooks)->errors, 1);
		logged = broker.logged;
		switch (i) {
		case 0:
			fake_pool_fail(0, -ETIMEDOUT);
			break;
		case 1:
			fake_pool_answer(0, 503, "", NULL);
			break;
		case 2:
			fake_pool_answer(0, 404, "", NULL);
			break;
		default:
			fake_pool_answer(0, 200, "{", NULL);
		}
		assert_int_equal(publish_stats(hooks)->errors, 1);
		assert_int_equal(publish_stats(hooks)->requests, 1);
		broker.now_us += 20 * (int64_t)SECOND;
		hooks_tick(hooks);
		assert_int_equal(broker.logged, logged);
		finish(hooks);
	}
}

/* ---- the breaker is open ---- */

static void open_on_error_decides_without_a_call(void **state)
{
	static const struct {
		const char *on_error;
		enum decision decision;
		enum pool_look look;
	} cases[] = {
		{ "deny", DECISION_DENY, POOL_LOOK_OPEN },
		{ "next", DECISION_NEXT, POOL_LOOK_OPEN },
		{ "allow", DECISION_OK, POOL_LOOK_OPEN },
		{ "deny", DECISION_DENY, POOL_LOOK_PAUSED },
		{ "next", DECISION_NEXT, POOL_LOOK_PAUSED },
		{ "allow", DECISION_OK, POOL_LOOK_PAUSED },
	};
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct hooks *hooks = publish_with("vmq_webhooks.a.on_error",
						   cases[i].on_error);

		fake_pool_looks(cases[i].look);
		fake_pool_takes(SECOND);
		assert_int_equal(callback(hooks, &ev, cases[i].decision), 0);
		assert_int_equal(fake_calls_count, 0);
		assert_int_equal(publish_stats(hooks)->unasked, 1);
		assert_int_equal(publish_stats(hooks)->errors, 0);
		/* well again */
		fake_pool_looks(POOL_LOOK_GOOD);
		fake_pool_takes(0);
		fake_pool_will_answer(200, OK, NULL);
		callback(hooks, &ev, DECISION_OK);
		finish(hooks);
	}
}

static void open_next_goes_on_down_the_chain(void **state)
{
	struct hooks *hooks = three_publishes();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_will_answer(200, NEXT, NULL);
	fake_pool_will_answer(200, NEXT, NULL);
	fake_pool_will_answer(200, OK, "max-age=10");
	callback(hooks, &ev, DECISION_OK);
	fake_pool_looks(POOL_LOOK_OPEN);
	/* past two that are open, to the answer of the third */
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(fake_calls_count, 3);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0)->unasked, 1);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 1)->unasked, 1);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 2)->unasked, 0);
	finish(hooks);
}

static void a_probe_is_sent_and_not_waited_for(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_looks(POOL_LOOK_PROBE);
	fake_pool_takes(SECOND);
	assert_int_equal(callback(hooks, &ev, DECISION_DENY), 0);
	assert_int_equal(fake_calls_count, 1);
	assert_int_equal(fake_calls[0].kind, POOL_ASIDE);
	assert_int_equal(publish_stats(hooks)->unasked, 1);
	assert_int_equal(publish_stats(hooks)->held_calls, 0);
	/* what it brings is there for the next one */
	fake_pool_answer(0, 200, OK, "max-age=10");
	assert_int_equal(publish_stats(hooks)->requests, 1);
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(fake_calls_count, 1);
	finish(hooks);
}

/* It is nobody's time that it takes. */
static void a_probe_is_sent_beyond_the_bounds_too(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(SECOND);
	callback(hooks, &ev, DECISION_DENY);
	fake_pool_looks(POOL_LOOK_PROBE);
	assert_int_equal(callback(hooks, &ev, DECISION_DENY), 0);
	assert_int_equal(fake_calls_count, 2);
	assert_int_equal(fake_calls[1].kind, POOL_ASIDE);
	finish(hooks);
}

static void a_probe_that_fails_is_counted(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_looks(POOL_LOOK_PROBE);
	callback(hooks, &ev, DECISION_DENY);
	assert_int_equal(publish_stats(hooks)->errors, 0);
	fake_pool_fail(0, -ETIMEDOUT);
	assert_int_equal(publish_stats(hooks)->errors, 1);
	/* and one that cannot be sent changes nothing */
	fake_pool_refuse_next(-ENOMEM);
	callback(hooks, &ev, DECISION_DENY);
	assert_int_equal(fake_calls_count, 1);
	assert_int_equal(publish_stats(hooks)->unasked, 2);
	finish(hooks);
}

/* The dispatcher knows better: it answers at once that it is open. */
static void a_delayed_login_that_is_not_sent_is_unasked(void **state)
{
	struct hooks *hooks = lenient_login("next");
	struct event ev = login_of("c");

	(void)state;
	fake_pool_looks(POOL_LOOK_OPEN);
	ask_later(hooks, &ev);
	assert_int_equal(fake_calls[0].kind, POOL_ASK);
	fake_pool_fail(0, -EHOSTDOWN);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.decision, DECISION_NEXT);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_REGISTER, 0)->unasked, 1);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_REGISTER, 0)->errors, 0);
	finish(hooks);
}

static void a_full_queue_is_on_error_and_no_failure(void **state)
{
	struct hooks *hooks = publish_with("vmq_webhooks.a.on_error", "allow");
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_refuse_next(-EBUSY);
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(publish_stats(hooks)->unasked, 1);
	assert_int_equal(publish_stats(hooks)->errors, 0);
	/* our own trouble is a refusal, as ever */
	fake_pool_refuse_next(-ENOMEM);
	callback(hooks, &ev, DECISION_DENY);
	finish(hooks);
}

/* ---- what the operator sees of it ---- */

static void standing_still_is_counted(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(30 * MS);
	fake_pool_will_answer(200, OK, NULL);
	callback(hooks, &ev, DECISION_OK);
	fake_pool_takes(12345);
	fake_pool_will_answer(200, OK, NULL);
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(publish_stats(hooks)->held_calls, 2);
	assert_int_equal(publish_stats(hooks)->held_us, 42345);
	/* in vain or not */
	fake_pool_takes(SECOND);
	callback(hooks, &ev, DECISION_DENY);
	assert_int_equal(publish_stats(hooks)->held_calls, 3);
	assert_int_equal(publish_stats(hooks)->held_us, 500 * MS);
	finish(hooks);
}

static void standing_still_for_long_is_said(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(100 * MS - 1);
	fake_pool_will_answer(200, OK, NULL);
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(broker.logged, 0);
	fake_pool_takes(100 * MS);
	for (unsigned i = 0; i < 3; i++) {
		fake_pool_will_answer(200, OK, NULL);
		callback(hooks, &ev, DECISION_OK);
	}
	assert_int_equal(broker.logged, 1);
	assert_non_null(strstr(broker.line, "auth_on_publish"));
	assert_non_null(strstr(broker.line, "http://one/"));
	assert_non_null(strstr(broker.line, "100 ms"));
	broker.now_us += 11 * (int64_t)SECOND;
	hooks_tick(hooks);
	assert_int_equal(broker.logged, 2);
	assert_non_null(strstr(broker.line, "2 more calls that held"));
	hooks_tick(hooks);
	assert_int_equal(broker.logged, 2);
	finish(hooks);
}

static void what_is_said_has_no_password(void **state)
{
	struct hooks *hooks = publish_with("vmq_webhooks.a.on_error", "deny");
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(200 * MS);
	fake_pool_will_answer(200, OK, NULL);
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(broker.logged, 1);
	assert_null(strstr(broker.line, "pw"));
	finish(hooks);
}

static void what_was_not_asked_is_summed_up(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_looks(POOL_LOOK_OPEN);
	for (unsigned i = 0; i < 50; i++)
		callback(hooks, &ev, DECISION_DENY);
	assert_int_equal(broker.logged, 1);
	assert_non_null(strstr(broker.line, "breaker is open"));
	hooks_stop(hooks);
	assert_int_equal(broker.logged, 2);
	assert_non_null(strstr(broker.line, "49 more questions not asked"));
	hooks_destroy(hooks);
	fake_pool_reset();
}

/* ---- headers ---- */

/* A header's value in the n-th call, or NULL. */
static const char *header(unsigned n, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < POOL_HEADERS_MAX; i++) {
		const char *line = fake_calls[n].headers[i];

		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 2;
	}
	return NULL;
}

static void expect_sequence(unsigned n, const char *sequence)
{
	const char *is = header(n, "webhook-sequence");

	if (sequence)
		assert_string_equal(is ? is : "none", sequence);
	else
		assert_null(is);
}

static struct hooks *three_notifications(void)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
		HOOK("b", "on_client_wakeup", "http://one/"),
		HOOK("c", "on_client_gone", "http://two/"),
	};

	return hooks_of(opts, 6);
}

static void tell(struct hooks *hooks, enum hook_id hook, const char *id)
{
	struct event ev = login_of(id);

	ev.hook = hook;
	hook_tell(hooks, &ev);
}

static void every_request_has_its_id_and_time(void **state)
{
	struct hooks *hooks = three_notifications();
	struct event ev = login_of("c");

	(void)state;
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	finish(hooks);
	hooks = two_logins();
	ask(hooks, &ev);
	ask_later(hooks, &ev);
	assert_int_equal(fake_calls_count, 2);
	assert_string_equal(header(0, "vernemq-hook"), "auth_on_register");
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(header(i, "webhook-timestamp"),
				    "1700000000");
		assert_non_null(header(i, "webhook-id"));
	}
	finish(hooks);
}

static void no_two_requests_have_the_same_id(void **state)
{
	char ids[12][96];
	unsigned n = 0;

	(void)state;
	/* nor do two starts of the broker */
	for (unsigned start = 0; start < 2; start++) {
		struct hooks *hooks = three_notifications();

		tell(hooks, HOOK_ON_CLIENT_GONE, "c");
		tell(hooks, HOOK_ON_CLIENT_GONE, "c");
		tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
		tell(hooks, HOOK_ON_CLIENT_WAKEUP, "d");
		for (unsigned i = 0; i < fake_calls_count; i++)
			snprintf(ids[n++], sizeof(ids[0]), "%s",
				 header(i, "webhook-id"));
		finish(hooks);
	}
	assert_int_equal(n, 12);
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(ids[i], ids[k]);
}

static void the_epoch_is_that_of_the_start(void **state)
{
	struct hooks *hooks = three_notifications();
	char epoch[96];

	(void)state;
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	broker.now_us += 3600 * (int64_t)SECOND;
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "d");
	snprintf(epoch, sizeof(epoch), "%s", header(0, "webhook-epoch"));
	/* microseconds, so that a start in the same second is another */
	assert_int_equal(strlen(epoch), 16);
	assert_memory_equal(epoch, "1700000000000", 13);
	for (unsigned i = 1; i < fake_calls_count; i++)
		assert_string_equal(header(i, "webhook-epoch"), epoch);
	finish(hooks);
}

static void events_of_one_client_to_one_endpoint_are_numbered(void **state)
{
	struct hooks *hooks = three_notifications();

	(void)state;
	hooks_know(hooks, "c");
	hooks_know(hooks, "d");
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");   /* to one and two */
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c"); /* to one */
	tell(hooks, HOOK_ON_CLIENT_GONE, "d");
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	assert_string_equal(fake_calls[0].endpoint, "http://one/");
	assert_string_equal(fake_calls[1].endpoint, "http://two/");
	expect_sequence(0, "1");
	expect_sequence(1, "1");
	expect_sequence(2, "2");
	expect_sequence(3, "1");
	expect_sequence(4, "1");
	expect_sequence(5, "3");
	expect_sequence(6, "2");
	finish(hooks);
}

static void a_lost_event_leaves_a_gap(void **state)
{
	struct hooks *hooks = three_notifications();

	(void)state;
	hooks_know(hooks, "c");
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	fake_pool_is_full(true);
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	fake_pool_is_full(false);
	fake_pool_refuse_next(-EBUSY);
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	assert_int_equal(fake_calls_count, 2);
	expect_sequence(0, "1");
	expect_sequence(1, "4");
	finish(hooks);
}

static void nobodys_events_have_no_number(void **state)
{
	struct hooks *hooks = three_notifications();

	(void)state;
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	hooks_know(hooks, "c");
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	hooks_know(hooks, "c");
	hooks_unknow(hooks, "c");
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	hooks_unknow(hooks, "c");
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	hooks_know(hooks, "c");
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	expect_sequence(0, NULL);
	expect_sequence(1, "1");
	expect_sequence(2, "2");
	expect_sequence(3, NULL);
	expect_sequence(4, "1");
	finish(hooks);
}

static void questions_have_no_number(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login_of("c");

	(void)state;
	hooks_know(hooks, "c");
	ask(hooks, &ev);
	ask_later(hooks, &ev);
	fake_pool_looks(POOL_LOOK_PROBE);
	ask(hooks, &ev);
	for (unsigned i = 0; i < 3; i++)
		expect_sequence(i, NULL);
	assert_int_equal(fake_calls_count, 3);
	finish(hooks);
}

/* ---- notifications that are lost ---- */

static void a_full_queue_drops_before_anything_is_made(void **state)
{
	struct hooks *hooks = three_notifications();
	struct webhook_stats *stats = stats_of(hooks, HOOK_ON_CLIENT_WAKEUP, 0);

	(void)state;
	fake_pool_is_full(true);
	for (unsigned i = 0; i < 7; i++)
		tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	assert_int_equal(fake_calls_count, 0);
	assert_int_equal(stats->dropped, 7);
	assert_int_equal(stats->errors, 0);
	assert_int_equal(stats->requests, 0);
	assert_int_equal(broker.logged, 1);
	assert_non_null(strstr(broker.line, "queue is full"));
	broker.now_us += 11 * (int64_t)SECOND;
	hooks_tick(hooks);
	assert_int_equal(broker.logged, 2);
	assert_non_null(strstr(broker.line, "6 more notifications lost"));
	assert_non_null(strstr(broker.line, "on_client_wakeup"));
	finish(hooks);
}

static void each_way_to_be_lost_has_its_counter(void **state)
{
	struct hooks *hooks = three_notifications();
	struct webhook_stats *stats = stats_of(hooks, HOOK_ON_CLIENT_WAKEUP, 0);

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	fake_pool_fail(0, -EBUSY);
	fake_pool_fail(1, -ETIME);
	fake_pool_fail(2, -ETIMEDOUT);
	fake_pool_answer(3, 503, "", NULL);
	fake_pool_answer(4, 200, "{", NULL);
	fake_pool_answer(5, 200, "{}", NULL);
	assert_int_equal(stats->dropped, 1);
	assert_int_equal(stats->expired, 1);
	assert_int_equal(stats->errors, 3);
	assert_int_equal(stats->undelivered, 0);
	finish(hooks);
	assert_int_equal(broker.completed, 0);
}

static void what_is_left_at_the_end_is_told_exactly(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
		HOOK("b", "on_client_wakeup", "http://one/"),
		HOOK("c", "on_client_gone", "http://two/"),
		{ "vmq_webhooks.drain_timeout", "1234" },
	};
	struct hooks *hooks = hooks_of(opts, 7);

	(void)state;
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	fake_pool_answer(1, 200, "{}", NULL); /* to two */
	fake_pool_answer(6, 200, "{}", NULL); /* the wakeup */
	fake_pool_fail(3, -ETIMEDOUT);        /* to two */
	hooks_stop(hooks);
	assert_int_equal(fake_pool_drain_ms, 1234);
	assert_int_equal(stats_of(hooks, HOOK_ON_CLIENT_GONE, 0)->undelivered,
			 3);
	assert_int_equal(stats_of(hooks, HOOK_ON_CLIENT_GONE, 1)->undelivered,
			 1);
	assert_int_equal(stats_of(hooks, HOOK_ON_CLIENT_WAKEUP, 0)->undelivered,
			 0);
	assert_int_equal(stats_of(hooks, HOOK_ON_CLIENT_GONE, 0)->errors, 0);
	assert_non_null(strstr(broker.log,
			       "on_client_gone: endpoint http://one/: 3 "
			       "notifications were not delivered"));
	assert_non_null(strstr(broker.log,
			       "on_client_gone: endpoint http://two/: 1 "
			       "notifications were not delivered"));
	assert_null(strstr(broker.log, "on_client_wakeup"));
	hooks_destroy(hooks);
	fake_pool_reset();
}

static void what_is_left_of_a_removed_webhook_is_told_too(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
		HOOK("b", "on_client_gone", "http://two/"),
	};
	struct hooks *hooks = hooks_of(opts, 4);
	struct settings *old = hooks_settings(hooks), *without;

	(void)state;
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	assert_int_equal(settings_without(old, HOOK_ON_CLIENT_GONE,
					  "http://one/", &without),
			 0);
	assert_int_equal(hooks_apply(hooks, old, without), 0);
	hooks_refresh(hooks);
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	hooks_stop(hooks);
	assert_non_null(strstr(broker.log,
			       "http://two/: 3 notifications were not "
			       "delivered"));
	assert_non_null(strstr(broker.log,
			       "2 notifications to endpoints deregistered "
			       "before were not delivered"));
	settings_unref(old);
	settings_unref(without);
	hooks_destroy(hooks);
	fake_pool_reset();
}

static void nothing_left_is_nothing_told(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
	};
	struct hooks *hooks = hooks_of(opts, 2);

	(void)state;
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	fake_pool_answer(0, 200, "{}", NULL);
	hooks_stop(hooks);
	assert_int_equal(fake_pool_drain_ms, 2000);
	assert_string_equal(broker.log, "");
	hooks_destroy(hooks);
	fake_pool_reset();
}

/* ---- what the pool is told ---- */

static void retries_and_age_are_the_webhooks_or_everybodys(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
		HOOK("b", "on_client_gone", "http://two/"),
		{ "vmq_webhooks.b.retries", "0" },
		{ "vmq_webhooks.b.max_event_age", "77" },
		{ "vmq_webhooks.retries", "9" },
		{ "vmq_webhooks.max_event_age", "88" },
	};
	struct hooks *hooks = hooks_of(opts, 4);

	(void)state;
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	assert_int_equal(fake_calls[0].retries, 3);
	assert_int_equal(fake_calls[0].max_age_ms, 60000);
	finish(hooks);
	hooks = hooks_of(opts, 8);
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	assert_int_equal(fake_calls[0].retries, 9);
	assert_int_equal(fake_calls[0].max_age_ms, 88);
	assert_int_equal(fake_calls[1].retries, 0);
	assert_int_equal(fake_calls[1].max_age_ms, 77);
	finish(hooks);
}

static void each_hook_is_a_stream(void **state)
{
	struct hooks *hooks = three_notifications();

	(void)state;
	tell(hooks, HOOK_ON_CLIENT_GONE, "c");
	tell(hooks, HOOK_ON_CLIENT_WAKEUP, "c");
	assert_int_equal(fake_calls[0].stream, HOOK_ON_CLIENT_GONE);
	assert_int_equal(fake_calls[1].stream, HOOK_ON_CLIENT_GONE);
	assert_int_equal(fake_calls[2].stream, HOOK_ON_CLIENT_WAKEUP);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_calls[i].kind, POOL_TELL);
	finish(hooks);
}

static void an_endpoint_has_the_limits_that_are_set(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
		{ "vmq_webhooks.max_queue", "11" },
		{ "vmq_webhooks.max_queue_bytes", "12" },
		{ "vmq_webhooks.breaker_failures", "13" },
		{ "vmq_webhooks.breaker_open", "14" },
		{ "vmq_webhooks.blocking_timeout", "15" },
		{ "vmq_webhooks.blocking_budget", "16" },
		{ "vmq_webhooks.pool_max_connections", "17" },
		{ "vmq_webhooks.pool_timeout", "18" },
	};
	struct hooks *hooks = hooks_of(opts, 10);

	(void)state;
	assert_string_equal(fake_pool_opts.url, "http://one/");
	assert_int_equal(fake_pool_opts.max_queue, 11);
	assert_int_equal(fake_pool_opts.max_queue_bytes, 12);
	assert_int_equal(fake_pool_opts.breaker_failures, 13);
	assert_int_equal(fake_pool_opts.breaker_open_ms, 14);
	assert_int_equal(fake_pool_opts.max_connections, 17);
	assert_int_equal(fake_pool_opts.idle_ms, 18);
	/* no call is waited for any longer than either */
	assert_int_equal(fake_pool_opts.prompt_ms, 15);
	finish(hooks);
	hooks = one_publish();
	assert_int_equal(fake_pool_opts.prompt_ms, 500);
	assert_int_equal(fake_pool_opts.breaker_failures, 5);
	assert_int_equal(fake_pool_opts.breaker_open_ms, 500);
	assert_int_equal(fake_pool_opts.max_queue, 10000);
	assert_int_equal(fake_pool_opts.max_queue_bytes, 64 * 1024 * 1024);
	finish(hooks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_an_endpoint_there_is_no_opinion),
		cmocka_unit_test(the_first_ok_decides),
		cmocka_unit_test(next_asks_the_next_endpoint),
		cmocka_unit_test(next_from_all_is_no_opinion),
		cmocka_unit_test(
			whatever_is_no_answer_refuses_and_ends_the_chain),
		cmocka_unit_test(a_timeout_refuses),
		cmocka_unit_test(what_cannot_be_sent_refuses),
		cmocka_unit_test(on_error_governs_what_is_no_answer),
		cmocka_unit_test(on_error_does_not_soften_an_answer),
		cmocka_unit_test(on_error_allows_no_will),
		cmocka_unit_test(a_modifier_without_effect_is_said_once),
		cmocka_unit_test(a_kept_answer_makes_no_call),
		cmocka_unit_test(another_question_is_asked),
		cmocka_unit_test(only_ok_with_max_age_is_kept),
		cmocka_unit_test(a_payload_is_not_kept),
		cmocka_unit_test(a_clear_voids_answers_under_way),
		cmocka_unit_test(replaced_settings_take_their_entries_along),
		cmocka_unit_test(a_delayed_login_is_completed_once),
		cmocka_unit_test(an_answer_belongs_to_its_own_login),
		cmocka_unit_test(a_forgotten_login_is_not_completed),
		cmocka_unit_test(a_kept_login_is_answered_at_once),
		cmocka_unit_test(a_delayed_login_fails_closed),
		cmocka_unit_test(all_endpoints_are_told_in_the_clients_lane),
		cmocka_unit_test(
			a_lost_notification_is_logged_and_the_next_ones_summed_up),
		cmocka_unit_test(one_callback_is_bounded_with_its_whole_chain),
		cmocka_unit_test(two_questions_of_one_callback_share_its_time),
		cmocka_unit_test(the_endpoints_own_timeout_is_the_lesser_bound),
		cmocka_unit_test(many_short_calls_are_bounded_together),
		cmocka_unit_test(it_comes_back_as_the_second_slides),
		cmocka_unit_test(
			beyond_the_bounds_on_error_decides_without_a_call),
		cmocka_unit_test(a_kept_answer_needs_no_time),
		cmocka_unit_test(delayed_logins_need_none_either),
		cmocka_unit_test(a_thousand_is_no_bound),
		cmocka_unit_test(a_shutdown_has_two_seconds_in_all),
		cmocka_unit_test(a_late_answer_is_kept),
		cmocka_unit_test(a_late_answer_without_max_age_is_not),
		cmocka_unit_test(a_late_answer_is_not_kept_past_a_clear),
		cmocka_unit_test(a_late_answer_completes_nothing),
		cmocka_unit_test(a_late_failure_is_counted_once),
		cmocka_unit_test(open_on_error_decides_without_a_call),
		cmocka_unit_test(open_next_goes_on_down_the_chain),
		cmocka_unit_test(a_probe_is_sent_and_not_waited_for),
		cmocka_unit_test(a_probe_is_sent_beyond_the_bounds_too),
		cmocka_unit_test(a_probe_that_fails_is_counted),
		cmocka_unit_test(a_delayed_login_that_is_not_sent_is_unasked),
		cmocka_unit_test(a_full_queue_is_on_error_and_no_failure),
		cmocka_unit_test(standing_still_is_counted),
		cmocka_unit_test(standing_still_for_long_is_said),
		cmocka_unit_test(what_is_said_has_no_password),
		cmocka_unit_test(what_was_not_asked_is_summed_up),
		cmocka_unit_test(every_request_has_its_id_and_time),
		cmocka_unit_test(no_two_requests_have_the_same_id),
		cmocka_unit_test(the_epoch_is_that_of_the_start),
		cmocka_unit_test(
			events_of_one_client_to_one_endpoint_are_numbered),
		cmocka_unit_test(a_lost_event_leaves_a_gap),
		cmocka_unit_test(nobodys_events_have_no_number),
		cmocka_unit_test(questions_have_no_number),
		cmocka_unit_test(a_full_queue_drops_before_anything_is_made),
		cmocka_unit_test(each_way_to_be_lost_has_its_counter),
		cmocka_unit_test(what_is_left_at_the_end_is_told_exactly),
		cmocka_unit_test(what_is_left_of_a_removed_webhook_is_told_too),
		cmocka_unit_test(nothing_left_is_nothing_told),
		cmocka_unit_test(
			retries_and_age_are_the_webhooks_or_everybodys),
		cmocka_unit_test(each_hook_is_a_stream),
		cmocka_unit_test(an_endpoint_has_the_limits_that_are_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
