/*
 * sequence.h - the numbers of a client's events, one row for each endpoint,
 * so that a receiver sees when one is missing.
 *
 * A row lasts as long as somebody holds its client id, and begins anew at 1
 * after that. Broker's thread only; ids are copied.
 */
#ifndef PLUGIN_SEQUENCE_H
#define PLUGIN_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>
#include "plugin/event.h"

struct sequences;

/* Returns 0 or -ENOMEM. */
int sequences_create(struct sequences **ret);
void sequences_destroy(struct sequences *s); /* NULL is fine */

/* One more, or one fewer, that this id stands for; with the last its rows
 * go. Without memory an id is not held: its numbers are 0. */
void sequences_hold(struct sequences *s, const char *client_id);
void sequences_release(struct sequences *s, const char *client_id);

/* The number of this client's next event for `endpoint`, from 1 on; 0 when
 * nobody holds the id, or without memory: then it has none. */
uint64_t sequences_next(struct sequences *s, struct bytes client_id,
			const char *endpoint);

/* How many ids are held. */
size_t sequences_count(const struct sequences *s);

#endif /* PLUGIN_SEQUENCE_H */
