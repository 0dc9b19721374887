#include "plugin/admin/trial_event.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "conf/conf.h"
#include "plugin/hook_table.h"

#define V3(name)   (1u << HOOK_##name)
#define BOTH(name) (1u << HOOK_##name | 1u << HOOK_##name##_M5)

#define REGISTERS BOTH(AUTH_ON_REGISTER)
#define PEERS     (REGISTERS | BOTH(ON_REGISTER))
#define DELIVERS  BOTH(ON_DELIVER)
#define PUBLISHES (BOTH(AUTH_ON_PUBLISH) | BOTH(ON_PUBLISH) | DELIVERS)
#define MESSAGES  (PUBLISHES | V3(ON_OFFLINE_MESSAGE))
#define FILTERS                                                                \
	(BOTH(AUTH_ON_SUBSCRIBE) | BOTH(ON_SUBSCRIBE) | BOTH(ON_UNSUBSCRIBE))
#define QOS (MESSAGES | BOTH(AUTH_ON_SUBSCRIBE) | BOTH(ON_SUBSCRIBE))
/* VerneMQ tells these of the client id alone. */
#define NAMELESS                                                               \
	(V3(ON_OFFLINE_MESSAGE) | V3(ON_CLIENT_WAKEUP) |                       \
	 V3(ON_CLIENT_OFFLINE) | V3(ON_CLIENT_GONE) | V3(ON_SESSION_EXPIRED))
#define ALL   ((1u << HOOK_COUNT) - 1)
#define NAMED (ALL & ~NAMELESS)
/* Those whose requests have a message's properties. */
#define M5_MESSAGES                                                            \
	(1u << HOOK_AUTH_ON_PUBLISH_M5 | 1u << HOOK_ON_PUBLISH_M5 |            \
	 1u << HOOK_ON_DELIVER_M5)
#define AUTH_M5 (1u << HOOK_ON_AUTH_M5)

enum field_type {
	FIELD_TEXT,
	FIELD_NUMBER, /* up to `max` */
	FIELD_BOOL,
	FIELD_PROPERTY, /* a text, of the id `max` */
};

static const struct field_def {
	const char *name;
	uint32_t hooks;
	enum field_type type;
	size_t offset; /* in struct trial_event */
	unsigned max;
} field_table[] = {
#define TEXT(name, hooks, member)                                              \
	{                                                                      \
		name, hooks, FIELD_TEXT, offsetof(struct trial_event, member), \
			0                                                      \
	}
	TEXT("mountpoint", ALL, ev.mountpoint),
	TEXT("client_id", ALL, ev.client_id),
	TEXT("username", NAMED, ev.username),
	TEXT("password", REGISTERS, ev.password),
	TEXT("peer_addr", PEERS, ev.peer_addr),
	{ "peer_port", PEERS, FIELD_NUMBER,
	  offsetof(struct trial_event, ev.peer_port), 65535 },
	{ "clean_session", V3(AUTH_ON_REGISTER), FIELD_BOOL,
	  offsetof(struct trial_event, ev.clean), 0 },
	{ "clean_start", 1u << HOOK_AUTH_ON_REGISTER_M5, FIELD_BOOL,
	  offsetof(struct trial_event, ev.clean), 0 },
	TEXT("topic", MESSAGES | FILTERS, ev.topic),
	{ "qos", QOS, FIELD_NUMBER, offsetof(struct trial_event, ev.qos), 2 },
	TEXT("payload", MESSAGES, ev.payload),
	{ "retain", MESSAGES, FIELD_BOOL,
	  offsetof(struct trial_event, ev.retain), 0 },
	{ "p_content_type", M5_MESSAGES, FIELD_PROPERTY, 0, 3 },
	{ "p_response_topic", M5_MESSAGES, FIELD_PROPERTY, 0, 8 },
	{ "p_correlation_data", M5_MESSAGES, FIELD_PROPERTY, 0, 9 },
	{ "p_authentication_method", AUTH_M5, FIELD_PROPERTY, 0, 21 },
	{ "p_authentication_data", AUTH_M5, FIELD_PROPERTY, 0, 22 },
#undef TEXT
};

enum {
	FIELDS = sizeof(field_table) / sizeof(field_table[0])
};

static int wrong_value(const struct field_def *def, const char *text,
		       const char *allowed, char reterr[static ADMIN_ERROR_LEN])
{
	snprintf(reterr, ADMIN_ERROR_LEN, "%s is %s, not \"%.100s\"", def->name,
		 allowed, text);
	return -EINVAL;
}

static int set_number(const struct field_def *def, const char *text, void *to,
		      char reterr[static ADMIN_ERROR_LEN])
{
	size_t digits = strspn(text, "0123456789");
	unsigned long n = ULONG_MAX;
	char allowed[48];

	if (digits && digits < 10 && !text[digits])
		n = strtoul(text, NULL, 10);
	if (n > def->max) {
		snprintf(allowed, sizeof(allowed), "a number up to %u",
			 def->max);
		return wrong_value(def, text, allowed, reterr);
	}
	if (def->max > UINT8_MAX)
		*(uint16_t *)to = (uint16_t)n;
	else
		*(uint8_t *)to = (uint8_t)n;
	return 0;
}

static int set_bool(const struct field_def *def, const char *text, bool *to,
		    char reterr[static ADMIN_ERROR_LEN])
{
	*to = strcmp(text, "true") == 0;
	return *to || strcmp(text, "false") == 0
		       ? 0
		       : wrong_value(def, text, "true or false", reterr);
}

static int set(struct trial_event *t, const struct field_def *def,
	       const char *text, char reterr[static ADMIN_ERROR_LEN])
{
	void *to = (char *)t + def->offset;

	switch (def->type) {
	case FIELD_NUMBER:
		return set_number(def, text, to, reterr);
	case FIELD_BOOL:
		return set_bool(def, text, to, reterr);
	case FIELD_PROPERTY:
		t->properties[t->ev.properties_count++] = (struct property){
			.id = (int)def->max,
			.text = bytes_of(text),
		};
		return 0;
	default:
		*(struct bytes *)to = bytes_of(text);
		return 0;
	}
}

static int no_such_field(enum hook_id hook, const char *name,
			 char reterr[static ADMIN_ERROR_LEN])
{
	const char *names[FIELDS + 1] = { NULL }, *near;
	size_t n = 0;
	int len;

	for (size_t i = 0; i < FIELDS; i++) {
		if (field_table[i].hooks & 1u << hook)
			names[n++] = field_table[i].name;
	}
	near = conf_nearest(name, names);
	if (near) {
		snprintf(reterr, ADMIN_ERROR_LEN,
			 "%s has no field \"%.100s\"; did you mean \"%s\"?",
			 hook_table[hook].name, name, near);
		return -EINVAL;
	}
	len = snprintf(reterr, ADMIN_ERROR_LEN,
		       "%s has no field \"%.100s\"; there are",
		       hook_table[hook].name, name);
	for (size_t i = 0; i < n && len < ADMIN_ERROR_LEN; i++)
		len += snprintf(reterr + len, ADMIN_ERROR_LEN - (size_t)len,
				"%s %s", i ? "," : "", names[i]);
	return -EINVAL;
}

static const struct field_def *find(enum hook_id hook, const char *name)
{
	for (size_t i = 0; i < FIELDS; i++) {
		if (field_table[i].hooks & 1u << hook &&
		    strcmp(field_table[i].name, name) == 0)
			return &field_table[i];
	}
	return NULL;
}

static void be_a_stranger(enum hook_id hook, struct trial_event *ret)
{
	*ret = (struct trial_event){
		.ev = {
			.hook = hook,
			.mountpoint = bytes_of(""),
			.client_id = bytes_of("vmq-admin-test"),
			.peer_addr = bytes_of("127.0.0.1"),
			.topic = bytes_of("vmq-admin/test"),
			.payload = bytes_of("test"),
			.clean = true,
		},
		/* sent where a webhook forwards it: not known */
		.listener = { .cert_unknown = true, .has_listener = true,
			      .port = -1 },
	};
}

int trial_event_make(enum hook_id hook, const struct admin_field *fields,
		     size_t n, struct trial_event *ret,
		     char reterr[static ADMIN_ERROR_LEN])
{
	struct event *ev = &ret->ev;

	be_a_stranger(hook, ret);
	ev->properties = ret->properties;
	for (size_t i = 0; i < n; i++) {
		const struct field_def *def = find(hook, fields[i].name);
		int err;

		if (!def)
			return no_such_field(hook, fields[i].name, reterr);
		err = set(ret, def, fields[i].text, reterr);
		if (err)
			return err;
	}
	if (FILTERS & 1u << hook) {
		ret->topic.filter = ev->topic;
		ret->topic.qos = ev->qos;
		ev->topics = &ret->topic;
		ev->topics_count = 1;
	}
	if (REGISTERS & 1u << hook)
		ev->listener = &ret->listener;
	return 0;
}
