/*
 * hold.h - calls that the owner's thread stands still for, on connections and
 * a loop of its own: to hand them to the dispatcher and back would take as
 * long as the call itself.
 *
 * An endpoint has a twin here, with one connection, which the dispatcher's
 * leaves to it. A call that nobody waits for any longer goes on whenever the
 * loop is turned.
 *
 * Inside pool/ only. Owner's thread.
 */
#ifndef POOL_HOLD_H
#define POOL_HOLD_H

#include <stdbool.h>
#include <stdint.h>
#include "pool/pool.h"

struct endpoint;
struct hold;
struct transport;

/* With fewer connections than this an endpoint has no twin. */
#define HOLD_LEAST_CONNECTIONS 4

/* A call has ended and is the receiver's. */
typedef void hold_ended_fn(struct pool_call *call, void *arg);

/* Returns 0 or -errno. */
int hold_create(struct hold **ret, hold_ended_fn *ended, void *arg);

/* Open calls end with -ECANCELED first. NULL is fine. */
void hold_destroy(struct hold *h);

/* The twin of `of`, made when there is none, with the limits of `opts` and on
 * the way `way`; or NULL without memory. `of` is kept from being destroyed
 * meanwhile. */
struct endpoint *hold_twin(struct hold *h, struct endpoint *of,
			   const struct pool_endpoint_opts *opts,
			   struct transport *way);

/* Send the call, if the twin has none under way. Returns whether it has it
 * now. */
bool hold_submit(struct hold *h, struct endpoint *twin, struct pool_call *call);

/* Turn the loop until the call has ended or `deadline_us` has come. Returns
 * whether it has. Others may end meanwhile; none is received from here. */
bool hold_wait(struct hold *h, struct pool_call *call, int64_t deadline_us);

/* `call` has ended: it is the caller's, and will not be received. */
void hold_take(struct hold *h, struct pool_call *call);

/* Turn the loop once, without waiting, and receive what has ended. Replies
 * that take too much of this thread so are cut short with -ETIMEDOUT. */
void hold_turn(struct hold *h);

/* Whether the twin's endpoint is still there; and if so `twin` is given what
 * has changed of it, by hold_update(). */
typedef bool hold_known_fn(struct endpoint *twin, void *arg);

/* Limits and way as for hold_twin(). Returns 0; or -ENOMEM, with nothing
 * changed. */
int hold_update(struct endpoint *twin, const struct pool_endpoint_opts *opts,
		struct transport *way);

/* Drop the twins that `is_known(twin)` does not know and that have no call.
 * Returns whether that was all it does not know. */
bool hold_forget(struct hold *h, hold_known_fn *is_known, void *arg);

#endif /* POOL_HOLD_H */
