/*
 * reply.h - what the admin socket answers, in VerneMQ's shapes
 * (contract.md section 14, `--format=json`); errors have one of our own.
 *
 * Functions of their arguments alone; any thread. None can fail: without
 * memory the reply has no body, and its status says so.
 */
#ifndef PLUGIN_ADMIN_REPLY_H
#define PLUGIN_ADMIN_REPLY_H

#include <stddef.h>

struct json_writer;

/* Whoever holds it frees `body`. */
struct admin_reply {
	unsigned status; /* of HTTP */
	char *body;      /* malloc'd; NULL: none */
	size_t len;
	const char *type; /* of the body, a constant; NULL: it is JSON */
};

/* {"text":"Done","type":"text"} */
struct admin_reply admin_reply_done(void);

/* {"text":...,"type":"text"}, cut at ADMIN_TEXT_LEN bytes. */
#define ADMIN_TEXT_LEN 8192
struct admin_reply admin_reply_text(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

/* 200 with {"alert":[{"text":...,"type":"text"}],"type":"alert"}: a request
 * that makes sense and cannot be met, as VerneMQ says it. */
struct admin_reply admin_reply_alert(const char *text);

/* {"error":...} */
struct admin_reply admin_reply_error(unsigned status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* {"table":[<rows>],"type":"table"}: write one object per row in between.
 * admin_reply_table_close() finishes the writer. */
void admin_reply_table_open(struct json_writer *w);
struct admin_reply admin_reply_table_close(struct json_writer *w);

#endif /* PLUGIN_ADMIN_REPLY_H */
