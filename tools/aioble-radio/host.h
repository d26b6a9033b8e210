/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host on a descriptor that speaks H4: a client of a socket, the other end of a pty, a kernel behind /dev/vhci. It has a
 * controller as long as it is there.
 *
 * What comes in is cut into packets; a byte that begins none ends this host and no other. What goes out waits in a
 * bounded queue: advertising reports are dropped (and counted) when it is half full, a host that lets it fill up is
 * ended.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/loop.h"

#include "controller.h"

#define HOST_QUEUE_MAX (512 * 1024) /* bytes that wait for a host to read */

struct host;

enum host_kind {
	HOST_STREAM,  /* bytes without boundaries */
	HOST_PACKETS, /* each read and write is one packet: /dev/vhci */
};

struct host_ops {
	/* the host is gone (0) or was ended (-errno; @why tells); host_free() is due, also inside */
	void (*ended)(struct host *host, int err, const char *why);
	/* a packet that is no packet of HCI's: vhci's answers. May be NULL. Return: true when it was one. */
	bool (*vendor)(struct host *host, const uint8_t *pkt, size_t len);
};

struct host_stats {
	uint64_t rx, tx;          /* packets */
	uint64_t reports_dropped; /* advertising reports the host did not fetch */
	uint64_t refused;         /* packets for a controller that the kernel has down */
};

/** host_new() - @fd is owned from here, also on failure; the controller is there at once */
int host_new(struct air *air, const char *name, const struct profile *profile,
             const struct addr *public_addr, int fd, enum host_kind kind,
             const struct host_ops *ops, void *data, struct host **ret);

/** host_free() - the controller vanishes like one that is unplugged. Takes NULL; returns NULL. */
struct host *host_free(struct host *host);

struct controller *host_controller(struct host *host);
void *host_data(struct host *host);
const struct host_stats *host_stats(const struct host *host);

/** host_write() - a packet past the controller: vhci's create request */
int host_write(struct host *host, const uint8_t *pkt, size_t len);
