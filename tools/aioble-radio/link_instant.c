/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What changes at an instant (Core 5.4, Vol 6, Part B, 5.5): connection parameters, channel map, PHYs. The central names the
 * event; an end that learns of it too late leaves, one that does not learn of it at all is lost.
 */
#include "link_priv.h"

#include "aiobled/cleanup.h"

#include "controller.h"

#define INSTANT_EVENTS 10 /* from the PDU to its instant: 6 at least, and some for a bad path */
#define OFFSET_NONE    0xffff
#define PARAM_OFFSETS  6
#define PHY_BIT(phy)   ((uint8_t)(1 << ((phy)-1)))

static bool is_central(const struct link *l)
{
	return l->role == HCIP_ROLE_CENTRAL;
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

void link_start_update(struct link *l)
{
	if (is_central(l))
		send_update(l);
	else
		send_param_req(l);
}

bool link_on_update_ind(struct link *l, struct rd *p)
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

bool link_on_param_req(struct link *l, struct rd *p)
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

void link_start_channels(struct link *l)
{
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	l->next_map = l->links->map;
	wr_le64(&w, l->next_map); /* of which five octets are sent, and two for the instant */
	link_put_ctrl(l, LL_CHANNEL_MAP_IND, buf, 7);
}

bool link_on_channel_map(struct link *l, struct rd *p)
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

void link_start_phys(struct link *l)
{
	send_phys(l, LL_PHY_REQ);
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

bool link_on_phy_req(struct link *l, struct rd *p)
{
	uint8_t tx = rd_u8(p), rx = rd_u8(p);

	if (!is_central(l))
		send_phys(l, LL_PHY_RSP);
	else if (!collides(l, LL_PHY_REQ, PROC_PHY))
		decide_phys(l, tx, rx);
	return true;
}

bool link_on_phy_rsp(struct link *l, struct rd *p)
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

bool link_on_phy_update(struct link *l, struct rd *p)
{
	uint8_t rx = rd_u8(p) & 7, tx = rd_u8(p) & 7;

	l->next_rx_phy = phy_of_bit(rx);
	l->next_tx_phy = phy_of_bit(tx);
	if (rx || tx)
		return take_instant(l, &l->phys, rd_le16(p));
	apply_phys(l);
	return true;
}
