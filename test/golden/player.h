/*
 * player.h - recorded answers behind an HTTP server of the unit tests, each
 * under a path of its own; what was asked of it is kept.
 */
#ifndef GOLDEN_PLAYER_H
#define GOLDEN_PLAYER_H

#include "test/golden/json.h"

struct player;

/* One path. Zeroed but for its answer. */
struct play {
	const struct json *answer; /* `response` of a case; borrowed */
	_Atomic unsigned requests;
	/* The last request, under the player's lock. */
	char *head, *body;
	size_t body_len;
};

/* Serve `plays[0..n)`, borrowed, at "/0" to "/n-1" until player_stop().
 * Exits the program when it cannot. */
struct player *player_start(struct play *plays, size_t n);
void player_stop(struct player *p);

unsigned player_port(const struct player *p);

/* A port of 127.0.0.1 where nobody listens. */
unsigned player_dead_port(const struct player *p);

/* The last request to a play, copied into `a`. False when there was none. */
bool player_request(struct player *p, struct json_arena *a, size_t play,
		    const char **ret_head, struct bytes *ret_body);

#endif /* GOLDEN_PLAYER_H */
