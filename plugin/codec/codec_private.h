/*
 * codec_private.h - what the files of codec.h share.
 */
#ifndef PLUGIN_CODEC_CODEC_PRIVATE_H
#define PLUGIN_CODEC_CODEC_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/codec/codec.h"

/* MQTT 5 section 2.2.2.2, in its numbers. */
enum property_id {
	PROPERTY_PAYLOAD_FORMAT_INDICATOR = 1,
	PROPERTY_MESSAGE_EXPIRY_INTERVAL = 2,
	PROPERTY_CONTENT_TYPE = 3,
	PROPERTY_RESPONSE_TOPIC = 8,
	PROPERTY_CORRELATION_DATA = 9,
	PROPERTY_SUBSCRIPTION_ID = 11,
	PROPERTY_SESSION_EXPIRY_INTERVAL = 17,
	PROPERTY_ASSIGNED_CLIENT_ID = 18,
	PROPERTY_SERVER_KEEP_ALIVE = 19,
	PROPERTY_AUTHENTICATION_METHOD = 21,
	PROPERTY_AUTHENTICATION_DATA = 22,
	PROPERTY_REQUEST_PROBLEM_INFO = 23,
	PROPERTY_WILL_DELAY_INTERVAL = 24,
	PROPERTY_REQUEST_RESPONSE_INFO = 25,
	PROPERTY_RESPONSE_INFO = 26,
	PROPERTY_SERVER_REF = 28,
	PROPERTY_REASON_STRING = 31,
	PROPERTY_RECEIVE_MAX = 33,
	PROPERTY_TOPIC_ALIAS_MAX = 34,
	PROPERTY_TOPIC_ALIAS = 35,
	PROPERTY_MAX_QOS = 36,
	PROPERTY_RETAIN_AVAILABLE = 37,
	PROPERTY_USER_PROPERTY = 38,
	PROPERTY_MAX_PACKET_SIZE = 39,
	PROPERTY_WILDCARD_SUBS_AVAILABLE = 40,
	PROPERTY_SUB_IDS_AVAILABLE = 41,
	PROPERTY_SHARED_SUBS_AVAILABLE = 42,
};

/*
 * Whether `body` is one JSON text by RFC 8259, within the limits of
 * contract.md, decision 3: a leading byte order mark is stepped over, nesting
 * is at most CODEC_JSON_DEPTH, strings are well-formed UTF-8 without half
 * surrogate pairs, a number has at most CODEC_JSON_NUMBER characters and is
 * not beyond a double. So that cJSON, which is lenient, sees only what is
 * right.
 * Returns 0 with `ret` filled; or -EBADMSG with the byte offset in `reterr`.
 */
#define CODEC_JSON_DEPTH  32
#define CODEC_JSON_NUMBER 63
struct json_facts {
	size_t bom;     /* length of the mark: the text begins behind it */
	bool nul;       /* there is a \u0000 in some string */
	bool float_qos; /* some "qos" is written as a float: cJSON does not
			 * tell 1.0 from 1, and VerneMQ takes no float there */
};
int codec_json_validate(const char *body, size_t len, struct json_facts *ret,
			char reterr[static CODEC_ERROR_LEN]);

/* ---- replies ---- */

struct cJSON;

/* A reply being read. Texts in `verdict` point into the cJSON tree or into
 * `scratch`; verdict_create() gathers them. */
struct reading {
	enum hook_id hook;
	const struct codec_opts *opts;
	char *error;    /* CODEC_ERROR_LEN, the caller's */
	bool float_qos; /* of json_facts */
	struct verdict verdict;
	struct modifier_value values[MODIFIER_COUNT];
	struct topic *topics; /* owned, as the next two */
	struct property *properties;
	char *scratch; /* decoded texts, one after another */
	size_t scratch_used, scratch_size;
	size_t properties_size;
};

/* In a tree, \u0000 is these two bytes, which are no UTF-8 and so cannot be
 * anything else: cJSON's strings end at a NUL. */
#define CODEC_NUL "\xc0\x80"

/* Read `modifiers`, or the `topics` of a v3 reply, into `r`. Returns 0,
 * -EBADMSG with r->error, or -ENOMEM. What is none changes nothing. */
int codec_read_modifiers(struct reading *r, const struct cJSON *modifiers);
int codec_read_topics(struct reading *r, const struct cJSON *topics);

/* Absent, null, {} and [] are none (contract.md, decision 2). */
bool codec_is_none(const struct cJSON *item);

/* The bytes of a JSON string, its NULs included; and those that it holds in
 * base64: standard alphabet, padded, white space stepped over as VerneMQ
 * does. Returns 0; -ENOMEM; or, for base64, -EBADMSG without an error text.
 * `ret` points into `text` or r->scratch. */
int codec_read_binary(struct reading *r, const char *text, struct bytes *ret);
int codec_read_base64(struct reading *r, const char *text, struct bytes *ret);

/* Set r->error and return -EBADMSG. */
int codec_refuse(struct reading *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A copy of `text` that can go into a log line: cut, and without control
 * characters. */
#define CODEC_NAME_LEN 64
const char *codec_printable(const char *text, char ret[static CODEC_NAME_LEN]);

#endif /* PLUGIN_CODEC_CODEC_PRIVATE_H */
