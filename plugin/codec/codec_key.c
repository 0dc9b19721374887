#include <sodium.h>
#include <string.h>
#include "plugin/codec/codec.h"

enum {
	NUMBER_MAX = 1 + sizeof(uint64_t),
	WIDE = 0xff, /* the byte before a number that takes more than one */
};

/*
 * siphash takes its message in one piece; so that no question is too long
 * and nothing is allocated, what does not fit is hashed and its digest takes
 * the place of the bytes: each block begins with the digest of the one
 * before. Without the secret nobody can make a block that begins so.
 *
 * What is fed begins at `at`, and what comes back is where the next may. A
 * number may go beyond the end of a block.
 */
struct digest {
	const uint8_t *secret;
	uint8_t block[1024 + NUMBER_MAX];
};

enum {
	TEXTS_MAX = 512 /* there is room for so many bytes at the beginning */
};

#define BLOCK_END(d) ((d)->block + sizeof((d)->block) - NUMBER_MAX)

_Static_assert(CODEC_KEY_LEN == crypto_shorthash_siphashx24_BYTES, "");

/* Kept out of those who seldom need it: they are smaller without. */
__attribute__((noinline, hot)) static uint8_t *fold(struct digest *d,
						    const uint8_t *at)
{
	uint8_t hash[CODEC_KEY_LEN];

	crypto_shorthash_siphashx24(
		hash, d->block, (unsigned long long)(at - d->block), d->secret);
	memcpy(d->block, hash, sizeof(hash));
	return d->block + sizeof(hash);
}

static uint8_t *feed(struct digest *d, uint8_t *at, const void *data,
		     size_t len)
{
	const uint8_t *from = data;

	if (at > BLOCK_END(d))
		at = fold(d, at);
	for (;;) {
		size_t room = (size_t)(BLOCK_END(d) - at);
		size_t n = len < room ? len : room;

		memcpy(at, from, n);
		at += n;
		from += n;
		len -= n;
		if (!len)
			return at;
		at = fold(d, at);
	}
}

/* Most are small, and the fewer bytes, the sooner they are hashed. */
static inline uint8_t *put_number(uint8_t *at, uint64_t number)
{
	if (__builtin_expect(number < WIDE, 1)) {
		*at = (uint8_t)number;
		return at + 1;
	}
	*at = WIDE;
	memcpy(at + 1, &number, sizeof(number));
	return at + NUMBER_MAX;
}

static uint8_t *feed_number(struct digest *d, uint8_t *at, uint64_t number)
{
	if (at > BLOCK_END(d))
		at = fold(d, at);
	return put_number(at, number);
}

/* The length first, and one more: 0 is what is absent. */
static uint8_t *feed_bytes(struct digest *d, uint8_t *at, struct bytes b)
{
	if (!b.data)
		return feed_number(d, at, 0);
	at = feed_number(d, at, b.len + 1);
	return feed(d, at, b.data, b.len);
}

/* The same, when it is known that there is room. */
static inline uint8_t *put_bytes(uint8_t *at, struct bytes b)
{
	if (!b.data)
		return put_number(at, 0);
	at = put_number(at, b.len + 1);
	memcpy(at, b.data, b.len);
	return at + b.len;
}

static uint8_t *feed_topics(struct digest *d, uint8_t *at,
			    const struct event *ev)
{
	at = feed_number(d, at, ev->topics_count);
	for (size_t i = 0; i < ev->topics_count; i++) {
		const struct topic *t = &ev->topics[i];

		at = feed_bytes(d, at, t->filter);
		at = feed_number(d, at, (uint64_t)t->qos);
		at = feed_number(d, at,
				 t->has_options
					 ? 1 | (unsigned)t->no_local << 1 |
						   (unsigned)t->rap << 2 |
						   t->retain_handling << 3
					 : 0);
	}
	return at;
}

static uint8_t *feed_properties(struct digest *d, uint8_t *at,
				const struct event *ev)
{
	at = feed_number(d, at, ev->properties_count);
	for (size_t i = 0; i < ev->properties_count; i++) {
		const struct property *p = &ev->properties[i];

		at = feed_number(d, at, (unsigned)p->id);
		at = feed_number(d, at, p->number);
		at = feed_bytes(d, at, p->name);
		at = feed_bytes(d, at, p->text);
	}
	return at;
}

static uint8_t *feed_listener(struct digest *d, uint8_t *at,
			      const struct listener_info *info)
{
	if (!info)
		return at;
	at = feed_number(d, at,
			 (uint64_t)info->has_listener |
				 (uint64_t)info->cert_unknown << 1);
	at = feed_bytes(d, at, info->addr);
	at = feed_bytes(d, at, info->type);
	at = feed_bytes(d, at, info->client_cert);
	return feed_number(d, at, (uint64_t)info->port);
}

/* What few publishes have. */
__attribute__((noinline)) static uint8_t *feed_more(struct digest *d,
						    uint8_t *at,
						    const struct event *ev)
{
	at = feed_topics(d, at, ev);
	at = feed_properties(d, at, ev);
	at = feed_listener(d, at, ev->listener);
	return ev->sent_username.data ? feed_bytes(d, at, ev->sent_username)
				      : at;
}

/* What every question has; nearly always it is small enough to look only
 * once whether there is room. */
__attribute__((hot)) static uint8_t *feed_who(struct digest *d,
					      const struct event *ev)
{
	const struct bytes texts[] = {
		ev->mountpoint, ev->client_id, ev->username,
		ev->password,   ev->peer_addr, ev->topic,
	};
	const size_t count = sizeof(texts) / sizeof(texts[0]);
	uint8_t *at = d->block;
	size_t sum = 0;

	at = put_number(at, (uint64_t)ev->hook);
	at = put_number(at, (unsigned)ev->qos << 2 | (unsigned)ev->clean << 1 |
				    ev->retain);
	for (size_t i = 0; i < count; i++)
		sum += texts[i].len;
	if (__builtin_expect(sum <= TEXTS_MAX, 1)) {
		for (size_t i = 0; i < count; i++)
			at = put_bytes(at, texts[i]);
	} else {
		for (size_t i = 0; i < count; i++)
			at = feed_bytes(d, at, texts[i]);
	}
	return at;
}

__attribute__((hot)) void codec_key(const struct event *ev,
				    const uint8_t secret[static 16],
				    uint8_t ret[static CODEC_KEY_LEN])
{
	struct digest d;
	uint8_t *at;
	bool more;

	d.secret = secret;
	at = feed_who(&d, ev);
	/* 0: none of that; else bits: a listener, a name, too */
	more = ev->topics_count || ev->properties_count || ev->listener ||
	       ev->sent_username.data;
	at = feed_number(&d, at,
			 more ? 1u | !!ev->listener << 1 |
					 !!ev->sent_username.data << 2
			      : 0);
	if (more)
		at = feed_more(&d, at, ev);
	fold(&d, at);
	memcpy(ret, d.block, CODEC_KEY_LEN);
	/* secrets, or what may be */
	if (ev->password.data || ev->properties_count || ev->sent_username.data)
		sodium_memzero(d.block, sizeof(d.block));
}

void codec_secret_of(const char *endpoint, const uint8_t secret[static 16],
		     uint8_t ret[static 16])
{
	struct digest d;
	uint8_t *at = d.block;

	d.secret = secret;
	at = feed_bytes(&d, at, bytes_of(endpoint));
	fold(&d, at);
	memcpy(ret, d.block, CODEC_KEY_LEN);
}

uint32_t codec_tag(struct bytes name, const uint8_t secret[static 16])
{
	uint32_t tag = 0;
	struct digest d;
	uint8_t *at = d.block;

	if (!name.data)
		return 0;
	d.secret = secret;
	/* no endpoint is that long */
	at = feed_number(&d, at, UINT64_MAX);
	at = feed(&d, at, name.data, name.len);
	fold(&d, at);
	memcpy(&tag, d.block, sizeof(tag));
	return tag ? tag : 1;
}
