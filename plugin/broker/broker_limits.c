/*
 * broker_limits.c - limits that a login's reply sets: max_message_size,
 * max_message_rate, max_connection_lifetime.
 */
#include "plugin/broker/broker_private.h"

#include <string.h>

enum {
	SECOND_MS = 1000
};

static int64_t number(const struct verdict *v, enum modifier id)
{
	const struct modifier_value *value = verdict_get(v, id);

	return value ? value->number : 0;
}

void limits_begin(struct plugin *p, struct client *c, const struct verdict *v)
{
	int64_t lifetime = number(v, MODIFIER_MAX_CONNECTION_LIFETIME);

	c->limits.message_size = number(v, MODIFIER_MAX_MESSAGE_SIZE);
	c->limits.message_rate = number(v, MODIFIER_MAX_MESSAGE_RATE);
	if (lifetime <= 0 || lifetime > INT32_MAX)
		return;
	c->limits.lives_until_ms = p->beat_ms + lifetime * SECOND_MS;
	p->limited++;
}

/* MQTT 5 section 3.3: header, length, topic, packet id, payload; the
 * properties' own bytes are not known here. */
static int64_t packet_size(const struct mosquitto_evt_acl_check *ed,
			   const char *topic, bool m5)
{
	int64_t rest = 2 + (int64_t)strlen(topic) + (ed->qos ? 2 : 0) +
		       (m5 ? 1 : 0) + ed->payloadlen;

	return 1 +
	       (rest < 128       ? 1
		: rest < 16384   ? 2
		: rest < 2097152 ? 3
				 : 4) +
	       rest;
}

__attribute__((noinline)) static bool is_within(
	struct plugin *p, const struct client *c,
	const struct mosquitto_evt_acl_check *ed, const char *topic)
{
	if (packet_size(ed, topic, c->m5) <= c->limits.message_size)
		return true;
	broker_trouble(p, BROKER_LIMIT,
		       "publish of client %s refused: larger than "
		       "max_message_size of its login",
		       c->id);
	return false;
}

bool limits_size(struct plugin *p, const struct client *c,
		 const struct mosquitto_evt_acl_check *ed, const char *topic)
{
	return c->limits.message_size <= 0 || is_within(p, c, ed, topic);
}

__attribute__((noinline)) static bool count_one(struct plugin *p,
						struct client *c)
{
	struct client_limits *l = &c->limits;
	int64_t second = p->beat_ms / SECOND_MS;

	if (l->second != second) {
		l->second = second;
		l->sent = 0;
	}
	if (++l->sent == l->message_rate + 1)
		broker_trouble(
			p, BROKER_LIMIT,
			"publishes of client %s refused for the rest of a "
			"second: more than max_message_rate of its login",
			c->id);
	return l->sent <= l->message_rate;
}

bool limits_rate(struct plugin *p, struct client *c)
{
	return c->limits.message_rate <= 0 || count_one(p, c);
}

void limits_tick(struct plugin *p, int64_t now)
{
	struct client *c, *next;

	if (!p->limited)
		return;
	HASH_ITER (hh, p->clients.all, c, next) {
		if (!c->limits.lives_until_ms || now < c->limits.lives_until_ms)
			continue;
		c->limits.lives_until_ms = 0;
		p->limited--;
		if (c->state != CLIENT_ONLINE)
			continue;
		broker_trouble(
			p, BROKER_LIFETIME,
			"client %s disconnected: max_connection_lifetime of "
			"its login is over",
			c->id);
		p->kicking = true;
		mosquitto_kick_client_by_clientid(c->id, true);
		p->kicking = false;
	}
}
