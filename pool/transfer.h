/*
 * transfer.h - one curl easy handle, made for an endpoint and used for one
 * call after the other.
 *
 * Inside pool/ only. Dispatcher's thread.
 */
#ifndef POOL_TRANSFER_H
#define POOL_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct claim;
struct multi;
struct pool_call;
struct pool_endpoint_opts;
struct pool_times;
struct transfer;
struct transport;

/* For requests by way of `way` over connections of `m`; both must outlive the
 * result. Returns 0, -ENOMEM or -EIO. */
int transfer_create(struct transfer **ret, const struct transport *way,
		    struct multi *m);

/* Not while in a multi. NULL is fine. */
void transfer_destroy(struct transfer *t);

/* For multi_add(), and back. */
CURL *transfer_easy(const struct transfer *t);
struct claim *transfer_claim(struct transfer *t);
struct transfer *transfer_of(CURL *easy);

/*
 * Be about `call` from now on, within the limits of `opts`; after multi_add()
 * the transfer is under way. The call gets no word before transfer_finish().
 * Returns 0, -ENOMEM or -EIO.
 */
int transfer_begin(struct transfer *t, struct pool_call *call,
		   const struct pool_endpoint_opts *opts);
struct pool_call *transfer_call(const struct transfer *t);

/* Whether its reply has begun to come. */
bool transfer_is_answered(const struct transfer *t);

/* Whether it ended only because the kept connection it was given would not
 * do, with nothing sent that the peer took: add it to the multi once more,
 * rewound. */
bool transfer_is_stale(const struct transfer *t, CURLcode result);

/* Likewise, and the server has said so, or has answered without looking at the
 * body. */
bool transfer_was_refused(const struct transfer *t);

/* As after transfer_begin(). */
void transfer_rewind(struct transfer *t);

/* Whether it is not to be used for another call, or once more: libcurl keeps
 * the number of a socket's error for ever, and later ones would be taken for
 * it. */
bool transfer_is_worn(const struct transfer *t);

/* Whether it was served by a connection that had served others. */
bool transfer_reused(const struct transfer *t);

/* How long its call took to connect and until the reply began, since it was
 * sent at `sent_us`; also of one that was stopped, just now. */
void transfer_get_times(const struct transfer *t, int64_t sent_us,
			int64_t now_us, struct pool_times *ret);

/* It has ended with `result`: fill in its call's reply, but for the time.
 * Before multi_remove(). */
void transfer_finish(struct transfer *t, CURLcode result);

/* Be about no call. */
void transfer_release(struct transfer *t);

/* A list of spare ones, for who owns them. */
struct transfer *transfer_push(struct transfer *list, struct transfer *t);
struct transfer *transfer_pop(struct transfer **list);

#endif /* POOL_TRANSFER_H */
