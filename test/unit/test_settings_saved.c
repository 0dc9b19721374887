/* plugin/settings/settings_saved.h */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "plugin/settings/settings_saved.h"

#define HEAD                                                                   \
	"# What was registered at run time (vmq-admin webhooks register).\n"   \
	"# The broker replaces this file at each change: edit it while it is " \
	"stopped.\n"
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static struct settings *s;
static struct saved *saved;
static struct conf_error error;
static char dir[64], path[96], next[112];

static int setup(void **state)
{
	(void)state;
	memset(&error, 0, sizeof(error));
	snprintf(dir, sizeof(dir), "/tmp/test_saved.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/registered", dir);
	snprintf(next, sizeof(next), "%s.new", path);
	saved = NULL;
	return settings_load(NULL, 0, &s, &error);
}

static int teardown(void **state)
{
	(void)state;
	saved_close(saved);
	settings_unref(s);
	unlink(path);
	unlink(next);
	return rmdir(dir);
}

static void open_it(void)
{
	if (saved_open(&saved, path, &error) != 0)
		fail_msg("%s", error.text);
}

static void reopen(void)
{
	saved_close(saved);
	saved = NULL;
	open_it();
}

static void add(enum hook_id hook, const char *url, const char *key,
		const char *value)
{
	char why[CONF_REASON_LEN] = "";
	struct registration *r;
	struct settings *more;

	assert_int_equal(registration_create(&r, hook, url), 0);
	if (key)
		assert_int_equal(registration_add(r, key, key, value, why), 0);
	if (settings_register(s, r, &more, &error) != 0)
		fail_msg("%s", error.text);
	registration_unref(r);
	settings_unref(s);
	s = more;
}

static void store(void)
{
	if (saved_store(saved, s, &error) != 0)
		fail_msg("%s", error.text);
}

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void expect_file(const char *text)
{
	char is[4096];
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	is[fread(is, 1, sizeof(is) - 1, f)] = '\0';
	fclose(f);
	assert_string_equal(is, text);
}

/* What is in the file, on settings of their own. */
static struct settings *load(void)
{
	struct settings *bare, *ret = NULL;

	assert_int_equal(settings_load(NULL, 0, &bare, &error), 0);
	if (saved_load(saved, bare, NULL, NULL, &ret, &error) != 0)
		fail_msg("%s", error.text);
	settings_unref(bare);
	return ret;
}

static void load_fails(const char *text, const char *why)
{
	struct settings *ret;
	char whole[512];

	write_file(text);
	assert_int_equal(saved_load(saved, s, NULL, NULL, &ret, &error),
			 -EINVAL);
	snprintf(whole, sizeof(whole), "%s:%s", path, why);
	if (strncmp(error.text, whole, strlen(whole)) != 0)
		fail_msg("%s\nis not %s", error.text, whole);
	assert_non_null(strstr(error.text, "correct it, or move the file "
					   "away to start without"));
}

/* ---- the file ---- */

static void a_missing_file_is_made_and_empty(void **state)
{
	struct settings *is;
	struct stat st;

	(void)state;
	open_it();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	is = load();
	assert_int_equal(is->webhooks, 0);
	settings_unref(is);
}

static void what_was_stored_is_there_again(void **state)
{
	const struct webhook *w;
	struct settings *is;

	(void)state;
	open_it();
	add(HOOK_ON_PUBLISH, "http://u:p@h/?a=b==&c=#d", "header.X-Key",
	    "a = 'b' c");
	add(HOOK_ON_PUBLISH, "http://a/", "secret", SECRET " " SECRET);
	add(HOOK_AUTH_ON_PUBLISH, "http://h/it's", "on_error", "next");
	add(HOOK_ON_REGISTER, "http://h/", "proxy", "");
	store();
	reopen();
	is = load();
	assert_int_equal(is->webhooks, 4);
	assert_int_equal(is->chained[HOOK_ON_REGISTER], 1);
	w = &is->chain[HOOK_ON_PUBLISH][0];
	assert_string_equal(w->endpoint, "http://u:p@h/?a=b==&c=#d");
	assert_string_equal(w->call.credentials->headers[0],
			    "X-Key: a = 'b' c");
	assert_null(w->name);
	w = &is->chain[HOOK_ON_PUBLISH][1];
	assert_string_equal(w->endpoint, "http://a/");
	assert_int_equal(w->call.credentials->keys.count, 2);
	w = &is->chain[HOOK_AUTH_ON_PUBLISH][0];
	assert_string_equal(w->endpoint, "http://h/it's");
	assert_int_equal(w->on_error, ON_ERROR_NEXT);
	/* and may be stored once more, the same */
	settings_unref(s);
	s = is;
	store();
	reopen();
	is = load();
	assert_int_equal(is->webhooks, 4);
	assert_string_equal(is->chain[HOOK_ON_PUBLISH][0].options,
			    s->chain[HOOK_ON_PUBLISH][0].options);
	settings_unref(is);
}

static void it_is_the_configurations_own_syntax(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.w.hook", "on_publish" },
		{ "vmq_webhooks.w.endpoint", "http://file/" },
	};
	const struct settings_opt file = { "config_file", path };

	(void)state;
	settings_unref(s);
	assert_int_equal(settings_load(opts, 2, &s, &error), 0);
	open_it();
	add(HOOK_ON_PUBLISH, "http://h/", "base64payload", "false");
	store();
	/* what the configuration has stays there */
	expect_file(HEAD "\nvmq_webhooks.r0001.hook = on_publish\n"
			 "vmq_webhooks.r0001.endpoint = http://h/\n"
			 "vmq_webhooks.r0001.base64encode = off\n");
	settings_unref(s);
	s = NULL;
	assert_int_equal(settings_load(&file, 1, &s, &error), 0);
	assert_int_equal(s->webhooks, 1);
}

static void what_is_deregistered_is_gone(void **state)
{
	struct settings *less;

	(void)state;
	open_it();
	add(HOOK_ON_PUBLISH, "http://h/", NULL, NULL);
	store();
	assert_int_equal(
		settings_without(s, HOOK_ON_PUBLISH, "http://h/", &less), 0);
	settings_unref(s);
	s = less;
	store();
	expect_file(HEAD);
}

static void only_the_broker_may_read_it(void **state)
{
	struct stat st;
	mode_t old = umask(0);

	(void)state;
	write_file("");
	assert_int_equal(chmod(path, 0644), 0);
	open_it();
	store();
	umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void no_other_file_is_left(void **state)
{
	(void)state;
	open_it();
	/* of a broker that was killed in the middle */
	assert_int_equal(close(open(next, O_CREAT | O_WRONLY, 0644)), 0);
	store();
	assert_int_equal(access(next, F_OK), -1);
}

/* ---- the lock ---- */

static void two_brokers_have_no_file_together(void **state)
{
	struct saved *other;

	(void)state;
	open_it();
	assert_int_equal(saved_open(&other, path, &error), -EBUSY);
	assert_non_null(strstr(error.text, "in use by another broker: give "
					   "each a vmq_webhooks.persist_file "
					   "of its own"));
	/* nor after it was replaced */
	store();
	assert_int_equal(saved_open(&other, path, &error), -EBUSY);
	saved_close(saved);
	saved = NULL;
	assert_int_equal(saved_open(&other, path, &error), 0);
	saved_close(other);
}

/* ---- what is wrong ---- */

static void what_is_no_file_is_left_alone(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(saved_open(&saved, path, &error), -EINVAL);
	assert_non_null(strstr(error.text, "no regular file"));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(saved_open(&saved, path, &error), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(saved_open(&saved, path, &error), -EINVAL);
}

static void a_missing_folder_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(saved_open(&saved, "/nonexistent/x", &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nonexistent/x: No such file or "
					   "directory: choose a "
					   "vmq_webhooks.persist_file"));
}

static void what_is_broken_is_named_with_its_line(void **state)
{
	(void)state;
	open_it();
	load_fails("vmq_webhooks.a.hook = on_publish\n"
		   "vmq_webhooks.a.endpoint = http://h/\n"
		   "vmq_webhooks.a.retris = 1\n",
		   "3: vmq_webhooks.a.retris: no such key; allowed: ");
	load_fails("vmq_webhooks.a.hook = on_publish\n"
		   "vmq_webhooks.a.retries = 1000\n"
		   "vmq_webhooks.a.endpoint = http://h/\n",
		   "2: vmq_webhooks.a.retries: \"1000\" is no whole number");
	load_fails("vmq_webhooks.a.hook = on_publis\n",
		   "1: vmq_webhooks.a.hook: \"on_publis\" is no hook");
	load_fails("vmq_webhooks.a.trace = maybe\n",
		   "1: vmq_webhooks.a.trace: \"maybe\" is neither");
	load_fails("vmq_webhooks.a.header.A.B = x\n",
		   "1: vmq_webhooks.a.header.A.B: no such key");
	load_fails("vmq_webhooks.a.header.\x01 = x\n", "1: ");
	load_fails("vmq_webhooks.a.hook = on_publish\n"
		   "vmq_webhooks.a.endpoint = ftp://joe:hunter2@h/\n",
		   "2: vmq_webhooks.a.endpoint: ");
	assert_null(strstr(error.text, "hunter2"));
	load_fails("\nvmq_webhooks.a.hook = on_publish\n",
		   "2: vmq_webhooks.a (its first key is here): it has no "
		   "endpoint");
	load_fails("vmq_webhooks.a.endpoint = http://h/\n",
		   "1: vmq_webhooks.a (its first key is here): it has no hook");
	load_fails("vmq_webhooks.a.hook = auth_on_publish\n"
		   "vmq_webhooks.a.endpoint = http://h/\n"
		   "vmq_webhooks.a.retries = 1\n",
		   "1: vmq_webhooks.a (its first key is here): retries and "
		   "max_event_age are for the hooks that tell");
	/* nothing in it is for somebody else */
	load_fails("vmq_webhooks.retries = 1\n", "1: vmq_webhooks.retries: ");
	load_fails("something.else = 1\n", "1: something.else: no such key");
	load_fails("rubbish\n", "1: neither");
}

static void it_is_repeated_nowhere(void **state)
{
	(void)state;
	open_it();
	load_fails("vmq_webhooks.a.secret = hunter2\n"
		   "vmq_webhooks.a.hook = on_publish\n"
		   "vmq_webhooks.a.endpoint = http://h/\n",
		   "1: vmq_webhooks.a.secret: ");
	assert_null(strstr(error.text, "hunter2"));
}

static void note(const struct registration *r, void *arg)
{
	const char **ret = arg;

	assert_int_equal(r->hook, HOOK_ON_PUBLISH);
	*ret = "skipped";
	assert_string_equal(r->endpoint, "http://h/");
}

static void what_is_configured_by_now_is_skipped(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.w.hook", "on_publish" },
		{ "vmq_webhooks.w.endpoint", "http://h/" },
	};
	const char *told = NULL;
	struct settings *is;

	(void)state;
	open_it();
	add(HOOK_ON_PUBLISH, "http://h/", NULL, NULL);
	add(HOOK_ON_REGISTER, "http://h/", NULL, NULL);
	store();
	settings_unref(s);
	s = NULL;
	assert_int_equal(settings_load(opts, 2, &s, &error), 0);
	assert_int_equal(saved_load(saved, s, note, &told, &is, &error), 0);
	assert_non_null(told);
	assert_int_equal(is->webhooks, 2);
	assert_string_equal(is->chain[HOOK_ON_PUBLISH][0].name, "w");
	settings_unref(is);
}

static void cannot_store(int err, const char *why)
{
	assert_int_equal(saved_store(saved, s, &error), err);
	if (!strstr(error.text, why))
		fail_msg("%s", error.text);
	expect_file(HEAD);
	assert_int_equal(access(next, F_OK), -1);
}

static void what_the_syntax_cannot_say_is_not_stored(void **state)
{
	struct settings *bare = settings_ref(s);
	static const struct {
		const char *url, *key, *value;
	} cases[] = {
		{ "http://h/'#", NULL, NULL },
		{ "http://h/", "header.A", "it's #1" },
		{ "http://h/", "header.A", "'x'" },
		{ "http://h/", "header.A#B", "x" },
		{ "http://h/", "header.A'B", "x" },
	};

	(void)state;
	open_it();
	store();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		settings_unref(s);
		s = settings_ref(bare);
		add(HOOK_ON_PUBLISH, cases[i].url, cases[i].key,
		    cases[i].value);
		cannot_store(-EINVAL, "cannot be saved");
	}
	settings_unref(bare);
}

static void too_many_are_named_with_their_line(void **state)
{
	const struct settings_opt opts[] = {
		{ "vmq_webhooks.w.hook", "on_publish" },
		{ "vmq_webhooks.w.endpoint", "http://file/" },
	};
	char whole[256];
	struct settings *ret;
	FILE *f;

	(void)state;
	open_it();
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < SETTINGS_WEBHOOKS_MAX; i++)
		fprintf(f,
			"vmq_webhooks.r%04d.hook = on_publish\n"
			"vmq_webhooks.r%04d.endpoint = http://h/%d\n",
			i, i, i);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(saved_load(saved, s, NULL, NULL, &ret, &error), 0);
	settings_unref(ret);
	settings_unref(s);
	s = NULL;
	assert_int_equal(settings_load(opts, 2, &s, &error), 0);
	assert_int_equal(saved_load(saved, s, NULL, NULL, &ret, &error),
			 -EINVAL);
	snprintf(whole, sizeof(whole),
		 "%s:1999: vmq_webhooks.r0999 (its first key is here): more "
		 "than 1000 webhooks",
		 path);
	assert_int_equal(strncmp(error.text, whole, strlen(whole)), 0);
}

/* More than can be read again. */
static void a_file_has_a_ceiling(void **state)
{
	struct registration *list[400];
	char why[CONF_REASON_LEN] = "", value[3000];
	struct settings *more;

	(void)state;
	open_it();
	store();
	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 400; i++) {
		char url[64];

		snprintf(url, sizeof(url), "http://h/%d", i);
		assert_int_equal(
			registration_create(&list[i], HOOK_ON_PUBLISH, url), 0);
		assert_int_equal(registration_add(list[i], "--header.A",
						  "header.A", value, why),
				 0);
	}
	assert_int_equal(
		settings_register_list(s, list, 400, NULL, NULL, &more, &error),
		0);
	settings_unref(s);
	s = more;
	cannot_store(-EFBIG, "longer than the 1 MiB that can be saved");
	for (int i = 0; i < 400; i++)
		registration_unref(list[i]);
}

static void a_folder_that_takes_nothing_leaves_it_as_it_was(void **state)
{
	(void)state;
	open_it();
	store();
	add(HOOK_ON_PUBLISH, "http://h/", NULL, NULL);
	assert_int_equal(mkdir(next, 0700), 0); /* root may write anywhere */
	assert_int_equal(saved_store(saved, s, &error), -EISDIR);
	assert_non_null(strstr(error.text, "cannot save it in "));
	assert_int_equal(rmdir(next), 0);
	expect_file(HEAD);
	store();
}

/* ---- crashes ---- */

/* Registers without end: is killed. */
static void child(int ready)
{
	struct saved *mine;
	char url[64];

	if (saved_open(&mine, path, &error) != 0)
		_exit(1);
	for (int i = 0;; i++) {
		snprintf(url, sizeof(url), "http://h/%d", i % 500);
		if (i % 500 == 0) {
			settings_unref(s);
			if (settings_load(NULL, 0, &s, &error) != 0)
				_exit(1);
		}
		add(HOOK_ON_PUBLISH, url, "header.A", "x");
		if (saved_store(mine, s, &error) != 0 ||
		    write(ready, "x", 1) != 1)
			_exit(1);
	}
}

/* Whole, and with a lock that died with its broker. */
static void who_is_killed_leaves_a_whole_file(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct settings *is;
		int ready[2], status;
		char x;
		pid_t pid;

		assert_int_equal(pipe(ready), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			child(ready[1]);
		close(ready[1]);
		/* in the middle of the next one, wherever that is */
		for (int stored = 0; stored <= i; stored++)
			assert_int_equal(read(ready[0], &x, 1), 1);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		close(ready[0]);
		assert_true(WIFSIGNALED(status));
		open_it();
		is = load();
		assert_true(is->webhooks > (size_t)i);
		settings_unref(is);
		saved_close(saved);
		saved = NULL;
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_file_is_made_and_empty),
		TEST(what_was_stored_is_there_again),
		TEST(it_is_the_configurations_own_syntax),
		TEST(what_is_deregistered_is_gone),
		TEST(only_the_broker_may_read_it),
		TEST(no_other_file_is_left),
		TEST(two_brokers_have_no_file_together),
		TEST(what_is_no_file_is_left_alone),
		TEST(a_missing_folder_is_an_error),
		TEST(what_is_broken_is_named_with_its_line),
		TEST(it_is_repeated_nowhere),
		TEST(what_is_configured_by_now_is_skipped),
		TEST(what_the_syntax_cannot_say_is_not_stored),
		TEST(too_many_are_named_with_their_line),
		TEST(a_file_has_a_ceiling),
		TEST(a_folder_that_takes_nothing_leaves_it_as_it_was),
		TEST(who_is_killed_leaves_a_whole_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
