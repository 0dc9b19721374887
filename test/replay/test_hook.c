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
#include "plugin/hook.h"
#include "plugin/settings.h"
#include "test/replay/fake_pool.h"

#define OK   "{\"result\":\"ok\"}"
#define NEXT "{\"result\":\"next\"}"
#define DENY "{\"result\":{\"error\":\"no\"}}"

/* What the core asked of the broker. */
static struct {
	unsigned completed, voided, logged;
	enum decision decision;
	uint64_t ticket;
	char client[64], line[1024];
	int64_t now_us;
} broker;

static void complete_auth(void *ctx, const char *client_id, uint64_t ticket,
			  const struct verdict *verdict)
{
	(void)ctx;
	if (!verdict) {
		broker.voided++;
		return;
	}
	broker.completed++;
	broker.decision = verdict->decision;
	broker.ticket = ticket;
	snprintf(broker.client, sizeof(broker.client), "%s", client_id);
}

static void log_line(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	broker.logged++;
	snprintf(broker.line, sizeof(broker.line), "%s", line);
}

static void wake(void *ctx)
{
	(void)ctx;
}

static int64_t now_us(void *ctx)
{
	(void)ctx;
	return broker.now_us;
}

static int64_t unix_ms(void *ctx)
{
	(void)ctx;
	return 1700000000000;
}

static const struct modifier_without_effect without_effect[] = {
	{ MODIFIER_RETRY_INTERVAL, "retry_interval",
	  1u << HOOK_AUTH_ON_REGISTER },
	{ MODIFIER_UPGRADE_QOS, "upgrade_qos", 1u << HOOK_AUTH_ON_REGISTER },
};

static const struct broker_ops ops = {
	.complete_auth = complete_auth,
	.log = log_line,
	.wake = wake,
	.now_us = now_us,
	.unix_ms = unix_ms,
	.delays_logins = true,
	.without_effect = without_effect,
	.without_effect_count = 2,
};

#define HOOK(name, hook, url)                                                  \
	{ "vmq_webhooks." name ".hook", hook },                                \
	{                                                                      \
		"vmq_webhooks." name ".endpoint", url                          \
	}

static struct hooks *hooks_of(const struct settings_opt *opts, size_t n)
{
	struct conf_error error;
	struct settings *s;
	struct hooks *hooks;

	memset(&broker, 0, sizeof(broker));
	broker.now_us = 1000000;
	fake_pool_clock_us = &broker.now_us;
	assert_int_equal(settings_load(opts, n, &s, &error), 0);
	assert_int_equal(hooks_create(&hooks, s, &ops, NULL), 0);
	settings_unref(s);
	return hooks;
}

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

static void end(struct hooks *hooks)
{
	hooks_stop(hooks);
	hooks_destroy(hooks);
	fake_pool_reset();
}

static struct event login(const char *id)
{
	return (struct event){
		.hook = HOOK_AUTH_ON_REGISTER,
		.mountpoint = bytes_of(""),
		.client_id = bytes_of(id),
		.username = bytes_of("u"),
		.password = bytes_of("secret"),
		.peer_addr = bytes_of("127.0.0.1"),
	};
}

static struct event publish(const char *topic)
{
	struct event ev = login("c");

	ev.hook = HOOK_AUTH_ON_PUBLISH;
	ev.password = bytes_of(NULL);
	ev.topic = bytes_of(topic);
	ev.payload = bytes_of("hi");
	return ev;
}

/* Ask and wait; returns the decision. */
static enum decision ask(struct hooks *hooks, const struct event *ev)
{
	const struct verdict *v = NULL;
	enum decision decision;

	assert_int_equal(hook_ask(hooks, ev, false, &v, NULL), HOOK_DONE);
	decision = v->decision;
	verdict_unref(v);
	return decision;
}

static uint64_t ask_later(struct hooks *hooks, const struct event *ev)
{
	const struct verdict *v;
	uint64_t ticket = 0;

	assert_int_equal(hook_ask(hooks, ev, true, &v, &ticket), HOOK_PENDING);
	assert_true(ticket != 0);
	return ticket;
}

/* ---- the chain ---- */

static void without_an_endpoint_there_is_no_opinion(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = login("c");

	(void)state;
	assert_int_equal(ask(hooks, &ev), DECISION_NEXT);
	assert_int_equal(fake_calls_count, 0);
	end(hooks);
}

static void the_first_ok_decides(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");

	(void)state;
	fake_pool_will_answer(200, OK, NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 1);
	assert_string_equal(fake_calls[0].endpoint, "http://one/");
	assert_string_equal(fake_calls[0].hook, "auth_on_register");
	assert_false(fake_calls[0].in_lane);
	assert_non_null(strstr(fake_calls[0].body, "\"client_id\":\"c\""));
	end(hooks);
}

static void next_asks_the_next_endpoint(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");

	(void)state;
	fake_pool_will_answer(200, NEXT, NULL);
	fake_pool_will_answer(200, OK, NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 2);
	assert_string_equal(fake_calls[1].endpoint, "http://two/");
	end(hooks);
}

static void next_from_all_is_no_opinion(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");

	(void)state;
	fake_pool_will_answer(200, NEXT, NULL);
	fake_pool_will_answer(200, NEXT, NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_NEXT);
	end(hooks);
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
		struct event ev = login("c");

		fake_pool_will_answer(bad[i].status, bad[i].body, NULL);
		fake_pool_will_answer(200, OK, NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_DENY);
		assert_int_equal(fake_calls_count, 1);
		assert_non_null(strstr(broker.line, "http://one/"));
		end(hooks);
	}
}

static void a_timeout_refuses(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");

	(void)state;
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	assert_int_equal(fake_calls_count, 1);
	end(hooks);
}

static void what_cannot_be_sent_refuses(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");

	(void)state;
	fake_pool_refuse_next(-ENOMEM);
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	assert_int_equal(fake_calls_count, 0);
	end(hooks);
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
	struct event ev = login("c");

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		struct hooks *hooks = lenient_login("allow");

		fake_pool_will_answer(none[i], "", NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_OK);
		assert_non_null(strstr(broker.line, "on_error = allow"));
		/* and a timeout */
		assert_int_equal(ask(hooks, &ev), DECISION_OK);
		end(hooks);
		hooks = lenient_login("next");
		fake_pool_will_answer(none[i], "", NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_NEXT);
		end(hooks);
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
	struct event ev = login("c");

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct hooks *hooks = lenient_login("allow");

		fake_pool_will_answer(answers[i].status, answers[i].body, NULL);
		assert_int_equal(ask(hooks, &ev), DECISION_DENY);
		end(hooks);
	}
}

static void on_error_allows_no_will(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_publish", "http://one/"),
		{ "vmq_webhooks.a.on_error", "allow" },
	};
	struct hooks *hooks = hooks_of(opts, 3);
	struct event ev = publish("t");

	(void)state;
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	ev.will = true;
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	end(hooks);
}

/* ---- modifiers that the host cannot honour ---- */

static void a_modifier_without_effect_is_said_once(void **state)
{
	static const char reply[] = "{\"result\":\"ok\",\"modifiers\":"
				    "{\"retry_interval\":5}}";
	struct hooks *hooks = two_logins();
	struct event ev = login("c");

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
	end(hooks);
}

/* ---- the cache ---- */

static void a_kept_answer_makes_no_call(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish("t");

	(void)state;
	fake_pool_will_answer(200, OK, "max-age=10");
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	broker.now_us += 9999000;
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 1);
	broker.now_us += 1000;
	assert_int_equal(ask(hooks, &ev), DECISION_DENY);
	assert_int_equal(fake_calls_count, 2);
	end(hooks);
}

static void another_question_is_asked(void **state)
{
	struct hooks *hooks = one_publish();
	struct event a = publish("t"), b = publish("u");

	(void)state;
	fake_pool_will_answer(200, OK, "max-age=10");
	assert_int_equal(ask(hooks, &a), DECISION_OK);
	assert_int_equal(ask(hooks, &b), DECISION_DENY);
	assert_int_equal(fake_calls_count, 2);
	end(hooks);
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
		struct event ev = publish("t");

		fake_pool_will_answer(200, cases[i].body,
				      cases[i].cache_control);
		ask(hooks, &ev);
		ask(hooks, &ev);
		assert_int_equal(fake_calls_count, 2);
		end(hooks);
	}
}

static void a_payload_is_not_kept(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish("t");
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
	end(hooks);
}

static void a_clear_voids_answers_under_way(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_register", "http://one/"),
	};
	struct hooks *hooks = hooks_of(opts, 2);
	struct event ev = login("c");

	(void)state;
	ask_later(hooks, &ev);
	hooks_cache_clear(hooks);
	fake_pool_answer(0, 200, OK, "max-age=10");
	assert_int_equal(broker.decision, DECISION_OK);
	ask_later(hooks, &ev);
	assert_int_equal(fake_calls_count, 2);
	end(hooks);
}

static void replaced_settings_take_their_entries_along(void **state)
{
	struct hooks *hooks = one_publish();
	struct event ev = publish("t");
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
	end(hooks);
}

/* ---- delayed logins ---- */

static void a_delayed_login_is_completed_once(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");
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
	end(hooks);
	assert_int_equal(broker.completed, 1);
}

/* The first attempt's ok must not admit whoever came second. */
static void an_answer_belongs_to_its_own_login(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");
	uint64_t second;

	(void)state;
	ask_later(hooks, &ev);
	second = ask_later(hooks, &ev);
	fake_pool_answer(0, 200, OK, NULL);
	assert_int_equal(broker.completed, 0);
	assert_int_equal(broker.voided, 1);
	fake_pool_answer(1, 200, DENY, NULL);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.decision, DECISION_DENY);
	assert_int_equal(broker.ticket, second);
	end(hooks);
}

static void a_forgotten_login_is_not_completed(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");

	(void)state;
	ask_later(hooks, &ev);
	hook_forget(hooks, "c");
	fake_pool_answer(0, 200, OK, NULL);
	assert_int_equal(broker.completed, 0);
	assert_int_equal(broker.voided, 1);
	end(hooks);
}

static void a_kept_login_is_answered_at_once(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");
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
	end(hooks);
}

static void a_delayed_login_fails_closed(void **state)
{
	struct hooks *hooks = two_logins();
	struct event ev = login("c");

	(void)state;
	ask_later(hooks, &ev);
	fake_pool_fail(0, -ECONNREFUSED);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.decision, DECISION_DENY);
	end(hooks);
}

/* ---- notifications ---- */

static void all_endpoints_are_told_in_the_clients_lane(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
		HOOK("b", "on_client_gone", "http://two/"),
	};
	struct hooks *hooks = hooks_of(opts, 4);
	struct event ev = login("c");

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
	end(hooks);
}

static void a_lost_notification_is_logged_and_the_next_ones_summed_up(
	void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_client_gone", "http://one/"),
	};
	struct hooks *hooks = hooks_of(opts, 2);
	struct event ev = login("c");

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
	end(hooks);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
