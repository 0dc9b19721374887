/*
 * redact.h - a URL as it may be shown. Pure, any thread.
 */
#ifndef PLUGIN_REDACT_H
#define PLUGIN_REDACT_H

/* A copy of `url` to free(), with `***` in place of user and password (RFC
 * 3986 section 3.2.1) if it has any. NULL: no memory. */
char *redact_url(const char *url);

/* The same for a log, which more people see: with `***` in place of what
 * follows each `=` in the query, too, and of parts of it that have none. */
char *redact_url_and_query(const char *url);

#endif /* PLUGIN_REDACT_H */
