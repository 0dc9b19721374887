#include "conf/conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "conf/conf_private.h"

/* A key that was set. */
struct conf_key {
	struct conf_key *next;
	char *place;
	char name[];
};

/* What a key was found to be. */
struct match {
	const struct conf_section *section;
	const struct conf_directive *directive;
	struct conf_span any; /* the segment that `*` stood for */
};

/* ---- error texts ---- */

static void append(struct conf_error *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void append(struct conf_error *e, const char *fmt, ...)
{
	size_t used = strlen(e->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->text + used, sizeof(e->text) - used, fmt, ap);
	va_end(ap);
}

static void replace_controls(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int conf_fail(struct conf_error *reterr, int err, const char *place,
	      const char *fmt, ...)
{
	size_t used;
	va_list ap;

	snprintf(reterr->text, sizeof(reterr->text),
		 "%.*s: ", (int)sizeof(reterr->text) / 2, place);
	used = strlen(reterr->text);
	va_start(ap, fmt);
	vsnprintf(reterr->text + used, sizeof(reterr->text) - used, fmt, ap);
	va_end(ap);
	replace_controls(reterr->text);
	return err;
}

static void append_choices(struct conf_error *e, const char *const *choices)
{
	const char *sep = "; allowed: ";

	for (; *choices; choices++) {
		append(e, "%s%s", sep, *choices);
		sep = ", ";
	}
}

static bool is_any(const struct conf_directive *d)
{
	return strcmp(d->name, "*") == 0;
}

/* Whether an error text may recommend it. */
static bool is_shown(const struct conf_directive *d)
{
	return d->type != CONF_NONE && !is_any(d);
}

/* ---- values ---- */

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static int bad_value(struct conf_error *e, const char *value, const char *what)
{
	append(e, "\"%.64s\" is no %s", value, what);
	return -EINVAL;
}

static int set_string(const struct conf_directive *d, char **field,
		      const char *value, struct conf_error *e)
{
	char reason[CONF_REASON_LEN] = "";
	int err = d->check ? d->check(value, reason) : 0;
	char *copy;

	if (err && err != -ENOMEM)
		append(e, "%s", reason);
	if (err || d->type == CONF_NONE)
		return err;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	wipe(*field);
	*field = copy;
	return 0;
}

static int set_bool(bool *field, const char *value, struct conf_error *e)
{
	bool on = strcmp(value, "on") == 0;

	if (!on && strcmp(value, "off") != 0) {
		append(e, "\"%.64s\" is neither on nor off; allowed: on, off",
		       value);
		return -EINVAL;
	}
	*field = on;
	return 0;
}

static int set_uint(const struct conf_directive *d, uint32_t *field,
		    const char *value, struct conf_error *e)
{
	uint64_t n = 0;
	const char *c;

	for (c = value; *c >= '0' && *c <= '9' && n <= UINT32_MAX; c++)
		n = n * 10 + (uint64_t)(*c - '0');
	if (c != value && !*c && n >= d->min && n <= d->max) {
		*field = (uint32_t)n;
		return 0;
	}
	bad_value(e, value, "whole number in range");
	append(e, "; allowed: %u to %u", d->min, d->max);
	if (d->unit)
		append(e, " (%s, without a unit)", d->unit);
	return -EINVAL;
}

static int set_choice(const struct conf_directive *d, unsigned *field,
		      const char *value, struct conf_error *e)
{
	const char *near;

	for (unsigned i = 0; d->choices[i]; i++) {
		if (strcmp(d->choices[i], value) == 0) {
			*field = i;
			return 0;
		}
	}
	bad_value(e, value, d->name);
	append_choices(e, d->choices);
	near = conf_nearest(value, d->choices);
	if (near)
		append(e, "; did you mean \"%s\"?", near);
	return -EINVAL;
}

static int set_by_call(const struct conf_directive *d, void *obj,
		       const char *name, const char *value,
		       struct conf_error *e)
{
	char reason[CONF_REASON_LEN] = "";
	int err = d->set(obj, name, value, reason);

	if (err && err != -ENOMEM)
		append(e, "%s", reason);
	return err;
}

static int set_field(const struct conf_directive *d, void *obj,
		     const char *name, const char *value, struct conf_error *e)
{
	void *field = (char *)obj + d->offset;

	switch (d->type) {
	case CONF_STR:
	case CONF_NONE:
		return set_string(d, field, value, e);
	case CONF_BOOL:
		return set_bool(field, value, e);
	case CONF_UINT:
		return set_uint(d, field, value, e);
	case CONF_CHOICE:
		return set_choice(d, field, value, e);
	case CONF_CALL:
		return set_by_call(d, obj, name, value, e);
	}
	return -EINVAL;
}

/* ---- which key is it ---- */

static struct conf_span first_segments(const char *key, unsigned n)
{
	const char *c = key;

	for (; *c; c++)
		if (*c == '.' && --n == 0)
			break;
	return (struct conf_span){ key, (size_t)(c - key) };
}

static unsigned count_segments(const char *key)
{
	unsigned n = 1;

	for (; *key; key++)
		n += *key == '.';
	return n;
}

/* Whether a claim covers `key`. Otherwise `ret_meant` is the claim that it
 * misses by one letter, or NULL. */
static bool is_claimed(const struct conf *conf, const char *key,
		       const char **ret_meant)
{
	const char *const *claim;

	*ret_meant = NULL;
	for (claim = conf->claims; *claim; claim++) {
		struct conf_span want = { *claim, strlen(*claim) };
		struct conf_span is;

		is = first_segments(key, count_segments(*claim));
		if (!want.len ||
		    (is.len == want.len && !memcmp(is.at, want.at, want.len)))
			return true;
		if (conf_distance(is, want) <= 1)
			*ret_meant = *claim;
	}
	return false;
}

/* Whether the segments of `key` before its last are those of `path`. */
static bool path_matches(const char *path, struct conf_span key,
			 struct conf_span *ret_any)
{
	const char *k = key.at, *end = key.at + key.len;

	*ret_any = (struct conf_span){ "", 0 };
	if (!*path || !key.len)
		return !*path && !key.len;
	for (;;) {
		size_t want = strcspn(path, ".");
		const char *dot = memchr(k, '.', (size_t)(end - k));
		size_t is = (size_t)((dot ? dot : end) - k);

		if (want == 1 && *path == '*' && is > 0)
			*ret_any = (struct conf_span){ k, is };
		else if (want != is || memcmp(path, k, is) != 0)
			return false;
		path += want;
		if (!*path || !dot)
			return !*path && !dot;
		path++;
		k = dot + 1;
	}
}

static struct conf_span parent_of(const char *key)
{
	const char *dot = strrchr(key, '.');

	return (struct conf_span){ key, dot ? (size_t)(dot - key) : 0 };
}

static const char *last_segment(const char *key)
{
	const char *dot = strrchr(key, '.');

	return dot ? dot + 1 : key;
}

/* The directive of `key` (NULL: none has its name) and its section (NULL: none
 * has its shape). One of its name goes before one of any name. */
static struct match find(const struct conf *conf, const char *key)
{
	struct match m = { NULL, NULL, { "", 0 } }, any = m;
	const struct conf_section *s;

	for (s = conf->sections; s->path; s++) {
		const struct conf_directive *d;
		struct conf_span segment;

		if (!path_matches(s->path, parent_of(key), &segment))
			continue;
		if (!m.section)
			m = (struct match){ s, NULL, segment };
		for (d = s->directives; d->name; d++) {
			struct match found = { s, d, segment };

			if (!strcmp(d->name, last_segment(key)))
				return found;
			if (!any.section && is_any(d))
				any = found;
		}
	}
	return any.section ? any : m;
}

static const struct conf_directive *nearest_in(const struct conf_section *s,
					       const char *word)
{
	struct conf_span given = { word, strlen(word) };
	const struct conf_directive *d, *ret = NULL;
	unsigned best = CONF_FAR;

	for (d = s->directives; d->name; d++) {
		struct conf_span name = { d->name, strlen(d->name) };
		unsigned dist = conf_distance(given, name);

		if (!is_shown(d) || dist >= best ||
		    !conf_is_near(dist, name.len))
			continue;
		best = dist;
		ret = d;
	}
	return ret;
}

static void append_path(struct conf_error *e, const char *path)
{
	for (; *path; path++) {
		if (*path == '*')
			append(e, "<name>");
		else
			append(e, "%c", *path);
	}
}

static bool has_shape(const struct conf_section *s, const char *key)
{
	struct conf_span segment;

	return path_matches(s->path, parent_of(key), &segment);
}

/* The names in all sections that have the shape of `key`. */
static void append_allowed(struct conf_error *e, const struct conf *conf,
			   const char *key)
{
	const char *sep = "; allowed: ";
	const struct conf_section *s;

	for (s = conf->sections; s->path; s++) {
		const struct conf_directive *d = s->directives;

		for (; has_shape(s, key) && d->name; d++) {
			if (!is_shown(d))
				continue;
			append(e, "%s%s", sep, d->name);
			sep = ", ";
		}
	}
}

/* Name the key that was probably meant: in the place it stands in, or one of
 * that name elsewhere. */
static void append_suggestion(struct conf_error *e, const struct conf *conf,
			      const char *key)
{
	const char *word = last_segment(key);
	const struct conf_directive *d;
	const struct conf_section *s;

	for (s = conf->sections; s->path; s++) {
		d = has_shape(s, key) ? nearest_in(s, word) : NULL;
		if (!d)
			continue;
		append(e, "; did you mean \"%.*s%s\"?", (int)(word - key), key,
		       d->name);
		return;
	}
	for (s = conf->sections; s->path; s++) {
		d = nearest_in(s, word);
		if (!d)
			continue;
		append(e, "; did you mean \"");
		append_path(e, s->path);
		append(e, "%s%s\"?", *s->path ? "." : "", d->name);
		return;
	}
}

static int unknown_key(struct conf_error *e, const struct conf *conf,
		       const char *key)
{
	append(e, "no such key");
	append_allowed(e, conf, key);
	append_suggestion(e, conf, key);
	return -EINVAL;
}

static int not_claimed(struct conf_error *e, const char *key, const char *meant)
{
	struct conf_span is = first_segments(key, count_segments(meant));

	append(e, "no such key; did you mean \"%s%.64s\"?", meant,
	       key + is.len);
	return -EINVAL;
}

/* ---- a key is set once ---- */

static int note_key(struct conf *conf, const char *place, const char *key,
		    struct conf_error *e)
{
	size_t len = strlen(key);
	struct conf_key *k;

	for (k = conf->keys; k; k = k->next) {
		if (strcmp(k->name, key) == 0) {
			append(e, "set twice; first at %.256s", k->place);
			return -EINVAL;
		}
	}
	k = malloc(sizeof(*k) + len + 1);
	if (!k)
		return -ENOMEM;
	k->place = strdup(place);
	if (!k->place) {
		free(k);
		return -ENOMEM;
	}
	memcpy(k->name, key, len + 1);
	k->next = conf->keys;
	conf->keys = k;
	return 0;
}

void conf_clear(struct conf *conf)
{
	while (conf->keys) {
		struct conf_key *k = conf->keys;

		conf->keys = k->next;
		free(k->place);
		free(k);
	}
	conf->files = 0;
}

/* ---- setting ---- */

static int open_section(struct conf *conf, const struct match *m,
			const char *place, void **ret, struct conf_error *e)
{
	char reason[CONF_REASON_LEN] = "";
	char *segment;
	int err;

	if (!m->section->open) {
		*ret = conf->root;
		return 0;
	}
	segment = strndup(m->any.at, m->any.len);
	if (!segment)
		return -ENOMEM;
	err = m->section->open(conf->root, segment, place, ret, reason);
	free(segment);
	if (err && err != -ENOMEM)
		append(e, "%s", reason);
	return err;
}

static int set_known(struct conf *conf, const char *place, const char *key,
		     const char *value, struct conf_error *e)
{
	struct match m = find(conf, key);
	void *obj;
	int err;

	if (!m.directive)
		return unknown_key(e, conf, key);
	err = note_key(conf, place, key, e);
	if (!err)
		err = open_section(conf, &m, place, &obj, e);
	if (!err)
		err = set_field(m.directive, obj, last_segment(key), value, e);
	return err;
}

/* As conf_set_span(), with NULs at the end of key and value. */
static int set_copied(struct conf *conf, const char *place, bool names_key,
		      const char *key, const char *value,
		      struct conf_error *reterr)
{
	struct conf_error e = { "" };
	const char *meant;
	int err;

	if (is_claimed(conf, key, &meant))
		err = set_known(conf, place, key, value, &e);
	else if (meant)
		err = not_claimed(&e, key, meant);
	else
		return -ENOENT;
	if (!err)
		return 0;
	if (err == -ENOMEM)
		append(&e, "out of memory");
	if (names_key)
		return conf_fail(reterr, err, place, "%s", e.text);
	return conf_fail(reterr, err, place, "%.128s: %s", key, e.text);
}

int conf_set_span(struct conf *conf, const char *place, bool names_key,
		  struct conf_span key, struct conf_span value,
		  struct conf_error *reterr)
{
	char *k = strndup(key.at, key.len);
	char *v = strndup(value.at, value.len);
	int err = -ENOMEM;

	if (k && v)
		err = set_copied(conf, place, names_key, k, v, reterr);
	else
		conf_fail(reterr, err, place, "out of memory");
	free(k);
	wipe(v);
	return err;
}

int conf_set(struct conf *conf, const char *place, const char *key,
	     const char *value, struct conf_error *reterr)
{
	struct conf_span k = { key, strlen(key) };
	struct conf_span v = { value, strlen(value) };

	return conf_set_span(conf, place, true, k, conf_trim(v), reterr);
}

void conf_release(const struct conf_directive *directives, void *obj)
{
	if (!obj)
		return;
	for (; directives->name; directives++) {
		char **field;

		if (directives->type != CONF_STR)
			continue;
		field = (void *)((char *)obj + directives->offset);
		wipe(*field);
		*field = NULL;
	}
}
