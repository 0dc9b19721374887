#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "plugin/codec.h"

/* RFC 9111 section 1.2.2: a number too large to count is this one. */
#define COUNTED_MAX_S ((uint64_t)1 << 31)
/* No answer is kept longer. */
#define LIFE_MAX_S ((uint64_t)30 * 24 * 3600)

/* One directive: a token, and what follows its `=` if there is one. */
struct directive {
	const char *name, *value;
	size_t name_len, value_len;
	bool has_value;
};

struct policy {
	uint64_t max_age_s;
	bool has_max_age, keep_nothing;
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

static void apply(const struct directive *d, struct policy *policy)
{
	uint64_t seconds;

	if (is_called(d, "no-store") || is_called(d, "no-cache"))
		policy->keep_nothing = true;
	if (!is_called(d, "max-age"))
		return;
	if (!read_seconds(d, &seconds) ||
	    (policy->has_max_age && seconds != policy->max_age_s)) {
		policy->keep_nothing = true;
		return;
	}
	policy->has_max_age = true;
	policy->max_age_s = seconds;
}

uint64_t codec_max_age_ms(const char *cache_control, uint64_t age_s)
{
	struct policy policy = { 0 };
	const char *p = cache_control ? cache_control : "";
	uint64_t life_s;

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
			return 0;
		apply(&d, &policy);
	}
	if (policy.keep_nothing || age_s >= policy.max_age_s)
		return 0;
	life_s = policy.max_age_s - age_s;
	return (life_s < LIFE_MAX_S ? life_s : LIFE_MAX_S) * 1000;
}
