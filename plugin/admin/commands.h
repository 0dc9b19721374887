/*
 * commands.h - what each command does.
 *
 * On the dispatcher's thread: reads the current settings and counters,
 * publishes new settings, and mails the broker's thread what only that may
 * do: clear the cache, write to the log.
 */
#ifndef PLUGIN_ADMIN_COMMANDS_H
#define PLUGIN_ADMIN_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>
#include "plugin/admin/http.h"
#include "plugin/admin/request.h"

struct hooks;

/* Zero it, then set `hooks` and `http`. Mail under way points to it: it
 * stays until the pool has stopped and both boxes are empty. */
struct admin_commands {
	struct hooks *hooks;
	struct admin_http *http;
	uint64_t unlogged; /* private: changes whose line found no room */
	unsigned trials;   /* private: dry runs under way */
};

/* Run `req` and answer `ticket`, now or when the broker's thread is done. */
void admin_command_run(struct admin_commands *commands,
		       const struct admin_request *req,
		       const struct admin_peer *peer, uint64_t ticket);

#endif /* PLUGIN_ADMIN_COMMANDS_H */
