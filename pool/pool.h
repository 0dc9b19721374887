/*
 * pool.h - send request bodies to HTTP endpoints, get reply bodies back.
 *
 * One dispatcher thread runs every endpoint. An endpoint is one curl multi
 * handle with its own connections, queue and limits, so a slow endpoint
 * delays nobody else. The pool knows bytes and endpoints; it has never heard
 * of MQTT or JSON.
 *
 * All functions are for the owner's thread (the broker's) unless they say
 * otherwise. Never logs: see pool_get_stats() and the result of each call.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;
struct pool_call;
struct loop;
struct mailbox;

struct pool_endpoint_opts {
	const char *url;          /* unique in the pool: an endpoint's name */
	uint32_t max_connections; /* at least 1 */
	uint32_t idle_ms;         /* close a connection unused this long */
	/* Waiting calls, those in lanes too; the next one is refused. */
	uint32_t max_queue;
	uint64_t max_reply; /* bytes; a longer reply is an error */
};

struct pool_request {
	const char *endpoint; /* its url */
	const char *hook;     /* value of the header `vernemq-hook` */
	char *body; /* malloc'd; the pool's after success, wiped when freed */
	size_t len;
	uint32_t timeout_ms; /* queue, connect and transfer together */
	/* Calls of one lane to one endpoint go one at a time, in the order
	 * submitted; NULL: no lane. Copied. A call in a lane does not spend
	 * its timeout while it waits. */
	const void *lane;
	size_t lane_len;
};

struct pool_reply {
	/* 0, or -errno when no complete HTTP reply was received: -ENOENT (no
	 * such endpoint), -EBUSY (its queue is full), -ETIMEDOUT,
	 * -ECONNREFUSED (no connection was made, so nothing was sent: refused,
	 * unreachable, name not found, TLS), -EFBIG (longer than max_reply),
	 * -ECANCELED (the pool goes away), -ENOMEM, -EIO (anything else).
	 * With an error all that follows error_text is empty. */
	int error;
	const char *error_text; /* for people; "" without an error */
	long status;            /* of the final response */
	const void *body;       /* owned by the call; not terminated */
	size_t len;
	/* Its headers, trailers not: all Cache-Control ones joined by ", ",
	 * or NULL ("no-store" for more than 32 of them); and the first Age,
	 * where it is a number, or 0. */
	const char *cache_control;
	uint64_t age_s;
	uint32_t elapsed_ms; /* since pool_submit() */
};

/* Owner's thread, from pool_collect() or pool_wait(), never from
 * pool_submit(). The reply is gone on return. May submit. */
typedef void pool_done_fn(const struct pool_reply *reply, void *arg);

/* Whether `url` can be an endpoint: http or https, a host, no spaces or
 * control characters; a URL without a scheme is an http one (contract.md,
 * section 2). Any thread. Returns 0; or -EINVAL with what is wrong in
 * `reterr`, which never repeats the URL; or -ENOMEM. */
int pool_check_url(const char *url, char reterr[static 128]);

/*
 * `wake(arg)` comes from the dispatcher, once it runs: there is something to
 * collect. It is repeated about every millisecond until pool_collect() has
 * run, because the owner may have been about to sleep when the first one
 * came. Replies that pool_wait() waits for wake nobody. NULL: no wakes.
 * Initialises libcurl, and so belongs on the main thread at start-up, before
 * others use it. Returns 0 or -errno.
 */
int pool_create(struct pool **ret, void (*wake)(void *arg), void *arg);

/* The dispatcher's loop, to watch more descriptors before pool_start(),
 * from the dispatcher, or after pool_stop(). */
struct loop *pool_loop(struct pool *pool);

/* Mail for the owner's thread, drained by pool_collect(); and mail for the
 * dispatcher, which runs it from its loop. Any thread may post to them. */
struct mailbox *pool_owner_box(struct pool *pool);
struct mailbox *pool_loop_box(struct pool *pool);

/* Start the dispatcher, with all signals blocked. Returns 0 or -errno. */
int pool_start(struct pool *pool);

/*
 * Replace the set of endpoints, copying `eps`. Any thread. Takes effect
 * before any call submitted later, in the order of pool_loop_box(). Calls
 * already submitted finish where they were sent; an endpoint whose url stays
 * keeps its connections, calls and counters, with the new limits for what
 * starts from then on. Returns 0; or, with nothing changed, -EINVAL (a url
 * that pool_check_url() refuses, one given twice, no connections), -ENOMEM,
 * -ESHUTDOWN.
 */
int pool_configure(struct pool *pool, const struct pool_endpoint_opts *eps,
		   size_t n);

/*
 * Send `req`, a POST with `Content-Type: application/json`, past redirects
 * and proxies of the environment (contract.md, section 2). Exactly one
 * `done` follows every success, also on failure to send, timeout and
 * shutdown. It is sent once: a kept-alive connection that the server closed
 * between two calls costs a reconnect, but one that ends with the request
 * under way is an error (-EIO), because it may have been processed.
 * Returns 0 and then owns req->body; or -ENOMEM, -ESHUTDOWN, and then `done`
 * never comes and the body is the caller's. `ret` may be NULL; the call is
 * valid until its `done` returned.
 */
int pool_submit(struct pool *pool, const struct pool_request *req,
		pool_done_fn *done, void *arg, struct pool_call **ret);

/*
 * Block until `call` has its reply and run its `done`, and no other call's.
 * Returns 0; or -ETIMEDOUT at `deadline_ms` (pool_now_ms()), and then its
 * `done` has run with that error and what comes later is dropped.
 */
int pool_wait(struct pool *pool, struct pool_call *call, int64_t deadline_ms);

/* Run `done` of every finished call, and all other mail in the owner's box.
 * Never blocks. Returns how many calls are still open, without those that
 * pool_wait() gave up on. */
unsigned pool_collect(struct pool *pool);

/* Milliseconds of CLOCK_MONOTONIC. Any thread. */
int64_t pool_now_ms(void);

/* Relaxed atomics, written by the dispatcher, read by any thread. */
struct pool_endpoint_stats {
	uint64_t sent; /* left the queue */
	/* How calls ended: with a reply of any status; at their time limit;
	 * for a full queue; otherwise. */
	uint64_t ok, timed_out, refused, failed;
	uint64_t reused_connection; /* of `ok` */
	uint32_t queued, in_flight;
	uint32_t connections; /* open or being opened */
};

/* Any thread. Each number is exact, the set of them is not a snapshot.
 * Returns 0; or -ENOENT: not configured, or the dispatcher has not come to
 * it yet. */
int pool_get_stats(struct pool *pool, const char *endpoint,
		   struct pool_endpoint_stats *ret);

/* Stop and join the dispatcher; every open call's `done` runs with
 * -ECANCELED, here. Mail in either box is received, that of the dispatcher's
 * possibly here too. Later submits are refused, later mail likewise. Not
 * from a `done`. Once more, or without pool_start(): fine. */
void pool_stop(struct pool *pool);

/* pool_stop() if need be, then free. NULL is fine. */
void pool_destroy(struct pool *pool);

#endif /* POOL_POOL_H */
