/* plugin/settings/settings_reload.h */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "plugin/settings/settings_reload.h"

#define SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define WEBHOOK(name, hook, url)                                               \
	"vmq_webhooks." name ".hook = " hook "\n"                              \
	"vmq_webhooks." name ".endpoint = " url "\n"

#define A WEBHOOK("a", "auth_on_publish", "http://a/")
#define S WEBHOOK("a", "auth_on_publish", "https://a/")
#define B WEBHOOK("b", "on_publish", "http://b/")

static const char pem[] = "-----BEGIN CERTIFICATE-----\n"
			  "MAMCAQE=\n"
			  "-----END CERTIFICATE-----\n";
static const char other_pem[] = "-----BEGIN CERTIFICATE-----\n"
				"MAMCAQI=\n"
				"-----END CERTIFICATE-----\n";

/* A folder with the configuration and what it names. */
struct fixture {
	char dir[64], conf[96];
	struct settings_source *source;
	struct settings *before, *now;
	struct settings_report report;
	struct conf_error error;
};

static void write_file(const struct fixture *f, const char *name,
		       const char *text)
{
	char path[128];
	FILE *to;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	to = fopen(path, "w");
	assert_non_null(to);
	assert_true(fputs(text, to) >= 0);
	assert_int_equal(fclose(to), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct settings_opt opt = { "config_file", f->conf };

	*state = f;
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_reload.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->conf, sizeof(f->conf), "%s/conf", f->dir);
	return settings_source_create(&f->source, &opt, 1);
}

static int teardown(void **state)
{
	static const char *const names[] = { "conf", "ca", "secret" };
	struct fixture *f = *state;
	char path[128];

	settings_unref(f->before);
	settings_unref(f->now);
	settings_source_destroy(f->source);
	for (size_t i = 0; i < SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

/* ~ in `text` is the folder. */
static void write_conf(const struct fixture *f, const char *text)
{
	char whole[8192] = "";
	const char *at;

	while ((at = strchr(text, '~'))) {
		size_t used = strlen(whole);

		snprintf(whole + used, sizeof(whole) - used, "%.*s%s",
			 (int)(at - text), text, f->dir);
		text = at + 1;
	}
	strncat(whole, text, sizeof(whole) - strlen(whole) - 1);
	write_file(f, "conf", whole);
}

static struct settings *load(struct fixture *f, const char *text)
{
	struct settings *s = NULL;

	write_conf(f, text);
	assert_int_equal(settings_source_load(f->source, &s, &f->error), 0);
	return s;
}

static void begin(struct fixture *f, const char *text)
{
	settings_unref(f->before);
	f->before = load(f, text);
}

static void add(struct fixture *f, enum hook_id hook, const char *url)
{
	char endpoint[128];
	struct webhook webhook = { .hook = hook,
				   .endpoint = endpoint,
				   .timeout_ms = 1234 };
	struct settings *s;

	snprintf(endpoint, sizeof(endpoint), "%s", url);
	assert_int_equal(settings_with(f->before, &webhook, &s, &f->error), 0);
	settings_unref(f->before);
	f->before = s;
}

static void reload(struct fixture *f, const char *text)
{
	settings_unref(f->now);
	f->now = load(f, text);
	assert_int_equal(
		settings_succeed(f->now, f->before, &f->report, &f->error), 0);
}

static void expect(const struct fixture *f, const char *first, const char *more)
{
	char want[2048];

	snprintf(want, sizeof(want), "configuration read again: webhooks: %s%s",
		 first, more);
	assert_string_equal(f->report.text, want);
}

static const struct webhook *find(const struct settings *s, enum hook_id hook,
				  const char *url)
{
	const struct webhook *w = settings_find(s, hook, url);

	assert_non_null(w);
	return w;
}

/* ---- the source ---- */

static void the_source_is_a_copy(void **state)
{
	char key[] = "vmq_webhooks.a.hook", value[] = "on_publish";
	struct settings_opt opts[] = {
		{ key, value },
		{ "vmq_webhooks.a.endpoint", "http://a/" },
	};
	struct settings_source *source;
	struct conf_error error;
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(settings_source_create(&source, opts, 2), 0);
	memset(key, 'x', strlen(key));
	memset(value, 'x', strlen(value));
	assert_int_equal(settings_source_load(source, &s, &error), 0);
	assert_int_equal(s->chained[HOOK_ON_PUBLISH], 1);
	settings_unref(s);
	settings_source_destroy(source);
	settings_source_destroy(NULL);
}

static void the_file_is_read_anew_each_time(void **state)
{
	struct fixture *f = *state;

	begin(f, A);
	reload(f, B);
	assert_int_equal(f->now->chained[HOOK_AUTH_ON_PUBLISH], 0);
	assert_int_equal(f->now->chained[HOOK_ON_PUBLISH], 1);
}

/* ---- what goes on ---- */

static void counters_go_on(void **state)
{
	struct fixture *f = *state;
	const struct webhook *was, *is;

	begin(f, A B);
	reload(f, A "vmq_webhooks.a.response_timeout = 7\n" B);
	was = find(f->before, HOOK_AUTH_ON_PUBLISH, "http://a/");
	is = find(f->now, HOOK_AUTH_ON_PUBLISH, "http://a/");
	assert_ptr_equal(was->stats, is->stats);
	assert_false(settings_same_webhook(was, is));
	was = find(f->before, HOOK_ON_PUBLISH, "http://b/");
	is = find(f->now, HOOK_ON_PUBLISH, "http://b/");
	assert_ptr_equal(was->stats, is->stats);
	assert_true(settings_same_webhook(was, is));
	/* they outlive the old settings */
	settings_unref(f->before);
	f->before = NULL;
	is->stats->requests = 1;
}

static void another_endpoint_counts_from_nothing(void **state)
{
	struct fixture *f = *state;

	begin(f, A);
	reload(f, WEBHOOK("a", "auth_on_publish", "http://other/"));
	assert_ptr_not_equal(f->now->chain[HOOK_AUTH_ON_PUBLISH][0].stats,
			     f->before->chain[HOOK_AUTH_ON_PUBLISH][0].stats);
	expect(f, "1 added, 1 removed, 0 changed, 0 kept",
	       "\nadded: vmq_webhooks.a (auth_on_publish http://other/)"
	       "\nremoved: vmq_webhooks.a (auth_on_publish http://a/)");
}

static void a_name_or_a_place_is_no_change(void **state)
{
	struct fixture *f = *state;
	const struct webhook *chain;

	begin(f, WEBHOOK("a", "on_publish", "http://1/")
			 WEBHOOK("b", "on_publish", "http://2/"));
	reload(f, WEBHOOK("c", "on_publish", "http://1/")
			  WEBHOOK("b", "on_publish", "http://2/"));
	chain = f->now->chain[HOOK_ON_PUBLISH];
	assert_string_equal(chain[0].endpoint, "http://2/");
	assert_string_equal(chain[1].endpoint, "http://1/");
	assert_ptr_equal(chain[1].stats,
			 f->before->chain[HOOK_ON_PUBLISH][0].stats);
	expect(f, "0 added, 0 removed, 0 changed, 2 kept", "\nkept: b, c");
}

static void every_option_is_a_change(void **state)
{
	static const struct {
		const char *webhook, *key;
	} options[] = {
		{ A, "vmq_webhooks.a.base64encode = off" },
		{ A, "vmq_webhooks.a.no_payload = on" },
		{ A, "vmq_webhooks.a.response_timeout = 7" },
		{ A, "vmq_webhooks.a.on_error = next" },
		{ A, "vmq_webhooks.a.cache_refusals = on" },
		{ A, "vmq_webhooks.a.header.X = y" },
		{ A, "vmq_webhooks.header.X = y" },
		{ A, "vmq_webhooks.a.secret = "
		     "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz" },
		{ A, "vmq_webhooks.a.trace = on" },
		{ A, "vmq_webhooks.a.verify_peer = off" },
		{ A, "vmq_webhooks.verify_peer = off" },
		{ A, "vmq_webhooks.a.max_reply = 7" },
		{ A, "vmq_webhooks.a.proxy = http://p/" },
		{ B, "vmq_webhooks.b.retries = 7" },
		{ B, "vmq_webhooks.max_event_age = 7" },
		{ WEBHOOK("a", "auth_on_register", "http://a/"),
		  "vmq_webhooks.a.blocking = on" },
		{ WEBHOOK("a", "auth_on_register", "http://a/"),
		  "vmq_webhooks.a.forward_connection_opts = on" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < SIZE(options); i++) {
		char text[512];

		begin(f, options[i].webhook);
		snprintf(text, sizeof(text), "%s%s\n", options[i].webhook,
			 options[i].key);
		reload(f, text);
		assert_non_null(strstr(f->report.text, " 1 changed, 0 kept"));
		begin(f, text);
		reload(f, text);
		assert_non_null(strstr(f->report.text, " 0 changed, 1 kept"));
	}
}

static void what_is_in_a_file_is_a_change(void **state)
{
	static const struct {
		const char *key, *name, *first, *second;
	} files[] = {
		{ "vmq_webhooks.a.cafile = ~/ca", "ca", pem, other_pem },
		{ "vmq_webhooks.cafile = ~/ca", "ca", pem, other_pem },
		{ "vmq_webhooks.a.header_file.X = ~/secret", "secret", "1\n",
		  "2\n" },
		{ "vmq_webhooks.secret_file = ~/secret", "secret",
		  "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
		  "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI0" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < SIZE(files); i++) {
		const struct webhook *was, *is;
		char text[512];

		snprintf(text, sizeof(text), S "%s\n", files[i].key);
		write_file(f, files[i].name, files[i].first);
		begin(f, text);
		reload(f, text);
		expect(f, "0 added, 0 removed, 0 changed, 1 kept", "\nkept: a");
		write_file(f, files[i].name, files[i].second);
		reload(f, text);
		expect(f, "0 added, 0 removed, 1 changed, 0 kept",
		       "\nchanged: vmq_webhooks.a (auth_on_publish "
		       "https://a/)");
		/* by another way to the same endpoint */
		was = find(f->before, HOOK_AUTH_ON_PUBLISH, "https://a/");
		is = find(f->now, HOOK_AUTH_ON_PUBLISH, "https://a/");
		assert_string_equal(was->target, is->target);
	}
}

static void files_of_tls_matter_to_https_only(void **state)
{
	struct fixture *f = *state;
	const char *text = A "vmq_webhooks.cafile = ~/ca\n";

	write_file(f, "ca", pem);
	begin(f, text);
	write_file(f, "ca", other_pem);
	reload(f, text);
	expect(f, "0 added, 0 removed, 0 changed, 1 kept", "\nkept: a");
}

/* ---- run time ---- */

static void what_was_registered_stays_behind_the_file(void **state)
{
	struct fixture *f = *state;
	const struct webhook *was, *is;

	begin(f, B);
	add(f, HOOK_ON_PUBLISH, "http://r/");
	add(f, HOOK_ON_PUBLISH, "http://s/");
	reload(f, B WEBHOOK("z", "on_publish", "http://z/"));
	assert_int_equal(f->now->chained[HOOK_ON_PUBLISH], 4);
	assert_string_equal(f->now->chain[HOOK_ON_PUBLISH][2].endpoint,
			    "http://r/");
	assert_string_equal(f->now->chain[HOOK_ON_PUBLISH][3].endpoint,
			    "http://s/");
	was = find(f->before, HOOK_ON_PUBLISH, "http://r/");
	is = find(f->now, HOOK_ON_PUBLISH, "http://r/");
	assert_null(is->name);
	assert_int_equal(is->timeout_ms, 1234);
	assert_ptr_equal(was->stats, is->stats);
	expect(f, "1 added, 0 removed, 0 changed, 3 kept",
	       "\nadded: vmq_webhooks.z (on_publish http://z/)"
	       "\nkept: b, on_publish http://r/ of run time, "
	       "on_publish http://s/ of run time");
}

/* The report goes to the log. */
static void no_query_is_told(void **state)
{
	struct fixture *f = *state;

	begin(f, "");
	add(f, HOOK_ON_PUBLISH, "http://r/?token=secret");
	reload(f, WEBHOOK("z", "on_publish", "http://u:p@z/?token=secret"));
	expect(f, "1 added, 0 removed, 0 changed, 1 kept",
	       "\nadded: vmq_webhooks.z (on_publish "
	       "http://***@z/?token=***)"
	       "\nkept: on_publish http://r/?token=*** of run time");
}

static void what_the_file_has_now_is_as_in_the_file(void **state)
{
	struct fixture *f = *state;
	const struct webhook *is;

	begin(f, "");
	add(f, HOOK_ON_PUBLISH, "http://b/");
	reload(f, B);
	assert_int_equal(f->now->chained[HOOK_ON_PUBLISH], 1);
	is = find(f->now, HOOK_ON_PUBLISH, "http://b/");
	assert_string_equal(is->name, "b");
	assert_int_equal(is->timeout_ms, 5000);
	assert_ptr_equal(is->stats, f->before->chain[HOOK_ON_PUBLISH][0].stats);
	expect(f, "0 added, 0 removed, 1 changed, 0 kept",
	       "\nchanged: vmq_webhooks.b (on_publish http://b/)"
	       "\nregistered at run time, now as in the configuration: "
	       "vmq_webhooks.b (on_publish http://b/)");
}

static void what_it_has_of_all_follows_the_file(void **state)
{
	struct fixture *f = *state;
	const struct webhook *is;

	begin(f, "vmq_webhooks.retries = 1\nvmq_webhooks.header.X = 1\n");
	add(f, HOOK_ON_PUBLISH, "http://r/");
	reload(f, "vmq_webhooks.retries = 2\nvmq_webhooks.header.X = 2\n"
		  "vmq_webhooks.max_event_age = 99\nvmq_webhooks.trace = on\n"
		  "vmq_webhooks.verify_peer = off\n");
	is = find(f->now, HOOK_ON_PUBLISH, "http://r/");
	assert_int_equal(is->retries, 2);
	assert_int_equal(is->max_event_age_ms, 99);
	assert_string_equal(is->call.credentials->headers[0], "X: 2");
	assert_true(is->call.trace);
	assert_ptr_equal(is->transport, f->now->transport);
	assert_true(is->transport->way.no_verify);
	assert_non_null(strstr(f->report.text,
			       "changed: on_publish http://r/ of run time"));
}

static void webhooks_of_the_file_go_with_it(void **state)
{
	struct fixture *f = *state;

	begin(f, A B);
	reload(f, B);
	assert_int_equal(f->now->webhooks, 1);
	expect(f, "0 added, 1 removed, 0 changed, 1 kept",
	       "\nremoved: vmq_webhooks.a (auth_on_publish http://a/)"
	       "\nkept: b");
}

static char *many(unsigned n)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	for (unsigned i = 0; i < n; i++)
		fprintf(to,
			"vmq_webhooks.w%u.hook = on_publish\n"
			"vmq_webhooks.w%u.endpoint = http://h/%u\n",
			i, i, i);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void too_many_with_those_of_run_time_are_refused(void **state)
{
	struct fixture *f = *state;
	char *full = many(SETTINGS_WEBHOOKS_MAX);
	char *less = many(SETTINGS_WEBHOOKS_MAX - 1);
	struct settings *s = NULL;

	begin(f, "");
	add(f, HOOK_ON_PUBLISH, "http://r/");
	write_file(f, "conf", full);
	assert_int_equal(settings_source_load(f->source, &s, &f->error), 0);
	assert_int_equal(settings_succeed(s, f->before, &f->report, &f->error),
			 -EINVAL);
	assert_string_equal(f->error.text,
			    "more than 1000 webhooks with those that were "
			    "registered at run time: deregister some");
	settings_unref(s);
	write_file(f, "conf", less);
	assert_int_equal(settings_source_load(f->source, &s, &f->error), 0);
	assert_int_equal(settings_succeed(s, f->before, &f->report, &f->error),
			 0);
	/* a thousand names are no line: the rest is a number */
	assert_non_null(strstr(f->report.text, "999 added"));
	assert_non_null(strstr(f->report.text, " more\nkept: "));
	for (const char *at = f->report.text; at; at = strchr(at + 1, '\n'))
		assert_true(strcspn(at + 1, "\n") < 1000);
	settings_unref(s);
	free(full);
	free(less);
}

/* ---- what holds for all ---- */

static void keys_that_have_changed_are_named(void **state)
{
	struct fixture *f = *state;

	begin(f, "vmq_webhooks.max_queue = 7\n"
		 "vmq_webhooks.mountpoint = a/\n"
		 "vmq_webhooks.admin_users = 1, 2\n"
		 "vmq_webhooks.listener.1883.mountpoint = a/\n");
	reload(f, "vmq_webhooks.cache_max_bytes = 7\n"
		  "vmq_webhooks.read_checks = defer\n"
		  "vmq_webhooks.admin_users = 1, 3\n"
		  "vmq_webhooks.listener.1883.mountpoint = b/\n");
	expect(f, "0 added, 0 removed, 0 changed, 0 kept",
	       "\nsettings changed: vmq_webhooks.max_queue, "
	       "vmq_webhooks.cache_max_bytes, vmq_webhooks.read_checks, "
	       "vmq_webhooks.mountpoint, vmq_webhooks.admin_users, "
	       "vmq_webhooks.listener.<port>.mountpoint");
	assert_int_equal(f->now->limits.max_queue, SETTINGS_QUEUE_DEFAULT);
	assert_int_equal(f->now->limits.cache_max_bytes, 7);
	assert_null(f->now->mountpoint);
}

static void some_wait_for_the_next_start(void **state)
{
	struct fixture *f = *state;

	begin(f, "vmq_webhooks.admin_socket = /one\n");
	for (int i = 0; i < 2; i++) {
		reload(f, "plugins.vmq_webhooks = off\n"
			  "vmq_webhooks.metrics_listen = 127.0.0.1:9883\n");
		expect(f, "0 added, 0 removed, 0 changed, 0 kept",
		       "\nchanged, but in force only from the next start on: "
		       "plugins.vmq_webhooks, vmq_webhooks.admin_socket, "
		       "vmq_webhooks.metrics_listen");
		assert_null(f->now->metrics_listen);
		assert_string_equal(f->now->admin_socket, "/one");
		assert_true(f->now->admin_socket_given);
		assert_true(f->now->enabled);
		settings_unref(f->before);
		f->before = settings_ref(f->now);
	}
	reload(f, "vmq_webhooks.admin_socket = /one\n");
	expect(f, "0 added, 0 removed, 0 changed, 0 kept", "");
}

/* It goes into the log. */
static void a_secret_is_in_no_report(void **state)
{
#define SECRET_URL "http://joe:s3cret@h/?t=s3cret"
	struct fixture *f = *state;

	begin(f, WEBHOOK("a", "on_publish", SECRET_URL));
	add(f, HOOK_ON_REGISTER, SECRET_URL);
	add(f, HOOK_ON_CLIENT_GONE, SECRET_URL);
	reload(f, WEBHOOK("b", "on_subscribe", SECRET_URL)
			  WEBHOOK("c", "on_register", SECRET_URL));
	assert_non_null(strstr(f->report.text,
			       "removed: vmq_webhooks.a "
			       "(on_publish http://***@h/?t=***)"));
	assert_non_null(strstr(f->report.text,
			       "kept: on_client_gone http://***@h/?t=*** of "
			       "run time"));
	assert_null(strstr(f->report.text, "s3cret"));
#undef SECRET_URL
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_source_is_a_copy),
		TEST(the_file_is_read_anew_each_time),
		TEST(counters_go_on),
		TEST(another_endpoint_counts_from_nothing),
		TEST(a_name_or_a_place_is_no_change),
		TEST(every_option_is_a_change),
		TEST(what_is_in_a_file_is_a_change),
		TEST(files_of_tls_matter_to_https_only),
		TEST(what_was_registered_stays_behind_the_file),
		TEST(no_query_is_told),
		TEST(what_the_file_has_now_is_as_in_the_file),
		TEST(what_it_has_of_all_follows_the_file),
		TEST(webhooks_of_the_file_go_with_it),
		TEST(too_many_with_those_of_run_time_are_refused),
		TEST(keys_that_have_changed_are_named),
		TEST(some_wait_for_the_next_start),
		TEST(a_secret_is_in_no_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
