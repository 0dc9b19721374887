/*
 * test_settings_call.c - the keys about what calls carry: headers, secrets,
 * trace, forward_connection_opts.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "plugin/settings/settings.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER  "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
#define KEY    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="

enum {
	OPTS_MAX = 32
};

static struct settings *s;
static struct conf_error error;
static char dir[64], file[96];
static struct settings_opt opts[OPTS_MAX];
static size_t count;

static void opt(const char *key, const char *value)
{
	assert_true(count < OPTS_MAX);
	opts[count++] = (struct settings_opt){ key, value };
}

/* A webhook w on auth_on_register, and no other option. */
static void begin(void)
{
	settings_unref(s);
	s = NULL;
	count = 0;
	opt("vmq_webhooks.w.hook", "auth_on_register");
	opt("vmq_webhooks.w.endpoint", "http://h/");
}

static int setup(void **state)
{
	(void)state;
	s = NULL;
	snprintf(dir, sizeof(dir), "/tmp/test_settings_call.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/file", dir);
	begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	settings_unref(s);
	unlink(file);
	return rmdir(dir);
}

static int load(void)
{
	settings_unref(s);
	s = NULL;
	return settings_load(opts, count, &s, &error);
}

static void write_bytes(const char *text, size_t len)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void write_file(const char *text)
{
	write_bytes(text, strlen(text));
}

static const struct call_opts *call(void)
{
	return &s->chain[HOOK_AUTH_ON_REGISTER][0].call;
}

/* One option more is refused, without a word of its value. */
static void refused(const char *key, const char *value, const char *why)
{
	begin();
	opt(key, value);
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(error.text, key));
	assert_non_null(strstr(error.text, why));
	assert_null(s);
}

/* ---- nothing ---- */

static void without_keys_calls_carry_nothing(void **state)
{
	(void)state;
	assert_int_equal(load(), 0);
	assert_null(call()->credentials);
	assert_false(call()->trace);
	assert_false(call()->forward);
}

/* ---- headers ---- */

static void headers_are_kept_as_lines(void **state)
{
	(void)state;
	opt("vmq_webhooks.w.header.Authorization", "Bearer a b=c:d'e#f");
	opt("vmq_webhooks.w.header.x_!#$%&'*+-^`|~1", "\xc3\xa4\xff");
	opt("vmq_webhooks.w.header.Host", "inner");
	assert_int_equal(load(), 0);
	assert_int_equal(call()->credentials->headers_count, 3);
	assert_string_equal(call()->credentials->headers[0],
			    "Authorization: Bearer a b=c:d'e#f");
	assert_string_equal(call()->credentials->headers[1],
			    "x_!#$%&'*+-^`|~1: \xc3\xa4\xff");
	assert_string_equal(call()->credentials->headers[2], "Host: inner");
	assert_int_equal(call()->credentials->keys.count, 0);
}

static void nothing_is_injected_by_a_value(void **state)
{
	static const char *const bad[] = {
		"s3cret\rX: y", "s3cret\nX: y", "s3cret\r\nX: y", "s3cret\tx",
		"s3cret\x01",   "s3cret\x7f",   "\ns3cret",
	};
	char longest[4100];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		refused("vmq_webhooks.w.header.A", bad[i],
			"no value of a "
			"header");
		assert_null(strstr(error.text, "s3cret"));
	}
	refused("vmq_webhooks.w.header.A", "", "no value of a header");
	refused("vmq_webhooks.w.header.A", " ", "no value of a header");
	memset(longest, 'x', sizeof(longest));
	longest[4096] = '\0';
	begin();
	opt("vmq_webhooks.w.header.A", longest);
	assert_int_equal(load(), 0);
	longest[4096] = 'x';
	longest[4097] = '\0';
	refused("vmq_webhooks.w.header.A", longest, "no value of a header");
}

static void nothing_is_injected_by_a_name(void **state)
{
	static const char *const bad[] = {
		"A:",   "A B", "A\r\nB", "A\nB",     "(A)", "A\x01",
		"A\"B", "A/B", "A@B",    "\xc3\xa4", "",    "A;",
	};
	char key[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(key, sizeof(key), "vmq_webhooks.w.header.%s", bad[i]);
		begin();
		opt(key, "s3cret");
		assert_int_equal(load(), -EINVAL);
		assert_non_null(strstr(error.text, "no name of a header"));
		assert_null(strstr(error.text, "s3cret"));
	}
	snprintf(key, sizeof(key), "vmq_webhooks.w.header.%0128d", 1);
	begin();
	opt(key, "x");
	assert_int_equal(load(), 0);
	snprintf(key, sizeof(key), "vmq_webhooks.w.header.%0129d", 1);
	begin();
	opt(key, "x");
	assert_int_equal(load(), -EINVAL);
}

static void what_we_and_the_protocol_set_is_refused(void **state)
{
	static const char *const names[] = {
		"Content-Type",
		"content-length",
		"Content-Encoding",
		"Transfer-Encoding",
		"CONNECTION",
		"Keep-Alive",
		"Upgrade",
		"TE",
		"Trailer",
		"Expect",
		"Accept-Encoding",
		"Proxy-Connection",
		"Proxy-Authorization",
		"HTTP2-Settings",
		"vernemq-hook",
		"VerneMQ-Hook",
		"webhook-id",
		"Webhook-Signature",
		"webhook-anything",
		"traceparent",
	};
	char key[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(key, sizeof(key), "vmq_webhooks.w.header.%s",
			 names[i]);
		refused(key, "x", "the plugin's or the protocol's own");
		snprintf(key, sizeof(key), "vmq_webhooks.header.%s", names[i]);
		refused(key, "x", "the plugin's or the protocol's own");
	}
}

static void a_header_has_one_value(void **state)
{
	(void)state;
	write_file("from the file");
	opt("vmq_webhooks.w.header.X-Key", "1");
	opt("vmq_webhooks.w.header.x-key", "2");
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(error.text, "has a value already"));
	begin();
	opt("vmq_webhooks.w.header.X-Key", "1");
	opt("vmq_webhooks.w.header_file.X-Key", file);
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(error.text, "has a value already"));
	/* another name that begins alike */
	begin();
	opt("vmq_webhooks.w.header.X-Key", "1");
	opt("vmq_webhooks.w.header.X", "1");
	opt("vmq_webhooks.w.header.X-Key-2", "1");
	assert_int_equal(load(), 0);
	assert_int_equal(call()->credentials->headers_count, 3);
}

static void headers_have_a_ceiling(void **state)
{
	char keys[17][64], value[3000];

	(void)state;
	for (int i = 0; i < 17; i++) {
		snprintf(keys[i], sizeof(keys[i]), "vmq_webhooks.w.header.X-%d",
			 i);
		opt(keys[i], "x");
		assert_int_equal(load(), i < 16 ? 0 : -EINVAL);
	}
	assert_non_null(strstr(error.text, "too many headers"));
	begin();
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 3; i++) {
		opt(keys[i], value);
		assert_int_equal(load(), i < 2 ? 0 : -EINVAL);
	}
	assert_non_null(strstr(error.text, "too many headers"));
}

static void those_of_all_count_among_them(void **state)
{
	char keys[17][64];

	(void)state;
	for (int i = 0; i < 17; i++) {
		snprintf(keys[i], sizeof(keys[i]), "vmq_webhooks%s.header.X-%d",
			 i % 2 ? ".w" : "", i);
		opt(keys[i], "x");
	}
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(error.text, "vmq_webhooks.w (its first key"));
	assert_non_null(strstr(error.text, "too many headers"));
	count--;
	assert_int_equal(load(), 0);
	assert_int_equal(call()->credentials->headers_count, 16);
}

static void a_webhooks_own_goes_before_that_of_all(void **state)
{
	const struct credentials *c;

	(void)state;
	opt("vmq_webhooks.header.X-Key", "all");
	opt("vmq_webhooks.header.X-More", "more");
	opt("vmq_webhooks.w.header.x-key", "own");
	opt("vmq_webhooks.v.hook", "on_publish");
	opt("vmq_webhooks.v.endpoint", "http://h/");
	assert_int_equal(load(), 0);
	c = call()->credentials;
	assert_int_equal(c->headers_count, 2);
	assert_string_equal(c->headers[0], "x-key: own");
	assert_string_equal(c->headers[1], "X-More: more");
	c = s->chain[HOOK_ON_PUBLISH][0].call.credentials;
	assert_int_equal(c->headers_count, 2);
	assert_string_equal(c->headers[0], "X-Key: all");
}

static void a_webhook_may_be_called_header(void **state)
{
	(void)state;
	begin();
	count = 0;
	opt("vmq_webhooks.header.hook", "on_publish");
	opt("vmq_webhooks.header.endpoint", "http://h/");
	opt("vmq_webhooks.header.header.X-A", "a");
	opt("vmq_webhooks.header.X-B", "b");
	assert_int_equal(load(), 0);
	assert_int_equal(
		s->chain[HOOK_ON_PUBLISH][0].call.credentials->headers_count,
		2);
}

static void the_form_of_a_header_is_said(void **state)
{
	(void)state;
	refused("vmq_webhooks.w.header", "X-Key: s3cret",
		"header.<Name> = value");
	assert_null(strstr(error.text, "s3cret"));
	refused("vmq_webhooks.header", "X-Key: s3cret",
		"header.<Name> = value");
	/* a dot is no part of a name here */
	refused("vmq_webhooks.w.header.X.Y", "s3cret", "no such key");
}

/* ---- headers from files ---- */

static void a_file_holds_a_value(void **state)
{
	static const struct {
		const char *text, *line;
	} cases[] = {
		{ "value", "A: value" },
		{ "value\n", "A: value" },
		{ "value\r\n", "A: value" },
	};

	(void)state;
	opt("vmq_webhooks.w.header_file.A", file);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_file(cases[i].text);
		assert_int_equal(load(), 0);
		assert_string_equal(call()->credentials->headers[0],
				    cases[i].line);
	}
	begin();
	opt("vmq_webhooks.header_file.A", file);
	assert_int_equal(load(), 0);
	assert_string_equal(call()->credentials->headers[0], "A: value");
}

static void a_file_is_checked_like_a_value(void **state)
{
	static const char *const bad[] = { "", "\n", "s3cret\n\n",
					   "s3cret\nX: y", "s3cret\r\nX: y\n" };
	char *longer = malloc(8194);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(bad[i]);
		refused("vmq_webhooks.w.header_file.A", file,
			"no value of a header");
		assert_null(strstr(error.text, "s3cret"));
	}
	write_bytes("s3c\0ret", 7);
	refused("vmq_webhooks.w.header_file.A", file, "a NUL byte");
	assert_non_null(longer);
	memset(longer, 'x', 8194);
	write_bytes(longer, 4097);
	refused("vmq_webhooks.w.header_file.A", file, "no value of a header");
	write_bytes(longer, 8193);
	refused("vmq_webhooks.w.header_file.A", file, "longer than 8192");
	free(longer);
}

static void a_file_must_be_one(void **state)
{
	(void)state;
	refused("vmq_webhooks.w.header_file.A", "/nonexistent/file",
		"/nonexistent/file: No such file or directory");
	refused("vmq_webhooks.w.header_file.A", dir, "no regular file");
	refused("vmq_webhooks.w.secret_file", "/nonexistent",
		"No such file or directory");
	refused("vmq_webhooks.w.signing_key_file", "/dev/null",
		"no regular file");
	assert_int_equal(mkfifo(file, 0600), 0);
	refused("vmq_webhooks.w.header_file.A", file, "no regular file");
}

/* ---- secrets ---- */

static void secrets_are_read_in_their_order(void **state)
{
	const struct signature_keys *keys;

	(void)state;
	opt("vmq_webhooks.w.secret", SECRET "  " OTHER);
	assert_int_equal(load(), 0);
	keys = &call()->credentials->keys;
	assert_int_equal(keys->count, 2);
	assert_int_equal(keys->keys[0].bytes[0], 0x31);
	assert_int_equal(keys->keys[0].len, 24);
	assert_int_equal(keys->keys[1].bytes[0], 0);
}

static void secrets_are_read_from_a_file(void **state)
{
	(void)state;
	write_file(SECRET "\r\n\n  " OTHER "\n");
	opt("vmq_webhooks.w.secret_file", file);
	assert_int_equal(load(), 0);
	assert_int_equal(call()->credentials->keys.count, 2);
	assert_false(call()->credentials->keys.keys[1].asymmetric);
	begin();
	write_file(KEY "\n");
	opt("vmq_webhooks.w.signing_key_file", file);
	opt("vmq_webhooks.w.secret", SECRET);
	assert_int_equal(load(), 0);
	assert_int_equal(call()->credentials->keys.count, 2);
	assert_true(call()->credentials->keys.keys[0].asymmetric);
}

static void what_is_no_key_is_refused_in_silence(void **state)
{
	(void)state;
	refused("vmq_webhooks.w.secret", "s3cret", "no secret");
	assert_null(strstr(error.text, "s3cret"));
	refused("vmq_webhooks.w.secret", SECRET " s3cret", "no secret");
	assert_null(strstr(error.text, "MfKQ"));
	refused("vmq_webhooks.w.secret", KEY, "no secret");
	assert_null(strstr(error.text, "nWGx"));
	refused("vmq_webhooks.w.secret", " ", "no key");
	write_file("\n");
	refused("vmq_webhooks.w.secret_file", file, "no key");
	write_file(SECRET);
	refused("vmq_webhooks.w.signing_key_file", file, "no signing key");
	assert_null(strstr(error.text, "MfKQ"));
	refused("vmq_webhooks.w.secret_fil", SECRET, "no such key");
	assert_null(strstr(error.text, "MfKQ"));
}

static void secrets_stand_in_one_place(void **state)
{
	(void)state;
	write_file(SECRET);
	opt("vmq_webhooks.w.secret", SECRET);
	opt("vmq_webhooks.w.secret_file", file);
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(error.text, "keep one"));
	begin();
	opt("vmq_webhooks.w.secret_file", file);
	opt("vmq_webhooks.w.secret", SECRET);
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(error.text, "keep one"));
	assert_null(strstr(error.text, "MfKQ"));
}

static void own_keys_replace_those_of_all(void **state)
{
	(void)state;
	opt("vmq_webhooks.secret", SECRET " " SECRET);
	assert_int_equal(load(), 0);
	assert_int_equal(call()->credentials->keys.count, 2);
	opt("vmq_webhooks.w.header.A", "x");
	assert_int_equal(load(), 0);
	assert_int_equal(call()->credentials->keys.count, 2);
	opt("vmq_webhooks.w.secret", OTHER);
	assert_int_equal(load(), 0);
	assert_int_equal(call()->credentials->keys.count, 1);
	assert_int_equal(call()->credentials->keys.keys[0].bytes[1], 1);
}

/* ---- switches ---- */

static void switches_of_all_are_defaults(void **state)
{
	(void)state;
	opt("vmq_webhooks.trace", "on");
	opt("vmq_webhooks.forward_connection_opts", "on");
	opt("vmq_webhooks.v.hook", "on_publish");
	opt("vmq_webhooks.v.endpoint", "http://h/");
	assert_int_equal(load(), 0);
	assert_true(call()->trace);
	assert_true(call()->forward);
	assert_true(s->chain[HOOK_ON_PUBLISH][0].call.trace);
	/* it has no listener to tell of */
	assert_false(s->chain[HOOK_ON_PUBLISH][0].call.forward);
	opt("vmq_webhooks.w.trace", "off");
	opt("vmq_webhooks.w.forward_connection_opts", "off");
	assert_int_equal(load(), 0);
	assert_false(call()->trace);
	assert_false(call()->forward);
	begin();
	opt("vmq_webhooks.w.trace", "on");
	opt("vmq_webhooks.w.forward_connection_opts", "on");
	assert_int_equal(load(), 0);
	assert_true(call()->trace);
	assert_true(call()->forward);
	refused("vmq_webhooks.w.trace", "yes", "allowed: off, on");
}

static void listeners_are_for_logins(void **state)
{
	(void)state;
	opt("vmq_webhooks.v.hook", "auth_on_publish");
	opt("vmq_webhooks.v.endpoint", "http://h/");
	opt("vmq_webhooks.v.forward_connection_opts", "on");
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(error.text, "forward_connection_opts is for"));
	opts[2].value = "auth_on_register_m5";
	assert_int_equal(load(), 0);
}

/* ---- values ---- */

static void copies_share_and_keep_them(void **state)
{
	struct webhook more = { .hook = HOOK_ON_PUBLISH,
				.endpoint = (char[]){ "http://more/" },
				.timeout_ms = 5000 };
	struct settings *t, *u;

	(void)state;
	opt("vmq_webhooks.header.A", "all");
	opt("vmq_webhooks.forward_connection_opts", "on");
	opt("vmq_webhooks.trace", "on");
	opt("vmq_webhooks.w.secret", SECRET);
	assert_int_equal(load(), 0);
	assert_int_equal(settings_with(s, &more, &t, &error), 0);
	/* one registered at run time has what all have */
	assert_ptr_equal(t->chain[HOOK_ON_PUBLISH][0].call.credentials,
			 s->call.credentials);
	assert_true(t->chain[HOOK_ON_PUBLISH][0].call.trace);
	assert_false(t->chain[HOOK_ON_PUBLISH][0].call.forward);
	assert_ptr_equal(t->chain[HOOK_AUTH_ON_REGISTER][0].call.credentials,
			 call()->credentials);
	settings_unref(s);
	s = t;
	assert_int_equal(call()->credentials->keys.count, 1);
	assert_int_equal(atomic_load(&call()->credentials->refs), 1);
	assert_int_equal(
		settings_without(s, HOOK_AUTH_ON_REGISTER, "http://h/", &u), 0);
	settings_unref(s);
	s = u;
	assert_int_equal(atomic_load(&s->call.credentials->refs), 2);
	assert_string_equal(s->call.credentials->headers[0], "A: all");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_keys_calls_carry_nothing),
		TEST(headers_are_kept_as_lines),
		TEST(nothing_is_injected_by_a_value),
		TEST(nothing_is_injected_by_a_name),
		TEST(what_we_and_the_protocol_set_is_refused),
		TEST(a_header_has_one_value),
		TEST(headers_have_a_ceiling),
		TEST(those_of_all_count_among_them),
		TEST(a_webhooks_own_goes_before_that_of_all),
		TEST(a_webhook_may_be_called_header),
		TEST(the_form_of_a_header_is_said),
		TEST(a_file_holds_a_value),
		TEST(a_file_is_checked_like_a_value),
		TEST(a_file_must_be_one),
		TEST(secrets_are_read_in_their_order),
		TEST(secrets_are_read_from_a_file),
		TEST(what_is_no_key_is_refused_in_silence),
		TEST(secrets_stand_in_one_place),
		TEST(own_keys_replace_those_of_all),
		TEST(switches_of_all_are_defaults),
		TEST(listeners_are_for_logins),
		TEST(copies_share_and_keep_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
