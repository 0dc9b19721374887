/*
 * load.c - put load on a broker and say what it bore, as one JSON object.
 *
 * usage: load MODE --port N [--clients N] [--seconds S] [--warmup S] ...
 *
 * login      `clients` logins at a time, each under an id of its own that
 *            begins with --prefix; with --rate, so many a second in all.
 *            Prints "ready" once every first CONNECT is sent.
 * publish    `clients` publishers over --topics topics with --payload bytes:
 *            at full speed, --window unacknowledged each; or, with --rate, so
 *            many a second in all, whatever the broker does. --gather-us N:
 *            look at answers only so often
 * probe      one client, every --interval-us a QoS 1 publish or (--kind ping)
 *            a PINGREQ, whether or not the last one is answered
 * subscribe  `clients`, each with a SUBSCRIBE every --interval-us, or when the
 *            last one is answered, if that is later
 *
 * Ends after --seconds that count, which begin --warmup after everybody is
 * online, or at SIGTERM. What counted before a SIGUSR1 no longer does.
 * --dump FILE: a line "sent received code" for each
 * answer, in nanoseconds of CLOCK_MONOTONIC.
 */
#include "test/bench/load.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	EVENTS = 256
};

static const struct mode *const modes[] = {
	&mode_login,
	&mode_publish,
	&mode_probe,
	&mode_subscribe,
};

int load_open_all(struct load *load)
{
	char id[64];

	for (int64_t i = 0; i < load->clients_count; i++) {
		int err;

		snprintf(id, sizeof(id), "%s-%lld", load->prefix, (long long)i);
		err = client_open(load, &load->clients[i], id);
		if (err)
			return err;
	}
	return 0;
}

void load_begin(struct load *load, int64_t now)
{
	load->from = now + (int64_t)(load->warmup * 1e9);
	load->until = load->from + (int64_t)(load->seconds * 1e9);
}

void load_note(struct load *load, int64_t sent, int64_t now, int code)
{
	if (load->dump)
		fprintf(load->dump, "%lld %lld %d\n", (long long)sent,
			(long long)now, code);
	if (now < load->from || now >= load->until)
		return;
	load->done++;
	samples_add(&load->times, now - sent);
}

void load_report_times(struct load *load)
{
	printf(", \"p50_us\": %.2f, \"p99_us\": %.2f, \"mean_us\": %.2f",
	       (double)samples_quantile(&load->times, 0.5) / 1e3,
	       (double)samples_quantile(&load->times, 0.99) / 1e3,
	       samples_mean(&load->times) / 1e3);
}

static void report(struct load *load)
{
	printf("{\"mode\": \"%s\", \"done\": %llu, \"rate\": %.2f",
	       load->mode->name, (unsigned long long)load->done,
	       (double)load->done / load->seconds);
	printf(", \"sent\": %llu, \"refused\": %llu, \"lost\": %llu",
	       (unsigned long long)load->sent,
	       (unsigned long long)load->refused,
	       (unsigned long long)load->lost);
	load->mode->report(load);
	printf("}\n");
}

/* ---- signals ---- */

/* Through a descriptor, among the events: a handler is not run as long as
 * epoll_pwait() finds something that is ready. */
static int watch_signals(struct load *load)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	load->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (load->signals < 0 ||
	    epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->signals, &event) != 0)
		return -errno;
	return 0;
}

static void take_signal(struct load *load)
{
	struct signalfd_siginfo info;

	if (read(load->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGTERM) {
		load->over = true;
		return;
	}
	load->done = 0;
	samples_clear(&load->times);
}

/* ---- the loop ---- */

static int wait_for_events(const struct load *load, struct epoll_event *list,
			   int64_t when)
{
	struct timespec wait = { 0 };
	int64_t ns = when - bench_now_ns();

	if (ns > 0)
		wait = (struct timespec){ ns / NS_PER_S, ns % NS_PER_S };
	return epoll_pwait2(load->epoll, list, EVENTS, &wait, NULL);
}

/* Let answers come together: a few calls then take many of them, and the
 * broker, which would be woken from and by each, has the machine. */
static void gather(const struct load *load)
{
	struct timespec wait = { .tv_nsec = load->gather_us * NS_PER_US };

	if (load->gather_us)
		ppoll(NULL, 0, &wait, NULL);
}

static void run(struct load *load)
{
	struct epoll_event list[EVENTS];

	while (!load->over) {
		int64_t next = load->mode->turn(load, bench_now_ns());
		int64_t most = bench_now_ns() + NS_PER_S;
		int n;

		gather(load);
		n = wait_for_events(load, list, next < most ? next : most);
		for (int i = 0; i < n; i++) {
			if (list[i].data.ptr)
				client_event(load, list[i].data.ptr,
					     list[i].events);
			else
				take_signal(load);
		}
	}
}

static int prepare(struct load *load)
{
	int err;

	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load->epoll < 0)
		return -errno;
	err = watch_signals(load);
	if (err)
		return err;
	load->clients =
		calloc((size_t)load->clients_count, sizeof(*load->clients));
	if (!load->clients)
		return -ENOMEM;
	for (int64_t i = 0; i < load->clients_count; i++) {
		load->clients[i].fd = -1;
		load->clients[i].index = (unsigned)i;
	}
	if (load->dump_path) {
		load->dump = fopen(load->dump_path, "we");
		if (!load->dump)
			return -errno;
	}
	load->started = bench_now_ns();
	load->from = load->until = INT64_MAX;
	return load->mode->start(load);
}

static int finish(struct load *load)
{
	for (int64_t i = 0; load->clients && i < load->clients_count; i++) {
		client_close(&load->clients[i]);
		free(load->clients[i].out);
	}
	free(load->clients);
	samples_clear(&load->times);
	if (load->dump && fclose(load->dump) != 0)
		return -EIO;
	return 0;
}

static const struct mode *mode_called(const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i]->name, name) == 0)
			return modes[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct load load = {
		.clients_count = 1,
		.window = 20,
		.topics = 1,
		.payload = 32,
		.qos = 1,
		.interval_us = 2000,
		.seconds = 1,
		.prefix = "bench",
		.kind = "publish",
	};
	const struct bench_option options[] = {
		{ "port", OPTION_NUMBER, &load.port },
		{ "clients", OPTION_NUMBER, &load.clients_count },
		{ "window", OPTION_NUMBER, &load.window },
		{ "qos", OPTION_NUMBER, &load.qos },
		{ "topics", OPTION_NUMBER, &load.topics },
		{ "payload", OPTION_NUMBER, &load.payload },
		{ "interval-us", OPTION_NUMBER, &load.interval_us },
		{ "gather-us", OPTION_NUMBER, &load.gather_us },
		{ "seconds", OPTION_REAL, &load.seconds },
		{ "warmup", OPTION_REAL, &load.warmup },
		{ "rate", OPTION_REAL, &load.rate },
		{ "prefix", OPTION_TEXT, &load.prefix },
		{ "dump", OPTION_TEXT, &load.dump_path },
		{ "kind", OPTION_TEXT, &load.kind },
		{ 0 },
	};
	int err;

	load.mode = argc > 1 ? mode_called(argv[1]) : NULL;
	if (!load.mode || bench_options(argc - 1, argv + 1, options) != 0 ||
	    load.clients_count < 1 || load.clients_count > CLIENTS_MAX) {
		fprintf(stderr, "usage: load MODE --port N ...: see load.c\n");
		return 2;
	}
	err = prepare(&load);
	if (!err) {
		run(&load);
		report(&load);
	}
	if (finish(&load) != 0 && !err)
		err = -EIO;
	if (err)
		fprintf(stderr, "load: %s\n", strerror(-err));
	return err ? 1 : 0;
}
