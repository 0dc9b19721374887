#include "plugin/credentials.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what may be a header ---- */

/* Set by the plugin or libcurl, or a matter of the connection: with another
 * value the request would not be what it says. Without Accept-Encoding answers
 * come as they are, and must. */
static const char *const taken[] = {
	"Content-Type", "Content-Length",    "Content-Encoding",
	"Connection",   "Transfer-Encoding", "Keep-Alive",
	"Upgrade",      "Proxy-Connection",  "Proxy-Authorization",
	"TE",           "Trailer",           "HTTP2-Settings",
	"Expect",       "Accept-Encoding",   "vernemq-hook",
	"traceparent",
};

static int refuse(char reterr[static CREDENTIALS_REASON_LEN], const char *why)
{
	snprintf(reterr, CREDENTIALS_REASON_LEN, "%s", why);
	return -EINVAL;
}

static bool is_token(const char *name)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";
	const char *c;

	for (c = name; *c; c++) {
		bool alnum = (*c >= '0' && *c <= '9') ||
			     (*c >= 'A' && *c <= 'Z') ||
			     (*c >= 'a' && *c <= 'z');

		if (!alnum && !strchr(marks, *c))
			return false;
	}
	return c != name && c - name <= CREDENTIALS_NAME_MAX;
}

static bool is_taken(const char *name)
{
	if (strncasecmp(name, "webhook-", 8) == 0)
		return true;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (strcasecmp(name, taken[i]) == 0)
			return true;
	}
	return false;
}

/* Bytes above ASCII are left to whom it concerns (RFC 9110 section 5.5). */
static bool is_value(const char *value)
{
	const char *c;

	for (c = value; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	}
	return c != value && c - value <= CREDENTIALS_VALUE_MAX &&
	       *value != ' ' && c[-1] != ' ';
}

static int check_header(const char *name, const char *value,
			char reterr[static CREDENTIALS_REASON_LEN])
{
	if (!is_token(name))
		return refuse(reterr,
			      "no name of a header; allowed: at most "
			      "128 letters, digits and !#$%&'*+-.^_`|~");
	if (is_taken(name))
		return refuse(reterr, "this header is the plugin's or the "
				      "protocol's own");
	if (!is_value(value))
		return refuse(reterr,
			      "no value of a header; allowed: 1 to "
			      "4096 bytes without control characters, no "
			      "blanks around them");
	return 0;
}

/* ---- life ---- */

struct credentials *credentials_new(void)
{
	struct credentials *c = calloc(1, sizeof(*c));

	if (c)
		atomic_init(&c->refs, 1);
	return c;
}

struct credentials *credentials_ref(struct credentials *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

static void wipe(char *line)
{
	explicit_bzero(line, strlen(line));
	free(line);
}

void credentials_unref(struct credentials *c)
{
	if (!c ||
	    atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < c->headers_count; i++)
		wipe(c->headers[i]);
	signature_forget(&c->keys);
	free(c);
}

/* ---- comparing ---- */

static bool same_keys(const struct signature_keys *a,
		      const struct signature_keys *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++) {
		const struct signature_key *x = &a->keys[i], *y = &b->keys[i];

		if (x->asymmetric != y->asymmetric || x->len != y->len ||
		    memcmp(x->bytes, y->bytes, x->len) != 0)
			return false;
	}
	return a->count == b->count;
}

bool credentials_equal(const struct credentials *a, const struct credentials *b)
{
	if (!a || !b)
		return a == b;
	if (a->headers_count != b->headers_count)
		return false;
	for (size_t i = 0; i < a->headers_count; i++) {
		if (strcmp(a->headers[i], b->headers[i]) != 0)
			return false;
	}
	return same_keys(&a->keys, &b->keys);
}

/* ---- adding ---- */

static bool has_header(const struct credentials *c, const char *name,
		       size_t len)
{
	for (size_t i = 0; i < c->headers_count; i++) {
		if (strncasecmp(c->headers[i], name, len) == 0 &&
		    c->headers[i][len] == ':')
			return true;
	}
	return false;
}

/* Takes `line`, also on failure. */
static int take_line(struct credentials *c, char *line,
		     char reterr[static CREDENTIALS_REASON_LEN])
{
	size_t bytes = strlen(line) + 2; /* its CR LF */

	if (c->headers_count == CREDENTIALS_HEADERS_MAX ||
	    c->headers_bytes + bytes > CREDENTIALS_BYTES_MAX) {
		wipe(line);
		return refuse(reterr, "too many headers; allowed: 16 for one "
				      "webhook, of 6144 bytes altogether");
	}
	c->headers[c->headers_count++] = line;
	c->headers_bytes += bytes;
	return 0;
}

int credentials_add_header(struct credentials *c, const char *name,
			   const char *value,
			   char reterr[static CREDENTIALS_REASON_LEN])
{
	char *line;
	int err;

	err = check_header(name, value, reterr);
	if (err)
		return err;
	if (has_header(c, name, strlen(name)))
		return refuse(reterr, "this header has a value already");
	if (asprintf(&line, "%s: %s", name, value) < 0)
		return -ENOMEM;
	return take_line(c, line, reterr);
}

int credentials_inherit(struct credentials *c, const struct credentials *from,
			char reterr[static CREDENTIALS_REASON_LEN])
{
	for (size_t i = 0; i < from->headers_count; i++) {
		const char *line = from->headers[i];
		char *copy;
		int err;

		if (has_header(c, line, strcspn(line, ":")))
			continue;
		copy = strdup(line);
		if (!copy)
			return -ENOMEM;
		err = take_line(c, copy, reterr);
		if (err)
			return err;
	}
	if (!c->keys.count)
		c->keys = from->keys;
	return 0;
}
