/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the bearer share: att.c has the socket, the requests and the end, att_out.c all
 * else that is sent, att_input.c what to make of a PDU.
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

/* Our indication on the wire; it ends with its confirmation or with the bearer. */
struct indicated {
	bool busy;
	struct att_cmd *cmd; /* NULL: the waiter has left */
	struct timer patience;
};

/* To the peer's request. First it is owed, then it waits for the kernel. */
struct answer {
	bool owed;
	uint8_t request; /* opcode */
	size_t len;      /* 0: it is not there yet, or was sent */
	uint8_t pdu[ATT_MTU_MAX];
};

struct att {
	struct loop *loop;
	struct loop_io io;
	int fd;
	const struct att_events *events;
	void *data;
	const struct att_server *server;
	void *server_data;

	struct list requests, others; /* not sent yet; struct att_req, struct att_cmd by op.link */
	size_t n_requests, n_commands, n_notifications, n_indications;
	uint64_t seq;
	struct transaction wire;
	struct timer patience;
	/* opcode of the transaction before; 0: none, or a second answer to it was seen */
	uint8_t last_request;

	uint16_t mtu, mtu_ours,
		mtu_theirs; /* in force; result of our exchange and of the peer's, 0: none */
	uint16_t rx_mtu;    /* what we tell the peer */

	struct indicated indicated;
	struct answer answer;
	unsigned int confirms;   /* indications to be confirmed */
	unsigned int precedence; /* answers and confirmations that went while ours waited */
	bool blocked;            /* the kernel took no more: wait until it does */
	struct timer memory;     /* armed: it had no memory, and does not tell when it has */

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

/** att_send() - one PDU to the kernel. Return: 0; -EAGAIN, also when it has no memory; -EMSGSIZE, -ENOTCONN, -ENOMEM. */
int att_send(struct att *att, const uint8_t *pdu, size_t len);

/** att_check_pdu() - may @pdu be sent, and is it of @kind? */
int att_check_pdu(const struct att *att, const uint8_t *pdu, size_t len, enum att_kind kind);

/* A copy of @pdu that waits in its turn, and its end. */
int att_out_keep(struct att *att, struct att_out *out, const void *pdu, size_t len);
void att_out_forget(struct att_out *out);

/*
 * Send what goes first of: the answer, a confirmation, what is no request. Return: 0, or -EAGAIN;
 * there must be one.
 */
int att_send_answer(struct att *att);
int att_send_confirm(struct att *att);
int att_send_other(struct att *att);

/** att_set_answer() - what the peer gets for its request; as att_answer(), but nothing is sent yet */
int att_set_answer(struct att *att, const void *pdu, size_t len);

/** att_indicated_end() - the slot is free, its waiter learns @res; may call out */
void att_indicated_end(struct att *att, int res);

/** att_out_init() - the part of att_new(). att_silence(): 30 s are over; @waiter (may be NULL) is told. */
void att_out_init(struct att *att);
void att_silence(struct att *att, struct op *waiter);

/** att_input() - one PDU of the peer; the bearer is held */
void att_input(struct att *att, const uint8_t *pdu, size_t len);

/** att_input_truncated() - one that was longer than any PDU can be */
void att_input_truncated(struct att *att, const uint8_t *pdu);
