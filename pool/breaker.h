/*
 * breaker.h - whether an endpoint is worth a call: its circuit breaker.
 *
 * It opens after so many failures in a row. While it is open no call goes out
 * but one now and then, a probe; any answer closes it. Beside that it may be
 * open for holding calls alone, those that the owner's thread stands still
 * for: one of them that nobody could wait for any longer is enough. And an
 * operator may pause the endpoint: then nothing goes out at all, and nothing
 * that happens ends it.
 *
 * Inside pool/ only. Any thread. Time is the caller's, in milliseconds.
 */
#ifndef POOL_BREAKER_H
#define POOL_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

struct breaker {
	/* Limits, to be changed at any time: failures in a row that open it,
	 * at least 1; from one probe to the next, at least; and how long an
	 * answer may take that is a reason to stand still for the next. */
	_Atomic uint32_t max_failures, open_ms, prompt_ms;
	/* Private. */
	_Atomic uint32_t failures; /* in a row */
	_Atomic bool open, open_for_holding;
	_Atomic int64_t paused_ms; /* since; 0: it is not */
	_Atomic int64_t probe_ms;
	_Atomic uint64_t opened; /* how often */
};

/* A call failed: the breaker may open now. Returns whether it did. */
bool breaker_failed(struct breaker *b, int64_t now_ms);

/* A call was answered, `took_ms` after it was sent: the breaker is closed,
 * for holding calls too if that was prompt. Returns whether it was open. */
bool breaker_answered(struct breaker *b, uint64_t took_ms);

/* Nobody waits any longer for a holding call: it opens for these. */
void breaker_gave_up(struct breaker *b, int64_t now_ms);

bool breaker_is_open(const struct breaker *b);
bool breaker_is_open_for_holding(const struct breaker *b);

/* By an operator, until another word of his. Since when: what was paused
 * stays so from then; 0: it is not. */
void breaker_pause(struct breaker *b, bool paused, int64_t now_ms);
bool breaker_is_paused(const struct breaker *b);
int64_t breaker_paused_ms(const struct breaker *b);

/* Whether it is time for a probe. Who is told so must send one, and whoever
 * asks next is told the contrary for `open_ms`, and some more: up to six
 * tenths, by chance, so that brokers do not probe in step. */
bool breaker_claim_probe(struct breaker *b, int64_t now_ms);

/* When the next probe may go. */
int64_t breaker_probe_ms(const struct breaker *b);

/* How often it has opened, for holding calls alone included. */
uint64_t breaker_opened(const struct breaker *b);

#endif /* POOL_BREAKER_H */
