/*
 * fake_pool.h - pool/pool.h without threads or sockets: a test sees what was
 * submitted and says what comes back.
 */
#ifndef TEST_REPLAY_FAKE_POOL_H
#define TEST_REPLAY_FAKE_POOL_H

#include "pool/pool.h"

#define FAKE_POOL_MAX 256

/* What was submitted, in order; kept until fake_pool_reset(). */
struct fake_call {
	char endpoint[128], hook[32], lane[64];
	char headers[POOL_HEADERS_MAX][256];
	size_t headers_count;
	char *body;
	enum pool_kind kind;
	bool in_lane, trial, done;
	unsigned stream;
	uint32_t timeout_ms, retries, max_age_ms;
};

extern struct fake_call fake_calls[FAKE_POOL_MAX];
extern unsigned fake_calls_count;

/* The answer of the next blocking wait, in order of waiting; with none left
 * a wait times out, and its call stays open. Texts are borrowed. */
void fake_pool_will_answer(long status, const char *body,
			   const char *cache_control);

/* End the n-th call now, as pool_collect() would. */
void fake_pool_answer(unsigned n, long status, const char *body,
		      const char *cache_control);
void fake_pool_fail(unsigned n, int error);

/* The Age of all answers from now on. */
void fake_pool_age(uint64_t age_s);

/* How long all calls take that end from now on. */
void fake_pool_times(struct pool_times times);

/* The next submit returns this instead. */
void fake_pool_refuse_next(int error);

/* Since when all endpoints are paused, in pool_now_ms(); 0: they are not. */
void fake_pool_paused(int64_t since_ms);

/* What pool_look() and pool_is_full() say from now on. */
void fake_pool_looks(enum pool_look look);
void fake_pool_is_full(bool full);

/* How long each blocking wait takes, by moving this clock; at most until its
 * deadline. */
extern int64_t *fake_pool_clock_us;
void fake_pool_takes(int64_t us);

/* What the owner gave pool_stop(). */
extern uint32_t fake_pool_drain_ms;

/* What was last configured. */
extern struct pool_endpoint_opts fake_pool_opts;

/* Whether this endpoint is among what was last configured. */
bool fake_pool_knows(const char *endpoint);

void fake_pool_reset(void);

#endif /* TEST_REPLAY_FAKE_POOL_H */
