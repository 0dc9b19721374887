/*
 * ago.h - how long something was ago, for people. Pure, any thread.
 */
#ifndef PLUGIN_ADMIN_AGO_H
#define PLUGIN_ADMIN_AGO_H

#include <stdint.h>

#define AGO_LEN 24

/* "12 s", "5 min", "3 h", "2 d": rounded down; what is to come is "0 s". */
void ago_write(int64_t ms, char ret[static AGO_LEN]);

#endif /* PLUGIN_ADMIN_AGO_H */
