/*
 * pool_opts.h - an endpoint for tests that are not about its limits: much of
 * everything, and a breaker that does not open.
 */
#ifndef TEST_UNIT_POOL_OPTS_H
#define TEST_UNIT_POOL_OPTS_H

#include "pool/pool.h"

static inline struct pool_endpoint_opts ample_opts(const char *url)
{
	return (struct pool_endpoint_opts){
		.url = url,
		.max_connections = 100,
		.idle_ms = 60000,
		.max_queue = 10000,
		.max_queue_bytes = 64 << 20,
		.max_reply = 1 << 20,
		.breaker_failures = 1000000,
		.breaker_open_ms = 500,
		.prompt_ms = 500,
	};
}

#endif /* TEST_UNIT_POOL_OPTS_H */
