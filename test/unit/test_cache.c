#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "cache/cache.h"

/* Room for a few dozen entries. */
enum {
	MAX_BYTES = 8192,
	LARGE = 64 * 1024 * 1024,
	CLEAR_STEP = 2048,
	SLAB = 2 * 1024 * 1024, /* that entries are cut from */
	NOW = 1000,
	ANN = 11,
	BOB = 22,
};

/* ---- no memory ---- */

static long allocations_left = -1; /* -1: as many as it takes */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool may_allocate(void)
{
	if (allocations_left == 0)
		return false;
	if (allocations_left > 0)
		allocations_left--;
	return true;
}

/* Makefile: --wrap=calloc,mmap,munmap */
void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

static size_t mapped; /* at present */

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	if (!may_allocate())
		return MAP_FAILED;
	mapped += len;
	return __real_mmap(at, len, prot, flags, fd, off);
}

int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);

int __wrap_munmap(void *at, size_t len)
{
	mapped -= len;
	return __real_munmap(at, len);
}

/* ---- a cache ---- */

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
	/* of what is put */
	struct cache_life life;
	uint64_t client, username;
};

static struct fixture *create_with(const struct cache_opts *from)
{
	static struct fixture f;
	struct cache_opts opts = *from;

	opts.retain = retain;
	opts.release = release;
	f = (struct fixture){ .group = { .hook = 1, .endpoint = 1 },
			      .other = { .hook = 2, .endpoint = 1 },
			      .life = { .fresh_ms = 100 } };
	memset(values, 0, sizeof(values));
	return cache_create(&f.cache, &opts) == 0 ? &f : NULL;
}

static struct fixture *create(uint64_t max_bytes)
{
	struct cache_opts opts = { .max_bytes = max_bytes,
				   .max_refusal_bytes = max_bytes / 8 };

	return create_with(&opts);
}

static int setup(void **state)
{
	*state = create(MAX_BYTES);
	return *state ? 0 : -1;
}

static int setup_large(void **state)
{
	*state = create(LARGE);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cache_destroy(f->cache);
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
		if (values[i].refs != 0)
			return -1;
	return f->group.entries || f->other.entries || f->group.bytes ||
			       f->other.bytes || f->group.record
		       ? -1
		       : 0;
}

static void set_key(struct cache_ticket *t, unsigned n)
{
	uint64_t spread = n * UINT64_C(0x9e3779b97f4a7c15);

	memset(t->key, 0, sizeof(t->key));
	memcpy(t->key, (char *)&spread + 4, 4);
	memcpy(t->key + 8, &n, sizeof(n));
}

/* A question asked now. */
static struct cache_ticket ask_in(struct fixture *f, struct cache_group *group,
				  unsigned n)
{
	struct cache_ticket t = { .group = group,
				  .client = f->client,
				  .username = f->username };
	/* a key that nobody uses, for the generation */
	struct cache_ticket probe = t;
	struct cache_group nobody = { 0 };
	const void *value;

	probe.group = &nobody;
	set_key(&probe, UINT32_MAX);
	assert_int_equal(cache_get(f->cache, &probe, NOW, &value), CACHE_MISS);
	set_key(&t, n);
	t.generation = probe.generation;
	return t;
}

static struct cache_ticket ask(struct fixture *f, unsigned n)
{
	return ask_in(f, &f->group, n);
}

static int put_as(struct fixture *f, const struct cache_ticket *t,
		  enum cache_kind kind, unsigned value, size_t size)
{
	return cache_put(f->cache, t, kind, &values[value % 64], size, &f->life,
			 NOW);
}

static int put_in(struct fixture *f, struct cache_group *group, unsigned n)
{
	struct cache_ticket t = ask_in(f, group, n);

	return put_as(f, &t, CACHE_ANSWER, n, 10);
}

static int put_size(struct fixture *f, unsigned n, size_t size)
{
	struct cache_ticket t = ask(f, n);

	return put_as(f, &t, CACHE_ANSWER, n, size);
}

static int put(struct fixture *f, unsigned n)
{
	return put_size(f, n, 10);
}

static int refuse(struct fixture *f, unsigned n)
{
	struct cache_ticket t = ask(f, n);

	return put_as(f, &t, CACHE_REFUSAL, n, 10);
}

static enum cache_result look_in(struct fixture *f, struct cache_group *group,
				 unsigned n, int64_t now, const void **ret)
{
	struct cache_ticket t = { .group = group };

	set_key(&t, n);
	cache_expect(f->cache, t.key);
	return cache_get(f->cache, &t, now, ret);
}

static enum cache_result look(struct fixture *f, unsigned n, int64_t now)
{
	const void *value = NULL;
	enum cache_result result = look_in(f, &f->group, n, now, &value);

	assert_ptr_equal(value, result == CACHE_MISS ? NULL : &values[n % 64]);
	return result;
}

static const void *look_if_error(struct fixture *f, unsigned n, int64_t now)
{
	struct cache_ticket t = { .group = &f->group };

	set_key(&t, n);
	return cache_get_if_error(f->cache, &t, now);
}

static const struct cache_group *totals(const struct fixture *f)
{
	return cache_totals(f->cache);
}

#define assert_fresh(f, n, now)  assert_int_equal(look(f, n, now), CACHE_FRESH)
#define assert_missed(f, n, now) assert_int_equal(look(f, n, now), CACHE_MISS)

/* ---- look up and store ---- */

static void what_was_stored_is_found(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put(f, 1), 0);
	assert_fresh(f, 1, NOW);
	assert_int_equal(values[1].refs, 1);
	assert_int_equal(f->group.hits, 1);
	assert_int_equal(f->group.misses, 0);
	assert_int_equal(f->group.entries, 1);
	assert_int_equal(f->group.stores, 1);
}

static void what_was_not_stored_is_missed(void **state)
{
	struct fixture *f = *state;

	assert_missed(f, 1, NOW);
	put(f, 1);
	assert_missed(f, 2, NOW);
	assert_int_equal(f->group.hits, 0);
	assert_int_equal(f->group.misses, 2);
}

static void keys_differ_in_any_byte(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = { .group = &f->group };
	const void *value;

	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 0, 1), 0);
	for (int i = 0; i < CACHE_KEY_LEN; i++) {
		t.key[i] = 1;
		assert_int_equal(cache_get(f->cache, &t, NOW, &value),
				 CACHE_MISS);
		t.key[i] = 0;
	}
	assert_int_equal(cache_get(f->cache, &t, NOW, &value), CACHE_FRESH);
	assert_ptr_equal(value, &values[0]);
}

static void keys_that_collide_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = { .group = &f->group };
	const void *value;

	for (uint8_t i = 0; i < 200; i++) {
		t.key[8] = i;
		assert_int_equal(put_as(f, &t, CACHE_ANSWER, i, 1), 0);
	}
	for (uint8_t i = 0; i < 200; i++) {
		t.key[8] = i;
		assert_int_equal(cache_get(f->cache, &t, NOW, &value),
				 CACHE_FRESH);
		assert_ptr_equal(value, &values[i % 64]);
	}
}

static void a_second_store_replaces(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask_in(f, &f->other, 1);
	const void *value;

	put(f, 1);
	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 2, 10), 0);
	assert_int_equal(look_in(f, &f->group, 1, NOW, &value), CACHE_FRESH);
	assert_ptr_equal(value, &values[2]);
	assert_int_equal(values[1].refs, 0);
	assert_int_equal(values[2].refs, 1);
	assert_int_equal(f->group.entries, 0);
	assert_int_equal(f->other.entries, 1);
	assert_int_equal(totals(f)->entries, 1);
	assert_int_equal(totals(f)->evicted + totals(f)->expired, 0);
}

static void the_same_value_may_replace_itself(void **state)
{
	struct fixture *f = *state;

	values[1].refs = 1;
	put(f, 1);
	put(f, 1);
	assert_int_equal(values[1].refs, 2);
	values[1].refs = 1;
}

static void what_was_removed_is_missed(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 1);

	put(f, 1);
	put(f, 2);
	cache_remove(f->cache, &t);
	cache_remove(f->cache, &t);
	assert_missed(f, 1, NOW);
	assert_fresh(f, 2, NOW);
	assert_int_equal(values[1].refs, 0);
	assert_int_equal(f->group.entries, 1);
	assert_int_equal(totals(f)->evicted + totals(f)->expired, 0);
}

static void bytes_return_to_where_they_were(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 1);
	uint64_t empty;

	assert_int_equal(totals(f)->bytes, 0);
	put(f, 1);
	cache_remove(f->cache, &t);
	empty = totals(f)->bytes; /* the table stays */
	put(f, 1);
	assert_int_equal(totals(f)->bytes - empty, f->group.bytes);
	assert_in_range(f->group.bytes, 10 + CACHE_KEY_LEN,
			10 + CACHE_KEY_LEN + CACHE_BOOKKEEPING_MAX);
	put_size(f, 1, 500);
	put_size(f, 2, 20);
	assert_int_equal(cache_clear(f->cache, NULL), 2);
	assert_int_equal(f->group.bytes, 0);
	cache_sweep(f->cache, 2, NOW);
	assert_int_equal(totals(f)->bytes, empty);
}

/* ---- phases of a life ---- */

static void an_entry_is_fresh_until_its_life_ends(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	assert_fresh(f, 1, NOW + 99);
	assert_int_equal(f->group.stale, 0);
}

static void an_entry_is_gone_when_its_life_ends(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	assert_missed(f, 1, NOW + 100);
	assert_int_equal(values[1].refs, 0);
	assert_int_equal(f->group.entries, 0);
	assert_int_equal(f->group.misses, 1);
	assert_int_equal(f->group.expired, 1);
	assert_int_equal(totals(f)->expired, 1);
	assert_int_equal(totals(f)->entries, 0);
	assert_null(look_if_error(f, 1, NOW + 100));
}

static void a_hit_does_not_prolong_life(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	assert_fresh(f, 1, NOW + 99);
	assert_missed(f, 1, NOW + 100);
}

static void what_is_over_of_a_life_is_over(void **state)
{
	struct fixture *f = *state;

	f->life.age_ms = 60;
	put(f, 1);
	assert_fresh(f, 1, NOW + 39);
	assert_missed(f, 1, NOW + 40);
	f->life.stale_while_revalidate_ms = 50;
	f->life.age_ms = 120;
	put(f, 2);
	assert_int_equal(look(f, 2, NOW), CACHE_REFRESH);
	assert_int_equal(look(f, 2, NOW + 29), CACHE_STALE);
	assert_missed(f, 2, NOW + 30);
	/* nothing is left: nothing is stored, and what was there goes */
	put(f, 3);
	f->life.age_ms = 150;
	put(f, 3);
	f->life.age_ms = UINT64_MAX;
	put(f, 4);
	assert_int_equal(f->group.entries, 0);
	f->life.age_ms = 100;
	refuse(f, 5); /* never stale */
	assert_int_equal(f->group.entries, 0);
}

static void no_life_is_longer_than_the_limit(void **state)
{
	struct fixture *f = *state;
	int64_t end = NOW + (int64_t)CACHE_LIFE_MAX_MS;

	f->life = (struct cache_life){ UINT64_MAX, UINT64_MAX, UINT64_MAX, 0 };
	put(f, 1);
	f->life.fresh_ms = 100;
	put(f, 2);
	assert_fresh(f, 1, end - 1);
	assert_missed(f, 1, end);
	assert_int_equal(look(f, 2, end - 1), CACHE_REFRESH);
	assert_non_null(look_if_error(f, 2, end - 1));
	assert_missed(f, 2, end);
	assert_null(look_if_error(f, 2, end));
}

static void no_life_stores_nothing_and_removes_the_old(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	f->life.fresh_ms = 0;
	assert_int_equal(put(f, 1), 0);
	assert_int_equal(f->group.stores, 1);
	assert_int_equal(f->group.rejected, 0);
	assert_int_equal(totals(f)->entries, 0);
	assert_missed(f, 1, NOW);
	assert_int_equal(values[1].refs, 0);
}

static void one_caller_is_to_refresh_a_stale_entry(void **state)
{
	struct fixture *f = *state;

	f->life.stale_while_revalidate_ms = 50;
	put(f, 1);
	assert_fresh(f, 1, NOW + 99);
	assert_int_equal(look(f, 1, NOW + 100), CACHE_REFRESH);
	assert_int_equal(look(f, 1, NOW + 100), CACHE_STALE);
	assert_int_equal(look(f, 1, NOW + 149), CACHE_STALE);
	assert_missed(f, 1, NOW + 150);
	assert_int_equal(f->group.hits, 4);
	assert_int_equal(f->group.stale, 3);
	assert_int_equal(f->group.misses, 1);
}

static void a_refreshed_entry_is_fresh(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 1);

	f->life.stale_while_revalidate_ms = 50;
	put(f, 1);
	assert_int_equal(look(f, 1, NOW + 120), CACHE_REFRESH);
	assert_int_equal(cache_put(f->cache, &t, CACHE_ANSWER, &values[1], 10,
				   &f->life, NOW + 130),
			 0);
	assert_fresh(f, 1, NOW + 229);
	assert_int_equal(look(f, 1, NOW + 230), CACHE_REFRESH);
}

static void a_failed_refresh_removes_at_once(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 1);

	f->life.stale_while_revalidate_ms = 50;
	f->life.stale_if_error_ms = 5000;
	put(f, 1);
	assert_int_equal(look(f, 1, NOW + 120), CACHE_REFRESH);
	cache_remove(f->cache, &t);
	assert_missed(f, 1, NOW + 120);
	assert_null(look_if_error(f, 1, NOW + 120));
	assert_int_equal(values[1].refs, 0);
}

static void what_is_stale_at_once_is_served_stale(void **state)
{
	struct fixture *f = *state;

	f->life = (struct cache_life){ .stale_while_revalidate_ms = 50 };
	put(f, 1);
	assert_int_equal(look(f, 1, NOW), CACHE_REFRESH);
	assert_missed(f, 1, NOW + 50);
}

static void an_error_is_answered_from_the_cache(void **state)
{
	struct fixture *f = *state;

	f->life.stale_if_error_ms = 500;
	put(f, 1);
	assert_missed(f, 1, NOW + 100); /* it is for errors only */
	assert_ptr_equal(look_if_error(f, 1, NOW + 100), &values[1]);
	assert_ptr_equal(look_if_error(f, 1, NOW + 599), &values[1]);
	assert_int_equal(f->group.entries, 1);
	assert_null(look_if_error(f, 1, NOW + 600));
	assert_int_equal(f->group.entries, 0);
	assert_int_equal(f->group.stale_if_error, 2);
	assert_int_equal(f->group.stale + f->group.hits, 0);
	assert_int_equal(f->group.misses, 1);
	assert_int_equal(f->group.expired, 1);
}

static void an_error_is_not_answered_by_default(void **state)
{
	struct fixture *f = *state;

	f->life.stale_while_revalidate_ms = 50;
	put(f, 1);
	assert_int_equal(look(f, 1, NOW + 100), CACHE_REFRESH);
	assert_null(look_if_error(f, 1, NOW + 100));
	assert_int_equal(f->group.stale_if_error, 0);
}

static void an_error_revives_nothing(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 1);

	f->life.stale_if_error_ms = 500;
	put(f, 1);
	cache_remove(f->cache, &t);
	assert_null(look_if_error(f, 1, NOW + 100));
	put(f, 2);
	cache_clear(f->cache, NULL);
	assert_null(look_if_error(f, 2, NOW + 100));
	put(f, 3);
	f->life = (struct cache_life){ 0 };
	put(f, 3); /* an ok that may not be kept */
	assert_null(look_if_error(f, 3, NOW + 100));
}

static void lives_are_exact_without_jitter(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 20; n++) {
		put(f, n);
		assert_fresh(f, n, NOW + 99);
		assert_missed(f, n, NOW + 100);
	}
}

static int64_t end_of(struct fixture *f, unsigned n)
{
	int64_t now = NOW;

	put(f, n);
	while (look(f, n, now) == CACHE_FRESH)
		now++;
	return now - NOW;
}

static void jitter_shortens_lives_but_not_by_more(void **state)
{
	struct cache_opts opts = { .max_bytes = MAX_BYTES,
				   .jitter_percent = 20,
				   .seed = 5 };
	struct fixture *f = *state;
	int64_t ends[20], least = 100, most = 0;

	for (int round = 0; round < 2; round++) {
		cache_destroy(f->cache);
		f = create_with(&opts);
		*state = f;
		for (unsigned n = 0; n < 20; n++) {
			int64_t end = end_of(f, n);

			assert_in_range(end, 80, 100);
			if (round) /* the same seed, the same lives */
				assert_int_equal(end, ends[n]);
			ends[n] = end;
			least = end < least ? end : least;
			most = end > most ? end : most;
		}
	}
	assert_true(least < 90 && most > 90);
}

static void jitter_leaves_something_of_every_life(void **state)
{
	struct cache_opts opts = { .max_bytes = MAX_BYTES,
				   .jitter_percent = 1000 };
	struct fixture *f = *state;

	cache_destroy(f->cache);
	f = create_with(&opts);
	*state = f;
	for (unsigned n = 0; n < 200; n++) {
		f->life.fresh_ms = 1 + n % 3;
		assert_in_range(end_of(f, n), 1, f->life.fresh_ms);
	}
}

/* ---- the bound ---- */

static void the_bound_holds_and_the_oldest_goes_first(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	while (totals(f)->evicted == 0) {
		assert_int_equal(put_size(f, n++, 100), 0);
		assert_true(totals(f)->bytes <= MAX_BYTES);
		assert_true(n < 64);
	}
	assert_true(n > 8);
	assert_missed(f, 0, NOW);
	for (unsigned i = 1; i < n; i++)
		assert_fresh(f, i, NOW);
	assert_int_equal(f->group.entries, n - 1);
	assert_int_equal(f->group.evicted, 1);
}

static void what_was_used_lately_stays(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	put_size(f, n++, 100);
	put_size(f, n++, 100);
	while (totals(f)->evicted == 0) {
		assert_fresh(f, 0, NOW);
		put_size(f, n++, 100);
	}
	assert_fresh(f, 0, NOW);
	assert_missed(f, 1, NOW);
}

static void what_is_expected_is_not_used_by_that(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = { .group = &f->group };
	unsigned n = 0;

	set_key(&t, 0);
	cache_expect(f->cache, t.key);
	while (totals(f)->evicted == 0) {
		put_size(f, n++, 100);
		cache_expect(f->cache, t.key);
	}
	assert_int_equal(f->group.hits, 0);
	assert_int_equal(f->group.misses, 0);
	assert_missed(f, 0, NOW);
	assert_fresh(f, 1, NOW);
}

static void a_large_entry_evicts_as_many_as_it_needs(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 20; n++)
		put_size(f, n, 100);
	assert_int_equal(put_size(f, 30, MAX_BYTES / 2), 0);
	assert_true(totals(f)->bytes <= MAX_BYTES);
	assert_fresh(f, 30, NOW);
	assert_fresh(f, 19, NOW);
	assert_missed(f, 0, NOW);
}

static void one_entry_evicts_no_more_than_some_hundreds(void **state)
{
	struct fixture *f = *state;
	int err, tries = 0;

	cache_destroy(f->cache);
	*state = f = create(1024 * 1024);
	for (unsigned n = 0; n < 10000; n++)
		put_size(f, n, 0);
	put_size(f, 20000, 0);
	do {
		uint64_t evicted = f->group.evicted;

		err = put_size(f, 20000, 900000);
		assert_true(f->group.evicted - evicted <= 512);
		assert_true(totals(f)->bytes <= 1024 * 1024);
		if (err)
			assert_missed(f, 20000, NOW);
		assert_true(++tries < 20);
	} while (err == -ENOSPC);
	assert_int_equal(err, 0);
	assert_true(tries > 2);
	assert_int_equal(f->group.rejected, tries - 1);
	assert_fresh(f, 20000, NOW);
}

static void an_entry_beyond_the_bound_is_rejected(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	put(f, 2);
	assert_int_equal(put_size(f, 1, MAX_BYTES), -EFBIG);
	assert_int_equal(put_size(f, 3, SIZE_MAX), -EFBIG);
	assert_int_equal(f->group.rejected, 2);
	assert_int_equal(f->group.evicted, 0);
	assert_missed(f, 1, NOW);
	assert_fresh(f, 2, NOW);
}

static void no_bytes_keep_nothing(void **state)
{
	struct fixture *f = *state;

	cache_destroy(f->cache);
	*state = f = create(0);
	assert_int_equal(put_size(f, 1, 0), -EFBIG);
	assert_int_equal(refuse(f, 1), -EFBIG);
	assert_missed(f, 1, NOW);
	assert_int_equal(cache_sweep(f->cache, 10, NOW), 0);
	assert_int_equal(cache_clear(f->cache, NULL), 0);
	assert_int_equal(totals(f)->bytes, 0);
}

static void what_is_over_makes_room_without_being_evicted(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	while (totals(f)->bytes + 300 < MAX_BYTES)
		put_size(f, n++, 100);
	assert_int_equal(totals(f)->evicted, 0);
	for (unsigned i = 0; i < n; i++) {
		struct cache_ticket t = ask(f, 100 + i);

		assert_int_equal(cache_put(f->cache, &t, CACHE_ANSWER,
					   &values[0], 100, &f->life,
					   NOW + 100),
				 0);
	}
	assert_int_equal(totals(f)->evicted, 0);
	assert_true(totals(f)->expired > n / 2);
}

static void bookkeeping_stays_within_its_bound(void **state)
{
	struct fixture *f = *state;
	size_t before = mallinfo2().uordblks + mapped, after;

	for (unsigned n = 1; n <= 100000; n++) {
		uint64_t each;

		assert_int_equal(put_size(f, n, 0), 0);
		each = (totals(f)->bytes + n - 1) / n;
		if (n > 64) /* and no longer the first table */
			assert_true(each - CACHE_KEY_LEN <=
				    CACHE_BOOKKEEPING_MAX);
	}
	after = mallinfo2().uordblks + mapped;
	assert_true(after - before <= totals(f)->bytes + SLAB);
	assert_int_equal(f->group.evicted, 0);
}

/* ---- growth ---- */

static void many_entries_are_all_found(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 20000; n++) {
		assert_int_equal(put(f, n), 0);
		assert_fresh(f, n / 2, NOW);
	}
	for (unsigned n = 0; n < 20000; n++)
		assert_fresh(f, n, NOW);
	assert_int_equal(totals(f)->evicted, 0);
	assert_int_equal(cache_clear(f->cache, NULL), 20000);
}

static unsigned next_random(void)
{
	static uint32_t x = 1;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

/* Keys by last use, the oldest first. */
struct model {
	unsigned keys[4096];
	size_t count;
};

static bool model_take(struct model *m, unsigned key)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->keys[i] != key)
			continue;
		m->count--;
		memmove(m->keys + i, m->keys + i + 1,
			(m->count - i) * sizeof(*m->keys));
		return true;
	}
	return false;
}

static void model_add(struct model *m, unsigned key)
{
	m->keys[m->count++] = key;
}

/* Whatever happens, also while entries move from one table to the next: the
 * cache holds what a list in order of use would, and evicts its first. */
static void the_order_of_use_survives_growth(void **state)
{
	static struct model m;
	struct fixture *f = *state;
	uint64_t evicted = 0;

	cache_destroy(f->cache);
	*state = f = create(128 * 1024);
	m.count = 0;
	for (int i = 0; i < 20000; i++) {
		unsigned key = next_random() % 1500;
		struct cache_ticket t = ask(f, key);

		switch (next_random() % 8) {
		case 0:
			cache_remove(f->cache, &t);
			model_take(&m, key);
			break;
		case 1:
		case 2:
			assert_int_equal(look(f, key, NOW) == CACHE_FRESH,
					 model_take(&m, key));
			if (look(f, key, NOW) == CACHE_FRESH)
				model_add(&m, key);
			break;
		case 3:
			cache_sweep(f->cache, 3, NOW);
			break;
		default:
			assert_int_equal(put(f, key), 0);
			model_take(&m, key);
			for (; evicted < f->group.evicted; evicted++)
				assert_true(model_take(&m, m.keys[0]));
			model_add(&m, key);
		}
		assert_int_equal(f->group.entries, m.count);
		assert_true(totals(f)->bytes <= 128 * 1024);
	}
	assert_true(evicted > 500);
	for (size_t i = 0; i < m.count; i++)
		assert_fresh(f, m.keys[i], NOW);
}

/* A cache full of large entries whose place small ones take: its table is too
 * small then, and entries make room for another. */
static void a_full_cache_makes_room_for_its_table(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	cache_destroy(f->cache);
	*state = f = create(256 * 1024);
	while (f->group.evicted == 0)
		put_size(f, n++, 4000);
	for (unsigned i = 0; i < 5000; i++) {
		uint64_t evicted = f->group.evicted;

		assert_int_equal(put_size(f, n++, 0), 0);
		assert_true(f->group.evicted - evicted <= 1 + 8);
		assert_true(totals(f)->bytes <= 256 * 1024);
	}
	/* nearly all of it is entries */
	assert_true(f->group.bytes > 256 * 1024 * 4 / 5);
}

static void without_memory_nothing_is_stored_and_nothing_breaks(void **state)
{
	struct fixture *f = *state;
	uint64_t rejected = 0;

	for (unsigned n = 0; n < 400; n++) {
		struct cache_ticket t = ask(f, n);

		for (long fail = 0;; fail++) {
			int err;

			allocations_left = fail;
			err = put_as(f, &t, CACHE_ANSWER, n, 10);
			allocations_left = -1;
			if (!err)
				break;
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(f->group.rejected, ++rejected);
			assert_int_equal(f->group.entries, n);
			assert_missed(f, n, NOW);
		}
	}
	for (unsigned n = 0; n < 400; n++)
		assert_fresh(f, n, NOW);
}

static void a_cache_is_made_whole_or_not_at_all(void **state)
{
	struct cache_opts opts = { 0 };
	struct cache *cache = NULL;

	(void)state;
	allocations_left = 0;
	assert_int_equal(cache_create(&cache, &opts), -ENOMEM);
	allocations_left = -1;
	assert_null(cache);
	cache_destroy(NULL);
}

/* ---- refusals ---- */

static void a_refusal_is_kept_and_counted_apart(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	assert_int_equal(refuse(f, 2), 0);
	assert_fresh(f, 1, NOW);
	assert_fresh(f, 2, NOW);
	assert_int_equal(f->group.entries, 2);
	assert_int_equal(f->group.refusals, 1);
	assert_int_equal(f->group.hits, 2);
	assert_int_equal(f->group.refusal_hits, 1);
	assert_true(f->group.refusal_bytes * 2 == f->group.bytes);
	assert_missed(f, 2, NOW + 100);
	assert_int_equal(f->group.refusals, 0);
	assert_int_equal(f->group.refusal_bytes, 0);
}

static void a_flood_of_refusals_evicts_no_answer(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 100; n++)
		put(f, n);
	for (unsigned n = 100; n < 60000; n++)
		assert_int_equal(refuse(f, n), 0);
	assert_true(totals(f)->refusal_bytes <= LARGE / 8);
	assert_true(f->group.refusals_evicted > 0);
	assert_int_equal(f->group.refusals_evicted, f->group.evicted);
	for (unsigned n = 0; n < 100; n++)
		assert_fresh(f, n, NOW);
	assert_missed(f, 100, NOW);
	assert_fresh(f, 59999, NOW);
}

static void a_flood_of_answers_evicts_no_refusal(void **state)
{
	struct fixture *f = *state;

	refuse(f, 1);
	for (unsigned n = 2; f->group.evicted < 10; n++)
		assert_int_equal(put(f, n), 0);
	assert_int_equal(f->group.refusals_evicted, 0);
	assert_fresh(f, 1, NOW);
}

static void an_answer_and_a_refusal_replace_each_other(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	refuse(f, 1);
	assert_int_equal(f->group.entries, 1);
	assert_int_equal(f->group.refusals, 1);
	put(f, 1);
	assert_int_equal(f->group.entries, 1);
	assert_int_equal(f->group.refusals, 0);
	assert_int_equal(totals(f)->refusals, 0);
}

static void a_refusal_is_never_stale(void **state)
{
	struct fixture *f = *state;

	f->life.stale_while_revalidate_ms = f->life.stale_if_error_ms = 500;
	refuse(f, 1);
	assert_null(look_if_error(f, 1, NOW));
	assert_missed(f, 1, NOW + 100);
	assert_null(look_if_error(f, 1, NOW + 100));
	f->life.fresh_ms = 0;
	assert_int_equal(refuse(f, 2), 0);
	assert_int_equal(f->group.entries, 0);
}

/* ---- the sweep ---- */

static void a_sweep_drops_what_is_over(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	refuse(f, 2);
	f->life.stale_if_error_ms = 100;
	put(f, 3);
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 99), 0);
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 100), 2);
	assert_int_equal(totals(f)->expired, 2);
	assert_int_equal(totals(f)->entries, 1);
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 199), 0);
	assert_non_null(look_if_error(f, 3, NOW + 199));
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 200), 1);
}

static void a_sweep_is_bounded_and_goes_on(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 10; n++) {
		f->life.fresh_ms = n == 7 ? 100 : 1000;
		put(f, n);
	}
	assert_int_equal(cache_sweep(f->cache, 5, NOW + 500), 0);
	assert_int_equal(totals(f)->entries, 10);
	assert_int_equal(cache_sweep(f->cache, 5, NOW + 500), 1);
	assert_int_equal(cache_sweep(f->cache, 0, NOW + 5000), 0);
	assert_int_equal(cache_sweep(f->cache, 4, NOW + 5000), 4);
	assert_int_equal(totals(f)->entries, 5);
}

static void a_sweep_ends_although_entries_are_used(void **state)
{
	struct fixture *f = *state;

	put(f, 20);
	f->life.fresh_ms = 1000000;
	for (unsigned n = 0; n < 10; n++)
		put(f, n);
	/* it passes 20, which then ends */
	assert_int_equal(cache_sweep(f->cache, 1, NOW), 0);
	for (unsigned rounds = 0; totals(f)->expired == 0; rounds++) {
		/* what the sweep passed comes to stand before it again */
		for (unsigned n = 0; n < 10; n++)
			assert_fresh(f, n, NOW + 100);
		cache_sweep(f->cache, 2, NOW + 100);
		assert_true(rounds < 20);
	}
}

static void a_sweep_survives_what_happens_in_between(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 10; n++)
		put(f, n);
	assert_int_equal(cache_sweep(f->cache, 3, NOW), 0);
	/* 3 is the next: replace it, use it, then drop it */
	put(f, 3);
	assert_fresh(f, 3, NOW);
	assert_missed(f, 4, NOW + 100);
	assert_int_equal(cache_sweep(f->cache, 2, NOW), 0);
	cache_clear(f->cache, NULL);
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 100), 0);
	put(f, 1);
	assert_int_equal(cache_sweep(f->cache, 100, NOW + 100), 1);
}

/* ---- clearing ---- */

static void clearing_counts_at_once(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	refuse(f, 2);
	put_in(f, &f->other, 3);
	assert_int_equal(cache_clear(f->cache, NULL), 3);
	assert_int_equal(f->group.entries + f->other.entries, 0);
	assert_int_equal(f->group.refusals + totals(f)->refusals, 0);
	assert_int_equal(totals(f)->entries, 0);
	assert_int_equal(cache_clear(f->cache, NULL), 0);
	assert_false(cache_is_clearing(f->cache));
	assert_missed(f, 1, NOW);
	assert_missed(f, 2, NOW);
	assert_int_equal(values[1].refs + values[2].refs, 0);
	assert_int_equal(totals(f)->expired + totals(f)->evicted, 0);
	assert_int_equal(put(f, 1), 0);
	assert_fresh(f, 1, NOW);
	assert_int_equal(f->group.entries, 1);
}

static void what_was_cleared_comes_free_in_steps(void **state)
{
	struct fixture *f = *state;
	uint64_t held;

	for (unsigned n = 0; n < 1000; n++)
		put(f, n);
	held = totals(f)->bytes;
	cache_clear(f->cache, NULL);
	assert_int_equal(totals(f)->entries, 0);
	assert_int_equal(totals(f)->bytes, held);
	put(f, 5000);
	for (int i = 0; i < 10; i++)
		assert_int_equal(cache_sweep(f->cache, 100, NOW), 0);
	for (unsigned n = 0; n < 64; n++)
		assert_int_equal(values[n].refs, n == 5000 % 64);
	assert_true(totals(f)->bytes < held / 4);
	assert_int_equal(totals(f)->entries, 1);
	assert_fresh(f, 5000, NOW);
}

static void what_was_cleared_is_evicted_unseen(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	while (totals(f)->bytes + 300 < MAX_BYTES)
		put(f, n++);
	assert_int_equal(cache_clear(f->cache, NULL), n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(put(f, 1000 + i), 0);
	assert_int_equal(f->group.evicted, 0);
	assert_int_equal(f->group.entries, n);
}

/* Four groups (hook, endpoint) by three clients and two users. */
static void put_all(struct fixture *f, struct cache_group groups[4])
{
	unsigned n = 0;

	for (int g = 0; g < 4; g++) {
		groups[g].hook = 1 + (uint64_t)g / 2;
		groups[g].endpoint = 1 + (uint64_t)g % 2;
		for (unsigned c = 0; c < 3; c++) {
			f->client = ANN + c;
			f->username = 100 + c % 2;
			put_in(f, &groups[g], n++);
		}
	}
}

static bool selects(const struct cache_filter *filter, unsigned n)
{
	unsigned g = n / 3, c = n % 3;

	return (!filter->hook || filter->hook == 1 + g / 2) &&
	       (!filter->endpoint || filter->endpoint == 1 + g % 2) &&
	       (!filter->client || filter->client == ANN + c) &&
	       (!filter->username || filter->username == 100 + c % 2);
}

static void any_combination_selects(void **state)
{
	struct fixture *f = *state;

	for (int mask = 0; mask < 16; mask++) {
		struct cache_filter filter = {
			.hook = mask & 1 ? 2 : 0,
			.endpoint = mask & 2 ? 1 : 0,
			.client = mask & 4 ? ANN + 2 : 0,
			.username = mask & 8 ? 100 : 0,
		};
		struct cache_group groups[4] = { 0 };
		size_t gone = 0;

		put_all(f, groups);
		for (unsigned n = 0; n < 12; n++)
			gone += selects(&filter, n);
		assert_true(gone > 0);
		assert_int_equal(cache_clear(f->cache, &filter), gone);
		assert_int_equal(totals(f)->entries, 12 - gone);
		for (unsigned n = 0; n < 12; n++)
			assert_int_equal(look(f, n, NOW) == CACHE_MISS,
					 selects(&filter, n));
		for (int g = 0; g < 4; g++)
			cache_drop_group(f->cache, &groups[g]);
	}
}

static void a_name_that_nobody_has_clears_nothing(void **state)
{
	struct fixture *f = *state;
	struct cache_filter filter = { .username = BOB };

	put(f, 1); /* of no name */
	f->username = ANN;
	put(f, 2);
	f->client = BOB; /* a client's name is not a user's */
	put(f, 3);
	assert_int_equal(cache_clear(f->cache, &filter), 0);
	filter = (struct cache_filter){ .hook = 7 };
	assert_int_equal(cache_clear(f->cache, &filter), 0);
	for (unsigned n = 1; n <= 3; n++)
		assert_fresh(f, n, NOW);
	assert_int_equal(totals(f)->entries, 3);
}

static void put_many(struct fixture *f, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		f->client = n % 10 ? BOB : ANN;
		assert_int_equal(put(f, n), 0);
	}
}

static void a_clear_by_name_is_bounded_and_the_sweep_ends_it(void **state)
{
	struct cache_filter ann = { .client = ANN };
	struct fixture *f = *state;
	size_t gone;

	put_many(f, 20000);
	gone = cache_clear(f->cache, &ann);
	assert_true(gone <= CLEAR_STEP / 10 + 1);
	assert_true(cache_is_clearing(f->cache));
	assert_int_equal(f->group.entries, 20000 - gone);
	/* nobody gets what is still counted, nor by way of an error */
	f->life.stale_if_error_ms = 100;
	assert_null(look_if_error(f, 19990, NOW));
	assert_missed(f, 19980, NOW);
	assert_fresh(f, 19999, NOW);
	for (int i = 0; cache_is_clearing(f->cache); i++) {
		cache_sweep(f->cache, 1000, NOW);
		assert_true(i < 20);
	}
	assert_int_equal(f->group.entries, 18000);
	assert_int_equal(totals(f)->entries, 18000);
	for (unsigned n = 0; n < 20000; n++)
		assert_int_equal(look(f, n, NOW),
				 n % 10 ? CACHE_FRESH : CACHE_MISS);
}

static void what_is_stored_after_a_clear_by_name_stays(void **state)
{
	struct cache_filter ann = { .client = ANN };
	struct fixture *f = *state;

	put_many(f, 20000);
	cache_clear(f->cache, &ann);
	f->client = ANN;
	put(f, 19990);
	while (cache_is_clearing(f->cache))
		cache_sweep(f->cache, 1000, NOW);
	assert_fresh(f, 19990, NOW);
	assert_int_equal(f->group.entries, 18001);
}

/* More clears than the cache remembers, before the sweep could be round. */
static void clears_by_name_may_come_faster_than_the_sweep(void **state)
{
	enum {
		ENTRIES = 300000
	};
	struct fixture *f = *state;

	put_many(f, ENTRIES);
	assert_int_equal(f->group.entries, ENTRIES);
	for (uint64_t i = 0; i < 1000; i++) {
		struct cache_filter filter = { .client = 1000 + i };
		size_t gone;

		if (i == 500)
			filter.client = ANN;
		gone = cache_clear(f->cache, &filter);
		assert_true(gone <= ENTRIES / 128);
		assert_int_equal(look(f, 10 * (unsigned)i, NOW),
				 i < 500 ? CACHE_FRESH : CACHE_MISS);
	}
	assert_int_equal(f->group.entries, ENTRIES * 9 / 10);
	assert_fresh(f, 1, NOW);
}

static void a_clear_survives_a_round_of_the_sweep_under_way(void **state)
{
	struct cache_filter ann = { .client = ANN }, bob = { .client = BOB };
	struct fixture *f = *state;

	put_many(f, 20000);
	cache_clear(f->cache, &ann);
	/* its round is half over when another begins */
	cache_sweep(f->cache, 10000, NOW);
	cache_clear(f->cache, &bob);
	while (cache_is_clearing(f->cache))
		cache_sweep(f->cache, 1000, NOW);
	assert_int_equal(f->group.entries, 0);
	for (unsigned n = 0; n < 64; n++)
		assert_int_equal(values[n].refs, 0);
}

/* ---- tickets ---- */

static void a_late_answer_is_not_stored(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 1);

	assert_true(cache_is_current(f->cache, &t));
	cache_clear(f->cache, NULL);
	assert_false(cache_is_current(f->cache, &t));
	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 1, 10), -ESTALE);
	assert_missed(f, 1, NOW);
	assert_int_equal(f->group.late, 1);
	assert_int_equal(f->group.rejected + f->group.stores, 0);
	t = ask(f, 1);
	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 1, 10), 0);
}

static void a_late_answer_leaves_what_came_since(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 1);

	cache_clear(f->cache, NULL);
	put(f, 1);
	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 2, 10), -ESTALE);
	assert_fresh(f, 1, NOW);
}

static void a_ticket_is_void_after_what_concerns_it(void **state)
{
	static const struct {
		struct cache_filter filter;
		bool concerns;
	} cases[] = {
		{ { .hook = 1 }, true },
		{ { .hook = 2 }, false },
		{ { .endpoint = 1 }, true },
		{ { .hook = 1, .endpoint = 2 }, false },
		{ { .client = ANN }, true },
		{ { .client = BOB }, false },
		{ { .username = BOB }, true },
		{ { .username = ANN }, false },
		{ { .client = ANN, .username = ANN }, false },
		{ { .client = ANN, .hook = 2 }, false },
		{ { .client = ANN, .hook = 1, .endpoint = 1 }, true },
	};
	struct fixture *f = *state;

	put(f, 100); /* a group that nobody knows yet is cleared with any */
	f->client = ANN;
	f->username = BOB;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cache_ticket t = ask(f, 1);

		cache_clear(f->cache, &cases[i].filter);
		assert_int_equal(cache_is_current(f->cache, &t),
				 !cases[i].concerns);
		assert_int_equal(put_as(f, &t, CACHE_ANSWER, 1, 10),
				 cases[i].concerns ? -ESTALE : 0);
	}
}

static void a_clear_before_the_first_answer_counts(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket first = ask(f, 1), second = ask(f, 2);

	cache_clear(f->cache, NULL);
	assert_int_equal(put_as(f, &first, CACHE_ANSWER, 1, 10), -ESTALE);
	assert_int_equal(put(f, 3), 0);
	assert_int_equal(put_as(f, &second, CACHE_ANSWER, 2, 10), -ESTALE);
}

static void new_settings_void_every_ticket_and_no_entry(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 2);

	put(f, 1);
	cache_new_generation(f->cache);
	assert_false(cache_is_current(f->cache, &t));
	assert_fresh(f, 1, NOW);
	assert_int_equal(f->group.entries, 1);
	t = ask(f, 2);
	assert_true(cache_is_current(f->cache, &t));
}

static void a_ticket_is_void_when_too_much_was_cleared_since(void **state)
{
	struct fixture *f = *state;
	struct cache_filter bob = { .client = BOB };
	struct cache_ticket t = ask(f, 1);

	for (int i = 0; i < 512; i++)
		cache_clear(f->cache, &bob);
	assert_true(cache_is_current(f->cache, &t));
	cache_clear(f->cache, &bob);
	assert_false(cache_is_current(f->cache, &t));
}

static void what_is_void_stays_so_whatever_is_cleared(void **state)
{
	struct fixture *f = *state;
	struct cache_filter bob = { .client = BOB };
	struct cache_ticket t;

	for (int i = 0; i < 512; i++)
		cache_clear(f->cache, &bob);
	t = ask(f, 1);
	cache_new_generation(f->cache);
	cache_clear(f->cache, &bob);
	assert_false(cache_is_current(f->cache, &t));
	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 1, 10), -ESTALE);
}

/* Put, and past its life: whoever asks has to refresh it, under this. */
static struct cache_ticket to_refresh(struct fixture *f, unsigned n)
{
	struct cache_ticket t = { .group = &f->group };
	const void *value;

	f->life.stale_while_revalidate_ms = 50;
	put(f, n);
	set_key(&t, n);
	assert_int_equal(cache_get(f->cache, &t, NOW + 100, &value),
			 CACHE_REFRESH);
	return t;
}

static void a_refresh_that_comes_late_is_another_ones_to_do(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = to_refresh(f, 1);

	cache_new_generation(f->cache);
	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 1, 10), -ESTALE);
	assert_int_equal(look(f, 1, NOW + 100), CACHE_REFRESH);
	assert_int_equal(look(f, 1, NOW + 100), CACHE_STALE);
}

static void a_refresh_ends_that_of_nothing_newer(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = to_refresh(f, 1);

	cache_clear(f->cache, NULL);
	f->life.fresh_ms = 90;
	put(f, 1);
	assert_int_equal(look(f, 1, NOW + 90), CACHE_REFRESH);
	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 1, 10), -ESTALE);
	assert_int_equal(look(f, 1, NOW + 90), CACHE_STALE);
	cache_refresh_over(f->cache, &t);
	assert_int_equal(look(f, 1, NOW + 90), CACHE_STALE);
	cache_refresh_failed(f->cache, &t, NOW + 90);
	assert_int_equal(look(f, 1, NOW + 90), CACHE_STALE);
}

static void a_question_is_no_refresh(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 1);

	to_refresh(f, 1);
	cache_refresh_over(f->cache, &t);
	cache_refresh_failed(f->cache, &t, NOW + 100);
	cache_void(&t);
	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 1, 10), -ESTALE);
	assert_int_equal(look(f, 1, NOW + 100), CACHE_STALE);
}

static void a_ticket_may_be_made_void(void **state)
{
	struct fixture *f = *state;
	struct cache_ticket t = ask(f, 1);

	cache_void(&t);
	assert_false(cache_is_current(f->cache, &t));
	assert_int_equal(put_as(f, &t, CACHE_ANSWER, 1, 10), -ESTALE);
	assert_missed(f, 1, NOW);
}

/* ---- groups ---- */

static void a_group_is_dropped_alone(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	refuse(f, 2);
	put_in(f, &f->other, 3);
	assert_int_equal(cache_drop_group(f->cache, &f->group), 2);
	assert_int_equal(f->group.entries, 0);
	assert_int_equal(f->other.entries, 1);
	assert_int_equal(totals(f)->entries, 1);
	assert_missed(f, 1, NOW);
	assert_fresh(f, 3, NOW);
	assert_int_equal(cache_drop_group(f->cache, &f->group), 0);
	assert_int_equal(totals(f)->expired + totals(f)->evicted, 0);
}

static void a_dropped_group_takes_nothing_more(void **state)
{
	struct fixture *f = *state;

	cache_drop_group(f->cache, &f->group);
	assert_int_equal(put(f, 1), -ESTALE);
	assert_missed(f, 1, NOW);
	f->group = (struct cache_group){ 0 };
	assert_int_equal(put(f, 1), 0);
	assert_fresh(f, 1, NOW);
}

static void entries_outlive_the_memory_of_their_group(void **state)
{
	struct cache_filter ann = { .client = ANN };
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++) {
		struct cache_group *group = calloc(1, sizeof(*group));

		assert_non_null(group);
		for (unsigned n = 0; n < 8; n++)
			assert_int_equal(put_in(f, group, n), 0);
		assert_int_equal(cache_drop_group(f->cache, group), 8);
		free(group);
		/* found, swept, cleared, evicted */
		assert_missed(f, 0, NOW);
		if (i == 1)
			cache_sweep(f->cache, 3, NOW + 1000);
		if (i == 2)
			cache_clear(f->cache, &ann);
		if (i == 3)
			put_size(f, 100, MAX_BYTES / 2);
		cache_clear(f->cache, NULL);
	}
	assert_int_equal(totals(f)->entries, 0);
}

static void destroying_releases_what_is_left(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	refuse(f, 2);
	put_in(f, &f->other, 3);
	cache_drop_group(f->cache, &f->other);
	cache_destroy(f->cache);
	f->cache = NULL;
	assert_int_equal(values[1].refs + values[2].refs + values[3].refs, 0);
	assert_int_equal(f->group.entries, 0);
}

/* ---- when the time is not quite known ---- */

static bool fresh_before(struct fixture *f, unsigned n, int64_t before_ms)
{
	struct cache_ticket t = { .group = &f->group, .client = f->client };
	const void *value = NULL;

	set_key(&t, n);
	if (!cache_get_fresh(f->cache, &t, before_ms, &value))
		return false;
	assert_ptr_equal(value, &values[n]);
	assert_true(cache_is_current(f->cache, &t));
	return true;
}

static void what_is_fresh_at_any_rate_is_a_hit(void **state)
{
	struct fixture *f = *state;

	f->life.fresh_ms = 10;
	put(f, 1);
	refuse(f, 2);
	assert_true(fresh_before(f, 1, NOW));
	assert_true(fresh_before(f, 1, NOW + 10));
	assert_true(fresh_before(f, 2, NOW + 10));
	assert_int_equal(f->group.hits, 3);
	assert_int_equal(totals(f)->hits, 3);
	assert_int_equal(f->group.refusal_hits, 1);
}

static void what_may_be_over_is_left_as_it_is(void **state)
{
	struct fixture *f = *state;

	f->life.fresh_ms = 10;
	f->life.stale_while_revalidate_ms = 10;
	put(f, 1);
	assert_false(fresh_before(f, 1, NOW + 11));
	assert_false(fresh_before(f, 2, NOW)); /* not there */
	assert_int_equal(f->group.hits + f->group.misses, 0);
	assert_int_equal(f->group.entries, 1);
	assert_int_equal(look(f, 1, NOW + 9), CACHE_FRESH);
	assert_int_equal(look(f, 1, NOW + 10), CACHE_REFRESH);
}

static void what_was_cleared_is_fresh_at_no_time(void **state)
{
	struct cache_filter ann = { .client = ANN };
	struct fixture *f = *state;

	f->client = ANN;
	put(f, 1);
	cache_clear(f->cache, &ann);
	assert_false(fresh_before(f, 1, NOW));
	put(f, 2);
	cache_clear(f->cache, NULL);
	assert_false(fresh_before(f, 2, NOW));
}

/* ---- statistics ---- */

static void totals_are_the_sums_of_groups(void **state)
{
	struct fixture *f = *state;
	const void *value;

	put(f, 1);
	put_in(f, &f->other, 2);
	look(f, 1, NOW);
	look_in(f, &f->other, 2, NOW, &value);
	look_in(f, &f->other, 2, NOW + 100, &value);
	assert_int_equal(totals(f)->stores, 2);
	assert_int_equal(totals(f)->hits, 2);
	assert_int_equal(f->other.expired, 1);
	assert_int_equal(totals(f)->expired, 1);
	cache_drop_group(f->cache, &f->other);
	assert_int_equal(totals(f)->hits, 2);
	assert_int_equal(totals(f)->entries, 1);
}

/* ---- other bounds ---- */

static void limit(struct fixture *f, uint64_t bytes, uint64_t refusal_bytes)
{
	struct cache_limits limits = { .max_bytes = bytes,
				       .max_refusal_bytes = refusal_bytes };

	cache_set_limits(f->cache, &limits);
}

static void sweep_until_it_fits(struct fixture *f)
{
	size_t left = totals(f)->entries;

	while (cache_is_clearing(f->cache)) {
		cache_sweep(f->cache, 16, NOW);
		assert_true(totals(f)->entries < left || !left);
		left = totals(f)->entries;
	}
}

static void a_higher_bound_holds_at_once(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	while (!totals(f)->evicted)
		assert_int_equal(put(f, n++), 0);
	limit(f, LARGE, LARGE);
	assert_false(cache_is_clearing(f->cache));
	for (unsigned i = 0; i < 10 * n; i++)
		assert_int_equal(put(f, n + i), 0);
	assert_int_equal(totals(f)->evicted, 1);
	assert_true(totals(f)->bytes > MAX_BYTES);
}

static void a_lower_bound_is_reached_in_steps(void **state)
{
	struct fixture *f = *state;
	size_t gone;

	limit(f, LARGE, LARGE);
	for (unsigned n = 0; n < 1000; n++)
		assert_int_equal(put(f, n), 0);
	for (unsigned n = 1000; n < 1100; n++)
		assert_int_equal(refuse(f, n), 0);
	/* tables that take less than half of it stay */
	limit(f, totals(f)->bytes / 2, LARGE);
	assert_true(cache_is_clearing(f->cache));
	assert_int_equal(totals(f)->entries, 1100);
	gone = cache_sweep(f->cache, 10, NOW);
	assert_int_equal(gone, 10);
	assert_int_equal(totals(f)->entries, 1090);
	assert_missed(f, 9, NOW);
	assert_fresh(f, 10, NOW);
	sweep_until_it_fits(f);
	assert_true(totals(f)->entries > 300);
	assert_missed(f, 11, NOW);
	assert_fresh(f, 10, NOW); /* used since */
	assert_fresh(f, 999, NOW);
	assert_int_equal(totals(f)->refusals, 100);
	assert_int_equal(totals(f)->evicted, 1100 - totals(f)->entries);
	gone = totals(f)->entries;
	assert_int_equal(put(f, 2000), 0);
	assert_true(totals(f)->entries <= gone + 1);
	assert_false(cache_is_clearing(f->cache));
}

static void tables_beyond_a_lower_bound_are_begun_anew(void **state)
{
	struct fixture *f = *state;

	limit(f, LARGE, LARGE);
	for (unsigned n = 0; n < 20000; n++)
		assert_int_equal(put(f, n), 0);
	limit(f, MAX_BYTES, MAX_BYTES);
	assert_int_equal(put(f, 30000), -EFBIG);
	sweep_until_it_fits(f);
	assert_int_equal(totals(f)->entries, 0);
	assert_int_equal(totals(f)->bytes, 0);
	for (unsigned n = 0; n < 10; n++)
		assert_int_equal(put(f, n), 0);
	assert_fresh(f, 0, NOW);
	assert_true(totals(f)->bytes <= MAX_BYTES);
}

static void a_bound_that_is_raised_again_ends_the_emptying(void **state)
{
	struct fixture *f = *state;

	limit(f, LARGE, LARGE);
	for (unsigned n = 0; n < 20000; n++)
		assert_int_equal(put(f, n), 0);
	limit(f, MAX_BYTES, MAX_BYTES);
	cache_sweep(f->cache, 100, NOW);
	limit(f, LARGE, LARGE);
	assert_false(cache_is_clearing(f->cache));
	cache_sweep(f->cache, 100, NOW);
	assert_int_equal(totals(f)->entries, 19900);
	assert_fresh(f, 19999, NOW);
}

static void a_bound_of_nothing_empties_and_keeps_nothing(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	refuse(f, 2);
	limit(f, 0, 0);
	sweep_until_it_fits(f);
	assert_int_equal(totals(f)->bytes, 0);
	assert_int_equal(put(f, 1), -EFBIG);
	assert_missed(f, 1, NOW);
	limit(f, MAX_BYTES, MAX_BYTES);
	assert_int_equal(put(f, 1), 0);
	assert_fresh(f, 1, NOW);
}

static void another_jitter_is_for_what_is_stored_from_now_on(void **state)
{
	struct fixture *f = *state;
	struct cache_limits limits = { .max_bytes = LARGE,
				       .jitter_percent = 1000 };
	unsigned over = 0;

	put(f, 0);
	cache_set_limits(f->cache, &limits);
	for (unsigned n = 1; n <= 100; n++)
		assert_int_equal(put(f, n), 0);
	assert_fresh(f, 0, NOW + 99);
	for (unsigned n = 1; n <= 100; n++)
		over += look(f, n, NOW + 50) == CACHE_MISS;
	assert_true(over > 20 && over < 80);
}

static void the_sweep_goes_on_while_a_bound_is_lowered(void **state)
{
	struct fixture *f = *state;

	limit(f, LARGE, LARGE);
	for (unsigned n = 0; n < 1000; n++)
		put(f, n);
	cache_sweep(f->cache, 5, NOW); /* it stands on the sixth */
	limit(f, totals(f)->bytes / 2, LARGE);
	cache_sweep(f->cache, 5, NOW); /* which is the oldest soon */
	sweep_until_it_fits(f);
	for (int i = 0; i < 1000; i++)
		cache_sweep(f->cache, 5, NOW + 1000);
	assert_int_equal(totals(f)->entries, 0);
}

#define TEST(f)     cmocka_unit_test_setup_teardown(f, setup, teardown)
#define IN_LARGE(f) cmocka_unit_test_setup_teardown(f, setup_large, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_stored_is_found),
		TEST(what_was_not_stored_is_missed),
		TEST(keys_differ_in_any_byte),
		IN_LARGE(keys_that_collide_are_told_apart),
		TEST(a_second_store_replaces),
		TEST(the_same_value_may_replace_itself),
		TEST(what_was_removed_is_missed),
		TEST(bytes_return_to_where_they_were),
		TEST(an_entry_is_fresh_until_its_life_ends),
		TEST(an_entry_is_gone_when_its_life_ends),
		TEST(a_hit_does_not_prolong_life),
		TEST(what_is_over_of_a_life_is_over),
		TEST(no_life_is_longer_than_the_limit),
		TEST(no_life_stores_nothing_and_removes_the_old),
		TEST(one_caller_is_to_refresh_a_stale_entry),
		TEST(a_refreshed_entry_is_fresh),
		TEST(a_failed_refresh_removes_at_once),
		TEST(what_is_stale_at_once_is_served_stale),
		TEST(an_error_is_answered_from_the_cache),
		TEST(an_error_is_not_answered_by_default),
		TEST(an_error_revives_nothing),
		TEST(lives_are_exact_without_jitter),
		TEST(jitter_shortens_lives_but_not_by_more),
		TEST(jitter_leaves_something_of_every_life),
		TEST(the_bound_holds_and_the_oldest_goes_first),
		TEST(what_was_used_lately_stays),
		TEST(what_is_expected_is_not_used_by_that),
		TEST(a_large_entry_evicts_as_many_as_it_needs),
		TEST(one_entry_evicts_no_more_than_some_hundreds),
		TEST(an_entry_beyond_the_bound_is_rejected),
		TEST(no_bytes_keep_nothing),
		TEST(what_is_over_makes_room_without_being_evicted),
		IN_LARGE(bookkeeping_stays_within_its_bound),
		IN_LARGE(many_entries_are_all_found),
		TEST(the_order_of_use_survives_growth),
		TEST(a_full_cache_makes_room_for_its_table),
		IN_LARGE(without_memory_nothing_is_stored_and_nothing_breaks),
		cmocka_unit_test(a_cache_is_made_whole_or_not_at_all),
		TEST(a_refusal_is_kept_and_counted_apart),
		IN_LARGE(a_flood_of_refusals_evicts_no_answer),
		TEST(a_flood_of_answers_evicts_no_refusal),
		TEST(an_answer_and_a_refusal_replace_each_other),
		TEST(a_refusal_is_never_stale),
		TEST(a_sweep_drops_what_is_over),
		TEST(a_sweep_is_bounded_and_goes_on),
		TEST(a_sweep_ends_although_entries_are_used),
		TEST(a_sweep_survives_what_happens_in_between),
		TEST(clearing_counts_at_once),
		IN_LARGE(what_was_cleared_comes_free_in_steps),
		TEST(what_was_cleared_is_evicted_unseen),
		TEST(any_combination_selects),
		TEST(a_name_that_nobody_has_clears_nothing),
		IN_LARGE(a_clear_by_name_is_bounded_and_the_sweep_ends_it),
		IN_LARGE(what_is_stored_after_a_clear_by_name_stays),
		IN_LARGE(clears_by_name_may_come_faster_than_the_sweep),
		IN_LARGE(a_clear_survives_a_round_of_the_sweep_under_way),
		TEST(a_late_answer_is_not_stored),
		TEST(a_late_answer_leaves_what_came_since),
		TEST(a_ticket_is_void_after_what_concerns_it),
		TEST(a_clear_before_the_first_answer_counts),
		TEST(new_settings_void_every_ticket_and_no_entry),
		TEST(a_ticket_is_void_when_too_much_was_cleared_since),
		TEST(what_is_void_stays_so_whatever_is_cleared),
		TEST(a_refresh_that_comes_late_is_another_ones_to_do),
		TEST(a_refresh_ends_that_of_nothing_newer),
		TEST(a_question_is_no_refresh),
		TEST(a_ticket_may_be_made_void),
		TEST(a_group_is_dropped_alone),
		TEST(a_dropped_group_takes_nothing_more),
		TEST(entries_outlive_the_memory_of_their_group),
		TEST(destroying_releases_what_is_left),
		TEST(what_is_fresh_at_any_rate_is_a_hit),
		TEST(what_may_be_over_is_left_as_it_is),
		TEST(what_was_cleared_is_fresh_at_no_time),
		TEST(totals_are_the_sums_of_groups),
		TEST(a_higher_bound_holds_at_once),
		TEST(a_lower_bound_is_reached_in_steps),
		TEST(tables_beyond_a_lower_bound_are_begun_anew),
		TEST(a_bound_that_is_raised_again_ends_the_emptying),
		TEST(a_bound_of_nothing_empties_and_keeps_nothing),
		TEST(another_jitter_is_for_what_is_stored_from_now_on),
		TEST(the_sweep_goes_on_while_a_bound_is_lowered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
