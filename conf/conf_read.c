#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "conf/conf_private.h"

enum {
	FILE_MAX_BYTES = 1024 * 1024,
	FILES_MAX = 100,
	PLACE_LEN = 512,
};

struct conf_span conf_trim(struct conf_span span)
{
	while (span.len && (*span.at == ' ' || *span.at == '\t')) {
		span.at++;
		span.len--;
	}
	while (span.len &&
	       (span.at[span.len - 1] == ' ' || span.at[span.len - 1] == '\t'))
		span.len--;
	return span;
}

/* ---- one line ---- */

static struct conf_span before(struct conf_span span, char c)
{
	const char *found = memchr(span.at, c, span.len);

	if (found)
		span.len = (size_t)(found - span.at);
	return span;
}

/* The value in what follows `=`, without its quotes and a comment. Returns
 * NULL, or what is wrong. */
static const char *read_value(struct conf_span rest, struct conf_span *ret)
{
	struct conf_span inside, after;

	rest = conf_trim(rest);
	if (!rest.len || *rest.at != '\'') {
		*ret = conf_trim(before(rest, '#'));
		return ret->len ? NULL : "no value after \"=\"";
	}
	inside = before((struct conf_span){ rest.at + 1, rest.len - 1 }, '\'');
	if (inside.len == rest.len - 1)
		return "no closing quote on this line";
	after.at = inside.at + inside.len + 1;
	after.len = (size_t)(rest.at + rest.len - after.at);
	if (conf_trim(before(after, '#')).len)
		return "text after the closing quote";
	*ret = inside;
	return NULL;
}

static size_t first_word(struct conf_span key)
{
	size_t n = 0;

	while (n < key.len && (unsigned char)key.at[n] > ' ' &&
	       key.at[n] != 0x7f)
		n++;
	return n;
}

/* What follows the first word may be a value, and that a secret. */
static int no_key(const char *place, struct conf_span key,
		  struct conf_error *reterr)
{
	size_t word = first_word(key);

	return conf_fail(reterr, -EINVAL, place,
			 "\"%.*s%s\" is no key: a key is a word without "
			 "blanks, and \"=\" follows it",
			 word > 64 ? 64 : (int)word, key.at,
			 word < key.len ? " ..." : "");
}

static int read_setting(struct conf *conf, const char *place,
			struct conf_span line, struct conf_error *reterr)
{
	struct conf_span key, value, rest;
	const char *wrong;
	int err;

	key = before(before(line, '='), '#');
	rest.at = key.at + key.len + 1;
	if (key.len == line.len || key.at[key.len] == '#')
		return conf_fail(reterr, -EINVAL, place,
				 "neither \"key = value\" nor a comment");
	rest.len = (size_t)(line.at + line.len - rest.at);
	key = conf_trim(key);
	if (!key.len || first_word(key) < key.len)
		return no_key(place, key, reterr);
	wrong = read_value(rest, &value);
	if (wrong)
		return conf_fail(reterr, -EINVAL, place, "%.*s: %s",
				 key.len > 128 ? 128 : (int)key.len, key.at,
				 wrong);
	err = conf_set_span(conf, place, false, key, value, reterr);
	return err == -ENOENT ? 0 : err;
}

/* ---- include ---- */

/* What `include FILES` names, as a path: malloc'd, NULL without memory. */
static char *included_path(const char *name, struct conf_span files)
{
	const char *slash = strrchr(name, '/');
	size_t dir = slash ? (size_t)(slash - name) + 1 : 0;
	char *path;

	if (*files.at == '/')
		dir = 0;
	path = malloc(dir + files.len + 1);
	if (!path)
		return NULL;
	memcpy(path, name, dir);
	memcpy(path + dir, files.at, files.len);
	path[dir + files.len] = '\0';
	return path;
}

/* Why the last glob() of this thread ended: its function has no argument. */
static _Thread_local int folder_errno;

/* A folder that is not there has nothing to read; any other must be read, or
 * what it holds would be left out without a word. */
static int note_folder(const char *folder, int err)
{
	(void)folder;
	if (err == ENOENT || err == ENOTDIR)
		return 0;
	folder_errno = err;
	return 1;
}

static int read_one(struct conf *conf, const char *place, const char *path,
		    struct conf_error *reterr)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return conf_read_file(conf, path, reterr);
	if (errno == ENOENT || errno == ENOTDIR)
		return conf_fail(reterr, -ENOENT, place,
				 "include: no file %.256s", path);
	return conf_fail(reterr, -errno, place, "include: %.256s: %s", path,
			 strerror(errno));
}

static int read_matches(struct conf *conf, const char *place,
			const char *pattern, struct conf_error *reterr)
{
	glob_t found = { 0 };
	int err = 0;

	if (!strpbrk(pattern, "*?["))
		return read_one(conf, place, pattern, reterr);
	switch (glob(pattern, 0, note_folder, &found)) {
	case 0:
		for (size_t i = 0; !err && i < found.gl_pathc; i++)
			err = conf_read_file(conf, found.gl_pathv[i], reterr);
		break;
	case GLOB_NOMATCH:
		break;
	case GLOB_NOSPACE:
		err = conf_fail(reterr, -ENOMEM, place, "out of memory");
		break;
	default:
		err = conf_fail(reterr, -folder_errno, place,
				"include: cannot read the folder of %.256s: %s",
				pattern, strerror(folder_errno));
	}
	globfree(&found);
	return err;
}

static bool is_include(struct conf_span line)
{
	return line.len > 8 && !memcmp(line.at, "include", 7) &&
	       (line.at[7] == ' ' || line.at[7] == '\t') &&
	       !memchr(line.at, '=', line.len);
}

/* Nobody's key: it would be left out without a word. */
static bool is_include_with_sign(struct conf_span line)
{
	struct conf_span key = conf_trim(before(line, '='));

	return key.len < line.len && key.len == 7 &&
	       !memcmp(key.at, "include", 7);
}

static int read_include(struct conf *conf, const char *name, const char *place,
			struct conf_span line, struct conf_error *reterr)
{
	struct conf_span files;
	char *pattern;
	int err;

	files.at = line.at + 7;
	files.len = line.len - 7;
	files = conf_trim(before(files, '#'));
	if (!files.len)
		return conf_fail(reterr, -EINVAL, place,
				 "include: no file is named");
	pattern = included_path(name, files);
	if (!pattern)
		return conf_fail(reterr, -ENOMEM, place, "out of memory");
	err = read_matches(conf, place, pattern, reterr);
	free(pattern);
	return err;
}

/* ---- text and files ---- */

static int read_line(struct conf *conf, const char *name, unsigned number,
		     struct conf_span line, struct conf_error *reterr)
{
	char place[PLACE_LEN];

	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	line = conf_trim(line);
	if (!line.len || *line.at == '#')
		return 0;
	snprintf(place, sizeof(place), "%.*s:%u", PLACE_LEN - 16, name, number);
	if (memchr(line.at, '\0', line.len))
		return conf_fail(reterr, -EINVAL, place,
				 "a NUL byte: this is no text");
	if (is_include(line))
		return read_include(conf, name, place, line, reterr);
	if (is_include_with_sign(line))
		return conf_fail(
			reterr, -EINVAL, place,
			"include is written without =: include <file>");
	return read_setting(conf, place, line, reterr);
}

int conf_read_text(struct conf *conf, const char *name, const char *text,
		   size_t len, struct conf_error *reterr)
{
	struct conf_span rest = { text, len };
	int err = 0;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		rest.at += 3;
		rest.len -= 3;
	}
	for (unsigned number = 1; !err && rest.len; number++) {
		struct conf_span line = before(rest, '\n');
		size_t used = line.len + (line.len < rest.len);

		err = read_line(conf, name, number, line, reterr);
		rest.at += used;
		rest.len -= used;
	}
	return err;
}

int conf_read_all(int fd, char *buf, size_t size, size_t *ret_len)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

/* Returns 0 with a buffer to free(), or -errno. */
static int load(const char *path, char **ret, size_t *ret_len)
{
	char *buf = NULL;
	struct stat st;
	size_t len = 0;
	int err = 0;
	int fd;

	/* not blocking: a FIFO must not hold up the broker's start */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		err = -EINVAL;
	if (err)
		goto out;
	buf = malloc(FILE_MAX_BYTES + 1);
	err = buf ? conf_read_all(fd, buf, FILE_MAX_BYTES + 1, &len) : -ENOMEM;
	if (!err && len > FILE_MAX_BYTES)
		err = -EFBIG;
	if (err)
		goto out;
	*ret = buf;
	*ret_len = len;
	buf = NULL;
out:
	free(buf);
	close(fd);
	return err;
}

int conf_read_file(struct conf *conf, const char *path,
		   struct conf_error *reterr)
{
	char *text = NULL;
	size_t len = 0;
	int err;

	if (conf->files >= FILES_MAX)
		return conf_fail(reterr, -EINVAL, path,
				 "more than %d files: does one include itself?",
				 FILES_MAX);
	conf->files++;
	err = load(path, &text, &len);
	if (err == -EFBIG)
		return conf_fail(reterr, err, path, "longer than 1 MiB");
	if (err == -EINVAL)
		return conf_fail(reterr, err, path, "no regular file");
	if (err)
		return conf_fail(reterr, err, path, "%s", strerror(-err));
	err = conf_read_text(conf, path, text, len, reterr);
	if (text)
		explicit_bzero(text, len);
	free(text);
	return err;
}
