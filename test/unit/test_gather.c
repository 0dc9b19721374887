#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/gather.h"

static struct {
	unsigned calls;
	size_t topics;
	char first[16], last[16], client[16];
	int qos;
} seen;

static void emit(void *arg, const struct event *ev)
{
	const struct topic *last = &ev->topics[ev->topics_count - 1];

	(void)arg;
	seen.calls++;
	seen.topics = ev->topics_count;
	seen.qos = ev->topics[0].qos;
	snprintf(seen.first, sizeof(seen.first), "%s",
		 (const char *)ev->topics[0].filter.data);
	snprintf(seen.last, sizeof(seen.last), "%s",
		 (const char *)last->filter.data);
	snprintf(seen.client, sizeof(seen.client), "%s",
		 (const char *)ev->client_id.data);
}

static int add(struct gather *g, const void *client, const char *filter)
{
	/* in memory that is gone before the flush */
	char id[] = "me", text[16];
	struct event ev = { .hook = HOOK_ON_SUBSCRIBE };
	struct topic topic = { .qos = 1 };

	snprintf(text, sizeof(text), "%s", filter);
	ev.client_id = bytes_of(id);
	topic.filter = bytes_of(text);
	return gather_add(g, client, &ev, &topic);
}

static int setup(void **state)
{
	struct gather *g = NULL;

	memset(&seen, 0, sizeof(seen));
	if (gather_create(&g) != 0)
		return -1;
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	gather_destroy(*state);
	return 0;
}

static void filters_leave_together_in_order(void **state)
{
	struct gather *g = *state;
	int me = 0;

	assert_int_equal(add(g, &me, "a"), 0);
	assert_true(gather_fits(g, HOOK_ON_SUBSCRIBE, &me));
	for (int i = 0; i < 20; i++)
		assert_int_equal(add(g, &me, "b"), 0);
	assert_int_equal(add(g, &me, "z"), 0);
	assert_int_equal(seen.calls, 0);
	gather_flush(g, emit, NULL);
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.topics, 22);
	assert_int_equal(seen.qos, 1);
	assert_string_equal(seen.first, "a");
	assert_string_equal(seen.last, "z");
	assert_string_equal(seen.client, "me");
	assert_true(gather_empty(g));
}

static void nothing_held_is_not_told(void **state)
{
	gather_flush(*state, emit, NULL);
	assert_int_equal(seen.calls, 0);
	add(*state, &seen, "a");
	gather_flush(*state, emit, NULL);
	gather_flush(*state, emit, NULL);
	assert_int_equal(seen.calls, 1);
}

static void others_do_not_join(void **state)
{
	struct gather *g = *state;
	int me = 0, you = 0;

	assert_false(gather_fits(g, HOOK_ON_SUBSCRIBE, &me));
	add(g, &me, "a");
	assert_false(gather_fits(g, HOOK_ON_SUBSCRIBE, &you));
	assert_false(gather_fits(g, HOOK_ON_UNSUBSCRIBE, &me));
}

static void there_is_a_ceiling(void **state)
{
	struct gather *g = *state;
	int me = 0;

	for (int i = 0; i < GATHER_MAX; i++)
		assert_int_equal(add(g, &me, "a"), 0);
	assert_false(gather_fits(g, HOOK_ON_SUBSCRIBE, &me));
	gather_flush(g, emit, NULL);
	assert_int_equal(seen.topics, GATHER_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(filters_leave_together_in_order,
						setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_held_is_not_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(others_do_not_join, setup,
						teardown),
		cmocka_unit_test_setup_teardown(there_is_a_ceiling, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
