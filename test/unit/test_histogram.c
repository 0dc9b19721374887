/* test_histogram.c - pool/histogram.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "pool/histogram.h"

static struct histogram_values values_of(const struct histogram *h)
{
	struct histogram_values values = { .count = 0 };

	histogram_read(h, &values);
	return values;
}

static void test_nothing_has_no_quantile(void **state)
{
	struct histogram h = { .sum_us = 0 };
	struct histogram_values values = values_of(&h);

	(void)state;
	assert_int_equal(values.count, 0);
	assert_int_equal(values.sum_us, 0);
	assert_int_equal(histogram_quantile(&values, 0.5), 0);
}

static void test_bounds_ascend_from_a_tenth_to_a_minute(void **state)
{
	(void)state;
	assert_int_equal(histogram_bounds_us[0], 100);
	assert_int_equal(histogram_bounds_us[HISTOGRAM_BOUNDS - 1], 60000000);
	for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++)
		assert_true(histogram_bounds_us[i] >
			    histogram_bounds_us[i - 1]);
}

static void test_a_bound_belongs_to_its_bucket(void **state)
{
	(void)state;
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		struct histogram h = { .sum_us = 0 };
		struct histogram_values values;

		histogram_add(&h, histogram_bounds_us[i]);
		histogram_add(&h, histogram_bounds_us[i] + 1);
		values = values_of(&h);
		assert_int_equal(values.buckets[i], 1);
		assert_int_equal(values.buckets[i + 1], 1);
		assert_int_equal(values.count, 2);
		assert_int_equal(values.sum_us, 2 * histogram_bounds_us[i] + 1);
	}
}

static void test_quantiles_are_within_their_bucket(void **state)
{
	struct histogram h = { .sum_us = 0 };
	struct histogram_values values;

	(void)state;
	for (int i = 0; i < 90; i++)
		histogram_add(&h, 3000); /* 2.5 to 5 ms */
	for (int i = 0; i < 10; i++)
		histogram_add(&h, 700000); /* 500 ms to 1 s */
	values = values_of(&h);
	assert_int_equal(histogram_quantile(&values, 0), 2500);
	assert_in_range(histogram_quantile(&values, 0.45), 3700, 3800);
	assert_int_equal(histogram_quantile(&values, 0.9), 5000);
	assert_in_range(histogram_quantile(&values, 0.95), 740000, 760000);
	assert_int_equal(histogram_quantile(&values, 1), 1000000);
}

static void test_the_first_bucket_begins_at_0(void **state)
{
	struct histogram h = { .sum_us = 0 };
	struct histogram_values values;

	(void)state;
	histogram_add(&h, 0);
	values = values_of(&h);
	assert_int_equal(values.buckets[0], 1);
	assert_int_equal(histogram_quantile(&values, 0.5), 50);
}

static void test_beyond_the_last_bound_it_is_that(void **state)
{
	struct histogram h = { .sum_us = 0 };
	struct histogram_values values;

	(void)state;
	histogram_add(&h, UINT64_MAX / 2);
	values = values_of(&h);
	assert_int_equal(values.buckets[HISTOGRAM_BOUNDS], 1);
	assert_int_equal(histogram_quantile(&values, 0.99), 60000000);
}

static void test_several_are_read_together(void **state)
{
	struct histogram a = { .sum_us = 0 }, b = { .sum_us = 0 };
	struct histogram_values values;

	(void)state;
	histogram_add(&a, 1000);
	histogram_add(&b, 1000);
	histogram_add(&b, 2000);
	values = values_of(&a);
	histogram_read(&b, &values);
	assert_int_equal(values.count, 3);
	assert_int_equal(values.sum_us, 4000);
}

enum {
	ADDED = 200000
};

static void *add_many(void *arg)
{
	for (uint64_t i = 0; i < ADDED; i++)
		histogram_add(arg, i % 200000);
	return NULL;
}

/* Read meanwhile no number goes back, and none is missing at the end. */
static void test_read_while_it_is_written(void **state)
{
	struct histogram h = { .sum_us = 0 };
	struct histogram_values before = { .count = 0 }, now;
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, add_many, &h), 0);
	do {
		now = values_of(&h);
		assert_true(now.sum_us >= before.sum_us);
		for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
			assert_true(now.buckets[i] >= before.buckets[i]);
		before = now;
	} while (now.count < ADDED);
	pthread_join(writer, NULL);
	assert_int_equal(values_of(&h).count, ADDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_has_no_quantile),
		cmocka_unit_test(test_bounds_ascend_from_a_tenth_to_a_minute),
		cmocka_unit_test(test_a_bound_belongs_to_its_bucket),
		cmocka_unit_test(test_quantiles_are_within_their_bucket),
		cmocka_unit_test(test_the_first_bucket_begins_at_0),
		cmocka_unit_test(test_beyond_the_last_bound_it_is_that),
		cmocka_unit_test(test_several_are_read_together),
		cmocka_unit_test(test_read_while_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
