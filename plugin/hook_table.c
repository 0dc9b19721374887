#include "plugin/hook_table.h"

#include <string.h>

/* id, name, kind, of MQTT 5 clients, cacheable */
#define HOOKS(X)                                                               \
	X(HOOK_AUTH_ON_REGISTER, "auth_on_register", HOOK_ASKS, 0, 1)          \
	X(HOOK_AUTH_ON_PUBLISH, "auth_on_publish", HOOK_ASKS, 0, 1)            \
	X(HOOK_AUTH_ON_SUBSCRIBE, "auth_on_subscribe", HOOK_ASKS, 0, 1)        \
	X(HOOK_ON_REGISTER, "on_register", HOOK_TELLS, 0, 0)                   \
	X(HOOK_ON_PUBLISH, "on_publish", HOOK_TELLS, 0, 0)                     \
	X(HOOK_ON_SUBSCRIBE, "on_subscribe", HOOK_TELLS, 0, 0)                 \
	X(HOOK_ON_UNSUBSCRIBE, "on_unsubscribe", HOOK_OFFERS, 0, 0)            \
	X(HOOK_ON_DELIVER, "on_deliver", HOOK_OFFERS, 0, 0)                    \
	X(HOOK_ON_OFFLINE_MESSAGE, "on_offline_message", HOOK_TELLS, 0, 0)     \
	X(HOOK_ON_CLIENT_WAKEUP, "on_client_wakeup", HOOK_TELLS, 0, 0)         \
	X(HOOK_ON_CLIENT_OFFLINE, "on_client_offline", HOOK_TELLS, 0, 0)       \
	X(HOOK_ON_CLIENT_GONE, "on_client_gone", HOOK_TELLS, 0, 0)             \
	X(HOOK_ON_SESSION_EXPIRED, "on_session_expired", HOOK_TELLS, 0, 0)     \
	X(HOOK_AUTH_ON_REGISTER_M5, "auth_on_register_m5", HOOK_ASKS, 1, 1)    \
	X(HOOK_AUTH_ON_PUBLISH_M5, "auth_on_publish_m5", HOOK_ASKS, 1, 1)      \
	X(HOOK_AUTH_ON_SUBSCRIBE_M5, "auth_on_subscribe_m5", HOOK_ASKS, 1, 1)  \
	X(HOOK_ON_REGISTER_M5, "on_register_m5", HOOK_TELLS, 1, 0)             \
	X(HOOK_ON_PUBLISH_M5, "on_publish_m5", HOOK_TELLS, 1, 0)               \
	X(HOOK_ON_SUBSCRIBE_M5, "on_subscribe_m5", HOOK_TELLS, 1, 0)           \
	X(HOOK_ON_UNSUBSCRIBE_M5, "on_unsubscribe_m5", HOOK_OFFERS, 1, 0)      \
	X(HOOK_ON_DELIVER_M5, "on_deliver_m5", HOOK_OFFERS, 1, 0)              \
	X(HOOK_ON_AUTH_M5, "on_auth_m5", HOOK_ASKS, 1, 0)

#define DEFINITION(id, name, kind, m5, cacheable)                              \
	[id] = { name, kind, m5, cacheable },
#define NAME(id, name, kind, m5, cacheable) [id] = (name),
#define ROW(id, name, kind, m5, cacheable)  ROW_##id,

enum {
	HOOKS(ROW) ROWS
};
_Static_assert((int)ROWS == (int)HOOK_COUNT, "a row for every enum hook_id");

const struct hook_def hook_table[HOOK_COUNT] = { HOOKS(DEFINITION) };
const char *const hook_names[HOOK_COUNT + 1] = { HOOKS(NAME) };

enum hook_id hook_by_name(const char *name)
{
	int id = 0;

	while (id < HOOK_COUNT && strcmp(hook_table[id].name, name) != 0)
		id++;
	return id;
}
