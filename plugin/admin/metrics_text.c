/*
 * metrics_text.c - what metrics.c tells, as Prometheus reads it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/metrics.h"
#include "pool/histogram.h"

enum {
	FIRST_SIZE = 64 * 1024,
	NUMBER_LEN = 32,
};

/* One text. An error sticks. */
struct text {
	char *data;
	size_t len, size;
	int err;
	char name[128]; /* of what comes now */
};

/* ---- bytes ---- */

static bool make_room(struct text *t, size_t more)
{
	size_t size = t->size ? t->size : FIRST_SIZE;
	char *data;

	if (t->err || t->size - t->len >= more)
		return !t->err;
	if (more > METRICS_TEXT_MAX - t->len) {
		t->err = -EFBIG;
		return false;
	}
	while (size - t->len < more)
		size *= 2;
	data = realloc(t->data, size);
	if (!data) {
		t->err = -ENOMEM;
		return false;
	}
	t->data = data;
	t->size = size;
	return true;
}

static void put_bytes(struct text *t, const char *bytes, size_t len)
{
	if (!make_room(t, len))
		return;
	memcpy(t->data + t->len, bytes, len);
	t->len += len;
}

static void put(struct text *t, const char *s)
{
	put_bytes(t, s, strlen(s));
}

/* There may be very many: no printf(). */
static void put_number(struct text *t, uint64_t n)
{
	char digits[NUMBER_LEN], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	put_bytes(t, at, (size_t)(digits + sizeof(digits) - at));
}

static void put_seconds(struct text *t, uint64_t us)
{
	char fraction[] = ".000000";
	uint64_t rest = us % 1000000;
	size_t len = 0;

	put_number(t, us / 1000000);
	for (size_t i = 6; i > 0; i--, rest /= 10) {
		fraction[i] = (char)('0' + rest % 10);
		if (!len && fraction[i] != '0')
			len = i + 1;
	}
	put_bytes(t, fraction, len);
}

/* ---- lines ---- */

static void put_labels(struct text *t, const char *labels)
{
	if (!*labels)
		return;
	put(t, "{");
	put(t, labels);
	put(t, "}");
}

static void begin(void *arg, const char *name, const char *type,
		  const char *help)
{
	struct text *t = arg;

	put(t, "# HELP ");
	put(t, name);
	put(t, " ");
	put(t, help);
	put(t, "\n# TYPE ");
	put(t, name);
	put(t, " ");
	put(t, type);
	put(t, "\n");
	t->name[0] = '\0';
	strncat(t->name, name, sizeof(t->name) - 1);
}

static void value(void *arg, const char *labels, uint64_t n,
		  enum metrics_unit unit)
{
	struct text *t = arg;

	put(t, t->name);
	put_labels(t, labels);
	put(t, " ");
	if (unit == METRICS_MICROSECONDS)
		put_seconds(t, n);
	else
		put_number(t, n);
	put(t, "\n");
}

/* How many took no longer than the i-th bound. */
static void put_bucket(struct text *t, const char *labels, size_t i, uint64_t n)
{
	put(t, t->name);
	put(t, "_bucket{");
	put(t, labels);
	put(t, ",le=\"");
	if (i < HISTOGRAM_BOUNDS)
		put_seconds(t, histogram_bounds_us[i]);
	else
		put(t, "+Inf");
	put(t, "\"} ");
	put_number(t, n);
	put(t, "\n");
}

static void histogram(void *arg, const char *labels,
		      const struct histogram_values *values)
{
	struct text *t = arg;
	uint64_t n = 0;

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		n += values->buckets[i];
		put_bucket(t, labels, i, n);
	}
	put(t, t->name);
	put(t, "_sum");
	put_labels(t, labels);
	put(t, " ");
	put_seconds(t, values->sum_us);
	put(t, "\n");
	put(t, t->name);
	put(t, "_count");
	put_labels(t, labels);
	put(t, " ");
	put_number(t, values->count);
	put(t, "\n");
}

int metrics_text(struct hooks *hooks, char **ret, size_t *ret_len)
{
	struct text t = { .len = 0 };
	const struct metrics_sink sink = {
		.begin = begin,
		.value = value,
		.histogram = histogram,
		.arg = &t,
	};
	int err = metrics_walk(hooks, &sink);

	if (!err)
		err = t.err;
	if (err) {
		free(t.data);
		return err;
	}
	*ret = t.data;
	*ret_len = t.len;
	return 0;
}
