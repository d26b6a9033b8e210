/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The filter accept list, as a host fills it (Vol 4, Part E, 7.8.14 to 7.8.17).
 */
#include "controller.h"

#include "ctl_adv.h"
#include "ctl_scan.h"
#include "link.h"

#define ANONYMOUS 0xff

/* It must not change while somebody filters by it. */
static bool in_use(struct controller *ctl)
{
	return ctl_adv_filters(ctl->adv) || ctl_scan_filters(ctl->scan) ||
	       links_initiating_by_list(ctl->links);
}

static int run_read_size(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, (uint8_t)ctl->accept.size);
	return HCIP_STATUS_OK;
}

static int run_clear(struct controller *ctl, struct rd *p, struct wr *ret)
{
	if (in_use(ctl))
		return HCIP_STATUS_DISALLOWED;
	accept_list_clear(&ctl->accept);
	return HCIP_STATUS_OK;
}

/* Return: the address type, 0, 1 or ANONYMOUS; or -1 */
static int read_entry(struct rd *p, struct addr *ret)
{
	uint8_t type = rd_u8(p);

	*ret = (struct addr){.type = type & 1};
	rd_copy(p, ret->b, ADDR_LEN);
	return type <= 1 || type == ANONYMOUS ? type : -1;
}

static int run_add(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct addr a;
	int type = read_entry(p, &a);

	if (in_use(ctl))
		return HCIP_STATUS_DISALLOWED;
	if (type < 0)
		return HCIP_STATUS_INVALID_PARAMS;
	if (type == ANONYMOUS)
		ctl->accept.anonymous = true;
	else if (accept_list_add(&ctl->accept, &a) < 0)
		return HCIP_STATUS_MEMORY_EXCEEDED;
	return HCIP_STATUS_OK;
}

static int run_remove(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct addr a;
	int type = read_entry(p, &a);

	if (in_use(ctl))
		return HCIP_STATUS_DISALLOWED;
	if (type < 0)
		return HCIP_STATUS_INVALID_PARAMS;
	if (type == ANONYMOUS)
		ctl->accept.anonymous = false;
	else
		accept_list_remove(&ctl->accept, &a);
	return HCIP_STATUS_OK;
}

/* clang-format off */
const struct ctl_cmd ctl_accept_cmds[] = {
	{0x200f, 26, 6, .ret_len = 1, .name = "LE Read Filter Accept List Size", .run = run_read_size},
	{0x2010, 26, 7, .name = "LE Clear Filter Accept List", .run = run_clear},
	{0x2011, 27, 0, .len = 7, .name = "LE Add Device To Filter Accept List", .run = run_add},
	{0x2012, 27, 1, .len = 7, .name = "LE Remove Device From Filter Accept List", .run = run_remove},
	{0},
};
/* clang-format on */
