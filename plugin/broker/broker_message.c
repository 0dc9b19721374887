/*
 * broker_message.c - a message between the broker's terms and the core's.
 */
#include "plugin/broker/broker_private.h"

#include <errno.h>
#include <string.h>

static struct bytes payload_of(const void *data, size_t len)
{
	return (struct bytes){ data ? data : "", len };
}

/* The host has two structs with the same fields. */
#define MESSAGE_FROM(ed, its_topic, its_properties)                            \
	((struct message){                                                     \
		.topic = bytes_of(its_topic),                                  \
		.payload = payload_of((ed)->payload, (ed)->payloadlen),        \
		.qos = (ed)->qos,                                              \
		.retain = (ed)->retain,                                        \
		.properties = (its_properties)->list,                          \
		.properties_count = (its_properties)->count,                   \
	})

struct message message_checked(const struct mosquitto_evt_acl_check *ed,
			       const char *topic,
			       const struct host_properties *properties)
{
	return MESSAGE_FROM(ed, topic, properties);
}

struct message message_passing(const struct mosquitto_evt_message *ed,
			       const char *topic,
			       const struct host_properties *properties)
{
	return MESSAGE_FROM(ed, topic, properties);
}

bool message_set_payload(struct mosquitto_evt_message *ed, struct bytes payload)
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

void message_tell(const struct message *m, struct event *ev)
{
	ev->topic = m->topic;
	ev->payload = m->payload;
	ev->qos = m->qos;
	ev->retain = m->retain;
	ev->properties = m->properties;
	ev->properties_count = m->properties_count;
}

struct message message_changed(const struct message *m, const struct verdict *v)
{
	const struct modifier_value *topic = verdict_get(v, MODIFIER_TOPIC);
	const struct modifier_value *load = verdict_get(v, MODIFIER_PAYLOAD);
	const struct modifier_value *retain = verdict_get(v, MODIFIER_RETAIN);
	const struct modifier_value *qos = verdict_get(v, MODIFIER_QOS);
	struct message new = *m;

	if (topic)
		new.topic = topic->text;
	if (load)
		new.payload = load->text;
	if (retain)
		new.retain = retain->number;
	if (qos)
		new.qos = (uint8_t)qos->number;
	if (verdict_has(v, MODIFIER_PROPERTIES)) {
		new.properties = v->properties;
		new.properties_count = v->properties_count;
	}
	return new;
}

int message_publish(struct plugin *p, const struct mosquitto *client,
		    const struct message *m)
{
	char *topic = broker_full_topic(p, client, m->topic);
	mosquitto_property *properties = NULL;
	int err = -ENOMEM, rc;

	if (!topic)
		goto out;
	err = host_properties_write(m->properties, m->properties_count,
				    &properties);
	if (err)
		goto out;
	rc = mosquitto_broker_publish_copy(NULL, topic, (int)m->payload.len,
					   m->payload.data, m->qos, m->retain,
					   properties);
	if (rc != MOSQ_ERR_SUCCESS) {
		mosquitto_property_free_all(&properties);
		err = -ENOMEM;
	}
out:
	if (err)
		broker_trouble(
			p, BROKER_LOST,
			"a message of client %s to %.*s is lost: it was to be "
			"published as decided, and could not be: %s",
			mosquitto_client_id(client), (int)m->topic.len,
			(const char *)m->topic.data, strerror(-err));
	mosquitto_free(topic);
	return err;
}

__attribute__((noinline)) static void read_properties(
	struct plugin *p, const mosquitto_property *from,
	struct host_properties *ret)
{
	int err = host_properties_read(&p->readers, from, ret);
	if (!err || p->properties_missed)
		return;
	p->properties_missed = true;
	broker_log(p, LOG_LEVEL_WARN,
		   "MQTT 5 properties are not told to endpoints: %s",
		   err == -ENOTSUP
			   ? "this Mosquitto has no readers for them; install "
			     "libmosquitto1"
			   : "no memory");
}

void message_properties(struct plugin *p, const mosquitto_property *from,
			struct host_properties *ret)
{
	if (from)
		read_properties(p, from, ret);
}
