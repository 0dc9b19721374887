#include "cache/cache.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/*
 * The table is as large from the start as it will ever be: doubling one of
 * 10^6 entries holds a single insert for 32 ms. uthash has no option for
 * that, so its initial size becomes an expression, evaluated in table_add().
 */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS      (1U << cache->log2_buckets)
#define HASH_INITIAL_NUM_BUCKETS_LOG2 (cache->log2_buckets)

enum {
	/* One bucket of 16 bytes for this many bytes of the bound: chains of
	 * two to four entries when it is full of small ones. */
	BYTES_PER_BUCKET = 512,
	LOG2_BUCKETS_MAX = 24,
	MALLOC_OVERHEAD = 16,
};

struct entry {
	UT_hash_handle hh;
	struct entry *newer, *older; /* a ring, closed by the anchor */
	struct cache_group *group;
	const void *value;
	size_t cost; /* of the bound, all in all */
	int64_t expires_ms;
	uint8_t key[CACHE_KEY_LEN];
};

struct cache {
	struct entry *table; /* never empty: holds the anchor */
	struct entry anchor; /* newer: the oldest entry */
	/* The sweep's next entry, and how many remain of its round: entries
	 * in use move ahead of it, so it could run for ever. */
	struct entry *sweep;
	uint64_t sweep_left;
	struct cache_opts opts;
	uint64_t fixed_bytes; /* of the table */
	unsigned log2_buckets;
	_Atomic uint64_t stores, evicted, expired, refused, entries, bytes;
};

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void subtract(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_sub_explicit(counter, n, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- the ring: order of use ---- */

static void ring_add(struct cache *cache, struct entry *e)
{
	e->newer = &cache->anchor;
	e->older = cache->anchor.older;
	e->older->newer = e;
	cache->anchor.older = e;
}

static void ring_remove(struct cache *cache, struct entry *e)
{
	if (cache->sweep == e)
		cache->sweep = e->newer;
	e->older->newer = e->newer;
	e->newer->older = e->older;
}

static void touch(struct cache *cache, struct entry *e)
{
	if (cache->anchor.older == e)
		return;
	ring_remove(cache, e);
	ring_add(cache, e);
}

/* ---- the table ---- */

/* A key of another length than the real ones is found by nobody: that of
 * the anchor. Fails for the first element only, which makes the table. */
static bool table_add(struct cache *cache, struct entry *e, unsigned keylen,
		      unsigned hash)
{
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, cache->table, e->key, keylen, hash, e);
	return e->hh.tbl != NULL;
}

static unsigned hash_of(const uint8_t *key)
{
	unsigned hash;

	memcpy(&hash, key, sizeof(hash));
	return hash;
}

static struct entry *find(const struct cache *cache, const uint8_t *key)
{
	unsigned hash = hash_of(key);
	struct entry *e;

	HASH_FIND_BYHASHVALUE(hh, cache->table, key, CACHE_KEY_LEN, hash, e);
	return e;
}

static void drop(struct cache *cache, struct entry *e)
{
	const void *value = e->value;

	HASH_DELETE(hh, cache->table, e);
	ring_remove(cache, e);
	subtract(&cache->entries, 1);
	subtract(&cache->bytes, e->cost);
	subtract(&e->group->entries, 1);
	free(e);
	cache->opts.release(value);
}

static void make_room(struct cache *cache, size_t cost)
{
	while (get(&cache->bytes) + cost > cache->opts.max_bytes) {
		drop(cache, cache->anchor.newer);
		add(&cache->evicted, 1);
	}
}

/* ---- life ---- */

static unsigned log2_of(uint64_t n)
{
	unsigned log2 = 0;

	while (n >>= 1)
		log2++;
	return log2 < LOG2_BUCKETS_MAX ? log2 : LOG2_BUCKETS_MAX;
}

int cache_create(struct cache **ret, const struct cache_opts *opts)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->opts = *opts;
	cache->log2_buckets = log2_of(opts->max_bytes / BYTES_PER_BUCKET);
	cache->anchor.newer = cache->anchor.older = &cache->anchor;
	cache->sweep = &cache->anchor;
	if (!table_add(cache, &cache->anchor, 0, 0)) {
		free(cache);
		return -ENOMEM;
	}
	cache->table->hh.tbl->noexpand = 1;
	cache->fixed_bytes = sizeof(UT_hash_bucket) << cache->log2_buckets;
	add(&cache->bytes, cache->fixed_bytes);
	*ret = cache;
	return 0;
}

void cache_destroy(struct cache *cache)
{
	if (!cache)
		return;
	cache_clear(cache);
	HASH_CLEAR(hh, cache->table);
	free(cache);
}

/* ---- look up and store ---- */

static bool is_live(const struct entry *e, int64_t now_ms)
{
	return now_ms < e->expires_ms;
}

const void *cache_get(struct cache *cache,
		      const uint8_t key[static CACHE_KEY_LEN],
		      struct cache_group *group, int64_t now_ms)
{
	struct entry *e = find(cache, key);

	if (e && !is_live(e, now_ms)) {
		drop(cache, e);
		add(&cache->expired, 1);
		e = NULL;
	}
	if (!e) {
		add(&group->misses, 1);
		return NULL;
	}
	touch(cache, e);
	add(&group->hits, 1);
	return e->value;
}

/* now_ms + ttl_ms, or the end of time. */
static int64_t expiry(int64_t now_ms, uint64_t ttl_ms)
{
	uint64_t left = (uint64_t)INT64_MAX - (uint64_t)now_ms;

	if (ttl_ms >= left)
		return INT64_MAX;
	return (int64_t)((uint64_t)now_ms + ttl_ms);
}

/* Whether an entry for a value of `size` bytes fits an empty cache. */
static bool fits(const struct cache *cache, size_t size, size_t *ret_cost)
{
	uint64_t max = cache->opts.max_bytes;
	size_t own = sizeof(struct entry) + MALLOC_OVERHEAD;

	if (max < cache->fixed_bytes + own ||
	    size > max - cache->fixed_bytes - own)
		return false;
	*ret_cost = own + size;
	return true;
}

int cache_put(struct cache *cache, const uint8_t key[static CACHE_KEY_LEN],
	      struct cache_group *group, const void *value, size_t size,
	      uint64_t ttl_ms, int64_t now_ms)
{
	struct entry *e = find(cache, key);
	int err = -EFBIG;
	size_t cost = 0;

	if (e)
		drop(cache, e);
	if (ttl_ms == 0)
		return 0;
	if (!fits(cache, size, &cost))
		goto refuse;
	err = -ENOMEM;
	e = malloc(sizeof(*e));
	if (!e)
		goto refuse;
	make_room(cache, cost);
	memcpy(e->key, key, CACHE_KEY_LEN);
	e->group = group;
	e->value = value;
	e->cost = cost;
	e->expires_ms = expiry(now_ms, ttl_ms);
	table_add(cache, e, CACHE_KEY_LEN, hash_of(key));
	ring_add(cache, e);
	cache->opts.retain(value);
	add(&cache->stores, 1);
	add(&cache->entries, 1);
	add(&cache->bytes, cost);
	add(&group->entries, 1);
	return 0;
refuse:
	add(&cache->refused, 1);
	return err;
}

/* ---- dropping ---- */

size_t cache_sweep(struct cache *cache, size_t max, int64_t now_ms)
{
	size_t dropped = 0;

	if (cache->sweep == &cache->anchor || !cache->sweep_left) {
		cache->sweep = cache->anchor.newer;
		cache->sweep_left = get(&cache->entries);
	}
	while (max && cache->sweep_left && cache->sweep != &cache->anchor) {
		struct entry *e = cache->sweep;

		cache->sweep = e->newer;
		cache->sweep_left--;
		max--;
		if (is_live(e, now_ms))
			continue;
		drop(cache, e);
		dropped++;
	}
	add(&cache->expired, dropped);
	return dropped;
}

/* Drop the entries of `group`, or all for NULL. */
static size_t drop_all(struct cache *cache, const struct cache_group *group)
{
	struct entry *e = cache->anchor.newer;
	size_t dropped = 0;

	while (e != &cache->anchor) {
		struct entry *next = e->newer;

		if (!group || e->group == group) {
			drop(cache, e);
			dropped++;
		}
		e = next;
	}
	return dropped;
}

size_t cache_clear(struct cache *cache)
{
	return drop_all(cache, NULL);
}

size_t cache_drop_group(struct cache *cache, struct cache_group *group)
{
	if (get(&group->entries) == 0)
		return 0;
	return drop_all(cache, group);
}

void cache_get_stats(const struct cache *cache, struct cache_stats *ret)
{
	ret->stores = get(&cache->stores);
	ret->evicted = get(&cache->evicted);
	ret->expired = get(&cache->expired);
	ret->refused = get(&cache->refused);
	ret->entries = get(&cache->entries);
	ret->bytes = get(&cache->bytes);
}
