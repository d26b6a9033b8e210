/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Establishing links, and a live link: who it is, how it is, why it ended, and its GATT client.
 *
 * Three sources tell of one link in any order (the socket, mgmt, the controller); a struct conn exists from the moment the
 * ATT channel is usable and the peer was heard on the link, until conn_observer.disconnected() has told everybody. A link
 * that breaks before (0x3e) was never told of, and is tried again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"
#include "aiobled/list.h"
#include "aiobled/op.h"

struct adapter;
struct attempt;
struct conn;
struct att;
struct gatt_client;
struct gatt_link;

struct connect_params {
	uint16_t interval_min, interval_max; /* units of 1.25 ms, 6 to 3200 */
	uint16_t latency;                    /* events, 0 to 499 */
	uint16_t supervision_timeout;        /* units of 10 ms, 10 to 3200; over (1 + latency) * interval_max * 2 */
};

#define CONNECT_PARAMS_DEFAULT \
	((struct connect_params){ .interval_min = 24, .interval_max = 40, .latency = 0, .supervision_timeout = 256 })

#define CONNECTS_MAX 64 /* attempts of an adapter */

/* One caller's wait for a link; several may share one attempt. Owner: op_init(&c->op, ...). */
struct connect_op {
	struct op op;
	struct conn *conn;       /* in done() with result 0 */
	uint32_t retries;        /* how often 0x3e was tried again so far */
	struct addr peer;        /* private */
	struct attempt *attempt; /* private; NULL: waits for none */
};

/**
 * connect_start() - make a link to @peer, or wait for the attempt that is under way, or take the link that is up
 * @timeout_ms: 0 waits for ever
 *
 * Attempts for different peers are pending side by side in the kernel. The last caller that leaves cancels the attempt, and a
 * link that comes up nevertheless is closed. The parameters of the first caller count. While an earlier link to the peer is going
 * down, and while the adapter is starting, the attempt waits. What may pass is tried again until the deadline: 0x3e, and the
 * kernel's own giving up.
 *
 * Return: 0; -EINVAL (parameters), -ENETDOWN (adapter_reason()), -ENOBUFS (CONNECTS_MAX attempts), -ENOMEM.
 * done(): 0; -ETIMEDOUT; -ENETDOWN; -ENODEV; -ECANCELED (the daemon stops); -EBUSY (another program has the ATT channel to the
 *         peer); RES_HCI(status): what the controller said, 0x09 also when the configured number of links is up, 0x3e only when
 *         the deadline left no time for another try; -errno of the socket.
 */
int connect_start(struct adapter *adapter, const struct addr *peer, const struct connect_params *params,
		  struct connect_op *op, uint32_t timeout_ms);

/* --- a live link --- */

struct conn_observer {
	struct list link;
	/* mtu, parameters, security, identity or bond changed */
	void (*changed)(struct conn *conn, struct conn_observer *observer);
	/*
	 * The link is down: conn_disconnect_reason(). Every GATT operation has been failed with -ENOTCONN before. Observers are
	 * told in the order they came and are off the list already; the conn is freed after the last.
	 */
	void (*disconnected)(struct conn *conn, struct conn_observer *observer);
};

/** conn_observe() - add at the end; while conn_is_up() only. Both callbacks may be NULL. */
void conn_observe(struct conn *conn, struct conn_observer *observer);

/** conn_unobserve() - safe inside any callback, and for one that is off already (list_init() it once) */
void conn_unobserve(struct conn_observer *observer);

struct adapter *conn_adapter(const struct conn *conn);
const struct addr *conn_addr(const struct conn *conn); /* as the kernel knew it when the link came up */

/** conn_identity() - who the peer is: behind a private address when it has told that; NULL: not known */
const struct addr *conn_identity(const struct conn *conn);

/** conn_bonded() - encrypted, and the key was meant to be kept by both sides */
bool conn_bonded(const struct conn *conn);
bool conn_is_central(const struct conn *conn); /* our role */
bool conn_is_up(const struct conn *conn);
uint16_t conn_handle(const struct conn *conn);
uint16_t conn_interval(const struct conn *conn);            /* units of 1.25 ms; 0: not known */
uint16_t conn_latency(const struct conn *conn);
uint16_t conn_supervision_timeout(const struct conn *conn); /* units of 10 ms */
uint8_t conn_security_level(const struct conn *conn);       /* 1 to 4, see kernel.att_security() */
uint8_t conn_key_size(const struct conn *conn);

/**
 * conn_disconnect_reason() - HCI code; 0 while up
 *
 * What the controller said; else what mgmt or the socket let conclude (0x08, 0x13, 0x05), 0x16 when we or the end of the adapter
 * ended it, 0x1f when nobody knows.
 */
uint8_t conn_disconnect_reason(const struct conn *conn);
struct att *conn_att(const struct conn *conn);
struct gatt_client *conn_gatt(const struct conn *conn);

/** conn_gatt_link() - what the server knows of the link; its gatt_link_data() is @conn. NULL when it is down. */
struct gatt_link *conn_gatt_link(const struct conn *conn);

/**
 * conn_disconnect() - end the link (HCI reason 0x13) and wait until it is down
 * @op: may be NULL: nobody waits
 *
 * mgmt Disconnect, helped by HCI Disconnect when that is refused or slow.
 *
 * Return: 0.
 * done(): 0 (also when it was going down already), -ETIMEDOUT. Told before conn_observer.disconnected().
 */
int conn_disconnect(struct conn *conn, struct op *op, uint32_t timeout_ms);

/** conn_links() - the links of an adapter, for conn_from_link() */
struct list *conn_links(struct adapter *adapter);
struct conn *conn_from_link(struct list *link);
