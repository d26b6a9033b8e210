/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Controllers of this machine's kernel, by /dev/vhci.
 *
 * The kernel announces a controller before its driver's answer to the create request is read: HCI commands may come
 * first. They are simply answered. When all controllers are set up is told by the management channel alone.
 */
#pragma once

#include "aiobled/cleanup.h"

#include "host.h"

struct vhci;

struct vhci_ops {
	/* it is gone; vhci_free() is due, also inside */
	void (*ended)(struct vhci *v, int err, const char *why);
};

/** vhci_new() - plug a controller in. Return: 0, or -errno of opening or writing /dev/vhci. */
int vhci_new(struct air *air, const char *name, const struct profile *profile,
             const struct addr *public_addr, const struct vhci_ops *ops, void *data,
             struct vhci **ret);

/** vhci_free() - unplug it */
struct vhci *vhci_free(struct vhci *v);
DEFINE_CLEANUP(struct vhci *, vhci_free)

/** vhci_index() - N of hciN, or -EAGAIN while the kernel has not told */
int vhci_index(const struct vhci *v);

struct controller *vhci_controller(struct vhci *v);
void *vhci_data(struct vhci *v);
