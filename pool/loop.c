#include "pool/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_PASS 128
/* So that timers which set each other cannot keep the descriptors waiting. */
#define TIMERS_PER_PASS 1024

#define WAKE_ID UINT64_MAX

struct watch {
	loop_fd_fn *fn; /* NULL when not watched */
	void *arg;
	uint32_t generation;
};

struct loop {
	int epoll_fd, wake_fd;
	struct watch *watches; /* by descriptor */
	size_t n_watches;
	struct loop_timer *timers; /* root of a pairing heap */
	/* While timers run: those that are set meanwhile, a heap likewise. */
	struct loop_timer *later;
	bool running;
	int64_t now_ms;
	/* loop_wake() sets `woken`, then looks at `polling`; the loop sets
	 * `polling`, then looks at `woken`. One of them sees the other. */
	struct {
		atomic_bool polling, woken;
	} shared;
};

int64_t loop_clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t loop_clock_ms(void)
{
	return loop_clock_us() / 1000;
}

int64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

void loop_catch_up(struct loop *loop)
{
	loop->now_ms = loop_clock_ms();
}

int loop_create(struct loop **ret)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = WAKE_ID };
	struct loop *loop;
	int r = 0;

	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	loop->now_ms = loop_clock_ms();
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->wake_fd < 0 || loop->epoll_fd < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &ev)) {
		r = -errno;
		loop_destroy(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	free(loop->watches);
	free(loop);
}

void loop_wake(struct loop *loop)
{
	uint64_t one = 1;
	int saved = errno;

	if (!atomic_exchange(&loop->shared.woken, true) &&
	    atomic_load(&loop->shared.polling)) {
		/* fails only when it is set already, which is as good */
		if (write(loop->wake_fd, &one, sizeof(one)) < 0)
			errno = saved;
	}
}

/*
 * Descriptors
 */

static int grow_watches(struct loop *loop, size_t fd)
{
	struct watch *grown;
	size_t n = loop->n_watches ? loop->n_watches : 64;

	while (n <= fd)
		n *= 2;
	grown = realloc(loop->watches, n * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + loop->n_watches, 0,
	       (n - loop->n_watches) * sizeof(*grown));
	loop->watches = grown;
	loop->n_watches = n;
	return 0;
}

static void unwatch(struct loop *loop, int fd)
{
	struct watch *w;

	if ((size_t)fd >= loop->n_watches || !loop->watches[fd].fn)
		return;
	w = &loop->watches[fd];
	w->fn = NULL;
	w->generation++;
	/* fails only when it was closed, and then epoll has forgotten it */
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* Whether `fd` is known to epoll may differ from what we think, because
 * closing a descriptor removes it there. */
static int tell_epoll(struct loop *loop, int fd, struct epoll_event *ev,
		      bool known)
{
	int op = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int other = known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (!epoll_ctl(loop->epoll_fd, op, fd, ev))
		return 0;
	if (errno != ENOENT && errno != EEXIST)
		return -errno;
	return epoll_ctl(loop->epoll_fd, other, fd, ev) ? -errno : 0;
}

int loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn,
	       void *arg)
{
	struct epoll_event ev = { 0 };
	struct watch *w;
	int r;

	if (fd < 0)
		return -EBADF;
	if (!events) {
		unwatch(loop, fd);
		return 0;
	}
	if ((size_t)fd >= loop->n_watches && grow_watches(loop, (size_t)fd))
		return -ENOMEM;
	w = &loop->watches[fd];
	ev.events = (events & LOOP_READ ? EPOLLIN : 0u) |
		    (events & LOOP_WRITE ? EPOLLOUT : 0u);
	ev.data.u64 = (uint64_t)(w->generation + 1) << 32 | (uint32_t)fd;
	r = tell_epoll(loop, fd, &ev, w->fn != NULL);
	if (r)
		return r;
	w->fn = fn;
	w->arg = arg;
	w->generation++;
	return 0;
}

static void run_event(struct loop *loop, const struct epoll_event *ev)
{
	uint32_t fd = (uint32_t)ev->data.u64;
	uint32_t generation = (uint32_t)(ev->data.u64 >> 32);
	const struct watch *w = &loop->watches[fd];
	unsigned events;

	if (!w->fn || w->generation != generation)
		return;
	events = (ev->events & EPOLLIN ? LOOP_READ : 0) |
		 (ev->events & EPOLLOUT ? LOOP_WRITE : 0) |
		 (ev->events & (EPOLLERR | EPOLLHUP) ? LOOP_ERROR : 0);
	w->fn(loop, (int)fd, events, w->arg);
}

/*
 * Timers: a pairing heap. The first child's `prev` is its parent.
 */

static struct loop_timer *heap_merge(struct loop_timer *a, struct loop_timer *b)
{
	struct loop_timer *later;

	if (!a || !b)
		return a ? a : b;
	if (b->due_ms < a->due_ms) {
		later = a;
		a = b;
		b = later;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	a->child = b;
	a->prev = NULL;
	a->next = NULL;
	return a;
}

/* One heap of a chain of siblings: merge them in pairs, then the pairs. */
static struct loop_timer *heap_merge_siblings(struct loop_timer *first)
{
	struct loop_timer *pairs = NULL, *root = NULL, *a, *b;

	while (first) {
		a = first;
		b = a->next;
		first = b ? b->next : NULL;
		a->next = NULL;
		if (b)
			b->next = NULL;
		a = heap_merge(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		a = pairs;
		pairs = a->next;
		a->next = NULL;
		root = heap_merge(root, a);
	}
	return root;
}

/* Of a timer that is no root; what was below it is due no sooner. */
static void put_in_place(struct loop_timer *t, struct loop_timer *below)
{
	struct loop_timer *next = below ? below : t->next;

	if (below) {
		below->prev = t->prev;
		below->next = t->next;
		if (t->next)
			t->next->prev = below;
	} else if (t->next) {
		t->next->prev = t->prev;
	}
	if (t->prev->child == t)
		t->prev->child = next;
	else
		t->prev->next = next;
}

static void heap_remove(struct loop *loop, struct loop_timer *t)
{
	struct loop_timer *below = heap_merge_siblings(t->child);

	if (below) {
		below->prev = NULL;
		below->next = NULL;
	}
	if (t == loop->timers)
		loop->timers = below;
	else if (t == loop->later)
		loop->later = below;
	else
		put_in_place(t, below);
	t->child = NULL;
	t->next = NULL;
	t->prev = NULL;
	t->due_ms = 0;
}

void loop_timer_set(struct loop *loop, struct loop_timer *t, int64_t due_ms)
{
	loop_timer_cancel(loop, t);
	t->due_ms = due_ms > 0 ? due_ms : 1;
	if (loop->running)
		loop->later = heap_merge(loop->later, t);
	else
		loop->timers = heap_merge(loop->timers, t);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *t)
{
	if (t->due_ms)
		heap_remove(loop, t);
}

static void run_timers(struct loop *loop)
{
	struct loop_timer *t;
	unsigned n = 0;

	loop->running = true;
	while (loop->timers && loop->timers->due_ms <= loop->now_ms &&
	       n++ < TIMERS_PER_PASS) {
		t = loop->timers;
		heap_remove(loop, t);
		t->fn(loop, t->arg);
	}
	loop->running = false;
	loop->timers = heap_merge(loop->timers, loop->later);
	loop->later = NULL;
}

/*
 * One pass
 */

static int poll_timeout(const struct loop *loop)
{
	int64_t left;

	if (!loop->timers)
		return -1;
	left = loop->timers->due_ms - loop_clock_ms();
	if (left <= 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

static int wait_for_events(struct loop *loop, struct epoll_event *evs, int max)
{
	int timeout = poll_timeout(loop);
	int n;

	atomic_store(&loop->shared.polling, true);
	if (atomic_load(&loop->shared.woken))
		timeout = 0;
	n = epoll_wait(loop->epoll_fd, evs, max, timeout);
	if (n < 0)
		n = errno == EINTR ? 0 : -errno;
	atomic_store(&loop->shared.polling, false);
	atomic_store(&loop->shared.woken, false);
	loop->now_ms = loop_clock_ms();
	return n;
}

static void clear_wake(struct loop *loop)
{
	uint64_t count;

	/* not blocking; that it was set is all there is to know */
	if (read(loop->wake_fd, &count, sizeof(count)) < 0)
		return;
}

int loop_run_once(struct loop *loop)
{
	struct epoll_event evs[EVENTS_PER_PASS];
	int i, n;

	n = wait_for_events(loop, evs, EVENTS_PER_PASS);
	if (n < 0)
		return n;
	for (i = 0; i < n; i++) {
		if (evs[i].data.u64 == WAKE_ID)
			clear_wake(loop);
		else
			run_event(loop, &evs[i]);
	}
	run_timers(loop);
	return 0;
}
