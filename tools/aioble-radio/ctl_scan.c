/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scanning, as a host commands it: legacy and extended parameters end up in one scanner; which reports it gets follows
 * from the flavour of its commands. Clauses are of Core 5.4, Vol 4, Part E.
 */
#include "ctl_scan.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/cleanup.h"

#include "controller.h"
#include "resolving.h"
#include "scanner.h"

#define UNIT_US         HCIP_SCAN_UNIT_US
#define DURATION_US     10000 /* units of 7.8.65 */
#define PERIOD_US       1280000
#define POLICY_LIST     0x01
#define POLICY_DIRECTED 0x02
#define REPORT_DATA_MAX 229 /* of one extended report: what an event has room for */
#define ADDR_ANONYMOUS  0xff
#define ADDR_UNRESOLVED 0xfe

enum { DUPLICATES_ALL = 0, DUPLICATES_ONCE = 1, DUPLICATES_PERIOD = 2 };

struct ctl_scan {
	struct controller *ctl;
	struct scanner scanner;
	struct air_timer timer; /* end of the duration, or of the pause between two periods */
	bool enabled, extended;
	uint8_t own_type, policy, duplicates;
	uint64_t duration_us, period_us;
};

static struct ctl_scan *scan_of(struct scanner *s)
{
	return s->data;
}

/* --- whom to hear --- */

static bool list_allows(const struct ctl_scan *s, const struct addr *adv_a,
                        const struct addr *identity)
{
	if (!(s->policy & POLICY_LIST))
		return true;
	return adv_a ? accept_list_has(&s->ctl->accept, identity) : s->ctl->accept.anonymous;
}

/* Directed at us, or, with the extended policies, at somebody whose address cannot be resolved (4.3.3 of Part B). */
static bool target_allows(const struct ctl_scan *s, const struct addr *target)
{
	if (!target || controller_is_own(s->ctl, target))
		return true;
	return (s->policy & POLICY_DIRECTED) && addr_kind(target) == ADDR_KIND_RESOLVABLE;
}

static bool on_allows(struct scanner *scanner, const struct air_pdu *pdu, const struct addr *adv_a,
                      const struct addr *target, struct addr *ret_identity)
{
	struct ctl_scan *s = scan_of(scanner);
	bool resolved = adv_a && resolving_identity(s->ctl->resolving, adv_a, ret_identity);

	if (!resolved)
		*ret_identity = adv_a ? *adv_a : (struct addr){0};
	if (!list_allows(s, adv_a, ret_identity) || !target_allows(s, target))
		return false;
	return !adv_a || resolving_allows(s->ctl->resolving, ret_identity, resolved);
}

static bool on_own_addr(struct scanner *scanner, const struct addr *peer, struct addr *ret)
{
	struct ctl_scan *s = scan_of(scanner);
	struct addr identity = *peer;

	(void)resolving_identity(s->ctl->resolving, peer,
	                         &identity); /* else it is the one on the air */
	return controller_own_addr(s->ctl, s->own_type, &identity, ret) == 0;
}

/* --- reports --- */

/* 2 and 3: the controller resolved it */
static uint8_t report_addr_type(const struct scan_report *r, const struct addr *identity)
{
	if (r->anonymous)
		return ADDR_ANONYMOUS;
	return (uint8_t)(identity->type | (addr_equal(identity, &r->addr) ? 0 : 2));
}

static bool target_unresolved(const struct ctl_scan *s, const struct scan_report *r)
{
	return r->directed && !controller_is_own(s->ctl, &r->target);
}

/* 7.7.65.11 */
static void report_direct(struct ctl_scan *s, const struct scan_report *r,
                          const struct addr *identity)
{
	uint8_t buf[32];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, 1);
	wr_u8(&w, HCIP_KIND_DIRECT_IND);
	wr_u8(&w, report_addr_type(r, identity));
	wr_bytes(&w, identity->b, ADDR_LEN);
	wr_u8(&w, ADDR_RANDOM);
	wr_bytes(&w, r->target.b, ADDR_LEN);
	wr_u8(&w, (uint8_t)r->rssi_dbm);
	controller_le_event(s->ctl, HCIP_LE_DIRECT_REPORT, buf, wr_len(&w));
}

/* 7.7.65.2 */
static void report_legacy(struct ctl_scan *s, const struct scan_report *r,
                          const struct addr *identity)
{
	uint8_t buf[64];
	struct wr w = wr_init(buf, sizeof(buf));

	if (target_unresolved(s, r)) {
		report_direct(s, r, identity);
		return;
	}
	wr_u8(&w, 1);
	wr_u8(&w, r->kind);
	wr_u8(&w, report_addr_type(r, identity));
	wr_bytes(&w, identity->b, ADDR_LEN);
	wr_u8(&w, (uint8_t)r->len);
	wr_bytes(&w, r->data, r->len);
	wr_u8(&w, (uint8_t)r->rssi_dbm);
	controller_le_event(s->ctl, HCIP_LE_ADV_REPORT, buf, wr_len(&w));
}

/* 7.7.65.13, one report */
static void report_part(struct ctl_scan *s, const struct scan_report *r,
                        const struct addr *identity, uint8_t status, const uint8_t *data,
                        size_t len)
{
	static const struct addr nobody;
	const struct addr *target = r->directed ? &r->target : &nobody;
	uint8_t buf[HCIP_EVENT_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, 1);
	wr_le16(&w, (uint16_t)(r->props | status << 5));
	wr_u8(&w, report_addr_type(r, identity));
	wr_bytes(&w, identity->b, ADDR_LEN);
	wr_u8(&w, r->primary_phy);
	wr_u8(&w, r->secondary_phy);
	wr_u8(&w, r->sid);
	wr_u8(&w, (uint8_t)r->tx_dbm);
	wr_u8(&w, (uint8_t)r->rssi_dbm);
	wr_le16(&w, 0); /* no periodic advertising */
	wr_u8(&w, target_unresolved(s, r) ? ADDR_UNRESOLVED : target->type);
	wr_bytes(&w, target->b, ADDR_LEN);
	wr_u8(&w, (uint8_t)len);
	wr_bytes(&w, data, len);
	controller_le_event(s->ctl, HCIP_LE_EXT_ADV_REPORT, buf, wr_len(&w));
}

static void report_extended(struct ctl_scan *s, const struct scan_report *r,
                            const struct addr *identity)
{
	size_t at = 0;

	for (; r->len - at > REPORT_DATA_MAX; at += REPORT_DATA_MAX)
		report_part(s, r, identity, HCIP_DATA_MORE, r->data + at, REPORT_DATA_MAX);
	report_part(s, r, identity, r->status, r->len ? r->data + at : NULL, r->len - at);
}

static void on_report(struct scanner *scanner, const struct scan_report *r,
                      const struct addr *identity)
{
	struct ctl_scan *s = scan_of(scanner);

	if (s->extended)
		report_extended(s, r, identity);
	else
		report_legacy(s, r, identity);
}

static const struct scanner_ops scanner_ops = {
	.allows = on_allows,
	.own_addr = on_own_addr,
	.report = on_report,
};

/* --- on and off --- */

static void period_begins(struct ctl_scan *s)
{
	if (s->duplicates == DUPLICATES_PERIOD)
		scanner_forget_duplicates(&s->scanner);
	scanner_start(&s->scanner);
	if (s->duration_us)
		air_timer_start(&s->timer, s->duration_us);
}

static void scan_stop(struct ctl_scan *s)
{
	s->enabled = false;
	scanner_stop(&s->scanner);
	air_timer_stop(&s->timer);
}

/* The scanner runs: its duration is over. It does not: a new period begins (7.8.65). */
static void on_timer(struct air_timer *t)
{
	struct ctl_scan *s = container_of(t, struct ctl_scan, timer);

	if (!s->scanner.on) {
		period_begins(s);
	} else if (s->period_us) {
		scanner_stop(&s->scanner);
		air_timer_start(&s->timer, s->period_us - s->duration_us);
	} else {
		scan_stop(s);
		controller_le_event(s->ctl, HCIP_LE_SCAN_TIMEOUT, NULL, 0);
	}
}

static int scan_enable(struct ctl_scan *s, bool enable, uint8_t duplicates)
{
	struct addr own;

	if (!enable) {
		scan_stop(s);
		return HCIP_STATUS_OK;
	}
	if ((s->own_type & 1) && controller_own_addr(s->ctl, s->own_type, NULL, &own) < 0)
		return HCIP_STATUS_INVALID_PARAMS;
	s->duplicates = duplicates;
	s->scanner.filter_duplicates = duplicates != DUPLICATES_ALL;
	scanner_forget_duplicates(&s->scanner);
	if (s->enabled && !s->duration_us && s->scanner.on) /* only the filter begins anew */
		return HCIP_STATUS_OK;
	s->enabled = true;
	s->scanner.extended = s->extended;
	air_timer_stop(&s->timer);
	period_begins(s);
	return HCIP_STATUS_OK;
}

/* --- commands --- */

static bool interval_good(uint16_t interval, uint16_t window)
{
	return interval >= HCIP_SCAN_UNITS_MIN && window >= HCIP_SCAN_UNITS_MIN &&
	       window <= interval;
}

static bool policy_good(const struct controller *ctl, uint8_t policy)
{
	return policy <= (controller_has(ctl, FEATURE_EXT_SCAN_FILTER) ? 3 : 1);
}

static bool own_type_good(const struct controller *ctl, uint8_t own_type)
{
	return own_type <= (controller_has(ctl, FEATURE_LL_PRIVACY) ? 3 : 1);
}

static void set_phy(struct ctl_scan *s, int slot, bool active, uint16_t interval, uint16_t window)
{
	s->scanner.active[slot] = active;
	s->scanner.window[slot] = (struct scan_window){
		.interval_us = interval * UNIT_US,
		.window_us = window * UNIT_US,
		.phy = slot ? PHY_CODED : PHY_1M,
	};
}

/* 7.8.10 */
static int run_params(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct ctl_scan *s = ctl->scan;
	uint8_t type = rd_u8(p);
	uint16_t interval = rd_le16(p), window = rd_le16(p);
	uint8_t own_type = rd_u8(p), policy = rd_u8(p);

	if (!controller_use(ctl, CTL_ADV_LEGACY) || s->enabled)
		return HCIP_STATUS_DISALLOWED;
	if (type > 1 || !interval_good(interval, window) || interval > HCIP_SCAN_UNITS_MAX ||
	    !own_type_good(ctl, own_type) || !policy_good(ctl, policy))
		return HCIP_STATUS_INVALID_PARAMS;
	s->own_type = own_type;
	s->policy = policy;
	set_phy(s, 0, type == 1, interval, window);
	set_phy(s, 1, false, 0, 0);
	return HCIP_STATUS_OK;
}

/* 7.8.11 */
static int run_enable(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct ctl_scan *s = ctl->scan;
	uint8_t enable = rd_u8(p), duplicates = rd_u8(p);

	if (!controller_use(ctl, CTL_ADV_LEGACY))
		return HCIP_STATUS_DISALLOWED;
	if (enable > 1 || (enable && duplicates > DUPLICATES_ONCE))
		return HCIP_STATUS_INVALID_PARAMS;
	s->extended = false;
	s->duration_us = s->period_us = 0;
	return scan_enable(s, enable, duplicates);
}

/* 7.8.64 */
static int run_ext_params(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct ctl_scan *s = ctl->scan;
	uint8_t own_type = rd_u8(p), policy = rd_u8(p), phys = rd_u8(p);
	struct {
		uint8_t type;
		uint16_t interval, window;
	} phy[2] = {0};

	if (!controller_use(ctl, CTL_ADV_EXTENDED) || s->enabled)
		return HCIP_STATUS_DISALLOWED;
	if (!own_type_good(ctl, own_type) || !policy_good(ctl, policy) ||
	    !(phys & (HCIP_PHY_1M | HCIP_PHY_CODED)))
		return HCIP_STATUS_INVALID_PARAMS;
	if (phys & ~(HCIP_PHY_1M | HCIP_PHY_CODED))
		return HCIP_STATUS_UNSUPPORTED_VALUE;
	for (int i = 0; i < 2; i++) {
		if (!(phys & (i ? HCIP_PHY_CODED : HCIP_PHY_1M)))
			continue;
		phy[i].type = rd_u8(p);
		phy[i].interval = rd_le16(p);
		phy[i].window = rd_le16(p);
		if (phy[i].type > 1 || !interval_good(phy[i].interval, phy[i].window))
			return HCIP_STATUS_INVALID_PARAMS;
	}
	s->own_type = own_type;
	s->policy = policy;
	for (int i = 0; i < 2; i++)
		set_phy(s, i, phy[i].type == 1, phy[i].interval, phy[i].window);
	return HCIP_STATUS_OK;
}

/* 7.8.65 */
static int run_ext_enable(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct ctl_scan *s = ctl->scan;
	uint8_t enable = rd_u8(p), duplicates = rd_u8(p);
	uint64_t duration_us = rd_le16(p) * (uint64_t)DURATION_US,
		 period_us = rd_le16(p) * (uint64_t)PERIOD_US;

	if (!controller_use(ctl, CTL_ADV_EXTENDED))
		return HCIP_STATUS_DISALLOWED;
	if (!enable)
		return scan_enable(s, false, 0);
	if (enable > 1 || duplicates > DUPLICATES_PERIOD ||
	    (period_us && duration_us >= period_us) ||
	    (duplicates == DUPLICATES_PERIOD && !(period_us && duration_us)))
		return HCIP_STATUS_INVALID_PARAMS;
	s->extended = true;
	s->duration_us = duration_us;
	s->period_us = duration_us ? period_us : 0;
	return scan_enable(s, true, duplicates);
}

/* clang-format off */
const struct ctl_cmd ctl_scan_cmds[] = {
	{0x200b, 26, 2, .len = 7, .name = "LE Set Scan Parameters", .run = run_params},
	{0x200c, 26, 3, .len = 2, .name = "LE Set Scan Enable", .run = run_enable},
	{0x2041, 37, 5, .flags = CTL_CMD_VARIABLE, .len = 3, .features = FEATURE_EXT_ADV, .name = "LE Set Extended Scan Parameters", .run = run_ext_params},
	{0x2042, 37, 6, .len = 6, .features = FEATURE_EXT_ADV, .name = "LE Set Extended Scan Enable", .run = run_ext_enable},
	{0},
};
/* clang-format on */

/* --- life --- */

int ctl_scan_new(struct controller *ctl, struct ctl_scan **ret)
{
	struct ctl_scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->ctl = ctl;
	air_timer_init(&s->timer, ctl->radio.air, on_timer);
	*ret = s;
	return scanner_init(&s->scanner, &ctl->radio, &scanner_ops, s);
}

struct ctl_scan *ctl_scan_free(struct ctl_scan *s)
{
	if (!s)
		return NULL;
	scan_stop(s);
	scanner_deinit(&s->scanner);
	free(s);
	return NULL;
}

void ctl_scan_reset(struct ctl_scan *s)
{
	scan_stop(s);
	s->own_type = s->policy = 0;
	s->extended = false;
	s->duration_us = s->period_us = 0;
	set_phy(s, 0, false, 0x10, 0x10); /* the defaults of 7.8.10 */
	set_phy(s, 1, false, 0, 0);
}

bool ctl_scan_on(const struct ctl_scan *s)
{
	return s->enabled;
}

const struct scanner *ctl_scan_scanner(const struct ctl_scan *s)
{
	return &s->scanner;
}

bool ctl_scan_filters(const struct ctl_scan *s)
{
	return s->enabled && (s->policy & POLICY_LIST);
}
