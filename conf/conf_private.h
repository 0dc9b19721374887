/*
 * conf_private.h - what the files of conf.h share.
 */
#ifndef CONF_CONF_PRIVATE_H
#define CONF_CONF_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include "conf/conf.h"

/* Bytes of a line: neither owned nor ended with a NUL. */
struct conf_span {
	const char *at;
	size_t len;
};

/* Without the spaces and tabs around it. */
struct conf_span conf_trim(struct conf_span span);

/* As conf_set(). `names_key`: `place` says which key it is, so the error's
 * text need not. */
int conf_set_span(struct conf *conf, const char *place, bool names_key,
		  struct conf_span key, struct conf_span value,
		  struct conf_error *reterr);

/* Put "PLACE: " and the message into `reterr`, control characters replaced.
 * Returns `err`. */
int conf_fail(struct conf_error *reterr, int err, const char *place,
	      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* How many letters must be inserted, deleted, changed or swapped with their
 * neighbour to make `a` of `b`, upper and lower case being equal. Words of
 * more than CONF_WORD_MAX letters are CONF_FAR from any. */
enum {
	CONF_WORD_MAX = 63,
	CONF_FAR = 1000
};
unsigned conf_distance(struct conf_span a, struct conf_span b);

/* Whether a distance is small enough to be a slip of the finger. */
bool conf_is_near(unsigned distance, size_t len);

#endif /* CONF_CONF_PRIVATE_H */
