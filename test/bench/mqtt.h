/*
 * mqtt.h - the MQTT 3.1.1 packets that a load needs, as bytes.
 */
#ifndef TEST_BENCH_MQTT_H
#define TEST_BENCH_MQTT_H

#include <stddef.h>
#include <stdint.h>

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK = 2,
	MQTT_PUBLISH = 3,
	MQTT_PUBACK = 4,
	MQTT_SUBSCRIBE = 8,
	MQTT_SUBACK = 9,
	MQTT_PINGREQ = 12,
	MQTT_PINGRESP = 13,
	MQTT_DISCONNECT = 14,
};

/* Room for each packet below, with topics and payloads of up to 256 bytes. */
#define MQTT_PACKET_MAX 1024

/* Each writes one packet and returns its length. `out` has room for
 * MQTT_PACKET_MAX; texts are at most 256 bytes. */
size_t mqtt_connect(uint8_t *out, const char *client_id);
size_t mqtt_publish(uint8_t *out, const char *topic, int qos, uint16_t id,
		    size_t payload_len);
size_t mqtt_subscribe(uint8_t *out, const char *filter, uint16_t id);
size_t mqtt_empty(uint8_t *out, enum mqtt_type type);

/* A packet that was received; `body` is borrowed. */
struct mqtt_packet {
	enum mqtt_type type;
	const uint8_t *body;
	size_t len;
	size_t whole; /* with its header */
};

/* The packet at the beginning of `in`. Returns 0; -EAGAIN when more of it is
 * to come; or -EPROTO. */
int mqtt_parse(const uint8_t *in, size_t len, struct mqtt_packet *ret);

/* Its packet id: of SUBACK and PUBACK. 0 when it has none. */
uint16_t mqtt_id(const struct mqtt_packet *p);

#endif /* TEST_BENCH_MQTT_H */
