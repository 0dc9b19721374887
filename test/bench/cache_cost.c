/*
 * cache_cost.c - what storing an entry costs, and how many bytes it takes.
 *
 * usage: cache-cost [--fill N] [--rounds N]
 *
 * Fills an empty cache with N entries (1000000), in N rounds (3), each with
 * the same keys. An insert's cost is the least that it took in any round: what
 * the cache does at that point it does every time, what the machine does it
 * does not. Prints one JSON object; times are what the thread computed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cache/cache.h"
#include "test/bench/bench.h"

struct run {
	int64_t fill, rounds;
	int64_t *least; /* ns, by insert */
	double bytes;   /* for each entry, beyond its key */
};

static void nothing(const void *value)
{
	(void)value;
}

/* As a digest is: any bits, and never the same. */
static void make_key(uint8_t key[static CACHE_KEY_LEN], uint64_t i)
{
	uint64_t a = (i + 1) * 0x9e3779b97f4a7c15, b = a ^ (a >> 31);

	b *= 0xbf58476d1ce4e5b9;
	memcpy(key, &b, sizeof(b));
	memcpy(key + sizeof(b), &a, sizeof(a));
}

static void fill(struct run *run, struct cache *cache,
		 struct cache_group *group)
{
	const struct cache_life life = { .fresh_ms = 86400000 };
	struct cache_ticket ticket = { .group = group };
	const void *value;

	for (int64_t i = 0; i < run->fill; i++) {
		int64_t ns;

		make_key(ticket.key, (uint64_t)i);
		cache_get(cache, &ticket, 1, &value);
		ns = bench_cpu_ns();
		cache_put(cache, &ticket, CACHE_ANSWER, &life, 0, &life, 1);
		ns = bench_cpu_ns() - ns;
		if (ns < run->least[i])
			run->least[i] = ns;
	}
}

static int one_round(struct run *run)
{
	const struct cache_opts opts = {
		.max_bytes = UINT64_C(1) << 32,
		.retain = nothing,
		.release = nothing,
	};
	struct cache_group group = { .hook = 1, .endpoint = 1 };
	struct cache *cache;

	if (cache_create(&cache, &opts) != 0)
		return -1;
	fill(run, cache, &group);
	run->bytes = (double)cache_totals(cache)->bytes / (double)run->fill -
		     CACHE_KEY_LEN;
	cache_destroy(cache);
	return 0;
}

static void report(const struct run *run)
{
	int64_t most = 0, slow = 0;

	for (int64_t i = 0; i < run->fill; i++) {
		if (run->least[i] > most)
			most = run->least[i];
		slow += run->least[i] > NS_PER_MS;
	}
	printf("{\"max_ns\": %lld, \"slow\": %lld, \"bytes\": %.1f}\n",
	       (long long)most, (long long)slow, run->bytes);
}

int main(int argc, char **argv)
{
	static struct run run = { .fill = 1000000, .rounds = 3 };
	const struct bench_option options[] = {
		{ "fill", OPTION_NUMBER, &run.fill },
		{ "rounds", OPTION_NUMBER, &run.rounds },
		{ 0 },
	};

	if (bench_options(argc, argv, options) != 0 || run.fill < 1)
		return 2;
	run.least = malloc((size_t)run.fill * sizeof(*run.least));
	if (!run.least)
		return 1;
	memset(run.least, 0x7f, (size_t)run.fill * sizeof(*run.least));
	for (int64_t i = 0; i < run.rounds; i++) {
		if (one_round(&run) != 0)
			return 1;
	}
	report(&run);
	free(run.least);
	return 0;
}
