#include "plugin/admin/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/broker.h"
#include "plugin/hook.h"
#include "plugin/hook_table.h"
#include "plugin/redact.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

struct log_mail {
	struct mail mail; /* first */
	struct hooks *hooks;
	char line[512];
};

static void log_now(struct mail *self)
{
	struct log_mail *mail = (struct log_mail *)self;

	hooks_log(mail->hooks, LOG_LEVEL_INFO, "%s", mail->line);
	free(mail);
}

void admin_log_change(struct admin_commands *commands,
		      const struct admin_peer *peer, const char *done,
		      const char *hook, const char *endpoint)
{
	struct log_mail *mail = calloc(1, sizeof(*mail));
	char *shown = redact_url_and_query(endpoint);
	char missing[64] = "";

	if (!mail || !shown) {
		free(mail);
		free(shown);
		commands->unlogged++;
		return;
	}
	if (commands->unlogged)
		snprintf(missing, sizeof(missing), " (%llu lines are missing)",
			 (unsigned long long)commands->unlogged);
	mail->mail.receive = log_now;
	mail->hooks = commands->hooks;
	snprintf(mail->line, sizeof(mail->line),
		 "admin: %s hook=%s by uid %ld pid %ld%s: endpoint=%s", done,
		 hook, (long)peer->uid, (long)peer->pid, missing, shown);
	free(shown);
	if (mailbox_post(pool_owner_box(hooks_pool(commands->hooks)),
			 &mail->mail) != 0) {
		free(mail);
		commands->unlogged++;
	} else {
		commands->unlogged = 0;
	}
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
