/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resolving list of aioble-radio: who is behind an address, and which one we show.
 */
#include "../support/link_bed.h"

#include "aiobled/cleanup.h"

#include "resolving.h"

#include "test.h"

static const struct bed_link usual = {.interval = 24, .latency = 0, .timeout = 72};

/* IRKs of the two hosts */
static const uint8_t irk[2][16] = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                                   {16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}};

static int add(struct bed_host *h, const struct addr *peer, const uint8_t peer_irk[16],
               const uint8_t local_irk[16])
{
	uint8_t buf[39];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, peer->type);
	wr_bytes(&w, peer->b, ADDR_LEN);
	wr_bytes(&w, peer_irk, 16);
	wr_bytes(&w, local_irk, 16);
	return bed_cmd(h, 0x2027, buf, sizeof(buf));
}

static int peer_cmd(struct bed_host *h, uint16_t opcode, const struct addr *peer)
{
	uint8_t buf[7] = {peer->type};

	memcpy(buf + 1, peer->b, ADDR_LEN);
	return bed_cmd(h, opcode, buf, sizeof(buf));
}

static void test_commands(void **state)
{
	static const struct addr a = {.b = {1, 2, 3, 4, 5, 6}},
				 b = {.b = {6, 5, 4, 3, 2, 0xc1}, .type = 1};
	struct link_bed bed;
	struct bed_host *h, *old;

	bed_open(&bed, 1);
	h = bed_host(&bed, "4.2");
	old = bed_host(&bed, "4.0");
	assert_int_equal(add(old, &a, irk[0], irk[1]), HCIP_STATUS_UNKNOWN_COMMAND);
	assert_int_equal(bed_cmd(h, 0x202a, NULL, 0), 0);
	assert_int_equal(h->ret[0], 16);
	assert_int_equal(add(h, &a, irk[0], irk[1]), 0);
	assert_int_equal(add(h, &a, irk[0], irk[1]), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(add(h, &b, irk[0], irk[1]), 0);
	assert_int_equal(peer_cmd(h, 0x202b, &a), HCIP_STATUS_NO_CONNECTION); /* none seen yet */
	assert_int_equal(peer_cmd(h, 0x2028, &a), 0);
	assert_int_equal(peer_cmd(h, 0x2028, &a), HCIP_STATUS_NO_CONNECTION);
	assert_int_equal(bed_cmd(h, 0x2029, NULL, 0), 0);
	for (uint8_t i = 0; i < 17; i++) {
		struct addr c = {.b = {i}};

		assert_int_equal(add(h, &c, irk[0], irk[1]),
		                 i < 16 ? 0 : HCIP_STATUS_MEMORY_EXCEEDED);
	}
	assert_int_equal(BED_CMD(h, 0x202e, 0, 0), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(BED_CMD(h, 0x202e, 0x10, 0x0e), 0);
	assert_int_equal(BED_CMD(h, 0x202d, 1), 0);
	bed_advertise(h);
	assert_int_equal(bed_cmd(h, 0x2029, NULL, 0), HCIP_STATUS_DISALLOWED);
	assert_int_equal(BED_CMD(h, 0x202d, 0), HCIP_STATUS_DISALLOWED);
	bed_close(&bed);
}

/* Core 5.4, Vol 3, Part H, D.7: sample data of ah() */
static void test_sample_data(void **state)
{
	static const uint8_t sample[16] = {0x9b, 0x7d, 0x39, 0x0a, 0xa6, 0x10, 0x10, 0x34,
	                                   0x05, 0xad, 0xc8, 0x57, 0xa3, 0x34, 0x02, 0xec};
	static const struct addr rpa = {.b = {0xaa, 0xfb, 0x0d, 0x94, 0x81, 0x70}, .type = 1};
	static const struct addr other = {.b = {0xab, 0xfb, 0x0d, 0x94, 0x81, 0x70}, .type = 1};
	static const struct addr peer = {.b = {1, 2, 3, 4, 5, 6}};
	struct addr id;
	struct link_bed bed;
	struct bed_host *h;

	bed_open(&bed, 1);
	h = bed_host(&bed, "5.2");
	assert_int_equal(add(h, &peer, sample, irk[0]), 0);
	assert_false(resolving_identity(h->ctl->resolving, &rpa, &id)); /* not switched on */
	assert_int_equal(BED_CMD(h, 0x202d, 1), 0);
	assert_true(resolving_identity(h->ctl->resolving, &rpa, &id));
	assert_true(addr_equal(&id, &peer));
	assert_false(resolving_identity(h->ctl->resolving, &other, &id));
	assert_false(resolving_is_local(h->ctl->resolving, &rpa));
	assert_int_equal(peer_cmd(h, 0x202b, &peer), 0);
	assert_memory_equal(h->ret, rpa.b, ADDR_LEN);
	bed_close(&bed);
}

static void test_rotation(void **state)
{
	static const struct addr peer = {.b = {1, 2, 3, 4, 5, 6}};
	struct addr first, again;
	struct link_bed bed;
	struct bed_host *h;

	bed_open(&bed, 1);
	h = bed_host(&bed, "5.2");
	assert_int_equal(add(h, &peer, irk[0], irk[1]), 0);
	assert_int_equal(BED_CMD(h, 0x202e, 60, 0), 0);
	assert_true(resolving_local(h->ctl->resolving, &peer, &first));
	assert_int_equal(addr_kind(&first), ADDR_KIND_RESOLVABLE);
	bed_run(&bed, 59900);
	assert_true(resolving_local(h->ctl->resolving, &peer, &again));
	assert_true(addr_equal(&first, &again));
	bed_run(&bed, 200);
	assert_true(resolving_local(h->ctl->resolving, &peer, &again));
	assert_false(addr_equal(&first, &again));
	assert_true(
		resolving_is_local(h->ctl->resolving, &first)); /* who heard it may still use it */
	bed_close(&bed);
}

/* Both ends hide behind RPAs and know each other by identity. */
static void test_link_of_two_rpas(void **state)
{
	const struct bed_event *e;
	struct link_bed bed;
	struct bed_host *c, *p;
	uint8_t create[25] = {0x10, 0, 0x10, 0,  0, ADDR_PUBLIC, 0, 0, 0, 0,
	                      0,    0, 2,    24, 0, 24,          0, 0, 0, 72};
	uint8_t rpa_c[6], rpa_p[6];

	bed_open(&bed, 2);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	assert_int_equal(add(c, &p->ctl->public_addr, irk[1], irk[0]), 0);
	assert_int_equal(add(p, &c->ctl->public_addr, irk[0], irk[1]), 0);
	assert_int_equal(BED_CMD(c, 0x202d, 1), 0);
	assert_int_equal(BED_CMD(p, 0x202d, 1), 0);
	assert_int_equal(BED_CMD(c, 0x2001, 0xff, 0xff, 0, 0, 0, 0, 0, 0), 0);
	assert_int_equal(BED_CMD(p, 0x2001, 0xff, 0xff, 0, 0, 0, 0, 0, 0), 0);
	/* own address type 2 takes the local IRK of the peer's entry */
	{
		uint8_t adv[15] = {0x20, 0, 0x20, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0x07, 0};

		memcpy(adv + 7, c->ctl->public_addr.b, ADDR_LEN);
		assert_int_equal(bed_cmd(p, 0x2006, adv, sizeof(adv)), 0);
	}
	assert_int_equal(BED_CMD(p, 0x200a, 1), 0);
	memcpy(create + 6, p->ctl->public_addr.b, ADDR_LEN);
	assert_int_equal(bed_cmd(c, 0x200d, create, sizeof(create)), 0);
	bed_run(&bed, 300);
	e = bed_need(c, HCIP_EV_LE_META, HCIP_LE_ENH_CONN_COMPLETE);
	assert_int_equal(e->data[0], 0);
	assert_int_equal(e->data[4], 2); /* public identity */
	assert_memory_equal(e->data + 5, p->ctl->public_addr.b, ADDR_LEN);
	memcpy(rpa_c, e->data + 11, 6);
	memcpy(rpa_p, e->data + 17, 6);
	assert_int_equal(rpa_c[5] >> 6, 1);
	assert_int_equal(rpa_p[5] >> 6, 1);
	e = bed_need(p, HCIP_EV_LE_META, HCIP_LE_ENH_CONN_COMPLETE);
	assert_int_equal(e->data[4], 2);
	assert_memory_equal(e->data + 5, c->ctl->public_addr.b, ADDR_LEN);
	assert_memory_equal(e->data + 11, rpa_p, 6);
	assert_memory_equal(e->data + 17, rpa_c, 6);
	assert_int_equal(peer_cmd(c, 0x202c, &p->ctl->public_addr), 0);
	assert_memory_equal(c->ret, rpa_c, 6);
	bed_close(&bed);
}

/* Network privacy: a device whose IRK we have must not come by its identity address (Vol 6, Part B, 4.7). */
static void test_privacy_mode(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;

	bed_open(&bed, 3);
	c = bed_host(&bed, "5.2");
	p = bed_host(&bed, "5.2");
	assert_int_equal(add(c, &p->ctl->public_addr, irk[1], irk[0]), 0);
	assert_int_equal(BED_CMD(c, 0x202d, 1), 0);
	bed_advertise(p);
	assert_int_equal(bed_create(c, p, &usual), 0);
	bed_run(&bed, 2000);
	assert_null(bed_take(c, HCIP_EV_LE_META, HCIP_LE_CONN_COMPLETE));
	assert_int_equal(bed_cmd(c, 0x200e, NULL, 0), 0);
	bed_run(&bed, 10);
	{
		uint8_t mode[8] = {ADDR_PUBLIC};

		memcpy(mode + 1, p->ctl->public_addr.b, ADDR_LEN);
		mode[7] = 1;
		assert_int_equal(bed_cmd(c, 0x204e, mode, sizeof(mode)), 0);
	}
	bed_forget(c);
	assert_int_equal(bed_create(c, p, &usual), 0);
	bed_run(&bed, 2000);
	assert_int_equal(bed_need(c, HCIP_EV_LE_META, HCIP_LE_CONN_COMPLETE)->data[0], 0);
	bed_close(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),     cmocka_unit_test(test_sample_data),
		cmocka_unit_test(test_rotation),     cmocka_unit_test(test_link_of_two_rpas),
		cmocka_unit_test(test_privacy_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
