/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Air times, from the packet formats. The uncoded PHYs send preamble (one octet, two on 2M), access address, PDU and CRC
 * at one rate; the coded one sends preamble, access address, coding indicator and first terminator always at S=8.
 */
#include "phy.h"

#define ACCESS_ADDR_LEN 4
#define CRC_LEN         3

uint32_t phy_air_time_us(enum phy phy, size_t len)
{
	uint32_t octets = ACCESS_ADDR_LEN + (uint32_t)len + CRC_LEN;

	switch (phy) {
	case PHY_1M:
		return (1 + octets) * 8;
	case PHY_2M:
		return (2 + octets) * 4;
	case PHY_CODED:
		/* 80 preamble, 32 access address bits, 2 coding indicator, 3 + 3 terminator bits; 8 us a bit */
		return 80 + (32 + 2 + 3) * 8 + ((uint32_t)len + CRC_LEN) * 64 + 3 * 8;
	}
	return 0;
}

unsigned int phy_frequency_mhz(unsigned int channel)
{
	switch (channel) {
	case 37:
		return 2402;
	case 38:
		return 2426;
	case 39:
		return 2480;
	}
	/* 0 to 10 lie below the second advertising channel, 11 to 36 above it */
	return (channel <= 10 ? 2404 : 2406) + 2 * channel;
}
