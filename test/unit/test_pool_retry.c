/* test_pool_retry.c - pool/pool.h: what is sent again, and what is not */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "pool/pool.h"
#include "test/unit/http_server.h"
#include "test/unit/pool_fixture.h"

/* The first rest is half of this at least, the second twice as long. */
#define FIRST_REST_MS 500

/*
 * Each call has a body of one letter, and its own answers, one for each
 * attempt; the last stands for all that follow.
 */
#define PLANS    16
#define ATTEMPTS 4

struct plan {
	struct http_answer answers[ATTEMPTS];
	unsigned n;
	atomic_uint asked; /* so often */
};

static struct plan plans[PLANS];

static void answer_as_planned(const struct http_request *req,
			      struct http_answer *ret, void *arg)
{
	struct plan *plan = &plans[req->body[0] - 'a'];
	unsigned i = atomic_fetch_add(&plan->asked, 1);

	(void)arg;
	*ret = plan->answers[i < plan->n ? i : plan->n - 1];
}

static void begin(struct fixture *f)
{
	memset(plans, 0, sizeof(plans));
	configure_url(f, f->url);
	http_server_handle(f->server, answer_as_planned, NULL);
}

static void plan(unsigned which, struct http_answer answer)
{
	plans[which].answers[plans[which].n++] = answer;
}

static void plan_status(unsigned which, int status)
{
	plan(which, (struct http_answer){ .status = status });
}

static void plan_retry_after(unsigned which, int status, const char *header)
{
	plan(which,
	     (struct http_answer){ .status = status, .headers = header });
}

static struct pool_request request_for(struct fixture *f, unsigned which,
				       enum pool_kind kind, uint32_t retries)
{
	static char letters[PLANS] = "abcdefghijklmnop";
	struct pool_request req = request_of(f, kind);

	req.body = &letters[which];
	req.len = 1;
	req.retries = retries;
	return req;
}

static void tell(struct fixture *f, struct got *got, unsigned which,
		 uint32_t retries)
{
	struct pool_request req = request_for(f, which, POOL_TELL, retries);

	submit_request(f, got, &req);
}

static void tell_within(struct fixture *f, struct got *got, unsigned which,
			uint32_t max_age_ms)
{
	struct pool_request req = request_for(f, which, POOL_TELL, 3);

	req.max_age_ms = max_age_ms;
	submit_request(f, got, &req);
}

static void expect_end(const struct got *got, int error, long status)
{
	assert_true(got->done);
	assert_int_equal(got->error, error);
	assert_int_equal(got->status, status);
}

/* ---- which ---- */

static void test_what_cannot_have_been_processed_is_sent_again(void **state)
{
	static const int statuses[] = { 429, 502, 503, 504 };
	struct fixture *f = *state;
	struct got got[COUNT(statuses)];
	unsigned i;

	begin(f);
	for (i = 0; i < COUNT(statuses); i++) {
		plan_status(i, statuses[i]);
		plan_status(i, 200);
		tell(f, &got[i], i, 1);
	}
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(got); i++) {
		expect_end(&got[i], 0, 200);
		assert_int_equal(plans[i].asked, 2);
		assert_true(got[i].elapsed_ms >= FIRST_REST_MS / 2);
	}
	assert_int_equal(stats_of(f, f->url).sent, 2 * COUNT(got));
	assert_int_equal(stats_of(f, f->url).retries, COUNT(got));
	/* calls are counted by how they ended */
	assert_int_equal(stats_of(f, f->url).ok, COUNT(got));
	assert_int_equal(stats_of(f, f->url).failed, 0);
	clear_all(got, COUNT(got));
}

static void test_what_may_have_been_processed_is_not(void **state)
{
	static const struct {
		struct http_answer answer;
		int error;
	} ends[] = {
		{ { .status = 500 }, 0 },
		{ { .status = 501 }, 0 },
		{ { .status = 505 }, 0 },
		{ { .status = 400 }, 0 },
		{ { .status = 404 }, 0 },
		{ { .status = 410 }, 0 },
		{ { .status = 302 }, 0 },
		{ { .status = 200, .body = { "{", 1 } }, 0 },
		{ { .reset = true }, -EIO },
		{ { .drop = true }, -EIO },
		{ { .has_raw = true,
		    .raw = { "HTTP/1.1 503 No\r\nA", 18 },
		    .close_silently = true },
		  -EIO },
		{ { .hold = true }, -ETIMEDOUT },
	};
	struct fixture *f = *state;
	struct got got[COUNT(ends)];
	struct pool_request req;
	unsigned i;

	begin(f);
	for (i = 0; i < COUNT(ends); i++) {
		plan(i, ends[i].answer);
		req = request_for(f, i, POOL_TELL, 3);
		if (ends[i].error == -ETIMEDOUT)
			req.timeout_ms = 50;
		submit_request(f, &got[i], &req);
	}
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(ends); i++) {
		expect_end(&got[i], ends[i].error,
			   ends[i].error ? 0 : ends[i].answer.status);
		assert_int_equal(plans[i].asked, 1);
	}
	assert_int_equal(stats_of(f, f->url).retries, 0);
	assert_int_equal(stats_of(f, f->url).queued, 0);
	clear_all(got, COUNT(got));
}

static void test_without_a_connection_it_is_sent_again(void **state)
{
	struct fixture *f = *state;
	struct got once, twice;

	f->url = "http://127.0.0.1:1/";
	configure_url(f, f->url);
	tell(f, &twice, 0, 1);
	tell(f, &once, 0, 0);
	collect(f, &once);
	assert_false(twice.done);
	collect(f, &twice);
	expect_end(&once, -ECONNREFUSED, 0);
	expect_end(&twice, -ECONNREFUSED, 0);
	assert_true(twice.elapsed_ms >= FIRST_REST_MS / 2);
	assert_int_equal(stats_of(f, f->url).sent, 3);
	assert_int_equal(stats_of(f, f->url).retries, 1);
	clear(&once);
	clear(&twice);
}

static void test_what_somebody_waits_for_is_not(void **state)
{
	static const enum pool_kind kinds[] = { POOL_ASK, POOL_HOLD,
						POOL_ASIDE };
	struct fixture *f = *state;
	struct pool_request req;
	struct got got[COUNT(kinds)];
	unsigned i;

	begin(f);
	for (i = 0; i < COUNT(kinds); i++) {
		plan_status(i, 503);
		req = request_for(f, i, kinds[i], 3);
		submit_request(f, &got[i], &req);
	}
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(kinds); i++) {
		expect_end(&got[i], 0, 503);
		assert_int_equal(plans[i].asked, 1);
	}
	clear_all(got, COUNT(got));
}

static void test_gone_ends_it(void **state)
{
	struct fixture *f = *state;
	struct got got;

	begin(f);
	plan_status(0, 503);
	plan_status(0, 410);
	tell(f, &got, 0, 3);
	collect(f, &got);
	expect_end(&got, 0, 410);
	assert_int_equal(plans[0].asked, 2);
	clear(&got);
}

/* ---- how often, and when ---- */

static void test_as_often_as_it_has_retries(void **state)
{
	struct fixture *f = *state;
	struct got got[3];
	unsigned i;

	begin(f);
	for (i = 0; i < COUNT(got); i++) {
		plan(i, (struct http_answer){ .status = 503,
					      .body = bytes("busy") });
		tell(f, &got[i], i, i);
	}
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(got); i++) {
		/* with its last reply */
		expect_end(&got[i], 0, 503);
		assert_string_equal(got[i].body, "busy");
		assert_int_equal(plans[i].asked, 1 + i);
	}
	/* longer each time */
	assert_true(got[0].order < got[1].order);
	assert_true(got[1].elapsed_ms >= FIRST_REST_MS / 2);
	assert_true(got[2].elapsed_ms >= FIRST_REST_MS / 2 + FIRST_REST_MS);
	clear_all(got, COUNT(got));
}

/* A reply before says nothing of those after it. */
static void test_only_the_last_reply_counts(void **state)
{
	const struct http_answer first = {
		.status = 503,
		.headers = "Cache-Control: max-age=60\r\nAge: 7\r\n",
		.body = bytes("a long reply that is none"),
	};
	struct fixture *f = *state;
	struct got got;

	begin(f);
	plan(0, first);
	plan(0, (struct http_answer){ .body = bytes("{}") });
	tell(f, &got, 0, 1);
	collect(f, &got);
	expect_end(&got, 0, 200);
	assert_string_equal(got.body, "{}");
	assert_null(got.cache_control);
	assert_int_equal(got.age_s, 0);
	clear(&got);
}

static void test_each_attempt_has_its_own_time(void **state)
{
	struct fixture *f = *state;
	struct pool_request req;
	struct got got;

	begin(f);
	plan(0, (struct http_answer){ .status = 503, .delay_ms = 100 });
	plan(0, (struct http_answer){ .status = 200, .delay_ms = 100 });
	req = request_for(f, 0, POOL_TELL, 1);
	req.timeout_ms = 2000; /* less than both with the rest need not be */
	submit_request(f, &got, &req);
	collect(f, &got);
	expect_end(&got, 0, 200);
	clear(&got);
	/* and no more than that */
	plan(1, (struct http_answer){ .status = 503 });
	plan(1, (struct http_answer){ .hold = true });
	req = request_for(f, 1, POOL_TELL, 3);
	req.timeout_ms = 100;
	submit_request(f, &got, &req);
	collect(f, &got);
	expect_end(&got, -ETIMEDOUT, 0);
	assert_int_equal(plans[1].asked, 2);
	clear(&got);
}

/* ---- Retry-After ---- */

static void test_retry_after_is_honoured(void **state)
{
	struct fixture *f = *state;
	struct got seconds, date;
	char header[64];
	time_t then = time(NULL) + 3;
	struct tm tm;

	begin(f);
	plan_retry_after(0, 503, "Retry-After: 1\r\n");
	plan_status(0, 200);
	gmtime_r(&then, &tm);
	strftime(header, sizeof(header),
		 "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	plan_retry_after(1, 429, header);
	plan_status(1, 200);
	tell(f, &seconds, 0, 1);
	tell(f, &date, 1, 1);
	collect(f, &seconds);
	collect(f, &date);
	expect_end(&seconds, 0, 200);
	expect_end(&date, 0, 200);
	assert_true(seconds.elapsed_ms >= 1000);
	/* not before it, but for the second that is not whole */
	assert_true(time(NULL) >= then - 1);
	assert_true(date.elapsed_ms >= 1000);
	clear(&seconds);
	clear(&date);
}

/* The most it may ask for is 60 s: in that time this call would just not be
 * too old, and that one just would. */
static void test_retry_after_is_capped(void **state)
{
	static const char *const headers[] = {
		"Retry-After: 60\r\n",
		"Retry-After: 61\r\n",
		"Retry-After: 4294967297\r\n",
		"Retry-After: Fri, 31 Dec 2099 23:59:59 GMT\r\n",
	};
	struct fixture *f = *state;
	struct got old[COUNT(headers)], young[COUNT(headers)];
	unsigned i, n = COUNT(headers);

	begin(f);
	for (i = 0; i < n; i++) {
		plan_retry_after(2 * i, 503, headers[i]);
		plan_retry_after(2 * i + 1, 503, headers[i]);
		tell_within(f, &old[i], 2 * i, 59000);
		tell_within(f, &young[i], 2 * i + 1, 69000);
	}
	collect_all(f, old, n);
	for (i = 0; i < n; i++)
		expect_end(&old[i], 0, 503);
	wait_queued(f, f->url, n);
	/* longer than any rest of its own */
	let_pass(FIRST_REST_MS + 100);
	assert_int_equal(stats_of(f, f->url).sent, 2 * n);
	pool_stop(f->pool, 0);
	for (i = 0; i < n; i++)
		expect_end(&young[i], -ECANCELED, 0);
	clear_all(old, n);
	clear_all(young, n);
}

static void test_retry_after_that_says_nothing(void **state)
{
	static const char *const headers[] = {
		"Retry-After: soon\r\n",
		"Retry-After: -5\r\n",
		"Retry-After: 0\r\n",
		"Retry-After:\r\n",
		"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n",
	};
	struct fixture *f = *state;
	struct got got[COUNT(headers)];
	unsigned i;

	begin(f);
	for (i = 0; i < COUNT(headers); i++) {
		plan_retry_after(i, 503, headers[i]);
		plan_status(i, 200);
		tell(f, &got[i], i, 1);
	}
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(headers); i++) {
		expect_end(&got[i], 0, 200);
		assert_true(got[i].elapsed_ms >= FIRST_REST_MS / 2);
	}
	clear_all(got, COUNT(got));
}

/* Neither that of the call before, on the same handle, nor that of an
 * attempt before. */
static void test_retry_after_counts_once(void **state)
{
	struct fixture *f = *state;
	struct got got;

	begin(f);
	plan_retry_after(0, 503, "Retry-After: 3600\r\n");
	tell_within(f, &got, 0, 5000);
	collect(f, &got);
	expect_end(&got, 0, 503);
	clear(&got);
	plan_retry_after(1, 503, "Retry-After: 1\r\n");
	plan_status(1, 503);
	plan_status(1, 200);
	tell(f, &got, 1, 2);
	collect(f, &got);
	expect_end(&got, 0, 200);
	assert_true(got.elapsed_ms >= 1000 + FIRST_REST_MS);
	clear(&got);
}

/* ---- age ---- */

static void test_a_retry_that_comes_too_late_is_none(void **state)
{
	struct fixture *f = *state;
	struct got got;

	begin(f);
	plan(0, (struct http_answer){ .status = 503, .body = bytes("busy") });
	tell_within(f, &got, 0, FIRST_REST_MS / 2);
	collect(f, &got);
	/* with its last reply, at once */
	expect_end(&got, 0, 503);
	assert_string_equal(got.body, "busy");
	assert_int_equal(plans[0].asked, 1);
	assert_int_equal(stats_of(f, f->url).expired, 0);
	clear(&got);
}

static void test_too_old_in_its_lane(void **state)
{
	struct fixture *f = *state;
	struct pool_request req;
	struct got first, second, third;

	begin(f);
	plan(0, (struct http_answer){ .hold = true });
	plan_status(2, 200);
	req = request_for(f, 0, POOL_TELL, 0);
	req.lane = "joe";
	req.lane_len = 3;
	submit_request(f, &first, &req);
	req.max_age_ms = 30;
	submit_request(f, &second, &req);
	req.body = (char *)"c";
	req.max_age_ms = PATIENCE_MS;
	submit_request(f, &third, &req);
	collect(f, &second);
	expect_end(&second, -ETIME, 0);
	assert_non_null(strstr(second.text, "30 ms"));
	assert_false(first.done);
	assert_int_equal(stats_of(f, f->url).expired, 1);
	assert_true(http_server_wait_held(f->server, 1));
	http_server_release(f->server);
	collect(f, &first);
	collect(f, &third);
	expect_end(&first, 0, 200);
	expect_end(&third, 0, 200);
	assert_int_equal(plans[0].asked, 1);
	clear(&first);
	clear(&second);
	clear(&third);
}

static void test_too_old_without_a_connection(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got first, second;

	begin(f);
	opts.max_connections = 1;
	configure(f, &opts);
	plan(0, (struct http_answer){ .hold = true });
	tell(f, &first, 0, 0);
	tell_within(f, &second, 1, 30);
	collect(f, &second);
	expect_end(&second, -ETIME, 0);
	assert_int_equal(stats_of(f, f->url).queued, 0);
	assert_true(http_server_wait_held(f->server, 1));
	http_server_release(f->server);
	collect(f, &first);
	expect_end(&first, 0, 200);
	assert_int_equal(plans[1].asked, 0);
	clear(&first);
	clear(&second);
}

/* What waits for the breaker after an attempt waits as long, not longer. */
static void test_too_old_after_an_attempt(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got;

	begin(f);
	opts.breaker_failures = 1;
	opts.breaker_open_ms = 60000;
	configure(f, &opts);
	plan_status(0, 503);
	tell_within(f, &got, 0, 200);
	collect(f, &got);
	expect_end(&got, -ETIME, 0);
	assert_true(got.elapsed_ms >= 200);
	assert_int_equal(plans[0].asked, 1);
	clear(&got);
}

/* That bounds the waiting, not what is sent. */
static void test_once_it_is_sent_age_is_no_matter(void **state)
{
	struct fixture *f = *state;
	struct got got;

	begin(f);
	plan(0, (struct http_answer){ .delay_ms = 150 });
	tell_within(f, &got, 0, 50);
	collect(f, &got);
	expect_end(&got, 0, 200);
	clear(&got);
}

/* ---- meanwhile ---- */

static void test_its_lane_waits_and_others_do_not(void **state)
{
	struct fixture *f = *state;
	struct pool_request req;
	struct got first, second, other;

	begin(f);
	plan_status(0, 503);
	plan_status(0, 200);
	plan_status(1, 200);
	plan_status(2, 200);
	req = request_for(f, 0, POOL_TELL, 1);
	req.lane = "joe";
	req.lane_len = 3;
	submit_request(f, &first, &req);
	req.body = (char *)"b";
	submit_request(f, &second, &req);
	req.body = (char *)"c";
	req.lane = "ann";
	submit_request(f, &other, &req);
	collect(f, &first);
	collect(f, &second);
	collect(f, &other);
	assert_int_equal(other.order, 0);
	assert_int_equal(first.order, 1);
	assert_int_equal(second.order, 2);
	expect_end(&first, 0, 200);
	expect_end(&second, 0, 200);
	clear(&first);
	clear(&second);
	clear(&other);
}

static void test_it_needs_no_connection_while_it_rests(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got rests, other;

	begin(f);
	opts.max_connections = 1;
	configure(f, &opts);
	plan_retry_after(0, 503, "Retry-After: 30\r\n");
	plan_status(1, 200);
	tell_within(f, &rests, 0, 60000);
	tell(f, &other, 1, 0);
	collect(f, &other);
	expect_end(&other, 0, 200);
	/* and counts among those that wait */
	wait_queued(f, f->url, 1);
	assert_int_equal(stats_of(f, f->url).queued_bytes, 1);
	assert_int_equal(stats_of(f, f->url).in_flight, 0);
	pool_stop(f->pool, 0);
	expect_end(&rests, -ECANCELED, 0);
	clear(&rests);
	clear(&other);
}

/* ---- headers ---- */

static void test_headers_are_those_of_the_call_in_order(void **state)
{
	static const char *const headers[] = {
		"vernemq-hook: on_publish",
		"webhook-id: 1234-1",
		"webhook-timestamp: 1700000000",
		"webhook-epoch: 5",
		"webhook-sequence: 6",
		"x-six: ",
		"x-seven: a: b",
		"x-eight: \xc3\xbc",
	};
	struct fixture *f = *state;
	const struct http_request *req;
	struct pool_request r;
	struct got got;
	const char *at, *before = NULL;
	unsigned i, n;

	begin(f);
	plan_status(0, 200);
	r = request_for(f, 0, POOL_ASK, 0);
	r.headers = headers;
	assert_true(COUNT(headers) <= POOL_HEADERS_MAX);
	for (n = COUNT(headers) + 1; n-- > 0;) {
		r.headers_count = n;
		submit_request(f, &got, &r);
		collect(f, &got);
		expect_end(&got, 0, 200);
		clear(&got);
		req = http_server_request(f->server, COUNT(headers) - n);
		before = strstr(req->text, "Content-Type: application/json");
		assert_non_null(before);
		for (i = 0; i < COUNT(headers); i++) {
			/* libcurl takes one without a value for none */
			if (i == 5)
				continue;
			at = strstr(req->text, headers[i]);
			if (i >= n) {
				assert_null(at);
				continue;
			}
			assert_true(at > before);
			before = at;
		}
	}
}

/* So that a receiver can tell a repetition from another event. */
static void test_headers_are_the_same_at_each_attempt(void **state)
{
	static const char *const headers[] = { "vernemq-hook: on_publish",
					       "webhook-id: 77-1",
					       "webhook-timestamp: 99" };
	struct fixture *f = *state;
	struct pool_request req;
	struct got got;

	begin(f);
	plan_status(0, 503);
	plan_status(0, 200);
	req = request_for(f, 0, POOL_TELL, 1);
	req.headers = headers;
	req.headers_count = 3;
	submit_request(f, &got, &req);
	collect(f, &got);
	expect_end(&got, 0, 200);
	assert_int_equal(http_server_request(f->server, 0)->len,
			 http_server_request(f->server, 1)->len);
	assert_string_equal(http_server_request(f->server, 0)->text,
			    http_server_request(f->server, 1)->text);
	expect_header(http_server_request(f->server, 1), "webhook-id", "77-1");
	clear(&got);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_cannot_have_been_processed_is_sent_again),
		TEST(test_what_may_have_been_processed_is_not),
		TEST(test_without_a_connection_it_is_sent_again),
		TEST(test_what_somebody_waits_for_is_not),
		TEST(test_gone_ends_it),
		TEST(test_as_often_as_it_has_retries),
		TEST(test_only_the_last_reply_counts),
		TEST(test_each_attempt_has_its_own_time),
		TEST(test_retry_after_is_honoured),
		TEST(test_retry_after_is_capped),
		TEST(test_retry_after_that_says_nothing),
		TEST(test_retry_after_counts_once),
		TEST(test_a_retry_that_comes_too_late_is_none),
		TEST(test_too_old_in_its_lane),
		TEST(test_too_old_without_a_connection),
		TEST(test_too_old_after_an_attempt),
		TEST(test_once_it_is_sent_age_is_no_matter),
		TEST(test_its_lane_waits_and_others_do_not),
		TEST(test_it_needs_no_connection_while_it_rests),
		TEST(test_headers_are_those_of_the_call_in_order),
		TEST(test_headers_are_the_same_at_each_attempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
