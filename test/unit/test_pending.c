#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "plugin/pending.h"

enum {
	MAX = 1000
};

static int setup(void **state)
{
	struct pending *p = NULL;

	if (pending_create(&p, MAX) != 0)
		return -1;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	pending_destroy(*state);
	return 0;
}

static void a_current_ticket_closes_once(void **state)
{
	uint64_t t = pending_open(*state, "c");

	assert_true(t != 0);
	assert_int_equal(pending_count(*state), 1);
	assert_true(pending_close(*state, "c", t));
	assert_false(pending_close(*state, "c", t));
	assert_int_equal(pending_count(*state), 0);
}

static void a_second_attempt_voids_the_first(void **state)
{
	uint64_t first = pending_open(*state, "c");
	uint64_t second = pending_open(*state, "c");

	assert_true(first != second);
	assert_int_equal(pending_count(*state), 1);
	assert_false(pending_close(*state, "c", first));
	assert_true(pending_close(*state, "c", second));
}

static void a_void_ticket_leaves_the_current_one(void **state)
{
	uint64_t first = pending_open(*state, "c");
	uint64_t second = pending_open(*state, "c");

	assert_false(pending_close(*state, "c", first));
	assert_false(pending_close(*state, "c", 0));
	assert_int_equal(pending_count(*state), 1);
	assert_true(pending_close(*state, "c", second));
}

static void a_ticket_is_of_one_client(void **state)
{
	uint64_t a = pending_open(*state, "a");
	uint64_t b = pending_open(*state, "b");

	assert_false(pending_close(*state, "b", a));
	assert_false(pending_close(*state, "a", b));
	assert_true(pending_close(*state, "a", a));
	assert_true(pending_close(*state, "b", b));
}

static void a_client_that_left_has_no_ticket(void **state)
{
	uint64_t t = pending_open(*state, "c");

	pending_forget(*state, "c");
	assert_int_equal(pending_count(*state), 0);
	assert_false(pending_close(*state, "c", t));
}

static void forgetting_one_keeps_the_others(void **state)
{
	uint64_t t = pending_open(*state, "stays");

	pending_open(*state, "goes");
	pending_forget(*state, "goes");
	pending_forget(*state, "was never here");
	assert_true(pending_close(*state, "stays", t));
}

static void tickets_never_repeat(void **state)
{
	uint64_t last = 0;

	for (int i = 0; i < 100; i++) {
		uint64_t t = pending_open(*state, "c");

		assert_true(t > last);
		last = t;
		assert_true(pending_close(*state, "c", t));
	}
}

static void fill(struct pending *p, uint64_t tickets[static MAX])
{
	char id[16];

	for (int i = 0; i < MAX; i++) {
		snprintf(id, sizeof(id), "c%d", i);
		tickets[i] = pending_open(p, id);
		assert_true(tickets[i] != 0);
	}
	assert_int_equal(pending_count(p), MAX);
}

static void a_full_table_refuses_a_new_client(void **state)
{
	uint64_t tickets[MAX];

	fill(*state, tickets);
	assert_int_equal(pending_open(*state, "one more"), 0);
	assert_int_equal(pending_count(*state), MAX);
	assert_true(pending_close(*state, "c0", tickets[0]));
	assert_true(pending_open(*state, "one more") != 0);
}

static void a_full_table_serves_a_client_that_is_in(void **state)
{
	uint64_t tickets[MAX], t;

	fill(*state, tickets);
	t = pending_open(*state, "c7");
	assert_true(t != 0);
	assert_false(pending_close(*state, "c7", tickets[7]));
	assert_true(pending_close(*state, "c7", t));
}

static void every_client_of_a_full_table_is_found(void **state)
{
	uint64_t tickets[MAX];
	char id[16];

	fill(*state, tickets);
	for (int i = 0; i < MAX; i++) {
		snprintf(id, sizeof(id), "c%d", i);
		assert_true(pending_close(*state, id, tickets[i]));
	}
	assert_int_equal(pending_count(*state), 0);
}

static void an_id_is_copied(void **state)
{
	char id[] = "abc";
	uint64_t t = pending_open(*state, id);

	id[0] = 'x';
	assert_false(pending_close(*state, id, t));
	assert_true(pending_close(*state, "abc", t));
}

static void an_empty_id_is_an_id(void **state)
{
	uint64_t t = pending_open(*state, "");

	assert_true(t != 0);
	assert_true(pending_close(*state, "", t));
}

static void nothing_is_destroyed_harmlessly(void **state)
{
	(void)state;
	pending_destroy(NULL);
}

static void no_room_at_all_refuses(void **state)
{
	struct pending *p;

	(void)state;
	assert_int_equal(pending_create(&p, 0), 0);
	assert_int_equal(pending_open(p, "c"), 0);
	pending_destroy(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_current_ticket_closes_once),
		TEST(a_second_attempt_voids_the_first),
		TEST(a_void_ticket_leaves_the_current_one),
		TEST(a_ticket_is_of_one_client),
		TEST(a_client_that_left_has_no_ticket),
		TEST(forgetting_one_keeps_the_others),
		TEST(tickets_never_repeat),
		TEST(a_full_table_refuses_a_new_client),
		TEST(a_full_table_serves_a_client_that_is_in),
		TEST(every_client_of_a_full_table_is_found),
		TEST(an_id_is_copied),
		TEST(an_empty_id_is_an_id),
		cmocka_unit_test(nothing_is_destroyed_harmlessly),
		cmocka_unit_test(no_room_at_all_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
