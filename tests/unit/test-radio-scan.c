/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scanners: windows, shares, reports, requests and responses, filters. Advertisers are other controllers, or plain
 * advertisers where many are wanted.
 */
#include <string.h>

#include "aiobled/cleanup.h"

#include "advertiser.h"
#include "scanner.h"
#include "../support/ctl_bed.h"

#include "test.h"

static const char *const on_legacy = "a000 a000 00 00 00 000000000000 07 00";

static struct bed_radio *add_advertiser(struct bed *bed, const char *params, const char *data,
                                        const char *rsp)
{
	struct bed_radio *r = bed_add(bed, "4.0");

	assert_int_equal(bed_cmd(bed, r, 0x2006, params), 0);
	if (data)
		assert_int_equal(bed_cmd(bed, r, 0x2008, data), 0);
	if (rsp)
		assert_int_equal(bed_cmd(bed, r, 0x2009, rsp), 0);
	assert_int_equal(bed_cmd(bed, r, 0x200a, "01"), 0);
	return r;
}

#define ZEROES28 "00000000000000000000000000000000000000000000000000000000"
#define DATA3    "03 020106 " ZEROES28
#define RSP3     "03 0309aa " ZEROES28

static void scan(struct bed *bed, struct bed_radio *r, const char *params, const char *enable)
{
	assert_int_equal(bed_cmd(bed, r, 0x200b, params), 0);
	assert_int_equal(bed_cmd(bed, r, 0x200c, enable), 0);
}

/* --- windows --- */

static void test_window(void **state)
{
	struct scan_window w = {
		.start_us = 1000, .interval_us = 10000, .window_us = 5000, .phy = PHY_1M};
	static const struct {
		uint64_t at_us;
		uint8_t channel;
		bool hears;
	} rows[] = {
		{999, 37, false},  {1000, 37, true},   {1000, 38, false}, {5624, 37, true},
		{5625, 37, false}, {10999, 37, false}, {11000, 38, true}, {21000, 39, true},
		{31000, 37, true}, {31000, 38, false},
	};
	uint8_t bytes[39] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct air_pdu pdu = {.start_us = rows[i].at_us,
		                      .channel = rows[i].channel,
		                      .phy = PHY_1M,
		                      .data = bytes,
		                      .len = 39};

		/* 39 bytes: 376 us on the air */
		assert_int_equal(scan_window_hears(&w, &pdu), rows[i].hears);
		pdu.phy = PHY_CODED;
		assert_false(scan_window_hears(&w, &pdu));
	}
}

/*
 * A scanner hears an event when one of the three PDUs falls into its window on its channel. With a window of all the
 * interval that is every event; with a tenth, about a tenth of them.
 */
static void test_duty_cycles(void **state)
{
	struct bed bed;
	struct bed_radio *all, *half, *tenth;
	size_t n_all, n_half, n_tenth;

	bed_init(&bed, 11);
	all = bed_add(&bed, "4.0");
	half = bed_add(&bed, "4.0");
	tenth = bed_add(&bed, "4.0");
	add_advertiser(&bed, "2000 2000 00 00 00 000000000000 07 00", DATA3, NULL);
	scan(&bed, all, "00 1000 1000 00 00", "0100");
	scan(&bed, half, "00 6000 3000 00 00", "0100");
	scan(&bed, tenth, "00 a000 1000 00 00", "0100");
	assert_int_equal(loop_advance(bed.loop, 50000), 0);
	n_all = bed_reports(all, NULL, NULL);
	n_half = bed_reports(half, NULL, NULL);
	n_tenth = bed_reports(tenth, NULL, NULL);
	/* 20 ms and 5 ms on the average: 2000 events; one now and then lies across the end of an interval */
	assert_in_range(n_all, 1850, 2010);
	assert_in_range(n_half, 900, 1100);
	assert_in_range(n_tenth, 140, 260);
	bed_deinit(&bed);
}

/* --- reports --- */

static void on_first(const struct hcip_report *r, uint64_t at_us, void *data)
{
	struct hcip_report *first = data;

	if (!first->kind && !first->len)
		*first = *r;
}

static void test_report(void **state)
{
	struct hcip_report got = {0};
	struct bed bed;
	struct bed_radio *s, *a;

	bed_init(&bed, 11);
	s = bed_add(&bed, "4.0");
	a = add_advertiser(&bed, on_legacy, DATA3, NULL);
	scan(&bed, s, "00 1000 1000 00 00", "0100");
	assert_int_equal(loop_advance(bed.loop, 1000), 0);
	assert_in_range(bed_reports(s, on_first, &got), 8, 10);
	assert_int_equal(got.kind, HCIP_KIND_IND);
	assert_true(addr_equal(&got.addr, &a->ctl->public_addr));
	assert_int_equal(got.rssi_dbm, -AIR_LOSS_DEFAULT_DB);
	assert_int_equal(got.len, 3);
	/* farther away, then out of range */
	assert_int_equal(radio_set_loss(&s->ctl->radio, &a->ctl->radio, 83), 0);
	got = (struct hcip_report){0};
	assert_int_equal(loop_advance(bed.loop, 1000), 0);
	assert_in_range(bed_reports(s, on_first, &got), 8, 10);
	assert_int_equal(got.rssi_dbm, -83);
	assert_int_equal(radio_set_loss(&s->ctl->radio, &a->ctl->radio, AIR_LOSS_MAX_DB), 0);
	assert_int_equal(loop_advance(bed.loop, 1000), 0);
	assert_int_equal(bed_reports(s, NULL, NULL), 0);
	bed_deinit(&bed);
}

struct counts {
	size_t adv, rsp;
	uint64_t last_adv_us;
};

static void on_count(const struct hcip_report *r, uint64_t at_us, void *data)
{
	struct counts *c = data;

	if (r->kind == HCIP_KIND_SCAN_RSP || (r->props & HCIP_ADV_SCAN_RSP)) {
		c->rsp++;
		assert_true(at_us >= c->last_adv_us && at_us - c->last_adv_us < 10000);
		assert_int_equal(r->data[2], 0xaa);
	} else {
		c->adv++;
		c->last_adv_us = at_us;
	}
}

/* An active scanner asks and is answered; a passive one beside it hears no response. */
static void test_active(void **state)
{
	struct counts active = {0}, passive = {0};
	struct bed bed;
	struct bed_radio *s, *p;

	bed_init(&bed, 11);
	s = bed_add(&bed, "4.0");
	p = bed_add(&bed, "4.0");
	add_advertiser(&bed, on_legacy, DATA3, RSP3);
	scan(&bed, s, "01 1000 1000 00 00", "0100");
	scan(&bed, p, "00 1000 1000 00 00", "0100");
	assert_int_equal(loop_advance(bed.loop, 10000), 0);
	(void)bed_reports(s, on_count, &active);
	(void)bed_reports(p, on_count, &passive);
	assert_in_range(active.adv, 88, 100);
	assert_int_equal(active.rsp, active.adv);
	assert_in_range(passive.adv, 88, 100);
	assert_int_equal(passive.rsp, 0);
	bed_deinit(&bed);
}

/* Two that ask at the same time spoil each other's request, back off, and both get responses all the same. */
static void test_backoff(void **state)
{
	struct counts one = {0}, two = {0};
	struct bed bed;
	struct bed_radio *a, *b;

	bed_init(&bed, 11);
	a = bed_add(&bed, "4.0");
	b = bed_add(&bed, "4.0");
	add_advertiser(&bed, on_legacy, DATA3, RSP3);
	scan(&bed, a, "01 1000 1000 00 00", "0100");
	scan(&bed, b, "01 1000 1000 00 00", "0100");
	assert_int_equal(loop_advance(bed.loop, 60000), 0);
	(void)bed_reports(a, on_count, &one);
	(void)bed_reports(b, on_count, &two);
	assert_true(air_stats(bed.air)->collisions > 10);
	assert_true(one.rsp > 20 && two.rsp > 20);
	assert_true(one.rsp + two.rsp < one.adv + two.adv);
	bed_deinit(&bed);
}

/* The nearer of two is understood. */
static void test_capture(void **state)
{
	struct counts near = {0}, far = {0};
	struct bed bed;
	struct bed_radio *a, *b, *adv;

	bed_init(&bed, 11);
	a = bed_add(&bed, "4.0");
	b = bed_add(&bed, "4.0");
	adv = add_advertiser(&bed, on_legacy, DATA3, RSP3);
	assert_int_equal(radio_set_loss(&adv->ctl->radio, &b->ctl->radio, 80), 0);
	scan(&bed, a, "01 1000 1000 00 00", "0100");
	scan(&bed, b, "01 1000 1000 00 00", "0100");
	assert_int_equal(loop_advance(bed.loop, 20000), 0);
	(void)bed_reports(a, on_count, &near);
	(void)bed_reports(b, on_count, &far);
	assert_int_equal(near.rsp, near.adv);
	assert_int_equal(air_stats(bed.air)->collisions, 0);
	/* both asked at once, and a response does not say for whom it is */
	assert_int_equal(far.rsp, far.adv);
	bed_deinit(&bed);
}

static void test_duplicates(void **state)
{
	struct counts c = {0};
	struct bed bed;
	struct bed_radio *s;

	bed_init(&bed, 11);
	s = bed_add(&bed, "4.0");
	add_advertiser(&bed, on_legacy, DATA3, RSP3);
	add_advertiser(&bed, on_legacy, DATA3, RSP3);
	scan(&bed, s, "01 1000 1000 00 00", "0101");
	assert_int_equal(loop_advance(bed.loop, 10000), 0);
	(void)bed_reports(s, on_count, &c);
	assert_int_equal(c.adv, 2);
	assert_int_equal(c.rsp, 2);
	/* enabled once more, they are new */
	assert_int_equal(bed_cmd(&bed, s, 0x200c, "0101"), 0);
	assert_int_equal(loop_advance(bed.loop, 10000), 0);
	(void)bed_reports(s, on_count, &c);
	assert_int_equal(c.adv, 4);
	bed_deinit(&bed);
}

static void test_accept_list(void **state)
{
	struct hcip_report got = {0};
	struct bed bed;
	struct bed_radio *s, *a;

	bed_init(&bed, 11);
	s = bed_add(&bed, "4.0"); /* 00:AA:00:00:00:01 */
	add_advertiser(&bed, on_legacy, DATA3, NULL);
	a = add_advertiser(&bed, on_legacy, DATA3, NULL);
	assert_int_equal(bed_cmd(&bed, s, 0x2011, "00 03000000aa00"), 0);
	scan(&bed, s, "00 1000 1000 00 01", "0100");
	assert_int_equal(loop_advance(bed.loop, 1000), 0);
	assert_in_range(bed_reports(s, on_first, &got), 8, 10);
	assert_true(addr_equal(&got.addr, &a->ctl->public_addr));
	bed_deinit(&bed);
}

/* A directed advertisement is for its target alone. */
static void test_directed(void **state)
{
	struct hcip_report got = {0};
	struct bed bed;
	struct bed_radio *s, *other;

	bed_init(&bed, 11);
	s = bed_add(&bed, "4.0");
	other = bed_add(&bed, "4.0");
	add_advertiser(&bed, "a000 a000 04 00 00 01000000aa00 07 00", NULL, NULL);
	scan(&bed, s, "01 1000 1000 00 00", "0100");
	scan(&bed, other, "01 1000 1000 00 00", "0100");
	assert_int_equal(loop_advance(bed.loop, 1000), 0);
	assert_in_range(bed_reports(s, on_first, &got), 8, 10);
	assert_int_equal(got.kind, HCIP_KIND_DIRECT_IND);
	assert_int_equal(bed_reports(other, NULL, NULL), 0);
	bed_deinit(&bed);
}

/* --- extended --- */

#define DATA_MAX 1650

struct gathered {
	uint8_t data[DATA_MAX];
	size_t len, reports, whole, truncated;
	uint8_t sid, secondary_phy;
	int8_t tx_dbm;
};

static void on_gather(const struct hcip_report *r, uint64_t at_us, void *data)
{
	struct gathered *g = data;

	g->reports++;
	g->sid = r->sid;
	g->secondary_phy = r->secondary_phy;
	g->tx_dbm = r->tx_dbm;
	if (g->whole)
		return;
	assert_true(g->len + r->len <= DATA_MAX);
	memcpy(g->data + g->len, r->data, r->len);
	g->len += r->len;
	g->whole += r->status == HCIP_DATA_COMPLETE;
	if (r->status == HCIP_DATA_TRUNCATED) {
		g->truncated++;
		g->len = 0;
	}
}

static struct bed_radio *add_ext(struct bed *bed, const char *props, size_t len, uint16_t opcode)
{
	struct bed_radio *r = bed_add(bed, "5.2");
	char params[128];
	size_t at = 0;

	(void)snprintf(params, sizeof(params),
	               "00 %s a00000 a00000 07 00 00 000000000000 00 7f 01 00 02 05 00", props);
	assert_int_equal(bed_cmd(bed, r, 0x2036, params), 0);
	while (at < len) {
		uint8_t p[4 + 251] = {0};
		size_t n = MIN(len - at, 251u);

		p[1] = (at ? 0 : 1) | (at + n == len ? 2 : 0);
		p[3] = (uint8_t)n;
		for (size_t i = 0; i < n; i++)
			p[4 + i] = (uint8_t)((at + i) * 7);
		assert_int_equal(bed_cmd_bytes(bed, r, opcode, p, 4 + n), 0);
		at += n;
	}
	assert_int_equal(bed_cmd(bed, r, 0x2039, "01 01 00 0000 00"), 0);
	return r;
}

static void ext_scan(struct bed *bed, struct bed_radio *r, const char *type, const char *duplicates)
{
	char params[64];

	(void)snprintf(params, sizeof(params), "00 00 01 %s 1000 1000", type);
	assert_int_equal(bed_cmd(bed, r, 0x2041, params), 0);
	(void)snprintf(params, sizeof(params), "01 %s 0000 0000", duplicates);
	assert_int_equal(bed_cmd(bed, r, 0x2042, params), 0);
}

static void check_data(const struct gathered *g, size_t len)
{
	assert_int_equal(g->whole, 1);
	assert_int_equal(g->truncated, 0);
	assert_int_equal(g->len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(g->data[i], (uint8_t)(i * 7));
}

static void test_ext_data(void **state)
{
	static const size_t lens[] = {0, 3, 229, 230, 245, 251, 1000, 1650};

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct gathered g = {0};
		struct bed bed;
		struct bed_radio *s;

		bed_init(&bed, 11);
		s = bed_add(&bed, "5.2");
		add_ext(&bed, "4000", lens[i], 0x2037);
		ext_scan(&bed, s, "00", "01");
		assert_int_equal(loop_advance(bed.loop, 3000), 0);
		(void)bed_reports(s, on_gather, &g);
		check_data(&g, lens[i]);
		assert_int_equal(g.tx_dbm, 0);
		assert_int_equal(g.sid, lens[i] ? 5 : HCIP_SID_NONE);
		assert_int_equal(g.secondary_phy, lens[i] ? PHY_2M : 0);
		bed_deinit(&bed);
	}
}

/* A scannable set tells nothing but its response, and that only to who asks. */
static void test_ext_response(void **state)
{
	static const size_t lens[] = {3, 251, 1650};

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct gathered g = {0};
		struct bed bed;
		struct bed_radio *s, *p;

		bed_init(&bed, 11);
		s = bed_add(&bed, "5.2");
		p = bed_add(&bed, "5.2");
		add_ext(&bed, "0200", lens[i], 0x2038);
		ext_scan(&bed, s, "01", "01");
		ext_scan(&bed, p, "00", "00");
		assert_int_equal(loop_advance(bed.loop, 2000), 0);
		assert_true(bed_reports(s, NULL, NULL) >= 2);
		s->seen = 0;
		assert_true(bed_reports(p, on_gather, &g) > 10);
		assert_int_equal(g.len, 0);
		/* the first report is the advertisement without data */
		g = (struct gathered){0};
		while (s->seen < s->n && !bed_event(s, HCIP_EV_LE_META, HCIP_LE_EXT_ADV_REPORT))
			;
		(void)bed_reports(s, on_gather, &g);
		check_data(&g, lens[i]);
		bed_deinit(&bed);
	}
}

/* Spoils the second and later PDUs of chains. */
static void on_judge(struct air_watch *w, const struct air_pdu *pdu, const struct radio *to,
                     uint8_t *bytes, struct air_verdict *verdict)
{
	struct pdu_ext e;

	if (!air_is_primary(pdu->channel) && pdu_parse_ext(pdu->data, pdu->len, &e) == 0 &&
	    !e.has_adv_a)
		verdict->lost = true;
}

static void test_truncated(void **state)
{
	struct air_watch w = {.judge = on_judge};
	struct gathered g = {0};
	struct bed bed;
	struct bed_radio *s;

	bed_init(&bed, 11);
	s = bed_add(&bed, "5.2");
	add_ext(&bed, "0000", 600, 0x2037);
	air_add_watch(bed.air, &w);
	ext_scan(&bed, s, "00", "00");
	assert_int_equal(loop_advance(bed.loop, 1000), 0);
	(void)bed_reports(s, on_gather, &g);
	assert_int_equal(g.whole, 0);
	assert_in_range(g.truncated, 8, 10);
	assert_true(air_stats(bed.air)->lost > 0);
	air_remove_watch(&w);
	bed_deinit(&bed);
}

/* Legacy commands do not see extended PDUs, and legacy PDUs are seen by extended commands. */
static void test_both_worlds(void **state)
{
	struct hcip_report got = {0};
	struct bed bed;
	struct bed_radio *old, *new;

	bed_init(&bed, 11);
	old = bed_add(&bed, "4.2");
	new = bed_add(&bed, "5.2");
	add_ext(&bed, "0000", 10, 0x2037);
	scan(&bed, old, "00 1000 1000 00 00", "0100");
	ext_scan(&bed, new, "00", "00");
	assert_int_equal(loop_advance(bed.loop, 1000), 0);
	assert_int_equal(bed_reports(old, NULL, NULL), 0);
	assert_in_range(bed_reports(new, NULL, NULL), 8, 10);
	assert_int_equal(bed_cmd(&bed, &bed.radios[2], 0x2039, "00 00"), 0);
	add_advertiser(&bed, on_legacy, DATA3, NULL);
	bed_forget(new);
	assert_int_equal(loop_advance(bed.loop, 1000), 0);
	assert_in_range(bed_reports(new, on_first, &got), 8, 10);
	assert_int_equal(got.kind, HCIP_KIND_IND);
	assert_int_equal(got.props, HCIP_ADV_LEGACY | HCIP_ADV_CONNECTABLE | HCIP_ADV_SCANNABLE);
	assert_in_range(bed_reports(old, NULL, NULL), 8, 10);
	bed_deinit(&bed);
}

/* A scan with a duration ends and says so; with a period it begins again. */
static void test_duration(void **state)
{
	struct bed bed;
	struct bed_radio *s;
	size_t first;

	bed_init(&bed, 11);
	s = bed_add(&bed, "5.2");
	add_advertiser(&bed, on_legacy, DATA3, NULL);
	assert_int_equal(bed_cmd(&bed, s, 0x2041, "00 00 01 00 1000 1000"), 0);
	assert_int_equal(bed_cmd(&bed, s, 0x2042, "01 00 6400 0000"), 0);
	assert_int_equal(loop_advance(bed.loop, 5000), 0);
	assert_non_null(bed_event(s, HCIP_EV_LE_META, HCIP_LE_SCAN_TIMEOUT));
	s->seen = 0;
	first = bed_reports(s, NULL, NULL);
	assert_in_range(first, 8, 10);
	/* one second of each 2.56, four times */
	assert_int_equal(bed_cmd(&bed, s, 0x2042, "01 00 6400 0200"), 0);
	assert_int_equal(loop_advance(bed.loop, 10240), 0);
	assert_in_range(bed_reports(s, NULL, NULL), 32, 40);
	assert_null(bed_event(s, HCIP_EV_LE_META, HCIP_LE_SCAN_TIMEOUT));
	bed_deinit(&bed);
}

/* --- many --- */

#define CROWD 2000

/* 2000 advertisers of different addresses, each once a second: a scanner that listens all the time gets them all. */
static void test_crowd(void **state)
{
	struct advertiser *crowd = calloc(CROWD, sizeof(*crowd));
	static const uint8_t data[31] = {30, 0xff};
	struct radio place;
	struct bed bed;
	struct bed_radio *s;

	assert_non_null(crowd);
	bed_init(&bed, 11);
	s = bed_add(&bed, "4.2");
	radio_init(&place, bed.air, "crowd");
	for (size_t i = 0; i < CROWD; i++) {
		struct advertiser *a = &crowd[i];

		advertiser_init(a, &place, NULL, NULL);
		a->props = ADV_LEGACY;
		a->addr = (struct addr){.b = {i & 0xff, i >> 8 & 0xff, 0, 0, 0, 0xc0},
		                        .type = ADDR_RANDOM};
		a->interval_us = 995000;
		assert_int_equal(advertiser_set_data(a, data, sizeof(data)), 0);
		advertiser_start(a);
	}
	scan(&bed, s, "00 a000 a000 00 00", "0100");
	assert_int_equal(loop_advance(bed.loop, 3000), 0);
	/* three seconds; the first events come within 10 ms of the start */
	assert_in_range(bed_reports(s, NULL, NULL), 3 * CROWD - 100, 4 * CROWD);
	for (size_t i = 0; i < CROWD; i++)
		advertiser_deinit(&crowd[i]);
	radio_deinit(&place);
	bed_deinit(&bed);
	free(crowd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),       cmocka_unit_test(test_duty_cycles),
		cmocka_unit_test(test_report),       cmocka_unit_test(test_active),
		cmocka_unit_test(test_backoff),      cmocka_unit_test(test_capture),
		cmocka_unit_test(test_duplicates),   cmocka_unit_test(test_accept_list),
		cmocka_unit_test(test_directed),     cmocka_unit_test(test_ext_data),
		cmocka_unit_test(test_ext_response), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_both_worlds),  cmocka_unit_test(test_duration),
		cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
