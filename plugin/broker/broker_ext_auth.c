/*
 * broker_ext_auth.c - enhanced authentication, on_auth_m5: several rounds at
 * CONNECT, and again whenever the client likes (MQTT 5 section 4.12). The
 * broker offers no way to delay these.
 */
#include "plugin/broker/broker_private.h"

#include <stdlib.h>
#include <string.h>

/* MQTT 5 section 3.15.2.1. */
enum {
	REASON_SUCCESS = 0x00,
	REASON_CONTINUE = 0x18,
};

static struct bytes data_of(const struct verdict *v)
{
	for (size_t i = 0; i < v->properties_count; i++) {
		if (v->properties[i].id == MQTT_PROP_AUTHENTICATION_DATA)
			return v->properties[i].text;
	}
	return (struct bytes){ NULL, 0 };
}

static bool give_data(struct mosquitto_evt_extended_auth *ed,
		      const struct verdict *v)
{
	struct bytes data = data_of(v);

	if (!data.data || data.len > UINT16_MAX)
		return !data.data;
	ed->data_out = mosquitto_malloc(data.len + 1);
	if (!ed->data_out)
		return false;
	memcpy(ed->data_out, data.data, data.len);
	ed->data_out_len = (uint16_t)data.len;
	return true;
}

/* NULL: none. False without memory. */
static bool keep_data(struct client *c, const void *data, size_t len)
{
	client_drop_auth_data(c);
	if (!data)
		return true;
	c->auth_data = malloc(len + 1);
	if (!c->auth_data)
		return false;
	memcpy(c->auth_data, data, len);
	c->auth_data_len = len;
	return true;
}

static const struct verdict *ask(struct plugin *p,
				 const struct mosquitto_evt_extended_auth *ed,
				 const char *method)
{
	struct property properties[] = {
		{ .id = MQTT_PROP_AUTHENTICATION_METHOD,
		  .text = bytes_of(method) },
		{ .id = MQTT_PROP_AUTHENTICATION_DATA,
		  .text = { ed->data_in, ed->data_in_len } },
	};
	const struct verdict *v;
	struct event ev;

	ev = broker_event(p, ed->client, HOOK_ON_AUTH_M5);
	ev.properties = properties;
	ev.properties_count = ed->data_in ? 2 : 1;
	hook_ask(p->hooks, &ev, false, &v, NULL);
	return v;
}

/* VerneMQ asks auth_on_register_m5 once the exchange has succeeded; the
 * password is not known then, nor is any other plugin asked. What the CONNECT
 * had of the exchange tells the question from that of a client without one,
 * whose answer would otherwise be the same, kept ones too. */
static const struct verdict *ask_login(struct plugin *p, struct client *c,
				       struct mosquitto *client)
{
	struct property properties[] = {
		{ .id = MQTT_PROP_AUTHENTICATION_METHOD,
		  .text = bytes_of(c->auth_method) },
		{ .id = MQTT_PROP_AUTHENTICATION_DATA,
		  .text = { c->auth_data, c->auth_data_len } },
	};
	struct listener_told listener;
	const struct verdict *v;
	struct event ev;

	if (!hooks_has(p->hooks, HOOK_AUTH_ON_REGISTER_M5))
		return verdict_ref(&verdict_ok);
	ev = broker_event(p, client, HOOK_AUTH_ON_REGISTER_M5);
	ev.clean = c->clean;
	ev.properties = properties;
	ev.properties_count = c->auth_data ? 2 : 1;
	listener_ask(p, client, ev.hook, &listener);
	ev.listener = listener.told;
	hook_ask(p->hooks, &ev, false, &v, NULL);
	listener_forget(&listener);
	if (v->decision != DECISION_NEXT)
		return v;
	verdict_unref(v);
	return verdict_deny("no endpoint decided");
}

/* on_register_m5 tells what the CONNACK says (contract.md, 5.15). */
static int finish(struct plugin *p, struct client *c,
		  const struct mosquitto_evt_extended_auth *ed)
{
	const struct verdict *v = ask_login(p, c, ed->client);
	int rc = MOSQ_ERR_AUTH;

	if (keep_data(c, ed->data_out, ed->data_out_len))
		rc = broker_login_answer(p, c, ed->client, v);
	verdict_unref(v);
	return rc;
}

/* `login`: it is not in yet. */
static int conclude(struct plugin *p, struct mosquitto_evt_extended_auth *ed,
		    struct client *c, bool login, const struct verdict *v)
{
	const struct modifier_value *code;

	if (v->decision == DECISION_NEXT)
		return MOSQ_ERR_PLUGIN_DEFER;
	code = verdict_get(v, MODIFIER_REASON_CODE);
	if (v->decision == DECISION_DENY)
		return MOSQ_ERR_AUTH;
	if (!code ||
	    (code->number != REASON_SUCCESS && code->number != REASON_CONTINUE))
		return MOSQ_ERR_AUTH;
	if (!give_data(ed, v))
		return MOSQ_ERR_AUTH;
	if (code->number == REASON_CONTINUE)
		return MOSQ_ERR_AUTH_CONTINUE;
	if (!login)
		return MOSQ_ERR_SUCCESS;
	return finish(p, c, ed);
}

/* We have no opinion on this exchange: another plugin may lead it. */
static void leave_to_others(struct plugin *p, struct client *c)
{
	free(c->auth_method);
	c->auth_method = NULL;
	client_drop_auth_data(c);
	if (c->state != CLIENT_PENDING)
		return;
	c->state = CLIENT_DEFERRED;
	c->deferred = true;
	p->arriving = c;
	if (!p->host.v21)
		client_arrives(&p->clients, c);
}

static int exchange(struct plugin *p, struct mosquitto_evt_extended_auth *ed,
		    struct client *c)
{
	bool login = c->state != CLIENT_ONLINE;
	const struct verdict *v = ask(p, ed, c->auth_method);
	int rc = conclude(p, ed, c, login, v);

	if (rc == MOSQ_ERR_AUTH && login) {
		c->state = CLIENT_REFUSED;
		client_drop_auth_data(c);
	}
	if (rc == MOSQ_ERR_PLUGIN_DEFER)
		leave_to_others(p, c);
	if (rc != MOSQ_ERR_SUCCESS && rc != MOSQ_ERR_AUTH_CONTINUE) {
		mosquitto_free(ed->data_out);
		ed->data_out = NULL;
		ed->data_out_len = 0;
	}
	verdict_unref(v);
	return rc;
}

int broker_on_auth_start(int event, void *data, void *userdata)
{
	struct mosquitto_evt_extended_auth *ed = data;
	struct plugin *p = userdata;
	struct client *c;

	(void)event;
	broker_enter(p, HOOK_COUNT, NULL);
	broker_announce_arrivals(p);
	p->arriving = NULL;
	c = broker_client(p, ed->client);
	if (!c || c->state != CLIENT_ONLINE) {
		c = broker_begin(p, ed->client);
		if (!c)
			return MOSQ_ERR_AUTH;
		c->state = CLIENT_PENDING;
	}
	if (!hooks_has(p->hooks, HOOK_ON_AUTH_M5)) {
		leave_to_others(p, c);
		return MOSQ_ERR_PLUGIN_DEFER;
	}
	free(c->auth_method);
	c->auth_method = strdup(ed->auth_method ? ed->auth_method : "");
	if (!c->auth_method)
		return MOSQ_ERR_AUTH;
	if (c->state == CLIENT_PENDING &&
	    !keep_data(c, ed->data_in, ed->data_in_len))
		return MOSQ_ERR_AUTH;
	return exchange(p, ed, c);
}

int broker_on_auth_continue(int event, void *data, void *userdata)
{
	struct mosquitto_evt_extended_auth *ed = data;
	struct plugin *p = userdata;
	struct client *c;

	(void)event;
	broker_enter(p, HOOK_COUNT, NULL);
	c = broker_client(p, ed->client);
	/* 2.0 does not tell the method again: an exchange that did not start
	 * with us is not ours. */
	if (!c || !c->auth_method)
		return MOSQ_ERR_PLUGIN_DEFER;
	return exchange(p, ed, c);
}
