/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long and reliable writes (Core 5.4, Vol 3, Part G, 4.9.4, 4.9.5 and 4.12.4): values are prepared
 * in pieces, each echoed by the peer, and executed together.
 *
 * The peer keeps one queue for us. So one procedure at a time may fill it, and whoever leaves it
 * filled behind must have it emptied before the next one starts: the cancel goes into the bearer's
 * queue before the next Prepare does.
 */
#include <errno.h>
#include <stdlib.h>

#include "gatt_priv.h"

#define PREPARE_HEADER 5 /* opcode, handle, offset */

struct long_write {
	struct gatt_proc p;
	struct list link; /* gc->long_writes */
	struct gatt_part *parts;
	size_t n, part, done; /* of the parts; the current one; bytes of it that are prepared */
	size_t piece;         /* bytes on the wire */
	bool queued;          /* something may stand in the queue at the peer */
	bool executing;
};

struct cancel {
	struct list link;
	struct att_req req;
};

static void on_cancelled(struct op *op, _unused_ int res)
{
	struct cancel *c = container_of(op, struct cancel, req.op);

	list_del(&c->link);
	free(c); /* an error changes nothing: there was nothing to cancel then */
}

static int cancel_prepared(struct gatt_client *gc)
{
	uint8_t pdu[2];
	struct wr w = wr_init(pdu, sizeof(pdu));
	struct cancel *c = calloc(1, sizeof(*c));
	int r;

	gc->cancel_due = true;
	if (!c)
		return -ENOMEM;
	op_init(&c->req.op, gc->loop, on_cancelled);
	att_put_execute_req(&w, ATT_EXECUTE_CANCEL);
	r = att_request(gc->att, &c->req, pdu, wr_len(&w), 0);
	if (r < 0) {
		free(c);
		return r;
	}
	gc->cancel_due = false;
	list_init(&c->link);
	list_add_tail(&gc->cancels, &c->link);
	return 0;
}

void long_writes_clear(struct gatt_client *gc)
{
	struct cancel *c;

	while ((c = list_first(&gc->cancels, struct cancel, link))) {
		op_drop(&c->req.op);
		list_del(&c->link);
		free(c);
	}
}

static int send_prepare(struct long_write *lw)
{
	const struct gatt_part *part = &lw->parts[lw->part];
	size_t room = att_mtu(lw->p.gc->att) - PREPARE_HEADER;
	struct att_prepare prep = {.handle = part->handle,
	                           .offset = (uint16_t)(part->offset + lw->done)};
	uint8_t pdu[ATT_MTU_MAX];
	struct wr w = wr_init(pdu, sizeof(pdu));

	lw->piece = MIN(room, part->len - lw->done);
	prep.value = (const uint8_t *)part->value + lw->done;
	prep.len = lw->piece;
	att_put_prepare_req(&w, &prep);
	return proc_send(&lw->p, &w);
}

static int send_execute(struct long_write *lw)
{
	uint8_t pdu[2];
	struct wr w = wr_init(pdu, sizeof(pdu));

	att_put_execute_req(&w, ATT_EXECUTE_WRITE);
	return proc_send(&lw->p, &w);
}

/*
 * The echo must be what was sent, to the byte (3.4.6.1 says that the client may compare; a reliable
 * write must).
 */
static int check_echo(const struct long_write *lw)
{
	const struct gatt_part *part = &lw->parts[lw->part];
	struct att_prepare echo;
	int r = att_parse_prepare(lw->p.req.rsp, lw->p.req.rsp_len, &echo);

	if (r < 0)
		return r;
	if (echo.handle != part->handle || echo.offset != part->offset + lw->done ||
	    echo.len != lw->piece)
		return -EBADMSG;
	if (memcmp(echo.value, (const uint8_t *)part->value + lw->done, echo.len) != 0)
		return -EBADMSG;
	return 0;
}

static void step_on(struct long_write *lw)
{
	lw->done += lw->piece;
	if (lw->done < lw->parts[lw->part].len)
		return;
	lw->part++;
	lw->done = 0;
}

static void long_write_next(struct gatt_proc *p, int res)
{
	struct long_write *lw = container_of(p, struct long_write, p);

	/* whatever it was, it was no refusal */
	if (res <= 0)
		lw->queued = true;
	if (res == 0)
		res = lw->executing ? att_parse_empty(p->req.rsp, p->req.rsp_len) : check_echo(lw);
	if (res != 0 || lw->executing) {
		proc_end(p, res);
		return;
	}
	step_on(lw);
	lw->executing = lw->part == lw->n;
	res = lw->executing ? send_execute(lw) : send_prepare(lw);
	if (res < 0) {
		lw->executing = false;
		proc_end(p, res);
	}
}

static int long_write_begin(struct long_write *lw)
{
	int r = lw->p.gc->cancel_due ? cancel_prepared(lw->p.gc) : 0;

	if (r == 0)
		r = send_prepare(lw);
	return r;
}

/*
 * What has left for the peer and was not executed must not stay there. An Execute on the wire is
 * past recall.
 */
static bool must_cancel(const struct long_write *lw)
{
	bool waits = op_live(&lw->p.req.op), sent = att_req_sent(&lw->p.req);

	if (lw->executing)
		return waits && !sent;
	return lw->queued || sent;
}

static void long_write_leave(struct gatt_proc *p)
{
	struct long_write *lw = container_of(p, struct long_write, p);
	struct gatt_client *gc = p->gc;
	bool first = gc->long_writes.next == &lw->link;
	struct long_write *next;

	/* what cannot be sent now is due before the next */
	if (must_cancel(lw) && !gc->down)
		(void)cancel_prepared(gc);
	op_drop(&p->req.op);
	list_del(&lw->link);
	while (first && !gc->down &&
	       (next = list_first(&gc->long_writes, struct long_write, link))) {
		int r = long_write_begin(next);

		if (r == 0)
			break;
		next->p.leave = NULL;
		list_del(&next->link);
		proc_end_later(&next->p, r);
	}
}

static int check_parts(const struct gatt_part *parts, size_t n, size_t *ret_bytes)
{
	size_t bytes = 0;

	if (n == 0 || n > GATT_PARTS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].handle == 0)
			return -EINVAL;
		if (parts[i].len > GATT_VALUE_MAX ||
		    parts[i].offset + parts[i].len > GATT_VALUE_MAX)
			return -EMSGSIZE;
		bytes += parts[i].len;
	}
	*ret_bytes = bytes;
	return 0;
}

/*
 * The caller's values may be gone before they are sent: one block holds the parts and their bytes.
 */
static int copy_parts(struct long_write *lw, const struct gatt_part *parts, size_t n, size_t bytes)
{
	uint8_t *at;

	lw->p.buf = malloc(n * sizeof(*parts) + bytes + 1); /* never NULL for empty values */
	if (!lw->p.buf)
		return -ENOMEM;
	lw->parts = (struct gatt_part *)(void *)lw->p.buf;
	lw->n = n;
	at = lw->p.buf + n * sizeof(*parts);
	for (size_t i = 0; i < n; i++) {
		lw->parts[i] = parts[i];
		lw->parts[i].value = at;
		if (parts[i].len)
			memcpy(at, parts[i].value, parts[i].len);
		at += parts[i].len;
	}
	return 0;
}

int gatt_write_reliable(struct gatt_client *gc, struct gatt_op *g, const struct gatt_part *parts,
                        size_t n, uint32_t timeout_ms)
{
	_cleanup_(proc_freep) struct gatt_proc *p = NULL;
	struct long_write *lw;
	size_t bytes = 0;
	bool first = list_empty(&gc->long_writes);
	int r = gatt_check(gc, g);

	if (r == 0)
		r = check_parts(parts, n, &bytes);
	if (r < 0)
		return r;
	p = proc_new(gc, g, sizeof(*lw), long_write_next);
	if (!p)
		return -ENOMEM;
	lw = container_of(p, struct long_write, p);
	r = copy_parts(lw, parts, n, bytes);
	if (r == 0 && first)
		r = long_write_begin(lw);
	if (r < 0)
		return r;
	p->leave = long_write_leave;
	list_init(&lw->link);
	list_add_tail(&gc->long_writes, &lw->link);
	proc_started(steal(&p), timeout_ms);
	return 0;
}

int gatt_write_long(struct gatt_client *gc, struct gatt_op *g, uint16_t handle, uint16_t offset,
                    const void *value, size_t len, uint32_t timeout_ms)
{
	struct gatt_part part = {.handle = handle, .offset = offset, .value = value, .len = len};

	return gatt_write_reliable(gc, g, &part, 1, timeout_ms);
}
