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

#include "aiobled/att_pdu.h"
#include "aiobled/cleanup.h"
#include "aiobled/loop.h"
#include "aiobled/op.h"

#define ATT_REQUESTS_MAX 256 /* queued requests of a bearer; beyond it: -ENOBUFS */
#define ATT_COMMANDS_MAX 512 /* queued commands of a bearer; beyond it: -ENOBUFS */
#define ATT_READ_BUDGET  64  /* PDUs taken from the socket in one go */

struct att;

/* What waits for the kernel, or for the slot on the wire; the bytes are a copy. Private to the bearer. */
struct att_out {
	struct att *att;
	uint8_t *pdu; /* NULL once it was sent */
	size_t len;
	uint64_t seq; /* order of the starting calls */
};

/* A request. Owner: op_init(). In done() with result 0, rsp is the whole response PDU, valid during the call. */
struct att_req {
	struct op op;
	const uint8_t *rsp;
	size_t rsp_len;
	uint16_t err_handle; /* with RES_ATT(code): the handle the peer named */
	uint16_t mtu;        /* the smallest ATT_MTU while it was on the wire: what a full answer is measured by */
	struct att_out out;
};

/* A command or other PDU that has no answer; done() when the kernel took it. */
struct att_cmd {
	struct op op;
	struct att_out out;
};

/*
 * requests, commands: sent. errors: Error Responses to requests of ours. timeouts: requests on the wire whose waiter left
 * before the answer (deadline or cancel), and transactions that reached 30 s. protocol_errors: PDUs that were malformed, belonged to
 * nothing, or broke the order of the protocol; each was ignored or answered as the specification says.
 */
struct att_stats {
	uint64_t requests, errors, timeouts, notifications, indications, commands, protocol_errors;
};

struct att_events {
	/*
	 * A notification (@indication false), or an indication, which is confirmed when the call returns. @value is valid
	 * during the call. Multiple Handle Value Notifications arrive as several calls.
	 */
	void (*value)(uint16_t handle, const uint8_t *value, size_t len, bool indication, void *data);
	void (*mtu)(uint16_t mtu, void *data);
	/*
	 * Once, after everything that was still queued in the kernel has been delivered: -ECONNRESET and the like, 0 for an
	 * orderly end, -ETIMEDOUT for the 30 s rule. Nothing is sent from here on and new calls return -ENOTCONN; ops that
	 * wait stay until att_fail_all(), so that the owner can learn the reason of the end first.
	 */
	void (*closed)(int err, void *data);
};

/*
 * The other half of the bearer: who answers the peer's requests. The bearer itself does Exchange MTU, refuses what is no
 * request at all (Request Not Supported) and ignores unknown commands. Every hook may be called while a request of ours
 * is on the wire.
 */
struct att_server {
	/* append one response or Error Response to @rsp, which ends at ATT_MTU; the opcode of @pdu is that of a known request */
	void (*request)(const uint8_t *pdu, size_t len, struct wr *rsp, void *data);
	/* Write Command or Signed Write Command; may be NULL */
	void (*command)(const uint8_t *pdu, size_t len, void *data);
	/* the peer confirmed an indication; NULL: a confirmation is a protocol error */
	void (*confirmed)(void *data);
};

/** att_server_empty - the server of a bearer until att_set_server(): a database without any attribute */
extern const struct att_server att_server_empty;

/**
 * att_new() - a bearer over @fd, which is taken also on failure; it must be connected, non-blocking and keep PDU boundaries
 */
int att_new(struct loop *loop, int fd, const struct att_events *events, void *data, struct att **ret);

/**
 * att_free() - silently: live ops must have been dropped or failed (att_fail_all()) before
 *
 * Allowed in every callback of the bearer and in every done().
 */
struct att *att_free(struct att *att);
DEFINE_CLEANUP(struct att *, att_free)

/** att_fail_all() - fail every waiting op with @err; later calls return -ENOTCONN */
void att_fail_all(struct att *att, int err);

/** att_set_server() - @server (borrowed) answers the peer from now on */
void att_set_server(struct att *att, const struct att_server *server, void *data);

uint16_t att_mtu(const struct att *att);
bool att_mtu_exchanged(const struct att *att); /* by us; att_mtu() also follows an exchange of the peer's */
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

/** att_req_sent() - was the PDU of the live @req handed to the kernel? */
bool att_req_sent(const struct att_req *req);

/**
 * att_command() - send a command PDU now, or in its turn when the kernel takes more
 *
 * Requests and commands leave in the order of their calls (a request that waits for the slot lets commands pass);
 * answers to the peer go before both.
 *
 * Return: 0; -EMSGSIZE, -EINVAL (no command opcode), -ENOTCONN, -ENOBUFS, -ENOMEM.
 * done(): 0 (the kernel took it), -ETIMEDOUT, -ENOTCONN.
 */
int att_command(struct att *att, struct att_cmd *cmd, const void *pdu, size_t len, uint32_t timeout_ms);

/**
 * att_exchange_mtu() - offer @mtu (23 to 517) unless an exchange of ours is done already, then 0 comes at once
 *
 * The ATT_MTU is the smaller of both numbers, and when both sides made an exchange the smaller of both results. It counts
 * from the response on (3.4.2.2), also when the waiter is gone by then. A number below 23 counts as 23.
 *
 * Return: 0; -EINVAL, -ENOTCONN, -ENOBUFS, -ENOMEM.
 * done(): 0 (att_mtu()), RES_ATT(code), -ETIMEDOUT, -ENOTCONN, -EBADMSG.
 */
int att_exchange_mtu(struct att *att, struct att_req *req, uint16_t mtu, uint32_t timeout_ms);
