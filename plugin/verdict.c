#include "plugin/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/event_pack.h"

enum {
	REASON_MAX = 255
};

const struct verdict verdict_next = {
	.decision = DECISION_NEXT,
	.size = sizeof(struct verdict),
};

const struct verdict verdict_ok = {
	.decision = DECISION_OK,
	.size = sizeof(struct verdict),
};

static const struct verdict denied_without_memory = {
	.decision = DECISION_DENY,
	.reason = { "refused (no memory for the reason)", 34 },
	.size = sizeof(struct verdict),
};

static bool is_kept(const struct modifier_value *value, uint32_t without)
{
	return !(without & 1u << value->id);
}

static const struct modifier_value *pack_values(struct pack *p,
						const struct verdict *from,
						uint32_t without, size_t *ret_n)
{
	struct modifier_value *to;
	size_t n = 0;

	for (size_t i = 0; i < from->values_count; i++)
		n += is_kept(&from->values[i], without);
	*ret_n = n;
	if (!n)
		return NULL;
	to = pack_room(p, n * sizeof(*to));
	n = 0;
	for (size_t i = 0; i < from->values_count; i++) {
		struct bytes text;

		if (!is_kept(&from->values[i], without))
			continue;
		text = pack_bytes(p, from->values[i].text);
		if (to) {
			to[n] = from->values[i];
			to[n].text = text;
		}
		n++;
	}
	return to;
}

static struct verdict *pack_verdict(struct pack *p, const struct verdict *from,
				    uint32_t without)
{
	struct verdict *block = pack_room(p, sizeof(*block));
	struct verdict to = {
		.refs = 1,
		.decision = from->decision,
		.given = from->given & ~without,
	};

	to.values = pack_values(p, from, without, &to.values_count);
	if (verdict_has(&to, MODIFIER_TOPICS)) {
		to.topics = pack_topics(p, from->topics, from->topics_count);
		to.topics_count = from->topics_count;
	}
	if (verdict_has(&to, MODIFIER_PROPERTIES)) {
		to.properties = pack_properties(p, from->properties,
						from->properties_count);
		to.properties_count = from->properties_count;
	}
	to.reason = pack_bytes(p, from->reason);
	if (block)
		*block = to;
	return block;
}

int verdict_create(const struct verdict *from, uint32_t without,
		   const struct verdict **ret)
{
	struct pack p = { 0 };
	struct verdict *v;
	size_t size;

	pack_verdict(&p, from, without);
	size = p.used;
	p = (struct pack){ malloc(size), 0 };
	if (!p.base)
		return -ENOMEM;
	v = pack_verdict(&p, from, without);
	v->size = size;
	*ret = v;
	return 0;
}

const struct verdict *verdict_deny(const char *reason)
{
	struct verdict from = {
		.decision = DECISION_DENY,
		.reason = { reason, strnlen(reason, REASON_MAX) },
	};
	const struct verdict *v;

	return verdict_create(&from, 0, &v) == 0 ? v : &denied_without_memory;
}

const struct verdict *verdict_ref(const struct verdict *v)
{
	if (v->refs)
		((struct verdict *)v)->refs++;
	return v;
}

void verdict_unref(const struct verdict *v)
{
	if (v && v->refs && --((struct verdict *)v)->refs == 0)
		free((struct verdict *)v);
}

const struct modifier_value *verdict_get(const struct verdict *v,
					 enum modifier id)
{
	if (!verdict_has(v, id))
		return NULL;
	for (size_t i = 0; i < v->values_count; i++)
		if (v->values[i].id == id)
			return &v->values[i];
	return NULL;
}
