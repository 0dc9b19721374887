#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/trace.h"

static const uint8_t key[TRACE_KEY_LEN] = { 1, 2, 3 };
static const uint8_t other[TRACE_KEY_LEN] = { 1, 2, 4 };

static void expect_form(const char *value)
{
	assert_int_equal(strlen(value), 55);
	for (int i = 0; i < 55; i++) {
		if (i == 2 || i == 35 || i == 52)
			assert_int_equal(value[i], '-');
		else
			assert_non_null(strchr("0123456789abcdef", value[i]));
	}
	assert_memory_equal(value, "00-", 3);
	assert_string_equal(value + 52, "-01");
}

static void it_has_the_form(void **state)
{
	char a[TRACE_LEN];

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		trace_write(key, i, i * i, a);
		expect_form(a);
	}
}

static void one_event_is_one_trace(void **state)
{
	char a[TRACE_LEN], b[TRACE_LEN];

	(void)state;
	trace_write(key, 7, 1, a);
	trace_write(key, 7, 2, b);
	assert_memory_equal(a, b, 35);
	assert_memory_not_equal(a + 36, b + 36, 16);
	trace_write(key, 7, 1, b);
	assert_string_equal(a, b);
}

static void another_event_or_start_is_another(void **state)
{
	char a[TRACE_LEN], b[TRACE_LEN];

	(void)state;
	trace_write(key, 7, 1, a);
	trace_write(key, 8, 1, b);
	assert_memory_not_equal(a + 3, b + 3, 32);
	assert_memory_equal(a + 36, b + 36, 16);
	trace_write(other, 7, 1, b);
	assert_memory_not_equal(a + 3, b + 3, 32);
	assert_memory_not_equal(a + 36, b + 36, 16);
	/* the same number of both has nothing in common either */
	trace_write(key, 5, 5, a);
	assert_memory_not_equal(a + 3, a + 36, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_has_the_form),
		cmocka_unit_test(one_event_is_one_trace),
		cmocka_unit_test(another_event_or_start_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
