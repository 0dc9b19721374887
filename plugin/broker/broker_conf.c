#include "plugin/broker/broker_conf.h"

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

/* What is looked for. */
struct search {
	const char *key, *value; /* NULL: any */
};

static enum broker_says look_into(const struct search *search, const char *path,
				  bool may_include);

static enum broker_says look_into_folder(const struct search *search,
					 const char *folder)
{
	enum broker_says found = SAYS_NO;
	char *pattern = NULL;
	glob_t files;

	if (asprintf(&pattern, "%s/*.conf", folder) < 0)
		return SAYS_UNKNOWN;
	switch (glob(pattern, GLOB_ERR, NULL, &files)) {
	case 0:
		for (size_t i = 0; i < files.gl_pathc && found == SAYS_NO; i++)
			found = look_into(search, files.gl_pathv[i], false);
		globfree(&files);
		break;
	case GLOB_NOMATCH:
		break;
	default:
		found = SAYS_UNKNOWN;
	}
	free(pattern);
	return found;
}

static bool is_it(const struct search *search, char *line)
{
	const char *value = value_of(line, search->key);

	return value && (!search->value || strcmp(value, search->value) == 0);
}

static enum broker_says look_into(const struct search *search, const char *path,
				  bool may_include)
{
	enum broker_says found = SAYS_NO;
	FILE *f = fopen(path, "re");
	char *line = NULL, *folder;
	size_t size = 0;

	if (!f)
		return SAYS_UNKNOWN;
	while (found == SAYS_NO && getline(&line, &size, f) > 0) {
		if (is_it(search, line))
			found = SAYS_YES;
		folder = may_include ? value_of(line, "include_dir") : NULL;
		if (folder)
			found = look_into_folder(search, folder);
	}
	if (ferror(f))
		found = SAYS_UNKNOWN;
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

enum broker_says broker_conf_says(const char *key, const char *value)
{
	const struct search search = { key, value };
	char *path = config_path();
	enum broker_says found = SAYS_UNKNOWN;

	if (path)
		found = look_into(&search, path, true);
	free(path);
	return found;
}

void broker_conf_look(struct broker_conf *ret)
{
	ret->mounts = broker_conf_says("mount_point", NULL);
	ret->per_listener = broker_conf_says("per_listener_settings", "true");
	ret->identities = broker_conf_says("use_identity_as_username", "true");
	if (ret->identities == SAYS_NO)
		ret->identities =
			broker_conf_says("use_subject_as_username", "true");
}
