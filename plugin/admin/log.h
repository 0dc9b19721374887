/*
 * log.h - a line in the broker's log for every change.
 *
 * Only the broker's thread writes to its log, so the dispatcher's lines go
 * there as mail. A URL's user and password are left out, and the values in its
 * query.
 */
#ifndef PLUGIN_ADMIN_LOG_H
#define PLUGIN_ADMIN_LOG_H

#include <stddef.h>
#include "plugin/admin/commands.h"

struct hooks_reload;
struct hooks_selection;

/* Dispatcher's thread. `hook` NULL: of whichever. A line for which the
 * broker's thread has no room is counted, and the next one says how many are
 * missing. */
void admin_log_change(struct admin_commands *commands,
		      const struct admin_peer *peer, const char *done,
		      const char *hook, const char *endpoint);

/* Likewise a warning, and what of. */
void admin_log_warning(struct admin_commands *commands,
		       const struct admin_peer *peer, const char *done,
		       const char *hook, const char *endpoint, const char *why);
/* Any thread: what it has to say, cut at 768 bytes. Returns 0 or what
 * mailbox_post() does. */
int admin_log_post(struct hooks *hooks, int level, const char *line);

/* Likewise, with what came of it. Takes `reload`. */
void admin_log_reload(struct admin_commands *commands,
		      const struct admin_peer *peer,
		      struct hooks_reload *reload);

/* Broker's thread. */
void admin_log_cleared(struct hooks *hooks, const struct admin_peer *peer,
		       const struct hooks_selection *selection, size_t entries);
void admin_log_kicked(struct hooks *hooks, const struct admin_peer *peer,
		      size_t clients);
/* `endpoint` NULL: all of the hook. */
void admin_log_tested(struct hooks *hooks, const struct admin_peer *peer,
		      const char *hook, const char *endpoint);
void admin_log_disconnected(struct hooks *hooks, const struct admin_peer *peer,
			    const struct hooks_selection *whom, size_t clients);

#endif /* PLUGIN_ADMIN_LOG_H */
