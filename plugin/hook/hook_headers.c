/*
 * hook_headers.c - what an endpoint may want to know of a request beyond its
 * body, and by what it knows that it comes from us. All of it is the same at
 * each attempt (docs/protocol.md).
 */
#include "plugin/hook/hook_private.h"

#include <stdarg.h>
#include <stdio.h>
#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"

_Static_assert(HOOK_HEADERS + 1 + CREDENTIALS_HEADERS_MAX <= POOL_HEADERS_MAX,
	       "room for all headers");

static void add(struct hook_headers *h, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add(struct hook_headers *h, const char *fmt, ...)
{
	char *line = h->lines[h->count];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, HOOK_HEADER_LEN, fmt, ap);
	va_end(ap);
	h->list[h->count++] = line;
}

static void add_trace(struct hooks *hooks, const struct hook_message *message,
		      struct hook_headers *h)
{
	char trace[TRACE_LEN];

	trace_write(hooks->trace_key, message->event, hooks->requests, trace);
	add(h, "traceparent: %s", trace);
}

static int add_credentials(const struct credentials *c, const char *id,
			   const char *timestamp, const void *body, size_t len,
			   struct hook_headers *h)
{
	static const char name[] = "webhook-signature: ";
	int err;

	for (size_t i = 0; i < c->headers_count; i++)
		h->list[h->count++] = c->headers[i];
	if (!c->keys.count)
		return 0;
	snprintf(h->signature, sizeof(h->signature), "%s", name);
	err = signature_make(&c->keys, id, timestamp, body, len,
			     h->signature + sizeof(name) - 1);
	h->list[h->count++] = h->signature;
	return err;
}

int hook_headers_write(struct hooks *hooks, const struct hook_message *message,
		       const void *body, size_t len, struct hook_headers *ret)
{
	const struct webhook *webhook = message->webhook;
	char id[48], timestamp[24];

	snprintf(id, sizeof(id), "%s-%llu", hooks->instance,
		 (unsigned long long)++hooks->requests);
	snprintf(timestamp, sizeof(timestamp), "%lld",
		 (long long)hooks->ops->unix_ms(hooks->ops_ctx) / 1000);
	ret->count = 0;
	add(ret, "vernemq-hook: %s", hook_table[webhook->hook].name);
	add(ret, "webhook-id: %s", id);
	add(ret, "webhook-timestamp: %s", timestamp);
	add(ret, "webhook-epoch: %s", hooks->epoch);
	if (message->sequence)
		add(ret, "webhook-sequence: %llu",
		    (unsigned long long)message->sequence);
	if (webhook->call.trace)
		add_trace(hooks, message, ret);
	if (!webhook->call.credentials)
		return 0;
	return add_credentials(webhook->call.credentials, id, timestamp, body,
			       len, ret);
}

struct event hook_event(const struct webhook *webhook, const struct event *ev)
{
	struct event copy = *ev;

	if (!webhook->call.forward)
		copy.listener = NULL;
	return copy;
}
