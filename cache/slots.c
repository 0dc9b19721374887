#include "cache/slots.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <utlist.h>

/* So that who uses a slot after he gave it back is caught. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum {
	SLAB_SIZE = 2 * 1024 * 1024, /* and its alignment; a large page */
	SLAB_SLOTS = SLAB_SIZE / SLOT_SIZE - 1,
};

struct free_slot {
	struct free_slot *next;
};

/* In the place of the first slot. */
struct slab {
	struct slab *prev, *next; /* of the roomy ones */
	struct free_slot *free;   /* given back */
	size_t cut; /* taken at some time; the rest is untouched */
	size_t used;
};

_Static_assert(sizeof(struct slab) <= SLOT_SIZE, "");

/* ---- slabs ---- */

/* Twice as much has one in it that is aligned; the rest goes back. */
static void *map_aligned(void)
{
	uint8_t *at = mmap(NULL, (size_t)2 * SLAB_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (at == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)at % SLAB_SIZE;
	if (before)
		munmap(at, before);
	munmap(at + before + SLAB_SIZE, SLAB_SIZE - before);
	return at + before;
}

static struct slab *slab_create(struct slots *slots)
{
	struct slab *slab = map_aligned();

	if (!slab)
		return NULL;
	if (slots->slabs > 0)
		(void)madvise(slab, SLAB_SIZE, MADV_HUGEPAGE);
	slots->slabs++;
	return slab;
}

static void slab_free(struct slots *slots, struct slab *slab)
{
	slots->slabs--;
	ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_SIZE);
	munmap(slab, SLAB_SIZE);
}

/* One with a free slot, among the roomy ones. */
static struct slab *find_room(struct slots *slots)
{
	struct slab *slab = slots->roomy;

	if (slab)
		return slab;
	slab = slots->spare ? slots->spare : slab_create(slots);
	slots->spare = NULL;
	if (slab)
		DL_PREPEND(slots->roomy, slab);
	return slab;
}

/* One is enough, for when it is needed again soon. */
static void keep_spare(struct slots *slots, struct slab *slab)
{
	DL_DELETE(slots->roomy, slab);
	if (slots->spare)
		slab_free(slots, slab);
	else
		slots->spare = slab;
}

static struct slab *slab_of(void *slot)
{
	return (void *)((uint8_t *)slot - (uintptr_t)slot % SLAB_SIZE);
}

/* ---- slots ---- */

static void *slab_take(struct slab *slab)
{
	struct free_slot *slot = slab->free;

	slab->used++;
	if (!slot) /* as it came from the kernel */
		return (uint8_t *)slab + SLOT_SIZE * ++slab->cut;
	ASAN_UNPOISON_MEMORY_REGION(slot, SLOT_SIZE);
	slab->free = slot->next;
	return memset(slot, 0, SLOT_SIZE);
}

void *slots_take(struct slots *slots)
{
	struct slab *slab = find_room(slots);
	void *slot;

	if (!slab)
		return NULL;
	slot = slab_take(slab);
	if (slab->used == SLAB_SLOTS)
		DL_DELETE(slots->roomy, slab);
	return slot;
}

void slots_give(struct slots *slots, void *slot)
{
	struct free_slot *given = slot;
	struct slab *slab;

	if (!given)
		return;
	slab = slab_of(slot);
	if (slab->used == SLAB_SLOTS)
		DL_PREPEND(slots->roomy, slab);
	given->next = slab->free;
	slab->free = given;
	slab->used--;
	ASAN_POISON_MEMORY_REGION(slot, SLOT_SIZE);
	if (!slab->used)
		keep_spare(slots, slab);
}

void slots_clear(struct slots *slots)
{
	if (slots->spare)
		slab_free(slots, slots->spare);
	*slots = (struct slots){ 0 };
}
