#include "plugin/remark.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
	WORDS = REMARK_LEN / 8,
	LOOKS = 100,
};

void remark_write(struct remark *remark, int64_t when_ms, const char *text)
{
	uint32_t turn =
		atomic_load_explicit(&remark->turn, memory_order_relaxed);
	uint64_t words[WORDS] = { 0 };
	char *line = (char *)words;

	snprintf(line, REMARK_LEN, "%s", text);
	for (char *p = line; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	}
	/* Each store keeps the ones before it in their place. */
	atomic_store_explicit(&remark->turn, turn + 1, memory_order_relaxed);
	atomic_store_explicit(&remark->when_ms, when_ms, memory_order_release);
	for (int i = 0; i < WORDS; i++)
		atomic_store_explicit(&remark->words[i], words[i],
				      memory_order_release);
	atomic_store_explicit(&remark->turn, turn + 2, memory_order_release);
}

/* False: it was being written. */
static bool look(const struct remark *remark, int64_t *ret_when_ms,
		 uint64_t words[static WORDS])
{
	uint32_t turn =
		atomic_load_explicit(&remark->turn, memory_order_acquire);

	*ret_when_ms =
		atomic_load_explicit(&remark->when_ms, memory_order_acquire);
	for (int i = 0; i < WORDS; i++)
		words[i] = atomic_load_explicit(&remark->words[i],
						memory_order_acquire);
	return !(turn & 1) &&
	       turn == atomic_load_explicit(&remark->turn,
					    memory_order_relaxed);
}

bool remark_read(const struct remark *remark, int64_t *ret_when_ms,
		 char ret[static REMARK_LEN])
{
	uint64_t words[WORDS];

	if (!atomic_load_explicit(&remark->turn, memory_order_relaxed))
		return false;
	for (int i = 0; i < LOOKS; i++) {
		if (look(remark, ret_when_ms, words)) {
			memcpy(ret, words, REMARK_LEN);
			return true;
		}
	}
	return false;
}
