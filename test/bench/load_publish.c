/*
 * load_publish.c - publishers, at full speed or at a pace.
 */
#include "test/bench/load.h"

#include <errno.h>
#include <string.h>

enum {
	TOPICS_MAX = 100,
	PACE_US = 500, /* between two looks at what is due */
};

/* A PUBLISH that lacks its packet id only. */
struct stencil {
	uint8_t bytes[MQTT_PACKET_MAX];
	size_t len, id_at;
};

/* The one load of this process. */
static struct {
	struct stencil stencils[TOPICS_MAX];
	bool ending;       /* nothing is sent any more, answers come in */
	unsigned quiet;    /* clients that have everything answered */
	uint64_t acked;    /* in all */
	int64_t paced_end; /* when the last paced publish went out */
} run;

static void cut_stencils(const struct load *load)
{
	char topic[64];

	for (int64_t i = 0; i < load->topics; i++) {
		struct stencil *s = &run.stencils[i];

		snprintf(topic, sizeof(topic), "bench/%lld", (long long)i);
		s->len = mqtt_publish(s->bytes, topic, (int)load->qos, 1,
				      (size_t)load->payload);
		s->id_at = s->len - (size_t)load->payload - 2;
	}
}

static int start(struct load *load)
{
	if (load->topics < 1 || load->topics > TOPICS_MAX ||
	    load->payload > 256)
		return -EINVAL;
	cut_stencils(load);
	return load_open_all(load);
}

/* The next publish of this client, into `out`. */
static size_t next_publish(struct load *load, struct client *c, uint8_t *out)
{
	const struct stencil *s;

	s = &run.stencils[c->number++ % (uint64_t)load->topics];
	memcpy(out, s->bytes, s->len);
	load->sent++;
	if (load->qos) {
		c->id = c->id == UINT16_MAX ? 1 : c->id + 1;
		out[s->id_at] = (uint8_t)(c->id >> 8);
		out[s->id_at + 1] = (uint8_t)c->id;
		c->inflight++;
	}
	return s->len;
}

/* As many as its window lets, in few calls: the broker is to be the one that
 * works. */
static void fill_window(struct load *load, struct client *c)
{
	uint8_t out[32 * MQTT_PACKET_MAX];
	size_t len = 0;

	while (c->inflight < load->window) {
		len += next_publish(load, c, out + len);
		if (len + MQTT_PACKET_MAX <= sizeof(out))
			continue;
		client_send(load, c, out, len);
		len = 0;
	}
	if (len)
		client_send(load, c, out, len);
}

static bool full_speed(const struct load *load)
{
	return load->rate <= 0;
}

static void all_online(struct load *load)
{
	load_begin(load, bench_now_ns());
	for (int64_t i = 0; i < load->clients_count; i++) {
		load->clients[i].number = (uint64_t)i;
		if (full_speed(load))
			fill_window(load, &load->clients[i]);
	}
}

static void packet(struct load *load, struct client *c,
		   const struct mqtt_packet *p)
{
	int64_t now = load->from == INT64_MAX ? 0 : bench_now_ns();

	switch (p->type) {
	case MQTT_CONNACK:
		if (load->online == load->clients_count)
			all_online(load);
		break;
	case MQTT_PUBACK:
		c->inflight--;
		run.acked++;
		if (now >= load->from && now < load->until)
			load->done++;
		if (full_speed(load) && !run.ending &&
		    c->inflight <= load->window / 2)
			fill_window(load, c);
		break;
	case MQTT_PINGRESP:
		run.quiet++;
		break;
	default:
		break;
	}
}

static void closed(struct load *load, struct client *c)
{
	(void)c;
	load->lost++;
	load->over = true;
}

/* An answer to a PINGREQ says that all before it was dealt with. */
static void end_all(struct load *load)
{
	uint8_t ping[2];
	size_t len = mqtt_empty(ping, MQTT_PINGREQ);

	run.ending = true;
	for (int64_t i = 0; i < load->clients_count; i++)
		client_send(load, &load->clients[i], ping, len);
}

/* Those that are due by now, each in a call of its own. */
static void pace(struct load *load, int64_t now)
{
	int64_t began = load->from - (int64_t)(load->warmup * 1e9);
	uint64_t due = (uint64_t)((double)(now - began) / 1e9 * load->rate);
	uint8_t out[MQTT_PACKET_MAX];

	while (load->sent < due) {
		struct client *c;

		c = &load->clients[load->sent % (uint64_t)load->clients_count];
		client_send(load, c, out, next_publish(load, c, out));
	}
	run.paced_end = now;
}

static int64_t turn(struct load *load, int64_t now)
{
	if (load->from == INT64_MAX)
		return INT64_MAX;
	if (now >= load->until) {
		if (!run.ending)
			end_all(load);
		load->over |= run.quiet == load->clients_count;
		return INT64_MAX;
	}
	if (full_speed(load))
		return load->until;
	pace(load, now);
	return now + PACE_US * NS_PER_US;
}

static void report(struct load *load)
{
	(void)load;
	printf(", \"acked\": %llu, \"paced_end_ns\": %lld",
	       (unsigned long long)run.acked, (long long)run.paced_end);
}

const struct mode mode_publish = { "publish", start, packet,
				   closed,    turn,  report };
