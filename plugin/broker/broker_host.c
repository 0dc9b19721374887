#include "plugin/broker/broker_host.h"

#include <ctype.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- version ---- */

/* "2.0.NN" and its NUL at `p`, as the broker's own version string stands in
 * its constants; no function tells it. Returns NN, or -1. */
static int patch_at(const char *p, const char *end)
{
	const char *q = p + 4;

	if (end - p < 6 || memcmp(p, "2.0.", 4) != 0)
		return -1;
	while (q < end && q < p + 6 && isdigit((unsigned char)*q))
		q++;
	if (q == p + 4 || q == end || *q != '\0')
		return -1;
	return (int)strtol(p + 4, NULL, 10);
}

static int patch_between(const char *p, const char *end)
{
	while (p < end) {
		int patch = patch_at(p, end);

		if (patch >= 0)
			return patch;
		p = memchr(p + 1, '2', end - p - 1);
		if (!p)
			break;
	}
	return -1;
}

/* The first object is the executable itself: look no further. */
static int find_patch(struct dl_phdr_info *info, size_t size, void *arg)
{
	int *patch = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum && *patch < 0; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		const char *start;

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_R) ||
		    ph->p_flags & PF_W)
			continue;
		start = (const char *)(info->dlpi_addr + ph->p_vaddr);
		*patch = patch_between(start, start + ph->p_filesz);
	}
	return 1;
}

void host_detect(struct host *ret)
{
	int patch = -1;

	memset(ret, 0, sizeof(*ret));
	ret->frees_replaced = true;
	if (mosquitto_plugin_set_info && mosquitto_complete_basic_auth) {
		ret->v21 = true;
		snprintf(ret->version, sizeof(ret->version), "2.1");
		return;
	}
	dl_iterate_phdr(find_patch, &patch);
	if (patch < 0) {
		snprintf(ret->version, sizeof(ret->version), "2.0");
		return;
	}
	snprintf(ret->version, sizeof(ret->version), "2.0.%d", patch);
	ret->frees_replaced = patch >= 15;
}
