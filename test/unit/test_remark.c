/* plugin/remark.h */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/remark.h"

static void begins_without_a_word(void **state)
{
	struct remark r = { 0 };
	char text[REMARK_LEN] = "as it was";
	int64_t when = 7;

	(void)state;
	assert_false(remark_read(&r, &when, text));
	assert_string_equal(text, "as it was");
	assert_int_equal(when, 7);
}

static void the_newest_is_read(void **state)
{
	struct remark r = { 0 };
	char text[REMARK_LEN];
	int64_t when;

	(void)state;
	remark_write(&r, 1000, "a long line of some words");
	remark_write(&r, 2000, "short");
	for (int i = 0; i < 2; i++) {
		assert_true(remark_read(&r, &when, text));
		assert_string_equal(text, "short");
		assert_int_equal(when, 2000);
	}
	remark_write(&r, 3000, "");
	assert_true(remark_read(&r, &when, text));
	assert_string_equal(text, "");
}

static void what_is_long_is_cut(void **state)
{
	struct remark r = { 0 };
	char text[REMARK_LEN], line[REMARK_LEN * 2];
	int64_t when;

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	remark_write(&r, 1, line);
	assert_true(remark_read(&r, &when, text));
	assert_int_equal(strlen(text), REMARK_LEN - 1);
	line[REMARK_LEN - 1] = '\0';
	assert_string_equal(text, line);
}

static void one_line_stays_one(void **state)
{
	struct remark r = { 0 };
	char text[REMARK_LEN];
	int64_t when;

	(void)state;
	remark_write(&r, 1, "a\nb\x1b[1m\x7f");
	assert_true(remark_read(&r, &when, text));
	assert_string_equal(text, "a?b?[1m?");
}

struct pair {
	struct remark remark;
	atomic_bool over;
};

/* Lines whose every letter, and whose time, is the same. */
static void *write_on(void *arg)
{
	struct pair *p = arg;
	char line[REMARK_LEN];

	for (unsigned i = 0; !p->over; i++) {
		memset(line, 'a' + i % 26, REMARK_LEN - 1);
		line[i % 3 ? REMARK_LEN - 1 : 20] = '\0';
		remark_write(&p->remark, 'a' + i % 26, line);
	}
	return NULL;
}

static void no_reader_sees_half_a_line(void **state)
{
	struct pair p = { .over = false };
	char text[REMARK_LEN];
	unsigned seen = 0;
	pthread_t thread;
	int64_t when;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, write_on, &p), 0);
	while (seen < 20000) {
		if (!remark_read(&p.remark, &when, text))
			continue;
		seen++;
		assert_true(strlen(text) == 20 ||
			    strlen(text) == REMARK_LEN - 1);
		for (size_t i = 0; text[i]; i++)
			assert_int_equal(text[i], when);
	}
	p.over = true;
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_without_a_word),
		cmocka_unit_test(the_newest_is_read),
		cmocka_unit_test(what_is_long_is_cut),
		cmocka_unit_test(one_line_stays_one),
		cmocka_unit_test(no_reader_sees_half_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
