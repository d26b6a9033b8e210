/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HCI packets: commands byte by byte, events from hand-written vectors, each cut at every length with its own length
 * field following and with it lying.
 */
#include "aiobled/hci_pdu.h"

#include "aiobled/cleanup.h"
#include "vec.h"

#include "test.h"

#define PEER "01 06 05 04 03 02 c1" /* random, C1:02:03:04:05:06 */

/* --- commands --- */

static const struct hcip_scan_params scan = {
	.active = true, .interval = 0x30, .window = 0x20, .own_addr_type = 1, .policy = 1};
static const struct hcip_conn_params conn = {
	.min_interval = 24, .max_interval = 40, .latency = 2, .timeout = 500};

static void put_scan_params(struct wr *w)
{
	hcip_put_scan_params(w, &scan);
}

static void put_scan_on(struct wr *w)
{
	hcip_put_scan_enable(w, true, false);
}

static void put_ext_params(struct wr *w)
{
	hcip_put_ext_scan_params(w, &scan, HCIP_PHY_1M);
}

static void put_ext_params_coded(struct wr *w)
{
	hcip_put_ext_scan_params(w, &scan, HCIP_PHY_1M | HCIP_PHY_CODED);
}

static void put_ext_on(struct wr *w)
{
	hcip_put_ext_scan_enable(w, true, false);
}

static void put_ext_off(struct wr *w)
{
	hcip_put_ext_scan_enable(w, false, false);
}

static void put_disconnect(struct wr *w)
{
	hcip_put_disconnect(w, 0x0d43, HCIP_STATUS_REMOTE_USER_ENDED);
}

static void put_rssi(struct wr *w)
{
	hcip_put_read_rssi(w, 0x0d43);
}

static void put_update(struct wr *w)
{
	hcip_put_conn_update(w, 0x0e42, &conn);
}

static const struct {
	void (*put)(struct wr *w);
	const char *hex;
} commands[] = {
	{put_scan_params, "01 0b 20 07 01 30 00 20 00 01 01"},
	{put_scan_on, "01 0c 20 02 01 00"},
	{put_ext_params, "01 41 20 08 01 01 01 01 30 00 20 00"},
	{put_ext_params_coded, "01 41 20 0d 01 01 05 01 30 00 20 00 01 30 00 20 00"},
	{put_ext_on, "01 42 20 06 01 00 00 00 00 00"},
	{put_ext_off, "01 42 20 06 00 00 00 00 00 00"},
	{hcip_put_read_local_version, "01 01 10 00"},
	{hcip_put_read_local_commands, "01 02 10 00"},
	{hcip_put_le_read_local_features, "01 03 20 00"},
	{hcip_put_le_read_accept_list_size, "01 0f 20 00"},
	{hcip_put_le_read_states, "01 1c 20 00"},
	{put_disconnect, "01 06 04 03 43 0d 13"},
	{put_rssi, "01 05 14 02 43 0d"},
	{put_update, "01 13 20 0e 42 0e 18 00 28 00 02 00 f4 01 00 00 00 00"},
};

static void writes_commands(void **state)
{
	static const uint8_t zeroes[256];
	uint8_t all[HCIP_CMD_MAX];
	struct wr full = wr_init(all, sizeof(all));

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		struct vec v = vec(commands[i].hex);

		for (size_t size = 0; size <= v.len; size++) {
			uint8_t *buf = malloc(size ? size : 1);
			struct wr w = wr_init(buf, size);

			commands[i].put(&w);
			assert_int_equal(wr_ok(&w), size == v.len);
			if (size == v.len)
				assert_memory_equal(buf, v.p, v.len);
			free(buf);
		}
		free(v.p);
	}
	hcip_put_cmd(&full, HCIP_NOP, zeroes, 255);
	assert_true(wr_ok(&full));
	full = wr_init(all, sizeof(all));
	hcip_put_cmd(&full, HCIP_NOP, zeroes, 256);
	assert_false(wr_ok(&full));
}

/* --- events: each prints what it understood --- */

static int show_done(const struct hcip_event *ev, char *out, size_t size)
{
	struct hcip_cmd_done d;
	int r = hcip_parse_cmd_done(ev, &d);

	if (r == 0)
		(void)snprintf(out, size, "%04x %u %d %02x %zu", d.opcode, d.slots, d.has_status,
		               d.status, d.len);
	return r;
}

static int show_disconnected(const struct hcip_event *ev, char *out, size_t size)
{
	struct hcip_disconnected d;
	int r = hcip_parse_disconnected(ev, &d);

	if (r == 0)
		(void)snprintf(out, size, "%u %04x %02x", d.status, d.handle, d.reason);
	return r;
}

static int show_conn(const struct hcip_event *ev, char *out, size_t size)
{
	struct hcip_conn_complete c;
	char text[ADDR_STR_MAX];
	int r = hcip_parse_conn_complete(ev, &c);

	if (r == 0)
		(void)snprintf(out, size, "%u %04x %u %s/%u%s %02x %02x %u %u %u", c.status,
		               c.handle, c.role, addr_format(&c.peer, text), c.peer.type,
		               c.resolved ? "r" : "", c.local_rpa[0], c.peer_rpa[5], c.interval,
		               c.latency, c.timeout);
	return r;
}

static int show_updated(const struct hcip_event *ev, char *out, size_t size)
{
	struct hcip_conn_updated u;
	int r = hcip_parse_conn_updated(ev, &u);

	if (r == 0)
		(void)snprintf(out, size, "%u %04x %u %u %u", u.status, u.handle, u.interval,
		               u.latency, u.timeout);
	return r;
}

static int show_encryption(const struct hcip_event *ev, char *out, size_t size)
{
	struct hcip_encryption e;
	int r = hcip_parse_encryption(ev, &e);

	if (r == 0)
		(void)snprintf(out, size, "%u %04x %d %u", e.status, e.handle, e.enabled,
		               e.key_size);
	return r;
}

static int show_hardware_error(const struct hcip_event *ev, char *out, size_t size)
{
	uint8_t code;
	int r = hcip_parse_hardware_error(ev, &code);

	if (r == 0)
		(void)snprintf(out, size, "%02x", code);
	return r;
}

static int show_adv_terminated(const struct hcip_event *ev, char *out, size_t size)
{
	struct hcip_adv_terminated t;
	int r = hcip_parse_adv_terminated(ev, &t);

	if (r == 0)
		(void)snprintf(out, size, "%u %u %04x", t.status, t.adv_handle, t.handle);
	return r;
}

static int show_reports(const struct hcip_event *ev, char *out, size_t size)
{
	struct hcip_reports l;
	struct hcip_report p;
	char text[ADDR_STR_MAX];
	size_t at = 0;
	int r = hcip_parse_reports(ev, &l);

	if (r < 0)
		return r;
	while (hcip_next_report(&l, &p))
		at += (size_t)snprintf(
			out + at, size - at, "%s/%u%s%s k%u p%02x s%u %d,%d %u,%u,%02x [%zu] ",
			addr_format(&p.addr, text), p.addr.type, p.resolved ? "r" : "",
			p.anonymous ? "a" : "", p.kind, p.props, p.status, p.rssi_dbm, p.tx_dbm,
			p.primary_phy, p.secondary_phy, p.sid, p.len);
	return 0;
}

#define Z31 "00000000000000000000000000000000 000000000000000000000000000000"
#define A   "C1:02:03:04:05:06"

static const struct {
	int (*show)(const struct hcip_event *ev, char *out, size_t size);
	const char *hex;
	size_t min; /* bytes of the packet that must be there */
	const char *text;
} rows[] = {
	{show_done, "04 0e 04 01 0c 20 00", 6, "200c 1 1 00 0"},
	{show_done, "04 0e 04 01 0c 20 0c", 6, "200c 1 1 0c 0"},
	{show_done, "04 0e 0c 01 03 20 00 0102030405060708", 6, "2003 1 1 00 8"},
	{show_done, "04 0e 03 05 00 00", 6, "0000 5 0 00 0"},
	{show_done, "04 0f 04 00 01 06 04", 7, "0406 1 1 00 0"},
	{show_done, "04 0f 04 12 01 06 04", 7, "0406 1 1 12 0"},
	{show_disconnected, "04 05 04 00 42 0e 13", 7, "0 0e42 13"},
	{show_disconnected, "04 05 04 00 42 fe 13", 7,
         "0 0e42 13"}, /* four reserved bits above the handle */
	{show_conn, "04 3e 13 01 00 42 00 00" PEER "18 00 00 00 2a 00 05", 22,
         "0 0042 0 " A "/1 00 00 24 0 42"},
	{show_conn,
         "04 3e 1f 0a 00 42 00 01 02 06 05 04 03 02 c1 a1 a2 a3 a4 a5 a6 b1 b2 b3 b4 b5 b6"
         "18 00 01 00 2a 00 05",
         34, "0 0042 1 " A "/0r a1 b6 24 1 42"},
	{show_conn, "04 3e 13 01 3e 00 00 00" PEER "00 00 00 00 00 00 00", 22,
         "62 0000 0 " A "/1 00 00 0 0 0"},
	{show_updated, "04 3e 0a 03 00 42 00 28 00 02 00 f4 01", 13, "0 0042 40 2 500"},
	{show_encryption, "04 08 04 00 42 00 01", 7, "0 0042 1 0"},
	{show_encryption, "04 08 04 06 42 00 00", 7, "6 0042 0 0"},
	{show_encryption, "04 59 05 00 42 00 02 10", 8, "0 0042 1 16"},
	{show_encryption, "04 30 03 00 42 00", 6, "0 0042 1 0"},
	{show_encryption, "04 30 03 05 42 00", 6, "5 0042 0 0"},
	{show_hardware_error, "04 10 01 42", 4, "42"},
	{show_adv_terminated, "04 3e 06 12 00 02 42 fe 00", 8, "0 2 0e42"},
	{show_adv_terminated, "04 3e 06 12 3c 01 00 00 05", 8, "60 1 0000"},
	{show_reports, "04 3e 0f 02 01 00" PEER "03 02 01 06 c4", 18,
         A "/1 k0 p13 s0 -60,127 1,0,ff [3] "},
	{show_reports, "04 3e 18 02 02 04" PEER "00 7f 03 03 06 05 04 03 02 c1 02 aa bb 80", 27,
         A "/1 k4 p1a s0 127,127 1,0,ff [0] " A "/1r k3 p10 s0 -128,127 1,0,ff [2] "},
	{show_reports, "04 3e 0c 02 01 01" PEER "00 c4", 15, A "/1 k1 p15 s0 -60,127 1,0,ff [0] "},
	{show_reports, "04 3e 0c 02 01 02 00 06 05 04 03 02 c1 00 c4", 15,
         A "/0 k2 p12 s0 -60,127 1,0,ff [0] "},
	{show_reports, "04 3e 2b 02 01 03" PEER "1f" Z31 "c4", 46,
         A "/1 k3 p10 s0 -60,127 1,0,ff [31] "},
	/* extended: a legacy PDU, a fragment, an anonymous one, a truncated one */
	{show_reports,
         "04 3e 1d 0d 01 13 00" PEER "01 00 ff 7f c4 00 00 00 000000000000 03 02 01 06", 32,
         A "/1 k0 p13 s0 -60,127 1,0,ff [3] "},
	{show_reports,
         "04 3e 36 0d 02 20 00" PEER "01 02 03 08 c4 00 00 00 000000000000 02 aa bb"
         "40 00 ff 06 05 04 03 02 c1 03 03 04 7f 7f 20 00 00 000000000000 02 cc dd",
         57, A "/1 k5 p00 s1 -60,8 1,2,03 [2] 00:00:00:00:00:00/1a k5 p00 s2 127,127 3,3,04 [2] "},
	{show_reports, "04 3e 1a 0d 01 1b 00" PEER "01 00 ff 7f c4 00 00 00 000000000000 00", 29,
         A "/1 k4 p1b s0 -60,127 1,0,ff [0] "},
};

/* Parses @v cut to @n bytes; with @honest the length field says so too. */
static int show_cut(size_t row, const struct vec *v, size_t n, bool honest, char *out, size_t size)
{
	struct vec cut = vec_prefix(v, n);
	struct hcip_event ev;
	int r;

	if (honest && n > 2)
		cut.p[2] = (uint8_t)(n - 3);
	r = hcip_parse_event(cut.p, cut.len, &ev);
	if (r == 0)
		r = rows[row].show(&ev, out, size);
	free(cut.p);
	return r;
}

static void understands_events(void **state)
{
	char out[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec v = vec(rows[i].hex);

		assert_int_equal(show_cut(i, &v, v.len, false, out, sizeof(out)), 0);
		assert_string_equal(out, rows[i].text);
		for (size_t n = 0; n < v.len; n++) {
			assert_int_equal(show_cut(i, &v, n, false, out, sizeof(out)), -EBADMSG);
			assert_int_equal(show_cut(i, &v, n, true, out, sizeof(out)),
			                 n >= rows[i].min ? 0 : -EBADMSG);
		}
		free(v.p);
	}
}

static void gives_each_event_to_its_parser_only(void **state)
{
	static int (*const shows[])(const struct hcip_event *ev, char *out, size_t size) = {
		show_done,       show_disconnected,   show_conn,    show_updated,
		show_encryption, show_hardware_error, show_reports, show_adv_terminated,
	};
	struct hcip_event ev;
	char out[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec v = vec(rows[i].hex);

		assert_int_equal(hcip_parse_event(v.p, v.len, &ev), 0);
		for (size_t k = 0; k < ARRAY_SIZE(shows); k++)
			assert_int_equal(shows[k](&ev, out, sizeof(out)),
			                 shows[k] == rows[i].show ? 0 : -EBADMSG);
		free(v.p);
	}
}

static void refuses_hostile_events(void **state)
{
	static const char *const bad[] = {
		"02 05 04 00 42 0e 13",                    /* not an event packet */
		"04 05 05 00 42 0e 13",                    /* length lies */
		"04 05 03 00 42 0e 13",                    /* length lies the other way */
		"04 3e 00",                                /* meta event without subevent */
		"04 3e 01 02",                             /* no count */
		"04 3e 02 02 00",                          /* no report */
		"04 3e 0f 02 02 00" PEER "03 02 01 06 c4", /* two promised, one there */
		"04 3e 0f 02 ff 00" PEER "03 02 01 06 c4",
		"04 3e 0f 02 01 00" PEER "ff 02 01 06 c4", /* data longer than the event */
		"04 3e 0f 02 01 00" PEER "04 02 01 06 c4", /* no byte left for the RSSI */
		"04 3e 0f 02 01 05" PEER "03 02 01 06 c4", /* event type without a meaning */
		"04 3e 2c 02 01 00" PEER "20" Z31 "00 c4",
		"04 3e 1d 0d 01 13 00" PEER "01 00 ff 7f c4 00 00 00 000000000000 04 02 01 06",
		"04 3e 1d 0d 02 13 00" PEER "01 00 ff 7f c4 00 00 00 000000000000 03 02 01 06",
	};
	struct hcip_event ev;
	char out[256];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vec v = vec(bad[i]);
		int r = hcip_parse_event(v.p, v.len, &ev);

		if (i < 4)
			assert_int_equal(r, -EBADMSG);
		else
			assert_int_equal(r, 0);
		if (r == 0)
			assert_int_equal(show_reports(&ev, out, sizeof(out)), -EBADMSG);
		free(v.p);
	}
}

/* --- return parameters --- */

static void understands_return_parameters(void **state)
{
	struct vec version = vec("0c 34 12 0c 0f 00 78 56"), rssi = vec("42 0e c4"),
		   u64 = vec("00 11 00 00 00 00 00 80");
	struct vec bits = {.p = calloc(1, HCIP_COMMANDS_LEN), .len = HCIP_COMMANDS_LEN};
	uint8_t commands_bits[HCIP_COMMANDS_LEN] = {0}, n8 = 0;
	struct hcip_local_version v;
	uint64_t n64 = 0;
	uint16_t handle = 0;
	int8_t dbm = 0;

	assert_int_equal(hcip_parse_local_version(version.p, version.len, &v), 0);
	assert_int_equal(v.hci_version, 12);
	assert_int_equal(v.hci_revision, 0x1234);
	assert_int_equal(v.manufacturer, 15);
	assert_int_equal(v.lmp_subversion, 0x5678);
	assert_int_equal(hcip_parse_local_version(version.p, version.len - 1, &v), -EBADMSG);

	assert_int_equal(hcip_parse_read_rssi(rssi.p, rssi.len, &handle, &dbm), 0);
	assert_int_equal(handle, 0x0e42);
	assert_int_equal(dbm, -60);
	assert_int_equal(hcip_parse_read_rssi(rssi.p, rssi.len - 1, &handle, &dbm), -EBADMSG);

	assert_int_equal(hcip_parse_le_features(u64.p, u64.len, &n64), 0);
	assert_true(n64 == (HCIP_FEATURE_2M | HCIP_FEATURE_EXT_ADV | UINT64_C(1) << 63));
	assert_int_equal(hcip_parse_le_states(u64.p, u64.len - 1, &n64), -EBADMSG);
	assert_int_equal(hcip_parse_accept_list_size(rssi.p, 1, &n8), 0);
	assert_int_equal(n8, 0x42);
	assert_int_equal(hcip_parse_accept_list_size(rssi.p, 0, &n8), -EBADMSG);

	bits.p[37] = 0x60;
	assert_int_equal(hcip_parse_local_commands(bits.p, bits.len - 1, commands_bits), -EBADMSG);
	assert_int_equal(commands_bits[37], 0);
	assert_int_equal(hcip_parse_local_commands(bits.p, bits.len, commands_bits), 0);
	assert_true(hcip_has_ext_scan(commands_bits));
	commands_bits[37] = 0x20;
	assert_false(hcip_has_ext_scan(commands_bits));
	assert_false(hcip_has_command(commands_bits, HCIP_COMMANDS_LEN, 0));
	free(version.p);
	free(rssi.p);
	free(u64.p);
	free(bits.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_commands),
		cmocka_unit_test(understands_events),
		cmocka_unit_test(gives_each_event_to_its_parser_only),
		cmocka_unit_test(refuses_hostile_events),
		cmocka_unit_test(understands_return_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
