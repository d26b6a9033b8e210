/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client of a link, and what all procedures have in common. A procedure's op belongs to the
 * caller, its PDUs to the bearer; this file is the joint. The order in proc_end() is the rule: the
 * op is told while the procedure still exists, and nothing of the client is touched after, because
 * done() may have freed it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "gatt_priv.h"

void gatt_hold(struct gatt_client *gc)
{
	gc->holds++;
}

void gatt_release(struct gatt_client *gc)
{
	if (--gc->holds == 0 && gc->freed)
		free(gc);
}

int gatt_client_new(struct loop *loop, struct att *att, struct gatt_client **ret)
{
	struct gatt_client *gc = calloc(1, sizeof(*gc));

	if (!gc)
		return -ENOMEM;
	gc->loop = loop;
	gc->att = att;
	list_init(&gc->procs);
	list_init(&gc->long_writes);
	list_init(&gc->cancels);
	list_init(&gc->listens);
	remote_init(gc);
	*ret = gc;
	return 0;
}

struct gatt_client *gatt_client_free(struct gatt_client *gc)
{
	if (!gc)
		return NULL;
	assert(list_empty(&gc->procs));
	gc->down = true;
	subs_clear(gc);
	long_writes_clear(gc);
	remote_clear(gc);
	gatt_hold(gc);
	gc->freed = true;
	gatt_release(gc);
	return NULL;
}

void gatt_client_fail_all(struct gatt_client *gc, int err)
{
	gc->down = true;
	gatt_hold(gc);
	op_fail_all(&gc->procs, err);
	if (!gc->freed)
		subs_fail(gc, err);
	gatt_release(gc);
}

int gatt_check(struct gatt_client *gc, struct gatt_op *g)
{
	assert(!op_live(&g->op));
	g->err_handle = 0;
	g->value = NULL;
	g->value_len = 0;
	g->handle = 0;
	g->proc = NULL;
	return gc->down ? -ENOTCONN : 0;
}

int gatt_known(_unused_ struct gatt_client *gc, struct gatt_op *g, int res)
{
	op_start(&g->op, NULL, NULL, 0);
	op_complete_later(&g->op, res);
	return 0;
}

static void on_answer(struct op *op, int res)
{
	struct gatt_proc *p = container_of(op, struct gatt_proc, req.op);

	if (res > 0)
		p->g->err_handle = p->req.err_handle;
	p->next(p, res);
}

struct gatt_proc *proc_new(struct gatt_client *gc, struct gatt_op *g, size_t size,
                           void (*next)(struct gatt_proc *p, int res))
{
	struct gatt_proc *p = calloc(1, size);

	if (!p)
		return NULL;
	p->gc = gc;
	p->g = g;
	p->next = next;
	op_init(&p->req.op, gc->loop, on_answer);
	return p;
}

struct gatt_proc *proc_free(struct gatt_proc *p)
{
	if (!p)
		return NULL;
	op_drop(&p->req.op);
	free(p->buf);
	free(p);
	return NULL;
}

static void proc_withdraw(struct op *op)
{
	struct gatt_op *g = container_of(op, struct gatt_op, op);
	struct gatt_proc *p = g->proc;

	g->proc = NULL;
	if (p->leave)
		p->leave(p);
	(void)proc_free(p);
}

void proc_started(struct gatt_proc *p, uint32_t timeout_ms)
{
	p->g->proc = p;
	op_start(&p->g->op, &p->gc->procs, proc_withdraw, timeout_ms);
}

int proc_send(struct gatt_proc *p, const struct wr *w)
{
	if (!wr_ok(w))
		return -EMSGSIZE;
	return att_request(p->gc->att, &p->req, w->start, wr_len(w), 0);
}

void proc_end(struct gatt_proc *p, int res)
{
	if (p->leave)
		p->leave(p);
	op_complete(&p->g->op, res);
	(void)proc_free(p);
}

void proc_end_later(struct gatt_proc *p, int res)
{
	if (p->leave)
		p->leave(p);
	p->g->proc = NULL;
	op_complete_later(&p->g->op, res);
	(void)proc_free(p);
}
