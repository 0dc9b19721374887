/* test_pool_trial.c - pool/pool.h: a call by an endpoint of its own */
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

static int submit_trial(struct fixture *f, struct got *got,
			const struct pool_endpoint_opts *opts)
{
	struct pool_request req = request_of(f, POOL_ASK);

	req.endpoint = NULL;
	req.trial = opts;
	req.body = strdup("{\"try\":1}");
	req.len = strlen(req.body);
	memset(got, 0, sizeof(*got));
	got->f = f;
	if (pool_submit(f->pool, &req, note_reply, got, NULL) == 0)
		return 0;
	free(req.body);
	return -1;
}

static void try_it(struct fixture *f, struct got *got)
{
	struct pool_endpoint_opts opts = options(f->url);

	assert_int_equal(submit_trial(f, got, &opts), 0);
	collect(f, got);
}

static void configure_one(struct fixture *f)
{
	struct pool_endpoint_opts opts = options(f->url);

	opts.breaker_failures = 1;
	opts.breaker_open_ms = 600000;
	configure(f, &opts);
	settle(f);
}

static void test_it_needs_no_endpoint(void **state)
{
	struct fixture *f = *state;
	struct got got;

	answer_body(f, "yes");
	for (unsigned i = 0; i < 3; i++) {
		try_it(f, &got);
		assert_string_equal(got.text, "");
		assert_int_equal(got.status, 200);
		assert_string_equal(got.body, "yes");
		assert_string_equal(http_server_request(f->server, i)->body,
				    "{\"try\":1}");
		clear(&got);
	}
}

/* Each makes a connection of its own, and leaves none behind. */
static void test_nothing_is_left_of_it(void **state)
{
	struct fixture *f = *state;
	struct got got;

	for (unsigned i = 0; i < 3; i++) {
		try_it(f, &got);
		clear(&got);
	}
	assert_int_equal(counts_of(f).opened, 3);
	assert_true(http_server_wait_open(f->server, 0));
}

static void test_the_endpoint_knows_nothing_of_it(void **state)
{
	const struct http_answer broken = { .status = 500 };
	struct fixture *f = *state;
	struct pool_endpoint_stats before, after;
	struct got got;

	configure_one(f);
	call_ok(f);
	before = stats_of(f, f->url);
	http_server_answer(f->server, &broken);
	for (int i = 0; i < 3; i++) {
		try_it(f, &got);
		assert_int_equal(got.status, 500);
		clear(&got);
	}
	after = stats_of(f, f->url);
	assert_int_equal(after.sent, before.sent);
	assert_int_equal(after.ok, before.ok);
	assert_int_equal(after.failed, before.failed);
	assert_int_equal(after.opened, 0);
	assert_int_equal(after.connections, before.connections);
	assert_false(after.open || after.open_for_holding);
	assert_int_equal(pool_look(f->pool, f->url), POOL_LOOK_GOOD);
	answer_at_once(f);
	call_ok(f);
}

static void test_it_goes_whatever_the_endpoint_is_in(void **state)
{
	const struct http_answer broken = { .status = 500 };
	struct fixture *f = *state;
	struct got got;

	configure_one(f);
	http_server_push(f->server, &broken);
	call(f, &got, f->url);
	clear(&got);
	assert_true(stats_of(f, f->url).open);
	try_it(f, &got);
	assert_int_equal(got.status, 200);
	clear(&got);
	/* which does not close the breaker */
	assert_true(stats_of(f, f->url).open);
	assert_int_equal(pool_pause(f->pool, f->url, true), 0);
	try_it(f, &got);
	assert_int_equal(got.status, 200);
	clear(&got);
	assert_true(stats_of(f, f->url).paused);
}

static void test_it_has_a_time_limit(void **state)
{
	struct pool_endpoint_opts opts;
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_ASK);
	struct got got;

	opts = options(f->url);
	hold_answers(f);
	req.trial = &opts;
	req.timeout_ms = 30;
	submit_request(f, &got, &req);
	collect(f, &got);
	assert_int_equal(got.error, -ETIMEDOUT);
	clear(&got);
	answer_at_once(f);
}

static void test_what_cannot_be_an_endpoint_is_refused(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options("http://[::1");
	struct got got;

	assert_int_equal(submit_trial(f, &got, &opts), -1);
	assert_int_equal(pool_collect(f->pool), 0);
}

/* An endpoint that is configured meanwhile is another. */
static void test_it_is_not_found_again(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got trial, got;

	hold_answers(f);
	assert_int_equal(submit_trial(f, &trial, &opts), 0);
	assert_true(http_server_wait_held(f->server, 1));
	configure_one(f);
	assert_int_equal(stats_of(f, f->url).in_flight, 0);
	assert_int_equal(pool_configure(f->pool, NULL, 0), 0);
	settle(f);
	assert_false(trial.done);
	call(f, &got, f->url);
	assert_int_equal(got.error, -ENOENT);
	clear(&got);
	answer_at_once(f);
	collect(f, &trial);
	assert_int_equal(trial.status, 200);
	clear(&trial);
}

static void test_it_ends_with_the_pool(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got sent, late;

	hold_answers(f);
	assert_int_equal(submit_trial(f, &sent, &opts), 0);
	assert_true(http_server_wait_held(f->server, 1));
	assert_int_equal(submit_trial(f, &late, &opts), 0);
	pool_stop(f->pool, PATIENCE_MS);
	assert_int_equal(sent.error, -ECANCELED);
	assert_int_equal(late.error, -ECANCELED);
	clear(&sent);
	assert_int_equal(submit_trial(f, &sent, &opts), -1);
	clear(&late);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_it_needs_no_endpoint),
		TEST(test_nothing_is_left_of_it),
		TEST(test_the_endpoint_knows_nothing_of_it),
		TEST(test_it_goes_whatever_the_endpoint_is_in),
		TEST(test_it_has_a_time_limit),
		TEST(test_what_cannot_be_an_endpoint_is_refused),
		TEST(test_it_is_not_found_again),
		TEST(test_it_ends_with_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
