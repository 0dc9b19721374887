/*
 * render.h - print an answer of the broker.
 */
#ifndef PLUGIN_CLI_RENDER_H
#define PLUGIN_CLI_RENDER_H

#include <stdbool.h>
#include <stdio.h>

struct answer;

/*
 * Print the result on `out` as a table or text, headings `bold` by escape
 * codes, an empty table as nothing; or with `raw` the JSON as it came. What
 * is no success is said on `err`. Returns the exit code.
 */
int render_answer(const struct answer *answer, bool raw, bool bold, FILE *out,
		  FILE *err);

/* An answer with status 200 whose table has rows of type, name and value, as
 * VerneMQ prints them: `counter.webhooks_on_publish_requests = 3`. Returns as
 * render_answer(), which says what any other answer is. */
int render_lines(const struct answer *answer, FILE *out, FILE *err);

#endif /* PLUGIN_CLI_RENDER_H */
