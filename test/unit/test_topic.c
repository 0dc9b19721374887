#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/topic.h"

typedef bool judge_fn(struct bytes);

#define ASK(judge, text) ask(judge, text, sizeof(text) - 1)

/* Ask about a copy without a NUL behind it. */
static bool ask(judge_fn *judge, const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	bool answer;

	assert_non_null(copy);
	memcpy(copy, text, len);
	answer = judge((struct bytes){ copy, len });
	free(copy);
	return answer;
}

#define YES(judge, text) assert_true(ASK(judge, text))
#define NO(judge, text)  assert_false(ASK(judge, text))

static bool long_one(judge_fn *judge, size_t len)
{
	char *text = malloc(len);
	bool answer;

	assert_non_null(text);
	memset(text, 'x', len);
	answer = judge((struct bytes){ text, len });
	free(text);
	return answer;
}

static void strings_are_utf8_without_nul(void **state)
{
	(void)state;
	YES(topic_utf8_valid, "");
	YES(topic_utf8_valid, "caf\xc3\xa9/\xf0\x9f\x98\x80");
	YES(topic_utf8_valid, "\x7f \xef\xbf\xbf \xf4\x8f\xbf\xbf");
	NO(topic_utf8_valid, "a\0b");
	NO(topic_utf8_valid, "a\xff");
	NO(topic_utf8_valid, "\xc0\x80");
	NO(topic_utf8_valid, "\xe0\x9f\xbf");
	NO(topic_utf8_valid, "\xed\xa0\x80");
	NO(topic_utf8_valid, "\xf0\x8f\xbf\xbf");
	NO(topic_utf8_valid, "\xf4\x90\x80\x80");
	NO(topic_utf8_valid, "\xf5\x80\x80\x80");
	NO(topic_utf8_valid, "\xe2\x82");
	NO(topic_utf8_valid, "\xf0\x9f\x98");
}

static void a_string_fits_its_two_byte_length(void **state)
{
	(void)state;
	assert_true(long_one(topic_utf8_valid, 65535));
	assert_false(long_one(topic_utf8_valid, 65536));
	assert_true(long_one(topic_name_valid, 65535));
	assert_false(long_one(topic_name_valid, 65536));
	assert_false(long_one(topic_filter_valid, 65536));
}

static void names_have_no_wildcards(void **state)
{
	(void)state;
	YES(topic_name_valid, "a");
	YES(topic_name_valid, "/");
	YES(topic_name_valid, "a/");
	YES(topic_name_valid, "a//b");
	YES(topic_name_valid, "\xc3\xa9/ /b");
	NO(topic_name_valid, "");
	NO(topic_name_valid, "#");
	NO(topic_name_valid, "a/+");
	NO(topic_name_valid, "a+");
	NO(topic_name_valid, "a/#/b");
	NO(topic_name_valid, "a\0b");
}

static void names_have_at_most_ten_levels(void **state)
{
	(void)state;
	YES(topic_name_valid, "a/b/c/d/e/f/g/h/i/j");
	NO(topic_name_valid, "a/b/c/d/e/f/g/h/i/j/k");
	NO(topic_name_valid, "//////////");
}

static void nobody_publishes_to_the_brokers_own(void **state)
{
	static const char *const reserved[] = {
		"$SYS",      "$SYS/x",
		"$CONTROL",  "$CONTROL/dynamic-security/v1",
		"$share",    "$share/g/t",
		"$CONTROL/",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
		assert_false(topic_name_valid(bytes_of(reserved[i])));
		assert_true(topic_name_wellformed(bytes_of(reserved[i])));
	}
	/* what only looks like it */
	YES(topic_name_valid, "$SYSTEM/x");
	YES(topic_name_valid, "$CONTROLS");
	YES(topic_name_valid, "$other/x");
	YES(topic_name_valid, "a/$SYS/x");
	YES(topic_name_valid, "$sys/x");
}

static void filters_have_whole_wildcards(void **state)
{
	(void)state;
	YES(topic_filter_valid, "a/b");
	YES(topic_filter_valid, "#");
	YES(topic_filter_valid, "+");
	YES(topic_filter_valid, "+/#");
	YES(topic_filter_valid, "a/+/b/#");
	YES(topic_filter_valid, "/+");
	YES(topic_filter_valid, "$SYS/#");
	NO(topic_filter_valid, "");
	NO(topic_filter_valid, "a/#/b");
	NO(topic_filter_valid, "a+");
	NO(topic_filter_valid, "+a");
	NO(topic_filter_valid, "a/b#");
	NO(topic_filter_valid, "##");
	NO(topic_filter_valid, "#/");
	NO(topic_filter_valid, "a\0b");
	NO(topic_filter_valid, "a\xff");
	NO(topic_filter_valid, "a/b/c/d/e/f/g/h/i/j/#");
}

static void shared_filters_have_a_group_and_a_filter(void **state)
{
	(void)state;
	YES(topic_filter_valid, "$share/g/t");
	YES(topic_filter_valid, "$share/g/#");
	YES(topic_filter_valid, "$share/g//");
	YES(topic_filter_valid, "$shared/g");
	YES(topic_filter_valid, "$share/g/a/b/c/d/e/f/g/h/i/j");
	NO(topic_filter_valid, "$share");
	NO(topic_filter_valid, "$share/");
	NO(topic_filter_valid, "$share/g");
	NO(topic_filter_valid, "$share/g/");
	NO(topic_filter_valid, "$share//t");
	NO(topic_filter_valid, "$share/+/t");
	NO(topic_filter_valid, "$share/g#/t");
	NO(topic_filter_valid, "$share/g/a+");
	NO(topic_filter_valid, "$share/g/a/b/c/d/e/f/g/h/i/j/k");
}

static void control_is_out_of_reach(void **state)
{
	(void)state;
	YES(topic_is_control, "$CONTROL");
	YES(topic_is_control, "$CONTROL/#");
	YES(topic_is_control, "$CONTROL/a/b");
	YES(topic_is_control, "$share/g/$CONTROL/#");
	NO(topic_is_control, "$CONTROLS/#");
	NO(topic_is_control, "a/$CONTROL");
	NO(topic_is_control, "#");
	NO(topic_is_control, "");
	NO(topic_is_control, "$share/$CONTROL/x");
	NO(topic_filter_valid, "$CONTROL/#");
	NO(topic_filter_valid, "$share/g/$CONTROL/#");
	assert_false(topic_is_control(bytes_of(NULL)));
	assert_false(topic_filter_valid(bytes_of(NULL)));
	assert_false(topic_name_valid(bytes_of(NULL)));
	assert_true(topic_utf8_valid(bytes_of(NULL)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_utf8_without_nul),
		cmocka_unit_test(a_string_fits_its_two_byte_length),
		cmocka_unit_test(names_have_no_wildcards),
		cmocka_unit_test(names_have_at_most_ten_levels),
		cmocka_unit_test(nobody_publishes_to_the_brokers_own),
		cmocka_unit_test(filters_have_whole_wildcards),
		cmocka_unit_test(shared_filters_have_a_group_and_a_filter),
		cmocka_unit_test(control_is_out_of_reach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
