#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/hook_table.h"

static void every_hook_is_found_by_its_name(void **state)
{
	(void)state;
	for (int h = 0; h < HOOK_COUNT; h++) {
		assert_int_equal(hook_by_name(hook_table[h].name), h);
		assert_string_equal(hook_names[h], hook_table[h].name);
	}
	assert_null(hook_names[HOOK_COUNT]);
}

static void names_stand_at_their_ids(void **state)
{
	(void)state;
	assert_string_equal(hook_table[HOOK_AUTH_ON_REGISTER].name,
			    "auth_on_register");
	assert_string_equal(hook_table[HOOK_ON_SESSION_EXPIRED].name,
			    "on_session_expired");
	assert_string_equal(hook_table[HOOK_AUTH_ON_REGISTER_M5].name,
			    "auth_on_register_m5");
	assert_string_equal(hook_table[HOOK_ON_AUTH_M5].name, "on_auth_m5");
}

static void other_names_are_no_hook(void **state)
{
	(void)state;
	assert_int_equal(hook_by_name(""), HOOK_COUNT);
	assert_int_equal(hook_by_name("on_auth"), HOOK_COUNT);
	assert_int_equal(hook_by_name("AUTH_ON_REGISTER"), HOOK_COUNT);
	assert_int_equal(hook_by_name("auth_on_register_m55"), HOOK_COUNT);
}

static void m5_is_what_the_name_says(void **state)
{
	(void)state;
	for (int h = 0; h < HOOK_COUNT; h++)
		assert_int_equal(hook_table[h].m5,
				 strstr(hook_table[h].name, "_m5") != NULL);
}

static void only_the_six_auth_hooks_are_cached(void **state)
{
	int cacheable = 0;

	(void)state;
	for (int h = 0; h < HOOK_COUNT; h++) {
		bool auth = strncmp(hook_table[h].name, "auth_", 5) == 0;

		assert_int_equal(hook_table[h].cacheable, auth);
		cacheable += auth;
	}
	assert_int_equal(cacheable, 6);
}

static void each_hook_is_of_its_kind(void **state)
{
	(void)state;
	for (int h = 0; h < HOOK_COUNT; h++) {
		const char *name = hook_table[h].name;
		enum hook_kind kind = HOOK_TELLS;

		if (strstr(name, "auth"))
			kind = HOOK_ASKS;
		else if (strstr(name, "unsub") || strstr(name, "deliver"))
			kind = HOOK_OFFERS;
		assert_int_equal(hook_table[h].kind, kind);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_hook_is_found_by_its_name),
		cmocka_unit_test(names_stand_at_their_ids),
		cmocka_unit_test(other_names_are_no_hook),
		cmocka_unit_test(m5_is_what_the_name_says),
		cmocka_unit_test(only_the_six_auth_hooks_are_cached),
		cmocka_unit_test(each_hook_is_of_its_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
