#include "pool/histogram.h"

#include <stdatomic.h>
#include <stddef.h>

const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
	100,     250,     500,     1000,     2500,     5000,
	10000,   25000,   50000,   100000,   250000,   500000,
	1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
};

/* There is one writer. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t was = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, was + n, memory_order_relaxed);
}

void histogram_add(struct histogram *h, uint64_t us)
{
	size_t i = 0;

	while (i < HISTOGRAM_BOUNDS && us > histogram_bounds_us[i])
		i++;
	add(&h->buckets[i], 1);
	add(&h->sum_us, us);
}

void histogram_read(const struct histogram *h, struct histogram_values *values)
{
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		uint64_t n = atomic_load_explicit(&h->buckets[i],
						  memory_order_relaxed);

		values->buckets[i] += n;
		values->count += n;
	}
	values->sum_us +=
		atomic_load_explicit(&h->sum_us, memory_order_relaxed);
}

uint64_t histogram_quantile(const struct histogram_values *values, double q)
{
	double rank = q * (double)values->count, below = 0;
	uint64_t from = 0;

	if (!values->count)
		return 0;
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		double n = (double)values->buckets[i];
		uint64_t to = histogram_bounds_us[i];

		if (n > 0 && below + n >= rank)
			return from + (uint64_t)((double)(to - from) *
						 (rank - below) / n);
		below += n;
		from = to;
	}
	return from;
}
