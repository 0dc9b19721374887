/*
 * broker.c - the plugin as Mosquitto sees it: its three entry points, the
 * turn of its loop, and what every callback begins with.
 */
#include "plugin/broker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/admin/admin.h"
#include "plugin/admin/scrape.h"
#include "plugin/broker/broker_private.h"
#include "plugin/settings/settings.h"
#include "plugin/settings/settings_saved.h"
#include "pool/pool.h"

#ifndef __has_builtin
#define __has_builtin(name) 0
#endif

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_plugin_version(int count, const int *versions);
EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata,
				 struct mosquitto_opt *opts, int count);
EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *opts,
				    int count);

enum {
	PLUGIN_VERSION = 5,
	NO_TICK_MS = 1000, /* callbacks this long without a TICK */
	BEAT_MS = 100,     /* a turn of the loop, where none is told */
};

/* The one thing that is the process's and not an instance's: Mosquitto loads
 * a .so once, and calls its init for every `plugin` line that names it. */
static bool loaded;

/* ---- whose events are numbered ---- */

static void know(void *arg, const char *client_id)
{
	struct plugin *p = arg;

	hooks_know(p->hooks, client_id);
}

static void unknow(void *arg, const char *client_id)
{
	struct plugin *p = arg;

	hooks_unknow(p->hooks, client_id);
}

/* ---- wake-up ---- */

static void nothing(int sig)
{
	(void)sig;
}

/* Interrupts the broker's epoll_wait(); the pool repeats it until the tick
 * has come. */
static void wake(void *ctx)
{
	struct plugin *p = ctx;

	pthread_kill(p->thread, SIGURG);
}

static int catch_sigurg(void)
{
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = SA_RESTART };

	sigemptyset(&sa.sa_mask);
	return sigaction(SIGURG, &sa, NULL) == 0 ? 0 : -errno;
}

static int64_t now_us(void *ctx)
{
	(void)ctx;
	return pool_now_us();
}

/* That of the kernel's last timer, which is in memory. */
__attribute__((hot)) static int64_t coarse_us(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t unix_ms(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- shutdown ---- */

/* No event tells that the broker shuts down, but wills may be asked about in
 * the course of it. So its own signal handlers are called through one that
 * takes note. A handler has no arguments: the second thing that is the
 * process's. */
static struct {
	volatile sig_atomic_t seen;
	struct sigaction term, interrupt; /* the broker's */
} shutdown_signals;

static void note_shutdown(int sig)
{
	const struct sigaction *own = sig == SIGTERM
					      ? &shutdown_signals.term
					      : &shutdown_signals.interrupt;

	shutdown_signals.seen = 1;
	own->sa_handler(sig);
}

static void watch_signal(int sig, struct sigaction *ret_own)
{
	struct sigaction sa;

	if (sigaction(sig, NULL, &sa) != 0 || sa.sa_flags & SA_SIGINFO ||
	    sa.sa_handler == SIG_DFL || sa.sa_handler == SIG_IGN)
		return;
	*ret_own = sa;
	sa.sa_handler = note_shutdown;
	sigaction(sig, &sa, NULL);
}

static void unwatch_signal(int sig, const struct sigaction *own)
{
	struct sigaction sa;

	if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == note_shutdown)
		sigaction(sig, own, NULL);
}

/* Not before the broker's loop turns: it sets its handlers last. */
static void watch_for_shutdown(struct plugin *p)
{
	if (p->watching)
		return;
	p->watching = true;
	shutdown_signals.seen = 0;
	watch_signal(SIGTERM, &shutdown_signals.term);
	watch_signal(SIGINT, &shutdown_signals.interrupt);
}

static void watch_no_longer(struct plugin *p)
{
	if (!p->watching)
		return;
	unwatch_signal(SIGTERM, &shutdown_signals.term);
	unwatch_signal(SIGINT, &shutdown_signals.interrupt);
}

/* ---- what every callback begins with ---- */

void broker_drop_kept(struct plugin *p)
{
	if (!p->kept.verdict)
		return;
	verdict_unref(p->kept.verdict);
	free(p->kept.topic);
	memset(&p->kept, 0, sizeof(p->kept));
}

void broker_drop_passing(struct plugin *p)
{
	if (!p->passing.topic)
		return;
	host_properties_clear(&p->passing.properties);
	p->passing.topic = NULL;
}

bool broker_keep(struct plugin *p, const struct mosquitto *client,
		 const char *topic, int event, const struct verdict *v)
{
	broker_drop_kept(p);
	p->kept.topic = strdup(topic);
	if (!p->kept.topic)
		return false;
	p->kept.client = client;
	p->kept.event = event;
	p->kept.verdict = verdict_ref(v);
	return true;
}

const struct verdict *broker_take(struct plugin *p, int event,
				  const struct mosquitto *client,
				  const char *topic)
{
	const struct verdict *v = NULL;

	if (!p->kept.verdict)
		return NULL;
	if (p->kept.event == event && p->kept.client == client &&
	    strcmp(p->kept.topic, topic) == 0)
		v = verdict_ref(p->kept.verdict);
	broker_drop_kept(p);
	return v;
}

static void beat(struct plugin *p, int64_t now)
{
	watch_for_shutdown(p);
	p->beat_ms = now;
	p->arriving = NULL; /* may be forgotten now */
	client_table_beat(&p->clients);
	broker_sum_up(p, false);
}

/* 2.0.11 to 2.0.14 never tick with per_listener_settings: then the callbacks
 * themselves are the clock. */
static void do_without_ticks(struct plugin *p)
{
	int64_t now;

	if (p->ticked || p->host.frees_replaced)
		return;
	now = pool_now_ms();
	if (now - p->started_ms < NO_TICK_MS || now - p->beat_ms < BEAT_MS)
		return;
	beat(p, now);
	if (p->tick_missed)
		return;
	p->tick_missed = true;
	broker_log(p, LOG_LEVEL_ERR,
		   "this Mosquitto (%s) never ticks with per_listener_settings "
		   "true: notifications wait for the next event. Set "
		   "per_listener_settings false or upgrade to 2.0.15",
		   p->host.version);
}

__attribute__((hot)) void broker_enter(struct plugin *p, enum hook_id may_join,
				       const struct mosquitto *client)
{
	broker_drop_kept(p);
	broker_drop_passing(p);
	hooks_refresh(p->hooks);
	if (shutdown_signals.seen) {
		p->shutting_down = true;
		hooks_shut_down(p->hooks);
	}
	if (!gather_empty(p->gather) &&
	    !gather_fits(p->gather, may_join, client))
		broker_flush_gathered(p);
	do_without_ticks(p);
}

/* What tells the threads apart that are running, without a call for each
 * publish where the compiler can tell. */
static uintptr_t this_thread(void)
{
#if __has_builtin(__builtin_thread_pointer)
	return (uintptr_t)__builtin_thread_pointer();
#else
	return (uintptr_t)pthread_self();
#endif
}

__attribute__((hot)) bool broker_on_thread(const struct plugin *p)
{
	return this_thread() == p->on_thread;
}

/* ---- events ---- */

__attribute__((noinline)) static enum hook_id m5_of(enum hook_id v3)
{
	static const enum hook_id with_m5[][2] = {
		{ HOOK_AUTH_ON_REGISTER, HOOK_AUTH_ON_REGISTER_M5 },
		{ HOOK_AUTH_ON_PUBLISH, HOOK_AUTH_ON_PUBLISH_M5 },
		{ HOOK_AUTH_ON_SUBSCRIBE, HOOK_AUTH_ON_SUBSCRIBE_M5 },
		{ HOOK_ON_REGISTER, HOOK_ON_REGISTER_M5 },
		{ HOOK_ON_PUBLISH, HOOK_ON_PUBLISH_M5 },
		{ HOOK_ON_SUBSCRIBE, HOOK_ON_SUBSCRIBE_M5 },
		{ HOOK_ON_UNSUBSCRIBE, HOOK_ON_UNSUBSCRIBE_M5 },
		{ HOOK_ON_DELIVER, HOOK_ON_DELIVER_M5 },
	};

	for (size_t i = 0; i < sizeof(with_m5) / sizeof(*with_m5); i++) {
		if (with_m5[i][0] == v3)
			return with_m5[i][1];
	}
	return v3;
}

enum hook_id broker_hook(enum hook_id v3, bool m5)
{
	return m5 ? m5_of(v3) : v3;
}

bool broker_is_m5(const struct mosquitto *client)
{
	return mosquitto_client_protocol_version(client) == 5;
}

/* VerneMQ tells a mountpoint without a slash at its end (contract.md, 3). */
static struct bytes told_mountpoint(const char *mountpoint)
{
	size_t len = *mountpoint ? strlen(mountpoint) : 0;

	while (len > 0 && mountpoint[len - 1] == '/')
		len--;
	return (struct bytes){ mountpoint, len };
}

__attribute__((hot)) static struct event event_of(
	const struct plugin *p, const struct mosquitto *client, struct bytes id,
	struct bytes address, enum hook_id hook)
{
	return (struct event){
		.hook = hook,
		.mountpoint = told_mountpoint(broker_mountpoint(p, client)),
		.client_id = id,
		.username = bytes_of(mosquitto_client_username(client)),
		.peer_addr = address,
	};
}

struct event broker_event(const struct plugin *p,
			  const struct mosquitto *client, enum hook_id hook)
{
	return event_of(p, client, bytes_of(mosquitto_client_id(client)),
			bytes_of(mosquitto_client_address(client)), hook);
}

__attribute__((hot)) struct event broker_event_of(const struct plugin *p,
						  const struct client *c,
						  enum hook_id hook)
{
	struct bytes id = { c->id, c->id_len };
	struct bytes address = { c->address, c->address_len };

	if (!address.len)
		address = bytes_of(mosquitto_client_address(c->ptr));
	return event_of(p, c->ptr, id, address, hook);
}

/* ---- the loop ---- */

static int on_tick(int event, void *data, void *userdata)
{
	struct plugin *p = userdata;

	(void)event;
	(void)data;
	p->ticked = true;
	p->rechecking = false;
	broker_drop_kept(p);
	broker_drop_passing(p);
	broker_flush_gathered(p);
	broker_announce_arrivals(p);
	beat(p, pool_now_ms());
	hooks_tick(p->hooks);
	limits_tick(p, p->beat_ms);
	offline_tick(p, p->beat_ms);
	return MOSQ_ERR_SUCCESS;
}

/* Anything but success ends a 2.1 broker. */
static int on_reload(int event, void *data, void *userdata)
{
	struct plugin *p = userdata;

	(void)event;
	(void)data;
	p->rechecking = true;
	broker_reload(p);
	return MOSQ_ERR_SUCCESS;
}

/* ---- start ---- */

static const struct {
	MOSQ_FUNC_generic_callback callback;
	int event;
	bool needs_v21;
} callbacks[] = {
	{ on_reload, MOSQ_EVT_RELOAD, false },
	{ on_tick, MOSQ_EVT_TICK, false },
	{ broker_on_basic_auth, MOSQ_EVT_BASIC_AUTH, false },
	{ broker_on_acl, MOSQ_EVT_ACL_CHECK, false },
	{ broker_on_message, BROKER_EVT_MESSAGE, false },
	{ broker_on_disconnect, MOSQ_EVT_DISCONNECT, false },
	{ broker_on_auth_start, MOSQ_EVT_EXT_AUTH_START, false },
	{ broker_on_auth_continue, MOSQ_EVT_EXT_AUTH_CONTINUE, false },
	{ broker_on_connect, MOSQ_EVT_CONNECT, true },
	{ broker_on_offline, MOSQ_EVT_CLIENT_OFFLINE, true },
	{ broker_on_subscribe, MOSQ_EVT_SUBSCRIBE, true },
	{ broker_on_unsubscribe, MOSQ_EVT_UNSUBSCRIBE, true },
	{ broker_on_deliver, MOSQ_EVT_MESSAGE_OUT, true },
};

enum {
	CALLBACKS = sizeof(callbacks) / sizeof(callbacks[0])
};

static void unregister(struct plugin *p, size_t n)
{
	while (n-- > 0) {
		if (!callbacks[n].needs_v21 || p->host.v21)
			mosquitto_callback_unregister(p->id, callbacks[n].event,
						      callbacks[n].callback,
						      NULL);
	}
}

static int subscribe_to_broker(struct plugin *p)
{
	for (size_t i = 0; i < CALLBACKS; i++) {
		int rc;

		if (callbacks[i].needs_v21 && !p->host.v21)
			continue;
		rc = mosquitto_callback_register(p->id, callbacks[i].event,
						 callbacks[i].callback, NULL,
						 p);
		if (rc == MOSQ_ERR_SUCCESS)
			continue;
		broker_log(p, LOG_LEVEL_ERR,
			   "the broker refused our callback for event %d with "
			   "code %d",
			   callbacks[i].event, rc);
		unregister(p, i);
		return -ENOTSUP;
	}
	return 0;
}

/* plugin_opt_... lines: the texts are borrowed. */
struct options {
	struct settings_opt *list; /* malloc'd */
	size_t n;
};

static int list_options(const struct mosquitto_opt *opts, int count,
			struct options *ret)
{
	ret->list = calloc((size_t)count + 1, sizeof(*ret->list));
	if (!ret->list)
		return -ENOMEM;
	ret->n = (size_t)count;
	for (int i = 0; i < count; i++)
		ret->list[i] =
			(struct settings_opt){ opts[i].key, opts[i].value };
	return 0;
}

/* Sets `ret` also when this host cannot do what they ask for. */
static int load_settings(struct plugin *p, const struct options *options,
			 struct settings **ret)
{
	struct conf_error error;
	int err;

	err = settings_load(options->list, options->n, ret, &error);
	if (!err && (*ret)->enabled)
		err = broker_check_settings(p, *ret, &error);
	if (err)
		broker_log(p, LOG_LEVEL_ERR, "%s", error.text);
	return err;
}

static int open_admin(struct plugin *p, const struct settings *s)
{
	char error[256] = "";
	int err;

	err = admin_create(&p->admin, p->hooks, s->admin_socket, error,
			   sizeof(error));
	if (!err) {
		admin_save_to(p->admin, p->saved);
		return 0;
	}
	if (s->admin_socket_given) {
		broker_log(p, LOG_LEVEL_ERR, "vmq_webhooks.admin_socket: %s",
			   error);
		return err;
	}
	broker_log(p, LOG_LEVEL_WARN,
		   "no admin socket, vmq-admin will not work: %s. Set "
		   "vmq_webhooks.admin_socket to a path that the broker's user "
		   "can create",
		   error);
	return 0;
}

static int open_scrape(struct plugin *p, const struct settings *s)
{
	char error[256] = "";
	int err;

	if (!s->metrics_listen)
		return 0;
	err = scrape_create(&p->scrape, p->hooks, s->metrics_listen, error,
			    sizeof(error));
	if (err)
		broker_log(p, LOG_LEVEL_ERR, "vmq_webhooks.metrics_listen: %s",
			   error);
	else
		broker_log(p, LOG_LEVEL_INFO,
			   "metrics at http://%s/metrics, and /health",
			   scrape_address(p->scrape));
	return err;
}

static int start(struct plugin *p, struct settings *s,
		 const struct options *options)
{
	int err;

	p->ops = (struct broker_ops){
		.complete_auth = broker_complete_auth,
		.disconnect = broker_disconnect,
		.log = broker_log_line,
		.wake = wake,
		.now_us = now_us,
		.unix_ms = unix_ms,
		.coarse_us = coarse_us,
		.explain = broker_explain,
		.check = broker_check_settings,
		.report = broker_report_news,
		.delays_logins = p->host.v21,
		.may_never_tick = !p->host.frees_replaced,
	};
	p->ops.without_effect =
		broker_without_effect(p, &p->ops.without_effect_count);

	p->clients.know = know;
	p->clients.unknow = unknow;
	p->clients.arg = p;
	err = gather_create(&p->gather);
	if (!err)
		err = catch_sigurg();
	if (!err)
		err = hooks_create(&p->hooks, s, &p->ops, p);
	if (!err)
		err = hooks_set_source(p->hooks, options->list, options->n);
	if (!err)
		err = open_admin(p, s);
	if (!err)
		err = open_scrape(p, s);
	if (!err)
		err = hooks_start(p->hooks);
	if (!err)
		err = subscribe_to_broker(p);
	return err;
}

static void plugin_destroy(struct plugin *p)
{
	if (!p)
		return;
	p->stopping = true;
	if (p->hooks) {
		hooks_stop(p->hooks);
		broker_sum_up(p, true);
	}
	signal(SIGURG, SIG_DFL); /* nobody is left to send it */
	watch_no_longer(p);
	admin_destroy(p->admin);
	saved_close(p->saved);
	scrape_destroy(p->scrape);
	client_table_clear(&p->clients); /* speaks to the hooks */
	hooks_destroy(p->hooks);
	gather_destroy(p->gather);
	broker_drop_kept(p);
	broker_drop_passing(p);
	free(p);
}

static int plugin_create(struct plugin **ret, mosquitto_plugin_id_t *id,
			 const struct mosquitto_opt *opts, int count)
{
	struct plugin *p = calloc(1, sizeof(*p));
	struct options options = { NULL, 0 };
	struct settings *s = NULL;
	int err;

	if (!p)
		return -ENOMEM;
	p->id = id;
	p->thread = pthread_self();
	p->on_thread = this_thread();
	p->started_ms = p->beat_ms = pool_now_ms();
	host_detect(&p->host);
	broker_conf_look(&p->conf);
	err = list_options(opts, count, &options);
	if (!err)
		err = load_settings(p, &options, &s);
	if (err)
		goto out;
	p->log_level = s->log_level;
	if (!s->enabled) {
		broker_log(p, LOG_LEVEL_WARN,
			   "plugins.vmq_webhooks is off: the plugin does "
			   "nothing");
		goto out;
	}
	err = broker_restore(p, &s);
	if (err)
		goto out;
	err = start(p, s, &options);
	if (err)
		broker_log(p, LOG_LEVEL_ERR, "cannot start: %s",
			   strerror(-err));
	else
		broker_report(p, s);
out:
	free(options.list);
	settings_unref(s);
	if (err)
		plugin_destroy(p);
	else
		*ret = p;
	return err;
}

/* ---- the entry points ---- */

int mosquitto_plugin_version(int count, const int *versions)
{
	for (int i = 0; i < count; i++) {
		if (versions[i] == PLUGIN_VERSION)
			return PLUGIN_VERSION;
	}
	return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata,
			  struct mosquitto_opt *opts, int count)
{
	struct plugin *p;
	int err;

	if (loaded) {
		broker_log_line(
			NULL, LOG_LEVEL_ERR,
			"loaded twice: keep one `plugin` line for "
			"vmq_webhooks.so in mosquitto.conf; without "
			"per_listener_settings it serves every listener");
		return MOSQ_ERR_INVAL;
	}
	err = plugin_create(&p, id, opts, count);
	if (err)
		return err == -ENOMEM ? MOSQ_ERR_NOMEM : MOSQ_ERR_INVAL;
	if (mosquitto_plugin_set_info)
		mosquitto_plugin_set_info(id, "vmq_webhooks",
					  VMQ_WEBHOOKS_VERSION);
	*userdata = p;
	loaded = true;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *opts,
			     int count)
{
	struct plugin *p = userdata;

	(void)opts;
	(void)count;
	if (!p)
		return MOSQ_ERR_SUCCESS;
	if (p->hooks) {
		unregister(p, CALLBACKS);
		broker_flush_gathered(p);
	}
	plugin_destroy(p);
	loaded = false;
	return MOSQ_ERR_SUCCESS;
}
