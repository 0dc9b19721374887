/* plugin/settings/settings_register.h */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "plugin/hook_table.h"
#include "plugin/settings/settings_private.h"
#include "plugin/settings/settings_register.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define URL    "http://h/x"

static struct settings *s;
static struct conf_error error;
static char file[64];

static int setup(void **state)
{
	int fd;

	(void)state;
	memset(&error, 0, sizeof(error));
	snprintf(file, sizeof(file), "/tmp/test_register.XXXXXX");
	fd = mkstemp(file);
	if (fd < 0 || write(fd, SECRET, strlen(SECRET)) < 0 || close(fd) != 0)
		return -1;
	return settings_load(NULL, 0, &s, &error);
}

static int teardown(void **state)
{
	(void)state;
	settings_unref(s);
	return unlink(file);
}

/* Other settings of all. */
static void load(const struct settings_opt *opts, size_t n)
{
	settings_unref(s);
	s = NULL;
	assert_int_equal(settings_load(opts, n, &s, &error), 0);
}

#define LOAD(opts) load(opts, sizeof(opts) / sizeof((opts)[0]))

/* "key=value" up to a NULL. */
static int make(enum hook_id hook, const char *const *options,
		struct registration **ret)
{
	char why[CONF_REASON_LEN] = "";
	struct registration *r;
	int err = 0;

	assert_int_equal(registration_create(&r, hook, URL), 0);
	for (; !err && *options; options++) {
		const char *equals = strchr(*options, '=');
		char key[256], place[260];

		snprintf(key, sizeof(key), "%.*s", (int)(equals - *options),
			 *options);
		snprintf(place, sizeof(place), "--%s", key);
		err = registration_add(r, place, key, equals + 1, why);
		snprintf(error.text, sizeof(error.text), "%s: %s", place, why);
	}
	if (err) {
		registration_unref(r);
	} else {
		*ret = r;
	}
	return err;
}

/* Registers on `s`, which is replaced. */
static int add(enum hook_id hook, const char *const *options)
{
	struct registration *r;
	struct settings *more;
	int err = make(hook, options, &r);

	if (err)
		return err;
	err = settings_register(s, r, &more, &error);
	registration_unref(r);
	if (!err) {
		settings_unref(s);
		s = more;
	}
	return err;
}

#define ADD(hook, ...) add(hook, (const char *const[]){ __VA_ARGS__, NULL })

static const struct webhook *registered(enum hook_id hook)
{
	const struct webhook *w = settings_find(s, hook, URL);

	assert_non_null(w);
	return w;
}

static void refused(enum hook_id hook, const char *option, const char *why)
{
	size_t before = s->webhooks;

	error.text[0] = '\0';
	assert_int_equal(ADD(hook, option), -EINVAL);
	if (!strstr(error.text, why))
		fail_msg("%s: %s", option, error.text);
	assert_int_equal(s->webhooks, before);
}

/* ---- what one can be given ---- */

static void without_options_it_is_as_all_are(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.retries", "9" },
		{ "vmq_webhooks.max_event_age", "8" },
		{ "vmq_webhooks.header.A", "all" },
		{ "vmq_webhooks.trace", "on" },
		{ "vmq_webhooks.connect_timeout", "77" },
	};
	const struct webhook *w;

	(void)state;
	LOAD(opts);
	assert_int_equal(add(HOOK_ON_PUBLISH, (const char *const[]){ NULL }),
			 0);
	w = registered(HOOK_ON_PUBLISH);
	assert_null(w->name);
	assert_non_null(w->registration);
	assert_int_equal(w->retries, 9);
	assert_int_equal(w->max_event_age_ms, 8);
	assert_int_equal(w->timeout_ms, 5000);
	assert_true(w->codec.base64_payload);
	assert_true(w->call.trace);
	assert_ptr_equal(w->call.credentials, s->call.credentials);
	assert_ptr_equal(w->transport, s->transport);
}

static const struct {
	enum hook_id hook;
	const char *option, *as; /* NULL: the same in the configuration */
} every[] = {
	{ HOOK_AUTH_ON_PUBLISH, "base64payload=false", "base64encode=off" },
	{ HOOK_AUTH_ON_PUBLISH, "base64encode=off", NULL },
	{ HOOK_AUTH_ON_PUBLISH, "no_payload=true", "no_payload=on" },
	{ HOOK_AUTH_ON_PUBLISH, "response_timeout=7", NULL },
	{ HOOK_AUTH_ON_PUBLISH, "on_error=next", NULL },
	{ HOOK_AUTH_ON_REGISTER, "blocking=true", "blocking=on" },
	{ HOOK_AUTH_ON_REGISTER, "cache_refusals=on", NULL },
	{ HOOK_ON_PUBLISH, "retries=0", NULL },
	{ HOOK_ON_PUBLISH, "max_event_age=9", NULL },
	{ HOOK_ON_PUBLISH, "header.X-Key=a b", NULL },
	{ HOOK_ON_PUBLISH, "header_file.X-Key=@", NULL },
	{ HOOK_ON_PUBLISH, "secret=" SECRET, NULL },
	{ HOOK_ON_PUBLISH, "secret_file=@", NULL },
	{ HOOK_ON_PUBLISH, "trace=true", "trace=on" },
	{ HOOK_AUTH_ON_REGISTER, "forward_connection_opts=true",
	  "forward_connection_opts=on" },
	{ HOOK_ON_PUBLISH, "verify_peer=false", "verify_peer=off" },
	{ HOOK_ON_PUBLISH, "tls_version=tlsv1.3", NULL },
	{ HOOK_ON_PUBLISH, "sni=other", NULL },
	{ HOOK_ON_PUBLISH,
	  "pinned_public_key=sha256//"
	  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	  NULL },
	{ HOOK_ON_PUBLISH, "http_version=1.1", NULL },
	{ HOOK_ON_PUBLISH, "proxy=http://u:p@proxy:1", NULL },
	{ HOOK_ON_PUBLISH, "no_proxy=10.0.0.0/8, b", NULL },
	{ HOOK_ON_PUBLISH, "connect_timeout=5", NULL },
	{ HOOK_ON_PUBLISH, "max_reply=5", NULL },
	{ HOOK_ON_PUBLISH, "dns_timeout=5", NULL },
	{ HOOK_ON_PUBLISH, "connection_lifetime=5", NULL },
};

/* With @ for the file. */
static void split(const char *option, char *key, char *value, size_t size)
{
	const char *equals = strchr(option, '=');

	snprintf(key, size, "%.*s", (int)(equals - option), option);
	snprintf(value, size, "%s",
		 strcmp(equals, "=@") == 0 ? file : equals + 1);
}

static void same_credentials(const struct credentials *a,
			     const struct credentials *b)
{
	assert_int_equal(!a, !b);
	if (!a)
		return;
	assert_int_equal(a->headers_count, b->headers_count);
	for (size_t i = 0; i < a->headers_count; i++)
		assert_string_equal(a->headers[i], b->headers[i]);
	assert_memory_equal(&a->keys, &b->keys, sizeof(a->keys));
}

static void same_as_configured(const char *option, const char *as,
			       enum hook_id hook)
{
	char key[128], value[128], full[160], flag[260];
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.w.hook", hook_table[hook].name },
		{ "vmq_webhooks.w.endpoint", URL },
		{ full, value },
	};
	struct settings *configured;
	const struct webhook *is, *was;

	split(as, key, value, sizeof(key));
	snprintf(full, sizeof(full), "vmq_webhooks.w.%s", key);
	assert_int_equal(settings_load(opts, 3, &configured, &error), 0);
	was = settings_find(configured, hook, URL);
	split(option, key, value, sizeof(key));
	snprintf(flag, sizeof(flag), "%s=%s", key, value);
	load(NULL, 0);
	if (ADD(hook, flag) != 0)
		fail_msg("%s: %s", option, error.text);
	is = registered(hook);
	/* something has changed at all, and the same */
	assert_string_not_equal(is->options, "");
	assert_string_equal(is->options, was->options);
	assert_string_equal(is->target, was->target);
	assert_int_equal(is->timeout_ms, was->timeout_ms);
	assert_int_equal(is->on_error, was->on_error);
	assert_int_equal(is->blocking, was->blocking);
	assert_int_equal(is->cache_refusals, was->cache_refusals);
	assert_int_equal(is->retries, was->retries);
	assert_int_equal(is->max_event_age_ms, was->max_event_age_ms);
	assert_int_equal(is->codec.no_payload, was->codec.no_payload);
	assert_int_equal(is->codec.base64_payload, was->codec.base64_payload);
	assert_int_equal(is->call.trace, was->call.trace);
	assert_int_equal(is->call.forward, was->call.forward);
	same_credentials(is->call.credentials, was->call.credentials);
	settings_unref(configured);
}

static void every_option_does_what_its_key_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++)
		same_as_configured(every[i].option,
				   every[i].as ? every[i].as : every[i].option,
				   every[i].hook);
}

/* Those with PEM files are in test/broker/test_registration.py. */
static const char *const elsewhere[] = {
	"hook",
	"endpoint",
	"cafile",
	"certfile",
	"keyfile",
	"keyfile_password",
	"keyfile_password_file",
	"crlfile",
	"use_crls",
	"depth",
	"signing_key_file",
};

static bool is_tried(const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++) {
		if (strcmp(elsewhere[i], key) == 0)
			return true;
	}
	for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
		if (strncmp(every[i].option, key, len) == 0 &&
		    every[i].option[len] == '=')
			return true;
	}
	return false;
}

static void no_key_is_left_out(void **state)
{
	const struct conf_directive *tables[] = { settings_webhook_keys,
						  settings_call_keys };

	(void)state;
	for (int i = 0; i < 2; i++) {
		for (const struct conf_directive *d = tables[i]; d->name; d++) {
			if (d->type != CONF_NONE && !is_tried(d->name))
				fail_msg("%s is not tried", d->name);
		}
	}
}

static void options_are_taken_together(void **state)
{
	const struct webhook *w;

	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "retries=1", "header.A=x",
			     "header.B=y", "trace=on", "connect_timeout=9"),
			 0);
	w = registered(HOOK_ON_PUBLISH);
	assert_int_equal(w->retries, 1);
	assert_int_equal(w->call.credentials->headers_count, 2);
	assert_true(w->call.trace);
	assert_int_equal(w->transport->way.connect_ms, 9);
}

static void its_own_goes_before_what_is_set_for_all(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.header.A", "all" },
		{ "vmq_webhooks.header.B", "all" },
		{ "vmq_webhooks.sni", "all" },
		{ "vmq_webhooks.proxy", "http://proxy:1" },
		{ "vmq_webhooks.connect_timeout", "77" },
		{ "vmq_webhooks.trace", "on" },
	};
	const struct webhook *w;

	(void)state;
	LOAD(opts);
	assert_int_equal(
		ADD(HOOK_ON_PUBLISH, "header.A=own", "proxy=", "trace=false"),
		0);
	w = registered(HOOK_ON_PUBLISH);
	assert_string_equal(w->call.credentials->headers[0], "A: own");
	assert_string_equal(w->call.credentials->headers[1], "B: all");
	assert_false(w->call.trace);
	assert_null(w->transport->way.proxy);
	assert_string_equal(w->transport->way.server_name, "all");
	assert_int_equal(w->transport->way.connect_ms, 77);
	/* and so for the next one */
	assert_int_equal(add(HOOK_ON_REGISTER, (const char *const[]){ NULL }),
			 0);
	assert_string_equal(registered(HOOK_ON_REGISTER)->transport->way.proxy,
			    "http://proxy:1");
}

static void one_way_is_shared(void **state)
{
	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "sni=a"), 0);
	assert_int_equal(ADD(HOOK_ON_REGISTER, "sni=a"), 0);
	assert_int_equal(ADD(HOOK_ON_SUBSCRIBE, "sni=b"), 0);
	assert_ptr_equal(registered(HOOK_ON_PUBLISH)->transport,
			 registered(HOOK_ON_REGISTER)->transport);
	assert_string_not_equal(registered(HOOK_ON_PUBLISH)->target,
				registered(HOOK_ON_SUBSCRIBE)->target);
}

/* ---- what is refused ---- */

static void what_is_there_is_not_registered_again(void **state)
{
	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "retries=1"), 0);
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "retries=2"), -EEXIST);
	assert_int_equal(registered(HOOK_ON_PUBLISH)->retries, 1);
}

static void unknown_options_are_refused_with_the_nearest(void **state)
{
	(void)state;
	refused(HOOK_ON_PUBLISH, "retris=1",
		"--retris: no such key; allowed: hook, endpoint, base64encode");
	assert_non_null(strstr(error.text, "did you mean \"retries\"?"));
	refused(HOOK_ON_PUBLISH, "zzzzzz=1", "--zzzzzz: no such key");
	refused(HOOK_ON_PUBLISH, "heder.A=1", "header.<Name>");
	refused(HOOK_ON_PUBLISH, "header.A.B=1", "no such key");
	refused(HOOK_ON_PUBLISH, "=1", "no such key");
	/* those of all are no webhook's */
	refused(HOOK_ON_PUBLISH, "max_queue=1", "no such key");
}

static void values_are_checked_as_in_the_configuration(void **state)
{
	(void)state;
	refused(HOOK_ON_PUBLISH, "retries=101",
		"--retries: \"101\" is no whole number in range; allowed: 0 "
		"to 100");
	refused(HOOK_ON_PUBLISH, "response_timeout=5s",
		"allowed: 1 to 600000 (ms, without a unit)");
	refused(HOOK_AUTH_ON_PUBLISH, "on_error=alow",
		"did you mean \"allow\"?");
	refused(HOOK_ON_PUBLISH, "trace=maybe",
		"\"maybe\" is neither true nor false; allowed: true, false, "
		"on, off");
	refused(HOOK_ON_PUBLISH, "no_payload=TRUE", "neither true nor false");
	refused(HOOK_ON_PUBLISH, "cafile=/nonexistent",
		"--cafile: the file cannot be read");
	refused(HOOK_ON_PUBLISH, "cafile=ca.pem", "no absolute path");
	refused(HOOK_ON_PUBLISH, "secret_file=./key", "no absolute path");
	refused(HOOK_ON_PUBLISH, "header_file.X-Key=key", "no absolute path");
}

static void options_are_for_their_hooks(void **state)
{
	(void)state;
	refused(HOOK_AUTH_ON_PUBLISH, "retries=1",
		"retries and max_event_age are for the hooks that tell, not "
		"auth_on_publish");
	refused(HOOK_ON_PUBLISH, "on_error=allow", "on_error is for");
	refused(HOOK_ON_PUBLISH, "blocking=on", "blocking is for");
	refused(HOOK_ON_PUBLISH, "cache_refusals=on", "cache_refusals is for");
	refused(HOOK_ON_PUBLISH, "forward_connection_opts=on",
		"forward_connection_opts is for");
}

static void an_option_is_given_once(void **state)
{
	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "retries=1", "retries=1"),
			 -EINVAL);
	assert_non_null(strstr(error.text, "--retries: set twice"));
	assert_int_equal(
		ADD(HOOK_ON_PUBLISH, "base64payload=true", "base64encode=on"),
		-EINVAL);
	assert_non_null(strstr(error.text, "set twice; first at "
					   "--base64payload"));
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "header.A=x", "header.a=y"),
			 -EINVAL);
	refused(HOOK_ON_PUBLISH, "hook=on_register", "set twice");
	refused(HOOK_ON_PUBLISH, "endpoint=http://other/", "set twice");
	assert_int_equal(s->webhooks, 0);
}

static void values_are_one_line(void **state)
{
	(void)state;
	refused(HOOK_ON_PUBLISH, "no_proxy=a\nb", "one line of text");
	refused(HOOK_ON_PUBLISH, "no_proxy=a\rb", "one line of text");
	refused(HOOK_ON_PUBLISH, "secret=" SECRET "\n" SECRET, "one line");
	refused(HOOK_ON_PUBLISH, "header.A\n=x", "one line of text");
}

static void options_have_a_ceiling(void **state)
{
	char why[CONF_REASON_LEN] = "", long_one[9000];
	struct registration *r;
	int err = 0, n = 0;

	(void)state;
	assert_int_equal(registration_create(&r, HOOK_ON_PUBLISH, URL), 0);
	while (!err && n < 100) {
		err = registration_add(r, "--sni", "sni", "x", why);
		n += !err;
	}
	assert_int_equal(err, -EINVAL);
	assert_int_equal(n, REGISTRATION_OPTIONS_MAX);
	assert_string_equal(why, "more than 64 options");
	registration_unref(r);
	memset(long_one, 'x', sizeof(long_one));
	long_one[sizeof(long_one) - 1] = '\0';
	assert_int_equal(registration_create(&r, HOOK_ON_PUBLISH, URL), 0);
	assert_int_equal(registration_add(r, "--sni", "sni", long_one, why), 0);
	assert_int_equal(registration_add(r, "--x", "x", long_one, why),
			 -EINVAL);
	assert_string_equal(why, "more than 16384 bytes of options");
	registration_unref(r);
}

static void so_have_webhooks(void **state)
{
	struct registration *list[1001];
	struct settings *more;

	(void)state;
	for (int i = 0; i < 1001; i++) {
		char url[64];

		snprintf(url, sizeof(url), "http://h/%d", i);
		assert_int_equal(
			registration_create(&list[i], HOOK_ON_PUBLISH, url), 0);
	}
	assert_int_equal(settings_register_list(s, list, 1001, NULL, NULL,
						&more, &error),
			 -EINVAL);
	assert_non_null(strstr(error.text, "more than 1000 webhooks"));
	assert_int_equal(settings_register_list(s, list, 1000, NULL, NULL,
						&more, &error),
			 0);
	assert_int_equal(more->webhooks, 1000);
	settings_unref(more);
	for (int i = 0; i < 1001; i++)
		registration_unref(list[i]);
}

/* ---- secrets ---- */

static void no_error_repeats_a_secret(void **state)
{
	(void)state;
	refused(HOOK_ON_PUBLISH, "secret=hunter2", "--secret: ");
	assert_null(strstr(error.text, "hunter2"));
	refused(HOOK_ON_PUBLISH, "header.A= \x01hunter2", "--header.A: ");
	assert_null(strstr(error.text, "hunter2"));
	refused(HOOK_ON_PUBLISH, "secert=hunter2", "--secert: ");
	assert_null(strstr(error.text, "hunter2"));
	refused(HOOK_ON_PUBLISH, "header=A: hunter2", "The form is");
	assert_null(strstr(error.text, "hunter2"));
	refused(HOOK_ON_PUBLISH, "proxy=ftp://joe:hunter2@h", "--proxy: ");
	assert_null(strstr(error.text, "hunter2"));
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "keyfile_password=hunter2",
			     "keyfile_password_file=/nonexistent"),
			 -EINVAL);
	assert_null(strstr(error.text, "hunter2"));
}

static void what_is_shown_is_what_differs(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.w.hook", "auth_on_publish" },
		{ "vmq_webhooks.w.endpoint", URL },
		{ "vmq_webhooks.v.hook", "on_publish" },
		{ "vmq_webhooks.v.endpoint", URL },
		{ "vmq_webhooks.retries", "9" },
	};

	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "retries=3", "trace=off",
			     "connect_timeout=1000"),
			 0);
	assert_string_equal(registered(HOOK_ON_PUBLISH)->options, "");
	/* those of all that a hook has no use for are not */
	LOAD(opts);
	assert_string_equal(registered(HOOK_AUTH_ON_PUBLISH)->options, "");
	assert_string_equal(registered(HOOK_ON_PUBLISH)->options,
			    "--retries=9");
}

static void secrets_are_not_shown(void **state)
{
	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "header.X-Key=hunter2",
			     "secret=" SECRET, "keyfile_password=hunter2",
			     "proxy=http://joe:hunter2@proxy:8080",
			     "no_proxy=it's, b", "trace=on"),
			 0);
	assert_string_equal(registered(HOOK_ON_PUBLISH)->options,
			    "--keyfile_password=*** "
			    "--proxy='http://***@proxy:8080' "
			    "--no_proxy='it'\\''s, b' --trace=on "
			    "--header.X-Key=*** --secret=***");
}

/* ---- once more ---- */

/* Settings just loaded, and what `s` has of run time. */
static int again(const struct settings_opt *opts, size_t n,
		 struct settings **ret)
{
	struct settings *now;
	int err;

	assert_int_equal(settings_load(opts, n, &now, &error), 0);
	err = settings_keep_runtime(now, s, &error);
	if (err)
		settings_unref(now);
	else
		*ret = now;
	return err;
}

static void they_are_made_anew_on_other_settings(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.w.hook", "on_publish" },
		{ "vmq_webhooks.w.endpoint", "http://file/" },
		{ "vmq_webhooks.retries", "9" },
		{ "vmq_webhooks.header.B", "all" },
	};
	const struct webhook *w;
	struct settings *now;

	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "header.A=x", "retries=2"), 0);
	assert_int_equal(ADD(HOOK_ON_REGISTER, "trace=on"), 0);
	assert_int_equal(again(opts, 4, &now), 0);
	assert_int_equal(now->webhooks, 3);
	/* behind those of the file */
	assert_string_equal(now->chain[HOOK_ON_PUBLISH][0].endpoint,
			    "http://file/");
	w = &now->chain[HOOK_ON_PUBLISH][1];
	assert_int_equal(w->retries, 2);
	assert_string_equal(w->call.credentials->headers[0], "A: x");
	assert_string_equal(w->call.credentials->headers[1], "B: all");
	assert_ptr_equal(w->registration,
			 registered(HOOK_ON_PUBLISH)->registration);
	w = &now->chain[HOOK_ON_REGISTER][0];
	assert_int_equal(w->retries, 9);
	assert_true(w->call.trace);
	settings_unref(now);
}

static void what_the_file_has_by_now_is_left_to_it(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.w.hook", "on_publish" },
		{ "vmq_webhooks.w.endpoint", URL },
	};
	struct settings *now;

	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "retries=1"), 0);
	assert_int_equal(ADD(HOOK_ON_REGISTER, "retries=1"), 0);
	assert_int_equal(again(opts, 2, &now), 0);
	assert_int_equal(now->webhooks, 2);
	assert_string_equal(settings_find(now, HOOK_ON_PUBLISH, URL)->name,
			    "w");
	settings_unref(now);
}

static void note_skipped(const struct registration *r, void *arg)
{
	const struct registration **ret = arg;

	*ret = r;
}

static void who_has_it_already_is_told(void **state)
{
	const struct registration *skipped = NULL;
	struct registration *list[1];
	struct settings *more;

	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "retries=1"), 0);
	assert_int_equal(registration_create(&list[0], HOOK_ON_PUBLISH, URL),
			 0);
	assert_int_equal(settings_register_list(s, list, 1, note_skipped,
						&skipped, &more, &error),
			 0);
	assert_ptr_equal(skipped, list[0]);
	assert_int_equal(more->webhooks, 1);
	settings_unref(more);
	registration_unref(list[0]);
}

static void what_can_no_longer_be_is_named(void **state)
{
	struct settings *now;
	char option[96], away[96];

	(void)state;
	snprintf(option, sizeof(option), "secret_file=%s", file);
	snprintf(away, sizeof(away), "%s.away", file);
	assert_int_equal(ADD(HOOK_ON_PUBLISH, option), 0);
	assert_int_equal(rename(file, away), 0);
	assert_int_equal(again(NULL, 0, &now), -EINVAL);
	assert_non_null(strstr(error.text, "hook=on_publish endpoint=" URL
					   ": --secret_file: "));
	assert_int_equal(rename(away, file), 0);
	assert_int_equal(again(NULL, 0, &now), 0);
	settings_unref(now);
}

/* The other way to register is none of its own. */
static void a_webhook_is_a_registration(void **state)
{
	const struct webhook webhook = {
		.hook = HOOK_AUTH_ON_PUBLISH,
		.endpoint = (char[]){ URL },
		.timeout_ms = 77,
		.on_error = ON_ERROR_NEXT,
		.cache_refusals = true,
		.codec.no_payload = true,
	};
	struct settings *now, *more;

	(void)state;
	assert_int_equal(settings_with(s, &webhook, &more, &error), 0);
	settings_unref(s);
	s = more;
	assert_int_equal(again(NULL, 0, &now), 0);
	assert_string_equal(
		settings_find(now, HOOK_AUTH_ON_PUBLISH, URL)->options,
		"--base64encode=off --no_payload=on --response_timeout=77 "
		"--on_error=next --cache_refusals=on");
	settings_unref(now);
}

static void it_outlives_the_settings_it_was_made_on(void **state)
{
	struct settings *t;
	struct registration *r;

	(void)state;
	assert_int_equal(ADD(HOOK_ON_PUBLISH, "header.A=x"), 0);
	r = registration_ref(registered(HOOK_ON_PUBLISH)->registration);
	assert_int_equal(atomic_load(&r->refs), 2);
	assert_int_equal(settings_without(s, HOOK_ON_PUBLISH, URL, &t), 0);
	settings_unref(s);
	s = t;
	assert_int_equal(atomic_load(&r->refs), 1);
	assert_string_equal(r->options[0].value, "x");
	registration_unref(r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_options_it_is_as_all_are),
		TEST(every_option_does_what_its_key_does),
		TEST(no_key_is_left_out),
		TEST(options_are_taken_together),
		TEST(its_own_goes_before_what_is_set_for_all),
		TEST(one_way_is_shared),
		TEST(what_is_there_is_not_registered_again),
		TEST(unknown_options_are_refused_with_the_nearest),
		TEST(values_are_checked_as_in_the_configuration),
		TEST(options_are_for_their_hooks),
		TEST(an_option_is_given_once),
		TEST(values_are_one_line),
		TEST(options_have_a_ceiling),
		TEST(so_have_webhooks),
		TEST(no_error_repeats_a_secret),
		TEST(what_is_shown_is_what_differs),
		TEST(secrets_are_not_shown),
		TEST(they_are_made_anew_on_other_settings),
		TEST(what_the_file_has_by_now_is_left_to_it),
		TEST(who_has_it_already_is_told),
		TEST(what_can_no_longer_be_is_named),
		TEST(a_webhook_is_a_registration),
		TEST(it_outlives_the_settings_it_was_made_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
