/*
 * http_server.h - an HTTP/1.1 server for tests, on a thread of its own and a
 * port of its own of 127.0.0.1, that answers as it is told: well, late,
 * wrongly or not at all.
 *
 * Every function but http_handler is for the test's thread. What cannot be
 * done, for want of memory or sockets, aborts the test. Knows no test
 * library.
 */
#ifndef TEST_UNIT_HTTP_SERVER_H
#define TEST_UNIT_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_server;

struct http_bytes {
	const void *data;
	size_t len;
};

/*
 * One answer; all zeroes is an empty 200. The forms are those of the golden
 * responses (`base` is a matter of the client's, and `chunks: []` is
 * `chunked` with no chunk).
 */
struct http_answer {
	int status;          /* 0: 200 */
	const char *headers; /* lines ending in CRLF; NULL: none */
	struct http_bytes body;

	/* Chunked coding instead of `body`. */
	bool chunked;
	const struct http_bytes *chunks;
	size_t n_chunks;
	const char *trailers; /* lines ending in CRLF; NULL: none */

	/* These bytes and nothing else, instead of all above, when
	 * `has_raw`. */
	bool has_raw;
	struct http_bytes raw;

	/* Instead of the body's length. The connection is closed after an
	 * answer that promised more than it held. */
	bool has_content_length;
	uint64_t content_length;

	bool no_length;      /* the body ends with the connection */
	bool http10;         /* says HTTP/1.0 */
	bool close;          /* says Connection: close, and does */
	bool close_silently; /* does */
	bool drop;           /* close without an answer */
	bool reset;          /* reset without an answer */
	bool hold;           /* wait for http_server_release() first */

	unsigned delay_ms;       /* before the first byte */
	unsigned chunk_delay_ms; /* before every chunk but the first */
	/* Pieces of this many bytes, chunk_delay_ms apart; 0: at once. */
	size_t drip_bytes;
};

/* A request, valid and unchanging until http_server_stop(). */
struct http_request {
	const char *text; /* all of it, and a NUL */
	size_t len;
	const char *body; /* in `text` */
	size_t body_len;
	unsigned connection; /* the first is 0 */
	unsigned nth;        /* on its connection; the first is 0 */
};

/* Decides on the server's thread how to answer; `*ret` is all zeroes before.
 * What `ret` points to is copied on return. May not call http_server_*(). */
typedef void http_handler(const struct http_request *req,
			  struct http_answer *ret, void *arg);

struct http_server *http_server_start(void);
void http_server_stop(struct http_server *s); /* NULL is fine */

uint16_t http_server_port(const struct http_server *s);

/* "http://127.0.0.1:PORT" and `path`. Valid until http_server_stop(). */
const char *http_server_url(struct http_server *s, const char *path);

/* From now on answer like this; copied. */
void http_server_answer(struct http_server *s, const struct http_answer *a);

/* Answer the next request for which none was pushed yet like this; copied. */
void http_server_push(struct http_server *s, const struct http_answer *a);

/* From now on ask `fn`, for requests without a pushed answer. NULL: the one
 * of http_server_answer() again. */
void http_server_handle(struct http_server *s, http_handler *fn, void *arg);

/* Let all answers go that are held now. Returns how many there were. */
unsigned http_server_release(struct http_server *s);

/* Close, or reset, every connection that awaits no answer; done on return. */
void http_server_close_idle(struct http_server *s, bool reset);

/* Send bytes nobody asked for on every connection that awaits no answer. */
void http_server_babble(struct http_server *s, const char *text);

struct http_counts {
	unsigned opened, closed, open; /* connections */
	unsigned most_open;            /* at any one time */
	unsigned requests;
	unsigned unanswered, most_unanswered;
};

void http_server_counts(struct http_server *s, struct http_counts *ret);

/* Wait, 10 seconds at most, until it has had n requests in all; n connections
 * are open; n answers are held. Returns whether it came to be. */
bool http_server_wait_requests(struct http_server *s, unsigned n);
bool http_server_wait_open(struct http_server *s, unsigned n);
bool http_server_wait_held(struct http_server *s, unsigned n);

/* The i-th request, of the first HTTP_SERVER_RECORDED; NULL when there is
 * none. */
#define HTTP_SERVER_RECORDED 4096
const struct http_request *http_server_request(struct http_server *s,
					       unsigned i);

/* How many requests came on a connection; the first is 0. */
unsigned http_server_requests_on(struct http_server *s, unsigned connection);

/* A header's value in a request, without the blanks around it, malloc'd; NULL
 * when there is none. */
char *http_request_header(const struct http_request *req, const char *name);

#endif /* TEST_UNIT_HTTP_SERVER_H */
