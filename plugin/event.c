#include "plugin/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/event_pack.h"

/* What event_copy() makes; its size is needed again to wipe it. */
struct event_block {
	size_t size;
	struct event event;
};

static const struct listener_info *pack_listener(
	struct pack *p, const struct listener_info *from)
{
	struct listener_info info, *to;

	if (!from)
		return NULL;
	to = pack_room(p, sizeof(*to));
	info = *from;
	info.addr = pack_bytes(p, from->addr);
	info.type = pack_bytes(p, from->type);
	info.client_cert = pack_bytes(p, from->client_cert);
	if (to)
		*to = info;
	return to;
}

/* The event itself is the first thing in the block. */
static struct event_block *pack_event(struct pack *p, const struct event *ev)
{
	struct event_block *block = pack_room(p, sizeof(*block));
	struct event to = *ev;

	to.topics = pack_topics(p, ev->topics, ev->topics_count);
	to.properties =
		pack_properties(p, ev->properties, ev->properties_count);
	to.listener = pack_listener(p, ev->listener);
	to.mountpoint = pack_bytes(p, ev->mountpoint);
	to.client_id = pack_bytes(p, ev->client_id);
	to.username = pack_bytes(p, ev->username);
	to.password = pack_bytes(p, ev->password);
	to.sent_username = pack_bytes(p, ev->sent_username);
	to.peer_addr = pack_bytes(p, ev->peer_addr);
	to.topic = pack_bytes(p, ev->topic);
	to.payload = pack_bytes(p, ev->payload);
	if (block)
		block->event = to;
	return block;
}

int event_copy(const struct event *ev, struct event **ret)
{
	struct pack p = { 0 };
	struct event_block *block;
	size_t size;

	pack_event(&p, ev);
	size = p.used;
	p = (struct pack){ malloc(size), 0 };
	if (!p.base)
		return -ENOMEM;
	block = pack_event(&p, ev);
	block->size = size;
	*ret = &block->event;
	return 0;
}

void event_free(struct event *ev)
{
	struct event_block *block;

	if (!ev)
		return;
	block = (struct event_block *)((char *)ev -
				       offsetof(struct event_block, event));
	explicit_bzero(block, block->size);
	free(block);
}
