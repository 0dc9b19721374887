/*
 * broker.h - everything the core may do to the broker.
 *
 * broker.c implements this on mosquitto; tests write down what was asked of
 * it. Nothing else in the tree includes a mosquitto header.
 */
#ifndef PLUGIN_BROKER_H
#define PLUGIN_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/event.h"
#include "plugin/verdict.h"

struct conf_error;
struct settings;

enum log_level {
	LOG_LEVEL_DEBUG = 0,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERR
};

/* A modifier that this host cannot honour, on the hooks in the mask. */
struct modifier_without_effect {
	enum modifier id;
	const char *name;
	uint32_t hooks; /* 1u << enum hook_id */
};

/* One thing to know of a hook on this host, as things are set. */
enum broker_remark {
	REMARK_FACT = 0,
	REMARK_LIMIT, /* it does not fire for everybody, or not at once */
	REMARK_NEVER, /* it does not fire */
};

typedef void broker_say_fn(void *arg, enum broker_remark kind,
			   const char *text);

/* Whoever keeps time for all has to come by that often: the kernel's timer
 * does, many times over, also on a machine that has others to serve. */
#define BROKER_COARSE_US 1000000

struct broker_ops {
	/* Broker's thread, and only from a tick: it may free clients, so
	 * never from inside another callback. `ticket` is the one that
	 * hook_ask() gave. The verdict is borrowed; NULL: the client
	 * has started over, or was forgotten, and this ticket is void. */
	void (*complete_auth)(void *ctx, const char *client_id, uint64_t ticket,
			      const struct verdict *verdict);
	/* Broker's thread, and only from a tick, likewise: part from the
	 * clients that are online, or whose login is under way, with this id,
	 * or with this user name as sent at CONNECT; NULL: any. Returns how
	 * many there were. */
	size_t (*disconnect)(void *ctx, const char *client_id,
			     const char *username);
	/* Broker's thread. One line, no newline. */
	void (*log)(void *ctx, enum log_level level, const char *line);
	/* Any thread: have the broker tick soon. */
	void (*wake)(void *ctx);
	/* Any thread. Monotonic, in microseconds; and the time of day, in
	 * milliseconds since 1970. */
	int64_t (*now_us)(void *ctx);
	int64_t (*unix_ms)(void *ctx);
	/* Any thread. The first of those for less: never ahead of it, and
	 * behind by less than BROKER_COARSE_US. NULL: there is none. */
	int64_t (*coarse_us)(void *ctx);
	/* Any thread: say() what is to be known of a hook. NULL: nothing is. */
	void (*explain)(void *ctx, const struct settings *s, enum hook_id hook,
			broker_say_fn *say, void *arg);
	/* Any thread: whether this host can do what `s` asks for. Returns 0; or
	 * -EINVAL with what is wrong in `reterr`. NULL: it can do all. */
	int (*check)(void *ctx, const struct settings *s,
		     struct conf_error *reterr);
	/* Broker's thread: the settings were read again; say what the start-up
	 * would say of `now` and would not have said of `before`. NULL:
	 * nothing. */
	void (*report)(void *ctx, const struct settings *before,
		       const struct settings *now);
	/* Logins may be delayed (Mosquitto 2.1). */
	bool delays_logins;
	/* There may be no ticks, ever (Mosquitto before 2.0.15). */
	bool may_never_tick;
	/* Said in the log, once per webhook that asks for one. */
	const struct modifier_without_effect *without_effect;
	size_t without_effect_count;
};

#endif /* PLUGIN_BROKER_H */
