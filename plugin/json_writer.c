#include "plugin/json_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/topic_utf8.h"

enum {
	FIRST_SIZE = 512
};

void json_reserve(struct json_writer *w, size_t more)
{
	size_t size = w->size ? w->size : FIRST_SIZE;
	char *text;

	if (w->failed || w->size - w->len > more)
		return;
	if (more >= JSON_WRITER_MAX - w->len) {
		w->failed = true;
		return;
	}
	while (size - w->len <= more)
		size *= 2;
	text = realloc(w->text, size);
	if (!text) {
		w->failed = true;
		return;
	}
	w->text = text;
	w->size = size;
}

static void put(struct json_writer *w, const char *text, size_t len)
{
	json_reserve(w, len);
	if (w->failed)
		return;
	memcpy(w->text + w->len, text, len);
	w->len += len;
}

static void put_char(struct json_writer *w, char c)
{
	if (w->size - w->len < 2 || w->failed)
		put(w, &c, 1);
	else
		w->text[w->len++] = c;
}

/* ---- strings ---- */

/* Of ASCII. 0: as it is; 'u': \u00XX; otherwise the letter after the
 * backslash. */
static const uint8_t escape[128] = {
	'u', 'u', 'u', 'u', 'u', 'u',         'u',           'u', 'b',
	't', 'n', 'u', 'f', 'r', 'u',         'u',           'u', 'u',
	'u', 'u', 'u', 'u', 'u', 'u',         'u',           'u', 'u',
	'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\',
};

static bool is_plain(uint8_t c)
{
	return c < 0x80 && !escape[c];
}

/* How many bytes at `p` one U+FFFD stands for, where no sequence begins: a
 * lead byte with the continuations it may have, a surrogate's three, or one
 * (as VerneMQ's encoder; contract.md, decision 20). */
static size_t bad_run(const uint8_t *p, size_t left)
{
	size_t n = 1, most;

	if (p[0] == 0xed && left > 2 && p[1] >= 0xa0)
		return 3;
	most = p[0] < 0xc0   ? 1
	       : p[0] < 0xe0 ? 2
	       : p[0] < 0xf0 ? 3
	       : p[0] < 0xf8 ? 4
			     : 1;
	while (n < most && n < left && utf8_is_continuation(p[n]))
		n++;
	return n;
}

/* Write what begins at `p` and is no ASCII. Returns its length. */
static size_t put_sequence(struct json_writer *w, const uint8_t *p, size_t left)
{
	size_t n = utf8_sequence(p, left);

	if (!n) {
		put(w, "\xef\xbf\xbd", 3);
		return bad_run(p, left);
	}
	/* Legal in JSON, line ends in JavaScript. */
	if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] | 1) == 0xa9)
		put(w, p[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
	else
		put(w, (const char *)p, n);
	return n;
}

static void put_escape(struct json_writer *w, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = { '\\', (char)escape[c], '0',
			 '0',  hex[c >> 4],     hex[c & 15] };

	put(w, text, escape[c] == 'u' ? 6 : 2);
}

static void put_string(struct json_writer *w, const uint8_t *p, size_t left)
{
	put_char(w, '"');
	while (left) {
		size_t n = 0;

		while (n < left && is_plain(p[n]))
			n++;
		if (n) {
			put(w, (const char *)p, n);
		} else if (*p >= 0x80) {
			n = put_sequence(w, p, left);
		} else {
			put_escape(w, *p);
			n = 1;
		}
		p += n;
		left -= n;
	}
	put_char(w, '"');
}

/* ---- values ---- */

/* What comes before any value: a comma, a key. */
static void begin(struct json_writer *w, const char *key)
{
	if (w->comma)
		put_char(w, ',');
	w->comma = true;
	if (key) {
		put_string(w, (const uint8_t *)key, strlen(key));
		put_char(w, ':');
	}
}

void json_open(struct json_writer *w, const char *key, char bracket)
{
	begin(w, key);
	put_char(w, bracket);
	w->comma = false;
}

void json_close(struct json_writer *w, char bracket)
{
	put_char(w, bracket);
	w->comma = true;
}

void json_null(struct json_writer *w, const char *key)
{
	begin(w, key);
	put(w, "null", 4);
}

void json_bool(struct json_writer *w, const char *key, bool value)
{
	begin(w, key);
	put(w, value ? "true" : "false", value ? 4 : 5);
}

void json_int(struct json_writer *w, const char *key, int64_t number)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%lld", (long long)number);

	begin(w, key);
	put(w, text, (size_t)len);
}

void json_seconds(struct json_writer *w, const char *key, uint64_t us)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%llu.%06u",
			   (unsigned long long)(us / 1000000),
			   (unsigned)(us % 1000000));

	begin(w, key);
	put(w, text, (size_t)len);
}

void json_millis(struct json_writer *w, const char *key, uint64_t us)
{
	char text[32];
	size_t len;

	snprintf(text, sizeof(text), "%llu.%03llu",
		 (unsigned long long)(us / 1000),
		 (unsigned long long)(us % 1000));
	len = strlen(text);
	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	begin(w, key);
	put(w, text, len);
}

void json_text(struct json_writer *w, const char *key, struct bytes text)
{
	if (!text.data) {
		json_null(w, key);
		return;
	}
	begin(w, key);
	put_string(w, text.data, text.len);
}

static void put_base64(struct json_writer *w, const uint8_t *p, size_t left)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	char *to;

	json_reserve(w, left / 3 * 4 + 4);
	if (w->failed)
		return;
	to = w->text + w->len;
	for (; left >= 3; left -= 3, p += 3) {
		*to++ = digit[p[0] >> 2];
		*to++ = digit[(p[0] & 3) << 4 | p[1] >> 4];
		*to++ = digit[(p[1] & 15) << 2 | p[2] >> 6];
		*to++ = digit[p[2] & 63];
	}
	if (left) {
		uint8_t second = left > 1 ? p[1] : 0;

		*to++ = digit[p[0] >> 2];
		*to++ = digit[(p[0] & 3) << 4 | second >> 4];
		*to++ = left > 1 ? digit[(second & 15) << 2] : '=';
		*to++ = '=';
	}
	w->len = (size_t)(to - w->text);
}

void json_base64(struct json_writer *w, const char *key, struct bytes data)
{
	if (!data.data) {
		json_null(w, key);
		return;
	}
	begin(w, key);
	put_char(w, '"');
	put_base64(w, data.data, data.len);
	put_char(w, '"');
}

/* ---- the end ---- */

int json_finish(struct json_writer *w, char **ret, size_t *ret_len)
{
	json_reserve(w, 1);
	if (w->failed) {
		json_abandon(w);
		return -ENOMEM;
	}
	w->text[w->len] = '\0';
	*ret = w->text;
	*ret_len = w->len;
	*w = (struct json_writer)JSON_WRITER_INIT;
	return 0;
}

void json_abandon(struct json_writer *w)
{
	free(w->text);
	*w = (struct json_writer)JSON_WRITER_INIT;
}
