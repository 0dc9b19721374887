/*
 * trace.h - traceparent, by W3C Trace Context level 1. Any thread.
 */
#ifndef PLUGIN_TRACE_H
#define PLUGIN_TRACE_H

#include <stdint.h>

#define TRACE_KEY_LEN 16
#define TRACE_LEN     56 /* "00-...-01" with its NUL */

/* The header's value: the trace is the event's, the parent the call's. Both
 * are numbers of which `key`, random and of this start, makes what nobody can
 * tell from random. Cannot fail. */
void trace_write(const uint8_t key[static TRACE_KEY_LEN], uint64_t event,
		 uint64_t call, char ret[static TRACE_LEN]);

#endif /* PLUGIN_TRACE_H */
