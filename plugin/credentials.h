/*
 * credentials.h - what an endpoint knows its caller by: headers of the
 * operator's, and the keys that sign.
 *
 * One owner adds to them; whoever shares them afterwards changes nothing any
 * more, and any thread may hold a reference. All of it counts as secret: it is
 * wiped when freed, and repeated in no error text.
 */
#ifndef PLUGIN_CREDENTIALS_H
#define PLUGIN_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include "plugin/signature.h"

#define CREDENTIALS_HEADERS_MAX 16
/* Of their lines, all in all: many servers take 8 KiB with the rest. */
#define CREDENTIALS_BYTES_MAX  6144
#define CREDENTIALS_NAME_MAX   128
#define CREDENTIALS_VALUE_MAX  4096
#define CREDENTIALS_REASON_LEN 128

struct credentials {
	_Atomic unsigned refs; /* private */
	size_t headers_count;
	char *headers[CREDENTIALS_HEADERS_MAX]; /* "Name: value" */
	size_t headers_bytes;
	struct signature_keys keys;
};

/* Without anything, one reference. NULL: no memory. */
struct credentials *credentials_new(void);

/* Add a header. Its name is a token (RFC 9110 section 5.6.2) and none that the
 * plugin, libcurl or the protocol set; its value has no control characters.
 * Returns 0; -EINVAL (or it is there, or there are too many) with what is
 * wrong in `reterr`; or -ENOMEM. */
int credentials_add_header(struct credentials *c, const char *name,
			   const char *value,
			   char reterr[static CREDENTIALS_REASON_LEN]);

/* What `c` has none of: each header of another name, the secrets if it has no
 * key. Returns as above; on failure some may have been added. */
int credentials_inherit(struct credentials *c, const struct credentials *from,
			char reterr[static CREDENTIALS_REASON_LEN]);

/* Whether calls carry the same with either; NULL: nothing. */
bool credentials_equal(const struct credentials *a,
		       const struct credentials *b);

/* NULL is fine for both. */
struct credentials *credentials_ref(struct credentials *c);
void credentials_unref(struct credentials *c);

#endif /* PLUGIN_CREDENTIALS_H */
