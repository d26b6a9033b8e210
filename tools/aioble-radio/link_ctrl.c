/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Link Layer control procedures (Core 5.4, Vol 6, Part B, 5.1). An end starts one procedure at a time and answers those
 * of the other end as they come; of two that collide the central's goes on (5.3).
 */
#include "link_priv.h"

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "controller.h"

#define INSTANT_EVENTS                                                                             \
	10 /* from the PDU to its instant: 6 at least (5.1.1), and some for a bad path */
#define TIME_MAX_US    2120
#define TIME_MAX_CODED 17040
#define COMPANY_NONE   0xffff
#define OFFSET_NONE    0xffff
#define PARAM_OFFSETS  6
#define PHY_BIT(phy)   ((uint8_t)(1 << ((phy)-1)))

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

/* --- instants --- */

static uint16_t instant_ahead(const struct link *l)
{
	return (uint16_t)(link_counter(l) + INSTANT_EVENTS + l->params.latency);
}

/* The last two octets of @pdu, which is about to be sent. */
static void put_instant(const struct link *l, struct link_instant *i, uint8_t *pdu, size_t len)
{
	struct wr w = wr_init(pdu + len - 2, 2);

	*i = (struct link_instant){true, instant_ahead(l)};
	wr_le16(&w, i->at);
}

void link_ctrl_leaves(struct link *l, uint8_t *pdu, size_t len)
{
	switch (pdu[0]) {
	case LL_CONNECTION_UPDATE_IND:
		put_instant(l, &l->update, pdu, len);
		break;
	case LL_CHANNEL_MAP_IND:
		put_instant(l, &l->channels, pdu, len);
		break;
	case LL_PHY_UPDATE_IND:
		if (l->next_tx_phy || l->next_rx_phy)
			put_instant(l, &l->phys, pdu, len);
		break;
	}
}

static bool instant_passed(const struct link *l, uint16_t at)
{
	return (int16_t)(at - link_counter(l)) < 0;
}

static bool instant_pending(const struct link *l)
{
	return l->update.on || l->channels.on || l->phys.on;
}

/* The peripheral's side of any of them. Return: false when that was the end of @l. */
static bool take_instant(struct link *l, struct link_instant *i, uint16_t at)
{
	if (instant_passed(l, at)) {
		link_end(l, HCIP_STATUS_INSTANT_PASSED);
		return false;
	}
	*i = (struct link_instant){true, at};
	return true;
}

static uint32_t instant_event(const struct link_instant *i, uint32_t from)
{
	return i->on ? from + (uint16_t)(i->at - (uint16_t)from) : UINT32_MAX;
}

uint32_t link_next_instant(const struct link *l, uint32_t event)
{
	uint32_t a = instant_event(&l->update, event), b = instant_event(&l->channels, event);

	return MIN(MIN(a, b), instant_event(&l->phys, event));
}

static void apply_update(struct link *l, uint32_t event)
{
	bool changed = l->params.interval != l->next_params.interval ||
	               l->params.latency != l->next_params.latency ||
	               l->params.timeout != l->next_params.timeout;

	if (is_central(l)) {
		l->base_us += (uint64_t)(event - l->base) * l->params.interval * LINK_UNIT_US;
		l->base = event;
	}
	l->params = l->next_params;
	air_timer_start(&l->watchdog, 0); /* finds its new time by itself */
	if (changed || l->awaited)
		link_tell_update(l, 0);
	if (l->active == PROC_UPDATE)
		link_proc_done(l);
}

static void apply_phys(struct link *l)
{
	uint8_t tx = l->next_tx_phy ? l->next_tx_phy : l->tx_phy;
	uint8_t rx = l->next_rx_phy ? l->next_rx_phy : l->rx_phy;
	bool changed = tx != l->tx_phy || rx != l->rx_phy;

	link_set_phys(l, tx, rx);
	if (changed || l->awaited)
		link_tell_phys(l, 0);
	if (l->active == PROC_PHY)
		link_proc_done(l);
}

static void apply_channels(struct link *l)
{
	l->plan.map = l->next_map;
	if (l->active == PROC_CHANNELS)
		link_proc_done(l);
}

/* Is it now? A peripheral that has not been told by then is lost to the central. */
static bool instant_due(struct link *l, struct link_instant *i, const struct link_instant *peers,
                        uint32_t event)
{
	if (!i->on || i->at != (uint16_t)event)
		return false;
	i->on = false;
	if (is_central(l) && !(peers && peers->on))
		l->lost = true;
	return true;
}

void link_instants(struct link *l, uint32_t event)
{
	const struct link *p = l->peer;

	if (instant_due(l, &l->update, p ? &p->update : NULL, event))
		apply_update(l, event);
	if (instant_due(l, &l->channels, p ? &p->channels : NULL, event))
		apply_channels(l);
	if (instant_due(l, &l->phys, p ? &p->phys : NULL, event))
		apply_phys(l);
}

/* --- connection update (5.1.1), parameter request (5.1.7) --- */

static void send_update(struct link *l)
{
	uint8_t buf[11];
	struct wr w = wr_init(buf, sizeof(buf));

	l->next_params = l->wish;
	wr_u8(&w, 1);   /* transmit window: 1.25 ms ... */
	wr_le16(&w, 0); /* ... from where the event would have been */
	wr_le16(&w, l->wish.interval);
	wr_le16(&w, l->wish.latency);
	wr_le16(&w, l->wish.timeout);
	wr_le16(&w, 0); /* the instant, when it leaves */
	link_put_ctrl(l, LL_CONNECTION_UPDATE_IND, buf, sizeof(buf));
}

static void send_param_req(struct link *l)
{
	uint8_t buf[23];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le16(&w, l->wish_min);
	wr_le16(&w, l->wish.interval);
	wr_le16(&w, l->wish.latency);
	wr_le16(&w, l->wish.timeout);
	wr_u8(&w, 0); /* no preferred periodicity, no offsets */
	wr_le16(&w, link_counter(l));
	for (int i = 0; i < PARAM_OFFSETS; i++)
		wr_le16(&w, OFFSET_NONE);
	link_put_ctrl(l, LL_CONNECTION_PARAM_REQ, buf, sizeof(buf));
}

static void start_update(struct link *l)
{
	if (is_central(l))
		send_update(l);
	else
		send_param_req(l);
}

static bool on_update_ind(struct link *l, struct rd *p)
{
	(void)rd_bytes(p, 3);
	l->next_params.interval = rd_le16(p);
	l->next_params.latency = rd_le16(p);
	l->next_params.timeout = rd_le16(p);
	if (!link_params_ok(l->next_params.interval, &l->next_params)) {
		link_end(l, HCIP_STATUS_INVALID_LL_PARAMS);
		return false;
	}
	return take_instant(l, &l->update, rd_le16(p));
}

/* 5.3: may the peripheral's request for something with an instant be taken up? */
static bool collides(struct link *l, uint8_t opcode, enum link_proc same)
{
	bool own = l->active == PROC_UPDATE || l->active == PROC_CHANNELS || l->active == PROC_PHY;

	if (!own && !instant_pending(l) && !l->params_asked)
		return false;
	link_reject(l, opcode,
	            l->active == same ? HCIP_STATUS_PROCEDURE_COLLISION
	                              : HCIP_STATUS_DIFFERENT_COLLISION);
	return true;
}

static void ask_host(struct link *l)
{
	uint8_t buf[10];
	struct wr w = wr_init(buf, sizeof(buf));

	l->params_asked = true;
	wr_le16(&w, l->handle);
	wr_le16(&w, l->wish_min);
	wr_le16(&w, l->wish.interval);
	wr_le16(&w, l->wish.latency);
	wr_le16(&w, l->wish.timeout);
	controller_le_event(l->ctl, HCIP_LE_REMOTE_CONN_PARAM, buf, wr_len(&w));
}

static bool on_param_req(struct link *l, struct rd *p)
{
	struct link_params wish;
	uint16_t min = rd_le16(p);

	wish.interval = rd_le16(p);
	wish.latency = rd_le16(p);
	wish.timeout = rd_le16(p);
	if (!link_params_ok(min, &wish)) {
		link_reject(l, LL_CONNECTION_PARAM_REQ, HCIP_STATUS_INVALID_LL_PARAMS);
		return true;
	}
	if (collides(l, LL_CONNECTION_PARAM_REQ, PROC_UPDATE))
		return true;
	if (!controller_wants_le(l->ctl, HCIP_LE_REMOTE_CONN_PARAM)) {
		link_reject(l, LL_CONNECTION_PARAM_REQ, HCIP_STATUS_UNSUPPORTED_REMOTE_FEATURE);
		return true;
	}
	l->wish_min = min;
	l->wish = wish;
	ask_host(l);
	return true;
}

void link_answer_params(struct link *l, uint8_t reason)
{
	l->params_asked = false;
	if (reason)
		link_reject(l, LL_CONNECTION_PARAM_REQ, reason);
	else
		link_want(l, PROC_UPDATE);
}

/* --- channel map (5.1.2) --- */

static void start_channels(struct link *l)
{
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	l->next_map = l->links->map;
	wr_le64(&w, l->next_map); /* of which five octets are sent, and two for the instant */
	link_put_ctrl(l, LL_CHANNEL_MAP_IND, buf, 7);
}

static bool on_channel_map(struct link *l, struct rd *p)
{
	uint8_t map[8] = {0};
	struct rd m = rd_init(map, sizeof(map));

	rd_copy(p, map, 5);
	l->next_map = rd_le64(&m) & CHAN_MAP_ALL;
	if (__builtin_popcountll(l->next_map) < 2) {
		link_end(l, HCIP_STATUS_INVALID_LL_PARAMS);
		return false;
	}
	return take_instant(l, &l->channels, rd_le16(p));
}

/* --- PHY (5.1.10) --- */

static void send_phys(struct link *l, uint8_t opcode)
{
	uint8_t p[] = {l->tx_phys, l->rx_phys};

	link_put_ctrl(l, opcode, p, sizeof(p));
}

/* The fastest of those both want; 0: none, or the one in use. */
static uint8_t pick_phy(uint8_t bits, uint8_t current)
{
	static const uint8_t order[] = {PHY_2M, PHY_1M, PHY_CODED};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (bits & PHY_BIT(order[i]))
			return order[i] == current ? 0 : order[i];
	}
	return 0;
}

/* The central decides, from its own wishes and the peripheral's. */
static void decide_phys(struct link *l, uint8_t peer_tx, uint8_t peer_rx)
{
	uint8_t buf[4];
	struct wr w = wr_init(buf, sizeof(buf));

	l->next_tx_phy = pick_phy(l->tx_phys & peer_rx, l->tx_phy);
	l->next_rx_phy = pick_phy(l->rx_phys & peer_tx, l->rx_phy);
	wr_u8(&w, l->next_tx_phy ? PHY_BIT(l->next_tx_phy) : 0);
	wr_u8(&w, l->next_rx_phy ? PHY_BIT(l->next_rx_phy) : 0);
	wr_le16(&w, 0); /* the instant, when it leaves */
	link_put_ctrl(l, LL_PHY_UPDATE_IND, buf, sizeof(buf));
	if (!l->next_tx_phy && !l->next_rx_phy)
		apply_phys(l);
}

static bool on_phy_req(struct link *l, struct rd *p)
{
	uint8_t tx = rd_u8(p), rx = rd_u8(p);

	if (!is_central(l))
		send_phys(l, LL_PHY_RSP);
	else if (!collides(l, LL_PHY_REQ, PROC_PHY))
		decide_phys(l, tx, rx);
	return true;
}

static bool on_phy_rsp(struct link *l, struct rd *p)
{
	uint8_t tx = rd_u8(p), rx = rd_u8(p);

	if (l->active == PROC_PHY && is_central(l) && !l->phys.on)
		decide_phys(l, tx, rx);
	return true;
}

static uint8_t phy_of_bit(uint8_t bits)
{
	return bits ? (uint8_t)(__builtin_ctz(bits) + 1) : 0;
}

static bool on_phy_update(struct link *l, struct rd *p)
{
	uint8_t rx = rd_u8(p) & 7, tx = rd_u8(p) & 7;

	l->next_rx_phy = phy_of_bit(rx);
	l->next_tx_phy = phy_of_bit(tx);
	if (rx || tx)
		return take_instant(l, &l->phys, rd_le16(p));
	apply_phys(l);
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
	{LL_CONNECTION_UPDATE_IND, 11, PERIPHERAL, 0, on_update_ind},
	{LL_CHANNEL_MAP_IND, 7, PERIPHERAL, 0, on_channel_map},
	{LL_TERMINATE_IND, 1, EITHER, 0, on_terminate},
	{LL_UNKNOWN_RSP, 1, EITHER, 0, on_unknown},
	{LL_FEATURE_REQ, 8, PERIPHERAL, 0, on_feature_req},
	{LL_FEATURE_RSP, 8, EITHER, 0, on_feature_rsp},
	{LL_VERSION_IND, 5, EITHER, 0, on_version},
	{LL_REJECT_IND, 1, EITHER, 0, on_reject},
	{LL_PERIPHERAL_FEATURE_REQ, 8, CENTRAL, FEATURE_PERIPHERAL_FEAT, on_feature_req},
	{LL_CONNECTION_PARAM_REQ, 23, CENTRAL, FEATURE_CONN_PARAM_REQ, on_param_req},
	{LL_REJECT_EXT_IND, 2, EITHER, FEATURE_EXT_REJECT, on_reject_ext},
	{LL_PING_REQ, 0, EITHER, FEATURE_PING, on_ping_req},
	{LL_PING_RSP, 0, EITHER, FEATURE_PING, on_ping_rsp},
	{LL_LENGTH_REQ, 8, EITHER, FEATURE_DATA_LENGTH, on_length_req},
	{LL_LENGTH_RSP, 8, EITHER, FEATURE_DATA_LENGTH, on_length_rsp},
	{LL_PHY_REQ, 2, EITHER, FEATURE_2M, on_phy_req},
	{LL_PHY_RSP, 2, CENTRAL, FEATURE_2M, on_phy_rsp},
	{LL_PHY_UPDATE_IND, 4, PERIPHERAL, FEATURE_2M, on_phy_update},
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
		send_phys(l, LL_PHY_REQ);
		return;
	case PROC_UPDATE:
		start_update(l);
		return;
	case PROC_CHANNELS:
		start_channels(l);
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
