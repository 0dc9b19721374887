#include "plugin/settings_slot.h"

#include <errno.h>
#include <stdatomic.h>

int settings_slot_init(struct settings_slot *slot, struct settings *s)
{
	int err = pthread_mutex_init(&slot->lock, NULL);

	if (err)
		return -err;
	slot->current = settings_ref(s);
	atomic_init(&slot->version, 1);
	return 0;
}

void settings_slot_clear(struct settings_slot *slot)
{
	if (!slot->current)
		return;
	settings_unref(slot->current);
	slot->current = NULL;
	pthread_mutex_destroy(&slot->lock);
}

struct settings *settings_slot_get(struct settings_slot *slot)
{
	struct settings *s;

	pthread_mutex_lock(&slot->lock);
	s = settings_ref(slot->current);
	pthread_mutex_unlock(&slot->lock);
	return s;
}

int settings_slot_swap(struct settings_slot *slot, const struct settings *old,
		       struct settings *s,
		       int (*prepare)(const struct settings *s, void *arg),
		       void *arg)
{
	struct settings *drop = NULL;
	int err;

	pthread_mutex_lock(&slot->lock);
	err = slot->current == old ? prepare(s, arg) : -EAGAIN;
	if (!err) {
		drop = slot->current;
		slot->current = settings_ref(s);
		atomic_fetch_add_explicit(&slot->version, 1,
					  memory_order_release);
	}
	pthread_mutex_unlock(&slot->lock);
	settings_unref(drop);
	return err;
}
