/*
 * commands.h - what each command does.
 *
 * On the dispatcher's thread: reads the current settings and counters, and
 * mails others what it may not do: the broker's thread to clear the cache and
 * to write to the log; a thread for errands to change the settings, which
 * reads files, and to save what was registered, which waits for the disk.
 */
#ifndef PLUGIN_ADMIN_COMMANDS_H
#define PLUGIN_ADMIN_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>
#include "plugin/admin/http.h"
#include "plugin/admin/request.h"

struct errands;
struct hooks;
struct saved;

/* Zero it, then set `hooks`, `http` and `errands`. Mail under way points to
 * it: it stays until the pool and the errands have stopped and all boxes are
 * empty. */
struct admin_commands {
	struct hooks *hooks;
	struct admin_http *http;
	struct errands *errands; /* where settings are changed */
	struct saved *saved;     /* of their thread; NULL: nothing is saved */
	uint64_t unlogged;       /* private: changes whose line found no room */
	unsigned trials;         /* private: dry runs under way */
};

/* Run `req` and answer `ticket`, now or when the broker's thread is done. */
void admin_command_run(struct admin_commands *commands,
		       const struct admin_request *req,
		       const struct admin_peer *peer, uint64_t ticket);

#endif /* PLUGIN_ADMIN_COMMANDS_H */
