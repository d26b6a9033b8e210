/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble.Subscription1. It hears values from before the CCCD is written; what comes before the reply to Subscribe
 * waits in its corked sink, so the reply precedes the first event and nothing between is lost.
 */
#include "sub_bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"
#include "aiobled/stream.h"

#include "bus_opts.h"
#include "client.h"
#include "gatt_bus.h"
#include "tree.h"

#define SUBSCRIPTION_INTERFACE "org.aioble.Subscription1"

#define VALUE_COST    32   /* of a value in a message, beyond its bytes */
#define SIGNAL_VALUES 1024 /* in one signal */

/* --- values --- */

static void on_value(struct gatt_sub *sub, const uint8_t *value, size_t len, bool indication)
{
	struct sub_bus *s = container_of(sub, struct sub_bus, sub);

	sink_push(&s->sink, indication ? STREAM_INDICATED : STREAM_NOTIFIED, s->handle,
	          loop_now_us(s->conn->bus->loop), value, len);
}

/* The link is gone; conn_bus.c ends us when all waiting calls are answered. */
static void on_ended(_unused_ struct gatt_sub *sub, _unused_ int err)
{
}

static int append_value(sd_bus_message *m, const struct stream_record *r)
{
	int res = sd_bus_message_open_container(m, 'r', "ttay");

	if (res >= 0)
		res = sd_bus_message_append(m, "tt", r->seq, r->time_us);
	if (res >= 0)
		res = sd_bus_message_append_array(m, 'y', r->data, r->len);
	return res < 0 ? res : sd_bus_message_close_container(m);
}

/* The oldest values that are of one kind, as many as a signal takes. */
static int append_values(sd_bus_message *m, struct sink *sink, uint8_t type, size_t *ret_bytes)
{
	const struct stream_record *r;
	size_t bytes = 0;
	int res = sd_bus_message_open_container(m, 'a', "(ttay)");

	for (int i = 0; res >= 0 && i < SIGNAL_VALUES && bytes < SINK_SIGNAL_BYTES; i++) {
		r = sink_peek(sink);
		if (!r || r->type != type)
			break;
		bytes += VALUE_COST + r->len;
		res = append_value(m, r);
		if (res >= 0)
			sink_pop(sink);
	}
	if (res >= 0)
		res = sd_bus_message_close_container(m);
	if (res >= 0)
		res = sd_bus_message_append(m, "t", sink->dropped);
	*ret_bytes = bytes;
	return res;
}

static size_t on_signal(struct sink *sink, const char *destination)
{
	struct sub_bus *s = container_of(sink, struct sub_bus, sink);
	uint8_t type = sink_peek(sink)->type;
	sd_bus_message *m =
		bus_signal(sink->bus, s->path, SUBSCRIPTION_INTERFACE,
	                   type == STREAM_INDICATED ? "Indicated" : "Notified", destination);
	size_t bytes = 0;
	int r;

	if (!m)
		return 0;
	r = append_values(m, sink, type, &bytes);
	if (r < 0) {
		log_error(s->conn->name, "values: %s", strerror(-r));
		sd_bus_message_unref(m);
		return 0;
	}
	bus_send(sink->bus, m);
	return bytes;
}

static void on_closed(struct sink *sink)
{
	sub_bus_end(container_of(sink, struct sub_bus, sink), "stopped",
	            &(struct bus_error){.res = 0});
}

static const struct sink_events sink_events = {.signal = on_signal, .closed = on_closed};

/* --- the end --- */

void sub_bus_free(struct sub_bus *s)
{
	/* does nothing for one that is off already, or never was on */
	(void)gatt_unsubscribe(conn_gatt(s->conn->conn), NULL, &s->sub, 0);
	sink_deinit(&s->sink);
	holder_deinit(&s->holder);
	list_del(&s->link);
	s->conn->n_subs--;
	free(s);
}

void sub_bus_end(struct sub_bus *s, const char *reason, const struct bus_error *error)
{
	sink_flush_now(&s->sink);
	holder_tell_finished(&s->holder, s->path, SUBSCRIPTION_INTERFACE, s->broadcast, reason,
	                     error);
	sink_end(&s->sink, error->hci, reason);
	sub_bus_free(s);
}

static void on_released(struct holder *h)
{
	sub_bus_end(container_of(h, struct sub_bus, holder), "released",
	            &(struct bus_error){.res = 0});
}

/* --- subscribing --- */

struct subscribe_options {
	uint32_t timeout_ms, queue;
	bool notify, indicate, signals, broadcast;
	int lifetime;
};

struct subscribe_call {
	struct gatt_call gc;
	struct subscribe_options o;
	bool open;
	int fd; /* the client's end, with open */
	struct sub_bus *sub;
};

static void subscribe_release(struct bus_call *call)
{
	struct subscribe_call *c =
		container_of(container_of(call, struct gatt_call, call), struct subscribe_call, gc);

	closep(&c->fd);
	if (c->sub)
		sub_bus_free(c->sub);
}

static struct sub_bus *sub_bus_new(struct conn_bus *c, const struct subscribe_options *o,
                                   uint16_t handle)
{
	struct sub_bus *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->conn = c;
	s->id = c->bus->next_sub++;
	(void)snprintf(s->path, sizeof(s->path), "%s/sub/%llu", c->path, (unsigned long long)s->id);
	holder_init(&s->holder, c->bus, QUOTA_SUBSCRIPTIONS, o->lifetime, on_released);
	sink_init(&s->sink, c->bus, &sink_events, o->queue);
	s->handle = handle;
	s->broadcast = o->broadcast;
	s->starting = true;
	s->sub = (struct gatt_sub){
		.notify = o->notify, .indicate = o->indicate, .value = on_value, .ended = on_ended};
	list_add_tail(&c->subs, &s->link);
	c->n_subs++;
	return s;
}

static void subscribe_reply(struct subscribe_call *call)
{
	struct sub_bus *s = call->sub;

	call->sub = NULL; /* it stands on its own from here */
	s->starting = false;
	if (call->open)
		bus_call_done(&call->gc.call, "ho", call->fd, s->path);
	else
		bus_call_done(&call->gc.call, "o", s->path);
	sink_uncork(&s->sink);
}

static void on_subscribed(struct op *op, int res)
{
	struct subscribe_call *call = container_of(gatt_call_of(op), struct subscribe_call, gc);

	if (res == 0)
		subscribe_reply(call);
	else if (res == -ENOENT || res == -EOPNOTSUPP)
		bus_call_fail(&call->gc.call,
		              &(struct bus_error){
				      .res = -EOPNOTSUPP,
				      .text = res == -ENOENT
		                                      ? "the characteristic has no configuration "
		                                        "descriptor"
		                                      : "the characteristic has no such property"});
	else
		gatt_call_fail(&call->gc, res);
}

/* Where the values go. Return: 0, or < 0 with @err. */
static int connect_sink(struct subscribe_call *call, struct bus_error *err)
{
	struct sub_bus *s = call->sub;
	struct client *client = call->gc.call.client;

	if (holder_add(&s->holder, client, err) < 0)
		return -ENOBUFS;
	if (call->open)
		return sink_open(&s->sink, client, false, &call->fd, err);
	if (call->o.signals || call->o.broadcast)
		sink_set_signals(&s->sink, client, call->o.broadcast);
	return 0;
}

/* The characteristic is known; the op is fresh, its done() is on_subscribed(). Answers when it cannot start. */
static int subscribe(struct subscribe_call *call, struct gatt_characteristic *chr)
{
	struct conn_bus *c = call->gc.conn;
	struct bus_error err;
	int r;

	if (c->n_subs >= SUBSCRIPTIONS_MAX) {
		err = (struct bus_error){
			.res = -ENOBUFS,
			.text = "the connection has as many subscriptions as it may"};
		bus_call_fail(&call->gc.call, &err);
		return 1;
	}
	call->sub = sub_bus_new(c, &call->o, chr->handle);
	if (!call->sub) {
		bus_call_fail_res(&call->gc.call, -ENOMEM);
		return 1;
	}
	if (connect_sink(call, &err) < 0) {
		bus_call_fail(&call->gc.call, &err);
		return 1;
	}
	r = gatt_subscribe(conn_gatt(c->conn), &call->gc.g, &call->sub->sub, chr,
	                   bus_call_left_ms(&call->gc.call));
	if (r < 0)
		on_subscribed(&call->gc.g.op, r);
	return 1;
}

static int read_subscribe(sd_bus_message *m, struct subscribe_options *o, struct bus_error *err)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct subscribe_options, timeout_ms, OPT_U32),
		OPT("queue", struct subscribe_options, queue, OPT_U32, .min = 1,
	            .max = SINK_QUEUE_MAX),
		OPT("notify", struct subscribe_options, notify, OPT_BOOL),
		OPT("indicate", struct subscribe_options, indicate, OPT_BOOL),
		OPT("signals", struct subscribe_options, signals, OPT_BOOL),
		OPT("broadcast", struct subscribe_options, broadcast, OPT_BOOL),
		OPT("lifetime", struct subscribe_options, lifetime, OPT_ENUM,
	            .names = lifetime_names),
	};

	*o = (struct subscribe_options){.timeout_ms = 2000,
	                                .queue = SINK_QUEUE_DEFAULT,
	                                .notify = true,
	                                .lifetime = LIFETIME_LINGER};
	if (bus_opts_read(m, table, ARRAY_SIZE(table), o, err) < 0)
		return -EINVAL;
	if (!o->notify && !o->indicate)
		return bus_arg_error(err, "notify", "is false, and indicate is, too");
	return 0;
}

static int subscribe_call_new(struct conn_bus *c, sd_bus_message *m,
                              const struct subscribe_options *o, bool open,
                              void (*done)(struct op *op, int res), struct subscribe_call **ret)
{
	int r = gatt_call_new(c, m, sizeof(**ret), o->timeout_ms, done, ret);

	if (r != 0)
		return r;
	(*ret)->o = *o;
	(*ret)->open = open;
	(*ret)->fd = -1;
	(*ret)->gc.call.release = subscribe_release;
	return 0;
}

static int method_subscribe(sd_bus_message *m, const struct attr_ref *attr, bool open)
{
	struct attr_ref a = *attr;
	struct subscribe_options o;
	struct subscribe_call *call;
	struct bus_error err;
	int r;

	if (read_subscribe(m, &o, &err) < 0)
		return bus_fail(m, &err);
	r = subscribe_call_new(a.conn, m, &o, open, on_subscribed, &call);
	return r != 0 ? r : subscribe(call, a.characteristic);
}

int sub_bus_subscribe(sd_bus_message *m, void *attr, _unused_ sd_bus_error *error)
{
	return method_subscribe(m, attr, false);
}

int sub_bus_open_notify(sd_bus_message *m, void *attr, _unused_ sd_bus_error *error)
{
	return method_subscribe(m, attr, true);
}

static void on_found(struct op *op, int res)
{
	struct subscribe_call *call = container_of(gatt_call_of(op), struct subscribe_call, gc);
	struct gatt_characteristic *chr = NULL;

	if (res == 0) {
		chr = gatt_find_characteristic(conn_gatt(call->gc.conn->conn), call->gc.g.handle);
		res = chr ? 0 : -ENOENT;
	}
	if (res != 0) {
		gatt_call_fail(&call->gc, res);
		return;
	}
	gatt_call_next(&call->gc, on_subscribed);
	(void)subscribe(call, chr); /* it answers in every case */
}

int sub_bus_subscribe_uuid(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct conn_bus *c = data;
	struct subscribe_options o;
	struct subscribe_call *call;
	struct bus_error err;
	struct uuid uuid;
	int r;

	if (gatt_bus_uuid_arg(m, &uuid, &err) < 0 || read_subscribe(m, &o, &err) < 0)
		return bus_fail(m, &err);
	r = subscribe_call_new(c, m, &o, false, on_found, &call);
	if (r != 0)
		return r;
	r = gatt_find_by_uuid(conn_gatt(c->conn), &call->gc.g, &uuid, o.timeout_ms);
	if (r < 0)
		gatt_call_fail(&call->gc, r);
	return 1;
}

/* --- Next --- */

struct next_call {
	struct bus_call call;
	struct op op;
	struct sub_bus *sub;
};

static int append_next(sd_bus_message *m, const struct stream_record *r, uint64_t dropped)
{
	int res = sd_bus_message_append(m, "s",
	                                r->type == STREAM_INDICATED ? "indicated" : "notified");

	if (res >= 0)
		res = sd_bus_message_append_array(m, 'y', r->data, r->len);
	if (res >= 0)
		res = sd_bus_message_append(m, "a{sv}", 3, "seq", "t", r->seq, "time_us", "t",
		                            r->time_us, "dropped", "t", dropped);
	return res;
}

static void next_answer(struct next_call *call)
{
	struct sink *sink = &call->sub->sink;
	const struct stream_record *r = sink_peek(sink);
	sd_bus_message *reply = bus_call_reply(&call->call);
	size_t bytes = r->len;

	if (!reply || append_next(reply, r, sink->dropped) < 0) {
		sd_bus_message_unref(reply);
		bus_call_fail_res(&call->call, -ENOMEM);
		return;
	}
	sink_pop(sink);
	bus_call_send(&call->call, reply, bytes);
}

static void on_next(struct op *op, int res)
{
	struct next_call *call = container_of(op, struct next_call, op);
	struct bus_error err;

	if (res == 0) {
		next_answer(call);
		return;
	}
	err = conn_bus_error(call->sub->conn, res, 0);
	bus_call_fail(&call->call, &err);
}

static void touch(struct sub_bus *s)
{
	holder_touch(&s->holder);
	holder_touch(&s->conn->holder);
}

static int method_next(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {OPT_ALONE("timeout_ms", OPT_U32)};
	struct sub_bus *s = data;
	struct next_call *call;
	uint32_t timeout_ms = 5000;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &timeout_ms, &err) < 0)
		return bus_fail(m, &err);
	touch(s);
	if (s->sink.mode != SINK_KEEP)
		return bus_fail(m,
		                &(struct bus_error){
					.res = -EBUSY,
					.text = "the values go elsewhere: signals or a descriptor",
					.holder = s->sink.client ? s->sink.client->name : NULL});
	r = bus_call_new(s->conn->bus, m, sizeof(*call), &s->conn->calls, timeout_ms, &call);
	if (r != 0)
		return r;
	call->sub = s;
	op_init(&call->op, s->conn->bus->loop, on_next);
	call->call.op = &call->op;
	sink_next(&s->sink, &call->call, timeout_ms);
	return 1;
}

/* --- Open, Stop --- */

static int method_open(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	_cleanup_(closep) int fd = -1;
	struct bus_error err = {.res = -ENOMEM};
	struct sub_bus *s = data;
	struct client *client;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0 || client_of(s->conn->bus, m, &client) < 0)
		return bus_fail(m, &err);
	touch(s);
	if (s->sink.stream)
		return bus_fail(m, &(struct bus_error){.res = -EBUSY,
		                                       .text = "its descriptor is open already"});
	if (sink_open(&s->sink, client, false, &fd, &err) < 0)
		return bus_fail(m, &err);
	sink_fail(&s->sink, -ECANCELED);
	return sd_bus_reply_method_return(m, "h", fd);
}

static void on_stopped(struct op *op, int res)
{
	struct gatt_call *call = gatt_call_of(op);

	/* a link that is down has no subscription either */
	if (res == 0 || res == -ENOTCONN)
		bus_call_done(&call->call, NULL);
	else
		gatt_call_fail(call, res);
}

static int method_stop(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {OPT_ALONE("timeout_ms", OPT_U32)};
	struct sub_bus *s = data;
	struct conn_bus *c = s->conn;
	struct gatt_call *call;
	uint32_t timeout_ms = 1000;
	struct bus_error err;
	int r;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &timeout_ms, &err) < 0)
		return bus_fail(m, &err);
	r = gatt_call_new(c, m, sizeof(*call), timeout_ms, on_stopped, &call);
	if (r != 0)
		return r;
	r = gatt_unsubscribe(conn_gatt(c->conn), &call->g, &s->sub, timeout_ms);
	sub_bus_end(s, "stopped", &(struct bus_error){.res = 0});
	if (r < 0)
		on_stopped(&call->g.op, r);
	return 1;
}

/* --- properties --- */

#define GETTER(name, type, expression)                                                             \
	static int get_##name(sd_bus *sd, const char *path, const char *interface,                 \
	                      const char *property, sd_bus_message *m, void *data,                 \
	                      sd_bus_error *error)                                                 \
	{                                                                                          \
		const struct sub_bus *s = data;                                                    \
                                                                                                   \
		return sd_bus_message_append(m, type, expression);                                 \
	}

GETTER(notify, "b", (int)s->sub.notify)
GETTER(indicate, "b", (int)s->sub.indicate)
GETTER(received, "t", s->sink.seq)
GETTER(dropped, "t", s->sink.dropped)
GETTER(queued, "u", s->sink.queued)
GETTER(lifetime, "s", lifetime_names[s->holder.lifetime])
GETTER(expires, "t", holder_expires_us(&s->holder))

static int get_characteristic(sd_bus *sd, const char *path, const char *interface,
                              const char *property, sd_bus_message *m, void *data,
                              sd_bus_error *error)
{
	const struct sub_bus *s = data;
	char buf[BUS_PATH_MAX + 8];

	return sd_bus_message_append_basic(m, 'o', attr_path(s->conn, s->handle, buf));
}

static int get_holders(sd_bus *sd, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *data, sd_bus_error *error)
{
	return holder_append(&((struct sub_bus *)data)->holder, m);
}

static int find(_unused_ sd_bus *sd, const char *path, _unused_ const char *interface, void *data,
                void **ret, _unused_ sd_bus_error *error)
{
	struct tree_node t;

	if (tree_resolve(data, path, &t) != TREE_SUBSCRIPTION)
		return 0;
	*ret = t.sub;
	return 1;
}

#define CONST SD_BUS_VTABLE_PROPERTY_CONST

static const sd_bus_vtable subscription_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Characteristic", "o", get_characteristic, 0, CONST),
	SD_BUS_PROPERTY("Notify", "b", get_notify, 0, CONST),
	SD_BUS_PROPERTY("Indicate", "b", get_indicate, 0, CONST),
	SD_BUS_PROPERTY("Received", "t", get_received, 0, 0),
	SD_BUS_PROPERTY("Dropped", "t", get_dropped, 0, 0),
	SD_BUS_PROPERTY("Queued", "u", get_queued, 0, 0),
	SD_BUS_PROPERTY("Holders", "as", get_holders, 0, 0),
	SD_BUS_PROPERTY("Lifetime", "s", get_lifetime, 0, CONST),
	SD_BUS_PROPERTY("ExpiresUs", "t", get_expires, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("Next", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("s", kind, "ay", value, "a{sv}", details),
                                method_next, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Open", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
                                method_open, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("Notified", SD_BUS_ARGS("a(ttay)", values, "t", dropped), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Indicated", SD_BUS_ARGS("a(ttay)", values, "t", dropped), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Finished", SD_BUS_ARGS("s", reason, "a{sv}", details), 0),
	SD_BUS_VTABLE_END,
};

int bus_add_subscription(struct bus *bus)
{
	return bus_export(bus, SUBSCRIPTION_INTERFACE, subscription_vtable, find);
}
