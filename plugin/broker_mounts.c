#include "plugin/broker_mounts.h"

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The rest of `line` when it sets `key`, without blanks around it; or NULL. */
static char *value_of(char *line, const char *key)
{
	size_t len = strlen(key);
	char *end;

	line += strspn(line, " \t");
	if (strncmp(line, key, len) != 0 || !strchr(" \t", line[len]))
		return NULL;
	line += len;
	line += strspn(line, " \t");
	end = line + strlen(line);
	while (end > line && strchr(" \t\r\n", end[-1]))
		*--end = '\0';
	return line;
}

static enum mounts look_into(const char *path, bool may_include);

static enum mounts look_into_folder(const char *folder)
{
	enum mounts found = MOUNTS_NONE;
	char *pattern = NULL;
	glob_t files;

	if (asprintf(&pattern, "%s/*.conf", folder) < 0)
		return MOUNTS_UNKNOWN;
	switch (glob(pattern, GLOB_ERR, NULL, &files)) {
	case 0:
		for (size_t i = 0; i < files.gl_pathc && found == MOUNTS_NONE;
		     i++)
			found = look_into(files.gl_pathv[i], false);
		globfree(&files);
		break;
	case GLOB_NOMATCH:
		break;
	default:
		found = MOUNTS_UNKNOWN;
	}
	free(pattern);
	return found;
}

static enum mounts look_into(const char *path, bool may_include)
{
	enum mounts found = MOUNTS_NONE;
	FILE *f = fopen(path, "re");
	char *line = NULL, *folder;
	size_t size = 0;

	if (!f)
		return MOUNTS_UNKNOWN;
	while (found == MOUNTS_NONE && getline(&line, &size, f) > 0) {
		if (value_of(line, "mount_point"))
			found = MOUNTS_SOME;
		folder = may_include ? value_of(line, "include_dir") : NULL;
		if (folder)
			found = look_into_folder(folder);
	}
	if (ferror(f))
		found = MOUNTS_UNKNOWN;
	free(line);
	fclose(f);
	return found;
}

/* The argument after -c or --config-file on the broker's command line. */
static char *config_path(void)
{
	FILE *f = fopen("/proc/self/cmdline", "re");
	char *arg = NULL, *path = NULL;
	bool next = false;
	size_t size = 0;

	if (!f)
		return NULL;
	while (!path && getdelim(&arg, &size, '\0', f) > 0) {
		if (next)
			path = strdup(arg);
		next = strcmp(arg, "-c") == 0 ||
		       strcmp(arg, "--config-file") == 0;
	}
	free(arg);
	fclose(f);
	return path;
}

enum mounts mounts_look(void)
{
	char *path = config_path();
	enum mounts found = MOUNTS_UNKNOWN;

	if (path)
		found = look_into(path, true);
	free(path);
	return found;
}
