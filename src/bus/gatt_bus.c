/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble.Service1, Characteristic1 and Descriptor1: what stands at CONNECTION/hXXXX is looked up in the client's
 * picture of the remote database at each call, so there is nothing to create, announce or remove here.
 */
#include "gatt_bus.h"

#include <stdio.h>

#include "aiobled/cleanup.h"

#include "sub_bus.h"
#include "tree.h"
#include "write_stream.h"

#define SERVICE_INTERFACE        "org.aioble.Service1"
#define CHARACTERISTIC_INTERFACE "org.aioble.Characteristic1"
#define DESCRIPTOR_INTERFACE     "org.aioble.Descriptor1"

const char *attr_path(const struct conn_bus *c, uint16_t handle, char buf[BUS_PATH_MAX + 8])
{
	(void)snprintf(buf, BUS_PATH_MAX + 8, "%s/h%04x", c->path, handle);
	return buf;
}

/* --- finding --- */

static bool find_attr(struct bus *bus, const char *path, struct tree_node *t)
{
	if (tree_resolve(bus, path, t) != TREE_ATTRIBUTE)
		return false;
	bus->attr = (struct attr_ref){.conn = t->conn};
	return true;
}

static int find_service(_unused_ sd_bus *sd, const char *path, _unused_ const char *interface,
                        void *data, void **ret, _unused_ sd_bus_error *error)
{
	struct bus *bus = data;
	struct tree_node t;

	if (!find_attr(bus, path, &t))
		return 0;
	bus->attr.service = gatt_find_service(conn_gatt(t.conn->conn), t.handle);
	*ret = &bus->attr;
	return bus->attr.service ? 1 : 0;
}

static int find_characteristic(_unused_ sd_bus *sd, const char *path,
                               _unused_ const char *interface, void *data, void **ret,
                               _unused_ sd_bus_error *error)
{
	struct bus *bus = data;
	struct tree_node t;

	if (!find_attr(bus, path, &t))
		return 0;
	bus->attr.characteristic = gatt_find_characteristic(conn_gatt(t.conn->conn), t.handle);
	*ret = &bus->attr;
	return bus->attr.characteristic ? 1 : 0;
}

static int find_descriptor(_unused_ sd_bus *sd, const char *path, _unused_ const char *interface,
                           void *data, void **ret, _unused_ sd_bus_error *error)
{
	struct bus *bus = data;
	struct tree_node t;

	if (!find_attr(bus, path, &t))
		return 0;
	bus->attr.descriptor = gatt_find_descriptor(conn_gatt(t.conn->conn), t.handle);
	*ret = &bus->attr;
	return bus->attr.descriptor ? 1 : 0;
}

/* --- properties --- */

static const struct uuid *attr_uuid(const struct attr_ref *a)
{
	if (a->service)
		return &a->service->uuid;
	return a->characteristic ? &a->characteristic->uuid : &a->descriptor->uuid;
}

static uint16_t attr_handle(const struct attr_ref *a)
{
	if (a->service)
		return a->service->handle;
	return a->characteristic ? a->characteristic->handle : a->descriptor->handle;
}

/* One that was found by its UUID alone stands in a service nobody has discovered yet. */
static const char *service_path(const struct attr_ref *a, char buf[BUS_PATH_MAX + 8])
{
	const struct gatt_service *service = a->characteristic->service;

	return service ? attr_path(a->conn, service->handle, buf) : a->conn->path;
}

#define GETTER(name, type, expression)                                                             \
	static int get_##name(sd_bus *sd, const char *path, const char *interface,                 \
	                      const char *property, sd_bus_message *m, void *data,                 \
	                      sd_bus_error *error)                                                 \
	{                                                                                          \
		const struct attr_ref *a = data;                                                   \
		char buf[BUS_PATH_MAX + 8];                                                        \
                                                                                                   \
		(void)buf;                                                                         \
		return sd_bus_message_append(m, type, expression);                                 \
	}

GETTER(connection, "o", a->conn->path)
GETTER(uuid, "s", uuid_format(attr_uuid(a), buf))
GETTER(handle, "q", attr_handle(a))
GETTER(end_handle, "q", a->service->end_handle)
GETTER(primary, "b", (int)a->service->primary)
GETTER(service, "o", service_path(a, buf))
GETTER(properties, "y", a->characteristic->properties)
GETTER(characteristic, "o", attr_path(a->conn, a->descriptor->characteristic->handle, buf))

/* In the words of the Assigned Numbers as aioble spells them. */
int gatt_bus_append_flags(sd_bus_message *m, uint8_t properties)
{
	static const char *const names[] = {
		"broadcast", "read",     "write_no_response",   "write",
		"notify",    "indicate", "authenticated_write", "extended_properties"};
	int r = sd_bus_message_open_container(m, 'a', "s");

	for (size_t i = 0; i < ARRAY_SIZE(names) && r >= 0; i++)
		if (properties & 1u << i)
			r = sd_bus_message_append_basic(m, 's', names[i]);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int get_flags(sd_bus *sd, const char *path, const char *interface, const char *property,
                     sd_bus_message *m, void *data, sd_bus_error *error)
{
	return gatt_bus_append_flags(m, ((const struct attr_ref *)data)->characteristic->properties);
}

/* --- interfaces --- */

#define CONST SD_BUS_VTABLE_PROPERTY_CONST

static const sd_bus_vtable service_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Connection", "o", get_connection, 0, CONST),
	SD_BUS_PROPERTY("Uuid", "s", get_uuid, 0, CONST),
	SD_BUS_PROPERTY("Handle", "q", get_handle, 0, CONST),
	SD_BUS_PROPERTY("EndHandle", "q", get_end_handle, 0, CONST),
	SD_BUS_PROPERTY("Primary", "b", get_primary, 0, CONST),
	SD_BUS_METHOD_WITH_ARGS("DiscoverCharacteristics", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a(osqqqy)", characteristics),
                                gatt_bus_discover_characteristics, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("DiscoverIncluded", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a(osqqb)", services), gatt_bus_discover_included,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable characteristic_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Connection", "o", get_connection, 0, CONST),
	SD_BUS_PROPERTY("Service", "o", get_service, 0, CONST),
	SD_BUS_PROPERTY("Uuid", "s", get_uuid, 0, CONST),
	SD_BUS_PROPERTY("Handle", "q", get_handle, 0, CONST),
	SD_BUS_PROPERTY("Properties", "y", get_properties, 0, CONST),
	SD_BUS_PROPERTY("Flags", "as", get_flags, 0, CONST),
	SD_BUS_METHOD_WITH_ARGS("DiscoverDescriptors", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a(osq)", descriptors), gatt_bus_discover_descriptors,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Read", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("ay", value),
                                gatt_bus_read, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Write", SD_BUS_ARGS("ay", value, "a{sv}", options),
                                SD_BUS_NO_RESULT, gatt_bus_write, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("o", subscription), sub_bus_subscribe,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenNotify", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("h", fd, "o", subscription), sub_bus_open_notify,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenWrite", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("h", fd, "q", mtu), write_stream_open,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable descriptor_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Connection", "o", get_connection, 0, CONST),
	SD_BUS_PROPERTY("Characteristic", "o", get_characteristic, 0, CONST),
	SD_BUS_PROPERTY("Uuid", "s", get_uuid, 0, CONST),
	SD_BUS_PROPERTY("Handle", "q", get_handle, 0, CONST),
	SD_BUS_METHOD_WITH_ARGS("Read", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("ay", value),
                                gatt_bus_read, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Write", SD_BUS_ARGS("ay", value, "a{sv}", options),
                                SD_BUS_NO_RESULT, gatt_bus_write, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int bus_add_gatt(struct bus *bus)
{
	int r = bus_export(bus, SERVICE_INTERFACE, service_vtable, find_service);

	if (r >= 0)
		r = bus_export(bus, CHARACTERISTIC_INTERFACE, characteristic_vtable,
		               find_characteristic);
	if (r >= 0)
		r = bus_export(bus, DESCRIPTOR_INTERFACE, descriptor_vtable, find_descriptor);
	return r;
}
