#include "test/golden/worker.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"
#include "pool/pool.h"

struct worker {
	struct hooks *hooks;
	struct settings *bare;     /* without webhooks */
	struct settings *settings; /* in force */
	enum hook_id hook;
	sem_t mail;                      /* posted by the dispatcher */
	const struct verdict *completed; /* of a delayed question */
	char log[1024];
};

static void die(const char *what, int err)
{
	fprintf(stderr, "golden: %s: %s\n", what, strerror(-err));
	exit(2);
}

/* ---- the broker ---- */

static void complete_auth(void *ctx, const char *client_id, uint64_t ticket,
			  const struct verdict *verdict)
{
	struct worker *w = ctx;

	(void)client_id;
	(void)ticket;
	if (!verdict)
		return; /* its client has left: nothing is applied */
	verdict_unref(w->completed);
	w->completed = verdict_ref(verdict);
}

static void keep_log(void *ctx, enum log_level level, const char *line)
{
	struct worker *w = ctx;

	(void)level;
	snprintf(w->log, sizeof(w->log), "%s", line);
}

static void wake(void *ctx)
{
	sem_post(&((struct worker *)ctx)->mail);
}

static int64_t now_us(void *ctx)
{
	(void)ctx;
	return pool_now_us();
}

static int64_t unix_ms(void *ctx)
{
	(void)ctx;
	return 1700000000000;
}

static const struct broker_ops ops = {
	.complete_auth = complete_auth,
	.log = keep_log,
	.wake = wake,
	.now_us = now_us,
	.unix_ms = unix_ms,
	.delays_logins = true,
};

/* ---- life ---- */

/* What VerneMQ has nothing of: it sends a notification once (decision 19), and
 * waits for as long as it takes (decision 8); and what is its listeners'. */
static const struct settings_opt as_vernemq[] = {
	{ "vmq_webhooks.retries", "0" },
	{ "vmq_webhooks.forward_connection_opts", "on" },
	{ "vmq_webhooks.blocking_timeout", "600000" },
	{ "vmq_webhooks.blocking_budget", "1000" },
};

struct worker *worker_create(void)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct conf_error error;
	int err;

	if (!w || sem_init(&w->mail, 0, 0) != 0)
		die("worker", -ENOMEM);
	err = settings_load(as_vernemq,
			    sizeof(as_vernemq) / sizeof(*as_vernemq), &w->bare,
			    &error);
	if (err)
		die(error.text, err);
	w->settings = settings_ref(w->bare);
	err = hooks_create(&w->hooks, w->bare, &ops, w);
	if (!err)
		err = hooks_start(w->hooks);
	if (err)
		die("hooks", err);
	return w;
}

void worker_destroy(struct worker *w)
{
	hooks_stop(w->hooks);
	hooks_destroy(w->hooks);
	settings_unref(w->settings);
	settings_unref(w->bare);
	sem_destroy(&w->mail);
	free(w);
}

static struct settings *with_endpoint(struct settings *s, enum hook_id hook,
				      const struct worker_endpoint *ep)
{
	struct webhook webhook = {
		.hook = hook,
		.endpoint = (char *)ep->url,
		.timeout_ms = ep->timeout_ms,
		.codec = ep->codec,
		/* Others tell these hooks and do not wait. */
		.blocking = hook_table[hook].kind == HOOK_OFFERS,
	};
	struct conf_error error = { "settings" };
	struct settings *more;
	int err = settings_with(s, &webhook, &more, &error);

	if (err)
		die(error.text, err);
	settings_unref(s);
	return more;
}

void worker_configure(struct worker *w, enum hook_id hook,
		      const struct worker_endpoint *eps, size_t n)
{
	struct settings *s = settings_ref(w->bare);
	int err;

	for (size_t i = 0; i < n; i++)
		s = with_endpoint(s, hook, &eps[i]);
	err = hooks_apply(w->hooks, w->settings, s);
	if (err)
		die("hooks_apply", err);
	hooks_refresh(w->hooks);
	settings_unref(w->settings);
	w->settings = s;
	w->hook = hook;
	w->log[0] = '\0';
}

/* ---- asking ---- */

/* Tick until `until_ms`, or until a verdict came, or no call is open. */
static unsigned tick(struct worker *w, int64_t until_ms)
{
	unsigned open = 1;

	while (!w->completed && open && pool_now_ms() < until_ms) {
		struct timespec at;

		open = hooks_tick(w->hooks);
		if (!open || w->completed)
			break;
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_nsec += 10 * 1000000L;
		if (at.tv_nsec >= 1000000000L) {
			at.tv_sec++;
			at.tv_nsec -= 1000000000L;
		}
		sem_timedwait(&w->mail, &at);
	}
	return open;
}

static const struct verdict *wait_completed(struct worker *w,
					    const struct event *ev,
					    double leaves_after_ms)
{
	const struct verdict *v;

	if (leaves_after_ms > 0) {
		tick(w, pool_now_ms() + (int64_t)leaves_after_ms);
		hook_forget(w->hooks, ev->client_id.data);
	}
	tick(w, INT64_MAX);
	v = w->completed;
	w->completed = NULL;
	return v;
}

struct conclusion worker_ask(struct worker *w, struct json_arena *a,
			     const struct event *ev, struct worker_manner how)
{
	struct conclusion c = { OUTCOME_NEXT, NULL };
	const struct verdict *v = NULL;
	uint64_t ticket;

	if (hook_table[ev->hook].kind == HOOK_TELLS) {
		hook_tell(w->hooks, ev);
		tick(w, INT64_MAX);
		return c;
	}
	if (hook_ask(w->hooks, ev, how.patient, &v, &ticket) == HOOK_PENDING)
		v = wait_completed(w, ev, how.leaves_after_ms);
	/* Without a verdict the client is gone: nothing was applied. */
	c.outcome = OUTCOME_REFUSED;
	if (v)
		c = trial_concluded(a, ev->hook, v);
	verdict_unref(v);
	return c;
}

int worker_cached(const struct worker *w)
{
	const struct webhook *chain = w->settings->chain[w->hook];
	int n = 0;

	for (size_t i = 0; i < w->settings->chained[w->hook]; i++)
		n += (int)atomic_load(&chain[i].stats->cache.entries);
	return n;
}

const char *worker_log(const struct worker *w)
{
	return w->log;
}
