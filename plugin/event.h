/*
 * event.h - what the broker asks, and what it is told.
 *
 * The broker's own types stop in broker/; everything behind it speaks in
 * these. Plain data: no thread, no I/O. Names and meaning of the fields are
 * VerneMQ's, see docs/protocol.md.
 */
#ifndef PLUGIN_EVENT_H
#define PLUGIN_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* In the order of hook_table. */
enum hook_id {
	HOOK_AUTH_ON_REGISTER = 0,
	HOOK_AUTH_ON_PUBLISH,
	HOOK_AUTH_ON_SUBSCRIBE,
	HOOK_ON_REGISTER,
	HOOK_ON_PUBLISH,
	HOOK_ON_SUBSCRIBE,
	HOOK_ON_UNSUBSCRIBE,
	HOOK_ON_DELIVER,
	HOOK_ON_OFFLINE_MESSAGE,
	HOOK_ON_CLIENT_WAKEUP,
	HOOK_ON_CLIENT_OFFLINE,
	HOOK_ON_CLIENT_GONE,
	HOOK_ON_SESSION_EXPIRED,
	HOOK_AUTH_ON_REGISTER_M5,
	HOOK_AUTH_ON_PUBLISH_M5,
	HOOK_AUTH_ON_SUBSCRIBE_M5,
	HOOK_ON_REGISTER_M5,
	HOOK_ON_PUBLISH_M5,
	HOOK_ON_SUBSCRIBE_M5,
	HOOK_ON_UNSUBSCRIBE_M5,
	HOOK_ON_DELIVER_M5,
	HOOK_ON_AUTH_M5,
	HOOK_COUNT
};

/* Borrowed bytes; `data` NULL means absent (JSON null). They may hold NULs
 * and need not end with one. */
struct bytes {
	const void *data;
	size_t len;
};

/* MQTT 5 section 2.2.2. User properties and subscription identifiers come
 * one each, as often as there are; of any other the first counts. */
struct property {
	int id;            /* property identifier */
	uint32_t number;   /* of an integer or boolean property */
	struct bytes name; /* of a user property: its key */
	struct bytes text; /* of a string, binary or user property */
};

enum retain_handling {
	RETAIN_SEND = 0,    /* "send_retain" */
	RETAIN_SEND_IF_NEW, /* "send_if_new_sub" */
	RETAIN_DONT_SEND,   /* "dont_send" */
};

struct topic {
	struct bytes filter;
	int qos;          /* 0..2; otherwise a refusal's code */
	bool has_options; /* MQTT 5: the three below are known */
	bool no_local, rap;
	enum retain_handling retain_handling;
};

/* What a listener tells of itself and of the client's TLS, sent when the
 * operator asked for it. An absent string is sent as null, an address that
 * begins with "unix:" as "local". */
struct listener_info {
	struct bytes addr, type;
	struct bytes client_cert; /* DER; absent: no such key is sent... */
	bool cert_unknown;        /* ...but null: there may be one */
	bool has_listener;        /* addr, port, type are sent */
	int port;                 /* -1: null */
};

/* Every pointer is borrowed: the broker's memory, valid during its
 * callback, or the one block of event_copy(). */
struct event {
	enum hook_id hook;
	struct bytes mountpoint, client_id, username, password, peer_addr;
	struct bytes topic, payload;
	const struct topic *topics; /* of the (un)subscribe hooks */
	size_t topics_count;
	const struct property *properties;
	size_t properties_count;
	const struct listener_info *listener; /* NULL: not forwarded */
	/* Not told: the user name as sent at CONNECT, where a reply has
	 * changed it since; otherwise absent. Answers are cleared by it, so it
	 * tells questions apart. */
	struct bytes sent_username;
	uint16_t peer_port;
	uint8_t qos;
	bool clean, retain;
	bool will; /* not told: it bars `on_error = allow` */
};

/* A copy with everything it points to, in one block, so that a question can
 * outlive its callback. Each of its texts is followed by a NUL that `len`
 * does not count. Returns 0 with an event to event_free(), or -ENOMEM. */
int event_copy(const struct event *ev, struct event **ret);

/* Wipe (there may be a password in it) and free what event_copy() made. NULL
 * is fine. */
void event_free(struct event *ev);

/* "text" as bytes; NULL as absent. */
static inline struct bytes bytes_of(const char *text)
{
	return (struct bytes){ text, text ? strlen(text) : 0 };
}

#endif /* PLUGIN_EVENT_H */
