#include "plugin/codec/codec.h"

#include <string.h>
#include "plugin/codec/codec_private.h"
#include "plugin/json_writer.h"
#include "plugin/topic_utf8.h"

/* ---- properties ---- */

enum form {
	FORM_INT,
	FORM_BOOL,
	FORM_TEXT,
	FORM_BASE64,
	FORM_FORMAT,
	FORM_PAIRS,
	FORM_INTS
};

/* In the order sent. */
static const struct {
	const char *name;
	enum property_id id;
	enum form form;
} forms[] = {
	{ "p_assigned_client_id", PROPERTY_ASSIGNED_CLIENT_ID, FORM_TEXT },
	{ "p_authentication_data", PROPERTY_AUTHENTICATION_DATA, FORM_BASE64 },
	{ "p_authentication_method", PROPERTY_AUTHENTICATION_METHOD,
	  FORM_TEXT },
	{ "p_content_type", PROPERTY_CONTENT_TYPE, FORM_TEXT },
	{ "p_correlation_data", PROPERTY_CORRELATION_DATA, FORM_TEXT },
	{ "p_max_packet_size", PROPERTY_MAX_PACKET_SIZE, FORM_INT },
	{ "p_max_qos", PROPERTY_MAX_QOS, FORM_INT },
	{ "p_message_expiry_interval", PROPERTY_MESSAGE_EXPIRY_INTERVAL,
	  FORM_INT },
	{ "p_payload_format_indicator", PROPERTY_PAYLOAD_FORMAT_INDICATOR,
	  FORM_FORMAT },
	{ "p_reason_string", PROPERTY_REASON_STRING, FORM_TEXT },
	{ "p_receive_max", PROPERTY_RECEIVE_MAX, FORM_INT },
	{ "p_request_problem_info", PROPERTY_REQUEST_PROBLEM_INFO, FORM_BOOL },
	{ "p_request_response_info", PROPERTY_REQUEST_RESPONSE_INFO,
	  FORM_BOOL },
	{ "p_response_info", PROPERTY_RESPONSE_INFO, FORM_TEXT },
	{ "p_response_topic", PROPERTY_RESPONSE_TOPIC, FORM_TEXT },
	{ "p_retain_available", PROPERTY_RETAIN_AVAILABLE, FORM_BOOL },
	{ "p_server_keep_alive", PROPERTY_SERVER_KEEP_ALIVE, FORM_INT },
	{ "p_server_ref", PROPERTY_SERVER_REF, FORM_TEXT },
	{ "p_session_expiry_interval", PROPERTY_SESSION_EXPIRY_INTERVAL,
	  FORM_INT },
	{ "p_shared_subs_available", PROPERTY_SHARED_SUBS_AVAILABLE,
	  FORM_BOOL },
	{ "p_sub_ids_available", PROPERTY_SUB_IDS_AVAILABLE, FORM_BOOL },
	{ "p_subscription_id", PROPERTY_SUBSCRIPTION_ID, FORM_INTS },
	{ "p_topic_alias", PROPERTY_TOPIC_ALIAS, FORM_INT },
	{ "p_topic_alias_max", PROPERTY_TOPIC_ALIAS_MAX, FORM_INT },
	{ "p_user_property", PROPERTY_USER_PROPERTY, FORM_PAIRS },
	{ "p_wildcard_subs_available", PROPERTY_WILDCARD_SUBS_AVAILABLE,
	  FORM_BOOL },
	{ "p_will_delay_interval", PROPERTY_WILL_DELAY_INTERVAL, FORM_INT },
};

static void put_single(struct json_writer *w, const char *name, enum form form,
		       const struct property *p)
{
	switch (form) {
	case FORM_BOOL:
		json_bool(w, name, p->number != 0);
		break;
	case FORM_TEXT:
		json_text(w, name, p->text);
		break;
	case FORM_BASE64:
		json_base64(w, name, p->text);
		break;
	case FORM_FORMAT:
		json_text(w, name,
			  bytes_of(p->number == 1 ? "utf8" : "unspecified"));
		break;
	default:
		json_int(w, name, p->number);
		break;
	}
}

/* Those that may come several times, in their order. */
static void put_list(struct json_writer *w, const char *name, enum form form,
		     const struct event *ev, enum property_id id)
{
	json_open(w, name, '[');
	for (size_t i = 0; i < ev->properties_count; i++) {
		const struct property *p = &ev->properties[i];

		if (p->id != (int)id)
			continue;
		if (form == FORM_INTS) {
			json_int(w, NULL, p->number);
			continue;
		}
		json_open(w, NULL, '{');
		json_base64(w, "key", p->name);
		json_base64(w, "val", p->text);
		json_close(w, '}');
	}
	json_close(w, ']');
}

static const struct property *first_of(const struct event *ev,
				       enum property_id id)
{
	for (size_t i = 0; i < ev->properties_count; i++)
		if (ev->properties[i].id == (int)id)
			return &ev->properties[i];
	return NULL;
}

static void put_properties(struct json_writer *w, const struct event *ev,
			   const struct codec_opts *opts)
{
	uint64_t present = 0;

	(void)opts;
	for (size_t i = 0; i < ev->properties_count; i++)
		if ((unsigned)ev->properties[i].id < 64)
			present |= (uint64_t)1 << ev->properties[i].id;
	json_open(w, "properties", '{');
	for (size_t i = 0; present && i < sizeof(forms) / sizeof(*forms); i++) {
		if (!(present & (uint64_t)1 << forms[i].id))
			continue;
		if (forms[i].form >= FORM_PAIRS)
			put_list(w, forms[i].name, forms[i].form, ev,
				 forms[i].id);
		else
			put_single(w, forms[i].name, forms[i].form,
				   first_of(ev, forms[i].id));
	}
	json_close(w, '}');
}

/* ---- the other parts of a body ---- */

static void put_peer(struct json_writer *w, const struct event *ev,
		     const struct codec_opts *opts)
{
	(void)opts;
	json_text(w, "peer_addr", ev->peer_addr);
	json_int(w, "peer_port", ev->peer_port);
}

/* The Latin-1 form of a text that has one and is no ASCII, in `buffer`. */
static bool as_latin1(struct bytes text, uint8_t buffer[static 1024],
		      struct bytes *ret)
{
	const uint8_t *p = text.data, *end = p + text.len;
	bool ascii = true;
	size_t n = 0;

	for (; p < end && n < 1024; p++) {
		uint8_t c = *p;

		if (c >= 0x80) {
			if ((c != 0xc2 && c != 0xc3) || end - p < 2 ||
			    !utf8_is_continuation(p[1]))
				return false;
			c = (uint8_t)(c << 6 | (*++p & 63));
			ascii = false;
		}
		buffer[n++] = c;
	}
	*ret = (struct bytes){ buffer, n };
	return p == end && !ascii;
}

/* VerneMQ sends a mountpoint's characters as if they were bytes, and bytes
 * that are not UTF-8 as U+FFFD: the same here, down to the number of them
 * (contract.md, decision 20). */
static void put_mountpoint(struct json_writer *w, struct bytes mountpoint)
{
	uint8_t buffer[1024];
	struct bytes latin1;

	if (!mountpoint.len)
		mountpoint = bytes_of("");
	else if (as_latin1(mountpoint, buffer, &latin1))
		mountpoint = latin1;
	json_text(w, "mountpoint", mountpoint);
}

static void put_id(struct json_writer *w, const struct event *ev,
		   const struct codec_opts *opts)
{
	(void)opts;
	put_mountpoint(w, ev->mountpoint);
	json_text(w, "client_id",
		  ev->client_id.data ? ev->client_id : bytes_of(""));
}

static void put_username(struct json_writer *w, const struct event *ev,
			 const struct codec_opts *opts)
{
	(void)opts;
	json_text(w, "username", ev->username);
}

static void put_password(struct json_writer *w, const struct event *ev,
			 const struct codec_opts *opts)
{
	(void)opts;
	json_text(w, "password", ev->password);
}

static void put_clean_session(struct json_writer *w, const struct event *ev,
			      const struct codec_opts *opts)
{
	(void)opts;
	json_bool(w, "clean_session", ev->clean);
}

static void put_clean_start(struct json_writer *w, const struct event *ev,
			    const struct codec_opts *opts)
{
	(void)opts;
	json_bool(w, "clean_start", ev->clean);
}

/* "unix:/path" is a listener that VerneMQ calls local. */
static struct bytes listener_addr(struct bytes addr)
{
	static const char unix_socket[] = "unix:";
	size_t len = sizeof(unix_socket) - 1;

	if (addr.len >= len && memcmp(addr.data, unix_socket, len) == 0)
		return bytes_of("local");
	return addr;
}

static void put_listener(struct json_writer *w, const struct event *ev,
			 const struct codec_opts *opts)
{
	const struct listener_info *info = ev->listener;

	if (!info)
		return;
	if (info->client_cert.data && opts->base64_payload)
		json_base64(w, "client_cert", info->client_cert);
	else if (info->client_cert.data)
		json_text(w, "client_cert", info->client_cert);
	else if (info->cert_unknown)
		json_null(w, "client_cert");
	if (!info->has_listener)
		return;
	json_text(w, "listener_addr", listener_addr(info->addr));
	if (info->port < 0)
		json_null(w, "listener_port");
	else
		json_int(w, "listener_port", info->port);
	json_text(w, "listener_type", info->type);
}

/* VerneMQ's form of a topic without any character, which no packet has. */
static void put_topic(struct json_writer *w, const char *key,
		      struct bytes topic)
{
	json_text(w, key, topic.len ? topic : bytes_of("/"));
}

static void put_payload(struct json_writer *w, const struct event *ev,
			const struct codec_opts *opts)
{
	struct bytes payload = ev->payload;

	if (!payload.data)
		payload = bytes_of("");
	if (opts->base64_payload)
		json_base64(w, "payload", payload);
	else
		json_text(w, "payload", payload);
}

static void put_message(struct json_writer *w, const struct event *ev,
			const struct codec_opts *opts)
{
	json_int(w, "qos", ev->qos);
	put_topic(w, "topic", ev->topic);
	put_payload(w, ev, opts);
	json_bool(w, "retain", ev->retain);
}

/* `no_payload` is for these hooks only (contract.md 3). */
static void put_asked_message(struct json_writer *w, const struct event *ev,
			      const struct codec_opts *opts)
{
	json_int(w, "qos", ev->qos);
	put_topic(w, "topic", ev->topic);
	if (!opts->no_payload)
		put_payload(w, ev, opts);
	json_bool(w, "retain", ev->retain);
}

static const char *retain_handling_name(enum retain_handling rh)
{
	return rh == RETAIN_SEND          ? "send_retain"
	       : rh == RETAIN_SEND_IF_NEW ? "send_if_new_sub"
					  : "dont_send";
}

static void put_subscriptions(struct json_writer *w, const struct event *ev,
			      const struct codec_opts *opts)
{
	(void)opts;
	json_open(w, "topics", '[');
	for (size_t i = 0; i < ev->topics_count; i++) {
		const struct topic *t = &ev->topics[i];

		json_open(w, NULL, '{');
		put_topic(w, "topic", t->filter);
		json_int(w, "qos", t->qos);
		if (t->has_options) {
			json_bool(w, "no_local", t->no_local);
			json_bool(w, "rap", t->rap);
			json_text(w, "retain_handling",
				  bytes_of(retain_handling_name(
					  t->retain_handling)));
		}
		json_close(w, '}');
	}
	json_close(w, ']');
}

static void put_filters(struct json_writer *w, const struct event *ev,
			const struct codec_opts *opts)
{
	(void)opts;
	json_open(w, "topics", '[');
	for (size_t i = 0; i < ev->topics_count; i++)
		put_topic(w, NULL, ev->topics[i].filter);
	json_close(w, ']');
}

/* ---- bodies ---- */

typedef void put_fn(struct json_writer *w, const struct event *ev,
		    const struct codec_opts *opts);

/* What each hook's body is made of, in the order sent (contract.md 5). */
static put_fn *const bodies[HOOK_COUNT][8] = {
	[HOOK_AUTH_ON_REGISTER] = { put_peer, put_id, put_username,
				    put_password, put_clean_session,
				    put_listener },
	[HOOK_AUTH_ON_PUBLISH] = { put_username, put_id, put_asked_message },
	[HOOK_AUTH_ON_SUBSCRIBE] = { put_username, put_id, put_subscriptions },
	[HOOK_ON_REGISTER] = { put_peer, put_id, put_username },
	[HOOK_ON_PUBLISH] = { put_username, put_id, put_message },
	[HOOK_ON_SUBSCRIBE] = { put_username, put_id, put_subscriptions },
	[HOOK_ON_UNSUBSCRIBE] = { put_username, put_id, put_filters },
	[HOOK_ON_DELIVER] = { put_username, put_id, put_message,
			      put_properties },
	[HOOK_ON_OFFLINE_MESSAGE] = { put_id, put_message },
	[HOOK_ON_CLIENT_WAKEUP] = { put_id },
	[HOOK_ON_CLIENT_OFFLINE] = { put_id },
	[HOOK_ON_CLIENT_GONE] = { put_id },
	[HOOK_ON_SESSION_EXPIRED] = { put_id },
	[HOOK_AUTH_ON_REGISTER_M5] = { put_peer, put_id, put_username,
				       put_password, put_clean_start,
				       put_properties, put_listener },
	[HOOK_AUTH_ON_PUBLISH_M5] = { put_username, put_id, put_asked_message,
				      put_properties },
	[HOOK_AUTH_ON_SUBSCRIBE_M5] = { put_username, put_id, put_subscriptions,
					put_properties },
	[HOOK_ON_REGISTER_M5] = { put_peer, put_id, put_username,
				  put_properties },
	[HOOK_ON_PUBLISH_M5] = { put_username, put_id, put_message,
				 put_properties },
	[HOOK_ON_SUBSCRIBE_M5] = { put_username, put_id, put_subscriptions,
				   put_properties },
	[HOOK_ON_UNSUBSCRIBE_M5] = { put_username, put_id, put_filters,
				     put_properties },
	[HOOK_ON_DELIVER_M5] = { put_username, put_id, put_message,
				 put_properties },
	[HOOK_ON_AUTH_M5] = { put_username, put_id, put_properties },
};

int codec_encode(const struct event *ev, const struct codec_opts *opts,
		 char **ret_body, size_t *ret_len)
{
	struct json_writer w = JSON_WRITER_INIT;
	put_fn *const *put = bodies[ev->hook];

	/* Enough at once for most: the long parts, in base64 or unescaped. */
	json_reserve(&w, 512 + ev->topic.len + ev->client_id.len +
				 ev->payload.len / 3 * 4);
	json_open(&w, NULL, '{');
	for (; *put; put++)
		(*put)(&w, ev, opts);
	json_close(&w, '}');
	return json_finish(&w, ret_body, ret_len);
}
