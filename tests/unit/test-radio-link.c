/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links of aioble-radio, driven by raw HCI on a virtual clock: data both ways, times, ends, and the procedures between.
 */
#include "../support/link_bed.h"

#include "aiobled/cleanup.h"

#include "link_priv.h"

#include "test.h"

static const struct bed_link fast = {.interval = 6, .latency = 0, .timeout = 100};
static const struct bed_link usual = {.interval = 24, .latency = 0, .timeout = 72};

static uint16_t at16(const struct bed_event *e, size_t i)
{
	return (uint16_t)(e->data[i] | e->data[i + 1] << 8);
}

/* --- data --- */

/* What a host received, put together: the stream of one link. */
struct sink {
	uint16_t handle;
	uint8_t bytes[65536];
	size_t len;
	unsigned int starts;
};

struct sinks {
	struct sink *of[8];
	unsigned int n;
};

static void on_acl(struct bed_host *h, uint16_t head, const uint8_t *data, size_t len)
{
	struct sinks *all = h->data;

	for (unsigned int i = 0; i < all->n; i++) {
		struct sink *s = all->of[i];

		if (s->handle != (head & 0xfff))
			continue;
		s->starts += (head & 0x3000) == 0x2000;
		assert_true(s->len + len <= sizeof(s->bytes));
		memcpy(s->bytes + s->len, data, len);
		s->len += len;
		return;
	}
	fail_msg("data of link 0x%04x", head & 0xfff);
}

static void listen_to(struct bed_host *h, struct sinks *all, struct sink *s, uint16_t handle)
{
	*s = (struct sink){.handle = handle};
	all->of[all->n++] = s;
	h->data = all;
	h->acl = on_acl;
}

static void fill(uint8_t *buf, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(seed + i * 7);
}

/* Packets longer than an LL packet arrive as fragments, in order, first ones marked, and their buffers come back. */
static void test_data_both_ways(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	struct sinks cs = {0}, ps = {0};
	static struct sink at_c, at_p;
	uint8_t down[200], up[100];
	uint16_t hc, hp;

	bed_open(&bed, 1);
	c = bed_host(&bed, "5.2");
	p = bed_host(&bed, "5.2");
	bed_connect(c, p, &fast, &hc, &hp);
	listen_to(c, &cs, &at_c, hc);
	listen_to(p, &ps, &at_p, hp);
	fill(down, sizeof(down), 1);
	fill(up, sizeof(up), 99);
	bed_send(c, hc, down, sizeof(down));
	bed_send(c, hc, down, 3);
	bed_send(p, hp, up, sizeof(up));
	bed_run(&bed, 50);
	assert_int_equal(at_p.len, 203);
	assert_memory_equal(at_p.bytes, down, 200);
	assert_memory_equal(at_p.bytes + 200, down, 3);
	assert_int_equal(at_p.starts, 2);
	assert_int_equal(at_c.len, 100);
	assert_memory_equal(at_c.bytes, up, 100);
	assert_int_equal(at_c.starts, 1);
	assert_int_equal(c->completed, 2);
	assert_int_equal(p->completed, 1);
	bed_close(&bed);
}

/* --- throughput --- */

/* Keeps the controller's buffers full of packets of @len for @ms. Return: packets that arrived in that time. */
static uint64_t pump(struct link_bed *bed, struct bed_host *from, uint16_t handle,
                     struct bed_host *to, size_t len, uint32_t ms)
{
	uint8_t buf[251] = {0};
	unsigned int sent = from->completed;
	uint64_t before = to->rx_packets;

	while (ms--) {
		while (sent - from->completed < from->ctl->profile.acl_count) {
			bed_send(from, handle, buf, len);
			sent++;
		}
		bed_run(bed, 1);
	}
	return to->rx_packets - before;
}

/* The packet timing's ceiling; 50 ms because what is left over at the end of an interval is lost. */
static const struct {
	const char *profile;
	size_t len;
	bool fast_phy;
	unsigned int per_second;
} rates[] = {
	{"4.0", 27, false, 1479},
	{"4.2", 251, false, 405},
	{"5.2", 251, true, 718},
};

static void test_throughput(void **state)
{
	static const struct bed_link link = {.interval = 40, .timeout = 100};

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct link_bed bed;
		struct bed_host *c, *p;
		uint16_t hc, hp;

		bed_open(&bed, 2);
		c = bed_host(&bed, rates[i].profile);
		p = bed_host(&bed, rates[i].profile);
		if (rates[i].len > 27)
			assert_int_equal(BED_CMD(c, 0x2024, 251, 0, 0x48, 0x08), 0);
		if (rates[i].len > 27)
			assert_int_equal(BED_CMD(p, 0x2024, 251, 0, 0x48, 0x08), 0);
		bed_connect(c, p, &link, &hc, &hp);
		if (rates[i].fast_phy)
			assert_int_equal(BED_CMD(c, 0x2032, (uint8_t)hc, 0, 0, 2, 2, 0, 0), 0);
		bed_run(&bed, 1000);
		assert_in_range(pump(&bed, c, hc, p, rates[i].len, 4000),
		                rates[i].per_second * 4 * 9 / 10, rates[i].per_second * 4 + 12);
		assert_in_range(pump(&bed, p, hp, c, rates[i].len, 4000),
		                rates[i].per_second * 4 * 9 / 10, rates[i].per_second * 4 + 12);
		bed_close(&bed);
	}
}

/* Both directions share the events: as many exchanges, each with data both ways. */
static void test_throughput_both_ways(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	unsigned int sent_c = 0, sent_p = 0;
	uint8_t buf[27] = {0};
	uint16_t hc, hp;

	bed_open(&bed, 2);
	c = bed_host(&bed, "4.0");
	p = bed_host(&bed, "4.0");
	bed_connect(c, p, &usual, &hc, &hp);
	for (int ms = 0; ms < 2000; ms++) {
		for (; sent_c - c->completed < 12; sent_c++)
			bed_send(c, hc, buf, sizeof(buf));
		for (; sent_p - p->completed < 12; sent_p++)
			bed_send(p, hp, buf, sizeof(buf));
		bed_run(&bed, 1);
	}
	/* 296 + 150 + 296 + 150 us an exchange */
	assert_in_range(c->rx_packets, 2 * 1121 * 9 / 10, 2 * 1121);
	assert_in_range(p->rx_packets, 2 * 1121 * 9 / 10, 2 * 1121);
	bed_close(&bed);
}

/* --- many at once --- */

#define STREAM 600

static void send_stream(struct bed_host *h, uint16_t handle, uint8_t seed, size_t at)
{
	uint8_t buf[STREAM];

	fill(buf, sizeof(buf), seed);
	bed_send(h, handle, buf + at, 20);
}

static void expect_stream(const struct sink *s, uint8_t seed)
{
	uint8_t buf[STREAM];

	fill(buf, sizeof(buf), seed);
	assert_int_equal(s->len, STREAM);
	assert_memory_equal(s->bytes, buf, STREAM);
}

/* One host with @n others, in @role; data of its own on each link, both ways. */
static void star(unsigned int n, uint8_t role)
{
	struct link_bed bed;
	struct bed_host *hub, *leaf[8];
	struct sinks at_hub = {0}, at_leaf[8] = {0};
	struct sink *hub_sink = calloc(8, sizeof(*hub_sink)),
		    *leaf_sink = calloc(8, sizeof(*leaf_sink));
	uint16_t hub_handle[8], leaf_handle[8];

	assert_non_null(hub_sink);
	assert_non_null(leaf_sink);
	bed_open(&bed, n);
	hub = bed_host(&bed, "5.2,le-states");
	for (unsigned int i = 0; i < n; i++) {
		leaf[i] = bed_host(&bed, i % 2 ? "4.2,le-states" : "4.0,le-states");
		if (role == HCIP_ROLE_CENTRAL)
			bed_connect(hub, leaf[i], &usual, &hub_handle[i], &leaf_handle[i]);
		else
			bed_connect(leaf[i], hub, &usual, &leaf_handle[i], &hub_handle[i]);
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(hub_handle[i], hub_handle[j]);
		listen_to(hub, &at_hub, &hub_sink[i], hub_handle[i]);
		listen_to(leaf[i], &at_leaf[i], &leaf_sink[i], leaf_handle[i]);
	}
	for (size_t at = 0; at < STREAM; at += 20) {
		for (unsigned int i = 0; i < n; i++) {
			send_stream(hub, hub_handle[i], (uint8_t)i, at);
			send_stream(leaf[i], leaf_handle[i], (uint8_t)(100 + i), at);
		}
		bed_run(&bed, 40);
	}
	bed_run(&bed, 200);
	for (unsigned int i = 0; i < n; i++) {
		expect_stream(&leaf_sink[i], (uint8_t)i);
		expect_stream(&hub_sink[i], (uint8_t)(100 + i));
	}
	assert_int_equal(hub->completed, n * STREAM / 20);
	bed_close(&bed);
	free(hub_sink);
	free(leaf_sink);
}

static void test_central_of_eight(void **state)
{
	star(8, HCIP_ROLE_CENTRAL);
}

static void test_peripheral_of_four(void **state)
{
	star(4, HCIP_ROLE_PERIPHERAL);
}

/* One radio for all its links: together they carry what one would, and each has its share. */
static void test_shared_radio(void **state)
{
	for (unsigned int as_central = 0; as_central < 2; as_central++) {
		struct link_bed bed;
		struct bed_host *hub, *leaf[8];
		unsigned int sent[8] = {0}, n = as_central ? 8 : 4;
		uint16_t handle[8], hub_handle[8];
		uint64_t all = 0;
		uint8_t buf[27] = {0};

		bed_open(&bed, 3);
		hub = bed_host(&bed, "4.0,le-states");
		for (unsigned int i = 0; i < n; i++) {
			leaf[i] = bed_host(&bed, "4.0,le-states");
			if (as_central)
				bed_connect(hub, leaf[i], &usual, &hub_handle[i], &handle[i]);
			else
				bed_connect(leaf[i], hub, &usual, &handle[i], &hub_handle[i]);
		}
		for (int ms = 0; ms < 8000; ms++) {
			for (unsigned int i = 0; i < n; i++) {
				for (; sent[i] - leaf[i]->completed < 12; sent[i]++)
					bed_send(leaf[i], handle[i], buf, sizeof(buf));
			}
			bed_run(&bed, 1);
		}
		for (unsigned int i = 0; i < n; i++) {
			all += leaf[i]->completed;
			assert_in_range(leaf[i]->completed, 8 * 1479 / n / 6, 8 * 1479 / n * 4);
			assert_int_equal(bed_disconnected(leaf[i], handle[i]), -1);
		}
		assert_in_range(all, 8 * 1479 * 6 / 10, 8 * 1479);
		bed_close(&bed);
	}
}

/* Two centrals whose events always fall together: they take turns. */
static void test_events_that_meet(void **state)
{
	struct link_bed bed;
	struct bed_host *p, *c[2];
	unsigned int sent = 0;
	uint16_t hc[2], hp[2];
	uint64_t same_us;

	bed_open(&bed, 4);
	p = bed_host(&bed, "4.2,le-states");
	for (int i = 0; i < 2; i++) {
		c[i] = bed_host(&bed, "4.2");
		bed_connect(c[i], p, &usual, &hc[i], &hp[i]);
	}
	bed_run(&bed, 30);
	same_us = link_find(c[0]->ctl->links, hc[0])->base_us;
	link_find(c[1]->ctl->links, hc[1])->base_us = same_us + 100;
	for (int ms = 0; ms < 20000; ms++) {
		for (; sent - c[0]->completed < 12; sent++)
			bed_send(c[0], hc[0], "0123456789", 10);
		if (ms % 100 == 0)
			bed_send(c[1], hc[1], "0123456789", 10);
		bed_run(&bed, 1);
		assert_true(c[1]->completed + 2 > (unsigned int)ms / 100);
	}
	bed_close(&bed);
}

/* --- time --- */

/* Sends one packet at each of many odd moments. Return: the longest it took. */
static uint64_t worst_delay_us(struct link_bed *bed, struct bed_host *from, uint16_t handle,
                               struct bed_host *to)
{
	uint64_t worst = 0;

	for (int i = 0; i < 40; i++) {
		uint64_t sent_us, before = to->rx_packets;

		bed_run(bed, 1500 + 37 * (uint32_t)i);
		sent_us = bed_now_us(bed);
		bed_send(from, handle, "x", 1);
		bed_run(bed, 1200);
		assert_int_equal(to->rx_packets, before + 1);
		worst = MAX(worst, to->last_rx_us - sent_us);
	}
	return worst;
}

#define PACKET_US 500 /* a small packet, and T_IFS before it is taken */

static void test_interval_and_latency(void **state)
{
	static const struct bed_link latent = {.interval = 40, .latency = 9, .timeout = 600};
	static const struct bed_link plain = {.interval = 80, .latency = 0, .timeout = 600};
	struct link_bed bed;
	struct bed_host *c, *p;
	uint64_t worst;
	uint16_t hc, hp;

	bed_open(&bed, 3);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	bed_connect(c, p, &latent, &hc, &hp);
	/* the peripheral need not listen but every tenth event; it may speak at each */
	worst = worst_delay_us(&bed, c, hc, p);
	assert_in_range(worst, 250000, 500000 + PACKET_US);
	worst = worst_delay_us(&bed, p, hp, c);
	assert_in_range(worst, 25000, 50000 + 2 * PACKET_US);
	bed_close(&bed);

	bed_open(&bed, 3);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	bed_connect(c, p, &plain, &hc, &hp);
	worst = worst_delay_us(&bed, c, hc, p);
	assert_in_range(worst, 50000, 100000 + PACKET_US);
	bed_close(&bed);
}

/* A link nobody uses plays few of its events, and lives. */
static void test_idle_is_cheap(void **state)
{
	static const struct bed_link link = {.interval = 6, .latency = 0, .timeout = 600};
	struct link_bed bed;
	struct bed_host *c, *p;
	uint16_t hc, hp;
	uint64_t pdus;

	bed_open(&bed, 4);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	bed_connect(c, p, &link, &hc, &hp);
	bed_run(&bed, 1000);
	pdus = air_stats(bed.air)->pdus;
	bed_run(&bed, 100000);
	assert_in_range(air_stats(bed.air)->pdus - pdus, 2 * 150, 2 * 210); /* of 13333 events */
	assert_int_equal(bed_disconnected(c, hc), -1);
	assert_int_equal(bed_disconnected(p, hp), -1);
	bed_close(&bed);
}

/* --- ends --- */

static uint64_t event_us(struct bed_host *h, uint8_t code)
{
	const struct bed_event *e = bed_need(h, code, 0);

	return e->at_us;
}

static void test_supervision_timeout(void **state)
{
	static const uint16_t timeouts[] = {10, 72, 600, 3200};

	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++) {
		struct bed_link link = {.interval = 24, .latency = 0, .timeout = timeouts[i]};
		uint32_t timeout_us = timeouts[i] * 10000u, slack_us = MIN(timeout_us / 4, 560000u);
		struct link_bed bed;
		struct bed_host *c, *p;
		uint64_t cut_us;
		uint16_t hc, hp;

		bed_open(&bed, i);
		c = bed_host(&bed, "4.2");
		p = bed_host(&bed, "4.2");
		bed_connect(c, p, &link, &hc, &hp);
		bed_run(&bed, 5000 + 11 * timeouts[i]);
		cut_us = bed_now_us(&bed);
		assert_int_equal(radio_set_loss(&c->ctl->radio, &p->ctl->radio, AIR_LOSS_MAX_DB),
		                 0);
		bed_run(&bed, timeout_us / 1000 + 1000);
		assert_int_equal(bed_disconnected(c, hc), HCIP_STATUS_CONNECTION_TIMEOUT);
		assert_int_equal(bed_disconnected(p, hp), HCIP_STATUS_CONNECTION_TIMEOUT);
		/* from the last packet, which was an interval and a bit before the cut at the earliest */
		assert_in_range(event_us(c, HCIP_EV_DISCONNECTED) - cut_us, timeout_us - 35000,
		                timeout_us + slack_us);
		assert_in_range(event_us(p, HCIP_EV_DISCONNECTED) - cut_us, timeout_us - 35000,
		                timeout_us + slack_us);
		bed_close(&bed);
	}
}

/* Out of range for less than the timeout: nothing is lost but time. */
static void test_short_cut(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	uint16_t hc, hp;

	bed_open(&bed, 5);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	bed_connect(c, p, &usual, &hc, &hp);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(radio_set_loss(&c->ctl->radio, &p->ctl->radio, AIR_LOSS_MAX_DB),
		                 0);
		bed_send(c, hc, "abc", 3);
		bed_send(p, hp, "defg", 4);
		bed_run(&bed, 500);
		radio_clear_loss(&c->ctl->radio, &p->ctl->radio);
		bed_run(&bed, 300);
		assert_int_equal(p->rx_bytes, 3 * (i + 1));
		assert_int_equal(c->rx_bytes, 4 * (i + 1));
		assert_int_equal(c->completed, i + 1);
		assert_int_equal(p->completed, i + 1);
	}
	bed_close(&bed);
}

/* Who pulls the plug, and what the other hears. */
static void test_other_end_vanishes(void **state)
{
	for (int who = 0; who < 4; who++) {
		struct link_bed bed;
		struct bed_host *c, *p, *gone, *left;
		uint16_t hc, hp;

		bed_open(&bed, 6);
		c = bed_host(&bed, "4.2");
		p = bed_host(&bed, "4.2");
		bed_connect(c, p, &usual, &hc, &hp);
		gone = who & 1 ? c : p;
		left = who & 1 ? p : c;
		bed_send(left, left == c ? hc : hp, "x", 1);
		if (who & 2)
			bed_unplug(gone);
		else
			assert_int_equal(bed_cmd(gone, 0x0c03, NULL, 0), 0);
		bed_run(&bed, 600);
		assert_int_equal(bed_disconnected(left, left == c ? hc : hp), -1);
		bed_run(&bed, 200);
		assert_int_equal(bed_disconnected(left, left == c ? hc : hp),
		                 HCIP_STATUS_CONNECTION_TIMEOUT);
		if (!(who & 2)) /* a reset is silent */
			assert_null(bed_take(gone, HCIP_EV_DISCONNECTED, 0));
		bed_close(&bed);
	}
}

static void test_disconnect_reasons(void **state)
{
	for (int who = 0; who < 2; who++) {
		struct link_bed bed;
		struct bed_host *c, *p, *from, *to;
		uint16_t hc, hp;

		bed_open(&bed, 7);
		c = bed_host(&bed, "4.2");
		p = bed_host(&bed, "4.2");
		bed_connect(c, p, &usual, &hc, &hp);
		from = who ? p : c;
		to = who ? c : p;
		assert_int_equal(BED_CMD(from, 0x0406, (uint8_t)(who ? hp : hc), 0, 0x15), 0);
		assert_int_equal(bed_disconnected(from, who ? hp : hc),
		                 -1); /* not before the air knows */
		assert_int_equal(BED_CMD(from, 0x0406, (uint8_t)(who ? hp : hc), 0, 0x13),
		                 HCIP_STATUS_DISALLOWED);
		bed_run(&bed, 120);
		assert_int_equal(bed_disconnected(from, who ? hp : hc),
		                 HCIP_STATUS_LOCAL_HOST_ENDED);
		assert_int_equal(bed_disconnected(to, who ? hc : hp), 0x15);
		assert_int_equal(BED_CMD(from, 0x0406, (uint8_t)(who ? hp : hc), 0, 0x13),
		                 HCIP_STATUS_NO_CONNECTION);
		bed_send(from, who ? hp : hc, "x", 1); /* too late: ignored */
		bed_run(&bed, 1000);
		assert_int_equal(from->completed + to->completed, 0);
		bed_close(&bed);
	}
}

/* Both hosts at once: each end ends once, with one of the two true reasons. */
static void test_disconnect_race(void **state)
{
	for (unsigned int gap_ms = 0; gap_ms < 40; gap_ms++) {
		struct link_bed bed;
		struct bed_host *c, *p;
		uint16_t hc, hp;
		int reason;

		bed_open(&bed, gap_ms);
		c = bed_host(&bed, "4.2");
		p = bed_host(&bed, "4.2");
		bed_connect(c, p, &usual, &hc, &hp);
		bed_run(&bed, gap_ms);
		(void)BED_CMD(c, 0x0406, (uint8_t)hc, 0, 0x13);
		bed_run(&bed, gap_ms / 4);
		(void)BED_CMD(p, 0x0406, (uint8_t)hp, 0, 0x15);
		bed_run(&bed, 2000);
		reason = event_us(c, HCIP_EV_DISCONNECTED) ? 0 : 0;
		assert_int_equal(reason, 0);
		(void)event_us(p, HCIP_EV_DISCONNECTED);
		assert_null(bed_take(c, HCIP_EV_DISCONNECTED, 0));
		assert_null(bed_take(p, HCIP_EV_DISCONNECTED, 0));
		bed_close(&bed);
	}
}

/* --- procedures --- */

static void expect_update(struct bed_host *h, uint8_t status, const struct bed_link *l)
{
	const struct bed_event *e = bed_need(h, HCIP_EV_LE_META, HCIP_LE_CONN_UPDATED);

	assert_int_equal(e->data[0], status);
	assert_int_equal(at16(e, 3), l->interval);
	assert_int_equal(at16(e, 5), l->latency);
	assert_int_equal(at16(e, 7), l->timeout);
}

static int update(struct bed_host *h, uint16_t opcode, uint16_t handle, const struct bed_link *l)
{
	uint8_t buf[14];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le16(&w, handle);
	wr_le16(&w, l->interval);
	wr_le16(&w, l->interval);
	wr_le16(&w, l->latency);
	wr_le16(&w, l->timeout);
	wr_le32(&w, 0);
	return bed_cmd(h, opcode, buf, sizeof(buf));
}

static const struct bed_link slow = {.interval = 320, .latency = 2, .timeout = 600};

static void test_update_by_central(void **state)
{
	static const struct bed_link wrong = {.interval = 320, .latency = 2, .timeout = 100};
	struct link_bed bed;
	struct bed_host *c, *p;
	uint16_t hc, hp;

	bed_open(&bed, 8);
	c = bed_host(&bed, "4.0");
	p = bed_host(&bed, "4.0");
	bed_connect(c, p, &fast, &hc, &hp);
	assert_int_equal(update(c, 0x2013, hc, &wrong), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(update(c, 0x2013, hc + 1, &slow), HCIP_STATUS_NO_CONNECTION);
	assert_int_equal(update(p, 0x2013, hp, &slow), HCIP_STATUS_DISALLOWED); /* 4.0 */
	assert_int_equal(update(c, 0x2013, hc, &slow), 0);
	bed_run(&bed, 30);
	assert_null(bed_take(c, HCIP_EV_LE_META, HCIP_LE_CONN_UPDATED)); /* six events first */
	bed_run(&bed, 100);
	expect_update(c, 0, &slow);
	expect_update(p, 0, &slow);
	assert_in_range(worst_delay_us(&bed, c, hc, p), 600000, 1200000 + PACKET_US);
	assert_int_equal(update(c, 0x2013, hc, &fast), 0);
	bed_run(&bed, 8000);
	expect_update(c, 0, &fast);
	expect_update(p, 0, &fast);
	assert_in_range(worst_delay_us(&bed, c, hc, p), 3000, 7500 + PACKET_US);
	bed_close(&bed);
}

static void test_update_by_peripheral(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	const struct bed_event *e;
	uint16_t hc, hp;

	bed_open(&bed, 9);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	bed_connect(c, p, &usual, &hc, &hp);
	/* refused */
	assert_int_equal(update(p, 0x2013, hp, &slow), 0);
	bed_run(&bed, 100);
	e = bed_need(c, HCIP_EV_LE_META, HCIP_LE_REMOTE_CONN_PARAM);
	assert_int_equal(at16(e, 0), hc);
	assert_int_equal(at16(e, 2), slow.interval);
	assert_int_equal(at16(e, 8), slow.timeout);
	assert_int_equal(BED_CMD(c, 0x2021, (uint8_t)hc, 0, 0x3b), 0);
	assert_int_equal(BED_CMD(c, 0x2021, (uint8_t)hc, 0, 0x3b), HCIP_STATUS_DISALLOWED);
	bed_run(&bed, 100);
	expect_update(p, 0x3b, &usual);
	assert_null(bed_take(c, HCIP_EV_LE_META, HCIP_LE_CONN_UPDATED));
	/* taken */
	assert_int_equal(update(p, 0x2013, hp, &slow), 0);
	bed_run(&bed, 100);
	(void)bed_need(c, HCIP_EV_LE_META, HCIP_LE_REMOTE_CONN_PARAM);
	assert_int_equal(update(c, 0x2020, hc, &slow), 0);
	bed_run(&bed, 1000);
	expect_update(c, 0, &slow);
	expect_update(p, 0, &slow);
	/* nobody to ask */
	assert_int_equal(BED_CMD(c, 0x2001, 0x1f, 0, 0, 0, 0, 0, 0, 0), 0);
	assert_int_equal(update(p, 0x2013, hp, &usual), 0);
	bed_run(&bed, 4000);
	expect_update(p, HCIP_STATUS_UNSUPPORTED_REMOTE_FEATURE, &slow);
	/* a host that never answers: the procedure's 40 s end the link */
	assert_int_equal(BED_CMD(c, 0x2001, 0xff, 0, 0, 0, 0, 0, 0, 0), 0);
	assert_int_equal(update(p, 0x2013, hp, &usual), 0);
	bed_run(&bed, 39000);
	assert_int_equal(bed_disconnected(p, hp), -1);
	bed_run(&bed, 8000);
	assert_int_equal(bed_disconnected(p, hp), HCIP_STATUS_LL_RESPONSE_TIMEOUT);
	assert_int_equal(bed_disconnected(c, hc), HCIP_STATUS_CONNECTION_TIMEOUT);
	bed_close(&bed);
}

/* --- instants --- */

static void expect_phys(struct bed_host *h, uint8_t status, uint8_t tx, uint8_t rx)
{
	const struct bed_event *e = bed_need(h, HCIP_EV_LE_META, HCIP_LE_PHY_UPDATED);

	assert_int_equal(e->data[0], status);
	assert_int_equal(e->data[3], tx);
	assert_int_equal(e->data[4], rx);
}

struct meddler {
	struct air_watch watch;
	int lose; /* so many; 0: alter instead */
};

static void on_update_passes(struct air_watch *w, const struct air_pdu *pdu, const struct radio *to,
                             uint8_t *bytes, struct air_verdict *verdict)
{
	if (pdu->access_addr == PDU_ADV_ADDRESS || pdu->len < 14 ||
	    (bytes[0] & LL_LLID) != LL_LLID_CONTROL || bytes[2] != LL_CONNECTION_UPDATE_IND)
		return;
	if (container_of(w, struct meddler, watch)->lose-- > 0)
		verdict->lost = true;
	else
		bytes[13] ^= 0x80; /* 32768 events off */
}

/* A peripheral that hears of the change too late says so; one that does not hear of it is lost. */
static void test_instant_missed(void **state)
{
	for (int lose = 0; lose < 2; lose++) {
		struct meddler meddler = {.watch.judge = on_update_passes, .lose = lose ? 15 : 0};
		struct link_bed bed;
		struct bed_host *c, *p;
		uint16_t hc, hp;

		bed_open(&bed, 9);
		c = bed_host(&bed, "4.2");
		p = bed_host(&bed, "4.2");
		bed_connect(c, p, &usual, &hc, &hp);
		air_add_watch(bed.air, &meddler.watch);
		assert_int_equal(update(c, 0x2013, hc, &slow), 0);
		bed_run(&bed, 8000);
		assert_int_equal(bed_disconnected(p, hp), lose ? HCIP_STATUS_CONNECTION_TIMEOUT
		                                               : HCIP_STATUS_INSTANT_PASSED);
		assert_int_equal(bed_disconnected(c, hc), HCIP_STATUS_CONNECTION_TIMEOUT);
		air_remove_watch(&meddler.watch);
		bed_close(&bed);
	}
}

/* Both want an instant at once: the central's goes on, the peripheral's host is told. */
static void test_collision(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	uint16_t hc, hp;

	bed_open(&bed, 9);
	c = bed_host(&bed, "5.2");
	p = bed_host(&bed, "5.2");
	bed_connect(c, p, &usual, &hc, &hp);
	assert_int_equal(update(c, 0x2013, hc, &slow), 0);
	assert_int_equal(BED_CMD(p, 0x2032, (uint8_t)hp, 0, 0, 2, 2, 0, 0), 0);
	bed_run(&bed, 8000);
	expect_phys(p, HCIP_STATUS_DIFFERENT_COLLISION, PHY_1M, PHY_1M);
	expect_update(c, 0, &slow);
	expect_update(p, 0, &slow);
	assert_null(bed_take(c, HCIP_EV_LE_META, HCIP_LE_PHY_UPDATED));
	bed_close(&bed);
}

static void test_data_length(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	const struct bed_event *e;
	uint16_t hc, hp;

	bed_open(&bed, 10);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	bed_connect(c, p, &usual, &hc, &hp);
	assert_null(bed_take(c, HCIP_EV_LE_META, HCIP_LE_DATA_LENGTH));
	assert_int_equal(BED_CMD(c, 0x2022, (uint8_t)hc, 0, 251, 0, 0x48, 0x08), 0);
	bed_run(&bed, 200);
	e = bed_need(c, HCIP_EV_LE_META, HCIP_LE_DATA_LENGTH);
	assert_int_equal(at16(e, 2), 251);
	assert_int_equal(at16(e, 4), 2120);
	assert_int_equal(at16(e, 6), 27);
	e = bed_need(p, HCIP_EV_LE_META, HCIP_LE_DATA_LENGTH);
	assert_int_equal(at16(e, 2), 27);
	assert_int_equal(at16(e, 6), 251);
	assert_int_equal(at16(e, 8), 2120);
	bed_send(c, hc, (uint8_t[251]){0}, 251);
	bed_run(&bed, 100);
	assert_int_equal(p->rx_packets, 1);
	/* 100 octets a packet by their time alone: (2 + 4 + 100 + 4 + 3 + 1) * 8 */
	assert_int_equal(BED_CMD(c, 0x2022, (uint8_t)hc, 0, 251, 0, 0x90, 0x03), 0);
	bed_run(&bed, 200);
	bed_send(c, hc, (uint8_t[251]){0}, 251);
	bed_run(&bed, 100);
	assert_int_equal(p->rx_packets, 1 + 3);
	bed_close(&bed);
}

static void test_phys(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p, *old;
	uint16_t hc, hp, ho, hold;

	bed_open(&bed, 11);
	c = bed_host(&bed, "5.2");
	p = bed_host(&bed, "5.2");
	old = bed_host(&bed, "4.2");
	bed_connect(c, p, &usual, &hc, &hp);
	assert_int_equal(BED_CMD(c, 0x2032, (uint8_t)hc, 0, 0, 2, 1, 0, 0), 0);
	bed_run(&bed, 500);
	/* the peripheral's default wishes leave everything open */
	expect_phys(c, 0, PHY_2M, PHY_1M);
	expect_phys(p, 0, PHY_1M, PHY_2M);
	assert_int_equal(BED_CMD(p, 0x2032, (uint8_t)hp, 0, 0, 4, 4, 0, 0), 0);
	bed_run(&bed, 500);
	/* the central had asked for 2M and 1M: nothing in common, all stays as it is */
	expect_phys(p, 0, PHY_1M, PHY_2M);
	assert_int_equal(BED_CMD(c, 0x2030, (uint8_t)hc, 0), 0);
	bed_send(c, hc, "abc", 3);
	bed_send(p, hp, "abc", 3);
	bed_run(&bed, 100);
	assert_int_equal(p->rx_bytes + c->rx_bytes, 6);
	/* a peer that knows only one */
	bed_connect(c, old, &usual, &ho, &hold);
	assert_int_equal(BED_CMD(c, 0x2032, (uint8_t)ho, 0, 0, 2, 2, 0, 0), 0);
	bed_run(&bed, 500);
	expect_phys(c, HCIP_STATUS_UNSUPPORTED_REMOTE_FEATURE, PHY_1M, PHY_1M);
	bed_close(&bed);
}

static void test_remote(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	const struct bed_event *e;
	uint16_t hc, hp;

	bed_open(&bed, 12);
	c = bed_host(&bed, "5.2");
	p = bed_host(&bed, "4.2");
	bed_connect(c, p, &usual, &hc, &hp);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(BED_CMD(c, 0x041d, (uint8_t)hc, 0), 0);
		bed_run(&bed, 100);
		e = bed_need(c, HCIP_EV_REMOTE_VERSION, 0);
		assert_int_equal(e->data[0], 0);
		assert_int_equal(e->data[3], VERSION_4_2);
		assert_int_equal(BED_CMD(c, 0x2016, (uint8_t)hc, 0), 0);
		assert_int_equal(BED_CMD(p, 0x2016, (uint8_t)hp, 0), 0);
		bed_run(&bed, 100);
		e = bed_need(c, HCIP_EV_LE_META, HCIP_LE_REMOTE_FEATURES);
		assert_int_equal(e->data[0], 0);
		assert_int_equal(e->data[3], 0xff);
		assert_int_equal(e->data[4], 0);
		e = bed_need(p, HCIP_EV_LE_META, HCIP_LE_REMOTE_FEATURES);
		assert_int_equal(e->data[4], 0x59);
	}
	assert_int_equal(radio_set_loss(&c->ctl->radio, &p->ctl->radio, 71), 0);
	bed_run(&bed, 300);
	assert_int_equal(BED_CMD(c, 0x1405, (uint8_t)hc, 0), 0);
	assert_int_equal((int8_t)c->ret[2], -71);
	assert_int_equal(BED_CMD(p, 0x1405, (uint8_t)hp, 0), 0);
	assert_int_equal((int8_t)p->ret[2], -71);
	bed_close(&bed);
}

/* --- channels --- */

struct hopper {
	struct air_watch watch;
	uint64_t used;
};

static void on_sent(struct air_watch *w, const struct air_pdu *pdu)
{
	if (pdu->channel < PHY_DATA_CHANNELS)
		container_of(w, struct hopper, watch)->used |= UINT64_C(1) << pdu->channel;
}

static void test_channel_map(void **state)
{
	struct hopper hopper = {.watch.sent = on_sent};

	for (int second = 0; second < 2; second++) {
		struct link_bed bed;
		struct bed_host *c, *p;
		uint16_t hc, hp;

		bed_open(&bed, 13);
		c = bed_host(&bed, second ? "5.2" : "4.2");
		p = bed_host(&bed, second ? "5.2" : "4.2");
		bed_connect(c, p, &fast, &hc, &hp);
		assert_int_equal(bed_need(c, HCIP_EV_LE_META, HCIP_LE_CHANNEL_SELECTION)->data[2],
		                 second);
		air_add_watch(bed.air, &hopper.watch);
		(void)pump(&bed, c, hc, p, 27, 2000);
		assert_true(hopper.used == CHAN_MAP_ALL);
		assert_int_equal(BED_CMD(c, 0x2014, 0xff, 0x00, 0x00, 0x00, 0x20),
		                 HCIP_STATUS_INVALID_PARAMS);
		assert_int_equal(BED_CMD(c, 0x2014, 0x06, 0x00, 0x00, 0x00, 0x10), 0);
		(void)pump(&bed, c, hc, p, 27, 200);
		hopper.used = 0;
		(void)pump(&bed, c, hc, p, 27, 2000);
		assert_true(hopper.used == UINT64_C(0x1000000006));
		assert_int_equal(BED_CMD(p, 0x2015, (uint8_t)hp, 0), 0);
		assert_memory_equal(p->ret + 2, ((uint8_t[]){0x06, 0, 0, 0, 0x10}), 5);
		air_remove_watch(&hopper.watch);
		bed_close(&bed);
	}
}

/* Core 5.4, Vol 6, Part C, 3: sample data of algorithm #2 */
static void test_channel_selection_2(void **state)
{
	static const struct {
		uint64_t map;
		uint16_t counter;
		uint8_t channel;
	} rows[] = {
		{CHAN_MAP_ALL, 0, 25},
		{CHAN_MAP_ALL, 1, 20},
		{CHAN_MAP_ALL, 2, 6},
		{CHAN_MAP_ALL, 3, 21},
		{UINT64_C(0x1e00e00600), 6, 23},
		{UINT64_C(0x1e00e00600), 7, 9},
		{UINT64_C(0x1e00e00600), 8, 34},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct chan_plan plan = {
			.map = rows[i].map, .second = true, .access_addr = 0x8e89bed6};

		assert_int_equal(chan_of_event(&plan, rows[i].counter), rows[i].channel);
	}
}

/* --- flow control --- */

static void test_buffers(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	uint16_t hc, hp;

	bed_open(&bed, 14);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	bed_connect(c, p, &usual, &hc, &hp);
	for (int i = 0; i < 13; i++)
		bed_send(c, hc, "0123456789", 10);
	(void)bed_need(c, HCIP_EV_BUFFER_OVERFLOW, 0);
	assert_null(bed_take(c, HCIP_EV_BUFFER_OVERFLOW, 0));
	bed_run(&bed, 200);
	assert_int_equal(c->completed, 12);
	assert_int_equal(p->rx_bytes, 120);
	bed_send(c, hc, "", 0);
	bed_run(&bed, 1);
	assert_int_equal(c->completed, 13);
	/* flushed packets come back too */
	for (int i = 0; i < 12; i++)
		bed_send(c, hc, "0123456789", 10);
	assert_int_equal(BED_CMD(c, 0x0c08, (uint8_t)hc, 0), 0);
	bed_run(&bed, 200);
	assert_int_equal(c->completed, 25);
	assert_int_equal(p->rx_bytes, 120);
	/* those of a link that has ended are free without a word */
	for (int i = 0; i < 12; i++)
		bed_send(c, hc, "0123456789", 10);
	assert_int_equal(radio_set_loss(&c->ctl->radio, &p->ctl->radio, AIR_LOSS_MAX_DB), 0);
	bed_run(&bed, 1000);
	assert_int_equal(bed_disconnected(c, hc), HCIP_STATUS_CONNECTION_TIMEOUT);
	assert_int_equal(c->completed, 25);
	radio_clear_loss(&c->ctl->radio, &p->ctl->radio);
	bed_forget(c);
	bed_forget(p);
	bed_connect(c, p, &usual, &hc, &hp);
	for (int i = 0; i < 12; i++)
		bed_send(c, hc, "0123456789", 10);
	assert_null(bed_take(c, HCIP_EV_BUFFER_OVERFLOW, 0));
	bed_close(&bed);
}

/* A host that does not fetch its data gets it later, not never; and the link does not die of it. */
static void test_congested_host(void **state)
{
	struct link_bed bed;
	struct bed_host *c, *p;
	uint16_t hc, hp;

	bed_open(&bed, 15);
	c = bed_host(&bed, "4.2");
	p = bed_host(&bed, "4.2");
	bed_connect(c, p, &usual, &hc, &hp);
	p->congested = true;
	bed_send(c, hc, "0123456789", 10);
	bed_send(p, hp, "01234", 5);
	bed_run(&bed, 5000);
	assert_int_equal(p->rx_bytes, 0);
	assert_int_equal(c->completed, 0);
	assert_int_equal(c->rx_bytes, 5);
	p->congested = false;
	bed_run(&bed, 100);
	assert_int_equal(p->rx_bytes, 10);
	assert_int_equal(c->completed, 1);
	bed_close(&bed);
}

/* --- a bad path --- */

struct noise {
	struct air_watch watch;
	struct air *air;
	unsigned int percent;
};

static void on_judge(struct air_watch *w, const struct air_pdu *pdu, const struct radio *to,
                     uint8_t *bytes, struct air_verdict *verdict)
{
	struct noise *n = container_of(w, struct noise, watch);

	if (pdu->access_addr != PDU_ADV_ADDRESS && air_rand_below(n->air, 100) < n->percent)
		verdict->lost = true;
}

/*
 * Whatever happens, for many seeds: every packet arrives once and in order, every buffer comes back, and after an end
 * the sums still hold: what was completed was received.
 */
static void test_random_operations(void **state)
{
	for (unsigned int seed = 0; seed < 12; seed++) {
		struct link_bed bed;
		struct bed_host *c, *p;
		struct sinks cs = {0}, ps = {0};
		static struct sink at_c, at_p;
		struct noise noise = {.watch.judge = on_judge, .percent = 5 * (seed % 8)};
		static uint8_t stream[65536];
		size_t down = 0, up = 0;
		unsigned int sent_c = 0, sent_p = 0;
		static const struct bed_link link = {.interval = 8, .latency = 0, .timeout = 400};
		uint16_t hc, hp;

		fill(stream, sizeof(stream), (uint8_t)seed);
		for (size_t i = 0; i < sizeof(stream); i += 251)
			stream[i] = (uint8_t)(i / 251);
		bed_open(&bed, seed);
		c = bed_host(&bed, seed & 1 ? "5.2" : "4.2");
		p = bed_host(&bed, "5.2");
		bed_connect(c, p, &link, &hc, &hp);
		listen_to(c, &cs, &at_c, hc);
		listen_to(p, &ps, &at_p, hp);
		noise.air = bed.air;
		air_add_watch(bed.air, &noise.watch);
		for (int step = 0; step < 300; step++) {
			size_t n = 1 + air_rand_below(bed.air, 150);

			switch (air_rand_below(bed.air, 8)) {
			case 0:
			case 1:
				if (sent_c - c->completed < 12) {
					bed_send(c, hc, stream + down, n);
					down += n;
					sent_c++;
				}
				break;
			case 2:
			case 3:
				if (sent_p - p->completed < 12) {
					bed_send(p, hp, stream + up, n);
					up += n;
					sent_p++;
				}
				break;
			case 4:
				(void)BED_CMD(c, 0x2022, (uint8_t)hc, 0, (uint8_t)(27 + n), 0, 0x48,
				              0x08);
				break;
			case 5:
				(void)BED_CMD(p, 0x2032, (uint8_t)hp, 0, 0, 1 + (n & 1),
				              1 + (n & 1), 0, 0);
				break;
			case 6:
				p->congested = n & 1;
				break;
			case 7: {
				struct bed_link l = {.interval = (uint16_t)(6 + n % 20),
				                     .timeout = 400};

				(void)update(c, 0x2013, hc, &l);
				break;
			}
			}
			bed_run(&bed, air_rand_below(bed.air, 30));
			assert_int_equal(bed_disconnected(c, hc), -1);
			assert_int_equal(bed_disconnected(p, hp), -1);
			assert_true(at_p.len <= down && at_c.len <= up);
			bed_forget(c);
			bed_forget(p);
		}
		p->congested = false;
		bed_run(&bed, 10000);
		assert_int_equal(bed_disconnected(c, hc), -1);
		assert_int_equal(bed_disconnected(p, hp), -1);
		assert_int_equal(at_p.len, down);
		assert_int_equal(at_c.len, up);
		assert_memory_equal(at_p.bytes, stream, down);
		assert_memory_equal(at_c.bytes, stream, up);
		assert_int_equal(c->completed, sent_c);
		assert_int_equal(p->completed, sent_p);
		air_remove_watch(&noise.watch);
		bed_close(&bed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_both_ways),
		cmocka_unit_test(test_throughput),
		cmocka_unit_test(test_throughput_both_ways),
		cmocka_unit_test(test_central_of_eight),
		cmocka_unit_test(test_peripheral_of_four),
		cmocka_unit_test(test_shared_radio),
		cmocka_unit_test(test_events_that_meet),
		cmocka_unit_test(test_interval_and_latency),
		cmocka_unit_test(test_idle_is_cheap),
		cmocka_unit_test(test_supervision_timeout),
		cmocka_unit_test(test_short_cut),
		cmocka_unit_test(test_other_end_vanishes),
		cmocka_unit_test(test_disconnect_reasons),
		cmocka_unit_test(test_disconnect_race),
		cmocka_unit_test(test_update_by_central),
		cmocka_unit_test(test_update_by_peripheral),
		cmocka_unit_test(test_instant_missed),
		cmocka_unit_test(test_collision),
		cmocka_unit_test(test_data_length),
		cmocka_unit_test(test_phys),
		cmocka_unit_test(test_remote),
		cmocka_unit_test(test_channel_map),
		cmocka_unit_test(test_channel_selection_2),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_congested_host),
		cmocka_unit_test(test_random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
