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

/* Bytes of a file; all zeroes: there is none. */
struct pool_file {
	const void *data;
	size_t len;
};

enum pool_tls { /* the lowest version */
	POOL_TLS_1_2 = 0,
	POOL_TLS_1_3,
	POOL_TLS_1_1, /* these two where the host's OpenSSL permits */
	POOL_TLS_1_0,
};

enum pool_http {
	POOL_HTTP_2 = 0, /* if an https server agrees, and else 1.1 */
	POOL_HTTP_1_1,
	POOL_HTTP_2_PRIOR, /* unasked, with http too; not by Unix sockets */
};

/* How an endpoint is reached; all zeroes are fine. Files are given by what is
 * in them, PEM: what changes on disk changes nothing here. */
struct pool_transport {
	struct pool_file ca;        /* instead of the system's authorities */
	struct pool_file cert, key; /* the client's; both or neither */
	const char *key_password;   /* or NULL */
	struct pool_file crl;       /* revocations of every authority; or none:
				     * nothing is held to be revoked */
	const char *pinned_key;     /* "sha256//...;sha256//..."; or NULL */
	/* The name to ask for and to verify instead of the URL's host, which
	 * the Host header goes on to name; or NULL. */
	const char *server_name;
	bool no_verify; /* take any server for the right one, but for its
			 * pinned key */
	enum pool_tls tls;
	enum pool_http http;
	/* "http://...", "socks5://..." or "socks5h://..."; and hosts to reach
	 * without, as in curl. Or NULL. */
	const char *proxy, *no_proxy;
	/* For a connection to be made, look-up and TLS included; 0: for as
	 * long as the call. */
	uint32_t connect_ms;
	uint32_t dns_ms;      /* an address is looked up again after */
	uint32_t lifetime_ms; /* a connection is not used again after; 0: no
			       * limit */
};

struct pool_endpoint_opts {
	/* Unique in the pool. NULL: the url. */
	const char *name;
	const char *url;
	struct pool_transport transport;
	uint32_t max_connections; /* at least 1; also of calls under way */
	uint32_t idle_ms;         /* close a connection unused this long */
	/* Waiting calls, those in lanes too, and bytes of their bodies; the
	 * next one is refused. */
	uint32_t max_queue;
	uint64_t max_queue_bytes;
	uint64_t max_reply; /* bytes; a longer reply is an error */
	/* Of the circuit breaker: failures in a row that open it, at least 1;
	 * from one probe to the next while it is open, up to six tenths more;
	 * and how long an answer may take to close it for POOL_HOLD calls. A
	 * failure is a call that was sent and then timed out, got no complete
	 * reply, or a status of 500 and above. */
	uint32_t breaker_failures;
	uint32_t breaker_open_ms;
	uint32_t prompt_ms;
};

enum pool_kind {
	/* Nobody waits: sent again where the endpoint cannot have processed
	 * it (no connection; 429, 502, 503, 504), and kept while the breaker
	 * is open. */
	POOL_TELL = 0,
	POOL_ASK,   /* somebody waits, but not the owner's thread */
	POOL_HOLD,  /* pool_wait() follows; goes before all others */
	POOL_ASIDE, /* a question that nobody waits for any more: the probe
		     * that pool_look() called for */
};

/* Calls of kind POOL_TELL come in this many streams, which share an
 * endpoint's connections fairly: of four or more connections no stream has
 * more than half, all of them no more than three quarters, rounded up. */
#define POOL_STREAMS 32

/* Headers of a request beside the fixed ones. */
#define POOL_HEADERS_MAX 24

struct pool_request {
	enum pool_kind kind;
	const char *endpoint; /* its name; unless there is a `trial` */
	/* Not NULL: a POOL_ASK that goes by an endpoint of its own, made of
	 * these (but for the name) and gone with the call: it takes no part in
	 * the queue, connections, breaker and counters of any other. Copied. */
	const struct pool_endpoint_opts *trial;
	/* "Name: value", without line ends; copied, and wiped when freed. */
	const char *const *headers;
	size_t headers_count; /* at most POOL_HEADERS_MAX */
	char *body; /* malloc'd; the pool's after success, wiped when freed */
	size_t len;
	/* Queue, connect and transfer together; of a POOL_TELL connect and
	 * transfer of one attempt. */
	uint32_t timeout_ms;
	/* Of a POOL_TELL: its stream, how often it may be sent again, and how
	 * long it may wait to be sent, all in all. */
	unsigned stream;
	uint32_t retries;
	uint32_t max_age_ms;
	/* Of a POOL_TELL: those of one lane to one endpoint go one at a time, in
	 * the order submitted; NULL: no lane. Copied. */
	const void *lane;
	size_t lane_len;
};

/* How long the parts of a call took, in microseconds; of a POOL_TELL that was
 * sent several times the last attempt's, and `queue_us` is all before it. */
struct pool_times {
	uint64_t queue_us; /* until it was sent; all, if it was not */
	/* Until the request could go: name, connection, TLS; or what was
	 * spent on that in vain. 0: a connection was there. */
	uint64_t connect_us;
	uint64_t first_byte_us; /* from then until a reply came; 0: none */
	uint64_t total_us;      /* since pool_submit() */
};

struct pool_reply {
	/* 0, or -errno when no complete HTTP reply was received: -ENOENT (no
	 * such endpoint), -EBUSY (its queue is full), -EHOSTDOWN (its breaker
	 * is open, or it is paused), -ETIMEDOUT, -ETIME (older than
	 * max_age_ms, and not sent), -ECONNREFUSED (no connection was made, so
	 * nothing was sent: refused, unreachable, name not found, TLS, proxy),
	 * -EFBIG (longer than max_reply, or its headers and trailers than
	 * 300 KiB; or a header that libcurl has no room for), -ECANCELED (the
	 * pool goes away), -ENOMEM, -EIO (anything else).
	 * With an error all that follows error_text is empty, but for what
	 * it took. */
	int error;
	const char *error_text; /* for people; "" without an error. Passwords
				 * are left out */
	long status;            /* of the final response */
	const void *body;       /* owned by the call; not terminated */
	size_t len;
	/* Its headers, trailers not: all Cache-Control ones joined by ", ",
	 * or NULL ("no-store" for more than 32 of them); and the first Age,
	 * where it begins with a number, or 0. */
	const char *cache_control;
	uint64_t age_s;
	uint32_t elapsed_ms; /* since pool_submit() */
	struct pool_times times;
};

/* Owner's thread, from pool_collect() or pool_wait(), never from
 * pool_submit(). The reply is gone on return. May submit. */
typedef void pool_done_fn(const struct pool_reply *reply, void *arg);

/* Whether `url` can be an endpoint: http or https with a host, or
 * `http+unix:///path/of.socket:/path`; no spaces or control characters; a URL
 * without a scheme is an http one (contract.md, section 2). Any thread. Returns 0; or -EINVAL with what is wrong in
 * `reterr`, which never repeats the URL; or -ENOMEM. */
int pool_check_url(const char *url, char reterr[static 128]);

/* Whether `proxy` can be a pool_transport's: its scheme, a host, and a port if
 * it is not 1080. Otherwise as pool_check_url(). */
int pool_check_proxy(const char *proxy, char reterr[static 128]);

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
 * already submitted finish where they were sent; an endpoint whose name stays
 * keeps its connections, calls and counters, with the new limits for what
 * starts from then on. If its url or transport has changed it keeps its calls
 * and counters: idle connections are closed, requests that were sent finish
 * on theirs, and everything else goes by the new ones. Returns 0; or, with
 * nothing changed, -EINVAL (a url that pool_check_url() refuses, a name given
 * twice, no connections), -ENOMEM, -ESHUTDOWN, -errno.
 */
int pool_configure(struct pool *pool, const struct pool_endpoint_opts *eps,
		   size_t n);

/*
 * Send `req`, a POST with `Content-Type: application/json`, past redirects
 * and proxies of the environment (contract.md, section 2). Exactly one
 * `done` follows every success, also on failure to send, timeout and
 * shutdown. But for the retries of a POOL_TELL it is sent once: a kept-alive
 * connection that the server closed before the request arrived costs a
 * reconnect, but one that ends after it took any of it is an error (-EIO),
 * because it may have been processed.
 * Returns 0 and then owns req->body; or -ENOMEM, -ESHUTDOWN, -EBUSY (the
 * queue is full, as far as can be seen from here, or the dispatcher cannot
 * keep up), of a trial -EINVAL or -errno, and then `done` never comes and the body is the caller's. `ret`
 * may be NULL; the call is valid until its `done` returned.
 */
int pool_submit(struct pool *pool, const struct pool_request *req,
		pool_done_fn *done, void *arg, struct pool_call **ret);

/* Whether a POOL_HOLD call to this endpoint is worth it. Any thread. */
enum pool_look {
	POOL_LOOK_GOOD = 0, /* also when it is not known */
	POOL_LOOK_OPEN,     /* its breaker is open, for such calls at least */
	/* Likewise, and it is time for a probe: the caller sends the call as
	 * POOL_ASIDE, or any other. Said once per probe. */
	POOL_LOOK_PROBE,
	POOL_LOOK_PAUSED,
};

enum pool_look pool_look(struct pool *pool, const char *endpoint);

/*
 * Pause an endpoint, or let it go on, and with it every other of the same URL,
 * those included that are configured later, as long as one of them is. While it
 * is paused nothing is sent to it, no probe either: what somebody waits for
 * ends with -EHOSTDOWN at once, a POOL_TELL waits for as long as it may. Calls
 * that were sent finish. It stays so whatever its limits and its way become. On
 * return new calls go by it. Any thread. Returns 0; or, with nothing changed,
 * -ENOENT (not configured, or the dispatcher has not come to it yet), -ENOMEM,
 * -ESHUTDOWN.
 */
int pool_pause(struct pool *pool, const char *endpoint, bool paused);

/* Whether a POOL_TELL of this stream would be refused for a full queue: to
 * ask before its body is made. Any thread; counts as a refusal when so. */
bool pool_is_full(struct pool *pool, const char *endpoint, unsigned stream);

/*
 * Block until `call` has its reply and run its `done`, and no other call's.
 * Returns 0; or -ETIMEDOUT at `deadline_us` (pool_now_us()): the call goes on
 * by itself, its `done` comes from pool_collect(), and the endpoint's breaker
 * is open for POOL_HOLD calls until it answers promptly.
 */
int pool_wait(struct pool *pool, struct pool_call *call, int64_t deadline_us);

/* Run `done` of every finished call, and all other mail in the owner's box.
 * Never blocks. Returns how many calls are still open. */
unsigned pool_collect(struct pool *pool);

/* Milliseconds and microseconds of CLOCK_MONOTONIC. Any thread. */
int64_t pool_now_ms(void);
int64_t pool_now_us(void);

/* Relaxed atomics, written by the dispatcher, read by any thread. */
struct pool_endpoint_stats {
	uint64_t sent;    /* left the queue, each attempt */
	uint64_t retries; /* of those: sent again after a failure */
	/* How calls ended: with a reply of any status; at their time limit;
	 * for a full queue; for an open breaker or a pause; too old to be sent;
	 * otherwise. */
	uint64_t ok, timed_out, refused, broken, expired, failed;
	uint64_t reused_connection; /* of `ok` */
	uint64_t opened;            /* how often the breaker has */
	uint64_t queued_bytes;
	uint32_t queued, in_flight;
	uint32_t connections; /* open or being opened */
	bool open;            /* the breaker, for all calls */
	bool open_for_holding;
	bool paused;
	int64_t paused_since_ms; /* pool_now_ms() then; 0: it is not */
};

/* Any thread. Each number is exact, the set of them is not a snapshot.
 * Returns 0; or -ENOENT: not configured, or the dispatcher has not come to
 * it yet. */
int pool_get_stats(struct pool *pool, const char *endpoint,
		   struct pool_endpoint_stats *ret);

/* Stop and join the dispatcher: it ends at once what somebody waits for, and
 * goes on with calls of kind POOL_TELL for up to `drain_ms`; every `done`
 * runs here, with -ECANCELED where the call did not come to an end. Mail in
 * either box is received, that of the dispatcher's possibly here too. Later
 * submits are refused, later mail likewise. Not from a `done`. Once more, or
 * without pool_start(): fine. */
void pool_stop(struct pool *pool, uint32_t drain_ms);

/* pool_stop() without draining if need be, then free. NULL is fine. */
void pool_destroy(struct pool *pool);

#endif /* POOL_POOL_H */
