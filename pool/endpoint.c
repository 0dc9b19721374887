#include "pool/endpoint.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pool/breaker.h"
#include "pool/call.h"
#include "pool/loop.h"
#include "pool/multi.h"
#include "pool/queue.h"
#include "pool/transfer.h"
#include "pool/transport.h"

/* A server may end connections, but not all of them. */
enum {
	REFUSALS_MAX = 5,
};

/* Before a retry: so long for the first, twice as long for each further one,
 * less up to a half by chance. */
enum {
	RETRY_FIRST_MS = 500,
	RETRY_MAX_MS = 30000,
	RETRY_AFTER_MAX_MS = 60000,
};

struct counters {
	_Atomic uint64_t sent, retries, ok, failed, timed_out, refused, broken,
		expired, reused, queued_bytes;
	_Atomic uint32_t queued, in_flight, connections;
};

/* What twins share. */
struct common {
	_Atomic unsigned refs;
	struct breaker breaker;
	struct counters counters[2]; /* of the first, of its twin */
};

/* A way to the endpoint, and what goes by it. When the transport changes new
 * calls take a new one, and this ends with its calls. */
struct route {
	struct endpoint *ep;
	struct route *next; /* of those that end */
	struct transport *way;
	/* Made by the first call, gone when its connections are. */
	struct multi *multi;
	struct transfer *spare; /* last used first */
};

struct endpoint {
	char *name, *url;               /* immutable */
	struct pool_endpoint_opts opts; /* but for what points elsewhere */
	struct loop *loop;
	endpoint_ended_fn *ended;
	void *arg;
	struct endpoint *next; /* the owner's */

	struct route *route, *ending;

	struct queue queue;
	struct common *common;
	struct breaker *breaker;       /* in there */
	struct counters *stats;        /* in there: its own */
	struct loop_timer probe_timer; /* while it is open and calls wait */
	_Atomic uint32_t full_streams; /* for any thread */
	bool draining;                 /* endpoint_cancel_asked() */
};

/*
 * Counters
 */

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void gauge(_Atomic uint32_t *value, uint32_t n)
{
	atomic_store_explicit(value, n, memory_order_relaxed);
}

/* Notifications wait. */
static bool is_shut(const struct endpoint *ep)
{
	return breaker_is_open(ep->breaker) || breaker_is_paused(ep->breaker);
}

static uint32_t count_connections(const struct endpoint *ep)
{
	const struct route *route;
	uint32_t n = 0;

	if (ep->route->multi)
		n = multi_connections(ep->route->multi);
	for (route = ep->ending; route; route = route->next)
		n += route->multi ? multi_connections(route->multi) : 0;
	return n;
}

static void update_gauges(struct endpoint *ep)
{
	gauge(&ep->stats->queued, ep->queue.waiting);
	atomic_store_explicit(&ep->stats->queued_bytes, ep->queue.waiting_bytes,
			      memory_order_relaxed);
	gauge(&ep->stats->in_flight, ep->queue.n_sent);
	gauge(&ep->stats->connections, count_connections(ep));
	gauge(&ep->full_streams,
	      queue_full_streams(&ep->queue, ep->opts.max_connections,
				 is_shut(ep), ep->opts.max_queue,
				 ep->opts.max_queue_bytes));
}

static void count_end(struct endpoint *ep, const struct pool_call *call)
{
	switch (call->reply.error) {
	case 0:
		count(&ep->stats->ok);
		if (transfer_reused(call->transfer))
			count(&ep->stats->reused);
		break;
	case -ETIMEDOUT:
		count(&ep->stats->timed_out);
		break;
	case -EBUSY:
		count(&ep->stats->refused);
		break;
	case -EHOSTDOWN:
		count(&ep->stats->broken);
		break;
	case -ETIME:
		count(&ep->stats->expired);
		break;
	default:
		count(&ep->stats->failed);
	}
}

void endpoint_count_refused(struct endpoint *ep)
{
	count(&ep->stats->refused);
}

#define SUM(member)                                                            \
	(atomic_load_explicit(&c[0].member, memory_order_relaxed) +            \
	 atomic_load_explicit(&c[1].member, memory_order_relaxed))

void endpoint_get_stats(struct endpoint *ep, struct pool_endpoint_stats *ret)
{
	const struct counters *c = ep->common->counters;

	ret->sent = SUM(sent);
	ret->retries = SUM(retries);
	ret->ok = SUM(ok);
	ret->failed = SUM(failed);
	ret->timed_out = SUM(timed_out);
	ret->refused = SUM(refused);
	ret->broken = SUM(broken);
	ret->expired = SUM(expired);
	ret->reused_connection = SUM(reused);
	ret->queued = SUM(queued);
	ret->queued_bytes = SUM(queued_bytes);
	ret->in_flight = SUM(in_flight);
	ret->connections = SUM(connections);
	ret->opened = breaker_opened(ep->breaker);
	ret->open = breaker_is_open(ep->breaker);
	ret->open_for_holding = breaker_is_open_for_holding(ep->breaker);
	ret->paused_since_ms = breaker_paused_ms(ep->breaker);
	ret->paused = ret->paused_since_ms != 0;
}

bool endpoint_is_full(struct endpoint *ep, unsigned stream)
{
	uint32_t full =
		atomic_load_explicit(&ep->full_streams, memory_order_relaxed);

	return full & 1u << stream;
}

/*
 * The end of a call
 */

static void release_transfer(struct pool_call *call)
{
	struct route *route = call->route;

	if (!call->transfer)
		return;
	transfer_release(call->transfer);
	if (transfer_is_worn(call->transfer))
		transfer_destroy(call->transfer);
	else
		route->spare = transfer_push(route->spare, call->transfer);
	call->transfer = NULL;
	call->route = NULL;
}

/* Out of libcurl's hands. */
static void stop_transfer(struct pool_call *call)
{
	if (call->transfer)
		multi_remove(call->route->multi, transfer_easy(call->transfer),
			     transfer_claim(call->transfer));
}

static void take_times(struct pool_call *call)
{
	if (!call->sent_us)
		return;
	call->times.queue_us = (uint64_t)(call->sent_us - call->submitted_us);
	if (call->transfer)
		transfer_get_times(call->transfer, call->sent_us,
				   loop_clock_us(), &call->times);
}

/* The reply is filled in. One that held the owner's thread for all of its
 * time did so in vain, and be it for a connection. */
static void end_call(struct endpoint *ep, struct pool_call *call)
{
	if (call->kind == POOL_HOLD && call->reply.error == -ETIMEDOUT)
		breaker_gave_up(ep->breaker, loop_now_ms(ep->loop));
	loop_timer_cancel(ep->loop, &call->timer);
	queue_leave(&ep->queue, call);
	count_end(ep, call);
	take_times(call);
	release_transfer(call);
	update_gauges(ep);
	ep->ended(call, ep->arg);
}

static void end_with_error(struct endpoint *ep, struct pool_call *call,
			   int error, const char *text)
{
	call_fail(call, error, text);
	end_call(ep, call);
}

/*
 * Sending
 */

static void on_done(CURL *easy, CURLcode result, void *arg);
static void on_stuck(CURL *easy, int error, void *arg);
static void on_broken(int error, void *arg);
static int renew_route(struct endpoint *ep);
static void on_changed(void *arg);
static void on_spent(struct multi *m, void *arg);
static struct claim *claim_of(CURL *easy);
static void on_call_timer(struct loop *loop, void *arg);
static void cancel_paused(struct endpoint *ep);

static int need_multi(struct route *route)
{
	const struct endpoint *ep = route->ep;
	const struct multi_events events = {
		.done = on_done,
		.stuck = on_stuck,
		.claim_of = claim_of,
		.broken = on_broken,
		.changed = on_changed,
		.spent = on_spent,
		.arg = route,
	};
	int r;

	if (route->multi)
		return 0;
	r = multi_create(&route->multi, ep->loop, &events);
	if (r)
		return r;
	multi_set_way(route->multi, transport_may_multiplex(route->way),
		      transport_lifetime_ms(route->way));
	multi_limit(route->multi, ep->opts.max_connections, ep->opts.idle_ms);
	return 0;
}

static int send_call(struct endpoint *ep, struct pool_call *call)
{
	struct route *route;
	struct transfer *t;
	int r;

	r = renew_route(ep);
	if (r)
		return r;
	route = ep->route;
	r = need_multi(route);
	if (r)
		return r;
	t = transfer_pop(&route->spare);
	if (!t)
		r = transfer_create(&t, route->way, route->multi);
	if (r)
		return r;
	r = transfer_begin(t, call, &ep->opts);
	if (!r)
		r = multi_add(route->multi, transfer_easy(t),
			      transfer_claim(t));
	if (r) {
		transfer_release(t);
		route->spare = transfer_push(route->spare, t);
		return r;
	}
	call->transfer = t;
	call->route = route;
	return 0;
}

static void end_with_curl_error(struct endpoint *ep, struct pool_call *call,
				int error)
{
	end_with_error(ep, call, error,
		       error == -ENOMEM ? "out of memory"
					: "libcurl cannot send the request");
}

/* From here on the call has the time of one attempt, or what is left of its
 * own. */
static void start(struct endpoint *ep, struct pool_call *call)
{
	int64_t now = loop_now_ms(ep->loop);
	int r;

	queue_send(&ep->queue, call);
	call->sent_ms = now;
	call->sent_us = loop_clock_us();
	if (call->kind == POOL_TELL)
		loop_timer_set(ep->loop, &call->timer, now + call->timeout_ms);
	r = send_call(ep, call);
	if (r) {
		end_with_curl_error(ep, call, r);
		return;
	}
	count(&ep->stats->sent);
	if (call->attempts++)
		count(&ep->stats->retries);
}

/* While the breaker is open a waiting notification is a probe now and then;
 * a timer looks again. */
static void probe(struct endpoint *ep)
{
	int64_t now = loop_now_ms(ep->loop);
	struct pool_call *call;

	call = queue_next_told(&ep->queue, ep->opts.max_connections);
	if (!call)
		return;
	if (breaker_claim_probe(ep->breaker, now)) {
		call->probe = true;
		start(ep, call);
	}
	loop_timer_set(ep->loop, &ep->probe_timer,
		       breaker_probe_ms(ep->breaker));
}

/* libcurl has a queue of its own; calls wait in ours, where they can end. */
static void start_ready(struct endpoint *ep)
{
	struct pool_call *call;

	while (!breaker_is_paused(ep->breaker) &&
	       (call = queue_next(&ep->queue, ep->opts.max_connections,
				  breaker_is_open(ep->breaker))) != NULL)
		start(ep, call);
	if (breaker_is_open(ep->breaker) && !breaker_is_paused(ep->breaker))
		probe(ep);
	cancel_paused(ep);
	update_gauges(ep);
}

/* Whether nobody need wait for it. A login that comes when a probe is due is
 * that probe. */
static bool is_broken(struct endpoint *ep, struct pool_call *call)
{
	if (breaker_is_paused(ep->breaker))
		return call->kind != POOL_TELL;
	if (call->kind == POOL_ASIDE)
		return queue_has_enough_aside(&ep->queue,
					      ep->opts.max_connections);
	if (!breaker_is_open(ep->breaker) || call->kind == POOL_TELL)
		return false;
	call->probe = call->kind == POOL_ASK &&
		      breaker_claim_probe(ep->breaker, loop_now_ms(ep->loop));
	return !call->probe;
}

static void end_broken(struct endpoint *ep, struct pool_call *call)
{
	end_with_error(ep, call, -EHOSTDOWN,
		       breaker_is_paused(ep->breaker)
			       ? "not asked: it is paused"
			       : "its circuit breaker is open");
}

void endpoint_submit(struct endpoint *ep, struct pool_call *call)
{
	int r;

	call->timer.fn = on_call_timer;
	call->timer.arg = call;
	call->owner = ep;
	if (is_broken(ep, call)) {
		end_broken(ep, call);
		return;
	}
	r = queue_enter(&ep->queue, call, ep->opts.max_connections, is_shut(ep),
			ep->opts.max_queue, ep->opts.max_queue_bytes);
	if (r) {
		end_with_error(ep, call, r,
			       r == -EBUSY ? "the endpoint's queue is full"
					   : "out of memory");
		return;
	}
	loop_timer_set(ep->loop, &call->timer, call->expires_ms);
	start_ready(ep);
}

/*
 * Health
 */

/* Transport errors, timeouts and 5xx; of what was never sent, and of our own
 * trouble, nothing follows. Replies that are wrong in other ways are
 * answers. */
static bool is_failure(const struct pool_reply *reply)
{
	switch (reply->error) {
	case 0:
		return reply->status >= 500;
	case -ETIMEDOUT:
	case -ECONNREFUSED:
	case -EIO:
		return true;
	default:
		return false;
	}
}

static bool is_answer(const struct pool_reply *reply)
{
	return (!reply->error && reply->status < 500) || reply->error == -EFBIG;
}

/* Whoever could wait no longer than for a free connection. */
static void refuse_asked(struct endpoint *ep)
{
	struct pool_call *call;

	while ((call = queue_any_asked(&ep->queue)) != NULL)
		end_broken(ep, call);
}

/* An attempt is over. */
static void note_health(struct endpoint *ep, const struct pool_call *call)
{
	int64_t now = loop_now_ms(ep->loop);

	if (is_answer(&call->reply))
		breaker_answered(ep->breaker, (uint64_t)(now - call->sent_ms));
	else if (is_failure(&call->reply) && breaker_failed(ep->breaker, now))
		refuse_asked(ep);
}

/*
 * Retries
 */

/* Whether the endpoint cannot have processed it (contract.md, decision 19). */
static bool is_unprocessed(const struct pool_reply *reply)
{
	if (reply->error)
		return reply->error == -ECONNREFUSED;
	return reply->status == 429 || reply->status == 502 ||
	       reply->status == 503 || reply->status == 504;
}

static uint32_t backoff(uint32_t retried)
{
	uint32_t ms = RETRY_FIRST_MS;

	while (retried-- && ms < RETRY_MAX_MS)
		ms *= 2;
	return ms - arc4random_uniform(ms / 2 + 1);
}

/* How long the call is to rest before it is sent again. */
static uint32_t rest_ms(const struct endpoint *ep, const struct pool_call *call)
{
	if (call->retry_after_s >= RETRY_AFTER_MAX_MS / 1000)
		return RETRY_AFTER_MAX_MS;
	if (call->retry_after_s)
		return call->retry_after_s * 1000;
	/* It waits for the breaker, which has its own pace. */
	if (is_shut(ep))
		return 0;
	return backoff(call->retried);
}

/* Put a failed notification back, if it may go again: as often as it has
 * retries, and once more for each time that it was a probe. Returns whether
 * it was. */
static bool try_again(struct endpoint *ep, struct pool_call *call)
{
	int64_t due;

	if (call->kind != POOL_TELL || !is_unprocessed(&call->reply) ||
	    (!call->probe && !call->retries))
		return false;
	due = loop_now_ms(ep->loop) + rest_ms(ep, call);
	if (due >= call->expires_ms)
		return false;
	if (!call->probe) {
		call->retries--;
		call->retried++;
	}
	call->probe = false;
	call->sent_us = 0;
	release_transfer(call);
	call_note_attempt(call);
	call_reset_reply(call);
	queue_rest(&ep->queue, call);
	loop_timer_set(ep->loop, &call->timer, due);
	return true;
}

/* The attempt is over, its reply filled in, and the transfer out of libcurl's
 * hands. */
static void end_attempt(struct endpoint *ep, struct pool_call *call)
{
	note_health(ep, call);
	if (!try_again(ep, call))
		end_call(ep, call);
	start_ready(ep);
}

/*
 * Events
 */

/* Nothing was sent, so the same call on another connection: of the route that
 * is in use now. */
static int send_again(struct endpoint *ep, struct pool_call *call)
{
	struct transfer *t = call->transfer;
	struct route *route = call->route;
	int r;

	stop_transfer(call);
	r = renew_route(ep);
	if (r)
		return r;
	if (route != ep->route || transfer_is_worn(t)) {
		release_transfer(call);
		return send_call(ep, call);
	}
	transfer_rewind(t);
	return multi_add(route->multi, transfer_easy(t), transfer_claim(t));
}

static void on_done(CURL *easy, CURLcode result, void *arg)
{
	struct endpoint *ep = ((struct route *)arg)->ep;
	struct transfer *t = transfer_of(easy);
	struct pool_call *call = transfer_call(t);
	int r;

	if (transfer_is_stale(t, result) &&
	    (!transfer_was_refused(t) || call->refusals++ < REFUSALS_MAX)) {
		r = send_again(ep, call);
		if (!r)
			return;
		end_with_curl_error(ep, call, r);
		start_ready(ep);
		return;
	}
	transfer_finish(t, result);
	stop_transfer(call);
	end_attempt(ep, call);
}

static struct claim *claim_of(CURL *easy)
{
	return transfer_claim(transfer_of(easy));
}

/* Inside libcurl nothing can be removed: a timer does it. */
static void on_stuck(CURL *easy, int error, void *arg)
{
	struct endpoint *ep = ((struct route *)arg)->ep;
	struct pool_call *call = transfer_call(transfer_of(easy));

	if (!call || call->place != CALL_SENT)
		return;
	call->timer_error = error;
	loop_timer_set(ep->loop, &call->timer, loop_now_ms(ep->loop));
}

static void fail_too_late(struct pool_call *call)
{
	char text[512];

	if (call->place == CALL_SENT)
		snprintf(text, sizeof(text),
			 "timed out: no complete reply within %lu ms",
			 (unsigned long)call->timeout_ms);
	else if (call->kind == POOL_TELL)
		snprintf(text, sizeof(text),
			 "too old: could not be sent within %lld ms%s%s",
			 (long long)(call->expires_ms - call->submitted_ms),
			 call->last_text ? "; at last: " : "",
			 call->last_text ? call->last_text : "");
	else
		snprintf(text, sizeof(text),
			 "timed out: no connection was free within %lu ms",
			 (unsigned long)call->timeout_ms);
	call_fail(call,
		  call->place != CALL_SENT && call->kind == POOL_TELL
			  ? -ETIME
			  : -ETIMEDOUT,
		  text);
}

static void end_sent(struct endpoint *ep, struct pool_call *call)
{
	if (call->timer_error)
		call_fail(call, call->timer_error == -ENOMEM ? -ENOMEM : -EIO,
			  strerrordesc_np(-call->timer_error));
	else
		fail_too_late(call);
	call->timer_error = 0;
	stop_transfer(call);
	end_attempt(ep, call);
}

static void on_call_timer(struct loop *loop, void *arg)
{
	struct pool_call *call = arg;
	struct endpoint *ep = call->owner;

	switch (call->place) {
	case CALL_SENT:
		end_sent(ep, call);
		return;
	case CALL_RESTING:
		queue_ready_again(&ep->queue, call);
		loop_timer_set(loop, &call->timer, call->expires_ms);
		break;
	default:
		fail_too_late(call);
		end_call(ep, call);
	}
	start_ready(ep);
}

static void on_probe_timer(struct loop *loop, void *arg)
{
	(void)loop;
	start_ready(arg);
}

/*
 * Routes
 */

/* With a reference more to `way`; or NULL without memory. */
static struct route *create_route(struct endpoint *ep, struct transport *way)
{
	struct route *route = calloc(1, sizeof(*route));

	if (!route)
		return NULL;
	route->ep = ep;
	route->way = transport_ref(way);
	return route;
}

static void drop_multi(struct route *route)
{
	struct transfer *t;

	while ((t = transfer_pop(&route->spare)))
		transfer_destroy(t);
	multi_destroy(route->multi);
	route->multi = NULL;
}

static void destroy_route(struct route *route)
{
	if (!route)
		return;
	drop_multi(route);
	transport_unref(route->way);
	free(route);
}

/* Out of the list of those that end. */
static void end_route(struct endpoint *ep, struct route *route)
{
	struct route **at = &ep->ending;

	while (*at != route)
		at = &(*at)->next;
	*at = route->next;
	destroy_route(route);
}

/* Nothing begins on the route in use any more; `route` takes its place. */
static void replace_route(struct endpoint *ep, struct route *route)
{
	struct route *old = ep->route;

	ep->route = route;
	if (!old->multi) {
		destroy_route(old);
		return;
	}
	old->next = ep->ending;
	ep->ending = old;
	multi_retire(old->multi);
}

/* The same way once more if it is time: libcurl cannot be told to leave a
 * connection to the requests that are on it. */
static int renew_route(struct endpoint *ep)
{
	struct route *route;

	if (!ep->route->multi || !multi_is_outlived(ep->route->multi))
		return 0;
	route = create_route(ep, ep->route->way);
	if (!route)
		return -ENOMEM;
	replace_route(ep, route);
	return 0;
}

static void on_broken(int error, void *arg)
{
	struct route *route = arg;
	struct endpoint *ep = route->ep;
	struct pool_call *call, *next;

	for (call = ep->queue.sent; call; call = next) {
		next = call->next;
		if (call->route != route)
			continue;
		stop_transfer(call);
		end_with_curl_error(ep, call, error);
	}
	if (route != ep->route)
		end_route(ep, route);
	else
		drop_multi(route);
	start_ready(ep);
}

static void on_changed(void *arg)
{
	update_gauges(((struct route *)arg)->ep);
}

static void on_spent(struct multi *m, void *arg)
{
	struct route *route = arg;
	struct endpoint *ep = route->ep;

	(void)m;
	if (route != ep->route)
		end_route(ep, route);
	else
		drop_multi(route);
	update_gauges(ep);
}

/*
 * The endpoint
 */

/* The twin's limits are not the breaker's. */
static void take_limits(struct endpoint *ep,
			const struct pool_endpoint_opts *opts)
{
	ep->opts = *opts;
	ep->opts.name = ep->opts.url = NULL;
	ep->opts.transport = (struct pool_transport){ .no_verify = false };
	if (ep->stats != &ep->common->counters[0])
		return;
	ep->breaker->max_failures = opts->breaker_failures;
	ep->breaker->open_ms = opts->breaker_open_ms;
	ep->breaker->prompt_ms = opts->prompt_ms;
}

static void common_unref(struct common *common)
{
	if (common && atomic_fetch_sub(&common->refs, 1) == 1)
		free(common);
}

/* `common`: a reference for it, or NULL for one of its own; likewise `way`. */
static int create(struct endpoint **ret, struct common *common,
		  const char *name, const char *url, struct transport *way,
		  struct loop *loop, const struct pool_endpoint_opts *opts,
		  endpoint_ended_fn *ended, void *arg)
{
	struct endpoint *ep;

	ep = calloc(1, sizeof(*ep));
	if (!ep)
		return -ENOMEM;
	ep->common = common ? common : calloc(1, sizeof(*ep->common));
	if (!ep->common) {
		free(ep);
		return -ENOMEM;
	}
	atomic_fetch_add(&ep->common->refs, 1);
	ep->breaker = &ep->common->breaker;
	ep->stats = &ep->common->counters[common ? 1 : 0];
	take_limits(ep, opts);
	ep->probe_timer.fn = on_probe_timer;
	ep->probe_timer.arg = ep;
	ep->name = strdup(name);
	ep->url = strdup(url);
	ep->loop = loop;
	ep->ended = ended;
	ep->arg = arg;
	ep->route = create_route(ep, way);
	if (!ep->name || !ep->url || !ep->route) {
		endpoint_destroy(ep);
		return -ENOMEM;
	}
	*ret = ep;
	return 0;
}

int endpoint_create(struct endpoint **ret, struct loop *loop,
		    const struct pool_endpoint_opts *opts,
		    endpoint_ended_fn *ended, void *arg)
{
	struct transport *way;
	int r;

	if (!opts->max_connections || !opts->breaker_failures)
		return -EINVAL;
	r = transport_create(&way, opts->url, &opts->transport);
	if (r)
		return r;
	r = create(ret, NULL, opts->name ? opts->name : opts->url, opts->url,
		   way, loop, opts, ended, arg);
	transport_unref(way);
	return r;
}

int endpoint_create_twin(struct endpoint **ret, struct endpoint *of,
			 struct loop *loop,
			 const struct pool_endpoint_opts *opts,
			 struct transport *way, endpoint_ended_fn *ended,
			 void *arg)
{
	return create(ret, of->common, of->name, of->url, way, loop, opts,
		      ended, arg);
}

bool endpoint_is_twin_of(const struct endpoint *twin, const struct endpoint *of)
{
	return twin->common == of->common;
}

static void cut_short(struct endpoint *ep, struct pool_call *call, int error,
		      const char *text)
{
	stop_transfer(call);
	end_with_error(ep, call, error, text);
}

static void cancel(struct endpoint *ep, struct pool_call *call)
{
	cut_short(ep, call, -ECANCELED, "the broker is stopping");
}

bool endpoint_is_answered(const struct endpoint *ep)
{
	const struct pool_call *call;

	for (call = ep->queue.sent; call; call = call->next) {
		if (call->transfer && transfer_is_answered(call->transfer))
			return true;
	}
	return false;
}

/* Whoever waits in a lane becomes ready when the call ahead ends. */
void endpoint_end_calls(struct endpoint *ep, int error, const char *text)
{
	struct pool_call *call;

	while ((call = queue_any(&ep->queue)) != NULL)
		cut_short(ep, call, error, text);
}

/* At the end nobody resumes what is paused. */
static void cancel_paused(struct endpoint *ep)
{
	struct pool_call *call;

	while (ep->draining && breaker_is_paused(ep->breaker) &&
	       (call = queue_any_waiting(&ep->queue)) != NULL)
		cancel(ep, call);
}

void endpoint_cancel_asked(struct endpoint *ep)
{
	struct pool_call *call, *next;

	ep->draining = true;
	for (call = ep->queue.sent; call; call = next) {
		next = call->next;
		if (call->kind != POOL_TELL)
			cancel(ep, call);
	}
	while ((call = ep->queue.asked) != NULL)
		cancel(ep, call);
	start_ready(ep);
}

void endpoint_destroy(struct endpoint *ep)
{
	if (!ep)
		return;
	endpoint_end_calls(ep, -ECANCELED, "the broker is stopping");
	loop_timer_cancel(ep->loop, &ep->probe_timer);
	while (ep->ending)
		end_route(ep, ep->ending);
	destroy_route(ep->route);
	common_unref(ep->common);
	free(ep->name);
	free(ep->url);
	free(ep);
}

const char *endpoint_name(const struct endpoint *ep)
{
	return ep->name;
}

const char *endpoint_url(const struct endpoint *ep)
{
	return ep->url;
}

struct transport *endpoint_way(const struct endpoint *ep)
{
	return ep->route->way;
}

static void be_limited(struct endpoint *ep,
		       const struct pool_endpoint_opts *opts)
{
	take_limits(ep, opts);
	if (ep->route->multi)
		multi_limit(ep->route->multi, ep->opts.max_connections,
			    ep->opts.idle_ms);
	start_ready(ep);
}

void endpoint_adopt(struct endpoint *ep, struct endpoint *other)
{
	struct route *route = other->route;

	if (!transport_equals(ep->route->way, route->way)) {
		other->route = NULL;
		route->ep = ep;
		replace_route(ep, route);
	}
	be_limited(ep, &other->opts);
}

int endpoint_limit(struct endpoint *ep, const struct pool_endpoint_opts *opts,
		   struct transport *way)
{
	struct route *route;

	if (!transport_equals(ep->route->way, way)) {
		route = create_route(ep, way);
		if (!route)
			return -ENOMEM;
		replace_route(ep, route);
	}
	be_limited(ep, opts);
	return 0;
}

bool endpoint_is_empty(const struct endpoint *ep)
{
	return !queue_any(&ep->queue);
}

struct breaker *endpoint_breaker(struct endpoint *ep)
{
	return ep->breaker;
}

void endpoint_look_again(struct endpoint *ep)
{
	while (breaker_is_paused(ep->breaker) && ep->queue.asked)
		end_broken(ep, ep->queue.asked);
	start_ready(ep);
}

struct endpoint *endpoint_next(const struct endpoint *ep)
{
	return ep->next;
}

void endpoint_set_next(struct endpoint *ep, struct endpoint *next)
{
	ep->next = next;
}
