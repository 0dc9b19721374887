#include "plugin/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct gather {
	const void *client;
	struct event *ev;     /* names and properties; NULL: empty */
	struct topic *topics; /* each filter malloc'd */
	size_t count, size;
};

int gather_create(struct gather **ret)
{
	struct gather *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	*ret = g;
	return 0;
}

static void empty(struct gather *g)
{
	for (size_t i = 0; i < g->count; i++)
		free((void *)g->topics[i].filter.data);
	g->count = 0;
	event_free(g->ev);
	g->ev = NULL;
	g->client = NULL;
}

void gather_destroy(struct gather *g)
{
	if (!g)
		return;
	empty(g);
	free(g->topics);
	free(g);
}

bool gather_empty(const struct gather *g)
{
	return !g->ev;
}

bool gather_fits(const struct gather *g, enum hook_id hook, const void *client)
{
	return g->ev && g->ev->hook == hook && g->client == client &&
	       g->count < GATHER_MAX;
}

static int grow(struct gather *g)
{
	size_t size = g->size ? g->size * 2 : 8;
	struct topic *topics;

	if (g->count < g->size)
		return 0;
	topics = realloc(g->topics, size * sizeof(*topics));
	if (!topics)
		return -ENOMEM;
	g->topics = topics;
	g->size = size;
	return 0;
}

int gather_add(struct gather *g, const void *client, const struct event *ev,
	       const struct topic *topic)
{
	char *filter;
	int err;

	err = grow(g);
	if (err)
		return err;
	filter = malloc(topic->filter.len + 1);
	if (!filter)
		return -ENOMEM;
	if (!g->ev)
		err = event_copy(ev, &g->ev);
	if (err) {
		free(filter);
		return err;
	}
	memcpy(filter, topic->filter.data, topic->filter.len);
	filter[topic->filter.len] = '\0';
	g->client = client;
	g->topics[g->count] = *topic;
	g->topics[g->count].filter.data = filter;
	g->count++;
	return 0;
}

void gather_flush(struct gather *g,
		  void (*emit)(void *arg, const struct event *ev), void *arg)
{
	if (!g->ev)
		return;
	g->ev->topics = g->topics;
	g->ev->topics_count = g->count;
	emit(arg, g->ev);
	empty(g);
}
