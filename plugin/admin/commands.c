#include "plugin/admin/commands.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/log.h"
#include "plugin/admin/reply.h"
#include "plugin/hook.h"
#include "plugin/hook_table.h"
#include "plugin/json_writer.h"
#include "plugin/redact.h"
#include "plugin/settings.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

/* Others change settings too, but not as often as this in a row. */
enum {
	APPLY_TRIES = 100
};

/* One request under way. */
struct job {
	struct admin_commands *commands;
	const struct admin_request *req;
	const struct admin_peer *peer;
	uint64_t ticket;
};

static void answer(const struct job *job, struct admin_reply reply)
{
	admin_http_answer(job->commands->http, job->ticket, &reply);
}

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

static void show(const struct job *job)
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
	answer(job, admin_reply_table_close(&w));
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
		answer(job, admin_reply_done());
		return;
	case -EEXIST:
		answer(job, admin_reply_alert("can't register endpoint due to "
					      "'already_registered'"));
		return;
	case -ENOENT:
		answer(job, admin_reply_alert("can't deregister endpoint due "
					      "to 'not_found'"));
		return;
	case -EINVAL:
		answer(job,
		       admin_reply_error(400, "cannot register %.200s: %s",
					 job->req->args[ADMIN_ENDPOINT].text,
					 error->text));
		return;
	case -EAGAIN:
		answer(job, admin_reply_error(
				    503, "somebody else keeps changing the "
					 "settings; try again"));
		return;
	default:
		answer(job,
		       admin_reply_error(500, "cannot change the settings: %s",
					 strerror(-err)));
	}
}

static void register_webhook(const struct job *job)
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

static void deregister_webhook(const struct job *job)
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

/* ---- cache show ---- */

/* Descending, as the rows are; VerneMQ has three of them. */
static const struct {
	const char *name;
	size_t offset;
	bool vernemqs;
} stat_table[] = {
#define STAT(member, vernemqs)                                                 \
	{                                                                      \
#member, offsetof(struct cache_group, member), vernemqs        \
	}
	STAT(stores, false),
	STAT(stale_if_error, false),
	STAT(stale, false),
	STAT(rejected, false),
	STAT(refusals_evicted, false),
	STAT(refusals, false),
	STAT(refusal_hits, false),
	STAT(misses, true),
	STAT(late, false),
	STAT(hits, true),
	STAT(expired, false),
	STAT(evicted, false),
	STAT(entries, true),
	STAT(bytes, false),
#undef STAT
};

enum {
	STAT_COUNT = sizeof(stat_table) / sizeof(stat_table[0])
};

struct cached {
	const struct webhook *hook;
};

static int by_endpoint_descending(const void *a, const void *b)
{
	const struct webhook *left = ((const struct cached *)a)->hook;
	const struct webhook *right = ((const struct cached *)b)->hook;
	int order = strcmp(right->endpoint, left->endpoint);

	if (order)
		return order;
	return strcmp(hook_table[right->hook].name,
		      hook_table[left->hook].name);
}

/* Every webhook that may cache, sorted. Returns an array to free(), or NULL
 * without memory. */
static struct cached *cacheable_sorted(const struct settings *s, size_t *ret_n)
{
	struct cached *list;
	size_t n = 0;

	for (int h = 0; h < HOOK_COUNT; h++)
		n += hook_table[h].cacheable ? s->chained[h] : 0;
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return NULL;
	*ret_n = n;
	n = 0;
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; hook_table[h].cacheable && i < s->chained[h];
		     i++)
			list[n++].hook = &s->chain[h][i];
	}
	qsort(list, n, sizeof(*list), by_endpoint_descending);
	return list;
}

static void cache_row(struct json_writer *w, const struct webhook *hook,
		      int stat)
{
	const _Atomic uint64_t *counter;
	uint64_t value;

	counter = (const void *)((const char *)&hook->stats->cache +
				 stat_table[stat].offset);
	value = atomic_load_explicit(counter, memory_order_relaxed);
	if (!value)
		return; /* as VerneMQ's, a row comes with first use */
	json_open(w, NULL, '{');
	json_text(w, "stat", bytes_of(stat_table[stat].name));
	json_text(w, "endpoint", bytes_of(hook->shown));
	json_text(w, "hook", bytes_of(hook_table[hook->hook].name));
	json_int(w, "value", (int64_t)value);
	json_close(w, '}');
}

/* What was counted starts over. Entries stay: they count what is there. The
 * broker's thread adds atomically, so what it counts meanwhile is kept. */
static void reset_counters(const struct settings *s)
{
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++)
			cache_reset_counters(&s->chain[h][i].stats->cache);
	}
}

static void cache_show(const struct job *job)
{
	struct settings *s = hooks_settings(job->commands->hooks);
	struct json_writer w = JSON_WRITER_INIT;
	struct cached *list;
	size_t n = 0;

	if (job->req->args[ADMIN_RESET].given) {
		reset_counters(s);
		settings_unref(s);
		answer(job, admin_reply_done());
		return;
	}
	list = cacheable_sorted(s, &n);
	if (!list) {
		settings_unref(s);
		answer(job, (struct admin_reply){ .status = 500 });
		return;
	}
	admin_reply_table_open(&w);
	for (int stat = 0; stat < STAT_COUNT; stat++) {
		if (!stat_table[stat].vernemqs &&
		    !job->req->args[ADMIN_ALL].given)
			continue;
		for (size_t i = 0; i < n; i++)
			cache_row(&w, list[i].hook, stat);
	}
	free(list);
	settings_unref(s);
	answer(job, admin_reply_table_close(&w));
}

/* ---- cache clear: there and back ---- */

struct clear_mail {
	struct mail mail; /* first */
	struct admin_commands *commands;
	struct admin_peer peer;
	uint64_t ticket;
	struct hooks_selection selection; /* of `texts` */
	bool kick;
	char *texts[3]; /* endpoint, client id, user name; malloc'd */
};

static void clear_mail_free(struct clear_mail *mail)
{
	for (size_t i = 0; i < sizeof(mail->texts) / sizeof(*mail->texts); i++)
		free(mail->texts[i]);
	free(mail);
}

/* Back on the dispatcher. The ticket may have ended its wait. */
static void clear_done(struct mail *self)
{
	struct clear_mail *mail = (struct clear_mail *)self;
	struct admin_reply reply = admin_reply_done();

	admin_http_answer(mail->commands->http, mail->ticket, &reply);
	clear_mail_free(mail);
}

static void send_back(struct hooks *hooks, struct mail *mail)
{
	mail->receive = clear_done;
	if (mailbox_reply(pool_loop_box(hooks_pool(hooks)), mail) != 0)
		clear_mail_free((struct clear_mail *)mail); /* nobody waits */
}

/* On the broker's thread: in a tick, or else in the next. */
static void kick_now(struct mail *self)
{
	struct clear_mail *mail = (struct clear_mail *)self;
	struct hooks *hooks = mail->commands->hooks;
	long n = hooks_disconnect(hooks, &mail->selection);

	if (n < 0) {
		if (mailbox_reply(pool_owner_box(hooks_pool(hooks)), self))
			clear_mail_free(mail);
		return;
	}
	admin_log_kicked(hooks, &mail->peer, (size_t)n);
	send_back(hooks, self);
}

static bool is_everything(const struct hooks_selection *s)
{
	return s->hook == HOOK_COUNT && !s->endpoint && !s->client_id &&
	       !s->username;
}

/* On the broker's thread. */
static void clear_now(struct mail *self)
{
	struct clear_mail *mail = (struct clear_mail *)self;
	struct hooks *hooks = mail->commands->hooks;
	struct settings *s = hooks_settings(hooks);
	size_t n = hooks_cache_clear(hooks, &mail->selection);

	if (is_everything(&mail->selection))
		reset_counters(s);
	settings_unref(s);
	admin_log_cleared(hooks, &mail->peer, &mail->selection, n);
	if (!mail->kick) {
		send_back(hooks, self);
		return;
	}
	self->receive = kick_now;
	kick_now(self);
}

/* A text of the request that outlives it. False: no memory. */
static bool keep_text(struct clear_mail *mail, int i,
		      const struct admin_value *value, const char **ret)
{
	if (!value->given)
		return true;
	mail->texts[i] = strdup(value->text);
	*ret = mail->texts[i];
	return mail->texts[i] != NULL;
}

/* As `show` has it, with password or without. */
static bool keep_endpoint(struct clear_mail *mail,
			  const struct admin_value *value)
{
	if (!value->given)
		return true;
	mail->texts[0] = redact_url(value->text);
	mail->selection.endpoint = mail->texts[0];
	return mail->texts[0] != NULL;
}

static struct clear_mail *clear_mail_create(const struct job *job)
{
	const struct admin_value *args = job->req->args;
	struct clear_mail *mail = calloc(1, sizeof(*mail));
	struct hooks_selection *s;

	if (!mail)
		return NULL;
	mail->mail.receive = clear_now;
	mail->commands = job->commands;
	mail->peer = *job->peer;
	mail->ticket = job->ticket;
	mail->kick = args[ADMIN_KICK].given;
	s = &mail->selection;
	s->hook = args[ADMIN_HOOK].given ? args[ADMIN_HOOK].number : HOOK_COUNT;
	if (keep_endpoint(mail, &args[ADMIN_ENDPOINT]) &&
	    keep_text(mail, 1, &args[ADMIN_CLIENT_ID], &s->client_id) &&
	    keep_text(mail, 2, &args[ADMIN_USERNAME], &s->username))
		return mail;
	clear_mail_free(mail);
	return NULL;
}

static void cache_clear_command(const struct job *job)
{
	struct pool *pool = hooks_pool(job->commands->hooks);
	struct clear_mail *mail = clear_mail_create(job);
	int err;

	if (!mail) {
		answer(job, (struct admin_reply){ .status = 500 });
		return;
	}
	err = mailbox_post(pool_owner_box(pool), &mail->mail);
	if (!err)
		return;
	clear_mail_free(mail);
	answer(job,
	       admin_reply_error(503, "%s",
				 err == -EAGAIN ? "the broker has more mail "
						  "waiting than it takes"
						: "the broker is stopping"));
}

/* ---- the table ---- */

/* The rows of admin_command_table. */
static void (*const handlers[ADMIN_COMMAND_COUNT])(const struct job *) = {
	[ADMIN_SHOW] = show,
	[ADMIN_REGISTER] = register_webhook,
	[ADMIN_DEREGISTER] = deregister_webhook,
	[ADMIN_CACHE_SHOW] = cache_show,
	[ADMIN_CACHE_CLEAR] = cache_clear_command,
};

void admin_command_run(struct admin_commands *commands,
		       const struct admin_request *req,
		       const struct admin_peer *peer, uint64_t ticket)
{
	struct job job = { commands, req, peer, ticket };

	handlers[req->command](&job);
}
