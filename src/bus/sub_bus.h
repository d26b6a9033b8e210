/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.aioble.Subscription1: one client's stream of a characteristic's values. */
#pragma once

#include "conn_bus.h"
#include "sink.h"

#define SUBSCRIPTIONS_MAX 1024 /* of a connection, whoever made them: those that persist outlive their clients */

struct sub_bus {
	struct list link; /* in conn->subs */
	struct conn_bus *conn;
	uint64_t id;
	char path[BUS_PATH_MAX + 32];
	struct holder holder;
	struct sink sink;
	struct gatt_sub sub;
	uint16_t handle;
	bool broadcast;
	bool starting; /* the call that makes it has not been answered: no object yet, since that call is its owner */
};

/* Characteristic1.Subscribe, Characteristic1.OpenNotify, Connection1.SubscribeUuid */
int sub_bus_subscribe(sd_bus_message *m, void *attr, sd_bus_error *error);
int sub_bus_open_notify(sd_bus_message *m, void *attr, sd_bus_error *error);
int sub_bus_subscribe_uuid(sd_bus_message *m, void *conn, sd_bus_error *error);

/** sub_bus_end() - tell its holders and its reader why, then free it */
void sub_bus_end(struct sub_bus *s, const char *reason, const struct bus_error *error);

/** sub_bus_free() - silently; the CCCD follows */
void sub_bus_free(struct sub_bus *s);
