#include "test/bench/mqtt.h"

#include <errno.h>
#include <string.h>

static uint8_t *put_number(uint8_t *p, size_t number)
{
	*p++ = (uint8_t)(number >> 8);
	*p++ = (uint8_t)number;
	return p;
}

static uint8_t *put_text(uint8_t *p, const char *text)
{
	size_t len = strlen(text);

	p = put_number(p, len);
	memcpy(p, text, len);
	return p + len;
}

/* First byte and length. */
static uint8_t *put_head(uint8_t *p, unsigned first, size_t len)
{
	*p++ = (uint8_t)first;
	for (; len > 127; len /= 128)
		*p++ = (uint8_t)(len % 128 | 128);
	*p++ = (uint8_t)len;
	return p;
}

size_t mqtt_connect(uint8_t *out, const char *client_id)
{
	uint8_t *p = put_head(out, MQTT_CONNECT << 4,
			      10 + 2 + strlen(client_id) + 2 + 4 + 2 + 6);

	p = put_text(p, "MQTT");
	*p++ = 4;             /* 3.1.1 */
	*p++ = 0xc2;          /* user name, password, clean session */
	p = put_number(p, 0); /* no keep alive */
	p = put_text(p, client_id);
	p = put_text(p, "user");
	p = put_text(p, "secret");
	return (size_t)(p - out);
}

size_t mqtt_publish(uint8_t *out, const char *topic, int qos, uint16_t id,
		    size_t payload_len)
{
	size_t len = 2 + strlen(topic) + (qos ? 2 : 0) + payload_len;
	uint8_t *p = put_head(out, MQTT_PUBLISH << 4 | (unsigned)qos << 1, len);

	p = put_text(p, topic);
	if (qos)
		p = put_number(p, id);
	memset(p, 'x', payload_len);
	return (size_t)(p + payload_len - out);
}

size_t mqtt_subscribe(uint8_t *out, const char *filter, uint16_t id)
{
	uint8_t *p = put_head(out, MQTT_SUBSCRIBE << 4 | 2,
			      2 + 2 + strlen(filter) + 1);

	p = put_number(p, id);
	p = put_text(p, filter);
	*p++ = 0; /* qos */
	return (size_t)(p - out);
}

size_t mqtt_empty(uint8_t *out, enum mqtt_type type)
{
	return (size_t)(put_head(out, (unsigned)type << 4, 0) - out);
}

int mqtt_parse(const uint8_t *in, size_t len, struct mqtt_packet *ret)
{
	size_t n = 0, used = 1;
	int shift = 0;

	do {
		if (used >= len)
			return -EAGAIN;
		if (used == 5)
			return -EPROTO;
		n |= (size_t)(in[used] & 127) << shift;
		shift += 7;
	} while (in[used++] & 128);
	if (len - used < n)
		return -EAGAIN;
	ret->type = in[0] >> 4;
	ret->body = in + used;
	ret->len = n;
	ret->whole = used + n;
	return 0;
}

uint16_t mqtt_id(const struct mqtt_packet *p)
{
	return p->len < 2 ? 0 : (uint16_t)(p->body[0] << 8 | p->body[1]);
}
