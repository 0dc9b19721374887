#include "plugin/settings/settings_saved.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plugin/hook_table.h"
#include "plugin/settings/settings_pem.h"
#include "pool/pool.h"

struct saved {
	char *path, *next; /* the file, and what takes its place */
	char *dir;
	int fd; /* of the file, and with the lock; or -1 */
};

enum {
	LOCK_TRIES = 100, /* another broker that starts may replace it */
};

static int fail(struct conf_error *reterr, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct conf_error *reterr, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reterr->text, sizeof(reterr->text), fmt, ap);
	va_end(ap);
	return err;
}

static int out_of_memory(struct conf_error *reterr)
{
	return fail(reterr, -ENOMEM, "out of memory");
}

/* ---- opening ---- */

static int explain_open(const char *path, int err, struct conf_error *reterr)
{
	switch (err) {
	case -EBUSY:
		return fail(reterr, err,
			    "%s is in use by another broker: give each a "
			    "vmq_webhooks.persist_file of its own",
			    path);
	case -EINVAL:
	case -EISDIR:
	case -ELOOP:
		return fail(reterr, -EINVAL,
			    "%s is no regular file: move it away, or choose "
			    "another vmq_webhooks.persist_file",
			    path);
	default:
		return fail(reterr, err,
			    "%s: %s: choose a vmq_webhooks.persist_file that "
			    "the broker's user can read and write, in a folder "
			    "that it can write to",
			    path, strerrordesc_np(-err));
	}
}

/* Whether `path` is what `fd` has open. */
static bool is_same(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int check_regular(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

static int lock(int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

/* -EAGAIN: it was replaced meanwhile. */
static int open_once(struct saved *saved)
{
	int fd = open(saved->path,
		      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		      0600);
	int err = fd < 0 ? -errno : check_regular(fd);

	if (!err)
		err = lock(fd);
	if (!err && !is_same(fd, saved->path))
		err = -EAGAIN;
	if (err && fd >= 0)
		close(fd);
	if (!err)
		saved->fd = fd;
	return err;
}

static int set_paths(struct saved *saved, const char *path)
{
	const char *slash = strrchr(path, '/');

	saved->path = strdup(path);
	saved->dir =
		slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (asprintf(&saved->next, "%s.new", path) < 0)
		saved->next = NULL;
	return saved->path && saved->dir && saved->next ? 0 : -ENOMEM;
}

int saved_open(struct saved **ret, const char *path, struct conf_error *reterr)
{
	struct saved *saved = calloc(1, sizeof(*saved));
	int err;

	if (!saved)
		return out_of_memory(reterr);
	saved->fd = -1;
	err = set_paths(saved, path);
	if (err) {
		out_of_memory(reterr);
		goto out;
	}
	err = -EAGAIN;
	for (int i = 0; i < LOCK_TRIES && err == -EAGAIN; i++)
		err = open_once(saved);
	if (err)
		err = explain_open(path, err, reterr);
out:
	if (err)
		saved_close(saved);
	else
		*ret = saved;
	return err;
}

void saved_close(struct saved *saved)
{
	if (!saved)
		return;
	if (saved->fd >= 0)
		close(saved->fd);
	free(saved->path);
	free(saved->next);
	free(saved->dir);
	free(saved);
}

/* ---- reading ---- */

/* A webhook of which some keys were read. */
struct entry {
	struct entry *next;     /* by name */
	struct registration *r; /* of its options; hook and endpoint follow */
	char *name, *place;     /* where the first of its keys stands */
	char *at;               /* where the one now read stands */
	unsigned hook;          /* HOOK_COUNT: not yet */
	char *endpoint;
};

struct entries {
	struct entry *first;
	size_t count;
};

static int take_option(struct entry *e, const char *prefix, const char *name,
		       const char *value, char reterr[static CONF_REASON_LEN])
{
	char *key = NULL, *place = NULL;
	int err = -ENOMEM;

	if (asprintf(&key, "%s%s", prefix, name) < 0)
		key = NULL;
	if (asprintf(&place, "%s: vmq_webhooks.%s.%s%s", e->at, e->name, prefix,
		     name) < 0)
		place = NULL;
	if (key && place)
		err = registration_add(e->r, place, key, value, reterr);
	free(key);
	free(place);
	return err;
}

static int set_option(void *obj, const char *name, const char *value,
		      char reterr[static CONF_REASON_LEN])
{
	return take_option(obj, "", name, value, reterr);
}

static int set_header(void *obj, const char *name, const char *value,
		      char reterr[static CONF_REASON_LEN])
{
	return take_option(obj, "header.", name, value, reterr);
}

static int set_header_file(void *obj, const char *name, const char *value,
			   char reterr[static CONF_REASON_LEN])
{
	return take_option(obj, "header_file.", name, value, reterr);
}

static int open_entry(void *root, const char *segment, const char *place,
		      void **ret, char reterr[static CONF_REASON_LEN]);

static const struct conf_directive entry_keys[] = {
	{
		.name = "hook",
		.type = CONF_CHOICE,
		.offset = offsetof(struct entry, hook),
		.choices = hook_names,
	},
	{
		.name = "endpoint",
		.type = CONF_STR,
		.offset = offsetof(struct entry, endpoint),
		.check = pool_check_url,
	},
	{ .name = "*", .type = CONF_CALL, .set = set_option },
	{ 0 },
};

static const struct conf_directive header_keys[] = {
	{ .name = "*", .type = CONF_CALL, .set = set_header },
	{ 0 },
};

static const struct conf_directive header_file_keys[] = {
	{ .name = "*", .type = CONF_CALL, .set = set_header_file },
	{ 0 },
};

static const struct conf_section sections[] = {
	{ "vmq_webhooks.*", entry_keys, open_entry },
	{ "vmq_webhooks.*.header", header_keys, open_entry },
	{ "vmq_webhooks.*.header_file", header_file_keys, open_entry },
	{ 0 },
};

/* Nothing in it is others'. */
static const char *const claims[] = { "", NULL };

static void entry_free(struct entry *e)
{
	registration_unref(e->r);
	conf_release(entry_keys, e);
	free(e->name);
	free(e->place);
	free(e->at);
	free(e);
}

static struct entry *entry_new(const char *name, const char *place)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->hook = HOOK_COUNT;
	e->name = strdup(name);
	e->place = strdup(place);
	if (e->name && e->place &&
	    registration_create(&e->r, HOOK_COUNT, "") == 0)
		return e;
	entry_free(e);
	return NULL;
}

static int find_entry(struct entries *all, const char *name, const char *place,
		      struct entry **ret, char reterr[static CONF_REASON_LEN])
{
	struct entry **at = &all->first, *e;

	while (*at && strcmp((*at)->name, name) < 0)
		at = &(*at)->next;
	e = *at;
	if (!e || strcmp(e->name, name) != 0) {
		if (all->count >= SETTINGS_WEBHOOKS_MAX) {
			snprintf(reterr, CONF_REASON_LEN,
				 "more than %d webhooks",
				 SETTINGS_WEBHOOKS_MAX);
			return -EINVAL;
		}
		e = entry_new(name, place);
		if (!e)
			return -ENOMEM;
		e->next = *at;
		*at = e;
		all->count++;
	}
	*ret = e;
	return 0;
}

static int open_entry(void *root, const char *segment, const char *place,
		      void **ret, char reterr[static CONF_REASON_LEN])
{
	struct entry *e;
	int err = find_entry(root, segment, place, &e, reterr);

	if (err)
		return err;
	free(e->at);
	e->at = strdup(place);
	*ret = e;
	return e->at ? 0 : -ENOMEM;
}

static void entries_clear(struct entries *all)
{
	while (all->first) {
		struct entry *e = all->first;

		all->first = e->next;
		entry_free(e);
	}
}

/* Hands hook, endpoint and names over to its registration. */
static int finish_entry(struct entry *e, struct conf_error *reterr)
{
	struct registration *r = e->r;

	if (e->hook == HOOK_COUNT || !e->endpoint)
		return fail(reterr, -EINVAL,
			    "%.512s: vmq_webhooks.%.128s (its first key is "
			    "here): it has no %s",
			    e->place, e->name,
			    e->endpoint ? "hook" : "endpoint");
	r->hook = e->hook;
	free(r->endpoint);
	r->endpoint = e->endpoint;
	r->bytes += strlen(e->endpoint);
	r->name = e->name;
	r->place = e->place;
	e->endpoint = e->name = e->place = NULL;
	return 0;
}

static int register_all(struct entries *all, const struct settings *s,
			settings_skip_fn *skip, void *arg,
			struct settings **ret, struct conf_error *reterr)
{
	struct registration **list = calloc(all->count + 1, sizeof(void *));
	struct entry *e;
	size_t n = 0;
	int err = 0;

	if (!list)
		return out_of_memory(reterr);
	for (e = all->first; !err && e; e = e->next) {
		err = finish_entry(e, reterr);
		list[n++] = e->r;
	}
	if (!err)
		err = settings_register_list(s, list, n, skip, arg, ret,
					     reterr);
	free(list);
	return err;
}

/* Keep the place at the text's beginning whole. */
static void add_remedy(struct conf_error *e)
{
	static const char remedy[] =
		". This is what was registered at run time "
		"(vmq_webhooks.persist): correct it, or move the file away to "
		"start without";
	size_t len = strlen(e->text);

	if (len > sizeof(e->text) - sizeof(remedy))
		len = sizeof(e->text) - sizeof(remedy);
	memcpy(e->text + len, remedy, sizeof(remedy));
}

int saved_load(struct saved *saved, const struct settings *s,
	       settings_skip_fn *skip, void *arg, struct settings **ret,
	       struct conf_error *reterr)
{
	struct entries all = { NULL, 0 };
	struct conf conf = { sections, claims, &all, NULL, 0 };
	int err;

	err = conf_read_file(&conf, saved->path, reterr);
	if (!err)
		err = register_all(&all, s, skip, arg, ret, reterr);
	conf_clear(&conf);
	entries_clear(&all);
	if (err && err != -ENOMEM)
		add_remedy(reterr);
	return err;
}

/* ---- writing ---- */

/* Whether a key may stand in a file: others end or begin something there. */
static bool fits_key(const char *key)
{
	return !strpbrk(key, "#= \t'");
}

/* There is no way to put a quote between quotes. */
static bool fits_value(const char *value)
{
	return !strchr(value, '\'') || (*value != '\'' && !strchr(value, '#'));
}

static void put(FILE *to, size_t number, const char *key, const char *value)
{
	bool quoted = !*value || strchr(value, '#');

	fprintf(to, "vmq_webhooks.r%04zu.%s = %s%s%s\n", number, key,
		quoted ? "'" : "", value, quoted ? "'" : "");
}

static int put_webhook(FILE *to, size_t number, const struct registration *r,
		       struct conf_error *reterr)
{
	if (!fits_value(r->endpoint))
		return fail(reterr, -EINVAL,
			    "a URL with both ' and # cannot be saved: write "
			    "one of them as %%27 or %%23");
	fputc('\n', to);
	put(to, number, "hook", hook_table[r->hook].name);
	put(to, number, "endpoint", r->endpoint);
	for (size_t i = 0; i < r->count; i++) {
		const struct registration_option *o = &r->options[i];

		if (!fits_key(o->key))
			return fail(reterr, -EINVAL,
				    "%.512s: a name with # or ' cannot be "
				    "saved",
				    o->place);
		if (!fits_value(o->value))
			return fail(reterr, -EINVAL,
				    "%.512s: a value with both ' and #, or "
				    "with ' at its beginning, cannot be saved",
				    o->place);
		put(to, number, o->key, o->value);
	}
	return 0;
}

static int put_all(FILE *to, const struct settings *s,
		   struct conf_error *reterr)
{
	size_t number = 0;
	int err = 0;

	fputs("# What was registered at run time (vmq-admin webhooks "
	      "register).\n"
	      "# The broker replaces this file at each change: edit it while "
	      "it is stopped.\n",
	      to);
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; !err && i < s->chained[h]; i++) {
			const struct webhook *w = &s->chain[h][i];

			if (w->registration)
				err = put_webhook(to, ++number, w->registration,
						  reterr);
		}
	}
	return err;
}

/* Into SAVED_BYTES_MAX + 1 bytes of `text`, and no copy anywhere. */
static int write_text(char *text, const struct settings *s, size_t *ret_len,
		      struct conf_error *reterr)
{
	FILE *to = fmemopen(text, SAVED_BYTES_MAX + 1, "w");
	bool full;
	int err;

	if (!to)
		return out_of_memory(reterr);
	setvbuf(to, NULL, _IONBF, 0);
	err = put_all(to, s, reterr);
	full = ferror(to) != 0;
	*ret_len = (size_t)ftell(to);
	fclose(to);
	if (full && !err)
		err = fail(reterr, -EFBIG,
			   "what is registered at run time is longer than the "
			   "1 MiB that can be saved");
	return err;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

/* Locked and on the disk, beside the file. Returns its descriptor. */
static int write_next(struct saved *saved, const char *text, size_t len)
{
	int fd, err;

	if (unlink(saved->next) != 0 && errno != ENOENT)
		return -errno;
	fd = open(saved->next, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = fchmod(fd, 0600) == 0 ? lock(fd) : -errno;
	if (!err)
		err = write_all(fd, text, len);
	if (err) {
		close(fd);
		unlink(saved->next);
	}
	return err ? err : fd;
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	if (!err && fsync(fd) != 0 && errno != EINVAL)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* The lock is on the new file before it is anybody's to find. */
static int replace(struct saved *saved, const char *text, size_t len)
{
	int fd = write_next(saved, text, len);

	if (fd < 0)
		return fd;
	if (rename(saved->next, saved->path) != 0) {
		int err = -errno;

		close(fd);
		unlink(saved->next);
		return err;
	}
	close(saved->fd);
	saved->fd = fd;
	return sync_dir(saved->dir);
}

int saved_store(struct saved *saved, const struct settings *s,
		struct conf_error *reterr)
{
	char *text = calloc(1, SAVED_BYTES_MAX + 1);
	size_t len = 0;
	int err;

	if (!text)
		return out_of_memory(reterr);
	err = write_text(text, s, &len, reterr);
	if (!err) {
		err = replace(saved, text, len);
		if (err)
			fail(reterr, err, "cannot save it in %s: %s",
			     saved->path, strerrordesc_np(-err));
	}
	settings_free_secret(text, SAVED_BYTES_MAX + 1);
	return err;
}
