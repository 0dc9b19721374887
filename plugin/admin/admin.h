/*
 * admin.h - the admin socket: VerneMQ's management API over HTTP on a Unix
 * socket, answered on the dispatcher's thread.
 *
 * Paths are contract.md section 15's: `/api/v1/webhooks/<words>?k=v&--f=v`;
 * each command is a row of a table (request.c). What only the broker's thread
 * may do travels there as mail, what takes its time to a thread for errands,
 * and the answer back. Every change is logged with the uid and pid of the
 * process that asked for it. The operator's page is docs/admin.md.
 */
#ifndef PLUGIN_ADMIN_ADMIN_H
#define PLUGIN_ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

struct admin;
struct hooks;

/*
 * Listen on `path`, mode 0660, replacing a stale socket but never a live one
 * or anything that is no socket, and answer from the dispatcher's loop. Owner's
 * thread, before hooks_start(). `hooks` must outlive the result.
 * Returns 0; or, with what is wrong in `reterr`, -EADDRINUSE (a live socket
 * is there), -EEXIST (something that is no socket), -ENAMETOOLONG, -ENOMEM,
 * -EIO, or -errno of making the socket.
 */
int admin_create(struct admin **ret, struct hooks *hooks, const char *path,
		 char *reterr, size_t reterr_len);

struct saved;

/* From now on every change of what is registered at run time is saved there;
 * one that cannot be is refused. Owner's thread, before hooks_start(). `saved`
 * is not to be used otherwise until admin_destroy() has returned. */
void admin_save_to(struct admin *admin, struct saved *saved);

/* A reload has left webhooks of run time to the configuration: they leave the
 * file, a little later. Owner's thread. */
void admin_save(struct admin *admin);

/* Stop listening and remove the socket if it is still ours; a request that
 * waits is told so. Owner's thread, after hooks_stop(), or after a
 * hooks_start() that failed or never came. NULL is fine. */
void admin_destroy(struct admin *admin);

#endif /* PLUGIN_ADMIN_ADMIN_H */
