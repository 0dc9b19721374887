#include "test/unit/pool_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "test/unit/pool_opts.h"

static void wake_up(void *arg)
{
	struct fixture *f = arg;
	uint64_t one = 1;

	atomic_fetch_add(&f->wakes, 1);
	if (write(f->wake_fd, &one, sizeof(one)) < 0)
		abort();
}

int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->kind = POOL_ASK;
	f->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->server = http_server_start();
	f->url = http_server_url(f->server, "/hook");
	if (pool_create(&f->pool, wake_up, f))
		return -1;
	*state = f;
	return 0;
}

int set_up_started(void **state)
{
	struct fixture *f;

	if (set_up(state))
		return -1;
	f = *state;
	return pool_start(f->pool);
}

int tear_down(void **state)
{
	struct fixture *f = *state;

	pool_destroy(f->pool);
	http_server_stop(f->server);
	close(f->wake_fd);
	free(f);
	return 0;
}

struct pool_endpoint_opts options(const char *url)
{
	return ample_opts(url);
}

void configure(struct fixture *f, const struct pool_endpoint_opts *opts)
{
	assert_int_equal(pool_configure(f->pool, opts, 1), 0);
}

void configure_url(struct fixture *f, const char *url)
{
	struct pool_endpoint_opts opts = options(url);

	configure(f, &opts);
}

struct echo {
	struct mail there; /* first */
	struct mail back;
	struct pool *pool;
};

static void return_echo(struct mail *self)
{
	struct echo *echo = (struct echo *)self;

	mailbox_reply(pool_owner_box(echo->pool), &echo->back);
}

void settle(struct fixture *f)
{
	struct echo echo = { .there.receive = return_echo, .pool = f->pool };

	assert_int_equal(mailbox_reply(pool_loop_box(f->pool), &echo.there), 0);
	assert_int_equal(mailbox_take(pool_owner_box(f->pool), &echo.back,
				      pool_now_us() + PATIENCE_MS * 1000LL),
			 0);
}

struct arrival {
	struct mail mail; /* first */
	sem_t there;
};

static void arrive(struct mail *mail)
{
	sem_post(&((struct arrival *)mail)->there);
}

bool let_it_follow(struct fixture *f)
{
	struct arrival a = { .mail.receive = arrive };
	bool ok;

	sem_init(&a.there, 0, 0);
	ok = mailbox_reply(pool_loop_box(f->pool), &a.mail) == 0;
	while (ok && sem_wait(&a.there))
		; /* EINTR */
	sem_destroy(&a.there);
	return ok;
}

void note_reply(const struct pool_reply *r, void *arg)
{
	struct got *got = arg;

	assert_false(got->done);
	assert_non_null(r->error_text);
	assert_int_equal(r->error != 0, *r->error_text != '\0');
	got->done = true;
	got->order = got->f->n_done++;
	got->error = r->error;
	snprintf(got->text, sizeof(got->text), "%s", r->error_text);
	got->status = r->status;
	got->len = r->len;
	got->body = calloc(1, r->len + 1);
	assert_non_null(got->body);
	if (r->len)
		memcpy(got->body, r->body, r->len);
	if (r->cache_control)
		got->cache_control = strdup(r->cache_control);
	got->age_s = r->age_s;
	got->elapsed_ms = r->elapsed_ms;
	got->times = r->times;
}

void clear(struct got *got)
{
	free(got->body);
	free(got->cache_control);
	memset(got, 0, sizeof(*got));
}

static const char *const on_publish[] = { "vernemq-hook: on_publish" };

int submit_any(struct fixture *f, struct got *got, const char *url,
	       const char *body, const char *lane, uint32_t timeout_ms,
	       struct pool_call **ret)
{
	struct pool_request req = {
		.kind = lane ? POOL_TELL : f->kind,
		.endpoint = url,
		.headers = on_publish,
		.headers_count = 1,
		.body = strdup(body),
		.len = strlen(body),
		.timeout_ms = timeout_ms,
		.max_age_ms = PATIENCE_MS,
		.lane = lane,
		.lane_len = lane ? strlen(lane) : 0,
	};
	struct pool_call *call = NULL;
	int r;

	memset(got, 0, sizeof(*got));
	got->f = f;
	r = pool_submit(f->pool, &req, note_reply, got, &call);
	if (r)
		free(req.body);
	else if (req.kind == POOL_HOLD)
		got->held = call;
	if (ret)
		*ret = call;
	return r;
}

struct pool_call *submit_to(struct fixture *f, struct got *got, const char *url)
{
	struct pool_call *call = NULL;

	assert_int_equal(
		submit_any(f, got, url, "{}", NULL, PATIENCE_MS, &call), 0);
	assert_non_null(call);
	return call;
}

void submit(struct fixture *f, struct got *got)
{
	submit_to(f, got, f->url);
}

struct pool_request request_of(struct fixture *f, enum pool_kind kind)
{
	const struct pool_request req = {
		.kind = kind,
		.endpoint = f->url,
		.headers = on_publish,
		.headers_count = 1,
		.timeout_ms = PATIENCE_MS,
		.max_age_ms = PATIENCE_MS,
	};

	return req;
}

struct pool_call *submit_request(struct fixture *f, struct got *got,
				 const struct pool_request *req)
{
	struct pool_request copy = *req;
	struct pool_call *call = NULL;

	if (req->len) {
		copy.body = malloc(req->len);
		assert_non_null(copy.body);
		memcpy(copy.body, req->body, req->len);
	}
	memset(got, 0, sizeof(*got));
	got->f = f;
	assert_int_equal(pool_submit(f->pool, &copy, note_reply, got, &call),
			 0);
	got->held = req->kind == POOL_HOLD ? call : NULL;
	return call;
}

void submit_in_lane(struct fixture *f, struct got *got, const char *lane,
		    const char *body)
{
	assert_int_equal(
		submit_any(f, got, f->url, body, lane, PATIENCE_MS, NULL), 0);
}

/* A broker's loop turns that often by itself. */
#define TICK_MS 100

void wait_for_wake(struct fixture *f)
{
	struct pollfd p = { .fd = f->wake_fd, .events = POLLIN };
	uint64_t n;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(read(f->wake_fd, &n, sizeof(n)), sizeof(n));
}

void collect(struct fixture *f, const struct got *got)
{
	struct pollfd p = { .fd = f->wake_fd, .events = POLLIN };
	int64_t end = pool_now_ms() + PATIENCE_MS;
	uint64_t n;

	if (got->held && !got->done)
		pool_wait(f->pool, got->held, end * 1000);
	while (!got->done) {
		assert_true(pool_now_ms() < end);
		if (poll(&p, 1, TICK_MS) == 1)
			assert_int_equal(read(f->wake_fd, &n, sizeof(n)),
					 sizeof(n));
		pool_collect(f->pool);
	}
}

void call(struct fixture *f, struct got *got, const char *url)
{
	submit_to(f, got, url);
	collect(f, got);
}

void call_ok(struct fixture *f)
{
	struct got got;

	call(f, &got, f->url);
	assert_string_equal(got.text, "");
	assert_int_equal(got.status, 200);
	clear(&got);
}

struct pool_endpoint_stats stats_of(struct fixture *f, const char *url)
{
	struct pool_endpoint_stats stats;

	assert_int_equal(pool_get_stats(f->pool, url, &stats), 0);
	return stats;
}

struct http_counts counts_of(struct fixture *f)
{
	struct http_counts counts;

	http_server_counts(f->server, &counts);
	return counts;
}

void let_pass(int ms)
{
	poll(NULL, 0, ms);
}

void wait_queued(struct fixture *f, const char *url, uint32_t n)
{
	struct pool_endpoint_stats stats = { 0 };
	int64_t end = pool_now_ms() + PATIENCE_MS;

	while ((pool_get_stats(f->pool, url, &stats) || stats.queued != n) &&
	       pool_now_ms() < end)
		let_pass(1);
	assert_int_equal(stats.queued, n);
}

struct http_bytes bytes(const char *text)
{
	const struct http_bytes b = { text, strlen(text) };

	return b;
}

void answer_body(struct fixture *f, const char *body)
{
	const struct http_answer a = { .body = bytes(body) };

	http_server_answer(f->server, &a);
}

void push_raw(struct fixture *f, const char *raw, bool close_after)
{
	const struct http_answer a = { .has_raw = true,
				       .raw = bytes(raw),
				       .close_silently = close_after };

	http_server_push(f->server, &a);
}

void hold_answers(struct fixture *f)
{
	const struct http_answer a = { .hold = true };

	http_server_answer(f->server, &a);
}

void answer_at_once(struct fixture *f)
{
	const struct http_answer a = { 0 };

	http_server_answer(f->server, &a);
	http_server_release(f->server);
}

void expect_header(const struct http_request *req, const char *name,
		   const char *value)
{
	char *is = http_request_header(req, name);

	if (!value) {
		assert_null(is);
		return;
	}
	assert_non_null(is);
	assert_string_equal(is, value);
	free(is);
}

void collect_all(struct fixture *f, struct got *got, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		collect(f, &got[i]);
}

void clear_all(struct got *got, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		clear(&got[i]);
}

void receive_letter(struct mail *self)
{
	struct letter *l = (struct letter *)self;

	if (l->back) {
		struct mailbox *box = l->back;

		l->back = NULL;
		l->by = pthread_self();
		assert_int_equal(mailbox_reply(box, &l->mail), 0);
		return;
	}
	l->received = true;
}

void let_dispatcher_pass(struct fixture *f)
{
	struct letter l = { .mail = { .receive = receive_letter } };

	assert_int_equal(mailbox_post(pool_loop_box(f->pool), &l.mail), 0);
	while (!l.received)
		let_pass(1);
}
