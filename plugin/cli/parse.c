/*
 * parse.c - from a command line to a command with its arguments.
 */
#include "plugin/cli/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/cli/usage.h"

const struct command *args_command(const char *const *words, size_t n)
{
	size_t count;
	const struct command *commands = args_commands(&count);

	for (size_t i = 0; i < count; i++) {
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

bool args_given(const struct args *args, const char *name)
{
	for (size_t i = 0; i < args->count; i++) {
		if (named(args->list[i].name, args->list[i].name_len, name))
			return true;
	}
	return false;
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
	bool path = *arg == '/' || *arg == '.'; /* has anything in it */
	int err;

	if (is_help(arg))
		return 1;
	if (equals && !path) {
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

/* The command, and the word behind its own that it may take. */
static void find_command(struct args *args)
{
	size_t n = args->words_count;

	args->command = args_command(args->words, n);
	if (args->command || !n)
		return;
	args->command = args_command(args->words, n - 1);
	if (args->command && args->command->operand)
		args->operand = args->words[n - 1];
	else
		args->command = NULL;
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
	find_command(args);
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
	const struct command *command;
	char of[128] = "";

	if (known == n)
		return refuse(scan, true, "a %scommand is missing",
			      n ? "sub-" : "");
	for (size_t i = 0; i < known; i++) {
		size_t len = strlen(of);

		snprintf(of + len, sizeof(of) - len, "%s ", words[i]);
	}
	command = args_command(words, known);
	if (command)
		return refuse(scan, true, "%sdoes not take \"%s\"", of,
			      words[known + (command->operand != NULL)]);
	return refuse(scan, true, "unknown %scommand \"%s%s\"",
		      known ? "sub-" : "", of, words[known]);
}

static int check_args(const struct scan *scan)
{
	const struct args *args = scan->args;
	const struct command *command = args->command;

	if (command->operand && !args->operand)
		return refuse(scan, true, "%s is missing", command->operand);
	if (command->run && args->count)
		return refuse(scan, true, "unknown argument \"%.*s\"",
			      (int)args->list[0].name_len, args->list[0].name);
	for (size_t k = 0; command->keys[k]; k++) {
		if (!args_given(args, command->keys[k]))
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
	return ret->command ? check_args(&scan) : no_command(&scan);
}
