/*
 * json.h - a reader of JSON for the golden tool, strict by RFC 8259 and not
 * the one under test. Strings are bytes and may hold NULs; members keep
 * their order and their duplicates. One thread at a time.
 */
#ifndef GOLDEN_JSON_H
#define GOLDEN_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include "plugin/event.h"

enum json_kind {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

struct json {
	enum json_kind kind;
	double number;
	struct bytes text;         /* of a string, NUL-terminated */
	struct bytes key;          /* of a member, likewise */
	struct json *child, *next; /* of containers */
};

/* What everything below is allocated from; freed at once. */
struct json_arena {
	struct json_block *blocks;
};

void json_arena_free(struct json_arena *a);
void *json_alloc(struct json_arena *a, size_t size);

/* NULL when `text` is not one JSON text; then, unless `ret_at` is NULL, it
 * is where. A byte order mark is stepped over. `ret_depth` may be NULL. */
struct json *json_parse(struct json_arena *a, const char *text, size_t len,
			size_t *ret_at, unsigned *ret_depth);

/* Every {"$b64": "..."} below `j` becomes the string that it stands for. */
void json_unwrap(struct json_arena *a, struct json *j);

/* The first member of that name, or NULL; also when `j` is NULL or no
 * object. And the last. */
struct json *json_get(const struct json *j, const char *key);
struct json *json_last(const struct json *j, const char *key);
size_t json_count(const struct json *j);

/* Readers with a default for what is absent. */
double json_number(const struct json *j, const char *key, double otherwise);
bool json_is_true(const struct json *j, const char *key);
const char *json_string(const struct json *j, const char *key); /* or NULL */
bool json_text_is(const struct json *j, const char *text);

/* New nodes. json_set() replaces a member or adds one; json_drop() removes
 * every one of that name. */
struct json *json_new(struct json_arena *a, enum json_kind kind);
struct json *json_new_number(struct json_arena *a, double number);
struct json *json_new_text(struct json_arena *a, struct bytes text);
void json_set(struct json_arena *a, struct json *object, const char *key,
	      struct json *value);
void json_drop(struct json *object, const char *key);
void json_append(struct json *array, struct json *value);
struct json *json_copy(struct json_arena *a, const struct json *j);

/* Equal but for the order of members. NULL equals NULL only. */
bool json_equal(const struct json *a, const struct json *b);

/* For people: compact, cut at `size`. */
const char *json_print(const struct json *j, char *ret, size_t size);

#endif /* GOLDEN_JSON_H */
