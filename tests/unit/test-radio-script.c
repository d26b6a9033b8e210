/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scripted advertisers: when they send, what, from which address, how strong, and what many of them cost. */
#include "script.h"

#include "aes.h"

#include "../support/alloc.h"
#include "../support/radio_bed.h"

#include "test.h"

struct bed {
	struct radio_bed b;
	struct bed_ear ear;
};

static int setup(void **state)
{
	struct bed *t = calloc(1, sizeof(*t));

	bed_setup(&t->b);
	bed_ear_new(&t->b, "ear", 37, &t->ear);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct bed *t = *state;

	bed_ear_free(&t->ear);
	bed_teardown(&t->b);
	free(t);
	return 0;
}

static const uint8_t *data_of(const struct bed_heard *h)
{
	return h->data + PDU_HEADER_LEN + ADDR_LEN;
}

static size_t len_of(const struct bed_heard *h)
{
	return h->len - PDU_HEADER_LEN - ADDR_LEN;
}

/* --- payloads --- */

static void texts_of_payloads(void **state)
{
	static const struct {
		const char *text;
		uint8_t bytes[16];
		int len; /* -1: refused */
	} rows[] = {
		{"", {0}, 0},
		{"020106", {2, 1, 6}, 3},
		{" 02 01\t", {0}, -1},
		{"[01 06][09 'Hi']", {2, 1, 6, 3, 9, 'H', 'i'}, 7},
		{"{counter:2}{counter:3be}", {0x34, 0x12, 0, 0x12, 0x34}, 5},
		{"{index:1}{time:4}", {9, 0x40, 0xe2, 1, 0}, 5},
		{"ff{address}", {0xff, 1, 2, 3, 4, 5, 6}, 7},
		{"0", {0}, -1},
		{"0 1", {0}, -1},
		{"'open", {0}, -1},
		{"[01", {0}, -1},
		{"01]", {0}, -1},
		{"[]", {0}, -1},
		{"[[01]]", {0}, -1},
		{"{counter}", {0}, -1},
		{"{counter:0}", {0}, -1},
		{"{counter:9}", {0}, -1},
		{"{counter:2le}", {0}, -1},
		{"{address:6}", {0}, -1},
		{"{nothing:1}", {0}, -1},
		{"{counter:2", {0}, -1},
		{"{random:17}", {0}, -1}, /* 16 bytes may it have */
	};
	const struct addr addr = {.b = {1, 2, 3, 4, 5, 6}};
	const struct payload_vars vars = {
		.counter = 0x1234, .index = 9, .time_ms = 123456, .addr = &addr};
	struct bed *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct complaint c = {0};
		struct payload p = {0};
		uint8_t out[16];
		int r = payload_parse(rows[i].text, 16, &p, &c);

		if (r != (rows[i].len < 0 ? -EINVAL : 0) || (r < 0 && !*c.text))
			fail_msg("%s: %d %s", rows[i].text, r, c.text);
		if (r < 0)
			continue;
		assert_int_equal(p.len, rows[i].len);
		payload_render(&p, &vars, t->b.air, out);
		assert_memory_equal(out, rows[i].bytes, p.len);
		payload_clear(&p);
	}
}

/* --- time --- */

static void events_come_at_their_interval(void **state)
{
	struct bed *t = *state;
	uint64_t gap, least = UINT64_MAX, most = 0;

	bed_do(&t->b, "{'cmd':'advert','name':'tag','interval_ms':100,'data':'020106'}");
	loop_advance(t->b.loop, 60000);
	assert_in_range(t->ear.n, 560, 600); /* 100 ms and 0 to 10 ms */
	for (size_t i = 1; i < t->ear.n; i++) {
		gap = t->ear.heard[i].start_us - t->ear.heard[i - 1].start_us;
		least = MIN(least, gap);
		most = MAX(most, gap);
	}
	assert_in_range(least, 100000, 101000);
	assert_in_range(most, 109000, 110000);
	assert_int_equal(t->ear.heard[0].data[0], PDU_ADV_NONCONN_IND | PDU_TX_ADD);
	assert_int_equal(t->ear.heard[0].rssi_dbm, -AIR_LOSS_DEFAULT_DB);
}

static void start_and_end(void **state)
{
	struct bed *t = *state;
	size_t n;

	bed_do(&t->b,
	       "{'cmd':'advert','name':'late','interval_ms':100,'start_ms':1000,'for_ms':1000}");
	loop_advance(t->b.loop, 1000);
	assert_int_equal(t->ear.n, 0);
	loop_advance(t->b.loop, 1100);
	assert_in_range(t->ear.n, 9, 11);
	n = t->ear.n;
	loop_advance(t->b.loop, 5000);
	assert_int_equal(t->ear.n, n);

	bed_do(&t->b, "{'cmd':'advert-start','name':'lat?'}");
	loop_advance(t->b.loop, 500);
	assert_true(t->ear.n > n);
	bed_do(&t->b, "{'cmd':'advert-stop','name':'*'}");
	n = t->ear.n;
	loop_advance(t->b.loop, 500);
	assert_int_equal(t->ear.n, n);
	bed_do(&t->b, "{'cmd':'advert-remove','name':'late'}");
	assert_null(radio_find(t->b.air, "late"));
	bed_refused(&t->b, "{'cmd':'advert-remove','name':'late'}", "name");
}

static void a_number_of_events(void **state)
{
	struct bed *t = *state;

	bed_do(&t->b,
	       "{'cmd':'advert','name':'n','interval_ms':50,'events':300,'data':'{counter:2}'}");
	loop_advance(t->b.loop, 60000);
	assert_int_equal(t->ear.n, 300);
	assert_memory_equal(data_of(&t->ear.heard[299]), "\x2b\x01", 2);
}

/* --- what they say --- */

static void data_that_changes(void **state)
{
	static const uint8_t lens[] = {1, 2, 0}, turns[] = {0xaa, 0xbb, 0xcc};
	struct bed *t = *state;
	uint64_t begun_us;

	bed_do(&t->b, "{'cmd':'advert','name':'a','interval_ms':20,'events':9,'payloads':['01','"
	              "0203','']}");
	loop_advance(t->b.loop, 1000);
	assert_int_equal(t->ear.n, 9);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(len_of(&t->ear.heard[i]), lens[i % 3]);

	t->ear.n = 0;
	air_sync(t->b.air);
	begun_us = air_now_us(t->b.air);
	bed_do(&t->b, "{'cmd':'advert','name':'b','interval_ms':20,'for_ms':3000,'cycle_ms':1000,'"
	              "payloads':['aa','bb','cc']}");
	loop_advance(t->b.loop, 4000);
	for (size_t i = 0; i < t->ear.n; i++) {
		uint64_t turn = (t->ear.heard[i].start_us - begun_us) / 1000000;

		assert_int_equal(*data_of(&t->ear.heard[i]), turns[turn]);
	}

	t->ear.n = 0;
	bed_do(&t->b, "{'cmd':'advert','name':'c','interval_ms':20,'for_ms':1950,'every_ms':500,'"
	              "data':'{counter:1}'}");
	loop_advance(t->b.loop, 4000);
	assert_int_equal(*data_of(&t->ear.heard[0]), 0);
	assert_int_equal(*data_of(&t->ear.heard[t->ear.n - 1]), 3);
}

static void addresses_of_a_group(void **state)
{
	struct bed *t = *state;
	bool seen[300] = {false};

	bed_do(&t->b, "{'cmd':'advert','name':'g','count':300,'address':'C0:00:00:00:FF:80','"
	              "interval_ms':1000,"
	              "'data':'{index:2}'}");
	loop_advance(t->b.loop, 1100);
	for (size_t i = 0; i < t->ear.n; i++) {
		const uint8_t *a = t->ear.heard[i].data + PDU_HEADER_LEN,
			      *d = data_of(&t->ear.heard[i]);
		unsigned int index = d[0] | (unsigned int)d[1] << 8;

		assert_in_range(index, 0, 299);
		assert_int_equal(a[0] | a[1] << 8 | a[2] << 16, 0xff80 + index);
		assert_int_equal(a[5], 0xc0);
		seen[index] = true;
	}
	for (size_t i = 0; i < 300; i++)
		assert_true(seen[i]);
	assert_non_null(radio_find(t->b.air, "g.299"));
}

static bool is_rpa_of(const uint8_t *a, const uint8_t irk[16])
{
	uint8_t block[AES_LEN] = {[13] = a[5], [14] = a[4], [15] = a[3]};

	aes_block(irk, block, block);
	return (a[5] & 0xc0) == 0x40 && block[15] == a[0] && block[14] == a[1] && block[13] == a[2];
}

static void private_addresses(void **state)
{
	/* the key of Core 5.4, Vol 3, Part H, D.7 */
	static const uint8_t irk[16] = {0xec, 0x02, 0x34, 0xa3, 0x57, 0xc8, 0xad, 0x05,
	                                0x34, 0x10, 0x10, 0xa6, 0x0a, 0x39, 0x7d, 0x9b};
	struct bed *t = *state;
	unsigned int changes = 0;

	bed_do(&t->b, "{'cmd':'advert','name':'p','interval_ms':100,'rotate_ms':1000,'for_ms':9900,"
	              "'irk':'ec0234a357c8ad05341010a60a397d9b'}");
	loop_advance(t->b.loop, 10000);
	for (size_t i = 0; i < t->ear.n; i++) {
		const uint8_t *a = t->ear.heard[i].data + PDU_HEADER_LEN;

		assert_true(is_rpa_of(a, irk));
		changes += i && memcmp(a, t->ear.heard[i - 1].data + PDU_HEADER_LEN, ADDR_LEN) != 0;
	}
	assert_in_range(changes, 8, 9);
}

static void kinds_of_pdus(void **state)
{
	static const struct {
		const char *keys;
		uint8_t header;
	} rows[] = {
		{"'pdu':'adv_ind'", PDU_ADV_IND | PDU_TX_ADD},
		{"'pdu':'adv_ind','address_type':'public'", PDU_ADV_IND},
		{"'pdu':'adv_scan_ind'", PDU_ADV_SCAN_IND | PDU_TX_ADD},
		{"'response':'00'", PDU_ADV_SCAN_IND | PDU_TX_ADD},
		{"'pdu':'adv_direct_ind','target':'00:00:00:00:00:01'",
	         PDU_ADV_DIRECT_IND | PDU_TX_ADD},
		{"'pdu':'extended','data':'01'", PDU_EXT},
	};
	struct bed *t = *state;
	char cmd[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		t->ear.n = 0;
		snprintf(cmd, sizeof(cmd), "{'cmd':'advert','name':'k%zu','events':1,%s}", i,
		         rows[i].keys);
		bed_do(&t->b, cmd);
		loop_advance(t->b.loop, 200);
		assert_int_equal(t->ear.n, 1);
		assert_int_equal(t->ear.heard[0].data[0], rows[i].header);
	}
}

/* --- how strong --- */

static void a_walk_of_strength(void **state)
{
	struct bed *t = *state;

	bed_do(&t->b, "{'cmd':'advert','name':'w','interval_ms':20,'tx_dbm':4,'for_ms':4000,"
	              "'walk':[{'at_ms':0,'dbm':-40},{'at_ms':2000,'dbm':-80}]}");
	loop_advance(t->b.loop, 5000);
	assert_true(t->ear.n > 100);
	for (size_t i = 0; i < t->ear.n; i++) {
		uint64_t ms = (t->ear.heard[i].start_us - t->ear.heard[0].start_us) / 1000;
		int want = ms < 2000 ? -40 - (int)(ms / 50) : -80;

		assert_in_range(t->ear.heard[i].rssi_dbm - want + 1, 0, 2);
	}
}

static void out_of_reach_and_back(void **state)
{
	struct bed *t = *state;

	bed_do(&t->b, "{'cmd':'advert','name':'w','interval_ms':20,'rssi_dbm':-101}");
	loop_advance(t->b.loop, 1000);
	assert_int_equal(t->ear.n, 0);
	bed_do(&t->b, "{'cmd':'advert-rssi','name':'w','rssi_dbm':-100}");
	loop_advance(t->b.loop, 1000);
	assert_true(t->ear.n > 30);
	assert_int_equal(t->ear.heard[0].rssi_dbm, -100);
}

/* --- many --- */

static void rows_of_a_table(void **state)
{
	struct bed *t = *state;
	json_object *list;

	bed_do(&t->b,
	       "{'cmd':'advert','name':'t','interval_ms':500,'tx_dbm':2,'rows':["
	       "{'address':'C0:00:00:00:00:01','data':'01'},"
	       "{'address':'C0:00:00:00:00:02','data':'02','interval_ms':100,'rssi_dbm':-70}]}");
	list = keys_get(bed_do(&t->b, "{'cmd':'adverts'}"), "adverts");
	assert_int_equal(json_object_array_length(list), 2);
	list = json_object_array_get_idx(list, 1);
	assert_string_equal(keys_str(list, "name", ""), "t.1");
	assert_string_equal(keys_str(list, "address", ""), "C0:00:00:00:00:02");
	assert_int_equal(keys_int(list, "interval_us", 0), 100000);
	bed_do(&t->b, "{'cmd':'advert-remove','name':'t.*'}");
	assert_int_equal(keys_int(bed_do(&t->b, "{'cmd':'adverts'}"), "advertisers", -1), 0);

	bed_do(&t->b, "{'cmd':'advert','name':'t.1'}");
	bed_refused(&t->b, "{'cmd':'advert','name':'t','rows':[{},{},{}]}", "rows.1.name");
	assert_int_equal(keys_int(bed_do(&t->b, "{'cmd':'adverts'}"), "advertisers", -1), 1);
}

static void two_thousand_without_an_allocation(void **state)
{
	struct bed *t = *state;
	unsigned long before;

	bed_do(&t->b, "{'cmd':'advert','name':'m','count':2000,'interval_ms':1000,'payloads':['[ff "
	              "ffff {counter:4}{random:8}]','00'],"
	              "'walk':{'min_dbm':-90,'max_dbm':-40}}");
	loop_advance(t->b.loop, 1100);
	t->ear.n = 0;
	before = alloc_count;
	loop_advance(t->b.loop, 1000);
	assert_int_equal(alloc_count, before);
	assert_in_range(t->ear.n, 1950, 2050);
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *cmd, *where;
	} rows[] = {
		{"{'cmd':'advert'}", "name"},
		{"{'cmd':'advert','name':'a.very.long.name.of.a.tag'}", "name"},
		{"{'cmd':'advert','name':'ear'}", "name"},
		{"{'cmd':'advert','name':'x','address':'C0'}", "address"},
		{"{'cmd':'advert','name':'x','interval_ms':1}", "interval_ms"},
		{"{'cmd':'advert','name':'x','count':20001}", "count"},
		{"{'cmd':'advert','name':'x','data':'0'}", "data"},
		{"{'cmd':'advert','name':'x','data':'{random:32}'}", "data"},
		{"{'cmd':'advert','name':'x','data':'00','payloads':['00']}", "payloads"},
		{"{'cmd':'advert','name':'x','payloads':['00','zz']}", "payloads.1"},
		{"{'cmd':'advert','name':'x','payloads':[7]}", "payloads.0"},
		{"{'cmd':'advert','name':'x','pdu':'adv_nonconn_ind','response':'00'}", "response"},
		{"{'cmd':'advert','name':'x','pdu':'adv_direct_ind'}", "target"},
		{"{'cmd':'advert','name':'x','target':'00:00:00:00:00:01'}", "target"},
		{"{'cmd':'advert','name':'x','sid':1}", "sid"},
		{"{'cmd':'advert','name':'x','pdu':'extended','scannable':true,'connectable':true}",
	         "connectable"},
		{"{'cmd':'advert','name':'x','channels':[36]}", "channels"},
		{"{'cmd':'advert','name':'x','irk':'00000000000000000000000000000000'}",
	         "rotate_ms"},
		{"{'cmd':'advert','name':'x','rssi_dbm':-50,'walk':[{'at_ms':0,'dbm':-40}]}",
	         "rssi_dbm"},
		{"{'cmd':'advert','name':'x','walk':[{'at_ms':0,'db':-40}]}", "walk.0.db"},
		{"{'cmd':'advert','name':'x','rows':[{'data':'00'},{'dota':'00'}]}", "rows.1.dota"},
		{"{'cmd':'advert','name':'x','rows':[7]}", "rows.0"},
		{"{'cmd':'advert','name':'x','rows':[{'name':'y'}]}", "rows.0"},
	};
	struct bed *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		bed_refused(&t->b, rows[i].cmd, rows[i].where);
	assert_int_equal(keys_int(bed_do(&t->b, "{'cmd':'adverts'}"), "groups", -1), 0);
	bed_do(&t->b, "{'cmd':'advert','name':'y','count':2}");
	bed_refused(&t->b, "{'cmd':'advert','name':'y'}", "name");
	bed_refused(&t->b, "{'cmd':'advert','name':'y.1'}", "name");
	bed_do(&t->b, "{'cmd':'advert','name':'y2','count':19998}");
	bed_refused(&t->b, "{'cmd':'advert','name':'z'}", "count");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(texts_of_payloads, setup, teardown),
		cmocka_unit_test_setup_teardown(events_come_at_their_interval, setup, teardown),
		cmocka_unit_test_setup_teardown(start_and_end, setup, teardown),
		cmocka_unit_test_setup_teardown(a_number_of_events, setup, teardown),
		cmocka_unit_test_setup_teardown(data_that_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_of_a_group, setup, teardown),
		cmocka_unit_test_setup_teardown(private_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds_of_pdus, setup, teardown),
		cmocka_unit_test_setup_teardown(a_walk_of_strength, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_reach_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_of_a_table, setup, teardown),
		cmocka_unit_test_setup_teardown(two_thousand_without_an_allocation, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
