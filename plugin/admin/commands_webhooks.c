/*
 * commands_webhooks.c - webhooks: show, register, deregister.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/log.h"
#include "plugin/hook.h"
#include "plugin/hook_table.h"
#include "plugin/json_writer.h"
#include "plugin/settings.h"

/* Others change settings too, but not as often as this in a row. */
enum {
	APPLY_TRIES = 100
};

/* ---- show ---- */

static int by_name_descending(const void *a, const void *b)
{
	const enum hook_id *left = a, *right = b;

	return strcmp(hook_table[*right].name, hook_table[*left].name);
}

static void hooks_descending(enum hook_id ret[static HOOK_COUNT])
{
	for (int i = 0; i < HOOK_COUNT; i++)
		ret[i] = i;
	qsort(ret, HOOK_COUNT, sizeof(ret[0]), by_name_descending);
}

static void show_row(struct json_writer *w, const struct webhook *hook,
		     bool origin)
{
	char from[128];

	json_open(w, NULL, '{');
	json_text(w, "hook", bytes_of(hook_table[hook->hook].name));
	json_text(w, "endpoint", bytes_of(hook->shown));
	json_bool(w, "base64payload", hook->codec.base64_payload);
	json_int(w, "response_timeout", hook->timeout_ms);
	if (origin) {
		snprintf(from, sizeof(from), "vmq_webhooks.%s",
			 hook->name ? hook->name : "");
		json_text(w, "origin", bytes_of(hook->name ? from : "runtime"));
	}
	json_close(w, '}');
}

void command_show(const struct job *job)
{
	struct settings *s = hooks_settings(job->commands->hooks);
	struct json_writer w = JSON_WRITER_INIT;
	enum hook_id order[HOOK_COUNT];

	hooks_descending(order);
	admin_reply_table_open(&w);
	for (int i = 0; i < HOOK_COUNT; i++) {
		for (size_t k = 0; k < s->chained[order[i]]; k++)
			show_row(&w, &s->chain[order[i]][k],
				 job->req->args[ADMIN_ORIGIN].given);
	}
	settings_unref(s);
	job_answer(job, admin_reply_table_close(&w));
}

/* ---- register and deregister ---- */

typedef int change_fn(const struct settings *old,
		      const struct admin_request *req, struct settings **ret,
		      struct conf_error *reterr);

/* Make new settings of the current ones and put them in force. */
static int change(struct hooks *hooks, change_fn *fn,
		  const struct admin_request *req, struct conf_error *reterr)
{
	int err = -EAGAIN;

	for (int i = 0; i < APPLY_TRIES && err == -EAGAIN; i++) {
		struct settings *old = hooks_settings(hooks), *s = NULL;

		err = fn(old, req, &s, reterr);
		if (!err)
			err = hooks_apply(hooks, old, s);
		settings_unref(s);
		settings_unref(old);
	}
	return err;
}

static int with_webhook(const struct settings *old,
			const struct admin_request *req, struct settings **ret,
			struct conf_error *reterr)
{
	const struct admin_value *args = req->args;
	struct webhook hook = {
		.hook = args[ADMIN_HOOK].number,
		.timeout_ms = SETTINGS_TIMEOUT_DEFAULT_MS,
		.codec.base64_payload = true,
	};
	char *url = strdup(args[ADMIN_ENDPOINT].text);
	int err;

	if (!url)
		return -ENOMEM;
	hook.endpoint = url;
	if (args[ADMIN_RESPONSE_TIMEOUT].given)
		hook.timeout_ms = args[ADMIN_RESPONSE_TIMEOUT].number;
	if (args[ADMIN_BASE64PAYLOAD].given)
		hook.codec.base64_payload = args[ADMIN_BASE64PAYLOAD].number;
	if (args[ADMIN_NO_PAYLOAD].given)
		hook.codec.no_payload = args[ADMIN_NO_PAYLOAD].number;
	err = settings_with(old, &hook, ret, reterr);
	free(url);
	return err;
}

static int without_webhook(const struct settings *old,
			   const struct admin_request *req,
			   struct settings **ret, struct conf_error *reterr)
{
	(void)reterr;
	return settings_without(old, req->args[ADMIN_HOOK].number,
				req->args[ADMIN_ENDPOINT].text, ret);
}

static void answer_change(const struct job *job, int err,
			  const struct conf_error *error)
{
	switch (err) {
	case 0:
		job_answer(job, admin_reply_done());
		return;
	case -EEXIST:
		job_answer(job,
			   admin_reply_alert("can't register endpoint due to "
					     "'already_registered'"));
		return;
	case -ENOENT:
		job_answer(job,
			   admin_reply_alert("can't deregister endpoint due "
					     "to 'not_found'"));
		return;
	case -EINVAL:
		job_answer(job, admin_reply_error(
					400, "cannot register %.200s: %s",
					job->req->args[ADMIN_ENDPOINT].text,
					error->text));
		return;
	case -EAGAIN:
		job_answer(job, admin_reply_error(
					503, "somebody else keeps changing the "
					     "settings; try again"));
		return;
	default:
		job_answer(job, admin_reply_error(
					500, "cannot change the settings: %s",
					strerror(-err)));
	}
}

void command_register(const struct job *job)
{
	const struct admin_value *args = job->req->args;
	struct conf_error error = { "" };
	int err = change(job->commands->hooks, with_webhook, job->req, &error);

	if (!err)
		admin_log_change(job->commands, job->peer, "registered",
				 args[ADMIN_HOOK].text,
				 args[ADMIN_ENDPOINT].text);
	answer_change(job, err, &error);
}

void command_deregister(const struct job *job)
{
	const struct admin_value *args = job->req->args;
	struct conf_error error = { "" };
	int err =
		change(job->commands->hooks, without_webhook, job->req, &error);

	if (!err)
		admin_log_change(job->commands, job->peer, "deregistered",
				 args[ADMIN_HOOK].text,
				 args[ADMIN_ENDPOINT].text);
	answer_change(job, err, &error);
}
