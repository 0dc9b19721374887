#include "plugin/cli/args.h"

#include "plugin/cli/check.h"
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
	"     and --format=csv.\n"
	"  --all\n"
	"     Show what else is set, as options of `register`; secrets are\n"
	"     ***.\n" EVERYWHERE;

static const char usage_register[] =
	"Usage: vmq-admin webhooks register hook=<hook> endpoint=<url>\n\n"
	"  Registers a webhook endpoint with a hook, after those that are\n"
	"  there. It is called from now on until it is deregistered or the\n"
	"  broker ends; with vmq_webhooks.persist = on after the next start,\n"
	"  too.\n\n"
	"Options\n\n"
	"  --base64payload=true|false\n"
	"     Payloads travel in base64. Default: true.\n"
	"  --no_payload=true|false\n"
	"     Leave the payload out of auth_on_publish and\n"
	"     auth_on_publish_m5. Default: false.\n"
	"  --response_timeout=<milliseconds>\n"
	"     Bound of a whole call. Default: 5000.\n"
	"\n  More is said of these in docs/configuration.md. What is not given "
	"is\n"
	"  as it is set for all webhooks. Others on this machine may see a\n"
	"  command line: for secrets use those that name a file.\n\n"
	"  --on_error=deny|next|allow\n"
	"     What follows when the endpoint gives no answer. Default: deny.\n"
	"  --blocking=true|false\n"
	"     Let the broker wait where it could go on. Default: false.\n"
	"  --cache_refusals=true|false\n"
	"     Keep refusals that may be kept, too. Default: false.\n"
	"  --retries=<number>\n"
	"     How often a notification is sent again. Default: 3.\n"
	"  --max_event_age=<milliseconds>\n"
	"     How long it may wait to be sent. Default: 60000.\n"
	"  --header.<Name>=<text>\n"
	"  --header_file.<Name>=<file>\n"
	"     Send this header with every call.\n"
	"  --secret=<whsec_...>\n"
	"  --secret_file=<file>\n"
	"  --signing_key_file=<file>\n"
	"     Sign every call.\n"
	"  --trace=true|false\n"
	"     Send a traceparent with every call. Default: false.\n"
	"  --forward_connection_opts=true|false\n"
	"     Tell logins of listener and certificate. Default: false.\n"
	"  --cafile=<file>\n"
	"     The authorities that may vouch for the endpoint.\n"
	"  --certfile=<file>\n"
	"  --keyfile=<file>\n"
	"  --keyfile_password=<text>\n"
	"  --keyfile_password_file=<file>\n"
	"     Our certificate, its key and the password of that.\n"
	"  --verify_peer=true|false\n"
	"     Whether to verify the endpoint's. Default: true.\n"
	"  --tls_version=tlsv1|tlsv1.1|tlsv1.2|tlsv1.3\n"
	"     The lowest one. Default: tlsv1.2.\n"
	"  --use_crls=true|false\n"
	"  --crlfile=<file>\n"
	"     Refuse what is revoked.\n"
	"  --sni=<host>\n"
	"  --pinned_public_key=<sha256//...>\n"
	"     Whom the certificate must be of.\n"
	"  --http_version=1.1|2|2-prior-knowledge\n"
	"     Default: 2, where the endpoint agrees.\n"
	"  --proxy=<url>\n"
	"  --no_proxy=<hosts>\n"
	"     Reach the endpoint by a proxy, and which ones without.\n"
	"  --connect_timeout=<milliseconds>\n"
	"     Bound of making a connection. Default: 1000.\n"
	"  --max_reply=<bytes>\n"
	"     A longer reply is an error. Default: 1048576.\n"
	"  --dns_timeout=<milliseconds>\n"
	"     Look a name up again after. Default: 60000.\n"
	"  --connection_lifetime=<milliseconds>\n"
	"     Use no connection for longer; 0: no limit. Default: "
	"0.\n" EVERYWHERE;

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

static const char usage_status[] =
	"Usage: vmq-admin webhooks status\n\n"
	"  Shows how each endpoint is: good, open (its circuit breaker: left\n"
	"  alone until it answers again), open for holding (for calls that\n"
	"  the broker stands still for) or paused; what waits for it, what\n"
	"  is under way, how calls ended and how long they took, and its\n"
	"  newest error. Answers also while the broker is held up.\n\n"
	"Options\n\n"
	"  --all\n"
	"     Everything that is known, endpoint by endpoint.\n" EVERYWHERE;

static const char usage_explain[] =
	"Usage: vmq-admin webhooks explain [hook=<hook>]\n\n"
	"  Shows of each hook whether it can fire on this broker, as things\n"
	"  are set: yes, limited or no, and why; and how often it came up\n"
	"  since the start, and when last.\n" EVERYWHERE;

static const char usage_test[] =
	"Usage: vmq-admin webhooks test hook=<hook> [endpoint=<url>]\n"
	"                          [client_id=<text>] [username=<text>]\n"
	"                          [password=<text>] [mountpoint=<text>]\n"
	"                          [peer_addr=<text>] [peer_port=<number>]\n"
	"                          [clean_session=true|false]\n"
	"                          [clean_start=true|false]\n"
	"                          [topic=<text>] [payload=<text>]\n"
	"                          [qos=0|1|2] [retain=true|false]\n"
	"                          [p_content_type=<text>]\n"
	"                          [p_response_topic=<text>]\n"
	"                          [p_correlation_data=<text>]\n"
	"                          [p_authentication_method=<text>]\n"
	"                          [p_authentication_data=<text>]\n\n"
	"  A dry run: sends a real request to the hook's endpoints, or to one\n"
	"  of them, or to one that is not registered, and shows what was\n"
	"  sent and what came back, what it would mean, and how long it took.\n"
	"  Nothing follows from it. Fields are called as in the request's\n"
	"  body; the hook has some of them. Passwords are sent, but shown as\n"
	"  ***. The endpoint itself cannot tell that it is a dry "
	"run.\n" EVERYWHERE;

static const char usage_pause[] =
	"Usage: vmq-admin webhooks pause endpoint=<url>\n\n"
	"  Takes an endpoint out while it is repaired, on all its hooks.\n"
	"  Nothing is sent to it: on_error answers questions at once, and\n"
	"  notifications wait for up to max_event_age. Calls under way\n"
	"  finish. Ends with `webhooks resume`, or with the broker.\n"
	"  The URL is written as `webhooks show` writes it.\n" EVERYWHERE;

static const char usage_resume[] =
	"Usage: vmq-admin webhooks resume endpoint=<url>\n\n"
	"  Uses an endpoint again that was paused.\n" EVERYWHERE;

static const char usage_session_disconnect[] =
	"Usage: vmq-admin session disconnect [client-id=<id>] "
	"[username=<name>]\n\n"
	"  Parts from the client with that id, from all clients with that\n"
	"  user name, as they sent it when they connected, or from who has\n"
	"  both. Their wills are sent; their sessions stay for as long as\n"
	"  they asked for.\n" EVERYWHERE;

static const char usage_reload[] =
	"Usage: vmq-admin webhooks reload\n\n"
	"  Read the configuration file again, and the files that it names,\n"
	"  as SIGHUP does. If anything is wrong with it the webhooks stay as\n"
	"  they are. What was registered by command stays.\n" EVERYWHERE;

static const char usage_check[] =
	"Usage: vmq-admin check <file>\n\n"
	"  See whether a configuration file is as it has to be, and the files\n"
	"  that it names, without a broker. What is wrong is told as the\n"
	"  broker's log would tell it, with exit code 1. Run it as the user\n"
	"  that the broker runs as.\n\n"
	"Options\n\n"
	"  --help\n"
	"     This text.\n";

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
	{ .words = { "webhooks", "status" },
	  .columns = "endpoint state queued in_flight ok failed "
		     "p99_ms trouble",
	  .usage = usage_status,
	  .summary = "Show how the endpoints are" },
	{ .words = { "webhooks", "explain" },
	  .columns = "hook endpoints fires events last why",
	  .usage = usage_explain,
	  .summary = "Show which hooks can fire, and why not" },
	{ .words = { "webhooks", "test" },
	  .keys = { "hook" },
	  .changes = true,
	  .records = true,
	  .usage = usage_test,
	  .summary = "Ask an endpoint, and change nothing" },
	{ .words = { "webhooks", "pause" },
	  .keys = { "endpoint" },
	  .changes = true,
	  .usage = usage_pause,
	  .summary = "Take an endpoint out while it is repaired" },
	{ .words = { "webhooks", "resume" },
	  .keys = { "endpoint" },
	  .changes = true,
	  .usage = usage_resume,
	  .summary = "Use a paused endpoint again" },
	{ .words = { "session", "disconnect" },
	  .changes = true,
	  .usage = usage_session_disconnect,
	  .summary = "Part from a client" },
	{ .words = { "webhooks", "reload" },
	  .changes = true,
	  .usage = usage_reload,
	  .summary = "Read the configuration again" },
	{ .words = { "check" },
	  .operand = "<file>",
	  .run = check_file,
	  .usage = usage_check,
	  .summary = "Judge a configuration file, without a broker" },
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
