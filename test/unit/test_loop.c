/* test_loop.c - pool/loop.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pool/loop.h"

#define N_TIMERS 500

static int set_up(void **state)
{
	struct loop *loop;

	if (loop_create(&loop))
		return -1;
	*state = loop;
	return 0;
}

static int tear_down(void **state)
{
	loop_destroy(*state);
	return 0;
}

static void run(struct loop *loop)
{
	assert_int_equal(loop_run_once(loop), 0);
}

/* A pass that finds nothing to wait for. */
static void run_now(struct loop *loop)
{
	loop_wake(loop);
	run(loop);
}

/*
 * Timers
 */

struct log {
	struct timed {
		struct loop_timer timer;
		struct log *log;
		int64_t wanted_ms;
		bool fired;
	} timers[N_TIMERS];
	struct timed *fired[N_TIMERS];
	size_t n;
};

static void note_fired(struct loop *loop, void *arg)
{
	struct timed *t = arg;

	assert_true(loop_now_ms(loop) >= t->wanted_ms);
	assert_false(t->fired);
	t->fired = true;
	t->log->fired[t->log->n++] = t;
}

static struct log *new_log(void)
{
	struct log *log = calloc(1, sizeof(*log));
	size_t i;

	assert_non_null(log);
	for (i = 0; i < N_TIMERS; i++) {
		log->timers[i].log = log;
		log->timers[i].timer.fn = note_fired;
		log->timers[i].timer.arg = &log->timers[i];
	}
	return log;
}

static void set(struct loop *loop, struct timed *t, int64_t due_ms)
{
	t->wanted_ms = due_ms;
	loop_timer_set(loop, &t->timer, due_ms);
}

static void test_timer_fires_when_due_and_once(void **state)
{
	struct loop *loop = *state;
	struct log *log = new_log();
	int64_t before = loop_clock_ms();

	set(loop, &log->timers[0], before + 20);
	while (!log->n)
		run(loop);
	assert_in_range(loop_clock_ms() - before, 20, 2000);
	run_now(loop);
	assert_int_equal(log->n, 1);
	free(log);
}

static void test_timer_not_due_does_not_fire(void **state)
{
	struct loop *loop = *state;
	struct log *log = new_log();

	set(loop, &log->timers[0], loop_clock_ms() + 60000);
	run_now(loop);
	assert_int_equal(log->n, 0);
	free(log);
}

static void test_cancelled_timer_does_not_fire(void **state)
{
	struct loop *loop = *state;
	struct log *log = new_log();

	set(loop, &log->timers[0], 1);
	set(loop, &log->timers[1], 1);
	loop_timer_cancel(loop, &log->timers[0].timer);
	loop_timer_cancel(loop, &log->timers[0].timer);
	run(loop);
	assert_int_equal(log->n, 1);
	assert_ptr_equal(log->fired[0], &log->timers[1]);
	free(log);
}

static void test_moved_timer_fires_at_its_last_time(void **state)
{
	struct loop *loop = *state;
	struct log *log = new_log();

	set(loop, &log->timers[0], 1);
	set(loop, &log->timers[0], loop_clock_ms() + 60000);
	run_now(loop);
	assert_int_equal(log->n, 0);
	set(loop, &log->timers[0], 1);
	run(loop);
	assert_int_equal(log->n, 1);
	free(log);
}

/* Set, move and cancel at random: what is left fires by time. */
static void test_timers_fire_in_order(void **state)
{
	struct loop *loop = *state;
	struct log *log = new_log();
	size_t i, expected = 0;
	unsigned seed = 7;

	for (i = 0; i < 20 * N_TIMERS; i++) {
		struct timed *t =
			&log->timers[(size_t)rand_r(&seed) % N_TIMERS];

		if (rand_r(&seed) % 4)
			set(loop, t, 1 + rand_r(&seed) % 1000);
		else
			loop_timer_cancel(loop, &t->timer);
	}
	for (i = 0; i < N_TIMERS; i++)
		expected += log->timers[i].timer.due_ms != 0;
	assert_in_range(expected, 1, N_TIMERS - 1);
	run(loop);
	assert_int_equal(log->n, expected);
	for (i = 1; i < log->n; i++)
		assert_true(log->fired[i - 1]->wanted_ms <=
			    log->fired[i]->wanted_ms);
	free(log);
}

struct again {
	struct loop_timer timer;
	unsigned n;
};

static void fire_again(struct loop *loop, void *arg)
{
	struct again *a = arg;

	if (++a->n < 1000000)
		loop_timer_set(loop, &a->timer, 1);
}

static void test_timers_do_not_starve_descriptors(void **state)
{
	struct again a = { .timer = { .fn = fire_again, .arg = &a } };
	struct loop *loop = *state;

	loop_timer_set(loop, &a.timer, 1);
	run(loop);
	assert_int_equal(a.n, 1);
	loop_timer_cancel(loop, &a.timer);
}

static void cancel_other(struct loop *loop, void *arg)
{
	loop_timer_cancel(loop, arg);
}

static void test_timer_may_cancel_one_that_is_due(void **state)
{
	struct loop *loop = *state;
	struct log *log = new_log();
	struct loop_timer t = { .fn = cancel_other,
				.arg = &log->timers[0].timer };

	loop_timer_set(loop, &t, 1);
	set(loop, &log->timers[0], 2);
	run_now(loop);
	assert_int_equal(log->n, 0);
	free(log);
}

struct setter {
	struct loop_timer timer, others[3];
	unsigned fired, fired_others;
};

static void count_other(struct loop *loop, void *arg)
{
	struct setter *setter = arg;

	(void)loop;
	setter->fired_others++;
}

/* Sets itself, and others, of which it thinks better of two. */
static void set_itself(struct loop *loop, void *arg)
{
	struct setter *setter = arg;

	setter->fired++;
	loop_timer_set(loop, &setter->timer, loop_now_ms(loop));
	for (size_t i = 0; i < 3; i++)
		loop_timer_set(loop, &setter->others[i], (int64_t)i + 1);
	loop_timer_cancel(loop, &setter->others[0]);
	loop_timer_cancel(loop, &setter->others[2]);
}

static void test_timer_set_by_one_fires_in_a_later_pass(void **state)
{
	struct loop *loop = *state;
	struct setter setter = { 0 };

	setter.timer = (struct loop_timer){ .fn = set_itself, .arg = &setter };
	for (size_t i = 0; i < 3; i++)
		setter.others[i] = (struct loop_timer){ .fn = count_other,
							.arg = &setter };
	loop_timer_set(loop, &setter.timer, 1);
	for (unsigned pass = 1; pass < 4; pass++) {
		run_now(loop);
		assert_int_equal(setter.fired, pass);
		assert_int_equal(setter.fired_others, pass - 1);
	}
	run(loop); /* nor is it waited for */
	assert_int_equal(setter.fired, 4);
	loop_timer_cancel(loop, &setter.timer);
	loop_timer_cancel(loop, &setter.others[1]);
	run_now(loop);
	assert_int_equal(setter.fired, 4);
	assert_int_equal(setter.fired_others, 3);
}

/*
 * Descriptors
 */

struct seen {
	unsigned n, events;
	int fd;
	int unwatch; /* this one, when not 0 */
};

static void note_event(struct loop *loop, int fd, unsigned events, void *arg)
{
	struct seen *seen = arg;

	seen->n++;
	seen->events = events;
	seen->fd = fd;
	if (seen->unwatch)
		assert_int_equal(loop_watch(loop, seen->unwatch, 0, NULL, NULL),
				 0);
}

static void make_pair(int fds[2])
{
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void close_pair(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static void put(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void test_reports_readable(void **state)
{
	struct seen seen = { 0 };
	int fds[2];

	make_pair(fds);
	assert_int_equal(
		loop_watch(*state, fds[0], LOOP_READ, note_event, &seen), 0);
	run_now(*state);
	assert_int_equal(seen.n, 0);
	put(fds[1]);
	run(*state);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.fd, fds[0]);
	assert_int_equal(seen.events, LOOP_READ);
	close_pair(fds);
}

static void test_reports_what_is_watched_now(void **state)
{
	struct seen seen = { 0 };
	int fds[2];

	make_pair(fds);
	put(fds[1]);
	assert_int_equal(
		loop_watch(*state, fds[0], LOOP_READ, note_event, &seen), 0);
	assert_int_equal(
		loop_watch(*state, fds[0], LOOP_WRITE, note_event, &seen), 0);
	run(*state);
	assert_int_equal(seen.events, LOOP_WRITE);
	assert_int_equal(loop_watch(*state, fds[0], LOOP_READ | LOOP_WRITE,
				    note_event, &seen),
			 0);
	run(*state);
	assert_int_equal(seen.events, LOOP_READ | LOOP_WRITE);
	close_pair(fds);
}

static void test_reports_hang_up(void **state)
{
	struct seen seen = { 0 };
	int fds[2];

	make_pair(fds);
	assert_int_equal(
		loop_watch(*state, fds[0], LOOP_READ, note_event, &seen), 0);
	close(fds[1]);
	run(*state);
	assert_int_equal(seen.events, LOOP_READ | LOOP_ERROR);
	close(fds[0]);
}

static void test_unwatched_is_not_reported(void **state)
{
	struct seen seen = { 0 };
	int fds[2];

	make_pair(fds);
	assert_int_equal(
		loop_watch(*state, fds[0], LOOP_READ, note_event, &seen), 0);
	put(fds[1]);
	assert_int_equal(loop_watch(*state, fds[0], 0, NULL, NULL), 0);
	run_now(*state);
	assert_int_equal(seen.n, 0);
	close_pair(fds);
}

/* Both are readable in one pass; whichever comes first unwatches the other. */
static void test_unwatched_in_the_same_pass_is_not_reported(void **state)
{
	struct seen a = { 0 }, b = { 0 };
	int x[2], y[2];

	make_pair(x);
	make_pair(y);
	a.unwatch = y[0];
	b.unwatch = x[0];
	assert_int_equal(loop_watch(*state, x[0], LOOP_READ, note_event, &a),
			 0);
	assert_int_equal(loop_watch(*state, y[0], LOOP_READ, note_event, &b),
			 0);
	put(x[1]);
	put(y[1]);
	run(*state);
	assert_int_equal(a.n + b.n, 1);
	close_pair(x);
	close_pair(y);
}

static void test_number_of_a_closed_one_can_be_watched_anew(void **state)
{
	struct seen old = { 0 }, new = { 0 };
	int x[2], y[2];
	int fd;

	make_pair(x);
	fd = x[0];
	assert_int_equal(loop_watch(*state, fd, LOOP_READ, note_event, &old),
			 0);
	close_pair(x);
	make_pair(y);
	assert_int_equal(y[0], fd);
	assert_int_equal(loop_watch(*state, fd, LOOP_READ, note_event, &new),
			 0);
	put(y[1]);
	run(*state);
	assert_int_equal(old.n, 0);
	assert_int_equal(new.n, 1);
	close_pair(y);
}

struct swap {
	struct seen seen, new;
	int *other; /* a pair to replace by one of the same numbers */
};

static void swap_other(struct loop *loop, int fd, unsigned events, void *arg)
{
	struct swap *s = arg;
	int old = s->other[0];

	note_event(loop, fd, events, &s->seen);
	close_pair(s->other);
	make_pair(s->other);
	assert_int_equal(s->other[0], old);
	assert_int_equal(loop_watch(loop, old, LOOP_READ, note_event, &s->new),
			 0);
}

/* Both are readable in one pass, and whichever comes first replaces the
 * other: the new one gets none of the old one's events. */
static void test_event_of_an_earlier_watch_is_dropped(void **state)
{
	int x[2], y[2];
	struct swap a = { .other = y }, b = { .other = x };

	make_pair(x);
	make_pair(y);
	assert_int_equal(loop_watch(*state, x[0], LOOP_READ, swap_other, &a),
			 0);
	assert_int_equal(loop_watch(*state, y[0], LOOP_READ, swap_other, &b),
			 0);
	put(x[1]);
	put(y[1]);
	run(*state);
	assert_int_equal(a.seen.n + b.seen.n, 1);
	assert_int_equal(a.new.n + b.new.n, 0);
	close_pair(x);
	close_pair(y);
}

static void test_watches_high_descriptors(void **state)
{
	struct seen seen = { 0 };
	int fds[2];
	int high;

	make_pair(fds);
	high = fcntl(fds[0], F_DUPFD_CLOEXEC, 900);
	assert_true(high >= 900);
	assert_int_equal(loop_watch(*state, high, LOOP_READ, note_event, &seen),
			 0);
	put(fds[1]);
	run(*state);
	assert_int_equal(seen.fd, high);
	close(high);
	close_pair(fds);
}

static void test_refuses_a_bad_descriptor(void **state)
{
	struct seen seen = { 0 };

	assert_int_equal(loop_watch(*state, -1, LOOP_READ, note_event, &seen),
			 -EBADF);
	assert_int_equal(loop_watch(*state, 987, LOOP_READ, note_event, &seen),
			 -EBADF);
	assert_int_equal(loop_watch(*state, 987, 0, NULL, NULL), 0);
}

/*
 * Waking
 */

static void *wake_soon(void *arg)
{
	poll(NULL, 0, 10); /* so that the loop waits by then, most likely */
	loop_wake(arg);
	return NULL;
}

static void test_wake_ends_the_wait(void **state)
{
	struct log *log = new_log();
	pthread_t thread;

	/* there is something to wait for, but it is far */
	set(*state, &log->timers[0], loop_clock_ms() + 60000);
	assert_int_equal(pthread_create(&thread, NULL, wake_soon, *state), 0);
	run(*state);
	assert_int_equal(log->n, 0);
	pthread_join(thread, NULL);
	free(log);
}

static void test_wakes_coalesce(void **state)
{
	struct log *log = new_log();
	int64_t due;

	loop_wake(*state);
	loop_wake(*state);
	run(*state);
	due = loop_clock_ms() + 20;
	set(*state, &log->timers[0], due);
	run(*state);
	assert_true(loop_clock_ms() >= due);
	free(log);
}

static void test_clock_stands_still_between_passes(void **state)
{
	int64_t before;

	run_now(*state);
	before = loop_now_ms(*state);
	while (loop_clock_ms() < before + 5)
		;
	assert_int_equal(loop_now_ms(*state), before);
	run_now(*state);
	assert_true(loop_now_ms(*state) >= before + 5);
}

static void test_destroy_takes_null(void **state)
{
	(void)state;
	loop_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_timer_fires_when_due_and_once),
		TEST(test_timer_not_due_does_not_fire),
		TEST(test_cancelled_timer_does_not_fire),
		TEST(test_moved_timer_fires_at_its_last_time),
		TEST(test_timers_fire_in_order),
		TEST(test_timers_do_not_starve_descriptors),
		TEST(test_timer_may_cancel_one_that_is_due),
		TEST(test_timer_set_by_one_fires_in_a_later_pass),
		TEST(test_reports_readable),
		TEST(test_reports_what_is_watched_now),
		TEST(test_reports_hang_up),
		TEST(test_unwatched_is_not_reported),
		TEST(test_unwatched_in_the_same_pass_is_not_reported),
		TEST(test_number_of_a_closed_one_can_be_watched_anew),
		TEST(test_event_of_an_earlier_watch_is_dropped),
		TEST(test_watches_high_descriptors),
		TEST(test_refuses_a_bad_descriptor),
		TEST(test_wake_ends_the_wait),
		TEST(test_wakes_coalesce),
		TEST(test_clock_stands_still_between_passes),
		TEST(test_destroy_takes_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
