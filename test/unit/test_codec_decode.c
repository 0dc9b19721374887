#include <errno.h>
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

static char error[CODEC_ERROR_LEN];

/* Decode a copy without a NUL behind it. */
static int decode(enum hook_id hook, const struct codec_opts *opts,
		  const char *body, size_t len, const struct verdict **ret)
{
	char *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, body, len);
	error[0] = '\0';
	err = codec_decode(hook, opts, copy, len, ret, error);
	free(copy);
	return err;
}

static const struct verdict *decided(enum hook_id hook, const char *body)
{
	const struct verdict *v = NULL;

	if (decode(hook, &defaults, body, strlen(body), &v) != 0)
		fail_msg("%s: %s", body, error);
	return v;
}

/* Ok with the modifiers `text`. */
static const struct verdict *modified(enum hook_id hook, const char *text)
{
	char body[8192];
	const struct verdict *v;

	snprintf(body, sizeof(body), "{\"result\":\"ok\",\"modifiers\":%s}",
		 text);
	v = decided(hook, body);
	assert_int_equal(v->decision, DECISION_OK);
	return v;
}

/* Refused, and `word` is in the error. */
static void assert_malformed(enum hook_id hook, const char *body,
			     const char *word)
{
	const struct verdict *v = NULL;
	int err = decode(hook, &defaults, body, strlen(body), &v);

	if (err != -EBADMSG)
		fail_msg("taken: %s", body);
	assert_null(v);
	if (!strstr(error, word))
		fail_msg("%s: %s", body, error);
}

static void assert_refused(enum hook_id hook, const char *text,
			   const char *word)
{
	char body[8192];

	snprintf(body, sizeof(body), "{\"result\":\"ok\",\"modifiers\":%s}",
		 text);
	assert_malformed(hook, body, word);
}

static void assert_number(enum hook_id hook, const char *text, enum modifier id,
			  int64_t number)
{
	const struct verdict *v = modified(hook, text);

	if (!verdict_get(v, id) || verdict_get(v, id)->number != number)
		fail_msg("%s", text);
	assert_int_equal(v->given, 1u << id);
	verdict_unref(v);
}

static void assert_text_with(enum hook_id hook, const struct codec_opts *opts,
			     const char *body, enum modifier id,
			     const char *text, size_t len)
{
	const struct verdict *v = NULL;

	if (decode(hook, opts, body, strlen(body), &v) != 0)
		fail_msg("%s: %s", body, error);
	assert_non_null(verdict_get(v, id));
	assert_int_equal(verdict_get(v, id)->text.len, len);
	assert_memory_equal(verdict_get(v, id)->text.data, text, len + 1);
	verdict_unref(v);
}

static void assert_text(enum hook_id hook, const char *text, enum modifier id,
			const char *expected)
{
	char body[4096];

	snprintf(body, sizeof(body), "{\"result\":\"ok\",\"modifiers\":%s}",
		 text);
	assert_text_with(hook, &defaults, body, id, expected, strlen(expected));
}

/* Ok, and nothing is to be changed. */
static void assert_plain_ok(enum hook_id hook, const char *body)
{
	const struct verdict *v = decided(hook, body);

	assert_int_equal(v->decision, DECISION_OK);
	assert_int_equal(v->given, 0);
	verdict_unref(v);
}

/* ---- results ---- */

static void ok_and_next(void **state)
{
	const struct verdict *v;

	(void)state;
	assert_plain_ok(HOOK_AUTH_ON_PUBLISH, "{\"result\":\"ok\"}");
	assert_plain_ok(HOOK_AUTH_ON_PUBLISH,
			"\xef\xbb\xbf {\"x\":1,\"\\u0072esult\":\"\\u006fk\"}");
	v = decided(HOOK_AUTH_ON_PUBLISH,
		    "{\"result\":\"next\",\"modifiers\":{\"topic\":1}}");
	assert_int_equal(v->decision, DECISION_NEXT);
	assert_int_equal(v->given, 0);
	verdict_unref(v);
}

static void the_first_result_counts(void **state)
{
	const struct verdict *v =
		decided(HOOK_AUTH_ON_PUBLISH,
			"{\"result\":\"next\",\"result\":\"ok\"}");

	(void)state;
	assert_int_equal(v->decision, DECISION_NEXT);
	verdict_unref(v);
}

static void a_denial_says_why(void **state)
{
	static const struct {
		const char *result, *reason;
	} cases[] = {
		{ "{\"error\":\"not_allowed\"}", "not_allowed" },
		{ "{\"error\":\"a\",\"error\":\"b\"}", "a" },
		{ "{\"error\":\"\"}", "" },
		{ "{\"error\":\"two\\nlines\\u0000\"}", "two?lines??" },
		{ "{\"error\":135}", "135" },
		{ "{\"error\":null}", "null" },
		{ "{\"error\":true}", "true" },
		{ "{\"error\":{\"reason_code\":\"banned\"}}",
		  "{\"reason_code\":\"banned\"}" },
		{ "{\"error\":[\"a\"]}", "[\"a\"]" },
		{ "{\"reason\":\"x\"}", "unknown_error" },
		{ "{}", "unknown_error" },
		{ "[]", "unknown_error" },
		{ "[{\"error\":\"x\"}]", "unknown_error" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct verdict *v;
		char body[200];

		snprintf(body, sizeof(body), "{\"result\":%s}",
			 cases[i].result);
		v = decided(HOOK_AUTH_ON_REGISTER, body);
		assert_int_equal(v->decision, DECISION_DENY);
		assert_string_equal(v->reason.data, cases[i].reason);
		verdict_unref(v);
	}
}

static void a_long_reason_is_cut(void **state)
{
	char body[2000] = "{\"result\":{\"error\":\"";
	const struct verdict *v;
	size_t n = strlen(body);

	(void)state;
	memset(body + n, 'x', 1000);
	memcpy(body + n + 1000, "\"}}", 4);
	v = decided(HOOK_AUTH_ON_REGISTER, body);
	assert_int_equal(v->decision, DECISION_DENY);
	assert_int_equal(v->reason.len, 255);
	verdict_unref(v);
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const results[] = {
		"null",    "true",      "false",           "0",
		"1",       "\"\"",      "\"OK\"",          "\"Ok\"",
		"\"ok \"", "\"error\"", "\"not_allowed\"", "\"ok\\u0000\"",
		"1.5",
	};
	static const char *const bodies[] = { "[]",
					      "[{\"result\":\"ok\"}]",
					      "\"ok\"",
					      "1",
					      "null",
					      "true",
					      "{}",
					      "{\"Result\":\"ok\"}",
					      "{\"error\":\"x\"}",
					      "{\"result\\u0000\":\"ok\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
		char body[100];

		snprintf(body, sizeof(body), "{\"result\":%s}", results[i]);
		assert_malformed(HOOK_AUTH_ON_PUBLISH, body, "result");
	}
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
		assert_malformed(HOOK_AUTH_ON_PUBLISH, bodies[i], "reply");
}

static void what_is_not_json_is_refused(void **state)
{
	(void)state;
	assert_malformed(HOOK_AUTH_ON_PUBLISH, "", "empty body");
	assert_malformed(HOOK_AUTH_ON_PUBLISH, "{'result':'ok'}", "at byte 1");
	assert_malformed(HOOK_AUTH_ON_PUBLISH, "{\"result\":\"ok\",}",
			 "at byte 15");
	assert_malformed(HOOK_AUTH_ON_PUBLISH, "{\"result\":\"ok\"} x",
			 "at byte 16");
}

static void an_error_does_not_break_the_log(void **state)
{
	char body[4096];
	size_t n;

	(void)state;
	assert_malformed(HOOK_AUTH_ON_PUBLISH,
			 "{\"result\":\"x\\ny\\u001b[0m\"}", "x?y?[0m");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"evil\\r\\nname\":1}",
		       "evil??name");
	n = (size_t)snprintf(body, sizeof(body), "{\"result\":\"");
	memset(body + n, 'y', 1500);
	memcpy(body + n + 1500, "\"}", 3);
	assert_malformed(HOOK_AUTH_ON_PUBLISH, body, "yyyy");
	assert_true(strlen(error) < 120);
}

/* ---- modifiers ---- */

static void none_has_many_forms(void **state)
{
	static const char *const none[] = { "{}", "[]", "null" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		char body[200];

		snprintf(body, sizeof(body),
			 "{\"result\":\"ok\",\"modifiers\":%s}", none[i]);
		assert_plain_ok(HOOK_AUTH_ON_REGISTER, body);
		assert_plain_ok(HOOK_ON_AUTH_M5, body);
		snprintf(body, sizeof(body),
			 "{\"result\":\"ok\",\"topics\":%s}", none[i]);
		assert_plain_ok(HOOK_AUTH_ON_SUBSCRIBE, body);
		assert_plain_ok(HOOK_ON_UNSUBSCRIBE, body);
		snprintf(body, sizeof(body),
			 "{\"result\":\"ok\",\"modifiers\":{\"topics\":%s}}",
			 none[i]);
		assert_plain_ok(HOOK_ON_UNSUBSCRIBE_M5, body);
		snprintf(body, sizeof(body),
			 "{\"result\":\"ok\",\"modifiers\":"
			 "{\"properties\":%s}}",
			 none[i]);
		assert_plain_ok(HOOK_AUTH_ON_PUBLISH_M5, body);
	}
}

static void modifiers_are_an_object(void **state)
{
	(void)state;
	assert_refused(HOOK_AUTH_ON_REGISTER, "\"x\"", "modifiers");
	assert_refused(HOOK_AUTH_ON_REGISTER, "1", "modifiers");
	assert_refused(HOOK_AUTH_ON_REGISTER, "true", "modifiers");
	assert_refused(HOOK_AUTH_ON_REGISTER, "[{}]", "modifiers");
	assert_refused(HOOK_AUTH_ON_REGISTER, "[{\"username\":\"a\"}]",
		       "modifiers");
}

static void of_several_the_last_counts(void **state)
{
	(void)state;
	assert_text(HOOK_AUTH_ON_REGISTER,
		    "{\"username\":\"a\",\"username\":\"b\"}",
		    MODIFIER_USERNAME, "b");
	/* whatever the first is */
	assert_number(HOOK_AUTH_ON_REGISTER,
		      "{\"max_message_rate\":\"x\",\"max_message_rate\":1}",
		      MODIFIER_MAX_MESSAGE_RATE, 1);
	assert_refused(HOOK_AUTH_ON_REGISTER,
		       "{\"max_message_rate\":1,\"max_message_rate\":\"x\"}",
		       "max_message_rate");
}

static void an_unknown_modifier_is_named(void **state)
{
	(void)state;
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"bogus_zz\":1}", "bogus_zz");
	assert_refused(HOOK_AUTH_ON_REGISTER,
		       "{\"username\":\"a\",\"password\":\"b\"}", "password");
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"Username\":\"a\"}",
		       "Username");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"username\":\"a\"}",
		       "username");
	assert_refused(HOOK_ON_DELIVER, "{\"qos\":1}", "qos");
	assert_refused(HOOK_AUTH_ON_SUBSCRIBE_M5,
		       "{\"properties\":{\"p_user_property\":[]}}",
		       "properties");
}

static void booleans(void **state)
{
	(void)state;
	assert_number(HOOK_AUTH_ON_PUBLISH, "{\"retain\":true}",
		      MODIFIER_RETAIN, 1);
	assert_number(HOOK_AUTH_ON_PUBLISH, "{\"retain\":false}",
		      MODIFIER_RETAIN, 0);
	assert_number(HOOK_AUTH_ON_REGISTER, "{\"allow_publish\":false}",
		      MODIFIER_ALLOW_PUBLISH, 0);
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"retain\":1}", "retain");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"retain\":\"true\"}", "retain");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"retain\":null}", "retain");
}

static void numbers_are_rounded_within_their_range(void **state)
{
	(void)state;
	assert_number(HOOK_AUTH_ON_PUBLISH, "{\"qos\":0}", MODIFIER_QOS, 0);
	assert_number(HOOK_AUTH_ON_PUBLISH, "{\"qos\":1.6}", MODIFIER_QOS, 2);
	assert_number(HOOK_AUTH_ON_PUBLISH, "{\"qos\":0.4}", MODIFIER_QOS, 0);
	assert_number(HOOK_AUTH_ON_PUBLISH, "{\"qos\":2.0}", MODIFIER_QOS, 2);
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"qos\":2.4}", "qos");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"qos\":3}", "qos");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"qos\":-1}", "qos");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"qos\":128}", "qos");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"qos\":\"1\"}", "qos");
	assert_number(HOOK_AUTH_ON_REGISTER,
		      "{\"max_message_size\":4294967296}",
		      MODIFIER_MAX_MESSAGE_SIZE, 4294967296);
	assert_number(HOOK_AUTH_ON_REGISTER, "{\"max_message_size\":0}",
		      MODIFIER_MAX_MESSAGE_SIZE, 0);
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"max_message_size\":-1}",
		       "max_message_size");
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"max_message_size\":1e300}",
		       "max_message_size");
	assert_refused(HOOK_AUTH_ON_REGISTER_M5,
		       "{\"max_connection_lifetime\":-1}",
		       "max_connection_lifetime");
	assert_number(HOOK_AUTH_ON_REGISTER, "{\"max_online_messages\":-1}",
		      MODIFIER_MAX_ONLINE_MESSAGES, -1);
	assert_number(HOOK_ON_AUTH_M5, "{\"reason_code\":-1}",
		      MODIFIER_REASON_CODE, -1);
}

static void a_throttle_of_v3_is_positive(void **state)
{
	(void)state;
	assert_number(HOOK_AUTH_ON_PUBLISH, "{\"throttle\":1}",
		      MODIFIER_THROTTLE, 1);
	assert_number(HOOK_AUTH_ON_PUBLISH_M5, "{\"throttle\":0}",
		      MODIFIER_THROTTLE, 0);
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"throttle\":0}", "throttle");
	assert_refused(HOOK_AUTH_ON_PUBLISH_M5, "{\"throttle\":-1}",
		       "throttle");
}

static void words(void **state)
{
	(void)state;
	assert_text(HOOK_AUTH_ON_REGISTER, "{\"queue_type\":\"lifo\"}",
		    MODIFIER_QUEUE_TYPE, "lifo");
	assert_text(HOOK_AUTH_ON_REGISTER_M5,
		    "{\"shared_subscription_policy\":\"local_only\"}",
		    MODIFIER_SHARED_SUBSCRIPTION_POLICY, "local_only");
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"queue_type\":\"heap\"}",
		       "heap");
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"queue_type\":1}",
		       "queue_type");
}

static void strings(void **state)
{
	(void)state;
	assert_text(HOOK_AUTH_ON_REGISTER,
		    "{\"username\":\"caf\\u00e9 \xf0\x9f\x98\x80\"}",
		    MODIFIER_USERNAME, "caf\xc3\xa9 \xf0\x9f\x98\x80");
	assert_text(HOOK_AUTH_ON_REGISTER, "{\"username\":\"\"}",
		    MODIFIER_USERNAME, "");
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"username\":\"a\\u0000b\"}",
		       "username");
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"username\":null}",
		       "username");
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"username\":[\"a\"]}",
		       "username");
}

static void a_subscriber_has_two_parts(void **state)
{
	const struct verdict *v =
		modified(HOOK_AUTH_ON_REGISTER,
			 "{\"mountpoint\":\"mp\",\"client_id\":\"new\"}");

	(void)state;
	assert_string_equal(verdict_get(v, MODIFIER_CLIENT_ID)->text.data,
			    "new");
	assert_string_equal(verdict_get(v, MODIFIER_MOUNTPOINT)->text.data,
			    "mp");
	verdict_unref(v);
	assert_refused(HOOK_AUTH_ON_REGISTER, "{\"client_id\":\"new\"}",
		       "mountpoint");
	assert_refused(HOOK_AUTH_ON_REGISTER_M5, "{\"mountpoint\":\"mp\"}",
		       "client_id");
	assert_refused(HOOK_AUTH_ON_REGISTER,
		       "{\"client_id\":\"new\",\"mountpoint\":null}",
		       "mountpoint");
	/* a publish goes to a mountpoint alone */
	assert_text(HOOK_AUTH_ON_PUBLISH, "{\"mountpoint\":\"mp\"}",
		    MODIFIER_MOUNTPOINT, "mp");
	assert_refused(HOOK_AUTH_ON_PUBLISH,
		       "{\"mountpoint\":\"mp\",\"client_id\":\"c\"}",
		       "client_id");
}

static void topics_to_publish_to(void **state)
{
	(void)state;
	assert_text(HOOK_AUTH_ON_PUBLISH, "{\"topic\":\"x/y\"}", MODIFIER_TOPIC,
		    "x/y");
	assert_text(HOOK_ON_DELIVER_M5, "{\"topic\":\"/\"}", MODIFIER_TOPIC,
		    "/");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"topic\":\"a/#\"}", "topic");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"topic\":\"\"}", "topic");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"topic\":\"a\\u0000b\"}",
		       "topic");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"topic\":\"$SYS/x\"}", "topic");
	assert_refused(HOOK_ON_DELIVER, "{\"topic\":\"$CONTROL/x\"}", "topic");
	assert_refused(HOOK_AUTH_ON_PUBLISH_M5, "{\"topic\":\"$share/g/t\"}",
		       "topic");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"topic\":[\"a\"]}", "topic");
	assert_refused(HOOK_AUTH_ON_PUBLISH,
		       "{\"topic\":\"a/b/c/d/e/f/g/h/i/j/k\"}", "topic");
}

static void payloads_in_base64(void **state)
{
	static const struct {
		const char *text, *bytes;
		size_t len;
	} good[] = {
		{ "", "", 0 },
		{ "aGk=", "hi", 2 },
		{ "/w==", "\xff", 1 },
		{ "AAEC", "\0\1\2", 3 },
		{ " aG\\nk\\t=\\r ", "hi", 2 },
		{ "aGl=", "hi", 2 }, /* stray bits, as VerneMQ */
	};
	static const char *const bad[] = {
		"aGk",   "aG",       "a",    "=",           "====",
		"aGk=x", "aGk==",    "a_-b", "plain!",      "new payload",
		"aG=k",  "aGk=aGk=", "a===", "a\\u0000Gk=", "caf\xc3\xa9",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		char body[200];

		snprintf(body, sizeof(body),
			 "{\"result\":\"ok\",\"modifiers\":{\"payload\":"
			 "\"%s\"}}",
			 good[i].text);
		assert_text_with(HOOK_AUTH_ON_PUBLISH, &defaults, body,
				 MODIFIER_PAYLOAD, good[i].bytes, good[i].len);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char text[100];

		snprintf(text, sizeof(text), "{\"payload\":\"%s\"}", bad[i]);
		assert_refused(HOOK_AUTH_ON_PUBLISH, text, "payload");
	}
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"payload\":[]}", "payload");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"payload\":1}", "payload");
}

static void payloads_as_they_are(void **state)
{
	(void)state;
	assert_text_with(HOOK_AUTH_ON_PUBLISH, &raw,
			 "{\"result\":\"ok\",\"modifiers\":{\"payload\":"
			 "\"aGk= \\n\"}}",
			 MODIFIER_PAYLOAD, "aGk= \n", 6);
	/* a payload is no C string */
	assert_text_with(HOOK_AUTH_ON_PUBLISH, &raw,
			 "{\"result\":\"ok\",\"modifiers\":{\"payload\":"
			 "\"\\u0000a\\\\u0000\\u0000\\u0000b\"}}",
			 MODIFIER_PAYLOAD, "\0a\\u0000\0\0b", 11);
}

static void nul_where_nobody_looks_is_harmless(void **state)
{
	(void)state;
	assert_plain_ok(HOOK_AUTH_ON_PUBLISH,
			"{\"x\\u0000y\":\"a\\u0000\",\"result\":\"ok\"}");
}

/* ---- properties ---- */

static const struct verdict *with_properties(enum hook_id hook,
					     const char *text)
{
	char body[4096];

	snprintf(body, sizeof(body), "{\"properties\":%s}", text);
	return modified(hook, body);
}

static void assert_bad_property(enum hook_id hook, const char *text,
				const char *word)
{
	char body[4096];

	snprintf(body, sizeof(body), "{\"properties\":%s}", text);
	assert_refused(hook, body, word);
}

static void properties_of_a_publish(void **state)
{
	const struct verdict *v = with_properties(
		HOOK_AUTH_ON_PUBLISH_M5,
		"{\"p_message_expiry_interval\":1.6,"
		"\"p_payload_format_indicator\":\"utf8\","
		"\"p_content_type\":\"text\",\"p_response_topic\":\"re/ply\","
		"\"p_correlation_data\":\"a\\u0000b\","
		"\"p_will_delay_interval\":4294967295,"
		"\"p_user_property\":[{\"key\":\"aw==\",\"val\":\"dg==\"},"
		"{\"x\":1,\"val\":\"\",\"key\":\"aw==\"}]}");
	const struct property *p = v->properties;

	(void)state;
	assert_int_equal(v->given, 1u << MODIFIER_PROPERTIES);
	assert_int_equal(v->properties_count, 8);
	assert_int_equal(p[0].id, 2);
	assert_int_equal(p[0].number, 2);
	assert_int_equal(p[1].id, 1);
	assert_int_equal(p[1].number, 1);
	assert_int_equal(p[2].id, 3);
	assert_string_equal(p[2].text.data, "text");
	assert_int_equal(p[3].id, 8);
	assert_int_equal(p[4].id, 9);
	assert_int_equal(p[4].text.len, 3);
	assert_memory_equal(p[4].text.data, "a\0b", 4);
	assert_int_equal(p[5].number, 4294967295);
	assert_int_equal(p[6].id, 38);
	assert_string_equal(p[6].name.data, "k");
	assert_string_equal(p[6].text.data, "v");
	/* by name, and what else an item has does not matter */
	assert_string_equal(p[7].name.data, "k");
	assert_string_equal(p[7].text.data, "");
	verdict_unref(v);
}

static void the_format_has_three_names(void **state)
{
	static const char *const names[] = { "undefined", "unspecified" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		char text[100];
		const struct verdict *v;

		snprintf(text, sizeof(text),
			 "{\"p_payload_format_indicator\":\"%s\"}", names[i]);
		v = with_properties(HOOK_ON_DELIVER_M5, text);
		assert_int_equal(v->properties_count, 1);
		assert_int_equal(v->properties[0].number, 0);
		verdict_unref(v);
	}
	assert_bad_property(HOOK_ON_DELIVER_M5,
			    "{\"p_payload_format_indicator\":\"utf16\"}",
			    "p_payload_format_indicator");
	assert_bad_property(HOOK_ON_DELIVER_M5,
			    "{\"p_payload_format_indicator\":1}",
			    "p_payload_format_indicator");
}

static void no_user_properties_replace_all(void **state)
{
	static const char *const none[] = { "[]", "{}", "null" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		char text[100];
		const struct verdict *v;

		snprintf(text, sizeof(text), "{\"p_user_property\":%s}",
			 none[i]);
		v = with_properties(HOOK_AUTH_ON_PUBLISH_M5, text);
		assert_true(verdict_has(v, MODIFIER_PROPERTIES));
		assert_int_equal(v->properties_count, 0);
		verdict_unref(v);
	}
}

static void a_user_property_has_two_parts(void **state)
{
	static const char *const bad[] = {
		"[1]",
		"[{}]",
		"[null]",
		"[[\"aw==\",\"dg==\"]]",
		"[{\"key\":\"aw==\"}]",
		"[{\"val\":\"aw==\"}]",
		"[{\"name\":\"aw==\",\"value\":\"dg==\"}]",
		"[{\"key\":1,\"val\":\"dg==\"}]",
		"[{\"key\":\"aw==\",\"val\":null}]",
		"{\"k\":\"v\"}",
		"\"x\"",
		"1",
		"true",
		/* no base64; a NUL; no UTF-8 */
		"[{\"key\":\"k1\",\"val\":\"v1\"}]",
		"[{\"key\":\"aw==\",\"val\":\"dg\"}]",
		"[{\"key\":\"AGE=\",\"val\":\"dg==\"}]",
		"[{\"key\":\"aw==\",\"val\":\"/w==\"}]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char text[200];

		snprintf(text, sizeof(text), "{\"p_user_property\":%s}",
			 bad[i]);
		assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5, text,
				    "p_user_property");
	}
}

static void properties_have_their_hooks(void **state)
{
	(void)state;
	assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5,
			    "{\"p_session_expiry_interval\":1}",
			    "p_session_expiry_interval");
	assert_bad_property(HOOK_ON_DELIVER_M5,
			    "{\"p_message_expiry_interval\":1}",
			    "p_message_expiry_interval");
	assert_bad_property(HOOK_AUTH_ON_REGISTER_M5,
			    "{\"p_content_type\":\"x\"}", "p_content_type");
	assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5, "{\"content_type\":\"x\"}",
			    "content_type");
	assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5,
			    "{\"p_subscription_id\":[1]}", "p_subscription_id");
	assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5, "[1]", "properties");
	assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5, "\"x\"", "properties");
	assert_refused(HOOK_AUTH_ON_PUBLISH, "{\"properties\":{}}",
		       "properties");
}

static void properties_have_their_limits(void **state)
{
	(void)state;
	assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5,
			    "{\"p_message_expiry_interval\":4294967296}",
			    "p_message_expiry_interval");
	assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5,
			    "{\"p_message_expiry_interval\":-1}",
			    "p_message_expiry_interval");
	assert_bad_property(HOOK_AUTH_ON_REGISTER_M5,
			    "{\"p_session_expiry_interval\":-1}",
			    "p_session_expiry_interval");
	assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5,
			    "{\"p_response_topic\":\"a/#\"}",
			    "p_response_topic");
	assert_bad_property(HOOK_AUTH_ON_PUBLISH_M5,
			    "{\"p_content_type\":\"a\\u0000\"}",
			    "p_content_type");
	/* nobody publishes to a response topic through us */
	verdict_unref(with_properties(HOOK_AUTH_ON_PUBLISH_M5,
				      "{\"p_response_topic\":\"$SYS/x\"}"));
}

static void enhanced_authentication(void **state)
{
	const struct verdict *v = modified(
		HOOK_ON_AUTH_M5, "{\"reason_code\":24,\"properties\":{"
				 "\"p_authentication_method\":\"M\","
				 "\"p_authentication_data\":\"AAH/\"}}");

	(void)state;
	assert_int_equal(verdict_get(v, MODIFIER_REASON_CODE)->number, 24);
	assert_int_equal(v->properties_count, 2);
	assert_int_equal(v->properties[1].id, 22);
	assert_int_equal(v->properties[1].text.len, 3);
	assert_memory_equal(v->properties[1].text.data, "\0\1\xff", 3);
	verdict_unref(v);
	assert_bad_property(HOOK_ON_AUTH_M5,
			    "{\"p_authentication_data\":\"x\"}",
			    "p_authentication_data");
	assert_bad_property(HOOK_ON_AUTH_M5, "{\"p_authentication_data\":[]}",
			    "p_authentication_data");
}

/* ---- subscriptions ---- */

static void subscriptions_of_v3(void **state)
{
	const struct verdict *v = decided(
		HOOK_AUTH_ON_SUBSCRIBE,
		"{\"result\":\"ok\",\"topics\":[{\"topic\":\"x/#\",\"qos\":2,"
		"\"no_local\":\"ignored\"},{\"qos\":128,\"topic\":\"y\"},"
		"{\"topic\":\"$share/g/z\",\"qos\":-1}],\"modifiers\":1}");

	(void)state;
	assert_int_equal(v->given, 1u << MODIFIER_TOPICS);
	assert_int_equal(v->topics_count, 3);
	assert_string_equal(v->topics[0].filter.data, "x/#");
	assert_int_equal(v->topics[0].qos, 2);
	assert_false(v->topics[0].has_options);
	assert_int_equal(v->topics[1].qos, 128);
	assert_int_equal(v->topics[2].qos, -1);
	verdict_unref(v);
	/* where the other version has them, they are not looked at */
	assert_plain_ok(HOOK_AUTH_ON_SUBSCRIBE,
			"{\"result\":\"ok\",\"modifiers\":{\"topics\":1}}");
	assert_plain_ok(HOOK_AUTH_ON_SUBSCRIBE_M5,
			"{\"result\":\"ok\",\"topics\":1}");
}

static void subscriptions_of_v5(void **state)
{
	const struct verdict *v = modified(
		HOOK_AUTH_ON_SUBSCRIBE_M5,
		"{\"topics\":[{\"topic\":\"x\",\"qos\":1},{\"topic\":\"y\","
		"\"qos\":0,\"no_local\":true,\"rap\":true,"
		"\"retain_handling\":\"dont_send\"},"
		"{\"topic\":\"z\",\"qos\":135}]}");

	(void)state;
	assert_int_equal(v->topics_count, 3);
	assert_true(v->topics[0].has_options);
	assert_false(v->topics[0].no_local);
	assert_false(v->topics[0].rap);
	assert_int_equal(v->topics[0].retain_handling, RETAIN_SEND);
	assert_true(v->topics[1].no_local);
	assert_true(v->topics[1].rap);
	assert_int_equal(v->topics[1].retain_handling, RETAIN_DONT_SEND);
	assert_int_equal(v->topics[2].qos, 135);
	verdict_unref(v);
}

static void no_subscription_at_all(void **state)
{
	const struct verdict *v =
		modified(HOOK_AUTH_ON_SUBSCRIBE_M5, "{\"topics\":[]}");

	(void)state;
	assert_true(verdict_has(v, MODIFIER_TOPICS));
	assert_int_equal(v->topics_count, 0);
	verdict_unref(v);
	assert_plain_ok(HOOK_AUTH_ON_SUBSCRIBE_M5,
			"{\"result\":\"ok\",\"modifiers\":{\"topics\":{}}}");
	assert_plain_ok(HOOK_AUTH_ON_SUBSCRIBE_M5,
			"{\"result\":\"ok\",\"modifiers\":{\"topics\":null}}");
}

static void bad_subscriptions(void **state)
{
	static const char *const both[] = {
		"1",
		"\"a\"",
		"true",
		"{\"a\":1}",
		"[\"a\"]",
		"[null]",
		"[1]",
		"[{}]",
		"[[]]",
		"[[\"a\",1]]",
		"[{\"topic\":\"a\"}]",
		"[{\"qos\":1}]",
		"[{\"topic\":\"a\",\"qos\":\"1\"}]",
		"[{\"topic\":\"a\",\"qos\":null}]",
		"[{\"topic\":\"a\",\"qos\":1.5}]",
		"[{\"topic\":\"a\",\"qos\":1.0}]",
		"[{\"topic\":\"a\",\"qos\":1e0}]",
		"[{\"topic\":\"a\",\"qos\":1e10}]",
		"[{\"topic\":null,\"qos\":0}]",
		"[{\"topic\":\"\",\"qos\":0}]",
		"[{\"topic\":\"a/#/b\",\"qos\":0}]",
		"[{\"topic\":\"a\\u0000\",\"qos\":0}]",
		"[{\"topic\":\"$share/g\",\"qos\":0}]",
		"[{\"topic\":\"$CONTROL/#\",\"qos\":0}]",
		"[{\"topic\":\"a\",\"qos\":0},{\"topic\":\"b+\",\"qos\":0}]",
		"[{\"topic\":\"a/b/c/d/e/f/g/h/i/j/k\",\"qos\":0}]",
	};
	static const char *const v5[] = {
		"[{\"topic\":\"a\",\"qos\":1,\"no_local\":1}]",
		"[{\"topic\":\"a\",\"qos\":1,\"rap\":null}]",
		"[{\"topic\":\"a\",\"qos\":1,\"retain_handling\":\"x\"}]",
		"[{\"topic\":\"a\",\"qos\":1,\"retain_handling\":0}]",
		"[{\"topic\":\"a\",\"qos\":1,\"retain_handling\":null}]",
	};
	char text[300];

	(void)state;
	for (size_t i = 0; i < sizeof(both) / sizeof(*both); i++) {
		snprintf(text, sizeof(text),
			 "{\"result\":\"ok\",\"topics\":%s}", both[i]);
		assert_malformed(HOOK_AUTH_ON_SUBSCRIBE, text, "topics");
		snprintf(text, sizeof(text), "{\"topics\":%s}", both[i]);
		assert_refused(HOOK_AUTH_ON_SUBSCRIBE_M5, text, "topics");
	}
	for (size_t i = 0; i < sizeof(v5) / sizeof(*v5); i++) {
		snprintf(text, sizeof(text), "{\"topics\":%s}", v5[i]);
		assert_refused(HOOK_AUTH_ON_SUBSCRIBE_M5, text, "topics");
	}
}

static void unsubscriptions(void **state)
{
	const struct verdict *v = decided(
		HOOK_ON_UNSUBSCRIBE,
		"{\"result\":\"ok\",\"topics\":[\"a\",\"b/+\",\"$SYS/#\"]}");

	(void)state;
	assert_int_equal(v->topics_count, 3);
	assert_string_equal(v->topics[1].filter.data, "b/+");
	verdict_unref(v);
	v = modified(HOOK_ON_UNSUBSCRIBE_M5, "{\"topics\":[\"x\"]}");
	assert_int_equal(v->topics_count, 1);
	verdict_unref(v);
	assert_malformed(HOOK_ON_UNSUBSCRIBE,
			 "{\"result\":\"ok\",\"topics\":1}", "topics");
	assert_malformed(HOOK_ON_UNSUBSCRIBE,
			 "{\"result\":\"ok\",\"topics\":[\"a/#/b\"]}",
			 "topics");
	assert_refused(HOOK_ON_UNSUBSCRIBE_M5,
		       "{\"topics\":[{\"topic\":\"a\",\"qos\":0}]}", "topics");
}

/* ---- anything at all ---- */

static const char *const samples[] = {
	"{\"result\":\"ok\"}",
	"{\"result\":\"next\"}",
	"{\"result\":{\"error\":\"not_allowed\"}}",
	"{\"result\":\"ok\",\"modifiers\":{\"topic\":\"a/b\",\"payload\":"
	"\"aGVsbG8=\",\"qos\":1,\"retain\":true,\"throttle\":10}}",
	"{\"result\":\"ok\",\"modifiers\":{\"client_id\":\"c\",\"mountpoint\":"
	"\"\",\"username\":\"\\u00e9\\ud83d\\ude00\\u0000\",\"queue_type\":"
	"\"fifo\",\"max_message_size\":1.5e3,\"clean_session\":false}}",
	"{\"result\":\"ok\",\"topics\":[{\"topic\":\"a/+/#\",\"qos\":128},"
	"{\"topic\":\"$share/g/t\",\"qos\":0}]}",
	"{\"result\":\"ok\",\"topics\":[\"a\",\"b/+\"]}",
	"{\"result\":\"ok\",\"modifiers\":{\"topics\":[{\"topic\":\"a\","
	"\"qos\":2,\"no_local\":true,\"rap\":false,\"retain_handling\":"
	"\"send_if_new_sub\"}]}}",
	"{\"result\":\"ok\",\"modifiers\":{\"properties\":{"
	"\"p_user_property\":[{\"key\":\"aw==\",\"val\":\"dg==\"},{\"key\":"
	"\"\",\"val\":\"dg==\"}],\"p_content_type\":\"x\","
	"\"p_correlation_data\":\"\\u0000a\",\"p_message_expiry_interval\":60,"
	"\"p_payload_format_indicator\":\"utf8\"}}}",
	"{\"result\":\"ok\",\"modifiers\":{\"reason_code\":24,\"properties\":{"
	"\"p_authentication_method\":\"M\",\"p_authentication_data\":"
	"\"AAECAwQ=\"}}}",
	"\xef\xbb\xbf[[[[{\"a\":[1,2,{\"b\":null}]}]]]]",
};

static uint32_t pseudo_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Change `text` of `len` bytes, with room for one more. Returns its length. */
static size_t mutate(char *text, size_t len, uint32_t *seed)
{
	static const char spice[] =
		"{}[]\",:\\u0000019.eE-+ \0\xff\xc0\x80tfn=/";
	size_t at = len ? pseudo_random(seed) % len : 0;
	char c = spice[pseudo_random(seed) % (sizeof(spice) - 1)];

	switch (pseudo_random(seed) % 5) {
	case 0:
		if (len)
			text[at] = c;
		return len;
	case 1:
		memmove(text + at + 1, text + at, len - at);
		text[at] = c;
		return len + 1;
	case 2:
		if (!len)
			return 0;
		memmove(text + at, text + at + 1, len - at - 1);
		return len - 1;
	case 3:
		if (len)
			text[at] ^= (char)(1u << pseudo_random(seed) % 8);
		return len;
	default:
		return pseudo_random(seed) % 8 ? len : at;
	}
}

static size_t sum(struct bytes b)
{
	size_t n = 0;

	for (size_t i = 0; i < b.len; i++)
		n += ((const unsigned char *)b.data)[i];
	return n;
}

/* Look at everything that a verdict points to. */
static size_t touch(const struct verdict *v)
{
	size_t n = sum(v->reason);

	for (size_t i = 0; i < v->values_count; i++)
		n += sum(v->values[i].text);
	for (size_t i = 0; i < v->topics_count; i++)
		n += sum(v->topics[i].filter);
	for (size_t i = 0; i < v->properties_count; i++)
		n += sum(v->properties[i].name) + sum(v->properties[i].text);
	return n;
}

static void whatever_comes_nothing_breaks(void **state)
{
	enum {
		ROUNDS = 15000,
		SAMPLES = sizeof(samples) / sizeof(*samples)
	};
	unsigned taken = 0, refused = 0;
	uint32_t seed = 2463534242u;
	size_t touched = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		const char *sample = samples[pseudo_random(&seed) % SAMPLES];
		enum hook_id hook = pseudo_random(&seed) % HOOK_COUNT;
		const struct verdict *v = NULL;
		char text[600], text_error[CODEC_ERROR_LEN];
		size_t len = strlen(sample);
		int err;

		memcpy(text, sample, len);
		for (uint32_t n = pseudo_random(&seed) % 4; n > 0; n--)
			len = mutate(text, len, &seed);
		err = decode(hook, i % 2 ? &raw : &defaults, text, len, &v);
		if (err) {
			assert_int_equal(err, -EBADMSG);
			assert_null(v);
			assert_true(error[0]);
			refused++;
			continue;
		}
		assert_int_equal(codec_check_json(text, len, text_error), 0);
		touched += touch(v);
		verdict_unref(v);
		taken++;
	}
	/* the samples are good for both */
	assert_true(taken > ROUNDS / 20);
	assert_true(refused > ROUNDS / 20);
	assert_true(touched > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ok_and_next),
		cmocka_unit_test(the_first_result_counts),
		cmocka_unit_test(a_denial_says_why),
		cmocka_unit_test(a_long_reason_is_cut),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(what_is_not_json_is_refused),
		cmocka_unit_test(an_error_does_not_break_the_log),
		cmocka_unit_test(none_has_many_forms),
		cmocka_unit_test(modifiers_are_an_object),
		cmocka_unit_test(of_several_the_last_counts),
		cmocka_unit_test(an_unknown_modifier_is_named),
		cmocka_unit_test(booleans),
		cmocka_unit_test(numbers_are_rounded_within_their_range),
		cmocka_unit_test(a_throttle_of_v3_is_positive),
		cmocka_unit_test(words),
		cmocka_unit_test(strings),
		cmocka_unit_test(a_subscriber_has_two_parts),
		cmocka_unit_test(topics_to_publish_to),
		cmocka_unit_test(payloads_in_base64),
		cmocka_unit_test(payloads_as_they_are),
		cmocka_unit_test(nul_where_nobody_looks_is_harmless),
		cmocka_unit_test(properties_of_a_publish),
		cmocka_unit_test(the_format_has_three_names),
		cmocka_unit_test(no_user_properties_replace_all),
		cmocka_unit_test(a_user_property_has_two_parts),
		cmocka_unit_test(properties_have_their_hooks),
		cmocka_unit_test(properties_have_their_limits),
		cmocka_unit_test(enhanced_authentication),
		cmocka_unit_test(subscriptions_of_v3),
		cmocka_unit_test(subscriptions_of_v5),
		cmocka_unit_test(no_subscription_at_all),
		cmocka_unit_test(bad_subscriptions),
		cmocka_unit_test(unsubscriptions),
		cmocka_unit_test(whatever_comes_nothing_breaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
