/*
 * broker_reload.c - SIGHUP, and what of the start-up report is news after it.
 */
#include "plugin/broker/broker_private.h"

#include <stdlib.h>
#include <string.h>
#include "plugin/admin/admin.h"
#include "plugin/settings/settings.h"

enum {
	REPORT_LINES = 256, /* far more than a report has */
};

/* Lines of a report. */
struct log_lines {
	bool collecting; /* or else known lines are dropped */
	size_t n;
	char *at[REPORT_LINES];
};

static bool is_known(const struct log_lines *lines, const char *line)
{
	for (size_t i = 0; i < lines->n; i++) {
		if (strcmp(lines->at[i], line) == 0)
			return true;
	}
	return false;
}

/* Without memory or room it is said once more. */
bool log_lines_take(struct log_lines *lines, const char *line)
{
	if (!lines->collecting)
		return is_known(lines, line);
	if (lines->n < REPORT_LINES) {
		lines->at[lines->n] = strdup(line);
		if (lines->at[lines->n])
			lines->n++;
	}
	return true;
}

void broker_report_news(void *ctx, const struct settings *before,
			const struct settings *now)
{
	struct plugin *p = ctx;
	struct log_lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		return;
	lines->collecting = true;
	p->aside = lines;
	broker_report(p, before);
	lines->collecting = false;
	broker_report(p, now);
	p->aside = NULL;
	while (lines->n)
		free(lines->at[--lines->n]);
	free(lines);
}

void broker_reload(struct plugin *p)
{
	struct hooks_reload *reload = hooks_reload(p->hooks);

	if (!reload) {
		broker_log(p, LOG_LEVEL_ERR,
			   "no memory to read the configuration again: what is "
			   "in force stays as it is");
		return;
	}
	hooks_log_reload(p->hooks, reload);
	if (!reload->err && reload->taken && p->admin)
		admin_save(p->admin);
	hooks_reload_free(reload);
	hooks_refresh(p->hooks);
}
