#include "pool/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct mailbox {
	size_t capacity;
	void (*wake)(void *arg);
	void *arg;
	pthread_mutex_t lock; /* guards all that follows, and each
				 letter's links while it lies here */
	pthread_cond_t came;  /* `awaited` did, or the box closed */
	struct mail *first, *last;
	size_t n;
	bool drained; /* or being so, since the last wake */
	bool closed;
	struct mail *awaited; /* goes to mailbox_take(), not into the list */
	bool awaited_came;
};

static int init_condition(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int r;

	r = pthread_condattr_init(&attr);
	if (r)
		return -r;
	r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!r)
		r = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -r;
}

int mailbox_create(struct mailbox **ret, size_t capacity,
		   void (*wake)(void *arg), void *arg)
{
	struct mailbox *box;
	int r;

	box = calloc(1, sizeof(*box));
	if (!box)
		return -ENOMEM;
	r = -pthread_mutex_init(&box->lock, NULL);
	if (r)
		goto out_free;
	r = init_condition(&box->came);
	if (r)
		goto out_lock;
	box->capacity = capacity;
	box->wake = wake;
	box->arg = arg;
	*ret = box;
	return 0;

out_lock:
	pthread_mutex_destroy(&box->lock);
out_free:
	free(box);
	return r;
}

void mailbox_destroy(struct mailbox *box)
{
	if (!box)
		return;
	mailbox_close(box);
	while (mailbox_drain(box))
		;
	pthread_cond_destroy(&box->came);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

static void append(struct mailbox *box, struct mail *mail)
{
	mail->box = box;
	mail->next = NULL;
	mail->prev = box->last;
	if (box->last)
		box->last->next = mail;
	else
		box->first = mail;
	box->last = mail;
	box->n++;
}

static void detach(struct mailbox *box, struct mail *mail)
{
	if (mail->prev)
		mail->prev->next = mail->next;
	else
		box->first = mail->next;
	if (mail->next)
		mail->next->prev = mail->prev;
	else
		box->last = mail->prev;
	mail->next = NULL;
	mail->prev = NULL;
	mail->box = NULL;
	box->n--;
}

static int post(struct mailbox *box, struct mail *mail, size_t capacity)
{
	bool wake = false;
	int r = 0;

	pthread_mutex_lock(&box->lock);
	if (box->closed) {
		r = -ESHUTDOWN;
	} else if (box->awaited == mail) {
		box->awaited_came = true;
		pthread_cond_signal(&box->came);
	} else if (box->n >= capacity) {
		r = -EAGAIN;
	} else {
		wake = box->n == 0 || box->drained;
		box->drained = false;
		append(box, mail);
	}
	pthread_mutex_unlock(&box->lock);
	if (wake && box->wake)
		box->wake(box->arg);
	return r;
}

int mailbox_post(struct mailbox *box, struct mail *mail)
{
	return post(box, mail, box->capacity);
}

int mailbox_reply(struct mailbox *box, struct mail *mail)
{
	return post(box, mail, SIZE_MAX);
}

static struct mail *take_first(struct mailbox *box)
{
	struct mail *mail;

	pthread_mutex_lock(&box->lock);
	mail = box->first;
	if (mail)
		detach(box, mail);
	pthread_mutex_unlock(&box->lock);
	return mail;
}

/* One by one, and not the list as a whole: mail that has not been received
 * yet must be in the box, where mailbox_take() looks. */
unsigned mailbox_drain(struct mailbox *box)
{
	struct mail *mail;
	size_t left;
	unsigned n = 0;

	pthread_mutex_lock(&box->lock);
	left = box->n;
	box->drained = true;
	pthread_mutex_unlock(&box->lock);
	while (left-- > 0) {
		mail = take_first(box);
		if (!mail)
			break;
		mail->receive(mail);
		n++;
	}
	return n;
}

size_t mailbox_waiting(struct mailbox *box)
{
	size_t n;

	pthread_mutex_lock(&box->lock);
	n = box->n;
	pthread_mutex_unlock(&box->lock);
	return n;
}

static int await(struct mailbox *box, struct mail *mail,
		 const struct timespec *deadline)
{
	int r = 0;

	box->awaited = mail;
	box->awaited_came = false;
	while (!box->awaited_came && !box->closed && !r)
		r = pthread_cond_timedwait(&box->came, &box->lock, deadline);
	box->awaited = NULL;
	if (box->awaited_came)
		return 0;
	return box->closed ? -ESHUTDOWN : -ETIMEDOUT;
}

int mailbox_take(struct mailbox *box, struct mail *mail, int64_t deadline_us)
{
	struct timespec deadline = { 0, 0 };
	int r = 0;

	if (deadline_us > 0) {
		deadline.tv_sec = (time_t)(deadline_us / 1000000);
		deadline.tv_nsec = (long)(deadline_us % 1000000) * 1000;
	}
	pthread_mutex_lock(&box->lock);
	if (mail->box == box)
		detach(box, mail);
	else
		r = await(box, mail, &deadline);
	pthread_mutex_unlock(&box->lock);
	return r;
}

void mailbox_close(struct mailbox *box)
{
	pthread_mutex_lock(&box->lock);
	box->closed = true;
	pthread_cond_broadcast(&box->came);
	pthread_mutex_unlock(&box->lock);
}
