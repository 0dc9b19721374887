/*
 * settings_table.c - every key that an operator may set, one row each, and
 * the way from there to a settings value.
 */
#include "plugin/settings/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include "plugin/hook_table.h"
#include "plugin/settings/settings_address.h"
#include "plugin/settings/settings_private.h"
#include "plugin/topic.h"
#include "pool/pool.h"

enum {
	NAME_MAX_LEN = 128,
	PATH_MAX_LEN = 4000, /* with room for what is put behind it */
};

/* A listener of which the mountpoint was read. */
struct mount_draft {
	struct mount_draft *next;
	unsigned port;
	char *mountpoint;
};

/* What the sections fill. */
struct drafts {
	struct settings *settings;
	struct draft *first;
	size_t count;
	struct mount_draft *mounts;
	struct call_draft call; /* of all webhooks */
};

/* ---- checks ---- */

static int check_socket(const char *value, char reterr[static CONF_REASON_LEN])
{
	size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (*value == '/' && strlen(value) <= max)
		return 0;
	snprintf(reterr, CONF_REASON_LEN,
		 "no socket path; allowed: an absolute path of at most %zu "
		 "bytes",
		 max);
	return -EINVAL;
}

static int check_persist_file(const char *value,
			      char reterr[static CONF_REASON_LEN])
{
	if (*value == '/' && value[strlen(value) - 1] != '/' &&
	    strlen(value) <= PATH_MAX_LEN)
		return 0;
	snprintf(reterr, CONF_REASON_LEN,
		 "no file; allowed: an absolute path of at most %d bytes",
		 PATH_MAX_LEN);
	return -EINVAL;
}

static int check_listen(const char *value, char reterr[static CONF_REASON_LEN])
{
	struct settings_address address;

	if (settings_address_parse(value, &address) == 0)
		return 0;
	snprintf(reterr, CONF_REASON_LEN,
		 "no address to listen on; allowed: 127.0.0.1:9883, "
		 "[::1]:9883, no names");
	return -EINVAL;
}

/* Mosquitto puts `mount_point` before a topic as it stands. */
static int check_mountpoint(const char *value,
			    char reterr[static CONF_REASON_LEN])
{
	if (*value != '$' && topic_name_valid(bytes_of(value)))
		return 0;
	snprintf(reterr, CONF_REASON_LEN,
		 "no mountpoint; allowed: what the listener's mount_point is, "
		 "without wildcards and not beginning with $");
	return -EINVAL;
}

static int set_admin_users(void *obj, const char *name, const char *value,
			   char reterr[static CONF_REASON_LEN])
{
	struct settings *s = obj;

	(void)name;
	return settings_users_parse(&s->admin_users, value, reterr);
}

/* ---- the table ---- */

/* In the order of the enums in settings.h and broker.h. */
static const char *const default_policies[] = { "deny", "ignore", NULL };
static const char *const read_checks[] = { "auto", "allow", "defer", NULL };
static const char *const publish_denied[] = { "drop", "disconnect", NULL };
static const char *const log_levels[] = { "debug", "info", "warning", "error",
					  NULL };
static const char *const on_errors[] = { "deny", "next", "allow", NULL };

static const struct conf_directive plugins_keys[] = {
	{
		.name = "vmq_webhooks",
		.type = CONF_BOOL,
		.offset = offsetof(struct settings, enabled),
	},
	{ 0 },
};

/* VerneMQ's order of plugins: Mosquitto's is that of its plugin lines. */
static const struct conf_directive plugin_keys[] = {
	{ .name = "priority", .type = CONF_NONE },
	{ .name = "path", .type = CONF_NONE },
	{ 0 },
};

#define LIMIT(key, member, least, most, what)                                  \
	{                                                                      \
		.name = (key), .type = CONF_UINT,                              \
		.offset = offsetof(struct settings, limits.member),            \
		.min = (least), .max = (most), .unit = (what)                  \
	}

static const struct conf_directive global_keys[] = {
	LIMIT("pool_max_connections", pool_max_connections, 1,
	      SETTINGS_CONNECTIONS_MAX, NULL),
	LIMIT("pool_timeout", pool_timeout_ms, 1, SETTINGS_POOL_TIMEOUT_MAX_MS,
	      "ms"),
	LIMIT("blocking_timeout", blocking_timeout_ms, 1,
	      SETTINGS_TIMEOUT_MAX_MS, "ms"),
	LIMIT("blocking_budget", blocking_budget_ms, 1, SETTINGS_BUDGET_MAX_MS,
	      "ms"),
	LIMIT("breaker_failures", breaker_failures, 1, SETTINGS_BREAKER_MAX,
	      NULL),
	LIMIT("breaker_open", breaker_open_ms, SETTINGS_BREAKER_OPEN_MIN_MS,
	      SETTINGS_BREAKER_OPEN_MAX_MS, "ms"),
	LIMIT("max_queue", max_queue, 0, SETTINGS_QUEUE_MAX, NULL),
	LIMIT("max_queue_bytes", max_queue_bytes, 0, UINT32_MAX, "bytes"),
	LIMIT("retries", retries, 0, SETTINGS_RETRIES_MAX, NULL),
	LIMIT("max_event_age", max_event_age_ms, 1, SETTINGS_AGE_MAX_MS, "ms"),
	LIMIT("drain_timeout", drain_timeout_ms, 0, SETTINGS_DRAIN_MAX_MS,
	      "ms"),
	LIMIT("cache_max_bytes", cache_max_bytes, 0, UINT32_MAX, "bytes"),
	LIMIT("cache_jitter", cache_jitter, 0, SETTINGS_JITTER_MAX, "percent"),
	LIMIT("log_interval", log_interval_ms, 0, SETTINGS_LOG_INTERVAL_MAX_MS,
	      "ms"),
	{
		.name = "log_level",
		.type = CONF_CHOICE,
		.offset = offsetof(struct settings, log_level),
		.choices = log_levels,
	},
	{
		.name = "admin_socket",
		.type = CONF_STR,
		.offset = offsetof(struct settings, admin_socket),
		.check = check_socket,
	},
	{
		.name = "persist",
		.type = CONF_BOOL,
		.offset = offsetof(struct settings, persist),
	},
	{
		.name = "persist_file",
		.type = CONF_STR,
		.offset = offsetof(struct settings, persist_file),
		.check = check_persist_file,
	},
	{
		.name = "admin_users",
		.type = CONF_CALL,
		.set = set_admin_users,
	},
	{
		.name = "metrics_listen",
		.type = CONF_STR,
		.offset = offsetof(struct settings, metrics_listen),
		.check = check_listen,
	},
	{
		.name = "default_policy",
		.type = CONF_CHOICE,
		.offset = offsetof(struct settings, default_policy),
		.choices = default_policies,
	},
	{
		.name = "read_checks",
		.type = CONF_CHOICE,
		.offset = offsetof(struct settings, read_checks),
		.choices = read_checks,
	},
	{
		.name = "publish_denied",
		.type = CONF_CHOICE,
		.offset = offsetof(struct settings, publish_denied),
		.choices = publish_denied,
	},
	{
		.name = "mountpoint",
		.type = CONF_STR,
		.offset = offsetof(struct settings, mountpoint),
		.check = check_mountpoint,
	},
	{ .name = "clique_lead_line", .type = CONF_NONE },
	TRANSPORT_ROWS(struct settings, transport_keys),
	{ 0 },
};

const struct conf_directive settings_webhook_keys[] = {
	{
		.name = "hook",
		.type = CONF_CHOICE,
		.offset = offsetof(struct draft, hook),
		.choices = hook_names,
	},
	{
		.name = "endpoint",
		.type = CONF_STR,
		.offset = offsetof(struct draft, endpoint),
		.check = pool_check_url,
	},
	{
		.name = "base64encode",
		.type = CONF_BOOL,
		.offset = offsetof(struct draft, base64encode),
	},
	{
		.name = "no_payload",
		.type = CONF_BOOL,
		.offset = offsetof(struct draft, no_payload),
	},
	{
		.name = "response_timeout",
		.type = CONF_UINT,
		.offset = offsetof(struct draft, response_timeout),
		.min = SETTINGS_TIMEOUT_MIN_MS,
		.max = SETTINGS_TIMEOUT_MAX_MS,
		.unit = "ms",
	},
	{
		.name = "on_error",
		.type = CONF_CHOICE,
		.offset = offsetof(struct draft, on_error),
		.choices = on_errors,
	},
	{
		.name = "blocking",
		.type = CONF_BOOL,
		.offset = offsetof(struct draft, blocking),
	},
	{
		.name = "cache_refusals",
		.type = CONF_BOOL,
		.offset = offsetof(struct draft, cache_refusals),
	},
	{
		.name = "retries",
		.type = CONF_UINT,
		.offset = offsetof(struct draft, retries),
		.max = SETTINGS_RETRIES_MAX,
	},
	{
		.name = "max_event_age",
		.type = CONF_UINT,
		.offset = offsetof(struct draft, max_event_age),
		.min = 1,
		.max = SETTINGS_AGE_MAX_MS,
		.unit = "ms",
	},
	TRANSPORT_ROWS(struct draft, transport),
	{ 0 },
};

static const struct conf_directive listener_keys[] = {
	{
		.name = "mountpoint",
		.type = CONF_STR,
		.offset = offsetof(struct mount_draft, mountpoint),
		.check = check_mountpoint,
	},
	{ 0 },
};

static int open_settings(void *root, const char *segment, const char *place,
			 void **ret, char reterr[static CONF_REASON_LEN]);
static int open_draft(void *root, const char *segment, const char *place,
		      void **ret, char reterr[static CONF_REASON_LEN]);
static int open_listener(void *root, const char *segment, const char *place,
			 void **ret, char reterr[static CONF_REASON_LEN]);
static int open_call(void *root, const char *segment, const char *place,
		     void **ret, char reterr[static CONF_REASON_LEN]);

static const struct conf_section sections[] = {
	{ "plugins", plugins_keys, open_settings },
	{ "plugins.vmq_webhooks", plugin_keys, open_settings },
	{ "vmq_webhooks", global_keys, open_settings },
	{ "vmq_webhooks.*", settings_webhook_keys, open_draft },
	{ "vmq_webhooks.listener.*", listener_keys, open_listener },
	{ "vmq_webhooks", settings_call_keys, open_call },
	{ "vmq_webhooks.header", settings_header_keys, open_call },
	{ "vmq_webhooks.header_file", settings_header_file_keys, open_call },
	{ "vmq_webhooks.*", settings_call_keys, open_call },
	{ "vmq_webhooks.*.header", settings_header_keys, open_call },
	{ "vmq_webhooks.*.header_file", settings_header_file_keys, open_call },
	{ 0 },
};

static const char *const claims[] = {
	"plugins.vmq_webhooks",
	"vmq_webhooks",
	NULL,
};

static int open_settings(void *root, const char *segment, const char *place,
			 void **ret, char reterr[static CONF_REASON_LEN])
{
	struct drafts *drafts = root;

	(void)segment;
	(void)place;
	(void)reterr;
	*ret = drafts->settings;
	return 0;
}

/* ---- drafts ---- */

void draft_free(struct draft *d)
{
	if (!d)
		return;
	transport_keys_clear(&d->transport);
	conf_release(settings_webhook_keys, d);
	call_draft_clear(&d->call);
	free(d->name);
	free(d->place);
	free(d);
}

static void drafts_clear(struct drafts *drafts)
{
	while (drafts->first) {
		struct draft *d = drafts->first;

		drafts->first = d->next;
		draft_free(d);
	}
	while (drafts->mounts) {
		struct mount_draft *m = drafts->mounts;

		drafts->mounts = m->next;
		conf_release(listener_keys, m);
		free(m);
	}
	call_draft_clear(&drafts->call);
}

struct draft *draft_new(const char *name, const char *place)
{
	struct draft *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->name = name ? strdup(name) : NULL;
	d->place = place ? strdup(place) : NULL;
	d->hook = HOOK_COUNT;
	d->base64encode = true;
	d->response_timeout = SETTINGS_TIMEOUT_DEFAULT_MS;
	d->retries = DRAFT_UNSET;
	d->max_event_age = DRAFT_UNSET;
	call_draft_init(&d->call);
	transport_keys_init(&d->transport);
	if ((d->name || !name) && (d->place || !place))
		return d;
	draft_free(d);
	return NULL;
}

static bool name_valid(const char *name)
{
	if (strlen(name) > NAME_MAX_LEN || !topic_utf8_valid(bytes_of(name)))
		return false;
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || *name == 0x7f)
			return false;
	return true;
}

static int open_draft(void *root, const char *segment, const char *place,
		      void **ret, char reterr[static CONF_REASON_LEN])
{
	struct drafts *drafts = root;
	struct draft **at = &drafts->first;
	struct draft *d;

	while (*at && strcmp((*at)->name, segment) < 0)
		at = &(*at)->next;
	if (*at && strcmp((*at)->name, segment) == 0) {
		*ret = *at;
		return 0;
	}
	if (!name_valid(segment)) {
		snprintf(reterr, CONF_REASON_LEN,
			 "no name for a webhook; allowed: at most %d bytes "
			 "of UTF-8 without blanks",
			 NAME_MAX_LEN);
		return -EINVAL;
	}
	if (drafts->count >= SETTINGS_WEBHOOKS_MAX) {
		snprintf(reterr, CONF_REASON_LEN, "more than %d webhooks",
			 SETTINGS_WEBHOOKS_MAX);
		return -EINVAL;
	}
	d = draft_new(segment, place);
	if (!d)
		return -ENOMEM;
	d->next = *at;
	*at = d;
	drafts->count++;
	*ret = d;
	return 0;
}

/* What calls carry: of one webhook; without its name, of all. */
static int open_call(void *root, const char *segment, const char *place,
		     void **ret, char reterr[static CONF_REASON_LEN])
{
	struct drafts *drafts = root;
	void *draft;
	int err;

	if (!*segment) {
		*ret = &drafts->call;
		return 0;
	}
	err = open_draft(root, segment, place, &draft, reterr);
	if (!err)
		*ret = &((struct draft *)draft)->call;
	return err;
}

static int open_listener(void *root, const char *segment, const char *place,
			 void **ret, char reterr[static CONF_REASON_LEN])
{
	struct drafts *drafts = root;
	struct mount_draft *m;
	char *end;
	unsigned long port = strtoul(segment, &end, 10);

	(void)place;
	if (*segment < '1' || *segment > '9' || *end || port > 65535) {
		snprintf(reterr, CONF_REASON_LEN,
			 "no listener; allowed: its port, 1 to 65535");
		return -EINVAL;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->port = (unsigned)port;
	m->next = drafts->mounts;
	drafts->mounts = m;
	*ret = m;
	return 0;
}

/* ---- from drafts to settings ---- */

static int fail(struct conf_error *reterr, const struct draft *d,
		const char *what, const char *which)
{
	if (d->name)
		snprintf(reterr->text, sizeof(reterr->text),
			 "%.512s: vmq_webhooks.%s (its first key is here): "
			 "%s%s",
			 d->place, d->name, what, which);
	else
		snprintf(reterr->text, sizeof(reterr->text), "%s%s", what,
			 which);
	return -EINVAL;
}

/* Hooks that need not hold the broker, but can. */
static bool may_block(enum hook_id hook)
{
	return hook_table[hook].kind == HOOK_OFFERS ||
	       hook == HOOK_AUTH_ON_REGISTER ||
	       hook == HOOK_AUTH_ON_REGISTER_M5;
}

/* Keys that are not for every hook. */
static int check_draft(const struct draft *d, struct conf_error *reterr)
{
	enum hook_kind kind;

	if (!d->endpoint)
		return fail(reterr, d, "it has no ", "endpoint");
	if (d->hook == HOOK_COUNT)
		return fail(reterr, d, "it has no ", "hook");
	kind = hook_table[d->hook].kind;
	if (d->on_error != ON_ERROR_DENY && kind != HOOK_ASKS)
		return fail(reterr, d,
			    "on_error is for the hooks that decide: "
			    "auth_on_... and on_auth_m5, not ",
			    hook_table[d->hook].name);
	if (d->blocking && !may_block(d->hook))
		return fail(reterr, d,
			    "blocking is for auth_on_register, "
			    "on_deliver and on_unsubscribe, not ",
			    hook_table[d->hook].name);
	if (d->cache_refusals && !hook_table[d->hook].cacheable)
		return fail(reterr, d,
			    "cache_refusals is for auth_on_register, "
			    "auth_on_publish and auth_on_subscribe, not ",
			    hook_table[d->hook].name);
	if ((d->retries != DRAFT_UNSET || d->max_event_age != DRAFT_UNSET) &&
	    kind == HOOK_ASKS)
		return fail(reterr, d,
			    "retries and max_event_age are for the hooks that "
			    "tell, not ",
			    hook_table[d->hook].name);
	return 0;
}

static uint32_t set_or(uint32_t set, uint32_t otherwise)
{
	return set != DRAFT_UNSET ? set : otherwise;
}

static int out_of_memory(struct conf_error *reterr)
{
	snprintf(reterr->text, sizeof(reterr->text), "out of memory");
	return -ENOMEM;
}

/* One way for all who set the same: its files are read once. */
static struct transport_settings *find_transport(const struct settings *s,
						 const char *id)
{
	if (strcmp(s->transport->id, id) == 0)
		return s->transport;
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++) {
			const struct webhook *w = &s->chain[h][i];

			if (strcmp(w->transport->id, id) == 0)
				return w->transport;
		}
	}
	return NULL;
}

/* Returns 0 with one reference, or -EINVAL or -ENOMEM. */
static int make_transport(const struct settings *s, const struct draft *d,
			  struct transport_settings **ret,
			  struct conf_error *reterr)
{
	struct transport_settings *other;
	char why[256] = "", id[TRANSPORT_ID];
	int err;

	transport_settings_id(&d->transport, &s->transport_keys, id);
	other = find_transport(s, id);
	if (other) {
		*ret = transport_settings_ref(other);
		return 0;
	}
	err = transport_settings_load(&d->transport, &s->transport_keys, ret,
				      why);
	if (err == -EINVAL)
		return fail(reterr, d, why, "");
	return err ? out_of_memory(reterr) : 0;
}

static int make_webhook(struct settings *s, struct draft *d,
			struct conf_error *reterr)
{
	struct webhook webhook = {
		.hook = d->hook,
		.name = d->registration ? NULL : d->name,
		.registration = d->registration,
		.endpoint = d->endpoint,
		.timeout_ms = d->response_timeout,
		.on_error = d->on_error,
		.blocking = d->blocking,
		.cache_refusals = d->cache_refusals,
		.retries = set_or(d->retries, s->limits.retries),
		.max_event_age_ms =
			set_or(d->max_event_age, s->limits.max_event_age_ms),
		.codec = { d->base64encode, d->no_payload },
	};
	char reason[CONF_REASON_LEN] = "";
	int err;

	err = make_transport(s, d, &webhook.transport, reterr);
	if (err)
		return err;
	err = call_draft_finish(&d->call, s, d->hook, &webhook.call, reason);
	if (err == -EINVAL)
		fail(reterr, d, reason, "");
	if (!err) {
		webhook.options = draft_show(d, s, &webhook.call);
		err = webhook.options ? settings_append(s, &webhook, NULL)
				      : -ENOMEM;
	}
	if (err == -ENOMEM)
		out_of_memory(reterr);
	free(webhook.options);
	credentials_unref(webhook.call.credentials);
	transport_settings_unref(webhook.transport);
	return err;
}

int draft_append(struct settings *s, struct draft *d, struct conf_error *reterr)
{
	int err = check_draft(d, reterr);

	return err ? err : make_webhook(s, d, reterr);
}

static int add_webhook(struct settings *s, struct draft *d,
		       struct conf_error *reterr)
{
	const struct webhook *other;
	int err;

	err = check_draft(d, reterr);
	if (err)
		return err;
	other = settings_find(s, d->hook, d->endpoint);
	if (other)
		return fail(reterr, d,
			    "hook and endpoint are those of vmq_webhooks.",
			    other->name);
	return make_webhook(s, d, reterr);
}

/* What holds for all has no place of its own when its keys do not fit. */
static int make_default_transport(struct settings *s, struct conf_error *reterr)
{
	char why[256] = "out of memory";
	int err = transport_settings_load(&s->transport_keys, NULL,
					  &s->transport, why);

	if (err)
		snprintf(reterr->text, sizeof(reterr->text), "%s%s",
			 err == -EINVAL ? "vmq_webhooks." : "", why);
	return err;
}

static int finish(struct drafts *drafts, struct conf_error *reterr)
{
	struct settings *s = drafts->settings;
	const struct mount_draft *m;
	struct draft *d;
	int err;

	s->admin_socket_given = s->admin_socket != NULL;
	if (!s->admin_socket)
		s->admin_socket = strdup(SETTINGS_ADMIN_SOCKET);
	if (!s->persist_file)
		s->persist_file = strdup(SETTINGS_PERSIST_FILE);
	if (!s->admin_socket || !s->persist_file)
		return out_of_memory(reterr);
	call_draft_global(&drafts->call, &s->call);
	err = make_default_transport(s, reterr);
	for (d = drafts->first; !err && d; d = d->next)
		err = add_webhook(s, d, reterr);
	for (m = drafts->mounts; !err && m; m = m->next) {
		if (settings_mount(s, m->port, m->mountpoint) != 0)
			err = out_of_memory(reterr);
	}
	return err;
}

/* ---- keys of a value ---- */

static const struct {
	const char *section;
	const struct conf_directive *keys;
} value_keys[] = {
	{ "plugins", plugins_keys },
	{ "vmq_webhooks", global_keys },
};

enum {
	VALUE_KEYS = sizeof(value_keys) / sizeof(value_keys[0])
};

static size_t field_size(const struct conf_directive *d)
{
	size_t making = offsetof(struct settings, transport_keys);

	if (d->offset >= making &&
	    d->offset < making + sizeof(struct transport_keys))
		return 0;
	switch (d->type) {
	case CONF_STR:
		return sizeof(char *);
	case CONF_BOOL:
		return sizeof(bool);
	case CONF_UINT:
		return sizeof(uint32_t);
	case CONF_CHOICE:
		return sizeof(unsigned);
	default:
		return 0; /* it has no field */
	}
}

static bool same_field(const struct conf_directive *d, const struct settings *a,
		       const struct settings *b)
{
	const void *x = (const char *)a + d->offset;
	const void *y = (const char *)b + d->offset;
	const char *left, *right;

	if (d->type != CONF_STR)
		return memcmp(x, y, field_size(d)) == 0;
	left = *(char *const *)x;
	right = *(char *const *)y;
	return left && right ? strcmp(left, right) == 0 : left == right;
}

void settings_compare_keys(const struct settings *a, const struct settings *b,
			   void (*fn)(const char *key, void *arg), void *arg)
{
	char key[128];

	for (int i = 0; i < VALUE_KEYS; i++) {
		const struct conf_directive *d = value_keys[i].keys;

		for (; d->name; d++) {
			if (!field_size(d) || same_field(d, a, b))
				continue;
			snprintf(key, sizeof(key), "%s.%s",
				 value_keys[i].section, d->name);
			fn(key, arg);
		}
	}
}

static const struct conf_directive *find_field(const char *key)
{
	for (int i = 0; i < VALUE_KEYS; i++) {
		const struct conf_directive *d = value_keys[i].keys;
		size_t len = strlen(value_keys[i].section);

		if (strncmp(key, value_keys[i].section, len) != 0 ||
		    key[len] != '.')
			continue;
		for (; d->name; d++) {
			if (strcmp(d->name, key + len + 1) == 0)
				return d;
		}
	}
	return NULL;
}

int settings_copy_key(struct settings *to, const struct settings *from,
		      const char *key)
{
	const struct conf_directive *d = find_field(key);
	const void *source;
	void *field;
	char *text;

	if (!d || !field_size(d))
		return 0;
	source = (const char *)from + d->offset;
	field = (char *)to + d->offset;
	if (d->type != CONF_STR) {
		memcpy(field, source, field_size(d));
		return 0;
	}
	text = *(char *const *)source;
	text = text ? strdup(text) : NULL;
	if (!text && *(char *const *)source)
		return -ENOMEM;
	free(*(char **)field);
	*(char **)field = text;
	return 0;
}

/* ---- options ---- */

static int unknown_option(const char *place, const char *key,
			  struct conf_error *reterr)
{
	static const char *const names[] = { "config_file", NULL };
	const char *near = conf_nearest(key, names);

	snprintf(reterr->text, sizeof(reterr->text),
		 "%s: no such option; allowed: config_file, "
		 "plugins.vmq_webhooks, vmq_webhooks...%s%s%s",
		 place, near ? "; did you mean \"" : "", near ? near : "",
		 near ? "\"?" : "");
	return -EINVAL;
}

static int read_option(struct conf *conf, const struct settings_opt *opt,
		       const char **file, struct conf_error *reterr)
{
	char place[512];
	int err;

	snprintf(place, sizeof(place), "plugin_opt_%s", opt->key);
	if (strcmp(opt->key, "config_file") == 0) {
		if (*file) {
			snprintf(reterr->text, sizeof(reterr->text),
				 "%s: set twice", place);
			return -EINVAL;
		}
		*file = opt->value;
		return 0;
	}
	err = conf_set(conf, place, opt->key, opt->value, reterr);
	return err == -ENOENT ? unknown_option(place, opt->key, reterr) : err;
}

static int read_all(struct conf *conf, const struct settings_opt *opts,
		    size_t n, struct conf_error *reterr)
{
	const char *file = NULL;
	int err = 0;

	for (size_t i = 0; !err && i < n; i++)
		err = read_option(conf, &opts[i], &file, reterr);
	if (!err && file)
		err = conf_read_file(conf, file, reterr);
	return err;
}

int settings_load(const struct settings_opt *opts, size_t n,
		  struct settings **ret, struct conf_error *reterr)
{
	struct drafts drafts = { .settings = settings_new() };
	struct conf conf = { sections, claims, &drafts, NULL, 0 };
	int err;

	if (!drafts.settings)
		return out_of_memory(reterr);
	call_draft_init(&drafts.call);
	err = read_all(&conf, opts, n, reterr);
	if (!err)
		err = finish(&drafts, reterr);
	conf_clear(&conf);
	drafts_clear(&drafts);
	if (err)
		settings_unref(drafts.settings);
	else
		*ret = drafts.settings;
	return err;
}
