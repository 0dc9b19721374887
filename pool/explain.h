/*
 * explain.h - what libcurl's errors mean, for people: each failure of TLS in
 * words of its own, with the setting it is about, and no password.
 *
 * Inside pool/ only. Pure, any thread.
 */
#ifndef POOL_EXPLAIN_H
#define POOL_EXPLAIN_H

#include <curl/curl.h>
#include <stdbool.h>

struct transport;

#define EXPLAIN_LEN 512

/* `text` is libcurl's, of a transfer that went by `way` and ended with
 * `result`, its request `sent` or not. */
void explain(const struct transport *way, CURLcode result, const char *text,
	     bool sent, char ret[static EXPLAIN_LEN]);

/* Whether the server, in a TLS 1.3 handshake that we took for finished, has
 * refused the client, and so has processed nothing. */
bool explain_is_refusal(CURLcode result, const char *text);

#endif /* POOL_EXPLAIN_H */
