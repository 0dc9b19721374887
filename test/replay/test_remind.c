/* hook_remind.c, through plugin/hook/hook.h: paused endpoints in the log */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "test/replay/fake_pool.h"
#include "test/replay/stage.h"

#define MINUTE (60LL * SECOND)

/* One endpoint on two hooks, and another. */
static const struct settings_opt opts[] = {
	HOOK("a", "auth_on_publish", "http://u:secret@a/"),
	HOOK("b", "on_publish", "http://u:secret@a/"),
	HOOK("c", "on_publish", "http://c/"),
};

static struct hooks *begin(void)
{
	struct hooks *hooks = hooks_of(opts, sizeof(opts) / sizeof(opts[0]));

	hooks_tick(hooks);
	return hooks;
}

static void pass(struct hooks *hooks, int64_t us)
{
	broker.now_us += us;
	hooks_tick(hooks);
}

static void every_ten_minutes_once_for_each_endpoint(void **state)
{
	struct hooks *hooks = begin();

	(void)state;
	fake_pool_paused(broker.now_us / 1000);
	pass(hooks, 9 * MINUTE);
	assert_int_equal(broker.logged, 0);
	pass(hooks, MINUTE);
	assert_int_equal(broker.logged, 2);
	assert_string_equal(broker.line,
			    "endpoint http://c/ has been paused for 10 min: "
			    "nothing is sent to it (vmq-admin webhooks "
			    "resume)");
	pass(hooks, 9 * MINUTE);
	assert_int_equal(broker.logged, 2);
	pass(hooks, MINUTE);
	assert_int_equal(broker.logged, 4);
	assert_non_null(strstr(broker.line, "for 20 min"));
	finish(hooks);
}

static void not_of_what_goes_on(void **state)
{
	struct hooks *hooks = begin();

	(void)state;
	pass(hooks, 10 * MINUTE);
	assert_int_equal(broker.logged, 0);
	fake_pool_paused(broker.now_us / 1000);
	pass(hooks, 5 * MINUTE);
	fake_pool_paused(0);
	pass(hooks, 5 * MINUTE);
	assert_int_equal(broker.logged, 0);
	finish(hooks);
}

static void once_for_all_ways_there(void **state)
{
	const struct settings_opt ways[] = {
		HOOK("a", "auth_on_publish", "https://a/"),
		HOOK("b", "on_publish", "https://a/"),
		{ "vmq_webhooks.b.verify_peer", "off" },
	};
	struct hooks *hooks = hooks_of(ways, sizeof(ways) / sizeof(ways[0]));

	(void)state;
	hooks_tick(hooks);
	fake_pool_paused(broker.now_us / 1000);
	pass(hooks, 10 * MINUTE);
	assert_int_equal(broker.logged, 1);
	finish(hooks);
}

static void without_its_secrets(void **state)
{
	const struct settings_opt secret[] = {
		HOOK("a", "auth_on_publish", "http://u:secret@a/?token=secret"),
	};
	struct hooks *hooks = hooks_of(secret, 2);

	(void)state;
	hooks_tick(hooks);
	fake_pool_paused(broker.now_us / 1000);
	pass(hooks, 10 * MINUTE);
	assert_int_equal(broker.logged, 1);
	assert_non_null(
		strstr(broker.line, "endpoint http://***@a/?token=*** "));
	assert_null(strstr(broker.log, "secret"));
	finish(hooks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ten_minutes_once_for_each_endpoint),
		cmocka_unit_test(not_of_what_goes_on),
		cmocka_unit_test(once_for_all_ways_there),
		cmocka_unit_test(without_its_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
