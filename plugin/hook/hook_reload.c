/*
 * hook_reload.c - the settings are read again while all goes on.
 */
#include "plugin/hook/hook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook/hook_private.h"
#include "plugin/settings/settings_reload.h"

/* Others change settings too, but not as often as this in a row. */
enum {
	RELOAD_TRIES = 20
};

_Static_assert(sizeof(((struct hooks_reload *)0)->text) >=
		       sizeof(((struct settings_report *)0)->text),
	       "a report fits");

int hooks_set_source(struct hooks *hooks, const struct settings_opt *opts,
		     size_t n)
{
	struct settings_source *source;
	int err;

	err = settings_source_create(&source, opts, n);
	if (err)
		return err;
	settings_source_destroy(hooks->source);
	hooks->source = source;
	return 0;
}

/* The successor of `old`, not yet in force. */
static int load(struct hooks *hooks, const struct settings *old,
		struct settings **ret, struct settings_report *report,
		struct conf_error *reterr)
{
	struct settings *s;
	int err;

	err = settings_source_load(hooks->source, &s, reterr);
	if (err)
		return err;
	if (hooks->ops->check)
		err = hooks->ops->check(hooks->ops_ctx, s, reterr);
	if (!err)
		err = settings_succeed(s, old, report, reterr);
	if (err)
		settings_unref(s);
	else
		*ret = s;
	return err;
}

/* Why they were not put in force. */
static void say_refused(struct hooks_reload *reload, int err)
{
	const char *why = err == -EAGAIN  ? "somebody else keeps changing the "
					    "settings; try again"
			  : err == -EBUSY ? HOOKS_BUSY
					  : strerror(-err);

	snprintf(reload->text, sizeof(reload->text),
		 "the new settings cannot be put in force: %s", why);
}

/* Fill `reload` but for its error. */
static int reload_once(struct hooks *hooks, struct hooks_reload *reload)
{
	struct settings *old = hooks_settings(hooks), *s = NULL;
	struct settings_report report;
	struct conf_error error;
	int err;

	err = load(hooks, old, &s, &report, &error);
	if (err) {
		snprintf(reload->text, sizeof(reload->text), "%s", error.text);
		goto out;
	}
	err = hooks_apply(hooks, old, s);
	if (err) {
		say_refused(reload, err);
		goto out;
	}
	snprintf(reload->text, sizeof(reload->text), "%s%s", report.text,
		 old->webhooks && !s->webhooks
			 ? "\nno webhook is left: was the file emptied?"
			 : "");
	reload->taken = report.taken;
	reload->before = settings_ref(old);
	reload->now = settings_ref(s);
out:
	settings_unref(s);
	settings_unref(old);
	return err;
}

struct hooks_reload *hooks_reload(struct hooks *hooks)
{
	struct hooks_reload *reload = calloc(1, sizeof(*reload));

	if (!reload)
		return NULL;
	if (!hooks->source) {
		reload->err = -ENOENT;
		snprintf(reload->text, sizeof(reload->text),
			 "there is nothing to read the settings from");
		return reload;
	}
	reload->err = -EAGAIN;
	for (int i = 0; i < RELOAD_TRIES && reload->err == -EAGAIN; i++)
		reload->err = reload_once(hooks, reload);
	return reload;
}

void hooks_log_reload(struct hooks *hooks, const struct hooks_reload *reload)
{
	const struct broker_ops *ops = hooks->ops;
	const char *line = reload->text;

	while (*line) {
		size_t len = strcspn(line, "\n");

		hooks_log(hooks, reload->err ? LOG_LEVEL_ERR : LOG_LEVEL_INFO,
			  "%.*s", (int)len, line);
		line += len + (line[len] == '\n');
	}
	if (reload->err)
		hooks_log(hooks, LOG_LEVEL_ERR,
			  "the configuration that is in force stays as it is");
	else if (ops->report)
		ops->report(hooks->ops_ctx, reload->before, reload->now);
}

void hooks_reload_free(struct hooks_reload *reload)
{
	if (!reload)
		return;
	settings_unref(reload->before);
	settings_unref(reload->now);
	free(reload);
}
