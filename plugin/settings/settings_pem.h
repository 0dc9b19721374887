/*
 * settings_pem.h - files of keys and certificates: read whole, and looked
 * into as far as can be told without OpenSSL. Any thread.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_PEM_H
#define PLUGIN_SETTINGS_SETTINGS_PEM_H

#include <stdbool.h>
#include <stddef.h>
#include "conf/conf.h"

enum pem_kind {
	PEM_CERTIFICATE = 0,
	PEM_PRIVATE_KEY,
	PEM_CRL,
};

#define SETTINGS_FILE_MAX (16 * 1024 * 1024) /* bytes */

/* A regular file of at most SETTINGS_FILE_MAX, with a NUL at its end that
 * `ret_len` does not count; settings_free_secret() it. Returns 0, -ENOMEM, or
 * -EINVAL with what is wrong in `reterr`. */
int settings_read_file(const char *path, char **ret, size_t *ret_len,
		       char reterr[static CONF_REASON_LEN]);

/* Whether `text` holds one entry of `kind` at least, and no broken one
 * (RFC 7468); `ret_encrypted` tells of keys whether one needs a password.
 * Returns 0; or -ENOMEM, -EINVAL with what is wrong in `reterr`. */
int settings_check_pem(const char *text, size_t len, enum pem_kind kind,
		       bool *ret_encrypted,
		       char reterr[static CONF_REASON_LEN]);

/* Wipe and free; NULL is fine. */
void settings_free_secret(void *data, size_t len);

#endif /* PLUGIN_SETTINGS_SETTINGS_PEM_H */
