#include "cache/shelf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#undef uthash_malloc
#undef uthash_free
#undef uthash_bzero
#define uthash_malloc(size)    zeroed_alloc(size)
#define uthash_free(at, size)  zeroed_free(at, size)
#define uthash_bzero(at, size) ((void)0)

/* uthash has no option for a table's size, so its initial one becomes an
 * expression, evaluated in table_make(). */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS      (1U << bits)
#define HASH_INITIAL_NUM_BUCKETS_LOG2 (bits)

enum {
	BITS_MIN = 5,
	BITS_MAX = 28,
	CROWD = 3, /* entries to a bucket */
	LARGE = 64 * 1024,
};

/* ---- memory of tables ---- */

/* Large ones come from the kernel: their pages are zeroed when they are used,
 * not all by the insert that makes the table, and none is the one whose
 * free() makes the allocator tidy up. */
static void *zeroed_alloc(size_t size)
{
	void *at;

	if (size < LARGE)
		return calloc(1, size);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	/* what is looked for is anywhere in it: fewer pages, fewer misses */
	(void)madvise(at, size, MADV_HUGEPAGE);
	return at;
}

static void zeroed_free(void *at, size_t size)
{
	if (size < LARGE)
		free(at);
	else
		munmap(at, size);
}

/* ---- one table ---- */

static uint64_t table_bytes(unsigned bits)
{
	return ((uint64_t)sizeof(UT_hash_bucket) << bits) +
	       sizeof(UT_hash_table) + 2 * sizeof(size_t);
}

/* Fails for the first element only, which makes the table. */
static void table_add(struct shelf_table *t, struct entry *e, unsigned keylen,
		      unsigned bits)
{
	unsigned hash;

	memcpy(&hash, e->key, sizeof(hash));
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, t->head, e->key, keylen, hash, e);
}

/* The anchor's key has another length than the real ones: nobody finds it. */
static bool table_make(struct shelf_table *t, unsigned bits)
{
	table_add(t, &t->anchor, 0, bits);
	if (!t->head)
		return false;
	t->head->hh.tbl->noexpand = 1;
	t->bytes = table_bytes(bits);
	return true;
}

/* Empty but for the anchor, with which uthash lets go of the table. */
static void table_free(struct shelf_table *t)
{
	HASH_DELETE(hh, t->head, &t->anchor);
	t->bytes = 0;
}

__attribute__((hot)) static struct entry *table_find(
	const struct shelf_table *t, const uint8_t *key)
{
	struct entry *e;
	unsigned hash;

	memcpy(&hash, key, sizeof(hash));
	HASH_FIND_BYHASHVALUE(hh, t->head, key, CACHE_KEY_LEN, hash, e);
	return e;
}

/* The first of two accesses to memory, each by what the last one found. */
static void table_expect(const struct shelf_table *t, const uint8_t *key)
{
	const UT_hash_table *tbl;
	unsigned hash;

	if (!t->head)
		return;
	tbl = t->head->hh.tbl;
	memcpy(&hash, key, sizeof(hash));
	__builtin_prefetch(&tbl->buckets[hash & (tbl->num_buckets - 1)]);
}

static struct entry *table_oldest(const struct shelf_table *t)
{
	return t->head ? t->anchor.hh.next : NULL;
}

/* ---- a table's list ---- */

static void list_remove(struct shelf_table *t, struct entry *e)
{
	struct entry *prev = e->hh.prev, *next = e->hh.next;

	prev->hh.next = next;
	if (next)
		next->hh.prev = prev;
	else
		t->head->hh.tbl->tail = &prev->hh;
}

static void list_prepend(struct shelf_table *t, struct entry *e)
{
	struct entry *next = t->anchor.hh.next;

	e->hh.prev = &t->anchor;
	e->hh.next = next;
	t->anchor.hh.next = e;
	if (next)
		next->hh.prev = e;
	else
		t->head->hh.tbl->tail = &e->hh;
}

/* ---- both ---- */

static struct shelf_table *current(struct shelf *shelf)
{
	return &shelf->tables[shelf->current];
}

static struct shelf_table *former(struct shelf *shelf)
{
	return &shelf->tables[!shelf->current];
}

static struct shelf_table *table_of(struct shelf *shelf, const struct entry *e)
{
	struct shelf_table *t = current(shelf);

	return e->hh.tbl == t->anchor.hh.tbl ? t : former(shelf);
}

__attribute__((hot)) void shelf_expect(const struct shelf *shelf,
				       const uint8_t *key)
{
	table_expect(&shelf->tables[shelf->current], key);
}

__attribute__((hot)) struct entry *shelf_find(const struct shelf *shelf,
					      const uint8_t *key)
{
	struct entry *e = table_find(&shelf->tables[shelf->current], key);

	return e ? e : table_find(&shelf->tables[!shelf->current], key);
}

struct entry *shelf_oldest(const struct shelf *shelf)
{
	struct entry *e = table_oldest(&shelf->tables[!shelf->current]);

	return e ? e : table_oldest(&shelf->tables[shelf->current]);
}

struct entry *shelf_newer(const struct shelf *shelf, const struct entry *e)
{
	const struct shelf_table *t = &shelf->tables[shelf->current];

	if (e->hh.next || e->hh.tbl == t->anchor.hh.tbl)
		return e->hh.next;
	return table_oldest(t);
}

/* From the former table. */
__attribute__((cold)) static void move_over(struct shelf *shelf,
					    struct entry *e)
{
	HASH_DELETE(hh, former(shelf)->head, e);
	table_add(current(shelf), e, CACHE_KEY_LEN, 0);
}

__attribute__((hot)) void shelf_touch(struct shelf *shelf, struct entry *e)
{
	struct shelf_table *t = table_of(shelf, e);

	if (t != current(shelf)) {
		move_over(shelf, e);
	} else if (e->hh.next) {
		list_remove(t, e);
		HASH_APPEND_LIST(hh, t->head, e);
	}
}

void shelf_add(struct shelf *shelf, struct entry *e)
{
	struct shelf_table *t = current(shelf);

	table_add(t, e, CACHE_KEY_LEN, 0);
	if (t->head->hh.tbl->num_items / CROWD > t->head->hh.tbl->num_buckets)
		shelf->crowded = true;
	shelf->count++;
	shelf->bytes += e->cost;
}

void shelf_remove(struct shelf *shelf, struct entry *e)
{
	struct shelf_table *t = table_of(shelf, e);

	HASH_DELETE(hh, t->head, e);
	shelf->count--;
	shelf->bytes -= e->cost;
}

/* ---- growth ---- */

bool shelf_may_hold(const struct shelf *shelf, uint64_t cost)
{
	uint64_t fixed = shelf->tables[0].bytes + shelf->tables[1].bytes;

	if (!fixed)
		fixed = table_bytes(BITS_MIN);
	return fixed <= shelf->max_bytes && cost <= shelf->max_bytes - fixed;
}

/* Of the table that it is time to make; 0: none. */
static unsigned bits_due(const struct shelf *shelf)
{
	const struct shelf_table *t = &shelf->tables[shelf->current];
	const UT_hash_table *tbl;

	if (!t->head)
		return BITS_MIN;
	tbl = t->head->hh.tbl;
	if (shelf->tables[!shelf->current].head ||
	    tbl->log2_num_buckets == BITS_MAX ||
	    shelf->count < (uint64_t)tbl->num_buckets * 9 / 8)
		return 0;
	return tbl->log2_num_buckets + 1;
}

uint64_t shelf_growth(const struct shelf *shelf)
{
	unsigned bits = bits_due(shelf);

	return bits ? table_bytes(bits) : 0;
}

int shelf_grow(struct shelf *shelf)
{
	unsigned bits = bits_due(shelf);

	if (!bits)
		return 0;
	if (!current(shelf)->head) {
		if (!table_make(current(shelf), bits))
			return -ENOMEM;
	} else {
		if (!table_make(former(shelf), bits))
			return -ENOMEM;
		shelf->current = !shelf->current;
	}
	shelf->crowded = false;
	shelf->bytes += current(shelf)->bytes;
	return 0;
}

bool shelf_has_table(const struct shelf *shelf)
{
	return shelf->tables[shelf->current].head;
}

void shelf_settle(struct shelf *shelf, size_t max)
{
	struct shelf_table *from = former(shelf), *to = current(shelf);

	for (; from->head && max; max--) {
		struct entry *e = ELMT_FROM_HH(from->head->hh.tbl,
					       from->head->hh.tbl->tail);

		if (e == &from->anchor) {
			shelf->bytes -= from->bytes;
			table_free(from);
			return;
		}
		HASH_DELETE(hh, from->head, e);
		table_add(to, e, CACHE_KEY_LEN, 0);
		list_remove(to, e);
		list_prepend(to, e);
	}
}

/* Little would be left for entries. */
static bool tables_are_too_large(const struct shelf *shelf)
{
	uint64_t bytes = shelf->tables[0].bytes + shelf->tables[1].bytes;

	return bytes > shelf->max_bytes / 2 && bytes > table_bytes(BITS_MIN);
}

void shelf_set_bound(struct shelf *shelf, uint64_t max_bytes)
{
	bool lower = max_bytes < shelf->max_bytes;

	shelf->max_bytes = max_bytes;
	if (lower)
		shelf->emptying = tables_are_too_large(shelf);
	else if (!tables_are_too_large(shelf))
		shelf->emptying = false;
}

bool shelf_is_over(const struct shelf *shelf)
{
	return shelf->emptying || shelf->bytes > shelf->max_bytes;
}

void shelf_clear(struct shelf *shelf)
{
	shelf->emptying = false;
	shelf->crowded = false;
	shelf->current = 0;
	for (int i = 0; i < 2; i++) {
		if (!shelf->tables[i].head)
			continue;
		shelf->bytes -= shelf->tables[i].bytes;
		table_free(&shelf->tables[i]);
	}
}
