#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/json_writer.h"

/* What `w` has written, and nothing else. */
static void assert_written(struct json_writer *w, const char *expected)
{
	size_t len = 0;
	char *text;

	assert_int_equal(json_finish(w, &text, &len), 0);
	assert_string_equal(text, expected);
	assert_int_equal(len, strlen(expected));
	free(text);
}

static void assert_text(const char *bytes, size_t n, const char *expected)
{
	struct json_writer w = JSON_WRITER_INIT;
	char *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	json_text(&w, NULL, (struct bytes){ copy, n });
	free(copy);
	assert_written(&w, expected);
}

static void assert_base64(const char *text, const char *expected)
{
	struct json_writer w = JSON_WRITER_INIT;

	json_base64(&w, NULL, bytes_of(text));
	assert_written(&w, expected);
}

static void microseconds_become_milliseconds(void **state)
{
	static const struct {
		uint64_t us;
		const char *text;
	} cases[] = {
		{ 0, "0" },           { 1, "0.001" },        { 999, "0.999" },
		{ 1000, "1" },        { 1500, "1.5" },       { 10000, "10" },
		{ 100010, "100.01" }, { 60000000, "60000" },
	};
	struct json_writer w = JSON_WRITER_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_millis(&w, NULL, cases[i].us);
		assert_written(&w, cases[i].text);
	}
	json_open(&w, NULL, '{');
	json_millis(&w, "a", 5);
	json_millis(&w, "b", 1000);
	json_close(&w, '}');
	assert_written(&w, "{\"a\":0.005,\"b\":1}");
}

static void members_and_items_are_separated(void **state)
{
	struct json_writer w = JSON_WRITER_INIT;

	(void)state;
	json_open(&w, NULL, '{');
	json_int(&w, "a", 1);
	json_open(&w, "b", '[');
	json_bool(&w, NULL, true);
	json_null(&w, NULL);
	json_open(&w, NULL, '{');
	json_close(&w, '}');
	json_text(&w, NULL, bytes_of("x"));
	json_close(&w, ']');
	json_bool(&w, "c", false);
	json_open(&w, "d", '[');
	json_close(&w, ']');
	json_null(&w, "e");
	json_close(&w, '}');
	assert_written(&w, "{\"a\":1,\"b\":[true,null,{},\"x\"],\"c\":false,"
			   "\"d\":[],\"e\":null}");
}

static void a_writer_can_be_used_again(void **state)
{
	struct json_writer w = JSON_WRITER_INIT;

	(void)state;
	json_int(&w, NULL, 1);
	assert_written(&w, "1");
	json_int(&w, NULL, 2);
	assert_written(&w, "2");
	json_text(&w, NULL, bytes_of("dropped"));
	json_abandon(&w);
	json_int(&w, NULL, 3);
	assert_written(&w, "3");
}

static void numbers_have_all_their_digits(void **state)
{
	struct json_writer w = JSON_WRITER_INIT;

	(void)state;
	json_open(&w, NULL, '[');
	json_int(&w, NULL, INT64_MIN);
	json_int(&w, NULL, INT64_MAX);
	json_int(&w, NULL, 0);
	json_close(&w, ']');
	assert_written(&w, "[-9223372036854775808,9223372036854775807,0]");
}

static void seconds_have_six_decimals(void **state)
{
	struct json_writer w = JSON_WRITER_INIT;

	(void)state;
	json_open(&w, NULL, '{');
	json_seconds(&w, "a", 0);
	json_seconds(&w, "b", 1);
	json_seconds(&w, "c", 12345678);
	json_seconds(&w, "d", UINT64_MAX);
	json_close(&w, '}');
	assert_written(&w, "{\"a\":0.000000,\"b\":0.000001,\"c\":12.345678,"
			   "\"d\":18446744073709.551615}");
}

static void what_is_absent_is_null(void **state)
{
	struct json_writer w = JSON_WRITER_INIT;

	(void)state;
	json_open(&w, NULL, '[');
	json_text(&w, NULL, bytes_of(NULL));
	json_base64(&w, NULL, bytes_of(NULL));
	json_text(&w, NULL, bytes_of(""));
	json_base64(&w, NULL, bytes_of(""));
	json_close(&w, ']');
	assert_written(&w, "[null,null,\"\",\"\"]");
}

static void keys_are_escaped_too(void **state)
{
	struct json_writer w = JSON_WRITER_INIT;

	(void)state;
	json_open(&w, NULL, '{');
	json_int(&w, "a\"b\\", 1);
	json_close(&w, '}');
	assert_written(&w, "{\"a\\\"b\\\\\":1}");
}

static void control_characters_are_escaped(void **state)
{
	(void)state;
	assert_text("\0\x01\b\t\n\v\f\r\x1f", 9,
		    "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\"");
}

static void what_need_not_be_escaped_is_not(void **state)
{
	(void)state;
	assert_text(" /'<>&\x7f", 7, "\" /'<>&\x7f\"");
	assert_text("caf\xc3\xa9 \xf0\x9f\x98\x80 \xef\xbf\xbf", 14,
		    "\"caf\xc3\xa9 \xf0\x9f\x98\x80 \xef\xbf\xbf\"");
}

static void line_ends_of_javascript_are_escaped(void **state)
{
	(void)state;
	assert_text("\xe2\x80\xa8|\xe2\x80\xa9", 7, "\"\\u2028|\\u2029\"");
	/* and their neighbours are not */
	assert_text("\xe2\x80\xa7\xe2\x80\xaa", 6,
		    "\"\xe2\x80\xa7\xe2\x80\xaa\"");
}

#define R "\xef\xbf\xbd"

static void bad_bytes_are_replaced_in_verne_mqs_numbers(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *expected;
	} cases[] = {
		{ "a\xff"
		  "b",
		  3, "\"a" R "b\"" },
		{ "\xff\xfe", 2, "\"" R R "\"" },
		{ "\x80\x81", 2, "\"" R R "\"" },     /* strays: each */
		{ "abc\xe2\x82", 5, "\"abc" R "\"" }, /* cut off: one */
		{ "\xe2\x82x", 3, "\"" R "x\"" },
		{ "\xe2x", 2, "\"" R "x\"" },
		{ "\xc0\xaf", 2, "\"" R "\"" }, /* overlong: one */
		{ "\xe0\x80\xaf", 3, "\"" R "\"" },
		{ "\xf0\x80\x80\xaf", 4, "\"" R "\"" },
		{ "\xf4\x90\x80\x80", 4, "\"" R "\"" }, /* above U+10FFFF */
		{ "\xf0\x9f\x98", 3, "\"" R "\"" },
		{ "\xed\xa0\x80", 3, "\"" R "\"" }, /* surrogate: one */
		{ "\xed\xa0", 2, "\"" R "\"" },
		{ "\xed\xa0\x80\xed\xb0\x80", 6, "\"" R R "\"" },
		{ "\xf8\x88\x80\x80\x80", 5, "\"" R R R R R "\"" },
		{ "\xc3", 1, "\"" R "\"" },
		{ "\xc3\xa9\xa9", 3, "\"\xc3\xa9" R "\"" },
		{ "caf\xe9", 4, "\"caf" R "\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_text(cases[i].bytes, cases[i].n, cases[i].expected);
}

static void base64_is_the_standard_one(void **state)
{
	(void)state;
	/* RFC 4648 section 10 */
	assert_base64("f", "\"Zg==\"");
	assert_base64("fo", "\"Zm8=\"");
	assert_base64("foo", "\"Zm9v\"");
	assert_base64("foob", "\"Zm9vYg==\"");
	assert_base64("fooba", "\"Zm9vYmE=\"");
	assert_base64("foobar", "\"Zm9vYmFy\"");
	assert_base64("\xfb\xff\xbe", "\"+/++\"");
}

static void it_grows_to_what_is_written(void **state)
{
	struct json_writer w = JSON_WRITER_INIT;
	enum {
		N = 100000
	};
	size_t len = 0;
	char *text;

	(void)state;
	json_open(&w, NULL, '[');
	for (int i = 0; i < N; i++)
		json_int(&w, NULL, i % 10);
	json_close(&w, ']');
	assert_int_equal(json_finish(&w, &text, &len), 0);
	assert_int_equal(len, 2 * N + 1);
	for (int i = 0; i < N; i++) {
		if (text[2 * i + 1] != '0' + i % 10)
			fail_msg("item %d", i);
	}
	free(text);
}

static void what_is_too_long_fails_as_without_memory(void **state)
{
	struct json_writer w = JSON_WRITER_INIT;
	char *text = NULL;
	size_t len = 0;

	(void)state;
	json_int(&w, NULL, 1);
	json_reserve(&w, JSON_WRITER_MAX);
	json_int(&w, NULL, 2); /* harmless */
	json_base64(&w, NULL, bytes_of("x"));
	assert_int_equal(json_finish(&w, &text, &len), -ENOMEM);
	assert_null(text);
	json_int(&w, NULL, 3);
	assert_written(&w, "3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_and_items_are_separated),
		cmocka_unit_test(microseconds_become_milliseconds),
		cmocka_unit_test(a_writer_can_be_used_again),
		cmocka_unit_test(numbers_have_all_their_digits),
		cmocka_unit_test(seconds_have_six_decimals),
		cmocka_unit_test(what_is_absent_is_null),
		cmocka_unit_test(keys_are_escaped_too),
		cmocka_unit_test(control_characters_are_escaped),
		cmocka_unit_test(what_need_not_be_escaped_is_not),
		cmocka_unit_test(line_ends_of_javascript_are_escaped),
		cmocka_unit_test(bad_bytes_are_replaced_in_verne_mqs_numbers),
		cmocka_unit_test(base64_is_the_standard_one),
		cmocka_unit_test(it_grows_to_what_is_written),
		cmocka_unit_test(what_is_too_long_fails_as_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
