#include "cache/clears.h"

#include <stdlib.h>
#include "cache/counters.h"

static bool agrees(uint64_t wanted, uint64_t tag)
{
	return !wanted || wanted == tag;
}

/* ---- groups ---- */

struct group *clears_group(struct clears *clears, struct cache_group *counts)
{
	struct group *group = counts->record;

	if (group)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->counts = counts;
	group->hook = counts->hook;
	group->endpoint = counts->endpoint;
	group->cleared = clears->groups_cleared; /* for its tickets */
	group->next = clears->groups;
	if (group->next)
		group->next->prev = group;
	clears->groups = group;
	counts->record = group;
	return group;
}

/* Of no entry any more, nor of the caller. */
static void group_free(struct clears *clears, struct group *group)
{
	if (group->next)
		group->next->prev = group->prev;
	if (group->prev)
		group->prev->next = group->next;
	else
		clears->groups = group->next;
	free(group);
}

void group_hold(struct group *group)
{
	group->held++;
}

void group_release(struct clears *clears, struct group *group)
{
	group->held--;
	if (!group->held && !group->counts)
		group_free(clears, group);
}

void clears_free(struct clears *clears)
{
	struct group *group = clears->groups, *next;

	for (; group; group = next) {
		next = group->next;
		group->counts->record = NULL;
		free(group);
	}
	clears->groups = NULL;
}

/* ---- by hook and endpoint ---- */

static uint64_t discount(struct cache_group *counts, struct cache_group *totals)
{
	uint64_t entries = get(&counts->entries);

	subtract(&totals->entries, entries);
	subtract(&totals->refusals, get(&counts->refusals));
	set(&counts->entries, 0);
	set(&counts->bytes, 0);
	set(&counts->refusals, 0);
	set(&counts->refusal_bytes, 0);
	return entries;
}

uint64_t clears_groups(struct clears *clears, const struct cache_filter *filter,
		       struct cache_group *totals)
{
	uint64_t entries = 0;

	clears->generation++;
	clears->groups_cleared = clears->generation;
	for (struct group *g = clears->groups; g; g = g->next) {
		if (!g->counts || !agrees(filter->hook, g->hook) ||
		    !agrees(filter->endpoint, g->endpoint))
			continue;
		g->cleared = clears->generation;
		entries += discount(g->counts, totals);
	}
	return entries;
}

uint64_t clears_drop(struct clears *clears, struct cache_group *counts,
		     struct cache_group *totals)
{
	struct group *group = counts->record;
	uint64_t entries = 0;

	clears->generation++;
	counts->dropped = true;
	if (!group)
		return 0;
	entries = discount(counts, totals);
	counts->record = NULL;
	group->cleared = UINT64_MAX;
	group->counts = NULL;
	if (!group->held)
		group_free(clears, group);
	return entries;
}

/* ---- by client and username ---- */

static const struct mark *mark_at(const struct clears *clears, size_t i)
{
	return &clears->marks[(clears->first + i) % MARKS_MAX];
}

bool clears_mark(struct clears *clears, const struct cache_filter *filter)
{
	size_t at;

	if (clears->count == MARKS_MAX) {
		if (!clears->done)
			return false;
		/* what it told of tickets is all that is forgotten */
		if (clears->voided < mark_at(clears, 0)->generation)
			clears->voided = mark_at(clears, 0)->generation;
		clears->first = (clears->first + 1) % MARKS_MAX;
		clears->count--;
		clears->done--;
	}
	at = (clears->first + clears->count) % MARKS_MAX;
	clears->marks[at] = (struct mark){
		.generation = ++clears->generation,
		.round = clears->round,
		.filter = *filter,
	};
	clears->count++;
	return true;
}

size_t clears_waiting(const struct clears *clears)
{
	return clears->count - clears->done;
}

void clears_round_begins(struct clears *clears)
{
	clears->round++;
}

void clears_round_ends(struct clears *clears)
{
	while (clears->done < clears->count &&
	       mark_at(clears, clears->done)->round < clears->round)
		clears->done++;
}

static bool agrees_as_client(uint32_t wanted, const struct cache_filter *tags,
			     uint16_t alias)
{
	return agrees(wanted, tags->client) ||
	       (alias && alias == alias_of(wanted));
}

/* Whether a mark newer than `generation` selects what has these tags. */
static bool is_marked(const struct clears *clears, uint64_t generation,
		      const struct cache_filter *tags, uint16_t alias)
{
	for (size_t i = clears->count; i-- > 0;) {
		const struct mark *m = mark_at(clears, i);

		if (m->generation <= generation)
			return false;
		if (agrees(m->filter.hook, tags->hook) &&
		    agrees(m->filter.endpoint, tags->endpoint) &&
		    agrees_as_client(m->filter.client, tags, alias) &&
		    agrees(m->filter.username, tags->username))
			return true;
	}
	return false;
}

__attribute__((hot)) bool clears_concern(const struct clears *clears,
					 struct entry *e)
{
	struct cache_filter tags;

	if (e->checked == clears->generation)
		return false;
	if (entry_is_discounted(e))
		return true;
	tags = (struct cache_filter){
		.hook = e->group->hook,
		.endpoint = e->group->endpoint,
		.client = e->client,
		.username = e->username,
	};
	if (is_marked(clears, e->checked, &tags, e->alias))
		return true;
	e->checked = clears->generation;
	return false;
}

bool clears_void_ticket(const struct clears *clears,
			const struct cache_ticket *ticket)
{
	const struct cache_group *group = ticket->group;
	uint64_t asked = ticket->generation;
	struct cache_filter tags = {
		.hook = group->hook,
		.endpoint = group->endpoint,
		.client = ticket->client,
		.username = ticket->username,
	};

	if (group->dropped || asked < clears->voided || asked == TICKET_VOID)
		return true;
	if (asked <
	    (group->record ? group->record->cleared : clears->groups_cleared))
		return true;
	return is_marked(clears, asked, &tags, alias_of(ticket->alias));
}
