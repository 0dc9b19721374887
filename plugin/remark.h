/*
 * remark.h - a line of text and when it was said: one thread writes it, again
 * and again, and any may read the newest.
 *
 * Neither waits for the other (style.md, rule 10): the text is made of
 * atomics, and a reader that is overtaken by the writer looks again. Nothing
 * here can fail.
 */
#ifndef PLUGIN_REMARK_H
#define PLUGIN_REMARK_H

#include <stdbool.h>
#include <stdint.h>

#define REMARK_LEN 128 /* with its NUL; what is longer is cut */

/* Zero it before first use. Private. */
struct remark {
	_Atomic uint32_t turn; /* odd while it is written */
	_Atomic int64_t when_ms;
	_Atomic uint64_t words[REMARK_LEN / 8];
};

/* The thread it belongs to. Control characters become `?`. */
void remark_write(struct remark *remark, int64_t when_ms, const char *text);

/* Any thread. False: nothing was said yet, or it was being written each time
 * that we looked. */
bool remark_read(const struct remark *remark, int64_t *ret_when_ms,
		 char ret[static REMARK_LEN]);

#endif /* PLUGIN_REMARK_H */
