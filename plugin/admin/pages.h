/*
 * pages.h - what is not a command: /metrics for Prometheus, /health for who
 * watches over the broker.
 *
 * On the dispatcher's thread, which needs nobody else for it: they answer
 * while the broker's thread is held up.
 */
#ifndef PLUGIN_ADMIN_PAGES_H
#define PLUGIN_ADMIN_PAGES_H

#include <stdbool.h>
#include <stdint.h>
#include "plugin/admin/reply.h"

struct hooks;

/* From then on the broker's thread counts as not there. */
#define PAGES_UNSEEN_MS 5000

/* The page at `uri`, whatever its query. False: there is none. */
bool admin_page(struct hooks *hooks, const char *uri, struct admin_reply *ret);

/* The answer of /health at the time `now_us`. */
struct admin_reply admin_page_health(struct hooks *hooks, int64_t now_us);

#endif /* PLUGIN_ADMIN_PAGES_H */
