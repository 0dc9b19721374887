#include "plugin/codec/codec.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/codec/codec_private.h"

int codec_refuse(struct reading *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, CODEC_ERROR_LEN, fmt, ap);
	va_end(ap);
	return -EBADMSG;
}

/* Nothing in `text`, which came as JSON, disturbs a log line any more. */
static void make_printable(char *text)
{
	for (char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f)
			*p = '?';
		else if (strncmp(p, CODEC_NUL, 2) == 0)
			p[0] = p[1] = '?';
	}
}

const char *codec_printable(const char *text, char ret[static CODEC_NAME_LEN])
{
	snprintf(ret, CODEC_NAME_LEN, "%s", text);
	make_printable(ret);
	return ret;
}

/* ---- from text to tree ---- */

/* A copy of `body`, known to be JSON, with \u0000 written as CODEC_NUL. NULL
 * without memory. */
static char *without_nul(const char *body, size_t *len)
{
	const char *p = body, *end = body + *len;
	char *copy = malloc(*len), *to = copy;

	if (!copy)
		return NULL;
	while (p < end) {
		if (*p == '\\' && end - p >= 6 &&
		    memcmp(p + 1, "u0000", 5) == 0) {
			memcpy(to, CODEC_NUL, 2);
			to += 2;
			p += 6;
			continue;
		}
		if (*p == '\\')
			*to++ = *p++;
		*to++ = *p++;
	}
	*len = (size_t)(to - copy);
	return copy;
}

static int parse(struct reading *r, const char *body, size_t len, cJSON **ret)
{
	struct json_facts facts;
	char *copy = NULL;
	int err;

	err = codec_json_validate(body, len, &facts, r->error);
	if (err)
		return err;
	r->float_qos = facts.float_qos;
	body += facts.bom;
	len -= facts.bom;
	if (facts.nul) {
		copy = without_nul(body, &len);
		if (!copy)
			return -ENOMEM;
		body = copy;
	}
	*ret = cJSON_ParseWithLength(body, len);
	free(copy);
	/* What was validated fails for one reason only. */
	return *ret ? 0 : -ENOMEM;
}

/* ---- what it means ---- */

/* The text of `error` in a denial, whatever it is, for the log. */
static void print_reason(const cJSON *denial, char ret[static CODEC_ERROR_LEN])
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(denial, "error");

	if (!cJSON_IsObject(denial) || !error)
		snprintf(ret, CODEC_ERROR_LEN, "unknown_error");
	else if (cJSON_IsString(error))
		snprintf(ret, CODEC_ERROR_LEN, "%s", error->valuestring);
	else if (!cJSON_PrintPreallocated((cJSON *)error, ret, CODEC_ERROR_LEN,
					  false))
		snprintf(ret, CODEC_ERROR_LEN, "(a long value)");
	make_printable(ret);
}

/* These two take their list from the top level (contract.md 6). */
static bool has_topics_on_top(enum hook_id hook)
{
	return hook == HOOK_AUTH_ON_SUBSCRIBE || hook == HOOK_ON_UNSUBSCRIBE;
}

static int read_ok(struct reading *r, const cJSON *reply,
		   const struct verdict **ret)
{
	int err;

	r->verdict.decision = DECISION_OK;
	r->verdict.values = r->values;
	if (has_topics_on_top(r->hook))
		err = codec_read_topics(
			r, cJSON_GetObjectItemCaseSensitive(reply, "topics"));
	else
		err = codec_read_modifiers(r, cJSON_GetObjectItemCaseSensitive(
						      reply, "modifiers"));
	if (err)
		return err;
	if (r->verdict.given)
		return verdict_create(&r->verdict, 0, ret);
	*ret = verdict_ref(&verdict_ok);
	return 0;
}

static int read_reply(struct reading *r, const cJSON *reply,
		      const struct verdict **ret)
{
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(reply, "result");
	char text[CODEC_ERROR_LEN];

	if (!cJSON_IsObject(reply))
		return codec_refuse(r, "the reply is not an object");
	if (!result)
		return codec_refuse(r, "the reply has no \"result\"");
	if (cJSON_IsObject(result) || cJSON_IsArray(result)) {
		print_reason(result, text);
		*ret = verdict_deny(text);
		return 0;
	}
	if (!cJSON_IsString(result))
		return codec_refuse(r, "\"result\" must be \"ok\", \"next\" or "
				       "{\"error\": ...}");
	if (strcmp(result->valuestring, "next") == 0) {
		*ret = verdict_ref(&verdict_next);
		return 0;
	}
	if (strcmp(result->valuestring, "ok") != 0)
		return codec_refuse(r, "unknown \"result\": \"%s\"",
				    codec_printable(result->valuestring, text));
	return read_ok(r, reply, ret);
}

int codec_decode(enum hook_id hook, const struct codec_opts *opts,
		 const void *body, size_t len, const struct verdict **ret,
		 char reterr[static CODEC_ERROR_LEN])
{
	struct reading r = {
		.hook = hook,
		.opts = opts,
		.error = reterr,
		.scratch_size = len,
	};
	cJSON *tree = NULL;
	int err;

	err = parse(&r, body, len, &tree);
	if (err)
		goto out;
	err = read_reply(&r, tree, ret);
out:
	free(r.topics);
	free(r.properties);
	free(r.scratch);
	cJSON_Delete(tree);
	return err;
}
