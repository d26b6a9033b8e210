/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link_bed.h"

#include "../unit/test.h"

#include "aiobled/cleanup.h"

/* --- what comes from a controller --- */

static struct bed_event *event_add(struct bed_host *h)
{
	struct bed_event *e = &h->events[h->n_events];

	assert_true(h->n_events < BED_EVENTS_MAX);
	h->n_events++;
	*e = (struct bed_event){.at_us = bed_now_us(h->bed)};
	return e;
}

static void on_answer(struct bed_host *h, const struct hcip_event *ev)
{
	struct hcip_cmd_done done;

	assert_int_equal(hcip_parse_cmd_done(ev, &done), 0);
	h->status = done.status;
	h->ret_len = done.len;
	if (done.len)
		memcpy(h->ret, done.data, done.len);
}

static void on_completed(struct bed_host *h, const struct hcip_event *ev)
{
	struct rd r = rd_init(ev->data, ev->len);
	uint8_t n = rd_u8(&r);

	while (n--) {
		(void)rd_le16(&r);
		h->completed += rd_le16(&r);
	}
	assert_true(rd_end(&r));
}

static void on_event(struct bed_host *h, const uint8_t *pkt, size_t len)
{
	struct hcip_event ev;
	struct bed_event *e;

	assert_int_equal(hcip_parse_event(pkt, len, &ev), 0);
	if (ev.code == HCIP_EV_CMD_COMPLETE || ev.code == HCIP_EV_CMD_STATUS) {
		on_answer(h, &ev);
		return;
	}
	if (ev.code == HCIP_EV_COMPLETED_PACKETS)
		on_completed(h, &ev);
	if (ev.code == HCIP_EV_COMPLETED_PACKETS && !h->event)
		return;
	e = event_add(h);
	e->code = ev.code;
	e->sub = ev.subevent;
	e->len = ev.len;
	memcpy(e->data, ev.data, ev.len);
	if (h->event)
		h->event(h, e);
}

static void on_acl(struct bed_host *h, const uint8_t *pkt, size_t len)
{
	struct rd r = rd_init(pkt + 1, len - 1);
	uint16_t head = rd_le16(&r), said = rd_le16(&r);

	assert_int_equal(said, r.left);
	h->rx_packets++;
	h->rx_bytes += r.left;
	h->last_rx_us = bed_now_us(h->bed);
	if (h->acl)
		h->acl(h, head, r.p, r.left);
}

static void on_packet(struct controller *ctl, const uint8_t *pkt, size_t len)
{
	struct bed_host *h = ctl->data;

	if (pkt[0] == HCIP_PKT_EVENT)
		on_event(h, pkt, len);
	else if (pkt[0] == HCIP_PKT_ACL)
		on_acl(h, pkt, len);
	else
		fail_msg("packet type %u", pkt[0]);
}

static bool on_congested(struct controller *ctl)
{
	return ((struct bed_host *)ctl->data)->congested;
}

static const struct controller_ops ops = {.packet = on_packet, .congested = on_congested};

/* --- the bed --- */

void bed_open(struct link_bed *bed, uint64_t seed)
{
	*bed = (struct link_bed){0};
	assert_int_equal(loop_new_virtual(&bed->loop), 0);
	assert_int_equal(air_new(bed->loop, seed, &bed->air), 0);
}

void bed_unplug(struct bed_host *h)
{
	h->ctl = controller_free(h->ctl);
}

void bed_close(struct link_bed *bed)
{
	for (unsigned int i = 0; i < bed->n; i++)
		bed_unplug(&bed->hosts[i]);
	air_free(bed->air);
	loop_free(bed->loop);
}

struct bed_host *bed_host(struct link_bed *bed, const char *profile)
{
	struct bed_host *h = &bed->hosts[bed->n];
	struct addr addr = {.b = {(uint8_t)bed->n, 0x01, 0x1e, 0x1b, 0xaa, 0x00}};
	struct profile p;
	char name[16];

	assert_true(bed->n < BED_HOSTS_MAX);
	(void)snprintf(name, sizeof(name), "host%u", bed->n++);
	*h = (struct bed_host){.bed = bed};
	assert_int_equal(profile_parse(profile, &p), 0);
	assert_int_equal(controller_new(bed->air, name, &p, &addr, &ops, h, &h->ctl), 0);
	assert_int_equal(BED_CMD(h, 0x0c01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 0);
	assert_int_equal(BED_CMD(h, 0x2001, 0xff, 0xfd, 0xff, 0xff, 0, 0, 0, 0), 0);
	return h;
}

void bed_run(struct link_bed *bed, uint32_t ms)
{
	assert_int_equal(loop_advance(bed->loop, ms), 0);
	air_sync(bed->air);
}

uint64_t bed_now_us(struct link_bed *bed)
{
	return air_now_us(bed->air);
}

int bed_cmd(struct bed_host *h, uint16_t opcode, const void *params, size_t len)
{
	uint8_t buf[HCIP_CMD_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	hcip_put_cmd(&w, opcode, params, len);
	assert_true(wr_ok(&w));
	h->status = -1;
	controller_input(h->ctl, buf, wr_len(&w));
	return h->status;
}

const struct bed_event *bed_take(struct bed_host *h, uint8_t code, uint8_t sub)
{
	static struct bed_event taken;

	for (size_t i = 0; i < h->n_events; i++) {
		if (h->events[i].code != code || h->events[i].sub != sub)
			continue;
		taken = h->events[i];
		h->n_events--;
		memmove(&h->events[i], &h->events[i + 1], (h->n_events - i) * sizeof(h->events[0]));
		return &taken;
	}
	return NULL;
}

const struct bed_event *bed_need(struct bed_host *h, uint8_t code, uint8_t sub)
{
	const struct bed_event *e = bed_take(h, code, sub);

	if (!e)
		fail_msg("%s: no event 0x%02x/0x%02x", h->ctl->radio.name, code, sub);
	return e;
}

void bed_forget(struct bed_host *h)
{
	h->n_events = 0;
}

void bed_send(struct bed_host *h, uint16_t handle, const void *data, size_t len)
{
	uint8_t buf[1 + 4 + 251];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, HCIP_PKT_ACL);
	wr_le16(&w, handle);
	wr_le16(&w, (uint16_t)len);
	wr_bytes(&w, data, len);
	assert_true(wr_ok(&w));
	controller_input(h->ctl, buf, wr_len(&w));
}

/* --- links --- */

void bed_advertise(struct bed_host *h)
{
	assert_int_equal(BED_CMD(h, 0x2006, 0x20, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x07, 0),
	                 0);
	assert_int_equal(BED_CMD(h, 0x200a, 1), 0);
}

int bed_create(struct bed_host *h, const struct bed_host *to, const struct bed_link *l)
{
	uint8_t buf[25];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le16(&w, 0x0010); /* 10 ms, all of them */
	wr_le16(&w, 0x0010);
	wr_u8(&w, 0);
	wr_u8(&w, ADDR_PUBLIC);
	wr_bytes(&w, to->ctl->public_addr.b, ADDR_LEN);
	wr_u8(&w, 0);
	wr_le16(&w, l->interval);
	wr_le16(&w, l->interval);
	wr_le16(&w, l->latency);
	wr_le16(&w, l->timeout);
	wr_le32(&w, 0);
	return bed_cmd(h, 0x200d, buf, wr_len(&w));
}

static uint16_t connected(struct bed_host *h, uint8_t role)
{
	const struct bed_event *e = bed_need(h, HCIP_EV_LE_META, HCIP_LE_CONN_COMPLETE);

	assert_int_equal(e->data[0], 0);
	assert_int_equal(e->data[3], role);
	return (uint16_t)(e->data[1] | e->data[2] << 8);
}

void bed_connect(struct bed_host *central, struct bed_host *peripheral, const struct bed_link *l,
                 uint16_t *ret_central, uint16_t *ret_peripheral)
{
	bed_advertise(peripheral);
	assert_int_equal(bed_create(central, peripheral, l), 0);
	bed_run(central->bed, 400);
	*ret_central = connected(central, HCIP_ROLE_CENTRAL);
	*ret_peripheral = connected(peripheral, HCIP_ROLE_PERIPHERAL);
}

int bed_disconnected(struct bed_host *h, uint16_t handle)
{
	for (size_t i = 0; i < h->n_events; i++) {
		const struct bed_event *e = &h->events[i];

		if (e->code == HCIP_EV_DISCONNECTED && (e->data[1] | e->data[2] << 8) == handle)
			return e->data[3];
	}
	return -1;
}
