/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discovery on the bus: one procedure, then one reply with everything it found, built from the client's picture of the
 * remote database. Nothing is announced for it: hundreds of attributes cost one message.
 */
#include <errno.h>
#include <stdio.h>

#include "aiobled/cleanup.h"

#include "bus_opts.h"
#include "gatt_bus.h"

#define ENTRY_COST 96 /* bytes of an attribute in a reply, about */

struct discover_call {
	struct gatt_call gc;
	uint16_t handle; /* of the service or characteristic looked into */
	struct opt_uuid uuid;
	size_t entries;
};

struct discover_options {
	uint32_t timeout_ms;
	struct opt_uuid uuid;
};

static struct discover_call *call_of(struct op *op)
{
	return container_of(gatt_call_of(op), struct discover_call, gc);
}

static bool wanted(const struct discover_call *call, const struct uuid *uuid)
{
	return !call->uuid.given || memcmp(&call->uuid.uuid, uuid, sizeof(*uuid)) == 0;
}

/* --- replies --- */

static int put_head(sd_bus_message *m, struct discover_call *call, uint16_t handle,
                    const struct uuid *uuid)
{
	char path[BUS_PATH_MAX + 8], text[UUID_STR_MAX];

	call->entries++;
	return sd_bus_message_append(m, "os", attr_path(call->gc.conn, handle, path),
	                             uuid_format(uuid, text));
}

static int put_descriptor(sd_bus_message *m, struct discover_call *call,
                          const struct gatt_descriptor *d)
{
	int r = sd_bus_message_open_container(m, 'r', "osq");

	if (r >= 0)
		r = put_head(m, call, d->handle, &d->uuid);
	if (r >= 0)
		r = sd_bus_message_append_basic(m, 'q', &d->handle);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_descriptors(sd_bus_message *m, struct discover_call *call,
                           const struct gatt_characteristic *chr)
{
	const struct gatt_descriptor *d;
	int r = sd_bus_message_open_container(m, 'a', "(osq)");

	list_for_each (d, &chr->descriptors, link)
		if (r >= 0)
			r = put_descriptor(m, call, d);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_characteristic(sd_bus_message *m, struct discover_call *call,
                              const struct gatt_characteristic *chr, bool deep)
{
	int r = sd_bus_message_open_container(m, 'r', deep ? "osqqqya(osq)" : "osqqqy");

	if (r >= 0)
		r = put_head(m, call, chr->handle, &chr->uuid);
	if (r >= 0)
		r = sd_bus_message_append(m, "qqqy", chr->declaration, chr->handle, chr->end_handle,
		                          chr->properties);
	if (r >= 0 && deep)
		r = put_descriptors(m, call, chr);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_characteristics(sd_bus_message *m, struct discover_call *call,
                               const struct gatt_service *service, bool deep)
{
	const struct gatt_characteristic *chr;
	int r = sd_bus_message_open_container(m, 'a', deep ? "(osqqqya(osq))" : "(osqqqy)");

	list_for_each (chr, &service->characteristics, link)
		if (r >= 0 && (deep || wanted(call, &chr->uuid)))
			r = put_characteristic(m, call, chr, deep);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_service(sd_bus_message *m, struct discover_call *call,
                       const struct gatt_service *service, bool deep)
{
	int r = sd_bus_message_open_container(m, 'r', deep ? "osqqba(osqqqya(osq))" : "osqqb");

	if (r >= 0)
		r = put_head(m, call, service->handle, &service->uuid);
	if (r >= 0)
		r = sd_bus_message_append(m, "qqb", service->handle, service->end_handle,
		                          (int)service->primary);
	if (r >= 0 && deep)
		r = put_characteristics(m, call, service, true);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* The end of every discovery: the answer is what @put appends. */
static void answer(struct op *op, int res, int (*put)(sd_bus_message *m, struct discover_call *call))
{
	struct discover_call *call = call_of(op);
	sd_bus_message *reply;
	int r;

	if (res != 0) {
		gatt_call_fail(&call->gc, res);
		return;
	}
	reply = bus_call_reply(&call->gc.call);
	r = reply ? put(reply, call) : -ENOMEM;
	if (r >= 0) {
		bus_call_send(&call->gc.call, reply, call->entries * ENTRY_COST);
		return;
	}
	sd_bus_message_unref(reply);
	bus_call_fail_res(&call->gc.call, r == -E2BIG ? -ENOBUFS : r);
}

/* --- services --- */

static int put_services(sd_bus_message *m, struct discover_call *call, bool deep)
{
	struct list *services = gatt_services(conn_gatt(call->gc.conn->conn));
	const struct gatt_service *service;
	int r = sd_bus_message_open_container(m, 'a', deep ? "(osqqba(osqqqya(osq)))" : "(osqqb)");

	list_for_each (service, services, link)
		if (r >= 0 && (deep || (service->primary && wanted(call, &service->uuid))))
			r = put_service(m, call, service, deep);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_all(sd_bus_message *m, struct discover_call *call)
{
	return put_services(m, call, true);
}

static void on_all(struct op *op, int res)
{
	answer(op, res, put_all);
}

static int put_primary(sd_bus_message *m, struct discover_call *call)
{
	return put_services(m, call, false);
}

static void on_services(struct op *op, int res)
{
	answer(op, res, put_primary);
}

static int read_options(sd_bus_message *m, bool uuid, struct discover_options *o,
                        struct bus_error *err)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct discover_options, timeout_ms, OPT_U32),
		OPT("uuid", struct discover_options, uuid, OPT_UUID),
	};

	return bus_opts_read(m, table, uuid ? 2 : 1, o, err);
}

/* Return: 0 with the call; else what the handler returns */
static int start(struct conn_bus *c, sd_bus_message *m, const struct discover_options *o,
                 uint16_t handle, void (*done)(struct op *op, int res), struct discover_call **ret)
{
	int r = gatt_call_new(c, m, sizeof(**ret), o->timeout_ms, done, ret);

	if (r != 0)
		return r;
	(*ret)->handle = handle;
	(*ret)->uuid = o->uuid;
	return 0;
}

static int started(struct discover_call *call, int r)
{
	if (r < 0)
		gatt_call_fail(&call->gc, r);
	return 1;
}

int gatt_bus_discover(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct discover_options o = {.timeout_ms = 10000};
	struct conn_bus *c = data;
	struct discover_call *call;
	struct bus_error err;
	int r;

	if (read_options(m, false, &o, &err) < 0)
		return bus_fail(m, &err);
	r = start(c, m, &o, 0, on_all, &call);
	if (r != 0)
		return r;
	return started(call, gatt_discover_all(conn_gatt(c->conn), &call->gc.g, o.timeout_ms));
}

int gatt_bus_discover_services(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct discover_options o = {.timeout_ms = 2000};
	struct conn_bus *c = data;
	struct discover_call *call;
	struct bus_error err;
	int r;

	if (read_options(m, true, &o, &err) < 0)
		return bus_fail(m, &err);
	r = start(c, m, &o, 0, on_services, &call);
	if (r != 0)
		return r;
	return started(call,
	               gatt_discover_services(conn_gatt(c->conn), &call->gc.g,
	                                      o.uuid.given ? &o.uuid.uuid : NULL, o.timeout_ms));
}

/* --- below a service --- */

static int put_of_service(sd_bus_message *m, struct discover_call *call)
{
	struct gatt_service *service =
		gatt_find_service(conn_gatt(call->gc.conn->conn), call->handle);

	/* or another discovery found it gone */
	return service ? put_characteristics(m, call, service, false) : -ENOENT;
}

static void on_characteristics(struct op *op, int res)
{
	answer(op, res, put_of_service);
}

int gatt_bus_discover_characteristics(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct discover_options o = {.timeout_ms = 2000};
	struct attr_ref attr = *(struct attr_ref *)data;
	struct discover_call *call;
	struct bus_error err;
	int r;

	if (read_options(m, true, &o, &err) < 0)
		return bus_fail(m, &err);
	r = start(attr.conn, m, &o, attr.service->handle, on_characteristics, &call);
	if (r != 0)
		return r;
	return started(call, gatt_discover_characteristics(
				     conn_gatt(attr.conn->conn), &call->gc.g, attr.service,
				     o.uuid.given ? &o.uuid.uuid : NULL, o.timeout_ms));
}

static int put_included(sd_bus_message *m, struct discover_call *call)
{
	const struct gatt_service *service;
	int r = sd_bus_message_open_container(m, 'a', "(osqqb)");

	for (size_t i = 0; r >= 0 && (service = gatt_included(&call->gc.g, i)); i++)
		r = put_service(m, call, service, false);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static void on_included(struct op *op, int res)
{
	answer(op, res, put_included);
}

int gatt_bus_discover_included(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct discover_options o = {.timeout_ms = 2000};
	struct attr_ref attr = *(struct attr_ref *)data;
	struct discover_call *call;
	struct bus_error err;
	int r;

	if (read_options(m, false, &o, &err) < 0)
		return bus_fail(m, &err);
	r = start(attr.conn, m, &o, attr.service->handle, on_included, &call);
	if (r != 0)
		return r;
	return started(call, gatt_discover_included(conn_gatt(attr.conn->conn), &call->gc.g,
	                                            attr.service, o.timeout_ms));
}

/* --- below a characteristic --- */

static int put_of_characteristic(sd_bus_message *m, struct discover_call *call)
{
	struct gatt_characteristic *chr =
		gatt_find_characteristic(conn_gatt(call->gc.conn->conn), call->handle);

	return chr ? put_descriptors(m, call, chr) : -ENOENT; /* as above */
}

static void on_descriptors(struct op *op, int res)
{
	answer(op, res, put_of_characteristic);
}

int gatt_bus_discover_descriptors(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct discover_options o = {.timeout_ms = 2000};
	struct attr_ref attr = *(struct attr_ref *)data;
	struct discover_call *call;
	struct bus_error err;
	int r;

	if (read_options(m, false, &o, &err) < 0)
		return bus_fail(m, &err);
	r = start(attr.conn, m, &o, attr.characteristic->handle, on_descriptors, &call);
	if (r != 0)
		return r;
	return started(call, gatt_discover_descriptors(conn_gatt(attr.conn->conn), &call->gc.g,
	                                               attr.characteristic, o.timeout_ms));
}
