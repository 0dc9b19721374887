/*
 * commands_reload.c - webhooks: reload.
 */
#include <errno.h>
#include <stdlib.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/log.h"
#include "plugin/hook.h"

static void answer_failure(const struct job *job,
			   const struct hooks_reload *reload)
{
	unsigned status = reload->err == -EAGAIN   ? 503
			  : reload->err == -ENOMEM ? 500
						   : 400;

	job_answer(job, admin_reply_error(status, "%s", reload->text));
}

void command_reload(const struct job *job)
{
	struct hooks_reload *reload = hooks_reload(job->commands->hooks);

	if (!reload) {
		job_answer(job, (struct admin_reply){ .status = 500 });
		return;
	}
	if (reload->err)
		answer_failure(job, reload);
	else
		job_answer(job, admin_reply_text("%s", reload->text));
	admin_log_reload(job->commands, job->peer, reload);
}
