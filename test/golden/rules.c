#include "test/golden/rules.h"

#include <ctype.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "plugin/hook_table.h"
#include "plugin/topic_utf8.h"

const struct rule_def rule_table[RULE_COUNT] = {
	[RULE_STRICT_JSON] = { 3, "a body that is not RFC 8259, or nested "
				  "deeper than 32, refuses" },
	[RULE_C_STRING] = { 3, "a \\u0000 in what becomes a C string refuses" },
	[RULE_LAST_MODIFIER] = { 24, "of several modifiers of one name the "
				     "last counts" },
	[RULE_EMPTY_IS_NONE] = { 2, "{}, [] and null mean none" },
	[RULE_NO_USER_PROPERTIES] = { 23, "an empty p_user_property is none" },
	[RULE_UNSPECIFIED] = { 23, "the format indicators \"undefined\" and "
				   "\"unspecified\" are 0" },
	[RULE_USER_PROPERTY_BY_NAME] = { 22, "items of p_user_property are "
					     "read by name, always base64" },
	[RULE_RESERVED_TOPIC] = { 28, "no topic below $SYS, $CONTROL or "
				      "$share" },
	[RULE_OUT_OF_RANGE] = { 1, "a value beyond what its field can hold "
				   "refuses" },
	[RULE_WRONG_TYPE] = { 1, "a value of another type refuses" },
	[RULE_CUT_OFF] = { 1, "a reply cut off in the middle is no answer" },
	[RULE_WHOLE_CALL] = { 7, "response_timeout bounds the whole call" },
	[RULE_CACHE_CONTROL] = { 9, "Cache-Control by RFC 9111, exact expiry, "
				    "only validated results" },
	[RULE_NO_CERTIFICATE] = { 1, "without a client certificate there is "
				     "no client_cert" },
};

/* A reply as the rules see it. */
struct view {
	struct json_arena *arena;
	enum hook_id hook;
	const struct json *options, *answer;
	struct bytes body;
	unsigned depth;
	const struct json *tree; /* NULL: not JSON */
	const struct json *modifiers, *topics, *properties;
	bool base64_payload;
};

/* ---- helpers ---- */

static void refuse(struct conclusion *c)
{
	c->outcome = OUTCOME_REFUSED;
	c->modifiers = NULL;
}

static void allow(struct view *v, struct conclusion *c)
{
	c->outcome = OUTCOME_OK;
	c->modifiers = json_new(v->arena, JSON_OBJECT);
}

static bool is_empty(const struct json *j)
{
	return j && (j->kind == JSON_NULL ||
		     ((j->kind == JSON_OBJECT || j->kind == JSON_ARRAY) &&
		      !j->child));
}

static bool is_on_top(enum hook_id hook)
{
	return hook == HOOK_AUTH_ON_SUBSCRIBE || hook == HOOK_ON_UNSUBSCRIBE;
}

static bool takes_properties(enum hook_id hook)
{
	return hook == HOOK_AUTH_ON_REGISTER_M5 ||
	       hook == HOOK_AUTH_ON_PUBLISH_M5 || hook == HOOK_ON_DELIVER_M5 ||
	       hook == HOOK_ON_AUTH_M5;
}

/* An MQTT string: UTF-8 without U+0000. */
static bool is_mqtt_string(struct bytes text)
{
	const uint8_t *p = text.data;

	for (size_t i = 0, n; i < text.len; i += n) {
		n = p[i] ? utf8_sequence(p + i, text.len - i) : 0;
		if (!n)
			return false;
	}
	return text.len <= 65535;
}

/* The limits of the modifiers that are plain values. What a modifier may be
 * apart from these was recorded. */
static const struct limit {
	const char *name;
	bool property;
	double min, max;
	const char *words; /* " one of these " */
} limits[] = {
	{ "max_message_size", false, 0, 9e15, NULL },
	{ "max_message_rate", false, 0, 9e15, NULL },
	{ "max_connection_lifetime", false, 0, 9e15, NULL },
	{ "shared_subscription_policy", false, 0, 0,
	  " prefer_local random local_only prefer_online_before_local " },
	{ "queue_type", false, 0, 0, " fifo lifo " },
	{ "p_session_expiry_interval", true, 0, 4294967295, NULL },
	{ "p_message_expiry_interval", true, 0, 4294967295, NULL },
	{ "p_will_delay_interval", true, 0, 4294967295, NULL },
};

static bool is_word(const char *words, struct bytes word)
{
	const char *at = memmem(words, strlen(words), word.data, word.len);

	return word.len && at && at[-1] == ' ' && at[word.len] == ' ' &&
	       !memchr(word.data, ' ', word.len);
}

static bool within(const struct json *j, const struct limit *limit)
{
	if (!j)
		return true;
	if (limit->words)
		return j->kind != JSON_STRING || is_word(limit->words, j->text);
	return j->kind != JSON_NUMBER ||
	       (j->number >= limit->min && j->number <= limit->max);
}

/* ---- decision 3 ---- */

static bool strict_json(struct view *v, struct conclusion *c)
{
	if (c->outcome == OUTCOME_REFUSED || (v->tree && v->depth <= 32))
		return false;
	refuse(c);
	return true;
}

static bool has_nul(const struct json *j, bool base64_payload)
{
	static const char *const bytes[] = { "payload", "p_correlation_data" };

	if (!j)
		return false;
	for (size_t i = base64_payload; i < 2; i++)
		if (j->key.data && strcmp(j->key.data, bytes[i]) == 0)
			return false;
	if (j->kind == JSON_STRING && memchr(j->text.data, '\0', j->text.len))
		return true;
	for (const struct json *c = j->child; c; c = c->next)
		if (has_nul(c, base64_payload))
			return true;
	return false;
}

static bool c_string(struct view *v, struct conclusion *c)
{
	const struct json *what = is_on_top(v->hook) ? v->topics : v->modifiers;

	if (c->outcome != OUTCOME_OK || !has_nul(what, v->base64_payload))
		return false;
	refuse(c);
	return true;
}

/* ---- decision 24 ---- */

static bool last_modifier(struct view *v, struct conclusion *c)
{
	bool changed = false;

	if (c->outcome != OUTCOME_OK || is_on_top(v->hook) || !v->modifiers)
		return false;
	for (const struct json *m = v->modifiers->child; m; m = m->next) {
		const struct json *last = json_last(v->modifiers, m->key.data);
		struct json *now = json_get(c->modifiers, m->key.data);

		if (m == last || !now || json_equal(now, last))
			continue;
		/* Plain values only; one of another kind cannot be right. */
		if (last->kind != now->kind) {
			refuse(c);
			return true;
		}
		json_set(v->arena, c->modifiers, m->key.data,
			 json_copy(v->arena, last));
		changed = true;
	}
	return changed;
}

/* ---- decision 2 ---- */

/* The one empty container that this reply consists of. */
static bool empty_is_none(struct view *v, struct conclusion *c)
{
	const struct json *topics = json_get(v->modifiers, "topics");
	bool found = false;

	if (!json_text_is(json_get(v->tree, "result"), "ok"))
		return false;
	if (is_on_top(v->hook))
		found = is_empty(v->topics) && v->topics->kind != JSON_ARRAY;
	else if (is_empty(v->modifiers))
		found = v->modifiers->kind != JSON_ARRAY;
	else if (json_count(v->modifiers) == 1 &&
		 v->hook == HOOK_AUTH_ON_SUBSCRIBE_M5)
		found = is_empty(topics) && topics->kind != JSON_ARRAY;
	else if (json_count(v->modifiers) == 1 &&
		 v->hook == HOOK_ON_UNSUBSCRIBE_M5)
		found = is_empty(topics);
	else if (json_count(v->modifiers) == 1 && takes_properties(v->hook))
		found = is_empty(v->properties);
	if (!found || (c->outcome == OUTCOME_OK && !c->modifiers->child))
		return false;
	allow(v, c);
	return true;
}

/* ---- decision 23 ---- */

/* Whether the reply is ok and says nothing but this one property. */
static bool is_only_property(struct view *v, const char *name)
{
	return json_text_is(json_get(v->tree, "result"), "ok") &&
	       takes_properties(v->hook) && v->hook != HOOK_ON_AUTH_M5 &&
	       json_count(v->modifiers) == 1 &&
	       json_count(v->properties) == 1 && json_get(v->properties, name);
}

static void set_properties(struct view *v, struct conclusion *c,
			   const char *name, struct json *value)
{
	struct json *properties = json_get(c->modifiers, "properties");

	if (!properties) {
		properties = json_new(v->arena, JSON_OBJECT);
		json_set(v->arena, c->modifiers, "properties", properties);
	}
	if (value)
		json_set(v->arena, properties, name, value);
	else
		json_drop(properties, name);
}

static bool no_user_properties(struct view *v, struct conclusion *c)
{
	if (!is_empty(json_get(v->properties, "p_user_property")) ||
	    c->outcome == OUTCOME_NEXT)
		return false;
	if (c->outcome != OUTCOME_OK) {
		if (!is_only_property(v, "p_user_property"))
			return false;
		allow(v, c);
	}
	set_properties(v, c, "p_user_property", NULL);
	return true;
}

static bool unspecified(struct view *v, struct conclusion *c)
{
	static const char name[] = "p_payload_format_indicator";
	const struct json *given = json_get(v->properties, name);

	if (v->hook == HOOK_AUTH_ON_REGISTER_M5 || c->outcome == OUTCOME_NEXT ||
	    (!json_text_is(given, "undefined") &&
	     !json_text_is(given, "unspecified")))
		return false;
	if (c->outcome != OUTCOME_OK) {
		if (!is_only_property(v, name))
			return false;
		allow(v, c);
	}
	set_properties(v, c, name,
		       json_new_text(v->arena, bytes_of("unspecified")));
	return true;
}

/* ---- decision 22 ---- */

static bool decode(struct view *v, const struct json *text, struct bytes *ret)
{
	size_t len = 0;
	char *to;

	if (!text || text->kind != JSON_STRING)
		return false;
	to = json_alloc(v->arena, text->text.len + 1);
	if (sodium_base642bin((unsigned char *)to, text->text.len,
			      text->text.data, text->text.len, " \t\r\n", &len,
			      NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return false;
	*ret = (struct bytes){ to, len };
	return true;
}

/* The pairs of a list by name. NULL when an item is no pair of MQTT strings;
 * `*ret_carried` then tells whether it was but for MQTT. */
static struct json *pairs_by_name(struct view *v, const struct json *list,
				  bool *ret_carried)
{
	struct json *pairs = json_new(v->arena, JSON_ARRAY);

	*ret_carried = true;
	if (list->kind != JSON_ARRAY)
		return NULL;
	for (const struct json *item = list->child; item; item = item->next) {
		struct json *pair = json_new(v->arena, JSON_ARRAY);
		struct bytes key, val;

		if (!decode(v, json_get(item, "key"), &key) ||
		    !decode(v, json_get(item, "val"), &val))
			return NULL;
		*ret_carried = is_mqtt_string(key) && is_mqtt_string(val);
		if (!*ret_carried)
			return NULL;
		json_append(pair, json_new_text(v->arena, key));
		json_append(pair, json_new_text(v->arena, val));
		json_append(pairs, pair);
	}
	return pairs;
}

static bool user_property_by_name(struct view *v, struct conclusion *c)
{
	const struct json *list = json_get(v->properties, "p_user_property");
	struct json *pairs, *now;
	bool carried;

	if (!list || is_empty(list) || c->outcome == OUTCOME_NEXT)
		return false;
	pairs = pairs_by_name(v, list, &carried);
	if (!carried)
		return false; /* for out_of_range() */
	if (!pairs) {
		if (c->outcome == OUTCOME_REFUSED)
			return false;
		refuse(c);
		return true;
	}
	if (c->outcome == OUTCOME_REFUSED) {
		if (!is_only_property(v, "p_user_property"))
			return false;
		allow(v, c);
	}
	now = json_get(json_get(c->modifiers, "properties"), "p_user_property");
	if (json_equal(now, pairs))
		return false;
	set_properties(v, c, "p_user_property", pairs);
	return true;
}

/* ---- decision 28 ---- */

static bool is_below(const struct json *topic, const char *root)
{
	size_t n = strlen(root);

	return topic && topic->kind == JSON_STRING && topic->text.len >= n &&
	       memcmp(topic->text.data, root, n) == 0 &&
	       (topic->text.len == n ||
		((const char *)topic->text.data)[n] == '/');
}

static bool reserved_topic(struct view *v, struct conclusion *c)
{
	const struct json *topic, *list;
	bool found;

	(void)v;
	if (c->outcome != OUTCOME_OK)
		return false;
	topic = json_get(c->modifiers, "topic");
	found = is_below(topic, "$SYS") || is_below(topic, "$CONTROL") ||
		is_below(topic, "$share");
	list = json_get(c->modifiers, "topics");
	for (const struct json *t = list ? list->child : NULL; t; t = t->next)
		found |= is_below(t, "$CONTROL") ||
			 is_below(json_get(t, "topic"), "$CONTROL");
	if (found)
		refuse(c);
	return found;
}

/* ---- decision 1 ---- */

static bool has_bad_user_property(struct view *v)
{
	const struct json *list = json_get(v->properties, "p_user_property");
	bool carried;

	return list && !is_empty(list) && !pairs_by_name(v, list, &carried) &&
	       !carried;
}

/* A string that MQTT's two-byte length cannot count. */
static bool has_long_string(const struct json *object)
{
	for (struct json *m = object ? object->child : NULL; m; m = m->next)
		if (m->kind == JSON_STRING && m->text.len > 65535 &&
		    strcmp(m->key.data, "payload") != 0)
			return true;
	return false;
}

static bool out_of_range(struct view *v, struct conclusion *c)
{
	const struct json *throttle = json_get(v->modifiers, "throttle");
	bool found = false;

	if (c->outcome != OUTCOME_OK || is_on_top(v->hook))
		return false;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		found |= !within(json_last(limits[i].property ? v->properties
							      : v->modifiers,
					   limits[i].name),
				 &limits[i]);
	if (throttle && throttle->kind == JSON_NUMBER)
		found |= throttle->number <
			 (v->hook == HOOK_AUTH_ON_PUBLISH ? 1 : 0);
	found |= has_bad_user_property(v) || has_long_string(v->modifiers) ||
		 has_long_string(v->properties);
	if (found)
		refuse(c);
	return found;
}

static bool is_bool(const struct json *j)
{
	return !j || j->kind == JSON_TRUE || j->kind == JSON_FALSE;
}

/* VerneMQ takes an empty list for an empty string, and looks at no flag of a
 * subscription. */
static bool has_wrong_type(struct view *v)
{
	static const char *const bytes[] = { "payload",
					     "p_authentication_data" };
	const struct json *list = json_get(v->modifiers, "topics");

	for (int i = 0; i < 2; i++) {
		const struct json *m =
			json_get(i ? v->properties : v->modifiers, bytes[i]);

		if (m && m->kind == JSON_ARRAY)
			return true;
	}
	if (v->hook != HOOK_AUTH_ON_SUBSCRIBE_M5 || !list)
		return false;
	for (const struct json *t = list->child; t; t = t->next) {
		const struct json *rh = json_get(t, "retain_handling");

		if (!is_bool(json_get(t, "no_local")) ||
		    !is_bool(json_get(t, "rap")) ||
		    (rh && rh->kind != JSON_STRING))
			return true;
	}
	return false;
}

static bool wrong_type(struct view *v, struct conclusion *c)
{
	bool found = false;

	if (c->outcome == OUTCOME_NEXT)
		found = v->hook == HOOK_ON_UNSUBSCRIBE && v->topics &&
			json_text_is(json_get(v->tree, "result"), "ok");
	else if (c->outcome == OUTCOME_OK && !is_on_top(v->hook))
		found = has_wrong_type(v);
	if (found)
		refuse(c);
	return found;
}

static bool cut_off(struct view *v, struct conclusion *c)
{
	if (c->outcome == OUTCOME_REFUSED ||
	    json_number(v->answer, "content_length", 0) <= (double)v->body.len)
		return false;
	refuse(c);
	return true;
}

/* ---- decision 7 ---- */

static bool whole_call(struct view *v, struct conclusion *c)
{
	const struct json *chunks = json_get(v->answer, "chunks");
	double ms = json_number(v->answer, "delay_ms", 0) +
		    json_number(v->answer, "chunk_delay_ms", 0) *
			    (double)json_count(chunks);

	if (c->outcome == OUTCOME_REFUSED ||
	    ms <= json_number(v->options, "response_timeout", 5000))
		return false;
	refuse(c);
	return true;
}

/* ---- all of a reply ---- */

static bool (*const reply_rules[RULE_COUNT])(struct view *,
					     struct conclusion *) = {
	[RULE_STRICT_JSON] = strict_json,
	[RULE_C_STRING] = c_string,
	[RULE_LAST_MODIFIER] = last_modifier,
	[RULE_EMPTY_IS_NONE] = empty_is_none,
	[RULE_NO_USER_PROPERTIES] = no_user_properties,
	[RULE_UNSPECIFIED] = unspecified,
	[RULE_USER_PROPERTY_BY_NAME] = user_property_by_name,
	[RULE_RESERVED_TOPIC] = reserved_topic,
	[RULE_OUT_OF_RANGE] = out_of_range,
	[RULE_WRONG_TYPE] = wrong_type,
	[RULE_CUT_OFF] = cut_off,
	[RULE_WHOLE_CALL] = whole_call,
};

/* The bytes that the answer's body consists of. */
static struct bytes body_of(struct json_arena *a, const struct json *answer)
{
	const struct json *chunks = json_get(answer, "chunks");
	const struct json *body = json_get(answer, "body");
	size_t len = 0;
	char *to;

	if (!chunks)
		return body && body->kind == JSON_STRING ? body->text
							 : bytes_of("");
	for (struct json *c = chunks->child; c; c = c->next)
		len += c->text.len;
	to = json_alloc(a, len + 1);
	len = 0;
	for (struct json *c = chunks->child; c; c = c->next) {
		memcpy(to + len, c->text.data, c->text.len);
		len += c->text.len;
	}
	return (struct bytes){ to, len };
}

static struct view view_of(struct json_arena *a, enum hook_id hook,
			   const struct json *options,
			   const struct json *answer)
{
	struct view v = {
		.arena = a, .hook = hook, .options = options, .answer = answer
	};

	v.body = body_of(a, answer);
	v.tree = json_parse(a, v.body.data, v.body.len, NULL, &v.depth);
	v.modifiers = json_get(v.tree, "modifiers");
	v.topics = json_get(v.tree, "topics");
	v.properties = json_last(v.modifiers, "properties");
	v.base64_payload = trial_options(options).base64_payload;
	return v;
}

/* Answers whose text the rules need not read: no 200, or no HTTP of ours. */
static bool is_plain(const struct json *answer)
{
	return json_number(answer, "status", 200) == 200 &&
	       !json_get(answer, "raw") && !json_is_true(answer, "drop");
}

/* ---- decision 9: how long a reply is kept ---- */

/* Every Cache-Control header, joined; "" without one. */
static char *cache_control_of(struct json_arena *a, const struct json *answer,
			      double *ret_age)
{
	const struct json *headers = json_get(answer, "headers");
	enum {
		SIZE = 4096
	};
	char *to = json_alloc(a, SIZE);
	size_t used = 0;

	*ret_age = 0;
	for (struct json *h = headers ? headers->child : NULL; h; h = h->next) {
		const char *name = h->child->text.data;
		const char *value = h->child->next->text.data;

		if (strcasecmp(name, "cache-control") == 0) {
			used += (size_t)snprintf(to + used, SIZE - used, "%s,",
						 value);
			if (used >= SIZE)
				used = SIZE - 1;
		}
		if (strcasecmp(name, "age") == 0)
			*ret_age = strtod(value, NULL);
	}
	return to;
}

/* One directive without blanks around it. False: malformed. */
static bool judge_directive(char *d, double *max_age, bool *none)
{
	char *value = strchr(d, '='), *end;
	double seconds;

	if (value)
		*value++ = '\0';
	if (!*d || strpbrk(d, " \t;\""))
		return false;
	if (value && *value == '"' && strlen(value) > 1 &&
	    value[strlen(value) - 1] == '"') {
		value[strlen(value) - 1] = '\0';
		value++;
	}
	if (strcasecmp(d, "no-store") == 0 || strcasecmp(d, "no-cache") == 0)
		*none = true;
	if (value && strpbrk(value, " \t;\""))
		return false;
	if (strcasecmp(d, "max-age") != 0)
		return true;
	if (!value || !isdigit((unsigned char)*value))
		return false;
	seconds = strtod(value, &end);
	if (*end || strspn(value, "0123456789") != strlen(value) ||
	    (*max_age >= 0 && *max_age != seconds))
		return false;
	*max_age = seconds;
	return true;
}

static double life_ms(struct json_arena *a, const struct json *answer)
{
	double age, max_age = -1, life;
	char *text = cache_control_of(a, answer, &age), *d;
	bool none = false;

	while ((d = strsep(&text, ","))) {
		d += strspn(d, " \t");
		while (*d && strchr(" \t", d[strlen(d) - 1]))
			d[strlen(d) - 1] = '\0';
		if (*d && !judge_directive(d, &max_age, &none))
			return 0;
	}
	life = max_age - age;
	if (none || life <= 0)
		return 0;
	return fmin(life, 30 * 86400) * 1000;
}

/* What several calls come to, with a cache that keeps for `life_ms`. */
static void apply_cache_control(struct json_arena *a, enum hook_id hook,
				const struct json *kase, struct expected *e)
{
	const struct json *answer = json_get(kase, "response");
	double pause = json_number(kase, "delay_between_calls_ms", 0);
	double life = life_ms(a, answer), now = 0, until = 0;
	struct conclusion first = e->calls[0], kept = first;
	unsigned requests = 0;
	int cached;

	if (!hook_table[hook].cacheable || first.outcome != OUTCOME_OK)
		life = 0;
	if (kept.modifiers) {
		kept.modifiers = json_copy(a, kept.modifiers);
		json_drop(kept.modifiers, "payload");
	}
	for (size_t i = 0; i < e->calls_count; i++, now += pause) {
		bool hit = now < until;

		e->calls[i] = hit ? kept : first;
		requests += !hit;
		if (!hit && life > 0)
			until = now + life;
	}
	cached = until > now - pause;
	if (requests == e->requests && (e->cached < 0 || cached == e->cached))
		return;
	e->requests = requests;
	e->cached = cached;
	e->used |= 1u << RULE_CACHE_CONTROL;
}

void rules_for_response(struct json_arena *a, enum hook_id hook,
			const struct json *kase, struct expected *e)
{
	const struct json *answer = json_get(kase, "response");
	double age;

	if (hook_table[hook].kind == HOOK_TELLS || !is_plain(answer))
		return;
	for (size_t i = 0; i < e->calls_count; i++) {
		struct view v =
			view_of(a, hook, json_get(kase, "options"), answer);

		for (int id = 0; id < RULE_COUNT; id++)
			if (reply_rules[id] &&
			    reply_rules[id](&v, &e->calls[i]))
				e->used |= 1u << id;
	}
	if (*cache_control_of(a, answer, &age))
		apply_cache_control(a, hook, kase, e);
}

/* ---- requests ---- */

static uint32_t fix_user_property(struct json_arena *a, const struct json *kase,
				  const struct json *given,
				  struct json *properties)
{
	struct json *list = json_new(a, JSON_ARRAY);
	struct json *now = json_get(properties, "p_user_property");

	if (!now)
		return 0;
	if (is_empty(now)) {
		json_drop(properties, "p_user_property");
		return 1u << RULE_NO_USER_PROPERTIES;
	}
	if (!json_get(json_get(kase, "options"), "base64") ||
	    json_is_true(json_get(kase, "options"), "base64"))
		return 0;
	for (struct json *pair = given->child; pair; pair = pair->next) {
		struct json *item = json_new(a, JSON_OBJECT);

		for (int i = 0; i < 2; i++) {
			struct bytes half =
				(i ? pair->child->next : pair->child)->text;
			size_t size = sodium_base64_encoded_len(
				half.len, sodium_base64_VARIANT_ORIGINAL);
			char *text = json_alloc(a, size);

			sodium_bin2base64(text, size, half.data, half.len,
					  sodium_base64_VARIANT_ORIGINAL);
			json_set(a, item, i ? "val" : "key",
				 json_new_text(a, bytes_of(text)));
		}
		json_append(list, item);
	}
	json_set(a, properties, "p_user_property", list);
	return 1u << RULE_USER_PROPERTY_BY_NAME;
}

uint32_t rules_for_request(struct json_arena *a, const struct json *kase,
			   struct json *body)
{
	const struct json *args = json_get(kase, "args");
	const struct json *given = json_get(args, "properties");
	const struct json *conn = json_get(args, "conn");
	const struct json *cert = json_get(conn, "client_cert");
	struct json *properties = json_get(body, "properties");
	uint32_t used;

	used = fix_user_property(a, kase, json_get(given, "p_user_property"),
				 properties);
	if (json_text_is(json_get(properties, "p_payload_format_indicator"),
			 "undefined")) {
		json_set(a, properties, "p_payload_format_indicator",
			 json_new_text(a, bytes_of("unspecified")));
		used |= 1u << RULE_UNSPECIFIED;
	}
	if (cert && cert->kind == JSON_NULL) {
		json_drop(body, "client_cert");
		used |= 1u << RULE_NO_CERTIFICATE;
	}
	return used;
}
