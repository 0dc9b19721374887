/*
 * slots.h - memory for what is all of one size, side by side. Private to
 * cache/.
 *
 * A look-up among millions reads somewhere among them, and waits as long for
 * the address to be translated as for the memory. Therefore slots are cut from
 * slabs of 2 MiB, each of which the kernel may keep in one large page. The
 * first is in small ones, which come as they are used: few slots take little.
 *
 * A slab that is empty goes back to the kernel, but for one. Until then its
 * free slots wait for others: what is taken of the machine follows the most
 * there ever were, where those that are left are anywhere.
 */
#ifndef CACHE_SLOTS_H
#define CACHE_SLOTS_H

#include <stddef.h>

/* Two lines of the processor's caches, which it fetches together. */
#define SLOT_SIZE ((size_t)128)

struct slab;

/* Zeroed it is one without slots. */
struct slots {
	struct slab *roomy; /* those with slots both used and free */
	struct slab *spare; /* the empty one; or NULL */
	size_t slabs;
};

/* Returns SLOT_SIZE zeroed bytes, aligned to as many; NULL without memory. */
void *slots_take(struct slots *slots);

/* NULL is fine. */
void slots_give(struct slots *slots, void *slot);

/* All have been given back: free what was kept for others. */
void slots_clear(struct slots *slots);

#endif /* CACHE_SLOTS_H */
