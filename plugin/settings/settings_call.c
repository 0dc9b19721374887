/*
 * settings_call.c - the keys about what calls carry: headers, signatures,
 * trace, listener.
 */
#include "plugin/settings/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plugin/settings/settings_private.h"

enum {
	FILE_MAX_BYTES = 8192, /* more than any of these can hold */
};

_Static_assert(CONF_REASON_LEN == CREDENTIALS_REASON_LEN, "one reason");
_Static_assert(CONF_REASON_LEN == SIGNATURE_REASON_LEN, "one reason");

static int refuse(char reterr[static CONF_REASON_LEN], const char *why)
{
	snprintf(reterr, CONF_REASON_LEN, "%s", why);
	return -EINVAL;
}

/* ---- files ---- */

/* A small file's text in a block of FILE_MAX_BYTES + 1, for forget(). */
struct text {
	char *data; /* ends with a NUL */
	size_t len;
};

static void forget(struct text *text)
{
	if (text->data)
		explicit_bzero(text->data, FILE_MAX_BYTES + 1);
	free(text->data);
	text->data = NULL;
}

/* As an open file's. Returns 0; or -errno, -EINVAL for no regular file,
 * -EFBIG, -EILSEQ for a NUL byte. */
static int read_open_file(int fd, struct text *ret)
{
	struct stat st;
	int err;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	ret->data = malloc(FILE_MAX_BYTES + 1);
	if (!ret->data)
		return -ENOMEM;
	err = conf_read_all(fd, ret->data, FILE_MAX_BYTES + 1, &ret->len);
	if (err)
		return err;
	if (ret->len > FILE_MAX_BYTES)
		return -EFBIG;
	ret->data[ret->len] = '\0';
	return memchr(ret->data, '\0', ret->len) ? -EILSEQ : 0;
}

static const char *wrong_with_file(int err)
{
	switch (err) {
	case -EINVAL:
		return "no regular file";
	case -EFBIG:
		return "longer than 8192 bytes";
	case -EILSEQ:
		return "a NUL byte: this is no text";
	default:
		return strerror(-err);
	}
}

/* Returns 0 with a text to forget(); or -ENOMEM; or -EINVAL with `reterr`. */
static int read_file(const char *path, struct text *ret,
		     char reterr[static CONF_REASON_LEN])
{
	/* not blocking: a FIFO must not hold up the broker's start */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err = fd < 0 ? -errno : 0;

	*ret = (struct text){ NULL, 0 };
	if (!err)
		err = read_open_file(fd, ret);
	if (fd >= 0)
		close(fd);
	if (!err)
		return 0;
	forget(ret);
	if (err == -ENOMEM)
		return err;
	snprintf(reterr, CONF_REASON_LEN, "%.64s: %s", path,
		 wrong_with_file(err));
	return -EINVAL;
}

/* ---- keys ---- */

static struct credentials *credentials_of(struct call_draft *draft)
{
	if (!draft->credentials)
		draft->credentials = credentials_new();
	return draft->credentials;
}

static int set_header(void *obj, const char *name, const char *value,
		      char reterr[static CONF_REASON_LEN])
{
	struct credentials *c = credentials_of(obj);

	return c ? credentials_add_header(c, name, value, reterr) : -ENOMEM;
}

/* The file's content but for the newline at its end. */
static int set_header_file(void *obj, const char *name, const char *path,
			   char reterr[static CONF_REASON_LEN])
{
	struct text text;
	int err;

	err = read_file(path, &text, reterr);
	if (err)
		return err;
	if (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	if (text.len && text.data[text.len - 1] == '\r')
		text.data[--text.len] = '\0';
	err = set_header(obj, name, text.data, reterr);
	forget(&text);
	return err;
}

typedef int add_key_fn(struct signature_keys *keys, const char *text,
		       size_t len, char reterr[static CONF_REASON_LEN]);

/* Keys with blanks or line ends between them. */
static int add_keys(struct call_draft *draft, add_key_fn *add, const char *text,
		    char reterr[static CONF_REASON_LEN])
{
	static const char between[] = " \t\r\n";
	struct credentials *c = credentials_of(draft);
	size_t before = c ? c->keys.count : 0;

	if (!c)
		return -ENOMEM;
	for (text += strspn(text, between); *text;
	     text += strspn(text, between)) {
		size_t len = strcspn(text, between);
		int err = add(&c->keys, text, len, reterr);

		if (err)
			return err;
		text += len;
	}
	return c->keys.count > before ? 0 : refuse(reterr, "no key");
}

static int set_secret(void *obj, const char *name, const char *value,
		      char reterr[static CONF_REASON_LEN])
{
	struct call_draft *draft = obj;

	(void)name;
	if (draft->secret_in_file)
		return refuse(reterr, "beside secret_file: keep one of them");
	draft->secret_inline = true;
	return add_keys(draft, signature_add_secret, value, reterr);
}

static int add_file(struct call_draft *draft, add_key_fn *add, const char *path,
		    char reterr[static CONF_REASON_LEN])
{
	struct text text;
	int err;

	err = read_file(path, &text, reterr);
	if (err)
		return err;
	err = add_keys(draft, add, text.data, reterr);
	forget(&text);
	return err;
}

static int set_secret_file(void *obj, const char *name, const char *path,
			   char reterr[static CONF_REASON_LEN])
{
	struct call_draft *draft = obj;

	(void)name;
	if (draft->secret_inline)
		return refuse(reterr, "beside secret: keep one of them");
	draft->secret_in_file = true;
	return add_file(draft, signature_add_secret, path, reterr);
}

static int set_signing_key_file(void *obj, const char *name, const char *path,
				char reterr[static CONF_REASON_LEN])
{
	(void)name;
	return add_file(obj, signature_add_signing_key, path, reterr);
}

/* What somebody may try before reading the documentation. */
static int check_header_form(const char *value,
			     char reterr[static CONF_REASON_LEN])
{
	(void)value;
	return refuse(reterr, "which header? The form is header.<Name> = "
			      "value, or header_file.<Name> = path");
}

static const char *const off_on[] = { "off", "on", NULL };

const struct conf_directive settings_call_keys[] = {
	{
		.name = "secret",
		.type = CONF_CALL,
		.set = set_secret,
		.secret = true,
	},
	{ .name = "secret_file", .type = CONF_CALL, .set = set_secret_file },
	{
		.name = "signing_key_file",
		.type = CONF_CALL,
		.set = set_signing_key_file,
	},
	{
		.name = "trace",
		.type = CONF_CHOICE,
		.offset = offsetof(struct call_draft, trace),
		.choices = off_on,
	},
	{
		.name = "forward_connection_opts",
		.type = CONF_CHOICE,
		.offset = offsetof(struct call_draft, forward),
		.choices = off_on,
	},
	{ .name = "header", .type = CONF_NONE, .check = check_header_form },
	{
		.name = "header_file",
		.type = CONF_NONE,
		.check = check_header_form,
	},
	{ 0 },
};

const struct conf_directive settings_header_keys[] = {
	{ .name = "*", .type = CONF_CALL, .set = set_header },
	{ 0 },
};

const struct conf_directive settings_header_file_keys[] = {
	{ .name = "*", .type = CONF_CALL, .set = set_header_file },
	{ 0 },
};

/* ---- from drafts to options ---- */

void call_draft_init(struct call_draft *draft)
{
	draft->trace = CALL_UNSET;
	draft->forward = CALL_UNSET;
}

void call_draft_clear(struct call_draft *draft)
{
	credentials_unref(draft->credentials);
	draft->credentials = NULL;
}

void call_draft_global(const struct call_draft *draft, struct call_opts *ret)
{
	*ret = (struct call_opts){
		.credentials = credentials_ref(draft->credentials),
		.trace = draft->trace == true,
		.forward = draft->forward == true,
	};
}

static bool has_listener(enum hook_id hook)
{
	return hook == HOOK_AUTH_ON_REGISTER ||
	       hook == HOOK_AUTH_ON_REGISTER_M5;
}

struct call_opts settings_call_of(const struct settings *s, enum hook_id hook)
{
	struct call_opts call = s->call;

	call.forward = call.forward && has_listener(hook);
	return call;
}

int call_draft_finish(struct call_draft *draft, const struct settings *s,
		      enum hook_id hook, struct call_opts *ret,
		      char reterr[static CONF_REASON_LEN])
{
	struct call_opts call = settings_call_of(s, hook);
	int err = 0;

	if (draft->forward != CALL_UNSET && !has_listener(hook))
		return refuse(reterr, "forward_connection_opts is for "
				      "auth_on_register and "
				      "auth_on_register_m5");
	if (draft->forward != CALL_UNSET)
		call.forward = draft->forward;
	if (draft->trace != CALL_UNSET)
		call.trace = draft->trace;
	if (draft->credentials && call.credentials)
		err = credentials_inherit(draft->credentials, call.credentials,
					  reterr);
	if (err)
		return err;
	if (draft->credentials)
		call.credentials = draft->credentials;
	credentials_ref(call.credentials);
	*ret = call;
	return 0;
}
