/*
 * loop.h - file descriptors and timers of one thread (epoll).
 *
 * Every function but loop_wake() belongs to the thread that runs the loop,
 * or to its creator before that thread starts.
 */
#ifndef POOL_LOOP_H
#define POOL_LOOP_H

#include <stdint.h>

struct loop;

typedef void loop_fd_fn(struct loop *loop, int fd, unsigned events, void *arg);
typedef void loop_timer_fn(struct loop *loop, void *arg);

/* A timer is the caller's memory. Zero it before first use, and leave it in
 * place while it is set. */
struct loop_timer {
	struct loop_timer *child, *next, *prev; /* private */
	int64_t due_ms;                         /* private; 0 when not set */
	loop_timer_fn *fn;
	void *arg;
};

/* Returns 0 or -errno. */
int loop_create(struct loop **ret);

/* What it watched stays open, timers are forgotten. NULL is fine. */
void loop_destroy(struct loop *loop);

/*
 * Watch `fd` for LOOP_READ and LOOP_WRITE, in place of what it was watched
 * for; 0 stops watching and cannot fail. Level-triggered. The loop never
 * closes `fd`; closing a watched one stops the watching, and the number may
 * then be watched anew. Events of one wake-up that were meant for an earlier
 * watch of the same number are dropped.
 * Returns 0, -ENOMEM or -errno of epoll_ctl(); on failure nothing changed.
 */
#define LOOP_READ  (1u << 0)
#define LOOP_WRITE (1u << 1)
#define LOOP_ERROR (1u << 2) /* reported, never asked for */
int loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn,
	       void *arg);

/* Set or move a timer, which then fires once; cancel an unset one freely.
 * Neither can fail. One set from a timer's function fires in a later pass. */
void loop_timer_set(struct loop *loop, struct loop_timer *t, int64_t due_ms);
void loop_timer_cancel(struct loop *loop, struct loop_timer *t);

/* Wait for and run what is due, once: descriptors first, then timers.
 * Returns 0 or -errno. */
int loop_run_once(struct loop *loop);

/* Make the loop_run_once() that waits, or else the next one, return soon.
 * Any thread, and signal handlers. Wakes coalesce. */
void loop_wake(struct loop *loop);

/* The clock as of the last wake-up, so one pass sees one time; and set it to
 * now, for who comes to a loop that has not run for a while. */
int64_t loop_now_ms(const struct loop *loop);
void loop_catch_up(struct loop *loop);

/* Milliseconds and microseconds of CLOCK_MONOTONIC: the one place that reads
 * it. Any thread. */
int64_t loop_clock_ms(void);
int64_t loop_clock_us(void);

#endif /* POOL_LOOP_H */
