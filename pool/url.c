#include "pool/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pool/pool.h"

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
	return ok ? 0 : refuse(reterr, "the scheme must be http or https");
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

static int parse(CURLU *u, const char *full, char reterr[static 128])
{
	CURLUcode code;
	int r;

	code = curl_url_set(u, CURLUPART_URL, full,
			    CURLU_PATH_AS_IS | CURLU_URLENCODE |
				    CURLU_NON_SUPPORT_SCHEME);
	if (code == CURLUE_BAD_PORT_NUMBER)
		return refuse(reterr, "the port must be 1 to 65535");
	if (code == CURLUE_NO_HOST)
		return refuse(reterr, "the URL has no host");
	if (code)
		return explain(code, reterr);
	r = check_scheme(u, reterr);
	if (!r)
		r = check_authority(full, reterr);
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

int url_normalise(const char *url, char **ret, char reterr[static 128])
{
	CURLU *u = NULL;
	char *full = NULL;
	int r;

	r = check_bytes(url, reterr);
	if (r)
		return r;
	r = -ENOMEM;
	full = with_scheme(url);
	u = curl_url();
	if (!full || !u)
		goto out;
	r = parse(u, full, reterr);
	if (!r)
		r = compose(u, ret, reterr);
out:
	if (r == -ENOMEM)
		snprintf(reterr, 128, "out of memory");
	curl_url_cleanup(u);
	free(full);
	return r;
}

int pool_check_url(const char *url, char reterr[static 128])
{
	char *normal;
	int r;

	r = url_normalise(url, &normal, reterr);
	if (!r)
		free(normal);
	return r;
}
