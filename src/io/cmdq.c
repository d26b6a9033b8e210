/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands and their answers. Errors that are known at once are told from a deferred call, so that
 * nothing here re-enters its callers; only a real answer is told directly.
 */
#include "cmdq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cmdq_slot {
	struct list link; /* in waiting or sent */
	struct cmdq *q;
	struct op *op; /* NULL: the caller has left */
	struct timer abandon;
	uint32_t key;
	bool sent;
	size_t len;
	uint8_t data[];
};

static void slot_free(struct cmdq_slot *slot)
{
	slot->q->count--;
	list_del(&slot->link);
	timer_stop(&slot->abandon);
	free(slot);
}

/* Ends a slot that did not work out. */
static void slot_fail(struct cmdq_slot *slot, int err)
{
	struct op *op = slot->op;

	if (op) {
		slot->q->config->left(op, NULL, 0);
		op_complete_later(op, err);
	}
	slot_free(slot);
}

static void on_abandon(struct timer *t)
{
	struct cmdq_slot *slot = container_of(t, struct cmdq_slot, abandon);
	struct cmdq *q = slot->q;

	q->stats.abandoned++;
	slot_fail(slot, -ETIMEDOUT);
	cmdq_pump(q);
}

static struct cmdq_slot *find_sent(struct cmdq *q, uint32_t key)
{
	struct cmdq_slot *slot;

	list_for_each (slot, &q->sent, link)
		if (slot->key == key)
			return slot;
	return NULL;
}

void cmdq_init(struct cmdq *q, struct loop *loop, struct sock *sock,
               const struct cmdq_config *config)
{
	*q = (struct cmdq){.loop = loop, .sock = sock, .config = config};
	list_init(&q->waiting);
	list_init(&q->sent);
}

static void fail_list(struct list *slots, int err)
{
	struct cmdq_slot *slot;

	while ((slot = list_first(slots, struct cmdq_slot, link)))
		slot_fail(slot, err);
}

void cmdq_close(struct cmdq *q)
{
	q->closed = true;
	fail_list(&q->sent, q->config->lost);
	fail_list(&q->waiting, q->config->lost);
}

void cmdq_deinit(struct cmdq *q)
{
	if (q->config)
		cmdq_close(q);
}

int cmdq_submit(struct cmdq *q, uint32_t key, struct op *op, void (*withdraw)(struct op *op),
                const void *data, size_t len, uint32_t timeout_ms, struct cmdq_slot **ret)
{
	struct cmdq_slot *slot;

	if (q->closed)
		return q->config->lost;
	if (q->count >= q->config->max)
		return -ENOBUFS;
	slot = malloc(sizeof(*slot) + len);
	if (!slot)
		return -ENOMEM;
	*slot = (struct cmdq_slot){.q = q, .op = op, .key = key, .len = len};
	memcpy(slot->data, data, len);
	list_init(&slot->link);
	timer_init(&slot->abandon, q->loop, on_abandon);
	list_add_tail(&q->waiting, &slot->link);
	q->count++;
	*ret = slot;
	op_start(op, NULL, withdraw, timeout_ms);
	cmdq_pump(q);
	return 0;
}

/* Its deadline, and not its owner, makes the op leave. */
static bool timed_out(const struct op *op)
{
	return op->deadline.due_us && !timer_armed(&op->deadline);
}

void cmdq_leave(struct cmdq_slot *slot)
{
	slot->q->stats.timeouts += timed_out(slot->op);
	slot->op = NULL;
	if (!slot->sent)
		slot_free(slot);
}

/* What a send says when the other side of the channel is no more, as against a message it does not
 * like. */
static bool is_lost(int err)
{
	return err == -EPIPE || err == -ENODEV || err == -ENXIO || err == -EBADFD ||
	       err == -ECONNRESET || err == -ENOTCONN;
}

/* Return: 0, or -EAGAIN when the kernel takes nothing now */
static int slot_send(struct cmdq_slot *slot)
{
	struct cmdq *q = slot->q;
	int r = sock_send(q->sock, slot->data, slot->len);

	if (r == -EAGAIN)
		return r;
	if (r < 0) {
		slot_fail(slot, is_lost(r) ? q->config->lost : r);
		return 0;
	}
	q->stats.sent++;
	slot->sent = true;
	list_del(&slot->link);
	list_add_tail(&q->sent, &slot->link);
	timer_start_ms(&slot->abandon, q->config->abandon_ms);
	return 0;
}

void cmdq_pump(struct cmdq *q)
{
	struct cmdq_slot *slot, *next;

	list_for_each_safe (slot, next, &q->waiting, link) {
		if (find_sent(q, slot->key))
			continue;
		if (slot_send(slot) < 0)
			return;
	}
}

bool cmdq_answer(struct cmdq *q, uint32_t key, int res, const uint8_t *data, size_t len)
{
	struct cmdq_slot *slot = find_sent(q, key);
	struct op *op;

	if (!slot)
		return false;
	op = slot->op;
	slot_free(slot);
	if (!op)
		q->stats.late++;
	cmdq_pump(q);
	if (op) {
		q->config->left(op, data, len);
		op_complete(op, res);
	}
	return true;
}
