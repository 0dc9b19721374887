#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdlib.h>
#include "plugin/cli/client.h"
#include "plugin/cli/render.h"

/* False: it is not such a row. */
static bool print_line(const cJSON *row, FILE *out)
{
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(row, "type");
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(row, "name");
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, "value");

	if (!cJSON_IsString(type) || !cJSON_IsString(name) ||
	    !cJSON_IsNumber(value))
		return false;
	fprintf(out, "%s.%s = %.15g\n", type->valuestring, name->valuestring,
		value->valuedouble);
	return true;
}

int render_lines(const struct answer *answer, const struct args *args,
		 FILE *out, FILE *err)
{
	cJSON *json = cJSON_Parse(answer->body ? answer->body : "");
	const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "table");
	bool ok = answer->status == 200 && cJSON_IsArray(rows);
	const cJSON *row;

	if (ok)
		cJSON_ArrayForEach (row, rows) {
			ok = ok && print_line(row, out);
		}
	cJSON_Delete(json);
	if (!ok)
		return render_answer(answer, args, false, out, err);
	if (fflush(out) != 0 || ferror(out)) {
		fputs("vmq-admin: cannot write the result\n", err);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
