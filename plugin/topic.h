/*
 * topic.h - validity of topic names and filters (MQTT 5 section 4.7) and of
 * UTF-8 strings (section 1.5.4). Pure functions, any thread.
 */
#ifndef PLUGIN_TOPIC_H
#define PLUGIN_TOPIC_H

#include <stdbool.h>
#include "plugin/event.h"

/* How many levels a reply's topic may have: VerneMQ's `topic_max_depth` as it
 * comes, which endpoints were written against (contract.md 7). Of a shared
 * subscription the filter alone counts. What clients send is not measured. */
#define TOPIC_MAX_LEVELS 10

/* Well-formed UTF-8 without U+0000, at most 65535 bytes. */
bool topic_utf8_valid(struct bytes text);

/* A topic name: not empty, no wildcard, at most TOPIC_MAX_LEVELS levels. */
bool topic_name_wellformed(struct bytes topic);

/* What a reply may publish to: a topic name, and not below $SYS, $CONTROL or
 * $share, which no endpoint may reach (contract.md, decision 28). */
bool topic_name_valid(struct bytes topic);

/* What a reply may subscribe to: wildcards only as whole levels, `#` last;
 * `$share/group/filter` with a group and a filter; at most TOPIC_MAX_LEVELS
 * levels; not below $CONTROL, shared or not. */
bool topic_filter_valid(struct bytes filter);

/* Whether `topic`, a name or a filter, shared or not, is `$CONTROL` or below
 * it. */
bool topic_is_control(struct bytes topic);

#endif /* PLUGIN_TOPIC_H */
