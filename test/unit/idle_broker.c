#include "test/unit/idle_broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/pool.h"

static void complete_auth(void *ctx, const char *client_id, uint64_t ticket,
			  const struct verdict *verdict)
{
	(void)ctx;
	(void)client_id;
	(void)ticket;
	(void)verdict;
	fail();
}

static size_t disconnect(void *ctx, const char *client_id, const char *username)
{
	(void)ctx;
	(void)client_id;
	(void)username;
	return 1;
}

static void log_line(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)line;
}

static void wake(void *ctx)
{
	(void)ctx;
}

static int64_t now_us(void *ctx)
{
	(void)ctx;
	return pool_now_us();
}

static int64_t unix_ms(void *ctx)
{
	(void)ctx;
	return 1700000000000;
}

const struct broker_ops idle_broker = {
	.complete_auth = complete_auth,
	.disconnect = disconnect,
	.log = log_line,
	.wake = wake,
	.now_us = now_us,
	.unix_ms = unix_ms,
	.delays_logins = true,
};
