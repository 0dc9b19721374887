/*
 * guard.h - whether the process at the other end may use the admin socket:
 * by its user, as `admin_users` of the settings in force has it.
 *
 * Dispatcher's thread, unless a function says otherwise. Who is refused is
 * told in the log: at once, and then in sums, however often it comes back.
 */
#ifndef PLUGIN_ADMIN_GUARD_H
#define PLUGIN_ADMIN_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include "plugin/admin/http.h"
#include "pool/loop.h"

struct hooks;

/* Private. */
struct admin_guard {
	struct hooks *hooks;
	struct loop_timer timer;
	bool quiet;      /* until it fires: something was said a moment ago */
	uint64_t unsaid; /* refusals since then */
	struct admin_peer last; /* of those */
};

/* Owner's thread, before the dispatcher runs; and after it has ended, when
 * what is yet unsaid is logged. A zeroed one may be cleared. */
void admin_guard_init(struct admin_guard *guard, struct hooks *hooks);
void admin_guard_clear(struct admin_guard *guard);

/* True, or what `peer` is answered: 403 and what to do about it. */
bool admin_guard_admit(struct admin_guard *guard, const struct admin_peer *peer,
		       struct admin_reply *ret);

#endif /* PLUGIN_ADMIN_GUARD_H */
