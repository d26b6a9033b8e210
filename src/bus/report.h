/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An advertising report in its three forms: the binary payload of STREAM_REPORT, in which it is also kept, the a{sv} of
 * Scanner1, and JSON.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "aiobled/scan.h"

#include "stream.h"

#define REPORT_PART_MAX                                                                            \
	1650 /* advertising data of an extended advertiser: Core 5.4, Vol 4, Part E, 7.8.54 */
#define REPORT_HEAD 18
#define REPORT_MAX  (REPORT_HEAD + 2 * REPORT_PART_MAX)

/** report_pack() - the payload. Return: its length. */
size_t report_pack(const struct scan_report *report, uint8_t buf[REPORT_MAX]);

/** report_append() - one a{sv}. Return: < 0 when the message cannot take it. */
int report_append(sd_bus_message *m, const struct stream_record *record);

/** report_json() - a STREAM_JSON record, malloc'ed, or NULL */
struct stream_record *report_json(const struct stream_record *record);
