/*
 * hook_table.h - what there is to know of each of the 22 hooks. Constant.
 */
#ifndef PLUGIN_HOOK_TABLE_H
#define PLUGIN_HOOK_TABLE_H

#include <stdbool.h>
#include "plugin/event.h"

enum hook_kind {
	HOOK_TELLS = 0, /* every endpoint is told, answers are ignored */
	HOOK_ASKS,      /* the first ok or error decides; default deny */
	/* on_deliver, on_unsubscribe: the first ok or error decides, and
	 * without one the event takes its course. Where nobody may wait for
	 * them (contract.md, decisions 4 and 17) the caller tells them. */
	HOOK_OFFERS,
};

struct hook_def {
	const char *name; /* "auth_on_register" */
	enum hook_kind kind;
	bool m5;        /* of MQTT 5 clients */
	bool cacheable; /* ok answers with max-age may be kept */
};

/* Indexed by enum hook_id. */
extern const struct hook_def hook_table[HOOK_COUNT];

/* Their names in the same order; ends with NULL. */
extern const char *const hook_names[HOOK_COUNT + 1];

/* The hook of that name, or HOOK_COUNT. */
enum hook_id hook_by_name(const char *name);

#endif /* PLUGIN_HOOK_TABLE_H */
