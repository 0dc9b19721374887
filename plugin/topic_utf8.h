/*
 * topic_utf8.h - where one UTF-8 sequence ends. Shared by the writer of JSON, the
 * reader of JSON and the judge of topics. Pure, any thread.
 */
#ifndef PLUGIN_TOPIC_UTF8_H
#define PLUGIN_TOPIC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool utf8_is_continuation(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* The length, 1 to 4, of the well-formed sequence at `p`; 0 when there is
 * none: overlong, a surrogate, above U+10FFFF, cut off (RFC 3629 section 4).
 * `left`, the bytes from `p` on, is at least 1. */
static inline size_t utf8_sequence(const uint8_t *p, size_t left)
{
	uint8_t lead = p[0], low = 0x80, high = 0xbf;
	size_t n;

	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	if (left < n)
		return 0;
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xed)
		high = 0x9f;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (!utf8_is_continuation(p[i]))
			return 0;
	return n;
}

#endif /* PLUGIN_TOPIC_UTF8_H */
