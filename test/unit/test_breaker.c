/* test_breaker.c - pool/breaker.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include "pool/breaker.h"

#define NOW 1000000

static struct breaker fresh(uint32_t max_failures)
{
	return (struct breaker){
		.max_failures = max_failures,
		.open_ms = 500,
		.prompt_ms = 100,
	};
}

static void fail_times(struct breaker *b, unsigned n)
{
	while (n--)
		breaker_failed(b, NOW);
}

/* ---- open for all ---- */

static void test_begins_closed(void **state)
{
	struct breaker b = fresh(1);

	(void)state;
	assert_false(breaker_is_open(&b));
	assert_false(breaker_is_open_for_holding(&b));
	assert_int_equal(breaker_opened(&b), 0);
}

static void test_opens_after_so_many_failures_in_a_row(void **state)
{
	struct breaker b = fresh(5);
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		assert_false(breaker_failed(&b, NOW));
		assert_false(breaker_is_open(&b));
	}
	assert_true(breaker_failed(&b, NOW));
	assert_true(breaker_is_open(&b));
	assert_true(breaker_is_open_for_holding(&b));
	assert_int_equal(breaker_opened(&b), 1);
}

static void test_one_failure_may_be_enough(void **state)
{
	struct breaker b = fresh(1);

	(void)state;
	assert_true(breaker_failed(&b, NOW));
	assert_true(breaker_is_open(&b));
}

static void test_an_answer_in_between_begins_the_count_anew(void **state)
{
	struct breaker b = fresh(3);

	(void)state;
	fail_times(&b, 2);
	assert_false(breaker_answered(&b, 5000));
	fail_times(&b, 2);
	assert_false(breaker_is_open(&b));
	fail_times(&b, 1);
	assert_true(breaker_is_open(&b));
}

/* Of calls that were under way when it opened. */
static void test_further_failures_open_it_no_further(void **state)
{
	struct breaker b = fresh(2);
	int64_t due;

	(void)state;
	fail_times(&b, 2);
	due = breaker_probe_ms(&b);
	assert_false(breaker_failed(&b, NOW + 100));
	assert_false(breaker_failed(&b, NOW + 200));
	assert_int_equal(breaker_opened(&b), 1);
	assert_int_equal(breaker_probe_ms(&b), due);
}

static void test_any_answer_closes_it(void **state)
{
	struct breaker b = fresh(2);

	(void)state;
	fail_times(&b, 2);
	assert_true(breaker_answered(&b, 60000));
	assert_false(breaker_is_open(&b));
	assert_false(breaker_is_open_for_holding(&b));
	assert_false(breaker_answered(&b, 0));
	/* and it opens again only after as many */
	fail_times(&b, 1);
	assert_false(breaker_is_open(&b));
	fail_times(&b, 1);
	assert_true(breaker_is_open(&b));
	assert_int_equal(breaker_opened(&b), 2);
}

/* ---- open for holding ---- */

static void test_who_gives_up_opens_it_for_holding_alone(void **state)
{
	struct breaker b = fresh(2);

	(void)state;
	breaker_gave_up(&b, NOW);
	assert_false(breaker_is_open(&b));
	assert_true(breaker_is_open_for_holding(&b));
	assert_int_equal(breaker_opened(&b), 1);
	breaker_gave_up(&b, NOW);
	assert_int_equal(breaker_opened(&b), 1);
}

static void test_giving_up_is_no_failure(void **state)
{
	struct breaker b = fresh(2);

	(void)state;
	breaker_gave_up(&b, NOW);
	fail_times(&b, 1);
	assert_false(breaker_is_open(&b));
}

static void test_a_prompt_answer_closes_it_for_holding(void **state)
{
	struct breaker b = fresh(2);

	(void)state;
	breaker_gave_up(&b, NOW);
	breaker_answered(&b, 101);
	assert_true(breaker_is_open_for_holding(&b));
	breaker_answered(&b, 100);
	assert_false(breaker_is_open_for_holding(&b));
}

static void test_a_slow_answer_leaves_it_open_for_holding(void **state)
{
	struct breaker b = fresh(2);

	(void)state;
	breaker_gave_up(&b, NOW);
	fail_times(&b, 2);
	assert_true(breaker_is_open(&b));
	assert_int_equal(breaker_opened(&b), 2);
	assert_true(breaker_answered(&b, 101));
	assert_false(breaker_is_open(&b));
	assert_true(breaker_is_open_for_holding(&b));
}

/* ---- probes ---- */

static void test_the_first_probe_waits(void **state)
{
	struct breaker b = fresh(1);
	int64_t due;

	(void)state;
	breaker_failed(&b, NOW);
	due = breaker_probe_ms(&b);
	assert_in_range(due, NOW + 500, NOW + 800);
	assert_false(breaker_claim_probe(&b, NOW));
	assert_false(breaker_claim_probe(&b, due - 1));
	assert_true(breaker_claim_probe(&b, due));
}

static void test_a_probe_is_claimed_once(void **state)
{
	struct breaker b = fresh(1);
	int64_t now;

	(void)state;
	breaker_failed(&b, NOW);
	now = NOW + 800;
	assert_true(breaker_claim_probe(&b, now));
	assert_false(breaker_claim_probe(&b, now));
	assert_false(breaker_claim_probe(&b, now + 499));
	assert_true(breaker_claim_probe(&b, now + 800));
}

static void test_one_that_holds_has_probes_too(void **state)
{
	struct breaker b = fresh(5);

	(void)state;
	breaker_gave_up(&b, NOW);
	assert_in_range(breaker_probe_ms(&b), NOW + 500, NOW + 800);
	assert_false(breaker_claim_probe(&b, NOW + 499));
	assert_true(breaker_claim_probe(&b, NOW + 800));
}

/* Or else an endpoint that calls keep failing on would never have one. */
static void test_opening_further_puts_no_probe_off(void **state)
{
	struct breaker b = fresh(1);
	int64_t due;

	(void)state;
	breaker_gave_up(&b, NOW);
	due = breaker_probe_ms(&b);
	breaker_failed(&b, NOW + 499);
	assert_int_equal(breaker_probe_ms(&b), due);
	breaker_gave_up(&b, NOW + 499);
	assert_int_equal(breaker_probe_ms(&b), due);
}

static void test_probes_keep_no_step(void **state)
{
	struct breaker b = fresh(1);
	int64_t now = NOW, least = INT64_MAX, most = 0;
	unsigned i;

	(void)state;
	breaker_failed(&b, now);
	for (i = 0; i < 1000; i++) {
		int64_t due = breaker_probe_ms(&b);

		assert_in_range(due - now, 500, 800);
		least = due - now < least ? due - now : least;
		most = due - now > most ? due - now : most;
		now = due;
		assert_true(breaker_claim_probe(&b, now));
	}
	assert_true(least < 530);
	assert_true(most > 770);
}

struct claimers {
	struct breaker b;
	atomic_uint claimed;
};

static void *claim(void *arg)
{
	struct claimers *c = arg;

	if (breaker_claim_probe(&c->b, NOW + 800))
		atomic_fetch_add(&c->claimed, 1);
	return NULL;
}

static void test_of_many_threads_one_claims_it(void **state)
{
	struct claimers c = { .b = fresh(1) };
	pthread_t threads[8];
	unsigned i;

	(void)state;
	breaker_failed(&c.b, NOW);
	for (i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, claim, &c),
				 0);
	for (i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.claimed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begins_closed),
		cmocka_unit_test(test_opens_after_so_many_failures_in_a_row),
		cmocka_unit_test(test_one_failure_may_be_enough),
		cmocka_unit_test(
			test_an_answer_in_between_begins_the_count_anew),
		cmocka_unit_test(test_further_failures_open_it_no_further),
		cmocka_unit_test(test_any_answer_closes_it),
		cmocka_unit_test(test_who_gives_up_opens_it_for_holding_alone),
		cmocka_unit_test(test_giving_up_is_no_failure),
		cmocka_unit_test(test_a_prompt_answer_closes_it_for_holding),
		cmocka_unit_test(test_a_slow_answer_leaves_it_open_for_holding),
		cmocka_unit_test(test_the_first_probe_waits),
		cmocka_unit_test(test_a_probe_is_claimed_once),
		cmocka_unit_test(test_one_that_holds_has_probes_too),
		cmocka_unit_test(test_opening_further_puts_no_probe_off),
		cmocka_unit_test(test_probes_keep_no_step),
		cmocka_unit_test(test_of_many_threads_one_claims_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
