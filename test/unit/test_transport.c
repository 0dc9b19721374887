/* test_transport.c - the ways to an endpoint, pool/pool.h, with the real
 * servers of test/broker/servers.py */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "pool/pool.h"
#include "test/unit/http_server.h"
#include "test/unit/pool_opts.h"

#define PATIENCE_MS  20000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

extern char **environ;

static struct {
	char dir[64];
	pid_t pid;
	int to, from;
	struct {
		char name[16];
		unsigned port;
	} ports[32];
	size_t n;
	struct http_server *upstream;
	struct pool *pool;
} t;

/*
 * The system's authorities are those of `other.pem` here, under whichever name
 * they are looked for.
 */

static atomic_uint system_asked;

static const char *redirect(const char *path, char ret[static 128])
{
	if (strncmp(path, "/etc/ssl/", 9) != 0 &&
	    strncmp(path, "/usr/lib/ssl/cert", 17) != 0)
		return path;
	atomic_fetch_add(&system_asked, 1);
	/* a folder has them as HASH.0, HASH.1 and so on */
	if (*t.dir && (strstr(path, ".crt") || strstr(path, ".0"))) {
		snprintf(ret, 128, "%s/other.pem", t.dir);
		return ret;
	}
	return path;
}

typedef FILE *fopen_fn(const char *, const char *);
typedef int stat_fn(const char *, struct stat *);

static FILE *open_for(const char *function, const char *path, const char *mode)
{
	char other[128];
	fopen_fn *real;

	*(void **)&real = dlsym(RTLD_NEXT, function);
	return real(redirect(path, other), mode);
}

__attribute__((visibility("default"))) FILE *fopen(const char *path,
						   const char *mode)
{
	return open_for("fopen", path, mode);
}

__attribute__((visibility("default"))) FILE *fopen64(const char *path,
						     const char *mode)
{
	return open_for("fopen64", path, mode);
}

__attribute__((visibility("default"))) int stat(const char *path,
						struct stat *ret)
{
	char other[128];
	stat_fn *real;

	*(void **)&real = dlsym(RTLD_NEXT, "stat");
	return real(redirect(path, other), ret);
}

static atomic_uint looked_up;

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *,
			   struct addrinfo **);

/* "named.test" is the loopback. */
__attribute__((visibility("default"))) int getaddrinfo(
	const char *name, const char *service, const struct addrinfo *hints,
	struct addrinfo **ret)
{
	getaddrinfo_fn *real;

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!name || strcmp(name, "named.test") != 0)
		return real(name, service, hints, ret);
	atomic_fetch_add(&looked_up, 1);
	return real("127.0.0.1", service, hints, ret);
}

/*
 * The servers
 */

static void spawn_servers(void)
{
	char port[8];
	char *argv[] = { (char[]){ "python3" },
			 (char[]){ "test/broker/servers.py" }, t.dir, port,
			 NULL };
	posix_spawn_file_actions_t actions;
	int in[2], out[2];

	snprintf(port, sizeof(port), "%u", http_server_port(t.upstream));
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	assert_int_equal(
		posix_spawnp(&t.pid, argv[0], &actions, NULL, argv, environ),
		0);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	t.to = in[1];
	t.from = out[0];
}

static void read_ports(void)
{
	FILE *f = fdopen(t.from, "r");
	char line[64];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && strcmp(line, "ready\n") != 0) {
		assert_true(t.n < COUNT(t.ports));
		assert_int_equal(sscanf(line, "%15s %u", t.ports[t.n].name,
					&t.ports[t.n].port),
				 2);
		t.n++;
	}
	assert_string_equal(line, "ready\n");
	fclose(f);
}

static int start_servers(void **state)
{
	(void)state;
	snprintf(t.dir, sizeof(t.dir), "/tmp/test_transport.XXXXXX");
	if (!mkdtemp(t.dir))
		return -1;
	t.upstream = http_server_start();
	spawn_servers();
	read_ports();
	return 0;
}

static int stop_servers(void **state)
{
	char *argv[] = { (char[]){ "rm" }, (char[]){ "-rf" }, t.dir, NULL };
	pid_t pid;

	(void)state;
	close(t.to);
	waitpid(t.pid, NULL, 0);
	http_server_stop(t.upstream);
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ))
		return -1;
	waitpid(pid, NULL, 0);
	return 0;
}

static unsigned port_of(const char *name)
{
	size_t i;

	for (i = 0; i < t.n; i++) {
		if (!strcmp(t.ports[i].name, name))
			return t.ports[i].port;
	}
	fail_msg("no server %s", name);
	return 0;
}

static const char *url_of(const char *name, const char *path)
{
	static char url[4][256];
	static unsigned next;
	char *ret = url[next++ % 4];
	bool plain = !strcmp(name, "plain") || !strcmp(name, "h2c");

	snprintf(ret, 256, "%s://localhost:%u%s", plain ? "http" : "https",
		 port_of(name), path);
	return ret;
}

/* Of the folder; freed with the test. */
static struct pool_file file(const char *name)
{
	static char *last[16];
	static unsigned next;
	struct pool_file ret = { NULL, 0 };
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", t.dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	free(last[next % 16]);
	last[next % 16] = calloc(1, 65536);
	ret.data = last[next++ % 16];
	ret.len = fread((void *)(uintptr_t)ret.data, 1, 65535, f);
	fclose(f);
	return ret;
}

/*
 * The owner's side
 */

static int set_up(void **state)
{
	const struct http_answer a = { .body = { "up", 2 } };

	(void)state;
	http_server_answer(t.upstream, &a);
	return pool_create(&t.pool, NULL, NULL) || pool_start(t.pool) ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	pool_destroy(t.pool);
	return 0;
}

static struct pool_endpoint_opts options(const char *url)
{
	struct pool_endpoint_opts opts = ample_opts(url);

	opts.transport = (struct pool_transport){ .ca = file("ca.pem"),
						  .connect_ms = PATIENCE_MS,
						  .dns_ms = 60000 };
	return opts;
}

static void configure(const struct pool_endpoint_opts *opts)
{
	assert_int_equal(pool_configure(t.pool, opts, 1), 0);
}

struct got {
	bool done;
	int error;
	char text[512];
	long status;
	char body[1024];
};

static void note_reply(const struct pool_reply *r, void *arg)
{
	struct got *got = arg;

	assert_false(got->done);
	got->done = true;
	got->error = r->error;
	snprintf(got->text, sizeof(got->text), "%s", r->error_text);
	got->status = r->status;
	snprintf(got->body, sizeof(got->body), "%.*s", (int)r->len,
		 r->len ? (const char *)r->body : "");
}

static struct pool_call *submit(const char *name, struct got *got,
				enum pool_kind kind)
{
	struct pool_request req = {
		.kind = kind,
		.endpoint = name,
		.body = strdup("{}"),
		.len = 2,
		.timeout_ms = PATIENCE_MS,
		.max_age_ms = PATIENCE_MS,
	};
	struct pool_call *call = NULL;

	memset(got, 0, sizeof(*got));
	assert_int_equal(pool_submit(t.pool, &req, note_reply, got, &call), 0);
	return call;
}

static void wait_for(struct pool_call *call)
{
	int64_t deadline = pool_now_us() + PATIENCE_MS * 1000LL;

	assert_int_equal(pool_wait(t.pool, call, deadline), 0);
}

static void call(const char *name, struct got *got)
{
	wait_for(submit(name, got, POOL_ASK));
}

static void call_opts(const struct pool_endpoint_opts *opts, struct got *got)
{
	configure(opts);
	call(opts->name ? opts->name : opts->url, got);
}

static void expect_ok(const struct pool_endpoint_opts *opts)
{
	struct got got;

	call_opts(opts, &got);
	assert_string_equal(got.text, "");
	assert_int_equal(got.status, 200);
}

static void expect_refused(const struct pool_endpoint_opts *opts,
			   const char *text)
{
	struct got got;

	call_opts(opts, &got);
	if (!strstr(got.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, got.text);
	assert_int_equal(got.error, -ECONNREFUSED);
	assert_null(strstr(got.text, "s3cret"));
}

/* What the server saw, as in ECHO of servers.py. */
struct seen {
	char host[64], sni[64], protocol[16], tls[16];
	unsigned connection, nth;
	char method[8], uri[64], client[64];
};

static void parse_seen(const struct got *got, struct seen *ret)
{
	char sni[64] = "", tls[64] = "";
	int n;

	memset(ret, 0, sizeof(*ret));
	assert_string_equal(got->text, "");
	n = sscanf(got->body, "%63s %63s %15s %15s %u %u %7s %63s %63[^\n]",
		   ret->host, sni, ret->protocol, tls, &ret->connection,
		   &ret->nth, ret->method, ret->uri, ret->client);
	if (n < 8) /* no TLS, and so less words */
		n = sscanf(got->body, "%63s  %15s  %u %u %7s %63s", ret->host,
			   ret->protocol, &ret->connection, &ret->nth,
			   ret->method, ret->uri);
	assert_true(n >= 6);
	memcpy(ret->sni, sni, sizeof(ret->sni));
	snprintf(ret->tls, sizeof(ret->tls), "%.15s", tls);
}

static void see(const struct pool_endpoint_opts *opts, struct seen *ret)
{
	struct got got;

	call_opts(opts, &got);
	parse_seen(&got, ret);
}

/*
 * Who is trusted
 */

static void test_tls(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("tls12", "/echo"));
	struct seen seen;

	(void)state;
	see(&opts, &seen);
	assert_string_equal(seen.tls, "TLSv1.2");
	assert_string_equal(seen.sni, "localhost");
	assert_string_equal(seen.method, "POST");
	opts.url = url_of("tls13", "/echo");
	see(&opts, &seen);
	assert_string_equal(seen.tls, "TLSv1.3");
	opts.url = url_of("good", "/echo");
	see(&opts, &seen);
	assert_string_equal(seen.tls, "TLSv1.3");
}

static void test_lowest_version(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("tls12", "/ok"));

	(void)state;
	opts.transport.tls = POOL_TLS_1_3;
	expect_refused(&opts, "no version of TLS that tls_version permits");
	opts.url = url_of("tls13", "/ok");
	expect_ok(&opts);
}

static void test_private_authority_is_not_trusted_by_itself(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/ok"));

	(void)state;
	memset(&opts.transport.ca, 0, sizeof(opts.transport.ca));
	expect_refused(&opts, "the certificate of localhost is from an "
			      "authority that is not trusted (cafile)");
	opts.transport.ca = file("ca.pem");
	expect_ok(&opts);
}

static void test_authorities_replace_those_of_the_system(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("untrusted", "/ok"));

	(void)state;
	memset(&opts.transport.ca, 0, sizeof(opts.transport.ca));
	expect_ok(&opts);
	assert_true(atomic_load(&system_asked) > 0);
	atomic_store(&system_asked, 0);
	opts.transport.ca = file("ca.pem");
	expect_refused(&opts, "is not trusted (cafile)");
	assert_int_equal(atomic_load(&system_asked), 0);
}

static void test_each_failure_has_its_words(void **state)
{
	static const struct {
		const char *server, *text;
	} cases[] = {
		{ "expired", "TLS: the certificate of localhost has expired" },
		{ "wrong", "TLS: the certificate is for another name than "
			   "localhost" },
		{ "untrusted", "TLS: the certificate of localhost is from an "
			       "authority that is not trusted" },
		{ "insists", "TLS: localhost requires a client certificate "
			     "(certfile, keyfile)" },
		{ "plain", "TLS: localhost does not speak TLS on this port" },
	};
	struct pool_endpoint_opts opts;
	char url[64];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		snprintf(url, sizeof(url), "https://localhost:%u/ok",
			 port_of(cases[i].server));
		opts = options(url);
		expect_refused(&opts, cases[i].text);
	}
}

static void test_revocation(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("revoked", "/ok"));

	(void)state;
	expect_ok(&opts);
	opts.transport.crl = file("crl.pem");
	expect_refused(&opts, "TLS: the certificate of localhost has been "
			      "revoked");
	opts.url = url_of("good", "/ok");
	expect_ok(&opts);
	opts.transport.crl = file("empty.pem");
	opts.url = url_of("revoked", "/ok");
	expect_ok(&opts);
}

static void test_no_verification(void **state)
{
	static const char *const servers[] = { "expired", "wrong", "untrusted",
					       "revoked", "good" };
	struct pool_endpoint_opts opts;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(servers); i++) {
		opts = options(url_of(servers[i], "/ok"));
		opts.transport.no_verify = true;
		expect_ok(&opts);
	}
}

static void test_pinned_key(void **state)
{
	static const char wrong[] =
		"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	struct pool_endpoint_opts opts = options(url_of("good", "/ok"));
	char both[256];

	(void)state;
	opts.transport.pinned_key = file("good.pin").data;
	expect_ok(&opts);
	snprintf(both, sizeof(both), "%s;%s", wrong, opts.transport.pinned_key);
	opts.transport.pinned_key = both;
	expect_ok(&opts);
	opts.transport.pinned_key = wrong;
	expect_refused(&opts, "TLS: the key of localhost is not one of "
			      "pinned_public_key");
	opts.transport.no_verify = true;
	expect_refused(&opts, "pinned_public_key");
}

static void test_server_name(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("wrong", "/echo"));
	char host[32];
	struct seen seen;

	(void)state;
	opts.transport.server_name = "sni.test";
	see(&opts, &seen);
	snprintf(host, sizeof(host), "localhost:%u", port_of("wrong"));
	assert_string_equal(seen.host, host);
	assert_string_equal(seen.sni, "sni.test");
	opts.url = url_of("good", "/ok");
	expect_refused(&opts, "for another name than sni.test");
	opts.url = url_of("plain", "/ok"); /* of no use there */
	expect_ok(&opts);
}

/*
 * Who we are
 */

static void test_client_certificate(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("mtls", "/echo"));
	struct seen seen;
	struct got got;

	(void)state;
	call_opts(&opts, &got);
	assert_int_equal(got.status, 400); /* nginx does not end it earlier */
	opts.transport.cert = file("client.pem");
	opts.transport.key = file("client.key");
	see(&opts, &seen);
	assert_string_equal(seen.client, "CN=client");
	opts.transport.cert = opts.transport.key = file("both.pem");
	see(&opts, &seen);
	assert_string_equal(seen.client, "CN=client");
}

static void test_key_with_a_password(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("mtls", "/ok"));

	(void)state;
	opts.transport.cert = file("client.pem");
	opts.transport.key = file("client.enc");
	opts.transport.key_password = "s3cret";
	expect_ok(&opts);
	opts.transport.key_password = "s3cret2";
	expect_refused(&opts, "keyfile_password is wrong");
	opts.transport.key_password = NULL;
	expect_refused(&opts, "TLS: keyfile cannot be used");
}

static void test_client_certificate_is_refused(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("insists", "/ok"));

	(void)state;
	opts.transport.cert = file("stranger.pem");
	opts.transport.key = file("stranger.key");
	expect_refused(&opts, "TLS: localhost refuses the client certificate: "
			      "it does not know its authority");
	opts.transport.key = file("client.key");
	expect_refused(&opts,
		       "TLS: keyfile cannot be used: it is not the key of "
		       "certfile");
}

/*
 * Another way to the same endpoint
 */

static void test_new_authority_counts_at_once(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/echo"));
	struct pool_endpoint_stats stats;
	struct seen first, again;

	(void)state;
	see(&opts, &first);
	see(&opts, &again); /* the same: nothing changes */
	assert_int_equal(again.connection, first.connection);
	assert_int_equal(again.nth, 2);
	opts.transport.ca = file("other.pem");
	expect_refused(&opts, "is not trusted");
	assert_int_equal(pool_get_stats(t.pool, opts.url, &stats), 0);
	assert_int_equal(stats.connections, 0);
	assert_int_equal(stats.ok, 2); /* the same endpoint */
	opts.transport.ca = file("ca.pem");
	see(&opts, &again);
	assert_int_not_equal(again.connection, first.connection);
	assert_int_equal(again.nth, 1);
}

static void hold_upstream(void)
{
	const struct http_answer a = { .hold = true, .body = { "held", 4 } };

	http_server_push(t.upstream, &a);
}

static void test_change_lets_calls_finish(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/up"));
	struct pool_call *held;
	struct got got, other;

	(void)state;
	configure(&opts);
	hold_upstream();
	held = submit(opts.url, &got, POOL_ASK);
	assert_true(http_server_wait_held(t.upstream, 1));
	opts.transport.ca = file("other.pem");
	configure(&opts);
	call(opts.url, &other);
	assert_int_equal(other.error, -ECONNREFUSED);
	assert_false(got.done);
	assert_int_equal(http_server_release(t.upstream), 1);
	wait_for(held);
	assert_string_equal(got.body, "held");
	call(opts.url, &other);
	assert_int_equal(other.error, -ECONNREFUSED);
}

/* Changes while calls come and go: every one has an answer. */
static void test_many_changes(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/ok"));
	struct got got[64];
	unsigned i, k;

	(void)state;
	for (i = 0; i < 30; i++) {
		opts.transport.connect_ms = PATIENCE_MS + i % 3;
		configure(&opts);
		for (k = 0; k < 16; k++)
			submit(opts.url, &got[k], POOL_ASK);
		if (i % 2)
			configure(&opts);
		opts.transport.dns_ms++;
		configure(&opts);
		while (pool_collect(t.pool))
			poll(NULL, 0, 1);
		for (k = 0; k < 16; k++) {
			assert_string_equal(got[k].text, "");
			assert_int_equal(got[k].status, 200);
		}
	}
}

static void test_one_url_two_ways(void **state)
{
	struct pool_endpoint_opts opts[2];
	struct pool_endpoint_stats stats;
	struct got got;

	(void)state;
	opts[0] = options(url_of("mtls", "/ok"));
	opts[1] = options(opts[0].url);
	opts[0].name = "with";
	opts[0].transport.cert = opts[0].transport.key = file("both.pem");
	opts[1].name = "without";
	assert_int_equal(pool_configure(t.pool, opts, 2), 0);
	call("with", &got);
	assert_int_equal(got.status, 200);
	call("without", &got);
	assert_int_equal(got.status, 400);
	assert_int_equal(pool_get_stats(t.pool, "with", &stats), 0);
	assert_int_equal(stats.ok, 1);
	assert_int_equal(pool_get_stats(t.pool, opts[0].url, &stats), -ENOENT);
}

/*
 * Calls that are stood still for: the twin's (hold.h), once the dispatcher has
 * come to the configuration
 */

static void hold(const char *name, struct got *got)
{
	wait_for(submit(name, got, POOL_HOLD));
}

static void see_held(const struct pool_endpoint_opts *opts, struct seen *ret)
{
	struct got got;

	hold(opts->url, &got);
	parse_seen(&got, ret);
}

static void test_held_calls_go_the_new_way(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/echo"));
	struct pool_endpoint_stats stats;
	struct seen asked, first, again;
	struct got got;

	(void)state;
	see(&opts, &asked);
	see_held(&opts, &first);
	assert_int_not_equal(first.connection, asked.connection);
	see(&opts, &asked); /* the same: nothing changes */
	see_held(&opts, &again);
	assert_int_equal(again.connection, first.connection);
	assert_int_equal(again.nth, 2);
	opts.transport.ca = file("other.pem");
	configure(&opts);
	hold(opts.url, &got); /* whoever sends it */
	assert_non_null(strstr(got.text, "is not trusted"));
	expect_refused(&opts, "is not trusted");
	pool_collect(t.pool);
	assert_int_equal(pool_get_stats(t.pool, opts.url, &stats), 0);
	assert_int_equal(stats.connections, 0);
	hold(opts.url, &got);
	assert_non_null(strstr(got.text, "is not trusted"));
	opts.transport.ca = file("ca.pem");
	see(&opts, &asked);
	see_held(&opts, &again);
	assert_int_not_equal(again.connection, first.connection);
	assert_int_equal(again.nth, 1);
}

static void test_held_calls_by_a_unix_socket(void **state)
{
	struct pool_endpoint_opts opts[2];
	struct got got;
	char url[128];
	unsigned i;

	(void)state;
	snprintf(url, sizeof(url), "http+unix://%s/nginx.sock:/echo", t.dir);
	opts[0] = options(url);
	opts[0].name = "socket";
	opts[1] = options(url_of("mtls", "/ok"));
	opts[1].name = "with";
	opts[1].transport.cert = opts[1].transport.key = file("both.pem");
	assert_int_equal(pool_configure(t.pool, opts, 2), 0);
	call("socket", &got);
	for (i = 0; i < 3; i++) {
		hold("socket", &got);
		assert_int_equal(got.status, 200);
		assert_non_null(strstr(got.body, "/echo"));
		hold("with", &got);
		assert_int_equal(got.status, 200);
	}
}

static atomic_bool enough;

static void *keep_changing(void *arg)
{
	struct pool_endpoint_opts opts = *(struct pool_endpoint_opts *)arg;
	/* No more often than a handshake takes: what has not been sent starts
	 * over with each change. */
	const struct timespec pause = { .tv_nsec = 100000000 };
	unsigned i;

	for (i = 0; i < 10 && !enough; i++) {
		opts.transport.connect_ms = PATIENCE_MS + opts.transport.dns_ms;
		opts.transport.dns_ms++;
		assert_int_equal(pool_configure(t.pool, &opts, 1), 0);
		nanosleep(&pause, NULL);
	}
	enough = true;
	return NULL;
}

/* The ways are shared with the thread that changes them. */
static void test_held_calls_during_changes(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/ok"));
	struct got got;
	pthread_t thread;

	(void)state;
	expect_ok(&opts);
	enough = false;
	assert_int_equal(pthread_create(&thread, NULL, keep_changing, &opts),
			 0);
	do {
		submit(opts.url, &got, POOL_HOLD);
		while (pool_collect(t.pool))
			poll(NULL, 0, 1);
	} while (!enough && got.status == 200);
	enough = true; /* before anything ends the test */
	pthread_join(thread, NULL);
	assert_string_equal(got.text, "");
	assert_int_equal(got.status, 200);
}

/*
 * Unix sockets
 */

static void test_unix_socket(void **state)
{
	struct pool_endpoint_opts opts;
	struct seen first, again;
	char url[128];

	(void)state;
	snprintf(url, sizeof(url), "http+unix://%s/nginx.sock:/echo?a=b",
		 t.dir);
	opts = options(url);
	see(&opts, &first);
	assert_string_equal(first.host, "localhost");
	assert_string_equal(first.uri, "/echo?a=b");
	see(&opts, &again);
	assert_int_equal(again.connection, first.connection);
	assert_int_equal(again.nth, 2);
	snprintf(url, sizeof(url), "http+unix://%s/a%%3Ab%%25.sock:/echo",
		 t.dir);
	see(&opts, &again);
	assert_string_equal(again.uri, "/echo");
}

static void test_no_unix_socket(void **state)
{
	struct pool_endpoint_opts opts;
	char url[128];

	(void)state;
	snprintf(url, sizeof(url), "http+unix://%s/none.sock:/", t.dir);
	opts = options(url);
	expect_refused(&opts, "onnect");
}

/* nginx closes it after 100 ms: before, after and while it is used again. */
static void test_unix_socket_closed_by_the_server(void **state)
{
	struct pool_endpoint_opts opts;
	struct got got[3];
	char url[128];
	unsigned i, k;

	(void)state;
	snprintf(url, sizeof(url), "http+unix://%s/a%%3Ab%%25.sock:/ok", t.dir);
	opts = options(url);
	configure(&opts);
	for (i = 0; i < 20; i++) {
		for (k = 0; k < COUNT(got); k++)
			submit(url, &got[k], POOL_ASK);
		while (pool_collect(t.pool))
			poll(NULL, 0, 1);
		for (k = 0; k < COUNT(got); k++)
			assert_string_equal(got[k].text, "");
		poll(NULL, 0, 90 + (int)i);
	}
}

static void test_unix_sockets_rest_and_close(void **state)
{
	struct pool_endpoint_opts opts;
	struct pool_endpoint_stats stats;
	int64_t end = pool_now_ms() + PATIENCE_MS;
	char url[128];

	(void)state;
	snprintf(url, sizeof(url), "http+unix://%s/nginx.sock:/ok", t.dir);
	opts = options(url);
	opts.idle_ms = 300;
	expect_ok(&opts);
	assert_int_equal(pool_get_stats(t.pool, url, &stats), 0);
	assert_int_equal(stats.connections, 1);
	do
		poll(NULL, 0, 10);
	while (!pool_get_stats(t.pool, url, &stats) && stats.connections &&
	       pool_now_ms() < end);
	assert_int_equal(stats.connections, 0);
	expect_ok(&opts);
}

/*
 * HTTP/2
 */

static void test_protocols(void **state)
{
	static const struct {
		const char *server;
		enum pool_http http;
		const char *protocol;
	} cases[] = {
		{ "good", POOL_HTTP_2, "HTTP/2.0" },
		{ "good", POOL_HTTP_1_1, "HTTP/1.1" },
		{ "http1", POOL_HTTP_2, "HTTP/1.1" },
		{ "plain", POOL_HTTP_2, "HTTP/1.1" },
		{ "h2c", POOL_HTTP_2_PRIOR, "HTTP/2.0" },
	};
	struct pool_endpoint_opts opts;
	struct seen seen;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		opts = options(url_of(cases[i].server, "/echo"));
		opts.transport.http = cases[i].http;
		see(&opts, &seen);
		assert_string_equal(seen.protocol, cases[i].protocol);
		see(&opts, &seen);
		assert_string_equal(seen.protocol, cases[i].protocol);
		/* h2c: not before libcurl 8 */
		assert_true(seen.nth == 2 || i + 1 == COUNT(cases));
	}
}

static void collect_all(void)
{
	int64_t end = pool_now_ms() + PATIENCE_MS;

	while (pool_collect(t.pool) && pool_now_ms() < end)
		poll(NULL, 0, 1);
}

static void hold_all(bool hold)
{
	const struct http_answer a = { .hold = hold, .body = { "up", 2 } };

	http_server_answer(t.upstream, &a);
}

static void test_requests_share_a_connection(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/up"));
	struct pool_endpoint_stats stats;
	struct got got[20];
	size_t i;

	(void)state;
	expect_ok(&opts);
	hold_all(true);
	for (i = 0; i < COUNT(got); i++)
		submit(opts.url, &got[i], POOL_ASK);
	assert_true(http_server_wait_held(t.upstream, COUNT(got)));
	assert_int_equal(pool_get_stats(t.pool, opts.url, &stats), 0);
	assert_int_equal(stats.in_flight, COUNT(got));
	assert_int_equal(stats.connections, 1);
	http_server_release(t.upstream);
	collect_all();
	for (i = 0; i < COUNT(got); i++)
		assert_string_equal(got[i].body, "up");
	assert_int_equal(pool_get_stats(t.pool, opts.url, &stats), 0);
	assert_int_equal(stats.connections, 1);
	assert_int_equal(stats.reused_connection, COUNT(got));
}

static void test_calls_under_way_are_bounded(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/up"));
	struct pool_endpoint_stats stats;
	struct got got[12];
	size_t i;

	(void)state;
	opts.max_connections = 3;
	expect_ok(&opts);
	hold_all(true);
	for (i = 0; i < COUNT(got); i++)
		submit(opts.url, &got[i], POOL_ASK);
	assert_true(http_server_wait_held(t.upstream, 3));
	poll(NULL, 0, 50);
	assert_int_equal(pool_get_stats(t.pool, opts.url, &stats), 0);
	assert_int_equal(stats.in_flight, 3);
	assert_int_equal(stats.queued, COUNT(got) - 3);
	hold_all(false);
	http_server_release(t.upstream);
	collect_all();
	for (i = 0; i < COUNT(got); i++)
		assert_string_equal(got[i].body, "up");
}

/* Those on the same connection go on. */
static void test_one_of_them_times_out(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/up"));
	struct pool_request req = {
		.kind = POOL_ASK,
		.endpoint = opts.url,
		.body = strdup("{}"),
		.len = 2,
		.timeout_ms = 100,
	};
	struct got late = { 0 }, got;

	(void)state;
	expect_ok(&opts);
	hold_all(true);
	submit(opts.url, &got, POOL_ASK);
	assert_true(http_server_wait_held(t.upstream, 1));
	assert_int_equal(pool_submit(t.pool, &req, note_reply, &late, NULL), 0);
	while (!late.done) {
		pool_collect(t.pool);
		poll(NULL, 0, 1);
	}
	assert_int_equal(late.error, -ETIMEDOUT);
	assert_false(got.done);
	hold_all(false);
	http_server_release(t.upstream);
	collect_all();
	assert_string_equal(got.body, "up");
	expect_ok(&opts);
}

/* nginx ends a connection after 20 requests, whatever is under way. */
static void test_server_that_ends_connections(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("few", "/up"));
	static struct got got[400];
	size_t i;

	(void)state;
	opts.max_connections = 16;
	configure(&opts);
	for (i = 0; i < COUNT(got); i++)
		submit(opts.url, &got[i], POOL_ASK);
	collect_all();
	for (i = 0; i < COUNT(got); i++) {
		assert_string_equal(got[i].text, "");
		assert_int_equal(got[i].status, 200);
	}
}

static void test_server_that_ends_idle_connections(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("brief", "/up"));
	struct got got[3];
	unsigned i, k;

	(void)state;
	configure(&opts);
	for (i = 0; i < 20; i++) {
		for (k = 0; k < COUNT(got); k++)
			submit(opts.url, &got[k], POOL_ASK);
		collect_all();
		for (k = 0; k < COUNT(got); k++)
			assert_string_equal(got[k].text, "");
		poll(NULL, 0, 90 + (int)i);
	}
}

/* Never idle, and yet not for ever. */
static void test_busy_connection_outlives(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/up"));
	struct pool_endpoint_stats stats;
	struct got held, got;

	(void)state;
	opts.transport.lifetime_ms = 300;
	configure(&opts);
	hold_upstream();
	submit(opts.url, &held, POOL_ASK);
	assert_true(http_server_wait_held(t.upstream, 1));
	call(opts.url, &got);
	assert_int_equal(pool_get_stats(t.pool, opts.url, &stats), 0);
	assert_int_equal(stats.connections, 1);
	poll(NULL, 0, 400);
	call(opts.url, &got); /* the one that finds out */
	call(opts.url, &got);
	assert_string_equal(got.text, "");
	assert_int_equal(pool_get_stats(t.pool, opts.url, &stats), 0);
	assert_int_equal(stats.connections, 2);
	assert_false(held.done);
	http_server_release(t.upstream);
	collect_all();
	assert_string_equal(held.body, "held");
}

/*
 * Proxies
 */

static const char *proxy_of(const char *scheme, const char *name,
			    const char *user)
{
	static char url[128];

	snprintf(url, sizeof(url), "%s://%s@127.0.0.1:%u", scheme, user,
		 port_of(name));
	return url;
}

/* Whether the HTTP proxy has been asked for that. */
static bool proxy_saw(const char *text)
{
	return strstr(file("proxy.log").data, text) != NULL;
}

static void test_http_proxy(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/echo"));
	struct seen seen;
	char text[64];

	(void)state;
	opts.transport.proxy = proxy_of("http", "proxy", "joe:s3cret");
	snprintf(text, sizeof(text), "CONNECT localhost:%u", port_of("good"));
	assert_false(proxy_saw(text));
	see(&opts, &seen);
	assert_string_equal(seen.sni, "localhost");
	assert_true(proxy_saw(text));
	see(&opts, &seen);
	assert_int_equal(seen.nth, 2);
	opts.url = url_of("plain", "/echo");
	see(&opts, &seen);
	snprintf(text, sizeof(text), "POST http://localhost:%u/echo",
		 port_of("plain"));
	assert_true(proxy_saw(text));
}

static void test_socks_proxy(void **state)
{
	static const char *const schemes[] = { "socks5", "socks5h" };
	struct pool_endpoint_opts opts = options(url_of("good", "/echo"));
	struct pool_endpoint_opts other;
	struct seen seen;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(schemes); i++) {
		opts.transport.proxy =
			proxy_of(schemes[i], "socks", "joe:s3cret");
		see(&opts, &seen);
		assert_string_equal(seen.sni, "localhost");
		assert_int_equal(seen.nth, 1);
		see(&opts, &seen);
		assert_int_equal(seen.nth, 2);
		/* whoever looks it up, it is not where we go */
		other = options(url_of("wrong", "/echo"));
		other.transport.proxy = opts.transport.proxy;
		other.transport.server_name = "sni.test";
		see(&other, &seen);
		assert_string_equal(seen.sni, "sni.test");
	}
}

static void test_proxy_that_refuses(void **state)
{
	static const struct {
		const char *scheme, *name;
	} proxies[] = {
		{ "http", "proxy" },
		{ "socks5", "socks" },
		{ "socks5h", "socks" },
		{ "http", "tls12" }, /* which is none */
	};
	struct pool_endpoint_opts opts = options(url_of("good", "/ok"));
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(proxies); i++) {
		opts.transport.proxy = proxy_of(proxies[i].scheme,
						proxies[i].name, "joe:s3cret2");
		expect_refused(&opts, "");
	}
}

static void test_no_proxy(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/ok"));

	(void)state;
	opts.transport.proxy = proxy_of("http", "proxy", "joe:s3cret2");
	opts.transport.no_proxy = "example.org,localhost";
	expect_ok(&opts);
	opts.transport.no_proxy = "example.org";
	expect_refused(&opts, "");
	opts.transport.no_proxy = NULL;
	expect_refused(&opts, "");
}

static void test_environment_has_no_say(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("good", "/ok"));

	(void)state;
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("no_proxy", "*", 1);
	expect_ok(&opts);
	opts.transport.proxy = proxy_of("http", "proxy", "joe:s3cret2");
	expect_refused(&opts, ""); /* not past it */
	unsetenv("https_proxy");
	unsetenv("no_proxy");
}

static void test_unix_sockets_need_no_proxy(void **state)
{
	struct pool_endpoint_opts opts;
	char url[128];

	(void)state;
	snprintf(url, sizeof(url), "http+unix://%s/nginx.sock:/ok", t.dir);
	opts = options(url);
	opts.transport.proxy = "http://127.0.0.1:1";
	expect_ok(&opts);
}

static void expect_proxy(const char *proxy, const char *why)
{
	char text[128] = "";
	int r = pool_check_proxy(proxy, text);

	assert_int_equal(r, why ? -EINVAL : 0);
	if (why)
		assert_non_null(strstr(text, why));
	assert_null(strstr(text, "s3cret"));
}

static void test_check_proxy(void **state)
{
	(void)state;
	expect_proxy("http://joe:s3cret@h:3128", NULL);
	expect_proxy("socks5://h", NULL);
	expect_proxy("socks5h://[::1]:1080/", NULL);
	expect_proxy("https://joe:s3cret@h", "begins with");
	expect_proxy("joe:s3cret@h:80", "begins with");
	expect_proxy("http://joe:s3cret@", "no host");
	expect_proxy("http://joe:s3cret@h:0", "1 to 65535");
	expect_proxy("socks5://localhost/run/socket", "no path");
	expect_proxy("http://h /", "a space");
}

/*
 * Time
 */

/* A server that takes connections and never says a word. */
static int mute_server(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void test_connect_timeout(void **state)
{
	struct pool_endpoint_opts opts;
	int64_t began = pool_now_ms();
	char url[64];
	uint16_t port;
	int fd = mute_server(&port);

	(void)state;
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
	opts = options(url);
	opts.transport.connect_ms = 200;
	expect_refused(&opts, "no connection within 200 ms (connect_timeout)");
	assert_in_range(pool_now_ms() - began, 150, PATIENCE_MS / 2);
	close(fd);
}

static void test_lifetime(void **state)
{
	struct pool_endpoint_opts opts = options(url_of("http1", "/echo"));
	struct pool_endpoint_stats stats;
	struct seen first, again;

	(void)state;
	opts.transport.lifetime_ms = 600;
	see(&opts, &first);
	see(&opts, &again);
	assert_int_equal(again.connection, first.connection);
	poll(NULL, 0, 900);
	assert_int_equal(pool_get_stats(t.pool, opts.url, &stats), 0);
	assert_int_equal(stats.connections, 0);
	see(&opts, &again);
	assert_int_not_equal(again.connection, first.connection);
}

/* One call, and while it is under way, so that its connection cannot be used,
 * another. Returns how often the name was looked up. */
static unsigned look_ups(const struct pool_endpoint_opts *opts)
{
	struct got got, other;
	struct pool_call *held;

	atomic_store(&looked_up, 0);
	configure(opts);
	hold_upstream();
	held = submit(opts->url, &got, POOL_ASK);
	assert_true(http_server_wait_held(t.upstream, 1));
	call(opts->url, &other);
	assert_string_equal(other.text, "");
	http_server_release(t.upstream);
	wait_for(held);
	assert_string_equal(got.text, "");
	return atomic_load(&looked_up);
}

static void test_names_are_looked_up_again(void **state)
{
	struct pool_endpoint_opts opts;
	char url[64];

	(void)state;
	snprintf(url, sizeof(url), "http://named.test:%u/up", port_of("plain"));
	opts = options(url);
	assert_int_equal(look_ups(&opts), 1);
	opts.transport.dns_ms = 0;
	assert_int_equal(look_ups(&opts), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tls),
		TEST(test_lowest_version),
		TEST(test_private_authority_is_not_trusted_by_itself),
		TEST(test_authorities_replace_those_of_the_system),
		TEST(test_each_failure_has_its_words),
		TEST(test_revocation),
		TEST(test_no_verification),
		TEST(test_pinned_key),
		TEST(test_server_name),
		TEST(test_client_certificate),
		TEST(test_key_with_a_password),
		TEST(test_client_certificate_is_refused),
		TEST(test_new_authority_counts_at_once),
		TEST(test_change_lets_calls_finish),
		TEST(test_many_changes),
		TEST(test_one_url_two_ways),
		TEST(test_held_calls_go_the_new_way),
		TEST(test_held_calls_by_a_unix_socket),
		TEST(test_held_calls_during_changes),
		TEST(test_unix_socket),
		TEST(test_no_unix_socket),
		TEST(test_unix_socket_closed_by_the_server),
		TEST(test_unix_sockets_rest_and_close),
		TEST(test_protocols),
		TEST(test_requests_share_a_connection),
		TEST(test_calls_under_way_are_bounded),
		TEST(test_one_of_them_times_out),
		TEST(test_server_that_ends_connections),
		TEST(test_server_that_ends_idle_connections),
		TEST(test_busy_connection_outlives),
		TEST(test_http_proxy),
		TEST(test_socks_proxy),
		TEST(test_proxy_that_refuses),
		TEST(test_no_proxy),
		TEST(test_environment_has_no_say),
		TEST(test_unix_sockets_need_no_proxy),
		TEST(test_check_proxy),
		TEST(test_connect_timeout),
		TEST(test_lifetime),
		TEST(test_names_are_looked_up_again),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
