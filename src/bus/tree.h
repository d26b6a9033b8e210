/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From an object path to what stands there. Every interface below /org/aioble is a fallback vtable whose find() asks
 * here, so that an object costs the bus no registration and a removed one is simply not found.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus_priv.h"

enum tree_kind {
	TREE_NONE, /* nothing, or never was */
	TREE_OVER, /* a connection, scanner, advertiser, subscription or application that is over, or something below it */
	TREE_ADAPTER,
	TREE_SCANNER,
	TREE_ADVERTISER,
	TREE_CONNECTION,
	TREE_ATTRIBUTE, /* well formed; whether the handle is known is for its finder to say */
	TREE_SUBSCRIPTION,
	TREE_APPLICATION,
	TREE_LOCAL, /* as TREE_ATTRIBUTE, below an application */
};

struct tree_node {
	enum tree_kind kind;
	bool connection_over; /* of TREE_OVER */
	struct adapter_bus *adapter;
	struct scan_bus *scan;
	struct adv_bus *adv;
	struct conn_bus *conn;
	struct sub_bus *sub;
	struct app_bus *app;
	uint16_t handle;
};

/** tree_resolve() - Return: ret->kind */
enum tree_kind tree_resolve(struct bus *bus, const char *path, struct tree_node *ret);
