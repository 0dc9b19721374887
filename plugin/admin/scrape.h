/*
 * scrape.h - a TCP listener for Prometheus: the pages (pages.h), and nothing
 * else, for who asks. Nothing can be changed by it.
 */
#ifndef PLUGIN_ADMIN_SCRAPE_H
#define PLUGIN_ADMIN_SCRAPE_H

#include <stddef.h>

struct hooks;
struct scrape;

/*
 * Listen on `address`, as settings_address.h has it, and answer from the
 * dispatcher's loop. Owner's thread, before hooks_start(). `hooks` must
 * outlive the result. Returns 0; or, with what is wrong in `reterr`, -ENOMEM,
 * -EIO, or -errno of making the socket.
 */
int scrape_create(struct scrape **ret, struct hooks *hooks, const char *address,
		  char *reterr, size_t reterr_len);

/* Where it listens, with the port that it was given for port 0. */
const char *scrape_address(const struct scrape *scrape);

/* Owner's thread, as for admin_destroy(). NULL is fine. */
void scrape_destroy(struct scrape *scrape);

#endif /* PLUGIN_ADMIN_SCRAPE_H */
