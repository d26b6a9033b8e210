/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One awaited operation. Everything hangs on the order in op_complete(): unlink first, then tell;
 * after done() the op may not exist any more.
 */
#include "aiobled/op.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

static void on_deadline(struct timer *t)
{
	op_fail(container_of(t, struct op, deadline), -ETIMEDOUT);
}

static void on_later(struct defer *d)
{
	struct op *op = container_of(d, struct op, later);

	op_complete(op, op->res);
}

void op_init(struct op *op, struct loop *loop, void (*done)(struct op *op, int res))
{
	*op = (struct op){.done = done};
	list_init(&op->link);
	timer_init(&op->deadline, loop, on_deadline);
	defer_init(&op->later, loop, on_later);
}

void op_start(struct op *op, struct list *queue, void (*withdraw)(struct op *op),
              uint32_t timeout_ms)
{
	assert(!op->live);
	op->live = true;
	op->withdraw = withdraw;
	if (queue)
		list_add_tail(queue, &op->link);
	if (timeout_ms)
		timer_start_ms(&op->deadline, timeout_ms);
}

/* Not live, and nothing of the program points at it any more. */
static void op_detach(struct op *op)
{
	op->live = false;
	list_del(&op->link);
	timer_stop(&op->deadline);
	defer_cancel(&op->later);
}

void op_complete(struct op *op, int res)
{
	assert(op->live);
	op_detach(op);
	op->done(op, res);
}

void op_complete_later(struct op *op, int res)
{
	assert(op->live);
	op->res = res;
	op->withdraw = NULL; /* the engine is through with it */
	list_del(&op->link);
	timer_stop(&op->deadline);
	defer_post(&op->later);
}

void op_fail(struct op *op, int err)
{
	if (!op->live)
		return;
	if (op->withdraw)
		op->withdraw(op);
	op_complete(op, err);
}

void op_drop(struct op *op)
{
	if (!op->live)
		return;
	if (op->withdraw)
		op->withdraw(op);
	op_detach(op);
}

void op_fail_all(struct list *queue, int err)
{
	struct list failing;
	struct op *op;

	list_init(&failing);
	list_move_all(queue, &failing);
	while ((op = list_first(&failing, struct op, link)))
		op_fail(op, err);
}
