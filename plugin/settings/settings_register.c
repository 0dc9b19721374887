#include "plugin/settings/settings_register.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook_table.h"
#include "plugin/redact.h"
#include "plugin/settings/settings_private.h"
#include "pool/pool.h"

static int out_of_memory(struct conf_error *reterr)
{
	snprintf(reterr->text, sizeof(reterr->text), "out of memory");
	return -ENOMEM;
}

/* ---- what was asked for ---- */

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

int registration_create(struct registration **ret, enum hook_id hook,
			const char *endpoint)
{
	struct registration *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	atomic_init(&r->refs, 1);
	r->hook = hook;
	r->bytes = strlen(endpoint);
	r->endpoint = strdup(endpoint);
	if (!r->endpoint) {
		registration_unref(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

struct registration *registration_ref(struct registration *r)
{
	if (r)
		atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void registration_unref(struct registration *r)
{
	if (!r ||
	    atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < r->count; i++) {
		free(r->options[i].place);
		free(r->options[i].key);
		wipe(r->options[i].value);
	}
	wipe(r->endpoint);
	free(r->name);
	free(r->place);
	free(r);
}

/* ---- options ---- */

static bool in_table(const struct conf_directive *table, const char *key,
		     bool (*is)(const struct conf_directive *d))
{
	for (; table->name; table++) {
		if (strcmp(table->name, key) == 0)
			return is(table);
	}
	return false;
}

static bool turns(const struct conf_directive *d)
{
	return d->type == CONF_BOOL ||
	       (d->type == CONF_CHOICE && !strcmp(d->choices[0], "off") &&
		!strcmp(d->choices[1], "on") && !d->choices[2]);
}

static bool is_switch(const char *key)
{
	return in_table(settings_webhook_keys, key, turns) ||
	       in_table(settings_call_keys, key, turns);
}

static int refuse(char reterr[static CONF_REASON_LEN], const char *why)
{
	snprintf(reterr, CONF_REASON_LEN, "%s", why);
	return -EINVAL;
}

/* `true` is VerneMQ's. */
static int read_switch(const char **value, char reterr[static CONF_REASON_LEN])
{
	static const char *const words[][2] = {
		{ "true", "on" },
		{ "false", "off" },
		{ "on", "on" },
		{ "off", "off" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(*value, words[i][0]) == 0) {
			*value = words[i][1];
			return 0;
		}
	}
	snprintf(reterr, CONF_REASON_LEN,
		 "\"%.64s\" is neither true nor false; allowed: true, false, "
		 "on, off",
		 *value);
	return -EINVAL;
}

static bool is_line(const char *text)
{
	for (; *text; text++) {
		if (((unsigned char)*text < ' ' && *text != '\t') ||
		    *text == 0x7f)
			return false;
	}
	return true;
}

/* Of a file, as all keys of files are called. */
static bool is_path(const char *key)
{
	size_t len = strlen(key);

	return strncmp(key, "header_file.", 12) == 0 ||
	       (len >= 4 && strcmp(key + len - 4, "file") == 0);
}

static int check_option(const struct registration *r, const char *key,
			const char *value, char reterr[static CONF_REASON_LEN])
{
	if (!is_line(key) || !is_line(value))
		return refuse(reterr,
			      "control characters; allowed: one line of text");
	if (strchr(key, '.') && strncmp(key, "header.", 7) != 0 &&
	    strncmp(key, "header_file.", 12) != 0)
		return refuse(reterr,
			      "no such key; allowed with a dot: header.<Name>, "
			      "header_file.<Name>");
	value += strspn(value, " \t");
	if (!r->place && is_path(key) && *value && *value != '/')
		return refuse(reterr,
			      "no absolute path: the broker would look for it "
			      "in its own folder, and after a restart perhaps "
			      "in another");
	if (r->count == REGISTRATION_OPTIONS_MAX)
		return refuse(reterr, "more than 64 options");
	if (r->bytes + strlen(key) + strlen(value) > REGISTRATION_BYTES_MAX)
		return refuse(reterr, "more than 16384 bytes of options");
	return 0;
}

static char *trimmed(const char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	return strndup(text, len);
}

int registration_add(struct registration *r, const char *place, const char *key,
		     const char *value, char reterr[static CONF_REASON_LEN])
{
	struct registration_option *o = &r->options[r->count];
	int err;

	if (strcmp(key, "base64payload") == 0)
		key = "base64encode";
	err = check_option(r, key, value, reterr);
	if (!err && is_switch(key))
		err = read_switch(&value, reterr);
	if (err)
		return err;
	o->place = strdup(place);
	o->key = strdup(key);
	o->value = trimmed(value);
	r->count++; /* so that what was copied is freed */
	if (!o->place || !o->key || !o->value)
		return -ENOMEM;
	r->bytes += strlen(key) + strlen(o->value);
	return 0;
}

/* ---- from options to a webhook ---- */

static int open_call(void *root, const char *segment, const char *place,
		     void **ret, char reterr[static CONF_REASON_LEN])
{
	struct draft *d = root;

	(void)segment;
	(void)place;
	(void)reterr;
	*ret = &d->call;
	return 0;
}

/* As the sections of a webhook in settings_table.c, but for its name. */
static const struct conf_section sections[] = {
	{ "", settings_webhook_keys, NULL },
	{ "", settings_call_keys, open_call },
	{ "header", settings_header_keys, open_call },
	{ "header_file", settings_header_file_keys, open_call },
	{ 0 },
};

static const char *const claims[] = { "", NULL };

/* What is wrong with it as a whole. */
static int refuse_all(struct conf_error *reterr, const struct registration *r,
		      const char *why)
{
	if (r->place)
		snprintf(reterr->text, sizeof(reterr->text),
			 "%.512s: vmq_webhooks.%.128s (its first key is "
			 "here): %s",
			 r->place, r->name, why);
	else
		snprintf(reterr->text, sizeof(reterr->text), "%s", why);
	return -EINVAL;
}

static int fill(struct draft *d, const struct registration *r,
		struct conf_error *reterr)
{
	struct conf conf = { sections, claims, d, NULL, 0 };
	int err;

	err = conf_set(&conf, "hook", "hook", hook_table[r->hook].name, reterr);
	if (!err)
		err = conf_set(&conf, "endpoint", "endpoint", r->endpoint,
			       reterr);
	for (size_t i = 0; !err && i < r->count; i++)
		err = conf_set(&conf, r->options[i].place, r->options[i].key,
			       r->options[i].value, reterr);
	conf_clear(&conf);
	return err;
}

int settings_add_registration(struct settings *s, struct registration *r,
			      struct conf_error *reterr)
{
	char why[CONF_REASON_LEN] = "";
	struct draft *d;
	int err;

	snprintf(why, sizeof(why), "more than %d webhooks",
		 SETTINGS_WEBHOOKS_MAX);
	if (s->webhooks >= SETTINGS_WEBHOOKS_MAX)
		return refuse_all(reterr, r, why);
	err = pool_check_url(r->endpoint, why);
	if (err)
		return err == -ENOMEM ? out_of_memory(reterr)
				      : refuse_all(reterr, r, why);
	d = draft_new(r->name, r->place);
	if (!d)
		return out_of_memory(reterr);
	d->registration = r;
	err = fill(d, r, reterr);
	if (!err && settings_find(s, r->hook, r->endpoint))
		err = -EEXIST;
	if (!err)
		err = draft_append(s, d, reterr);
	draft_free(d);
	return err;
}

int settings_register(const struct settings *s, struct registration *r,
		      struct settings **ret, struct conf_error *reterr)
{
	struct settings *copy;
	int err;

	err = settings_copy(s, &copy);
	if (err)
		return out_of_memory(reterr);
	err = settings_add_registration(copy, r, reterr);
	if (err)
		settings_unref(copy);
	else
		*ret = copy;
	return err;
}

/* ---- many ---- */

/* Say which webhook it is that `e` is about, unless that says where to look. */
static void name_webhook(struct conf_error *e, const struct registration *r)
{
	struct conf_error why = *e;
	char *shown;

	if (r->place)
		return;
	shown = redact_url_and_query(r->endpoint);
	snprintf(e->text, sizeof(e->text),
		 "registered at run time: hook=%s endpoint=%.256s: %.640s",
		 hook_table[r->hook].name, shown ? shown : "?", why.text);
	free(shown);
}

static int add_or_skip(struct settings *s, struct registration *r,
		       settings_skip_fn *skip, void *arg,
		       struct conf_error *reterr)
{
	int err;

	if (settings_find(s, r->hook, r->endpoint)) {
		if (skip)
			skip(r, arg);
		return 0;
	}
	err = settings_add_registration(s, r, reterr);
	if (err)
		name_webhook(reterr, r);
	return err;
}

int settings_register_list(const struct settings *s,
			   struct registration *const *list, size_t n,
			   settings_skip_fn *skip, void *arg,
			   struct settings **ret, struct conf_error *reterr)
{
	struct settings *copy;
	int err;

	err = settings_copy(s, &copy);
	if (err)
		return out_of_memory(reterr);
	for (size_t i = 0; !err && i < n; i++)
		err = add_or_skip(copy, list[i], skip, arg, reterr);
	if (err)
		settings_unref(copy);
	else
		*ret = copy;
	return err;
}

static int keep(struct settings *s, const struct webhook *w,
		struct conf_error *reterr)
{
	if (!w->registration || settings_find(s, w->hook, w->endpoint))
		return 0;
	if (s->webhooks < SETTINGS_WEBHOOKS_MAX)
		return add_or_skip(s, w->registration, NULL, NULL, reterr);
	snprintf(reterr->text, sizeof(reterr->text),
		 "more than %d webhooks with those that were registered at "
		 "run time: deregister some",
		 SETTINGS_WEBHOOKS_MAX);
	return -EINVAL;
}

int settings_keep_runtime(struct settings *s, const struct settings *old,
			  struct conf_error *reterr)
{
	int err = 0;

	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; !err && i < old->chained[h]; i++)
			err = keep(s, &old->chain[h][i], reterr);
	}
	return err;
}

/* ---- from a webhook ---- */

static int add_option(struct registration *r, const char *key,
		      const char *value, struct conf_error *reterr)
{
	char why[CONF_REASON_LEN] = "";
	int err = registration_add(r, key, key, value, why);

	if (err)
		snprintf(reterr->text, sizeof(reterr->text), "%s: %s", key,
			 why);
	return err;
}

static int add_options(struct registration *r, const struct webhook *hook,
		       struct conf_error *reterr)
{
	static const char *const words[] = { "deny", "next", "allow" };
	const struct {
		const char *key, *value;
		bool differs;
	} options[] = {
		{ "base64encode", "off", !hook->codec.base64_payload },
		{ "no_payload", "on", hook->codec.no_payload },
		{ "on_error", words[hook->on_error], hook->on_error != 0 },
		{ "blocking", "on", hook->blocking },
		{ "cache_refusals", "on", hook->cache_refusals },
	};
	char ms[16];
	int err;

	snprintf(ms, sizeof(ms), "%u", hook->timeout_ms);
	err = add_option(r, "response_timeout", ms, reterr);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (!err && options[i].differs)
			err = add_option(r, options[i].key, options[i].value,
					 reterr);
	}
	return err;
}

int settings_with(const struct settings *s, const struct webhook *hook,
		  struct settings **ret, struct conf_error *reterr)
{
	struct registration *r;
	int err;

	err = registration_create(&r, hook->hook, hook->endpoint);
	if (err)
		return out_of_memory(reterr);
	err = add_options(r, hook, reterr);
	if (!err)
		err = settings_register(s, r, ret, reterr);
	registration_unref(r);
	return err;
}
