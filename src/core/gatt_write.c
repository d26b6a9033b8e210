/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing that takes one PDU (Core 5.4, Vol 3, Part G, 4.9.1 to 4.9.3 and 4.12.3): with an answer,
 * without, signed.
 */
#include <errno.h>
#include <stdlib.h>

#include "gatt_priv.h"

static void write_next(struct gatt_proc *p, int res)
{
	if (res == 0)
		res = att_parse_empty(p->req.rsp, p->req.rsp_len);
	proc_end(p, res);
}

/*
 * Both directions of the rule in one place: a value that does not fit is the caller's to cut or to
 * write long.
 */
static int check_value(const struct gatt_client *gc, uint16_t handle, size_t len, size_t header)
{
	if (handle == 0)
		return -EINVAL;
	return header + len > att_mtu(gc->att) ? -EMSGSIZE : 0;
}

int gatt_write(struct gatt_client *gc, struct gatt_op *g, uint16_t handle, const void *value,
               size_t len, uint32_t timeout_ms)
{
	_cleanup_(proc_freep) struct gatt_proc *p = NULL;
	uint8_t pdu[ATT_MTU_MAX];
	struct wr w = wr_init(pdu, sizeof(pdu));
	int r = gatt_check(gc, g);

	if (r == 0)
		r = check_value(gc, handle, len, ATT_HDR_HANDLE);
	if (r < 0)
		return r;
	p = proc_new(gc, g, sizeof(*p), write_next);
	if (!p)
		return -ENOMEM;
	att_put_write_req(&w, handle, value, len);
	r = proc_send(p, &w);
	if (r == 0)
		proc_started(steal(&p), timeout_ms);
	return r;
}

/* A command is no transaction: all there is to wait for is the kernel. */
struct command {
	struct gatt_proc p;
	struct att_cmd cmd;
};

static void command_sent(struct op *op, int res)
{
	proc_end(&container_of(op, struct command, cmd.op)->p, res);
}

static void command_leave(struct gatt_proc *p)
{
	op_drop(&container_of(p, struct command, p)->cmd.op);
}

static int command_start(struct gatt_client *gc, struct gatt_op *g, const struct wr *w,
                         uint32_t timeout_ms)
{
	_cleanup_(proc_freep) struct gatt_proc *p = proc_new(gc, g, sizeof(struct command), NULL);
	struct command *c;
	int r;

	if (!p)
		return -ENOMEM;
	if (!wr_ok(w))
		return -EMSGSIZE;
	p->leave = command_leave;
	c = container_of(p, struct command, p);
	op_init(&c->cmd.op, gc->loop, command_sent);
	r = att_command(gc->att, &c->cmd, w->start, wr_len(w), 0);
	if (r == 0)
		proc_started(steal(&p), timeout_ms);
	return r;
}

int gatt_write_command(struct gatt_client *gc, struct gatt_op *g, uint16_t handle,
                       const void *value, size_t len, uint32_t timeout_ms)
{
	uint8_t pdu[ATT_MTU_MAX];
	struct wr w = wr_init(pdu, sizeof(pdu));
	int r = gatt_check(gc, g);

	if (r == 0)
		r = check_value(gc, handle, len, ATT_HDR_HANDLE);
	if (r < 0)
		return r;
	att_put_write_cmd(&w, handle, value, len);
	return command_start(gc, g, &w, timeout_ms);
}

int gatt_write_signed(struct gatt_client *gc, struct gatt_op *g, uint16_t handle, const void *value,
                      size_t len, const uint8_t signature[ATT_SIGNATURE_LEN], uint32_t timeout_ms)
{
	uint8_t pdu[ATT_MTU_MAX];
	struct wr w = wr_init(pdu, sizeof(pdu));
	int r = gatt_check(gc, g);

	if (r == 0)
		r = check_value(gc, handle, len, ATT_HDR_HANDLE + ATT_SIGNATURE_LEN);
	if (r < 0)
		return r;
	att_put_signed_write(&w, handle, value, len, signature);
	return command_start(gc, g, &w, timeout_ms);
}
