/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LocalCharacteristic1.OpenNotify: a descriptor whose datagrams become notifications. */
#pragma once

#include "app_bus.h"

struct notify_stream;

/** notify_stream_open() - LocalCharacteristic1.OpenNotify */
int notify_stream_open(sd_bus_message *m, void *local, sd_bus_error *error);

/** notify_stream_end() - tell the writer why, and close */
void notify_stream_end(struct notify_stream *n, uint8_t hci, const char *reason);

/** notify_stream_free() - silently */
void notify_stream_free(struct notify_stream *n);

/** notify_stream_first() - of an application, or NULL */
struct notify_stream *notify_stream_first(struct app_bus *app);

/** notify_streams_link_down() - before Disconnected of @c: those that send to it alone end with @why */
void notify_streams_link_down(struct conn_bus *c, const struct bus_error *why);
