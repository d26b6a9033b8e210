/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands and their answers over a packet socket: what mgmt.c and hci_chan.c have in common.
 *
 * A command has a key; one of a key is on the wire at a time, the others wait in order. A slot
 * outlives its op: once sent it stays until the answer, which then belongs to nobody, or until it
 * is abandoned. The rule a reader would break first: after cmdq_answer() the queue may be gone,
 * because the op's done() may free its owner.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/list.h"
#include "aiobled/loop.h"
#include "aiobled/op.h"
#include "aiobled/sock.h"

struct cmdq;
struct cmdq_slot;

struct cmdq_config {
	unsigned int max;    /* slots; beyond it: -ENOBUFS */
	uint32_t abandon_ms; /* a sent command nobody answered gives its key free */
	int lost;            /* what the ops get when the socket is broken */
	/* the op has left its slot: forget the pointer. Then @data, @len (NULL, 0 for none) are the
	 * answer. */
	void (*left)(struct op *op, const uint8_t *data, size_t len);
};

struct cmdq_stats {
	uint64_t sent, timeouts, late, abandoned;
};

struct cmdq {
	struct loop *loop;
	const struct cmdq_config *config;
	struct sock *sock;
	struct list waiting, sent;
	unsigned int count;
	bool closed;
	struct cmdq_stats stats;
};

void cmdq_init(struct cmdq *q, struct loop *loop, struct sock *sock,
               const struct cmdq_config *config);

/** cmdq_deinit() - ops that are still waiting are told config.lost, later */
void cmdq_deinit(struct cmdq *q);

/**
 * cmdq_submit() - start @op with a copy of the message
 * @ret: for cmdq_leave() from @withdraw; written before anything is sent, so that config.left() may
 * clear it
 *
 * Return: 0; -ENOBUFS, -ENOMEM, or config.lost when the socket is broken.
 */
int cmdq_submit(struct cmdq *q, uint32_t key, struct op *op, void (*withdraw)(struct op *op),
                const void *data, size_t len, uint32_t timeout_ms, struct cmdq_slot **ret);

/** cmdq_leave() - the op goes; what is on the wire stays there */
void cmdq_leave(struct cmdq_slot *slot);

/** cmdq_answer() - an answer arrived. Return: false when no command of @key is on the wire. @q may
 * be gone afterwards. */
bool cmdq_answer(struct cmdq *q, uint32_t key, int res, const uint8_t *data, size_t len);

/** cmdq_pump() - send what can be sent; on sock_ops.writable() */
void cmdq_pump(struct cmdq *q);

/** cmdq_close() - the socket is broken: every op is told config.lost, later; new ones are refused
 */
void cmdq_close(struct cmdq *q);
