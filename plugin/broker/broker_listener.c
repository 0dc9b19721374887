/*
 * broker_listener.c - what the host tells of the listener that a client came
 * by, and of its certificate, for webhooks with forward_connection_opts.
 *
 * The certificate is an object of the broker's own OpenSSL, so only that can
 * encode and free it: its functions are looked up, never linked. Linked, ours
 * might be another one, as libcurl's may be.
 */
#include "plugin/broker/broker_private.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

/* ---- the broker's OpenSSL ---- */

/* Which of two addresses is in the object that was loaded first. */
struct order {
	const void *theirs, *ours;
	bool theirs_first;
};

static bool holds(const struct dl_phdr_info *info, const void *address)
{
	uintptr_t at = (uintptr_t)address;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_LOAD && at >= from &&
		    at - from < ph->p_memsz)
			return true;
	}
	return false;
}

static int meet(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct order *order = arg;

	(void)size;
	order->theirs_first = holds(info, order->theirs);
	return order->theirs_first || holds(info, order->ours);
}

/* Objects are listed as they were loaded. What was there before us is the
 * broker's; what came with us is libcurl's. */
static bool is_brokers(const void *function)
{
	/* in our own object, wherever in it */
	static const char ours;
	struct order order = { function, &ours, false };

	dl_iterate_phdr(meet, &order);
	return order.theirs_first;
}

static bool find_functions(struct host_x509 *ret)
{
	void *encode = dlsym(RTLD_DEFAULT, "i2d_X509");
	void *release = dlsym(RTLD_DEFAULT, "X509_free");

	if (!encode || !release || !is_brokers(encode) || !is_brokers(release))
		return false;
	memcpy(&ret->encode, &encode, sizeof(encode));
	memcpy(&ret->free, &release, sizeof(release));
	return true;
}

/* False: whatever certificate the broker would hand out, nobody could give it
 * back. */
static bool has_functions(struct plugin *p)
{
	if (p->x509.encode)
		return true;
	if (!p->x509.missed)
		p->x509.missed = !find_functions(&p->x509);
	return !p->x509.missed;
}

static void say_it_is_null(struct plugin *p)
{
	if (p->x509.said)
		return;
	p->x509.said = true;
	broker_log(p, LOG_LEVEL_WARN,
		   "client_cert is sent as null: the functions of this "
		   "broker's OpenSSL are not to be found");
}

/* ---- the certificate ---- */

static void encode_certificate(struct plugin *p, const void *x509,
			       struct listener_told *ret)
{
	int len = p->x509.encode(x509, NULL);
	unsigned char *at;

	if (len > 0)
		ret->certificate = malloc((size_t)len);
	if (!ret->certificate)
		return;
	at = ret->certificate;
	p->x509.encode(x509, &at);
	ret->info.client_cert = (struct bytes){ ret->certificate, (size_t)len };
}

static void ask_certificate(struct plugin *p, const struct mosquitto *client,
			    struct listener_told *ret)
{
	bool websockets = mosquitto_client_protocol(client) == mp_websockets;
	void *x509;

	if (!has_functions(p)) {
		say_it_is_null(p);
		ret->info.cert_unknown = true;
		return;
	}
	x509 = mosquitto_client_certificate(client);
	if (!x509)
		return;
	/* Whoever has shown one came by TLS. Of others nobody knows. */
	ret->info.type = bytes_of(websockets ? "mqttwss" : "mqtts");
	ret->info.cert_unknown = true;
	encode_certificate(p, x509, ret);
	p->x509.free(x509);
}

bool listener_sees_certificate(struct plugin *p, const struct mosquitto *client)
{
	void *x509 =
		has_functions(p) ? mosquitto_client_certificate(client) : NULL;

	if (x509)
		p->x509.free(x509);
	return x509 != NULL;
}

/* ---- the listener ---- */

static void ask_address(const struct mosquitto *client,
			struct listener_told *ret)
{
	const char *address = mosquitto_client_address(client);
	bool unix_socket = address && *address == '/';

	ret->info.port = -1;
	if (mosquitto_client_port) {
		ret->info.port = mosquitto_client_port(client);
		unix_socket = ret->info.port == 0;
	}
	if (unix_socket)
		ret->info.addr = bytes_of("unix:");
}

void listener_ask(struct plugin *p, const struct mosquitto *client,
		  enum hook_id hook, struct listener_told *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!hooks_forward(p->hooks, hook))
		return;
	ret->info.has_listener = true;
	ask_address(client, ret);
	ask_certificate(p, client, ret);
	ret->told = &ret->info;
}

void listener_forget(struct listener_told *told)
{
	free(told->certificate);
	memset(told, 0, sizeof(*told));
}
