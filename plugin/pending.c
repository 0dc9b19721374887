#include "plugin/pending.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* An element that finds no memory stays out of the table, its hh.tbl NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct waiting {
	UT_hash_handle hh;
	uint64_t ticket;
	char client_id[];
};

struct pending {
	struct waiting *table;
	size_t max;
	uint64_t last; /* ticket given out */
	/* Client ids are the clients' choice: without a secret in the hash
	 * they could choose them to fall into one chain. */
	uint8_t secret[crypto_shorthash_KEYBYTES];
};

int pending_create(struct pending **ret, size_t max)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->max = max;
	randombytes_buf(p->secret, sizeof(p->secret));
	*ret = p;
	return 0;
}

void pending_destroy(struct pending *p)
{
	struct waiting *w, *next;

	if (!p)
		return;
	w = p->table;
	HASH_CLEAR(hh, p->table);
	for (; w; w = next) {
		next = w->hh.next;
		free(w);
	}
	free(p);
}

static unsigned hash_of(const struct pending *p, const char *id, size_t len)
{
	uint8_t digest[crypto_shorthash_BYTES];
	unsigned hash;

	crypto_shorthash(digest, (const uint8_t *)id, len, p->secret);
	memcpy(&hash, digest, sizeof(hash));
	return hash;
}

static struct waiting *find(const struct pending *p, const char *id)
{
	size_t len = strlen(id);
	struct waiting *w;

	HASH_FIND_BYHASHVALUE(hh, p->table, id, len, hash_of(p, id, len), w);
	return w;
}

static struct waiting *add(struct pending *p, const char *id)
{
	size_t len = strlen(id);
	struct waiting *w;

	if (pending_count(p) >= p->max)
		return NULL;
	w = malloc(sizeof(*w) + len + 1);
	if (!w)
		return NULL;
	memcpy(w->client_id, id, len + 1);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, p->table, w->client_id, len,
				    hash_of(p, id, len), w);
	if (!w->hh.tbl) {
		free(w);
		return NULL;
	}
	return w;
}

static void drop(struct pending *p, struct waiting *w)
{
	HASH_DEL(p->table, w);
	free(w);
}

uint64_t pending_open(struct pending *p, const char *client_id)
{
	struct waiting *w = find(p, client_id);

	if (!w)
		w = add(p, client_id);
	if (!w)
		return 0;
	w->ticket = ++p->last;
	return w->ticket;
}

bool pending_close(struct pending *p, const char *client_id, uint64_t ticket)
{
	struct waiting *w = find(p, client_id);

	if (!w || w->ticket != ticket)
		return false;
	drop(p, w);
	return true;
}

void pending_forget(struct pending *p, const char *client_id)
{
	struct waiting *w = find(p, client_id);

	if (w)
		drop(p, w);
}

size_t pending_count(const struct pending *p)
{
	return HASH_COUNT(p->table);
}
