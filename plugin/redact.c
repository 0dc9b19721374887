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

/* The parameters `from`, up to the fragment, which no endpoint sees. */
static void redact_query(char *to, const char *from)
{
	const char *end = from + strcspn(from, "#");

	for (;;) {
		size_t len = strcspn(from, "&#");
		const char *equals = memchr(from, '=', len);
		size_t shown = equals ? (size_t)(equals - from) + 1 : 0;

		to = mempcpy(to, from, shown);
		if (len > shown)
			to = mempcpy(to, "***", 3);
		from += len;
		if (from == end)
			break;
		*to++ = *from++;
	}
	*to = '\0';
}

char *redact_url_and_query(const char *url)
{
	char *shown = redact_url(url), *ret;
	size_t len, head;

	if (!shown)
		return NULL;
	len = strlen(shown);
	head = strcspn(shown, "?#");
	/* each parameter grows by two at most, and has a byte of its own */
	ret = malloc(len + 3 * (len - head) + 4);
	if (ret) {
		memcpy(ret, shown, head);
		ret[head] = '\0';
		if (shown[head] == '?') {
			ret[head] = '?';
			redact_query(ret + head + 1, shown + head + 1);
		}
	}
	free(shown);
	return ret;
}
