#include "pool/breaker.h"

#include <stdatomic.h>
#include <stdlib.h>

/* The next probe: 500 to 800 ms from now, by default. */
static int64_t next_probe(const struct breaker *b, int64_t now_ms)
{
	uint32_t least = b->open_ms;

	return now_ms + least + arc4random_uniform(least / 5 * 3 + 1);
}

static void set_open(struct breaker *b, _Atomic bool *which, int64_t now_ms)
{
	if (!atomic_load(&b->open) && !atomic_load(&b->open_for_holding))
		atomic_store(&b->probe_ms, next_probe(b, now_ms));
	if (!atomic_exchange(which, true))
		atomic_fetch_add_explicit(&b->opened, 1, memory_order_relaxed);
}

bool breaker_failed(struct breaker *b, int64_t now_ms)
{
	/* Of 2^32 failures in a row the breaker will have been open. */
	if (++b->failures < b->max_failures || atomic_load(&b->open))
		return false;
	set_open(b, &b->open, now_ms);
	return true;
}

bool breaker_answered(struct breaker *b, uint64_t took_ms)
{
	b->failures = 0;
	if (took_ms <= b->prompt_ms)
		atomic_store(&b->open_for_holding, false);
	return atomic_exchange(&b->open, false);
}

void breaker_gave_up(struct breaker *b, int64_t now_ms)
{
	set_open(b, &b->open_for_holding, now_ms);
}

bool breaker_is_open(const struct breaker *b)
{
	return atomic_load(&b->open);
}

bool breaker_is_open_for_holding(const struct breaker *b)
{
	return atomic_load(&b->open) || atomic_load(&b->open_for_holding);
}

void breaker_pause(struct breaker *b, bool paused, int64_t now_ms)
{
	int64_t never = 0;

	if (paused)
		atomic_compare_exchange_strong(&b->paused_ms, &never,
					       now_ms ? now_ms : 1);
	else
		atomic_store(&b->paused_ms, 0);
}

int64_t breaker_paused_ms(const struct breaker *b)
{
	return atomic_load(&b->paused_ms);
}

bool breaker_is_paused(const struct breaker *b)
{
	return breaker_paused_ms(b) != 0;
}

bool breaker_claim_probe(struct breaker *b, int64_t now_ms)
{
	int64_t due = atomic_load(&b->probe_ms);

	return now_ms >= due &&
	       atomic_compare_exchange_strong(&b->probe_ms, &due,
					      next_probe(b, now_ms));
}

int64_t breaker_probe_ms(const struct breaker *b)
{
	return atomic_load(&b->probe_ms);
}

uint64_t breaker_opened(const struct breaker *b)
{
	return atomic_load_explicit(&b->opened, memory_order_relaxed);
}
