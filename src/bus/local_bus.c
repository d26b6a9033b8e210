/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The objects below an application. What is at a handle the adapter's table says; that it is of this application and of
 * the right kind is checked here at each lookup, since a path outlives what it named.
 */
#include "local_bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"

#include "app_defs.h"
#include "bus_opts.h"
#include "client.h"
#include "conn_bus.h"
#include "gatt_bus.h"
#include "notify_stream.h"
#include "tree.h"

#define SERVICE_INTERFACE        "org.aioble.LocalService1"
#define CHARACTERISTIC_INTERFACE "org.aioble.LocalCharacteristic1"
#define DESCRIPTOR_INTERFACE     "org.aioble.LocalDescriptor1"

const char *local_path(const struct app_bus *app, uint16_t handle, char buf[APP_PATH_MAX])
{
	(void)snprintf(buf, APP_PATH_MAX, "%s/h%04x", app->path, handle);
	return buf;
}

static struct gatt_server *server_of(const struct app_bus *app)
{
	return adapter_gatt_server(app->adapter->adapter);
}

/* --- finding --- */

static const struct gatt_attr *find_attr(const struct app_bus *app, uint16_t handle, uint8_t kind)
{
	const struct gatt_attr *attr = gatt_db_find(gatt_server_db(server_of(app)), handle);

	return attr && attr->kind == kind && attr->service->app == app->app ? attr : NULL;
}

static uint8_t kind_of(const char *interface)
{
	if (strcmp(interface, CHARACTERISTIC_INTERFACE) == 0)
		return GATT_ATTR_VALUE;
	return strcmp(interface, DESCRIPTOR_INTERFACE) == 0 ? GATT_ATTR_DESCRIPTOR
	                                                    : GATT_ATTR_SERVICE;
}

bool local_known(const struct app_bus *app, uint16_t handle, const char *interface)
{
	return find_attr(app, handle, kind_of(interface));
}

static int find(_unused_ sd_bus *sd, const char *path, const char *interface, void *data,
                void **ret, _unused_ sd_bus_error *error)
{
	const struct gatt_attr *attr;
	struct bus *bus = data;
	struct tree_node t;

	if (tree_resolve(bus, path, &t) != TREE_LOCAL)
		return 0;
	attr = find_attr(t.app, t.handle, kind_of(interface));
	if (!attr)
		return 0;
	bus->local =
		(struct local_ref){.app = t.app, .service = attr->service, .local = attr->local};
	*ret = &bus->local;
	return 1;
}

int local_conn(const struct app_bus *app, const char *path, struct conn_bus **ret,
               struct bus_error *err)
{
	struct tree_node t;

	switch (tree_resolve(app->adapter->bus, path, &t)) {
	case TREE_CONNECTION:
		if (t.adapter != app->adapter)
			return bus_arg_error(err, "connection", "is one of another adapter");
		if (!conn_is_up(t.conn->conn))
			break;
		*ret = t.conn;
		return 0;
	case TREE_OVER:
		if (t.connection_over)
			break;
		return bus_arg_error(err, "connection", "is no connection");
	default:
		return bus_arg_error(err, "connection", "is no connection");
	}
	*err = (struct bus_error){.res = -ESHUTDOWN};
	return -ESHUTDOWN;
}

/* --- Services --- */

static int put_head(sd_bus_message *m, const struct app_bus *app, uint16_t handle,
                    const struct uuid *uuid)
{
	char path[APP_PATH_MAX], text[UUID_STR_MAX];

	return sd_bus_message_append(m, "os", local_path(app, handle, path),
	                             uuid_format(uuid, text));
}

static int put_descriptor(sd_bus_message *m, const struct app_bus *app, const struct gatt_local *d)
{
	int r = sd_bus_message_open_container(m, 'r', "osq");

	if (r >= 0)
		r = put_head(m, app, d->handle, &d->uuid);
	if (r >= 0)
		r = sd_bus_message_append_basic(m, 'q', &d->handle);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_descriptors(sd_bus_message *m, const struct app_bus *app,
                           const struct gatt_local *chr)
{
	const struct gatt_local *d;
	int r = sd_bus_message_open_container(m, 'a', "(osq)");

	list_for_each (d, &chr->descriptors, link)
		if (r >= 0)
			r = put_descriptor(m, app, d);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* It ends where the next one, or the service, does. */
static uint16_t end_handle(const struct gatt_local *chr)
{
	const struct gatt_local *next = list_entry(chr->link.next, struct gatt_local, link);

	if (chr->link.next == &chr->service->characteristics)
		return chr->service->end_handle;
	return next->declaration - 1;
}

static int put_characteristic(sd_bus_message *m, const struct app_bus *app,
                              const struct gatt_local *chr)
{
	int r = sd_bus_message_open_container(m, 'r', "osqqqya(osq)");

	if (r >= 0)
		r = put_head(m, app, chr->handle, &chr->uuid);
	if (r >= 0)
		r = sd_bus_message_append(m, "qqqy", chr->declaration, chr->handle, end_handle(chr),
		                          chr->properties);
	if (r >= 0)
		r = put_descriptors(m, app, chr);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_characteristics(sd_bus_message *m, const struct app_bus *app,
                               const struct gatt_local_service *service)
{
	const struct gatt_local *chr;
	int r = sd_bus_message_open_container(m, 'a', "(osqqqya(osq))");

	list_for_each (chr, &service->characteristics, link)
		if (r >= 0)
			r = put_characteristic(m, app, chr);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_service(sd_bus_message *m, const struct app_bus *app,
                       const struct gatt_local_service *service)
{
	int r = sd_bus_message_open_container(m, 'r', "osqqba(osqqqya(osq))");

	if (r >= 0)
		r = put_head(m, app, service->handle, &service->uuid);
	if (r >= 0)
		r = sd_bus_message_append(m, "qqb", service->handle, service->end_handle,
		                          (int)service->primary);
	if (r >= 0)
		r = put_characteristics(m, app, service);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

int local_append_services(sd_bus_message *m, const struct app_bus *app)
{
	const struct gatt_local_service *service;
	int r = sd_bus_message_open_container(m, 'a', "(osqqba(osqqqya(osq)))");

	list_for_each (service, &app->app->services, link)
		if (r >= 0)
			r = put_service(m, app, service);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* --- subscribers --- */

/* The next link after @link whose peer is subscribed to @local, and its object and bits; NULL: that was all. */
static struct gatt_link *next_subscriber(const struct app_bus *app, const struct gatt_local *local,
                                         struct gatt_link *link, const struct conn_bus **ret_conn,
                                         uint16_t *ret_cccd)
{
	while ((link = gatt_server_next_link(server_of(app), link))) {
		*ret_cccd = gatt_link_cccd(link, local);
		*ret_conn = *ret_cccd ? conn_bus_of(app->adapter, gatt_link_data(link)) : NULL;
		if (*ret_conn)
			break;
	}
	return link;
}

static int put_subscribers(sd_bus_message *m, const struct app_bus *app,
                           const struct gatt_local *local)
{
	struct gatt_link *link = NULL;
	const struct conn_bus *c;
	char path[APP_PATH_MAX];
	uint16_t cccd;
	int r = 0;

	while (r >= 0 && (link = next_subscriber(app, local, link, &c, &cccd)))
		r = sd_bus_message_append(m, "(oobb)", local_path(app, local->handle, path),
		                          c->path, cccd & 1, cccd >> 1 & 1);
	return r;
}

int local_append_subscribers(sd_bus_message *m, const struct app_bus *app)
{
	struct gatt_local_service *service;
	struct gatt_local *chr;
	int r = sd_bus_message_open_container(m, 'a', "(oobb)");

	list_for_each (service, &app->app->services, link)
		list_for_each (chr, &service->characteristics, link)
			if (r >= 0 && chr->cccd)
				r = put_subscribers(m, app, chr);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int get_subscribers(sd_bus *sd, const char *path, const char *interface,
                           const char *property, sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct local_ref *l = data;
	struct gatt_link *link = NULL;
	const struct conn_bus *c;
	uint16_t cccd;
	int r = sd_bus_message_open_container(m, 'a', "(obb)");

	while (r >= 0 && (link = next_subscriber(l->app, l->local, link, &c, &cccd)))
		r = sd_bus_message_append(m, "(obb)", c->path, cccd & 1, cccd >> 1 & 1);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static const char *const changing_names[] = {"Subscribers", NULL};

int local_props_new(struct app_bus *app, const struct app_defs *defs)
{
	for (size_t i = 0; i < defs->n; i++) {
		const struct gatt_def_service *s = &defs->services[i];

		for (size_t j = 0; j < s->n_characteristics; j++)
			app->n_locals += s->characteristics[j].value.notify ||
			                 s->characteristics[j].value.indicate;
	}
	app->locals = app->n_locals ? calloc(app->n_locals, sizeof(*app->locals)) : NULL;
	if (app->n_locals && !app->locals)
		return -ENOMEM;
	for (size_t i = 0; i < app->n_locals; i++)
		props_init(&app->locals[i].props, app->adapter->bus, app->locals[i].path,
		           CHARACTERISTIC_INTERFACE, changing_names);
	return 0;
}

void local_props_bind(struct app_bus *app)
{
	struct gatt_local_service *service;
	struct gatt_local *chr;
	size_t i = 0;

	list_for_each (service, &app->app->services, link) {
		list_for_each (chr, &service->characteristics, link) {
			if (!chr->cccd || i == app->n_locals)
				continue;
			local_path(app, chr->handle, app->locals[i].path);
			chr->data = &app->locals[i++];
		}
	}
}

void local_props_free(struct app_bus *app)
{
	for (size_t i = 0; app->locals && i < app->n_locals; i++)
		props_deinit(&app->locals[i].props);
	free(app->locals);
	app->locals = NULL;
}

void local_changed(const struct gatt_local *local)
{
	struct local_props *p = local->data;

	if (p)
		props_dirty(&p->props, 1);
}

/* --- values --- */

static int refuse_value(sd_bus_message *m, const struct gatt_local *local, int res)
{
	struct bus_error e = {.res = res};

	if (res == -EMSGSIZE)
		e.limit = local->max_len;
	if (res == -EPERM)
		e.text = "the Characteristic Extended Properties stay what they were registered as";
	return bus_fail(m, &e);
}

static int method_read(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct local_ref l = *(struct local_ref *)data;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0)
		return bus_fail(m, &err);
	holder_touch(&l.app->holder);
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_append_array(reply, 'y', l.local->value, l.local->len);
	if (r < 0)
		return r;
	if (l.local->append)
		gatt_local_clear(l.local);
	return sd_bus_send(NULL, reply, NULL);
}

static int write_value(sd_bus_message *m, struct local_ref l, const struct opt *table, size_t n)
{
	bool send_update = false;
	struct bus_error err;
	const void *value;
	size_t len;
	int r;

	r = sd_bus_message_read_array(m, 'y', &value, &len);
	if (r < 0)
		return r;
	if (bus_opts_read(m, table, n, &send_update, &err) < 0)
		return bus_fail(m, &err);
	holder_touch(&l.app->holder);
	r = gatt_local_set(l.local, value, len);
	if (r < 0)
		return refuse_value(m, l.local, r);
	if (send_update)
		gatt_server_update(server_of(l.app), l.local);
	return sd_bus_reply_method_return(m, NULL);
}

static int method_write(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {OPT_ALONE("send_update", OPT_BOOL)};

	return write_value(m, *(struct local_ref *)data, table, ARRAY_SIZE(table));
}

static int method_write_descriptor(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	return write_value(m, *(struct local_ref *)data, NULL, 0);
}

/* --- properties --- */

#define GETTER(name, type, expression)                                                             \
	static int get_##name(sd_bus *sd, const char *path, const char *interface,                 \
	                      const char *property, sd_bus_message *m, void *data,                 \
	                      sd_bus_error *error)                                                 \
	{                                                                                          \
		const struct local_ref *l = data;                                                  \
		char buf[APP_PATH_MAX];                                                            \
                                                                                                   \
		(void)buf;                                                                         \
		return sd_bus_message_append(m, type, expression);                                 \
	}

GETTER(application, "o", l->app->path)
GETTER(service_uuid, "s", uuid_format(&l->service->uuid, buf))
GETTER(service_handle, "q", l->service->handle)
GETTER(service_end, "q", l->service->end_handle)
GETTER(primary, "b", (int)l->service->primary)
GETTER(service, "o", local_path(l->app, l->service->handle, buf))
GETTER(uuid, "s", uuid_format(&l->local->uuid, buf))
GETTER(handle, "q", l->local->handle)
GETTER(declaration, "q", l->local->declaration)
GETTER(cccd, "q", l->local->cccd)
GETTER(properties, "y", l->local->properties)
GETTER(max_len, "q", l->local->max_len)
GETTER(truncated, "t", l->local->truncated)
GETTER(characteristic, "o", local_path(l->app, l->local->characteristic->handle, buf))

static int get_flags(sd_bus *sd, const char *path, const char *interface, const char *property,
                     sd_bus_message *m, void *data, sd_bus_error *error)
{
	return gatt_bus_append_flags(m, ((const struct local_ref *)data)->local->properties);
}

static int get_includes(sd_bus *sd, const char *path, const char *interface, const char *property,
                        sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct local_ref *l = data;
	char buf[APP_PATH_MAX];
	int r = sd_bus_message_open_container(m, 'a', "o");

	for (size_t i = 0; r >= 0 && i < l->service->n_includes; i++)
		r = sd_bus_message_append_basic(
			m, 'o', local_path(l->app, l->service->includes[i]->handle, buf));
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* --- interfaces --- */

#define CONST SD_BUS_VTABLE_PROPERTY_CONST

static const sd_bus_vtable service_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Application", "o", get_application, 0, CONST),
	SD_BUS_PROPERTY("Uuid", "s", get_service_uuid, 0, CONST),
	SD_BUS_PROPERTY("Handle", "q", get_service_handle, 0, CONST),
	SD_BUS_PROPERTY("EndHandle", "q", get_service_end, 0, CONST),
	SD_BUS_PROPERTY("Primary", "b", get_primary, 0, CONST),
	SD_BUS_PROPERTY("Includes", "ao", get_includes, 0, CONST),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable characteristic_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Application", "o", get_application, 0, CONST),
	SD_BUS_PROPERTY("Service", "o", get_service, 0, CONST),
	SD_BUS_PROPERTY("Uuid", "s", get_uuid, 0, CONST),
	SD_BUS_PROPERTY("Handle", "q", get_handle, 0, CONST),
	SD_BUS_PROPERTY("Declaration", "q", get_declaration, 0, CONST),
	SD_BUS_PROPERTY("Cccd", "q", get_cccd, 0, CONST),
	SD_BUS_PROPERTY("Properties", "y", get_properties, 0, CONST),
	SD_BUS_PROPERTY("Flags", "as", get_flags, 0, CONST),
	SD_BUS_PROPERTY("MaxLen", "q", get_max_len, 0, CONST),
	SD_BUS_PROPERTY("Truncated", "t", get_truncated, 0, 0),
	SD_BUS_PROPERTY("Subscribers", "a(obb)", get_subscribers, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_METHOD_WITH_ARGS("Read", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("ay", value),
                                method_read, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Write", SD_BUS_ARGS("ay", value, "a{sv}", options),
                                SD_BUS_NO_RESULT, method_write, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Notify",
                                SD_BUS_ARGS("o", connection, "ay", value, "a{sv}", options),
                                SD_BUS_NO_RESULT, local_bus_notify, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Indicate",
                                SD_BUS_ARGS("o", connection, "ay", value, "a{sv}", options),
                                SD_BUS_NO_RESULT, local_bus_indicate, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenNotify", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
                                notify_stream_open, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable descriptor_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Application", "o", get_application, 0, CONST),
	SD_BUS_PROPERTY("Characteristic", "o", get_characteristic, 0, CONST),
	SD_BUS_PROPERTY("Uuid", "s", get_uuid, 0, CONST),
	SD_BUS_PROPERTY("Handle", "q", get_handle, 0, CONST),
	SD_BUS_PROPERTY("MaxLen", "q", get_max_len, 0, CONST),
	SD_BUS_METHOD_WITH_ARGS("Read", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("ay", value),
                                method_read, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Write", SD_BUS_ARGS("ay", value, "a{sv}", options),
                                SD_BUS_NO_RESULT, method_write_descriptor,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int bus_add_local(struct bus *bus)
{
	int r = bus_export(bus, SERVICE_INTERFACE, service_vtable, find);

	if (r >= 0)
		r = bus_export(bus, CHARACTERISTIC_INTERFACE, characteristic_vtable, find);
	if (r >= 0)
		r = bus_export(bus, DESCRIPTOR_INTERFACE, descriptor_vtable, find);
	return r;
}
