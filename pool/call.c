#include "pool/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BODY_SIZE 512

static const char *name_of(const struct pool_request *req)
{
	return req->trial ? "" : req->endpoint;
}

static size_t bytes_of_request(const struct pool_request *req)
{
	size_t n = strlen(name_of(req)) + 1;
	size_t i;

	for (i = 0; i < req->headers_count; i++)
		n += strlen(req->headers[i]) + 1;
	return n + (req->lane ? req->lane_len : 0);
}

static char *put(char **at, const void *data, size_t len)
{
	char *put = memcpy(*at, data, len);

	*at += len;
	return put;
}

static void copy_texts(struct pool_call *call, const struct pool_request *req)
{
	char *at = call->bytes;
	size_t i;

	call->endpoint = put(&at, name_of(req), strlen(name_of(req)) + 1);
	call->headers_count = req->headers_count;
	for (i = 0; i < req->headers_count; i++)
		call->headers[i] =
			put(&at, req->headers[i], strlen(req->headers[i]) + 1);
	if (req->lane) {
		call->lane_key = put(&at, req->lane, req->lane_len);
		call->lane_len = req->lane_len;
	}
}

struct pool_call *call_create(const struct pool_request *req, int64_t now_us)
{
	int64_t now_ms = now_us / 1000;
	struct pool_call *call;

	call = calloc(1, sizeof(*call) + bytes_of_request(req));
	if (!call)
		return NULL;
	copy_texts(call, req);
	call->kind = req->kind;
	call->body = req->body;
	call->body_len = req->len;
	call->timeout_ms = req->timeout_ms;
	call->retries = req->retries;
	call->stream = req->stream;
	call->submitted_ms = now_ms;
	call->submitted_us = now_us;
	call->expires_ms = now_ms + (req->kind == POOL_TELL ? req->max_age_ms
							    : req->timeout_ms);
	call->reply.error_text = "";
	return call;
}

/* One may be a password. */
static void forget_headers(struct pool_call *call)
{
	size_t i;

	for (i = 0; i < call->headers_count; i++)
		explicit_bzero(call->headers[i], strlen(call->headers[i]));
}

void call_destroy(struct pool_call *call)
{
	if (!call)
		return;
	call_forget_body(call);
	forget_headers(call);
	free(call->reply_text);
	free(call->reply_body);
	free(call->reply_cache_control);
	free(call->last_text);
	free(call);
}

void call_forget_body(struct pool_call *call)
{
	if (call->body)
		explicit_bzero(call->body, call->body_len);
	free(call->body);
	call->body = NULL;
}

/* Twice as much as before, until it is enough, but no more than `max`. */
static int grow(struct pool_call *call, size_t need, uint64_t max)
{
	size_t size = call->reply_size ? call->reply_size : FIRST_BODY_SIZE;
	char *grown;

	while (size < need)
		size *= 2;
	if (size > max)
		size = (size_t)max;
	grown = realloc(call->reply_body, size);
	if (!grown)
		return -ENOMEM;
	call->reply_body = grown;
	call->reply_size = size;
	call->reply.body = grown;
	return 0;
}

int call_add_body(struct pool_call *call, const void *data, size_t len,
		  uint64_t max)
{
	size_t have = call->reply.len;
	int r;

	if (len == 0)
		return 0;
	if (len > max || have > max - len)
		return -EFBIG;
	if (have + len > call->reply_size) {
		r = grow(call, have + len, max);
		if (r)
			return r;
	}
	memcpy(call->reply_body + have, data, len);
	call->reply.len = have + len;
	return 0;
}

void call_reset_reply(struct pool_call *call)
{
	free(call->reply_text);
	free(call->reply_body);
	free(call->reply_cache_control);
	call->reply_text = NULL;
	call->reply_body = NULL;
	call->reply_cache_control = NULL;
	call->reply_size = 0;
	call->retry_after_s = 0;
	memset(&call->reply, 0, sizeof(call->reply));
	call->reply.error_text = "";
}

void call_fail(struct pool_call *call, int error, const char *text)
{
	call_reset_reply(call);
	call->reply_text = strdup(text);
	call->reply.error = error;
	call->reply.error_text = call->reply_text ? call->reply_text
						  : "failed, and out of memory";
}

void call_note_attempt(struct pool_call *call)
{
	free(call->last_text);
	call->last_text = NULL;
	if (call->reply.error)
		call->last_text = strdup(call->reply.error_text);
	else if (asprintf(&call->last_text, "status %ld", call->reply.status) <
		 0)
		call->last_text = NULL;
}

void call_note_times(struct pool_call *call, int64_t now_us)
{
	int64_t total = now_us - call->submitted_us;

	call->times.total_us = total > 0 ? (uint64_t)total : 0;
	if (!call->sent_us)
		call->times.queue_us = call->times.total_us;
	call->reply.times = call->times;
}
