/* plugin/admin/commands_pause.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pool/pool.h"
#include "test/unit/admin_fixture.h"

#define PAUSE  ADMIN_ROOT "pause?endpoint="
#define RESUME ADMIN_ROOT "resume?endpoint="

/* a and b are two ways to one URL, c and d one endpoint on two hooks. */
static const struct settings_opt opts[] = {
	ADMIN_WEBHOOK("a", "auth_on_publish", "http://127.0.0.1:9/a"),
	ADMIN_WEBHOOK("b", "on_publish", "http://127.0.0.1:9/a"),
	{ "vmq_webhooks.b.connect_timeout", "77" },
	ADMIN_WEBHOOK("c", "on_publish", "http://u:secret@127.0.0.1:9/c"),
	ADMIN_WEBHOOK("d", "on_register", "http://u:secret@127.0.0.1:9/c"),
};

static void begin(struct admin_fixture *f)
{
	admin_start(f, opts, sizeof(opts) / sizeof(opts[0]));
}

/* Of the i-th webhook of the hook. */
static bool is_paused(struct admin_fixture *f, enum hook_id hook, size_t i)
{
	struct pool_endpoint_stats stats;
	struct settings *s = hooks_settings(f->hooks);

	assert_int_equal(pool_get_stats(hooks_pool(f->hooks),
					s->chain[hook][i].target, &stats),
			 0);
	settings_unref(s);
	return stats.paused;
}

static void expect_paused(struct admin_fixture *f, bool first, bool second)
{
	assert_int_equal(is_paused(f, HOOK_AUTH_ON_PUBLISH, 0), first);
	assert_int_equal(is_paused(f, HOOK_ON_PUBLISH, 0), first);
	assert_int_equal(is_paused(f, HOOK_ON_PUBLISH, 1), second);
	assert_int_equal(is_paused(f, HOOK_ON_REGISTER, 0), second);
}

static void pauses_and_resumes(void **state)
{
	struct admin_fixture *f = *state;

	begin(f);
	/* which comes in its turn behind what is configured */
	admin_expect(f, RESUME "http://127.0.0.1:9/a", 200, ADMIN_DONE);
	expect_paused(f, false, false);
	admin_expect(f, PAUSE "http://127.0.0.1:9/a", 200, ADMIN_DONE);
	expect_paused(f, true, false);
	admin_expect(f, PAUSE "http://127.0.0.1:9/a", 200, ADMIN_DONE);
	expect_paused(f, true, false);
	admin_expect(f, PAUSE "http://***@127.0.0.1:9/c", 200, ADMIN_DONE);
	expect_paused(f, true, true);
	admin_expect(f, RESUME "http://127.0.0.1:9/a", 200, ADMIN_DONE);
	expect_paused(f, false, true);
	admin_expect(f, RESUME "http://u:secret@127.0.0.1:9/c", 200,
		     ADMIN_DONE);
	expect_paused(f, false, false);
	admin_expect(f, RESUME "http://127.0.0.1:9/a", 200, ADMIN_DONE);
}

static void unknown_is_an_alert(void **state)
{
	struct admin_fixture *f = *state;

	begin(f);
	admin_expect(f, PAUSE "http://127.0.0.1:9/b", 200,
		     "{\"alert\":[{\"text\":\"can't pause endpoint due to "
		     "'not_found'\",\"type\":\"text\"}],\"type\":\"alert\"}");
	admin_expect_part(f, RESUME "http://127.0.0.1:9/", 200,
			  "can't resume endpoint due to 'not_found'");
	admin_expect_part(f, ADMIN_ROOT "pause", 400, "endpoint is missing");
	assert_string_equal(f->log, "");
}

static void who_did_it_is_logged_and_no_password(void **state)
{
	struct admin_fixture *f = *state;

	begin(f);
	admin_expect(f, PAUSE "http://u:secret@127.0.0.1:9/c", 200, ADMIN_DONE);
	admin_expect_log(f, "admin: paused by uid ");
	admin_expect_log(f, ": endpoint=http://***@127.0.0.1:9/c\n");
	f->log[0] = '\0';
	admin_expect(f, RESUME "http://***@127.0.0.1:9/c", 200, ADMIN_DONE);
	admin_expect_log(f, "admin: resumed by uid ");
	assert_null(strstr(f->log, "secret"));
}

/* Another webhook, and the endpoint is what it was. */
static void stays_when_settings_change(void **state)
{
	struct admin_fixture *f = *state;

	begin(f);
	admin_expect(f, PAUSE "http://127.0.0.1:9/a", 200, ADMIN_DONE);
	admin_expect(f,
		     ADMIN_ROOT "register?hook=on_client_gone&"
				"endpoint=http://127.0.0.1:9/a",
		     200, ADMIN_DONE);
	/* behind that */
	admin_expect(f, RESUME "http://***@127.0.0.1:9/c", 200, ADMIN_DONE);
	expect_paused(f, true, false);
	assert_true(is_paused(f, HOOK_ON_CLIENT_GONE, 0));
	admin_expect(f, RESUME "http://127.0.0.1:9/a", 200, ADMIN_DONE);
	expect_paused(f, false, false);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, admin_set_up, admin_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pauses_and_resumes),
		TEST(unknown_is_an_alert),
		TEST(who_did_it_is_logged_and_no_password),
		TEST(stays_when_settings_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
