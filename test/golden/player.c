#include "test/golden/player.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 16 * 1024 * 1024 };

struct player {
	struct play *plays;
	size_t plays_count;
	int listener, dead;
	unsigned port, dead_port;
	pthread_t thread;
	pthread_mutex_t lock;		/* of all below */
	pthread_cond_t quiet;
	unsigned connections;
};

struct connection {
	struct player *player;
	int fd;
	char *text;			/* of a request, and what follows */
	size_t len, size;
};

static void die(const char *what)
{
	fprintf(stderr, "golden: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void sleep_ms(double ms)
{
	struct timespec t = { (time_t)(ms / 1000),
			      (long)ms % 1000 * 1000000L };

	while (ms > 0 && nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

/* ---- one request ---- */

static bool read_more(struct connection *c)
{
	ssize_t n;

	if (c->len + 1 >= c->size) {
		size_t size = c->size ? 2 * c->size : 4096;
		char *text = size > REQUEST_MAX ? NULL :
						  realloc(c->text, size);

		if (!text)
			return false;
		c->text = text;
		c->size = size;
	}
	do {
		n = recv(c->fd, c->text + c->len, c->size - c->len - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	c->len += (size_t)n;
	c->text[c->len] = '\0';
	return true;
}

/* Have a whole request in c->text. False when the client is gone. */
static bool read_request(struct connection *c, size_t *ret_head,
			 size_t *ret_body)
{
	const char *end, *length;

	while (!c->len || !memmem(c->text, c->len, "\r\n\r\n", 4))
		if (!read_more(c))
			return false;
	end = memmem(c->text, c->len, "\r\n\r\n", 4);
	*ret_head = (size_t)(end - c->text) + 4;
	length = strcasestr(c->text, "\r\nContent-Length:");
	*ret_body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
	while (c->len < *ret_head + *ret_body)
		if (!read_more(c))
			return false;
	return true;
}

static void keep_request(struct player *p, struct play *play, const char *head,
			 size_t head_len, size_t body_len)
{
	pthread_mutex_lock(&p->lock);
	free(play->head);
	free(play->body);
	play->head = strndup(head, head_len);
	play->body = malloc(body_len + 1);
	if (!play->head || !play->body)
		die("keep_request");
	memcpy(play->body, head + head_len, body_len);
	play->body_len = body_len;
	pthread_mutex_unlock(&p->lock);
}

/* ---- one answer ---- */

static bool put(struct connection *c, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool put_text(struct connection *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static bool put_text(struct connection *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return put(c, text, (size_t)n);
}

static bool put_head(struct connection *c, const struct json *answer,
		     struct bytes body)
{
	const struct json *headers = json_get(answer, "headers");
	bool ok = put_text(c, "HTTP/1.%d %d X\r\n",
			   !json_is_true(answer, "http10"),
			   (int)json_number(answer, "status", 200));

	for (struct json *h = headers ? headers->child : NULL; h; h = h->next)
		ok = ok && put_text(c, "%s: %s\r\n",
				    (const char *)h->child->text.data,
				    (const char *)h->child->next->text.data);
	if (json_get(answer, "chunks"))
		ok = ok && put_text(c, "Transfer-Encoding: chunked\r\n");
	else if (!json_is_true(answer, "no_length"))
		ok = ok && put_text(c, "Content-Length: %zu\r\n",
				    (size_t)json_number(answer,
							"content_length",
							(double)body.len));
	if (json_is_true(answer, "close"))
		ok = ok && put_text(c, "Connection: close\r\n");
	return ok && put_text(c, "\r\n");
}

static bool put_chunks(struct connection *c, const struct json *answer)
{
	const struct json *chunk = json_get(answer, "chunks")->child;

	for (; chunk; chunk = chunk->next) {
		sleep_ms(json_number(answer, "chunk_delay_ms", 0));
		if (!put_text(c, "%zx\r\n", chunk->text.len) ||
		    !put(c, chunk->text.data, chunk->text.len) ||
		    !put_text(c, "\r\n"))
			return false;
	}
	return put_text(c, "0\r\n\r\n");
}

/* Whether the client must see the connection closed behind the answer. */
static bool closes(const struct json *answer, struct bytes body)
{
	return json_is_true(answer, "close") ||
	       json_is_true(answer, "no_length") ||
	       json_is_true(answer, "http10") ||
	       json_number(answer, "content_length", 0) > (double)body.len;
}

/* False: the connection is over. */
static bool give_answer(struct connection *c, const struct json *answer)
{
	const struct json *raw = json_get(answer, "raw");
	const struct json *text = json_get(answer, "body");
	struct bytes body = text && text->kind == JSON_STRING ? text->text :
								bytes_of("");

	if (json_is_true(answer, "drop"))
		return false;
	sleep_ms(json_number(answer, "delay_ms", 0));
	if (raw && raw->kind == JSON_STRING)
		return put(c, raw->text.data, raw->text.len) &&
		       !closes(answer, body);
	if (!put_head(c, answer, body))
		return false;
	if (json_get(answer, "chunks") ? !put_chunks(c, answer) :
					 !put(c, body.data, body.len))
		return false;
	return !closes(answer, body);
}

/* ---- connections ---- */

static struct play *play_of(const struct connection *c)
{
	const char *path = strchr(c->text, ' ');
	size_t i = path && path[1] == '/' ? strtoul(path + 2, NULL, 10) :
					    SIZE_MAX;

	return i < c->player->plays_count ? &c->player->plays[i] : NULL;
}

static void converse(struct connection *c)
{
	size_t head, body;

	while (read_request(c, &head, &body)) {
		struct play *play = play_of(c);

		if (!play) {
			put_text(c, "HTTP/1.1 404 X\r\n\r\n");
			return;
		}
		keep_request(c->player, play, c->text, head, body);
		atomic_fetch_add(&play->requests, 1);
		c->len -= head + body;
		memmove(c->text, c->text + head + body, c->len);
		if (!give_answer(c, play->answer))
			return;
	}
}

static void *connection_main(void *arg)
{
	struct connection c = { .player = ((struct connection *)arg)->player,
				.fd = ((struct connection *)arg)->fd };
	struct player *p = c.player;
	char rest[4096];

	free(arg);
	converse(&c);
	/* Say goodbye before the socket goes: a close with unread bytes would
	 * reset what was sent. */
	shutdown(c.fd, SHUT_WR);
	while (recv(c.fd, rest, sizeof(rest), 0) > 0)
		;
	close(c.fd);
	free(c.text);
	pthread_mutex_lock(&p->lock);
	if (--p->connections == 0)
		pthread_cond_broadcast(&p->quiet);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void accept_one(struct player *p, int fd)
{
	struct connection *c = malloc(sizeof(*c));
	pthread_attr_t attr;
	pthread_t thread;
	int one = 1;

	if (!c)
		die("accept");
	*c = (struct connection){ .player = p, .fd = fd };
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pthread_mutex_lock(&p->lock);
	p->connections++;
	pthread_mutex_unlock(&p->lock);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	errno = pthread_create(&thread, &attr, connection_main, c);
	if (errno)
		die("pthread_create");
	pthread_attr_destroy(&attr);
}

static void *player_main(void *arg)
{
	struct player *p = arg;

	for (;;) {
		int fd = accept(p->listener, NULL, NULL);

		if (fd >= 0)
			accept_one(p, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			return NULL;	/* player_stop() shut it down */
	}
}

/* ---- life ---- */

static int bind_port(unsigned *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		die("bind");
	*ret_port = ntohs(at.sin_port);
	return fd;
}

struct player *player_start(struct play *plays, size_t n)
{
	struct player *p = calloc(1, sizeof(*p));

	if (!p)
		die("player");
	p->plays = plays;
	p->plays_count = n;
	p->listener = bind_port(&p->port);
	p->dead = bind_port(&p->dead_port);	/* bound, never listening */
	if (listen(p->listener, 256) != 0)
		die("listen");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->quiet, NULL);
	errno = pthread_create(&p->thread, NULL, player_main, p);
	if (errno)
		die("pthread_create");
	return p;
}

unsigned player_port(const struct player *p)
{
	return p->port;
}

unsigned player_dead_port(const struct player *p)
{
	return p->dead_port;
}

const char *player_head(struct player *p, struct json_arena *a, size_t play)
{
	const char *head = NULL;

	pthread_mutex_lock(&p->lock);
	if (p->plays[play].head)
		head = json_new_text(a, bytes_of(p->plays[play].head))
			       ->text.data;
	pthread_mutex_unlock(&p->lock);
	return head;
}

struct bytes player_body(struct player *p, struct json_arena *a, size_t play)
{
	struct bytes body = { 0 };

	pthread_mutex_lock(&p->lock);
	if (p->plays[play].body)
		body = json_new_text(a, (struct bytes){
						p->plays[play].body,
						p->plays[play].body_len })
			       ->text;
	pthread_mutex_unlock(&p->lock);
	return body;
}

void player_stop(struct player *p)
{
	shutdown(p->listener, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	pthread_mutex_lock(&p->lock);
	while (p->connections)
		pthread_cond_wait(&p->quiet, &p->lock);
	pthread_mutex_unlock(&p->lock);
	close(p->listener);
	close(p->dead);
	for (size_t i = 0; i < p->plays_count; i++) {
		free(p->plays[i].head);
		free(p->plays[i].body);
	}
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->quiet);
	free(p);
}
