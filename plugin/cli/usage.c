#include "plugin/cli/usage.h"

#include <string.h>
#include "plugin/cli/args.h"

enum {
	COLUMN = 11 /* of sub-commands, if they are no longer than that */
};

/* ---- the tree of commands ---- */

/* Whether these words are the first of the command's. */
static bool begins(const char *const *words, size_t n,
		   const struct command *command)
{
	for (size_t i = 0; i < n; i++) {
		if (!command->words[i] ||
		    strcmp(command->words[i], words[i]) != 0)
			return false;
	}
	return true;
}

size_t usage_known(const char *const *words, size_t n)
{
	size_t count, known = 0;
	const struct command *commands = args_commands(&count);

	for (size_t i = 0; i < count; i++) {
		while (known < n && begins(words, known + 1, &commands[i]))
			known++;
	}
	return known;
}

static const struct command_group *find_group(const char *const *words,
					      size_t n)
{
	size_t count;
	const struct command_group *groups = args_groups(&count);

	for (size_t i = 0; i < count; i++) {
		size_t k = 0;

		while (groups[i].words[k] && k < n &&
		       strcmp(groups[i].words[k], words[k]) == 0)
			k++;
		if (!groups[i].words[k] && k == n)
			return &groups[i];
	}
	return NULL;
}

/* Whether the next word after the first `n` was there in a row before. */
static bool listed(const struct command *commands, size_t i, size_t n)
{
	for (size_t k = 0; k < i; k++) {
		if (begins(commands[i].words, n + 1, &commands[k]))
			return true;
	}
	return false;
}

bool usage_next_word(const char *const *words, size_t n, size_t *at,
		     const char **ret)
{
	size_t count;
	const struct command *commands = args_commands(&count);

	for (; *at < count; (*at)++) {
		const struct command *command = &commands[*at];

		if (n < ARGS_WORDS && begins(words, n, command) &&
		    command->words[n] && !listed(commands, *at, n)) {
			*ret = command->words[n];
			(*at)++;
			return true;
		}
	}
	return false;
}

/* ---- for people ---- */

static const char *summary_of(const char *const *words, size_t n)
{
	const struct command *command = args_command(words, n);
	const struct command_group *group = find_group(words, n);

	if (command)
		return command->summary;
	return group ? group->summary : NULL;
}

static void list_words(const char *const *words, size_t n, FILE *to)
{
	const char *line[ARGS_WORDS + 1], *summary;
	size_t at = 0;

	memcpy(line, words, n * sizeof(*line));
	while (usage_next_word(words, n, &at, &line[n])) {
		summary = summary_of(line, n + 1);
		fprintf(to, "    %-*s%s%s\n", summary ? COLUMN : 0, line[n],
			summary ? " " : "", summary ? summary : "");
	}
}

static void print_group(const char *const *words, size_t n, FILE *to)
{
	const char *summary = summary_of(words, n);

	fputs("Usage: vmq-admin ", to);
	for (size_t i = 0; i < n; i++)
		fprintf(to, "%s ", words[i]);
	fprintf(to, "<%scommand>\n\n", n ? "sub-" : "");
	if (summary)
		fprintf(to, "  %s.\n\n", summary);
	fputs(n ? "  Sub-commands:\n" : "  Commands:\n", to);
	list_words(words, n, to);
	fprintf(to, "\n  Use --help after a %scommand for more details.\n%s",
		n ? "sub-" : "", EVERYWHERE);
}

void usage_print(const char *const *words, size_t n, FILE *to)
{
	size_t known = usage_known(words, n);
	const struct command *command = args_command(words, known);

	if (command)
		fputs(command->usage, to);
	else
		print_group(words, known, to);
}

/* ---- for programs ---- */

/* Of `len` bytes that are an argument in a text. False: they are none. */
static bool read_arg(const char *text, size_t len, struct usage_arg *ret)
{
	const char *equals, *open;

	while (len && *text == '[') {
		text++;
		len--;
	}
	while (len && text[len - 1] == ']')
		len--;
	*ret = (struct usage_arg){ .name = text, .name_len = len };
	equals = memchr(text, '=', len);
	if (equals) {
		ret->name_len = (size_t)(equals - text);
		ret->values = equals + 1;
		ret->values_len = len - ret->name_len - 1;
	}
	open = memchr(text, '<', ret->name_len);
	if (open) {
		ret->open = true;
		ret->name_len = (size_t)(open - text);
	}
	return strncmp(text, "--", 2) == 0 ||
	       (equals && (*ret->values == '<' ||
			   memchr(ret->values, '|', ret->values_len)));
}

/* Arguments of the first paragraph, options being told of below. */
static size_t head_args(const char **text, struct usage_arg *ret, size_t max)
{
	const char *end = strstr(*text, "\n\n");
	size_t n = 0;

	end = end ? end + 1 : *text + strlen(*text);
	while (*text < end && n < max) {
		size_t len = strcspn(*text, " \n");

		if (read_arg(*text, len, &ret[n]) && *ret[n].name != '-')
			n++;
		*text += len + (*text < end);
	}
	*text = end;
	return n;
}

size_t usage_args(const char *text, struct usage_arg ret[static USAGE_ARGS_MAX])
{
	size_t n = head_args(&text, ret, USAGE_ARGS_MAX);

	while ((text = strstr(text, "\n  --")) && n < USAGE_ARGS_MAX) {
		text += 3;
		n += read_arg(text, strcspn(text, " ,\n"), &ret[n]);
	}
	return n;
}

static bool tells_alone(const char *text, const char *name)
{
	struct usage_arg args[USAGE_ARGS_MAX];
	size_t n = usage_args(text, args);

	for (size_t i = 0; i < n; i++) {
		if (!args[i].values && !args[i].open &&
		    args[i].name_len == strlen(name) &&
		    memcmp(args[i].name, name, args[i].name_len) == 0)
			return true;
	}
	return false;
}

bool usage_stands_alone(const char *name)
{
	size_t count;
	const struct command *commands = args_commands(&count);

	for (size_t i = 0; i < count; i++) {
		if (tells_alone(commands[i].usage, name))
			return true;
	}
	return tells_alone(EVERYWHERE, name);
}
