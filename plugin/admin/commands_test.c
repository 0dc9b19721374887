/*
 * commands_test.c - webhooks: test, a dry run.
 *
 * The dispatcher makes up the event and mails it to the broker's thread, which
 * sends it to each endpoint and goes on; when the last has answered the rows
 * travel back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/log.h"
#include "plugin/admin/trial_event.h"
#include "plugin/admin/verdict_text.h"
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/hook/hook_trial.h"
#include "plugin/json_writer.h"
#include "plugin/redact.h"
#include "plugin/settings/settings.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

enum {
	TRIALS_MAX = 8,    /* at a time */
	ROWS_MAX = 16,     /* endpoints of one */
	WHOLE_MS = 4500,   /* so that the answer comes within the 5 s */
	REPLY_SHOWN = 4096 /* bytes of a reply's body */
};

struct row {
	struct test_mail *mail;
	const struct webhook *webhook;
	char *request;
	char *reply; /* up to REPLY_SHOWN of `reply_len` */
	size_t reply_shown, reply_len;
	long status;
	struct pool_times times;
	char cache_control[256];
	struct verdict_text text;
};

struct test_mail {
	struct mail mail; /* first */
	struct admin_commands *commands;
	struct admin_peer peer;
	uint64_t ticket;
	int64_t until_ms; /* of pool_now_ms(): later nobody would be told */
	struct settings *settings; /* a reference */
	struct event *ev;
	char *url; /* of the one endpoint; NULL: all */
	size_t rows_count, left;
	struct row rows[ROWS_MAX];
};

static void test_mail_free(struct test_mail *mail)
{
	for (size_t i = 0; i < mail->rows_count; i++) {
		free(mail->rows[i].request);
		free(mail->rows[i].reply);
	}
	settings_unref(mail->settings);
	event_free(mail->ev);
	free(mail->url);
	free(mail);
}

/* ---- back on the dispatcher ---- */

static void put_row(struct json_writer *w, const struct row *row)
{
	const struct bytes reply = { row->reply, row->reply_shown };
	char longer[64] = "";

	if (row->reply_len > row->reply_shown)
		snprintf(longer, sizeof(longer), "%zu bytes in all",
			 row->reply_len);
	json_open(w, NULL, '{');
	json_text(w, "hook", bytes_of(hook_table[row->webhook->hook].name));
	json_text(w, "endpoint", bytes_of(row->webhook->shown));
	json_text(w, "request", bytes_of(row->request ? row->request : ""));
	if (row->status)
		json_int(w, "status", row->status);
	else
		json_null(w, "status");
	json_text(w, "cache_control", bytes_of(row->cache_control));
	json_text(w, "reply", row->reply ? reply : bytes_of(""));
	json_text(w, "reply_cut", bytes_of(longer));
	json_text(w, "verdict", bytes_of(row->text.verdict));
	json_text(w, "modifiers", bytes_of(row->text.modifiers));
	json_text(w, "means", bytes_of(row->text.means));
	json_text(w, "kept", bytes_of(row->text.kept));
	json_millis(w, "queue_ms", row->times.queue_us);
	json_millis(w, "connect_ms", row->times.connect_us);
	json_millis(w, "first_byte_ms", row->times.first_byte_us);
	json_millis(w, "total_ms", row->times.total_us);
	json_close(w, '}');
}

static void test_done(struct mail *self)
{
	struct test_mail *mail = (struct test_mail *)self;
	struct json_writer w = JSON_WRITER_INIT;
	struct admin_reply reply;

	admin_reply_table_open(&w);
	for (size_t i = 0; i < mail->rows_count; i++)
		put_row(&w, &mail->rows[i]);
	reply = admin_reply_table_close(&w);
	mail->commands->trials--;
	admin_http_answer(mail->commands->http, mail->ticket, &reply);
	test_mail_free(mail);
}

/* ---- on the broker's thread ---- */

static void row_ended(struct test_mail *mail)
{
	struct pool *pool = hooks_pool(mail->commands->hooks);

	if (--mail->left > 0)
		return;
	mail->mail.receive = test_done;
	if (mailbox_reply(pool_loop_box(pool), &mail->mail) != 0)
		test_mail_free(mail); /* nobody waits */
}

static void on_tried(const struct trial_result *result, void *arg)
{
	const struct pool_reply *reply = result->reply;
	struct row *row = arg;

	row->status = reply->status;
	row->times = reply->times;
	row->reply_len = reply->len;
	row->reply_shown = reply->len < REPLY_SHOWN ? reply->len : REPLY_SHOWN;
	row->reply = malloc(row->reply_shown + 1);
	if (row->reply && row->reply_shown)
		memcpy(row->reply, reply->body, row->reply_shown);
	snprintf(row->cache_control, sizeof(row->cache_control), "%s",
		 reply->cache_control ? reply->cache_control : "");
	verdict_text_write(result, &row->text);
	row_ended(row->mail);
}

static void send_row(struct test_mail *mail, struct row *row, int64_t left_ms)
{
	int err = -ETIMEDOUT;

	if (left_ms > 0)
		err = hook_try(mail->commands->hooks, mail->settings,
			       row->webhook, mail->ev, (uint32_t)left_ms,
			       on_tried, row);
	if (!err)
		return;
	snprintf(row->text.verdict, sizeof(row->text.verdict), "not sent: %s",
		 err == -ETIMEDOUT ? "the broker was held up for too long"
				   : strerror(-err));
	mail->left--;
}

static void test_now(struct mail *self)
{
	struct test_mail *mail = (struct test_mail *)self;
	int64_t left_ms = mail->until_ms - pool_now_ms();

	if (left_ms > 0)
		admin_log_tested(mail->commands->hooks, &mail->peer,
				 hook_table[mail->ev->hook].name, mail->url);
	mail->left = mail->rows_count + 1;
	for (size_t i = 0; i < mail->rows_count; i++)
		send_row(mail, &mail->rows[i], left_ms);
	row_ended(mail); /* the one more: none has ended us before */
}

/* ---- on the dispatcher: whom to ask, and what ---- */

/* Add the webhooks to ask. Returns 0; -ENOENT: there is none; -EFBIG. */
static int choose(struct test_mail *mail, enum hook_id hook)
{
	const struct settings *s = mail->settings;

	for (size_t i = 0; i < s->chained[hook]; i++) {
		const struct webhook *webhook = &s->chain[hook][i];

		if (mail->url && strcmp(webhook->endpoint, mail->url) != 0 &&
		    strcmp(webhook->shown, mail->url) != 0)
			continue;
		if (mail->rows_count == ROWS_MAX)
			return -EFBIG;
		mail->rows[mail->rows_count++] =
			(struct row){ .mail = mail, .webhook = webhook };
	}
	return mail->rows_count ? 0 : -ENOENT;
}

/* The settings with one webhook more, which nobody else gets to see. */
static int add_webhook(struct test_mail *mail, enum hook_id hook,
		       struct conf_error *reterr)
{
	const struct webhook webhook = {
		.hook = hook,
		.endpoint = mail->url,
		.timeout_ms = SETTINGS_TIMEOUT_DEFAULT_MS,
		.codec.base64_payload = true,
	};
	struct settings *s;
	int err = settings_with(mail->settings, &webhook, &s, reterr);

	if (err)
		return err;
	settings_unref(mail->settings);
	mail->settings = s;
	return choose(mail, hook);
}

static int find_webhooks(struct test_mail *mail, enum hook_id hook,
			 struct conf_error *reterr)
{
	int err = choose(mail, hook);

	if (err == -ENOENT && mail->url)
		err = add_webhook(mail, hook, reterr);
	for (size_t i = 0; !err && i < mail->rows_count; i++) {
		struct row *row = &mail->rows[i];

		row->request = hook_trial_body(row->webhook, mail->ev);
		if (!row->request)
			err = -ENOMEM;
	}
	return err;
}

static struct test_mail *test_mail_create(const struct job *job,
					  const struct event *ev)
{
	const struct admin_value *url = &job->req->args[ADMIN_ENDPOINT];
	struct test_mail *mail = calloc(1, sizeof(*mail));

	if (!mail)
		return NULL;
	mail->mail.receive = test_now;
	mail->commands = job->commands;
	mail->peer = *job->peer;
	mail->ticket = job->ticket;
	mail->until_ms = pool_now_ms() + WHOLE_MS;
	mail->settings = hooks_settings(job->commands->hooks);
	mail->url = url->given ? strdup(url->text) : NULL;
	if ((!url->given || mail->url) && event_copy(ev, &mail->ev) == 0)
		return mail;
	test_mail_free(mail);
	return NULL;
}

static struct admin_reply refusal(const struct job *job, int err,
				  const char *why)
{
	switch (err) {
	case -ENOENT:
		return admin_reply_error(
			400, "%s has no endpoint; name one with endpoint=<url>",
			job->req->args[ADMIN_HOOK].text);
	case -EFBIG:
		return admin_reply_error(
			400,
			"%s has more than %d endpoints; name one with "
			"endpoint=<url>",
			job->req->args[ADMIN_HOOK].text, ROWS_MAX);
	case -EINVAL:
		return admin_reply_error(400, "%s", why);
	case -EBUSY:
		return admin_reply_error(503,
					 "%d others are being tested; try "
					 "again",
					 TRIALS_MAX);
	default:
		return (struct admin_reply){ .status = 500 };
	}
}

/* The operator's screen is not the place for a password either. */
static void say_invalid(const char *url, const struct conf_error *error,
			char why[static ADMIN_ERROR_LEN])
{
	char *shown = redact_url(url);

	snprintf(why, ADMIN_ERROR_LEN, "cannot ask %.200s: %s",
		 shown ? shown : "it", error->text);
	free(shown);
}

/* Returns 0, and then the mail is on its way, or has been answered. */
static int run(const struct job *job, char why[static ADMIN_ERROR_LEN])
{
	const struct admin_request *req = job->req;
	enum hook_id hook = req->args[ADMIN_HOOK].number;
	struct conf_error error = { "" };
	struct trial_event event;
	struct test_mail *mail;
	int err;

	if (job->commands->trials >= TRIALS_MAX)
		return -EBUSY;
	err = trial_event_make(hook, req->fields, req->fields_count, &event,
			       why);
	if (err)
		return err;
	mail = test_mail_create(job, &event.ev);
	if (!mail)
		return -ENOMEM;
	err = find_webhooks(mail, hook, &error);
	if (err == -EINVAL)
		say_invalid(mail->url, &error, why);
	if (!err && job_mail(job, &mail->mail)) {
		job->commands->trials++;
		return 0;
	}
	test_mail_free(mail);
	return err;
}

void command_test(const struct job *job)
{
	char why[ADMIN_ERROR_LEN] = "";
	int err = run(job, why);

	if (err)
		job_answer(job, refusal(job, err, why));
}
