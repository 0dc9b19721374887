#include "plugin/cli/render.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/cli/client.h"

/* ---- cells ---- */

enum {
	NUMBER_LEN = 32
};

/* What a cell says; of numbers, in `number`. */
static const char *cell_text(const cJSON *item, char number[static NUMBER_LEN])
{
	if (cJSON_IsString(item))
		return item->valuestring;
	if (cJSON_IsBool(item))
		return cJSON_IsTrue(item) ? "true" : "false";
	if (!cJSON_IsNumber(item))
		return "";
	snprintf(number, NUMBER_LEN, "%.15g", item->valuedouble);
	return number;
}

/* Prints `item` unless `out` is NULL; returns how many columns that takes:
 * one for each character, as nearly as UTF-8 tells. A terminal gets no
 * control characters from us. */
static size_t put_cell(const cJSON *item, FILE *out)
{
	char number[NUMBER_LEN];
	size_t width = 0;

	for (const char *at = cell_text(item, number); *at; at++) {
		unsigned char c = (unsigned char)*at;

		width += (c & 0xc0) != 0x80;
		if (out)
			fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
	}
	return width;
}

static size_t cell_width(const cJSON *item)
{
	return put_cell(item, NULL);
}

static void pad(FILE *out, char with, size_t n)
{
	while (n--)
		fputc(with, out);
}

/* ---- the table ---- */

struct table {
	const cJSON *rows;
	const cJSON *head; /* the first row: its members name columns */
	size_t columns;
	size_t *width;
};

static int measure(struct table *t, const cJSON *rows)
{
	const cJSON *row, *cell;
	size_t i;

	*t = (struct table){ .rows = rows, .head = rows->child };
	t->columns = (size_t)cJSON_GetArraySize(t->head);
	t->width = calloc(t->columns + 1, sizeof(*t->width));
	if (!t->width)
		return -1;
	i = 0;
	cJSON_ArrayForEach (cell, t->head) {
		t->width[i++] = strlen(cell->string ? cell->string : "");
	}
	cJSON_ArrayForEach (row, rows) {
		i = 0;
		cJSON_ArrayForEach (cell, row) {
			if (i < t->columns && cell_width(cell) > t->width[i])
				t->width[i] = cell_width(cell);
			i++;
		}
	}
	return 0;
}

static void print_border(const struct table *t, FILE *out)
{
	for (size_t i = 0; i < t->columns; i++) {
		fputc('+', out);
		pad(out, '-', t->width[i] + 2);
	}
	fputs("+\n", out);
}

static void print_head(const struct table *t, bool bold, FILE *out)
{
	const cJSON *cell;
	size_t i = 0;

	cJSON_ArrayForEach (cell, t->head) {
		const char *name = cell->string ? cell->string : "";

		fprintf(out, "| %s%s%s", bold ? "\033[1m" : "", name,
			bold ? "\033[0m" : "");
		pad(out, ' ', t->width[i++] - strlen(name) + 1);
	}
	fputs("|\n", out);
}

static void print_row(const struct table *t, const cJSON *row, FILE *out)
{
	const cJSON *cell = row->child;

	for (size_t i = 0; i < t->columns; i++) {
		fputs("| ", out);
		pad(out, ' ', t->width[i] - put_cell(cell, out) + 1);
		cell = cell ? cell->next : NULL;
	}
	fputs("|\n", out);
}

static int print_table(const cJSON *rows, bool bold, FILE *out, FILE *err)
{
	struct table t;
	const cJSON *row;

	if (!rows->child)
		return EXIT_SUCCESS;
	if (measure(&t, rows) != 0) {
		fputs("vmq-admin: out of memory\n", err);
		return EXIT_FAILURE;
	}
	print_border(&t, out);
	print_head(&t, bold, out);
	print_border(&t, out);
	cJSON_ArrayForEach (row, rows) {
		print_row(&t, row, out);
		print_border(&t, out);
	}
	free(t.width);
	return EXIT_SUCCESS;
}

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
	char number[NUMBER_LEN];

	if (!rows->child)
		return EXIT_SUCCESS;
	cJSON_ArrayForEach (cell, rows->child) {
		put_value(cell->string ? cell->string : "",
			  cell == rows->child->child, out);
	}
	fputs("\r\n", out);
	cJSON_ArrayForEach (row, rows) {
		cJSON_ArrayForEach (cell, row) {
			put_value(cell_text(cell, number), cell == row->child,
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

static int render_table(const cJSON *rows, enum format format, bool bold,
			FILE *out, FILE *err)
{
	if (format == FORMAT_JSON)
		return EXIT_SUCCESS; /* printed as it came */
	if (format == FORMAT_CSV)
		return print_csv(rows, out);
	return print_table(rows, bold, out, err);
}

static int render(const cJSON *json, long status, enum format format, bool bold,
		  FILE *out, FILE *err)
{
	const char *type = text_of(json, "type");
	const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "table");
	const char *text = text_of(json, "text");

	if (status != 200 || !type)
		return say_failure(json, status, err);
	if (strcmp(type, "table") == 0 && cJSON_IsArray(rows))
		return render_table(rows, format, bold, out, err);
	if (strcmp(type, "text") == 0 && text) {
		if (format == FORMAT_HUMAN)
			fprintf(out, "%s\n", text);
		return EXIT_SUCCESS;
	}
	return say_failure(json, status, err);
}

int render_answer(const struct answer *answer, enum format format, bool bold,
		  FILE *out, FILE *err)
{
	cJSON *json = cJSON_Parse(answer->body ? answer->body : "");
	int code;

	if (format == FORMAT_JSON && json && answer->status == 200)
		fputs(answer->body, out);
	code = render(json, answer->status, format, bold, out, err);
	cJSON_Delete(json);
	if ((fflush(out) != 0 || ferror(out)) && !code) {
		fputs("vmq-admin: cannot write the result\n", err);
		code = EXIT_FAILURE;
	}
	return code;
}
