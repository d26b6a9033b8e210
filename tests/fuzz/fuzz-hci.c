/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One packet of a raw HCI socket, given to every parser of events.
 */
#include "aiobled/hci_pdu.h"

#include "fuzz.h"

static void parse_done(const struct hcip_event *ev)
{
	struct hcip_cmd_done d;
	struct hcip_local_version version;
	uint8_t commands[HCIP_COMMANDS_LEN], n8;
	uint64_t n64;
	uint16_t handle;
	int8_t dbm;

	if (hcip_parse_cmd_done(ev, &d) < 0)
		return;
	FUZZ_CHECK(d.data >= ev->data && d.data + d.len <= ev->data + ev->len);
	(void)hcip_parse_local_version(d.data, d.len, &version);
	if (hcip_parse_local_commands(d.data, d.len, commands) == 0)
		(void)hcip_has_ext_scan(commands);
	(void)hcip_parse_le_features(d.data, d.len, &n64);
	(void)hcip_parse_le_states(d.data, d.len, &n64);
	(void)hcip_parse_accept_list_size(d.data, d.len, &n8);
	(void)hcip_parse_read_rssi(d.data, d.len, &handle, &dbm);
}

static void parse_reports(const struct hcip_event *ev)
{
	struct hcip_reports l;
	struct hcip_report r;
	unsigned int n = 0, promised;

	if (hcip_parse_reports(ev, &l) < 0)
		return;
	for (promised = l.left; hcip_next_report(&l, &r); n++) {
		FUZZ_CHECK(r.data >= ev->data && r.data + r.len <= ev->data + ev->len);
		FUZZ_CHECK(r.addr.type <= ADDR_RANDOM && r.kind <= HCIP_KIND_EXTENDED);
		FUZZ_CHECK((r.kind == HCIP_KIND_EXTENDED) == !(r.props & HCIP_ADV_LEGACY));
	}
	FUZZ_CHECK(n > 0 && n == promised); /* what was checked as a whole is there as a whole */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hcip_event ev;
	struct hcip_disconnected disconnected;
	struct hcip_conn_complete conn;
	struct hcip_conn_updated updated;
	struct hcip_encryption encryption;
	uint8_t code;

	if (hcip_parse_event(data, size, &ev) < 0)
		return 0;
	parse_done(&ev);
	parse_reports(&ev);
	if (hcip_parse_disconnected(&ev, &disconnected) == 0)
		FUZZ_CHECK(disconnected.handle <= 0x0fff);
	if (hcip_parse_conn_complete(&ev, &conn) == 0)
		FUZZ_CHECK(conn.handle <= 0x0fff && conn.peer.type <= ADDR_RANDOM);
	if (hcip_parse_conn_updated(&ev, &updated) == 0)
		FUZZ_CHECK(updated.handle <= 0x0fff);
	(void)hcip_parse_encryption(&ev, &encryption);
	(void)hcip_parse_hardware_error(&ev, &code);
	return 0;
}
