/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel mgmt messages: commands byte by byte, answers and events from hand-written vectors, each cut at every length.
 */
#include "aiobled/mgmt_pdu.h"

#include "aiobled/cleanup.h"
#include "vec.h"

#include "test.h"

#define PEER "06 05 04 03 02 c1 02" /* C1:02:03:04:05:06, random */

static const struct addr peer = {.b = {6, 5, 4, 3, 2, 0xc1}, .type = ADDR_RANDOM};

/* --- commands --- */

static void put_set_powered(struct wr *w)
{
	mgmt_put_mode(w, MGMT_SET_POWERED, 1, 1);
}

static void put_read_version(struct wr *w)
{
	mgmt_put_cmd(w, MGMT_READ_VERSION, MGMT_INDEX_NONE, NULL, 0);
}

static void put_disconnect(struct wr *w)
{
	mgmt_put_addr_cmd(w, MGMT_DISCONNECT, 0, &peer);
}

static void put_static(struct wr *w)
{
	mgmt_put_static_address(w, 0, &peer);
}

static void put_no_static(struct wr *w)
{
	mgmt_put_static_address(w, 0, NULL);
}

static void put_privacy(struct wr *w)
{
	static const uint8_t irk[MGMT_KEY_LEN] = {0xa0, [15] = 0xaf};

	mgmt_put_privacy(w, 0, 1, irk);
}

static void put_no_ltks(struct wr *w)
{
	mgmt_put_load_ltks(w, 0, NULL, 0);
}

static void put_ltks(struct wr *w)
{
	struct mgmt_ltk k = {.addr = peer, .type = 1, .central = 1, .key_size = 16, .ediv = 0x1234};

	memset(k.rand, 0x11, sizeof(k.rand));
	memset(k.val, 0x22, sizeof(k.val));
	mgmt_put_load_ltks(w, 0, &k, 1);
}

static void put_irks(struct wr *w)
{
	struct mgmt_irk k[2] = {{.addr = peer}, {.addr = peer}};

	k[1].addr.type = ADDR_PUBLIC;
	memset(k[0].val, 0x33, sizeof(k[0].val));
	memset(k[1].val, 0x44, sizeof(k[1].val));
	mgmt_put_load_irks(w, 0, k, 2);
}

static void put_conn_params(struct wr *w)
{
	struct mgmt_conn_param p = {
		.addr = peer, .min_interval = 24, .max_interval = 40, .latency = 2, .timeout = 500};

	mgmt_put_load_conn_params(w, 0, &p, 1);
}

static void put_config(struct wr *w)
{
	struct mgmt_config16 conf[] = {{MGMT_CONFIG_AUTO_SCAN_INTERVAL, 0x60},
	                               {MGMT_CONFIG_AUTO_SCAN_WINDOW, 0x30}};

	mgmt_put_default_config(w, 0, conf, ARRAY_SIZE(conf));
}

static void put_adv_params(struct wr *w)
{
	struct mgmt_adv_params p = {.instance = 3,
	                            .flags = MGMT_ADV_CONNECTABLE | MGMT_ADV_HAS_INTERVALS | MGMT_ADV_HAS_SCAN_RSP,
	                            .duration = 2,
	                            .timeout = 0x0102,
	                            .min_interval = 0x20,
	                            .max_interval = 0x4000,
	                            .tx_dbm = -8};

	mgmt_put_adv_params(w, 1, &p);
}

static void put_adv_data(struct wr *w)
{
	mgmt_put_adv_data(w, 1, 3, (const uint8_t *)"\x02\x01\x06", 3, (const uint8_t *)"\x01\x09", 2);
}

static void put_adv_remove(struct wr *w)
{
	mgmt_put_adv_remove(w, 1, 0);
}

static const struct {
	void (*put)(struct wr *w);
	const char *hex;
} commands[] = {
	{put_read_version, "01 00 ff ff 00 00"},
	{put_set_powered, "05 00 01 00 01 00 01"},
	{put_disconnect, "14 00 00 00 07 00" PEER},
	{put_static, "2b 00 00 00 06 00 06 05 04 03 02 c1"},
	{put_no_static, "2b 00 00 00 06 00 00 00 00 00 00 00"},
	{put_privacy, "2f 00 00 00 11 00 01 a0 000000000000000000000000 0000 af"},
	{put_no_ltks, "13 00 00 00 02 00 00 00"},
	{put_ltks, "13 00 00 00 26 00 01 00" PEER "01 01 10 34 12 1111111111111111"
                   "22222222222222222222222222222222"},
	{put_irks, "30 00 00 00 30 00 02 00" PEER "33333333333333333333333333333333"
                   "06 05 04 03 02 c1 01 44444444444444444444444444444444"},
	{put_adv_params, "54 00 01 00 12 00 03 01 40 01 00 02 00 02 01 20 00 00 00 00 40 00 00 f8"},
	{put_adv_data, "55 00 01 00 08 00 03 03 02 02 01 06 01 09"},
	{put_adv_remove, "3f 00 01 00 01 00 00"},
	{put_conn_params, "35 00 00 00 11 00 01 00" PEER "18 00 28 00 02 00 f4 01"},
	{put_config, "4c 00 00 00 0a 00 0d 00 02 60 00 0e 00 02 30 00"},
};

static void writes_commands(void **state)
{
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
}

static void refuses_what_the_length_field_cannot_say(void **state)
{
	size_t size = MGMT_MSG_MAX + 16;
	uint8_t *buf = malloc(size), *params = calloc(1, size);
	struct mgmt_irk *irks = calloc(2850, sizeof(*irks));
	struct wr w = wr_init(buf, size);

	mgmt_put_cmd(&w, 1, 0, params, UINT16_MAX);
	assert_true(wr_ok(&w));
	w = wr_init(buf, size);
	mgmt_put_cmd(&w, 1, 0, params, UINT16_MAX + 1);
	assert_false(wr_ok(&w));
	w = wr_init(buf, size);
	mgmt_put_load_irks(&w, 0, irks, 2849); /* 2 + 2849 * 23 = 65529 */
	assert_true(wr_ok(&w));
	w = wr_init(buf, size);
	mgmt_put_load_irks(&w, 0, irks, 2850);
	assert_false(wr_ok(&w));
	free(buf);
	free(params);
	free(irks);
}

/* --- messages and replies --- */

static void splits_messages(void **state)
{
	static const struct {
		const char *hex;
		bool good;
	} rows[] = {
		{"04 00 00 00 00 00", true},
		{"06 00 01 00 04 00 01 00 00 00", true},
		{"06 00 01 00 04 00 01 00 00", false},
		{"06 00 01 00 04 00 01 00 00 00 00", false},
		{"06 00 01 00 ff ff", false},
		{"06 00 01 00 04", false},
		{"", false},
	};
	struct mgmt_msg m;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec v = vec(rows[i].hex);

		assert_int_equal(mgmt_parse_msg(v.p, v.len, &m), rows[i].good ? 0 : -EBADMSG);
		if (rows[i].good) {
			assert_ptr_equal(m.data, v.p + MGMT_HDR_LEN);
			assert_int_equal(m.len, v.len - MGMT_HDR_LEN);
		}
		free(v.p);
	}
	assert_int_equal(m.code, MGMT_EV_NEW_SETTINGS);
	assert_int_equal(m.index, 1);
}

static void splits_replies(void **state)
{
	struct vec complete = vec("01 00 00 00 07 00 05 00 00 81 0a 00 00");
	struct vec status = vec("02 00 00 00 03 00 05 00 0a");
	struct mgmt_reply reply;
	struct mgmt_msg m;

	assert_int_equal(mgmt_parse_msg(complete.p, complete.len, &m), 0);
	assert_int_equal(mgmt_parse_reply(&m, &reply), 0);
	assert_int_equal(reply.opcode, MGMT_SET_POWERED);
	assert_int_equal(reply.status, MGMT_STATUS_SUCCESS);
	assert_int_equal(reply.len, 4);
	assert_ptr_equal(reply.data, complete.p + 9);
	m.len = 2; /* no status */
	assert_int_equal(mgmt_parse_reply(&m, &reply), -EBADMSG);

	assert_int_equal(mgmt_parse_msg(status.p, status.len, &m), 0);
	assert_int_equal(mgmt_parse_reply(&m, &reply), 0);
	assert_int_equal(reply.status, MGMT_STATUS_BUSY);
	assert_int_equal(reply.len, 0);
	m.code = MGMT_EV_NEW_SETTINGS;
	assert_int_equal(mgmt_parse_reply(&m, &reply), -EBADMSG);
	free(complete.p);
	free(status.p);
}

/* --- answers and events: each prints what it understood --- */

static const char *addr_text(const struct addr *a)
{
	static char buf[ADDR_STR_MAX + 8], text[ADDR_STR_MAX];

	(void)snprintf(buf, sizeof(buf), "%s/%s", addr_format(a, text), addr_type_name(a->type));
	return buf;
}

static int show_version(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_version v;
	int r = mgmt_parse_version(p, n, &v);

	if (r == 0)
		(void)snprintf(out, size, "%u.%u", v.version, v.revision);
	return r;
}

static int show_commands(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_list c, e;
	uint16_t v;
	size_t at = 0;
	int r = mgmt_parse_commands(p, n, &c, &e);

	if (r < 0)
		return r;
	while (mgmt_next(&c, &v))
		at += (size_t)snprintf(out + at, size - at, "c%x ", v);
	while (mgmt_next(&e, &v))
		at += (size_t)snprintf(out + at, size - at, "e%x ", v);
	return 0;
}

static int show_index_list(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_list l;
	uint16_t v;
	size_t at = 0;
	int r = mgmt_parse_index_list(p, n, &l);

	if (r < 0)
		return r;
	while (mgmt_next(&l, &v))
		at += (size_t)snprintf(out + at, size - at, "%u ", v);
	return 0;
}

static int show_ext_index_list(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_list l;
	struct mgmt_ext_index x;
	size_t at = 0;
	int r = mgmt_parse_ext_index_list(p, n, &l);

	if (r < 0)
		return r;
	while (mgmt_next_ext_index(&l, &x))
		at += (size_t)snprintf(out + at, size - at, "%u,%u,%u ", x.index, x.type, x.bus);
	return 0;
}

static int show_info(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_info i;
	int r = mgmt_parse_info(p, n, &i);

	if (r == 0)
		(void)snprintf(out, size, "%02x %u %x %x %x %.4s", i.addr[0], i.hci_version,
		               i.manufacturer, i.supported, i.current, i.name);
	return r;
}

static int show_ext_info(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_info i;
	const uint8_t *eir;
	size_t eir_len;
	int r = mgmt_parse_ext_info(p, n, &i, &eir, &eir_len);

	if (r == 0)
		(void)snprintf(out, size, "%02x %u %x %x %x '%s' %zu@%td", i.addr[0], i.hci_version,
		               i.manufacturer, i.supported, i.current, i.name, eir_len, eir - p);
	return r;
}

static int show_settings(const uint8_t *p, size_t n, char *out, size_t size)
{
	uint32_t s;
	int r = mgmt_parse_settings(p, n, &s);

	if (r == 0)
		(void)snprintf(out, size, "%08x", s);
	return r;
}

static int show_connections(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_list l;
	struct addr a;
	size_t at = 0;
	int r = mgmt_parse_connections(p, n, &l);

	if (r < 0)
		return r;
	while (mgmt_next_addr(&l, &a))
		at += (size_t)snprintf(out + at, size - at, "%s ", addr_text(&a));
	return 0;
}

static int show_conn_info(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_conn_info i;
	int r = mgmt_parse_conn_info(p, n, &i);

	if (r == 0)
		(void)snprintf(out, size, "%s %d %d %d", addr_text(&i.addr), i.rssi_dbm, i.tx_dbm,
		               i.max_tx_dbm);
	return r;
}

static int show_addr(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct addr a;
	int r = mgmt_parse_addr(p, n, &a);

	if (r == 0)
		(void)snprintf(out, size, "%s", addr_text(&a));
	return r;
}

static int show_ext_index(const uint8_t *p, size_t n, char *out, size_t size)
{
	uint8_t type, bus;
	int r = mgmt_parse_ext_index(p, n, &type, &bus);

	if (r == 0)
		(void)snprintf(out, size, "%u %u", type, bus);
	return r;
}

static int show_controller_error(const uint8_t *p, size_t n, char *out, size_t size)
{
	uint8_t code;
	int r = mgmt_parse_controller_error(p, n, &code);

	if (r == 0)
		(void)snprintf(out, size, "%u", code);
	return r;
}

static int show_connected(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_connected c;
	int r = mgmt_parse_connected(p, n, &c);

	if (r == 0)
		(void)snprintf(out, size, "%s %x %zu@%td", addr_text(&c.addr), c.flags, c.eir_len,
		               c.eir - p);
	return r;
}

static int show_disconnected(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct addr a;
	uint8_t reason;
	int r = mgmt_parse_disconnected(p, n, &a, &reason);

	if (r == 0)
		(void)snprintf(out, size, "%s %u", addr_text(&a), reason);
	return r;
}

static int show_addr_status(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct addr a;
	uint8_t status;
	int r = mgmt_parse_addr_status(p, n, &a, &status);

	if (r == 0)
		(void)snprintf(out, size, "%s %u", addr_text(&a), status);
	return r;
}

static int show_discovering(const uint8_t *p, size_t n, char *out, size_t size)
{
	uint8_t types;
	bool on;
	int r = mgmt_parse_discovering(p, n, &types, &on);

	if (r == 0)
		(void)snprintf(out, size, "%x %d", types, on);
	return r;
}

static int show_adv_features(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_adv_features f;
	int r = mgmt_parse_adv_features(p, n, &f);

	if (r == 0)
		(void)snprintf(out, size, "%x %u %u %u %x", f.flags, f.max_adv_len, f.max_rsp_len, f.max_instances,
		               f.instances);
	return r;
}

static int show_adv_instance(const uint8_t *p, size_t n, char *out, size_t size)
{
	uint8_t instance;
	int r = mgmt_parse_adv_instance(p, n, &instance);

	if (r == 0)
		(void)snprintf(out, size, "%u", instance);
	return r;
}

static int show_new_ltk(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_ltk k;
	bool store;
	int r = mgmt_parse_new_ltk(p, n, &store, &k);

	if (r == 0)
		(void)snprintf(out, size, "%d %s %u %u %u %x %02x %02x", store, addr_text(&k.addr),
		               k.type, k.central, k.key_size, k.ediv, k.rand[7], k.val[15]);
	return r;
}

static int show_new_irk(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct addr rpa;
	struct mgmt_irk k;
	bool store;
	int r = mgmt_parse_new_irk(p, n, &store, &rpa, &k);

	if (r == 0)
		(void)snprintf(out, size, "%d %02x %s %02x", store, rpa.b[5], addr_text(&k.addr),
		               k.val[15]);
	return r;
}

static int show_new_conn_param(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct mgmt_conn_param c;
	bool store;
	int r = mgmt_parse_new_conn_param(p, n, &store, &c);

	if (r == 0)
		(void)snprintf(out, size, "%d %s %u %u %u %u", store, addr_text(&c.addr),
		               c.min_interval, c.max_interval, c.latency, c.timeout);
	return r;
}

static int show_user_confirm(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct addr a;
	bool hint;
	uint32_t value;
	int r = mgmt_parse_user_confirm(p, n, &a, &hint, &value);

	if (r == 0)
		(void)snprintf(out, size, "%s %d %u", addr_text(&a), hint, value);
	return r;
}

static int show_passkey_notify(const uint8_t *p, size_t n, char *out, size_t size)
{
	struct addr a;
	uint32_t passkey;
	uint8_t entered;
	int r = mgmt_parse_passkey_notify(p, n, &a, &passkey, &entered);

	if (r == 0)
		(void)snprintf(out, size, "%s %u %u", addr_text(&a), passkey, entered);
	return r;
}

#define Z8   "0000000000000000 "
#define Z64  Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8
#define Z245 Z64 Z64 Z64 Z8 Z8 Z8 Z8 Z8 Z8 "0000000000"

#define P "C1:02:03:04:05:06/random"

static const struct {
	int (*show)(const uint8_t *p, size_t n, char *out, size_t size);
	const char *hex, *text; /* NULL: refused although long enough */
} rows[] = {
	{show_version, "01 16 00", "1.22"},
	{show_commands, "02 00 01 00 03 00 04 00 06 00", "c3 c4 e6 "},
	{show_commands, "00 00 00 00", ""},
	{show_index_list, "02 00 00 00 01 00", "0 1 "},
	{show_index_list, "00 00", ""},
	{show_ext_index_list, "02 00 00 00 00 01 03 00 01 02", "0,0,1 3,1,2 "},
	{show_info,
         "66 55 44 33 22 11 0c 0f 00 ff be 01 00 81 0a 00 00 00 00 00 41 42 43 00" Z245 Z8 "000000",
         "66 12 f 1beff a81 ABC"},
	{show_ext_info, "66 55 44 33 22 11 0c 0f 00 ff be 01 00 81 0a 00 00 03 00 02 09 41",
         "66 12 f 1beff a81 '' 3@19"},
	{show_adv_features, "ff ff 01 00 fb 1f 05 00", "1ffff 251 31 5 0"},
	{show_adv_features, "01 00 00 00 fb fb 05 03 01 1f 20", "1 251 251 5 80000002"}, /* 32 is passed over */
	{show_adv_instance, "02", "2"},
	{show_settings, "81 0a 00 00", "00000a81"},
	{show_connections,
         "03 00" PEER "01 01 01 01 01 01 00"
         "06 05 04 03 02 c1 01",
         P " C1:02:03:04:05:06/public "}, /* the one in the middle is BR/EDR */
	{show_conn_info, PEER "c4 00 7f", P " -60 0 127"},
	{show_addr, PEER, P},
	{show_addr, "06 05 04 03 02 c1 00", NULL},
	{show_addr, "06 05 04 03 02 c1 03", NULL},
	{show_ext_index, "00 01", "0 1"},
	{show_controller_error, "07", "7"},
	{show_connected, PEER "08 00 00 00 03 00 02 01 06", P " 8 3@13"},
	{show_connected, PEER "00 00 00 00 00 00", P " 0 0@13"},
	{show_disconnected, PEER "03", P " 3"},
	{show_addr_status, PEER "08", P " 8"},
	{show_discovering, "06 01", "6 1"},
	{show_new_ltk, "01" PEER "02 00 10 34 12 0102030405060708 00112233445566778899aabbccddeeff",
         "1 " P " 2 0 16 1234 08 ff"},
	{show_new_irk, "01 aa bb cc dd ee 7f" PEER "00112233445566778899aabbccddeeff",
         "1 7f " P " ff"},
	{show_new_conn_param, PEER "01 18 00 28 00 02 00 f4 01", "1 " P " 24 40 2 500"},
	{show_user_confirm, PEER "01 40 e2 01 00", P " 1 123456"},
	{show_passkey_notify, PEER "40 e2 01 00 02", P " 123456 2"},
};

static void understands_answers_and_events(void **state)
{
	char out[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec v = vec(rows[i].hex);

		out[0] = '\0';
		if (!rows[i].text) {
			assert_int_equal(rows[i].show(v.p, v.len, out, sizeof(out)), -EBADMSG);
		} else {
			assert_int_equal(rows[i].show(v.p, v.len, out, sizeof(out)), 0);
			assert_string_equal(out, rows[i].text);
		}
		for (size_t n = 0; n < v.len; n++) {
			struct vec cut = vec_prefix(&v, n);

			assert_int_equal(rows[i].show(cut.p, cut.len, out, sizeof(out)), -EBADMSG);
			free(cut.p);
		}
		free(v.p);
	}
}

static void accepts_fields_added_later(void **state)
{
	struct vec v = vec(PEER "03 77 77"), list = vec("01 00 05 00 99 99");
	struct mgmt_list l;
	struct addr a;
	uint8_t reason;
	uint16_t index;

	assert_int_equal(mgmt_parse_disconnected(v.p, v.len, &a, &reason), 0);
	assert_true(addr_equal(&a, &peer));
	assert_int_equal(mgmt_parse_index_list(list.p, list.len, &l), 0);
	assert_true(mgmt_next(&l, &index));
	assert_int_equal(index, 5);
	assert_false(mgmt_next(&l, &index));
	free(v.p);
	free(list.p);
}

static void ends_a_name_without_end(void **state)
{
	struct vec v = {.p = malloc(280), .len = 280};
	struct mgmt_info info;

	memset(v.p, 'x', v.len);
	assert_int_equal(mgmt_parse_info(v.p, v.len, &info), 0);
	assert_int_equal(strlen(info.name), MGMT_NAME_MAX - 1);
	free(v.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_commands),
		cmocka_unit_test(refuses_what_the_length_field_cannot_say),
		cmocka_unit_test(splits_messages),
		cmocka_unit_test(splits_replies),
		cmocka_unit_test(understands_answers_and_events),
		cmocka_unit_test(accepts_fields_added_later),
		cmocka_unit_test(ends_a_name_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
