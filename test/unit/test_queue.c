/* test_queue.c - pool/queue.h, with calls that nobody sends */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "pool/call.h"
#include "pool/queue.h"

#define MANY     1000 /* more than any test has */
#define ALL_SENT 100
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct queue q;

/* Of the test's calls, all that are not over. */
static struct pool_call *made[4 * MANY];
static size_t n_made;

static int set_up(void **state)
{
	(void)state;
	memset(&q, 0, sizeof(q));
	n_made = 0;
	return 0;
}

/* Whatever a test left: out by queue_any(), as when the pool goes away. */
static int tear_down(void **state)
{
	struct pool_call *call;

	(void)state;
	while ((call = queue_any(&q)) != NULL)
		queue_leave(&q, call);
	for (size_t i = 0; i < n_made; i++)
		call_destroy(made[i]);
	/* nothing is left, and nothing to free */
	return q.lanes || q.waiting || q.waiting_bytes || q.n_sent ||
	       q.n_asked || q.n_told || q.told_streams;
}

static struct pool_call *make(enum pool_kind kind, unsigned stream,
			      const char *lane, size_t len)
{
	const struct pool_request req = {
		.kind = kind,
		.endpoint = "http://h/",
		.body = len ? calloc(1, len) : NULL,
		.len = len,
		.stream = stream,
		.lane = lane,
		.lane_len = lane ? strlen(lane) : 0,
	};
	struct pool_call *call = call_create(&req, 0);

	assert_non_null(call);
	made[n_made++] = call;
	return call;
}

/* Enter without limits but for those of `max_sent`. */
static struct pool_call *enter_with(struct pool_call *call, uint32_t max_sent)
{
	assert_int_equal(
		queue_enter(&q, call, max_sent, false, MANY, UINT64_MAX), 0);
	return call;
}

static struct pool_call *enter(enum pool_kind kind, unsigned stream,
			       const char *lane)
{
	return enter_with(make(kind, stream, lane, 0), ALL_SENT);
}

static struct pool_call *next(uint32_t max_sent)
{
	return queue_next(&q, max_sent, false);
}

/* Send all that may go. Returns how many. */
static unsigned send_all(uint32_t max_sent)
{
	struct pool_call *call;
	unsigned n = 0;

	while ((call = next(max_sent)) != NULL) {
		queue_send(&q, call);
		n++;
	}
	return n;
}

static struct pool_call *send_next(uint32_t max_sent)
{
	struct pool_call *call = next(max_sent);

	if (call)
		queue_send(&q, call);
	return call;
}

/* ---- the way of a call ---- */

static void test_an_empty_queue_has_nothing(void **state)
{
	(void)state;
	assert_null(queue_next(&q, 1, false));
	assert_null(queue_next(&q, 1, true));
	assert_null(queue_next_told(&q, 1));
	assert_null(queue_any(&q));
	assert_null(queue_any_asked(&q));
}

static void test_a_call_is_ready_then_sent_then_over(void **state)
{
	struct pool_call *call = make(POOL_TELL, 3, NULL, 10);

	(void)state;
	enter_with(call, 1);
	assert_int_equal(call->place, CALL_READY);
	assert_int_equal(q.waiting, 1);
	assert_int_equal(q.waiting_bytes, 10);
	assert_ptr_equal(next(1), call);
	queue_send(&q, call);
	assert_int_equal(call->place, CALL_SENT);
	assert_int_equal(q.waiting, 0);
	assert_int_equal(q.waiting_bytes, 0);
	assert_int_equal(q.n_sent, 1);
	assert_null(next(1));
	queue_leave(&q, call);
	assert_int_equal(call->place, CALL_ELSEWHERE);
	assert_int_equal(q.n_sent, 0);
	assert_null(queue_any(&q));
}

static void test_oldest_first(void **state)
{
	static const enum pool_kind kinds[] = { POOL_TELL, POOL_ASK };
	size_t k, i;

	(void)state;
	for (k = 0; k < COUNT(kinds); k++) {
		struct pool_call *calls[4];

		for (i = 0; i < COUNT(calls); i++)
			calls[i] = enter(kinds[k], 5, NULL);
		for (i = 0; i < COUNT(calls); i++)
			assert_ptr_equal(send_next(MANY), calls[i]);
	}
}

static void test_who_holds_the_owner_goes_first(void **state)
{
	struct pool_call *told = enter(POOL_TELL, 0, NULL);
	struct pool_call *asked = enter(POOL_ASK, 0, NULL);
	struct pool_call *held = enter(POOL_HOLD, 0, NULL);

	(void)state;
	assert_ptr_equal(send_next(MANY), held);
	assert_ptr_equal(send_next(MANY), asked);
	assert_ptr_equal(send_next(MANY), told);
}

/* One that is given up and waits still must not be ahead of a new one. */
static void test_the_newest_that_holds_is_the_one(void **state)
{
	struct pool_call *old = enter(POOL_HOLD, 0, NULL);
	struct pool_call *new = enter(POOL_HOLD, 0, NULL);

	(void)state;
	assert_ptr_equal(send_next(MANY), new);
	assert_ptr_equal(send_next(MANY), old);
}

/* ---- lanes ---- */

static void test_a_lane_is_one_at_a_time_in_order(void **state)
{
	struct pool_call *calls[4];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(calls); i++)
		calls[i] = enter(POOL_TELL, (unsigned)i, "joe");
	assert_int_equal(q.waiting, 4);
	for (i = 0; i < COUNT(calls); i++) {
		assert_ptr_equal(send_next(MANY), calls[i]);
		assert_null(next(MANY));
		queue_leave(&q, calls[i]);
	}
	assert_null(q.lanes);
}

static void test_lanes_do_not_wait_for_each_other(void **state)
{
	struct pool_call *joe = enter(POOL_TELL, 0, "joe");
	struct pool_call *ann;

	(void)state;
	enter(POOL_TELL, 0, "joe");
	ann = enter(POOL_TELL, 0, "ann");
	enter(POOL_TELL, 0, "ann");
	assert_ptr_equal(send_next(MANY), joe);
	assert_ptr_equal(send_next(MANY), ann);
	assert_null(next(MANY));
}

static void test_a_prefix_is_another_lane(void **state)
{
	(void)state;
	enter(POOL_TELL, 0, "");
	enter(POOL_TELL, 0, "a");
	enter(POOL_TELL, 0, "ab");
	enter(POOL_TELL, 0, NULL);
	enter(POOL_TELL, 0, NULL);
	assert_int_equal(send_all(MANY), 5);
}

static void test_a_resting_call_keeps_its_lane(void **state)
{
	struct pool_call *first = enter(POOL_TELL, 0, "joe");
	struct pool_call *second = enter(POOL_TELL, 0, "joe");

	(void)state;
	queue_send(&q, first);
	queue_rest(&q, first);
	assert_null(next(MANY));
	queue_ready_again(&q, first);
	assert_ptr_equal(send_next(MANY), first);
	assert_null(next(MANY));
	queue_leave(&q, first);
	assert_ptr_equal(next(MANY), second);
}

/* ---- leaving ---- */

static void test_the_lane_goes_on_from_wherever_one_leaves(void **state)
{
	struct pool_call *ready = enter(POOL_TELL, 0, "joe");
	struct pool_call *waits = enter(POOL_TELL, 0, "joe");
	struct pool_call *rests = enter(POOL_TELL, 0, "joe");
	struct pool_call *last = enter(POOL_TELL, 0, "joe");

	(void)state;
	queue_leave(&q, waits);
	assert_ptr_equal(next(MANY), ready);
	queue_leave(&q, ready);
	assert_ptr_equal(next(MANY), rests);
	queue_send(&q, rests);
	queue_rest(&q, rests);
	assert_null(next(MANY));
	queue_leave(&q, rests);
	assert_ptr_equal(next(MANY), last);
	assert_int_equal(q.waiting, 1);
}

static void test_who_left_is_not_counted(void **state)
{
	struct pool_call *calls[] = {
		make(POOL_TELL, 0, "joe", 1),  make(POOL_TELL, 0, "joe", 2),
		make(POOL_TELL, 31, NULL, 4),  make(POOL_ASK, 0, NULL, 8),
		make(POOL_HOLD, 0, NULL, 16),  make(POOL_ASIDE, 0, NULL, 32),
		make(POOL_TELL, 7, "ann", 64),
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(calls); i++)
		enter_with(calls[i], ALL_SENT);
	queue_send(&q, calls[6]);
	queue_rest(&q, calls[6]);
	assert_int_equal(q.waiting, 7);
	assert_int_equal(q.waiting_bytes, 127);
	for (i = COUNT(calls); i-- > 0;)
		queue_leave(&q, calls[i]);
	assert_int_equal(q.waiting, 0);
	assert_int_equal(q.waiting_bytes, 0);
	assert_null(queue_any(&q));
}

static void test_who_never_entered_may_leave(void **state)
{
	struct pool_call *call = make(POOL_TELL, 0, "joe", 1);

	(void)state;
	assert_int_equal(queue_enter(&q, call, 0, false, 0, 0), -EBUSY);
	queue_leave(&q, call);
	assert_int_equal(q.waiting, 0);
}

/* ---- limits ---- */

static int try(enum pool_kind kind, const char *lane, size_t len,
	       uint32_t max_waiting, uint64_t max_bytes)
{
	return queue_enter(&q, make(kind, 0, lane, len), 1, false, max_waiting,
			   max_bytes);
}

static void test_one_that_may_go_is_always_taken(void **state)
{
	static const enum pool_kind kinds[] = { POOL_TELL, POOL_ASK, POOL_HOLD,
						POOL_ASIDE };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(kinds); i++) {
		assert_int_equal(try(kinds[i], i ? NULL : "joe", 10, 0, 0), 0);
		queue_leave(&q, next(1));
	}
}

static void test_as_many_wait_as_may(void **state)
{
	(void)state;
	assert_int_equal(try(POOL_ASK, NULL, 0, 2, 100), 0);
	send_next(1);
	assert_int_equal(try(POOL_ASK, NULL, 0, 2, 100), 0);
	assert_int_equal(try(POOL_TELL, "joe", 0, 2, 100), 0);
	assert_int_equal(try(POOL_ASK, NULL, 0, 2, 100), -EBUSY);
	assert_int_equal(try(POOL_TELL, NULL, 0, 2, 100), -EBUSY);
	assert_int_equal(try(POOL_HOLD, NULL, 0, 2, 100), -EBUSY);
	assert_int_equal(try(POOL_TELL, "joe", 0, 2, 100), -EBUSY);
	assert_int_equal(q.waiting, 2);
	queue_leave(&q, q.asked);
	assert_int_equal(try(POOL_ASK, NULL, 0, 2, 100), 0);
}

static void test_as_many_bytes_wait_as_may(void **state)
{
	(void)state;
	assert_int_equal(try(POOL_ASK, NULL, 1000, MANY, 100), 0);
	send_next(1);
	assert_int_equal(try(POOL_ASK, NULL, 60, MANY, 100), 0);
	assert_int_equal(try(POOL_ASK, NULL, 41, MANY, 100), -EBUSY);
	assert_int_equal(try(POOL_ASK, NULL, 40, MANY, 100), 0);
	assert_int_equal(try(POOL_ASK, NULL, 1, MANY, 100), -EBUSY);
	assert_int_equal(q.waiting_bytes, 100);
}

static void test_those_in_a_lane_wait_too(void **state)
{
	(void)state;
	assert_int_equal(queue_enter(&q, make(POOL_TELL, 0, "joe", 5), MANY,
				     false, 1, 100),
			 0);
	send_next(MANY);
	assert_int_equal(queue_enter(&q, make(POOL_TELL, 0, "joe", 5), MANY,
				     false, 1, 100),
			 0);
	assert_int_equal(queue_enter(&q, make(POOL_TELL, 0, "joe", 5), MANY,
				     false, 1, 100),
			 -EBUSY);
	/* but who need not wait is taken */
	assert_int_equal(queue_enter(&q, make(POOL_TELL, 0, "ann", 5), MANY,
				     false, 1, 100),
			 0);
}

static void test_those_that_rest_wait_too(void **state)
{
	struct pool_call *call;

	(void)state;
	assert_int_equal(try(POOL_TELL, NULL, 7, 1, 100), 0);
	call = send_next(1);
	queue_rest(&q, call);
	assert_int_equal(q.waiting, 1);
	assert_int_equal(q.waiting_bytes, 7);
	/* the connection is free: this one need not wait */
	assert_int_equal(try(POOL_TELL, NULL, 0, 1, 100), 0);
	send_next(1);
	assert_int_equal(try(POOL_TELL, NULL, 0, 1, 100), -EBUSY);
}

/* Its own calls wait for room that is not another's. */
static void test_a_full_stream_refuses_no_other(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		assert_int_equal(queue_enter(&q, make(POOL_TELL, 3, NULL, 1), 4,
					     false, 2, 100),
				 0);
		send_next(4);
	}
	assert_int_equal(q.n_sent, 2);
	assert_int_equal(q.waiting, 2);
	assert_int_equal(queue_full_streams(&q, 4, false, 2, 100), 1u << 3);
	assert_int_equal(
		queue_enter(&q, make(POOL_TELL, 3, NULL, 1), 4, false, 2, 100),
		-EBUSY);
	assert_int_equal(
		queue_enter(&q, make(POOL_TELL, 4, NULL, 1), 4, false, 2, 100),
		0);
	assert_int_equal(send_next(4)->stream, 4);
	/* now all have what they may have */
	assert_int_equal(queue_full_streams(&q, 4, false, 2, 100), UINT32_MAX);
	assert_int_equal(
		queue_enter(&q, make(POOL_TELL, 5, NULL, 1), 4, false, 2, 100),
		-EBUSY);
}

static void test_full_by_count_or_by_bytes(void **state)
{
	(void)state;
	/* without any queue whoever may go is taken */
	assert_int_equal(queue_full_streams(&q, 1, false, 0, 0), 0);
	assert_int_equal(queue_full_streams(&q, 1, true, 0, 0), UINT32_MAX);
	assert_int_equal(queue_full_streams(&q, 1, true, 1, 1), 0);
	enter_with(make(POOL_TELL, 0, NULL, 10), 1);
	send_next(1);
	enter_with(make(POOL_TELL, 0, NULL, 10), 1);
	assert_int_equal(queue_full_streams(&q, 1, false, 2, 11), 0);
	assert_int_equal(queue_full_streams(&q, 1, false, 1, 11), UINT32_MAX);
	assert_int_equal(queue_full_streams(&q, 1, false, 2, 10), UINT32_MAX);
}

static void test_notifications_must_wait_while_the_breaker_is_open(void **state)
{
	(void)state;
	assert_int_equal(
		queue_enter(&q, make(POOL_TELL, 0, NULL, 0), MANY, true, 0, 0),
		-EBUSY);
	assert_int_equal(
		queue_enter(&q, make(POOL_TELL, 0, NULL, 0), MANY, true, 1, 0),
		0);
	assert_int_equal(
		queue_enter(&q, make(POOL_ASK, 0, NULL, 0), MANY, true, 0, 0),
		0);
}

/* ---- shares ---- */

/* How many of `kind` get under way with `max_sent`, from so many streams. */
static unsigned flood(enum pool_kind kind, unsigned streams, uint32_t max_sent)
{
	unsigned i;

	for (i = 0; i < 2 * max_sent; i++)
		enter_with(make(kind, i % streams, NULL, 0), max_sent);
	return send_all(max_sent);
}

static void expect_shares(uint32_t max_sent, unsigned asked, unsigned told,
			  unsigned stream)
{
	/* the owner's thread has one of its own */
	unsigned all = max_sent < 4 ? max_sent : max_sent - 1;

	set_up(NULL);
	assert_int_equal(flood(POOL_TELL, 1, max_sent), stream);
	tear_down(NULL);
	set_up(NULL);
	assert_int_equal(flood(POOL_TELL, 32, max_sent), told);
	tear_down(NULL);
	set_up(NULL);
	assert_int_equal(flood(POOL_ASK, 1, max_sent), asked);
	assert_int_equal(flood(POOL_HOLD, 1, max_sent), all - asked);
	tear_down(NULL);
	set_up(NULL);
	assert_int_equal(flood(POOL_HOLD, 1, max_sent), all);
	tear_down(NULL);
}

static void test_each_kind_has_its_share(void **state)
{
	(void)state;
	expect_shares(1, 1, 1, 1);
	expect_shares(2, 2, 2, 2);
	expect_shares(3, 3, 3, 3);
	expect_shares(4, 3, 3, 2);
	expect_shares(5, 4, 4, 3);
	expect_shares(8, 7, 6, 4);
	expect_shares(15, 14, 12, 8);
	expect_shares(16, 14, 12, 8);
	expect_shares(100, 98, 75, 50);
	set_up(NULL);
}

/* With enough connections each of them leaves the others at least one. */
static void test_nobody_takes_it_all(void **state)
{
	unsigned told;

	(void)state;
	assert_int_equal(flood(POOL_ASK, 1, 16), 14);
	told = flood(POOL_TELL, 1, 16);
	assert_int_equal(told, 1);
	assert_int_equal(flood(POOL_HOLD, 1, 16), 0);
	assert_int_equal(q.n_sent, 15);
}

static void test_a_share_that_is_given_back_is_free(void **state)
{
	struct pool_call *call;

	(void)state;
	flood(POOL_TELL, 1, 8);
	assert_null(next(8));
	call = q.sent;
	queue_leave(&q, call);
	assert_int_equal(send_all(8), 1);
	queue_rest(&q, q.sent);
	assert_int_equal(send_all(8), 1);
}

/* ---- streams ---- */

static void test_streams_take_turns(void **state)
{
	static const unsigned streams[] = { 31, 0, 17, 5 };
	static const unsigned turns[] = { 5, 17, 31, 0, 5, 17, 31, 0, 31, 31 };
	size_t i, s;

	(void)state;
	for (s = 0; s < COUNT(streams); s++)
		for (i = 0; i < 2; i++)
			enter(POOL_TELL, streams[s], NULL);
	enter(POOL_TELL, 31, NULL);
	enter(POOL_TELL, 31, NULL);
	for (i = 0; i < COUNT(turns); i++)
		assert_int_equal(send_next(MANY)->stream, turns[i]);
	assert_null(next(MANY));
}

static void test_a_stream_that_hangs_leaves_room(void **state)
{
	struct pool_call *other;

	(void)state;
	assert_int_equal(flood(POOL_TELL, 1, 8), 4);
	other = enter_with(make(POOL_TELL, 9, NULL, 0), 8);
	assert_ptr_equal(send_next(8), other);
	assert_null(next(8));
}

static void test_a_retried_call_heads_its_own_stream(void **state)
{
	struct pool_call *first = enter(POOL_TELL, 1, NULL);
	struct pool_call *second, *other;

	(void)state;
	second = enter(POOL_TELL, 1, NULL);
	other = enter(POOL_TELL, 2, NULL);
	queue_send(&q, first);
	queue_rest(&q, first);
	assert_int_equal(q.waiting, 3);
	assert_int_equal(q.n_told, 0);
	queue_ready_again(&q, first);
	assert_int_equal(q.waiting, 3);
	assert_ptr_equal(send_next(MANY), other);
	assert_ptr_equal(send_next(MANY), first);
	assert_ptr_equal(send_next(MANY), second);
}

/* ---- the breaker is open ---- */

static void test_open_only_probes_may_go(void **state)
{
	struct pool_call *asked, *told;

	(void)state;
	told = enter(POOL_TELL, 1, NULL);
	asked = enter(POOL_ASK, 0, NULL);
	assert_null(queue_next(&q, MANY, true));
	assert_ptr_equal(queue_next_told(&q, MANY), told);
	asked->probe = true;
	assert_ptr_equal(queue_next(&q, MANY, true), asked);
	queue_send(&q, asked);
	assert_null(queue_next(&q, MANY, true));
	asked = enter(POOL_ASIDE, 0, NULL);
	assert_ptr_equal(queue_next(&q, MANY, true), asked);
}

static void test_a_probe_needs_a_connection_too(void **state)
{
	struct pool_call *probe = make(POOL_ASIDE, 0, NULL, 0);

	(void)state;
	flood(POOL_HOLD, 1, 2);
	enter_with(probe, 2);
	assert_null(queue_next(&q, 2, true));
	queue_leave(&q, q.sent);
	assert_ptr_equal(queue_next(&q, 2, true), probe);
	assert_null(queue_next_told(&q, 2));
}

static void test_an_ask_that_is_no_probe_hides_none(void **state)
{
	struct pool_call *probe;

	(void)state;
	enter(POOL_ASK, 0, NULL);
	enter(POOL_ASK, 0, NULL);
	probe = enter(POOL_ASK, 0, NULL);
	probe->probe = true;
	assert_ptr_equal(queue_next(&q, MANY, true), probe);
}

static void test_who_is_waited_for_is_found(void **state)
{
	struct pool_call *asked, *held, *probe;

	(void)state;
	enter(POOL_TELL, 0, NULL);
	enter(POOL_ASIDE, 0, NULL);
	probe = enter(POOL_ASK, 0, NULL);
	probe->probe = true;
	assert_null(queue_any_asked(&q));
	asked = enter(POOL_ASK, 0, NULL);
	assert_ptr_equal(queue_any_asked(&q), asked);
	queue_leave(&q, asked);
	held = enter(POOL_HOLD, 0, NULL);
	assert_ptr_equal(queue_any_asked(&q), held);
	queue_send(&q, held);
	assert_null(queue_any_asked(&q));
}

static void test_any_finds_every_place(void **state)
{
	struct pool_call *call;
	unsigned n = 0;

	(void)state;
	queue_send(&q, enter(POOL_TELL, 0, "joe"));
	enter(POOL_TELL, 0, "joe");
	enter(POOL_TELL, 31, "joe");
	call = enter(POOL_TELL, 4, "ann");
	queue_send(&q, call);
	queue_rest(&q, call);
	enter(POOL_TELL, 4, "ann");
	enter(POOL_ASK, 0, NULL);
	enter(POOL_ASIDE, 0, NULL);
	while ((call = queue_any(&q)) != NULL) {
		queue_leave(&q, call);
		n++;
	}
	assert_int_equal(n, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_empty_queue_has_nothing),
		TEST(test_a_call_is_ready_then_sent_then_over),
		TEST(test_oldest_first),
		TEST(test_who_holds_the_owner_goes_first),
		TEST(test_the_newest_that_holds_is_the_one),
		TEST(test_a_lane_is_one_at_a_time_in_order),
		TEST(test_lanes_do_not_wait_for_each_other),
		TEST(test_a_prefix_is_another_lane),
		TEST(test_a_resting_call_keeps_its_lane),
		TEST(test_the_lane_goes_on_from_wherever_one_leaves),
		TEST(test_who_left_is_not_counted),
		TEST(test_who_never_entered_may_leave),
		TEST(test_one_that_may_go_is_always_taken),
		TEST(test_as_many_wait_as_may),
		TEST(test_as_many_bytes_wait_as_may),
		TEST(test_those_in_a_lane_wait_too),
		TEST(test_those_that_rest_wait_too),
		TEST(test_a_full_stream_refuses_no_other),
		TEST(test_full_by_count_or_by_bytes),
		TEST(test_notifications_must_wait_while_the_breaker_is_open),
		TEST(test_each_kind_has_its_share),
		TEST(test_nobody_takes_it_all),
		TEST(test_a_share_that_is_given_back_is_free),
		TEST(test_streams_take_turns),
		TEST(test_a_stream_that_hangs_leaves_room),
		TEST(test_a_retried_call_heads_its_own_stream),
		TEST(test_open_only_probes_may_go),
		TEST(test_a_probe_needs_a_connection_too),
		TEST(test_an_ask_that_is_no_probe_hides_none),
		TEST(test_who_is_waited_for_is_found),
		TEST(test_any_finds_every_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
