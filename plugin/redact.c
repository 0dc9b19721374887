#include "plugin/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *redact_url(const char *url)
{
	const char *scheme = strstr(url, "://");
	const char *host = scheme ? scheme + 3 : url;
	const char *end = host + strcspn(host, "/?#");
	const char *at = memrchr(host, '@', (size_t)(end - host));
	char *ret = NULL;

	if (!at)
		return strdup(url);
	if (asprintf(&ret, "%.*s***%s", (int)(host - url), url, at) < 0)
		return NULL;
	return ret;
}
