#define HASH_NONFATAL_OOM 1

#include "pool/endpoint.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>
#include "pool/call.h"
#include "pool/loop.h"
#include "pool/multi.h"
#include "pool/transfer.h"
#include "pool/url.h"

/*
 * Calls of one key, in the order submitted. It exists while one of them is
 * ready or sent; the others wait here.
 */
struct lane {
	struct pool_call *waiting;
	UT_hash_handle hh;
	char key[];
};

struct endpoint {
	char *name;                     /* immutable: the url as given */
	char *url;                      /* as curl gets it */
	struct pool_endpoint_opts opts; /* but for the url */
	struct loop *loop;
	endpoint_ended_fn *ended;
	void *arg;
	struct endpoint *next; /* the owner's */

	/* Made by the first call, gone when its connections are. */
	struct multi *multi;
	struct transfer *spare; /* last used first */

	struct pool_call *ready; /* wait for a connection; oldest first */
	struct pool_call *sent;
	struct lane *lanes;
	uint32_t n_waiting; /* ready, or in a lane */
	uint32_t n_sent;

	struct {
		_Atomic uint64_t sent, ok, failed, timed_out, refused, reused;
		_Atomic uint32_t queued, in_flight, connections;
	} stats;
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

static void update_gauges(struct endpoint *ep)
{
	uint32_t resting = ep->multi ? multi_resting(ep->multi) : 0;

	gauge(&ep->stats.queued, ep->n_waiting);
	gauge(&ep->stats.in_flight, ep->n_sent);
	gauge(&ep->stats.connections, ep->n_sent + resting);
}

static void count_end(struct endpoint *ep, const struct pool_call *call)
{
	switch (call->reply.error) {
	case 0:
		count(&ep->stats.ok);
		if (transfer_reused(call->transfer))
			count(&ep->stats.reused);
		break;
	case -ETIMEDOUT:
		count(&ep->stats.timed_out);
		break;
	case -EBUSY:
		count(&ep->stats.refused);
		break;
	default:
		count(&ep->stats.failed);
	}
}

void endpoint_count_refused(struct endpoint *ep)
{
	count(&ep->stats.refused);
}

#define READ(member)                                                           \
	atomic_load_explicit(&ep->stats.member, memory_order_relaxed)

void endpoint_get_stats(struct endpoint *ep, struct pool_endpoint_stats *ret)
{
	ret->sent = READ(sent);
	ret->ok = READ(ok);
	ret->failed = READ(failed);
	ret->timed_out = READ(timed_out);
	ret->refused = READ(refused);
	ret->reused_connection = READ(reused);
	ret->queued = READ(queued);
	ret->in_flight = READ(in_flight);
	ret->connections = READ(connections);
}

/*
 * Queue and lanes
 */

static void enter_ready(struct endpoint *ep, struct pool_call *call,
			int64_t start_ms)
{
	DL_APPEND(ep->ready, call);
	ep->n_waiting++;
	call->place = CALL_READY;
	loop_timer_set(ep->loop, &call->timer, start_ms + call->timeout_ms);
}

static void leave_place(struct endpoint *ep, struct pool_call *call)
{
	switch (call->place) {
	case CALL_ELSEWHERE:
		break;
	case CALL_IN_LANE:
		DL_DELETE(call->lane->waiting, call);
		ep->n_waiting--;
		break;
	case CALL_READY:
		DL_DELETE(ep->ready, call);
		ep->n_waiting--;
		break;
	case CALL_SENT:
		DL_DELETE(ep->sent, call);
		ep->n_sent--;
		break;
	}
	call->place = CALL_ELSEWHERE;
}

static struct lane *find_lane(struct endpoint *ep, const struct pool_call *call)
{
	struct lane *lane = NULL;

	if (call->lane_key)
		HASH_FIND(hh, ep->lanes, call->lane_key, call->lane_len, lane);
	return lane;
}

static int open_lane(struct endpoint *ep, struct pool_call *call)
{
	struct lane *lane;

	lane = calloc(1, sizeof(*lane) + call->lane_len);
	if (!lane)
		return -ENOMEM;
	memcpy(lane->key, call->lane_key, call->lane_len);
	HASH_ADD_KEYPTR(hh, ep->lanes, lane->key, call->lane_len, lane);
	if (!lane->hh.tbl) {
		free(lane);
		return -ENOMEM;
	}
	call->lane = lane;
	return 0;
}

/* The call that the lane was busy with has ended: it is the next one's turn,
 * whose time starts now. */
static void advance_lane(struct endpoint *ep, struct lane *lane)
{
	struct pool_call *call = lane->waiting;

	if (call) {
		leave_place(ep, call);
		enter_ready(ep, call, loop_now_ms(ep->loop));
	} else {
		HASH_DELETE(hh, ep->lanes, lane);
		free(lane);
	}
}

/* The reply is filled in. */
static void end_call(struct endpoint *ep, struct pool_call *call)
{
	struct lane *lane = call->place == CALL_IN_LANE ? NULL : call->lane;

	loop_timer_cancel(ep->loop, &call->timer);
	leave_place(ep, call);
	count_end(ep, call);
	if (call->transfer) {
		transfer_release(call->transfer);
		ep->spare = transfer_push(ep->spare, call->transfer);
		call->transfer = NULL;
	}
	call->lane = NULL;
	if (lane)
		advance_lane(ep, lane);
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
static void on_closing(void *arg);
static void on_spent(void *arg);
static void on_call_timer(struct loop *loop, void *arg);

static int need_multi(struct endpoint *ep)
{
	const struct multi_events events = {
		.done = on_done,
		.stuck = on_stuck,
		.broken = on_broken,
		.closing = on_closing,
		.spent = on_spent,
		.arg = ep,
	};
	int r;

	if (ep->multi)
		return 0;
	r = multi_create(&ep->multi, ep->loop, &events);
	if (!r)
		multi_limit(ep->multi, ep->opts.max_connections,
			    ep->opts.idle_ms);
	return r;
}

static int send_call(struct endpoint *ep, struct pool_call *call)
{
	struct transfer *t;
	int r;

	r = need_multi(ep);
	if (r)
		return r;
	t = transfer_pop(&ep->spare);
	if (!t)
		r = transfer_create(&t, ep->url, ep->multi);
	if (r)
		return r;
	r = transfer_begin(t, call, &ep->opts);
	if (!r)
		r = multi_add(ep->multi, transfer_easy(t));
	if (r) {
		transfer_release(t);
		ep->spare = transfer_push(ep->spare, t);
		return r;
	}
	call->transfer = t;
	return 0;
}

static void end_with_curl_error(struct endpoint *ep, struct pool_call *call,
				int error)
{
	end_with_error(ep, call, error,
		       error == -ENOMEM ? "out of memory"
					: "libcurl cannot send the request");
}

static void start(struct endpoint *ep, struct pool_call *call)
{
	int r;

	leave_place(ep, call);
	DL_APPEND(ep->sent, call);
	ep->n_sent++;
	call->place = CALL_SENT;
	r = send_call(ep, call);
	if (r) {
		end_with_curl_error(ep, call, r);
		return;
	}
	count(&ep->stats.sent);
}

/* libcurl has a queue of its own; calls wait in ours, where they can end. */
static void start_ready(struct endpoint *ep)
{
	while (ep->ready && ep->n_sent < ep->opts.max_connections)
		start(ep, ep->ready);
	update_gauges(ep);
}

static bool must_wait(const struct endpoint *ep, const struct lane *lane)
{
	return lane || ep->ready || ep->n_sent >= ep->opts.max_connections;
}

void endpoint_submit(struct endpoint *ep, struct pool_call *call)
{
	struct lane *lane = find_lane(ep, call);

	call->timer.fn = on_call_timer;
	call->timer.arg = call;
	call->owner = ep;
	if (must_wait(ep, lane) && ep->n_waiting >= ep->opts.max_queue) {
		end_with_error(ep, call, -EBUSY,
			       "the endpoint's queue is full");
		return;
	}
	if (lane) {
		call->lane = lane;
		call->place = CALL_IN_LANE;
		DL_APPEND(lane->waiting, call);
		ep->n_waiting++;
		update_gauges(ep);
		return;
	}
	if (call->lane_key && open_lane(ep, call)) {
		end_with_error(ep, call, -ENOMEM, "out of memory");
		return;
	}
	enter_ready(ep, call, call->submitted_ms);
	start_ready(ep);
}

/*
 * Events
 */

/* Nothing was sent, so the same call on another connection. */
static int send_again(struct endpoint *ep, struct transfer *t)
{
	multi_remove(ep->multi, transfer_easy(t));
	return multi_add(ep->multi, transfer_easy(t));
}

static void on_done(CURL *easy, CURLcode result, void *arg)
{
	struct endpoint *ep = arg;
	struct transfer *t = transfer_of(easy);
	struct pool_call *call = transfer_call(t);
	int r;

	if (transfer_is_stale(t, result)) {
		r = send_again(ep, t);
		if (!r)
			return;
		end_with_curl_error(ep, call, r);
	} else {
		transfer_finish(t, result);
		multi_remove(ep->multi, easy);
		end_call(ep, call);
	}
	start_ready(ep);
}

/* Inside libcurl nothing can be removed: a timer does it. */
static void on_stuck(CURL *easy, int error, void *arg)
{
	struct endpoint *ep = arg;
	struct pool_call *call = transfer_call(transfer_of(easy));

	if (!call || call->place != CALL_SENT)
		return;
	call->timer_error = error;
	loop_timer_set(ep->loop, &call->timer, loop_now_ms(ep->loop));
}

static void fail_timed_out(struct pool_call *call)
{
	char text[96];

	snprintf(text, sizeof(text), "timed out: no %s within %lu ms",
		 call->place == CALL_READY ? "connection was free"
					   : "complete reply",
		 (unsigned long)call->timeout_ms);
	call_fail(call, -ETIMEDOUT, text);
}

static void on_call_timer(struct loop *loop, void *arg)
{
	struct pool_call *call = arg;
	struct endpoint *ep = call->owner;

	(void)loop;
	if (call->timer_error)
		call_fail(call, call->timer_error == -ENOMEM ? -ENOMEM : -EIO,
			  strerrordesc_np(-call->timer_error));
	else
		fail_timed_out(call);
	if (call->transfer)
		multi_remove(ep->multi, transfer_easy(call->transfer));
	end_call(ep, call);
	start_ready(ep);
}

static void drop_multi(struct endpoint *ep)
{
	struct transfer *t;

	while ((t = transfer_pop(&ep->spare)))
		transfer_destroy(t);
	multi_destroy(ep->multi);
	ep->multi = NULL;
	update_gauges(ep);
}

static void on_broken(int error, void *arg)
{
	struct endpoint *ep = arg;
	struct pool_call *call;

	while ((call = ep->sent)) {
		multi_remove(ep->multi, transfer_easy(call->transfer));
		end_with_curl_error(ep, call, error);
	}
	drop_multi(ep);
	start_ready(ep);
}

static void on_closing(void *arg)
{
	update_gauges(arg);
}

static void on_spent(void *arg)
{
	drop_multi(arg);
}

/*
 * The endpoint
 */

int endpoint_create(struct endpoint **ret, struct loop *loop,
		    const struct pool_endpoint_opts *opts,
		    endpoint_ended_fn *ended, void *arg)
{
	struct endpoint *ep;
	char why[128];
	int r;

	if (!opts->max_connections)
		return -EINVAL;
	ep = calloc(1, sizeof(*ep));
	if (!ep)
		return -ENOMEM;
	ep->opts = *opts;
	ep->opts.url = NULL;
	ep->name = strdup(opts->url);
	ep->loop = loop;
	ep->ended = ended;
	ep->arg = arg;
	r = ep->name ? url_normalise(opts->url, &ep->url, why) : -ENOMEM;
	if (r) {
		endpoint_destroy(ep);
		return r;
	}
	*ret = ep;
	return 0;
}

static struct pool_call *any_call(struct endpoint *ep)
{
	if (ep->sent)
		return ep->sent;
	return ep->ready;
}

/* Whoever waits in a lane becomes ready when the call ahead ends. */
static void cancel_calls(struct endpoint *ep)
{
	struct pool_call *call;

	while ((call = any_call(ep))) {
		if (call->transfer)
			multi_remove(ep->multi, transfer_easy(call->transfer));
		end_with_error(ep, call, -ECANCELED, "the pool is stopping");
	}
}

void endpoint_destroy(struct endpoint *ep)
{
	if (!ep)
		return;
	cancel_calls(ep);
	drop_multi(ep);
	free(ep->name);
	free(ep->url);
	free(ep);
}

const char *endpoint_name(const struct endpoint *ep)
{
	return ep->name;
}

void endpoint_adopt_limits(struct endpoint *ep, const struct endpoint *other)
{
	ep->opts = other->opts;
	if (ep->multi)
		multi_limit(ep->multi, ep->opts.max_connections,
			    ep->opts.idle_ms);
	start_ready(ep);
}

bool endpoint_is_empty(const struct endpoint *ep)
{
	return !ep->ready && !ep->sent;
}

struct endpoint *endpoint_next(const struct endpoint *ep)
{
	return ep->next;
}

void endpoint_set_next(struct endpoint *ep, struct endpoint *next)
{
	ep->next = next;
}
