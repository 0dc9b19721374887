#include "pool/errands.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include "pool/mailbox.h"

struct errands {
	pthread_t thread;
	struct mailbox *box;
	sem_t mail; /* there is some, or it is over */
	_Atomic bool over;
};

static void wake(void *arg)
{
	struct errands *errands = arg;

	sem_post(&errands->mail);
}

static void *run(void *arg)
{
	struct errands *errands = arg;

	do {
		while (sem_wait(&errands->mail) != 0)
			; /* EINTR */
		mailbox_drain(errands->box);
	} while (!atomic_load(&errands->over));
	return NULL;
}

static int start(struct errands *errands)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r)
		return -r;
	r = pthread_create(&errands->thread, NULL, run, errands);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int errands_create(struct errands **ret, size_t capacity)
{
	struct errands *errands = calloc(1, sizeof(*errands));
	int err;

	if (!errands)
		return -ENOMEM;
	sem_init(&errands->mail, 0, 0);
	err = mailbox_create(&errands->box, capacity, wake, errands);
	if (!err)
		err = start(errands);
	if (!err) {
		*ret = errands;
		return 0;
	}
	mailbox_destroy(errands->box);
	sem_destroy(&errands->mail);
	free(errands);
	return err;
}

struct mailbox *errands_box(struct errands *errands)
{
	return errands->box;
}

void errands_destroy(struct errands *errands)
{
	if (!errands)
		return;
	mailbox_close(errands->box);
	atomic_store(&errands->over, true);
	sem_post(&errands->mail);
	pthread_join(errands->thread, NULL);
	mailbox_destroy(errands->box);
	sem_destroy(&errands->mail);
	free(errands);
}
