/*
 * broker_publish.c - publishes and wills: asked in ACL_CHECK(WRITE), changed
 * and told of in MESSAGE.
 */
#include "plugin/broker/broker_private.h"

#include <string.h>
#include "plugin/settings/settings.h"

/* ---- the decision ---- */

/* VerneMQ closes an MQTT 3.1.1 publisher; Mosquitto acknowledges and drops. At
 * the broker's end nothing is acknowledged that may come again. */
__attribute__((cold)) static int denied(const struct plugin *p,
					const struct mosquitto *client)
{
	const struct settings *s = hooks_settings_now(p->hooks);

	if (p->shutting_down)
		return MOSQ_ERR_AUTH;
	if (s->publish_denied == PUBLISH_DENIED_DISCONNECT &&
	    mosquitto_client_protocol_version(client) == 4)
		return MOSQ_ERR_AUTH;
	return MOSQ_ERR_ACL_DENIED;
}

/* Isolation is never dropped in silence: a mountpoint other than the
 * listener's refuses. */
__attribute__((noinline)) static bool stays_mounted(struct plugin *p,
						    const struct event *ev,
						    const struct verdict *v)
{
	const struct modifier_value *mp = verdict_get(v, MODIFIER_MOUNTPOINT);

	if (!mp ||
	    (mp->text.len == ev->mountpoint.len &&
	     memcmp(mp->text.data, ev->mountpoint.data, mp->text.len) == 0))
		return true;
	broker_trouble(p, BROKER_PUBLISH,
		       "publish of client %.*s refused: the reply sets a "
		       "mountpoint other than the listener's",
		       (int)ev->client_id.len,
		       (const char *)ev->client_id.data);
	return false;
}

static void tell_publish(struct plugin *p, const struct client *c,
			 const struct message *m)
{
	enum hook_id hook = broker_hook(HOOK_ON_PUBLISH, c->m5);
	struct event ev;

	if (!hooks_has(p->hooks, hook))
		return;
	ev = broker_event_of(p, c, hook);
	message_tell(m, &ev);
	hook_tell(p->hooks, &ev);
}

/* The broker publishes nothing more for us. */
static int cannot_change(struct plugin *p, const struct client *c,
			 const struct message *m)
{
	broker_trouble(p, BROKER_LOST,
		       "what client %s publishes to %.*s is dropped: the reply "
		       "changes it, which is too late when the broker stops. "
		       "If it is not its will it may send it again",
		       c->id, (int)m->topic.len, (const char *)m->topic.data);
	return denied(p, c->ptr);
}

/* No MESSAGE follows for a will: if the reply changes it, the broker's own is
 * refused and the decided one published in its place. */
static int carry_out_will(struct plugin *p, const struct message *m,
			  const struct client *c, const struct verdict *v)
{
	struct message will = message_changed(m, v);
	int rc = MOSQ_ERR_SUCCESS;

	if (v->given & CHANGES_MESSAGE || will.qos != m->qos) {
		if (p->shutting_down)
			return cannot_change(p, c, m);
		rc = MOSQ_ERR_ACL_DENIED;
		if (message_publish(p, c->ptr, &will) != 0)
			return rc;
	}
	/* VerneMQ tells of wills in MQTT 3 only (contract.md, 5.16). */
	if (c->m5)
		return rc;
	tell_publish(p, c, &will);
	if (p->shutting_down)
		p->told = c->ptr;
	return rc;
}

/*
 * The host publishes with the publisher's qos, always. For another one its
 * message is refused, which an MQTT 3 client sees as success, and the decided
 * one published by the broker.
 */
static int carry_out_qos(struct plugin *p, const struct message *m,
			 const struct client *c, const struct verdict *v)
{
	struct message decided = message_changed(m, v);

	if (message_publish(p, c->ptr, &decided) == 0)
		tell_publish(p, c, &decided);
	return MOSQ_ERR_ACL_DENIED;
}

/* A client that left, or that gives way to one of its id, publishes no more:
 * what is asked for is its will. At the broker's end it nearly always is, and
 * what is not cannot be told from it: neither is changed then. */
__attribute__((hot)) static bool is_will(const struct plugin *p,
					 const struct client *c)
{
	return c->state == CLIENT_LEFT || c->state == CLIENT_OFFLINE ||
	       (p->arriving && p->arriving != c &&
		strcmp(p->arriving->id, c->id) == 0) ||
	       p->shutting_down;
}

static bool changes_qos(const struct message *m, const struct verdict *v)
{
	const struct modifier_value *qos = verdict_get(v, MODIFIER_QOS);

	return qos && (uint8_t)qos->number != m->qos;
}

__attribute__((noinline)) static int carry_out(
	struct plugin *p, struct mosquitto_evt_acl_check *ed,
	const struct client *c, const struct message *m,
	const struct verdict *v, bool will)
{
	bool new_qos = changes_qos(m, v);

	if (will)
		return carry_out_will(p, m, c, v);
	if (new_qos && !c->m5)
		return carry_out_qos(p, m, c, v);
	if (!(v->given & CHANGES_MESSAGE) && !new_qos)
		return MOSQ_ERR_SUCCESS;
	return broker_keep(p, ed->client, ed->topic, BROKER_EVT_MESSAGE, v)
		       ? MOSQ_ERR_SUCCESS
		       : MOSQ_ERR_ACL_DENIED;
}

__attribute__((hot)) static int decide(struct plugin *p,
				       struct mosquitto_evt_acl_check *ed,
				       const struct client *c,
				       const struct message *m, bool will)
{
	enum hook_id hook = broker_hook(HOOK_AUTH_ON_PUBLISH, c->m5);
	struct event ev = broker_event_of(p, c, hook);
	const struct verdict *v;
	int rc;

	message_tell(m, &ev);
	ev.sent_username = bytes_of(c->sent_name);
	ev.will = will;
	hook_ask(p->hooks, &ev, false, &v, NULL);
	if (v->decision == DECISION_OK && !v->given && !will)
		rc = MOSQ_ERR_SUCCESS; /* as most are */
	else if (v->decision == DECISION_NEXT)
		rc = broker_no_opinion(p, hook);
	else if (v->decision == DECISION_OK && stays_mounted(p, &ev, v))
		rc = carry_out(p, ed, c, m, v, will);
	else
		rc = denied(p, ed->client);
	verdict_unref(v);
	return rc;
}

__attribute__((hot)) int broker_acl_publish(struct plugin *p, struct client *c,
					    struct mosquitto_evt_acl_check *ed)
{
	struct host_properties properties = { 0 };
	bool will = is_will(p, c);
	const char *topic;
	struct message m;
	int rc;

	topic = broker_bare_topic(p, ed->client, ed->topic);
	if (!topic)
		return broker_not_mounted(p, ed, BROKER_PUBLISH);
	if (topic[0] == '$' || ed->topic[0] == '$')
		return broker_no_opinion(
			p, broker_hook(HOOK_AUTH_ON_PUBLISH, c->m5));
	/* VerneMQ closes at a packet that is too large; it would let a client
	 * that is too fast wait, which the host cannot. */
	if (!will && !limits_size(p, c, ed, topic))
		return denied(p, ed->client);
	if (!will && !limits_rate(p, c))
		return MOSQ_ERR_ACL_DENIED;
	message_properties(p, ed->properties, &properties);
	m = message_checked(ed, topic, &properties);
	rc = decide(p, ed, c, &m, will);
	host_properties_clear(&properties);
	return rc;
}

/* ---- the message ---- */

/* Takes `topic`, from mosquitto_malloc(). */
static void replace_topic(struct plugin *p, struct mosquitto_evt_message *ed,
			  char *topic)
{
	/* In place where it fits: then nobody has to free anything. */
	if (strlen(topic) <= strlen(ed->topic)) {
		memcpy(ed->topic, topic, strlen(topic) + 1);
		mosquitto_free(topic);
		return;
	}
	if (!p->host.frees_replaced)
		mosquitto_free(ed->topic);
	ed->topic = topic;
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
	char *full = NULL;

	if (topic) {
		full = broker_full_topic(p, ed->client, topic->text);
		if (!full)
			return false;
		replace_topic(p, ed, full);
	}
	if (load && !message_set_payload(ed, load->text))
		return false;
	if (verdict_has(v, MODIFIER_PROPERTIES) &&
	    !replace_properties(p, ed, v))
		return false;
	if (retain)
		ed->retain = retain->number;
	return true;
}

/* The message as it stands. */
static struct message message_of(const struct plugin *p,
				 const struct mosquitto_evt_message *ed,
				 const struct host_properties *properties)
{
	const char *topic = broker_bare_topic(p, ed->client, ed->topic);

	return message_passing(ed, topic ? topic : ed->topic, properties);
}

/* Send what the broker holds to where nobody listens, and publish the decided
 * message in its place: a refusal would show in an MQTT 5 acknowledgement. */
static bool swallow(struct plugin *p, struct mosquitto_evt_message *ed,
		    const struct client *c, const struct message *decided)
{
	if (message_publish(p, ed->client, decided) != 0)
		return false;
	tell_publish(p, c, decided);
	ed->topic[0] = '$';
	ed->topic[1] = '\0';
	ed->retain = false;
	return message_set_payload(ed, bytes_of(""));
}

static int carry_out_kept(struct plugin *p, struct mosquitto_evt_message *ed,
			  const struct client *c, const struct verdict *v)
{
	const struct modifier_value *qos = verdict_get(v, MODIFIER_QOS);
	struct host_properties properties = { 0 };
	struct message m;
	bool ok;

	if (!qos || qos->number == ed->qos) {
		if (!change(p, ed, v))
			return MOSQ_ERR_ACL_DENIED;
		message_properties(p, ed->properties, &properties);
		m = message_of(p, ed, &properties);
		tell_publish(p, c, &m);
		host_properties_clear(&properties);
		return MOSQ_ERR_SUCCESS;
	}
	message_properties(p, ed->properties, &properties);
	m = message_of(p, ed, &properties);
	m = message_changed(&m, v);
	ok = swallow(p, ed, c, &m);
	host_properties_clear(&properties);
	return ok ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

static void tell_as_is(struct plugin *p, struct mosquitto_evt_message *ed,
		       const struct client *c)
{
	struct host_properties properties = { 0 };
	struct message m;

	if (!hooks_has(p->hooks, broker_hook(HOOK_ON_PUBLISH, c->m5)))
		return;
	message_properties(p, ed->properties, &properties);
	m = message_of(p, ed, &properties);
	tell_publish(p, c, &m);
	host_properties_clear(&properties);
}

static bool told_of_publishes(const struct plugin *p)
{
	return hooks_has(p->hooks, HOOK_ON_PUBLISH) ||
	       hooks_has(p->hooks, HOOK_ON_PUBLISH_M5);
}

/* 2.1 has an event for them that brings the properties along. */
static bool told_of_deliveries(const struct plugin *p)
{
	return !p->host.v21 && (hooks_has(p->hooks, HOOK_ON_DELIVER) ||
				hooks_has(p->hooks, HOOK_ON_DELIVER_M5));
}

/* For the deliveries that follow at once (broker_deliver.c). */
static void pass_on(struct plugin *p, const struct mosquitto_evt_message *ed)
{
	if (!ed->properties || !told_of_deliveries(p))
		return;
	message_properties(p, ed->properties, &p->passing.properties);
	p->passing.topic = ed->topic;
}

/* Most messages only pass by, and another callback has begun or will soon:
 * ACL_CHECK came just before, but for bridges, and the next TICK follows. */
static bool only_passes(const struct plugin *p)
{
	return !p->kept.verdict && p->ticked && !told_of_publishes(p) &&
	       !told_of_deliveries(p);
}

__attribute__((hot)) int broker_on_message(int event, void *data,
					   void *userdata)
{
	struct mosquitto_evt_message *ed = data;
	struct plugin *p = userdata;
	const struct client *c = NULL;
	const struct verdict *v;
	int rc = MOSQ_ERR_SUCCESS;

	if (only_passes(p))
		return rc;
	v = broker_take(p, event, ed->client, ed->topic);
	broker_enter(p, HOOK_COUNT, NULL);
	/* Bridges come here without ACL_CHECK: no client of ours. */
	if (v || told_of_publishes(p))
		c = broker_client(p, ed->client);
	if (c && v)
		rc = carry_out_kept(p, ed, c, v);
	else if (c && c->state != CLIENT_LEFT && p->told != ed->client)
		tell_as_is(p, ed, c);
	p->told = NULL;
	verdict_unref(v);
	if (rc == MOSQ_ERR_SUCCESS)
		pass_on(p, ed);
	return rc;
}
