/*
 * verdict.h - what is concluded from an endpoint's reply.
 *
 * A verdict never changes once made, so the cache and a callback share one
 * by counting references. The count is not atomic: broker's thread only.
 */
#ifndef PLUGIN_VERDICT_H
#define PLUGIN_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/event.h"

enum decision {
	DECISION_NEXT = 0, /* no opinion: ask the next endpoint, plugin */
	DECISION_OK,
	DECISION_DENY,
};

/* What a reply may change; codec_modifiers.c has their names and limits. */
enum modifier {
	MODIFIER_TOPIC = 0,
	MODIFIER_PAYLOAD,
	MODIFIER_QOS,
	MODIFIER_RETAIN,
	MODIFIER_MOUNTPOINT,
	MODIFIER_THROTTLE,
	MODIFIER_USERNAME,
	MODIFIER_CLIENT_ID,
	MODIFIER_CLEAN_SESSION,
	MODIFIER_MAX_MESSAGE_SIZE,
	MODIFIER_MAX_MESSAGE_RATE,
	MODIFIER_MAX_CONNECTION_LIFETIME,
	MODIFIER_MAX_INFLIGHT_MESSAGES,
	MODIFIER_RETRY_INTERVAL,
	MODIFIER_UPGRADE_QOS,
	MODIFIER_SHARED_SUBSCRIPTION_POLICY,
	MODIFIER_ALLOW_REGISTER,
	MODIFIER_ALLOW_PUBLISH,
	MODIFIER_ALLOW_SUBSCRIBE,
	MODIFIER_ALLOW_UNSUBSCRIBE,
	MODIFIER_MAX_ONLINE_MESSAGES,
	MODIFIER_MAX_OFFLINE_MESSAGES,
	MODIFIER_QUEUE_TYPE,
	MODIFIER_MAX_DRAIN_TIME,
	MODIFIER_MAX_MSGS_PER_DRAIN_STEP,
	MODIFIER_TOPICS,
	MODIFIER_PROPERTIES,
	MODIFIER_REASON_CODE,
	MODIFIER_COUNT
};

/* One modifier of a reply: a number (also of a boolean) or a text. Texts
 * end with a NUL that `len` does not count. */
struct modifier_value {
	enum modifier id;
	int64_t number;
	struct bytes text;
};

struct verdict {
	unsigned refs; /* private; 0: static, never freed */
	enum decision decision;
	uint32_t given;      /* 1u << enum modifier: those given */
	struct bytes reason; /* of a denial: for the log */
	const struct modifier_value *values; /* all but the two below */
	size_t values_count;
	/* Of MODIFIER_TOPICS, instead of what was asked: for subscriptions
	 * with a qos, of which what is not 0 to 2 refuses the entry; none at
	 * all refuse everything. */
	const struct topic *topics;
	size_t topics_count;
	/* Of MODIFIER_PROPERTIES, instead of all that the message had; none
	 * take all away. */
	const struct property *properties;
	size_t properties_count;
	size_t size; /* bytes of the block it lies in */
};

/* Without modifiers. References of these are not counted. */
extern const struct verdict verdict_next, verdict_ok;

/* A copy of `from` and all that it points to, in one block, with one
 * reference, less the modifiers in the mask `without` (1u << enum modifier).
 * Returns 0 or -ENOMEM. */
int verdict_create(const struct verdict *from, uint32_t without,
		   const struct verdict **ret);

/* A denial with its reason, cut at 255 bytes. Never NULL: without memory it
 * is a static one. */
const struct verdict *verdict_deny(const char *reason);

/* Returns `v`, with one reference more. */
const struct verdict *verdict_ref(const struct verdict *v);
void verdict_unref(const struct verdict *v); /* NULL is fine */

/* The value of a modifier, or NULL when the reply did not give it. */
const struct modifier_value *verdict_get(const struct verdict *v,
					 enum modifier id);

static inline bool verdict_has(const struct verdict *v, enum modifier id)
{
	return v->given & (1u << id);
}

#endif /* PLUGIN_VERDICT_H */
