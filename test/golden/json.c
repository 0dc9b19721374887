#include "test/golden/json.h"

#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/topic_utf8.h"

/* ---- memory ---- */

enum {
	BLOCK_SIZE = 1 << 16
};

struct json_block {
	struct json_block *next;
	size_t used, size;
	max_align_t memory[];
};

void *json_alloc(struct json_arena *a, size_t size)
{
	struct json_block *b = a->blocks;

	size = (size + 15) & ~(size_t)15;
	if (!b || b->size - b->used < size) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		b = calloc(1, sizeof(*b) + room);
		if (!b) {
			fprintf(stderr, "golden: no memory\n");
			exit(2);
		}
		b->size = room;
		b->next = a->blocks;
		a->blocks = b;
	}
	b->used += size;
	return (char *)b->memory + b->used - size;
}

void json_arena_free(struct json_arena *a)
{
	while (a->blocks) {
		struct json_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
}

/* ---- reading ---- */

enum {
	DEPTH_MAX = 5000
};

struct source {
	struct json_arena *arena;
	const char *p, *end;
	unsigned depth, deepest;
};

static struct json *read_value(struct source *s);

static void space(struct source *s)
{
	while (s->p < s->end && strchr(" \t\r\n", *s->p) && *s->p)
		s->p++;
}

static bool is(struct source *s, char c)
{
	return s->p < s->end && *s->p == c;
}

static bool digits(struct source *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static bool read_number(struct source *s, struct json *to)
{
	const char *from = s->p;
	char text[512];
	size_t len;

	if (is(s, '-'))
		s->p++;
	if (is(s, '0'))
		s->p++;
	else if (!digits(s))
		return false;
	if (is(s, '.')) {
		s->p++;
		if (!digits(s))
			return false;
	}
	if (is(s, 'e') || is(s, 'E')) {
		s->p++;
		if (is(s, '+') || is(s, '-'))
			s->p++;
		if (!digits(s))
			return false;
	}
	len = (size_t)(s->p - from);
	if (len >= sizeof(text))
		return false;
	memcpy(text, from, len);
	text[len] = '\0';
	to->kind = JSON_NUMBER;
	to->number = strtod(text, NULL);
	return true;
}

static bool read_hex(struct source *s, unsigned *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++, s->p++) {
		const char *all = "0123456789abcdef0123456789ABCDEF", *at;

		if (s->p == s->end || !*s->p)
			return false;
		at = strchr(all, *s->p);
		if (!at)
			return false;
		*ret = *ret << 4 | (unsigned)((at - all) & 15);
	}
	return true;
}

static size_t put_utf8(char *to, unsigned c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* After the backslash. */
static bool read_escape(struct source *s, char **to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	unsigned c, low;
	const char *at;

	if (s->p == s->end || !*s->p)
		return false;
	at = strchr(from, *s->p);
	if (at) {
		*(*to)++ = into[at - from];
		s->p++;
		return true;
	}
	if (*s->p++ != 'u' || !read_hex(s, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00) {
		if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
			return false;
		s->p += 2;
		if (!read_hex(s, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c < 0xe000) {
		return false;
	}
	*to += put_utf8(*to, c);
	return true;
}

/* At the quote. What is read is never longer than what was written. */
static bool read_string(struct source *s, struct bytes *ret)
{
	const char *close = s->p + 1;
	char *text, *to;

	while (close < s->end && *close != '"')
		close += *close == '\\' ? 2 : 1;
	if (close >= s->end)
		return false;
	text = to = json_alloc(s->arena, (size_t)(close - s->p) + 1);
	s->p++;
	while (*s->p != '"') {
		size_t n;

		if (*s->p == '\\') {
			s->p++;
			if (!read_escape(s, &to))
				return false;
			continue;
		}
		n = utf8_sequence((const uint8_t *)s->p,
				  (size_t)(s->end - s->p));
		if (!n || (unsigned char)*s->p < 0x20)
			return false;
		memcpy(to, s->p, n);
		to += n;
		s->p += n;
	}
	s->p++;
	*to = '\0';
	*ret = (struct bytes){ text, (size_t)(to - text) };
	return true;
}

static bool read_word(struct source *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return false;
	s->p += len;
	return true;
}

static bool read_container(struct source *s, struct json *to)
{
	bool object = *s->p == '{';
	struct json **tail = &to->child;

	to->kind = object ? JSON_OBJECT : JSON_ARRAY;
	if (++s->depth > DEPTH_MAX)
		return false;
	if (s->depth > s->deepest)
		s->deepest = s->depth;
	s->p++;
	space(s);
	for (; !is(s, object ? '}' : ']'); tail = &(*tail)->next) {
		struct bytes key = { 0 };

		if (to->child) {
			if (!is(s, ','))
				return false;
			s->p++;
			space(s);
		}
		if (object) {
			if (!is(s, '"') || !read_string(s, &key))
				return false;
			space(s);
			if (!is(s, ':'))
				return false;
			s->p++;
			space(s);
		}
		*tail = read_value(s);
		if (!*tail)
			return false;
		(*tail)->key = key;
		space(s);
	}
	s->p++;
	s->depth--;
	return true;
}

static struct json *read_value(struct source *s)
{
	struct json *to = json_alloc(s->arena, sizeof(*to));
	bool ok;

	if (is(s, '{') || is(s, '[')) {
		ok = read_container(s, to);
	} else if (is(s, '"')) {
		to->kind = JSON_STRING;
		ok = read_string(s, &to->text);
	} else if (is(s, 't')) {
		to->kind = JSON_TRUE;
		ok = read_word(s, "true");
	} else if (is(s, 'f')) {
		to->kind = JSON_FALSE;
		ok = read_word(s, "false");
	} else if (is(s, 'n')) {
		ok = read_word(s, "null");
	} else {
		ok = read_number(s, to);
	}
	return ok ? to : NULL;
}

struct json *json_parse(struct json_arena *a, const char *text, size_t len,
			size_t *ret_at, unsigned *ret_depth)
{
	struct source s = { a, text, text + len, 0, 0 };
	struct json *j;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		s.p += 3;
	space(&s);
	j = read_value(&s);
	if (j)
		space(&s);
	if (ret_at)
		*ret_at = (size_t)(s.p - text);
	if (ret_depth)
		*ret_depth = s.deepest;
	return j && s.p == s.end ? j : NULL;
}

void json_unwrap(struct json_arena *a, struct json *j)
{
	struct json *b64 = json_get(j, "$b64");

	if (b64 && b64->kind == JSON_STRING && !j->child->next) {
		char *to = json_alloc(a, b64->text.len + 1);
		size_t len = 0;

		if (sodium_base642bin((unsigned char *)to, b64->text.len,
				      b64->text.data, b64->text.len, NULL, &len,
				      NULL,
				      sodium_base64_VARIANT_ORIGINAL) == 0) {
			j->kind = JSON_STRING;
			j->text = (struct bytes){ to, len };
			j->child = NULL;
			return;
		}
	}
	for (struct json *c = j->child; c; c = c->next)
		json_unwrap(a, c);
}

/* ---- asking ---- */

static bool key_is(const struct json *j, const char *key)
{
	return j->key.data && j->key.len == strlen(key) &&
	       memcmp(j->key.data, key, j->key.len) == 0;
}

struct json *json_get(const struct json *j, const char *key)
{
	struct json *c = j && j->kind == JSON_OBJECT ? j->child : NULL;

	while (c && !key_is(c, key))
		c = c->next;
	return c;
}

struct json *json_last(const struct json *j, const char *key)
{
	struct json *found = NULL;
	struct json *c = j && j->kind == JSON_OBJECT ? j->child : NULL;

	for (; c; c = c->next)
		if (key_is(c, key))
			found = c;
	return found;
}

size_t json_count(const struct json *j)
{
	size_t n = 0;

	for (const struct json *c = j ? j->child : NULL; c; c = c->next)
		n++;
	return n;
}

double json_number(const struct json *j, const char *key, double otherwise)
{
	const struct json *c = json_get(j, key);

	return c && c->kind == JSON_NUMBER ? c->number : otherwise;
}

bool json_is_true(const struct json *j, const char *key)
{
	const struct json *c = json_get(j, key);

	return c && c->kind == JSON_TRUE;
}

const char *json_string(const struct json *j, const char *key)
{
	const struct json *c = json_get(j, key);

	return c && c->kind == JSON_STRING ? c->text.data : NULL;
}

bool json_text_is(const struct json *j, const char *text)
{
	return j && j->kind == JSON_STRING && j->text.len == strlen(text) &&
	       memcmp(j->text.data, text, j->text.len) == 0;
}

/* ---- making ---- */

struct json *json_new(struct json_arena *a, enum json_kind kind)
{
	struct json *j = json_alloc(a, sizeof(*j));

	j->kind = kind;
	return j;
}

struct json *json_new_number(struct json_arena *a, double number)
{
	struct json *j = json_new(a, JSON_NUMBER);

	j->number = number;
	return j;
}

struct json *json_new_text(struct json_arena *a, struct bytes text)
{
	struct json *j = json_new(a, JSON_STRING);
	char *copy = json_alloc(a, text.len + 1);

	if (text.len)
		memcpy(copy, text.data, text.len);
	j->text = (struct bytes){ copy, text.len };
	return j;
}

void json_append(struct json *array, struct json *value)
{
	struct json **tail = &array->child;

	while (*tail)
		tail = &(*tail)->next;
	value->next = NULL;
	*tail = value;
}

void json_drop(struct json *object, const char *key)
{
	struct json **at = &object->child;

	while (*at) {
		if (key_is(*at, key))
			*at = (*at)->next;
		else
			at = &(*at)->next;
	}
}

void json_set(struct json_arena *a, struct json *object, const char *key,
	      struct json *value)
{
	value->key = json_new_text(a, bytes_of(key))->text;
	json_drop(object, key);
	json_append(object, value);
}

struct json *json_copy(struct json_arena *a, const struct json *j)
{
	struct json *to, **tail;

	if (!j)
		return NULL;
	to = json_alloc(a, sizeof(*to));
	*to = *j;
	to->next = NULL;
	tail = &to->child;
	for (const struct json *c = j->child; c; c = c->next) {
		*tail = json_copy(a, c);
		tail = &(*tail)->next;
	}
	return to;
}

/* ---- comparing, printing ---- */

static bool same_text(struct bytes a, struct bytes b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static bool same_members(const struct json *a, const struct json *b)
{
	if (json_count(a) != json_count(b))
		return false;
	for (const struct json *c = a->child; c; c = c->next) {
		const struct json *d = json_get(b, c->key.data);

		if (json_get(a, c->key.data) != c || !json_equal(c, d))
			return false;
	}
	return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
	const struct json *c, *d;

	if (!a || !b)
		return a == b;
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case JSON_NUMBER:
		return a->number == b->number;
	case JSON_STRING:
		return same_text(a->text, b->text);
	case JSON_OBJECT:
		return same_members(a, b);
	case JSON_ARRAY:
		for (c = a->child, d = b->child; c && d;
		     c = c->next, d = d->next)
			if (!json_equal(c, d))
				return false;
		return !c && !d;
	default:
		return true;
	}
}

struct printing {
	char *to;
	size_t used, size;
};

static void print_text(struct printing *p, const char *text, size_t len)
{
	for (size_t i = 0; i < len && p->used + 1 < p->size; i++)
		p->to[p->used++] = text[i];
}

static void print_string(struct printing *p, struct bytes text)
{
	const unsigned char *c = text.data;

	print_text(p, "\"", 1);
	for (size_t i = 0; i < text.len; i++) {
		char hex[8];

		if (c[i] >= 0x20 && c[i] != '"' && c[i] != '\\' && c[i] < 0x7f)
			print_text(p, (const char *)&c[i], 1);
		else
			print_text(p, hex,
				   (size_t)snprintf(hex, sizeof(hex), "\\x%02x",
						    c[i]));
	}
	print_text(p, "\"", 1);
}

static void print_value(struct printing *p, const struct json *j)
{
	static const char *const words[] = { "null", "false", "true" };
	char number[40];

	if (j->key.data) {
		print_string(p, j->key);
		print_text(p, ":", 1);
	}
	if (j->kind <= JSON_TRUE) {
		print_text(p, words[j->kind], strlen(words[j->kind]));
	} else if (j->kind == JSON_NUMBER) {
		print_text(p, number,
			   (size_t)snprintf(number, sizeof(number), "%.17g",
					    j->number));
	} else if (j->kind == JSON_STRING) {
		print_string(p, j->text);
	} else {
		print_text(p, j->kind == JSON_ARRAY ? "[" : "{", 1);
		for (struct json *c = j->child; c; c = c->next) {
			print_value(p, c);
			if (c->next)
				print_text(p, ",", 1);
		}
		print_text(p, j->kind == JSON_ARRAY ? "]" : "}", 1);
	}
}

const char *json_print(const struct json *j, char *ret, size_t size)
{
	struct printing p = { ret, 0, size };

	if (j)
		print_value(&p, j);
	else
		print_text(&p, "nothing", 7);
	ret[p.used] = '\0';
	return ret;
}
