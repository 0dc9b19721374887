/*
 * layout.c - print how the headers it is compiled with lay out what the
 * plugin shares with the broker; scripts/check-abi compares the prints.
 */
#include <stddef.h>
#include <stdio.h>
#include "plugin/broker/broker_abi.h"

#define SIZE(s)      printf(#s " %zu\n", sizeof(struct s))
#define AT(s, field) printf(#s "." #field " %zu\n", offsetof(struct s, field))
#define VALUE(v)     printf(#v " %d\n", (int)(v))

int main(void)
{
	SIZE(mosquitto_evt_basic_auth);
	AT(mosquitto_evt_basic_auth, client);
	AT(mosquitto_evt_basic_auth, username);
	AT(mosquitto_evt_basic_auth, password);
	SIZE(mosquitto_evt_acl_check);
	AT(mosquitto_evt_acl_check, client);
	AT(mosquitto_evt_acl_check, topic);
	AT(mosquitto_evt_acl_check, payload);
	AT(mosquitto_evt_acl_check, properties);
	AT(mosquitto_evt_acl_check, access);
	AT(mosquitto_evt_acl_check, payloadlen);
	AT(mosquitto_evt_acl_check, qos);
	AT(mosquitto_evt_acl_check, retain);
	SIZE(mosquitto_evt_message);
	AT(mosquitto_evt_message, client);
	AT(mosquitto_evt_message, topic);
	AT(mosquitto_evt_message, payload);
	AT(mosquitto_evt_message, properties);
	AT(mosquitto_evt_message, payloadlen);
	AT(mosquitto_evt_message, qos);
	AT(mosquitto_evt_message, retain);
	SIZE(mosquitto_evt_disconnect);
	AT(mosquitto_evt_disconnect, client);
	AT(mosquitto_evt_disconnect, reason);
	SIZE(mosquitto_evt_connect);
	AT(mosquitto_evt_connect, client);
	SIZE(mosquitto_evt_client_offline);
	AT(mosquitto_evt_client_offline, client);
	SIZE(mosquitto_evt_subscribe);
	AT(mosquitto_evt_subscribe, client);
	AT(mosquitto_evt_subscribe, data.topic_filter);
	AT(mosquitto_evt_subscribe, data.identifier);
	AT(mosquitto_evt_subscribe, data.options);
	SIZE(mosquitto_evt_unsubscribe);
	AT(mosquitto_evt_unsubscribe, client);
	AT(mosquitto_evt_unsubscribe, data.topic_filter);
	SIZE(mosquitto_client);
	AT(mosquitto_client, clientid);
	AT(mosquitto_client, username);
	AT(mosquitto_client, session_expiry_time);
	AT(mosquitto_client, session_expiry_interval);
	AT(mosquitto_client, max_packet_size);
	AT(mosquitto_client, max_qos);
	AT(mosquitto_client, retain_available);
	SIZE(mosquitto_evt_extended_auth);
	AT(mosquitto_evt_extended_auth, client);
	AT(mosquitto_evt_extended_auth, data_in);
	AT(mosquitto_evt_extended_auth, data_out);
	AT(mosquitto_evt_extended_auth, data_in_len);
	AT(mosquitto_evt_extended_auth, data_out_len);
	AT(mosquitto_evt_extended_auth, auth_method);
	SIZE(mosquitto_opt);
	AT(mosquitto_opt, key);
	AT(mosquitto_opt, value);
	VALUE(MOSQ_EVT_RELOAD);
	VALUE(MOSQ_EVT_TICK);
	VALUE(MOSQ_EVT_BASIC_AUTH);
	VALUE(MOSQ_EVT_ACL_CHECK);
	VALUE(MOSQ_EVT_MESSAGE);
	VALUE(BROKER_EVT_MESSAGE);
	VALUE(MOSQ_EVT_DISCONNECT);
	VALUE(MOSQ_EVT_CONNECT);
	VALUE(MOSQ_EVT_CLIENT_OFFLINE);
	VALUE(MOSQ_EVT_MESSAGE_OUT);
	VALUE(MOSQ_EVT_EXT_AUTH_START);
	VALUE(MOSQ_EVT_EXT_AUTH_CONTINUE);
	VALUE(MOSQ_ERR_AUTH_CONTINUE);
	VALUE(MOSQ_EVT_SUBSCRIBE);
	VALUE(MOSQ_EVT_UNSUBSCRIBE);
	VALUE(MOSQ_ERR_SUCCESS);
	VALUE(MOSQ_ERR_AUTH);
	VALUE(MOSQ_ERR_AUTH_DELAYED);
	VALUE(MOSQ_ERR_ACL_DENIED);
	VALUE(MOSQ_ERR_PLUGIN_DEFER);
	VALUE(MOSQ_ERR_PLUGIN_IGNORE);
	VALUE(MOSQ_ERR_NOMEM);
	VALUE(MOSQ_ERR_INVAL);
	VALUE(MOSQ_ACL_READ);
	VALUE(MOSQ_ACL_WRITE);
	VALUE(MOSQ_ACL_SUBSCRIBE);
	VALUE(MOSQ_ACL_UNSUBSCRIBE);
	VALUE(MOSQ_LOG_INFO);
	VALUE(MOSQ_LOG_WARNING);
	VALUE(MOSQ_LOG_ERR);
	VALUE(MOSQ_LOG_DEBUG);
	return 0;
}
