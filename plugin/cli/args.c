#include "plugin/cli/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SOCKET  "/run/mosquitto/vmq_webhooks.sock"
#define SOCKET_VARIABLE "VMQ_WEBHOOKS_SOCKET"

/* ---- usage ---- */

#define EVERYWHERE                                                             \
	"\n"                                                                   \
	"Options of every command\n\n"                                         \
	"  --format=human|json\n"                                              \
	"     A table for people (default), or JSON for programs.\n"           \
	"  --socket=<path>\n"                                                  \
	"     The broker's admin socket. Default: $" SOCKET_VARIABLE ", or\n"  \
	"     " DEFAULT_SOCKET "\n"                                            \
	"  --help\n"                                                           \
	"     This text.\n"

static const char usage_webhooks[] =
	"Usage: vmq-admin webhooks <sub-command>\n\n"
	"  Manage the webhooks of a running broker.\n\n"
	"  Sub-commands:\n"
	"    show        List the registered webhooks\n"
	"    register    Register an endpoint on a hook\n"
	"    deregister  Take an endpoint off a hook\n"
	"    cache       Look at the cache, or empty it\n\n"
	"  Use --help after a sub-command for more.\n" EVERYWHERE;

static const char usage_show[] =
	"Usage: vmq-admin webhooks show\n\n"
	"  List the registered webhooks: those of a hook in the order in\n"
	"  which they are asked. The origin is a name in the configuration,\n"
	"  or \"runtime\" for what was registered by command and ends with\n"
	"  the broker.\n\n"
	"Options\n\n"
	"  --origin\n"
	"     Name the origin with --format=json, too.\n"
	"  --all\n"
	"     Show what else is set, as options of `register`; secrets are\n"
	"     ***.\n" EVERYWHERE;

static const char usage_register[] =
	"Usage: vmq-admin webhooks register hook=<hook> endpoint=<url>\n\n"
	"  Register an endpoint on a hook, after those that are there. It is\n"
	"  called from now on until it is deregistered or the broker ends;\n"
	"  with vmq_webhooks.persist = on after the next start, too.\n\n"
	"Options\n\n"
	"  --base64payload=true|false\n"
	"     Payloads travel in base64. Default: true.\n"
	"  --no_payload=true|false\n"
	"     Leave the payload out of auth_on_publish and\n"
	"     auth_on_publish_m5. Default: false.\n"
	"  --response_timeout=<milliseconds>\n"
	"     Bound of a whole call. Default: 5000.\n"
	"  --<key>=<value>\n"
	"     Any other key of a webhook in docs/configuration.md:\n"
	"     on_error, blocking, cache_refusals, retries, max_event_age,\n"
	"     header.<Name>, header_file.<Name>, secret, secret_file,\n"
	"     signing_key_file, trace, forward_connection_opts, cafile,\n"
	"     certfile, keyfile, keyfile_password, keyfile_password_file,\n"
	"     verify_peer, tls_version, use_crls, crlfile, sni,\n"
	"     pinned_public_key, http_version, proxy, no_proxy,\n"
	"     connect_timeout, max_reply, dns_timeout, connection_lifetime.\n"
	"     Others on this machine may see a command line: for secrets use\n"
	"     those that name a file.\n" EVERYWHERE;

static const char usage_deregister[] =
	"Usage: vmq-admin webhooks deregister hook=<hook> endpoint=<url>\n\n"
	"  Take an endpoint off a hook. Calls under way end as they began.\n"
	"  The URL must be written as `vmq-admin webhooks show` writes "
	"it.\n" EVERYWHERE;

static const char usage_cache[] =
	"Usage: vmq-admin webhooks cache <sub-command>\n\n"
	"  Look at the cache of endpoints' answers, or empty it.\n\n"
	"  Sub-commands:\n"
	"    show        Print what the cache holds and how it did\n"
	"    clear       Drop entries\n" EVERYWHERE;

static const char usage_cache_show[] =
	"Usage: vmq-admin webhooks cache show\n\n"
	"  Print entries, hits and misses of each endpoint and hook.\n\n"
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
	"  Drop the entries that agree with all that is given. Without any\n"
	"  drop every entry and start counting from zero. The user name is\n"
	"  the one that the client sent when it connected.\n\n"
	"Options\n\n"
	"  --kick\n"
	"     Disconnect the clients with that client id or user "
	"name.\n" EVERYWHERE;

static const struct command commands[] = {
	{ .words = { "webhooks", "show" },
	  .details = true,
	  .usage = usage_show },
	{ .words = { "webhooks", "register" },
	  .keys = { "hook", "endpoint" },
	  .changes = true,
	  .usage = usage_register },
	{ .words = { "webhooks", "deregister" },
	  .keys = { "hook", "endpoint" },
	  .changes = true,
	  .usage = usage_deregister },
	{ .words = { "webhooks", "cache", "show" }, .usage = usage_cache_show },
	{ .words = { "webhooks", "cache", "clear" },
	  .changes = true,
	  .usage = usage_cache_clear },
};

enum {
	COMMAND_COUNT = sizeof(commands) / sizeof(commands[0])
};

/* Flags that take no value: what follows one is the next argument. */
static const char *const switches[] = { "--reset", "--origin", "--all",
					"--kick", NULL };

static int refuse(FILE *err, const char *usage, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(FILE *err, const char *usage, const char *fmt, ...)
{
	va_list ap;

	fputs("vmq-admin: ", err);
	va_start(ap, fmt);
	vfprintf(err, fmt, ap);
	va_end(ap);
	fputc('\n', err);
	if (usage)
		fprintf(err, "\n%s", usage);
	return -EINVAL;
}

/* ---- words and arguments ---- */

struct scan {
	struct args *args;
	const char *words[4];
	size_t words_count;
	bool help;
	FILE *err;
};

static bool is_switch(const char *name)
{
	for (size_t i = 0; switches[i]; i++) {
		if (strcmp(name, switches[i]) == 0)
			return true;
	}
	return false;
}

static bool named(const char *text, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(text, name, len) == 0;
}

/* `value` NULL: none. */
static int take_arg(struct scan *scan, const char *name, size_t len,
		    const char *value)
{
	struct args *args = scan->args;

	if (named(name, len, "--help")) {
		scan->help = true;
		return 0;
	}
	if (named(name, len, "--socket") || named(name, len, "--format")) {
		if (!value || !*value)
			return refuse(scan->err, NULL, "%.*s needs a value",
				      (int)len, name);
		if (named(name, len, "--socket"))
			args->socket = value;
		else if (strcmp(value, "human") == 0)
			args->format = FORMAT_HUMAN;
		else if (strcmp(value, "json") == 0)
			args->format = FORMAT_JSON;
		else
			return refuse(scan->err, NULL,
				      "--format is human or json, not \"%s\"",
				      value);
		return 0;
	}
	if (args->count == ARGS_MAX)
		return refuse(scan->err, NULL, "too many arguments");
	args->list[args->count].name = name;
	args->list[args->count].name_len = len;
	args->list[args->count++].value = value;
	return 0;
}

static int scan_line(struct scan *scan, int argc, char *const *argv)
{
	int err = 0;

	for (int i = 1; i < argc && !err; i++) {
		const char *arg = argv[i], *equals = strchr(arg, '=');
		bool flag = strncmp(arg, "--", 2) == 0;

		if (equals) {
			err = take_arg(scan, arg, (size_t)(equals - arg),
				       equals + 1);
		} else if (strcmp(arg, "-h") == 0) {
			scan->help = true;
		} else if (flag) {
			const char *value = NULL;

			if (!is_switch(arg) && strcmp(arg, "--help") != 0 &&
			    i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0)
				value = argv[++i];
			err = take_arg(scan, arg, strlen(arg), value);
		} else if (scan->words_count == 4) {
			err = refuse(scan->err, NULL, "too many words: \"%s\"",
				     arg);
		} else {
			scan->words[scan->words_count++] = arg;
		}
	}
	return err;
}

/* ---- the command ---- */

static const struct command *find_command(const struct scan *scan)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		size_t k = 0;

		while (commands[i].words[k] && k < scan->words_count &&
		       strcmp(commands[i].words[k], scan->words[k]) == 0)
			k++;
		if (!commands[i].words[k] && k == scan->words_count)
			return &commands[i];
	}
	return NULL;
}

/* The usage that fits words which are no command. */
static const char *usage_of(const struct scan *scan)
{
	if (scan->words_count > 1 && strcmp(scan->words[0], "webhooks") == 0 &&
	    strcmp(scan->words[1], "cache") == 0)
		return usage_cache;
	return usage_webhooks;
}

static int no_command(const struct scan *scan)
{
	const char *usage = usage_of(scan);
	bool ours =
		scan->words_count && strcmp(scan->words[0], "webhooks") == 0;

	if (scan->words_count && !ours)
		return refuse(scan->err, usage, "unknown command \"%s\"",
			      scan->words[0]);
	if (usage == usage_cache && scan->words_count > 2)
		return refuse(scan->err, usage,
			      "unknown sub-command \"cache %s\"",
			      scan->words[2]);
	if (usage != usage_cache && scan->words_count > 1)
		return refuse(scan->err, usage, "unknown sub-command \"%s\"",
			      scan->words[1]);
	return refuse(scan->err, usage, "a sub-command is missing");
}

static int check_keys(const struct args *args, FILE *err)
{
	const struct command *command = args->command;

	for (size_t k = 0; command->keys[k]; k++) {
		size_t i = 0;

		while (i < args->count &&
		       !named(args->list[i].name, args->list[i].name_len,
			      command->keys[k]))
			i++;
		if (i == args->count)
			return refuse(err, command->usage, "%s=... is missing",
				      command->keys[k]);
	}
	return 0;
}

int args_parse(struct args *ret, int argc, char *const *argv, FILE *err)
{
	struct scan scan = { .args = ret, .err = err };
	int result;

	*ret = (struct args){ .socket = getenv(SOCKET_VARIABLE) };
	if (!ret->socket || !*ret->socket)
		ret->socket = DEFAULT_SOCKET;
	result = scan_line(&scan, argc, argv);
	if (result)
		return result;
	ret->command = find_command(&scan);
	if (scan.help) {
		ret->help =
			ret->command ? ret->command->usage : usage_of(&scan);
		return 0;
	}
	if (!ret->command)
		return no_command(&scan);
	return check_keys(ret, err);
}
