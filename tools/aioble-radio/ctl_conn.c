/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links: parameters, features, PHY, data length, disconnecting, as a host commands it.
 */
#include <stdlib.h>

#include "controller.h"
#include "link_priv.h"

#define LL_TIME_MAX_US 17040
#define PHY_BITS       0x07
#define DEFAULT_TX_PHY 1 /* all_phys: the host has no wish for this direction */
#define DEFAULT_RX_PHY 2

static struct link *read_link(struct controller *ctl, struct rd *p)
{
	return link_find(ctl->links, rd_le16(p) & 0x0fff);
}

static void put_handle(struct wr *ret, const struct link *l)
{
	wr_le16(ret, l->handle);
}

/* --- ending --- */

static bool reason_ok(uint8_t reason)
{
	static const uint8_t reasons[] = {0x05, 0x13, 0x14, 0x15, 0x1a, 0x29, 0x3b}; /* 7.1.6 */

	return memchr(reasons, reason, sizeof(reasons)) != NULL;
}

static int run_disconnect(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);
	uint8_t reason = rd_u8(p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (!reason_ok(reason))
		return HCIP_STATUS_INVALID_PARAMS;
	if (l->leaving)
		return HCIP_STATUS_DISALLOWED;
	controller_cmd_status(ctl, HCIP_DISCONNECT, HCIP_STATUS_OK);
	link_leave(l, reason);
	return CTL_ANSWERED;
}

/* --- what is known about the other end --- */

/* Starts a procedure, or tells at once what it would find out. */
static int ask(struct link *l, uint16_t opcode, enum link_proc proc, bool known,
               void (*tell)(struct link *l, uint8_t status))
{
	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (!known) {
		link_want(l, proc);
		return HCIP_STATUS_OK;
	}
	controller_cmd_status(l->ctl, opcode, HCIP_STATUS_OK);
	tell(l, HCIP_STATUS_OK);
	return CTL_ANSWERED;
}

static int run_remote_version(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);

	return ask(l, 0x041d, PROC_VERSION, l && l->has_version, link_tell_version);
}

static int run_remote_features(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);

	if (l && l->role == HCIP_ROLE_PERIPHERAL && !controller_has(ctl, FEATURE_PERIPHERAL_FEAT))
		return HCIP_STATUS_DISALLOWED;
	return ask(l, 0x2016, PROC_FEATURES, l && l->has_features, link_tell_features);
}

static int run_read_rssi(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	put_handle(ret, l);
	wr_u8(ret, l->established ? (uint8_t)l->rssi_dbm : HCIP_DBM_UNKNOWN);
	return HCIP_STATUS_OK;
}

static int run_read_tx_power(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);
	uint8_t type = rd_u8(p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (type > 1)
		return HCIP_STATUS_INVALID_PARAMS;
	put_handle(ret, l);
	wr_u8(ret, (uint8_t)(type ? CTL_TX_MAX_DBM : l->tx_dbm));
	return HCIP_STATUS_OK;
}

/* 7.3.4: what has not begun to be sent is given up, and counts as completed */
static void flush(struct link *l)
{
	struct link_acl *a, *tmp;

	list_for_each_safe (a, tmp, &l->acl, link) {
		if (a->sent)
			continue;
		list_del(&a->link);
		free(a);
		l->completed++;
	}
}

static int run_flush(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	flush(l);
	link_report_completed(l);
	put_handle(ret, l);
	return HCIP_STATUS_OK;
}

/* --- connection parameters --- */

static bool read_wish(struct rd *p, uint16_t *ret_min, struct link_params *ret)
{
	*ret_min = rd_le16(p);
	ret->interval = rd_le16(p);
	ret->latency = rd_le16(p);
	ret->timeout = rd_le16(p);
	(void)rd_le32(p);
	return link_params_ok(*ret_min, ret);
}

static int run_update(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);
	struct link_params wish;
	uint16_t min;

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (!read_wish(p, &min, &wish))
		return HCIP_STATUS_INVALID_PARAMS;
	if ((l->role == HCIP_ROLE_PERIPHERAL && !controller_has(ctl, FEATURE_CONN_PARAM_REQ)) ||
	    l->active == PROC_UPDATE || l->params_asked)
		return HCIP_STATUS_DISALLOWED;
	l->wish_min = min;
	l->wish = wish;
	link_want(l, PROC_UPDATE);
	return HCIP_STATUS_OK;
}

static int run_params_reply(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);
	struct link_params wish;
	uint16_t min;

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (!l->params_asked)
		return HCIP_STATUS_DISALLOWED;
	if (!read_wish(p, &min, &wish))
		return HCIP_STATUS_INVALID_PARAMS;
	l->wish_min = min;
	l->wish = wish;
	put_handle(ret, l);
	link_answer_params(l, HCIP_STATUS_OK);
	return HCIP_STATUS_OK;
}

static int run_params_refuse(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);
	uint8_t reason = rd_u8(p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (!l->params_asked)
		return HCIP_STATUS_DISALLOWED;
	put_handle(ret, l);
	link_answer_params(l, reason ? reason : HCIP_STATUS_UNACCEPTABLE_INTERVAL);
	return HCIP_STATUS_OK;
}

/* --- data length, PHY, channels --- */

static int run_data_length(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);
	uint16_t octets = rd_le16(p), time = rd_le16(p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (octets < LL_OCTETS_MIN || octets > LL_OCTETS_MAX || time < LL_TIME_MIN_US ||
	    time > LL_TIME_MAX_US)
		return HCIP_STATUS_INVALID_PARAMS;
	l->own_tx_octets = octets;
	l->own_tx_time = time;
	put_handle(ret, l);
	link_want(l, PROC_LENGTH);
	return HCIP_STATUS_OK;
}

static int run_read_phy(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	put_handle(ret, l);
	wr_u8(ret, l->tx_phy);
	wr_u8(ret, l->rx_phy);
	return HCIP_STATUS_OK;
}

static int run_set_phy(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);
	uint8_t all = rd_u8(p), tx = rd_u8(p), rx = rd_u8(p), known = link_phys_supported(ctl);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (all & DEFAULT_TX_PHY)
		tx = known;
	if (all & DEFAULT_RX_PHY)
		rx = known;
	if (!tx || !rx || ((tx | rx) & ~PHY_BITS))
		return HCIP_STATUS_INVALID_PARAMS;
	if ((tx | rx) & ~known)
		return HCIP_STATUS_UNSUPPORTED_VALUE;
	l->tx_phys = tx;
	l->rx_phys = rx;
	link_want(l, PROC_PHY);
	return HCIP_STATUS_OK;
}

static uint64_t read_map(struct rd *p)
{
	uint64_t map = rd_le32(p);

	return map | (uint64_t)rd_u8(p) << 32;
}

/* 7.8.19: for links as a central, now and later */
static int run_set_channels(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint64_t map = read_map(p);
	struct link *l;

	if (__builtin_popcountll(map) < 2 || (map & ~CHAN_MAP_ALL))
		return HCIP_STATUS_INVALID_PARAMS;
	ctl->links->map = map;
	list_for_each (l, &ctl->links->list, entry) {
		if (l->role == HCIP_ROLE_CENTRAL)
			link_want(l, PROC_CHANNELS);
	}
	return HCIP_STATUS_OK;
}

static int run_read_channels(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	put_handle(ret, l);
	wr_le32(ret, (uint32_t)l->plan.map);
	wr_u8(ret, (uint8_t)(l->plan.map >> 32));
	return HCIP_STATUS_OK;
}

/* --- authenticated payload timeout --- */

static int run_read_auth(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	put_handle(ret, l);
	wr_le16(ret, l->auth_10ms);
	return HCIP_STATUS_OK;
}

/* 7.3.94: not shorter than the time in which a latent peripheral is sure to be heard */
static int run_write_auth(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);
	uint16_t limit = rd_le16(p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (!limit ||
	    limit * 10000ull < l->params.interval * (1ull + l->params.latency) * LINK_UNIT_US)
		return HCIP_STATUS_INVALID_PARAMS;
	l->auth_10ms = limit;
	put_handle(ret, l);
	link_auth_arm(l);
	return HCIP_STATUS_OK;
}

/* clang-format off */
const struct ctl_cmd ctl_conn_cmds[] = {
	{0x0406, 0, 5, .flags = CTL_CMD_STATUS, .len = 3, .name = "Disconnect", .run = run_disconnect},
	{0x041d, 2, 7, .flags = CTL_CMD_STATUS, .len = 2, .name = "Read Remote Version Information", .run = run_remote_version},
	{0x0c08, 6, 1, .len = 2, .ret_len = 2, .name = "Flush", .run = run_flush},
	{0x0c2d, 10, 2, .len = 3, .ret_len = 3, .name = "Read Transmit Power Level", .run = run_read_tx_power},
	{0x0c7b, 32, 4, .len = 2, .ret_len = 4, .features = FEATURE_PING, .name = "Read Authenticated Payload Timeout", .run = run_read_auth},
	{0x0c7c, 32, 5, .len = 4, .ret_len = 2, .features = FEATURE_PING, .name = "Write Authenticated Payload Timeout", .run = run_write_auth},
	{0x1405, 15, 5, .len = 2, .ret_len = 3, .name = "Read RSSI", .run = run_read_rssi},
	{0x2013, 27, 2, .flags = CTL_CMD_STATUS, .len = 14, .name = "LE Connection Update", .run = run_update},
	{0x2014, 27, 3, .len = 5, .name = "LE Set Host Channel Classification", .run = run_set_channels},
	{0x2015, 27, 4, .len = 2, .ret_len = 7, .name = "LE Read Channel Map", .run = run_read_channels},
	{0x2016, 27, 5, .flags = CTL_CMD_STATUS, .len = 2, .name = "LE Read Remote Features", .run = run_remote_features},
	{0x2020, 33, 4, .len = 14, .ret_len = 2, .features = FEATURE_CONN_PARAM_REQ, .name = "LE Remote Connection Parameter Request Reply", .run = run_params_reply},
	{0x2021, 33, 5, .len = 3, .ret_len = 2, .features = FEATURE_CONN_PARAM_REQ, .name = "LE Remote Connection Parameter Request Negative Reply", .run = run_params_refuse},
	{0x2022, 33, 6, .len = 6, .ret_len = 2, .features = FEATURE_DATA_LENGTH, .name = "LE Set Data Length", .run = run_data_length},
	{0x2030, 35, 4, .len = 2, .ret_len = 4, .features = FEATURE_2M, .name = "LE Read PHY", .run = run_read_phy},
	{0x2032, 35, 6, .flags = CTL_CMD_STATUS, .len = 7, .features = FEATURE_2M, .name = "LE Set PHY", .run = run_set_phy},
	{0},
};
/* clang-format on */
