/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LocalCharacteristic1.Notify and Indicate. The call hangs on the connection, like every call on a link: it is answered
 * before Disconnected. What waits when the application goes is answered before its Finished.
 */
#include "local_bus.h"

#include <errno.h>

#include "aiobled/att.h"
#include "aiobled/cleanup.h"
#include "aiobled/gatt_client.h"
#include "aiobled/result.h"

#include "bus_opts.h"
#include "conn_bus.h"

#define VALUE_OVERHEAD 3 /* opcode and handle: Core 5.4, Vol 3, Part F, 3.4.7.1 */

struct send_options {
	uint32_t timeout_ms;
	bool stored, truncate;
};

/* What is to be sent to whom. */
struct send_args {
	struct conn_bus *conn;
	const void *value; /* NULL: the stored one */
	size_t len;
	struct send_options o;
};

struct send_call {
	struct bus_call call;
	struct list link; /* in app->sends */
	struct conn_bus *conn;
	struct att_cmd cmd; /* Notify */
	struct gatt_indication ind;
};

/* --- errors --- */

/* What a peer that asked for the value itself would be answered (Core 5.4, Vol 3, Part C, 10.3.1). */
static uint8_t security_error(const struct gatt_local *local, const struct conn_bus *c)
{
	uint8_t level = conn_security_level(c->conn);

	if (level <= GATT_LEVEL_NONE && conn_bonded(c->conn))
		return ATT_ERR_ENCRYPTION;
	return level < local->read_level ? ATT_ERR_AUTHENTICATION : ATT_ERR_KEY_SIZE;
}

struct bus_error local_send_error(const struct gatt_local *local, const struct conn_bus *c, int res)
{
	struct bus_error e = conn_bus_error(c, res, 0);

	if (res == -EACCES) {
		e.res = RES_ATT(security_error(local, c));
		e.text = "the link lacks the security that reading the value asks for";
		e.handle = local->handle;
	} else if (res == -EAGAIN) {
		e.res = RES_ATT(ATT_ERR_DB_OUT_OF_SYNC);
		e.text = "the peer has not heard yet that the services have changed";
		e.handle = local->handle;
	} else if (res == -EOPNOTSUPP) {
		e.text = "the characteristic has no such property";
	} else if (res == -ENOBUFS) {
		e.text = "too much waits for this link";
	}
	return e;
}

static int check_length(const struct gatt_local *local, const struct send_args *a,
                        struct bus_error *err)
{
	size_t room = att_mtu(conn_att(a->conn->conn)) - VALUE_OVERHEAD;
	size_t len = a->o.stored ? local->len : a->len;

	if (len <= room || a->o.truncate)
		return 0;
	*err = (struct bus_error){.res = -EMSGSIZE, .limit = (uint32_t)room};
	return -EMSGSIZE;
}

/* --- arguments --- */

static int read_args(sd_bus_message *m, const struct local_ref *l, struct send_args *a,
                     struct bus_error *err)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct send_options, timeout_ms, OPT_U32),
		OPT("stored", struct send_options, stored, OPT_BOOL),
		OPT("truncate", struct send_options, truncate, OPT_BOOL),
	};
	const char *path;

	*a = (struct send_args){.o = {.timeout_ms = 1000, .truncate = true}};
	if (sd_bus_message_read_basic(m, 'o', &path) <= 0)
		return bus_arg_error(err, "connection", "cannot be read");
	if (sd_bus_message_read_array(m, 'y', &a->value, &a->len) < 0)
		return bus_arg_error(err, "value", "cannot be read");
	if (bus_opts_read(m, table, ARRAY_SIZE(table), &a->o, err) < 0)
		return -EINVAL;
	if (a->o.stored && a->len)
		return bus_arg_error(err, "value", "must be empty with stored");
	if (a->len > GATT_VALUE_MAX) {
		*err = (struct bus_error){.res = -EMSGSIZE, .limit = GATT_VALUE_MAX};
		return -EMSGSIZE;
	}
	if (a->o.stored)
		a->value = NULL;
	else if (!a->len)
		a->value = ""; /* an empty value, not the stored one */
	return local_conn(l->app, path, &a->conn, err);
}

static void send_call_release(struct bus_call *call)
{
	list_del(&container_of(call, struct send_call, call)->link);
}

void local_sends_cancel(struct app_bus *app)
{
	struct send_call *call;

	while ((call = list_first(&app->sends, struct send_call, link)))
		op_fail(call->call.op, -ECANCELED);
}

static int send_call_new(sd_bus_message *m, const struct local_ref *l, const struct send_args *a,
                         struct send_call **ret)
{
	struct bus *bus = l->app->adapter->bus;
	struct bus_error err;
	int r;

	if (check_length(l->local, a, &err) < 0)
		return bus_fail(m, &err);
	r = bus_call_new(bus, m, sizeof(**ret), &a->conn->calls, a->o.timeout_ms, ret);
	if (r != 0)
		return r;
	(*ret)->conn = a->conn;
	(*ret)->call.release = send_call_release;
	list_init(&(*ret)->link);
	list_add_tail(&l->app->sends, &(*ret)->link);
	return 0;
}

static int started(struct send_call *call, const struct gatt_local *local, int r)
{
	struct bus_error e;

	if (r < 0) {
		e = local_send_error(local, call->conn, r);
		bus_call_fail(&call->call, &e);
	}
	return 1;
}

static void finish(struct send_call *call, int res)
{
	struct bus_error e;

	if (res == 0) {
		bus_call_done(&call->call, NULL);
		return;
	}
	e = conn_bus_error(call->conn, res, 0);
	if (res == -ECANCELED && !call->call.bus->stopping)
		e.text = "the application is over";
	bus_call_fail(&call->call, &e);
}

/* What both do first. Return: 0; else what the handler returns, @m was answered. */
static int send_begin(sd_bus_message *m, const struct local_ref *l, struct send_args *a,
                      struct send_call **ret)
{
	struct bus_error err;

	holder_touch(&l->app->holder);
	if (read_args(m, l, a, &err) < 0)
		return bus_fail(m, &err);
	holder_touch(&a->conn->holder);
	return send_call_new(m, l, a, ret);
}

/* --- Notify --- */

static void on_notified(struct op *op, int res)
{
	struct att_cmd *cmd = container_of(op, struct att_cmd, op);

	finish(container_of(cmd, struct send_call, cmd), res);
}

int local_bus_notify(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct local_ref l = *(struct local_ref *)data;
	struct send_call *call;
	struct send_args a;
	int r = send_begin(m, &l, &a, &call);

	if (r != 0)
		return r;
	op_init(&call->cmd.op, call->call.bus->loop, on_notified);
	call->call.op = &call->cmd.op;
	return started(call, l.local,
	               gatt_server_notify(conn_gatt_link(a.conn->conn), l.local, a.value, a.len,
	                                  &call->cmd, a.o.timeout_ms, NULL));
}

/* --- Indicate --- */

static void on_indicated(struct op *op, int res)
{
	struct gatt_indication *ind = container_of(op, struct gatt_indication, op);

	finish(container_of(ind, struct send_call, ind), res);
}

int local_bus_indicate(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct local_ref l = *(struct local_ref *)data;
	struct send_call *call;
	struct send_args a;
	int r = send_begin(m, &l, &a, &call);

	if (r != 0)
		return r;
	op_init(&call->ind.op, call->call.bus->loop, on_indicated);
	call->call.op = &call->ind.op;
	return started(call, l.local,
	               gatt_server_indicate(conn_gatt_link(a.conn->conn), l.local, a.value, a.len,
	                                    &call->ind, a.o.timeout_ms, NULL));
}
