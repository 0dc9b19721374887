/* plugin/admin/commands_explain.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/hook_table.h"
#include "pool/pool.h"
#include "test/unit/admin_fixture.h"
#include "test/unit/http_server.h"

#define EXPLAIN ADMIN_ROOT "explain"

static struct admin_answer r;

/* A broker that has something to say of two hooks. */
static void explain(void *ctx, const struct settings *s, enum hook_id hook,
		    broker_say_fn *say, void *arg)
{
	(void)ctx;
	(void)s;
	if (hook == HOOK_ON_PUBLISH) {
		say(arg, REMARK_FACT, "a fact");
		say(arg, REMARK_LIMIT, "a limit");
		say(arg, REMARK_FACT, "another");
	}
	if (hook == HOOK_ON_DELIVER)
		say(arg, REMARK_NEVER, "it cannot");
}

static void begin(struct admin_fixture *f, const char *key, const char *value)
{
	const char *url = http_server_url(f->server, "/");
	const struct settings_opt opts[] = {
		ADMIN_WEBHOOK("a", "on_publish", url),
		ADMIN_WEBHOOK("b", "auth_on_publish", url),
		ADMIN_WEBHOOK("c", "auth_on_publish", "http://127.0.0.1:1/"),
		{ key, value },
	};

	f->ops.explain = explain;
	admin_start(f, opts, key ? 7 : 6);
}

/* The row of that hook begins, or goes on, like this. */
static void expect_row(struct admin_fixture *f, const char *hook,
		       const char *part)
{
	char target[64];

	snprintf(target, sizeof(target), EXPLAIN "?hook=%s", hook);
	admin_expect_part(f, target, 200, part);
}

static void a_row_for_each_hook(void **state)
{
	struct admin_fixture *f = *state;
	const char *at;

	begin(f, NULL, NULL);
	admin_get(f, EXPLAIN, &r);
	at = r.body;
	for (int h = 0; h < HOOK_COUNT; h++) {
		char name[64];

		snprintf(name, sizeof(name),
			 "{\"hook\":\"%s\",\"endpoints\":", hook_table[h].name);
		at = strstr(at, name);
		assert_non_null(at);
	}
	admin_expect_part(f, EXPLAIN "?hook=bogus", 400, "unknown hook");
	admin_expect_part(f, EXPLAIN "?endpoint=x", 400, "unknown argument");
}

static void the_worst_that_the_broker_says_counts(void **state)
{
	struct admin_fixture *f = *state;

	begin(f, NULL, NULL);
	admin_expect(f, EXPLAIN "?hook=on_publish", 200,
		     "{\"table\":[{\"hook\":\"on_publish\",\"endpoints\":1,"
		     "\"fires\":\"limited\",\"events\":0,\"last\":\"never\","
		     "\"last_ago_s\":null,\"cached\":0,"
		     "\"why\":\"a fact; a limit; another\"}],"
		     "\"type\":\"table\"}");
	expect_row(f, "on_deliver", "\"fires\":\"no\"");
	expect_row(f, "on_deliver", "\"why\":\"it cannot\"");
	expect_row(f, "auth_on_publish",
		   "\"endpoints\":2,\"fires\":\"yes\",\"events\":0,");
}

/* A broker without a word of its own. */
static void without_an_endpoint_it_does_not_fire(void **state)
{
	struct admin_fixture *f = *state;

	begin(f, NULL, NULL);
	f->ops.explain = NULL;
	expect_row(f, "on_client_gone",
		   "\"endpoints\":0,\"fires\":\"no\",\"events\":0,\"last\":"
		   "\"never\",\"last_ago_s\":null,\"cached\":0,"
		   "\"why\":\"no endpoint\"");
	expect_row(f, "on_publish", "\"fires\":\"yes\"");
}

static void come_up(struct admin_fixture *f, enum hook_id hook)
{
	struct event ev = { .hook = hook,
			    .client_id = bytes_of("c"),
			    .topic = bytes_of("t") };
	const struct verdict *v;
	uint64_t ticket;

	if (hook_table[hook].kind == HOOK_TELLS) {
		hook_tell(f->hooks, &ev);
		return;
	}
	hook_ask(f->hooks, &ev, false, &v, &ticket);
	verdict_unref(v);
}

static void events_are_counted(void **state)
{
	struct admin_fixture *f = *state;

	begin(f, NULL, NULL);
	for (int i = 0; i < 3; i++)
		come_up(f, HOOK_ON_PUBLISH);
	expect_row(f, "on_publish",
		   "\"events\":3,\"last\":\"0 s ago\",\"last_ago_s\":0,");
	/* a question without anybody to ask counts, a notification not */
	come_up(f, HOOK_AUTH_ON_SUBSCRIBE);
	expect_row(f, "auth_on_subscribe", "\"events\":1,");
	come_up(f, HOOK_ON_CLIENT_GONE);
	expect_row(f, "on_client_gone", "\"events\":0,\"last\":\"never\"");
}

static void answers_from_the_cache_are_told(void **state)
{
	const struct http_answer keep = {
		.headers = "Cache-Control: max-age=60\r\n",
		.body = { "{\"result\":\"ok\"}", 15 },
	};
	struct admin_fixture *f = *state;

	begin(f, NULL, NULL);
	http_server_answer(f->server, &keep);
	for (int i = 0; i < 3; i++)
		come_up(f, HOOK_AUTH_ON_PUBLISH);
	expect_row(f, "auth_on_publish", "\"events\":3,");
	expect_row(f, "auth_on_publish", "\"cached\":2,");
}

static void paused_endpoints_are_told(void **state)
{
	struct admin_fixture *f = *state;
	char target[128];

	begin(f, NULL, NULL);
	snprintf(target, sizeof(target), ADMIN_ROOT "pause?endpoint=%s",
		 http_server_url(f->server, "/"));
	admin_expect(f, target, 200, ADMIN_DONE);
	expect_row(f, "auth_on_publish", "\"fires\":\"limited\"");
	expect_row(f, "auth_on_publish",
		   "\"why\":\"1 of 2 endpoints paused (webhooks resume)\"");
	expect_row(f, "on_publish", "\"fires\":\"no\"");
	expect_row(f, "on_publish",
		   "\"why\":\"1 of 1 endpoint paused (webhooks resume); a "
		   "fact; ");
}

static void open_breakers_are_told(void **state)
{
	const struct http_answer broken = { .status = 500 };
	struct admin_fixture *f = *state;

	begin(f, "vmq_webhooks.breaker_failures", "1");
	http_server_answer(f->server, &broken);
	come_up(f, HOOK_AUTH_ON_PUBLISH);
	expect_row(f, "auth_on_publish",
		   "\"why\":\"1 of 2 endpoints left alone by the circuit "
		   "breaker (webhooks status)\"");
	expect_row(f, "auth_on_publish", "\"fires\":\"limited\"");
}

static void is_told_while_the_broker_is_held(void **state)
{
	struct admin_fixture *f = *state;

	begin(f, NULL, NULL);
	f->held = true;
	expect_row(f, "on_publish", "\"fires\":\"limited\"");
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, admin_set_up, admin_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_row_for_each_hook),
		TEST(the_worst_that_the_broker_says_counts),
		TEST(without_an_endpoint_it_does_not_fire),
		TEST(events_are_counted),
		TEST(answers_from_the_cache_are_told),
		TEST(paused_endpoints_are_told),
		TEST(open_breakers_are_told),
		TEST(is_told_while_the_broker_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
