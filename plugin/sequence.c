#include "plugin/sequence.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* An element that finds no memory stays out of the table, its hh.tbl NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Endpoints are told apart by a keyed digest of 64 bits. */
struct row {
	uint64_t endpoint;
	uint64_t last;
};

struct held {
	UT_hash_handle hh;
	unsigned holders;
	unsigned rows_count;
	struct row *rows;
	char client_id[];
};

struct sequences {
	struct held *table;
	/* Client ids are the clients' choice: without a secret in the hash
	 * they could choose them to fall into one chain. */
	uint8_t secret[crypto_shorthash_KEYBYTES];
};

int sequences_create(struct sequences **ret)
{
	struct sequences *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	randombytes_buf(s->secret, sizeof(s->secret));
	*ret = s;
	return 0;
}

static void held_free(struct held *h)
{
	free(h->rows);
	free(h);
}

void sequences_destroy(struct sequences *s)
{
	struct held *h, *next;

	if (!s)
		return;
	h = s->table;
	HASH_CLEAR(hh, s->table);
	for (; h; h = next) {
		next = h->hh.next;
		held_free(h);
	}
	free(s);
}

static uint64_t digest(const struct sequences *s, const void *data, size_t len)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t number;

	crypto_shorthash(out, data, len, s->secret);
	memcpy(&number, out, sizeof(number));
	return number;
}

static struct held *find(const struct sequences *s, const void *id, size_t len)
{
	unsigned hash = (unsigned)digest(s, id, len);
	struct held *h;

	HASH_FIND_BYHASHVALUE(hh, s->table, id, len, hash, h);
	return h;
}

static struct held *add(struct sequences *s, const char *id, size_t len)
{
	unsigned hash = (unsigned)digest(s, id, len);
	struct held *h = calloc(1, sizeof(*h) + len + 1);

	if (!h)
		return NULL;
	memcpy(h->client_id, id, len + 1);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->table, h->client_id, len, hash, h);
	if (h->hh.tbl)
		return h;
	free(h);
	return NULL;
}

void sequences_hold(struct sequences *s, const char *client_id)
{
	size_t len = strlen(client_id);
	struct held *h = find(s, client_id, len);

	if (!h)
		h = add(s, client_id, len);
	if (h)
		h->holders++;
}

void sequences_release(struct sequences *s, const char *client_id)
{
	struct held *h = find(s, client_id, strlen(client_id));

	if (!h || --h->holders)
		return;
	HASH_DEL(s->table, h);
	held_free(h);
}

static struct row *row_of(struct held *h, uint64_t endpoint)
{
	struct row *rows;

	for (unsigned i = 0; i < h->rows_count; i++) {
		if (h->rows[i].endpoint == endpoint)
			return &h->rows[i];
	}
	rows = realloc(h->rows, (h->rows_count + 1) * sizeof(*rows));
	if (!rows)
		return NULL;
	h->rows = rows;
	rows[h->rows_count] = (struct row){ endpoint, 0 };
	return &rows[h->rows_count++];
}

uint64_t sequences_next(struct sequences *s, struct bytes client_id,
			const char *endpoint)
{
	struct held *h = find(s, client_id.data, client_id.len);
	struct row *row;

	if (!h)
		return 0;
	row = row_of(h, digest(s, endpoint, strlen(endpoint)));
	return row ? ++row->last : 0;
}

size_t sequences_count(const struct sequences *s)
{
	return HASH_COUNT(s->table);
}
