#include "conf/conf.h"

#include <string.h>
#include "conf/conf_private.h"

static unsigned lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A' + 'a')
				    : (unsigned char)c;
}

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Optimal string alignment, three rows of the table at a time. */
unsigned conf_distance(struct conf_span a, struct conf_span b)
{
	unsigned rows[3][CONF_WORD_MAX + 1];

	if (a.len > CONF_WORD_MAX || b.len > CONF_WORD_MAX)
		return CONF_FAR;
	for (unsigned j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3];
		const unsigned *two_above = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			unsigned x = lower(a.at[i - 1]);
			unsigned y = lower(b.at[j - 1]);

			row[j] = min(min(row[j - 1], above[j]) + 1,
				     above[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == lower(b.at[j - 2]) &&
			    y == lower(a.at[i - 2]))
				row[j] = min(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

bool conf_is_near(unsigned distance, size_t len)
{
	return distance <= (len + 2) / 4;
}

const char *conf_nearest(const char *word, const char *const *names)
{
	struct conf_span given = { word, strlen(word) };
	unsigned best = CONF_FAR;
	const char *ret = NULL;

	for (; *names; names++) {
		struct conf_span name = { *names, strlen(*names) };
		unsigned d = conf_distance(given, name);

		if (d < best && conf_is_near(d, name.len)) {
			best = d;
			ret = *names;
		}
	}
	return ret;
}
