/*
 * hook_log.c - what the log hears of webhooks: once at once, then in sums; how
 * long it has been so, and when it is over.
 */
#include "plugin/hook/hook.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "plugin/hook/hook_private.h"
#include "plugin/hook_table.h"

enum {
	LOOK_MS = 1000,    /* from one look for sums to the next */
	WORTH_MS = 1000,   /* what was over sooner is not told of */
	DURATION_LEN = 32, /* "1234567 h" */
	SINCE_LEN = 64,
};

static const struct {
	const char *again; /* what there were more of */
	enum log_level level;
	bool apart; /* its texts are few, and each a problem of its own */
	bool lasts; /* until there is a usable answer */
} kinds[TROUBLES] = {
	[TROUBLE_FAILURE] = { "failures", LOG_LEVEL_ERR, true, true },
	[TROUBLE_UNASKED] = { "questions not asked", LOG_LEVEL_WARN, true,
			      true },
	[TROUBLE_LOST] = { "notifications lost", LOG_LEVEL_WARN, true, true },
	[TROUBLE_HELD] = { "calls that held the broker", LOG_LEVEL_WARN, false,
			   false },
	[TROUBLE_ALLOWED] = { "clients allowed", LOG_LEVEL_WARN, false, true },
	[TROUBLE_REFUSED] = { "refusals", LOG_LEVEL_INFO, false, false },
	[TROUBLE_OVER] = { "returns", LOG_LEVEL_WARN, false, false },
};

void hooks_log(struct hooks *hooks, int level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (!hooks_says(hooks, level))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	hooks->ops->log(hooks->ops_ctx, level, line);
}

/* ---- how long ---- */

static const char *duration(int64_t ms, char ret[static DURATION_LEN])
{
	long long s = (long long)(ms + 500) / 1000;

	if (s < 120)
		snprintf(ret, DURATION_LEN, "%lld s", s);
	else if (s < 7200)
		snprintf(ret, DURATION_LEN, "%lld min", s / 60);
	else
		snprintf(ret, DURATION_LEN, "%lld h", s / 3600);
	return ret;
}

/* ", failing for 35 s", or nothing. */
static const char *since(const struct webhook *webhook,
			 enum webhook_trouble kind, int64_t now,
			 char ret[static SINCE_LEN])
{
	int64_t from = webhook->stats->log.failing_ms;
	char text[DURATION_LEN];

	ret[0] = '\0';
	if (kinds[kind].lasts && from && now - from >= WORTH_MS)
		snprintf(ret, SINCE_LEN, ", failing for %s",
			 duration(now - from, text));
	return ret;
}

/* ---- which line ---- */

/* Problems are told apart by their texts, whose numbers do not count: they
 * measure; but for a status. */
static uint64_t problem_of(enum webhook_trouble kind, const char *what)
{
	const char *status = strstr(what, "status ");
	uint64_t hash = 14695981039346656037u + kind; /* FNV-1a */

	for (const char *c = what; *c; c++) {
		if (isdigit((unsigned char)*c) && (!status || c < status))
			continue;
		hash = (hash ^ (unsigned char)*c) * 1099511628211u;
	}
	return hash;
}

static bool is_recent(const struct hooks *hooks,
		      const struct webhook_line *line, int64_t now)
{
	return line->said_ms &&
	       now - line->said_ms < hooks->settings->limits.log_interval_ms;
}

/* That of this problem, or one to begin with. */
static struct webhook_line *find_line(const struct hooks *hooks,
				      struct webhook_log *log,
				      enum webhook_trouble kind,
				      const char *what, int64_t now)
{
	uint64_t problem = problem_of(kind, what);
	struct webhook_line *idle = NULL;

	if (!kinds[kind].apart)
		return &log->others[kind];
	for (int i = 0; i < WEBHOOK_PROBLEMS; i++) {
		struct webhook_line *line = &log->apart[i];

		if (line->said_ms && line->problem == problem)
			return line;
		if (!idle && !line->unsaid && !is_recent(hooks, line, now))
			idle = line;
	}
	if (!idle)
		return &log->others[kind];
	*idle = (struct webhook_line){ .problem = problem };
	return idle;
}

/* ---- saying it ---- */

/* Returns whether it was said. */
static bool say(struct hooks *hooks, const struct webhook *webhook,
		enum webhook_trouble kind, const char *what)
{
	int64_t now = hooks_now_ms(hooks);
	struct webhook_line *line;
	char text[SINCE_LEN];

	if (!hooks_says(hooks, kinds[kind].level))
		return false;
	line = find_line(hooks, &webhook->stats->log, kind, what, now);
	line->kind = kind;
	if (is_recent(hooks, line, now)) {
		line->unsaid++;
		snprintf(line->last, sizeof(line->last), "%s", what);
		return false;
	}
	hooks_log(hooks, kinds[kind].level, "%s: endpoint %s: %s%s",
		  hook_table[webhook->hook].name, webhook->logged, what,
		  since(webhook, kind, now, text));
	line->said_ms = now;
	return true;
}

void hook_trouble(struct hooks *hooks, const struct webhook *webhook,
		  enum webhook_trouble kind, const char *what)
{
	if (kind == TROUBLE_FAILURE || kind == TROUBLE_LOST)
		remark_write(&webhook->stats->trouble, hooks_unix_ms(hooks),
			     what);
	say(hooks, webhook, kind, what);
}

/* ---- sums ---- */

static void sum_up(struct hooks *hooks, const struct webhook *webhook,
		   struct webhook_line *line, int64_t now)
{
	enum webhook_trouble kind = line->kind;
	char text[SINCE_LEN];

	hooks_log(hooks, kinds[kind].level,
		  "%s: endpoint %s: %llu more %s within %lld s%s, the last: %s",
		  hook_table[webhook->hook].name, webhook->logged,
		  (unsigned long long)line->unsaid, kinds[kind].again,
		  (long long)(now - line->said_ms + 999) / 1000,
		  since(webhook, kind, now, text), line->last);
	line->unsaid = 0;
	line->said_ms = now;
}

/* Those that are due, or all. */
static void sum_up_lines(struct hooks *hooks, const struct webhook *webhook,
			 struct webhook_line *lines, size_t n, bool all)
{
	int64_t now = hooks_now_ms(hooks);

	for (size_t i = 0; i < n; i++) {
		if (lines[i].unsaid &&
		    (all || !is_recent(hooks, &lines[i], now)))
			sum_up(hooks, webhook, &lines[i], now);
	}
}

void hook_sum_up_webhook(struct hooks *hooks, const struct webhook *webhook,
			 bool all)
{
	struct webhook_log *log = &webhook->stats->log;

	sum_up_lines(hooks, webhook, log->apart, WEBHOOK_PROBLEMS, all);
	sum_up_lines(hooks, webhook, log->others, TROUBLES, all);
}

void hook_sum_up(struct hooks *hooks, bool all)
{
	const struct settings *s = hooks->settings;
	int64_t now = hooks_now_ms(hooks);

	if (!all && now < hooks->sum_up_ms)
		return;
	hooks->sum_up_ms = now + LOOK_MS;
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++)
			hook_sum_up_webhook(hooks, &s->chain[h][i], all);
	}
}

/* ---- failures, and their end ---- */

void hook_failed(struct hooks *hooks, const struct webhook *webhook,
		 const char *what)
{
	struct webhook_log *log = &webhook->stats->log;

	hook_count_error(hooks, webhook);
	if (!log->failing_ms) {
		log->failing_ms = hooks_now_ms(hooks);
		log->failures = 0;
	}
	log->failures++;
	hook_trouble(hooks, webhook, TROUBLE_FAILURE, what);
}

/* What is over was summed up before, unless this is the limiter's, too. */
static void say_over(struct hooks *hooks, const struct webhook *webhook,
		     int64_t lasted_ms)
{
	struct webhook_log *log = &webhook->stats->log;
	char what[128], text[DURATION_LEN];

	snprintf(what, sizeof(what),
		 "answers again after %s, %llu failure%s meanwhile",
		 duration(lasted_ms, text), (unsigned long long)log->failures,
		 log->failures == 1 ? "" : "s");
	if (!is_recent(hooks, &log->others[TROUBLE_OVER], hooks_now_ms(hooks)))
		hook_sum_up_webhook(hooks, webhook, true);
	hook_trouble(hooks, webhook, TROUBLE_OVER, what);
}

void hook_answered(struct hooks *hooks, const struct webhook *webhook)
{
	struct webhook_log *log = &webhook->stats->log;
	int64_t lasted_ms;

	if (!log->failing_ms)
		return;
	lasted_ms = hooks_now_ms(hooks) - log->failing_ms;
	if (lasted_ms >= WORTH_MS)
		say_over(hooks, webhook, lasted_ms);
	log->failing_ms = 0;
}
