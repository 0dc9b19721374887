#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "cache/cache.h"

/* Room for a few dozen entries. */
enum {
	MAX_BYTES = 8192,
	NOW = 1000
};

/* A value that counts its references. */
struct value {
	int refs;
};

static struct value values[64];

static void retain(const void *value)
{
	((struct value *)(uintptr_t)value)->refs++;
}

static void release(const void *value)
{
	((struct value *)(uintptr_t)value)->refs--;
}

struct fixture {
	struct cache *cache;
	struct cache_group group, other;
};

static struct fixture *create(uint64_t max_bytes)
{
	static struct fixture f;
	struct cache_opts opts = { max_bytes, retain, release };

	memset(&f, 0, sizeof(f));
	memset(values, 0, sizeof(values));
	return cache_create(&f.cache, &opts) == 0 ? &f : NULL;
}

static int setup(void **state)
{
	*state = create(MAX_BYTES);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cache_destroy(f->cache);
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
		if (values[i].refs != 0)
			return -1;
	return f->group.entries || f->other.entries ? -1 : 0;
}

static const uint8_t *key(unsigned n)
{
	static uint8_t k[CACHE_KEY_LEN];

	memset(k, 0, sizeof(k));
	memcpy(k, &n, sizeof(n));
	return k;
}

static int put(struct fixture *f, unsigned n, size_t size, uint64_t ttl)
{
	return cache_put(f->cache, key(n), &f->group, &values[n % 64], size,
			 ttl, NOW);
}

static const void *get(struct fixture *f, unsigned n, int64_t now)
{
	return cache_get(f->cache, key(n), &f->group, now);
}

static struct cache_stats stats(const struct fixture *f)
{
	struct cache_stats ret;

	cache_get_stats(f->cache, &ret);
	return ret;
}

/* ---- look up and store ---- */

static void what_was_stored_is_found(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put(f, 1, 10, 100), 0);
	assert_ptr_equal(get(f, 1, NOW), &values[1]);
	assert_int_equal(values[1].refs, 1);
	assert_int_equal(f->group.hits, 1);
	assert_int_equal(f->group.misses, 0);
	assert_int_equal(f->group.entries, 1);
}

static void what_was_not_stored_is_missed(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	assert_null(get(f, 2, NOW));
	assert_int_equal(f->group.hits, 0);
	assert_int_equal(f->group.misses, 1);
}

static void keys_differ_in_any_byte(void **state)
{
	struct fixture *f = *state;
	uint8_t k[CACHE_KEY_LEN] = { 0 };

	assert_int_equal(
		cache_put(f->cache, k, &f->group, &values[0], 1, 100, NOW), 0);
	for (int i = 0; i < CACHE_KEY_LEN; i++) {
		k[i] = 1;
		assert_null(cache_get(f->cache, k, &f->group, NOW));
		k[i] = 0;
	}
	assert_ptr_equal(cache_get(f->cache, k, &f->group, NOW), &values[0]);
}

static void a_second_store_replaces(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	assert_int_equal(cache_put(f->cache, key(1), &f->other, &values[2], 10,
				   100, NOW),
			 0);
	assert_ptr_equal(get(f, 1, NOW), &values[2]);
	assert_int_equal(values[1].refs, 0);
	assert_int_equal(values[2].refs, 1);
	assert_int_equal(f->group.entries, 0);
	assert_int_equal(f->other.entries, 1);
	assert_int_equal(stats(f).entries, 1);
	assert_int_equal(stats(f).evicted, 0);
}

static void the_same_value_may_replace_itself(void **state)
{
	struct fixture *f = *state;

	values[1].refs = 1;
	put(f, 1, 10, 100);
	put(f, 1, 10, 100);
	assert_int_equal(values[1].refs, 2);
	values[1].refs = 1;
}

static void bytes_return_to_where_they_were(void **state)
{
	struct fixture *f = *state;
	uint64_t empty = stats(f).bytes;

	put(f, 1, 10, 100);
	assert_in_range(stats(f).bytes - empty, 10 + CACHE_KEY_LEN,
			10 + CACHE_KEY_LEN + 160);
	put(f, 1, 500, 100);
	put(f, 2, 20, 100);
	assert_int_equal(cache_clear(f->cache), 2);
	assert_int_equal(stats(f).bytes, empty);
}

/* ---- time ---- */

static void an_entry_lives_until_its_ttl(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	assert_non_null(get(f, 1, NOW + 99));
}

static void an_entry_is_gone_at_its_ttl(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	assert_null(get(f, 1, NOW + 100));
	assert_int_equal(values[1].refs, 0);
	assert_int_equal(f->group.entries, 0);
	assert_int_equal(f->group.misses, 1);
	assert_int_equal(stats(f).expired, 1);
	assert_int_equal(stats(f).entries, 0);
}

static void a_hit_does_not_prolong_life(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	assert_non_null(get(f, 1, NOW + 99));
	assert_null(get(f, 1, NOW + 100));
}

static void an_endless_ttl_does_not_wrap(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, UINT64_MAX);
	put(f, 2, 10, (uint64_t)INT64_MAX);
	assert_int_equal(cache_put(f->cache, key(3), &f->group, &values[3], 1,
				   UINT64_MAX, -5),
			 0);
	assert_int_equal(
		cache_put(f->cache, key(4), &f->group, &values[4], 1, 1, -5),
		0);
	assert_non_null(get(f, 1, INT64_MAX - 1));
	assert_non_null(get(f, 2, INT64_MAX - 1));
	assert_non_null(get(f, 3, INT64_MAX - 1));
	assert_null(get(f, 4, -4));
}

static void no_ttl_stores_nothing_and_drops_the_old(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	assert_int_equal(put(f, 1, 10, 0), 0);
	assert_int_equal(stats(f).stores, 1);
	assert_int_equal(stats(f).entries, 0);
	assert_null(get(f, 1, NOW));
	assert_int_equal(values[1].refs, 0);
}

/* ---- the bound ---- */

static void the_bound_holds_and_the_oldest_goes_first(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	while (stats(f).evicted == 0) {
		assert_int_equal(put(f, n++, 100, 1000), 0);
		assert_true(stats(f).bytes <= MAX_BYTES);
		assert_true(n < 64);
	}
	assert_true(n > 8);
	assert_null(get(f, 0, NOW));
	for (unsigned i = 1; i < n; i++)
		assert_non_null(get(f, i, NOW));
	assert_int_equal(f->group.entries, n - 1);
}

static void what_was_used_lately_stays(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	put(f, n++, 100, 1000);
	put(f, n++, 100, 1000);
	while (stats(f).evicted == 0) {
		assert_non_null(get(f, 0, NOW));
		put(f, n++, 100, 1000);
	}
	assert_non_null(get(f, 0, NOW));
	assert_null(get(f, 1, NOW));
}

static void a_large_entry_evicts_as_many_as_it_needs(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 20; n++)
		put(f, n, 100, 1000);
	assert_int_equal(put(f, 30, MAX_BYTES / 2, 1000), 0);
	assert_true(stats(f).bytes <= MAX_BYTES);
	assert_non_null(get(f, 30, NOW));
	assert_non_null(get(f, 19, NOW));
	assert_null(get(f, 0, NOW));
}

static void an_entry_beyond_the_bound_is_refused(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	put(f, 2, 10, 100);
	assert_int_equal(put(f, 1, MAX_BYTES, 100), -EFBIG);
	assert_int_equal(put(f, 3, SIZE_MAX, 100), -EFBIG);
	assert_int_equal(stats(f).refused, 2);
	assert_int_equal(stats(f).evicted, 0);
	assert_null(get(f, 1, NOW));
	assert_non_null(get(f, 2, NOW));
}

static void no_bytes_keep_nothing(void **state)
{
	struct fixture *f = create(0);

	*state = f;
	assert_int_equal(put(f, 1, 0, 100), -EFBIG);
	assert_null(get(f, 1, NOW));
	assert_int_equal(cache_sweep(f->cache, 10, NOW), 0);
}

static void many_entries_are_all_found(void **state)
{
	struct fixture *f = create(8 * 1024 * 1024);

	*state = f;
	for (unsigned n = 0; n < 20000; n++)
		assert_int_equal(put(f, n * 2654435761u, 10, 100), 0);
	for (unsigned n = 0; n < 20000; n++)
		assert_ptr_equal(get(f, n * 2654435761u, NOW),
				 &values[n * 2654435761u % 64]);
	assert_int_equal(stats(f).evicted, 0);
	assert_int_equal(cache_clear(f->cache), 20000);
}

static void keys_that_collide_are_told_apart(void **state)
{
	struct fixture *f = create(1024 * 1024);
	uint8_t k[CACHE_KEY_LEN] = { 0 };

	*state = f;
	for (uint8_t i = 0; i < 40; i++) {
		k[8] = i;
		assert_int_equal(cache_put(f->cache, k, &f->group, &values[i],
					   1, 100, NOW),
				 0);
	}
	for (uint8_t i = 0; i < 40; i++) {
		k[8] = i;
		assert_ptr_equal(cache_get(f->cache, k, &f->group, NOW),
				 &values[i]);
	}
}

/* ---- dropping ---- */

static void a_sweep_drops_what_expired(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	put(f, 2, 10, 200);
	put(f, 3, 10, 100);
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 99), 0);
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 100), 2);
	assert_int_equal(stats(f).expired, 2);
	assert_int_equal(stats(f).entries, 1);
	assert_non_null(get(f, 2, NOW + 100));
}

static void a_sweep_is_bounded_and_goes_on(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 10; n++)
		put(f, n, 10, n == 7 ? 100 : 1000);
	assert_int_equal(cache_sweep(f->cache, 5, NOW + 500), 0);
	assert_int_equal(stats(f).entries, 10);
	assert_int_equal(cache_sweep(f->cache, 5, NOW + 500), 1);
	assert_int_equal(cache_sweep(f->cache, 0, NOW + 5000), 0);
	assert_int_equal(cache_sweep(f->cache, 4, NOW + 5000), 4);
	assert_int_equal(stats(f).entries, 5);
}

static void a_sweep_ends_although_entries_are_used(void **state)
{
	struct fixture *f = *state;

	put(f, 20, 10, 100);
	for (unsigned n = 0; n < 10; n++)
		put(f, n, 10, 1000000);
	/* it passes 20, which then expires */
	assert_int_equal(cache_sweep(f->cache, 1, NOW), 0);
	for (unsigned rounds = 0; stats(f).expired == 0; rounds++) {
		/* what the sweep passed comes to stand before it again */
		for (unsigned n = 0; n < 10; n++)
			assert_non_null(get(f, n, NOW + 100));
		cache_sweep(f->cache, 2, NOW + 100);
		assert_true(rounds < 20);
	}
}

static void a_sweep_survives_what_happens_in_between(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 10; n++)
		put(f, n, 10, 100);
	assert_int_equal(cache_sweep(f->cache, 3, NOW), 0);
	/* 3 is the next: replace it, use it, then drop it */
	put(f, 3, 10, 100);
	assert_non_null(get(f, 3, NOW));
	assert_null(get(f, 4, NOW + 100));
	assert_int_equal(cache_sweep(f->cache, 2, NOW), 0);
	cache_clear(f->cache);
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 100), 0);
	put(f, 1, 10, 100);
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 100), 1);
}

static void a_group_is_dropped_alone(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	put(f, 2, 10, 100);
	cache_put(f->cache, key(3), &f->other, &values[3], 10, 100, NOW);
	assert_int_equal(cache_drop_group(f->cache, &f->group), 2);
	assert_int_equal(f->group.entries, 0);
	assert_int_equal(f->other.entries, 1);
	assert_null(get(f, 1, NOW));
	assert_non_null(get(f, 3, NOW));
	assert_int_equal(cache_drop_group(f->cache, &f->group), 0);
	assert_int_equal(stats(f).expired + stats(f).evicted, 0);
}

static void clearing_counts_and_releases(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	cache_put(f->cache, key(3), &f->other, &values[3], 10, 100, NOW);
	assert_int_equal(cache_clear(f->cache), 2);
	assert_int_equal(cache_clear(f->cache), 0);
	assert_int_equal(values[1].refs + values[3].refs, 0);
	assert_int_equal(f->group.entries + f->other.entries, 0);
	assert_int_equal(put(f, 1, 10, 100), 0);
	assert_non_null(get(f, 1, NOW));
}

static void destroying_releases_what_is_left(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 10, 100);
	put(f, 2, 10, 100);
	cache_destroy(f->cache);
	f->cache = NULL;
	assert_int_equal(values[1].refs + values[2].refs, 0);
	assert_int_equal(f->group.entries, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define OWN(f)  cmocka_unit_test_setup_teardown(f, NULL, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_stored_is_found),
		TEST(what_was_not_stored_is_missed),
		TEST(keys_differ_in_any_byte),
		TEST(a_second_store_replaces),
		TEST(the_same_value_may_replace_itself),
		TEST(bytes_return_to_where_they_were),
		TEST(an_entry_lives_until_its_ttl),
		TEST(an_entry_is_gone_at_its_ttl),
		TEST(a_hit_does_not_prolong_life),
		TEST(an_endless_ttl_does_not_wrap),
		TEST(no_ttl_stores_nothing_and_drops_the_old),
		TEST(the_bound_holds_and_the_oldest_goes_first),
		TEST(what_was_used_lately_stays),
		TEST(a_large_entry_evicts_as_many_as_it_needs),
		TEST(an_entry_beyond_the_bound_is_refused),
		OWN(no_bytes_keep_nothing),
		OWN(many_entries_are_all_found),
		OWN(keys_that_collide_are_told_apart),
		TEST(a_sweep_drops_what_expired),
		TEST(a_sweep_is_bounded_and_goes_on),
		TEST(a_sweep_ends_although_entries_are_used),
		TEST(a_sweep_survives_what_happens_in_between),
		TEST(a_group_is_dropped_alone),
		TEST(clearing_counts_and_releases),
		TEST(destroying_releases_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
