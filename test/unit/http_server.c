#include "test/unit/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS         10000
#define MAX_CONNECTIONS 65536

/* An answer as bytes to send, one piece after the other, shared by all that
 * are answered so. */
struct piece {
	char *data;
	size_t len;
	unsigned delay_ms; /* before it */
};

enum ending {
	END_KEEP,
	END_CLOSE,
	END_RESET
};

struct script {
	unsigned refs;
	struct piece *pieces;
	size_t n;
	enum ending ending;
	bool hold;
	struct script *next; /* in the queue of pushed ones */
};

struct conn {
	int fd;
	unsigned id, requests;
	char *in;
	size_t in_len, in_size;
	size_t request_len;    /* of the one being answered, in `in` */
	struct script *script; /* NULL: no request is being answered */
	size_t piece, offset;  /* where in it */
	int64_t next_at;       /* when the piece may go */
	bool held, blocked;
};

struct text {
	struct text *next;
	char chars[];
};

struct http_server {
	int listen_fd, wake_fd;
	uint16_t port;
	pthread_t thread;
	pthread_mutex_t lock; /* guards all that follows */
	pthread_cond_t changed;
	bool stop;
	bool close_idle, close_idle_reset; /* asked of the thread */
	struct conn **conns;
	size_t n_conns;
	unsigned *requests_on; /* by connection */
	struct script *answer, *pushed;
	http_handler *handler;
	void *handler_arg;
	struct http_counts counts;
	struct http_request requests[HTTP_SERVER_RECORDED];
	struct text *urls;
};

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "http_server: out of memory\n");
		abort();
	}
	return p;
}

static void must_be(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "http_server: %s: %s\n", what, strerror(errno));
		abort();
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * Scripts
 */

static void add_piece(struct script *sc, const void *data, size_t len,
		      unsigned delay_ms)
{
	struct piece *p;

	sc->pieces =
		must(realloc(sc->pieces, (sc->n + 1) * sizeof(*sc->pieces)));
	p = &sc->pieces[sc->n++];
	p->data = must(malloc(len + 1));
	if (len)
		memcpy(p->data, data, len);
	p->len = len;
	p->delay_ms = delay_ms;
}

/* To the end of the last piece. */
static void extend(struct script *sc, const void *data, size_t len)
{
	struct piece *p = &sc->pieces[sc->n - 1];

	p->data = must(realloc(p->data, p->len + len + 1));
	if (len)
		memcpy(p->data + p->len, data, len);
	p->len += len;
}

static void extend_text(struct script *sc, const char *text)
{
	if (text)
		extend(sc, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void extend_format(
	struct script *sc, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	extend_text(sc, line);
}

static void script_head(struct script *sc, const struct http_answer *a)
{
	int status = a->status ? a->status : 200;

	extend_format(sc, "HTTP/1.%d %d %s\r\n", a->http10 ? 0 : 1, status,
		      status == 200 ? "OK" : "Other");
	extend_text(sc, a->headers);
	if (a->close)
		extend_text(sc, "Connection: close\r\n");
	if (a->chunked)
		extend_text(sc, "Transfer-Encoding: chunked\r\n");
	else if (!a->no_length)
		extend_format(sc, "Content-Length: %llu\r\n",
			      (unsigned long long)(a->has_content_length
							   ? a->content_length
							   : a->body.len));
	extend_text(sc, "\r\n");
}

static void script_chunks(struct script *sc, const struct http_answer *a)
{
	size_t i;

	for (i = 0; i < a->n_chunks; i++) {
		if (i > 0)
			add_piece(sc, NULL, 0, a->chunk_delay_ms);
		extend_format(sc, "%zx\r\n", a->chunks[i].len);
		extend(sc, a->chunks[i].data, a->chunks[i].len);
		extend_text(sc, "\r\n");
	}
	extend_text(sc, "0\r\n");
	extend_text(sc, a->trailers);
	extend_text(sc, "\r\n");
}

static void script_dripped(struct script *sc, const struct http_answer *a,
			   const struct http_bytes *bytes)
{
	const char *data = bytes->data;
	size_t at, n;

	if (!a->drip_bytes) {
		extend(sc, data, bytes->len);
		return;
	}
	for (at = 0; at < bytes->len; at += n) {
		n = bytes->len - at;
		if (n > a->drip_bytes)
			n = a->drip_bytes;
		add_piece(sc, data + at, n, a->chunk_delay_ms);
	}
}

static enum ending ending_of(const struct http_answer *a)
{
	if (a->reset)
		return END_RESET;
	if (a->close || a->close_silently || a->drop)
		return END_CLOSE;
	if (!a->has_raw && !a->chunked &&
	    (a->no_length ||
	     (a->has_content_length && a->content_length > a->body.len)))
		return END_CLOSE;
	return END_KEEP;
}

static struct script *script_create(const struct http_answer *a)
{
	struct script *sc = must(calloc(1, sizeof(*sc)));

	sc->refs = 1;
	sc->hold = a->hold;
	sc->ending = ending_of(a);
	add_piece(sc, NULL, 0, a->delay_ms);
	if (a->drop || a->reset)
		return sc;
	if (a->has_raw) {
		script_dripped(sc, a, &a->raw);
		return sc;
	}
	script_head(sc, a);
	if (a->chunked)
		script_chunks(sc, a);
	else
		script_dripped(sc, a, &a->body);
	return sc;
}

static void script_unref(struct script *sc)
{
	size_t i;

	if (!sc || --sc->refs)
		return;
	for (i = 0; i < sc->n; i++)
		free(sc->pieces[i].data);
	free(sc->pieces);
	free(sc);
}

/*
 * Connections. All of these hold the lock.
 */

static void conn_close(struct http_server *s, struct conn *c, bool reset)
{
	const struct linger abortive = { .l_onoff = 1, .l_linger = 0 };

	if (c->fd < 0)
		return;
	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &abortive,
			   sizeof(abortive));
	close(c->fd);
	c->fd = -1;
	s->counts.closed++;
	s->counts.open--;
	if (c->script)
		s->counts.unanswered--;
	script_unref(c->script);
	c->script = NULL;
	c->held = false;
}

static void accept_one(struct http_server *s)
{
	struct conn *c;
	int one = 1;
	int fd;

	fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	must_be(s->counts.opened < MAX_CONNECTIONS, "connections");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c = must(calloc(1, sizeof(*c)));
	c->fd = fd;
	c->id = s->counts.opened++;
	s->conns =
		must(realloc(s->conns, (s->n_conns + 1) * sizeof(*s->conns)));
	s->conns[s->n_conns++] = c;
	if (++s->counts.open > s->counts.most_open)
		s->counts.most_open = s->counts.open;
}

static const char *find_header(const char *text, const char *end,
			       const char *name)
{
	size_t len = strlen(name);
	const char *line = text;

	while (line < end) {
		if (!strncasecmp(line, name, len) && line[len] == ':')
			return line + len + 1;
		line = strstr(line, "\r\n");
		if (!line)
			break;
		line += 2;
	}
	return NULL;
}

/* How long the request in `in` is, its body at `ret_body`; 0: not whole. */
static size_t whole_request(const struct conn *c, size_t *ret_body)
{
	const char *end, *length;
	size_t head, body;

	if (!c->in_len)
		return 0;
	end = strstr(c->in, "\r\n\r\n");
	if (!end)
		return 0;
	head = (size_t)(end + 4 - c->in);
	length = find_header(c->in, end, "Content-Length");
	body = length ? (size_t)strtoull(length, NULL, 10) : 0;
	*ret_body = head;
	return c->in_len - head < body ? 0 : head + body;
}

static void fill_request(struct http_request *req, const struct conn *c,
			 char *text, size_t len, size_t body)
{
	req->text = text;
	req->len = len;
	req->body = text + body;
	req->body_len = len - body;
	req->connection = c->id;
	req->nth = c->requests;
}

static struct script *pick_script(struct http_server *s,
				  const struct http_request *req)
{
	struct http_answer a = { 0 };
	struct script *sc = s->pushed;

	if (sc) {
		s->pushed = sc->next;
		return sc;
	}
	if (s->handler) {
		s->handler(req, &a, s->handler_arg);
		return script_create(&a);
	}
	s->answer->refs++;
	return s->answer;
}

static void begin_answer(struct http_server *s, struct conn *c, size_t len,
			 size_t body)
{
	struct http_request req;
	char *text = must(malloc(len + 1));

	memcpy(text, c->in, len);
	text[len] = '\0';
	fill_request(&req, c, text, len, body);
	c->script = pick_script(s, &req);
	if (s->counts.requests < HTTP_SERVER_RECORDED)
		s->requests[s->counts.requests] = req;
	else
		free(text);
	s->counts.requests++;
	c->requests++;
	s->requests_on[c->id]++;
	if (++s->counts.unanswered > s->counts.most_unanswered)
		s->counts.most_unanswered = s->counts.unanswered;
	c->request_len = len;
	c->piece = 0;
	c->offset = 0;
	c->held = c->script->hold;
	c->next_at = now_ms() + c->script->pieces[0].delay_ms;
}

static void end_answer(struct http_server *s, struct conn *c)
{
	enum ending ending = c->script->ending;

	if (ending != END_KEEP) {
		conn_close(s, c, ending == END_RESET);
		return;
	}
	script_unref(c->script);
	c->script = NULL;
	s->counts.unanswered--;
	c->in_len -= c->request_len;
	memmove(c->in, c->in + c->request_len, c->in_len + 1);
}

/* Returns whether the piece is out. */
static bool send_piece(struct http_server *s, struct conn *c)
{
	const struct piece *p = &c->script->pieces[c->piece];
	ssize_t n;

	while (c->offset < p->len) {
		n = send(c->fd, p->data + c->offset, p->len - c->offset,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0) {
			c->blocked = errno == EAGAIN;
			if (!c->blocked)
				conn_close(s, c, false);
			return false;
		}
		c->offset += (size_t)n;
	}
	return true;
}

/* Go as far as time and the socket allow. */
static void conn_advance(struct http_server *s, struct conn *c)
{
	size_t len, body;

	c->blocked = false;
	while (c->fd >= 0) {
		if (!c->script) {
			len = whole_request(c, &body);
			if (!len)
				return;
			begin_answer(s, c, len, body);
		}
		if (c->held || now_ms() < c->next_at || !send_piece(s, c))
			return;
		c->offset = 0;
		if (++c->piece < c->script->n)
			c->next_at =
				now_ms() + c->script->pieces[c->piece].delay_ms;
		else
			end_answer(s, c);
	}
}

static void conn_read(struct http_server *s, struct conn *c)
{
	char buf[65536];
	ssize_t n;

	n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		conn_close(s, c, false);
		return;
	}
	if (c->in_len + (size_t)n + 1 > c->in_size) {
		c->in_size = (c->in_len + (size_t)n + 1) * 2;
		c->in = must(realloc(c->in, c->in_size));
	}
	memcpy(c->in + c->in_len, buf, (size_t)n);
	c->in_len += (size_t)n;
	c->in[c->in_len] = '\0';
}

static void reap_closed(struct http_server *s)
{
	size_t i, kept = 0;

	for (i = 0; i < s->n_conns; i++) {
		if (s->conns[i]->fd >= 0) {
			s->conns[kept++] = s->conns[i];
			continue;
		}
		free(s->conns[i]->in);
		free(s->conns[i]);
	}
	s->n_conns = kept;
}

/*
 * The thread
 */

static int fill_polls(struct http_server *s, struct pollfd *polls)
{
	int64_t now = now_ms(), next = INT64_MAX;
	struct conn *c;
	size_t i;

	polls[0] = (struct pollfd){ .fd = s->wake_fd, .events = POLLIN };
	polls[1] = (struct pollfd){ .fd = s->listen_fd, .events = POLLIN };
	for (i = 0; i < s->n_conns; i++) {
		c = s->conns[i];
		polls[i + 2] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
		if (c->blocked)
			polls[i + 2].events |= POLLOUT;
		else if (c->script && !c->held && c->next_at < next)
			next = c->next_at;
	}
	if (next == INT64_MAX)
		return -1;
	return next > now ? (int)(next - now) : 0;
}

/* Here, because a close() is put off while poll() has the descriptor. */
static void close_idle_if_asked(struct http_server *s)
{
	size_t i;

	if (!s->close_idle)
		return;
	for (i = 0; i < s->n_conns; i++) {
		if (!s->conns[i]->script)
			conn_close(s, s->conns[i], s->close_idle_reset);
	}
	s->close_idle = false;
}

static void serve_pass(struct http_server *s)
{
	size_t i, n = s->n_conns;
	struct pollfd *polls = must(calloc(n + 2, sizeof(*polls)));
	int timeout = fill_polls(s, polls);
	uint64_t count;

	pthread_mutex_unlock(&s->lock);
	poll(polls, n + 2, timeout);
	pthread_mutex_lock(&s->lock);
	if (polls[0].revents && read(s->wake_fd, &count, sizeof(count)) < 0)
		must_be(errno == EAGAIN, "eventfd");
	for (i = 0; i < n; i++) {
		if (polls[i + 2].revents)
			conn_read(s, s->conns[i]);
		conn_advance(s, s->conns[i]);
	}
	close_idle_if_asked(s);
	if (polls[1].revents)
		accept_one(s);
	reap_closed(s);
	pthread_cond_broadcast(&s->changed);
	free(polls);
}

static void *serve(void *arg)
{
	struct http_server *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stop)
		serve_pass(s);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void wake(struct http_server *s)
{
	uint64_t one = 1;

	must_be(write(s->wake_fd, &one, sizeof(one)) == sizeof(one), "eventfd");
}

/*
 * The test's side
 */

static void listen_on_loopback(struct http_server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->listen_fd =
		socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	must_be(s->listen_fd >= 0, "socket");
	must_be(!bind(s->listen_fd, (struct sockaddr *)&a, len), "bind");
	must_be(!listen(s->listen_fd, 1024), "listen");
	must_be(!getsockname(s->listen_fd, (struct sockaddr *)&a, &len),
		"getsockname");
	s->port = ntohs(a.sin_port);
}

static void init_changed(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	must_be(!pthread_condattr_init(&attr), "condattr");
	must_be(!pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), "clock");
	must_be(!pthread_cond_init(cond, &attr), "cond");
	pthread_condattr_destroy(&attr);
}

struct http_server *http_server_start(void)
{
	const struct http_answer plain = { 0 };
	struct http_server *s = must(calloc(1, sizeof(*s)));

	s->requests_on = must(calloc(MAX_CONNECTIONS, sizeof(unsigned)));
	s->answer = script_create(&plain);
	s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	must_be(s->wake_fd >= 0, "eventfd");
	listen_on_loopback(s);
	must_be(!pthread_mutex_init(&s->lock, NULL), "mutex");
	init_changed(&s->changed);
	must_be(!pthread_create(&s->thread, NULL, serve, s), "thread");
	return s;
}

static void free_all(struct http_server *s)
{
	struct script *sc;
	struct text *url;
	size_t i;

	for (i = 0; i < s->n_conns; i++)
		conn_close(s, s->conns[i], false);
	reap_closed(s);
	while ((sc = s->pushed)) {
		s->pushed = sc->next;
		script_unref(sc);
	}
	while ((url = s->urls)) {
		s->urls = url->next;
		free(url);
	}
	for (i = 0; i < HTTP_SERVER_RECORDED; i++)
		free((char *)s->requests[i].text);
	script_unref(s->answer);
	free(s->conns);
	free(s->requests_on);
	free(s);
}

void http_server_stop(struct http_server *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	wake(s);
	pthread_join(s->thread, NULL);
	close(s->listen_fd);
	close(s->wake_fd);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free_all(s);
}

uint16_t http_server_port(const struct http_server *s)
{
	return s->port;
}

const char *http_server_url(struct http_server *s, const char *path)
{
	size_t len = strlen(path) + 64;
	struct text *url = must(malloc(sizeof(*url) + len));

	snprintf(url->chars, len, "http://127.0.0.1:%u%s", s->port, path);
	url->next = s->urls;
	s->urls = url;
	return url->chars;
}

void http_server_answer(struct http_server *s, const struct http_answer *a)
{
	struct script *sc = script_create(a);

	pthread_mutex_lock(&s->lock);
	script_unref(s->answer);
	s->answer = sc;
	pthread_mutex_unlock(&s->lock);
}

void http_server_push(struct http_server *s, const struct http_answer *a)
{
	struct script *sc = script_create(a), **at;

	pthread_mutex_lock(&s->lock);
	for (at = &s->pushed; *at; at = &(*at)->next)
		;
	*at = sc;
	pthread_mutex_unlock(&s->lock);
}

void http_server_handle(struct http_server *s, http_handler *fn, void *arg)
{
	pthread_mutex_lock(&s->lock);
	s->handler = fn;
	s->handler_arg = arg;
	pthread_mutex_unlock(&s->lock);
}

unsigned http_server_release(struct http_server *s)
{
	unsigned n = 0;
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n_conns; i++) {
		if (s->conns[i]->held)
			n++;
		s->conns[i]->held = false;
	}
	pthread_mutex_unlock(&s->lock);
	wake(s);
	return n;
}

void http_server_close_idle(struct http_server *s, bool reset)
{
	pthread_mutex_lock(&s->lock);
	s->close_idle = true;
	s->close_idle_reset = reset;
	wake(s);
	while (s->close_idle)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

void http_server_babble(struct http_server *s, const char *text)
{
	size_t i, len = strlen(text);

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n_conns; i++) {
		if (s->conns[i]->fd >= 0 && !s->conns[i]->script)
			must_be(send(s->conns[i]->fd, text, len,
				     MSG_NOSIGNAL) == (ssize_t)len,
				"send");
	}
	pthread_mutex_unlock(&s->lock);
}

void http_server_counts(struct http_server *s, struct http_counts *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->counts;
	pthread_mutex_unlock(&s->lock);
}

static unsigned count_held(const struct http_server *s)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < s->n_conns; i++)
		n += s->conns[i]->held;
	return n;
}

static bool has_requests(const struct http_server *s, unsigned n)
{
	return s->counts.requests >= n;
}

static bool has_open(const struct http_server *s, unsigned n)
{
	return s->counts.open == n;
}

static bool has_held(const struct http_server *s, unsigned n)
{
	return count_held(s) == n;
}

static bool wait_until(struct http_server *s,
		       bool (*is)(const struct http_server *s, unsigned n),
		       unsigned n)
{
	int64_t deadline = now_ms() + WAIT_MS;
	struct timespec ts = { .tv_sec = deadline / 1000,
			       .tv_nsec = deadline % 1000 * 1000000 };
	bool ok;

	pthread_mutex_lock(&s->lock);
	while (!(ok = is(s, n)) && now_ms() < deadline)
		pthread_cond_timedwait(&s->changed, &s->lock, &ts);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

bool http_server_wait_requests(struct http_server *s, unsigned n)
{
	return wait_until(s, has_requests, n);
}

bool http_server_wait_open(struct http_server *s, unsigned n)
{
	return wait_until(s, has_open, n);
}

bool http_server_wait_held(struct http_server *s, unsigned n)
{
	return wait_until(s, has_held, n);
}

const struct http_request *http_server_request(struct http_server *s,
					       unsigned i)
{
	const struct http_request *req = NULL;

	pthread_mutex_lock(&s->lock);
	if (i < s->counts.requests && i < HTTP_SERVER_RECORDED)
		req = &s->requests[i];
	pthread_mutex_unlock(&s->lock);
	return req;
}

unsigned http_server_requests_on(struct http_server *s, unsigned connection)
{
	unsigned n = 0;

	pthread_mutex_lock(&s->lock);
	if (connection < s->counts.opened)
		n = s->requests_on[connection];
	pthread_mutex_unlock(&s->lock);
	return n;
}

char *http_request_header(const struct http_request *req, const char *name)
{
	const char *value = find_header(req->text, req->body, name);
	size_t len;

	if (!value)
		return NULL;
	value += strspn(value, " \t");
	len = strcspn(value, "\r\n");
	while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	return must(strndup(value, len));
}
