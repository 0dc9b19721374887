/* plugin/admin/: who answers while the broker's thread is held up, and while
 * files are slow */
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/admin/http.h"
#include "plugin/admin/request.h"
#include "pool/mailbox.h"
#include "pool/pool.h"
#include "test/unit/admin_fixture.h"
#include "test/unit/http_server.h"

#define URL "http://127.0.0.1:9/a"

enum {
	AT_ONCE_MS = 100,
	TRIES = 20, /* the machine has other things to do, too */
	PATIENCE_S = 20,
};

/* Every command there is: a new one is to be put here. */
static const struct {
	const char *target;
	bool needs_broker;
} cases[ADMIN_COMMAND_COUNT] = {
	[ADMIN_SHOW] = { ADMIN_ROOT "show?--all", false },
	[ADMIN_REGISTER] = { ADMIN_ROOT
			     "register?hook=on_register&endpoint=" URL,
			     false },
	[ADMIN_DEREGISTER] = { ADMIN_ROOT
			       "deregister?hook=on_register&endpoint=" URL,
			       false },
	[ADMIN_CACHE_SHOW] = { ADMIN_ROOT "cache/show", false },
	[ADMIN_CACHE_CLEAR] = { ADMIN_ROOT "cache/clear", true },
	[ADMIN_METRICS_SHOW] = { "/api/v1/metrics/show", false },
	[ADMIN_STATUS] = { ADMIN_ROOT "status", false },
	[ADMIN_EXPLAIN] = { ADMIN_ROOT "explain", false },
	[ADMIN_TEST] = { ADMIN_ROOT "test?hook=on_publish", true },
	[ADMIN_PAUSE] = { ADMIN_ROOT "pause?endpoint=" URL, false },
	[ADMIN_RESUME] = { ADMIN_ROOT "resume?endpoint=" URL, false },
	[ADMIN_SESSION_DISCONNECT] = { "/api/v1/session/disconnect?client-id=c",
				       true },
	[ADMIN_RELOAD] = { ADMIN_ROOT "reload", false },
};

/* An endpoint that is there, and on another hook one that is not. */
static void begin(struct admin_fixture *f)
{
	const struct settings_opt opts[] = {
		ADMIN_WEBHOOK("a", "on_publish",
			      http_server_url(f->server, "/")),
		ADMIN_WEBHOOK("b", "auth_on_publish", URL),
	};

	f->clients = 1;
	admin_start(f, opts, sizeof(opts) / sizeof(opts[0]));
	assert_int_equal(hooks_set_source(f->hooks, opts,
					  sizeof(opts) / sizeof(opts[0])),
			 0);
}

/* ---- what needs nobody ---- */

/* At least once in several times. */
static void expect_at_once(struct admin_fixture *f, const char *target)
{
	static struct admin_answer r;
	int64_t best = INT64_MAX;

	for (int i = 0; i < TRIES && best >= AT_ONCE_MS; i++) {
		int64_t began = pool_now_ms(), took;

		admin_get(f, target, &r);
		took = pool_now_ms() - began;
		best = took < best ? took : best;
		if (r.status != 200)
			fail_msg("%s: %s", target, r.text);
	}
	if (best >= AT_ONCE_MS)
		fail_msg("%s: %lld ms", target, (long long)best);
}

static void what_needs_no_broker_answers_while_it_is_held(void **state)
{
	struct admin_fixture *f = *state;

	begin(f);
	f->held = true;
	for (int i = 0; i < ADMIN_COMMAND_COUNT; i++) {
		assert_non_null(cases[i].target);
		if (!cases[i].needs_broker)
			expect_at_once(f, cases[i].target);
	}
	expect_at_once(f, "/metrics");
	expect_at_once(f, "/health");
	assert_string_equal(f->log, "");
}

/* ---- what needs the broker's thread ---- */

struct asked {
	int fds[ADMIN_COMMAND_COUNT];
	size_t n;
};

/* Each of them, and they lie in wait when it returns. */
static void ask_all(struct admin_fixture *f, struct asked *ret)
{
	struct mailbox *box = pool_owner_box(hooks_pool(f->hooks));

	ret->n = 0;
	for (int i = 0; i < ADMIN_COMMAND_COUNT; i++) {
		if (!cases[i].needs_broker)
			continue;
		ret->fds[ret->n] = admin_dial(f);
		admin_send(ret->fds[ret->n++], cases[i].target);
	}
	while (mailbox_waiting(box) < ret->n)
		poll(NULL, 0, 1);
}

static void read_all(struct admin_fixture *f, struct asked *asked, int status)
{
	static struct admin_answer r;

	for (size_t i = 0; i < asked->n; i++) {
		admin_read(f, asked->fds[i], &r);
		if (r.status != status)
			fail_msg("%s", r.text);
	}
}

static void what_needs_it_answers_when_it_is_free(void **state)
{
	struct admin_fixture *f = *state;
	struct asked asked;

	begin(f);
	f->held = true;
	ask_all(f, &asked);
	assert_int_equal(asked.n, 3);
	assert_string_equal(f->log, "");
	f->held = false;
	read_all(f, &asked, 200);
	assert_int_equal(f->disconnects, 1);
	assert_true(http_server_wait_requests(f->server, 1));
}

static bool has_parted(void *arg)
{
	struct admin_fixture *f = arg;

	return f->disconnects > 0;
}

/* And a dry run that nobody waits for is none. */
static void or_fails_after_five_seconds(void **state)
{
	struct admin_fixture *f = *state;
	int64_t began = pool_now_ms();
	struct http_counts counts;
	struct asked asked;

	begin(f);
	f->held = true;
	ask_all(f, &asked);
	read_all(f, &asked, 503);
	assert_true(pool_now_ms() - began >= ADMIN_ANSWER_MS);
	assert_string_equal(f->log, "");
	f->held = false;
	admin_tick_until(f, has_parted, f);
	assert_non_null(strstr(f->log, "admin: cleared the cache"));
	assert_null(strstr(f->log, "admin: tested"));
	/* which would have been sent before this one */
	admin_expect_part(f, ADMIN_ROOT "test?hook=on_publish", 200,
			  "\"status\":200");
	http_server_counts(f->server, &counts);
	assert_int_equal(counts.requests, 1);
}

/* However late it began: who asked hears of it. */
static void a_dry_run_ends_in_time(void **state)
{
	struct admin_fixture *f = *state;
	static struct admin_answer r;
	int fd;

	begin(f);
	http_server_answer(f->server, &(struct http_answer){ .hold = true });
	fd = admin_dial(f);
	admin_send(fd, ADMIN_ROOT "test?hook=on_publish");
	while (!mailbox_waiting(pool_owner_box(hooks_pool(f->hooks))))
		poll(NULL, 0, 1);
	poll(NULL, 0, 1500); /* held */
	admin_read(f, fd, &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "no answer: timed out"));
}

/* ---- what needs files ---- */

struct slow {
	sem_t began, go_on;
};

static struct slow slow;

/* Where a reload is judged, on whichever thread reads the files. */
static int check_slowly(void *ctx, const struct settings *s,
			struct conf_error *reterr)
{
	struct timespec end;

	(void)ctx;
	(void)s;
	(void)reterr;
	sem_post(&slow.began);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	sem_timedwait(&slow.go_on, &end);
	return 0;
}

/* One that is under way. Returns who waits for it. */
static int reload_slowly(struct admin_fixture *f)
{
	int fd;

	sem_init(&slow.began, 0, 0);
	sem_init(&slow.go_on, 0, 0);
	f->ops.check = check_slowly;
	begin(f);
	fd = admin_dial(f);
	admin_send(fd, ADMIN_ROOT "reload");
	while (sem_wait(&slow.began) != 0)
		;
	return fd;
}

static void others_do_not_wait_for_a_slow_reload(void **state)
{
	struct admin_fixture *f = *state;
	static struct admin_answer r;
	int fd = reload_slowly(f);

	expect_at_once(f, ADMIN_ROOT "show");
	expect_at_once(f, ADMIN_ROOT "status");
	/* the dispatcher asks and answers */
	admin_expect_part(f, ADMIN_ROOT "test?hook=on_publish", 200,
			  "\"status\":200");
	assert_null(strstr(f->log, "admin: reload"));
	sem_post(&slow.go_on);
	admin_read(f, fd, &r);
	assert_int_equal(r.status, 200);
	admin_expect_log(f, "admin: reload");
	sem_destroy(&slow.began);
	sem_destroy(&slow.go_on);
}

/* It is done all the same, when the broker ends meanwhile. */
static void a_reload_at_the_end(void **state)
{
	struct admin_fixture *f = *state;
	int fd = reload_slowly(f);

	hooks_stop(f->hooks);
	sem_post(&slow.go_on);
	admin_stop(f);
	close(fd);
	sem_destroy(&slow.began);
	sem_destroy(&slow.go_on);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, admin_set_up, admin_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_needs_no_broker_answers_while_it_is_held),
		TEST(what_needs_it_answers_when_it_is_free),
		TEST(or_fails_after_five_seconds),
		TEST(a_dry_run_ends_in_time),
		TEST(others_do_not_wait_for_a_slow_reload),
		TEST(a_reload_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
