/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ATT bearer over an open SEQPACKET socket: one request and one indication of ours outstanding, requests of the peer
 * answered at once or later, values delivered both ways, commands and notifications with honest flow control (Core 5.4,
 * Vol 3, Part F, 3).
 *
 * A request that was sent keeps its slot on the wire until its answer or until ATT_TRANSACTION_TIMEOUT_MS, whatever happens
 * to the op that waits for it; an indication likewise until it is confirmed. After that timeout the bearer is dead: nothing
 * more is sent, closed() is told.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/att_pdu.h"
#include "aiobled/cleanup.h"
#include "aiobled/loop.h"
#include "aiobled/op.h"

#define ATT_REQUESTS_MAX      256 /* queued requests of a bearer; beyond it: -ENOBUFS */
#define ATT_COMMANDS_MAX      512 /* queued commands of a bearer; beyond it: -ENOBUFS */
#define ATT_NOTIFICATIONS_MAX 512 /* queued notifications of a bearer; beyond it: -ENOBUFS */
#define ATT_READ_BUDGET       64  /* PDUs taken from the socket in one go */
#define ATT_PRECEDENCE_MAX    8 /* answers and confirmations that go in a row before what waits longer */

struct att;

/* What waits for the kernel, or for the slot on the wire; the bytes are a copy. Private to the bearer. */
struct att_out {
	struct att *att;
	uint8_t *pdu; /* NULL once it was sent */
	size_t len;
	uint64_t seq;  /* order of the starting calls */
	size_t *count; /* how many of its kind are queued */
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

/* What is no request: a command or a notification, done() when the kernel took it, or an indication. Owner: op_init(). */
struct att_cmd {
	struct op op;
	struct att_out out;
};

/*
 * requests, commands: sent. notifications, indications: received. notified, indicated: sent. confirmed: indications of ours
 * the peer confirmed. errors: Error Responses to requests of ours. timeouts: requests and indications on the wire whose
 * waiter left before the answer (deadline or cancel), and transactions that reached 30 s. protocol_errors: PDUs that were
 * malformed, belonged to nothing, or broke the order of the protocol; each was ignored or answered as the specification says.
 */
struct att_stats {
	uint64_t requests, errors, timeouts, notifications, indications, commands, protocol_errors;
	uint64_t notified, indicated, confirmed;
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
 * is on the wire, and each may free the bearer.
 */
struct att_server {
	/*
	 * The opcode of @pdu is that of a known request, and no other request is being answered. Return: true: one response
	 * or Error Response was appended to @rsp, which ends at ATT_MTU; false: att_answer() follows (or was called just
	 * now), and @rsp does not count. @pdu and @rsp are valid during the call.
	 */
	bool (*request)(const uint8_t *pdu, size_t len, struct wr *rsp, void *data);
	/* Write Command or Signed Write Command; may be NULL */
	void (*command)(const uint8_t *pdu, size_t len, void *data);
	/*
	 * The slot for indications is free again: the peer's confirmation came (after done() of the op that waited for it, if
	 * one still did). May be NULL.
	 */
	void (*confirmed)(void *data);
	/*
	 * The kernel takes PDUs again after it had not, and nothing is left in the bearer's own queues: att_writable() is
	 * true. The place to send what was held back. May be NULL.
	 */
	void (*writable)(void *data);
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

/** att_set_server() - @server (borrowed) answers the peer from now on, what is owed included */
void att_set_server(struct att *att, const struct att_server *server, void *data);

/**
 * att_answer() - answer the request for which att_server.request returned false
 * @pdu: copied; the response or an Error Response, at most the ATT_MTU of now. Anything else: the peer gets Unlikely Error.
 *
 * Until then a further request of the peer breaks the order of the protocol (3.3.2) and is only counted; everything else
 * goes on. There is no deadline here: the peer's own is 30 s.
 *
 * Return: 0; -EINVAL, -EMSGSIZE (the Unlikely Error went), -ENOENT (nothing is owed), -ENOTCONN.
 */
int att_answer(struct att *att, const void *pdu, size_t len);

uint16_t att_mtu(const struct att *att);
bool att_mtu_exchanged(const struct att *att); /* by us; att_mtu() also follows an exchange of the peer's */
int att_fd(const struct att *att);
size_t att_queued(const struct att *att); /* requests waiting, the one on the wire included */
bool att_writable(const struct att *att); /* a notification would be handed to the kernel at once, as far as is known */
bool att_indicating(const struct att *att); /* the slot for indications is taken: att_indicate() returns -EBUSY */
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
 * All that is ours leaves in the order of the calls (a request that waits for the slot lets the others pass). Answers to
 * the peer go first, then confirmations, though no more than ATT_PRECEDENCE_MAX of them while something waits.
 *
 * Return: 0; -EMSGSIZE, -EINVAL (no command opcode), -ENOTCONN, -ENOBUFS, -ENOMEM.
 * done(): 0 (the kernel took it), -ETIMEDOUT, -ENOTCONN, -EMSGSIZE (ATT_MTU became smaller meanwhile).
 */
int att_command(struct att *att, struct att_cmd *cmd, const void *pdu, size_t len, uint32_t timeout_ms);

/** att_cmd_sent() - was the PDU of the live @cmd handed to the kernel? */
bool att_cmd_sent(const struct att_cmd *cmd);

/** att_notify() - the same for a Handle Value Notification or a Multiple Handle Value Notification */
int att_notify(struct att *att, struct att_cmd *cmd, const void *pdu, size_t len, uint32_t timeout_ms);

/**
 * att_indicate() - send a Handle Value Indication, now or when the kernel takes more
 *
 * There is one at a time (3.3.2) and no queue: -EBUSY until the one before is confirmed, even when nobody waits for it any
 * more (deadline, op_drop()); att_server.confirmed is told of that. An op that leaves before the kernel took the PDU frees
 * the slot at once. 30 s without confirmation end the bearer (3.3.3).
 *
 * Return: 0; -EBUSY, -EMSGSIZE, -EINVAL (another opcode), -ENOTCONN, -ENOMEM.
 * done(): 0 (confirmed; the slot is free), -ETIMEDOUT, -ENOTCONN, -EMSGSIZE, -EBADMSG (the peer answered, but not with a
 * confirmation; the slot is free).
 */
int att_indicate(struct att *att, struct att_cmd *cmd, const void *pdu, size_t len, uint32_t timeout_ms);

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
