/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links of a controller: how they come and go, and what the host hears of it.
 */
#include "link_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "advertiser.h"
#include "controller.h"
#include "initiator.h"
#include "resolving.h"

#define HANDLE_MASK 0x0fff
#define PB_MASK     0x3000
#define PB_CONTINUE 0x1000

#define WINDOW_DELAY_US     1250 /* transmitWindowDelay (4.5.3), after a CONNECT_IND */
#define WINDOW_DELAY_AUX_US 2500
#define WINDOW_DELAY_CODED  3750

/* --- the collection --- */

int links_new(struct controller *ctl, struct links **ret)
{
	struct links *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->ctl = ctl;
	l->map = CHAN_MAP_ALL;
	list_init(&l->list);
	r = initiator_new(l, &l->initiator);
	if (r < 0) {
		free(l);
		return r;
	}
	*ret = l;
	return 0;
}

struct links *links_free(struct links *links)
{
	if (!links)
		return NULL;
	links_reset(links);
	links->initiator = initiator_free(links->initiator);
	free(links);
	return NULL;
}

void links_reset(struct links *links)
{
	struct link *l;

	initiator_stop(links->initiator);
	while ((l = list_first(&links->list, struct link, entry)))
		link_drop(l);
	links->map = CHAN_MAP_ALL;
	links->last_handle = 0;
}

struct link *link_find(struct links *links, uint16_t handle)
{
	struct link *l;

	list_for_each (l, &links->list, entry) {
		if (l->handle == handle && l->told)
			return l;
	}
	return NULL;
}

unsigned int links_count(const struct links *links, uint8_t role)
{
	const struct link *l;
	unsigned int n = 0;

	list_for_each (l, &links->list, entry)
		n += l->role == role;
	return n;
}

bool links_connected(const struct links *links, const struct addr *peer)
{
	const struct link *l;

	list_for_each (l, &links->list, entry) {
		if (addr_equal(&l->peer_id, peer))
			return true;
	}
	return false;
}

bool links_initiating(const struct links *links)
{
	return initiator_on(links->initiator);
}

bool links_initiating_by_list(const struct links *links)
{
	return initiator_on(links->initiator) && initiator_by_list(links->initiator);
}

bool link_params_ok(uint16_t min, const struct link_params *p)
{
	return min >= 6 && min <= p->interval && p->interval <= 3200 && p->latency <= 499 &&
	       p->timeout >= 10 && p->timeout <= 3200 &&
	       p->timeout * 10000u > (1u + p->latency) * p->interval * 2u * LINK_UNIT_US;
}

/* --- LE (Enhanced) Connection Complete (7.7.65.1, 7.7.65.10) --- */

static void put_rpa(struct wr *w, const struct addr *a, bool is_rpa)
{
	static const uint8_t none[ADDR_LEN];

	wr_bytes(w, is_rpa ? a->b : none, ADDR_LEN);
}

static void put_peer(struct wr *w, const struct link *l, bool enhanced)
{
	struct resolving *r = l->ctl->resolving;

	wr_u8(w, (uint8_t)(l->peer_id.type | (l->peer_resolved && enhanced ? 2 : 0)));
	wr_bytes(w, l->peer_id.b, ADDR_LEN);
	if (!enhanced)
		return;
	put_rpa(w, &l->own_air,
	        addr_kind(&l->own_air) == ADDR_KIND_RESOLVABLE &&
	                resolving_is_local(r, &l->own_air));
	put_rpa(w, &l->peer_air, l->peer_resolved);
}

static void conn_complete(struct controller *ctl, uint8_t status, const struct link *l)
{
	bool enhanced = controller_wants_le(ctl, HCIP_LE_ENH_CONN_COMPLETE);
	uint8_t buf[32];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, status);
	wr_le16(&w, l->handle);
	wr_u8(&w, l->role);
	put_peer(&w, l, enhanced);
	wr_le16(&w, l->params.interval);
	wr_le16(&w, l->params.latency);
	wr_le16(&w, l->params.timeout);
	wr_u8(&w, 0); /* clock accuracy: 500 ppm and better */
	controller_le_event(ctl, enhanced ? HCIP_LE_ENH_CONN_COMPLETE : HCIP_LE_CONN_COMPLETE, buf,
	                    wr_len(&w));
}

void links_conn_failed(struct links *links, uint8_t status, uint8_t role, const struct addr *peer)
{
	struct link none = {.ctl = links->ctl, .role = role};

	if (peer)
		none.peer_id = *peer;
	conn_complete(links->ctl, status, &none);
}

static void tell_chan_sel(struct link *l)
{
	uint8_t p[] = {l->handle & 0xff, (uint8_t)(l->handle >> 8), l->plan.second};

	controller_le_event(l->ctl, HCIP_LE_CHANNEL_SELECTION, p, sizeof(p));
}

void link_tell(struct link *l)
{
	l->told = true;
	log_debug(l->ctl->radio.name, "link 0x%04x: %s, interval %u", l->handle,
	          l->role == HCIP_ROLE_CENTRAL ? "central" : "peripheral", l->params.interval);
	conn_complete(l->ctl, 0, l);
	tell_chan_sel(l);
	link_ctrl_auto(l);
}

/* --- a link's end --- */

static void acl_drop_all(struct link *l)
{
	struct link_acl *a, *tmp;

	list_for_each_safe (a, tmp, &l->acl, link) {
		list_del(&a->link);
		free(a);
		l->links->acl_used--;
	}
	l->links->acl_used -= l->completed;
	l->completed = 0;
}

void link_drop(struct link *l)
{
	acl_drop_all(l);
	air_timer_stop(&l->timer);
	air_timer_stop(&l->watchdog);
	air_timer_stop(&l->auth);
	if (l->peer)
		l->peer->peer = NULL;
	list_del(&l->entry);
	l->links->n--;
	free(l);
}

void link_end(struct link *l, uint8_t reason)
{
	struct controller *ctl = l->ctl;
	uint8_t p[] = {0, l->handle & 0xff, (uint8_t)(l->handle >> 8), reason};
	bool told = l->told;

	log_debug(ctl->radio.name, "link 0x%04x: over, reason 0x%02x", l->handle, reason);
	if (told)
		link_report_completed(l);
	link_drop(l);
	if (told)
		controller_event(ctl, HCIP_EV_DISCONNECTED, p, sizeof(p));
}

/* --- supervision (4.5.2) --- */

static uint64_t watchdog_due(const struct link *l)
{
	uint64_t due = l->heard_us + l->params.timeout * (uint64_t)LINK_TIMEOUT_UNIT;

	if (!l->established)
		return l->created_us + LINK_ESTABLISH * l->params.interval * (uint64_t)LINK_UNIT_US;
	return l->active ? MIN(due, l->proc_due_us) : due;
}

static uint8_t watchdog_reason(const struct link *l)
{
	if (!l->established)
		return HCIP_STATUS_FAILED_TO_ESTABLISH;
	if (l->leaving)
		return HCIP_STATUS_LOCAL_HOST_ENDED;
	if (l->active && l->proc_due_us <= air_now_us(l->ctl->radio.air))
		return HCIP_STATUS_LL_RESPONSE_TIMEOUT;
	return HCIP_STATUS_CONNECTION_TIMEOUT;
}

static void on_watchdog(struct air_timer *t)
{
	struct link *l = container_of(t, struct link, watchdog);
	uint64_t due = watchdog_due(l);

	if (due > air_now_us(l->ctl->radio.air))
		air_timer_start_at(t, due);
	else
		link_end(l, watchdog_reason(l));
}

/* --- a link's beginning --- */

static uint16_t handle_next(struct links *links)
{
	struct link *l;
	bool taken;

	do {
		links->last_handle = links->last_handle % LINK_HANDLE_MAX + 1;
		taken = false;
		list_for_each (l, &links->list, entry)
			taken |= l->handle == links->last_handle;
	} while (taken);
	return links->last_handle;
}

/* LLData (2.3.3.1): access address 4, CRCInit 3, WinSize 1, WinOffset 2, interval 2, latency 2, timeout 2, map 5, hop 1 */
static int read_ll(struct link *l, const struct link_start *s)
{
	struct rd r = rd_init(s->ll, sizeof(s->ll));
	uint64_t delay_us = !s->aux               ? WINDOW_DELAY_US
	                    : s->phy == PHY_CODED ? WINDOW_DELAY_CODED
	                                          : WINDOW_DELAY_AUX_US;
	uint8_t map[8] = {0};
	struct rd m = rd_init(map, sizeof(map));

	l->plan.access_addr = rd_le32(&r);
	(void)rd_bytes(&r, 4);
	l->base_us = s->end_us + delay_us + rd_le16(&r) * (uint64_t)LINK_UNIT_US;
	l->params.interval = rd_le16(&r);
	l->params.latency = rd_le16(&r);
	l->params.timeout = rd_le16(&r);
	rd_copy(&r, map, 5);
	l->plan.map = rd_le64(&m) & CHAN_MAP_ALL;
	l->plan.hop = rd_u8(&r) & 0x1f;
	l->plan.second = s->chan_sel_2;
	return link_params_ok(l->params.interval, &l->params) &&
	                       __builtin_popcountll(l->plan.map) >= 2
	               ? 0
	               : -EBADMSG;
}

static void peer_identity(struct link *l)
{
	l->peer_resolved = resolving_identity(l->ctl->resolving, &l->peer_air, &l->peer_id);
	if (!l->peer_resolved)
		l->peer_id = l->peer_air;
}

uint8_t link_phys_supported(const struct controller *ctl)
{
	return (uint8_t)(1 | (controller_has(ctl, FEATURE_2M) ? 2 : 0) |
	                 (controller_has(ctl, FEATURE_CODED) ? 4 : 0));
}

static void link_defaults(struct link *l, uint8_t phy)
{
	struct controller *ctl = l->ctl;

	l->tx_octets = l->rx_octets = LL_OCTETS_MIN;
	l->tx_time = l->rx_time = LL_TIME_MIN_US;
	l->own_tx_octets = ctl->def_tx_len;
	l->own_tx_time = ctl->def_tx_time;
	l->tx_phys = ctl->def_all_phys & 1 ? link_phys_supported(ctl) : ctl->def_tx_phys;
	l->rx_phys = ctl->def_all_phys & 2 ? link_phys_supported(ctl) : ctl->def_rx_phys;
	l->auth_10ms = LINK_AUTH_10MS;
	link_set_phys(l, phy, phy);
}

static void link_start_watchdog(struct link *l)
{
	struct air *air = l->ctl->radio.air;

	l->created_us = l->heard_us = l->base_us;
	air_timer_init(&l->watchdog, air, on_watchdog);
	air_timer_init(&l->auth, air, NULL);
	air_timer_init(&l->timer, air, NULL);
	air_timer_start_at(&l->watchdog, watchdog_due(l));
}

int link_new(struct links *links, const struct link_start *s, struct link **ret)
{
	struct link *l = links->n < LINKS_MAX ? calloc(1, sizeof(*l)) : NULL;

	if (!l)
		return links->n < LINKS_MAX ? -ENOMEM : -ENOBUFS;
	*l = (struct link){
		.links = links,
		.ctl = links->ctl,
		.role = s->role,
		.own_air = s->own,
		.peer_air = s->peer,
		.tx_dbm = s->tx_dbm,
	};
	if (read_ll(l, s) < 0) {
		free(l);
		return -EBADMSG;
	}
	list_init(&l->acl);
	peer_identity(l);
	link_defaults(l, s->phy);
	link_start_watchdog(l);
	l->handle = handle_next(links);
	list_add_tail(&links->list, &l->entry);
	links->n++;
	*ret = l;
	return 0;
}

/* --- the peripheral's side of it --- */

static struct link *find_other_end(struct radio *radio, uint32_t access_addr)
{
	struct controller *ctl = controller_of(radio);
	struct link *l;

	if (!ctl)
		return NULL;
	list_for_each (l, &ctl->links->list, entry) {
		if (l->role == HCIP_ROLE_CENTRAL && !l->peer && l->plan.access_addr == access_addr)
			return l;
	}
	return NULL;
}

/* Return: true when AUX_CONNECT_RSP arrived. */
static bool respond(struct controller *ctl, const struct pdu_legacy *req, const struct air_pdu *ind,
                    int8_t tx_dbm)
{
	uint8_t buf[PDU_MAX];
	struct pdu_ext ext = {.has_adv_a = true,
	                      .adv_a = req->second,
	                      .has_target_a = true,
	                      .target_a = req->first};
	struct air_pdu got, rsp = {
				    .start_us = air_pdu_end_us(ind) + PHY_T_IFS_US,
				    .from = &ctl->radio,
				    .access_addr = ind->access_addr,
				    .channel = ind->channel,
				    .phy = ind->phy,
				    .tx_dbm = tx_dbm,
				    .data = buf,
			    };

	rsp.len = pdu_put_ext(buf, PDU_AUX_CONNECT_RSP, &ext);
	return air_pass(ctl->radio.air, &rsp, ind->from, &got, NULL);
}

static void join(struct link *p, struct radio *from, bool told)
{
	struct link *c = find_other_end(from, p->plan.access_addr);

	if (!c)
		return;
	if (!told) { /* it did not hear us: no link for it */
		link_drop(c);
		return;
	}
	c->peer = p;
	p->peer = c;
	if (!c->told)
		initiator_confirm(c->links->initiator, c);
	link_begin(c);
}

/* Two devices have one link at a time, by the addresses they show. */
static bool have_link(const struct links *links, const struct addr *own, const struct addr *peer)
{
	const struct link *l;
	struct addr id;

	if (!resolving_identity(links->ctl->resolving, peer, &id))
		id = *peer;
	list_for_each (l, &links->list, entry) {
		if (addr_equal(&l->peer_id, &id) && addr_equal(&l->own_air, own))
			return true;
	}
	return false;
}

int links_accept(struct links *links, struct advertiser *adv, const struct air_pdu *ind,
                 uint16_t *ret_handle)
{
	struct link_start s = {
		.role = HCIP_ROLE_PERIPHERAL,
		.aux = !air_is_primary(ind->channel),
		.phy = ind->phy,
		.tx_dbm = adv->tx_dbm,
		.end_us = air_pdu_end_us(ind),
	};
	struct pdu_legacy req;
	struct radio *from = ind->from;
	struct link *l;
	bool heard;
	int r = pdu_parse_legacy(ind->data, ind->len, &req);

	if (r < 0 || req.type != PDU_CONNECT_IND)
		return -EBADMSG;
	if (have_link(links, &req.second, &req.first))
		return -EEXIST;
	s.own = req.second;
	s.peer = req.first;
	s.chan_sel_2 = s.aux || ((req.header & PDU_CH_SEL) &&
	                         controller_has(links->ctl, FEATURE_CHANNEL_SEL_2));
	memcpy(s.ll, req.data, sizeof(s.ll));
	r = link_new(links, &s, &l);
	if (r < 0)
		return r;
	*ret_handle = l->handle;
	heard = !s.aux || respond(links->ctl, &req, ind, adv->tx_dbm);
	link_tell(l);
	join(l, from, heard);
	return 0;
}

void links_adv_timeout(struct links *links, struct advertiser *adv)
{
	links_conn_failed(links, HCIP_STATUS_ADVERTISING_TIMEOUT, HCIP_ROLE_PERIPHERAL,
	                  &adv->target);
}

/* --- data of the host --- */

void link_report_completed(struct link *l)
{
	uint8_t p[] = {1, l->handle & 0xff, (uint8_t)(l->handle >> 8), l->completed & 0xff,
	               (uint8_t)(l->completed >> 8)};

	if (!l->completed)
		return;
	l->links->acl_used -= l->completed;
	l->completed = 0;
	controller_event(l->ctl, HCIP_EV_COMPLETED_PACKETS, p, sizeof(p));
}

/* Data Buffer Overflow (7.7.26): the host sent more than LE Read Buffer Size allows; 0x01 is ACL. */
static void overflow(struct links *links)
{
	uint8_t acl = 0x01;

	links->overflows++;
	controller_event(links->ctl, HCIP_EV_BUFFER_OVERFLOW, &acl, 1);
}

static struct link_acl *acl_new(const uint8_t *data, size_t len, bool start)
{
	struct link_acl *a = malloc(sizeof(*a) + len);

	if (!a)
		return NULL;
	*a = (struct link_acl){.len = (uint16_t)len, .start = start};
	list_init(&a->link);
	if (len)
		memcpy(a->data, data, len);
	return a;
}

void links_acl_input(struct links *links, const uint8_t *pkt, size_t len)
{
	const struct profile *profile = &links->ctl->profile;
	struct rd r = rd_init(pkt + 1, len - 1);
	uint16_t head = rd_le16(&r), n = rd_le16(&r);
	struct link *l = link_find(links, head & HANDLE_MASK);
	struct link_acl *a;

	if (!l) { /* of a link that has just gone: the host knows how many it has lost */
		links->strays++;
		return;
	}
	if (n > profile->acl_len || links->acl_used >= profile->acl_count) {
		overflow(links);
		return;
	}
	a = acl_new(r.p, n, (head & PB_MASK) != PB_CONTINUE);
	if (!a) {
		overflow(links);
		return;
	}
	links->acl_used++;
	if (!n) {
		free(a);
		l->completed++;
		link_report_completed(l);
		return;
	}
	list_add_tail(&l->acl, &a->link);
	link_kick(l);
}
