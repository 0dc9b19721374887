/* plugin/settings/settings_slot.h */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/settings/settings_slot.h"

enum {
	THREADS = 4,
	CHANGES = 50, /* by each */
};

/* What was last prepared, and what comes of it. */
struct stage {
	struct settings_slot slot;
	const struct settings *live[2 + SETTINGS_FORMER_MAX];
	size_t n;
	unsigned prepared;
	int result;
};

static int prepare(const struct settings *const *live, size_t n, void *arg)
{
	struct stage *stage = arg;

	stage->prepared++;
	if (stage->result)
		return stage->result;
	if (n > sizeof(stage->live) / sizeof(stage->live[0]))
		return -E2BIG;
	memcpy(stage->live, live, n * sizeof(live[0]));
	stage->n = n;
	return 0;
}

static struct settings *some(void)
{
	struct conf_error error;
	struct settings *s = NULL;

	assert_int_equal(settings_load(NULL, 0, &s, &error), 0);
	return s;
}

static int setup(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct settings *s = some();
	int err = settings_slot_init(&stage->slot, s);

	settings_unref(s);
	*state = stage;
	return err;
}

static int teardown(void **state)
{
	struct stage *stage = *state;

	settings_slot_clear(&stage->slot);
	free(stage);
	return 0;
}

/* Put others in force; returns them, with a reference. */
static struct settings *swap(struct stage *stage)
{
	struct settings *old = settings_slot_get(&stage->slot), *s = some();

	assert_int_equal(
		settings_slot_swap(&stage->slot, old, s, prepare, stage), 0);
	settings_unref(old);
	return s;
}

static void sweep(struct stage *stage)
{
	settings_slot_sweep(&stage->slot, prepare, stage);
}

static void the_new_are_in_force(void **state)
{
	struct stage *stage = *state;
	unsigned version = settings_slot_version(&stage->slot);
	struct settings *s = swap(stage), *now;

	now = settings_slot_get(&stage->slot);
	assert_ptr_equal(now, s);
	assert_ptr_equal(stage->live[0], s);
	assert_int_not_equal(settings_slot_version(&stage->slot), version);
	settings_unref(now);
	settings_unref(s);
}

static void whoever_comes_too_late_changes_nothing(void **state)
{
	struct stage *stage = *state;
	struct settings *old = settings_slot_get(&stage->slot);
	struct settings *s = swap(stage), *other = some(), *now;
	unsigned version = settings_slot_version(&stage->slot);

	assert_int_equal(
		settings_slot_swap(&stage->slot, old, other, prepare, stage),
		-EAGAIN);
	assert_int_equal(stage->prepared, 1);
	assert_int_equal(settings_slot_version(&stage->slot), version);
	now = settings_slot_get(&stage->slot);
	assert_ptr_equal(now, s);
	settings_unref(now);
	settings_unref(old);
	settings_unref(other);
	settings_unref(s);
}

static void what_cannot_be_prepared_changes_nothing(void **state)
{
	struct stage *stage = *state;
	struct settings *old = settings_slot_get(&stage->slot), *s = some();
	struct settings *now;

	stage->result = -ESHUTDOWN;
	assert_int_equal(
		settings_slot_swap(&stage->slot, old, s, prepare, stage),
		-ESHUTDOWN);
	now = settings_slot_get(&stage->slot);
	assert_ptr_equal(now, old);
	settings_unref(now);
	settings_unref(old);
	settings_unref(s);
}

static void those_before_stay_as_long_as_they_are_held(void **state)
{
	struct stage *stage = *state;
	struct settings *a = settings_slot_get(&stage->slot);
	struct settings *b = swap(stage), *c = swap(stage);

	assert_int_equal(stage->n, 3);
	assert_ptr_equal(stage->live[0], c);
	assert_ptr_equal(stage->live[1], b);
	assert_ptr_equal(stage->live[2], a);
	stage->prepared = 0;
	sweep(stage);
	assert_int_equal(stage->prepared, 0);
	settings_unref(b);
	sweep(stage);
	assert_int_equal(stage->prepared, 1);
	assert_int_equal(stage->n, 2);
	assert_ptr_equal(stage->live[1], a);
	settings_unref(a);
	sweep(stage);
	assert_int_equal(stage->n, 1);
	assert_ptr_equal(stage->live[0], c);
	sweep(stage);
	assert_int_equal(stage->prepared, 2);
	settings_unref(c);
}

static void a_swap_lets_go_of_them_as_well(void **state)
{
	struct stage *stage = *state;

	for (int i = 0; i < 10; i++) {
		settings_unref(swap(stage));
		/* itself, and the one before, of which nobody had heard */
		assert_int_equal(stage->n, 2);
	}
	sweep(stage);
	assert_int_equal(stage->n, 1);
}

/* Until it can be done. */
static void a_sweep_that_fails_is_done_later(void **state)
{
	struct stage *stage = *state;

	settings_unref(swap(stage));
	assert_int_equal(stage->n, 2);
	stage->result = -ENOMEM;
	sweep(stage);
	sweep(stage);
	assert_int_equal(stage->prepared, 3);
	stage->result = 0;
	sweep(stage);
	assert_int_equal(stage->n, 1);
}

static void they_have_a_ceiling(void **state)
{
	struct stage *stage = *state;
	struct settings *held[SETTINGS_FORMER_MAX + 1], *old, *s = some();

	old = settings_slot_get(&stage->slot);
	for (size_t i = 0; i < SETTINGS_FORMER_MAX; i++)
		held[i] = i ? swap(stage) : old;
	held[SETTINGS_FORMER_MAX] = swap(stage);
	old = held[SETTINGS_FORMER_MAX];
	assert_int_equal(
		settings_slot_swap(&stage->slot, old, s, prepare, stage),
		-EBUSY);
	assert_int_equal(stage->n, SETTINGS_FORMER_MAX + 1);
	/* as soon as one has ended there is room */
	settings_unref(held[7]);
	assert_int_equal(
		settings_slot_swap(&stage->slot, old, s, prepare, stage), 0);
	for (size_t i = 0; i <= SETTINGS_FORMER_MAX; i++) {
		if (i != 7)
			settings_unref(held[i]);
	}
	settings_unref(s);
}

static void *change_often(void *arg)
{
	struct stage *stage = arg;

	for (int i = 0; i < CHANGES;) {
		struct settings *old = settings_slot_get(&stage->slot);
		struct settings *s = some();

		s->limits.retries = old->limits.retries + 1;
		if (!settings_slot_swap(&stage->slot, old, s, prepare, stage))
			i++;
		settings_unref(s);
		settings_unref(old);
	}
	return NULL;
}

static void threads_change_and_one_sweeps(void **state)
{
	struct stage *stage = *state;
	uint32_t before = stage->slot.live[0]->limits.retries;
	unsigned version = settings_slot_version(&stage->slot), all;
	pthread_t threads[THREADS];

	all = version + THREADS * CHANGES;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, change_often, stage),
			0);
	while (settings_slot_version(&stage->slot) != all)
		sweep(stage);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	sweep(stage);
	assert_int_equal(stage->n, 1);
	assert_int_equal(stage->live[0]->limits.retries,
			 before + THREADS * CHANGES);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_new_are_in_force),
		TEST(whoever_comes_too_late_changes_nothing),
		TEST(what_cannot_be_prepared_changes_nothing),
		TEST(those_before_stay_as_long_as_they_are_held),
		TEST(a_swap_lets_go_of_them_as_well),
		TEST(a_sweep_that_fails_is_done_later),
		TEST(they_have_a_ceiling),
		TEST(threads_change_and_one_sweeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
