#include "test/unit/admin_fixture.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/admin/admin.h"
#include "pool/pool.h"
#include "test/unit/http_server.h"
#include "test/unit/idle_broker.h"

enum {
	PATIENCE_MS = 20000,
};

/* ---- the broker ---- */

static void take_log(void *ctx, enum log_level level, const char *line)
{
	struct admin_fixture *f = ctx;
	size_t len = strlen(f->log);

	(void)level;
	snprintf(f->log + len, sizeof(f->log) - len, "%s\n", line);
}

static void wake(void *ctx)
{
	struct admin_fixture *f = ctx;
	uint64_t one = 1;

	if (write(f->woken, &one, sizeof(one)) != sizeof(one))
		abort();
}

static void complete(void *ctx, const char *client_id, uint64_t ticket,
		     const struct verdict *verdict)
{
	(void)ctx;
	(void)client_id;
	(void)ticket;
	(void)verdict;
}

static size_t disconnect(void *ctx, const char *client_id, const char *username)
{
	struct admin_fixture *f = ctx;

	f->disconnects++;
	snprintf(f->gone_id, sizeof(f->gone_id), "%s",
		 client_id ? client_id : "any");
	snprintf(f->gone_name, sizeof(f->gone_name), "%s",
		 username ? username : "any");
	return f->clients;
}

void admin_tick(struct admin_fixture *f)
{
	hooks_tick(f->hooks);
}

static void tick_if_woken(struct admin_fixture *f)
{
	uint64_t count;

	if (read(f->woken, &count, sizeof(count)) == sizeof(count))
		hooks_tick(f->hooks);
}

void admin_tick_until(struct admin_fixture *f, bool (*true_now)(void *arg),
		      void *arg)
{
	int64_t end = pool_now_ms() + PATIENCE_MS;

	while (!true_now(arg)) {
		struct pollfd fd = { .fd = f->woken, .events = POLLIN };

		assert_true(pool_now_ms() < end);
		poll(&fd, 1, 10);
		hooks_tick(f->hooks);
	}
}

/* ---- life ---- */

int admin_set_up(void **state)
{
	struct admin_fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->ops = idle_broker;
	f->ops.complete_auth = complete;
	f->ops.disconnect = disconnect;
	f->ops.log = take_log;
	f->ops.wake = wake;
	snprintf(f->dir, sizeof(f->dir), "/tmp/admin.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	f->woken = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->server = http_server_start();
	*state = f;
	return f->woken < 0 || !f->server ? -1 : 0;
}

void admin_start(struct admin_fixture *f, const struct settings_opt *opts,
		 size_t n)
{
	char why[512] = "";
	struct settings *s;
	struct conf_error error;

	if (settings_load(opts, n, &s, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(hooks_create(&f->hooks, s, &f->ops, f), 0);
	settings_unref(s);
	if (admin_create(&f->admin, f->hooks, f->path, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_int_equal(hooks_start(f->hooks), 0);
}

void admin_stop(struct admin_fixture *f)
{
	if (f->hooks)
		hooks_stop(f->hooks);
	admin_destroy(f->admin);
	hooks_destroy(f->hooks);
	f->admin = NULL;
	f->hooks = NULL;
}

int admin_tear_down(void **state)
{
	struct admin_fixture *f = *state;

	http_server_release(f->server);
	admin_stop(f);
	http_server_stop(f->server);
	close(f->woken);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* ---- the client ---- */

int admin_dial(const struct admin_fixture *f)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	return fd;
}

void admin_send(int fd, const char *target)
{
	char text[4096];
	int len = snprintf(text, sizeof(text),
			   "GET %s HTTP/1.1\r\nHost: x\r\n"
			   "Connection: close\r\n\r\n",
			   target);

	assert_in_range(len, 1, sizeof(text) - 1);
	assert_int_equal(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

/* Wait for something on `fd`, ticking meanwhile. */
static void wait_for(struct admin_fixture *f, int fd)
{
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = f->woken, .events = POLLIN } };
	int64_t end = pool_now_ms() + PATIENCE_MS;

	while (!fds[0].revents) {
		int64_t left = end - pool_now_ms();

		if (left < 0)
			fail_msg("no reply");
		fds[1].fd = f->held ? -1 : f->woken;
		assert_true(poll(fds, 2, (int)left) >= 0);
		if (!f->held)
			tick_if_woken(f);
	}
}

void admin_read(struct admin_fixture *f, int fd, struct admin_answer *ret)
{
	size_t len = 0;
	ssize_t n = 1;

	memset(ret, 0, sizeof(*ret));
	while (n > 0) {
		assert_true(len + 1 < sizeof(ret->text));
		wait_for(f, fd);
		n = recv(fd, ret->text + len, sizeof(ret->text) - len - 1, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	ret->body = strstr(ret->text, "\r\n\r\n");
	ret->body = ret->body ? ret->body + 4 : "";
	if (sscanf(ret->text, "HTTP/1.1 %d ", &ret->status) != 1)
		ret->status = 0;
}

void admin_get(struct admin_fixture *f, const char *target,
	       struct admin_answer *ret)
{
	int fd = admin_dial(f);

	admin_send(fd, target);
	admin_read(f, fd, ret);
}

void admin_expect(struct admin_fixture *f, const char *target, int status,
		  const char *body)
{
	static struct admin_answer r;

	admin_get(f, target, &r);
	assert_string_equal(r.body, body);
	assert_int_equal(r.status, status);
}

void admin_expect_part(struct admin_fixture *f, const char *target, int status,
		       const char *part)
{
	static struct admin_answer r;

	admin_get(f, target, &r);
	if (!strstr(r.body, part))
		fail_msg("no %s in: %s", part, r.body);
	assert_int_equal(r.status, status);
}

/* The log's lines travel as mail: one round over the broker's thread. */
void admin_expect_log(struct admin_fixture *f, const char *part)
{
	struct pollfd fd = { .fd = f->woken, .events = POLLIN };

	while (!strstr(f->log, part)) {
		if (poll(&fd, 1, PATIENCE_MS) <= 0)
			fail_msg("\"%s\" is not in the log:\n%s", part, f->log);
		tick_if_woken(f);
	}
}
