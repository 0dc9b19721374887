#include "plugin/admin/pages.h"

#include <stdio.h>
#include <string.h>
#include "plugin/admin/metrics.h"
#include "plugin/hook/hook.h"
#include "plugin/json_writer.h"
#include "plugin/settings/settings.h"
#include "pool/pool.h"

#ifndef VMQ_WEBHOOKS_VERSION
#define VMQ_WEBHOOKS_VERSION "0.1"
#endif

/* ---- /metrics ---- */

static struct admin_reply metrics_page(struct hooks *hooks)
{
	struct admin_reply reply = { .status = 200, .type = METRICS_TYPE };
	int err = metrics_text(hooks, &reply.body, &reply.len);

	if (err)
		return admin_reply_error(500, "cannot write the metrics: %s",
					 strerror(-err));
	return reply;
}

/* ---- /health ---- */

/* Whether it is another webhook's, of those before. */
static bool is_known(const struct settings *s, int hook, size_t n,
		     const char *target)
{
	for (int h = 0; h <= hook; h++) {
		size_t end = h == hook ? n : s->chained[h];

		for (size_t i = 0; i < end; i++) {
			if (strcmp(s->chain[h][i].target, target) == 0)
				return true;
		}
	}
	return false;
}

/* Endpoints whose breaker is open. */
static unsigned count_open(struct hooks *hooks, const struct settings *s)
{
	unsigned n = 0;

	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++) {
			const char *target = s->chain[h][i].target;
			struct pool_endpoint_stats stats;

			if (pool_get_stats(hooks_pool(hooks), target, &stats) ==
				    0 &&
			    (stats.open || stats.open_for_holding) &&
			    !is_known(s, h, i, target))
				n++;
		}
	}
	return n;
}

static bool is_alive(const struct hooks_pulse *pulse, int64_t unseen_us)
{
	/* one that never ticks is seen only when a client does something */
	return unseen_us < PAGES_UNSEEN_MS * 1000LL ||
	       (!pulse->ticked && pulse->may_never_tick);
}

struct admin_reply admin_page_health(struct hooks *hooks, int64_t now_us)
{
	struct admin_reply reply = { .status = 200 };
	struct settings *s = hooks_settings(hooks);
	struct json_writer w = JSON_WRITER_INIT;
	struct hooks_pulse pulse;
	char reason[96];
	int64_t unseen_us;

	hooks_get_pulse(hooks, &pulse);
	unseen_us = now_us > pulse.seen_us ? now_us - pulse.seen_us : 0;
	if (!is_alive(&pulse, unseen_us))
		reply.status = 503;
	json_open(&w, NULL, '{');
	json_text(&w, "status",
		  bytes_of(reply.status == 200 ? "ok" : "failing"));
	if (reply.status != 200) {
		snprintf(reason, sizeof(reason),
			 "the broker's thread was last seen %lld ms ago",
			 (long long)(unseen_us / 1000));
		json_text(&w, "reason", bytes_of(reason));
	}
	json_text(&w, "version", bytes_of(VMQ_WEBHOOKS_VERSION));
	json_int(&w, "uptime_s", (now_us - pulse.started_us) / 1000000);
	json_int(&w, "broker_seen_ms_ago", unseen_us / 1000);
	json_bool(&w, "broker_ticks", pulse.ticked);
	json_int(&w, "webhooks", (int64_t)s->webhooks);
	json_int(&w, "open_breakers", count_open(hooks, s));
	json_close(&w, '}');
	settings_unref(s);
	if (json_finish(&w, &reply.body, &reply.len) != 0)
		reply.status = 500;
	return reply;
}

/* ---- the table ---- */

bool admin_page(struct hooks *hooks, const char *uri, struct admin_reply *ret)
{
	size_t len = strcspn(uri, "?");

	if (len == strlen("/metrics") && memcmp(uri, "/metrics", len) == 0)
		*ret = metrics_page(hooks);
	else if (len == strlen("/health") && memcmp(uri, "/health", len) == 0)
		*ret = admin_page_health(hooks, pool_now_us());
	else
		return false;
	return true;
}
