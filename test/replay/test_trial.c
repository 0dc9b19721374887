/* plugin/hook/hook_trial.h, on a fake pool */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/hook/hook_trial.h"
#include "test/replay/fake_pool.h"
#include "test/replay/stage.h"

#define LIMIT_MS 4500

static const struct settings_opt opts[] = {
	HOOK("a", "auth_on_register", "http://a/"),
	HOOK("b", "auth_on_publish", "http://b/"),
	HOOK("c", "on_client_gone", "http://c/"),
	{ "vmq_webhooks.b.cache_refusals", "on" },
	{ "vmq_webhooks.b.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" },
	{ "vmq_webhooks.b.response_timeout", "100" },
};

/* What came of the last one. */
static struct {
	unsigned calls;
	enum trial_end end;
	char why[CODEC_ERROR_LEN];
	bool has_verdict, kept;
	enum decision decision;
	uint32_t given, ineffective;
	bool delayed;
	struct cache_life life;
	long status;
} got;

static void note(const struct trial_result *result, void *arg)
{
	assert_ptr_equal(arg, &got);
	got.calls++;
	got.end = result->end;
	snprintf(got.why, sizeof(got.why), "%s", result->why);
	got.has_verdict = result->verdict != NULL;
	got.decision = result->verdict ? result->verdict->decision : 0;
	got.given = result->verdict ? result->verdict->given : 0;
	got.ineffective = result->ineffective;
	got.delayed = result->delayed;
	got.kept = result->kept;
	got.life = result->life;
	got.status = result->reply->status;
}

static struct hooks *begin(void)
{
	memset(&got, 0, sizeof(got));
	return hooks_of(opts, sizeof(opts) / sizeof(opts[0]));
}

static int try_on(struct hooks *hooks, const struct event *ev)
{
	struct settings *s = hooks_settings(hooks);
	int err = hook_try(hooks, s, &s->chain[ev->hook][0], ev, LIMIT_MS, note,
			   &got);

	settings_unref(s);
	return err;
}

/* Ask, and be replied to. */
static void trial(struct hooks *hooks, const struct event *ev, long status,
		  const char *body, const char *cache_control)
{
	unsigned n = fake_calls_count, calls = got.calls;

	assert_int_equal(try_on(hooks, ev), 0);
	assert_int_equal(fake_calls_count, n + 1);
	assert_true(fake_calls[n].trial);
	assert_int_equal(got.calls, calls);
	fake_pool_answer(n, status, body, cache_control);
	assert_int_equal(got.calls, calls + 1);
}

static struct event gone(void)
{
	return (struct event){ .hook = HOOK_ON_CLIENT_GONE,
			       .client_id = bytes_of("c") };
}

static bool has_header(const struct fake_call *call, const char *name)
{
	for (size_t i = 0; i < call->headers_count; i++) {
		if (strncmp(call->headers[i], name, strlen(name)) == 0)
			return true;
	}
	return false;
}

/* ---- the request ---- */

static void it_is_a_real_request(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = publish_to("t");

	(void)state;
	trial(hooks, &ev, 200, OK, NULL);
	assert_string_equal(fake_calls[0].hook, "auth_on_publish");
	assert_int_equal(fake_calls[0].kind, POOL_ASK);
	assert_non_null(strstr(fake_calls[0].body, "\"topic\":\"t\""));
	assert_true(has_header(&fake_calls[0], "webhook-id: "));
	assert_true(has_header(&fake_calls[0], "webhook-signature: v1,"));
	/* the shorter of two limits */
	assert_int_equal(fake_calls[0].timeout_ms, 100);
	ev = login_of("c");
	trial(hooks, &ev, 200, OK, NULL);
	assert_int_equal(fake_calls[1].timeout_ms, LIMIT_MS);
	assert_non_null(strstr(fake_calls[1].body, "\"password\":\"secret\""));
	finish(hooks);
}

static void notifications_take_no_number(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = gone();

	(void)state;
	hooks_know(hooks, "c");
	hook_tell(hooks, &ev);
	trial(hooks, &ev, 200, "{}", NULL);
	hook_tell(hooks, &ev);
	assert_int_equal(fake_calls[1].kind, POOL_ASK);
	assert_false(fake_calls[1].in_lane);
	assert_false(has_header(&fake_calls[1], "webhook-sequence"));
	assert_true(has_header(&fake_calls[2], "webhook-sequence: 2"));
	finish(hooks);
}

static void secrets_are_masked_where_it_is_shown(void **state)
{
	const struct property properties[] = {
		{ .id = 21, .text = { "m", 1 } },
		{ .id = 22, .text = { "geheim", 6 } },
	};
	const struct webhook plain = { .codec.base64_payload = true };
	struct event ev = login_of("c");
	char *body;

	(void)state;
	body = hook_trial_body(&plain, &ev);
	assert_non_null(strstr(body, "\"password\":\"***\""));
	assert_null(strstr(body, "secret"));
	free(body);
	ev.password = bytes_of(NULL);
	body = hook_trial_body(&plain, &ev);
	assert_non_null(strstr(body, "\"password\":null"));
	free(body);
	ev.hook = HOOK_ON_AUTH_M5;
	ev.properties = properties;
	ev.properties_count = 2;
	body = hook_trial_body(&plain, &ev);
	assert_non_null(strstr(body, "\"p_authentication_data\":\"Kioq\""));
	assert_non_null(strstr(body, "\"p_authentication_method\":\"m\""));
	free(body);
}

/* ---- what comes of it ---- */

static void each_reply_has_its_end(void **state)
{
	static const struct {
		long status;
		const char *body;
		enum trial_end end;
		enum decision decision; /* of an answer */
	} cases[] = {
		{ 200, OK, TRIAL_ANSWERED, DECISION_OK },
		{ 200, NEXT, TRIAL_ANSWERED, DECISION_NEXT },
		{ 200, DENY, TRIAL_ANSWERED, DECISION_DENY },
		{ 200, "{}", TRIAL_MALFORMED, 0 },
		{ 200, "x", TRIAL_MALFORMED, 0 },
		{ 404, OK, TRIAL_REFUSED, 0 },
		{ 201, OK, TRIAL_REFUSED, 0 },
		{ 500, OK, TRIAL_UNAVAILABLE, 0 },
		{ 429, OK, TRIAL_UNAVAILABLE, 0 },
	};
	struct hooks *hooks = begin();
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		trial(hooks, &ev, cases[i].status, cases[i].body, NULL);
		assert_int_equal(got.end, cases[i].end);
		assert_int_equal(got.status, cases[i].status);
		assert_int_equal(got.has_verdict,
				 cases[i].end == TRIAL_ANSWERED);
		assert_int_equal(got.decision, cases[i].decision);
		assert_int_equal(*got.why != '\0',
				 cases[i].end != TRIAL_ANSWERED);
		assert_false(got.kept);
	}
	finish(hooks);
}

static void so_has_no_reply(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = publish_to("t");

	(void)state;
	assert_int_equal(try_on(hooks, &ev), 0);
	fake_pool_fail(0, -ETIMEDOUT);
	assert_int_equal(got.calls, 1);
	assert_int_equal(got.end, TRIAL_UNAVAILABLE);
	assert_string_equal(got.why, "failed");
	finish(hooks);
}

static void a_notification_has_no_verdict(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = gone();

	(void)state;
	trial(hooks, &ev, 200, DENY, "max-age=60");
	assert_int_equal(got.end, TRIAL_ANSWERED);
	assert_false(got.has_verdict);
	assert_false(got.kept);
	trial(hooks, &ev, 200, "x", NULL);
	assert_int_equal(got.end, TRIAL_MALFORMED);
	finish(hooks);
}

static void tells_what_has_no_effect(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = login_of("c");

	(void)state;
	trial(hooks, &ev, 200,
	      "{\"result\":\"ok\",\"modifiers\":{\"upgrade_qos\":true,"
	      "\"username\":\"n\"}}",
	      NULL);
	assert_int_equal(got.given,
			 1u << MODIFIER_UPGRADE_QOS | 1u << MODIFIER_USERNAME);
	assert_int_equal(got.ineffective, 1u << MODIFIER_UPGRADE_QOS);
	finish(hooks);
}

static void tells_of_logins_that_are_delayed(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct settings_opt own[] = {
			HOOK("a",
			     i < 2 ? "auth_on_register" : "auth_on_publish",
			     "http://a/"),
			{ "vmq_webhooks.a.blocking", i == 1 ? "on" : "off" },
		};
		struct event ev = i < 2 ? login_of("c") : publish_to("t");
		struct hooks *hooks = hooks_of(own, 3);

		trial(hooks, &ev, 200, NEXT, NULL);
		assert_int_equal(got.delayed, i == 0);
		finish(hooks);
	}
}

static void tells_for_how_long_it_would_be_kept(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = publish_to("t");

	(void)state;
	trial(hooks, &ev, 200, OK, "max-age=60, stale-if-error=5");
	assert_true(got.kept);
	assert_int_equal(got.life.fresh_ms, 60000);
	assert_int_equal(got.life.stale_if_error_ms, 5000);
	trial(hooks, &ev, 200, OK, "no-store, max-age=60");
	assert_false(got.kept);
	trial(hooks, &ev, 200, NEXT, "max-age=60");
	assert_false(got.kept);
	/* cache_refusals is on for this one alone */
	trial(hooks, &ev, 200, DENY, "max-age=60");
	assert_true(got.kept);
	ev = login_of("c");
	trial(hooks, &ev, 200, DENY, "max-age=60");
	assert_false(got.kept);
	trial(hooks, &ev, 200, OK, "max-age=60");
	assert_true(got.kept);
	finish(hooks);
}

/* ---- what does not ---- */

static void nothing_is_counted_kept_or_logged(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = publish_to("t");
	const struct webhook_stats *stats =
		stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0);

	(void)state;
	trial(hooks, &ev, 200, OK, "max-age=60");
	trial(hooks, &ev, 200, DENY, "max-age=60");
	trial(hooks, &ev, 500, OK, NULL);
	trial(hooks, &ev, 200, "x", NULL);
	assert_int_equal(stats->requests, 0);
	assert_int_equal(stats->errors, 0);
	assert_int_equal(stats->bytes_sent, 0);
	assert_int_equal(stats->cache.entries, 0);
	assert_int_equal(stats->cache.misses, 0);
	assert_int_equal(broker.logged, 0);
	/* who comes is asked about */
	fake_pool_will_answer(200, OK, NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 5);
	finish(hooks);
}

static void what_is_kept_stays(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_will_answer(200, OK, "max-age=60");
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	trial(hooks, &ev, 200, DENY, NULL);
	assert_int_equal(ask(hooks, &ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 2);
	finish(hooks);
}

static void a_webhook_need_not_be_in_force(void **state)
{
	struct webhook webhook = { .hook = HOOK_AUTH_ON_SUBSCRIBE,
				   .endpoint = strdup("http://x/"),
				   .timeout_ms = 50,
				   .codec.base64_payload = true };
	struct hooks *hooks = begin();
	struct settings *old = hooks_settings(hooks), *s;
	struct topic topic = { .filter = { "a/#", 3 }, .qos = 1 };
	struct event ev = { .hook = HOOK_AUTH_ON_SUBSCRIBE,
			    .client_id = bytes_of("c"),
			    .topics = &topic,
			    .topics_count = 1 };
	struct conf_error error;

	(void)state;
	assert_int_equal(settings_with(old, &webhook, &s, &error), 0);
	assert_int_equal(hook_try(hooks, s, &s->chain[ev.hook][0], &ev,
				  LIMIT_MS, note, &got),
			 0);
	settings_unref(s);
	settings_unref(old);
	assert_int_equal(fake_calls[0].timeout_ms, 50);
	fake_pool_answer(0, 200, OK, NULL);
	assert_int_equal(got.decision, DECISION_OK);
	assert_false(hooks_has(hooks, HOOK_AUTH_ON_SUBSCRIBE));
	free(webhook.endpoint);
	finish(hooks);
}

static void what_cannot_be_sent_ends_at_once(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_refuse_next(-EBUSY);
	assert_int_equal(try_on(hooks, &ev), -EBUSY);
	assert_int_equal(got.calls, 0);
	finish(hooks);
}

static void the_end_of_the_broker_is_its_end(void **state)
{
	struct hooks *hooks = begin();
	struct event ev = publish_to("t");

	(void)state;
	assert_int_equal(try_on(hooks, &ev), 0);
	finish(hooks);
	assert_int_equal(got.calls, 1);
	assert_int_equal(got.end, TRIAL_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_a_real_request),
		cmocka_unit_test(notifications_take_no_number),
		cmocka_unit_test(secrets_are_masked_where_it_is_shown),
		cmocka_unit_test(each_reply_has_its_end),
		cmocka_unit_test(so_has_no_reply),
		cmocka_unit_test(a_notification_has_no_verdict),
		cmocka_unit_test(tells_what_has_no_effect),
		cmocka_unit_test(tells_of_logins_that_are_delayed),
		cmocka_unit_test(tells_for_how_long_it_would_be_kept),
		cmocka_unit_test(nothing_is_counted_kept_or_logged),
		cmocka_unit_test(what_is_kept_stays),
		cmocka_unit_test(a_webhook_need_not_be_in_force),
		cmocka_unit_test(what_cannot_be_sent_ends_at_once),
		cmocka_unit_test(the_end_of_the_broker_is_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
