/*
 * broker_subscribe.c - subscriptions: asked filter by filter, told of packet
 * by packet.
 */
#include "plugin/broker/broker_private.h"

#include <string.h>
#include "plugin/topic.h"

/* MQTT 5 section 3.8.3.1. */
enum {
	OPTION_QOS = 0x03,
	OPTION_NO_LOCAL = 0x04,
	OPTION_RAP = 0x08,
	OPTION_RETAIN_HANDLING_SHIFT = 4,
};

static void emit(void *arg, const struct event *ev)
{
	struct plugin *p = arg;

	hook_tell(p->hooks, ev);
}

void broker_flush_gathered(struct plugin *p)
{
	gather_flush(p->gather, emit, p);
}

static void gather(struct plugin *p, const struct mosquitto *client,
		   enum hook_id v3, const struct topic *topic,
		   const struct property *properties, size_t count)
{
	enum hook_id hook = broker_hook(v3, broker_is_m5(client));
	struct event ev;

	if (!hooks_has(p->hooks, hook))
		return;
	if (!gather_fits(p->gather, hook, client))
		broker_flush_gathered(p);
	ev = broker_event(p, client, hook);
	ev.properties = properties;
	ev.properties_count = count;
	if (gather_add(p->gather, client, &ev, topic) != 0)
		broker_trouble(p, BROKER_MEMORY,
			       "no memory to tell of a subscription");
}

static void enter_for(struct plugin *p, const struct mosquitto *client,
		      enum hook_id v3)
{
	broker_enter(p, broker_hook(v3, broker_is_m5(client)), client);
}

/* ---- the question ---- */

static bool same_text(struct bytes a, struct bytes b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static const char *without_group(const char *filter)
{
	if (strncmp(filter, "$share/", 7) != 0)
		return filter;
	filter = strchr(filter + 7, '/');
	return filter ? filter + 1 : "";
}

/* Where a message goes that is published in another's place. */
static bool is_sink(const char *filter)
{
	return strcmp(without_group(filter), "$") == 0;
}

/* Where a reply may lead a subscription that was not asked for there: not to
 * the broker's own topics, nor into a group (contract.md, decision 28). */
static bool is_led_astray(const struct topic *asked, const struct topic *to)
{
	const char *filter = to->filter.data;

	if (is_sink(filter) || topic_is_control(to->filter))
		return true;
	return !same_text(asked->filter, to->filter) && filter[0] == '$';
}

/* What the reply makes of the one filter that was asked. False: refused. */
static bool granted(struct plugin *p, const struct event *ev,
		    const struct verdict *v, struct topic *ret)
{
	const struct topic *asked = ev->topics;
	bool changes;

	*ret = *asked;
	if (!verdict_has(v, MODIFIER_TOPICS))
		return true;
	if (v->topics_count != 1) {
		broker_trouble(
			p, BROKER_SUBSCRIBE,
			"subscription of client %.*s refused: asked for one "
			"filter, the reply lists %zu",
			(int)ev->client_id.len,
			(const char *)ev->client_id.data, v->topics_count);
		return false;
	}
	*ret = v->topics[0];
	if (ret->qos < 0 || ret->qos > 2)
		return false;
	if (is_led_astray(asked, ret)) {
		broker_trouble(
			p, BROKER_SUBSCRIBE,
			"subscription of client %.*s to %.*s refused: the "
			"reply rewrites it to %.*s, which no reply may",
			(int)ev->client_id.len,
			(const char *)ev->client_id.data,
			(int)asked->filter.len,
			(const char *)asked->filter.data, (int)ret->filter.len,
			(const char *)ret->filter.data);
		return false;
	}
	if (p->host.v21)
		return true;
	changes = ret->qos != asked->qos ||
		  !same_text(ret->filter, asked->filter) || ret->no_local ||
		  ret->rap || ret->retain_handling != RETAIN_SEND;
	ret->has_options = false; /* the client's, which nobody knows */
	if (!changes)
		return true;
	broker_trouble(p, BROKER_SUBSCRIBE,
		       "subscription of client %.*s to %.*s refused: the reply "
		       "rewrites it, which Mosquitto %s cannot do",
		       (int)ev->client_id.len, (const char *)ev->client_id.data,
		       (int)asked->filter.len, (const char *)asked->filter.data,
		       p->host.version);
	return false;
}

static int carry_out(struct plugin *p, struct mosquitto_evt_acl_check *ed,
		     const struct event *ev, const struct verdict *v)
{
	struct topic topic;

	if (!granted(p, ev, v, &topic))
		return MOSQ_ERR_ACL_DENIED;
	if (!p->host.v21) {
		gather(p, ed->client, HOOK_ON_SUBSCRIBE, &topic, NULL, 0);
		offline_subscribed(p, ed->client, ed->topic, topic.qos);
	} else if (verdict_has(v, MODIFIER_TOPICS) &&
		   !broker_keep(p, ed->client, ed->topic, MOSQ_EVT_SUBSCRIBE,
				v)) {
		return MOSQ_ERR_ACL_DENIED;
	}
	return MOSQ_ERR_SUCCESS;
}

__attribute__((noinline)) int broker_acl_subscribe(
	struct plugin *p, struct mosquitto_evt_acl_check *ed)
{
	enum hook_id hook =
		broker_hook(HOOK_AUTH_ON_SUBSCRIBE, broker_is_m5(ed->client));
	const char *filter;
	const struct client *c = broker_client(p, ed->client);
	const struct verdict *v;
	struct topic topic;
	struct event ev;
	int rc = MOSQ_ERR_ACL_DENIED;

	filter = broker_bare_topic(p, ed->client, ed->topic);
	if (!filter)
		return broker_not_mounted(p, ed, BROKER_SUBSCRIBE);
	if (is_sink(filter))
		return MOSQ_ERR_ACL_DENIED;
	/* No endpoint can give what is the broker's own. */
	if (topic_is_control(bytes_of(filter)))
		return broker_no_opinion(p, hook);
	topic = (struct topic){ .filter = bytes_of(filter), .qos = ed->qos };
	ev = broker_event(p, ed->client, hook);
	ev.topics = &topic;
	ev.topics_count = 1;
	ev.sent_username = bytes_of(c ? c->sent_name : NULL);
	hook_ask(p->hooks, &ev, false, &v, NULL);
	if (v->decision == DECISION_NEXT)
		rc = broker_no_opinion(p, hook);
	else if (v->decision == DECISION_OK)
		rc = carry_out(p, ed, &ev, v);
	verdict_unref(v);
	return rc;
}

/* ---- 2.1: the accepted subscription ---- */

/* The broker goes by what the client asked for. */
static void note_retain_handling(struct plugin *p,
				 const struct mosquitto_evt_subscribe *ed,
				 const struct topic *to)
{
	int asked = ed->data.options >> OPTION_RETAIN_HANDLING_SHIFT & 0x03;

	if (!to->has_options || (int)to->retain_handling == asked ||
	    p->retain_handling_said)
		return;
	p->retain_handling_said = true;
	broker_log(p, LOG_LEVEL_WARN,
		   "a reply to a subscription sets retain_handling: Mosquitto "
		   "goes by what the client asked for");
}

/* The SUBACK has the requested qos all the same. */
static bool rewrite(struct plugin *p, struct mosquitto_evt_subscribe *ed,
		    const struct topic *to)
{
	char *filter = broker_full_topic(p, ed->client, to->filter);

	if (!filter)
		return false;
	note_retain_handling(p, ed, to);
	ed->data.topic_filter = filter; /* the broker frees the old one */
	ed->data.options =
		(uint8_t)((ed->data.options & ~OPTION_QOS) | to->qos);
	if (!to->has_options)
		return true;
	ed->data.options =
		(uint8_t)(to->qos | (to->no_local ? OPTION_NO_LOCAL : 0) |
			  (to->rap ? OPTION_RAP : 0) |
			  to->retain_handling << OPTION_RETAIN_HANDLING_SHIFT);
	return true;
}

static struct topic topic_of(const struct mosquitto_subscription *sub,
			     const char *filter, bool m5)
{
	return (struct topic){
		.filter = bytes_of(filter),
		.qos = sub->options & OPTION_QOS,
		.has_options = m5,
		.no_local = sub->options & OPTION_NO_LOCAL,
		.rap = sub->options & OPTION_RAP,
		.retain_handling =
			sub->options >> OPTION_RETAIN_HANDLING_SHIFT & 0x03,
	};
}

int broker_on_subscribe(int event, void *data, void *userdata)
{
	struct mosquitto_evt_subscribe *ed = data;
	struct plugin *p = userdata;
	bool m5 = broker_is_m5(ed->client);
	struct property id = {
		.id = MQTT_PROP_SUBSCRIPTION_IDENTIFIER,
		.number = ed->data.identifier,
	};
	const struct verdict *v;
	const char *filter;
	struct topic topic;
	bool ok = true;

	v = broker_take(p, event, ed->client, ed->data.topic_filter);
	enter_for(p, ed->client, HOOK_ON_SUBSCRIBE);
	if (v)
		ok = rewrite(p, ed, &v->topics[0]);
	verdict_unref(v);
	if (!ok)
		return MOSQ_ERR_NOMEM; /* closes the connection */
	filter = broker_bare_topic(p, ed->client, ed->data.topic_filter);
	if (!filter)
		return MOSQ_ERR_SUCCESS;
	topic = topic_of(&ed->data, filter, m5);
	offline_subscribed(p, ed->client, ed->data.topic_filter, topic.qos);
	gather(p, ed->client, HOOK_ON_SUBSCRIBE, &topic, &id,
	       ed->data.identifier ? 1 : 0);
	return MOSQ_ERR_SUCCESS;
}

/* ---- unsubscribe ---- */

/* Mosquitto does not put a mount_point before what a client unsubscribes
 * from. */
static const char *unsubscribed(const struct plugin *p,
				const struct mosquitto *client,
				const char *filter)
{
	const char *bare = broker_bare_topic(p, client, filter);

	return bare ? bare : filter;
}

static void tell_unsubscribe(struct plugin *p, const struct mosquitto *client,
			     const char *full)
{
	const char *filter;
	struct topic topic;

	offline_unsubscribed(p, client, full);
	filter = unsubscribed(p, client, full);
	topic = (struct topic){ .filter = bytes_of(filter) };
	gather(p, client, HOOK_ON_UNSUBSCRIBE, &topic, NULL, 0);
}

/* Nobody may be held to a subscription (contract.md, 5.7). On 2.0 only
 * success lets it go, on 2.1 its own event follows. */
int broker_acl_unsubscribe(struct plugin *p, struct mosquitto_evt_acl_check *ed)
{
	if (p->host.v21)
		return MOSQ_ERR_PLUGIN_IGNORE;
	tell_unsubscribe(p, ed->client, ed->topic);
	return MOSQ_ERR_SUCCESS;
}

/* With `blocking`: the reply may name another filter to leave. Whatever else
 * it says, what was asked for is left. */
static void ask_unsubscribe(struct plugin *p,
			    struct mosquitto_evt_unsubscribe *ed,
			    enum hook_id hook)
{
	const char *filter;
	const struct verdict *v;
	struct topic topic;
	struct event ev;
	char *copy = NULL;

	broker_enter(p, HOOK_COUNT, NULL);
	filter = unsubscribed(p, ed->client, ed->data.topic_filter);
	topic = (struct topic){ .filter = bytes_of(filter) };
	ev = broker_event(p, ed->client, hook);
	ev.topics = &topic;
	ev.topics_count = 1;
	hook_ask(p->hooks, &ev, false, &v, NULL);
	if (v->decision == DECISION_OK && v->topics_count == 1)
		copy = broker_full_topic(p, ed->client, v->topics[0].filter);
	if (copy)
		ed->data.topic_filter = copy; /* the broker frees the old one */
	verdict_unref(v);
	offline_unsubscribed(p, ed->client, ed->data.topic_filter);
}

int broker_on_unsubscribe(int event, void *data, void *userdata)
{
	struct mosquitto_evt_unsubscribe *ed = data;
	struct plugin *p = userdata;
	enum hook_id hook =
		broker_hook(HOOK_ON_UNSUBSCRIBE, broker_is_m5(ed->client));

	(void)event;
	if (hooks_block(p->hooks, hook))
		ask_unsubscribe(p, ed, hook);
	else {
		enter_for(p, ed->client, HOOK_ON_UNSUBSCRIBE);
		tell_unsubscribe(p, ed->client, ed->data.topic_filter);
	}
	return MOSQ_ERR_SUCCESS;
}
