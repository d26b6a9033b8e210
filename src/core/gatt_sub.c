/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscriptions (Core 5.4, Vol 3, Part G, 4.10, 4.11 and 3.3.3.3). For each characteristic with
 * subscribers there is one
 * struct listen: who wants what, what the CCCD is known to hold, and the one find or write that is
 * under way to make it hold the union.
 *
 * Callers' ops are waiters of the listen; they are always told from the loop (on_finished()), never
 * from inside a call. A change of the union only marks the listen dirty; listen_kick() is the one
 * place that decides what to do about it.
 */
#include <errno.h>
#include <stdlib.h>

#include "aiobled/result.h"

#include "gatt_priv.h"

#define CCCD_NOTIFY   0x0001
#define CCCD_INDICATE 0x0002

struct listen {
	struct list link;
	struct gatt_client *gc;
	uint16_t handle, cccd; /* of the value; 0: not known yet */
	struct list subs;
	struct gatt_sub *cursor;       /* next to be told of the value that is being told */
	struct list waiting, finished; /* struct waiter */
	struct defer tell;             /* on_finished() */
	struct gatt_op find;           /* the CCCD */
	struct att_req req;            /* its write */
	uint16_t written, writing;     /* known content, if it is known; content on its way */
	bool known, dirty;
	unsigned int holds;
};

/* Somebody waits for the CCCD to follow a change. */
struct waiter {
	struct gatt_proc p;
	struct list link;
	struct listen *listen;
	struct gatt_sub *sub; /* goes off when this fails; NULL for gatt_unsubscribe() */
	bool covered;         /* by the write that is under way */
	int res;
};

static void listen_kick(struct listen *l);

/* --- the listen --- */

static struct listen *listen_find(struct gatt_client *gc, uint16_t handle)
{
	struct listen *l;

	list_for_each (l, &gc->listens, link)
		if (l->handle == handle)
			return l;
	return NULL;
}

static bool listen_busy(const struct listen *l)
{
	return op_live(&l->req.op) || op_live(&l->find.op);
}

static void listen_free(struct listen *l)
{
	op_drop(&l->find.op);
	op_drop(&l->req.op);
	defer_cancel(&l->tell);
	list_del(&l->link);
	free(l);
}

/*
 * Nothing and nobody needs it any more? Then what the CCCD holds is forgotten, too: the next one
 * writes it anew.
 */
static void listen_reap(struct listen *l)
{
	if (l->holds || !list_empty(&l->subs) || !list_empty(&l->waiting) ||
	    !list_empty(&l->finished))
		return;
	if (!listen_busy(l) || l->gc->down)
		listen_free(l);
}

static uint16_t wanted(const struct listen *l)
{
	const struct gatt_sub *sub;
	uint16_t bits = 0;

	list_for_each (sub, &l->subs, link)
		bits |= (sub->notify ? CCCD_NOTIFY : 0) | (sub->indicate ? CCCD_INDICATE : 0);
	return bits;
}

static bool sub_is_on(const struct gatt_sub *sub)
{
	return sub->link.next && list_linked(&sub->link);
}

static struct gatt_sub *sub_after(struct listen *l, struct gatt_sub *sub)
{
	return sub->link.next == &l->subs ? NULL
	                                  : list_entry(sub->link.next, struct gatt_sub, link);
}

static void sub_off(struct listen *l, struct gatt_sub *sub)
{
	if (l->cursor == sub)
		l->cursor = sub_after(l, sub);
	list_del(&sub->link);
	l->dirty = true;
}

/* --- waiters --- */

static void finish(struct waiter *w, int res)
{
	struct listen *l = w->listen;

	if (res != 0 && w->sub) {
		sub_off(l, w->sub);
		w->sub = NULL;
	}
	w->res = res;
	list_del(&w->link);
	list_add_tail(&l->finished, &w->link);
	defer_post(&l->tell);
}

static void finish_all(struct listen *l, int res, bool covered_only)
{
	struct waiter *w, *next;

	list_for_each_safe (w, next, &l->waiting, link)
		if (w->covered || !covered_only)
			finish(w, res);
}

static void on_finished(struct defer *d)
{
	struct listen *l = container_of(d, struct listen, tell);
	struct gatt_client *gc = l->gc;
	struct waiter *w;

	gatt_hold(gc);
	l->holds++;
	while (!gc->freed && (w = list_first(&l->finished, struct waiter, link))) {
		w->sub = NULL; /* it is on, or off already: no concern of this op any more */
		w->p.g->err_handle = w->res > 0 ? l->req.err_handle : 0;
		proc_end(&w->p, w->res);
	}
	if (!gc->freed) {
		l->holds--;
		listen_reap(l);
	}
	gatt_release(gc);
}

/* Told, failed or dropped. A subscriber whose op did not end well is off. */
static void waiter_leave(struct gatt_proc *p)
{
	struct waiter *w = container_of(p, struct waiter, p);
	struct listen *l = w->listen;

	list_del(&w->link);
	if (!w->sub)
		return;
	sub_off(l, w->sub);
	listen_kick(l);
	listen_reap(l);
}

static struct waiter *waiter_new(struct listen *l, struct gatt_op *g, struct gatt_sub *sub)
{
	struct gatt_proc *p = proc_new(l->gc, g, sizeof(struct waiter), NULL);
	struct waiter *w = p ? container_of(p, struct waiter, p) : NULL;

	if (!w)
		return NULL;
	p->leave = waiter_leave;
	w->listen = l;
	w->sub = sub;
	list_init(&w->link);
	list_add_tail(&l->waiting, &w->link);
	return w;
}

/* --- making the CCCD follow --- */

static struct gatt_descriptor *known_cccd(struct gatt_characteristic *chr)
{
	struct gatt_descriptor *d;

	list_for_each (d, &chr->descriptors, link)
		if (uuid_equal16(&d->uuid, UUID_CCCD))
			return d;
	return NULL;
}

/* Return: 0 with l->cccd set or a search under way; -ENOENT; why the search cannot start. */
static int listen_locate(struct listen *l)
{
	struct gatt_characteristic *chr = gatt_find_characteristic(l->gc, l->handle);
	struct gatt_descriptor *d = chr ? known_cccd(chr) : NULL;

	if (d)
		l->cccd = d->handle;
	if (l->cccd)
		return 0;
	return !chr || chr->descriptors_known ? -ENOENT : discover_cccd(l->gc, &l->find, chr);
}

static int listen_write(struct listen *l, uint16_t bits)
{
	const uint8_t value[2] = {bits & 0xff, bits >> 8};
	uint8_t pdu[ATT_HDR_HANDLE + sizeof(value)];
	struct wr w = wr_init(pdu, sizeof(pdu));
	int r;

	att_put_write_req(&w, l->cccd, value, sizeof(value));
	r = att_request(l->gc->att, &l->req, pdu, wr_len(&w), 0);
	if (r == 0)
		l->writing = bits;
	return r;
}

static void cover_all(struct listen *l)
{
	struct waiter *w;

	l->dirty = false;
	list_for_each (w, &l->waiting, link)
		w->covered = true;
}

/* What is under way may have become pointless. Return: it is of use still, so wait for it. */
static bool listen_must_wait(struct listen *l, uint16_t bits)
{
	if (op_live(&l->find.op) && bits == 0)
		op_drop(&l->find.op);
	if (op_live(&l->find.op) || (op_live(&l->req.op) && bits == l->writing))
		cover_all(l);
	else if (op_live(&l->req.op) && !att_req_sent(&l->req))
		op_drop(&l->req.op);
	return listen_busy(l);
}

/* Return: 0 with the CCCD as it should be, or something under way; an error for all who wait. */
static int listen_turn(struct listen *l)
{
	uint16_t bits = wanted(l);
	int r = 0;

	if (!l->dirty || listen_must_wait(l, bits))
		return 0;
	l->dirty = false;
	if (bits == (l->known ? l->written : 0))
		return 0;
	if (!l->cccd)
		r = listen_locate(l);
	if (r == 0 && l->cccd)
		r = listen_write(l, bits);
	if (r == 0)
		cover_all(l);
	return r;
}

static void listen_kick(struct listen *l)
{
	int r;

	if (l->gc->down)
		return;
	r = listen_turn(l);
	if (r < 0 || !listen_busy(l))
		finish_all(l, r, false);
}

/*
 * A failed subscriber that goes off makes the listen dirty, so those that remain get what they
 * want.
 */
static void listen_result(struct listen *l, int res)
{
	if (l->gc->down)
		return;
	finish_all(l, res, true);
	listen_kick(l);
	listen_reap(l);
}

static void on_written(struct op *op, int res)
{
	struct listen *l = container_of(op, struct listen, req.op);

	if (res == 0)
		res = att_parse_empty(l->req.rsp, l->req.rsp_len);
	if (res == 0) {
		l->written = l->writing;
		l->known = true;
	}
	listen_result(l, res);
}

static void on_found(struct op *op, int res)
{
	struct listen *l = container_of(op, struct listen, find.op);

	l->req.err_handle = l->find.err_handle;
	if (res != 0) {
		listen_result(l, res);
		return;
	}
	l->dirty = true; /* listen_locate() looks at what was found */
	listen_kick(l);
	listen_reap(l);
}

/* --- starting and ending --- */

static struct listen *listen_get(struct gatt_client *gc, uint16_t handle)
{
	struct listen *l = listen_find(gc, handle);

	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->gc = gc;
	l->handle = handle;
	list_init(&l->link);
	list_init(&l->subs);
	list_init(&l->waiting);
	list_init(&l->finished);
	defer_init(&l->tell, gc->loop, on_finished);
	op_init(&l->find.op, gc->loop, on_found);
	op_init(&l->req.op, gc->loop, on_written);
	list_add_tail(&gc->listens, &l->link);
	return l;
}

/* What of its wishes @chr can serve. */
static bool mask_wishes(struct gatt_sub *sub, const struct gatt_characteristic *chr)
{
	sub->notify = sub->notify && chr->properties & GATT_NOTIFY;
	sub->indicate = sub->indicate && chr->properties & GATT_INDICATE;
	return sub->notify || sub->indicate;
}

int gatt_subscribe(struct gatt_client *gc, struct gatt_op *g, struct gatt_sub *sub,
                   struct gatt_characteristic *chr, uint32_t timeout_ms)
{
	struct listen *l;
	struct waiter *w;
	int r = gatt_check(gc, g);

	list_init(&sub->link);
	if (r < 0)
		return r;
	if (!sub->notify && !sub->indicate)
		return -EINVAL;
	if (!mask_wishes(sub, chr))
		return gatt_known(gc, g, -EOPNOTSUPP);
	l = listen_get(gc, chr->handle);
	w = l ? waiter_new(l, g, sub) : NULL;
	if (!w) {
		if (l)
			listen_reap(l);
		return -ENOMEM;
	}
	sub->handle = chr->handle;
	sub->since = gc->n_values;
	list_add_tail(&l->subs, &sub->link);
	l->dirty = true;
	proc_started(&w->p, timeout_ms);
	listen_kick(l);
	return 0;
}

/* The op that still waits for this subscription. */
static struct waiter *waiter_of(struct listen *l, const struct gatt_sub *sub)
{
	struct waiter *w;

	list_for_each (w, &l->waiting, link)
		if (w->sub == sub)
			return w;
	list_for_each (w, &l->finished, link)
		if (w->sub == sub)
			return w;
	return NULL;
}

static void take_off(struct listen *l, struct gatt_sub *sub)
{
	struct waiter *w = waiter_of(l, sub);

	if (w)
		finish(w, -ECANCELED);
	else
		sub_off(l, sub);
}

int gatt_unsubscribe(struct gatt_client *gc, struct gatt_op *g, struct gatt_sub *sub,
                     uint32_t timeout_ms)
{
	struct listen *l = sub_is_on(sub) ? listen_find(gc, sub->handle) : NULL;
	struct waiter *w = NULL;
	int r = g ? gatt_check(gc, g) : 0;

	if (!l)
		return g ? gatt_known(gc, g, 0) : 0;
	take_off(l, sub);
	if (g && r == 0) {
		w = waiter_new(l, g, NULL);
		r = w ? 0 : -ENOMEM;
	}
	if (w)
		proc_started(&w->p, timeout_ms);
	listen_kick(l);
	listen_reap(l);
	return r;
}

bool gatt_owns_cccd(struct gatt_client *gc, uint16_t handle)
{
	struct listen *l;

	list_for_each (l, &gc->listens, link)
		if (l->cccd == handle && !list_empty(&l->subs))
			return true;
	return false;
}

/* --- values --- */

/*
 * Each callback may take any subscriber off, put new ones on (they wait for the next value), or
 * free the client.
 */
void gatt_client_value(struct gatt_client *gc, uint16_t handle, const uint8_t *value, size_t len,
                       bool indication)
{
	struct listen *l = listen_find(gc, handle);
	uint64_t number = ++gc->n_values;
	struct gatt_sub *sub;

	if (!l)
		return;
	gatt_hold(gc);
	l->holds++;
	l->cursor = list_first(&l->subs, struct gatt_sub, link);
	while (!gc->freed && (sub = l->cursor)) {
		l->cursor = sub_after(l, sub);
		if (sub->since < number && (indication ? sub->indicate : sub->notify))
			sub->value(sub, value, len, indication);
	}
	if (!gc->freed) {
		l->holds--;
		listen_reap(l);
	}
	gatt_release(gc);
}

/* --- the end of the link --- */

static struct gatt_sub *any_sub(struct gatt_client *gc, struct listen **ret)
{
	struct listen *l;

	list_for_each (l, &gc->listens, link) {
		*ret = l;
		if (!list_empty(&l->subs))
			return list_first(&l->subs, struct gatt_sub, link);
	}
	return NULL;
}

void subs_fail(struct gatt_client *gc, int err)
{
	struct listen *l, *next;
	struct gatt_sub *sub;

	while (!gc->freed && (sub = any_sub(gc, &l))) {
		sub_off(l, sub);
		sub->ended(sub, err);
	}
	if (gc->freed)
		return;
	list_for_each_safe (l, next, &gc->listens, link)
		listen_reap(l);
}

void subs_clear(struct gatt_client *gc)
{
	struct listen *l, *next;
	struct gatt_sub *sub;

	list_for_each_safe (l, next, &gc->listens, link) {
		while ((sub = list_first(&l->subs, struct gatt_sub, link)))
			list_del(&sub->link);
		listen_free(l);
	}
}
