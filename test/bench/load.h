/*
 * load.h - what the modes of the load generator share.
 */
#ifndef TEST_BENCH_LOAD_H
#define TEST_BENCH_LOAD_H

#include <stdio.h>
#include "test/bench/bench.h"
#include "test/bench/client.h"

struct load {
	const struct mode *mode;
	/* Options. */
	int64_t port, clients_count, window, qos, topics, payload, interval_us;
	int64_t gather_us;
	double seconds, warmup, rate;
	const char *prefix, *dump_path, *kind;
	/* The run. */
	int epoll;
	int signals;                  /* a descriptor */
	int64_t started, from, until; /* counted is what falls between */
	bool over;                    /* nothing more is to come */
	FILE *dump;                   /* lines of numbers, or NULL */
	struct client *clients;
	unsigned online;
	uint64_t opened; /* connections so far */
	/* Results. */
	uint64_t sent, done, refused, lost;
	struct samples times;
};

/* Every client opened, and CONNECT sent. Returns 0 or -errno. */
int load_open_all(struct load *load);

/* Note down what took from `sent` to now, if that is within the time that
 * counts; also in the dump, with `code`. */
void load_note(struct load *load, int64_t sent, int64_t now, int code);

/* The time that counts begins now. */
void load_begin(struct load *load, int64_t now);

/* Members that every report has. */
void load_report_times(struct load *load);

#endif /* TEST_BENCH_LOAD_H */
