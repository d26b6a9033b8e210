/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events of an application: one ordered queue for all kinds. Captured writes count against its limit, the oldest goes; of
 * everything else only the last of its sort is in the queue (a plain write: of its attribute; a subscription: of its
 * attribute and connection; a question: while somebody waits for its answer), so they are exempt. Records have the layout
 * of include/aiobled/stream.h: a connection's number first, which is how an event names a link that is down already.
 */
#include "app_bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "aiobled/log.h"
#include "aiobled/stream.h"

#include "bus_opts.h"
#include "client.h"
#include "conn_bus.h"

#define APPLICATION_INTERFACE "org.aioble.Application1"

#define CONN_LEN   8
#define SUB_LEN    1
#define READ_LEN   12
#define EVENT_COST 128 /* of an event in a message, beyond its value */

#define SUB_NOTIFY   1
#define SUB_INDICATE 2

/* A reader that waits for AnswerRead. */
struct question {
	struct list link;
	uint32_t token;
	struct gatt_local *local;
};

/* --- in --- */

static void put_conn(const struct app_bus *app, struct gatt_link *link, uint8_t buf[CONN_LEN])
{
	const struct conn_bus *c = conn_bus_of(app->adapter, gatt_link_data(link));
	struct wr w = wr_init(buf, CONN_LEN);

	wr_le64(&w, c ? c->id : 0);
}

static uint64_t now_us(const struct app_bus *app)
{
	return loop_now_us(app->adapter->bus->loop);
}

/* The queued record of @type about @handle whose payload starts with @head, or NULL. */
static struct stream_record *find_record(struct app_bus *app, uint8_t type, uint16_t handle,
                                         const void *head, size_t len)
{
	struct stream_record *r;

	list_for_each (r, &app->sink.queue, link)
		if (r->exempt && r->type == type && r->handle == handle && r->len >= len &&
		    memcmp(r->data, head, len) == 0)
			return r;
	return NULL;
}

static void on_written(_unused_ struct gatt_app *gatt, struct gatt_local *local,
                       struct gatt_link *link, const uint8_t *value, size_t len, void *data)
{
	struct app_bus *app = data;
	struct stream_record *before;
	uint8_t head[CONN_LEN];

	put_conn(app, link, head);
	if (local->capture) {
		sink_push2(&app->sink, STREAM_WRITTEN, local->handle, now_us(app), head,
		           sizeof(head), value, len);
		return;
	}
	before = find_record(app, STREAM_WRITTEN, local->handle, "", 0);
	if (before) {
		app->collapsed++;
		sink_skip(&app->sink, before);
	}
	sink_push_exempt(&app->sink, STREAM_WRITTEN, local->handle, now_us(app), head, sizeof(head),
	                 value, len);
}

static void on_subscribed(_unused_ struct gatt_app *gatt, struct gatt_local *local,
                          struct gatt_link *link, uint16_t cccd, void *data)
{
	uint8_t bits = cccd & (SUB_NOTIFY | SUB_INDICATE);
	struct app_bus *app = data;
	struct stream_record *before;
	uint8_t head[CONN_LEN];

	put_conn(app, link, head);
	before = find_record(app, STREAM_SUBSCRIBED, local->handle, head, sizeof(head));
	if (before)
		sink_skip(&app->sink, before);
	sink_push_exempt(&app->sink, STREAM_SUBSCRIBED, local->handle, now_us(app), head,
	                 sizeof(head), &bits, SUB_LEN);
	local_changed(local);
	props_dirty(&app->props, 1);
}

static void on_read(_unused_ struct gatt_app *gatt, struct gatt_local *local,
                    struct gatt_link *link, uint32_t token, uint64_t deadline_us, void *data)
{
	struct question *q = calloc(1, sizeof(*q));
	uint8_t head[CONN_LEN], body[READ_LEN];
	struct wr w = wr_init(body, sizeof(body));
	struct app_bus *app = data;

	if (!q)
		return; /* nobody can answer it: its deadline will */
	q->token = token;
	q->local = local;
	list_init(&q->link);
	list_add_tail(&app->questions, &q->link);
	put_conn(app, link, head);
	wr_le32(&w, token);
	wr_le64(&w, deadline_us);
	sink_push_exempt(&app->sink, STREAM_READ, local->handle, now_us(app), head, sizeof(head),
	                 body, sizeof(body));
}

static uint32_t record_token(const struct stream_record *r)
{
	struct rd rd = rd_init(r->data + CONN_LEN, r->len - CONN_LEN);

	return rd_le32(&rd);
}

/* Nobody waits for its answer any more: who has not heard of it needs not to. */
static void question_free(struct app_bus *app, struct question *q)
{
	struct stream_record *r;

	list_for_each (r, &app->sink.queue, link) {
		if (r->type == STREAM_READ && record_token(r) == q->token) {
			sink_skip(&app->sink, r);
			break;
		}
	}
	list_del(&q->link);
	free(q);
}

static struct question *find_question(struct app_bus *app, uint32_t token)
{
	struct question *q;

	list_for_each (q, &app->questions, link)
		if (q->token == token)
			return q;
	return NULL;
}

static void on_read_over(_unused_ struct gatt_app *gatt, uint32_t token, void *data)
{
	struct question *q = find_question(data, token);

	if (q)
		question_free(data, q);
}

void app_questions_free(struct app_bus *app)
{
	struct question *q;

	while ((q = list_first(&app->questions, struct question, link)))
		question_free(app, q);
}

const struct gatt_app_events app_events = {
	.written = on_written,
	.subscribed = on_subscribed,
	.read = on_read,
	.read_over = on_read_over,
};

/* --- out --- */

/* What is in a record. */
struct event {
	const char *name, *signal;
	char attribute[APP_PATH_MAX], connection[BUS_PATH_MAX];
	const uint8_t *value; /* of "written" */
	size_t len;
	uint8_t bits;
	uint32_t token;
	uint64_t deadline_us;
};

static void put_path(const struct app_bus *app, uint64_t conn, char buf[BUS_PATH_MAX])
{
	if (conn)
		(void)snprintf(buf, BUS_PATH_MAX, BUS_ROOT "/%s/conn/%" PRIu64,
		               adapter_name(app->adapter->adapter), conn);
	else
		(void)snprintf(buf, BUS_PATH_MAX,
		               "/"); /* a link for whose object there was no memory */
}

static struct event unpack(const struct app_bus *app, const struct stream_record *r)
{
	struct rd rd = rd_init(r->data, r->len);
	struct event e = {.value = r->data};

	local_path(app, r->handle, e.attribute);
	put_path(app, rd_le64(&rd), e.connection);
	switch (r->type) {
	case STREAM_WRITTEN:
		e.name = "written";
		e.signal = "Written";
		e.value += CONN_LEN;
		e.len = r->len - CONN_LEN;
		break;
	case STREAM_SUBSCRIBED:
		e.name = "subscribed";
		e.signal = "Subscribed";
		e.bits = rd_u8(&rd);
		break;
	default:
		e.name = "read";
		e.signal = "ReadRequested";
		e.token = rd_le32(&rd);
		e.deadline_us = rd_le64(&rd);
	}
	return e;
}

static int append_details(sd_bus_message *m, const struct app_bus *app,
                          const struct stream_record *r, const struct event *e, bool token)
{
	int res = sd_bus_message_open_container(m, 'a', "{sv}");

	if (res >= 0)
		res = sd_bus_message_append(m, "{sv}{sv}{sv}", "seq", "t", r->seq, "time_us", "t",
		                            r->time_us, "dropped", "t", app->sink.dropped);
	if (res >= 0 && r->type == STREAM_SUBSCRIBED)
		res = sd_bus_message_append(m, "{sv}{sv}", "notify", "b", e->bits & SUB_NOTIFY,
		                            "indicate", "b", e->bits & SUB_INDICATE);
	if (res >= 0 && r->type == STREAM_READ && token)
		res = sd_bus_message_append(m, "{sv}", "token", "u", e->token);
	if (res >= 0 && r->type == STREAM_READ)
		res = sd_bus_message_append(m, "{sv}", "deadline_us", "t", e->deadline_us);
	return res < 0 ? res : sd_bus_message_close_container(m);
}

static int append_signal(sd_bus_message *m, const struct app_bus *app,
                         const struct stream_record *r, const struct event *e)
{
	int res = sd_bus_message_append(m, "oo", e->attribute, e->connection);

	if (res >= 0 && r->type == STREAM_WRITTEN)
		res = sd_bus_message_append_array(m, 'y', e->value, e->len);
	if (res >= 0 && r->type == STREAM_READ)
		res = sd_bus_message_append_basic(m, 'u', &e->token);
	return res < 0 ? res : append_details(m, app, r, e, false);
}

static size_t on_signal(struct sink *sink, const char *destination)
{
	struct app_bus *app = container_of(sink, struct app_bus, sink);
	const struct stream_record *r = sink_peek(sink);
	struct event e = unpack(app, r);
	sd_bus_message *m =
		bus_signal(sink->bus, app->path, APPLICATION_INTERFACE, e.signal, destination);
	size_t bytes = EVENT_COST + e.len;
	int res;

	if (!m)
		return 0;
	res = append_signal(m, app, r, &e);
	if (res < 0) {
		log_error(NULL, "%s of %s: %s", e.signal, app->path, strerror(-res));
		sd_bus_message_unref(m);
		return 0;
	}
	sink_pop(sink);
	bus_send(sink->bus, m);
	return bytes;
}

/* The reader closed its descriptor: from now on Next has the events. */
static void on_closed(struct sink *sink)
{
	holder_touch(&container_of(sink, struct app_bus, sink)->holder);
}

/* --- Next --- */

static const char *const event_names[] = {"written", "subscribed", "read", NULL};

struct next_call {
	struct bus_call call;
	struct op op;
	struct app_bus *app;
	uint32_t kinds; /* bit STREAM_*; 0: all */
};

static struct stream_record *find_wanted(const struct sink *sink, const struct next_call *call)
{
	struct stream_record *r;

	list_for_each (r, &sink->queue, link)
		if (!call->kinds || call->kinds & 1u << r->type)
			return r;
	return NULL;
}

static bool on_wants(const struct sink *sink, const struct op *op)
{
	return find_wanted(sink, container_of(op, struct next_call, op));
}

const struct sink_events app_sink_events = {
	.signal = on_signal,
	.closed = on_closed,
	.wants = on_wants,
};

static int append_next(sd_bus_message *m, const struct app_bus *app, const struct stream_record *r,
                       const struct event *e)
{
	int res = sd_bus_message_append(m, "soo", e->name, e->attribute, e->connection);

	if (res >= 0)
		res = sd_bus_message_append_array(m, 'y', e->value, e->len);
	return res < 0 ? res : append_details(m, app, r, e, true);
}

static void next_answer(struct next_call *call)
{
	struct sink *sink = &call->app->sink;
	struct stream_record *r = find_wanted(sink, call);
	struct event e = unpack(call->app, r);
	sd_bus_message *reply = bus_call_reply(&call->call);
	size_t bytes = EVENT_COST + e.len;

	if (!reply || append_next(reply, call->app, r, &e) < 0) {
		sd_bus_message_unref(reply);
		bus_call_fail_res(&call->call, -ENOMEM);
		return;
	}
	sink_take(sink, r);
	bus_call_send(&call->call, reply, bytes);
}

static void on_next(struct op *op, int res)
{
	struct next_call *call = container_of(op, struct next_call, op);

	if (res == 0)
		next_answer(call);
	else
		bus_call_fail_res(&call->call, res);
}

struct next_options {
	uint32_t timeout_ms;
	struct opt_names events;
};

static int read_next(sd_bus_message *m, struct next_options *o, uint32_t *kinds,
                     struct bus_error *err)
{
	static const struct opt table[] = {
		OPT("timeout_ms", struct next_options, timeout_ms, OPT_U32),
		OPT("events", struct next_options, events, OPT_NAMES),
	};
	size_t k;

	*o = (struct next_options){.timeout_ms = 5000};
	*kinds = 0;
	if (bus_opts_read(m, table, ARRAY_SIZE(table), o, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < o->events.n; i++) {
		for (k = 0; event_names[k]; k++)
			if (strcmp(o->events.v[i], event_names[k]) == 0)
				break;
		if (!event_names[k])
			return bus_arg_error(err, "events", "has a word that names no event");
		*kinds |= 1u << (STREAM_WRITTEN + k);
	}
	return 0;
}

static int refuse_next(sd_bus_message *m, const struct sink *sink)
{
	return bus_fail(
		m, &(struct bus_error){.res = -EBUSY,
	                               .text = "the events go elsewhere: signals or a descriptor",
	                               .holder = sink->client ? sink->client->name : NULL});
}

int app_bus_next(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct app_bus *app = data;
	struct next_options o;
	struct next_call *call;
	struct bus_error err;
	uint32_t kinds;
	int r;

	if (read_next(m, &o, &kinds, &err) < 0)
		return bus_fail(m, &err);
	holder_touch(&app->holder);
	if (app->sink.mode != SINK_KEEP)
		return refuse_next(m, &app->sink);
	r = bus_call_new(app->adapter->bus, m, sizeof(*call), &app->calls, o.timeout_ms, &call);
	if (r != 0)
		return r;
	call->app = app;
	call->kinds = kinds;
	op_init(&call->op, app->adapter->bus->loop, on_next);
	call->call.op = &call->op;
	sink_next(&app->sink, &call->call, o.timeout_ms);
	return 1;
}

/* --- Open, AnswerRead --- */

int app_bus_open(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	_cleanup_(closep) int fd = -1;
	struct bus_error err = {.res = -ENOMEM};
	struct app_bus *app = data;
	struct client *client;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0 ||
	    client_of(app->adapter->bus, m, &client) < 0)
		return bus_fail(m, &err);
	holder_touch(&app->holder);
	if (app->sink.stream)
		return bus_fail(m, &(struct bus_error){.res = -EBUSY,
		                                       .text = "its descriptor is open already"});
	if (sink_open(&app->sink, client, false, &fd, &err) < 0)
		return bus_fail(m, &err);
	sink_fail(&app->sink, -ECANCELED);
	return sd_bus_reply_method_return(m, "h", fd);
}

static int no_question(sd_bus_message *m)
{
	return bus_fail(
		m, &(struct bus_error){.res = -ENOENT,
	                               .text = "no reader waits for this answer, or not any more"});
}

int app_bus_answer_read(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct opt table[] = {OPT_ALONE("value", OPT_BYTES)};
	struct opt_bytes value = {0};
	struct app_bus *app = data;
	struct bus_error err;
	struct question *q;
	uint32_t token;
	uint8_t code;
	int r;

	r = sd_bus_message_read(m, "uy", &token, &code);
	if (r < 0)
		return r;
	if (bus_opts_read(m, table, ARRAY_SIZE(table), &value, &err) < 0)
		return bus_fail(m, &err);
	holder_touch(&app->holder);
	q = find_question(app, token);
	if (!q)
		return no_question(m);
	r = value.given ? gatt_local_set(q->local, value.v, value.n) : 0;
	if (r < 0)
		return bus_fail(m, &(struct bus_error){.res = r, .limit = q->local->max_len});
	question_free(app, q);
	r = gatt_server_allow(adapter_gatt_server(app->adapter->adapter), token, code);
	return r < 0 ? no_question(m) : sd_bus_reply_method_return(m, NULL);
}
