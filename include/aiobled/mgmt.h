/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's mgmt control channel: commands as awaited operations, events to one handler.
 *
 * One command per (opcode, index) is with the kernel at a time, equal ones queue. An answer that comes after the deadline
 * is swallowed. A command the kernel never answers frees its place after MGMT_ABANDON_MS.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "aiobled/cleanup.h"
#include "aiobled/loop.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/op.h"

#define MGMT_TIMEOUT_MS 5000
#define MGMT_ABANDON_MS 20000
#define MGMT_PARAM_MAX  4096
#define MGMT_QUEUE_MAX  256 /* commands queued and under way, all adapters together; beyond it: -ENOBUFS */

struct mgmt;

/* A command. The caller sets nothing but op (op_init) and may read rsp, rsp_len inside done(). */
struct mgmt_cmd {
	struct op op;
	const uint8_t *rsp; /* return parameters; valid in done() only */
	size_t rsp_len;
	struct cmdq_slot *slot; /* private */
};

struct mgmt_events {
	/* an event that is no answer; @msg is valid during the call, inside which the mgmt must not be freed */
	void (*event)(const struct mgmt_msg *msg, void *data);
	/* the socket is broken; every command has been failed with -EIO before; the mgmt may be freed inside */
	void (*closed)(int err, void *data);
};

/** mgmt_new() - over an open control channel; @fd is taken also on failure */
int mgmt_new(struct loop *loop, int fd, const struct mgmt_events *events, void *data, struct mgmt **ret);
struct mgmt *mgmt_free(struct mgmt *mgmt);
DEFINE_CLEANUP(struct mgmt *, mgmt_free)

/**
 * mgmt_send_msg() - send a whole command as the mgmt_put_*() functions write it
 * @cmd: caller-owned until its done() or op_drop()
 * @msg: copied
 *
 * Return: 0; -EMSGSIZE (the cursor is bad, or it is no command), -ENOBUFS, -ENOMEM, -EIO.
 * done(): 0, RES_MGMT(status), -ETIMEDOUT, -EBADMSG (an answer too short to be one), -EIO.
 */
int mgmt_send_msg(struct mgmt *mgmt, struct mgmt_cmd *cmd, const struct wr *msg, uint32_t timeout_ms);

/**
 * mgmt_send() - the same from its parts
 * @index: adapter, or MGMT_INDEX_NONE
 * @param: copied; at most MGMT_PARAM_MAX bytes
 */
int mgmt_send(struct mgmt *mgmt, struct mgmt_cmd *cmd, uint16_t opcode, uint16_t index, const void *param, size_t len,
	      uint32_t timeout_ms);

/** mgmt_stats: what went wrong on the channel since mgmt_new() */
struct mgmt_stats {
	uint64_t sent, timeouts, late, abandoned, malformed;
};

void mgmt_get_stats(const struct mgmt *mgmt, struct mgmt_stats *ret);
