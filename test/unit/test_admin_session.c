/* plugin/admin/commands_session.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pool/mailbox.h"
#include "pool/pool.h"
#include "test/unit/admin_fixture.h"

#define ROOT "/api/v1/session/disconnect"

static void parts_from_whom_it_is_told(void **state)
{
	static const struct {
		const char *args, *id, *name, *line;
	} cases[] = {
		{ "client-id=a", "a", "any", ": client-id=a\n" },
		{ "username=b", "any", "b", ": username=b\n" },
		{ "username=b&client-id=c%26d", "c&d", "b",
		  ": client-id=c&d username=b\n" },
	};
	struct admin_fixture *f = *state;

	admin_start(f, NULL, 0);
	f->clients = 2;
	for (unsigned i = 0; i < 3; i++) {
		char target[128];

		snprintf(target, sizeof(target), ROOT "?%s", cases[i].args);
		f->log[0] = '\0';
		admin_expect(f, target, 200,
			     "{\"text\":\"Done: 2 clients disconnected\","
			     "\"type\":\"text\"}");
		assert_int_equal(f->disconnects, i + 1);
		assert_string_equal(f->gone_id, cases[i].id);
		assert_string_equal(f->gone_name, cases[i].name);
		admin_expect_log(f, "admin: disconnected 2 clients by uid ");
		assert_non_null(strstr(f->log, cases[i].line));
	}
	f->clients = 1;
	admin_expect_part(f, ROOT "?client-id=a", 200,
			  "Done: 1 client disconnected");
}

static void nobody_is_an_alert_and_not_logged(void **state)
{
	struct admin_fixture *f = *state;

	admin_start(f, NULL, 0);
	admin_expect(f, ROOT "?client-id=a", 200,
		     "{\"alert\":[{\"text\":\"can't disconnect client due to "
		     "'not_found'\",\"type\":\"text\"}],\"type\":\"alert\"}");
	assert_int_equal(f->disconnects, 1);
	assert_string_equal(f->log, "");
}

static void refuses_what_cannot_be_done(void **state)
{
	struct admin_fixture *f = *state;

	admin_start(f, NULL, 0);
	f->clients = 1;
	admin_expect_part(f, ROOT "?client-id=a&--cleanup", 400,
			  "--cleanup cannot be done");
	admin_expect_part(f, ROOT "?client-id=a&mountpoint=m", 400,
			  "mountpoint cannot be selected by");
	admin_expect_part(f, ROOT, 400, "client-id or username is missing");
	admin_expect_part(f, ROOT "?client-id=", 400, "needs a value");
	admin_expect_part(f, ROOT "?hook=on_publish", 400, "unknown argument");
	assert_int_equal(f->disconnects, 0);
}

/* In a callback it could be the very client that the callback is about. */
static void waits_for_the_tick(void **state)
{
	static struct admin_answer r;
	struct admin_fixture *f = *state;
	int fd;

	admin_start(f, NULL, 0);
	f->clients = 1;
	fd = admin_dial(f);
	f->held = true;
	admin_send(fd, ROOT "?client-id=a");
	while (!mailbox_waiting(pool_owner_box(hooks_pool(f->hooks))))
		poll(NULL, 0, 1);
	for (int i = 0; i < 3; i++)
		pool_collect(hooks_pool(f->hooks));
	assert_int_equal(f->disconnects, 0);
	f->held = false;
	admin_tick(f);
	assert_int_equal(f->disconnects, 1);
	admin_read(f, fd, &r);
	assert_int_equal(r.status, 200);
}

/* As Mosquitto 2.0.11 with per_listener_settings: callbacks are all there is.
 * What waited for a tick for ever would have the broker woken every
 * millisecond. */
static void a_broker_that_never_ticks_says_so(void **state)
{
	static const char *const targets[] = {
		ROOT "?client-id=a",
		ADMIN_ROOT "cache/clear?client-id=a&--kick",
	};
	static struct admin_answer r;
	struct admin_fixture *f = *state;
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	int64_t end = pool_now_ms() + 20000;

	f->ops.delays_logins = false;
	admin_start(f, NULL, 0);
	f->clients = 1;
	f->held = true;
	for (int i = 0; i < 2; i++) {
		fds[i].fd = admin_dial(f);
		admin_send(fds[i].fd, targets[i]);
	}
	while (!fds[0].revents || !fds[1].revents) {
		assert_true(pool_now_ms() < end);
		hooks_refresh(f->hooks);
		assert_true(poll(fds, 2, 10) >= 0);
	}
	for (int i = 0; i < 2; i++) {
		admin_read(f, fds[i].fd, &r);
		assert_int_equal(r.status, 503);
		assert_non_null(strstr(r.body, "nobody can be disconnected"));
	}
	assert_int_equal(mailbox_waiting(pool_owner_box(hooks_pool(f->hooks))),
			 0);
	assert_int_equal(f->disconnects, 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, admin_set_up, admin_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parts_from_whom_it_is_told),
		TEST(nobody_is_an_alert_and_not_logged),
		TEST(refuses_what_cannot_be_done),
		TEST(waits_for_the_tick),
		TEST(a_broker_that_never_ticks_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
