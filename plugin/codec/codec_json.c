#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/codec/codec_private.h"
#include "plugin/topic_utf8.h"

struct reader {
	const char *p, *end;
	const char *name; /* the last member's, at its quote */
	struct json_facts *facts;
	const char *wrong; /* what is wrong at `p` */
};

static bool fail(struct reader *r, const char *wrong)
{
	r->wrong = wrong;
	return false;
}

static void skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' ||
				 *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

/* The value of four hexadecimal digits at `p`, or -1. */
static int hex4(const struct reader *r, const char *p)
{
	int value = 0;

	if (r->end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			value = value << 4 | ((c | 32) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* At the `u` of an escape. */
static bool read_unicode_escape(struct reader *r)
{
	int unit = hex4(r, r->p + 1), low;

	if (unit < 0)
		return fail(r, "\\u without four hexadecimal digits");
	if (unit == 0)
		r->facts->nul = true;
	if (unit >= 0xdc00 && unit <= 0xdfff)
		return fail(r, "half a surrogate pair");
	if (unit < 0xd800 || unit > 0xdbff) {
		r->p += 5;
		return true;
	}
	if (r->end - r->p < 11 || r->p[5] != '\\' || r->p[6] != 'u')
		return fail(r, "half a surrogate pair");
	low = hex4(r, r->p + 7);
	if (low < 0xdc00 || low > 0xdfff)
		return fail(r, "half a surrogate pair");
	r->p += 11;
	return true;
}

/* At the character after the backslash. */
static bool read_escape(struct reader *r)
{
	if (r->p == r->end)
		return fail(r, "the text ends inside a string");
	if (*r->p == 'u')
		return read_unicode_escape(r);
	if (!*r->p || !strchr("\"\\/bfnrt", *r->p))
		return fail(r, "unknown escape in a string");
	r->p++;
	return true;
}

/* At the opening quote. */
static bool read_string(struct reader *r)
{
	r->p++;
	while (r->p < r->end) {
		uint8_t c = (uint8_t)*r->p;
		size_t n;

		if (c == '"') {
			r->p++;
			return true;
		}
		if (c == '\\') {
			r->p++;
			if (!read_escape(r))
				return false;
			continue;
		}
		if (c < 0x20)
			return fail(r, "control character in a string");
		n = utf8_sequence((const uint8_t *)r->p,
				  (size_t)(r->end - r->p));
		if (!n)
			return fail(r, "a string is not UTF-8");
		r->p += n;
	}
	return fail(r, "the text ends inside a string");
}

static size_t skip_digits(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return (size_t)(r->p - from);
}

static bool at(const struct reader *r, char c)
{
	return r->p < r->end && *r->p == c;
}

/* A number's parts. `*ret_float`: it has a fraction or an exponent. */
static bool read_number_parts(struct reader *r, bool *ret_float)
{
	*ret_float = false;
	if (at(r, '-'))
		r->p++;
	if (at(r, '0'))
		r->p++;
	else if (!skip_digits(r))
		return false;
	if (at(r, '.')) {
		*ret_float = true;
		r->p++;
		if (!skip_digits(r))
			return false;
	}
	if (at(r, 'e') || at(r, 'E')) {
		*ret_float = true;
		r->p++;
		if (at(r, '+') || at(r, '-'))
			r->p++;
		if (!skip_digits(r))
			return false;
	}
	return true;
}

static bool read_number(struct reader *r)
{
	char text[CODEC_JSON_NUMBER + 1];
	const char *from = r->p;
	bool is_float;
	size_t len;

	if (!read_number_parts(r, &is_float))
		return fail(r, "not a number");
	len = (size_t)(r->p - from);
	if (len > CODEC_JSON_NUMBER) {
		r->p = from;
		return fail(r, "a number of too many digits");
	}
	if (!is_float)
		return true;
	if (r->name && memcmp(r->name, "\"qos\"", 5) == 0)
		r->facts->float_qos = true;
	memcpy(text, from, len);
	text[len] = '\0';
	if (isinf(strtod(text, NULL))) {
		r->p = from;
		return fail(r, "a number too large");
	}
	return true;
}

static bool read_word(struct reader *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
		return fail(r, "not a JSON value");
	r->p += len;
	return true;
}

static bool read_scalar(struct reader *r)
{
	if (r->p == r->end)
		return fail(r, "the text ends where a value should be");
	switch (*r->p) {
	case '"':
		return read_string(r);
	case 't':
		return read_word(r, "true");
	case 'f':
		return read_word(r, "false");
	case 'n':
		return read_word(r, "null");
	default:
		if (*r->p == '-' || (*r->p >= '0' && *r->p <= '9'))
			return read_number(r);
		return fail(r, "not a JSON value");
	}
}

/* A member's name and its colon. */
static bool read_name(struct reader *r)
{
	if (!at(r, '"'))
		return fail(r, "a member's name in double quotes is missing");
	r->name = r->p;
	if (!read_string(r))
		return false;
	skip_space(r);
	if (!at(r, ':'))
		return fail(r, "a colon is missing");
	r->p++;
	skip_space(r);
	return true;
}

/* Containers, without recursion: bit `depth` of `objects` tells whether the
 * one at that depth is an object. */
struct nest {
	uint64_t objects;
	unsigned depth;
};

/* At a bracket. True with `*ret_empty` when it was closed at once. */
static bool enter(struct reader *r, struct nest *nest, bool *ret_empty)
{
	bool object = *r->p == '{';

	*ret_empty = false;
	if (nest->depth == CODEC_JSON_DEPTH)
		return fail(r, "nested too deeply");
	r->p++;
	skip_space(r);
	if (at(r, object ? '}' : ']')) {
		r->p++;
		*ret_empty = true;
		return true;
	}
	nest->depth++;
	nest->objects &= ~((uint64_t)1 << nest->depth);
	nest->objects |= (uint64_t)object << nest->depth;
	return !object || read_name(r);
}

static bool in_object(const struct nest *nest)
{
	return nest->objects >> nest->depth & 1;
}

/* After a value: close what ends here, or step to the next value. */
static bool leave(struct reader *r, struct nest *nest)
{
	for (;;) {
		skip_space(r);
		if (!nest->depth)
			return true;
		if (at(r, ',')) {
			r->p++;
			skip_space(r);
			return !in_object(nest) || read_name(r);
		}
		if (!at(r, in_object(nest) ? '}' : ']'))
			return fail(r, "a comma or closing bracket is missing");
		r->p++;
		nest->depth--;
	}
}

static bool read_text(struct reader *r)
{
	struct nest nest = { 0 };

	skip_space(r);
	do {
		bool closed = true;

		if (at(r, '{') || at(r, '[')) {
			if (!enter(r, &nest, &closed))
				return false;
		} else if (!read_scalar(r)) {
			return false;
		}
		if (closed && !leave(r, &nest))
			return false;
	} while (nest.depth);
	return r->p == r->end || fail(r, "more after the end");
}

int codec_json_validate(const char *body, size_t len, struct json_facts *ret,
			char reterr[static CODEC_ERROR_LEN])
{
	struct reader r = { .p = body, .end = body + len, .facts = ret };

	*ret = (struct json_facts){ 0 };
	if (!len) {
		snprintf(reterr, CODEC_ERROR_LEN, "not JSON: an empty body");
		return -EBADMSG;
	}
	if (len >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0)
		r.p += 3;
	ret->bom = (size_t)(r.p - body);
	if (read_text(&r))
		return 0;
	snprintf(reterr, CODEC_ERROR_LEN, "not JSON: %s, at byte %zu", r.wrong,
		 (size_t)(r.p - body));
	return -EBADMSG;
}

int codec_check_json(const void *body, size_t len,
		     char reterr[static CODEC_ERROR_LEN])
{
	struct json_facts facts;

	return codec_json_validate(body, len, &facts, reterr);
}
