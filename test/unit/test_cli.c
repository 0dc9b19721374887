/* plugin/cli/: usage.h, args.h (parse.c), complete.h; with commands of our
 * own, and an answer of our own for the broker's */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/cli/args.h"
#include "plugin/cli/client.h"
#include "plugin/cli/complete.h"
#include "plugin/cli/usage.h"

/* ---- the table ---- */

static int run_here(const struct args *args, FILE *out, FILE *err)
{
	(void)args;
	(void)out;
	(void)err;
	return 0;
}

static const struct command commands[] = {
	{ .words = { "farm", "feed" },
	  .keys = { "who", "what" },
	  .usage = "Usage: vmq-admin farm feed who=<name> what=hay|oats\n"
		   "                           [how=<how>] [field=value...]\n\n"
		   "  Feeds; a=<b> and c|d=<e> are no arguments here.\n\n"
		   "Options\n\n"
		   "  --much\n"
		   "     Not --little.\n"
		   "  --water=<warm|cold>\n"
		   "     Default: cold.\n"
		   "  --salt.<kind>=<grams>\n"
		   "  --<any>=<thing>\n" EVERYWHERE,
	  .summary = "Feed an animal" },
	{ .words = { "farm", "barn", "list" },
	  .usage = "Usage: vmq-admin farm barn list\n" EVERYWHERE },
	{ .words = { "weigh" },
	  .operand = "<file>",
	  .run = run_here,
	  .usage = "Usage: vmq-admin weigh <file>\n\n"
		   "Options\n\n  --help\n",
	  .summary = "Weigh a file" },
	{ .words = { "farm", "barn", "shut" },
	  .usage = "Usage: vmq-admin farm barn shut endpoint=<url> "
		   "hook=<hook>\n" EVERYWHERE,
	  .summary = "Shut it" },
	{ .words = { "webhooks", "show" },
	  .usage = "Usage: vmq-admin webhooks show\n" EVERYWHERE,
	  .summary = "Show" },
};

static const struct command_group groups[] = {
	{ .summary = "Run a farm" },
	{ { "farm" }, "Manage the farm" },
	{ { "fishery" }, "Never seen" },
};

const struct command *args_commands(size_t *ret_count)
{
	*ret_count = sizeof(commands) / sizeof(commands[0]);
	return commands;
}

const struct command_group *args_groups(size_t *ret_count)
{
	*ret_count = sizeof(groups) / sizeof(groups[0]);
	return groups;
}

/* What the broker answers; NULL: there is none. */
static const char *broker;
static char asked[64]; /* the socket of the last request */

int client_ask(const struct args *args, struct answer *ret, FILE *err)
{
	assert_string_equal(args->command->words[1], "show");
	assert_in_range(args->patience_ms, 1, 2000);
	snprintf(asked, sizeof(asked), "%s", args->socket);
	if (!broker) {
		fputs("no broker\n", err);
		return -EIO;
	}
	*ret = (struct answer){ 200, strdup(broker), strlen(broker) };
	return 0;
}

/* ---- help ---- */

enum {
	WORDS_MAX = 16
};

/* Split at blanks, `_` standing for an empty word. Returns how many; the
 * words end with NULL. */
static int split(char *line, char *words[static WORDS_MAX])
{
	char *save = NULL;
	int n = 0;

	for (char *word = strtok_r(line, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		assert_true(n < WORDS_MAX - 1);
		if (strcmp(word, "_") == 0)
			*word = '\0';
		words[n++] = word;
	}
	words[n] = NULL;
	return n;
}

/* Of the last parse: its line, its complaint. */
static char line_buf[512], *line_words[WORDS_MAX], *said;

static int parse(const char *line, struct args *ret)
{
	size_t len;
	FILE *err;
	int n, result;

	free(said);
	said = NULL;
	snprintf(line_buf, sizeof(line_buf), "vmq-admin %s", line);
	n = split(line_buf, line_words);
	err = open_memstream(&said, &len);
	assert_non_null(err);
	result = args_parse(ret, n, line_words, err);
	fclose(err);
	return result;
}

static struct args parse_ok(const char *line)
{
	struct args args;

	if (parse(line, &args) != 0)
		fail_msg("%s: %s", line, said);
	assert_string_equal(said, "");
	return args;
}

static void refused(const char *line, const char *why, const char *usage)
{
	struct args args;
	size_t len = strlen(why);

	assert_int_equal(parse(line, &args), -EINVAL);
	if (strncmp(said, "vmq-admin: ", 11) != 0 ||
	    strncmp(said + 11, why, len) != 0 || said[11 + len] != '\n')
		fail_msg("%s: %s", line, said);
	if (!usage)
		assert_string_equal(said + 11 + len, "\n");
	else if (strncmp(said + 11 + len, "\n\nUsage: ", 9) != 0 ||
		 strncmp(said + 11 + len + 9, usage, strlen(usage)) != 0)
		fail_msg("%s: %s", line, said);
}

static char *usage_of(const char *line)
{
	char buf[128], *words[WORDS_MAX], *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	snprintf(buf, sizeof(buf), "%s", line);
	usage_print((const char *const *)words, (size_t)split(buf, words), to);
	fclose(to);
	return text;
}

static int tear_down(void **state)
{
	(void)state;
	free(said);
	said = NULL;
	broker = NULL;
	return 0;
}

/* ---- usage ---- */

static void expect_usage(const char *line, const char *want)
{
	char *text = usage_of(line);

	assert_string_equal(text, want);
	free(text);
}

static void groups_list_what_is_in_them(void **state)
{
	(void)state;
	expect_usage("", "Usage: vmq-admin <command>\n\n"
			 "  Run a farm.\n\n"
			 "  Commands:\n"
			 "    farm        Manage the farm\n"
			 "    weigh       Weigh a file\n"
			 "    webhooks\n\n"
			 "  Use --help after a command for more "
			 "details.\n" EVERYWHERE);
	expect_usage("farm", "Usage: vmq-admin farm <sub-command>\n\n"
			     "  Manage the farm.\n\n"
			     "  Sub-commands:\n"
			     "    feed        Feed an animal\n"
			     "    barn\n\n"
			     "  Use --help after a sub-command for more "
			     "details.\n" EVERYWHERE);
	/* neither a row for the group, nor a summary for one of the two */
	expect_usage("farm barn", "Usage: vmq-admin farm barn <sub-command>\n\n"
				  "  Sub-commands:\n"
				  "    list\n"
				  "    shut        Shut it\n\n"
				  "  Use --help after a sub-command for more "
				  "details.\n" EVERYWHERE);
}

static void the_nearest_usage_is_printed(void **state)
{
	char *top, *farm;

	(void)state;
	expect_usage("farm feed", commands[0].usage);
	expect_usage("farm feed more and more", commands[0].usage);
	expect_usage("weigh it", commands[2].usage);
	top = usage_of("");
	farm = usage_of("farm");
	expect_usage("fishery", top);
	expect_usage("farm fields", farm);
	free(top);
	free(farm);
}

static void arguments_are_read_in_the_text(void **state)
{
	static const struct {
		const char *name, *values;
		bool open;
	} want[] = {
		{ "who", "<name>", false },
		{ "what", "hay|oats", false },
		{ "how", "<how>", false },
		{ "--much", NULL, false },
		{ "--water", "<warm|cold>", false },
		{ "--salt.", "<grams>", true },
		{ "--", "<thing>", true },
		{ "--format", "human|json|csv", false },
		{ "--socket", "<path>", false },
		{ "--help", NULL, false },
	};
	struct usage_arg args[USAGE_ARGS_MAX];
	size_t n = usage_args(commands[0].usage, args);

	(void)state;
	assert_int_equal(n, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(args[i].name_len, strlen(want[i].name));
		assert_memory_equal(args[i].name, want[i].name,
				    args[i].name_len);
		assert_int_equal(args[i].open, want[i].open);
		assert_int_equal(!args[i].values, !want[i].values);
		if (!want[i].values)
			continue;
		assert_int_equal(args[i].values_len, strlen(want[i].values));
		assert_memory_equal(args[i].values, want[i].values,
				    args[i].values_len);
	}
}

static void arguments_have_a_bound(void **state)
{
	struct usage_arg args[USAGE_ARGS_MAX];
	char text[2 * USAGE_ARGS_MAX * 8 + 32] = "Usage:";
	size_t len = strlen(text);

	(void)state;
	for (int i = 0; i < USAGE_ARGS_MAX + 5; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					" a=<b>");
	assert_int_equal(usage_args(text, args), USAGE_ARGS_MAX);
	len = (size_t)snprintf(text, sizeof(text), "Usage:\n");
	for (int i = 0; i < USAGE_ARGS_MAX + 5; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"\n  --a");
	assert_int_equal(usage_args(text, args), USAGE_ARGS_MAX);
	assert_int_equal(usage_args("", args), 0);
}

static void some_options_stand_alone(void **state)
{
	(void)state;
	assert_true(usage_stands_alone("--much"));
	assert_true(usage_stands_alone("--help"));
	assert_false(usage_stands_alone("--little"));
	assert_false(usage_stands_alone("--water"));
	assert_false(usage_stands_alone("--format"));
	assert_false(usage_stands_alone("--salt."));
	assert_false(usage_stands_alone("--muc"));
	assert_false(usage_stands_alone("--"));
}

/* ---- lines ---- */

static void has_arg(const struct args *args, size_t i, const char *name,
		    const char *value)
{
	assert_true(i < args->count);
	assert_int_equal(args->list[i].name_len, strlen(name));
	assert_memory_equal(args->list[i].name, name, strlen(name));
	assert_int_equal(!args->list[i].value, !value);
	if (value)
		assert_string_equal(args->list[i].value, value);
}

static void lines_are_parsed_in_any_order(void **state)
{
	static const char *const lines[] = {
		"farm feed who=a=b what= --much --water cold",
		"--format=human farm who=a=b feed what= --much --water cold",
		"who=a=b what= --much farm --water cold feed --socket /s",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct args args = parse_ok(lines[i]);

		assert_ptr_equal(args.command, &commands[0]);
		assert_int_equal(args.count, 4);
		has_arg(&args, 0, "who", "a=b");
		has_arg(&args, 1, "what", "");
		has_arg(&args, 2, "--much", NULL);
		has_arg(&args, 3, "--water", "cold");
		assert_int_equal(args.format, FORMAT_HUMAN);
	}
}

static void formats_and_sockets_are_understood(void **state)
{
	struct args args;

	(void)state;
	setenv("VMQ_WEBHOOKS_SOCKET", "/env", 1);
	args = parse_ok("webhooks show --format=json");
	assert_int_equal(args.format, FORMAT_JSON);
	assert_string_equal(args.socket, "/env");
	args = parse_ok("webhooks show --format csv --socket=/a=b");
	assert_int_equal(args.format, FORMAT_CSV);
	assert_string_equal(args.socket, "/a=b");
	assert_int_equal(args.count, 0);
	setenv("VMQ_WEBHOOKS_SOCKET", "", 1);
	args = parse_ok("webhooks show");
	assert_string_equal(args.socket, USAGE_DEFAULT_SOCKET);
	unsetenv("VMQ_WEBHOOKS_SOCKET");
	args = parse_ok("webhooks show");
	assert_string_equal(args.socket, USAGE_DEFAULT_SOCKET);
	refused("webhooks show --format=xml",
		"--format is human, json or csv, not \"xml\"", NULL);
	refused("webhooks show --format", "--format needs a value", NULL);
	refused("webhooks show --socket=", "--socket needs a value", NULL);
}

static void what_is_no_command_is_refused(void **state)
{
	(void)state;
	refused("", "a command is missing", "vmq-admin <command>");
	refused("farm", "a sub-command is missing",
		"vmq-admin farm <sub-command>");
	refused("farm barn --much", "a sub-command is missing",
		"vmq-admin farm barn <sub-command>");
	refused("fishery", "unknown command \"fishery\"",
		"vmq-admin <command>");
	refused("farm fields far", "unknown sub-command \"farm fields\"",
		"vmq-admin farm <sub-command>");
	refused("farm barn list all", "farm barn list does not take \"all\"",
		"vmq-admin farm barn list\n");
	refused("a b c d e", "too many words: \"e\"", "vmq-admin <command>");
	refused("feed farm", "unknown command \"feed\"", "vmq-admin <command>");
}

static void arguments_are_bounded(void **state)
{
	static char words[ARGS_MAX + 2][8];
	static char *argv[ARGS_MAX + 5];
	char *text = NULL;
	struct args args;
	size_t len;
	FILE *err = open_memstream(&text, &len);
	int n = 0;

	(void)state;
	argv[n++] = words[ARGS_MAX + 1];
	argv[n++] = strdup("webhooks");
	argv[n++] = strdup("show");
	for (int i = 0; i <= ARGS_MAX; i++) {
		snprintf(words[i], sizeof(words[i]), "a%d=b", i);
		argv[n++] = words[i];
	}
	assert_int_equal(args_parse(&args, n - 1, argv, err), 0);
	assert_int_equal(args.count, ARGS_MAX);
	assert_int_equal(args_parse(&args, n, argv, err), -EINVAL);
	fclose(err);
	assert_string_equal(text, "vmq-admin: too many arguments\n");
	free(text);
	free(argv[1]);
	free(argv[2]);
}

static void what_it_needs_is_asked_for(void **state)
{
	(void)state;
	refused("farm feed what=x", "who=... is missing",
		"vmq-admin farm feed");
	refused("farm feed who=x --what=y", "what=... is missing",
		"vmq-admin farm feed");
	refused("farm feed who=x wha=y", "what=... is missing",
		"vmq-admin farm feed");
	parse_ok("farm feed what=x who=y");
}

static void a_word_may_be_the_commands_own(void **state)
{
	struct args args = parse_ok("weigh ./a=b");

	(void)state;
	assert_ptr_equal(args.command, &commands[2]);
	assert_string_equal(args.operand, "./a=b");
	assert_string_equal(parse_ok("weigh /a=b").operand, "/a=b");
	assert_string_equal(parse_ok("weigh weigh").operand, "weigh");
	assert_null(parse_ok("webhooks show").operand);
	refused("weigh", "<file> is missing", "vmq-admin weigh");
	refused("weigh a b", "weigh does not take \"b\"", "vmq-admin weigh");
	refused("weigh a b=c", "unknown argument \"b\"", "vmq-admin weigh");
	refused("webhooks show a", "webhooks show does not take \"a\"",
		"vmq-admin webhooks show");
}

static void help_is_given_whatever_else(void **state)
{
	static const char *const lines[] = {
		"--help farm feed",
		"farm -h feed",
		"farm feed --format=xml -h",
		"farm feed --help more --socket",
		"--much farm --water feed=x --help feed --socket s",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct args args = parse_ok(lines[i]);
		char *text = NULL;
		size_t len;
		FILE *to = open_memstream(&text, &len);

		assert_true(args.help);
		usage_print(args.words, args.words_count, to);
		fclose(to);
		assert_string_equal(text, commands[0].usage);
		free(text);
	}
	assert_false(parse_ok("webhooks show").help);
	assert_true(parse_ok("--help").help);
}

/* ---- completion ---- */

/* The last word of `line` is the one under the cursor. */
static void offers(const char *line, const char *want)
{
	char buf[256], *words[WORDS_MAX], *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	snprintf(buf, sizeof(buf), "%s", line);
	complete_print(split(buf, words), words, out);
	fclose(out);
	if (strcmp(text, want) != 0)
		fail_msg("%s: %s", line, text);
	free(text);
}

#define ALWAYS "--format=\n--socket=\n--help\n"

static void words_are_offered(void **state)
{
	(void)state;
	offers("", "farm\nweigh\nwebhooks\n");
	offers("_", "farm\nweigh\nwebhooks\n");
	offers("we", "weigh\nwebhooks\n");
	offers("farm _", "feed\nbarn\n");
	offers("farm --much barn s", "shut\n");
	offers("farm barn x", "");
	offers("fishery _", "");
	offers("a b c d e _", "");
	offers("-", ALWAYS);
	offers("farm --s", "--socket=\n");
}

static void arguments_are_offered(void **state)
{
	(void)state;
	offers("farm feed _", "who=\nwhat=\nhow=\n--much\n--water=\n"
			      "--salt.\n" ALWAYS);
	offers("farm feed w", "who=\nwhat=\n");
	offers("farm feed --s", "--salt.\n--socket=\n");
	offers("farm feed who=x --much --water cold how=y _",
	       "what=\n--salt.\n" ALWAYS);
	offers("farm barn list x", "");
}

static void values_are_offered(void **state)
{
	(void)state;
	offers("farm feed what=", "what=hay\nwhat=oats\n");
	offers("farm feed what=o", "what=oats\n");
	offers("farm feed --water=", "--water=warm\n--water=cold\n");
	offers("farm feed --water _", "warm\ncold\n");
	offers("farm feed --water c", "cold\n");
	offers("farm feed who=", "");
	offers("farm feed how=x", "");
	offers("farm feed where=", "");
	offers("--format=j", "--format=json\n");
	offers("--format _", "human\njson\ncsv\n");
	offers("--socket _", "");
	offers("farm barn shut hook=on_sub",
	       "hook=on_subscribe\nhook=on_subscribe_m5\n");
	/* after one that stands alone comes something new */
	offers("farm feed who=x what=y how=z --much --water=cold _",
	       "--salt.\n" ALWAYS);
}

static void files_are_left_to_the_shell(void **state)
{
	(void)state;
	offers("weigh _", "");
	offers("weigh a", "");
	offers("weigh ./", "");
	offers("weigh -", "--help\n");
	offers("weigh a _", "--help\n");
}

static void endpoints_are_the_brokers(void **state)
{
	(void)state;
	offers("farm barn shut endpoint=", "");
	broker = "{\"table\":[{\"endpoint\":\"http://b/x?y=z\"},"
		 "{\"endpoint\":\"http://***@c/\"},{\"hook\":\"d\"},"
		 "{\"endpoint\":\"http://a/\"},7,{\"endpoint\":1},"
		 "{\"endpoint\":\"http://b/x?y=z\"}],\"type\":\"table\"}";
	offers("farm barn shut --socket /s endpoint=",
	       "endpoint=http://b/x?y=z\nendpoint=http://a/\n");
	assert_string_equal(asked, "/s");
	offers("farm barn shut endpoint=http://b/x?y=",
	       "endpoint=http://b/x?y=z\n");
	offers("farm barn shut endpoint=ftp", "");
	broker = "{\"error\":\"no\"}";
	offers("farm barn shut endpoint=", "");
	broker = "nonsense";
	offers("farm barn shut endpoint=", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_list_what_is_in_them),
		cmocka_unit_test(the_nearest_usage_is_printed),
		cmocka_unit_test(arguments_are_read_in_the_text),
		cmocka_unit_test(arguments_have_a_bound),
		cmocka_unit_test(some_options_stand_alone),
		cmocka_unit_test(lines_are_parsed_in_any_order),
		cmocka_unit_test(formats_and_sockets_are_understood),
		cmocka_unit_test(what_is_no_command_is_refused),
		cmocka_unit_test(arguments_are_bounded),
		cmocka_unit_test(what_it_needs_is_asked_for),
		cmocka_unit_test(a_word_may_be_the_commands_own),
		cmocka_unit_test(help_is_given_whatever_else),
		cmocka_unit_test(words_are_offered),
		cmocka_unit_test(arguments_are_offered),
		cmocka_unit_test(values_are_offered),
		cmocka_unit_test(files_are_left_to_the_shell),
		cmocka_unit_test(endpoints_are_the_brokers),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
