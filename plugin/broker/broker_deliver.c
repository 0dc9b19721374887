/*
 * broker_deliver.c - on_deliver: told as messages leave, or, with `blocking`
 * on 2.1, asked, and then the reply may rewrite what this subscriber gets.
 */
#include "plugin/broker/broker_private.h"

#include <string.h>

/* Deliveries of the broker's own statistics are nobody's business. */
static bool is_told(const char *topic)
{
	return strncmp(topic, "$SYS/", 5) != 0;
}

/* ---- 2.0: as the broker checks the right to read ---- */

void deliver_told(struct plugin *p, const struct mosquitto_evt_acl_check *ed)
{
	enum hook_id hook =
		broker_hook(HOOK_ON_DELIVER, broker_is_m5(ed->client));
	struct host_properties properties = { 0 };
	const char *topic;
	struct message m;
	struct event ev;

	if (!hooks_has(p->hooks, hook) || !is_told(ed->topic))
		return;
	topic = broker_bare_topic(p, ed->client, ed->topic);
	if (!topic)
		return;
	if (p->passing.topic == ed->topic)
		properties = p->passing.properties;
	m = message_checked(ed, topic, &properties);
	ev = broker_event(p, ed->client, hook);
	message_tell(&m, &ev);
	hook_tell(p->hooks, &ev);
}

/* ---- 2.1: as the message leaves ---- */

/* With a mount_point 2.1 frees a rewritten topic from its middle. */
static bool may_rewrite_topic(struct plugin *p,
			      const struct mosquitto_evt_message *ed)
{
	bool mounted = *broker_mountpoint(p, ed->client);

	if (!mounted && p->conf.mounts == SAYS_NO)
		return true;
	if (!p->topic_rewrite_missed)
		broker_log(
			p, LOG_LEVEL_WARN,
			"on_deliver cannot rewrite topics: %s; messages are "
			"delivered under their own",
			mounted || p->conf.mounts == SAYS_YES
				? "with a mount_point in its configuration "
				  "this Mosquitto would crash"
				: "the broker's configuration file cannot be "
				  "read, so nobody knows whether a listener "
				  "has "
				  "a mount_point, with which this Mosquitto "
				  "would crash");
	p->topic_rewrite_missed = true;
	return false;
}

/* The originals stay the broker's, and so do the new ones once set. */
static bool set_topic(struct plugin *p, struct mosquitto_evt_message *ed,
		      struct bytes topic)
{
	char *copy;

	if (!may_rewrite_topic(p, ed))
		return true;
	copy = mosquitto_strdup(topic.data);
	if (!copy)
		return false;
	ed->topic = copy;
	return true;
}

static bool rewrite(struct plugin *p, struct mosquitto_evt_message *ed,
		    const struct verdict *v)
{
	const struct modifier_value *topic = verdict_get(v, MODIFIER_TOPIC);
	const struct modifier_value *load = verdict_get(v, MODIFIER_PAYLOAD);
	mosquitto_property *properties = NULL;

	if (topic && !set_topic(p, ed, topic->text))
		return false;
	if (load && !message_set_payload(ed, load->text))
		return false;
	if (!verdict_has(v, MODIFIER_PROPERTIES))
		return true;
	if (host_properties_write(v->properties, v->properties_count,
				  &properties) != 0)
		return false;
	ed->properties = properties;
	return true;
}

static void ask(struct plugin *p, struct mosquitto_evt_message *ed,
		const struct event *ev)
{
	const struct verdict *v;

	hooks_refresh(p->hooks);
	hook_ask(p->hooks, ev, false, &v, NULL);
	if (v->decision == DECISION_OK && !rewrite(p, ed, v))
		broker_trouble(
			p, BROKER_MEMORY,
			"no memory to rewrite a delivery: not all of it is "
			"rewritten");
	verdict_unref(v);
}

int broker_on_deliver(int event, void *data, void *userdata)
{
	struct mosquitto_evt_message *ed = data;
	struct plugin *p = userdata;
	struct host_properties properties = { 0 };
	enum hook_id hook;
	struct client *c;
	const char *topic;
	struct message m;
	struct event ev;

	(void)event;
	hook = broker_hook(HOOK_ON_DELIVER, broker_is_m5(ed->client));
	if (!hooks_has(p->hooks, hook) || !is_told(ed->topic))
		return MOSQ_ERR_SUCCESS;
	/* Bridges are no clients of ours. */
	c = broker_client(p, ed->client);
	if (!c)
		return MOSQ_ERR_SUCCESS;
	topic = broker_bare_topic(p, ed->client, ed->topic);
	if (!topic)
		return MOSQ_ERR_SUCCESS;
	broker_drop_kept(p);
	/* What waited for a resumed session leaves before CONNECT comes. */
	if (c->state == CLIENT_ADMITTED || c->state == CLIENT_DEFERRED) {
		login_connected(p, c, ed->client);
		broker_announce(p, c);
	}
	message_properties(p, ed->properties, &properties);
	m = message_passing(ed, topic, &properties);
	ev = broker_event(p, ed->client, hook);
	message_tell(&m, &ev);
	if (hooks_block(p->hooks, hook))
		ask(p, ed, &ev);
	else
		hook_tell(p->hooks, &ev);
	host_properties_clear(&properties);
	return MOSQ_ERR_SUCCESS;
}
