/*
 * commands_metrics.c - metrics: show. VerneMQ prints a line for each, type
 * and name before the value; a table's rows have the same three.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/metrics.h"
#include "plugin/json_writer.h"
#include "pool/histogram.h"

struct table {
	struct json_writer w;
	char name[128];
	const char *type; /* of what comes now; a constant of metrics.c */
};

static void begin(void *arg, const char *name, const char *type,
		  const char *help)
{
	struct table *t = arg;

	(void)help;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->type = type;
}

static void row(struct table *t, const char *suffix, const char *labels,
		const char *label, uint64_t value, enum metrics_unit unit)
{
	char *name = NULL;
	bool any = *labels || *label;

	if (asprintf(&name, "%s%s%s%s%s%s%s", t->name, suffix, any ? "{" : "",
		     labels, *labels && *label ? "," : "", label,
		     any ? "}" : "") < 0)
		name = NULL;
	json_open(&t->w, NULL, '{');
	json_text(&t->w, "type", bytes_of(t->type));
	json_text(&t->w, "name", bytes_of(name));
	if (unit == METRICS_MICROSECONDS)
		json_seconds(&t->w, "value", value);
	else
		json_int(&t->w, "value", (int64_t)value);
	json_close(&t->w, '}');
	free(name);
}

static void value(void *arg, const char *labels, uint64_t n,
		  enum metrics_unit unit)
{
	row(arg, "", labels, "", n, unit);
}

/* Nobody reads buckets. */
static void histogram(void *arg, const char *labels,
		      const struct histogram_values *values)
{
	static const struct {
		const char *label;
		double q;
	} quantiles[] = {
		{ "quantile=\"0.5\"", 0.5 },
		{ "quantile=\"0.99\"", 0.99 },
	};

	for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles); i++)
		row(arg, "", labels, quantiles[i].label,
		    histogram_quantile(values, quantiles[i].q),
		    METRICS_MICROSECONDS);
	row(arg, "_sum", labels, "", values->sum_us, METRICS_MICROSECONDS);
	row(arg, "_count", labels, "", values->count, METRICS_NUMBER);
}

void command_metrics_show(const struct job *job)
{
	struct table t = { .w = JSON_WRITER_INIT };
	const struct metrics_sink sink = {
		.begin = begin,
		.value = value,
		.histogram = histogram,
		.arg = &t,
	};

	admin_reply_table_open(&t.w);
	if (metrics_walk(job->commands->hooks, &sink) != 0) {
		json_abandon(&t.w);
		job_answer(job, (struct admin_reply){ .status = 500 });
		return;
	}
	job_answer(job, admin_reply_table_close(&t.w));
}
