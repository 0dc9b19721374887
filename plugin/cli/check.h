/*
 * check.h - `vmq-admin check FILE`: what a start or a reload would say of a
 * configuration, without a broker.
 */
#ifndef PLUGIN_CLI_CHECK_H
#define PLUGIN_CLI_CHECK_H

#include <stdio.h>

struct args;

/* Read the file that `args` name, and the files that it names, as the plugin
 * would. A summary goes to `out`, what is wrong to `err`. Returns the exit
 * code. */
int check_file(const struct args *args, FILE *out, FILE *err);

#endif /* PLUGIN_CLI_CHECK_H */
