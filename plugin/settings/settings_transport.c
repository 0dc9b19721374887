#include "plugin/settings/settings_transport.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/settings/settings_pem.h"

const char *const transport_switch[] = { "off", "on", NULL };

const char *const transport_tls_versions[] = { "tlsv1", "tlsv1.1", "tlsv1.2",
					       "tlsv1.3", NULL };
static const enum pool_tls tls_versions[] = { POOL_TLS_1_0, POOL_TLS_1_1,
					      POOL_TLS_1_2, POOL_TLS_1_3 };

/* As in enum pool_http. */
const char *const transport_http_versions[] = { "2", "1.1", "2-prior-knowledge",
						NULL };

enum {
	OFF = 0,
	ON = 1,
	TLS_1_2 = 2, /* among transport_tls_versions */
	SECRET_MAX = 4096,
};

static const struct transport_keys program = {
	.verify_peer = ON,
	.use_crls = OFF,
	.tls_version = TLS_1_2,
	.http_version = POOL_HTTP_2,
	.depth = TRANSPORT_UNSET,
	.connect_timeout = 1000,
	.max_reply = 1024 * 1024,
	.dns_timeout = 60000,
	.connection_lifetime = 0,
};

/* ---- keys ---- */

static const size_t texts[] = {
	offsetof(struct transport_keys, cafile),
	offsetof(struct transport_keys, certfile),
	offsetof(struct transport_keys, keyfile),
	offsetof(struct transport_keys, crlfile),
	offsetof(struct transport_keys, keyfile_password),
	offsetof(struct transport_keys, keyfile_password_file),
	offsetof(struct transport_keys, sni),
	offsetof(struct transport_keys, pinned_public_key),
	offsetof(struct transport_keys, proxy),
	offsetof(struct transport_keys, no_proxy),
};

static const size_t numbers[] = {
	offsetof(struct transport_keys, verify_peer),
	offsetof(struct transport_keys, use_crls),
	offsetof(struct transport_keys, tls_version),
	offsetof(struct transport_keys, http_version),
	offsetof(struct transport_keys, depth),
	offsetof(struct transport_keys, connect_timeout),
	offsetof(struct transport_keys, max_reply),
	offsetof(struct transport_keys, dns_timeout),
	offsetof(struct transport_keys, connection_lifetime),
};

enum {
	TEXTS = sizeof(texts) / sizeof(texts[0]),
	NUMBERS = sizeof(numbers) / sizeof(numbers[0]),
};

static char **text_at(struct transport_keys *keys, int i)
{
	return (char **)(void *)((char *)keys + texts[i]);
}

static uint32_t *number_at(struct transport_keys *keys, int i)
{
	return (uint32_t *)(void *)((char *)keys + numbers[i]);
}

void transport_keys_init(struct transport_keys *keys)
{
	memset(keys, 0, sizeof(*keys));
	for (int i = 0; i < NUMBERS; i++)
		*number_at(keys, i) = TRANSPORT_UNSET;
}

void transport_keys_clear(struct transport_keys *keys)
{
	for (int i = 0; i < TEXTS; i++) {
		char **text = text_at(keys, i);

		settings_free_secret(*text, *text ? strlen(*text) : 0);
		*text = NULL;
	}
}

/* Certificate and key go together, and so do the ways to say a password:
 * who sets one of them inherits neither. */
static void drop_pairs(const struct transport_keys *keys,
		       struct transport_keys *defaults)
{
	if (keys->certfile || keys->keyfile)
		defaults->certfile = defaults->keyfile = NULL;
	if (keys->keyfile_password || keys->keyfile_password_file)
		defaults->keyfile_password = defaults->keyfile_password_file =
			NULL;
}

int transport_keys_copy(const struct transport_keys *keys,
			struct transport_keys *ret)
{
	struct transport_keys copy = *keys;
	int err = 0;

	for (int i = 0; i < TEXTS; i++) {
		char **text = text_at(&copy, i);

		if (!*text)
			continue;
		*text = strdup(*text);
		if (!*text)
			err = -ENOMEM;
	}
	if (err) {
		transport_keys_clear(&copy);
		transport_keys_init(&copy);
	}
	*ret = copy;
	return err;
}

/* All borrowed. A text that is empty becomes NULL. */
static struct transport_keys merge(const struct transport_keys *keys,
				   const struct transport_keys *defaults)
{
	struct transport_keys all = *keys, base;

	transport_keys_init(&base);
	if (defaults)
		base = *defaults;
	drop_pairs(keys, &base);
	for (int i = 0; i < TEXTS; i++) {
		char **text = text_at(&all, i);

		if (!*text)
			*text = *text_at(&base, i);
		if (*text && !**text)
			*text = NULL;
	}
	for (int i = 0; i < NUMBERS; i++) {
		uint32_t *number = number_at(&all, i);
		struct transport_keys last = program;

		if (*number == TRANSPORT_UNSET)
			*number = *number_at(&base, i);
		if (*number == TRANSPORT_UNSET)
			*number = *number_at(&last, i);
	}
	return all;
}

struct transport_keys transport_keys_merged(
	const struct transport_keys *keys,
	const struct transport_keys *defaults)
{
	return merge(keys, defaults);
}

/* ---- checks of one value ---- */

static int refuse(char reterr[static CONF_REASON_LEN], const char *why)
{
	snprintf(reterr, CONF_REASON_LEN, "%s", why);
	return -EINVAL;
}

static int check_file(const char *path, enum pem_kind kind,
		      char reterr[static CONF_REASON_LEN])
{
	bool encrypted;
	size_t len;
	char *text;
	int err;

	if (!*path)
		return 0;
	err = settings_read_file(path, &text, &len, reterr);
	if (err)
		return err;
	err = settings_check_pem(text, len, kind, &encrypted, reterr);
	settings_free_secret(text, len);
	return err;
}

int transport_check_certs(const char *v, char reterr[static CONF_REASON_LEN])
{
	return check_file(v, PEM_CERTIFICATE, reterr);
}

int transport_check_key(const char *v, char reterr[static CONF_REASON_LEN])
{
	return check_file(v, PEM_PRIVATE_KEY, reterr);
}

int transport_check_crl(const char *v, char reterr[static CONF_REASON_LEN])
{
	return check_file(v, PEM_CRL, reterr);
}

/* The first line of a file; malloc'd. */
static int read_secret(const char *path, char **ret,
		       char reterr[static CONF_REASON_LEN])
{
	size_t len, n;
	char *text;
	int err;

	err = settings_read_file(path, &text, &len, reterr);
	if (err)
		return err;
	n = strcspn(text, "\r\n");
	if (!n || n > SECRET_MAX)
		err = refuse(reterr, "is a file whose first line is no "
				     "password of 1 to 4096 bytes");
	if (!err) {
		*ret = strndup(text, n);
		err = *ret ? 0 : -ENOMEM;
	}
	settings_free_secret(text, len);
	return err;
}

int transport_check_secret(const char *v, char reterr[static CONF_REASON_LEN])
{
	char *secret;
	int err;

	if (!*v)
		return 0;
	err = read_secret(v, &secret, reterr);
	if (!err)
		settings_free_secret(secret, strlen(secret));
	return err;
}

int transport_check_sni(const char *v, char reterr[static CONF_REASON_LEN])
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

	if (strlen(v) <= 253 && !v[strspn(v, allowed)])
		return 0;
	return refuse(reterr, "no host name; allowed: letters, digits, dots "
			      "and hyphens, no port");
}

/* sha256//BASE64, once or several times with ; between. */
int transport_check_pin(const char *v, char reterr[static CONF_REASON_LEN])
{
	static const char prefix[] = "sha256//";
	unsigned char hash[32];

	while (*v) {
		size_t len = strcspn(v, ";"), n = 0, skip = strlen(prefix);

		if (strncmp(v, prefix, skip) != 0 ||
		    sodium_base642bin(hash, sizeof(hash), v + skip, len - skip,
				      NULL, &n, NULL,
				      sodium_base64_VARIANT_ORIGINAL) ||
		    n != sizeof(hash) || (v[len] && !v[len + 1]))
			return refuse(
				reterr,
				"no pin; allowed: sha256// and the base64 "
				"of a SHA-256 digest, several with ; "
				"between them");
		v += len + (v[len] == ';');
	}
	return 0;
}

int transport_check_proxy(const char *v, char reterr[static CONF_REASON_LEN])
{
	return *v ? pool_check_proxy(v, reterr) : 0;
}

/* ---- the value ---- */

static int read_into(const char *path, struct pool_file *file,
		     char reterr[static CONF_REASON_LEN])
{
	char *text;
	int err;

	if (!path)
		return 0;
	err = settings_read_file(path, &text, &file->len, reterr);
	if (!err)
		file->data = text;
	return err;
}

static int fail(char reterr[static 256], const char *key, const char *why)
{
	snprintf(reterr, 256, "%s: %s", key, why);
	return -EINVAL;
}

/* Read one file and see that it is what it is to be. */
static int load_file(const char *key, const char *path, enum pem_kind kind,
		     struct pool_file *ret, bool *ret_encrypted,
		     char reterr[static 256])
{
	char why[CONF_REASON_LEN] = "";
	int err;

	if (!path)
		return 0;
	err = read_into(path, ret, why);
	if (!err)
		err = settings_check_pem(ret->data, ret->len, kind,
					 ret_encrypted, why);
	return err == -EINVAL ? fail(reterr, key, why) : err;
}

static int load_password(const struct transport_keys *all,
			 struct transport_settings *t, char reterr[static 256])
{
	char why[CONF_REASON_LEN] = "";
	char *secret = NULL;
	int err = 0;

	if (all->keyfile_password && all->keyfile_password_file)
		return fail(reterr, "keyfile_password",
			    "is set, and so is keyfile_password_file: remove "
			    "one of them");
	if (all->keyfile_password)
		secret = strdup(all->keyfile_password);
	else if (all->keyfile_password_file)
		err = read_secret(all->keyfile_password_file, &secret, why);
	else
		return 0;
	if (err == -EINVAL)
		return fail(reterr, "keyfile_password_file", why);
	t->way.key_password = secret;
	return secret ? 0 : -ENOMEM;
}

/* The key may stand in the file of the certificate. */
static int load_client(const struct transport_keys *all,
		       struct transport_settings *t, char reterr[static 256])
{
	const char *keyfile = all->keyfile ? all->keyfile : all->certfile;
	bool encrypted = false;
	int err;

	if (!all->certfile)
		return all->keyfile ? fail(reterr, "keyfile",
					   "is of no use without certfile: set "
					   "both")
				    : 0;
	err = load_file("certfile", all->certfile, PEM_CERTIFICATE,
			&t->way.cert, &encrypted, reterr);
	if (err)
		return err;
	err = load_file("keyfile", keyfile, PEM_PRIVATE_KEY, &t->way.key,
			&encrypted, reterr);
	if (err == -EINVAL && !all->keyfile)
		return fail(reterr, "certfile",
			    "holds no private key, and there is no keyfile: "
			    "set it");
	if (!err)
		err = load_password(all, t, reterr);
	if (!err && encrypted && !t->way.key_password)
		return fail(reterr, "keyfile",
			    "is encrypted: set keyfile_password or "
			    "keyfile_password_file");
	return err;
}

static int load_crls(const struct transport_keys *all,
		     struct transport_settings *t, char reterr[static 256])
{
	bool unused;

	t->crlfile_unused = all->crlfile && all->use_crls == OFF;
	if (all->use_crls == OFF)
		return 0;
	if (!all->crlfile)
		return fail(reterr, "use_crls",
			    "needs crlfile, the revocation lists: set it, or "
			    "use_crls = off");
	return load_file("crlfile", all->crlfile, PEM_CRL, &t->way.crl, &unused,
			 reterr);
}

static int copy_text(const char *text, const char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static int copy_texts(const struct transport_keys *all,
		      struct pool_transport *way)
{
	int err = copy_text(all->sni, &way->server_name);

	if (!err)
		err = copy_text(all->pinned_public_key, &way->pinned_key);
	if (!err)
		err = copy_text(all->proxy, &way->proxy);
	if (!err)
		err = copy_text(all->no_proxy, &way->no_proxy);
	return err;
}

/* Of what was set, not of what is in the files. */
static void make_id(const struct transport_keys *set, char ret[TRANSPORT_ID])
{
	struct transport_keys given = *set, *all = &given;
	struct transport_keys none;
	unsigned char digest[16];
	crypto_generichash_state state;
	bool is_default = true;

	transport_keys_init(&none);
	none = merge(&none, NULL);
	all->depth = none.depth; /* has no effect */
	ret[0] = '\0';
	crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	for (int i = 0; i < TEXTS; i++) {
		const char *text = *text_at(all, i);

		is_default = is_default && !text;
		text = text ? text : "";
		crypto_generichash_update(&state, (const void *)text,
					  strlen(text) + 1);
	}
	for (int i = 0; i < NUMBERS; i++) {
		const uint32_t *number = number_at(all, i);

		is_default = is_default && *number == *number_at(&none, i);
		crypto_generichash_update(&state, (const void *)number,
					  sizeof(*number));
	}
	crypto_generichash_final(&state, digest, sizeof(digest));
	sodium_memzero(&state, sizeof(state));
	if (!is_default)
		sodium_bin2hex(ret, TRANSPORT_ID, digest, sizeof(digest));
}

void transport_settings_id(const struct transport_keys *keys,
			   const struct transport_keys *defaults,
			   char ret[TRANSPORT_ID])
{
	struct transport_keys all = merge(keys, defaults);

	make_id(&all, ret);
}

static int load(struct transport_keys *all, struct transport_settings *t,
		char reterr[static 256])
{
	bool unused;
	int err;

	t->way.no_verify = all->verify_peer == OFF;
	t->way.tls = tls_versions[all->tls_version];
	t->way.http = (enum pool_http)all->http_version;
	t->way.connect_ms = all->connect_timeout;
	t->way.dns_ms = all->dns_timeout;
	t->way.lifetime_ms = all->connection_lifetime;
	t->max_reply = all->max_reply;
	t->depth_set = all->depth != TRANSPORT_UNSET;
	make_id(all, t->id);
	err = load_file("cafile", all->cafile, PEM_CERTIFICATE, &t->way.ca,
			&unused, reterr);
	if (!err)
		err = load_client(all, t, reterr);
	if (!err)
		err = load_crls(all, t, reterr);
	if (!err)
		err = copy_texts(all, &t->way);
	return err;
}

int transport_settings_load(const struct transport_keys *keys,
			    const struct transport_keys *defaults,
			    struct transport_settings **ret,
			    char reterr[static 256])
{
	struct transport_keys all = merge(keys, defaults);
	struct transport_settings *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	atomic_init(&t->refs, 1);
	err = load(&all, t, reterr);
	if (err)
		transport_settings_unref(t);
	else
		*ret = t;
	return err;
}

static bool same_file(const struct pool_file *a, const struct pool_file *b)
{
	return a->len == b->len &&
	       (!a->len || memcmp(a->data, b->data, a->len) == 0);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What is set in words and numbers, the id has. */
bool transport_settings_equal(const struct transport_settings *a,
			      const struct transport_settings *b)
{
	return a == b || (strcmp(a->id, b->id) == 0 &&
			  same_file(&a->way.ca, &b->way.ca) &&
			  same_file(&a->way.cert, &b->way.cert) &&
			  same_file(&a->way.key, &b->way.key) &&
			  same_file(&a->way.crl, &b->way.crl) &&
			  same_text(a->way.key_password, b->way.key_password));
}

struct transport_settings *transport_settings_ref(struct transport_settings *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

static void free_text(const char *text)
{
	settings_free_secret((void *)(uintptr_t)text, text ? strlen(text) : 0);
}

static void free_file(const struct pool_file *file)
{
	settings_free_secret((void *)(uintptr_t)file->data, file->len);
}

void transport_settings_unref(struct transport_settings *t)
{
	if (!t ||
	    atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	free_file(&t->way.ca);
	free_file(&t->way.cert);
	free_file(&t->way.key);
	free_file(&t->way.crl);
	free_text(t->way.key_password);
	free_text(t->way.server_name);
	free_text(t->way.pinned_key);
	free_text(t->way.proxy);
	free_text(t->way.no_proxy);
	free(t);
}

char *transport_settings_name(const struct transport_settings *t,
			      const char *url)
{
	char *name;

	if (!*t->id)
		return strdup(url);
	return asprintf(&name, "%s %s", url, t->id) < 0 ? NULL : name;
}

const char *transport_settings_warning(const struct transport_settings *t,
				       unsigned i)
{
	const struct {
		bool holds;
		const char *text;
	} warnings[] = {
		{ t->way.no_verify,
		  "verify_peer = off: any server can pass for the endpoint, "
		  "and read and decide what it is sent" },
		{ t->crlfile_unused,
		  "crlfile has no effect without use_crls = on" },
		{ t->depth_set,
		  "depth has no effect: chains of certificates may be as long "
		  "as OpenSSL accepts" },
	};

	for (size_t k = 0; k < sizeof(warnings) / sizeof(warnings[0]); k++) {
		if (warnings[k].holds && i-- == 0)
			return warnings[k].text;
	}
	return NULL;
}
