/*
 * hook_remind.c - a paused endpoint is easily forgotten.
 */
#include "plugin/hook/hook.h"

#include <string.h>
#include "plugin/hook/hook_private.h"

enum {
	REMIND_MS = 600000, /* from one time to the next */
};

/* Whether a webhook before this one has the same URL, which is paused as a
 * whole. */
static bool was_said(const struct settings *s, const struct webhook *webhook)
{
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++) {
			const struct webhook *other = &s->chain[h][i];

			if (other == webhook)
				return false;
			if (strcmp(other->endpoint, webhook->endpoint) == 0)
				return true;
		}
	}
	return false;
}

static void remind_of(struct hooks *hooks, const struct webhook *webhook,
		      int64_t now)
{
	struct pool_endpoint_stats stats;

	if (pool_get_stats(hooks->pool, webhook->target, &stats) != 0 ||
	    !stats.paused || was_said(hooks->settings, webhook))
		return;
	hooks_log(hooks, LOG_LEVEL_WARN,
		  "endpoint %s has been paused for %lld min: nothing is sent "
		  "to it (vmq-admin webhooks resume)",
		  webhook->logged,
		  (long long)((now - stats.paused_since_ms) / 60000));
}

void hook_remind(struct hooks *hooks)
{
	const struct settings *s = hooks->settings;
	int64_t now = hooks_now_ms(hooks);
	bool first = !hooks->remind_ms;

	if (now < hooks->remind_ms)
		return;
	hooks->remind_ms = now + REMIND_MS;
	if (first)
		return;
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++)
			remind_of(hooks, &s->chain[h][i], now);
	}
}
