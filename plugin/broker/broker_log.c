/*
 * broker_log.c - lines in the broker's log: those that clients can bring
 * about are said once, and then summed up.
 */
#include "plugin/broker/broker_private.h"

#include <stdarg.h>
#include <stdio.h>
#include "plugin/settings/settings.h"

static const struct {
	enum log_level level;
	const char *again; /* what there were more of */
} kinds[BROKER_TROUBLES] = {
	[BROKER_UNDECIDED] = { LOG_LEVEL_INFO, "logins that nobody decided" },
	[BROKER_LOGIN] = { LOG_LEVEL_WARN, "logins refused" },
	[BROKER_LIMIT] = { LOG_LEVEL_INFO, "publishes refused" },
	[BROKER_PUBLISH] = { LOG_LEVEL_WARN, "publishes refused" },
	[BROKER_SUBSCRIBE] = { LOG_LEVEL_WARN, "subscriptions refused" },
	[BROKER_LIFETIME] = { LOG_LEVEL_INFO, "clients disconnected" },
	[BROKER_LOST] = { LOG_LEVEL_ERR, "messages lost" },
	[BROKER_MEMORY] = { LOG_LEVEL_ERR, "times without memory" },
};

void broker_log_line(void *ctx, enum log_level level, const char *line)
{
	static const int levels[] = {
		[LOG_LEVEL_DEBUG] = MOSQ_LOG_DEBUG,
		[LOG_LEVEL_INFO] = MOSQ_LOG_INFO,
		[LOG_LEVEL_WARN] = MOSQ_LOG_WARNING,
		[LOG_LEVEL_ERR] = MOSQ_LOG_ERR,
	};
	char clean[1024];
	size_t n = 0;

	(void)ctx;
	/* Clients and endpoints choose parts of it: one line stays one. */
	for (; line[n] && n < sizeof(clean) - 1; n++)
		clean[n] = (unsigned char)line[n] < ' ' ? '?' : line[n];
	clean[n] = '\0';
	mosquitto_log_printf(levels[level], "vmq_webhooks: %s", clean);
}

static bool says(const struct plugin *p, enum log_level level)
{
	return level >= (p->hooks ? hooks_settings_now(p->hooks)->log_level
				  : p->log_level);
}

void broker_log(struct plugin *p, enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (!says(p, level))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (!p->aside || !log_lines_take(p->aside, line))
		broker_log_line(p, level, line);
}

/* ---- once, then in sums ---- */

static bool is_recent(const struct plugin *p, const struct broker_line *line)
{
	const struct settings *s = hooks_settings_now(p->hooks);

	return line->said_ms &&
	       p->beat_ms - line->said_ms < s->limits.log_interval_ms;
}

void broker_trouble(struct plugin *p, enum broker_trouble kind, const char *fmt,
		    ...)
{
	struct broker_line *line = &p->lines[kind];
	char text[1024];
	va_list ap;

	if (!says(p, kinds[kind].level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (is_recent(p, line)) {
		if (!line->unsaid++)
			p->unsaid++;
		snprintf(line->last, sizeof(line->last), "%.255s", text);
		return;
	}
	broker_log_line(p, kinds[kind].level, text);
	line->said_ms = p->beat_ms;
}

void broker_sum_up(struct plugin *p, bool all)
{
	if (!p->unsaid)
		return;
	for (int k = 0; k < BROKER_TROUBLES; k++) {
		struct broker_line *line = &p->lines[k];

		if (!line->unsaid || (!all && is_recent(p, line)))
			continue;
		broker_log(p, kinds[k].level,
			   "%llu more %s within %lld s, the last: %s",
			   (unsigned long long)line->unsaid, kinds[k].again,
			   (long long)(p->beat_ms - line->said_ms + 999) / 1000,
			   line->last);
		line->unsaid = 0;
		line->said_ms = p->beat_ms;
		p->unsaid--;
	}
}
