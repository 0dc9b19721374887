/*
 * test_pool_race.c - pool/pool.h: the server closes a kept connection after
 * the last look at it and before the request arrives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "pool/pool.h"
#include "test/unit/http_server.h"
#include "test/unit/pool_fixture.h"

/*
 * The look is multi_claim()'s recv(), which alone has these flags: here is
 * what happens right after one that found nothing.
 */
enum trick {
	NOTHING = 0,
	CLOSE,
	RESET,
	CLOSE_EARLY, /* before the look, which finds it */
};

static struct {
	struct http_server *server;
	_Atomic(enum trick) trick;
	atomic_uint looks, left; /* of `left` looks each has the trick */
} race;

typedef ssize_t recv_fn(int, void *, size_t, int);

/* Not only sent: here. */
static void await_end(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };

	poll(&p, 1, PATIENCE_MS);
}

static void play_trick(int fd, bool before)
{
	enum trick trick = race.trick;

	if (!race.left || before != (trick == CLOSE_EARLY))
		return;
	race.left--;
	http_server_close_idle(race.server, trick == RESET);
	await_end(fd);
}

/* In place of libc's. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *buf,
						    size_t len, int flags)
{
	recv_fn *real;
	ssize_t n;

	*(void **)&real = dlsym(RTLD_NEXT, "recv");
	if (flags != (MSG_PEEK | MSG_DONTWAIT))
		return real(fd, buf, len, flags);
	race.looks++;
	if (race.trick == CLOSE_EARLY)
		play_trick(fd, true);
	n = real(fd, buf, len, flags);
	if (n < 0 && errno == EAGAIN) {
		play_trick(fd, false);
		errno = EAGAIN;
	}
	return n;
}

/* One connection of f->kind rests, and the next `times` looks have the trick. */
static void prepare(struct fixture *f, enum trick trick, unsigned times)
{
	race.server = f->server;
	race.left = 0;
	race.looks = 0;
	configure_url(f, f->url);
	settle(f);
	call_ok(f);
	race.trick = trick;
	race.left = times;
}

static const enum pool_kind kinds[] = { POOL_TELL, POOL_ASK, POOL_HOLD,
					POOL_ASIDE };

static void expect_ok(struct fixture *f, const struct pool_request *req)
{
	struct got got;

	submit_request(f, &got, req);
	collect(f, &got);
	assert_string_equal(got.text, "");
	assert_int_equal(got.status, 200);
	clear(&got);
}

static void expect_eio(struct fixture *f, const struct pool_request *req)
{
	struct got got;

	submit_request(f, &got, req);
	collect(f, &got);
	assert_int_equal(got.error, -EIO);
	clear(&got);
}

/* ---- closed before it arrived ---- */

static void test_closed_in_time_costs_a_reconnect(void **state)
{
	struct fixture *f = *state;
	struct pool_request req;
	size_t i;

	for (i = 0; i < COUNT(kinds); i++) {
		unsigned requests = counts_of(f).requests;
		unsigned opened = counts_of(f).opened;

		f->kind = kinds[i];
		prepare(f, CLOSE, 1);
		req = request_of(f, kinds[i]);
		req.body = (char *)"{\"a\":1}";
		req.len = 7;
		expect_ok(f, &req);
		assert_int_equal(race.left, 0); /* it was played */
		/* one of prepare()'s and this one, once, whole */
		assert_int_equal(counts_of(f).requests, requests + 2);
		assert_string_equal(
			http_server_request(f->server, requests + 1)->body,
			"{\"a\":1}");
		assert_int_equal(
			http_server_request(f->server, requests + 1)->nth, 0);
		assert_true(counts_of(f).opened > opened);
	}
	assert_int_equal(stats_of(f, f->url).failed, 0);
	assert_int_equal(stats_of(f, f->url).retries, 0);
	assert_int_equal(stats_of(f, f->url).ok, 2 * COUNT(kinds));
	assert_int_equal(stats_of(f, f->url).sent, 2 * COUNT(kinds));
}

/* More than a socket takes at once, so that it goes out in parts. */
static void test_nor_does_a_long_body_matter(void **state)
{
	struct fixture *f = *state;
	size_t len = (size_t)3 << 20, i;
	struct pool_request req = request_of(f, POOL_TELL);
	char *body = malloc(len);

	assert_non_null(body);
	memset(body, 'x', len);
	req.body = body;
	req.len = len;
	for (i = 0; i < 5; i++) {
		prepare(f, CLOSE, 1);
		expect_ok(f, &req);
		assert_int_equal(race.left, 0);
	}
	assert_int_equal(counts_of(f).requests, 10);
	assert_int_equal(http_server_request(f->server, 9)->body_len, len);
	free(body);
}

static void test_every_kept_connection_may_be_so(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);
	struct got got[5];
	size_t i;

	race.server = f->server;
	race.left = 0;
	configure_url(f, f->url);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		submit(f, &got[i]);
	assert_true(http_server_wait_held(f->server, COUNT(got)));
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	clear_all(got, COUNT(got));
	race.trick = CLOSE;
	race.left = COUNT(got);
	for (i = 0; i < COUNT(got); i++)
		submit_request(f, &got[i], &req);
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(got); i++)
		assert_string_equal(got[i].text, "");
	race.left = 0;
	assert_int_equal(counts_of(f).requests, 2 * COUNT(got));
	clear_all(got, COUNT(got));
}

static void test_its_lane_keeps_its_order(void **state)
{
	struct fixture *f = *state;
	struct got got[4];
	size_t i;

	prepare(f, CLOSE, 3);
	for (i = 0; i < COUNT(got); i++) {
		const char body[] = { (char)('0' + i), '\0' };

		submit_in_lane(f, &got[i], "joe", body);
	}
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(got); i++) {
		assert_int_equal(got[i].error, 0);
		assert_int_equal(http_server_request(f->server, 1 + (unsigned)i)
					 ->body[0],
				 (char)('0' + i));
	}
	assert_int_equal(counts_of(f).requests, 1 + COUNT(got));
	clear_all(got, COUNT(got));
}

static void test_found_in_time_costs_a_reconnect_too(void **state)
{
	struct fixture *f = *state;
	struct pool_request req;
	size_t i;

	for (i = 0; i < COUNT(kinds); i++) {
		f->kind = kinds[i];
		prepare(f, CLOSE_EARLY, 1);
		req = request_of(f, kinds[i]);
		expect_ok(f, &req);
		assert_int_equal(race.left, 0);
	}
	assert_int_equal(counts_of(f).requests, 2 * COUNT(kinds));
	assert_int_equal(stats_of(f, f->url).failed, 0);
}

/* A server that times connections out tells so, perhaps, before it closes. */
static void test_what_was_said_before_is_no_answer(void **state)
{
	struct fixture *f = *state;
	struct got got;

	prepare(f, NOTHING, 0);
	http_server_babble(f->server, "HTTP/1.1 408 Request Timeout\r\n"
				      "Content-Length: 0\r\n"
				      "Connection: close\r\n\r\n");
	http_server_close_idle(f->server, false);
	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.status, 200);
	assert_int_equal(counts_of(f).requests, 2);
	clear(&got);
}

/* ---- taken, and then closed ---- */

static void test_taken_and_then_ended_is_an_error(void **state)
{
	static const struct http_answer ends[] = { { .drop = true },
						   { .reset = true } };
	struct fixture *f = *state;
	struct pool_request req;
	size_t i, k;

	for (i = 0; i < COUNT(kinds); i++) {
		for (k = 0; k < COUNT(ends); k++) {
			unsigned requests = counts_of(f).requests;

			f->kind = kinds[i];
			prepare(f, NOTHING, 0);
			http_server_push(f->server, &ends[k]);
			req = request_of(f, kinds[i]);
			req.retries = 3;
			expect_eio(f, &req);
			assert_int_equal(race.looks, 1);
			/* read once, and not repeated */
			assert_int_equal(counts_of(f).requests, requests + 2);
		}
	}
	assert_int_equal(stats_of(f, f->url).retries, 0);
}

/* After part of an answer there is no doubt. */
static void test_taken_and_half_answered_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_TELL);

	req.retries = 3;
	prepare(f, NOTHING, 0);
	push_raw(f, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1", true);
	expect_eio(f, &req);
	assert_int_equal(counts_of(f).requests, 2);
}

/* A reset alone does not tell whether the request was taken before it. */
static void test_a_reset_in_time_is_not_repeated(void **state)
{
	struct fixture *f = *state;
	struct pool_request req = request_of(f, POOL_ASK);
	struct got got;

	prepare(f, RESET, 1);
	submit_request(f, &got, &req);
	collect(f, &got);
	assert_int_equal(race.left, 0);
	assert_int_equal(got.error, -EIO);
	assert_int_equal(counts_of(f).requests, 1);
	clear(&got);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_closed_in_time_costs_a_reconnect),
		TEST(test_nor_does_a_long_body_matter),
		TEST(test_every_kept_connection_may_be_so),
		TEST(test_its_lane_keeps_its_order),
		TEST(test_found_in_time_costs_a_reconnect_too),
		TEST(test_what_was_said_before_is_no_answer),
		TEST(test_taken_and_then_ended_is_an_error),
		TEST(test_taken_and_half_answered_is_an_error),
		TEST(test_a_reset_in_time_is_not_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
