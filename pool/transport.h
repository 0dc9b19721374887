/*
 * transport.h - how requests get to one endpoint: its URL taken apart, and
 * what TLS and proxies need.
 *
 * Inside pool/ only. An immutable value that holds its own copies of all
 * files. References are counted atomically: any thread may hold one, take one
 * more and let go. The last one wipes key and passwords.
 */
#ifndef POOL_TRANSPORT_H
#define POOL_TRANSPORT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool_transport;
struct transport;

/* Copies. Returns 0, -EINVAL (the URL), -ENOMEM, or -errno. */
int transport_create(struct transport **ret, const char *url,
		     const struct pool_transport *opts);

/* Returns `t`, with one reference more. */
struct transport *transport_ref(struct transport *t);
void transport_unref(struct transport *t); /* NULL is fine */

/* Whether requests would go the same way, to the last bit of every file. */
bool transport_equals(const struct transport *a, const struct transport *b);

/* Have `easy`, which must not outlive `t`, go this way. Returns 0, -ENOMEM or
 * -EIO. */
int transport_apply(const struct transport *t, CURL *easy);

/* A line "Host: ..." for every request, or NULL: libcurl's own will do. */
const char *transport_host_header(const struct transport *t);

bool transport_is_tls(const struct transport *t);

/* The name that certificates are to be for. */
const char *transport_server_name(const struct transport *t);

/* Whether connections are shared by requests under way. */
bool transport_may_multiplex(const struct transport *t);

uint32_t transport_connect_ms(const struct transport *t);
uint32_t transport_lifetime_ms(const struct transport *t);

#endif /* POOL_TRANSPORT_H */
