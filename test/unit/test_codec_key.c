#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>
#include "plugin/codec/codec.h"

static const char url[] = "http://127.0.0.1/auth";
static const uint8_t secret[16] = "0123456789abcdef";

struct key {
	uint8_t bytes[CODEC_KEY_LEN];
};

static struct key key_of(const struct event *ev)
{
	uint8_t own[16];
	struct key key;

	codec_secret_of(url, secret, own);
	codec_key(ev, own, key.bytes);
	return key;
}

static bool same(struct key a, struct key b)
{
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static const struct topic topics[] = {
	{ .filter = { "a", 1 }, .qos = 1 },
	{ .filter = { "b", 1 }, .qos = 2, .has_options = true },
};
static const struct property properties[] = {
	{ .id = 11, .number = 7 },
	{ .id = 38, .name = { "k", 1 }, .text = { "v", 1 } },
};
static const struct listener_info listener = {
	.addr = { "0.0.0.0", 7 },
	.type = { "mqtt", 4 },
	.has_listener = true,
	.port = 1883,
};

static struct event question(void)
{
	struct event ev = {
		.hook = HOOK_AUTH_ON_SUBSCRIBE_M5,
		.peer_addr = bytes_of("127.0.0.1"),
		.peer_port = 12345,
		.mountpoint = bytes_of(""),
		.client_id = bytes_of("client-1"),
		.username = bytes_of("u"),
		.password = bytes_of("p"),
		.topic = bytes_of("t"),
		.payload = bytes_of("hello"),
		.topics = topics,
		.topics_count = 2,
		.properties = properties,
		.properties_count = 2,
		.listener = &listener,
		.clean = true,
	};

	return ev;
}

static void the_same_question_has_the_same_key(void **state)
{
	struct event ev = question(), *copy;

	(void)state;
	assert_int_equal(event_copy(&ev, &copy), 0);
	assert_true(same(key_of(&ev), key_of(copy)));
	event_free(copy);
}

static void payload_and_port_do_not_count(void **state)
{
	struct event ev = question();
	struct key key = key_of(&ev);

	(void)state;
	ev.payload = bytes_of("other");
	ev.peer_port = 1;
	assert_true(same(key, key_of(&ev)));
}

#define DIFFERS(change)                                                        \
	do {                                                                   \
		struct event ev = question();                                  \
		struct key key = key_of(&ev);                                  \
                                                                               \
		change;                                                        \
		if (same(key, key_of(&ev)))                                    \
			fail_msg("%s", #change);                               \
	} while (0)

static void every_other_field_counts(void **state)
{
	(void)state;
	DIFFERS(ev.hook = HOOK_AUTH_ON_SUBSCRIBE);
	DIFFERS(ev.peer_addr = bytes_of("10.0.0.1"));
	DIFFERS(ev.mountpoint = bytes_of("other"));
	DIFFERS(ev.client_id = bytes_of("other"));
	DIFFERS(ev.username = bytes_of("other"));
	DIFFERS(ev.username = bytes_of(NULL));
	DIFFERS(ev.username = bytes_of(""));
	DIFFERS(ev.password = bytes_of("other"));
	DIFFERS(ev.password = bytes_of(NULL));
	DIFFERS(ev.topic = bytes_of("other"));
	DIFFERS(ev.qos = 1);
	DIFFERS(ev.clean = false);
	DIFFERS(ev.retain = true);
	DIFFERS(ev.topics_count = 1);
	DIFFERS(ev.properties_count = 1);
	DIFFERS(ev.listener = NULL);
	DIFFERS(ev.sent_username = bytes_of("u"));
	DIFFERS(ev.sent_username = bytes_of(""));
}

static void every_option_of_a_topic_counts(void **state)
{
	struct topic t = { .filter = { "a", 1 },
			   .qos = 1,
			   .has_options = true };

	(void)state;
	DIFFERS(ev.topics = &t; ev.topics_count = 1);
	for (int i = 0; i < 5; i++) {
		struct event ev = question();
		struct topic other = t;
		struct key key;

		ev.topics = &t;
		ev.topics_count = 1;
		key = key_of(&ev);
		other.has_options = i != 0;
		other.no_local = i == 1;
		other.rap = i == 2;
		other.retain_handling = i == 3 ? RETAIN_DONT_SEND : RETAIN_SEND;
		other.qos = i == 4 ? 2 : 1;
		ev.topics = &other;
		assert_false(same(key, key_of(&ev)));
	}
}

static void the_order_of_topics_counts(void **state)
{
	struct topic swapped[] = { topics[1], topics[0] };

	(void)state;
	DIFFERS(ev.topics = swapped);
}

static void every_part_of_a_property_counts(void **state)
{
	struct property p[] = { properties[0], properties[1] };

	(void)state;
	p[0].number = 8;
	DIFFERS(ev.properties = p);
	p[0] = properties[0];
	p[0].id = 12;
	DIFFERS(ev.properties = p);
	p[0] = properties[0];
	p[1].name = bytes_of("v");
	p[1].text = bytes_of("k");
	DIFFERS(ev.properties = p);
}

static void every_part_of_a_listener_counts(void **state)
{
	struct listener_info l = listener;

	(void)state;
	l.port = 1884;
	DIFFERS(ev.listener = &l);
	l = listener;
	l.addr = bytes_of("10.0.0.1");
	DIFFERS(ev.listener = &l);
	l = listener;
	l.type = bytes_of("mqtts");
	DIFFERS(ev.listener = &l);
	l = listener;
	l.client_cert = bytes_of("");
	DIFFERS(ev.listener = &l);
	l = listener;
	l.has_listener = false;
	DIFFERS(ev.listener = &l);
	l = listener;
	l.cert_unknown = true;
	DIFFERS(ev.listener = &l);
}

/* Of a publish in MQTT 3 there are none of the four. */
static void each_counts_without_the_others(void **state)
{
	static const struct topic no_topic = { .filter = { NULL, 0 } };
	static const struct property no_property = { 0 };
	static const struct listener_info no_listener = { 0 };
	struct key keys[16];

	(void)state;
	for (unsigned which = 0; which < 16; which++) {
		struct event ev = question();

		ev.topics = &no_topic;
		ev.topics_count = which & 1;
		ev.properties = &no_property;
		ev.properties_count = which >> 1 & 1;
		ev.listener = which & 4 ? &no_listener : NULL;
		ev.sent_username = bytes_of(which & 8 ? "" : NULL);
		keys[which] = key_of(&ev);
		for (unsigned other = 0; other < which; other++)
			assert_false(same(keys[which], keys[other]));
	}
}

static void endpoint_and_secret_count(void **state)
{
	struct event ev = question();
	uint8_t other[16] = "0123456789abcdeg", own[16];
	struct key key = key_of(&ev), next;

	(void)state;
	codec_secret_of("http://127.0.0.1/autH", secret, own);
	codec_key(&ev, own, next.bytes);
	assert_false(same(key, next));
	codec_secret_of(url, other, own);
	codec_key(&ev, own, next.bytes);
	assert_false(same(key, next));
}

/* Fields run together must not look like others. */
static void no_field_runs_into_the_next(void **state)
{
	struct event a = question(), b = question();

	(void)state;
	a.client_id = bytes_of("ab");
	a.username = bytes_of("c");
	b.client_id = bytes_of("a");
	b.username = bytes_of("bc");
	assert_false(same(key_of(&a), key_of(&b)));
	a.username = bytes_of("c\2p");
	a.password = bytes_of(NULL);
	b = question();
	b.client_id = bytes_of("ab");
	b.username = bytes_of("c");
	assert_false(same(key_of(&a), key_of(&b)));
}

/* What is one byte long up to a length, and nine from there on. */
static void every_length_counts(void **state)
{
	enum {
		N = 300
	};
	struct event ev = question();
	struct key keys[N];
	char text[N];

	(void)state;
	memset(text, 0xff, sizeof(text));
	for (size_t n = 0; n < N; n++) {
		ev.username = (struct bytes){ text, n };
		ev.password = (struct bytes){ text, N - n };
		keys[n] = key_of(&ev);
		for (size_t i = 0; i < n; i++)
			assert_false(same(keys[i], keys[n]));
	}
}

/* Long questions are folded: every byte of them still counts. */
static void length_does_not_matter(void **state)
{
	enum {
		N = 5000
	};
	struct event ev = question();
	char *text = calloc(1, N);

	(void)state;
	assert_non_null(text);
	ev.username.data = text;
	for (size_t n = 900; n < N; n += 37) {
		struct key key;

		ev.username.len = n;
		key = key_of(&ev);
		assert_true(same(key, key_of(&ev)));
		for (size_t at = 0; at < n; at += 191) {
			text[at] ^= 1;
			assert_false(same(key, key_of(&ev)));
			text[at] ^= 1;
		}
		text[n - 1] ^= 1;
		assert_false(same(key, key_of(&ev)));
		text[n - 1] ^= 1;
		ev.username.len = n - 1;
		assert_false(same(key, key_of(&ev)));
	}
	free(text);
}

/* ---- tags ---- */

static void the_same_name_has_the_same_tag(void **state)
{
	char copy[] = "client-1";

	(void)state;
	assert_true(codec_tag(bytes_of(copy), secret) ==
		    codec_tag(bytes_of("client-1"), secret));
}

static void names_and_secrets_differ_in_their_tags(void **state)
{
	const uint8_t other[16] = "0123456789abcdeg";
	uint64_t tag = codec_tag(bytes_of("client-1"), secret);
	char text[3000] = { 0 };

	(void)state;
	assert_false(tag == codec_tag(bytes_of("client-2"), secret));
	assert_false(tag == codec_tag(bytes_of("client-"), secret));
	assert_false(tag == codec_tag(bytes_of("client-1"), other));
	tag = codec_tag((struct bytes){ text, sizeof(text) }, secret);
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = 1;
		assert_false(tag ==
			     codec_tag((struct bytes){ text, sizeof(text) },
				       secret));
		text[i] = 0;
	}
}

static void only_what_is_absent_has_no_tag(void **state)
{
	(void)state;
	assert_true(codec_tag(bytes_of(NULL), secret) == 0);
	assert_false(codec_tag(bytes_of(""), secret) == 0);
}

static int start_sodium(void **state)
{
	(void)state;
	return sodium_init() < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_question_has_the_same_key),
		cmocka_unit_test(payload_and_port_do_not_count),
		cmocka_unit_test(every_other_field_counts),
		cmocka_unit_test(every_option_of_a_topic_counts),
		cmocka_unit_test(the_order_of_topics_counts),
		cmocka_unit_test(every_part_of_a_property_counts),
		cmocka_unit_test(every_part_of_a_listener_counts),
		cmocka_unit_test(each_counts_without_the_others),
		cmocka_unit_test(endpoint_and_secret_count),
		cmocka_unit_test(every_length_counts),
		cmocka_unit_test(no_field_runs_into_the_next),
		cmocka_unit_test(length_does_not_matter),
		cmocka_unit_test(the_same_name_has_the_same_tag),
		cmocka_unit_test(names_and_secrets_differ_in_their_tags),
		cmocka_unit_test(only_what_is_absent_has_no_tag),
	};

	return cmocka_run_group_tests(tests, start_sodium, NULL);
}
