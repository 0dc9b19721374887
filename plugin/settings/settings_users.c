#include "plugin/settings/settings_users.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLANKS  " \t"
#define ALLOWED "allowed: user names or numeric ids, with commas between"

enum {
	ENTRY_MAX = 64 * 1024, /* of a user in the system's tables */
	ID_DIGITS = 10,
};

static int refuse(char reterr[static CONF_REASON_LEN], const char *what,
		  const char *name, size_t len)
{
	snprintf(reterr, CONF_REASON_LEN, "%s \"%.*s\"; %s", what,
		 len > 32 ? 32 : (int)len, name, ALLOWED);
	return -EINVAL;
}

/* The last id of all stands for none. */
static int read_id(const char *name, size_t len, uid_t *ret,
		   char reterr[static CONF_REASON_LEN])
{
	unsigned long long id = strtoull(name, NULL, 10);

	if (len > ID_DIGITS || id >= (uid_t)-1)
		return refuse(reterr, "no user id", name, len);
	*ret = (uid_t)id;
	return 0;
}

/* Returns 0, -ENOENT, -ENOMEM, or -errno of looking. */
static int look_up(const char *name, uid_t *ret)
{
	struct passwd entry, *found = NULL;
	int err = ERANGE;

	for (size_t size = 1024; err == ERANGE && size <= ENTRY_MAX;
	     size *= 4) {
		char *buf = malloc(size);

		if (!buf)
			return -ENOMEM;
		err = getpwnam_r(name, &entry, buf, size, &found);
		if (!err && found)
			*ret = found->pw_uid;
		free(buf);
	}
	if (err == ESRCH || err == EBADF || err == EPERM)
		err = ENOENT; /* as some say it */
	return err ? -err : found ? 0 : -ENOENT;
}

static int read_name(const char *name, size_t len, uid_t *ret,
		     char reterr[static CONF_REASON_LEN])
{
	char *copy = strndup(name, len);
	int err;

	if (!copy)
		return -ENOMEM;
	err = look_up(copy, ret);
	free(copy);
	if (!err || err == -ENOMEM)
		return err;
	if (err == -ENOENT)
		return refuse(reterr, "no user", name, len);
	snprintf(reterr, CONF_REASON_LEN, "cannot look up user \"%.32s\": %s",
		 name, strerror(-err));
	return -EINVAL;
}

static int read_user(const char *text, size_t len, uid_t *ret,
		     char reterr[static CONF_REASON_LEN])
{
	size_t before = strspn(text, BLANKS);

	before = before < len ? before : len;
	text += before;
	len -= before;
	while (len && strchr(BLANKS, text[len - 1]))
		len--;
	if (!len)
		return refuse(reterr, "no user", text, 0);
	if (strspn(text, "0123456789") >= len)
		return read_id(text, len, ret, reterr);
	return read_name(text, len, ret, reterr);
}

int settings_users_parse(struct settings_users *ret, const char *text,
			 char reterr[static CONF_REASON_LEN])
{
	struct settings_users users = { 0 };
	size_t len;
	int err = 0;

	users.list = calloc(SETTINGS_USERS_MAX, sizeof(*users.list));
	if (!users.list)
		return -ENOMEM;
	for (;; text += len + 1) {
		len = strcspn(text, ",");
		if (users.count == SETTINGS_USERS_MAX) {
			snprintf(reterr, CONF_REASON_LEN, "more than %d users",
				 SETTINGS_USERS_MAX);
			err = -EINVAL;
			break;
		}
		err = read_user(text, len, &users.list[users.count], reterr);
		if (err)
			break;
		users.count++;
		if (!text[len])
			break;
	}
	if (err)
		settings_users_clear(&users);
	else
		*ret = users;
	return err;
}

int settings_users_copy(struct settings_users *ret,
			const struct settings_users *users)
{
	uid_t *list = NULL;

	if (users->count) {
		list = malloc(users->count * sizeof(*list));
		if (!list)
			return -ENOMEM;
		memcpy(list, users->list, users->count * sizeof(*list));
	}
	*ret = (struct settings_users){ list, users->count };
	return 0;
}

void settings_users_clear(struct settings_users *users)
{
	free(users->list);
	*users = (struct settings_users){ 0 };
}

bool settings_users_have(const struct settings_users *users, uid_t uid)
{
	for (size_t i = 0; i < users->count; i++) {
		if (users->list[i] == uid)
			return true;
	}
	return !users->count && (uid == 0 || uid == geteuid());
}
