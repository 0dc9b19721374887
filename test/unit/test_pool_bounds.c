/* test_pool_bounds.c - pool/pool.h: what there is too much of */
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

static void configure_queue(struct fixture *f, uint32_t max_connections,
			    uint32_t max_queue, uint64_t max_queue_bytes)
{
	struct pool_endpoint_opts opts = options(f->url);

	opts.max_connections = max_connections;
	opts.max_queue = max_queue;
	opts.max_queue_bytes = max_queue_bytes;
	configure(f, &opts);
}

static void tell(struct fixture *f, struct got *got, unsigned stream,
		 size_t len)
{
	static char body[1000];
	struct pool_request req = request_of(f, POOL_TELL);

	req.stream = stream;
	req.body = body;
	req.len = len;
	submit_request(f, got, &req);
}

/* ---- full, as seen from the owner's side ---- */

static void test_full_for_one_stream_is_not_for_another(void **state)
{
	struct fixture *f = *state;
	struct got got[4], other;
	size_t i;

	configure_queue(f, 4, 2, 1000);
	hold_answers(f);
	assert_false(pool_is_full(f->pool, f->url, 3));
	for (i = 0; i < COUNT(got); i++)
		tell(f, &got[i], 3, 1);
	wait_queued(f, f->url, 2);
	assert_true(pool_is_full(f->pool, f->url, 3));
	assert_false(pool_is_full(f->pool, f->url, 4));
	assert_int_equal(stats_of(f, f->url).refused, 1);
	/* and so it is taken */
	tell(f, &other, 4, 1);
	assert_true(http_server_wait_held(f->server, 3));
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	collect(f, &other);
	assert_int_equal(other.error, 0);
	assert_false(pool_is_full(f->pool, f->url, 3));
	clear_all(got, COUNT(got));
	clear(&other);
}

static void test_full_by_bytes(void **state)
{
	struct fixture *f = *state;
	struct got got[3];

	configure_queue(f, 1, 10, 100);
	hold_answers(f);
	tell(f, &got[0], 0, 500);
	tell(f, &got[1], 0, 99);
	wait_queued(f, f->url, 1);
	assert_int_equal(stats_of(f, f->url).queued_bytes, 99);
	assert_false(pool_is_full(f->pool, f->url, 0));
	tell(f, &got[2], 0, 1);
	wait_queued(f, f->url, 2);
	assert_true(pool_is_full(f->pool, f->url, 0));
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	assert_int_equal(stats_of(f, f->url).queued_bytes, 0);
	clear_all(got, COUNT(got));
}

/* `max_queue` 0: nobody waits, but who need not is sent. */
static void test_without_a_queue_who_may_go_is_sent(void **state)
{
	struct fixture *f = *state;
	struct got got;
	unsigned i;

	configure_queue(f, 1, 0, 0);
	hold_answers(f);
	for (i = 0; i < 2; i++) {
		assert_false(pool_is_full(f->pool, f->url, 0));
		tell(f, &got, 0, 10);
		assert_true(http_server_wait_held(f->server, 1));
		let_dispatcher_pass(f);
		assert_true(pool_is_full(f->pool, f->url, 0));
		http_server_release(f->server);
		collect(f, &got);
		assert_int_equal(got.error, 0);
		clear(&got);
	}
}

static void test_who_is_not_known_is_not_full(void **state)
{
	struct fixture *f = *state;

	assert_false(pool_is_full(f->pool, f->url, 0));
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_full_for_one_stream_is_not_for_another),
		TEST(test_full_by_bytes),
		TEST(test_without_a_queue_who_may_go_is_sent),
		TEST(test_who_is_not_known_is_not_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
