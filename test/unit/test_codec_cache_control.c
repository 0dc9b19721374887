#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "plugin/codec/codec.h"

#define DAYS_30 ((uint64_t)30 * 24 * 3600)

static void assert_life(const char *header, uint64_t age, uint64_t fresh,
			uint64_t revalidate, uint64_t if_error)
{
	struct cache_life life = { 1, 2, 3, 4 };
	bool any = codec_cache_life(header, age, &life);

	if (life.fresh_ms != fresh * 1000 ||
	    life.stale_while_revalidate_ms != revalidate * 1000 ||
	    life.stale_if_error_ms != if_error * 1000)
		fail_msg("%s (age %llu): %llu, %llu, %llu ms",
			 header ? header : "(none)", (unsigned long long)age,
			 (unsigned long long)life.fresh_ms,
			 (unsigned long long)life.stale_while_revalidate_ms,
			 (unsigned long long)life.stale_if_error_ms);
	assert_int_equal(any, fresh || revalidate || if_error);
}

static void assert_seconds(const char *header, uint64_t age, uint64_t seconds)
{
	assert_life(header, age, seconds, 0, 0);
}

static void without_a_header_nothing_is_kept(void **state)
{
	(void)state;
	assert_seconds(NULL, 0, 0);
	assert_seconds("", 0, 0);
	assert_seconds(" ", 0, 0);
	assert_seconds(",,", 0, 0);
	assert_seconds("public", 0, 0);
	assert_seconds("must-revalidate", 0, 0);
}

static void max_age_in_all_its_forms(void **state)
{
	static const char *const forms[] = {
		"max-age=60",
		"Max-Age=60",
		"MAX-AGE=60",
		" max-age=60 ",
		"max-age=\"60\"",
		"max-age=060",
		"public,max-age=60",
		"public, max-age=60",
		"max-age=60, public",
		",max-age=60,",
		"max-age=60\t,\tpublic",
		"max-age=60, max-age=60",
		"max-age=60, max-age=\"60\"",
		"private, max-age=60",
		"must-revalidate, max-age=60",
		"max-age=60, no-transform",
		"max-age=60, ext=\"a, b\"",
		"max-age=60, ext=\"\\\"\"",
		"max-age=60, immutable",
		"proxy-revalidate, max-age=60",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
		assert_seconds(forms[i], 0, 60);
}

static void shared_caches_are_not_us(void **state)
{
	(void)state;
	assert_seconds("s-maxage=60", 0, 0);
	assert_seconds("s-maxage=60, max-age=30", 0, 30);
	assert_seconds("s-maxage=0, max-age=30", 0, 30);
	assert_seconds("s-maxage=x, max-age=30", 0, 30);
}

static void no_store_and_no_cache_keep_nothing(void **state)
{
	(void)state;
	assert_seconds("no-store", 0, 0);
	assert_seconds("no-store, max-age=60", 0, 0);
	assert_seconds("max-age=60, no-store", 0, 0);
	assert_seconds("max-age=60, No-Store", 0, 0);
	assert_seconds("no-cache, max-age=60", 0, 0);
	assert_seconds("max-age=60, no-cache=\"set-cookie\"", 0, 0);
	/* these are others */
	assert_seconds("no-stored, max-age=60", 0, 60);
	assert_seconds("no-sto, max-age=60", 0, 60);
}

static void what_is_malformed_keeps_nothing(void **state)
{
	static const char *const bad[] = {
		"max-age",
		"max-age=",
		"max-age=x",
		"max-age=60x",
		"max-age=-5",
		"max-age=1.5",
		"max-age=1e3",
		"max-age=6 0",
		"max-age = 60",
		"max-age= 60",
		"max-age=60;q=1",
		"max-age=\"60",
		"max-age=\"60\"x",
		"max-age=\"\"",
		"max-age=\" 60\"",
		"max-age=\"60\\\"",
		"=60",
		"max-age=60 x",
		"max-age=60, =",
		"max-age=60, \"x\"",
		"max-age=60, (x)",
		"xmax-age=60",
		"x-max-age=60",
		"max-age=\xef\xbc\x96",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_seconds(bad[i], 0, 0);
}

static void contradiction_keeps_nothing(void **state)
{
	(void)state;
	assert_seconds("max-age=60, max-age=30", 0, 0);
	assert_seconds("max-age=60, max-age=60, max-age=61", 0, 0);
	assert_seconds("max-age=60, max-age=x", 0, 0);
	assert_seconds("max-age=0, max-age=60", 0, 0);
}

static void age_is_subtracted(void **state)
{
	(void)state;
	assert_seconds("max-age=60", 59, 1);
	assert_seconds("max-age=60", 60, 0);
	assert_seconds("max-age=60", 3600, 0);
	assert_seconds("max-age=0", 0, 0);
	assert_seconds("max-age=60", UINT64_MAX, 0);
	assert_seconds("max-age=99999999999999999999", UINT64_MAX, 0);
}

static void no_life_is_longer_than_thirty_days(void **state)
{
	(void)state;
	assert_seconds("max-age=2592000", 0, DAYS_30);
	assert_seconds("max-age=2592001", 0, DAYS_30);
	assert_seconds("max-age=31536000", 0, DAYS_30);
	assert_seconds("max-age=99999999999999999999", 0, DAYS_30);
	assert_seconds("max-age=31536000", 40 * 24 * 3600, DAYS_30);
	assert_seconds("max-age=2592001", 2, DAYS_30 - 1);
}

/* ---- stale ---- */

static void stale_phases_in_all_their_forms(void **state)
{
	static const char *const forms[] = {
		"max-age=60, stale-while-revalidate=5, stale-if-error=7",
		"stale-if-error=7, stale-while-revalidate=5, max-age=60",
		"Max-Age=60,Stale-While-Revalidate=5,STALE-IF-ERROR=7",
		"max-age=60, stale-while-revalidate=\"5\", "
		"stale-if-error=\"07\"",
		"max-age=60, stale-while-revalidate=5, stale-if-error=7, "
		"stale-while-revalidate=5, max-age=60",
		"private, max-age=60, stale-while-revalidate=5, "
		"stale-if-error=7, stale-never=9, immutable, s-maxage=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
		assert_life(forms[i], 0, 60, 5, 7);
	assert_life("max-age=60, stale-while-revalidate=5", 0, 60, 5, 0);
	assert_life("max-age=60, stale-if-error=7", 0, 60, 0, 7);
	assert_life("max-age=60, stale-if-error=0", 0, 60, 0, 0);
}

static void without_max_age_there_is_no_stale_phase(void **state)
{
	(void)state;
	assert_life("stale-while-revalidate=5, stale-if-error=7", 0, 0, 0, 0);
	assert_life("max-age=x, stale-while-revalidate=5", 0, 0, 0, 0);
	assert_life("max-age=1, max-age=2, stale-if-error=7", 0, 0, 0, 0);
	assert_life("no-store, max-age=60, stale-if-error=7", 0, 0, 0, 0);
	assert_life("no-cache, max-age=60, stale-if-error=7", 0, 0, 0, 0);
	assert_life("max-age=60, stale-if-error=7, \"", 0, 0, 0, 0);
}

static void a_bad_stale_directive_grants_nothing_and_costs_nothing(void **state)
{
	static const char *const bad[] = {
		"max-age=60, stale-if-error",
		"max-age=60, stale-if-error=",
		"max-age=60, stale-if-error=\"\"",
		"max-age=60, stale-if-error=5x",
		"max-age=60, stale-if-error=-5",
		"max-age=60, stale-if-error=5.5",
		"max-age=60, stale-if-error=5, stale-if-error=6",
		"max-age=60, stale-if-error=5, stale-if-error",
		"max-age=60, stale-if-error=x, stale-if-error=5",
		"max-age=60, stale-if-errors=5",
		"max-age=60, xstale-if-error=5",
	};
	char other[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_life(bad[i], 0, 60, 0, 0);
		snprintf(other, sizeof(other), "%s, stale-while-revalidate=5",
			 bad[i]);
		assert_life(other, 0, 60, 5, 0);
	}
	assert_life("max-age=60, stale-while-revalidate=x, stale-if-error=7", 0,
		    60, 0, 7);
}

static void must_revalidate_forbids_stale_answers(void **state)
{
	(void)state;
	assert_life("max-age=60, stale-while-revalidate=5, stale-if-error=7, "
		    "must-revalidate",
		    0, 60, 0, 0);
	assert_life("Must-Revalidate, max-age=60, stale-if-error=7", 0, 60, 0,
		    0);
	assert_life("proxy-revalidate, max-age=60, stale-if-error=7", 0, 60, 0,
		    0);
	assert_life("must-revalidated, max-age=60, stale-if-error=7", 0, 60, 0,
		    7);
}

static void age_eats_into_the_stale_phases_last(void **state)
{
	static const char header[] =
		"max-age=60, stale-while-revalidate=5, stale-if-error=100";

	(void)state;
	assert_life(header, 59, 1, 5, 100);
	assert_life(header, 60, 0, 5, 100);
	assert_life(header, 64, 0, 1, 96);
	assert_life(header, 65, 0, 0, 95);
	assert_life(header, 160, 0, 0, 0);
	assert_life(header, UINT64_MAX, 0, 0, 0);
	assert_life("max-age=0, stale-while-revalidate=5", 0, 0, 5, 0);
}

static void all_phases_together_last_thirty_days(void **state)
{
	(void)state;
	assert_life("max-age=2592000, stale-if-error=1", 0, DAYS_30, 0, 0);
	assert_life("max-age=2591999, stale-if-error=5", 0, DAYS_30 - 1, 0, 1);
	assert_life("max-age=0, stale-while-revalidate=99999999999999999999, "
		    "stale-if-error=99999999",
		    0, 0, DAYS_30, DAYS_30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_header_nothing_is_kept),
		cmocka_unit_test(max_age_in_all_its_forms),
		cmocka_unit_test(shared_caches_are_not_us),
		cmocka_unit_test(no_store_and_no_cache_keep_nothing),
		cmocka_unit_test(what_is_malformed_keeps_nothing),
		cmocka_unit_test(contradiction_keeps_nothing),
		cmocka_unit_test(age_is_subtracted),
		cmocka_unit_test(no_life_is_longer_than_thirty_days),
		cmocka_unit_test(stale_phases_in_all_their_forms),
		cmocka_unit_test(without_max_age_there_is_no_stale_phase),
		cmocka_unit_test(
			a_bad_stale_directive_grants_nothing_and_costs_nothing),
		cmocka_unit_test(must_revalidate_forbids_stale_answers),
		cmocka_unit_test(age_eats_into_the_stale_phases_last),
		cmocka_unit_test(all_phases_together_last_thirty_days),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
