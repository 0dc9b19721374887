/*
 * url.h - what an endpoint's URL may be, and where it leads. Any thread.
 */
#ifndef POOL_URL_H
#define POOL_URL_H

#include <stdbool.h>

/* A URL taken apart. All malloc'd. */
struct url {
	/* In the form that curl gets: with a scheme, without a fragment, and
	 * bytes beyond ASCII in path and query percent-encoded (contract.md,
	 * section 2). Its host is the name that TLS asks for. */
	char *text;
	/* The path of a Unix socket, of at most 107 bytes; or NULL. */
	char *socket;
	/* Where that host is not the one to connect to: a value of
	 * CURLOPT_CONNECT_TO, and a Host header. Else NULL. */
	char *connect_to, *host_header;
	bool tls;
};

/*
 * Take `url` apart: an http or https one, or `http+unix://` with the path of
 * a socket, percent-encoded where it has a `:`, `%`, `?` or `#`, and then `:`
 * and a path. With `server_name`, which may be NULL, an https one is to a
 * server of that name at the URL's host. Returns 0 and what url_clear() is
 * for; or -EINVAL with what is wrong in `reterr`, which never repeats the
 * URL, for it may hold a password; or -ENOMEM, with `reterr` set too.
 */
int url_parse(const char *url, const char *server_name, struct url *ret,
	      char reterr[static 128]);

/* Zeroes are fine. */
void url_clear(struct url *url);

#endif /* POOL_URL_H */
