/* plugin/admin.h, over a real Unix socket, with real hooks and dispatcher */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/admin/admin.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "plugin/settings/settings_saved.h"
#include "pool/mailbox.h"
#include "pool/pool.h"
#include "test/unit/idle_broker.h"

#define ROOT    "/api/v1/webhooks/"
#define EMPTY   "{\"table\":[],\"type\":\"table\"}"
#define DONE    "{\"text\":\"Done\",\"type\":\"text\"}"
#define PUBLISH ROOT "register?hook=on_publish&endpoint=http://127.0.0.1:9/"

enum {
	PATIENCE_MS = 10000,
	CONNECTIONS = 16, /* as http.h has it */
};

/* The test is the broker's thread: it ticks while it waits, unless held. */
struct fixture {
	char dir[64], path[96], log[4096];
	struct hooks *hooks;
	struct admin *admin;
	int woken; /* eventfd */
	bool held, warned;
	struct saved *saved; /* or NULL */
	char saved_path[96];
	/* The check of new settings is under the test's hand, as a disk may
	 * be: it has come so far; it may go on. */
	_Atomic bool slow;
	sem_t come, go;
	unsigned disconnects; /* asked of the broker; the last: */
	char gone_id[64], gone_name[64];
	struct broker_ops ops;
};

struct reply {
	int status;
	char text[131072]; /* head and body */
	const char *body;
};

/* ---- the broker ---- */

static void take_log(void *ctx, enum log_level level, const char *line)
{
	struct fixture *f = ctx;
	size_t len = strlen(f->log);

	assert_true(level == LOG_LEVEL_INFO || level == LOG_LEVEL_ERR ||
		    f->warned || strncmp(line, "admin: refused", 14) == 0);
	snprintf(f->log + len, sizeof(f->log) - len, "%s\n", line);
}

static void wake(void *ctx)
{
	struct fixture *f = ctx;
	uint64_t one = 1;

	if (write(f->woken, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* It has two of them, whoever they are. */
static size_t disconnect(void *ctx, const char *client_id, const char *username)
{
	struct hooks_selection whom = { HOOK_COUNT, NULL, client_id, username };
	struct fixture *f = ctx;

	/* as when 2.0 tells of it at once: this is no time to part from them
	 * once more */
	assert_int_equal(hooks_disconnect(f->hooks, &whom), -EAGAIN);
	pool_collect(hooks_pool(f->hooks));
	f->disconnects++;
	snprintf(f->gone_id, sizeof(f->gone_id), "%s",
		 client_id ? client_id : "any");
	snprintf(f->gone_name, sizeof(f->gone_name), "%s",
		 username ? username : "any");
	return 2;
}

/* Not for ever, or a test that fails would not end. */
static int wait_on(sem_t *sem)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 2 * PATIENCE_MS / 1000;
	while (sem_timedwait(sem, &end) != 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int check(void *ctx, const struct settings *s, struct conf_error *reterr)
{
	struct fixture *f = ctx;

	(void)s;
	(void)reterr;
	if (!f->slow)
		return 0;
	sem_post(&f->come);
	return wait_on(&f->go);
}

static void tick_if_woken(struct fixture *f)
{
	uint64_t count;

	if (read(f->woken, &count, sizeof(count)) == sizeof(count))
		hooks_tick(f->hooks);
}

/* ---- set up ---- */

static void start(struct fixture *f, const struct settings_opt *opts, size_t n)
{
	char why[512] = "";
	struct settings *s;
	struct conf_error error;

	assert_int_equal(settings_load(opts, n, &s, &error), 0);
	assert_int_equal(hooks_create(&f->hooks, s, &f->ops, f), 0);
	settings_unref(s);
	if (admin_create(&f->admin, f->hooks, f->path, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	if (f->saved)
		admin_save_to(f->admin, f->saved);
	assert_int_equal(hooks_start(f->hooks), 0);
}

static int set_up_bare(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	snprintf(f->dir, sizeof(f->dir), "/tmp/admin.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	f->ops = idle_broker;
	f->ops.disconnect = disconnect;
	f->ops.check = check;
	f->ops.log = take_log;
	f->ops.wake = wake;
	sem_init(&f->come, 0, 0);
	sem_init(&f->go, 0, 0);
	f->woken = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	*state = f;
	return f->woken < 0 ? -1 : 0;
}

static int set_up(void **state)
{
	int err = set_up_bare(state);

	if (!err)
		start(*state, NULL, 0);
	return err;
}

static void stop(struct fixture *f)
{
	if (f->hooks)
		hooks_stop(f->hooks);
	admin_destroy(f->admin);
	hooks_destroy(f->hooks);
	f->admin = NULL;
	f->hooks = NULL;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	stop(f);
	saved_close(f->saved);
	unlink(f->saved_path);
	sem_destroy(&f->come);
	sem_destroy(&f->go);
	close(f->woken);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* ---- the client ---- */

static int dial(const struct fixture *f)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	return fd;
}

static void say(int fd, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

static void send_request(int fd, const char *method, const char *target)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 method, target);
	say(fd, text);
}

/* Wait for something on `fd`, ticking meanwhile. False after `ms`. */
static bool wait_for(struct fixture *f, int fd, int64_t ms)
{
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = f->woken, .events = POLLIN } };
	int64_t end = pool_now_ms() + ms;

	for (;;) {
		int64_t left = end - pool_now_ms();

		fds[1].fd = f->held ? -1 : f->woken;
		if (left < 0)
			return false;
		assert_true(poll(fds, 2, (int)left) >= 0);
		if (!f->held)
			tick_if_woken(f);
		if (fds[0].revents)
			return true;
	}
}

/* Up to the end of the connection. */
static void read_reply(struct fixture *f, int fd, struct reply *ret)
{
	size_t len = 0;
	ssize_t n = 1;

	memset(ret, 0, sizeof(*ret));
	while (n > 0) {
		assert_true(len + 1 < sizeof(ret->text));
		if (!wait_for(f, fd, PATIENCE_MS))
			fail_msg("no reply");
		n = recv(fd, ret->text + len, sizeof(ret->text) - len - 1, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	ret->body = strstr(ret->text, "\r\n\r\n");
	ret->body = ret->body ? ret->body + 4 : "";
	if (sscanf(ret->text, "HTTP/1.1 %d ", &ret->status) != 1)
		ret->status = 0;
}

static void request(struct fixture *f, const char *method, const char *target,
		    struct reply *ret)
{
	int fd = dial(f);

	send_request(fd, method, target);
	read_reply(f, fd, ret);
}

static void expect(struct fixture *f, const char *target, int status,
		   const char *body)
{
	struct reply r;

	request(f, "GET", target, &r);
	assert_string_equal(r.body, body);
	assert_int_equal(r.status, status);
	assert_non_null(strstr(r.text, "Content-Type: application/json\r\n"));
}

/* Refused with a reason that holds `reason`. */
static void expect_error(struct fixture *f, const char *target, int status,
			 const char *reason)
{
	struct reply r;

	request(f, "GET", target, &r);
	assert_int_equal(r.status, status);
	assert_int_equal(strncmp(r.body, "{\"error\":\"", 10), 0);
	if (!strstr(r.body, reason))
		fail_msg("%s", r.body);
}

/* The log's lines travel as mail: one round over the broker's thread. */
static void expect_log(struct fixture *f, const char *line)
{
	struct pollfd fd = { .fd = f->woken, .events = POLLIN };

	while (!strstr(f->log, line)) {
		if (poll(&fd, 1, PATIENCE_MS) <= 0)
			fail_msg("\"%s\" is not in the log:\n%s", line, f->log);
		tick_if_woken(f);
	}
}

/* ---- metrics ---- */

static void metrics_are_a_table_too(void **state)
{
	struct fixture *f = *state;
	struct settings *s;
	struct reply r;

	expect(f, PUBLISH, 200, DONE);
	s = hooks_settings(f->hooks);
	histogram_add(&s->chain[HOOK_ON_PUBLISH][0].stats->times[TIME_TOTAL],
		      2500);
	settings_unref(s);
	request(f, "GET", "/api/v1/metrics/show", &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(
		strncmp(r.body,
			"{\"table\":[{\"type\":\"counter\",\"name\":"
			"\"webhooks_auth_on_register_requests\",\"value\":0},",
			83),
		0);
#define LABELS "hook=\\\"on_publish\\\",endpoint=\\\"http://127.0.0.1:9/\\\""
	assert_non_null(strstr(
		r.body, "{\"type\":\"histogram\",\"name\":\"vmq_webhooks_call_"
			"seconds{" LABELS ",quantile=\\\"0.5\\\"}\",\"value\":"
			"0.001750}"));
	assert_non_null(strstr(
		r.body, "\"name\":\"vmq_webhooks_call_seconds_count{" LABELS
			"}\",\"value\":1}"));
	assert_non_null(strstr(
		r.body, "\"name\":\"vmq_webhooks_call_seconds_sum{" LABELS
			"}\",\"value\":0.002500}"));
#undef LABELS
	assert_null(strstr(r.body, "_bucket"));
}

static void pages_are_answered_while_the_broker_is_held(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	f->held = true;
	request(f, "GET", "/metrics", &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.text, "Content-Type: text/plain; "
				       "version=0.0.4; charset=utf-8\r\n"));
	request(f, "GET", "/health", &r);
	assert_int_equal(r.status, 200);
	request(f, "POST", "/health", &r);
	assert_int_equal(r.status, 200);
}

/* ---- show, register, deregister ---- */

static const struct settings_opt some_webhooks[] = {
	{ "vmq_webhooks.b.hook", "auth_on_publish" },
	{ "vmq_webhooks.b.endpoint", "http://127.0.0.1:9/b" },
	{ "vmq_webhooks.a.hook", "auth_on_publish" },
	{ "vmq_webhooks.a.endpoint", "http://127.0.0.1:9/z" },
	{ "vmq_webhooks.a.base64encode", "off" },
	{ "vmq_webhooks.a.response_timeout", "77" },
	{ "vmq_webhooks.c.hook", "on_client_gone" },
	{ "vmq_webhooks.c.endpoint", "http://127.0.0.1:9/b" },
};

enum {
	SOME_WEBHOOKS = sizeof(some_webhooks) / sizeof(some_webhooks[0])
};

static void shows_an_empty_table(void **state)
{
	expect(*state, ROOT "show", 200, EMPTY);
	expect(*state, ROOT "cache/show", 200, EMPTY);
}

/* Hooks descending, endpoints in registration order, VerneMQ's members. */
static void shows_in_vernemqs_shape(void **state)
{
	struct fixture *f = *state;

	start(f, some_webhooks, SOME_WEBHOOKS);
	expect(f, ROOT "show", 200,
	       "{\"table\":["
	       "{\"hook\":\"on_client_gone\","
	       "\"endpoint\":\"http://127.0.0.1:9/b\","
	       "\"base64payload\":true,\"response_timeout\":5000},"
	       "{\"hook\":\"auth_on_publish\","
	       "\"endpoint\":\"http://127.0.0.1:9/z\","
	       "\"base64payload\":false,\"response_timeout\":77},"
	       "{\"hook\":\"auth_on_publish\","
	       "\"endpoint\":\"http://127.0.0.1:9/b\","
	       "\"base64payload\":true,\"response_timeout\":5000}"
	       "],\"type\":\"table\"}");
}

static void origin_is_told_when_asked_for(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	start(f, some_webhooks, SOME_WEBHOOKS);
	expect(f, PUBLISH, 200, DONE);
	request(f, "GET", ROOT "show?--origin", &r);
	assert_non_null(strstr(r.body, "\"origin\":\"vmq_webhooks.a\"}"));
	assert_non_null(strstr(r.body, "\"origin\":\"vmq_webhooks.c\"}"));
	assert_non_null(strstr(r.body, "\"origin\":\"runtime\"}"));
	request(f, "GET", ROOT "show", &r);
	assert_null(strstr(r.body, "origin"));
}

static void registers_with_every_option(void **state)
{
	struct fixture *f = *state;
	const struct webhook *hook;
	struct settings *s;

	expect(f,
	       ROOT "register?--response_timeout=123&"
		    "endpoint=http%3A%2F%2F127.0.0.1%3A9%2Fx%3Fa%3Db%3D%3D%26"
		    "c%3Dd%3D&--no_payload=true&hook=auth_on_publish_m5&"
		    "--base64payload=false",
	       200, DONE);
	s = hooks_settings(f->hooks);
	hook = settings_find(s, HOOK_AUTH_ON_PUBLISH_M5,
			     "http://127.0.0.1:9/x?a=b==&c=d=");
	assert_non_null(hook);
	assert_int_equal(hook->timeout_ms, 123);
	assert_false(hook->codec.base64_payload);
	assert_true(hook->codec.no_payload);
	settings_unref(s);
	hooks_tick(f->hooks);
	assert_true(hooks_has(f->hooks, HOOK_AUTH_ON_PUBLISH_M5));
}

static void registers_with_vernemqs_defaults(void **state)
{
	struct fixture *f = *state;
	const struct webhook *hook;
	struct settings *s;

	expect(f, PUBLISH, 200, DONE);
	s = hooks_settings(f->hooks);
	hook = settings_find(s, HOOK_ON_PUBLISH, "http://127.0.0.1:9/");
	assert_non_null(hook);
	assert_int_equal(hook->timeout_ms, 5000);
	assert_true(hook->codec.base64_payload);
	assert_false(hook->codec.no_payload);
	settings_unref(s);
}

static void double_registration_is_an_alert(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	expect(f, PUBLISH, 200, DONE);
	expect(f, PUBLISH, 200,
	       "{\"alert\":[{\"text\":\"can't register endpoint due to "
	       "'already_registered'\",\"type\":\"text\"}],"
	       "\"type\":\"alert\"}");
	request(f, "GET", ROOT "show", &r);
	assert_non_null(strstr(r.body, "on_publish"));
	assert_null(strstr(strstr(r.body, "on_publish") + 1, "on_publish"));
}

static void deregisters(void **state)
{
	struct fixture *f = *state;

	start(f, some_webhooks, SOME_WEBHOOKS);
	expect(f,
	       ROOT "deregister?endpoint=http://127.0.0.1:9/b&"
		    "hook=auth_on_publish",
	       200, DONE);
	expect(f,
	       ROOT "deregister?hook=auth_on_publish&"
		    "endpoint=http://127.0.0.1:9/z",
	       200, DONE);
	expect(f, ROOT "show", 200,
	       "{\"table\":[{\"hook\":\"on_client_gone\","
	       "\"endpoint\":\"http://127.0.0.1:9/b\","
	       "\"base64payload\":true,\"response_timeout\":5000}],"
	       "\"type\":\"table\"}");
}

static void unknown_deregistration_is_an_alert(void **state)
{
	struct fixture *f = *state;

	start(f, some_webhooks, SOME_WEBHOOKS);
	expect(f,
	       ROOT "deregister?hook=on_publish&endpoint=http://127.0.0.1:9/b",
	       200,
	       "{\"alert\":[{\"text\":\"can't deregister endpoint due to "
	       "'not_found'\",\"type\":\"text\"}],\"type\":\"alert\"}");
}

static void bad_requests_change_nothing(void **state)
{
	struct fixture *f = *state;

	expect_error(f, ROOT "register?hook=foo&endpoint=http://h/", 400,
		     "unknown hook");
	expect_error(f, ROOT "register?hook=on_publish", 400,
		     "endpoint is missing");
	expect_error(f, PUBLISH "&--response_timeout=abc", 400,
		     "--response_timeout");
	expect_error(f, PUBLISH "&--base64payload=foo", 400, "--base64payload");
	expect_error(f, PUBLISH "&bogus=1", 400, "bogus");
	expect_error(f, ROOT "register?hook=on_publish&endpoint=http://h:port/",
		     400, "cannot register http://h:port/: ");
	expect_error(f, ROOT "register?hook=on_publish&endpoint=ftp://h/", 400,
		     "cannot register ftp://h/: ");
	expect_error(f, ROOT "nonsense", 400, "nonsense");
	expect(f, ROOT "show", 200, EMPTY);
	assert_string_equal(f->log, "");
}

static void every_option_can_be_given(void **state)
{
	static const struct settings_opt all[] = {
		{ "vmq_webhooks.header.X-All", "all" },
	};
	struct fixture *f = *state;
	const struct webhook *hook;
	struct settings *s;

	start(f, all, 1);
	expect(f,
	       PUBLISH "&--header.X-Key=a%20b&--retries=1&--trace=true&"
		       "--connect_timeout=77",
	       200, DONE);
	s = hooks_settings(f->hooks);
	hook = settings_find(s, HOOK_ON_PUBLISH, "http://127.0.0.1:9/");
	assert_non_null(hook);
	assert_string_equal(hook->call.credentials->headers[0], "X-Key: a b");
	assert_string_equal(hook->call.credentials->headers[1], "X-All: all");
	assert_int_equal(hook->retries, 1);
	assert_true(hook->call.trace);
	assert_int_equal(hook->transport->way.connect_ms, 77);
	settings_unref(s);
}

static void bad_options_change_nothing(void **state)
{
	struct fixture *f = *state;

	expect_error(f, PUBLISH "&--retris=1", 400,
		     "cannot register http://127.0.0.1:9/: --retris: no such "
		     "key");
	expect_error(f, PUBLISH "&--retries=x", 400, "--retries: ");
	expect_error(f, PUBLISH "&--trace=on&--trace=on", 400, "set twice");
	expect_error(f, PUBLISH "&--trace", 400, "--trace needs a value");
	expect_error(f, PUBLISH "&--blocking=on", 400, "blocking is for");
	expect_error(f, PUBLISH "&--no_proxy=a%0ab", 400, "one line of text");
	expect(f, ROOT "show", 200, EMPTY);
	assert_string_equal(f->log, "");
}

/* The answer's text, which has the URL but for its password. */
static void secrets_are_not_repeated(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	request(f, "GET",
		ROOT "register?hook=on_publish&endpoint=http://joe:hunter2@h/&"
		     "--secret=hunter2",
		&r);
	assert_int_equal(r.status, 400);
	assert_non_null(strstr(r.body, "http://***@h/: --secret: "));
	assert_null(strstr(r.body, "hunter2"));
	expect(f, PUBLISH "&--header.X-Key=hunter2", 200, DONE);
	request(f, "GET", ROOT "show?--all&--origin", &r);
	assert_non_null(strstr(r.body, "\"origin\":\"runtime\","
				       "\"options\":\"--header.X-Key=***\"}"));
	assert_null(strstr(r.body, "hunter2"));
	request(f, "GET", ROOT "show", &r);
	assert_null(strstr(r.body, "X-Key"));
	expect_log(f, "registered hook=on_publish");
	assert_null(strstr(f->log, "hunter2"));
}

/* ---- saving ---- */

static void start_saving(struct fixture *f, const struct settings_opt *opts,
			 size_t n)
{
	struct conf_error error = { "" };

	snprintf(f->saved_path, sizeof(f->saved_path), "%s/saved", f->dir);
	if (saved_open(&f->saved, f->saved_path, &error) != 0)
		fail_msg("%s", error.text);
	start(f, opts, n);
}

/* As another start would find it. */
static void expect_saved(struct fixture *f, size_t n)
{
	struct conf_error error = { "" };
	struct settings *bare, *s;

	assert_int_equal(settings_load(NULL, 0, &bare, &error), 0);
	if (saved_load(f->saved, bare, NULL, NULL, &s, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(s->webhooks, n);
	settings_unref(s);
	settings_unref(bare);
}

static void what_changes_is_saved_before_the_answer(void **state)
{
	struct fixture *f = *state;

	start_saving(f, some_webhooks, SOME_WEBHOOKS);
	expect(f, PUBLISH, 200, DONE);
	expect_saved(f, 1);
	expect(f, PUBLISH "x&--retries=1", 200, DONE);
	expect_saved(f, 2);
	/* of the configuration */
	expect(f,
	       ROOT "deregister?hook=auth_on_publish&"
		    "endpoint=http://127.0.0.1:9/z",
	       200, DONE);
	expect_saved(f, 2);
	expect(f,
	       ROOT "deregister?hook=on_publish&endpoint=http://127.0.0.1:9/",
	       200, DONE);
	expect_saved(f, 1);
}

static void what_cannot_be_saved_is_refused(void **state)
{
	struct fixture *f = *state;
	char next[112];

	start_saving(f, NULL, 0);
	snprintf(next, sizeof(next), "%s.new", f->saved_path);
	expect(f, PUBLISH, 200, DONE);
	expect_log(f, "registered hook=on_publish");
	f->warned = true; /* from now on that may be */
	assert_int_equal(mkdir(next, 0700), 0);
	expect_error(f, PUBLISH "x", 500, "not registered: cannot save it in ");
	expect_error(f, PUBLISH "x&--header.A=it's%20%23", 400,
		     "not registered: --header.A: a value with both ' and #");
	expect_log(f, "did not register hook=on_publish");
	assert_non_null(strstr(f->log, "Is a directory"));
	expect_saved(f, 1);
	/* but who is to be rid of is */
	expect_error(f,
		     ROOT "deregister?hook=on_publish&"
			  "endpoint=http://127.0.0.1:9/",
		     500,
		     "deregistered, but it is back with the broker's next "
		     "start: cannot save it in ");
	expect(f, ROOT "show", 200, EMPTY);
	expect_log(f, "did not save that it deregistered hook=on_publish");
	assert_int_equal(rmdir(next), 0);
}

/* One after the other, whoever asks: none is lost. */
static void changes_at_once_are_all_made(void **state)
{
	struct fixture *f = *state;
	int fds[CONNECTIONS];

	start_saving(f, NULL, 0);
	for (int i = 0; i < CONNECTIONS; i++) {
		char target[256];

		fds[i] = dial(f);
		snprintf(target, sizeof(target), PUBLISH "%d", i);
		send_request(fds[i], "POST", target);
	}
	for (int i = 0; i < CONNECTIONS; i++) {
		struct reply r;

		read_reply(f, fds[i], &r);
		assert_string_equal(r.body, DONE);
	}
	stop(f);
	expect_saved(f, CONNECTIONS);
}

static void an_end_in_the_middle_is_survived(void **state)
{
	struct fixture *f = *state;
	int fds[CONNECTIONS];

	start(f, NULL, 0);
	for (int i = 0; i < CONNECTIONS; i++) {
		char target[256];

		fds[i] = dial(f);
		snprintf(target, sizeof(target), PUBLISH "%d", i);
		send_request(fds[i], "POST", target);
	}
	stop(f); /* whatever has become of them */
	for (int i = 0; i < CONNECTIONS; i++)
		close(fds[i]);
}

static void who_is_not_verified_is_warned_about(void **state)
{
	struct fixture *f = *state;

	start(f, NULL, 0);
	f->warned = true;
	expect(f, PUBLISH "&--verify_peer=false", 200, DONE);
	expect_log(f, ": endpoint=http://127.0.0.1:9/: verify_peer = off: any "
		      "server can pass for the endpoint");
}

/* ---- the log ---- */

static void changes_are_logged_with_who_made_them(void **state)
{
	struct fixture *f = *state;
	char who[64];

	snprintf(who, sizeof(who), "by uid %ld pid %ld", (long)getuid(),
		 (long)getpid());
	expect(f, PUBLISH, 200, DONE);
	expect_log(f, "registered hook=on_publish");
	assert_non_null(strstr(f->log, who));
	assert_non_null(strstr(f->log, "endpoint=http://127.0.0.1:9/\n"));
	expect(f,
	       ROOT "deregister?hook=on_publish&endpoint=http://127.0.0.1:9/",
	       200, DONE);
	expect_log(f, "deregistered hook=on_publish");
	f->log[0] = '\0';
	expect(f, ROOT "cache/clear", 200, DONE);
	expect_log(f, "cleared the cache");
	assert_non_null(strstr(f->log, who));
}

static void passwords_stay_out_of_the_log(void **state)
{
	struct fixture *f = *state;

	expect(f,
	       ROOT "register?hook=on_publish&"
		    "endpoint=http://joe:secret@127.0.0.1:9/p@th",
	       200, DONE);
	expect_log(f, "endpoint=http://***@127.0.0.1:9/p@th\n");
	assert_null(strstr(f->log, "joe"));
	assert_null(strstr(f->log, "sec"));
}

static void looking_is_not_logged(void **state)
{
	struct fixture *f = *state;

	expect(f, ROOT "show", 200, EMPTY);
	expect(f, ROOT "cache/show", 200, EMPTY);
	expect(f, ROOT "cache/clear", 200, DONE); /* after them */
	assert_non_null(strstr(f->log, "cleared"));
	assert_null(strchr(strchr(f->log, '\n') + 1, '\n'));
}

/* ---- reload ---- */

static const struct settings_opt reloaded[] = {
	{ "vmq_webhooks.w.hook", "on_publish" },
	{ "vmq_webhooks.w.endpoint", "http://127.0.0.1:9/w" },
};

#define OUTCOME                                                                \
	"configuration read again: webhooks: 1 added, 0 removed, 0 changed, "  \
	"1 kept"
#define ADDED "added: vmq_webhooks.w (on_publish http://127.0.0.1:9/w)"
#define KEPT  "kept: on_publish http://127.0.0.1:9/ of run time"

/* With the broker's thread held, too: it only has to write the log. */
static void reload_does_not_need_the_broker(void **state)
{
	struct fixture *f = *state;

	expect(f, PUBLISH, 200, DONE);
	assert_int_equal(hooks_set_source(f->hooks, reloaded, 2), 0);
	f->held = true;
	expect(f, ROOT "reload", 200,
	       "{\"text\":\"" OUTCOME "\\n" ADDED "\\n" KEPT
	       "\",\"type\":\"text\"}");
	expect(f, ROOT "show", 200,
	       "{\"table\":["
	       "{\"hook\":\"on_publish\","
	       "\"endpoint\":\"http://127.0.0.1:9/w\","
	       "\"base64payload\":true,\"response_timeout\":5000},"
	       "{\"hook\":\"on_publish\",\"endpoint\":\"http://127.0.0.1:9/\","
	       "\"base64payload\":true,\"response_timeout\":5000}"
	       "],\"type\":\"table\"}");
	assert_null(strstr(f->log, OUTCOME));
	f->held = false;
	expect_log(f, "admin: reload by uid ");
	expect_log(f, OUTCOME "\n" ADDED "\n" KEPT "\n");
}

static void a_failed_reload_says_what_the_log_says(void **state)
{
	static const char why[] = "plugin_opt_vmq_webhooks.w.hook: "
				  "vmq_webhooks.w (its first key is here): "
				  "it has no endpoint";
	struct fixture *f = *state;

	assert_int_equal(hooks_set_source(f->hooks, reloaded, 1), 0);
	expect_error(f, ROOT "reload", 400, why);
	expect_log(f, why);
	expect_log(f, "in force stays as it is\n");
	expect(f, ROOT "show", 200, EMPTY);
	/* it takes no argument */
	expect_error(f, ROOT "reload?hook=on_publish", 400, "unknown argument");
}

/* Files may be on a disk that takes its time. */
static void a_reload_holds_nobody_up(void **state)
{
	struct fixture *f = *state;
	struct reply r;
	int fd;

	assert_int_equal(hooks_set_source(f->hooks, reloaded, 2), 0);
	f->slow = true;
	fd = dial(f);
	send_request(fd, "POST", ROOT "reload");
	assert_int_equal(wait_on(&f->come), 0);
	expect(f, ROOT "show", 200, EMPTY);
	sem_post(&f->go);
	read_reply(f, fd, &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "1 added"));
}

static void reload_well(struct fixture *f)
{
	struct reply r;

	request(f, "POST", ROOT "reload", &r);
	assert_int_equal(r.status, 200);
}

static const struct settings_opt taken_over[] = {
	{ "vmq_webhooks.w.hook", "on_publish" },
	{ "vmq_webhooks.w.endpoint", "http://127.0.0.1:9/" },
};

/* Or the next start would bring back what the configuration has dropped. */
static void what_the_configuration_has_by_now_is_saved_no_more(void **state)
{
	struct fixture *f = *state;

	start_saving(f, NULL, 0);
	expect(f, PUBLISH, 200, DONE);
	expect(f, PUBLISH "x", 200, DONE);
	expect_saved(f, 2);
	assert_int_equal(hooks_set_source(f->hooks, taken_over, 2), 0);
	reload_well(f);
	expect_saved(f, 1);
	/* once more nothing is left to be taken */
	reload_well(f);
	expect_saved(f, 1);
}

/* Whatever became of that: who is deregistered is not back. */
static void what_was_taken_over_is_deregistered_for_good(void **state)
{
	struct fixture *f = *state;
	char next[112];

	start_saving(f, NULL, 0);
	snprintf(next, sizeof(next), "%s.new", f->saved_path);
	expect(f, PUBLISH, 200, DONE);
	assert_int_equal(hooks_set_source(f->hooks, taken_over, 2), 0);
	f->warned = true;
	assert_int_equal(mkdir(next, 0700), 0);
	reload_well(f);
	expect_log(f, "is still saved as registered at run time: cannot save");
	expect_saved(f, 1);
	assert_int_equal(rmdir(next), 0);
	expect(f,
	       ROOT "deregister?hook=on_publish&endpoint=http://127.0.0.1:9/",
	       200, DONE);
	expect_saved(f, 0);
}

/* As the broker's thread does after a SIGHUP. */
static void it_is_saved_without_a_command_too(void **state)
{
	struct fixture *f = *state;
	struct hooks_reload *reload;

	start_saving(f, NULL, 0);
	expect(f, PUBLISH, 200, DONE);
	assert_int_equal(hooks_set_source(f->hooks, taken_over, 2), 0);
	reload = hooks_reload(f->hooks);
	assert_non_null(reload);
	assert_int_equal(reload->err, 0);
	assert_int_equal(reload->taken, 1);
	hooks_reload_free(reload);
	admin_save(f->admin);
	stop(f); /* which carries out what is to be done */
	expect_saved(f, 0);
}

/* ---- the cache ---- */

static struct cache_group *group_of(struct fixture *f, enum hook_id hook,
				    const char *endpoint)
{
	struct settings *s = hooks_settings(f->hooks);
	const struct webhook *webhook = settings_find(s, hook, endpoint);

	assert_non_null(webhook);
	settings_unref(s);
	return &webhook->stats->cache;
}

static void shows_counters_in_vernemqs_order(void **state)
{
	struct fixture *f = *state;
	struct cache_group *z, *b;

	start(f, some_webhooks, SOME_WEBHOOKS);
	expect(f,
	       ROOT "register?hook=auth_on_register&"
		    "endpoint=http://127.0.0.1:9/z",
	       200, DONE);
	z = group_of(f, HOOK_AUTH_ON_PUBLISH, "http://127.0.0.1:9/z");
	b = group_of(f, HOOK_AUTH_ON_PUBLISH, "http://127.0.0.1:9/b");
	atomic_store(&z->misses, 3);
	atomic_store(&z->hits, 2);
	atomic_store(&z->entries, 1);
	atomic_store(&b->misses, 5);
	atomic_store(&group_of(f, HOOK_AUTH_ON_REGISTER, "http://127.0.0.1:9/z")
			      ->misses,
		     7);
	expect(f, ROOT "cache/show", 200,
	       "{\"table\":["
	       "{\"stat\":\"misses\",\"endpoint\":\"http://127.0.0.1:9/z\","
	       "\"hook\":\"auth_on_register\",\"value\":7},"
	       "{\"stat\":\"misses\",\"endpoint\":\"http://127.0.0.1:9/z\","
	       "\"hook\":\"auth_on_publish\",\"value\":3},"
	       "{\"stat\":\"misses\",\"endpoint\":\"http://127.0.0.1:9/b\","
	       "\"hook\":\"auth_on_publish\",\"value\":5},"
	       "{\"stat\":\"hits\",\"endpoint\":\"http://127.0.0.1:9/z\","
	       "\"hook\":\"auth_on_publish\",\"value\":2},"
	       "{\"stat\":\"entries\",\"endpoint\":\"http://127.0.0.1:9/z\","
	       "\"hook\":\"auth_on_publish\",\"value\":1}"
	       "],\"type\":\"table\"}");
}

static void reset_keeps_entries(void **state)
{
	struct fixture *f = *state;
	struct cache_group *z;

	start(f, some_webhooks, SOME_WEBHOOKS);
	z = group_of(f, HOOK_AUTH_ON_PUBLISH, "http://127.0.0.1:9/z");
	atomic_store(&z->misses, 3);
	atomic_store(&z->hits, 2);
	atomic_store(&z->entries, 1);
	expect(f, ROOT "cache/show?--reset", 200, DONE);
	expect(f, ROOT "cache/show", 200,
	       "{\"table\":[{\"stat\":\"entries\","
	       "\"endpoint\":\"http://127.0.0.1:9/z\","
	       "\"hook\":\"auth_on_publish\",\"value\":1}],"
	       "\"type\":\"table\"}");
	atomic_store(&z->entries, 0);
}

static void clear_starts_counting_anew(void **state)
{
	struct fixture *f = *state;
	struct cache_group *z;

	start(f, some_webhooks, SOME_WEBHOOKS);
	z = group_of(f, HOOK_AUTH_ON_PUBLISH, "http://127.0.0.1:9/z");
	atomic_store(&z->misses, 3);
	atomic_store(&z->hits, 2);
	expect(f, ROOT "cache/clear", 200, DONE);
	expect(f, ROOT "cache/show", 200, EMPTY);
}

static void shows_every_counter_of_all(void **state)
{
	static const char *const names[] = {
		"stores",
		"stale_if_error",
		"stale",
		"rejected",
		"refusals_evicted",
		"refusals",
		"refusal_hits",
		"misses",
		"late",
		"hits",
		"expired",
		"evicted",
		"entries",
		"bytes",
	};
	struct fixture *f = *state;
	char expected[4096] = "{\"table\":[";
	struct cache_group *z;

	start(f, some_webhooks, SOME_WEBHOOKS);
	expect(f, ROOT "cache/show?--all", 200, EMPTY); /* as VerneMQ's */
	z = group_of(f, HOOK_AUTH_ON_PUBLISH, "http://127.0.0.1:9/z");
	{
		_Atomic uint64_t *const counters[] = {
			&z->stores,
			&z->stale_if_error,
			&z->stale,
			&z->rejected,
			&z->refusals_evicted,
			&z->refusals,
			&z->refusal_hits,
			&z->misses,
			&z->late,
			&z->hits,
			&z->expired,
			&z->evicted,
			&z->entries,
			&z->bytes,
		};

		for (unsigned i = 0; i < 14; i++) {
			size_t len = strlen(expected);

			atomic_store(counters[i], 100 + i);
			snprintf(expected + len, sizeof(expected) - len,
				 "%s{\"stat\":\"%s\",\"endpoint\":"
				 "\"http://127.0.0.1:9/z\",\"hook\":"
				 "\"auth_on_publish\",\"value\":%u}",
				 i ? "," : "", names[i], 100 + i);
		}
		snprintf(expected + strlen(expected), 32, "%s",
			 "],\"type\":\"table\"}");
		expect(f, ROOT "cache/show?--all", 200, expected);
		expect(f, ROOT "cache/show?--all&--reset", 200, DONE);
		/* what is there stays, and what comes is shown */
		atomic_fetch_add(&z->late, 3);
		expect(f, ROOT "cache/show?--all", 200,
		       "{\"table\":["
		       "{\"stat\":\"refusals\",\"endpoint\":"
		       "\"http://127.0.0.1:9/z\",\"hook\":"
		       "\"auth_on_publish\",\"value\":105},"
		       "{\"stat\":\"late\",\"endpoint\":"
		       "\"http://127.0.0.1:9/z\",\"hook\":"
		       "\"auth_on_publish\",\"value\":3},"
		       "{\"stat\":\"entries\",\"endpoint\":"
		       "\"http://127.0.0.1:9/z\",\"hook\":"
		       "\"auth_on_publish\",\"value\":112},"
		       "{\"stat\":\"bytes\",\"endpoint\":"
		       "\"http://127.0.0.1:9/z\",\"hook\":"
		       "\"auth_on_publish\",\"value\":113}],"
		       "\"type\":\"table\"}");
		/* metrics go on */
		assert_int_equal(atomic_load(&z->late), 108 + 3);
		for (unsigned i = 0; i < 14; i++)
			atomic_store(counters[i], 0);
	}
}

static void clear_says_what_was_selected_and_by_whom(void **state)
{
	struct fixture *f = *state;
	char who[64];

	snprintf(who, sizeof(who), " of 0 entries by uid %ld pid %ld",
		 (long)getuid(), (long)getpid());
	expect(f, ROOT "cache/clear", 200, DONE);
	expect_log(f, who);
	assert_null(strstr(f->log, "hook="));
	f->log[0] = '\0';
	expect(f,
	       ROOT "cache/clear?username=joe&hook=auth_on_publish&"
		    "endpoint=http://me:secret@h/x&client-id=c%201",
	       200, DONE);
	expect_log(f, who);
	assert_non_null(strstr(f->log, ": hook=auth_on_publish endpoint="));
	assert_non_null(strstr(f->log, "client-id=c 1 username=joe\n"));
	assert_non_null(strstr(f->log, "h/x"));
	assert_null(strstr(f->log, "secret"));
	assert_int_equal(f->disconnects, 0);
}

static void a_part_of_the_cache_keeps_the_counters(void **state)
{
	struct fixture *f = *state;
	struct cache_group *z;

	start(f, some_webhooks, SOME_WEBHOOKS);
	z = group_of(f, HOOK_AUTH_ON_PUBLISH, "http://127.0.0.1:9/z");
	atomic_store(&z->misses, 3);
	expect(f, ROOT "cache/clear?hook=auth_on_publish", 200, DONE);
	expect(f, ROOT "cache/clear?client-id=a", 200, DONE);
	expect_error(f, ROOT "cache/clear?hook=auth_on_publishes", 400,
		     "did you mean");
	expect_error(f, ROOT "cache/clear?client-id=", 400, "needs a value");
	assert_int_equal(atomic_load(&z->misses), 3);
}

static void kick_disconnects_and_then_answers(void **state)
{
	static const struct {
		const char *args, *id, *name;
	} cases[] = {
		{ "client-id=a", "a", "any" },
		{ "username=b", "any", "b" },
		{ "username=b&client-id=a", "a", "b" },
		{ "hook=auth_on_publish&client-id=c%26d", "c&d", "any" },
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < 4; i++) {
		char target[128];

		snprintf(target, sizeof(target), ROOT "cache/clear?%s&--kick",
			 cases[i].args);
		f->log[0] = '\0';
		expect(f, target, 200, DONE);
		assert_int_equal(f->disconnects, i + 1);
		assert_string_equal(f->gone_id, cases[i].id);
		assert_string_equal(f->gone_name, cases[i].name);
		assert_non_null(strstr(f->log, "cleared the cache"));
		assert_non_null(strstr(f->log, "disconnected 2 clients by "
					       "uid"));
	}
	expect_error(f, ROOT "cache/clear?hook=auth_on_publish&--kick", 400,
		     "--kick needs client-id or username");
	assert_int_equal(f->disconnects, 4);
}

/* A callback of a client that could be the very one is no time to part from
 * it: the mail goes round until the tick. */
static void kick_waits_for_the_tick(void **state)
{
	struct fixture *f = *state;
	struct hooks_selection whom = { HOOK_COUNT, NULL, "a", NULL };
	int fd = dial(f);
	struct reply r;

	assert_int_equal(hooks_disconnect(f->hooks, &whom), -EAGAIN);
	f->held = true;
	send_request(fd, "GET", ROOT "cache/clear?client-id=a&--kick");
	for (int i = 0; i < 1000 && !strstr(f->log, "cleared"); i++) {
		pool_collect(hooks_pool(f->hooks));
		poll(NULL, 0, 1);
	}
	for (int i = 0; i < 3; i++)
		pool_collect(hooks_pool(f->hooks));
	assert_non_null(strstr(f->log, "cleared"));
	assert_int_equal(f->disconnects, 0);
	f->held = false;
	read_reply(f, fd, &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(f->disconnects, 1);
}

static void two_kicks_do_not_run_into_each_other(void **state)
{
	struct fixture *f = *state;
	struct reply r;
	int fds[2];

	f->held = true;
	for (int i = 0; i < 2; i++) {
		fds[i] = dial(f);
		send_request(fds[i], "GET",
			     ROOT "cache/clear?client-id=a&--kick");
	}
	while (mailbox_waiting(pool_owner_box(hooks_pool(f->hooks))) < 2)
		poll(NULL, 0, 1);
	f->held = false;
	for (int i = 0; i < 2; i++) {
		read_reply(f, fds[i], &r);
		assert_int_equal(r.status, 200);
	}
	assert_int_equal(f->disconnects, 2);
}

/* ---- while the broker is held ---- */

static void clear_is_answered_when_done_not_before(void **state)
{
	struct fixture *f = *state;
	struct reply r;
	int fd = dial(f);

	f->held = true;
	send_request(fd, "GET", ROOT "cache/clear");
	expect(f, ROOT "show", 200, EMPTY); /* needs no broker */
	expect(f, PUBLISH, 200, DONE);
	assert_false(wait_for(f, fd, 50));
	assert_string_equal(f->log, "");
	f->held = false;
	read_reply(f, fd, &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, DONE);
}

static void clear_fails_after_five_seconds(void **state)
{
	struct fixture *f = *state;
	int64_t start_ms = pool_now_ms();
	int idle = dial(f), fd = dial(f);
	struct reply r;

	f->held = true;
	send_request(fd, "GET", ROOT "cache/clear");
	read_reply(f, fd, &r);
	assert_int_equal(r.status, 503);
	assert_non_null(strstr(r.body, "held up"));
	assert_in_range(pool_now_ms() - start_ms, 4900, 8000);

	/* the answer that comes now is nobody's */
	f->held = false;
	expect_log(f, "cleared the cache");
	expect(f, ROOT "show", 200, EMPTY);

	/* and who said nothing all the while was shown out */
	assert_true(wait_for(f, idle, 3000));
	assert_int_equal(recv(idle, r.text, 1, 0), 0);
	close(idle);
}

static void a_client_that_left_is_no_trouble(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	f->held = true;
	send_request(fd, "GET", ROOT "cache/clear");
	expect(f, ROOT "show", 200, EMPTY);
	close(fd);
	f->held = false;
	expect_log(f, "cleared the cache");
	expect(f, ROOT "cache/clear", 200, DONE);
}

static void who_waits_is_told_that_the_broker_stops(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct reply r;
	int fd = dial(f);

	f->held = true;
	send_request(fd, "GET", ROOT "cache/clear");
	expect(f, ROOT "show", 200, EMPTY);
	stop(f);
	read_reply(f, fd, &r);
	/* the mail was received while stopping, or it was not */
	assert_true(r.status == 200 || r.status == 503);
	assert_int_equal(lstat(f->path, &st), -1);
}

/* ---- who may ---- */

static const struct settings_opt for_others[] = {
	{ "vmq_webhooks.admin_users", "4294967294,70000" },
};

#define NOT_ONE ": not one of vmq_webhooks.admin_users\n"

/* How many refusals the log tells of, in how many lines. */
static unsigned told_refusals(const char *log, unsigned *ret_lines)
{
	unsigned told = 0, n;

	*ret_lines = 0;
	for (const char *at = log; (at = strstr(at, "refused ")); at++) {
		told += sscanf(at, "refused %u more", &n) == 1 ? n : 1;
		(*ret_lines)++;
	}
	return told;
}

static void others_are_refused_whatever_they_ask(void **state)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT" };
	static const char *const targets[] = { PUBLISH, ROOT "show", ROOT "x",
					       "/", ROOT "cache/clear" };
	struct fixture *f = *state;
	struct settings *s;
	unsigned lines;
	char who[256];
	struct reply r;
	int fd;

	start(f, for_others, 1);
	for (int i = 0; i < 20; i++) {
		request(f, methods[i % 4], targets[i / 4], &r);
		assert_int_equal(r.status, 403);
		assert_int_equal(*r.body == '{', i % 4 != 1);
	}
	fd = dial(f);
	say(fd, "POST " PUBLISH " HTTP/1.1\r\nHost: x\r\n"
		"Connection: close\r\nContent-Length: 5\r\n\r\na=b&c");
	read_reply(f, fd, &r);
	assert_int_equal(r.status, 403);
	snprintf(who, sizeof(who),
		 "{\"error\":\"uid %ld may not use this socket: it is for "
		 "those whom vmq_webhooks.admin_users names\"}",
		 (long)getuid());
	expect(f, ROOT "show", 403, who);
	s = hooks_settings(f->hooks);
	assert_int_equal(s->webhooks, 0);
	settings_unref(s);

	/* one line at once; the rest is in a sum, at the end if not before */
	snprintf(who, sizeof(who),
		 "admin: refused a request of uid %ld pid %ld" NOT_ONE,
		 (long)getuid(), (long)getpid());
	expect_log(f, who);
	stop(f);
	assert_int_equal(told_refusals(f->log, &lines), 22);
	assert_in_range(lines, 2, 4);
}

static void whom_the_setting_names_may(void **state)
{
	char names[64];
	const struct settings_opt opt = { "vmq_webhooks.admin_users", names };
	struct fixture *f = *state;

	snprintf(names, sizeof(names), "70000, %ld", (long)getuid());
	start(f, &opt, 1);
	expect(f, PUBLISH, 200, DONE);
	expect(f, ROOT "cache/clear", 200, DONE);
	expect_log(f, "registered");
	assert_null(strstr(f->log, "refused"));
}

static void replace_settings(struct fixture *f, const struct settings_opt *opts,
			     size_t n)
{
	struct settings *old = hooks_settings(f->hooks), *s;
	struct conf_error error;

	assert_int_equal(settings_load(opts, n, &s, &error), 0);
	assert_int_equal(hooks_apply(f->hooks, old, s), 0);
	settings_unref(s);
	settings_unref(old);
}

static void the_settings_in_force_count(void **state)
{
	struct fixture *f = *state;
	struct reply r;
	int fd;

	expect(f, ROOT "show", 200, EMPTY);
	fd = dial(f);
	say(fd, "GET " ROOT "show HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(wait_for(f, fd, PATIENCE_MS));

	/* also for a connection that was let in before */
	replace_settings(f, for_others, 1);
	send_request(fd, "GET", ROOT "show");
	read_reply(f, fd, &r);
	assert_non_null(strstr(r.text, "HTTP/1.1 403 "));
	replace_settings(f, NULL, 0);
	expect(f, ROOT "show", 200, EMPTY);
}

/* It takes as long as the interval; there is no clock of ours in between. */
static void refusals_are_summed_up_in_time(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	start(f, for_others, 1);
	for (int i = 0; i < 4; i++)
		request(f, "GET", ROOT "show", &r);
	expect_log(f, "refused a request");
	assert_null(strstr(f->log, "more"));
	f->log[0] = '\0';
	for (int i = 0; i < 3 && !*f->log; i++)
		wait_for(f, f->woken, PATIENCE_MS);
	tick_if_woken(f);
	assert_non_null(strstr(f->log, "refused 3 more requests, the last"));
	request(f, "GET", ROOT "show", &r);
	assert_null(strstr(f->log, "a request"));
}

/* ---- HTTP ---- */

static void head_has_no_body(void **state)
{
	struct fixture *f = *state;
	char length[64];
	struct reply r;

	request(f, "HEAD", ROOT "show", &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "");
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
		 strlen(EMPTY));
	assert_non_null(strstr(r.text, length));
}

static void post_works_too(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	request(f, "POST", PUBLISH, &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, DONE);
}

static void other_methods_are_405(void **state)
{
	static const char *const methods[] = { "PUT", "DELETE", "OPTIONS",
					       "PATCH", "FOO" };
	struct fixture *f = *state;
	struct reply r;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		request(f, methods[i], PUBLISH, &r);
		assert_int_equal(r.status, 405);
		assert_non_null(strstr(r.text, "Allow: GET, HEAD, POST\r\n"));
	}
	expect(f, ROOT "show", 200, EMPTY);
}

static void other_pages_are_404(void **state)
{
	expect_error(*state, "/", 404, "/api/v1/");
	expect_error(*state, "/metrics/", 404, "/api/v1/");
	expect_error(*state, "/healthy", 404, "/api/v1/");
}

static void bodies_are_refused(void **state)
{
	struct fixture *f = *state;
	struct reply r;
	int fd = dial(f);

	say(fd, "POST " PUBLISH " HTTP/1.1\r\nHost: x\r\n"
		"Connection: close\r\nContent-Length: 5\r\n\r\na=b&c");
	read_reply(f, fd, &r);
	assert_int_equal(r.status, 400);
	assert_non_null(strstr(r.body, "query"));
	expect(f, ROOT "show", 200, EMPTY);
}

static void connections_are_kept_alive(void **state)
{
	static const char again[] = "GET " ROOT "show HTTP/1.1\r\n"
				    "Host: x\r\n\r\n";
	struct fixture *f = *state;
	struct reply r;
	int fd = dial(f);

	for (const char *at = again; *at; at++) { /* byte by byte */
		char byte[2] = { *at, '\0' };

		say(fd, byte);
	}
	assert_true(wait_for(f, fd, PATIENCE_MS));
	say(fd, again);
	send_request(fd, "GET", ROOT "show");
	read_reply(f, fd, &r);
	r.body = r.text;
	for (int i = 0; i < 3; i++) {
		r.body = strstr(r.body, EMPTY);
		assert_non_null(r.body);
		r.body++;
	}
}

static void send_long_head(struct fixture *f, const char *method)
{
	enum {
		TOO_LONG = 80 * 1024
	};
	char *text = malloc(TOO_LONG);
	struct reply r;
	int fd = dial(f), begin;
	size_t sent = 0;

	assert_non_null(text);
	memset(text, 'x', TOO_LONG);
	begin = snprintf(text, TOO_LONG, "%s " ROOT "show?", method);
	text[begin] = 'x';
	while (sent < TOO_LONG) {
		ssize_t n =
			send(fd, text + sent, TOO_LONG - sent, MSG_NOSIGNAL);

		if (n < 0)
			break;
		sent += (size_t)n;
	}
	free(text);
	read_reply(f, fd, &r);
	assert_true(r.status == 0 || r.status == 414 || r.status == 431 ||
		    r.status == 413);
}

/* A head of any length is answered or cut off, never kept. */
static void long_requests_are_refused(void **state)
{
	send_long_head(*state, "GET");
	send_long_head(*state, "HEAD");
	send_long_head(*state, "POST");
	expect(*state, ROOT "show", 200, EMPTY);
}

static void long_bodies_are_cut_off(void **state)
{
	enum {
		PIECE = 1024,
		TOO_MANY = 1024
	};
	struct fixture *f = *state;
	char piece[PIECE + 1];
	struct reply r;
	int fd = dial(f), n;

	say(fd, "POST " PUBLISH " HTTP/1.1\r\nHost: x\r\n"
		"Connection: close\r\nContent-Length: 1048576\r\n\r\n");
	memset(piece, 'x', PIECE);
	for (n = 0; n < TOO_MANY; n++) {
		if (send(fd, piece, PIECE, MSG_NOSIGNAL) < 0)
			break;
	}
	assert_true(n < TOO_MANY);
	read_reply(f, fd, &r);
	assert_int_equal(r.status, 0);
	expect(f, ROOT "show", 200, EMPTY);
}

static void nonsense_is_survived(void **state)
{
	static const char *const whole[] = {
		"GET\r\n\r\n",
		"GET / HTTP/9\r\n\r\n",
		"GET " ROOT "show?%%%&&&=== HTTP/1.0\r\n\r\n",
	};
	static const char *const cut[] = { "\r\n\r\n", "\x16\x03\x01\x02",
					   "GET " ROOT "cache/clear" };
	struct fixture *f = *state;
	struct reply r;

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		int fd = dial(f);

		say(fd, whole[i]);
		read_reply(f, fd, &r);
		assert_int_not_equal(r.status, 200);
	}
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		int fd = dial(f);

		say(fd, cut[i]);
		close(fd);
	}
	expect(f, ROOT "show", 200, EMPTY);
	assert_string_equal(f->log, "");
}

/* A peer whose own socket has a name as long as names can be. */
static void a_named_peer_is_served(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un own = { .sun_family = AF_UNIX }, to = own;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct reply r;
	int len;

	len = snprintf(own.sun_path, sizeof(own.sun_path), "%s/", f->dir);
	memset(own.sun_path + len, 'x', sizeof(own.sun_path) - (size_t)len);
	own.sun_path[sizeof(own.sun_path) - 1] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	send_request(fd, "GET", ROOT "show");
	read_reply(f, fd, &r);
	unlink(own.sun_path);
	assert_string_equal(r.body, EMPTY);
}

/* The seventeenth waits its turn, and has it once another leaves. */
static void connections_are_bounded(void **state)
{
	static const char *const kept[] = {
		"GET " ROOT "show HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD " ROOT "show HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST " ROOT "show HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: 0\r\n\r\n",
	};
	struct fixture *f = *state;
	int held[CONNECTIONS], extra;
	struct reply r;

	for (int i = 0; i < CONNECTIONS; i++) {
		held[i] = dial(f);
		say(held[i], kept[i % 3]);
		assert_true(wait_for(f, held[i], PATIENCE_MS));
	}
	extra = dial(f);
	send_request(extra, "POST", ROOT "show");
	assert_false(wait_for(f, extra, 100));
	close(held[3]);
	read_reply(f, extra, &r);
	assert_string_equal(r.body, EMPTY);
	expect(f, ROOT "show", 200, EMPTY);
	for (int i = 0; i < CONNECTIONS; i++) {
		if (i != 3)
			close(held[i]);
	}
}

/* Wherever it stopped. */
static void silence_ends_a_request(void **state)
{
	static const char *const begun[] = {
		"G",
		"HEAD " ROOT "show HTTP/1.1\r\nHost: x\r\n",
		"POST " PUBLISH " HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: 5\r\n\r\na=",
		"POST " PUBLISH " HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\n\r\n5\r\na=",
	};
	enum {
		BEGUN = sizeof(begun) / sizeof(begun[0])
	};
	struct fixture *f = *state;
	int64_t start_ms = pool_now_ms();
	struct settings *s;
	struct reply r;
	int fds[BEGUN];

	for (int i = 0; i < BEGUN; i++) {
		fds[i] = dial(f);
		say(fds[i], begun[i]);
	}
	for (int i = 0; i < BEGUN; i++) {
		read_reply(f, fds[i], &r);
		assert_int_not_equal(r.status, 200);
	}
	assert_in_range(pool_now_ms() - start_ms, 4900, PATIENCE_MS);
	s = hooks_settings(f->hooks);
	assert_int_equal(s->webhooks, 0);
	settings_unref(s);
}

/* ---- life ---- */

static void another_broker_is_refused(void **state)
{
	struct fixture *f = *state;
	struct admin *second = NULL;
	char why[512] = "";

	/* not from this loop, but admin_create() refuses before it matters */
	assert_int_equal(
		admin_create(&second, f->hooks, f->path, why, sizeof(why)),
		-EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(why, f->path));
	expect(f, ROOT "show", 200, EMPTY);
}

static void destroys_what_never_started(void **state)
{
	struct fixture *f = *state;
	char why[512];
	struct settings *s;
	struct conf_error error;
	struct stat st;

	assert_int_equal(settings_load(NULL, 0, &s, &error), 0);
	assert_int_equal(hooks_create(&f->hooks, s, &f->ops, f), 0);
	settings_unref(s);
	assert_int_equal(
		admin_create(&f->admin, f->hooks, f->path, why, sizeof(why)),
		0);
	assert_int_equal(lstat(f->path, &st), 0);
	admin_destroy(f->admin);
	f->admin = NULL;
	assert_int_equal(lstat(f->path, &st), -1);
	admin_destroy(NULL);
}

static void connections_end_with_the_broker(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	char byte;

	expect(f, ROOT "show", 200, EMPTY);
	stop(f);
	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
/* starts by itself */
#define BARE(name) cmocka_unit_test_setup_teardown(name, set_up_bare, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(metrics_are_a_table_too),
		TEST(pages_are_answered_while_the_broker_is_held),
		TEST(shows_an_empty_table),
		BARE(shows_in_vernemqs_shape),
		BARE(origin_is_told_when_asked_for),
		TEST(registers_with_every_option),
		TEST(registers_with_vernemqs_defaults),
		TEST(double_registration_is_an_alert),
		BARE(deregisters),
		BARE(unknown_deregistration_is_an_alert),
		TEST(bad_requests_change_nothing),
		BARE(every_option_can_be_given),
		TEST(bad_options_change_nothing),
		TEST(secrets_are_not_repeated),
		BARE(what_changes_is_saved_before_the_answer),
		BARE(what_cannot_be_saved_is_refused),
		BARE(changes_at_once_are_all_made),
		BARE(an_end_in_the_middle_is_survived),
		BARE(who_is_not_verified_is_warned_about),
		TEST(changes_are_logged_with_who_made_them),
		TEST(passwords_stay_out_of_the_log),
		TEST(looking_is_not_logged),
		TEST(reload_does_not_need_the_broker),
		TEST(a_failed_reload_says_what_the_log_says),
		TEST(a_reload_holds_nobody_up),
		BARE(what_the_configuration_has_by_now_is_saved_no_more),
		BARE(what_was_taken_over_is_deregistered_for_good),
		BARE(it_is_saved_without_a_command_too),
		BARE(shows_counters_in_vernemqs_order),
		BARE(reset_keeps_entries),
		BARE(clear_starts_counting_anew),
		BARE(shows_every_counter_of_all),
		BARE(a_part_of_the_cache_keeps_the_counters),
		TEST(clear_says_what_was_selected_and_by_whom),
		TEST(kick_disconnects_and_then_answers),
		TEST(kick_waits_for_the_tick),
		TEST(two_kicks_do_not_run_into_each_other),
		TEST(clear_is_answered_when_done_not_before),
		TEST(clear_fails_after_five_seconds),
		TEST(a_client_that_left_is_no_trouble),
		TEST(who_waits_is_told_that_the_broker_stops),
		BARE(others_are_refused_whatever_they_ask),
		BARE(whom_the_setting_names_may),
		TEST(the_settings_in_force_count),
		BARE(refusals_are_summed_up_in_time),
		TEST(head_has_no_body),
		TEST(post_works_too),
		TEST(other_methods_are_405),
		TEST(other_pages_are_404),
		TEST(bodies_are_refused),
		TEST(connections_are_kept_alive),
		TEST(long_requests_are_refused),
		TEST(long_bodies_are_cut_off),
		TEST(nonsense_is_survived),
		TEST(a_named_peer_is_served),
		TEST(connections_are_bounded),
		TEST(silence_ends_a_request),
		TEST(another_broker_is_refused),
		BARE(destroys_what_never_started),
		TEST(connections_end_with_the_broker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
