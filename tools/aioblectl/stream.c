/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading records. A descriptor that ends without an end record means that the daemon died; the
 * handler is told so once.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "aiobled/stream.h"

/* The largest record by far: a report of 1650 bytes as JSON is below 16 KiB. */
#define RECORD_MAX 65536

/* Records taken in one turn of the loop, so that a signal is never kept waiting */
#define RECORDS_PER_TURN 64

int record_parse(const void *data, size_t len, struct record *ret)
{
	struct rd r = rd_init(data, len);
	struct record rec = {.type = rd_u8(&r)};

	(void)rd_u8(&r); /* flags: none are defined */
	rec.handle = rd_le16(&r);
	rec.dropped = rd_le32(&r);
	rec.seq = rd_le64(&r);
	rec.time_us = rd_le64(&r);
	rec.payload = rd_rest(&r, &rec.len);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = rec;
	return 0;
}

static void stream_end(struct stream *s)
{
	s->ended = true;
	s->source = sd_event_source_unref(s->source);
}

/* True when another record may be waiting */
static bool stream_take(struct stream *s)
{
	static uint8_t buf[RECORD_MAX]; /* one loop, one reader at a time */
	struct record rec;
	ssize_t n = recv(s->fd, buf, sizeof(buf), MSG_TRUNC | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0 || (size_t)n > sizeof(buf) || record_parse(buf, (size_t)n, &rec) < 0) {
		stream_end(s);
		s->handler(s, NULL, s->userdata);
		return false;
	}
	if (rec.type == STREAM_END)
		stream_end(s);
	s->handler(s, &rec, s->userdata);
	return !s->ended;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct stream *s = userdata;

	for (int i = 0; i < RECORDS_PER_TURN && stream_take(s); i++)
		;
	return 0;
}

int stream_start(struct stream *s, sd_event *event, int fd, stream_handler handler, void *userdata)
{
	*s = (struct stream){.fd = fd, .handler = handler, .userdata = userdata};
	return sd_event_add_io(event, &s->source, fd, EPOLLIN, on_readable, s);
}

void stream_stop(struct stream *s)
{
	s->source = sd_event_source_unref(s->source);
	if (s->fd >= 0)
		(void)close(s->fd); /* nothing to save */
	s->fd = -1;
}

const char *stream_end_reason(const struct record *r, uint8_t *ret_hci)
{
	static char reason[256];
	size_t n = r->len ? MIN(r->len - 1, sizeof(reason) - 1) : 0;

	*ret_hci = r->len ? r->payload[0] : 0;
	if (n)
		memcpy(reason, r->payload + 1, n);
	reason[n] = 0;
	return *reason ? reason : "ended";
}
