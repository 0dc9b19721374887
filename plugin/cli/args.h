/*
 * args.h - the command line, and the commands there are.
 *
 * The broker judges what it is asked (plugin/admin/request.c); the tool only
 * has to know what a command is called, what it cannot do without, and which
 * flags stand alone.
 */
#ifndef PLUGIN_CLI_ARGS_H
#define PLUGIN_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
	ARGS_MAX = 66 /* as many as the broker takes */
};

enum format {
	FORMAT_HUMAN = 0,
	FORMAT_JSON,
};

struct command {
	const char *words[4]; /* ends with NULL */
	const char *keys[3];  /* it cannot do without; likewise */
	bool changes;         /* something in the broker */
	bool details;         /* a table for people asks for more
					 * than VerneMQ's columns */
	const char *usage;
};

/* Strings are the command line's own. */
struct args {
	const struct command *command; /* NULL: see `help` */
	const char *help;              /* print this, and be done */
	const char *socket;
	enum format format;
	struct {
		const char *name; /* "hook", "--reset" */
		size_t name_len;
		const char *value; /* NULL: none */
	} list[ARGS_MAX];          /* of the command, as given */
	size_t count;
};

/* Returns 0; or -EINVAL, and has said on `err` what is wrong, with the usage
 * that helps. */
int args_parse(struct args *ret, int argc, char *const *argv, FILE *err);

#endif /* PLUGIN_CLI_ARGS_H */
