/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a PHY costs in time (Core 5.4, Vol 6, Part B, 2.1 and 2.2; gaps: 4.1). Pure functions; microseconds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* HCI's numbers, which are also those of advertising reports. */
enum phy {
	PHY_1M = 1,
	PHY_2M = 2,
	PHY_CODED = 3, /* S=8, the coding that reaches farthest */
};

#define PHY_T_IFS_US  150 /* between a PDU and its answer (4.1.1) */
#define PHY_T_MAFS_US 300 /* shortest gap between an advertisement and its auxiliary PDU (4.1.2) */

#define PHY_PRIMARY_FIRST 37 /* channel indexes 37, 38, 39 are the primary advertising channels */
#define PHY_PRIMARY_LAST  39
#define PHY_DATA_CHANNELS 37 /* 0 to 36: data and secondary advertising channels */

/**
 * phy_air_time_us() - how long a PDU is on the air, preamble to CRC
 * @len: bytes of the PDU: header, payload and, when encrypted, MIC; without access address and CRC
 */
uint32_t phy_air_time_us(enum phy phy, size_t len);

/** phy_frequency_mhz() - centre of a channel index (1.4.1), 2402 to 2480 */
unsigned int phy_frequency_mhz(unsigned int channel);
