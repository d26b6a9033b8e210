/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.aioble.Scanner1: one client's view of the advertisers around. */
#pragma once

#include "aiobled/scan.h"

#include "adapter_bus.h"
#include "holder.h"
#include "sink.h"

struct scan_bus {
	struct list link; /* in adapter->scanners */
	struct adapter_bus *adapter;
	uint64_t id;
	char path[BUS_PATH_MAX];
	struct props props;
	struct holder holder;
	struct sink sink;
	struct scanner *scanner; /* NULL: finished */
	bool active;
	uint32_t interval_us, window_us;
	enum scan_duplicates duplicates;
	bool broadcast;
	bool duration_over;
	uint64_t received;    /* when finished */
	struct bus_error end; /* what Next says when nothing is left */
};

/** scan_bus_scan() - Adapter1.Scan */
int scan_bus_scan(struct adapter_bus *a, sd_bus_message *m);

/** scan_bus_stop() - end it with "stopped"; the object goes */
void scan_bus_stop(struct scan_bus *s, const char *reason);

/** scan_bus_free() - silently */
void scan_bus_free(struct scan_bus *s);
