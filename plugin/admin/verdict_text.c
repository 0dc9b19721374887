#include "plugin/admin/verdict_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "plugin/codec/codec.h"
#include "plugin/hook_table.h"
#include "plugin/hook/hook_trial.h"
#include "plugin/settings/settings.h"

enum {
	TEXT_SHOWN = 100 /* bytes of one modifier's text */
};

static void append(char *to, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void append(char *to, size_t size, const char *fmt, ...)
{
	size_t len = strlen(to);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(to + len, size - len, fmt, ap);
	va_end(ap);
}

/* ---- modifiers ---- */

static void put_name(struct verdict_text *ret, enum modifier id)
{
	append(ret->modifiers, sizeof(ret->modifiers),
	       "%s%s = ", *ret->modifiers ? "; " : "", codec_modifier_name(id));
}

static void put_effect(struct verdict_text *ret,
		       const struct trial_result *result, enum modifier id)
{
	if (result->ineffective & 1u << id)
		append(ret->modifiers, sizeof(ret->modifiers),
		       " (no effect on this Mosquitto)");
}

static void put_value(struct verdict_text *ret, const struct modifier_value *m)
{
	char *to = ret->modifiers;
	size_t size = sizeof(ret->modifiers);

	if (m->id == MODIFIER_PAYLOAD)
		append(to, size, "%zu bytes", m->text.len);
	else if (m->text.data)
		append(to, size, "%.*s%s",
		       (int)(m->text.len < TEXT_SHOWN ? m->text.len
						      : TEXT_SHOWN),
		       (const char *)m->text.data,
		       m->text.len > TEXT_SHOWN ? "..." : "");
	else
		append(to, size, "%lld", (long long)m->number);
}

static void put_topics(struct verdict_text *ret, const struct verdict *v)
{
	char *to = ret->modifiers;
	size_t size = sizeof(ret->modifiers);

	for (size_t i = 0; i < v->topics_count; i++) {
		const struct topic *t = &v->topics[i];
		size_t len =
			t->filter.len < TEXT_SHOWN ? t->filter.len : TEXT_SHOWN;

		append(to, size, "%s%.*s", i ? ", " : "", (int)len,
		       (const char *)t->filter.data);
		if (t->qos >= 0 && t->qos <= 2)
			append(to, size, " qos %d", t->qos);
		else
			append(to, size, " refused");
	}
	if (!v->topics_count)
		append(to, size, "none");
}

static void put_modifiers(struct verdict_text *ret,
			  const struct trial_result *result)
{
	const struct verdict *v = result->verdict;

	for (size_t i = 0; i < v->values_count; i++) {
		put_name(ret, v->values[i].id);
		put_value(ret, &v->values[i]);
		put_effect(ret, result, v->values[i].id);
	}
	if (verdict_has(v, MODIFIER_TOPICS)) {
		put_name(ret, MODIFIER_TOPICS);
		put_topics(ret, v);
	}
	if (!verdict_has(v, MODIFIER_PROPERTIES))
		return;
	put_name(ret, MODIFIER_PROPERTIES);
	append(ret->modifiers, sizeof(ret->modifiers), "%zu of them",
	       v->properties_count);
	put_effect(ret, result, MODIFIER_PROPERTIES);
}

/* ---- verdicts ---- */

static bool is_told(const struct webhook *webhook)
{
	return hook_table[webhook->hook].kind == HOOK_TELLS;
}

static void put_decision(struct verdict_text *ret,
			 const struct trial_result *result)
{
	const struct verdict *v = result->verdict;

	switch (v->decision) {
	case DECISION_OK:
		append(ret->verdict, sizeof(ret->verdict), "ok");
		append(ret->means, sizeof(ret->means), "allows");
		break;
	case DECISION_NEXT:
		append(ret->verdict, sizeof(ret->verdict), "next");
		append(ret->means, sizeof(ret->means), "%s",
		       result->delayed
			       ? "passes on to the hook's next endpoint; "
				 "refuses "
				 "if there is none (blocking = on passes it on "
				 "to the broker's other plugins and files)"
			       : "passes on to the hook's next endpoint, then "
				 "to "
				 "the broker's other plugins and files; "
				 "refuses "
				 "if nobody allows");
		break;
	default:
		append(ret->verdict, sizeof(ret->verdict), "refused: %.*s",
		       (int)v->reason.len, (const char *)v->reason.data);
		append(ret->means, sizeof(ret->means), "refuses");
	}
	put_modifiers(ret, result);
}

static void put_life(struct verdict_text *ret, const struct cache_life *life)
{
	char *to = ret->kept;

	append(to, sizeof(ret->kept), "for %llu s",
	       (unsigned long long)(life->fresh_ms / 1000));
	if (life->stale_while_revalidate_ms)
		append(to, sizeof(ret->kept),
		       ", %llu s more while it is asked for anew",
		       (unsigned long long)(life->stale_while_revalidate_ms /
					    1000));
	if (life->stale_if_error_ms)
		append(to, sizeof(ret->kept), ", %llu s more if that fails",
		       (unsigned long long)(life->stale_if_error_ms / 1000));
}

static void put_unavailable(struct verdict_text *ret,
			    const struct trial_result *result)
{
	static const char *const on_error[] = {
		[ON_ERROR_DENY] = "on_error = deny: refuses",
		[ON_ERROR_NEXT] = "on_error = next: as if it had said next",
		[ON_ERROR_ALLOW] = "on_error = allow: allows",
	};
	const struct webhook *webhook = result->webhook;

	append(ret->verdict, sizeof(ret->verdict), "no answer: %s",
	       result->why);
	if (!is_told(webhook))
		append(ret->means, sizeof(ret->means), "%s",
		       on_error[webhook->on_error]);
	else
		append(ret->means, sizeof(ret->means),
		       "lost, or sent again up to %u times if it cannot have "
		       "been processed",
		       (unsigned)webhook->retries);
}

void verdict_text_write(const struct trial_result *result,
			struct verdict_text *ret)
{
	bool told = is_told(result->webhook);

	memset(ret, 0, sizeof(*ret));
	switch (result->end) {
	case TRIAL_ANSWERED:
		if (result->verdict) {
			put_decision(ret, result);
			break;
		}
		append(ret->verdict, sizeof(ret->verdict), "told");
		append(ret->means, sizeof(ret->means), "delivered");
		break;
	case TRIAL_MALFORMED:
		append(ret->verdict, sizeof(ret->verdict), "malformed: %s",
		       result->why);
		append(ret->means, sizeof(ret->means), "%s",
		       told ? "delivered, and counted as an error"
			    : "refuses, whatever on_error says");
		break;
	case TRIAL_REFUSED:
		append(ret->verdict, sizeof(ret->verdict), "refused: %s",
		       result->why);
		append(ret->means, sizeof(ret->means), "%s",
		       told ? "lost, and counted as an error"
			    : "refuses, whatever on_error says");
		break;
	default:
		put_unavailable(ret, result);
	}
	if (result->kept)
		put_life(ret, &result->life);
}
