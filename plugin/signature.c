#include "plugin/signature.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SECRET_LEAST = 24, /* the specification's bounds */
	SECRET_MOST = 64,
	BASE64 = sodium_base64_VARIANT_ORIGINAL,
};

_Static_assert(crypto_sign_SECRETKEYBYTES ==
		       sizeof(((struct signature_key *)0)->bytes),
	       "room for an ed25519 key");

/* ---- keys ---- */

static int refuse(char reterr[static SIGNATURE_REASON_LEN], const char *why)
{
	snprintf(reterr, SIGNATURE_REASON_LEN, "%s", why);
	return -EINVAL;
}

/* What follows `prefix`, from base64, into the next key's place. Returns its
 * length; 0 when it is none. */
static size_t read_key(struct signature_key *key, const char *prefix,
		       const char *text, size_t len)
{
	size_t skip = strlen(prefix), n = 0;

	if (len <= skip || memcmp(text, prefix, skip) != 0)
		return 0;
	if (sodium_base642bin(key->bytes, sizeof(key->bytes), text + skip,
			      len - skip, NULL, &n, NULL, BASE64) != 0)
		return 0;
	key->len = (uint8_t)n;
	return n;
}

int signature_add_secret(struct signature_keys *keys, const char *text,
			 size_t len, char reterr[static SIGNATURE_REASON_LEN])
{
	struct signature_key *key = &keys->keys[keys->count];
	size_t n;

	if (keys->count == SIGNATURE_KEYS_MAX)
		return refuse(reterr, "more than 8 keys");
	n = read_key(key, "whsec_", text, len);
	if (n < SECRET_LEAST || n > SECRET_MOST) {
		sodium_memzero(key, sizeof(*key));
		return refuse(reterr,
			      "no secret; allowed: whsec_ and the base64, with "
			      "padding, of 24 to 64 random bytes");
	}
	keys->count++;
	return 0;
}

/* From the seed the rest follows; what else was given has to agree. */
static bool complete(struct signature_key *key, size_t len)
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES];
	uint8_t whole[crypto_sign_SECRETKEYBYTES];
	bool agrees;

	if (len != crypto_sign_SEEDBYTES && len != sizeof(whole))
		return false;
	if (crypto_sign_seed_keypair(public, whole, key->bytes) != 0)
		return false;
	agrees = len == crypto_sign_SEEDBYTES ||
		 sodium_memcmp(whole, key->bytes, sizeof(whole)) == 0;
	memcpy(key->bytes, whole, sizeof(whole));
	sodium_memzero(whole, sizeof(whole));
	key->len = sizeof(whole);
	key->asymmetric = true;
	return agrees;
}

int signature_add_signing_key(struct signature_keys *keys, const char *text,
			      size_t len,
			      char reterr[static SIGNATURE_REASON_LEN])
{
	struct signature_key *key = &keys->keys[keys->count];
	size_t n;

	if (keys->count == SIGNATURE_KEYS_MAX)
		return refuse(reterr, "more than 8 keys");
	n = read_key(key, "whsk_", text, len);
	if (!complete(key, n)) {
		sodium_memzero(key, sizeof(*key));
		return refuse(reterr,
			      "no signing key; allowed: whsk_ and the base64, "
			      "with padding, of an ed25519 secret key");
	}
	keys->count++;
	return 0;
}

void signature_forget(struct signature_keys *keys)
{
	sodium_memzero(keys, sizeof(*keys));
}

/* ---- signatures ---- */

/* What is signed before the body. */
struct head {
	char text[128];
	size_t len;
};

static void make_v1(const struct signature_key *key, const struct head *head,
		    const void *body, size_t len,
		    uint8_t ret[static crypto_auth_hmacsha256_BYTES])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key->bytes, key->len);
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)head->text,
				      head->len);
	crypto_auth_hmacsha256_update(&state, body, len);
	crypto_auth_hmacsha256_final(&state, ret);
	sodium_memzero(&state, sizeof(state));
}

/* Ed25519 goes over its message twice. */
static int make_v1a(const struct signature_key *key, const struct head *head,
		    const void *body, size_t len,
		    uint8_t ret[static crypto_sign_BYTES])
{
	size_t size = head->len + len;
	uint8_t *whole = malloc(size);

	if (!whole)
		return -ENOMEM;
	memcpy(whole, head->text, head->len);
	if (len)
		memcpy(whole + head->len, body, len);
	crypto_sign_detached(ret, NULL, whole, size, key->bytes);
	sodium_memzero(whole, size); /* with a password */
	free(whole);
	return 0;
}

static int make_one(const struct signature_key *key, const struct head *head,
		    const void *body, size_t len, char *ret, size_t size)
{
	uint8_t signature[crypto_sign_BYTES];
	size_t n = crypto_auth_hmacsha256_BYTES, used;
	int err = 0;

	if (key->asymmetric) {
		n = crypto_sign_BYTES;
		err = make_v1a(key, head, body, len, signature);
	} else {
		make_v1(key, head, body, len, signature);
	}
	if (err)
		return err;
	used = (size_t)snprintf(ret, size, "%s",
				key->asymmetric ? "v1a," : "v1,");
	sodium_bin2base64(ret + used, size - used, signature, n, BASE64);
	return 0;
}

int signature_make(const struct signature_keys *keys, const char *id,
		   const char *timestamp, const void *body, size_t len,
		   char ret[static SIGNATURE_LEN])
{
	struct head head;
	size_t used = 0;

	snprintf(head.text, sizeof(head.text), "%.64s.%.32s.", id, timestamp);
	head.len = strlen(head.text);
	ret[0] = '\0';
	for (size_t i = 0; i < keys->count; i++) {
		int err;

		if (i)
			ret[used++] = ' ';
		err = make_one(&keys->keys[i], &head, body, len, ret + used,
			       SIGNATURE_LEN - used);
		if (err)
			return err;
		used += strlen(ret + used);
	}
	return 0;
}
