/*
 * rules.h - where contract.md, part A, decides otherwise than VerneMQ. A
 * rule knows a case by what it contains, never by its name, and says what
 * must come out instead. docs/differences.md lists them for users.
 */
#ifndef GOLDEN_RULES_H
#define GOLDEN_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "test/golden/trial.h"

/* In the order of the table in rules.c. */
enum rule_id {
	RULE_STRICT_JSON = 0,
	RULE_C_STRING,
	RULE_LAST_MODIFIER,
	RULE_EMPTY_IS_NONE,
	RULE_NO_USER_PROPERTIES,
	RULE_UNSPECIFIED,
	RULE_USER_PROPERTY_BY_NAME,
	RULE_RESERVED_TOPIC,
	RULE_OUT_OF_RANGE,
	RULE_WRONG_TYPE,
	RULE_CUT_OFF,
	RULE_WHOLE_CALL,
	RULE_CACHE_CONTROL,
	RULE_NO_CERTIFICATE,
	RULE_COUNT
};

struct rule_def {
	int decision; /* of contract.md, part A */
	const char *text;
};

extern const struct rule_def rule_table[RULE_COUNT];

/* What is expected of a case, and the rules that changed it. */
struct expected {
	struct conclusion calls[4]; /* one for each time it is asked */
	size_t calls_count;
	unsigned requests;
	int cached;    /* entries held; -1: not said */
	uint32_t used; /* 1u << enum rule_id */
};

/* Apply the rules to what was recorded of `kase`. */
void rules_for_response(struct json_arena *a, enum hook_id hook,
			const struct json *kase, struct expected *e);

/* Apply them to the recorded body of a request, in place. Returns the mask
 * of those that changed it. */
uint32_t rules_for_request(struct json_arena *a, const struct json *kase,
			   struct json *body);

#endif /* GOLDEN_RULES_H */
