/*
 * broker_offline.c - sessions without a connection: on_offline_message,
 * on_session_expired. No event tells of either; we know who is offline, and
 * look.
 */
#include "plugin/broker/broker_private.h"

#include <errno.h>
#include <string.h>

enum {
	/* Looking costs 2.1 a look-up; 2.0 only knows by a disconnect that
	 * finds nobody, of which an MQTT 5 session keeps a trace. */
	LOOKS_V21 = 256,
	LOOKS_V20 = 16,
	STEPS = 256, /* along the list, those not due included */
	LOOK_AGAIN_MS = 1000,
	LOOK_AGAIN_MAX_V3_MS = 10000,
	LOOK_AGAIN_MAX_M5_MS = 60000,
	BACKOFF = 8, /* wait an eighth of how long it is away */
};

/* ---- subscriptions ---- */

void offline_subscribed(struct plugin *p, const struct mosquitto *client,
			const char *filter, int qos)
{
	struct client *c;

	if (!hooks_has(p->hooks, HOOK_ON_OFFLINE_MESSAGE))
		return;
	c = broker_client(p, client);
	if (c && client_add_filter(c, filter, (uint8_t)qos) == -ENOMEM)
		broker_trouble(p, BROKER_MEMORY,
			       "no memory to remember a subscription");
}

void offline_unsubscribed(struct plugin *p, const struct mosquitto *client,
			  const char *filter)
{
	struct client *c = broker_client(p, client);

	if (c)
		client_drop_filter(c, filter);
}

static bool matches(const char *filter, const char *topic)
{
	bool match = false;

	return mosquitto_topic_matches_sub(filter, topic, &match) ==
		       MOSQ_ERR_SUCCESS &&
	       match;
}

/* The filter of a shared subscription, or NULL. */
static const char *shared_filter(const char *filter)
{
	if (strncmp(filter, "$share/", 7) != 0)
		return NULL;
	filter = strchr(filter + 7, '/');
	return filter ? filter + 1 : NULL;
}

/* The highest qos of the subscriptions that match, shared ones counting as 0:
 * VerneMQ does not tell of those. -1 when we saw none: the session is older
 * than the plugin, or another plugin allowed it. */
static int subscribed_qos(const struct client *c, const char *topic)
{
	int qos = -1;

	for (size_t i = 0; i < c->filters_count; i++) {
		const char *shared = shared_filter(c->filters[i].filter);
		int its = shared ? 0 : c->filters[i].qos;

		if (its > qos &&
		    matches(shared ? shared : c->filters[i].filter, topic))
			qos = its;
	}
	return qos;
}

/* VerneMQ tells of a subscription with qos 1 or 2, whatever the message's,
 * and tells the subscription's qos (contract.md, 5.9). */
void offline_message(struct plugin *p, const struct client *c,
		     const struct mosquitto_evt_acl_check *ed)
{
	const char *topic;
	struct event ev;
	int qos;

	if (!hooks_has(p->hooks, HOOK_ON_OFFLINE_MESSAGE))
		return;
	qos = subscribed_qos(c, ed->topic);
	if (qos < 0)
		qos = ed->qos;
	topic = broker_bare_topic(p, ed->client, ed->topic);
	if (qos == 0 || !topic)
		return;
	ev = broker_event(p, ed->client, HOOK_ON_OFFLINE_MESSAGE);
	ev.client_id = bytes_of(c->id);
	ev.topic = bytes_of(topic);
	ev.payload = (struct bytes){ ed->payload ? ed->payload : "",
				     ed->payloadlen };
	ev.qos = (uint8_t)qos;
	ev.retain = ed->retain;
	hook_tell(p->hooks, &ev);
}

/* ---- the end of a session ---- */

static bool exists(struct plugin *p, const struct client *c)
{
	int rc;

	if (mosquitto_client)
		return mosquitto_client(c->id) == c->ptr;
	/* Of a client that is offline this has no effect. One of this id whose
	 * login the broker did not tell of, and that has done nothing yet, is
	 * parted from; that is noticed, and happens once. */
	p->kicking = true;
	p->probed = c;
	rc = mosquitto_kick_client_by_clientid(c->id, true);
	p->kicking = false;
	if (!p->probed)
		return false;
	p->probed = NULL;
	return rc == MOSQ_ERR_SUCCESS;
}

static int64_t look_again(const struct plugin *p, const struct client *c,
			  int64_t now)
{
	int64_t wait = (now - c->left_ms) / BACKOFF;
	int64_t max = p->host.v21 ? LOOK_AGAIN_MS
		      : c->m5     ? LOOK_AGAIN_MAX_M5_MS
				  : LOOK_AGAIN_MAX_V3_MS;

	if (wait > max)
		wait = max;
	return now + (wait < LOOK_AGAIN_MS ? LOOK_AGAIN_MS : wait);
}

void offline_ended(struct plugin *p, const struct client *c)
{
	/* The broker's client is gone: nothing of it may be read. */
	struct event ev = {
		.hook = HOOK_ON_SESSION_EXPIRED,
		.mountpoint = bytes_of(c->mountpoint ? c->mountpoint : ""),
		.client_id = bytes_of(c->id),
	};

	hook_tell(p->hooks, &ev);
}

/* 2.0 pays for a look: without anybody to tell, none is worth it. */
static bool is_looked_for(struct plugin *p)
{
	return p->host.v21 || hooks_has(p->hooks, HOOK_ON_SESSION_EXPIRED);
}

void offline_tick(struct plugin *p, int64_t now)
{
	const struct client *first = p->clients.offline;
	int looks = p->host.v21 ? LOOKS_V21 : LOOKS_V20;

	if (!is_looked_for(p))
		return;
	for (int steps = 0; steps < STEPS && looks > 0; steps++) {
		struct client *c = p->clients.offline;

		if (!c || (steps > 0 && c == first))
			return;
		client_polled(&p->clients, c);
		if (c->poll_ms > now || c->taken)
			continue;
		looks--;
		c->poll_ms = look_again(p, c, now);
		if (exists(p, c))
			continue;
		offline_ended(p, c);
		client_doom(&p->clients, c);
	}
}
