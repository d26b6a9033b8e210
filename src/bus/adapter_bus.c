/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble.Adapter1. Whether the radio is on, starting or off is the engine's business: work is handed to it as it
 * comes, and waits there. What is decided here is only who may turn the radio off: nobody, while others hold something.
 */
#include "adapter_bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/conn.h"
#include "aiobled/log.h"

#include "adv_bus.h"
#include "app_bus.h"
#include "bus_call.h"
#include "bus_opts.h"
#include "client.h"
#include "conn_bus.h"
#include "scan_bus.h"
#include "tree.h"

#define ADAPTER_INTERFACE "org.aioble.Adapter1"

#define INTERVAL_UNIT_US   1250
#define TIMEOUT_UNIT_MS    10
#define CONN_INTERVAL_MIN  7500
#define CONN_INTERVAL_MAX  4000000
#define SUPERVISION_MS_MAX 32000

/* --- properties --- */

enum {
	P_ADDRESS,
	P_ADDRESS_TYPE,
	P_STATE,
	P_REASON,
	P_CONFLICT,
	P_POWERED,
	P_HCI_VERSION,
	P_MANUFACTURER,
	P_EXTENDED_SCAN,
	P_SCANNING,
	P_LINKS_IN_USE,
	P_LINKS_MAX,
	P_ADVERTISERS_IN_USE,
	P_ADVERTISERS_MAX,
};

static const char *const property_names[] = {
	"Address",    "AddressType", "State",        "Reason",       "Conflict",
	"Powered",    "HciVersion",  "Manufacturer", "ExtendedScan", "Scanning",
	"LinksInUse", "LinksMax",    "AdvertisersInUse", "AdvertisersMax", NULL,
};

/* What was told last: the engine says "something changed", clients are told what. */
struct adapter_seen {
	struct addr addr;
	enum adapter_state state;
	uint32_t texts; /* of reason and conflict, hashed */
	bool powered, extended, scanning;
	uint8_t hci_version;
	uint16_t manufacturer;
	uint32_t links_in_use, links_max, advertisers_in_use, advertisers_max;
};

struct adapter_object {
	struct adapter_bus base;
	struct adapter_seen seen;
};

static const char *state_name(enum adapter_state state)
{
	switch (state) {
	case ADAPTER_STARTING:
		return "starting";
	case ADAPTER_READY:
		return "ready";
	case ADAPTER_OFF:
		return "off";
	case ADAPTER_BLOCKED:
		return "blocked";
	case ADAPTER_FAILED:
		return "failed";
	}
	return "failed";
}

static uint32_t hash_text(uint32_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

static struct adapter_seen look(const struct adapter *a)
{
	return (struct adapter_seen){
		.addr = *adapter_addr(a),
		.state = adapter_state(a),
		.texts = hash_text(hash_text(2166136261u, adapter_reason(a)) + 1,
	                           adapter_conflict(a)),
		.powered = adapter_powered(a),
		.extended = adapter_extended_scan(a),
		.scanning = adapter_scanning(a),
		.hci_version = adapter_hci_version(a),
		.manufacturer = adapter_manufacturer(a),
		.links_in_use = adapter_links_in_use(a),
		.links_max = adapter_links_max(a),
		.advertisers_in_use = adv_count(a),
		.advertisers_max = adv_max(a),
	};
}

static uint32_t bit(bool changed, unsigned int property)
{
	return changed ? 1u << property : 0;
}

static uint32_t compare(const struct adapter_seen *x, const struct adapter_seen *y)
{
	return bit(memcmp(x->addr.b, y->addr.b, ADDR_LEN) != 0, P_ADDRESS) |
	       bit(x->addr.type != y->addr.type, P_ADDRESS_TYPE) |
	       bit(x->state != y->state, P_STATE) | bit(x->texts != y->texts, P_REASON) |
	       bit(x->texts != y->texts, P_CONFLICT) | bit(x->powered != y->powered, P_POWERED) |
	       bit(x->hci_version != y->hci_version, P_HCI_VERSION) |
	       bit(x->manufacturer != y->manufacturer, P_MANUFACTURER) |
	       bit(x->extended != y->extended, P_EXTENDED_SCAN) |
	       bit(x->scanning != y->scanning, P_SCANNING) |
	       bit(x->links_in_use != y->links_in_use, P_LINKS_IN_USE) |
	       bit(x->links_max != y->links_max, P_LINKS_MAX) |
	       bit(x->advertisers_in_use != y->advertisers_in_use, P_ADVERTISERS_IN_USE) |
	       bit(x->advertisers_max != y->advertisers_max, P_ADVERTISERS_MAX);
}

static void on_changed(_unused_ struct adapter *adapter, void *data)
{
	struct adapter_object *o = data;
	struct adapter_seen now = look(o->base.adapter);

	props_dirty(&o->base.props, compare(&o->seen, &now));
	o->seen = now;
}

#define GETTER(name, type, expression)                                                             \
	static int get_##name(sd_bus *sd, const char *path, const char *interface,                 \
	                      const char *property, sd_bus_message *m, void *data,                 \
	                      sd_bus_error *error)                                                 \
	{                                                                                          \
		const struct adapter *a = ((struct adapter_bus *)data)->adapter;                   \
                                                                                                   \
		return sd_bus_message_append(m, type, expression);                                 \
	}

GETTER(address_type, "s", addr_type_name(adapter_addr(a)->type))
GETTER(name, "s", adapter_name(a))
GETTER(state, "s", state_name(adapter_state(a)))
GETTER(reason, "s", adapter_reason(a))
GETTER(conflict, "s", adapter_conflict(a))
GETTER(powered, "b", (int)adapter_powered(a))
GETTER(hci_version, "y", adapter_hci_version(a))
GETTER(manufacturer, "q", adapter_manufacturer(a))
GETTER(extended_scan, "b", (int)adapter_extended_scan(a))
GETTER(scanning, "b", (int)adapter_scanning(a))
GETTER(links_in_use, "u", adapter_links_in_use(a))
GETTER(links_max, "u", adapter_links_max(a))
GETTER(advertisers_in_use, "u", adv_count(a))
GETTER(advertisers_max, "u", adv_max(a))

static int get_address(sd_bus *sd, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct adapter_bus *a = data;
	char buf[ADDR_STR_MAX];

	return sd_bus_message_append_basic(m, 's', addr_format(adapter_addr(a->adapter), buf));
}

static int get_stats(sd_bus *sd, const char *path, const char *interface, const char *property,
                     sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct adapter_stats s;

	adapter_get_stats(((struct adapter_bus *)data)->adapter, &s);
	return sd_bus_message_append(
		m, "a{st}", 16, "reports", s.reports, "reports_dropped", s.reports_dropped,
		"connects", s.connects, "connect_failures", s.connect_failures, "connect_retries",
		s.connect_retries, "accepts", s.accepts, "accept_failures", s.accept_failures,
		"new_keys", s.new_keys, "pairing_failures", s.pairing_failures, "pairings_refused",
		s.pairings_refused, "disconnects", s.disconnects, "commands", s.commands,
		"command_timeouts", s.command_timeouts, "events_malformed", s.events_malformed,
		"scan_restarts", s.scan_restarts, "foreign_changes", s.foreign_changes);
}

/* --- Connect --- */

struct connect_call {
	struct bus_call call;
	struct connect_op connect;
	struct adapter_bus *adapter;
	struct addr peer;
	int lifetime;
};

struct connect_options {
	uint32_t timeout_ms, min_us, max_us, supervision_ms;
	uint16_t latency;
	int lifetime;
};

static void connect_call_release(struct bus_call *call)
{
	client_give(call->client, QUOTA_CONNECTIONS);
}

/* The caller is there (calls of one that left were dropped), and the object has been announced by conn_bus_added(). */
static void connect_succeeded(struct connect_call *call)
{
	struct conn_bus *c = conn_bus_of(call->adapter, call->connect.conn);
	struct bus_error err;

	if (!c) { /* no memory for its object */
		bus_call_fail_res(&call->call, -ENOMEM);
		return;
	}
	call->call.release = NULL; /* from the waiting call's place to the holder's */
	client_give(call->call.client, QUOTA_CONNECTIONS);
	holder_extend(&c->holder, call->lifetime);
	if (holder_add(&c->holder, call->call.client, &err) < 0) {
		bus_call_fail(&call->call, &err);
		return;
	}
	bus_call_done(&call->call, "o", c->path);
}

static void on_connected(struct op *op, int res)
{
	struct connect_op *connect = container_of(op, struct connect_op, op);
	struct connect_call *call = container_of(connect, struct connect_call, connect);
	struct bus_error err = {.res = res, .suffix = "ConnectFailed"};

	if (res == 0) {
		connect_succeeded(call);
		return;
	}
	if (res == -ENETDOWN && *adapter_reason(call->adapter->adapter))
		err.text = adapter_reason(call->adapter->adapter);
	bus_call_fail(&call->call, &err);
}

static int read_peer(sd_bus_message *m, struct addr *ret, struct bus_error *err)
{
	const char *address, *type_name;
	uint8_t type;

	if (sd_bus_message_read(m, "ss", &address, &type_name) < 0)
		return bus_arg_error(err, "address", "cannot be read");
	if (addr_type_parse(type_name, &type) < 0)
		return bus_arg_error(err, "address_type", "is neither public nor random");
	if (addr_parse(address, type, ret) < 0)
		return bus_arg_error(err, "address", "is no address");
	return 0;
}

/* A bound that is not given follows the one that is. */
static int connect_params(struct connect_options *o, struct connect_params *p,
                          struct bus_error *err)
{
	uint32_t needed_ms;

	if (!o->min_us)
		o->min_us = MIN(30000, o->max_us ? o->max_us : 30000);
	if (!o->max_us)
		o->max_us = MAX(50000, o->min_us);
	if (o->min_us > o->max_us)
		return bus_arg_error(err, "min_conn_interval_us", "is above max_conn_interval_us");
	/* Core 5.4, Vol 4, Part E, 7.8.12: longer than twice the effective interval */
	needed_ms = (uint32_t)(2ull * (1u + o->latency) * o->max_us / 1000 + TIMEOUT_UNIT_MS);
	if (!o->supervision_ms)
		o->supervision_ms = MIN(MAX(2560, needed_ms), SUPERVISION_MS_MAX);
	if (o->supervision_ms < needed_ms)
		return bus_arg_error(err, "supervision_timeout_ms",
		                     "is not above twice max_conn_interval_us with latency");
	p->interval_min = (uint16_t)(o->min_us / INTERVAL_UNIT_US);
	p->interval_max = (uint16_t)(o->max_us / INTERVAL_UNIT_US);
	p->latency = o->latency;
	p->supervision_timeout = (uint16_t)(o->supervision_ms / TIMEOUT_UNIT_MS);
	return 0;
}

static int read_connect(sd_bus_message *m, struct addr *peer, struct connect_options *o,
                        struct connect_params *p, struct bus_error *err)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct connect_options, timeout_ms, OPT_U32),
		OPT("min_conn_interval_us", struct connect_options, min_us, OPT_U32,
	            .min = CONN_INTERVAL_MIN, .max = CONN_INTERVAL_MAX),
		OPT("max_conn_interval_us", struct connect_options, max_us, OPT_U32,
	            .min = CONN_INTERVAL_MIN, .max = CONN_INTERVAL_MAX),
		OPT("latency", struct connect_options, latency, OPT_U16, .min = 0, .max = 499),
		OPT("supervision_timeout_ms", struct connect_options, supervision_ms, OPT_U32,
	            .min = 100, .max = SUPERVISION_MS_MAX),
		OPT("lifetime", struct connect_options, lifetime, OPT_ENUM,
	            .names = lifetime_names),
	};

	if (read_peer(m, peer, err) < 0 || bus_opts_read(m, table, ARRAY_SIZE(table), o, err) < 0)
		return -EINVAL;
	return connect_params(o, p, err);
}

static int method_connect(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct connect_options o = {.timeout_ms = 10000, .lifetime = LIFETIME_LINGER};
	struct adapter_bus *a = data;
	struct connect_params params;
	struct connect_call *call;
	struct bus_error err;
	struct addr peer;
	int r;

	if (read_connect(m, &peer, &o, &params, &err) < 0)
		return bus_fail(m, &err);
	r = bus_call_new(a->bus, m, sizeof(*call), &a->calls, o.timeout_ms, &call);
	if (r != 0)
		return r;
	if (client_take(call->call.client, QUOTA_CONNECTIONS, &err) < 0) {
		bus_call_fail(&call->call, &err);
		return 1;
	}
	call->call.release = connect_call_release;
	call->adapter = a;
	call->peer = peer;
	call->lifetime = o.lifetime;
	op_init(&call->connect.op, a->bus->loop, on_connected);
	call->call.op = &call->connect.op;
	r = connect_start(a->adapter, &peer, &params, &call->connect, o.timeout_ms);
	if (r < 0)
		on_connected(&call->connect.op, r);
	return 1;
}

/* --- CancelConnect --- */

/* Answers the caller's waiting Connect calls, to @peer only when it is given. Return: how many. */
static unsigned int cancel_connects(struct adapter_bus *a, struct client *client,
                                    const struct addr *peer)
{
	struct bus_call *call, *tmp;
	unsigned int n = 0;

	list_for_each_safe (call, tmp, &client->calls, link) {
		struct connect_call *c = container_of(call, struct connect_call, call);

		if (!call->op || call->op->done != on_connected || c->adapter != a)
			continue;
		if (peer && !addr_equal(&c->peer, peer))
			continue;
		n++;
		op_fail(call->op, -ECANCELED);
	}
	return n;
}

static int method_cancel_connect(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct adapter_bus *a = data;
	struct bus_error err;
	struct client *client;
	struct addr peer;

	if (read_peer(m, &peer, &err) < 0 || bus_opts_read(m, NULL, 0, NULL, &err) < 0)
		return bus_fail(m, &err);
	if (client_of(a->bus, m, &client) < 0)
		return bus_fail_res(m, -ENOMEM);
	if (cancel_connects(a, client, &peer) == 0)
		return bus_fail(
			m, &(struct bus_error){.res = -ENOENT,
		                               .text = "no Connect call of yours waits for it"});
	return sd_bus_reply_method_return(m, NULL);
}

/* --- power --- */

struct power_call {
	struct bus_call call;
	struct op op;
};

const char *adapter_bus_holder(const struct adapter_bus *a, const struct client *except)
{
	struct bus_call *call;
	struct adv_bus *adv;
	struct conn_bus *c;
	struct scan_bus *s;
	const char *name;

	list_for_each (call, &a->calls, scope)
		if (call->client != except)
			return call->client->name;
	list_for_each (c, &a->conns, link) {
		name = holder_other(&c->holder, except);
		if (name)
			return name;
		if (c->holder.lifetime == LIFETIME_PERSISTENT && holder_alone(&c->holder) &&
		    !c->holder.kept)
			return "persistent";
	}
	list_for_each (s, &a->scanners, link) {
		if (!s->scanner)
			continue;
		name = holder_other(&s->holder, except);
		if (name)
			return name;
		if (s->holder.lifetime == LIFETIME_PERSISTENT && holder_alone(&s->holder))
			return "persistent";
	}
	list_for_each (adv, &a->advertisers, link) {
		if (!adv->adv)
			continue;
		name = holder_other(&adv->holder, except);
		if (name)
			return name;
		if (adv->holder.lifetime == LIFETIME_PERSISTENT && holder_alone(&adv->holder))
			return "persistent";
	}
	return NULL;
}

static void on_power(struct op *op, int res)
{
	struct power_call *call = container_of(op, struct power_call, op);

	if (res == 0)
		bus_call_done(&call->call, NULL);
	else
		bus_call_fail_res(&call->call, res);
}

static int read_timeout(sd_bus_message *m, uint32_t *timeout_ms, struct bus_error *err)
{
	static const struct opt table[] = {OPT_ALONE("timeout_ms", OPT_U32)};

	return bus_opts_read(m, table, ARRAY_SIZE(table), timeout_ms, err);
}

/* Not in the adapter's scope: the caller that turns it off is not somebody who waits for it to be on. */
static int power_call_new(struct adapter_bus *a, sd_bus_message *m, uint32_t timeout_ms,
                          struct power_call **ret)
{
	int r = bus_call_new(a->bus, m, sizeof(**ret), NULL, timeout_ms, ret);

	if (r != 0)
		return r;
	op_init(&(*ret)->op, a->bus->loop, on_power);
	(*ret)->call.op = &(*ret)->op;
	return 0;
}

static int method_set_powered(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct adapter_bus *a = data;
	struct power_call *call;
	uint32_t timeout_ms = 5000;
	struct bus_error err;
	const char *holder;
	int on, r;

	r = sd_bus_message_read(m, "b", &on);
	if (r < 0)
		return r;
	if (read_timeout(m, &timeout_ms, &err) < 0)
		return bus_fail(m, &err);
	r = power_call_new(a, m, timeout_ms, &call);
	if (r != 0)
		return r;
	holder = on ? NULL : adapter_bus_holder(a, call->call.client);
	if (holder) {
		err = (struct bus_error){
			.res = -EBUSY, .text = "others use the adapter", .holder = holder};
		bus_call_fail(&call->call, &err);
		return 1;
	}
	return bus_call_started(&call->call, adapter_power(a->adapter, on, &call->op, timeout_ms));
}

static void release_held(struct adapter_bus *a, struct client *client)
{
	struct conn_bus *c, *next_conn;
	struct scan_bus *s, *next_scan;
	struct adv_bus *adv, *next_adv;
	struct app_bus *app, *next_app;

	(void)cancel_connects(a, client, NULL);
	list_for_each_safe (adv, next_adv, &a->advertisers, link) {
		if (holder_has(&adv->holder, client) && !holder_other(&adv->holder, client))
			adv_bus_release(adv, "stopped");
		else
			(void)holder_remove(&adv->holder, client); /* -ENOENT: it never held it */
	}
	list_for_each_safe (app, next_app, &a->apps, link)
		(void)app_bus_let_go(app, client);
	list_for_each_safe (s, next_scan, &a->scanners, link) {
		if (holder_has(&s->holder, client) && !holder_other(&s->holder, client))
			scan_bus_stop(s, "stopped");
		else
			(void)holder_remove(&s->holder, client); /* -ENOENT: it never held it */
	}
	list_for_each_safe (c, next_conn, &a->conns, link)
		conn_bus_let_go(c, client);
}

static int method_stop(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct adapter_bus *a = data;
	struct power_call *call;
	uint32_t timeout_ms = 5000;
	struct bus_error err;
	int r;

	if (read_timeout(m, &timeout_ms, &err) < 0)
		return bus_fail(m, &err);
	r = power_call_new(a, m, timeout_ms, &call);
	if (r != 0)
		return r;
	release_held(a, call->call.client);
	if (!adapter_powered(a->adapter) || adapter_bus_holder(a, call->call.client)) {
		bus_call_done(&call->call, NULL);
		return 1;
	}
	return bus_call_started(&call->call,
	                        adapter_power(a->adapter, false, &call->op, timeout_ms));
}

static int method_scan(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	return scan_bus_scan(data, m);
}

static int method_advertise(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	return adv_bus_advertise(data, m);
}

static int method_register(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	return app_bus_register(data, m);
}

static int method_configure(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	return app_bus_configure(data, m);
}

/* --- life --- */

static void on_conn_added(_unused_ struct adapter *adapter, struct conn *conn, void *data)
{
	conn_bus_added(data, conn);
}

struct adapter_bus *adapter_bus_of(struct bus *bus, const struct adapter *adapter)
{
	struct adapter_bus *a;

	list_for_each (a, &bus->adapters, link)
		if (a->adapter == adapter)
			return a;
	return NULL;
}

void bus_adapter_added(struct bus *bus, struct adapter *adapter)
{
	static const struct adapter_events events = {.changed = on_changed,
	                                             .conn_added = on_conn_added};
	struct adapter_object *o = calloc(1, sizeof(*o));
	struct adapter_bus *a = o ? &o->base : NULL;

	if (!o) {
		log_error(adapter_name(adapter), "no memory for its object");
		return;
	}
	a->bus = bus;
	a->adapter = adapter;
	(void)snprintf(a->path, sizeof(a->path), BUS_ROOT "/%s", adapter_name(adapter));
	props_init(&a->props, bus, a->path, ADAPTER_INTERFACE, property_names);
	list_init(&a->conns);
	list_init(&a->scanners);
	list_init(&a->advertisers);
	list_init(&a->apps);
	list_init(&a->calls);
	list_add_tail(&bus->adapters, &a->link);
	o->seen = look(adapter);
	adapter_set_events(adapter, &events, o);
	bus_announce(bus, a->path, ADAPTER_INTERFACE);
}

void adapter_bus_free(struct adapter_bus *a)
{
	struct app_bus *app;
	struct conn_bus *c;
	struct scan_bus *s;
	struct adv_bus *adv;

	adapter_set_events(a->adapter, NULL, NULL);
	scope_fail(&a->calls, -ECANCELED);
	while ((app = list_first(&a->apps, struct app_bus, link)))
		app_bus_free(app);
	while ((s = list_first(&a->scanners, struct scan_bus, link)))
		scan_bus_free(s);
	while ((adv = list_first(&a->advertisers, struct adv_bus, link)))
		adv_bus_free(adv);
	while ((c = list_first(&a->conns, struct conn_bus, link)))
		conn_bus_free(c);
	props_deinit(&a->props);
	list_del(&a->link);
	free(container_of(a, struct adapter_object, base));
}

/* The engine has ended scanners, advertisers, attempts and links before; what is left are objects of things that are over. */
void bus_adapter_removed(struct bus *bus, struct adapter *adapter)
{
	struct adapter_bus *a = bus ? adapter_bus_of(bus, adapter) : NULL;
	struct bus_error gone = {.res = -ENODEV};
	struct app_bus *app;
	struct scan_bus *s;
	struct adv_bus *adv;

	if (!a)
		return;
	scope_fail(&a->calls, -ENODEV);
	while ((app = list_first(&a->apps, struct app_bus, link)))
		app_bus_end(app, bus_error_name(&gone), &gone);
	while ((s = list_first(&a->scanners, struct scan_bus, link)))
		scan_bus_stop(s, "released");
	while ((adv = list_first(&a->advertisers, struct adv_bus, link)))
		adv_bus_release(adv, "released");
	bus_withdraw(bus, a->path, ADAPTER_INTERFACE);
	adapter_bus_free(a);
}

static int find(_unused_ sd_bus *sd, const char *path, _unused_ const char *interface, void *data,
                void **ret, _unused_ sd_bus_error *error)
{
	struct tree_node t;

	if (tree_resolve(data, path, &t) != TREE_ADAPTER)
		return 0;
	*ret = t.adapter;
	return 1;
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable adapter_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Address", "s", get_address, 0, CHANGES),
	SD_BUS_PROPERTY("AddressType", "s", get_address_type, 0, CHANGES),
	SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("State", "s", get_state, 0, CHANGES),
	SD_BUS_PROPERTY("Reason", "s", get_reason, 0, CHANGES),
	SD_BUS_PROPERTY("Conflict", "s", get_conflict, 0, CHANGES),
	SD_BUS_PROPERTY("Powered", "b", get_powered, 0, CHANGES),
	SD_BUS_PROPERTY("HciVersion", "y", get_hci_version, 0, CHANGES),
	SD_BUS_PROPERTY("Manufacturer", "q", get_manufacturer, 0, CHANGES),
	SD_BUS_PROPERTY("ExtendedScan", "b", get_extended_scan, 0, CHANGES),
	SD_BUS_PROPERTY("Scanning", "b", get_scanning, 0, CHANGES),
	SD_BUS_PROPERTY("LinksInUse", "u", get_links_in_use, 0, CHANGES),
	SD_BUS_PROPERTY("LinksMax", "u", get_links_max, 0, CHANGES),
	SD_BUS_PROPERTY("AdvertisersInUse", "u", get_advertisers_in_use, 0, CHANGES),
	SD_BUS_PROPERTY("AdvertisersMax", "u", get_advertisers_max, 0, CHANGES),
	SD_BUS_PROPERTY("Stats", "a{st}", get_stats, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("Scan", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", scanner),
                                method_scan, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Advertise", SD_BUS_ARGS("t", interval_us, "a{sv}", options),
                                SD_BUS_RESULT("o", advertiser), method_advertise,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"Connect", SD_BUS_ARGS("s", address, "s", address_type, "a{sv}", options),
		SD_BUS_RESULT("o", connection), method_connect, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"CancelConnect", SD_BUS_ARGS("s", address, "s", address_type, "a{sv}", options),
		SD_BUS_NO_RESULT, method_cancel_connect, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RegisterServices",
                                SD_BUS_ARGS("aa{sv}", services, "a{sv}", options),
                                SD_BUS_RESULT("o", application, "a(osqqba(osqqqya(osq)))",
                                              registered),
                                method_register, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Configure", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_configure, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SetPowered", SD_BUS_ARGS("b", powered, "a{sv}", options),
                                SD_BUS_NO_RESULT, method_set_powered, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int bus_add_adapter(struct bus *bus)
{
	return bus_export(bus, ADAPTER_INTERFACE, adapter_vtable, find);
}
