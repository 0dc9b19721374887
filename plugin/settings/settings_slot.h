/*
 * settings_slot.h - the settings in force: one pointer behind one lock; and
 * those that were in force and are still worked with.
 *
 * The only lock of the plugin's own (the boxes of pool/mailbox.h aside), held
 * for a few instructions, and longer only while the rare new settings are
 * prepared. Any thread may look, any thread may replace.
 */
#ifndef PLUGIN_SETTINGS_SETTINGS_SLOT_H
#define PLUGIN_SETTINGS_SETTINGS_SLOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include "plugin/settings/settings.h"

struct settings_slot {
	pthread_mutex_t lock;
	/* Under `lock`; a reference each: those in force, and those before, the
	 * newest first, as long as anybody else holds them. */
	struct settings **live;
	size_t n;
	_Atomic bool has_former;
	_Atomic unsigned version; /* turns with each replacement */
};

/* Takes a reference of its own. Returns 0 or -errno. */
int settings_slot_init(struct settings_slot *slot, struct settings *s);
void settings_slot_clear(struct settings_slot *slot);

/* A reference to the settings in force. */
struct settings *settings_slot_get(struct settings_slot *slot);

/* See to it that all of `live` can be worked with: the first are those in
 * force, and where two differ the one before the other counts. Runs under the
 * lock. What it returns other than 0 is returned, and nothing has changed. */
typedef int settings_prepare_fn(const struct settings *const *live, size_t n,
				void *arg);

/* Of those before, at most. Each is held by calls that began with it, and these
 * end: notifications for an endpoint that is away after `max_event_age`. */
#define SETTINGS_FORMER_MAX 256

/* Put `s` in force in place of `old`, prepared before anybody can see it.
 * Returns 0, -EAGAIN (`old` is not in force), -EBUSY (too many of those before
 * are worked with) or -ENOMEM. */
int settings_slot_swap(struct settings_slot *slot, const struct settings *old,
		       struct settings *s, settings_prepare_fn *prepare,
		       void *arg);

/* Let go of those before that nobody works with any more; when there were any
 * the rest is prepared without them. On failure all stay. Cheap when there are
 * none. */
void settings_slot_sweep_former(struct settings_slot *slot,
				settings_prepare_fn *prepare, void *arg);
static inline void settings_slot_sweep(struct settings_slot *slot,
				       settings_prepare_fn *prepare, void *arg)
{
	if (atomic_load_explicit(&slot->has_former, memory_order_relaxed))
		settings_slot_sweep_former(slot, prepare, arg);
}

/* Differs from what it returned before as soon as other settings are in
 * force: cheap enough for every callback. */
static inline unsigned settings_slot_version(const struct settings_slot *slot)
{
	return atomic_load_explicit(&slot->version, memory_order_acquire);
}

#endif /* PLUGIN_SETTINGS_SETTINGS_SLOT_H */
