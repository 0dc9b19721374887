/*
 * client.h - MQTT clients on one epoll, none of which ever blocks the others.
 */
#ifndef TEST_BENCH_CLIENT_H
#define TEST_BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "test/bench/mqtt.h"

/* Of clients that are at work at the same time. */
#define CLIENTS_MAX 1000

struct client {
	int fd;         /* -1: closed */
	unsigned index; /* its place in the load's list */
	bool online;    /* CONNACK said yes */
	bool blocked;   /* `out` waits until the socket takes it */
	size_t in_len, out_len, out_room;
	uint8_t *out;
	uint8_t in[4096];
	/* What the modes note down. */
	uint16_t id;       /* of the last packet */
	unsigned inflight; /* packets not acknowledged */
	int64_t sent, due; /* times */
	uint64_t number;
};

struct load;

/* A way to put load on a broker: a row for each. */
struct mode {
	const char *name;
	/* Called once. Returns 0 or -errno. */
	int (*start)(struct load *load);
	void (*packet)(struct load *load, struct client *c,
		       const struct mqtt_packet *p);
	/* The broker closed it, or it could not connect; `c` is closed. */
	void (*closed)(struct load *load, struct client *c);
	/* Before each wait: send what is due, and say when to come again, or
	 * INT64_MAX. */
	int64_t (*turn)(struct load *load, int64_t now);
	/* The members of the JSON object, without its braces. */
	void (*report)(struct load *load);
};

extern const struct mode mode_login, mode_publish, mode_probe, mode_subscribe;

/* Open and send CONNECT; `c->sent` is the time of that. Each connection comes
 * from another loopback address, so that no one runs out of ports. Returns 0
 * or -errno. */
int client_open(struct load *load, struct client *c, const char *client_id);
void client_close(struct client *c); /* once more is fine */

/* Send, or keep what the socket does not take. False: no memory, or it is
 * broken, which its end will show. */
bool client_send(struct load *load, struct client *c, const void *data,
		 size_t len);

/* What epoll told of a client. */
void client_event(struct load *load, struct client *c, unsigned events);

#endif /* TEST_BENCH_CLIENT_H */
