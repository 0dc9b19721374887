/*
 * test_headers.c - what requests carry beside their bodies.
 */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "test/replay/fake_pool.h"

#define OK     "{\"result\":\"ok\"}"
#define NEXT   "{\"result\":\"next\"}"
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static int64_t clock_us;

static void complete_auth(void *ctx, const char *client_id, uint64_t ticket,
			  const struct verdict *verdict)
{
	(void)ctx;
	(void)client_id;
	(void)ticket;
	(void)verdict;
}

static void log_line(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	assert_null(strstr(line, "s3cret"));
}

static void wake(void *ctx)
{
	(void)ctx;
}

static int64_t now_us(void *ctx)
{
	(void)ctx;
	return clock_us;
}

static int64_t unix_ms(void *ctx)
{
	(void)ctx;
	return 1700000000999;
}

static const struct broker_ops ops = {
	.complete_auth = complete_auth,
	.log = log_line,
	.wake = wake,
	.now_us = now_us,
	.unix_ms = unix_ms,
	.delays_logins = true,
};

static struct hooks *hooks;
static struct settings_opt opts[32];
static size_t count;

static void opt(const char *key, const char *value)
{
	opts[count++] = (struct settings_opt){ key, value };
}

/* Two endpoints that are asked, two that are told. */
static int setup(void **state)
{
	(void)state;
	count = 0;
	clock_us = 1000000;
	fake_pool_clock_us = &clock_us;
	opt("vmq_webhooks.a.hook", "auth_on_register");
	opt("vmq_webhooks.a.endpoint", "http://a/");
	opt("vmq_webhooks.b.hook", "auth_on_register");
	opt("vmq_webhooks.b.endpoint", "http://b/");
	opt("vmq_webhooks.c.hook", "on_publish");
	opt("vmq_webhooks.c.endpoint", "http://c/");
	opt("vmq_webhooks.d.hook", "on_publish");
	opt("vmq_webhooks.d.endpoint", "http://d/");
	return 0;
}

static void begin(void)
{
	struct conf_error error;
	struct settings *s;

	assert_int_equal(settings_load(opts, count, &s, &error), 0);
	assert_int_equal(hooks_create(&hooks, s, &ops, NULL), 0);
	settings_unref(s);
}

static int teardown(void **state)
{
	(void)state;
	hooks_stop(hooks);
	hooks_destroy(hooks);
	hooks = NULL;
	fake_pool_reset();
	return 0;
}

static const struct listener_info listener = {
	.type = { "mqtts", 5 },
	.client_cert = { "\x30\x82\x01", 3 },
	.has_listener = true,
	.port = 8883,
};

static struct event login(void)
{
	return (struct event){
		.hook = HOOK_AUTH_ON_REGISTER,
		.client_id = bytes_of("c1"),
		.username = bytes_of("u"),
		.password = bytes_of("s3cret"),
		.peer_addr = bytes_of("127.0.0.1"),
	};
}

static struct event published(void)
{
	struct event ev = login();

	ev.hook = HOOK_ON_PUBLISH;
	ev.topic = bytes_of("t");
	ev.payload = bytes_of("hi");
	return ev;
}

static enum decision ask(const struct event *ev)
{
	const struct verdict *v = NULL;
	enum decision decision;

	assert_int_equal(hook_ask(hooks, ev, false, &v, NULL), HOOK_DONE);
	decision = v->decision;
	verdict_unref(v);
	return decision;
}

/* Both endpoints of a login, both of a publish: calls 0 to 3. */
static void ask_and_tell(void)
{
	struct event ev = login(), told = published();

	fake_pool_will_answer(200, NEXT, NULL);
	fake_pool_will_answer(200, OK, NULL);
	assert_int_equal(ask(&ev), DECISION_OK);
	hook_tell(hooks, &told);
	assert_int_equal(fake_calls_count, 4);
}

/* The value of the n-th call's header, or NULL. */
static const char *header(unsigned n, const char *name)
{
	const struct fake_call *call = &fake_calls[n];
	size_t len = strlen(name);

	for (size_t i = 0; i < call->headers_count; i++) {
		if (strncmp(call->headers[i], name, len) == 0 &&
		    strncmp(call->headers[i] + len, ": ", 2) == 0)
			return call->headers[i] + len + 2;
	}
	return NULL;
}

static void without_keys_there_is_nothing_more(void **state)
{
	(void)state;
	begin();
	ask_and_tell();
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(fake_calls[i].headers_count, 4);
		assert_null(header(i, "webhook-signature"));
		assert_null(header(i, "traceparent"));
	}
}

static void headers_go_to_their_webhook(void **state)
{
	(void)state;
	opt("vmq_webhooks.header.X-All", "all");
	opt("vmq_webhooks.b.header.X-Own", "own");
	opt("vmq_webhooks.c.header.x-all", "other");
	begin();
	ask_and_tell();
	for (unsigned i = 0; i < 4; i++) {
		assert_string_equal(header(i, "vernemq-hook"),
				    fake_calls[i].hook);
		assert_string_equal(header(i, "webhook-timestamp"),
				    "1700000000");
	}
	assert_string_equal(header(0, "X-All"), "all");
	assert_string_equal(header(1, "X-All"), "all");
	assert_string_equal(header(3, "X-All"), "all");
	assert_string_equal(header(2, "x-all"), "other");
	assert_null(header(2, "X-All"));
	assert_string_equal(header(1, "X-Own"), "own");
	assert_null(header(0, "X-Own"));
}

/* What the body, id and timestamp that were sent give. */
static void expect_signature(unsigned n)
{
	uint8_t key[24], mac[crypto_auth_hmacsha256_BYTES];
	crypto_auth_hmacsha256_state state;
	const char *signature = header(n, "webhook-signature");
	char text[512], want[64] = "v1,";

	sodium_base642bin(key, sizeof(key), SECRET + 6, strlen(SECRET + 6),
			  NULL, NULL, NULL, sodium_base64_VARIANT_ORIGINAL);
	snprintf(text, sizeof(text), "%s.%s.%s", header(n, "webhook-id"),
		 header(n, "webhook-timestamp"), fake_calls[n].body);
	crypto_auth_hmacsha256_init(&state, key, sizeof(key));
	crypto_auth_hmacsha256_update(&state, (uint8_t *)text, strlen(text));
	crypto_auth_hmacsha256_final(&state, mac);
	sodium_bin2base64(want + 3, sizeof(want) - 3, mac, sizeof(mac),
			  sodium_base64_VARIANT_ORIGINAL);
	assert_non_null(signature);
	assert_string_equal(signature, want);
}

static void requests_are_signed(void **state)
{
	(void)state;
	opt("vmq_webhooks.a.secret", SECRET);
	opt("vmq_webhooks.d.secret", SECRET);
	begin();
	ask_and_tell();
	expect_signature(0);
	assert_null(header(1, "webhook-signature"));
	assert_null(header(2, "webhook-signature"));
	expect_signature(3);
}

static void one_event_is_one_trace(void **state)
{
	const char *trace[4];

	(void)state;
	opt("vmq_webhooks.trace", "on");
	begin();
	ask_and_tell();
	for (unsigned i = 0; i < 4; i++) {
		trace[i] = header(i, "traceparent");
		assert_non_null(trace[i]);
		assert_int_equal(strlen(trace[i]), 55);
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(trace[i] + 36, trace[k] + 36,
						16);
	}
	assert_memory_equal(trace[0], trace[1], 35);
	assert_memory_equal(trace[2], trace[3], 35);
	assert_memory_not_equal(trace[0], trace[2], 35);
}

static void a_delayed_login_is_one_trace(void **state)
{
	struct event ev = login();
	const struct verdict *v;
	uint64_t ticket;

	(void)state;
	opt("vmq_webhooks.trace", "on");
	begin();
	assert_int_equal(hook_ask(hooks, &ev, true, &v, &ticket), HOOK_PENDING);
	fake_pool_answer(0, 200, NEXT, NULL);
	fake_pool_answer(1, 200, OK, NULL);
	assert_memory_equal(header(0, "traceparent"), header(1, "traceparent"),
			    35);
	assert_string_not_equal(header(0, "traceparent"),
				header(1, "traceparent"));
}

static void a_webhook_may_stay_out_of_it(void **state)
{
	(void)state;
	opt("vmq_webhooks.trace", "on");
	opt("vmq_webhooks.a.trace", "off");
	begin();
	ask_and_tell();
	assert_null(header(0, "traceparent"));
	assert_non_null(header(1, "traceparent"));
}

/* ---- the listener ---- */

static void only_who_wants_it_is_told_of_the_listener(void **state)
{
	struct event ev = login();

	(void)state;
	opt("vmq_webhooks.b.forward_connection_opts", "on");
	begin();
	assert_true(hooks_forward(hooks, HOOK_AUTH_ON_REGISTER));
	assert_false(hooks_forward(hooks, HOOK_ON_PUBLISH));
	ev.listener = &listener;
	fake_pool_will_answer(200, NEXT, NULL);
	fake_pool_will_answer(200, OK, NULL);
	assert_int_equal(ask(&ev), DECISION_OK);
	assert_null(strstr(fake_calls[0].body, "listener_"));
	assert_null(strstr(fake_calls[0].body, "client_cert"));
	assert_non_null(strstr(fake_calls[1].body,
			       ",\"client_cert\":\"MIIB\","
			       "\"listener_addr\":null,\"listener_port\":8883,"
			       "\"listener_type\":\"mqtts\"}"));
}

static void nobody_wants_it_by_default(void **state)
{
	(void)state;
	begin();
	assert_false(hooks_forward(hooks, HOOK_AUTH_ON_REGISTER));
}

/* Who came by another listener is another question, to whom it is told. */
static void kept_answers_are_told_apart_by_what_was_sent(void **state)
{
	struct listener_info other = listener;
	struct event ev = login();

	(void)state;
	opt("vmq_webhooks.b.forward_connection_opts", "on");
	begin();
	other.port = 8884;
	ev.listener = &listener;
	fake_pool_will_answer(200, OK, "max-age=10");
	assert_int_equal(ask(&ev), DECISION_OK);
	ev.listener = &other;
	assert_int_equal(ask(&ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 1);
	/* the first has no opinion: the second, which is told, decides */
	hooks_cache_clear(hooks,
			  &(struct hooks_selection){ .hook = HOOK_COUNT });
	for (int i = 0; i < 2; i++) {
		fake_pool_will_answer(200, NEXT, NULL);
		fake_pool_will_answer(200, OK, "max-age=10");
		ev.listener = i ? &other : &listener;
		assert_int_equal(ask(&ev), DECISION_OK);
		assert_int_equal(fake_calls_count, 3 + 2 * i);
	}
	fake_pool_will_answer(200, NEXT, NULL);
	assert_int_equal(ask(&ev), DECISION_OK);
	assert_int_equal(fake_calls_count, 6);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_keys_there_is_nothing_more),
		TEST(headers_go_to_their_webhook),
		TEST(requests_are_signed),
		TEST(one_event_is_one_trace),
		TEST(a_delayed_login_is_one_trace),
		TEST(a_webhook_may_stay_out_of_it),
		TEST(only_who_wants_it_is_told_of_the_listener),
		TEST(nobody_wants_it_by_default),
		TEST(kept_answers_are_told_apart_by_what_was_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
