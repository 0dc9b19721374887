/*
 * settings_address.h - an address to listen on: `127.0.0.1:9883`,
 * `[::1]:9883`. No names: which of its addresses would it be?
 *
 * Pure functions, any thread.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_ADDRESS_H
#define PLUGIN_SETTINGS_SETTINGS_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

struct settings_address {
	struct sockaddr_storage any;
	socklen_t len;
};

/* Port 0 is fine. Returns 0 or -EINVAL. */
int settings_address_parse(const char *text, struct settings_address *ret);

/* The same as text. */
#define SETTINGS_ADDRESS_LEN 64
void settings_address_write(const struct settings_address *address,
			    char ret[static SETTINGS_ADDRESS_LEN]);

#endif /* PLUGIN_SETTINGS_SETTINGS_ADDRESS_H */
