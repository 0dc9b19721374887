/*
 * settings_reload.h - settings read again: where from, what of the old ones
 * goes on, and what has changed, for people. Any thread.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_RELOAD_H
#define PLUGIN_SETTINGS_SETTINGS_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include "plugin/settings/settings.h"

/* The options of mosquitto.conf, which come once: a copy, immutable. */
struct settings_source;

/* Returns 0 or -ENOMEM. */
int settings_source_create(struct settings_source **ret,
			   const struct settings_opt *opts, size_t n);
void settings_source_destroy(struct settings_source *source); /* or NULL */

/* settings_load() with them: whatever files they name are read again. */
int settings_source_load(const struct settings_source *source,
			 struct settings **ret, struct conf_error *reterr);

/* What a reload has changed: a line each, with '\n' between them, and fit for
 * the log. Names that do not fit are counted. */
struct settings_report {
	char text[8192];
	size_t taken; /* registered at run time, now of the configuration */
};

/*
 * Make `s`, just loaded and nobody else's yet, the successor of `old`: the
 * webhooks that were registered at run time go on behind those of their
 * chains; whoever has the same hook and endpoint in both goes on with its
 * `stats`; and keys that take effect only at a start keep their old value.
 * Returns 0; -EINVAL (too many webhooks with those of run time, a file of
 * theirs that is gone) or -ENOMEM with `reterr`, and then `s` is only to be unreferenced.
 */
int settings_succeed(struct settings *s, const struct settings *old,
		     struct settings_report *ret, struct conf_error *reterr);

/* Whether these two, of one hook and endpoint, are called and understood in
 * the same way, what is in the files that they name included. Their names do
 * not matter. */
bool settings_same_webhook(const struct webhook *a, const struct webhook *b);

#endif /* PLUGIN_SETTINGS_SETTINGS_RELOAD_H */
