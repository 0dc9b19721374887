#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "plugin/client.h"

/* Pointers as the broker would show them; never looked into. */
#define AT(n) ((const struct mosquitto *)(uintptr_t)(0x1000 * (n)))

static int teardown(void **state)
{
	client_table_clear(*state);
	return 0;
}

static int setup(void **state)
{
	static struct client_table table;

	*state = &table;
	return teardown(state);
}

static void a_pointer_never_shown_is_nobody(void **state)
{
	assert_null(client_find(*state, AT(1)));
	client_begin(*state, AT(1), "a");
	assert_null(client_find(*state, AT(2)));
}

static void a_reused_pointer_begins_anew(void **state)
{
	struct client_table *t = *state;
	struct client *c = client_begin(t, AT(1), "a");

	c->state = CLIENT_REFUSED;
	c->clean = true;
	assert_true(client_pend(t, c, 7));
	client_arrives(t, c);
	client_doom(t, c);
	assert_ptr_equal(client_begin(t, AT(1), "b"), c);
	assert_string_equal(c->id, "b");
	assert_int_equal(c->state, CLIENT_UNASKED);
	assert_false(c->clean);
	assert_null(client_by_ticket(t, 7));
	assert_null(client_next_arrival(t));
	client_table_beat(t);
	client_table_beat(t);
	client_table_beat(t);
	assert_ptr_equal(client_find(t, AT(1)), c);
}

static void a_ticket_finds_its_client_until_decided(void **state)
{
	struct client_table *t = *state;
	struct client *c = client_begin(t, AT(1), "a");

	assert_true(client_pend(t, c, 7));
	assert_int_equal(c->state, CLIENT_PENDING);
	assert_ptr_equal(client_by_ticket(t, 7), c);
	assert_null(client_by_ticket(t, 8));
	client_decided(t, c);
	assert_null(client_by_ticket(t, 7));
	client_decided(t, c);
}

static void arrivals_come_out_in_order(void **state)
{
	struct client_table *t = *state;
	struct client *a = client_begin(t, AT(1), "a");
	struct client *b = client_begin(t, AT(2), "b");
	struct client *c = client_begin(t, AT(3), "c");

	client_arrives(t, a);
	client_arrives(t, b);
	client_arrives(t, c);
	assert_true(client_take_arrival(t, b));
	assert_false(client_take_arrival(t, b));
	assert_ptr_equal(client_next_arrival(t), a);
	assert_ptr_equal(client_next_arrival(t), c);
	assert_null(client_next_arrival(t));
}

/* Its will may still be asked for in this turn of the loop and the next. */
static void the_doomed_stay_for_two_beats(void **state)
{
	struct client_table *t = *state;
	struct client *c = client_begin(t, AT(1), "a");

	client_begin(t, AT(2), "b");
	client_doom(t, c);
	client_table_beat(t);
	assert_non_null(client_find(t, AT(1)));
	client_table_beat(t);
	assert_null(client_find(t, AT(1)));
	assert_non_null(client_find(t, AT(2)));
}

static void the_offline_are_looked_after_in_turn(void **state)
{
	struct client_table *t = *state;
	struct client *a = client_begin(t, AT(1), "a");
	struct client *b = client_begin(t, AT(2), "b");

	client_goes_offline(t, a, 5);
	client_goes_offline(t, b, 6);
	client_goes_offline(t, a, 7);
	assert_ptr_equal(t->offline, a);
	assert_int_equal(a->left_ms, 5);
	client_polled(t, a);
	assert_ptr_equal(t->offline, b);
	client_doom(t, b);
	assert_ptr_equal(t->offline, a);
	client_begin(t, AT(1), "c");
	assert_null(t->offline);
}

static void subscriptions_are_handed_on(void **state)
{
	struct client_table *t = *state;
	struct client *a = client_begin(t, AT(1), "a");
	struct client *b = client_begin(t, AT(2), "a");

	assert_int_equal(client_add_filter(a, "x", 1), 0);
	assert_int_equal(client_add_filter(a, "y", 0), 0);
	assert_int_equal(client_add_filter(a, "x", 2), 0);
	assert_int_equal(a->filters_count, 2);
	client_drop_filter(a, "y");
	client_drop_filter(a, "z");
	client_hand_filters(a, b);
	assert_int_equal(a->filters_count, 0);
	assert_int_equal(b->filters_count, 1);
	assert_string_equal(b->filters[0].filter, "x");
	assert_int_equal(b->filters[0].qos, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pointer_never_shown_is_nobody,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_reused_pointer_begins_anew,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_ticket_finds_its_client_until_decided, setup,
			teardown),
		cmocka_unit_test_setup_teardown(arrivals_come_out_in_order,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_offline_are_looked_after_in_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(subscriptions_are_handed_on,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_doomed_stay_for_two_beats,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
