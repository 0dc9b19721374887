#include "plugin/cli/render.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/cli/client.h"
#include "plugin/cli/table.h"

enum {
	WRAP = 40 /* columns of a table with texts in it */
};

/* ---- comma-separated values ---- */

static void put_value(const char *text, bool first, FILE *out)
{
	bool quoted = strpbrk(text, ",\"\r\n") != NULL;

	if (!first)
		fputc(',', out);
	if (quoted)
		fputc('"', out);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	if (quoted)
		fputc('"', out);
}

static int print_csv(const cJSON *rows, FILE *out)
{
	const cJSON *row, *cell;
	char number[TABLE_NUMBER_LEN];

	if (!rows->child)
		return EXIT_SUCCESS;
	cJSON_ArrayForEach (cell, rows->child) {
		put_value(cell->string ? cell->string : "",
			  cell == rows->child->child, out);
	}
	fputs("\r\n", out);
	cJSON_ArrayForEach (row, rows) {
		cJSON_ArrayForEach (cell, row) {
			put_value(table_cell(cell, number), cell == row->child,
				  out);
		}
		fputs("\r\n", out);
	}
	return EXIT_SUCCESS;
}

/* ---- answers ---- */

static const char *text_of(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* The alert's text; or the error's; or that there is none. */
static int say_failure(const cJSON *json, long status, FILE *err)
{
	const cJSON *alert = cJSON_GetObjectItemCaseSensitive(json, "alert");
	const char *text = text_of(json, "error");

	if (!text && cJSON_IsArray(alert))
		text = text_of(alert->child, "text");
	if (text)
		fprintf(err, "vmq-admin: %s\n", text);
	else
		fprintf(err,
			"vmq-admin: the broker's answer is not understood "
			"(status %ld)\n",
			status);
	return EXIT_FAILURE;
}

static int render_table(const cJSON *rows, const struct args *args, bool bold,
			FILE *out, FILE *err)
{
	const struct command *command = args->command;
	const struct table_view view = {
		.bold = bold,
		.columns = command->columns,
		.wrap = command->columns ? WRAP : 0,
	};

	if (args->format == FORMAT_JSON)
		return EXIT_SUCCESS; /* printed as it came */
	if (args->format == FORMAT_CSV)
		return print_csv(rows, out);
	if (command->records ||
	    (command->columns && args_given(args, "--all"))) {
		table_print_records(rows, bold, out);
		return EXIT_SUCCESS;
	}
	if (table_print(rows, &view, out) == 0)
		return EXIT_SUCCESS;
	fputs("vmq-admin: out of memory\n", err);
	return EXIT_FAILURE;
}

static int render(const cJSON *json, long status, const struct args *args,
		  bool bold, FILE *out, FILE *err)
{
	const char *type = text_of(json, "type");
	const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "table");
	const char *text = text_of(json, "text");

	if (status != 200 || !type)
		return say_failure(json, status, err);
	if (strcmp(type, "table") == 0 && cJSON_IsArray(rows))
		return render_table(rows, args, bold, out, err);
	if (strcmp(type, "text") == 0 && text) {
		if (args->format == FORMAT_HUMAN)
			fprintf(out, "%s\n", text);
		return EXIT_SUCCESS;
	}
	return say_failure(json, status, err);
}

int render_answer(const struct answer *answer, const struct args *args,
		  bool bold, FILE *out, FILE *err)
{
	cJSON *json = cJSON_Parse(answer->body ? answer->body : "");
	int code;

	if (args->format == FORMAT_JSON && json && answer->status == 200)
		fputs(answer->body, out);
	code = render(json, answer->status, args, bold, out, err);
	cJSON_Delete(json);
	if ((fflush(out) != 0 || ferror(out)) && !code) {
		fputs("vmq-admin: cannot write the result\n", err);
		code = EXIT_FAILURE;
	}
	return code;
}
