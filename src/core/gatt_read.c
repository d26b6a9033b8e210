/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading (Core 5.4, Vol 3, Part G, 4.8 and 4.12). A value that came in one answer is shown where
 * it lies in the answer; only a long one is put together in a buffer. Whether an answer may have
 * been cut is judged by the ATT_MTU that was in force while it was asked for, because an exchange
 * can come between.
 */
#include <errno.h>
#include <stdlib.h>

#include "aiobled/result.h"

#include "gatt_priv.h"

#define TYPED_VALUE_MAX                                                                            \
	253 /* a Read By Type Response says an item's length in one byte, the handle included */

struct read {
	struct gatt_proc p;
	uint16_t handle;
	size_t start, have; /* offset asked for; bytes in p.buf */
	bool continuing;
};

static int read_ask(struct read *rd)
{
	uint8_t pdu[8];
	struct wr w = wr_init(pdu, sizeof(pdu));
	size_t offset = rd->start + rd->have;

	if (offset)
		att_put_read_blob_req(&w, rd->handle, (uint16_t)offset);
	else
		att_put_read_req(&w, rd->handle);
	return proc_send(&rd->p, &w);
}

static void read_end(struct read *rd, const uint8_t *value, size_t len)
{
	rd->p.g->handle = rd->handle;
	rd->p.g->value = value;
	rd->p.g->value_len = len;
	proc_end(&rd->p, 0);
}

static int read_keep(struct read *rd, const uint8_t *value, size_t len)
{
	if (rd->start + rd->have + len > GATT_VALUE_MAX)
		return -EBADMSG;
	if (!rd->p.buf)
		rd->p.buf = malloc(GATT_VALUE_MAX);
	if (!rd->p.buf)
		return -ENOMEM;
	memcpy(rd->p.buf + rd->have, value, len);
	rd->have += len;
	return 0;
}

/* One more piece; a full one means that there may be more. */
static void read_take(struct read *rd, const uint8_t *value, size_t len, size_t full)
{
	bool more = len >= full && rd->start + rd->have + len < GATT_VALUE_MAX;
	int r;

	if (!more && !rd->have && rd->start + len <= GATT_VALUE_MAX) {
		read_end(rd, value, len);
		return;
	}
	r = read_keep(rd, value, len);
	rd->continuing = true;
	if (r == 0 && more)
		r = read_ask(rd);
	if (r < 0)
		proc_end(&rd->p, r);
	else if (!more)
		read_end(rd, rd->p.buf, rd->have);
}

static bool is_end_of_value(int res)
{
	return res == RES_ATT(ATT_ERR_NOT_LONG) || res == RES_ATT(ATT_ERR_INVALID_OFFSET) ||
	       res == RES_ATT(ATT_ERR_NOT_SUPPORTED);
}

static void read_next(struct gatt_proc *p, int res)
{
	struct read *rd = container_of(p, struct read, p);
	const uint8_t *value;
	size_t len;

	if (rd->continuing && is_end_of_value(res)) {
		p->g->err_handle = 0;
		read_end(rd, p->buf, rd->have);
		return;
	}
	if (res == 0)
		res = att_parse_read_rsp(p->req.rsp, p->req.rsp_len, &value, &len);
	if (res != 0)
		proc_end(p, res);
	else
		read_take(rd, value, len, p->req.mtu - 1U);
}

static struct read *read_new(struct gatt_client *gc, struct gatt_op *g,
                             void (*next)(struct gatt_proc *p, int res))
{
	struct gatt_proc *p = proc_new(gc, g, sizeof(struct read), next);

	return p ? container_of(p, struct read, p) : NULL;
}

int gatt_read(struct gatt_client *gc, struct gatt_op *g, uint16_t handle, uint16_t offset,
              uint32_t timeout_ms)
{
	struct read *rd;
	int r = gatt_check(gc, g);

	if (r < 0)
		return r;
	if (handle == 0)
		return -EINVAL;
	rd = read_new(gc, g, read_next);
	if (!rd)
		return -ENOMEM;
	rd->handle = handle;
	rd->start = offset;
	r = read_ask(rd);
	if (r < 0)
		(void)proc_free(&rd->p);
	else
		proc_started(&rd->p, timeout_ms);
	return r;
}

struct read_by_uuid {
	struct read rd;
	struct att_range range;
};

/*
 * The first item of the answer; the rest of its value, if there may be more, comes like that of any
 * long value.
 */
static void read_typed_next(struct gatt_proc *p, int res)
{
	struct read_by_uuid *by = container_of(p, struct read_by_uuid, rd.p);
	struct att_list items;
	const uint8_t *value;
	uint16_t handle;
	size_t len;

	if (res == RES_ATT(ATT_ERR_NOT_FOUND))
		res = -ENOENT;
	if (res == 0)
		res = att_parse_read_by_type_rsp(p->req.rsp, p->req.rsp_len, &items);
	if (res == 0 && (!att_next_typed(&items, &handle, &value, &len) ||
	                 handle < by->range.start || handle > by->range.end))
		res = -EBADMSG;
	if (res != 0) {
		proc_end(p, res);
		return;
	}
	by->rd.handle = handle;
	p->next = read_next;
	read_take(&by->rd, value, len, MIN(p->req.mtu - 4U, TYPED_VALUE_MAX));
}

int gatt_read_by_uuid(struct gatt_client *gc, struct gatt_op *g, const struct uuid *uuid,
                      uint16_t start, uint16_t end, uint32_t timeout_ms)
{
	_cleanup_(proc_freep) struct gatt_proc *p = NULL;
	uint8_t pdu[ATT_MTU_DEFAULT];
	struct wr w = wr_init(pdu, sizeof(pdu));
	struct att_range range = {start, end};
	int r = gatt_check(gc, g);

	if (r < 0)
		return r;
	if (start == 0 || start > end)
		return -EINVAL;
	p = proc_new(gc, g, sizeof(struct read_by_uuid), read_typed_next);
	if (!p)
		return -ENOMEM;
	container_of(p, struct read_by_uuid, rd.p)->range = range;
	att_put_read_by_type_req(&w, range, uuid);
	r = proc_send(p, &w);
	if (r == 0)
		proc_started(steal(&p), timeout_ms);
	return r;
}

/* The peer cuts what does not fit, and nobody but the caller knows how long the values are. */
static void read_multiple_next(struct gatt_proc *p, int res)
{
	if (res == 0)
		res = att_parse_read_rsp(p->req.rsp, p->req.rsp_len, &p->g->value,
		                         &p->g->value_len);
	proc_end(p, res);
}

int gatt_read_multiple(struct gatt_client *gc, struct gatt_op *g, const uint16_t *handles, size_t n,
                       uint32_t timeout_ms)
{
	_cleanup_(proc_freep) struct gatt_proc *p = NULL;
	uint8_t pdu[ATT_MTU_MAX];
	struct wr w = wr_init(pdu, att_mtu(gc->att));
	int r = gatt_check(gc, g);

	if (r < 0)
		return r;
	if (n < 2)
		return -EINVAL;
	p = proc_new(gc, g, sizeof(*p), read_multiple_next);
	if (!p)
		return -ENOMEM;
	att_put_read_multi_req(&w, handles, n);
	r = proc_send(p, &w);
	if (r == 0)
		proc_started(steal(&p), timeout_ms);
	return r;
}
