/*
 * worker.h - one house, from the hook to the cache, that cases are played
 * in: real hooks, pool and settings, with a broker that only listens. A
 * worker belongs to one thread.
 */
#ifndef GOLDEN_WORKER_H
#define GOLDEN_WORKER_H

#include "plugin/event.h"
#include "test/golden/trial.h"

struct worker;

/* An endpoint of the chain that a case is about. */
struct worker_endpoint {
	char url[96];
	struct codec_opts codec;
	unsigned timeout_ms;
};

/* Both exit the program when they cannot. */
struct worker *worker_create(void);

/* Put this chain on the hook in place of any other. */
void worker_configure(struct worker *w, enum hook_id hook,
		      const struct worker_endpoint *eps, size_t n);

void worker_destroy(struct worker *w);

/* How to ask. */
struct worker_manner {
	bool patient;           /* as a login that may be delayed */
	double leaves_after_ms; /* the client leaves then; 0: it stays */
};

/* Ask or tell, and wait until no call is open. What VerneMQ calls `next`
 * follows a notification. */
struct conclusion worker_ask(struct worker *w, struct json_arena *a,
			     const struct event *ev, struct worker_manner how);

/* Entries of the cache that belong to the chain. */
int worker_cached(const struct worker *w);

/* The last line logged since worker_configure(), "" without one. */
const char *worker_log(const struct worker *w);

#endif /* GOLDEN_WORKER_H */
