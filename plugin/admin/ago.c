#include "plugin/admin/ago.h"

#include <stdio.h>

void ago_write(int64_t ms, char ret[static AGO_LEN])
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = { { 2 * 24 * 3600, "d" },
		      { 2 * 3600, "h" },
		      { 120, "min" } };
	static const int64_t per[] = { 24 * 3600, 3600, 60 };
	int64_t s = ms > 0 ? ms / 1000 : 0;

	for (int i = 0; i < 3; i++) {
		if (s < units[i].seconds)
			continue;
		snprintf(ret, AGO_LEN, "%lld %s", (long long)(s / per[i]),
			 units[i].name);
		return;
	}
	snprintf(ret, AGO_LEN, "%lld s", (long long)s);
}
