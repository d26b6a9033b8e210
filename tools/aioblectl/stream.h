/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records of the descriptors that the daemon hands out (aiobled/stream.h), read in the event loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct record {
	uint8_t type;
	uint16_t handle;
	uint32_t dropped;
	uint64_t seq, time_us;
	const uint8_t *payload;
	size_t len;
};

struct stream;

/* Told of every record, the end record included; @r NULL: the daemon went without one */
typedef void (*stream_handler)(struct stream *s, const struct record *r, void *userdata);

struct stream {
	int fd;
	sd_event_source *source;
	stream_handler handler;
	void *userdata;
	bool ended;
};

/** record_parse() - Return: 0, or -EBADMSG for what is shorter than a header */
int record_parse(const void *data, size_t len, struct record *ret);

/** stream_start() - read @fd (taken over) in the loop. Return: 0 or -errno; stream_stop() either
 * way. */
int stream_start(struct stream *s, sd_event *event, int fd, stream_handler handler, void *userdata);
void stream_stop(struct stream *s);

/** stream_end_reason() - the reason in an end record as a string (static buffer), and its HCI code
 */
const char *stream_end_reason(const struct record *r, uint8_t *ret_hci);
