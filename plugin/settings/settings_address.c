#include "plugin/settings/settings_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decimal, 0 to 65535, or -1. */
static long parse_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	long port;

	if (!digits || digits > 5 || text[digits])
		return -1;
	port = strtol(text, NULL, 10);
	return port <= 65535 ? port : -1;
}

int settings_address_parse(const char *text, struct settings_address *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->any;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->any;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2] = "";
	long port = colon ? parse_port(colon + 1) : -1;
	size_t len = colon ? (size_t)(colon - text) : 0;

	memset(ret, 0, sizeof(*ret));
	if (port < 0 || !len || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		ret->len = sizeof(*v4);
		return 0;
	}
	if (host[0] != '[' || host[len - 1] != ']')
		return -EINVAL;
	host[len - 1] = '\0';
	if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1)
		return -EINVAL;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	ret->len = sizeof(*v6);
	return 0;
}

void settings_address_write(const struct settings_address *address,
			    char ret[static SETTINGS_ADDRESS_LEN])
{
	const struct sockaddr_in *v4 = (const void *)&address->any;
	const struct sockaddr_in6 *v6 = (const void *)&address->any;
	char host[INET6_ADDRSTRLEN] = "";

	if (address->any.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(ret, SETTINGS_ADDRESS_LEN, "[%s]:%u", host,
			 ntohs(v6->sin6_port));
	} else {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(ret, SETTINGS_ADDRESS_LEN, "%s:%u", host,
			 ntohs(v4->sin_port));
	}
}
