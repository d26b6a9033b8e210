/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data channel PDUs (Core 5.4, Vol 6, Part B, 2.4): one is in flight at each end until the other's NESN acknowledges it,
 * empty ones included (4.5.9). A PDU is composed once; sent again it differs in the bits of its header alone.
 *
 * A host that does not fetch its data is not given more: the PDU is not acknowledged and comes again.
 */
#include "link_priv.h"

#include <stdlib.h>

#include "aiobled/cleanup.h"

#include "controller.h"

/* --- what fits --- */

/* LL payload that a time allows (4.5.10); 27 octets always fit. */
static uint16_t fit(uint8_t phy, uint16_t octets, uint16_t time_us)
{
	while (octets > LL_OCTETS_MIN &&
	       phy_air_time_us(phy, PDU_HEADER_LEN + octets + CCM_MIC_LEN) > time_us)
		octets--;
	return octets;
}

void link_fit_fragments(struct link *l)
{
	l->frag = fit(l->tx_phy, l->tx_octets, l->tx_time);
}

void link_set_phys(struct link *l, uint8_t tx, uint8_t rx)
{
	l->tx_phy = tx;
	l->rx_phy = rx;
	link_fit_fragments(l);
}

/* --- sending --- */

static struct link_acl *acl_next(const struct link *l)
{
	struct link_acl *a;

	if (l->paused || l->leaving || l->ending)
		return NULL;
	list_for_each (a, &l->acl, link) {
		if (a->sent < a->len)
			return a;
	}
	return NULL;
}

bool link_has_data(const struct link *l)
{
	return (l->in_flight && l->tx_payload) || acl_next(l);
}

static void load(struct link *l, uint8_t llid, const uint8_t *data, size_t len)
{
	l->tx[0] = llid;
	l->tx_payload = (uint8_t)len;
	l->tx_mic = len && l->tx_enc;
	if (len)
		memcpy(l->tx + PDU_HEADER_LEN, data, len);
	if (l->tx_mic)
		ccm_mic(&l->ccm, l->tx_count++, l->role == HCIP_ROLE_CENTRAL, llid, data, len,
		        l->tx + PDU_HEADER_LEN + len);
	l->tx_len = PDU_HEADER_LEN + len + (l->tx_mic ? CCM_MIC_LEN : 0);
	l->tx[1] = (uint8_t)(l->tx_len - PDU_HEADER_LEN);
}

static void load_ctrl(struct link *l, unsigned int i)
{
	struct link_ctrl c = l->ctrl[i];

	l->n_ctrl--;
	memmove(&l->ctrl[i], &l->ctrl[i + 1], (l->n_ctrl - i) * sizeof(c));
	link_ctrl_leaves(l, c.data, c.len);
	load(l, LL_LLID_CONTROL, c.data, c.len);
}

static void load_acl(struct link *l, struct link_acl *a)
{
	uint16_t n = (uint16_t)MIN(a->len - a->sent, l->frag);
	bool start = a->start && a->sent == 0;

	load(l, start ? LL_LLID_START : LL_LLID_MORE, a->data + a->sent, n);
	a->sent += n;
}

static void load_next(struct link *l)
{
	int ctrl = link_ctrl_sendable(l);
	struct link_acl *a = acl_next(l);

	if (ctrl >= 0)
		load_ctrl(l, (unsigned int)ctrl);
	else if (a)
		load_acl(l, a);
	else
		load(l, LL_LLID_MORE, NULL, 0);
	l->in_flight = true;
}

void link_compose(struct link *l)
{
	bool more;

	if (l->in_flight)
		l->stats.retransmitted++;
	else
		load_next(l);
	more = !l->ending && (link_ctrl_sendable(l) >= 0 || acl_next(l));
	l->tx[0] = (uint8_t)((l->tx[0] & LL_LLID) | (l->nesn ? LL_NESN : 0) | (l->sn ? LL_SN : 0) |
	                     (more ? LL_MD : 0));
}

/* --- acknowledgement --- */

static void acl_acked(struct link *l)
{
	struct link_acl *a = list_first(&l->acl, struct link_acl, link);

	if (!a) /* flushed meanwhile */
		return;
	a->acked += l->tx_payload;
	if (a->acked < a->len)
		return;
	list_del(&a->link);
	free(a);
	l->completed++;
	/* each at once: a host that hears of its room late lets the queue run dry, which ends the connection event */
	link_report_completed(l);
}

/* Return: false when that was the end of @l. */
static bool acked(struct link *l)
{
	l->in_flight = false;
	l->sn ^= 1;
	if ((l->tx[0] & LL_LLID) != LL_LLID_CONTROL) {
		if (l->tx_payload)
			acl_acked(l);
		return true;
	}
	if (l->tx[PDU_HEADER_LEN] != LL_TERMINATE_IND)
		return true;
	link_end(l, HCIP_STATUS_LOCAL_HOST_ENDED);
	return false;
}

/* --- receiving --- */

#define ACL_START    0x2000 /* PB flag towards the host: first, automatically flushable */
#define ACL_CONTINUE 0x1000

static void deliver(struct link *l, uint8_t llid, const uint8_t *data, size_t len)
{
	uint8_t buf[1 + 4 + LL_OCTETS_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, HCIP_PKT_ACL);
	wr_le16(&w, (uint16_t)(l->handle | (llid == LL_LLID_START ? ACL_START : ACL_CONTINUE)));
	wr_le16(&w, (uint16_t)len);
	wr_bytes(&w, data, len);
	if (!wr_ok(&w))
		return;
	controller_send(l->ctl, buf, wr_len(&w));
}

/* Takes the MIC off. */
static bool mic_ok(struct link *l, uint8_t header, const uint8_t *data, size_t *len)
{
	uint8_t mic[CCM_MIC_LEN];

	if (*len <= CCM_MIC_LEN)
		return false;
	*len -= CCM_MIC_LEN;
	ccm_mic(&l->ccm, l->rx_count++, l->role == HCIP_ROLE_PERIPHERAL, header, data, *len, mic);
	l->auth_us = air_now_us(l->ctl->radio.air);
	return memcmp(mic, data + *len, sizeof(mic)) == 0;
}

static bool accept(struct link *l, uint8_t header, const uint8_t *data, size_t len)
{
	uint8_t llid = header & LL_LLID;

	if (len && llid != LL_LLID_CONTROL && controller_congested(l->ctl)) {
		l->refused = true;
		return true;
	}
	l->nesn ^= 1;
	if (!len)
		return true;
	if (l->rx_enc && !mic_ok(l, header, data, &len)) {
		link_end(l, HCIP_STATUS_MIC_FAILURE);
		return false;
	}
	if (llid == LL_LLID_CONTROL)
		return link_ctrl_input(l, data, len);
	if (llid && !l->leaving)
		deliver(l, llid, data, len);
	return true;
}

bool link_take(struct link *l)
{
	uint8_t header = l->rx[0];
	size_t len = l->rx_len - PDU_HEADER_LEN;
	bool fresh;

	if (l->rx_len < PDU_HEADER_LEN || l->rx[1] != len)
		return true; /* garbled on the way */
	l->heard_us = air_now_us(l->ctl->radio.air);
	l->established = true;
	l->refused = false;
	l->peer_md = header & LL_MD;
	fresh = !!(header & LL_SN) == l->nesn;
	if (l->in_flight && !!(header & LL_NESN) != l->sn && !acked(l))
		return false;
	return !fresh || accept(l, header, l->rx + PDU_HEADER_LEN, len);
}
