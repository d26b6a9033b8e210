/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the events of one scanner, subscription or application go: kept for Next, sent as signals, or written to a
 * descriptor. One bounded queue of numbered records; when it is full the oldest is dropped, and every drop is counted.
 * Records that tell a state, of which the owner keeps only the last, are exempt from the bound.
 *
 * Nothing is sent to the bus from sink_push(), which runs while the radio is being read: sinks_flush() does it once a
 * pass, so what arrived together travels together. Records for a descriptor go at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "aiobled/list.h"

#include "bus_call.h"
#include "stream.h"

#define SINK_QUEUE_MAX     4096
#define SINK_QUEUE_DEFAULT 256
#define SINK_BYTES_MAX     (1024 * 1024) /* of one queue, whatever the number of records */
#define SINK_SIGNAL_BYTES  (64 * 1024)   /* payload of one signal */
#define SINK_SIGNALS_PASS  8             /* signals of one sink in one pass of the loop */

struct sink;

struct sink_events {
	/*
	 * Build and send one signal from the front of the queue (sink_peek(), sink_pop()), to @destination or to everybody.
	 * Return: about how many bytes went, 0 when nothing could be built (then everything queued is dropped).
	 */
	size_t (*signal)(struct sink *sink, const char *destination);
	/* what is written to the descriptor instead of a record, malloc'ed; NULL member: the record itself */
	struct stream_record *(*encode)(struct sink *sink, const struct stream_record *record);
	/* the reader closed its descriptor: end the object, or go on: what comes is kept for Next */
	void (*closed)(struct sink *sink);
	/* is there something in the queue for the waiting call of @op? NULL: whatever there is */
	bool (*wants)(const struct sink *sink, const struct op *op);
};

enum sink_mode { SINK_KEEP, SINK_SIGNALS, SINK_STREAM };

struct sink {
	struct bus *bus;
	const struct sink_events *events;
	enum sink_mode mode;
	bool broadcast;
	bool corked; /* nothing is sent yet: the reply that names the object comes first */
	bool encoded;
	uint32_t max;
	uint32_t
		burst; /* instead of max, if more, while signals flow: what one pass of the loop brings */
	struct list queue; /* struct stream_record */
	uint32_t queued;
	uint32_t exempt;  /* of them */
	uint32_t skipped; /* numbers after the last queued record that are not lost */
	size_t bytes;
	uint64_t seq;        /* of the last record */
	uint64_t taken;      /* number of the last one that was handed out, not dropped */
	uint64_t dropped;    /* in all */
	struct list waiters; /* ops of Next calls */
	struct stream *stream;
	struct client *client;    /* whom signals go to; NULL: has left */
	struct list client_link;  /* in client->sinks */
	struct list blocked_link; /* in client->blocked */
	struct list flush_link;   /* in bus->flush */
};

void sink_init(struct sink *s, struct bus *bus, const struct sink_events *events, uint32_t max);

/** sink_deinit() - silently; waiting calls must have been answered (sink_fail()), a stream is closed without an end */
void sink_deinit(struct sink *s);

/** sink_set_signals() - from now on records become signals to @client, or to everybody on its account */
void sink_set_signals(struct sink *s, struct client *client, bool broadcast);

/**
 * sink_open() - from now on records go to a descriptor; those kept go first
 * @encoded: through events->encode()
 */
int sink_open(struct sink *s, struct client *client, bool encoded, int *ret_fd,
              struct bus_error *ret_error);

/** sink_uncork() - the reply is out: send what has gathered */
void sink_uncork(struct sink *s);

/** sink_push() - a new record; numbered here */
void sink_push(struct sink *s, uint8_t type, uint16_t handle, uint64_t time_us, const void *data,
               size_t len);

/** sink_push2() - the same with a payload in two parts */
void sink_push2(struct sink *s, uint8_t type, uint16_t handle, uint64_t time_us, const void *head,
                size_t head_len, const void *data, size_t len);

/** sink_push_exempt() - one that does not count against the limit; at most SINK_QUEUE_MAX of them are kept */
void sink_push_exempt(struct sink *s, uint8_t type, uint16_t handle, uint64_t time_us,
                      const void *head, size_t head_len, const void *data, size_t len);

/** sink_take() - forget one that was handed out; sink_skip() - one that nobody is to be told of any more. Neither is lost. */
void sink_take(struct sink *s, struct stream_record *record);
void sink_skip(struct sink *s, struct stream_record *record);

/** sink_peek(), sink_pop() - the oldest record or NULL; forget it */
const struct stream_record *sink_peek(const struct sink *s);
void sink_pop(struct sink *s);

/** sink_next() - let @call wait: its op (set up, not started) is completed with 0 when there is something to take */
void sink_next(struct sink *s, struct bus_call *call, uint32_t timeout_ms);

/** sink_fail() - answer those who wait in Next */
void sink_fail(struct sink *s, int res);

/** sink_flush_now() - send what is queued as signals, as far as credit goes, before something that must come after */
void sink_flush_now(struct sink *s);

/** sink_end() - the source is over: a stream gets what is queued and the end, then closes on its own */
void sink_end(struct sink *s, uint8_t hci, const char *reason);

/** sinks_flush() - the bus phase of a pass; sinks_unblock() - @client may be sent to again; sinks_orphan() - it left */
void sinks_flush(struct bus *bus);
void sinks_unblock(struct client *client);
void sinks_orphan(struct client *client);
