#include "plugin/cli/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

const struct command *args_command(const char *const *words, size_t n)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		size_t k = 0;

		while (commands[i].words[k] && k < n &&
		       strcmp(commands[i].words[k], words[k]) == 0)
			k++;
		if (!commands[i].words[k] && k == n)
			return &commands[i];
	}
	return NULL;
}

/* ---- words and arguments ---- */

/* Without `err` nothing is refused: what makes no sense is passed over. */
struct scan {
	struct args *args;
	FILE *err;
};

/* Say what is wrong; with the usage of the words so far, or without. */
static int refuse(const struct scan *scan, bool usage, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(const struct scan *scan, bool usage, const char *fmt, ...)
{
	va_list ap;

	if (!scan->err)
		return 0;
	fputs("vmq-admin: ", scan->err);
	va_start(ap, fmt);
	vfprintf(scan->err, fmt, ap);
	va_end(ap);
	fputc('\n', scan->err);
	if (usage) {
		fputc('\n', scan->err);
		usage_print(scan->args->words, scan->args->words_count,
			    scan->err);
	}
	return -EINVAL;
}

static bool named(const char *text, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(text, name, len) == 0;
}

static int take_format(struct scan *scan, const char *value)
{
	if (strcmp(value, "human") == 0)
		scan->args->format = FORMAT_HUMAN;
	else if (strcmp(value, "json") == 0)
		scan->args->format = FORMAT_JSON;
	else if (strcmp(value, "csv") == 0)
		scan->args->format = FORMAT_CSV;
	else
		return refuse(scan, false,
			      "--format is human, json or csv, not \"%s\"",
			      value);
	return 0;
}

/* `value` NULL: none. */
static int take_arg(struct scan *scan, const char *name, size_t len,
		    const char *value)
{
	struct args *args = scan->args;

	if (named(name, len, "--socket") || named(name, len, "--format")) {
		if (!value || !*value)
			return refuse(scan, false, "%.*s needs a value",
				      (int)len, name);
		if (named(name, len, "--format"))
			return take_format(scan, value);
		args->socket = value;
		return 0;
	}
	if (args->count == ARGS_MAX)
		return refuse(scan, false, "too many arguments");
	args->list[args->count].name = name;
	args->list[args->count].name_len = len;
	args->list[args->count++].value = value;
	return 0;
}

static int take_word(struct scan *scan, const char *word)
{
	struct args *args = scan->args;

	if (args->words_count == ARGS_WORDS)
		return refuse(scan, true, "too many words: \"%s\"", word);
	args->words[args->words_count++] = word;
	return 0;
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* An option that still wants its value. */
static bool wants_value(const char *arg)
{
	return strncmp(arg, "--", 2) == 0 && !strchr(arg, '=') &&
	       !is_help(arg) && !usage_stands_alone(arg);
}

/* Returns how many of the `n` arguments it took; or -EINVAL. */
static int scan_next(struct scan *scan, int n, char *const *list)
{
	const char *arg = list[0], *equals = strchr(arg, '=');
	int err;

	if (is_help(arg))
		return 1;
	if (equals) {
		err = take_arg(scan, arg, (size_t)(equals - arg), equals + 1);
		return err ? err : 1;
	}
	if (n > 1 && wants_value(arg) && strncmp(list[1], "--", 2) != 0) {
		err = take_arg(scan, arg, strlen(arg), list[1]);
		return err ? err : 2;
	}
	err = strncmp(arg, "--", 2) == 0
		      ? take_arg(scan, arg, strlen(arg), NULL)
		      : take_word(scan, arg);
	return err ? err : 1;
}

static int scan_all(struct scan *scan, int n, char *const *list)
{
	struct args *args = scan->args;
	int took;

	*args = (struct args){ .socket = getenv(USAGE_SOCKET_VARIABLE) };
	if (!args->socket || !*args->socket)
		args->socket = USAGE_DEFAULT_SOCKET;
	for (int i = 0; i < n; i += took) {
		took = scan_next(scan, n - i, list + i);
		if (took < 0)
			return took;
	}
	args->command = args_command(args->words, args->words_count);
	return 0;
}

void args_scan(struct args *ret, int n, char *const *list,
	       const char **ret_open)
{
	struct scan scan = { .args = ret };

	scan_all(&scan, n, list);
	*ret_open = n > 0 && wants_value(list[n - 1]) ? list[n - 1] : NULL;
}

/* ---- the command ---- */

/* The words are no command. */
static int no_command(const struct scan *scan)
{
	const char *const *words = scan->args->words;
	size_t n = scan->args->words_count, known = usage_known(words, n);
	char of[128] = "";

	if (known == n)
		return refuse(scan, true, "a %scommand is missing",
			      n ? "sub-" : "");
	for (size_t i = 0; i < known; i++) {
		size_t len = strlen(of);

		snprintf(of + len, sizeof(of) - len, "%s ", words[i]);
	}
	if (args_command(words, known))
		return refuse(scan, true, "%sdoes not take \"%s\"", of,
			      words[known]);
	return refuse(scan, true, "unknown %scommand \"%s%s\"",
		      known ? "sub-" : "", of, words[known]);
}

static int check_keys(const struct scan *scan)
{
	const struct args *args = scan->args;
	const struct command *command = args->command;

	for (size_t k = 0; command->keys[k]; k++) {
		size_t i = 0;

		while (i < args->count &&
		       !named(args->list[i].name, args->list[i].name_len,
			      command->keys[k]))
			i++;
		if (i == args->count)
			return refuse(scan, true, "%s=... is missing",
				      command->keys[k]);
	}
	return 0;
}

int args_parse(struct args *ret, int argc, char *const *argv, FILE *err)
{
	struct scan scan = { .args = ret, .err = err };
	int result;

	for (int i = 1; i < argc; i++) {
		if (is_help(argv[i]))
			scan.err = NULL;
	}
	result = scan_all(&scan, argc - 1, argv + 1);
	if (result)
		return result;
	ret->help = !scan.err;
	if (ret->help)
		return 0;
	return ret->command ? check_keys(&scan) : no_command(&scan);
}
