/*
 * call.h - one call on its way from the owner to the dispatcher and back.
 *
 * Inside pool/ only. Whoever holds the call may touch it: the owner until
 * `request` is posted, the dispatcher until `answer` is, then the owner. The
 * members marked so stay the owner's throughout.
 */
#ifndef POOL_CALL_H
#define POOL_CALL_H

#include "pool/loop.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

struct endpoint;
struct lane;
struct route;
struct transfer;

enum call_place {
	CALL_ELSEWHERE = 0,
	CALL_IN_LANE, /* waits for the call ahead in its lane */
	CALL_READY,   /* waits for a connection */
	CALL_SENT,
	CALL_RESTING, /* between two attempts */
};

struct pool_call {
	struct mail request, answer;
	struct pool *pool;
	pool_done_fn *done; /* owner's; NULL once it has run */
	void *done_arg;     /* owner's */

	/* As requested. */
	enum pool_kind kind;
	const char *endpoint;            /* in `bytes` */
	char *headers[POOL_HEADERS_MAX]; /* in `bytes` */
	size_t headers_count;
	const void *lane_key; /* in `bytes`; NULL: no lane */
	size_t lane_len;
	char *body;
	size_t body_len;
	uint32_t timeout_ms;
	uint32_t retries; /* that are left */
	uint32_t retried; /* those that are not */
	unsigned stream;
	int64_t submitted_ms, submitted_us;
	int64_t expires_ms; /* not to be sent any more */

	/* Its own endpoint, until it is there; or NULL. */
	struct endpoint *trial;

	/* The endpoint's, meanwhile. */
	struct endpoint *owner;
	struct pool_call *prev, *next;
	enum call_place place;
	struct lane *lane;
	struct transfer *transfer;
	struct route *route;     /* the transfer's */
	struct loop_timer timer; /* what is due depends on the place */
	int timer_error;         /* it ends with this; 0: as the place says */
	int64_t sent_ms;         /* the last attempt; 0: none */
	int64_t sent_us;         /* likewise, and 0 while it rests */
	struct pool_times times; /* of that, when it is over */
	uint32_t attempts;
	bool probe;        /* the last attempt was one */
	bool own, ended;   /* hold.h: its, and over */
	uint32_t refusals; /* for ended connections, so far */

	struct pool_reply reply;
	uint32_t retry_after_s; /* the reply asks for it; 0: it does not */
	char *reply_text, *reply_body, *reply_cache_control; /* malloc'd */
	char *last_text;   /* how the attempt before ended; or NULL */
	size_t reply_size; /* allocated */

	char bytes[];
};

/* Remember how this attempt ended, for when there is no other: without memory
 * it is forgotten. */
void call_note_attempt(struct pool_call *call);

/* A copy of `req` that takes over its body. NULL without memory, and then
 * the body is still the caller's. */
struct pool_call *call_create(const struct pool_request *req, int64_t now_us);

/* Wipes and frees the body, too. NULL is fine. */
void call_destroy(struct pool_call *call);

/* The body is not needed any more: it may hold a password. */
void call_forget_body(struct pool_call *call);

/* Room for the next `len` bytes of the reply's body, which then has them.
 * Returns -ENOMEM, or -EFBIG above `max`. */
int call_add_body(struct pool_call *call, const void *data, size_t len,
		  uint64_t max);

/* The reply is none: as before the first attempt. */
void call_reset_reply(struct pool_call *call);

/* Make the reply an error, and nothing else. `text` is copied; without
 * memory a constant takes its place. */
void call_fail(struct pool_call *call, int error, const char *text);

/* It has ended, now: fill in how long it took. */
void call_note_times(struct pool_call *call, int64_t now_us);

#endif /* POOL_CALL_H */
