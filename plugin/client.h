/*
 * client.h - what we know of each client the broker showed us.
 *
 * Keyed by the broker's pointer, which it reuses: every BASIC_AUTH,
 * EXT_AUTH_START and CONNECT begins a new life (contract.md, decision 25), and
 * so does another client id at the same pointer. A refused client is
 * remembered until its will is out. Broker's thread only.
 */
#ifndef PLUGIN_CLIENT_H
#define PLUGIN_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>
#include "plugin/verdict.h"

struct mosquitto;

enum client_state {
	CLIENT_UNASKED = 0, /* came in without us: a certificate's name */
	CLIENT_PENDING,     /* its login is under way */
	CLIENT_REFUSED,
	CLIENT_DEFERRED, /* we had no opinion; somebody else may admit it */
	CLIENT_ADMITTED, /* by us, not yet announced */
	CLIENT_ONLINE,   /* announced: register, wakeup */
	CLIENT_OFFLINE,  /* left; its session goes on without it */
	CLIENT_LEFT,
};

/* One subscription of a client that may go offline. */
struct client_filter {
	char *filter;
	uint8_t qos;
};

/* What its login's reply allows it, 0: anything. */
struct client_limits {
	int64_t message_size; /* bytes of a PUBLISH packet */
	int64_t message_rate; /* per second */
	int64_t lives_until_ms;
	int64_t second; /* that `sent` counts */
	int64_t sent;
};

/* A publish reads what stands before `mountpoint`. It was another client's
 * before that: the nearer it is together, the less is waited for. */
struct client {
	const struct mosquitto *ptr; /* the key */
	UT_hash_handle hh;           /* private */
	enum client_state state;
	bool m5;
	bool clean;    /* of its CONNECT; reads differently once it is taken
			* over */
	bool unfit;    /* its names could not be set: part from it */
	bool deferred; /* admitted, if at all, by others */
	bool parted;   /* client_part(): `unknow` was called */
	bool taken;    /* CLIENT_OFFLINE: by one that we have not seen yet */
	uint8_t address_len;
	uint32_t id_len;
	char *id;        /* in `room`, or allocated */
	char *sent_name; /* the user name of its CONNECT, if a reply has
			  * given it another; or NULL */
	char room[24];
	char address[46]; /* no NUL; its length is 0: not remembered */
	struct client_limits limits;
	char *mountpoint; /* as told; NULL: not remembered */
	uint64_t ticket;  /* CLIENT_PENDING; or 0 */
	char *asked_name; /* with a ticket: the user name of its CONNECT, or
			   * NULL: the broker's client may be gone */
	const struct verdict *login; /* changes to apply at CONNECT */
	char *auth_method;           /* of an exchange with us */
	char *auth_data; /* its CONNECT's while that lasts, then what it ended
			  * with; or NULL */
	size_t auth_data_len;
	struct client_filter *filters;
	size_t filters_count, filters_bytes;
	int64_t left_ms, poll_ms; /* CLIENT_OFFLINE */
	unsigned left_beat;       /* of the table, when it left */
	unsigned doomed;          /* beat after which it may be forgotten;
					 * 0: not doomed */
	struct client *prev_doomed, *next_doomed; /* private */
	struct client *next_arrival;              /* private */
	struct client *prev, *next;               /* private: offline */
	UT_hash_handle by_ticket, by_id;          /* private */
};

struct client_table {
	struct client *all;
	/* Found last, and asked for again more often than not; NULL, or one of
	 * `all`: whoever leaves the table is taken out of here, too. */
	struct client *last;
	struct client *arrivals; /* ADMITTED or DEFERRED, not announced */
	/* Told of each id that an entry goes by, and goes by no longer; set
	 * all three before the first, or none. */
	void (*know)(void *arg, const char *id);
	void (*unknow)(void *arg, const char *id);
	void *arg;
	struct client *pending; /* by ticket */
	struct client *doomed;
	struct client *offline_ids; /* the same, by id */
	struct client *offline;     /* longest not polled first */
	unsigned beat;              /* of the broker's loop */
};

/* The client, or NULL when this pointer was never shown. */
struct client *client_find(struct client_table *t, const struct mosquitto *ptr);

/* Begin a new life at this pointer, whatever was there. Returns NULL without
 * memory. */
struct client *client_begin(struct client_table *t, const struct mosquitto *ptr,
			    const char *id);

/* Its login is under way: CLIENT_PENDING, to be found by `ticket` until
 * client_decided(). It came with `username`, or NULL. False without memory, and
 * then nothing has changed. */
bool client_pend(struct client_table *t, struct client *c, uint64_t ticket,
		 const char *username);
struct client *client_by_ticket(struct client_table *t, uint64_t ticket);
void client_decided(struct client_table *t, struct client *c);

/* Put it among those that client_next_arrival() hands out, oldest first. */
void client_arrives(struct client_table *t, struct client *c);
/* Take one out again; NULL when none is left. */
struct client *client_next_arrival(struct client_table *t);
/* Take this one out; false when it was not there. */
bool client_take_arrival(struct client_table *t, struct client *c);

/* CLIENT_OFFLINE since `now_ms`, at the end of the list `offline`. */
void client_goes_offline(struct client_table *t, struct client *c,
			 int64_t now_ms);
/* The one of that id, or NULL. */
struct client *client_offline_by_id(struct client_table *t, const char *id);
/* Move it to the end of that list. */
void client_polled(struct client_table *t, struct client *c);

/* The most subscriptions remembered of one client, and bytes of their filters:
 * all are looked through for each message that it misses. */
#define CLIENT_FILTERS_MAX       1000
#define CLIENT_FILTERS_BYTES_MAX 262144

/* Remember a subscription, or forget it. Returns 0; -ENOSPC (there are
 * too many or too long ones: this one is not remembered) or -ENOMEM. */
int client_add_filter(struct client *c, const char *filter, uint8_t qos);
void client_drop_filter(struct client *c, const char *filter);
/* A resumed session's subscriptions are now those of its new connection. */
void client_hand_filters(struct client *from, struct client *to);

/* Its peer's, which stays what it is as long as the connection; one that is
 * longer than any of IP is not remembered. NULL is fine. */
void client_set_address(struct client *c, const char *address);

/* Wipe and forget `auth_data`. */
void client_drop_auth_data(struct client *c);

/* It goes by another id from now on. Returns 0 or -ENOMEM. */
int client_rename(struct client_table *t, struct client *c, const char *id);

/* Nothing will be told of it any more, although its entry stays: `unknow` is
 * called now. */
void client_part(struct client_table *t, struct client *c);

/* Forget it two beats from now: its will is out by then. */
void client_doom(struct client_table *t, struct client *c);

/* One turn of the broker's loop has passed. */
void client_table_beat(struct client_table *t);

void client_table_clear(struct client_table *t);

#endif /* PLUGIN_CLIENT_H */
