/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One datagram of the mgmt channel; its parameters then go to every parser, whatever the code says.
 */
#include "aiobled/mgmt_pdu.h"

#include "fuzz.h"

static void parse_lists(const uint8_t *p, size_t n)
{
	struct mgmt_list a, b;
	struct mgmt_ext_index x;
	struct addr addr;
	uint16_t v;

	if (mgmt_parse_commands(p, n, &a, &b) == 0) {
		while (mgmt_next(&a, &v) || mgmt_next(&b, &v))
			;
	}
	if (mgmt_parse_index_list(p, n, &a) == 0) {
		while (mgmt_next(&a, &v))
			;
	}
	if (mgmt_parse_ext_index_list(p, n, &a) == 0) {
		while (mgmt_next_ext_index(&a, &x))
			;
	}
	if (mgmt_parse_connections(p, n, &a) == 0) {
		while (mgmt_next_addr(&a, &addr))
			FUZZ_CHECK(addr.type <= ADDR_RANDOM);
	}
}

/* Keys that the kernel reports are loaded again as they are. */
static void check_keys(const uint8_t *p, size_t n)
{
	uint8_t out[MGMT_HDR_LEN + 2 + 36];
	struct wr w = wr_init(out, sizeof(out));
	struct mgmt_ltk ltk;
	struct mgmt_irk irk;
	struct addr rpa;
	bool store;

	if (mgmt_parse_new_ltk(p, n, &store, &ltk) == 0) {
		mgmt_put_load_ltks(&w, 0, &ltk, 1);
		FUZZ_CHECK(wr_ok(&w) && memcmp(out + MGMT_HDR_LEN + 2, p + 1, 36) == 0);
	}
	w = wr_init(out, sizeof(out));
	if (mgmt_parse_new_irk(p, n, &store, &rpa, &irk) == 0) {
		mgmt_put_load_irks(&w, 0, &irk, 1);
		FUZZ_CHECK(wr_ok(&w) && memcmp(out + MGMT_HDR_LEN + 2, p + 7, 23) == 0);
	}
}

static void parse_rest(const uint8_t *p, size_t n)
{
	struct mgmt_version version;
	struct mgmt_info info;
	struct mgmt_conn_info conn_info;
	struct mgmt_connected connected;
	struct mgmt_conn_param param;
	struct addr addr;
	const uint8_t *eir;
	size_t eir_len;
	uint32_t n32;
	uint8_t a, b;
	bool on;

	(void)mgmt_parse_version(p, n, &version);
	if (mgmt_parse_info(p, n, &info) == 0)
		FUZZ_CHECK(strlen(info.name) < MGMT_NAME_MAX);
	if (mgmt_parse_ext_info(p, n, &info, &eir, &eir_len) == 0)
		FUZZ_CHECK(eir >= p && eir + eir_len <= p + n);
	if (mgmt_parse_connected(p, n, &connected) == 0)
		FUZZ_CHECK(connected.eir >= p && connected.eir + connected.eir_len <= p + n);
	(void)mgmt_parse_settings(p, n, &n32);
	(void)mgmt_parse_conn_info(p, n, &conn_info);
	(void)mgmt_parse_addr(p, n, &addr);
	(void)mgmt_parse_ext_index(p, n, &a, &b);
	(void)mgmt_parse_controller_error(p, n, &a);
	(void)mgmt_parse_disconnected(p, n, &addr, &a);
	(void)mgmt_parse_addr_status(p, n, &addr, &a);
	(void)mgmt_parse_discovering(p, n, &a, &on);
	(void)mgmt_parse_new_conn_param(p, n, &on, &param);
	(void)mgmt_parse_user_confirm(p, n, &addr, &on, &n32);
	(void)mgmt_parse_passkey_notify(p, n, &addr, &n32, &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mgmt_msg msg;
	struct mgmt_reply reply;

	if (mgmt_parse_msg(data, size, &msg) < 0)
		return 0;
	FUZZ_CHECK(msg.data == data + MGMT_HDR_LEN && msg.len == size - MGMT_HDR_LEN);
	if (mgmt_parse_reply(&msg, &reply) == 0) {
		parse_lists(reply.data, reply.len);
		parse_rest(reply.data, reply.len);
	}
	parse_lists(msg.data, msg.len);
	check_keys(msg.data, msg.len);
	parse_rest(msg.data, msg.len);
	return 0;
}
