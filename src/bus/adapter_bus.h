/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.aioble.Adapter1: one adapter, its scanners and its links on the bus. */
#pragma once

#include "aiobled/adapter.h"

#include "bus_priv.h"

struct client;

struct adapter_bus {
	struct list link; /* in bus->adapters */
	struct bus *bus;
	struct adapter *adapter;
	char path[BUS_PATH_MAX];
	struct props props;
	struct list conns;       /* struct conn_bus */
	struct list scanners;    /* struct scan_bus */
	struct list advertisers; /* struct adv_bus */
	struct list apps;        /* struct app_bus */
	struct list calls;       /* struct bus_call that wait for this adapter */
};

/** adapter_bus_free() - with everything below it; pending calls are answered. Tells nobody. */
void adapter_bus_free(struct adapter_bus *a);

/** adapter_bus_of() - the object of an adapter, or NULL */
struct adapter_bus *adapter_bus_of(struct bus *bus, const struct adapter *adapter);

/** adapter_bus_holder() - who, but @except (may be NULL), holds something here: a unique name, "persistent", or NULL */
const char *adapter_bus_holder(const struct adapter_bus *a, const struct client *except);
