#include "pool/transfer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pool/call.h"
#include "pool/explain.h"
#include "pool/loop.h"
#include "pool/multi.h"
#include "pool/transport.h"

#ifndef VMQ_WEBHOOKS_VERSION
#define VMQ_WEBHOOKS_VERSION "0.1"
#endif
#define USER_AGENT "vmq_webhooks/" VMQ_WEBHOOKS_VERSION

/* libcurl's own limit, should our timer ever be late by this much. */
#define BACKSTOP_MS 2000

/* More Cache-Control headers than this are somebody's mischief: finding one
 * takes libcurl a walk over all headers. */
#define MAX_CACHE_CONTROLS 32

/* Of headers and trailers, in bytes. libcurl bounds the former alone, by as
 * much. */
#define HEAD_MAX (300 * 1024)

/* A name without a value keeps libcurl from sending its own. */
static const char *const fixed_headers[] = {
	"Accept:",
	"Expect:",
	"Content-Type: application/json",
};

enum {
	FIXED_HEADERS = sizeof(fixed_headers) / sizeof(fixed_headers[0])
};

struct transfer {
	CURL *easy;
	const struct transport *way;
	struct multi *multi;
	struct claim claim;
	struct transfer *next; /* in a list */
	/* libcurl's list, made of our own nodes: the fixed ones first, with
	 * the Host if it is ours to say, then those of the call, whose texts
	 * are the call's. */
	struct curl_slist headers[FIXED_HEADERS + 1 + POOL_HEADERS_MAX];
	size_t fixed;
	struct pool_call *call;
	uint64_t max_reply;
	uint64_t head;    /* bytes of headers and trailers so far */
	bool has_headers; /* all of the final response's */
	bool sent;        /* or about to be */
	/* Of HTTP/2: the answer was complete before the body went. */
	bool answered_early;
	int64_t ready_us, replied_us; /* it could go; the reply began; or 0 */
	int error; /* why a callback of ours stopped libcurl, or 0 */
	char text[CURL_ERROR_SIZE];
};

/*
 * Callbacks
 */

/* libcurl takes a connection's end for that of the headers, too; and trailers
 * without end, as long as it is let. */
static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	long status = 0;

	if (!t->replied_us)
		t->replied_us = loop_clock_us();
	if (*line == '\r' || *line == '\n') {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status >= 200)
			t->has_headers = true;
	}
	t->head += size * n;
	if (t->head > HEAD_MAX) {
		t->error = -EFBIG;
		return 0;
	}
	return size * n;
}

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	t->error = call_add_body(t->call, data, size * n, t->max_reply);
	return t->error ? 0 : size * n;
}

static int note_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct transfer *t = arg;

	(void)purpose;
	return multi_socket_opened(t->multi, &t->claim, fd) ? CURL_SOCKOPT_ERROR
							    : CURL_SOCKOPT_OK;
}

/* A number after `mark`; or -1. */
static int64_t number_after(const char *text, const char *mark)
{
	const char *at = strstr(text, mark);
	char *end;
	long long n;

	if (!at)
		return -1;
	at += strlen(mark);
	n = strtoll(at, &end, 10);
	return end != at && n >= 0 && n <= UINT32_MAX ? n : -1;
}

/*
 * Of HTTP/2 libcurl tells in its log alone which stream a request is, and that
 * the server goes away: what it has refused is to be sent again. And that it
 * failed to send, because the server had answered already, as it may (7.88).
 * A request that it repeats of its own accord is to have a connection of its
 * own: we may have to call it off, and others would suffer. The texts are
 * those of 7.88 and of 8. Not finding them costs no more than an error.
 */
static int read_log(CURL *easy, curl_infotype type, char *data, size_t len,
		    void *arg)
{
	struct transfer *t = arg;
	char text[128];
	int64_t n;

	if (type != CURLINFO_TEXT)
		return 0;
	snprintf(text, sizeof(text), "%.*s", (int)(len < 127 ? len : 127),
		 data);
	n = number_after(text, "Using Stream ID: ");
	if (n < 0 && strstr(text, "] OPENED stream"))
		n = number_after(text, "[HTTP/2] [");
	if (n >= 0)
		multi_note_stream(&t->claim, (uint32_t)n);
	if (!strncmp(text, "stream ", 7) && strstr(text, " closed"))
		t->answered_early = true;
	else if (strstr(text, "retrying a fresh connect"))
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	n = strstr(text, "eived GOAWAY") ? number_after(text, "last_stream=")
					 : -1;
	if (n >= 0)
		multi_note_end(t->multi, &t->claim, (uint32_t)n);
	return 0;
}

static int close_socket(void *arg, curl_socket_t fd)
{
	multi_socket_closed(arg, fd);
	return 0;
}

static long last_error(const struct transfer *t)
{
	long error = 0;

	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error);
	return error;
}

bool transfer_is_worn(const struct transfer *t)
{
	return last_error(t) != 0;
}

/* Whether a kept connection ended without taking the request. */
static bool is_unprocessed(const struct transfer *t)
{
	long error;

	if (t->claim.untouched || t->claim.refused)
		return true;
	if (!t->claim.is_kept_unix)
		return false;
	error = last_error(t);
	return error == EPIPE || error == ECONNRESET;
}

static int before_request(void *arg, char *remote_ip, char *local_ip,
			  int remote_port, int port)
{
	struct transfer *t = arg;

	(void)remote_ip;
	(void)local_ip;
	(void)remote_port;
	/* Where a kept connection ends without a reply libcurl would send the
	 * request again, on the next one. It may, if the first cannot have
	 * been processed. */
	if (t->sent && !is_unprocessed(t)) {
		t->error = -ECONNRESET;
	} else if (t->sent && transfer_is_worn(t)) {
		t->error = -ESTALE;
	} else {
		t->error = multi_claim(t->multi, &t->claim, port);
		t->sent = true;
		t->ready_us = loop_clock_us();
	}
	return t->error ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/*
 * Options
 */

static int from_code(CURLcode code)
{
	if (code == CURLE_OK)
		return 0;
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EIO;
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (!code)                                                     \
			code = curl_easy_setopt(t->easy, option, value);       \
	} while (0)

/* A POST that goes where its way leads and nowhere else. */
static int set_request(struct transfer *t)
{
	CURLcode code = CURLE_OK;

	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_USERAGENT, USER_AGENT);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	return from_code(code);
}

/* QUICK_EXIT: without it a hanging name resolver is waited for. */
static int set_behaviour(struct transfer *t)
{
	CURLcode code = CURLE_OK;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_NOPROGRESS, 1L);
	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_ERRORBUFFER, t->text);
	SET(CURLOPT_HEADERFUNCTION, take_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_VERBOSE, transport_may_multiplex(t->way) ? 1L : 0L);
	SET(CURLOPT_DEBUGFUNCTION, read_log);
	SET(CURLOPT_DEBUGDATA, t);
	SET(CURLOPT_SOCKOPTFUNCTION, note_socket);
	SET(CURLOPT_SOCKOPTDATA, t);
	/* of the connection, which outlives the transfer */
	SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	SET(CURLOPT_CLOSESOCKETDATA, t->multi);
	SET(CURLOPT_PREREQFUNCTION, before_request);
	SET(CURLOPT_PREREQDATA, t);
	return from_code(code);
}

static void set_fixed_headers(struct transfer *t)
{
	const char *host = transport_host_header(t->way);
	size_t i;

	for (i = 0; i < FIXED_HEADERS; i++)
		t->headers[i].data = (char *)(uintptr_t)fixed_headers[i];
	if (host)
		t->headers[i++].data = (char *)(uintptr_t)host;
	t->fixed = i;
}

int transfer_create(struct transfer **ret, const struct transport *way,
		    struct multi *m)
{
	struct transfer *t;
	int r;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->way = way;
	t->multi = m;
	set_fixed_headers(t);
	t->easy = curl_easy_init();
	r = t->easy ? transport_apply(way, t->easy) : -ENOMEM;
	if (!r)
		r = set_request(t);
	if (!r)
		r = set_behaviour(t);
	if (r) {
		transfer_destroy(t);
		return r;
	}
	*ret = t;
	return 0;
}

void transfer_destroy(struct transfer *t)
{
	if (!t)
		return;
	curl_easy_cleanup(t->easy);
	free(t);
}

CURL *transfer_easy(const struct transfer *t)
{
	return t->easy;
}

struct claim *transfer_claim(struct transfer *t)
{
	return &t->claim;
}

struct transfer *transfer_of(CURL *easy)
{
	char *t = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
	return (struct transfer *)(void *)t;
}

struct pool_call *transfer_call(const struct transfer *t)
{
	return t->call;
}

/* The texts are only read: libcurl's type has them not const. */
static struct curl_slist *make_headers(struct transfer *t,
				       const struct pool_call *call)
{
	size_t n = t->fixed + call->headers_count;
	size_t i;

	for (i = 0; i < call->headers_count; i++)
		t->headers[t->fixed + i].data = call->headers[i];
	for (i = 0; i < n; i++)
		t->headers[i].next = i + 1 < n ? &t->headers[i + 1] : NULL;
	return t->headers;
}

static long seconds_to_keep(uint32_t idle_ms)
{
	/* the multi ends the rest of a connection; this is past that */
	return (long)(idle_ms / 1000) + 2;
}

static curl_off_t most_bytes(uint64_t max)
{
	/* 0 is libcurl's "any"; take_body() is there in any case */
	return max < INT64_MAX ? (curl_off_t)max : INT64_MAX;
}

int transfer_begin(struct transfer *t, struct pool_call *call,
		   const struct pool_endpoint_opts *opts)
{
	CURLcode code = CURLE_OK;
	long limit = call->timeout_ms < INT_MAX - BACKSTOP_MS
			     ? (long)call->timeout_ms + BACKSTOP_MS
			     : INT_MAX;

	SET(CURLOPT_HTTPHEADER, make_headers(t, call));
	/* without any, libcurl would ask a callback for some */
	SET(CURLOPT_POSTFIELDS, call->body ? call->body : "");
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
	SET(CURLOPT_TIMEOUT_MS, limit);
	SET(CURLOPT_MAXAGE_CONN, seconds_to_keep(opts->idle_ms));
	SET(CURLOPT_MAXFILESIZE_LARGE, most_bytes(opts->max_reply));
	t->max_reply = opts->max_reply;
	t->call = call;
	transfer_rewind(t);
	return from_code(code);
}

void transfer_rewind(struct transfer *t)
{
	call_reset_reply(t->call);
	t->has_headers = false;
	t->sent = false;
	t->answered_early = false;
	t->ready_us = t->replied_us = 0;
	t->head = 0;
	if (transport_may_multiplex(t->way))
		curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 0L);
	t->error = 0;
	t->text[0] = '\0';
}

void transfer_release(struct transfer *t)
{
	t->call = NULL;
}

/* What came on a connection whose peer took nothing of the request is no
 * answer to it. */
bool transfer_is_stale(const struct transfer *t, CURLcode result)
{
	return (result == CURLE_ABORTED_BY_CALLBACK && t->error == -ESTALE) ||
	       t->claim.untouched || (result && transfer_was_refused(t)) ||
	       ((result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR) &&
		is_unprocessed(t));
}

/* Who answers without the body has not processed it. libcurl has lost that
 * answer. */
bool transfer_was_refused(const struct transfer *t)
{
	return t->claim.refused || (t->answered_early && !t->has_headers);
}

bool transfer_reused(const struct transfer *t)
{
	long n = 1;

	curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &n);
	return n == 0;
}

/*
 * Times
 */

static uint64_t between(int64_t from_us, int64_t to_us)
{
	return to_us > from_us ? (uint64_t)(to_us - from_us) : 0;
}

bool transfer_is_answered(const struct transfer *t)
{
	return t->replied_us != 0;
}

void transfer_get_times(const struct transfer *t, int64_t sent_us,
			int64_t now_us, struct pool_times *ret)
{
	if (!t->ready_us)
		ret->connect_us = between(sent_us, now_us);
	else if (!transfer_reused(t))
		ret->connect_us = between(sent_us, t->ready_us);
	if (t->ready_us && t->replied_us)
		ret->first_byte_us = between(t->ready_us, t->replied_us);
}

/*
 * The reply
 */

/* Before the request could go, nothing was sent, whatever it was. */
static int error_of(const struct transfer *t, CURLcode result)
{
	if (t->error == -EFBIG || t->error == -ENOMEM)
		return t->error;
	switch (result) {
	case CURLE_OUT_OF_MEMORY:
		/* so it calls a line of more than 100 KB, too */
		return t->replied_us ? -EFBIG : -ENOMEM;
	case CURLE_FILESIZE_EXCEEDED:
		return -EFBIG;
	case CURLE_OPERATION_TIMEDOUT:
		return t->sent ? -ETIMEDOUT : -ECONNREFUSED;
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		return -ECONNREFUSED;
	default:
		return t->sent && !explain_is_refusal(result, t->text)
			       ? -EIO
			       : -ECONNREFUSED;
	}
}

static void explain_size(const struct transfer *t, CURLcode result,
			 char text[static EXPLAIN_LEN])
{
	if (t->head > HEAD_MAX)
		snprintf(text, EXPLAIN_LEN,
			 "the reply's headers and trailers exceed %d bytes",
			 HEAD_MAX);
	else if (result == CURLE_OUT_OF_MEMORY)
		snprintf(text, EXPLAIN_LEN,
			 "a header of the reply is too long, or there is no "
			 "memory for it");
	else
		snprintf(text, EXPLAIN_LEN, "the reply exceeds %llu bytes",
			 (unsigned long long)t->max_reply);
}

static void fail(struct transfer *t, CURLcode result)
{
	int error = error_of(t, result);
	char text[EXPLAIN_LEN];

	if (error == -EFBIG) {
		explain_size(t, result, text);
		call_fail(t->call, error, text);
	} else if (error == -ENOMEM) {
		call_fail(t->call, error, "out of memory");
	} else if (t->error == -ECONNRESET) {
		call_fail(t->call, error,
			  "the connection ended without a reply");
	} else {
		explain(t->way, result,
			t->text[0] ? t->text : curl_easy_strerror(result),
			t->sent, text);
		call_fail(t->call, error, text);
	}
}

/* A header of the final response, its n-th of that name; or NULL. */
static const struct curl_header *header(const struct transfer *t,
					const char *name, size_t n)
{
	struct curl_header *h;

	return curl_easy_header(t->easy, name, n, CURLH_HEADER, -1, &h) ? NULL
									: h;
}

static int join_cache_control(const struct transfer *t, char **ret)
{
	const struct curl_header *h = header(t, "Cache-Control", 0);
	size_t i, n = h ? h->amount : 0;
	char *all = NULL, *longer;

	if (n > MAX_CACHE_CONTROLS) {
		*ret = strdup("no-store");
		return *ret ? 0 : -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		h = header(t, "Cache-Control", i);
		if (!h)
			break;
		if (asprintf(&longer, "%s%s%s", all ? all : "", all ? ", " : "",
			     h->value) < 0)
			longer = NULL;
		free(all);
		all = longer;
		if (!all)
			return -ENOMEM;
	}
	*ret = all;
	return 0;
}

/* RFC 9111 section 5.1: of a list the first counts, and what is no number does
 * not; what is too large to count is old enough. */
static uint64_t parse_age(const char *text)
{
	uint64_t age = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9'; p++) {
		if (age > (UINT64_MAX - 9) / 10)
			age = UINT64_MAX / 10 - 1;
		age = age * 10 + (uint64_t)(*p - '0');
	}
	p += strspn(p, " \t");
	return *p && *p != ',' ? 0 : age;
}

void transfer_finish(struct transfer *t, CURLcode result)
{
	struct pool_call *call = t->call;
	const struct curl_header *age;
	curl_off_t after = 0;

	if (result == CURLE_HTTP2_STREAM && t->answered_early && !t->error)
		result = CURLE_OK;
	if (!result && !t->has_headers)
		result = CURLE_WEIRD_SERVER_REPLY;
	if (!result && join_cache_control(t, &call->reply_cache_control))
		result = CURLE_OUT_OF_MEMORY;
	if (result) {
		fail(t, result);
		return;
	}
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &call->reply.status);
	call->reply.cache_control = call->reply_cache_control;
	age = header(t, "Age", 0);
	call->reply.age_s = age ? parse_age(age->value) : 0;
	/* seconds, or a date that libcurl turns into seconds from now */
	if (!curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after) &&
	    after > 0)
		call->retry_after_s =
			after < UINT32_MAX ? (uint32_t)after : UINT32_MAX;
}

struct transfer *transfer_push(struct transfer *list, struct transfer *t)
{
	t->next = list;
	return t;
}

struct transfer *transfer_pop(struct transfer **list)
{
	struct transfer *t = *list;

	if (t)
		*list = t->next;
	return t;
}
