/*
 * counters.h - relaxed atomics: written by the cache's thread, read and set
 * back by any. Private to cache/.
 */
#ifndef CACHE_COUNTERS_H
#define CACHE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

static inline void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void subtract(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_sub_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void set(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, n, memory_order_relaxed);
}

#endif /* CACHE_COUNTERS_H */
