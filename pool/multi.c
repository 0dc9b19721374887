#define HASH_NONFATAL_OOM 1

#include "pool/multi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

enum conn_state {
	CONN_BUSY = 0,
	CONN_RESTING, /* in the list */
	CONN_DEAD,    /* shut down, and libcurl will find out */
};

/* What the peer's kernel has told of a connection. */
struct standing {
	uint64_t bytes_taken; /* of what was sent */
	uint32_t segments;    /* received */
	uint8_t state;
};

/* Of RFC 9293, as the kernel numbers them. */
enum {
	STATE_CLOSED = 7,
	STATE_CLOSE_WAIT = 8
};

/* A connection that has served a transfer. */
struct conn {
	int fd;
	int port; /* local */
	enum conn_state state;
	int64_t since_ms; /* resting */
	/* Of the transfer that claimed it, and how the connection stood then. */
	bool *untouched;
	struct standing standing;
	struct conn *prev, *next;
	UT_hash_handle by_fd, by_port;
};

struct multi {
	CURLM *curl;
	struct loop *loop;
	struct multi_events events;
	struct loop_timer timer;      /* libcurl's */
	struct loop_timer rest_timer; /* no later than the oldest's end */
	uint32_t idle_ms;
	uint32_t transfers;
	uint32_t resting, dead;
	struct conn *conns_by_fd, *conns_by_port;
	struct conn *rest; /* longest first */
};

/*
 * Connections
 */

static void end_rest(struct multi *m, struct conn *c)
{
	DL_DELETE(m->rest, c);
	c->state = CONN_BUSY;
	m->resting--;
}

static void shut_down(struct multi *m, struct conn *c)
{
	end_rest(m, c);
	c->state = CONN_DEAD;
	m->dead++;
	m->events.closing(m->events.arg);
	shutdown(c->fd, SHUT_RDWR);
}

static void shut_down_expired(struct multi *m)
{
	int64_t now = loop_now_ms(m->loop);

	while (m->rest && m->rest->since_ms + m->idle_ms <= now)
		shut_down(m, m->rest);
	if (m->rest)
		loop_timer_set(m->loop, &m->rest_timer,
			       m->rest->since_ms + m->idle_ms);
}

static void on_rest_timer(struct loop *loop, void *arg)
{
	struct multi *m = arg;

	(void)loop;
	shut_down_expired(m);
	if (m->dead && !m->resting && !m->transfers)
		m->events.spent(m->events.arg);
}

static int local_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { .any.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.any, &len))
		return -1;
	if (a.any.sa_family == AF_INET)
		return ntohs(a.in.sin_port);
	return a.any.sa_family == AF_INET6 ? ntohs(a.in6.sin6_port) : -1;
}

static int insert_conn(struct multi *m, struct conn *c)
{
	struct conn *other;

	HASH_FIND(by_port, m->conns_by_port, &c->port, sizeof(c->port), other);
	if (c->port < 0 || other)
		return -EEXIST;
	HASH_ADD(by_fd, m->conns_by_fd, fd, sizeof(c->fd), c);
	if (!c->by_fd.tbl)
		return -ENOMEM;
	HASH_ADD(by_port, m->conns_by_port, port, sizeof(c->port), c);
	if (!c->by_port.tbl) {
		HASH_DELETE(by_fd, m->conns_by_fd, c);
		return -ENOMEM;
	}
	return 0;
}

static struct conn *find_or_make_conn(struct multi *m, int fd)
{
	struct conn *c;

	HASH_FIND(by_fd, m->conns_by_fd, &fd, sizeof(fd), c);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->fd = fd;
	c->port = local_port(fd);
	if (insert_conn(m, c)) {
		free(c);
		return NULL;
	}
	return c;
}

/*
 * The transfer is done; its connection rests if libcurl has kept it. The
 * look-up is a walk over the endpoint's connections inside libcurl, some tens
 * of nanoseconds each.
 */
static void rest_connection(struct multi *m, CURL *easy)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	struct conn *c;

	if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) ||
	    fd == CURL_SOCKET_BAD)
		return;
	c = find_or_make_conn(m, fd);
	if (!c) {
		/* not to be watched, so not to be used: a reconnect */
		shutdown(fd, SHUT_RDWR);
		return;
	}
	if (c->state == CONN_DEAD)
		return;
	if (c->state == CONN_RESTING)
		DL_DELETE(m->rest, c);
	else
		m->resting++;
	c->state = CONN_RESTING;
	c->untouched = NULL;
	c->since_ms = loop_now_ms(m->loop);
	DL_APPEND(m->rest, c);
	if (!m->rest_timer.due_ms)
		loop_timer_set(m->loop, &m->rest_timer,
			       c->since_ms + m->idle_ms);
}

static void forget_conn(struct multi *m, struct conn *c)
{
	if (c->state == CONN_RESTING)
		end_rest(m, c);
	else if (c->state == CONN_DEAD)
		m->dead--;
	HASH_DELETE(by_fd, m->conns_by_fd, c);
	HASH_DELETE(by_port, m->conns_by_port, c);
	free(c);
}

static bool look_at(int fd, struct standing *ret)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ||
	    len < offsetof(struct tcp_info, tcpi_segs_in) +
			    sizeof(info.tcpi_segs_in))
		return false;
	ret->bytes_taken = info.tcpi_bytes_acked;
	ret->segments = info.tcpi_segs_in;
	ret->state = info.tcpi_state;
	return true;
}

/* Anything but silence, be it bytes that nobody asked for or its end, makes
 * it useless: libcurl has not looked. */
static bool is_silent(const struct conn *c)
{
	char byte;

	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

int multi_claim(struct multi *m, int port, bool *ret_untouched)
{
	struct conn *c;

	HASH_FIND(by_port, m->conns_by_port, &port, sizeof(port), c);
	if (!c || c->state != CONN_RESTING)
		return c && c->state == CONN_DEAD ? -ESTALE : 0;
	end_rest(m, c);
	if (look_at(c->fd, &c->standing))
		c->untouched = ret_untouched;
	return is_silent(c) ? 0 : -ESTALE;
}

/*
 * The connection ends, perhaps while a transfer waits for its answer. The peer
 * closed it before the request came when its FIN, which acknowledges all that
 * had come by then, acknowledges nothing of it: seen as such, or followed by
 * the RST that the request brought about. A RST alone proves nothing, because
 * it may go before an acknowledgement that is due.
 */
static void note_untouched(const struct conn *c)
{
	struct standing now;

	if (!c->untouched || !look_at(c->fd, &now) ||
	    now.bytes_taken != c->standing.bytes_taken)
		return;
	if (now.state == STATE_CLOSE_WAIT ||
	    (now.state == STATE_CLOSED &&
	     now.segments - c->standing.segments >= 2))
		*c->untouched = true;
}

uint32_t multi_resting(const struct multi *m)
{
	return m->resting;
}

/*
 * Sockets and timer, as libcurl asks for them
 */

static void take_messages(struct multi *m)
{
	CURLMsg *msg;
	CURLcode result;
	CURL *easy;
	int left;

	while ((msg = curl_multi_info_read(m->curl, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		easy = msg->easy_handle;
		result = msg->data.result;
		rest_connection(m, easy);
		m->events.done(easy, result, m->events.arg);
	}
}

static int from_multi_code(CURLMcode code)
{
	if (code == CURLM_OK)
		return 0;
	return code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EIO;
}

/* It may be gone afterwards. */
static void act(struct multi *m, int fd, int events)
{
	CURLMcode code;
	int running;

	code = curl_multi_socket_action(m->curl, fd, events, &running);
	if (code)
		m->events.broken(from_multi_code(code), m->events.arg);
	else
		take_messages(m);
}

static void on_socket(struct loop *loop, int fd, unsigned events, void *arg)
{
	(void)loop;
	act(arg, fd,
	    (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
		    (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0) |
		    (events & LOOP_ERROR ? CURL_CSELECT_ERR : 0));
}

static void on_timer(struct loop *loop, void *arg)
{
	(void)loop;
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* -1 would end every transfer of the multi; so only this one is reported. */
static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
		       void *socket_arg)
{
	struct multi *m = arg;
	unsigned events = 0;
	int r;

	(void)socket_arg;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= LOOP_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= LOOP_WRITE;
	r = loop_watch(m->loop, fd, events, on_socket, m);
	if (r)
		m->events.stuck(easy, r, m->events.arg);
	return 0;
}

static int want_timer(CURLM *curl, long ms, void *arg)
{
	struct multi *m = arg;

	(void)curl;
	if (ms < 0)
		loop_timer_cancel(m->loop, &m->timer);
	else
		loop_timer_set(m->loop, &m->timer, loop_now_ms(m->loop) + ms);
	return 0;
}

void multi_socket_closed(struct multi *m, int fd)
{
	struct conn *c;

	HASH_FIND(by_fd, m->conns_by_fd, &fd, sizeof(fd), c);
	if (c) {
		note_untouched(c);
		forget_conn(m, c);
	}
	loop_watch(m->loop, fd, 0, NULL, NULL);
	close(fd);
}

/*
 * The multi
 */

int multi_create(struct multi **ret, struct loop *loop,
		 const struct multi_events *events)
{
	struct multi *m;
	CURLMcode code;

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->curl = curl_multi_init();
	if (!m->curl) {
		free(m);
		return -ENOMEM;
	}
	m->loop = loop;
	m->events = *events;
	m->timer.fn = on_timer;
	m->timer.arg = m;
	m->rest_timer.fn = on_rest_timer;
	m->rest_timer.arg = m;
	code = curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, want_socket);
	if (!code)
		code = curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
	if (!code)
		code = curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION,
					 want_timer);
	if (!code)
		code = curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
	if (code) {
		multi_destroy(m);
		return -EIO;
	}
	*ret = m;
	return 0;
}

void multi_destroy(struct multi *m)
{
	struct conn *c, *next;

	if (!m)
		return;
	curl_multi_cleanup(m->curl);
	loop_timer_cancel(m->loop, &m->timer);
	loop_timer_cancel(m->loop, &m->rest_timer);
	/* none, unless libcurl was short of memory to close them */
	c = m->conns_by_fd;
	HASH_CLEAR(by_port, m->conns_by_port);
	HASH_CLEAR(by_fd, m->conns_by_fd);
	for (; c; c = next) {
		next = c->by_fd.next;
		free(c);
	}
	free(m);
}

/* They cannot fail: there is no memory in them. */
void multi_limit(struct multi *m, uint32_t max_connections, uint32_t idle_ms)
{
	long n = max_connections < INT_MAX ? (long)max_connections : INT_MAX;

	curl_multi_setopt(m->curl, CURLMOPT_MAX_TOTAL_CONNECTIONS, n);
	curl_multi_setopt(m->curl, CURLMOPT_MAX_HOST_CONNECTIONS, n);
	curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, n);
	curl_multi_setopt(m->curl, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	m->idle_ms = idle_ms;
	loop_timer_cancel(m->loop, &m->rest_timer);
	if (m->rest)
		loop_timer_set(m->loop, &m->rest_timer,
			       m->rest->since_ms + m->idle_ms);
}

int multi_add(struct multi *m, CURL *easy)
{
	int r = from_multi_code(curl_multi_add_handle(m->curl, easy));

	if (!r)
		m->transfers++;
	return r;
}

/* With the last transfer gone there may be nothing but dead connections,
 * and no timer to notice. */
void multi_remove(struct multi *m, CURL *easy)
{
	curl_multi_remove_handle(m->curl, easy);
	m->transfers--;
	if (!m->transfers && !m->resting && m->dead)
		loop_timer_set(m->loop, &m->rest_timer, loop_now_ms(m->loop));
}
