/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a bearer sends besides requests: answers and confirmations for the peer, and commands,
 * notifications and indications of ours, which share a queue so that they leave in the order of the
 * calls. Whose turn it is att.c decides; nothing here calls out but att_indicated_end().
 */
#include <errno.h>

#include "att_priv.h"

/* --- for the peer --- */

static bool is_answer(const struct answer *a, const uint8_t *pdu, size_t len)
{
	return len > 0 && (pdu[0] == ATT_ERROR_RSP || pdu[0] == att_response_of(a->request));
}

static void answer_unlikely(struct answer *a)
{
	struct wr w = wr_init(a->pdu, sizeof(a->pdu));

	att_put_error(&w, a->request, 0, ATT_ERR_UNLIKELY);
	a->len = wr_len(&w);
}

int att_set_answer(struct att *att, const void *pdu, size_t len)
{
	struct answer *a = &att->answer;

	a->owed = false;
	if (is_answer(a, pdu, len) && len <= att->mtu) {
		memcpy(a->pdu, pdu, len);
		a->len = len;
		return 0;
	}
	answer_unlikely(a);
	return len > att->mtu ? -EMSGSIZE : -EINVAL;
}

int att_answer(struct att *att, const void *pdu, size_t len)
{
	int r;

	if (att->closed)
		return -ENOTCONN;
	if (!att->answer.owed)
		return -ENOENT;
	r = att_set_answer(att, pdu, len);
	att_pump(att);
	return r;
}

int att_send_answer(struct att *att)
{
	int r;

	/* an exchange of ours ended while it waited for the kernel */
	if (att->answer.len > att->mtu)
		answer_unlikely(&att->answer);
	r = att_send(att, att->answer.pdu, att->answer.len);
	if (r == -EAGAIN)
		return r;
	att->answer.len = 0; /* gone, or the link is */
	return 0;
}

int att_send_confirm(struct att *att)
{
	uint8_t pdu[1];
	struct wr w = wr_init(pdu, sizeof(pdu));
	int r;

	att_put_confirm(&w);
	r = att_send(att, pdu, sizeof(pdu));
	if (r == -EAGAIN)
		return r;
	att->confirms--;
	return 0;
}

/* --- ours --- */

static void count_sent(struct att *att, uint8_t opcode)
{
	switch (opcode) {
	case ATT_NOTIFY:
	case ATT_NOTIFY_MULTI:
		att->stats.notified++;
		break;
	case ATT_INDICATE:
		att->stats.indicated++;
		break;
	default:
		att->stats.commands++;
		break;
	}
}

/* Return: 0 when the kernel has it; -EAGAIN; another error ends it. */
static int send_other(struct att *att, struct att_cmd *cmd, const uint8_t *pdu, size_t len)
{
	int r = len > att->mtu ? -EMSGSIZE : att_send(att, pdu, len);

	if (r < 0)
		return r;
	count_sent(att, pdu[0]);
	if (pdu[0] == ATT_INDICATE) {
		att->indicated.busy = true;
		att->indicated.cmd = cmd;
		timer_start_ms(&att->indicated.patience, ATT_TRANSACTION_TIMEOUT_MS);
	}
	return 0;
}

int att_send_other(struct att *att)
{
	struct att_cmd *cmd = list_first(&att->others, struct att_cmd, op.link);
	int r = send_other(att, cmd, cmd->out.pdu, cmd->out.len);

	if (r == -EAGAIN)
		return r;
	list_del(&cmd->op.link);
	(*cmd->out.count)--;
	att_out_forget(&cmd->out);
	if (att->indicated.cmd != cmd)
		op_complete_later(&cmd->op, r);
	return 0;
}

static void withdraw(struct op *op)
{
	struct att_cmd *cmd = container_of(op, struct att_cmd, op);
	struct att *att = cmd->out.att;

	if (att->indicated.cmd == cmd) {
		att->indicated.cmd = NULL;
		att->stats.timeouts++;
	} else {
		(*cmd->out.count)--;
		att_out_forget(&cmd->out);
	}
}

/* Send now if nothing stands before it. Return: 0; -EAGAIN: it has to wait; another error. */
static int send_at_once(struct att *att, struct att_cmd *cmd, const uint8_t *pdu, size_t len,
                        uint32_t timeout_ms)
{
	int r;

	if (!att_writable(att))
		return -EAGAIN;
	r = send_other(att, cmd, pdu, len);
	if (r < 0)
		return r;
	op_start(&cmd->op, NULL, withdraw, timeout_ms);
	if (pdu[0] != ATT_INDICATE)
		op_complete_later(&cmd->op, 0);
	return 0;
}

static int send_or_queue(struct att *att, struct att_cmd *cmd, const uint8_t *pdu, size_t len,
                         uint32_t timeout_ms, size_t *count, size_t max)
{
	int r;

	cmd->out = (struct att_out){.att = att};
	r = send_at_once(att, cmd, pdu, len, timeout_ms);
	if (r != -EAGAIN)
		return r;
	if (*count >= max)
		return -ENOBUFS;
	r = att_out_keep(att, &cmd->out, pdu, len);
	if (r < 0)
		return r;
	cmd->out.count = count;
	(*count)++;
	op_start(&cmd->op, &att->others, withdraw, timeout_ms);
	att_pump(att);
	return 0;
}

int att_command(struct att *att, struct att_cmd *cmd, const void *pdu, size_t len,
                uint32_t timeout_ms)
{
	int r = att_check_pdu(att, pdu, len, ATT_KIND_COMMAND);

	return r < 0 ? r
	             : send_or_queue(att, cmd, pdu, len, timeout_ms, &att->n_commands,
	                             ATT_COMMANDS_MAX);
}

int att_notify(struct att *att, struct att_cmd *cmd, const void *pdu, size_t len,
               uint32_t timeout_ms)
{
	int r = att_check_pdu(att, pdu, len, ATT_KIND_NOTIFICATION);

	return r < 0 ? r
	             : send_or_queue(att, cmd, pdu, len, timeout_ms, &att->n_notifications,
	                             ATT_NOTIFICATIONS_MAX);
}

bool att_indicating(const struct att *att)
{
	return att->indicated.busy || att->n_indications > 0;
}

int att_indicate(struct att *att, struct att_cmd *cmd, const void *pdu, size_t len,
                 uint32_t timeout_ms)
{
	int r = att_check_pdu(att, pdu, len, ATT_KIND_INDICATION);

	if (r == 0 && att_indicating(att))
		r = -EBUSY;
	return r < 0 ? r : send_or_queue(att, cmd, pdu, len, timeout_ms, &att->n_indications, 1);
}

void att_indicated_end(struct att *att, int res)
{
	struct att_cmd *cmd = att->indicated.cmd;

	timer_stop(&att->indicated.patience);
	att->indicated.busy = false;
	att->indicated.cmd = NULL;
	att->stats.confirmed += res == 0;
	if (cmd)
		op_complete(&cmd->op, res);
	if (!att->freed && !att->closed && att->server->confirmed)
		att->server->confirmed(att->server_data);
}

bool att_cmd_sent(const struct att_cmd *cmd)
{
	return op_live(&cmd->op) && !cmd->out.pdu;
}

bool att_writable(const struct att *att)
{
	return !att->closed && !att->blocked && list_empty(&att->others);
}

static void on_patience(struct timer *t)
{
	struct att *att = container_of(t, struct att, indicated.patience);
	struct att_cmd *cmd = att->indicated.cmd;

	att->indicated.cmd = NULL;
	att_silence(att, cmd ? &cmd->op : NULL);
}

void att_out_init(struct att *att)
{
	list_init(&att->others);
	timer_init(&att->indicated.patience, att->loop, on_patience);
}
