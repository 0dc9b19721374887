#include "test/bench/fake_host.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

enum {
	EVENTS_MAX = 64,
	PLUGIN_VERSION = 5,
};

/* Whatever the plugin may ask about it, its accessors below tell. */
struct mosquitto {
	const char *id, *username, *address;
};

typedef int version_fn(int count, const int *versions);
typedef int init_fn(mosquitto_plugin_id_t *id, void **userdata,
		    struct mosquitto_opt *opts, int count);
typedef int cleanup_fn(void *userdata, struct mosquitto_opt *opts, int count);

/* The plugin finds us by the names of functions: there can be one only. */
static struct {
	void *handle, *userdata;
	struct {
		MOSQ_FUNC_generic_callback call;
		void *userdata;
	} callbacks[EVENTS_MAX];
	struct mosquitto client;
} host = {
	.client = { "bench-0", "user", "127.0.0.1" },
};

/* ---- what the plugin needs of its host ---- */

/* Those of 2.1, which the headers of 2.0 lack. */
struct mosquitto_client;
struct mosquitto *mosquitto_client(const char *clientid);
int mosquitto_client_port(const struct mosquitto *client);
int mosquitto_set_clientid(struct mosquitto *client, const char *clientid);
int mosquitto_persist_client_update(struct mosquitto_client *client);
void mosquitto_complete_basic_auth(const char *clientid, int result);
int mosquitto_plugin_set_info(mosquitto_plugin_id_t *identifier,
			      const char *plugin_name,
			      const char *plugin_version);

struct mosquitto *mosquitto_client(const char *clientid)
{
	return strcmp(clientid, host.client.id) == 0 ? &host.client : NULL;
}

int mosquitto_client_port(const struct mosquitto *client)
{
	(void)client;
	return 1883;
}

int mosquitto_set_clientid(struct mosquitto *client, const char *clientid)
{
	(void)client;
	(void)clientid;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_persist_client_update(struct mosquitto_client *client)
{
	(void)client;
	return MOSQ_ERR_SUCCESS;
}

void mosquitto_complete_basic_auth(const char *clientid, int result)
{
	(void)clientid;
	(void)result;
}

int mosquitto_plugin_set_info(mosquitto_plugin_id_t *identifier,
			      const char *plugin_name,
			      const char *plugin_version)
{
	(void)identifier;
	(void)plugin_name;
	(void)plugin_version;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_callback_register(mosquitto_plugin_id_t *identifier, int event,
				MOSQ_FUNC_generic_callback cb_func,
				const void *event_data, void *userdata)
{
	(void)identifier;
	(void)event_data;
	if (event < 0 || event >= EVENTS_MAX)
		return MOSQ_ERR_INVAL;
	host.callbacks[event].call = cb_func;
	host.callbacks[event].userdata = userdata;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_callback_unregister(mosquitto_plugin_id_t *identifier, int event,
				  MOSQ_FUNC_generic_callback cb_func,
				  const void *event_data)
{
	return mosquitto_callback_register(identifier, event, NULL, event_data,
					   cb_func ? NULL : &host);
}

void mosquitto_log_printf(int level, const char *fmt, ...)
{
	va_list ap;

	if (!(level & (MOSQ_LOG_WARNING | MOSQ_LOG_ERR)))
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

const char *mosquitto_client_id(const struct mosquitto *client)
{
	return client->id;
}

const char *mosquitto_client_username(const struct mosquitto *client)
{
	return client->username;
}

void *mosquitto_client_certificate(const struct mosquitto *client)
{
	(void)client;
	return NULL;
}

const char *mosquitto_client_address(const struct mosquitto *client)
{
	return client->address;
}

bool mosquitto_client_clean_session(const struct mosquitto *client)
{
	(void)client;
	return true;
}

int mosquitto_client_protocol(const struct mosquitto *client)
{
	(void)client;
	return mp_mqtt;
}

int mosquitto_client_protocol_version(const struct mosquitto *client)
{
	(void)client;
	return 4;
}

int mosquitto_set_username(struct mosquitto *client, const char *username)
{
	(void)client;
	(void)username;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_kick_client_by_clientid(const char *clientid, bool with_will)
{
	(void)clientid;
	(void)with_will;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_broker_publish_copy(const char *clientid, const char *topic,
				  int payloadlen, const void *payload, int qos,
				  bool retain, mosquitto_property *properties)
{
	(void)clientid;
	(void)topic;
	(void)payloadlen;
	(void)payload;
	(void)qos;
	(void)retain;
	(void)properties;
	return MOSQ_ERR_SUCCESS;
}

void *mosquitto_malloc(size_t size)
{
	return malloc(size);
}

void mosquitto_free(void *mem)
{
	free(mem);
}

char *mosquitto_strdup(const char *s)
{
	return strdup(s);
}

/* ---- the broker's side of it ---- */

static int find(const char *name, void *ret)
{
	void *f = dlsym(host.handle, name);

	if (!f) {
		fprintf(stderr, "fake-host: %s\n", dlerror());
		return -1;
	}
	memcpy(ret, &f, sizeof(f));
	return 0;
}

/* "key=value" in two. Returns how many, or -1. */
static int split(const struct text_list *from, struct mosquitto_opt *to)
{
	for (size_t i = 0; i < from->count; i++) {
		const char *eq = strchr(from->text[i], '=');

		if (!eq)
			return -1;
		to[i].key =
			strndup(from->text[i], (size_t)(eq - from->text[i]));
		to[i].value = strdup(eq + 1);
		if (!to[i].key || !to[i].value)
			return -1;
	}
	return (int)from->count;
}

static void free_split(struct mosquitto_opt *opts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(opts[i].key);
		free(opts[i].value);
	}
}

int host_load(const char *path, const struct text_list *options)
{
	struct mosquitto_opt opts[64] = { 0 };
	const int versions[] = { PLUGIN_VERSION };
	version_fn *version;
	init_fn *init;
	int count, err = -1;

	host.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!host.handle) {
		fprintf(stderr, "fake-host: %s\n", dlerror());
		return -1;
	}
	if (find("mosquitto_plugin_version", &version) != 0 ||
	    find("mosquitto_plugin_init", &init) != 0)
		return -1;
	count = split(options, opts);
	if (count >= 0 && version(1, versions) == PLUGIN_VERSION &&
	    init((mosquitto_plugin_id_t *)&host, &host.userdata, opts, count) ==
		    MOSQ_ERR_SUCCESS &&
	    host.callbacks[MOSQ_EVT_ACL_CHECK].call &&
	    host.callbacks[MOSQ_EVT_MESSAGE].call)
		err = 0;
	free_split(opts, options->count);
	return err;
}

void host_unload(void)
{
	cleanup_fn *cleanup;

	if (find("mosquitto_plugin_cleanup", &cleanup) == 0)
		cleanup(host.userdata, NULL, 0);
}

int host_check_publish(const char *topic, const void *payload, size_t len)
{
	struct mosquitto_evt_acl_check ed = {
		.client = &host.client,
		.topic = topic,
		.payload = payload,
		.payloadlen = (uint32_t)len,
		.access = MOSQ_ACL_WRITE,
		.qos = 1,
	};

	return host.callbacks[MOSQ_EVT_ACL_CHECK].call(
		MOSQ_EVT_ACL_CHECK, &ed,
		host.callbacks[MOSQ_EVT_ACL_CHECK].userdata);
}

int host_pass_message(const char *topic, const void *payload, size_t len)
{
	struct mosquitto_evt_message ed = {
		.client = &host.client,
		.topic = (char *)topic,
		.payload = (void *)payload,
		.payloadlen = (uint32_t)len,
		.qos = 1,
	};

	return host.callbacks[MOSQ_EVT_MESSAGE].call(
		MOSQ_EVT_MESSAGE, &ed,
		host.callbacks[MOSQ_EVT_MESSAGE].userdata);
}

void host_tick(void)
{
	struct mosquitto_evt_tick ed = { 0 };

	if (host.callbacks[MOSQ_EVT_TICK].call)
		host.callbacks[MOSQ_EVT_TICK].call(
			MOSQ_EVT_TICK, &ed,
			host.callbacks[MOSQ_EVT_TICK].userdata);
}
