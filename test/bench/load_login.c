/*
 * load_login.c - clients that log in, leave, and come again as others.
 */
#include "test/bench/load.h"

#include <inttypes.h>

static void log_in(struct load *load, struct client *c)
{
	char id[64];

	snprintf(id, sizeof(id), "%s-%" PRIu64, load->prefix, load->sent++);
	if (client_open(load, c, id) != 0) {
		load->lost++;
		c->due = bench_now_ns() + NS_PER_MS;
	}
}

/* The next login of this one's is due. */
static void plan(struct load *load, struct client *c)
{
	int64_t now = bench_now_ns();

	if (load->rate > 0) {
		c->due += (int64_t)((double)load->clients_count / load->rate *
				    1e9);
		if (c->due > now)
			return; /* turn() sees to it */
		c->due = now;
	}
	if (now < load->until)
		log_in(load, c);
}

static int start(struct load *load)
{
	double apart = load->rate > 0 ? 1e9 / load->rate : 0;

	load_begin(load, load->started);
	for (int64_t i = 0; i < load->clients_count; i++) {
		load->clients[i].due =
			load->started + (int64_t)(apart * (double)i);
		if (!load->rate)
			log_in(load, &load->clients[i]);
	}
	printf("ready\n");
	fflush(stdout);
	return 0;
}

static void packet(struct load *load, struct client *c,
		   const struct mqtt_packet *p)
{
	uint8_t bye[2];

	if (p->type != MQTT_CONNACK)
		return;
	if (c->online)
		load_note(load, c->sent, bench_now_ns(), 0);
	else
		load->refused++;
	client_send(load, c, bye, mqtt_empty(bye, MQTT_DISCONNECT));
	client_close(c);
	plan(load, c);
}

static void closed(struct load *load, struct client *c)
{
	load->lost++;
	plan(load, c);
}

static int64_t turn(struct load *load, int64_t now)
{
	int64_t next = load->until;

	load->over = now >= load->until;
	for (int64_t i = 0; i < load->clients_count && !load->over; i++) {
		struct client *c = &load->clients[i];

		if (c->fd >= 0)
			continue;
		if (c->due <= now)
			log_in(load, c);
		else if (c->due < next)
			next = c->due;
	}
	return next;
}

static void report(struct load *load)
{
	load_report_times(load);
}

const struct mode mode_login = { "login", start, packet, closed, turn, report };
