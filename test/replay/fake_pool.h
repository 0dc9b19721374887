/*
 * fake_pool.h - pool/pool.h without threads or sockets: a test sees what was
 * submitted and says what comes back.
 */
#ifndef TEST_REPLAY_FAKE_POOL_H
#define TEST_REPLAY_FAKE_POOL_H

#include "pool/pool.h"

#define FAKE_POOL_MAX 64

/* What was submitted, in order; kept until fake_pool_reset(). */
struct fake_call {
	char endpoint[128], hook[32], lane[64];
	char *body;
	bool in_lane, done;
	uint32_t timeout_ms;
};

extern struct fake_call fake_calls[FAKE_POOL_MAX];
extern unsigned fake_calls_count;

/* The answer of the next blocking wait, in order of waiting; with none left
 * a wait times out. Texts are borrowed. */
void fake_pool_will_answer(long status, const char *body,
			   const char *cache_control);

/* End the n-th call now, as pool_collect() would. */
void fake_pool_answer(unsigned n, long status, const char *body,
		      const char *cache_control);
void fake_pool_fail(unsigned n, int error);

/* The next submit returns this instead. */
void fake_pool_refuse_next(int error);

void fake_pool_reset(void);

#endif /* TEST_REPLAY_FAKE_POOL_H */
