#include "plugin/admin/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/hook_table.h"
#include "plugin/redact.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

struct log_mail {
	struct mail mail; /* first */
	struct hooks *hooks;
	int level;
	char line[768];
};

static void log_now(struct mail *self)
{
	struct log_mail *mail = (struct log_mail *)self;

	hooks_log(mail->hooks, mail->level, "%s", mail->line);
	free(mail);
}

int admin_log_post(struct hooks *hooks, int level, const char *line)
{
	struct log_mail *mail = calloc(1, sizeof(*mail));
	int err;

	if (!mail)
		return -ENOMEM;
	mail->mail.receive = log_now;
	mail->hooks = hooks;
	mail->level = level;
	snprintf(mail->line, sizeof(mail->line), "%s", line);
	err = mailbox_post(pool_owner_box(hooks_pool(hooks)), &mail->mail);
	if (err)
		free(mail);
	return err;
}

/* `why` may be NULL. */
static void post_line(struct admin_commands *commands, int level,
		      const struct admin_peer *peer, const char *done,
		      const char *hook, const char *endpoint, const char *why)
{
	char *shown = redact_url_and_query(endpoint);
	char missing[64] = "", line[768];

	if (commands->unlogged)
		snprintf(missing, sizeof(missing), " (%llu lines are missing)",
			 (unsigned long long)commands->unlogged);
	snprintf(line, sizeof(line),
		 "admin: %s%s%s by uid %ld pid %ld%s: endpoint=%s%s%s", done,
		 hook ? " hook=" : "", hook ? hook : "", (long)peer->uid,
		 (long)peer->pid, missing, shown ? shown : "?", why ? ": " : "",
		 why ? why : "");
	free(shown);
	if (admin_log_post(commands->hooks, level, line) != 0)
		commands->unlogged++;
	else
		commands->unlogged = 0;
}

struct reload_mail {
	struct mail mail; /* first */
	struct hooks *hooks;
	struct admin_peer peer;
	struct hooks_reload *reload;
};

static void log_reload_now(struct mail *self)
{
	struct reload_mail *mail = (struct reload_mail *)self;

	hooks_log(mail->hooks, LOG_LEVEL_INFO,
		  "admin: reload by uid %ld pid %ld", (long)mail->peer.uid,
		  (long)mail->peer.pid);
	hooks_log_reload(mail->hooks, mail->reload);
	hooks_reload_free(mail->reload);
	free(mail);
}

void admin_log_reload(struct admin_commands *commands,
		      const struct admin_peer *peer,
		      struct hooks_reload *reload)
{
	struct reload_mail *mail = calloc(1, sizeof(*mail));

	if (mail) {
		mail->mail.receive = log_reload_now;
		mail->hooks = commands->hooks;
		mail->peer = *peer;
		mail->reload = reload;
		if (mailbox_post(pool_owner_box(hooks_pool(commands->hooks)),
				 &mail->mail) == 0)
			return;
	}
	commands->unlogged++;
	hooks_reload_free(reload);
	free(mail);
}

void admin_log_change(struct admin_commands *commands,
		      const struct admin_peer *peer, const char *done,
		      const char *hook, const char *endpoint)
{
	post_line(commands, LOG_LEVEL_INFO, peer, done, hook, endpoint, NULL);
}

void admin_log_warning(struct admin_commands *commands,
		       const struct admin_peer *peer, const char *done,
		       const char *hook, const char *endpoint, const char *why)
{
	post_line(commands, LOG_LEVEL_WARN, peer, done, hook, endpoint, why);
}

/* " name=value", cut where it does not fit. */
static void append(char *to, size_t size, const char *name, const char *value)
{
	size_t len = strlen(to);

	if (value)
		snprintf(to + len, size - len, " %s=%s", name, value);
}

void admin_log_cleared(struct hooks *hooks, const struct admin_peer *peer,
		       const struct hooks_selection *selection, size_t entries)
{
	char *shown = selection->endpoint
			      ? redact_url_and_query(selection->endpoint)
			      : NULL;
	char of[512] = "";

	if (selection->hook != HOOK_COUNT)
		append(of, sizeof(of), "hook",
		       hook_table[selection->hook].name);
	if (selection->endpoint)
		append(of, sizeof(of), "endpoint", shown ? shown : "?");
	append(of, sizeof(of), "client-id", selection->client_id);
	append(of, sizeof(of), "username", selection->username);
	hooks_log(hooks, LOG_LEVEL_INFO,
		  "admin: cleared the cache of %zu entries by uid %ld pid "
		  "%ld%s%s",
		  entries, (long)peer->uid, (long)peer->pid, *of ? ":" : "",
		  of);
	free(shown);
}

void admin_log_kicked(struct hooks *hooks, const struct admin_peer *peer,
		      size_t clients)
{
	hooks_log(hooks, LOG_LEVEL_INFO,
		  "admin: disconnected %zu clients by uid %ld pid %ld", clients,
		  (long)peer->uid, (long)peer->pid);
}

void admin_log_disconnected(struct hooks *hooks, const struct admin_peer *peer,
			    const struct hooks_selection *whom, size_t clients)
{
	char of[512] = "";

	append(of, sizeof(of), "client-id", whom->client_id);
	append(of, sizeof(of), "username", whom->username);
	hooks_log(hooks, LOG_LEVEL_INFO,
		  "admin: disconnected %zu clients by uid %ld pid %ld:%s",
		  clients, (long)peer->uid, (long)peer->pid, of);
}

void admin_log_tested(struct hooks *hooks, const struct admin_peer *peer,
		      const char *hook, const char *endpoint)
{
	char *shown = endpoint ? redact_url_and_query(endpoint) : NULL;

	hooks_log(hooks, LOG_LEVEL_INFO,
		  "admin: tested hook=%s by uid %ld pid %ld%s%s", hook,
		  (long)peer->uid, (long)peer->pid, shown ? ": endpoint=" : "",
		  shown ? shown : "");
	free(shown);
}
