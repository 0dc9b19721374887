/*
 * signature.h - webhook-signature, by the Standard Webhooks specification:
 * HMAC-SHA256 with shared secrets (v1), ed25519 with key pairs (v1a).
 *
 * Functions of their arguments alone, any thread. Keys are wiped by
 * signature_forget(), and repeated in no error text.
 */
#ifndef PLUGIN_SIGNATURE_H
#define PLUGIN_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_KEYS_MAX   8
#define SIGNATURE_REASON_LEN 128

struct signature_key {
	bool asymmetric;
	uint8_t len;
	uint8_t bytes[64]; /* a secret; or seed and public key */
};

/* One signature for each, in this order: several while keys are exchanged. */
struct signature_keys {
	size_t count;
	struct signature_key keys[SIGNATURE_KEYS_MAX];
};

/* Add one key, `len` characters of `text`: "whsec_" and 24 to 64 bytes in
 * base64; or "whsk_" and an ed25519 key, its seed of 32 bytes with or without
 * the public key behind it. Returns 0, or -EINVAL with what is wrong in
 * `reterr` and the keys as they were. */
int signature_add_secret(struct signature_keys *keys, const char *text,
			 size_t len, char reterr[static SIGNATURE_REASON_LEN]);
int signature_add_signing_key(struct signature_keys *keys, const char *text,
			      size_t len,
			      char reterr[static SIGNATURE_REASON_LEN]);

/* The longest value: of v1a, whose base64 has 88 characters. */
#define SIGNATURE_LEN (SIGNATURE_KEYS_MAX * (5 + 88) + 1)

/* The value of the header, for `body` sent under this id and timestamp.
 * Returns 0, or -ENOMEM: what v1a signs has to be in one piece. */
int signature_make(const struct signature_keys *keys, const char *id,
		   const char *timestamp, const void *body, size_t len,
		   char ret[static SIGNATURE_LEN]);

void signature_forget(struct signature_keys *keys);

#endif /* PLUGIN_SIGNATURE_H */
