/*
 * codec_modifiers.c - what a reply may change, and within which limits: two
 * tables, and a reader for each type in them (contract.md 6 and 7).
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/codec/codec_private.h"
#include "plugin/topic.h"

enum type {
	TYPE_BOOL,
	TYPE_INT,            /* any number within min and max, rounded */
	TYPE_WORD,           /* one of `words` */
	TYPE_STRING,         /* an MQTT string */
	TYPE_TOPIC,          /* to publish to */
	TYPE_RESPONSE_TOPIC, /* a topic name; nobody publishes there yet */
	TYPE_BINARY,         /* the string's bytes */
	TYPE_BASE64,
	TYPE_PAYLOAD, /* one of these two, as the webhook is set */
	TYPE_FORMAT,  /* "utf8" or not */
	TYPE_PAIRS,   /* user properties */
	TYPE_TOPICS,  /* subscriptions, or filters to unsubscribe */
	TYPE_PROPERTIES,
};

struct rule {
	const char *name;
	uint32_t hooks; /* 1u << enum hook_id: where it is allowed */
	int id;         /* enum modifier or property_id */
	enum type type;
	int64_t min, max;         /* TYPE_INT */
	const char *const *words; /* TYPE_WORD; ends with NULL */
};

#define REGISTER_V3 (1u << HOOK_AUTH_ON_REGISTER)
#define REGISTER_M5 (1u << HOOK_AUTH_ON_REGISTER_M5)
#define REGISTER    (REGISTER_V3 | REGISTER_M5)
#define PUBLISH_V3  (1u << HOOK_AUTH_ON_PUBLISH)
#define PUBLISH_M5  (1u << HOOK_AUTH_ON_PUBLISH_M5)
#define PUBLISH     (PUBLISH_V3 | PUBLISH_M5)
#define DELIVER_M5  (1u << HOOK_ON_DELIVER_M5)
#define DELIVER     (1u << HOOK_ON_DELIVER | DELIVER_M5)
#define TOPICS_M5                                                              \
	(1u << HOOK_AUTH_ON_SUBSCRIBE_M5 | 1u << HOOK_ON_UNSUBSCRIBE_M5)
#define AUTH_M5 (1u << HOOK_ON_AUTH_M5)

/* What a double holds exactly: no limit of ours. */
#define ANY_MIN (-((int64_t)1 << 53))
#define ANY_MAX ((int64_t)1 << 53)

static const char *const policies[] = { "prefer_local", "random", "local_only",
					"prefer_online_before_local", NULL };
static const char *const queue_types[] = { "fifo", "lifo", NULL };

static const struct rule modifier_rules[] = {
	{ "topic", PUBLISH | DELIVER, MODIFIER_TOPIC, TYPE_TOPIC, 0, 0, NULL },
	{ "payload", PUBLISH | DELIVER, MODIFIER_PAYLOAD, TYPE_PAYLOAD, 0, 0,
	  NULL },
	{ "qos", PUBLISH, MODIFIER_QOS, TYPE_INT, 0, 2, NULL },
	{ "retain", PUBLISH, MODIFIER_RETAIN, TYPE_BOOL, 0, 0, NULL },
	{ "throttle", PUBLISH_V3, MODIFIER_THROTTLE, TYPE_INT, 1, ANY_MAX,
	  NULL },
	{ "throttle", PUBLISH_M5, MODIFIER_THROTTLE, TYPE_INT, 0, ANY_MAX,
	  NULL },
	{ "mountpoint", REGISTER | PUBLISH, MODIFIER_MOUNTPOINT, TYPE_STRING, 0,
	  0, NULL },
	{ "client_id", REGISTER, MODIFIER_CLIENT_ID, TYPE_STRING, 0, 0, NULL },
	{ "username", REGISTER, MODIFIER_USERNAME, TYPE_STRING, 0, 0, NULL },
	{ "clean_session", REGISTER, MODIFIER_CLEAN_SESSION, TYPE_BOOL, 0, 0,
	  NULL },
	{ "max_message_size", REGISTER, MODIFIER_MAX_MESSAGE_SIZE, TYPE_INT, 0,
	  ANY_MAX, NULL },
	{ "max_message_rate", REGISTER, MODIFIER_MAX_MESSAGE_RATE, TYPE_INT, 0,
	  ANY_MAX, NULL },
	{ "max_connection_lifetime", REGISTER, MODIFIER_MAX_CONNECTION_LIFETIME,
	  TYPE_INT, 0, ANY_MAX, NULL },
	{ "max_inflight_messages", REGISTER, MODIFIER_MAX_INFLIGHT_MESSAGES,
	  TYPE_INT, ANY_MIN, ANY_MAX, NULL },
	{ "retry_interval", REGISTER, MODIFIER_RETRY_INTERVAL, TYPE_INT,
	  ANY_MIN, ANY_MAX, NULL },
	{ "upgrade_qos", REGISTER, MODIFIER_UPGRADE_QOS, TYPE_BOOL, 0, 0,
	  NULL },
	{ "shared_subscription_policy", REGISTER,
	  MODIFIER_SHARED_SUBSCRIPTION_POLICY, TYPE_WORD, 0, 0, policies },
	{ "allow_register", REGISTER, MODIFIER_ALLOW_REGISTER, TYPE_BOOL, 0, 0,
	  NULL },
	{ "allow_publish", REGISTER, MODIFIER_ALLOW_PUBLISH, TYPE_BOOL, 0, 0,
	  NULL },
	{ "allow_subscribe", REGISTER, MODIFIER_ALLOW_SUBSCRIBE, TYPE_BOOL, 0,
	  0, NULL },
	{ "allow_unsubscribe", REGISTER, MODIFIER_ALLOW_UNSUBSCRIBE, TYPE_BOOL,
	  0, 0, NULL },
	{ "max_online_messages", REGISTER, MODIFIER_MAX_ONLINE_MESSAGES,
	  TYPE_INT, ANY_MIN, ANY_MAX, NULL },
	{ "max_offline_messages", REGISTER, MODIFIER_MAX_OFFLINE_MESSAGES,
	  TYPE_INT, ANY_MIN, ANY_MAX, NULL },
	{ "queue_type", REGISTER, MODIFIER_QUEUE_TYPE, TYPE_WORD, 0, 0,
	  queue_types },
	{ "max_drain_time", REGISTER, MODIFIER_MAX_DRAIN_TIME, TYPE_INT,
	  ANY_MIN, ANY_MAX, NULL },
	{ "max_msgs_per_drain_step", REGISTER, MODIFIER_MAX_MSGS_PER_DRAIN_STEP,
	  TYPE_INT, ANY_MIN, ANY_MAX, NULL },
	{ "topics", TOPICS_M5, MODIFIER_TOPICS, TYPE_TOPICS, 0, 0, NULL },
	{ "properties", REGISTER_M5 | PUBLISH_M5 | DELIVER_M5 | AUTH_M5,
	  MODIFIER_PROPERTIES, TYPE_PROPERTIES, 0, 0, NULL },
	{ "reason_code", AUTH_M5, MODIFIER_REASON_CODE, TYPE_INT, ANY_MIN,
	  ANY_MAX, NULL },
	{ NULL, 0, 0, TYPE_BOOL, 0, 0, NULL },
};

static const struct rule property_rules[] = {
	{ "p_user_property", REGISTER_M5 | PUBLISH_M5 | DELIVER_M5,
	  PROPERTY_USER_PROPERTY, TYPE_PAIRS, 0, 0, NULL },
	{ "p_session_expiry_interval", REGISTER_M5,
	  PROPERTY_SESSION_EXPIRY_INTERVAL, TYPE_INT, 0, UINT32_MAX, NULL },
	{ "p_message_expiry_interval", PUBLISH_M5,
	  PROPERTY_MESSAGE_EXPIRY_INTERVAL, TYPE_INT, 0, UINT32_MAX, NULL },
	{ "p_will_delay_interval", PUBLISH_M5, PROPERTY_WILL_DELAY_INTERVAL,
	  TYPE_INT, 0, UINT32_MAX, NULL },
	{ "p_content_type", PUBLISH_M5 | DELIVER_M5, PROPERTY_CONTENT_TYPE,
	  TYPE_STRING, 0, 0, NULL },
	{ "p_payload_format_indicator", PUBLISH_M5 | DELIVER_M5,
	  PROPERTY_PAYLOAD_FORMAT_INDICATOR, TYPE_FORMAT, 0, 0, NULL },
	{ "p_response_topic", PUBLISH_M5 | DELIVER_M5, PROPERTY_RESPONSE_TOPIC,
	  TYPE_RESPONSE_TOPIC, 0, 0, NULL },
	{ "p_correlation_data", PUBLISH_M5 | DELIVER_M5,
	  PROPERTY_CORRELATION_DATA, TYPE_BINARY, 0, 0, NULL },
	{ "p_authentication_method", AUTH_M5, PROPERTY_AUTHENTICATION_METHOD,
	  TYPE_STRING, 0, 0, NULL },
	{ "p_authentication_data", AUTH_M5, PROPERTY_AUTHENTICATION_DATA,
	  TYPE_BASE64, 0, 0, NULL },
	{ NULL, 0, 0, TYPE_BOOL, 0, 0, NULL },
};

/* MQTT's two-byte lengths; a payload has no such limit. */
enum {
	BINARY_MAX = 65535
};

/* What a value turned out to be: a number or a text. */
struct value {
	int64_t number;
	struct bytes text;
};

/* ---- one value ---- */

static int read_number(struct reading *r, const struct rule *rule,
		       const cJSON *item, struct value *ret)
{
	double number = item->valuedouble;

	if (!cJSON_IsNumber(item))
		return codec_refuse(r, "modifier \"%s\" must be a number",
				    rule->name);
	if (number < (double)rule->min || number > (double)rule->max)
		return codec_refuse(
			r, "modifier \"%s\" must be from %lld to %lld",
			rule->name, (long long)rule->min, (long long)rule->max);
	ret->number = (int64_t)round(number);
	return 0;
}

static int read_bool(struct reading *r, const struct rule *rule,
		     const cJSON *item, struct value *ret)
{
	if (!cJSON_IsBool(item))
		return codec_refuse(r, "modifier \"%s\" must be true or false",
				    rule->name);
	ret->number = cJSON_IsTrue(item);
	return 0;
}

static int read_word(struct reading *r, const struct rule *rule,
		     const char *text, struct value *ret)
{
	char name[CODEC_NAME_LEN];

	for (const char *const *word = rule->words; *word; word++) {
		if (strcmp(*word, text) == 0) {
			ret->text = bytes_of(text);
			return 0;
		}
	}
	return codec_refuse(r, "modifier \"%s\" cannot be \"%s\"", rule->name,
			    codec_printable(text, name));
}

static int read_format(struct reading *r, const struct rule *rule,
		       const char *text, struct value *ret)
{
	if (strcmp(text, "utf8") == 0)
		ret->number = 1;
	else if (strcmp(text, "undefined") == 0 ||
		 strcmp(text, "unspecified") == 0)
		ret->number = 0;
	else
		return codec_refuse(r,
				    "modifier \"%s\" must be \"utf8\" or "
				    "\"unspecified\"",
				    rule->name);
	return 0;
}

/* A string that the host takes as a C string. */
static int read_string(struct reading *r, const struct rule *rule,
		       const char *text, struct value *ret)
{
	bool (*valid)(struct bytes) = topic_utf8_valid;
	const char *what = "a string that MQTT can carry";

	if (rule->type == TYPE_TOPIC)
		valid = topic_name_valid;
	else if (rule->type == TYPE_RESPONSE_TOPIC)
		valid = topic_name_wellformed;
	if (rule->type != TYPE_STRING)
		what = "a topic that may be published to";
	ret->text = bytes_of(text);
	/* CODEC_NUL is no UTF-8 and fails here. */
	if (!valid(ret->text))
		return codec_refuse(r, "modifier \"%s\" is not %s", rule->name,
				    what);
	return 0;
}

static int read_bytes(struct reading *r, const struct rule *rule,
		      const char *text, struct value *ret)
{
	bool base64 = rule->type == TYPE_BASE64 ||
		      (rule->type == TYPE_PAYLOAD && r->opts->base64_payload);
	int err = base64 ? codec_read_base64(r, text, &ret->text)
			 : codec_read_binary(r, text, &ret->text);

	if (err == -EBADMSG)
		return codec_refuse(r, "modifier \"%s\" is not base64",
				    rule->name);
	if (!err && rule->type != TYPE_PAYLOAD && ret->text.len > BINARY_MAX)
		return codec_refuse(r, "modifier \"%s\" is too long",
				    rule->name);
	return err;
}

/* A value of any type but the three lists. */
static int read_value(struct reading *r, const struct rule *rule,
		      const cJSON *item, struct value *ret)
{
	*ret = (struct value){ 0 };
	if (rule->type == TYPE_BOOL)
		return read_bool(r, rule, item, ret);
	if (rule->type == TYPE_INT)
		return read_number(r, rule, item, ret);
	if (!cJSON_IsString(item))
		return codec_refuse(r, "modifier \"%s\" must be a string",
				    rule->name);
	switch (rule->type) {
	case TYPE_WORD:
		return read_word(r, rule, item->valuestring, ret);
	case TYPE_FORMAT:
		return read_format(r, rule, item->valuestring, ret);
	case TYPE_BINARY:
	case TYPE_BASE64:
	case TYPE_PAYLOAD:
		return read_bytes(r, rule, item->valuestring, ret);
	default:
		return read_string(r, rule, item->valuestring, ret);
	}
}

/* ---- properties ---- */

static int add_property(struct reading *r, const struct property *p)
{
	size_t n = r->verdict.properties_count;

	if (n == r->properties_size) {
		size_t size = n ? 2 * n : 8;
		struct property *more =
			realloc(r->properties, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->properties = more;
		r->properties_size = size;
		r->verdict.properties = more;
	}
	r->properties[n] = *p;
	r->verdict.properties_count++;
	return 0;
}

/* One half of a user property, by its name and not by its place
 * (contract.md, decision 22). */
static int read_half(struct reading *r, const cJSON *pair, const char *name,
		     struct bytes *ret)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(pair, name);
	int err;

	if (!cJSON_IsObject(pair) || !cJSON_IsString(item))
		return codec_refuse(r, "every item of \"p_user_property\" must "
				       "have \"key\" and \"val\"");
	err = codec_read_base64(r, item->valuestring, ret);
	if (err == -EBADMSG)
		return codec_refuse(r,
				    "\"%s\" of a \"p_user_property\" is not "
				    "base64",
				    name);
	if (!err && !topic_utf8_valid(*ret))
		return codec_refuse(r,
				    "\"%s\" of a \"p_user_property\" is not a "
				    "string that MQTT can carry",
				    name);
	return err;
}

static int read_pairs(struct reading *r, const cJSON *list)
{
	const cJSON *pair;

	if (codec_is_none(list))
		return 0;
	if (!cJSON_IsArray(list))
		return codec_refuse(r, "modifier \"p_user_property\" must be a "
				       "list");
	cJSON_ArrayForEach (pair, list) {
		struct property p = { .id = PROPERTY_USER_PROPERTY };
		int err = read_half(r, pair, "key", &p.name);

		if (!err)
			err = read_half(r, pair, "val", &p.text);
		if (!err)
			err = add_property(r, &p);
		if (err)
			return err;
	}
	return 0;
}

static int read_property(struct reading *r, const struct rule *rule,
			 const cJSON *item)
{
	struct property p = { .id = rule->id };
	struct value value;
	int err;

	if (rule->type == TYPE_PAIRS)
		return read_pairs(r, item);
	err = read_value(r, rule, item, &value);
	if (err)
		return err;
	p.number = (uint32_t)value.number;
	p.text = value.text;
	return add_property(r, &p);
}

/* ---- modifiers ---- */

static void set_value(struct reading *r, enum modifier id,
		      const struct value *value)
{
	struct modifier_value *to = &r->values[r->verdict.values_count++];

	*to = (struct modifier_value){ id, value->number, value->text };
	r->verdict.given |= 1u << id;
}

typedef int read_rule_fn(struct reading *r, const struct rule *rule,
			 const cJSON *item);

/* Of several members of one name the last counts (contract.md, decision
 * 24). */
static bool comes_again(const cJSON *item)
{
	const cJSON *later = item->next;

	while (later && strcmp(later->string, item->string) != 0)
		later = later->next;
	return later;
}

/* Hand each member of `object` with its rule to `read`. */
static int read_members(struct reading *r, const struct rule *rules,
			const char *what, const cJSON *object,
			read_rule_fn *read)
{
	const cJSON *item;

	if (!cJSON_IsObject(object))
		return codec_refuse(r, "\"%s\" must be an object", what);
	cJSON_ArrayForEach (item, object) {
		const struct rule *rule = rules;
		char name[CODEC_NAME_LEN];
		int err;

		while (rule->name && (strcmp(rule->name, item->string) != 0 ||
				      !(rule->hooks & 1u << r->hook)))
			rule++;
		if (!rule->name)
			return codec_refuse(
				r, "\"%s\" is not among the %s of this hook",
				codec_printable(item->string, name), what);
		if (comes_again(item))
			continue;
		err = read(r, rule, item);
		if (err)
			return err;
	}
	return 0;
}

static int read_modifier(struct reading *r, const struct rule *rule,
			 const cJSON *item)
{
	struct value value;
	int err;

	if (rule->type == TYPE_TOPICS)
		return codec_read_topics(r, item);
	if (rule->type == TYPE_PROPERTIES) {
		if (codec_is_none(item))
			return 0;
		r->verdict.given |= 1u << MODIFIER_PROPERTIES;
		return read_members(r, property_rules, "properties", item,
				    read_property);
	}
	err = read_value(r, rule, item, &value);
	if (!err)
		set_value(r, rule->id, &value);
	return err;
}

/* A subscriber is a client id in a mountpoint: both change or none
 * (contract.md 7). */
static int check_subscriber(struct reading *r)
{
	bool client_id = verdict_has(&r->verdict, MODIFIER_CLIENT_ID);
	bool mountpoint = verdict_has(&r->verdict, MODIFIER_MOUNTPOINT);

	if (!(1u << r->hook & REGISTER) || client_id == mountpoint)
		return 0;
	return codec_refuse(r, "modifier \"%s\" comes without \"%s\"",
			    client_id ? "client_id" : "mountpoint",
			    client_id ? "mountpoint" : "client_id");
}

int codec_read_modifiers(struct reading *r, const cJSON *modifiers)
{
	int err;

	if (codec_is_none(modifiers))
		return 0;
	err = read_members(r, modifier_rules, "modifiers", modifiers,
			   read_modifier);
	return err ? err : check_subscriber(r);
}

const char *codec_modifier_name(enum modifier id)
{
	const struct rule *rule = modifier_rules;

	while (rule->name && rule->id != (int)id)
		rule++;
	return rule->name ? rule->name : "?";
}
