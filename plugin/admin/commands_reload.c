/*
 * commands_reload.c - webhooks: reload; and what a reload changes in what is
 * saved.
 *
 * Files are read, so it travels as a change does (commands_register.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/log.h"
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "plugin/settings/settings_saved.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

struct reload_errand {
	struct mail mail; /* first */
	struct admin_commands *commands;
	struct admin_peer peer;
	uint64_t ticket;
	struct hooks_reload *reload; /* NULL: not yet, or no memory */
};

static void errand_free(struct reload_errand *errand)
{
	hooks_reload_free(errand->reload);
	free(errand);
}

/* ---- what is saved ---- */

void commands_save(struct admin_commands *commands)
{
	struct conf_error error = { "" };
	struct settings *s;
	char line[768];

	if (!commands->saved)
		return;
	s = hooks_settings(commands->hooks);
	if (saved_store(commands->saved, s, &error) != 0) {
		snprintf(line, sizeof(line),
			 "vmq_webhooks.persist: what the configuration has by "
			 "now is still saved as registered at run time: %.512s",
			 error.text);
		(void)admin_log_post(commands->hooks, LOG_LEVEL_WARN, line);
	}
	settings_unref(s);
}

/* ---- on the thread for errands ---- */

static void finish(struct mail *self);

static void carry_out(struct mail *self)
{
	struct reload_errand *errand = (struct reload_errand *)self;
	struct admin_commands *commands = errand->commands;
	struct pool *pool = hooks_pool(commands->hooks);

	errand->reload = hooks_reload(commands->hooks);
	if (errand->reload && !errand->reload->err && errand->reload->taken)
		commands_save(commands);
	errand->mail.receive = finish;
	if (mailbox_reply(pool_loop_box(pool), &errand->mail) != 0)
		errand_free(errand); /* the broker has stopped */
}

/* ---- on the dispatcher's ---- */

static struct admin_reply answer(const struct hooks_reload *reload)
{
	if (!reload)
		return (struct admin_reply){ .status = 500 };
	switch (reload->err) {
	case 0:
		return admin_reply_text("%s", reload->text);
	case -EAGAIN:
	case -EBUSY:
	case -ESHUTDOWN:
		return admin_reply_error(503, "%s", reload->text);
	case -ENOMEM:
		return admin_reply_error(500, "%s", reload->text);
	default:
		return admin_reply_error(400, "%s", reload->text);
	}
}

static void finish(struct mail *self)
{
	struct reload_errand *errand = (struct reload_errand *)self;
	struct admin_commands *commands = errand->commands;
	struct admin_reply reply = answer(errand->reload);

	admin_http_answer(commands->http, errand->ticket, &reply);
	if (errand->reload)
		admin_log_reload(commands, &errand->peer, errand->reload);
	errand->reload = NULL;
	errand_free(errand);
}

void command_reload(const struct job *job)
{
	struct reload_errand *errand = calloc(1, sizeof(*errand));

	if (!errand) {
		job_answer(job, (struct admin_reply){ .status = 500 });
		return;
	}
	errand->mail.receive = carry_out;
	errand->commands = job->commands;
	errand->peer = *job->peer;
	errand->ticket = job->ticket;
	if (!job_errand(job, &errand->mail))
		errand_free(errand);
}
