/*
 * load_probe.c - one client that asks at a fixed pace, answered or not, and
 * notes when each answer came. Both kinds are answered in order.
 */
#include "test/bench/load.h"

#include <errno.h>
#include <string.h>

enum {
	OPEN_MAX = 65536, /* not answered yet; the broker may stand still */
};

/* The one load of this process. */
static struct {
	int64_t sent[OPEN_MAX];
	uint64_t asked, answered;
	bool ping;
} run;

static int start(struct load *load)
{
	run.ping = strcmp(load->kind, "ping") == 0;
	if (load->clients_count != 1 || load->interval_us < 1)
		return -EINVAL;
	return load_open_all(load);
}

static void ask(struct load *load, struct client *c, int64_t now)
{
	uint8_t out[MQTT_PACKET_MAX];
	size_t len;

	c->id = c->id == UINT16_MAX ? 1 : c->id + 1;
	len = run.ping ? mqtt_empty(out, MQTT_PINGREQ)
		       : mqtt_publish(out, "bench/probe", 1, c->id,
				      (size_t)load->payload);
	run.sent[run.asked++ % OPEN_MAX] = now;
	load->sent++;
	client_send(load, c, out, len);
}

static void packet(struct load *load, struct client *c,
		   const struct mqtt_packet *p)
{
	int64_t now = bench_now_ns();

	if (p->type == MQTT_CONNACK) {
		load_begin(load, now);
		c->due = now;
	} else if (p->type == MQTT_PUBACK || p->type == MQTT_PINGRESP) {
		load_note(load, run.sent[run.answered++ % OPEN_MAX], now, 0);
	}
}

static void closed(struct load *load, struct client *c)
{
	(void)c;
	load->lost++;
	load->over = true;
}

static int64_t turn(struct load *load, int64_t now)
{
	struct client *c = &load->clients[0];

	if (!c->online)
		return INT64_MAX;
	load->over = now >= load->until;
	if (now < c->due || run.asked - run.answered == OPEN_MAX)
		return c->due;
	ask(load, c, now);
	c->due += load->interval_us * NS_PER_US;
	if (c->due < now) /* we were not let run: no burst follows */
		c->due = now + load->interval_us * NS_PER_US;
	return c->due;
}

static void report(struct load *load)
{
	load_report_times(load);
	printf(", \"unanswered\": %llu",
	       (unsigned long long)(run.asked - run.answered));
}

const struct mode mode_probe = { "probe", start, packet, closed, turn, report };
