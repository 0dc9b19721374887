/* test_pool_health.c - pool/pool.h: the circuit breaker of an endpoint */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pool/pool.h"
#include "test/unit/http_server.h"
#include "test/unit/pool_fixture.h"

#define NEVER_MS 600000 /* no probe comes within any test */

/* A breaker that opens after so many failures. */
static void configure_breaker(struct fixture *f, uint32_t failures,
			      uint32_t open_ms)
{
	struct pool_endpoint_opts opts = options(f->url);

	opts.breaker_failures = failures;
	opts.breaker_open_ms = open_ms;
	opts.prompt_ms = PATIENCE_MS;
	configure(f, &opts);
	let_dispatcher_pass(f);
}

static void answer_status(struct fixture *f, int status)
{
	const struct http_answer a = { .status = status };

	http_server_answer(f->server, &a);
}

static bool is_open(struct fixture *f)
{
	return stats_of(f, f->url).open;
}

static bool is_open_for_holding(struct fixture *f)
{
	return stats_of(f, f->url).open_for_holding;
}

static void expect_error(struct fixture *f, int error)
{
	struct got got;

	call(f, &got, f->url);
	assert_int_equal(got.error, error);
	clear(&got);
}

static void expect_status(struct fixture *f, long status)
{
	struct got got;

	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.status, status);
	clear(&got);
}

/* Open it by one failure, from when on nothing goes out but a probe after
 * `open_ms`. */
static void break_it(struct fixture *f, uint32_t open_ms)
{
	configure_breaker(f, 1, open_ms);
	answer_status(f, 500);
	expect_status(f, 500);
	assert_true(is_open(f));
}

/* ---- what opens it ---- */

struct trial {
	struct http_answer answer;
	uint32_t timeout_ms;
};

/* One endpoint for each, so that each begins afresh. */
static void begin_trial(struct fixture *f, const struct trial *trial,
			unsigned i, uint32_t failures)
{
	char path[16];

	snprintf(path, sizeof(path), "/%u", i);
	f->url = http_server_url(f->server, path);
	configure_breaker(f, failures, NEVER_MS);
	http_server_answer(f->server, &trial->answer);
}

static void try_once(struct fixture *f, const struct trial *trial)
{
	struct pool_request req = request_of(f, POOL_ASK);
	struct got got;

	if (trial->timeout_ms)
		req.timeout_ms = trial->timeout_ms;
	submit_request(f, &got, &req);
	collect(f, &got);
	clear(&got);
}

static void test_failures_in_a_row_open_it(void **state)
{
	static const struct trial trials[] = {
		{ .answer.status = 500 },
		{ .answer.status = 503 },
		{ .answer.status = 599 },
		{ .answer.drop = true },
		{ .answer.reset = true },
		{ .answer = { .has_raw = true,
			      .raw = { "hello\r\n\r\n", 9 } } },
		{ .answer = { .has_content_length = true,
			      .content_length = 5,
			      .body = { "1", 1 } } },
		{ .answer.hold = true, .timeout_ms = 30 },
	};
	struct fixture *f = *state;
	unsigned i, k;

	for (i = 0; i < COUNT(trials); i++) {
		begin_trial(f, &trials[i], i, 3);
		for (k = 0; k < 3; k++) {
			assert_false(is_open(f));
			try_once(f, &trials[i]);
		}
		assert_true(is_open(f));
		assert_true(is_open_for_holding(f));
		assert_int_equal(stats_of(f, f->url).opened, 1);
	}
}

static void test_refused_connections_open_it(void **state)
{
	struct fixture *f = *state;

	f->url = "http://127.0.0.1:1/";
	configure_breaker(f, 2, NEVER_MS);
	expect_error(f, -ECONNREFUSED);
	assert_false(is_open(f));
	expect_error(f, -ECONNREFUSED);
	assert_true(is_open(f));
}

static void test_answers_do_not_open_it(void **state)
{
	static const struct trial trials[] = {
		{ .answer.status = 200 }, { .answer.status = 204 },
		{ .answer.status = 302 }, { .answer.status = 400 },
		{ .answer.status = 401 }, { .answer.status = 404 },
		{ .answer.status = 410 }, { .answer.status = 429 },
		{ .answer.status = 499 }, { .answer.body = { "not JSON", 8 } },
	};
	struct fixture *f = *state;
	unsigned i, k;

	for (i = 0; i < COUNT(trials); i++) {
		begin_trial(f, &trials[i], i, 1);
		for (k = 0; k < 3; k++)
			try_once(f, &trials[i]);
		assert_false(is_open(f));
		assert_int_equal(stats_of(f, f->url).sent, 3);
	}
}

static void test_replies_that_are_too_long_do_not_open_it(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);

	opts.breaker_failures = 2;
	opts.max_reply = 1;
	configure(f, &opts);
	answer_body(f, "12");
	expect_error(f, -EFBIG);
	expect_error(f, -EFBIG);
	assert_false(is_open(f));
	/* they are answers, and begin the count anew */
	answer_status(f, 500);
	expect_status(f, 500);
	answer_body(f, "12");
	expect_error(f, -EFBIG);
	answer_status(f, 500);
	expect_status(f, 500);
	assert_false(is_open(f));
}

/* Nothing follows from what was never sent. */
static void test_calls_that_found_no_connection_do_not_open_it(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct pool_request req = request_of(f, POOL_ASK);
	struct got slow, got;
	unsigned i;

	opts.max_connections = 1;
	opts.breaker_failures = 1;
	configure(f, &opts);
	hold_answers(f);
	submit(f, &slow);
	req.timeout_ms = 10;
	for (i = 0; i < 3; i++) {
		submit_request(f, &got, &req);
		collect(f, &got);
		assert_int_equal(got.error, -ETIMEDOUT);
		clear(&got);
	}
	assert_false(is_open(f));
	answer_at_once(f);
	collect(f, &slow);
	clear(&slow);
}

static void test_an_answer_in_between_begins_anew(void **state)
{
	static const int answers[] = { 200, 404, 429 };
	struct fixture *f = *state;
	size_t i;

	configure_breaker(f, 3, NEVER_MS);
	for (i = 0; i < COUNT(answers); i++) {
		answer_status(f, 503);
		expect_status(f, 503);
		expect_status(f, 503);
		answer_status(f, answers[i]);
		expect_status(f, answers[i]);
	}
	assert_false(is_open(f));
	answer_status(f, 503);
	expect_status(f, 503);
	expect_status(f, 503);
	expect_status(f, 503);
	assert_true(is_open(f));
}

static void test_each_endpoint_has_its_own(void **state)
{
	struct fixture *f = *state;
	const char *other = http_server_url(f->server, "/other");
	struct pool_endpoint_opts opts[] = { options(f->url), options(other) };
	struct got got;

	opts[0].breaker_failures = opts[1].breaker_failures = 1;
	assert_int_equal(pool_configure(f->pool, opts, 2), 0);
	answer_status(f, 500);
	expect_status(f, 500);
	assert_true(is_open(f));
	answer_status(f, 200);
	call(f, &got, other);
	assert_int_equal(got.status, 200);
	assert_false(stats_of(f, other).open);
	clear(&got);
}

static void test_new_limits_keep_it_open(void **state)
{
	struct fixture *f = *state;

	break_it(f, NEVER_MS);
	configure_breaker(f, 7, NEVER_MS);
	expect_error(f, -EHOSTDOWN);
}

/* ---- while it is open ---- */

static void test_open_who_waits_is_told_at_once(void **state)
{
	static const enum pool_kind kinds[] = { POOL_ASK, POOL_HOLD };
	struct fixture *f = *state;
	struct got got;
	size_t i;

	break_it(f, NEVER_MS);
	for (i = 0; i < COUNT(kinds); i++) {
		f->kind = kinds[i];
		call(f, &got, f->url);
		assert_int_equal(got.error, -EHOSTDOWN);
		assert_non_null(strstr(got.text, "circuit breaker"));
		clear(&got);
	}
	assert_int_equal(stats_of(f, f->url).broken, 2);
	assert_int_equal(stats_of(f, f->url).failed, 0);
	assert_int_equal(counts_of(f).requests, 1);
}

static void test_opening_ends_those_that_wait(void **state)
{
	const struct http_answer held_reset = { .hold = true, .reset = true };
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct pool_request tell = request_of(f, POOL_TELL);
	struct got first, waiting[3], told;

	opts.max_connections = 1;
	opts.breaker_failures = 1;
	opts.breaker_open_ms = NEVER_MS;
	configure(f, &opts);
	http_server_push(f->server, &held_reset);
	submit(f, &first);
	submit(f, &waiting[0]);
	f->kind = POOL_HOLD;
	submit(f, &waiting[1]);
	f->kind = POOL_ASK;
	submit(f, &waiting[2]);
	submit_request(f, &told, &tell);
	assert_true(http_server_wait_held(f->server, 1));
	wait_queued(f, f->url, 4);
	http_server_release(f->server);
	collect(f, &first);
	assert_int_equal(first.error, -EIO);
	collect_all(f, waiting, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(waiting[i].error, -EHOSTDOWN);
	/* a notification waits on */
	assert_int_equal(stats_of(f, f->url).queued, 1);
	assert_int_equal(counts_of(f).requests, 1);
	pool_stop(f->pool, 0);
	assert_int_equal(told.error, -ECANCELED);
	clear(&first);
	clear_all(waiting, 3);
	clear(&told);
}

static void submit_numbered(struct fixture *f, struct got *got, size_t n,
			    uint32_t max_age_ms)
{
	struct pool_request req = request_of(f, POOL_TELL);
	char body[8];
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(body, sizeof(body), "%zu", i);
		req.body = body;
		req.len = strlen(body);
		req.max_age_ms = max_age_ms;
		req.lane = i % 2 ? "joe" : NULL;
		req.lane_len = i % 2 ? 3 : 0;
		submit_request(f, &got[i], &req);
	}
}

static void test_notifications_wait_and_go_out_in_order(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	int64_t before = pool_now_ms();
	struct got got[6];
	size_t i;

	opts.max_connections = 1;
	opts.breaker_failures = 1;
	opts.breaker_open_ms = 60;
	configure(f, &opts);
	answer_status(f, 500);
	expect_status(f, 500);
	answer_status(f, 200);
	submit_numbered(f, got, COUNT(got), PATIENCE_MS);
	collect_all(f, got, COUNT(got));
	assert_true(pool_now_ms() >= before + 60);
	assert_false(is_open(f));
	/* the first is the probe; then those without a lane, and its lane, each
	 * in their order */
	assert_int_equal(got[0].order, 1);
	for (i = 0; i < COUNT(got); i++) {
		assert_int_equal(got[i].error, 0);
		if (i >= 2)
			assert_true(got[i].order > got[i - 2].order);
	}
	clear_all(got, COUNT(got));
}

static void test_notifications_do_not_wait_for_ever(void **state)
{
	struct fixture *f = *state;
	struct got got[4];
	size_t i;

	break_it(f, NEVER_MS);
	submit_numbered(f, got, COUNT(got), 40);
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(got); i++) {
		assert_int_equal(got[i].error, -ETIME);
		assert_in_range(got[i].elapsed_ms, 40, PATIENCE_MS);
	}
	assert_int_equal(stats_of(f, f->url).expired, COUNT(got));
	assert_int_equal(counts_of(f).requests, 1);
	clear_all(got, COUNT(got));
}

/* ---- probes ---- */

/* No more than one in each period, however many wait. */
static void test_notifications_are_probes_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	int64_t before = pool_now_ms();
	struct got got[5];
	size_t i;

	break_it(f, 40);
	submit_numbered(f, got, COUNT(got), PATIENCE_MS);
	collect_all(f, got, COUNT(got));
	assert_true(pool_now_ms() >= before + 5 * 40);
	for (i = 0; i < COUNT(got); i++)
		assert_int_equal(got[i].status, 500);
	assert_true(is_open(f));
	assert_int_equal(stats_of(f, f->url).opened, 1);
	assert_int_equal(counts_of(f).requests, 1 + COUNT(got));
	assert_int_equal(counts_of(f).most_unanswered, 1);
	clear_all(got, COUNT(got));
}

/* One that hangs is no reason not to try another later. */
static void test_a_probe_that_hangs_stops_no_other(void **state)
{
	struct fixture *f = *state;
	struct got got[3];

	break_it(f, 30);
	hold_answers(f);
	submit_numbered(f, got, COUNT(got), PATIENCE_MS);
	assert_true(http_server_wait_held(f->server, 2)); /* 1 is in a lane */
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	assert_false(is_open(f));
	clear_all(got, COUNT(got));
}

/* It need not have waited for one. */
static void test_a_notification_that_comes_late_is_a_probe(void **state)
{
	struct fixture *f = *state;
	struct got got;

	break_it(f, 20);
	answer_status(f, 200);
	let_pass(40);
	submit_numbered(f, &got, 1, PATIENCE_MS);
	collect(f, &got);
	assert_int_equal(got.status, 200);
	assert_false(is_open(f));
	clear(&got);
}

/* Ask until one is a probe, which must take `open_ms` from `since`. */
static void ask_until_probed(struct fixture *f, long status, int64_t since)
{
	struct got got;
	unsigned refused = 0;

	for (;;) {
		call(f, &got, f->url);
		if (!got.error)
			break;
		assert_int_equal(got.error, -EHOSTDOWN);
		refused++;
		clear(&got);
		let_pass(1);
	}
	assert_int_equal(got.status, status);
	assert_true(pool_now_ms() >= since);
	assert_true(stats_of(f, f->url).broken >= refused);
	clear(&got);
}

static void test_a_question_that_comes_when_one_is_due_is_a_probe(void **state)
{
	struct fixture *f = *state;
	int64_t before = pool_now_ms();

	break_it(f, 200);
	ask_until_probed(f, 500, before + 200);
	assert_true(is_open(f));
	assert_int_equal(counts_of(f).requests, 2);
	answer_status(f, 200);
	/* once only, and so the next one is as long in coming */
	ask_until_probed(f, 200, before + 2 * 200);
	assert_false(is_open(f));
	assert_int_equal(counts_of(f).requests, 3);
	call_ok(f);
}

static void test_a_hold_is_no_probe(void **state)
{
	struct fixture *f = *state;

	break_it(f, 10);
	let_pass(30);
	f->kind = POOL_HOLD;
	expect_error(f, -EHOSTDOWN);
	assert_int_equal(counts_of(f).requests, 1);
}

static void wait_for_look(struct fixture *f)
{
	enum pool_look look;

	while ((look = pool_look(f->pool, f->url)) == POOL_LOOK_OPEN)
		let_pass(1);
	assert_int_equal(look, POOL_LOOK_PROBE);
}

static void ask_aside(struct fixture *f, long status)
{
	struct pool_request req = request_of(f, POOL_ASIDE);
	struct got got;

	submit_request(f, &got, &req);
	collect(f, &got);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.status, status);
	clear(&got);
}

static void test_the_owner_is_called_for_a_probe_once(void **state)
{
	struct fixture *f = *state;
	int64_t before = pool_now_ms();

	break_it(f, 200);
	wait_for_look(f);
	assert_true(pool_now_ms() >= before + 200);
	ask_aside(f, 500);
	assert_true(is_open(f));
	/* once only, and so the next one is as long in coming */
	wait_for_look(f);
	assert_true(pool_now_ms() >= before + 2 * 200);
	answer_status(f, 200);
	ask_aside(f, 200);
	assert_false(is_open(f));
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_GOOD);
	assert_int_equal(counts_of(f).requests, 3);
}

/* What the owner was called for is nobody else's. */
static void test_one_that_the_owner_claimed_is_no_others(void **state)
{
	struct fixture *f = *state;
	int64_t before = pool_now_ms();

	break_it(f, 200);
	wait_for_look(f);
	ask_until_probed(f, 500, before + 2 * 200);
	assert_int_equal(counts_of(f).requests, 2);
}

static void test_a_look_at_what_is_well(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_GOOD);
	configure_breaker(f, 2, 10);
	call_ok(f);
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_GOOD);
	answer_status(f, 500);
	expect_status(f, 500);
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_GOOD);
}

/* Each probe is a try for nothing: what is sent again is none of its
 * retries. */
static void test_a_failed_probe_uses_no_retry_up(void **state)
{
	struct fixture *f = *state;
	struct got got;

	break_it(f, 20);
	answer_status(f, 503);
	submit_numbered(f, &got, 1, PATIENCE_MS); /* with no retries */
	assert_true(http_server_wait_requests(f->server, 1 + 4));
	assert_false(got.done);
	answer_status(f, 200);
	collect(f, &got);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.status, 200);
	assert_true(stats_of(f, f->url).retries >= 3);
	assert_false(is_open(f));
	clear(&got);
}

static void busy_but_for_questions(const struct http_request *req,
				   struct http_answer *ret, void *arg)
{
	atomic_uint *told = arg;

	if (!req->body_len)
		return;
	ret->status = 503;
	atomic_fetch_add(told, 1);
}

/* Closed by another call: from then on its own retries count, and so do the
 * rests between them, which are as after a first attempt. */
static void test_after_its_probes_it_has_all_its_retries(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	atomic_uint told = 0;
	unsigned probes;
	struct got got;

	break_it(f, 20);
	http_server_handle(f->server, busy_but_for_questions, &told);
	req.body = (char *)"{}";
	req.len = 2;
	req.retries = 1;
	submit_request(f, &got, &req);
	WAIT_UNTIL(told >= 7);
	/* from here on failures do not open it, and probes hardly come */
	configure_breaker(f, 1000, 2000);
	wait_queued(f, f->url, 1);
	probes = told;
	ask_aside(f, 200);
	collect(f, &got);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.status, 503);
	/* one attempt, one retry */
	assert_in_range(told, probes + 2, probes + 3);
	clear(&got);
}

static void test_a_probe_that_was_processed_is_over(void **state)
{
	const struct http_answer reset = { .reset = true };
	struct fixture *f = *state;
	struct got got;

	break_it(f, 20);
	http_server_answer(f->server, &reset);
	submit_numbered(f, &got, 1, PATIENCE_MS);
	collect(f, &got);
	assert_int_equal(got.error, -EIO);
	assert_int_equal(counts_of(f).requests, 2);
	clear(&got);
}

/* ---- open for holding ---- */

/* Give up a call that hangs; the next ones are answered. */
static void give_up(struct fixture *f, struct got *got)
{
	const struct http_answer held = { .hold = true };
	struct pool_request req = request_of(f, POOL_HOLD);
	unsigned before = counts_of(f).requests;

	http_server_push(f->server, &held);
	assert_int_equal(pool_wait(f->pool, submit_request(f, got, &req),
				   pool_now_us() + 20000),
			 -ETIMEDOUT);
	/* it goes on by itself, and that may be from the beginning */
	WAIT_UNTIL((pool_collect(f->pool), counts_of(f).requests) > before);
	assert_true(http_server_wait_held(f->server, 1));
}

static void test_a_wait_in_vain_opens_it_for_holding_alone(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_breaker(f, 1, NEVER_MS);
	assert_false(is_open_for_holding(f));
	give_up(f, &got);
	assert_true(is_open_for_holding(f));
	assert_false(is_open(f));
	assert_int_equal(stats_of(f, f->url).opened, 1);
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_OPEN);
	assert_false(got.done);
	answer_at_once(f);
	collect(f, &got);
	clear(&got);
}

static void test_others_go_on_and_close_it(void **state)
{
	static const enum pool_kind kinds[] = { POOL_ASK, POOL_TELL,
						POOL_ASIDE };
	struct fixture *f = *state;
	struct pool_request req;
	struct got got, other;
	size_t i;

	configure_breaker(f, 1, NEVER_MS);
	for (i = 0; i < COUNT(kinds); i++) {
		give_up(f, &got);
		req = request_of(f, kinds[i]);
		submit_request(f, &other, &req);
		collect(f, &other);
		assert_int_equal(other.error, 0);
		assert_false(is_open_for_holding(f));
		assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_GOOD);
		assert_false(got.done);
		answer_at_once(f);
		collect(f, &got);
		clear(&got);
		clear(&other);
	}
	assert_int_equal(stats_of(f, f->url).opened, COUNT(kinds));
}

static void configure_prompt(struct fixture *f, uint32_t prompt_ms)
{
	struct pool_endpoint_opts opts = options(f->url);

	opts.breaker_open_ms = NEVER_MS;
	opts.prompt_ms = prompt_ms;
	configure(f, &opts);
	let_dispatcher_pass(f);
}

static void test_a_slow_answer_does_not(void **state)
{
	const struct http_answer slow = { .delay_ms = 60 };
	struct fixture *f = *state;
	struct got got;

	configure_prompt(f, 30);
	give_up(f, &got);
	http_server_answer(f->server, &slow);
	call_ok(f);
	assert_true(is_open_for_holding(f));
	/* the limit is what counts */
	configure_prompt(f, PATIENCE_MS);
	call_ok(f);
	assert_false(is_open_for_holding(f));
	answer_at_once(f);
	collect(f, &got);
	clear(&got);
}

/* Late for who gave up, and prompt enough for the next one. */
static void test_its_own_late_answer_may_close_it(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_prompt(f, PATIENCE_MS);
	give_up(f, &got);
	http_server_release(f->server);
	collect(f, &got);
	assert_int_equal(got.error, 0);
	assert_false(is_open_for_holding(f));
	clear(&got);
	configure_prompt(f, 10);
	give_up(f, &got); /* after 20 ms */
	http_server_release(f->server);
	collect(f, &got);
	assert_true(is_open_for_holding(f));
	clear(&got);
}

static void test_a_hold_that_times_out_by_itself_does_the_same(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_HOLD);
	struct got got;

	configure_breaker(f, 2, NEVER_MS);
	hold_answers(f);
	req.timeout_ms = 30;
	assert_int_equal(pool_wait(f->pool, submit_request(f, &got, &req),
				   pool_now_us() + PATIENCE_MS * (int64_t)1000),
			 0);
	assert_int_equal(got.error, -ETIMEDOUT);
	assert_true(is_open_for_holding(f));
	assert_false(is_open(f));
	clear(&got);
}

static void test_a_question_that_times_out_does_not(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_ASK);
	struct got got;

	configure_breaker(f, 2, NEVER_MS);
	hold_answers(f);
	req.timeout_ms = 30;
	submit_request(f, &got, &req);
	collect(f, &got);
	assert_int_equal(got.error, -ETIMEDOUT);
	assert_false(is_open_for_holding(f));
	clear(&got);
}

static void test_a_hold_that_fails_at_once_does_not(void **state)
{
	struct fixture *f = *state;

	configure_breaker(f, 2, NEVER_MS);
	f->kind = POOL_HOLD;
	answer_status(f, 500);
	expect_status(f, 500);
	assert_false(is_open_for_holding(f));
	answer_status(f, 200);
	call_ok(f);
	assert_int_equal(stats_of(f, f->url).opened, 0);
}

/* It stood still for that long all the same. */
static void test_a_hold_that_found_no_connection_opens_it(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct pool_request req = request_of(f, POOL_HOLD);
	struct got slow, held;

	opts.max_connections = 1;
	configure(f, &opts);
	hold_answers(f);
	submit(f, &slow);
	assert_true(http_server_wait_held(f->server, 1));
	req.timeout_ms = 30;
	assert_int_equal(pool_wait(f->pool, submit_request(f, &held, &req),
				   pool_now_us() + PATIENCE_MS * (int64_t)1000),
			 0);
	assert_int_equal(held.error, -ETIMEDOUT);
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_OPEN);
	assert_false(stats_of(f, f->url).open);
	answer_at_once(f);
	collect(f, &slow);
	assert_int_equal(slow.error, 0);
	clear(&slow);
	clear(&held);
}

/* Its twin on the owner's thread goes by the new one's health. */
static void test_a_hold_asks_one_that_was_made_anew(void **state)
{
	struct fixture *f = *state;

	configure_breaker(f, 1, NEVER_MS);
	f->kind = POOL_HOLD;
	answer_status(f, 500);
	expect_status(f, 500);
	assert_true(stats_of(f, f->url).open);
	assert_int_equal(pool_configure(f->pool, NULL, 0), 0);
	settle(f);
	configure_breaker(f, 1, NEVER_MS);
	settle(f);
	assert_false(stats_of(f, f->url).open);
	answer_status(f, 200);
	call_ok(f);
	answer_status(f, 500);
	expect_status(f, 500);
	assert_true(stats_of(f, f->url).open);
}

/* It waited for a probe that never came; why is not lost meanwhile. */
static void test_what_becomes_too_old_tells_of_its_last_attempt(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	struct got got;

	configure_breaker(f, 1, NEVER_MS);
	answer_status(f, 503);
	req.retries = 5;
	req.max_age_ms = 1500;
	submit_request(f, &got, &req);
	collect(f, &got);
	assert_int_equal(got.error, -ETIME);
	assert_non_null(
		strstr(got.text, "within 1500 ms; at last: status 503"));
	clear(&got);
}

/* ---- limits may change ---- */

struct meddler {
	struct fixture *f;
	atomic_bool stop;
};

static void *meddle(void *arg)
{
	struct meddler *m = arg;
	struct pool_endpoint_opts opts = options(m->f->url);
	unsigned i;

	for (i = 0; !m->stop; i++) {
		opts.breaker_open_ms = 10 + i % 5;
		opts.max_queue = 1 + i % 5;
		if (pool_configure(m->f->pool, &opts, 1) ||
		    !let_it_follow(m->f))
			return m;
	}
	return NULL;
}

/* For the thread sanitizer to see: the owner's looks, and an endpoint that is
 * given up, while the limits of all that change. */
static void test_limits_may_change_under_the_owners_eyes(void **state)
{
	struct fixture *f = *state;
	struct meddler m = { .f = f };
	struct pool_request req = request_of(f, POOL_HOLD);
	struct got got;
	pthread_t thread;
	void *failed;
	int error = 0;
	unsigned i;

	configure_url(f, f->url);
	assert_int_equal(pthread_create(&thread, NULL, meddle, &m), 0);
	for (i = 0; i < 300 && !error; i++) {
		pool_wait(f->pool, submit_request(f, &got, &req), 0);
		pool_look(f->pool, f->url);
		pool_is_full(f->pool, f->url, 0);
		collect(f, &got);
		error = got.error;
		clear(&got);
	}
	/* the other one is gone before anything is judged */
	m.stop = true;
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(error, 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_failures_in_a_row_open_it),
		TEST(test_refused_connections_open_it),
		TEST(test_answers_do_not_open_it),
		TEST(test_replies_that_are_too_long_do_not_open_it),
		TEST(test_calls_that_found_no_connection_do_not_open_it),
		TEST(test_an_answer_in_between_begins_anew),
		TEST(test_each_endpoint_has_its_own),
		TEST(test_new_limits_keep_it_open),
		TEST(test_open_who_waits_is_told_at_once),
		TEST(test_opening_ends_those_that_wait),
		TEST(test_notifications_wait_and_go_out_in_order),
		TEST(test_notifications_do_not_wait_for_ever),
		TEST(test_notifications_are_probes_one_at_a_time),
		TEST(test_a_probe_that_hangs_stops_no_other),
		TEST(test_a_notification_that_comes_late_is_a_probe),
		TEST(test_a_question_that_comes_when_one_is_due_is_a_probe),
		TEST(test_a_hold_is_no_probe),
		TEST(test_the_owner_is_called_for_a_probe_once),
		TEST(test_one_that_the_owner_claimed_is_no_others),
		TEST(test_a_look_at_what_is_well),
		TEST(test_a_failed_probe_uses_no_retry_up),
		TEST(test_after_its_probes_it_has_all_its_retries),
		TEST(test_a_probe_that_was_processed_is_over),
		TEST(test_a_wait_in_vain_opens_it_for_holding_alone),
		TEST(test_others_go_on_and_close_it),
		TEST(test_a_slow_answer_does_not),
		TEST(test_its_own_late_answer_may_close_it),
		TEST(test_a_hold_that_times_out_by_itself_does_the_same),
		TEST(test_a_question_that_times_out_does_not),
		TEST(test_a_hold_that_fails_at_once_does_not),
		TEST(test_a_hold_that_found_no_connection_opens_it),
		TEST(test_a_hold_asks_one_that_was_made_anew),
		TEST(test_what_becomes_too_old_tells_of_its_last_attempt),
		TEST(test_limits_may_change_under_the_owners_eyes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
