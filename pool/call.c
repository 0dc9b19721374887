#include "pool/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BODY_SIZE 512

struct pool_call *call_create(const struct pool_request *req, int64_t now_ms)
{
	size_t endpoint_len = strlen(req->endpoint) + 1;
	size_t hook_len = strlen(req->hook) + 1;
	size_t lane_len = req->lane ? req->lane_len : 0;
	struct pool_call *call;
	char *at;

	call = calloc(1, sizeof(*call) + endpoint_len + hook_len + lane_len);
	if (!call)
		return NULL;
	at = call->bytes;
	call->endpoint = memcpy(at, req->endpoint, endpoint_len);
	at += endpoint_len;
	call->hook = memcpy(at, req->hook, hook_len);
	at += hook_len;
	if (req->lane) {
		call->lane_key = memcpy(at, req->lane, lane_len);
		call->lane_len = lane_len;
	}
	call->body = req->body;
	call->body_len = req->len;
	call->timeout_ms = req->timeout_ms;
	call->submitted_ms = now_ms;
	call->reply.error_text = "";
	return call;
}

void call_destroy(struct pool_call *call)
{
	if (!call)
		return;
	call_forget_body(call);
	free(call->reply_text);
	free(call->reply_body);
	free(call->reply_cache_control);
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

void call_fail(struct pool_call *call, int error, const char *text)
{
	free(call->reply_text);
	free(call->reply_body);
	free(call->reply_cache_control);
	call->reply_text = strdup(text);
	call->reply_body = NULL;
	call->reply_cache_control = NULL;
	call->reply_size = 0;
	memset(&call->reply, 0, sizeof(call->reply));
	call->reply.error = error;
	call->reply.error_text = call->reply_text ? call->reply_text
						  : "failed, and out of memory";
}
