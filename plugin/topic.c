#include "plugin/topic.h"

#include <string.h>
#include "plugin/topic_utf8.h"

enum {
	STRING_MAX = 65535
};

bool topic_utf8_valid(struct bytes text)
{
	const uint8_t *p = text.data;
	size_t left = text.len;

	if (left > STRING_MAX)
		return false;
	while (left) {
		size_t n = *p ? utf8_sequence(p, left) : 0;

		if (!n)
			return false;
		p += n;
		left -= n;
	}
	return true;
}

/* Whether `topic` is `root` or lies below it. */
static bool is_below(struct bytes topic, const char *root)
{
	size_t len = strlen(root);

	return topic.len >= len && memcmp(topic.data, root, len) == 0 &&
	       (topic.len == len || ((const char *)topic.data)[len] == '/');
}

static bool not_too_deep(struct bytes topic)
{
	const char *p = topic.data, *end = p + topic.len;
	size_t levels = 1;

	for (; p < end; p++)
		levels += *p == '/';
	return levels <= TOPIC_MAX_LEVELS;
}

bool topic_name_wellformed(struct bytes topic)
{
	return topic.len && topic_utf8_valid(topic) &&
	       !memchr(topic.data, '+', topic.len) &&
	       !memchr(topic.data, '#', topic.len) && not_too_deep(topic);
}

bool topic_name_valid(struct bytes topic)
{
	return topic_name_wellformed(topic) && !is_below(topic, "$SYS") &&
	       !is_below(topic, "$share") && !topic_is_control(topic);
}

/* Wildcards fill their level, and nothing follows `#`. */
static bool wildcards_valid(struct bytes filter)
{
	const char *p = filter.data, *end = p + filter.len, *level = p;

	for (; p < end; p++) {
		if (*p == '/')
			level = p + 1;
		else if ((*p == '+' || *p == '#') &&
			 (p != level || (p + 1 < end && p[1] != '/')))
			return false;
		if (*p == '#' && p + 1 < end)
			return false;
	}
	return true;
}

/* What follows "$share/group/" (MQTT 5 section 4.8.2), or the whole filter
 * when it is not shared. False when it is shared without a group or with
 * wildcards in its name. */
static bool unshare(struct bytes filter, struct bytes *ret)
{
	const char *p, *end, *slash;

	*ret = filter;
	if (!is_below(filter, "$share"))
		return true;
	end = (const char *)filter.data + filter.len;
	p = (const char *)filter.data + strlen("$share");
	if (p == end)
		return false;
	p++;
	slash = memchr(p, '/', (size_t)(end - p));
	if (!slash || slash == p || memchr(p, '+', (size_t)(slash - p)) ||
	    memchr(p, '#', (size_t)(slash - p)))
		return false;
	*ret = (struct bytes){ slash + 1, (size_t)(end - slash - 1) };
	return true;
}

bool topic_filter_valid(struct bytes filter)
{
	struct bytes own;

	return topic_utf8_valid(filter) && unshare(filter, &own) && own.len &&
	       wildcards_valid(own) && not_too_deep(own) &&
	       !is_below(own, "$CONTROL");
}

bool topic_is_control(struct bytes topic)
{
	struct bytes own;

	return unshare(topic, &own) && is_below(own, "$CONTROL");
}
