/*
 * commands_cache.c - the cache: show, clear.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/log.h"
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/json_writer.h"
#include "plugin/redact.h"
#include "plugin/settings/settings.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

/* ---- cache show ---- */

/* Descending, as the rows are; VerneMQ has three of them. */
static const struct {
	const char *name;
	size_t offset;
	bool vernemqs;
	bool at_present; /* or counted, since the start or a reset */
} stat_table[] = {
#define STAT(member, vernemqs, at_present)                                     \
	{                                                                      \
#member, offsetof(struct cache_group, member), vernemqs,       \
			at_present                                             \
	}
	STAT(stores, false, false),
	STAT(stale_if_error, false, false),
	STAT(stale, false, false),
	STAT(rejected, false, false),
	STAT(refusals_evicted, false, false),
	STAT(refusals, false, true),
	STAT(refusal_hits, false, false),
	STAT(misses, true, false),
	STAT(late, false, false),
	STAT(hits, true, false),
	STAT(expired, false, false),
	STAT(evicted, false, false),
	STAT(entries, true, true),
	STAT(bytes, false, true),
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

static _Atomic uint64_t *stat_at(struct cache_group *group, int stat)
{
	return (void *)((char *)group + stat_table[stat].offset);
}

static void cache_row(struct json_writer *w, const struct webhook *hook,
		      int stat)
{
	uint64_t then = atomic_load(stat_at(&hook->stats->cache_then, stat));
	uint64_t value = atomic_load(stat_at(&hook->stats->cache, stat)) - then;

	if (!value)
		return; /* as VerneMQ's, a row comes with first use */
	json_open(w, NULL, '{');
	json_text(w, "stat", bytes_of(stat_table[stat].name));
	json_text(w, "endpoint", bytes_of(hook->shown));
	json_text(w, "hook", bytes_of(hook_table[hook->hook].name));
	json_int(w, "value", (int64_t)value);
	json_close(w, '}');
}

static void count_anew(struct webhook_stats *stats)
{
	for (int stat = 0; stat < STAT_COUNT; stat++) {
		if (!stat_table[stat].at_present)
			atomic_store(stat_at(&stats->cache_then, stat),
				     atomic_load(stat_at(&stats->cache, stat)));
	}
}

/* What was counted is shown from 0 on. Entries stay: they count what is
 * there. */
static void reset_counters(const struct settings *s)
{
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++)
			count_anew(s->chain[h][i].stats);
	}
}

void command_cache_show(const struct job *job)
{
	struct settings *s = hooks_settings(job->commands->hooks);
	struct json_writer w = JSON_WRITER_INIT;
	struct cached *list;
	size_t n = 0;

	if (job->req->args[ADMIN_RESET].given) {
		reset_counters(s);
		settings_unref(s);
		job_answer(job, admin_reply_done());
		return;
	}
	list = cacheable_sorted(s, &n);
	if (!list) {
		settings_unref(s);
		job_answer(job, (struct admin_reply){ .status = 500 });
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
	job_answer(job, admin_reply_table_close(&w));
}

/* ---- cache clear: there and back ---- */

struct clear_mail {
	struct mail mail; /* first */
	struct admin_commands *commands;
	struct admin_peer peer;
	uint64_t ticket;
	struct hooks_selection selection; /* of `texts` */
	bool kick, kick_failed;
	int64_t until_ms; /* see may_disconnect_later() */
	char *texts[3];   /* endpoint, client id, user name; malloc'd */
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
	struct admin_reply reply =
		mail->kick_failed
			? admin_reply_error(
				  503, "the cache is cleared, but " NO_TICK_WHY)
			: admin_reply_done();

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

	if (n < 0 && may_disconnect_later(hooks, mail->until_ms)) {
		if (mailbox_reply(pool_owner_box(hooks_pool(hooks)), self))
			clear_mail_free(mail);
		return;
	}
	mail->kick_failed = n < 0;
	if (n >= 0)
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
	mail->until_ms = pool_now_ms() + NO_TICK_MS;
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

void command_cache_clear(const struct job *job)
{
	struct clear_mail *mail = clear_mail_create(job);

	if (!mail) {
		job_answer(job, (struct admin_reply){ .status = 500 });
		return;
	}
	if (!job_mail(job, &mail->mail))
		clear_mail_free(mail);
}
