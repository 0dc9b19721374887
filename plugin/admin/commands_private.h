/*
 * commands_private.h - what the files of commands share. On the dispatcher's
 * thread, but for what mail does on the broker's.
 */
#ifndef PLUGIN_ADMIN_COMMANDS_PRIVATE_H
#define PLUGIN_ADMIN_COMMANDS_PRIVATE_H

#include "plugin/admin/commands.h"
#include "plugin/admin/reply.h"

struct mail;

/* One request under way. Valid until the handler returns. */
struct job {
	struct admin_commands *commands;
	const struct admin_request *req;
	const struct admin_peer *peer;
	uint64_t ticket;
};

/* A handler answers its job once: now, or later under its ticket. */
typedef void command_fn(const struct job *job);

command_fn command_show, command_register, command_deregister;
command_fn command_cache_show, command_cache_clear;
command_fn command_metrics_show;
command_fn command_explain;
command_fn command_status, command_test, command_pause, command_resume;
command_fn command_session_disconnect;
command_fn command_reload;

/* Takes the reply's body. */
void job_answer(const struct job *job, struct admin_reply reply);

/* Hand `mail`, whose `receive` answers, to the broker's thread. False: it
 * takes none; that has been answered, and the mail is the caller's. */
bool job_mail(const struct job *job, struct mail *mail);

/* For how long a broker that has never ticked is waited for: it parts from
 * nobody but in a tick. */
#define NO_TICK_MS 4000
#define NO_TICK_WHY                                                            \
	"nobody can be disconnected: this Mosquitto (before "                  \
	"2.0.15, with per_listener_settings) leaves its plugins "              \
	"no time for it"

/* On the broker's thread: whether hooks_disconnect() will be possible, as far
 * as is known at `until_ms`, which is of pool_now_ms(). */
bool may_disconnect_later(const struct hooks *hooks, int64_t until_ms);

/* As job_mail(), to the thread for errands, where changes come one after the
 * other. */
bool job_errand(const struct job *job, struct mail *mail);

/* On the thread for errands: save what is registered at run time by now. Says
 * in the log when that fails. */
void commands_save(struct admin_commands *commands);

#endif /* PLUGIN_ADMIN_COMMANDS_PRIVATE_H */
