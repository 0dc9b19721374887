#include <sodium.h>
#include <string.h>
#include "plugin/codec.h"

enum {
	NUMBER_MAX = 1 + sizeof(uint64_t),
	WIDE = 0xff, /* the byte before a number that takes more than one */
};

/*
 * siphash takes its message in one piece; so that no question is too long
 * and nothing is allocated, what does not fit is hashed and its digest takes
 * the place of the bytes: each block begins with the digest of the one
 * before. Without the secret nobody can make a block that begins so.
 */
struct digest {
	uint8_t block[1024]; /* there always is room for one more number */
	size_t used;
	const uint8_t *secret;
};

_Static_assert(CODEC_KEY_LEN == crypto_shorthash_siphashx24_BYTES, "");

static void fold(struct digest *d)
{
	uint8_t hash[CODEC_KEY_LEN];

	crypto_shorthash_siphashx24(hash, d->block, d->used, d->secret);
	memcpy(d->block, hash, sizeof(hash));
	d->used = sizeof(hash);
}

static size_t room(const struct digest *d)
{
	return sizeof(d->block) - NUMBER_MAX - d->used;
}

static void feed(struct digest *d, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > room(d)) {
		size_t n = room(d);

		memcpy(d->block + d->used, p, n);
		d->used += n;
		p += n;
		len -= n;
		fold(d);
	}
	memcpy(d->block + d->used, p, len);
	d->used += len;
}

/* Most are small, and what is short is hashed soon. */
static void feed_number(struct digest *d, uint64_t number)
{
	uint8_t *at = d->block + d->used;

	if (number < WIDE) {
		*at = (uint8_t)number;
		d->used++;
	} else {
		*at = WIDE;
		memcpy(at + 1, &number, sizeof(number));
		d->used += NUMBER_MAX;
	}
	if (d->used > sizeof(d->block) - NUMBER_MAX)
		fold(d);
}

/* The length first, and one more: 0 is what is absent. */
static void feed_bytes(struct digest *d, struct bytes b)
{
	feed_number(d, b.data ? b.len + 1 : 0);
	if (b.data)
		feed(d, b.data, b.len);
}

static void feed_topics(struct digest *d, const struct event *ev)
{
	feed_number(d, ev->topics_count);
	for (size_t i = 0; i < ev->topics_count; i++) {
		const struct topic *t = &ev->topics[i];

		feed_bytes(d, t->filter);
		feed_number(d, (uint64_t)t->qos);
		feed_number(d, t->has_options ? 1 | (unsigned)t->no_local << 1 |
							(unsigned)t->rap << 2 |
							t->retain_handling << 3
					      : 0);
	}
}

static void feed_properties(struct digest *d, const struct event *ev)
{
	feed_number(d, ev->properties_count);
	for (size_t i = 0; i < ev->properties_count; i++) {
		const struct property *p = &ev->properties[i];

		feed_number(d, (unsigned)p->id);
		feed_number(d, p->number);
		feed_bytes(d, p->name);
		feed_bytes(d, p->text);
	}
}

static void feed_listener(struct digest *d, const struct listener_info *info)
{
	feed_number(d, info ? 1 | (uint64_t)info->has_listener << 1 |
				       (uint64_t)info->cert_unknown << 2
			    : 0);
	if (!info)
		return;
	feed_bytes(d, info->addr);
	feed_bytes(d, info->type);
	feed_bytes(d, info->client_cert);
	feed_number(d, (uint64_t)info->port);
}

void codec_key(const struct event *ev, const char *endpoint,
	       const uint8_t secret[static 16],
	       uint8_t ret[static CODEC_KEY_LEN])
{
	struct digest d;

	d.used = 0;
	d.secret = secret;
	feed_bytes(&d, bytes_of(endpoint));
	feed_number(&d, (uint64_t)ev->hook);
	feed_number(&d, (unsigned)ev->qos << 2 | (unsigned)ev->clean << 1 |
				ev->retain);
	feed_bytes(&d, ev->mountpoint);
	feed_bytes(&d, ev->client_id);
	feed_bytes(&d, ev->username);
	feed_bytes(&d, ev->password);
	feed_bytes(&d, ev->peer_addr);
	feed_bytes(&d, ev->topic);
	feed_topics(&d, ev);
	feed_properties(&d, ev);
	feed_listener(&d, ev->listener);
	crypto_shorthash_siphashx24(ret, d.block, d.used, secret);
	/* secrets, or what may be */
	if (ev->password.data || ev->properties_count)
		sodium_memzero(d.block, sizeof(d.block));
}

uint64_t codec_tag(struct bytes name, const uint8_t secret[static 16])
{
	uint64_t tag = 0;
	struct digest d;

	if (!name.data)
		return 0;
	d.used = 0;
	d.secret = secret;
	/* no key begins so: that would be the length of an endpoint */
	feed_number(&d, UINT64_MAX);
	feed(&d, name.data, name.len);
	fold(&d);
	memcpy(&tag, d.block, sizeof(tag));
	return tag ? tag : 1;
}
