/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Streams. One send() a record; the header says how many were lost before it, which is a gap in the numbers
 * that is not accounted for otherwise. Interest in
 * the socket follows from the state in one place, stream_update().
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "aiobled/stream.h"

#include "bus_priv.h"
#include "client.h"

#define END_REASON_MAX 128

struct stream {
	struct list link;        /* in bus->streams after the end of the source */
	struct list client_link; /* in client->streams */
	struct bus *bus;
	struct client *client; /* NULL: has left */
	const struct stream_events *events;
	void *data;
	struct loop_io io;
	int fd;
	bool full; /* the kernel said EAGAIN */
	bool read; /* readable() is wanted */
	bool shut; /* the reader is gone; told or about to be */
	struct defer gone;
	uint64_t sent_seq;
	struct list backlog;        /* after the end of the source */
	struct stream_record *last; /* the end record */
	struct timer give_up;
};

static void stream_update(struct stream *s)
{
	/* reading is also how the end of the reader is noticed; a reader whose words are not wanted now only by HUP */
	int events = (s->full ? LOOP_WRITE : 0) |
	             (!s->events || !s->events->readable || s->read ? LOOP_READ : 0);

	(void)loop_io_set(&s->io,
	                  s->shut ? 0
	                          : events); /* ENOMEM at worst: the reader waits, nothing breaks */
}

struct stream *stream_free(struct stream *s)
{
	struct stream_record *r;

	if (!s)
		return NULL;
	list_del(&s->link);
	list_del(&s->client_link);
	client_give(s->client, QUOTA_STREAMS);
	while ((r = list_first(&s->backlog, struct stream_record, link))) {
		list_del(&r->link);
		free(r);
	}
	free(s->last);
	timer_stop(&s->give_up);
	defer_cancel(&s->gone);
	loop_io_deinit(&s->io);
	closep(&s->fd);
	free(s);
	return NULL;
}

/* The reader is gone. Told from the loop, never from inside stream_send(). */
static void stream_shut(struct stream *s)
{
	if (s->shut)
		return;
	s->shut = true;
	stream_update(s);
	defer_post(&s->gone);
}

static void on_gone(struct defer *d)
{
	struct stream *s = container_of(d, struct stream, gone);

	if (s->events)
		s->events->closed(s, s->data);
	else
		stream_free(s);
}

static void on_give_up(struct timer *t)
{
	stream_free(container_of(t, struct stream, give_up));
}

static void discard_input(struct stream *s)
{
	char byte;
	ssize_t n = recv(s->fd, &byte, sizeof(byte), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		stream_shut(s);
}

static void stream_drain(struct stream *s);

static void on_ready(struct loop_io *io, int ready)
{
	struct stream *s = container_of(io, struct stream, io);

	if (ready & LOOP_READ) {
		if (s->events && s->events->readable) {
			s->events->readable(s, s->data); /* may free it, so no more of this pass */
			return;
		}
		discard_input(s);
		if (s->shut)
			return;
	}
	if (!(ready & LOOP_WRITE))
		return;
	s->full = false;
	stream_update(s);
	if (s->events)
		s->events->writable(s, s->data);
	else
		stream_drain(s);
}

/* Forced when we may (CAP_NET_ADMIN), else as far as the system allows. */
static void set_sndbuf(int fd)
{
	int bytes = STREAM_SNDBUF_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes,
		                 sizeof(bytes)); /* the default will do */
}

static int make_pair(int fd[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	if (fcntl(fd[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	set_sndbuf(fd[0]);
	return 0;
}

int stream_new(struct bus *bus, struct client *client, const struct stream_events *events,
               void *data, struct stream **ret, int *ret_fd, struct bus_error *err)
{
	_cleanup_(closep) int theirs = -1;
	struct stream *s;
	int fd[2], r;

	if (client_take(client, QUOTA_STREAMS, err) < 0)
		return -ENOBUFS;
	s = calloc(1, sizeof(*s));
	r = s ? make_pair(fd) : -ENOMEM;
	if (r < 0) {
		client_give(client, QUOTA_STREAMS);
		free(s);
		*err = (struct bus_error){.res = r};
		return r;
	}
	theirs = fd[1];
	s->bus = bus;
	s->client = client;
	s->events = events;
	s->data = data;
	s->fd = fd[0];
	list_init(&s->link);
	list_init(&s->backlog);
	list_add_tail(&client->streams, &s->client_link);
	timer_init(&s->give_up, bus->loop, on_give_up);
	defer_init(&s->gone, bus->loop, on_gone);
	r = loop_io_init(&s->io, bus->loop, s->fd, on_ready);
	if (r < 0) {
		stream_free(s);
		*err = (struct bus_error){.res = r};
		return r;
	}
	s->read = true;
	stream_update(s);
	*ret = s;
	*ret_fd = steal_fd(&theirs);
	return 0;
}

void stream_set_sent(struct stream *s, uint64_t seq)
{
	s->sent_seq = seq;
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

void stream_read(struct stream *s, bool on)
{
	s->read = on;
	stream_update(s);
}

static void put_header(uint8_t buf[STREAM_HEADER_SIZE], const struct stream *s,
                       const struct stream_record *r)
{
	struct wr w = wr_init(buf, STREAM_HEADER_SIZE);

	wr_u8(&w, r->type);
	wr_u8(&w, 0);
	wr_le16(&w, r->handle);
	/* the end has no number of its own: it carries that of the source's last record */
	wr_le32(&w,
	        (uint32_t)(r->seq - s->sent_seq - r->skipped - (r->type == STREAM_END ? 0 : 1)));
	wr_le64(&w, r->seq);
	wr_le64(&w, r->time_us);
}

int stream_send(struct stream *s, const struct stream_record *r)
{
	uint8_t header[STREAM_HEADER_SIZE];
	struct iovec iov[2] = {
		{.iov_base = header, .iov_len = sizeof(header)},
		{.iov_base = (void *)r->data, .iov_len = r->len}, /* sendmsg() does not write */
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = r->len ? 2 : 1};

	if (s->shut)
		return -EPIPE;
	if (s->full)
		return -EAGAIN;
	put_header(header, s, r);
	if (sendmsg(s->fd, &msg, MSG_NOSIGNAL) >= 0) {
		s->sent_seq = r->seq;
		return 0;
	}
	if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) {
		s->full = true;
		stream_update(s);
		return -EAGAIN;
	}
	stream_shut(s);
	return -EPIPE;
}

/* --- after the end of the source --- */

static void stream_drain(struct stream *s)
{
	struct stream_record *r;

	while ((r = list_first(&s->backlog, struct stream_record, link))) {
		if (stream_send(s, r) < 0)
			return;
		list_del(&r->link);
		free(r);
	}
	if (stream_send(s, s->last) == 0)
		stream_free(s); /* the reader has it all in its own queue */
}

static struct stream_record *end_record(struct bus *bus, uint64_t seq, uint32_t skipped,
                                        uint8_t hci, const char *reason)
{
	size_t len = strnlen(reason, END_REASON_MAX);
	struct stream_record *r = malloc(sizeof(*r) + 1 + len);

	if (!r)
		return NULL;
	*r = (struct stream_record){.seq = seq,
	                            .time_us = loop_now_us(bus->loop),
	                            .skipped = skipped,
	                            .type = STREAM_END,
	                            .len = 1 + len};
	list_init(&r->link);
	r->data[0] = hci;
	memcpy(r->data + 1, reason, len);
	return r;
}

void stream_end(struct stream *s, struct list *backlog, uint64_t seq, uint32_t skipped, uint8_t hci,
                const char *reason)
{
	s->events = NULL;
	list_move_all(backlog, &s->backlog);
	s->last = end_record(s->bus, seq, skipped, hci, reason);
	if (!s->last || s->shut) {
		stream_free(s);
		return;
	}
	list_add_tail(&s->bus->streams, &s->link);
	timer_start_ms(&s->give_up, STREAM_END_KEEP_MS);
	stream_update(s);
	if (!s->full)
		stream_drain(s);
}

void streams_orphan(struct client *client)
{
	struct stream *s;

	while ((s = list_first(&client->streams, struct stream, client_link))) {
		list_del(&s->client_link);
		s->client = NULL;
	}
}

void streams_free(struct bus *bus)
{
	while (!list_empty(&bus->streams))
		stream_free(list_first(&bus->streams, struct stream, link));
}
