/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every host sends first: reset, event masks, flow control between the two.
 */
#include "controller.h"

static int run_reset(struct controller *ctl, struct rd *p, struct wr *ret)
{
	controller_reset(ctl);
	return HCIP_STATUS_OK;
}

static int run_set_event_mask(struct controller *ctl, struct rd *p, struct wr *ret)
{
	ctl->event_mask = rd_le64(p);
	return HCIP_STATUS_OK;
}

static int run_set_event_mask2(struct controller *ctl, struct rd *p, struct wr *ret)
{
	ctl->event_mask2 = rd_le64(p);
	return HCIP_STATUS_OK;
}

static int run_set_le_event_mask(struct controller *ctl, struct rd *p, struct wr *ret)
{
	ctl->le_event_mask = rd_le64(p);
	return HCIP_STATUS_OK;
}

/* --- how much the host takes (7.3.38 to 7.3.40); commands and events are never held back --- */

enum { FLOW_ACL = 1, FLOW_SCO = 2 };

static int run_host_flow_control(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t mode = rd_u8(p);

	if (mode > (FLOW_ACL | FLOW_SCO))
		return HCIP_STATUS_INVALID_PARAMS;
	ctl->flow.on = mode & FLOW_ACL;
	return HCIP_STATUS_OK;
}

static int run_host_buffer_size(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint16_t acl_len = rd_le16(p), count;

	(void)rd_u8(p); /* synchronous data: there is none */
	count = rd_le16(p);
	if (!acl_len || !count)
		return HCIP_STATUS_INVALID_PARAMS;
	ctl->flow.free = count;
	return HCIP_STATUS_OK;
}

/* No answer at all unless it is wrong */
static int run_host_completed(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t n = rd_u8(p);

	if (p->left < n * 4u)
		return HCIP_STATUS_INVALID_PARAMS;
	for (uint8_t i = 0; i < n; i++) {
		uint16_t handle = rd_le16(p);

		controller_host_done(ctl, handle & 0xfff, rd_le16(p));
	}
	return CTL_ANSWERED;
}

/* clang-format off */
const struct ctl_cmd ctl_base_cmds[] = {
	{0x0c03, 5, 7, .name = "Reset", .run = run_reset},
	{0x0c01, 5, 6, .len = 8, .name = "Set Event Mask", .run = run_set_event_mask},
	{0x0c63, 22, 2, VERSION_4_1, .len = 8, .name = "Set Event Mask Page 2", .run = run_set_event_mask2},
	{0x2001, 25, 0, .len = 8, .name = "LE Set Event Mask", .run = run_set_le_event_mask},
	{0x0c31, 10, 5, .len = 1, .name = "Set Controller To Host Flow Control", .run = run_host_flow_control},
	{0x0c33, 10, 6, .len = 7, .name = "Host Buffer Size", .run = run_host_buffer_size},
	{0x0c35, 10, 7, .flags = CTL_CMD_VARIABLE, .len = 1, .name = "Host Number Of Completed Packets", .run = run_host_completed},
	{0},
};
/* clang-format on */
