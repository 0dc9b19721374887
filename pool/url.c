#include "pool/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include "pool/pool.h"

#define UNIX_SCHEME "http+unix://"

static int refuse(char reterr[static 128], const char *why)
{
	snprintf(reterr, 128, "%s", why);
	return -EINVAL;
}

static int check_bytes(const char *url, char reterr[static 128])
{
	const unsigned char *p;

	if (!*url)
		return refuse(reterr, "the URL is empty");
	for (p = (const unsigned char *)url; *p; p++) {
		if (*p > ' ' && *p != 0x7f)
			continue;
		snprintf(reterr, 128, "%s at byte %zu of the URL",
			 *p == ' ' ? "a space" : "a control character",
			 (size_t)((const char *)p - url) + 1);
		return -EINVAL;
	}
	return 0;
}

/* A "://" further back belongs to a path or a query. */
static bool has_scheme(const char *url)
{
	size_t n = strcspn(url, "/?#");

	return n > 0 && url[n - 1] == ':' && !strncmp(url + n, "//", 2);
}

/* The url with its scheme, malloc'd; NULL without memory. */
static char *with_scheme(const char *url)
{
	char *full;

	if (has_scheme(url))
		return strdup(url);
	return asprintf(&full, "http://%s", url) < 0 ? NULL : full;
}

static int explain(CURLUcode code, char reterr[static 128])
{
	snprintf(reterr, 128, "%s", curl_url_strerror(code));
	return code == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

static int check_scheme(CURLU *u, char reterr[static 128])
{
	char *scheme;
	CURLUcode code;
	bool ok;

	code = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
	if (code)
		return explain(code, reterr);
	ok = !strcmp(scheme, "http") || !strcmp(scheme, "https");
	curl_free(scheme);
	return ok ? 0
		  : refuse(reterr, "the scheme must be http or https, or "
				   "http+unix for a Unix socket");
}

static int check_host(CURLU *u, char reterr[static 128])
{
	char *host;
	CURLUcode code;
	bool ok;

	code = curl_url_get(u, CURLUPART_HOST, &host, 0);
	if (code == CURLUE_NO_HOST)
		return refuse(reterr, "the URL has no host");
	if (code)
		return explain(code, reterr);
	ok = *host != '\0';
	curl_free(host);
	return ok ? 0 : refuse(reterr, "the URL has no host");
}

/* curl skips further slashes before a host, and takes "host:" for a host
 * without a port and so "http:/host" for a host "http". None is meant. */
static int check_authority(const char *full, char reterr[static 128])
{
	const char *authority = strstr(full, "://") + 3;
	size_t n = strcspn(authority, "/?#");

	if (n == 0)
		return refuse(reterr, "the URL has no host");
	if (authority[n - 1] == ':')
		return refuse(reterr, "there is no port after the colon");
	return 0;
}

static int check_port(CURLU *u, char reterr[static 128])
{
	char *port;
	CURLUcode code;
	bool ok;

	code = curl_url_get(u, CURLUPART_PORT, &port, 0);
	if (code == CURLUE_NO_PORT)
		return 0;
	if (code)
		return explain(code, reterr);
	ok = strtol(port, NULL, 10) > 0;
	curl_free(port);
	return ok ? 0 : refuse(reterr, "the port must be 1 to 65535");
}

static int take_text(CURLU *u, const char *full, char reterr[static 128])
{
	CURLUcode code;

	code = curl_url_set(u, CURLUPART_URL, full,
			    CURLU_PATH_AS_IS | CURLU_URLENCODE |
				    CURLU_NON_SUPPORT_SCHEME);
	if (code == CURLUE_BAD_PORT_NUMBER)
		return refuse(reterr, "the port must be 1 to 65535");
	if (code == CURLUE_NO_HOST)
		return refuse(reterr, "the URL has no host");
	return code ? explain(code, reterr) : 0;
}

static int check_place(CURLU *u, const char *full, char reterr[static 128])
{
	int r = check_authority(full, reterr);

	if (!r)
		r = check_host(u, reterr);
	if (!r)
		r = check_port(u, reterr);
	return r;
}

static int compose(CURLU *u, char **ret, char reterr[static 128])
{
	CURLUcode code;
	char *url;

	code = curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	if (!code)
		code = curl_url_get(u, CURLUPART_URL, &url, 0);
	if (code)
		return explain(code, reterr);
	*ret = strdup(url);
	curl_free(url);
	return *ret ? 0 : -ENOMEM;
}

/*
 * A server with another name
 */

/* Host and port as they stand in a Host header: the port only where it is not
 * the scheme's own. And both, always. */
static CURLUcode get_host(CURLU *u, char **ret_host, char **ret_port,
			  bool *ret_own_port)
{
	CURLUcode code;

	code = curl_url_get(u, CURLUPART_HOST, ret_host, 0);
	if (code)
		return code;
	code = curl_url_get(u, CURLUPART_PORT, ret_port, CURLU_DEFAULT_PORT);
	*ret_own_port = !code && strcmp(*ret_port, "443") != 0;
	return code;
}

static int take_name(CURLU *u, const char *name, struct url *ret,
		     char reterr[static 128])
{
	char *host = NULL, *port = NULL;
	bool own_port = false;
	CURLUcode code;
	int r = 0;

	code = get_host(u, &host, &port, &own_port);
	if (!code)
		code = curl_url_set(u, CURLUPART_HOST, name, 0);
	if (code) {
		r = explain(code, reterr);
	} else {
		if (asprintf(&ret->connect_to, "%s:%s:%s:%s", name, port, host,
			     port) < 0)
			ret->connect_to = NULL;
		if (asprintf(&ret->host_header, "Host: %s%s%s", host,
			     own_port ? ":" : "", own_port ? port : "") < 0)
			ret->host_header = NULL;
		if (!ret->connect_to || !ret->host_header)
			r = -ENOMEM;
	}
	curl_free(host);
	curl_free(port);
	return r;
}

/*
 * Unix sockets
 */

static int hex(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at && c > ' ' ? (int)(at - digits) : -1;
}

/* In place. */
static bool decode_percent(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		if (hex(text[1]) < 0 || hex(text[2]) < 0)
			return false;
		*to = (char)(hex(text[1]) * 16 + hex(text[2]));
		if (!*to++)
			return false;
		text += 2;
	}
	*to = '\0';
	return true;
}

/* `http+unix://SOCKET:PATH` becomes a URL of a host that stands for it. */
static int take_socket(const char *url, struct url *ret, char **ret_full,
		       char reterr[static 128])
{
	const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	const char *socket = url + strlen(UNIX_SCHEME);
	size_t n = strcspn(socket, ":?#");
	const char *path = socket + n;

	if (*socket != '/' || n < 2)
		return refuse(reterr, "after http+unix:// comes the absolute "
				      "path of a socket");
	if (*path == ':')
		path++;
	else if (*path)
		return refuse(reterr, "between socket and query there is a "
				      "colon and a path");
	if (*path && *path != '/')
		return refuse(reterr, "after the socket comes a colon and a "
				      "path that begins with /");
	ret->socket = strndup(socket, n);
	if (!ret->socket)
		return -ENOMEM;
	if (!decode_percent(ret->socket))
		return refuse(reterr, "a % in the path of the socket that "
				      "two hexadecimal digits do not follow");
	if (strlen(ret->socket) > max)
		return refuse(reterr, "the path of the socket exceeds 107 "
				      "bytes");
	return asprintf(ret_full, "http://localhost%s", path) < 0 ? -ENOMEM : 0;
}

/*
 * A URL
 */

static int take_apart(CURLU *u, const char *full, const char *server_name,
		      struct url *ret, char reterr[static 128])
{
	int r = take_text(u, full, reterr);

	if (!r)
		r = check_scheme(u, reterr);
	if (!r)
		r = check_place(u, full, reterr);
	if (r)
		return r;
	ret->tls = !strncmp(full, "https:", 6);
	if (server_name && ret->tls)
		r = take_name(u, server_name, ret, reterr);
	return r ? r : compose(u, &ret->text, reterr);
}

int url_parse(const char *url, const char *server_name, struct url *ret,
	      char reterr[static 128])
{
	struct url parts = { 0 };
	CURLU *u = NULL;
	char *full = NULL;
	int r;

	r = check_bytes(url, reterr);
	if (!r && !strncmp(url, UNIX_SCHEME, strlen(UNIX_SCHEME)))
		r = take_socket(url, &parts, &full, reterr);
	else if (!r)
		full = with_scheme(url);
	u = curl_url();
	if (!r && (!full || !u))
		r = -ENOMEM;
	if (!r)
		r = take_apart(u, full, server_name, &parts, reterr);
	if (r == -ENOMEM)
		snprintf(reterr, 128, "out of memory");
	if (r)
		url_clear(&parts);
	else
		*ret = parts;
	curl_url_cleanup(u);
	free(full);
	return r;
}

void url_clear(struct url *url)
{
	free(url->text);
	free(url->socket);
	free(url->connect_to);
	free(url->host_header);
	memset(url, 0, sizeof(*url));
}

/* With a path curl would take it for the name of a Unix socket. */
static int check_no_path(CURLU *u, char reterr[static 128])
{
	char *path;
	CURLUcode code;
	bool ok;

	code = curl_url_get(u, CURLUPART_PATH, &path, 0);
	if (code)
		return explain(code, reterr);
	ok = !*path || !strcmp(path, "/");
	curl_free(path);
	return ok ? 0 : refuse(reterr, "a proxy has no path");
}

int pool_check_proxy(const char *proxy, char reterr[static 128])
{
	static const char *const schemes[] = { "http://", "socks5://",
					       "socks5h://" };
	CURLU *u;
	size_t i;
	int r;

	r = check_bytes(proxy, reterr);
	if (r)
		return r;
	for (i = 0; i < 3; i++) {
		if (!strncmp(proxy, schemes[i], strlen(schemes[i])))
			break;
	}
	if (i == 3)
		return refuse(reterr, "the URL of a proxy begins with http://, "
				      "socks5:// or socks5h://");
	u = curl_url();
	r = u ? take_text(u, proxy, reterr) : -ENOMEM;
	if (!r)
		r = check_place(u, proxy, reterr);
	if (!r)
		r = check_no_path(u, reterr);
	curl_url_cleanup(u);
	return r;
}

int pool_check_url(const char *url, char reterr[static 128])
{
	struct url parts;
	int r;

	r = url_parse(url, NULL, &parts, reterr);
	if (!r)
		url_clear(&parts);
	return r;
}
