#include "plugin/budget.h"

void budget_shut_down(struct budget *b)
{
	b->shutdown = true;
}

static int64_t held_in_last_second(const struct budget *b, int64_t now_us)
{
	int64_t last = now_us / BUDGET_SLOT_US;
	int64_t held = 0;

	for (int i = 0; i < BUDGET_SLOTS; i++) {
		if (b->slots[i].number > last - BUDGET_SLOTS)
			held += b->slots[i].held_us;
	}
	return held;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t budget_left_us(const struct budget *b, int64_t now_us,
		       uint32_t callback_ms, uint32_t second_ms)
{
	int64_t left = (int64_t)callback_ms * 1000 - b->in_callback_us;

	if (b->shutdown)
		left = least(left, BUDGET_SHUTDOWN_US - b->in_shutdown_us);
	else if (second_ms < 1000)
		left = least(left, (int64_t)second_ms * 1000 -
					   held_in_last_second(b, now_us));
	return left > 0 ? left : 0;
}

static void spend_in_slot(struct budget *b, int64_t number, int64_t us)
{
	int i = (int)(number % BUDGET_SLOTS);

	if (b->slots[i].number != number) {
		b->slots[i].number = number;
		b->slots[i].held_us = 0;
	}
	b->slots[i].held_us += (uint32_t)us;
}

void budget_spend(struct budget *b, int64_t from_us, int64_t to_us)
{
	int64_t first = to_us - (int64_t)BUDGET_SLOTS * BUDGET_SLOT_US;

	b->in_callback_us += to_us - from_us;
	if (b->shutdown)
		b->in_shutdown_us += to_us - from_us;
	/* What lies further back counts no more. */
	if (from_us < first)
		from_us = first;
	while (from_us < to_us) {
		int64_t number = from_us / BUDGET_SLOT_US;
		int64_t end = least((number + 1) * BUDGET_SLOT_US, to_us);

		spend_in_slot(b, number, end - from_us);
		from_us = end;
	}
}
