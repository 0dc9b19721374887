/* plugin/settings/settings_users.h, and its key */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"

static struct settings_users parse_ok(const char *text)
{
	struct settings_users users = { 0 };
	char why[CONF_REASON_LEN] = "";

	if (settings_users_parse(&users, text, why) != 0)
		fail_msg("%s: %s", text, why);
	return users;
}

static void refused(const char *text, const char *reason)
{
	struct settings_users users = { 0 };
	char why[CONF_REASON_LEN] = "";

	assert_int_equal(settings_users_parse(&users, text, why), -EINVAL);
	if (!strstr(why, reason))
		fail_msg("%s: %s", text, why);
	assert_null(users.list);
	assert_int_equal(users.count, 0);
}

static void names_and_numbers_are_users(void **state)
{
	static const char *const texts[] = { "root,65534,70000",
					     " root , 65534,\t70000 ",
					     "70000,root,065534" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct settings_users users = parse_ok(texts[i]);

		assert_int_equal(users.count, 3);
		assert_true(settings_users_have(&users, 0));
		assert_true(settings_users_have(&users, 65534));
		assert_true(settings_users_have(&users, 70000));
		assert_false(settings_users_have(&users, 1));
		assert_false(settings_users_have(&users, (uid_t)-1));
		settings_users_clear(&users);
	}
}

static void one_is_enough(void **state)
{
	struct settings_users users = parse_ok("4294967294");

	(void)state;
	assert_true(settings_users_have(&users, 4294967294));
	/* and then root is as any other */
	assert_false(settings_users_have(&users, 0));
	assert_false(settings_users_have(&users, geteuid()));
	settings_users_clear(&users);
}

static void nobody_named_means_root_and_us(void **state)
{
	struct settings_users users = { 0 };

	(void)state;
	assert_true(settings_users_have(&users, 0));
	assert_true(settings_users_have(&users, geteuid()));
	assert_false(settings_users_have(&users, geteuid() + 1));
	assert_false(settings_users_have(&users, (uid_t)-1));
}

static void what_is_no_user_is_refused(void **state)
{
	(void)state;
	refused("root,no-such-user-here", "no user \"no-such-user-here\"");
	refused("root, no-such-user-here ,1", "no user \"no-such-user-here\"");
	refused("", "no user \"\"; allowed: user names or numeric ids");
	refused("  ", "no user \"\"");
	refused("root,", "no user \"\"");
	refused(",root", "no user \"\"");
	refused("root,,1", "no user \"\"");
	refused("root 1", "no user \"root 1\"");
	refused("-1", "no user \"-1\"");
	refused("4294967295", "no user id \"4294967295\"");
	refused("99999999999999999999", "no user id");
	refused("x234567890123456789012345678901234567890",
		"x2345678901234567890123456789012\"");
}

static void there_are_only_so_many(void **state)
{
	char text[SETTINGS_USERS_MAX * 3 + 4] = "1";
	struct settings_users users;

	(void)state;
	for (size_t i = 1; i < SETTINGS_USERS_MAX; i++)
		memcpy(text + i * 2 - 1, ",1", 3);
	users = parse_ok(text);
	assert_int_equal(users.count, SETTINGS_USERS_MAX);
	settings_users_clear(&users);
	memcpy(text + strlen(text), ",1", 3);
	refused(text, "more than 64 users");
}

static void a_copy_is_its_own(void **state)
{
	struct settings_users users = parse_ok("5,6"), copy, none = { 0 };

	(void)state;
	assert_int_equal(settings_users_copy(&copy, &users), 0);
	settings_users_clear(&users);
	assert_true(settings_users_have(&copy, 6));
	assert_false(settings_users_have(&copy, 0));
	settings_users_clear(&copy);
	assert_int_equal(settings_users_copy(&copy, &none), 0);
	assert_int_equal(copy.count, 0);
	assert_null(copy.list);
}

/* ---- the key ---- */

static struct settings *load(const char *value)
{
	struct settings_opt opt = { "vmq_webhooks.admin_users", value };
	struct settings *s = NULL;
	struct conf_error error;

	if (settings_load(&opt, value ? 1 : 0, &s, &error) != 0)
		fail_msg("%s", error.text);
	return s;
}

static void the_key_is_read(void **state)
{
	struct settings *s = load("7, root");

	(void)state;
	assert_int_equal(s->admin_users.count, 2);
	assert_true(settings_users_have(&s->admin_users, 7));
	settings_unref(s);
	s = load(NULL);
	assert_int_equal(s->admin_users.count, 0);
	settings_unref(s);
}

static void a_mistake_names_its_place(void **state)
{
	static const struct settings_opt opt = { "vmq_webhooks.admin_users",
						 "root,rooot-" };
	struct settings *s = NULL;
	struct conf_error error;

	(void)state;
	assert_int_equal(settings_load(&opt, 1, &s, &error), -EINVAL);
	assert_null(s);
	assert_string_equal(error.text,
			    "plugin_opt_vmq_webhooks.admin_users: no user "
			    "\"rooot-\"; allowed: user names or numeric ids, "
			    "with commas between");
}

static void a_registration_keeps_them(void **state)
{
	struct settings *s = load("7"), *more, *fewer;
	struct webhook hook = { .hook = HOOK_ON_PUBLISH,
				.timeout_ms = 1000,
				.endpoint = (char[]){ "http://h/" } };
	struct conf_error error;

	(void)state;
	assert_int_equal(settings_with(s, &hook, &more, &error), 0);
	settings_unref(s);
	assert_true(settings_users_have(&more->admin_users, 7));
	assert_false(settings_users_have(&more->admin_users, 0));
	assert_int_equal(
		settings_without(more, HOOK_ON_PUBLISH, "http://h/", &fewer),
		0);
	settings_unref(more);
	assert_true(settings_users_have(&fewer->admin_users, 7));
	settings_unref(fewer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers_are_users),
		cmocka_unit_test(one_is_enough),
		cmocka_unit_test(nobody_named_means_root_and_us),
		cmocka_unit_test(what_is_no_user_is_refused),
		cmocka_unit_test(there_are_only_so_many),
		cmocka_unit_test(a_copy_is_its_own),
		cmocka_unit_test(the_key_is_read),
		cmocka_unit_test(a_mistake_names_its_place),
		cmocka_unit_test(a_registration_keeps_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
