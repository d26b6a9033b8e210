/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble.Scanner1. A scanner that has finished by itself keeps its object for LingerMs, so that Next can still take
 * what it heard; one that is stopped or released goes at once.
 */
#include "scan_bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"
#include "aiobled/stream.h"

#include "bus_opts.h"
#include "client.h"
#include "report.h"
#include "tree.h"

#define SCANNER_INTERFACE "org.aioble.Scanner1"

#define INTERVAL_US_MAX 40959375 /* Core 5.4, Vol 4, Part E, 7.8.64: 0xffff units of 625 us */
#define NEXT_MAX        256
#define REPORT_COST     512 /* a report in a message, about, beyond its data */

enum { P_STATE };

static const char *const property_names[] = {"State", NULL};
static const char *const duplicates_names[] = {"all", "changed", "first", NULL};

struct scan_options {
	uint32_t duration_ms, interval_us, window_us, queue;
	bool active, signals, broadcast;
	int duplicates, lifetime;
	struct opt_uuids uuids;
	struct opt_names names;
	struct opt_addrs addresses;
	struct opt_u16s companies;
	int8_t rssi;
};

/* The engine's scanner is freed outside its own callbacks. */
struct scan_object {
	struct scan_bus base;
	struct defer reap;
};

static struct scan_object *object(struct scan_bus *s)
{
	return container_of(s, struct scan_object, base);
}

/* --- reports --- */

static void on_report(_unused_ struct scanner *scanner, const struct scan_report *report,
                      void *data)
{
	struct scan_bus *s = data;
	uint8_t buf[REPORT_MAX];

	sink_push(&s->sink, STREAM_REPORT, 0, report->time_us, buf, report_pack(report, buf));
}

/* Takes reports from the queue into an aa{sv}, until @max or @bytes are reached. */
static int append_reports(sd_bus_message *m, struct sink *sink, uint32_t max, size_t bytes,
                          size_t *ret_bytes)
{
	const struct stream_record *rec;
	size_t total = 0;
	int r = sd_bus_message_open_container(m, 'a', "a{sv}");

	for (uint32_t i = 0; r >= 0 && i < max && (rec = sink_peek(sink)) && total < bytes; i++) {
		total += REPORT_COST + 2 * rec->len; /* raw and parsed */
		r = report_append(m, rec);
		if (r >= 0)
			sink_pop(sink);
	}
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_append(m, "t", sink->dropped);
	*ret_bytes = total;
	return r;
}

static size_t on_signal(struct sink *sink, const char *destination)
{
	struct scan_bus *s = container_of(sink, struct scan_bus, sink);
	sd_bus_message *m =
		bus_signal(sink->bus, s->path, SCANNER_INTERFACE, "Reports", destination);
	size_t bytes = 0;
	int r;

	if (!m)
		return 0;
	r = append_reports(m, sink, NEXT_MAX, SINK_SIGNAL_BYTES, &bytes);
	if (r < 0) {
		log_error(NULL, "reports: %s", strerror(-r));
		sd_bus_message_unref(m);
		return 0;
	}
	bus_send(sink->bus, m);
	return bytes;
}

static struct stream_record *on_encode(_unused_ struct sink *sink,
                                       const struct stream_record *record)
{
	return report_json(record);
}

static void on_closed(struct sink *sink)
{
	scan_bus_stop(container_of(sink, struct scan_bus, sink), "stopped");
}

static const struct sink_events sink_events = {
	.signal = on_signal,
	.encode = on_encode,
	.closed = on_closed,
};

/* --- the end --- */

/* Everything that is told of the end, once; the last reports before it. */
static void scan_bus_finish(struct scan_bus *s, const char *reason, const struct bus_error *error)
{
	s->received = scanner_received(s->scanner);
	sink_flush_now(&s->sink);
	props_dirty(&s->props, 1u << P_STATE);
	props_flush(&s->props);
	holder_tell_finished(&s->holder, s->path, SCANNER_INTERFACE, s->broadcast, reason, error);
	sink_end(&s->sink, 0, reason);
	s->scanner = scanner_free(s->scanner);
	if (!s->sink.queued)
		sink_fail(&s->sink, -ECANCELED);
}

/* The engine has said that it is over, and why. */
static void scan_bus_over(struct scan_bus *s)
{
	bool duration = s->duration_over;

	scan_bus_finish(s, duration ? "duration" : bus_error_name(&s->end),
	                duration ? &(struct bus_error){.res = 0} : &s->end);
}

static void on_reap(struct defer *d)
{
	struct scan_bus *s = &container_of(d, struct scan_object, reap)->base;

	scan_bus_over(s);
	holder_expire(&s->holder);
}

static void on_finished(_unused_ struct scanner *scanner, int res, void *data)
{
	struct scan_bus *s = data;

	s->duration_over = res == 0;
	s->end = res == 0 ? (struct bus_error){.res = -ECANCELED, .text = "the scan has finished"}
	                  : (struct bus_error){.res = res};
	defer_post(&object(s)->reap);
}

static void on_state(_unused_ struct scanner *scanner, void *data)
{
	props_dirty(&((struct scan_bus *)data)->props, 1u << P_STATE);
}

void scan_bus_free(struct scan_bus *s)
{
	defer_cancel(&object(s)->reap);
	sink_deinit(&s->sink);
	scanner_free(s->scanner);
	holder_deinit(&s->holder);
	props_deinit(&s->props);
	list_del(&s->link);
	free(object(s));
}

void scan_bus_stop(struct scan_bus *s, const char *reason)
{
	struct bus *bus = s->adapter->bus;

	if (s->scanner && s->end.res) {
		scan_bus_over(s); /* just before */
	} else if (s->scanner) {
		s->end = (struct bus_error){.res = -ECANCELED, .text = "the scan was stopped"};
		scan_bus_finish(s, reason, &(struct bus_error){.res = 0});
	}
	bus_withdraw(bus, s->path, SCANNER_INTERFACE);
	scan_bus_free(s);
}

static void on_released(struct holder *h)
{
	scan_bus_stop(container_of(h, struct scan_bus, holder), "released");
}

/* --- Adapter1.Scan --- */

static int read_scan(sd_bus_message *m, struct scan_options *o, struct bus_error *err)
{
	static const struct opt table[] = {
		OPT("duration_ms", struct scan_options, duration_ms, OPT_U32),
		OPT("interval_us", struct scan_options, interval_us, OPT_U32,
	            .min = SCAN_INTERVAL_US_MIN, .max = INTERVAL_US_MAX),
		OPT("window_us", struct scan_options, window_us, OPT_U32,
	            .min = SCAN_INTERVAL_US_MIN, .max = INTERVAL_US_MAX),
		OPT("active", struct scan_options, active, OPT_BOOL),
		OPT("duplicates", struct scan_options, duplicates, OPT_ENUM,
	            .names = duplicates_names),
		OPT("lifetime", struct scan_options, lifetime, OPT_ENUM, .names = lifetime_names),
		OPT("queue", struct scan_options, queue, OPT_U32, .min = 1, .max = SINK_QUEUE_MAX),
		OPT("signals", struct scan_options, signals, OPT_BOOL),
		OPT("broadcast", struct scan_options, broadcast, OPT_BOOL),
		OPT("uuids", struct scan_options, uuids, OPT_UUIDS),
		OPT("names", struct scan_options, names, OPT_NAMES),
		OPT("addresses", struct scan_options, addresses, OPT_ADDRS),
		OPT("companies", struct scan_options, companies, OPT_U16S),
		OPT("rssi", struct scan_options, rssi, OPT_I8, .min = -127, .max = 126),
	};

	if (bus_opts_read(m, table, ARRAY_SIZE(table), o, err) < 0)
		return -EINVAL;
	if (!o->interval_us)
		o->interval_us = MAX(SCAN_INTERVAL_US_DEFAULT, o->window_us);
	if (!o->window_us)
		o->window_us = MIN(SCAN_WINDOW_US_DEFAULT, o->interval_us);
	if (o->window_us > o->interval_us)
		return bus_arg_error(err, "window_us", "is above interval_us");
	return 0;
}

static struct scan_params scan_params(const struct scan_options *o)
{
	return (struct scan_params){
		.duration_ms = o->duration_ms,
		.interval_us = o->interval_us,
		.window_us = o->window_us,
		.active = o->active,
		.duplicates = o->duplicates,
		.filter = {.uuids = o->uuids.v,
	                   .n_uuids = o->uuids.n,
	                   .names = o->names.v,
	                   .n_names = o->names.n,
	                   .addrs = o->addresses.v,
	                   .n_addrs = o->addresses.n,
	                   .companies = o->companies.v,
	                   .n_companies = o->companies.n,
	                   .rssi_min_dbm = o->rssi},
	};
}

/* Scanners that have finished stay a while; they are no reason to refuse a new one. */
static void evict_finished(struct bus *bus, struct client *client)
{
	struct adapter_bus *a;
	struct scan_bus *s;

	if (client->used[QUOTA_SCANNERS] < bus->config.scanners)
		return;
	list_for_each (a, &bus->adapters, link) {
		list_for_each (s, &a->scanners, link) {
			if (!s->scanner && holder_has(&s->holder, client)) {
				scan_bus_stop(s, "released");
				return;
			}
		}
	}
}

static struct scan_bus *scan_bus_new(struct adapter_bus *a, const struct scan_options *o)
{
	struct scan_object *obj = calloc(1, sizeof(*obj));
	struct scan_bus *s = obj ? &obj->base : NULL;

	if (!obj)
		return NULL;
	defer_init(&obj->reap, a->bus->loop, on_reap);
	s->adapter = a;
	s->id = a->bus->next_scan++;
	(void)snprintf(s->path, sizeof(s->path), BUS_ROOT "/%s/scan/%llu", adapter_name(a->adapter),
	               (unsigned long long)s->id);
	props_init(&s->props, a->bus, s->path, SCANNER_INTERFACE, property_names);
	holder_init(&s->holder, a->bus, QUOTA_SCANNERS, o->lifetime, on_released);
	sink_init(&s->sink, a->bus, &sink_events, o->queue);
	s->active = o->active;
	s->interval_us = o->interval_us;
	s->window_us = o->window_us;
	s->duplicates = o->duplicates;
	s->broadcast = o->broadcast;
	list_add_tail(&a->scanners, &s->link);
	return s;
}

static int scan_bus_start(struct scan_bus *s, struct client *client, const struct scan_options *o,
                          struct bus_error *err)
{
	static const struct scanner_events events = {
		.report = on_report,
		.state = on_state,
		.finished = on_finished,
	};
	struct scan_params params = scan_params(o);
	int r = holder_add(&s->holder, client, err);

	if (r < 0)
		return r;
	r = scanner_new(s->adapter->adapter, &params, &events, s, &s->scanner);
	if (r == -EINVAL)
		return bus_arg_error(err, "interval_us", "is more than this adapter takes");
	if (r < 0) {
		*err = (struct bus_error){.res = r};
		if (r == -ENETDOWN && *adapter_reason(s->adapter->adapter))
			err->text = adapter_reason(s->adapter->adapter);
		return r;
	}
	if (o->signals || o->broadcast)
		sink_set_signals(&s->sink, client, o->broadcast);
	return 0;
}

int scan_bus_scan(struct adapter_bus *a, sd_bus_message *m)
{
	struct scan_options o = {
		.queue = SINK_QUEUE_DEFAULT, .lifetime = LIFETIME_LINGER, .rssi = -128};
	struct bus_error err = {.res = -ENOMEM};
	struct client *client;
	struct scan_bus *s;
	int r;

	if (a->bus->stopping)
		return bus_fail_res(m, -ECANCELED);
	if (read_scan(m, &o, &err) < 0 || client_of(a->bus, m, &client) < 0)
		return bus_fail(m, &err);
	evict_finished(a->bus, client);
	s = scan_bus_new(a, &o);
	if (!s)
		return bus_fail_res(m, -ENOMEM);
	if (scan_bus_start(s, client, &o, &err) < 0) {
		scan_bus_free(s);
		return bus_fail(m, &err);
	}
	bus_announce(a->bus, s->path, SCANNER_INTERFACE);
	r = sd_bus_reply_method_return(m, "o", s->path);
	sink_uncork(&s->sink);
	return r;
}

/* --- methods --- */

struct next_call {
	struct bus_call call;
	struct op op;
	struct scan_bus *scan;
	uint32_t max;
};

struct next_options {
	uint32_t timeout_ms, max;
};

static void next_answer(struct next_call *call)
{
	sd_bus_message *reply = bus_call_reply(&call->call);
	struct scan_bus *s = call->scan;
	size_t bytes;

	if (!reply) {
		bus_call_fail_res(&call->call, -ENOMEM);
		return;
	}
	if (append_reports(reply, &s->sink, call->max, SIZE_MAX, &bytes) < 0) {
		sd_bus_message_unref(reply);
		bus_call_fail_res(&call->call, -ENOMEM);
		return;
	}
	bus_call_send(&call->call, reply, bytes);
	if (!s->scanner && !s->sink.queued)
		sink_fail(&s->sink, -ECANCELED); /* nothing comes for the others that wait */
}

static void on_next(struct op *op, int res)
{
	struct next_call *call = container_of(op, struct next_call, op);

	if (res == 0)
		next_answer(call);
	else if (res == -ECANCELED && call->scan->end.res)
		bus_call_fail(&call->call, &call->scan->end);
	else
		bus_call_fail_res(&call->call, res);
}

static int next_start(struct next_call *call, uint32_t timeout_ms)
{
	struct scan_bus *s = call->scan;

	if (s->sink.mode != SINK_KEEP) {
		bus_call_fail(&call->call,
		              &(struct bus_error){
				      .res = -EBUSY,
				      .text = "the reports go elsewhere: signals or a descriptor",
				      .holder = s->sink.client ? s->sink.client->name : NULL});
	} else if (!s->scanner && !s->sink.queued) {
		bus_call_fail(&call->call, &s->end);
	} else {
		sink_next(&s->sink, &call->call, timeout_ms);
	}
	return 1;
}

static int method_next(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct next_options, timeout_ms, OPT_U32),
		OPT("max", struct next_options, max, OPT_U32, .min = 1, .max = NEXT_MAX),
	};
	struct next_options o = {.timeout_ms = 5000, .max = 64};
	struct scan_bus *s = data;
	struct next_call *call;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &o, &err) < 0)
		return bus_fail(m, &err);
	holder_touch(&s->holder);
	r = bus_call_new(s->adapter->bus, m, sizeof(*call), NULL, o.timeout_ms, &call);
	if (r != 0)
		return r;
	call->scan = s;
	call->max = o.max;
	op_init(&call->op, s->adapter->bus->loop, on_next);
	call->call.op = &call->op;
	return next_start(call, o.timeout_ms);
}

static int method_open(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {OPT_ALONE("json", OPT_BOOL)};
	_cleanup_(closep) int fd = -1;
	struct scan_bus *s = data;
	struct client *client;
	struct bus_error err = {.res = -ENOMEM};
	bool json = false;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &json, &err) < 0)
		return bus_fail(m, &err);
	if (client_of(s->adapter->bus, m, &client) < 0)
		return bus_fail(m, &err);
	holder_touch(&s->holder);
	if (s->sink.stream)
		return bus_fail(m, &(struct bus_error){.res = -EBUSY,
		                                       .text = "its descriptor is open already"});
	if (sink_open(&s->sink, client, json, &fd, &err) < 0)
		return bus_fail(m, &err);
	sink_fail(&s->sink, -ECANCELED);
	if (!s->scanner) /* over before it was opened: what was kept, and the end */
		sink_end(&s->sink, 0,
		         s->duration_over ? "duration" : bus_error_name(&s->end));
	return sd_bus_reply_method_return(m, "h", fd);
}

static int method_stop(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct scan_bus *s = data;
	struct bus_error err;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0)
		return bus_fail(m, &err);
	scan_bus_stop(s, "stopped");
	return sd_bus_reply_method_return(m, NULL);
}

/* --- properties --- */

#define GETTER(name, type, expression)                                                             \
	static int get_##name(sd_bus *sd, const char *path, const char *interface,                 \
	                      const char *property, sd_bus_message *m, void *data,                 \
	                      sd_bus_error *error)                                                 \
	{                                                                                          \
		const struct scan_bus *s = data;                                                   \
                                                                                                   \
		return sd_bus_message_append(m, type, expression);                                 \
	}

static const char *state_name(const struct scan_bus *s)
{
	if (!s->scanner)
		return "finished";
	switch (scanner_state(s->scanner)) {
	case SCANNER_RUNNING:
		return "running";
	case SCANNER_WAITING:
	case SCANNER_PAUSED:
		return "paused";
	case SCANNER_FINISHED:
		break;
	}
	return "finished";
}

GETTER(active, "b", (int)s->active)
GETTER(interval, "u", s->interval_us)
GETTER(window, "u", s->window_us)
GETTER(duplicates, "s", duplicates_names[s->duplicates])
GETTER(state, "s", state_name(s))
GETTER(received, "t", s->scanner ? scanner_received(s->scanner) : s->received)
GETTER(passed, "t", s->sink.seq)
GETTER(dropped, "t", s->sink.dropped)
GETTER(queued, "u", s->sink.queued)
GETTER(lifetime, "s", lifetime_names[s->holder.lifetime])
GETTER(expires, "t", holder_expires_us(&s->holder))

static int get_holders(sd_bus *sd, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *data, sd_bus_error *error)
{
	return holder_append(&((const struct scan_bus *)data)->holder, m);
}

static int find(_unused_ sd_bus *sd, const char *path, _unused_ const char *interface, void *data,
                void **ret, _unused_ sd_bus_error *error)
{
	struct tree_node t;

	if (tree_resolve(data, path, &t) != TREE_SCANNER)
		return 0;
	*ret = t.scan;
	return 1;
}

static const sd_bus_vtable scanner_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Active", "b", get_active, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("IntervalUs", "u", get_interval, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("WindowUs", "u", get_window, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Duplicates", "s", get_duplicates, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Received", "t", get_received, 0, 0),
	SD_BUS_PROPERTY("Passed", "t", get_passed, 0, 0),
	SD_BUS_PROPERTY("Dropped", "t", get_dropped, 0, 0),
	SD_BUS_PROPERTY("Queued", "u", get_queued, 0, 0),
	SD_BUS_PROPERTY("Holders", "as", get_holders, 0, 0),
	SD_BUS_PROPERTY("Lifetime", "s", get_lifetime, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("ExpiresUs", "t", get_expires, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("Next", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("aa{sv}", reports, "t", dropped), method_next,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Open", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
                                method_open, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("Reports", SD_BUS_ARGS("aa{sv}", reports, "t", dropped), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Finished", SD_BUS_ARGS("s", reason, "a{sv}", details), 0),
	SD_BUS_VTABLE_END,
};

int bus_add_scanner(struct bus *bus)
{
	return bus_export(bus, SCANNER_INTERFACE, scanner_vtable, find);
}
