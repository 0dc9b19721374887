#include "cache/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cache/clears.h"
#include "cache/counters.h"
#include "cache/shelf.h"

enum {
	KINDS = 2, /* enum cache_kind */
	/* The steps in which things are done that could take long. */
	EVICT_MAX = 512,    /* for an entry to be stored */
	EVICT_TO_GROW = 8,  /* besides, for a larger table that is overdue */
	SETTLE_PER_PUT = 2, /* twice as fast as it fills */
	CLEAR_STEP = 2048,
};

#define NO_REFRESH INT64_MIN /* no life ends then */

/* The sweep's way: through one kind after the other. */
struct sweep {
	unsigned kind;      /* KINDS: between two rounds */
	struct entry *next; /* NULL: the end of this kind */
	/* Entries in use move ahead of the sweep, so it could run for ever:
	 * those that were there when it came, and no more. */
	uint64_t left;
};

struct cache {
	struct cache_opts opts;
	struct slots slots; /* the entries of both shelves */
	uint64_t random;
	struct shelf shelves[KINDS];
	/* What every hit reads stands side by side, from the end of the one to
	 * the beginning of the last. */
	struct clears clears;
	struct sweep sweep;
	struct cache_group totals;
};

#define COUNT(cache, group, counter)                                           \
	do {                                                                   \
		add(&(cache)->totals.counter, 1);                              \
		add(&(group)->counter, 1);                                     \
	} while (0)

/* ---- life ---- */

static void bound(struct cache *cache, const struct cache_limits *limits)
{
	cache->opts.jitter_percent = limits->jitter_percent;
	if (cache->opts.jitter_percent > 100)
		cache->opts.jitter_percent = 100;
	shelf_set_bound(&cache->shelves[CACHE_ANSWER], limits->max_bytes);
	shelf_set_bound(&cache->shelves[CACHE_REFUSAL],
			limits->max_refusal_bytes);
}

int cache_create(struct cache **ret, const struct cache_opts *opts)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	struct cache_limits limits = {
		.max_bytes = opts->max_bytes,
		.max_refusal_bytes = opts->max_refusal_bytes,
		.jitter_percent = opts->jitter_percent,
	};

	if (!cache)
		return -ENOMEM;
	cache->opts = *opts;
	cache->random = opts->seed;
	bound(cache, &limits);
	cache->sweep.kind = KINDS;
	*ret = cache;
	return 0;
}

static struct shelf *shelf_of(struct cache *cache, const struct entry *e)
{
	return &cache->shelves[e->refusal ? CACHE_REFUSAL : CACHE_ANSWER];
}

/* What the bounds bound, for whoever looks at it. */
static void publish_bytes(struct cache *cache)
{
	uint64_t refusals = cache->shelves[CACHE_REFUSAL].bytes;

	set(&cache->totals.refusal_bytes, refusals);
	set(&cache->totals.bytes,
	    cache->shelves[CACHE_ANSWER].bytes + refusals);
}

static void count_entry(struct cache *cache, struct cache_group *counts,
			const struct entry *e)
{
	COUNT(cache, counts, entries);
	add(&counts->bytes, e->cost);
	if (!e->refusal)
		return;
	COUNT(cache, counts, refusals);
	add(&counts->refusal_bytes, e->cost);
}

static void discount_entry(struct cache *cache, const struct entry *e)
{
	struct cache_group *counts = e->group->counts;

	subtract(&cache->totals.entries, 1);
	subtract(&counts->entries, 1);
	subtract(&counts->bytes, e->cost);
	if (!e->refusal)
		return;
	subtract(&cache->totals.refusals, 1);
	subtract(&counts->refusals, 1);
	subtract(&counts->refusal_bytes, e->cost);
}

__attribute__((cold)) static void sweep_from_next(struct cache *cache,
						  const struct entry *e)
{
	cache->sweep.next = shelf_newer(shelf_of(cache, e), e);
}

/* The sweep must not stand on an entry that goes or moves. */
static void pass_by(struct cache *cache, const struct entry *e)
{
	if (cache->sweep.next == e)
		sweep_from_next(cache, e);
}

/* Returns whether it was counted among the entries. */
static bool drop(struct cache *cache, struct entry *e)
{
	bool counted = !entry_is_discounted(e);
	const void *value = e->value;

	if (counted)
		discount_entry(cache, e);
	pass_by(cache, e);
	shelf_remove(shelf_of(cache, e), e);
	group_release(&cache->clears, e->group);
	slots_give(&cache->slots, e);
	cache->opts.release(value);
	return counted;
}

void cache_destroy(struct cache *cache)
{
	if (!cache)
		return;
	for (int kind = 0; kind < KINDS; kind++) {
		struct shelf *shelf = &cache->shelves[kind];
		struct entry *e;

		while ((e = shelf_oldest(shelf)))
			drop(cache, e);
		shelf_clear(shelf);
	}
	slots_clear(&cache->slots);
	clears_free(&cache->clears);
	free(cache);
}

/* ---- look up ---- */

static bool is_over(const struct entry *e, int64_t now_ms)
{
	uint32_t after = e->stale_ms > e->error_ms ? e->stale_ms : e->error_ms;

	return now_ms >= e->expires_ms + after;
}

/* Drop the entry if it was cleared or if its time is over. */
static bool drop_if_gone(struct cache *cache, struct entry *e, int64_t now_ms,
			 bool *ret_counted)
{
	bool cleared = clears_concern(&cache->clears, e);

	if (!cleared && !is_over(e, now_ms))
		return false;
	if (!cleared)
		COUNT(cache, e->group->counts, expired);
	*ret_counted = drop(cache, e);
	return true;
}

__attribute__((hot)) static struct entry *find(const struct cache *cache,
					       const uint8_t *key)
{
	struct entry *e = shelf_find(&cache->shelves[CACHE_ANSWER], key);

	if (!e && cache->shelves[CACHE_REFUSAL].count)
		e = shelf_find(&cache->shelves[CACHE_REFUSAL], key);
	return e;
}

static struct entry *find_live(struct cache *cache, const uint8_t *key,
			       int64_t now_ms)
{
	struct entry *e = find(cache, key);
	bool counted;

	if (!e || !drop_if_gone(cache, e, now_ms, &counted))
		return e;
	publish_bytes(cache);
	return NULL;
}

__attribute__((hot)) static void use(struct cache *cache, struct entry *e)
{
	pass_by(cache, e);
	shelf_touch(shelf_of(cache, e), e);
}

void cache_expect(const struct cache *cache, const uint8_t *key)
{
	shelf_expect(&cache->shelves[CACHE_ANSWER], key);
}

static void count_hit(struct cache *cache, struct cache_ticket *ticket,
		      const struct entry *e)
{
	COUNT(cache, ticket->group, hits);
	if (e->refusal)
		COUNT(cache, ticket->group, refusal_hits);
}

__attribute__((hot)) bool cache_get_fresh(struct cache *cache,
					  struct cache_ticket *ticket,
					  int64_t before_ms, const void **ret)
{
	struct entry *e = find(cache, ticket->key);

	if (!e)
		return false;
	shelf_expect_touch(e);
	if (before_ms > e->expires_ms || clears_concern(&cache->clears, e))
		return false;
	ticket->generation = cache->clears.generation;
	count_hit(cache, ticket, e);
	*ret = e->value;
	use(cache, e);
	return true;
}

__attribute__((noinline)) enum cache_result cache_get(
	struct cache *cache, struct cache_ticket *ticket, int64_t now_ms,
	const void **ret)
{
	struct entry *e = find_live(cache, ticket->key, now_ms);
	enum cache_result result = CACHE_FRESH;

	ticket->generation = cache->clears.generation;
	ticket->refreshes_ms = NO_REFRESH;
	if (!e || now_ms >= e->expires_ms + e->stale_ms) {
		COUNT(cache, ticket->group, misses);
		return CACHE_MISS;
	}
	count_hit(cache, ticket, e);
	*ret = e->value;
	if (now_ms >= e->expires_ms) {
		COUNT(cache, ticket->group, stale);
		result = e->refreshing ? CACHE_STALE : CACHE_REFRESH;
		e->refreshing = true;
	}
	if (result == CACHE_REFRESH)
		ticket->refreshes_ms = e->expires_ms;
	use(cache, e);
	return result;
}

const void *cache_get_if_error(struct cache *cache,
			       const struct cache_ticket *ticket,
			       int64_t now_ms)
{
	struct entry *e = find_live(cache, ticket->key, now_ms);

	if (!e || e->refusal || now_ms >= e->expires_ms + e->error_ms)
		return NULL;
	use(cache, e);
	COUNT(cache, ticket->group, stale_if_error);
	return e->value;
}

void cache_void(struct cache_ticket *ticket)
{
	ticket->generation = TICKET_VOID;
}

bool cache_is_current(const struct cache *cache,
		      const struct cache_ticket *ticket)
{
	return !clears_void_ticket(&cache->clears, ticket);
}

/* ---- store ---- */

/* splitmix64, by Sebastiano Vigna: in the public domain. */
static uint64_t next_random(struct cache *cache)
{
	uint64_t z = cache->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* `ms` less a random part, but never nothing. */
static uint64_t jittered(struct cache *cache, uint64_t ms)
{
	uint64_t most = ms * cache->opts.jitter_percent / 100;

	if (most && most == ms)
		most--;
	return most ? ms - next_random(cache) % (most + 1) : ms;
}

static uint64_t at_most(uint64_t n, uint64_t most)
{
	return n < most ? n : most;
}

static void set_life(struct cache *cache, struct entry *e,
		     const struct cache_life *life, int64_t now_ms)
{
	uint64_t fresh = at_most(life->fresh_ms, CACHE_LIFE_MAX_MS);
	uint64_t left = CACHE_LIFE_MAX_MS - fresh;

	e->expires_ms = now_ms + (int64_t)jittered(cache, fresh) -
			(int64_t)at_most(life->age_ms, CACHE_LIFE_MAX_MS);
	if (e->refusal)
		return;
	e->stale_ms = (uint32_t)at_most(life->stale_while_revalidate_ms, left);
	e->error_ms = (uint32_t)at_most(life->stale_if_error_ms, left);
}

static bool keeps_nothing(enum cache_kind kind, const struct cache_life *life)
{
	uint64_t all = at_most(life->fresh_ms, CACHE_LIFE_MAX_MS);
	uint64_t stale = life->stale_while_revalidate_ms;

	if (stale < life->stale_if_error_ms)
		stale = life->stale_if_error_ms;
	if (kind != CACHE_REFUSAL)
		all += at_most(stale, CACHE_LIFE_MAX_MS - all);
	return all <= life->age_ms;
}

static void evict_oldest(struct cache *cache, struct shelf *shelf,
			 int64_t now_ms)
{
	struct entry *e = shelf_oldest(shelf);
	bool counted;

	if (drop_if_gone(cache, e, now_ms, &counted))
		return;
	COUNT(cache, e->group->counts, evicted);
	if (e->refusal)
		COUNT(cache, e->group->counts, refusals_evicted);
	drop(cache, e);
}

/* Whether `bytes` are free, after no more than `max` evictions. */
static bool make_room(struct cache *cache, struct shelf *shelf, uint64_t bytes,
		      unsigned max, int64_t now_ms)
{
	while (shelf->bytes + bytes > shelf->max_bytes) {
		if (!max-- || !shelf->count)
			return false;
		evict_oldest(cache, shelf, now_ms);
	}
	return true;
}

/* Make the larger table when it is time and there is room. Without it the
 * chains get longer; when they are long, room is made, little by little. */
static int grow(struct cache *cache, struct shelf *shelf, uint64_t cost,
		int64_t now_ms)
{
	unsigned evictions = shelf->crowded ? EVICT_TO_GROW : 0;
	uint64_t table = shelf_growth(shelf);
	int err = 0;

	if (table && make_room(cache, shelf, cost + table, evictions, now_ms))
		err = shelf_grow(shelf);
	shelf_settle(shelf, SETTLE_PER_PUT);
	return shelf_has_table(shelf) ? 0 : err;
}

static struct entry *entry_create(struct cache *cache,
				  const struct cache_ticket *ticket,
				  enum cache_kind kind, size_t cost)
{
	struct entry *e = slots_take(&cache->slots);

	if (!e)
		return NULL;
	memcpy(e->key, ticket->key, CACHE_KEY_LEN);
	e->client = ticket->client;
	e->username = ticket->username;
	e->alias = alias_of(ticket->alias);
	e->refusal = kind == CACHE_REFUSAL;
	e->cost = (uint32_t)cost;
	return e;
}

static void insert(struct cache *cache, struct entry *e, struct group *group)
{
	e->group = group;
	e->checked = cache->clears.generation;
	group_hold(group);
	shelf_add(shelf_of(cache, e), e);
	cache->opts.retain(e->value);
	count_entry(cache, group->counts, e);
	COUNT(cache, group->counts, stores);
}

/* Under a key that is not there. */
static int store(struct cache *cache, const struct cache_ticket *ticket,
		 enum cache_kind kind, const void *value, size_t size,
		 const struct cache_life *life, int64_t now_ms)
{
	struct shelf *shelf = &cache->shelves[kind];
	size_t cost = ENTRY_COST + size;
	struct group *group;
	struct entry *e;
	int err = -ENOMEM;

	if (size > UINT32_MAX - ENTRY_COST || !shelf_may_hold(shelf, cost))
		return -EFBIG;
	e = entry_create(cache, ticket, kind, cost);
	if (!e)
		return -ENOMEM;
	group = clears_group(&cache->clears, ticket->group);
	if (!group)
		goto fail;
	err = grow(cache, shelf, cost, now_ms);
	if (err)
		goto fail;
	err = -ENOSPC;
	if (!make_room(cache, shelf, cost, EVICT_MAX, now_ms))
		goto fail;
	e->value = value;
	set_life(cache, e, life, now_ms);
	insert(cache, e, group);
	return 0;
fail:
	slots_give(&cache->slots, e);
	return err;
}

int cache_put(struct cache *cache, const struct cache_ticket *ticket,
	      enum cache_kind kind, const void *value, size_t size,
	      const struct cache_life *life, int64_t now_ms)
{
	struct entry *e = find(cache, ticket->key);
	int err = 0;

	if (clears_void_ticket(&cache->clears, ticket)) {
		COUNT(cache, ticket->group, late);
		cache_refresh_over(cache, ticket);
		return -ESTALE;
	}
	if (e)
		drop(cache, e);
	if (!keeps_nothing(kind, life))
		err = store(cache, ticket, kind, value, size, life, now_ms);
	if (err)
		COUNT(cache, ticket->group, rejected);
	publish_bytes(cache);
	return err;
}

void cache_remove(struct cache *cache, const struct cache_ticket *ticket)
{
	struct entry *e = find(cache, ticket->key);

	if (!e)
		return;
	drop(cache, e);
	publish_bytes(cache);
}

/* Nobody else refreshes what one is refreshing: the end of its life tells it
 * from what may have come in its place. */
static bool is_of(const struct cache_ticket *ticket, const struct entry *e)
{
	return e && e->refreshing && e->expires_ms == ticket->refreshes_ms;
}

void cache_refresh_over(struct cache *cache, const struct cache_ticket *ticket)
{
	struct entry *e = find(cache, ticket->key);

	if (is_of(ticket, e))
		e->refreshing = false;
}

void cache_refresh_failed(struct cache *cache,
			  const struct cache_ticket *ticket, int64_t now_ms)
{
	struct entry *e = find_live(cache, ticket->key, now_ms);

	if (!is_of(ticket, e))
		return;
	e->refreshing = false;
	e->stale_ms = 0;
	if (now_ms >= e->expires_ms + e->error_ms)
		cache_remove(cache, ticket);
}

/* ---- sweep ---- */

static void sweep_kind(struct cache *cache, unsigned kind)
{
	struct sweep *sweep = &cache->sweep;

	sweep->kind = kind;
	sweep->next = NULL;
	if (kind == KINDS)
		return;
	sweep->next = shelf_oldest(&cache->shelves[kind]);
	sweep->left = cache->shelves[kind].count;
}

/* Returns how many of the counted entries went. */
static size_t sweep_on(struct cache *cache, size_t max, int64_t now_ms)
{
	struct sweep *sweep = &cache->sweep;
	size_t dropped = 0;

	if (sweep->kind == KINDS) {
		clears_round_begins(&cache->clears);
		sweep_kind(cache, 0);
	}
	while (sweep->kind != KINDS) {
		struct shelf *shelf = &cache->shelves[sweep->kind];
		struct entry *e = sweep->next;
		bool counted = false;

		if (!e || !sweep->left) {
			sweep_kind(cache, sweep->kind + 1);
			continue;
		}
		if (!max--)
			break;
		sweep->next = shelf_newer(shelf, e);
		sweep->left--;
		if (drop_if_gone(cache, e, now_ms, &counted) && counted)
			dropped++;
		shelf_settle(shelf, 1);
	}
	if (sweep->kind == KINDS)
		clears_round_ends(&cache->clears);
	publish_bytes(cache);
	return dropped;
}

/* Returns how many of the counted entries went. */
static size_t shrink(struct cache *cache, struct shelf *shelf, size_t max,
		     int64_t now_ms)
{
	uint64_t before = get(&cache->totals.entries);

	while (shelf_is_over(shelf) && shelf->count && max--)
		evict_oldest(cache, shelf, now_ms);
	if (shelf_is_over(shelf) && !shelf->count)
		shelf_clear(shelf);
	return before - get(&cache->totals.entries);
}

size_t cache_sweep(struct cache *cache, size_t max, int64_t now_ms)
{
	size_t dropped = 0;

	for (int kind = 0; kind < KINDS; kind++)
		dropped += shrink(cache, &cache->shelves[kind], max, now_ms);
	return dropped + sweep_on(cache, max, now_ms);
}

void cache_set_limits(struct cache *cache, const struct cache_limits *limits)
{
	bound(cache, limits);
}

/* ---- clear ---- */

/* How many entries a clear looks at. When the sweep has not kept up: so many
 * that it will have been twice round, which is what a mark needs, before the
 * other half of the marks is used up. */
static size_t clear_step(const struct cache *cache)
{
	uint64_t n = cache->shelves[CACHE_ANSWER].count +
		     cache->shelves[CACHE_REFUSAL].count;

	if (clears_waiting(&cache->clears) <= MARKS_MAX / 2)
		return CLEAR_STEP;
	n = n * 4 / MARKS_MAX + 1;
	return n < CLEAR_STEP ? CLEAR_STEP : (size_t)n;
}

static size_t clear_marked(struct cache *cache,
			   const struct cache_filter *filter)
{
	size_t step = clear_step(cache), dropped = 0;

	if (!clears_waiting(&cache->clears))
		sweep_kind(cache, KINDS); /* from the start, once is enough */
	while (!clears_mark(&cache->clears, filter))
		dropped += sweep_on(cache, step, INT64_MIN);
	return dropped + sweep_on(cache, step, INT64_MIN);
}

size_t cache_clear(struct cache *cache, const struct cache_filter *filter)
{
	static const struct cache_filter everything;

	if (!filter)
		filter = &everything;
	if (filter->client || filter->username)
		return clear_marked(cache, filter);
	return (size_t)clears_groups(&cache->clears, filter, &cache->totals);
}

bool cache_is_clearing(const struct cache *cache)
{
	return clears_waiting(&cache->clears) > 0 ||
	       shelf_is_over(&cache->shelves[CACHE_ANSWER]) ||
	       shelf_is_over(&cache->shelves[CACHE_REFUSAL]);
}

size_t cache_drop_group(struct cache *cache, struct cache_group *group)
{
	return (size_t)clears_drop(&cache->clears, group, &cache->totals);
}

void cache_new_generation(struct cache *cache)
{
	cache->clears.voided = ++cache->clears.generation;
}

/* ---- statistics ---- */

const struct cache_group *cache_totals(const struct cache *cache)
{
	return &cache->totals;
}
