#include "plugin/admin/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "conf/conf.h"
#include "plugin/hook_table.h"
#include "plugin/settings/settings.h"

#define BIT(arg) (1u << (arg))

const struct admin_command_def admin_command_table[ADMIN_COMMAND_COUNT] = {
	[ADMIN_SHOW] = {
		.words = { "webhooks", "show" },
		.allowed = BIT(ADMIN_ORIGIN) | BIT(ADMIN_ALL),
		.usage = "show [--origin] [--all]",
	},
	[ADMIN_REGISTER] = {
		.words = { "webhooks", "register" },
		.required = BIT(ADMIN_HOOK) | BIT(ADMIN_ENDPOINT),
		.options = true,
		.usage = "register hook=<hook> endpoint=<url> "
			 "[--<option>=<value>...]",
	},
	[ADMIN_DEREGISTER] = {
		.words = { "webhooks", "deregister" },
		.required = BIT(ADMIN_HOOK) | BIT(ADMIN_ENDPOINT),
		.usage = "deregister hook=<hook> endpoint=<url>",
	},
	[ADMIN_CACHE_SHOW] = {
		.words = { "webhooks", "cache", "show" },
		.allowed = BIT(ADMIN_RESET) | BIT(ADMIN_ALL),
		.usage = "cache show [--all|--reset]",
	},
	[ADMIN_CACHE_CLEAR] = {
		.words = { "webhooks", "cache", "clear" },
		.allowed = BIT(ADMIN_HOOK) | BIT(ADMIN_ENDPOINT) |
			   BIT(ADMIN_CLIENT_ID) | BIT(ADMIN_USERNAME) |
			   BIT(ADMIN_KICK),
		.usage = "cache clear [hook=<hook>] [endpoint=<url>] "
			 "[client-id=<id>] [username=<name>] [--kick]",
	},
	[ADMIN_METRICS_SHOW] = {
		.words = { "metrics", "show" },
		.usage = "metrics show",
	},
	[ADMIN_STATUS] = {
		.words = { "webhooks", "status" },
		/* a matter of how people see it */
		.allowed = BIT(ADMIN_ALL),
		.usage = "status [--all]",
	},
	[ADMIN_EXPLAIN] = {
		.words = { "webhooks", "explain" },
		.allowed = BIT(ADMIN_HOOK),
		.usage = "explain [hook=<hook>]",
	},
	[ADMIN_TEST] = {
		.words = { "webhooks", "test" },
		.required = BIT(ADMIN_HOOK),
		.allowed = BIT(ADMIN_ENDPOINT),
		.fields = true,
		.usage = "test hook=<hook> [endpoint=<url>] "
			 "[<field>=<value>...]",
	},
	[ADMIN_PAUSE] = {
		.words = { "webhooks", "pause" },
		.required = BIT(ADMIN_ENDPOINT),
		.usage = "pause endpoint=<url>",
	},
	[ADMIN_RESUME] = {
		.words = { "webhooks", "resume" },
		.required = BIT(ADMIN_ENDPOINT),
		.usage = "resume endpoint=<url>",
	},
	[ADMIN_SESSION_DISCONNECT] = {
		.words = { "session", "disconnect" },
		/* VerneMQ's other two are known, to be refused with a reason */
		.allowed = BIT(ADMIN_CLIENT_ID) | BIT(ADMIN_USERNAME) |
			   BIT(ADMIN_MOUNTPOINT) | BIT(ADMIN_CLEANUP),
		.usage = "session disconnect client-id=<id> [username=<name>]",
	},
	[ADMIN_RELOAD] = {
		.words = { "webhooks", "reload" },
		.usage = "reload",
	},
};

enum arg_type {
	TYPE_HOOK,
	TYPE_TEXT,   /* judged by who uses it */
	TYPE_SWITCH, /* stands alone */
	TYPE_FORMAT,
};

static const struct {
	const char *name;
	enum arg_type type;
} arg_table[ADMIN_ARG_COUNT] = {
	[ADMIN_HOOK] = { "hook", TYPE_HOOK },
	[ADMIN_ENDPOINT] = { "endpoint", TYPE_TEXT },
	[ADMIN_CLIENT_ID] = { "client-id", TYPE_TEXT },
	[ADMIN_USERNAME] = { "username", TYPE_TEXT },
	[ADMIN_MOUNTPOINT] = { "mountpoint", TYPE_TEXT },
	[ADMIN_RESET] = { "--reset", TYPE_SWITCH },
	[ADMIN_ORIGIN] = { "--origin", TYPE_SWITCH },
	[ADMIN_ALL] = { "--all", TYPE_SWITCH },
	[ADMIN_KICK] = { "--kick", TYPE_SWITCH },
	[ADMIN_CLEANUP] = { "--cleanup", TYPE_SWITCH },
	[ADMIN_FORMAT] = { "--format", TYPE_FORMAT },
};

static int refuse(int err, char reterr[static ADMIN_ERROR_LEN], const char *fmt,
		  ...) __attribute__((format(printf, 3, 4)));

static int refuse(int err, char reterr[static ADMIN_ERROR_LEN], const char *fmt,
		  ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reterr, ADMIN_ERROR_LEN, fmt, ap);
	va_end(ap);
	return err;
}

/* ---- decoding ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* In place. False for an escape that is none, or that ends the string. */
static bool decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		int high, low;

		if (*from != '%') {
			*to++ = *from == '+' ? ' ' : *from;
			continue;
		}
		high = hex_digit(from[1]);
		low = high < 0 ? -1 : hex_digit(from[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*to++ = (char)(high << 4 | low);
		from += 2;
	}
	*to = '\0';
	return true;
}

/* ---- commands ---- */

static bool same_words(const char *const *a, char *const *b)
{
	while (*a && *b && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return !*a && !*b;
}

enum {
	NAME_LEN = 48 /* of a command's words */
};

/* What follows "webhooks", which goes without saying; of others all. */
static void name_command(char ret[static NAME_LEN], const char *const *words)
{
	int len = 0;

	if (words[0] && strcmp(words[0], "webhooks") == 0)
		words++;
	ret[0] = '\0';
	for (; *words && len < NAME_LEN; words++)
		len += snprintf(ret + len, NAME_LEN - (size_t)len, "%s%s",
				len ? " " : "", *words);
}

static int unknown_command(char *const *words,
			   char reterr[static ADMIN_ERROR_LEN])
{
	char names[ADMIN_COMMAND_COUNT][NAME_LEN], given[NAME_LEN];
	const char *list[ADMIN_COMMAND_COUNT + 1] = { NULL }, *near;
	int len;

	name_command(given, (const char *const *)words);
	for (int i = 0; i < ADMIN_COMMAND_COUNT; i++) {
		name_command(names[i], admin_command_table[i].words);
		list[i] = names[i];
	}
	near = *given ? conf_nearest(given, list) : NULL;
	if (near)
		return refuse(-EINVAL, reterr,
			      "unknown command \"%s\"; did you mean \"%s\"?",
			      given, near);
	len = *given ? snprintf(reterr, ADMIN_ERROR_LEN,
				"unknown command \"%s\"; there are", given)
		     : snprintf(reterr, ADMIN_ERROR_LEN,
				"a command is missing; there are");
	for (int i = 0; list[i] && len < ADMIN_ERROR_LEN; i++)
		len += snprintf(reterr + len, ADMIN_ERROR_LEN - (size_t)len,
				"%s %s", i ? "," : "", list[i]);
	return -EINVAL;
}

static int parse_command(char *path, struct admin_request *req,
			 char reterr[static ADMIN_ERROR_LEN])
{
	char *words[ADMIN_WORDS + 2] = { NULL }, *save = NULL;
	size_t n = 0;

	for (char *word = strtok_r(path, "/", &save); word && n <= ADMIN_WORDS;
	     word = strtok_r(NULL, "/", &save)) {
		if (!decode(word))
			return refuse(-EINVAL, reterr,
				      "a bad %%-escape in the command");
		words[n++] = word;
	}
	for (int i = 0; i < ADMIN_COMMAND_COUNT; i++) {
		if (same_words(admin_command_table[i].words, words)) {
			req->command = i;
			return 0;
		}
	}
	return unknown_command(words, reterr);
}

/* ---- arguments ---- */

static int unknown_hook(const char *name, char reterr[static ADMIN_ERROR_LEN])
{
	const char *names[HOOK_COUNT + 1] = { NULL }, *near;
	int len;

	for (int i = 0; i < HOOK_COUNT; i++)
		names[i] = hook_table[i].name;
	near = conf_nearest(name, names);
	if (near)
		return refuse(-EINVAL, reterr,
			      "unknown hook \"%.100s\"; did you mean \"%s\"?",
			      name, near);
	len = snprintf(reterr, ADMIN_ERROR_LEN,
		       "unknown hook \"%.100s\"; there are", name);
	for (int i = 0; i < HOOK_COUNT && len < ADMIN_ERROR_LEN; i++)
		len += snprintf(reterr + len, ADMIN_ERROR_LEN - (size_t)len,
				"%s %s", i ? "," : "", names[i]);
	return -EINVAL;
}

static int parse_hook(struct admin_value *value,
		      char reterr[static ADMIN_ERROR_LEN])
{
	value->number = hook_by_name(value->text);
	if (value->number == HOOK_COUNT)
		return unknown_hook(value->text, reterr);
	return 0;
}

static int parse_value(enum admin_arg arg, struct admin_value *value,
		       char reterr[static ADMIN_ERROR_LEN])
{
	const char *name = arg_table[arg].name;
	enum arg_type type = arg_table[arg].type;

	if (type == TYPE_SWITCH) {
		if (!*value->text)
			return 0;
		return refuse(-EINVAL, reterr, "%s takes no value", name);
	}
	if (!*value->text)
		return refuse(-EINVAL, reterr, "%s needs a value", name);
	switch (type) {
	case TYPE_HOOK:
		return parse_hook(value, reterr);
	case TYPE_FORMAT:
		if (strcmp(value->text, "json") == 0)
			return 0;
		return refuse(-EINVAL, reterr,
			      "%s over HTTP is json; vmq-admin prints others",
			      name);
	default:
		return 0;
	}
}

static unsigned allowed_args(const struct admin_command_def *def)
{
	return def->required | def->allowed | BIT(ADMIN_FORMAT);
}

static int unknown_arg(const struct admin_command_def *def, const char *name,
		       char reterr[static ADMIN_ERROR_LEN])
{
	const char *names[ADMIN_ARG_COUNT + 1] = { NULL }, *near;
	size_t n = 0;

	for (int i = 0; i < ADMIN_ARG_COUNT; i++) {
		if (allowed_args(def) & BIT(i))
			names[n++] = arg_table[i].name;
	}
	near = conf_nearest(name, names);
	if (near)
		return refuse(-EINVAL, reterr,
			      "unknown argument \"%.100s\"; did you mean "
			      "\"%s\"?",
			      name, near);
	return refuse(-EINVAL, reterr, "unknown argument \"%.100s\"; usage: %s",
		      name, def->usage);
}

static bool is_known(const struct admin_command_def *def, const char *name,
		     int *ret)
{
	int arg = 0;

	while (arg < ADMIN_ARG_COUNT && strcmp(arg_table[arg].name, name) != 0)
		arg++;
	*ret = arg;
	return arg < ADMIN_ARG_COUNT && (allowed_args(def) & BIT(arg));
}

/* `text` NULL: it stands alone. */
static int add_option(struct admin_request *req, const char *flag,
		      const char *text, char reterr[static ADMIN_ERROR_LEN])
{
	if (!text)
		return refuse(-EINVAL, reterr, "%.100s needs a value", flag);
	if (req->options_count == ADMIN_OPTIONS)
		return refuse(-EINVAL, reterr, "more than %d options",
			      ADMIN_OPTIONS);
	req->options[req->options_count++] =
		(struct admin_option){ flag + strlen("--"), flag, text };
	return 0;
}

static int take_field(struct admin_request *req, const char *name,
		      const char *text, char reterr[static ADMIN_ERROR_LEN])
{
	for (size_t i = 0; i < req->fields_count; i++) {
		if (strcmp(req->fields[i].name, name) == 0)
			return refuse(-EINVAL, reterr, "%.100s is given twice",
				      name);
	}
	if (req->fields_count == ADMIN_FIELDS)
		return refuse(-EINVAL, reterr, "more than %d fields",
			      ADMIN_FIELDS);
	req->fields[req->fields_count++] = (struct admin_field){ name, text };
	return 0;
}

/* An argument that is in no table. `text` NULL: it stands alone. */
static int take_other(struct admin_request *req, const char *name,
		      const char *text, char reterr[static ADMIN_ERROR_LEN])
{
	const struct admin_command_def *def;
	bool flag = strncmp(name, "--", 2) == 0;

	def = &admin_command_table[req->command];
	if (def->options && flag)
		return add_option(req, name, text, reterr);
	if (def->fields && !flag)
		return take_field(req, name, text ? text : "", reterr);
	return unknown_arg(def, name, reterr);
}

/* One `key=value`, `--flag=value` or `--flag`. */
static int parse_arg(char *text, struct admin_request *req,
		     char reterr[static ADMIN_ERROR_LEN])
{
	const struct admin_command_def *def;
	struct admin_value *value;
	char *equals = strchr(text, '=');
	int arg;

	def = &admin_command_table[req->command];
	if (equals)
		*equals++ = '\0';
	if (!decode(text) || (equals && !decode(equals)))
		return refuse(-EINVAL, reterr,
			      "a bad %%-escape in the arguments");
	if (!is_known(def, text, &arg))
		return take_other(req, text, equals, reterr);
	value = &req->args[arg];
	if (value->given)
		return refuse(-EINVAL, reterr, "%s is given twice", text);
	value->given = true;
	value->text = equals ? equals : text + strlen(text);
	return parse_value(arg, value, reterr);
}

static int check_required(const struct admin_request *req,
			  char reterr[static ADMIN_ERROR_LEN])
{
	const struct admin_command_def *def;

	def = &admin_command_table[req->command];
	for (int i = 0; i < ADMIN_ARG_COUNT; i++) {
		if ((def->required & BIT(i)) && !req->args[i].given)
			return refuse(-EINVAL, reterr,
				      "%s is missing; usage: %s",
				      arg_table[i].name, def->usage);
	}
	if (req->args[ADMIN_KICK].given && !req->args[ADMIN_CLIENT_ID].given &&
	    !req->args[ADMIN_USERNAME].given)
		return refuse(-EINVAL, reterr,
			      "--kick needs client-id or username: whom to "
			      "disconnect");
	return 0;
}

int admin_request_parse(char *uri, struct admin_request *ret,
			char reterr[static ADMIN_ERROR_LEN])
{
	static const char root[] = "/api/v1";
	char *query = strchr(uri, '?'), *save = NULL;
	int err;

	if (query)
		*query++ = '\0';
	if (strncmp(uri, root, strlen(root)) != 0 ||
	    (uri[strlen(root)] && uri[strlen(root)] != '/'))
		return refuse(-ENOENT, reterr,
			      "no such page; commands are below %s/", root);
	*ret = (struct admin_request){ 0 };
	err = parse_command(uri + strlen(root), ret, reterr);
	if (err || !query)
		return err ? err : check_required(ret, reterr);
	for (char *arg = strtok_r(query, "&", &save); arg;
	     arg = strtok_r(NULL, "&", &save)) {
		err = parse_arg(arg, ret, reterr);
		if (err)
			return err;
	}
	return check_required(ret, reterr);
}
