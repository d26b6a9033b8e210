/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertising sets of a controller, and the legacy commands (Core 5.4, Vol 4, Part E, 7.8.5 to 7.8.9).
 */
#include "ctl_adv.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/ad.h"
#include "aiobled/cleanup.h"

#include "link.h"
#include "resolving.h"
#include "states.h"

#define UNIT_US         625
#define INTERVAL_MIN    0x0020
#define INTERVAL_MAX    0x4000
#define INTERVAL_NORMAL 0x0800
#define POLICY_SCAN     0x01
#define POLICY_CONNECT  0x02

/* --- a set on the air --- */

static struct addr identity_of(const struct controller *ctl, const struct addr *on_air)
{
	struct addr a = *on_air;

	(void)resolving_identity(ctl->resolving, on_air, &a); /* else it is the one on the air */
	return a;
}

static bool list_has(const struct adv_set *set, const struct addr *peer)
{
	struct addr identity = identity_of(set->ctl, peer);

	return accept_list_has(&set->ctl->accept, &identity);
}

static bool on_allows_scan(struct advertiser *adv, const struct addr *peer)
{
	struct adv_set *set = adv_set_of(adv);

	return !(set->policy & POLICY_SCAN) || list_has(set, peer);
}

static bool on_allows_connect(struct advertiser *adv, const struct addr *peer)
{
	struct adv_set *set = adv_set_of(adv);
	struct addr identity = identity_of(set->ctl, peer);

	if (!resolving_allows(set->ctl->resolving, &identity, !addr_equal(&identity, peer)))
		return false;
	if (adv->props & ADV_DIRECTED) /* nobody else, and no list (7.8.5) */
		return addr_equal(&identity, &set->peer);
	return !(set->policy & POLICY_CONNECT) || list_has(set, peer);
}

/* 7.7.65.19 */
static void on_scanned(struct advertiser *adv, const struct addr *peer)
{
	struct adv_set *set = adv_set_of(adv);
	struct addr identity = identity_of(set->ctl, peer);
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	if (!set->tell_requests)
		return;
	wr_u8(&w, set->handle);
	wr_u8(&w, (uint8_t)(identity.type | (addr_equal(&identity, peer) ? 0 : 2)));
	wr_bytes(&w, identity.b, ADDR_LEN);
	controller_le_event(set->ctl, HCIP_LE_SCAN_REQUEST, buf, wr_len(&w));
}

/* 7.7.65.18 */
static void tell_terminated(const struct adv_set *set, uint8_t status, uint16_t handle,
                            uint32_t events)
{
	uint8_t buf[5];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, status);
	wr_u8(&w, set->handle);
	wr_le16(&w, handle);
	wr_u8(&w, (uint8_t)MIN(events, 255u));
	controller_le_event(set->ctl, HCIP_LE_ADV_SET_TERMINATED, buf, wr_len(&w));
}

static bool on_connect(struct advertiser *adv, const struct air_pdu *ind)
{
	struct adv_set *set = adv_set_of(adv);
	uint16_t handle;

	adv->on = false;
	if (links_accept(set->ctl->links, adv, ind, &handle) < 0) {
		adv->on = true; /* goes on where it was */
		return false;
	}
	advertiser_stop(adv);
	if (!adv_set_is_legacy(set))
		tell_terminated(set, HCIP_STATUS_OK, handle, 0);
	return true;
}

static void on_ended(struct advertiser *adv, enum adv_end why)
{
	struct adv_set *set = adv_set_of(adv);

	if (adv->props & ADV_HIGH_DUTY)
		links_adv_timeout(set->ctl->links, adv);
	if (adv_set_is_legacy(set))
		return;
	switch (why) {
	case ADV_END_DURATION:
		tell_terminated(set, HCIP_STATUS_ADVERTISING_TIMEOUT, 0,
		                adv->max_events ? adv->events : 0);
		break;
	case ADV_END_EVENTS:
		tell_terminated(set, HCIP_STATUS_LIMIT_REACHED, 0, adv->events);
		break;
	}
}

static int own_addr(struct adv_set *set, struct addr *ret)
{
	struct controller *ctl = set->ctl;

	if (adv_set_is_legacy(set) || !(set->own_type & 1))
		return controller_own_addr(ctl, set->own_type, &set->peer, ret);
	if ((set->own_type & 2) && resolving_local(ctl->resolving, &set->peer, ret))
		return 0;
	if (!set->has_random_addr)
		return -ENOENT;
	*ret = set->random_addr;
	return 0;
}

int adv_set_refresh(struct adv_set *set)
{
	if (!(set->adv.props & ADV_DIRECTED) ||
	    !resolving_remote(set->ctl->resolving, &set->peer, &set->adv.target))
		set->adv.target = set->peer;
	return own_addr(set, &set->adv.addr);
}

static void on_refresh(struct advertiser *adv)
{
	(void)adv_set_refresh(
		adv_set_of(adv)); /* it had an address when it was enabled; that one stays */
}

static const struct advertiser_ops set_ops = {
	.refresh = on_refresh,
	.allows_scan = on_allows_scan,
	.allows_connect = on_allows_connect,
	.scanned = on_scanned,
	.connect = on_connect,
	.ended = on_ended,
};

/* --- sets --- */

static void set_init(struct adv_set *set, struct controller *ctl, uint8_t handle)
{
	*set = (struct adv_set){.ctl = ctl, .handle = handle};
	advertiser_init(&set->adv, &ctl->radio, &set_ops, set);
	set->adv.channel_sel_2 = controller_has(ctl, FEATURE_CHANNEL_SEL_2);
	set->adv.tx_dbm = CTL_TX_DBM;
}

void adv_set_clear(struct adv_set *set)
{
	struct controller *ctl = set->ctl;
	uint8_t handle = set->handle;

	advertiser_deinit(&set->adv);
	free(set->data_pieces.data);
	free(set->rsp_pieces.data);
	set_init(set, ctl, handle);
}

struct adv_set *adv_set_find(struct ctl_adv *a, uint8_t handle)
{
	for (size_t i = 0; i < a->ctl->profile.adv_sets; i++) {
		if (a->sets[i].used && a->sets[i].handle == handle)
			return &a->sets[i];
	}
	return NULL;
}

static void legacy_defaults(struct adv_set *set)
{
	set->used = true;
	set->adv.props = ADV_LEGACY | ADV_CONNECTABLE | ADV_SCANNABLE;
	set->adv.interval_us = INTERVAL_NORMAL * UNIT_US;
}

int ctl_adv_new(struct controller *ctl, struct ctl_adv **ret)
{
	struct ctl_adv *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->ctl = ctl;
	set_init(&a->legacy, ctl, ADV_HANDLE_NONE);
	legacy_defaults(&a->legacy);
	for (size_t i = 0; i < ADV_SETS_MAX; i++)
		set_init(&a->sets[i], ctl, 0);
	*ret = a;
	return 0;
}

void ctl_adv_reset(struct ctl_adv *a)
{
	adv_set_clear(&a->legacy);
	legacy_defaults(&a->legacy);
	for (size_t i = 0; i < ADV_SETS_MAX; i++)
		adv_set_clear(&a->sets[i]);
}

struct ctl_adv *ctl_adv_free(struct ctl_adv *a)
{
	if (!a)
		return NULL;
	ctl_adv_reset(a);
	free(a);
	return NULL;
}

bool ctl_adv_legacy_on(const struct ctl_adv *a)
{
	return a->legacy.adv.on;
}

bool ctl_adv_filters(const struct ctl_adv *a)
{
	if (a->legacy.adv.on && a->legacy.policy)
		return true;
	for (size_t i = 0; i < ADV_SETS_MAX; i++) {
		if (a->sets[i].adv.on && a->sets[i].policy)
			return true;
	}
	return false;
}

/* --- legacy commands --- */

/* 7.8.5: Advertising_Type */
static const uint16_t legacy_props[] = {
	ADV_LEGACY | ADV_CONNECTABLE | ADV_SCANNABLE,
	ADV_LEGACY | ADV_CONNECTABLE | ADV_DIRECTED | ADV_HIGH_DUTY,
	ADV_LEGACY | ADV_SCANNABLE,
	ADV_LEGACY,
	ADV_LEGACY | ADV_CONNECTABLE | ADV_DIRECTED,
};

/* Non-connectable types may not be so fast before 5.0; then all may (7.8.5). High duty directed ignores it. */
static bool interval_good(const struct controller *ctl, uint16_t min, uint16_t max, uint16_t props)
{
	bool slow = !(props & ADV_CONNECTABLE) && ctl->profile.version < VERSION_5_0;

	if (props & ADV_HIGH_DUTY)
		return true;
	return min >= (slow ? 0x00a0 : INTERVAL_MIN) && max <= INTERVAL_MAX && min <= max;
}

/* 7.8.5 */
static int run_params(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct adv_set *set = &ctl->adv->legacy;
	uint16_t min = rd_le16(p), max = rd_le16(p);
	uint8_t type = rd_u8(p), own_type = rd_u8(p), peer_type = rd_u8(p);
	struct addr peer = {.type = peer_type & 1};
	uint8_t channels, policy;

	rd_copy(p, peer.b, ADDR_LEN);
	channels = rd_u8(p);
	policy = rd_u8(p);
	if (!controller_use(ctl, CTL_ADV_LEGACY) || set->adv.on)
		return HCIP_STATUS_DISALLOWED;
	if (type >= ARRAY_SIZE(legacy_props) || !interval_good(ctl, min, max, legacy_props[type]) ||
	    peer_type > 1 || own_type > (controller_has(ctl, FEATURE_LL_PRIVACY) ? 3 : 1) ||
	    !(channels & 7) || policy > 3)
		return HCIP_STATUS_INVALID_PARAMS;
	set->adv.props = legacy_props[type];
	set->adv.interval_us = min * (uint32_t)UNIT_US;
	set->adv.channels = channels & 7;
	set->own_type = own_type;
	set->policy = policy;
	set->peer = peer;
	return HCIP_STATUS_OK;
}

static int run_tx_power(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, CTL_TX_DBM);
	return HCIP_STATUS_OK;
}

static int set_legacy_data(struct controller *ctl, struct rd *p,
                           int (*to)(struct advertiser *adv, const uint8_t *data, size_t len))
{
	uint8_t len = rd_u8(p);
	const uint8_t *data = rd_bytes(p, AD_LEGACY_MAX);

	if (!controller_use(ctl, CTL_ADV_LEGACY))
		return HCIP_STATUS_DISALLOWED;
	if (len > AD_LEGACY_MAX || !data)
		return HCIP_STATUS_INVALID_PARAMS;
	return to(&ctl->adv->legacy.adv, data, len) < 0 ? HCIP_STATUS_MEMORY_EXCEEDED
	                                                : HCIP_STATUS_OK;
}

/* 7.8.7 */
static int run_data(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return set_legacy_data(ctl, p, advertiser_set_data);
}

/* 7.8.8 */
static int run_response(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return set_legacy_data(ctl, p, advertiser_set_response);
}

/* 7.8.9: enabling what is enabled begins anew */
static int run_enable(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct adv_set *set = &ctl->adv->legacy;
	uint8_t enable = rd_u8(p);

	if (!controller_use(ctl, CTL_ADV_LEGACY))
		return HCIP_STATUS_DISALLOWED;
	if (enable > 1)
		return HCIP_STATUS_INVALID_PARAMS;
	if (!enable) {
		advertiser_stop(&set->adv);
		return HCIP_STATUS_OK;
	}
	if (!states_allow_advertising(ctl, set->adv.props))
		return HCIP_STATUS_DISALLOWED;
	if (adv_set_refresh(set) < 0)
		return HCIP_STATUS_INVALID_PARAMS;
	set->adv.duration_us = set->adv.props & ADV_HIGH_DUTY ? ADV_HIGH_DUTY_MAX_US : 0;
	advertiser_start(&set->adv);
	return HCIP_STATUS_OK;
}

/* clang-format off */
const struct ctl_cmd ctl_adv_cmds[] = {
	{0x2006, 25, 5, .len = 15, .name = "LE Set Advertising Parameters", .run = run_params},
	{0x2007, 25, 6, .ret_len = 1, .name = "LE Read Advertising Physical Channel Tx Power", .run = run_tx_power},
	{0x2008, 25, 7, .len = 32, .name = "LE Set Advertising Data", .run = run_data},
	{0x2009, 26, 0, .len = 32, .name = "LE Set Scan Response Data", .run = run_response},
	{0x200a, 26, 1, .len = 1, .name = "LE Set Advertising Enable", .run = run_enable},
	{0},
};
/* clang-format on */
