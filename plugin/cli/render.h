/*
 * render.h - print an answer of the broker.
 */
#ifndef PLUGIN_CLI_RENDER_H
#define PLUGIN_CLI_RENDER_H

#include <stdbool.h>
#include <stdio.h>
#include "plugin/cli/args.h"

struct answer;

/*
 * Print the result on `out`, in the format of `args`: FORMAT_HUMAN as text,
 * or as its command is seen (args.h), headings `bold` by escape codes;
 * FORMAT_JSON as it came; FORMAT_CSV by RFC 4180,
 * and as VerneMQ does a text as nothing. A table without rows is nothing but
 * in JSON. What is no success is said on `err`. Returns the exit code.
 */
int render_answer(const struct answer *answer, const struct args *args,
		  bool bold, FILE *out, FILE *err);

/* An answer with status 200 whose table has rows of type, name and value, as
 * VerneMQ prints them: `counter.webhooks_on_publish_requests = 3`. Returns as
 * render_answer(), which says what any other answer is. */
int render_lines(const struct answer *answer, const struct args *args,
		 FILE *out, FILE *err);

#endif /* PLUGIN_CLI_RENDER_H */
