/*
 * commands_register.c - webhooks: register, deregister.
 *
 * A change travels: it is read on the dispatcher's thread, carried out on the
 * one for errands, and logged and answered on the dispatcher's again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/log.h"
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/redact.h"
#include "plugin/settings/settings.h"
#include "plugin/settings/settings_register.h"
#include "plugin/settings/settings_saved.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

/* Others change settings too, but not as often as this in a row. */
enum {
	APPLY_TRIES = 100
};

struct change {
	struct mail mail; /* first */
	struct admin_commands *commands;
	struct admin_peer peer;
	uint64_t ticket;
	bool registers;         /* or deregisters */
	struct registration *r; /* or its hook and endpoint alone */
	int err;
	bool unverified; /* `verify_peer = off` */
	bool unsaved;    /* what was wrong with saving is `error` */
	struct conf_error error;
};

static void change_free(struct change *c)
{
	registration_unref(c->r);
	free(c);
}

/* ---- carrying it out ---- */

/* What cannot be saved is not registered: it would be gone when nobody thinks
 * of it. But who wants to be rid of a webhook is, whatever the disk says. */
static int put_in_force(struct change *c, const struct settings *old,
			struct settings *s)
{
	struct saved *saved = c->commands->saved;
	struct conf_error ignored;
	int err = saved ? saved_store(saved, s, &c->error) : 0;

	c->unsaved = err != 0;
	if (!err || !c->registers)
		err = hooks_apply(c->commands->hooks, old, s);
	if (err && saved)
		saved_store(saved, old, &ignored);
	return err;
}

/* Where that is so for all, the log has it from the start. */
static bool is_unverified(const struct change *c, const struct settings *s)
{
	const struct webhook *w = settings_find(s, c->r->hook, c->r->endpoint);

	return w->transport != s->transport && w->transport->way.no_verify;
}

static int try_change(struct change *c)
{
	struct settings *old = hooks_settings(c->commands->hooks), *s = NULL;
	int err;

	c->unsaved = c->unverified = false;
	err = c->registers
		      ? settings_register(old, c->r, &s, &c->error)
		      : settings_without(old, c->r->hook, c->r->endpoint, &s);
	if (!err && c->registers)
		c->unverified = is_unverified(c, s);
	if (!err)
		err = put_in_force(c, old, s);
	settings_unref(s);
	settings_unref(old);
	return err;
}

static void finish(struct mail *self);

static void carry_out(struct mail *self)
{
	struct change *c = (struct change *)self;
	struct pool *pool = hooks_pool(c->commands->hooks);

	c->err = -EAGAIN;
	for (int i = 0; i < APPLY_TRIES && c->err == -EAGAIN; i++)
		c->err = try_change(c);
	c->mail.receive = finish;
	if (mailbox_reply(pool_loop_box(pool), &c->mail) != 0)
		change_free(c); /* the broker has stopped */
}

/* ---- answering ---- */

static struct admin_reply answer_unsaved(const struct change *c)
{
	if (!c->registers)
		return admin_reply_error(
			500,
			"deregistered, but it is back with the broker's next "
			"start: %s",
			c->error.text);
	return admin_reply_error(c->err == -EINVAL || c->err == -EFBIG ? 400
								       : 500,
				 "not registered: %s", c->error.text);
}

static struct admin_reply answer_invalid(const struct change *c)
{
	char *shown = redact_url(c->r->endpoint);
	struct admin_reply reply =
		admin_reply_error(400, "cannot register %.200s: %s",
				  shown ? shown : "it", c->error.text);

	free(shown);
	return reply;
}

static struct admin_reply answer(const struct change *c)
{
	switch (c->err) {
	case 0:
		return admin_reply_done();
	case -EEXIST:
		return admin_reply_alert("can't register endpoint due to "
					 "'already_registered'");
	case -ENOENT:
		return admin_reply_alert("can't deregister endpoint due to "
					 "'not_found'");
	case -EINVAL:
		return answer_invalid(c);
	case -EAGAIN:
		return admin_reply_error(503,
					 "somebody else keeps changing the "
					 "settings; try again");
	case -EBUSY:
		return admin_reply_error(503, HOOKS_BUSY);
	case -ESHUTDOWN:
		return admin_reply_error(503, "the broker is stopping");
	default:
		return admin_reply_error(500, "cannot change the settings: %s",
					 strerrordesc_np(-c->err));
	}
}

static void log_change(const struct change *c, bool unsaved)
{
	const char *hook = hook_table[c->r->hook].name;

	if (!c->err)
		admin_log_change(c->commands, &c->peer,
				 c->registers ? "registered" : "deregistered",
				 hook, c->r->endpoint);
	if (!c->err && c->unverified)
		admin_log_warning(
			c->commands, &c->peer, "registered", hook,
			c->r->endpoint,
			"verify_peer = off: any server can pass for "
			"the endpoint, and read and decide what it is "
			"sent");
	if (unsaved)
		admin_log_warning(c->commands, &c->peer,
				  c->registers ? "did not register"
					       : "did not save that it "
						 "deregistered",
				  hook, c->r->endpoint, c->error.text);
}

static void finish(struct mail *self)
{
	struct change *c = (struct change *)self;
	bool unsaved = c->unsaved && (c->registers || !c->err);
	struct admin_reply reply = unsaved ? answer_unsaved(c) : answer(c);

	log_change(c, unsaved);
	admin_http_answer(c->commands->http, c->ticket, &reply);
	change_free(c);
}

/* ---- asking ---- */

static int read_registration(const struct admin_request *req,
			     struct registration **ret,
			     struct conf_error *reterr)
{
	struct registration *r;
	int err;

	err = registration_create(&r, req->args[ADMIN_HOOK].number,
				  req->args[ADMIN_ENDPOINT].text);
	if (err)
		return err;
	for (size_t i = 0; !err && i < req->options_count; i++) {
		const struct admin_option *o = &req->options[i];
		char why[CONF_REASON_LEN] = "";

		err = registration_add(r, o->flag, o->name, o->text, why);
		snprintf(reterr->text, sizeof(reterr->text), "%.128s: %s",
			 o->flag, why);
	}
	if (err)
		registration_unref(r);
	else
		*ret = r;
	return err;
}

static void refuse(const struct job *job, int err,
		   const struct conf_error *error)
{
	char *shown = redact_url(job->req->args[ADMIN_ENDPOINT].text);

	if (err == -ENOMEM)
		job_answer(job, admin_reply_error(500, "out of memory"));
	else
		job_answer(job, admin_reply_error(
					400, "cannot register %.200s: %s",
					shown ? shown : "it", error->text));
	free(shown);
}

static void start_change(const struct job *job, bool registers)
{
	struct conf_error error = { "" };
	struct registration *r = NULL;
	struct change *c = NULL;
	int err;

	err = read_registration(job->req, &r, &error);
	if (!err) {
		c = calloc(1, sizeof(*c));
		err = c ? 0 : -ENOMEM;
	}
	if (err) {
		registration_unref(r);
		refuse(job, err, &error);
		return;
	}
	c->mail.receive = carry_out;
	c->commands = job->commands;
	c->peer = *job->peer;
	c->ticket = job->ticket;
	c->registers = registers;
	c->r = r;
	if (!job_errand(job, &c->mail))
		change_free(c);
}

void command_register(const struct job *job)
{
	start_change(job, true);
}

void command_deregister(const struct job *job)
{
	start_change(job, false);
}
