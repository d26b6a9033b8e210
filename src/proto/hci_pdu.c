/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HCI packets of a raw socket: command = type 1, opcode 2, length 1, parameters; event = type 1,
 * code 1, length 1, parameters. Controllers are hardware with firmware of their own: an event is
 * checked as thoroughly as a PDU from air.
 */
#include "aiobled/hci_pdu.h"

#include <errno.h>

#include "aiobled/cleanup.h"

#define HANDLE_MASK        0x0fff
#define LEGACY_DATA_MAX    31
#define ADDR_TYPE_RESOLVED 0x02 /* 2 and 3: the identities behind resolved addresses */
#define ADDR_TYPE_NONE     0xff /* anonymous advertising */

/* --- commands --- */

void hcip_put_cmd(struct wr *w, uint16_t opcode, const void *params, size_t len)
{
	if (len > UINT8_MAX) {
		w->bad = true;
		return;
	}
	wr_u8(w, HCIP_PKT_COMMAND);
	wr_le16(w, opcode);
	wr_u8(w, (uint8_t)len);
	wr_bytes(w, params, len);
}

/* LE Set Scan Parameters (7.8.10): type 1, interval 2, window 2, own address type 1, policy 1 */
void hcip_put_scan_params(struct wr *w, const struct hcip_scan_params *p)
{
	uint8_t buf[7];
	struct wr params = wr_init(buf, sizeof(buf));

	wr_u8(&params, p->active);
	wr_le16(&params, p->interval);
	wr_le16(&params, p->window);
	wr_u8(&params, p->own_addr_type);
	wr_u8(&params, p->policy);
	hcip_put_cmd(w, HCIP_LE_SET_SCAN_PARAMS, buf, wr_len(&params));
}

/* LE Set Scan Enable (7.8.11): enable 1, filter duplicates 1 */
void hcip_put_scan_enable(struct wr *w, bool enable, bool filter_duplicates)
{
	uint8_t params[] = {enable, filter_duplicates};

	hcip_put_cmd(w, HCIP_LE_SET_SCAN_ENABLE, params, sizeof(params));
}

/* LE Set Extended Scan Parameters (7.8.64): own address type 1, policy 1, PHYs 1, then for each
 * type 1, interval 2, window 2 */
void hcip_put_ext_scan_params(struct wr *w, const struct hcip_scan_params *p, uint8_t phys)
{
	uint8_t buf[3 + 8 * 5];
	struct wr params = wr_init(buf, sizeof(buf));

	wr_u8(&params, p->own_addr_type);
	wr_u8(&params, p->policy);
	wr_u8(&params, phys);
	for (unsigned int bit = 0; bit < 8; bit++) {
		if (!(phys >> bit & 1))
			continue;
		wr_u8(&params, p->active);
		wr_le16(&params, p->interval);
		wr_le16(&params, p->window);
	}
	hcip_put_cmd(w, HCIP_LE_SET_EXT_SCAN_PARAMS, buf, wr_len(&params));
}

/* LE Set Extended Scan Enable (7.8.65): enable 1, filter duplicates 1, duration 2, period 2 */
void hcip_put_ext_scan_enable(struct wr *w, bool enable, bool filter_duplicates)
{
	uint8_t params[] = {enable, filter_duplicates, 0, 0, 0, 0};

	hcip_put_cmd(w, HCIP_LE_SET_EXT_SCAN_ENABLE, params, sizeof(params));
}

void hcip_put_read_local_version(struct wr *w)
{
	hcip_put_cmd(w, HCIP_READ_LOCAL_VERSION, NULL, 0);
}

void hcip_put_read_local_commands(struct wr *w)
{
	hcip_put_cmd(w, HCIP_READ_LOCAL_COMMANDS, NULL, 0);
}

void hcip_put_le_read_local_features(struct wr *w)
{
	hcip_put_cmd(w, HCIP_LE_READ_LOCAL_FEATURES, NULL, 0);
}

void hcip_put_le_read_accept_list_size(struct wr *w)
{
	hcip_put_cmd(w, HCIP_LE_READ_ACCEPT_LIST_SIZE, NULL, 0);
}

void hcip_put_le_read_states(struct wr *w)
{
	hcip_put_cmd(w, HCIP_LE_READ_STATES, NULL, 0);
}

/* Disconnect (7.1.6): handle 2, reason 1 */
void hcip_put_disconnect(struct wr *w, uint16_t handle, uint8_t reason)
{
	uint8_t params[] = {handle & 0xff, handle >> 8, reason};

	hcip_put_cmd(w, HCIP_DISCONNECT, params, sizeof(params));
}

/* Read RSSI (7.5.4): handle 2 */
void hcip_put_read_rssi(struct wr *w, uint16_t handle)
{
	uint8_t params[] = {handle & 0xff, handle >> 8};

	hcip_put_cmd(w, HCIP_READ_RSSI, params, sizeof(params));
}

/* LE Connection Update (7.8.18): handle 2, min 2, max 2, latency 2, timeout 2, CE length min 2, max
 * 2 */
void hcip_put_conn_update(struct wr *w, uint16_t handle, const struct hcip_conn_params *p)
{
	uint8_t buf[14];
	struct wr params = wr_init(buf, sizeof(buf));

	wr_le16(&params, handle);
	wr_le16(&params, p->min_interval);
	wr_le16(&params, p->max_interval);
	wr_le16(&params, p->latency);
	wr_le16(&params, p->timeout);
	wr_le32(&params, 0); /* no wish about the length of connection events */
	hcip_put_cmd(w, HCIP_LE_CONN_UPDATE, buf, wr_len(&params));
}

/* --- events --- */

int hcip_parse_event(const uint8_t *pkt, size_t len, struct hcip_event *ret)
{
	struct rd r = rd_init(pkt, len);
	uint8_t type = rd_u8(&r);
	struct hcip_event ev = {.code = rd_u8(&r)};
	size_t said = rd_u8(&r);

	if (!rd_ok(&r) || type != HCIP_PKT_EVENT || r.left != said)
		return -EBADMSG;
	if (ev.code == HCIP_EV_LE_META)
		ev.subevent = rd_u8(&r);
	ev.data = rd_rest(&r, &ev.len);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = ev;
	return 0;
}

/* A cursor over the parameters, bad at once when it is another event. */
static struct rd open_event(const struct hcip_event *ev, uint8_t code, uint8_t subevent)
{
	struct rd r = rd_init(ev->data, ev->len);

	if (ev->code != code || ev->subevent != subevent) {
		r.bad = true;
		r.left = 0;
	}
	return r;
}

static uint16_t rd_handle(struct rd *r)
{
	return rd_le16(r) & HANDLE_MASK;
}

/* Command Complete: slots 1, opcode 2, return parameters, of which the first is nearly always the
 * status */
static int parse_cmd_complete(const struct hcip_event *ev, struct hcip_cmd_done *ret)
{
	struct rd r = rd_init(ev->data, ev->len);
	struct hcip_cmd_done d = {.slots = rd_u8(&r)};

	d.opcode = rd_le16(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	d.has_status = r.left > 0;
	d.status = d.has_status ? rd_u8(&r) : 0;
	d.data = rd_rest(&r, &d.len);
	*ret = d;
	return 0;
}

/* Command Status: status 1, slots 1, opcode 2 */
static int parse_cmd_status(const struct hcip_event *ev, struct hcip_cmd_done *ret)
{
	struct rd r = rd_init(ev->data, ev->len);
	struct hcip_cmd_done d = {.has_status = true, .status = rd_u8(&r)};

	d.slots = rd_u8(&r);
	d.opcode = rd_le16(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	d.data = r.p;
	*ret = d;
	return 0;
}

int hcip_parse_cmd_done(const struct hcip_event *ev, struct hcip_cmd_done *ret)
{
	if (ev->code == HCIP_EV_CMD_COMPLETE)
		return parse_cmd_complete(ev, ret);
	if (ev->code == HCIP_EV_CMD_STATUS)
		return parse_cmd_status(ev, ret);
	return -EBADMSG;
}

/* Read Local Version Information (7.4.1): HCI version 1, revision 2, LMP version 1, company 2,
 * subversion 2 */
int hcip_parse_local_version(const uint8_t *data, size_t len, struct hcip_local_version *ret)
{
	struct rd r = rd_init(data, len);
	struct hcip_local_version v = {.hci_version = rd_u8(&r)};

	v.hci_revision = rd_le16(&r);
	v.lmp_version = rd_u8(&r);
	v.manufacturer = rd_le16(&r);
	v.lmp_subversion = rd_le16(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = v;
	return 0;
}

int hcip_parse_local_commands(const uint8_t *data, size_t len, uint8_t ret[HCIP_COMMANDS_LEN])
{
	struct rd r = rd_init(data, len);

	rd_copy(&r, ret, HCIP_COMMANDS_LEN);
	return rd_ok(&r) ? 0 : -EBADMSG;
}

static int parse_u64(const uint8_t *data, size_t len, uint64_t *ret)
{
	struct rd r = rd_init(data, len);
	uint64_t v = rd_le64(&r);

	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = v;
	return 0;
}

int hcip_parse_le_features(const uint8_t *data, size_t len, uint64_t *ret)
{
	return parse_u64(data, len, ret);
}

int hcip_parse_le_states(const uint8_t *data, size_t len, uint64_t *ret)
{
	return parse_u64(data, len, ret);
}

int hcip_parse_accept_list_size(const uint8_t *data, size_t len, uint8_t *ret)
{
	if (len < 1)
		return -EBADMSG;
	*ret = data[0];
	return 0;
}

/* Read RSSI: handle 2, RSSI 1 */
int hcip_parse_read_rssi(const uint8_t *data, size_t len, uint16_t *ret_handle, int8_t *ret_dbm)
{
	struct rd r = rd_init(data, len);
	uint16_t handle = rd_handle(&r);
	int8_t dbm = (int8_t)rd_u8(&r);

	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_handle = handle;
	*ret_dbm = dbm;
	return 0;
}

/* Disconnection Complete: status 1, handle 2, reason 1 */
int hcip_parse_disconnected(const struct hcip_event *ev, struct hcip_disconnected *ret)
{
	struct rd r = open_event(ev, HCIP_EV_DISCONNECTED, 0);
	struct hcip_disconnected d = {.status = rd_u8(&r)};

	d.handle = rd_handle(&r);
	d.reason = rd_u8(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = d;
	return 0;
}

/* Address type 1, address 6: the order events have. */
static struct addr rd_addr(struct rd *r, bool *ret_resolved)
{
	uint8_t type = rd_u8(r), b[ADDR_LEN] = {0};

	rd_copy(r, b, sizeof(b));
	*ret_resolved = type != ADDR_TYPE_NONE && (type & ADDR_TYPE_RESOLVED);
	return addr_from_bytes(b, type);
}

/*
 * LE Connection Complete: status 1, handle 2, role 1, peer 7, interval 2, latency 2, timeout 2,
 * clock accuracy 1. The enhanced one has the private addresses of both sides, 6 each, behind the
 * peer.
 */
int hcip_parse_conn_complete(const struct hcip_event *ev, struct hcip_conn_complete *ret)
{
	bool enhanced = ev->subevent == HCIP_LE_ENH_CONN_COMPLETE;
	struct rd r = open_event(ev, HCIP_EV_LE_META,
	                         enhanced ? HCIP_LE_ENH_CONN_COMPLETE : HCIP_LE_CONN_COMPLETE);
	struct hcip_conn_complete c = {.status = rd_u8(&r)};

	c.handle = rd_handle(&r);
	c.role = rd_u8(&r);
	c.peer = rd_addr(&r, &c.resolved);
	if (enhanced) {
		rd_copy(&r, c.local_rpa, sizeof(c.local_rpa));
		rd_copy(&r, c.peer_rpa, sizeof(c.peer_rpa));
	}
	c.interval = rd_le16(&r);
	c.latency = rd_le16(&r);
	c.timeout = rd_le16(&r);
	(void)rd_u8(&r); /* clock accuracy: nobody asks */
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = c;
	return 0;
}

/* LE Connection Update Complete: status 1, handle 2, interval 2, latency 2, timeout 2 */
int hcip_parse_conn_updated(const struct hcip_event *ev, struct hcip_conn_updated *ret)
{
	struct rd r = open_event(ev, HCIP_EV_LE_META, HCIP_LE_CONN_UPDATED);
	struct hcip_conn_updated u = {.status = rd_u8(&r)};

	u.handle = rd_handle(&r);
	u.interval = rd_le16(&r);
	u.latency = rd_le16(&r);
	u.timeout = rd_le16(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = u;
	return 0;
}

/* Encryption Change: status 1, handle 2, enabled 1, in version 2 key size 1; Key Refresh Complete:
 * status 1, handle 2 */
int hcip_parse_encryption(const struct hcip_event *ev, struct hcip_encryption *ret)
{
	struct rd r = rd_init(ev->data, ev->len);
	struct hcip_encryption e = {.status = rd_u8(&r)};

	e.handle = rd_handle(&r);
	switch (ev->code) {
	case HCIP_EV_ENCRYPTION_CHANGE:
		e.enabled = rd_u8(&r) != 0;
		break;
	case HCIP_EV_ENCRYPTION_CHANGE_V2:
		e.enabled = rd_u8(&r) != 0;
		e.key_size = rd_u8(&r);
		break;
	case HCIP_EV_KEY_REFRESH:
		e.enabled = e.status == HCIP_STATUS_OK;
		break;
	default:
		return -EBADMSG;
	}
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = e;
	return 0;
}

/* LE Advertising Set Terminated: status 1, advertising handle 1, connection handle 2, events 1 */
int hcip_parse_adv_terminated(const struct hcip_event *ev, struct hcip_adv_terminated *ret)
{
	struct rd r = open_event(ev, HCIP_EV_LE_META, HCIP_LE_ADV_SET_TERMINATED);
	struct hcip_adv_terminated t = {.status = rd_u8(&r)};

	t.adv_handle = rd_u8(&r);
	t.handle = rd_handle(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = t;
	return 0;
}

int hcip_parse_hardware_error(const struct hcip_event *ev, uint8_t *ret_code)
{
	struct rd r = open_event(ev, HCIP_EV_HARDWARE_ERROR, 0);
	uint8_t code = rd_u8(&r);

	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_code = code;
	return 0;
}

/* --- advertising reports --- */

/* Legacy event types (7.7.65.2) in the bits of the extended report (7.7.65.13, table 7.1), and the
 * way back. */
static const uint8_t legacy_props[] = {
	[HCIP_KIND_IND] = HCIP_ADV_LEGACY | HCIP_ADV_CONNECTABLE | HCIP_ADV_SCANNABLE,
	[HCIP_KIND_DIRECT_IND] = HCIP_ADV_LEGACY | HCIP_ADV_CONNECTABLE | HCIP_ADV_DIRECTED,
	[HCIP_KIND_SCAN_IND] = HCIP_ADV_LEGACY | HCIP_ADV_SCANNABLE,
	[HCIP_KIND_NONCONN_IND] = HCIP_ADV_LEGACY,
	/* the legacy event does not say what was scanned; an extended one may have CONNECTABLE here
           too */
	[HCIP_KIND_SCAN_RSP] = HCIP_ADV_LEGACY | HCIP_ADV_SCANNABLE | HCIP_ADV_SCAN_RSP,
};

static uint8_t kind_of(uint8_t props)
{
	if (!(props & HCIP_ADV_LEGACY))
		return HCIP_KIND_EXTENDED;
	if (props & HCIP_ADV_SCAN_RSP)
		return HCIP_KIND_SCAN_RSP;
	if (props & HCIP_ADV_DIRECTED)
		return HCIP_KIND_DIRECT_IND;
	if (props & HCIP_ADV_CONNECTABLE)
		return HCIP_KIND_IND;
	return props & HCIP_ADV_SCANNABLE ? HCIP_KIND_SCAN_IND : HCIP_KIND_NONCONN_IND;
}

/* Type 1, address type 1, address 6, length 1, data, RSSI 1 */
static bool rd_legacy_report(struct rd *r, struct hcip_report *ret)
{
	uint8_t kind = rd_u8(r);
	struct hcip_report rep = {
		.kind = kind,
		.tx_dbm = HCIP_DBM_UNKNOWN,
		.primary_phy = 1,
		.sid = HCIP_SID_NONE,
	};

	rep.addr = rd_addr(r, &rep.resolved);
	rep.len = rd_u8(r);
	rep.data = rd_bytes(r, rep.len);
	rep.rssi_dbm = (int8_t)rd_u8(r);
	if (!rd_ok(r) || kind >= ARRAY_SIZE(legacy_props) || rep.len > LEGACY_DATA_MAX)
		return false;
	rep.props = legacy_props[kind];
	*ret = rep;
	return true;
}

/*
 * Event type 2, address type 1, address 6, primary PHY 1, secondary PHY 1, SID 1, tx power 1, RSSI
 * 1, periodic interval 2, direct address type 1, direct address 6, length 1, data
 */
static bool rd_extended_report(struct rd *r, struct hcip_report *ret)
{
	uint16_t type = rd_le16(r);
	struct hcip_report rep = {.props = type & 0x1f, .status = type >> 5 & 3};

	rep.anonymous = r->left > 0 && r->p[0] == ADDR_TYPE_NONE;
	rep.addr = rd_addr(r, &rep.resolved);
	rep.primary_phy = rd_u8(r);
	rep.secondary_phy = rd_u8(r);
	rep.sid = rd_u8(r);
	rep.tx_dbm = (int8_t)rd_u8(r);
	rep.rssi_dbm = (int8_t)rd_u8(r);
	(void)rd_bytes(r, 2 + 7); /* periodic interval, direct address */
	rep.len = rd_u8(r);
	rep.data = rd_bytes(r, rep.len);
	if (!rd_ok(r))
		return false;
	if (rep.anonymous)
		rep.addr = (struct addr){.type = ADDR_RANDOM};
	rep.kind = kind_of(rep.props);
	*ret = rep;
	return true;
}

bool hcip_next_report(struct hcip_reports *l, struct hcip_report *ret)
{
	if (l->left == 0)
		return false;
	l->left--;
	return l->extended ? rd_extended_report(&l->r, ret) : rd_legacy_report(&l->r, ret);
}

int hcip_parse_reports(const struct hcip_event *ev, struct hcip_reports *ret)
{
	struct hcip_reports l = {.extended = ev->subevent == HCIP_LE_EXT_ADV_REPORT};
	struct hcip_reports walk;
	struct hcip_report rep;

	l.r = open_event(ev, HCIP_EV_LE_META,
	                 l.extended ? HCIP_LE_EXT_ADV_REPORT : HCIP_LE_ADV_REPORT);
	l.left = rd_u8(&l.r);
	if (l.left == 0)
		return -EBADMSG;
	walk = l;
	while (walk.left > 0) {
		if (!hcip_next_report(&walk, &rep))
			return -EBADMSG;
	}
	*ret = l;
	return 0;
}
