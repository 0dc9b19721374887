/* plugin/cli/table.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include "plugin/cli/table.h"

static char *printed(const char *json, const struct table_view *view)
{
	cJSON *rows = cJSON_Parse(json);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(rows);
	assert_non_null(out);
	if (view)
		assert_int_equal(table_print(rows, view, out), 0);
	else
		table_print_records(rows, false, out);
	assert_int_equal(fclose(out), 0);
	cJSON_Delete(rows);
	return text;
}

static void expect(const char *json, const struct table_view *view,
		   const char *want)
{
	char *text = printed(json, view);

	assert_string_equal(text, want);
	free(text);
}

static void all_columns_in_one_line(void **state)
{
	const struct table_view view = { .bold = false };

	(void)state;
	expect("[]", &view, "");
	expect("[{\"a\":\"one two three\",\"bee\":1.5},"
	       "{\"a\":null,\"bee\":true}]",
	       &view,
	       "+---------------+------+\n"
	       "| a             | bee  |\n"
	       "+---------------+------+\n"
	       "| one two three | 1.5  |\n"
	       "+---------------+------+\n"
	       "|               | true |\n"
	       "+---------------+------+\n");
}

static void some_columns(void **state)
{
	const struct table_view view = { .columns = "c a" };

	(void)state;
	expect("[{\"a\":1,\"b\":2,\"c\":3,\"ca\":4}]", &view,
	       "+---+---+\n"
	       "| a | c |\n"
	       "+---+---+\n"
	       "| 1 | 3 |\n"
	       "+---+---+\n");
}

static void long_texts_are_wrapped(void **state)
{
	const struct table_view view = { .wrap = 10 };

	(void)state;
	expect("[{\"a\":\"the quick brown fox\",\"b\":1},"
	       "{\"a\":\"x\",\"b\":2}]",
	       &view,
	       "+-----------+---+\n"
	       "| a         | b |\n"
	       "+-----------+---+\n"
	       "| the quick | 1 |\n"
	       "| brown fox |   |\n"
	       "+-----------+---+\n"
	       "| x         | 2 |\n"
	       "+-----------+---+\n");
}

/* A URL stays whole, to be copied. */
static void words_are_not_cut(void **state)
{
	const struct table_view view = { .wrap = 5 };

	(void)state;
	expect("[{\"u\":\"http://h/x\",\"t\":\"a  b http://h/xyz c\"}]", &view,
	       "+------------+--------------+\n"
	       "| u          | t            |\n"
	       "+------------+--------------+\n"
	       "| http://h/x | a  b         |\n"
	       "|            | http://h/xyz |\n"
	       "|            | c            |\n"
	       "+------------+--------------+\n");
}

static void characters_count_and_not_bytes(void **state)
{
	const struct table_view view = { .wrap = 6 };

	(void)state;
	expect("[{\"a\":\"\\u00e4\\u00f6\\u00fc \\u00e9\\u00e8 x\"}]", &view,
	       "+--------+\n"
	       "| a      |\n"
	       "+--------+\n"
	       "| \u00e4\u00f6\u00fc \u00e9\u00e8 |\n"
	       "| x      |\n"
	       "+--------+\n");
}

static void a_terminal_gets_no_control_characters(void **state)
{
	const struct table_view view = { .wrap = 40 };

	(void)state;
	expect("[{\"a\":\"x\\u001b[1m\\ny\"}]", &view,
	       "+---------+\n"
	       "| a       |\n"
	       "+---------+\n"
	       "| x?[1m?y |\n"
	       "+---------+\n");
}

static void headings_are_bold_if_asked(void **state)
{
	const struct table_view view = { .bold = true };

	(void)state;
	expect("[{\"a\":1}]", &view,
	       "+---+\n"
	       "| \033[1ma\033[0m |\n"
	       "+---+\n"
	       "| 1 |\n"
	       "+---+\n");
}

static void records_are_paragraphs_without_what_is_empty(void **state)
{
	(void)state;
	expect("[]", NULL, "");
	expect("[{\"a\":1,\"long\":\"x y\",\"none\":null,\"no\":\"\"},"
	       "{\"a\":false,\"c\":\"\\u0007\"}]",
	       NULL,
	       "a:    1\n"
	       "long: x y\n"
	       "\n"
	       "a:    false\n"
	       "c:    ?\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_columns_in_one_line),
		cmocka_unit_test(some_columns),
		cmocka_unit_test(long_texts_are_wrapped),
		cmocka_unit_test(words_are_not_cut),
		cmocka_unit_test(characters_count_and_not_bytes),
		cmocka_unit_test(a_terminal_gets_no_control_characters),
		cmocka_unit_test(headings_are_bold_if_asked),
		cmocka_unit_test(records_are_paragraphs_without_what_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
