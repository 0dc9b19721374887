/*
 * client.h - one request to a broker's admin socket.
 */
#ifndef PLUGIN_CLI_CLIENT_H
#define PLUGIN_CLI_CLIENT_H

#include <stddef.h>
#include <stdio.h>

struct args;

struct answer {
	long status;
	char *body; /* to free(); ends with a NUL */
	size_t len;
};

/* Ask and wait, for 10 s at most or as `args` says. Returns 0; or -EIO or -ENOMEM, and has said on
 * `err` what went wrong and what to look at. */
int client_ask(const struct args *args, struct answer *ret, FILE *err);

#endif /* PLUGIN_CLI_CLIENT_H */
