/*
 * settings_users.h - who may use the admin socket (`admin_users`).
 *
 * Names are looked up once, when the setting is read: that is when a mistake
 * can be told, and where users are not local it may take a while. Safe from
 * any thread that has the value to itself.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_USERS_H
#define PLUGIN_SETTINGS_SETTINGS_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "conf/conf.h"

enum {
	SETTINGS_USERS_MAX = 64
};

/* Zeroed: nobody is named. */
struct settings_users {
	uid_t *list;
	size_t count;
};

/*
 * Set a zeroed `ret` to the users in `text`: names or numeric ids with commas
 * between them. A number is an id, whether or not somebody has it. Returns 0;
 * -EINVAL (no such user, nobody, too many) with what is wrong in `reterr`; or
 * -ENOMEM; `ret` unchanged.
 */
int settings_users_parse(struct settings_users *ret, const char *text,
			 char reterr[static CONF_REASON_LEN]);

/* Returns 0 or -ENOMEM. */
int settings_users_copy(struct settings_users *ret,
			const struct settings_users *users);
void settings_users_clear(struct settings_users *users);

/* Whether `uid` is one of them; where nobody is named, root and the user
 * that this process runs as are. */
bool settings_users_have(const struct settings_users *users, uid_t uid);

#endif /* PLUGIN_SETTINGS_SETTINGS_USERS_H */
