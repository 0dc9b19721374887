#include "plugin/event_pack.h"

#include <stdalign.h>
#include <string.h>

static void *take(struct pack *p, size_t size)
{
	void *at = p->base ? p->base + p->used : NULL;

	p->used += size;
	return at;
}

void *pack_room(struct pack *p, size_t size)
{
	size_t align = alignof(max_align_t);

	p->used = (p->used + align - 1) / align * align;
	return take(p, size);
}

struct bytes pack_bytes(struct pack *p, struct bytes from)
{
	struct bytes to = { 0 };
	char *at;

	if (!from.data)
		return to;
	at = take(p, from.len + 1);
	if (at) {
		memcpy(at, from.data, from.len);
		at[from.len] = '\0';
		to = (struct bytes){ at, from.len };
	}
	return to;
}

const struct topic *pack_topics(struct pack *p, const struct topic *from,
				size_t n)
{
	struct topic *to;

	if (!n)
		return NULL;
	to = pack_room(p, n * sizeof(*to));
	for (size_t i = 0; i < n; i++) {
		struct bytes filter = pack_bytes(p, from[i].filter);

		if (!to)
			continue;
		to[i] = from[i];
		to[i].filter = filter;
	}
	return to;
}

const struct property *pack_properties(struct pack *p,
				       const struct property *from, size_t n)
{
	struct property *to;

	if (!n)
		return NULL;
	to = pack_room(p, n * sizeof(*to));
	for (size_t i = 0; i < n; i++) {
		struct bytes name = pack_bytes(p, from[i].name);
		struct bytes text = pack_bytes(p, from[i].text);

		if (!to)
			continue;
		to[i] = from[i];
		to[i].name = name;
		to[i].text = text;
	}
	return to;
}
