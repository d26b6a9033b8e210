/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading and writing values of characteristics and descriptors, by object or by UUID. How a value is written (request,
 * command, long) is decided when the characteristic is known, which for WriteUuid is after it was found.
 */
#include <errno.h>
#include <string.h>

#include "aiobled/att.h"
#include "aiobled/cleanup.h"

#include "bus_opts.h"
#include "gatt_bus.h"

#define WRITE_OVERHEAD 3 /* opcode and handle: Core 5.4, Vol 3, Part F, 3.4.5.1 */

struct read_options {
	uint32_t timeout_ms;
	uint16_t offset, start, end;
};

struct write_options {
	uint32_t timeout_ms;
	uint16_t offset;
	int response;
	bool is_long, truncate;
};

struct write_call {
	struct gatt_call gc;
	struct write_options o;
	const uint8_t *value; /* a view into the call's message */
	size_t len;
};

/* --- reading --- */

static int append_value(sd_bus_message *reply, const struct gatt_op *g)
{
	return sd_bus_message_append_array(reply, 'y', g->value, g->value_len);
}

static void reply_value(struct gatt_call *call, bool with_handle)
{
	sd_bus_message *reply = bus_call_reply(&call->call);
	int r = reply ? append_value(reply, &call->g) : -ENOMEM;

	if (r >= 0 && with_handle)
		r = sd_bus_message_append_basic(reply, 'q', &call->g.handle);
	if (r >= 0) {
		bus_call_send(&call->call, reply, call->g.value_len);
		return;
	}
	sd_bus_message_unref(reply);
	bus_call_fail_res(&call->call, r);
}

static void on_read(struct op *op, int res)
{
	struct gatt_call *call = gatt_call_of(op);

	if (res == 0)
		reply_value(call, false);
	else
		gatt_call_fail(call, res);
}

static void on_read_uuid(struct op *op, int res)
{
	struct gatt_call *call = gatt_call_of(op);

	if (res == 0)
		reply_value(call, true);
	else
		gatt_call_fail(call, res);
}

static int started(struct gatt_call *call, int r)
{
	if (r < 0)
		gatt_call_fail(call, r);
	return 1;
}

static uint16_t value_handle(const struct attr_ref *attr)
{
	return attr->descriptor ? attr->descriptor->handle : attr->characteristic->handle;
}

int gatt_bus_read(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct read_options, timeout_ms, OPT_U32),
		OPT("offset", struct read_options, offset, OPT_U16),
	};
	struct attr_ref attr = *(struct attr_ref *)data;
	struct read_options o = {.timeout_ms = 1000};
	struct gatt_call *call;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &o, &err) < 0)
		return bus_fail(m, &err);
	r = gatt_call_new(attr.conn, m, sizeof(*call), o.timeout_ms, on_read, &call);
	if (r != 0)
		return r;
	return started(call, gatt_read(conn_gatt(attr.conn->conn), &call->g, value_handle(&attr),
	                               o.offset, o.timeout_ms));
}

int gatt_bus_uuid_arg(sd_bus_message *m, struct uuid *ret, struct bus_error *err)
{
	const char *text;

	if (sd_bus_message_read_basic(m, 's', &text) <= 0 || uuid_parse(text, ret) < 0)
		return bus_arg_error(err, "uuid", "is no UUID");
	return 0;
}

int gatt_bus_read_uuid(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct read_options, timeout_ms, OPT_U32),
		OPT("start", struct read_options, start, OPT_U16, .min = 1, .max = 0xffff),
		OPT("end", struct read_options, end, OPT_U16, .min = 1, .max = 0xffff),
	};
	struct read_options o = {.timeout_ms = 1000, .start = 1, .end = 0xffff};
	struct conn_bus *c = data;
	struct gatt_call *call;
	struct bus_error err;
	struct uuid uuid;
	int r;

	if (gatt_bus_uuid_arg(m, &uuid, &err) < 0 ||
	    bus_opts_read(m, table, ARRAY_SIZE(table), &o, &err) < 0)
		return bus_fail(m, &err);
	if (o.start > o.end) {
		(void)bus_arg_error(&err, "start", "is above end");
		return bus_fail(m, &err);
	}
	r = gatt_call_new(c, m, sizeof(*call), o.timeout_ms, on_read_uuid, &call);
	if (r != 0)
		return r;
	return started(call, gatt_read_by_uuid(conn_gatt(c->conn), &call->g, &uuid, o.start, o.end,
	                                       o.timeout_ms));
}

/* --- writing --- */

static void on_written(struct op *op, int res)
{
	struct gatt_call *call = gatt_call_of(op);

	if (res == 0)
		bus_call_done(&call->call, NULL);
	else
		gatt_call_fail(call, res);
}

static int too_long(struct write_call *call, uint32_t limit)
{
	bus_call_fail(&call->gc.call, &(struct bus_error){.res = -EMSGSIZE, .limit = limit});
	return 1;
}

static int write_long(struct write_call *call, uint16_t handle)
{
	struct gatt_client *client = conn_gatt(call->gc.conn->conn);

	if (call->o.offset + call->len > GATT_VALUE_MAX)
		return too_long(call, GATT_VALUE_MAX);
	return started(&call->gc,
	               gatt_write_long(client, &call->gc.g, handle, call->o.offset, call->value,
	                               call->len, bus_call_left_ms(&call->gc.call)));
}

/* The way of writing is chosen; the op is fresh, its done() is on_written(). */
static int write_value(struct write_call *call, uint16_t handle, bool request)
{
	struct gatt_client *client = conn_gatt(call->gc.conn->conn);
	size_t room = att_mtu(conn_att(call->gc.conn->conn)) - WRITE_OVERHEAD;
	uint32_t left_ms = bus_call_left_ms(&call->gc.call);

	if (call->o.is_long && (call->len > room || call->o.offset))
		return write_long(call, handle);
	if (call->len > room && !call->o.truncate)
		return too_long(call, (uint32_t)room);
	call->len = MIN(call->len, room);
	if (request || call->o.is_long)
		return started(&call->gc, gatt_write(client, &call->gc.g, handle, call->value,
		                                     call->len, left_ms));
	return started(&call->gc, gatt_write_command(client, &call->gc.g, handle, call->value,
	                                             call->len, left_ms));
}

static int write_characteristic(struct write_call *call, const struct gatt_characteristic *chr)
{
	bool request = call->o.response < 0 ? !(chr->properties & GATT_WRITE_NO_RESPONSE)
	                                    : call->o.response;

	if (!(chr->properties & (GATT_WRITE | GATT_WRITE_NO_RESPONSE | GATT_SIGNED_WRITE))) {
		bus_call_fail(
			&call->gc.call,
			&(struct bus_error){.res = -EOPNOTSUPP,
		                            .text = "the characteristic has no kind of write"});
		return 1;
	}
	return write_value(call, chr->handle, request);
}

static int read_write(sd_bus_message *m, const uint8_t **value, size_t *len,
                      struct write_options *o, struct bus_error *err)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct write_options, timeout_ms, OPT_U32),
		OPT("offset", struct write_options, offset, OPT_U16),
		OPT("response", struct write_options, response, OPT_TRI),
		OPT("long", struct write_options, is_long, OPT_BOOL),
		OPT("truncate", struct write_options, truncate, OPT_BOOL),
	};
	const void *p;

	if (sd_bus_message_read_array(m, 'y', &p, len) < 0)
		return bus_arg_error(err, "value", "cannot be read");
	*value = p;
	*o = (struct write_options){.timeout_ms = 1000, .response = -1};
	if (bus_opts_read(m, table, ARRAY_SIZE(table), o, err) < 0)
		return -EINVAL;
	if (o->offset && !o->is_long)
		return bus_arg_error(err, "offset", "needs long");
	if (o->is_long && o->response == 0)
		return bus_arg_error(err, "response", "must not be false with long");
	return 0;
}

static int write_call_new(struct conn_bus *c, sd_bus_message *m, const struct write_options *o,
                          const uint8_t *value, size_t len, void (*done)(struct op *op, int res),
                          struct write_call **ret)
{
	int r = gatt_call_new(c, m, sizeof(**ret), o->timeout_ms, done, ret);

	if (r != 0)
		return r;
	(*ret)->o = *o;
	(*ret)->value = value;
	(*ret)->len = len;
	return 0;
}

int gatt_bus_write(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct attr_ref attr = *(struct attr_ref *)data;
	struct write_options o;
	struct write_call *call;
	struct bus_error err;
	const uint8_t *value = NULL;
	size_t len = 0;
	int r;

	if (read_write(m, &value, &len, &o, &err) < 0)
		return bus_fail(m, &err);
	if (attr.descriptor && gatt_owns_cccd(conn_gatt(attr.conn->conn), attr.descriptor->handle))
		return bus_fail(m, &(struct bus_error){.res = -EBUSY,
		                                       .text = "subscriptions own this CCCD"});
	r = write_call_new(attr.conn, m, &o, value, len, on_written, &call);
	if (r != 0)
		return r;
	if (attr.descriptor)
		return write_value(call, attr.descriptor->handle, o.response != 0);
	return write_characteristic(call, attr.characteristic);
}

static void on_found(struct op *op, int res)
{
	struct write_call *call = container_of(gatt_call_of(op), struct write_call, gc);
	struct gatt_characteristic *chr;

	if (res != 0) {
		gatt_call_fail(&call->gc, res);
		return;
	}
	chr = gatt_find_characteristic(conn_gatt(call->gc.conn->conn), call->gc.g.handle);
	gatt_call_next(&call->gc, on_written);
	if (chr)
		(void)write_characteristic(call, chr); /* it answers in every case */
	else
		gatt_call_fail(&call->gc, -ENOENT);
}

int gatt_bus_write_uuid(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct conn_bus *c = data;
	struct write_options o;
	struct write_call *call;
	struct bus_error err;
	const uint8_t *value = NULL;
	struct uuid uuid;
	size_t len = 0;
	int r;

	if (gatt_bus_uuid_arg(m, &uuid, &err) < 0 || read_write(m, &value, &len, &o, &err) < 0)
		return bus_fail(m, &err);
	r = write_call_new(c, m, &o, value, len, on_found, &call);
	if (r != 0)
		return r;
	return started(&call->gc,
	               gatt_find_by_uuid(conn_gatt(c->conn), &call->gc.g, &uuid, o.timeout_ms));
}
