/*
 * broker_mounts.h - whether the broker's own configuration mounts anything.
 *
 * Mosquitto 2.1 frees a rewritten delivery from its middle on a listener with
 * a mount_point, and no function tells which listeners have one: so its
 * configuration file is looked into. Once, at start-up.
 */
#ifndef PLUGIN_BROKER_MOUNTS_H
#define PLUGIN_BROKER_MOUNTS_H

enum mounts {
	MOUNTS_UNKNOWN = 0, /* the file was not found or may not be read */
	MOUNTS_NONE,
	MOUNTS_SOME,
};

enum mounts mounts_look(void);

#endif /* PLUGIN_BROKER_MOUNTS_H */
