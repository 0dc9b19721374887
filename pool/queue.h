/*
 * queue.h - the calls of one endpoint: those that wait, for the call ahead in
 * their lane or for a connection, and those under way; and who may go next.
 *
 * Inside pool/ only. Dispatcher's thread. No clock, no network.
 */
#ifndef POOL_QUEUE_H
#define POOL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "pool/pool.h"

struct lane;

/* Zero it before first use; nothing is left to free once it is empty. */
struct queue {
	struct pool_call *asked; /* ready, first to be sent first */
	struct pool_call *told[POOL_STREAMS]; /* ready, oldest first */
	uint32_t told_streams; /* 1u << stream: those with a ready call */
	unsigned turn;         /* the stream that was served last */
	struct pool_call *resting, *sent;
	struct lane *lanes;
	uint32_t waiting; /* in lanes, ready, resting */
	uint64_t waiting_bytes;
	uint32_t n_sent;
	/* Of those by kind: POOL_ASK, POOL_ASIDE, POOL_TELL, and the latter
	 * by stream. */
	uint32_t n_asked, n_aside, n_told, n_told_in[POOL_STREAMS];
};

/*
 * Take in a call: into its lane behind the others, or ready. `max_waiting`
 * and `max_bytes` bound those who wait; one that may go at once, with
 * `max_sent` under way at the most and the breaker open or not, is always
 * taken. Returns 0; -EBUSY (full), -ENOMEM, and then it is nowhere.
 */
int queue_enter(struct queue *q, struct pool_call *call, uint32_t max_sent,
		bool open, uint32_t max_waiting, uint64_t max_bytes);

/* 1u << stream: those whose next POOL_TELL would be refused with -EBUSY
 * whatever it is. Of the others it may be, for its lane or its bytes. */
uint32_t queue_full_streams(const struct queue *q, uint32_t max_sent, bool open,
			    uint32_t max_waiting, uint64_t max_bytes);

/* The next that may go, with `max_sent` under way at the most; or NULL.
 * While the breaker is `open` that is a POOL_ASIDE or nobody. */
struct pool_call *queue_next(const struct queue *q, uint32_t max_sent,
			     bool open);

/* The next POOL_TELL that could be a probe; or NULL. */
struct pool_call *queue_next_told(const struct queue *q, uint32_t max_sent);

/* Whether as many POOL_ASIDE calls are under way as may be: an endpoint that
 * leaves them all without an answer is not to fill up with them. */
bool queue_has_enough_aside(const struct queue *q, uint32_t max_sent);

/* From ready to under way. */
void queue_send(struct queue *q, struct pool_call *call);

/* From under way to a rest, and from there to the head of its stream. */
void queue_rest(struct queue *q, struct pool_call *call);
void queue_ready_again(struct queue *q, struct pool_call *call);

/* The call is over: take it out, wherever it is. The next in its lane becomes
 * ready. */
void queue_leave(struct queue *q, struct pool_call *call);

/* Any ready call that somebody waits for, or NULL. */
struct pool_call *queue_any_asked(const struct queue *q);

/* Any call that waits, but not for another of its lane; or NULL. */
struct pool_call *queue_any_waiting(const struct queue *q);

/* Any call that waits for nobody of its lane, or NULL when it is empty. */
struct pool_call *queue_any(const struct queue *q);

#endif /* POOL_QUEUE_H */
