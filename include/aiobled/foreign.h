/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who else manages Bluetooth here: follows the owner of org.bluez on the bus and tells the manager its name and process.
 */
#pragma once

#include "aiobled/cleanup.h"

struct bus;
struct foreign;
struct manager;

int foreign_new(struct bus *bus, struct manager *manager, struct foreign **ret);
struct foreign *foreign_free(struct foreign *foreign);
DEFINE_CLEANUP(struct foreign *, foreign_free)
