/*
 * commands_webhooks.c - webhooks: show.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/commands_private.h"
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/json_writer.h"
#include "plugin/settings/settings.h"

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
		     const struct admin_value *args)
{
	char from[128];

	json_open(w, NULL, '{');
	json_text(w, "hook", bytes_of(hook_table[hook->hook].name));
	json_text(w, "endpoint", bytes_of(hook->shown));
	json_bool(w, "base64payload", hook->codec.base64_payload);
	json_int(w, "response_timeout", hook->timeout_ms);
	if (args[ADMIN_ORIGIN].given) {
		snprintf(from, sizeof(from), "vmq_webhooks.%s",
			 hook->name ? hook->name : "");
		json_text(w, "origin", bytes_of(hook->name ? from : "runtime"));
	}
	if (args[ADMIN_ALL].given)
		json_text(w, "options", bytes_of(hook->options));
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
			show_row(&w, &s->chain[order[i]][k], job->req->args);
	}
	settings_unref(s);
	job_answer(job, admin_reply_table_close(&w));
}
