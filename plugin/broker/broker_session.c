/*
 * broker_session.c - who comes and who goes: on_register, on_client_wakeup,
 * on_client_offline, on_client_gone.
 */
#include "plugin/broker/broker_private.h"

#include <stdlib.h>
#include <string.h>

static void tell(struct plugin *p, const struct client *c, enum hook_id hook)
{
	struct event ev = broker_event_of(p, c, hook);
	struct property auth[] = {
		{ .id = MQTT_PROP_AUTHENTICATION_METHOD,
		  .text = bytes_of(c->auth_method) },
		{ .id = MQTT_PROP_AUTHENTICATION_DATA,
		  .text = { c->auth_data, c->auth_data_len } },
	};

	if (hook == HOOK_ON_REGISTER_M5 && c->auth_method) {
		ev.properties = auth;
		ev.properties_count = c->auth_data ? 2 : 1;
	}
	hook_tell(p->hooks, &ev);
}

/* For what happens when the broker's client can no longer be asked: while it
 * is pending it may be gone, and once its session ends it is. */
static void remember_mountpoint(struct plugin *p, struct client *c)
{
	struct event ev = broker_event(p, c->ptr, HOOK_ON_REGISTER);

	free(c->mountpoint);
	c->mountpoint = strndup(ev.mountpoint.data, ev.mountpoint.len);
}

struct client *broker_begin(struct plugin *p, const struct mosquitto *client)
{
	struct client *c = client_find(&p->clients, client);

	/* Its pointer is another's: so it is no more. */
	if (c && c->state == CLIENT_OFFLINE && !c->taken)
		offline_ended(p, c);
	c = client_begin(&p->clients, client, mosquitto_client_id(client));
	if (!c)
		return NULL;
	client_set_address(c, mosquitto_client_address(client));
	c->clean = mosquitto_client_clean_session(client);
	c->m5 = broker_is_m5(client);
	remember_mountpoint(p, c);
	return c;
}

__attribute__((hot)) struct client *broker_client(
	struct plugin *p, const struct mosquitto *client)
{
	struct client *c = client_find(&p->clients, client);
	const char *id = mosquitto_client_id(client);

	/* Without an id, as when 2.0 parts from it, it is still the same. */
	return c && id && strcmp(c->id, id) != 0 ? NULL : c;
}

/* An offline session of this id that was not taken over had ended. */
void broker_end_unnoticed(struct plugin *p, struct client *c)
{
	struct client *old = client_offline_by_id(&p->clients, c->id);

	if (!old || old == c)
		return;
	if (old->taken && !c->clean)
		client_hand_filters(old, c);
	else
		offline_ended(p, old);
	client_doom(&p->clients, old);
}

void broker_announce(struct plugin *p, struct client *c)
{
	if (c->state == CLIENT_ONLINE)
		return;
	broker_end_unnoticed(p, c);
	c->state = CLIENT_ONLINE;
	tell(p, c, HOOK_ON_CLIENT_WAKEUP);
	tell(p, c, broker_hook(HOOK_ON_REGISTER, c->m5));
}

void broker_announce_arrivals(struct plugin *p)
{
	struct client *c;

	while ((c = client_next_arrival(&p->clients)) != NULL)
		broker_announce(p, c);
}

/* The client of this id whose login was just decided, which takes over; or
 * NULL. */
static struct client *taker_of(const struct plugin *p, const struct client *c)
{
	struct client *taker = p->arriving;

	if (!taker || taker == c || strcmp(taker->id, c->id) != 0)
		return NULL;
	return taker;
}

/* Of a session taken over VerneMQ says gone when it, or the new one, is
 * clean; offline otherwise. */
static enum hook_id leaves_by(const struct client *c,
			      const struct client *taker, bool ended)
{
	if (taker)
		ended = c->clean || taker->clean;
	return ended ? HOOK_ON_CLIENT_GONE : HOOK_ON_CLIENT_OFFLINE;
}

/* Remember what cannot be asked of the broker once the session ends. */
static void go_offline(struct plugin *p, struct client *c)
{
	client_goes_offline(&p->clients, c, p->beat_ms);
	remember_mountpoint(p, c);
}

/* What is left of one that was let in. */
static void pass_away(struct plugin *p, struct client *c, struct client *taker,
		      bool ended)
{
	c->left_beat = p->clients.beat;
	if (taker && !taker->clean)
		client_hand_filters(c, taker);
	if (!taker && !ended && c->state == CLIENT_ONLINE) {
		go_offline(p, c);
		return;
	}
	/* In MQTT 5 a delayed will may still come, and then it must be known
	 * to be one; but nothing is told of it. */
	if (taker || !c->m5 || c->state == CLIENT_OFFLINE)
		client_doom(&p->clients, c);
	else
		client_part(&p->clients, c);
	c->state = CLIENT_LEFT;
}

/* Of one that was not, its will is to be barred: in an exchange also one that
 * comes late. */
static void turn_away(struct plugin *p, struct client *c)
{
	c->state = CLIENT_REFUSED;
	c->left_beat = p->clients.beat;
	client_drop_auth_data(c);
	if (!c->auth_method)
		client_doom(&p->clients, c);
}

/* `ended`: the session, not only the connection. */
static void leave(struct plugin *p, struct client *c, bool ended)
{
	bool arrived = client_take_arrival(&p->clients, c);
	struct client *taker = taker_of(p, c);

	/* Let in by us and gone within one turn of the loop. Of a deferred one
	 * nobody knows whether another plugin let it in: silence. */
	if (arrived && c->state == CLIENT_ADMITTED)
		broker_announce(p, c);
	if (c->limits.lives_until_ms) {
		c->limits.lives_until_ms = 0;
		p->limited--;
	}
	if (c->state == CLIENT_ONLINE)
		tell(p, c, leaves_by(c, taker, ended));
	if (p->arriving == c)
		p->arriving = NULL;
	if (c->state == CLIENT_REFUSED || c->state == CLIENT_PENDING)
		turn_away(p, c);
	else
		pass_away(p, c, taker, ended);
}

/* One whose login the broker did not tell of, and that has done nothing: its
 * will is to be known as one. It may also be one that was refused before we
 * were asked, so of others with its id it proves nothing. 2.1 has told of its
 * CONNECT; a bridge has no address. */
static void meet_leaving(struct plugin *p, const struct mosquitto *client)
{
	struct client *c = NULL;

	if (!p->host.v21 && mosquitto_client_id(client) &&
	    mosquitto_client_address(client))
		c = broker_begin(p, client);
	if (c)
		pass_away(p, c, NULL, c->clean);
}

/* 2.0 does not say so, but its clean flag is up then; as it is when a client
 * breaks the protocol, so that only counts where there may be such logins. */
static bool is_taken_over(const struct plugin *p, const struct client *c,
			  const struct mosquitto_evt_disconnect *ed)
{
	if (p->host.v21)
		return ed->reason == BROKER_SESSION_TAKEN_OVER;
	return p->conf.identities != SAYS_NO && !c->clean &&
	       mosquitto_client_clean_session(ed->client);
}

int broker_on_disconnect(int event, void *data, void *userdata)
{
	struct mosquitto_evt_disconnect *ed = data;
	struct plugin *p = userdata;
	struct client *c;
	bool taken;

	(void)event;
	broker_enter(p, HOOK_COUNT, NULL);
	if (p->probed && p->probed->ptr != ed->client)
		p->probed = NULL;
	c = broker_client(p, ed->client);
	if (!c) {
		meet_leaving(p, ed->client);
		return MOSQ_ERR_SUCCESS;
	}
	/* By one whose login the broker does not tell of: it is still to be
	 * seen, and then goes on with the session. */
	taken = !taker_of(p, c) && is_taken_over(p, c, ed);
	/* On 2.1 the session has ended, or was taken over, in which case the
	 * clean flag counts again. On 2.0 the flag is all there is. */
	if (!taken || c->state != CLIENT_OFFLINE)
		leave(p, c,
		      p->host.v21 ? ed->reason != BROKER_SESSION_TAKEN_OVER ||
					    c->clean
				  : c->clean);
	c->taken = taken && c->state == CLIENT_OFFLINE;
	return MOSQ_ERR_SUCCESS;
}

int broker_on_offline(int event, void *data, void *userdata)
{
	struct mosquitto_evt_client_offline *ed = data;
	struct plugin *p = userdata;
	struct client *c;

	(void)event;
	broker_enter(p, HOOK_COUNT, NULL);
	c = broker_client(p, ed->client);
	if (c)
		leave(p, c, false);
	return MOSQ_ERR_SUCCESS;
}

/* ---- by command ---- */

static bool agrees(const struct client *c, const char *client_id,
		   const char *username)
{
	const char *name = c->ticket ? c->asked_name : c->sent_name;

	if (c->state != CLIENT_ONLINE && !c->ticket)
		return false;
	if (client_id && strcmp(c->id, client_id) != 0)
		return false;
	if (!username)
		return true;
	if (!name && !c->ticket)
		name = mosquitto_client_username(c->ptr);
	return name && strcmp(name, username) == 0;
}

/* Whose login is under way was asked about before: it is refused, and may come
 * again. */
static bool part_from(struct plugin *p, struct client *c)
{
	if (c->ticket)
		return broker_refuse_pending(p, c);
	return mosquitto_kick_client_by_clientid(c->id, true) ==
	       MOSQ_ERR_SUCCESS;
}

/* The entry stays where it is while its client is parted from: that only dooms
 * it. */
size_t broker_disconnect(void *ctx, const char *client_id, const char *username)
{
	struct plugin *p = ctx;
	struct client *c, *next;
	size_t n = 0;

	p->kicking = true;
	HASH_ITER (hh, p->clients.all, c, next) {
		if (agrees(c, client_id, username) && part_from(p, c))
			n++;
	}
	p->kicking = false;
	return n;
}
