/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the specification says in microseconds and bytes: air times, channels, PDUs, the cipher, the clock and its heap. */
#include "advertiser.h"
#include "aes.h"
#include "air.h"
#include "pdu.h"
#include "phy.h"

#include "aiobled/cleanup.h"
#include "aiobled/loop.h"

#include "test.h"
#include "vec.h"

static void test_air_time(void **state)
{
	/* Core 5.4, Vol 6, Part B: 2.1 and the figures of 4.5.10 (a data PDU's header is 2 bytes) */
	static const struct {
		enum phy phy;
		size_t len;
		uint32_t us;
	} rows[] = {
		{PHY_1M, 2, 80},
		{PHY_1M, 2 + 27, 296},
		{PHY_1M, 2 + 31, 328},
		{PHY_1M, 2 + 255, 2120},
		{PHY_2M, 2, 44},
		{PHY_2M, 2 + 255, 1064},
		{PHY_1M, 2 + 37, 376},
		{PHY_1M, 2 + 34, 352},
		{PHY_CODED, 2, 720},
		{PHY_CODED, 2 + 27 + 4, 2704},
		{PHY_CODED, 2 + 255, 17040},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(phy_air_time_us(rows[i].phy, rows[i].len), rows[i].us);
}

static void test_channels(void **state)
{
	assert_int_equal(phy_frequency_mhz(37), 2402);
	assert_int_equal(phy_frequency_mhz(0), 2404);
	assert_int_equal(phy_frequency_mhz(10), 2424);
	assert_int_equal(phy_frequency_mhz(38), 2426);
	assert_int_equal(phy_frequency_mhz(11), 2428);
	assert_int_equal(phy_frequency_mhz(36), 2478);
	assert_int_equal(phy_frequency_mhz(39), 2480);
}

/* FIPS 197, appendix C.1; Core 5.4, Vol 6, Part C, 1 (session key, least significant octet first here) */
static void test_aes(void **state)
{
	struct vec key = vec("000102030405060708090a0b0c0d0e0f"),
		   in = vec("00112233445566778899aabbccddeeff");
	struct vec want = vec("69c4e0d86a7b0430d8cdb78070b4c55a");
	struct vec ltk = vec("bf01fb9d4ef3bc36d874f5394138684c"),
		   skd = vec("1302f1e0dfcebdac7968574635241302");
	struct vec sk = vec("66c6c2278e3b8e053e7ea326521bad99");
	uint8_t out[AES_LEN];

	aes_block(key.p, in.p, out);
	assert_memory_equal(out, want.p, AES_LEN);
	aes_block_le(ltk.p, skd.p, out);
	assert_memory_equal(out, sk.p, AES_LEN);
	free(key.p);
	free(in.p);
	free(want.p);
	free(ltk.p);
	free(skd.p);
	free(sk.p);
}

static const struct addr a1 = {.b = {1, 2, 3, 4, 5, 0xc6}, .type = ADDR_RANDOM};
static const struct addr a2 = {.b = {0x11, 0x12, 0x13, 0x14, 0x15, 0x16}, .type = ADDR_PUBLIC};

static void test_legacy_pdus(void **state)
{
	static const uint8_t data[] = {2, 1, 6};
	struct vec want = vec("4009 0102030405c6 020106"),
		   req = vec("430c 0102030405c6 111213141516");
	struct pdu_legacy p;
	uint8_t buf[PDU_MAX];
	size_t len = pdu_put_legacy(buf, PDU_ADV_IND, &a1, data, sizeof(data));

	assert_int_equal(len, want.len);
	assert_memory_equal(buf, want.p, len);
	assert_int_equal(pdu_parse_legacy(buf, len, &p), 0);
	assert_true(addr_equal(&p.first, &a1));
	assert_int_equal(p.len, 3);
	len = pdu_put_pair(buf, PDU_SCAN_REQ, &a1, &a2, NULL, 0);
	assert_int_equal(len, req.len);
	assert_memory_equal(buf, req.p, len);
	assert_int_equal(pdu_parse_legacy(buf, len, &p), 0);
	assert_true(addr_equal(&p.first, &a1));
	assert_true(addr_equal(&p.second, &a2));
	for (size_t cut = 0; cut < len; cut++) {
		struct vec v = vec_prefix(&req, cut);

		assert_int_equal(pdu_parse_legacy(v.p, v.len, &p), -EBADMSG);
		free(v.p);
	}
	free(want.p);
	free(req.p);
}

/* Every combination of fields goes out and comes back; every prefix of each is refused. */
static void test_ext_pdus(void **state)
{
	static const uint8_t data[] = {9, 8, 7, 6, 5};

	for (unsigned int fields = 0; fields < 32; fields++) {
		struct pdu_ext e = {
			.mode = fields % 3,
			.has_adv_a = fields & 1,
			.has_target_a = fields & 2,
			.has_adi = fields & 4,
			.has_aux = fields & 8,
			.has_tx = fields & 16,
			.adv_a = a1,
			.target_a = a2,
			.did = 0xabc,
			.sid = 7,
			.aux_channel = 36,
			.aux_phy = PHY_2M,
			.aux_offset_us = 2109,
			.tx_dbm = -12,
			.data = data,
			.len = sizeof(data),
		};
		uint8_t buf[PDU_MAX];
		size_t len = pdu_put_ext(buf, PDU_EXT, &e);
		struct pdu_ext got;

		assert_int_equal(pdu_parse_ext(buf, len, &got), 0);
		assert_int_equal(got.mode, e.mode);
		assert_true(!e.has_adv_a || addr_equal(&got.adv_a, &a1));
		assert_true(!e.has_target_a || addr_equal(&got.target_a, &a2));
		assert_true(!e.has_adi || (got.did == 0xabc && got.sid == 7));
		assert_true(!e.has_aux || (got.aux_channel == 36 && got.aux_phy == PHY_2M &&
		                           got.aux_offset_us == 2100));
		assert_true(!e.has_tx || got.tx_dbm == -12);
		assert_int_equal(got.len, sizeof(data));
		assert_memory_equal(got.data, data, sizeof(data));
		for (size_t cut = 0; cut < len; cut++) {
			struct vec whole = {.p = buf, .len = len}, v = vec_prefix(&whole, cut);

			assert_int_equal(pdu_parse_ext(v.p, v.len, &got), -EBADMSG);
			free(v.p);
		}
	}
}

static void test_ext_room(void **state)
{
	struct pdu_ext e = {.has_adv_a = true, .has_adi = true};
	uint8_t data[PDU_PAYLOAD_MAX] = {0}, buf[PDU_MAX];

	e.data = data;
	e.len = pdu_ext_room(&e);
	assert_int_equal(e.len, 245);
	assert_int_equal(pdu_put_ext(buf, PDU_EXT, &e), PDU_MAX);
	e.len++;
	assert_int_equal(pdu_put_ext(buf, PDU_EXT, &e), 0);
	assert_int_equal(pdu_floor_offset_us(245729), 245729 / 30 * 30);
	assert_int_equal(pdu_floor_offset_us(245760), 245700);
}

/* --- the clock --- */

#define TIMERS 500

static struct {
	struct air *air;
	struct air_timer timers[TIMERS];
	uint64_t last_us;
	size_t fired;
} clk;

static void on_timer(struct air_timer *t)
{
	assert_true(t->due_us >= clk.last_us);
	assert_int_equal(air_now_us(t->air), t->due_us);
	clk.last_us = t->due_us;
	clk.fired++;
	/* one of the others goes now and then */
	if (clk.fired % 7 == 0)
		air_timer_stop(&clk.timers[air_rand_below(t->air, TIMERS)]);
	if (clk.fired < 5000)
		air_timer_start(t, air_rand_below(t->air, 100000));
}

/* Timers ring in order at exactly their time, also when the loop comes late. */
static void test_timers(void **state)
{
	struct loop *loop;

	assert_int_equal(loop_new_virtual(&loop), 0);
	assert_int_equal(air_new(loop, 5, &clk.air), 0);
	for (size_t i = 0; i < TIMERS; i++) {
		air_timer_init(&clk.timers[i], clk.air, on_timer);
		air_timer_start(&clk.timers[i], air_rand_below(clk.air, 50000));
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(loop_advance(loop, 37), 0);
	assert_true(clk.fired >= 2000);
	for (size_t i = 0; i < TIMERS; i++)
		air_timer_stop(&clk.timers[i]);
	air_free(clk.air);
	loop_free(loop);
}

static size_t ticks;

static void on_tick(struct air_timer *t)
{
	ticks++;
	air_timer_start_at(t, t->due_us + 10000);
}

/* At twenty times the speed, twenty times as much happens; when the process sleeps, the air does not make it all up. */
static void test_speed(void **state)
{
	struct air_timer t;
	struct loop *loop;
	struct air *air;

	assert_int_equal(loop_new_virtual(&loop), 0);
	assert_int_equal(air_new(loop, 5, &air), 0);
	air_timer_init(&t, air, on_tick);
	air_timer_start(&t, 10000);
	ticks = 0;
	assert_int_equal(loop_advance(loop, 1000), 0);
	assert_int_equal(ticks, 100);
	air_set_speed(air, 20);
	ticks = 0;
	assert_int_equal(loop_advance(loop, 1000), 0);
	assert_int_equal(ticks, 2000);
	air_timer_stop(&t);
	air_free(air);
	loop_free(loop);
}

/* --- distances --- */

static void test_losses(void **state)
{
	struct radio a, b, c;
	struct loop *loop;
	struct air *air;

	assert_int_equal(loop_new_virtual(&loop), 0);
	assert_int_equal(air_new(loop, 5, &air), 0);
	radio_init(&a, air, "a");
	radio_init(&b, air, "b");
	radio_init(&c, air, "c");
	assert_int_equal(radio_loss_db(&a, &b), AIR_LOSS_DEFAULT_DB);
	assert_int_equal(radio_set_loss(&a, &b, 70), 0);
	assert_int_equal(radio_loss_db(&b, &a), 70);
	b.loss_db = 5;
	assert_int_equal(radio_loss_db(&b, &a), 70);
	assert_int_equal(radio_loss_db(&c, &b), AIR_LOSS_DEFAULT_DB + 5);
	radio_clear_loss(&b, &a);
	assert_int_equal(radio_loss_db(&a, &b), AIR_LOSS_DEFAULT_DB + 5);
	assert_int_equal(radio_set_loss(&a, &c, 1), 0);
	assert_ptr_equal(radio_find(air, "c"), &c);
	radio_deinit(&c);
	assert_null(radio_find(air, "c"));
	radio_deinit(&a);
	radio_deinit(&b);
	air_free(air);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_air_time), cmocka_unit_test(test_channels),
		cmocka_unit_test(test_aes),      cmocka_unit_test(test_legacy_pdus),
		cmocka_unit_test(test_ext_pdus), cmocka_unit_test(test_ext_room),
		cmocka_unit_test(test_timers),   cmocka_unit_test(test_speed),
		cmocka_unit_test(test_losses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
