/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A controller's life, its packets in and out, and the way from a command to its answer.
 */
#include "controller.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "air_priv.h"
#include "ctl_adv.h"
#include "ctl_bredr.h"
#include "ctl_scan.h"
#include "link.h"
#include "resolving.h"

#define EVENT_MASK_DEFAULT    UINT64_C(0x00001fffffffffff) /* Vol 4, Part E, 7.3.1 */
#define LE_EVENT_MASK_DEFAULT UINT64_C(0x1f)               /* 7.8.1 */
#define LE_META_BIT           61

static const struct ctl_cmd *const tables[] = {
	ctl_base_cmds,    ctl_info_cmds,  ctl_bredr_cmds,  ctl_adv_cmds,
	ctl_ext_adv_cmds, ctl_scan_cmds,  ctl_accept_cmds, ctl_init_cmds,
	ctl_conn_cmds,    ctl_crypt_cmds, ctl_list_cmds,
};

/* --- tables --- */

const struct ctl_cmd *ctl_cmd_at(size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const struct ctl_cmd *c = tables[i];

		while (c->run && n > 0) {
			c++;
			n--;
		}
		if (c->run)
			return c;
	}
	return NULL;
}

static bool cmd_known(const struct controller *ctl, const struct ctl_cmd *c)
{
	return ctl->profile.version >= c->since && controller_has(ctl, c->features) &&
	       (ctl->profile.dual || !(c->flags & CTL_CMD_DUAL));
}

const struct ctl_cmd *ctl_cmd_find(const struct controller *ctl, uint16_t opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct ctl_cmd *c = tables[i]; c->run; c++) {
			if (c->opcode == opcode)
				return cmd_known(ctl, c) ? c : NULL;
		}
	}
	return NULL;
}

static void announce_commands(struct controller *ctl)
{
	const struct ctl_cmd *c;

	for (size_t n = 0; (c = ctl_cmd_at(n)); n++) {
		if (c->octet != CTL_CMD_NO_BIT && cmd_known(ctl, c))
			ctl->commands[c->octet] |= (uint8_t)(1 << c->bit);
	}
}

/* --- watches --- */

void controller_watch(struct air *air, struct ctl_watch *w)
{
	struct controller *ctl;

	list_add_tail(&air->ctl_watches, &w->link);
	list_for_each (ctl, &air->controllers, link) {
		if (w->added)
			w->added(w, ctl);
	}
}

void controller_unwatch(struct ctl_watch *w)
{
	list_del(&w->link);
}

static void watch_packet(struct controller *ctl, bool to_host, const uint8_t *pkt, size_t len)
{
	struct ctl_watch *w;

	list_for_each (w, &ctl->radio.air->ctl_watches, link) {
		if (w->packet)
			w->packet(w, ctl, to_host, pkt, len);
	}
}

static enum ctl_verdict watch_command(struct controller *ctl, uint16_t opcode,
                                      const uint8_t *params, size_t len)
{
	struct ctl_watch *w;

	list_for_each (w, &ctl->radio.air->ctl_watches, link) {
		enum ctl_verdict v =
			w->command ? w->command(w, ctl, opcode, params, len) : CTL_EXECUTE;

		if (v != CTL_EXECUTE)
			return v;
	}
	return CTL_EXECUTE;
}

static void watch_added(struct controller *ctl)
{
	struct ctl_watch *w;

	list_for_each (w, &ctl->radio.air->ctl_watches, link) {
		if (w->added)
			w->added(w, ctl);
	}
}

static void watch_removed(struct controller *ctl)
{
	struct ctl_watch *w;

	list_for_each (w, &ctl->radio.air->ctl_watches, link) {
		if (w->removed)
			w->removed(w, ctl);
	}
}

/* --- life --- */

static int parts_new(struct controller *ctl)
{
	int r = ctl_adv_new(ctl, &ctl->adv);

	if (r == 0)
		r = ctl_scan_new(ctl, &ctl->scan);
	if (r == 0)
		r = resolving_new(ctl, &ctl->resolving);
	if (r == 0)
		r = links_new(ctl, &ctl->links);
	return r;
}

int controller_new(struct air *air, const char *name, const struct profile *profile,
                   const struct addr *public_addr, const struct controller_ops *ops, void *data,
                   struct controller **ret)
{
	struct controller *ctl = calloc(1, sizeof(*ctl));
	int r;

	if (!ctl)
		return -ENOMEM;
	list_init(&ctl->link);
	radio_init(&ctl->radio, air, name);
	ctl->profile = *profile;
	ctl->public_addr = *public_addr;
	ctl->ops = ops;
	ctl->data = data;
	ctl->accept.size = profile->accept_list_size;
	announce_commands(ctl);
	r = parts_new(ctl);
	if (r < 0) {
		controller_free(ctl);
		return r;
	}
	controller_reset(ctl);
	list_add_tail(&air->controllers, &ctl->link);
	watch_added(ctl);
	*ret = ctl;
	return 0;
}

struct controller *controller_free(struct controller *ctl)
{
	if (!ctl)
		return NULL;
	if (list_linked(&ctl->link))
		watch_removed(ctl);
	list_del(&ctl->link);
	ctl->links = links_free(ctl->links);
	ctl->scan = ctl_scan_free(ctl->scan);
	ctl->adv = ctl_adv_free(ctl->adv);
	ctl->resolving = resolving_free(ctl->resolving);
	ctl_bredr_stop(ctl);
	radio_deinit(&ctl->radio);
	free(ctl);
	return NULL;
}

struct controller *controller_of(const struct radio *radio)
{
	struct controller *ctl;

	list_for_each (ctl, &radio->air->controllers, link) {
		if (&ctl->radio == radio)
			return ctl;
	}
	return NULL;
}

static void settings_reset(struct controller *ctl)
{
	ctl->hung = false;
	ctl->event_mask = EVENT_MASK_DEFAULT;
	ctl->event_mask2 = 0;
	ctl->le_event_mask = LE_EVENT_MASK_DEFAULT;
	ctl->flavour = CTL_ADV_UNDECIDED;
	ctl->has_random_addr = false;
	memset(&ctl->flow, 0, sizeof(ctl->flow));
	ctl->def_tx_len = 27;
	ctl->def_tx_time = 328;
	ctl->def_all_phys = 3;
	ctl->def_tx_phys = ctl->def_rx_phys = 0;
	accept_list_clear(&ctl->accept);
	ctl_bredr_reset(ctl);
}

void controller_reset(struct controller *ctl)
{
	links_reset(ctl->links);
	ctl_scan_reset(ctl->scan);
	ctl_adv_reset(ctl->adv);
	resolving_reset(ctl->resolving);
	settings_reset(ctl);
}

/* --- to the host --- */

/* --- what the host has room for: counted by link, since a link that ends gives back what it held (7.3.40) --- */

static uint16_t *flow_out(struct controller *ctl, uint16_t handle, bool add)
{
	size_t unused = FLOW_LINKS_MAX;

	for (size_t i = 0; i < FLOW_LINKS_MAX; i++) {
		if (ctl->flow.out[i].n && ctl->flow.out[i].handle == handle)
			return &ctl->flow.out[i].n;
		if (!ctl->flow.out[i].n)
			unused = i;
	}
	if (!add || unused == FLOW_LINKS_MAX)
		return NULL;
	ctl->flow.out[unused].handle = handle;
	return &ctl->flow.out[unused].n;
}

static void acl_counted(struct controller *ctl, uint16_t handle)
{
	uint16_t *out;

	ctl->stats.acl_out++;
	if (!ctl->flow.on || !ctl->flow.free)
		return;
	out = flow_out(ctl, handle, true);
	if (!out)
		return;
	ctl->flow.free--;
	++*out;
}

/* More than it had is a host's mistake, and does no harm. */
void controller_host_done(struct controller *ctl, uint16_t handle, uint16_t n)
{
	uint16_t *out = flow_out(ctl, handle, false);

	if (!out)
		return;
	n = MIN(n, *out);
	*out = (uint16_t)(*out - n);
	ctl->flow.free = (uint16_t)(ctl->flow.free + n);
}

/* Disconnection Complete: status, handle, reason */
static void link_gone(struct controller *ctl, const uint8_t *params, size_t len)
{
	if (len >= 3 && params[0] == HCIP_STATUS_OK)
		controller_host_done(ctl, (uint16_t)((params[1] | params[2] << 8) & 0xfff), UINT16_MAX);
}

void controller_send(struct controller *ctl, const uint8_t *pkt, size_t len)
{
	if (ctl->hung)
		return;
	if (pkt[0] == HCIP_PKT_EVENT)
		ctl->stats.events++;
	else
		acl_counted(ctl, (uint16_t)((pkt[1] | pkt[2] << 8) & 0xfff));
	watch_packet(ctl, true, pkt, len);
	ctl->ops->packet(ctl, pkt, len);
}

bool controller_congested(struct controller *ctl)
{
	if (ctl->flow.on && ctl->flow.free == 0)
		return true;
	return ctl->ops->congested && ctl->ops->congested(ctl);
}

static void send_event(struct controller *ctl, uint8_t code, const void *head, size_t head_len,
                       const void *params, size_t len)
{
	uint8_t buf[HCIP_EVENT_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, HCIP_PKT_EVENT);
	wr_u8(&w, code);
	wr_u8(&w, (uint8_t)(head_len + len));
	wr_bytes(&w, head, head_len);
	wr_bytes(&w, params, len);
	if (wr_ok(&w))
		controller_send(ctl, buf, wr_len(&w));
}

/* Bits are the event codes less one; the second page begins with 0x40 and its order is its own (7.3.1, 7.3.69). */
static bool event_wanted(const struct controller *ctl, uint8_t code)
{
	switch (code) {
	case HCIP_EV_CMD_COMPLETE:
	case HCIP_EV_CMD_STATUS:
	case HCIP_EV_COMPLETED_PACKETS:
		return true;
	case HCIP_EV_AUTH_PAYLOAD_TIMEOUT:
		return ctl->event_mask2 >> 23 & 1;
	case HCIP_EV_ENCRYPTION_CHANGE_V2:
		return ctl->event_mask2 >> 25 & 1;
	case HCIP_EV_LE_META:
		return ctl->event_mask >> LE_META_BIT & 1;
	}
	return code <= 0x40 && (ctl->event_mask >> (code - 1) & 1);
}

void controller_event(struct controller *ctl, uint8_t code, const void *params, size_t len)
{
	if (code == HCIP_EV_DISCONNECTED)
		link_gone(ctl, params, len);
	if (event_wanted(ctl, code))
		send_event(ctl, code, NULL, 0, params, len);
}

bool controller_wants_le(const struct controller *ctl, uint8_t subevent)
{
	return event_wanted(ctl, HCIP_EV_LE_META) && (ctl->le_event_mask >> (subevent - 1) & 1);
}

void controller_le_event(struct controller *ctl, uint8_t subevent, const void *params, size_t len)
{
	if (controller_wants_le(ctl, subevent))
		send_event(ctl, HCIP_EV_LE_META, &subevent, 1, params, len);
}

void controller_cmd_status(struct controller *ctl, uint16_t opcode, uint8_t status)
{
	uint8_t params[4] = {status, 1, opcode & 0xff, opcode >> 8};

	send_event(ctl, HCIP_EV_CMD_STATUS, NULL, 0, params, sizeof(params));
}

static void cmd_complete(struct controller *ctl, uint16_t opcode, uint8_t status,
                         const uint8_t *ret, size_t len)
{
	uint8_t head[4] = {1, opcode & 0xff, opcode >> 8, status};

	send_event(ctl, HCIP_EV_CMD_COMPLETE, head, sizeof(head), ret, len);
}

void controller_cmd_complete(struct controller *ctl, uint16_t opcode, uint8_t status, size_t len)
{
	uint8_t ret[HCIP_EVENT_MAX] = {0};

	cmd_complete(ctl, opcode, status, ret, MIN(len, sizeof(ret)));
}

/* --- from the host --- */

static void run_command(struct controller *ctl, const struct ctl_cmd *c, const uint8_t *params,
                        size_t len)
{
	uint8_t buf[HCIP_EVENT_MAX] = {0};
	struct wr ret = wr_init(buf, sizeof(buf));
	struct rd p = rd_init(params, len);
	bool fits = len == c->len || (len > c->len && (c->flags & CTL_CMD_VARIABLE));
	int status = fits ? c->run(ctl, &p, &ret) : HCIP_STATUS_INVALID_PARAMS;

	if (status == CTL_ANSWERED)
		return;
	if (!rd_ok(&p)) /* a variable part that says more than is there */
		status = HCIP_STATUS_INVALID_PARAMS;
	if (c->flags & CTL_CMD_STATUS)
		controller_cmd_status(ctl, c->opcode, (uint8_t)status);
	else
		cmd_complete(ctl, c->opcode, (uint8_t)status, buf, MAX(c->ret_len, wr_len(&ret)));
}

void controller_execute(struct controller *ctl, uint16_t opcode, const uint8_t *params, size_t len)
{
	const struct ctl_cmd *c = ctl_cmd_find(ctl, opcode);

	if (ctl->hung)
		return;
	if (c) {
		run_command(ctl, c, params, len);
		return;
	}
	ctl->stats.unknown++;
	log_debug(ctl->radio.name, "unknown command 0x%04x", opcode);
	controller_cmd_status(ctl, opcode, HCIP_STATUS_UNKNOWN_COMMAND);
}

static void command_input(struct controller *ctl, uint16_t opcode, const uint8_t *params,
                          size_t len)
{
	ctl->stats.commands++;
	switch (watch_command(ctl, opcode, params, len)) {
	case CTL_HANG:
		ctl->hung = true;
		return;
	case CTL_UNANSWERED:
		return;
	case CTL_EXECUTE:
		controller_execute(ctl, opcode, params, len);
	}
}

static void acl_input(struct controller *ctl, const uint8_t *pkt, size_t len)
{
	struct rd r = rd_init(pkt + 1, len - 1);

	(void)rd_le16(&r);
	if (rd_le16(&r) != r.left || !rd_ok(&r)) {
		ctl->stats.malformed++;
		return;
	}
	ctl->stats.acl_in++;
	links_acl_input(ctl->links, pkt, len);
}

void controller_input(struct controller *ctl, const uint8_t *pkt, size_t len)
{
	struct rd r = rd_init(pkt, len);
	uint8_t type = rd_u8(&r);

	air_sync(ctl->radio.air);
	watch_packet(ctl, false, pkt, len);
	if (ctl->hung)
		return;
	if (type == HCIP_PKT_COMMAND) {
		uint16_t opcode = rd_le16(&r);
		uint8_t said = rd_u8(&r);

		if (rd_ok(&r) && said == r.left)
			command_input(ctl, opcode, r.p, r.left);
		else
			ctl->stats.malformed++;
	} else if (type == HCIP_PKT_ACL) {
		acl_input(ctl, pkt, len);
	} else {
		ctl->stats.malformed++;
	}
}

bool controller_use(struct controller *ctl, enum ctl_flavour flavour)
{
	if (ctl->flavour == CTL_ADV_UNDECIDED || ctl->profile.mixed)
		ctl->flavour = flavour;
	return ctl->flavour == flavour;
}

/* --- addresses --- */

int controller_own_addr(struct controller *ctl, uint8_t own_type, const struct addr *peer,
                        struct addr *ret)
{
	if ((own_type & 2) && peer && resolving_local(ctl->resolving, peer, ret))
		return 0;
	if (!(own_type & 1)) {
		*ret = ctl->public_addr;
		return 0;
	}
	if (!ctl->has_random_addr)
		return -ENOENT;
	*ret = ctl->random_addr;
	return 0;
}

/* 7.8.4: not while legacy advertising, scanning or initiating */
bool controller_random_addr_busy(struct controller *ctl)
{
	return ctl_adv_legacy_on(ctl->adv) || ctl_scan_on(ctl->scan) ||
	       links_initiating(ctl->links);
}

bool controller_is_own(struct controller *ctl, const struct addr *a)
{
	return addr_equal(a, &ctl->public_addr) ||
	       (ctl->has_random_addr && addr_equal(a, &ctl->random_addr)) ||
	       resolving_is_local(ctl->resolving, a);
}
