#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/codec/codec_private.h"

static char *scratch(struct reading *r)
{
	if (!r->scratch)
		r->scratch = malloc(r->scratch_size);
	return r->scratch ? r->scratch + r->scratch_used : NULL;
}

int codec_read_binary(struct reading *r, const char *text, struct bytes *ret)
{
	const char *p = text, *nul = strstr(text, CODEC_NUL);
	char *to, *from;

	*ret = bytes_of(text);
	if (!nul)
		return 0;
	to = from = scratch(r);
	if (!to)
		return -ENOMEM;
	for (; nul; nul = strstr(p, CODEC_NUL)) {
		memcpy(to, p, (size_t)(nul - p));
		to += nul - p;
		*to++ = '\0';
		p = nul + strlen(CODEC_NUL);
	}
	memcpy(to, p, strlen(p));
	to += strlen(p);
	*ret = (struct bytes){ from, (size_t)(to - from) };
	r->scratch_used += ret->len;
	return 0;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Whether `p`, at the first `=` after `digits` digits of a group, ends the
 * text as it must. */
static bool padding_ends(const char *p, unsigned digits)
{
	if (digits < 2 || *p != '=')
		return false;
	p = skip_space(p + 1);
	if (digits == 2) {
		if (*p != '=')
			return false;
		p = skip_space(p + 1);
	}
	return !*p;
}

int codec_read_base64(struct reading *r, const char *p, struct bytes *ret)
{
	uint8_t *to = (uint8_t *)scratch(r), *from = to;
	unsigned bits = 0, digits = 0;

	if (!to)
		return -ENOMEM;
	for (p = skip_space(p); base64_digit(*p) >= 0; p = skip_space(p + 1)) {
		bits = bits << 6 | (unsigned)base64_digit(*p);
		if (digits)
			*to++ = (uint8_t)(bits >> (6 - 2 * digits));
		digits = (digits + 1) % 4;
	}
	if (*p || digits)
		if (!padding_ends(p, digits))
			return -EBADMSG;
	*ret = (struct bytes){ from, (size_t)(to - from) };
	r->scratch_used += ret->len;
	return 0;
}
