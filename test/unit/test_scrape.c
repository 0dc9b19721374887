/* test_scrape.c - plugin/admin/scrape.h, over real TCP on the loopback */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "plugin/admin/http.h"
#include "plugin/admin/scrape.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "plugin/settings/settings_address.h"
#include "pool/pool.h"
#include "test/unit/idle_broker.h"

enum {
	PATIENCE_MS = 20000
};

struct fixture {
	struct hooks *hooks;
	struct scrape *scrape;
	char why[256];
};

struct reply {
	int status;
	char text[65536]; /* head and body */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct conf_error error;
	struct settings *s;
	int err;

	if (!f || settings_load(NULL, 0, &s, &error) != 0)
		return -1;
	err = hooks_create(&f->hooks, s, &idle_broker, f);
	settings_unref(s);
	*state = f;
	return err;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	hooks_stop(f->hooks);
	scrape_destroy(f->scrape);
	hooks_destroy(f->hooks);
	free(f);
	return 0;
}

static void start(struct fixture *f, const char *address)
{
	if (scrape_create(&f->scrape, f->hooks, address, f->why,
			  sizeof(f->why)) != 0)
		fail_msg("%s", f->why);
	assert_int_equal(hooks_start(f->hooks), 0);
}

/* ---- the client ---- */

static int dial(const struct fixture *f)
{
	struct settings_address a;
	int fd;

	assert_int_equal(settings_address_parse(scrape_address(f->scrape), &a),
			 0);
	fd = socket(a.any.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a.any, a.len), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

static bool wait_for(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Up to the end of the connection. */
static void read_reply(int fd, struct reply *ret)
{
	size_t len = 0;
	ssize_t n = 1;

	memset(ret, 0, sizeof(*ret));
	while (n > 0) {
		assert_true(len + 1 < sizeof(ret->text));
		if (!wait_for(fd, PATIENCE_MS))
			fail_msg("no reply");
		n = recv(fd, ret->text + len, sizeof(ret->text) - len - 1, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (sscanf(ret->text, "HTTP/1.1 %d ", &ret->status) != 1)
		ret->status = 0;
}

static void request(struct fixture *f, const char *method, const char *target,
		    struct reply *ret)
{
	char text[256];
	int fd = dial(f);

	snprintf(text, sizeof(text),
		 "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 method, target);
	say(fd, text);
	read_reply(fd, ret);
}

/* ---- what is there ---- */

static void serves_its_pages(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	start(f, "127.0.0.1:0");
	request(f, "GET", "/metrics", &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.text, "\nwebhooks_on_publish_requests 0\n"));
	assert_non_null(strstr(r.text, "Content-Type: text/plain; "
				       "version=0.0.4; charset=utf-8\r\n"));
	request(f, "HEAD", "/metrics", &r);
	assert_int_equal(r.status, 200);
	assert_null(strstr(r.text, "webhooks_on_publish_requests"));
	request(f, "GET", "/health", &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.text, "\r\n\r\n{\"status\":\"ok\""));
}

static void serves_nothing_else(void **state)
{
	static const char *const others[] = {
		"/",
		"/api/v1/webhooks/show",
		"/api/v1/metrics/show",
		"/api/v1/webhooks/register?hook=on_publish&endpoint=http://h/",
	};
	struct fixture *f = *state;
	struct settings *s;
	struct reply r;

	start(f, "127.0.0.1:0");
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		request(f, "GET", others[i], &r);
		assert_int_equal(r.status, 404);
		request(f, "POST", others[i], &r);
		assert_int_equal(r.status, 405);
	}
	s = hooks_settings(f->hooks);
	assert_int_equal(s->webhooks, 0);
	settings_unref(s);
}

static void only_reads(void **state)
{
	static const char *const methods[] = { "POST", "PUT", "DELETE" };
	struct fixture *f = *state;
	struct reply r;

	start(f, "127.0.0.1:0");
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		request(f, methods[i], "/metrics", &r);
		assert_int_equal(r.status, 405);
		assert_non_null(strstr(r.text, "Allow: GET, HEAD\r\n"));
	}
}

static void serves_ipv6(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has =
		fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;
	struct reply r;

	if (fd >= 0)
		close(fd);
	if (!has)
		skip(); /* this machine has no ::1 */
	start(f, "[::1]:0");
	assert_int_equal(strncmp(scrape_address(f->scrape), "[::1]:", 6), 0);
	request(f, "GET", "/health", &r);
	assert_int_equal(r.status, 200);
}

/* ---- bounds ---- */

static void connections_are_kept_alive(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f, "127.0.0.1:0");
	fd = dial(f);
	for (int i = 0; i < 3; i++) {
		char text[8192] = "";
		size_t len = 0;

		say(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
		while (!strchr(text, '}')) {
			ssize_t n;

			assert_true(wait_for(fd, PATIENCE_MS));
			n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
			assert_true(n > 0);
			len += (size_t)n;
		}
		assert_int_equal(strncmp(text, "HTTP/1.1 200 ", 13), 0);
	}
	close(fd);
}

/* One more waits until one goes. */
static void connections_are_bounded(void **state)
{
	struct fixture *f = *state;
	int fds[ADMIN_CONNECTIONS], late;
	struct reply r;

	start(f, "127.0.0.1:0");
	for (int i = 0; i < ADMIN_CONNECTIONS; i++) {
		fds[i] = dial(f);
		say(fds[i], "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(wait_for(fds[i], PATIENCE_MS));
	}
	late = dial(f);
	say(late, "GET /health HTTP/1.1\r\nHost: x\r\n"
		  "Connection: close\r\n\r\n");
	assert_false(wait_for(late, 100));
	close(fds[0]);
	read_reply(late, &r);
	assert_int_equal(r.status, 200);
	for (int i = 1; i < ADMIN_CONNECTIONS; i++)
		close(fds[i]);
}

static void who_says_nothing_is_parted_from(void **state)
{
	struct fixture *f = *state;
	int64_t before = pool_now_ms();
	struct reply r;
	int fd;

	start(f, "127.0.0.1:0");
	fd = dial(f);
	read_reply(fd, &r); /* nothing, and the end */
	assert_int_equal(r.status, 0);
	assert_true(pool_now_ms() - before >= 1000 * (ADMIN_IDLE_S - 1));
}

static void long_requests_are_refused(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(80000);
	struct reply r;
	int fd;

	assert_non_null(text);
	start(f, "127.0.0.1:0");
	snprintf(text, 80000,
		 "GET /metrics?%070000d HTTP/1.1\r\nHost: x\r\n"
		 "\r\n",
		 0);
	fd = dial(f);
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
	read_reply(fd, &r);
	assert_true(r.status == 414 || r.status == 0);
	request(f, "GET", "/health", &r);
	assert_int_equal(r.status, 200);
	free(text);
}

/* ---- what cannot be ---- */

static void a_taken_port_is_an_error_with_its_remedy(void **state)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t len = sizeof(any);
	struct fixture *f = *state;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char address[64];

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(any.sin_port));
	assert_int_equal(scrape_create(&f->scrape, f->hooks, address, f->why,
				       sizeof(f->why)),
			 -EADDRINUSE);
	assert_null(f->scrape);
	assert_non_null(strstr(f->why, address));
	assert_non_null(strstr(f->why, "give another port"));
	close(fd);
}

static void a_foreign_address_is_an_error(void **state)
{
	struct fixture *f = *state;

	/* for documentation (RFC 5737): nobody's */
	assert_int_equal(scrape_create(&f->scrape, f->hooks, "192.0.2.1:0",
				       f->why, sizeof(f->why)),
			 -EADDRNOTAVAIL);
	assert_non_null(strstr(f->why, "no network interface"));
}

static void destroys_what_never_started(void **state)
{
	struct fixture *f = *state;

	scrape_destroy(NULL);
	assert_int_equal(scrape_create(&f->scrape, f->hooks, "127.0.0.1:0",
				       f->why, sizeof(f->why)),
			 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(serves_its_pages),
		TEST(serves_nothing_else),
		TEST(only_reads),
		TEST(serves_ipv6),
		TEST(connections_are_kept_alive),
		TEST(connections_are_bounded),
		TEST(who_says_nothing_is_parted_from),
		TEST(long_requests_are_refused),
		TEST(a_taken_port_is_an_error_with_its_remedy),
		TEST(a_foreign_address_is_an_error),
		TEST(destroys_what_never_started),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
