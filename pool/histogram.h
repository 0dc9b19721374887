/*
 * histogram.h - how long things took: counts in fixed buckets that grow with
 * the time, from a tenth of a millisecond to a minute.
 *
 * One thread adds, any thread reads: relaxed atomics, of which none ever goes
 * back. Nothing here can fail.
 */
#ifndef POOL_HISTOGRAM_H
#define POOL_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BOUNDS 18

/* Ascending, in microseconds: a bucket holds what took no longer than its
 * bound, and longer than the one before. */
extern const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

/* Zero it before first use. Private. */
struct histogram {
	_Atomic uint64_t buckets[HISTOGRAM_BOUNDS + 1]; /* the last: longer */
	_Atomic uint64_t sum_us;
};

/* The thread it belongs to. */
void histogram_add(struct histogram *h, uint64_t us);

/* What was read of one, or of several together: `count` is the sum of the
 * buckets; `sum_us` may be ahead of them, or behind. */
struct histogram_values {
	uint64_t buckets[HISTOGRAM_BOUNDS + 1];
	uint64_t count, sum_us;
};

/* Any thread. Adds what `h` has to `values`, which begins with zeroes. */
void histogram_read(const struct histogram *h, struct histogram_values *values);

/* The time, in microseconds, that a part `q` of 0 to 1 of all took at most:
 * as if within each bucket they were spread evenly, so it is out by no more
 * than the bucket is wide. 0 for no values; the last bound for those beyond
 * it. */
uint64_t histogram_quantile(const struct histogram_values *values, double q);

#endif /* POOL_HISTOGRAM_H */
