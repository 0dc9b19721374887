/*
 * http.h - HTTP on a listening socket, run by a loop.
 *
 * Knows requests and replies, not what they say. A request is handed over
 * with a ticket, and answered once under it, at once or later; one that is
 * not answered within ADMIN_ANSWER_MS gets status 503, and what comes later
 * is dropped. All functions are for the loop's thread, or for its creator
 * while that thread does not run. Never logs.
 *
 * Bounds: ADMIN_CONNECTIONS at a time, more wait in the kernel; 64 KiB a
 * request (a body is refused); ADMIN_IDLE_S without a byte.
 */
#ifndef PLUGIN_ADMIN_HTTP_H
#define PLUGIN_ADMIN_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "plugin/admin/reply.h"

enum {
	ADMIN_CONNECTIONS = 16,
	ADMIN_IDLE_S = 5,
	ADMIN_ANSWER_MS = 5000,
};

struct admin_http;
struct loop;

/* The process at the other end (SO_PEERCRED); all ones where nobody knows, as
 * with TCP. */
struct admin_peer {
	uid_t uid;
	pid_t pid;
};

/*
 * A GET, HEAD or POST for `uri`, its request target, which may be changed and
 * is valid during the call. Calls admin_http_answer() with `ticket` before
 * it returns, or later.
 */
typedef void admin_http_fn(struct admin_http *http, uint64_t ticket, char *uri,
			   const struct admin_peer *peer, void *arg);

/* Asked of each request, before anything else about it. True lets `peer` in;
 * otherwise `ret` is what it is answered. */
typedef bool admin_http_guard_fn(const struct admin_peer *peer,
				 struct admin_reply *ret, void *arg);

/* Accept from `listen_fd`, of a Unix socket or TCP, which stays the caller's.
 * Returns 0, -ENOMEM,
 * -EIO (libmicrohttpd does not start) or -errno of epoll_ctl(). */
int admin_http_create(struct admin_http **ret, struct loop *loop, int listen_fd,
		      admin_http_fn *fn, void *arg);

/* Ask `fn`, which gets the `arg` of admin_http_create(). Before the loop
 * runs. */
void admin_http_set_guard(struct admin_http *http, admin_http_guard_fn *fn);
/* POST is refused, too: for who may look and nothing else. */
void admin_http_only_read(struct admin_http *http);

/* Takes the body of `reply`, also when `ticket` no longer waits. */
void admin_http_answer(struct admin_http *http, uint64_t ticket,
		       const struct admin_reply *reply);

/* Closes every connection; who still waits is told 503. NULL is fine. */
void admin_http_destroy(struct admin_http *http);

#endif /* PLUGIN_ADMIN_HTTP_H */
