/*
 * broker_saved.c - what was registered at run time comes back at start-up.
 */
#include "plugin/broker_private.h"

#include <stdlib.h>
#include "plugin/hook_table.h"
#include "plugin/redact.h"
#include "plugin/settings.h"
#include "plugin/settings_saved.h"

static void skipped(const struct registration *r, void *arg)
{
	struct plugin *p = arg;
	char *shown = redact_url_and_query(r->endpoint);

	broker_log(p, LOG_LEVEL_INFO,
		   "%s: registered at run time, and set by the configuration "
		   "now, which counts: endpoint %s",
		   hook_table[r->hook].name, shown ? shown : "?");
	free(shown);
}

int broker_restore(struct plugin *p, struct settings **s)
{
	struct conf_error error = { "" };
	struct settings *more = NULL;
	int err;

	if (!(*s)->persist)
		return 0;
	err = saved_open(&p->saved, (*s)->persist_file, &error);
	if (!err)
		err = saved_load(p->saved, *s, skipped, p, &more, &error);
	if (err) {
		broker_log(p, LOG_LEVEL_ERR, "vmq_webhooks.persist: %s",
			   error.text);
		return err;
	}
	broker_log(p, LOG_LEVEL_INFO,
		   "%zu webhooks that were registered at run time are back, "
		   "from %s",
		   more->webhooks - (*s)->webhooks, (*s)->persist_file);
	settings_unref(*s);
	*s = more;
	return 0;
}
