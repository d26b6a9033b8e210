/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The raw HCI channel of one adapter: our LE commands as awaited operations, the controller's events to one handler.
 *
 * The kernel uses the same controller and its commands' completions arrive here too, so a completion is ours only when a
 * command of that opcode is outstanding; one command of an opcode is outstanding at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "aiobled/cleanup.h"
#include "aiobled/loop.h"
#include "aiobled/op.h"

#define HCI_CMD_TIMEOUT_MS 3000
#define HCI_QUEUE_MAX      64 /* commands queued and under way; beyond it: -ENOBUFS */

struct hci_chan;

struct hci_cmd {
	struct op op;
	const uint8_t *rsp; /* return parameters after the status byte; valid in done() only */
	size_t rsp_len;
	void *slot; /* private */
};

struct hci_chan_events {
	/* any event, also completions of commands that are not ours; @param is valid during the call */
	void (*event)(uint8_t code, const uint8_t *param, size_t len, void *data);
	/* the adapter is gone or the socket broken; every command has been failed with -ENODEV before */
	void (*closed)(int err, void *data);
};

/** hci_chan_new() - over an open raw channel; @fd is taken also on failure */
int hci_chan_new(struct loop *loop, int fd, const struct hci_chan_events *events, void *data, struct hci_chan **ret);
struct hci_chan *hci_chan_free(struct hci_chan *chan);
DEFINE_CLEANUP(struct hci_chan *, hci_chan_free)

/**
 * hci_chan_send() - send a command
 * @opcode: OGF << 10 | OCF
 * @param:  copied, at most 255 bytes
 *
 * A command that ends with Command Status is complete with it.
 *
 * Return: 0; -EMSGSIZE, -ENOBUFS, -ENOMEM, -ENODEV.
 * done(): 0, RES_HCI(status), -ETIMEDOUT (counted: hci_chan_timeouts()), -ENODEV.
 */
int hci_chan_send(struct hci_chan *chan, struct hci_cmd *cmd, uint16_t opcode, const void *param, size_t len,
		  uint32_t timeout_ms);

uint64_t hci_chan_sent(const struct hci_chan *chan);
uint64_t hci_chan_timeouts(const struct hci_chan *chan);
