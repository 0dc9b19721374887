/* plugin/admin/commands_status.c, plugin/admin/ago.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/admin/ago.h"
#include "pool/pool.h"
#include "test/unit/admin_fixture.h"
#include "test/unit/http_server.h"

#define STATUS ADMIN_ROOT "status"

static struct admin_answer r;

/* ---- a broker with something to tell ---- */

static void begin(struct admin_fixture *f, const char *url, const char *key,
		  const char *value)
{
	const struct settings_opt opts[] = {
		ADMIN_WEBHOOK("a", "on_client_gone", url),
		ADMIN_WEBHOOK("b", "auth_on_publish", url),
		{ "vmq_webhooks.retries", "0" },
		{ key, value },
	};

	admin_start(f, opts, key ? 6 : 5);
}

static bool is_done(void *arg)
{
	struct admin_fixture *f = arg;

	return pool_collect(hooks_pool(f->hooks)) == 0;
}

static struct event event_of(enum hook_id hook)
{
	return (struct event){
		.hook = hook,
		.client_id = bytes_of("c"),
		.topic = bytes_of("t"),
		.payload = bytes_of("x"),
	};
}

static void tell(struct admin_fixture *f)
{
	struct event ev = event_of(HOOK_ON_CLIENT_GONE);

	hook_tell(f->hooks, &ev);
	admin_tick_until(f, is_done, f);
}

static void ask(struct admin_fixture *f)
{
	struct event ev = event_of(HOOK_AUTH_ON_PUBLISH);
	const struct verdict *v;
	uint64_t ticket;

	assert_int_equal(hook_ask(f->hooks, &ev, false, &v, &ticket),
			 HOOK_DONE);
	verdict_unref(v);
	admin_tick_until(f, is_done, f);
}

static void answer(struct admin_fixture *f, int status, const char *body)
{
	const struct http_answer a = { .status = status,
				       .body = { body, strlen(body) } };

	http_server_answer(f->server, &a);
}

static void expect_in_status(struct admin_fixture *f, const char *part)
{
	admin_expect_part(f, STATUS, 200, part);
}

/* ---- tests ---- */

static void without_endpoints_it_is_empty(void **state)
{
	admin_start(*state, NULL, 0);
	admin_expect(*state, STATUS, 200, "{\"table\":[],\"type\":\"table\"}");
	admin_expect(*state, STATUS "?--all", 200,
		     "{\"table\":[],\"type\":\"table\"}");
	admin_expect_part(*state, STATUS "?hook=on_publish", 400,
			  "unknown argument");
}

/* One row for both webhooks, and one for all endpoints. */
static void begins_with_zeroes(void **state)
{
#define ZEROES                                                                 \
	"\"queued\":0,\"in_flight\":0,\"connections\":0,\"sent\":0,\"ok\":0,"  \
	"\"failed\":0,\"timeouts\":0,\"unasked\":0,\"dropped\":0,"             \
	"\"retries\":0,\"opened\":0,\"held_calls\":0,\"held_ms\":0,"           \
	"\"p50_ms\":0,\"p99_ms\":0,\"last_error\":\"\","                       \
	"\"last_error_time\":\"\",\"last_error_ago_s\":null,"                  \
	"\"trouble\":\"\",\"warnings\":\"\",\"hooks\":\""

	begin(*state, "http://u:secret@127.0.0.1:9/", NULL, NULL);
	admin_expect(*state, STATUS, 200,
		     "{\"table\":["
		     "{\"endpoint\":\"http://***@127.0.0.1:9/\","
		     "\"state\":\"good\"," ZEROES
		     "auth_on_publish, on_client_gone\"},"
		     "{\"endpoint\":\"(all)\","
		     "\"state\":\"1 of 1 good\"," ZEROES "\"}"
		     "],\"type\":\"table\"}");
}

static void counts_how_calls_end(void **state)
{
	struct admin_fixture *f = *state;

	begin(f, http_server_url(f->server, "/"), NULL, NULL);
	answer(f, 200, "{}");
	tell(f);
	tell(f);
	answer(f, 200, "{\"result\":{\"error\":\"no\"}}");
	ask(f);
	answer(f, 500, "{}");
	tell(f);
	answer(f, 404, "{}");
	ask(f);
	admin_get(f, STATUS, &r);
	assert_non_null(strstr(r.body, "\"sent\":5,\"ok\":3,\"failed\":2,"
				       "\"timeouts\":0,\"unasked\":0,"));
	assert_non_null(strstr(r.body, "\"held_calls\":2,"));
	assert_null(strstr(r.body, "\"p99_ms\":0,"));
	/* in both rows */
	assert_non_null(strstr(strstr(r.body, "(all)"), "\"sent\":5,\"ok\":3,"
							"\"failed\":2,"));
}

static void says_the_newest_error_and_when(void **state)
{
	struct admin_fixture *f = *state;

	begin(f, http_server_url(f->server, "/"), NULL, NULL);
	answer(f, 404, "{}");
	tell(f);
	answer(f, 503, "{}");
	tell(f);
	answer(f, 200, "{}");
	tell(f);
	admin_get(f, STATUS, &r);
	assert_non_null(strstr(r.body,
			       "\"last_error\":\"answered with status 503 "
			       "instead of 200\","
			       "\"last_error_time\":\"2023-11-14T22:13:20Z\","
			       "\"last_error_ago_s\":0,"
			       "\"trouble\":\"0 s ago: answered with status "
			       "503 instead of 200\""));
}

static void a_denial_is_no_error(void **state)
{
	struct admin_fixture *f = *state;

	begin(f, http_server_url(f->server, "/"), NULL, NULL);
	answer(f, 200, "{\"result\":{\"error\":\"no\"}}");
	ask(f);
	expect_in_status(f, "\"last_error\":\"\"");
}

static void says_what_state_it_is_in(void **state)
{
	struct admin_fixture *f = *state;
	char target[128];

	begin(f, http_server_url(f->server, "/"),
	      "vmq_webhooks.breaker_failures", "1");
	answer(f, 500, "{}");
	ask(f);
	admin_get(f, STATUS, &r);
	assert_non_null(strstr(r.body, "\"state\":\"open\""));
	assert_non_null(strstr(r.body, "\"state\":\"0 of 1 good\""));
	assert_non_null(strstr(r.body, "\"opened\":1,"));
	snprintf(target, sizeof(target), ADMIN_ROOT "pause?endpoint=%s",
		 http_server_url(f->server, "/"));
	admin_expect(f, target, 200, ADMIN_DONE);
	expect_in_status(f, "\"state\":\"paused\"");
	expect_in_status(f, "\"trouble\":\"paused for 0 s; 0 s ago: answered "
			    "with status 500");
}

static void one_that_is_given_up_is_open_for_holding(void **state)
{
	const struct http_answer never = { .hold = true };
	struct admin_fixture *f = *state;
	struct event ev = event_of(HOOK_AUTH_ON_PUBLISH);
	const struct verdict *v;
	uint64_t ticket;

	begin(f, http_server_url(f->server, "/"),
	      "vmq_webhooks.blocking_timeout", "50");
	http_server_answer(f->server, &never);
	hooks_refresh(f->hooks);
	hook_ask(f->hooks, &ev, false, &v, &ticket);
	verdict_unref(v);
	admin_get(f, STATUS, &r);
	assert_non_null(strstr(r.body,
			       "\"state\":\"open for holding\",\"queued"
			       "\":0,\"in_flight\":1,\"connections\":1"));
	/* the broker stood still for as long as it may, about */
	assert_null(strstr(r.body, "\"held_ms\":0,"));
}

/* It needs nothing of the broker's thread. */
static void is_told_while_the_broker_is_held(void **state)
{
	struct admin_fixture *f = *state;

	begin(f, http_server_url(f->server, "/"), NULL, NULL);
	f->held = true;
	expect_in_status(f, "\"state\":\"good\"");
}

static void warns_of_what_is_not_verified(void **state)
{
	struct admin_fixture *f = *state;

	begin(f, "https://127.0.0.1:9/", "vmq_webhooks.verify_peer", "off");
	admin_get(f, STATUS, &r);
	assert_non_null(strstr(r.body, "\"trouble\":\"verify_peer = off\","
				       "\"warnings\":\"verify_peer = off: any "
				       "server can pass for the endpoint"));
}

/* One URL by two ways is two endpoints. */
static void each_way_to_a_url_is_a_row(void **state)
{
	const struct settings_opt opts[] = {
		ADMIN_WEBHOOK("a", "on_publish", "http://127.0.0.1:9/"),
		ADMIN_WEBHOOK("b", "on_subscribe", "http://127.0.0.1:9/"),
		{ "vmq_webhooks.b.connect_timeout", "77" },
		ADMIN_WEBHOOK("c", "on_publish", "http://127.0.0.1:8/"),
	};

	admin_start(*state, opts, sizeof(opts) / sizeof(opts[0]));
	expect_in_status(*state, "\"state\":\"3 of 3 good\"");
	expect_in_status(*state, "\"hooks\":\"on_subscribe\"");
	expect_in_status(*state, "[{\"endpoint\":\"http://127.0.0.1:8/\"");
}

static void ages_are_rounded_down(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ -5, "0 s" },
		{ 0, "0 s" },
		{ 1999, "1 s" },
		{ 119999, "119 s" },
		{ 120000, "2 min" },
		{ 2 * 3600000 - 1, "119 min" },
		{ 2 * 3600000, "2 h" },
		{ 48 * 3600000 - 1, "47 h" },
		{ 48 * 3600000LL, "2 d" },
		{ INT64_MAX, "106751991167 d" },
	};
	char text[AGO_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ago_write(cases[i].ms, text);
		assert_string_equal(text, cases[i].text);
	}
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, admin_set_up, admin_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_endpoints_it_is_empty),
		TEST(begins_with_zeroes),
		TEST(counts_how_calls_end),
		TEST(says_the_newest_error_and_when),
		TEST(a_denial_is_no_error),
		TEST(says_what_state_it_is_in),
		TEST(one_that_is_given_up_is_open_for_holding),
		TEST(is_told_while_the_broker_is_held),
		TEST(warns_of_what_is_not_verified),
		TEST(each_way_to_a_url_is_a_row),
		cmocka_unit_test(ages_are_rounded_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
