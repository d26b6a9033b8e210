/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two files of the bearer share: att.c has the socket and the queues, att_input.c what to
 * make of a PDU.
 */
#pragma once

#include "aiobled/att.h"

/*
 * The transaction of ours that is on the wire. It ends with its answer or with the bearer, not with
 * the waiter.
 */
struct transaction {
	bool busy;
	uint8_t opcode;
	uint16_t offer;      /* Exchange MTU: our number */
	uint16_t mtu;        /* smallest ATT_MTU since it was sent */
	struct att_req *req; /* NULL: the waiter has left */
};

struct att {
	struct loop *loop;
	struct loop_io io;
	int fd;
	const struct att_events *events;
	void *data;
	const struct att_server *server;
	void *server_data;

	struct list requests,
		commands; /* not sent yet; struct att_req and struct att_cmd by op.link */
	size_t n_requests, n_commands;
	uint64_t seq;
	struct transaction wire;
	struct timer patience;
	/* opcode of the transaction before; 0: none, or a second answer to it was seen */
	uint8_t last_request;

	uint16_t mtu, mtu_ours,
		mtu_theirs; /* in force; result of our exchange and of the peer's, 0: none */
	uint16_t rx_mtu;    /* what we tell the peer */

	uint8_t answer[ATT_MTU_MAX]; /* to the peer's request, until the kernel takes it */
	size_t answer_len;
	unsigned int confirms; /* indications to be confirmed */
	bool blocked;          /* the kernel took no more: wait until it does */

	bool ended; /* the socket reported its end; data may be queued behind */
	int end_err;
	bool closed; /* nothing is read or sent any more */
	unsigned int holds;
	bool freed;
	struct att_stats stats;
};

/* Whoever calls out holds the bearer, and looks at att->freed before touching anything else. */
void att_hold(struct att *att);
void att_release(struct att *att);

/** att_pump() - send what can be sent, and wait for the kernel if something is left */
void att_pump(struct att *att);

/** att_input() - one PDU of the peer; the bearer is held */
void att_input(struct att *att, const uint8_t *pdu, size_t len);

/** att_input_truncated() - one that was longer than any PDU can be */
void att_input_truncated(struct att *att, const uint8_t *pdu);
