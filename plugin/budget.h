/*
 * budget.h - how long the broker's thread may still stand still.
 *
 * Three bounds (contract.md, decision 8): one callback, any second, and all of
 * the broker's shutdown. Broker's thread only; the clock is the caller's, in
 * microseconds, and never goes back.
 */
#ifndef PLUGIN_BUDGET_H
#define PLUGIN_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_SLOT_US 10000
#define BUDGET_SLOTS   101 /* a second, and the slot it ends in */

/* What the callbacks at shutdown may take together. */
#define BUDGET_SHUTDOWN_US 2000000

/* Zero it before first use. */
struct budget {
	/* Private. */
	int64_t in_callback_us;
	int64_t in_shutdown_us;
	bool shutdown;
	/* A slot holds what was held in its 10 ms, of the latest second that
	 * reached it. */
	struct {
		int64_t number;
		uint32_t held_us;
	} slots[BUDGET_SLOTS];
};

/* A callback begins: what the last one took no longer counts against it. */
static inline void budget_begin(struct budget *b)
{
	b->in_callback_us = 0;
}

/* The broker is shutting down: from here on all callbacks share
 * BUDGET_SHUTDOWN_US, in place of so much in any second. */
void budget_shut_down(struct budget *b);

/*
 * How long this callback may stand still from `now_us` on: what is left of its
 * `callback_ms`, and of `second_ms` in any second, which at 1000 is no bound.
 * A second counts from the beginning of a slot, so that up to 10 ms more than
 * a second are looked at. Never negative.
 */
int64_t budget_left_us(const struct budget *b, int64_t now_us,
		       uint32_t callback_ms, uint32_t second_ms);

/* It stood still from `from_us` to `to_us`. */
void budget_spend(struct budget *b, int64_t from_us, int64_t to_us);

#endif /* PLUGIN_BUDGET_H */
