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
 *
 * A port tells which connection libcurl has chosen for a request, whatever is
 * spoken on it, and if it leads to a proxy. A Unix socket has none: there
 * every connection that rests is looked at before any is used.
 */
#ifndef POOL_MULTI_H
#define POOL_MULTI_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include "pool/loop.h"

struct multi;
struct conn;

/* What the peer's kernel has told of a connection. */
struct standing {
	uint64_t bytes_taken; /* of what was sent */
	uint32_t segments;    /* received */
	uint8_t state;
};

/* A transfer's hold on a connection; in the transfer, from multi_add() to
 * multi_remove(). */
struct claim {
	/* The connection, which had served others, ended before the peer's
	 * kernel took a byte of the request: the server closed it before the
	 * request arrived (RFC 9112, 9.3.1 and 9.5), which no look at it can
	 * exclude. */
	bool untouched;
	/* It is a Unix socket that had served others. Should it break with
	 * EPIPE or ECONNRESET then the server has left some of the request
	 * unread, and so has not processed it. */
	bool is_kept_unix;
	/* Of HTTP/2: the server has said that it does not process the request,
	 * for it is about to end the connection (RFC 9113, 6.8). */
	bool refused;
	/* Private. */
	uint32_t stream;
	struct conn *conn; /* while it lasts */
	struct standing standing;
	bool is_kept;
	int fd; /* the last that was opened for the transfer, or -1 */
	struct claim *prev, *next;
};

struct multi_events {
	/* A transfer has ended and awaits its multi_remove(). */
	void (*done)(CURL *easy, CURLcode result, void *arg);
	/* A transfer cannot go on. Called from inside libcurl: no multi_*()
	 * from here. */
	void (*stuck)(CURL *easy, int error, void *arg);
	/* The claim that was given with a transfer. */
	struct claim *(*claim_of)(CURL *easy);
	/* libcurl gave up midway, for want of memory. It can no longer be
	 * trusted with anything: remove all transfers and multi_destroy(),
	 * from here. */
	void (*broken)(int error, void *arg);
	/* There may be more or less connections. Also from inside libcurl: no
	 * multi_*() from here but multi_connections(). */
	void (*changed)(void *arg);
	/* Nothing but dead connections, or retired and empty: multi_destroy()
	 * is welcome here. */
	void (*spent)(struct multi *m, void *arg);
	void *arg;
};

int multi_create(struct multi **ret, struct loop *loop,
		 const struct multi_events *events);

/* After every transfer was removed and cleaned up. Closes its connections.
 * NULL is fine. */
void multi_destroy(struct multi *m);

/* How many connections it may have, and for how long they may rest. */
void multi_limit(struct multi *m, uint32_t max_connections, uint32_t idle_ms);

/* Whether requests may share a connection; and for how long one may be used,
 * 0: for ever. Before the first. */
void multi_set_way(struct multi *m, bool multiplex, uint32_t lifetime_ms);

/* Whether a connection that requests share, and that libcurl would go on to
 * share, is to have no further: time for another multi. */
bool multi_is_outlived(const struct multi *m);

/* No request goes out from now on, -ESTALE is what they get, but on
 * connections that are shared with requests under way. Resting
 * connections are shut down, others when their transfers have ended; then it
 * is spent. */
void multi_retire(struct multi *m);

/* Returns 0, -ENOMEM or -EIO. */
int multi_add(struct multi *m, CURL *easy, struct claim *claim);

/* Also of a transfer that has not ended; its connection is closed then,
 * unless others use it too. */
void multi_remove(struct multi *m, CURL *easy, struct claim *claim);

/* How many connections are open or about to be. */
uint32_t multi_connections(const struct multi *m);

/*
 * What a transfer's callbacks tell.
 */

/* libcurl has opened a socket, not connected yet. Returns 0 or -ENOMEM. */
int multi_socket_opened(struct multi *m, struct claim *claim, int fd);

/* libcurl closes a connection's socket: do it. Sockets that never got as far
 * as a connection it may close by itself. */
void multi_socket_closed(struct multi *m, int fd);

/* Of HTTP/2: the request's stream has that number; the server ends the
 * connection and processes no streams beyond `last`. */
void multi_note_stream(struct claim *claim, uint32_t stream);
void multi_note_end(struct multi *m, struct claim *claim, uint32_t last);

/* A request is about to go out from local port `port`; 0: from a Unix socket.
 * Returns 0; or -ESTALE when the connection has something to read, has ended
 * or is too old, and so must not be used. */
int multi_claim(struct multi *m, struct claim *claim, int port);

#endif /* POOL_MULTI_H */
