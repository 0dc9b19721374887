/*
 * broker_auth.c - logins: BASIC_AUTH, answered at once or delayed.
 */
#include "plugin/broker/broker_private.h"

#include <string.h>

/* ---- at once ---- */

int broker_login_answer(struct plugin *p, struct client *c,
			struct mosquitto *client, const struct verdict *v)
{
	c->state = login_decide(p, c, v);
	if (c->state == CLIENT_ADMITTED && !login_apply(p, c, client, v))
		c->state = CLIENT_REFUSED;
	if (c->state == CLIENT_REFUSED)
		return MOSQ_ERR_AUTH;
	c->deferred = c->state == CLIENT_DEFERRED;
	p->arriving = c;
	if (p->host.v21)
		c->login = verdict_ref(v);
	else
		client_arrives(&p->clients, c);
	if (c->deferred)
		return MOSQ_ERR_PLUGIN_DEFER;
	limits_begin(p, c, v);
	return MOSQ_ERR_SUCCESS;
}

static struct event login_event(const struct plugin *p,
				const struct mosquitto_evt_basic_auth *ed,
				const struct client *c)
{
	struct event ev;

	ev = broker_event(p, ed->client,
			  broker_hook(HOOK_AUTH_ON_REGISTER, c->m5));
	ev.username = bytes_of(ed->username);
	ev.password = bytes_of(ed->password);
	ev.clean = c->clean;
	return ev;
}

/*
 * SIGHUP makes the broker ask BASIC_AUTH again for every session it has, those
 * that are offline included, and part from those that are not allowed at
 * once. That is no login: who was admitted stays, without a call. Until the
 * next TICK no login can come between, but through websockets in some builds,
 * and so an offline one of those gets no benefit of the doubt.
 */
static bool is_recheck(struct plugin *p, const struct mosquitto *client)
{
	const struct client *c;

	if (!p->rechecking || p->ticked)
		return p->rechecking;
	/* No TICK ends it: only of who is online it is sure. */
	c = broker_client(p, client);
	return c && c->state == CLIENT_ONLINE;
}

static int recheck(struct plugin *p, const struct mosquitto *client)
{
	const struct client *c = broker_client(p, client);
	bool websockets = mosquitto_client_protocol(client) == mp_websockets;

	if (c && c->state == CLIENT_ONLINE)
		return c->deferred ? MOSQ_ERR_PLUGIN_DEFER : MOSQ_ERR_SUCCESS;
	if (c && (c->state == CLIENT_REFUSED || c->state == CLIENT_PENDING))
		return MOSQ_ERR_AUTH;
	return websockets ? MOSQ_ERR_AUTH : MOSQ_ERR_SUCCESS;
}

/* Its answer will come from TICK, under `ticket`. */
static int wait_for_answer(struct plugin *p, struct client *c, uint64_t ticket,
			   const char *username)
{
	if (client_pend(&p->clients, c, ticket, username))
		return MOSQ_ERR_AUTH_DELAYED;
	hook_forget(p->hooks, c->id);
	c->state = CLIENT_REFUSED;
	return MOSQ_ERR_AUTH;
}

static int log_in(struct plugin *p, const struct mosquitto_evt_basic_auth *ed)
{
	enum hook_id hook =
		broker_hook(HOOK_AUTH_ON_REGISTER, broker_is_m5(ed->client));
	struct listener_told listener;
	enum hook_result result;
	const struct verdict *v;
	struct client *c;
	struct event ev;
	uint64_t ticket;
	bool may_delay;
	int rc;

	c = broker_begin(p, ed->client);
	if (!c)
		return MOSQ_ERR_AUTH;
	/* Whoever was pending under this id is so no more. */
	hook_forget(p->hooks, c->id);
	ev = login_event(p, ed, c);
	listener_ask(p, ed->client, hook, &listener);
	ev.listener = listener.told;
	may_delay = p->host.v21 && !hooks_block(p->hooks, hook);
	result = hook_ask(p->hooks, &ev, may_delay, &v, &ticket);
	listener_forget(&listener);
	if (result == HOOK_PENDING)
		return wait_for_answer(p, c, ticket, ed->username);
	rc = broker_login_answer(p, c, ed->client, v);
	verdict_unref(v);
	if (c->deferred && !hooks_has(p->hooks, hook))
		rc = broker_no_opinion(p, hook);
	return rc;
}

int broker_on_basic_auth(int event, void *data, void *userdata)
{
	const struct mosquitto_evt_basic_auth *ed = data;
	struct plugin *p = userdata;

	(void)event;
	if (!broker_on_thread(p))
		return MOSQ_ERR_PLUGIN_DEFER;
	broker_enter(p, HOOK_COUNT, NULL);
	broker_announce_arrivals(p);
	if (is_recheck(p, ed->client))
		return recheck(p, ed->client);
	p->arriving = NULL;
	return log_in(p, ed);
}

/* ---- delayed ---- */

/* The answer came too late for its client. Of one of MQTT 5 a delayed will
 * may be left. */
static void has_left(struct plugin *p, struct client *c)
{
	c->state = CLIENT_REFUSED;
	if (!c->m5)
		client_doom(&p->clients, c);
}

static void admit(struct plugin *p, struct client *c, const char *client_id,
		  const struct verdict *v)
{
	c->login = verdict_ref(v);
	p->arriving = c;
	mosquitto_complete_basic_auth(client_id, MOSQ_ERR_SUCCESS);
	p->arriving = NULL;
	if (c->state == CLIENT_ADMITTED) {
		has_left(p, c); /* no CONNECT came of it */
		return;
	}
	if (c->state != CLIENT_ONLINE)
		return;
	limits_begin(p, c, v);
	if (c->unfit) /* the CONNACK is out: there is but to part from it */
		mosquitto_kick_client_by_clientid(c->id, false);
}

static void refuse(struct plugin *p, struct client *c, const char *client_id)
{
	c->state = CLIENT_REFUSED;
	client_doom(&p->clients, c);
	mosquitto_complete_basic_auth(client_id, MOSQ_ERR_AUTH);
}

void broker_complete_auth(void *ctx, const char *client_id, uint64_t ticket,
			  const struct verdict *v)
{
	struct plugin *p = ctx;
	struct client *c = client_by_ticket(&p->clients, ticket);

	if (!c || p->stopping)
		return; /* gone, or its pointer has another life */
	client_decided(&p->clients, c);
	if (!v) {
		has_left(p, c);
		return;
	}
	c->state = login_decide(p, c, v);
	if (c->state == CLIENT_ADMITTED) {
		admit(p, c, client_id, v);
		return;
	}
	/* Nobody else can be asked any more: no opinion is a refusal. */
	if (c->state == CLIENT_DEFERRED)
		broker_trouble(
			p, BROKER_UNDECIDED,
			"login of client %s refused: no endpoint decided, "
			"and after a delayed answer this Mosquitto asks "
			"nobody else (blocking = on leaves it to others)",
			c->id);
	refuse(p, c, client_id);
}

bool broker_refuse_pending(struct plugin *p, struct client *c)
{
	if (!hook_withdraw(p->hooks, c->id, c->ticket))
		return false;
	client_decided(&p->clients, c);
	refuse(p, c, c->id);
	return true;
}

int broker_on_connect(int event, void *data, void *userdata)
{
	struct mosquitto_evt_connect *ed = data;
	struct plugin *p = userdata;
	struct client *c;

	(void)event;
	broker_enter(p, HOOK_COUNT, NULL);
	c = broker_client(p, ed->client);
	if (c && c->state == CLIENT_ONLINE && p->arriving == c)
		return MOSQ_ERR_SUCCESS; /* a delivery announced it */
	if (!c || (c->state != CLIENT_ADMITTED && c->state != CLIENT_DEFERRED))
		c = broker_begin(p, ed->client);
	if (!c)
		return MOSQ_ERR_SUCCESS;
	login_connected(p, c, ed->client);
	broker_announce(p, c);
	return MOSQ_ERR_SUCCESS;
}
