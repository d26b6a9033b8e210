/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Initiating: creating links, as a host commands it (Vol 4, Part E, 7.8.12, 7.8.13, 7.8.66).
 */
#include "aiobled/cleanup.h"

#include "controller.h"
#include "initiator.h"
#include "states.h"

#define SCAN_UNIT_US                   HCIP_SCAN_UNIT_US

static bool scan_ok(uint16_t interval, uint16_t window)
{
	return interval >= HCIP_SCAN_UNITS_MIN && interval <= HCIP_SCAN_UNITS_MAX &&
	       window >= HCIP_SCAN_UNITS_MIN && window <= interval;
}

/* Return: false when a value is out of its range. @scan: scan interval and window come first. */
static bool read_scan(struct rd *p, struct initiator_phy *phy)
{
	uint16_t interval = rd_le16(p), window = rd_le16(p);

	phy->on = true;
	phy->interval_us = interval * (uint32_t)SCAN_UNIT_US;
	phy->window_us = window * (uint32_t)SCAN_UNIT_US;
	return scan_ok(interval, window);
}

static bool read_params(struct rd *p, struct link_params *params)
{
	uint16_t min = rd_le16(p);

	params->interval = rd_le16(p);
	params->latency = rd_le16(p);
	params->timeout = rd_le16(p);
	(void)rd_le32(p); /* event lengths are hints */
	return link_params_ok(min, params);
}

/* Types 2 and 3 are identities, which the resolving list turns into what is on the air. */
static bool read_target(struct rd *p, struct addr *ret)
{
	uint8_t type = rd_u8(p);

	ret->type = type & 1;
	rd_copy(p, ret->b, ADDR_LEN);
	return type <= 3;
}

static int may_start(struct controller *ctl, const struct initiator_request *req)
{
	struct addr own;

	if (links_initiating(ctl->links) || !states_allow_initiating(ctl))
		return HCIP_STATUS_DISALLOWED;
	if (req->own_type > 3)
		return HCIP_STATUS_INVALID_PARAMS;
	if (controller_own_addr(ctl, req->own_type, req->by_list ? NULL : &req->target, &own) < 0)
		return HCIP_STATUS_INVALID_PARAMS;
	if (ctl->links->n >= LINKS_MAX)
		return HCIP_STATUS_CONNECTION_LIMIT;
	if (!req->by_list && links_connected(ctl->links, &req->target))
		return HCIP_STATUS_CONNECTION_EXISTS;
	return HCIP_STATUS_OK;
}

static int start(struct controller *ctl, const struct initiator_request *req)
{
	int status = may_start(ctl, req);

	if (status == HCIP_STATUS_OK)
		initiator_start(ctl->links->initiator, req);
	return status;
}

static int run_create(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct initiator_request req = {0};
	struct initiator_phy *phy = &req.phys[PHY_1M - 1];
	bool ok = read_scan(p, phy);
	uint8_t policy = rd_u8(p);

	ok &= read_target(p, &req.target) || policy;
	req.by_list = policy;
	req.own_type = rd_u8(p);
	ok &= read_params(p, &phy->params);
	return ok && policy <= 1 ? start(ctl, &req) : HCIP_STATUS_INVALID_PARAMS;
}

static int run_ext_create(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct initiator_request req = {.extended = true};
	uint8_t policy = rd_u8(p), phys;
	bool ok = policy <= 1;

	req.by_list = policy;
	req.own_type = rd_u8(p);
	ok &= read_target(p, &req.target) || policy;
	phys = rd_u8(p);
	if (phys & ~link_phys_supported(ctl))
		return HCIP_STATUS_UNSUPPORTED_VALUE;
	for (int i = 0; i < PHY_CODED; i++) {
		if (!(phys >> i & 1))
			continue;
		/* 2M has no primary channel: its scan parameters mean nothing */
		ok &= read_scan(p, &req.phys[i]) || i + 1 == PHY_2M;
		ok &= read_params(p, &req.phys[i].params);
	}
	ok &= (phys & 5) != 0;
	return ok && rd_ok(p) ? start(ctl, &req) : HCIP_STATUS_INVALID_PARAMS;
}

static int run_cancel(struct controller *ctl, struct rd *p, struct wr *ret)
{
	if (!links_initiating(ctl->links))
		return HCIP_STATUS_DISALLOWED;
	initiator_cancel(ctl->links->initiator);
	return HCIP_STATUS_OK;
}

/* clang-format off */
const struct ctl_cmd ctl_init_cmds[] = {
	{0x200d, 26, 4, .flags = CTL_CMD_STATUS, .len = 25, .name = "LE Create Connection", .run = run_create},
	{0x200e, 26, 5, .name = "LE Create Connection Cancel", .run = run_cancel},
	{0x2043, 37, 7, VERSION_5_0, .flags = CTL_CMD_STATUS | CTL_CMD_VARIABLE, .len = 10, .features = FEATURE_EXT_ADV, .name = "LE Extended Create Connection", .run = run_ext_create},
	{0},
};
/* clang-format on */
