#include "test/replay/stage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/broker.h"
#include "test/replay/fake_pool.h"

struct stage broker;

static void complete_auth(void *ctx, const char *client_id, uint64_t ticket,
			  const struct verdict *verdict)
{
	(void)ctx;
	if (!verdict) {
		broker.voided++;
		return;
	}
	broker.completed++;
	broker.decision = verdict->decision;
	snprintf(broker.reason, sizeof(broker.reason), "%.*s",
		 (int)verdict->reason.len, (const char *)verdict->reason.data);
	broker.ticket = ticket;
	snprintf(broker.client, sizeof(broker.client), "%s", client_id);
}

static void log_line(void *ctx, enum log_level level, const char *line)
{
	size_t len = strlen(broker.log);

	(void)ctx;
	broker.logged++;
	broker.levels[level]++;
	snprintf(broker.line, sizeof(broker.line), "%s", line);
	snprintf(broker.log + len, sizeof(broker.log) - len, "%s\n", line);
}

static void wake(void *ctx)
{
	(void)ctx;
}

static int64_t now_us(void *ctx)
{
	(void)ctx;
	return broker.now_us;
}

/* As far behind as it may be. */
static int64_t coarse_us(void *ctx)
{
	(void)ctx;
	return broker.now_us - BROKER_COARSE_US + 1;
}

static int64_t unix_ms(void *ctx)
{
	(void)ctx;
	return 1700000000000;
}

static const struct modifier_without_effect without_effect[] = {
	{ MODIFIER_RETRY_INTERVAL, "retry_interval",
	  1u << HOOK_AUTH_ON_REGISTER },
	{ MODIFIER_UPGRADE_QOS, "upgrade_qos", 1u << HOOK_AUTH_ON_REGISTER },
};

const struct broker_ops stage_ops = {
	.complete_auth = complete_auth,
	.log = log_line,
	.wake = wake,
	.now_us = now_us,
	.unix_ms = unix_ms,
	.coarse_us = coarse_us,
	.delays_logins = true,
	.without_effect = without_effect,
	.without_effect_count = 2,
};

struct hooks *hooks_of(const struct settings_opt *opts, size_t n)
{
	struct conf_error error;
	struct settings *s;
	struct hooks *hooks;

	memset(&broker, 0, sizeof(broker));
	broker.now_us = 1000000;
	fake_pool_clock_us = &broker.now_us;
	assert_int_equal(settings_load(opts, n, &s, &error), 0);
	assert_int_equal(hooks_create(&hooks, s, &stage_ops, NULL), 0);
	settings_unref(s);
	return hooks;
}

void finish(struct hooks *hooks)
{
	hooks_stop(hooks);
	hooks_destroy(hooks);
	fake_pool_reset();
}

struct event login_of(const char *id)
{
	return (struct event){
		.hook = HOOK_AUTH_ON_REGISTER,
		.mountpoint = bytes_of(""),
		.client_id = bytes_of(id),
		.username = bytes_of("u"),
		.password = bytes_of("secret"),
		.peer_addr = bytes_of("127.0.0.1"),
	};
}

struct event publish_to(const char *topic)
{
	struct event ev = login_of("c");

	ev.hook = HOOK_AUTH_ON_PUBLISH;
	ev.password = bytes_of(NULL);
	ev.topic = bytes_of(topic);
	ev.payload = bytes_of("hi");
	return ev;
}

/* Ask and wait; returns the decision. */
enum decision ask(struct hooks *hooks, const struct event *ev)
{
	const struct verdict *v = NULL;
	enum decision decision;

	assert_int_equal(hook_ask(hooks, ev, false, &v, NULL), HOOK_DONE);
	decision = v->decision;
	verdict_unref(v);
	return decision;
}

uint64_t ask_later(struct hooks *hooks, const struct event *ev)
{
	const struct verdict *v;
	uint64_t ticket = 0;

	assert_int_equal(hook_ask(hooks, ev, true, &v, &ticket), HOOK_PENDING);
	assert_true(ticket != 0);
	return ticket;
}

size_t clear_all(struct hooks *hooks)
{
	const struct hooks_selection all = { .hook = HOOK_COUNT };

	return hooks_cache_clear(hooks, &all);
}

struct webhook_stats *stats_of(struct hooks *hooks, enum hook_id hook, size_t i)
{
	return hooks_settings_now(hooks)->chain[hook][i].stats;
}

int64_t callback(struct hooks *hooks, const struct event *ev,
		 enum decision expected)
{
	int64_t before = broker.now_us;

	hooks_refresh(hooks);
	assert_int_equal(ask(hooks, ev), expected);
	return broker.now_us - before;
}
