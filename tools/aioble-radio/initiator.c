/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Initiating. After a CONNECT_IND the link is there for us, whether the advertiser heard it or not; after an
 * AUX_CONNECT_REQ only when its answer came.
 */
#include "initiator.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/cleanup.h"

#include "controller.h"
#include "resolving.h"

#define CONFIRM_US 5000 /* by then the answer would have come, on any PHY */
#define HOP_MIN    5    /* 2.3.3.1 */
#define HOP_COUNT  12

struct initiator {
	struct links *links;
	struct controller *ctl;
	struct air_listener listener;
	struct initiator_request req;
	struct scan_window window[2]; /* 1M, coded */
	struct aux_wait aux;
	bool on;
	uint32_t asked; /* access address of a link that waits for AUX_CONNECT_RSP; 0: none */
	struct air_timer confirm, cancel;
};

bool initiator_on(const struct initiator *i)
{
	return i->on;
}

bool initiator_by_list(const struct initiator *i)
{
	return i->req.by_list;
}

static struct link *asked_link(const struct initiator *i)
{
	struct link *l;

	list_for_each (l, &i->links->list, entry) {
		if (!l->told && l->plan.access_addr == i->asked)
			return l;
	}
	return NULL;
}

static void forget_asked(struct initiator *i)
{
	struct link *l = i->asked ? asked_link(i) : NULL;

	if (l)
		link_drop(l);
	i->asked = 0;
	air_timer_stop(&i->confirm);
}

static void on_unconfirmed(struct air_timer *t)
{
	forget_asked(container_of(t, struct initiator, confirm));
}

/* --- what is heard --- */

static bool hears(struct air_listener *l, const struct air_pdu *pdu)
{
	struct initiator *i = container_of(l, struct initiator, listener);

	if (!air_is_primary(pdu->channel))
		return aux_wait_hears(&i->aux, pdu);
	return scan_window_hears(&i->window[pdu->phy == PHY_CODED], pdu);
}

/* Is this advertiser the one? *@ret_id: who it is. */
static bool wanted(struct initiator *i, const struct addr *adv_a, struct addr *ret_id)
{
	struct resolving *list = i->ctl->resolving;
	bool resolved = resolving_identity(list, adv_a, ret_id);

	if (!resolved)
		*ret_id = *adv_a;
	if (!resolving_allows(list, ret_id, resolved) || links_connected(i->links, ret_id))
		return false;
	if (i->req.by_list)
		return accept_list_has(&i->ctl->accept, ret_id) ||
		       accept_list_has(&i->ctl->accept, adv_a);
	return addr_equal(&i->req.target, ret_id) || addr_equal(&i->req.target, adv_a);
}

static bool own_addr(struct initiator *i, const struct addr *target, const struct addr *id,
                     struct addr *ret)
{
	if (!target)
		return controller_own_addr(i->ctl, i->req.own_type, id, ret) == 0;
	*ret = *target; /* directed: the address we were called by */
	return controller_is_own(i->ctl, target);
}

/* --- the request --- */

static uint32_t new_access_addr(struct air *air)
{
	uint32_t aa;

	do
		aa = air_rand(air);
	while (!chan_access_addr_ok(aa));
	return aa;
}

/* How far from the events of another link, when all go on for ever; both ways round the shorter interval. */
static uint32_t distance_us(const struct link *o, uint64_t anchor_us, uint32_t interval_us)
{
	uint32_t turn = MIN(interval_us, o->params.interval * (uint32_t)LINK_UNIT_US);
	uint64_t apart = anchor_us > o->base_us ? anchor_us - o->base_us : o->base_us - anchor_us;

	apart %= turn;
	return (uint32_t)MIN(apart, turn - apart);
}

static uint32_t room_us(const struct initiator *i, uint64_t anchor_us, uint32_t interval_us)
{
	uint32_t room = UINT32_MAX;
	struct link *l;

	list_for_each (l, &i->links->list, entry) {
		if (l->role == HCIP_ROLE_CENTRAL)
			room = MIN(room, distance_us(l, anchor_us, interval_us));
	}
	return room;
}

/* The transmit window offset that leaves most room to the links there are (Vol 6, Part B, 4.5.3). */
static uint16_t place(const struct initiator *i, uint64_t first_us, uint16_t interval)
{
	uint32_t interval_us = interval * (uint32_t)LINK_UNIT_US, best_room = 0;
	uint16_t best = 0;

	for (uint16_t offset = 0; offset < interval; offset++) {
		uint32_t room = room_us(i, first_us + offset * (uint64_t)LINK_UNIT_US, interval_us);

		if (room > best_room) {
			best_room = room;
			best = offset;
		}
	}
	return best;
}

static void put_ll(struct initiator *i, uint8_t phy, uint64_t end_us,
                   uint8_t ll[PDU_CONNECT_LL_LEN])
{
	const struct link_params *p = &i->req.phys[phy - 1].params;
	struct air *air = i->ctl->radio.air;
	struct wr w = wr_init(ll, PDU_CONNECT_LL_LEN);

	wr_le32(&w, new_access_addr(air));
	air_rand_bytes(air, wr_space(&w, 3), 3); /* CRCInit */
	wr_u8(&w, 1);                            /* transmit window: 1.25 ms */
	wr_le16(&w, place(i, end_us, p->interval));
	wr_le16(&w, p->interval);
	wr_le16(&w, p->latency);
	wr_le16(&w, p->timeout);
	wr_le32(&w, (uint32_t)i->links->map);
	wr_u8(&w, (uint8_t)(i->links->map >> 32));
	wr_u8(&w, (uint8_t)(HOP_MIN + air_rand_below(air, HOP_COUNT)));
}

static void await_answer(struct initiator *i, struct link *l)
{
	i->asked = l->plan.access_addr;
	i->aux = (struct aux_wait){0};
	air_timer_start(&i->confirm, CONFIRM_US);
}

static void request(struct initiator *i, const struct air_pdu *pdu, struct link_start *s)
{
	uint8_t buf[PDU_MAX];
	struct link *l;
	size_t len;

	s->end_us = air_pdu_end_us(pdu) + PHY_T_IFS_US +
	            phy_air_time_us(pdu->phy, PDU_HEADER_LEN + 2 * ADDR_LEN + sizeof(s->ll));
	put_ll(i, pdu->phy, s->end_us, s->ll);
	len = pdu_put_pair(buf, PDU_CONNECT_IND, &s->own, &s->peer, s->ll, sizeof(s->ll));
	if (s->chan_sel_2 && !s->aux)
		buf[0] |= PDU_CH_SEL;
	if (link_new(i->links, s, &l) < 0)
		return;
	air_answer(&i->listener, pdu, s->tx_dbm, buf, len);
	if (s->aux) {
		await_answer(i, l);
	} else {
		initiator_stop(i);
		link_tell(l);
	}
}

static void found(struct initiator *i, const struct air_pdu *pdu, const struct addr *adv_a,
                  const struct addr *target, bool chan_sel_2)
{
	struct link_start s = {
		.role = HCIP_ROLE_CENTRAL,
		.peer = *adv_a,
		.aux = !air_is_primary(pdu->channel),
		.chan_sel_2 = chan_sel_2 && controller_has(i->ctl, FEATURE_CHANNEL_SEL_2),
		.phy = pdu->phy,
		.tx_dbm = CTL_TX_DBM,
	};
	struct addr id;

	if (i->req.phys[pdu->phy - 1].on && wanted(i, adv_a, &id) &&
	    own_addr(i, target, &id, &s.own))
		request(i, pdu, &s);
}

static void heard_legacy(struct initiator *i, const struct air_pdu *pdu)
{
	struct pdu_legacy p;

	if (pdu_parse_legacy(pdu->data, pdu->len, &p) < 0)
		return;
	if (p.type == PDU_ADV_IND)
		found(i, pdu, &p.first, NULL, p.header & PDU_CH_SEL);
	else if (p.type == PDU_ADV_DIRECT_IND)
		found(i, pdu, &p.first, &p.second, p.header & PDU_CH_SEL);
}

static void heard_ext(struct initiator *i, const struct air_pdu *pdu)
{
	struct pdu_ext e;

	if (!i->req.extended || pdu_parse_ext(pdu->data, pdu->len, &e) < 0 ||
	    e.mode != PDU_MODE_CONNECTABLE)
		return;
	if (!air_is_primary(pdu->channel)) {
		i->aux = (struct aux_wait){0};
		if (e.has_adv_a)
			found(i, pdu, &e.adv_a, e.has_target_a ? &e.target_a : NULL, true);
	} else if (e.has_aux) {
		i->aux = aux_wait_for(pdu, &e);
	}
}

static void heard(struct air_listener *l, const struct air_pdu *pdu)
{
	struct initiator *i = container_of(l, struct initiator, listener);

	if (i->asked || pdu->phy < PHY_1M || pdu->phy > PHY_CODED)
		return;
	if (pdu_type(pdu->data, pdu->len) == PDU_EXT)
		heard_ext(i, pdu);
	else if (air_is_primary(pdu->channel))
		heard_legacy(i, pdu);
}

void initiator_confirm(struct initiator *i, struct link *l)
{
	i->asked = 0;
	initiator_stop(i);
	link_tell(l);
}

/* --- on and off --- */

static void on_cancel(struct air_timer *t)
{
	struct initiator *i = container_of(t, struct initiator, cancel);

	links_conn_failed(i->links, HCIP_STATUS_NO_CONNECTION, HCIP_ROLE_CENTRAL, NULL);
}

static void open_window(struct initiator *i, struct scan_window *w, enum phy phy)
{
	const struct initiator_phy *p = &i->req.phys[phy - 1];

	*w = (struct scan_window){
		.start_us = air_now_us(i->ctl->radio.air),
		.interval_us = p->on ? p->interval_us : 0,
		.window_us = p->on ? p->window_us : 0,
		.phy = phy,
	};
}

void initiator_start(struct initiator *i, const struct initiator_request *req)
{
	i->req = *req;
	i->on = true;
	i->aux = (struct aux_wait){0};
	open_window(i, &i->window[0], PHY_1M);
	open_window(i, &i->window[1], PHY_CODED);
	air_listen(&i->ctl->radio, &i->listener);
}

void initiator_stop(struct initiator *i)
{
	forget_asked(i);
	air_timer_stop(&i->cancel);
	if (!i->on)
		return;
	i->on = false;
	air_unlisten(&i->listener);
}

void initiator_cancel(struct initiator *i)
{
	initiator_stop(i);
	air_timer_start(&i->cancel, 0);
}

int initiator_new(struct links *links, struct initiator **ret)
{
	struct initiator *i = calloc(1, sizeof(*i));

	if (!i)
		return -ENOMEM;
	i->links = links;
	i->ctl = links->ctl;
	i->listener.hears = hears;
	i->listener.heard = heard;
	list_init(&i->listener.link);
	air_timer_init(&i->confirm, i->ctl->radio.air, on_unconfirmed);
	air_timer_init(&i->cancel, i->ctl->radio.air, on_cancel);
	*ret = i;
	return 0;
}

struct initiator *initiator_free(struct initiator *i)
{
	if (!i)
		return NULL;
	initiator_stop(i);
	free(i);
	return NULL;
}
