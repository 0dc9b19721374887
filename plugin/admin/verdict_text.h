/*
 * verdict_text.h - what came of a dry run, in words. Pure, any thread.
 */
#ifndef PLUGIN_ADMIN_VERDICT_TEXT_H
#define PLUGIN_ADMIN_VERDICT_TEXT_H

struct trial_result;

/* Cut where they do not fit. */
struct verdict_text {
	char verdict[320];    /* "refused: not_allowed" */
	char modifiers[1024]; /* "qos = 1; topic = a/b (no effect here)" */
	char means[256];      /* what follows for a client */
	char kept[128];       /* "60 s"; "": not at all */
};

void verdict_text_write(const struct trial_result *result,
			struct verdict_text *ret);

#endif /* PLUGIN_ADMIN_VERDICT_TEXT_H */
