#include "plugin/admin/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pool/loop.h"

enum {
	REQUEST_MAX = 64 * 1024,
	ACCEPT_PAUSE_MS = 1000,
};

static const char stopping_text[] = "the broker is stopping";

struct admin_http {
	struct loop *loop;
	struct MHD_Daemon *daemon;
	int listen_fd, epoll_fd;
	admin_http_fn *fn;
	admin_http_guard_fn *guard; /* NULL: everybody may */
	void *arg;
	unsigned connections;
	bool only_reads, stopping;
	struct loop_timer run_timer; /* libmicrohttpd's next time-out */
	struct loop_timer accept_timer;
	struct exchange *waiting; /* suspended, youngest first */
	uint64_t last_ticket;
};

/* One request and its reply. Lives from request line to end of reply. */
struct exchange {
	struct admin_http *http;
	char *uri;
	enum {
		EXCHANGE_HEAD = 0, /* the head has not been seen yet */
		EXCHANGE_BODY,     /* its body comes in */
		EXCHANGE_ASKED,    /* handed over */
		EXCHANGE_ANSWERED,
	} state;
	bool suspended;
	size_t body_len;
	uint64_t ticket;
	struct admin_reply reply;
	struct MHD_Connection *connection;
	struct exchange *next;   /* of http->waiting */
	struct loop_timer timer; /* while suspended */
};

/* ---- running libmicrohttpd ---- */

static void run(struct admin_http *http)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(http->daemon);
	if (MHD_get_timeout(http->daemon, &ms) == MHD_YES)
		loop_timer_set(http->loop, &http->run_timer,
			       loop_now_ms(http->loop) + (int64_t)ms);
	else
		loop_timer_cancel(http->loop, &http->run_timer);
}

static void on_run_timer(struct loop *loop, void *arg)
{
	(void)loop;
	run(arg);
}

static void on_daemon_event(struct loop *loop, int fd, unsigned events,
			    void *arg)
{
	(void)loop;
	(void)fd;
	(void)events;
	run(arg);
}

/* ---- accepting ---- */

static void on_listen(struct loop *loop, int fd, unsigned events, void *arg);

/* Not watched, the socket leaves who comes waiting in the kernel's queue. */
static void accept_on(struct admin_http *http, bool on)
{
	loop_watch(http->loop, http->listen_fd, on ? LOOP_READ : 0, on_listen,
		   http);
}

static void on_accept_timer(struct loop *loop, void *arg)
{
	struct admin_http *http = arg;

	(void)loop;
	accept_on(http, http->connections < ADMIN_CONNECTIONS);
}

/*
 * We accept ourselves: libmicrohttpd 0.9.75 reads past its buffer for a peer
 * whose own socket has a path, and after its connection limit was reached
 * accepts only with the next unrelated event.
 */
static void on_listen(struct loop *loop, int fd, unsigned events, void *arg)
{
	static const struct sockaddr unnamed = { .sa_family = AF_UNIX };
	struct admin_http *http = arg;
	int client;

	(void)events;
	while (http->connections < ADMIN_CONNECTIONS) {
		client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (client < 0)
			break;
		MHD_add_connection(http->daemon, client, &unnamed,
				   sizeof(unnamed.sa_family));
	}
	if (http->connections >= ADMIN_CONNECTIONS) {
		accept_on(http, false);
	} else if (errno != EAGAIN && errno != EWOULDBLOCK) {
		/* out of descriptors or memory: not a busy loop */
		accept_on(http, false);
		loop_timer_set(loop, &http->accept_timer,
			       loop_now_ms(loop) + ACCEPT_PAUSE_MS);
	}
	run(http);
}

static void on_connection(void *arg, struct MHD_Connection *connection,
			  void **context,
			  enum MHD_ConnectionNotificationCode toe)
{
	struct admin_http *http = arg;

	(void)connection;
	(void)context;
	if (toe == MHD_CONNECTION_NOTIFY_STARTED) {
		http->connections++;
	} else {
		if (http->connections == ADMIN_CONNECTIONS && !http->stopping)
			accept_on(http, true);
		http->connections--;
	}
}

/* ---- one exchange ---- */

static void *on_request_line(void *arg, const char *uri,
			     struct MHD_Connection *connection)
{
	struct exchange *ex = calloc(1, sizeof(*ex));

	if (!ex)
		return NULL;
	ex->uri = strdup(uri);
	if (!ex->uri) {
		free(ex);
		return NULL;
	}
	ex->http = arg;
	ex->connection = connection;
	return ex;
}

static void stop_waiting(struct exchange *ex)
{
	struct exchange **at = &ex->http->waiting;

	while (*at != ex)
		at = &(*at)->next;
	*at = ex->next;
	loop_timer_cancel(ex->http->loop, &ex->timer);
	ex->suspended = false;
}

static void on_exchange_end(void *arg, struct MHD_Connection *connection,
			    void **context, enum MHD_RequestTerminationCode toe)
{
	struct exchange *ex = *context;

	(void)arg;
	(void)connection;
	(void)toe;
	*context = NULL;
	if (!ex)
		return;
	if (ex->suspended)
		stop_waiting(ex);
	free(ex->reply.body);
	free(ex->uri);
	free(ex);
}

/* Takes the body of `reply`. */
static enum MHD_Result send_reply(struct exchange *ex,
				  struct admin_reply *reply)
{
	struct MHD_Response *response;
	enum MHD_Result sent = MHD_NO;

	response = MHD_create_response_from_buffer(reply->len, reply->body,
						   MHD_RESPMEM_MUST_FREE);
	if (!response)
		return MHD_NO;
	reply->body = NULL;
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				    reply->type
					    ? reply->type
					    : "application/json") == MHD_YES &&
	    (reply->status != MHD_HTTP_METHOD_NOT_ALLOWED ||
	     MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
				     ex->http->only_reads
					     ? "GET, HEAD"
					     : "GET, HEAD, POST") == MHD_YES))
		sent = MHD_queue_response(ex->connection, reply->status,
					  response);
	MHD_destroy_response(response);
	return sent;
}

static void get_peer(struct MHD_Connection *connection, struct admin_peer *ret)
{
	const union MHD_ConnectionInfo *info;
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*ret = (struct admin_peer){ .uid = (uid_t)-1, .pid = -1 };
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &cred,
			       &len) == 0)
		*ret = (struct admin_peer){ .uid = cred.uid, .pid = cred.pid };
}

static void on_late(struct loop *loop, void *arg)
{
	struct exchange *ex = arg;
	struct admin_reply reply = admin_reply_error(
		503,
		"the broker did not get to it within %d s: it is held up, "
		"perhaps by a slow endpoint; it may still do it",
		ADMIN_ANSWER_MS / 1000);

	(void)loop;
	admin_http_answer(ex->http, ex->ticket, &reply);
}

static void wait_for_answer(struct exchange *ex)
{
	ex->suspended = true;
	ex->timer.fn = on_late;
	ex->timer.arg = ex;
	loop_timer_set(ex->http->loop, &ex->timer,
		       loop_now_ms(ex->http->loop) + ADMIN_ANSWER_MS);
	MHD_suspend_connection(ex->connection);
}

/*
 * An answer finds its exchange in the list, so the exchange is in it before
 * it is handed over, and leaves it when the answer came at once.
 */
static enum MHD_Result ask(struct exchange *ex)
{
	struct admin_http *http = ex->http;
	struct admin_peer peer;

	get_peer(ex->connection, &peer);
	ex->ticket = ++http->last_ticket;
	ex->state = EXCHANGE_ASKED;
	ex->next = http->waiting;
	http->waiting = ex;
	http->fn(http, ex->ticket, ex->uri, &peer, http->arg);
	if (ex->state == EXCHANGE_ANSWERED)
		return send_reply(ex, &ex->reply);
	wait_for_answer(ex);
	return MHD_YES;
}

void admin_http_answer(struct admin_http *http, uint64_t ticket,
		       const struct admin_reply *reply)
{
	struct exchange *ex = http->waiting;
	bool suspended;

	while (ex && ex->ticket != ticket)
		ex = ex->next;
	if (!ex) {
		free(reply->body);
		return;
	}
	suspended = ex->suspended;
	stop_waiting(ex);
	ex->reply = *reply;
	ex->state = EXCHANGE_ANSWERED;
	if (!suspended)
		return;
	MHD_resume_connection(ex->connection);
	/* without a thread of its own it does not wake itself */
	loop_timer_set(http->loop, &http->run_timer, loop_now_ms(http->loop));
}

static enum MHD_Result refuse(struct exchange *ex, unsigned status,
			      const char *why)
{
	struct admin_reply reply = admin_reply_error(status, "%s", why);

	return send_reply(ex, &reply);
}

void admin_http_set_guard(struct admin_http *http, admin_http_guard_fn *fn)
{
	http->guard = fn;
}

static bool let_in(struct exchange *ex, struct admin_reply *reply)
{
	struct admin_http *http = ex->http;
	struct admin_peer peer;

	if (!http->guard)
		return true;
	get_peer(ex->connection, &peer);
	return http->guard(&peer, reply, http->arg);
}

static bool known_method(const struct admin_http *http, const char *method)
{
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
	       strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ||
	       (!http->only_reads && strcmp(method, MHD_HTTP_METHOD_POST) == 0);
}

/* libmicrohttpd calls with the head, with each piece of the body, once at
 * its end, and again after a resume. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *upload,
				  size_t *upload_size, void **context)
{
	struct exchange *ex = *context;
	struct admin_reply reply;

	(void)arg;
	(void)connection;
	(void)url;
	(void)version;
	(void)upload;
	if (!ex)
		return MHD_NO; /* no memory: close */
	if (ex->state == EXCHANGE_ANSWERED)
		return send_reply(ex, &ex->reply);
	if (ex->state == EXCHANGE_HEAD) {
		ex->state = EXCHANGE_BODY;
		if (!let_in(ex, &reply))
			return send_reply(ex, &reply);
		if (!known_method(ex->http, method))
			return refuse(ex, MHD_HTTP_METHOD_NOT_ALLOWED,
				      ex->http->only_reads
					      ? "the methods here are GET and "
						"HEAD"
					      : "the methods here are GET, "
						"HEAD and POST");
		return MHD_YES;
	}
	if (*upload_size) {
		ex->body_len += *upload_size;
		*upload_size = 0;
		return ex->body_len > REQUEST_MAX ? MHD_NO : MHD_YES;
	}
	if (ex->body_len)
		return refuse(ex, MHD_HTTP_BAD_REQUEST,
			      "arguments belong in the query, not in the body");
	if (ex->http->stopping)
		return refuse(ex, MHD_HTTP_SERVICE_UNAVAILABLE, stopping_text);
	return ask(ex);
}

/* ---- life ---- */

/* What libmicrohttpd has to say (a peer's broken request, mostly) it has
 * also told the peer. */
__attribute__((format(printf, 2, 0))) static void ignore_log(void *arg,
							     const char *fmt,
							     va_list ap)
{
	(void)arg;
	(void)fmt;
	(void)ap;
}

static int start_daemon(struct admin_http *http)
{
	const union MHD_DaemonInfo *info;

	/* The connection limit is ours: 0.9.75 does not survive reaching
	 * its own by MHD_add_connection(). */
	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
			MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
		0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER,
		ignore_log, NULL, MHD_OPTION_CONNECTION_LIMIT,
		2u * ADMIN_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)REQUEST_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)ADMIN_IDLE_S, MHD_OPTION_URI_LOG_CALLBACK,
		on_request_line, http, MHD_OPTION_NOTIFY_COMPLETED,
		on_exchange_end, http, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, http, MHD_OPTION_END);
	if (!http->daemon)
		return -EIO;
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || info->epoll_fd < 0)
		return -EIO;
	http->epoll_fd = info->epoll_fd;
	return loop_watch(http->loop, http->epoll_fd, LOOP_READ,
			  on_daemon_event, http);
}

int admin_http_create(struct admin_http **ret, struct loop *loop, int listen_fd,
		      admin_http_fn *fn, void *arg)
{
	struct admin_http *http = calloc(1, sizeof(*http));
	int err;

	if (!http)
		return -ENOMEM;
	http->loop = loop;
	http->listen_fd = listen_fd;
	http->epoll_fd = -1;
	http->fn = fn;
	http->arg = arg;
	http->run_timer.fn = on_run_timer;
	http->run_timer.arg = http;
	http->accept_timer.fn = on_accept_timer;
	http->accept_timer.arg = http;
	err = start_daemon(http);
	if (!err)
		err = loop_watch(loop, listen_fd, LOOP_READ, on_listen, http);
	if (err)
		admin_http_destroy(http);
	else
		*ret = http;
	return err;
}

void admin_http_only_read(struct admin_http *http)
{
	http->only_reads = true;
}

/* libmicrohttpd must not be stopped while a connection is suspended. */
static void dismiss_waiting(struct admin_http *http)
{
	http->stopping = true;
	while (http->waiting) {
		struct admin_reply reply =
			admin_reply_error(503, "%s", stopping_text);

		admin_http_answer(http, http->waiting->ticket, &reply);
	}
	MHD_run(http->daemon);
	MHD_run(http->daemon);
}

void admin_http_destroy(struct admin_http *http)
{
	if (!http)
		return;
	loop_watch(http->loop, http->listen_fd, 0, NULL, NULL);
	if (http->epoll_fd >= 0)
		loop_watch(http->loop, http->epoll_fd, 0, NULL, NULL);
	if (http->daemon) {
		dismiss_waiting(http);
		MHD_stop_daemon(http->daemon);
	}
	loop_timer_cancel(http->loop, &http->run_timer);
	loop_timer_cancel(http->loop, &http->accept_timer);
	free(http);
}
