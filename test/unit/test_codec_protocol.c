/*
 * The examples of docs/protocol.md, through the codec: "```json HOOK request
 * [VARIANT]" holds what codec_encode() makes of an event below, "```json HOOK
 * reply" and "```json HOOK refused" hold bodies, one a line, for
 * codec_decode(). Run in the repository's root.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/codec/codec.h"
#include "plugin/hook_table.h"

/* ---- the events behind the requests ---- */

static const struct codec_opts defaults = { .base64_payload = true };

static const struct property publish_properties[] = {
	{ .id = 38, .name = { "k", 1 }, .text = { "v", 1 } },
	{ .id = 11, .number = 5 }, /* of a delivery */
	{ .id = 9, .text = { "corr", 4 } },
	{ .id = 8, .text = { "re/ply", 6 } },
	{ .id = 3, .text = { "text/plain", 10 } },
	{ .id = 2, .number = 30 },
	{ .id = 1, .number = 1 },
};
static const struct property auth_properties[] = {
	{ .id = 21, .text = { "M", 1 } },
	{ .id = 22, .text = { "\x01\x02\xff", 3 } },
};
static const struct property subscription_id[] = { { .id = 11, .number = 7 } };
static const struct topic asked_topics[] = {
	{ .filter = { "a/#", 3 }, .qos = 1 },
};
static const struct topic told_topics[] = {
	{ .filter = { "a/#", 3 }, .qos = 1 },
	{ .filter = { "b", 1 }, .qos = 128 },
};
static const struct topic told_topics_m5[] = {
	{ .filter = { "a/#", 3 },
	  .qos = 1,
	  .has_options = true,
	  .rap = true,
	  .retain_handling = RETAIN_SEND_IF_NEW },
};
static const struct listener_info listener = {
	.addr = { "0.0.0.0", 7 },
	.type = { "mqtts", 5 },
	.port = 8883,
	.has_listener = true,
	.client_cert = { "\x30\x82\x01", 3 },
};

#define SET(ev, what, array)                                                   \
	((ev)->what = (array),                                                 \
	 (ev)->what##_count = sizeof(array) / sizeof(*(array)))

static void add_lists(struct event *ev)
{
	struct property *no_id;

	switch (ev->hook) {
	case HOOK_AUTH_ON_SUBSCRIBE:
	case HOOK_AUTH_ON_SUBSCRIBE_M5:
		SET(ev, topics, asked_topics);
		break;
	case HOOK_ON_SUBSCRIBE:
	case HOOK_ON_UNSUBSCRIBE:
	case HOOK_ON_UNSUBSCRIBE_M5:
		SET(ev, topics, told_topics);
		break;
	case HOOK_ON_SUBSCRIBE_M5:
		SET(ev, topics, told_topics_m5);
		SET(ev, properties, subscription_id);
		break;
	case HOOK_ON_AUTH_M5:
		SET(ev, properties, auth_properties);
		break;
	case HOOK_ON_DELIVER_M5:
		SET(ev, properties, publish_properties);
		break;
	case HOOK_AUTH_ON_PUBLISH_M5:
	case HOOK_ON_PUBLISH_M5:
		SET(ev, properties, publish_properties);
		no_id = malloc(sizeof(publish_properties));
		assert_non_null(no_id);
		memcpy(no_id, publish_properties, sizeof(publish_properties));
		no_id[1].id = 0;
		ev->properties = no_id;
		break;
	default:
		break;
	}
}

static void release_lists(struct event *ev)
{
	if (ev->hook == HOOK_AUTH_ON_PUBLISH_M5 ||
	    ev->hook == HOOK_ON_PUBLISH_M5)
		free((void *)ev->properties);
}

static void make_event(enum hook_id hook, const char *variant, struct event *ev,
		       struct codec_opts *opts)
{
	*opts = defaults;
	*ev = (struct event){
		.hook = hook,
		.peer_addr = bytes_of("192.0.2.7"),
		.mountpoint = bytes_of(""),
		.client_id = bytes_of("c1"),
		.username = bytes_of("u"),
		.password = bytes_of("pw"),
		.clean = true,
		.qos = 1,
		.topic = bytes_of("a/b"),
		.payload = bytes_of("hi"),
	};
	add_lists(ev);
	if (strcmp(variant, "anonymous") == 0) {
		ev->mountpoint = bytes_of("mp");
		ev->username = ev->password = bytes_of(NULL);
		ev->clean = false;
	} else if (strcmp(variant, "listener") == 0) {
		ev->listener = &listener;
	} else if (strcmp(variant, "no_payload") == 0) {
		opts->no_payload = true;
	} else if (strcmp(variant, "raw") == 0) {
		opts->base64_payload = false;
	} else {
		assert_string_equal(variant, "");
	}
}

/* ---- one example ---- */

struct seen {
	bool request, reply;
};

static void try_request(enum hook_id hook, const char *variant,
			const char *line)
{
	struct codec_opts opts;
	struct event ev;
	char *body = NULL;
	size_t len;

	make_event(hook, variant, &ev, &opts);
	assert_int_equal(codec_encode(&ev, &opts, &body, &len), 0);
	assert_string_equal(body, line);
	free(body);
	release_lists(&ev);
}

static void try_reply(enum hook_id hook, const char *line, int expected)
{
	const struct verdict *v = NULL;
	char error[CODEC_ERROR_LEN] = "";
	int err = codec_decode(hook, &defaults, line, strlen(line), &v, error);

	if (err != expected)
		fail_msg("%s: %s", line, err ? error : "taken");
	verdict_unref(v);
}

static void try_line(const char *label, const char *line, struct seen *seen)
{
	char name[40] = "", kind[20] = "", variant[20] = "";
	enum hook_id hook;

	sscanf(label, "%39s %19s %19s", name, kind, variant);
	hook = hook_by_name(name);
	if (hook == HOOK_COUNT)
		fail_msg("no such hook: %s", label);
	if (strcmp(kind, "request") == 0) {
		try_request(hook, variant, line);
		seen[hook].request = true;
	} else if (strcmp(kind, "reply") == 0) {
		try_reply(hook, line, 0);
		seen[hook].reply = true;
	} else {
		assert_string_equal(kind, "refused");
		try_reply(hook, line, -EBADMSG);
	}
}

static void every_example_is_true(void **state)
{
	struct seen seen[HOOK_COUNT] = { 0 };
	FILE *f = fopen("docs/protocol.md", "r");
	char line[4096], label[100] = "";
	bool inside = false;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "```", 3) == 0) {
			inside = strncmp(line, "```json ", 8) == 0;
			snprintf(label, sizeof(label), "%.99s",
				 inside ? line + 8 : "");
		} else if (inside) {
			try_line(label, line, seen);
		}
	}
	fclose(f);
	for (int hook = 0; hook < HOOK_COUNT; hook++) {
		if (!seen[hook].request)
			fail_msg("no request of %s", hook_table[hook].name);
	}
	assert_true(seen[HOOK_AUTH_ON_PUBLISH].reply);
	assert_true(seen[HOOK_ON_AUTH_M5].reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_example_is_true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
