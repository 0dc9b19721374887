#include "test/replay/fake_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pool {
	int nothing;
};

struct pool_call {
	unsigned number;
};

struct answer {
	long status;
	const char *body, *cache_control;
};

struct fake_call fake_calls[FAKE_POOL_MAX];
unsigned fake_calls_count;

static struct pool the_pool;
static struct pool_call handles[FAKE_POOL_MAX];
static struct {
	pool_done_fn *fn;
	void *arg;
} done[FAKE_POOL_MAX];
static struct answer answers[FAKE_POOL_MAX];
static unsigned answers_count, answers_used;
static int refusal;
static enum pool_look looks;
static bool is_full;
static int64_t paused_since_ms;
static int64_t takes_us;
static uint64_t answers_age_s;
static struct pool_times times;
int64_t *fake_pool_clock_us;
uint32_t fake_pool_drain_ms;
struct pool_endpoint_opts fake_pool_opts;
static char names[FAKE_POOL_MAX][128];
static size_t names_count;

void fake_pool_reset(void)
{
	for (unsigned i = 0; i < fake_calls_count; i++)
		free(fake_calls[i].body);
	memset(fake_calls, 0, sizeof(fake_calls));
	fake_calls_count = answers_count = answers_used = 0;
	refusal = 0;
	looks = POOL_LOOK_GOOD;
	is_full = false;
	paused_since_ms = 0;
	takes_us = 0;
	answers_age_s = 0;
	times = (struct pool_times){ 0 };
}

void fake_pool_looks(enum pool_look look)
{
	looks = look;
}

void fake_pool_paused(int64_t since_ms)
{
	paused_since_ms = since_ms;
}

int pool_get_stats(struct pool *pool, const char *endpoint,
		   struct pool_endpoint_stats *ret)
{
	(void)pool;
	(void)endpoint;
	*ret = (struct pool_endpoint_stats){
		.paused = paused_since_ms != 0,
		.paused_since_ms = paused_since_ms,
	};
	return 0;
}

void fake_pool_is_full(bool full)
{
	is_full = full;
}

void fake_pool_takes(int64_t us)
{
	takes_us = us;
}

void fake_pool_age(uint64_t age_s)
{
	answers_age_s = age_s;
}

void fake_pool_times(struct pool_times all)
{
	times = all;
}

void fake_pool_will_answer(long status, const char *body,
			   const char *cache_control)
{
	answers[answers_count++] =
		(struct answer){ status, body, cache_control };
}

static void end(unsigned n, const struct pool_reply *reply)
{
	if (fake_calls[n].done)
		return;
	fake_calls[n].done = true;
	done[n].fn(reply, done[n].arg);
}

void fake_pool_answer(unsigned n, long status, const char *body,
		      const char *cache_control)
{
	struct pool_reply reply = {
		.error_text = "",
		.status = status,
		.body = body,
		.len = strlen(body),
		.cache_control = cache_control,
		.age_s = answers_age_s,
		.times = times,
	};

	end(n, &reply);
}

void fake_pool_fail(unsigned n, int error)
{
	struct pool_reply reply = { .error = error,
				    .error_text = "failed",
				    .times = times };

	end(n, &reply);
}

void fake_pool_refuse_next(int error)
{
	refusal = error;
}

int pool_check_proxy(const char *proxy, char reterr[static 128])
{
	(void)proxy;
	(void)reterr;
	return 0;
}

int pool_check_url(const char *url, char reterr[static 128])
{
	if (strncmp(url, "http", 4) == 0)
		return 0;
	snprintf(reterr, 128, "not a URL");
	return -EINVAL;
}

int pool_create(struct pool **ret, void (*wake)(void *arg), void *arg)
{
	(void)wake;
	(void)arg;
	*ret = &the_pool;
	return 0;
}

int pool_start(struct pool *pool)
{
	(void)pool;
	return 0;
}

int pool_configure(struct pool *pool, const struct pool_endpoint_opts *eps,
		   size_t n)
{
	(void)pool;
	if (n)
		fake_pool_opts = eps[0];
	names_count = 0;
	for (size_t i = 0; i < n && i < FAKE_POOL_MAX; i++)
		snprintf(names[names_count++], sizeof(names[0]), "%s",
			 eps[i].name);
	return 0;
}

bool fake_pool_knows(const char *endpoint)
{
	for (size_t i = 0; i < names_count; i++) {
		if (strcmp(names[i], endpoint) == 0)
			return true;
	}
	return false;
}

int pool_submit(struct pool *pool, const struct pool_request *req,
		pool_done_fn *fn, void *arg, struct pool_call **ret)
{
	unsigned n = fake_calls_count;
	struct fake_call *call = &fake_calls[n];
	int err = refusal;

	(void)pool;
	refusal = 0;
	if (err || n == FAKE_POOL_MAX)
		return err ? err : -ENOMEM;
	snprintf(call->endpoint, sizeof(call->endpoint), "%s", req->endpoint);
	call->headers_count = req->headers_count;
	for (size_t i = 0; i < req->headers_count; i++)
		snprintf(call->headers[i], sizeof(call->headers[i]), "%s",
			 req->headers[i]);
	sscanf(call->headers[0], "vernemq-hook: %31s", call->hook);
	call->kind = req->kind;
	call->stream = req->stream;
	call->retries = req->retries;
	call->max_age_ms = req->max_age_ms;
	call->in_lane = req->lane != NULL;
	call->trial = req->trial != NULL;
	if (req->lane)
		snprintf(call->lane, sizeof(call->lane), "%.*s",
			 (int)req->lane_len, (const char *)req->lane);
	call->body = req->body;
	call->timeout_ms = req->timeout_ms;
	done[n].fn = fn;
	done[n].arg = arg;
	handles[n].number = n;
	fake_calls_count++;
	if (ret)
		*ret = &handles[n];
	return 0;
}

enum pool_look pool_look(struct pool *pool, const char *endpoint)
{
	(void)pool;
	(void)endpoint;
	return looks;
}

bool pool_is_full(struct pool *pool, const char *endpoint, unsigned stream)
{
	(void)pool;
	(void)endpoint;
	(void)stream;
	return is_full;
}

/* Returns whether the answer comes before the deadline. */
static bool pass_time(int64_t deadline_us)
{
	int64_t left;

	if (!fake_pool_clock_us)
		return true;
	left = deadline_us - *fake_pool_clock_us;
	*fake_pool_clock_us += takes_us < left ? takes_us : left;
	return takes_us <= left;
}

int pool_wait(struct pool *pool, struct pool_call *call, int64_t deadline_us)
{
	const struct answer *a;

	(void)pool;
	if (!pass_time(deadline_us) || answers_used == answers_count)
		return -ETIMEDOUT;
	a = &answers[answers_used++];
	fake_pool_answer(call->number, a->status, a->body, a->cache_control);
	return 0;
}

unsigned pool_collect(struct pool *pool)
{
	unsigned open = 0;

	(void)pool;
	for (unsigned i = 0; i < fake_calls_count; i++)
		open += !fake_calls[i].done;
	return open;
}

int64_t pool_now_ms(void)
{
	return 1;
}

void pool_stop(struct pool *pool, uint32_t drain_ms)
{
	(void)pool;
	fake_pool_drain_ms = drain_ms;
	for (unsigned i = 0; i < fake_calls_count; i++)
		fake_pool_fail(i, -ECANCELED);
}

void pool_destroy(struct pool *pool)
{
	if (pool)
		pool_stop(pool, 0);
}
