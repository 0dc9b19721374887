#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "plugin/codec/codec.h"

/* RFC 9111 section 1.2.2: a number too large to count is this one. */
#define COUNTED_MAX_S ((uint64_t)1 << 31)
#define LIFE_MAX_S    (CACHE_LIFE_MAX_MS / 1000)

/* One directive: a token, and what follows its `=` if there is one. */
struct directive {
	const char *name, *value;
	size_t name_len, value_len;
	bool has_value;
};

/* A directive with a number of seconds. */
struct seconds {
	uint64_t value;
	bool given, bad; /* malformed, or two that differ */
};

struct policy {
	struct seconds max_age, revalidate, if_error;
	bool keep_nothing, never_stale;
};

/* What each directive does; one that is not here does nothing: public,
 * private, immutable, s-maxage and no-transform among them. */
static const struct {
	const char *name;
	size_t offset; /* in struct policy */
	bool is_number;
} directives[] = {
	{ "no-store", offsetof(struct policy, keep_nothing), false },
	{ "no-cache", offsetof(struct policy, keep_nothing), false },
	{ "must-revalidate", offsetof(struct policy, never_stale), false },
	{ "proxy-revalidate", offsetof(struct policy, never_stale), false },
	{ "max-age", offsetof(struct policy, max_age), true },
	{ "stale-while-revalidate", offsetof(struct policy, revalidate), true },
	{ "stale-if-error", offsetof(struct policy, if_error), true },
};

static bool is_token(char c)
{
	return c && (isalnum((unsigned char)c) || strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* The text between quotes, at the opening one; NULL when it does not end. A
 * backslash quotes the next character, which no number has use for. */
static const char *read_quoted(const char *p, struct directive *d)
{
	d->value = ++p;
	for (; *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		if (!*p)
			return NULL;
	}
	d->value_len = (size_t)(p - d->value);
	return p + 1;
}

/* Read a directive and step behind it. NULL: malformed. */
static const char *read_directive(const char *p, struct directive *d)
{
	*d = (struct directive){ .name = p };
	while (is_token(*p))
		p++;
	d->name_len = (size_t)(p - d->name);
	if (!d->name_len)
		return NULL;
	if (*p == '=') {
		d->has_value = true;
		p++;
		if (*p == '"') {
			p = read_quoted(p, d);
		} else {
			d->value = p;
			while (is_token(*p))
				p++;
			d->value_len = (size_t)(p - d->value);
		}
		if (!p)
			return NULL;
	}
	p = skip_space(p);
	return *p == ',' || !*p ? p : NULL;
}

static bool is_called(const struct directive *d, const char *name)
{
	return d->name_len == strlen(name) &&
	       strncasecmp(d->name, name, d->name_len) == 0;
}

/* A delta-seconds. */
static bool read_seconds(const struct directive *d, uint64_t *ret)
{
	uint64_t value = 0;

	if (!d->value_len)
		return false;
	for (size_t i = 0; i < d->value_len; i++) {
		if (!isdigit((unsigned char)d->value[i]))
			return false;
		if (value < COUNTED_MAX_S)
			value = value * 10 + (uint64_t)(d->value[i] - '0');
	}
	*ret = value < COUNTED_MAX_S ? value : COUNTED_MAX_S;
	return true;
}

static void read_number(const struct directive *d, struct seconds *ret)
{
	uint64_t value;

	if (!read_seconds(d, &value) || (ret->given && value != ret->value)) {
		ret->bad = true;
		return;
	}
	ret->given = true;
	ret->value = value;
}

static void apply(const struct directive *d, struct policy *policy)
{
	size_t n = sizeof(directives) / sizeof(directives[0]);

	for (size_t i = 0; i < n; i++) {
		void *what = (char *)policy + directives[i].offset;

		if (!is_called(d, directives[i].name))
			continue;
		if (directives[i].is_number)
			read_number(d, what);
		else
			*(bool *)what = true;
	}
}

/* Returns false when the header is malformed. */
static bool read_policy(const char *p, struct policy *ret)
{
	*ret = (struct policy){ 0 };
	while (*p) {
		struct directive d;

		p = skip_space(p);
		if (*p == ',') { /* an empty element */
			p++;
			continue;
		}
		if (!*p)
			break;
		p = read_directive(p, &d);
		if (!p)
			return false;
		apply(&d, ret);
	}
	return true;
}

/* What is left at `age_s` of a time that began at 0. */
static uint64_t left_of(uint64_t seconds, uint64_t age_s)
{
	return seconds > age_s ? seconds - age_s : 0;
}

static uint64_t stale_ms(const struct policy *policy, const struct seconds *s,
			 uint64_t overdue_s, uint64_t room_s)
{
	uint64_t left;

	if (policy->never_stale || !s->given || s->bad)
		return 0;
	left = left_of(s->value, overdue_s);
	return (left < room_s ? left : room_s) * 1000;
}

bool codec_cache_life(const char *cache_control, uint64_t age_s,
		      struct cache_life *ret)
{
	struct policy policy;
	uint64_t fresh_s, overdue_s;

	*ret = (struct cache_life){ 0 };
	if (!cache_control || !read_policy(cache_control, &policy) ||
	    policy.keep_nothing || !policy.max_age.given || policy.max_age.bad)
		return false;
	fresh_s = left_of(policy.max_age.value, age_s);
	if (fresh_s > LIFE_MAX_S)
		fresh_s = LIFE_MAX_S;
	overdue_s = left_of(age_s, policy.max_age.value);
	ret->fresh_ms = fresh_s * 1000;
	ret->stale_while_revalidate_ms = stale_ms(
		&policy, &policy.revalidate, overdue_s, LIFE_MAX_S - fresh_s);
	ret->stale_if_error_ms = stale_ms(&policy, &policy.if_error, overdue_s,
					  LIFE_MAX_S - fresh_s);
	return ret->fresh_ms || ret->stale_while_revalidate_ms ||
	       ret->stale_if_error_ms;
}
