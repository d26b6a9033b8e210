/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.aioble.Connection1: one live link on the bus. */
#pragma once

#include "aiobled/conn.h"
#include "aiobled/gatt_client.h"

#include "adapter_bus.h"
#include "bus_call.h"
#include "holder.h"

struct conn_bus {
	struct list link; /* in adapter->conns */
	struct adapter_bus *adapter;
	struct bus *bus;
	struct conn *conn;
	struct conn_observer observer;
	uint64_t id;
	char path[BUS_PATH_MAX];
	char name[48]; /* for the log */
	struct props props;
	struct holder holder;
	struct list calls; /* struct bus_call on this link and everything below it */
	struct list subs;  /* struct sub_bus, n_subs of them */
	unsigned int n_subs;
	struct list write_streams; /* struct write_stream */
};

/** conn_bus_added() - a link is up: make its object and announce it */
void conn_bus_added(struct adapter_bus *a, struct conn *conn);

/** conn_bus_of() - the object of a link, or NULL */
struct conn_bus *conn_bus_of(struct adapter_bus *a, const struct conn *conn);

/**
 * conn_bus_inherit() - the link was made by what @from holds: its holders and lifetime are the link's, too
 *
 * For a link that a peer made, which stays as long as the peer wants when nobody calls this.
 */
void conn_bus_inherit(struct conn_bus *c, const struct holder *from);

/** conn_bus_free() - silently; pending calls are answered */
void conn_bus_free(struct conn_bus *c);

/** conn_bus_let_go() - @client lets go, and the link ends now when nobody else holds it */
void conn_bus_let_go(struct conn_bus *c, struct client *client);

/** conn_bus_error() - the details of a result on this link */
struct bus_error conn_bus_error(const struct conn_bus *c, int res, uint16_t err_handle);

/*
 * A call that stands on one GATT procedure or on several, one after the other. The typed calls of gatt_bus.c and
 * sub_bus.c start with it.
 */
struct gatt_call {
	struct bus_call call;
	struct gatt_op g;
	struct conn_bus *conn;
};

/**
 * gatt_call_new() - bus_call_new() for a call on a link; touches it, and fails with NotConnected when it is going down
 * @done: of the first procedure
 */
int gatt_call_new(struct conn_bus *c, sd_bus_message *m, size_t size, uint32_t timeout_ms,
                  void (*done)(struct op *op, int res), void *ret);

/** gatt_call_of() - in done() */
static inline struct gatt_call *gatt_call_of(struct op *op)
{
	return container_of(container_of(op, struct gatt_op, op), struct gatt_call, g);
}

/** gatt_call_fail() - answer with what the procedure ended with */
void gatt_call_fail(struct gatt_call *gc, int res);

/** gatt_call_next() - the next procedure of the call: its op is ready to be started again with @done */
void gatt_call_next(struct gatt_call *gc, void (*done)(struct op *op, int res));
