/*
 * request.h - a request's address to a command with its arguments.
 *
 * A function of its arguments: no I/O, no state, any thread. The table of
 * commands is here; adding one is adding a row and its handler in
 * a file of commands.
 */
#ifndef PLUGIN_ADMIN_REQUEST_H
#define PLUGIN_ADMIN_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of the table. */
enum admin_command {
	ADMIN_SHOW = 0,
	ADMIN_REGISTER,
	ADMIN_DEREGISTER,
	ADMIN_CACHE_SHOW,
	ADMIN_CACHE_CLEAR,
	ADMIN_METRICS_SHOW,
	ADMIN_STATUS,
	ADMIN_EXPLAIN,
	ADMIN_TEST,
	ADMIN_PAUSE,
	ADMIN_RESUME,
	ADMIN_SESSION_DISCONNECT,
	ADMIN_RELOAD,
	ADMIN_COMMAND_COUNT
};

/* In the order of the table. Those from ADMIN_RESET on are written with `--`
 * in front. */
enum admin_arg {
	ADMIN_HOOK = 0,
	ADMIN_ENDPOINT,
	ADMIN_CLIENT_ID,
	ADMIN_USERNAME,
	ADMIN_MOUNTPOINT,
	ADMIN_RESET,
	ADMIN_ORIGIN,
	ADMIN_ALL,
	ADMIN_KICK,
	ADMIN_CLEANUP,
	ADMIN_FORMAT,
	ADMIN_ARG_COUNT
};

struct admin_value {
	bool given;
	const char *text; /* decoded; "" for a flag that stands alone */
	uint32_t number;  /* enum hook_id of a hook */
};

#define ADMIN_OPTIONS 64 /* at most */

/* Judged by who uses it. */
struct admin_option {
	const char *name;        /* without its `--` */
	const char *flag, *text; /* with them; decoded */
};

#define ADMIN_WORDS 3 /* at most */

struct admin_command_def {
	/* Of its path below /api/v1/; ends with NULL. */
	const char *words[ADMIN_WORDS + 1];
	unsigned required, allowed; /* 1u << enum admin_arg */
	bool options;               /* any `--<name>=<value>` beside them */
	bool fields;                /* takes `name=value` of other names, too */
	const char *usage;
};

extern const struct admin_command_def admin_command_table[ADMIN_COMMAND_COUNT];

/* Of a command that takes such; decoded, judged by who uses it. */
struct admin_field {
	const char *name, *text;
};

#define ADMIN_FIELDS 24 /* at most */

struct admin_request {
	enum admin_command command;
	struct admin_value args[ADMIN_ARG_COUNT];
	struct admin_option options[ADMIN_OPTIONS]; /* as given */
	size_t options_count;
	struct admin_field fields[ADMIN_FIELDS]; /* each name once */
	size_t fields_count;
};

#define ADMIN_ERROR_LEN 1024

/*
 * Parse `uri`, a request target such as
 * `/api/v1/webhooks/cache/show?--reset`, decoding it in place; texts in `ret`
 * point into it. The order of arguments is free; `+` and %XX are decoded
 * once. Returns 0; -ENOENT when it is no address of ours; or -EINVAL for an
 * unknown command, an argument that is unknown, double, missing or has an
 * impossible value; both with what is wrong in `reterr`.
 */
int admin_request_parse(char *uri, struct admin_request *ret,
			char reterr[static ADMIN_ERROR_LEN]);

#endif /* PLUGIN_ADMIN_REQUEST_H */
