/* test_pool_times.c - pool/pool.h: how long the parts of a call took */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "pool/pool.h"
#include "test/unit/http_server.h"
#include "test/unit/pool_fixture.h"

#define MS 1000

static void expect_sum(const struct pool_times *t)
{
	assert_true(t->total_us >=
		    t->queue_us + t->connect_us + t->first_byte_us);
}

static void test_only_the_first_call_connects(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_true(got.times.connect_us > 0);
	assert_true(got.times.first_byte_us > 0);
	expect_sum(&got.times);
	clear(&got);
	call(f, &got, f->url);
	assert_int_equal(got.times.connect_us, 0);
	assert_true(got.times.first_byte_us > 0);
	expect_sum(&got.times);
	clear(&got);
}

static void test_what_the_owner_stands_still_for_has_them_too(void **state)
{
	struct fixture *f = *state;

	configure_url(f, f->url);
	settle(f);
	for (int i = 0; i < 2; i++) {
		struct pool_request req = request_of(f, POOL_HOLD);
		struct got got;

		submit_request(f, &got, &req);
		collect(f, &got);
		assert_int_equal(got.error, 0);
		assert_int_equal(got.times.connect_us > 0, i == 0);
		assert_true(got.times.first_byte_us > 0);
		expect_sum(&got.times);
		clear(&got);
	}
}

static void test_first_byte_is_the_endpoints_time(void **state)
{
	const struct http_answer late = { .delay_ms = 60 };
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	http_server_answer(f->server, &late);
	call(f, &got, f->url);
	assert_true(got.times.first_byte_us >= 55 * MS);
	expect_sum(&got.times);
	clear(&got);
}

/* The body is no longer the first byte. */
static void test_total_goes_to_the_end_of_the_reply(void **state)
{
	const struct http_bytes chunks[] = { bytes("a"), bytes("b") };
	const struct http_answer slow = { .chunked = true,
					  .chunks = chunks,
					  .n_chunks = 2,
					  .chunk_delay_ms = 60 };
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	http_server_answer(f->server, &slow);
	call(f, &got, f->url);
	assert_int_equal(got.len, 2);
	assert_true(got.times.total_us >=
		    got.times.queue_us + got.times.connect_us +
			    got.times.first_byte_us + 55 * MS);
	clear(&got);
}

static struct pool_endpoint_opts one_connection(struct fixture *f)
{
	struct pool_endpoint_opts opts = options(f->url);

	opts.max_connections = 1;
	return opts;
}

static void test_waiting_for_a_connection_is_in_the_queue(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = one_connection(f);
	struct got got[2];

	configure(f, &opts);
	hold_answers(f);
	submit(f, &got[0]);
	submit(f, &got[1]);
	wait_queued(f, f->url, 1);
	let_pass(60);
	answer_at_once(f);
	collect_all(f, got, 2);
	assert_true(got[1].times.queue_us >= 55 * MS);
	assert_int_equal(got[1].times.connect_us, 0);
	assert_true(got[0].times.queue_us < got[1].times.queue_us);
	expect_sum(&got[1].times);
	clear_all(got, 2);
}

static void test_of_what_was_never_sent_all_is_queue(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = one_connection(f);
	struct got got[2];

	configure(f, &opts);
	hold_answers(f);
	submit(f, &got[0]);
	submit_any(f, &got[1], f->url, "{}", NULL, 60, NULL);
	collect(f, &got[1]);
	assert_int_equal(got[1].error, -ETIMEDOUT);
	assert_true(got[1].times.queue_us >= 55 * MS);
	assert_int_equal(got[1].times.queue_us, got[1].times.total_us);
	assert_int_equal(got[1].times.connect_us, 0);
	assert_int_equal(got[1].times.first_byte_us, 0);
	answer_at_once(f);
	collect(f, &got[0]);
	clear_all(got, 2);
}

static void test_without_a_reply_there_is_no_first_byte(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	hold_answers(f);
	submit_any(f, &got, f->url, "{}", NULL, 60, NULL);
	collect(f, &got);
	assert_int_equal(got.error, -ETIMEDOUT);
	assert_true(got.times.connect_us > 0);
	assert_true(got.times.connect_us < got.times.total_us);
	assert_int_equal(got.times.first_byte_us, 0);
	assert_true(got.times.total_us >= 55 * MS);
	answer_at_once(f);
	clear(&got);
}

static void test_a_connection_in_vain_is_connecting(void **state)
{
	struct fixture *f = *state;
	const char *url = "http://127.0.0.1:1/"; /* nobody listens there */
	struct got got;

	configure_url(f, url);
	call(f, &got, url);
	assert_int_equal(got.error, -ECONNREFUSED);
	assert_true(got.times.connect_us > 0);
	assert_int_equal(got.times.first_byte_us, 0);
	expect_sum(&got.times);
	clear(&got);
}

static atomic_uint asked;

static void busy_at_first(const struct http_request *req,
			  struct http_answer *ret, void *arg)
{
	(void)req;
	(void)arg;
	ret->status = atomic_fetch_add(&asked, 1) ? 200 : 503;
}

static void test_before_the_last_attempt_all_is_queue(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	struct got got;

	atomic_store(&asked, 0);
	configure_url(f, f->url);
	http_server_handle(f->server, busy_at_first, NULL);
	req.retries = 1;
	req.max_age_ms = PATIENCE_MS;
	submit_request(f, &got, &req);
	collect(f, &got);
	assert_int_equal(got.status, 200);
	assert_int_equal(atomic_load(&asked), 2);
	/* the first rest is half of 500 ms at least */
	assert_true(got.times.queue_us >= 245 * MS);
	assert_int_equal(got.times.connect_us, 0);
	assert_true(got.times.first_byte_us > 0);
	expect_sum(&got.times);
	clear(&got);
}

static bool is_resting(struct fixture *f)
{
	struct pool_endpoint_stats stats;

	return !pool_get_stats(f->pool, f->url, &stats) && stats.sent == 1 &&
	       stats.queued == 1;
}

/* It rested when it became too old: no attempt was under way. */
static void test_of_what_ends_at_rest_all_is_queue(void **state)
{
	const struct http_answer busy = { .status = 503 };
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	struct got got;

	configure_url(f, f->url);
	http_server_answer(f->server, &busy);
	req.retries = 1;
	req.max_age_ms = PATIENCE_MS;
	submit_request(f, &got, &req);
	WAIT_UNTIL(is_resting(f));
	pool_stop(f->pool, 0);
	assert_int_equal(got.error, -ECANCELED);
	assert_int_equal(got.times.queue_us, got.times.total_us);
	assert_int_equal(got.times.connect_us, 0);
	assert_int_equal(got.times.first_byte_us, 0);
	clear(&got);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_the_first_call_connects),
		TEST(test_what_the_owner_stands_still_for_has_them_too),
		TEST(test_first_byte_is_the_endpoints_time),
		TEST(test_total_goes_to_the_end_of_the_reply),
		TEST(test_waiting_for_a_connection_is_in_the_queue),
		TEST(test_of_what_was_never_sent_all_is_queue),
		TEST(test_without_a_reply_there_is_no_first_byte),
		TEST(test_a_connection_in_vain_is_connecting),
		TEST(test_before_the_last_attempt_all_is_queue),
		TEST(test_of_what_ends_at_rest_all_is_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
