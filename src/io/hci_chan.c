/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The raw HCI channel. The kernel queues our commands with its own and shows us the completions of
 * all. A completion of the kernel's own command that arrives while one of the same opcode is ours
 * on the wire is taken for ours; whoever needs to know better looks at the state of the controller,
 * as the scan does.
 */
#include "aiobled/hci_chan.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/result.h"
#include "aiobled/sock.h"
#include "cmdq.h"

struct hci_chan {
	struct sock sock;
	struct cmdq q;
	const struct hci_chan_events *events;
	void *data;
	struct defer closed; /* after the ops have been told */
	int err;
	uint64_t malformed;
};

static void on_cmd_done(struct hci_chan *chan, const struct hcip_event *ev)
{
	struct hcip_cmd_done d;
	int res;

	if (hcip_parse_cmd_done(ev, &d) < 0) {
		chan->malformed++;
		return;
	}
	if (d.opcode == HCIP_NOP)
		return;
	if (!d.has_status)
		res = -EBADMSG;
	else
		res = d.status ? RES_HCI(d.status) : 0;
	(void)cmdq_answer(&chan->q, d.opcode, res, d.data, d.len); /* not ours: the kernel's */
}

static void on_received(struct sock *sock, const uint8_t *data, size_t len)
{
	struct hci_chan *chan = container_of(sock, struct hci_chan, sock);
	struct hcip_event ev;

	if (hcip_parse_event(data, len, &ev) < 0) {
		chan->malformed++;
		return;
	}
	chan->events->event(&ev, chan->data);
	if (ev.code == HCIP_EV_CMD_COMPLETE || ev.code == HCIP_EV_CMD_STATUS)
		on_cmd_done(chan, &ev);
}

static void on_left(struct op *op, const uint8_t *data, size_t len)
{
	struct hci_cmd *cmd = container_of(op, struct hci_cmd, op);

	cmd->slot = NULL;
	cmd->rsp = data;
	cmd->rsp_len = len;
}

static void on_withdraw(struct op *op)
{
	struct hci_cmd *cmd = container_of(op, struct hci_cmd, op);

	cmdq_leave(cmd->slot);
	on_left(op, NULL, 0);
}

static const struct cmdq_config queue_config = {
	.max = HCI_QUEUE_MAX,
	.abandon_ms = HCI_ABANDON_MS,
	.lost = -ENODEV,
	.left = on_left,
};

static void on_writable(struct sock *sock)
{
	cmdq_pump(&container_of(sock, struct hci_chan, sock)->q);
}

static void on_closed(struct sock *sock, int err)
{
	struct hci_chan *chan = container_of(sock, struct hci_chan, sock);

	chan->err = err ? err : -ENODEV;
	cmdq_close(&chan->q);
	defer_post(&chan->closed);
}

static void tell_closed(struct defer *d)
{
	struct hci_chan *chan = container_of(d, struct hci_chan, closed);

	chan->events->closed(chan->err, chan->data);
}

static const struct sock_ops sock_ops = {
	.received = on_received, .writable = on_writable, .closed = on_closed};

int hci_chan_new(struct loop *loop, int fd, const struct hci_chan_events *events, void *data,
                 struct hci_chan **ret)
{
	_cleanup_(hci_chan_freep) struct hci_chan *chan = calloc(1, sizeof(*chan));
	int r;

	if (!chan) {
		closep(&fd);
		return -ENOMEM;
	}
	chan->events = events;
	chan->data = data;
	defer_init(&chan->closed, loop, tell_closed);
	cmdq_init(&chan->q, loop, &chan->sock, &queue_config);
	r = sock_init(&chan->sock, loop, fd, &sock_ops);
	if (r < 0)
		return r;
	*ret = steal(&chan);
	return 0;
}

struct hci_chan *hci_chan_free(struct hci_chan *chan)
{
	if (!chan)
		return NULL;
	cmdq_deinit(&chan->q);
	defer_cancel(&chan->closed);
	sock_deinit(&chan->sock);
	free(chan);
	return NULL;
}

int hci_chan_send_pkt(struct hci_chan *chan, struct hci_cmd *cmd, const struct wr *pkt,
                      uint32_t timeout_ms)
{
	struct rd r = rd_init(pkt->start, wr_len(pkt));
	uint8_t type = rd_u8(&r);
	uint16_t opcode = rd_le16(&r);
	uint8_t len = rd_u8(&r);

	if (!wr_ok(pkt) || !rd_ok(&r) || type != HCIP_PKT_COMMAND || len != r.left)
		return -EMSGSIZE;
	return cmdq_submit(&chan->q, opcode, &cmd->op, on_withdraw, pkt->start, wr_len(pkt),
	                   timeout_ms, &cmd->slot);
}

int hci_chan_send(struct hci_chan *chan, struct hci_cmd *cmd, uint16_t opcode, const void *param,
                  size_t len, uint32_t timeout_ms)
{
	uint8_t buf[HCIP_CMD_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	hcip_put_cmd(&w, opcode, param, len);
	return hci_chan_send_pkt(chan, cmd, &w, timeout_ms);
}

void hci_chan_get_stats(const struct hci_chan *chan, struct hci_chan_stats *ret)
{
	const struct cmdq_stats *q = &chan->q.stats;

	*ret = (struct hci_chan_stats){.sent = q->sent,
	                               .timeouts = q->timeouts,
	                               .late = q->late,
	                               .abandoned = q->abandoned,
	                               .malformed = chan->malformed + chan->sock.truncated};
}
