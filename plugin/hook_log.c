/*
 * hook_log.c - what the log hears of webhooks: once at once, then in sums.
 */
#include "plugin/hook.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "plugin/hook_private.h"
#include "plugin/hook_table.h"

/* Until it is a setting (issue 6). */
enum {
	LOG_INTERVAL_MS = 10000,
	LOOK_MS = 1000, /* from one look for sums to the next */
};

static const struct {
	enum log_level level;
	const char *again; /* what there were more of */
} kinds[TROUBLES] = {
	[TROUBLE_FAILURE] = { LOG_LEVEL_ERR, "failures" },
	[TROUBLE_UNASKED] = { LOG_LEVEL_WARN, "questions not asked" },
	[TROUBLE_LOST] = { LOG_LEVEL_WARN, "notifications lost" },
	[TROUBLE_HELD] = { LOG_LEVEL_WARN, "calls that held the broker" },
};

void hooks_log(struct hooks *hooks, int level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	hooks->ops->log(hooks->ops_ctx, level, line);
}

void hook_trouble(struct hooks *hooks, const struct webhook *webhook,
		  enum webhook_trouble kind, const char *what)
{
	struct webhook_line *line = &webhook->stats->lines[kind];
	int64_t now = hooks_now_ms(hooks);

	if (kind == TROUBLE_FAILURE || kind == TROUBLE_LOST)
		remark_write(&webhook->stats->trouble, hooks_unix_ms(hooks),
			     what);
	if (line->said_ms && now - line->said_ms < LOG_INTERVAL_MS) {
		line->unsaid++;
		snprintf(line->last, sizeof(line->last), "%s", what);
		return;
	}
	hooks_log(hooks, kinds[kind].level, "%s: endpoint %s: %s",
		  hook_table[webhook->hook].name, webhook->shown, what);
	line->said_ms = now;
}

static void sum_up(struct hooks *hooks, const struct webhook *webhook,
		   enum webhook_trouble kind, int64_t now)
{
	struct webhook_line *line = &webhook->stats->lines[kind];

	hooks_log(hooks, kinds[kind].level,
		  "%s: endpoint %s: %llu more %s within %lld s, the last: %s",
		  hook_table[webhook->hook].name, webhook->shown,
		  (unsigned long long)line->unsaid, kinds[kind].again,
		  (long long)(now - line->said_ms + 999) / 1000, line->last);
	line->unsaid = 0;
	line->said_ms = now;
}

static void sum_up_webhook(struct hooks *hooks, const struct webhook *webhook,
			   int64_t now, bool all)
{
	for (int k = 0; k < TROUBLES; k++) {
		const struct webhook_line *line = &webhook->stats->lines[k];

		if (line->unsaid &&
		    (all || now - line->said_ms >= LOG_INTERVAL_MS))
			sum_up(hooks, webhook, k, now);
	}
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
			sum_up_webhook(hooks, &s->chain[h][i], now, all);
	}
}

void hook_failed(struct hooks *hooks, const struct webhook *webhook,
		 const char *what)
{
	hook_count_error(hooks, webhook);
	hook_trouble(hooks, webhook, TROUBLE_FAILURE, what);
}
