/*
 * hook_tell.c - the hooks that nobody waits for. Every endpoint is told; one
 * client's events reach one endpoint in their order, because they travel in
 * the client's lane.
 */
#include "plugin/hook.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook_private.h"
#include "plugin/hook_table.h"

struct telling {
	struct hooks *hooks;
	struct settings *settings; /* a reference, for `webhook` */
	const struct webhook *webhook;
	size_t sent; /* bytes of the body */
};

static void told(const struct pool_reply *reply, void *arg)
{
	struct telling *t = arg;
	struct webhook_stats *stats = t->webhook->stats;
	char error[CODEC_ERROR_LEN];

	atomic_fetch_add_explicit(&stats->requests, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&stats->bytes_sent, t->sent,
				  memory_order_relaxed);
	if (hook_outcome(reply, error) != OUTCOME_ANSWER ||
	    codec_check_json(reply->body, reply->len, error) != 0)
		hook_failed(t->hooks, t->webhook, error);
	settings_unref(t->settings);
	free(t);
}

static int tell_one(struct hooks *hooks, const struct webhook *webhook,
		    const struct event *ev)
{
	struct telling *t = malloc(sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->hooks = hooks;
	t->webhook = webhook;
	t->settings = settings_ref(hooks->settings);
	err = hook_send(hooks, webhook, ev, true, told, t, NULL, &t->sent);
	if (err) {
		settings_unref(t->settings);
		free(t);
	}
	return err;
}

void hook_tell(struct hooks *hooks, const struct event *ev)
{
	const struct settings *s = hooks->settings;

	for (size_t i = 0; i < s->chained[ev->hook]; i++) {
		const struct webhook *webhook = &s->chain[ev->hook][i];
		int err = tell_one(hooks, webhook, ev);

		if (err)
			hook_failed(hooks, webhook, strerror(-err));
	}
}
