/*
 * settings_private.h - settings in the making, shared by the files of
 * settings.h. Nobody else sees these before they are whole.
 */
#ifndef PLUGIN_SETTINGS_PRIVATE_H
#define PLUGIN_SETTINGS_PRIVATE_H

#include "plugin/settings.h"

/* The defaults, no webhook, one reference; `admin_socket` and `transport` are
 * yet NULL.
 * NULL: no memory. */
struct settings *settings_new(void);

/* Copy a webhook to the end of its chain; `shown` and `target` are made. It
 * shares `stats`, or has fresh ones when that is NULL. Returns 0 or -ENOMEM, `s` unchanged. */
int settings_append(struct settings *s, const struct webhook *webhook,
		    struct webhook_stats *stats);

/* Say what the listener on `port` mounts. Returns 0 or -ENOMEM. */
int settings_mount(struct settings *s, unsigned port, const char *mountpoint);

#endif /* PLUGIN_SETTINGS_PRIVATE_H */
