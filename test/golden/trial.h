/*
 * trial.h - the words of the recordings and ours: their arguments as events,
 * our verdicts as their outcomes.
 */
#ifndef GOLDEN_TRIAL_H
#define GOLDEN_TRIAL_H

#include <stdbool.h>
#include "plugin/codec/codec.h"
#include "plugin/event.h"
#include "plugin/verdict.h"
#include "test/golden/json.h"

/* How a question ended. VerneMQ's error, invalid_modifiers and exception are
 * one: refused, nothing applied. */
enum outcome {
	OUTCOME_OK,
	OUTCOME_NEXT,
	OUTCOME_REFUSED
};

struct conclusion {
	enum outcome outcome;
	struct json *modifiers; /* of ok: an object, perhaps empty */
};

/* The event of `args`; everything it points to is the arena's or `args`'.
 * False with `ret_why` when there is an argument we do not know. */
bool trial_event(struct json_arena *a, enum hook_id hook,
		 const struct json *args, struct event *ret,
		 const char **ret_why);

/* `options` of a case; what is absent is VerneMQ's default. */
struct codec_opts trial_options(const struct json *options);

/* The recorded outcome, and ours in the recordings' words. */
struct conclusion trial_recorded(struct json_arena *a,
				 const struct json *outcome);
struct conclusion trial_concluded(struct json_arena *a, enum hook_id hook,
				  const struct verdict *v);

bool trial_same(const struct conclusion *x, const struct conclusion *y);
const char *trial_print(const struct conclusion *c, char *ret, size_t size);

#endif /* GOLDEN_TRIAL_H */
