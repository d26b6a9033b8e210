/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Methods on the peer's attributes. Those of Connection1 take a struct conn_bus, the others a struct attr_ref, which is
 * valid only until the next lookup: a call that waits remembers handles, and looks again.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "conn_bus.h"

/* gatt_discover_bus.c */
int gatt_bus_discover(sd_bus_message *m, void *conn, sd_bus_error *error);
int gatt_bus_discover_services(sd_bus_message *m, void *conn, sd_bus_error *error);
int gatt_bus_discover_characteristics(sd_bus_message *m, void *attr, sd_bus_error *error);
int gatt_bus_discover_included(sd_bus_message *m, void *attr, sd_bus_error *error);
int gatt_bus_discover_descriptors(sd_bus_message *m, void *attr, sd_bus_error *error);

/* gatt_value_bus.c */
int gatt_bus_read(sd_bus_message *m, void *attr, sd_bus_error *error);
int gatt_bus_write(sd_bus_message *m, void *attr, sd_bus_error *error);
int gatt_bus_read_uuid(sd_bus_message *m, void *conn, sd_bus_error *error);
int gatt_bus_write_uuid(sd_bus_message *m, void *conn, sd_bus_error *error);

/** gatt_bus_append_flags() - as: the bits of a property byte, in aioble's words */
int gatt_bus_append_flags(sd_bus_message *m, uint8_t properties);

/** attr_path() - "CONNECTION/hXXXX". Return: @buf. */
const char *attr_path(const struct conn_bus *c, uint16_t handle, char buf[BUS_PATH_MAX + 8]);

/** gatt_bus_uuid_arg() - the argument "uuid" of the *Uuid methods */
int gatt_bus_uuid_arg(sd_bus_message *m, struct uuid *ret, struct bus_error *err);
