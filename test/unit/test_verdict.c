#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/verdict.h"

static const struct modifier_value values[] = {
	{ MODIFIER_TOPIC, 0, { "a/b", 3 } },
	{ MODIFIER_PAYLOAD, 0, { "x\0y", 3 } },
	{ MODIFIER_RETAIN, 1, { NULL, 0 } },
};

static const struct verdict rewrite = {
	.decision = DECISION_OK,
	.given = 1u << MODIFIER_TOPIC | 1u << MODIFIER_PAYLOAD |
		 1u << MODIFIER_RETAIN,
	.values = values,
	.values_count = 3,
};

static void the_constant_ones_need_no_references(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(verdict_ref(&verdict_ok), &verdict_ok);
		verdict_unref(&verdict_ok);
		verdict_unref(&verdict_next);
	}
	assert_int_equal(verdict_ok.decision, DECISION_OK);
	assert_int_equal(verdict_next.decision, DECISION_NEXT);
	assert_int_equal(verdict_ok.given, 0);
	assert_true(verdict_ok.size > 0);
}

static void a_copy_has_what_was_given(void **state)
{
	const struct modifier_value *m;
	const struct verdict *v;

	(void)state;
	assert_int_equal(verdict_create(&rewrite, 0, &v), 0);
	assert_int_equal(v->decision, DECISION_OK);
	assert_int_equal(v->given, rewrite.given);
	m = verdict_get(v, MODIFIER_PAYLOAD);
	assert_non_null(m);
	assert_int_equal(m->text.len, 3);
	assert_memory_equal(m->text.data, "x\0y", 4);
	assert_ptr_not_equal(m->text.data, values[1].text.data);
	assert_int_equal(verdict_get(v, MODIFIER_RETAIN)->number, 1);
	verdict_unref(v);
}

static void what_was_not_given_is_not_found(void **state)
{
	(void)state;
	assert_null(verdict_get(&rewrite, MODIFIER_QOS));
	assert_false(verdict_has(&rewrite, MODIFIER_QOS));
	assert_null(verdict_get(&verdict_ok, MODIFIER_TOPIC));
}

static void a_modifier_can_be_left_out(void **state)
{
	const struct verdict *v;

	(void)state;
	assert_int_equal(verdict_create(&rewrite, 1u << MODIFIER_PAYLOAD, &v),
			 0);
	assert_false(verdict_has(v, MODIFIER_PAYLOAD));
	assert_null(verdict_get(v, MODIFIER_PAYLOAD));
	assert_non_null(verdict_get(v, MODIFIER_TOPIC));
	assert_int_equal(v->values_count, 2);
	verdict_unref(v);
}

static void leaving_out_all_of_them_leaves_ok(void **state)
{
	const struct verdict *v;

	(void)state;
	assert_int_equal(verdict_create(&rewrite, rewrite.given, &v), 0);
	assert_int_equal(v->decision, DECISION_OK);
	assert_int_equal(v->given, 0);
	assert_int_equal(v->values_count, 0);
	verdict_unref(v);
}

static void lists_are_copied_and_left_out(void **state)
{
	const struct topic topics[] = { { .filter = { "x/#", 3 },
					  .qos = 128 } };
	const struct property properties[] = {
		{ .id = 38, .name = { "k", 1 }, .text = { "v", 1 } },
	};
	const struct verdict from = {
		.decision = DECISION_OK,
		.given = 1u << MODIFIER_TOPICS | 1u << MODIFIER_PROPERTIES,
		.topics = topics,
		.topics_count = 1,
		.properties = properties,
		.properties_count = 1,
	};
	const struct verdict *v;

	(void)state;
	assert_int_equal(verdict_create(&from, 0, &v), 0);
	assert_int_equal(v->topics_count, 1);
	assert_string_equal(v->topics[0].filter.data, "x/#");
	assert_int_equal(v->topics[0].qos, 128);
	assert_int_equal(v->properties_count, 1);
	assert_string_equal(v->properties[0].text.data, "v");
	verdict_unref(v);
	assert_int_equal(verdict_create(&from, 1u << MODIFIER_TOPICS, &v), 0);
	assert_int_equal(v->topics_count, 0);
	assert_int_equal(v->properties_count, 1);
	verdict_unref(v);
}

static void its_size_covers_all_it_holds(void **state)
{
	char text[5000];
	struct modifier_value value = { MODIFIER_PAYLOAD,
					0,
					{ text, sizeof(text) } };
	struct verdict from = { .decision = DECISION_OK,
				.given = 1u << MODIFIER_PAYLOAD,
				.values = &value,
				.values_count = 1 };
	const struct verdict *v;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(verdict_create(&from, 0, &v), 0);
	assert_true(v->size > sizeof(text));
	assert_true(v->size < sizeof(text) + 1000);
	verdict_unref(v);
}

static void it_lives_as_long_as_the_last_reference(void **state)
{
	const struct verdict *v;

	(void)state;
	assert_int_equal(verdict_create(&rewrite, 0, &v), 0);
	assert_ptr_equal(verdict_ref(v), v);
	verdict_unref(v);
	assert_non_null(verdict_get(v, MODIFIER_TOPIC));
	verdict_unref(v);
	verdict_unref(NULL);
}

static void a_denial_has_its_reason(void **state)
{
	const struct verdict *v = verdict_deny("not today");

	(void)state;
	assert_int_equal(v->decision, DECISION_DENY);
	assert_int_equal(v->reason.len, 9);
	assert_string_equal(v->reason.data, "not today");
	verdict_unref(v);
}

static void a_long_reason_is_cut(void **state)
{
	char text[1000];
	const struct verdict *v;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	v = verdict_deny(text);
	assert_int_equal(v->reason.len, 255);
	assert_int_equal(strlen(v->reason.data), 255);
	verdict_unref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_constant_ones_need_no_references),
		cmocka_unit_test(a_copy_has_what_was_given),
		cmocka_unit_test(what_was_not_given_is_not_found),
		cmocka_unit_test(a_modifier_can_be_left_out),
		cmocka_unit_test(leaving_out_all_of_them_leaves_ok),
		cmocka_unit_test(lists_are_copied_and_left_out),
		cmocka_unit_test(its_size_covers_all_it_holds),
		cmocka_unit_test(it_lives_as_long_as_the_last_reference),
		cmocka_unit_test(a_denial_has_its_reason),
		cmocka_unit_test(a_long_reason_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
