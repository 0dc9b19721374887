/*
 * mailbox.h - hand a message to the one thread that reads this mailbox.
 *
 * Many senders, one receiver. Whatever two threads share travels as mail. A
 * sent message belongs to the receiver; the sender clears its pointer.
 */
#ifndef POOL_MAILBOX_H
#define POOL_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

struct mailbox;

/* Embed in what you send, as its first member or found by offset. Zero it
 * before first use. */
struct mail {
	struct mail *next, *prev; /* private */
	struct mailbox *box;      /* private: where it lies */
	/* Runs on the receiver, unlocked, and takes ownership of `self`. */
	void (*receive)(struct mail *self);
};

/*
 * `wake(arg)` tells the receiver there is mail. It runs on the sender's
 * thread, unlocked, only for the first mail since the box was empty or the
 * last drain began: calls coalesce, so the receiver must drain. Mail that
 * mailbox_take() waits for does not count and wakes nobody else. `wake` may
 * be NULL. Returns 0 or -errno.
 */
int mailbox_create(struct mailbox **ret, size_t capacity,
		   void (*wake)(void *arg), void *arg);

/* Only once no sender is left, on the receiver's thread. Mail still in it
 * goes to receive(). NULL is fine. */
void mailbox_destroy(struct mailbox *box);

/*
 * Any thread. Returns 0 and owns `mail`; or -EAGAIN (full), -ESHUTDOWN
 * (closed), and then the caller still owns it.
 */
int mailbox_post(struct mailbox *box, struct mail *mail);

/* As mailbox_post(), but past the capacity: for replies, which the request
 * already paid for. Fails only with -ESHUTDOWN. */
int mailbox_reply(struct mailbox *box, struct mail *mail);

/* Receiver only. Runs receive() on all mail that was in the box, oldest
 * first. Returns how many. A receive() may take from and post to the box;
 * what it posts stays for the next time. */
unsigned mailbox_drain(struct mailbox *box);

/* How many lie in the box. Any thread. */
size_t mailbox_waiting(struct mailbox *box);

/*
 * Receiver only. Wait until `mail` is in the box, take it out and leave the
 * rest: for a caller that must not run other people's receive() here.
 * `deadline_us` is of CLOCK_MONOTONIC. Returns 0 and ownership of `mail`; or
 * -ETIMEDOUT, -ESHUTDOWN (closed, and it is not there), and none.
 */
int mailbox_take(struct mailbox *box, struct mail *mail, int64_t deadline_us);

/* From here on every post fails. Any thread; more than once is fine. */
void mailbox_close(struct mailbox *box);

#endif /* POOL_MAILBOX_H */
