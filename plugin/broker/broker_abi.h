/*
 * broker_abi.h - the host's plugin interface, whatever its headers' version.
 *
 * One .so serves every Mosquitto from 2.0.11 on, whichever headers it was
 * compiled with. What 2.0's headers lack is declared here by its layout in
 * 2.1 (scripts/check-abi compares them); 2.1's functions are weak,
 * so that 2.0 loads us: they are NULL there.
 */
#ifndef PLUGIN_BROKER_BROKER_ABI_H
#define PLUGIN_BROKER_BROKER_ABI_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <mosquitto.h>

#if LIBMOSQUITTO_VERSION_NUMBER < 2001000

#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>

#define MOSQ_EVT_CONNECT        11
#define MOSQ_EVT_SUBSCRIBE      12
#define MOSQ_EVT_UNSUBSCRIBE    13
#define MOSQ_EVT_MESSAGE_OUT    27
#define MOSQ_EVT_CLIENT_OFFLINE 28

#define MOSQ_ERR_AUTH_DELAYED  (-5)
#define MOSQ_ERR_PLUGIN_IGNORE 32

struct mosquitto_client {
	char *clientid;
	char *username;
	char *auth_method;
	time_t will_delay_time;
	time_t session_expiry_time;
	uint32_t will_delay_interval;
	uint32_t session_expiry_interval;
	uint32_t max_packet_size;
	uint16_t listener_port;
	uint8_t max_qos;
	bool retain_available;
	void *future2[8];
};

struct mosquitto_subscription {
	char *clientid;
	char *topic_filter;
	mosquitto_property *properties;
	uint32_t identifier;
	uint8_t options;
	uint8_t padding[3];
	void *future2[8];
};

struct mosquitto_evt_connect {
	void *future;
	struct mosquitto *client;
	void *future2[4];
};

struct mosquitto_evt_client_offline {
	void *future;
	struct mosquitto *client;
	int reason;
	void *future2[4];
};

struct mosquitto_evt_subscribe {
	void *future;
	struct mosquitto *client;
	struct mosquitto_subscription data;
	void *future2[8];
};

struct mosquitto_evt_unsubscribe {
	void *future;
	struct mosquitto *client;
	struct mosquitto_subscription data;
	void *future2[8];
};

#endif

/* Both 7; 2.1 deprecates the older name. */
#define BROKER_EVT_MESSAGE 7

/* The reason of a DISCONNECT by takeover, MQTT 5 section 3.14.2.1. */
#define BROKER_SESSION_TAKEN_OVER 142

/* Of 2.1. NULL on 2.0. */
extern struct mosquitto *mosquitto_client(const char *clientid)
	__attribute__((weak));
extern int mosquitto_client_port(const struct mosquitto *client)
	__attribute__((weak));
extern int mosquitto_set_clientid(struct mosquitto *client,
				  const char *clientid) __attribute__((weak));
extern int mosquitto_persist_client_update(struct mosquitto_client *client)
	__attribute__((weak));
extern void mosquitto_complete_basic_auth(const char *clientid, int result)
	__attribute__((weak));
extern int mosquitto_plugin_set_info(mosquitto_plugin_id_t *identifier,
				     const char *plugin_name,
				     const char *plugin_version)
	__attribute__((weak));

#endif /* PLUGIN_BROKER_BROKER_ABI_H */
