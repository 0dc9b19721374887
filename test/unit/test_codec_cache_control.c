#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "plugin/codec.h"

#define DAYS_30 ((uint64_t)30 * 24 * 3600)

static void assert_seconds(const char *header, uint64_t age, uint64_t seconds)
{
	uint64_t ms = codec_max_age_ms(header, age);

	if (ms != seconds * 1000)
		fail_msg("%s (age %llu): %llu ms", header ? header : "(none)",
			 (unsigned long long)age, (unsigned long long)ms);
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
		"max-age=60, stale-while-revalidate=5",
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
