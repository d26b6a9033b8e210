/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which channel a connection event uses (Core 5.4, Vol 6, Part B, 4.5.8), and access addresses (2.1.2). Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CHAN_MAP_ALL UINT64_C(0x1fffffffff)

struct chan_plan {
	uint64_t
		map; /* a bit for each of the 37 data channels that may be used; 2 of them at least */
	bool second;          /* channel selection algorithm #2 */
	uint8_t hop;          /* #1: 5 to 16 */
	uint32_t access_addr; /* #2 */
};

/**
 * chan_of_event() - data channel index of connection event @counter
 *
 * Algorithm #1 hops once an event from channel 0: @counter has to be the full count of events, not its 16 bits.
 */
uint8_t chan_of_event(const struct chan_plan *plan, uint32_t counter);

/** chan_access_addr_ok() - may a link have this access address? */
bool chan_access_addr_ok(uint32_t aa);
