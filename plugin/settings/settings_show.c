/*
 * settings_show.c - a webhook's options as they may be shown.
 */
#include "plugin/settings/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook_table.h"
#include "plugin/redact.h"
#include "plugin/settings/settings_private.h"

static const char hidden[] = "***";

/* ---- words of a shell ---- */

static bool is_plain(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._/:=@%+,";

	return *text && !text[strspn(text, plain)];
}

static void put_option(FILE *to, const char *key, const char *value)
{
	fprintf(to, "%s--%s=", ftell(to) > 0 ? " " : "", key);
	if (value == hidden || is_plain(value)) {
		fputs(value, to);
		return;
	}
	fputc('\'', to);
	for (; *value; value++) {
		if (*value == '\'')
			fputs("'\\''", to);
		else
			fputc(*value, to);
	}
	fputc('\'', to);
}

/* ---- keys of the tables ---- */

static bool same_field(const struct conf_directive *d, const void *a,
		       const void *b)
{
	const char *const *s = a, *const *t = b;

	switch (d->type) {
	case CONF_STR:
		return *s && *t ? strcmp(*s, *t) == 0 : *s == *t;
	case CONF_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case CONF_UINT:
		return *(const uint32_t *)a == *(const uint32_t *)b;
	case CONF_CHOICE:
		return *(const unsigned *)a == *(const unsigned *)b;
	default:
		return true;
	}
}

/* A proxy's URL may have a password in it. */
static void put_text(FILE *to, const struct conf_directive *d, const char *text)
{
	char *shown = d->secret ? NULL : redact_url(text ? text : "");

	put_option(to, d->name, shown ? shown : hidden);
	free(shown);
}

static void put_field(FILE *to, const struct conf_directive *d,
		      const void *field)
{
	char number[16];

	switch (d->type) {
	case CONF_STR:
		put_text(to, d, *(const char *const *)field);
		break;
	case CONF_BOOL:
		put_option(to, d->name, *(const bool *)field ? "on" : "off");
		break;
	case CONF_UINT:
		snprintf(number, sizeof(number), "%u",
			 *(const uint32_t *)field);
		put_option(to, d->name, number);
		break;
	case CONF_CHOICE:
		put_option(to, d->name, d->choices[*(const unsigned *)field]);
		break;
	default:
		break;
	}
}

static void put_fields(FILE *to, const struct conf_directive *d, const void *is,
		       const void *by_default)
{
	for (; d->name; d++) {
		const char *a = (const char *)is + d->offset;
		const char *b = (const char *)by_default + d->offset;

		if (!same_field(d, a, b))
			put_field(to, d, a);
	}
}

/* ---- a webhook ---- */

/* What it comes to, its texts borrowed. */
static struct draft effective(const struct draft *d, const struct settings *s)
{
	bool told = hook_table[d->hook].kind != HOOK_ASKS;
	struct draft all = *d;

	all.transport =
		transport_keys_merged(&d->transport, &s->transport_keys);
	if (all.retries == DRAFT_UNSET)
		all.retries =
			told ? s->limits.retries : SETTINGS_RETRIES_DEFAULT;
	if (all.max_event_age == DRAFT_UNSET)
		all.max_event_age = told ? s->limits.max_event_age_ms
					 : SETTINGS_AGE_DEFAULT_MS;
	return all;
}

static void put_webhook(FILE *to, const struct draft *d,
			const struct draft *fresh, const struct settings *s)
{
	struct draft is = effective(d, s), by_default = *fresh;

	by_default.hook = is.hook;
	by_default.endpoint = is.endpoint;
	by_default.retries = SETTINGS_RETRIES_DEFAULT;
	by_default.max_event_age = SETTINGS_AGE_DEFAULT_MS;
	by_default.transport = transport_keys_merged(&fresh->transport, NULL);
	put_fields(to, settings_webhook_keys, &is, &by_default);
}

static void put_credentials(FILE *to, const struct credentials *c)
{
	bool asymmetric = false, symmetric = false;

	for (size_t i = 0; c && i < c->headers_count; i++) {
		char key[sizeof("header.") + CREDENTIALS_NAME_MAX];
		const char *line = c->headers[i];

		snprintf(key, sizeof(key), "header.%.*s",
			 (int)strcspn(line, ":"), line);
		put_option(to, key, hidden);
	}
	for (size_t i = 0; c && i < c->keys.count; i++) {
		asymmetric = asymmetric || c->keys.keys[i].asymmetric;
		symmetric = symmetric || !c->keys.keys[i].asymmetric;
	}
	if (symmetric)
		put_option(to, "secret", hidden);
	if (asymmetric)
		put_option(to, "signing_key_file", hidden);
}

static void put_call(FILE *to, const struct call_opts *call)
{
	struct call_draft is = { .trace = call->trace,
				 .forward = call->forward };
	struct call_draft none = { 0 };

	put_fields(to, settings_call_keys, &is, &none);
	put_credentials(to, call->credentials);
}

char *draft_show(const struct draft *d, const struct settings *s,
		 const struct call_opts *call)
{
	struct draft *fresh = draft_new(NULL, NULL);
	char *text = NULL;
	size_t len;
	FILE *to = fresh ? open_memstream(&text, &len) : NULL;
	bool failed;

	if (to) {
		put_webhook(to, d, fresh, s);
		put_call(to, call);
		failed = ferror(to) != 0;
		if (fclose(to) != 0 || failed) {
			free(text);
			text = NULL;
		}
	}
	draft_free(fresh);
	return text;
}
