/*
 * clears.h - what was cleared, and whom that concerns. Private to cache/.
 *
 * Every clear has a generation of its own, and so has the moment in which a
 * question was asked or an entry last looked at. By hook and endpoint a clear
 * is a number in the group's record, to compare with; by client and username
 * it is a mark, kept until the sweep has been once round, and longer, while
 * there is room, for the tickets of questions under way.
 */
#ifndef CACHE_CLEARS_H
#define CACHE_CLEARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cache/cache.h"
#include "cache/shelf.h"

enum {
	MARKS_MAX = 512
};

/* The cache's own record of a group, so that entries outlive the caller's. It
 * is freed with the last entry of a group that was dropped; not counted as
 * bytes, since there are no more of them than webhooks, and entries. */
struct group {
	struct group *prev, *next;
	struct cache_group *counts; /* NULL: dropped */
	uint64_t hook, endpoint;
	uint64_t cleared; /* entries checked before are void, and discounted */
	uint64_t held;    /* entries, void or not */
};

/* The generation of a ticket that is void from the beginning. */
#define TICKET_VOID UINT64_MAX

struct mark {
	uint64_t generation;
	uint64_t round; /* of the sweep, when made: done with a later one */
	struct cache_filter filter;
};

/* Zeroed it is one that nothing was cleared in. */
struct clears {
	uint64_t voided;         /* older tickets are void, all of them */
	uint64_t groups_cleared; /* those of groups without a record, too */
	uint64_t round;          /* of the sweep: rounds begun */
	struct group *groups;
	/* A ring in order of generation; the first `done` of them concern
	 * tickets only. */
	struct mark marks[MARKS_MAX];
	size_t first, count, done;
	uint64_t generation; /* the newest */
};

/* Whether the group of the entry was cleared after it was stored: then it is
 * counted nowhere. */
static inline bool entry_is_discounted(const struct entry *e)
{
	return e->checked < e->group->cleared;
}

/* Whether the entry was cleared. If not, it is checked up to now. */
bool clears_concern(const struct clears *clears, struct entry *e);

bool clears_void_ticket(const struct clears *clears,
			const struct cache_ticket *ticket);

/* The record of a group in use; made if need be. NULL without memory. */
struct group *clears_group(struct clears *clears, struct cache_group *counts);

/* Hold it for an entry, or let go, which may free it. */
void group_hold(struct group *group);
void group_release(struct clears *clears, struct group *group);

/* Clear the groups that hook and endpoint of `filter` select (0: any), and
 * discount their entries from `totals`. Returns how many. */
uint64_t clears_groups(struct clears *clears, const struct cache_filter *filter,
		       struct cache_group *totals);

/* The same for one, for good. */
uint64_t clears_drop(struct clears *clears, struct cache_group *counts,
		     struct cache_group *totals);

/* Mark what `filter`, which names a client or a username, selects. Returns
 * false when there is no room before the sweep has been round. */
bool clears_mark(struct clears *clears, const struct cache_filter *filter);

/* How many marks the sweep has not been round for. */
size_t clears_waiting(const struct clears *clears);

/* A round of the sweep begins; all entries that were there when it began have
 * been checked. */
void clears_round_begins(struct clears *clears);
void clears_round_ends(struct clears *clears);

/* Free all records, when the last entry is gone. */
void clears_free(struct clears *clears);

#endif /* CACHE_CLEARS_H */
