/*
 * codec.h - events to JSON, JSON to verdicts, events to cache keys.
 *
 * Functions of their arguments alone: no state, no logging. codec_decode()
 * uses cJSON and therefore belongs to the broker's thread (Mosquitto 2.1
 * points cJSON's allocator at its own, which is not made for threads); the
 * others may run on any thread. The wire format is docs/protocol.md; this
 * header does not repeat it.
 */
#ifndef PLUGIN_CODEC_CODEC_H
#define PLUGIN_CODEC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cache/cache.h"
#include "plugin/event.h"
#include "plugin/verdict.h"

/* What a webhook's operator chose about payloads. */
struct codec_opts {
	bool base64_payload; /* in requests, and expected in replies */
	bool no_payload;     /* auth_on_publish(_m5) only */
};

/* Returns 0 with a body to free(), ending with a NUL that `ret_len` does
 * not count; or -ENOMEM. There is a password in some: whoever keeps a body
 * wipes it. */
int codec_encode(const struct event *ev, const struct codec_opts *opts,
		 char **ret_body, size_t *ret_len);

#define CODEC_ERROR_LEN 256

/*
 * Decode the body of a 200 reply to a hook whose answer counts. Validated
 * to the last modifier: what comes back may be applied.
 * Returns 0 with a verdict to unref; or -EBADMSG, with the reason in
 * `reterr`, when the body is not JSON (the byte offset is named), is no
 * answer, or asks for a change that the hook does not allow or that lies
 * outside the limits (the modifier is named); or -ENOMEM.
 */
int codec_decode(enum hook_id hook, const struct codec_opts *opts,
		 const void *body, size_t len, const struct verdict **ret,
		 char reterr[static CODEC_ERROR_LEN]);

/* What a reply calls a modifier. Constant. */
const char *codec_modifier_name(enum modifier id);

/* Check the body of a reply to a notification: JSON, whatever it says.
 * Returns 0 or -EBADMSG with `reterr`. */
int codec_check_json(const void *body, size_t len,
		     char reterr[static CODEC_ERROR_LEN]);

/*
 * How long a reply may be kept, as decided in contract.md, decision 9:
 * `cache_control` holds every such header of the reply joined with ", ", NULL
 * when there is none; `age_s` is the Age header, 0 without one.
 *
 * RFC 9111 section 5.2.2: max-age less Age is the fresh phase. Nothing is kept
 * without max-age, with no-store or no-cache (also one that names fields), with
 * two different max-age, or when anything in the header is malformed.
 * RFC 5861: stale-while-revalidate and stale-if-error count from the end of
 * the fresh phase, which may have been before the reply came: `max-age=0,
 * stale-while-revalidate=60` is stale at once. One that is malformed, or given
 * twice with different values, grants nothing, and takes nothing else away.
 * must-revalidate forbids both, and so does proxy-revalidate: it does not
 * speak to a private cache, but whoever says it does not want stale answers.
 * The phases together are cut at CACHE_LIFE_MAX_MS.
 *
 * Sets `*ret`, to all 0 when nothing may be kept. Returns whether anything may.
 */
bool codec_cache_life(const char *cache_control, uint64_t age_s,
		      struct cache_life *ret);

#define CODEC_KEY_LEN CACHE_KEY_LEN
/*
 * The cache key of one question: a keyed digest (siphashx24, 128 bit) of the
 * endpoint, the hook and every field but payload and peer port (of those that
 * are not told, the name that was sent), each length-prefixed, so that no two
 * questions share a key by concatenation and no password is stored. The
 * endpoint is in it by the secret: that of all questions to one is
 * codec_secret_of(). Cannot fail. sodium_init() has been called.
 */
void codec_key(const struct event *ev, const uint8_t secret[static 16],
	       uint8_t ret[static CODEC_KEY_LEN]);
void codec_secret_of(const char *endpoint, const uint8_t secret[static 16],
		     uint8_t ret[static 16]);

/*
 * A name as cache_clear() selects by it: a keyed digest, the same for the same
 * bytes and secret, 0 for what is absent and for nothing else. Of names as
 * sent at CONNECT. Cannot fail. sodium_init() has been called.
 */
uint32_t codec_tag(struct bytes name, const uint8_t secret[static 16]);

#endif /* PLUGIN_CODEC_CODEC_H */
