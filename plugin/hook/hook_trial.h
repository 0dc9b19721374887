/*
 * hook_trial.h - a dry run: ask or tell one webhook what an event would, and
 * see what comes of it.
 *
 * The request is a real one, signature and all, but that it has no sequence
 * number and a connection of its own. Nothing follows from it: no verdict is
 * applied, nothing is kept or counted, breaker and queue do not matter and do
 * not notice.
 *
 * Broker's thread only. A trial never blocks it.
 */
#ifndef PLUGIN_HOOK_HOOK_TRIAL_H
#define PLUGIN_HOOK_HOOK_TRIAL_H

#include <stdbool.h>
#include <stdint.h>
#include "cache/cache.h"
#include "plugin/codec/codec.h"
#include "plugin/event.h"
#include "plugin/verdict.h"
#include "pool/pool.h"

struct hooks;
struct settings;
struct webhook;

enum trial_end {
	TRIAL_ANSWERED = 0, /* of a hook that asks or offers: with `verdict` */
	TRIAL_MALFORMED,    /* a 200 that is no answer */
	TRIAL_REFUSED,      /* another status */
	TRIAL_UNAVAILABLE,  /* no answer at all: on_error, or once more */
};

/* Valid during the callback. */
struct trial_result {
	const struct webhook *webhook;
	const struct pool_reply *reply;
	enum trial_end end;
	char why[CODEC_ERROR_LEN];     /* unless it was answered */
	const struct verdict *verdict; /* or NULL */
	uint32_t ineffective; /* 1u << enum modifier: given, and this host
			       * cannot honour it */
	/* A login whose answer may be delayed on this host: nobody but the
	 * hook's other endpoints is asked after a next. */
	bool delayed;
	/* Whether it would be kept, and for how long. */
	bool kept;
	struct cache_life life;
};

typedef void hook_tried_fn(const struct trial_result *result, void *arg);

/*
 * Send `ev`, within `max_ms` or the webhook's own limit if that is shorter.
 * `webhook` is one of `s`, which is referenced until the end; it need not be
 * in force. `done` follows a success, once, from hooks_tick() or hooks_stop().
 * Returns 0 or -errno.
 */
int hook_try(struct hooks *hooks, struct settings *s,
	     const struct webhook *webhook, const struct event *ev,
	     uint32_t max_ms, hook_tried_fn *done, void *arg);

/* The body that is sent, to free(), with `***` in the place of a password and
 * of authentication data. NULL: no memory. */
char *hook_trial_body(const struct webhook *webhook, const struct event *ev);

#endif /* PLUGIN_HOOK_HOOK_TRIAL_H */
