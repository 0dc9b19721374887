/*
 * pending.h - which delayed answer a client is waiting for.
 *
 * The broker completes a delayed login by client id alone. A client that
 * leaves and comes back under the same id would get the first attempt's
 * answer; tickets prevent that. Owner's thread only; client ids are copied.
 */
#ifndef PLUGIN_PENDING_H
#define PLUGIN_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pending;

/* At most `max` clients wait at a time. Returns 0 or -ENOMEM. */
int pending_create(struct pending **ret, size_t max);
void pending_destroy(struct pending *p); /* NULL is fine */

/* Open a ticket, voiding any earlier one of this client. Never the same
 * twice. Returns 0 when the table is full or memory is; the caller then
 * answers by its policy. A client that has a ticket always gets another. */
uint64_t pending_open(struct pending *p, const char *client_id);

/* Close a ticket. True when it was the client's current one: only then may
 * the answer be applied. Otherwise nothing has changed. */
bool pending_close(struct pending *p, const char *client_id, uint64_t ticket);

/* The client is gone: void its ticket, if any. */
void pending_forget(struct pending *p, const char *client_id);

size_t pending_count(const struct pending *p);

#endif /* PLUGIN_PENDING_H */
