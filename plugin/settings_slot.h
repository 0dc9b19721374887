/*
 * settings_slot.h - the settings in force: one pointer behind one lock.
 *
 * The only lock of the plugin's own (the boxes of pool/mailbox.h aside), held
 * for a few instructions, and longer only while the rare new settings are
 * prepared. Any thread may look, any thread may replace.
 */
#ifndef PLUGIN_SETTINGS_SLOT_H
#define PLUGIN_SETTINGS_SLOT_H

#include <pthread.h>
#include <stdatomic.h>
#include "plugin/settings.h"

struct settings_slot {
	pthread_mutex_t lock;
	struct settings *current; /* under `lock`; a reference */
	_Atomic unsigned version; /* turns with each replacement */
};

/* Takes a reference of its own. Returns 0 or -errno. */
int settings_slot_init(struct settings_slot *slot, struct settings *s);
void settings_slot_clear(struct settings_slot *slot);

/* A reference to the settings in force. */
struct settings *settings_slot_get(struct settings_slot *slot);

/*
 * Put `s` in force in place of `old`. `prepare(s, arg)` runs under the lock,
 * before anybody can see `s`; what it returns other than 0 is returned, and
 * nothing has changed. Returns 0 or -EAGAIN (`old` is not in force).
 */
int settings_slot_swap(struct settings_slot *slot, const struct settings *old,
		       struct settings *s,
		       int (*prepare)(const struct settings *s, void *arg),
		       void *arg);

/* Differs from what it returned before as soon as other settings are in
 * force: cheap enough for every callback. */
static inline unsigned settings_slot_version(const struct settings_slot *slot)
{
	return atomic_load_explicit(&slot->version, memory_order_acquire);
}

#endif /* PLUGIN_SETTINGS_SLOT_H */
