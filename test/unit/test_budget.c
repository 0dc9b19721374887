/* test_budget.c - plugin/budget.h, with the clock in hand */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include "plugin/budget.h"

#define MS      1000
#define SECOND  1000000
#define T0      (500 * (int64_t)SECOND)
#define UNBOUND 1000 /* `blocking_budget` that is none */

/* ---- one callback ---- */

static void test_a_callback_may_stand_still_for_its_time(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_begin(&b);
	assert_int_equal(budget_left_us(&b, T0, 700, UNBOUND), 700 * MS);
	budget_spend(&b, T0, T0 + 300 * MS);
	assert_int_equal(budget_left_us(&b, T0 + 300 * MS, 700, UNBOUND),
			 400 * MS);
	/* its time is what it stood still, not what has passed */
	assert_int_equal(budget_left_us(&b, T0 + 5 * SECOND, 700, UNBOUND),
			 400 * MS);
	budget_spend(&b, T0 + 5 * SECOND, T0 + 5 * SECOND + 400 * MS);
	assert_int_equal(budget_left_us(&b, T0 + 6 * SECOND, 700, UNBOUND), 0);
}

static void test_the_next_callback_has_its_own(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_begin(&b);
	budget_spend(&b, T0, T0 + 700 * MS);
	budget_begin(&b);
	assert_int_equal(budget_left_us(&b, T0 + 700 * MS, 700, UNBOUND),
			 700 * MS);
}

static void test_who_overslept_has_nothing_left_and_no_debt(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_begin(&b);
	budget_spend(&b, T0, T0 + 900 * MS);
	assert_int_equal(budget_left_us(&b, T0 + 900 * MS, 700, UNBOUND), 0);
	assert_int_equal(budget_left_us(&b, T0 + 900 * MS, 700, 500), 0);
	budget_begin(&b);
	assert_int_equal(budget_left_us(&b, T0 + 900 * MS, 700, UNBOUND),
			 700 * MS);
}

/* ---- any second ---- */

static int64_t left_at(struct budget *b, int64_t now)
{
	budget_begin(b);
	return budget_left_us(b, now, 10000, 500);
}

static void test_a_second_is_shared_by_all_callbacks(void **state)
{
	struct budget b = { 0 };

	(void)state;
	assert_int_equal(left_at(&b, T0), 500 * MS);
	budget_spend(&b, T0, T0 + 200 * MS);
	assert_int_equal(left_at(&b, T0 + 200 * MS), 300 * MS);
	budget_spend(&b, T0 + 200 * MS, T0 + 500 * MS);
	assert_int_equal(left_at(&b, T0 + 500 * MS), 0);
}

static void test_the_lesser_bound_counts(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_begin(&b);
	assert_int_equal(budget_left_us(&b, T0, 300, 500), 300 * MS);
	assert_int_equal(budget_left_us(&b, T0, 300, 200), 200 * MS);
}

static void test_it_comes_back_as_the_second_slides(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_begin(&b);
	budget_spend(&b, T0, T0 + 500 * MS);
	/* a second after it began: not a microsecond earlier */
	assert_int_equal(left_at(&b, T0 + SECOND - 1), 0);
	assert_int_equal(left_at(&b, T0 + SECOND), 0);
	assert_int_equal(left_at(&b, T0 + SECOND + 10 * MS), 10 * MS);
	assert_int_equal(left_at(&b, T0 + SECOND + 250 * MS), 250 * MS);
	assert_int_equal(left_at(&b, T0 + SECOND + 500 * MS), 500 * MS);
}

static void test_long_ago_is_forgotten(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_begin(&b);
	budget_spend(&b, T0, T0 + 500 * MS);
	assert_int_equal(left_at(&b, T0 + 3600 * (int64_t)SECOND), 500 * MS);
	/* the same slots, and what they held before */
	budget_spend(&b, T0 + 3600 * (int64_t)SECOND,
		     T0 + 3600 * (int64_t)SECOND + 1);
	assert_int_equal(left_at(&b, T0 + 3600 * (int64_t)SECOND + 1),
			 500 * MS - 1);
}

static void test_a_spell_across_slots_is_counted_whole(void **state)
{
	static const struct {
		int64_t from, us;
	} spells[] = {
		{ T0, 1 },
		{ T0 + 9999, 1 },
		{ T0 + 9999, 2 },
		{ T0 + 5000, 10000 },
		{ T0 + 5000, 123456 },
		{ T0 + 1, 499999 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(spells) / sizeof(spells[0]); i++) {
		struct budget b = { 0 };
		int64_t end = spells[i].from + spells[i].us;

		budget_spend(&b, spells[i].from, end);
		assert_int_equal(left_at(&b, end), 500 * MS - spells[i].us);
	}
}

static void test_many_in_one_slot_add_up(void **state)
{
	struct budget b = { 0 };

	(void)state;
	for (int64_t i = 0; i < 10; i++)
		budget_spend(&b, T0 + i * MS, T0 + i * MS + 300);
	assert_int_equal(left_at(&b, T0 + 10 * MS), 500 * MS - 3000);
}

static void test_longer_than_a_second_counts_its_end(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_spend(&b, T0 + 3, T0 + 5 * SECOND + 3);
	assert_int_equal(left_at(&b, T0 + 5 * SECOND + 3), 0);
	assert_int_equal(left_at(&b, T0 + 5 * SECOND + 500 * MS), 0);
	assert_int_equal(left_at(&b, T0 + 5 * SECOND + 700 * MS), 200 * MS - 3);
	assert_int_equal(left_at(&b, T0 + 6 * SECOND + 20 * MS), 500 * MS);
}

static void test_nothing_spent_changes_nothing(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_spend(&b, T0, T0);
	assert_int_equal(left_at(&b, T0), 500 * MS);
}

static void test_a_clock_that_just_began(void **state)
{
	struct budget b = { 0 };

	(void)state;
	assert_int_equal(left_at(&b, 0), 500 * MS);
	budget_spend(&b, 0, 500 * MS);
	assert_int_equal(left_at(&b, 500 * MS), 0);
	assert_int_equal(left_at(&b, 1510 * MS), 500 * MS);
}

/* Whoever takes what is offered never exceeds it in any second whatever. */
static void test_no_second_holds_more_than_allowed(void **state)
{
	enum {
		SPELLS = 4000
	};
	static struct {
		int64_t from, to;
	} spells[SPELLS];
	struct budget b = { 0 };
	int64_t now = T0;

	(void)state;
	srandom(1);
	for (int i = 0; i < SPELLS; i++) {
		int64_t left = left_at(&b, now);
		int64_t us = random() % 120000;

		us = us < left ? us : left;
		budget_spend(&b, now, now + us);
		spells[i].from = now;
		spells[i].to = now + us;
		now += us + random() % 50000;
	}
	/* the worst ones end where a spell does */
	for (int i = 0; i < SPELLS; i++) {
		int64_t begin = spells[i].to - SECOND, held = 0;

		for (int k = i; k >= 0 && spells[k].to > begin; k--)
			held += spells[k].to - (spells[k].from > begin
							? spells[k].from
							: begin);
		assert_in_range(held, 0, 500 * MS);
	}
}

static void test_a_thousand_is_no_bound(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_begin(&b);
	budget_spend(&b, T0, T0 + 999 * MS);
	budget_begin(&b);
	assert_int_equal(budget_left_us(&b, T0 + 999 * MS, 5000, 1000),
			 5000 * MS);
	assert_int_equal(budget_left_us(&b, T0 + 999 * MS, 5000, 999), 0);
}

/* ---- shutdown ---- */

static void test_a_shutdown_has_two_seconds_in_all(void **state)
{
	struct budget b = { 0 };
	int64_t now = T0;

	(void)state;
	budget_spend(&b, now, now + 500 * MS);
	now += 500 * MS;
	budget_shut_down(&b);
	/* what was before does not count, nor does any second */
	for (int i = 0; i < 4; i++) {
		budget_begin(&b);
		assert_int_equal(budget_left_us(&b, now, 500, 500), 500 * MS);
		budget_spend(&b, now, now + 500 * MS);
		now += 500 * MS;
	}
	budget_begin(&b);
	assert_int_equal(budget_left_us(&b, now, 500, 500), 0);
	/* and nothing comes back, not even where there was no bound */
	now += 3600 * (int64_t)SECOND;
	budget_begin(&b);
	assert_int_equal(budget_left_us(&b, now, 500, UNBOUND), 0);
}

static void test_at_shutdown_one_callback_is_bounded_too(void **state)
{
	struct budget b = { 0 };

	(void)state;
	budget_shut_down(&b);
	budget_begin(&b);
	budget_spend(&b, T0, T0 + 200 * MS);
	assert_int_equal(budget_left_us(&b, T0 + 200 * MS, 300, 500), 100 * MS);
	budget_begin(&b);
	assert_int_equal(budget_left_us(&b, T0 + 200 * MS, 300, 500), 300 * MS);
	assert_int_equal(budget_left_us(&b, T0 + 200 * MS, 5000, 500),
			 1800 * MS);
	budget_shut_down(&b);
	assert_int_equal(budget_left_us(&b, T0 + 200 * MS, 5000, 500),
			 1800 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_callback_may_stand_still_for_its_time),
		cmocka_unit_test(test_the_next_callback_has_its_own),
		cmocka_unit_test(
			test_who_overslept_has_nothing_left_and_no_debt),
		cmocka_unit_test(test_a_second_is_shared_by_all_callbacks),
		cmocka_unit_test(test_the_lesser_bound_counts),
		cmocka_unit_test(test_it_comes_back_as_the_second_slides),
		cmocka_unit_test(test_long_ago_is_forgotten),
		cmocka_unit_test(test_a_spell_across_slots_is_counted_whole),
		cmocka_unit_test(test_many_in_one_slot_add_up),
		cmocka_unit_test(test_longer_than_a_second_counts_its_end),
		cmocka_unit_test(test_nothing_spent_changes_nothing),
		cmocka_unit_test(test_a_clock_that_just_began),
		cmocka_unit_test(test_no_second_holds_more_than_allowed),
		cmocka_unit_test(test_a_thousand_is_no_bound),
		cmocka_unit_test(test_a_shutdown_has_two_seconds_in_all),
		cmocka_unit_test(test_at_shutdown_one_callback_is_bounded_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
