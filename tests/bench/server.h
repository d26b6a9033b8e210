/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-server, the peripheral side: one service of ours, three ways to offer it behind one table of calls: raw kernel
 * sockets (the floor), an application of bluetoothd, an application of aiobled. The central is bench-client's floor on another
 * controller. UUID_COUNT takes commands and reads as 4 bytes, UUID_FLOOD takes an order and notifies (bench.h).
 */
#pragma once

#include "bench.h"

#define UUID_SERVICE "a10b0000-7c1d-4e2a-9f36-5b0e8d24c1f7"

enum heard {
	HEARD_NOTHING, /* and the time is over */
	HEARD_COMMAND, /* a value for UUID_COUNT */
	HEARD_ORDER,   /* a value for UUID_FLOOD */
};

struct server {
	const char *name;
	/* offer the service and advertise until a central comes; @by_fd: values go through descriptors where there is the
	 * choice, else over the bus */
	void (*open)(bool by_fd);
	/* what the central wrote next; whatever else there is to answer is answered meanwhile */
	enum heard (*next)(uint8_t value[VALUE_MAX], size_t *ret_len, int timeout_ms);
	/* a value of UUID_FLOOD to who subscribed, as fast as it is taken */
	void (*notify)(const uint8_t *value, size_t len);
};

extern const struct server server_floor, server_bluez, server_aiobled;
