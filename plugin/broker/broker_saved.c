/*
 * broker_saved.c - what was registered at run time comes back at start-up.
 */
#include "plugin/broker/broker_private.h"

#include <stdlib.h>
#include "plugin/hook_table.h"
#include "plugin/redact.h"
#include "plugin/settings/settings.h"
#include "plugin/settings/settings_saved.h"

/* Those that the configuration has by now. */
struct skips {
	struct plugin *p;
	size_t n;
};

static void skipped(const struct registration *r, void *arg)
{
	struct skips *skips = arg;
	char *shown = redact_url_and_query(r->endpoint);

	skips->n++;
	broker_log(skips->p, LOG_LEVEL_INFO,
		   "%s: registered at run time, and set by the configuration "
		   "now, which counts: endpoint %s",
		   hook_table[r->hook].name, shown ? shown : "?");
	free(shown);
}

/* Or they would be back as soon as the configuration has them no more. */
static void save_without_them(struct plugin *p, const struct settings *s)
{
	struct conf_error error = { "" };

	if (saved_store(p->saved, s, &error) != 0)
		broker_log(p, LOG_LEVEL_WARN,
			   "vmq_webhooks.persist: what the configuration has "
			   "by now is still saved as registered at run time: "
			   "%s",
			   error.text);
}

int broker_restore(struct plugin *p, struct settings **s)
{
	struct conf_error error = { "" };
	struct skips skips = { p, 0 };
	struct settings *more = NULL;
	int err;

	if (!(*s)->persist)
		return 0;
	err = saved_open(&p->saved, (*s)->persist_file, &error);
	if (!err)
		err = saved_load(p->saved, *s, skipped, &skips, &more, &error);
	if (err) {
		broker_log(p, LOG_LEVEL_ERR, "vmq_webhooks.persist: %s",
			   error.text);
		return err;
	}
	broker_log(p, LOG_LEVEL_INFO,
		   "%zu webhooks that were registered at run time are back, "
		   "from %s",
		   more->webhooks - (*s)->webhooks, (*s)->persist_file);
	if (skips.n)
		save_without_them(p, more);
	settings_unref(*s);
	*s = more;
	return 0;
}
