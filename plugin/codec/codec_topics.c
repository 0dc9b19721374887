/*
 * codec_topics.c - the lists of topics in replies: subscriptions, and filters
 * to unsubscribe (contract.md 6 and 7).
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/codec/codec_private.h"
#include "plugin/topic.h"

bool codec_is_none(const cJSON *item)
{
	return !item || cJSON_IsNull(item) ||
	       ((cJSON_IsArray(item) || cJSON_IsObject(item)) && !item->child);
}

/* An option of a subscription: absent is false. */
static int read_flag(struct reading *r, const cJSON *entry, const char *name,
		     bool *ret)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(entry, name);

	*ret = cJSON_IsTrue(item);
	if (item && !cJSON_IsBool(item))
		return codec_refuse(r,
				    "\"%s\" in \"topics\" must be true or "
				    "false",
				    name);
	return 0;
}

static int read_retain_handling(struct reading *r, const cJSON *entry,
				enum retain_handling *ret)
{
	static const char *const names[] = { "send_retain", "send_if_new_sub",
					     "dont_send" };
	const cJSON *item =
		cJSON_GetObjectItemCaseSensitive(entry, "retain_handling");

	*ret = RETAIN_SEND;
	if (!item)
		return 0;
	for (int i = RETAIN_SEND; i <= RETAIN_DONT_SEND; i++) {
		if (cJSON_IsString(item) &&
		    strcmp(item->valuestring, names[i]) == 0) {
			*ret = (enum retain_handling)i;
			return 0;
		}
	}
	return codec_refuse(r, "\"retain_handling\" in \"topics\" must be "
			       "\"send_retain\", \"send_if_new_sub\" or "
			       "\"dont_send\"");
}

static int read_filter(struct reading *r, const cJSON *item, struct topic *ret)
{
	if (!cJSON_IsString(item))
		return codec_refuse(r, "a topic in \"topics\" must be a "
				       "string");
	ret->filter = bytes_of(item->valuestring);
	if (!topic_filter_valid(ret->filter))
		return codec_refuse(r, "\"topics\" names a topic filter that "
				       "may not be used");
	return 0;
}

static int read_subscription(struct reading *r, const cJSON *entry,
			     struct topic *ret)
{
	const cJSON *qos = cJSON_GetObjectItemCaseSensitive(entry, "qos");
	double number = cJSON_IsNumber(qos) ? qos->valuedouble : NAN;
	int err;

	if (!cJSON_IsObject(entry))
		return codec_refuse(r, "\"topics\" must list objects");
	err = read_filter(r, cJSON_GetObjectItemCaseSensitive(entry, "topic"),
			  ret);
	if (err)
		return err;
	if (!(number >= INT32_MIN && number <= INT32_MAX) ||
	    number != trunc(number) || r->float_qos)
		return codec_refuse(r, "\"qos\" in \"topics\" must be an "
				       "integer");
	ret->qos = (int)number;
	ret->has_options = r->hook == HOOK_AUTH_ON_SUBSCRIBE_M5;
	if (!ret->has_options)
		return 0;
	err = read_flag(r, entry, "no_local", &ret->no_local);
	if (!err)
		err = read_flag(r, entry, "rap", &ret->rap);
	if (!err)
		err = read_retain_handling(r, entry, &ret->retain_handling);
	return err;
}

/* Only here an empty list is one: no subscription at all (contract.md,
 * decision 2). */
static bool no_topics(const struct reading *r, const cJSON *topics)
{
	return codec_is_none(topics) &&
	       !(r->hook == HOOK_AUTH_ON_SUBSCRIBE_M5 && cJSON_IsArray(topics));
}

int codec_read_topics(struct reading *r, const cJSON *topics)
{
	bool subscribes = r->hook == HOOK_AUTH_ON_SUBSCRIBE ||
			  r->hook == HOOK_AUTH_ON_SUBSCRIBE_M5;
	const cJSON *entry;
	size_t n = 0;
	int err;

	if (no_topics(r, topics))
		return 0;
	if (!cJSON_IsArray(topics))
		return codec_refuse(r, "\"topics\" must be a list");
	free(r->topics);
	r->topics = calloc((size_t)cJSON_GetArraySize(topics) + 1,
			   sizeof(*r->topics));
	if (!r->topics)
		return -ENOMEM;
	cJSON_ArrayForEach (entry, topics) {
		err = subscribes ? read_subscription(r, entry, &r->topics[n])
				 : read_filter(r, entry, &r->topics[n]);
		if (err)
			return err;
		n++;
	}
	r->verdict.topics = r->topics;
	r->verdict.topics_count = n;
	r->verdict.given |= 1u << MODIFIER_TOPICS;
	return 0;
}
