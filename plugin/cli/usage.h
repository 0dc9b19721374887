/*
 * usage.h - what usage texts say, to people and to programs.
 *
 * A command's text is its row's (args.c). Those of groups, which are the
 * beginnings of commands' words, are made of the rows. Other parts of the
 * tool read the texts, so that an argument is told once:
 *
 * - in the first paragraph, `key=<what>` and `key=this|that` are arguments,
 *   `[` and `]` around them or not;
 * - a line that begins with two blanks and `--` is about an option:
 *   `--name=<what>`, `--name=this|that`, `--name` for one that stands alone,
 *   `--name.<like>=<what>` for many.
 */
#ifndef PLUGIN_CLI_USAGE_H
#define PLUGIN_CLI_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define USAGE_DEFAULT_SOCKET  "/run/mosquitto/vmq_webhooks.sock"
#define USAGE_SOCKET_VARIABLE "VMQ_WEBHOOKS_SOCKET"

/* The end of every usage text. */
#define EVERYWHERE                                                             \
	"\n"                                                                   \
	"Options of every command\n\n"                                         \
	"  --format=human|json|csv\n"                                          \
	"     A table for people (default); JSON, or comma-separated\n"        \
	"     values, for programs.\n"                                         \
	"  --socket=<path>\n"                                                  \
	"     The broker's admin socket. Default: $" USAGE_SOCKET_VARIABLE     \
	", or\n"                                                               \
	"     " USAGE_DEFAULT_SOCKET "\n"                                      \
	"  --help\n"                                                           \
	"     This text.\n"

/*
 * Print the usage of the command with these words; or else, of the longest
 * beginning of them that is a command or a group.
 */
void usage_print(const char *const *words, size_t n, FILE *to);

/* How many of the words, from the first, begin some command. */
size_t usage_known(const char *const *words, size_t n);

/* What may follow these words in a command: each word once, in the order of
 * the table. Begin with `*at` 0. False: there is no other. */
bool usage_next_word(const char *const *words, size_t n, size_t *at,
		     const char **ret);

/* An argument in a usage text; points into it. */
struct usage_arg {
	const char *name; /* "hook", "--origin" */
	size_t name_len;
	bool open; /* a name goes on as one likes: "--header." of
		    * "--header.<name>=<text>" */
	/* What is behind the `=`: "<hook>", "true|false". NULL: it stands
	 * alone. */
	const char *values;
	size_t values_len;
};

enum {
	USAGE_ARGS_MAX = 64 /* of one text; what is beyond is not told of */
};

/* The arguments that a usage text tells of, in its order. Returns how many. */
size_t usage_args(const char *text,
		  struct usage_arg ret[static USAGE_ARGS_MAX]);

/* Whether `--name` is, in any usage text, an option that stands alone. */
bool usage_stands_alone(const char *name);

#endif /* PLUGIN_CLI_USAGE_H */
