/*
 * settings_private.h - settings in the making, shared by the files of
 * settings.h. Nobody else sees these before they are whole.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_PRIVATE_H
#define PLUGIN_SETTINGS_SETTINGS_PRIVATE_H

#include "plugin/settings/settings.h"

/* The defaults, no webhook, one reference; `admin_socket` and `transport` are
 * yet NULL.
 * NULL: no memory. */
struct settings *settings_new(void);

/* Copy a webhook to the end of its chain; `shown` and `target` are made. It
 * shares `stats`, or has fresh ones when that is NULL. Returns 0 or -ENOMEM, `s` unchanged. */
int settings_append(struct settings *s, const struct webhook *webhook,
		    struct webhook_stats *stats);

/* Let it count with `stats` instead of its own. */
void settings_share_stats(struct webhook *webhook, struct webhook_stats *stats);

/* settings_table.c: of the keys that are no webhook's and that have a field of
 * their own in struct settings, name those that differ. */
void settings_compare_keys(const struct settings *a, const struct settings *b,
			   void (*fn)(const char *key, void *arg), void *arg);

/* Give `to` what `from` has for one of these keys. Returns 0 or -ENOMEM. */
int settings_copy_key(struct settings *to, const struct settings *from,
		      const char *key);

/* A copy to add to. Returns 0 or -ENOMEM. */
int settings_copy(const struct settings *s, struct settings **ret);

/* ---- settings_register.c ---- */

/* Add to settings in the making. Returns as settings_register(), `s` unchanged
 * on failure. */
int settings_add_registration(struct settings *s, struct registration *r,
			      struct conf_error *reterr);

/*
 * Add the webhooks of `old` that were registered at run time to `s`, behind
 * those of their chains; where `s` has the same hook and endpoint that counts.
 * What their registrations do not say is as in `s`. Their counters are new.
 * Returns 0; or -EINVAL, with the webhook named (too many, a file that is
 * gone), or -ENOMEM, with `reterr`.
 */
int settings_keep_runtime(struct settings *s, const struct settings *old,
			  struct conf_error *reterr);

/* Say what the listener on `port` mounts. Returns 0 or -ENOMEM. */
int settings_mount(struct settings *s, unsigned port, const char *mountpoint);

/* ---- settings_call.c: what calls carry ---- */

/* Of one webhook or of all, while keys are read. Zeroed, and then
 * call_draft_init(). */
struct call_draft {
	struct credentials *credentials; /* NULL: none so far */
	unsigned trace, forward;         /* CALL_UNSET, or off and on */
	bool secret_inline, secret_in_file;
};

#define CALL_UNSET 2u

/* The keys of a webhook and of all; and below them, those with a header's
 * name for their last segment. They fill a struct call_draft. */
extern const struct conf_directive settings_call_keys[];
extern const struct conf_directive settings_header_keys[];
extern const struct conf_directive settings_header_file_keys[];

void call_draft_init(struct call_draft *draft);
void call_draft_clear(struct call_draft *draft);

/* Make `ret`, with a reference, of what was set for all. */
void call_draft_global(const struct call_draft *draft, struct call_opts *ret);

/* Make it, with a reference, of what was set for one webhook, and for all
 * where it sets nothing. Returns 0; -EINVAL with what is wrong in `reterr`;
 * or -ENOMEM. */
int call_draft_finish(struct call_draft *draft, const struct settings *s,
		      enum hook_id hook, struct call_opts *ret,
		      char reterr[static CONF_REASON_LEN]);

/* What calls of that hook carry by what was set for all; borrowed. */
struct call_opts settings_call_of(const struct settings *s, enum hook_id hook);

/* ---- settings_table.c: webhooks in the making ---- */

#define DRAFT_UNSET UINT32_MAX

/* A webhook of which some keys were read. */
struct draft {
	struct draft *next; /* by name */
	char *name;         /* of a registration: NULL, or for messages only */
	char *place;        /* where the first of its keys stands; or NULL */
	unsigned hook;      /* HOOK_COUNT: not yet */
	char *endpoint;
	bool base64encode, no_payload, blocking, cache_refusals;
	uint32_t response_timeout;
	uint32_t retries, max_event_age; /* DRAFT_UNSET: those of all */
	unsigned on_error;
	struct call_draft call;
	struct transport_keys transport;
	struct registration *registration; /* borrowed; NULL: of the file */
};

/* The keys that a webhook has beside settings_call_keys and those below. */
extern const struct conf_directive settings_webhook_keys[];

/* Both texts are copied and may be NULL. NULL: no memory. */
struct draft *draft_new(const char *name, const char *place);
void draft_free(struct draft *d);

/* Make it a webhook at the end of its chain. Returns 0; or -EINVAL or -ENOMEM
 * with `reterr`. */
int draft_append(struct settings *s, struct draft *d,
		 struct conf_error *reterr);

/* ---- settings_show.c ---- */

/* What becomes of `d` on `s`, calls carrying `call`, as a webhook's `options`
 * has it: malloc'd; NULL without memory. */
char *draft_show(const struct draft *d, const struct settings *s,
		 const struct call_opts *call);

#endif /* PLUGIN_SETTINGS_SETTINGS_PRIVATE_H */
