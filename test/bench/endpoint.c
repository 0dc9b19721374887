/*
 * endpoint.c - an HTTP/1.1 endpoint that costs next to nothing.
 *
 * usage: endpoint [--port N] [--delay-us N] [--max-age S]
 *
 * Prints its port, then answers every POST with {"result":"ok"}, `delay-us`
 * after it came, on one thread, until its standard input is closed. Requests
 * are counted by the value of their header `vernemq-hook`.
 *
 * GET /set?key=value&...   changes what follows, and says {} when done:
 *     delay_us=N           the delay; with hook=NAME that of one hook
 *     max_age=N            a Cache-Control with every answer; 0: without
 *     silent=1             requests are read, and never answered
 *     silent=0             those that come from now on are answered again
 *     reset=1              counts and times begin anew
 * GET /stats               {"total": N, "hooks": {"NAME": N, ...}, ...}
 * GET /times               nanoseconds from request read to answer written of
 *                          each request since the reset, in order of answers
 * GET /last                the body of the last POST
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "test/bench/bench.h"

enum {
	IN_SIZE = 64 * 1024, /* of one request with its headers */
	HOOKS_MAX = 32,
	CONNS_MAX = 8192,
	EVENTS = 256,
	TIMES_MAX = 1000000,
	PATIENCE_MS = 1000, /* with a peer that does not read */
};

struct hook {
	char name[40];
	uint64_t count;
	int64_t delay_us; /* -1: as all the others */
};

struct conn {
	int fd;
	size_t used;   /* bytes of `in` */
	size_t whole;  /* of the request at its beginning, 0: not known */
	int64_t came;  /* when it was there */
	int64_t due;   /* when to answer it */
	size_t place;  /* in the heap, from 1; 0: not in it */
	bool awaiting; /* an answer */
	char in[IN_SIZE];
};

struct endpoint {
	int epoll, listener;
	struct conn *heap[CONNS_MAX + 1]; /* by due, from 1 */
	size_t waiting, conns, most_conns;
	struct hook hooks[HOOKS_MAX];
	size_t hooks_count;
	uint64_t total, unanswered;
	int64_t delay_us, max_age, port;
	bool silent;
	struct samples times;
	char answer[256];
	size_t answer_len;
	char last[IN_SIZE];
	size_t last_len;
};

/* A request, borrowed from its connection's buffer. */
struct request {
	const char *path;
	size_t path_len;
	const char *hook;
	size_t hook_len;
	size_t head, body; /* lengths */
	bool post;
};

/* ---- those who wait for their time, in a heap ---- */

static void settle(struct endpoint *ep, struct conn *c, size_t i)
{
	ep->heap[i] = c;
	c->place = i;
}

static void rise(struct endpoint *ep, struct conn *c, size_t i)
{
	while (i > 1 && ep->heap[i / 2]->due > c->due) {
		settle(ep, ep->heap[i / 2], i);
		i /= 2;
	}
	settle(ep, c, i);
}

static void sink(struct endpoint *ep, struct conn *c, size_t i)
{
	for (;;) {
		size_t child = 2 * i;

		if (child > ep->waiting)
			break;
		if (child < ep->waiting &&
		    ep->heap[child + 1]->due < ep->heap[child]->due)
			child++;
		if (ep->heap[child]->due >= c->due)
			break;
		settle(ep, ep->heap[child], i);
		i = child;
	}
	settle(ep, c, i);
}

static void wait_in_heap(struct endpoint *ep, struct conn *c)
{
	rise(ep, c, ++ep->waiting);
}

static void leave_heap(struct endpoint *ep, struct conn *c)
{
	size_t i = c->place;
	struct conn *last = ep->heap[ep->waiting--];

	c->place = 0;
	if (last == c)
		return;
	if (i > 1 && ep->heap[i / 2]->due > last->due)
		rise(ep, last, i);
	else
		sink(ep, last, i);
}

/* ---- connections ---- */

static void conn_close(struct endpoint *ep, struct conn *c)
{
	if (c->place)
		leave_heap(ep, c);
	close(c->fd);
	free(c);
	ep->conns--;
}

/* Blocks when the peer does not read, which only a huge answer meets. */
static int send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static void accept_all(struct endpoint *ep)
{
	struct timeval patience = { .tv_usec = PATIENCE_MS * 1000 - 1 };
	int one = 1;

	for (;;) {
		struct epoll_event ev = { .events = EPOLLIN };
		int fd = accept4(ep->listener, NULL, NULL, SOCK_CLOEXEC);
		struct conn *c;

		if (fd < 0)
			return;
		c = ep->conns < CONNS_MAX ? malloc(sizeof(*c)) : NULL;
		if (!c) {
			close(fd);
			continue;
		}
		memset(c, 0, offsetof(struct conn, in));
		c->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
			   sizeof(patience));
		ev.data.ptr = c;
		epoll_ctl(ep->epoll, EPOLL_CTL_ADD, fd, &ev);
		if (++ep->conns > ep->most_conns)
			ep->most_conns = ep->conns;
	}
}

/* ---- requests ---- */

static struct hook *hook_called(struct endpoint *ep, const char *name,
				size_t len)
{
	struct hook *h;

	if (!name)
		return &ep->hooks[0];
	for (size_t i = 0; i < ep->hooks_count; i++) {
		h = &ep->hooks[i];
		if (strncmp(h->name, name, len) == 0 && h->name[len] == '\0')
			return h;
	}
	if (ep->hooks_count == HOOKS_MAX || len >= sizeof(h->name))
		return &ep->hooks[0];
	h = &ep->hooks[ep->hooks_count++];
	memcpy(h->name, name, len);
	h->delay_us = -1;
	return h;
}

/* One header line. */
static void take_header(struct request *r, const char *line, const char *end)
{
	static const char length[] = "content-length:",
			  hook[] = "vernemq-hook:";

	if (strncasecmp(line, length, sizeof(length) - 1) == 0) {
		r->body = strtoul(line + sizeof(length) - 1, NULL, 10);
	} else if (strncasecmp(line, hook, sizeof(hook) - 1) == 0) {
		line += sizeof(hook) - 1;
		while (*line == ' ')
			line++;
		r->hook = line;
		r->hook_len = (size_t)(end - line);
	}
}

/* The request at the beginning of the buffer. Returns 0; -EAGAIN when more of
 * it is to come, or -EINVAL. */
static int parse(const struct conn *c, struct request *ret)
{
	struct request r = { 0 };
	const char *end, *line = c->in, *p;

	end = memmem(c->in, c->used, "\r\n\r\n", 4);
	if (!end)
		return c->used == IN_SIZE ? -EINVAL : -EAGAIN;
	r.head = (size_t)(end + 4 - c->in);
	r.post = memcmp(line, "POST ", 5) == 0;
	r.path = memchr(line, ' ', r.head);
	p = r.path ? memchr(r.path + 1, ' ', r.head - 5) : NULL;
	if (!p)
		return -EINVAL;
	r.path_len = (size_t)(p - ++r.path);
	while (line < end) {
		const char *eol = memchr(line, '\r', r.head);

		take_header(&r, line, eol);
		line = eol + 2;
	}
	if (r.body > IN_SIZE - r.head)
		return -EINVAL;
	*ret = r;
	return c->used < r.head + r.body ? -EAGAIN : 0;
}

static void make_answer(struct endpoint *ep)
{
	static const char body[] = "{\"result\":\"ok\"}";
	char cached[64] = "";

	if (ep->max_age > 0)
		snprintf(cached, sizeof(cached),
			 "Cache-Control: max-age=%lld\r\n",
			 (long long)ep->max_age);
	ep->answer_len = (size_t)snprintf(
		ep->answer, sizeof(ep->answer),
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		"%sContent-Length: %zu\r\n\r\n%s",
		cached, sizeof(body) - 1, body);
}

/* The request is dealt with; what came behind it moves up. */
static void next_request(struct conn *c)
{
	c->used -= c->whole;
	memmove(c->in, c->in + c->whole, c->used);
	c->whole = 0;
	c->awaiting = false;
}

static int answer(struct endpoint *ep, struct conn *c)
{
	if (ep->times.count < TIMES_MAX)
		samples_add(&ep->times, bench_now_ns() - c->came);
	next_request(c);
	return send_all(c->fd, ep->answer, ep->answer_len);
}

static int take_call(struct endpoint *ep, struct conn *c,
		     const struct request *r)
{
	struct hook *h = hook_called(ep, r->hook, r->hook_len);
	int64_t delay_us = h->delay_us >= 0 ? h->delay_us : ep->delay_us;

	h->count++;
	ep->total++;
	ep->last_len = r->body;
	memcpy(ep->last, c->in + r->head, r->body);
	c->awaiting = true;
	if (ep->silent) {
		ep->unanswered++;
		return 0;
	}
	if (delay_us == 0)
		return answer(ep, c);
	c->due = c->came + delay_us * NS_PER_US;
	wait_in_heap(ep, c);
	return 0;
}

/* ---- control ---- */

static void reset(struct endpoint *ep)
{
	for (size_t i = 0; i < ep->hooks_count; i++)
		ep->hooks[i].count = 0;
	ep->total = ep->unanswered = 0;
	ep->times.count = 0;
	ep->most_conns = ep->conns;
}

/* The value of `key` in a query, or `otherwise`. */
static int64_t value_of(const char *query, const char *key, int64_t otherwise)
{
	size_t len = strlen(key);
	const char *p = query;

	while ((p = strstr(p, key)) != NULL) {
		if (strchr("?&", p[-1]) && p[len] == '=')
			return strtoll(p + len + 1, NULL, 10);
		p += len;
	}
	return otherwise;
}

static void set(struct endpoint *ep, const char *query)
{
	const char *hook = strstr(query, "hook=");
	int64_t delay_us = value_of(query, "delay_us", -1);

	if (hook && delay_us >= 0)
		hook_called(ep, hook + 5, strcspn(hook + 5, "&"))->delay_us =
			delay_us;
	else if (delay_us >= 0)
		ep->delay_us = delay_us;
	ep->max_age = value_of(query, "max_age", ep->max_age);
	ep->silent = value_of(query, "silent", ep->silent);
	if (value_of(query, "reset", 0))
		reset(ep);
	make_answer(ep);
}

static void write_stats(const struct endpoint *ep, FILE *f)
{
	fprintf(f, "{\"total\": %llu, \"unanswered\": %llu, ",
		(unsigned long long)ep->total,
		(unsigned long long)ep->unanswered);
	fprintf(f, "\"connections\": %zu, \"most_connections\": %zu, ",
		ep->conns, ep->most_conns);
	fprintf(f, "\"hooks\": {");
	for (size_t i = 0; i < ep->hooks_count; i++)
		fprintf(f, "%s\"%s\": %llu", i ? ", " : "", ep->hooks[i].name,
			(unsigned long long)ep->hooks[i].count);
	fprintf(f, "}}");
}

static void write_times(const struct endpoint *ep, FILE *f)
{
	fprintf(f, "[");
	for (size_t i = 0; i < ep->times.count; i++)
		fprintf(f, "%s%lld", i ? "," : "",
			(long long)ep->times.list[i]);
	fprintf(f, "]");
}

static int control(struct endpoint *ep, struct conn *c, const struct request *r)
{
	char path[256] = "", *body = NULL, head[128];
	size_t len = 0;
	FILE *f = open_memstream(&body, &len);
	int err = 0, n;

	if (!f)
		return -ENOMEM;
	memcpy(path, r->path,
	       r->path_len < sizeof(path) ? r->path_len : sizeof(path) - 1);
	if (strcmp(path, "/stats") == 0) {
		write_stats(ep, f);
	} else if (strcmp(path, "/times") == 0) {
		write_times(ep, f);
	} else if (strcmp(path, "/last") == 0) {
		fwrite(ep->last, 1, ep->last_len, f);
	} else if (strncmp(path, "/set?", 5) == 0) {
		set(ep, path);
		fprintf(f, "{}");
	}
	fclose(f);
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n",
		     len ? "200 OK" : "404 Not Found", len);
	next_request(c);
	err = send_all(c->fd, head, (size_t)n);
	if (!err)
		err = send_all(c->fd, body, len);
	free(body);
	return err;
}

/* ---- the loop ---- */

static int on_readable(struct endpoint *ep, struct conn *c)
{
	ssize_t n =
		recv(c->fd, c->in + c->used, IN_SIZE - c->used, MSG_DONTWAIT);
	struct request r;
	int err = 0;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -ECONNRESET;
	c->used += (size_t)n;
	while (!err && !c->awaiting && c->used) {
		err = parse(c, &r);
		if (err)
			return err == -EAGAIN ? 0 : err;
		c->came = bench_now_ns();
		c->whole = r.head + r.body;
		err = r.post ? take_call(ep, c, &r) : control(ep, c, &r);
	}
	return err;
}

static void answer_due(struct endpoint *ep)
{
	while (ep->waiting && ep->heap[1]->due <= bench_now_ns()) {
		struct conn *c = ep->heap[1];

		leave_heap(ep, c);
		if (answer(ep, c) != 0)
			shutdown(c->fd, SHUT_RDWR);
	}
}

static int wait_for_events(const struct endpoint *ep, struct epoll_event *list)
{
	struct timespec wait = { 0 };
	int64_t ns;

	if (!ep->waiting)
		return epoll_wait(ep->epoll, list, EVENTS, -1);
	ns = ep->heap[1]->due - bench_now_ns();
	if (ns > 0)
		wait = (struct timespec){ ns / NS_PER_S, ns % NS_PER_S };
	return epoll_pwait2(ep->epoll, list, EVENTS, &wait, NULL);
}

static void serve(struct endpoint *ep)
{
	struct epoll_event list[EVENTS];
	char byte;

	for (;;) {
		int n = wait_for_events(ep, list);

		for (int i = 0; i < n; i++) {
			void *who = list[i].data.ptr;

			if (who == &ep->listener) {
				accept_all(ep);
			} else if (who == ep) {
				if (read(STDIN_FILENO, &byte, 1) <= 0)
					return;
			} else if (on_readable(ep, who) != 0) {
				conn_close(ep, who);
			}
		}
		answer_due(ep);
	}
}

static int open_listener(struct endpoint *ep)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)ep->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event ev = { .events = EPOLLIN };
	socklen_t len = sizeof(addr);
	int one = 1;

	ep->epoll = epoll_create1(EPOLL_CLOEXEC);
	ep->listener =
		socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(ep->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(ep->listener, (struct sockaddr *)&addr, len) != 0 ||
	    listen(ep->listener, 4096) != 0 ||
	    getsockname(ep->listener, (struct sockaddr *)&addr, &len) != 0)
		return -errno;
	ev.data.ptr = &ep->listener;
	epoll_ctl(ep->epoll, EPOLL_CTL_ADD, ep->listener, &ev);
	ev.data.ptr = ep;
	epoll_ctl(ep->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &ev);
	printf("%d\n", ntohs(addr.sin_port));
	return fflush(stdout) == 0 ? 0 : -errno;
}

int main(int argc, char **argv)
{
	struct endpoint *ep = calloc(1, sizeof(*ep));
	const struct bench_option options[] = {
		{ "port", OPTION_NUMBER, &ep->port },
		{ "delay-us", OPTION_NUMBER, &ep->delay_us },
		{ "max-age", OPTION_NUMBER, &ep->max_age },
		{ 0 },
	};
	int err;

	signal(SIGPIPE, SIG_IGN);
	if (!ep || bench_options(argc, argv, options) != 0)
		return 2;
	make_answer(ep);
	hook_called(ep, "other", 5);
	err = open_listener(ep);
	if (err)
		fprintf(stderr, "endpoint: %s\n", strerror(-err));
	else
		serve(ep);
	return err ? 1 : 0;
}
