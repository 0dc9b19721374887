/*
 * fake_host.h - just enough of a Mosquitto 2.1 for the plugin to be loaded,
 * so that its callbacks can be called with a clock around each.
 */
#ifndef TEST_BENCH_FAKE_HOST_H
#define TEST_BENCH_FAKE_HOST_H

#include "test/bench/bench.h"

/* Load the plugin and start it with `key=value` options. Returns 0 or -1,
 * after a line on stderr. Once a process. */
int host_load(const char *path, const struct text_list *options);
void host_unload(void);

/* May the client publish to this topic? What the plugin answers. */
int host_check_publish(const char *topic, const void *payload, size_t len);
/* It does: what the plugin answers to the MESSAGE event that follows. */
int host_pass_message(const char *topic, const void *payload, size_t len);

/* One turn of the broker's loop. */
void host_tick(void);

#endif /* TEST_BENCH_FAKE_HOST_H */
