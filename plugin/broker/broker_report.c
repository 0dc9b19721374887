/*
 * broker_report.c - what this host can do, said at start-up: a hook that will
 * never fire should not have to be found out.
 */
#include "plugin/broker/broker_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"

#define REGISTER    (1u << HOOK_AUTH_ON_REGISTER | 1u << HOOK_AUTH_ON_REGISTER_M5)
#define REGISTER_M5 (1u << HOOK_AUTH_ON_REGISTER_M5)
#define PUBLISH     (1u << HOOK_AUTH_ON_PUBLISH | 1u << HOOK_AUTH_ON_PUBLISH_M5)

/* The first rows are 2.0's alone. */
static const struct modifier_without_effect without_effect[] = {
	{ MODIFIER_CLEAN_SESSION, "clean_session", REGISTER },
	{ MODIFIER_PROPERTIES, "properties", REGISTER_M5 },
	{ MODIFIER_THROTTLE, "throttle", PUBLISH },
	{ MODIFIER_MAX_INFLIGHT_MESSAGES, "max_inflight_messages", REGISTER },
	{ MODIFIER_RETRY_INTERVAL, "retry_interval", REGISTER },
	{ MODIFIER_UPGRADE_QOS, "upgrade_qos", REGISTER },
	{ MODIFIER_SHARED_SUBSCRIPTION_POLICY, "shared_subscription_policy",
	  REGISTER },
	{ MODIFIER_ALLOW_REGISTER, "allow_register", REGISTER },
	{ MODIFIER_ALLOW_PUBLISH, "allow_publish", REGISTER },
	{ MODIFIER_ALLOW_SUBSCRIBE, "allow_subscribe", REGISTER },
	{ MODIFIER_ALLOW_UNSUBSCRIBE, "allow_unsubscribe", REGISTER },
	{ MODIFIER_MAX_ONLINE_MESSAGES, "max_online_messages", REGISTER },
	{ MODIFIER_MAX_OFFLINE_MESSAGES, "max_offline_messages", REGISTER },
	{ MODIFIER_QUEUE_TYPE, "queue_type", REGISTER },
	{ MODIFIER_MAX_DRAIN_TIME, "max_drain_time", REGISTER },
	{ MODIFIER_MAX_MSGS_PER_DRAIN_STEP, "max_msgs_per_drain_step",
	  REGISTER },
};

enum {
	WITHOUT_EFFECT = sizeof(without_effect) / sizeof(without_effect[0]),
	ONLY_V20 = 2,
};

const struct modifier_without_effect *broker_without_effect(
	const struct plugin *p, size_t *ret_count)
{
	size_t skip = p->host.v21 ? ONLY_V20 : 0;

	*ret_count = WITHOUT_EFFECT - skip;
	return without_effect + skip;
}

int broker_check_settings(void *ctx, const struct settings *s,
			  struct conf_error *reterr)
{
	const struct plugin *p = ctx;

	if (p->host.v21)
		return 0;
	if (s->default_policy == DEFAULT_IGNORE) {
		snprintf(reterr->text, sizeof(reterr->text),
			 "vmq_webhooks.default_policy: ignore needs "
			 "Mosquitto 2.1. Mosquitto %s has no neutral answer: "
			 "once a plugin is asked at all, what it does not "
			 "allow is refused. Remove the key",
			 p->host.version);
		return -EINVAL;
	}
	if (s->mounts_count) {
		snprintf(reterr->text, sizeof(reterr->text),
			 "vmq_webhooks.listener.%u.mountpoint needs Mosquitto "
			 "2.1: Mosquitto %s does not tell which listener a "
			 "client came by. If every listener has the same "
			 "mount_point use vmq_webhooks.mountpoint",
			 s->mounts[0].port, p->host.version);
		return -EINVAL;
	}
	return 0;
}

/* ---- the report ---- */

static void report_served(struct plugin *p, const struct settings *s)
{
	for (int h = 0; h < HOOK_COUNT; h++) {
		if (s->chained[h])
			broker_log(p, LOG_LEVEL_INFO, "%s: %zu endpoint%s",
				   hook_table[h].name, s->chained[h],
				   s->chained[h] == 1 ? "" : "s");
	}
}

static void report_unserved(struct plugin *p, const struct settings *s)
{
	enum log_level level = s->default_policy == DEFAULT_IGNORE
				       ? LOG_LEVEL_INFO
				       : LOG_LEVEL_WARN;

	for (int h = 0; h < HOOK_COUNT; h++) {
		if (hook_table[h].cacheable && !s->chained[h])
			broker_log(p, level, "%s has %s", hook_table[h].name,
				   broker_without_endpoint(s, h));
	}
}

/* It has no neutral answer to READ: each choice costs something. */
static void report_v20(struct plugin *p, const struct settings *s)
{
	static const char *const costs[] = {
		[READ_CHECKS_AUTO] =
			"read_checks = auto: who may receive is not asked; "
			"where subscriptions have an endpoint everybody "
			"may, whatever an acl_file says of reading, elsewhere "
			"only whom another plugin or file allows",
		[READ_CHECKS_ALLOW] =
			"read_checks = allow: everybody may receive, whatever "
			"an acl_file says of reading",
		[READ_CHECKS_DEFER] =
			"read_checks = defer: nobody receives what no other "
			"plugin or file allows to read",
	};

	broker_log(p, LOG_LEVEL_INFO, "%s", costs[s->read_checks]);
	if (s->mountpoint)
		broker_log(p, LOG_LEVEL_WARN,
			   "vmq_webhooks.mountpoint: on Mosquitto %s every "
			   "listener has to mount %s; topics without it are "
			   "refused",
			   p->host.version, s->mountpoint);
}

static void report_transport(struct plugin *p, const char *what,
			     const struct transport_settings *t)
{
	const char *text;

	for (unsigned i = 0; (text = transport_settings_warning(t, i)); i++)
		broker_log(p, LOG_LEVEL_WARN, "%s: %s", what, text);
}

/* What the default leaves out, once; and of webhooks what is theirs. */
static void report_transports(struct plugin *p, const struct settings *s)
{
	char what[192];

	report_transport(p, "all webhooks that do not say otherwise",
			 s->transport);
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++) {
			const struct webhook *w = &s->chain[h][i];

			snprintf(what, sizeof(what), "%s%s",
				 w->name ? "vmq_webhooks."
					 : "registered at run time: ",
				 w->name ? w->name : w->logged);
			if (w->transport != s->transport)
				report_transport(p, what, w->transport);
		}
	}
}

void broker_report(struct plugin *p, const struct settings *s)
{
	broker_log(p, LOG_LEVEL_INFO,
		   "version %s in Mosquitto %s, %zu webhooks",
		   VMQ_WEBHOOKS_VERSION, p->host.version, s->webhooks);
	report_served(p, s);
	report_unserved(p, s);
	report_transports(p, s);
	broker_report_hooks(p, s);
	if (!p->host.v21)
		report_v20(p, s);
}
