#include "test/golden/player.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "test/unit/http_server.h"

enum {
	CHUNKS_MAX = 64,
	HEADERS_SIZE = 4096
};

struct player {
	struct http_server *server;
	struct play *plays;
	size_t plays_count;
	int dead; /* bound, never listening */
	unsigned dead_port;
	pthread_mutex_t lock; /* of the requests kept in plays */
	/* The server's thread only: what an answer points to. */
	char headers[HEADERS_SIZE];
	struct http_bytes chunks[CHUNKS_MAX];
};

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* ---- answers ---- */

static struct http_bytes bytes_at(const struct json *j)
{
	struct http_bytes b = { "", 0 };

	if (j && j->kind == JSON_STRING)
		b = (struct http_bytes){ j->text.data, j->text.len };
	return b;
}

static void set_headers(struct player *p, const struct json *answer,
			struct http_answer *ret)
{
	const struct json *list = json_get(answer, "headers");
	size_t used = 0;

	p->headers[0] = '\0';
	for (struct json *h = list ? list->child : NULL; h; h = h->next) {
		int n = snprintf(p->headers + used, HEADERS_SIZE - used,
				 "%s: %s\r\n",
				 (const char *)h->child->text.data,
				 (const char *)h->child->next->text.data);

		used += (size_t)n;
		if (used >= HEADERS_SIZE)
			die("headers");
	}
	ret->headers = p->headers;
}

static void set_chunks(struct player *p, const struct json *answer,
		       struct http_answer *ret)
{
	const struct json *list = json_get(answer, "chunks");

	ret->chunked = list;
	for (struct json *c = list ? list->child : NULL; c; c = c->next) {
		if (ret->n_chunks == CHUNKS_MAX)
			die("chunks");
		p->chunks[ret->n_chunks++] = bytes_at(c);
	}
	ret->chunks = p->chunks;
	ret->chunk_delay_ms =
		(unsigned)json_number(answer, "chunk_delay_ms", 0);
}

static void set_answer(struct player *p, const struct json *answer,
		       struct http_answer *ret)
{
	const struct json *raw = json_get(answer, "raw");

	ret->status = (int)json_number(answer, "status", 200);
	ret->body = bytes_at(json_get(answer, "body"));
	ret->delay_ms = (unsigned)json_number(answer, "delay_ms", 0);
	ret->no_length = json_is_true(answer, "no_length");
	ret->http10 = json_is_true(answer, "http10");
	ret->close = json_is_true(answer, "close");
	ret->drop = json_is_true(answer, "drop");
	ret->has_raw = raw;
	ret->raw = bytes_at(raw);
	ret->has_content_length = json_get(answer, "content_length");
	ret->content_length =
		(uint64_t)json_number(answer, "content_length", 0);
	set_headers(p, answer, ret);
	set_chunks(p, answer, ret);
}

/* ---- requests ---- */

static void keep_request(struct player *p, struct play *play,
			 const struct http_request *req)
{
	pthread_mutex_lock(&p->lock);
	free(play->head);
	free(play->body);
	play->head = strndup(req->text, (size_t)(req->body - req->text));
	play->body = malloc(req->body_len + 1);
	if (!play->head || !play->body)
		die("request");
	memcpy(play->body, req->body, req->body_len);
	play->body_len = req->body_len;
	pthread_mutex_unlock(&p->lock);
	atomic_fetch_add(&play->requests, 1);
}

static void handle(const struct http_request *req, struct http_answer *ret,
		   void *arg)
{
	struct player *p = arg;
	const char *path = strchr(req->text, '/');
	size_t i = path ? strtoul(path + 1, NULL, 10) : SIZE_MAX;

	if (i >= p->plays_count) {
		ret->status = 404;
		return;
	}
	keep_request(p, &p->plays[i], req);
	set_answer(p, p->plays[i].answer, ret);
}

bool player_request(struct player *p, struct json_arena *a, size_t play,
		    const char **ret_head, struct bytes *ret_body)
{
	const struct play *from = &p->plays[play];
	bool found;

	pthread_mutex_lock(&p->lock);
	found = from->head;
	if (found) {
		struct bytes body = { from->body, from->body_len };

		*ret_head = json_new_text(a, bytes_of(from->head))->text.data;
		*ret_body = json_new_text(a, body)->text;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

/* ---- life ---- */

static void bind_dead_port(struct player *p)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);

	p->dead = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->dead < 0 ||
	    bind(p->dead, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    getsockname(p->dead, (struct sockaddr *)&at, &len) != 0)
		die("bind");
	p->dead_port = ntohs(at.sin_port);
}

struct player *player_start(struct play *plays, size_t n)
{
	struct player *p = calloc(1, sizeof(*p));

	if (!p)
		die("player");
	p->plays = plays;
	p->plays_count = n;
	pthread_mutex_init(&p->lock, NULL);
	bind_dead_port(p);
	p->server = http_server_start();
	http_server_handle(p->server, handle, p);
	return p;
}

unsigned player_port(const struct player *p)
{
	return http_server_port(p->server);
}

unsigned player_dead_port(const struct player *p)
{
	return p->dead_port;
}

void player_stop(struct player *p)
{
	http_server_stop(p->server);
	close(p->dead);
	for (size_t i = 0; i < p->plays_count; i++) {
		free(p->plays[i].head);
		free(p->plays[i].body);
	}
	pthread_mutex_destroy(&p->lock);
	free(p);
}
