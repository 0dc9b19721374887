#include "plugin/hook/hook_trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/codec/codec_private.h"
#include "plugin/hook/hook_private.h"
#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"

enum {
	PROPERTIES_MAX = 64
};

struct trial {
	struct hooks *hooks;
	struct settings *settings; /* a reference, for `webhook` */
	const struct webhook *webhook;
	size_t sent;
	hook_tried_fn *done;
	void *arg;
};

/* ---- what came of it ---- */

static bool is_asked(const struct webhook *webhook)
{
	return hook_table[webhook->hook].kind != HOOK_TELLS;
}

/* A 200: whether it is an answer. */
static void read_answer(const struct pool_reply *reply,
			struct trial_result *ret)
{
	const struct webhook *webhook = ret->webhook;
	int err;

	if (is_asked(webhook))
		err = codec_decode(webhook->hook, &webhook->codec, reply->body,
				   reply->len, &ret->verdict, ret->why);
	else
		err = codec_check_json(reply->body, reply->len, ret->why);
	if (err == -ENOMEM)
		snprintf(ret->why, sizeof(ret->why), "no memory for the reply");
	ret->end = err ? TRIAL_MALFORMED : TRIAL_ANSWERED;
}

static uint32_t ineffective(const struct broker_ops *ops,
			    const struct trial_result *result)
{
	uint32_t mask = 0;

	for (size_t i = 0; i < ops->without_effect_count; i++) {
		const struct modifier_without_effect *m;

		m = &ops->without_effect[i];
		if (verdict_has(result->verdict, m->id) &&
		    m->hooks & 1u << result->webhook->hook)
			mask |= 1u << m->id;
	}
	return mask;
}

/* By the rules of hook_cache.c. */
static bool would_be_kept(const struct trial_result *result,
			  struct cache_life *ret)
{
	const struct verdict *v = result->verdict;
	const struct webhook *webhook = result->webhook;

	if (!hook_table[webhook->hook].cacheable ||
	    !hook_keeps(webhook, v->decision))
		return false;
	return codec_cache_life(result->reply->cache_control,
				result->reply->age_s, ret);
}

static bool is_delayed(const struct trial *trial)
{
	enum hook_id hook = trial->webhook->hook;

	return trial->hooks->ops->delays_logins &&
	       (hook == HOOK_AUTH_ON_REGISTER ||
		hook == HOOK_AUTH_ON_REGISTER_M5) &&
	       !trial->webhook->blocking &&
	       !settings_block(trial->settings, hook);
}

static void conclude(const struct trial *trial, const struct pool_reply *reply,
		     struct trial_result *ret)
{
	*ret = (struct trial_result){ .webhook = trial->webhook,
				      .reply = reply };
	switch (hook_outcome(reply, ret->why)) {
	case OUTCOME_ANSWER:
		read_answer(reply, ret);
		break;
	case OUTCOME_REFUSAL:
		ret->end = TRIAL_REFUSED;
		break;
	default:
		ret->end = TRIAL_UNAVAILABLE;
	}
	ret->delayed = is_delayed(trial);
	if (!ret->verdict)
		return;
	ret->ineffective = ineffective(trial->hooks->ops, ret);
	ret->kept = would_be_kept(ret, &ret->life);
}

static void tried(const struct pool_reply *reply, void *arg)
{
	struct trial *trial = arg;
	struct trial_result result;

	conclude(trial, reply, &result);
	trial->done(&result, trial->arg);
	verdict_unref(result.verdict);
	settings_unref(trial->settings);
	free(trial);
}

/* ---- the call ---- */

int hook_try(struct hooks *hooks, struct settings *s,
	     const struct webhook *webhook, const struct event *ev,
	     uint32_t max_ms, hook_tried_fn *done, void *arg)
{
	struct hook_message message = {
		.webhook = webhook,
		.ev = ev,
		.kind = POOL_ASK,
		.trial = true,
		.timeout_ms = webhook->timeout_ms < max_ms ? webhook->timeout_ms
							   : max_ms,
		.event = ++hooks->events,
	};
	struct trial *trial = calloc(1, sizeof(*trial));
	int err;

	if (!trial)
		return -ENOMEM;
	*trial = (struct trial){
		.hooks = hooks,
		.settings = settings_ref(s),
		.webhook = webhook,
		.done = done,
		.arg = arg,
	};
	err = hook_send(hooks, &message, tried, trial, NULL, &trial->sent);
	if (err) {
		settings_unref(s);
		free(trial);
	}
	return err;
}

char *hook_trial_body(const struct webhook *webhook, const struct event *ev)
{
	struct event masked = hook_event(webhook, ev);
	struct property properties[PROPERTIES_MAX];
	char *body;
	size_t len;

	if (masked.password.data)
		masked.password = bytes_of("***");
	if (masked.properties_count > PROPERTIES_MAX)
		masked.properties_count = PROPERTIES_MAX;
	for (size_t i = 0; i < masked.properties_count; i++) {
		properties[i] = masked.properties[i];
		if (properties[i].id == PROPERTY_AUTHENTICATION_DATA)
			properties[i].text = bytes_of("***");
	}
	masked.properties = properties;
	if (codec_encode(&masked, &webhook->codec, &body, &len) != 0)
		return NULL;
	return body;
}
