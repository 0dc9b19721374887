#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	assert_true(client_pend(t, c, 7, NULL));
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

/* It was found last, and would be found again by that. */
static void a_forgotten_client_is_nobody(void **state)
{
	struct client_table *t = *state;
	struct client *a = client_begin(t, AT(1), "a");
	struct client *b = client_begin(t, AT(2), "b");

	client_doom(t, b);
	assert_ptr_equal(client_find(t, AT(2)), b);
	for (int i = 0; i < 3; i++)
		client_table_beat(t);
	assert_null(client_find(t, AT(2)));
	assert_ptr_equal(client_find(t, AT(1)), a);
	assert_null(client_find(t, AT(2)));
	assert_ptr_equal(client_find(t, AT(1)), a);
	client_table_clear(t);
	assert_null(client_find(t, AT(1)));
}

/* As far apart as an allocator puts them. */
static void many_clients_are_told_apart(void **state)
{
	enum {
		N = 1000
	};
	struct client *all[N];

	for (size_t i = 0; i < N; i++)
		all[i] = client_begin(*state, AT(i + 1), "a");
	for (size_t i = 0; i < N; i++)
		assert_ptr_equal(client_find(*state, AT(i + 1)), all[i]);
	assert_null(client_find(*state, AT(N + 1)));
}

static void a_ticket_finds_its_client_until_decided(void **state)
{
	struct client_table *t = *state;
	struct client *c = client_begin(t, AT(1), "a");

	assert_true(client_pend(t, c, 7, NULL));
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

static void the_filters_that_are_remembered_are_bounded(void **state)
{
	struct client_table table = { 0 };
	struct client *a = client_begin(&table, AT(1), "a");
	char filter[65536];

	(void)state;
	memset(filter, 'x', sizeof(filter));
	filter[60000] = '\0';
	for (char c = '0'; c < '4'; c++) {
		filter[0] = c;
		assert_int_equal(client_add_filter(a, filter, 1), 0);
	}
	filter[0] = '4';
	assert_int_equal(client_add_filter(a, filter, 1), -ENOSPC);
	filter[0] = '3';
	client_drop_filter(a, filter);
	filter[0] = '4';
	assert_int_equal(client_add_filter(a, filter, 1), 0);
	for (int i = 4; i < CLIENT_FILTERS_MAX; i++) {
		snprintf(filter, sizeof(filter), "%d", i);
		assert_int_equal(client_add_filter(a, filter, 1), 0);
	}
	assert_int_equal(client_add_filter(a, "z", 1), -ENOSPC);
	client_table_clear(&table);
}

/* ---- who knows the ids ---- */

enum {
	IDS_MAX = 8
};

/* What the table has told: per id how often it is known, less unknown. */
static struct {
	struct {
		char id[64];
		int held;
	} ids[IDS_MAX];
	unsigned known, unknown;
	char last[64]; /* that was told of */
} told;

static int *held(const char *id)
{
	unsigned i;

	for (i = 0; i < IDS_MAX && told.ids[i].id[0]; i++)
		if (strcmp(told.ids[i].id, id) == 0)
			return &told.ids[i].held;
	assert_true(i < IDS_MAX);
	snprintf(told.ids[i].id, sizeof(told.ids[i].id), "%s", id);
	return &told.ids[i].held;
}

static void know(void *arg, const char *id)
{
	assert_ptr_equal(arg, &told);
	told.known++;
	++*held(id);
	snprintf(told.last, sizeof(told.last), "%s", id);
}

static void unknow(void *arg, const char *id)
{
	assert_ptr_equal(arg, &told);
	told.unknown++;
	/* nobody becomes unknown who was not known */
	assert_true(--*held(id) >= 0);
	snprintf(told.last, sizeof(told.last), "%s", id);
}

static int setup_telling(void **state)
{
	struct client_table *t;

	if (setup(state))
		return -1;
	t = *state;
	memset(&told, 0, sizeof(told));
	t->know = know;
	t->unknow = unknow;
	t->arg = &told;
	return 0;
}

/* Whatever was known is known no longer. */
static int teardown_telling(void **state)
{
	if (teardown(state))
		return -1;
	for (unsigned i = 0; i < IDS_MAX; i++)
		if (told.ids[i].held)
			return -1;
	return told.known != told.unknown;
}

static void an_id_is_known_from_its_begin(void **state)
{
	struct client_table *t = *state;

	client_begin(t, AT(1), "a");
	assert_int_equal(told.known, 1);
	assert_string_equal(told.last, "a");
	client_begin(t, AT(2), "b");
	assert_int_equal(*held("a"), 1);
	assert_int_equal(*held("b"), 1);
	assert_int_equal(told.unknown, 0);
}

static void an_id_is_known_once_for_each_pointer(void **state)
{
	struct client_table *t = *state;
	struct client *old = client_begin(t, AT(1), "a");

	client_begin(t, AT(2), "a");
	assert_int_equal(*held("a"), 2);
	client_doom(t, old);
	assert_int_equal(*held("a"), 2);
	client_table_beat(t);
	client_table_beat(t);
	assert_int_equal(*held("a"), 1);
}

static void a_reused_pointer_lets_go_of_the_old_id(void **state)
{
	struct client_table *t = *state;

	client_begin(t, AT(1), "a");
	client_begin(t, AT(1), "b");
	assert_int_equal(*held("a"), 0);
	assert_int_equal(*held("b"), 1);
	client_begin(t, AT(1), "b");
	assert_int_equal(*held("b"), 1);
}

static void a_client_without_an_id_has_an_empty_one(void **state)
{
	struct client_table *t = *state;

	client_begin(t, AT(1), NULL);
	assert_string_equal(told.last, "");
	assert_int_equal(told.known, 1);
}

static void a_renamed_client_is_known_by_its_new_id(void **state)
{
	struct client_table *t = *state;
	struct client *c = client_begin(t, AT(1), "a");

	assert_int_equal(client_rename(t, c, "b"), 0);
	assert_string_equal(c->id, "b");
	assert_int_equal(*held("a"), 0);
	assert_int_equal(*held("b"), 1);
	/* also when that is the old one */
	assert_int_equal(client_rename(t, c, "b"), 0);
	assert_int_equal(*held("b"), 1);
}

#define LONG_ID "a client whose id is longer than most are"

static void an_id_may_be_short_or_long(void **state)
{
	struct client_table *t = *state;
	struct client *c = client_begin(t, AT(1), "23-bytes-are-for-anyone");

	assert_string_equal(c->id, "23-bytes-are-for-anyone");
	assert_int_equal(c->id_len, 23);
	assert_int_equal(client_rename(t, c, "24-bytes-are-not-for-all"), 0);
	assert_string_equal(c->id, "24-bytes-are-not-for-all");
	assert_int_equal(client_rename(t, c, LONG_ID), 0);
	assert_string_equal(c->id, LONG_ID);
	assert_int_equal(c->id_len, strlen(LONG_ID));
	assert_int_equal(client_rename(t, c, c->id), 0);
	assert_string_equal(c->id, LONG_ID);
	assert_int_equal(client_rename(t, c, "b"), 0);
	assert_int_equal(client_rename(t, c, c->id), 0);
	assert_string_equal(c->id, "b");
	assert_int_equal(c->id_len, 1);
	assert_int_equal(*held("b"), 1);
	assert_int_equal(*held(LONG_ID), 0);
}

static void an_address_is_of_one_life(void **state)
{
	static const char longest[] =
		"0000:1111:2222:3333:4444:5555:255.255.255.255x";
	struct client_table *t = *state;
	struct client *c = client_begin(t, AT(1), "a");

	assert_int_equal(c->address_len, 0);
	client_set_address(c, "127.0.0.1");
	assert_int_equal(c->address_len, 9);
	assert_memory_equal(c->address, "127.0.0.1", 9);
	client_set_address(c, longest);
	assert_int_equal(c->address_len, 46);
	assert_memory_equal(c->address, longest, 46);
	client_begin(t, AT(1), "a");
	assert_int_equal(c->address_len, 0);
	client_set_address(c,
			   "0000:1111:2222:3333:4444:5555:255.255.255.255xy");
	assert_int_equal(c->address_len, 0);
	client_set_address(c, NULL);
	assert_int_equal(c->address_len, 0);
}

static void leaving_alone_unknows_nobody(void **state)
{
	struct client_table *t = *state;
	struct client *c = client_begin(t, AT(1), "a");

	assert_true(client_pend(t, c, 7, NULL));
	client_decided(t, c);
	client_arrives(t, c);
	client_take_arrival(t, c);
	client_goes_offline(t, c, 5);
	client_polled(t, c);
	client_table_beat(t);
	client_table_beat(t);
	client_table_beat(t);
	assert_int_equal(told.unknown, 0);
	client_doom(t, c);
	client_table_beat(t);
	assert_int_equal(told.unknown, 0);
	client_table_beat(t);
	assert_int_equal(told.unknown, 1);
	assert_string_equal(told.last, "a");
}

static void clearing_the_table_unknows_all(void **state)
{
	struct client_table *t = *state;

	client_begin(t, AT(1), "a");
	client_begin(t, AT(2), "a");
	client_doom(t, client_begin(t, AT(3), "b"));
	client_goes_offline(t, client_begin(t, AT(4), "c"), 1);
	client_arrives(t, client_begin(t, AT(5), "d"));
	assert_true(client_pend(t, client_begin(t, AT(6), "e"), 3, NULL));
	client_table_clear(t);
	assert_int_equal(told.known, 6);
	assert_int_equal(told.unknown, 6);
}

/* Every step in any order: what is known is exactly what is in the table. */
static void known_are_those_in_the_table(void **state)
{
	static const char *const ids[] = { "a", "b", "c" };
	struct client_table *t = *state;
	struct client *c, *next;

	srandom(4);
	for (int i = 0; i < 5000; i++) {
		const struct mosquitto *at = AT(1 + random() % 5);
		const char *id = ids[random() % 3];
		int in_table = 0;

		c = client_find(t, at);
		switch (c ? random() % 5 : 0) {
		case 0:
			client_begin(t, at, id);
			break;
		case 1:
			client_rename(t, c, id);
			break;
		case 2:
			client_doom(t, c);
			break;
		case 3:
			if (!c->doomed)
				client_goes_offline(t, c, i);
			break;
		default:
			client_table_beat(t);
		}
		HASH_ITER (hh, t->all, c, next)
			in_table += strcmp(c->id, id) == 0;
		assert_int_equal(*held(id), in_table);
	}
}

/* As before somebody wanted to know. */
static void a_table_need_tell_nobody(void **state)
{
	struct client_table *t = *state;
	struct client *c = client_begin(t, AT(1), "a");

	assert_int_equal(client_rename(t, c, "b"), 0);
	client_begin(t, AT(1), "c");
}

#define TELLING(name)                                                          \
	cmocka_unit_test_setup_teardown(name, setup_telling, teardown_telling)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pointer_never_shown_is_nobody,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_reused_pointer_begins_anew,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_forgotten_client_is_nobody,
						setup, teardown),
		cmocka_unit_test_setup_teardown(many_clients_are_told_apart,
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
		cmocka_unit_test(the_filters_that_are_remembered_are_bounded),
		cmocka_unit_test_setup_teardown(the_doomed_stay_for_two_beats,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_table_need_tell_nobody, setup,
						teardown),
		TELLING(an_id_is_known_from_its_begin),
		TELLING(an_id_is_known_once_for_each_pointer),
		TELLING(a_reused_pointer_lets_go_of_the_old_id),
		TELLING(a_client_without_an_id_has_an_empty_one),
		TELLING(a_renamed_client_is_known_by_its_new_id),
		TELLING(an_id_may_be_short_or_long),
		TELLING(an_address_is_of_one_life),
		TELLING(leaving_alone_unknows_nobody),
		TELLING(clearing_the_table_unknows_all),
		TELLING(known_are_those_in_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
