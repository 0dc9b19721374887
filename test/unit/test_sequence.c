/* test_sequence.c - plugin/sequence.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include "plugin/sequence.h"

#define ONE "http://one/"
#define TWO "http://two/"

static int set_up(void **state)
{
	struct sequences *s;

	if (sodium_init() < 0 || sequences_create(&s))
		return -1;
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	sequences_destroy(*state);
	return 0;
}

static uint64_t next(struct sequences *s, const char *id, const char *endpoint)
{
	return sequences_next(s, bytes_of(id), endpoint);
}

static void test_events_are_numbered_from_one(void **state)
{
	struct sequences *s = *state;
	uint64_t i;

	sequences_hold(s, "joe");
	for (i = 1; i <= 1000; i++)
		assert_int_equal(next(s, "joe", ONE), i);
}

static void test_each_client_and_endpoint_has_its_own(void **state)
{
	struct sequences *s = *state;

	sequences_hold(s, "joe");
	sequences_hold(s, "ann");
	assert_int_equal(next(s, "joe", ONE), 1);
	assert_int_equal(next(s, "joe", ONE), 2);
	assert_int_equal(next(s, "joe", TWO), 1);
	assert_int_equal(next(s, "ann", ONE), 1);
	assert_int_equal(next(s, "ann", TWO), 1);
	assert_int_equal(next(s, "joe", ONE), 3);
	assert_int_equal(next(s, "joe", TWO), 2);
}

static void test_many_endpoints_of_one_client(void **state)
{
	struct sequences *s = *state;
	char url[32];
	int round, i;

	sequences_hold(s, "joe");
	for (round = 1; round <= 3; round++) {
		for (i = 0; i < 300; i++) {
			snprintf(url, sizeof(url), "http://h/%d", i);
			assert_int_equal(next(s, "joe", url), round);
		}
	}
}

static void test_nobody_knows_an_id_that_none_holds(void **state)
{
	struct sequences *s = *state;

	assert_int_equal(next(s, "joe", ONE), 0);
	sequences_hold(s, "joe");
	assert_int_equal(next(s, "ann", ONE), 0);
	assert_int_equal(sequences_count(s), 1);
	sequences_release(s, "ann");
	assert_int_equal(next(s, "joe", ONE), 1);
}

static void test_the_last_release_ends_it(void **state)
{
	struct sequences *s = *state;

	sequences_hold(s, "joe");
	sequences_hold(s, "joe");
	sequences_hold(s, "joe");
	assert_int_equal(sequences_count(s), 1);
	assert_int_equal(next(s, "joe", ONE), 1);
	sequences_release(s, "joe");
	sequences_release(s, "joe");
	assert_int_equal(next(s, "joe", ONE), 2);
	sequences_release(s, "joe");
	assert_int_equal(next(s, "joe", ONE), 0);
	assert_int_equal(sequences_count(s), 0);
	/* once more is once too often, and harmless */
	sequences_release(s, "joe");
	assert_int_equal(sequences_count(s), 0);
}

static void test_after_that_it_begins_anew(void **state)
{
	struct sequences *s = *state;

	sequences_hold(s, "joe");
	next(s, "joe", ONE);
	next(s, "joe", ONE);
	next(s, "joe", TWO);
	sequences_release(s, "joe");
	sequences_hold(s, "joe");
	assert_int_equal(next(s, "joe", ONE), 1);
	assert_int_equal(next(s, "joe", TWO), 1);
}

static void test_similar_ids_are_others(void **state)
{
	static const char *const ids[] = {
		"", "j", "jo", "joe", "joe ", "Joe"
	};
	struct sequences *s = *state;
	size_t i, k;

	for (i = 0; i < 6; i++)
		sequences_hold(s, ids[i]);
	assert_int_equal(sequences_count(s), 6);
	for (i = 0; i < 6; i++)
		for (k = 1; k <= i + 1; k++)
			assert_int_equal(next(s, ids[i], ONE), k);
	sequences_release(s, "joe");
	assert_int_equal(next(s, "joe", ONE), 0);
	assert_int_equal(next(s, "jo", ONE), 4);
}

/* An event's id is bytes with a length, part of something longer perhaps. */
static void test_an_id_ends_where_it_says(void **state)
{
	const struct bytes jo = { "joe", 2 }, nul = { "jo\0e", 4 };
	struct sequences *s = *state;

	sequences_hold(s, "jo");
	assert_int_equal(sequences_next(s, jo, ONE), 1);
	assert_int_equal(sequences_next(s, nul, ONE), 0);
	assert_int_equal(next(s, "joe", ONE), 0);
}

/* Far more than there are buckets: some share one. */
static void test_many_clients_at_once(void **state)
{
	struct sequences *s = *state;
	char id[32];
	int i;

	for (i = 0; i < 20000; i++) {
		snprintf(id, sizeof(id), "client-%d", i);
		sequences_hold(s, id);
		assert_int_equal(next(s, id, ONE), 1);
	}
	assert_int_equal(sequences_count(s), 20000);
	for (i = 0; i < 20000; i += 2) {
		snprintf(id, sizeof(id), "client-%d", i);
		sequences_release(s, id);
	}
	assert_int_equal(sequences_count(s), 10000);
	for (i = 0; i < 20000; i++) {
		snprintf(id, sizeof(id), "client-%d", i);
		assert_int_equal(next(s, id, ONE), i % 2 ? 2 : 0);
	}
}

/* Held ids go with it; memory is for the sanitizer to see. */
static void test_destroyed_while_held(void **state)
{
	struct sequences *s;

	(void)state;
	sequences_destroy(NULL);
	assert_int_equal(sequences_create(&s), 0);
	sequences_hold(s, "joe");
	next(s, "joe", ONE);
	sequences_hold(s, "ann");
	sequences_destroy(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_events_are_numbered_from_one),
		TEST(test_each_client_and_endpoint_has_its_own),
		TEST(test_many_endpoints_of_one_client),
		TEST(test_nobody_knows_an_id_that_none_holds),
		TEST(test_the_last_release_ends_it),
		TEST(test_after_that_it_begins_anew),
		TEST(test_similar_ids_are_others),
		TEST(test_an_id_ends_where_it_says),
		TEST(test_many_clients_at_once),
		TEST(test_destroyed_while_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
