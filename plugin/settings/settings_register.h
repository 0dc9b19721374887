/*
 * settings_register.h - webhooks that are registered at run time.
 *
 * A registration is what somebody asked for, kept as text, so that the webhook
 * can be made anew on other settings, and saved (settings_saved.h). The keys
 * are those of a webhook in docs/configuration.md, with the same checks and
 * the same messages; VerneMQ's `base64payload` is `base64encode`, and switches
 * are true and false as well as on and off.
 *
 * Any thread. There may be secrets in a registration: it is wiped when freed,
 * and no error text repeats one.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_REGISTER_H
#define PLUGIN_SETTINGS_SETTINGS_REGISTER_H

#include <stddef.h>
#include "plugin/settings/settings.h"

#define REGISTRATION_OPTIONS_MAX 64
#define REGISTRATION_BYTES_MAX   16384 /* of keys and values, and the URL */

struct registration_option {
	char *place; /* begins error texts: "--retries", "FILE:7: ..." */
	char *key;   /* "retries", "header.Authorization" */
	char *value; /* one line, no blanks around it */
};

/* Filled by one owner; then shared, and changed no more. */
struct registration {
	_Atomic unsigned refs; /* private */
	enum hook_id hook;
	char *endpoint;     /* the URL, verbatim */
	char *name, *place; /* in a file, for messages; or NULL */
	size_t count, bytes;
	struct registration_option options[REGISTRATION_OPTIONS_MAX];
};

/* Without options; copies. Returns 0 with one reference; or -ENOMEM. */
int registration_create(struct registration **ret, enum hook_id hook,
			const char *endpoint);

/* Copies. Whether the key exists and takes such a value settings_register()
 * says. Returns 0; -EINVAL (a line end, too many, too long) with what is wrong
 * in `reterr`, without the place; or -ENOMEM. */
int registration_add(struct registration *r, const char *place, const char *key,
		     const char *value, char reterr[static CONF_REASON_LEN]);

/* NULL is fine for both. */
struct registration *registration_ref(struct registration *r);
void registration_unref(struct registration *r);

/* A copy of `s` with one webhook more, at the end of its chain; what `r` does
 * not set is as in `s`. Files that it names are read. Takes a reference of
 * `r`. Returns 0; -EEXIST (the hook has that endpoint); -EINVAL with `reterr`;
 * or -ENOMEM. */
int settings_register(const struct settings *s, struct registration *r,
		      struct settings **ret, struct conf_error *reterr);

/* Of a registration that `s` has no need of: its hook has that endpoint. */
typedef void settings_skip_fn(const struct registration *r, void *arg);

/* A copy of `s` with the webhooks of `list`, in that order. Returns as
 * settings_register(), but never -EEXIST: those are told to `skip`, which may
 * be NULL. */
int settings_register_list(const struct settings *s,
			   struct registration *const *list, size_t n,
			   settings_skip_fn *skip, void *arg,
			   struct settings **ret, struct conf_error *reterr);

#endif /* PLUGIN_SETTINGS_SETTINGS_REGISTER_H */
