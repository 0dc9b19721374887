/*
 * hook_private.h - what the files of hook.h share. Broker's thread only but
 * for the slot.
 */
#ifndef PLUGIN_HOOK_PRIVATE_H
#define PLUGIN_HOOK_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/broker.h"
#include "plugin/hook.h"
#include "plugin/settings_slot.h"
#include "pool/pool.h"

struct cache;
struct pending;

struct hooks {
	const struct broker_ops *ops;
	void *ops_ctx;
	struct pool *pool;
	struct cache *cache;
	struct pending *pending;
	struct settings_slot slot;
	/* The settings this thread works with: those of the slot as of its
	 * last look. */
	struct settings *settings;
	unsigned version; /* of the slot, at that look */
	/* An answer to a question of an earlier generation is not kept: what
	 * it was based on was cleared or replaced. */
	uint64_t generation;
	uint8_t secret[16]; /* of the cache keys */
};

/* Send `ev` to `webhook`. `done(reply, arg)` follows a success, once.
 * Returns 0, -ENOMEM or -ESHUTDOWN. */
int hook_send(struct hooks *hooks, const struct webhook *webhook,
	      const struct event *ev, bool in_lane, pool_done_fn *done,
	      void *arg, struct pool_call **ret_call, size_t *ret_len);

enum hook_outcome {
	OUTCOME_ANSWER = 0, /* a 200 */
	OUTCOME_REFUSAL,    /* another status: an answer, though no yes */
	OUTCOME_NONE,       /* no answer at all: `on_error` decides */
};

/* What `reply` is (contract.md, decision 1); unless it is an answer `reterr`
 * says why, in a few words with the URL left out. */
enum hook_outcome hook_outcome(const struct pool_reply *reply,
			       char reterr[static CODEC_ERROR_LEN]);

/* Count and log a call that brought no usable answer. */
void hook_failed(struct hooks *hooks, const struct webhook *webhook,
		 const char *what);

#endif /* PLUGIN_HOOK_PRIVATE_H */
