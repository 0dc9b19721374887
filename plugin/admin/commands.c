#include "plugin/admin/commands_private.h"

#include <errno.h>
#include "plugin/hook/hook.h"
#include "pool/errands.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

void job_answer(const struct job *job, struct admin_reply reply)
{
	admin_http_answer(job->commands->http, job->ticket, &reply);
}

bool job_mail(const struct job *job, struct mail *mail)
{
	struct pool *pool = hooks_pool(job->commands->hooks);
	int err = mailbox_post(pool_owner_box(pool), mail);

	if (!err)
		return true;
	job_answer(job, admin_reply_error(503, "%s",
					  err == -EAGAIN
						  ? "the broker has more mail "
						    "waiting than it takes"
						  : "the broker is stopping"));
	return false;
}

bool job_errand(const struct job *job, struct mail *mail)
{
	int err = mailbox_post(errands_box(job->commands->errands), mail);

	if (!err)
		return true;
	job_answer(job, admin_reply_error(
				503, "%s",
				err == -EAGAIN ? "too many changes are waiting "
						 "already; try again"
					       : "the broker is stopping"));
	return false;
}

bool may_disconnect_later(const struct hooks *hooks, int64_t until_ms)
{
	struct hooks_pulse pulse;

	hooks_get_pulse(hooks, &pulse);
	return pulse.ticked || pool_now_ms() < until_ms;
}

/* ---- the table ---- */

/* The rows of admin_command_table. */
static command_fn *const handlers[ADMIN_COMMAND_COUNT] = {
	[ADMIN_SHOW] = command_show,
	[ADMIN_REGISTER] = command_register,
	[ADMIN_DEREGISTER] = command_deregister,
	[ADMIN_CACHE_SHOW] = command_cache_show,
	[ADMIN_CACHE_CLEAR] = command_cache_clear,
	[ADMIN_METRICS_SHOW] = command_metrics_show,
	[ADMIN_STATUS] = command_status,
	[ADMIN_EXPLAIN] = command_explain,
	[ADMIN_TEST] = command_test,
	[ADMIN_PAUSE] = command_pause,
	[ADMIN_RESUME] = command_resume,
	[ADMIN_SESSION_DISCONNECT] = command_session_disconnect,
	[ADMIN_RELOAD] = command_reload,
};

void admin_command_run(struct admin_commands *commands,
		       const struct admin_request *req,
		       const struct admin_peer *peer, uint64_t ticket)
{
	struct job job = { commands, req, peer, ticket };

	handlers[req->command](&job);
}
