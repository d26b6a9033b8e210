/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble.Connection1. The order at the end of a link is a promise: every waiting call is answered (on_disconnected()
 * comes when the engine has failed its own), subscriptions tell their end, then Disconnected, then the object goes.
 */
#include "conn_bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/att.h"
#include "aiobled/cleanup.h"
#include "aiobled/log.h"
#include "aiobled/result.h"

#include "app_bus.h"
#include "bus_opts.h"
#include "client.h"
#include "gatt_bus.h"
#include "notify_stream.h"
#include "sub_bus.h"
#include "tree.h"
#include "write_stream.h"

#define CONNECTION_INTERFACE "org.aioble.Connection1"

/* kernel.h: levels of the channel's security */
#define LEVEL_ENCRYPTED     2
#define LEVEL_AUTHENTICATED 3

enum {
	P_CONNECTED,
	P_MTU,
	P_INTERVAL,
	P_LATENCY,
	P_TIMEOUT,
	P_ENCRYPTED,
	P_AUTHENTICATED,
	P_KEY_SIZE,
	P_BONDED,
	P_IDENTITY,
};

static const char *const property_names[] = {
	"Connected", "Mtu",           "IntervalUs", "Latency", "SupervisionTimeoutMs",
	"Encrypted", "Authenticated", "KeySize",    "Bonded",  "Identity",
	NULL,
};

/* What was told last. */
struct conn_seen {
	uint16_t mtu, interval, latency, timeout;
	uint8_t level, key_size;
	bool bonded, identified;
};

struct conn_object {
	struct conn_bus base;
	struct conn_seen seen;
};

static struct conn_object *object(struct conn_bus *c)
{
	return container_of(c, struct conn_object, base);
}

static struct conn_seen look(const struct conn *conn)
{
	return (struct conn_seen){
		.mtu = att_mtu(conn_att(conn)),
		.interval = conn_interval(conn),
		.latency = conn_latency(conn),
		.timeout = conn_supervision_timeout(conn),
		.level = conn_security_level(conn),
		.key_size = conn_key_size(conn),
		.bonded = conn_bonded(conn),
		.identified = conn_identity(conn),
	};
}

static uint32_t compare(const struct conn_seen *x, const struct conn_seen *y)
{
	return (x->mtu != y->mtu ? 1u << P_MTU : 0) |
	       (x->interval != y->interval ? 1u << P_INTERVAL : 0) |
	       (x->latency != y->latency ? 1u << P_LATENCY : 0) |
	       (x->timeout != y->timeout ? 1u << P_TIMEOUT : 0) |
	       (x->level != y->level ? 1u << P_ENCRYPTED | 1u << P_AUTHENTICATED : 0) |
	       (x->key_size != y->key_size ? 1u << P_KEY_SIZE : 0) |
	       (x->bonded != y->bonded ? 1u << P_BONDED : 0) |
	       (x->identified != y->identified ? 1u << P_IDENTITY : 0);
}

static void on_changed(struct conn *conn, struct conn_observer *observer)
{
	struct conn_bus *c = container_of(observer, struct conn_bus, observer);
	struct conn_seen now = look(conn);

	props_dirty(&c->props, compare(&object(c)->seen, &now));
	object(c)->seen = now;
}

/* --- the end --- */

struct bus_error conn_bus_error(const struct conn_bus *c, int res, uint16_t err_handle)
{
	struct bus_error e = {.res = res};

	if (res_domain(res) == RES_DOMAIN_ATT)
		e.handle = err_handle;
	else if (res == -ENOTCONN)
		e.hci = conn_disconnect_reason(c->conn);
	return e;
}

static void tell_disconnected(struct conn_bus *c, uint8_t reason)
{
	sd_bus_message *m = bus_signal(c->bus, c->path, CONNECTION_INTERFACE, "Disconnected", NULL);
	const char *text = hci_error_name(reason);
	int r;

	if (!m)
		return;
	r = sd_bus_message_append(m, "ya{sv}", reason, 1, "text", "s",
	                          text ? text : "reason not known");
	if (r >= 0)
		bus_send(c->bus, m);
	else
		sd_bus_message_unref(m);
}

static void end_children(struct conn_bus *c, const struct bus_error *why)
{
	struct write_stream *w;
	struct sub_bus *s;

	while ((s = list_first(&c->subs, struct sub_bus, link)))
		sub_bus_end(s, bus_error_name(why), why);
	while ((w = write_stream_first(c)))
		write_stream_end(w, why->hci, bus_error_name(why));
}

static void on_disconnected(struct conn *conn, struct conn_observer *observer)
{
	struct conn_bus *c = container_of(observer, struct conn_bus, observer);
	struct bus_error why = conn_bus_error(c, -ENOTCONN, 0);
	struct bus *bus = c->bus;

	log_debug(c->name, "link is down: HCI 0x%02x", conn_disconnect_reason(conn));
	scope_fail(&c->calls, -ENOTCONN);
	end_children(c, &why);
	notify_streams_link_down(c, &why);
	app_bus_flush(c->adapter);
	props_dirty(&c->props, 1u << P_CONNECTED);
	props_flush(&c->props);
	tell_disconnected(c, conn_disconnect_reason(conn));
	bus_withdraw(bus, c->path, CONNECTION_INTERFACE);
	conn_bus_free(c);
}

void conn_bus_free(struct conn_bus *c)
{
	struct write_stream *w;
	struct sub_bus *s;

	conn_unobserve(&c->observer);
	scope_fail(&c->calls, -ECANCELED);
	while ((s = list_first(&c->subs, struct sub_bus, link)))
		sub_bus_free(s);
	while ((w = write_stream_first(c)))
		write_stream_free(w);
	holder_deinit(&c->holder);
	props_deinit(&c->props);
	list_del(&c->link);
	free(object(c));
}

/* --- the beginning --- */

static void on_released(struct holder *h)
{
	struct conn_bus *c = container_of(h, struct conn_bus, holder);

	log_debug(c->name, "nobody holds the link");
	(void)conn_disconnect(c->conn, NULL, 0); /* without an op it cannot fail */
}

/* A lingering link is in use while a client has a subscription or a descriptor on it. */
static bool on_busy(struct holder *h)
{
	struct conn_bus *c = container_of(h, struct conn_bus, holder);
	struct sub_bus *s;

	list_for_each (s, &c->subs, link)
		if (!holder_alone(&s->holder) || s->sink.stream)
			return true;
	return !list_empty(&c->write_streams);
}

void conn_bus_added(struct adapter_bus *a, struct conn *conn)
{
	struct conn_object *o = calloc(1, sizeof(*o));
	struct conn_bus *c = o ? &o->base : NULL;
	char address[ADDR_STR_MAX];

	if (!o) { /* nobody could ever see it or let it go */
		log_error(adapter_name(a->adapter), "no memory for a link");
		(void)conn_disconnect(conn, NULL, 0);
		return;
	}
	c->adapter = a;
	c->bus = a->bus;
	c->conn = conn;
	c->id = a->bus->next_conn++;
	(void)snprintf(c->path, sizeof(c->path), BUS_ROOT "/%s/conn/%llu", adapter_name(a->adapter),
	               (unsigned long long)c->id);
	(void)snprintf(c->name, sizeof(c->name), "%s %s", adapter_name(a->adapter),
	               addr_format(conn_addr(conn), address));
	props_init(&c->props, a->bus, c->path, CONNECTION_INTERFACE, property_names);
	holder_init(&c->holder, a->bus, QUOTA_CONNECTIONS, LIFETIME_CALLER, on_released);
	c->holder.busy = on_busy;
	if (!conn_is_central(conn))
		holder_keep(&c->holder); /* the peer's link: it lives as long as the peer wants */
	list_init(&c->calls);
	list_init(&c->subs);
	list_init(&c->write_streams);
	list_add_tail(&a->conns, &c->link);
	o->seen = look(conn);
	c->observer =
		(struct conn_observer){.changed = on_changed, .disconnected = on_disconnected};
	list_init(&c->observer.link);
	conn_observe(conn, &c->observer);
	bus_announce(a->bus, c->path, CONNECTION_INTERFACE);
}

void conn_bus_inherit(struct conn_bus *c, const struct holder *from)
{
	holder_inherit(&c->holder, from, c->name);
}

struct conn_bus *conn_bus_of(struct adapter_bus *a, const struct conn *conn)
{
	struct conn_bus *c;

	list_for_each (c, &a->conns, link)
		if (c->conn == conn)
			return c;
	return NULL;
}

void conn_bus_let_go(struct conn_bus *c, struct client *client)
{
	if (!holder_has(&c->holder, client))
		return;
	if (holder_other(&c->holder, client))
		(void)holder_remove(&c->holder, client); /* it holds it: see above */
	else
		(void)conn_disconnect(c->conn, NULL, 0); /* the holding goes with the object */
}

/* --- calls on GATT procedures --- */

int gatt_call_new(struct conn_bus *c, sd_bus_message *m, size_t size, uint32_t timeout_ms,
                  void (*done)(struct op *op, int res), void *ret)
{
	struct gatt_call *call;
	int r;

	if (!conn_is_up(c->conn))
		return bus_fail_res(m, -ESHUTDOWN);
	holder_touch(&c->holder);
	r = bus_call_new(c->bus, m, size, &c->calls, timeout_ms, &call);
	if (r != 0)
		return r;
	call->conn = c;
	op_init(&call->g.op, c->bus->loop, done);
	call->call.op = &call->g.op;
	*(struct gatt_call **)ret = call;
	return 0;
}

void gatt_call_fail(struct gatt_call *call, int res)
{
	struct bus_error e = conn_bus_error(call->conn, res, call->g.err_handle);

	bus_call_fail(&call->call, &e);
}

void gatt_call_next(struct gatt_call *call, void (*done)(struct op *op, int res))
{
	op_init(&call->g.op, call->call.bus->loop, done);
}

/* --- Disconnect, Hold, Release, ExchangeMtu --- */

struct disconnect_call {
	struct bus_call call;
	struct op op;
};

static void on_down(struct op *op, int res)
{
	struct disconnect_call *call = container_of(op, struct disconnect_call, op);

	/* whoever ended it: it is down, which is what was asked */
	if (res == 0 || res == -ENOTCONN)
		bus_call_done(&call->call, NULL);
	else
		bus_call_fail_res(&call->call, res);
}

static int method_disconnect(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {OPT_ALONE("timeout_ms", OPT_U32)};
	struct conn_bus *c = data;
	struct disconnect_call *call;
	uint32_t timeout_ms = 2000;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &timeout_ms, &err) < 0)
		return bus_fail(m, &err);
	r = bus_call_new(c->bus, m, sizeof(*call), &c->calls, timeout_ms, &call);
	if (r != 0)
		return r;
	op_init(&call->op, c->bus->loop, on_down);
	call->call.op = &call->op;
	return bus_call_started(&call->call, conn_disconnect(c->conn, &call->op, timeout_ms));
}

static int method_hold(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct bus_error err = {.res = -ENOMEM};
	struct conn_bus *c = data;
	struct client *client;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0 || client_of(c->bus, m, &client) < 0 ||
	    holder_add(&c->holder, client, &err) < 0)
		return bus_fail(m, &err);
	return sd_bus_reply_method_return(m, NULL);
}

static int method_release(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct bus_error err = {.res = -ENOMEM};
	struct conn_bus *c = data;
	struct client *client;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0 || client_of(c->bus, m, &client) < 0)
		return bus_fail(m, &err);
	if (holder_remove(&c->holder, client) < 0)
		return bus_fail(m, &(struct bus_error){.res = -ENOENT,
		                                       .text = "you do not hold this connection"});
	return sd_bus_reply_method_return(m, NULL);
}

struct mtu_call {
	struct bus_call call;
	struct conn_bus *conn;
	struct att_req req;
};

struct mtu_options {
	uint32_t timeout_ms;
	uint16_t mtu;
};

static void on_mtu(struct op *op, int res)
{
	struct att_req *req = container_of(op, struct att_req, op);
	struct mtu_call *call = container_of(req, struct mtu_call, req);
	struct bus_error err;

	if (res == 0) {
		bus_call_done(&call->call, "q", att_mtu(conn_att(call->conn->conn)));
		return;
	}
	err = conn_bus_error(call->conn, res, req->err_handle);
	bus_call_fail(&call->call, &err);
}

static int method_exchange_mtu(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct mtu_options, timeout_ms, OPT_U32),
		OPT("mtu", struct mtu_options, mtu, OPT_U16, .min = ATT_MTU_DEFAULT,
	            .max = ATT_MTU_MAX),
	};
	struct mtu_options o = {.timeout_ms = 1000, .mtu = ATT_MTU_MAX};
	struct conn_bus *c = data;
	struct mtu_call *call;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &o, &err) < 0)
		return bus_fail(m, &err);
	if (!conn_is_up(c->conn))
		return bus_fail_res(m, -ESHUTDOWN);
	holder_touch(&c->holder);
	r = bus_call_new(c->bus, m, sizeof(*call), &c->calls, o.timeout_ms, &call);
	if (r != 0)
		return r;
	call->conn = c;
	op_init(&call->req.op, c->bus->loop, on_mtu);
	call->call.op = &call->req.op;
	r = att_exchange_mtu(conn_att(c->conn), &call->req, o.mtu, o.timeout_ms);
	if (r < 0)
		on_mtu(&call->req.op, r);
	return 1;
}

/* --- properties --- */

#define GETTER(name, type, expression)                                                             \
	static int get_##name(sd_bus *sd, const char *path, const char *interface,                 \
	                      const char *property, sd_bus_message *m, void *data,                 \
	                      sd_bus_error *error)                                                 \
	{                                                                                          \
		const struct conn_bus *c = data;                                                   \
                                                                                                   \
		return sd_bus_message_append(m, type, expression);                                 \
	}

GETTER(adapter, "o", c->adapter->path)
GETTER(address_type, "s", addr_type_name(conn_addr(c->conn)->type))
GETTER(role, "s", conn_is_central(c->conn) ? "central" : "peripheral")
GETTER(connected, "b", (int)conn_is_up(c->conn))
GETTER(mtu, "q", att_mtu(conn_att(c->conn)))
GETTER(interval, "u", conn_interval(c->conn) * 1250u)
GETTER(latency, "q", conn_latency(c->conn))
GETTER(timeout, "u", conn_supervision_timeout(c->conn) * 10u)
GETTER(encrypted, "b", (int)(conn_security_level(c->conn) >= LEVEL_ENCRYPTED))
GETTER(authenticated, "b", (int)(conn_security_level(c->conn) >= LEVEL_AUTHENTICATED))
GETTER(bonded, "b", (int)conn_bonded(c->conn))
GETTER(key_size, "y", conn_key_size(c->conn))
GETTER(lifetime, "s", lifetime_names[c->holder.lifetime])
GETTER(expires, "t", holder_expires_us(&c->holder))
GETTER(queued, "u", (uint32_t)att_queued(conn_att(c->conn)))

static int get_address(sd_bus *sd, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct conn_bus *c = data;
	char address[ADDR_STR_MAX];

	return sd_bus_message_append_basic(m, 's', addr_format(conn_addr(c->conn), address));
}

static int get_identity(sd_bus *sd, const char *path, const char *interface, const char *property,
                        sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct addr *identity = conn_identity(((struct conn_bus *)data)->conn);
	char address[ADDR_STR_MAX] = "";

	if (identity)
		(void)addr_format(identity, address);
	return sd_bus_message_append_basic(m, 's', address);
}

static int get_holders(sd_bus *sd, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *data, sd_bus_error *error)
{
	return holder_append(&((struct conn_bus *)data)->holder, m);
}

static int get_stats(sd_bus *sd, const char *path, const char *interface, const char *property,
                     sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct att_stats *s = att_stats(conn_att(((struct conn_bus *)data)->conn));

	return sd_bus_message_append(
		m, "a{st}", 10, "requests", s->requests, "errors", s->errors, "timeouts",
		s->timeouts, "notifications", s->notifications, "indications", s->indications,
		"commands", s->commands, "notified", s->notified, "indicated", s->indicated,
		"confirmed", s->confirmed, "protocol_errors", s->protocol_errors);
}

static int find(_unused_ sd_bus *sd, const char *path, _unused_ const char *interface, void *data,
                void **ret, _unused_ sd_bus_error *error)
{
	struct tree_node t;

	if (tree_resolve(data, path, &t) != TREE_CONNECTION)
		return 0;
	*ret = t.conn;
	return 1;
}

#define CONST   SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable connection_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Adapter", "o", get_adapter, 0, CONST),
	SD_BUS_PROPERTY("Address", "s", get_address, 0, CHANGES),
	SD_BUS_PROPERTY("AddressType", "s", get_address_type, 0, CHANGES),
	SD_BUS_PROPERTY("Identity", "s", get_identity, 0, CHANGES),
	SD_BUS_PROPERTY("Role", "s", get_role, 0, CONST),
	SD_BUS_PROPERTY("Connected", "b", get_connected, 0, CHANGES),
	SD_BUS_PROPERTY("Mtu", "q", get_mtu, 0, CHANGES),
	SD_BUS_PROPERTY("IntervalUs", "u", get_interval, 0, CHANGES),
	SD_BUS_PROPERTY("Latency", "q", get_latency, 0, CHANGES),
	SD_BUS_PROPERTY("SupervisionTimeoutMs", "u", get_timeout, 0, CHANGES),
	SD_BUS_PROPERTY("Encrypted", "b", get_encrypted, 0, CHANGES),
	SD_BUS_PROPERTY("Authenticated", "b", get_authenticated, 0, CHANGES),
	SD_BUS_PROPERTY("Bonded", "b", get_bonded, 0, CHANGES),
	SD_BUS_PROPERTY("KeySize", "y", get_key_size, 0, CHANGES),
	SD_BUS_PROPERTY("Holders", "as", get_holders, 0, 0),
	SD_BUS_PROPERTY("Lifetime", "s", get_lifetime, 0, 0),
	SD_BUS_PROPERTY("ExpiresUs", "t", get_expires, 0, 0),
	SD_BUS_PROPERTY("QueuedRequests", "u", get_queued, 0, 0),
	SD_BUS_PROPERTY("Stats", "a{st}", get_stats, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("Disconnect", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_disconnect, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Hold", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_hold, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_release, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ExchangeMtu", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("q", mtu), method_exchange_mtu,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Discover", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a(osqqba(osqqqya(osq)))", services),
                                gatt_bus_discover, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("DiscoverServices", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a(osqqb)", services), gatt_bus_discover_services,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ReadUuid", SD_BUS_ARGS("s", uuid, "a{sv}", options),
                                SD_BUS_RESULT("ay", value, "q", handle), gatt_bus_read_uuid,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("WriteUuid", SD_BUS_ARGS("s", uuid, "ay", value, "a{sv}", options),
                                SD_BUS_NO_RESULT, gatt_bus_write_uuid, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SubscribeUuid", SD_BUS_ARGS("s", uuid, "a{sv}", options),
                                SD_BUS_RESULT("o", subscription), sub_bus_subscribe_uuid,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("Disconnected", SD_BUS_ARGS("y", reason, "a{sv}", details), 0),
	SD_BUS_VTABLE_END,
};

int bus_add_connection(struct bus *bus)
{
	return bus_export(bus, CONNECTION_INTERFACE, connection_vtable, find);
}
