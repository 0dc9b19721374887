/*
 * player.h - an HTTP server on a loopback port that plays recorded answers,
 * the impolite ones included: wrong lengths, slow chunks, bytes that are no
 * HTTP, connections closed in the middle. Each answer has a path of its own;
 * what was asked of it is kept.
 */
#ifndef GOLDEN_PLAYER_H
#define GOLDEN_PLAYER_H

#include <pthread.h>
#include "test/golden/json.h"

struct player;

/* One path. */
struct play {
	const struct json *answer;	/* `response` of a case; borrowed */
	_Atomic unsigned requests;
	/* The last request, malloc'd, under the player's lock. */
	char *head, *body;
	size_t body_len;
};

/* Serve `plays[0..n)` at "/0".."/n-1", from threads of its own, until
 * player_stop(). Exits the program when it cannot. */
struct player *player_start(struct play *plays, size_t n);
unsigned player_port(const struct player *p);

/* A port of the loopback where nobody listens. */
unsigned player_dead_port(const struct player *p);

/* The last request to a play: copies in `a`; NULL when there was none. */
const char *player_head(struct player *p, struct json_arena *a, size_t play);
struct bytes player_body(struct player *p, struct json_arena *a, size_t play);

/* Wait for the clients' connections to close, and free. */
void player_stop(struct player *p);

#endif /* GOLDEN_PLAYER_H */
