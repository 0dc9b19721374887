#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/event.h"

static void assert_bytes(struct bytes b, const void *data, size_t len)
{
	assert_non_null(b.data);
	assert_int_equal(b.len, len);
	assert_memory_equal(b.data, data, len);
	/* and a NUL behind it */
	assert_int_equal(((const char *)b.data)[len], '\0');
}

/* A copy of `text` on the heap, exactly as long: reading on is an error that
 * the sanitizers see. */
static struct bytes heap(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return (struct bytes){ copy, len };
}

static void let_go(struct bytes b)
{
	free((void *)b.data);
}

static void a_text_becomes_bytes(void **state)
{
	(void)state;
	assert_int_equal(bytes_of("abc").len, 3);
	assert_non_null(bytes_of("").data);
	assert_int_equal(bytes_of("").len, 0);
	assert_null(bytes_of(NULL).data);
}

static void a_copy_outlives_what_it_was_made_of(void **state)
{
	struct event ev = { .hook = HOOK_AUTH_ON_PUBLISH,
			    .qos = 2,
			    .peer_port = 51234,
			    .clean = true,
			    .retain = true },
		     *copy;

	(void)state;
	ev.client_id = heap("c\0d", 3);
	ev.password = heap("secret", 6);
	ev.payload = heap("", 0);
	assert_int_equal(event_copy(&ev, &copy), 0);
	let_go(ev.client_id);
	let_go(ev.password);
	let_go(ev.payload);
	assert_int_equal(copy->hook, HOOK_AUTH_ON_PUBLISH);
	assert_int_equal(copy->qos, 2);
	assert_int_equal(copy->peer_port, 51234);
	assert_true(copy->clean);
	assert_true(copy->retain);
	assert_bytes(copy->client_id, "c\0d", 3);
	assert_bytes(copy->password, "secret", 6);
	assert_bytes(copy->payload, "", 0);
	event_free(copy);
}

static void what_is_absent_stays_absent(void **state)
{
	struct event ev = { .hook = HOOK_ON_CLIENT_GONE,
			    .client_id = bytes_of("c") },
		     *copy;

	(void)state;
	assert_int_equal(event_copy(&ev, &copy), 0);
	assert_null(copy->username.data);
	assert_null(copy->password.data);
	assert_null(copy->payload.data);
	assert_null(copy->topics);
	assert_null(copy->properties);
	assert_null(copy->listener);
	assert_int_equal(copy->topics_count, 0);
	event_free(copy);
}

static void lists_are_copied_with_what_they_point_to(void **state)
{
	struct topic topics[2] = {
		{ .filter = heap("a/+", 3),
		  .qos = 1,
		  .has_options = true,
		  .rap = true,
		  .retain_handling = RETAIN_DONT_SEND },
		{ .filter = heap("b", 1), .qos = 2 },
	};
	struct property properties[2] = {
		{ .id = 2, .number = 60 },
		{ .id = 38, .name = heap("k", 1), .text = heap("v\0w", 3) },
	};
	struct event ev = { .hook = HOOK_ON_SUBSCRIBE_M5,
			    .topics = topics,
			    .topics_count = 2,
			    .properties = properties,
			    .properties_count = 2 },
		     *copy;

	(void)state;
	assert_int_equal(event_copy(&ev, &copy), 0);
	let_go(topics[0].filter);
	let_go(topics[1].filter);
	let_go(properties[1].name);
	let_go(properties[1].text);
	memset(topics, 0xff, sizeof(topics));
	memset(properties, 0xff, sizeof(properties));
	assert_int_equal(copy->topics_count, 2);
	assert_bytes(copy->topics[0].filter, "a/+", 3);
	assert_int_equal(copy->topics[0].qos, 1);
	assert_true(copy->topics[0].has_options);
	assert_true(copy->topics[0].rap);
	assert_false(copy->topics[0].no_local);
	assert_int_equal(copy->topics[0].retain_handling, RETAIN_DONT_SEND);
	assert_bytes(copy->topics[1].filter, "b", 1);
	assert_int_equal(copy->properties_count, 2);
	assert_int_equal(copy->properties[0].number, 60);
	assert_null(copy->properties[0].text.data);
	assert_bytes(copy->properties[1].name, "k", 1);
	assert_bytes(copy->properties[1].text, "v\0w", 3);
	event_free(copy);
}

static void a_listener_is_copied(void **state)
{
	struct listener_info info = { .addr = heap("::", 2),
				      .client_cert = heap("\x30\0\xff", 3),
				      .has_listener = true,
				      .port = 8883 };
	struct event ev = { .hook = HOOK_AUTH_ON_REGISTER, .listener = &info },
		     *copy;

	(void)state;
	assert_int_equal(event_copy(&ev, &copy), 0);
	let_go(info.addr);
	let_go(info.client_cert);
	memset(&info, 0xff, sizeof(info));
	assert_bytes(copy->listener->addr, "::", 2);
	assert_bytes(copy->listener->client_cert, "\x30\0\xff", 3);
	assert_null(copy->listener->type.data);
	assert_true(copy->listener->has_listener);
	assert_int_equal(copy->listener->port, 8883);
	event_free(copy);
}

static void a_copy_can_be_copied(void **state)
{
	struct event ev = { .hook = HOOK_ON_REGISTER,
			    .username = bytes_of("u") },
		     *first, *second;

	(void)state;
	assert_int_equal(event_copy(&ev, &first), 0);
	assert_int_equal(event_copy(first, &second), 0);
	event_free(first);
	assert_bytes(second->username, "u", 1);
	event_free(second);
}

static void nothing_is_freed_harmlessly(void **state)
{
	(void)state;
	event_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_becomes_bytes),
		cmocka_unit_test(a_copy_outlives_what_it_was_made_of),
		cmocka_unit_test(what_is_absent_stays_absent),
		cmocka_unit_test(lists_are_copied_with_what_they_point_to),
		cmocka_unit_test(a_listener_is_copied),
		cmocka_unit_test(a_copy_can_be_copied),
		cmocka_unit_test(nothing_is_freed_harmlessly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
