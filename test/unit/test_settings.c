#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "plugin/broker.h"
#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"

enum {
	OPTS_MAX = 16
};

static struct settings *s;
static struct conf_error error;
static char file[64];
static struct settings_opt opts[OPTS_MAX];
static size_t count;

static int setup(void **state)
{
	int fd;

	(void)state;
	s = NULL;
	count = 0;
	memset(&error, 0, sizeof(error));
	snprintf(file, sizeof(file), "/tmp/test_settings.XXXXXX");
	fd = mkstemp(file);
	return fd < 0 || close(fd) != 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	settings_unref(s);
	return unlink(file);
}

static void opt(const char *key, const char *value)
{
	assert_true(count < OPTS_MAX);
	opts[count++] = (struct settings_opt){ key, value };
}

/* With `text` in a file if it is not NULL, and the options so far. */
static int load(const char *text)
{
	FILE *f;

	settings_unref(s);
	s = NULL;
	if (!text)
		return settings_load(opts, count, &s, &error);
	f = fopen(file, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	opts[count] = (struct settings_opt){ "config_file", file };
	return settings_load(opts, count + 1, &s, &error);
}

/* Each @ in `want` is the file. */
static void expect_error(const char *text, const char *want)
{
	char whole[1024] = "";
	const char *at;

	assert_int_equal(load(text), -EINVAL);
	while ((at = strstr(want, "@"))) {
		size_t used = strlen(whole);

		snprintf(whole + used, sizeof(whole) - used, "%.*s%s",
			 (int)(at - want), want, file);
		want = at + 1;
	}
	snprintf(whole + strlen(whole), sizeof(whole) - strlen(whole), "%s",
		 want);
	assert_string_equal(error.text, whole);
	assert_null(s);
}

#define WEBHOOK(name, hook, url)                                               \
	"vmq_webhooks." name ".hook = " hook "\n"                              \
	"vmq_webhooks." name ".endpoint = " url "\n"

/* ---- loading ---- */

static void nothing_set_means_defaults(void **state)
{
	(void)state;
	assert_int_equal(load(NULL), 0);
	assert_true(s->enabled);
	assert_int_equal(s->limits.pool_max_connections, 100);
	assert_int_equal(s->limits.pool_timeout_ms, 60000);
	assert_string_equal(s->admin_socket,
			    "/run/mosquitto/vmq_webhooks.sock");
	assert_false(s->admin_socket_given);
	assert_null(s->metrics_listen);
	assert_int_equal(s->webhooks, 0);
	for (int h = 0; h < HOOK_COUNT; h++)
		assert_int_equal(s->chained[h], 0);
}

static void every_key_is_read(void **state)
{
	const struct webhook *w;

	(void)state;
	assert_int_equal(
		load("plugins.vmq_webhooks = off\n"
		     "plugins.vmq_webhooks.priority = 5\n"
		     "plugins.vmq_webhooks.path = /opt/x\n"
		     "vmq_webhooks.clique_lead_line = whatever\n"
		     "vmq_webhooks.pool_max_connections = 7\n"
		     "vmq_webhooks.pool_timeout = 8\n"
		     "vmq_webhooks.admin_socket = /tmp/x.sock\n" WEBHOOK(
			     "w", "auth_on_publish_m5",
			     "http://h/x?a=b==&c=d=") "vmq_webhooks.w."
						      "base64encode = off\n"
						      "vmq_webhooks.w.no_"
						      "payload = on\n"
						      "vmq_webhooks.w.response_"
						      "timeout = 1234\n"),
		0);
	assert_false(s->enabled);
	assert_int_equal(s->limits.pool_max_connections, 7);
	assert_int_equal(s->limits.pool_timeout_ms, 8);
	assert_string_equal(s->admin_socket, "/tmp/x.sock");
	assert_true(s->admin_socket_given);
	assert_int_equal(s->webhooks, 1);
	assert_int_equal(s->chained[HOOK_AUTH_ON_PUBLISH_M5], 1);
	w = s->chain[HOOK_AUTH_ON_PUBLISH_M5];
	assert_int_equal(w->hook, HOOK_AUTH_ON_PUBLISH_M5);
	assert_string_equal(w->name, "w");
	assert_string_equal(w->endpoint, "http://h/x?a=b==&c=d=");
	assert_int_equal(w->timeout_ms, 1234);
	assert_false(w->codec.base64_payload);
	assert_true(w->codec.no_payload);
	assert_non_null(w->stats);
}

static void a_webhook_has_vernemqs_defaults(void **state)
{
	const struct webhook *w;

	(void)state;
	assert_int_equal(load(WEBHOOK("w", "on_publish", "http://h")), 0);
	w = s->chain[HOOK_ON_PUBLISH];
	assert_int_equal(w->timeout_ms, 5000);
	assert_true(w->codec.base64_payload);
	assert_false(w->codec.no_payload);
	assert_int_equal(w->stats->requests, 0);
}

static void every_hook_can_be_named(void **state)
{
	char text[256];

	(void)state;
	for (int h = 0; h < HOOK_COUNT; h++) {
		snprintf(text, sizeof(text),
			 "vmq_webhooks.w.hook = %s\n"
			 "vmq_webhooks.w.endpoint = http://h\n",
			 hook_table[h].name);
		assert_int_equal(load(text), 0);
		assert_int_equal(s->chained[h], 1);
		assert_int_equal(s->webhooks, 1);
	}
}

static void options_alone_suffice(void **state)
{
	(void)state;
	opt("vmq_webhooks.w.hook", "auth_on_register");
	opt("vmq_webhooks.w.endpoint", "http://h/a#b'c");
	opt("vmq_webhooks.pool_timeout", "9");
	opt("plugins.vmq_webhooks", "on ");
	assert_int_equal(load(NULL), 0);
	assert_string_equal(s->chain[HOOK_AUTH_ON_REGISTER]->endpoint,
			    "http://h/a#b'c");
	assert_int_equal(s->limits.pool_timeout_ms, 9);
}

static void a_webhook_may_stand_in_both(void **state)
{
	(void)state;
	opt("vmq_webhooks.w.hook", "auth_on_register");
	assert_int_equal(load("vmq_webhooks.w.endpoint = http://h\n"), 0);
	assert_int_equal(s->chained[HOOK_AUTH_ON_REGISTER], 1);
}

static void a_whole_vernemq_conf_is_taken(void **state)
{
	(void)state;
	assert_int_equal(
		load("## Allow anonymous users\n"
		     "allow_anonymous = off\r\n"
		     "listener.tcp.default = 127.0.0.1:1883\n"
		     "plugins.vmq_passwd = on\n"
		     "plugins.vmq_passwd.priority = 1\n"
		     "plugins.my_webhooks = on\n"
		     "plugins.vmq_webhooks = on\n"
		     "vmq_acl.acl_file = ./etc/vmq.acl\n"
		     "vmq_diversity.myscript1.file = path/to/my/script.lua\n"
		     "#vmq_webhooks.webhook1.hook = bogus\n" WEBHOOK(
			     "webhook1", "auth_on_register",
			     "http://127.0.0.1/myendpoints") "nodename = V@h\n"
							     "\n"
							     "include conf.d/"
							     "*.conf\n\n"),
		0);
	assert_int_equal(s->webhooks, 1);
}

/* ---- chains ---- */

static void chains_are_in_the_order_of_the_names(void **state)
{
	const struct webhook *chain;

	(void)state;
	opt("vmq_webhooks.a.hook", "on_publish");
	opt("vmq_webhooks.a.endpoint", "http://a");
	assert_int_equal(
		load(WEBHOOK("webhook2", "on_publish", "http://2") WEBHOOK(
			"webhook10", "on_publish", "http://10")
			     WEBHOOK("Z", "on_publish", "http://Z")
				     WEBHOOK("b", "on_deliver", "http://2")),
		0);
	chain = s->chain[HOOK_ON_PUBLISH];
	assert_int_equal(s->chained[HOOK_ON_PUBLISH], 4);
	assert_string_equal(chain[0].name, "Z");
	assert_string_equal(chain[1].name, "a");
	assert_string_equal(chain[2].name, "webhook10");
	assert_string_equal(chain[3].name, "webhook2");
	assert_int_equal(s->chained[HOOK_ON_DELIVER], 1);
}

static void the_same_hook_and_endpoint_twice_is_an_error(void **state)
{
	(void)state;
	expect_error(WEBHOOK("b", "on_publish", "http://h")
			     WEBHOOK("a", "on_publish", "http://h"),
		     "@:1: vmq_webhooks.b (its first key is here): hook and "
		     "endpoint are those of vmq_webhooks.a");
}

static void the_same_endpoint_on_another_hook_is_none(void **state)
{
	(void)state;
	assert_int_equal(load(WEBHOOK("b", "on_publish", "http://h") WEBHOOK(
				 "a", "on_register", "http://h")
				      WEBHOOK("c", "on_publish", "http://h/")),
			 0);
	assert_int_equal(s->webhooks, 3);
}

static void a_webhook_without_its_half_is_an_error(void **state)
{
	(void)state;
	expect_error("# a\nvmq_webhooks.w.no_payload = on\n"
		     "vmq_webhooks.w.hook = on_publish\n",
		     "@:2: vmq_webhooks.w (its first key is here): it has no "
		     "endpoint");
	expect_error("vmq_webhooks.w.endpoint = http://h\n",
		     "@:1: vmq_webhooks.w (its first key is here): it has no "
		     "hook");
	opt("vmq_webhooks.w.hook", "on_publish");
	expect_error(NULL,
		     "plugin_opt_vmq_webhooks.w.hook: vmq_webhooks.w (its "
		     "first key is here): it has no endpoint");
}

static void too_many_webhooks_are_an_error(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fprintf(f,
			"vmq_webhooks.w%d.hook = on_publish\n"
			"vmq_webhooks.w%d.endpoint = http://h/%d\n",
			i, i, i);
	assert_int_equal(fflush(f), 0);
	assert_int_equal(load(text), 0);
	assert_int_equal(s->webhooks, 1000);
	fprintf(f, "vmq_webhooks.more.hook = on_publish\n");
	assert_int_equal(fclose(f), 0);
	expect_error(text, "@:2001: vmq_webhooks.more.hook: more than 1000 "
			   "webhooks");
	free(text);
}

/* ---- mistakes ---- */

static void a_wrong_value_is_an_error_with_a_suggestion(void **state)
{
	(void)state;
	assert_int_equal(load("vmq_webhooks.w.hook = auth_on_regster\n"),
			 -EINVAL);
	assert_non_null(strstr(error.text, ":1: vmq_webhooks.w.hook: "
					   "\"auth_on_regster\" is no hook; "
					   "allowed: auth_on_register, "));
	assert_non_null(strstr(error.text, ", on_auth_m5; did you mean "
					   "\"auth_on_register\"?"));
	assert_int_equal(load("vmq_webhooks.w.endpoint = ftp://h\n"), -EINVAL);
	expect_error("vmq_webhooks.w.response_timeout = 5s\n",
		     "@:1: vmq_webhooks.w.response_timeout: \"5s\" is no whole "
		     "number in range; allowed: 1 to 600000 (ms, without a "
		     "unit)");
	assert_int_equal(load("vmq_webhooks.w.response_timeout = 0\n"),
			 -EINVAL);
	assert_int_equal(load("vmq_webhooks.w.base64encode = true\n"), -EINVAL);
	assert_int_equal(load("vmq_webhooks.pool_max_connections = 0\n"),
			 -EINVAL);
	assert_int_equal(load("vmq_webhooks.pool_max_connections = 10001\n"),
			 -EINVAL);
	assert_int_equal(load("plugins.vmq_webhooks = maybe\n"), -EINVAL);
}

#define TRANSPORT                                                              \
	"cafile, certfile, keyfile, keyfile_password, keyfile_password_file, " \
	"verify_peer, depth, tls_version, use_crls, crlfile, sni, "            \
	"pinned_public_key, http_version, proxy, no_proxy, connect_timeout, "  \
	"max_reply, "                                                          \
	"dns_timeout, "                                                        \
	"connection_lifetime"

#define CALL                                                                   \
	"secret, secret_file, signing_key_file, trace, "                       \
	"forward_connection_opts"

static void an_unknown_key_is_an_error_with_a_suggestion(void **state)
{
	(void)state;
	expect_error("vmq_webhooks.w.endpoin = http://h\n",
		     "@:1: vmq_webhooks.w.endpoin: no such key; allowed: hook, "
		     "endpoint, base64encode, no_payload, response_timeout, "
		     "on_error, blocking, cache_refusals, retries, "
		     "max_event_age, " TRANSPORT ", " CALL "; did you mean "
		     "\"vmq_webhooks.w.endpoint\"?");
	expect_error("vmq_webhooks.pool_timout = 5\n",
		     "@:1: vmq_webhooks.pool_timout: no such key; allowed: "
		     "pool_max_connections, pool_timeout, blocking_timeout, "
		     "blocking_budget, breaker_failures, breaker_open, "
		     "max_queue, max_queue_bytes, retries, max_event_age, "
		     "drain_timeout, cache_max_bytes, cache_jitter, "
		     "log_interval, log_level, admin_socket, persist, "
		     "persist_file, admin_users, metrics_listen, "
		     "default_policy, read_checks, publish_denied, "
		     "mountpoint, " TRANSPORT ", " CALL
		     "; did you mean \"vmq_webhooks.pool_timeout\"?");
	expect_error("vmq_webhook.w.hook = on_publish\n",
		     "@:1: vmq_webhook.w.hook: no such key; did you mean "
		     "\"vmq_webhooks.w.hook\"?");
	expect_error("plugins.vmq_webhook = on\n",
		     "@:1: plugins.vmq_webhook: no such key; did you mean "
		     "\"plugins.vmq_webhooks\"?");
}

/* ---- transport ---- */

#define DER  "MAMCAQA=\n"
#define CERT "-----BEGIN CERTIFICATE-----\n" DER "-----END CERTIFICATE-----\n"
#define CRL  "-----BEGIN X509 CRL-----\n" DER "-----END X509 CRL-----\n"
#define KEY  "-----BEGIN PRIVATE KEY-----\n" DER "-----END PRIVATE KEY-----\n"
#define LOCKED                                                                 \
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" DER                          \
	"-----END ENCRYPTED PRIVATE KEY-----\n"
#define OLD_LOCKED                                                             \
	"-----BEGIN EC PRIVATE KEY-----\n"                                     \
	"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" DER             \
	"-----END EC PRIVATE KEY-----\n"

static char pem[4][80];

/* A file, until the test ends. */
static const char *pem_file(unsigned i, const char *text)
{
	FILE *f;

	snprintf(pem[i], sizeof(pem[i]), "%s.%u", file, i);
	f = fopen(pem[i], "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	return pem[i];
}

static int remove_pem_files(void **state)
{
	for (unsigned i = 0; i < sizeof(pem) / sizeof(*pem); i++) {
		if (*pem[i])
			unlink(pem[i]);
		*pem[i] = '\0';
	}
	return teardown(state);
}

/* The first of a chain. */
static const struct webhook *first(enum hook_id hook)
{
	assert_true(s->chained[hook] > 0);
	return &s->chain[hook][0];
}

static void transport_has_defaults(void **state)
{
	const struct pool_transport *way;

	(void)state;
	assert_int_equal(load(WEBHOOK("a", "on_publish", "https://h/")), 0);
	assert_ptr_equal(first(HOOK_ON_PUBLISH)->transport, s->transport);
	assert_string_equal(first(HOOK_ON_PUBLISH)->target, "https://h/");
	way = &s->transport->way;
	assert_null(way->ca.data);
	assert_null(way->cert.data);
	assert_null(way->crl.data);
	assert_false(way->no_verify);
	assert_int_equal(way->tls, POOL_TLS_1_2);
	assert_null(way->server_name);
	assert_null(way->pinned_key);
	assert_int_equal(way->connect_ms, 1000);
	assert_int_equal(way->dns_ms, 60000);
	assert_int_equal(way->lifetime_ms, 0);
	assert_int_equal(s->transport->max_reply, 1048576);
	assert_string_equal(s->transport->id, "");
}

static void transport_is_read_for_all_and_for_one(void **state)
{
	const struct pool_transport *way;

	(void)state;
	opt("vmq_webhooks.cafile", pem_file(0, "text\n" CERT CERT));
	opt("vmq_webhooks.certfile", pem_file(1, CERT));
	opt("vmq_webhooks.keyfile", pem_file(2, LOCKED));
	opt("vmq_webhooks.keyfile_password", "s3cret");
	opt("vmq_webhooks.b.certfile", pem_file(3, KEY CERT));
	opt("vmq_webhooks.b.keyfile_password", "");
	assert_int_equal(
		load(WEBHOOK("a", "on_publish", "https://h/") WEBHOOK(
			"b", "on_register",
			"https://h/") "vmq_webhooks.tls_version = tlsv1.3\n"
				      "vmq_webhooks.b.tls_version = tlsv1.1\n"
				      "vmq_webhooks.b.verify_peer = off\n"
				      "vmq_webhooks.b.sni = other.example\n"
				      "vmq_webhooks.b.max_reply = 1000\n"
				      "vmq_webhooks.b.connect_timeout = 5\n"),
		0);
	way = &first(HOOK_ON_PUBLISH)->transport->way;
	assert_string_equal(way->ca.data, "text\n" CERT CERT);
	assert_string_equal(way->key.data, LOCKED);
	assert_string_equal(way->key_password, "s3cret");
	assert_int_equal(way->tls, POOL_TLS_1_3);
	way = &first(HOOK_ON_REGISTER)->transport->way;
	assert_string_equal(way->ca.data, "text\n" CERT CERT);
	assert_string_equal(way->cert.data, KEY CERT);
	assert_string_equal(way->key.data, KEY CERT);
	assert_null(way->key_password);
	assert_int_equal(way->tls, POOL_TLS_1_1);
	assert_true(way->no_verify);
	assert_string_equal(way->server_name, "other.example");
	assert_int_equal(way->connect_ms, 5);
	assert_int_equal(first(HOOK_ON_REGISTER)->transport->max_reply, 1000);
}

static void one_url_by_two_ways_is_two_targets(void **state)
{
	const struct webhook *a, *b, *c, *d;

	(void)state;
	assert_int_equal(
		load(WEBHOOK("a", "on_publish", "https://h/") WEBHOOK(
			"b", "on_register",
			"https://h/") WEBHOOK("c", "on_deliver", "https://h/")
			     WEBHOOK("d", "on_subscribe",
				     "https://h/") "vmq_webhooks.b.keyfile_"
						   "password = s3cret\n"
						   "vmq_webhooks.c.keyfile_"
						   "password = s3cret\n"
						   "vmq_webhooks.d.keyfile_"
						   "password = s3cret2\n"),
		0);
	a = first(HOOK_ON_PUBLISH);
	b = first(HOOK_ON_REGISTER);
	c = first(HOOK_ON_DELIVER);
	d = first(HOOK_ON_SUBSCRIBE);
	assert_string_not_equal(a->target, b->target);
	assert_string_equal(b->target, c->target);
	assert_ptr_equal(b->transport, c->transport);
	assert_string_not_equal(c->target, d->target);
	assert_null(strstr(b->target, "s3cret"));
}

/* A reload: another value, of the same name. */
static void other_bytes_are_the_same_target(void **state)
{
	char *target;

	(void)state;
	opt("vmq_webhooks.cafile", pem_file(0, CERT));
	assert_int_equal(load(WEBHOOK("a", "on_publish", "https://h/")), 0);
	target = strdup(first(HOOK_ON_PUBLISH)->target);
	pem_file(0, CERT CERT);
	assert_int_equal(load(WEBHOOK("a", "on_publish", "https://h/")), 0);
	assert_string_equal(first(HOOK_ON_PUBLISH)->target, target);
	assert_string_equal(s->transport->way.ca.data, CERT CERT);
	free(target);
}

static void passwords_come_from_files(void **state)
{
	(void)state;
	opt("vmq_webhooks.certfile", pem_file(0, CERT OLD_LOCKED));
	opt("vmq_webhooks.keyfile_password_file", pem_file(1, "s3 cret\r\n"));
	assert_int_equal(load(NULL), 0);
	assert_string_equal(s->transport->way.key_password, "s3 cret");
}

static void expect_bad_file(const char *key, const char *path, const char *want)
{
	char text[256], whole[256];

	snprintf(text, sizeof(text), "vmq_webhooks.%s = %s\n", key, path);
	snprintf(whole, sizeof(whole), "@:1: vmq_webhooks.%s: %s", key, want);
	expect_error(text, whole);
}

static void bad_files_are_errors(void **state)
{
	static const char *const keys[] = { "cafile", "certfile", "keyfile",
					    "crlfile",
					    "keyfile_password_file" };

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		expect_bad_file(keys[i], "/nonexistent/x",
				"the file cannot be read: No such file or "
				"directory");
	expect_bad_file("cafile", "/", "is no file");
	expect_bad_file("cafile", pem_file(0, "x"),
			"is no PEM file with a certificate in it");
	expect_bad_file("cafile", pem_file(0, KEY),
			"is no PEM file with a certificate in it");
	expect_bad_file("keyfile", pem_file(0, CERT),
			"is no PEM file with a private key in it");
	expect_bad_file("crlfile", pem_file(0, CERT),
			"is no PEM file with a revocation list in it");
	expect_bad_file("certfile", pem_file(0, CERT "-----BEGIN CERTIFICATE-"),
			"is a file with a broken PEM entry");
	expect_bad_file("certfile",
			pem_file(0, "-----BEGIN CERTIFICATE-----\nAAA*\n"
				    "-----END CERTIFICATE-----\n"),
			"is a file with a broken PEM entry");
	expect_bad_file("keyfile_password_file", pem_file(0, "\n"),
			"is a file whose first line is no password of 1 to "
			"4096 bytes");
}

static void keys_that_do_not_fit_are_errors(void **state)
{
	(void)state;
	opt("vmq_webhooks.keyfile", pem_file(0, KEY));
	expect_error(NULL, "vmq_webhooks.keyfile: is of no use without "
			   "certfile: set both");
	opts[0] = (struct settings_opt){ "vmq_webhooks.certfile",
					 pem_file(0, CERT) };
	expect_error(NULL, "vmq_webhooks.certfile: holds no private key, and "
			   "there is no keyfile: set it");
	opt("vmq_webhooks.keyfile", pem_file(1, LOCKED));
	expect_error(NULL, "vmq_webhooks.keyfile: is encrypted: set "
			   "keyfile_password or keyfile_password_file");
	opt("vmq_webhooks.keyfile_password", "s3cret");
	opt("vmq_webhooks.keyfile_password_file", pem_file(2, "s3cret"));
	expect_error(NULL, "vmq_webhooks.keyfile_password: is set, and so is "
			   "keyfile_password_file: remove one of them");
	count = 0;
	expect_error(WEBHOOK("w", "on_publish",
			     "https://h/") "vmq_webhooks.w.use_crls = on\n",
		     "@:1: vmq_webhooks.w (its first key is here): use_crls: "
		     "needs crlfile, the revocation lists: set it, or "
		     "use_crls = off");
}

static void bad_transport_values_are_errors(void **state)
{
	(void)state;
	expect_error("vmq_webhooks.tls_version = tlsv1.4\n",
		     "@:1: vmq_webhooks.tls_version: \"tlsv1.4\" is no "
		     "tls_version; allowed: tlsv1, tlsv1.1, tlsv1.2, tlsv1.3; "
		     "did you mean \"tlsv1.1\"?");
	expect_error("vmq_webhooks.sni = h:80\n",
		     "@:1: vmq_webhooks.sni: no host name; allowed: letters, "
		     "digits, dots and hyphens, no port");
	expect_error("vmq_webhooks.pinned_public_key = sha256//AAAA\n",
		     "@:1: vmq_webhooks.pinned_public_key: no pin; allowed: "
		     "sha256// and the base64 of a SHA-256 digest, several "
		     "with ; between them");
	expect_error("vmq_webhooks.proxy = ftp://joe:s3cret@h\n",
		     "@:1: vmq_webhooks.proxy: the URL of a proxy begins with "
		     "http://, socks5:// or socks5h://");
	expect_error("vmq_webhooks.pinned_public_key = /etc/passwd\n",
		     "@:1: vmq_webhooks.pinned_public_key: no pin; allowed: "
		     "sha256// and the base64 of a SHA-256 digest, several "
		     "with ; between them");
}

static void crls_are_off_by_default(void **state)
{
	(void)state;
	opt("vmq_webhooks.crlfile", pem_file(0, CRL));
	opt("vmq_webhooks.depth", "5");
	assert_int_equal(load(NULL), 0);
	assert_null(s->transport->way.crl.data);
	assert_true(s->transport->crlfile_unused);
	assert_true(s->transport->depth_set);
	opt("vmq_webhooks.use_crls", "on");
	assert_int_equal(load(NULL), 0);
	assert_string_equal(s->transport->way.crl.data, CRL);
	assert_false(s->transport->crlfile_unused);
}

static void what_is_registered_takes_the_transport_of_all(void **state)
{
	struct webhook more = { .hook = HOOK_ON_PUBLISH,
				.endpoint = (char[]){ "https://h/" },
				.timeout_ms = 5000 };
	struct settings *copy;

	(void)state;
	opt("vmq_webhooks.cafile", pem_file(0, CERT));
	assert_int_equal(load(NULL), 0);
	assert_int_equal(settings_with(s, &more, &copy, &error), 0);
	assert_ptr_equal(copy->chain[HOOK_ON_PUBLISH][0].transport,
			 s->transport);
	settings_unref(copy);
}

static void an_unknown_option_is_an_error(void **state)
{
	(void)state;
	opt("config_fil", "/x");
	expect_error(NULL, "plugin_opt_config_fil: no such option; allowed: "
			   "config_file, plugins.vmq_webhooks, "
			   "vmq_webhooks...; did you mean \"config_file\"?");
	count = 0;
	opt("plugins.vmq_passwd", "on");
	expect_error(NULL, "plugin_opt_plugins.vmq_passwd: no such option; "
			   "allowed: config_file, plugins.vmq_webhooks, "
			   "vmq_webhooks...");
}

static void a_mistake_in_an_option_names_it(void **state)
{
	(void)state;
	opt("vmq_webhooks.w.no_payload", "yes");
	expect_error(NULL, "plugin_opt_vmq_webhooks.w.no_payload: \"yes\" is "
			   "neither on nor off; allowed: on, off");
}

static void a_key_given_twice_is_an_error(void **state)
{
	(void)state;
	expect_error("vmq_webhooks.pool_timeout = 5\n"
		     "vmq_webhooks.pool_timeout = 5\n",
		     "@:2: vmq_webhooks.pool_timeout: set twice; first at "
		     "@:1");
	opt("vmq_webhooks.pool_timeout", "5");
	expect_error("vmq_webhooks.pool_timeout = 5\n",
		     "@:1: vmq_webhooks.pool_timeout: set twice; first at "
		     "plugin_opt_vmq_webhooks.pool_timeout");
	opt("vmq_webhooks.pool_timeout", "5");
	assert_int_equal(load(NULL), -EINVAL);
	count = 0;
	opt("config_file", file);
	expect_error("", "plugin_opt_config_file: set twice");
}

static void a_missing_file_is_an_error(void **state)
{
	(void)state;
	opt("config_file", "/nonexistent/vmq.conf");
	assert_int_equal(load(NULL), -ENOENT);
	assert_string_equal(error.text, "/nonexistent/vmq.conf: No such file "
					"or directory");
}

static void a_socket_path_fits_and_is_absolute(void **state)
{
	char text[256] = "vmq_webhooks.admin_socket = /";
	size_t used = strlen(text);

	(void)state;
	memset(text + used, 'x', 106);
	assert_int_equal(load(text), 0);
	assert_int_equal(strlen(s->admin_socket), 107);
	text[used + 106] = 'x';
	expect_error(text, "@:1: vmq_webhooks.admin_socket: no socket path; "
			   "allowed: an absolute path of at most 107 bytes");
	assert_int_equal(load("vmq_webhooks.admin_socket = x.sock\n"), -EINVAL);
	assert_int_equal(load("vmq_webhooks.admin_socket = ''\n"), -EINVAL);
}

static void metrics_listen_is_an_address(void **state)
{
	static const char *const good[] = { "127.0.0.1:9883", "[::1]:9883",
					    "0.0.0.0:0", "[::]:65535" };
	static const char *const bad[] = {
		"9883",
		":9883",
		"localhost:9883",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:65536",
		"127.0.0.1:-1",
		"127.0.0.1:98x",
		"::1:9883",
		"[::1]",
		"[::1:9883",
		"[127.0.0.1]:9883",
		"127.0.0.1:080:1",
		"[]:1",
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		snprintf(text, sizeof(text),
			 "vmq_webhooks.metrics_listen = %s\n", good[i]);
		assert_int_equal(load(text), 0);
		assert_string_equal(s->metrics_listen, good[i]);
		settings_unref(s);
		s = NULL;
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(text, sizeof(text),
			 "vmq_webhooks.metrics_listen = %s\n", bad[i]);
		expect_error(text,
			     "@:1: vmq_webhooks.metrics_listen: no address to "
			     "listen on; allowed: 127.0.0.1:9883, "
			     "[::1]:9883, no names");
	}
}

static void a_name_is_text_without_blanks(void **state)
{
	char text[256];

	(void)state;
	assert_int_equal(load(WEBHOOK("w/ö:%", "on_publish", "http://h")), 0);
	assert_int_equal(load(WEBHOOK("a.b", "on_publish", "http://h")),
			 -EINVAL);
	assert_int_equal(load("vmq_webhooks.\xff.hook = on_publish\n"),
			 -EINVAL);
	snprintf(text, sizeof(text), "vmq_webhooks.%0129d.hook = on_publish\n",
		 1);
	assert_int_equal(load(text), -EINVAL);
	opt("vmq_webhooks.a b.hook", "on_publish");
	expect_error(NULL, "plugin_opt_vmq_webhooks.a b.hook: no name for a "
			   "webhook; allowed: at most 128 bytes of UTF-8 "
			   "without blanks");
}

/* ---- values ---- */

static struct webhook added(enum hook_id hook, char *endpoint)
{
	return (struct webhook){
		.hook = hook,
		.name = endpoint,
		.endpoint = endpoint,
		.timeout_ms = 77,
		.codec = { false, true },
	};
}

static void load_two(void)
{
	assert_int_equal(load("plugins.vmq_webhooks = off\n"
			      "vmq_webhooks.pool_timeout = 8\n"
			      "vmq_webhooks.admin_socket = /x\n" WEBHOOK(
				      "a", "on_publish", "http://a")
				      WEBHOOK("b", "on_publish", "http://b")),
			 0);
}

static void a_webhook_is_added_at_the_end(void **state)
{
	struct webhook more = added(HOOK_ON_PUBLISH, (char[]){ "http://0" });
	struct settings *t;
	struct webhook *chain;

	(void)state;
	load_two();
	assert_int_equal(settings_with(s, &more, &t, &error), 0);
	chain = t->chain[HOOK_ON_PUBLISH];
	assert_int_equal(t->webhooks, 3);
	assert_int_equal(t->chained[HOOK_ON_PUBLISH], 3);
	assert_string_equal(chain[0].name, "a");
	assert_string_equal(chain[1].name, "b");
	assert_null(chain[2].name);
	assert_string_equal(chain[2].endpoint, "http://0");
	assert_ptr_not_equal(chain[2].endpoint, more.endpoint);
	assert_int_equal(chain[2].timeout_ms, 77);
	assert_true(chain[2].codec.no_payload);
	settings_unref(t);
}

/* ---- policies, what only some hooks have, mountpoints ---- */

static void policies_have_defaults_and_are_read(void **state)
{
	(void)state;
	assert_int_equal(load(NULL), 0);
	assert_int_equal(s->default_policy, DEFAULT_DENY);
	assert_int_equal(s->read_checks, READ_CHECKS_AUTO);
	assert_int_equal(s->publish_denied, PUBLISH_DENIED_DROP);
	assert_int_equal(load("vmq_webhooks.default_policy = ignore\n"
			      "vmq_webhooks.read_checks = defer\n"
			      "vmq_webhooks.publish_denied = disconnect\n"),
			 0);
	assert_int_equal(s->default_policy, DEFAULT_IGNORE);
	assert_int_equal(s->read_checks, READ_CHECKS_DEFER);
	assert_int_equal(s->publish_denied, PUBLISH_DENIED_DISCONNECT);
	expect_error("vmq_webhooks.read_checks = deny\n",
		     "@:1: vmq_webhooks.read_checks: \"deny\" is no "
		     "read_checks; allowed: auto, allow, defer");
}

static void on_error_is_for_the_hooks_that_decide(void **state)
{
	(void)state;
	assert_int_equal(load(WEBHOOK("w", "auth_on_publish", "http://h")), 0);
	assert_int_equal(s->chain[HOOK_AUTH_ON_PUBLISH][0].on_error,
			 ON_ERROR_DENY);
	assert_int_equal(
		load(WEBHOOK("w", "auth_on_publish",
			     "http://h") "vmq_webhooks.w.on_error = allow\n"),
		0);
	assert_int_equal(s->chain[HOOK_AUTH_ON_PUBLISH][0].on_error,
			 ON_ERROR_ALLOW);
	assert_int_equal(
		load(WEBHOOK("w", "on_publish",
			     "http://h") "vmq_webhooks.w.on_error = allow\n"),
		-EINVAL);
	assert_non_null(strstr(error.text, "vmq_webhooks.w"));
	assert_non_null(strstr(error.text, "on_error"));
}

static void blocking_is_for_the_hooks_that_may_go_on(void **state)
{
	(void)state;
	assert_int_equal(
		load(WEBHOOK("w", "on_deliver_m5",
			     "http://h") "vmq_webhooks.w.blocking = on\n"),
		0);
	assert_true(s->chain[HOOK_ON_DELIVER_M5][0].blocking);
	assert_int_equal(
		load(WEBHOOK("w", "auth_on_register",
			     "http://h") "vmq_webhooks.w.blocking = on\n"),
		0);
	assert_int_equal(
		load(WEBHOOK("w", "auth_on_publish",
			     "http://h") "vmq_webhooks.w.blocking = on\n"),
		-EINVAL);
	assert_non_null(strstr(error.text, "blocking"));
}

static void cache_refusals_is_for_what_can_be_kept(void **state)
{
	(void)state;
	for (int h = 0; h < HOOK_COUNT; h++) {
		char text[256];

		snprintf(text, sizeof(text),
			 "vmq_webhooks.w.hook = %s\n"
			 "vmq_webhooks.w.endpoint = http://h\n"
			 "vmq_webhooks.w.cache_refusals = on \n",
			 hook_table[h].name);
		if (hook_table[h].cacheable) {
			assert_int_equal(load(text), 0);
			assert_true(s->chain[h][0].cache_refusals);
			continue;
		}
		assert_int_equal(load(text), -EINVAL);
		assert_non_null(strstr(error.text, "vmq_webhooks.w"));
		assert_non_null(strstr(error.text, "cache_refusals is for"));
		assert_non_null(strstr(error.text, hook_table[h].name));
		/* saying that it is off is fine */
		memcpy(strstr(text, "= on "), "= off", 5);
		assert_int_equal(load(text), 0);
	}
	assert_int_equal(load(WEBHOOK("w", "auth_on_publish", "http://h")), 0);
	assert_false(s->chain[HOOK_AUTH_ON_PUBLISH][0].cache_refusals);
	assert_int_equal(
		load(WEBHOOK(
			"w", "auth_on_publish",
			"http://h") "vmq_webhooks.w.cache_refusals = maybe\n"),
		-EINVAL);
}

/* Registering another webhook changes neither bounds nor who keeps what, and
 * what it was kept under stays the same. */
static void what_is_cached_outlasts_a_registration(void **state)
{
	struct webhook more =
		added(HOOK_AUTH_ON_PUBLISH, (char[]){ "http://0" });
	const struct webhook *is;
	struct cache_group *group;
	struct settings *t, *again;

	(void)state;
	assert_int_equal(load("vmq_webhooks.cache_max_bytes = 1000\n"
			      "vmq_webhooks.cache_jitter = 7\n" WEBHOOK(
				      "w", "auth_on_publish",
				      "http://h") "vmq_webhooks.w.cache_"
						  "refusals = on\n"),
			 0);
	group = &s->chain[HOOK_AUTH_ON_PUBLISH][0].stats->cache;
	assert_int_equal(settings_with(s, &more, &t, &error), 0);
	settings_unref(s);
	s = t;
	assert_int_equal(s->limits.cache_max_bytes, 1000);
	assert_int_equal(s->limits.cache_jitter, 7);
	is = &s->chain[HOOK_AUTH_ON_PUBLISH][0];
	assert_true(is->cache_refusals);
	assert_ptr_equal(&is->stats->cache, group);
	assert_false(s->chain[HOOK_AUTH_ON_PUBLISH][1].cache_refusals);
	/* and one that comes again starts anew */
	group = &s->chain[HOOK_AUTH_ON_PUBLISH][1].stats->cache;
	assert_int_equal(
		settings_without(s, HOOK_AUTH_ON_PUBLISH, "http://0", &t), 0);
	assert_int_equal(settings_with(t, &more, &again, &error), 0);
	assert_ptr_not_equal(
		&again->chain[HOOK_AUTH_ON_PUBLISH][1].stats->cache, group);
	settings_unref(again);
	settings_unref(t);
}

static void listeners_have_their_mountpoints(void **state)
{
	(void)state;
	assert_int_equal(load(NULL), 0);
	assert_string_equal(settings_mountpoint(s, 1883), "");
	assert_int_equal(load("vmq_webhooks.mountpoint = all/\n"
			      "vmq_webhooks.listener.1884.mountpoint = two/\n"),
			 0);
	assert_string_equal(settings_mountpoint(s, 1883), "all/");
	assert_string_equal(settings_mountpoint(s, 1884), "two/");
	assert_string_equal(settings_mountpoint(s, 0), "all/");
}

static void what_is_no_mountpoint_is_an_error(void **state)
{
	static const char *const bad[] = { "a/#", "+", "$SYS/", "$share/x" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[64];

		/* quoted: a # would begin a comment */
		snprintf(text, sizeof(text), "vmq_webhooks.mountpoint = '%s'\n",
			 bad[i]);
		assert_int_equal(load(text), -EINVAL);
		assert_non_null(strstr(error.text, "mount_point"));
	}
	assert_int_equal(load("vmq_webhooks.listener.x.mountpoint = a/\n"),
			 -EINVAL);
	assert_int_equal(load("vmq_webhooks.listener.70000.mountpoint = a/\n"),
			 -EINVAL);
}

static void the_log_level_is_a_choice(void **state)
{
	static const struct {
		const char *text;
		unsigned level;
	} levels[] = {
		{ "vmq_webhooks.log_level = debug\n", LOG_LEVEL_DEBUG },
		{ "vmq_webhooks.log_level = info\n", LOG_LEVEL_INFO },
		{ "vmq_webhooks.log_level = warning\n", LOG_LEVEL_WARN },
		{ "vmq_webhooks.log_level = error\n", LOG_LEVEL_ERR },
		{ NULL, LOG_LEVEL_INFO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		assert_int_equal(load(levels[i].text), 0);
		assert_int_equal(s->log_level, levels[i].level);
	}
	expect_error("vmq_webhooks.log_level = warn\n",
		     "@:1: vmq_webhooks.log_level: \"warn\" is no log_level; "
		     "allowed: debug, info, warning, error");
}

static void a_url_is_logged_without_what_its_query_says(void **state)
{
	const struct webhook *w;

	(void)state;
	assert_int_equal(
		load(WEBHOOK("w", "on_publish", "http://u:p@h/x?tag=a&b")), 0);
	w = &s->chain[HOOK_ON_PUBLISH][0];
	assert_string_equal(w->shown, "http://***@h/x?tag=a&b");
	assert_string_equal(w->logged, "http://***@h/x?tag=***&***");
}

static void a_url_is_shown_without_its_password(void **state)
{
	const struct webhook *w;

	(void)state;
	assert_int_equal(load(WEBHOOK("w", "on_publish", "http://u:p@h/x@y")),
			 0);
	w = &s->chain[HOOK_ON_PUBLISH][0];
	assert_string_equal(w->endpoint, "http://u:p@h/x@y");
	assert_string_equal(w->shown, "http://***@h/x@y");
	assert_int_equal(load(WEBHOOK("w", "on_publish", "http://h/x@y")), 0);
	assert_string_equal(s->chain[HOOK_ON_PUBLISH][0].shown, "http://h/x@y");
}

static void policies_and_mountpoints_are_copied(void **state)
{
	struct webhook more = added(HOOK_ON_PUBLISH, (char[]){ "http://0" });
	struct settings *t;

	(void)state;
	assert_int_equal(
		load("vmq_webhooks.default_policy = ignore\n"
		     "vmq_webhooks.read_checks = allow\n"
		     "vmq_webhooks.publish_denied = disconnect\n"
		     "vmq_webhooks.log_level = error\n"
		     "vmq_webhooks.log_interval = 7\n"
		     "vmq_webhooks.mountpoint = all/\n"
		     "vmq_webhooks.listener.1884.mountpoint = two/\n" WEBHOOK(
			     "w", "auth_on_register",
			     "http://h") "vmq_webhooks.w.on_error = next\n"
					 "vmq_webhooks.w.blocking = on\n"),
		0);
	assert_int_equal(settings_with(s, &more, &t, &error), 0);
	settings_unref(s);
	s = t;
	assert_int_equal(s->default_policy, DEFAULT_IGNORE);
	assert_int_equal(s->read_checks, READ_CHECKS_ALLOW);
	assert_int_equal(s->publish_denied, PUBLISH_DENIED_DISCONNECT);
	assert_int_equal(s->log_level, LOG_LEVEL_ERR);
	assert_int_equal(s->limits.log_interval_ms, 7);
	assert_string_equal(settings_mountpoint(s, 1), "all/");
	assert_string_equal(settings_mountpoint(s, 1884), "two/");
	assert_int_equal(s->chain[HOOK_AUTH_ON_REGISTER][0].on_error,
			 ON_ERROR_NEXT);
	assert_true(s->chain[HOOK_AUTH_ON_REGISTER][0].blocking);
	assert_string_equal(s->chain[HOOK_AUTH_ON_REGISTER][0].shown,
			    "http://h");
}

static void the_rest_is_copied_and_the_old_value_stays(void **state)
{
	struct webhook more = added(HOOK_ON_PUBLISH, (char[]){ "http://0" });
	struct settings *t;

	(void)state;
	load_two();
	assert_int_equal(settings_with(s, &more, &t, &error), 0);
	assert_int_equal(s->webhooks, 2);
	assert_int_equal(s->chained[HOOK_ON_PUBLISH], 2);
	settings_unref(s);
	s = t;
	assert_false(s->enabled);
	assert_int_equal(s->limits.pool_timeout_ms, 8);
	assert_int_equal(s->limits.pool_max_connections, 100);
	assert_string_equal(s->admin_socket, "/x");
	assert_true(s->admin_socket_given);
}

static void metrics_listen_is_copied(void **state)
{
	struct webhook more = added(HOOK_ON_PUBLISH, (char[]){ "http://0" });
	struct settings *t;

	(void)state;
	assert_int_equal(load("vmq_webhooks.metrics_listen = [::1]:1\n"), 0);
	assert_int_equal(settings_with(s, &more, &t, &error), 0);
	settings_unref(s);
	s = t;
	assert_string_equal(s->metrics_listen, "[::1]:1");
}

static void unchanged_webhooks_keep_their_counters(void **state)
{
	struct webhook more = added(HOOK_ON_PUBLISH, (char[]){ "http://0" });
	struct settings *t, *u;
	struct webhook_stats *stats;

	(void)state;
	load_two();
	stats = s->chain[HOOK_ON_PUBLISH][1].stats;
	stats->requests = 42;
	assert_int_equal(settings_with(s, &more, &t, &error), 0);
	assert_int_equal(settings_without(t, HOOK_ON_PUBLISH, "http://a", &u),
			 0);
	settings_unref(s);
	settings_unref(t);
	s = u;
	assert_int_equal(s->webhooks, 2);
	assert_ptr_equal(s->chain[HOOK_ON_PUBLISH][0].stats, stats);
	assert_int_equal(stats->requests, 42);
	assert_int_equal(s->chain[HOOK_ON_PUBLISH][1].stats->requests, 0);
}

static void a_webhook_that_comes_back_counts_anew(void **state)
{
	struct webhook more = added(HOOK_ON_PUBLISH, (char[]){ "http://a" });
	struct settings *t, *u;

	(void)state;
	load_two();
	assert_int_equal(settings_without(s, HOOK_ON_PUBLISH, "http://a", &t),
			 0);
	assert_int_equal(settings_with(t, &more, &u, &error), 0);
	assert_ptr_not_equal(
		settings_find(u, HOOK_ON_PUBLISH, "http://a")->stats,
		settings_find(s, HOOK_ON_PUBLISH, "http://a")->stats);
	settings_unref(t);
	settings_unref(u);
}

static void what_is_there_is_not_added_again(void **state)
{
	struct webhook more = added(HOOK_ON_PUBLISH, (char[]){ "http://a" });
	struct settings *t;

	(void)state;
	load_two();
	assert_int_equal(settings_with(s, &more, &t, &error), -EEXIST);
	more.hook = HOOK_ON_REGISTER;
	assert_int_equal(settings_with(s, &more, &t, &error), 0);
	settings_unref(t);
}

static void what_is_wrong_is_not_added(void **state)
{
	struct webhook more = added(HOOK_ON_PUBLISH, (char[]){ "ftp://a" });
	struct settings *t;

	(void)state;
	load_two();
	assert_int_equal(settings_with(s, &more, &t, &error), -EINVAL);
	assert_string_not_equal(error.text, "");
	more = added(HOOK_ON_PUBLISH, (char[]){ "http://c" });
	more.timeout_ms = 0;
	assert_int_equal(settings_with(s, &more, &t, &error), -EINVAL);
	more.timeout_ms = 600001;
	assert_int_equal(settings_with(s, &more, &t, &error), -EINVAL);
	assert_string_equal(
		error.text,
		"response_timeout: \"600001\" is no whole number in "
		"range; allowed: 1 to 600000 (ms, without a unit)");
}

static void what_is_not_there_is_not_removed(void **state)
{
	struct settings *t;

	(void)state;
	load_two();
	assert_int_equal(settings_without(s, HOOK_ON_PUBLISH, "http://c", &t),
			 -ENOENT);
	assert_int_equal(settings_without(s, HOOK_ON_REGISTER, "http://a", &t),
			 -ENOENT);
}

static void a_webhook_is_found_by_hook_and_endpoint(void **state)
{
	(void)state;
	load_two();
	assert_ptr_equal(settings_find(s, HOOK_ON_PUBLISH, "http://b"),
			 &s->chain[HOOK_ON_PUBLISH][1]);
	assert_null(settings_find(s, HOOK_ON_PUBLISH, "http://b/"));
	assert_null(settings_find(s, HOOK_ON_REGISTER, "http://b"));
}

/* ---- limits ---- */

/* The keys for all webhooks that are numbers. */
static const struct {
	const char *key;
	size_t offset; /* in struct settings_limits */
	uint32_t standard, min;
	uint64_t max;
} limits[] = {
#define LIMIT(key, member) key, offsetof(struct settings_limits, member)
	{ LIMIT("pool_max_connections", pool_max_connections), 100, 1, 10000 },
	{ LIMIT("pool_timeout", pool_timeout_ms), 60000, 1, 86400000 },
	{ LIMIT("blocking_timeout", blocking_timeout_ms), 1000, 1, 600000 },
	{ LIMIT("blocking_budget", blocking_budget_ms), 500, 1, 1000 },
	{ LIMIT("breaker_failures", breaker_failures), 5, 1, 1000000 },
	{ LIMIT("breaker_open", breaker_open_ms), 500, 10, 60000 },
	{ LIMIT("max_queue", max_queue), 10000, 0, 10000000 },
	{ LIMIT("max_queue_bytes", max_queue_bytes), 64 * 1024 * 1024, 0,
	  UINT32_MAX },
	{ LIMIT("retries", retries), 3, 0, 100 },
	{ LIMIT("max_event_age", max_event_age_ms), 60000, 1, 86400000 },
	{ LIMIT("drain_timeout", drain_timeout_ms), 2000, 0, 60000 },
	{ LIMIT("cache_max_bytes", cache_max_bytes), 64 * 1024 * 1024, 0,
	  UINT32_MAX },
	{ LIMIT("cache_jitter", cache_jitter), 0, 0, 100 },
	{ LIMIT("log_interval", log_interval_ms), 10000, 0, 86400000 },
#undef LIMIT
};

static uint32_t limit(size_t i)
{
	uint32_t value;

	memcpy(&value, (const char *)&s->limits + limits[i].offset,
	       sizeof(value));
	return value;
}

static int load_limit(const char *where, const char *key, long long value)
{
	char text[256];

	snprintf(text, sizeof(text), "vmq_webhooks.%s%s = %lld\n", where, key,
		 value);
	return load(text);
}

static void limits_have_defaults(void **state)
{
	(void)state;
	assert_int_equal(load(NULL), 0);
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		assert_int_equal(limit(i), limits[i].standard);
	/* and there are no more of them */
	assert_int_equal(sizeof(limits) / sizeof(*limits) * sizeof(uint32_t),
			 sizeof(struct settings_limits));
}

static void limits_are_read_within_their_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		long long least = limits[i].min,
			  most = (long long)limits[i].max;

		assert_int_equal(load_limit("", limits[i].key, least), 0);
		assert_int_equal(limit(i), least);
		assert_int_equal(load_limit("", limits[i].key, most), 0);
		assert_int_equal(limit(i), most);
		for (size_t k = 0; k < sizeof(limits) / sizeof(*limits); k++)
			if (k != i)
				assert_int_equal(limit(k), limits[k].standard);
		assert_int_equal(load_limit("", limits[i].key, least - 1),
				 -EINVAL);
		assert_int_equal(load_limit("", limits[i].key, most + 1),
				 -EINVAL);
		assert_non_null(strstr(error.text, limits[i].key));
		assert_non_null(strstr(error.text, "allowed: "));
	}
}

static void limits_are_whole_numbers_without_a_unit(void **state)
{
	static const char *const values[] = { "5s", "1.5",  "",
					      "x",  "0x10", "1 2" };
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		for (size_t k = 0; k < sizeof(values) / sizeof(*values); k++) {
			snprintf(text, sizeof(text), "vmq_webhooks.%s = %s\n",
				 limits[i].key, values[k]);
			assert_int_equal(load(text), -EINVAL);
		}
	}
}

static void limits_are_copied(void **state)
{
	struct settings *t;

	(void)state;
	assert_int_equal(load("vmq_webhooks.blocking_budget = 77\n"
			      "vmq_webhooks.drain_timeout = 78\n" WEBHOOK(
				      "a", "on_publish", "http://a")),
			 0);
	assert_int_equal(settings_without(s, HOOK_ON_PUBLISH, "http://a", &t),
			 0);
	assert_memory_equal(&t->limits, &s->limits, sizeof(s->limits));
	settings_unref(t);
}

#define ONE(hook) WEBHOOK("w", hook, "http://h")

static void retries_and_age_are_those_of_all_or_its_own(void **state)
{
	const struct webhook *w;

	(void)state;
	assert_int_equal(load(ONE("on_publish")), 0);
	w = s->chain[HOOK_ON_PUBLISH];
	assert_int_equal(w->retries, 3);
	assert_int_equal(w->max_event_age_ms, 60000);
	/* wherever it stands */
	assert_int_equal(load(ONE("on_publish") "vmq_webhooks.retries = 7\n"
						"vmq_webhooks.max_event_age"
						" = 8\n"),
			 0);
	w = s->chain[HOOK_ON_PUBLISH];
	assert_int_equal(w->retries, 7);
	assert_int_equal(w->max_event_age_ms, 8);
	assert_int_equal(load("vmq_webhooks.w.retries = 0\n"
			      "vmq_webhooks.w.max_event_age = 9\n" ONE(
				      "on_publish") "vmq_webhooks.retries = 7\n"
						    "vmq_webhooks.max_event_"
						    "age = 8\n"),
			 0);
	w = s->chain[HOOK_ON_PUBLISH];
	assert_int_equal(w->retries, 0);
	assert_int_equal(w->max_event_age_ms, 9);
	assert_int_equal(s->limits.retries, 7);
}

static void a_webhooks_own_have_the_same_bounds(void **state)
{
	(void)state;
	opt("vmq_webhooks.w.hook", "on_publish");
	opt("vmq_webhooks.w.endpoint", "http://h");
	assert_int_equal(load_limit("w.", "retries", 100), 0);
	assert_int_equal(s->chain[HOOK_ON_PUBLISH]->retries, 100);
	assert_int_equal(load_limit("w.", "retries", 101), -EINVAL);
	assert_int_equal(load_limit("w.", "retries", UINT32_MAX), -EINVAL);
	assert_int_equal(load_limit("w.", "max_event_age", 1), 0);
	assert_int_equal(load_limit("w.", "max_event_age", 86400000), 0);
	assert_int_equal(s->chain[HOOK_ON_PUBLISH]->max_event_age_ms, 86400000);
	assert_int_equal(load_limit("w.", "max_event_age", 0), -EINVAL);
	assert_int_equal(load_limit("w.", "max_event_age", 86400001), -EINVAL);
}

static void retries_and_age_are_for_the_hooks_that_tell(void **state)
{
	static const char *const keys[] = { "retries", "max_event_age" };
	char text[256];

	(void)state;
	for (int h = 0; h < HOOK_COUNT; h++) {
		bool asks = hook_table[h].kind == HOOK_ASKS;

		for (size_t k = 0; k < 2; k++) {
			snprintf(text, sizeof(text),
				 "vmq_webhooks.w.hook = %s\n"
				 "vmq_webhooks.w.endpoint = http://h\n"
				 "vmq_webhooks.w.%s = 5\n",
				 hook_table[h].name, keys[k]);
			assert_int_equal(load(text), asks ? -EINVAL : 0);
			if (asks)
				assert_non_null(strstr(error.text, keys[k]));
		}
		/* but all may stand beside what is set for all */
		snprintf(text, sizeof(text),
			 "vmq_webhooks.w.hook = %s\n"
			 "vmq_webhooks.w.endpoint = http://h\n"
			 "vmq_webhooks.retries = 5\n"
			 "vmq_webhooks.max_event_age = 5\n",
			 hook_table[h].name);
		assert_int_equal(load(text), 0);
	}
}

static void keys_of_all_are_no_webhooks(void **state)
{
	static const char *const keys[] = {
		"blocking_timeout", "blocking_budget", "breaker_failures",
		"breaker_open",     "max_queue",       "max_queue_bytes",
		"drain_timeout",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		assert_int_equal(load_limit("w.", keys[i], 100), -EINVAL);
		assert_non_null(strstr(error.text, "no such key"));
	}
}

/* Registered at run time it cannot say what it wants. */
static void one_that_is_added_has_those_of_all(void **state)
{
	struct webhook more = added(HOOK_ON_PUBLISH, (char[]){ "http://c" });
	struct settings *t;

	(void)state;
	more.retries = 99;
	more.max_event_age_ms = 98;
	assert_int_equal(load("vmq_webhooks.retries = 7\n"
			      "vmq_webhooks.max_event_age = 8\n"
			      "vmq_webhooks.b.retries = 1\n" WEBHOOK(
				      "b", "on_publish", "http://b")),
			 0);
	assert_int_equal(settings_with(s, &more, &t, &error), 0);
	assert_int_equal(t->chain[HOOK_ON_PUBLISH][0].retries, 1);
	assert_int_equal(t->chain[HOOK_ON_PUBLISH][0].max_event_age_ms, 8);
	assert_int_equal(t->chain[HOOK_ON_PUBLISH][1].retries, 7);
	assert_int_equal(t->chain[HOOK_ON_PUBLISH][1].max_event_age_ms, 8);
	settings_unref(t);
}

/* Returns how often it went wrong. */
static void *ref_and_unref(void *arg)
{
	uintptr_t failures = 0;

	for (int i = 0; i < 2000; i++) {
		struct settings *t = settings_ref(arg), *u;

		if (settings_without(t, HOOK_ON_PUBLISH, "http://a", &u) != 0)
			failures++;
		else
			settings_unref(u);
		settings_unref(t);
	}
	settings_unref(arg);
	return (void *)failures;
}

static void references_may_be_held_by_any_thread(void **state)
{
	pthread_t threads[2];
	void *failures;

	(void)state;
	load_two();
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						ref_and_unref, settings_ref(s)),
				 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], &failures), 0);
		assert_null(failures);
	}
	assert_int_equal(atomic_load(&s->refs), 1);
	assert_int_equal(atomic_load(&s->chain[HOOK_ON_PUBLISH][0].stats->refs),
			 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#define TEST_FILES(test)                                                       \
	cmocka_unit_test_setup_teardown(test, setup, remove_pem_files)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_set_means_defaults),
		TEST(every_key_is_read),
		TEST(a_webhook_has_vernemqs_defaults),
		TEST(every_hook_can_be_named),
		TEST(options_alone_suffice),
		TEST(a_webhook_may_stand_in_both),
		TEST(a_whole_vernemq_conf_is_taken),
		TEST(chains_are_in_the_order_of_the_names),
		TEST(the_same_hook_and_endpoint_twice_is_an_error),
		TEST(the_same_endpoint_on_another_hook_is_none),
		TEST(a_webhook_without_its_half_is_an_error),
		TEST(too_many_webhooks_are_an_error),
		TEST(a_wrong_value_is_an_error_with_a_suggestion),
		TEST(an_unknown_key_is_an_error_with_a_suggestion),
		TEST_FILES(transport_has_defaults),
		TEST_FILES(transport_is_read_for_all_and_for_one),
		TEST_FILES(one_url_by_two_ways_is_two_targets),
		TEST_FILES(other_bytes_are_the_same_target),
		TEST_FILES(passwords_come_from_files),
		TEST_FILES(bad_files_are_errors),
		TEST_FILES(keys_that_do_not_fit_are_errors),
		TEST_FILES(bad_transport_values_are_errors),
		TEST_FILES(crls_are_off_by_default),
		TEST_FILES(what_is_registered_takes_the_transport_of_all),
		TEST(an_unknown_option_is_an_error),
		TEST(a_mistake_in_an_option_names_it),
		TEST(a_key_given_twice_is_an_error),
		TEST(a_missing_file_is_an_error),
		TEST(a_socket_path_fits_and_is_absolute),
		TEST(metrics_listen_is_an_address),
		TEST(metrics_listen_is_copied),
		TEST(a_name_is_text_without_blanks),
		TEST(a_webhook_is_added_at_the_end),
		TEST(policies_have_defaults_and_are_read),
		TEST(on_error_is_for_the_hooks_that_decide),
		TEST(blocking_is_for_the_hooks_that_may_go_on),
		TEST(cache_refusals_is_for_what_can_be_kept),
		TEST(what_is_cached_outlasts_a_registration),
		TEST(listeners_have_their_mountpoints),
		TEST(what_is_no_mountpoint_is_an_error),
		TEST(the_log_level_is_a_choice),
		TEST(a_url_is_logged_without_what_its_query_says),
		TEST(a_url_is_shown_without_its_password),
		TEST(policies_and_mountpoints_are_copied),
		TEST(the_rest_is_copied_and_the_old_value_stays),
		TEST(unchanged_webhooks_keep_their_counters),
		TEST(a_webhook_that_comes_back_counts_anew),
		TEST(what_is_there_is_not_added_again),
		TEST(what_is_wrong_is_not_added),
		TEST(what_is_not_there_is_not_removed),
		TEST(a_webhook_is_found_by_hook_and_endpoint),
		TEST(limits_have_defaults),
		TEST(limits_are_read_within_their_bounds),
		TEST(limits_are_whole_numbers_without_a_unit),
		TEST(limits_are_copied),
		TEST(retries_and_age_are_those_of_all_or_its_own),
		TEST(a_webhooks_own_have_the_same_bounds),
		TEST(retries_and_age_are_for_the_hooks_that_tell),
		TEST(keys_of_all_are_no_webhooks),
		TEST(one_that_is_added_has_those_of_all),
		TEST(references_may_be_held_by_any_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
