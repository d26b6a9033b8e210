/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The controller behind a raw HCI channel. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "aiobled/hci_pdu.h"
#include "aiobled/mgmt_pdu.h"
#include "fake_priv.h"

void fake_hci_raw(struct fake_kernel *fk, uint16_t index, const void *pkt, size_t len)
{
	struct fake_adapter *a = fake_find(fk, index);

	if (a && a->hci >= 0)
		CHECK(send(a->hci, pkt, len, MSG_NOSIGNAL) == (ssize_t)len || errno == EPIPE);
}

void fake_hci_event(struct fake_kernel *fk, uint16_t index, uint8_t code, const void *data, size_t len)
{
	uint8_t buf[HCIP_EVENT_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, HCIP_PKT_EVENT);
	wr_u8(&w, code);
	wr_u8(&w, (uint8_t)len);
	wr_bytes(&w, data, len);
	CHECK(wr_ok(&w));
	fake_hci_raw(fk, index, buf, wr_len(&w));
}

static void complete(struct fake_adapter *a, const struct fake_rule *rule, uint16_t opcode, const void *ret, size_t len)
{
	uint8_t buf[HCIP_EVENT_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	if (rule && rule->action == FAKE_LOST)
		return;
	if (rule && rule->action == FAKE_SHORT)
		len = MIN(len, (size_t)rule->status);
	wr_u8(&w, HCIP_PKT_EVENT);
	wr_u8(&w, HCIP_EV_CMD_COMPLETE);
	wr_u8(&w, (uint8_t)(3 + len));
	wr_u8(&w, 1);
	wr_le16(&w, opcode);
	wr_bytes(&w, ret, len);
	CHECK(wr_ok(&w));
	if (rule && rule->action == FAKE_DELAY)
		fake_send_late(a->fk, true, a->index, buf, wr_len(&w), rule->delay_ms);
	else
		fake_hci_raw(a->fk, a->index, buf, wr_len(&w));
}

static void command_status(struct fake_adapter *a, uint16_t opcode, uint8_t status)
{
	uint8_t buf[4];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, status);
	wr_u8(&w, 1);
	wr_le16(&w, opcode);
	fake_hci_event(a->fk, a->index, HCIP_EV_CMD_STATUS, buf, sizeof(buf));
}

static void put_version(struct wr *w)
{
	wr_u8(w, 0x0b); /* 5.2 */
	wr_le16(w, 0x0100);
	wr_u8(w, 0x0b);
	wr_le16(w, 0x05f1);
	wr_le16(w, 0x0200);
}

static void put_commands(struct wr *w, bool extended)
{
	uint8_t *p = wr_space(w, HCIP_COMMANDS_LEN);

	memset(p, 0, HCIP_COMMANDS_LEN);
	p[26] = 0x0c; /* legacy scan parameters and enable */
	if (extended)
		p[37] = 0x60;
}

static void do_disconnect(struct fake_adapter *a, struct rd *r)
{
	uint16_t handle = rd_le16(r);
	uint8_t reason = rd_u8(r);
	struct fake_link *link = fake_link_by_handle(a->fk, a->index, handle);

	if (!link) {
		command_status(a, HCIP_DISCONNECT, 0x02);
		return;
	}
	command_status(a, HCIP_DISCONNECT, 0);
	(void)reason;
	fake_link_drop(link, 0x16);
}

static void do_conn_update(struct fake_adapter *a, struct rd *r)
{
	uint16_t handle = rd_le16(r), min = rd_le16(r);
	uint16_t latency, timeout;
	uint8_t buf[10];
	struct wr w = wr_init(buf, sizeof(buf));

	(void)rd_le16(r);
	latency = rd_le16(r);
	timeout = rd_le16(r);
	command_status(a, HCIP_LE_CONN_UPDATE, fake_link_by_handle(a->fk, a->index, handle) ? 0 : 0x02);
	wr_u8(&w, HCIP_LE_CONN_UPDATED);
	wr_u8(&w, 0);
	wr_le16(&w, handle);
	wr_le16(&w, min);
	wr_le16(&w, latency);
	wr_le16(&w, timeout);
	fake_hci_event(a->fk, a->index, HCIP_EV_LE_META, buf, sizeof(buf));
}

static bool is_active_scan(const struct fake_adapter *a)
{
	size_t at = a->extended ? 3 : 0; /* type, behind own address type, policy and PHYs */

	return a->scan_params_len > at && a->scan_params[at];
}

/* As Linux 6.12: an active scan is discovery, whoever asked for it. */
static uint8_t set_scan(struct fake_adapter *a, bool on)
{
	const uint8_t discovering[] = { 6, on };

	if (a->scanning != on && is_active_scan(a))
		fake_mgmt_event(a->fk, MGMT_EV_DISCOVERING, a->index, discovering, sizeof(discovering));
	a->scanning = on; /* real controllers take the state they have already */
	return 0;
}

static uint8_t set_params(struct fake_adapter *a, const struct rd *r)
{
	if (a->scanning)
		return HCIP_STATUS_DISALLOWED;
	a->scan_params_len = MIN(r->left, sizeof(a->scan_params));
	memcpy(a->scan_params, r->p, a->scan_params_len);
	return 0;
}

/* Status and return parameters; or a command status of its own */
static bool do_command(struct fake_adapter *a, uint16_t opcode, struct rd *r, struct wr *w)
{
	bool ext_cmd = opcode == HCIP_LE_SET_EXT_SCAN_PARAMS || opcode == HCIP_LE_SET_EXT_SCAN_ENABLE;
	bool legacy_cmd = opcode == HCIP_LE_SET_SCAN_PARAMS || opcode == HCIP_LE_SET_SCAN_ENABLE;

	if ((ext_cmd && !a->extended) || (legacy_cmd && a->extended)) {
		wr_u8(w, ext_cmd ? 0x01 : HCIP_STATUS_DISALLOWED);
		return true;
	}
	switch (opcode) {
	case HCIP_READ_LOCAL_VERSION:
		wr_u8(w, 0);
		put_version(w);
		return true;
	case HCIP_READ_LOCAL_COMMANDS:
		wr_u8(w, 0);
		put_commands(w, a->extended);
		return true;
	case HCIP_LE_READ_LOCAL_FEATURES:
		wr_u8(w, 0);
		wr_le64(w, HCIP_FEATURE_CONN_PARAM_REQ | (a->extended ? HCIP_FEATURE_EXT_ADV : 0));
		return true;
	case HCIP_LE_READ_STATES:
		wr_u8(w, 0);
		wr_le64(w, UINT64_C(0x3ffffffffff));
		return true;
	case HCIP_LE_SET_SCAN_PARAMS:
	case HCIP_LE_SET_EXT_SCAN_PARAMS:
		wr_u8(w, set_params(a, r));
		return true;
	case HCIP_LE_SET_SCAN_ENABLE:
	case HCIP_LE_SET_EXT_SCAN_ENABLE:
		wr_u8(w, set_scan(a, rd_u8(r)));
		return true;
	case HCIP_DISCONNECT:
		do_disconnect(a, r);
		return false;
	case HCIP_LE_CONN_UPDATE:
		do_conn_update(a, r);
		return false;
	default:
		wr_u8(w, 0x01);
		return true;
	}
}

static void on_command(struct fake_adapter *a, uint16_t opcode, struct rd *r)
{
	const struct fake_rule *rule = fake_take_rule(a->fk, opcode, a->index);
	uint8_t ret[80];
	struct wr w = wr_init(ret, sizeof(ret));

	fake_note(a->fk, opcode, a->index);
	if (!(a->settings & MGMT_SETTING_POWERED) || (rule && rule->action == FAKE_SILENT))
		return;
	if (rule && rule->action == FAKE_STATUS) {
		wr_u8(&w, rule->status);
		complete(a, rule, opcode, ret, wr_len(&w));
		return;
	}
	if (rule && rule->action == FAKE_IGNORE) {
		wr_u8(&w, 0);
		complete(a, rule, opcode, ret, wr_len(&w));
		return;
	}
	if (do_command(a, opcode, r, &w))
		complete(a, rule, opcode, ret, wr_len(&w));
}

static void on_hci(struct loop_io *io, int ready)
{
	struct fake_adapter *a = container_of(io, struct fake_adapter, hci_io);
	uint8_t buf[HCIP_CMD_MAX];
	ssize_t n = -1;

	while (a->hci >= 0 && (n = recv(a->hci, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		struct rd r = rd_init(buf, (size_t)n);
		uint8_t type = rd_u8(&r);
		uint16_t opcode = rd_le16(&r);
		uint8_t len = rd_u8(&r);

		CHECK(rd_ok(&r) && type == HCIP_PKT_COMMAND && len == r.left);
		on_command(a, opcode, &r);
	}
	if (a->hci >= 0 && n == 0)
		fake_hci_close(a);
}

void fake_hci_close(struct fake_adapter *a)
{
	if (a->hci < 0)
		return;
	loop_io_deinit(&a->hci_io);
	closep(&a->hci);
	a->hci = -1;
}

void fake_hci_break(struct fake_kernel *fk, uint16_t index)
{
	fake_hci_close(fake_find(fk, index));
}

int fake_hci_open(const struct kernel *k, uint16_t index)
{
	struct fake_kernel *fk = fake_of(k);
	struct fake_adapter *a = fake_find(fk, index);
	int sv[2];

	if (fk->hci_error)
		return fk->hci_error;
	if (!a)
		return -ENODEV;
	fake_hci_close(a);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) == 0);
	a->hci = sv[0];
	CHECK(loop_io_init(&a->hci_io, fk->loop, sv[0], on_hci) == 0);
	CHECK(loop_io_set(&a->hci_io, LOOP_READ) == 0);
	return sv[1];
}

/* --- advertising --- */

void fake_report(struct fake_kernel *fk, uint16_t index, uint8_t evtype, const struct addr *addr, int8_t rssi_dbm,
		 const void *data, size_t len)
{
	static const uint8_t ext_types[] = { 0x13, 0x15, 0x12, 0x10, 0x1b };
	const struct fake_adapter *a = fake_find(fk, index);
	uint8_t buf[HCIP_EVENT_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	CHECK(evtype < ARRAY_SIZE(ext_types));
	wr_u8(&w, a->extended ? HCIP_LE_EXT_ADV_REPORT : HCIP_LE_ADV_REPORT);
	wr_u8(&w, 1);
	if (a->extended)
		wr_le16(&w, ext_types[evtype]);
	else
		wr_u8(&w, evtype);
	wr_u8(&w, addr->type);
	wr_bytes(&w, addr->b, 6);
	if (a->extended) {
		wr_u8(&w, 1);    /* primary PHY */
		wr_u8(&w, 0);    /* no secondary */
		wr_u8(&w, 0xff); /* no set */
		wr_u8(&w, 127);  /* tx power */
		wr_u8(&w, (uint8_t)rssi_dbm);
		wr_le16(&w, 0);
		memset(wr_space(&w, 7), 0, 7);
	}
	wr_u8(&w, (uint8_t)len);
	wr_bytes(&w, data, len);
	if (!a->extended)
		wr_u8(&w, (uint8_t)rssi_dbm);
	CHECK(wr_ok(&w));
	fake_hci_event(fk, index, HCIP_EV_LE_META, buf, wr_len(&w));
}
