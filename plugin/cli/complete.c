#include "plugin/cli/complete.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/cli/args.h"
#include "plugin/cli/client.h"
#include "plugin/cli/usage.h"

enum {
	PATIENCE_MS = 1000 /* with the broker: somebody has pressed a key */
};

/* Those of VerneMQ; a broker test compares them with the plugin's. */
static const char *const hooks[] = {
	"auth_on_publish",     "auth_on_publish_m5", "auth_on_register",
	"auth_on_register_m5", "auth_on_subscribe",  "auth_on_subscribe_m5",
	"on_auth_m5",          "on_client_gone",     "on_client_offline",
	"on_client_wakeup",    "on_deliver",         "on_deliver_m5",
	"on_offline_message",  "on_publish",         "on_publish_m5",
	"on_register",         "on_register_m5",     "on_session_expired",
	"on_subscribe",        "on_subscribe_m5",    "on_unsubscribe",
	"on_unsubscribe_m5",
};

/* A line to complete: what stands before, and the word under the cursor. */
struct line {
	struct args args;    /* of what stands before */
	const char *current; /* the word, or its value's beginning */
	const char *option;  /* `--option` before it, which wants a value */
	FILE *out;
};

static bool starts(const char *text, size_t len, const char *with)
{
	size_t n = strlen(with);

	return n <= len && memcmp(text, with, n) == 0;
}

/* ---- values ---- */

/* `name=` before a value: "" after an option and a blank. */
struct prefix {
	const char *text;
	size_t len;
};

static void offer(const struct line *line, struct prefix before,
		  const char *value, size_t len, const char *begun)
{
	if (starts(value, len, begun))
		fprintf(line->out, "%.*s%.*s\n", (int)before.len, before.text,
			(int)len, value);
}

static void offer_hooks(const struct line *line, struct prefix before,
			const char *begun)
{
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++)
		offer(line, before, hooks[i], strlen(hooks[i]), begun);
}

static const char *string_in(const cJSON *row, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, name);

	return cJSON_IsString(item) ? item->valuestring : "";
}

/* Whether a row before this one has the same endpoint. */
static bool seen(const cJSON *rows, const cJSON *row)
{
	const cJSON *other;

	cJSON_ArrayForEach (other, rows) {
		if (other == row)
			break;
		if (strcmp(string_in(other, "endpoint"),
			   string_in(row, "endpoint")) == 0)
			return true;
	}
	return false;
}

/* Where a password is left out the URL is not the one to give. */
static void offer_rows(const struct line *line, struct prefix before,
		       const cJSON *rows, const char *begun)
{
	const cJSON *row;

	cJSON_ArrayForEach (row, rows) {
		const char *endpoint = string_in(row, "endpoint");

		if (*endpoint && !strstr(endpoint, "***") && !seen(rows, row))
			offer(line, before, endpoint, strlen(endpoint), begun);
	}
}

static void offer_endpoints(const struct line *line, struct prefix before,
			    const char *begun)
{
	static const char *const words[] = { "webhooks", "show" };
	struct args show = { .command = args_command(words, 2),
			     .socket = line->args.socket,
			     .format = FORMAT_JSON,
			     .patience_ms = PATIENCE_MS };
	FILE *quiet = fopen("/dev/null", "w");
	struct answer answer;
	cJSON *json;

	if (quiet && client_ask(&show, &answer, quiet) == 0) {
		json = cJSON_Parse(answer.body ? answer.body : "");
		offer_rows(line, before,
			   cJSON_GetObjectItemCaseSensitive(json, "table"),
			   begun);
		cJSON_Delete(json);
		free(answer.body);
	}
	if (quiet)
		fclose(quiet);
}

/* "this|that", in angle brackets or without. */
static void offer_choices(const struct line *line, struct prefix before,
			  const char *values, size_t len, const char *begun)
{
	const char *end = values + len;

	if (len && *values == '<') {
		values++;
		end--;
	}
	while (values < end) {
		const char *bar = memchr(values, '|', (size_t)(end - values));
		const char *to = bar ? bar : end;

		offer(line, before, values, (size_t)(to - values), begun);
		values = to + 1;
	}
}

static void offer_values(const struct line *line, struct prefix before,
			 const struct usage_arg *arg, const char *begun)
{
	if (!arg->values)
		return;
	if (starts(arg->values, arg->values_len, "<hook>"))
		offer_hooks(line, before, begun);
	else if (starts(arg->values, arg->values_len, "<url>"))
		offer_endpoints(line, before, begun);
	else if (memchr(arg->values, '|', arg->values_len))
		offer_choices(line, before, arg->values, arg->values_len,
			      begun);
}

/* ---- words and arguments ---- */

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static bool given(const struct args *args, const struct usage_arg *arg)
{
	for (size_t i = 0; i < args->count; i++) {
		if (same(args->list[i].name, args->list[i].name_len, arg->name,
			 arg->name_len))
			return true;
	}
	return false;
}

/* The names of arguments that are not there yet. */
static void offer_args(const struct line *line, const struct usage_arg *args,
		       size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool nameless = args[i].open && args[i].name_len == 2;

		if (!nameless && !given(&line->args, &args[i]) &&
		    starts(args[i].name, args[i].name_len, line->current))
			fprintf(line->out, "%.*s%s\n", (int)args[i].name_len,
				args[i].name,
				args[i].values && !args[i].open ? "=" : "");
	}
}

/* Whether a word is due that could be anything. */
static bool wants_operand(const struct line *line)
{
	const struct command *command = line->args.command;

	return command && command->operand && !line->args.operand &&
	       *line->current != '-';
}

static void offer_words(const struct line *line)
{
	const char *word;
	size_t at = 0;

	while (usage_next_word(line->args.words, line->args.words_count, &at,
			       &word))
		offer(line, (struct prefix){ "", 0 }, word, strlen(word),
		      line->current);
}

/* The values of the argument called so. */
static void offer_values_of(const struct line *line,
			    const struct usage_arg *args, size_t n,
			    const char *name, size_t len, struct prefix before,
			    const char *begun)
{
	for (size_t i = 0; i < n; i++) {
		if (same(args[i].name, args[i].name_len, name, len)) {
			offer_values(line, before, &args[i], begun);
			return;
		}
	}
}

static void offer_what_fits(const struct line *line)
{
	const struct command *command = line->args.command;
	const char *current = line->current, *equals = strchr(current, '=');
	struct usage_arg args[USAGE_ARGS_MAX];
	size_t n = usage_args(command ? command->usage : EVERYWHERE, args);

	if (wants_operand(line) && !line->option)
		return;
	if (line->option)
		offer_values_of(line, args, n, line->option,
				strlen(line->option), (struct prefix){ "", 0 },
				current);
	else if (equals)
		offer_values_of(line, args, n, current,
				(size_t)(equals - current),
				(struct prefix){ current, (size_t)(equals + 1 -
								   current) },
				equals + 1);
	else if (command || *current == '-')
		offer_args(line, args, n);
	else
		offer_words(line);
}

void complete_print(int n, char *const *words, FILE *out)
{
	struct line line = { .current = n > 0 ? words[n - 1] : "", .out = out };

	args_scan(&line.args, n > 0 ? n - 1 : 0, words, &line.option);
	offer_what_fits(&line);
}
