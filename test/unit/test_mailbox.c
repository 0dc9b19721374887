/* test_mailbox.c - pool/mailbox.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "pool/mailbox.h"

#define CAPACITY   4
#define SENDERS    4
#define PER_SENDER 5000

struct letter {
	struct mail mail;
	struct tray *tray;
	unsigned number, sender;
	struct letter *send_on; /* posted when this one is received */
	struct letter *take_on; /* taken then */
};

struct tray {
	struct mailbox *box;
	atomic_uint wakes;
	unsigned n;
	unsigned numbers[64];
};

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void note_wake(void *arg)
{
	struct tray *tray = arg;

	atomic_fetch_add(&tray->wakes, 1);
}

static void receive(struct mail *self)
{
	struct letter *l = (struct letter *)self;

	if (l->tray->n < 64)
		l->tray->numbers[l->tray->n] = l->number;
	l->tray->n++;
	if (l->send_on)
		assert_int_equal(mailbox_post(l->tray->box, &l->send_on->mail),
				 0);
	if (l->take_on)
		assert_int_equal(
			mailbox_take(l->tray->box, &l->take_on->mail, 0), 0);
}

static int set_up(void **state)
{
	struct tray *tray = calloc(1, sizeof(*tray));

	if (!tray || mailbox_create(&tray->box, CAPACITY, note_wake, tray))
		return -1;
	*state = tray;
	return 0;
}

static int tear_down(void **state)
{
	struct tray *tray = *state;

	mailbox_destroy(tray->box);
	free(tray);
	return 0;
}

static struct letter letter(struct tray *tray, unsigned number)
{
	struct letter l = { .mail = { .receive = receive },
			    .tray = tray,
			    .number = number };

	return l;
}

static void post(struct tray *tray, struct letter *l)
{
	assert_int_equal(mailbox_post(tray->box, &l->mail), 0);
}

static void test_drains_in_order(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1), b = letter(tray, 2),
		      c = letter(tray, 3);

	post(tray, &a);
	post(tray, &b);
	post(tray, &c);
	assert_int_equal(mailbox_waiting(tray->box), 3);
	assert_int_equal(mailbox_drain(tray->box), 3);
	assert_int_equal(tray->numbers[0], 1);
	assert_int_equal(tray->numbers[1], 2);
	assert_int_equal(tray->numbers[2], 3);
	assert_int_equal(mailbox_waiting(tray->box), 0);
	assert_int_equal(mailbox_drain(tray->box), 0);
}

static void test_full_box_refuses_posts_but_no_replies(void **state)
{
	struct tray *tray = *state;
	struct letter l[CAPACITY + 1];
	unsigned i;

	for (i = 0; i <= CAPACITY; i++)
		l[i] = letter(tray, i);
	for (i = 0; i < CAPACITY; i++)
		post(tray, &l[i]);
	assert_int_equal(mailbox_post(tray->box, &l[CAPACITY].mail), -EAGAIN);
	assert_int_equal(mailbox_waiting(tray->box), CAPACITY);
	assert_int_equal(mailbox_reply(tray->box, &l[CAPACITY].mail), 0);
	assert_int_equal(mailbox_drain(tray->box), CAPACITY + 1);
	assert_int_equal(tray->n, CAPACITY + 1);
	post(tray, &l[0]);
	mailbox_drain(tray->box);
}

static void test_closed_box_refuses_all(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1), b = letter(tray, 2);

	post(tray, &a);
	mailbox_close(tray->box);
	mailbox_close(tray->box);
	assert_int_equal(mailbox_post(tray->box, &b.mail), -ESHUTDOWN);
	assert_int_equal(mailbox_reply(tray->box, &b.mail), -ESHUTDOWN);
	assert_int_equal(mailbox_drain(tray->box), 1);
}

static void test_wakes_for_the_first_only(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1), b = letter(tray, 2);

	post(tray, &a);
	post(tray, &b);
	assert_int_equal(tray->wakes, 1);
	mailbox_drain(tray->box);
	assert_int_equal(tray->wakes, 1);
	post(tray, &a);
	assert_int_equal(tray->wakes, 2);
	mailbox_drain(tray->box);
}

/* Or else the receiver, who thinks that it has drained the box, sleeps. */
static void test_wakes_for_mail_that_comes_during_a_drain(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1), b = letter(tray, 2),
		      c = letter(tray, 3);

	a.send_on = &c;
	post(tray, &a);
	post(tray, &b);
	assert_int_equal(mailbox_drain(tray->box), 2);
	assert_int_equal(tray->n, 2);
	assert_int_equal(mailbox_waiting(tray->box), 1);
	assert_int_equal(tray->wakes, 2);
	assert_int_equal(mailbox_drain(tray->box), 1);
	assert_int_equal(tray->numbers[2], 3);
}

static void test_take_leaves_the_rest(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1), b = letter(tray, 2),
		      c = letter(tray, 3);

	post(tray, &a);
	post(tray, &b);
	post(tray, &c);
	assert_int_equal(mailbox_take(tray->box, &b.mail, 0), 0);
	assert_int_equal(tray->n, 0);
	assert_int_equal(mailbox_drain(tray->box), 2);
	assert_int_equal(tray->numbers[0], 1);
	assert_int_equal(tray->numbers[1], 3);
}

static void test_take_during_a_drain(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1), b = letter(tray, 2);

	a.take_on = &b;
	post(tray, &a);
	post(tray, &b);
	assert_int_equal(mailbox_drain(tray->box), 1);
	assert_int_equal(tray->n, 1);
}

static void test_take_times_out(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1), b = letter(tray, 2);
	int64_t before = now_us();

	post(tray, &a);
	assert_int_equal(mailbox_take(tray->box, &b.mail, before + 20000),
			 -ETIMEDOUT);
	assert_in_range(now_us() - before, 20000, 5000000);
	/* it is nobody's yet, and may come late */
	post(tray, &b);
	assert_int_equal(mailbox_drain(tray->box), 2);
}

struct sending {
	struct tray *tray;
	struct letter *letters;
	unsigned n;
};

static void *send_late(void *arg)
{
	struct sending *s = arg;
	unsigned i;

	poll(NULL, 0, 10); /* so that the taker waits by then, most likely */
	for (i = 0; i < s->n; i++)
		mailbox_reply(s->tray->box, &s->letters[i].mail);
	return NULL;
}

static void test_take_waits_and_wakes_nobody(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1);
	struct sending s = { tray, &a, 1 };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, send_late, &s), 0);
	assert_int_equal(mailbox_take(tray->box, &a.mail, now_us() + 10000000),
			 0);
	pthread_join(thread, NULL);
	assert_int_equal(tray->wakes, 0);
	assert_int_equal(mailbox_waiting(tray->box), 0);
	assert_int_equal(mailbox_drain(tray->box), 0);
}

static void test_take_waits_while_others_come(void **state)
{
	struct tray *tray = *state;
	struct letter l[3] = { letter(tray, 1), letter(tray, 2),
			       letter(tray, 3) };
	struct sending s = { tray, l, 3 };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, send_late, &s), 0);
	assert_int_equal(
		mailbox_take(tray->box, &l[1].mail, now_us() + 10000000), 0);
	pthread_join(thread, NULL);
	assert_int_equal(tray->wakes, 1);
	assert_int_equal(mailbox_drain(tray->box), 2);
	assert_int_equal(tray->numbers[1], 3);
}

static void *close_late(void *arg)
{
	struct tray *tray = arg;

	poll(NULL, 0, 10); /* so that the taker waits by then, most likely */
	mailbox_close(tray->box);
	return NULL;
}

static void test_closing_ends_a_take(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, close_late, tray), 0);
	assert_int_equal(mailbox_take(tray->box, &a.mail, now_us() + 10000000),
			 -ESHUTDOWN);
	pthread_join(thread, NULL);
}

static void test_destroy_receives_what_is_left(void **state)
{
	struct tray *tray = *state;
	struct letter a = letter(tray, 1);
	struct mailbox *box;

	assert_int_equal(mailbox_create(&box, 1, NULL, NULL), 0);
	assert_int_equal(mailbox_post(box, &a.mail), 0);
	mailbox_destroy(box);
	assert_int_equal(tray->n, 1);
	mailbox_destroy(NULL);
}

/*
 * Many senders: all mail comes once, each sender's in order.
 */

static atomic_uint next_of[SENDERS];

static void receive_in_order(struct mail *self)
{
	struct letter *l = (struct letter *)self;

	assert_int_equal(l->number, atomic_fetch_add(&next_of[l->sender], 1));
	l->tray->n++;
}

static void *send_many(void *arg)
{
	struct sending *s = arg;
	unsigned i;

	for (i = 0; i < s->n; i++) {
		while (mailbox_post(s->tray->box, &s->letters[i].mail))
			sched_yield();
	}
	return NULL;
}

static void test_many_senders(void **state)
{
	struct tray *tray = *state;
	struct sending s[SENDERS];
	pthread_t threads[SENDERS];
	unsigned i, j;

	for (i = 0; i < SENDERS; i++) {
		s[i] = (struct sending){ tray, NULL, PER_SENDER };
		s[i].letters = calloc(PER_SENDER, sizeof(*s[i].letters));
		assert_non_null(s[i].letters);
		for (j = 0; j < PER_SENDER; j++) {
			s[i].letters[j] = letter(tray, j);
			s[i].letters[j].sender = i;
			s[i].letters[j].mail.receive = receive_in_order;
		}
		assert_int_equal(
			pthread_create(&threads[i], NULL, send_many, &s[i]), 0);
	}
	while (tray->n < SENDERS * PER_SENDER) {
		if (!mailbox_drain(tray->box))
			sched_yield();
	}
	for (i = 0; i < SENDERS; i++) {
		pthread_join(threads[i], NULL);
		free(s[i].letters);
	}
	assert_int_equal(mailbox_drain(tray->box), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_drains_in_order),
		TEST(test_full_box_refuses_posts_but_no_replies),
		TEST(test_closed_box_refuses_all),
		TEST(test_wakes_for_the_first_only),
		TEST(test_wakes_for_mail_that_comes_during_a_drain),
		TEST(test_take_leaves_the_rest),
		TEST(test_take_during_a_drain),
		TEST(test_take_times_out),
		TEST(test_take_waits_and_wakes_nobody),
		TEST(test_take_waits_while_others_come),
		TEST(test_closing_ends_a_take),
		TEST(test_destroy_receives_what_is_left),
		TEST(test_many_senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
