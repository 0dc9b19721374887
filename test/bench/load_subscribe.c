/*
 * load_subscribe.c - clients that subscribe all the time, each to a filter of
 * its own.
 */
#include "test/bench/load.h"

#include <errno.h>

static int start(struct load *load)
{
	if (load->interval_us < 1)
		return -EINVAL;
	return load_open_all(load);
}

static void packet(struct load *load, struct client *c,
		   const struct mqtt_packet *p)
{
	int64_t now = bench_now_ns();

	if (p->type == MQTT_CONNACK && load->online == load->clients_count) {
		load_begin(load, now);
		for (int64_t i = 0; i < load->clients_count; i++)
			load->clients[i].due =
				now + i * load->interval_us * NS_PER_US /
					      load->clients_count;
	} else if (p->type == MQTT_SUBACK) {
		c->inflight = 0;
		load_note(load, c->sent, now, p->body[p->len - 1]);
		if (p->body[p->len - 1] & 0x80)
			load->refused++;
	}
}

static void closed(struct load *load, struct client *c)
{
	(void)c;
	load->lost++;
}

/* When its next one is due: a broker that stood still makes them late, but
 * does not make them all come at once from then on. */
static int64_t next_due(const struct load *load, int64_t due, int64_t now)
{
	int64_t apart = load->interval_us * NS_PER_US;

	return due + apart * (1 + (now - due) / apart);
}

static void subscribe(struct load *load, struct client *c, int64_t now)
{
	uint8_t out[MQTT_PACKET_MAX];
	char filter[64];

	snprintf(filter, sizeof(filter), "bench/subscribe/%u", c->index);
	c->id = c->id == UINT16_MAX ? 1 : c->id + 1;
	c->inflight = 1;
	c->sent = now;
	c->due = next_due(load, c->due, now);
	load->sent++;
	client_send(load, c, out, mqtt_subscribe(out, filter, c->id));
}

static int64_t turn(struct load *load, int64_t now)
{
	int64_t next = load->until;

	load->over = now >= load->until;
	if (load->from == INT64_MAX)
		return INT64_MAX;
	for (int64_t i = 0; i < load->clients_count; i++) {
		struct client *c = &load->clients[i];

		if (!c->online || c->inflight)
			continue;
		if (c->due <= now)
			subscribe(load, c, now);
		if (!c->inflight && c->due < next)
			next = c->due;
	}
	return next;
}

static void report(struct load *load)
{
	load_report_times(load);
}

const struct mode mode_subscribe = { "subscribe", start, packet,
				     closed,      turn,  report };
