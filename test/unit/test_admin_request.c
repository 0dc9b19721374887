/* plugin/admin/request.h */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/admin/request.h"
#include "plugin/event.h"

#define ROOT "/api/v1/webhooks/"
#define REG  ROOT "register?hook=on_publish&endpoint=http://h/"

/* The texts of the last request lie in here. */
static char *uri;

static int parse(const char *text, struct admin_request *req, char *why)
{
	free(uri);
	uri = strdup(text);
	assert_non_null(uri);
	why[0] = '\0';
	return admin_request_parse(uri, req, why);
}

static struct admin_request parse_ok(const char *text)
{
	struct admin_request req;
	char why[ADMIN_ERROR_LEN];
	int err = parse(text, &req, why);

	if (err)
		print_error("%s: %s\n", text, why);
	assert_int_equal(err, 0);
	return req;
}

/* Refused with -EINVAL, for a reason that names `reason`. */
static void refused(const char *text, const char *reason)
{
	struct admin_request req;
	char why[ADMIN_ERROR_LEN];
	int err = parse(text, &req, why);

	if (err != -EINVAL || !strstr(why, reason))
		print_error("%s: %d, %s\n", text, err, why);
	assert_int_equal(err, -EINVAL);
	assert_non_null(strstr(why, reason));
}

static void finds_commands(void **state)
{
	(void)state;
	assert_int_equal(parse_ok(ROOT "show").command, ADMIN_SHOW);
	assert_int_equal(parse_ok(ROOT "show/").command, ADMIN_SHOW);
	assert_int_equal(parse_ok(ROOT "show?").command, ADMIN_SHOW);
	assert_int_equal(parse_ok(ROOT "cache/show").command, ADMIN_CACHE_SHOW);
	assert_int_equal(parse_ok(ROOT "cache/clear").command,
			 ADMIN_CACHE_CLEAR);
	assert_int_equal(parse_ok("/api/v1/metrics/show").command,
			 ADMIN_METRICS_SHOW);
	refused("/api/v1/metrics/show?hook=on_publish", "metrics show");
	refused("/api/v1/metrics", "unknown command");
	refused(ROOT "metrics/show", "unknown command");
	assert_int_equal(parse_ok(ROOT "reload").command, ADMIN_RELOAD);
	assert_int_equal(parse_ok(REG).command, ADMIN_REGISTER);
	assert_int_equal(parse_ok(ROOT "deregister?hook=on_publish&"
				       "endpoint=x")
				 .command,
			 ADMIN_DEREGISTER);
}

static void refuses_unknown_commands(void **state)
{
	(void)state;
	refused("/api/v1/webhooks", "a command is missing");
	refused(ROOT, "a command is missing");
	refused("/api/v1/", "a command is missing");
	refused("/api/v1/webhooksx/show", "unknown command");
	refused(ROOT "shw", "\"show\"");
	refused(ROOT "cache", "cache show");
	refused(ROOT "cache/flush", "unknown command \"cache flush\"");
	refused(ROOT "show/more", "unknown command");
	refused(ROOT "a/b/c/d/e", "unknown command");
	refused(ROOT "sh%6", "escape");
	refused(ROOT "show%00", "escape");
}

static void other_pages_are_not_ours(void **state)
{
	static const char *const pages[] = { "/",
					     "",
					     "*",
					     "/api/v1x/webhooks/show",
					     "/api/v2/webhooks/show",
					     "/API/v1/webhooks/show" };
	struct admin_request req;
	char why[ADMIN_ERROR_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		assert_int_equal(parse(pages[i], &req, why), -ENOENT);
}

static const char *option(const struct admin_request *req, const char *name)
{
	for (size_t i = 0; i < req->options_count; i++) {
		const struct admin_option *o = &req->options[i];

		assert_string_equal(o->flag + 2, o->name);
		if (strcmp(o->name, name) == 0)
			return o->text;
	}
	return NULL;
}

static void takes_arguments_in_any_order(void **state)
{
	static const char *const lines[] = {
		ROOT "register?hook=auth_on_publish&endpoint=http://h/&"
		     "--base64payload=false&--no_payload=true&"
		     "--response_timeout=7",
		ROOT "register?--response_timeout=7&endpoint=http://h/&"
		     "--no_payload=true&--base64payload=false&"
		     "hook=auth_on_publish",
		ROOT "register?&&--response_timeout=7&--format=json&"
		     "endpoint=http%3A%2f%2Fh%2F&--no_payload=true&"
		     "--base64payload=false&hook=auth_on_publish&",
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct admin_request req = parse_ok(lines[i]);

		assert_int_equal(req.args[ADMIN_HOOK].number,
				 HOOK_AUTH_ON_PUBLISH);
		assert_string_equal(req.args[ADMIN_HOOK].text,
				    "auth_on_publish");
		assert_string_equal(req.args[ADMIN_ENDPOINT].text, "http://h/");
		assert_string_equal(option(&req, "base64payload"), "false");
		assert_string_equal(option(&req, "no_payload"), "true");
		assert_string_equal(option(&req, "response_timeout"), "7");
		assert_int_equal(req.options_count, 3);
	}
}

static void keeps_urls_verbatim(void **state)
{
	struct admin_request req;

	(void)state;
	req = parse_ok(ROOT "register?hook=on_publish&"
			    "endpoint=http://h/x?a=b==%26c=d=");
	assert_string_equal(req.args[ADMIN_ENDPOINT].text,
			    "http://h/x?a=b==&c=d=");
	req = parse_ok(ROOT "register?hook=on_publish&"
			    "endpoint=http://h/%2520%2B+%c3%a4");
	assert_string_equal(req.args[ADMIN_ENDPOINT].text,
			    "http://h/%20+ \xc3\xa4");
}

static void absent_arguments_are_not_given(void **state)
{
	(void)state;
	assert_int_equal(parse_ok(REG).options_count, 0);
	assert_false(parse_ok(ROOT "cache/show").args[ADMIN_RESET].given);
	assert_true(
		parse_ok(ROOT "cache/show?--reset").args[ADMIN_RESET].given);
	assert_true(
		parse_ok(ROOT "cache/show?--reset=").args[ADMIN_RESET].given);
	assert_true(parse_ok(ROOT "show?--origin").args[ADMIN_ORIGIN].given);
}

static void refuses_missing_and_double_arguments(void **state)
{
	(void)state;
	refused(ROOT "register", "hook is missing");
	refused(ROOT "register?hook=on_publish", "endpoint is missing");
	refused(ROOT "deregister?endpoint=x", "hook is missing");
	refused(REG "&hook=on_publish", "hook is given twice");
	refused(REG "&--format=json&--format=json", "--format is given twice");
	refused(ROOT "register?hook&endpoint=x", "hook needs a value");
	refused(ROOT "register?hook=&endpoint=x", "hook needs a value");
	refused(ROOT "register?hook=on_publish&endpoint=",
		"endpoint needs a value");
}

static void refuses_unknown_arguments(void **state)
{
	(void)state;
	refused(REG "&bogus=1", "unknown argument \"bogus\"");
	refused(REG "&reset=1", "unknown argument \"reset\"");
	refused(REG "&-x=1", "unknown argument \"-x\"");
	refused(ROOT "show?--reset", "--reset");
	refused(ROOT "show?hook=on_publish", "hook");
	refused(ROOT "cache/clear?--reset", "--reset");
	refused(ROOT "deregister?hook=on_publish&endpoint=x&--no_payload=true",
		"--no_payload");
	refused(ROOT "show?=", "unknown argument");
	refused(ROOT "show?a%zz=1", "escape");
	refused(ROOT "show?a=%", "escape");
	refused(ROOT "show?a=%0", "escape");
	refused(ROOT "show?a=x%00y", "escape");
}

static void refuses_bad_values(void **state)
{
	(void)state;
	refused(ROOT "register?hook=foo&endpoint=x", "unknown hook \"foo\"");
	refused(ROOT "register?hook=foo&endpoint=x", ", on_auth_m5");
	refused(ROOT "register?hook=auth_on_registr&endpoint=x",
		"\"auth_on_register\"");
	refused(REG "&--base64payload", "--base64payload needs a value");
	refused(ROOT "cache/show?--reset=true", "takes no value");
	refused(ROOT "show?--format=csv", "--format");
}

/* What they are is judged by who makes a webhook of them. */
static void options_are_handed_on_as_they_are(void **state)
{
	struct admin_request req;

	(void)state;
	req = parse_ok(REG "&--header.X-Key=a%20b=%26c&--proxy=&--bogus=1");
	assert_int_equal(req.options_count, 3);
	assert_string_equal(option(&req, "header.X-Key"), "a b=&c");
	assert_string_equal(option(&req, "proxy"), "");
	assert_string_equal(option(&req, "bogus"), "1");
	assert_string_equal(req.options[0].flag, "--header.X-Key");
	refused(ROOT "deregister?hook=on_publish&endpoint=x&--trace=on",
		"--trace");
}

static void options_have_a_ceiling(void **state)
{
	char line[4096] = REG;

	(void)state;
	for (int i = 0; i < ADMIN_OPTIONS; i++) {
		size_t len = strlen(line);

		snprintf(line + len, sizeof(line) - len, "&--header.X%d=1", i);
	}
	assert_int_equal(parse_ok(line).options_count, ADMIN_OPTIONS);
	strncat(line, "&--trace=on", sizeof(line) - strlen(line) - 1);
	refused(line, "more than 64 options");
}

/* ---- cache clear ---- */

#define CLEAR ROOT "cache/clear?"

static void clears_by_any_of_four_in_any_order(void **state)
{
	static const enum admin_arg args[] = { ADMIN_HOOK, ADMIN_ENDPOINT,
					       ADMIN_CLIENT_ID,
					       ADMIN_USERNAME };
	static const char *const texts[] = { "hook=auth_on_publish",
					     "endpoint=http://h/?a=b",
					     "client-id=a%20b%26c",
					     "username=%c3%a4" };
	static const char *const values[] = { "auth_on_publish",
					      "http://h/?a=b", "a b&c",
					      "\xc3\xa4" };

	(void)state;
	/* every combination, from either end */
	for (unsigned mask = 0; mask < 32; mask++) {
		char line[256] = CLEAR;
		struct admin_request req;

		for (unsigned i = 0; i < 4; i++) {
			unsigned k = mask & 16 ? 3 - i : i;
			size_t len = strlen(line);

			if (mask & 1u << k)
				snprintf(line + len, sizeof(line) - len, "%s&",
					 texts[k]);
		}
		req = parse_ok(line);
		assert_int_equal(req.command, ADMIN_CACHE_CLEAR);
		for (unsigned i = 0; i < 4; i++) {
			bool given = mask & 1u << i;

			assert_int_equal(req.args[args[i]].given, given);
			if (given)
				assert_string_equal(req.args[args[i]].text,
						    values[i]);
		}
		assert_false(req.args[ADMIN_KICK].given);
	}
}

static void refuses_to_clear_by_nonsense(void **state)
{
	(void)state;
	refused(CLEAR "hook=auth_on_publis", "\"auth_on_publish\"");
	refused(CLEAR "hook=", "hook needs a value");
	refused(CLEAR "endpoint=", "endpoint needs a value");
	refused(CLEAR "client-id=", "client-id needs a value");
	refused(CLEAR "client-id", "client-id needs a value");
	refused(CLEAR "username=", "username needs a value");
	refused(CLEAR "username=a&username=a", "username is given twice");
	refused(CLEAR "clientid=a", "did you mean \"client-id\"?");
	refused(CLEAR "client_id=a", "did you mean \"client-id\"?");
	refused(CLEAR "user=a", "usage: cache clear");
	refused(CLEAR "password=a", "usage: cache clear");
	refused(CLEAR "--all", "--all");
	refused(ROOT "cache/show?hook=auth_on_publish", "hook");
	refused(ROOT "cache/show?--kick", "--kick");
}

static void kicks_only_whom_it_can_name(void **state)
{
	(void)state;
	assert_true(
		parse_ok(CLEAR "client-id=a&--kick").args[ADMIN_KICK].given);
	assert_true(parse_ok(CLEAR "--kick&username=a").args[ADMIN_KICK].given);
	refused(CLEAR "--kick", "--kick needs client-id or username: whom to "
				"disconnect");
	refused(CLEAR "--kick&hook=auth_on_publish&endpoint=x",
		"--kick needs client-id or username");
	refused(CLEAR "client-id=&--kick", "client-id needs a value");
	refused(CLEAR "client-id=a&--kick=yes", "--kick takes no value");
	refused(ROOT "show?--kick", "--kick");
	refused(ROOT "deregister?hook=on_publish&endpoint=x&client-id=a",
		"client-id");
}

static void shows_all_or_three(void **state)
{
	(void)state;
	assert_false(parse_ok(ROOT "cache/show").args[ADMIN_ALL].given);
	assert_true(parse_ok(ROOT "cache/show?--all").args[ADMIN_ALL].given);
	refused(ROOT "cache/show?--all=true", "--all takes no value");
	assert_true(parse_ok(ROOT "show?--all").args[ADMIN_ALL].given);
	refused(ROOT "show?--all=true", "--all takes no value");
}

/* A reason is cut, never the buffer overrun. */
static void long_input_is_cut_in_reasons(void **state)
{
	char line[4096] = ROOT "register?hook=";
	size_t len = strlen(line);

	(void)state;
	memset(line + len, 'x', sizeof(line) - len - 1);
	line[sizeof(line) - 1] = '\0';
	refused(line, "unknown hook \"xxx");
	memcpy(line + len - 5, "=====", 5);
	refused(line, "unknown argument");
	memset(line + strlen(ROOT), 'x', 40);
	refused(line, "unknown command");
}

static int tear_down(void **state)
{
	(void)state;
	free(uri);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_commands),
		cmocka_unit_test(refuses_unknown_commands),
		cmocka_unit_test(other_pages_are_not_ours),
		cmocka_unit_test(takes_arguments_in_any_order),
		cmocka_unit_test(keeps_urls_verbatim),
		cmocka_unit_test(absent_arguments_are_not_given),
		cmocka_unit_test(refuses_missing_and_double_arguments),
		cmocka_unit_test(refuses_unknown_arguments),
		cmocka_unit_test(refuses_bad_values),
		cmocka_unit_test(options_are_handed_on_as_they_are),
		cmocka_unit_test(options_have_a_ceiling),
		cmocka_unit_test(clears_by_any_of_four_in_any_order),
		cmocka_unit_test(refuses_to_clear_by_nonsense),
		cmocka_unit_test(kicks_only_whom_it_can_name),
		cmocka_unit_test(shows_all_or_three),
		cmocka_unit_test(long_input_is_cut_in_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
