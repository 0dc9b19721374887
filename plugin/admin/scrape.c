#include "plugin/admin/scrape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "plugin/admin/http.h"
#include "plugin/admin/pages.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings_address.h"
#include "pool/pool.h"

enum {
	BACKLOG = 16
};

struct scrape {
	struct hooks *hooks;
	struct admin_http *http;
	int fd;
	char address[SETTINGS_ADDRESS_LEN];
};

static void on_request(struct admin_http *http, uint64_t ticket, char *uri,
		       const struct admin_peer *peer, void *arg)
{
	struct scrape *scrape = arg;
	struct admin_reply reply;

	(void)peer;
	if (!admin_page(scrape->hooks, uri, &reply))
		reply = admin_reply_error(
			404, "no such page; there are /metrics and /health");
	admin_http_answer(http, ticket, &reply);
}

/* Returns a descriptor or -errno. SO_REUSEADDR: connections of the broker
 * before may linger on the port. */
static int listen_on(const struct settings_address *a)
{
	int fd = socket(a->any.ss_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, err;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (a->any.ss_family != AF_INET6 ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, (const struct sockaddr *)&a->any, a->len) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	err = errno;
	close(fd);
	return -err;
}

static int note_address(struct scrape *scrape)
{
	struct settings_address is = { .len = sizeof(is.any) };

	if (getsockname(scrape->fd, (struct sockaddr *)&is.any, &is.len) != 0)
		return -errno;
	settings_address_write(&is, scrape->address);
	return 0;
}

static void explain(int err, const char *address, char *reterr, size_t len)
{
	const char *remedy = "";

	if (err == -EADDRINUSE)
		remedy = "; another process listens there: give another port";
	else if (err == -EADDRNOTAVAIL)
		remedy = "; no network interface of this machine has that "
			 "address";
	else if (err == -EACCES)
		remedy = "; the broker's user may not use that port: give one "
			 "above 1023";
	snprintf(reterr, len, "cannot listen on %s: %s%s", address,
		 strerror(-err), remedy);
}

int scrape_create(struct scrape **ret, struct hooks *hooks, const char *address,
		  char *reterr, size_t reterr_len)
{
	struct scrape *scrape = calloc(1, sizeof(*scrape));
	struct settings_address a;
	int err = scrape ? 0 : -ENOMEM;

	if (err)
		goto out;
	scrape->hooks = hooks;
	scrape->fd = -1;
	err = settings_address_parse(address, &a);
	if (err)
		goto out;
	scrape->fd = listen_on(&a);
	err = scrape->fd < 0 ? scrape->fd : note_address(scrape);
	if (!err)
		err = admin_http_create(&scrape->http,
					pool_loop(hooks_pool(hooks)),
					scrape->fd, on_request, scrape);
	if (!err)
		admin_http_only_read(scrape->http);
out:
	if (err) {
		explain(err, address, reterr, reterr_len);
		scrape_destroy(scrape);
	} else {
		*ret = scrape;
	}
	return err;
}

const char *scrape_address(const struct scrape *scrape)
{
	return scrape->address;
}

void scrape_destroy(struct scrape *scrape)
{
	if (!scrape)
		return;
	admin_http_destroy(scrape->http);
	if (scrape->fd >= 0)
		close(scrape->fd);
	free(scrape);
}
