/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Characteristic1.OpenWrite: a descriptor whose datagrams become Write Commands. */
#pragma once

#include "conn_bus.h"

struct write_stream;

/** write_stream_open() - Characteristic1.OpenWrite */
int write_stream_open(sd_bus_message *m, void *attr, sd_bus_error *error);

/** write_stream_end() - tell the writer why, and close */
void write_stream_end(struct write_stream *w, uint8_t hci, const char *reason);

/** write_stream_free() - silently */
void write_stream_free(struct write_stream *w);

/** write_stream_first() - of a connection, or NULL */
struct write_stream *write_stream_first(struct conn_bus *c);
