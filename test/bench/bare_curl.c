/*
 * bare_curl.c - what libcurl alone does with an endpoint, for comparison.
 *
 * usage: bare-curl easy --url URL --body FILE [--hook NAME] [--count N]
 *        bare-curl multi --url URL --body FILE [--hook NAME]
 *                        [--connections N] [--seconds S] [--warmup S]
 *
 * easy   one keep-alive handle, one POST after the other: how long each takes
 * multi  so many POSTs at a time, each begun when one is done: how many a
 *        second
 *
 * The requests carry the headers of a webhook. Prints one JSON object.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "test/bench/bench.h"

struct job {
	const char *url, *body_path, *hook;
	int64_t count, connections;
	double seconds, warmup;
	char body[64 * 1024];
	size_t body_len;
	struct curl_slist *headers;
	uint64_t done, failed;
	int64_t from, until;
};

static size_t swallow(char *data, size_t size, size_t n, void *ctx)
{
	(void)data;
	(void)ctx;
	return size * n;
}

static int read_body(struct job *job)
{
	FILE *f = fopen(job->body_path, "re");

	if (!f)
		return -1;
	job->body_len = fread(job->body, 1, sizeof(job->body), f);
	fclose(f);
	return 0;
}

static int make_headers(struct job *job)
{
	char hook[128];
	struct curl_slist *list;

	snprintf(hook, sizeof(hook), "vernemq-hook: %s", job->hook);
	list = curl_slist_append(NULL, "Content-Type: application/json");
	job->headers = curl_slist_append(list, hook);
	return job->headers ? 0 : -1;
}

static CURL *handle_create(const struct job *job)
{
	CURL *easy = curl_easy_init();

	if (!easy)
		return NULL;
	curl_easy_setopt(easy, CURLOPT_URL, job->url);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job->headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, job->body);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)job->body_len);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
	return easy;
}

/* ---- easy ---- */

static int run_easy(struct job *job)
{
	CURL *easy = handle_create(job);
	struct samples times = { 0 };
	int64_t warm = job->count / 10 + 1;

	if (!easy)
		return 1;
	for (int64_t i = -warm; i < job->count; i++) {
		int64_t before = bench_now_ns();

		if (curl_easy_perform(easy) != CURLE_OK)
			job->failed++;
		else if (i >= 0)
			samples_add(&times, bench_now_ns() - before);
	}
	printf("{\"done\": %zu, \"failed\": %llu, \"p50_us\": %.2f, "
	       "\"p99_us\": %.2f, \"mean_us\": %.2f}\n",
	       times.count, (unsigned long long)job->failed,
	       (double)samples_quantile(&times, 0.5) / 1e3,
	       (double)samples_quantile(&times, 0.99) / 1e3,
	       samples_mean(&times) / 1e3);
	samples_clear(&times);
	curl_easy_cleanup(easy);
	return job->failed ? 1 : 0;
}

/* ---- multi ---- */

static void take_finished(struct job *job, CURLM *multi)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
		int64_t now = bench_now_ns();
		CURL *easy = msg->easy_handle;

		if (msg->data.result != CURLE_OK)
			job->failed++;
		else if (now >= job->from && now < job->until)
			job->done++;
		curl_multi_remove_handle(multi, easy);
		if (now < job->until)
			curl_multi_add_handle(multi, easy);
	}
}

static int perform_all(struct job *job, CURLM *multi)
{
	int running;

	while (bench_now_ns() < job->until) {
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return 1;
		take_finished(job, multi);
		curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	return 0;
}

static int run_multi(struct job *job)
{
	size_t n = (size_t)job->connections;
	CURLM *multi = curl_multi_init();
	CURL **list = calloc(n, sizeof(*list));
	int err = 1;

	if (!multi || !list)
		return 1;
	job->from = bench_now_ns() + (int64_t)(job->warmup * 1e9);
	job->until = job->from + (int64_t)(job->seconds * 1e9);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)n);
	for (size_t i = 0; i < n; i++) {
		list[i] = handle_create(job);
		if (!list[i])
			return 1;
		curl_multi_add_handle(multi, list[i]);
	}
	err = perform_all(job, multi);
	printf("{\"done\": %llu, \"failed\": %llu, \"rate\": %.2f}\n",
	       (unsigned long long)job->done, (unsigned long long)job->failed,
	       (double)job->done / job->seconds);
	for (size_t i = 0; i < n; i++) {
		curl_multi_remove_handle(multi, list[i]);
		curl_easy_cleanup(list[i]);
	}
	curl_multi_cleanup(multi);
	free(list);
	return err || job->failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct job job = {
		.hook = "auth_on_publish",
		.count = 1000,
		.connections = 100,
		.seconds = 1,
	};
	const struct bench_option options[] = {
		{ "url", OPTION_TEXT, &job.url },
		{ "body", OPTION_TEXT, &job.body_path },
		{ "hook", OPTION_TEXT, &job.hook },
		{ "count", OPTION_NUMBER, &job.count },
		{ "connections", OPTION_NUMBER, &job.connections },
		{ "seconds", OPTION_REAL, &job.seconds },
		{ "warmup", OPTION_REAL, &job.warmup },
		{ 0 },
	};
	int rc = 2;

	if (argc < 2 || bench_options(argc - 1, argv + 1, options) != 0 ||
	    !job.url || !job.body_path || read_body(&job) != 0 ||
	    make_headers(&job) != 0) {
		fprintf(stderr, "usage: bare-curl easy|multi --url URL "
				"--body FILE ...: see bare_curl.c\n");
		return rc;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = strcmp(argv[1], "easy") == 0 ? run_easy(&job) : run_multi(&job);
	curl_slist_free_all(job.headers);
	curl_global_cleanup();
	return rc;
}
