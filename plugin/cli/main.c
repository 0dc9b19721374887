/*
 * vmq-admin - VerneMQ's command-line tool, for the webhooks of a Mosquitto.
 *
 * A command line becomes a request on the broker's admin socket, its answer
 * a table. Everything is judged and done in the broker, but for what needs
 * none.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "plugin/cli/args.h"
#include "plugin/cli/client.h"
#include "plugin/cli/complete.h"
#include "plugin/cli/render.h"
#include "plugin/cli/usage.h"

int main(int argc, char **argv)
{
	struct answer answer;
	struct args args;
	int code;

	if (argc > 1 && strcmp(argv[1], COMPLETE_FLAG) == 0) {
		complete_print(argc - 2, argv + 2, stdout);
		return EXIT_SUCCESS;
	}
	if (args_parse(&args, argc, argv, stderr) != 0)
		return EXIT_FAILURE;
	if (args.help) {
		usage_print(args.words, args.words_count, stdout);
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (args.command->run)
		return args.command->run(&args, stdout, stderr);
	if (client_ask(&args, &answer, stderr) != 0)
		return EXIT_FAILURE;
	code = args.command->lines && args.format == FORMAT_HUMAN
		       ? render_lines(&answer, &args, stdout, stderr)
		       : render_answer(&answer, &args, isatty(STDOUT_FILENO),
				       stdout, stderr);
	free(answer.body);
	return code;
}
