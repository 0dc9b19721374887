/*
 * broker_login.c - what the reply to a login changes of its client.
 */
#include "plugin/broker/broker_private.h"

#include <stdlib.h>
#include <string.h>

static bool text_is(struct bytes text, const char *is, size_t len)
{
	return text.len == len && memcmp(text.data, is, len) == 0;
}

const char *login_new_id(const struct client *c, const struct verdict *v)
{
	const struct modifier_value *id = verdict_get(v, MODIFIER_CLIENT_ID);

	if (!id || text_is(id->text, c->id, strlen(c->id)))
		return NULL;
	return id->text.data;
}

/* Isolation is never dropped in silence: a mountpoint other than the
 * listener's refuses. */
static bool is_mounted_there(const struct client *c, const struct verdict *v)
{
	const struct modifier_value *mp = verdict_get(v, MODIFIER_MOUNTPOINT);

	if (!mp)
		return true;
	return c->mountpoint &&
	       text_is(mp->text, c->mountpoint, strlen(c->mountpoint));
}

/* The host takes no control characters in names, and no non-characters. */
static bool is_name(const struct modifier_value *name)
{
	return !name ||
	       mosquitto_validate_utf8(name->text.data, (int)name->text.len) ==
		       MOSQ_ERR_SUCCESS;
}

static const char *cannot_become(const struct client *c,
				 const struct verdict *v)
{
	const char *id = login_new_id(c, v);

	if (!is_mounted_there(c, v))
		return "the reply sets a mountpoint other than the listener's";
	if (!is_name(verdict_get(v, MODIFIER_USERNAME)) ||
	    !is_name(verdict_get(v, MODIFIER_CLIENT_ID)))
		return "the reply gives it a name that Mosquitto does not "
		       "take";
	if (!id)
		return NULL;
	if (!mosquitto_set_clientid)
		return "the reply renames the client, which needs Mosquitto "
		       "2.1";
	if (!*id)
		return "the reply gives it an empty client id";
	/* Delayed, the broker takes over by the old id and cannot by the new
	 * one: only where there is nothing to take over is it the same. */
	if (c->state == CLIENT_PENDING &&
	    (mosquitto_client(c->id) || mosquitto_client(id)))
		return "the reply renames the client while one of these ids "
		       "has a session; set blocking = on for that webhook";
	return NULL;
}

enum client_state login_decide(struct plugin *p, const struct client *c,
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
	broker_trouble(p, BROKER_LOGIN, "login of client %s refused: %s", c->id,
		       cannot);
	return CLIENT_REFUSED;
}

/* A client that sent no user name stays without, as in VerneMQ. */
static bool set_username(struct client *c, struct mosquitto *client,
			 const struct verdict *v)
{
	const struct modifier_value *name = verdict_get(v, MODIFIER_USERNAME);
	const char *has = mosquitto_client_username(client);

	if (!name || !has || text_is(name->text, has, strlen(has)))
		return true;
	if (!c->sent_name)
		c->sent_name = strdup(has);
	return c->sent_name &&
	       mosquitto_set_username(client, name->text.data) ==
		       MOSQ_ERR_SUCCESS;
}

static bool rename_client(struct plugin *p, struct client *c,
			  struct mosquitto *client, const struct verdict *v)
{
	const char *id = login_new_id(c, v);

	if (!id)
		return true;
	return mosquitto_set_clientid(client, id) == MOSQ_ERR_SUCCESS &&
	       client_rename(&p->clients, c, id) == 0;
}

bool login_apply(struct plugin *p, struct client *c, struct mosquitto *client,
		 const struct verdict *v)
{
	if (set_username(c, client, v) && rename_client(p, c, client, v))
		return true;
	broker_trouble(
		p, BROKER_LOGIN,
		"client %s refused: the names of its login's reply could "
		"not be set",
		c->id);
	return false;
}

/* ---- the session, on 2.1 ---- */

/* How long the session outlives the connection by the reply, in seconds.
 * False: as the client asked. */
static bool session_expiry(const struct client *c, const struct verdict *v,
			   uint32_t *ret)
{
	const struct modifier_value *clean;

	for (size_t i = 0; i < v->properties_count; i++) {
		if (v->properties[i].id == MQTT_PROP_SESSION_EXPIRY_INTERVAL) {
			*ret = v->properties[i].number;
			return true;
		}
	}
	/* In MQTT 5 VerneMQ accepts it without effect (contract.md, 7). */
	clean = verdict_get(v, MODIFIER_CLEAN_SESSION);
	if (!clean || c->m5 || clean->number == (int64_t)c->clean)
		return false;
	*ret = clean->number ? 0 : UINT32_MAX;
	return true;
}

/* The host sets these together and tells none of them: what the client asked
 * of packet sizes and will delay falls back to the defaults. */
static void set_session(struct plugin *p, struct client *c,
			const struct mosquitto *client, uint32_t expiry)
{
	const char *username = mosquitto_client_username(client);
	struct mosquitto_client set = {
		.clientid = c->id,
		.session_expiry_interval = expiry,
		.max_qos = 2,
		.retain_available = true,
	};

	if (username)
		set.username = mosquitto_strdup(username);
	if ((username && !set.username) ||
	    mosquitto_persist_client_update(&set) != MOSQ_ERR_SUCCESS) {
		broker_log(p, LOG_LEVEL_ERR,
			   "client %s keeps the session it asked for: the "
			   "reply's could not be set",
			   c->id);
		return;
	}
	c->clean = expiry == 0;
}

void login_connected(struct plugin *p, struct client *c,
		     struct mosquitto *client)
{
	const struct verdict *v = c->login;
	uint32_t expiry;

	if (!v)
		return;
	c->login = NULL;
	c->unfit = !login_apply(p, c, client, v);
	if (mosquitto_persist_client_update && session_expiry(c, v, &expiry))
		set_session(p, c, client, expiry);
	verdict_unref(v);
}
