/*
 * test_torture.c - settings, hooks and admin commands while each of their
 * allocations fails in turn: they say so, and nothing else comes of it. What
 * leaks or is freed twice the sanitizers see.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "plugin/admin/admin.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "pool/pool.h"
#include "test/unit/idle_broker.h"

enum {
	ENOUGH = 20000, /* more allocations than anything here makes */
	PATIENCE_MS = 10000,
};

/* ---- allocations that fail: Makefile, --wrap ---- */

/* Of all threads; -1: as many as it takes. */
static atomic_long allocations_left = -1;

static bool may_allocate(void)
{
	long left = atomic_load(&allocations_left);

	while (left > 0 && !atomic_compare_exchange_weak(&allocations_left,
							 &left, left - 1))
		;
	if (!left)
		errno = ENOMEM;
	return left != 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_asprintf(char **ret, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

void *__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t size)
{
	return may_allocate() ? __real_realloc(p, size) : NULL;
}

char *__wrap_strdup(const char *s)
{
	return may_allocate() ? __real_strdup(s) : NULL;
}

char *__wrap_strndup(const char *s, size_t n)
{
	return may_allocate() ? __real_strndup(s, n) : NULL;
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
	va_list ap;
	int n = -1;

	*ret = NULL;
	if (!may_allocate())
		return -1;
	va_start(ap, fmt);
	n = vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}

static void allow(long n)
{
	atomic_store(&allocations_left, n);
}

/* ---- settings ---- */

#define PEM(name) "-----BEGIN " name "-----\nMAMCAQA=\n-----END " name "-----\n"

static char folder[] = "/tmp/torture.XXXXXX";
static char conf[64], cert[64], key[64], secret[64];

static void write_file(char path[static 64], const char *name, const char *text)
{
	FILE *f;

	snprintf(path, 64, "%.40s/%.16s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make_files(void **state)
{
	char text[2048];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	write_file(cert, "cert", PEM("CERTIFICATE"));
	write_file(key, "key", PEM("PRIVATE KEY"));
	write_file(secret, "secret",
		   "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
	snprintf(text, sizeof(text),
		 "vmq_webhooks.a.hook = auth_on_register\n"
		 "vmq_webhooks.a.endpoint = http://joe:pw@127.0.0.1:9/?t=x\n"
		 "vmq_webhooks.a.header.X-Key = value\n"
		 "vmq_webhooks.a.secret_file = %s\n"
		 "vmq_webhooks.a.sni = name\n"
		 "vmq_webhooks.b.hook = on_publish\n"
		 "vmq_webhooks.b.endpoint = http+unix:///tmp/s:/x\n"
		 "vmq_webhooks.c.hook = auth_on_register\n"
		 "vmq_webhooks.c.endpoint = https://localhost:9/\n"
		 "vmq_webhooks.c.cafile = %s\n"
		 "vmq_webhooks.c.certfile = %s\n"
		 "vmq_webhooks.c.keyfile = %s\n"
		 "vmq_webhooks.c.proxy = http://joe:pw@127.0.0.1:9\n"
		 "vmq_webhooks.c.no_proxy = a,b\n"
		 "vmq_webhooks.header.X-All = value\n"
		 "vmq_webhooks.header_file.X-File = %s\n"
		 "vmq_webhooks.mountpoint = all/\n"
		 "vmq_webhooks.listener.1884.mountpoint = one/\n"
		 "include %s/none*.conf\n",
		 secret, cert, cert, key, secret, folder);
	write_file(conf, "conf", text);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	allow(-1);
	unlink(conf);
	unlink(cert);
	unlink(key);
	unlink(secret);
	return rmdir(folder);
}

static int load(struct settings **ret, struct conf_error *reterr)
{
	const struct settings_opt opts[] = {
		{ "config_file", conf },
		{ "vmq_webhooks.d.hook", "on_client_gone" },
		{ "vmq_webhooks.d.endpoint", "http://127.0.0.1:9/d" },
	};

	return settings_load(opts, 3, ret, reterr);
}

static struct settings *loaded(void)
{
	struct conf_error error;
	struct settings *s;

	assert_int_equal(load(&s, &error), 0);
	return s;
}

/* What fails says that it is for memory, and gives nothing. */
static void settings_are_loaded_or_not(void **state)
{
	struct settings *s = NULL;
	long n = 0;
	int err;

	(void)state;
	do {
		struct conf_error error = { "" };

		allow(n++);
		err = load(&s, &error);
		allow(-1);
		if (err && (err != -ENOMEM || s || !*error.text))
			fail_msg("allocation %ld: %d, \"%s\"", n, err,
				 error.text);
	} while (err && n < ENOUGH);
	assert_int_equal(err, 0);
	assert_true(n > 100);
	assert_int_equal(s->webhooks, 4);
	settings_unref(s);
}

static void settings_are_changed_or_stay(void **state)
{
	struct settings *s = loaded(), *t = NULL;
	struct conf_error error;
	char url[] = "http://127.0.0.1:9/new";
	struct webhook more = { .hook = HOOK_ON_PUBLISH,
				.endpoint = url,
				.timeout_ms = 1 };
	long n = 0;
	int err;

	(void)state;
	do {
		allow(n++);
		err = settings_with(s, &more, &t, &error);
		allow(-1);
		if (err)
			assert_int_equal(err, -ENOMEM);
	} while (err && n < ENOUGH);
	assert_int_equal(t->webhooks, 5);
	settings_unref(t);
	t = NULL;
	n = 0;
	do {
		allow(n++);
		err = settings_without(s, HOOK_ON_CLIENT_GONE,
				       "http://127.0.0.1:9/d", &t);
		allow(-1);
		if (err)
			assert_int_equal(err, -ENOMEM);
	} while (err && n < ENOUGH);
	assert_int_equal(t->webhooks, 3);
	assert_int_equal(s->webhooks, 4);
	settings_unref(t);
	settings_unref(s);
}

/* ---- hooks ---- */

static void hooks_are_made_or_not(void **state)
{
	struct settings *s = loaded();
	struct hooks *hooks = NULL;
	long n = 0;
	int err;

	(void)state;
	do {
		allow(n++);
		err = hooks_create(&hooks, s, &idle_broker, NULL);
		allow(-1);
		if (err)
			assert_int_equal(err, -ENOMEM);
	} while (err && n < ENOUGH);
	assert_int_equal(err, 0);
	assert_true(n > 20);
	hooks_destroy(hooks);
	settings_unref(s);
}

static void settings_are_applied_or_not(void **state)
{
	struct settings *s = loaded(), *now, *t;
	struct hooks *hooks;
	long n = 0;
	int err;

	(void)state;
	assert_int_equal(hooks_create(&hooks, s, &idle_broker, NULL), 0);
	assert_int_equal(settings_without(s, HOOK_ON_CLIENT_GONE,
					  "http://127.0.0.1:9/d", &t),
			 0);
	do {
		allow(n++);
		err = hooks_apply(hooks, s, t);
		allow(-1);
		now = hooks_settings(hooks);
		assert_ptr_equal(now, err ? s : t);
		settings_unref(now);
		if (err)
			assert_int_equal(err, -ENOMEM);
	} while (err && n < ENOUGH);
	assert_int_equal(err, 0);
	hooks_destroy(hooks);
	settings_unref(t);
	settings_unref(s);
}

/* ---- admin ---- */

struct stage {
	char path[64];
	struct hooks *hooks;
	struct admin *admin;
};

static void admin_is_made_or_not(void **state)
{
	struct settings *s = loaded();
	struct hooks *hooks;
	struct admin *admin = NULL;
	char path[64], why[256];
	long n = 0;
	int err;

	(void)state;
	snprintf(path, sizeof(path), "%s/sock", folder);
	assert_int_equal(hooks_create(&hooks, s, &idle_broker, NULL), 0);
	do {
		allow(n++);
		err = admin_create(&admin, hooks, path, why, sizeof(why));
		allow(-1);
		if (err)
			assert_true(*why);
	} while (err && n < ENOUGH);
	assert_int_equal(err, 0);
	assert_true(n > 2);
	admin_destroy(admin);
	hooks_destroy(hooks);
	settings_unref(s);
}

static void begin(struct stage *st)
{
	struct settings *s = loaded();
	char why[256];

	snprintf(st->path, sizeof(st->path), "%s/sock", folder);
	assert_int_equal(hooks_create(&st->hooks, s, &idle_broker, NULL), 0);
	assert_int_equal(
		admin_create(&st->admin, st->hooks, st->path, why, sizeof(why)),
		0);
	assert_int_equal(hooks_start(st->hooks), 0);
	settings_unref(s);
}

static void end(struct stage *st)
{
	hooks_stop(st->hooks);
	admin_destroy(st->admin);
	hooks_destroy(st->hooks);
}

static int dial(const struct stage *st)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", st->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	return fd;
}

/* The status of the reply, or 0 without one, ticking meanwhile. */
static int request(struct stage *st, const char *target, long allocations)
{
	char text[65536];
	struct pollfd p = { .fd = dial(st), .events = POLLIN };
	int64_t until = pool_now_ms() + PATIENCE_MS;
	int status = 0, len;
	size_t got = 0;
	ssize_t n = 1;

	len = snprintf(text, sizeof(text),
		       "GET /api/v1/webhooks/%s HTTP/1.1\r\nHost: x\r\n"
		       "Connection: close\r\n\r\n",
		       target);
	allow(allocations);
	assert_int_equal(send(p.fd, text, (size_t)len, MSG_NOSIGNAL), len);
	while (n > 0) {
		assert_true(pool_now_ms() < until);
		hooks_tick(st->hooks);
		if (poll(&p, 1, 1) != 1)
			continue;
		n = recv(p.fd, text + got, sizeof(text) - got - 1, 0);
		got += n > 0 ? (size_t)n : 0;
	}
	allow(-1);
	close(p.fd);
	text[got] = '\0';
	sscanf(text, "HTTP/1.1 %d ", &status);
	return status;
}

static const struct {
	const char *target, *before, *after;
} commands[] = {
	{ "show?--origin", "show", "show" },
	{ "register?hook=on_publish&endpoint=http://a/", "show",
	  "deregister?hook=on_publish&endpoint=http://a/" },
	{ "deregister?hook=on_publish&endpoint=http://b/",
	  "register?hook=on_publish&endpoint=http://b/", "show" },
	{ "cache/show?--all", "show", "show" },
	{ "cache/show?--reset", "show", "show" },
	{ "cache/clear?hook=auth_on_register&client-id=c&username=u"
	  "&endpoint=http://h/",
	  "show", "show" },
	{ "cache/clear?client-id=c&--kick", "show", "show" },
	{ "nonsense", "show", "show" },
	{ "register?hook=x", "show", "show" },
};

/* Answered as if nothing were the matter, or with an error, or not; and the
 * next ones find all in order. */
static void expect_all_or_nothing(struct stage *st, size_t i)
{
	const char *target = commands[i].target;
	int wanted = request(st, target, -1), status;
	long n = 0;

	assert_true(wanted == 200 || wanted == 400);
	assert_int_equal(request(st, commands[i].after, -1), 200);
	do {
		assert_int_equal(request(st, commands[i].before, -1), 200);
		status = request(st, target, n);
		if (status != wanted && status != 500 && status != 503 &&
		    status != 0)
			fail_msg("%s, allocation %ld: %d", target, n, status);
		assert_int_equal(request(st, commands[i].after, -1), 200);
	} while (status != wanted && ++n < ENOUGH);
	assert_int_equal(status, wanted);
	assert_true(n > 2);
}

static void admin_answers_or_says_why_not(void **state)
{
	struct stage st;

	(void)state;
	begin(&st);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		expect_all_or_nothing(&st, i);
	end(&st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_are_loaded_or_not),
		cmocka_unit_test(settings_are_changed_or_stay),
		cmocka_unit_test(hooks_are_made_or_not),
		cmocka_unit_test(settings_are_applied_or_not),
		cmocka_unit_test(admin_is_made_or_not),
		cmocka_unit_test(admin_answers_or_says_why_not),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
