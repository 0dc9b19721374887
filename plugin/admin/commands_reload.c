/*
 * commands_reload.c - webhooks: reload. As a change of what is registered, it
 * is carried out on the thread for errands, because it reads files, and
 * answered on the dispatcher's.
 */
#include <errno.h>
#include <stdlib.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/log.h"
#include "plugin/hook.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

struct reload {
	struct mail mail; /* first */
	struct admin_commands *commands;
	struct admin_peer peer;
	uint64_t ticket;
	struct hooks_reload *done; /* NULL: no memory */
};

static struct admin_reply answer(const struct hooks_reload *done)
{
	if (!done)
		return (struct admin_reply){ .status = 500 };
	switch (done->err) {
	case 0:
		return admin_reply_text("%s", done->text);
	case -EAGAIN:
	case -ESHUTDOWN:
		return admin_reply_error(503, "%s", done->text);
	case -ENOMEM:
		return admin_reply_error(500, "%s", done->text);
	default:
		return admin_reply_error(400, "%s", done->text);
	}
}

/* Back on the dispatcher. The ticket may have ended its wait. */
static void finish(struct mail *self)
{
	struct reload *reload = (struct reload *)self;
	struct admin_reply reply = answer(reload->done);

	admin_http_answer(reload->commands->http, reload->ticket, &reply);
	if (reload->done)
		admin_log_reload(reload->commands, &reload->peer, reload->done);
	free(reload);
}

static void carry_out(struct mail *self)
{
	struct reload *reload = (struct reload *)self;
	struct hooks *hooks = reload->commands->hooks;

	reload->done = hooks_reload(hooks);
	self->receive = finish;
	if (mailbox_reply(pool_loop_box(hooks_pool(hooks)), self) == 0)
		return;
	hooks_reload_free(reload->done); /* the broker has stopped */
	free(reload);
}

void command_reload(const struct job *job)
{
	struct reload *reload = calloc(1, sizeof(*reload));

	if (!reload) {
		job_answer(job, (struct admin_reply){ .status = 500 });
		return;
	}
	reload->mail.receive = carry_out;
	reload->commands = job->commands;
	reload->peer = *job->peer;
	reload->ticket = job->ticket;
	if (!job_errand(job, &reload->mail))
		free(reload);
}
