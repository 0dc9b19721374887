/*
 * commands_pause.c - webhooks: pause, resume.
 *
 * By mail from the dispatcher to itself: what was configured before is there
 * by then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/log.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

struct pause_mail {
	struct mail mail; /* first */
	struct admin_commands *commands;
	struct admin_peer peer;
	uint64_t ticket;
	struct settings *settings; /* a reference */
	bool paused;
	char url[];
};

static void pause_mail_free(struct pause_mail *mail)
{
	settings_unref(mail->settings);
	free(mail);
}

/* By its URL, as it was given or as `show` writes it. */
static bool is_named(const struct webhook *webhook, const char *url)
{
	return strcmp(webhook->endpoint, url) == 0 ||
	       strcmp(webhook->shown, url) == 0;
}

/* Every endpoint of that URL, whichever the way there. Returns 0; or -errno
 * of the first that could not be; -ENOENT: there is none. */
static int pause_all(const struct pause_mail *mail)
{
	struct pool *pool = hooks_pool(mail->commands->hooks);
	const struct settings *s = mail->settings;
	int ret = -ENOENT;

	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++) {
			int err;

			if (!is_named(&s->chain[h][i], mail->url))
				continue;
			err = pool_pause(pool, s->chain[h][i].target,
					 mail->paused);
			if (err && err != -ENOENT)
				return err;
			if (!err)
				ret = 0;
		}
	}
	return ret;
}

static struct admin_reply not_found(bool paused)
{
	char text[64];

	snprintf(text, sizeof(text), "can't %s endpoint due to 'not_found'",
		 paused ? "pause" : "resume");
	return admin_reply_alert(text);
}

static void pause_now(struct mail *self)
{
	struct pause_mail *mail = (struct pause_mail *)self;
	struct admin_reply reply;
	int err = pause_all(mail);

	if (!err)
		reply = admin_reply_done();
	else if (err == -ENOENT)
		reply = not_found(mail->paused);
	else
		reply = admin_reply_error(err == -ESHUTDOWN ? 503 : 500,
					  "cannot do it: %s", strerror(-err));
	if (!err)
		admin_log_change(mail->commands, &mail->peer,
				 mail->paused ? "paused" : "resumed", NULL,
				 mail->url);
	admin_http_answer(mail->commands->http, mail->ticket, &reply);
	pause_mail_free(mail);
}

static void set_paused(const struct job *job, bool paused)
{
	const char *url = job->req->args[ADMIN_ENDPOINT].text;
	struct hooks *hooks = job->commands->hooks;
	size_t size = strlen(url) + 1;
	struct pause_mail *mail = calloc(1, sizeof(*mail) + size);

	if (!mail) {
		job_answer(job, (struct admin_reply){ .status = 500 });
		return;
	}
	mail->mail.receive = pause_now;
	mail->commands = job->commands;
	mail->peer = *job->peer;
	mail->ticket = job->ticket;
	mail->settings = hooks_settings(hooks);
	mail->paused = paused;
	memcpy(mail->url, url, size);
	if (mailbox_reply(pool_loop_box(hooks_pool(hooks)), &mail->mail) == 0)
		return;
	pause_mail_free(mail);
	job_answer(job, admin_reply_error(503, "the broker is stopping"));
}

void command_pause(const struct job *job)
{
	set_paused(job, true);
}

void command_resume(const struct job *job)
{
	set_paused(job, false);
}
