/*
 * table.h - rows of a table for people: as a box, or one below the other.
 *
 * A row is a JSON object; the members of the first name the columns.
 */
#ifndef PLUGIN_CLI_TABLE_H
#define PLUGIN_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct cJSON;

enum {
	TABLE_NUMBER_LEN = 32
};

/* What a cell says; of numbers, in `number`. */
const char *table_cell(const struct cJSON *item,
		       char number[static TABLE_NUMBER_LEN]);

/* What people get to see of a table. All zeroes: everything, in one line a
 * row. */
struct table_view {
	bool bold;           /* headings, by escape codes */
	const char *columns; /* of these names alone, with blanks between */
	size_t wrap;         /* columns wider than that are cut between words
			      * into lines, if they can be */
};

/* Print it as a box, a table without rows as nothing. Returns 0 or -ENOMEM. */
int table_print(const struct cJSON *rows, const struct table_view *view,
		FILE *out);

/* Print each row as a paragraph of `name: value`, less what is empty. */
void table_print_records(const struct cJSON *rows, bool bold, FILE *out);

#endif /* PLUGIN_CLI_TABLE_H */
