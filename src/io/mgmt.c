/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mgmt control channel: one message per datagram, answers matched by (opcode, index),
 * everything else to the event handler. The kernel sends every adapter's events to every control
 * channel; telling them apart is the handler's business.
 */
#include "aiobled/mgmt.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/result.h"
#include "aiobled/sock.h"
#include "cmdq.h"

struct mgmt {
	struct sock sock;
	struct cmdq q;
	const struct mgmt_events *events;
	void *data;
	struct defer closed; /* after the ops have been told */
	int err;
	uint64_t malformed;
};

static uint32_t make_key(uint16_t opcode, uint16_t index)
{
	return (uint32_t)opcode << 16 | index;
}

static void on_left(struct op *op, const uint8_t *data, size_t len)
{
	struct mgmt_cmd *cmd = container_of(op, struct mgmt_cmd, op);

	cmd->slot = NULL;
	cmd->rsp = data;
	cmd->rsp_len = len;
}

static void on_withdraw(struct op *op)
{
	struct mgmt_cmd *cmd = container_of(op, struct mgmt_cmd, op);

	cmdq_leave(cmd->slot);
	on_left(op, NULL, 0);
}

static const struct cmdq_config queue_config = {
	.max = MGMT_QUEUE_MAX,
	.abandon_ms = MGMT_ABANDON_MS,
	.lost = -EIO,
	.left = on_left,
};

static void on_reply(struct mgmt *mgmt, const struct mgmt_msg *msg)
{
	struct mgmt_reply reply;
	struct rd r = rd_init(msg->data, msg->len);
	uint16_t opcode = rd_le16(&r);

	if (!rd_ok(&r)) {
		mgmt->malformed++;
	} else if (mgmt_parse_reply(msg, &reply) < 0) {
		mgmt->malformed++;
		(void)cmdq_answer(&mgmt->q, make_key(opcode, msg->index), -EBADMSG, NULL, 0);
	} else {
		/* what nobody waits for is the answer to an abandoned command */
		(void)cmdq_answer(&mgmt->q, make_key(opcode, msg->index),
		                  reply.status ? RES_MGMT(reply.status) : 0, reply.data, reply.len);
	}
}

static void on_received(struct sock *sock, const uint8_t *data, size_t len)
{
	struct mgmt *mgmt = container_of(sock, struct mgmt, sock);
	struct mgmt_msg msg;

	if (mgmt_parse_msg(data, len, &msg) < 0)
		mgmt->malformed++;
	else if (msg.code == MGMT_EV_CMD_COMPLETE || msg.code == MGMT_EV_CMD_STATUS)
		on_reply(mgmt, &msg);
	else
		mgmt->events->event(&msg, mgmt->data);
}

static void on_writable(struct sock *sock)
{
	cmdq_pump(&container_of(sock, struct mgmt, sock)->q);
}

static void on_closed(struct sock *sock, int err)
{
	struct mgmt *mgmt = container_of(sock, struct mgmt, sock);

	mgmt->err = err ? err : -EPIPE;
	cmdq_close(&mgmt->q);
	defer_post(&mgmt->closed);
}

static void tell_closed(struct defer *d)
{
	struct mgmt *mgmt = container_of(d, struct mgmt, closed);

	mgmt->events->closed(mgmt->err, mgmt->data);
}

static const struct sock_ops sock_ops = {
	.received = on_received, .writable = on_writable, .closed = on_closed};

int mgmt_new(struct loop *loop, int fd, const struct mgmt_events *events, void *data,
             struct mgmt **ret)
{
	_cleanup_(mgmt_freep) struct mgmt *mgmt = calloc(1, sizeof(*mgmt));
	int r;

	if (!mgmt) {
		closep(&fd);
		return -ENOMEM;
	}
	mgmt->events = events;
	mgmt->data = data;
	defer_init(&mgmt->closed, loop, tell_closed);
	cmdq_init(&mgmt->q, loop, &mgmt->sock, &queue_config);
	r = sock_init(&mgmt->sock, loop, fd, &sock_ops);
	if (r < 0)
		return r;
	*ret = steal(&mgmt);
	return 0;
}

struct mgmt *mgmt_free(struct mgmt *mgmt)
{
	if (!mgmt)
		return NULL;
	cmdq_deinit(&mgmt->q);
	defer_cancel(&mgmt->closed);
	sock_deinit(&mgmt->sock);
	free(mgmt);
	return NULL;
}

int mgmt_send_msg(struct mgmt *mgmt, struct mgmt_cmd *cmd, const struct wr *msg,
                  uint32_t timeout_ms)
{
	struct mgmt_msg m;

	if (!wr_ok(msg) || mgmt_parse_msg(msg->start, wr_len(msg), &m) < 0 ||
	    m.len > MGMT_PARAM_MAX)
		return -EMSGSIZE;
	return cmdq_submit(&mgmt->q, make_key(m.code, m.index), &cmd->op, on_withdraw, msg->start,
	                   wr_len(msg), timeout_ms, &cmd->slot);
}

int mgmt_send(struct mgmt *mgmt, struct mgmt_cmd *cmd, uint16_t opcode, uint16_t index,
              const void *param, size_t len, uint32_t timeout_ms)
{
	uint8_t buf[MGMT_HDR_LEN + MGMT_PARAM_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_cmd(&w, opcode, index, param, len);
	return mgmt_send_msg(mgmt, cmd, &w, timeout_ms);
}

void mgmt_get_stats(const struct mgmt *mgmt, struct mgmt_stats *ret)
{
	const struct cmdq_stats *q = &mgmt->q.stats;

	*ret = (struct mgmt_stats){.sent = q->sent,
	                           .timeouts = q->timeouts,
	                           .late = q->late,
	                           .abandoned = q->abandoned,
	                           .malformed = mgmt->malformed + mgmt->sock.truncated};
}
