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
	CONN_OPENING = 0, /* no request yet */
	CONN_BUSY,
	CONN_RESTING, /* in the list */
	CONN_DEAD,    /* shut down, and libcurl will find out */
};

/* Of RFC 9293, as the kernel numbers them. */
enum {
	STATE_CLOSED = 7,
	STATE_CLOSE_WAIT = 8
};

/* Of `port`: not told yet, or one that another has. */
#define NO_PORT (-1)

struct conn {
	int fd;
	int port; /* local; of a Unix socket 0 */
	enum conn_state state;
	bool has_served;
	bool ends;            /* the server has said so */
	uint32_t last_stream; /* it processes none beyond */
	int64_t born_ms;
	int64_t since_ms;     /* resting */
	struct claim *claims; /* by whom it is used */
	struct conn *prev, *next;
	UT_hash_handle by_fd, by_port;
};

struct multi {
	CURLM *curl;
	struct loop *loop;
	struct multi_events events;
	struct loop_timer timer; /* libcurl's */
	/* No later than the first end of a rest. */
	struct loop_timer rest_timer;
	uint32_t idle_ms, lifetime_ms;
	bool multiplex;
	bool retired, outlived;
	uint32_t transfers;
	uint32_t claimed, busy, resting, dead;
	struct conn *conns_by_fd, *conns_by_port;
	struct conn *rest; /* longest first */
};

/*
 * Connections
 */

/* What the kernel tells of a connection to a peer's. */
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

static int64_t rest_ends(const struct multi *m, const struct conn *c)
{
	int64_t idle = c->since_ms + m->idle_ms;
	int64_t life = c->born_ms + m->lifetime_ms;

	return m->lifetime_ms && life < idle ? life : idle;
}

static bool is_outlived(const struct multi *m, const struct conn *c)
{
	return c->ends || (m->lifetime_ms &&
			   c->born_ms + m->lifetime_ms <= loop_now_ms(m->loop));
}

static void set_rest_timer(struct multi *m, int64_t due)
{
	if (!m->rest_timer.due_ms || due < m->rest_timer.due_ms)
		loop_timer_set(m->loop, &m->rest_timer, due);
}

static void set_state(struct multi *m, struct conn *c, enum conn_state state)
{
	if (c->state == CONN_RESTING)
		DL_DELETE(m->rest, c);
	m->busy -= c->state == CONN_BUSY;
	m->resting -= c->state == CONN_RESTING;
	m->dead -= c->state == CONN_DEAD;
	c->state = state;
	m->busy += state == CONN_BUSY;
	m->resting += state == CONN_RESTING;
	m->dead += state == CONN_DEAD;
}

static void shut_down(struct multi *m, struct conn *c)
{
	set_state(m, c, CONN_DEAD);
	m->events.changed(m->events.arg);
	shutdown(c->fd, SHUT_RDWR);
}

/* The multi is of no use any more when nothing is left but what libcurl has
 * yet to find out about. */
static bool is_spent(const struct multi *m)
{
	return !m->transfers && !m->resting && (m->dead || m->retired);
}

/* With the last transfer gone there may be no timer to notice. */
static void note_spent(struct multi *m)
{
	if (is_spent(m))
		set_rest_timer(m, loop_now_ms(m->loop));
}

static void on_rest_timer(struct loop *loop, void *arg)
{
	struct multi *m = arg;
	int64_t now = loop_now_ms(loop), due = INT64_MAX;
	struct conn *c, *next;

	DL_FOREACH_SAFE(m->rest, c, next)
	{
		if (rest_ends(m, c) <= now)
			shut_down(m, c);
		else if (rest_ends(m, c) < due)
			due = rest_ends(m, c);
	}
	if (m->rest)
		set_rest_timer(m, due);
	if (is_spent(m))
		m->events.spent(m, m->events.arg);
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
		return NO_PORT;
	if (a.any.sa_family == AF_INET)
		return ntohs(a.in.sin_port);
	return a.any.sa_family == AF_INET6 ? ntohs(a.in6.sin6_port) : 0;
}

static struct conn *find_fd(const struct multi *m, int fd)
{
	struct conn *c;

	HASH_FIND(by_fd, m->conns_by_fd, &fd, sizeof(fd), c);
	return c;
}

/*
 * Claims
 */

/*
 * The connection ends, perhaps while a transfer waits for its answer. The peer
 * closed it before the request came when its FIN, which acknowledges all that
 * had come by then, acknowledges nothing of it: seen as such, or followed by
 * the RST that the request brought about. A RST alone proves nothing, because
 * it may go before an acknowledgement that is due.
 */
static bool is_untouched(const struct claim *claim, int fd)
{
	struct standing now;

	if (!claim->is_kept || !look_at(fd, &now) ||
	    now.bytes_taken != claim->standing.bytes_taken)
		return false;
	return now.state == STATE_CLOSE_WAIT ||
	       (now.state == STATE_CLOSED &&
		now.segments - claim->standing.segments >= 2);
}

static void note_refused(struct claim *claim)
{
	const struct conn *c = claim->conn;

	claim->refused = c && c->ends && claim->stream > c->last_stream;
}

void multi_note_stream(struct claim *claim, uint32_t stream)
{
	claim->stream = stream;
	note_refused(claim);
}

void multi_note_end(struct multi *m, struct claim *claim, uint32_t last)
{
	struct claim *other;

	if (!claim->conn)
		return;
	claim->conn->ends = true;
	claim->conn->last_stream = last;
	m->outlived = true;
	DL_FOREACH (claim->conn->claims, other)
		note_refused(other);
}

static void unlink_claim(struct multi *m, struct conn *c, struct claim *claim)
{
	DL_DELETE(c->claims, claim);
	claim->conn = NULL;
	m->claimed--;
}

static void link_claim(struct multi *m, struct claim *claim, struct conn *c)
{
	claim->conn = c;
	DL_APPEND(c->claims, claim);
	m->claimed++;
	set_state(m, c, CONN_BUSY);
	if (m->multiplex)
		m->events.changed(m->events.arg);
}

/* Its transfer is over, or goes elsewhere, and libcurl has not closed it. */
static void release(struct multi *m, struct claim *claim)
{
	struct conn *c = claim->conn;

	if (!c)
		return;
	unlink_claim(m, c, claim);
	c->has_served = true;
	if (c->claims || c->state == CONN_DEAD)
		return;
	if (c->port == NO_PORT || m->retired || is_outlived(m, c)) {
		/* not to be watched, or used: a reconnect */
		shut_down(m, c);
		return;
	}
	set_state(m, c, CONN_RESTING);
	c->since_ms = loop_now_ms(m->loop);
	DL_APPEND(m->rest, c);
	set_rest_timer(m, rest_ends(m, c));
}

static void forget_conn(struct multi *m, struct conn *c)
{
	while (c->claims) {
		struct claim *claim = c->claims;

		claim->untouched = is_untouched(claim, c->fd);
		note_refused(claim);
		unlink_claim(m, c, claim);
	}
	set_state(m, c, CONN_OPENING);
	HASH_DELETE(by_fd, m->conns_by_fd, c);
	if (c->port > 0)
		HASH_DELETE(by_port, m->conns_by_port, c);
	free(c);
}

int multi_socket_opened(struct multi *m, struct claim *claim, int fd)
{
	struct conn *c = find_fd(m, fd);

	if (c)
		forget_conn(m, c); /* closed behind our back */
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->fd = fd;
	c->port = NO_PORT;
	c->born_ms = loop_now_ms(m->loop);
	HASH_ADD(by_fd, m->conns_by_fd, fd, sizeof(c->fd), c);
	if (!c->by_fd.tbl) {
		free(c);
		return -ENOMEM;
	}
	claim->fd = fd;
	return 0;
}

static struct conn *find_port(const struct multi *m, int port)
{
	struct conn *c;

	HASH_FIND(by_port, m->conns_by_port, &port, sizeof(port), c);
	return c;
}

/* A connection that was opened has got its port: learn it. One that cannot be
 * entered, because another has it to another address, will not be kept. */
static struct conn *find_opened(struct multi *m, int port)
{
	struct conn *c, *next;

	HASH_ITER (by_fd, m->conns_by_fd, c, next) {
		if (c->state == CONN_OPENING && local_port(c->fd) == port)
			break;
	}
	if (!c || find_port(m, port))
		return c;
	c->port = port;
	HASH_ADD(by_port, m->conns_by_port, port, sizeof(c->port), c);
	if (!c->by_port.tbl)
		c->port = NO_PORT;
	return c;
}

/* Who has opened a connection uses it, whoever else has that port. */
static struct conn *find_claimed(struct multi *m, const struct claim *claim,
				 int port)
{
	struct conn *c = claim->fd >= 0 ? find_opened(m, port) : NULL;

	if (!c)
		c = find_port(m, port);
	return c ? c : find_opened(m, port);
}

/*
 * Unix sockets have no port: the one that a transfer has opened is its own,
 * and which of those that rest libcurl has chosen shows later, when it wants
 * it watched. So none that rests may be useless.
 */
static int claim_unix(struct multi *m, struct claim *claim)
{
	struct conn *c = find_fd(m, claim->fd), *next;
	int r = 0;

	if (m->retired)
		return -ESTALE;
	if (c && c->state == CONN_OPENING) {
		c->port = 0;
		link_claim(m, claim, c);
		return 0;
	}
	DL_FOREACH_SAFE(m->rest, c, next)
	{
		if (is_silent(c))
			continue;
		shut_down(m, c);
		r = -ESTALE;
	}
	claim->is_kept_unix = true;
	return r;
}

/*
 * A connection that others use is used in any case: if a request is called off
 * before it is a stream libcurl (7.88) resets stream -1, for which a server
 * ends the connection.
 */
static int claim_kept(struct multi *m, struct claim *claim, struct conn *c)
{
	if (c->state == CONN_DEAD)
		return -ESTALE;
	/* before it is looked at for its end, which may come between */
	claim->is_kept = c->has_served && look_at(c->fd, &claim->standing);
	if (c->claims) {
		m->outlived = m->outlived || is_outlived(m, c);
	} else if (m->retired ||
		   (c->has_served && (!is_silent(c) || is_outlived(m, c)))) {
		shut_down(m, c);
		return -ESTALE;
	}
	link_claim(m, claim, c);
	return 0;
}

int multi_claim(struct multi *m, struct claim *claim, int port)
{
	struct conn *c;

	release(m, claim);
	claim->untouched = false;
	claim->is_kept = false;
	claim->is_kept_unix = false;
	claim->refused = false;
	claim->stream = 0;
	if (port <= 0)
		return claim_unix(m, claim);
	c = find_claimed(m, claim, port);
	if (c)
		return claim_kept(m, claim, c);
	return m->retired ? -ESTALE : 0;
}

/* The transfer has chosen one of the Unix sockets that rest. */
static void note_chosen(struct multi *m, CURL *easy, int fd)
{
	struct conn *c = find_fd(m, fd);

	if (c && c->state == CONN_RESTING && c->port == 0)
		link_claim(m, m->events.claim_of(easy), c);
}

void multi_socket_closed(struct multi *m, int fd)
{
	struct conn *c = find_fd(m, fd);

	if (c)
		forget_conn(m, c);
	loop_watch(m->loop, fd, 0, NULL, NULL);
	close(fd);
}

uint32_t multi_connections(const struct multi *m)
{
	/* Who has claimed none is about to open one. */
	return m->resting + m->busy + m->transfers - m->claimed;
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
	if (events)
		note_chosen(m, easy, fd);
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
	curl_multi_setopt(m->curl, CURLMOPT_MAX_CONCURRENT_STREAMS, n);
	curl_multi_setopt(m->curl, CURLMOPT_PIPELINING,
			  m->multiplex ? (long)CURLPIPE_MULTIPLEX
				       : (long)CURLPIPE_NOTHING);
	m->idle_ms = idle_ms;
	loop_timer_cancel(m->loop, &m->rest_timer);
	if (m->rest)
		set_rest_timer(m, loop_now_ms(m->loop));
}

void multi_set_way(struct multi *m, bool multiplex, uint32_t lifetime_ms)
{
	m->multiplex = multiplex;
	m->lifetime_ms = lifetime_ms;
}

bool multi_is_outlived(const struct multi *m)
{
	return m->outlived;
}

void multi_retire(struct multi *m)
{
	struct conn *c, *next;

	m->retired = true;
	DL_FOREACH_SAFE(m->rest, c, next)
	shut_down(m, c);
	note_spent(m);
}

int multi_add(struct multi *m, CURL *easy, struct claim *claim)
{
	int r;

	memset(claim, 0, sizeof(*claim));
	claim->fd = -1;
	r = from_multi_code(curl_multi_add_handle(m->curl, easy));
	if (!r)
		m->transfers++;
	return r;
}

void multi_remove(struct multi *m, CURL *easy, struct claim *claim)
{
	curl_multi_remove_handle(m->curl, easy);
	m->transfers--;
	release(m, claim);
	note_spent(m);
}
