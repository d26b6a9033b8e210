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
#include "aiobled/op.h"

#define MGMT_TIMEOUT_MS 5000
#define MGMT_ABANDON_MS 20000
#define MGMT_QUEUE_MAX  256 /* commands queued and under way, all adapters together; beyond it: -ENOBUFS */

struct mgmt;

/* A command. The caller sets nothing but op (op_init) and may read rsp, rsp_len inside done(). */
struct mgmt_cmd {
	struct op op;
	const uint8_t *rsp; /* return parameters; valid in done() only */
	size_t rsp_len;
	void *slot; /* private */
};

struct mgmt_events {
	/* an event that is no answer; @param is valid during the call */
	void (*event)(uint16_t code, uint16_t index, const uint8_t *param, size_t len, void *data);
	/* the socket is broken; every command has been failed with -EIO before */
	void (*closed)(int err, void *data);
};

/** mgmt_new() - over an open control channel; @fd is taken also on failure */
int mgmt_new(struct loop *loop, int fd, const struct mgmt_events *events, void *data, struct mgmt **ret);
struct mgmt *mgmt_free(struct mgmt *mgmt);
DEFINE_CLEANUP(struct mgmt *, mgmt_free)

/**
 * mgmt_send() - send a command
 * @cmd:   caller-owned until its done() or op_drop()
 * @index: adapter, or MGMT_INDEX_NONE (0xffff)
 * @param: copied
 *
 * Return: 0; -EMSGSIZE, -ENOBUFS, -ENOMEM, -EIO.
 * done(): 0, RES_MGMT(status), -ETIMEDOUT, -EIO.
 */
int mgmt_send(struct mgmt *mgmt, struct mgmt_cmd *cmd, uint16_t opcode, uint16_t index, const void *param, size_t len,
	      uint32_t timeout_ms);
