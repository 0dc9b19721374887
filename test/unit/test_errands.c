/* pool/errands.h */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "pool/errands.h"
#include "pool/mailbox.h"

enum {
	CAPACITY = 4
};

struct errand {
	struct mail mail; /* first */
	unsigned number;
	struct diary *diary;
};

/* Written by the thread; read once it has ended, or has posted `done`. */
struct diary {
	sem_t done, go_on;
	bool waits;
	pthread_t thread;
	sigset_t blocked;
	unsigned n, numbers[16];
};

static struct diary diary;
static struct errands *errands;

static void run(struct mail *self)
{
	struct errand *e = (struct errand *)self;
	struct diary *d = e->diary;

	d->thread = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &d->blocked);
	d->numbers[d->n++] = e->number;
	sem_post(&d->done);
	if (d->waits)
		sem_wait(&d->go_on);
}

static int setup(void **state)
{
	(void)state;
	diary = (struct diary){ .waits = false };
	sem_init(&diary.done, 0, 0);
	sem_init(&diary.go_on, 0, 0);
	return errands_create(&errands, CAPACITY);
}

static int teardown(void **state)
{
	(void)state;
	errands_destroy(errands);
	errands = NULL;
	sem_destroy(&diary.done);
	sem_destroy(&diary.go_on);
	return 0;
}

static int post(struct errand *e, unsigned number)
{
	*e = (struct errand){ { .receive = run }, number, &diary };
	return mailbox_post(errands_box(errands), &e->mail);
}

static void they_run_on_a_thread_of_their_own(void **state)
{
	struct errand e;

	(void)state;
	assert_int_equal(post(&e, 1), 0);
	sem_wait(&diary.done);
	assert_false(pthread_equal(diary.thread, pthread_self()));
	assert_true(sigismember(&diary.blocked, SIGTERM));
	assert_true(sigismember(&diary.blocked, SIGHUP));
	assert_true(sigismember(&diary.blocked, SIGURG));
}

static void one_after_the_other(void **state)
{
	struct errand e[12];

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		while (post(&e[i], i) != 0)
			sem_wait(&diary.done); /* full */
	}
	errands_destroy(errands);
	errands = NULL;
	assert_int_equal(diary.n, 12);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(diary.numbers[i], i);
}

static void there_are_only_so_many(void **state)
{
	struct errand e[CAPACITY + 2];

	(void)state;
	diary.waits = true;
	assert_int_equal(post(&e[0], 0), 0);
	sem_wait(&diary.done); /* it is out of the box now */
	for (unsigned i = 1; i <= CAPACITY; i++)
		assert_int_equal(post(&e[i], i), 0);
	assert_int_equal(post(&e[CAPACITY + 1], 9), -EAGAIN);
	for (unsigned i = 0; i <= CAPACITY; i++)
		sem_post(&diary.go_on);
	errands_destroy(errands);
	errands = NULL;
	assert_int_equal(diary.n, CAPACITY + 1);
}

static void what_was_posted_is_done_before_the_end(void **state)
{
	struct errand e[3];

	(void)state;
	diary.waits = true;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(post(&e[i], i), 0);
	for (unsigned i = 0; i < 3; i++)
		sem_post(&diary.go_on);
	errands_destroy(errands);
	errands = NULL;
	assert_int_equal(diary.n, 3);
}

static void without_errands_it_ends(void **state)
{
	(void)state;
	errands_destroy(errands);
	errands = NULL;
	errands_destroy(NULL);
	assert_int_equal(diary.n, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(they_run_on_a_thread_of_their_own),
		TEST(one_after_the_other),
		TEST(there_are_only_so_many),
		TEST(what_was_posted_is_done_before_the_end),
		TEST(without_errands_it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
