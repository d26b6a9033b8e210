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
#include "aiobled/hci_pdu.h"
#include "aiobled/loop.h"
#include "aiobled/op.h"

#define HCI_CMD_TIMEOUT_MS 3000
#define HCI_ABANDON_MS     10000 /* a command that was never answered frees its opcode's place */
#define HCI_QUEUE_MAX      64 /* commands queued and under way; beyond it: -ENOBUFS */

struct hci_chan;

struct hci_cmd {
	struct op op;
	const uint8_t *rsp; /* return parameters after the status byte; valid in done() only */
	size_t rsp_len;
	struct cmdq_slot *slot; /* private */
};

struct hci_chan_events {
	/* any event, also completions of commands that are not ours; @ev is valid during the call, inside which the channel
	 * must not be freed */
	void (*event)(const struct hcip_event *ev, void *data);
	/* the adapter is gone or the socket broken; every command has been failed with -ENODEV before; may be freed inside */
	void (*closed)(int err, void *data);
};

/** hci_chan_new() - over an open raw channel; @fd is taken also on failure */
int hci_chan_new(struct loop *loop, int fd, const struct hci_chan_events *events, void *data, struct hci_chan **ret);
struct hci_chan *hci_chan_free(struct hci_chan *chan);
DEFINE_CLEANUP(struct hci_chan *, hci_chan_free)

/**
 * hci_chan_send_pkt() - send a whole command as the hcip_put_*() functions write it
 * @cmd: caller-owned until its done() or op_drop()
 * @pkt: copied
 *
 * A command that ends with Command Status is complete with it.
 *
 * Return: 0; -EMSGSIZE (the cursor is bad, or it is no command), -ENOBUFS, -ENOMEM, -ENODEV.
 * done(): 0, RES_HCI(status), -ETIMEDOUT (counted), -EBADMSG (an answer without a status), -ENETDOWN (the adapter is powered
 *         off), -ENODEV.
 */
int hci_chan_send_pkt(struct hci_chan *chan, struct hci_cmd *cmd, const struct wr *pkt, uint32_t timeout_ms);

/** hci_chan_send() - the same from its parts: @opcode OGF << 10 | OCF, @param at most 255 bytes, copied */
int hci_chan_send(struct hci_chan *chan, struct hci_cmd *cmd, uint16_t opcode, const void *param, size_t len,
		  uint32_t timeout_ms);

struct hci_chan_stats {
	uint64_t sent, timeouts, late, abandoned, malformed;
};

void hci_chan_get_stats(const struct hci_chan *chan, struct hci_chan_stats *ret);
