/* test_pool_bounds.c - pool/pool.h: too much of everything, and the end */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
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

static void test_the_newest_is_refused_by_count(void **state)
{
	struct fixture *f = *state;
	struct got got[5];
	unsigned i;

	configure_queue(f, 1, 2, 1000);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		tell(f, &got[i], i, 1);
	collect(f, &got[3]);
	collect(f, &got[4]);
	assert_int_equal(got[3].error, -EBUSY);
	assert_non_null(strstr(got[3].text, "full"));
	assert_int_equal(got[4].error, -EBUSY);
	assert_int_equal(stats_of(f, f->url).refused, 2);
	assert_int_equal(stats_of(f, f->url).queued, 2);
	answer_at_once(f);
	collect_all(f, got, 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(got[i].error, 0);
	assert_int_equal(stats_of(f, f->url).failed, 0);
	assert_int_equal(counts_of(f).requests, 3);
	clear_all(got, COUNT(got));
}

static void test_the_newest_is_refused_by_bytes(void **state)
{
	struct fixture *f = *state;
	struct got got[4];

	configure_queue(f, 1, 100, 150);
	hold_answers(f);
	tell(f, &got[0], 0, 900);
	tell(f, &got[1], 0, 100);
	tell(f, &got[2], 0, 51);
	tell(f, &got[3], 0, 50);
	collect(f, &got[2]);
	assert_int_equal(got[2].error, -EBUSY);
	wait_queued(f, f->url, 2);
	assert_int_equal(stats_of(f, f->url).queued_bytes, 150);
	assert_int_equal(stats_of(f, f->url).refused, 1);
	answer_at_once(f);
	collect(f, &got[0]);
	collect(f, &got[1]);
	collect(f, &got[3]);
	assert_int_equal(got[3].error, 0);
	clear_all(got, COUNT(got));
}

/* What the dispatcher has not come to yet is bounded, too. */
static void test_more_bytes_than_the_box_may_hold(void **state)
{
	struct fixture *f = *state;
	size_t huge = (size_t)65 << 20;
	struct pool_request req = request_of(f, POOL_TELL);
	struct got got, late;
	char *body = calloc(1, huge);

	assert_non_null(body);
	/* a single one may be as long as it likes */
	req.body = body;
	req.len = huge;
	submit_request(f, &got, &req);
	free(body);
	assert_int_equal(
		submit_any(f, &late, f->url, "{}", NULL, PATIENCE_MS, NULL),
		-EBUSY);
	assert_int_equal(pool_start(f->pool), 0);
	collect(f, &got);
	assert_int_equal(got.error, -ENOENT);
	/* and then there is room again */
	configure_url(f, f->url);
	call_ok(f);
	clear(&got);
}

static void test_many_small_ones_fill_it(void **state)
{
	struct fixture *f = *state;
	size_t len = (size_t)1 << 20;
	struct pool_request req = request_of(f, POOL_ASK);
	static struct got got[64];
	struct got late;
	char *body = calloc(1, len);
	size_t i;

	assert_non_null(body);
	req.body = body;
	req.len = len;
	for (i = 0; i < COUNT(got); i++)
		submit_request(f, &got[i], &req);
	free(body);
	assert_int_equal(
		submit_any(f, &late, f->url, "{}", NULL, PATIENCE_MS, NULL),
		-EBUSY);
	pool_stop(f->pool, 0);
	for (i = 0; i < COUNT(got); i++)
		assert_int_equal(got[i].error, -ECANCELED);
	clear_all(got, COUNT(got));
}

/* ---- who is in whose way ---- */

static void test_calls_that_hang_leave_room_for_the_others(void **state)
{
	struct fixture *f = *state;
	struct pool_request req;
	struct got a[10], b[10], asked[5], held, aside;
	struct pool_call *call;
	unsigned i;

	configure_queue(f, 8, 1000, 100000);
	hold_answers(f);
	/* one stream has half of the connections, and no more */
	for (i = 0; i < COUNT(a); i++)
		tell(f, &a[i], 1, 1);
	assert_true(http_server_wait_held(f->server, 4));
	wait_queued(f, f->url, 6);
	/* two have three quarters */
	for (i = 0; i < COUNT(b); i++)
		tell(f, &b[i], 2, 1);
	assert_true(http_server_wait_held(f->server, 6));
	wait_queued(f, f->url, 14);
	/* questions all but one */
	for (i = 0; i < COUNT(asked); i++)
		submit(f, &asked[i]);
	assert_true(http_server_wait_held(f->server, 7));
	wait_queued(f, f->url, 18);
	/* and that one is for who holds the owner */
	req = request_of(f, POOL_HOLD);
	call = submit_request(f, &held, &req);
	assert_int_equal(pool_wait(f->pool, call, pool_now_us() + 50000),
			 -ETIMEDOUT);
	assert_true(http_server_wait_held(f->server, 8));
	req = request_of(f, POOL_ASIDE);
	submit_request(f, &aside, &req);
	wait_queued(f, f->url, 19);
	assert_int_equal(stats_of(f, f->url).in_flight, 8);
	answer_at_once(f);
	collect_all(f, a, COUNT(a));
	collect_all(f, b, COUNT(b));
	collect_all(f, asked, COUNT(asked));
	collect(f, &held);
	collect(f, &aside);
	assert_int_equal(counts_of(f).most_open, 8);
	assert_int_equal(counts_of(f).requests, 27);
	clear_all(a, COUNT(a));
	clear_all(b, COUNT(b));
	clear_all(asked, COUNT(asked));
	clear(&held);
	clear(&aside);
}

/* An endpoint that goes on and on, in a way that is no body and no header. */
struct babbler {
	int listener;
	pthread_t thread;
	char url[64];
};

static void *babble(void *arg)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
				   "chunked\r\n\r\n2;a=";
	const struct babbler *b = arg;
	int fd = accept(b->listener, NULL, NULL);
	char more[65536];
	ssize_t n;

	n = recv(fd, more, sizeof(more), 0);
	memset(more, 'b', sizeof(more));
	if (n > 0)
		n = send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL);
	while (n > 0)
		n = send(fd, more, sizeof(more), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static void babbler_start(struct babbler *b)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(b->listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(b->listener, 1), 0);
	assert_int_equal(
		getsockname(b->listener, (struct sockaddr *)&addr, &len), 0);
	snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%u/",
		 ntohs(addr.sin_port));
	assert_int_equal(pthread_create(&b->thread, NULL, babble, b), 0);
}

/* Long before its own time is over. */
static void test_what_is_given_up_does_not_hold_the_owner(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_HOLD);
	struct pool_call *call;
	struct babbler b;
	struct got got;

	babbler_start(&b);
	configure_url(f, b.url);
	settle(f);
	req.endpoint = b.url;
	req.timeout_ms = 10 * PATIENCE_MS;
	call = submit_request(f, &got, &req);
	assert_int_equal(pool_wait(f->pool, call, pool_now_us() + 20000),
			 -ETIMEDOUT);
	WAIT_UNTIL((pool_collect(f->pool), got.done));
	assert_int_equal(got.error, -ETIMEDOUT);
	assert_string_equal(got.text,
			    "given up: to read on would hold the broker");
	pthread_join(b.thread, NULL);
	close(b.listener);
	clear(&got);
}

static void hold_those_of_a(const struct http_request *req,
			    struct http_answer *ret, void *arg)
{
	(void)arg;
	ret->hold = strstr(req->text, "POST /a ") != NULL;
}

static void test_an_endpoint_that_hangs_is_in_nobodys_way(void **state)
{
	struct fixture *f = *state;
	const char *other = http_server_url(f->server, "/a");
	struct pool_endpoint_opts opts[] = { options(f->url), options(other) };
	struct got hanging[20];
	unsigned i;

	opts[0].max_connections = opts[1].max_connections = 4;
	opts[0].max_queue = opts[1].max_queue = 16;
	assert_int_equal(pool_configure(f->pool, opts, 2), 0);
	http_server_handle(f->server, hold_those_of_a, NULL);
	for (i = 0; i < COUNT(hanging); i++)
		submit_to(f, &hanging[i], other);
	assert_true(http_server_wait_held(f->server, 3));
	for (i = 0; i < 50; i++)
		call_ok(f);
	f->kind = POOL_HOLD;
	for (i = 0; i < 50; i++)
		call_ok(f);
	assert_int_equal(stats_of(f, other).in_flight, 3);
	pool_stop(f->pool, 0);
	clear_all(hanging, COUNT(hanging));
}

/* ---- the end ---- */

static void tell_in_lanes(struct fixture *f, struct got *got, size_t n)
{
	static const char *const lanes[] = { "joe", "ann", "eve" };
	struct pool_request req = request_of(f, POOL_TELL);
	size_t i;

	for (i = 0; i < n; i++) {
		req.lane = lanes[i % 3];
		req.lane_len = 3;
		req.stream = (unsigned)i % 2;
		submit_request(f, &got[i], &req);
	}
}

static void test_what_is_queued_is_delivered(void **state)
{
	const struct http_answer slow = { .delay_ms = 3 };
	struct fixture *f = *state;
	struct got got[30];
	size_t i;

	configure_queue(f, 2, 100, 1000);
	http_server_answer(f->server, &slow);
	tell_in_lanes(f, got, COUNT(got));
	pool_stop(f->pool, PATIENCE_MS);
	for (i = 0; i < COUNT(got); i++) {
		assert_true(got[i].done);
		assert_int_equal(got[i].error, 0);
		if (i >= 3)
			assert_true(got[i].order > got[i - 3].order);
	}
	assert_int_equal(counts_of(f).requests, COUNT(got));
	clear_all(got, COUNT(got));
}

static void test_retries_are_part_of_it(void **state)
{
	const struct http_answer busy = { .status = 503 };
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	struct got got;

	configure_url(f, f->url);
	http_server_push(f->server, &busy);
	req.retries = 1;
	submit_request(f, &got, &req);
	pool_stop(f->pool, PATIENCE_MS);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.status, 200);
	assert_int_equal(counts_of(f).requests, 2);
	clear(&got);
}

static void test_what_waits_for_the_breaker_is_too(void **state)
{
	const struct http_answer broken = { .status = 500 };
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got asked, got[3];
	size_t i;

	opts.breaker_failures = 1;
	opts.breaker_open_ms = 100;
	configure(f, &opts);
	http_server_push(f->server, &broken);
	call(f, &asked, f->url);
	assert_true(stats_of(f, f->url).open);
	tell_in_lanes(f, got, COUNT(got));
	pool_stop(f->pool, PATIENCE_MS);
	for (i = 0; i < COUNT(got); i++)
		assert_int_equal(got[i].error, 0);
	clear(&asked);
	clear_all(got, COUNT(got));
}

static void hold_questions(const struct http_request *req,
			   struct http_answer *ret, void *arg)
{
	(void)arg;
	ret->hold = req->body[0] == '?';
	ret->delay_ms = 100;
}

static struct pool_request question(struct fixture *f, enum pool_kind kind)
{
	struct pool_request req = request_of(f, kind);

	req.body = (char *)"?";
	req.len = 1;
	return req;
}

static void test_so_is_what_a_removed_endpoint_has(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = question(f, POOL_ASK);
	struct got got[4], asked;
	size_t i;

	configure_url(f, f->url);
	http_server_handle(f->server, hold_questions, NULL);
	tell_in_lanes(f, got, COUNT(got));
	submit_request(f, &asked, &req);
	assert_true(http_server_wait_held(f->server, 1));
	assert_int_equal(pool_configure(f->pool, NULL, 0), 0);
	pool_stop(f->pool, PATIENCE_MS);
	assert_int_equal(asked.error, -ECANCELED);
	for (i = 0; i < COUNT(got); i++)
		assert_int_equal(got[i].error, 0);
	clear_all(got, COUNT(got));
	clear(&asked);
}

static void test_who_is_waited_for_ends_first(void **state)
{
	static const enum pool_kind kinds[] = { POOL_ASK, POOL_HOLD, POOL_ASIDE,
						POOL_ASK, POOL_ASK };
	struct fixture *f = *state;
	struct pool_request req;
	struct got got[COUNT(kinds)], told;
	size_t i;

	configure_queue(f, 4, 100, 1000);
	wait_queued(f, f->url, 0); /* it is there */
	http_server_handle(f->server, hold_questions, NULL);
	for (i = 0; i < COUNT(kinds); i++) {
		req = question(f, kinds[i]);
		submit_request(f, &got[i], &req);
	}
	/* the last one has to wait for a connection */
	assert_true(http_server_wait_held(f->server, 3));
	wait_queued(f, f->url, 1);
	tell(f, &told, 0, 1); /* and this one, too */
	pool_stop(f->pool, PATIENCE_MS);
	for (i = 0; i < COUNT(kinds); i++) {
		assert_int_equal(got[i].error, -ECANCELED);
		assert_true(got[i].order < told.order);
	}
	assert_int_equal(told.error, 0);
	clear_all(got, COUNT(got));
	clear(&told);
}

static void test_at_the_limit_exactly_the_rest_is_given_up(void **state)
{
	static const struct http_answer held = { .hold = true }, plain = { 0 };
	struct fixture *f = *state;
	struct got got[7];
	int64_t before;
	size_t i;

	configure_queue(f, 1, 100, 1000);
	for (i = 0; i < 3; i++)
		http_server_push(f->server, &plain);
	http_server_answer(f->server, &held);
	for (i = 0; i < COUNT(got); i++)
		tell(f, &got[i], 0, 1);
	assert_true(http_server_wait_held(f->server, 1)); /* the fourth */
	before = pool_now_ms();
	pool_stop(f->pool, 200);
	assert_in_range(pool_now_ms() - before, 200, PATIENCE_MS);
	for (i = 0; i < COUNT(got); i++) {
		assert_true(got[i].done);
		assert_int_equal(got[i].error, i < 3 ? 0 : -ECANCELED);
	}
	assert_int_equal(counts_of(f).requests, 4);
	clear_all(got, COUNT(got));
}

/* In a lane, ready, resting and sent alike. */
static void test_without_any_time_nothing_is_waited_for(void **state)
{
	static const struct http_answer busy = {
		.status = 503, .headers = "Retry-After: 30\r\n"
	};
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	struct got rests, got[6];
	size_t i;

	configure_queue(f, 1, 100, 1000);
	http_server_push(f->server, &busy);
	hold_answers(f);
	req.retries = 1;
	req.max_age_ms = 60000;
	submit_request(f, &rests, &req);
	wait_queued(f, f->url, 1);
	tell_in_lanes(f, got, COUNT(got));
	assert_true(http_server_wait_held(f->server, 1));
	pool_stop(f->pool, 0);
	assert_int_equal(rests.error, -ECANCELED);
	for (i = 0; i < COUNT(got); i++)
		assert_int_equal(got[i].error, -ECANCELED);
	assert_int_equal(counts_of(f).requests, 2);
	clear(&rests);
	clear_all(got, COUNT(got));
}

static void test_nothing_to_deliver_takes_no_time(void **state)
{
	struct fixture *f = *state;
	int64_t before;

	configure_url(f, f->url);
	call_ok(f);
	before = pool_now_ms();
	pool_stop(f->pool, 60000);
	assert_in_range(pool_now_ms() - before, 0, PATIENCE_MS);
}

struct last_words {
	struct fixture *f;
	struct got got;
	int error;
	bool done;
};

static void submit_once_more(const struct pool_reply *r, void *arg)
{
	struct last_words *w = arg;

	assert_int_equal(r->error, 0);
	w->done = true;
	w->error = submit_any(w->f, &w->got, w->f->url, "{}", "joe",
			      PATIENCE_MS, NULL);
}

static void test_a_done_at_the_end_submits_nothing(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	struct last_words w = { .f = f };

	configure_url(f, f->url);
	assert_int_equal(pool_submit(f->pool, &req, submit_once_more, &w, NULL),
			 0);
	pool_stop(f->pool, PATIENCE_MS);
	assert_true(w.done);
	assert_int_equal(w.error, -ESHUTDOWN);
	assert_false(w.got.done);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)
#define TEST_UNSTARTED(name)                                                   \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_full_for_one_stream_is_not_for_another),
		TEST(test_full_by_bytes),
		TEST(test_without_a_queue_who_may_go_is_sent),
		TEST(test_who_is_not_known_is_not_full),
		TEST(test_the_newest_is_refused_by_count),
		TEST(test_the_newest_is_refused_by_bytes),
		TEST_UNSTARTED(test_more_bytes_than_the_box_may_hold),
		TEST_UNSTARTED(test_many_small_ones_fill_it),
		TEST(test_calls_that_hang_leave_room_for_the_others),
		TEST(test_what_is_given_up_does_not_hold_the_owner),
		TEST(test_an_endpoint_that_hangs_is_in_nobodys_way),
		TEST(test_what_is_queued_is_delivered),
		TEST(test_retries_are_part_of_it),
		TEST(test_what_waits_for_the_breaker_is_too),
		TEST(test_so_is_what_a_removed_endpoint_has),
		TEST(test_who_is_waited_for_ends_first),
		TEST(test_at_the_limit_exactly_the_rest_is_given_up),
		TEST(test_without_any_time_nothing_is_waited_for),
		TEST(test_nothing_to_deliver_takes_no_time),
		TEST(test_a_done_at_the_end_submits_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
