#include "plugin/admin/guard.h"

#include <stdio.h>
#include "plugin/admin/log.h"
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "pool/pool.h"

enum {
	INTERVAL_MS = 10000, /* as that of other repeated lines */
	LINE_LEN = 256,
};

static void start_interval(struct admin_guard *guard)
{
	struct loop *loop = pool_loop(hooks_pool(guard->hooks));

	guard->quiet = true;
	loop_timer_set(loop, &guard->timer, loop_now_ms(loop) + INTERVAL_MS);
}

static void write_line(const struct admin_guard *guard,
		       char ret[static LINE_LEN])
{
	if (guard->unsaid == 1)
		snprintf(ret, LINE_LEN,
			 "admin: refused a request of uid %ld pid %ld: not "
			 "one of vmq_webhooks.admin_users",
			 (long)guard->last.uid, (long)guard->last.pid);
	else
		snprintf(ret, LINE_LEN,
			 "admin: refused %llu more requests, the last of uid "
			 "%ld pid %ld: not one of vmq_webhooks.admin_users",
			 (unsigned long long)guard->unsaid,
			 (long)guard->last.uid, (long)guard->last.pid);
}

/* What finds no room is in the next sum. */
static void say(struct admin_guard *guard)
{
	char line[LINE_LEN];

	write_line(guard, line);
	if (admin_log_post(guard->hooks, LOG_LEVEL_WARN, line) == 0)
		guard->unsaid = 0;
	start_interval(guard);
}

static void on_interval(struct loop *loop, void *arg)
{
	struct admin_guard *guard = arg;

	(void)loop;
	guard->quiet = false;
	if (guard->unsaid)
		say(guard);
}

void admin_guard_init(struct admin_guard *guard, struct hooks *hooks)
{
	*guard = (struct admin_guard){
		.hooks = hooks,
		.timer = { .fn = on_interval, .arg = guard },
	};
}

void admin_guard_clear(struct admin_guard *guard)
{
	char line[LINE_LEN];

	if (!guard->hooks)
		return;
	loop_timer_cancel(pool_loop(hooks_pool(guard->hooks)), &guard->timer);
	if (!guard->unsaid)
		return;
	write_line(guard, line);
	hooks_log(guard->hooks, LOG_LEVEL_WARN, "%s", line);
	guard->unsaid = 0;
}

static struct admin_reply refusal(const struct settings *s,
				  const struct admin_peer *peer)
{
	return admin_reply_error(
		403, "uid %ld may not use this socket: it is for %s",
		(long)peer->uid,
		s->admin_users.count
			? "those whom vmq_webhooks.admin_users names"
			: "root and the user that the broker runs as, or "
			  "whom vmq_webhooks.admin_users names instead");
}

bool admin_guard_admit(struct admin_guard *guard, const struct admin_peer *peer,
		       struct admin_reply *ret)
{
	struct settings *s = hooks_settings(guard->hooks);
	bool admitted = settings_users_have(&s->admin_users, peer->uid);

	if (!admitted) {
		*ret = refusal(s, peer);
		guard->unsaid++;
		guard->last = *peer;
		if (!guard->quiet)
			say(guard);
	}
	settings_unref(s);
	return admitted;
}
