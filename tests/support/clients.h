/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bus without a bus: what holders and sinks need of it, on a virtual clock, and clients that nobody has to connect. A
 * client reads what it is sent only when clients_read() says so.
 */
#pragma once

#include "../../src/bus/bus_priv.h"
#include "../../src/bus/client.h"
#include "../../src/bus/holder.h"
#include "../../src/bus/sink.h"

#define TEST_LINGER_MS 1000

static inline void test_client_paced(struct timer *t)
{
}

static inline void test_client_init(struct client *c, struct bus *bus, char *name)
{
	*c = (struct client){ .bus = bus, .name = name };
	list_init(&c->link);
	list_init(&c->calls);
	list_init(&c->holdings);
	list_init(&c->sinks);
	list_init(&c->blocked);
	list_init(&c->streams);
	timer_init(&c->credit.pace, bus->loop, test_client_paced);
}

/** test_client_reads() - it has read everything, and has said so */
static inline void test_client_reads(struct client *c)
{
	c->credit.read = c->credit.sent;
	sinks_unblock(c);
}

/** test_client_leaves() - as client_free(), for one without calls */
static inline void test_client_leaves(struct client *c)
{
	holdings_drop(c);
	sinks_orphan(c);
	streams_orphan(c);
	timer_stop(&c->credit.pace);
}

static inline void test_bus_init(struct bus *bus)
{
	*bus = (struct bus){ .config = { .linger_ms = TEST_LINGER_MS,
					 .calls = 8,
					 .scanners = 2,
					 .advertisers = 2,
					 .connections = 2,
					 .subscriptions = 2,
					 .streams = 2,
					 .applications = 2 } };
	if (loop_new_virtual(&bus->loop) < 0)
		abort();
	list_init(&bus->adapters);
	list_init(&bus->dirty);
	list_init(&bus->flush);
	list_init(&bus->streams);
}

static inline void test_bus_deinit(struct bus *bus)
{
	streams_free(bus);
	bus->loop = loop_free(bus->loop);
}
