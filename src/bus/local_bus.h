/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble.LocalService1, LocalCharacteristic1 and LocalDescriptor1: what stands at APPLICATION/hXXXX. The objects are
 * the rows of the adapter's table: nothing is made, announced or removed for them.
 */
#pragma once

#include "app_bus.h"

/* local_bus.c's methods take a struct local_ref, which is valid only until the next lookup. local_send_bus.c: */
int local_bus_notify(sd_bus_message *m, void *local, sd_bus_error *error);
int local_bus_indicate(sd_bus_message *m, void *local, sd_bus_error *error);

/** local_sends_cancel() - answer what waits for a peer: the application ends */
void local_sends_cancel(struct app_bus *app);

/** local_conn() - the live connection at @path on the adapter of @app. Return: 0, -EINVAL, -ESHUTDOWN with @ret_error. */
int local_conn(const struct app_bus *app, const char *path, struct conn_bus **ret,
               struct bus_error *ret_error);

/** local_send_error() - what the engine says when it starts no notification or indication */
struct bus_error local_send_error(const struct gatt_local *local, const struct conn_bus *c,
                                  int res);
