/*
 * hook_inquiry.c - one call to one endpoint, and what its answer means to those
 * who wait for it.
 *
 * An inquiry may outlive its question, when the broker could stand still no
 * longer, or have none from the start: as a probe, or as a refresh of what is
 * kept. What the endpoint then answers can still be kept for the next one who
 * asks. And one may serve several questions: delayed ones that ask the very
 * same, each under its own ticket.
 */
#define HASH_NONFATAL_OOM 1
#include "plugin/hook/hook_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook_table.h"

enum {
	WHAT_LEN = 512 /* of a line */
};

/* ---- one answer for those who wait ---- */

/* What came of the call. */
struct conclusion {
	enum hook_outcome outcome; /* ANSWER: `v` is set */
	bool unasked;              /* NONE: not even sent */
	const struct verdict *v;
	char error[CODEC_ERROR_LEN];
};

static void note_denial(struct question *q, const struct verdict *v)
{
	const struct webhook *webhook = asked(q);
	char what[WHAT_LEN];

	/* not for nothing: there may be very many */
	if (!hooks_says(q->hooks, LOG_LEVEL_INFO))
		return;
	snprintf(what, sizeof(what), "refused client %.*s: %.*s",
		 (int)q->ev->client_id.len, (const char *)q->ev->client_id.data,
		 (int)v->reason.len, (const char *)v->reason.data);
	hook_trouble(q->hooks, webhook, TROUBLE_REFUSED, what);
}

/* Modifiers that the host cannot honour: each is said once, none is lost in
 * silence. */
static void note_without_effect(struct question *q, const struct verdict *v)
{
	const struct broker_ops *ops = q->hooks->ops;
	const struct webhook *webhook = asked(q);
	uint32_t *said = &webhook->stats->ineffective;
	char names[512] = "";

	for (size_t i = 0; i < ops->without_effect_count; i++) {
		const struct modifier_without_effect *m;
		size_t len = strlen(names);

		m = &ops->without_effect[i];
		if (!verdict_has(v, m->id) || *said & 1u << m->id ||
		    !(m->hooks & 1u << webhook->hook))
			continue;
		*said |= 1u << m->id;
		snprintf(names + len, sizeof(names) - len, " %s", m->name);
	}
	if (*names)
		hooks_log(q->hooks, LOG_LEVEL_WARN,
			  "%s: endpoint %s replies with modifiers that this "
			  "Mosquitto cannot honour; they have no effect:%s",
			  hook_table[webhook->hook].name, webhook->logged,
			  names);
}

/* Count and log it, unless it was when it was given up. */
static void note_failure(const struct inquiry *inq, const char *error)
{
	if (!inq->given_up)
		hook_failed(inq->hooks, inq->webhook, error);
}

/* A call's, however many wait for it, and be it nobody; one that was given up
 * has counted. */
static void count_denial(const struct inquiry *inq, const struct verdict *v)
{
	if (v->decision == DECISION_DENY && !inq->given_up)
		hook_count_error(inq->hooks, inq->webhook);
}

static int decode(const struct inquiry *inq, const struct pool_reply *reply,
		  const struct verdict **ret,
		  char reterr[static CODEC_ERROR_LEN])
{
	const struct webhook *webhook = inq->webhook;
	int err;

	err = codec_decode(webhook->hook, &webhook->codec, reply->body,
			   reply->len, ret, reterr);
	if (err == -ENOMEM)
		snprintf(reterr, CODEC_ERROR_LEN, "no memory for the reply");
	return err;
}

static enum webhook_end end_of(const struct pool_reply *reply,
			       const struct conclusion *c)
{
	static const enum webhook_end ends[] = {
		[DECISION_OK] = END_OK,
		[DECISION_NEXT] = END_NEXT,
		[DECISION_DENY] = END_DENIED,
	};
	enum webhook_end end = hook_end_of(reply);

	if (end != END_OK)
		return end;
	return c->v ? ends[c->v->decision] : END_REFUSED;
}

/* The conclusion of a reply; anything wrong with it is a refusal. */
static void conclude(struct inquiry *inq, const struct pool_reply *reply,
		     struct conclusion *ret)
{
	ret->outcome = hook_outcome(reply, ret->error);
	ret->unasked = reply->error == -EHOSTDOWN;
	if (ret->outcome == OUTCOME_ANSWER &&
	    decode(inq, reply, &ret->v, ret->error) != 0)
		ret->outcome = OUTCOME_REFUSAL;
	if (!ret->unasked)
		hook_count_call(inq->hooks, inq->webhook, reply,
				end_of(reply, ret), inq->sent);
	if (ret->outcome != OUTCOME_ANSWER && !ret->unasked)
		note_failure(inq, ret->error);
	if (ret->outcome == OUTCOME_ANSWER) {
		count_denial(inq, ret->v);
		hook_answered(inq->hooks, inq->webhook);
		kept_store(inq, ret->v, reply);
	} else if (ret->outcome == OUTCOME_REFUSAL) {
		kept_spoilt(inq);
	} else {
		kept_failed(inq);
	}
}

/* For one of those who wait: a reference. */
static const struct verdict *answer_for(struct question *q,
					const struct conclusion *c)
{
	switch (c->outcome) {
	case OUTCOME_NONE:
		return c->unasked ? question_unasked(q, c->error)
				  : question_by_policy(q, c->error);
	case OUTCOME_REFUSAL:
		question_trace(q, "no usable answer: ", NULL, c->error);
		return verdict_deny(c->error);
	default:
		break;
	}
	question_trace(q, "answered ", c->v, NULL);
	if (c->v->decision == DECISION_DENY)
		note_denial(q, c->v);
	note_without_effect(q, c->v);
	return verdict_ref(c->v);
}

/* ---- sharing ---- */

/* Logins alone: whatever makes their answer is part of the key, which is not
 * so for the payload of a publish. */
static bool may_share(const struct question *q)
{
	return q->copy && q->looked_up;
}

static struct inquiry *find_shared(const struct question *q)
{
	const struct hooks *hooks = q->hooks;
	struct inquiry *inq = NULL;

	HASH_FIND(hh, hooks->inquiries, q->kept.key, CACHE_KEY_LEN, inq);
	/* What was asked before something was cleared is not shared. */
	return inq && inq->webhook == asked(q) &&
			       cache_is_current(hooks->cache, &inq->kept)
		       ? inq
		       : NULL;
}

static void stop_sharing(struct inquiry *inq)
{
	if (inq->shared)
		HASH_DELETE(hh, inq->hooks->inquiries, inq);
	inq->shared = false;
}

/* Without memory it is not found, and nobody joins it. One that is there is
 * void, or of other settings. */
static void share(struct inquiry *inq)
{
	struct inquiry *old = NULL;

	HASH_FIND(hh, inq->hooks->inquiries, inq->kept.key, CACHE_KEY_LEN, old);
	if (old)
		stop_sharing(old);
	HASH_ADD(hh, inq->hooks->inquiries, kept.key, CACHE_KEY_LEN, inq);
	inq->shared = inq->hh.tbl != NULL;
}

static void join(struct inquiry *inq, struct question *q)
{
	q->next = inq->questions;
	inq->questions = q;
}

/* ---- the call ---- */

static void inquiry_free(struct inquiry *inq)
{
	stop_sharing(inq);
	settings_unref(inq->settings);
	free(inq);
}

static void inquiry_done(const struct pool_reply *reply, void *arg)
{
	struct inquiry *inq = arg;
	struct question *q = inq->questions, *next;
	struct conclusion c = { 0 };

	stop_sharing(inq);
	conclude(inq, reply, &c);
	for (; q; q = next) {
		next = q->next;
		q->next = NULL;
		q->answer = answer_for(q, &c);
		if (q->copy)
			question_go_on(q);
	}
	verdict_unref(c.v);
	inquiry_free(inq);
}

static struct inquiry *inquiry_create(const struct question *q)
{
	struct inquiry *inq = calloc(1, sizeof(*inq));

	if (!inq)
		return NULL;
	inq->hooks = q->hooks;
	inq->settings = settings_ref(q->settings);
	inq->webhook = asked(q);
	inq->cacheable = q->looked_up;
	inq->kept = q->kept;
	inq->asked_ms = hooks_now_ms(q->hooks);
	return inq;
}

int inquire(struct question *q, enum pool_kind kind, bool refresh,
	    struct inquiry **ret)
{
	struct hook_message message = {
		.webhook = asked(q),
		.ev = q->ev,
		.kind = kind,
		.event = q->number,
	};
	bool nobodys = refresh || kind == POOL_ASIDE;
	struct inquiry *inq = NULL;
	int err;

	if (!nobodys && may_share(q))
		inq = find_shared(q);
	if (inq) {
		join(inq, q);
		return 0;
	}
	inq = inquiry_create(q);
	if (!inq)
		return -ENOMEM;
	inq->refresh = refresh;
	err = hook_send(q->hooks, &message, inquiry_done, inq, &inq->call,
			&inq->sent);
	if (err) {
		inquiry_free(inq);
		return err;
	}
	inq->number = q->hooks->requests;
	if (!nobodys) {
		join(inq, q);
		if (may_share(q))
			share(inq);
	}
	if (ret)
		*ret = inq;
	return 0;
}

void inquiry_give_up(struct inquiry *inq)
{
	inq->questions = NULL;
	inq->given_up = true;
}
