#include "plugin/admin/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include "plugin/event.h"
#include "plugin/json_writer.h"

static struct admin_reply finish(unsigned status, struct json_writer *w)
{
	struct admin_reply reply = { .status = status };

	if (json_finish(w, &reply.body, &reply.len) != 0)
		return (struct admin_reply){ .status = 500 };
	return reply;
}

struct admin_reply admin_reply_text(const char *fmt, ...)
{
	struct json_writer w = JSON_WRITER_INIT;
	char text[ADMIN_TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_open(&w, NULL, '{');
	json_text(&w, "text", bytes_of(text));
	json_text(&w, "type", bytes_of("text"));
	json_close(&w, '}');
	return finish(200, &w);
}

struct admin_reply admin_reply_done(void)
{
	return admin_reply_text("Done");
}

struct admin_reply admin_reply_alert(const char *text)
{
	struct json_writer w = JSON_WRITER_INIT;

	json_open(&w, NULL, '{');
	json_open(&w, "alert", '[');
	json_open(&w, NULL, '{');
	json_text(&w, "text", bytes_of(text));
	json_text(&w, "type", bytes_of("text"));
	json_close(&w, '}');
	json_close(&w, ']');
	json_text(&w, "type", bytes_of("alert"));
	json_close(&w, '}');
	return finish(200, &w);
}

struct admin_reply admin_reply_error(unsigned status, const char *fmt, ...)
{
	struct json_writer w = JSON_WRITER_INIT;
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_open(&w, NULL, '{');
	json_text(&w, "error", bytes_of(text));
	json_close(&w, '}');
	return finish(status, &w);
}

void admin_reply_table_open(struct json_writer *w)
{
	json_open(w, NULL, '{');
	json_open(w, "table", '[');
}

struct admin_reply admin_reply_table_close(struct json_writer *w)
{
	json_close(w, ']');
	json_text(w, "type", bytes_of("table"));
	json_close(w, '}');
	return finish(200, w);
}
