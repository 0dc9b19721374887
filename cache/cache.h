/*
 * cache.h - answers of endpoints, kept for as long as the endpoint said.
 *
 * Two budgets in bytes, one for answers and one for refusals, so that a flood
 * of the one never evicts the other. What was used longest ago makes room.
 * Values are the caller's, shared by reference: the cache calls `retain` when
 * it stores one and `release` when it drops it. Neither may call the cache.
 *
 * An entry passes through phases: fresh; then stale but served while somebody
 * refreshes it (RFC 5861 section 3); then, or at the same time, kept only for
 * when the endpoint fails (RFC 5861 section 4); then gone. Time is the
 * `now_ms` of the caller, a monotonic clock's, so a test turns it by hand.
 *
 * What was cleared is never served again from the moment the call returns,
 * but its memory comes free in steps: no call holds its thread for longer
 * than some hundred entries take, but for cache_clear() by tag (see there)
 * and cache_destroy().
 *
 * One thread owns a cache: nothing here locks. Never logs. Counters are
 * relaxed atomics, which that thread alone writes and any may read.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_KEY_LEN 16
/* Nothing is kept longer, stale phases included. */
#define CACHE_LIFE_MAX_MS ((uint64_t)30 * 24 * 3600 * 1000)
/* What an entry takes beyond its key and its value: record, allocation and its
 * part of the table. At most this much from a few dozen entries on: the first
 * table has 32 buckets; tables grow with the entries and do not shrink. */
#define CACHE_BOOKKEEPING_MAX 160

struct cache;

struct cache_opts {
	/* Keys, values, bookkeeping and tables of answers, and the same of
	 * refusals: two bounds that add up. 0: none are kept. */
	uint64_t max_bytes, max_refusal_bytes;
	/* Each life is shortened by a random part of up to so many hundredths
	 * of its fresh phase, so that what was stored together does not end
	 * together. 0 to 100. */
	unsigned jitter_percent;
	uint64_t seed; /* of that randomness; no secret */
	void (*retain)(const void *value);
	void (*release)(const void *value);
};

/*
 * Entries that are counted together and cleared together, and what is
 * counted. The caller's memory: zeroed before first use, and not freed before
 * cache_drop_group() or cache_destroy() has returned, nor while a ticket that
 * is still to be used names it.
 */
struct cache_group {
	/* What cache_clear() selects by. Any numbers but 0; constant once the
	 * group is in use. */
	uint64_t hook, endpoint;
	/* Since first use. Each cache_get() is a hit or a miss. */
	_Atomic uint64_t hits, misses;
	/* At present. An entry that only a failure of the endpoint could still
	 * bring forth counts, one that was cleared does not: see
	 * cache_clear(). `refusals` are among the `entries`, their bytes among
	 * the `bytes`. */
	_Atomic uint64_t entries, bytes, refusals, refusal_bytes;
	/* Since first use. */
	_Atomic uint64_t refusal_hits;   /* of the hits */
	_Atomic uint64_t stale;          /* of the hits: past their life */
	_Atomic uint64_t stale_if_error; /* of cache_get_if_error() */
	_Atomic uint64_t stores;
	/* Ended by want of room; by time. What is replaced, removed, cleared
	 * or dropped is neither. */
	_Atomic uint64_t evicted, refusals_evicted, expired;
	_Atomic uint64_t rejected; /* not stored: no memory, no room */
	_Atomic uint64_t late;     /* not stored: cleared since asked */
	/* Private. */
	struct group *record;
	bool dropped;
};

/* How long an answer may be used, in ms. The stale phases both begin when the
 * fresh one ends. */
struct cache_life {
	uint64_t fresh_ms;
	uint64_t stale_while_revalidate_ms; /* RFC 5861 section 3 */
	uint64_t stale_if_error_ms;         /* RFC 5861 section 4 */
	uint64_t age_ms; /* so much of all that is over when it is stored */
};

/* One question, from its look-up to its answer. Plain data: copy it, forget
 * it. */
struct cache_ticket {
	/* A keyed digest of everything that makes the answer: its first bytes
	 * serve as hash value. */
	uint8_t key[CACHE_KEY_LEN];
	struct cache_group *group;
	/* Who asks, for cache_clear(): keyed digests, 0: nobody known. 32 bits
	 * do, as they only select what is cleared: two names that share a
	 * digest are cleared together, which costs a call. */
	uint32_t client, username;
	/* Who that is by the answer, where it says so: to be set before
	 * cache_put(). Clearing `client` clears this, too. */
	uint32_t alias;
	/* Set by cache_get(): when that was, and of a CACHE_REFRESH the end of
	 * the life that is to be renewed. */
	uint64_t generation;
	int64_t refreshes_ms;
};

/* What to clear: whatever agrees in every tag that is not 0. */
struct cache_filter {
	uint64_t hook, endpoint; /* of the group */
	uint32_t client, username;
};

/* Bounds and jitter, as in struct cache_opts. */
struct cache_limits {
	uint64_t max_bytes, max_refusal_bytes;
	unsigned jitter_percent;
};

/* Returns 0 and sets `*ret`, or -ENOMEM and leaves `*ret` alone. */
int cache_create(struct cache **ret, const struct cache_opts *opts);

/* Releases every value and walks through all of them; `entries` of each group
 * is 0 afterwards. NULL is fine. */
void cache_destroy(struct cache *cache);

/*
 * Bound it anew. A higher bound holds at once, and so does the jitter, for
 * what is stored from now on. What is beyond a lower one goes in the steps of
 * cache_sweep(), what was used longest ago first; until then little or nothing
 * is stored, and cache_is_clearing() tells. Tables do not shrink: where they
 * would take more than half of the new bound that part of the cache is
 * emptied, and begins with a small one.
 */
void cache_set_limits(struct cache *cache, const struct cache_limits *limits);

/* ---- look up ---- */

enum cache_result {
	CACHE_MISS = 0, /* ask */
	CACHE_FRESH,
	CACHE_STALE,   /* past its life, and being refreshed */
	CACHE_REFRESH, /* past its life, and for you to refresh */
};

/* A cache_get() of this key follows as soon as something else is done: what it
 * reads first is on its way from memory meanwhile. Changes nothing. */
void cache_expect(const struct cache *cache, const uint8_t *key);

/*
 * Look up `ticket->key`, mark the entry as recently used, and set
 * `ticket->generation`: the answer to a question asked now is stored with
 * this ticket. Counts a hit or a miss in the ticket's group.
 * Sets `*ret`, valid until the next cache_*() call unless the caller retains
 * it, but for a CACHE_MISS. CACHE_REFRESH is told to one caller only: it asks
 * the endpoint, and ends the refresh by cache_put() or cache_remove() with
 * this ticket; until then the others get CACHE_STALE. An entry whose refresh
 * never ends is served until its stale phase is over.
 */
enum cache_result cache_get(struct cache *cache, struct cache_ticket *ticket,
			    int64_t now_ms, const void **ret);

/*
 * The same for a caller who only knows that it is not yet `before_ms`. Returns
 * whether there is an entry that is fresh whenever that is: a CACHE_FRESH, in
 * every respect. If not, nothing has happened, and cache_get() has to tell.
 */
bool cache_get_fresh(struct cache *cache, struct cache_ticket *ticket,
		     int64_t before_ms, const void **ret);

/*
 * After the endpoint gave no answer at all: what is kept for that case. Not a
 * look-up: counts `stale_if_error`, neither hit nor miss. What a clear, a
 * refresh or cache_remove() took away is not brought back; refusals are never
 * kept for this.
 * Returns the value as cache_get() does, or NULL.
 */
const void *cache_get_if_error(struct cache *cache,
			       const struct cache_ticket *ticket,
			       int64_t now_ms);

/* Make the ticket void, as if all had been cleared since. */
void cache_void(struct cache_ticket *ticket);

/* Whether nothing was cleared since cache_get() that concerns the ticket. An
 * answer whose ticket is void is neither stored nor shared. */
bool cache_is_current(const struct cache *cache,
		      const struct cache_ticket *ticket);

/* ---- store ---- */

enum cache_kind {
	CACHE_ANSWER = 0,
	CACHE_REFUSAL, /* in the budget of refusals, and never stale */
};

/*
 * Store `value`, of `size` bytes with all it holds, for the question of
 * `ticket`, replacing what is there; what was used longest ago makes room,
 * at most some hundred entries. Lives beyond CACHE_LIFE_MAX_MS are cut. A
 * life of nothing, or one that is over, stores nothing and removes what is
 * there: so does an answer that may not be kept.
 * Returns 0; -ESTALE when the ticket is void: then nothing is changed but for
 * cache_refresh_over(); or -ENOMEM, -EFBIG for an entry larger than its budget,
 * -ENOSPC when that many entries were too small to make room: the old entry is
 * gone, so an outdated value is never served.
 */
int cache_put(struct cache *cache, const struct cache_ticket *ticket,
	      enum cache_kind kind, const void *value, size_t size,
	      const struct cache_life *life, int64_t now_ms);

/* The endpoint has said something else, or a refresh ended in anything but
 * ok: what is kept under the ticket's key goes, even if the ticket is void. */
void cache_remove(struct cache *cache, const struct cache_ticket *ticket);

/* A refresh ended, and nothing came of it: what it was to refresh whoever asks
 * next may. Changes nothing for a ticket of no refresh, or when another answer
 * has come meanwhile. */
void cache_refresh_over(struct cache *cache, const struct cache_ticket *ticket);

/* The same for one that got no answer at all: besides, what is kept for
 * failures is from now on kept for them alone; otherwise the entry goes. */
void cache_refresh_failed(struct cache *cache,
			  const struct cache_ticket *ticket, int64_t now_ms);

/* ---- clear ---- */

/*
 * Clear what `filter` selects; NULL or all 0: everything. It is not served
 * again, and answers to questions asked before are not stored.
 * Everything, by hook and by endpoint: done at once, `entries` and all, in as
 * many steps as there are groups. By client and username: the entries have to
 * be found. Each call looks at 2048 of them, or, when more than 256 such clears
 * wait for the sweep, at a 128th of all; until cache_sweep() has looked at the
 * others they count as `entries`, though nobody gets them.
 * cache_is_clearing() tells.
 * Returns how many entries went so far.
 */
size_t cache_clear(struct cache *cache, const struct cache_filter *filter);

/* Whether there may be cleared entries that are still counted, or any beyond a
 * bound that was lowered. */
bool cache_is_clearing(const struct cache *cache);

/* Clear a group for good: from now on its memory is the caller's again, and
 * until it is zeroed nothing is found or stored under it. At once, whatever
 * it holds. Returns how many entries went. */
size_t cache_drop_group(struct cache *cache, struct cache_group *group);

/* All tickets are void: answers to what was asked before are not stored. For
 * a change of settings. Entries stay. */
void cache_new_generation(struct cache *cache);

/* Look at the next `max` entries, beginning with the ones used longest ago,
 * and drop those that are over or cleared; each call goes on where the last
 * one stopped, and not longer than once round. Before that, up to `max` entries
 * beyond a lowered bound go. Call it now and then, and more often while
 * cache_is_clearing(). Returns how many of the `entries` went. */
size_t cache_sweep(struct cache *cache, size_t max, int64_t now_ms);

/* ---- statistics ---- */

/* The sums over all groups, dropped ones included, as long as the cache.
 * Here `bytes` and `refusal_bytes` are all that is held, tables and what
 * waits to come free included: these are what the bounds bound. Any thread;
 * each number is exact, the set of them is not a snapshot. */
const struct cache_group *cache_totals(const struct cache *cache);

#endif /* CACHE_CACHE_H */
