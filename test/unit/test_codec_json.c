#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/codec/codec.h"

/* Check a copy without a NUL behind it. */
static int check(const char *body, size_t len, char error[CODEC_ERROR_LEN])
{
	char *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, body, len);
	error[0] = '\0';
	err = codec_check_json(copy, len, error);
	free(copy);
	return err;
}

#define GOOD(text) good(text, sizeof(text) - 1)
static void good(const char *text, size_t len)
{
	char error[CODEC_ERROR_LEN];

	if (check(text, len, error) != 0)
		fail_msg("%s: %s", text, error);
}

/* Wrong at that byte. */
#define BAD(text, at) bad(text, sizeof(text) - 1, at)
static void bad(const char *text, size_t len, unsigned at)
{
	char error[CODEC_ERROR_LEN], expected[32];

	if (check(text, len, error) != -EBADMSG)
		fail_msg("taken for JSON: %s", text);
	snprintf(expected, sizeof(expected), ", at byte %u", at);
	if (strlen(error) < strlen(expected) ||
	    strcmp(error + strlen(error) - strlen(expected), expected) != 0)
		fail_msg("%s: %s", text, error);
}

static void what_is_json(void **state)
{
	(void)state;
	GOOD("{}");
	GOOD("[]");
	GOOD("null");
	GOOD("true");
	GOOD("false");
	GOOD("\"\"");
	GOOD("0");
	GOOD(" {\t\"a\"\n:\r[ ] , \"b\" : { } } ");
	GOOD("[1,[2,[3,{}]],{\"a\":{\"b\":[null]}}]");
	GOOD("{\"a\":1,\"a\":2}");
	GOOD("{\"\":1}");
	GOOD("\xef\xbb\xbf{\"a\":1}");
}

static void what_is_not(void **state)
{
	char error[CODEC_ERROR_LEN];

	(void)state;
	assert_int_equal(check("", 0, error), -EBADMSG);
	assert_string_equal(error, "not JSON: an empty body");
	BAD(" ", 1);
	BAD("\xef\xbb\xbf", 3);
	BAD("\xef\xbb{}", 0);
	BAD("\xff\xfe{\0}\0", 0);
	BAD("ok", 0);
	BAD("OK\n", 0);
	BAD("<html></html>", 0);
	BAD("nul", 0);
	BAD("True", 0);
	BAD("NaN", 0);
	BAD("Infinity", 0);
	BAD("undefined", 0);
	BAD("{} {}", 3);
	BAD("{}x", 2);
	BAD("{}\0", 2);
	BAD("[] ]", 3);
	BAD("nullx", 4);
}

static void objects_and_arrays(void **state)
{
	(void)state;
	BAD("{", 1);
	BAD("[", 1);
	BAD("[1", 2);
	BAD("{\"a\"", 4);
	BAD("{\"a\":", 5);
	BAD("{\"a\":1", 6);
	BAD("{\"a\" 1}", 5);
	BAD("{\"a\":1,}", 7);
	BAD("[1,]", 3);
	BAD("[,1]", 1);
	BAD("[1 2]", 3);
	BAD("{,}", 1);
	BAD("{a:1}", 1);
	BAD("{'a':1}", 1);
	BAD("{1:1}", 1);
	BAD("[1}", 2);
	BAD("{\"a\":1]", 6);
	BAD("// c\n{}", 0);
	BAD("{\"a\":1/*c*/}", 6);
}

static void strings(void **state)
{
	(void)state;
	GOOD("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u0000\"");
	GOOD("\"\\ud83d\\ude00 \\uD83D\\uDE00\"");
	GOOD("\"caf\xc3\xa9 \xf0\x9f\x98\x80 \x7f\"");
	BAD("\"a", 2);
	BAD("\"a\\\"", 4);
	BAD("\"\\", 2);
	BAD("\"\\x\"", 2);
	BAD("\"\\u12\"", 2);
	BAD("\"\\u12g4\"", 2);
	BAD("\"\\u", 2);
	BAD("\"\\\0\"", 2);
	BAD("\"a\tb\"", 2);
	BAD("\"a\nb\"", 2);
	BAD("\"a\0b\"", 2);
	BAD("\"\xff\"", 1);
	BAD("\"\xc0\x80\"", 1);
	BAD("\"\xed\xa0\x80\"", 1);
	BAD("\"\xe2\x82\"", 1);
	BAD("\"\\ud800\"", 2);
	BAD("\"\\ud800x\"", 2);
	BAD("\"\\udc00\"", 2);
	BAD("\"\\ud800\\ud800\"", 2);
	BAD("\"\\ud800\\u0041\"", 2);
	BAD("'a'", 0);
}

static void numbers(void **state)
{
	(void)state;
	GOOD("-0");
	GOOD("10");
	GOOD("-1.5e+10");
	GOOD("0.5");
	GOOD("1E5");
	GOOD("1e-400");
	GOOD("123456789012345678901234567890");
	BAD("01", 1);
	BAD("-", 1);
	BAD("+1", 0);
	BAD(".5", 0);
	BAD("1.", 2);
	BAD("1.e5", 2);
	BAD("1e", 2);
	BAD("1e+", 3);
	BAD("0x10", 1);
	BAD("1_000", 1);
	BAD("--1", 1);
	BAD("1e400", 0);
	BAD("[-1e400]", 1);
}

static void a_number_has_a_longest(void **state)
{
	char text[80], error[CODEC_ERROR_LEN];

	(void)state;
	memset(text, '7', sizeof(text));
	assert_int_equal(check(text, 63, error), 0);
	assert_int_equal(check(text, 64, error), -EBADMSG);
	assert_non_null(strstr(error, "digits"));
}

static int check_depth(unsigned depth, char open, char close)
{
	char text[200], error[CODEC_ERROR_LEN];
	size_t n = 0;

	for (unsigned i = 0; i < depth; i++) {
		text[n++] = open;
		if (open == '{' && i + 1 < depth) {
			memcpy(text + n, "\"\":", 3);
			n += 3;
		}
	}
	for (unsigned i = 0; i < depth; i++)
		text[n++] = close;
	return check(text, n, error);
}

static void nesting_has_a_deepest(void **state)
{
	(void)state;
	assert_int_equal(check_depth(32, '[', ']'), 0);
	assert_int_equal(check_depth(33, '[', ']'), -EBADMSG);
	assert_int_equal(check_depth(32, '{', '}'), 0);
	assert_int_equal(check_depth(33, '{', '}'), -EBADMSG);
}

static void depth_is_not_length(void **state)
{
	enum {
		N = 100000
	};
	char *text = malloc(3 * N + 2), error[CODEC_ERROR_LEN];
	size_t n = 0;

	(void)state;
	assert_non_null(text);
	text[n++] = '[';
	for (int i = 0; i < N; i++) {
		text[n++] = '[';
		text[n++] = ']';
		text[n++] = i + 1 < N ? ',' : ']';
	}
	assert_int_equal(check(text, n, error), 0);
	memset(text, '[', n);
	assert_int_equal(check(text, n, error), -EBADMSG);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_json),
		cmocka_unit_test(what_is_not),
		cmocka_unit_test(objects_and_arrays),
		cmocka_unit_test(strings),
		cmocka_unit_test(numbers),
		cmocka_unit_test(a_number_has_a_longest),
		cmocka_unit_test(nesting_has_a_deepest),
		cmocka_unit_test(depth_is_not_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
