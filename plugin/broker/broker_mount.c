/*
 * broker_mount.c - topics with and without what a listener puts before them.
 */
#include "plugin/broker/broker_private.h"

#include <string.h>
#include "plugin/settings/settings.h"

__attribute__((hot)) const char *broker_mountpoint(
	const struct plugin *p, const struct mosquitto *client)
{
	const struct settings *s = hooks_settings_now(p->hooks);
	unsigned port = 0;

	if (s->mounts_count && mosquitto_client_port)
		port = (unsigned)mosquitto_client_port(client);
	return settings_mountpoint(s, port);
}

__attribute__((hot)) const char *broker_bare_topic(
	const struct plugin *p, const struct mosquitto *client,
	const char *topic)
{
	const char *mountpoint = broker_mountpoint(p, client);
	size_t len;

	if (!*mountpoint)
		return topic;
	len = strlen(mountpoint);
	return strncmp(topic, mountpoint, len) == 0 ? topic + len : NULL;
}

int broker_not_mounted(struct plugin *p,
		       const struct mosquitto_evt_acl_check *ed,
		       enum broker_trouble kind)
{
	broker_trouble(
		p, kind,
		"%s of client %s refused: %.256s does not begin with %s, "
		"which vmq_webhooks.mountpoint says, but not the "
		"mount_point of its listener",
		kind == BROKER_PUBLISH ? "publish" : "subscription",
		mosquitto_client_id(ed->client), ed->topic,
		broker_mountpoint(p, ed->client));
	return MOSQ_ERR_ACL_DENIED;
}

char *broker_full_topic(const struct plugin *p, const struct mosquitto *client,
			struct bytes topic)
{
	const char *mountpoint = broker_mountpoint(p, client);
	size_t len = strlen(mountpoint);
	char *full = mosquitto_malloc(len + topic.len + 1);

	if (!full)
		return NULL;
	memcpy(full, mountpoint, len);
	memcpy(full + len, topic.data, topic.len);
	full[len + topic.len] = '\0';
	return full;
}
