/*
 * broker_host.h - which Mosquitto loaded us, and what that means.
 */
#ifndef PLUGIN_BROKER_BROKER_HOST_H
#define PLUGIN_BROKER_BROKER_HOST_H

#include <stdbool.h>
#include "plugin/broker/broker_abi.h"
#include "plugin/event.h"

struct host {
	char version[16]; /* "2.0.11"; "2.1"; "2.0" when not known */
	bool v21;         /* 2.1: delayed logins, CONNECT and SUBSCRIBE
				 * events, a neutral answer */
	/* The broker frees a topic and properties that MESSAGE replaced; up
	 * to 2.0.14 it forgets them and the plugin has to. */
	bool frees_replaced;
};

void host_detect(struct host *ret);

typedef const mosquitto_property *host_read_fn(const mosquitto_property *list,
					       int id, void *value, bool skip);

/* The host's functions that read properties. Zeroed, they are looked up when
 * they are needed first. Private. */
struct host_readers {
	bool found;
	int (*identifier)(const mosquitto_property *p);
	const mosquitto_property *(*next)(const mosquitto_property *p);
	host_read_fn *byte, *int16, *int32, *varint, *string;
	const mosquitto_property *(*binary)(const mosquitto_property *list,
					    int id, void **value, uint16_t *len,
					    bool skip);
	const mosquitto_property *(*pair)(const mosquitto_property *list,
					  int id, char **name, char **value,
					  bool skip);
	void (*free)(void *p);
};

/* Properties of a packet as the core knows them. */
struct host_properties {
	struct property *list; /* owned, with their texts */
	size_t count;
};

/* Read `from`, which may be NULL. Returns 0; -ENOMEM; or -ENOTSUP when this
 * broker exports no property readers and libmosquitto.so.1, which has them,
 * is not installed. On failure `ret` is empty. */
int host_properties_read(struct host_readers *r, const mosquitto_property *from,
			 struct host_properties *ret);
void host_properties_clear(struct host_properties *p);

/* Make the host's list of `list`. Returns 0; or -ENOMEM, -EINVAL (a property
 * that a PUBLISH cannot carry), and then `ret` is not set. */
int host_properties_write(const struct property *list, size_t count,
			  mosquitto_property **ret);

#endif /* PLUGIN_BROKER_BROKER_HOST_H */
