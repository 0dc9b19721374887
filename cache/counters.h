/*
 * counters.h - relaxed atomics: written by the cache's thread alone, so that
 * the bus is not locked for one, and read by any. Private to cache/.
 */
#ifndef CACHE_COUNTERS_H
#define CACHE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

static inline uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void set(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, n, memory_order_relaxed);
}

static inline void add(_Atomic uint64_t *counter, uint64_t n)
{
	set(counter, get(counter) + n);
}

static inline void subtract(_Atomic uint64_t *counter, uint64_t n)
{
	set(counter, get(counter) - n);
}

#endif /* CACHE_COUNTERS_H */
