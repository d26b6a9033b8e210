/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A descriptor in a client's hands: SOCK_SEQPACKET, one record of include/aiobled/stream.h a datagram. Sending never
 * waits: what the kernel does not take stays with the sink that owns the stream, which is told when there is room again.
 * A stream outlives its source for a while, so that a slow reader still learns how it ended.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/list.h"
#include "aiobled/loop.h"

struct bus;
struct bus_error;
struct client;
struct stream;

#define STREAM_SNDBUF_BYTES (512 * 1024) /* kernel memory a reader may leave unread */
#define STREAM_END_KEEP_MS  30000 /* how long the end waits for a reader that does not read */

struct stream_record {
	struct list link;
	uint64_t seq, time_us;
	uint32_t
		skipped; /* numbers just before this one that nobody is to be told of, but not lost */
	uint16_t handle;
	uint8_t type;
	bool exempt; /* the sink's: does not count against its limit */
	size_t len;
	uint8_t data[];
};

struct stream_events {
	void (*writable)(struct stream *stream, void *data); /* after -EAGAIN */
	void (*closed)(
		struct stream *stream,
		void *data); /* the reader closed it; stream_free() follows, or has happened */
	void (*readable)(struct stream *stream,
	                 void *data); /* NULL: what the reader sends is thrown away */
};

/**
 * stream_new() - a pair of sockets
 * @client: whose quota it counts against
 * @ret_fd: the client's end, blocking; the caller sends and closes it
 *
 * Return: 0; -ENOBUFS with @ret_error; -errno with @ret_error.
 */
int stream_new(struct bus *bus, struct client *client, const struct stream_events *events,
               void *data, struct stream **ret, int *ret_fd, struct bus_error *ret_error);

/** stream_set_sent() - records up to @seq went elsewhere: what is missing after them is lost */
void stream_set_sent(struct stream *stream, uint64_t seq);

/** stream_free() - close it at once; the reader keeps what the kernel holds */
struct stream *stream_free(struct stream *stream);

/**
 * stream_send() - one record; lost ones before it are counted into its header
 *
 * Return: 0; -EAGAIN: later, writable() will be called; another -errno: the reader is gone, closed() will be called.
 */
int stream_send(struct stream *stream, const struct stream_record *record);

/** stream_fd() - our end, for one that is read too; stream_read() sets whether readable() is wanted */
int stream_fd(const struct stream *stream);
void stream_read(struct stream *stream, bool on);

/**
 * stream_end() - the source is over: send what is in @backlog, then the end, and close
 * @backlog: list of struct stream_record; taken, as is the stream
 * @seq:     number of the last record of the source
 * @skipped: numbers at the end that are not lost
 */
void stream_end(struct stream *stream, struct list *backlog, uint64_t seq, uint32_t skipped,
                uint8_t hci, const char *reason);

/** streams_orphan() - @client has left: its streams stay while somebody has their other end */
void streams_orphan(struct client *client);

/** streams_free() - those whose end is still on its way */
void streams_free(struct bus *bus);
