#include "pool/hold.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>
#include "pool/call.h"
#include "pool/endpoint.h"
#include "pool/loop.h"

/* How often the loop turns for its timers' sake, when no call is open. */
#define TURN_MS 50

/* What replies that nobody waits for may take of the owner's thread: a tenth of
 * it, and so much at once. To read one takes a thousandth of that, but some
 * never end. */
#define TURNS_SHARE  10
#define TURNS_MAX_US 100000

struct hold {
	struct loop *loop;
	unsigned calls; /* open, or not received yet */
	int64_t turned_us;
	int64_t turns_us; /* that turns took beyond their share */
	struct loop_timer deadline;
	struct endpoint *twins;
	struct pool_call *ended; /* not received yet, oldest first */
	hold_ended_fn *receive;
	void *arg;
};

static void on_deadline(struct loop *loop, void *arg)
{
	/* it has ended the wait */
	(void)loop;
	(void)arg;
}

/* From inside libcurl's turn: who is waited for is looked at after it. */
static void on_ended(struct pool_call *call, void *arg)
{
	struct hold *h = arg;

	call->ended = true;
	DL_APPEND(h->ended, call);
}

int hold_create(struct hold **ret, hold_ended_fn *ended, void *arg)
{
	struct hold *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	r = loop_create(&h->loop);
	if (r) {
		free(h);
		return r;
	}
	h->deadline.fn = on_deadline;
	h->receive = ended;
	h->arg = arg;
	*ret = h;
	return 0;
}

void hold_take(struct hold *h, struct pool_call *call)
{
	DL_DELETE(h->ended, call);
	h->calls--;
}

static void receive_ended(struct hold *h)
{
	struct pool_call *call;

	while ((call = h->ended) != NULL) {
		hold_take(h, call);
		h->receive(call, h->arg);
	}
}

void hold_destroy(struct hold *h)
{
	struct endpoint *twin;

	if (!h)
		return;
	while ((twin = h->twins) != NULL) {
		h->twins = endpoint_next(twin);
		endpoint_destroy(twin);
	}
	receive_ended(h);
	loop_destroy(h->loop);
	free(h);
}

static struct endpoint *find(const struct hold *h, const struct endpoint *of)
{
	struct endpoint *twin;

	for (twin = h->twins; twin; twin = endpoint_next(twin)) {
		if (endpoint_is_twin_of(twin, of))
			break;
	}
	return twin;
}

int hold_update(struct endpoint *twin, const struct pool_endpoint_opts *opts,
		struct transport *way)
{
	struct pool_endpoint_opts own = *opts;

	own.max_connections = 1;
	return endpoint_limit(twin, &own, way);
}

struct endpoint *hold_twin(struct hold *h, struct endpoint *of,
			   const struct pool_endpoint_opts *opts,
			   struct transport *way)
{
	struct pool_endpoint_opts own = *opts;
	struct endpoint *twin = find(h, of);

	if (twin)
		return hold_update(twin, opts, way) ? NULL : twin;
	own.max_connections = 1;
	if (endpoint_create_twin(&twin, of, h->loop, &own, way, on_ended, h))
		return NULL;
	endpoint_set_next(twin, h->twins);
	h->twins = twin;
	return twin;
}

bool hold_submit(struct hold *h, struct endpoint *twin, struct pool_call *call)
{
	if (!endpoint_is_empty(twin))
		return false;
	loop_catch_up(h->loop);
	call->own = true;
	h->calls++;
	endpoint_submit(twin, call);
	return true;
}

bool hold_wait(struct hold *h, struct pool_call *call, int64_t deadline_us)
{
	loop_timer_set(h->loop, &h->deadline, deadline_us / 1000 + 1);
	while (!call->ended && loop_clock_us() < deadline_us) {
		if (loop_run_once(h->loop))
			break;
	}
	loop_timer_cancel(h->loop, &h->deadline);
	return call->ended;
}

/* Returns whether any reply has begun to come. */
static bool any_answered(const struct hold *h)
{
	struct endpoint *twin;

	for (twin = h->twins; twin; twin = endpoint_next(twin)) {
		if (endpoint_is_answered(twin))
			return true;
	}
	return false;
}

static void end_replies(struct hold *h)
{
	struct endpoint *twin;

	for (twin = h->twins; twin; twin = endpoint_next(twin)) {
		if (endpoint_is_answered(twin))
			endpoint_end_calls(twin, -ETIMEDOUT,
					   "given up: to read on would hold "
					   "the broker");
	}
}

void hold_turn(struct hold *h)
{
	int64_t began_us = loop_clock_us();
	int64_t since_us = began_us - h->turned_us;

	if (!h->calls && since_us < TURN_MS * 1000)
		return;
	h->turned_us = began_us;
	h->turns_us -= since_us / TURNS_SHARE;
	if (h->turns_us < 0)
		h->turns_us = 0;
	loop_wake(h->loop);
	loop_run_once(h->loop);
	if (any_answered(h))
		h->turns_us += loop_clock_us() - began_us;
	if (h->turns_us > TURNS_MAX_US)
		end_replies(h);
	receive_ended(h);
}

bool hold_forget(struct hold *h, hold_known_fn *is_known, void *arg)
{
	struct endpoint *twin, *next, *kept = NULL;
	bool all = true;

	for (twin = h->twins; twin; twin = next) {
		bool known = is_known(twin, arg);

		next = endpoint_next(twin);
		if (!known && endpoint_is_empty(twin)) {
			endpoint_destroy(twin);
			continue;
		}
		all &= known;
		endpoint_set_next(twin, kept);
		kept = twin;
	}
	h->twins = kept;
	return all;
}
