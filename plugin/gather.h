/*
 * gather.h - collect what one client (un)subscribes to, filter by filter,
 * into one notification (contract.md, decision 4).
 *
 * The broker tells each filter by itself and never where a packet ends; the
 * adapter flushes at its tick and before anything else happens.
 * Broker's thread only.
 */
#ifndef PLUGIN_GATHER_H
#define PLUGIN_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/event.h"

struct gather;

int gather_create(struct gather **ret);
void gather_destroy(struct gather *g); /* NULL is fine */

/* The most filters in one notification; then it is full. */
#define GATHER_MAX 1024

/* Whether a filter of this hook and client may join what is held; false
 * when it is empty, full, or somebody else's. */
bool gather_fits(const struct gather *g, enum hook_id hook, const void *client);

/* Add a copy of `topic`. `ev` tells hook, names and properties of the first
 * one; they are copied too. The caller has flushed what does not fit.
 * Returns 0 or -ENOMEM, and then the filter is not told of. */
int gather_add(struct gather *g, const void *client, const struct event *ev,
	       const struct topic *topic);

/* Hand what is held to `emit`, once, and hold nothing. Nothing held: no
 * call. */
void gather_flush(struct gather *g,
		  void (*emit)(void *arg, const struct event *ev), void *arg);

bool gather_empty(const struct gather *g);

#endif /* PLUGIN_GATHER_H */
