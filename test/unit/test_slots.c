#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "cache/slots.h"

enum {
	OF_A_SLAB = 2 * 1024 * 1024 / 128 - 1, /* less its own record */
	MANY = 3 * OF_A_SLAB,
};

static struct slots slots;
static uint8_t *taken[MANY];

static void take(size_t i)
{
	taken[i] = slots_take(&slots);
	assert_non_null(taken[i]);
}

static void take_all(void)
{
	for (size_t i = 0; i < MANY; i++)
		take(i);
}

static void give(size_t i)
{
	slots_give(&slots, taken[i]);
	taken[i] = NULL;
}

/* Also when an assertion failed in between. */
static int empty(void **state)
{
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		give(i);
	slots_clear(&slots);
	return 0;
}

static void assert_fresh(const uint8_t *slot)
{
	assert_int_equal((uintptr_t)slot % SLOT_SIZE, 0);
	for (size_t i = 0; i < SLOT_SIZE; i++)
		assert_int_equal(slot[i], 0);
}

static void slots_are_zeroed_aligned_and_ones_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		take(i);
		assert_fresh(taken[i]);
		memset(taken[i], 0xff, SLOT_SIZE);
		memcpy(taken[i], &i, sizeof(i));
	}
	for (size_t i = 0; i < MANY; i++) {
		size_t whose;

		memcpy(&whose, taken[i], sizeof(whose));
		assert_int_equal(whose, i);
	}
}

static void a_slot_given_back_is_zeroed_and_used_first(void **state)
{
	uint8_t *was;

	(void)state;
	take_all();
	for (size_t i = 0; i < MANY; i += 1000) {
		was = taken[i];
		memset(was, 0xff, SLOT_SIZE);
		give(i);
		take(i);
		assert_ptr_equal(taken[i], was);
		assert_fresh(taken[i]);
	}
	assert_int_equal(slots.slabs, 3);
}

static void slabs_that_are_empty_go_but_for_one(void **state)
{
	(void)state;
	take_all();
	assert_int_equal(slots.slabs, 3);
	for (size_t i = 0; i < MANY - 1; i++) {
		give(i);
		/* the first to be empty is kept, later ones go */
		assert_int_equal(slots.slabs, i < 2 * OF_A_SLAB - 1 ? 3 : 2);
	}
	give(MANY - 1);
	assert_int_equal(slots.slabs, 1);
	slots_clear(&slots);
	assert_int_equal(slots.slabs, 0);
	take(0);
	assert_int_equal(slots.slabs, 1);
}

static void the_spare_one_serves_before_a_new_one(void **state)
{
	(void)state;
	take_all();
	for (size_t i = 0; i < OF_A_SLAB; i++)
		give(i);
	for (size_t i = 0; i < OF_A_SLAB; i++)
		take(i);
	assert_int_equal(slots.slabs, 3);
}

/* So that the others can become empty. */
static void a_slab_in_use_serves_before_the_spare_one(void **state)
{
	(void)state;
	take_all();
	for (size_t i = 0; i < OF_A_SLAB; i++)
		give(i);
	give(OF_A_SLAB);
	take(OF_A_SLAB);
	for (size_t i = OF_A_SLAB; i < 2 * OF_A_SLAB; i++)
		give(i);
	/* had it been taken from the spare one, none would be empty */
	assert_int_equal(slots.slabs, 2);
}

static void nothing_is_given_back(void **state)
{
	(void)state;
	slots_give(&slots, NULL);
	slots_clear(&slots);
	assert_int_equal(slots.slabs, 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, empty)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(slots_are_zeroed_aligned_and_ones_own),
		TEST(a_slot_given_back_is_zeroed_and_used_first),
		TEST(slabs_that_are_empty_go_but_for_one),
		TEST(the_spare_one_serves_before_a_new_one),
		TEST(a_slab_in_use_serves_before_the_spare_one),
		TEST(nothing_is_given_back),
	};

	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
