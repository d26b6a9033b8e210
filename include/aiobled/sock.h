/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A non-blocking packet socket on the loop: whole messages in, whole messages out. Interest in the
 * descriptor follows from what was asked for; nobody else touches it. What does not fit into the
 * kernel's buffer stays with the caller, whose own bounded queue decides about it: sock_send()
 * never copies.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/loop.h"

#define SOCK_MSG_MAX                                                                               \
	(6 + 65535)         /* the largest message of any channel: mgmt's header and length field */
#define SOCK_READ_BUDGET 64 /* messages taken in one go, so that no socket starves the rest */

struct sock;

/* Inside each of these the socket may be deinitialised, and its owner freed. */
struct sock_ops {
	/* one message; @data is valid during the call, also when the socket goes meanwhile */
	void (*received)(struct sock *sock, const uint8_t *data, size_t len);
	/* there is room again after sock_send() gave -EAGAIN; may be NULL when nothing is ever sent
	 */
	void (*writable)(struct sock *sock);
	/* once: nothing more can be read; 0 for an orderly end, else -errno. sock_deinit() is still
	 * due. */
	void (*closed)(struct sock *sock, int err);
};

struct sock {
	struct loop_io io;
	const struct sock_ops *ops;
	int fd;
	int err; /* what the first failed read said; data may be queued behind it */
	bool ended, closed, wants_write;
	uint64_t truncated; /* messages over SOCK_MSG_MAX, dropped */
	bool *gone;         /* tells a read in progress that the sock went */
};

/** sock_init() - start reading @fd, which is owned from here (closed also on failure) */
int sock_init(struct sock *sock, struct loop *loop, int fd, const struct sock_ops *ops);

/** sock_deinit() - close; safe on a zeroed one and inside its callbacks */
void sock_deinit(struct sock *sock);

/**
 * sock_send() - hand one message to the kernel
 *
 * A return value of 0 from the kernel counts as sent: some control channels answer so.
 *
 * Return: 0; -EAGAIN: not taken, writable() follows; or another -errno: not taken, nothing follows.
 */
int sock_send(struct sock *sock, const void *data, size_t len);
