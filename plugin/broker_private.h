/*
 * broker_private.h - what the files of the adapter share.
 *
 * Broker's thread only, but for broker_on_thread().
 */
#ifndef PLUGIN_BROKER_PRIVATE_H
#define PLUGIN_BROKER_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include "plugin/broker.h"
#include "plugin/broker_abi.h"
#include "plugin/client.h"
#include "plugin/broker_host.h"
#include "plugin/gather.h"
#include "plugin/hook.h"

struct admin;

/*
 * A verdict on its way from an ACL_CHECK to the event that carries it out. It
 * applies to the very next callback, and only if that has the same client
 * and topic: anything else drops it, so that it never lands on another
 * message.
 */
struct kept_verdict {
	const struct mosquitto *client;
	char *topic;
	const struct verdict *verdict;
	int event;			/* that carries it out */
};

struct plugin {
	mosquitto_plugin_id_t *id;
	struct host host;
	pthread_t thread;		/* the broker's */
	struct hooks *hooks;		/* NULL: switched off */
	struct admin *admin;
	struct client_table clients;
	struct gather *gather;
	struct kept_verdict kept;
	/* The client whose login was just decided: whom a takeover seen next
	 * gives way to. */
	const struct client *arriving;
	int64_t started_ms;
	int64_t beat_ms;		/* the last turn of the broker's loop */
	bool ticked;			/* TICK has come at least once */
	bool rechecking;		/* from RELOAD to the next TICK */
	bool stopping;			/* the broker's clients are freed */
	/* What was said, and is not said again. */
	bool tick_missed, properties_missed, no_effect_said;
};

/* Every callback begins with this: takes up new settings, drops a kept
 * verdict (taken out before with broker_take()), flushes what was gathered
 * unless `ev` may join it. */
void broker_enter(struct plugin *p, enum hook_id may_join,
		  const struct mosquitto *client);

/* False on another thread than the broker's: Mosquitto 2.1's http_api asks
 * from one of its own, with a client that is none. Any thread. */
bool broker_on_thread(const struct plugin *p);

/* The hook's variant for this client's protocol. */
enum hook_id broker_hook(enum hook_id v3, bool m5);
bool broker_is_m5(const struct mosquitto *client);

/* Who it is: hook, names, mountpoint, peer. Borrowed from the broker. */
struct event broker_event(const struct mosquitto *client, enum hook_id hook);

/* Keep `v` (a reference is taken) for `event`. Without memory it is not kept
 * and false comes back. */
bool broker_keep(struct plugin *p, const struct mosquitto *client,
		 const char *topic, int event, const struct verdict *v);
/* The kept verdict if it is for this event, client and topic, to unref; or
 * NULL. Nothing is kept afterwards. */
const struct verdict *broker_take(struct plugin *p, int event,
				  const struct mosquitto *client,
				  const char *topic);

void broker_drop_kept(struct plugin *p);

/* Tell of the subscriptions gathered so far. */
void broker_flush_gathered(struct plugin *p);

void broker_log(struct plugin *p, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Tell register and wakeup of a client that has made it, if not yet told. */
void broker_announce(struct plugin *p, struct client *c);

/* Announce those whom the broker let in during this turn of its loop. */
void broker_announce_arrivals(struct plugin *p);

/* ops->complete_auth: broker_auth.c. */
void broker_complete_auth(void *ctx, const char *client_id, uint64_t ticket,
			  const struct verdict *verdict);

/* Callbacks, by file. */
int broker_on_basic_auth(int event, void *data, void *userdata);
int broker_on_connect(int event, void *data, void *userdata);
int broker_on_disconnect(int event, void *data, void *userdata);
int broker_on_offline(int event, void *data, void *userdata);
int broker_on_acl(int event, void *data, void *userdata);
int broker_on_message(int event, void *data, void *userdata);
int broker_on_subscribe(int event, void *data, void *userdata);
int broker_on_unsubscribe(int event, void *data, void *userdata);

/* Of ACL_CHECK, by access. */
int broker_acl_publish(struct plugin *p, struct mosquitto_evt_acl_check *ed);
int broker_acl_subscribe(struct plugin *p, struct mosquitto_evt_acl_check *ed);
int broker_acl_unsubscribe(struct plugin *p,
			   struct mosquitto_evt_acl_check *ed);

/* "No opinion" where it must not cost what others would allow. */
int broker_neutral(const struct plugin *p);

#endif /* PLUGIN_BROKER_PRIVATE_H */
