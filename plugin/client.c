/* Without memory an add leaves the element's `tbl` NULL. */
#define HASH_NONFATAL_OOM 1
#include "plugin/client.h"

#include <stdlib.h>
#include <string.h>

struct client *client_find(struct client_table *t, const struct mosquitto *ptr)
{
	struct client *c;

	HASH_FIND_PTR(t->all, &ptr, c);
	return c;
}

static bool unlink_doomed(struct client_table *t, struct client *c)
{
	for (struct client **p = &t->doomed; *p; p = &(*p)->next_doomed) {
		if (*p == c) {
			*p = c->next_doomed;
			c->next_doomed = NULL;
			return true;
		}
	}
	return false;
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

bool client_pend(struct client_table *t, struct client *c, uint64_t ticket)
{
	c->ticket = ticket;
	HASH_ADD(by_ticket, t->pending, ticket, sizeof(c->ticket), c);
	if (!c->by_ticket.tbl) {
		c->ticket = 0;
		return false;
	}
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
	c->ticket = 0;
}

/* Leave every list and end this life; the entry itself stays. */
static void end(struct client_table *t, struct client *c)
{
	if (c->doomed)
		unlink_doomed(t, c);
	client_take_arrival(t, c);
	client_decided(t, c);
	free(c->id);
	verdict_unref(c->login);
	c->id = NULL;
	c->login = NULL;
	c->state = CLIENT_UNASKED;
	c->clean = c->m5 = c->deferred = false;
	c->doomed = 0;
}

static void forget(struct client_table *t, struct client *c)
{
	end(t, c);
	HASH_DEL(t->all, c);
	free(c);
}

static struct client *add(struct client_table *t, const struct mosquitto *ptr)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ptr = ptr;
	HASH_ADD_PTR(t->all, ptr, c);
	if (c->hh.tbl)
		return c;
	free(c);
	return NULL;
}

struct client *client_begin(struct client_table *t,
			    const struct mosquitto *ptr, const char *id)
{
	struct client *c = client_find(t, ptr);

	if (c)
		end(t, c);
	else
		c = add(t, ptr);
	if (!c)
		return NULL;
	c->id = strdup(id ? id : "");
	if (c->id)
		return c;
	forget(t, c);
	return NULL;
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

void client_doom(struct client_table *t, struct client *c)
{
	if (!c->doomed) {
		c->next_doomed = t->doomed;
		t->doomed = c;
	}
	c->doomed = t->beat + 2;
}

void client_table_beat(struct client_table *t)
{
	struct client **p = &t->doomed;

	t->beat++;
	while (*p) {
		struct client *c = *p;

		if ((int)(t->beat - c->doomed) < 0) {
			p = &c->next_doomed;
			continue;
		}
		forget(t, c);	/* takes it off the list */
	}
}

void client_table_clear(struct client_table *t)
{
	struct client *c, *next;

	HASH_ITER(hh, t->all, c, next)
		forget(t, c);
	memset(t, 0, sizeof(*t));
}
