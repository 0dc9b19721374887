#include "plugin/settings/settings_slot.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int settings_slot_init(struct settings_slot *slot, struct settings *s)
{
	struct settings **live = calloc(1, sizeof(struct settings *));
	int err;

	if (!live)
		return -ENOMEM;
	err = pthread_mutex_init(&slot->lock, NULL);
	if (err) {
		free(live);
		return -err;
	}
	live[0] = settings_ref(s);
	slot->live = live;
	slot->n = 1;
	atomic_init(&slot->version, 1);
	return 0;
}

void settings_slot_clear(struct settings_slot *slot)
{
	if (!slot->live)
		return;
	while (slot->n)
		settings_unref(slot->live[--slot->n]);
	free(slot->live);
	slot->live = NULL;
	pthread_mutex_destroy(&slot->lock);
}

struct settings *settings_slot_get(struct settings_slot *slot)
{
	struct settings *s;

	pthread_mutex_lock(&slot->lock);
	s = settings_ref(slot->live[0]);
	pthread_mutex_unlock(&slot->lock);
	return s;
}

/* ---- those before ---- */

/* Nobody but the slot holds it, and so nobody can come to hold it. */
static bool is_done(const struct settings *s)
{
	return atomic_load_explicit(&s->refs, memory_order_acquire) == 1;
}

/* Those that are not done come first, in the order they were in. Returns how
 * many. */
static size_t part(struct settings **list, size_t n)
{
	size_t held = 0;

	for (size_t i = 0; i < n; i++) {
		struct settings *s = list[i];

		if (is_done(s))
			continue;
		list[i] = list[held];
		list[held++] = s;
	}
	return held;
}

/* What the slot had, and from where on nobody needs it. */
struct rest {
	struct settings **list;
	size_t from, n;
};

static void let_go(struct rest *rest)
{
	for (size_t i = rest->from; i < rest->n; i++)
		settings_unref(rest->list[i]);
	free(rest->list);
}

/* Under the lock: `s` in force, which may be so already, and of those before
 * who is held. */
static int turn(struct settings_slot *slot, struct settings *s,
		settings_prepare_fn *prepare, void *arg, struct rest *ret)
{
	bool other = s != slot->live[0];
	size_t held = part(slot->live + 1, slot->n - 1), n = 0;
	struct settings **live;
	int err;

	if (other && held + 1 > SETTINGS_FORMER_MAX)
		return -EBUSY;
	live = calloc(held + 2, sizeof(struct settings *));
	if (!live)
		return -ENOMEM;
	live[n++] = s;
	if (other)
		live[n++] = slot->live[0];
	memcpy(live + n, slot->live + 1, held * sizeof(struct settings *));
	n += held;
	err = prepare((const struct settings *const *)live, n, arg);
	if (err) {
		free(live);
		return err;
	}
	if (other)
		settings_ref(s);
	*ret = (struct rest){ slot->live, 1 + held, slot->n };
	slot->live = live;
	slot->n = n;
	atomic_store_explicit(&slot->has_former, n > 1, memory_order_relaxed);
	return 0;
}

int settings_slot_swap(struct settings_slot *slot, const struct settings *old,
		       struct settings *s, settings_prepare_fn *prepare,
		       void *arg)
{
	struct rest rest = { NULL, 0, 0 };
	int err;

	pthread_mutex_lock(&slot->lock);
	err = slot->live[0] == old ? turn(slot, s, prepare, arg, &rest)
				   : -EAGAIN;
	if (!err)
		atomic_fetch_add_explicit(&slot->version, 1,
					  memory_order_release);
	pthread_mutex_unlock(&slot->lock);
	let_go(&rest);
	return err;
}

static bool any_done(const struct settings_slot *slot)
{
	for (size_t i = 1; i < slot->n; i++) {
		if (is_done(slot->live[i]))
			return true;
	}
	return false;
}

void settings_slot_sweep_former(struct settings_slot *slot,
				settings_prepare_fn *prepare, void *arg)
{
	struct rest rest = { NULL, 0, 0 };

	pthread_mutex_lock(&slot->lock);
	if (any_done(slot))
		(void)turn(slot, slot->live[0], prepare, arg, &rest);
	pthread_mutex_unlock(&slot->lock);
	let_go(&rest);
}
