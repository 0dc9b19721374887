/*
 * admin_fixture.h - what tests of the admin socket share: a real socket, real
 * hooks and dispatcher, and the test for the broker's thread, which ticks
 * while it waits unless `held`.
 */
#ifndef TEST_UNIT_ADMIN_FIXTURE_H
#define TEST_UNIT_ADMIN_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"

#define ADMIN_ROOT "/api/v1/webhooks/"
#define ADMIN_DONE "{\"text\":\"Done\",\"type\":\"text\"}"

struct admin;
struct http_server;

struct admin_fixture {
	char dir[64], path[96], log[16384];
	struct broker_ops ops; /* to be changed before admin_start() */
	struct hooks *hooks;
	struct admin *admin;
	struct http_server *server; /* an endpoint */
	int woken;                  /* eventfd */
	bool held;
	size_t clients;       /* that a disconnect finds */
	unsigned disconnects; /* asked of the broker; the last: */
	char gone_id[64], gone_name[64];
};

struct admin_answer {
	int status;
	char text[65536]; /* head and body */
	const char *body;
};

/* For cmocka, with a `struct admin_fixture` as the state. Nothing is started:
 * the test begins with admin_start(). */
int admin_set_up(void **state);
int admin_tear_down(void **state);

void admin_start(struct admin_fixture *f, const struct settings_opt *opts,
		 size_t n);
void admin_stop(struct admin_fixture *f);

/* Two options: one webhook. */
#define ADMIN_WEBHOOK(name, hook, url)                                         \
	{ "vmq_webhooks." name ".hook", hook },                                \
	{                                                                      \
		"vmq_webhooks." name ".endpoint", url                          \
	}

int admin_dial(const struct admin_fixture *f);
void admin_send(int fd, const char *target);
/* Up to the end of the connection, which it closes. */
void admin_read(struct admin_fixture *f, int fd, struct admin_answer *ret);
void admin_get(struct admin_fixture *f, const char *target,
	       struct admin_answer *ret);

/* What is answered, and a part of what is. */
void admin_expect(struct admin_fixture *f, const char *target, int status,
		  const char *body);
void admin_expect_part(struct admin_fixture *f, const char *target, int status,
		       const char *part);

/* Wait, ticking, for a part of a line in the log. */
void admin_expect_log(struct admin_fixture *f, const char *part);

/* Tick until `true_now(arg)`, and for no longer than the tests' patience. */
void admin_tick_until(struct admin_fixture *f, bool (*true_now)(void *arg),
		      void *arg);

/* One more round over the broker's thread. */
void admin_tick(struct admin_fixture *f);

#endif /* TEST_UNIT_ADMIN_FIXTURE_H */
