/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertisers, as a listener hears them that is always on every channel: when events happen, what is in their PDUs, how
 * they end.
 */
#include <string.h>

#include "aiobled/cleanup.h"

#include "advertiser.h"
#include "ctl_adv.h"
#include "../support/ctl_bed.h"

#include "test.h"

#define HEARD_MAX 20000

struct heard {
	uint64_t start_us;
	uint8_t channel, phy;
	int8_t rssi_dbm;
	size_t len;
	uint8_t bytes[PDU_MAX];
};

/* Everything on the air. */
struct ear {
	struct air_watch watch;
	struct heard *pdus;
	size_t n;
};

static void on_sent(struct air_watch *w, const struct air_pdu *pdu)
{
	struct ear *ear = container_of(w, struct ear, watch);
	struct heard *h = &ear->pdus[ear->n];

	if (ear->n == HEARD_MAX)
		return;
	assert_true(ear->n == 0 || pdu->start_us >= h[-1].start_us);
	assert_int_equal(pdu->access_addr, PDU_ADV_ADDRESS);
	h->start_us = pdu->start_us;
	h->channel = pdu->channel;
	h->phy = pdu->phy;
	h->len = pdu->len;
	memcpy(h->bytes, pdu->data, pdu->len);
	ear->n++;
}

static void ear_init(struct ear *ear, struct air *air)
{
	*ear = (struct ear){.watch = {.sent = on_sent},
	                    .pdus = calloc(HEARD_MAX, sizeof(*ear->pdus))};
	assert_non_null(ear->pdus);
	air_add_watch(air, &ear->watch);
}

static void ear_deinit(struct ear *ear)
{
	air_remove_watch(&ear->watch);
	free(ear->pdus);
}

/* --- legacy --- */

/* 100 ms and 0 to 10 ms at random, three channels in turn, for a hundred seconds. */
static void test_interval(void **state)
{
	struct bed bed;
	struct bed_radio *r;
	struct ear ear;
	uint64_t least = UINT64_MAX, most = 0;
	size_t events;

	bed_init(&bed, 7);
	ear_init(&ear, bed.air);
	r = bed_add(&bed, "4.0");
	assert_int_equal(bed_cmd(&bed, r, 0x2006, "a000 a000 00 00 00 000000000000 07 00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x200a, "01"), 0);
	assert_int_equal(loop_advance(bed.loop, 100000), 0);
	events = ear.n / 3;
	for (size_t i = 0; i + 3 < events * 3; i += 3) {
		uint64_t gap = ear.pdus[i + 3].start_us - ear.pdus[i].start_us;

		least = MIN(least, gap);
		most = MAX(most, gap);
		for (size_t c = 0; c < 3; c++)
			assert_int_equal(ear.pdus[i + c].channel, 37 + c);
		assert_true(ear.pdus[i + 2].start_us - ear.pdus[i].start_us < 10000);
	}
	/* the mean is 105 ms: 952 events, with a deviation of 0.03 % */
	assert_in_range(events, 948, 957);
	assert_in_range(least, 100000, 100300);
	assert_in_range(most, 109700, 110000);
	ear_deinit(&ear);
	bed_deinit(&bed);
}

/* The same seed is the same air; another seed is another. */
static void run_seed(uint64_t seed, uint64_t *ret_sum)
{
	struct bed bed;
	struct bed_radio *r;
	struct ear ear;

	bed_init(&bed, seed);
	ear_init(&ear, bed.air);
	for (int i = 0; i < 2; i++) {
		r = bed_add(&bed, "4.0");
		assert_int_equal(bed_cmd(&bed, r, 0x2006, "a000 a000 00 00 00 000000000000 07 00"),
		                 0);
		assert_int_equal(bed_cmd(&bed, r, 0x200a, "01"), 0);
	}
	assert_int_equal(loop_advance(bed.loop, 2000), 0);
	*ret_sum = 0;
	for (size_t i = 0; i < ear.n; i++)
		*ret_sum = *ret_sum * 31 + ear.pdus[i].start_us;
	ear_deinit(&ear);
	bed_deinit(&bed);
}

static void test_seed(void **state)
{
	uint64_t a, b, c;

	run_seed(3, &a);
	run_seed(3, &b);
	run_seed(4, &c);
	assert_int_equal(a, b);
	assert_int_not_equal(a, c);
}

static void test_channels_and_data(void **state)
{
	static const char data[] =
		"03 020106 00000000000000000000000000000000000000000000000000000000";
	struct bed bed;
	struct bed_radio *r;
	struct ear ear;

	bed_init(&bed, 7);
	ear_init(&ear, bed.air);
	r = bed_add(&bed, "4.0");
	assert_int_equal(bed_cmd(&bed, r, 0x2006, "a000 a000 03 00 00 000000000000 05 00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2008, data), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x200a, "01"), 0);
	assert_int_equal(loop_advance(bed.loop, 50), 0);
	assert_int_equal(ear.n, 2);
	assert_int_equal(ear.pdus[0].channel, 37);
	assert_int_equal(ear.pdus[1].channel, 39);
	assert_int_equal(ear.pdus[0].bytes[0], PDU_ADV_NONCONN_IND);
	assert_int_equal(ear.pdus[0].len, 2 + 6 + 3);
	/* off is off */
	assert_int_equal(bed_cmd(&bed, r, 0x200a, "00"), 0);
	assert_int_equal(loop_advance(bed.loop, 1000), 0);
	assert_int_equal(ear.n, 2);
	ear_deinit(&ear);
	bed_deinit(&bed);
}

static void test_bad_params(void **state)
{
	static const char *const rows[] = {
		"1f00 a000 00 00 00 000000000000 07 00", /* too fast */
		"a000 0140 00 00 00 000000000000 07 00", /* too slow */
		"a100 a000 00 00 00 000000000000 07 00", /* least over most */
		"2000 2000 03 00 00 000000000000 07 00", /* not connectable, before 5.0: 100 ms */
		"a000 a000 05 00 00 000000000000 07 00", /* no such type */
		"a000 a000 00 02 00 000000000000 07 00", /* no such address type without privacy */
		"a000 a000 00 00 02 000000000000 07 00", /* of the peer */
		"a000 a000 00 00 00 000000000000 08 00", /* no channel */
		"a000 a000 00 00 00 000000000000 07 04", /* no such policy */
	};
	struct bed bed;
	struct bed_radio *r;

	bed_init(&bed, 7);
	r = bed_add(&bed, "4.0");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(bed_cmd(&bed, r, 0x2006, rows[i]), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(bed_cmd(&bed, r, 0x200a, "01"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2006, "a000 a000 00 00 00 000000000000 07 00"),
	                 HCIP_STATUS_DISALLOWED);
	bed_deinit(&bed);
}

/* High duty cycle directed: an event every 3.75 ms, for 1.28 s. */
static void test_high_duty(void **state)
{
	struct bed bed;
	struct bed_radio *r;
	struct ear ear;

	bed_init(&bed, 7);
	ear_init(&ear, bed.air);
	r = bed_add(&bed, "4.0");
	assert_int_equal(bed_cmd(&bed, r, 0x2006, "0000 0000 01 00 01 0102030405c6 07 00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x200a, "01"), 0);
	assert_int_equal(loop_advance(bed.loop, 5000), 0);
	assert_in_range(ear.n / 3, 341, 342);
	assert_int_equal(ear.pdus[0].bytes[0], PDU_ADV_DIRECT_IND | PDU_RX_ADD);
	assert_int_equal(ear.pdus[0].len, 2 + 12);
	assert_int_equal(ear.pdus[3].start_us - ear.pdus[0].start_us, 3750);
	/* it may be enabled again */
	assert_int_equal(bed_cmd(&bed, r, 0x200a, "01"), 0);
	ear_deinit(&ear);
	bed_deinit(&bed);
}

/* --- extended --- */

/* Non-connectable set on @handle, 100 ms, channel 37 only, SID 1 */
static void ext_params(struct bed *bed, struct bed_radio *r, const char *handle, const char *props)
{
	char params[256];

	(void)snprintf(params, sizeof(params),
	               "%s %s a00000 a00000 01 00 00 000000000000 00 7f 01 00 02 01 00", handle,
	               props);
	assert_int_equal(bed_cmd(bed, r, 0x2036, params), 0);
}

static void ext_data(struct bed *bed, struct bed_radio *r, size_t len)
{
	size_t at = 0;

	while (at < len) {
		uint8_t p[4 + 251] = {0};
		size_t n = MIN(len - at, 251u);

		p[0] = 3;
		p[1] = (at ? 0 : 1) | (at + n == len ? 2 : 0);
		p[3] = (uint8_t)n;
		for (size_t i = 0; i < n; i++)
			p[4 + i] = (uint8_t)(at + i);
		assert_int_equal(bed_cmd_bytes(bed, r, 0x2037, p, 4 + n), 0);
		at += n;
	}
}

/* All the data is on the air, in a chain of PDUs that point to each other, at the times they say. */
static void check_chain(const struct ear *ear, size_t len)
{
	size_t got = 0;
	struct pdu_ext e = {0};

	for (size_t i = 0; i < ear->n; i++) {
		const struct heard *h = &ear->pdus[i];

		if (i > 0) {
			uint64_t told = h[-1].start_us + e.aux_offset_us;

			assert_true(e.has_aux);
			assert_int_equal(e.aux_channel, h->channel);
			assert_int_equal(e.aux_phy, h->phy);
			assert_in_range(h->start_us, told, told + 30);
			assert_true(h->start_us >= h[-1].start_us +
			                                   phy_air_time_us(h[-1].phy, h[-1].len) +
			                                   PHY_T_MAFS_US);
		}
		assert_int_equal(pdu_parse_ext(h->bytes, h->len, &e), 0);
		for (size_t k = 0; k < e.len; k++)
			assert_int_equal(e.data[k], (uint8_t)(got + k));
		got += e.len;
	}
	assert_false(e.has_aux);
	assert_int_equal(got, len);
}

static void test_ext_data(void **state)
{
	static const size_t lens[] = {0, 1, 31, 229, 245, 246, 251, 500, 1650};

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct bed bed;
		struct bed_radio *r;
		struct ear ear;

		bed_init(&bed, 7);
		ear_init(&ear, bed.air);
		r = bed_add(&bed, "5.2");
		ext_params(&bed, r, "03", "0000");
		ext_data(&bed, r, lens[i]);
		assert_int_equal(bed_cmd(&bed, r, 0x2039, "01 01 03 0000 00"), 0);
		assert_int_equal(loop_advance(bed.loop, 90), 0);
		check_chain(&ear, lens[i]);
		ear_deinit(&ear);
		bed_deinit(&bed);
	}
}

/* What ends a set by itself, and what is told */
static void test_ext_end(void **state)
{
	static const struct {
		const char *enable;
		uint32_t events;
		uint8_t event[5];
	} rows[] = {
		{"01 01 03 0000 05", 5, {HCIP_STATUS_LIMIT_REACHED, 3, 0, 0, 5}},
		{"01 01 03 6400 00", 10, {HCIP_STATUS_ADVERTISING_TIMEOUT, 3, 0, 0, 0}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct bed_packet *p;
		struct bed bed;
		struct bed_radio *r;
		struct ear ear;

		bed_init(&bed, 7);
		ear_init(&ear, bed.air);
		r = bed_add(&bed, "5.2");
		ext_params(&bed, r, "03", "1000");
		assert_int_equal(bed_cmd(&bed, r, 0x2039, rows[i].enable), 0);
		assert_int_equal(loop_advance(bed.loop, 5000), 0);
		assert_int_equal(ear.n, rows[i].events);
		p = bed_event(r, HCIP_EV_LE_META, HCIP_LE_ADV_SET_TERMINATED);
		assert_non_null(p);
		assert_memory_equal(p->data + 4, rows[i].event, 5);
		assert_null(bed_event(r, HCIP_EV_LE_META, HCIP_LE_ADV_SET_TERMINATED));
		ear_deinit(&ear);
		bed_deinit(&bed);
	}
}

static void test_ext_commands(void **state)
{
	struct bed bed;
	struct bed_radio *r;
	char params[4];

	bed_init(&bed, 7);
	r = bed_add(&bed, "5.2");
	assert_int_equal(bed_cmd(&bed, r, 0x2039, "01 01 03 0000 00"), HCIP_STATUS_UNKNOWN_ADV_SET);
	assert_int_equal(bed_cmd(&bed, r, 0x2037, "03 03 00 00"), HCIP_STATUS_UNKNOWN_ADV_SET);
	for (int i = 0; i < 8; i++) {
		(void)snprintf(params, sizeof(params), "%02x", i);
		ext_params(&bed, r, params, "1000");
	}
	assert_int_equal(
		bed_cmd(&bed, r, 0x2036,
	                "08 1000 a00000 a00000 01 00 00 000000000000 00 7f 01 00 02 01 00"),
		HCIP_STATUS_MEMORY_EXCEEDED);
	/* connectable and scannable is for legacy PDUs only */
	assert_int_equal(
		bed_cmd(&bed, r, 0x2036,
	                "00 0300 a00000 a00000 01 00 00 000000000000 00 7f 01 00 02 01 00"),
		HCIP_STATUS_INVALID_PARAMS);
	/* all of a list or none: the second is unknown */
	assert_int_equal(bed_cmd(&bed, r, 0x2039, "01 02 00 0000 00 09 0000 00"),
	                 HCIP_STATUS_UNKNOWN_ADV_SET);
	assert_false(ctl_adv_filters(r->ctl->adv));
	assert_int_equal(bed_cmd(&bed, r, 0x203c, "00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2039, "01 02 01 0000 00 01 0000 00"),
	                 HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(bed_cmd(&bed, r, 0x2039, "01 02 01 0000 00 02 0000 00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x203c, "01"), HCIP_STATUS_DISALLOWED);
	assert_int_equal(bed_cmd(&bed, r, 0x203d, ""), HCIP_STATUS_DISALLOWED);
	assert_int_equal(bed_cmd(&bed, r, 0x2039, "00 00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x203d, ""), 0);
	/* an extended set that can be scanned wants a response */
	ext_params(&bed, r, "00", "0200");
	assert_int_equal(bed_cmd(&bed, r, 0x2039, "01 01 00 0000 00"), HCIP_STATUS_DISALLOWED);
	assert_int_equal(bed_cmd(&bed, r, 0x2038, "00 03 00 02 0102"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2039, "01 01 00 0000 00"), 0);
	bed_deinit(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interval),          cmocka_unit_test(test_seed),
		cmocka_unit_test(test_channels_and_data), cmocka_unit_test(test_bad_params),
		cmocka_unit_test(test_high_duty),         cmocka_unit_test(test_ext_data),
		cmocka_unit_test(test_ext_end),           cmocka_unit_test(test_ext_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
