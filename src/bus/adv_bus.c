/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble.Advertiser1. What happens to an advertiser is told twice: by signals to its holders, and by Next to whoever asks,
 * which is why one that has finished by itself keeps its object for LingerMs.
 */
#include "adv_bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/conn.h"
#include "aiobled/log.h"
#include "aiobled/result.h"

#include "bus_call.h"
#include "bus_opts.h"
#include "client.h"
#include "conn_bus.h"
#include "tree.h"

#define ADVERTISER_INTERFACE "org.aioble.Advertiser1"

#define START_MS       15000 /* bring-up of the adapter included */
#define UPDATE_MS      5000
#define TX_POWER_UNSET 127

enum { P_STATE, P_ADV_DATA, P_RESP_DATA, P_CONNECTION, P_CONNECTIONS };

static const char *const property_names[] = {"State",      "AdvData",     "RespData",
                                             "Connection", "Connections", NULL};
static const char *const phy_names[] = {"1M", "2M", "coded", NULL};

/* --- options --- */

struct records {
	size_t n;
	struct adv_record v[ADV_RECORDS_MAX];
};

struct adv_options {
	struct opt_bytes adv_data, resp_data;
	bool limited_disc, br_edr;
	struct opt_uuids services;
	const char *name;
	uint16_t appearance;
	struct records manufacturer, service_data;
	int8_t tx_power;
	/* of Advertise alone */
	uint32_t timeout_ms;
	bool connectable, keep, extended, broadcast;
	int secondary_phy, lifetime;
};

/* What stands in front of the bytes of a record: a company (q) or a UUID (s). */
static int read_record_key(sd_bus_message *m, char type, struct adv_record *r)
{
	const char *s;
	int n = type == 'q' ? sd_bus_message_read_basic(m, 'q', &r->company)
	                    : sd_bus_message_read_basic(m, 's', &s);

	if (n <= 0)
		return -EINVAL;
	return type == 'q' ? 0 : uuid_parse(s, &r->uuid);
}

/* The next record: (qay), {qay}, (say) or {say}. Return: 1; 0 at the end of the array; < 0. */
static int read_record(sd_bus_message *m, char container, char type, struct records *records)
{
	struct adv_record *r = &records->v[records->n];
	const void *data = NULL;
	int n = sd_bus_message_enter_container(m, container, type == 'q' ? "qay" : "say");

	if (n <= 0)
		return n;
	if (records->n == ADV_RECORDS_MAX)
		return -E2BIG;
	*r = (struct adv_record){.company = 0};
	if (read_record_key(m, type, r) < 0 ||
	    sd_bus_message_read_array(m, 'y', &data, &r->len) < 0 ||
	    sd_bus_message_exit_container(m) < 0)
		return -EINVAL;
	r->data = data;
	records->n++;
	return 1;
}

/* One record or an array of them; an array's elements are structures, or the entries of a dictionary as in reports. */
static int read_records(sd_bus_message *m, const char *key, const char *sig, char type,
                        struct records *ret, struct bus_error *err)
{
	char one[8], many[8], dict[8];
	bool array, entries;
	int n;

	(void)snprintf(one, sizeof(one), "(%cay)", type);
	(void)snprintf(many, sizeof(many), "a(%cay)", type);
	(void)snprintf(dict, sizeof(dict), "a{%cay}", type);
	entries = strcmp(sig, dict) == 0;
	array = entries || strcmp(sig, many) == 0;
	if (!array && strcmp(sig, one) != 0)
		return bus_arg_error(err, key,
		                     type == 'q' ? "must be (qay), a(qay) or a{qay}"
		                                 : "must be (say), a(say) or a{say}");
	if (array && sd_bus_message_enter_container(m, 'a', sig + 1) < 0)
		return bus_arg_error(err, key, "cannot be read");
	do
		n = read_record(m, entries ? 'e' : 'r', type, ret);
	while (array && n > 0);
	if (n == -E2BIG)
		return bus_arg_error(err, key, "has too many values");
	if (n < 0)
		return bus_arg_error(err, key,
		                     type == 's' ? "holds what is no UUID" : "cannot be read");
	if (array && sd_bus_message_exit_container(m) < 0)
		return bus_arg_error(err, key, "cannot be read");
	return 0;
}

static int read_manufacturer(sd_bus_message *m, const char *sig, void *field, struct bus_error *err)
{
	return read_records(m, "manufacturer", sig, 'q', field, err);
}

static int read_service_data(sd_bus_message *m, const char *sig, void *field, struct bus_error *err)
{
	return read_records(m, "service_data", sig, 's', field, err);
}

#define PAYLOAD_OPTIONS                                                                            \
	OPT("adv_data", struct adv_options, adv_data, OPT_BYTES),                                  \
		OPT("resp_data", struct adv_options, resp_data, OPT_BYTES),                        \
		OPT("limited_disc", struct adv_options, limited_disc, OPT_BOOL),                   \
		OPT("br_edr", struct adv_options, br_edr, OPT_BOOL),                               \
		OPT("services", struct adv_options, services, OPT_UUIDS),                          \
		OPT("name", struct adv_options, name, OPT_TEXT, .max = ADV_DATA_MAX),              \
		OPT("appearance", struct adv_options, appearance, OPT_U16),                        \
		OPT("manufacturer", struct adv_options, manufacturer, OPT_OWN,                     \
	            .read = read_manufacturer),                                                    \
		OPT("service_data", struct adv_options, service_data, OPT_OWN,                     \
	            .read = read_service_data),                                                    \
		OPT("tx_power", struct adv_options, tx_power, OPT_I8, .min = -127, .max = 20)

static int build(const struct adv_options *o, bool extended, struct adv_payload *ret,
                 struct adv_fault *fault, struct bus_error *err)
{
	struct adv_fields f = {
		.adv_data = o->adv_data.v,
		.adv_data_len = o->adv_data.n,
		.resp_data = o->resp_data.v,
		.resp_data_len = o->resp_data.n,
		.limited_disc = o->limited_disc,
		.br_edr = o->br_edr,
		.services = o->services.v,
		.n_services = o->services.n,
		.name = o->name,
		.appearance = o->appearance,
		.manufacturer = o->manufacturer.v,
		.n_manufacturer = o->manufacturer.n,
		.service_data = o->service_data.v,
		.n_service_data = o->service_data.n,
		.has_tx_power = o->tx_power != TX_POWER_UNSET,
		.tx_power_dbm = o->tx_power,
	};
	int r = adv_payload_build(&f, extended, ret, fault);

	if (r < 0)
		*err = (struct bus_error){.res = r, .key = fault->field, .text = fault->text};
	return r;
}

static int read_advertise(sd_bus_message *m, struct adv_params *p, struct adv_options *o,
                          struct bus_error *err)
{
	static const struct opt table[] = {
		PAYLOAD_OPTIONS,
		OPT("connectable", struct adv_options, connectable, OPT_BOOL),
		OPT("timeout_ms", struct adv_options, timeout_ms, OPT_U32),
		OPT("keep", struct adv_options, keep, OPT_BOOL),
		OPT("extended", struct adv_options, extended, OPT_BOOL),
		OPT("secondary_phy", struct adv_options, secondary_phy, OPT_ENUM,
	            .names = phy_names),
		OPT("lifetime", struct adv_options, lifetime, OPT_ENUM, .names = lifetime_names),
		OPT("broadcast", struct adv_options, broadcast, OPT_BOOL),
	};
	uint64_t interval_us;

	if (sd_bus_message_read_basic(m, 't', &interval_us) <= 0 ||
	    interval_us < ADV_INTERVAL_US_MIN || interval_us > ADV_INTERVAL_US_MAX)
		return bus_arg_error(err, "interval_us", "is not between 20000 and 10240000");
	if (bus_opts_read(m, table, ARRAY_SIZE(table), o, err) < 0)
		return -EINVAL;
	if (o->secondary_phy >= 0 && !o->extended)
		return bus_arg_error(err, "secondary_phy", "goes with extended advertising only");
	*p = (struct adv_params){
		.interval_us = (uint32_t)interval_us,
		.timeout_ms = o->timeout_ms,
		.connectable = o->connectable,
		.keep = o->keep,
		.extended = o->extended,
		.secondary_phy = (enum adv_phy)MAX(o->secondary_phy, ADV_PHY_1M),
		.has_tx_power = o->tx_power != TX_POWER_UNSET,
		.tx_power_dbm = o->tx_power,
	};
	return 0;
}

/* --- Next --- */

struct adv_call {
	struct bus_call call;
	struct op op;
	struct adv_bus *adv;
};

static int append_event(sd_bus_message *m, struct adv_bus *s)
{
	int r;

	if (s->n_events) {
		r = sd_bus_message_append(m, "soa{sv}", "connected", s->events[0], 1, "dropped",
		                          "t", s->dropped);
		if (r >= 0)
			memmove(s->events[0], s->events[1], --s->n_events * sizeof(s->events[0]));
		return r;
	}
	s->told = true;
	r = sd_bus_message_append(m, "so", "finished", "/");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "{sv}");
	if (r >= 0)
		r = sd_bus_message_append(m, "{sv}", "reason", "s", s->reason);
	if (r >= 0 && s->error.res)
		r = bus_error_append_entries(m, &s->error);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static bool has_event(const struct adv_bus *s)
{
	return s->n_events || (s->reason && !s->told);
}

static void next_answer(struct adv_call *call)
{
	sd_bus_message *reply = bus_call_reply(&call->call);

	if (reply && append_event(reply, call->adv) >= 0) {
		bus_call_send(&call->call, reply, 0);
		return;
	}
	sd_bus_message_unref(reply);
	bus_call_fail_res(&call->call, -ENOMEM);
}

static void fail_over(struct adv_call *call)
{
	bus_call_fail(&call->call, &(struct bus_error){.res = -ECANCELED,
	                                               .text = "the advertiser has finished"});
}

static void on_next(struct op *op, int res)
{
	struct adv_call *call = container_of(op, struct adv_call, op);

	if (res == 0 && has_event(call->adv))
		next_answer(call);
	else if (res == 0 || res == -ESHUTDOWN)
		fail_over(call);
	else
		bus_call_fail_res(&call->call, res);
}

/* Something has happened: one of those who wait is told; when it was the last thing, the others, too. */
static void wake(struct adv_bus *s)
{
	struct op *op;

	op = list_first(&s->waiters, struct op, link);
	if (op && has_event(s))
		op_complete(op, 0);
	if (!s->reason)
		return;
	while (!has_event(s) && (op = list_first(&s->waiters, struct op, link)))
		op_complete(op, -ESHUTDOWN);
}

static int call_new(struct adv_bus *s, sd_bus_message *m, uint32_t timeout_ms,
                    void (*done)(struct op *op, int res), struct adv_call **ret)
{
	struct adv_call *call;
	int r;

	holder_touch(&s->holder);
	r = bus_call_new(s->adapter->bus, m, sizeof(*call), &s->calls, timeout_ms, &call);
	if (r != 0)
		return r;
	call->adv = s;
	op_init(&call->op, s->adapter->bus->loop, done);
	call->call.op = &call->op;
	*ret = call;
	return 0;
}

static int method_next(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {OPT_ALONE("timeout_ms", OPT_U32)};
	struct adv_bus *s = data;
	uint32_t timeout_ms = 5000;
	struct adv_call *call;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &timeout_ms, &err) < 0)
		return bus_fail(m, &err);
	r = call_new(s, m, timeout_ms, on_next, &call);
	if (r != 0)
		return r;
	if (has_event(s))
		next_answer(call);
	else if (s->reason)
		fail_over(call);
	else
		op_start(&call->op, &s->waiters, NULL, timeout_ms);
	return 1;
}

/* --- events --- */

static void keep_event(struct adv_bus *s, const char *path)
{
	if (s->n_events == ADV_BUS_EVENTS_MAX) {
		memmove(s->events[0], s->events[1], --s->n_events * sizeof(s->events[0]));
		s->dropped++;
	}
	(void)snprintf(s->events[s->n_events++], BUS_PATH_MAX, "%s", path);
}

static void on_connected(_unused_ struct adv *adv, struct conn *conn, void *data)
{
	struct adv_bus *s = data;
	struct conn_bus *c = conn_bus_of(s->adapter, conn);

	if (!c) /* no memory for its object: it is being ended */
		return;
	conn_bus_inherit(c, &s->holder);
	s->connections++;
	(void)snprintf(s->last, sizeof(s->last), "%s", c->path);
	props_dirty(&s->props, 1u << P_CONNECTION | 1u << P_CONNECTIONS);
	holder_tell_object(&s->holder, s->path, ADVERTISER_INTERFACE, s->broadcast, "Connected",
	                   c->path);
	keep_event(s, c->path);
	wake(s);
}

static void on_state(_unused_ struct adv *adv, void *data)
{
	props_dirty(&((struct adv_bus *)data)->props, 1u << P_STATE);
}

/* --- the end --- */

static void complete_all(struct list *queue, int res)
{
	struct op *op;

	while ((op = list_first(queue, struct op, link)))
		op_complete(op, res);
}

/* Everything that is told of the end, once. The advertiser is off the air, and goes. */
static void adv_bus_finish(struct adv_bus *s, const char *reason)
{
	s->reason = reason;
	s->payload = *adv_payload(s->adv);
	s->air_len = adv_air_data(s->adv, s->air);
	s->adv = adv_free(s->adv);
	props_dirty(&s->props, 1u << P_STATE);
	props_flush(&s->props);
	holder_tell_finished(&s->holder, s->path, ADVERTISER_INTERFACE, s->broadcast, reason,
	                     &s->error);
	wake(s);
}

static const char *end_reason(struct adv_bus *s, enum adv_end end, int res)
{
	switch (end) {
	case ADV_END_STOPPED:
		return "stopped";
	case ADV_END_TIMEOUT:
		return "timeout";
	case ADV_END_CONNECTED:
		return "connected";
	case ADV_END_FAILED:
		break;
	}
	s->error = (struct bus_error){.res = res};
	if (res == -EBUSY)
		s->error.text = "another program took its place at the controller";
	(void)snprintf(s->reason_error, sizeof(s->reason_error), "%s", bus_error_name(&s->error));
	return s->reason_error;
}

static void withdraw(struct adv_bus *s)
{
	struct list stops;

	list_init(&stops);
	list_move_all(&s->stops, &stops);
	bus_withdraw(s->adapter->bus, s->path, ADVERTISER_INTERFACE);
	complete_all(&stops, 0); /* off the list of its calls, so that they outlive it */
	adv_bus_free(s);
}

static void on_reap(struct defer *d)
{
	struct adv_bus *s = container_of(d, struct adv_bus, reap);

	adv_bus_finish(s, s->reason);
	if (list_empty(&s->stops))
		holder_expire(&s->holder);
	else
		withdraw(s);
}

/* The engine's advertiser is freed outside its own callbacks. */
static void on_finished(_unused_ struct adv *adv, enum adv_end end, int res, void *data)
{
	struct adv_bus *s = data;

	s->reason = end_reason(s, end, res);
	defer_post(&s->reap);
}

/* Ops of the engine may have gone with its advertiser; their calls are left to be answered. */
static void end_calls(struct adv_bus *s)
{
	struct bus_call *call;

	while ((call = list_first(&s->calls, struct bus_call, scope))) {
		if (op_live(call->op))
			op_fail(call->op, -ESHUTDOWN);
		else
			fail_over(container_of(call, struct adv_call, call));
	}
}

void adv_bus_free(struct adv_bus *s)
{
	defer_cancel(&s->reap);
	end_calls(s);
	adv_free(s->adv);
	holder_deinit(&s->holder);
	props_deinit(&s->props);
	list_del(&s->link);
	free(s);
}

void adv_bus_release(struct adv_bus *s, const char *reason)
{
	if (s->starting) {
		op_fail(s->start, -ECANCELED); /* and it goes: advertise_release() */
		return;
	}
	if (s->adv)
		adv_bus_finish(s, s->reason ? s->reason : reason);
	withdraw(s);
}

static void on_released(struct holder *h)
{
	adv_bus_release(container_of(h, struct adv_bus, holder), "released");
}

/* Somebody who waits in Next uses it, whoever it is. */
static bool on_busy(struct holder *h)
{
	return !list_empty(&container_of(h, struct adv_bus, holder)->waiters);
}

/* --- Adapter1.Advertise --- */

/* Who has the places of the controller, those that are being set up included, for @call, which found none. */
static void no_slots(const struct adapter_bus *a, const struct adv_call *call, char *buf,
                     size_t size, struct bus_error *err)
{
	uint32_t count = adv_count(a->adapter), own = 0, others = 0;
	const struct adv_bus *s;
	const char *name = NULL;

	list_for_each (s, &a->advertisers, link) {
		if (!s->adv || s == call->adv)
			continue;
		if (holder_has(&s->holder, call->call.client))
			own++;
		else
			others++;
		if (!name)
			name = holder_other(&s->holder, NULL);
	}
	(void)snprintf(buf, size,
	               "all %u advertising sets of the controller are taken: %u by you, %u by "
	               "other clients, "
	               "%u by other programs",
	               adv_max(a->adapter), own, others, count - MIN(count, own + others));
	*err = (struct bus_error){.res = -ENOSPC,
	                          .suffix = "NoSlots",
	                          .text = buf,
	                          .holder = name,
	                          .limit = adv_max(a->adapter)};
}

/* @buf: for the sentence */
static void start_error(struct adapter_bus *a, const struct adv_call *call, int res, char *buf,
                        size_t size, struct bus_error *err)
{
	*err = (struct bus_error){.res = res};
	if (res == -ENOSPC)
		no_slots(a, call, buf, size, err);
	else if (res == -ENETDOWN && *adapter_reason(a->adapter))
		err->text = adapter_reason(a->adapter);
	else if (res == -EOPNOTSUPP)
		err->text = "the controller does not have this kind of extended advertising";
	else if (res_domain(res) == RES_DOMAIN_MGMT && adapter_links_in_use(a->adapter))
		err->text =
			"refused: the controller may not be able to advertise so beside its links";
}

static void advertise_release(struct bus_call *call)
{
	struct adv_call *c = container_of(call, struct adv_call, call);

	if (c->adv && c->adv->starting)
		adv_bus_free(c->adv);
}

static void advertise_failed(struct adv_call *call, struct adapter_bus *a, int res)
{
	struct bus_error err;
	char text[BUS_ERROR_TEXT_MAX];

	start_error(a, call, res, text, sizeof(text), &err);
	bus_call_fail(&call->call, &err);
}

static void on_started(struct op *op, int res)
{
	struct adv_call *call = container_of(op, struct adv_call, op);
	struct adv_bus *s = call->adv;

	if (res) {
		advertise_failed(call, s->adapter, res); /* and frees it: advertise_release() */
		return;
	}
	s->starting = false;
	s->interval_us = adv_interval_us(s->adv);
	bus_announce(s->adapter->bus, s->path, ADVERTISER_INTERFACE);
	bus_call_done(&call->call, "o", s->path);
}

/* Advertisers that have finished stay a while; they are no reason to refuse a new one. */
static void evict_finished(struct bus *bus, struct client *client)
{
	struct adapter_bus *a;
	struct adv_bus *s;

	if (client->used[QUOTA_ADVERTISERS] < bus->config.advertisers)
		return;
	list_for_each (a, &bus->adapters, link) {
		list_for_each (s, &a->advertisers, link) {
			if (!s->adv && holder_has(&s->holder, client)) {
				adv_bus_release(s, "released");
				return;
			}
		}
	}
}

static struct adv_bus *adv_bus_new(struct adapter_bus *a, const struct adv_options *o,
                                   const struct adv_params *p)
{
	struct adv_bus *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->adapter = a;
	s->id = a->bus->next_adv++;
	(void)snprintf(s->path, sizeof(s->path), BUS_ROOT "/%s/adv/%llu", adapter_name(a->adapter),
	               (unsigned long long)s->id);
	(void)snprintf(s->last, sizeof(s->last), "/");
	props_init(&s->props, a->bus, s->path, ADVERTISER_INTERFACE, property_names);
	holder_init(&s->holder, a->bus, QUOTA_ADVERTISERS, o->lifetime, on_released);
	s->holder.busy = on_busy;
	list_init(&s->calls);
	list_init(&s->waiters);
	list_init(&s->stops);
	defer_init(&s->reap, a->bus->loop, on_reap);
	s->starting = true;
	s->broadcast = o->broadcast;
	s->connectable = p->connectable;
	s->keep = p->keep;
	s->extended = p->extended;
	s->secondary_phy = (int)p->secondary_phy;
	list_add_tail(&a->advertisers, &s->link);
	return s;
}

static int adv_bus_start(struct adapter_bus *a, sd_bus_message *m, struct adv_bus *s,
                         const struct adv_params *p, const struct adv_payload *payload)
{
	static const struct adv_events events = {
		.connected = on_connected,
		.state = on_state,
		.finished = on_finished,
	};
	struct adv_call *call;
	struct bus_error err;
	int r = bus_call_new(a->bus, m, sizeof(*call), &a->calls, 0, &call);

	if (r != 0) {
		adv_bus_free(s);
		return r;
	}
	call->adv = s;
	call->call.release = advertise_release;
	op_init(&call->op, a->bus->loop, on_started);
	call->call.op = &call->op;
	s->start = &call->op;
	if (holder_add(&s->holder, call->call.client, &err) < 0) {
		bus_call_fail(&call->call, &err);
		return 1;
	}
	r = adv_new(a->adapter, p, payload, &events, s, &call->op, START_MS, &s->adv);
	if (r < 0)
		advertise_failed(call, a, r);
	return 1;
}

int adv_bus_advertise(struct adapter_bus *a, sd_bus_message *m)
{
	struct adv_options o = {
		.connectable = true,
		.secondary_phy = -1,
		.lifetime = LIFETIME_LINGER,
		.tx_power = TX_POWER_UNSET,
	};
	struct bus_error err = {.res = -ENOMEM};
	struct adv_payload payload;
	struct adv_params params;
	struct adv_fault fault;
	struct client *client;
	struct adv_bus *s;

	if (read_advertise(m, &params, &o, &err) < 0 ||
	    build(&o, o.extended, &payload, &fault, &err) < 0 || client_of(a->bus, m, &client) < 0)
		return bus_fail(m, &err);
	evict_finished(a->bus, client);
	s = adv_bus_new(a, &o, &params);
	if (!s)
		return bus_fail_res(m, -ENOMEM);
	return adv_bus_start(a, m, s, &params, &payload);
}

/* --- Update, Stop --- */

static void on_updated(struct op *op, int res)
{
	struct adv_call *call = container_of(op, struct adv_call, op);

	if (res == -ESHUTDOWN) {
		fail_over(call);
		return;
	}
	if (call->adv->adv)
		props_dirty(&call->adv->props, 1u << P_ADV_DATA | 1u << P_RESP_DATA);
	if (res == 0)
		bus_call_done(&call->call, NULL);
	else
		bus_call_fail_res(&call->call, res);
}

static int method_update(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {PAYLOAD_OPTIONS};
	struct adv_options o = {.tx_power = TX_POWER_UNSET};
	struct adv_bus *s = data;
	struct adv_payload payload;
	struct adv_fault fault;
	struct adv_call *call;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &o, &err) < 0 ||
	    build(&o, s->extended, &payload, &fault, &err) < 0)
		return bus_fail(m, &err);
	r = call_new(s, m, UPDATE_MS, on_updated, &call);
	if (r != 0)
		return r;
	r = s->adv ? adv_update(s->adv, &payload, &call->op, UPDATE_MS) : -ESHUTDOWN;
	if (r < 0)
		on_updated(&call->op, r);
	return 1;
}

static void on_stopped(struct op *op, int res)
{
	struct adv_call *call = container_of(op, struct adv_call, op);

	if (res == 0 || res == -ESHUTDOWN)
		bus_call_done(&call->call, NULL);
	else
		bus_call_fail_res(&call->call, res);
}

static int method_stop(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct adv_bus *s = data;
	struct adv_call *call;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0)
		return bus_fail(m, &err);
	r = call_new(s, m, 0, on_stopped, &call);
	if (r != 0)
		return r;
	op_start(&call->op, &s->stops, NULL, 0);
	if (s->adv)
		adv_stop(s->adv);
	else
		withdraw(s);
	return 1;
}

/* --- properties --- */

#define GETTER(name, type, expression)                                                             \
	static int get_##name(sd_bus *sd, const char *path, const char *interface,                 \
	                      const char *property, sd_bus_message *m, void *data,                 \
	                      sd_bus_error *error)                                                 \
	{                                                                                          \
		const struct adv_bus *s = data;                                                    \
                                                                                                   \
		return sd_bus_message_append(m, type, expression);                                 \
	}

static const char *state_name(const struct adv_bus *s)
{
	if (!s->adv || s->reason)
		return "finished";
	return adv_state(s->adv) == ADV_RUNNING ? "running" : "paused";
}

GETTER(interval, "u", s->interval_us)
GETTER(connectable, "b", (int)s->connectable)
GETTER(keep, "b", (int)s->keep)
GETTER(extended, "b", (int)s->extended)
GETTER(secondary_phy, "s", s->extended ? phy_names[s->secondary_phy] : "")
GETTER(state, "s", state_name(s))
GETTER(connection, "o", s->last)
GETTER(connections, "u", s->connections)
GETTER(dropped, "t", s->dropped)
GETTER(lifetime, "s", lifetime_names[s->holder.lifetime])
GETTER(expires, "t", holder_expires_us(&s->holder))

static int get_adv_data(sd_bus *sd, const char *path, const char *interface, const char *property,
                        sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct adv_bus *s = data;
	uint8_t air[ADV_DATA_MAX];
	size_t n;

	if (!s->adv)
		return sd_bus_message_append_array(m, 'y', s->air, s->air_len);
	n = adv_air_data(s->adv, air);
	return sd_bus_message_append_array(m, 'y', air, n);
}

static int get_resp_data(sd_bus *sd, const char *path, const char *interface, const char *property,
                         sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct adv_bus *s = data;
	const struct adv_payload *p = s->adv ? adv_payload(s->adv) : &s->payload;

	return sd_bus_message_append_array(m, 'y', p->rsp, p->rsp_len);
}

static int get_holders(sd_bus *sd, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *data, sd_bus_error *error)
{
	return holder_append(&((const struct adv_bus *)data)->holder, m);
}

static int find(_unused_ sd_bus *sd, const char *path, _unused_ const char *interface, void *data,
                void **ret, _unused_ sd_bus_error *error)
{
	struct tree_node t;

	if (tree_resolve(data, path, &t) != TREE_ADVERTISER)
		return 0;
	*ret = t.adv;
	return 1;
}

#define CONST_PROPERTY SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable advertiser_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("IntervalUs", "u", get_interval, 0, CONST_PROPERTY),
	SD_BUS_PROPERTY("Connectable", "b", get_connectable, 0, CONST_PROPERTY),
	SD_BUS_PROPERTY("Keep", "b", get_keep, 0, CONST_PROPERTY),
	SD_BUS_PROPERTY("Extended", "b", get_extended, 0, CONST_PROPERTY),
	SD_BUS_PROPERTY("SecondaryPhy", "s", get_secondary_phy, 0, CONST_PROPERTY),
	SD_BUS_PROPERTY("AdvData", "ay", get_adv_data, 0, CHANGES),
	SD_BUS_PROPERTY("RespData", "ay", get_resp_data, 0, CHANGES),
	SD_BUS_PROPERTY("State", "s", get_state, 0, CHANGES),
	SD_BUS_PROPERTY("Connection", "o", get_connection, 0, CHANGES),
	SD_BUS_PROPERTY("Connections", "u", get_connections, 0, CHANGES),
	SD_BUS_PROPERTY("Dropped", "t", get_dropped, 0, 0),
	SD_BUS_PROPERTY("Holders", "as", get_holders, 0, 0),
	SD_BUS_PROPERTY("Lifetime", "s", get_lifetime, 0, CONST_PROPERTY),
	SD_BUS_PROPERTY("ExpiresUs", "t", get_expires, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("Update", SD_BUS_ARGS("a{sv}", payload), SD_BUS_NO_RESULT,
                                method_update, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Next", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("s", event, "o", connection, "a{sv}", details),
                                method_next, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("Connected", SD_BUS_ARGS("o", connection), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Finished", SD_BUS_ARGS("s", reason, "a{sv}", details), 0),
	SD_BUS_VTABLE_END,
};

int bus_add_advertiser(struct bus *bus)
{
	return bus_export(bus, ADVERTISER_INTERFACE, advertiser_vtable, find);
}
