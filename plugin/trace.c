#include "plugin/trace.h"

#include <sodium.h>
#include <stdio.h>

enum {
	TRACE_BYTES = crypto_shorthash_siphashx24_BYTES,
	PARENT_BYTES = 8,
};

_Static_assert(TRACE_KEY_LEN == crypto_shorthash_siphashx24_KEYBYTES, "");
_Static_assert(TRACE_BYTES == 16, "");

/* `kind` keeps an event's number apart from a call's. All zeros, which the
 * specification bars, come up once in 2^64. */
static void draw(const uint8_t key[static TRACE_KEY_LEN], uint64_t kind,
		 uint64_t number, uint8_t ret[static TRACE_BYTES])
{
	uint64_t input[] = { kind, number };

	crypto_shorthash_siphashx24(ret, (const uint8_t *)input, sizeof(input),
				    key);
	if (sodium_is_zero(ret, PARENT_BYTES))
		ret[0] = 1;
}

void trace_write(const uint8_t key[static TRACE_KEY_LEN], uint64_t event,
		 uint64_t call, char ret[static TRACE_LEN])
{
	char trace_hex[2 * TRACE_BYTES + 1], parent_hex[2 * PARENT_BYTES + 1];
	uint8_t trace[TRACE_BYTES], parent[TRACE_BYTES];

	draw(key, 1, event, trace);
	draw(key, 2, call, parent);
	sodium_bin2hex(trace_hex, sizeof(trace_hex), trace, sizeof(trace));
	sodium_bin2hex(parent_hex, sizeof(parent_hex), parent, PARENT_BYTES);
	snprintf(ret, TRACE_LEN, "00-%s-%s-01", trace_hex, parent_hex);
}
