/*
 * broker_auth.c - logins: BASIC_AUTH, answered at once or delayed.
 */
#include "plugin/broker_private.h"

#include <string.h>

static bool text_is(const struct modifier_value *v, const char *text)
{
	return v->text.len == strlen(text) &&
	       memcmp(v->text.data, text, v->text.len) == 0;
}

/* Changes of who the client is that this host, today, cannot carry out. */
static const char *cannot_become(const struct client *c,
				 const struct verdict *v)
{
	const struct modifier_value *id = verdict_get(v, MODIFIER_CLIENT_ID);
	const struct modifier_value *mp = verdict_get(v, MODIFIER_MOUNTPOINT);

	if (mp && mp->text.len > 0)
		return "the reply sets a mountpoint other than the listener's";
	if (id && !text_is(id, c->id))
		return "the reply renames the client, which is not supported";
	return NULL;
}

/* `username` of the reply. A client that sent none stays without, as in
 * VerneMQ. */
static bool set_username(struct mosquitto *client, const struct verdict *v)
{
	const struct modifier_value *name = verdict_get(v, MODIFIER_USERNAME);

	if (!name || !mosquitto_client_username(client))
		return true;
	return mosquitto_set_username(client, name->text.data) ==
	       MOSQ_ERR_SUCCESS;
}

/* The client's new state by `v`: CLIENT_ADMITTED, _DEFERRED or _REFUSED. */
static enum client_state decide(struct plugin *p, const struct client *c,
				const struct verdict *v)
{
	const char *cannot;

	if (v->decision == DECISION_NEXT)
		return CLIENT_DEFERRED;
	if (v->decision == DECISION_DENY)
		return CLIENT_REFUSED;
	cannot = cannot_become(c, v);
	if (!cannot)
		return CLIENT_ADMITTED;
	broker_log(p, LOG_LEVEL_WARN, "login of client %s refused: %s", c->id,
		   cannot);
	return CLIENT_REFUSED;
}

/* ---- at once ---- */

static int answer(struct plugin *p, struct client *c, struct mosquitto *client,
		  const struct verdict *v)
{
	c->state = decide(p, c, v);
	if (c->state == CLIENT_ADMITTED && !set_username(client, v))
		c->state = CLIENT_REFUSED;
	if (c->state == CLIENT_REFUSED)
		return MOSQ_ERR_AUTH;
	c->deferred = c->state == CLIENT_DEFERRED;
	p->arriving = c;
	if (!p->host.v21)
		client_arrives(&p->clients, c);
	return c->state == CLIENT_ADMITTED ? MOSQ_ERR_SUCCESS :
					     MOSQ_ERR_PLUGIN_DEFER;
}

static struct event login_event(const struct mosquitto_evt_basic_auth *ed,
				const struct client *c)
{
	struct event ev;

	ev = broker_event(ed->client,
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
 * next TICK no login can come between, but through 2.0's websockets, and so
 * an offline one of those gets no benefit of the doubt.
 */
static int recheck(struct plugin *p, const struct mosquitto *client)
{
	const struct client *c = client_find(&p->clients, client);
	bool websockets = mosquitto_client_protocol(client) == mp_websockets;

	if (!c || c->state == CLIENT_LEFT)
		return websockets && !p->host.v21 ? MOSQ_ERR_AUTH :
						    MOSQ_ERR_SUCCESS;
	if (c->state != CLIENT_ONLINE)
		return MOSQ_ERR_AUTH;
	return c->deferred ? MOSQ_ERR_PLUGIN_DEFER : MOSQ_ERR_SUCCESS;
}

int broker_on_basic_auth(int event, void *data, void *userdata)
{
	struct mosquitto_evt_basic_auth *ed = data;
	struct plugin *p = userdata;
	const struct verdict *v;
	struct client *c;
	struct event ev;
	uint64_t ticket;
	int rc;

	(void)event;
	if (!broker_on_thread(p))
		return MOSQ_ERR_PLUGIN_DEFER;
	broker_enter(p, HOOK_COUNT, NULL);
	broker_announce_arrivals(p);
	if (p->rechecking)
		return recheck(p, ed->client);
	p->arriving = NULL;
	c = client_begin(&p->clients, ed->client,
			 mosquitto_client_id(ed->client));
	if (!c)
		return MOSQ_ERR_AUTH;
	c->clean = mosquitto_client_clean_session(ed->client);
	c->m5 = broker_is_m5(ed->client);
	ev = login_event(ed, c);
	if (hook_ask(p->hooks, &ev, p->host.v21, &v, &ticket) == HOOK_DONE) {
		rc = answer(p, c, ed->client, v);
		verdict_unref(v);
		return rc;
	}
	if (client_pend(&p->clients, c, ticket))
		return MOSQ_ERR_AUTH_DELAYED;
	hook_forget(p->hooks, c->id);
	c->state = CLIENT_REFUSED;
	return MOSQ_ERR_AUTH;
}

/* ---- delayed ---- */

static void admit(struct plugin *p, struct client *c, const char *client_id,
		  const struct verdict *v)
{
	c->login = verdict_ref(v);
	p->arriving = c;
	mosquitto_complete_basic_auth(client_id, MOSQ_ERR_SUCCESS);
	p->arriving = NULL;
	if (c->state != CLIENT_ADMITTED)
		return;
	/* No CONNECT came of it: the client had left. */
	c->state = CLIENT_REFUSED;
	client_doom(&p->clients, c);
}

void broker_complete_auth(void *ctx, const char *client_id, uint64_t ticket,
			  const struct verdict *v)
{
	struct plugin *p = ctx;
	struct client *c = client_by_ticket(&p->clients, ticket);

	if (!c || p->stopping)
		return;		/* gone, or its pointer has another life */
	client_decided(&p->clients, c);
	c->state = decide(p, c, v);
	if (c->state == CLIENT_ADMITTED) {
		admit(p, c, client_id, v);
		return;
	}
	/* Nobody else can be asked any more: no opinion is a refusal. */
	if (c->state == CLIENT_DEFERRED)
		broker_log(p, LOG_LEVEL_INFO,
			   "login of client %s refused: no endpoint decided",
			   c->id);
	c->state = CLIENT_REFUSED;
	client_doom(&p->clients, c);
	mosquitto_complete_basic_auth(client_id, MOSQ_ERR_AUTH);
}

/* In CONNECT, which complete_basic_auth() calls: what the login changes. */
static void apply_login(struct plugin *p, struct client *c,
			struct mosquitto *client)
{
	if (c->login && !set_username(client, c->login))
		broker_log(p, LOG_LEVEL_ERR,
			   "client %s keeps its user name: the reply's could "
			   "not be set",
			   c->id);
	verdict_unref(c->login);
	c->login = NULL;
}

int broker_on_connect(int event, void *data, void *userdata)
{
	struct mosquitto_evt_connect *ed = data;
	struct plugin *p = userdata;
	struct client *c;

	(void)event;
	broker_enter(p, HOOK_COUNT, NULL);
	c = client_find(&p->clients, ed->client);
	if (!c || (c->state != CLIENT_ADMITTED && c->state != CLIENT_DEFERRED))
		c = client_begin(&p->clients, ed->client,
				 mosquitto_client_id(ed->client));
	if (!c)
		return MOSQ_ERR_SUCCESS;
	if (c->state == CLIENT_UNASKED) {
		c->clean = mosquitto_client_clean_session(ed->client);
		c->m5 = broker_is_m5(ed->client);
	}
	apply_login(p, c, ed->client);
	broker_announce(p, c);
	return MOSQ_ERR_SUCCESS;
}
