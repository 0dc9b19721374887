/*
 * hook_tell.c - the hooks that nobody waits for. Every endpoint is told; one
 * client's events reach one endpoint in their order, because they travel in
 * the client's lane, and numbered, so that it sees when one is missing.
 */
#include "plugin/hook/hook.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook/hook_private.h"
#include "plugin/hook_table.h"
#include "plugin/sequence.h"

struct telling {
	struct hooks *hooks;
	struct settings *settings; /* a reference, for `webhook` */
	const struct webhook *webhook;
	size_t sent; /* bytes of the body */
};

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* When the broker stops. Of a webhook that is no longer there nobody could
 * look the number up. */
static void count_undelivered(struct hooks *hooks,
			      const struct webhook *webhook)
{
	const struct webhook *is = settings_find(hooks->settings, webhook->hook,
						 webhook->endpoint);

	count(&webhook->stats->undelivered);
	if (!is || is->stats != webhook->stats)
		hooks->undelivered++;
}

/* It never went out, or for all we know never arrived. */
static void lose(struct hooks *hooks, const struct webhook *webhook, int error,
		 const char *why)
{
	struct webhook_stats *stats = webhook->stats;

	switch (error) {
	case -ECANCELED: /* counted, and told of by hooks_stop() */
		count_undelivered(hooks, webhook);
		return;
	case -EBUSY:
		count(&stats->dropped);
		why = "notification dropped: the queue is full (max_queue, "
		      "max_queue_bytes)";
		break;
	case -ETIME:
		count(&stats->expired);
		break;
	default:
		hook_failed(hooks, webhook, why);
		return;
	}
	hook_trouble(hooks, webhook, TROUBLE_LOST, why);
}

/* Not a request, but dropped, too old, or left over. */
static bool is_left_out(int error)
{
	return error == -EBUSY || error == -ETIME || error == -ECANCELED;
}

static void told(const struct pool_reply *reply, void *arg)
{
	struct telling *t = arg;
	const struct webhook *webhook = t->webhook;
	enum webhook_end end = hook_end_of(reply);
	char error[CODEC_ERROR_LEN];

	if (hook_outcome(reply, error) == OUTCOME_ANSWER &&
	    codec_check_json(reply->body, reply->len, error) != 0)
		end = END_REFUSED;
	if (!is_left_out(reply->error))
		hook_count_call(t->hooks, webhook, reply, end, t->sent);
	if (end != END_OK) {
		lose(t->hooks, webhook, reply->error, error);
	} else {
		hook_answered(t->hooks, webhook);
		hooks_log(t->hooks, LOG_LEVEL_DEBUG, "%s: endpoint %s: told",
			  hook_table[webhook->hook].name, webhook->logged);
	}
	settings_unref(t->settings);
	free(t);
}

static int tell_one(struct hooks *hooks, const struct webhook *webhook,
		    const struct event *ev)
{
	struct hook_message message = {
		.webhook = webhook,
		.ev = ev,
		.kind = POOL_TELL,
		.event = hooks->events,
		.sequence = sequences_next(hooks->sequences, ev->client_id,
					   webhook->endpoint),
	};
	struct telling *t;
	int err;

	/* Before anything is made of it: this may be one of very many. */
	if (pool_is_full(hooks->pool, webhook->target, webhook->hook))
		return -EBUSY;
	t = malloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->hooks = hooks;
	t->webhook = webhook;
	t->settings = settings_ref(hooks->settings);
	err = hook_send(hooks, &message, told, t, NULL, &t->sent);
	if (err) {
		settings_unref(t->settings);
		free(t);
	}
	return err;
}

void hook_tell(struct hooks *hooks, const struct event *ev)
{
	const struct settings *s = hooks->settings;

	if (!hooks_has(hooks, ev->hook))
		return;
	hook_see(hooks, ev->hook);
	hooks->events++;
	for (size_t i = 0; i < s->chained[ev->hook]; i++) {
		const struct webhook *webhook = &s->chain[ev->hook][i];
		int err = tell_one(hooks, webhook, ev);

		if (err)
			lose(hooks, webhook, err, strerror(-err));
	}
}
