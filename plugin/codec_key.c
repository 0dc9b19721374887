#include <sodium.h>
#include <string.h>
#include "plugin/codec.h"

/*
 * siphash takes its message in one piece; so that no question is too long
 * and nothing is allocated, what does not fit is hashed and its digest takes
 * the place of the bytes: each block begins with the digest of the one
 * before. Without the secret nobody can make a block that begins so.
 */
struct digest {
	uint8_t block[1024];
	size_t used, most;
	const uint8_t *secret;
};

_Static_assert(CODEC_KEY_LEN == crypto_shorthash_siphashx24_BYTES, "");

static void fold(struct digest *d)
{
	uint8_t hash[CODEC_KEY_LEN];

	crypto_shorthash_siphashx24(hash, d->block, d->used, d->secret);
	memcpy(d->block, hash, sizeof(hash));
	if (d->used > d->most)
		d->most = d->used;
	d->used = sizeof(hash);
}

static void feed(struct digest *d, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		size_t n = sizeof(d->block) - d->used;

		if (n > len)
			n = len;
		memcpy(d->block + d->used, p, n);
		d->used += n;
		p += n;
		len -= n;
		if (d->used == sizeof(d->block))
			fold(d);
	}
}

/* Most of what is fed are numbers, and nearly always there is room. */
static void feed_number(struct digest *d, uint64_t number)
{
	if (sizeof(d->block) - d->used <= sizeof(number)) {
		feed(d, &number, sizeof(number));
		return;
	}
	memcpy(d->block + d->used, &number, sizeof(number));
	d->used += sizeof(number);
}

/* The length first; of what is absent, one that nothing has. */
static void feed_bytes(struct digest *d, struct bytes b)
{
	feed_number(d, b.data ? b.len : UINT64_MAX);
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

		feed_number(d, (uint64_t)p->id << 32 | p->number);
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

	d.used = d.most = 0;
	d.secret = secret;
	feed_bytes(&d, bytes_of(endpoint));
	feed_number(&d, (uint64_t)ev->hook << 32 | (unsigned)ev->qos << 2 |
				(unsigned)ev->clean << 1 | ev->retain);
	feed_bytes(&d, ev->mountpoint);
	feed_bytes(&d, ev->client_id);
	feed_bytes(&d, ev->username);
	feed_bytes(&d, ev->password);
	feed_bytes(&d, ev->peer_addr);
	feed_bytes(&d, ev->topic);
	feed_topics(&d, ev);
	feed_properties(&d, ev);
	feed_listener(&d, ev->listener);
	fold(&d);
	memcpy(ret, d.block, CODEC_KEY_LEN);
	sodium_memzero(d.block, d.most);
}

uint64_t codec_tag(struct bytes name, const uint8_t secret[static 16])
{
	uint64_t tag = 0;
	struct digest d;

	if (!name.data)
		return 0;
	d.used = d.most = 0;
	d.secret = secret;
	/* no key begins so: that would be the length of an endpoint */
	feed_number(&d, UINT64_MAX - 1);
	feed(&d, name.data, name.len);
	fold(&d);
	memcpy(&tag, d.block, sizeof(tag));
	sodium_memzero(d.block, d.most);
	return tag ? tag : 1;
}
