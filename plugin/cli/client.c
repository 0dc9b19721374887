#include "plugin/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include "plugin/cli/args.h"

enum {
	TIMEOUT_S = 10,
	ANSWER_MAX = 64 * 1024 * 1024,
};

/* ---- the address ---- */

static int add_escaped(FILE *to, CURL *curl, const char *text, size_t len)
{
	char *escaped;

	if (!len)
		return 0; /* curl takes 0 for strlen() */
	escaped = curl_easy_escape(curl, text, (int)len);
	if (!escaped)
		return -ENOMEM;
	fputs(escaped, to);
	curl_free(escaped);
	return 0;
}

static int write_url(FILE *to, CURL *curl, const struct args *args)
{
	char mark = '?';

	/* the host is not looked up: the socket is given */
	fputs("http://localhost/api/v1", to);
	for (size_t i = 0; args->command->words[i]; i++)
		fprintf(to, "/%s", args->command->words[i]);
	for (size_t i = 0; i < args->count; i++, mark = '&') {
		const char *value = args->list[i].value;

		fputc(mark, to);
		if (add_escaped(to, curl, args->list[i].name,
				args->list[i].name_len) != 0)
			return -ENOMEM;
		if (!value)
			continue;
		fputc('=', to);
		if (add_escaped(to, curl, value, strlen(value)) != 0)
			return -ENOMEM;
	}
	if (args->command->details && args->format == FORMAT_HUMAN &&
	    !args_given(args, "--origin"))
		fprintf(to, "%c--origin", mark);
	return 0;
}

/* Returns a string to free(), or NULL. */
static char *make_url(CURL *curl, const struct args *args)
{
	char *url = NULL;
	size_t len;
	FILE *to = open_memstream(&url, &len);
	int err;

	if (!to)
		return NULL;
	err = write_url(to, curl, args);
	if (fclose(to) != 0 || err) {
		free(url);
		return NULL;
	}
	return url;
}

/* ---- the answer ---- */

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
	struct answer *answer = arg;
	char *grown;

	(void)size;
	if (n > ANSWER_MAX - answer->len)
		return 0;
	grown = realloc(answer->body, answer->len + n + 1);
	if (!grown)
		return 0;
	memcpy(grown + answer->len, data, n);
	answer->body = grown;
	answer->len += n;
	answer->body[answer->len] = '\0';
	return n;
}

static void explain(FILE *err, CURLcode code, long os_error, const char *socket)
{
	if (code == CURLE_OPERATION_TIMEDOUT)
		fprintf(err,
			"vmq-admin: no answer on %s within %d s: the broker "
			"is held up, or what listens there is no broker\n",
			socket, TIMEOUT_S);
	else if (code == CURLE_COULDNT_CONNECT && os_error == ENOENT)
		fprintf(err,
			"vmq-admin: there is no socket %s: is the broker "
			"running, with the plugin loaded and this as its "
			"vmq_webhooks.admin_socket? Another path is given "
			"with --socket or VMQ_WEBHOOKS_SOCKET\n",
			socket);
	else if (code == CURLE_COULDNT_CONNECT &&
		 (os_error == EACCES || os_error == EPERM))
		fprintf(err,
			"vmq-admin: no permission to use %s: it is for the "
			"user and the group that the broker runs as, and for "
			"root\n",
			socket);
	else if (code == CURLE_COULDNT_CONNECT && os_error == ECONNREFUSED)
		fprintf(err,
			"vmq-admin: nobody listens on %s: it is no socket, or "
			"the broker that made it is gone\n",
			socket);
	else
		fprintf(err, "vmq-admin: %s: %s%s%s\n", socket,
			curl_easy_strerror(code), os_error ? ": " : "",
			os_error ? strerror((int)os_error) : "");
}

static CURLcode perform(CURL *curl, const char *url, const struct args *args,
			struct answer *answer)
{
	CURLcode code =
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, args->socket);

	/* NOPROXY matters: http_proxy would win over the socket. */
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
			 args->patience_ms ? args->patience_ms
					   : TIMEOUT_S * 1000L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (args->command->changes)
		curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, "");
	if (!code)
		code = curl_easy_perform(curl);
	return code;
}

int client_ask(const struct args *args, struct answer *ret, FILE *err)
{
	struct answer answer = { 0 };
	CURL *curl;
	char *url;
	long os_error = 0;
	CURLcode code;
	int result = -EIO;

	if (strlen(args->socket) >=
	    sizeof(((struct sockaddr_un *)0)->sun_path)) {
		fprintf(err, "vmq-admin: no socket has a name this long: %s\n",
			args->socket);
		return -EIO;
	}
	curl = curl_easy_init();
	url = curl ? make_url(curl, args) : NULL;
	if (!url) {
		fputs("vmq-admin: out of memory\n", err);
		result = -ENOMEM;
		goto out;
	}
	code = perform(curl, url, args, &answer);
	if (code != CURLE_OK) {
		curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
		explain(err, code, os_error, args->socket);
		goto out;
	}
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
	result = 0;
out:
	free(url);
	curl_easy_cleanup(curl);
	if (result)
		free(answer.body);
	else
		*ret = answer;
	return result;
}
