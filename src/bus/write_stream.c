/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Write streams. The descriptor is read only while there is a free place in a small window of commands, each of which
 * waits for the kernel to take it: when the link is slow the writer's own send() blocks, not our heap. A writer that has
 * closed its end is not cut off: what it wrote before is sent.
 */
#include "write_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "aiobled/att.h"
#include "aiobled/cleanup.h"

#include "bus_opts.h"
#include "client.h"
#include "gatt_bus.h"
#include "stream.h"

#define WINDOW         8 /* commands under way: enough to fill a pass of the loop */
#define WRITE_OVERHEAD 3 /* opcode and handle: Core 5.4, Vol 3, Part F, 3.4.5.3 */

struct slot {
	struct gatt_op g;
	struct write_stream *stream;
};

struct write_stream {
	struct list link; /* in conn->write_streams */
	struct conn_bus *conn;
	struct stream *stream; /* NULL: the writer has closed it */
	uint16_t handle;
	unsigned int live;
	struct slot slots[WINDOW];
};

struct write_stream *write_stream_first(struct conn_bus *c)
{
	return list_first(&c->write_streams, struct write_stream, link);
}

void write_stream_free(struct write_stream *w)
{
	for (size_t i = 0; i < WINDOW; i++)
		op_drop(&w->slots[i].g.op);
	stream_free(w->stream);
	list_del(&w->link);
	free(w);
}

void write_stream_end(struct write_stream *w, uint8_t hci, const char *reason)
{
	struct list none;

	list_init(&none);
	if (w->stream)
		stream_end(steal(&w->stream), &none, 0, 0, hci, reason);
	write_stream_free(w);
}

static void fail(struct write_stream *w, int res)
{
	struct bus_error e = conn_bus_error(w->conn, res, 0);

	write_stream_end(w, e.hci, bus_error_name(&e));
}

static struct slot *free_slot(struct write_stream *w)
{
	for (size_t i = 0; i < WINDOW; i++)
		if (!op_live(&w->slots[i].g.op))
			return &w->slots[i];
	return NULL;
}

static void writer_closed(struct write_stream *w)
{
	w->stream = stream_free(w->stream);
	if (w->live == 0)
		write_stream_free(w);
}

/* Return: false when nothing more is to be read now; the stream may be gone then. */
static bool take_one(struct write_stream *w)
{
	uint8_t value[ATT_MTU_MAX];
	struct slot *slot = free_slot(w);
	size_t room = att_mtu(conn_att(w->conn->conn)) - WRITE_OVERHEAD;
	ssize_t n;
	int r;

	if (!slot)
		return false;
	n = recv(stream_fd(w->stream), value, sizeof(value), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		writer_closed(w);
		return false;
	}
	if ((size_t)n > room) {
		fail(w, -EMSGSIZE);
		return false;
	}
	r = gatt_write_command(conn_gatt(w->conn->conn), &slot->g, w->handle, value, (size_t)n, 0);
	if (r < 0) {
		fail(w, r);
		return false;
	}
	w->live++;
	stream_read(w->stream, w->live < WINDOW);
	return w->live < WINDOW;
}

static void on_readable(_unused_ struct stream *stream, void *data)
{
	while (take_one(data))
		;
}

static void on_sent(struct op *op, int res)
{
	struct slot *slot = container_of(container_of(op, struct gatt_op, op), struct slot, g);
	struct write_stream *w = slot->stream;

	w->live--;
	if (res != 0) {
		fail(w, res);
	} else if (!w->stream) {
		if (w->live == 0)
			write_stream_free(w);
	} else {
		stream_read(w->stream, true);
	}
}

static void on_writable(_unused_ struct stream *stream, _unused_ void *data)
{
}

static void on_closed(_unused_ struct stream *stream, void *data)
{
	writer_closed(data);
}

static struct write_stream *write_stream_new(struct conn_bus *c, uint16_t handle)
{
	struct write_stream *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->conn = c;
	w->handle = handle;
	for (size_t i = 0; i < WINDOW; i++) {
		op_init(&w->slots[i].g.op, c->bus->loop, on_sent);
		w->slots[i].stream = w;
	}
	list_add_tail(&c->write_streams, &w->link);
	return w;
}

int write_stream_open(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	static const struct stream_events events = {
		.writable = on_writable,
		.closed = on_closed,
		.readable = on_readable,
	};
	struct attr_ref attr = *(struct attr_ref *)data;
	_cleanup_(closep) int fd = -1;
	struct bus_error err = {.res = -ENOMEM};
	struct conn_bus *c = attr.conn;
	struct write_stream *w;
	struct client *client;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0)
		return bus_fail(m, &err);
	if (!conn_is_up(c->conn) || c->bus->stopping)
		return bus_fail_res(m, c->bus->stopping ? -ECANCELED : -ESHUTDOWN);
	if (!(attr.characteristic->properties & GATT_WRITE_NO_RESPONSE))
		return bus_fail(m, &(struct bus_error){
					   .res = -EOPNOTSUPP,
					   .text = "the characteristic takes no write commands"});
	if (client_of(c->bus, m, &client) < 0)
		return bus_fail(m, &err);
	holder_touch(&c->holder);
	w = write_stream_new(c, attr.characteristic->handle);
	if (!w)
		return bus_fail_res(m, -ENOMEM);
	if (stream_new(c->bus, client, &events, w, &w->stream, &fd, &err) < 0) {
		write_stream_free(w);
		return bus_fail(m, &err);
	}
	return sd_bus_reply_method_return(m, "hq", fd,
	                                  (uint16_t)(att_mtu(conn_att(c->conn)) - WRITE_OVERHEAD));
}
