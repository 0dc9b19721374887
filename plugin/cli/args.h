/*
 * args.h - the command line, and the commands there are.
 *
 * The broker judges what it is asked (plugin/admin/request.c); the tool only
 * has to know what a command is called and what it cannot do without. A new
 * command is a row of the table in args.c: lists of sub-commands, completion,
 * and which options stand alone all come from there and from its usage text,
 * which usage.h has rules for.
 */
#ifndef PLUGIN_CLI_ARGS_H
#define PLUGIN_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
	ARGS_MAX = 66, /* as many as the broker takes, and to spare */
	ARGS_WORDS = 4,
};

struct args;

enum format {
	FORMAT_HUMAN = 0,
	FORMAT_JSON,
	FORMAT_CSV,
};

struct args;

struct command {
	const char *words[4]; /* ends with NULL */
	const char *keys[3];  /* it cannot do without; likewise */
	bool changes;         /* something in the broker */
	bool details;         /* a table for people asks for more
					 * than VerneMQ's columns */
	const char *operand;  /* what one more word is; NULL: there is none */
	/* Does without a broker, and returns the exit code; NULL: the broker
	 * is asked. */
	int (*run)(const struct args *args, FILE *out, FILE *err);
	bool lines; /* for people a line per row, not a table */
	/* Of a table, people see these alone, with blanks between them, and
	 * with --all everything, row by row. NULL: all. */
	const char *columns;
	bool records; /* they see everything row by row */
	const char *usage;
	const char *summary; /* for the list of its group; NULL: none */
};

/* What several commands' words begin with. Without commands it is nowhere
 * seen. */
struct command_group {
	const char *words[4];
	const char *summary;
};

/* Strings are the command line's own. */
struct args {
	const struct command *command; /* NULL: see `help` */
	bool help; /* print the usage of `words`, and be done */
	const char *words[ARGS_WORDS];
	size_t words_count;
	const char *operand; /* the last of them, of a command that has one */
	const char *socket;
	long patience_ms; /* for an answer; 0: the usual time */
	enum format format;
	struct {
		const char *name; /* "hook", "--reset" */
		size_t name_len;
		const char *value; /* NULL: none */
	} list[ARGS_MAX];          /* of the command, as given */
	size_t count;
};

/* The tables (args.c). */
const struct command *args_commands(size_t *ret_count);
const struct command_group *args_groups(size_t *ret_count);

/* The command with just these words, or NULL. */
const struct command *args_command(const char *const *words, size_t n);

/* Whether there is an argument of this name: "hook", "--reset". */
bool args_given(const struct args *args, const char *name);

/* Returns 0; or -EINVAL, and has said on `err` what is wrong, with the usage
 * that helps. Asked for help anywhere, it helps, whatever else is wrong. */
int args_parse(struct args *ret, int argc, char *const *argv, FILE *err);

/* The same of a line that is not finished: refuses nothing, passes over what
 * makes no sense. `list` is without the tool's name. `ret_open` is an option
 * at the end that wants a value, or NULL. */
void args_scan(struct args *ret, int n, char *const *list,
	       const char **ret_open);

#endif /* PLUGIN_CLI_ARGS_H */
