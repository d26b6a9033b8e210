/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See ctl_bed.h. The bed reads events with the host's codec of the project: what a controller sends is judged by code
 * that was not made for it.
 */
#include "ctl_bed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/vec.h"

static void on_packet(struct controller *ctl, const uint8_t *pkt, size_t len)
{
	struct bed_radio *r = ctl->data;
	struct bed_packet *p = &r->packets[r->n];
	struct hcip_event ev;
	struct hcip_cmd_done done;

	if (pkt[0] == HCIP_PKT_EVENT) {
		assert(hcip_parse_event(pkt, len, &ev) == 0);
		if (hcip_parse_cmd_done(&ev, &done) == 0) {
			r->status = done.status;
			r->ret_len = done.len;
			memcpy(r->ret, done.data, done.len);
		}
	}
	if (r->n == BED_PACKETS)
		return;
	assert(len <= sizeof(p->data));
	p->at_us = loop_now_us(air_loop(ctl->radio.air));
	p->len = len;
	memcpy(p->data, pkt, len);
	r->n++;
}

static const struct controller_ops ops = {.packet = on_packet};

void bed_init(struct bed *bed, uint64_t seed)
{
	*bed = (struct bed){0};
	assert(loop_new_virtual(&bed->loop) == 0);
	assert(air_new(bed->loop, seed, &bed->air) == 0);
}

void bed_deinit(struct bed *bed)
{
	for (size_t i = 0; i < bed->n; i++) {
		controller_free(bed->radios[i].ctl);
		free(bed->radios[i].packets);
	}
	air_free(bed->air);
	loop_free(bed->loop);
}

struct bed_radio *bed_add(struct bed *bed, const char *profile)
{
	struct bed_radio *r = &bed->radios[bed->n];
	struct addr a = {.b = {(uint8_t)(bed->n + 1), 0, 0, 0, 0xaa, 0x00}};
	char name[] = {'r', (char)('0' + bed->n), '\0'};
	struct profile p;

	assert(bed->n < BED_RADIOS);
	assert(profile_parse(profile, &p) == 0);
	r->packets = calloc(BED_PACKETS, sizeof(*r->packets));
	assert(r->packets);
	assert(controller_new(bed->air, name, &p, &a, &ops, r, &r->ctl) == 0);
	bed->n++;
	assert(bed_cmd(bed, r, 0x0c01, "ffffffffffffffff") == 0);
	assert(bed_cmd(bed, r, 0x2001, "ffffffffffffffff") == 0);
	return r;
}

int bed_cmd_bytes(struct bed *bed, struct bed_radio *r, uint16_t opcode, const void *params,
                  size_t len)
{
	uint8_t buf[HCIP_CMD_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	size_t before = r->n;

	hcip_put_cmd(&w, opcode, params, len);
	assert(wr_ok(&w));
	r->status = 0xff;
	r->ret_len = 0;
	controller_input(r->ctl, buf, wr_len(&w));
	return r->n == before ? -1 : r->status;
}

int bed_cmd(struct bed *bed, struct bed_radio *r, uint16_t opcode, const char *params)
{
	struct vec v = vec(params);
	int status = bed_cmd_bytes(bed, r, opcode, v.p, v.len);

	free(v.p);
	return status;
}

const struct bed_packet *bed_event(struct bed_radio *r, uint8_t code, uint8_t subevent)
{
	while (r->seen < r->n) {
		const struct bed_packet *p = &r->packets[r->seen++];
		struct hcip_event ev;

		if (p->data[0] == HCIP_PKT_EVENT && hcip_parse_event(p->data, p->len, &ev) == 0 &&
		    ev.code == code && (code != HCIP_EV_LE_META || ev.subevent == subevent))
			return p;
	}
	return NULL;
}

size_t bed_reports(struct bed_radio *r,
                   void (*fn)(const struct hcip_report *report, uint64_t at_us, void *data),
                   void *data)
{
	size_t n = 0;

	while (r->seen < r->n) {
		const struct bed_packet *p = &r->packets[r->seen++];
		struct hcip_reports l;
		struct hcip_report report;
		struct hcip_event ev;

		if (hcip_parse_event(p->data, p->len, &ev) < 0 || hcip_parse_reports(&ev, &l) < 0)
			continue;
		while (hcip_next_report(&l, &report)) {
			n++;
			if (fn)
				fn(&report, p->at_us, data);
		}
	}
	return n;
}

void bed_forget(struct bed_radio *r)
{
	r->seen = r->n;
}
