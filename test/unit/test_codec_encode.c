#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/codec/codec.h"

static const struct codec_opts defaults = { .base64_payload = true };
static const struct codec_opts raw = { .base64_payload = false };
static const struct codec_opts no_payload = { .base64_payload = true,
					      .no_payload = true };

static void assert_body(const struct event *ev, const struct codec_opts *opts,
			const char *expected)
{
	char *body = NULL;
	size_t len = 0;

	assert_int_equal(codec_encode(ev, opts, &body, &len), 0);
	assert_string_equal(body, expected);
	assert_int_equal(len, strlen(expected));
	free(body);
}

/* The client of the examples in contract.md, section 18. */
static struct event event_of(enum hook_id hook)
{
	struct event ev = {
		.hook = hook,
		.peer_addr = bytes_of("192.0.2.7"),
		.peer_port = 51234,
		.mountpoint = bytes_of(""),
		.client_id = bytes_of("c1"),
		.username = bytes_of("u"),
		.password = bytes_of("pw"),
		.clean = true,
		.qos = 1,
		.topic = bytes_of("a/b"),
		.payload = bytes_of("hi"),
	};

	return ev;
}

/* What every body of a publish or delivery begins and ends with. */
#define UID "{\"username\":\"u\",\"mountpoint\":\"\",\"client_id\":\"c1\""
#define PEER                                                                   \
	"{\"peer_addr\":\"192.0.2.7\",\"peer_port\":51234,\"mountpoint\":"     \
	"\"\","                                                                \
	"\"client_id\":\"c1\",\"username\":\"u\""
#define MESSAGE                                                                \
	",\"qos\":1,\"topic\":\"a/b\",\"payload\":\"aGk=\",\"retain\":false"

static void logins_of_v3(void **state)
{
	struct event ev = event_of(HOOK_AUTH_ON_REGISTER);

	(void)state;
	assert_body(&ev, &defaults,
		    PEER ",\"password\":\"pw\",\"clean_session\":true}");
	ev.username = ev.password = bytes_of(NULL);
	ev.mountpoint = bytes_of("mp");
	ev.clean = false;
	assert_body(&ev, &defaults,
		    "{\"peer_addr\":\"192.0.2.7\",\"peer_port\":51234,"
		    "\"mountpoint\":\"mp\",\"client_id\":\"c1\","
		    "\"username\":null,\"password\":null,"
		    "\"clean_session\":false}");
}

static void logins_of_v5(void **state)
{
	const struct property properties[] = {
		{ .id = 38, .name = { "k1", 2 }, .text = { "v1", 2 } },
		{ .id = 17, .number = 60 },
		{ .id = 22, .text = { "\x01\x02\xff", 3 } },
		{ .id = 21, .text = { "M", 1 } },
		{ .id = 23, .number = 0 },
		{ .id = 38, .name = { "k1", 2 }, .text = { "v2", 2 } },
		{ .id = 25, .number = 1 },
		{ .id = 33, .number = 10 },
		{ .id = 34, .number = 3 },
		{ .id = 39, .number = 4294967295 },
	};
	struct event ev = event_of(HOOK_AUTH_ON_REGISTER_M5);

	(void)state;
	assert_body(&ev, &defaults,
		    PEER ",\"password\":\"pw\",\"clean_start\":true,"
			 "\"properties\":{}}");
	ev.properties = properties;
	ev.properties_count = 10;
	assert_body(&ev, &raw,
		    PEER ",\"password\":\"pw\",\"clean_start\":true,"
			 "\"properties\":{\"p_authentication_data\":\"AQL/\","
			 "\"p_authentication_method\":\"M\","
			 "\"p_max_packet_size\":4294967295,"
			 "\"p_receive_max\":10,"
			 "\"p_request_problem_info\":false,"
			 "\"p_request_response_info\":true,"
			 "\"p_session_expiry_interval\":60,"
			 "\"p_topic_alias_max\":3,\"p_user_property\":["
			 "{\"key\":\"azE=\",\"val\":\"djE=\"},"
			 "{\"key\":\"azE=\",\"val\":\"djI=\"}]}}");
}

static void a_listener_tells_of_itself(void **state)
{
	struct listener_info info = {
		.addr = bytes_of("0.0.0.0"),
		.type = bytes_of("mqtts"),
		.port = 8883,
		.has_listener = true,
		.client_cert = { "\x30\x82\x01", 3 },
	};
	struct event ev = event_of(HOOK_AUTH_ON_REGISTER);

	(void)state;
	ev.listener = &info;
	assert_body(&ev, &defaults,
		    PEER ",\"password\":\"pw\",\"clean_session\":true,"
			 "\"client_cert\":\"MIIB\","
			 "\"listener_addr\":\"0.0.0.0\","
			 "\"listener_port\":8883,\"listener_type\":\"mqtts\"}");
	assert_body(&ev, &raw,
		    PEER ",\"password\":\"pw\",\"clean_session\":true,"
			 "\"client_cert\":\"0\xef\xbf\xbd\\u0001\","
			 "\"listener_addr\":\"0.0.0.0\","
			 "\"listener_port\":8883,\"listener_type\":\"mqtts\"}");
	info.client_cert = bytes_of(NULL);
	info.addr = bytes_of("unix:/run/m.sock");
	info.type = bytes_of(NULL);
	info.port = -1;
	assert_body(&ev, &defaults,
		    PEER ",\"password\":\"pw\",\"clean_session\":true,"
			 "\"listener_addr\":\"local\","
			 "\"listener_port\":null,\"listener_type\":null}");
	info.cert_unknown = true;
	assert_body(&ev, &defaults,
		    PEER ",\"password\":\"pw\",\"clean_session\":true,"
			 "\"client_cert\":null,"
			 "\"listener_addr\":\"local\","
			 "\"listener_port\":null,\"listener_type\":null}");
	info.cert_unknown = false;
	info.has_listener = false;
	assert_body(&ev, &defaults,
		    PEER ",\"password\":\"pw\",\"clean_session\":true}");
}

static void registrations(void **state)
{
	const struct property assigned[] = {
		{ .id = 18, .text = { "anon-x", 6 } },
	};
	struct event ev = event_of(HOOK_ON_REGISTER);

	(void)state;
	assert_body(&ev, &defaults, PEER "}");
	ev = event_of(HOOK_ON_REGISTER_M5);
	ev.properties = assigned;
	ev.properties_count = 1;
	assert_body(&ev, &defaults,
		    PEER ",\"properties\":{\"p_assigned_client_id\":"
			 "\"anon-x\"}}");
}

static void publishes(void **state)
{
	struct event ev = event_of(HOOK_AUTH_ON_PUBLISH);

	(void)state;
	assert_body(&ev, &defaults, UID MESSAGE "}");
	ev = event_of(HOOK_ON_PUBLISH);
	assert_body(&ev, &defaults, UID MESSAGE "}");
	ev = event_of(HOOK_AUTH_ON_PUBLISH_M5);
	assert_body(&ev, &defaults, UID MESSAGE ",\"properties\":{}}");
	ev = event_of(HOOK_ON_PUBLISH_M5);
	assert_body(&ev, &defaults, UID MESSAGE ",\"properties\":{}}");
}

static void publish_properties(void **state)
{
	const struct property properties[] = {
		{ .id = 1, .number = 1 },
		{ .id = 2, .number = 30 },
		{ .id = 3, .text = { "text/plain", 10 } },
		{ .id = 8, .text = { "re/ply", 6 } },
		{ .id = 9, .text = { "co\0\xff", 4 } },
		{ .id = 11, .number = 5 },
		{ .id = 11, .number = 268435455 },
	};
	struct event ev = event_of(HOOK_ON_DELIVER_M5);

	(void)state;
	ev.properties = properties;
	ev.properties_count = 7;
	assert_body(&ev, &defaults,
		    UID MESSAGE
		    ",\"properties\":{\"p_content_type\":\"text/plain\","
		    "\"p_correlation_data\":\"co\\u0000\xef\xbf\xbd\","
		    "\"p_message_expiry_interval\":30,"
		    "\"p_payload_format_indicator\":\"utf8\","
		    "\"p_response_topic\":\"re/ply\","
		    "\"p_subscription_id\":[5,268435455]}}");
}

static void an_unspecified_format(void **state)
{
	const struct property properties[] = { { .id = 1, .number = 0 } };
	struct event ev = event_of(HOOK_ON_PUBLISH_M5);

	(void)state;
	ev.properties = properties;
	ev.properties_count = 1;
	assert_body(&ev, &defaults,
		    UID MESSAGE ",\"properties\":{"
				"\"p_payload_format_indicator\":"
				"\"unspecified\"}}");
}

static void an_unknown_property_is_left_out(void **state)
{
	const struct property properties[] = { { .id = 99, .number = 1 },
					       { .id = 5, .number = 1 },
					       { .id = -1, .number = 1 } };
	struct event ev = event_of(HOOK_ON_PUBLISH_M5);

	(void)state;
	ev.properties = properties;
	ev.properties_count = 3;
	assert_body(&ev, &defaults, UID MESSAGE ",\"properties\":{}}");
}

static void no_payload_is_for_the_auth_hooks(void **state)
{
	struct event ev = event_of(HOOK_AUTH_ON_PUBLISH);

	(void)state;
	ev.username = bytes_of(NULL);
	ev.retain = true;
	assert_body(&ev, &no_payload,
		    "{\"username\":null,\"mountpoint\":\"\","
		    "\"client_id\":\"c1\",\"qos\":1,\"topic\":\"a/b\","
		    "\"retain\":true}");
	ev = event_of(HOOK_AUTH_ON_PUBLISH_M5);
	assert_body(&ev, &no_payload,
		    UID ",\"qos\":1,\"topic\":\"a/b\",\"retain\":false,"
			"\"properties\":{}}");
	ev = event_of(HOOK_ON_PUBLISH);
	assert_body(&ev, &no_payload, UID MESSAGE "}");
	ev = event_of(HOOK_ON_DELIVER);
	assert_body(&ev, &no_payload, UID MESSAGE ",\"properties\":{}}");
	ev = event_of(HOOK_ON_OFFLINE_MESSAGE);
	assert_body(&ev, &no_payload,
		    "{\"mountpoint\":\"\",\"client_id\":\"c1\"" MESSAGE "}");
}

static void a_raw_payload_is_a_string(void **state)
{
	struct event ev = event_of(HOOK_ON_PUBLISH);

	(void)state;
	ev.payload = (struct bytes){ "a\xff\n\"\0", 5 };
	assert_body(&ev, &raw,
		    UID ",\"qos\":1,\"topic\":\"a/b\","
			"\"payload\":\"a\xef\xbf\xbd\\n\\\"\\u0000\","
			"\"retain\":false}");
	ev.payload = bytes_of(NULL);
	assert_body(&ev, &raw,
		    UID ",\"qos\":1,\"topic\":\"a/b\",\"payload\":\"\","
			"\"retain\":false}");
}

static void subscriptions(void **state)
{
	const struct topic plain[] = {
		{ .filter = { "b/#", 3 }, .qos = 1 },
		{ .filter = { "a", 1 }, .qos = 128 },
	};
	const struct topic rich[] = {
		{ .filter = { "b/#", 3 },
		  .qos = 1,
		  .has_options = true,
		  .rap = true,
		  .retain_handling = RETAIN_SEND_IF_NEW },
		{ .filter = { "c", 1 },
		  .qos = 0,
		  .has_options = true,
		  .no_local = true,
		  .retain_handling = RETAIN_DONT_SEND },
		{ .filter = { "d", 1 }, .qos = 2, .has_options = true },
	};
	const struct property id[] = { { .id = 11, .number = 7 } };
	struct event ev = event_of(HOOK_AUTH_ON_SUBSCRIBE);

	(void)state;
	ev.topics = plain;
	ev.topics_count = 2;
	assert_body(&ev, &defaults,
		    UID ",\"topics\":[{\"topic\":\"b/#\",\"qos\":1},"
			"{\"topic\":\"a\",\"qos\":128}]}");
	ev.hook = HOOK_ON_SUBSCRIBE;
	ev.topics_count = 0;
	assert_body(&ev, &defaults, UID ",\"topics\":[]}");
	ev.hook = HOOK_ON_SUBSCRIBE_M5;
	ev.topics = rich;
	ev.topics_count = 3;
	ev.properties = id;
	ev.properties_count = 1;
	assert_body(&ev, &defaults,
		    UID ",\"topics\":[{\"topic\":\"b/#\",\"qos\":1,"
			"\"no_local\":false,\"rap\":true,"
			"\"retain_handling\":\"send_if_new_sub\"},"
			"{\"topic\":\"c\",\"qos\":0,\"no_local\":true,"
			"\"rap\":false,\"retain_handling\":\"dont_send\"},"
			"{\"topic\":\"d\",\"qos\":2,\"no_local\":false,"
			"\"rap\":false,\"retain_handling\":\"send_retain\"}],"
			"\"properties\":{\"p_subscription_id\":[7]}}");
}

static void unsubscriptions(void **state)
{
	const struct topic topics[] = { { .filter = { "b", 1 } },
					{ .filter = { "a/+", 3 } } };
	struct event ev = event_of(HOOK_ON_UNSUBSCRIBE);

	(void)state;
	ev.topics = topics;
	ev.topics_count = 2;
	assert_body(&ev, &defaults, UID ",\"topics\":[\"b\",\"a/+\"]}");
	ev.hook = HOOK_ON_UNSUBSCRIBE_M5;
	assert_body(&ev, &defaults,
		    UID ",\"topics\":[\"b\",\"a/+\"],\"properties\":{}}");
}

static void sessions(void **state)
{
	static const enum hook_id hooks[] = {
		HOOK_ON_CLIENT_WAKEUP,
		HOOK_ON_CLIENT_OFFLINE,
		HOOK_ON_CLIENT_GONE,
		HOOK_ON_SESSION_EXPIRED,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++) {
		struct event ev = event_of(hooks[i]);

		assert_body(&ev, &defaults,
			    "{\"mountpoint\":\"\",\"client_id\":\"c1\"}");
	}
}

static void enhanced_authentication(void **state)
{
	const struct property properties[] = {
		{ .id = 21, .text = { "M", 1 } },
		{ .id = 22, .text = { "\x01\x02\xff", 3 } },
	};
	struct event ev = event_of(HOOK_ON_AUTH_M5);

	(void)state;
	ev.properties = properties;
	ev.properties_count = 2;
	assert_body(&ev, &defaults,
		    UID ",\"properties\":{\"p_authentication_data\":\"AQL/\","
			"\"p_authentication_method\":\"M\"}}");
}

static void bad_text_of_a_client(void **state)
{
	struct event ev = event_of(HOOK_AUTH_ON_REGISTER);

	(void)state;
	ev.username = (struct bytes){ "caf\xe9", 4 };
	ev.password = (struct bytes){ "a\0\xff", 3 };
	assert_body(&ev, &defaults,
		    "{\"peer_addr\":\"192.0.2.7\",\"peer_port\":51234,"
		    "\"mountpoint\":\"\",\"client_id\":\"c1\","
		    "\"username\":\"caf\xef\xbf\xbd\","
		    "\"password\":\"a\\u0000\xef\xbf\xbd\","
		    "\"clean_session\":true}");
}

/* VerneMQ's mountpoints are lists of characters, written as bytes. */
static void a_mountpoint_beyond_ascii(void **state)
{
	static const struct {
		const char *mountpoint, *sent;
	} cases[] = {
		{ "caf\xc3\xa9 \xc3\xbf", "caf\xef\xbf\xbd \xef\xbf\xbd" },
		{ "a\xc2\x80\xc2\x9f"
		  "b",
		  "a\xef\xbf\xbd\xef\xbf\xbd"
		  "b" },
		/* two characters that happen to be one in UTF-8 */
		{ "\xc3\x83\xc2\xa9", "\xc3\xa9" },
		/* what VerneMQ cannot send at all is sent as it is */
		{ "m\xe2\x82\xac", "m\xe2\x82\xac" },
		{ "\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct event ev = event_of(HOOK_ON_CLIENT_GONE);
		char expected[100];

		ev.mountpoint = bytes_of(cases[i].mountpoint);
		snprintf(expected, sizeof(expected),
			 "{\"mountpoint\":\"%s\",\"client_id\":\"c1\"}",
			 cases[i].sent);
		assert_body(&ev, &defaults, expected);
	}
}

static void texts_that_are_never_null(void **state)
{
	struct event ev = { .hook = HOOK_ON_CLIENT_GONE };

	(void)state;
	assert_body(&ev, &defaults, "{\"mountpoint\":\"\",\"client_id\":\"\"}");
}

static void a_large_payload(void **state)
{
	enum {
		N = 3 * 1024 * 1024
	};
	struct event ev = event_of(HOOK_ON_PUBLISH);
	char *payload = calloc(1, N), *body;
	size_t len;

	(void)state;
	assert_non_null(payload);
	ev.payload = (struct bytes){ payload, N };
	assert_int_equal(codec_encode(&ev, &defaults, &body, &len), 0);
	assert_int_equal(len, strlen(UID MESSAGE "}") - 4 + N / 3 * 4);
	free(body);
	assert_int_equal(codec_encode(&ev, &raw, &body, &len), 0);
	assert_int_equal(len, strlen(UID MESSAGE "}") - 4 + N * 6);
	free(body);
	free(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logins_of_v3),
		cmocka_unit_test(logins_of_v5),
		cmocka_unit_test(a_listener_tells_of_itself),
		cmocka_unit_test(registrations),
		cmocka_unit_test(publishes),
		cmocka_unit_test(publish_properties),
		cmocka_unit_test(an_unspecified_format),
		cmocka_unit_test(an_unknown_property_is_left_out),
		cmocka_unit_test(no_payload_is_for_the_auth_hooks),
		cmocka_unit_test(a_raw_payload_is_a_string),
		cmocka_unit_test(subscriptions),
		cmocka_unit_test(unsubscriptions),
		cmocka_unit_test(sessions),
		cmocka_unit_test(enhanced_authentication),
		cmocka_unit_test(bad_text_of_a_client),
		cmocka_unit_test(a_mountpoint_beyond_ascii),
		cmocka_unit_test(texts_that_are_never_null),
		cmocka_unit_test(a_large_payload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
