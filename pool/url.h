/*
 * url.h - what an endpoint's URL may be. Any thread.
 */
#ifndef POOL_URL_H
#define POOL_URL_H

/*
 * `url` in the form that curl gets: with a scheme, without a fragment, and
 * bytes beyond ASCII in path and query percent-encoded (contract.md, section
 * 2). Returns 0 and a malloc'd string; or -EINVAL with what is wrong in
 * `reterr`, which never repeats the URL, for it may hold a password; or
 * -ENOMEM, with `reterr` set too.
 */
int url_normalise(const char *url, char **ret, char reterr[static 128]);

#endif /* POOL_URL_H */
