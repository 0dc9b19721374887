/*
 * golden - play the cases recorded from VerneMQ through the real encoder,
 * decoder, chain and cache.
 *
 * usage: golden requests|responses|chains|cache-key FILE...
 *        golden mqtt FILE...
 *        golden rules
 *
 * Prints each mismatch, then how many cases each rule of rules.h was used
 * in, then "N passed, N failed" alone on the last line. Exits 1 on any
 * failure, 2 when it could not do its work. `rules` prints the rules as rows
 * of the table in docs/differences.md.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include "plugin/hook_table.h"
#include "test/golden/player.h"
#include "test/golden/rules.h"
#include "test/golden/worker.h"

enum {
	WORKERS = 8,
	ENDPOINTS_MAX = 16,
	RECORDED_PORT = 23200
};

/* One case of a file. */
struct kase {
	const struct json *json;
	enum hook_id hook;
	size_t first_play;
	size_t plays;
	char *mismatch; /* malloc'd; NULL: passed */
	uint32_t used;  /* rules */
};

struct suite {
	const struct kind *kind;
	struct kase *cases;
	size_t n;
	struct play *plays;
	struct player *player;
	_Atomic size_t next; /* case to be run */
};

/* What a running case works with. */
struct run {
	struct suite *suite;
	struct worker *worker;
	struct kase *kase;
	struct json_arena arena;
};

struct kind {
	const char *name;
	/* The answers of a case's endpoints, given to `add`. */
	void (*answers)(struct json_arena *a, const struct json *kase,
			void (*add)(void *to, const struct json *answer),
			void *to);
	void (*run)(struct run *r);
};

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("golden: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

/* ---- verdicts on a case ---- */

static void mismatch(struct run *r, const char *what, const char *expected,
		     const char *got)
{
	if (r->kase->mismatch)
		return;
	if (asprintf(&r->kase->mismatch,
		     "%s %s: %s\n  expected %s\n  got      %s\n  logged   %s\n",
		     json_string(r->kase->json, "id"),
		     hook_table[r->kase->hook].name, what, expected, got,
		     worker_log(r->worker)) < 0)
		die("no memory");
}

static void mismatch_count(struct run *r, const char *what, unsigned expected,
			   unsigned got)
{
	char x[16], y[16];

	if (expected == got)
		return;
	snprintf(x, sizeof(x), "%u", expected);
	snprintf(y, sizeof(y), "%u", got);
	mismatch(r, what, x, y);
}

static void compare(struct run *r, const char *what,
		    const struct conclusion *expected,
		    const struct conclusion *got)
{
	char x[600], y[600];

	if (!trial_same(expected, got))
		mismatch(r, what, trial_print(expected, x, sizeof(x)),
			 trial_print(got, y, sizeof(y)));
}

/* ---- setting a case up ---- */

static unsigned requests_to(const struct run *r, size_t i)
{
	return atomic_load(&r->suite->plays[r->kase->first_play + i].requests);
}

/* The URL of a play. `base` of an answer is where the recorder sent the
 * request: its own port under another name, or one where nobody listens. */
static void set_url(struct run *r, size_t i, char *ret, size_t size)
{
	size_t play = r->kase->first_play + i;
	const char *base = json_string(r->suite->plays[play].answer, "base");
	unsigned port = player_port(r->suite->player);
	char host[64] = "127.0.0.1";
	unsigned given;

	if (base && sscanf(base, "http://%63[^:]:%u", host, &given) == 2 &&
	    given != RECORDED_PORT)
		port = player_dead_port(r->suite->player);
	snprintf(ret, size, "http://%s:%u/%zu", host, port, play);
}

static void set_endpoint(struct run *r, size_t i, const struct json *options,
			 struct worker_endpoint *ret)
{
	set_url(r, i, ret->url, sizeof(ret->url));
	ret->codec = trial_options(options);
	ret->timeout_ms =
		(unsigned)json_number(options, "response_timeout", 5000);
}

static bool get_event(struct run *r, const char *args, struct event *ret)
{
	const char *why = "";

	if (trial_event(&r->arena, r->kase->hook, json_get(r->kase->json, args),
			ret, &why))
		return true;
	mismatch(r, "argument", "one that is known", why);
	return false;
}

/* Logins may be delayed; so may what would hold the broker for long. */
static struct worker_manner manner(const struct run *r)
{
	const struct json *answer = json_get(r->kase->json, "response");
	struct worker_manner how = {
		.patient = r->kase->hook == HOOK_AUTH_ON_REGISTER ||
			   r->kase->hook == HOOK_AUTH_ON_REGISTER_M5 ||
			   json_get(answer, "delay_ms") ||
			   json_get(answer, "chunk_delay_ms"),
	};

	/* Only a login can be given up by its client. */
	if (r->kase->hook == HOOK_AUTH_ON_REGISTER ||
	    r->kase->hook == HOOK_AUTH_ON_REGISTER_M5)
		how.leaves_after_ms =
			json_number(r->kase->json, "client_closes_after_ms", 0);
	return how;
}

/* ---- requests ---- */

static const char simple_reply[] = "{\"status\":200,\"headers\":[],\"body\":\"{"
				   "\\\"result\\\":\\\"ok\\\"}\"}";
static const char kept_reply[] =
	"{\"status\":200,\"headers\":[[\"Cache-Control\",\"max-age=60\"]],"
	"\"body\":\"{\\\"result\\\":\\\"ok\\\"}\"}";

static void requests_answers(struct json_arena *a, const struct json *kase,
			     void (*add)(void *to, const struct json *answer),
			     void *to)
{
	(void)kase;
	add(to,
	    json_parse(a, simple_reply, sizeof(simple_reply) - 1, NULL, NULL));
}

static void compare_header(struct run *r, const char *head,
			   const struct json *header)
{
	const char *name = header->child->text.data;
	const char *value = header->child->next->text.data;
	char line[512], *at;

	snprintf(line, sizeof(line), "\r\n%s:", name);
	at = strcasestr(head, line);
	if (at)
		at += strlen(line) + strspn(at + strlen(line), " ");
	if (!at || strncmp(at, value, strlen(value)) != 0 ||
	    at[strlen(value)] != '\r')
		mismatch(r, name, value, head);
}

static void compare_body(struct run *r, struct bytes body,
			 const struct json *request)
{
	struct json *expected =
		json_copy(&r->arena, json_get(request, "body_json"));
	struct json *got =
		json_parse(&r->arena, body.data, body.len, NULL, NULL);
	char x[1500], y[1500];

	r->kase->used = rules_for_request(&r->arena, r->kase->json, expected);
	if (expected)
		expected->key = (struct bytes){ 0 };
	if (!json_equal(expected, got))
		mismatch(r, "body", json_print(expected, x, sizeof(x)),
			 json_print(got, y, sizeof(y)));
}

static void requests_run(struct run *r)
{
	const struct json *request = json_get(r->kase->json, "request");
	const struct json *headers = json_get(request, "headers");
	const char *method = json_string(request, "method"), *head;
	struct worker_manner how = { 0 };
	struct worker_endpoint ep;
	struct bytes body;
	struct event ev;

	set_endpoint(r, 0, json_get(r->kase->json, "options"), &ep);
	worker_configure(r->worker, r->kase->hook, &ep, 1);
	if (!get_event(r, "args", &ev))
		return;
	worker_ask(r->worker, &r->arena, &ev, how);
	if (!player_request(r->suite->player, &r->arena, r->kase->first_play,
			    &head, &body)) {
		mismatch(r, "request", "one", "none");
		return;
	}
	if (!method || strncmp(head, method, strlen(method)) != 0)
		mismatch(r, "method", method ? method : "?", head);
	for (struct json *h = headers ? headers->child : NULL; h; h = h->next)
		compare_header(r, head, h);
	compare_body(r, body, request);
}

/* ---- responses ---- */

static void responses_answers(struct json_arena *a, const struct json *kase,
			      void (*add)(void *to, const struct json *answer),
			      void *to)
{
	(void)a;
	add(to, json_get(kase, "response"));
}

static void read_expected(struct run *r, struct expected *e)
{
	const struct json *kase = r->kase->json;
	const struct json *all = json_get(kase, "outcomes");
	size_t most = sizeof(e->calls) / sizeof(*e->calls);

	*e = (struct expected){
		.requests = (unsigned)json_number(kase, "requests", 1),
		.cached = (int)json_number(kase, "cache_entries_after", -1),
	};
	if (all)
		for (struct json *o = all->child; o; o = o->next) {
			if (e->calls_count == most)
				die("%s: too many calls",
				    json_string(kase, "id"));
			e->calls[e->calls_count++] =
				trial_recorded(&r->arena, o);
		}
	else
		e->calls[e->calls_count++] =
			trial_recorded(&r->arena, json_get(kase, "outcome"));
	rules_for_response(&r->arena, r->kase->hook, kase, e);
	r->kase->used = e->used;
}

static void pause_ms(double ms)
{
	struct timespec t = { (time_t)(ms / 1000), (long)ms % 1000 * 1000000L };

	while (ms > 0 && nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

static void responses_run(struct run *r)
{
	double pause = json_number(r->kase->json, "delay_between_calls_ms", 0);
	struct worker_endpoint ep;
	struct expected e;
	struct event ev;

	read_expected(r, &e);
	set_endpoint(r, 0, json_get(r->kase->json, "options"), &ep);
	worker_configure(r->worker, r->kase->hook, &ep, 1);
	if (!get_event(r, "args", &ev))
		return;
	for (size_t i = 0; i < e.calls_count; i++) {
		struct conclusion got;

		if (i)
			pause_ms(pause);
		got = worker_ask(r->worker, &r->arena, &ev, manner(r));
		compare(r, "outcome", &e.calls[i], &got);
	}
	mismatch_count(r, "requests made", e.requests, requests_to(r, 0));
	if (e.cached >= 0)
		mismatch_count(r, "entries in the cache", (unsigned)e.cached,
			       (unsigned)worker_cached(r->worker));
}

/* ---- chains ---- */

static void chains_answers(struct json_arena *a, const struct json *kase,
			   void (*add)(void *to, const struct json *answer),
			   void *to)
{
	const struct json *eps = json_get(kase, "endpoints");

	(void)a;
	for (struct json *e = eps ? eps->child : NULL; e; e = e->next)
		add(to, json_get(e, "response"));
}

static void chains_run(struct run *r)
{
	const struct json *list = json_get(r->kase->json, "endpoints");
	struct conclusion expected =
		trial_recorded(&r->arena, json_get(r->kase->json, "outcome"));
	struct worker_endpoint eps[ENDPOINTS_MAX];
	const struct json *ep = list->child;
	struct conclusion got;
	struct event ev;
	size_t n = 0;

	for (; ep; ep = ep->next, n++) {
		if (n == ENDPOINTS_MAX)
			die("%s: too many endpoints",
			    json_string(r->kase->json, "id"));
		set_endpoint(r, n, json_get(ep, "options"), &eps[n]);
	}
	worker_configure(r->worker, r->kase->hook, eps, n);
	if (!get_event(r, "args", &ev))
		return;
	got = worker_ask(r->worker, &r->arena, &ev, manner(r));
	compare(r, "outcome", &expected, &got);
	for (n = 0, ep = list->child; ep; ep = ep->next, n++)
		mismatch_count(r, "requests to an endpoint",
			       (unsigned)json_number(ep, "requests", 0),
			       requests_to(r, n));
}

/* ---- cache-key ---- */

static void cache_key_answers(struct json_arena *a, const struct json *kase,
			      void (*add)(void *to, const struct json *answer),
			      void *to)
{
	(void)kase;
	add(to, json_parse(a, kept_reply, sizeof(kept_reply) - 1, NULL, NULL));
}

static void cache_key_run(struct run *r)
{
	bool hit = json_is_true(r->kase->json, "second_is_cache_hit");
	struct worker_endpoint ep;
	struct event first, second;

	set_endpoint(r, 0, json_get(r->kase->json, "options"), &ep);
	worker_configure(r->worker, r->kase->hook, &ep, 1);
	if (!get_event(r, "first_args", &first) ||
	    !get_event(r, "second_args", &second))
		return;
	worker_ask(r->worker, &r->arena, &first, manner(r));
	mismatch_count(r, "requests before", 1, requests_to(r, 0));
	worker_ask(r->worker, &r->arena, &second, manner(r));
	mismatch_count(r, "requests in all", hit ? 1 : 2, requests_to(r, 0));
}

/* ---- all cases ---- */

static const struct kind kinds[] = {
	{ "requests", requests_answers, requests_run },
	{ "responses", responses_answers, responses_run },
	{ "chains", chains_answers, chains_run },
	{ "cache-key", cache_key_answers, cache_key_run },
};

static void *work(void *arg)
{
	struct run *r = arg;

	for (;;) {
		size_t i = atomic_fetch_add(&r->suite->next, 1);

		if (i >= r->suite->n)
			return NULL;
		r->kase = &r->suite->cases[i];
		r->suite->kind->run(r);
		json_arena_free(&r->arena);
	}
}

static char *read_file(const char *name, size_t *ret_len)
{
	FILE *f = fopen(name, "rb");
	size_t size = 1 << 20, len = 0, n;
	char *text = malloc(size);

	if (!f || !text)
		die("%s: %s", name, strerror(errno));
	while ((n = fread(text + len, 1, size - len, f)) > 0) {
		len += n;
		if (len < size)
			continue;
		size *= 2;
		text = realloc(text, size);
		if (!text)
			die("no memory");
	}
	if (ferror(f))
		die("%s: %s", name, strerror(errno));
	fclose(f);
	*ret_len = len;
	return text;
}

static void add_play(void *to, const struct json *answer)
{
	struct suite *s = to;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->cases[i].plays;
	s->plays = realloc(s->plays, (n + 1) * sizeof(*s->plays));
	if (!s->plays)
		die("no memory");
	s->plays[n] = (struct play){ .answer = answer };
	s->cases[s->n - 1].plays++;
}

static void add_case(struct suite *s, struct json_arena *a,
		     const struct json *json, const char *file)
{
	const char *id = json_string(json, "id");
	const char *hook = json_string(json, "hook");
	struct kase *k;
	size_t first = 0;

	if (!id || !hook || hook_by_name(hook) == HOOK_COUNT)
		die("%s: a case without an id or a known hook", file);
	if (s->n)
		first = s->cases[s->n - 1].first_play +
			s->cases[s->n - 1].plays;
	s->cases = realloc(s->cases, (s->n + 1) * sizeof(*s->cases));
	if (!s->cases)
		die("no memory");
	k = &s->cases[s->n++];
	*k = (struct kase){ .json = json,
			    .hook = hook_by_name(hook),
			    .first_play = first };
	s->kind->answers(a, json, add_play, s);
}

static void load(struct suite *s, struct json_arena *a, const char *file)
{
	size_t len, at;
	char *text = read_file(file, &len);
	struct json *all = json_parse(a, text, len, &at, NULL);

	if (!all || all->kind != JSON_ARRAY)
		die("%s: not a JSON array (byte %zu)", file, at);
	free(text);
	json_unwrap(a, all);
	for (struct json *c = all->child; c; c = c->next)
		add_case(s, a, c, file);
}

static void run_all(struct suite *s)
{
	struct run runs[WORKERS] = { 0 };
	pthread_t threads[WORKERS];

	s->player =
		player_start(s->plays, s->n ? s->cases[s->n - 1].first_play +
						       s->cases[s->n - 1].plays
					    : 0);
	for (int i = 0; i < WORKERS; i++) {
		runs[i].suite = s;
		runs[i].worker = worker_create();
	}
	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&threads[i], NULL, work, &runs[i]) != 0)
			die("pthread_create");
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < WORKERS; i++)
		worker_destroy(runs[i].worker);
	player_stop(s->player);
}

/* Returns how many failed. */
static size_t report(const struct suite *s)
{
	size_t failed = 0, used[RULE_COUNT] = { 0 };

	for (size_t i = 0; i < s->n; i++) {
		const struct kase *k = &s->cases[i];

		if (k->mismatch) {
			fputs(k->mismatch, stdout);
			failed++;
			continue;
		}
		for (int id = 0; id < RULE_COUNT; id++)
			used[id] += k->used >> id & 1;
	}
	for (int id = 0; id < RULE_COUNT; id++)
		if (used[id])
			printf("%5zu by decision %d: %s\n", used[id],
			       rule_table[id].decision, rule_table[id].text);
	printf("%zu passed, %zu failed\n", s->n - failed, failed);
	return failed;
}

/* Conversations with a broker are played by a program of its own, in the tree
 * that we were built in. */
static int play_mqtt(char **files)
{
	static char player[PATH_MAX + sizeof("/test/golden/mqtt.py")];
	ssize_t len = readlink("/proc/self/exe", player, PATH_MAX);
	char *end;

	if (len < 0)
		die("/proc/self/exe: %s", strerror(errno));
	player[len] = '\0';
	while ((end = strrchr(player, '/')) != NULL) {
		memcpy(end, "/test/golden/mqtt.py",
		       sizeof("/test/golden/mqtt.py"));
		if (access(player, X_OK) == 0)
			break;
		*end = '\0';
	}
	*files = player; /* in place of "mqtt" */
	execv(player, files);
	die("test/golden/mqtt.py: %s", strerror(errno));
	return 2;
}

static int print_rules(void)
{
	for (int id = 0; id < RULE_COUNT; id++)
		printf("| %d | %s |\n", rule_table[id].decision,
		       rule_table[id].text);
	return 0;
}

int main(int argc, char **argv)
{
	struct suite s = { 0 };
	struct json_arena a = { 0 };
	size_t failed;

	if (argc > 2 && strcmp(argv[1], "mqtt") == 0)
		return play_mqtt(argv + 1);
	if (argc == 2 && strcmp(argv[1], "rules") == 0)
		return print_rules();
	for (size_t i = 0; argc > 2 && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i].name, argv[1]) == 0)
			s.kind = &kinds[i];
	if (!s.kind)
		die("usage: golden requests|responses|chains|cache-key|mqtt "
		    "FILE...");
	if (sodium_init() < 0)
		die("sodium_init");
	for (int i = 2; i < argc; i++)
		load(&s, &a, argv[i]);
	run_all(&s);
	failed = report(&s);
	for (size_t i = 0; i < s.n; i++)
		free(s.cases[i].mismatch);
	free(s.cases);
	free(s.plays);
	json_arena_free(&a);
	return failed ? 1 : 0;
}
