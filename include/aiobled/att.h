/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ATT bearer over an open SEQPACKET socket: one request of ours outstanding, requests of the peer answered, notifications
 * delivered, commands with honest flow control (Core 5.4, Vol 3, Part F, 3).
 *
 * A request that was sent keeps its slot on the wire until its answer or until ATT_TRANSACTION_TIMEOUT_MS, whatever happens
 * to the op that waits for it. After that timeout the bearer is dead: nothing more is sent, closed() is told.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/cleanup.h"
#include "aiobled/loop.h"
#include "aiobled/op.h"

#define ATT_MTU_DEFAULT            23
#define ATT_MTU_MAX                517
#define ATT_TRANSACTION_TIMEOUT_MS 30000 /* Core 5.4, Vol 3, Part F, 3.3.3 */
#define ATT_REQUESTS_MAX           256   /* queued requests of a bearer; beyond it: -ENOBUFS */
#define ATT_COMMANDS_MAX           64    /* queued commands of a bearer; beyond it: -ENOBUFS */
#define ATT_READ_BUDGET            64    /* PDUs taken from the socket in one go */

struct att;

/* A request. Owner: op_init(). In done() with result 0, rsp is the whole response PDU, valid during the call. */
struct att_req {
	struct op op;
	const uint8_t *rsp;
	size_t rsp_len;
	uint16_t err_handle; /* with RES_ATT(code): the handle the peer named */
	struct att *att;     /* private */
	void *slot;          /* private */
};

/* A command or other PDU that has no answer; done() when the kernel took it. */
struct att_cmd {
	struct op op;
	struct att *att; /* private */
	uint8_t *pdu;    /* private */
	size_t len;
};

struct att_stats {
	uint64_t requests, errors, timeouts, notifications, indications, commands, protocol_errors;
};

struct att_events {
	/*
	 * A notification (@indication false), or an indication, which has been confirmed when this returns. @value is valid
	 * during the call. Multiple Handle Value Notifications arrive as several calls.
	 */
	void (*value)(uint16_t handle, const uint8_t *value, size_t len, bool indication, void *data);
	void (*mtu)(uint16_t mtu, void *data);
	/* once: -ECONNRESET and the like, 0 for an orderly end, -ETIMEDOUT for the 30 s rule, -EBADMSG never (peers err) */
	void (*closed)(int err, void *data);
};

/**
 * att_new() - a bearer over @fd, which is taken also on failure; it must be connected, non-blocking and keep PDU boundaries
 */
int att_new(struct loop *loop, int fd, const struct att_events *events, void *data, struct att **ret);

/** att_free() - silently: live ops must have been dropped or failed (att_fail_all()) before */
struct att *att_free(struct att *att);
DEFINE_CLEANUP(struct att *, att_free)

/** att_fail_all() - fail every waiting op with @err; later calls return -ENOTCONN */
void att_fail_all(struct att *att, int err);

uint16_t att_mtu(const struct att *att);
bool att_mtu_exchanged(const struct att *att);
int att_fd(const struct att *att);
size_t att_queued(const struct att *att); /* requests waiting, the one on the wire included */
const struct att_stats *att_stats(const struct att *att);

/**
 * att_request() - queue a request PDU
 * @pdu: copied; at most the ATT_MTU of the moment it is sent, checked now
 *
 * Return: 0; -EMSGSIZE, -EINVAL (no request opcode), -ENOTCONN, -ENOBUFS, -ENOMEM.
 * done(): 0 (the matching response), RES_ATT(code), -ETIMEDOUT, -ENOTCONN, -EBADMSG (an answer of another kind).
 */
int att_request(struct att *att, struct att_req *req, const void *pdu, size_t len, uint32_t timeout_ms);

/**
 * att_command() - send a command PDU; at most one waits in user space for the kernel, the rest queue as ops
 *
 * done(): 0 (the kernel took it), -ETIMEDOUT, -ENOTCONN.
 */
int att_command(struct att *att, struct att_cmd *cmd, const void *pdu, size_t len, uint32_t timeout_ms);

/**
 * att_exchange_mtu() - offer @mtu (23 to 517) unless an exchange of ours is done already, then 0 comes at once
 *
 * done(): 0 (att_mtu()), RES_ATT(code), -ETIMEDOUT, -ENOTCONN. A peer that answers below 23 counts as 23.
 */
int att_exchange_mtu(struct att *att, struct att_req *req, uint16_t mtu, uint32_t timeout_ms);
