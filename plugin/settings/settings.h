/*
 * settings.h - all that an operator can set, as one immutable value.
 *
 * A reload and an admin's `register` both make a new value; whoever holds
 * the old one keeps it until done. References are counted atomically: any
 * thread may hold one, make one from another, and let go.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_H
#define PLUGIN_SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cache/cache.h"
#include "conf/conf.h"
#include "plugin/codec/codec.h"
#include "plugin/credentials.h"
#include "plugin/event.h"
#include "plugin/remark.h"
#include "plugin/settings/settings_transport.h"
#include "plugin/settings/settings_users.h"
#include "pool/histogram.h"

enum webhook_trouble {
	TROUBLE_FAILURE = 0, /* no usable answer */
	TROUBLE_UNASKED,     /* on_error without a question */
	TROUBLE_LOST,        /* a notification that was not delivered */
	TROUBLE_HELD,        /* the broker stood still */
	TROUBLE_ALLOWED,     /* let through by on_error */
	TROUBLE_REFUSED,     /* by the endpoint, which is no trouble of its */
	TROUBLE_OVER,        /* a usable answer again */
	TROUBLES
};

/* How a call ended: each in one way. */
enum webhook_end {
	END_OK = 0, /* it said ok; a notification: it was answered */
	END_NEXT,
	END_DENIED,      /* it said so: {"result":{"error":...}} */
	END_REFUSED,     /* a status or a body that is no answer */
	END_UNAVAILABLE, /* 429 or 5xx */
	END_FAILED,      /* no complete reply */
	END_TIMEOUT,     /* none in time */
	ENDS
};

/* The parts of struct pool_times. */
enum webhook_time {
	TIME_QUEUE = 0,
	TIME_CONNECT,    /* of calls that did not find a connection */
	TIME_FIRST_BYTE, /* of calls that were replied to */
	TIME_TOTAL,
	TIMES
};

/* What the log says of one problem: once, then counted and summed up. */
struct webhook_line {
	int64_t said_ms; /* 0: never */
	uint64_t problem;
	enum webhook_trouble kind;
	uint64_t unsaid; /* since then */
	char last[128];  /* of those */
};

enum {
	WEBHOOK_PROBLEMS = 6, /* told apart at a time */
};

/* What the log has said of one webhook; see hook_log.c. */
struct webhook_log {
	struct webhook_line apart[WEBHOOK_PROBLEMS];
	/* By kind: those that are not told apart, and those beyond. */
	struct webhook_line others[TROUBLES];
	/* Since the last usable answer; 0: there was no failure since. */
	int64_t failing_ms;
	uint64_t failures;
};

/* Counters of one webhook, shared by every settings value that holds it and
 * freed with the last. Whoever keeps cache entries under `cache` drops that
 * group before letting go of those settings. Relaxed atomics: written by the
 * broker's thread, read by any. */
struct webhook_stats {
	_Atomic unsigned refs; /* private */
	struct cache_group cache;
	/* The counters of `cache` as they were when `cache show` last began
	 * to count anew: it shows what came since. Any thread
	 * writes it that lets it begin anew. */
	struct cache_group cache_then;
	/* `requests` counts calls whose end is known, as VerneMQ's metric, and
	 * is the sum of `ends`; `errors` those without a usable answer, and
	 * denials. Notifications that were dropped, too old or left over are
	 * not among them. */
	_Atomic uint64_t requests, errors, bytes_sent;
	_Atomic uint64_t ends[ENDS];
	struct histogram times[TIMES]; /* of `requests` */
	/* The broker waited no longer for these calls, which then ended. */
	_Atomic uint64_t given_up;
	/* Let through by `on_error = allow`. */
	_Atomic uint64_t allowed_on_error;
	/* Questions not put to the endpoint, because its breaker was open or
	 * the broker had stood still for long enough. */
	_Atomic uint64_t unasked;
	/* Notifications that the endpoint did not get: for a full queue, for
	 * their age, and what was left at the end. */
	_Atomic uint64_t dropped, expired, undelivered;
	/* How often the broker's thread stood still, and for how long. */
	_Atomic uint64_t held_calls, held_us;
	/* The newest failure, or lost notification, in the time of day. The
	 * broker's thread writes it. */
	struct remark trouble;
	/* Broker's thread only: what was already said once, and the limiter
	 * of its log lines. */
	uint32_t warned;      /* 1u << enum webhook_warning */
	uint32_t ineffective; /* 1u << enum modifier: said to have no effect */
	struct webhook_log log;
};

/* What follows when an endpoint gives no answer at all: the `on_error` of a
 * webhook on a hook that asks (contract.md, decision 1). */
enum on_error {
	ON_ERROR_DENY = 0,
	ON_ERROR_NEXT,  /* as if it had said next */
	ON_ERROR_ALLOW, /* as if it had said ok; never for a will */
};

enum webhook_warning {
	WARNED_CACHED_PAYLOAD = 0, /* contract.md, decision 10 */
};

/* What calls carry beyond what VerneMQ's do. */
struct call_opts {
	struct credentials *credentials; /* shared; NULL: none */
	bool trace;                      /* with a traceparent */
	bool forward; /* the listener's data, of the two hooks that have them */
};

struct registration;

/* One endpoint on one hook. */
struct webhook {
	enum hook_id hook;
	struct webhook_stats *stats;
	/* In the configuration; or NULL: registered at run time, and how. */
	char *name;
	struct registration *registration;
	char *endpoint; /* the URL, verbatim */
	char *shown;    /* the same without its user and password */
	char *logged;   /* and without the values in its query */
	char *target;   /* what it is to the pool; not to be shown */
	struct transport_settings *transport; /* how to get there */
	uint32_t timeout_ms;                  /* `response_timeout` */
	unsigned on_error;                    /* enum on_error */
	bool blocking;                        /* wait where one could go on */
	bool cache_refusals; /* keep refusals that say max-age, too */
	/* Of notifications: how often one is sent again, and how long it may
	 * wait to be sent. */
	uint32_t retries, max_event_age_ms;
	struct codec_opts codec;
	struct call_opts call;
	/* What of it differs from the program's defaults, as the options of
	 * `vmq-admin webhooks register`, without secrets: to be shown. */
	char *options;
};

enum default_policy {
	DEFAULT_DENY = 0, /* contract.md, decision 27 */
	DEFAULT_IGNORE,
};

enum read_checks { /* contract.md, decision 29 */
	READ_CHECKS_AUTO = 0,
	READ_CHECKS_ALLOW,
	READ_CHECKS_DEFER,
};

enum publish_denied { /* contract.md, decision 13 */
	PUBLISH_DENIED_DROP = 0,
	PUBLISH_DENIED_DISCONNECT,
};

/* Numbers that hold for all webhooks; the keys of the same names, in
 * docs/configuration.md, say what each is for. */
struct settings_limits {
	uint32_t pool_max_connections, pool_timeout_ms;
	uint32_t blocking_timeout_ms, blocking_budget_ms;
	uint32_t breaker_failures, breaker_open_ms;
	uint32_t max_queue, max_queue_bytes;
	uint32_t retries, max_event_age_ms; /* of who sets none */
	uint32_t drain_timeout_ms;
	uint32_t cache_max_bytes, cache_jitter; /* percent */
	uint32_t log_interval_ms;
};

/* `listener.<port>.mountpoint` */
struct listener_mount {
	unsigned port;
	char *mountpoint;
};

struct settings {
	_Atomic unsigned refs; /* private */
	bool enabled;          /* `plugins.vmq_webhooks`; off: be inert */
	/* Per hook an array, asked in this order until one says ok or error:
	 * registration order, which for a configuration is the order of the
	 * names as bytes (contract.md 12). */
	struct webhook *chain[HOOK_COUNT];
	size_t chained[HOOK_COUNT];
	size_t webhooks; /* in all chains */
	struct settings_limits limits;
	struct call_opts call;                /* of who sets none */
	struct transport_keys transport_keys; /* likewise */
	/* Of webhooks that set nothing of their own. */
	struct transport_settings *transport;
	char *admin_socket;
	bool admin_socket_given; /* the operator named it */
	bool persist;            /* see settings_saved.h */
	char *persist_file;
	struct settings_users admin_users;
	char *metrics_listen; /* settings_address.h; NULL: nowhere */
	unsigned default_policy, read_checks, publish_denied;
	unsigned log_level; /* enum log_level: lines below are left out */
	char *mountpoint;   /* of every listener not among `mounts`; or NULL */
	struct listener_mount *mounts;
	size_t mounts_count;
};

/* One `plugin_opt_...` line of mosquitto.conf. Borrowed. */
struct settings_opt {
	const char *key; /* without "plugin_opt_" */
	const char *value;
};

/*
 * Read the options, and the file that `config_file` among them names. A key
 * given twice, in whichever places, is an error, as is anything else that is
 * not as docs/configuration.md has it; one webhook's keys may stand in both.
 * Returns 0 with one reference; or -EINVAL, -ENOMEM, -errno of the file,
 * with `reterr` filled.
 */
int settings_load(const struct settings_opt *opts, size_t n,
		  struct settings **ret, struct conf_error *reterr);

/* The prefix that the listener on `port` (0: not known) adds to topics; ""
 * when it has none. */
const char *settings_mountpoint(const struct settings *s, unsigned port);

/* A copy of `s` with one webhook more, at the end of its chain, as by a
 * registration (settings_register.h): `hook` is copied; its name and stats are
 * ignored, and retries, age, transport and what its calls carry are those of
 * `s`. Returns 0; -EEXIST (the hook has that endpoint); -EINVAL (URL, a value,
 * too many) with `reterr`; or -ENOMEM. */
int settings_with(const struct settings *s, const struct webhook *hook,
		  struct settings **ret, struct conf_error *reterr);

/* A copy of `s` with one fewer. Returns 0, -ENOENT or -ENOMEM. */
int settings_without(const struct settings *s, enum hook_id hook,
		     const char *endpoint, struct settings **ret);

/* The webhook with that endpoint in the hook's chain, or NULL. Valid as
 * long as `s`. */
const struct webhook *settings_find(const struct settings *s, enum hook_id hook,
				    const char *endpoint);

/* Whether the broker is to wait for answers of this hook: any webhook of it
 * says so. */
bool settings_block(const struct settings *s, enum hook_id hook);

/* Returns `s`, with one reference more. */
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s); /* NULL is fine */

/* Bounds and defaults, for configuration and admin commands alike. */
#define SETTINGS_TIMEOUT_DEFAULT_MS      5000
#define SETTINGS_TIMEOUT_MIN_MS          1
#define SETTINGS_TIMEOUT_MAX_MS          600000
#define SETTINGS_CONNECTIONS_DEFAULT     100
#define SETTINGS_CONNECTIONS_MAX         10000
#define SETTINGS_POOL_TIMEOUT_DEFAULT_MS 60000
#define SETTINGS_POOL_TIMEOUT_MAX_MS     86400000
#define SETTINGS_BLOCKING_DEFAULT_MS     1000
#define SETTINGS_BUDGET_DEFAULT_MS       500
#define SETTINGS_BUDGET_MAX_MS           1000 /* no bound */
#define SETTINGS_BREAKER_DEFAULT         5
#define SETTINGS_BREAKER_MAX             1000000
#define SETTINGS_BREAKER_OPEN_DEFAULT_MS 500
#define SETTINGS_BREAKER_OPEN_MIN_MS     10
#define SETTINGS_BREAKER_OPEN_MAX_MS     60000
#define SETTINGS_QUEUE_DEFAULT           10000
#define SETTINGS_QUEUE_MAX               10000000
#define SETTINGS_QUEUE_BYTES_DEFAULT     (64 * 1024 * 1024)
#define SETTINGS_RETRIES_DEFAULT         3
#define SETTINGS_RETRIES_MAX             100
#define SETTINGS_AGE_DEFAULT_MS          60000
#define SETTINGS_AGE_MAX_MS              86400000
#define SETTINGS_DRAIN_DEFAULT_MS        2000
#define SETTINGS_DRAIN_MAX_MS            60000
#define SETTINGS_WEBHOOKS_MAX            1000
#define SETTINGS_CACHE_BYTES             (64 * 1024 * 1024)
#define SETTINGS_REFUSALS_SHARE          8 /* the part of it that they have */
#define SETTINGS_JITTER_MAX              100
#define SETTINGS_LOG_INTERVAL_DEFAULT_MS 10000
#define SETTINGS_LOG_INTERVAL_MAX_MS     86400000
#define SETTINGS_ADMIN_SOCKET            "/run/mosquitto/vmq_webhooks.sock"
#define SETTINGS_PERSIST_FILE            "/var/lib/mosquitto/vmq_webhooks.registered"

#endif /* PLUGIN_SETTINGS_SETTINGS_H */
