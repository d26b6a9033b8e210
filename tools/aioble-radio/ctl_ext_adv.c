/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The extended advertising commands (Core 5.4, Vol 4, Part E, 7.8.52 to 7.8.60). A set exists from its first parameters
 * to its removal. Data that does not come in one piece waits beside the set until the last piece is there.
 */
#include <errno.h>
#include <stdlib.h>

#include "aiobled/ad.h"
#include "aiobled/cleanup.h"

#include "ctl_adv.h"
#include "states.h"

#define UNIT_US          625
#define DURATION_UNIT_US 10000
#define INTERVAL_MIN     0x20
#define TX_NO_PREFERENCE 127
#define CONNECTABLE_MAX  245 /* all of one AUX_ADV_IND: no chain there (Vol 6, Part B, 2.3.1.6) */
#define HIGH_DUTY_UNITS  (ADV_HIGH_DUTY_MAX_US / DURATION_UNIT_US)

static uint32_t rd_le24(struct rd *p)
{
	uint32_t low = rd_le16(p);

	return low | (uint32_t)rd_u8(p) << 16;
}

/* --- parameters --- */

struct params {
	uint8_t handle;
	uint16_t props;
	uint32_t min, max;
	uint8_t channels, own_type, peer_type;
	struct addr peer;
	uint8_t policy;
	int8_t tx_dbm;
	uint8_t primary_phy, max_skip, secondary_phy, sid, tell_requests;
};

static struct params read_params(struct rd *p)
{
	struct params a = {.handle = rd_u8(p)};

	a.props = rd_le16(p);
	a.min = rd_le24(p);
	a.max = rd_le24(p);
	a.channels = rd_u8(p);
	a.own_type = rd_u8(p);
	a.peer_type = rd_u8(p);
	rd_copy(p, a.peer.b, ADDR_LEN);
	a.peer.type = a.peer_type & 1;
	a.policy = rd_u8(p);
	a.tx_dbm = (int8_t)rd_u8(p);
	a.primary_phy = rd_u8(p);
	a.max_skip = rd_u8(p);
	a.secondary_phy = rd_u8(p);
	a.sid = rd_u8(p);
	a.tell_requests = rd_u8(p);
	return a;
}

/* 7.8.53, table 7.1: the five legacy PDUs, each with its own combination */
static bool legacy_props_good(uint16_t props)
{
	switch (props & ~ADV_WITH_TX_POWER) {
	case ADV_LEGACY | ADV_CONNECTABLE | ADV_SCANNABLE:
	case ADV_LEGACY | ADV_CONNECTABLE | ADV_DIRECTED:
	case ADV_LEGACY | ADV_CONNECTABLE | ADV_DIRECTED | ADV_HIGH_DUTY:
	case ADV_LEGACY | ADV_SCANNABLE:
	case ADV_LEGACY:
		return true;
	}
	return false;
}

static bool props_good(uint16_t props)
{
	if (props & ADV_LEGACY)
		return legacy_props_good(props);
	if ((props & ADV_CONNECTABLE) && (props & ADV_SCANNABLE))
		return false;
	if ((props & ADV_ANONYMOUS) && (props & (ADV_CONNECTABLE | ADV_SCANNABLE)))
		return false;
	return !(props & ADV_HIGH_DUTY) && props <= 0x7f;
}

static bool params_good(const struct params *a)
{
	bool timed = !(a->props & ADV_HIGH_DUTY);

	return a->handle <= ADV_HANDLE_MAX && props_good(a->props) && (a->channels & 7) &&
	       a->own_type <= 3 && a->peer_type <= 1 && a->policy <= 3 && a->sid <= 15 &&
	       a->tell_requests <= 1 && (!timed || (a->min >= INTERVAL_MIN && a->min <= a->max)) &&
	       (a->tx_dbm == TX_NO_PREFERENCE || (a->tx_dbm >= -127 && a->tx_dbm <= 20));
}

static bool phys_good(const struct params *a)
{
	if (a->props & ADV_LEGACY)
		return a->primary_phy == PHY_1M;
	return (a->primary_phy == PHY_1M || a->primary_phy == PHY_CODED) &&
	       a->secondary_phy >= PHY_1M && a->secondary_phy <= PHY_CODED;
}

static int8_t select_tx(int8_t wanted)
{
	if (wanted == TX_NO_PREFERENCE)
		return CTL_TX_DBM;
	return (int8_t)MAX(CTL_TX_MIN_DBM, MIN(wanted, CTL_TX_MAX_DBM));
}

static struct adv_set *set_new(struct ctl_adv *a, uint8_t handle)
{
	for (size_t i = 0; i < a->ctl->profile.adv_sets; i++) {
		struct adv_set *set = &a->sets[i];

		if (set->used)
			continue;
		set->used = true;
		set->handle = handle;
		return set;
	}
	return NULL;
}

static void apply(struct adv_set *set, const struct params *a)
{
	set->own_type = a->own_type;
	set->policy = a->policy;
	set->peer = a->peer;
	set->tell_requests = a->tell_requests;
	set->adv.props = a->props;
	set->adv.interval_us = a->min * UNIT_US;
	set->adv.channels = a->channels & 7;
	set->adv.primary_phy = a->primary_phy;
	set->adv.secondary_phy = a->props & ADV_LEGACY ? PHY_1M : a->secondary_phy;
	set->adv.sid = a->sid;
	set->adv.tx_dbm = select_tx(a->tx_dbm);
}

/* Can the PDUs of these properties carry so much? */
static bool data_fits(uint16_t props, size_t len)
{
	if (props & ADV_LEGACY)
		return len <= AD_LEGACY_MAX;
	return !(props & ADV_CONNECTABLE) || len <= CONNECTABLE_MAX;
}

/* 7.8.53 */
static int run_params(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct params a = read_params(p);
	struct adv_set *set = adv_set_find(ctl->adv, a.handle);

	if (!controller_use(ctl, CTL_ADV_EXTENDED) || (set && set->adv.on))
		return HCIP_STATUS_DISALLOWED;
	if (!params_good(&a))
		return HCIP_STATUS_INVALID_PARAMS;
	if (!phys_good(&a))
		return HCIP_STATUS_UNSUPPORTED_VALUE;
	if (set && (!data_fits(a.props, set->adv.adv_len) ||
	            ((a.props & ADV_LEGACY) && set->adv.rsp_len > AD_LEGACY_MAX)))
		return HCIP_STATUS_INVALID_PARAMS;
	set = set ? set : set_new(ctl->adv, a.handle);
	if (!set)
		return HCIP_STATUS_MEMORY_EXCEEDED;
	apply(set, &a);
	wr_u8(ret, (uint8_t)set->adv.tx_dbm);
	return HCIP_STATUS_OK;
}

/* 7.8.52 */
static int run_random_addr(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct adv_set *set = adv_set_find(ctl->adv, rd_u8(p));

	if (!set)
		return HCIP_STATUS_UNKNOWN_ADV_SET;
	if (set->adv.on && (set->adv.props & ADV_CONNECTABLE))
		return HCIP_STATUS_DISALLOWED;
	rd_copy(p, set->random_addr.b, ADDR_LEN);
	set->random_addr.type = ADDR_RANDOM;
	set->has_random_addr = true;
	return HCIP_STATUS_OK;
}

/* --- data --- */

enum { OP_MIDDLE = 0, OP_FIRST = 1, OP_LAST = 2, OP_COMPLETE = 3, OP_UNCHANGED = 4 };

struct payload {
	struct adv_set *set;
	struct adv_pieces *pieces;
	int (*put)(struct advertiser *adv, const uint8_t *data, size_t len);
	size_t most;
};

static void pieces_forget(struct adv_pieces *pieces)
{
	free(pieces->data);
	*pieces = (struct adv_pieces){0};
}

static int pieces_add(struct adv_pieces *pieces, const uint8_t *data, size_t len)
{
	uint8_t *all = realloc(pieces->data, pieces->len + len + 1u);

	if (!all)
		return HCIP_STATUS_MEMORY_EXCEEDED;
	if (len)
		memcpy(all + pieces->len, data, len);
	pieces->data = all;
	pieces->len = (uint16_t)(pieces->len + len);
	return HCIP_STATUS_OK;
}

static int put_all(const struct payload *to, const uint8_t *data, size_t len)
{
	return to->put(&to->set->adv, data, len) < 0 ? HCIP_STATUS_MEMORY_EXCEEDED : HCIP_STATUS_OK;
}

static int put_piece(const struct payload *to, uint8_t op, const uint8_t *data, size_t len)
{
	int status;

	if (op == OP_FIRST)
		pieces_forget(to->pieces);
	if ((op != OP_FIRST && !to->pieces->begun) || !len)
		return HCIP_STATUS_INVALID_PARAMS;
	if (to->pieces->len + len > to->most) {
		pieces_forget(to->pieces);
		return HCIP_STATUS_MEMORY_EXCEEDED;
	}
	to->pieces->begun = true;
	status = pieces_add(to->pieces, data, len);
	if (status == HCIP_STATUS_OK && op == OP_LAST) {
		status = put_all(to, to->pieces->data, to->pieces->len);
		pieces_forget(to->pieces);
	}
	return status;
}

/* The same data under a new data ID: scanners that filter duplicates will report it again. */
static int renew(const struct payload *to)
{
	struct advertiser *adv = &to->set->adv;

	if (!adv->on || (adv->props & ADV_LEGACY) || !adv->adv_len)
		return HCIP_STATUS_INVALID_PARAMS;
	adv->did = (uint16_t)((adv->did + 1) & 0xfff);
	return HCIP_STATUS_OK;
}

static int put_data(const struct payload *to, struct rd *p)
{
	uint8_t op = rd_u8(p);
	size_t len;
	const uint8_t *data;

	(void)rd_u8(p); /* fragment preference: we decide */
	len = rd_u8(p);
	data = rd_bytes(p, len);
	if (!data || op > OP_UNCHANGED)
		return HCIP_STATUS_INVALID_PARAMS;
	if ((to->set->adv.props & ADV_LEGACY) && (op != OP_COMPLETE || len > AD_LEGACY_MAX))
		return HCIP_STATUS_INVALID_PARAMS;
	if (op == OP_UNCHANGED)
		return len ? HCIP_STATUS_INVALID_PARAMS : renew(to);
	if (op == OP_COMPLETE) {
		pieces_forget(to->pieces);
		return len > to->most ? HCIP_STATUS_INVALID_PARAMS : put_all(to, data, len);
	}
	return to->set->adv.on ? HCIP_STATUS_DISALLOWED : put_piece(to, op, data, len);
}

/* 7.8.54 */
static int run_data(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct adv_set *set = adv_set_find(ctl->adv, rd_u8(p));
	struct payload to = {
		.set = set, .put = advertiser_set_data, .most = ctl->profile.adv_data_max};

	if (!controller_use(ctl, CTL_ADV_EXTENDED))
		return HCIP_STATUS_DISALLOWED;
	if (!set)
		return HCIP_STATUS_UNKNOWN_ADV_SET;
	if ((set->adv.props & (ADV_LEGACY | ADV_DIRECTED)) == (ADV_LEGACY | ADV_DIRECTED) ||
	    (set->adv.props & (ADV_LEGACY | ADV_SCANNABLE)) == ADV_SCANNABLE)
		return HCIP_STATUS_INVALID_PARAMS; /* its PDUs have no data */
	if (set->adv.on && !data_fits(set->adv.props, p->left > 3 ? p->left - 3 : 0))
		return HCIP_STATUS_TOO_LONG;
	to.pieces = &set->data_pieces;
	return put_data(&to, p);
}

/* 7.8.55 */
static int run_response(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct adv_set *set = adv_set_find(ctl->adv, rd_u8(p));
	struct payload to = {
		.set = set, .put = advertiser_set_response, .most = ctl->profile.adv_data_max};

	if (!controller_use(ctl, CTL_ADV_EXTENDED))
		return HCIP_STATUS_DISALLOWED;
	if (!set)
		return HCIP_STATUS_UNKNOWN_ADV_SET;
	if (!(set->adv.props & ADV_SCANNABLE))
		return HCIP_STATUS_INVALID_PARAMS;
	to.pieces = &set->rsp_pieces;
	return put_data(&to, p);
}

/* --- on and off --- */

struct enable {
	uint8_t handle;
	uint16_t duration;
	uint8_t max_events;
};

static struct enable read_enable(struct rd *p)
{
	struct enable e = {.handle = rd_u8(p)};

	e.duration = rd_le16(p);
	e.max_events = rd_u8(p);
	return e;
}

static int may_enable(struct controller *ctl, const struct enable *e)
{
	struct adv_set *set = adv_set_find(ctl->adv, e->handle);
	uint16_t props = set ? set->adv.props : 0;

	if (!set)
		return HCIP_STATUS_UNKNOWN_ADV_SET;
	if ((props & ADV_HIGH_DUTY) && (e->duration == 0 || e->duration > HIGH_DUTY_UNITS))
		return HCIP_STATUS_INVALID_PARAMS;
	if (set->data_pieces.begun || set->rsp_pieces.begun || !states_allow_advertising(ctl, props))
		return HCIP_STATUS_DISALLOWED;
	if ((props & (ADV_LEGACY | ADV_SCANNABLE)) == ADV_SCANNABLE && !set->adv.rsp_len)
		return HCIP_STATUS_DISALLOWED;
	if (!data_fits(props, set->adv.adv_len))
		return HCIP_STATUS_TOO_LONG;
	return adv_set_refresh(set) < 0 ? HCIP_STATUS_INVALID_PARAMS : HCIP_STATUS_OK;
}

static void enable_set(struct controller *ctl, const struct enable *e)
{
	struct adv_set *set = adv_set_find(ctl->adv, e->handle);

	set->adv.duration_us = (uint32_t)e->duration * DURATION_UNIT_US;
	set->adv.max_events = e->max_events;
	advertiser_start(&set->adv);
}

static int disable_all(struct controller *ctl)
{
	for (size_t i = 0; i < ADV_SETS_MAX; i++)
		advertiser_stop(&ctl->adv->sets[i].adv);
	return HCIP_STATUS_OK;
}

/* All of them or none: the first walk over the list only looks. */
static int enable_sets(struct controller *ctl, struct rd *p, uint8_t n)
{
	struct rd look = *p;
	uint64_t seen[4] = {0};

	for (uint8_t i = 0; i < n; i++) {
		struct enable e = read_enable(&look);
		int status;

		if (!rd_ok(&look) || e.handle > ADV_HANDLE_MAX ||
		    (seen[e.handle / 64] >> e.handle % 64 & 1))
			return HCIP_STATUS_INVALID_PARAMS;
		seen[e.handle / 64] |= UINT64_C(1) << e.handle % 64;
		status = may_enable(ctl, &e);
		if (status)
			return status;
	}
	for (uint8_t i = 0; i < n; i++) {
		struct enable e = read_enable(p);

		enable_set(ctl, &e);
	}
	return HCIP_STATUS_OK;
}

static int disable_sets(struct controller *ctl, struct rd *p, uint8_t n)
{
	struct rd look = *p;

	for (uint8_t i = 0; i < n; i++) {
		struct enable e = read_enable(&look);

		if (!rd_ok(&look))
			return HCIP_STATUS_INVALID_PARAMS;
		if (!adv_set_find(ctl->adv, e.handle))
			return HCIP_STATUS_UNKNOWN_ADV_SET;
	}
	for (uint8_t i = 0; i < n; i++)
		advertiser_stop(&adv_set_find(ctl->adv, read_enable(p).handle)->adv);
	return HCIP_STATUS_OK;
}

/* 7.8.56 */
static int run_enable(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t enable = rd_u8(p), n = rd_u8(p);

	if (!controller_use(ctl, CTL_ADV_EXTENDED))
		return HCIP_STATUS_DISALLOWED;
	if (enable > 1 || (enable && !n))
		return HCIP_STATUS_INVALID_PARAMS;
	if (enable)
		return enable_sets(ctl, p, n);
	return n ? disable_sets(ctl, p, n) : disable_all(ctl);
}

/* --- sizes and removal --- */

static int run_max_data(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_le16(ret, ctl->profile.adv_data_max);
	return HCIP_STATUS_OK;
}

static int run_sets(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, ctl->profile.adv_sets);
	return HCIP_STATUS_OK;
}

/* 7.8.59 */
static int run_remove(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct adv_set *set = adv_set_find(ctl->adv, rd_u8(p));

	if (!set)
		return HCIP_STATUS_UNKNOWN_ADV_SET;
	if (set->adv.on)
		return HCIP_STATUS_DISALLOWED;
	adv_set_clear(set);
	return HCIP_STATUS_OK;
}

/* 7.8.60 */
static int run_clear(struct controller *ctl, struct rd *p, struct wr *ret)
{
	for (size_t i = 0; i < ADV_SETS_MAX; i++) {
		if (ctl->adv->sets[i].adv.on)
			return HCIP_STATUS_DISALLOWED;
	}
	for (size_t i = 0; i < ADV_SETS_MAX; i++)
		adv_set_clear(&ctl->adv->sets[i]);
	return HCIP_STATUS_OK;
}

#define EXT .features = FEATURE_EXT_ADV

/* clang-format off */
const struct ctl_cmd ctl_ext_adv_cmds[] = {
	{0x2035, 36, 1, .len = 7, EXT, .name = "LE Set Advertising Set Random Address", .run = run_random_addr},
	{0x2036, 36, 2, .len = 25, .ret_len = 1, EXT, .name = "LE Set Extended Advertising Parameters", .run = run_params},
	{0x2037, 36, 3, .flags = CTL_CMD_VARIABLE, .len = 4, EXT, .name = "LE Set Extended Advertising Data", .run = run_data},
	{0x2038, 36, 4, .flags = CTL_CMD_VARIABLE, .len = 4, EXT, .name = "LE Set Extended Scan Response Data", .run = run_response},
	{0x2039, 36, 5, .flags = CTL_CMD_VARIABLE, .len = 2, EXT, .name = "LE Set Extended Advertising Enable", .run = run_enable},
	{0x203a, 36, 6, .ret_len = 2, EXT, .name = "LE Read Maximum Advertising Data Length", .run = run_max_data},
	{0x203b, 36, 7, .ret_len = 1, EXT, .name = "LE Read Number of Supported Advertising Sets", .run = run_sets},
	{0x203c, 37, 0, .len = 1, EXT, .name = "LE Remove Advertising Set", .run = run_remove},
	{0x203d, 37, 1, EXT, .name = "LE Clear Advertising Sets", .run = run_clear},
	{0},
};
/* clang-format on */
