/*
 * complete.h - what a shell offers at the end of a command line.
 *
 * Everything is read from the table of commands and their usage texts; the
 * endpoints are those of the running broker, if one answers at once.
 * completions/vmq-admin.bash asks by `vmq-admin --complete WORD...`.
 */
#ifndef PLUGIN_CLI_COMPLETE_H
#define PLUGIN_CLI_COMPLETE_H

#include <stdio.h>

#define COMPLETE_FLAG "--complete"

/*
 * Print what the last of the `n` words, which may be empty, could become, one
 * a line: each candidate is the whole word. One that ends with `=` needs more.
 * Nothing where anything may stand: a path, a number.
 */
void complete_print(int n, char *const *words, FILE *out);

#endif /* PLUGIN_CLI_COMPLETE_H */
