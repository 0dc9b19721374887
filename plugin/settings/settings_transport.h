/*
 * settings_transport.h - how endpoints are reached: the keys for it, which
 * every webhook may set and all share defaults for, and the immutable value
 * that comes of them, with the bytes of every file that they name.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_TRANSPORT_H
#define PLUGIN_SETTINGS_SETTINGS_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "conf/conf.h"
#include "pool/pool.h"

/* As set: texts NULL, numbers TRANSPORT_UNSET where not. A text may be empty:
 * none, whatever the default. */
#define TRANSPORT_UNSET UINT32_MAX
struct transport_keys {
	char *cafile, *certfile, *keyfile, *crlfile;
	char *keyfile_password, *keyfile_password_file;
	char *sni, *pinned_public_key;
	char *proxy, *no_proxy;
	unsigned verify_peer, use_crls, tls_version, http_version;
	uint32_t depth, connect_timeout, max_reply, dns_timeout,
		connection_lifetime;
};

void transport_keys_init(struct transport_keys *keys);
void transport_keys_clear(struct transport_keys *keys); /* zeroes are fine */

/* Returns 0; or -ENOMEM, and `ret` is as after transport_keys_init(). */
int transport_keys_copy(const struct transport_keys *keys,
			struct transport_keys *ret);

/* What `keys` come to with what `defaults` (may be NULL) say where they are
 * not set, and the program where both are not. Texts are borrowed of both; one
 * that is empty has become NULL. */
struct transport_keys transport_keys_merged(
	const struct transport_keys *keys,
	const struct transport_keys *defaults);

/* What a value must satisfy, for conf.h. */
int transport_check_certs(const char *v, char reterr[static CONF_REASON_LEN]);
int transport_check_key(const char *v, char reterr[static CONF_REASON_LEN]);
int transport_check_crl(const char *v, char reterr[static CONF_REASON_LEN]);
int transport_check_secret(const char *v, char reterr[static CONF_REASON_LEN]);
int transport_check_sni(const char *v, char reterr[static CONF_REASON_LEN]);
int transport_check_pin(const char *v, char reterr[static CONF_REASON_LEN]);
int transport_check_proxy(const char *v, char reterr[static CONF_REASON_LEN]);

extern const char *const transport_switch[]; /* off, on */
extern const char *const transport_tls_versions[];
extern const char *const transport_http_versions[];

#define TRANSPORT_TEXT(owner, base, key, function)                             \
	{                                                                      \
		.name = #key, .type = CONF_STR,                                \
		.offset = offsetof(owner, base.key), .check = (function)       \
	}
#define TRANSPORT_SECRET(owner, base, key)                                     \
	{                                                                      \
		.name = #key, .type = CONF_STR,                                \
		.offset = offsetof(owner, base.key), .secret = true            \
	}
#define TRANSPORT_CHOICE(owner, base, key, names)                              \
	{                                                                      \
		.name = #key, .type = CONF_CHOICE,                             \
		.offset = offsetof(owner, base.key), .choices = (names)        \
	}
#define TRANSPORT_UINT(owner, base, key, least, most, what)                    \
	{                                                                      \
		.name = #key, .type = CONF_UINT,                               \
		.offset = offsetof(owner, base.key), .min = (least),           \
		.max = (most), .unit = (what)                                  \
	}

/* The rows of a table whose struct is `owner`, with the keys in `base`. */
#define TRANSPORT_ROWS(owner, base)                                            \
	TRANSPORT_TEXT(owner, base, cafile, transport_check_certs),            \
		TRANSPORT_TEXT(owner, base, certfile, transport_check_certs),  \
		TRANSPORT_TEXT(owner, base, keyfile, transport_check_key),     \
		TRANSPORT_SECRET(owner, base, keyfile_password),               \
		TRANSPORT_TEXT(owner, base, keyfile_password_file,             \
			       transport_check_secret),                        \
		TRANSPORT_CHOICE(owner, base, verify_peer, transport_switch),  \
		TRANSPORT_UINT(owner, base, depth, 0, TRANSPORT_UNSET - 1,     \
			       NULL),                                          \
		TRANSPORT_CHOICE(owner, base, tls_version,                     \
				 transport_tls_versions),                      \
		TRANSPORT_CHOICE(owner, base, use_crls, transport_switch),     \
		TRANSPORT_TEXT(owner, base, crlfile, transport_check_crl),     \
		TRANSPORT_TEXT(owner, base, sni, transport_check_sni),         \
		TRANSPORT_TEXT(owner, base, pinned_public_key,                 \
			       transport_check_pin),                           \
		TRANSPORT_CHOICE(owner, base, http_version,                    \
				 transport_http_versions),                     \
		TRANSPORT_TEXT(owner, base, proxy, transport_check_proxy),     \
		TRANSPORT_TEXT(owner, base, no_proxy, NULL),                   \
		TRANSPORT_UINT(owner, base, connect_timeout, 1, 600000, "ms"), \
		TRANSPORT_UINT(owner, base, max_reply, 1, 1u << 30, "bytes"),  \
		TRANSPORT_UINT(owner, base, dns_timeout, 0, 86400000, "ms"),   \
		TRANSPORT_UINT(owner, base, connection_lifetime, 0, 86400000,  \
			       "ms")

#define TRANSPORT_ID 40

/* The immutable value. */
struct transport_settings {
	_Atomic unsigned refs; /* private */
	/* What tells it from all others, so that one URL with two of them is
	 * two endpoints; "" when no key was set to other than its default. For
	 * comparison, not to be shown: a digest of secrets, too. The bytes of
	 * files are not in it: with other ones it is the same endpoint. */
	char id[TRANSPORT_ID];
	struct pool_transport way; /* its pointers are its own */
	uint32_t max_reply;
	bool depth_set, crlfile_unused; /* to be warned about */
};

/* The id of what they come to: see below. */
void transport_settings_id(const struct transport_keys *keys,
			   const struct transport_keys *defaults,
			   char ret[TRANSPORT_ID]);

/* What `keys` and, where they set nothing, `defaults` (may be NULL) come to;
 * the files are read. Any thread. Returns 0 with one reference; or -ENOMEM,
 * -EINVAL with what is wrong in `reterr`, key and all. */
int transport_settings_load(const struct transport_keys *keys,
			    const struct transport_keys *defaults,
			    struct transport_settings **ret,
			    char reterr[static 256]);

/* Whether both lead to the same endpoint by the same bytes. */
bool transport_settings_equal(const struct transport_settings *a,
			      const struct transport_settings *b);

struct transport_settings *transport_settings_ref(struct transport_settings *t);
void transport_settings_unref(struct transport_settings *t); /* or NULL */

/* The i-th thing to be warned about, from 0; NULL: there are no more. Its
 * beginning, up to a colon, says the most. */
const char *transport_settings_warning(const struct transport_settings *t,
				       unsigned i);

/* The name of the endpoint that `url` by this way is to the pool: malloc'd,
 * NULL without memory. Not to be shown. */
char *transport_settings_name(const struct transport_settings *t,
			      const char *url);

#endif /* PLUGIN_SETTINGS_SETTINGS_TRANSPORT_H */
