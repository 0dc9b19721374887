/*
 * broker_private.h - what the files of the adapter share.
 *
 * Broker's thread only, but for broker_on_thread() and
 * broker_check_settings().
 */
#ifndef PLUGIN_BROKER_BROKER_PRIVATE_H
#define PLUGIN_BROKER_BROKER_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include "plugin/broker.h"
#include "plugin/broker/broker_abi.h"
#include "plugin/broker/broker_conf.h"
#include "plugin/client.h"
#include "plugin/broker/broker_host.h"
#include "plugin/gather.h"
#include "plugin/hook/hook.h"

struct admin;
struct log_lines;
struct saved;
struct settings;

/*
 * A verdict on its way from an ACL_CHECK to the event that carries it out. It
 * applies to the very next callback, and only if that has the same client
 * and topic: anything else drops it, so that it never lands on another
 * message.
 */
struct kept_verdict {
	const struct verdict *verdict; /* NULL: none */
	const struct mosquitto *client;
	char *topic;
	int event; /* that carries it out */
};

/* On 2.0 the checks of who may read a message do not tell its properties:
 * those of the message that is just being passed on, until anything else
 * happens. */
struct passing_message {
	const char *topic; /* the broker's pointer; NULL: none */
	struct host_properties properties;
};

/* i2d_X509() and X509_free() of the broker's OpenSSL, X509 left opaque. */
struct host_x509 {
	int (*encode)(const void *x509, unsigned char **at);
	void (*free)(void *x509);
	bool missed; /* looked for, and not found */
	bool said;   /* what that means for forward_connection_opts */
};

/* Lines that clients and replies can bring about, as often as they like. */
enum broker_trouble {
	BROKER_UNDECIDED = 0, /* a login */
	BROKER_LOGIN,         /* refused for what its reply asks for */
	BROKER_LIMIT,         /* a publish beyond what its login allows */
	BROKER_PUBLISH,       /* refused for what its reply asks for */
	BROKER_SUBSCRIBE,     /* likewise */
	BROKER_LIFETIME,      /* of a login is over */
	BROKER_LOST,          /* a message */
	BROKER_MEMORY,        /* there is none */
	BROKER_TROUBLES
};

struct broker_line {
	int64_t said_ms; /* 0: never */
	uint64_t unsaid; /* since then */
	char last[256];  /* of those */
};

struct plugin {
	/* What a publish reads comes first, in few lines of the processor's
	 * caches. */
	uintptr_t on_thread; /* the broker's; private to broker.c */
	struct hooks *hooks; /* NULL: switched off */
	struct gather *gather;
	/* The client whose login was just decided: whom a takeover seen next
	 * gives way to. */
	struct client *arriving;
	bool ticked;        /* TICK has come at least once */
	bool rechecking;    /* from RELOAD to the next TICK */
	bool kicking;       /* the broker asks about subscriptions of a client
			  * that we part from */
	bool watching;      /* for its shutdown */
	bool shutting_down; /* the signal has come: from the next turn of the
			     * loop on only wills are published */
	bool stopping;      /* the broker's clients are freed */
	/* Whose will was told of last; should it be none, its MESSAGE does not
	 * tell of it again. Compared only. */
	const struct mosquitto *told;
	struct kept_verdict kept;
	struct passing_message passing;
	/* The client that is offline, while 2.0 is asked whether it is by
	 * parting from it; NULL then: there was another of its id. */
	const struct client *probed;
	struct client_table clients;
	struct broker_ops ops;
	pthread_t thread; /* the broker's */
	mosquitto_plugin_id_t *id;
	struct host host;
	struct host_x509 x509; /* once it was needed */
	struct broker_conf conf;
	struct host_readers readers;
	enum log_level log_level; /* until there are hooks */
	struct admin *admin;
	struct saved *saved; /* what is registered at run time; NULL: nowhere */
	struct scrape *scrape; /* NULL: not wanted */
	/* Where broker_log() writes instead, while a report is compared with
	 * another; or NULL. */
	struct log_lines *aside;
	int64_t started_ms;
	int64_t beat_ms;  /* the last turn of the broker's loop */
	unsigned limited; /* clients whose life is limited */
	unsigned unsaid;  /* of the lines: how many have a sum to say */
	struct broker_line lines[BROKER_TROUBLES];
	/* What was said, and is not said again. */
	bool tick_missed, properties_missed, topic_rewrite_missed;
	bool retain_handling_said;
};

/* Every callback begins with this: takes up new settings, drops a kept
 * verdict (taken out before with broker_take()), flushes what was gathered
 * unless `ev` may join it. */
void broker_enter(struct plugin *p, enum hook_id may_join,
		  const struct mosquitto *client);

/* False on another thread than the broker's: Mosquitto 2.1's http_api asks
 * from one of its own, with a client that is none. Any thread. */
bool broker_on_thread(const struct plugin *p);

/* Begin a new life at this pointer (broker_session.c). NULL: no memory. */
struct client *broker_begin(struct plugin *p, const struct mosquitto *client);
/* This client is there: one that was offline under its id is no more. */
void broker_end_unnoticed(struct plugin *p, struct client *c);
/* What we know of this client; NULL when that is nothing, or is of another
 * client that had this pointer. */
struct client *broker_client(struct plugin *p, const struct mosquitto *client);

/* The hook's variant for this client's protocol. */
enum hook_id broker_hook(enum hook_id v3, bool m5);
bool broker_is_m5(const struct mosquitto *client);

/* Who it is: hook, names, mountpoint, peer. Borrowed from the broker. */
struct event broker_event(const struct plugin *p,
			  const struct mosquitto *client, enum hook_id hook);
/* The same, under the id that we know it by. */
struct event broker_event_of(const struct plugin *p, const struct client *c,
			     enum hook_id hook);

/* The prefix that the client's listener adds to topics, "" without one; and a
 * topic or filter without it, NULL when it does not begin with it: then it is
 * none of this client's (contract.md, isolation). */
const char *broker_mountpoint(const struct plugin *p,
			      const struct mosquitto *client);
const char *broker_bare_topic(const struct plugin *p,
			      const struct mosquitto *client,
			      const char *topic);
/* Refuse such a topic, and say so: what is configured cannot be what the
 * listener has. */
int broker_not_mounted(struct plugin *p,
		       const struct mosquitto_evt_acl_check *ed,
		       enum broker_trouble kind) __attribute__((cold));
/* With it again, from mosquitto_malloc(). NULL: no memory. */
char *broker_full_topic(const struct plugin *p, const struct mosquitto *client,
			struct bytes topic);

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
void broker_drop_passing(struct plugin *p);

/* Tell of the subscriptions gathered so far. */
void broker_flush_gathered(struct plugin *p);

/* broker_log.c */

/* One line, if `log_level` has it. */
void broker_log(struct plugin *p, enum log_level level, const char *fmt, ...)
	__attribute__((cold, format(printf, 3, 4)));
/* The first of its kind at once; those of the next `log_interval` are counted,
 * and summed up in one more. */
void broker_trouble(struct plugin *p, enum broker_trouble kind, const char *fmt,
		    ...) __attribute__((cold, format(printf, 3, 4)));
/* Say what is to be summed up by now; or all. */
void broker_sum_up(struct plugin *p, bool all);
/* For struct broker_ops: whatever the level. */
void broker_log_line(void *ctx, enum log_level level, const char *line);

/* broker_reload.c */

/* The settings are to be read again; whatever comes of it is logged. */
void broker_reload(struct plugin *p);
/* Take a line aside, or else drop it: it was said before. False:
 * it is to be written. */
bool log_lines_take(struct log_lines *lines, const char *line);

/* A message as the core knows it. Borrowed. */
struct message {
	struct bytes topic, payload; /* the topic without its mountpoint */
	uint8_t qos;
	bool retain;
	const struct property *properties;
	size_t properties_count;
};

/* broker_message.c: what the broker's events tell of a message, under the
 * `topic` that its client knows. Borrows all of it. */
struct message message_checked(const struct mosquitto_evt_acl_check *ed,
			       const char *topic,
			       const struct host_properties *properties);
struct message message_passing(const struct mosquitto_evt_message *ed,
			       const char *topic,
			       const struct host_properties *properties);

/* The event `ev` is about `m`. */
void message_tell(const struct message *m, struct event *ev);
/* `m` as a reply changes it. */
struct message message_changed(const struct message *m,
			       const struct verdict *v);
/* Put another payload in the place of the event's, from the broker's memory,
 * which frees the old one in every version. False: no memory. */
bool message_set_payload(struct mosquitto_evt_message *ed,
			 struct bytes payload);
/* Publish in the broker's own name, for this client. Returns 0; or -errno, and
 * then the message is lost, which is logged. */
int message_publish(struct plugin *p, const struct mosquitto *client,
		    const struct message *m);
/* Read properties, `from` may be NULL, into `ret`, which is empty; without
 * readers they are none, and that is said once. */
void message_properties(struct plugin *p, const mosquitto_property *from,
			struct host_properties *ret);

/* Modifiers that change what is published. */
#define CHANGES_MESSAGE                                                        \
	(1u << MODIFIER_TOPIC | 1u << MODIFIER_PAYLOAD |                       \
	 1u << MODIFIER_RETAIN | 1u << MODIFIER_PROPERTIES)

/* broker_login.c: what a login's reply changes of the client. */

/* The client's new state by `v`: CLIENT_ADMITTED, _DEFERRED or _REFUSED; the
 * reason of a refusal that is ours is logged. */
enum client_state login_decide(struct plugin *p, const struct client *c,
			       const struct verdict *v);
/* Before the CONNACK: names. False: refuse. */
bool login_apply(struct plugin *p, struct client *c, struct mosquitto *client,
		 const struct verdict *v);
/* In 2.1's CONNECT: names of a delayed login, which make it `unfit` when they
 * cannot be set, and the session. */
void login_connected(struct plugin *p, struct client *c,
		     struct mosquitto *client);
/* The id that a reply gives, or NULL when it keeps its own. */
const char *login_new_id(const struct client *c, const struct verdict *v);

/* broker_listener.c: what a login tells of its listener, where a webhook on
 * `hook` is to know (forward_connection_opts). Without memory for the
 * certificate it is not known. */
struct listener_told {
	const struct listener_info *told; /* for the event: `info`, or NULL */
	struct listener_info info;
	uint8_t *certificate; /* owned */
};

void listener_ask(struct plugin *p, const struct mosquitto *client,
		  enum hook_id hook, struct listener_told *ret);
void listener_forget(struct listener_told *told);

/* Whether the client has a connection by which it has shown a certificate. */
bool listener_sees_certificate(struct plugin *p,
			       const struct mosquitto *client);

/* broker_limits.c */
void limits_begin(struct plugin *p, struct client *c, const struct verdict *v);
/* Whether this publish, to `topic` as its client wrote it, is within
 * max_message_size. */
bool limits_size(struct plugin *p, const struct client *c,
		 const struct mosquitto_evt_acl_check *ed, const char *topic);
/* Whether another publish is within max_message_rate; counts it. */
bool limits_rate(struct plugin *p, struct client *c);
/* From TICK: part from those whose time is over. */
void limits_tick(struct plugin *p, int64_t now);

/* broker_offline.c */

/* Tell of a message for a client that is away; from ACL_CHECK(READ). */
void offline_message(struct plugin *p, const struct client *c,
		     const struct mosquitto_evt_acl_check *ed);
void offline_subscribed(struct plugin *p, const struct mosquitto *client,
			const char *filter, int qos);
void offline_unsubscribed(struct plugin *p, const struct mosquitto *client,
			  const char *filter);
/* Its session has ended unnoticed: tell, if anybody wants to know. */
void offline_ended(struct plugin *p, const struct client *c);
/* From TICK: see which sessions have ended unnoticed. */
void offline_tick(struct plugin *p, int64_t now);

/* broker_deliver.c: from ACL_CHECK(READ) on 2.0. */
void deliver_told(struct plugin *p, const struct mosquitto_evt_acl_check *ed);

/* Its BASIC_AUTH or exchange ended in `v`: what to return for it. */
int broker_login_answer(struct plugin *p, struct client *c,
			struct mosquitto *client, const struct verdict *v);

/* Tell register and wakeup of a client that has made it, if not yet told. */
void broker_announce(struct plugin *p, struct client *c);

/* Announce those whom the broker let in during this turn of its loop. */
void broker_announce_arrivals(struct plugin *p);

/* broker_saved.c: what was registered at run time and saved, added to `s`: it
 * is replaced. Returns 0, or -errno and has said why in the log. */
int broker_restore(struct plugin *p, struct settings **s);

/* broker_report.c: what this host can do of what was set. */

/* ops->check: any thread. */
int broker_check_settings(void *ctx, const struct settings *s,
			  struct conf_error *reterr);
/* The start-up report: a line for each thing worth knowing. */
void broker_report(struct plugin *p, const struct settings *s);
/* ops->report: those of its lines that it would not have said before. */
void broker_report_news(void *ctx, const struct settings *before,
			const struct settings *now);
/* For struct broker_ops. */
const struct modifier_without_effect *broker_without_effect(
	const struct plugin *p, size_t *ret_count);

/* broker_explain.c: ops->explain. */
void broker_explain(void *ctx, const struct settings *s, enum hook_id hook,
		    broker_say_fn *say, void *arg);
/* The same at start-up: a line for what is to be known of several hooks. */
void broker_report_hooks(struct plugin *p, const struct settings *s);
/* What it means that this hook has none; it begins with "no endpoint". */
const char *broker_without_endpoint(const struct settings *s,
				    enum hook_id hook);

/* ops->complete_auth: broker_auth.c. */
void broker_complete_auth(void *ctx, const char *client_id, uint64_t ticket,
			  const struct verdict *verdict);

/* Refuse a client whose login is under way, without its answer. False when
 * another login of that id has come since: it is refused without us. */
bool broker_refuse_pending(struct plugin *p, struct client *c);

/* ops->disconnect: broker_session.c. */
size_t broker_disconnect(void *ctx, const char *client_id,
			 const char *username);

/* Callbacks, by file. */
int broker_on_basic_auth(int event, void *data, void *userdata);
int broker_on_connect(int event, void *data, void *userdata);
int broker_on_disconnect(int event, void *data, void *userdata);
int broker_on_offline(int event, void *data, void *userdata);
int broker_on_acl(int event, void *data, void *userdata);
int broker_on_message(int event, void *data, void *userdata);
int broker_on_subscribe(int event, void *data, void *userdata);
int broker_on_unsubscribe(int event, void *data, void *userdata);
int broker_on_deliver(int event, void *data, void *userdata);
int broker_on_auth_start(int event, void *data, void *userdata);
int broker_on_auth_continue(int event, void *data, void *userdata);

/* Of ACL_CHECK, by access; `c` is the client's entry. */
int broker_acl_publish(struct plugin *p, struct client *c,
		       struct mosquitto_evt_acl_check *ed);
int broker_acl_subscribe(struct plugin *p, struct mosquitto_evt_acl_check *ed);
int broker_acl_unsubscribe(struct plugin *p,
			   struct mosquitto_evt_acl_check *ed);

/* No opinion, of a hook that nobody decides on: by `default_policy`. */
int broker_no_opinion(const struct plugin *p, enum hook_id hook);

#endif /* PLUGIN_BROKER_BROKER_PRIVATE_H */
