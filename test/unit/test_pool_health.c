/* test_pool_health.c - pool/pool.h: the circuit breaker of an endpoint */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pool/pool.h"
#include "test/unit/http_server.h"
#include "test/unit/pool_fixture.h"

/* ---- open for holding ---- */

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
		if (pool_configure(m->f->pool, &opts, 1))
			return m;
		sched_yield();
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
	unsigned i;

	configure_url(f, f->url);
	assert_int_equal(pthread_create(&thread, NULL, meddle, &m), 0);
	for (i = 0; i < 300; i++) {
		pool_wait(f->pool, submit_request(f, &got, &req), 0);
		pool_look(f->pool, f->url);
		pool_is_full(f->pool, f->url, 0);
		collect(f, &got);
		assert_int_equal(got.error, 0);
		clear(&got);
	}
	m.stop = true;
	pthread_join(thread, &failed);
	assert_null(failed);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_hold_that_found_no_connection_opens_it),
		TEST(test_limits_may_change_under_the_owners_eyes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
