/*
 * bench.h - what the tools of the benchmark share: clocks, samples, options.
 *
 * Tools of one thread each; all functions are for that thread.
 */
#ifndef TEST_BENCH_BENCH_H
#define TEST_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* CLOCK_MONOTONIC: the clock that the other tools and the orchestrator have
 * too, so that what they note down can be compared. */
int64_t bench_now_ns(void);
/* What this thread has computed so far: time that it waited or was not let
 * run does not count. */
int64_t bench_cpu_ns(void);
/* Resident memory of this process in kB, 0 when it cannot be read. */
int64_t bench_rss_kb(void);

/* Durations, to ask for quantiles of. Zero it before first use. */
struct samples {
	int64_t *list;
	size_t count, room;
	bool sorted;
};

/* Make room for `n` in all, and touch it, so that measuring allocates nothing
 * later. Returns 0 or -ENOMEM. */
int samples_reserve(struct samples *s, size_t n);
/* Without memory the sample is left out. */
void samples_add(struct samples *s, int64_t ns);
/* The sample that a share `q` (0 to 1) of all does not exceed; 0 without any.
 * Sorts: the order of adding is lost. */
int64_t samples_quantile(struct samples *s, double q);
double samples_mean(const struct samples *s);
void samples_clear(struct samples *s); /* frees */

/* A row of the table of a tool's options: `--name value`. */
struct bench_option {
	const char *name;
	enum {
		OPTION_NUMBER,
		OPTION_REAL,
		OPTION_TEXT,
		OPTION_LIST,
	} kind;
	void *value; /* int64_t, double, const char *, or struct text_list */
};

/* What was given with an option that may be repeated. */
struct text_list {
	const char *text[64];
	size_t count;
};

/* Read `--name value` pairs from argv[1] on into the rows, which end with one
 * without a name. Returns 0; or -EINVAL after a line on stderr. */
int bench_options(int argc, char **argv, const struct bench_option *rows);

#endif /* TEST_BENCH_BENCH_H */
