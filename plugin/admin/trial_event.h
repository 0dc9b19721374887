/*
 * trial_event.h - an event made up of the fields that an operator gave.
 *
 * A function of its arguments: no I/O, no state, any thread.
 */
#ifndef PLUGIN_ADMIN_TRIAL_EVENT_H
#define PLUGIN_ADMIN_TRIAL_EVENT_H

#include "plugin/admin/request.h"
#include "plugin/event.h"

#define TRIAL_PROPERTIES 6 /* at most */

/* The event points to the rest, and to the texts of the request. */
struct trial_event {
	struct event ev;
	struct topic topic;
	struct property properties[TRIAL_PROPERTIES];
	struct listener_info listener;
};

/*
 * An event of `hook` with these fields, called as in a request's body, and
 * with a stranger's values for those that are not given. Returns 0; or
 * -EINVAL with what is wrong in `reterr`: a field that the hook has not, a
 * value that is impossible.
 */
int trial_event_make(enum hook_id hook, const struct admin_field *fields,
		     size_t n, struct trial_event *ret,
		     char reterr[static ADMIN_ERROR_LEN]);

#endif /* PLUGIN_ADMIN_TRIAL_EVENT_H */
