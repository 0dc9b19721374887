/*
 * stage.h - what replayed scenarios share: the core on a broker that notes what
 * is asked of it, a pool (fake_pool.h) and a clock in the test's hand.
 */
#ifndef TEST_REPLAY_STAGE_H
#define TEST_REPLAY_STAGE_H

#include <stddef.h>
#include <stdint.h>
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"

#define OK   "{\"result\":\"ok\"}"
#define NEXT "{\"result\":\"next\"}"
#define DENY "{\"result\":{\"error\":\"no\"}}"

#define MS     1000
#define SECOND 1000000

/* Two options: one webhook. */
#define HOOK(name, hook, url)                                                  \
	{ "vmq_webhooks." name ".hook", hook },                                \
	{                                                                      \
		"vmq_webhooks." name ".endpoint", url                          \
	}

/* What the core asked of the broker, and the broker's clock. */
struct stage {
	unsigned completed, voided, logged, levels[4];
	enum decision decision;
	uint64_t ticket;
	char client[64], reason[64], line[1024];
	char log[8192]; /* every line, as far as there is room */
	int64_t now_us;
};

extern struct stage broker;

/* That broker's side, for a test that replaces a part of it. */
extern const struct broker_ops stage_ops;

/* Begin, with these options; and end. */
struct hooks *hooks_of(const struct settings_opt *opts, size_t n);
void finish(struct hooks *hooks);

struct event login_of(const char *id);
struct event publish_to(const char *topic);

/* Ask and wait; returns the decision. */
enum decision ask(struct hooks *hooks, const struct event *ev);

/* The same as one callback of the broker. Returns how long it took. */
int64_t callback(struct hooks *hooks, const struct event *ev,
		 enum decision expected);

/* Ask a question that is PENDING; returns its ticket. */
uint64_t ask_later(struct hooks *hooks, const struct event *ev);

size_t clear_all(struct hooks *hooks);

/* Of the i-th webhook in the hook's chain. */
struct webhook_stats *stats_of(struct hooks *hooks, enum hook_id hook,
			       size_t i);

#endif /* TEST_REPLAY_STAGE_H */
