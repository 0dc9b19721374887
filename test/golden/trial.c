#include "test/golden/trial.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "plugin/hook_table.h"

/* ---- properties, by VerneMQ's names ---- */

enum shape {
	SHAPE_NUMBER,
	SHAPE_BOOL,
	SHAPE_TEXT,
	SHAPE_FORMAT,
	SHAPE_LIST,
	SHAPE_PAIRS
};

static const struct {
	const char *name;
	int id;
	enum shape shape;
} properties[] = {
	{ "p_payload_format_indicator", 1, SHAPE_FORMAT },
	{ "p_message_expiry_interval", 2, SHAPE_NUMBER },
	{ "p_content_type", 3, SHAPE_TEXT },
	{ "p_response_topic", 8, SHAPE_TEXT },
	{ "p_correlation_data", 9, SHAPE_TEXT },
	{ "p_subscription_id", 11, SHAPE_LIST },
	{ "p_session_expiry_interval", 17, SHAPE_NUMBER },
	{ "p_assigned_client_id", 18, SHAPE_TEXT },
	{ "p_server_keep_alive", 19, SHAPE_NUMBER },
	{ "p_authentication_method", 21, SHAPE_TEXT },
	{ "p_authentication_data", 22, SHAPE_TEXT },
	{ "p_request_problem_info", 23, SHAPE_BOOL },
	{ "p_will_delay_interval", 24, SHAPE_NUMBER },
	{ "p_request_response_info", 25, SHAPE_BOOL },
	{ "p_response_info", 26, SHAPE_TEXT },
	{ "p_server_ref", 28, SHAPE_TEXT },
	{ "p_reason_string", 31, SHAPE_TEXT },
	{ "p_receive_max", 33, SHAPE_NUMBER },
	{ "p_topic_alias_max", 34, SHAPE_NUMBER },
	{ "p_topic_alias", 35, SHAPE_NUMBER },
	{ "p_max_qos", 36, SHAPE_NUMBER },
	{ "p_retain_available", 37, SHAPE_BOOL },
	{ "p_user_property", 38, SHAPE_PAIRS },
	{ "p_max_packet_size", 39, SHAPE_NUMBER },
	{ "p_wildcard_subs_available", 40, SHAPE_BOOL },
	{ "p_sub_ids_available", 41, SHAPE_BOOL },
	{ "p_shared_subs_available", 42, SHAPE_BOOL },
};

enum {
	PROPERTIES = sizeof(properties) / sizeof(*properties)
};

static const char *const retain_handlings[] = { "send_retain",
						"send_if_new_sub",
						"dont_send" };

/* ---- arguments to events ---- */

struct building {
	struct json_arena *arena;
	struct event *ev;
	struct property *properties;
	const char *why;
};

static struct bytes text_of(const struct json *j)
{
	return j && j->kind == JSON_STRING ? j->text : (struct bytes){ 0 };
}

static bool add_property(struct building *b, const struct json *item, int id,
			 enum shape shape)
{
	struct property *p = &b->properties[b->ev->properties_count++];

	p->id = id;
	switch (shape) {
	case SHAPE_PAIRS:
		p->name = text_of(item->child);
		p->text = text_of(item->child ? item->child->next : NULL);
		return p->name.data && p->text.data;
	case SHAPE_TEXT:
		p->text = text_of(item);
		return p->text.data;
	case SHAPE_BOOL:
		p->number = item->kind == JSON_TRUE;
		return item->kind == JSON_TRUE || item->kind == JSON_FALSE;
	case SHAPE_FORMAT:
		/* "undefined" is an atom of VerneMQ's without a number. */
		p->number = json_text_is(item, "utf8");
		return item->kind == JSON_STRING;
	default:
		p->number = (uint32_t)item->number;
		return item->kind == JSON_NUMBER;
	}
}

static bool read_property(struct building *b, const struct json *item)
{
	int i = 0;

	while (i < PROPERTIES &&
	       strcmp(properties[i].name, item->key.data) != 0)
		i++;
	if (i == PROPERTIES)
		return false;
	if (properties[i].shape < SHAPE_LIST)
		return add_property(b, item, properties[i].id,
				    properties[i].shape);
	for (const struct json *c = item->child; c; c = c->next)
		if (!add_property(b, c, properties[i].id, properties[i].shape))
			return false;
	return item->kind == JSON_ARRAY;
}

static bool read_properties(struct building *b, const struct json *object)
{
	size_t n = 1;

	for (const struct json *c = object->child; c; c = c->next)
		n += 1 + json_count(c);
	b->properties = json_alloc(b->arena, n * sizeof(*b->properties));
	b->ev->properties = b->properties;
	for (const struct json *c = object->child; c; c = c->next)
		if (!read_property(b, c))
			return false;
	return object->kind == JSON_OBJECT;
}

static bool read_retain_handling(const struct json *item, struct topic *to)
{
	int i = 0;

	while (i < 3 && !json_text_is(item, retain_handlings[i]))
		i++;
	to->retain_handling = (enum retain_handling)i;
	return i < 3;
}

static bool read_topic(const struct json *item, struct topic *to)
{
	const struct json *qos = json_get(item, "qos");

	to->filter = text_of(
		item->kind == JSON_STRING ? item : json_get(item, "topic"));
	if (!to->filter.data || item->kind == JSON_STRING)
		return to->filter.data;
	if (json_text_is(qos, "not_allowed"))
		to->qos = 128;
	else
		to->qos = (int)json_number(item, "qos", -1);
	to->has_options = json_get(item, "retain_handling");
	to->no_local = json_is_true(item, "no_local");
	to->rap = json_is_true(item, "rap");
	return !to->has_options ||
	       read_retain_handling(json_get(item, "retain_handling"), to);
}

static bool read_topics(struct building *b, const struct json *list)
{
	struct topic *to =
		json_alloc(b->arena, (json_count(list) + 1) * sizeof(*to));

	b->ev->topics = to;
	for (const struct json *c = list->child; c; c = c->next)
		if (!read_topic(c, &to[b->ev->topics_count++]))
			return false;
	return list->kind == JSON_ARRAY;
}

static bool read_conn(struct building *b, const struct json *conn)
{
	struct listener_info *info = json_alloc(b->arena, sizeof(*info));

	*info = (struct listener_info){
		.has_listener = true,
		.addr = text_of(json_get(conn, "listener_addr")),
		.type = text_of(json_get(conn, "listener_type")),
		.client_cert = text_of(json_get(conn, "client_cert")),
		.port = (int)json_number(conn, "listener_port", -1),
	};
	b->ev->listener = info;
	return conn->kind == JSON_OBJECT;
}

static bool read_argument(struct building *b, const struct json *arg)
{
	struct event *ev = b->ev;
	const struct {
		const char *name;
		struct bytes *to;
	} texts[] = {
		{ "mountpoint", &ev->mountpoint },
		{ "client_id", &ev->client_id },
		{ "username", &ev->username },
		{ "password", &ev->password },
		{ "peer_addr", &ev->peer_addr },
		{ "topic", &ev->topic },
		{ "payload", &ev->payload },
	};
	const char *name = arg->key.data;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (strcmp(name, texts[i].name) == 0) {
			*texts[i].to = text_of(arg);
			return arg->kind == JSON_STRING ||
			       arg->kind == JSON_NULL;
		}
	}
	if (strcmp(name, "peer_port") == 0)
		ev->peer_port = (uint16_t)arg->number;
	else if (strcmp(name, "qos") == 0)
		ev->qos = (uint8_t)arg->number;
	else if (strcmp(name, "retain") == 0)
		ev->retain = arg->kind == JSON_TRUE;
	else if (strcmp(name, "clean_session") == 0 ||
		 strcmp(name, "clean_start") == 0)
		ev->clean = arg->kind == JSON_TRUE;
	else if (strcmp(name, "topics") == 0)
		return read_topics(b, arg);
	else if (strcmp(name, "properties") == 0)
		return read_properties(b, arg);
	else if (strcmp(name, "conn") == 0)
		return read_conn(b, arg);
	else
		return false;
	return true;
}

bool trial_event(struct json_arena *a, enum hook_id hook,
		 const struct json *args, struct event *ret,
		 const char **ret_why)
{
	struct building b = { .arena = a, .ev = ret };

	*ret = (struct event){ .hook = hook };
	for (const struct json *arg = args ? args->child : NULL; arg;
	     arg = arg->next) {
		if (!read_argument(&b, arg)) {
			*ret_why = arg->key.data;
			return false;
		}
	}
	return true;
}

struct codec_opts trial_options(const struct json *options)
{
	const struct json *base64 = json_get(options, "base64_payload");
	struct codec_opts opts = {
		.base64_payload = !base64 || base64->kind != JSON_FALSE,
		.no_payload = json_is_true(options, "no_payload"),
	};

	return opts;
}

/* ---- verdicts to outcomes ---- */

struct conclusion trial_recorded(struct json_arena *a,
				 const struct json *outcome)
{
	struct json *modifiers = json_get(outcome, "modifiers");
	struct conclusion c = { OUTCOME_REFUSED, NULL };

	if (json_text_is(json_get(outcome, "outcome"), "ok")) {
		c.outcome = OUTCOME_OK;
		c.modifiers = modifiers ? json_copy(a, modifiers)
					: json_new(a, JSON_OBJECT);
	} else if (json_text_is(json_get(outcome, "outcome"), "next")) {
		c.outcome = OUTCOME_NEXT;
	}
	return c;
}

static const struct {
	const char *name;
	enum modifier id;
	enum shape shape;
} values[] = {
	{ "topic", MODIFIER_TOPIC, SHAPE_TEXT },
	{ "payload", MODIFIER_PAYLOAD, SHAPE_TEXT },
	{ "qos", MODIFIER_QOS, SHAPE_NUMBER },
	{ "retain", MODIFIER_RETAIN, SHAPE_BOOL },
	{ "mountpoint", MODIFIER_MOUNTPOINT, SHAPE_TEXT },
	{ "throttle", MODIFIER_THROTTLE, SHAPE_NUMBER },
	{ "username", MODIFIER_USERNAME, SHAPE_TEXT },
	{ "client_id", MODIFIER_CLIENT_ID, SHAPE_TEXT },
	{ "clean_session", MODIFIER_CLEAN_SESSION, SHAPE_BOOL },
	{ "max_message_size", MODIFIER_MAX_MESSAGE_SIZE, SHAPE_NUMBER },
	{ "max_message_rate", MODIFIER_MAX_MESSAGE_RATE, SHAPE_NUMBER },
	{ "max_connection_lifetime", MODIFIER_MAX_CONNECTION_LIFETIME,
	  SHAPE_NUMBER },
	{ "max_inflight_messages", MODIFIER_MAX_INFLIGHT_MESSAGES,
	  SHAPE_NUMBER },
	{ "retry_interval", MODIFIER_RETRY_INTERVAL, SHAPE_NUMBER },
	{ "upgrade_qos", MODIFIER_UPGRADE_QOS, SHAPE_BOOL },
	{ "shared_subscription_policy", MODIFIER_SHARED_SUBSCRIPTION_POLICY,
	  SHAPE_TEXT },
	{ "allow_register", MODIFIER_ALLOW_REGISTER, SHAPE_BOOL },
	{ "allow_publish", MODIFIER_ALLOW_PUBLISH, SHAPE_BOOL },
	{ "allow_subscribe", MODIFIER_ALLOW_SUBSCRIBE, SHAPE_BOOL },
	{ "allow_unsubscribe", MODIFIER_ALLOW_UNSUBSCRIBE, SHAPE_BOOL },
	{ "max_online_messages", MODIFIER_MAX_ONLINE_MESSAGES, SHAPE_NUMBER },
	{ "max_offline_messages", MODIFIER_MAX_OFFLINE_MESSAGES, SHAPE_NUMBER },
	{ "queue_type", MODIFIER_QUEUE_TYPE, SHAPE_TEXT },
	{ "max_drain_time", MODIFIER_MAX_DRAIN_TIME, SHAPE_NUMBER },
	{ "max_msgs_per_drain_step", MODIFIER_MAX_MSGS_PER_DRAIN_STEP,
	  SHAPE_NUMBER },
	{ "reason_code", MODIFIER_REASON_CODE, SHAPE_NUMBER },
};

static struct json *show_value(struct json_arena *a, enum shape shape,
			       int64_t number, struct bytes text)
{
	switch (shape) {
	case SHAPE_BOOL:
		return json_new(a, number ? JSON_TRUE : JSON_FALSE);
	case SHAPE_TEXT:
		return json_new_text(a, text);
	case SHAPE_FORMAT:
		return json_new_text(
			a, bytes_of(number == 1 ? "utf8" : "unspecified"));
	default:
		return json_new_number(a, (double)number);
	}
}

/* A client id and a mountpoint are one thing to VerneMQ. */
static void join_subscriber(struct json_arena *a, struct json *to)
{
	struct json *client_id = json_get(to, "client_id");
	struct json *mountpoint = json_get(to, "mountpoint");
	struct json *both;

	if (!client_id || !mountpoint)
		return;
	both = json_new(a, JSON_OBJECT);
	json_drop(to, "client_id");
	json_drop(to, "mountpoint");
	json_set(a, both, "client_id", client_id);
	json_set(a, both, "mountpoint", mountpoint);
	json_set(a, to, "subscriber_id", both);
}

static struct json *show_topic(struct json_arena *a, enum hook_id hook,
			       const struct topic *t)
{
	struct json *filter = json_new_text(a, t->filter), *to;

	if (hook == HOOK_ON_UNSUBSCRIBE || hook == HOOK_ON_UNSUBSCRIBE_M5)
		return filter;
	to = json_new(a, JSON_OBJECT);
	json_set(a, to, "topic", filter);
	json_set(a, to, "qos",
		 t->qos == 128 ? json_new_text(a, bytes_of("not_allowed"))
			       : json_new_number(a, t->qos));
	if (!t->has_options || t->qos < 0 || t->qos > 2)
		return to;
	json_set(a, to, "no_local",
		 show_value(a, SHAPE_BOOL, t->no_local, t->filter));
	json_set(a, to, "rap", show_value(a, SHAPE_BOOL, t->rap, t->filter));
	json_set(a, to, "retain_handling",
		 json_new_text(a,
			       bytes_of(retain_handlings[t->retain_handling])));
	return to;
}

static void show_property(struct json_arena *a, struct json *to,
			  const struct property *p)
{
	int i = 0;

	while (i < PROPERTIES - 1 && properties[i].id != p->id)
		i++;
	if (properties[i].shape == SHAPE_PAIRS) {
		struct json *list = json_get(to, properties[i].name);
		struct json *pair = json_new(a, JSON_ARRAY);

		if (!list) {
			list = json_new(a, JSON_ARRAY);
			json_set(a, to, properties[i].name, list);
		}
		json_append(pair, json_new_text(a, p->name));
		json_append(pair, json_new_text(a, p->text));
		json_append(list, pair);
		return;
	}
	json_set(a, to, properties[i].name,
		 show_value(a, properties[i].shape, p->number, p->text));
}

static struct json *show_modifiers(struct json_arena *a, enum hook_id hook,
				   const struct verdict *v)
{
	struct json *to = json_new(a, JSON_OBJECT);

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		const struct modifier_value *value =
			verdict_get(v, values[i].id);

		if (value)
			json_set(a, to, values[i].name,
				 show_value(a, values[i].shape, value->number,
					    value->text));
	}
	join_subscriber(a, to);
	if (verdict_has(v, MODIFIER_TOPICS)) {
		struct json *list = json_new(a, JSON_ARRAY);

		for (size_t i = 0; i < v->topics_count; i++)
			json_append(list, show_topic(a, hook, &v->topics[i]));
		json_set(a, to, "topics", list);
	}
	if (verdict_has(v, MODIFIER_PROPERTIES)) {
		struct json *object = json_new(a, JSON_OBJECT);

		for (size_t i = 0; i < v->properties_count; i++)
			show_property(a, object, &v->properties[i]);
		json_set(a, to, "properties", object);
	}
	return to;
}

struct conclusion trial_concluded(struct json_arena *a, enum hook_id hook,
				  const struct verdict *v)
{
	struct conclusion c = { OUTCOME_REFUSED, NULL };

	if (v->decision == DECISION_NEXT)
		c.outcome = OUTCOME_NEXT;
	if (v->decision == DECISION_OK) {
		c.outcome = OUTCOME_OK;
		c.modifiers = show_modifiers(a, hook, v);
	}
	return c;
}

bool trial_same(const struct conclusion *x, const struct conclusion *y)
{
	return x->outcome == y->outcome &&
	       (x->outcome != OUTCOME_OK ||
		json_equal(x->modifiers, y->modifiers));
}

const char *trial_print(const struct conclusion *c, char *ret, size_t size)
{
	static const char *const names[] = { "ok", "next", "refused" };
	int n = snprintf(ret, size, "%s", names[c->outcome]);

	if (c->outcome == OUTCOME_OK && c->modifiers->child)
		json_print(c->modifiers, ret + n + 1, size - (size_t)n - 1);
	if (c->outcome == OUTCOME_OK && c->modifiers->child)
		ret[n] = ' ';
	return ret;
}
