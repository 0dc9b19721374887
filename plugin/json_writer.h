/*
 * json_writer.h - write JSON text (RFC 8259) piece by piece.
 *
 * The only writer in the tree: requests on the broker's thread, admin
 * answers on the dispatcher's. Compact output, keys in the order written. A
 * writer belongs to one thread at a time. Errors stick: write on, then ask
 * json_finish().
 */
#ifndef PLUGIN_JSON_WRITER_H
#define PLUGIN_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/event.h"

struct json_writer {
	char *text; /* private, all of them */
	size_t len, size;
	bool comma, failed;
};

#define JSON_WRITER_INIT                                                       \
	{                                                                      \
		0                                                              \
	}

/* The longest text; what would be longer counts as lack of memory. */
#define JSON_WRITER_MAX ((size_t)1 << 30)

/* Make room for `more` bytes at once: for who knows what will come. */
void json_reserve(struct json_writer *w, size_t more);

/* Open and close `{}` and `[]`. `key` NULL inside an array or at the top. */
void json_open(struct json_writer *w, const char *key, char bracket);
void json_close(struct json_writer *w, char bracket);

/* Bytes that are not UTF-8 become U+FFFD, in the places and numbers of
 * VerneMQ's encoder: one for each stray byte, one for a lead byte with what
 * continues it. Absent bytes become null. */
void json_text(struct json_writer *w, const char *key, struct bytes text);
/* Standard alphabet with padding (RFC 4648 section 4). Absent: null. */
void json_base64(struct json_writer *w, const char *key, struct bytes data);
void json_int(struct json_writer *w, const char *key, int64_t number);
/* Microseconds as a number of seconds: 1.000250 */
void json_seconds(struct json_writer *w, const char *key, uint64_t us);
/* Microseconds as milliseconds: 1500 is 1.5. */
void json_millis(struct json_writer *w, const char *key, uint64_t us);
void json_bool(struct json_writer *w, const char *key, bool value);
void json_null(struct json_writer *w, const char *key);

/* The text, to free(), NUL-terminated; the writer is empty again.
 * Returns 0; or -ENOMEM when any step lacked memory (all is freed). */
int json_finish(struct json_writer *w, char **ret, size_t *ret_len);

/* Give up: free what was written. */
void json_abandon(struct json_writer *w);

#endif /* PLUGIN_JSON_WRITER_H */
