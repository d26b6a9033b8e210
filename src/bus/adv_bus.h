/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.aioble.Advertiser1: one advertiser. */
#pragma once

#include "aiobled/adv.h"

#include "adapter_bus.h"
#include "holder.h"

#define ADV_BUS_EVENTS_MAX 16 /* connections kept for Next; the oldest goes, and is counted */

struct adv_call;

struct adv_bus {
	struct list link; /* in adapter->advertisers */
	struct adapter_bus *adapter;
	uint64_t id;
	char path[BUS_PATH_MAX];
	struct props props;
	struct holder holder;
	struct adv *adv;  /* NULL: finished */
	bool starting;    /* not answered yet: not there for anybody */
	struct op *start; /* while starting: of the Advertise call */
	bool broadcast;
	bool connectable, keep, extended;
	int secondary_phy;
	uint32_t interval_us;
	struct list calls;   /* struct bus_call on it */
	struct list waiters; /* ops of Next calls */
	struct list stops;   /* ops of Stop calls */
	struct defer reap;

	char events[ADV_BUS_EVENTS_MAX][BUS_PATH_MAX]; /* paths of connections, oldest first */
	unsigned int n_events;
	uint64_t dropped;
	uint32_t connections;
	char last[BUS_PATH_MAX]; /* "/": none */

	/* when finished */
	struct adv_payload payload;
	uint8_t air[ADV_DATA_MAX];
	size_t air_len;
	const char *reason;
	char reason_error[64]; /* @reason, when it is the name of an error */
	struct bus_error error;
	bool told; /* by Next */
};

/** adv_bus_advertise() - Adapter1.Advertise */
int adv_bus_advertise(struct adapter_bus *a, sd_bus_message *m);

/** adv_bus_release() - off the air now, told as "stopped" or "released"; the object goes */
void adv_bus_release(struct adv_bus *s, const char *reason);

/** adv_bus_free() - silently; pending calls are answered */
void adv_bus_free(struct adv_bus *s);
