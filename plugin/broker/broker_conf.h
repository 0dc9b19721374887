/*
 * broker_conf.h - what the broker's own configuration says.
 *
 * No function of Mosquitto's tells, so its configuration file is looked into,
 * and the files of its include_dir. Once, at start-up.
 */
#ifndef PLUGIN_BROKER_BROKER_CONF_H
#define PLUGIN_BROKER_BROKER_CONF_H

enum broker_says {
	SAYS_UNKNOWN = 0, /* a file was not found or may not be read */
	SAYS_NO,
	SAYS_YES,
};

/* Whether it sets `key`, to `value` or to anything (NULL), for any listener. */
enum broker_says broker_conf_says(const char *key, const char *value);

/* What we want to know. */
struct broker_conf {
	/* Mosquitto 2.1 frees a rewritten delivery from its middle on a
	 * listener with a mount_point, and no function tells which listeners
	 * have one. */
	enum broker_says mounts;
	enum broker_says per_listener; /* per_listener_settings */
	enum broker_says identities;   /* clients named by their certificate */
};

void broker_conf_look(struct broker_conf *ret);

#endif /* PLUGIN_BROKER_BROKER_CONF_H */
