/*
 * cache.h - a byte-bounded cache of shared values with a time to live.
 *
 * Eviction is least recently used, by bytes; expiry is by the `now_ms` the
 * caller passes in, so a test turns the clock by hand. Values are the
 * caller's, shared by reference: the cache calls `retain` when it stores one
 * and `release` when it drops it. Neither may call the cache.
 *
 * One thread owns a cache: nothing here locks. Never logs. Counters are
 * relaxed atomics, so that other threads may read them.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#define CACHE_KEY_LEN 16

struct cache;

struct cache_opts {
	uint64_t max_bytes; /* keys, values and bookkeeping; 0: no caching */
	void (*retain)(const void *value);
	void (*release)(const void *value);
};

/* Counts of one group of entries, owned by the caller, who calls
 * cache_drop_group() before freeing it. Zero it before first use. Any thread
 * may set `hits` and `misses` back to 0. */
struct cache_group {
	_Atomic uint64_t entries, hits, misses;
};

struct cache_stats {
	/* Since cache_create(). An entry that is replaced, cleared or dropped
	 * with its group is neither evicted nor expired. */
	uint64_t stores, evicted, expired, refused;
	/* At present. The table is made whole at the start, at about a
	 * thirtieth of max_bytes, and counts: `bytes` is never 0. */
	uint64_t entries, bytes;
};

/* Returns 0 and sets `*ret`, or -ENOMEM and leaves `*ret` alone. */
int cache_create(struct cache **ret, const struct cache_opts *opts);

/* Releases every value; `entries` of each group is 0 afterwards. NULL is
 * fine. */
void cache_destroy(struct cache *cache);

/*
 * Look up a key and mark it as recently used; counts a hit or a miss in
 * `group`. An entry is live while now_ms < the time stored + its ttl.
 * Keys are keyed digests: their first bytes serve as hash value.
 * Returns the value, valid until the next cache_*() call unless the caller
 * retains it; or NULL when absent or expired (an expired entry is dropped).
 */
const void *cache_get(struct cache *cache,
		      const uint8_t key[static CACHE_KEY_LEN],
		      struct cache_group *group, int64_t now_ms);

/*
 * Store `value`, of `size` bytes with all it holds, replacing what is there;
 * the least recently used entries make room. A ttl of 0 stores nothing, one
 * that exceeds the clock's range lasts for ever.
 * Returns 0; or -ENOMEM, or -EFBIG for an entry larger than the cache: both
 * count as refused. On failure the old entry is gone, so a stale value is
 * never served.
 */
int cache_put(struct cache *cache, const uint8_t key[static CACHE_KEY_LEN],
	      struct cache_group *group, const void *value, size_t size,
	      uint64_t ttl_ms, int64_t now_ms);

/* Look at the next `max` entries, beginning with the least recently used,
 * and drop the expired ones; each call goes on where the last one stopped,
 * and not longer than once round. Call it now and then. Returns how many
 * went. */
size_t cache_sweep(struct cache *cache, size_t max, int64_t now_ms);

/* Drop every entry, or those of one group: both walk through all of them.
 * Returns how many went. */
size_t cache_clear(struct cache *cache);
size_t cache_drop_group(struct cache *cache, struct cache_group *group);

/* Any thread. Each number is exact, the set of them is not a snapshot. */
void cache_get_stats(const struct cache *cache, struct cache_stats *ret);

#endif /* CACHE_CACHE_H */
