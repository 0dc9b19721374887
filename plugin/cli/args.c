#include "plugin/cli/args.h"

#include "plugin/cli/usage.h"

/* ---- the table ---- */

static const char usage_show[] =
	"Usage: vmq-admin webhooks show\n\n"
	"  Shows the information of the registered webhooks: those of a hook\n"
	"  in the order in which they are asked. The origin is a name in the\n"
	"  configuration, or \"runtime\" for what was registered by command\n"
	"  and ends with the broker.\n\n"
	"Options\n\n"
	"  --origin\n"
	"     Name the origin also where it is left out: with --format=json\n"
	"     and --format=csv.\n" EVERYWHERE;

static const char usage_register[] =
	"Usage: vmq-admin webhooks register hook=<hook> endpoint=<url>\n\n"
	"  Registers a webhook endpoint with a hook, after those that are\n"
	"  there. It is called from now on until it is deregistered or the\n"
	"  broker ends.\n\n"
	"Options\n\n"
	"  --base64payload=true|false\n"
	"     Payloads travel in base64. Default: true.\n"
	"  --no_payload=true|false\n"
	"     Leave the payload out of auth_on_publish and\n"
	"     auth_on_publish_m5. Default: false.\n"
	"  --response_timeout=<milliseconds>\n"
	"     Bound of a whole call. Default: 5000.\n" EVERYWHERE;

static const char usage_deregister[] =
	"Usage: vmq-admin webhooks deregister hook=<hook> endpoint=<url>\n\n"
	"  Deregisters a webhook endpoint. Calls under way end as they began.\n"
	"  The URL must be written as `vmq-admin webhooks show` writes "
	"it.\n" EVERYWHERE;

static const char usage_cache_show[] =
	"Usage: vmq-admin webhooks cache show\n\n"
	"  Shows statistics about the cache: entries, hits and misses of each\n"
	"  endpoint and hook.\n\n"
	"Options\n\n"
	"  --all\n"
	"     Print what else is counted, too: bytes, evictions, stale\n"
	"     answers, refusals.\n"
	"  --reset\n"
	"     Start counting from zero instead. The entries stay.\n" EVERYWHERE;

static const char usage_cache_clear[] =
	"Usage: vmq-admin webhooks cache clear [hook=<hook>] [endpoint=<url>]\n"
	"                                      [client-id=<id>] "
	"[username=<name>]\n\n"
	"  Clears the webhooks cache: drops the entries that agree with all\n"
	"  that is given. Without any, drops every entry and starts counting\n"
	"  from zero. The user name is the one that the client sent when it\n"
	"  connected.\n\n"
	"Options\n\n"
	"  --kick\n"
	"     Disconnect the clients with that client id or user "
	"name.\n" EVERYWHERE;

static const char usage_metrics_show[] =
	"Usage: vmq-admin metrics show\n\n"
	"  Print every metric: a line with its type, name and value. Of a\n"
	"  histogram there are the times within which half and 99 in a\n"
	"  hundred calls ended, their sum in seconds and their number.\n"
	"  Prometheus reads the whole at /metrics.\n" EVERYWHERE;

static const struct command commands[] = {
	{ .words = { "webhooks", "show" },
	  .details = true,
	  .usage = usage_show,
	  .summary = "Show all registered webhooks" },
	{ .words = { "webhooks", "register" },
	  .keys = { "hook", "endpoint" },
	  .changes = true,
	  .usage = usage_register,
	  .summary = "Register a webhook" },
	{ .words = { "webhooks", "deregister" },
	  .keys = { "hook", "endpoint" },
	  .changes = true,
	  .usage = usage_deregister,
	  .summary = "Deregister a webhook" },
	{ .words = { "webhooks", "cache", "show" },
	  .usage = usage_cache_show,
	  .summary = "Show statistics about the cache" },
	{ .words = { "webhooks", "cache", "clear" },
	  .changes = true,
	  .usage = usage_cache_clear,
	  .summary = "Clear the webhooks cache" },
	{ .words = { "metrics", "show" },
	  .lines = true,
	  .usage = usage_metrics_show,
	  .summary = "Print all that is counted" },
};

enum {
	COMMAND_COUNT = sizeof(commands) / sizeof(commands[0])
};

static const struct command_group groups[] = {
	{ .summary = "Operate the webhooks plugin of a running Mosquitto" },
	{ { "webhooks" }, "Manage the webhooks" },
	{ { "webhooks", "cache" }, "Manage the webhooks cache" },
	{ { "metrics" }, "Look at what is counted" },
	{ { "session" }, "Manage the sessions of clients" },
};

const struct command *args_commands(size_t *ret_count)
{
	*ret_count = COMMAND_COUNT;
	return commands;
}

const struct command_group *args_groups(size_t *ret_count)
{
	*ret_count = sizeof(groups) / sizeof(groups[0]);
	return groups;
}
