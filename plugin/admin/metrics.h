/*
 * metrics.h - every number that the plugin keeps, one after the other, for who
 * writes them down.
 *
 * Two kinds: VerneMQ's, by its names and without labels (contract.md, section
 * 16), which never go back; and our own, by webhook and by endpoint, which go
 * with those. URLs are as the log has them, without user, password and the
 * values in their query: what they then have in common is summed. docs/metrics.md is the list; a new number is a row of
 * a table in metrics.c and one there.
 *
 * Any thread: reads atomics and the settings in force, and waits for nobody.
 */
#ifndef PLUGIN_ADMIN_METRICS_H
#define PLUGIN_ADMIN_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct histogram_values;
struct hooks;

enum metrics_unit {
	METRICS_NUMBER = 0,
	METRICS_MICROSECONDS, /* to be told in seconds */
};

/* Who writes. Texts are borrowed during the call. */
struct metrics_sink {
	/* What the next values are. `type` is "counter", "gauge" or
	 * "histogram"; the last is one of them all. */
	void (*begin)(void *arg, const char *name, const char *type,
		      const char *help);
	/* `labels` as Prometheus has them between braces, escaped; or "". */
	void (*value)(void *arg, const char *labels, uint64_t value,
		      enum metrics_unit unit);
	void (*histogram)(void *arg, const char *labels,
			  const struct histogram_values *values);
	void *arg;
};

/* Returns 0 or -ENOMEM. */
int metrics_walk(struct hooks *hooks, const struct metrics_sink *sink);

/* The text that Prometheus reads, format 0.0.4, to free(). Returns 0, -ENOMEM,
 * or -EFBIG: longer than METRICS_TEXT_MAX. */
#define METRICS_TEXT_MAX ((size_t)64 * 1024 * 1024)
#define METRICS_TYPE     "text/plain; version=0.0.4; charset=utf-8"
int metrics_text(struct hooks *hooks, char **ret, size_t *ret_len);

#endif /* PLUGIN_ADMIN_METRICS_H */
