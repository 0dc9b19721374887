/*
 * broker_explain.c - which hooks can fire on this host, and within which
 * limits: one table, for the start-up report and for who asks later.
 *
 * The table speaks of what is set and of what was found out at start-up, which
 * does not change any more: any thread may read it.
 */
#include "plugin/broker/broker_private.h"

#include <stdio.h>
#include <string.h>
#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"

#define ONE(name)  (1u << HOOK_##name)
#define M5(name)   (1u << HOOK_##name##_M5)
#define BOTH(name) (ONE(name) | M5(name))
#define ALL        ((1u << HOOK_COUNT) - 1)

/* ---- conditions ---- */

typedef bool applies_fn(const struct plugin *p, const struct settings *s,
			enum hook_id hook);

static bool any(const struct settings *s, enum hook_id hook)
{
	return s->chained[hook] > 0;
}

static bool blocks(const struct plugin *p, const struct settings *s,
		   enum hook_id hook)
{
	(void)p;
	return settings_block(s, hook);
}

static bool goes_on(const struct plugin *p, const struct settings *s,
		    enum hook_id hook)
{
	return !blocks(p, s, hook);
}

static bool blocks_by_mounts(const struct plugin *p, const struct settings *s,
			     enum hook_id hook)
{
	return blocks(p, s, hook) && p->conf.mounts != SAYS_NO;
}

static bool mounts(const struct plugin *p, const struct settings *s,
		   enum hook_id hook)
{
	(void)p;
	(void)hook;
	return s->mountpoint != NULL;
}

static bool reads_are_deferred(const struct plugin *p, const struct settings *s,
			       enum hook_id hook)
{
	enum hook_id asked =
		broker_hook(HOOK_AUTH_ON_SUBSCRIBE, hook_table[hook].m5);

	(void)p;
	return s->read_checks == READ_CHECKS_DEFER ||
	       (s->read_checks == READ_CHECKS_AUTO && !any(s, asked));
}

static bool has_identities(const struct plugin *p, const struct settings *s,
			   enum hook_id hook)
{
	(void)s;
	(void)hook;
	return p->conf.identities != SAYS_NO;
}

static bool is_per_listener(const struct plugin *p, const struct settings *s,
			    enum hook_id hook)
{
	(void)s;
	(void)hook;
	return p->conf.per_listener == SAYS_YES;
}

static bool may_be_per_listener(const struct plugin *p,
				const struct settings *s, enum hook_id hook)
{
	(void)s;
	(void)hook;
	return p->conf.per_listener == SAYS_UNKNOWN;
}

static bool never_ticks(const struct plugin *p, const struct settings *s,
			enum hook_id hook)
{
	return is_per_listener(p, s, hook) && !p->host.frees_replaced;
}

static enum hook_id sibling(enum hook_id hook)
{
	for (int v3 = 0; v3 < HOOK_COUNT; v3++) {
		if (broker_hook(v3, true) == hook && v3 != (int)hook)
			return v3;
	}
	return broker_hook(hook, true);
}

/* The other protocol's clients go another way, where nobody is. */
static bool is_half(const struct plugin *p, const struct settings *s,
		    enum hook_id hook)
{
	(void)p;
	return !any(s, sibling(hook));
}

/* ---- the table ---- */

enum host_kind {
	HOST_ANY = 0,
	HOST_V20,
	HOST_V21,
};

#define SILENT (-1) /* at start-up */

static const struct row {
	const char *names; /* of `hooks`, at start-up */
	uint32_t hooks;    /* 1u << enum hook_id */
	enum host_kind host;
	enum broker_remark kind;
	int level;           /* enum log_level; or SILENT */
	applies_fn *applies; /* NULL: always */
	const char *text;    /* @: the host's version */
} rows[] = {
	{ "auth_on_register", BOTH(AUTH_ON_REGISTER), HOST_ANY, REMARK_LIMIT,
	  LOG_LEVEL_INFO, NULL,
	  "never asked on listeners with use_identity_as_username or "
	  "use_subject_as_username: the certificate decides" },
	{ "auth_on_register", BOTH(AUTH_ON_REGISTER), HOST_ANY, REMARK_FACT,
	  SILENT, NULL, "asked whatever allow_anonymous says" },
	{ "auth_on_register_m5", M5(AUTH_ON_REGISTER), HOST_V21, REMARK_FACT,
	  LOG_LEVEL_WARN, goes_on,
	  "a defect of Mosquitto 2.1 lets an MQTT 5 client that has a will "
	  "delay and leaves while its login is open damage the broker's "
	  "memory. Where clients are not trusted set blocking = on for this "
	  "webhook" },
	{ "auth_on_register", BOTH(AUTH_ON_REGISTER), HOST_V20, REMARK_FACT,
	  LOG_LEVEL_INFO, NULL,
	  "Mosquitto @ waits for each answer; 2.1 goes on meanwhile" },
	{ "auth_on_register", BOTH(AUTH_ON_REGISTER), HOST_V21, REMARK_FACT,
	  SILENT, goes_on,
	  "when the last endpoint says next the login is refused: the broker's "
	  "other plugins and files are not asked after a delayed answer. Set "
	  "blocking = on for that" },
	{ "on_auth_m5", ONE(ON_AUTH_M5), HOST_ANY, REMARK_LIMIT, SILENT, NULL,
	  "asked of clients alone that connect with an authentication "
	  "method" },
	{ "auth_on_publish", BOTH(AUTH_ON_PUBLISH), HOST_ANY, REMARK_FACT,
	  SILENT, NULL, "never asked about topics that begin with $" },
	{ "auth_on_publish_m5", M5(AUTH_ON_PUBLISH), HOST_V20, REMARK_FACT,
	  SILENT, NULL,
	  "Mosquitto @ does not tell the message's properties yet: they are "
	  "sent as {}" },
	{ "auth_on_subscribe", BOTH(AUTH_ON_SUBSCRIBE), HOST_ANY, REMARK_FACT,
	  SILENT, NULL, "never asked about $CONTROL/#" },
	{ "auth_on_subscribe", BOTH(AUTH_ON_SUBSCRIBE), HOST_V20, REMARK_FACT,
	  LOG_LEVEL_INFO, NULL,
	  "on Mosquitto @ a reply cannot rewrite a subscription; one that "
	  "does refuses it" },
	{ "on_register, on_client_wakeup",
	  BOTH(ON_REGISTER) | ONE(ON_CLIENT_WAKEUP), HOST_V20, REMARK_LIMIT,
	  LOG_LEVEL_INFO, NULL,
	  "on Mosquitto @ not for clients of listeners with "
	  "use_identity_as_username or use_subject_as_username" },
	{ "on_subscribe", BOTH(ON_SUBSCRIBE), HOST_V20, REMARK_LIMIT, SILENT,
	  NULL, "on Mosquitto @ told of what our endpoints allowed" },
	{ "on_unsubscribe", BOTH(ON_UNSUBSCRIBE), HOST_V21, REMARK_FACT, SILENT,
	  goes_on, "told; with blocking = on it is asked and may rewrite" },
	{ "on_deliver", BOTH(ON_DELIVER), HOST_V21, REMARK_FACT, SILENT,
	  goes_on, "told; with blocking = on it is asked and may rewrite" },
	{ "on_deliver", BOTH(ON_DELIVER), HOST_V21, REMARK_FACT, SILENT,
	  blocks_by_mounts,
	  "a topic can be rewritten only if no listener has a mount_point" },
	{ "on_deliver", BOTH(ON_DELIVER), HOST_V20, REMARK_NEVER,
	  LOG_LEVEL_WARN, reads_are_deferred,
	  "read_checks leaves to others who may receive, and Mosquitto @ does "
	  "not say what became of it: never told" },
	{ "on_deliver, on_unsubscribe", BOTH(ON_DELIVER) | BOTH(ON_UNSUBSCRIBE),
	  HOST_V20, REMARK_FACT, LOG_LEVEL_WARN, blocks,
	  "blocking has no effect on on_deliver and on_unsubscribe: Mosquitto "
	  "@ "
	  "cannot rewrite them" },
	{ "on_offline_message", ONE(ON_OFFLINE_MESSAGE), HOST_ANY, REMARK_LIMIT,
	  SILENT, NULL,
	  "told of messages with a qos above 0 for sessions that outlast "
	  "their connection" },
	{ "on_client_offline, on_client_gone",
	  ONE(ON_CLIENT_OFFLINE) | ONE(ON_CLIENT_GONE), HOST_V20, REMARK_FACT,
	  SILENT, NULL,
	  "by the clean flag of CONNECT: Mosquitto @ does not tell the expiry "
	  "of an MQTT 5 session" },
	{ "on_session_expired", ONE(ON_SESSION_EXPIRED), HOST_V20, REMARK_LIMIT,
	  SILENT, NULL,
	  "told when a look finds the session gone: after a second at first, "
	  "later up to 10 s (MQTT 5: a minute)" },
	{ "vmq_webhooks.mountpoint", ALL, HOST_ANY, REMARK_LIMIT, SILENT,
	  mounts,
	  "vmq_webhooks.mountpoint is set: topics without it are refused, and "
	  "nobody is asked" },
	{ "all", ALL, HOST_V20, REMARK_LIMIT, SILENT, is_per_listener,
	  "per_listener_settings is true: only for the listener that the "
	  "plugin stands under" },
	{ "all", ALL, HOST_V20, REMARK_FACT, SILENT, may_be_per_listener,
	  "if per_listener_settings is true only for the listener that the "
	  "plugin stands under" },
	{ "all", ALL, HOST_V20, REMARK_FACT, SILENT, never_ticks,
	  "this Mosquitto never ticks then: notifications wait for the "
	  "broker's next event" },
};

enum {
	ROWS = sizeof(rows) / sizeof(rows[0]),
	TEXT_LEN = 400,
};

static bool is_host(const struct plugin *p, enum host_kind host)
{
	return host == HOST_ANY || (host == HOST_V21) == p->host.v21;
}

static void write_text(const struct plugin *p, const struct row *row,
		       char ret[static TEXT_LEN])
{
	const char *at = strchr(row->text, '@');

	if (at)
		snprintf(ret, TEXT_LEN, "%.*s%s%s", (int)(at - row->text),
			 row->text, p->host.version, at + 1);
	else
		snprintf(ret, TEXT_LEN, "%s", row->text);
}

/* ---- for who asks ---- */

/* Of listeners that name their clients by certificate there may be none. */
static bool concerns_nobody(const struct plugin *p, const struct row *row)
{
	return strstr(row->text, "use_identity_as_username") &&
	       !has_identities(p, NULL, HOOK_COUNT);
}

static void explain_half(const struct settings *s, enum hook_id hook,
			 broker_say_fn *say, void *arg)
{
	enum hook_id other = sibling(hook);
	char text[TEXT_LEN];

	if (other == hook || !is_half(NULL, s, hook))
		return;
	snprintf(text, sizeof(text),
		 "not for clients of MQTT %s: theirs is %s, which has no "
		 "endpoint",
		 hook_table[other].m5 ? "5" : "3.1 and 3.1.1",
		 hook_table[other].name);
	say(arg, REMARK_LIMIT, text);
}

const char *broker_without_endpoint(const struct settings *s, enum hook_id hook)
{
	if (hook_table[hook].kind != HOOK_ASKS)
		return "no endpoint";
	if (!hook_table[hook].cacheable)
		return "no endpoint: whoever wants to authenticate like that "
		       "is refused unless another plugin of the broker allows "
		       "it";
	return s->default_policy == DEFAULT_IGNORE
		       ? "no endpoint: left to the broker and its other plugins"
		       : "no endpoint: what it decides on is refused unless "
			 "another plugin or file of the broker allows it";
}

void broker_explain(void *ctx, const struct settings *s, enum hook_id hook,
		    broker_say_fn *say, void *arg)
{
	const struct plugin *p = ctx;
	char text[TEXT_LEN];

	if (!any(s, hook)) {
		say(arg, REMARK_NEVER, broker_without_endpoint(s, hook));
		return;
	}
	explain_half(s, hook, say, arg);
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];

		if (!(row->hooks & 1u << hook) || !is_host(p, row->host) ||
		    concerns_nobody(p, row) ||
		    (row->applies && !row->applies(p, s, hook)))
			continue;
		write_text(p, row, text);
		say(arg, row->kind, text);
	}
}

/* ---- at start-up ---- */

static bool is_worth_saying(const struct plugin *p, const struct settings *s,
			    const struct row *row)
{
	if (row->level == SILENT || !is_host(p, row->host))
		return false;
	for (int h = 0; h < HOOK_COUNT; h++) {
		if (row->hooks & 1u << h && any(s, h) &&
		    (!row->applies || row->applies(p, s, h)))
			return true;
	}
	return false;
}

void broker_report_hooks(struct plugin *p, const struct settings *s)
{
	char text[TEXT_LEN];

	for (int i = 0; i < ROWS; i++) {
		if (!is_worth_saying(p, s, &rows[i]))
			continue;
		write_text(p, &rows[i], text);
		broker_log(p, rows[i].level, "%s: %s", rows[i].names, text);
	}
}
