/* test_pool_pause.c - pool/pool.h: an endpoint that an operator pauses */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pool/pool.h"
#include "test/unit/http_server.h"
#include "test/unit/pool_fixture.h"

static const enum pool_kind asking[] = { POOL_ASK, POOL_HOLD, POOL_ASIDE };

static void begin(struct fixture *f)
{
	configure_url(f, f->url);
	settle(f);
}

static void pause_it(struct fixture *f, bool paused)
{
	assert_int_equal(pool_pause(f->pool, f->url, paused), 0);
}

static void ask(struct fixture *f, enum pool_kind kind, struct got *got)
{
	struct pool_request req = request_of(f, kind);

	submit_request(f, got, &req);
	collect(f, got);
}

static void expect(struct fixture *f, enum pool_kind kind, int error)
{
	struct got got;

	ask(f, kind, &got);
	assert_int_equal(got.error, error);
	clear(&got);
}

/* Nothing was sent, however long one waits for what is under way. */
static void nothing_more(struct fixture *f, unsigned requests)
{
	let_pass(50);
	settle(f);
	assert_int_equal(counts_of(f).requests, requests);
}

static void test_questions_end_at_once(void **state)
{
	struct fixture *f = *state;
	struct got got;

	begin(f);
	pause_it(f, true);
	for (size_t i = 0; i < COUNT(asking); i++) {
		ask(f, asking[i], &got);
		assert_int_equal(got.error, -EHOSTDOWN);
		assert_string_equal(got.text, "not asked: it is paused");
		clear(&got);
	}
	nothing_more(f, 0);
	assert_int_equal(stats_of(f, f->url).broken, COUNT(asking));
	assert_int_equal(stats_of(f, f->url).sent, 0);
	pause_it(f, false);
	for (size_t i = 0; i < COUNT(asking); i++)
		expect(f, asking[i], 0);
	assert_int_equal(counts_of(f).requests, COUNT(asking));
}

static void test_it_can_be_seen(void **state)
{
	struct fixture *f = *state;
	int64_t began = pool_now_ms(), since;

	begin(f);
	assert_false(stats_of(f, f->url).paused);
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_GOOD);
	pause_it(f, true);
	assert_true(stats_of(f, f->url).paused);
	assert_false(stats_of(f, f->url).open);
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_PAUSED);
	since = stats_of(f, f->url).paused_since_ms;
	assert_in_range(since, began, pool_now_ms());
	/* once more: it has been since then */
	let_pass(5);
	pause_it(f, true);
	assert_int_equal(stats_of(f, f->url).paused_since_ms, since);
	pause_it(f, false);
	assert_false(stats_of(f, f->url).paused);
	assert_int_equal(stats_of(f, f->url).paused_since_ms, 0);
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_GOOD);
}

static void test_others_go_on(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts[2] = { options(f->url) };
	struct got got;

	opts[1] = options(http_server_url(f->server, "/other"));
	assert_int_equal(pool_configure(f->pool, opts, 2), 0);
	settle(f);
	pause_it(f, true);
	call(f, &got, opts[1].url);
	assert_int_equal(got.status, 200);
	clear(&got);
	assert_false(stats_of(f, opts[1].url).paused);
}

/* With one connection, the second waits for it. */
static void test_calls_under_way_finish_and_who_waits_does_not(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got sent, waits;

	opts.max_connections = 1;
	configure(f, &opts);
	settle(f);
	hold_answers(f);
	submit(f, &sent);
	assert_true(http_server_wait_held(f->server, 1));
	submit(f, &waits);
	wait_queued(f, f->url, 1);
	pause_it(f, true);
	collect(f, &waits);
	assert_int_equal(waits.error, -EHOSTDOWN);
	assert_false(sent.done);
	answer_at_once(f);
	collect(f, &sent);
	assert_int_equal(sent.status, 200);
	nothing_more(f, 1);
	clear(&sent);
	clear(&waits);
}

static void test_notifications_wait_for_the_end(void **state)
{
	static const char *const bodies[] = { "1", "2", "3", "4" };
	struct fixture *f = *state;
	struct got got[4];

	begin(f);
	pause_it(f, true);
	for (size_t i = 0; i < 4; i++)
		submit_in_lane(f, &got[i], "lane", bodies[i]);
	wait_queued(f, f->url, 4);
	nothing_more(f, 0);
	pause_it(f, false);
	collect_all(f, got, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(got[i].status, 200);
		assert_string_equal(http_server_request(f->server, i)->body,
				    bodies[i]);
	}
	clear_all(got, 4);
}

/* One that failed before goes once more, but not yet. */
static void test_retries_wait_too(void **state)
{
	const struct http_answer busy = { .status = 503, .hold = true };
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	struct got got;

	begin(f);
	http_server_push(f->server, &busy);
	req.retries = 1;
	submit_request(f, &got, &req);
	assert_true(http_server_wait_held(f->server, 1));
	pause_it(f, true);
	answer_at_once(f);
	wait_queued(f, f->url, 1);
	/* as long as the longest first rest */
	let_pass(600);
	assert_int_equal(counts_of(f).requests, 1);
	assert_false(got.done);
	pause_it(f, false);
	collect(f, &got);
	assert_int_equal(got.status, 200);
	assert_int_equal(counts_of(f).requests, 2);
	clear(&got);
}

static void test_notifications_grow_too_old(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	struct got got;

	begin(f);
	pause_it(f, true);
	req.max_age_ms = 30;
	submit_request(f, &got, &req);
	collect(f, &got);
	assert_int_equal(got.error, -ETIME);
	nothing_more(f, 0);
	clear(&got);
}

static void test_the_queue_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got[3];

	opts.max_queue = 2;
	configure(f, &opts);
	settle(f);
	pause_it(f, true);
	for (size_t i = 0; i < 3; i++)
		submit_in_lane(f, &got[i], "lane", "{}");
	collect(f, &got[2]);
	assert_int_equal(got[2].error, -EBUSY);
	assert_true(pool_is_full(f->pool, f->url, 0));
	pause_it(f, false);
	collect_all(f, got, 2);
	clear_all(got, 3);
}

/* An open breaker sends a waiting notification now and then: not here. */
static void test_no_probe_is_sent(void **state)
{
	const struct http_answer broken = { .status = 500 };
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got, told;

	opts.breaker_failures = 1;
	opts.breaker_open_ms = 10;
	configure(f, &opts);
	settle(f);
	http_server_push(f->server, &broken);
	ask(f, POOL_ASK, &got);
	assert_int_equal(got.status, 500);
	pause_it(f, true);
	assert_true(stats_of(f, f->url).open);
	submit_in_lane(f, &told, "lane", "{}");
	expect(f, POOL_ASK, -EHOSTDOWN);
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_PAUSED);
	nothing_more(f, 1);
	assert_true(stats_of(f, f->url).open);
	/* from now on it is probed, and found good */
	pause_it(f, false);
	collect(f, &told);
	assert_int_equal(told.status, 200);
	assert_false(stats_of(f, f->url).open);
	clear(&got);
	clear(&told);
}

static void test_it_stays_when_configured_anew(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);

	begin(f);
	pause_it(f, true);
	opts.max_connections = 7;
	opts.transport.connect_ms = 77;
	configure(f, &opts);
	settle(f);
	assert_true(stats_of(f, f->url).paused);
	expect(f, POOL_ASK, -EHOSTDOWN);
	nothing_more(f, 0);
}

static void configure_ways(struct fixture *f,
			   const struct pool_endpoint_opts *opts, size_t n)
{
	assert_int_equal(pool_configure(f->pool, opts, n), 0);
	settle(f);
}

/* By another way the endpoint has another name. */
static void test_it_stays_by_another_way(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts[3] = { options(f->url), options(f->url),
					      options(f->url) };
	int64_t since;
	struct got told;

	opts[1].name = "slowly";
	opts[1].transport.connect_ms = 77;
	opts[2].name = "other";
	opts[2].url = http_server_url(f->server, "/other");
	begin(f);
	pause_it(f, true);
	since = stats_of(f, f->url).paused_since_ms;
	submit_in_lane(f, &told, "lane", "{}");
	let_pass(5);
	configure_ways(f, opts, 3);
	assert_int_equal(stats_of(f, "slowly").paused_since_ms, since);
	assert_false(stats_of(f, "other").paused);
	/* who was asked at first, and has what waits, goes on as well */
	assert_int_equal(pool_pause(f->pool, "slowly", false), 0);
	assert_false(stats_of(f, f->url).paused);
	collect(f, &told);
	assert_int_equal(told.status, 200);
	assert_int_equal(pool_pause(f->pool, "slowly", true), 0);
	assert_true(stats_of(f, f->url).paused);
	assert_false(stats_of(f, "other").paused);
	/* it may be that the first goes, and comes back */
	configure_ways(f, opts + 1, 2);
	configure_ways(f, opts, 3);
	assert_true(stats_of(f, f->url).paused);
	clear(&told);
}

/* The same URL by two ways, as when settings change and calls by the former
 * ones are yet to be made. */
static void configure_both(struct fixture *f)
{
	struct pool_endpoint_opts opts[2] = { options(f->url),
					      options(f->url) };

	opts[1].name = "the other way";
	opts[1].transport.connect_ms = 77;
	assert_int_equal(pool_configure(f->pool, opts, 2), 0);
	settle(f);
}

static void test_it_holds_for_another_way_too(void **state)
{
	struct pool_request req = request_of(*state, POOL_ASK);
	struct fixture *f = *state;
	struct got got;

	begin(f);
	pause_it(f, true);
	configure_both(f);
	assert_int_equal(stats_of(f, "the other way").paused_since_ms,
			 stats_of(f, f->url).paused_since_ms);
	req.endpoint = "the other way";
	submit_request(f, &got, &req);
	collect(f, &got);
	assert_int_equal(got.error, -EHOSTDOWN);
	clear(&got);
	nothing_more(f, 0);
}

/* What waits on the former way goes when the new one is let go on. */
static void test_it_ends_for_all_ways(void **state)
{
	struct fixture *f = *state;
	struct got told;

	begin(f);
	pause_it(f, true);
	submit_in_lane(f, &told, "lane", "{}");
	wait_queued(f, f->url, 1);
	configure_both(f);
	assert_int_equal(pool_pause(f->pool, "the other way", false), 0);
	collect(f, &told);
	assert_int_equal(told.status, 200);
	clear(&told);
	assert_false(stats_of(f, f->url).paused);
}

static void test_who_comes_after_it_is_not_paused(void **state)
{
	struct fixture *f = *state;

	begin(f);
	pause_it(f, true);
	pause_it(f, false);
	configure_both(f);
	assert_false(stats_of(f, "the other way").paused);
}

/* With calls that wait, and without. */
static void test_it_ends_with_the_endpoint(void **state)
{
	struct fixture *f = *state;
	struct got told;

	for (int waits = 0; waits < 2; waits++) {
		begin(f);
		pause_it(f, true);
		if (waits)
			submit_in_lane(f, &told, "lane", "{}");
		settle(f);
		assert_int_equal(pool_configure(f->pool, NULL, 0), 0);
		settle(f);
		assert_int_equal(pool_pause(f->pool, f->url, true), -ENOENT);
		begin(f);
		assert_false(stats_of(f, f->url).paused);
		expect(f, POOL_ASK, 0);
	}
	collect(f, &told);
	assert_int_equal(told.status, 200);
	clear(&told);
}

/* Nothing is drained there, and nobody waits for that. */
static void test_it_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;
	int64_t began = pool_now_ms();
	struct got got[3];

	begin(f);
	pause_it(f, true);
	for (unsigned i = 0; i < 3; i++)
		submit_in_lane(f, &got[i], i ? "lane" : "other", "{}");
	wait_queued(f, f->url, 3);
	pool_stop(f->pool, 10 * PATIENCE_MS);
	assert_true(pool_now_ms() - began < 10 * PATIENCE_MS);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(got[i].error, -ECANCELED);
	assert_int_equal(counts_of(f).requests, 0);
	clear_all(got, 3);
}

/* One is under way, and another of its lane behind it; or it fails, and would
 * go once more. */
static void test_nor_does_who_comes_to_wait_at_the_end(void **state)
{
	static const int statuses[] = { 200, 503 };

	for (size_t i = 0; i < COUNT(statuses); i++) {
		const struct http_answer late = { .status = statuses[i],
						  .delay_ms = 300 };
		struct fixture *f = *state;
		struct pool_request req = request_of(f, POOL_TELL);
		int64_t began = pool_now_ms();
		struct got got[2];

		begin(f);
		req.retries = 3;
		req.lane = "lane";
		req.lane_len = 4;
		http_server_push(f->server, &late);
		submit_request(f, &got[0], &req);
		assert_true(http_server_wait_requests(f->server, 1));
		submit_request(f, &got[1], &req);
		pause_it(f, true);
		pool_stop(f->pool, 10 * PATIENCE_MS);
		assert_true(pool_now_ms() - began < 10 * PATIENCE_MS);
		assert_int_equal(got[0].status, i ? 0 : 200);
		assert_int_equal(got[0].error, i ? -ECANCELED : 0);
		assert_int_equal(got[1].error, -ECANCELED);
		assert_int_equal(counts_of(f).requests, 1);
		clear_all(got, 2);
		tear_down(state);
		assert_int_equal(set_up_started(state), 0);
	}
}

static void test_who_is_not_known_cannot_be_paused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pool_pause(f->pool, f->url, true), -ENOENT);
	begin(f);
	assert_int_equal(pool_pause(f->pool, "http://other/", true), -ENOENT);
	assert_false(stats_of(f, f->url).paused);
	pool_stop(f->pool, 0);
	assert_int_not_equal(pool_pause(f->pool, f->url, true), 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_questions_end_at_once),
		TEST(test_it_can_be_seen),
		TEST(test_others_go_on),
		TEST(test_calls_under_way_finish_and_who_waits_does_not),
		TEST(test_notifications_wait_for_the_end),
		TEST(test_retries_wait_too),
		TEST(test_notifications_grow_too_old),
		TEST(test_the_queue_is_bounded),
		TEST(test_no_probe_is_sent),
		TEST(test_it_stays_when_configured_anew),
		TEST(test_it_stays_by_another_way),
		TEST(test_it_holds_for_another_way_too),
		TEST(test_it_ends_for_all_ways),
		TEST(test_who_comes_after_it_is_not_paused),
		TEST(test_it_ends_with_the_endpoint),
		TEST(test_it_does_not_hold_up_the_end),
		TEST(test_nor_does_who_comes_to_wait_at_the_end),
		TEST(test_who_is_not_known_cannot_be_paused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
