#include "pool/pool.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "pool/breaker.h"
#include "pool/call.h"
#include "pool/endpoint.h"
#include "pool/hold.h"
#include "pool/loop.h"
#include "pool/mailbox.h"
#include "pool/transport.h"

/* Calls and other mail that the dispatcher has not come to yet. It empties
 * its box in every pass; this is for when it cannot keep up. */
#define BOX_CAPACITY 65536
#define BOX_BYTES    (64 * 1024 * 1024)

#define REWAKE_MS 1

/* Endpoints by name, ascending, with their limits and ways as configured. */
struct entry {
	struct endpoint *ep;
	struct pool_endpoint_opts opts; /* but for what points elsewhere */
	char *url;
	struct transport *way; /* one reference */
};

struct table {
	size_t n;
	struct entry at[];
};

struct pool {
	struct mailbox *owner_box, *loop_box;

	/* The owner's. */
	unsigned open; /* calls whose done has not run */
	bool started, stopped;
	pthread_t thread;
	struct hold *hold;
	unsigned version; /* of the table, as of its last look */

	/* Immutable. */
	void (*wake)(void *arg);
	void *wake_arg;

	/* The dispatcher's; the owner's while that does not run. */
	struct loop *loop;
	struct loop_timer rewake;
	struct endpoint *retired; /* removed, with calls to finish */
	size_t calls;             /* that it has and must answer */
	bool draining, stopping;
	struct loop_timer drained; /* ends the draining */
	struct mail stop_mail;
	uint32_t drain_ms; /* the owner's until it posts stop_mail */

	/*
	 * The one lock beside the mailboxes'. The dispatcher alone replaces
	 * the table, and so reads it freely; it holds the lock for that, and
	 * others for a look-up of counters. Nothing is called with it held.
	 */
	struct {
		pthread_mutex_t lock;
		struct table *table;
		/* How many tables were sent, and how many have arrived. */
		_Atomic unsigned sent, version;
		atomic_bool news;           /* for the owner, and no wake yet */
		_Atomic uint64_t box_bytes; /* bodies in loop_box */
	} shared;
};

int64_t pool_now_ms(void)
{
	return loop_clock_ms();
}

int64_t pool_now_us(void)
{
	return loop_clock_us();
}

/*
 * The table of endpoints
 */

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(endpoint_name(x->ep), endpoint_name(y->ep));
}

static int compare_name(const void *name, const void *at)
{
	const struct entry *entry = at;

	return strcmp(name, endpoint_name(entry->ep));
}

static struct entry *table_find(struct table *table, const char *name)
{
	if (!table || !table->n)
		return NULL;
	return bsearch(name, table->at, table->n, sizeof(struct entry),
		       compare_name);
}

/* But for the endpoints. */
static void table_free(struct table *table)
{
	size_t i;

	if (!table)
		return;
	for (i = 0; i < table->n; i++) {
		transport_unref(table->at[i].way);
		free(table->at[i].url);
	}
	free(table);
}

static void table_destroy(struct table *table)
{
	size_t i;

	if (!table)
		return;
	for (i = 0; i < table->n; i++)
		endpoint_destroy(table->at[i].ep);
	table_free(table);
}

static bool has_duplicates(const struct table *table)
{
	size_t i;

	for (i = 1; i < table->n; i++) {
		if (!compare_entries(&table->at[i - 1], &table->at[i]))
			return true;
	}
	return false;
}

static void on_ended(struct pool_call *call, void *arg);

static int entry_init(struct entry *entry, struct pool *pool,
		      const struct pool_endpoint_opts *opts)
{
	char *url = strdup(opts->url);
	int r;

	if (!url)
		return -ENOMEM;
	r = endpoint_create(&entry->ep, pool->loop, opts, on_ended, pool);
	if (r) {
		free(url);
		return r;
	}
	entry->url = url;
	entry->opts = *opts;
	entry->opts.name = entry->opts.url = NULL;
	entry->opts.transport = (struct pool_transport){ .no_verify = false };
	entry->way = transport_ref(endpoint_way(entry->ep));
	return 0;
}

static int table_create(struct table **ret, struct pool *pool,
			const struct pool_endpoint_opts *eps, size_t n)
{
	struct table *table;
	size_t i;
	int r = 0;

	table = calloc(1, sizeof(*table) + n * sizeof(struct entry));
	if (!table)
		return -ENOMEM;
	for (i = 0; i < n && !r; i++) {
		r = entry_init(&table->at[i], pool, &eps[i]);
		if (!r)
			table->n++;
	}
	if (!r && n > 1) {
		qsort(table->at, n, sizeof(struct entry), compare_entries);
		if (has_duplicates(table))
			r = -EINVAL;
	}
	if (r) {
		table_destroy(table);
		return r;
	}
	*ret = table;
	return 0;
}

/*
 * Configuration: a new table travels to the dispatcher, which moves the
 * endpoints that stay from the old one into it.
 */

struct configuration {
	struct mail mail;
	struct pool *pool;
	struct table *table;
};

/* Take the endpoint `name` out of those that finish their last calls. */
static struct endpoint *unretire(struct pool *pool, const char *name)
{
	struct endpoint *ep, *before = NULL;

	for (ep = pool->retired; ep; ep = endpoint_next(ep)) {
		if (!strcmp(endpoint_name(ep), name))
			break;
		before = ep;
	}
	if (!ep)
		return NULL;
	if (before)
		endpoint_set_next(before, endpoint_next(ep));
	else
		pool->retired = endpoint_next(ep);
	return ep;
}

static void retire(struct pool *pool, struct endpoint *ep)
{
	endpoint_set_next(ep, pool->retired);
	pool->retired = ep;
}

/* Who comes while another way to the same URL is paused, is paused, too. */
static void follow_pause(const struct table *table, const char *url,
			 struct breaker *b)
{
	size_t i;

	breaker_pause(b, false, 0);
	for (i = 0; table && i < table->n; i++) {
		int64_t since =
			breaker_paused_ms(endpoint_breaker(table->at[i].ep));

		if (since && !strcmp(table->at[i].url, url))
			breaker_pause(b, true, since);
	}
}

/* Whoever has the name already takes the place of the new one, with its
 * limits, and its way if that is another. The new one has had no call. */
static void keep_known(struct pool *pool, struct entry *entry)
{
	const char *name = endpoint_name(entry->ep);
	struct entry *known = table_find(pool->shared.table, name);
	struct endpoint *ep;

	ep = known ? known->ep : unretire(pool, name);
	if (!known)
		follow_pause(pool->shared.table, entry->url,
			     endpoint_breaker(ep ? ep : entry->ep));
	if (!ep)
		return;
	endpoint_adopt(ep, entry->ep);
	endpoint_destroy(entry->ep);
	entry->ep = ep;
	transport_unref(entry->way);
	entry->way = transport_ref(endpoint_way(ep));
}

static void retire_missing(struct pool *pool, const struct table *old,
			   struct table *table)
{
	size_t i;

	for (i = 0; i < old->n; i++) {
		if (!table_find(table, endpoint_name(old->at[i].ep)))
			retire(pool, old->at[i].ep);
	}
}

static void receive_configuration(struct mail *mail)
{
	struct configuration *c = (struct configuration *)mail;
	struct pool *pool = c->pool;
	struct table *old = pool->shared.table;
	size_t i;

	if (pool->stopping) {
		table_destroy(c->table);
		free(c);
		return;
	}
	for (i = 0; i < c->table->n; i++)
		keep_known(pool, &c->table->at[i]);
	pthread_mutex_lock(&pool->shared.lock);
	pool->shared.table = c->table;
	pthread_mutex_unlock(&pool->shared.lock);
	atomic_fetch_add(&pool->shared.version, 1);
	if (old)
		retire_missing(pool, old, c->table);
	table_free(old);
	free(c);
}

int pool_configure(struct pool *pool, const struct pool_endpoint_opts *eps,
		   size_t n)
{
	struct configuration *c;
	int r;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->mail.receive = receive_configuration;
	c->pool = pool;
	r = table_create(&c->table, pool, eps, n);
	if (r)
		goto out_free;
	atomic_fetch_add(&pool->shared.sent, 1);
	/* past the capacity, so that a full box cannot refuse it */
	r = mailbox_reply(pool->loop_box, &c->mail);
	if (r)
		goto out_table;
	return 0;

out_table:
	atomic_fetch_sub(&pool->shared.sent, 1);
	table_destroy(c->table);
out_free:
	free(c);
	return r;
}

int pool_get_stats(struct pool *pool, const char *endpoint,
		   struct pool_endpoint_stats *ret)
{
	struct entry *entry;
	int r = -ENOENT;

	pthread_mutex_lock(&pool->shared.lock);
	entry = table_find(pool->shared.table, endpoint);
	if (entry) {
		endpoint_get_stats(entry->ep, ret);
		r = 0;
	}
	pthread_mutex_unlock(&pool->shared.lock);
	return r;
}

bool pool_is_full(struct pool *pool, const char *endpoint, unsigned stream)
{
	struct entry *entry;
	bool full = false;

	pthread_mutex_lock(&pool->shared.lock);
	entry = table_find(pool->shared.table, endpoint);
	if (entry && endpoint_is_full(entry->ep, stream)) {
		endpoint_count_refused(entry->ep);
		full = true;
	}
	pthread_mutex_unlock(&pool->shared.lock);
	return full;
}

enum pool_look pool_look(struct pool *pool, const char *endpoint)
{
	enum pool_look look = POOL_LOOK_GOOD;
	struct entry *entry;
	struct breaker *b;

	pthread_mutex_lock(&pool->shared.lock);
	entry = table_find(pool->shared.table, endpoint);
	b = entry ? endpoint_breaker(entry->ep) : NULL;
	if (b && breaker_is_paused(b))
		look = POOL_LOOK_PAUSED;
	else if (b && breaker_is_open_for_holding(b))
		look = breaker_claim_probe(b, loop_clock_ms()) ? POOL_LOOK_PROBE
							       : POOL_LOOK_OPEN;
	pthread_mutex_unlock(&pool->shared.lock);
	return look;
}

static void give_up(struct pool *pool, const char *endpoint)
{
	struct entry *entry;

	pthread_mutex_lock(&pool->shared.lock);
	entry = table_find(pool->shared.table, endpoint);
	if (entry)
		breaker_gave_up(endpoint_breaker(entry->ep), loop_clock_ms());
	pthread_mutex_unlock(&pool->shared.lock);
}

static void count_refused(struct pool *pool, const char *endpoint)
{
	struct entry *entry;

	pthread_mutex_lock(&pool->shared.lock);
	entry = table_find(pool->shared.table, endpoint);
	if (entry)
		endpoint_count_refused(entry->ep);
	pthread_mutex_unlock(&pool->shared.lock);
}

/*
 * Pausing: at once for what comes, and by mail for what waits
 */

struct pausing {
	struct mail mail;
	struct pool *pool;
	char endpoint[];
};

static void receive_pausing(struct mail *mail)
{
	struct pausing *pausing = (struct pausing *)mail;
	struct pool *pool = pausing->pool;
	struct table *table = pool->shared.table;
	struct entry *entry = table_find(table, pausing->endpoint);
	size_t i;

	for (i = 0; entry && !pool->stopping && i < table->n; i++) {
		if (!strcmp(table->at[i].url, entry->url))
			endpoint_look_again(table->at[i].ep);
	}
	free(pausing);
}

/* Returns whether the endpoint is known. */
static bool set_paused(struct pool *pool, const char *endpoint, bool paused)
{
	int64_t now = loop_clock_ms();
	struct table *table;
	struct entry *entry;
	size_t i;

	pthread_mutex_lock(&pool->shared.lock);
	table = pool->shared.table;
	entry = table_find(table, endpoint);
	for (i = 0; entry && i < table->n; i++) {
		if (!strcmp(table->at[i].url, entry->url))
			breaker_pause(endpoint_breaker(table->at[i].ep), paused,
				      now);
	}
	pthread_mutex_unlock(&pool->shared.lock);
	return entry != NULL;
}

int pool_pause(struct pool *pool, const char *endpoint, bool paused)
{
	size_t size = strlen(endpoint) + 1;
	struct pausing *pausing = calloc(1, sizeof(*pausing) + size);

	if (!pausing)
		return -ENOMEM;
	pausing->mail.receive = receive_pausing;
	pausing->pool = pool;
	memcpy(pausing->endpoint, endpoint, size);
	if (!set_paused(pool, endpoint, paused)) {
		free(pausing);
		return -ENOENT;
	}
	if (!mailbox_reply(pool->loop_box, &pausing->mail))
		return 0;
	free(pausing);
	return -ESHUTDOWN; /* what was set ends with the pool */
}

/*
 * Calls, on the dispatcher
 */

static void answer(struct pool *pool, struct pool_call *call)
{
	int64_t took = loop_now_ms(pool->loop) - call->submitted_ms;

	pool->calls--;
	call_forget_body(call);
	call->reply.elapsed_ms = took > 0 ? (uint32_t)took : 0;
	call_note_times(call, loop_clock_us());
	/* The box is closed only when no call is left. */
	mailbox_reply(pool->owner_box, &call->answer);
}

static void on_ended(struct pool_call *call, void *arg)
{
	answer(arg, call);
}

static struct pool_call *call_of_request(struct mail *mail)
{
	return (struct pool_call *)(void *)((char *)mail -
					    offsetof(struct pool_call,
						     request));
}

/* Its endpoint is one of those that only finish their calls. */
static void submit_trial(struct pool *pool, struct pool_call *call)
{
	struct endpoint *ep = call->trial;

	call->trial = NULL;
	retire(pool, ep);
	endpoint_submit(ep, call);
}

static void receive_request(struct mail *mail)
{
	struct pool_call *call = call_of_request(mail);
	struct pool *pool = call->pool;
	struct entry *entry;

	pool->calls++;
	atomic_fetch_sub_explicit(&pool->shared.box_bytes, call->body_len,
				  memory_order_relaxed);
	if (pool->stopping || (pool->draining && call->kind != POOL_TELL)) {
		endpoint_destroy(call->trial);
		call_fail(call, -ECANCELED, "the broker is stopping");
		answer(pool, call);
		return;
	}
	if (call->trial) {
		submit_trial(pool, call);
		return;
	}
	entry = table_find(pool->shared.table, call->endpoint);
	if (!entry) {
		call_fail(call, -ENOENT, "the endpoint is not configured");
		answer(pool, call);
		return;
	}
	endpoint_submit(entry->ep, call);
}

/*
 * Calls, on the owner's thread
 */

static void finish(struct pool_call *call)
{
	call->pool->open--;
	call->done(&call->reply, call->done_arg);
	call_destroy(call);
}

static void receive_answer(struct mail *mail)
{
	finish((struct pool_call *)(void *)((char *)mail -
					    offsetof(struct pool_call,
						     answer)));
}

/* One that went its way on this thread. */
static void finish_own(struct pool_call *call, void *arg)
{
	int64_t now_us = loop_clock_us();
	int64_t took = now_us / 1000 - call->submitted_ms;

	(void)arg;
	call->reply.elapsed_ms = took > 0 ? (uint32_t)took : 0;
	call_note_times(call, now_us);
	finish(call);
}

/* Whether all is configured as the owner has it. */
static bool is_up_to_date(struct pool *pool)
{
	return atomic_load(&pool->shared.sent) ==
	       atomic_load(&pool->shared.version);
}

/* Whether the call stays on this thread: it is to be stood still for, its
 * endpoint has a connection for that, and that is free. One that has to come
 * after a new configuration goes the way of that. */
static bool submit_own(struct pool *pool, struct pool_call *call)
{
	struct endpoint *twin = NULL;
	struct entry *entry;

	if (call->kind != POOL_HOLD || pool->stopped || !is_up_to_date(pool))
		return false;
	pthread_mutex_lock(&pool->shared.lock);
	entry = table_find(pool->shared.table, call->endpoint);
	if (entry && entry->opts.max_connections >= HOLD_LEAST_CONNECTIONS)
		twin = hold_twin(pool->hold, entry->ep, &entry->opts,
				 entry->way);
	pthread_mutex_unlock(&pool->shared.lock);
	return twin && hold_submit(pool->hold, twin, call);
}

/* Without memory what has changed comes with the twin's next call. */
static bool is_known(struct endpoint *twin, void *arg)
{
	struct pool *pool = arg;
	struct entry *entry;

	pthread_mutex_lock(&pool->shared.lock);
	entry = table_find(pool->shared.table, endpoint_name(twin));
	if (entry && !endpoint_is_twin_of(twin, entry->ep))
		entry = NULL; /* another of that name */
	if (entry)
		(void)hold_update(twin, &entry->opts, entry->way);
	pthread_mutex_unlock(&pool->shared.lock);
	return entry != NULL;
}

static void turn_own(struct pool *pool)
{
	unsigned version = atomic_load(&pool->shared.version);

	if (!pool->hold)
		return;
	hold_turn(pool->hold);
	if (version == pool->version)
		return;
	if (hold_forget(pool->hold, is_known, pool))
		pool->version = version;
}

/* Nobody finds an endpoint by this name. */
static int make_trial(struct pool *pool, struct pool_call *call,
		      const struct pool_endpoint_opts *opts)
{
	struct pool_endpoint_opts own = *opts;

	own.name = "";
	return endpoint_create(&call->trial, pool->loop, &own, on_ended, pool);
}

/* A full box: the dispatcher cannot keep up. */
static int post_call(struct pool *pool, struct pool_call *call)
{
	uint64_t bytes = call->body_len, before;
	int r = 0;

	before = atomic_fetch_add_explicit(&pool->shared.box_bytes, bytes,
					   memory_order_relaxed);
	/* A single one may be larger than that. */
	if (before && before + bytes > BOX_BYTES)
		r = -EAGAIN;
	if (!r)
		r = mailbox_post(pool->loop_box, &call->request);
	if (r)
		atomic_fetch_sub_explicit(&pool->shared.box_bytes, bytes,
					  memory_order_relaxed);
	if (r != -EAGAIN)
		return r;
	count_refused(pool, call->endpoint);
	return -EBUSY;
}

int pool_submit(struct pool *pool, const struct pool_request *req,
		pool_done_fn *done, void *arg, struct pool_call **ret)
{
	struct pool_call *call;
	int r;

	call = call_create(req, loop_clock_us());
	if (!call)
		return -ENOMEM;
	call->pool = pool;
	call->request.receive = receive_request;
	call->answer.receive = receive_answer;
	call->done = done;
	call->done_arg = arg;
	r = req->trial ? make_trial(pool, call, req->trial) : 0;
	if (!r && !submit_own(pool, call))
		r = post_call(pool, call);
	if (r) {
		endpoint_destroy(call->trial);
		call->body = NULL;
		call_destroy(call);
		return r;
	}
	pool->open++;
	if (ret)
		*ret = call;
	return 0;
}

static int wait_own(struct pool *pool, struct pool_call *call,
		    int64_t deadline_us)
{
	if (!hold_wait(pool->hold, call, deadline_us))
		return -ETIMEDOUT;
	hold_take(pool->hold, call);
	finish_own(call, NULL);
	return 0;
}

int pool_wait(struct pool *pool, struct pool_call *call, int64_t deadline_us)
{
	int r;

	if (call->own) {
		r = wait_own(pool, call, deadline_us);
	} else {
		r = mailbox_take(pool->owner_box, &call->answer, deadline_us);
		if (!r)
			receive_answer(&call->answer);
	}
	if (!r)
		return 0;
	give_up(pool, call->endpoint);
	return -ETIMEDOUT;
}

unsigned pool_collect(struct pool *pool)
{
	turn_own(pool);
	mailbox_drain(pool->owner_box);
	return pool->open;
}

/*
 * The dispatcher
 */

static void on_rewake(struct loop *loop, void *arg)
{
	/* being set was what kept wake_owner() quiet */
	(void)loop;
	(void)arg;
}

/* After every pass: at once for what came since the owner last collected,
 * then every millisecond for as long as something lies there. */
static void wake_owner(struct pool *pool)
{
	bool news = atomic_exchange(&pool->shared.news, false);

	if (!pool->wake || pool->draining || (!news && pool->rewake.due_ms) ||
	    !mailbox_waiting(pool->owner_box))
		return;
	loop_timer_set(pool->loop, &pool->rewake,
		       loop_now_ms(pool->loop) + REWAKE_MS);
	pool->wake(pool->wake_arg);
}

static void free_finished(struct pool *pool)
{
	struct endpoint *ep, *next, *busy = NULL;

	for (ep = pool->retired; ep; ep = next) {
		next = endpoint_next(ep);
		if (endpoint_is_empty(ep)) {
			endpoint_destroy(ep);
		} else {
			endpoint_set_next(ep, busy);
			busy = ep;
		}
	}
	pool->retired = busy;
}

static void for_each_endpoint(struct pool *pool,
			      void (*fn)(struct endpoint *ep))
{
	struct table *table = pool->shared.table;
	struct endpoint *ep;
	size_t i;

	for (i = 0; table && i < table->n; i++)
		fn(table->at[i].ep);
	for (ep = pool->retired; ep; ep = endpoint_next(ep))
		fn(ep);
}

static bool has_ended(const struct pool *pool)
{
	return pool->stopping || (pool->draining && !pool->calls);
}

/* What is in the box, and whatever is under way, ends here. */
static void end_calls(struct pool *pool)
{
	struct table *table = pool->shared.table;
	struct endpoint *ep;

	pool->stopping = true;
	loop_timer_cancel(pool->loop, &pool->rewake);
	loop_timer_cancel(pool->loop, &pool->drained);
	mailbox_drain(pool->loop_box);
	pthread_mutex_lock(&pool->shared.lock);
	pool->shared.table = NULL;
	pthread_mutex_unlock(&pool->shared.lock);
	table_destroy(table);
	while ((ep = pool->retired)) {
		pool->retired = endpoint_next(ep);
		endpoint_destroy(ep);
	}
}

static void *dispatch(void *arg)
{
	struct pool *pool = arg;

	pthread_setname_np(pthread_self(), "webhooks");
	while (!has_ended(pool) && !loop_run_once(pool->loop)) {
		mailbox_drain(pool->loop_box);
		free_finished(pool);
		wake_owner(pool);
	}
	/* Also should epoll fail us: then calls are refused from here on. */
	mailbox_close(pool->loop_box);
	end_calls(pool);
	wake_owner(pool);
	return NULL;
}

static void receive_stop(struct mail *mail)
{
	struct pool *pool =
		(struct pool *)(void *)((char *)mail -
					offsetof(struct pool, stop_mail));

	pool->draining = true;
	loop_timer_set(pool->loop, &pool->drained,
		       loop_now_ms(pool->loop) + pool->drain_ms);
	for_each_endpoint(pool, endpoint_cancel_asked);
}

static void on_drained(struct loop *loop, void *arg)
{
	struct pool *pool = arg;

	(void)loop;
	pool->stopping = true;
}

/*
 * The pool
 */

static void on_loop_mail(void *arg)
{
	struct pool *pool = arg;

	loop_wake(pool->loop);
}

static void on_owner_mail(void *arg)
{
	struct pool *pool = arg;

	atomic_store(&pool->shared.news, true);
	loop_wake(pool->loop);
}

/*
 * libcurl counts those who initialise it and does it thread-safely (7.84 and
 * later), so that pairing it with a clean-up takes it from nobody else.
 */
static int create_parts(struct pool *pool)
{
	int r;

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return -EIO;
	r = loop_create(&pool->loop);
	if (!r)
		r = mailbox_create(&pool->owner_box, BOX_CAPACITY,
				   on_owner_mail, pool);
	if (!r)
		r = mailbox_create(&pool->loop_box, BOX_CAPACITY, on_loop_mail,
				   pool);
	if (!r)
		r = hold_create(&pool->hold, finish_own, pool);
	if (r) {
		mailbox_destroy(pool->loop_box);
		mailbox_destroy(pool->owner_box);
		loop_destroy(pool->loop);
		curl_global_cleanup();
	}
	return r;
}

int pool_create(struct pool **ret, void (*wake)(void *arg), void *arg)
{
	struct pool *pool;
	int r;

	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	r = -pthread_mutex_init(&pool->shared.lock, NULL);
	if (r)
		goto out_free;
	r = create_parts(pool);
	if (r)
		goto out_lock;
	pool->wake = wake;
	pool->wake_arg = arg;
	pool->rewake.fn = on_rewake;
	pool->rewake.arg = pool;
	pool->drained.fn = on_drained;
	pool->drained.arg = pool;
	pool->stop_mail.receive = receive_stop;
	*ret = pool;
	return 0;

out_lock:
	pthread_mutex_destroy(&pool->shared.lock);
out_free:
	free(pool);
	return r;
}

struct loop *pool_loop(struct pool *pool)
{
	return pool->loop;
}

struct mailbox *pool_owner_box(struct pool *pool)
{
	return pool->owner_box;
}

struct mailbox *pool_loop_box(struct pool *pool)
{
	return pool->loop_box;
}

int pool_start(struct pool *pool)
{
	sigset_t all, before;
	int r;

	if (pool->started || pool->stopped)
		return -EALREADY;
	sigfillset(&all);
	r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r)
		return -r;
	r = pthread_create(&pool->thread, NULL, dispatch, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pool->started = r == 0;
	return -r;
}

void pool_stop(struct pool *pool, uint32_t drain_ms)
{
	if (pool->stopped)
		return;
	pool->stopped = true;
	pool->drain_ms = drain_ms;
	hold_destroy(pool->hold);
	pool->hold = NULL;
	if (pool->started) {
		mailbox_reply(pool->loop_box, &pool->stop_mail);
		mailbox_close(pool->loop_box);
		pthread_join(pool->thread, NULL);
	}
	mailbox_close(pool->loop_box);
	end_calls(pool);
	mailbox_close(pool->owner_box);
	while (mailbox_drain(pool->owner_box))
		;
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	pool_stop(pool, 0);
	mailbox_destroy(pool->owner_box);
	mailbox_destroy(pool->loop_box);
	loop_destroy(pool->loop);
	pthread_mutex_destroy(&pool->shared.lock);
	curl_global_cleanup();
	free(pool);
}
