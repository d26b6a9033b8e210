/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Initiating in aioble-radio: creating links, waiting, cancelling, and what may go wrong on the way.
 */
#include "../support/link_bed.h"

#include "aiobled/cleanup.h"

#include "ctl_adv.h"
#include "link_priv.h"

#include "test.h"

static const struct bed_link usual = {.interval = 24, .latency = 0, .timeout = 72};

#define EXT_1M    1
#define EXT_CODED 4

static uint16_t handle_of(const struct bed_event *e)
{
	return (uint16_t)(e->data[1] | e->data[2] << 8);
}

/* LE Create Connection with any values */
static int create(struct bed_host *h, uint16_t interval, uint16_t window, uint8_t policy,
                  const struct addr *peer, uint8_t own_type)
{
	uint8_t buf[25] = {interval & 0xff, (uint8_t)(interval >> 8),
	                   window & 0xff,   (uint8_t)(window >> 8),
	                   policy,          peer->type};

	memcpy(buf + 6, peer->b, ADDR_LEN);
	buf[12] = own_type;
	buf[13] = buf[15] = 24;
	buf[19] = 72;
	return bed_cmd(h, 0x200d, buf, sizeof(buf));
}

static const struct bed_event *complete(struct bed_host *h)
{
	return bed_take(h, HCIP_EV_LE_META, HCIP_LE_CONN_COMPLETE);
}

/* --- waiting --- */

static void test_waits_as_long_as_it_takes(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	const struct bed_event *e;

	bed_open(&bed, 1);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	assert_int_equal(bed_create(c, p, &usual), 0);
	assert_int_equal(bed_create(c, p, &usual), HCIP_STATUS_DISALLOWED); /* one at a time */
	bed_run(&bed, 600000);
	assert_null(complete(c));
	bed_advertise(p);
	bed_run(&bed, 100);
	e = complete(c);
	assert_non_null(e);
	assert_int_equal(e->data[0], 0);
	assert_int_equal(e->data[3], HCIP_ROLE_CENTRAL);
	assert_memory_equal(e->data + 5, p->ctl->public_addr.b, ADDR_LEN);
	assert_int_equal(e->data[11], 24);
	assert_int_equal(e->data[15], 72);
	e = complete(p);
	assert_non_null(e);
	assert_int_equal(e->data[3], HCIP_ROLE_PERIPHERAL);
	assert_memory_equal(e->data + 5, c->ctl->public_addr.b, ADDR_LEN);
	assert_false(ctl_adv_legacy_on(p->ctl->adv));
	assert_false(links_initiating(c->ctl->links));
	assert_int_equal(bed_create(c, p, &usual), HCIP_STATUS_CONNECTION_EXISTS);
	bed_close(&bed);
}

/* The chance to hear an advertiser is that of the window in the interval. */
static void test_windows(void **state)
{
	uint64_t took_us[2] = {0};

	for (unsigned int seed = 0; seed < 40; seed++) {
		struct link_bed bed;
		struct bed_host *c, *p;
		uint64_t from_us;

		bed_open(&bed, seed);
		c = bed_host(&bed, "4.2");
		p = bed_host(&bed, "4.2");
		bed_advertise(p);
		bed_run(&bed, 50 + seed);
		from_us = bed_now_us(&bed);
		assert_int_equal(create(c, 160, seed & 1 ? 160 : 8, 0, &p->ctl->public_addr, 0), 0);
		bed_run(&bed, 20000);
		took_us[seed & 1] +=
			bed_need(c, HCIP_EV_LE_META, HCIP_LE_CONN_COMPLETE)->at_us - from_us;
		bed_close(&bed);
	}
	assert_in_range(took_us[1] / 20, 1000, 60000);    /* an advertising interval at most */
	assert_in_range(took_us[0] / 20, 150000, 900000); /* 5 ms in 100 */
}

static void test_cancel(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	const struct bed_event *e;

	bed_open(&bed, 2);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	assert_int_equal(bed_cmd(c, 0x200e, NULL, 0), HCIP_STATUS_DISALLOWED);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(bed_create(c, p, &usual), 0);
		bed_run(&bed, 10);
		assert_int_equal(bed_cmd(c, 0x200e, NULL, 0), 0);
		assert_null(complete(c)); /* after the answer, not before */
		bed_run(&bed, 1);
		e = complete(c);
		assert_non_null(e);
		assert_int_equal(e->data[0], HCIP_STATUS_NO_CONNECTION);
		assert_null(complete(c));
	}
	/* a reset says nothing */
	assert_int_equal(bed_create(c, p, &usual), 0);
	assert_int_equal(bed_cmd(c, 0x0c03, NULL, 0), 0);
	bed_advertise(p);
	bed_run(&bed, 1000);
	assert_int_equal(c->n_events + p->n_events, 0);
	bed_close(&bed);
}

/* --- who --- */

static int accept_add(struct bed_host *h, const struct addr *a)
{
	uint8_t buf[7] = {a->type};

	memcpy(buf + 1, a->b, ADDR_LEN);
	return bed_cmd(h, 0x2011, buf, sizeof(buf));
}

static void test_accept_list(void **state)
{
	static const struct addr nobody = {{0}, 0};
	struct link_bed bed;
	struct bed_host *c, *listed, *other;
	const struct bed_event *e;

	bed_open(&bed, 3);
	c = bed_host(&bed, "4.2");
	listed = bed_host(&bed, "4.2");
	other = bed_host(&bed, "4.2");
	bed_advertise(other);
	assert_int_equal(accept_add(c, &listed->ctl->public_addr), 0);
	assert_int_equal(create(c, 16, 16, 1, &nobody, 0), 0);
	assert_int_equal(accept_add(c, &other->ctl->public_addr), HCIP_STATUS_DISALLOWED);
	bed_run(&bed, 2000);
	assert_null(complete(c));
	bed_advertise(listed);
	bed_run(&bed, 100);
	e = complete(c);
	assert_non_null(e);
	assert_memory_equal(e->data + 5, listed->ctl->public_addr.b, ADDR_LEN);
	/* who is linked already is passed over */
	assert_int_equal(accept_add(c, &other->ctl->public_addr), 0);
	assert_int_equal(create(c, 16, 16, 1, &nobody, 0), 0);
	bed_run(&bed, 100);
	e = complete(c);
	assert_non_null(e);
	assert_memory_equal(e->data + 5, other->ctl->public_addr.b, ADDR_LEN);
	bed_close(&bed);
}

/* Directed advertising is for one; undirected with a filter as well. */
static void test_not_for_us(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *friend, *p;
	uint8_t adv[15] = {0x20, 0, 0x20, 0, 0x04, 0, 0};

	bed_open(&bed, 4);
	c = bed_host(&bed, "4.2");
	friend = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	memcpy(adv + 7, friend->ctl->public_addr.b, ADDR_LEN);
	adv[13] = 0x07;
	assert_int_equal(bed_cmd(p, 0x2006, adv, sizeof(adv)), 0);
	assert_int_equal(BED_CMD(p, 0x200a, 1), 0);
	assert_int_equal(bed_create(c, p, &usual), 0);
	bed_run(&bed, 2000);
	assert_null(complete(c));
	assert_int_equal(bed_create(friend, p, &usual), 0);
	bed_run(&bed, 200);
	assert_non_null(complete(friend));
	assert_non_null(complete(p));
	bed_close(&bed);
}

/* High duty cycle: 1.28 s, then the host hears that nobody came. */
static void test_high_duty_timeout(void **state)
{
	struct link_bed bed;
	struct bed_host *friend, *p;
	const struct bed_event *e;
	uint8_t adv[15] = {0x20, 0, 0x20, 0, 0x01, 0, 0};

	bed_open(&bed, 5);
	friend = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	memcpy(adv + 7, friend->ctl->public_addr.b, ADDR_LEN);
	adv[13] = 0x07;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(bed_cmd(p, 0x2006, adv, sizeof(adv)), 0);
		assert_int_equal(BED_CMD(p, 0x200a, 1), 0);
		if (i)
			assert_int_equal(bed_create(friend, p, &usual), 0);
		bed_run(&bed, 1270);
		e = complete(p);
		assert_true(i ? e && e->data[0] == 0 : !e);
		bed_run(&bed, 20);
		e = complete(p);
		assert_true(i ? !e : e && e->data[0] == HCIP_STATUS_ADVERTISING_TIMEOUT);
	}
	bed_close(&bed);
}

/* --- on the way --- */

struct thief {
	struct air_watch watch;
	uint8_t type; /* of advertising channel PDU */
	unsigned int left;
};

static void on_judge(struct air_watch *w, const struct air_pdu *pdu, const struct radio *to,
                     uint8_t *bytes, struct air_verdict *verdict)
{
	struct thief *t = container_of(w, struct thief, watch);

	if (pdu->access_addr != PDU_ADV_ADDRESS || pdu_type(bytes, pdu->len) != t->type || !t->left)
		return;
	verdict->lost = true;
	t->left--;
}

/* The central thinks it has a link, the advertiser has heard nothing and goes on. */
static void test_connect_ind_lost(void **state)
{
	struct thief thief = {.watch.judge = on_judge, .type = PDU_CONNECT_IND, .left = 1};
	struct link_bed bed;
	struct bed_host *c, *p;
	const struct bed_event *e;
	uint64_t from_us;
	uint16_t handle;

	bed_open(&bed, 6);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	air_add_watch(bed.air, &thief.watch);
	bed_advertise(p);
	assert_int_equal(bed_create(c, p, &usual), 0);
	bed_run(&bed, 1000);
	e = complete(c);
	assert_non_null(e);
	from_us = e->at_us;
	handle = handle_of(e);
	assert_int_equal(bed_disconnected(c, handle), HCIP_STATUS_FAILED_TO_ESTABLISH);
	/* six events of 30 ms */
	assert_in_range(bed_need(c, HCIP_EV_DISCONNECTED, 0)->at_us - from_us, 179000, 184000);
	assert_null(complete(p));
	assert_true(ctl_adv_legacy_on(p->ctl->adv));
	assert_int_equal(bed_create(c, p, &usual), 0);
	bed_run(&bed, 200);
	assert_non_null(complete(p));
	air_remove_watch(&thief.watch);
	bed_close(&bed);
}

/* Many want the same peripheral: one gets it, and nobody is left with half a link. */
static void test_two_centrals(void **state)
{
	for (unsigned int seed = 0; seed < 20; seed++) {
		struct link_bed bed;
		struct bed_host *c[3], *p;
		unsigned int alive = 0;

		bed_open(&bed, seed);
		p = bed_host(&bed, "4.2");
		for (int i = 0; i < 3; i++) {
			c[i] = bed_host(&bed, "4.2");
			radio_set_loss(&c[i]->ctl->radio, &p->ctl->radio, 50 + 10 * i);
			assert_int_equal(bed_create(c[i], p, &usual), 0);
		}
		bed_advertise(p);
		bed_run(&bed, 3000);
		assert_non_null(complete(p));
		for (int i = 0; i < 3; i++)
			alive += links_count(c[i]->ctl->links, HCIP_ROLE_CENTRAL);
		assert_int_equal(alive, 1);
		assert_int_equal(links_count(p->ctl->links, HCIP_ROLE_PERIPHERAL), 1);
		bed_close(&bed);
	}
}

/* A central that was reset comes back: not before the peripheral has noticed. */
static void test_back_too_soon(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	uint16_t hc, hp;

	bed_open(&bed, 6);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2,le-states");
	bed_connect(c, p, &usual, &hc, &hp);
	bed_advertise(p);
	assert_int_equal(bed_cmd(c, 0x0c03, NULL, 0), 0);
	assert_int_equal(BED_CMD(c, 0x0c01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 0);
	assert_int_equal(bed_create(c, p, &usual), 0);
	bed_run(&bed, 400);
	hc = handle_of(complete(c));
	assert_int_equal(bed_disconnected(c, hc), HCIP_STATUS_FAILED_TO_ESTABLISH);
	assert_int_equal(links_count(p->ctl->links, HCIP_ROLE_PERIPHERAL), 1);
	bed_run(&bed, 600);
	assert_int_equal(bed_disconnected(p, hp), HCIP_STATUS_CONNECTION_TIMEOUT);
	assert_int_equal(bed_create(c, p, &usual), 0);
	bed_run(&bed, 200);
	assert_non_null(complete(p));
	bed_close(&bed);
}

/* --- extended --- */

/* Connectable, not scannable; @primary and @secondary: enum phy */
static void ext_advertise(struct bed_host *h, uint8_t primary, uint8_t secondary)
{
	uint8_t p[25] = {3, 0x01, 0, 0x20, 0, 0, 0x20, 0, 0, 0x07, 0};

	p[19] = 0x7f;
	p[20] = primary;
	p[22] = secondary;
	assert_int_equal(bed_cmd(h, 0x2036, p, sizeof(p)), 0);
	assert_int_equal(BED_CMD(h, 0x2039, 1, 1, 3, 0, 0, 0), 0);
}

static int ext_create(struct bed_host *h, const struct bed_host *to, uint8_t phys)
{
	uint8_t buf[10 + 3 * 16] = {0};
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le16(&w, 0);
	wr_u8(&w, ADDR_PUBLIC);
	wr_bytes(&w, to->ctl->public_addr.b, ADDR_LEN);
	wr_u8(&w, phys);
	for (int i = 0; i < 3; i++) {
		if (!(phys >> i & 1))
			continue;
		wr_le16(&w, 0x10);
		wr_le16(&w, 0x10);
		wr_le16(&w, (uint16_t)(24 + i));
		wr_le16(&w, (uint16_t)(24 + i));
		wr_le16(&w, 0);
		wr_le16(&w, 72);
		wr_le32(&w, 0);
	}
	return bed_cmd(h, 0x2043, buf, wr_len(&w));
}

static const struct {
	uint8_t primary, secondary, phys;
} ext_rows[] = {
	{PHY_1M, PHY_1M, 1}, {PHY_1M, PHY_2M, 3},    {PHY_CODED, PHY_CODED, 4},
	{PHY_1M, PHY_1M, 7}, {PHY_CODED, PHY_2M, 7},
};

static void test_extended(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ext_rows); i++) {
		struct link_bed bed;
		struct bed_host *c, *p;
		const struct bed_event *e;
		uint16_t hc, hp;

		bed_open(&bed, i);
		c = bed_host(&bed, "5.2");
		p = bed_host(&bed, "5.2");
		ext_advertise(p, ext_rows[i].primary, ext_rows[i].secondary);
		assert_int_equal(ext_create(c, p, ext_rows[i].phys), 0);
		bed_run(&bed, 300);
		e = bed_need(c, HCIP_EV_LE_META, HCIP_LE_CONN_COMPLETE);
		hc = handle_of(e);
		/* the parameters are those for the PHY of the link */
		assert_int_equal(e->data[11], 24 + ext_rows[i].secondary - 1);
		/* in this order: the link, its channel selection, the set */
		assert_true(p->n_events >= 3);
		assert_int_equal(p->events[0].sub, HCIP_LE_CONN_COMPLETE);
		assert_int_equal(p->events[1].sub, HCIP_LE_CHANNEL_SELECTION);
		assert_int_equal(p->events[2].sub, HCIP_LE_ADV_SET_TERMINATED);
		hp = handle_of(&p->events[0]);
		assert_int_equal(p->events[2].data[1], 3);
		assert_int_equal(p->events[2].data[2], hp);
		assert_int_equal(BED_CMD(c, 0x2030, (uint8_t)hc, 0), 0);
		assert_int_equal(c->ret[2], ext_rows[i].secondary);
		bed_send(c, hc, "abc", 3);
		bed_send(p, hp, "abcd", 4);
		bed_run(&bed, 200);
		assert_int_equal(p->rx_bytes, 3);
		assert_int_equal(c->rx_bytes, 4);
		bed_close(&bed);
	}
}

/* Without the answer there is no link for the central, which goes on trying. */
static void test_aux_connect_rsp_lost(void **state)
{
	struct thief thief = {.watch.judge = on_judge, .type = PDU_AUX_CONNECT_RSP, .left = 1};
	struct link_bed bed;
	struct bed_host *c, *p;
	const struct bed_event *e;

	bed_open(&bed, 7);
	c = bed_host(&bed, "5.2");
	p = bed_host(&bed, "5.2");
	air_add_watch(bed.air, &thief.watch);
	ext_advertise(p, PHY_1M, PHY_1M);
	assert_int_equal(ext_create(c, p, EXT_1M), 0);
	bed_run(&bed, 500);
	assert_null(complete(c));
	assert_true(links_initiating(c->ctl->links));
	assert_int_equal(c->ctl->links->n, 0);
	e = complete(p);
	assert_non_null(e);
	assert_int_equal(bed_disconnected(p, handle_of(e)), HCIP_STATUS_FAILED_TO_ESTABLISH);
	ext_advertise(p, PHY_1M, PHY_1M);
	bed_run(&bed, 200);
	assert_non_null(complete(c));
	assert_non_null(complete(p));
	air_remove_watch(&thief.watch);
	bed_close(&bed);
}

/* --- what is refused --- */

static const struct {
	uint16_t interval, window;
	uint8_t policy, own_type, status;
} refused[] = {
	{16, 17, 0, 0, HCIP_STATUS_INVALID_PARAMS},
	{3, 3, 0, 0, HCIP_STATUS_INVALID_PARAMS},
	{0x4001, 16, 0, 0, HCIP_STATUS_INVALID_PARAMS},
	{16, 16, 2, 0, HCIP_STATUS_INVALID_PARAMS},
	{16, 16, 0, 4, HCIP_STATUS_INVALID_PARAMS},
	{16, 16, 0, 1, HCIP_STATUS_INVALID_PARAMS}, /* no random address was set */
};

static void test_refused(void **state)
{
	static const struct addr somebody = {{1, 2, 3, 4, 5, 6}, 0};
	struct link_bed bed;
	struct bed_host *c, *old;

	bed_open(&bed, 8);
	c = bed_host(&bed, "5.2");
	old = bed_host(&bed, "4.2");
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(create(c, refused[i].interval, refused[i].window,
		                        refused[i].policy, &somebody, refused[i].own_type),
		                 refused[i].status);
	assert_int_equal(ext_create(old, c, 1), HCIP_STATUS_UNKNOWN_COMMAND);
	assert_int_equal(ext_create(c, old, 2), HCIP_STATUS_INVALID_PARAMS); /* 2M alone */
	assert_int_equal(ext_create(c, old, 8), HCIP_STATUS_UNSUPPORTED_VALUE);
	assert_int_equal(ext_create(c, old, 0), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(BED_CMD(c, 0x2043, 0, 0, 0, 1, 2, 3, 4, 5, 6, 1, 0),
	                 HCIP_STATUS_INVALID_PARAMS);
	assert_false(links_initiating(c->ctl->links));
	bed_close(&bed);
}

/* A controller of the old kind cannot be both; one that announces it can. */
static void test_states(void **state)
{
	static const char *const profiles[] = {"4.2", "4.2,le-states"};
	static const struct addr nobody = {{9}, 0};

	for (int i = 0; i < 2; i++) {
		int second = i ? 0 : HCIP_STATUS_DISALLOWED;
		struct link_bed bed;
		struct bed_host *c, *both, *p;
		uint16_t hc, hb;

		bed_open(&bed, 9);
		c = bed_host(&bed, profiles[i]);
		both = bed_host(&bed, profiles[i]);
		p = bed_host(&bed, "4.2");
		/* connectable advertising and initiating, either first */
		bed_advertise(both);
		assert_int_equal(bed_create(both, p, &usual), second);
		assert_int_equal(BED_CMD(both, 0x200a, 0), 0);
		(void)bed_cmd(both, 0x200e, NULL, 0);
		assert_int_equal(create(both, 16, 16, 0, &nobody, 0), 0);
		assert_int_equal(BED_CMD(both, 0x200a, 1), second);
		assert_int_equal(bed_cmd(both, 0x200e, NULL, 0), 0);
		assert_int_equal(BED_CMD(both, 0x200a, 0), 0);
		bed_run(&bed, 10);
		bed_forget(both);
		/* and either beside a link */
		bed_connect(c, both, &usual, &hc, &hb);
		assert_int_equal(bed_create(both, p, &usual), second);
		assert_int_equal(bed_create(c, p, &usual), 0);
		assert_int_equal(bed_cmd(c, 0x200e, NULL, 0), 0);
		(void)bed_cmd(both, 0x200e, NULL, 0);
		assert_int_equal(BED_CMD(both, 0x200a, 1), second);
		assert_int_equal(BED_CMD(c, 0x200a, 1), second);
		/* what nobody can connect to is allowed to all */
		assert_int_equal(BED_CMD(both, 0x200a, 0), 0);
		assert_int_equal(
			BED_CMD(both, 0x2006, 0xa0, 0, 0xa0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0x07, 0),
			0);
		assert_int_equal(BED_CMD(both, 0x200a, 1), 0);
		bed_close(&bed);
	}
}

/* As many links as there may be; handles of dead ones are not used again at once. */
static void test_limit(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	uint16_t hc, hp, before = 0;

	bed_open(&bed, 10);
	c = bed_host(&bed, "4.2,le-states");
	p = bed_host(&bed, "4.2,le-states");
	for (int i = 0; i < 40; i++) {
		bed_connect(c, p, &usual, &hc, &hp);
		assert_int_not_equal(hc, before);
		before = hc;
		assert_int_equal(BED_CMD(c, 0x0406, (uint8_t)hc, (uint8_t)(hc >> 8), 0x13), 0);
		bed_run(&bed, 100);
		assert_int_equal(bed_disconnected(p, hp), 0x13);
		bed_forget(c);
		bed_forget(p);
	}
	for (uint8_t i = 0; i < LINKS_MAX; i++) {
		struct addr own = {.b = {i, 0, 0, 0, 0, 0xc0}, .type = ADDR_RANDOM};
		uint8_t adv[15] = {0x20, 0, 0x20, 0, 0, 1, 0};

		adv[13] = 0x07;
		assert_int_equal(bed_cmd(p, 0x2005, own.b, ADDR_LEN), 0);
		assert_int_equal(bed_cmd(p, 0x2006, adv, sizeof(adv)), 0);
		assert_int_equal(BED_CMD(p, 0x200a, 1), 0);
		assert_int_equal(create(c, 16, 16, 0, &own, 0), 0);
		bed_run(&bed, 100);
		assert_non_null(complete(c));
		assert_non_null(complete(p));
	}
	assert_int_equal(bed_create(c, p, &usual), HCIP_STATUS_CONNECTION_LIMIT);
	bed_close(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_as_long_as_it_takes),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_accept_list),
		cmocka_unit_test(test_not_for_us),
		cmocka_unit_test(test_high_duty_timeout),
		cmocka_unit_test(test_connect_ind_lost),
		cmocka_unit_test(test_two_centrals),
		cmocka_unit_test(test_back_too_soon),
		cmocka_unit_test(test_extended),
		cmocka_unit_test(test_aux_connect_rsp_lost),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
