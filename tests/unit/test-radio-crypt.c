/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encryption of aioble-radio's links: keys that fit, keys that do not, data meanwhile.
 */
#include "../support/link_bed.h"

#include "aiobled/cleanup.h"

#include "ccm.h"
#include "link_priv.h"

#include "test.h"

static const struct bed_link usual = {.interval = 24, .latency = 0, .timeout = 72};

/* Core 5.4, Vol 6, Part C, 1: sample data of an encrypted link */
static void test_sample_data(void **state)
{
	static const uint8_t ltk[AES_LEN] = {0xbf, 0x01, 0xfb, 0x9d, 0x4e, 0xf3, 0xbc, 0x36,
	                                     0xd8, 0x74, 0xf5, 0x39, 0x41, 0x38, 0x68, 0x4c};
	static const uint8_t skd[AES_LEN] = {0x13, 0x02, 0xf1, 0xe0, 0xdf, 0xce, 0xbd, 0xac,
	                                     0x79, 0x68, 0x57, 0x46, 0x35, 0x24, 0x13, 0x02};
	static const uint8_t iv[8] = {0x24, 0xab, 0xdc, 0xba, 0xbe, 0xba, 0xaf, 0xde};
	static const uint8_t key[AES_LEN] = {0x99, 0xad, 0x1b, 0x52, 0x26, 0xa3, 0x7e, 0x3e,
	                                     0x05, 0x8e, 0x3b, 0x8e, 0x27, 0xc2, 0xc6, 0x66};
	static const uint8_t rsp[] = {LL_START_ENC_RSP};
	uint8_t mic[CCM_MIC_LEN];
	struct ccm c;

	ccm_init(&c, ltk, skd, iv);
	assert_memory_equal(c.key, key, AES_LEN);
	ccm_mic(&c, 0, true, 0x0f, rsp, 1, mic);
	assert_memory_equal(mic, ((uint8_t[]){0xcd, 0xa7, 0xf4, 0x48}), CCM_MIC_LEN);
	ccm_mic(&c, 0, false, 0x07, rsp, 1, mic);
	assert_memory_equal(mic, ((uint8_t[]){0x4c, 0x13, 0xa4, 0x15}), CCM_MIC_LEN);
}

/* --- two hosts with keys --- */

struct pair {
	struct link_bed bed;
	struct bed_host *c, *p;
	uint16_t hc, hp;
};

static void pair_open(struct pair *l, const char *profile)
{
	bed_open(&l->bed, 1);
	l->c = bed_host(&l->bed, profile);
	l->p = bed_host(&l->bed, profile);
	bed_connect(l->c, l->p, &usual, &l->hc, &l->hp);
}

/* LE Enable Encryption with a key of @key repeated */
static int enable(struct pair *l, uint8_t key)
{
	uint8_t buf[28] = {(uint8_t)l->hc, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x55, 0xaa};

	memset(buf + 12, key, AES_LEN);
	return bed_cmd(l->c, 0x2019, buf, sizeof(buf));
}

static int reply(struct pair *l, uint8_t key)
{
	uint8_t buf[18] = {(uint8_t)l->hp, 0};

	memset(buf + 2, key, AES_LEN);
	return bed_cmd(l->p, 0x201a, buf, sizeof(buf));
}

static void expect_ltk_request(struct pair *l)
{
	const struct bed_event *e;

	bed_run(&l->bed, 150);
	e = bed_need(l->p, HCIP_EV_LE_META, HCIP_LE_LTK_REQUEST);
	assert_int_equal(e->data[0], l->hp);
	assert_memory_equal(e->data + 2, ((uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8, 0x55, 0xaa}), 10);
}

static void expect_change(struct bed_host *h, uint8_t status)
{
	const struct bed_event *e = bed_need(h, HCIP_EV_ENCRYPTION_CHANGE, 0);

	assert_int_equal(e->data[0], status);
	assert_int_equal(e->data[3], status == 0);
}

static void encrypt(struct pair *l, uint8_t key)
{
	assert_int_equal(enable(l, key), 0);
	expect_ltk_request(l);
	assert_int_equal(reply(l, key), 0);
	bed_run(&l->bed, 200);
}

struct tally {
	struct air_watch watch;
	unsigned int clear, secured;
};

static void on_sent(struct air_watch *w, const struct air_pdu *pdu)
{
	struct tally *t = container_of(w, struct tally, watch);

	if (pdu->access_addr == PDU_ADV_ADDRESS || pdu->len == PDU_HEADER_LEN)
		return;
	t->clear += !pdu->mic;
	t->secured += pdu->mic;
}

static void test_equal_keys(void **state)
{
	struct tally tally = {.watch.sent = on_sent};
	struct pair l;

	pair_open(&l, "4.0");
	air_add_watch(l.bed.air, &tally.watch);
	assert_int_equal(reply(&l, 7), HCIP_STATUS_DISALLOWED); /* nobody asked */
	encrypt(&l, 7);
	expect_change(l.c, 0);
	expect_change(l.p, 0);
	/* LL_ENC_REQ, _RSP, LL_START_ENC_REQ in the clear; two LL_START_ENC_RSP */
	assert_int_equal(tally.clear, 3);
	assert_int_equal(tally.secured, 2);
	for (int i = 0; i < 50; i++) {
		bed_send(l.c, l.hc, "0123456789", 10);
		bed_send(l.p, l.hp, "01234", 5);
		bed_run(&l.bed, 20);
	}
	bed_run(&l.bed, 100);
	assert_int_equal(l.p->rx_bytes, 500);
	assert_int_equal(l.c->rx_bytes, 250);
	assert_int_equal(tally.clear, 3);
	assert_int_equal(tally.secured, 102);
	air_remove_watch(&tally.watch);
	bed_close(&l.bed);
}

static void test_key_refresh(void **state)
{
	struct pair l;

	pair_open(&l, "5.2");
	encrypt(&l, 7);
	expect_change(l.c, 0);
	expect_change(l.p, 0);
	for (uint8_t key = 8; key < 12; key++) {
		bed_send(l.c, l.hc, "01234", 5);
		bed_send(l.p, l.hp, "01234", 5);
		encrypt(&l, key);
		assert_int_equal(bed_need(l.c, HCIP_EV_KEY_REFRESH, 0)->data[0], 0);
		assert_int_equal(bed_need(l.p, HCIP_EV_KEY_REFRESH, 0)->data[0], 0);
		bed_send(l.c, l.hc, "01234", 5);
		bed_send(l.p, l.hp, "01234", 5);
		bed_run(&l.bed, 100);
	}
	assert_int_equal(l.p->rx_bytes, 40);
	assert_int_equal(l.c->rx_bytes, 40);
	assert_null(bed_take(l.c, HCIP_EV_ENCRYPTION_CHANGE, 0));
	/* without the key there is no way back to the clear */
	assert_int_equal(enable(&l, 1), 0);
	expect_ltk_request(&l);
	assert_int_equal(BED_CMD(l.p, 0x201b, (uint8_t)l.hp, 0), 0);
	bed_run(&l.bed, 200);
	assert_int_equal(bed_disconnected(l.c, l.hc), HCIP_STATUS_KEY_MISSING);
	assert_int_equal(bed_disconnected(l.p, l.hp), HCIP_STATUS_LOCAL_HOST_ENDED);
	bed_close(&l.bed);
}

/* The first packet with a MIC gives it away; the other end hears no more. */
static void test_unequal_keys(void **state)
{
	struct pair l;

	pair_open(&l, "4.2");
	assert_int_equal(enable(&l, 7), 0);
	expect_ltk_request(&l);
	assert_int_equal(reply(&l, 8), 0);
	bed_run(&l.bed, 100);
	assert_int_equal(bed_disconnected(l.p, l.hp), HCIP_STATUS_MIC_FAILURE);
	bed_run(&l.bed, 800);
	assert_int_equal(bed_disconnected(l.c, l.hc), HCIP_STATUS_CONNECTION_TIMEOUT);
	assert_null(bed_take(l.c, HCIP_EV_ENCRYPTION_CHANGE, 0));
	assert_null(bed_take(l.p, HCIP_EV_ENCRYPTION_CHANGE, 0));
	bed_close(&l.bed);
}

static void test_no_key(void **state)
{
	static const char *const profiles[] = {"4.0", "4.2"};

	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		struct pair l;

		pair_open(&l, profiles[i]);
		assert_int_equal(enable(&l, 7), 0);
		expect_ltk_request(&l);
		assert_int_equal(BED_CMD(l.p, 0x201b, (uint8_t)l.hp, 0), 0);
		bed_run(&l.bed, 100);
		expect_change(l.c, HCIP_STATUS_KEY_MISSING);
		assert_null(bed_take(l.p, HCIP_EV_ENCRYPTION_CHANGE, 0));
		/* a host that cannot be asked has none either */
		assert_int_equal(BED_CMD(l.p, 0x2001, 0x0f, 0, 0, 0, 0, 0, 0, 0), 0);
		assert_int_equal(enable(&l, 7), 0);
		bed_run(&l.bed, 200);
		expect_change(l.c, HCIP_STATUS_KEY_MISSING);
		/* the link goes on in the clear */
		bed_send(l.c, l.hc, "x", 1);
		bed_send(l.p, l.hp, "x", 1);
		bed_run(&l.bed, 100);
		assert_int_equal(l.p->rx_bytes + l.c->rx_bytes, 2);
		bed_close(&l.bed);
	}
}

/* What hosts give while keys are changed waits for the end of that. */
static void test_data_waits(void **state)
{
	struct pair l;

	pair_open(&l, "4.2");
	assert_int_equal(enable(&l, 7), 0);
	assert_int_equal(enable(&l, 7), HCIP_STATUS_DISALLOWED);
	expect_ltk_request(&l);
	bed_send(l.c, l.hc, "01234", 5);
	bed_send(l.p, l.hp, "01234", 5);
	/* other procedures wait as well */
	assert_int_equal(BED_CMD(l.c, 0x041d, (uint8_t)l.hc, 0), 0);
	assert_int_equal(BED_CMD(l.p, 0x2022, (uint8_t)l.hp, 0, 251, 0, 0x48, 0x08), 0);
	bed_run(&l.bed, 1000);
	assert_int_equal(l.p->rx_bytes + l.c->rx_bytes, 0);
	assert_null(bed_take(l.c, HCIP_EV_REMOTE_VERSION, 0));
	assert_int_equal(reply(&l, 7), 0);
	bed_run(&l.bed, 300);
	assert_int_equal(l.p->rx_bytes, 5);
	assert_int_equal(l.c->rx_bytes, 5);
	(void)bed_need(l.c, HCIP_EV_REMOTE_VERSION, 0);
	(void)bed_need(l.p, HCIP_EV_LE_META, HCIP_LE_DATA_LENGTH);
	/* a host that never answers ends the link, not the program */
	assert_int_equal(enable(&l, 9), 0);
	bed_run(&l.bed, 42000);
	assert_int_equal(bed_disconnected(l.c, l.hc), HCIP_STATUS_LL_RESPONSE_TIMEOUT);
	bed_close(&l.bed);
}

/* Loss must not put the packet counters of the two ends out of step. */
struct noise {
	struct air_watch watch;
	struct air *air;
};

static void on_judge(struct air_watch *w, const struct air_pdu *pdu, const struct radio *to,
                     uint8_t *bytes, struct air_verdict *verdict)
{
	struct noise *n = container_of(w, struct noise, watch);

	if (pdu->access_addr != PDU_ADV_ADDRESS && air_rand_below(n->air, 100) < 25)
		verdict->lost = true;
}

static void test_noise(void **state)
{
	struct noise noise = {.watch.judge = on_judge};
	struct pair l;

	pair_open(&l, "4.2");
	noise.air = l.bed.air;
	air_add_watch(l.bed.air, &noise.watch);
	for (uint8_t key = 1; key < 20; key++) {
		for (int i = 0; i < 5; i++) {
			bed_send(l.c, l.hc, "0123456789", 10);
			bed_send(l.p, l.hp, "01234", 5);
		}
		assert_int_equal(enable(&l, key), 0);
		bed_run(&l.bed, 2000);
		assert_int_equal(reply(&l, key), 0);
		bed_run(&l.bed, 2000);
		assert_int_equal(l.p->rx_bytes, key * 50);
		assert_int_equal(l.c->rx_bytes, key * 25);
	}
	air_remove_watch(&noise.watch);
	bed_close(&l.bed);
}

/* Nobody speaks: the controllers see to it that something with a MIC passes; when none can, the host is told. */
static void test_authenticated_payload(void **state)
{
	static const struct bed_link steady = {.interval = 24, .latency = 0, .timeout = 1000};
	struct tally tally = {.watch.sent = on_sent};
	struct pair l;

	bed_open(&l.bed, 1);
	l.c = bed_host(&l.bed, "4.2");
	l.p = bed_host(&l.bed, "4.2");
	assert_int_equal(BED_CMD(l.c, 0x0c63, 0, 0, 0x80, 0, 0, 0, 0, 0), 0);
	bed_connect(l.c, l.p, &steady, &l.hc, &l.hp);
	encrypt(&l, 7);
	assert_int_equal(BED_CMD(l.c, 0x0c7b, (uint8_t)l.hc, 0), 0);
	assert_int_equal(l.c->ret[2] | l.c->ret[3] << 8, 3000);
	assert_int_equal(BED_CMD(l.c, 0x0c7c, (uint8_t)l.hc, 0, 2, 0), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(BED_CMD(l.c, 0x0c7c, (uint8_t)l.hc, 0, 100, 0), 0);
	air_add_watch(l.bed.air, &tally.watch);
	bed_run(&l.bed, 20000);
	assert_in_range(tally.secured, 2 * 20, 2 * 30); /* a ping and its answer each 0.75 s */
	assert_null(bed_take(l.c, HCIP_EV_AUTH_PAYLOAD_TIMEOUT, 0));
	assert_int_equal(radio_set_loss(&l.c->ctl->radio, &l.p->ctl->radio, AIR_LOSS_MAX_DB), 0);
	bed_run(&l.bed, 3000);
	(void)bed_need(l.c, HCIP_EV_AUTH_PAYLOAD_TIMEOUT, 0);
	assert_int_equal(bed_disconnected(l.c, l.hc), -1);
	air_remove_watch(&tally.watch);
	bed_close(&l.bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample_data), cmocka_unit_test(test_equal_keys),
		cmocka_unit_test(test_key_refresh), cmocka_unit_test(test_unequal_keys),
		cmocka_unit_test(test_no_key),      cmocka_unit_test(test_data_waits),
		cmocka_unit_test(test_noise),       cmocka_unit_test(test_authenticated_payload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
