/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Link Layer control procedures (Core 5.4, Vol 6, Part B, 5.1). An end starts one procedure at a time and answers those
 * of the other end as they come; of two that collide the central's goes on (5.3).
 */
#include "link_priv.h"

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "controller.h"

#define TIME_MAX_US    2120
#define TIME_MAX_CODED 17040
#define COMPANY_NONE   0xffff

static bool is_central(const struct link *l)
{
	return l->role == HCIP_ROLE_CENTRAL;
}

/* --- the queue --- */

void link_put_ctrl(struct link *l, uint8_t opcode, const void *params, size_t len)
{
	struct link_ctrl *c = &l->ctrl[l->n_ctrl];

	if (l->n_ctrl == LINK_CTRL_MAX || 1 + len > LINK_CTRL_LEN) {
		log_debug(l->ctl->radio.name, "link 0x%04x: no room for LL 0x%02x", l->handle,
		          opcode);
		return;
	}
	c->len = (uint8_t)(1 + len);
	c->data[0] = opcode;
	if (len)
		memcpy(c->data + 1, params, len);
	l->n_ctrl++;
	link_kick(l);
}

int link_ctrl_sendable(const struct link *l)
{
	for (unsigned int i = 0; i < l->n_ctrl; i++) {
		if (!l->paused || link_crypt_allows(l->ctrl[i].data[0]))
			return (int)i;
	}
	return -1;
}

void link_leave(struct link *l, uint8_t reason)
{
	l->leaving = reason;
	l->n_ctrl = 0; /* nothing else matters any more */
	link_put_ctrl(l, LL_TERMINATE_IND, &reason, 1);
}

void link_reject(struct link *l, uint8_t opcode, uint8_t reason)
{
	uint8_t p[] = {opcode, reason};
	bool ext = controller_has(l->ctl, FEATURE_EXT_REJECT) &&
	           (!l->has_features || (l->peer_features & FEATURE_EXT_REJECT));

	if (ext)
		link_put_ctrl(l, LL_REJECT_EXT_IND, p, sizeof(p));
	else
		link_put_ctrl(l, LL_REJECT_IND, &reason, 1);
}

/* --- events --- */

static void put_head(struct wr *w, const struct link *l, uint8_t status)
{
	wr_u8(w, status);
	wr_le16(w, l->handle);
}

void link_tell_version(struct link *l, uint8_t status)
{
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	put_head(&w, l, status);
	wr_bytes(&w, l->peer_version, sizeof(l->peer_version));
	controller_event(l->ctl, HCIP_EV_REMOTE_VERSION, buf, wr_len(&w));
}

void link_tell_features(struct link *l, uint8_t status)
{
	uint8_t buf[11];
	struct wr w = wr_init(buf, sizeof(buf));

	put_head(&w, l, status);
	wr_le64(&w, status ? 0 : l->peer_features);
	controller_le_event(l->ctl, HCIP_LE_REMOTE_FEATURES, buf, wr_len(&w));
}

void link_tell_update(struct link *l, uint8_t status)
{
	uint8_t buf[9];
	struct wr w = wr_init(buf, sizeof(buf));

	put_head(&w, l, status);
	wr_le16(&w, l->params.interval);
	wr_le16(&w, l->params.latency);
	wr_le16(&w, l->params.timeout);
	controller_le_event(l->ctl, HCIP_LE_CONN_UPDATED, buf, wr_len(&w));
}

void link_tell_phys(struct link *l, uint8_t status)
{
	uint8_t buf[5];
	struct wr w = wr_init(buf, sizeof(buf));

	put_head(&w, l, status);
	wr_u8(&w, l->tx_phy);
	wr_u8(&w, l->rx_phy);
	controller_le_event(l->ctl, HCIP_LE_PHY_UPDATED, buf, wr_len(&w));
}

static void tell_length(struct link *l)
{
	uint8_t buf[10];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le16(&w, l->handle);
	wr_le16(&w, l->tx_octets);
	wr_le16(&w, l->tx_time);
	wr_le16(&w, l->rx_octets);
	wr_le16(&w, l->rx_time);
	controller_le_event(l->ctl, HCIP_LE_DATA_LENGTH, buf, wr_len(&w));
}

/* --- version (5.1.5), features (5.1.4) --- */

static void send_version(struct link *l)
{
	uint8_t p[5] = {l->ctl->profile.version, COMPANY_NONE & 0xff, COMPANY_NONE >> 8, 0, 0};

	if (!l->version_sent)
		link_put_ctrl(l, LL_VERSION_IND, p, sizeof(p));
	l->version_sent = true;
}

static bool on_version(struct link *l, struct rd *p)
{
	rd_copy(p, l->peer_version, sizeof(l->peer_version));
	l->has_version = true;
	send_version(l);
	if (l->active == PROC_VERSION) {
		link_tell_version(l, 0);
		link_proc_done(l);
	}
	return true;
}

static void send_features(struct link *l, uint8_t opcode, uint64_t features)
{
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le64(&w, features);
	link_put_ctrl(l, opcode, buf, sizeof(buf));
}

/* The answer's first octet is what both have (5.1.4.1). */
static bool on_feature_req(struct link *l, struct rd *p)
{
	uint64_t own = l->ctl->profile.features;

	l->peer_features = rd_le64(p);
	l->has_features = true;
	send_features(l, LL_FEATURE_RSP, own & (l->peer_features | ~UINT64_C(0xff)));
	return true;
}

static bool on_feature_rsp(struct link *l, struct rd *p)
{
	l->peer_features = rd_le64(p);
	l->has_features = true;
	if (l->active == PROC_FEATURES) {
		link_tell_features(l, 0);
		link_proc_done(l);
	}
	return true;
}

static void start_features(struct link *l)
{
	send_features(l, is_central(l) ? LL_FEATURE_REQ : LL_PERIPHERAL_FEATURE_REQ,
	              l->ctl->profile.features);
}

/* --- data length (5.1.9) --- */

static uint16_t own_max_time(const struct link *l)
{
	return controller_has(l->ctl, FEATURE_CODED) ? TIME_MAX_CODED : TIME_MAX_US;
}

static void send_length(struct link *l, uint8_t opcode)
{
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le16(&w, LL_OCTETS_MAX);
	wr_le16(&w, own_max_time(l));
	wr_le16(&w, l->own_tx_octets);
	wr_le16(&w, l->own_tx_time);
	link_put_ctrl(l, opcode, buf, sizeof(buf));
}

static bool set_u16(uint16_t *to, unsigned int v)
{
	bool differs = *to != v;

	*to = (uint16_t)v;
	return differs;
}

static void apply_length(struct link *l, struct rd *p)
{
	uint16_t rx_octets = rd_le16(p), rx_time = rd_le16(p);
	uint16_t tx_octets = rd_le16(p), tx_time = rd_le16(p);
	bool changed = set_u16(&l->tx_octets, MAX(LL_OCTETS_MIN, MIN(l->own_tx_octets, rx_octets)));

	changed |= set_u16(&l->tx_time, MAX(LL_TIME_MIN_US, MIN(l->own_tx_time, rx_time)));
	changed |= set_u16(&l->rx_octets, MAX(LL_OCTETS_MIN, MIN(LL_OCTETS_MAX, tx_octets)));
	changed |= set_u16(&l->rx_time, MAX(LL_TIME_MIN_US, MIN(own_max_time(l), tx_time)));
	link_fit_fragments(l);
	if (changed)
		tell_length(l);
}

static bool on_length_req(struct link *l, struct rd *p)
{
	send_length(l, LL_LENGTH_RSP);
	apply_length(l, p);
	return true;
}

static bool on_length_rsp(struct link *l, struct rd *p)
{
	apply_length(l, p);
	if (l->active == PROC_LENGTH)
		link_proc_done(l);
	return true;
}

/* --- the rest --- */

static bool on_terminate(struct link *l, struct rd *p)
{
	l->ending = rd_u8(p);
	if (!l->ending)
		l->ending = HCIP_STATUS_UNSPECIFIED;
	return true;
}

static bool on_ping_req(struct link *l, struct rd *p)
{
	link_put_ctrl(l, LL_PING_RSP, NULL, 0);
	return true;
}

static bool on_ping_rsp(struct link *l, struct rd *p)
{
	if (l->active == PROC_PING)
		link_proc_done(l);
	return true;
}

/* The peer refuses our procedure, or does not know it. */
static void proc_failed(struct link *l, uint8_t reason)
{
	switch (l->active) {
	case PROC_FEATURES:
		link_tell_features(l, reason);
		break;
	case PROC_UPDATE:
		link_tell_update(l, reason);
		break;
	case PROC_PHY:
		link_tell_phys(l, reason);
		break;
	case PROC_ENC:
		link_crypt_rejected(l, reason);
		break;
	case PROC_NONE:
		return;
	case PROC_VERSION:
	case PROC_LENGTH:
	case PROC_CHANNELS:
	case PROC_PING:
		break;
	}
	link_proc_done(l);
}

static const uint8_t proc_opcode[][2] = {
	[PROC_FEATURES] = {LL_FEATURE_REQ, LL_PERIPHERAL_FEATURE_REQ},
	[PROC_ENC] = {LL_ENC_REQ, LL_PAUSE_ENC_REQ},
	[PROC_LENGTH] = {LL_LENGTH_REQ, LL_LENGTH_REQ},
	[PROC_PHY] = {LL_PHY_REQ, LL_PHY_REQ},
	[PROC_UPDATE] = {LL_CONNECTION_PARAM_REQ, LL_CONNECTION_PARAM_REQ},
	[PROC_PING] = {LL_PING_REQ, LL_PING_REQ},
};

static void refused(struct link *l, uint8_t opcode, uint8_t reason)
{
	if (l->active != PROC_NONE && l->active < ARRAY_SIZE(proc_opcode) &&
	    (proc_opcode[l->active][0] == opcode || proc_opcode[l->active][1] == opcode))
		proc_failed(l, reason);
}

static bool on_unknown(struct link *l, struct rd *p)
{
	refused(l, rd_u8(p), HCIP_STATUS_UNSUPPORTED_REMOTE_FEATURE);
	return true;
}

static bool on_reject_ext(struct link *l, struct rd *p)
{
	uint8_t opcode = rd_u8(p);

	refused(l, opcode, rd_u8(p));
	return true;
}

/* The plain form does not say what it refuses: in 4.0 there was but one procedure to refuse. */
static bool on_reject(struct link *l, struct rd *p)
{
	uint8_t reason = rd_u8(p);

	if (l->active == PROC_ENC)
		proc_failed(l, reason);
	return true;
}

/* --- input --- */

enum { CENTRAL = 1, PERIPHERAL = 2, EITHER = 3 };

static const struct {
	uint8_t opcode, len, role;
	uint64_t features; /* to know it */
	bool (*fn)(struct link *l, struct rd *p);
} handlers[] = {
	{LL_CONNECTION_UPDATE_IND, 11, PERIPHERAL, 0, link_on_update_ind},
	{LL_CHANNEL_MAP_IND, 7, PERIPHERAL, 0, link_on_channel_map},
	{LL_TERMINATE_IND, 1, EITHER, 0, on_terminate},
	{LL_UNKNOWN_RSP, 1, EITHER, 0, on_unknown},
	{LL_FEATURE_REQ, 8, PERIPHERAL, 0, on_feature_req},
	{LL_FEATURE_RSP, 8, EITHER, 0, on_feature_rsp},
	{LL_VERSION_IND, 5, EITHER, 0, on_version},
	{LL_REJECT_IND, 1, EITHER, 0, on_reject},
	{LL_PERIPHERAL_FEATURE_REQ, 8, CENTRAL, FEATURE_PERIPHERAL_FEAT, on_feature_req},
	{LL_CONNECTION_PARAM_REQ, 23, CENTRAL, FEATURE_CONN_PARAM_REQ, link_on_param_req},
	{LL_REJECT_EXT_IND, 2, EITHER, FEATURE_EXT_REJECT, on_reject_ext},
	{LL_PING_REQ, 0, EITHER, FEATURE_PING, on_ping_req},
	{LL_PING_RSP, 0, EITHER, FEATURE_PING, on_ping_rsp},
	{LL_LENGTH_REQ, 8, EITHER, FEATURE_DATA_LENGTH, on_length_req},
	{LL_LENGTH_RSP, 8, EITHER, FEATURE_DATA_LENGTH, on_length_rsp},
	{LL_PHY_REQ, 2, EITHER, FEATURE_2M, link_on_phy_req},
	{LL_PHY_RSP, 2, CENTRAL, FEATURE_2M, link_on_phy_rsp},
	{LL_PHY_UPDATE_IND, 4, PERIPHERAL, FEATURE_2M, link_on_phy_update},
};

bool link_ctrl_input(struct link *l, const uint8_t *pdu, size_t len)
{
	uint8_t opcode = pdu[0], role = is_central(l) ? CENTRAL : PERIPHERAL;
	struct rd p = rd_init(pdu + 1, len - 1);

	if (link_crypt_input(l, opcode, pdu + 1, len - 1))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (handlers[i].opcode == opcode && handlers[i].len == len - 1 &&
		    (handlers[i].role & role) && controller_has(l->ctl, handlers[i].features))
			return handlers[i].fn(l, &p);
	}
	if (opcode != LL_UNKNOWN_RSP)
		link_put_ctrl(l, LL_UNKNOWN_RSP, &opcode, 1);
	return true;
}

/* --- one at a time --- */

static void start(struct link *l)
{
	switch (l->active) {
	case PROC_NONE:
		return;
	case PROC_VERSION:
		send_version(l);
		return;
	case PROC_FEATURES:
		start_features(l);
		return;
	case PROC_ENC:
		link_crypt_start(l);
		return;
	case PROC_LENGTH:
		send_length(l, LL_LENGTH_REQ);
		return;
	case PROC_PHY:
		link_start_phys(l);
		return;
	case PROC_UPDATE:
		link_start_update(l);
		return;
	case PROC_CHANNELS:
		link_start_channels(l);
		return;
	case PROC_PING:
		link_put_ctrl(l, LL_PING_REQ, NULL, 0);
		return;
	}
}

static void start_next(struct link *l)
{
	if (l->active != PROC_NONE || !l->wanted || l->leaving)
		return;
	l->active = (enum link_proc)__builtin_ctz(l->wanted);
	l->wanted &= (uint16_t) ~(1u << l->active);
	l->awaited = l->active != PROC_CHANNELS;
	l->proc_due_us = air_now_us(l->ctl->radio.air) + LINK_PROC_MAX_US;
	start(l);
}

void link_want(struct link *l, enum link_proc proc)
{
	l->wanted |= (uint16_t)(1u << proc);
	start_next(l);
}

void link_proc_done(struct link *l)
{
	l->active = PROC_NONE;
	l->awaited = false;
	start_next(l);
}

void link_ctrl_auto(struct link *l)
{
	if (controller_has(l->ctl, FEATURE_DATA_LENGTH) && l->own_tx_octets > LL_OCTETS_MIN)
		link_want(l, PROC_LENGTH);
}
