/*
 * settings_saved.h - what was registered at run time, in a file
 * (`vmq_webhooks.persist`): text in the configuration's own syntax.
 *
 * The file is locked for as long as it is open, and replaced as a whole: who
 * reads it, after a crash too, finds what was stored last or what was stored
 * before that. One thread at a time. Never logs.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_SAVED_H
#define PLUGIN_SETTINGS_SETTINGS_SAVED_H

#include <stddef.h>
#include "plugin/settings/settings_register.h"

struct saved;

#define SAVED_BYTES_MAX (1024 * 1024) /* what conf.h reads */

/* Open the file at `path`, made if need be, mode 0600, and lock it. Returns 0;
 * or, with what is wrong and what to do in `reterr`, -EBUSY (another broker
 * has it), -EINVAL (no regular file), -ENOMEM or -errno. */
int saved_open(struct saved **ret, const char *path, struct conf_error *reterr);

/* A copy of `s` with what is in the file, in its order; a webhook that `s` has
 * already is told to `skip`. Returns 0; -EINVAL for what is wrong in it, or
 * -ENOMEM, or -errno of reading it, with `reterr` naming file, line and
 * remedy. */
int saved_load(struct saved *saved, const struct settings *s,
	       settings_skip_fn *skip, void *arg, struct settings **ret,
	       struct conf_error *reterr);

/*
 * Replace the file by what was registered on `s` at run time. Blocks until it
 * is on the disk. Returns 0; or, with `reterr`, -EINVAL (a value that the
 * syntax cannot express), -EFBIG (more than can be read again), -ENOMEM or
 * -errno. On failure the file is as before, but for a disk that fails after
 * the file was put in place: storing the former settings undoes that.
 */
int saved_store(struct saved *saved, const struct settings *s,
		struct conf_error *reterr);

void saved_close(struct saved *saved); /* NULL is fine */

#endif /* PLUGIN_SETTINGS_SETTINGS_SAVED_H */
