/* Without memory an add leaves the element's `tbl` NULL. */
#define HASH_NONFATAL_OOM 1
#include "plugin/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* The allocator chose the pointer, no enemy: the middle of a product will do,
 * and is cheaper than uthash's own. */
static unsigned hash_of(const struct mosquitto *ptr)
{
	return (unsigned)((uint64_t)(uintptr_t)ptr * 0x9e3779b97f4a7c15 >> 32);
}

__attribute__((hot)) struct client *client_find(struct client_table *t,
						const struct mosquitto *ptr)
{
	struct client *c = t->last;

	if (c && c->ptr == ptr)
		return c;
	HASH_FIND_BYHASHVALUE(hh, t->all, &ptr, sizeof(void *), hash_of(ptr),
			      c);
	if (c) {
		__builtin_prefetch(c->address);
		__builtin_prefetch(&c->limits);
		t->last = c;
	}
	return c;
}

static void know(struct client_table *t, const char *id)
{
	if (t->know)
		t->know(t->arg, id);
}

static void unknow(struct client_table *t, const char *id)
{
	if (t->unknow && id)
		t->unknow(t->arg, id);
}

static void drop_filters(struct client *c)
{
	for (size_t i = 0; i < c->filters_count; i++)
		free(c->filters[i].filter);
	free(c->filters);
	c->filters = NULL;
	c->filters_count = c->filters_bytes = 0;
}

void client_part(struct client_table *t, struct client *c)
{
	if (!c->parted)
		unknow(t, c->id);
	c->parted = true;
	drop_filters(c);
}

bool client_take_arrival(struct client_table *t, struct client *c)
{
	for (struct client **p = &t->arrivals; *p; p = &(*p)->next_arrival) {
		if (*p == c) {
			*p = c->next_arrival;
			c->next_arrival = NULL;
			return true;
		}
	}
	return false;
}

bool client_pend(struct client_table *t, struct client *c, uint64_t ticket,
		 const char *username)
{
	char *name = username ? strdup(username) : NULL;

	if (username && !name)
		return false;
	c->ticket = ticket;
	HASH_ADD(by_ticket, t->pending, ticket, sizeof(c->ticket), c);
	if (!c->by_ticket.tbl) {
		c->ticket = 0;
		free(name);
		return false;
	}
	c->asked_name = name;
	c->state = CLIENT_PENDING;
	return true;
}

struct client *client_by_ticket(struct client_table *t, uint64_t ticket)
{
	struct client *c;

	HASH_FIND(by_ticket, t->pending, &ticket, sizeof(ticket), c);
	return c;
}

void client_decided(struct client_table *t, struct client *c)
{
	if (!c->ticket)
		return;
	HASH_DELETE(by_ticket, t->pending, c);
	free(c->asked_name);
	c->asked_name = NULL;
	c->ticket = 0;
}

void client_drop_auth_data(struct client *c)
{
	if (c->auth_data)
		explicit_bzero(c->auth_data, c->auth_data_len);
	free(c->auth_data);
	c->auth_data = NULL;
	c->auth_data_len = 0;
}

static void leave_offline(struct client_table *t, struct client *c)
{
	if (c->state != CLIENT_OFFLINE)
		return;
	DL_DELETE(t->offline, c);
	if (c->by_id.tbl)
		HASH_DELETE(by_id, t->offline_ids, c);
	c->by_id.tbl = NULL;
	c->state = CLIENT_LEFT;
}

/* ---- its names ---- */

static bool has_room(const struct client *c, const char *id)
{
	return strlen(id) < sizeof(c->room);
}

static void drop_id(struct client *c)
{
	if (c->id != c->room)
		free(c->id);
	c->id = NULL;
}

/* `copy` is one from strdup(), or NULL when there is room for it. `id` may be
 * the one it has. */
static void set_id(struct client *c, const char *id, char *copy)
{
	size_t len = strlen(copy ? copy : id);

	drop_id(c);
	c->id = copy ? copy : memmove(c->room, id, len + 1);
	c->id_len = (uint32_t)len;
}

void client_set_address(struct client *c, const char *address)
{
	size_t len = address ? strlen(address) : 0;

	c->address_len = 0;
	if (len > sizeof(c->address))
		return;
	memcpy(c->address, address ? address : "", len);
	c->address_len = (uint8_t)len;
}

/* ---- lives ---- */

/* Leave every list and end this life; the entry itself stays. */
static void end(struct client_table *t, struct client *c)
{
	if (c->doomed)
		DL_DELETE2(t->doomed, c, prev_doomed, next_doomed);
	leave_offline(t, c);
	drop_filters(c);
	free(c->auth_method);
	c->auth_method = NULL;
	client_drop_auth_data(c);
	memset(&c->limits, 0, sizeof(c->limits));
	client_take_arrival(t, c);
	client_decided(t, c);
	client_part(t, c);
	drop_id(c);
	free(c->mountpoint);
	free(c->sent_name);
	c->mountpoint = c->sent_name = NULL;
	verdict_unref(c->login);
	c->address_len = 0;
	c->login = NULL;
	c->state = CLIENT_UNASKED;
	c->clean = c->m5 = c->deferred = c->unfit = c->parted = c->taken =
		false;
	c->doomed = 0;
}

static void forget(struct client_table *t, struct client *c)
{
	end(t, c);
	if (t->last == c)
		t->last = NULL;
	HASH_DEL(t->all, c);
	free(c);
}

static struct client *add(struct client_table *t, const struct mosquitto *ptr)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ptr = ptr;
	HASH_ADD_BYHASHVALUE(hh, t->all, ptr, sizeof(void *), hash_of(ptr), c);
	if (c->hh.tbl)
		return c;
	free(c);
	return NULL;
}

struct client *client_begin(struct client_table *t, const struct mosquitto *ptr,
			    const char *id)
{
	struct client *c = client_find(t, ptr);
	char *copy = NULL;

	if (c)
		end(t, c);
	else
		c = add(t, ptr);
	if (!c)
		return NULL;
	if (!id)
		id = "";
	if (!has_room(c, id)) {
		copy = strdup(id);
		if (!copy) {
			forget(t, c);
			return NULL;
		}
	}
	set_id(c, id, copy);
	know(t, c->id);
	return c;
}

void client_arrives(struct client_table *t, struct client *c)
{
	struct client **p = &t->arrivals;

	while (*p)
		p = &(*p)->next_arrival;
	*p = c;
}

struct client *client_next_arrival(struct client_table *t)
{
	struct client *c = t->arrivals;

	if (c) {
		t->arrivals = c->next_arrival;
		c->next_arrival = NULL;
	}
	return c;
}

void client_goes_offline(struct client_table *t, struct client *c,
			 int64_t now_ms)
{
	if (c->state == CLIENT_OFFLINE)
		return;
	c->state = CLIENT_OFFLINE;
	c->left_ms = c->poll_ms = now_ms;
	DL_APPEND(t->offline, c);
	/* Without memory it is not found by its id, but by looking. */
	c->by_id.tbl = NULL;
	HASH_ADD_KEYPTR(by_id, t->offline_ids, c->id, strlen(c->id), c);
}

struct client *client_offline_by_id(struct client_table *t, const char *id)
{
	struct client *c;

	HASH_FIND(by_id, t->offline_ids, id, strlen(id), c);
	return c;
}

void client_polled(struct client_table *t, struct client *c)
{
	DL_DELETE(t->offline, c);
	DL_APPEND(t->offline, c);
}

static struct client_filter *find_filter(struct client *c, const char *filter)
{
	for (size_t i = 0; i < c->filters_count; i++) {
		if (strcmp(c->filters[i].filter, filter) == 0)
			return &c->filters[i];
	}
	return NULL;
}

int client_add_filter(struct client *c, const char *filter, uint8_t qos)
{
	struct client_filter *f = find_filter(c, filter), *list;
	size_t len = strlen(filter);
	char *copy;

	if (f) {
		f->qos = qos;
		return 0;
	}
	if (c->filters_count == CLIENT_FILTERS_MAX ||
	    c->filters_bytes + len > CLIENT_FILTERS_BYTES_MAX)
		return -ENOSPC;
	copy = strdup(filter);
	list = realloc(c->filters, (c->filters_count + 1) * sizeof(*list));
	if (list)
		c->filters = list;
	if (!copy || !list) {
		free(copy);
		return -ENOMEM;
	}
	list[c->filters_count++] = (struct client_filter){ copy, qos };
	c->filters_bytes += len;
	return 0;
}

void client_drop_filter(struct client *c, const char *filter)
{
	struct client_filter *f = find_filter(c, filter);

	if (!f)
		return;
	c->filters_bytes -= strlen(f->filter);
	free(f->filter);
	*f = c->filters[--c->filters_count];
}

void client_hand_filters(struct client *from, struct client *to)
{
	drop_filters(to);
	to->filters = from->filters;
	to->filters_count = from->filters_count;
	to->filters_bytes = from->filters_bytes;
	from->filters = NULL;
	from->filters_count = from->filters_bytes = 0;
}

int client_rename(struct client_table *t, struct client *c, const char *id)
{
	char *copy = NULL;

	if (!has_room(c, id)) {
		copy = strdup(id);
		if (!copy)
			return -ENOMEM;
	}
	if (!c->parted) {
		know(t, id);
		unknow(t, c->id);
	}
	set_id(c, id, copy);
	return 0;
}

void client_doom(struct client_table *t, struct client *c)
{
	leave_offline(t, c);
	if (!c->doomed)
		DL_APPEND2(t->doomed, c, prev_doomed, next_doomed);
	c->doomed = t->beat + 2;
}

void client_table_beat(struct client_table *t)
{
	struct client *c, *next;

	t->beat++;
	DL_FOREACH_SAFE2(t->doomed, c, next, next_doomed)
	{
		if ((int)(t->beat - c->doomed) >= 0)
			forget(t, c); /* takes it off the list */
	}
}

void client_table_clear(struct client_table *t)
{
	struct client *c, *next;

	HASH_ITER (hh, t->all, c, next)
		forget(t, c);
	memset(t, 0, sizeof(*t));
}
