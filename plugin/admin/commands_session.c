/*
 * commands_session.c - session: disconnect.
 */
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/log.h"
#include "plugin/hook/hook.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

/* There and back, as `cache clear --kick`. */
struct part_mail {
	struct mail mail; /* first */
	struct admin_commands *commands;
	struct admin_peer peer;
	uint64_t ticket;
	int64_t until_ms;            /* see may_disconnect_later() */
	struct hooks_selection whom; /* of the next two, which are malloc'd */
	char *client_id, *username;
	long clients; /* how many there were; negative: it cannot be done */
};

static void part_mail_free(struct part_mail *mail)
{
	free(mail->client_id);
	free(mail->username);
	free(mail);
}

/* Back on the dispatcher. The ticket may have ended its wait. */
static void parted(struct mail *self)
{
	struct part_mail *mail = (struct part_mail *)self;
	struct admin_reply reply;

	if (mail->clients < 0)
		reply = admin_reply_error(503, NO_TICK_WHY);
	else if (mail->clients)
		reply = admin_reply_text("Done: %ld client%s disconnected",
					 mail->clients,
					 mail->clients == 1 ? "" : "s");
	else
		reply = admin_reply_alert(
			"can't disconnect client due to 'not_found'");
	admin_http_answer(mail->commands->http, mail->ticket, &reply);
	part_mail_free(mail);
}

/* On the broker's thread: in a tick, or else in the next. */
static void part_now(struct mail *self)
{
	struct part_mail *mail = (struct part_mail *)self;
	struct hooks *hooks = mail->commands->hooks;
	struct pool *pool = hooks_pool(hooks);
	struct mailbox *to = pool_owner_box(pool);

	mail->clients = hooks_disconnect(hooks, &mail->whom);
	if (mail->clients >= 0 ||
	    !may_disconnect_later(hooks, mail->until_ms)) {
		if (mail->clients > 0)
			admin_log_disconnected(hooks, &mail->peer, &mail->whom,
					       (size_t)mail->clients);
		self->receive = parted;
		to = pool_loop_box(pool);
	}
	if (mailbox_reply(to, self) != 0)
		part_mail_free(mail); /* nobody waits */
}

static bool keep(const struct admin_value *value, char **ret)
{
	if (value->given)
		*ret = strdup(value->text);
	return !value->given || *ret;
}

static struct part_mail *part_mail_create(const struct job *job)
{
	const struct admin_value *args = job->req->args;
	struct part_mail *mail = calloc(1, sizeof(*mail));

	if (!mail)
		return NULL;
	mail->mail.receive = part_now;
	mail->commands = job->commands;
	mail->peer = *job->peer;
	mail->ticket = job->ticket;
	mail->until_ms = pool_now_ms() + NO_TICK_MS;
	if (!keep(&args[ADMIN_CLIENT_ID], &mail->client_id) ||
	    !keep(&args[ADMIN_USERNAME], &mail->username)) {
		part_mail_free(mail);
		return NULL;
	}
	mail->whom.hook = HOOK_COUNT;
	mail->whom.client_id = mail->client_id;
	mail->whom.username = mail->username;
	return mail;
}

/* What is asked for and cannot be done, or NULL. */
static const char *impossible(const struct admin_value *args)
{
	if (args[ADMIN_CLEANUP].given)
		return "--cleanup cannot be done: a plugin of Mosquitto cannot "
		       "end the session of a client that it parts from; the "
		       "session ends by its own expiry";
	if (args[ADMIN_MOUNTPOINT].given)
		return "mountpoint cannot be selected by: in Mosquitto a "
		       "client "
		       "id is one client, whatever its listener mounts. Leave "
		       "it out";
	if (!args[ADMIN_CLIENT_ID].given && !args[ADMIN_USERNAME].given)
		return "client-id or username is missing: whom to disconnect";
	return NULL;
}

void command_session_disconnect(const struct job *job)
{
	const char *why = impossible(job->req->args);
	struct part_mail *mail;

	if (why) {
		job_answer(job, admin_reply_error(400, "%s", why));
		return;
	}
	mail = part_mail_create(job);
	if (!mail) {
		job_answer(job, (struct admin_reply){ .status = 500 });
		return;
	}
	if (!job_mail(job, &mail->mail))
		part_mail_free(mail);
}
