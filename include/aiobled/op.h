/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One awaited operation: the only way anything here waits for anything.
 *
 * The owner embeds a struct op (usually inside a typed request), gives it to a starting call of an engine, and is told
 * once through done(). The contract of every starting call, everywhere in this program:
 *
 *  - it returns < 0 and done() never runs, or 0 and done() runs exactly once, later, never from inside the call;
 *  - done() may free the owner, start the same op again, or start another;
 *  - op_drop() instead ends the wait silently: when it returns the engine holds no pointer to the op;
 *  - the deadline counts from the starting call, queueing included.
 *
 * What was already sent cannot be cancelled: the engine keeps its own record of what is on the wire, withdraw() only
 * detaches the op from it, and an answer that comes later belongs to nobody.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "aiobled/list.h"
#include "aiobled/loop.h"

struct op {
	struct list link;                /* in an engine's queue while live */
	struct timer deadline;           /* unarmed: wait for ever */
	struct defer later;              /* result known at once, told later */
	void (*withdraw)(struct op *op); /* engine: forget the op; may be NULL when the list link was all it had */
	void (*done)(struct op *op, int res);
	int res;
	bool live;
};

/** op_init() - once, by the owner; @done is told the result (see result.h) */
void op_init(struct op *op, struct loop *loop, void (*done)(struct op *op, int res));

/**
 * op_start() - by an engine: @op is live from here
 * @queue:      list to stand in (at its tail), or NULL
 * @withdraw:   called by op_fail() and op_drop() before the op leaves; must not complete it
 * @timeout_ms: 0: no deadline
 */
void op_start(struct op *op, struct list *queue, void (*withdraw)(struct op *op), uint32_t timeout_ms);

/** op_complete() - by the engine: the end, exactly once. @op may be gone when this returns. */
void op_complete(struct op *op, int res);

/** op_complete_later() - the same from a deferred call; @op stays live (droppable) until then */
void op_complete_later(struct op *op, int res);

/** op_fail() - withdraw, then complete with @err; for deadlines, disconnects, stops. Not live: nothing happens. */
void op_fail(struct op *op, int err);

/** op_drop() - withdraw silently: done() will not run. Not live, or zeroed: nothing happens. */
void op_drop(struct op *op);

/** op_fail_all() - fail every op on @queue, safe against whatever their done() does to it (new ones are left alone) */
void op_fail_all(struct list *queue, int err);

static inline bool op_live(const struct op *op)
{
	return op->live;
}
