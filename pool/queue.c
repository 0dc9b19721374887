#define HASH_NONFATAL_OOM 1

#include "pool/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>
#include "pool/call.h"
#include "pool/hold.h"

/*
 * Calls of one key, in the order submitted. It exists while one of them is
 * ready, resting or sent; the others wait here.
 */
struct lane {
	struct pool_call *waiting;
	UT_hash_handle hh;
	char key[];
};

/*
 * Shares: with few connections whoever comes first has them. With more, one
 * is left to the owner's thread (hold.h), one to notifications when many logins
 * hang, and a hook whose calls hang leaves half to the others. Probes that
 * hang have a quarter.
 */

static uint32_t most_asked(uint32_t max_sent)
{
	if (max_sent >= 16)
		return max_sent - 2;
	return max_sent >= HOLD_LEAST_CONNECTIONS ? max_sent - 1 : max_sent;
}

/* Of all that goes through here. */
static uint32_t most_in_all(uint32_t max_sent)
{
	return max_sent >= HOLD_LEAST_CONNECTIONS ? max_sent - 1 : max_sent;
}

static uint32_t most_told(uint32_t max_sent)
{
	return max_sent >= HOLD_LEAST_CONNECTIONS ? max_sent - max_sent / 4
						  : max_sent;
}

static uint32_t most_told_in_stream(uint32_t max_sent)
{
	return max_sent >= HOLD_LEAST_CONNECTIONS ? (max_sent + 1) / 2
						  : max_sent;
}

bool queue_has_enough_aside(const struct queue *q, uint32_t max_sent)
{
	return q->n_aside >=
	       (max_sent >= HOLD_LEAST_CONNECTIONS ? max_sent / 4 : 1);
}

static bool may_tell(const struct queue *q, uint32_t max_sent, unsigned stream)
{
	return q->n_sent < most_in_all(max_sent) &&
	       q->n_told < most_told(max_sent) &&
	       q->n_told_in[stream] < most_told_in_stream(max_sent);
}

static bool may_go(const struct queue *q, const struct pool_call *call,
		   uint32_t max_sent, bool open)
{
	switch (call->kind) {
	case POOL_TELL:
		return !open && may_tell(q, max_sent, call->stream);
	case POOL_ASK:
		return q->n_sent < most_in_all(max_sent) &&
		       q->n_asked < most_asked(max_sent);
	default:
		return q->n_sent < most_in_all(max_sent);
	}
}

/*
 * Places
 */

static void count_waiting(struct queue *q, const struct pool_call *call)
{
	q->waiting++;
	q->waiting_bytes += call->body_len;
}

static void discount_waiting(struct queue *q, const struct pool_call *call)
{
	q->waiting--;
	q->waiting_bytes -= call->body_len;
}

static void count_sent(struct queue *q, const struct pool_call *call, int n)
{
	q->n_sent += (uint32_t)n;
	if (call->kind == POOL_ASK)
		q->n_asked += (uint32_t)n;
	if (call->kind == POOL_ASIDE)
		q->n_aside += (uint32_t)n;
	if (call->kind != POOL_TELL)
		return;
	q->n_told += (uint32_t)n;
	q->n_told_in[call->stream] += (uint32_t)n;
}

/* Whoever holds the owner's thread goes first; there is but one of them. */
static void enter_ready(struct queue *q, struct pool_call *call, bool first)
{
	struct pool_call **list =
		call->kind == POOL_TELL ? &q->told[call->stream] : &q->asked;

	if (first)
		DL_PREPEND(*list, call);
	else
		DL_APPEND(*list, call);
	if (call->kind == POOL_TELL)
		q->told_streams |= 1u << call->stream;
	call->place = CALL_READY;
	count_waiting(q, call);
}

static void leave_ready(struct queue *q, struct pool_call *call)
{
	if (call->kind != POOL_TELL) {
		DL_DELETE(q->asked, call);
		return;
	}
	DL_DELETE(q->told[call->stream], call);
	if (!q->told[call->stream])
		q->told_streams &= ~(1u << call->stream);
}

static void leave_place(struct queue *q, struct pool_call *call)
{
	switch (call->place) {
	case CALL_ELSEWHERE:
		return;
	case CALL_IN_LANE:
		DL_DELETE(call->lane->waiting, call);
		discount_waiting(q, call);
		break;
	case CALL_READY:
		leave_ready(q, call);
		discount_waiting(q, call);
		break;
	case CALL_RESTING:
		DL_DELETE(q->resting, call);
		discount_waiting(q, call);
		break;
	case CALL_SENT:
		DL_DELETE(q->sent, call);
		count_sent(q, call, -1);
		break;
	}
	call->place = CALL_ELSEWHERE;
}

/*
 * Lanes
 */

static struct lane *find_lane(struct queue *q, const struct pool_call *call)
{
	struct lane *lane = NULL;

	if (call->lane_key)
		HASH_FIND(hh, q->lanes, call->lane_key, call->lane_len, lane);
	return lane;
}

static int open_lane(struct queue *q, struct pool_call *call)
{
	struct lane *lane;

	lane = calloc(1, sizeof(*lane) + call->lane_len);
	if (!lane)
		return -ENOMEM;
	memcpy(lane->key, call->lane_key, call->lane_len);
	HASH_ADD_KEYPTR(hh, q->lanes, lane->key, call->lane_len, lane);
	if (!lane->hh.tbl) {
		free(lane);
		return -ENOMEM;
	}
	call->lane = lane;
	return 0;
}

static void advance_lane(struct queue *q, struct lane *lane)
{
	struct pool_call *call = lane->waiting;

	if (call) {
		leave_place(q, call);
		enter_ready(q, call, false);
	} else {
		HASH_DELETE(hh, q->lanes, lane);
		free(lane);
	}
}

/*
 * The way of a call
 */

/* Whether others are ahead of it. Those of another stream are not: they
 * wait for room in theirs. */
static bool is_behind(const struct queue *q, const struct pool_call *call)
{
	if (call->kind == POOL_TELL)
		return q->told[call->stream] != NULL;
	return call->kind == POOL_ASK && q->asked;
}

int queue_enter(struct queue *q, struct pool_call *call, uint32_t max_sent,
		bool open, uint32_t max_waiting, uint64_t max_bytes)
{
	struct lane *lane = find_lane(q, call);
	bool must_wait =
		lane || is_behind(q, call) || !may_go(q, call, max_sent, open);

	if (must_wait && (q->waiting >= max_waiting ||
			  q->waiting_bytes + call->body_len > max_bytes))
		return -EBUSY;
	if (lane) {
		call->lane = lane;
		call->place = CALL_IN_LANE;
		DL_APPEND(lane->waiting, call);
		count_waiting(q, call);
		return 0;
	}
	if (call->lane_key && open_lane(q, call))
		return -ENOMEM;
	enter_ready(q, call,
		    call->kind == POOL_HOLD || call->kind == POOL_ASIDE);
	return 0;
}

uint32_t queue_full_streams(const struct queue *q, uint32_t max_sent, bool open,
			    uint32_t max_waiting, uint64_t max_bytes)
{
	uint32_t full = 0;
	unsigned stream;

	if (q->waiting < max_waiting && q->waiting_bytes < max_bytes)
		return 0;
	for (stream = 0; stream < POOL_STREAMS; stream++) {
		if (open || q->told[stream] || !may_tell(q, max_sent, stream))
			full |= 1u << stream;
	}
	return full;
}

static unsigned next_stream(uint32_t streams, unsigned last)
{
	uint32_t later = streams & ~((2u << last) - 1);

	return (unsigned)__builtin_ctz(later ? later : streams);
}

struct pool_call *queue_next_told(const struct queue *q, uint32_t max_sent)
{
	uint32_t streams = q->told_streams;
	unsigned stream = q->turn;

	while (streams) {
		stream = next_stream(streams, stream);
		if (may_tell(q, max_sent, stream))
			return q->told[stream];
		streams &= ~(1u << stream);
	}
	return NULL;
}

static struct pool_call *next_asked(const struct queue *q, uint32_t max_sent,
				    bool open)
{
	struct pool_call *call;

	DL_FOREACH (q->asked, call) {
		if (open && call->kind != POOL_ASIDE && !call->probe)
			continue;
		if (may_go(q, call, max_sent, open))
			return call;
		if (call->kind == POOL_ASK)
			break;
	}
	return NULL;
}

struct pool_call *queue_next(const struct queue *q, uint32_t max_sent,
			     bool open)
{
	struct pool_call *call = next_asked(q, max_sent, open);

	if (call || open)
		return call;
	return queue_next_told(q, max_sent);
}

void queue_send(struct queue *q, struct pool_call *call)
{
	leave_place(q, call);
	DL_APPEND(q->sent, call);
	call->place = CALL_SENT;
	count_sent(q, call, 1);
	if (call->kind == POOL_TELL)
		q->turn = call->stream;
}

void queue_rest(struct queue *q, struct pool_call *call)
{
	leave_place(q, call);
	DL_APPEND(q->resting, call);
	call->place = CALL_RESTING;
	count_waiting(q, call);
}

void queue_ready_again(struct queue *q, struct pool_call *call)
{
	leave_place(q, call);
	enter_ready(q, call, true);
}

void queue_leave(struct queue *q, struct pool_call *call)
{
	struct lane *lane = call->place == CALL_IN_LANE ? NULL : call->lane;

	leave_place(q, call);
	call->lane = NULL;
	if (lane)
		advance_lane(q, lane);
}

struct pool_call *queue_any_asked(const struct queue *q)
{
	struct pool_call *call;

	DL_FOREACH (q->asked, call) {
		if (call->kind != POOL_ASIDE && !call->probe)
			return call;
	}
	return NULL;
}

struct pool_call *queue_any_waiting(const struct queue *q)
{
	if (q->resting)
		return q->resting;
	if (q->asked)
		return q->asked;
	return q->told_streams ? q->told[__builtin_ctz(q->told_streams)] : NULL;
}

struct pool_call *queue_any(const struct queue *q)
{
	return q->sent ? q->sent : queue_any_waiting(q);
}
