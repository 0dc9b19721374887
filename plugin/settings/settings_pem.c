#include "plugin/settings/settings_pem.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(char reterr[static CONF_REASON_LEN], const char *why)
{
	snprintf(reterr, CONF_REASON_LEN, "%s", why);
	return -EINVAL;
}

void settings_free_secret(void *data, size_t len)
{
	if (data)
		sodium_memzero(data, len);
	free(data);
}

/* ---- files ---- */

static int read_whole(int fd, char *to, size_t len)
{
	size_t got;
	int err = conf_read_all(fd, to, len, &got);

	if (!err && got < len)
		err = -ESTALE; /* it has shrunk meanwhile */
	return err;
}

static int read_open(int fd, char **ret, size_t *ret_len,
		     char reterr[static CONF_REASON_LEN])
{
	struct stat st;
	char *text;
	size_t len;
	int err;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return refuse(reterr, "is no file");
	if (st.st_size > SETTINGS_FILE_MAX)
		return refuse(reterr, "is a file of more than 16 MiB");
	len = (size_t)st.st_size;
	text = calloc(1, len + 1);
	if (!text)
		return -ENOMEM;
	err = read_whole(fd, text, len);
	if (err) {
		settings_free_secret(text, len);
		snprintf(reterr, CONF_REASON_LEN, "the file cannot be read: %s",
			 strerrordesc_np(-err));
		return -EINVAL;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

int settings_read_file(const char *path, char **ret, size_t *ret_len,
		       char reterr[static CONF_REASON_LEN])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err = errno;

	if (fd < 0) {
		snprintf(reterr, CONF_REASON_LEN,
			 "the file cannot be read: %s%s", strerrordesc_np(err),
			 err == EACCES ? "; the broker's user has to be able "
					 "to"
				       : "");
		return -EINVAL;
	}
	err = read_open(fd, ret, ret_len, reterr);
	close(fd);
	return err;
}

/* ---- PEM ---- */

struct span {
	const char *at;
	size_t len;
};

static const struct {
	const char *label; /* or its end */
	const char *what;
} kinds[] = {
	[PEM_CERTIFICATE] = { "CERTIFICATE", "certificate" },
	[PEM_PRIVATE_KEY] = { "PRIVATE KEY", "private key" },
	[PEM_CRL] = { "X509 CRL", "revocation list" },
};

/* The text up to `mark`, which `rest` then is past. */
static bool cut(struct span *rest, const char *mark, struct span *ret)
{
	size_t n = strlen(mark);
	const char *at = memmem(rest->at, rest->len, mark, n);

	if (!at)
		return false;
	*ret = (struct span){ rest->at, (size_t)(at - rest->at) };
	rest->len -= ret->len + n;
	rest->at = at + n;
	return true;
}

static bool has(struct span text, const char *part)
{
	return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

static bool ends_in(struct span text, const char *end)
{
	size_t n = strlen(end);

	return text.len >= n && !memcmp(text.at + text.len - n, end, n);
}

/* Base64 of a DER sequence. */
static int check_body(struct span body, bool *ret_ok)
{
	size_t n = 0, max = body.len / 4 * 3 + 3;
	unsigned char *der = malloc(max);

	if (!der)
		return -ENOMEM;
	*ret_ok = !sodium_base642bin(der, max, body.at, body.len, " \t\r\n", &n,
				     NULL, sodium_base64_VARIANT_ORIGINAL) &&
		  n > 1 && der[0] == 0x30;
	settings_free_secret(der, max);
	return 0;
}

/* One entry, after its "-----BEGIN ". */
static int check_entry(struct span *rest, struct span *ret_label,
		       bool *ret_encrypted, bool *ret_ok)
{
	char end[80];
	struct span body;

	*ret_ok = false;
	if (!cut(rest, "-----", ret_label) || ret_label->len > 64)
		return 0;
	snprintf(end, sizeof(end), "-----END %.*s-----", (int)ret_label->len,
		 ret_label->at);
	if (!cut(rest, end, &body))
		return 0;
	*ret_encrypted = has(*ret_label, "ENCRYPTED") ||
			 has(body, "Proc-Type: 4,ENCRYPTED");
	if (has(body, "Proc-Type:")) { /* headers: old, and never without it */
		*ret_ok = true;
		return 0;
	}
	return check_body(body, ret_ok);
}

int settings_check_pem(const char *text, size_t len, enum pem_kind kind,
		       bool *ret_encrypted, char reterr[static CONF_REASON_LEN])
{
	struct span rest = { text, len }, label;
	bool found = false, encrypted = false;

	while (cut(&rest, "-----BEGIN ", &label)) {
		bool ok, locked = false;
		int err = check_entry(&rest, &label, &locked, &ok);

		if (err)
			return err;
		if (!ok)
			return refuse(reterr,
				      "is a file with a broken PEM entry");
		if (ends_in(label, kinds[kind].label)) {
			found = true;
			encrypted = encrypted || locked;
		}
	}
	if (!found) {
		snprintf(reterr, CONF_REASON_LEN,
			 "is no PEM file with a %s in it", kinds[kind].what);
		return -EINVAL;
	}
	*ret_encrypted = encrypted;
	return 0;
}
