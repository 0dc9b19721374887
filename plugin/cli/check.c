#include "plugin/cli/check.h"

#include <stdlib.h>
#include "plugin/cli/args.h"
#include "plugin/settings/settings.h"

static size_t count_hooks(const struct settings *s)
{
	size_t n = 0;

	for (int h = 0; h < HOOK_COUNT; h++)
		n += s->chained[h] > 0;
	return n;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

int check_file(const struct args *args, FILE *out, FILE *err)
{
	struct settings_opt opt = { "config_file", args->operand };
	struct conf_error error;
	struct settings *s;
	size_t hooks;

	if (settings_load(&opt, 1, &s, &error) != 0) {
		fprintf(err, "%s\n", error.text);
		return EXIT_FAILURE;
	}
	hooks = count_hooks(s);
	fprintf(out, "%s: %zu webhook%s on %zu hook%s%s\n", args->operand,
		s->webhooks, plural(s->webhooks), hooks, plural(hooks),
		s->enabled ? "" : "; plugins.vmq_webhooks is off");
	if (!s->webhooks)
		fprintf(err,
			"vmq-admin: %s has no webhook: is it the file that "
			"plugin_opt_config_file names?\n",
			args->operand);
	settings_unref(s);
	if (fflush(out) == 0)
		return EXIT_SUCCESS;
	fputs("vmq-admin: cannot write the result\n", err);
	return EXIT_FAILURE;
}
