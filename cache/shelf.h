/*
 * shelf.h - the entries of one budget, found by key and in order of use.
 * Private to cache/.
 *
 * A uthash table whose own list is the order of use. uthash doubles a table in
 * place, which at 10^6 entries was seen to hold one insert for 32 ms;
 * therefore ours never expands. When one gets crowded a second, larger one is
 * made, and the entries move over a few at a time: the newest first, to the
 * old end of the new list, so that the order of use is the one list followed
 * by the other at any time.
 */
#ifndef CACHE_SHELF_H
#define CACHE_SHELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cache/cache.h"
#include "cache/slots.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct group;

/* One of slots.h. The first line of the processor's caches is what a look-up
 * of another entry in the same bucket reads, and a neighbour's move. */
struct entry {
	UT_hash_handle hh;
	uint8_t key[CACHE_KEY_LEN];
	int64_t expires_ms;          /* the end of the fresh phase */
	uint32_t stale_ms, error_ms; /* each from there on */
	uint64_t checked; /* what was cleared up to this generation spared it */
	const void *value;
	struct group *group;
	uint32_t client, username;
	uint32_t cost; /* of the budget, all in all */
	bool refusal, refreshing;
	uint16_t alias; /* alias_of() */
};

/* As much of an alias as there is room for: a name that has the same is
 * cleared with it. 0: none. */
static inline uint16_t alias_of(uint32_t tag)
{
	return tag && !(uint16_t)tag ? 1 : (uint16_t)tag;
}

enum {
	ENTRY_COST = SLOT_SIZE,
	/* An entry's part of the tables, at worst: a table with twice as many
	 * buckets is made when there are 9 entries for 8 buckets, and for a
	 * while there are both. */
	BUCKETS_COST_MAX = sizeof(UT_hash_bucket) * 3 * 8 / 9,
};

_Static_assert(sizeof(struct entry) <= SLOT_SIZE, "");
_Static_assert(ENTRY_COST - CACHE_KEY_LEN + BUCKETS_COST_MAX <
		       CACHE_BOOKKEEPING_MAX,
	       "");

struct shelf_table {
	struct entry *head;  /* the anchor, or NULL: no table */
	struct entry anchor; /* before the oldest; keeps the table alive */
	uint64_t bytes;
};

/* Zeroed with a bound it is an empty one. */
struct shelf {
	unsigned current; /* the other one is being emptied */
	bool crowded;     /* until the next table, which is worth entries */
	bool emptying;    /* for its tables: too large for the bound */
	uint64_t count;   /* of entries */
	uint64_t bytes, max_bytes; /* of entries and tables */
	struct shelf_table tables[2];
};

/* A shelf_find() of this key follows soon: fetch what it reads first. */
void shelf_expect(const struct shelf *shelf, const uint8_t *key);

/* NULL when it is not there. */
struct entry *shelf_find(const struct shelf *shelf, const uint8_t *key);

/* The entry used longest ago, and the one used next after `e`; or NULL. */
struct entry *shelf_oldest(const struct shelf *shelf);
struct entry *shelf_newer(const struct shelf *shelf, const struct entry *e);

/* A shelf_touch() of `e` follows: fetch what it writes to. */
static inline void shelf_expect_touch(const struct entry *e)
{
	__builtin_prefetch(e->hh.prev, 1);
	__builtin_prefetch(e->hh.next, 1);
}

/* Make `e` the newest. */
void shelf_touch(struct shelf *shelf, struct entry *e);

/* Bound it anew; nothing goes by that. */
void shelf_set_bound(struct shelf *shelf, uint64_t max_bytes);

/* Whether an entry has to go, or the tables once it is empty, for the sake of
 * the bound alone. */
bool shelf_is_over(const struct shelf *shelf);

/* Whether an entry of `cost` bytes is within the bound, when all others
 * go. */
bool shelf_may_hold(const struct shelf *shelf, uint64_t cost);

/* The bytes of the table that it is time to make; 0: none. */
uint64_t shelf_growth(const struct shelf *shelf);

/* Make that table. Returns 0 or -ENOMEM, when all stays as it is. */
int shelf_grow(struct shelf *shelf);

/* Whether there is any table: without it nothing can be added. */
bool shelf_has_table(const struct shelf *shelf);

/* Move up to `max` entries over to the current table. */
void shelf_settle(struct shelf *shelf, size_t max);

/* Add an entry as the newest, or take one out: `cost` is counted, nothing is
 * freed. There is a table, and the key is not in it. */
void shelf_add(struct shelf *shelf, struct entry *e);
void shelf_remove(struct shelf *shelf, struct entry *e);

/* Free the tables of an empty shelf. */
void shelf_clear(struct shelf *shelf);

#endif /* CACHE_SHELF_H */
