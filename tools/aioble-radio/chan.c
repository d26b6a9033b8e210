/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channel selection: a sum modulo 37 in algorithm #1, a pseudo random number of the event counter and the access address
 * in #2; in both, a channel that the map excludes is replaced by one that it has.
 */
#include "chan.h"

#include "phy.h"
#include "pdu.h"

static uint8_t nth_used(uint64_t map, unsigned int n)
{
	uint8_t i = 0;

	for (;; i++) {
		if ((map >> i & 1) && n-- == 0)
			return i;
	}
}

static unsigned int used(uint64_t map)
{
	return (unsigned int)__builtin_popcountll(map & CHAN_MAP_ALL);
}

/* 4.5.8.3.2: the bits of each octet in reverse order */
static uint16_t permute(uint16_t v)
{
	uint16_t out = 0;

	for (int i = 0; i < 8; i++) {
		if (v & (1 << i))
			out |= (uint16_t)(0x80 >> i);
		if (v & (0x100 << i))
			out |= (uint16_t)(0x8000 >> i);
	}
	return out;
}

static uint16_t prn(uint16_t counter, uint16_t id)
{
	uint16_t v = counter ^ id;

	for (int i = 0; i < 3; i++)
		v = (uint16_t)(permute(v) * 17 + id);
	return v ^ id;
}

static uint8_t second_algorithm(const struct chan_plan *plan, uint16_t counter)
{
	uint16_t id = (uint16_t)(plan->access_addr >> 16 ^ plan->access_addr);
	uint16_t v = prn(counter, id);
	uint8_t channel = v % PHY_DATA_CHANNELS;

	if (plan->map >> channel & 1)
		return channel;
	return nth_used(plan->map, used(plan->map) * (uint32_t)v >> 16);
}

uint8_t chan_of_event(const struct chan_plan *plan, uint32_t counter)
{
	uint8_t channel;

	if (plan->second)
		return second_algorithm(plan, (uint16_t)counter);
	channel = (uint8_t)((uint64_t)(counter + UINT64_C(1)) * plan->hop % PHY_DATA_CHANNELS);
	if (plan->map >> channel & 1)
		return channel;
	return nth_used(plan->map, channel % used(plan->map));
}

bool chan_access_addr_ok(uint32_t aa)
{
	uint32_t edges = aa ^ aa >> 1; /* bit i: bits i and i + 1 differ, but for the last */
	unsigned int run = 1, longest = 1;

	for (int i = 0; i < 31; i++) {
		run = edges >> i & 1 ? 1 : run + 1;
		longest = run > longest ? run : longest;
	}
	return longest <= 6 && __builtin_popcount(aa ^ PDU_ADV_ADDRESS) > 1 &&
	       aa != (aa & 0xff) * 0x01010101u && __builtin_popcount(edges & 0x7fffffff) <= 24 &&
	       __builtin_popcount(edges >> 26 & 0x1f) >= 2;
}
