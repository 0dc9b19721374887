#include "plugin/cli/table.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

const char *table_cell(const cJSON *item, char number[static TABLE_NUMBER_LEN])
{
	if (cJSON_IsString(item))
		return item->valuestring;
	if (cJSON_IsBool(item))
		return cJSON_IsTrue(item) ? "true" : "false";
	if (!cJSON_IsNumber(item))
		return "";
	snprintf(number, TABLE_NUMBER_LEN, "%.15g", item->valuedouble);
	return number;
}

/* How many columns these bytes take: one for each character, as nearly as
 * UTF-8 tells. */
static size_t text_width(const char *text, size_t len)
{
	size_t width = 0;

	for (size_t i = 0; i < len; i++)
		width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

/* A terminal gets no control characters from us. */
static void put_text(const char *text, size_t len, FILE *out)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
	}
}

static void pad(FILE *out, char with, size_t n)
{
	while (n--)
		fputc(with, out);
}

/* How many bytes of `text` go into a line: as many words as fit, and at least
 * one. */
static size_t line_len(const char *text, size_t width)
{
	size_t len = strcspn(text, " ");

	while (text[len]) {
		size_t more = len + 1 + strcspn(text + len + 1, " ");

		if (text_width(text, more) > width)
			break;
		len = more;
	}
	return len;
}

/* Of the widest line. */
static size_t wrapped_width(const char *text, size_t wrap)
{
	size_t width = 0, n;

	if (!wrap)
		return text_width(text, strlen(text));
	for (; *text; text += n) {
		n = line_len(text, wrap);
		if (text_width(text, n) > width)
			width = text_width(text, n);
		n += text[n] == ' ';
	}
	return width;
}

/* ---- the box ---- */

struct column {
	size_t index; /* among the members of a row */
	const char *name;
	size_t width;
	const char *rest; /* of a row's cell, to be printed */
	char number[TABLE_NUMBER_LEN];
};

struct table {
	const struct table_view *view;
	struct column *columns;
	size_t count;
};

static bool is_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (; list; list = strchr(list, ' ')) {
		list += strspn(list, " ");
		if (strncmp(list, name, len) == 0 &&
		    (!list[len] || list[len] == ' '))
			return true;
	}
	return false;
}

static void choose_columns(struct table *t, const cJSON *head)
{
	const cJSON *cell;
	size_t index = 0;

	cJSON_ArrayForEach (cell, head) {
		const char *name = cell->string ? cell->string : "";
		struct column *column = &t->columns[t->count];

		if (!t->view->columns || is_listed(t->view->columns, name)) {
			column->name = name;
			column->width = text_width(name, strlen(name));
			column->index = index;
			t->count++;
		}
		index++;
	}
}

static void take_row(struct table *t, const cJSON *row)
{
	for (size_t i = 0; i < t->count; i++) {
		struct column *column = &t->columns[i];

		column->rest =
			table_cell(cJSON_GetArrayItem(row, (int)column->index),
				   column->number);
	}
}

static void measure(struct table *t, const cJSON *row)
{
	take_row(t, row);
	for (size_t i = 0; i < t->count; i++) {
		struct column *column = &t->columns[i];
		size_t width = wrapped_width(column->rest, t->view->wrap);

		if (width > column->width)
			column->width = width;
	}
}

static void print_border(const struct table *t, FILE *out)
{
	for (size_t i = 0; i < t->count; i++) {
		fputc('+', out);
		pad(out, '-', t->columns[i].width + 2);
	}
	fputs("+\n", out);
}

static void print_head(const struct table *t, FILE *out)
{
	bool bold = t->view->bold;

	for (size_t i = 0; i < t->count; i++) {
		const struct column *column = &t->columns[i];
		size_t width = text_width(column->name, strlen(column->name));

		fprintf(out, "| %s%s%s", bold ? "\033[1m" : "", column->name,
			bold ? "\033[0m" : "");
		pad(out, ' ', column->width - width + 1);
	}
	fputs("|\n", out);
}

/* The next line of the row that was taken. Returns whether there are more. */
static bool print_line(struct table *t, FILE *out)
{
	bool more = false;

	for (size_t i = 0; i < t->count; i++) {
		struct column *column = &t->columns[i];
		size_t n = t->view->wrap ? line_len(column->rest, column->width)
					 : strlen(column->rest);

		fputs("| ", out);
		put_text(column->rest, n, out);
		pad(out, ' ', column->width - text_width(column->rest, n) + 1);
		column->rest += n;
		column->rest += *column->rest == ' ';
		more = more || *column->rest;
	}
	fputs("|\n", out);
	return more;
}

int table_print(const cJSON *rows, const struct table_view *view, FILE *out)
{
	struct table t = { .view = view };
	const cJSON *row;

	if (!rows->child)
		return 0;
	t.columns = calloc((size_t)cJSON_GetArraySize(rows->child) + 1,
			   sizeof(*t.columns));
	if (!t.columns)
		return -ENOMEM;
	choose_columns(&t, rows->child);
	cJSON_ArrayForEach (row, rows) {
		measure(&t, row);
	}
	print_border(&t, out);
	print_head(&t, out);
	print_border(&t, out);
	cJSON_ArrayForEach (row, rows) {
		take_row(&t, row);
		while (print_line(&t, out))
			;
		print_border(&t, out);
	}
	free(t.columns);
	return 0;
}

/* ---- paragraphs ---- */

static size_t widest_name(const cJSON *rows)
{
	const cJSON *row, *cell;
	size_t width = 0;

	cJSON_ArrayForEach (row, rows) {
		cJSON_ArrayForEach (cell, row) {
			size_t len = cell->string ? strlen(cell->string) : 0;

			width = len > width ? len : width;
		}
	}
	return width;
}

void table_print_records(const cJSON *rows, bool bold, FILE *out)
{
	size_t width = widest_name(rows);
	char number[TABLE_NUMBER_LEN];
	const cJSON *row, *cell;

	cJSON_ArrayForEach (row, rows) {
		if (row != rows->child)
			fputc('\n', out);
		cJSON_ArrayForEach (cell, row) {
			const char *text = table_cell(cell, number);
			const char *name = cell->string ? cell->string : "";

			if (!*text)
				continue;
			fprintf(out, "%s%s:%s", bold ? "\033[1m" : "", name,
				bold ? "\033[0m" : "");
			pad(out, ' ', width - strlen(name) + 1);
			put_text(text, strlen(text), out);
			fputc('\n', out);
		}
	}
}
