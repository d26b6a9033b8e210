/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notify streams. The descriptor is read only while fewer than a window of notifications waits for the kernel, so the
 * slowest link sets the pace and nothing is merged or lost: the writer's own send() blocks. One datagram becomes one
 * notification a link, at most the window and one datagram's are under way. A writer that has closed its end is not cut
 * off: what it wrote before is sent.
 */
#include "notify_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "aiobled/att.h"
#include "aiobled/cleanup.h"
#include "aiobled/gatt_client.h"

#include "bus_opts.h"
#include "client.h"
#include "conn_bus.h"
#include "local_bus.h"
#include "stream.h"

#define WINDOW 8 /* notifications under way: enough to fill a pass of the loop */

/* One notification under way. */
struct notification {
	struct list link;
	struct att_cmd cmd;
	struct notify_stream *stream;
};

struct notify_stream {
	struct list link; /* in app->streams */
	struct app_bus *app;
	struct gatt_local *local;
	struct conn_bus *conn; /* NULL: every subscriber */
	struct stream *stream; /* NULL: the writer has closed it */
	struct list live;      /* struct notification */
	unsigned int n_live;
};

struct notify_stream *notify_stream_first(struct app_bus *app)
{
	return list_first(&app->streams, struct notify_stream, link);
}

static void notification_free(struct notification *out)
{
	op_drop(&out->cmd.op);
	list_del(&out->link);
	out->stream->n_live--;
	free(out);
}

void notify_stream_free(struct notify_stream *n)
{
	struct notification *out;

	while ((out = list_first(&n->live, struct notification, link)))
		notification_free(out);
	stream_free(n->stream);
	list_del(&n->link);
	free(n);
}

void notify_stream_end(struct notify_stream *n, uint8_t hci, const char *reason)
{
	struct list none;

	list_init(&none);
	if (n->stream)
		stream_end(steal(&n->stream), &none, 0, 0, hci, reason);
	notify_stream_free(n);
}

static void fail(struct notify_stream *n, const struct bus_error *e)
{
	notify_stream_end(n, e->hci, bus_error_name(e));
}

/* --- one datagram --- */

/* What is under way goes on when the writer has closed, and then the stream goes. Return: false: it went. */
static bool stream_goes_on(struct notify_stream *n)
{
	if (n->stream) {
		stream_read(n->stream, n->n_live < WINDOW);
		return true;
	}
	if (n->n_live)
		return true;
	notify_stream_free(n);
	return false;
}

/* The link this went to is going down, and with it the stream when there is no other: see notify_streams_link_down(). */
static void on_sent(struct op *op, _unused_ int res)
{
	struct notification *out =
		container_of(container_of(op, struct att_cmd, op), struct notification, cmd);
	struct notify_stream *n = out->stream;

	notification_free(out);
	(void)stream_goes_on(n);
}

static int send_to(struct notify_stream *n, struct gatt_link *link, const uint8_t *value,
                   size_t len)
{
	struct notification *out = calloc(1, sizeof(*out));
	int r;

	if (!out)
		return -ENOMEM;
	out->stream = n;
	list_init(&out->link);
	list_add_tail(&n->live, &out->link);
	n->n_live++;
	op_init(&out->cmd.op, n->app->adapter->bus->loop, on_sent);
	r = gatt_server_notify(link, n->local, value, len, &out->cmd, 0, NULL);
	if (r < 0)
		notification_free(out);
	return r;
}

/* Those that are passed over have no right to it now: lost security, a table that changed unknown to them, a link's end. */
static bool is_passed_over(int r)
{
	return r == -EACCES || r == -EAGAIN || r == -ENOTCONN;
}

static int send_to_subscribers(struct notify_stream *n, const uint8_t *value, size_t len)
{
	struct gatt_server *server = adapter_gatt_server(n->app->adapter->adapter);
	struct gatt_link *link = NULL;
	int r;

	while ((link = gatt_server_next_link(server, link))) {
		if (!(gatt_link_cccd(link, n->local) & 1))
			continue;
		r = send_to(n, link, value, len);
		if (r < 0 && !is_passed_over(r))
			return r;
	}
	return 0;
}

static int send_value(struct notify_stream *n, const uint8_t *value, size_t len)
{
	int r;

	if (!n->conn)
		return send_to_subscribers(n, value, len);
	r = send_to(n, conn_gatt_link(n->conn->conn), value, len);
	return r == -EAGAIN ? 0 : r;
}

static void writer_closed(struct notify_stream *n)
{
	n->stream = stream_free(n->stream);
	(void)stream_goes_on(n);
}

/* Return: false when nothing more is to be read now; the stream may be gone then. */
static bool take_one(struct notify_stream *n)
{
	uint8_t value[GATT_VALUE_MAX];
	struct bus_error err = {.res = -EMSGSIZE};
	ssize_t len;
	int r = 0;

	len = recv(stream_fd(n->stream), value, sizeof(value), MSG_DONTWAIT | MSG_TRUNC);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (len <= 0) {
		writer_closed(n);
		return false;
	}
	if ((size_t)len <= sizeof(value)) {
		r = send_value(n, value, (size_t)len);
		err.res = r;
	}
	if (err.res == 0) {
		stream_read(n->stream, n->n_live < WINDOW);
		return n->n_live < WINDOW;
	}
	if (r < 0 && n->conn)
		err = local_send_error(n->local, n->conn, r);
	fail(n, &err);
	return false;
}

static void on_readable(_unused_ struct stream *stream, void *data)
{
	for (int i = 0; i < WINDOW && take_one(data); i++)
		;
}

static void on_writable(_unused_ struct stream *stream, _unused_ void *data)
{
}

static void on_closed(_unused_ struct stream *stream, void *data)
{
	writer_closed(data);
}

void notify_streams_link_down(struct conn_bus *c, const struct bus_error *why)
{
	struct notify_stream *n, *next;
	struct app_bus *app;

	list_for_each (app, &c->adapter->apps, link)
		list_for_each_safe (n, next, &app->streams, link)
			if (n->conn == c)
				fail(n, why);
}

/* --- OpenNotify --- */

static struct notify_stream *notify_stream_new(const struct local_ref *l, struct conn_bus *conn)
{
	struct notify_stream *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->app = l->app;
	n->local = l->local;
	n->conn = conn;
	list_init(&n->live);
	list_init(&n->link);
	list_add_tail(&l->app->streams, &n->link);
	return n;
}

static int read_open(sd_bus_message *m, const struct local_ref *l, struct conn_bus **conn,
                     struct bus_error *err)
{
	static const struct opt table[] = {OPT_ALONE("connection", OPT_PATH)};
	const char *path = NULL;

	*conn = NULL;
	if (bus_opts_read(m, table, ARRAY_SIZE(table), &path, err) < 0)
		return -EINVAL;
	if (path && local_conn(l->app, path, conn, err) < 0)
		return -EINVAL;
	if (l->local->properties & GATT_NOTIFY)
		return 0;
	*err = (struct bus_error){.res = -EOPNOTSUPP,
	                          .text = "the characteristic has no such property"};
	return -EOPNOTSUPP;
}

int notify_stream_open(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct stream_events events = {
		.writable = on_writable,
		.closed = on_closed,
		.readable = on_readable,
	};
	struct local_ref l = *(struct local_ref *)data;
	struct bus *bus = l.app->adapter->bus;
	_cleanup_(closep) int fd = -1;
	struct bus_error err = {.res = -ENOMEM};
	struct notify_stream *n;
	struct conn_bus *conn;
	struct client *client;

	if (bus->stopping)
		return bus_fail_res(m, -ECANCELED);
	if (read_open(m, &l, &conn, &err) < 0 || client_of(bus, m, &client) < 0)
		return bus_fail(m, &err);
	holder_touch(&l.app->holder);
	n = notify_stream_new(&l, conn);
	if (!n)
		return bus_fail_res(m, -ENOMEM);
	if (stream_new(bus, client, &events, n, &n->stream, &fd, &err) < 0) {
		notify_stream_free(n);
		return bus_fail(m, &err);
	}
	return sd_bus_reply_method_return(m, "h", fd);
}
