/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts that send anything to controllers of the radio. The input is a row of steps: a byte says for whom (its lowest bit)
 * and what (the rest): a packet, whose length is the next byte and whose bytes follow, or time that passes. Both
 * controllers share one air, so that advertising, scanning and links of one meet the other.
 *
 * What must hold: each event is whole, and each well-formed command that a host sends is answered.
 */
#include "aiobled/cleanup.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/loop.h"

#include "air.h"
#include "controller.h"

#include "fuzz.h"

#define HOSTS          2
#define STEPS_MAX      400
#define TIME_STEP_MS   5
#define TIME_MAX_MS    4000
#define HOST_COMPLETED 0x0c35 /* has no answer */

struct fuzz_host {
	struct controller *ctl;
	unsigned int answers;
};

static struct {
	struct loop *loop;
	struct air *air;
	struct fuzz_host hosts[HOSTS];
	uint32_t time_ms;
} rig;

static void on_packet(struct controller *ctl, const uint8_t *pkt, size_t len)
{
	struct fuzz_host *h = ctl->data;
	struct hcip_event ev;
	struct hcip_cmd_done done;

	if (pkt[0] == HCIP_PKT_ACL) {
		FUZZ_CHECK(len >= 5 && (size_t)(pkt[3] | pkt[4] << 8) + 5 == len);
		return;
	}
	FUZZ_CHECK(pkt[0] == HCIP_PKT_EVENT && hcip_parse_event(pkt, len, &ev) == 0);
	h->answers += hcip_parse_cmd_done(&ev, &done) == 0;
}

static const struct controller_ops ops = {.packet = on_packet};

static void rig_init(uint8_t kinds)
{
	static const char *const profiles[] = {"5.2,le-states", "4.2", "4.0", "5.2,dual"};

	FUZZ_CHECK(loop_new_virtual(&rig.loop) == 0);
	FUZZ_CHECK(air_new(rig.loop, 1, &rig.air) == 0);
	rig.time_ms = 0;
	for (size_t i = 0; i < HOSTS; i++) {
		struct addr a = {.b = {(uint8_t)(i + 1)}};
		struct profile p;

		FUZZ_CHECK(profile_parse(profiles[kinds >> 2 * i & 3], &p) == 0);
		FUZZ_CHECK(controller_new(rig.air, i ? "b" : "a", &p, &a, &ops, &rig.hosts[i],
		                          &rig.hosts[i].ctl) == 0);
	}
}

static void rig_deinit(void)
{
	for (size_t i = 0; i < HOSTS; i++)
		rig.hosts[i].ctl = controller_free(rig.hosts[i].ctl);
	rig.air = air_free(rig.air);
	rig.loop = loop_free(rig.loop);
}

static bool is_command(const uint8_t *pkt, size_t len)
{
	return len >= 4 && pkt[0] == HCIP_PKT_COMMAND && (size_t)pkt[3] + 4 == len &&
	       (pkt[1] | pkt[2] << 8) != HOST_COMPLETED;
}

static void packet(struct fuzz_host *h, struct rd *r)
{
	size_t len = rd_u8(r);
	const uint8_t *pkt;
	unsigned int before = h->answers;

	len = MIN(len, r->left);
	pkt = rd_bytes(r, len);
	if (!len)
		return;
	controller_input(h->ctl, pkt, len);
	if (is_command(pkt, len))
		FUZZ_CHECK(h->answers == before + 1);
}

static void pass_time(uint8_t units)
{
	uint32_t ms = (uint32_t)units * TIME_STEP_MS;

	if (rig.time_ms + ms > TIME_MAX_MS)
		return;
	rig.time_ms += ms;
	FUZZ_CHECK(loop_advance(rig.loop, ms) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);

	if (!size)
		return 0;
	rig_init(rd_u8(&r));
	for (int i = 0; i < STEPS_MAX && r.left; i++) {
		uint8_t step = rd_u8(&r);

		if (step & 2)
			pass_time(step >> 2);
		else
			packet(&rig.hosts[step & 1], &r);
	}
	rig_deinit();
	return 0;
}
