/*
 * multi.h - one curl multi handle on a loop: its sockets, its timer, and the
 * connections that rest between two transfers.
 *
 * Inside pool/ only. Dispatcher's thread.
 *
 * Why resting connections are ours to watch: libcurl (7.88) closes one only
 * when a later call happens to look at it, and it looks for an end of file
 * but not for bytes that nobody asked for, which it would take for the answer
 * to the next request. So here each is known by its descriptor and its local
 * port. One that rested too long is shut down, which the peer sees as a close;
 * the descriptor stays libcurl's, which finds it dead and replaces it. When
 * nothing but such is left the owner is told, and destroys the multi.
 */
#ifndef POOL_MULTI_H
#define POOL_MULTI_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include "pool/loop.h"

struct multi;

struct multi_events {
	/* A transfer has ended and awaits its multi_remove(). */
	void (*done)(CURL *easy, CURLcode result, void *arg);
	/* A transfer cannot go on. Called from inside libcurl: no multi_*()
	 * from here. */
	void (*stuck)(CURL *easy, int error, void *arg);
	/* libcurl gave up midway, for want of memory. It can no longer be
	 * trusted with anything: remove all transfers and multi_destroy(),
	 * from here. */
	void (*broken)(int error, void *arg);
	/* A connection rests no longer, and not for a transfer's sake. */
	void (*closing)(void *arg);
	/* Nothing but dead connections: multi_destroy() is welcome here. */
	void (*spent)(void *arg);
	void *arg;
};

int multi_create(struct multi **ret, struct loop *loop,
		 const struct multi_events *events);

/* After every transfer was removed and cleaned up. Closes its connections.
 * NULL is fine. */
void multi_destroy(struct multi *m);

/* How many connections it may have, and for how long they may rest. */
void multi_limit(struct multi *m, uint32_t max_connections, uint32_t idle_ms);

/* Returns 0, -ENOMEM or -EIO. */
int multi_add(struct multi *m, CURL *easy);

/* Also of a transfer that has not ended; its connection is closed then. */
void multi_remove(struct multi *m, CURL *easy);

/* How many connections rest, to be used again. */
uint32_t multi_resting(const struct multi *m);

/*
 * What a transfer's callbacks tell.
 */

/* libcurl closes a connection's socket: do it. Sockets that never got as far
 * as a connection it may close by itself. */
void multi_socket_closed(struct multi *m, int fd);

/* A request is about to go out from local port `port`. Returns 0; or -ESTALE
 * when the connection has something to read or has ended, and so must not
 * be used. Should a connection that rested end before the peer's kernel took a
 * byte of the request, `*ret_untouched` becomes true: the server closed it
 * before the request arrived (RFC 9112, 9.3.1 and 9.5), which no look at it
 * can exclude. `ret_untouched` is to stay until the transfer was removed. */
int multi_claim(struct multi *m, int port, bool *ret_untouched);

#endif /* POOL_MULTI_H */
