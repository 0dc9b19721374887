/* test_pool.c - pool/pool.h, with real sockets on the loopback */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pool/loop.h"
#include "pool/mailbox.h"
#include "pool/pool.h"
#include "test/unit/http_server.h"
#include "test/unit/pool_fixture.h"

#define BOX_CAPACITY 65536

/*
 * Names: those ending in ".hang" are never found until the test lets go, as
 * with a name server that does not answer; "two.addresses" has one where
 * nobody listens, and then that of the server.
 */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned asked;
	bool let_go;
} names = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false };

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *,
			   struct addrinfo **);

static bool ends_in_hang(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	return len > 5 && !strcmp(name + len - 5, ".hang");
}

/* In place of libc's, for libcurl too. */
__attribute__((visibility("default"))) int getaddrinfo(
	const char *name, const char *service, const struct addrinfo *hints,
	struct addrinfo **ret)
{
	getaddrinfo_fn *real;
	int r;

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (name && !strcmp(name, "two.addresses")) {
		r = real("127.0.0.2", service, hints, ret);
		return r ? r
			 : real("127.0.0.1", service, hints, &(*ret)->ai_next);
	}
	if (!ends_in_hang(name))
		return real(name, service, hints, ret);
	pthread_mutex_lock(&names.lock);
	names.asked++;
	pthread_cond_broadcast(&names.changed);
	while (!names.let_go)
		pthread_cond_wait(&names.changed, &names.lock);
	pthread_mutex_unlock(&names.lock);
	return EAI_AGAIN;
}

/*
 * The request
 */

static void test_request_is_as_in_the_contract(void **state)
{
	struct fixture *f = *state;
	const struct http_request *req;
	struct got got;
	char host[32];

	configure_url(f, http_server_url(f->server, "/a/../b?x=1&y=%20#frag"));
	assert_int_equal(
		submit_any(f, &got,
			   http_server_url(f->server, "/a/../b?x=1&y=%20#frag"),
			   "{\"a\":1}", NULL, PATIENCE_MS, NULL),
		0);
	collect(f, &got);
	req = http_server_request(f->server, 0);
	assert_non_null(req);
	assert_memory_equal(req->text, "POST /a/../b?x=1&y=%20 HTTP/1.1\r\n",
			    33);
	snprintf(host, sizeof(host), "127.0.0.1:%u",
		 http_server_port(f->server));
	expect_header(req, "Host", host);
	expect_header(req, "Content-Type", "application/json");
	expect_header(req, "vernemq-hook", "on_publish");
	expect_header(req, "Content-Length", "7");
	expect_header(req, "Accept", NULL);
	expect_header(req, "Accept-Encoding", NULL);
	expect_header(req, "Expect", NULL);
	expect_header(req, "Authorization", NULL);
	assert_true(strstr(req->text, "Content-Type:") <
		    strstr(req->text, "vernemq-hook:"));
	assert_non_null(strstr(req->text, "User-Agent: vmq_webhooks/"));
	assert_int_equal(req->body_len, 7);
	assert_string_equal(req->body, "{\"a\":1}");
	clear(&got);
}

static void test_hook_header_follows_the_call(void **state)
{
	static const char *const hooks[] = { "vernemq-hook: on_publish",
					     "vernemq-hook: on_register",
					     "vernemq-hook: on_publish" };
	struct fixture *f = *state;
	unsigned i;

	configure_url(f, f->url);
	for (i = 0; i < COUNT(hooks); i++) {
		struct got got = { .f = f };
		struct pool_request req = { .endpoint = f->url,
					    .headers = &hooks[i],
					    .headers_count = 1,
					    .timeout_ms = PATIENCE_MS,
					    .max_age_ms = PATIENCE_MS };

		assert_int_equal(
			pool_submit(f->pool, &req, note_reply, &got, NULL), 0);
		collect(f, &got);
		assert_int_equal(got.error, 0);
		expect_header(http_server_request(f->server, i), "vernemq-hook",
			      hooks[i] + strlen("vernemq-hook: "));
		expect_header(http_server_request(f->server, i),
			      "Content-Length", "0");
		clear(&got);
	}
}

static void test_large_body_goes_without_asking(void **state)
{
	struct fixture *f = *state;
	size_t len = 3 << 20;
	char *body = malloc(len + 1);
	struct got got;

	assert_non_null(body);
	memset(body, 'x', len);
	body[len] = '\0';
	configure_url(f, f->url);
	assert_int_equal(
		submit_any(f, &got, f->url, body, NULL, PATIENCE_MS, NULL), 0);
	collect(f, &got);
	assert_int_equal(got.error, 0);
	assert_int_equal(http_server_request(f->server, 0)->body_len, len);
	expect_header(http_server_request(f->server, 0), "Expect", NULL);
	clear(&got);
	free(body);
}

static void test_userinfo_becomes_basic_auth(void **state)
{
	struct fixture *f = *state;
	struct got got;
	char url[64];

	snprintf(url, sizeof(url), "http://joe:secret@127.0.0.1:%u/",
		 http_server_port(f->server));
	configure_url(f, url);
	call(f, &got, url);
	assert_int_equal(got.error, 0);
	expect_header(http_server_request(f->server, 0), "Authorization",
		      "Basic am9lOnNlY3JldA==");
	clear(&got);
}

static void test_url_without_scheme_and_path(void **state)
{
	struct fixture *f = *state;
	struct got got;
	char url[64];

	snprintf(url, sizeof(url), "127.0.0.1:%u", http_server_port(f->server));
	configure_url(f, url);
	call(f, &got, url);
	assert_int_equal(got.error, 0);
	assert_memory_equal(http_server_request(f->server, 0)->text,
			    "POST / HTTP/1.1\r\n", 17);
	clear(&got);
}

static void set_proxies(const char *value)
{
	static const char *const vars[] = { "http_proxy", "HTTP_PROXY",
					    "https_proxy", "all_proxy",
					    "ALL_PROXY" };
	size_t i;

	for (i = 0; i < COUNT(vars); i++) {
		if (value)
			setenv(vars[i], value, 1);
		else
			unsetenv(vars[i]);
	}
}

static void test_proxies_of_the_environment_are_ignored(void **state)
{
	struct fixture *f = *state;

	set_proxies("http://127.0.0.1:1");
	configure_url(f, f->url);
	call_ok(f);
	set_proxies(NULL);
	assert_memory_equal(http_server_request(f->server, 0)->text,
			    "POST /hook ", 11);
}

/*
 * The reply
 */

static void test_reply_is_handed_over(void **state)
{
	const struct http_answer a = {
		.status = 418,
		.headers = "cache-control: max-age=60\r\n"
			   "Age: 17\r\n"
			   "CACHE-Control: private,\r\n"
			   "  no-transform \r\n"
			   "Content-Encoding: gzip\r\n",
		.body = { "a\0b", 3 },
	};
	struct fixture *f = *state;
	struct got got;

	http_server_answer(f->server, &a);
	configure_url(f, f->url);
	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.status, 418);
	assert_int_equal(got.len, 3);
	assert_memory_equal(got.body, "a\0b", 3);
	assert_string_equal(got.cache_control,
			    "max-age=60, private, no-transform");
	assert_int_equal(got.age_s, 17);
	assert_in_range(got.elapsed_ms, 0, PATIENCE_MS);
	clear(&got);
}

static void test_reply_without_headers_or_body(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.len, 0);
	assert_null(got.cache_control);
	assert_int_equal(got.age_s, 0);
	clear(&got);
}

static void test_age_is_a_number_or_nothing(void **state)
{
	static const struct {
		const char *header;
		uint64_t age;
	} cases[] = {
		{ "Age: 0\r\n", 0 },
		{ "Age: 12x\r\n", 0 },
		{ "Age: 60, 0\r\n", 60 },
		{ "Age: 60 ,0\r\n", 60 },
		{ "Age: 60 0\r\n", 0 },
		{ "Age: , 60\r\n", 0 },
		{ "Age: -1\r\n", 0 },
		{ "Age: 1.5\r\n", 0 },
		{ "Age:\r\n", 0 },
		{ "Age: 5\r\nAge: 6\r\n", 5 },
		{ "Age: 4294967296\r\n", 4294967296 },
	};
	struct fixture *f = *state;
	struct http_answer a = { .headers =
					 "Age: 99999999999999999999999\r\n" };
	struct got got;
	size_t i;

	configure_url(f, f->url);
	http_server_push(f->server, &a);
	call(f, &got, f->url);
	assert_true(got.age_s > UINT64_MAX / 20);
	clear(&got);
	for (i = 0; i < COUNT(cases); i++) {
		a.headers = cases[i].header;
		http_server_push(f->server, &a);
		call(f, &got, f->url);
		assert_int_equal(got.age_s, cases[i].age);
		clear(&got);
	}
}

/* Without a bound libcurl would keep trailers for as long as they come. */
static void test_headers_and_trailers_are_bounded(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
				   "chunked\r\n\r\n2\r\n{}\r\n0\r\n";
	enum {
		LINES = 60000,
		LONG = 200 * 1024,
	};
	struct fixture *f = *state;
	struct got got;
	size_t len = sizeof(head) - 1;
	char *raw = malloc(len + LINES * 6 + LONG + 1);

	assert_non_null(raw);
	configure_url(f, f->url);
	memcpy(raw, head, len);
	for (size_t i = 0; i < LINES; i++)
		memcpy(raw + len + i * 6, "A: b\r\n", 6);
	raw[len + LINES * 6] = '\0';
	push_raw(f, raw, true);
	call(f, &got, f->url);
	assert_int_equal(got.error, -EFBIG);
	assert_string_equal(got.text, "the reply's headers and trailers exceed "
				      "307200 bytes");
	clear(&got);
	/* one line that long */
	len = sizeof("HTTP/1.1 200 OK\r\nX: ") - 1;
	memcpy(raw, "HTTP/1.1 200 OK\r\nX: ", len);
	memset(raw + len, 'x', LONG);
	raw[len + LONG] = '\0';
	push_raw(f, raw, true);
	call(f, &got, f->url);
	assert_int_equal(got.error, -EFBIG);
	assert_non_null(strstr(got.text, "too long"));
	clear(&got);
	free(raw);
}

static void test_headers_of_the_final_response_alone_count(void **state)
{
	static const struct http_bytes chunk = { "{}", 2 };
	const struct http_answer trailing = {
		.headers = "Trailer: Cache-Control\r\n",
		.chunked = true,
		.chunks = &chunk,
		.n_chunks = 1,
		.trailers = "Cache-Control: max-age=60\r\nAge: 3\r\n",
	};
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	push_raw(f,
		 "HTTP/1.1 103 Early Hints\r\nCache-Control: max-age=9\r\n"
		 "Age: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		 false);
	call(f, &got, f->url);
	assert_int_equal(got.status, 200);
	assert_string_equal(got.body, "{}");
	assert_null(got.cache_control);
	assert_int_equal(got.age_s, 0);
	clear(&got);
	http_server_push(f->server, &trailing);
	call(f, &got, f->url);
	assert_string_equal(got.body, "{}");
	assert_null(got.cache_control);
	assert_int_equal(got.age_s, 0);
	clear(&got);
	/* nor those of the reply before */
	push_raw(f,
		 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
		 "Cache-Control: max-age=9\r\n\r\n",
		 false);
	call(f, &got, f->url);
	assert_string_equal(got.cache_control, "max-age=9");
	clear(&got);
	call(f, &got, f->url);
	assert_null(got.cache_control);
	clear(&got);
}

static void test_too_many_cache_controls_cache_nothing(void **state)
{
	struct fixture *f = *state;
	struct http_answer a = { 0 };
	char headers[4096];
	struct got got;
	size_t i, len = 0;

	for (i = 0; i < 33; i++)
		len += (size_t)snprintf(headers + len, sizeof(headers) - len,
					"Cache-Control: max-age=%zu\r\n", i);
	a.headers = headers;
	http_server_answer(f->server, &a);
	configure_url(f, f->url);
	call(f, &got, f->url);
	assert_string_equal(got.cache_control, "no-store");
	clear(&got);
}

/* The forms that VerneMQ's client was seen to take as well. */
static void test_odd_but_good_replies(void **state)
{
	static const char *const raws[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 100 Continue\r\n\r\n"
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
		"Content-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
		"HTTP/1.0 200 OK\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"1;x=y\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
	};
	struct fixture *f = *state;
	struct got got;
	size_t i;

	configure_url(f, f->url);
	for (i = 0; i < COUNT(raws); i++) {
		push_raw(f, raws[i], true);
		call(f, &got, f->url);
		assert_string_equal(got.text, "");
		assert_int_equal(got.status, 200);
		assert_string_equal(got.body, "{}");
		clear(&got);
	}
}

static void test_bad_replies_are_errors(void **state)
{
	static const char *const raws[] = {
		"",
		"hello\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Le",
		"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
	};
	struct fixture *f = *state;
	struct got got;
	size_t i;

	configure_url(f, f->url);
	for (i = 0; i < COUNT(raws); i++) {
		push_raw(f, raws[i], true);
		call(f, &got, f->url);
		assert_int_equal(got.error, -EIO);
		assert_int_equal(got.status, 0);
		assert_int_equal(got.len, 0);
		clear(&got);
	}
	assert_int_equal(counts_of(f).requests, COUNT(raws));
	assert_int_equal(stats_of(f, f->url).failed, COUNT(raws));
}

static void test_redirects_are_not_followed(void **state)
{
	struct fixture *f = *state;
	struct http_answer a = { .status = 307 };
	char header[128];
	struct got got;

	snprintf(header, sizeof(header), "Location: %s\r\n",
		 http_server_url(f->server, "/elsewhere"));
	a.headers = header;
	http_server_push(f->server, &a);
	configure_url(f, f->url);
	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.status, 307);
	assert_int_equal(counts_of(f).requests, 1);
	clear(&got);
}

static void test_reply_as_long_as_allowed(void **state)
{
	static const struct http_bytes chunks[] = { { "12345", 5 },
						    { "67890", 5 } };
	const struct http_answer chunked = { .chunked = true,
					     .chunks = chunks,
					     .n_chunks = 2 };
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got;

	opts.max_reply = 10;
	configure(f, &opts);
	answer_body(f, "1234567890");
	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_string_equal(got.body, "1234567890");
	clear(&got);
	http_server_answer(f->server, &chunked);
	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_string_equal(got.body, "1234567890");
	clear(&got);
}

static void test_longer_reply_is_an_error(void **state)
{
	static const struct http_bytes chunks[] = { { "12345", 5 },
						    { "678901", 6 } };
	const struct http_answer answers[] = {
		{ .body = { "12345678901", 11 } },
		{ .chunked = true, .chunks = chunks, .n_chunks = 2 },
		{ .no_length = true, .body = { "12345678901", 11 } },
		/* declared, and then nothing comes */
		{ .has_content_length = true,
		  .content_length = 1ull << 40,
		  .body = { "1", 1 } },
	};
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got;
	size_t i;

	opts.max_reply = 10;
	configure(f, &opts);
	for (i = 0; i < COUNT(answers); i++) {
		http_server_push(f->server, &answers[i]);
		call(f, &got, f->url);
		assert_int_equal(got.error, -EFBIG);
		assert_non_null(strstr(got.text, "10 bytes"));
		assert_int_equal(got.len, 0);
		clear(&got);
	}
	call_ok(f);
}

static void test_refused_connection(void **state)
{
	struct fixture *f = *state;
	struct got got;
	int64_t before;

	configure_url(f, "http://127.0.0.1:1/");
	before = pool_now_ms();
	call(f, &got, "http://127.0.0.1:1/");
	assert_int_equal(got.error, -ECONNREFUSED);
	assert_in_range(pool_now_ms() - before, 0, PATIENCE_MS);
	clear(&got);
}

static void test_unknown_endpoint(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_stats stats;
	struct got got;

	configure_url(f, f->url);
	call(f, &got, "http://127.0.0.1/other");
	assert_int_equal(got.error, -ENOENT);
	assert_int_equal(
		pool_get_stats(f->pool, "http://127.0.0.1/other", &stats),
		-ENOENT);
	clear(&got);
}

/*
 * Connections
 */

static void test_calls_in_a_row_share_a_connection(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	configure_url(f, f->url);
	for (i = 0; i < 20; i++)
		call_ok(f);
	assert_int_equal(counts_of(f).opened, 1);
	assert_int_equal(http_server_requests_on(f->server, 0), 20);
	assert_int_equal(stats_of(f, f->url).ok, 20);
	assert_int_equal(stats_of(f, f->url).sent, 20);
	assert_int_equal(stats_of(f, f->url).reused_connection, 19);
	assert_int_equal(stats_of(f, f->url).connections, 1);
	assert_int_equal(stats_of(f, f->url).in_flight, 0);
}

static void test_never_more_than_max_connections(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	static struct got got[100];
	size_t i;

	opts.max_connections = 3;
	configure(f, &opts);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		submit(f, &got[i]);
	assert_true(http_server_wait_held(f->server, 3));
	wait_queued(f, f->url, 97);
	assert_int_equal(stats_of(f, f->url).in_flight, 3);
	assert_int_equal(stats_of(f, f->url).connections, 3);
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(got); i++)
		assert_int_equal(got[i].error, 0);
	assert_int_equal(counts_of(f).most_open, 3);
	assert_int_equal(counts_of(f).opened, 3);
	assert_int_equal(counts_of(f).requests, 100);
	assert_int_equal(stats_of(f, f->url).queued, 0);
	clear_all(got, COUNT(got));
}

/* All but those that are kept for others: for the owner's thread, and for what
 * nobody waits for. */
static void test_as_many_in_parallel_as_allowed(void **state)
{
	struct fixture *f = *state;
	static struct got got[100];
	struct got held;
	size_t i;

	configure_url(f, f->url);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		submit(f, &got[i]);
	assert_true(http_server_wait_held(f->server, 98));
	wait_queued(f, f->url, 2);
	f->kind = POOL_HOLD;
	assert_int_equal(pool_wait(f->pool, submit_to(f, &held, f->url),
				   pool_now_us() + 50000),
			 -ETIMEDOUT);
	assert_int_equal(counts_of(f).most_open, 99);
	answer_at_once(f);
	collect(f, &held);
	clear(&held);
	collect_all(f, got, COUNT(got));
	clear_all(got, COUNT(got));
}

static void test_idle_connection_is_closed(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	int64_t before;

	opts.idle_ms = 50;
	configure(f, &opts);
	before = pool_now_ms();
	call_ok(f);
	/* without another call */
	assert_true(http_server_wait_open(f->server, 0));
	assert_in_range(pool_now_ms() - before, 50, PATIENCE_MS);
	WAIT_UNTIL(stats_of(f, f->url).connections == 0);
	call_ok(f);
	assert_int_equal(counts_of(f).opened, 2);
}

/* One of the owner's own is, when the owner collects. */
static void test_idle_connection_of_holds_is_closed(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	int64_t before;

	opts.idle_ms = 50;
	f->kind = POOL_HOLD;
	configure(f, &opts);
	settle(f);
	before = pool_now_ms();
	call_ok(f);
	WAIT_UNTIL((pool_collect(f->pool), counts_of(f).open) == 0);
	assert_in_range(pool_now_ms() - before, 50, PATIENCE_MS);
	assert_int_equal(stats_of(f, f->url).connections, 0);
	call_ok(f);
	assert_int_equal(counts_of(f).opened, 2);
}

static unsigned count_descriptors(void)
{
	DIR *fds = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(fds);
	while (readdir(fds))
		n++;
	closedir(fds);
	return n;
}

/* That the server sees the end is not enough: ours must go, too. */
static void test_idle_endpoint_holds_no_descriptors(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	int64_t end = pool_now_ms() + PATIENCE_MS;
	unsigned before = count_descriptors();
	struct got got[5];
	size_t i;

	opts.idle_ms = 20;
	configure(f, &opts);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		submit(f, &got[i]);
	assert_true(http_server_wait_held(f->server, COUNT(got)));
	assert_in_range(count_descriptors(), before + 2 * COUNT(got),
			before + 2 * COUNT(got) + 8);
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	while (count_descriptors() > before && pool_now_ms() < end)
		let_pass(1);
	assert_int_equal(count_descriptors(), before);
	clear_all(got, COUNT(got));
}

static void test_idle_connections_close_beside_a_used_one(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	int64_t end = pool_now_ms() + PATIENCE_MS;
	struct got got[5];
	size_t i;

	opts.idle_ms = 100;
	configure(f, &opts);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		submit(f, &got[i]);
	assert_true(http_server_wait_held(f->server, COUNT(got)));
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	assert_int_equal(counts_of(f).most_open, 5);
	while (counts_of(f).open > 1 && pool_now_ms() < end)
		call_ok(f);
	for (i = 0; i < 50; i++)
		call_ok(f);
	assert_int_equal(counts_of(f).open, 1);
	clear_all(got, COUNT(got));
}

static void hold_first_delay_rest(const struct http_request *req,
				  struct http_answer *ret, void *arg)
{
	(void)arg;
	ret->hold = req->connection == 0;
	ret->delay_ms = 50; /* so that all of a few are under way together */
}

/* While one call keeps the endpoint from starting afresh, the others' idle
 * connections die, and make place for new ones. */
static void test_closed_idle_connections_are_replaced(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got[8], slow;
	unsigned round;
	size_t i;

	opts.idle_ms = 50;
	opts.max_connections = COUNT(got) + 1;
	configure(f, &opts);
	http_server_handle(f->server, hold_first_delay_rest, NULL);
	submit(f, &slow);
	assert_true(http_server_wait_held(f->server, 1));
	for (round = 0; round < 3; round++) {
		for (i = 0; i < COUNT(got); i++)
			submit(f, &got[i]);
		collect_all(f, got, COUNT(got));
		for (i = 0; i < COUNT(got); i++)
			assert_string_equal(got[i].text, "");
		assert_true(http_server_wait_open(f->server, 1));
		clear_all(got, COUNT(got));
	}
	assert_false(slow.done);
	answer_at_once(f);
	collect(f, &slow);
	assert_int_equal(slow.error, 0);
	assert_in_range(counts_of(f).opened, 1 + 3, 1 + 3 * COUNT(got));
	assert_in_range(counts_of(f).most_open, 2, 1 + COUNT(got));
	clear(&slow);
}

/* Nor is one in use, be it new or used before. */
static void test_slow_answer_outlives_idle_ms(void **state)
{
	const struct http_answer slow = { .delay_ms = 300 };
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);

	opts.idle_ms = 150;
	configure(f, &opts);
	http_server_answer(f->server, &slow);
	call_ok(f);
	call_ok(f);
	assert_int_equal(counts_of(f).opened, 1);
}

static void test_connection_closed_in_between(void **state)
{
	struct fixture *f = *state;

	configure_url(f, f->url);
	call_ok(f);
	http_server_close_idle(f->server, false);
	assert_true(http_server_wait_open(f->server, 0));
	call_ok(f);
	http_server_close_idle(f->server, true);
	assert_true(http_server_wait_open(f->server, 0));
	call_ok(f);
	assert_int_equal(counts_of(f).opened, 3);
	assert_int_equal(stats_of(f, f->url).failed, 0);
}

/* Whether it was processed nobody knows: it is not sent again. */
static void test_used_connection_that_ends_unanswered(void **state)
{
	const struct http_answer drop = { .drop = true },
				 reset = { .reset = true };
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	call_ok(f);
	http_server_push(f->server, &drop);
	call(f, &got, f->url);
	assert_int_equal(got.error, -EIO);
	clear(&got);
	call_ok(f);
	http_server_push(f->server, &reset);
	call(f, &got, f->url);
	assert_int_equal(got.error, -EIO);
	clear(&got);
	assert_int_equal(counts_of(f).requests, 4);
}

static void test_new_connection_that_ends_unanswered(void **state)
{
	const struct http_answer drop = { .drop = true },
				 reset = { .reset = true };
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	http_server_push(f->server, &drop);
	call(f, &got, f->url);
	assert_int_equal(got.error, -EIO);
	clear(&got);
	http_server_push(f->server, &reset);
	call(f, &got, f->url);
	assert_int_equal(got.error, -EIO);
	clear(&got);
	assert_int_equal(counts_of(f).requests, 2);
}

static void test_connection_close_is_heeded(void **state)
{
	const struct http_answer a = { .close = true };
	struct fixture *f = *state;

	configure_url(f, f->url);
	http_server_push(f->server, &a);
	call_ok(f);
	call_ok(f);
	assert_int_equal(counts_of(f).opened, 2);
}

/* A server's second thoughts must not answer the next question. */
static void test_unasked_bytes_are_no_answer(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	answer_body(f, "mine");
	call_ok(f);
	http_server_babble(
		f->server,
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen");
	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_string_equal(got.body, "mine");
	assert_int_equal(counts_of(f).opened, 2);
	assert_int_equal(counts_of(f).requests, 2);
	clear(&got);
}

static void test_bytes_beyond_the_length_are_no_answer(void **state)
{
	const struct http_answer a = {
		.has_content_length = true,
		.content_length = 2,
		.body = bytes("{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
			      "stolen"),
	};
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	answer_body(f, "mine");
	http_server_push(f->server, &a);
	call(f, &got, f->url);
	assert_string_equal(got.body, "{}");
	clear(&got);
	call(f, &got, f->url);
	assert_string_equal(got.body, "mine");
	clear(&got);
}

/* libcurl takes 200 ms to go from one IPv4 address to the next. */
static void test_every_address_is_tried(void **state)
{
	static const char *const names_of_it[] = { "localhost",
						   "two.addresses" };
	struct fixture *f = *state;
	struct got got;
	char url[64];
	size_t i;

	for (i = 0; i < COUNT(names_of_it); i++) {
		snprintf(url, sizeof(url), "http://%s:%u/", names_of_it[i],
			 http_server_port(f->server));
		configure_url(f, url);
		call(f, &got, url);
		assert_string_equal(got.text, "");
		clear(&got);
	}
}

/*
 * Time limits
 */

static void expect_timed_out(struct fixture *f, const struct got *got,
			     uint32_t ms)
{
	(void)f;
	assert_int_equal(got->error, -ETIMEDOUT);
	assert_in_range(got->elapsed_ms, ms, ms + PATIENCE_MS);
}

static void test_silent_endpoint_times_out(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	hold_answers(f);
	submit_any(f, &got, f->url, "{}", NULL, 60, NULL);
	collect(f, &got);
	expect_timed_out(f, &got, 60);
	/* and the answer that may still come has nowhere to go */
	assert_true(http_server_wait_open(f->server, 0));
	assert_int_equal(stats_of(f, f->url).timed_out, 1);
	assert_int_equal(stats_of(f, f->url).in_flight, 0);
	clear(&got);
}

static void test_trickling_endpoint_times_out(void **state)
{
	const struct http_answer a = { .body = bytes("0123456789"),
				       .drip_bytes = 1,
				       .chunk_delay_ms = 30 };
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	http_server_answer(f->server, &a);
	submit_any(f, &got, f->url, "{}", NULL, 100, NULL);
	collect(f, &got);
	expect_timed_out(f, &got, 100);
	assert_int_equal(got.len, 0);
	clear(&got);
	/* but as slow as that it may be */
	call(f, &got, f->url);
	assert_int_equal(got.error, 0);
	assert_string_equal(got.body, "0123456789");
	clear(&got);
}

static void test_call_in_the_queue_times_out(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got slow, queued;

	opts.max_connections = 1;
	configure(f, &opts);
	hold_answers(f);
	submit(f, &slow);
	submit_any(f, &queued, f->url, "{}", NULL, 60, NULL);
	collect(f, &queued);
	expect_timed_out(f, &queued, 60);
	assert_false(slow.done);
	assert_int_equal(stats_of(f, f->url).queued, 0);
	answer_at_once(f);
	collect(f, &slow);
	assert_int_equal(slow.error, 0);
	assert_int_equal(counts_of(f).requests, 1);
	clear(&slow);
	clear(&queued);
}

/* A listener whose backlog is full: connecting to it takes for ever. */
struct deaf {
	int fd, fillers[4];
	char url[64];
};

static void deaf_open(struct deaf *d)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	size_t i;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	d->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(d->fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(d->fd, 0), 0);
	assert_int_equal(getsockname(d->fd, (struct sockaddr *)&a, &len), 0);
	snprintf(d->url, sizeof(d->url), "http://127.0.0.1:%u/",
		 ntohs(a.sin_port));
	for (i = 0; i < COUNT(d->fillers); i++) {
		d->fillers[i] = socket(
			AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(d->fillers[i], (struct sockaddr *)&a, len))
			assert_int_equal(errno, EINPROGRESS);
	}
}

static void deaf_close(struct deaf *d)
{
	size_t i;

	for (i = 0; i < COUNT(d->fillers); i++)
		close(d->fillers[i]);
	close(d->fd);
}

static void test_connecting_times_out(void **state)
{
	struct fixture *f = *state;
	struct deaf deaf;
	struct got got;

	deaf_open(&deaf);
	configure_url(f, deaf.url);
	submit_any(f, &got, deaf.url, "{}", NULL, 60, NULL);
	collect(f, &got);
	expect_timed_out(f, &got, 60);
	clear(&got);
	deaf_close(&deaf);
}

static void wait_asked(void)
{
	struct timespec end;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&names.lock);
	while (!names.asked && !err)
		err = pthread_cond_timedwait(&names.changed, &names.lock, &end);
	names.asked = 0;
	pthread_mutex_unlock(&names.lock);
	assert_int_equal(err, 0);
}

static void let_names_go(bool go)
{
	pthread_mutex_lock(&names.lock);
	names.let_go = go;
	pthread_cond_broadcast(&names.changed);
	pthread_mutex_unlock(&names.lock);
}

static void test_hanging_name_resolver_delays_nobody(void **state)
{
	struct fixture *f = *state;
	const struct pool_endpoint_opts opts[] = {
		options("http://some.hang/"),
		options(f->url),
	};
	int64_t before = pool_now_ms();
	struct got hanging, other;

	let_names_go(false);
	assert_int_equal(pool_configure(f->pool, opts, 2), 0);
	submit_any(f, &hanging, "http://some.hang/", "{}", NULL, 1000, NULL);
	wait_asked();
	while (!hanging.done) {
		call_ok(f);
		pool_collect(f->pool);
	}
	assert_in_range(hanging.elapsed_ms, 1000, PATIENCE_MS);
	assert_int_equal(hanging.error, -ETIMEDOUT);
	submit_to(f, &other, "http://some.hang/");
	wait_asked();
	pool_stop(f->pool, 0);
	assert_int_equal(other.error, -ECANCELED);
	assert_in_range(pool_now_ms() - before, 1000, PATIENCE_MS);
	let_names_go(true);
	clear(&hanging);
	clear(&other);
}

static void test_unknown_name(void **state)
{
	struct fixture *f = *state;
	struct got got;

	let_names_go(true);
	configure_url(f, "http://some.hang/");
	call(f, &got, "http://some.hang/");
	assert_int_equal(got.error, -ECONNREFUSED);
	assert_non_null(strstr(got.text, "some.hang"));
	clear(&got);
}

/*
 * Queue and lanes
 */

static void test_full_queue_refuses_the_newest(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got[4];
	size_t i;

	opts.max_connections = 1;
	opts.max_queue = 2;
	configure(f, &opts);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		submit(f, &got[i]);
	collect(f, &got[3]);
	assert_int_equal(got[3].error, -EBUSY);
	assert_int_equal(stats_of(f, f->url).refused, 1);
	assert_int_equal(stats_of(f, f->url).queued, 2);
	answer_at_once(f);
	collect_all(f, got, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(got[i].error, 0);
		assert_int_equal(got[i].order, i + 1);
	}
	clear_all(got, COUNT(got));
}

static void test_no_queue_at_all(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got a, b;

	opts.max_connections = 1;
	opts.max_queue = 0;
	configure(f, &opts);
	hold_answers(f);
	submit(f, &a);
	call(f, &b, f->url);
	assert_int_equal(b.error, -EBUSY);
	answer_at_once(f);
	collect(f, &a);
	assert_int_equal(a.error, 0);
	clear(&a);
	clear(&b);
}

static void test_lane_counts_in_the_queue(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got[4];
	size_t i;

	opts.max_queue = 2;
	configure(f, &opts);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		submit_in_lane(f, &got[i], "joe", "{}");
	collect(f, &got[3]);
	assert_int_equal(got[3].error, -EBUSY);
	answer_at_once(f);
	collect_all(f, got, 3);
	clear_all(got, COUNT(got));
}

static void expect_bodies(struct fixture *f, unsigned from,
			  const char *const *bodies, size_t n)
{
	const struct http_request *req;
	size_t i;

	for (i = 0; i < n; i++) {
		req = http_server_request(f->server, from + (unsigned)i);
		assert_non_null(req);
		assert_string_equal(req->body, bodies[i]);
	}
}

static void test_queue_is_first_in_first_out(void **state)
{
	static const char *const expected[] = { "0", "1", "2", "3", "4" };
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got[5];
	size_t i;

	opts.max_connections = 1;
	configure(f, &opts);
	for (i = 0; i < COUNT(got); i++)
		submit_any(f, &got[i], f->url, expected[i], NULL, PATIENCE_MS,
			   NULL);
	collect_all(f, got, COUNT(got));
	expect_bodies(f, 0, expected, COUNT(expected));
	clear_all(got, COUNT(got));
}

static void test_lane_is_one_at_a_time_and_in_order(void **state)
{
	static const char *const expected[] = { "0", "1", "2", "3", "4", "5" };
	struct fixture *f = *state;
	struct got got[6];
	size_t i;

	configure_url(f, f->url);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		submit_in_lane(f, &got[i], "joe", expected[i]);
	assert_true(http_server_wait_held(f->server, 1));
	wait_queued(f, f->url, 5);
	assert_int_equal(counts_of(f).requests, 1);
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	expect_bodies(f, 0, expected, COUNT(expected));
	assert_int_equal(counts_of(f).most_unanswered, 1);
	assert_int_equal(counts_of(f).opened, 1);
	clear_all(got, COUNT(got));
}

static void test_lanes_run_beside_each_other(void **state)
{
	struct fixture *f = *state;
	struct got joe[3], ann[3], none[2];
	size_t i;

	configure_url(f, f->url);
	hold_answers(f);
	for (i = 0; i < COUNT(joe); i++) {
		submit_in_lane(f, &joe[i], "joe", "j");
		submit_in_lane(f, &ann[i], "ann", "a");
	}
	for (i = 0; i < COUNT(none); i++)
		submit(f, &none[i]);
	/* one of each lane, and all that have none */
	assert_true(http_server_wait_held(f->server, 4));
	wait_queued(f, f->url, 4);
	answer_at_once(f);
	collect_all(f, joe, COUNT(joe));
	collect_all(f, ann, COUNT(ann));
	collect_all(f, none, COUNT(none));
	clear_all(joe, COUNT(joe));
	clear_all(ann, COUNT(ann));
	clear_all(none, COUNT(none));
}

static void test_lane_goes_on_after_a_failure(void **state)
{
	const struct http_answer drop = { .drop = true };
	struct fixture *f = *state;
	struct got got[3];

	configure_url(f, f->url);
	http_server_push(f->server, &drop);
	hold_answers(f);
	submit_in_lane(f, &got[0], "joe", "0");
	submit_any(f, &got[1], f->url, "1", "joe", 60, NULL);
	submit_in_lane(f, &got[2], "joe", "2");
	collect(f, &got[1]);
	assert_int_equal(got[0].error, -EIO);
	assert_int_equal(got[1].error, -ETIMEDOUT);
	answer_at_once(f);
	collect(f, &got[2]);
	assert_int_equal(got[2].error, 0);
	clear_all(got, COUNT(got));
}

static void test_waiting_in_a_lane_costs_no_time(void **state)
{
	const struct http_answer slow = { .delay_ms = 100 };
	struct fixture *f = *state;
	struct got got[6];
	size_t i;

	configure_url(f, f->url);
	http_server_answer(f->server, &slow);
	for (i = 0; i < COUNT(got); i++)
		submit_any(f, &got[i], f->url, "{}", "joe", 500, NULL);
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(got); i++)
		assert_int_equal(got[i].error, 0);
	assert_in_range(got[5].elapsed_ms, 600, 6000);
	clear_all(got, COUNT(got));
}

static void test_lanes_of_two_endpoints_are_two(void **state)
{
	struct fixture *f = *state;
	const char *other = http_server_url(f->server, "/other");
	const struct pool_endpoint_opts opts[] = { options(f->url),
						   options(other) };
	struct got a, b;

	assert_int_equal(pool_configure(f->pool, opts, 2), 0);
	hold_answers(f);
	submit_in_lane(f, &a, "joe", "{}");
	submit_any(f, &b, other, "{}", "joe", PATIENCE_MS, NULL);
	assert_true(http_server_wait_held(f->server, 2));
	answer_at_once(f);
	collect(f, &a);
	collect(f, &b);
	clear(&a);
	clear(&b);
}

/* Every byte of a key counts, and its length. */
static void test_lane_keys_are_bytes(void **state)
{
	static const struct {
		const char *key;
		size_t len;
	} keys[] = { { "a\0b", 3 }, { "a\0c", 3 }, { "a", 1 }, { "", 0 } };
	struct fixture *f = *state;
	struct got got[COUNT(keys)];
	size_t i;

	configure_url(f, f->url);
	hold_answers(f);
	for (i = 0; i < COUNT(keys); i++) {
		struct pool_request req = { .endpoint = f->url,
					    .timeout_ms = PATIENCE_MS,
					    .max_age_ms = PATIENCE_MS,
					    .lane = keys[i].key,
					    .lane_len = keys[i].len };

		got[i] = (struct got){ .f = f };
		assert_int_equal(
			pool_submit(f->pool, &req, note_reply, &got[i], NULL),
			0);
	}
	assert_true(http_server_wait_held(f->server, COUNT(keys)));
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	clear_all(got, COUNT(got));
}

static void test_many_calls_in_many_lanes(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	static struct got got[2000];
	char lane[16];
	size_t i;

	opts.max_connections = 20;
	configure(f, &opts);
	for (i = 0; i < COUNT(got); i++) {
		snprintf(lane, sizeof(lane), "client-%zu", i % 50);
		submit_in_lane(f, &got[i], lane, "{}");
	}
	collect_all(f, got, COUNT(got));
	for (i = 0; i < COUNT(got); i++) {
		assert_int_equal(got[i].error, 0);
		if (i >= 50)
			assert_true(got[i].order > got[i - 50].order);
	}
	assert_in_range(counts_of(f).most_open, 1, 20);
	assert_int_equal(stats_of(f, f->url).ok, COUNT(got));
	clear_all(got, COUNT(got));
}

/*
 * Waiting and collecting
 */

static void test_wait_runs_that_call_alone(void **state)
{
	struct fixture *f = *state;
	struct got first, mine;
	struct pool_call *call;

	configure_url(f, f->url);
	submit(f, &first);
	assert_true(http_server_wait_requests(f->server, 1));
	wait_for_wake(f); /* its answer is there */
	call = submit_to(f, &mine, f->url);
	assert_int_equal(
		pool_wait(f->pool, call, pool_now_us() + PATIENCE_MS * 1000),
		0);
	assert_true(mine.done);
	assert_int_equal(mine.error, 0);
	assert_false(first.done);
	assert_int_equal(pool_collect(f->pool), 0);
	assert_true(first.done);
	clear(&first);
	clear(&mine);
}

static void test_wait_for_an_answer_that_is_there(void **state)
{
	struct fixture *f = *state;
	struct got got;
	struct pool_call *call;

	configure_url(f, f->url);
	call = submit_to(f, &got, f->url);
	wait_for_wake(f);
	assert_int_equal(pool_wait(f->pool, call, 0), 0);
	assert_int_equal(got.error, 0);
	clear(&got);
}

static void test_wait_ends_at_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct got got;
	struct pool_call *call;
	int64_t before = pool_now_us();

	configure_url(f, f->url);
	hold_answers(f);
	call = submit_to(f, &got, f->url);
	assert_int_equal(pool_wait(f->pool, call, before + 40000), -ETIMEDOUT);
	assert_in_range(pool_now_us() - before, 40000, 2000000);
	assert_false(got.done);
	assert_int_equal(pool_collect(f->pool), 1);
	/* the answer comes after all */
	answer_at_once(f);
	collect(f, &got);
	assert_int_equal(got.error, 0);
	assert_int_equal(pool_collect(f->pool), 0);
	clear(&got);
}

static void test_waited_for_answer_wakes_nobody(void **state)
{
	const struct http_answer a = { .delay_ms = 20 };
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	http_server_answer(f->server, &a);
	assert_int_equal(pool_wait(f->pool, submit_to(f, &got, f->url),
				   pool_now_us() + PATIENCE_MS * 1000),
			 0);
	let_dispatcher_pass(f);
	assert_int_equal(f->wakes, 0);
	clear(&got);
}

static void test_wakes_repeat_until_collected(void **state)
{
	struct fixture *f = *state;
	struct got got;
	unsigned wakes;

	configure_url(f, f->url);
	let_dispatcher_pass(f);
	assert_int_equal(f->wakes, 0);
	submit(f, &got);
	while (f->wakes < 5)
		wait_for_wake(f);
	assert_false(got.done);
	pool_collect(f->pool);
	assert_true(got.done);
	let_dispatcher_pass(f);
	wakes = f->wakes;
	let_pass(20);
	assert_int_equal(f->wakes, wakes);
	clear(&got);
}

/* About once a millisecond, and not as fast as it can. */
static void test_wakes_are_no_storm(void **state)
{
	struct fixture *f = *state;
	struct got got;
	int64_t before;

	configure_url(f, f->url);
	submit(f, &got);
	wait_for_wake(f);
	before = pool_now_ms();
	f->wakes = 0;
	let_pass(50);
	assert_in_range(f->wakes, 1, pool_now_ms() - before + 5);
	pool_collect(f->pool);
	clear(&got);
}

static void test_collect_tells_how_many_are_open(void **state)
{
	struct fixture *f = *state;
	struct got a, b;

	configure_url(f, f->url);
	hold_answers(f);
	submit(f, &a);
	submit(f, &b);
	assert_int_equal(pool_collect(f->pool), 2);
	assert_true(http_server_wait_held(f->server, 2));
	answer_at_once(f);
	collect(f, &a);
	collect(f, &b);
	assert_int_equal(pool_collect(f->pool), 0);
	clear(&a);
	clear(&b);
}

struct nested {
	struct fixture *f;
	struct got submitted, waited;
	struct pool_call *call;
};

static void submit_and_wait(const struct pool_reply *r, void *arg)
{
	struct nested *n = arg;

	assert_int_equal(r->error, 0);
	submit(n->f, &n->submitted);
	assert_int_equal(pool_wait(n->f->pool, n->call,
				   pool_now_us() + PATIENCE_MS * 1000),
			 0);
}

static void test_done_may_submit_and_wait(void **state)
{
	struct fixture *f = *state;
	struct nested n = { .f = f };
	struct pool_request req = { .endpoint = f->url,
				    .timeout_ms = PATIENCE_MS,
				    .max_age_ms = PATIENCE_MS };

	configure_url(f, f->url);
	assert_int_equal(pool_submit(f->pool, &req, submit_and_wait, &n, NULL),
			 0);
	n.call = submit_to(f, &n.waited, f->url);
	assert_true(http_server_wait_requests(f->server, 2));
	collect(f, &n.submitted);
	assert_true(n.waited.done);
	clear(&n.submitted);
	clear(&n.waited);
}

static void test_mail_goes_both_ways(void **state)
{
	struct fixture *f = *state;
	struct letter l = { .mail = { .receive = receive_letter } };

	l.back = pool_owner_box(f->pool);
	assert_int_equal(mailbox_post(pool_loop_box(f->pool), &l.mail), 0);
	while (!l.received) {
		wait_for_wake(f);
		pool_collect(f->pool);
	}
	assert_false(pthread_equal(l.by, pthread_self()));
}

/* The wake comes from the dispatcher, who first has to be told. */
static void test_mail_of_other_threads_wakes_the_owner(void **state)
{
	struct fixture *f = *state;
	struct letter l = { .mail = { .receive = receive_letter } };

	assert_int_equal(mailbox_post(pool_owner_box(f->pool), &l.mail), 0);
	wait_for_wake(f);
	pool_collect(f->pool);
	assert_true(l.received);
}

/*
 * Configuration
 */

static void test_removed_endpoint_finishes_its_calls(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct pool_endpoint_stats stats;
	struct got sent, queued, lane, late;

	opts.max_connections = 1;
	configure(f, &opts);
	hold_answers(f);
	submit_in_lane(f, &sent, "joe", "0");
	submit_in_lane(f, &lane, "joe", "1");
	submit(f, &queued);
	assert_true(http_server_wait_held(f->server, 1));
	assert_int_equal(pool_configure(f->pool, NULL, 0), 0);
	call(f, &late, f->url);
	assert_int_equal(late.error, -ENOENT);
	assert_int_equal(pool_get_stats(f->pool, f->url, &stats), -ENOENT);
	answer_at_once(f);
	collect(f, &sent);
	collect(f, &queued);
	collect(f, &lane);
	assert_int_equal(sent.error, 0);
	assert_int_equal(queued.error, 0);
	assert_int_equal(lane.error, 0);
	/* and then its connection goes, without waiting for idle_ms */
	assert_true(http_server_wait_open(f->server, 0));
	clear(&sent);
	clear(&queued);
	clear(&lane);
	clear(&late);
}

static void test_endpoint_that_comes_back_is_the_same(void **state)
{
	struct fixture *f = *state;
	struct got first, second;

	configure_url(f, f->url);
	hold_answers(f);
	submit_in_lane(f, &first, "joe", "0");
	assert_true(http_server_wait_held(f->server, 1));
	assert_int_equal(pool_configure(f->pool, NULL, 0), 0);
	configure_url(f, f->url);
	submit_in_lane(f, &second, "joe", "1");
	/* still in the lane that the first call keeps */
	wait_queued(f, f->url, 1);
	answer_at_once(f);
	collect(f, &first);
	collect(f, &second);
	assert_int_equal(second.error, 0);
	assert_int_equal(counts_of(f).opened, 1);
	clear(&first);
	clear(&second);
}

static void test_unchanged_endpoint_keeps_its_connections(void **state)
{
	struct fixture *f = *state;
	const struct pool_endpoint_opts opts[] = {
		options(http_server_url(f->server, "/a")),
		options(f->url),
		options(http_server_url(f->server, "/z")),
	};
	struct got got;

	configure_url(f, f->url);
	call_ok(f);
	assert_int_equal(pool_configure(f->pool, opts, COUNT(opts)), 0);
	call_ok(f);
	assert_int_equal(counts_of(f).opened, 1);
	call(f, &got, opts[0].url);
	assert_int_equal(got.error, 0);
	clear(&got);
	call(f, &got, opts[2].url);
	assert_int_equal(got.error, 0);
	clear(&got);
	assert_int_equal(stats_of(f, f->url).ok, 2);
	assert_int_equal(counts_of(f).opened, 3);
}

static void test_new_limits_take_effect(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got got[3];
	size_t i;

	opts.max_connections = 1;
	configure(f, &opts);
	hold_answers(f);
	for (i = 0; i < COUNT(got); i++)
		submit(f, &got[i]);
	wait_queued(f, f->url, 2);
	opts.max_connections = 3;
	opts.idle_ms = 20;
	opts.max_reply = 1;
	configure(f, &opts);
	assert_true(http_server_wait_held(f->server, 3));
	answer_at_once(f);
	collect_all(f, got, COUNT(got));
	assert_true(http_server_wait_open(f->server, 0));
	clear_all(got, COUNT(got));
	answer_body(f, "12");
	call(f, &got[0], f->url);
	assert_int_equal(got[0].error, -EFBIG);
	clear(&got[0]);
}

static void test_bad_configuration_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts[2] = { options("http://127.0.0.1/"),
					      options("http://127.0.0.1/") };

	configure_url(f, f->url);
	assert_int_equal(pool_configure(f->pool, opts, 2), -EINVAL);
	opts[1].url = "ftp://h/";
	assert_int_equal(pool_configure(f->pool, opts, 2), -EINVAL);
	opts[0].max_connections = 0;
	assert_int_equal(pool_configure(f->pool, opts, 1), -EINVAL);
	call_ok(f);
}

struct meddler {
	struct fixture *f;
	atomic_bool stop;
};

static void *meddle(void *arg)
{
	struct meddler *m = arg;
	struct pool_endpoint_opts opts = options(m->f->url);
	struct pool_endpoint_stats stats;
	unsigned i;

	for (i = 0; !m->stop; i++) {
		opts.max_connections = 1 + i % 5;
		if (pool_configure(m->f->pool, &opts, 1) ||
		    !let_it_follow(m->f))
			return m;
		pool_get_stats(m->f->pool, m->f->url, &stats);
	}
	return NULL;
}

static void test_other_threads_may_configure_and_look(void **state)
{
	struct fixture *f = *state;
	struct meddler m = { .f = f };
	static struct got got[300];
	pthread_t thread;
	void *failed;
	size_t i;

	configure_url(f, f->url);
	assert_int_equal(pthread_create(&thread, NULL, meddle, &m), 0);
	for (i = 0; i < COUNT(got); i++)
		submit(f, &got[i]);
	collect_all(f, got, COUNT(got));
	m.stop = true;
	pthread_join(thread, &failed);
	assert_null(failed);
	for (i = 0; i < COUNT(got); i++)
		assert_int_equal(got[i].error, 0);
	clear_all(got, COUNT(got));
}

static void expect_url(const char *url, const char *why)
{
	char text[128] = "";
	int r = pool_check_url(url, text);

	if (!why) {
		assert_int_equal(r, 0);
		return;
	}
	assert_int_equal(r, -EINVAL);
	assert_non_null(strstr(text, why));
	assert_null(strstr(text, "secret"));
}

static void test_check_url(void **state)
{
	(void)state;
	expect_url("http://localhost", NULL);
	expect_url("HTTPS://joe:secret@example.org:8443/a/../b?c=d#e", NULL);
	expect_url("localhost:8080/x?to=ftp://y", NULL);
	expect_url("http://[::1]:80/", NULL);
	expect_url("http://h/\xc3\xbc", NULL);
	expect_url("", "empty");
	expect_url("http://joe:secret@h/a b", "a space at byte 22");
	expect_url("http://h/\t", "a control character at byte 10");
	expect_url("ftp://joe:secret@h/", "http or https");
	expect_url("unix:///run/app.sock", "http or https");
	expect_url("http://", "no host");
	expect_url("http:///path", "no host");
	expect_url("http://:80/", "no host");
	expect_url("/path", "no host");
	expect_url("http:/localhost", "no port");
	expect_url("http://h:/", "no port");
	expect_url("http://h:0/", "1 to 65535");
	expect_url("http://h:65536/", "1 to 65535");
	expect_url("http://h:x/", "1 to 65535");
	expect_url("http://[::1", "IPv6");
}

/*
 * Start and stop
 */

static void test_stop_ends_every_call(void **state)
{
	struct fixture *f = *state;
	struct pool_endpoint_opts opts = options(f->url);
	struct got sent[2], queued, lane, abandoned, late;
	struct pool_call *call;

	opts.max_connections = 3;
	configure(f, &opts);
	hold_answers(f);
	call = submit_to(f, &abandoned, f->url);
	assert_int_equal(pool_wait(f->pool, call, 0), -ETIMEDOUT);
	submit(f, &sent[0]);
	submit_in_lane(f, &sent[1], "joe", "0");
	submit_in_lane(f, &lane, "joe", "1");
	submit(f, &queued);
	assert_true(http_server_wait_held(f->server, 3));
	pool_stop(f->pool, 0);
	assert_int_equal(sent[0].error, -ECANCELED);
	assert_int_equal(sent[1].error, -ECANCELED);
	assert_int_equal(lane.error, -ECANCELED);
	assert_int_equal(queued.error, -ECANCELED);
	assert_int_equal(pool_collect(f->pool), 0);
	assert_int_equal(submit_any(f, &late, f->url, "{}", NULL, 100, NULL),
			 -ESHUTDOWN);
	assert_false(late.done);
	assert_int_equal(pool_configure(f->pool, &opts, 1), -ESHUTDOWN);
	assert_int_equal(pool_start(f->pool), -EALREADY);
	assert_true(http_server_wait_open(f->server, 0));
	pool_stop(f->pool, 0);
	clear_all(sent, 2);
	clear(&lane);
	clear(&queued);
	clear(&abandoned);
}

static void test_stop_receives_what_lies_in_the_boxes(void **state)
{
	struct fixture *f = *state;
	struct letter to_owner = { .mail = { .receive = receive_letter } };
	struct letter to_loop = { .mail = { .receive = receive_letter } };

	assert_int_equal(mailbox_post(pool_owner_box(f->pool), &to_owner.mail),
			 0);
	assert_int_equal(mailbox_post(pool_loop_box(f->pool), &to_loop.mail),
			 0);
	pool_stop(f->pool, 0);
	assert_true(to_owner.received);
	assert_true(to_loop.received);
	assert_int_equal(mailbox_post(pool_owner_box(f->pool), &to_owner.mail),
			 -ESHUTDOWN);
}

static void test_answered_calls_keep_their_answer_at_stop(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	submit(f, &got);
	wait_for_wake(f);
	pool_stop(f->pool, 0);
	assert_int_equal(got.error, 0);
	assert_int_equal(got.status, 200);
	clear(&got);
}

static void test_calls_wait_for_the_start(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	submit(f, &got);
	assert_int_equal(pool_collect(f->pool), 1);
	assert_int_equal(pool_start(f->pool), 0);
	collect(f, &got);
	assert_int_equal(got.error, 0);
	clear(&got);
}

static void test_stop_without_start(void **state)
{
	struct fixture *f = *state;
	struct got got;

	configure_url(f, f->url);
	submit(f, &got);
	pool_stop(f->pool, 0);
	assert_int_equal(got.error, -ECANCELED);
	clear(&got);
	pool_destroy(NULL);
}

static void count_end(const struct pool_reply *r, void *arg)
{
	unsigned *ended = arg;

	(void)r;
	(*ended)++;
}

static void test_dispatcher_that_cannot_keep_up(void **state)
{
	struct fixture *f = *state;
	const struct pool_request req = { .endpoint = f->url,
					  .timeout_ms = 100,
					  .max_age_ms = 100 };
	unsigned ended = 0;
	unsigned i;

	/* nobody empties the box */
	for (i = 0; i < BOX_CAPACITY + 3; i++)
		assert_int_equal(
			pool_submit(f->pool, &req, count_end, &ended, NULL),
			i < BOX_CAPACITY ? 0 : -EBUSY);
	assert_int_equal(pool_collect(f->pool), BOX_CAPACITY);
	/* but the configuration gets through */
	configure_url(f, f->url);
	pool_stop(f->pool, 0);
	assert_int_equal(ended, BOX_CAPACITY);
}

static uint64_t blocked_signals(const char *task)
{
	unsigned long long mask = 0;
	char path[64], line[256];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", task);
	status = fopen(path, "r");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		sscanf(line, "SigBlk: %llx", &mask);
	fclose(status);
	return mask;
}

static bool is_named(const char *task, const char *name)
{
	char path[64], line[64] = "";
	FILE *comm;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", task);
	comm = fopen(path, "r");
	if (!comm)
		return false;
	if (!fgets(line, sizeof(line), comm))
		line[0] = '\0';
	fclose(comm);
	line[strcspn(line, "\n")] = '\0';
	return !strcmp(line, name);
}

/* The dispatcher's task, or "". */
static void find_dispatcher(char ret[static 32])
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;

	assert_non_null(tasks);
	ret[0] = '\0';
	while ((task = readdir(tasks))) {
		if (is_named(task->d_name, "webhooks"))
			snprintf(ret, 32, "%.31s", task->d_name);
	}
	closedir(tasks);
}

/* A thread that was joined is still listed for a moment. */
static bool dispatcher_is_gone(void)
{
	char task[32];

	find_dispatcher(task);
	return !*task;
}

static void test_dispatcher_blocks_signals_and_leaves(void **state)
{
	static const int signals[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1,
				       SIGUSR2, SIGPIPE, SIGALRM, SIGTERM,
				       SIGCHLD, SIGURG,  SIGIO };
	struct fixture *f = *state;
	uint64_t all = 0;
	char task[32];
	size_t i;

	configure_url(f, f->url);
	call_ok(f);
	find_dispatcher(task);
	assert_string_not_equal(task, "");
	for (i = 0; i < COUNT(signals); i++)
		all |= 1ull << (signals[i] - 1);
	assert_int_equal(blocked_signals(task) & all, all);
	assert_int_equal(blocked_signals("../../self") & all, 0);
	pool_stop(f->pool, 0);
	WAIT_UNTIL(dispatcher_is_gone());
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)
#define TEST_UNSTARTED(name)                                                   \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_request_is_as_in_the_contract),
		TEST(test_hook_header_follows_the_call),
		TEST(test_large_body_goes_without_asking),
		TEST(test_userinfo_becomes_basic_auth),
		TEST(test_url_without_scheme_and_path),
		TEST(test_proxies_of_the_environment_are_ignored),
		TEST(test_reply_is_handed_over),
		TEST(test_reply_without_headers_or_body),
		TEST(test_age_is_a_number_or_nothing),
		TEST(test_headers_and_trailers_are_bounded),
		TEST(test_headers_of_the_final_response_alone_count),
		TEST(test_too_many_cache_controls_cache_nothing),
		TEST(test_odd_but_good_replies),
		TEST(test_bad_replies_are_errors),
		TEST(test_redirects_are_not_followed),
		TEST(test_reply_as_long_as_allowed),
		TEST(test_longer_reply_is_an_error),
		TEST(test_refused_connection),
		TEST(test_unknown_endpoint),
		TEST(test_calls_in_a_row_share_a_connection),
		TEST(test_never_more_than_max_connections),
		TEST(test_as_many_in_parallel_as_allowed),
		TEST(test_idle_connection_is_closed),
		TEST(test_idle_connection_of_holds_is_closed),
		TEST(test_idle_endpoint_holds_no_descriptors),
		TEST(test_idle_connections_close_beside_a_used_one),
		TEST(test_closed_idle_connections_are_replaced),
		TEST(test_slow_answer_outlives_idle_ms),
		TEST(test_connection_closed_in_between),
		TEST(test_used_connection_that_ends_unanswered),
		TEST(test_new_connection_that_ends_unanswered),
		TEST(test_connection_close_is_heeded),
		TEST(test_unasked_bytes_are_no_answer),
		TEST(test_bytes_beyond_the_length_are_no_answer),
		TEST(test_every_address_is_tried),
		TEST(test_silent_endpoint_times_out),
		TEST(test_trickling_endpoint_times_out),
		TEST(test_call_in_the_queue_times_out),
		TEST(test_connecting_times_out),
		TEST(test_hanging_name_resolver_delays_nobody),
		TEST(test_unknown_name),
		TEST(test_full_queue_refuses_the_newest),
		TEST(test_no_queue_at_all),
		TEST(test_lane_counts_in_the_queue),
		TEST(test_queue_is_first_in_first_out),
		TEST(test_lane_is_one_at_a_time_and_in_order),
		TEST(test_lanes_run_beside_each_other),
		TEST(test_lane_goes_on_after_a_failure),
		TEST(test_waiting_in_a_lane_costs_no_time),
		TEST(test_lanes_of_two_endpoints_are_two),
		TEST(test_lane_keys_are_bytes),
		TEST(test_many_calls_in_many_lanes),
		TEST(test_wait_runs_that_call_alone),
		TEST(test_wait_for_an_answer_that_is_there),
		TEST(test_wait_ends_at_the_deadline),
		TEST(test_waited_for_answer_wakes_nobody),
		TEST(test_wakes_repeat_until_collected),
		TEST(test_wakes_are_no_storm),
		TEST(test_collect_tells_how_many_are_open),
		TEST(test_done_may_submit_and_wait),
		TEST(test_mail_goes_both_ways),
		TEST(test_mail_of_other_threads_wakes_the_owner),
		TEST(test_removed_endpoint_finishes_its_calls),
		TEST(test_endpoint_that_comes_back_is_the_same),
		TEST(test_unchanged_endpoint_keeps_its_connections),
		TEST(test_new_limits_take_effect),
		TEST(test_bad_configuration_changes_nothing),
		TEST(test_other_threads_may_configure_and_look),
		TEST_UNSTARTED(test_check_url),
		TEST(test_stop_ends_every_call),
		TEST(test_stop_receives_what_lies_in_the_boxes),
		TEST(test_answered_calls_keep_their_answer_at_stop),
		TEST_UNSTARTED(test_calls_wait_for_the_start),
		TEST_UNSTARTED(test_stop_without_start),
		TEST_UNSTARTED(test_dispatcher_that_cannot_keep_up),
		TEST(test_dispatcher_blocks_signals_and_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
