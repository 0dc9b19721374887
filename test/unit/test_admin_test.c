/* plugin/admin/commands_test.c, trial_event.h, verdict_text.h */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/admin/trial_event.h"
#include "plugin/admin/verdict_text.h"
#include "plugin/hook_table.h"
#include "plugin/hook/hook_trial.h"
#include "pool/pool.h"
#include "test/unit/admin_fixture.h"
#include "test/unit/http_server.h"

#define TRY ADMIN_ROOT "test?hook="

static struct admin_answer r;

/* ---- fields ---- */

static int make(enum hook_id hook, const struct admin_field *fields, size_t n,
		struct trial_event *ret, char *why)
{
	why[0] = '\0';
	return trial_event_make(hook, fields, n, ret, why);
}

static bool is(struct bytes bytes, const char *text)
{
	return bytes.data && bytes.len == strlen(text) &&
	       memcmp(bytes.data, text, bytes.len) == 0;
}

static void fields_make_an_event(void **state)
{
	static const struct admin_field login[] = {
		{ "client_id", "c" },     { "username", "u" },
		{ "password", "" },       { "peer_addr", "::1" },
		{ "peer_port", "65535" }, { "clean_session", "false" },
		{ "mountpoint", "m" },
	};
	static const struct admin_field publish[] = {
		{ "topic", "a/b" },
		{ "payload", "" },
		{ "qos", "2" },
		{ "retain", "true" },
		{ "p_content_type", "text" },
		{ "p_correlation_data", "7" },
	};
	struct trial_event t;
	char why[ADMIN_ERROR_LEN];

	(void)state;
	assert_int_equal(make(HOOK_AUTH_ON_REGISTER, login, 7, &t, why), 0);
	assert_int_equal(t.ev.hook, HOOK_AUTH_ON_REGISTER);
	assert_true(is(t.ev.client_id, "c") && is(t.ev.username, "u") &&
		    is(t.ev.password, "") && is(t.ev.peer_addr, "::1") &&
		    is(t.ev.mountpoint, "m"));
	assert_int_equal(t.ev.peer_port, 65535);
	assert_false(t.ev.clean);
	assert_non_null(t.ev.listener);
	assert_int_equal(make(HOOK_AUTH_ON_PUBLISH_M5, publish, 6, &t, why), 0);
	assert_true(is(t.ev.topic, "a/b") && is(t.ev.payload, ""));
	assert_int_equal(t.ev.qos, 2);
	assert_true(t.ev.retain);
	assert_int_equal(t.ev.properties_count, 2);
	assert_int_equal(t.ev.properties[1].id, 9);
	assert_true(is(t.ev.properties[1].text, "7"));
	assert_null(t.ev.listener);
}

static void a_subscription_has_one_filter(void **state)
{
	static const struct admin_field fields[] = { { "topic", "a/#" },
						     { "qos", "1" } };
	struct trial_event t;
	char why[ADMIN_ERROR_LEN];

	(void)state;
	assert_int_equal(make(HOOK_ON_SUBSCRIBE, fields, 2, &t, why), 0);
	assert_int_equal(t.ev.topics_count, 1);
	assert_true(is(t.ev.topics[0].filter, "a/#"));
	assert_int_equal(t.ev.topics[0].qos, 1);
	assert_int_equal(make(HOOK_ON_UNSUBSCRIBE, fields, 1, &t, why), 0);
	assert_int_equal(t.ev.topics_count, 1);
	assert_int_equal(make(HOOK_ON_UNSUBSCRIBE, fields, 2, &t, why),
			 -EINVAL);
}

/* Of each hook the request can be written. */
static void without_fields_it_is_a_strangers(void **state)
{
	const struct codec_opts opts = { .base64_payload = true };
	struct trial_event t;
	char why[ADMIN_ERROR_LEN], *body;
	size_t len;

	(void)state;
	for (int h = 0; h < HOOK_COUNT; h++) {
		assert_int_equal(make(h, NULL, 0, &t, why), 0);
		assert_int_equal(codec_encode(&t.ev, &opts, &body, &len), 0);
		assert_non_null(strstr(body, "vmq-admin-test"));
		free(body);
	}
}

static void impossible_fields_are_refused(void **state)
{
	static const struct {
		enum hook_id hook;
		struct admin_field field;
		const char *why;
	} cases[] = {
		{ HOOK_ON_REGISTER,
		  { "topic", "t" },
		  "on_register has no field \"topic\"; there are mountpoint, "
		  "client_id, username, peer_addr, peer_port" },
		{ HOOK_ON_CLIENT_GONE, { "username", "u" }, "has no field" },
		{ HOOK_ON_PUBLISH, { "topik", "t" }, "did you mean \"topic\"" },
		{ HOOK_AUTH_ON_REGISTER,
		  { "clean_start", "true" },
		  "no field" },
		{ HOOK_AUTH_ON_REGISTER_M5,
		  { "clean_session", "true" },
		  "no field" },
		{ HOOK_AUTH_ON_REGISTER,
		  { "clean_session", "yes" },
		  "clean_session is true or false, not \"yes\"" },
		{ HOOK_ON_PUBLISH,
		  { "qos", "3" },
		  "qos is a number up to 2, not \"3\"" },
		{ HOOK_ON_PUBLISH, { "qos", "" }, "qos is a number" },
		{ HOOK_ON_PUBLISH, { "qos", "-1" }, "qos is a number" },
		{ HOOK_ON_REGISTER,
		  { "peer_port", "65536" },
		  "peer_port is a number up to 65535" },
		{ HOOK_ON_REGISTER,
		  { "peer_port", "99999999999999999999" },
		  "peer_port is a number" },
		{ HOOK_ON_PUBLISH, { "p_content_type", "x" }, "no field" },
		{ HOOK_ON_PUBLISH_M5,
		  { "p_authentication_data", "x" },
		  "no field" },
	};
	struct trial_event t;
	char why[ADMIN_ERROR_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
			make(cases[i].hook, &cases[i].field, 1, &t, why),
			-EINVAL);
		if (!strstr(why, cases[i].why))
			fail_msg("%s", why);
	}
}

/* ---- words ---- */

static struct verdict_text words(const struct trial_result *result)
{
	struct verdict_text text;

	verdict_text_write(result, &text);
	return text;
}

static void a_delayed_login_passes_on_to_endpoints_alone(void **state)
{
	const struct webhook webhook = { .hook = HOOK_AUTH_ON_REGISTER };
	struct trial_result result = {
		.webhook = &webhook,
		.end = TRIAL_ANSWERED,
		.verdict = &verdict_next,
	};

	(void)state;
	assert_non_null(strstr(words(&result).means, "refuses if nobody"));
	result.delayed = true;
	assert_non_null(
		strstr(words(&result).means, "refuses if there is none"));
}

static void verdicts_have_words(void **state)
{
	const struct webhook asks = { .hook = HOOK_AUTH_ON_PUBLISH,
				      .on_error = ON_ERROR_NEXT };
	const struct webhook tells = { .hook = HOOK_ON_PUBLISH, .retries = 3 };
	const struct {
		const struct webhook *webhook;
		enum trial_end end;
		const struct verdict *verdict;
		const char *says, *means;
	} cases[] = {
		{ &asks, TRIAL_ANSWERED, &verdict_ok, "ok", "allows" },
		{ &asks, TRIAL_ANSWERED, &verdict_next, "next",
		  "passes on to the hook's next endpoint" },
		{ &asks, TRIAL_MALFORMED, NULL, "malformed: it is so",
		  "refuses, whatever on_error says" },
		{ &asks, TRIAL_REFUSED, NULL, "refused: it is so",
		  "refuses, whatever on_error says" },
		{ &asks, TRIAL_UNAVAILABLE, NULL, "no answer: it is so",
		  "on_error = next" },
		{ &tells, TRIAL_ANSWERED, NULL, "told", "delivered" },
		{ &tells, TRIAL_MALFORMED, NULL, "malformed: it is so",
		  "delivered, and counted as an error" },
		{ &tells, TRIAL_REFUSED, NULL, "refused: it is so", "lost" },
		{ &tells, TRIAL_UNAVAILABLE, NULL, "no answer: it is so",
		  "sent again up to 3 times" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct trial_result result = {
			.webhook = cases[i].webhook,
			.end = cases[i].end,
			.verdict = cases[i].verdict,
			.why = "it is so",
		};
		struct verdict_text text = words(&result);

		assert_string_equal(text.verdict, cases[i].says);
		if (!strstr(text.means, cases[i].means))
			fail_msg("%s", text.means);
		assert_string_equal(text.modifiers, "");
		assert_string_equal(text.kept, "");
	}
}

static void a_denial_has_its_reason(void **state)
{
	const struct webhook asks = { .hook = HOOK_AUTH_ON_PUBLISH };
	struct trial_result result = { .webhook = &asks,
				       .verdict = verdict_deny("go away") };
	struct verdict_text text = words(&result);

	(void)state;
	assert_string_equal(text.verdict, "refused: go away");
	assert_string_equal(text.means, "refuses");
	verdict_unref(result.verdict);
}

static void modifiers_have_names(void **state)
{
	static char longer[300];
	const struct webhook asks = { .hook = HOOK_AUTH_ON_PUBLISH };
	const struct modifier_value values[] = {
		{ MODIFIER_TOPIC, 0, { "a/b", 3 } },
		{ MODIFIER_QOS, 2, { NULL, 0 } },
		{ MODIFIER_PAYLOAD, 0, { "secret", 6 } },
		{ MODIFIER_USERNAME, 0, { longer, sizeof(longer) } },
	};
	const struct topic topics[] = {
		{ .filter = { "a/#", 3 }, .qos = 1 },
		{ .filter = { "b", 1 }, .qos = 128 },
	};
	const struct verdict verdict = {
		.decision = DECISION_OK,
		.given = 1u << MODIFIER_TOPICS | 1u << MODIFIER_PROPERTIES,
		.values = values,
		.values_count = 4,
		.topics = topics,
		.topics_count = 2,
		.properties_count = 3,
	};
	const struct trial_result result = {
		.webhook = &asks,
		.verdict = &verdict,
		.ineffective = 1u << MODIFIER_QOS,
	};
	struct verdict_text text;

	(void)state;
	memset(longer, 'x', sizeof(longer));
	text = words(&result);
	assert_int_equal(
		strncmp(text.modifiers,
			"topic = a/b; qos = 2 (no effect on this Mosquitto); "
			"payload = 6 bytes; username = xxx",
			80),
		0);
	assert_non_null(strstr(text.modifiers,
			       "xxx...; topics = a/# qos 1, b refused; "
			       "properties = 3 of them"));
	assert_null(strstr(text.modifiers, "secret"));
}

static void lives_have_words(void **state)
{
	const struct webhook asks = { .hook = HOOK_AUTH_ON_PUBLISH };
	struct trial_result result = {
		.webhook = &asks,
		.verdict = &verdict_ok,
		.kept = true,
		.life = { 60000, 0, 0 },
	};

	(void)state;
	assert_string_equal(words(&result).kept, "for 60 s");
	result.life.stale_while_revalidate_ms = 5000;
	result.life.stale_if_error_ms = 7000;
	assert_string_equal(words(&result).kept,
			    "for 60 s, 5 s more while it is asked for anew, "
			    "7 s more if that fails");
}

/* ---- the command ---- */

static void begin(struct admin_fixture *f)
{
	static char url[2][128];

	snprintf(url[0], sizeof(url[0]), "%s",
		 http_server_url(f->server, "/a"));
	snprintf(url[1], sizeof(url[1]), "%s",
		 http_server_url(f->server, "/b"));
	const struct settings_opt opts[] = {
		ADMIN_WEBHOOK("a", "auth_on_register", url[0]),
		ADMIN_WEBHOOK("b", "auth_on_register", url[1]),
		ADMIN_WEBHOOK("c", "on_publish", url[0]),
	};

	admin_start(f, opts, sizeof(opts) / sizeof(opts[0]));
}

static void answer(struct admin_fixture *f, const char *body)
{
	const struct http_answer a = {
		.headers = "Cache-Control: max-age=60\r\n",
		.body = { body, strlen(body) },
	};

	http_server_answer(f->server, &a);
}

static void asks_each_endpoint_in_order(void **state)
{
	struct admin_fixture *f = *state;
	const char *first, *second;

	begin(f);
	answer(f, "{\"result\":\"ok\"}");
	admin_get(f, TRY "auth_on_register&client_id=c1&password=geheim", &r);
	assert_int_equal(r.status, 200);
	first = strstr(r.body, "/a\",\"request\":\"{\\\"peer_addr");
	assert_non_null(first);
	second = strstr(first, "/b\",\"request\":\"{\\\"peer_addr");
	assert_non_null(second);
	assert_non_null(strstr(second, "\\\"client_id\\\":\\\"c1\\\""));
	assert_non_null(strstr(second, "\\\"password\\\":\\\"***\\\""));
	assert_non_null(strstr(second,
			       "\"status\":200,"
			       "\"cache_control\":\"max-age=60\","
			       "\"reply\":\"{\\\"result\\\":\\\"ok\\\"}\","
			       "\"reply_cut\":\"\",\"verdict\":\"ok\","
			       "\"modifiers\":\"\",\"means\":\"allows\","
			       "\"kept\":\"for 60 s\",\"queue_ms\":"));
	assert_null(strstr(second, "\"total_ms\":0}"));
	assert_null(strstr(r.body, "geheim"));
	assert_non_null(strstr(http_server_request(f->server, 0)->body,
			       "\"password\":\"geheim\""));
	admin_expect_log(f, "admin: tested hook=auth_on_register by uid ");
}

static void asks_the_one_that_is_named(void **state)
{
	struct admin_fixture *f = *state;
	char target[256];

	begin(f);
	answer(f, "{}");
	snprintf(target, sizeof(target), TRY "auth_on_register&endpoint=%s",
		 http_server_url(f->server, "/b"));
	admin_get(f, target, &r);
	assert_non_null(strstr(r.body, "/b\",\"request\""));
	assert_null(strstr(r.body, "/a\",\"request\""));
	assert_non_null(strstr(r.body, "\"verdict\":\"malformed: the reply has "
				       "no"));
	/* and one that is not registered */
	snprintf(target, sizeof(target), TRY "on_client_gone&endpoint=%s",
		 http_server_url(f->server, "/new"));
	admin_get(f, target, &r);
	assert_non_null(strstr(r.body, "/new\",\"request\""));
	assert_non_null(strstr(r.body, "\"verdict\":\"told\""));
	admin_expect_part(f, ADMIN_ROOT "show", 200, "on_publish");
	admin_get(f, ADMIN_ROOT "show", &r);
	assert_null(strstr(r.body, "on_client_gone"));
}

static void says_what_is_wrong(void **state)
{
	struct admin_fixture *f = *state;

	begin(f);
	admin_expect_part(f, ADMIN_ROOT "test", 400, "hook is missing");
	admin_expect_part(f, TRY "on_register", 400,
			  "on_register has no endpoint; name one");
	admin_expect_part(f, TRY "on_publish&qos=x", 400, "qos is a number");
	admin_expect_part(f, TRY "on_publish&qos=1&qos=1", 400,
			  "qos is given twice");
	admin_expect_part(f, TRY "on_publish&--qos=1", 400, "unknown argument");
	admin_expect_part(f, TRY "on_publish&endpoint=http://[::1", 400,
			  "cannot ask http://[::1: ");
	admin_expect_part(f, TRY "on_publish&endpoint=http://u:secret@[::1",
			  400, "cannot ask http://***@[::1: ");
	assert_string_equal(f->log, "");
}

static void fields_are_bounded(void **state)
{
	struct admin_fixture *f = *state;
	char target[1024] = TRY "on_publish";

	begin(f);
	for (int i = 0; i <= ADMIN_FIELDS; i++) {
		size_t len = strlen(target);

		snprintf(target + len, sizeof(target) - len, "&f%d=1", i);
	}
	admin_expect_part(f, target, 400, "more than 24 fields");
	/* elsewhere there are none */
	admin_expect_part(f, ADMIN_ROOT "show?f=1", 400, "unknown argument");
}

static void an_error_is_a_row(void **state)
{
	struct admin_fixture *f = *state;

	begin(f);
	admin_get(f, TRY "on_publish&endpoint=http://127.0.0.1:1/", &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "\"status\":null,"));
	assert_non_null(strstr(r.body, "\"verdict\":\"no answer: "));
}

static void long_replies_are_cut(void **state)
{
	static char longer[10000];
	struct admin_fixture *f = *state;

	begin(f);
	memset(longer, 'y', sizeof(longer) - 1);
	answer(f, longer);
	admin_get(f, TRY "on_publish", &r);
	assert_non_null(strstr(r.body, "\"reply_cut\":\"9999 bytes in all\""));
	assert_true(strlen(r.body) < 6000);
}

static bool is_asked(void *arg)
{
	struct admin_fixture *f = arg;

	return pool_collect(hooks_pool(f->hooks)) > 0;
}

/* The broker's thread goes on, and the breaker and cache know nothing. */
static void nothing_follows(void **state)
{
	const struct http_answer never = { .hold = true };
	struct pool_endpoint_stats stats;
	struct admin_fixture *f = *state;
	struct settings *s;
	int fd;

	begin(f);
	http_server_answer(f->server, &never);
	fd = admin_dial(f);
	admin_send(fd, TRY "on_publish");
	/* to the broker's thread, and on from there */
	admin_tick_until(f, is_asked, f);
	assert_true(http_server_wait_held(f->server, 1));
	s = hooks_settings(f->hooks);
	assert_int_equal(pool_get_stats(hooks_pool(f->hooks),
					s->chain[HOOK_ON_PUBLISH][0].target,
					&stats),
			 0);
	settings_unref(s);
	assert_int_equal(stats.sent, 0);
	assert_int_equal(stats.in_flight, 0);
	http_server_release(f->server);
	admin_read(f, fd, &r);
	assert_int_equal(r.status, 200);
}

static void only_so_many_at_a_time(void **state)
{
	const struct http_answer never = { .hold = true };
	struct admin_fixture *f = *state;
	int fds[8];

	begin(f);
	http_server_answer(f->server, &never);
	for (unsigned i = 0; i < 8; i++) {
		fds[i] = admin_dial(f);
		admin_send(fds[i], TRY "on_publish");
		while (pool_collect(hooks_pool(f->hooks)) < i + 1)
			poll(NULL, 0, 1);
	}
	admin_expect_part(f, TRY "on_publish", 503, "8 others are being");
	assert_true(http_server_wait_held(f->server, 8));
	answer(f, "{}");
	http_server_release(f->server);
	for (unsigned i = 0; i < 8; i++)
		admin_read(f, fds[i], &r);
	admin_get(f, TRY "on_publish", &r);
	assert_int_equal(r.status, 200);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, admin_set_up, admin_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_make_an_event),
		cmocka_unit_test(a_subscription_has_one_filter),
		cmocka_unit_test(without_fields_it_is_a_strangers),
		cmocka_unit_test(impossible_fields_are_refused),
		cmocka_unit_test(a_delayed_login_passes_on_to_endpoints_alone),
		cmocka_unit_test(verdicts_have_words),
		cmocka_unit_test(a_denial_has_its_reason),
		cmocka_unit_test(modifiers_have_names),
		cmocka_unit_test(lives_have_words),
		TEST(asks_each_endpoint_in_order),
		TEST(asks_the_one_that_is_named),
		TEST(says_what_is_wrong),
		TEST(fields_are_bounded),
		TEST(an_error_is_a_row),
		TEST(long_replies_are_cut),
		TEST(nothing_follows),
		TEST(only_so_many_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
