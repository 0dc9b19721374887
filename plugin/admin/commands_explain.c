/*
 * commands_explain.c - webhooks: explain. Whether a hook fires: what this
 * broker can, what is set, how the endpoints are, and what came up so far.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "plugin/admin/ago.h"
#include "plugin/admin/commands_private.h"
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/json_writer.h"
#include "plugin/settings/settings.h"
#include "pool/pool.h"

enum {
	WHY_LEN = 2048,
};

struct explanation {
	enum broker_remark worst;
	char why[WHY_LEN];
};

static void say(void *arg, enum broker_remark kind, const char *text)
{
	struct explanation *e = arg;
	size_t len = strlen(e->why);

	if (kind > e->worst)
		e->worst = kind;
	snprintf(e->why + len, sizeof(e->why) - len, "%s%s", len ? "; " : "",
		 text);
}

/* ---- the endpoints ---- */

static void say_count(struct explanation *e, enum broker_remark kind, size_t n,
		      size_t of, const char *what)
{
	char text[128];

	if (!n)
		return;
	snprintf(text, sizeof(text), "%zu of %zu endpoint%s %s", n, of,
		 of == 1 ? "" : "s", what);
	say(e, kind, text);
}

static void explain_endpoints(struct explanation *e, struct hooks *hooks,
			      const struct settings *s, enum hook_id hook)
{
	size_t n = s->chained[hook], paused = 0, open = 0;

	for (size_t i = 0; i < n; i++) {
		struct pool_endpoint_stats stats;

		if (pool_get_stats(hooks_pool(hooks), s->chain[hook][i].target,
				   &stats) != 0)
			continue;
		paused += stats.paused;
		open += !stats.paused && stats.open;
	}
	say_count(e, paused == n ? REMARK_NEVER : REMARK_LIMIT, paused, n,
		  "paused (webhooks resume)");
	say_count(e, REMARK_LIMIT, open, n,
		  "left alone by the circuit breaker (webhooks status)");
}

/* ---- rows ---- */

static uint64_t cached(const struct settings *s, enum hook_id hook)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->chained[hook]; i++)
		n += atomic_load_explicit(&s->chain[hook][i].stats->cache.hits,
					  memory_order_relaxed);
	return n;
}

static void put_seen(struct json_writer *w, struct hooks *hooks,
		     enum hook_id hook)
{
	struct hook_seen seen;
	char ago[AGO_LEN] = "never";

	hooks_get_seen(hooks, hook, &seen);
	json_int(w, "events", (int64_t)seen.events);
	if (!seen.events) {
		json_text(w, "last", bytes_of(ago));
		json_null(w, "last_ago_s");
		return;
	}
	ago_write(seen.ago_ms, ago);
	strncat(ago, " ago", sizeof(ago) - strlen(ago) - 1);
	json_text(w, "last", bytes_of(ago));
	json_int(w, "last_ago_s", seen.ago_ms > 0 ? seen.ago_ms / 1000 : 0);
}

static void put_row(struct json_writer *w, struct hooks *hooks,
		    const struct settings *s, enum hook_id hook)
{
	static const char *const fires[] = {
		[REMARK_FACT] = "yes",
		[REMARK_LIMIT] = "limited",
		[REMARK_NEVER] = "no",
	};
	struct explanation e = { .why = "" };

	explain_endpoints(&e, hooks, s, hook);
	hooks_explain(hooks, s, hook, say, &e);
	json_open(w, NULL, '{');
	json_text(w, "hook", bytes_of(hook_table[hook].name));
	json_int(w, "endpoints", (int64_t)s->chained[hook]);
	json_text(w, "fires", bytes_of(fires[e.worst]));
	put_seen(w, hooks, hook);
	json_int(w, "cached", (int64_t)cached(s, hook));
	json_text(w, "why", bytes_of(e.why));
	json_close(w, '}');
}

void command_explain(const struct job *job)
{
	const struct admin_value *only = &job->req->args[ADMIN_HOOK];
	struct hooks *hooks = job->commands->hooks;
	struct settings *s = hooks_settings(hooks);
	struct json_writer w = JSON_WRITER_INIT;

	admin_reply_table_open(&w);
	for (int h = 0; h < HOOK_COUNT; h++) {
		if (!only->given || only->number == (uint32_t)h)
			put_row(&w, hooks, s, h);
	}
	settings_unref(s);
	job_answer(job, admin_reply_table_close(&w));
}
