#include "plugin/settings/settings_reload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/hook_table.h"
#include "plugin/settings/settings_pem.h"
#include "plugin/settings/settings_private.h"

/* ---- the source ---- */

struct settings_source {
	size_t n;
	struct settings_opt *opts;
};

static void forget(const char *text)
{
	if (text)
		settings_free_secret((void *)(uintptr_t)text, strlen(text));
}

void settings_source_destroy(struct settings_source *source)
{
	if (!source)
		return;
	for (size_t i = 0; i < source->n; i++) {
		forget(source->opts[i].key);
		forget(source->opts[i].value);
	}
	free(source->opts);
	free(source);
}

int settings_source_create(struct settings_source **ret,
			   const struct settings_opt *opts, size_t n)
{
	struct settings_source *source = calloc(1, sizeof(*source));

	if (!source)
		return -ENOMEM;
	source->opts = calloc(n + 1, sizeof(*source->opts));
	if (!source->opts)
		goto fail;
	for (source->n = 0; source->n < n; source->n++) {
		struct settings_opt *opt = &source->opts[source->n];

		opt->key = strdup(opts[source->n].key);
		opt->value = strdup(opts[source->n].value);
		if (!opt->key || !opt->value) {
			source->n++;
			goto fail;
		}
	}
	*ret = source;
	return 0;
fail:
	settings_source_destroy(source);
	return -ENOMEM;
}

int settings_source_load(const struct settings_source *source,
			 struct settings **ret, struct conf_error *reterr)
{
	return settings_load(source->opts, source->n, ret, reterr);
}

/* ---- the report ---- */

enum {
	LINE_MAX = 900, /* of names, before the rest is counted */
	ITEM_MAX = 320,
};

/* One line of names in the making. */
struct list {
	char text[LINE_MAX];
	size_t len, count, left_out;
};

static void list_add(struct list *list, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void list_add(struct list *list, const char *fmt, ...)
{
	char item[ITEM_MAX];
	va_list ap;
	int n;

	list->count++;
	va_start(ap, fmt);
	n = vsnprintf(item, sizeof(item), fmt, ap);
	va_end(ap);
	if (n >= ITEM_MAX) {
		n = ITEM_MAX - 1;
		memcpy(item + n - 3, "...", 4);
	}
	if (n < 0 || list->left_out ||
	    list->len + (size_t)n + 2 >= sizeof(list->text)) {
		list->left_out++;
		return;
	}
	list->len += (size_t)snprintf(list->text + list->len,
				      sizeof(list->text) - list->len, "%s%s",
				      list->len ? ", " : "", item);
}

static void add_webhook(struct list *list, const struct webhook *w)
{
	const char *hook = hook_table[w->hook].name;

	if (w->name)
		list_add(list, "vmq_webhooks.%s (%s %s)", w->name, hook,
			 w->logged);
	else
		list_add(list, "%s %s of run time", hook, w->logged);
}

static void add_name(struct list *list, const struct webhook *w)
{
	if (w->name)
		list_add(list, "%s", w->name);
	else
		add_webhook(list, w);
}

struct changes {
	struct list added, removed, changed, kept, taken;
	struct list keys, later;
};

static void say(struct settings_report *report, const char *what,
		const struct list *list)
{
	size_t len = strlen(report->text), room = sizeof(report->text) - len;
	char more[32] = "";

	if (!list->count)
		return;
	if (list->left_out)
		snprintf(more, sizeof(more), "%s%zu more",
			 list->len ? " and " : "", list->left_out);
	snprintf(report->text + len, room, "\n%s: %s%s", what, list->text,
		 more);
}

static void say_all(const struct changes *c, struct settings_report *report)
{
	snprintf(report->text, sizeof(report->text),
		 "configuration read again: webhooks: %zu added, %zu removed, "
		 "%zu changed, %zu kept",
		 c->added.count, c->removed.count, c->changed.count,
		 c->kept.count);
	say(report, "added", &c->added);
	say(report, "removed", &c->removed);
	say(report, "changed", &c->changed);
	say(report, "kept", &c->kept);
	say(report, "registered at run time, now as in the configuration",
	    &c->taken);
	say(report, "settings changed", &c->keys);
	say(report, "changed, but in force only from the next start on",
	    &c->later);
}

/* ---- webhooks ---- */

/* Of another, TLS's files do not matter. */
static bool is_https(const struct webhook *w)
{
	return strncasecmp(w->endpoint, "https:", 6) == 0;
}

bool settings_same_webhook(const struct webhook *a, const struct webhook *b)
{
	return strcmp(a->target, b->target) == 0 &&
	       a->timeout_ms == b->timeout_ms && a->on_error == b->on_error &&
	       a->blocking == b->blocking &&
	       a->cache_refusals == b->cache_refusals &&
	       a->retries == b->retries &&
	       a->max_event_age_ms == b->max_event_age_ms &&
	       a->codec.base64_payload == b->codec.base64_payload &&
	       a->codec.no_payload == b->codec.no_payload &&
	       a->call.trace == b->call.trace &&
	       a->call.forward == b->call.forward &&
	       credentials_equal(a->call.credentials, b->call.credentials) &&
	       (!is_https(a) ||
		transport_settings_equal(a->transport, b->transport));
}

static void compare_webhook(const struct settings *old, struct webhook *w,
			    struct changes *c)
{
	const struct webhook *was = settings_find(old, w->hook, w->endpoint);

	if (!was) {
		add_webhook(&c->added, w);
		return;
	}
	settings_share_stats(w, was->stats);
	if (settings_same_webhook(was, w))
		add_name(&c->kept, w);
	else
		add_webhook(&c->changed, w);
	if (!was->name && w->name)
		add_webhook(&c->taken, w);
}

static void compare_webhooks(struct settings *s, const struct settings *old,
			     struct changes *c)
{
	for (int h = 0; h < HOOK_COUNT; h++) {
		for (size_t i = 0; i < s->chained[h]; i++)
			compare_webhook(old, &s->chain[h][i], c);
		for (size_t i = 0; i < old->chained[h]; i++) {
			const struct webhook *was = &old->chain[h][i];

			if (!settings_find(s, h, was->endpoint))
				add_webhook(&c->removed, was);
		}
	}
}

/* ---- what holds for all ---- */

/* Keys that take effect at a start only. */
static const char *const at_start[] = {
	"plugins.vmq_webhooks",        "vmq_webhooks.admin_socket",
	"vmq_webhooks.metrics_listen", "vmq_webhooks.persist",
	"vmq_webhooks.persist_file",   NULL, /* so that each has a line */
};

static bool is_at_start(const char *key)
{
	for (size_t i = 0; at_start[i]; i++) {
		if (strcmp(at_start[i], key) == 0)
			return true;
	}
	return false;
}

static void on_key(const char *key, void *arg)
{
	struct changes *c = arg;

	list_add(is_at_start(key) ? &c->later : &c->keys, "%s", key);
}

static bool same_mounts(const struct settings *a, const struct settings *b)
{
	for (size_t i = 0; i < a->mounts_count; i++) {
		const struct listener_mount *m = &a->mounts[i];

		if (strcmp(settings_mountpoint(b, m->port), m->mountpoint) != 0)
			return false;
	}
	return a->mounts_count == b->mounts_count;
}

static bool same_users(const struct settings_users *a,
		       const struct settings_users *b)
{
	return a->count == b->count &&
	       (!a->count ||
		memcmp(a->list, b->list, a->count * sizeof(*a->list)) == 0);
}

static int compare_globals(struct settings *s, const struct settings *old,
			   struct changes *c)
{
	int err = 0;

	settings_compare_keys(old, s, on_key, c);
	if (!same_users(&old->admin_users, &s->admin_users))
		list_add(&c->keys, "vmq_webhooks.admin_users");
	if (!same_mounts(old, s))
		list_add(&c->keys, "vmq_webhooks.listener.<port>.mountpoint");
	for (size_t i = 0; !err && at_start[i]; i++)
		err = settings_copy_key(s, old, at_start[i]);
	s->admin_socket_given = old->admin_socket_given;
	return err;
}

int settings_succeed(struct settings *s, const struct settings *old,
		     struct settings_report *ret, struct conf_error *reterr)
{
	struct changes *c = calloc(1, sizeof(*c));
	int err;

	if (!c || compare_globals(s, old, c) != 0) {
		snprintf(reterr->text, sizeof(reterr->text), "out of memory");
		err = -ENOMEM;
		goto out;
	}
	err = settings_keep_runtime(s, old, reterr);
	if (err)
		goto out;
	compare_webhooks(s, old, c);
	say_all(c, ret);
	ret->taken = c->taken.count;
out:
	free(c);
	return err;
}
