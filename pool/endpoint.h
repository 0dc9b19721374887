/*
 * endpoint.h - a URL and a way there, with connections, a queue and a breaker.
 *
 * Inside pool/ only. Dispatcher's thread, but for what says otherwise.
 */
#ifndef POOL_ENDPOINT_H
#define POOL_ENDPOINT_H

#include <stdbool.h>
#include "pool/pool.h"

struct breaker;
struct endpoint;
struct transport;

/* A call has ended, its reply is filled in, and it is the receiver's. */
typedef void endpoint_ended_fn(struct pool_call *call, void *arg);

/* Copies `opts`. Any thread; nothing is opened yet. Returns 0, -EINVAL,
 * -ENOMEM or -errno. */
int endpoint_create(struct endpoint **ret, struct loop *loop,
		    const struct pool_endpoint_opts *opts,
		    endpoint_ended_fn *ended, void *arg);

/* One of the same name on another thread's loop, with limits of its own, that
 * shares health and counters with `of`, and goes by `way` (referenced) instead
 * of what `opts` says. The caller's thread, whose it is then, while `of` is
 * kept from being destroyed. Returns 0 or -ENOMEM. */
int endpoint_create_twin(struct endpoint **ret, struct endpoint *of,
			 struct loop *loop,
			 const struct pool_endpoint_opts *opts,
			 struct transport *way, endpoint_ended_fn *ended,
			 void *arg);

/* Open calls end with -ECANCELED first. Any thread while it has had no call.
 * NULL is fine. */
void endpoint_destroy(struct endpoint *ep);

/* Its name and its URL, as given at first. Any thread. */
const char *endpoint_name(const struct endpoint *ep);
const char *endpoint_url(const struct endpoint *ep);

/* The way that new calls go. Borrowed, until another is taken over. */
struct transport *endpoint_way(const struct endpoint *ep);

/* Take over the limits of `other`, which has the same name and had no call,
 * and its way if that is not the same. Then `other` is good for nothing but to
 * be destroyed. */
void endpoint_adopt(struct endpoint *ep, struct endpoint *other);

/* Whether the two share health and counters. One that was removed and made
 * again has others. */
bool endpoint_is_twin_of(const struct endpoint *twin,
			 const struct endpoint *of);

/* Likewise of a twin, with limits and way as for endpoint_create_twin().
 * Returns 0; or -ENOMEM, with nothing changed. */
int endpoint_limit(struct endpoint *ep, const struct pool_endpoint_opts *opts,
		   struct transport *way);

/* Takes the call, and ends it in any case, possibly from here. */
void endpoint_submit(struct endpoint *ep, struct pool_call *call);

/* Whether no call is open. */
bool endpoint_is_empty(const struct endpoint *ep);

/* Whether a reply has begun to come. */
bool endpoint_is_answered(const struct endpoint *ep);

/* End all calls, and those that they make room for, with this error. */
void endpoint_end_calls(struct endpoint *ep, int error, const char *text);

/* End what somebody waits for, with -ECANCELED: nobody does any longer; and,
 * from now on, what waits for the end of a pause, which it will not see. */
void endpoint_cancel_asked(struct endpoint *ep);

/* Any thread, while it is kept from being destroyed. */
void endpoint_get_stats(struct endpoint *ep, struct pool_endpoint_stats *ret);

/* Count a call that was refused before it came here. Likewise. */
void endpoint_count_refused(struct endpoint *ep);

/* Whether its queue is full for this stream, as of the dispatcher's last word.
 * Likewise. */
bool endpoint_is_full(struct endpoint *ep, unsigned stream);

/* Its breaker. Likewise. */
struct breaker *endpoint_breaker(struct endpoint *ep);

/* Its breaker was paused, or is so no longer: see to those who wait. */
void endpoint_look_again(struct endpoint *ep);

/* A chain of endpoints for who owns them. */
struct endpoint *endpoint_next(const struct endpoint *ep);
void endpoint_set_next(struct endpoint *ep, struct endpoint *next);

#endif /* POOL_ENDPOINT_H */
