/*
 * broker_property.c - MQTT 5 properties between the host's lists and ours.
 *
 * The readers are looked up at run time, until they are found: 2.1 exports
 * them, Debian's 2.0.11 does by accident, 2.0.21 does not; libmosquitto always
 * has them.
 */
#include "plugin/broker/broker_host.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum shape {
	SHAPE_NONE = 0,
	SHAPE_BYTE,
	SHAPE_INT16,
	SHAPE_INT32,
	SHAPE_VARINT,
	SHAPE_STRING,
	SHAPE_BINARY,
	SHAPE_PAIR,
};

/* MQTT 5 table 2-4. Those that no PUBLISH carries are not ours to read. */
static const unsigned char shapes[] = {
	[MQTT_PROP_PAYLOAD_FORMAT_INDICATOR] = SHAPE_BYTE,
	[MQTT_PROP_MESSAGE_EXPIRY_INTERVAL] = SHAPE_INT32,
	[MQTT_PROP_CONTENT_TYPE] = SHAPE_STRING,
	[MQTT_PROP_RESPONSE_TOPIC] = SHAPE_STRING,
	[MQTT_PROP_CORRELATION_DATA] = SHAPE_BINARY,
	[MQTT_PROP_SUBSCRIPTION_IDENTIFIER] = SHAPE_VARINT,
	[MQTT_PROP_USER_PROPERTY] = SHAPE_PAIR,
};

static enum shape shape_of(int id)
{
	if (id < 0 || (size_t)id >= sizeof(shapes))
		return SHAPE_NONE;
	return shapes[id];
}

static bool look_up(void *lib, struct host_readers *r)
{
	static const struct {
		const char *name;
		size_t offset;
	} names[] = {
		{ "mosquitto_property_identifier",
		  offsetof(struct host_readers, identifier) },
		{ "mosquitto_property_next",
		  offsetof(struct host_readers, next) },
		{ "mosquitto_property_read_byte",
		  offsetof(struct host_readers, byte) },
		{ "mosquitto_property_read_int16",
		  offsetof(struct host_readers, int16) },
		{ "mosquitto_property_read_int32",
		  offsetof(struct host_readers, int32) },
		{ "mosquitto_property_read_varint",
		  offsetof(struct host_readers, varint) },
		{ "mosquitto_property_read_string",
		  offsetof(struct host_readers, string) },
		{ "mosquitto_property_read_binary",
		  offsetof(struct host_readers, binary) },
		{ "mosquitto_property_read_string_pair",
		  offsetof(struct host_readers, pair) },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *f = dlsym(lib, names[i].name);

		if (!f)
			return false;
		memcpy((char *)r + names[i].offset, &f, sizeof(f));
	}
	/* What 2.1's readers return is the broker's to free, 2.0's is libc's. */
	r->free = mosquitto_plugin_set_info ? mosquitto_free : free;
	return true;
}

static bool find_readers(struct host_readers *r)
{
	void *lib;

	if (r->found)
		return true;
	r->found = look_up(RTLD_DEFAULT, r);
	if (r->found)
		return true;
	/* Never closed: the library stays, a second look finds it loaded. */
	lib = dlopen("libmosquitto.so.1", RTLD_NOW | RTLD_LOCAL);
	r->found = lib && look_up(lib, r);
	return r->found;
}

/* ---- reading ---- */

/* Take over what a host's reader made; of an empty value it may be NULL. */
static int adopt(const struct host_readers *r, void *made, size_t len,
		 struct bytes *ret)
{
	char *copy = malloc(len + 1);

	if (copy) {
		if (len)
			memcpy(copy, made, len);
		copy[len] = '\0';
		*ret = (struct bytes){ copy, len };
	}
	r->free(made);
	return copy ? 0 : -ENOMEM;
}

static int adopt_text(const struct host_readers *r, char *made,
		      struct bytes *ret)
{
	return adopt(r, made, made ? strlen(made) : 0, ret);
}

static int read_text(const struct host_readers *r, const mosquitto_property *p,
		     int id, struct bytes *ret)
{
	char *text = NULL;

	if (!r->string(p, id, &text, false))
		return -ENOMEM;
	return adopt_text(r, text, ret);
}

static int read_binary(const struct host_readers *r,
		       const mosquitto_property *p, int id, struct bytes *ret)
{
	void *data = NULL;
	uint16_t len = 0;

	if (!r->binary(p, id, &data, &len, false))
		return -ENOMEM;
	return adopt(r, data, data ? len : 0, ret);
}

static int read_pair(const struct host_readers *r, const mosquitto_property *p,
		     int id, struct property *ret)
{
	char *name = NULL, *value = NULL;
	int err;

	if (!r->pair(p, id, &name, &value, false))
		return -ENOMEM;
	err = adopt_text(r, name, &ret->name);
	if (err) {
		r->free(value);
		return err;
	}
	return adopt_text(r, value, &ret->text);
}

static int read_one(const struct host_readers *r, const mosquitto_property *p,
		    struct property *ret)
{
	uint8_t byte = 0;
	uint16_t int16 = 0;

	ret->id = r->identifier(p);
	switch (shape_of(ret->id)) {
	case SHAPE_BYTE:
		r->byte(p, ret->id, &byte, false);
		ret->number = byte;
		return 0;
	case SHAPE_INT16:
		r->int16(p, ret->id, &int16, false);
		ret->number = int16;
		return 0;
	case SHAPE_INT32:
		r->int32(p, ret->id, &ret->number, false);
		return 0;
	case SHAPE_VARINT:
		r->varint(p, ret->id, &ret->number, false);
		return 0;
	case SHAPE_STRING:
		return read_text(r, p, ret->id, &ret->text);
	case SHAPE_BINARY:
		return read_binary(r, p, ret->id, &ret->text);
	case SHAPE_PAIR:
		return read_pair(r, p, ret->id, ret);
	default:
		return -EINVAL;
	}
}

__attribute__((noinline)) static void free_list(struct host_properties *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free((void *)p->list[i].name.data);
		free((void *)p->list[i].text.data);
	}
	free(p->list);
	memset(p, 0, sizeof(*p));
}

void host_properties_clear(struct host_properties *p)
{
	if (p->list)
		free_list(p);
}

int host_properties_read(struct host_readers *r, const mosquitto_property *from,
			 struct host_properties *ret)
{
	size_t n = 0;
	int err = 0;

	memset(ret, 0, sizeof(*ret));
	if (!from)
		return 0;
	if (!find_readers(r))
		return -ENOTSUP;
	for (const mosquitto_property *p = from; p; p = r->next(p))
		n++;
	ret->list = calloc(n, sizeof(*ret->list));
	if (!ret->list)
		return -ENOMEM;
	for (const mosquitto_property *p = from; p && !err; p = r->next(p)) {
		if (shape_of(r->identifier(p)) == SHAPE_NONE)
			continue;
		err = read_one(r, p, &ret->list[ret->count++]);
	}
	if (err)
		host_properties_clear(ret);
	return err;
}

/* ---- writing ---- */

static int write_one(mosquitto_property **list, const struct property *p)
{
	switch (shape_of(p->id)) {
	case SHAPE_BYTE:
		return mosquitto_property_add_byte(list, p->id,
						   (uint8_t)p->number);
	case SHAPE_INT32:
		return mosquitto_property_add_int32(list, p->id, p->number);
	case SHAPE_STRING:
		return mosquitto_property_add_string(list, p->id, p->text.data);
	case SHAPE_BINARY:
		return mosquitto_property_add_binary(list, p->id, p->text.data,
						     (uint16_t)p->text.len);
	case SHAPE_PAIR:
		return mosquitto_property_add_string_pair(
			list, p->id, p->name.data, p->text.data);
	default:
		/* A will's delay, which a reply may set (contract.md, 7), is
		 * over when it is asked about. */
		return p->id == MQTT_PROP_WILL_DELAY_INTERVAL ? MOSQ_ERR_SUCCESS
							      : MOSQ_ERR_INVAL;
	}
}

int host_properties_write(const struct property *list, size_t count,
			  mosquitto_property **ret)
{
	mosquitto_property *made = NULL;
	int rc = MOSQ_ERR_SUCCESS;

	for (size_t i = 0; i < count && rc == MOSQ_ERR_SUCCESS; i++)
		rc = write_one(&made, &list[i]);
	if (rc != MOSQ_ERR_SUCCESS) {
		mosquitto_property_free_all(&made);
		return rc == MOSQ_ERR_NOMEM ? -ENOMEM : -EINVAL;
	}
	*ret = made;
	return 0;
}
