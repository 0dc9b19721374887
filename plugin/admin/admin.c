#include "plugin/admin/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/commands_private.h"
#include "plugin/admin/guard.h"
#include "plugin/admin/http.h"
#include "plugin/admin/pages.h"
#include "plugin/admin/request.h"
#include "plugin/admin/socket.h"
#include "plugin/hook/hook.h"
#include "pool/errands.h"
#include "pool/mailbox.h"
#include "pool/pool.h"

enum {
	CHANGES_MAX = 64, /* that wait for one another */
};

struct admin {
	struct admin_socket socket;
	struct admin_commands commands;
	struct admin_guard guard;
};

static bool on_knock(const struct admin_peer *peer, struct admin_reply *ret,
		     void *arg)
{
	struct admin *admin = arg;

	return admin_guard_admit(&admin->guard, peer, ret);
}

static void on_request(struct admin_http *http, uint64_t ticket, char *uri,
		       const struct admin_peer *peer, void *arg)
{
	struct admin *admin = arg;
	char why[ADMIN_ERROR_LEN];
	struct admin_request req;
	struct admin_reply reply;
	int err;

	if (admin_page(admin->commands.hooks, uri, &reply)) {
		admin_http_answer(http, ticket, &reply);
		return;
	}
	err = admin_request_parse(uri, &req, why);
	if (!err) {
		admin_command_run(&admin->commands, &req, peer, ticket);
		return;
	}
	reply = admin_reply_error(err == -ENOENT ? 404 : 400, "%s", why);
	admin_http_answer(http, ticket, &reply);
}

int admin_create(struct admin **ret, struct hooks *hooks, const char *path,
		 char *reterr, size_t reterr_len)
{
	struct admin *admin = calloc(1, sizeof(*admin));
	int err = admin ? 0 : -ENOMEM;

	if (!err) {
		admin->socket.fd = -1;
		admin->commands.hooks = hooks;
		admin_guard_init(&admin->guard, hooks);
		err = errands_create(&admin->commands.errands, CHANGES_MAX);
	}
	if (!err) {
		err = admin_socket_open(&admin->socket, path, reterr,
					reterr_len);
		if (err)
			goto out;
		err = admin_http_create(&admin->commands.http,
					pool_loop(hooks_pool(hooks)),
					admin->socket.fd, on_request, admin);
	}
	if (!err)
		admin_http_set_guard(admin->commands.http, on_knock);
	if (err)
		snprintf(reterr, reterr_len,
			 "cannot answer on the admin socket %s: %s", path,
			 strerror(-err));
out:
	if (err)
		admin_destroy(admin);
	else
		*ret = admin;
	return err;
}

void admin_save_to(struct admin *admin, struct saved *saved)
{
	admin->commands.saved = saved;
}

struct save_mail {
	struct mail mail; /* first */
	struct admin_commands *commands;
};

static void save_now(struct mail *self)
{
	struct save_mail *mail = (struct save_mail *)self;

	commands_save(mail->commands);
	free(mail);
}

void admin_save(struct admin *admin)
{
	struct save_mail *mail = calloc(1, sizeof(*mail));

	if (!mail)
		return;
	mail->mail.receive = save_now;
	mail->commands = &admin->commands;
	/* past the capacity, which is for requests */
	if (mailbox_reply(errands_box(admin->commands.errands), &mail->mail))
		free(mail);
}

void admin_destroy(struct admin *admin)
{
	if (!admin)
		return;
	errands_destroy(admin->commands.errands);
	admin_http_destroy(admin->commands.http);
	admin_guard_clear(&admin->guard);
	if (admin->socket.fd >= 0)
		admin_socket_close(&admin->socket);
	free(admin);
}
