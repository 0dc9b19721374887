/*
 * broker_acl.c - ACL_CHECK: who may be asked about at all.
 */
#include "plugin/broker/broker_private.h"
#include "plugin/settings/settings.h"

__attribute__((noinline)) int broker_no_opinion(const struct plugin *p,
						enum hook_id hook)
{
	const struct settings *s = hooks_settings_now(p->hooks);

	if (s->default_policy == DEFAULT_IGNORE && !hooks_has(p->hooks, hook))
		return MOSQ_ERR_PLUGIN_IGNORE;
	return MOSQ_ERR_PLUGIN_DEFER;
}

/* Asked once per subscriber and message: never a call (contract.md, decision
 * 29). 2.0 has no neutral answer, so there it is a choice, which by default
 * follows who decides on subscriptions. */
static int check_read(struct plugin *p, const struct mosquitto *client)
{
	enum hook_id hook;

	if (p->host.v21)
		return MOSQ_ERR_PLUGIN_IGNORE;
	switch (hooks_settings_now(p->hooks)->read_checks) {
	case READ_CHECKS_ALLOW:
		return MOSQ_ERR_SUCCESS;
	case READ_CHECKS_DEFER:
		return MOSQ_ERR_PLUGIN_DEFER;
	default:
		hook = broker_hook(HOOK_AUTH_ON_SUBSCRIBE,
				   broker_is_m5(client));
		return hooks_has(p->hooks, hook) ? MOSQ_ERR_SUCCESS
						 : MOSQ_ERR_PLUGIN_DEFER;
	}
}

/* What a READ check tells by the way: somebody gets a message, or would. */
__attribute__((noinline)) static int on_read(
	struct plugin *p, const struct mosquitto_evt_acl_check *ed)
{
	int rc = check_read(p, ed->client);
	struct client *c;

	broker_drop_kept(p);
	if (p->host.v21 && !hooks_has(p->hooks, HOOK_ON_OFFLINE_MESSAGE))
		return rc;
	c = broker_client(p, ed->client);
	if (!c)
		return rc;
	if (c->state == CLIENT_OFFLINE)
		offline_message(p, c, ed);
	if (p->host.v21 || rc != MOSQ_ERR_SUCCESS)
		return rc;
	if (client_take_arrival(&p->clients, c))
		broker_announce(p, c);
	if (c->state == CLIENT_ONLINE)
		deliver_told(p, ed);
	return rc;
}

/* With `check_retain_source` the broker asks again for the publisher of a
 * retained message, as a client that is none. What was decided when it was
 * published stands. */
__attribute__((cold)) static int check_retain_source(struct plugin *p)
{
	if (p->host.v21)
		return MOSQ_ERR_PLUGIN_IGNORE;
	return hooks_has(p->hooks, HOOK_AUTH_ON_PUBLISH) ||
			       hooks_has(p->hooks, HOOK_AUTH_ON_PUBLISH_M5)
		       ? MOSQ_ERR_SUCCESS
		       : MOSQ_ERR_PLUGIN_DEFER;
}

/* One that came in without a login of ours, at a pointer of nobody, or of
 * another that is no more. */
__attribute__((cold)) static struct client *begin_unasked(
	struct plugin *p, const struct mosquitto *client)
{
	struct client *c = broker_begin(p, client);

	if (c)
		broker_end_unnoticed(p, c);
	return c;
}

/* Of a client that is gone a will may come: at once, with its connection still
 * there; or when the loop has turned, and then it shows no certificate. 2.0
 * asks nothing of one that was refused before it is gone, and tells of no
 * CONNECT that would begin another life. */
static bool is_another(struct plugin *p, const struct client *c,
		       const struct mosquitto *client)
{
	return (c->state == CLIENT_LEFT || c->state == CLIENT_OFFLINE ||
		(c->state == CLIENT_REFUSED && !p->host.v21)) &&
	       c->left_beat != p->clients.beat &&
	       listener_sees_certificate(p, client);
}

/* The client's entry, made for one that came in without a login of ours; or
 * NULL for whom nothing is allowed. */
__attribute__((hot)) static struct client *admitted(
	struct plugin *p, const struct mosquitto *client)
{
	struct client *c = broker_client(p, client);

	if (!c || is_another(p, c, client))
		c = begin_unasked(p, client);
	if (!c)
		return NULL;
	/* A pending or refused client can only be here for its will. */
	if (c->state == CLIENT_PENDING || c->state == CLIENT_REFUSED)
		return NULL;
	if (client_take_arrival(&p->clients, c))
		broker_announce(p, c);
	return c;
}

/* What is gathered that this may be one more of. */
static enum hook_id may_join(const struct mosquitto_evt_acl_check *ed)
{
	switch (ed->access) {
	case MOSQ_ACL_SUBSCRIBE:
		return broker_hook(HOOK_ON_SUBSCRIBE, broker_is_m5(ed->client));
	case MOSQ_ACL_UNSUBSCRIBE:
		return broker_hook(HOOK_ON_UNSUBSCRIBE,
				   broker_is_m5(ed->client));
	default:
		return HOOK_COUNT;
	}
}

__attribute__((hot)) int broker_on_acl(int event, void *data, void *userdata)
{
	struct mosquitto_evt_acl_check *ed = data;
	struct plugin *p = userdata;
	struct client *c;

	(void)event;
	if (!broker_on_thread(p))
		return MOSQ_ERR_PLUGIN_DEFER;
	/* Parting from a client makes the broker ask about its subscriptions,
	 * to drop what is no longer allowed: none is in question. */
	if (p->kicking && ed->access == MOSQ_ACL_SUBSCRIBE)
		return MOSQ_ERR_SUCCESS;
	/* Between the filters of one SUBSCRIBE retained messages are checked:
	 * what is gathered stays. */
	if (ed->access == MOSQ_ACL_READ)
		return on_read(p, ed);
	if (!client_find(&p->clients, ed->client) &&
	    mosquitto_client_protocol_version(ed->client) == 0)
		return check_retain_source(p);
	broker_enter(p, may_join(ed), ed->client);
	c = admitted(p, ed->client);
	if (!c)
		return MOSQ_ERR_ACL_DENIED;
	if (ed->access == MOSQ_ACL_WRITE)
		return broker_acl_publish(p, c, ed);
	switch (ed->access) {
	case MOSQ_ACL_SUBSCRIBE:
		return broker_acl_subscribe(p, ed);
	case MOSQ_ACL_UNSUBSCRIBE:
		return broker_acl_unsubscribe(p, ed);
	default:
		return MOSQ_ERR_PLUGIN_DEFER;
	}
}
