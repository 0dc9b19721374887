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
struct transfer;

enum call_place {
	CALL_ELSEWHERE = 0,
	CALL_IN_LANE, /* waits for the call ahead in its lane */
	CALL_READY,   /* waits for a connection */
	CALL_SENT,
};

struct pool_call {
	struct mail request, answer;
	struct pool *pool;
	pool_done_fn *done; /* owner's; NULL once it has run */
	void *done_arg;     /* owner's */

	const char *endpoint, *hook; /* in `bytes` */
	const void *lane_key;        /* in `bytes`; NULL: no lane */
	size_t lane_len;
	char *body;
	size_t body_len;
	uint32_t timeout_ms;
	int64_t submitted_ms;

	/* The endpoint's, meanwhile. */
	struct endpoint *owner;
	struct pool_call *prev, *next;
	enum call_place place;
	struct lane *lane;
	struct transfer *transfer;
	struct loop_timer timer; /* the call ends when it fires */
	int timer_error;         /* with this; 0: -ETIMEDOUT */

	struct pool_reply reply;
	char *reply_text, *reply_body, *reply_cache_control; /* malloc'd */
	size_t reply_size;                                   /* allocated */

	char bytes[];
};

/* A copy of `req` that takes over its body. NULL without memory, and then
 * the body is still the caller's. */
struct pool_call *call_create(const struct pool_request *req, int64_t now_ms);

/* Wipes and frees the body, too. NULL is fine. */
void call_destroy(struct pool_call *call);

/* The body is not needed any more: it may hold a password. */
void call_forget_body(struct pool_call *call);

/* Room for the next `len` bytes of the reply's body, which then has them.
 * Returns -ENOMEM, or -EFBIG above `max`. */
int call_add_body(struct pool_call *call, const void *data, size_t len,
		  uint64_t max);

/* Make the reply an error, and nothing else. `text` is copied; without
 * memory a constant takes its place. */
void call_fail(struct pool_call *call, int error, const char *text);

#endif /* POOL_CALL_H */
