/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The resolving list and its switches, as a host commands it (Vol 4, Part E, 7.8.38 to 7.8.45, 7.8.77).
 */
#include <errno.h>

#include "controller.h"
#include "ctl_adv.h"
#include "ctl_scan.h"
#include "link.h"
#include "resolving.h"

#define IRK_LEN       16
#define TIMEOUT_MAX_S 3600

static bool radio_busy(struct controller *ctl)
{
	return ctl_adv_legacy_on(ctl->adv) || ctl_scan_on(ctl->scan) ||
	       links_initiating(ctl->links);
}

/* It must not change while somebody resolves by it. */
static bool in_use(struct controller *ctl)
{
	return resolving_enabled(ctl->resolving) && radio_busy(ctl);
}

static bool read_peer(struct rd *p, struct addr *ret)
{
	uint8_t type = rd_u8(p);

	ret->type = type & 1;
	rd_copy(p, ret->b, ADDR_LEN);
	return type <= 1;
}

static int run_add(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct addr peer;
	bool ok = read_peer(p, &peer);
	const uint8_t *peer_irk = rd_bytes(p, IRK_LEN), *local_irk = rd_bytes(p, IRK_LEN);

	if (in_use(ctl))
		return HCIP_STATUS_DISALLOWED;
	if (!ok || !local_irk)
		return HCIP_STATUS_INVALID_PARAMS;
	switch (resolving_add(ctl->resolving, &peer, peer_irk, local_irk)) {
	case 0:
		return HCIP_STATUS_OK;
	case -EEXIST:
		return HCIP_STATUS_INVALID_PARAMS;
	}
	return HCIP_STATUS_MEMORY_EXCEEDED;
}

static int run_remove(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct addr peer;
	bool ok = read_peer(p, &peer);

	if (in_use(ctl))
		return HCIP_STATUS_DISALLOWED;
	if (!ok)
		return HCIP_STATUS_INVALID_PARAMS;
	return resolving_remove(ctl->resolving, &peer) < 0 ? HCIP_STATUS_NO_CONNECTION
	                                                   : HCIP_STATUS_OK;
}

static int run_clear(struct controller *ctl, struct rd *p, struct wr *ret)
{
	if (in_use(ctl))
		return HCIP_STATUS_DISALLOWED;
	resolving_clear(ctl->resolving);
	return HCIP_STATUS_OK;
}

static int run_size(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, ctl->profile.resolving_list_size);
	return HCIP_STATUS_OK;
}

static int read_rpa(struct controller *ctl, struct rd *p, struct wr *ret, bool local)
{
	struct addr peer, rpa;

	if (!read_peer(p, &peer))
		return HCIP_STATUS_INVALID_PARAMS;
	if (resolving_read_rpa(ctl->resolving, &peer, local, &rpa) < 0)
		return HCIP_STATUS_NO_CONNECTION;
	wr_bytes(ret, rpa.b, ADDR_LEN);
	return HCIP_STATUS_OK;
}

static int run_read_peer(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return read_rpa(ctl, p, ret, false);
}

static int run_read_local(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return read_rpa(ctl, p, ret, true);
}

static int run_enable(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t enable = rd_u8(p);

	if (radio_busy(ctl))
		return HCIP_STATUS_DISALLOWED;
	if (enable > 1)
		return HCIP_STATUS_INVALID_PARAMS;
	resolving_enable(ctl->resolving, enable);
	return HCIP_STATUS_OK;
}

static int run_timeout(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint16_t seconds = rd_le16(p);

	if (!seconds || seconds > TIMEOUT_MAX_S)
		return HCIP_STATUS_INVALID_PARAMS;
	resolving_set_timeout(ctl->resolving, seconds);
	return HCIP_STATUS_OK;
}

static int run_privacy(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct addr peer;
	bool ok = read_peer(p, &peer);
	uint8_t mode = rd_u8(p);

	if (in_use(ctl))
		return HCIP_STATUS_DISALLOWED;
	if (!ok || mode > 1)
		return HCIP_STATUS_INVALID_PARAMS;
	return resolving_set_privacy(ctl->resolving, &peer, mode) < 0 ? HCIP_STATUS_NO_CONNECTION
	                                                              : HCIP_STATUS_OK;
}

/* clang-format off */
const struct ctl_cmd ctl_list_cmds[] = {
	{0x2027, 34, 3, .len = 39, .features = FEATURE_LL_PRIVACY, .name = "LE Add Device To Resolving List", .run = run_add},
	{0x2028, 34, 4, .len = 7, .features = FEATURE_LL_PRIVACY, .name = "LE Remove Device From Resolving List", .run = run_remove},
	{0x2029, 34, 5, .features = FEATURE_LL_PRIVACY, .name = "LE Clear Resolving List", .run = run_clear},
	{0x202a, 34, 6, .ret_len = 1, .features = FEATURE_LL_PRIVACY, .name = "LE Read Resolving List Size", .run = run_size},
	{0x202b, 34, 7, .len = 7, .ret_len = 6, .features = FEATURE_LL_PRIVACY, .name = "LE Read Peer Resolvable Address", .run = run_read_peer},
	{0x202c, 35, 0, .len = 7, .ret_len = 6, .features = FEATURE_LL_PRIVACY, .name = "LE Read Local Resolvable Address", .run = run_read_local},
	{0x202d, 35, 1, .len = 1, .features = FEATURE_LL_PRIVACY, .name = "LE Set Address Resolution Enable", .run = run_enable},
	{0x202e, 35, 2, .len = 2, .features = FEATURE_LL_PRIVACY, .name = "LE Set Resolvable Private Address Timeout", .run = run_timeout},
	{0x204e, 39, 2, VERSION_5_0, .len = 8, .features = FEATURE_LL_PRIVACY, .name = "LE Set Privacy Mode", .run = run_privacy},
	{0},
};
/* clang-format on */
