/*
 * vmq-admin - VerneMQ's command-line tool, for the webhooks of a Mosquitto.
 *
 * A command line becomes a request on the broker's admin socket, its answer
 * a table. Everything is judged and done in the broker, but for what needs
 * none.
 */
#include <stdlib.h>
#include <unistd.h>
#include "plugin/cli/args.h"
#include "plugin/cli/client.h"
#include "plugin/cli/render.h"

int main(int argc, char **argv)
{
	struct answer answer;
	struct args args;
	int code;

	if (args_parse(&args, argc, argv, stderr) != 0)
		return EXIT_FAILURE;
	if (args.help) {
		fputs(args.help, stdout);
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (args.command->run)
		return args.command->run(&args, stdout, stderr);
	if (client_ask(&args, &answer, stderr) != 0)
		return EXIT_FAILURE;
	code = render_answer(&answer, args.format == FORMAT_JSON,
			     isatty(STDOUT_FILENO), stdout, stderr);
	free(answer.body);
	return code;
}
