/*
 * idle_broker.h - a broker that does nothing, for tests of what it serves.
 *
 * A test copies it and puts its own functions for those that matter to it. The
 * clock is the pool's, the date always the same; a login that completes fails
 * the test, as nobody logs in.
 */
#ifndef TEST_UNIT_IDLE_BROKER_H
#define TEST_UNIT_IDLE_BROKER_H

#include "plugin/broker.h"

extern const struct broker_ops idle_broker;

#endif /* TEST_UNIT_IDLE_BROKER_H */
