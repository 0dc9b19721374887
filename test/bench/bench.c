#include "test/bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t bench_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t bench_cpu_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

int64_t bench_rss_kb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long long kb = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %lld", &kb) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kb;
}

/* ---- samples ---- */

int samples_reserve(struct samples *s, size_t n)
{
	int64_t *list = realloc(s->list, n * sizeof(*list));

	if (!list)
		return -ENOMEM;
	if (n > s->room)
		memset(list + s->room, 0, (n - s->room) * sizeof(*list));
	s->list = list;
	s->room = n;
	return 0;
}

void samples_add(struct samples *s, int64_t ns)
{
	if (s->count == s->room &&
	    samples_reserve(s, s->room ? 2 * s->room : 4096) != 0)
		return;
	s->list[s->count++] = ns;
	s->sorted = false;
}

static int compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int64_t samples_quantile(struct samples *s, double q)
{
	size_t i;

	if (s->count == 0)
		return 0;
	if (!s->sorted)
		qsort(s->list, s->count, sizeof(*s->list), compare);
	s->sorted = true;
	i = (size_t)(q * (double)s->count);
	return s->list[i < s->count ? i : s->count - 1];
}

double samples_mean(const struct samples *s)
{
	double sum = 0;

	for (size_t i = 0; i < s->count; i++)
		sum += (double)s->list[i];
	return s->count ? sum / (double)s->count : 0;
}

void samples_clear(struct samples *s)
{
	free(s->list);
	memset(s, 0, sizeof(*s));
}

/* ---- options ---- */

static bool take(const struct bench_option *row, const char *text)
{
	struct text_list *list = row->value;
	char *end = NULL;

	switch (row->kind) {
	case OPTION_NUMBER:
		*(int64_t *)row->value = strtoll(text, &end, 10);
		return end != text && *end == '\0';
	case OPTION_REAL:
		*(double *)row->value = strtod(text, &end);
		return end != text && *end == '\0';
	case OPTION_TEXT:
		*(const char **)row->value = text;
		return true;
	case OPTION_LIST:
		if (list->count == sizeof(list->text) / sizeof(*list->text))
			return false;
		list->text[list->count++] = text;
		return true;
	}
	return false;
}

int bench_options(int argc, char **argv, const struct bench_option *rows)
{
	for (int i = 1; i < argc; i += 2) {
		const struct bench_option *row = rows;

		while (row->name && (strncmp(argv[i], "--", 2) != 0 ||
				     strcmp(argv[i] + 2, row->name) != 0))
			row++;
		if (row->name && argv[i + 1] && take(row, argv[i + 1]))
			continue;
		fprintf(stderr, "%s: cannot make sense of %s\n", argv[0],
			argv[i]);
		return -EINVAL;
	}
	return 0;
}
