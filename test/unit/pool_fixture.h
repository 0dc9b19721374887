/*
 * pool_fixture.h - the owner's side of a pool, for tests: a pool, a server
 * for it to call, and what came of each call.
 *
 * Test's thread. What goes wrong fails the test.
 */
#ifndef TEST_UNIT_POOL_FIXTURE_H
#define TEST_UNIT_POOL_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "pool/mailbox.h"
#include "pool/pool.h"
#include "test/unit/http_server.h"

#define PATIENCE_MS  10000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
	struct http_server *server;
	struct pool *pool;
	int wake_fd;
	atomic_uint wakes;
	unsigned n_done;     /* answers so far */
	enum pool_kind kind; /* of calls without a lane */
	const char *url;     /* of the server, path /hook */
};

/* The end of one call; clear() it. */
struct got {
	struct fixture *f;
	struct pool_call *held; /* to be waited for; or NULL */
	bool done;
	unsigned order; /* among all answers */
	int error;
	char text[256];
	long status;
	char *body;
	size_t len;
	char *cache_control;
	uint64_t age_s;
	uint32_t elapsed_ms;
	struct pool_times times;
};

/* For cmocka, with a `struct fixture` as the state. */
int set_up(void **state); /* the pool not started */
int set_up_started(void **state);
int tear_down(void **state);

/* Much of everything, and a breaker that does not open. */
struct pool_endpoint_opts options(const char *url);
void configure(struct fixture *f, const struct pool_endpoint_opts *opts);
void configure_url(struct fixture *f, const char *url);

/* Wait until the dispatcher has come to all that was configured: until then
 * it is the one who sends calls of kind POOL_HOLD, too. */
void settle(struct fixture *f);
/* The same for another thread than the owner's: who configures faster than the
 * dispatcher follows fills its box, which then refuses calls. False: the pool
 * has stopped. Asserts nothing. */
bool let_it_follow(struct fixture *f);

/* The `done` of all calls here; its `arg` is a `struct got`. */
void note_reply(const struct pool_reply *r, void *arg);
void clear(struct got *got);
void clear_all(struct got *got, size_t n);

/* Submit a call: a POOL_TELL where it has a lane, else as the fixture has
 * it. The first returns what pool_submit() does. */
int submit_any(struct fixture *f, struct got *got, const char *url,
	       const char *body, const char *lane, uint32_t timeout_ms,
	       struct pool_call **ret);
struct pool_call *submit_to(struct fixture *f, struct got *got,
			    const char *url);
void submit(struct fixture *f, struct got *got);
void submit_in_lane(struct fixture *f, struct got *got, const char *lane,
		    const char *body);

/* A POST to the server's /hook, to be changed at will; and submit it, with a
 * copy of its body. */
struct pool_request request_of(struct fixture *f, enum pool_kind kind);
struct pool_call *submit_request(struct fixture *f, struct got *got,
				 const struct pool_request *req);

void wait_for_wake(struct fixture *f);
/* As the broker does: collect when woken, and when it is time. */
void collect(struct fixture *f, const struct got *got);
void collect_all(struct fixture *f, struct got *got, size_t n);
/* Submit and collect. */
void call(struct fixture *f, struct got *got, const char *url);
void call_ok(struct fixture *f);

struct pool_endpoint_stats stats_of(struct fixture *f, const char *url);
struct http_counts counts_of(struct fixture *f);

/* For what has no event to wait for, and for what must not happen. */
void let_pass(int ms);

/* Counters have no event. */
void wait_queued(struct fixture *f, const char *url, uint32_t n);
#define WAIT_UNTIL(condition)                                                  \
	do {                                                                   \
		int64_t end_ = pool_now_ms() + PATIENCE_MS;                    \
		while (!(condition) && pool_now_ms() < end_)                   \
			let_pass(1);                                           \
		assert_true(condition);                                        \
	} while (0)

/* What the server answers. */
struct http_bytes bytes(const char *text);
void answer_body(struct fixture *f, const char *body);
void push_raw(struct fixture *f, const char *raw, bool close_after);
void hold_answers(struct fixture *f);
void answer_at_once(struct fixture *f);

/* NULL: there is none of that name. */
void expect_header(const struct http_request *req, const char *name,
		   const char *value);

struct letter {
	struct mail mail;
	pthread_t by;
	atomic_bool received;
	struct mailbox *back; /* posted there from receive() */
};

void receive_letter(struct mail *self);

/* What it does on account of what was before this, it has done. */
void let_dispatcher_pass(struct fixture *f);

#endif /* TEST_UNIT_POOL_FIXTURE_H */
