/*
 * event_pack.h - lay copies of scattered things into one block.
 *
 * The caller describes the layout once and runs it twice: with `base` NULL
 * to measure, then with a block of `used` bytes, aligned as malloc() does, to
 * copy. While measuring, what is returned must not be read. Any thread.
 */
#ifndef PLUGIN_EVENT_PACK_H
#define PLUGIN_EVENT_PACK_H

#include <stddef.h>
#include "plugin/event.h"

struct pack {
	char *base;
	size_t used;
};

/* Room for `size` bytes, aligned for any type; NULL while measuring. */
void *pack_room(struct pack *p, size_t size);

/* A copy, followed by a NUL that its `len` does not count; absent stays
 * absent. */
struct bytes pack_bytes(struct pack *p, struct bytes from);

/* Copies of arrays and all that they point to; NULL for none. */
const struct topic *pack_topics(struct pack *p, const struct topic *from,
				size_t n);
const struct property *pack_properties(struct pack *p,
				       const struct property *from, size_t n);

#endif /* PLUGIN_EVENT_PACK_H */
