/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scanning. A PDU is heard inside a window, or because it was waited for: the response to a request, the auxiliary PDU
 * that another pointed to. Everything happens inside heard(), so a scanner costs nothing while the air is silent.
 */
#include "scanner.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/ad.h"
#include "aiobled/cleanup.h"
#include "aiobled/hci_pdu.h"

#define BACKOFF_LIMIT_MAX 256 /* 4.4.3.2 */
#define DUP_PROBES        8   /* places an advertiser may have in the table */
#define PHY_SLOT(phy)     ((phy) == PHY_CODED ? 1 : 0)

/* --- windows --- */

bool scan_window_hears(const struct scan_window *w, const struct air_pdu *pdu)
{
	uint64_t since, turn, at;

	if (!w->interval_us || pdu->phy != w->phy || pdu->start_us < w->start_us)
		return false;
	since = pdu->start_us - w->start_us;
	turn = since / w->interval_us;
	at = since % w->interval_us;
	if (pdu->channel != PHY_PRIMARY_FIRST + (w->first + turn) % 3)
		return false;
	return at + phy_air_time_us(pdu->phy, pdu->len) <= w->window_us;
}

struct aux_wait aux_wait_for(const struct air_pdu *pdu, const struct pdu_ext *ext)
{
	return (struct aux_wait){
		.from = pdu->from,
		.start_us = pdu->start_us + ext->aux_offset_us,
		.channel = ext->aux_channel,
		.phy = ext->aux_phy,
	};
}

bool aux_wait_hears(const struct aux_wait *w, const struct air_pdu *pdu)
{
	return w->from == pdu->from && w->channel == pdu->channel && w->phy == pdu->phy &&
	       pdu->start_us >= w->start_us && pdu->start_us <= w->start_us + AUX_WAIT_SLACK_US;
}

/* --- duplicates --- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x7fb5d329728ea185;
	x = (x ^ x >> 27) * 0x81dadef4bc2dd44d;
	return (x ^ x >> 33) | 1; /* 0 means a free place */
}

/* @what: all that makes a report another one: kind of PDU, set and data ID */
static uint64_t dup_key(const struct addr *a, uint64_t what)
{
	uint64_t bytes = a->type;

	for (int i = 0; i < ADDR_LEN; i++)
		bytes = bytes << 8 | a->b[i];
	return mix(mix(bytes) ^ what);
}

static bool dup_known(const struct scanner *s, uint64_t key)
{
	for (unsigned int i = 0; i < DUP_PROBES; i++) {
		if (s->seen[(key + i) % SCANNER_DUP_MAX] == key)
			return true;
	}
	return false;
}

/* Without a free place the first is taken: its advertiser will be reported once more, which 7.8.11 allows. */
static void dup_remember(struct scanner *s, uint64_t key)
{
	for (unsigned int i = 0; i < DUP_PROBES; i++) {
		uint64_t *place = &s->seen[(key + i) % SCANNER_DUP_MAX];

		if (!*place) {
			*place = key;
			return;
		}
	}
	s->seen[key % SCANNER_DUP_MAX] = key;
}

/* Is it to be kept from the host? Remembers it if not. */
static bool is_duplicate(struct scanner *s, const struct addr *identity, uint64_t what)
{
	uint64_t key;

	if (!s->filter_duplicates)
		return false;
	key = dup_key(identity, what);
	if (dup_known(s, key)) {
		s->stats.duplicates++;
		return true;
	}
	dup_remember(s, key);
	return false;
}

void scanner_forget_duplicates(struct scanner *s)
{
	memset(s->seen, 0, SCANNER_DUP_MAX * sizeof(*s->seen));
}

enum { WHAT_ADV = 1, WHAT_RSP = 2, WHAT_EXT = 3, WHAT_EXT_RSP = 4 };

static uint64_t what_ext(bool response, uint8_t sid, uint16_t did)
{
	return (response ? WHAT_EXT_RSP : WHAT_EXT) | (uint64_t)sid << 8 | (uint64_t)did << 16;
}

/* --- requests and their backoff (4.4.3.2) --- */

static void backoff_reset(struct scanner *s)
{
	s->backoff_limit = s->backoff_count = 1;
	s->successes = s->failures = 0;
}

static void backoff_again(struct scanner *s)
{
	s->backoff_count = 1 + air_rand_below(s->listener.radio->air, s->backoff_limit);
}

static void request_failed(struct scanner *s)
{
	s->successes = 0;
	if (++s->failures % 2 == 0)
		s->backoff_limit = MIN(2 * s->backoff_limit, BACKOFF_LIMIT_MAX);
	backoff_again(s);
}

static void request_succeeded(struct scanner *s)
{
	s->stats.responses++;
	s->failures = 0;
	if (++s->successes % 2 == 0)
		s->backoff_limit = MAX(s->backoff_limit / 2, 1u);
	backoff_again(s);
}

/* A response that is not there when the next PDU is heard will not come any more. */
static void forget_response(struct scanner *s)
{
	if (!s->rsp.wait.from)
		return;
	s->rsp.wait.from = NULL;
	request_failed(s);
}

/*
 * Ask @adv_a for its response. @ret_wait: when and where it will come
 *
 * Return: true when the request went out.
 */
static bool send_request(struct scanner *s, const struct air_pdu *pdu, const struct addr *adv_a,
                         struct aux_wait *ret_wait)
{
	uint8_t buf[PDU_MAX];
	struct addr own;
	size_t len;

	if (--s->backoff_count > 0 || !s->ops->own_addr(s, adv_a, &own)) {
		s->backoff_count = MAX(s->backoff_count, 1u);
		return false;
	}
	s->backoff_count = 1;
	len = pdu_put_pair(buf, PDU_SCAN_REQ, &own, adv_a, NULL, 0);
	*ret_wait = (struct aux_wait){
		.from = pdu->from,
		.start_us = air_pdu_end_us(pdu) + PHY_T_IFS_US + phy_air_time_us(pdu->phy, len) +
	                    PHY_T_IFS_US,
		.channel = pdu->channel,
		.phy = pdu->phy,
	};
	s->stats.requests++;
	air_answer(&s->listener, pdu, 0, buf, len);
	return true;
}

/* --- legacy PDUs --- */

/* Extended report bits and the kind of a legacy advertising PDU (Vol 4, Part E, 7.7.65.13, table 7.2) */
static bool legacy_kind(enum pdu_type type, uint8_t *ret_props, uint8_t *ret_kind)
{
	switch (type) {
	case PDU_ADV_IND:
		*ret_props = HCIP_ADV_LEGACY | HCIP_ADV_CONNECTABLE | HCIP_ADV_SCANNABLE;
		*ret_kind = HCIP_KIND_IND;
		return true;
	case PDU_ADV_DIRECT_IND:
		*ret_props = HCIP_ADV_LEGACY | HCIP_ADV_CONNECTABLE | HCIP_ADV_DIRECTED;
		*ret_kind = HCIP_KIND_DIRECT_IND;
		return true;
	case PDU_ADV_SCAN_IND:
		*ret_props = HCIP_ADV_LEGACY | HCIP_ADV_SCANNABLE;
		*ret_kind = HCIP_KIND_SCAN_IND;
		return true;
	case PDU_ADV_NONCONN_IND:
		*ret_props = HCIP_ADV_LEGACY;
		*ret_kind = HCIP_KIND_NONCONN_IND;
		return true;
	default:
		return false;
	}
}

static struct scan_report legacy_report(const struct air_pdu *pdu, const struct pdu_legacy *p,
                                        uint8_t props, uint8_t kind)
{
	return (struct scan_report){
		.addr = p->first,
		.target = p->second,
		.directed = p->type == PDU_ADV_DIRECT_IND,
		.props = props,
		.kind = kind,
		.status = HCIP_DATA_COMPLETE,
		.rssi_dbm = pdu->rssi_dbm,
		.tx_dbm = HCIP_DBM_UNKNOWN,
		.primary_phy = PHY_1M,
		.sid = HCIP_SID_NONE,
		.data = p->data,
		.len = MIN(p->len, (size_t)AD_LEGACY_MAX),
	};
}

static void legacy_response(struct scanner *s, const struct air_pdu *pdu,
                            const struct pdu_legacy *p)
{
	struct scan_report report =
		legacy_report(pdu, p, s->rsp.props | HCIP_ADV_SCAN_RSP, HCIP_KIND_SCAN_RSP);

	if (!aux_wait_hears(&s->rsp.wait, pdu) || !addr_equal(&p->first, &s->rsp.adv_a))
		return; /* somebody else's */
	s->rsp.wait.from = NULL;
	request_succeeded(s);
	if (!is_duplicate(s, &s->rsp.identity, WHAT_RSP))
		s->ops->report(s, &report, &s->rsp.identity);
}

/* Who is known already, response included, is left in peace. */
static bool wants_response(const struct scanner *s, const struct addr *identity, uint8_t props)
{
	if (!s->active[0] || !(props & HCIP_ADV_SCANNABLE))
		return false;
	return !s->filter_duplicates || !dup_known(s, dup_key(identity, WHAT_RSP));
}

static void legacy_heard(struct scanner *s, const struct air_pdu *pdu)
{
	struct scan_report report;
	struct pdu_legacy p;
	struct addr identity;
	uint8_t props, kind;

	if (pdu_parse_legacy(pdu->data, pdu->len, &p) < 0)
		return;
	if (p.type == PDU_SCAN_RSP) {
		legacy_response(s, pdu, &p);
		return;
	}
	forget_response(s);
	if (!legacy_kind(p.type, &props, &kind))
		return;
	report = legacy_report(pdu, &p, props, kind);
	if (!s->ops->allows(s, pdu, &p.first, report.directed ? &p.second : NULL, &identity))
		return;
	if (!is_duplicate(s, &identity, WHAT_ADV))
		s->ops->report(s, &report, &identity);
	if (wants_response(s, &identity, props) && send_request(s, pdu, &p.first, &s->rsp.wait)) {
		s->rsp.adv_a = p.first;
		s->rsp.identity = identity;
		s->rsp.props = props;
	}
}

/* --- extended PDUs --- */

static void arm_expiry(struct scanner *s)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < SCANNER_AUX_MAX; i++) {
		if (s->aux[i].wait.from)
			first = MIN(first, s->aux[i].wait.start_us);
	}
	if (first == UINT64_MAX)
		air_timer_stop(&s->expiry);
	else
		air_timer_start_at(&s->expiry, first + AUX_WAIT_SLACK_US + 1);
}

static struct scan_report ext_report(const struct scanner_aux *a, const struct air_pdu *pdu,
                                     uint8_t status)
{
	return (struct scan_report){
		.addr = a->adv_a,
		.target = a->target,
		.anonymous = !a->has_adv_a,
		.directed = a->has_target,
		.props = (uint8_t)((a->mode == PDU_MODE_CONNECTABLE ? HCIP_ADV_CONNECTABLE : 0) |
	                           (a->mode == PDU_MODE_SCANNABLE ? HCIP_ADV_SCANNABLE : 0) |
	                           (a->has_target ? HCIP_ADV_DIRECTED : 0) |
	                           (a->response ? HCIP_ADV_SCAN_RSP : 0)),
		.kind = HCIP_KIND_EXTENDED,
		.status = status,
		.rssi_dbm = pdu ? pdu->rssi_dbm : HCIP_DBM_UNKNOWN,
		.tx_dbm = a->tx_dbm,
		.primary_phy = a->primary_phy,
		.secondary_phy = a->wait.phy,
		.sid = a->sid,
	};
}

static void aux_end(struct scanner *s, struct scanner_aux *a)
{
	a->wait.from = NULL;
	arm_expiry(s);
}

/* What was waited for did not come; a host that has a part of the data is told that there is no more. */
static void aux_missed(struct scanner *s, struct scanner_aux *a)
{
	struct scan_report report = ext_report(a, NULL, HCIP_DATA_TRUNCATED);

	s->stats.aux_missed++;
	if (a->response && !a->reported)
		request_failed(s);
	a->wait.from = NULL;
	if (a->reported)
		s->ops->report(s, &report, &a->identity);
}

static void on_expiry(struct air_timer *t)
{
	struct scanner *s = container_of(t, struct scanner, expiry);
	uint64_t now = air_now_us(t->air);

	for (size_t i = 0; i < SCANNER_AUX_MAX; i++) {
		struct scanner_aux *a = &s->aux[i];

		if (a->wait.from && a->wait.start_us + AUX_WAIT_SLACK_US < now)
			aux_missed(s, a);
	}
	arm_expiry(s);
}

/* A place for one more; NULL when there is none or another channel's PDU pointed to the same already. */
static struct scanner_aux *aux_new(struct scanner *s, const struct aux_wait *w)
{
	struct scanner_aux *free_one = NULL;

	for (size_t i = 0; i < SCANNER_AUX_MAX; i++) {
		struct scanner_aux *a = &s->aux[i];

		if (!a->wait.from)
			free_one = a;
		else if (a->wait.from == w->from && a->wait.channel == w->channel &&
		         w->start_us + AUX_WAIT_SLACK_US > a->wait.start_us &&
		         a->wait.start_us + AUX_WAIT_SLACK_US > w->start_us)
			return NULL;
	}
	if (!free_one)
		s->stats.aux_dropped++;
	return free_one;
}

/* Reads from a PDU what it says about its advertiser. Return: false when the host is not to hear of it. */
static bool aux_learn(struct scanner *s, struct scanner_aux *a, const struct air_pdu *pdu,
                      const struct pdu_ext *e)
{
	if (e->has_adv_a) {
		a->adv_a = e->adv_a;
		a->has_adv_a = true;
	}
	if (e->has_target_a) {
		a->target = e->target_a;
		a->has_target = true;
	}
	if (e->has_tx)
		a->tx_dbm = e->tx_dbm;
	if (a->known)
		return true;
	a->known = true;
	a->mode = e->mode;
	return s->ops->allows(s, pdu, a->has_adv_a ? &a->adv_a : NULL,
	                      a->has_target ? &a->target : NULL, &a->identity);
}

static void ext_heard(struct scanner *s, const struct air_pdu *pdu)
{
	struct scanner_aux one = {
		.sid = HCIP_SID_NONE, .tx_dbm = HCIP_DBM_UNKNOWN, .primary_phy = pdu->phy};
	struct scanner_aux *a;
	struct scan_report report;
	struct pdu_ext e;

	forget_response(s);
	if (pdu_parse_ext(pdu->data, pdu->len, &e) < 0)
		return;
	if (e.has_aux) {
		one.wait = aux_wait_for(pdu, &e);
		one.sid = e.sid;
		one.did = e.did;
		a = aux_new(s, &one.wait);
		if (!a)
			return;
		*a = one;
		arm_expiry(s);
		return;
	}
	if (!aux_learn(s, &one, pdu, &e) ||
	    is_duplicate(s, &one.identity, what_ext(false, one.sid, 0)))
		return;
	report = ext_report(&one, pdu, HCIP_DATA_COMPLETE);
	s->ops->report(s, &report, &one.identity);
}

static struct scanner_aux *aux_awaited(struct scanner *s, const struct air_pdu *pdu)
{
	for (size_t i = 0; i < SCANNER_AUX_MAX; i++) {
		if (s->aux[i].wait.from && aux_wait_hears(&s->aux[i].wait, pdu))
			return &s->aux[i];
	}
	return NULL;
}

static bool aux_ask(struct scanner *s, struct scanner_aux *a, const struct air_pdu *pdu)
{
	struct aux_wait wait;

	if (a->response || a->mode != PDU_MODE_SCANNABLE || !a->has_adv_a ||
	    !s->active[PHY_SLOT(a->primary_phy)])
		return false;
	if (s->filter_duplicates &&
	    dup_known(s, dup_key(&a->identity, what_ext(true, a->sid, a->did))))
		return false;
	if (!send_request(s, pdu, &a->adv_a, &wait))
		return false;
	a->wait = wait;
	a->response = true;
	a->reported = false;
	arm_expiry(s);
	return true;
}

static void aux_heard(struct scanner *s, const struct air_pdu *pdu)
{
	struct scanner_aux *a = aux_awaited(s, pdu);
	struct scan_report report;
	struct pdu_ext e;

	if (!a || pdu_parse_ext(pdu->data, pdu->len, &e) < 0)
		return; /* altered on its way: the wait will expire */
	if (e.has_adi && (e.sid != a->sid || e.did != a->did))
		return;
	if (!aux_learn(s, a, pdu, &e)) {
		aux_end(s, a);
		return;
	}
	if (a->response && !a->reported)
		request_succeeded(s);
	if (!a->reported && is_duplicate(s, &a->identity, what_ext(a->response, a->sid, a->did))) {
		if (!aux_ask(s, a, pdu))
			aux_end(s, a);
		return;
	}
	report = ext_report(a, pdu, e.has_aux ? HCIP_DATA_MORE : HCIP_DATA_COMPLETE);
	report.data = e.data;
	report.len = e.len;
	s->ops->report(s, &report, &a->identity);
	a->reported = e.has_aux;
	if (e.has_aux) {
		a->wait = aux_wait_for(pdu, &e);
		arm_expiry(s);
	} else if (!aux_ask(s, a, pdu)) {
		aux_end(s, a);
	}
}

/* --- listening --- */

static bool on_hears(struct air_listener *l, const struct air_pdu *pdu)
{
	struct scanner *s = container_of(l, struct scanner, listener);

	if (!air_is_primary(pdu->channel))
		return aux_awaited(s, pdu);
	if (s->rsp.wait.from && aux_wait_hears(&s->rsp.wait, pdu))
		return true;
	return scan_window_hears(&s->window[PHY_SLOT(pdu->phy)], pdu);
}

static void on_heard(struct air_listener *l, const struct air_pdu *pdu)
{
	struct scanner *s = container_of(l, struct scanner, listener);

	s->stats.heard++;
	if (!air_is_primary(pdu->channel))
		aux_heard(s, pdu);
	else if (pdu_type(pdu->data, pdu->len) != PDU_EXT && pdu->phy == PHY_1M)
		legacy_heard(s, pdu);
	else if (pdu_type(pdu->data, pdu->len) == PDU_EXT && s->extended)
		ext_heard(s, pdu);
}

int scanner_init(struct scanner *s, struct radio *radio, const struct scanner_ops *ops, void *data)
{
	*s = (struct scanner){.ops = ops, .data = data};
	s->listener = (struct air_listener){.radio = radio, .hears = on_hears, .heard = on_heard};
	list_init(&s->listener.link);
	air_timer_init(&s->expiry, radio->air, on_expiry);
	s->seen = calloc(SCANNER_DUP_MAX, sizeof(*s->seen));
	return s->seen ? 0 : -ENOMEM;
}

void scanner_deinit(struct scanner *s)
{
	if (!s->ops)
		return;
	scanner_stop(s);
	free(s->seen);
	s->seen = NULL;
}

void scanner_start(struct scanner *s)
{
	struct radio *radio = s->listener.radio;

	scanner_stop(s);
	air_sync(radio->air);
	s->on = true;
	for (size_t i = 0; i < ARRAY_SIZE(s->window); i++) {
		s->window[i].start_us = air_now_us(radio->air) + air_rand_below(radio->air, SCANNER_LAG_US);
		s->window[i].first = (uint8_t)air_rand_below(radio->air, 3);
	}
	backoff_reset(s);
	air_listen(radio, &s->listener);
}

void scanner_stop(struct scanner *s)
{
	if (!s->on)
		return;
	s->on = false;
	air_unlisten(&s->listener);
	air_timer_stop(&s->expiry);
	s->rsp.wait.from = NULL;
	for (size_t i = 0; i < SCANNER_AUX_MAX; i++)
		s->aux[i].wait.from = NULL;
}
