/*
 * broker_publish.c - publishes and wills: asked in ACL_CHECK(WRITE), changed
 * and told of in MESSAGE.
 */
#include "plugin/broker_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/topic.h"

#define CHANGES_MESSAGE                                                  \
	(1u << MODIFIER_TOPIC | 1u << MODIFIER_PAYLOAD |                 \
	 1u << MODIFIER_RETAIN | 1u << MODIFIER_PROPERTIES)

/* A message as it will be published. Borrowed. */
struct message {
	struct bytes topic, payload;
	uint8_t qos;
	bool retain;
	const struct property *properties;
	size_t properties_count;
};

static struct event message_event(const struct mosquitto *client,
				  enum hook_id hook, const struct message *m)
{
	struct event ev = broker_event(client, hook);

	ev.topic = m->topic;
	ev.payload = m->payload;
	ev.qos = m->qos;
	ev.retain = m->retain;
	ev.properties = m->properties;
	ev.properties_count = m->properties_count;
	return ev;
}

/* Without readers the properties are sent as {}, and that is said once. */
static void read_properties(struct plugin *p, const mosquitto_property *from,
			    struct host_properties *ret)
{
	int err = host_properties_read(from, ret);

	if (!err || p->properties_missed)
		return;
	p->properties_missed = true;
	broker_log(p, LOG_LEVEL_WARN,
		   "MQTT 5 properties are not told to endpoints: %s",
		   err == -ENOTSUP ?
			   "this Mosquitto has no readers for them; install "
			   "libmosquitto1" :
			   "no memory");
}

/* ---- the decision ---- */

/* What a reply asks for and the host, today, cannot do. Isolation is never
 * dropped in silence: another mountpoint refuses. */
static bool can_carry_out(struct plugin *p, const struct event *ev,
			  const struct verdict *v)
{
	const struct modifier_value *mp = verdict_get(v, MODIFIER_MOUNTPOINT);
	const struct modifier_value *qos = verdict_get(v, MODIFIER_QOS);

	if (mp && mp->text.len > 0) {
		broker_log(p, LOG_LEVEL_WARN,
			   "publish of client %.*s refused: the reply sets a "
			   "mountpoint other than the listener's",
			   (int)ev->client_id.len,
			   (const char *)ev->client_id.data);
		return false;
	}
	if (((qos && qos->number != ev->qos) ||
	     verdict_has(v, MODIFIER_THROTTLE)) &&
	    !p->no_effect_said) {
		p->no_effect_said = true;
		broker_log(p, LOG_LEVEL_WARN,
			   "replies to publishes set qos or throttle: these "
			   "have no effect in this version");
	}
	return true;
}

static struct message changed(const struct message *m, const struct verdict *v)
{
	const struct modifier_value *topic = verdict_get(v, MODIFIER_TOPIC);
	const struct modifier_value *load = verdict_get(v, MODIFIER_PAYLOAD);
	const struct modifier_value *retain = verdict_get(v, MODIFIER_RETAIN);
	struct message new = *m;

	if (topic)
		new.topic = topic->text;
	if (load)
		new.payload = load->text;
	if (retain)
		new.retain = retain->number;
	if (verdict_has(v, MODIFIER_PROPERTIES)) {
		new.properties = v->properties;
		new.properties_count = v->properties_count;
	}
	return new;
}

/* Publish in the broker's own name. Returns 0 or -errno. */
static int publish(const struct message *m)
{
	mosquitto_property *properties = NULL;
	int err, rc;

	err = host_properties_write(m->properties, m->properties_count,
				    &properties);
	if (err)
		return err;
	rc = mosquitto_broker_publish_copy(NULL, m->topic.data,
					   (int)m->payload.len,
					   m->payload.data, m->qos, m->retain,
					   properties);
	if (rc != MOSQ_ERR_SUCCESS) {
		mosquitto_property_free_all(&properties);
		return -ENOMEM;
	}
	return 0;
}

/* No MESSAGE follows for a will: if the reply changes it, the broker's own is
 * refused and the decided one published in its place. */
static int carry_out_will(struct plugin *p, const struct message *m,
			  const struct client *c, const struct verdict *v)
{
	struct message will = changed(m, v);
	struct event ev;
	int rc = MOSQ_ERR_SUCCESS;

	if (v->given & CHANGES_MESSAGE) {
		rc = MOSQ_ERR_ACL_DENIED;
		if (publish(&will) != 0)
			return rc;
	}
	/* VerneMQ tells of wills in MQTT 3 only (contract.md, 5.16). */
	if (!c->m5) {
		ev = message_event(c->ptr, HOOK_ON_PUBLISH, &will);
		ev.client_id = bytes_of(c->id);
		hook_tell(p->hooks, &ev);
	}
	return rc;
}

/* A client that left, or that gives way to one of its id, publishes no more:
 * what is asked for is its will. */
static bool is_will(const struct plugin *p, const struct client *c)
{
	return c->state == CLIENT_LEFT ||
	       (p->arriving && p->arriving != c &&
		strcmp(p->arriving->id, c->id) == 0);
}

static int carry_out(struct plugin *p, struct mosquitto_evt_acl_check *ed,
		     const struct message *m, const struct verdict *v)
{
	const struct client *c = client_find(&p->clients, ed->client);

	if (c && is_will(p, c))
		return carry_out_will(p, m, c, v);
	if (!(v->given & CHANGES_MESSAGE))
		return MOSQ_ERR_SUCCESS;
	return broker_keep(p, ed->client, ed->topic, BROKER_EVT_MESSAGE, v) ?
		       MOSQ_ERR_SUCCESS :
		       MOSQ_ERR_ACL_DENIED;
}

int broker_acl_publish(struct plugin *p, struct mosquitto_evt_acl_check *ed)
{
	struct host_properties properties = { 0 };
	const struct verdict *v;
	struct message m;
	struct event ev;
	int rc = MOSQ_ERR_ACL_DENIED;

	broker_enter(p, HOOK_COUNT, NULL);
	if (ed->topic[0] == '$')
		return MOSQ_ERR_PLUGIN_DEFER;
	read_properties(p, ed->properties, &properties);
	m = (struct message){
		.topic = bytes_of(ed->topic),
		.payload = { ed->payload ? ed->payload : "", ed->payloadlen },
		.qos = ed->qos,
		.retain = ed->retain,
		.properties = properties.list,
		.properties_count = properties.count,
	};
	ev = message_event(ed->client,
			   broker_hook(HOOK_AUTH_ON_PUBLISH,
				       broker_is_m5(ed->client)),
			   &m);
	hook_ask(p->hooks, &ev, false, &v, NULL);
	if (v->decision == DECISION_NEXT)
		rc = MOSQ_ERR_PLUGIN_DEFER;
	else if (v->decision == DECISION_OK && can_carry_out(p, &ev, v))
		rc = carry_out(p, ed, &m, v);
	verdict_unref(v);
	host_properties_clear(&properties);
	return rc;
}

/* ---- the message ---- */

static bool replace_topic(struct plugin *p, struct mosquitto_evt_message *ed,
			  struct bytes topic)
{
	char *copy;

	/* In place where it fits: then nobody has to free anything. */
	if (topic.len <= strlen(ed->topic)) {
		memcpy(ed->topic, topic.data, topic.len);
		ed->topic[topic.len] = '\0';
		return true;
	}
	copy = mosquitto_strdup(topic.data);
	if (!copy)
		return false;
	if (!p->host.frees_replaced)
		mosquitto_free(ed->topic);
	ed->topic = copy;
	return true;
}

/* The broker frees the old one, in every version. */
static bool replace_payload(struct mosquitto_evt_message *ed,
			    struct bytes payload)
{
	void *copy = NULL;

	if (payload.len > 0) {
		copy = mosquitto_malloc(payload.len);
		if (!copy)
			return false;
		memcpy(copy, payload.data, payload.len);
	}
	ed->payload = copy;
	ed->payloadlen = (uint32_t)payload.len;
	return true;
}

static bool replace_properties(struct plugin *p,
			       struct mosquitto_evt_message *ed,
			       const struct verdict *v)
{
	mosquitto_property *list = NULL;

	if (host_properties_write(v->properties, v->properties_count, &list))
		return false;
	if (!p->host.frees_replaced)
		mosquitto_property_free_all(&ed->properties);
	ed->properties = list;
	return true;
}

static bool change(struct plugin *p, struct mosquitto_evt_message *ed,
		   const struct verdict *v)
{
	const struct modifier_value *topic = verdict_get(v, MODIFIER_TOPIC);
	const struct modifier_value *load = verdict_get(v, MODIFIER_PAYLOAD);
	const struct modifier_value *retain = verdict_get(v, MODIFIER_RETAIN);

	if (topic && !replace_topic(p, ed, topic->text))
		return false;
	if (load && !replace_payload(ed, load->text))
		return false;
	if (verdict_has(v, MODIFIER_PROPERTIES) &&
	    !replace_properties(p, ed, v))
		return false;
	if (retain)
		ed->retain = retain->number;
	return true;
}

static void tell_publish(struct plugin *p,
			 const struct mosquitto_evt_message *ed)
{
	struct host_properties properties = { 0 };
	enum hook_id hook;
	struct message m;
	struct event ev;

	hook = broker_hook(HOOK_ON_PUBLISH, broker_is_m5(ed->client));
	if (!hooks_has(p->hooks, hook))
		return;
	read_properties(p, ed->properties, &properties);
	m = (struct message){
		.topic = bytes_of(ed->topic),
		.payload = { ed->payload ? ed->payload : "", ed->payloadlen },
		.qos = ed->qos,
		.retain = ed->retain,
		.properties = properties.list,
		.properties_count = properties.count,
	};
	ev = message_event(ed->client, hook, &m);
	hook_tell(p->hooks, &ev);
	host_properties_clear(&properties);
}

int broker_on_message(int event, void *data, void *userdata)
{
	struct mosquitto_evt_message *ed = data;
	struct plugin *p = userdata;
	const struct verdict *v;
	bool ok = true;

	v = broker_take(p, event, ed->client, ed->topic);
	broker_enter(p, HOOK_COUNT, NULL);
	if (v)
		ok = change(p, ed, v);
	verdict_unref(v);
	if (!ok)
		return MOSQ_ERR_ACL_DENIED;
	/* Bridges come here without ACL_CHECK: no client of ours. */
	if (client_find(&p->clients, ed->client))
		tell_publish(p, ed);
	return MOSQ_ERR_SUCCESS;
}
