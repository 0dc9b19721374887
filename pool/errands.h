/*
 * errands.h - a thread for what may take its time: reading and writing files,
 * which neither of the other threads may wait for.
 *
 * Mail posted to its box is received on that thread, one after the other.
 * What comes of it goes back as mail.
 */
#ifndef POOL_ERRANDS_H
#define POOL_ERRANDS_H

#include <stddef.h>

struct errands;
struct mailbox;

/* Start the thread, with all signals blocked; its box takes `capacity` at a
 * time. Returns 0 or -errno. */
int errands_create(struct errands **ret, size_t capacity);

/* Any thread may post to it. */
struct mailbox *errands_box(struct errands *errands);

/* Take no more mail, receive what is there, and join the thread. The creator's
 * thread. NULL is fine. */
void errands_destroy(struct errands *errands);

#endif /* POOL_ERRANDS_H */
