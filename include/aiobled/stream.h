/* SPDX-License-Identifier: MIT */
/*
 * Records on the SOCK_SEQPACKET descriptors that Scanner1.Open, Subscription1.Open, Characteristic1.OpenNotify and
 * Application1.Open hand out. One datagram is one record: this header, then its payload. All numbers are little-endian. This file is also for
 * clients.
 *
 *  offset  size  field
 *       0     1  type       STREAM_*
 *       1     1  flags      0
 *       2     2  handle     value handle of the characteristic; 0 for reports
 *       4     4  dropped    records lost between the one before and this one
 *       8     8  seq        number of the record within its object, from 1; lost ones are counted
 *      16     8  time_us    CLOCK_MONOTONIC when it was received
 *      24        payload
 *
 * STREAM_NOTIFIED, STREAM_INDICATED: the payload is the value.
 *
 * STREAM_REPORT:
 *      24     6  address, most significant byte first
 *      30     1  address type, 0 public, 1 random
 *      31     1  event type, 0 ind, 1 direct_ind, 2 scan_ind, 3 nonconn_ind, 4 scan_rsp
 *      32     1  bit 0 connectable, bit 1 scannable, bit 2 extended advertising
 *      33     1  RSSI in dBm, signed; 127 not measured
 *      34     1  tx power in dBm of the extended report, signed; 127 not known
 *      35     1  advertising set identifier; 0xff none
 *      36     1  primary PHY, 37 secondary PHY: 0 none, 1 1M, 2 2M, 3 Coded
 *      38     2  length of the advertising data, which follows at 42
 *      40     2  length of the scan response, which follows that; 0xffff none heard yet
 *
 * STREAM_JSON: the payload is a JSON object in UTF-8 with the keys of a report (dbus/org.aioble.Scanner1.xml). Byte arrays
 * are strings of hexadecimal digits; the keys of "manufacturer" are the company identifiers as decimal strings, those of
 * "service_data" UUIDs as they stand in "services".
 *
 * STREAM_WRITTEN, STREAM_SUBSCRIBED, STREAM_READ: events of an application; handle is that of the attribute. The connection
 * is the N of /org/aioble/hciN/conn/N, which is never used again; 0 when there is no object for it.
 *      24     8  connection
 * STREAM_WRITTEN:
 *      32        the value that was written
 * STREAM_SUBSCRIBED:
 *      32     1  bit 0 notifications, bit 1 indications; 0: no more
 * STREAM_READ:
 *      32     4  token, for Application1.AnswerRead
 *      36     8  deadline, CLOCK_MONOTONIC in microseconds
 *
 * STREAM_END: nothing comes after it. The payload is one byte, the HCI reason when the link went away and else 0, and then
 * the reason: "duration", "stopped", "released", "unregistered", "replaced" or the name of an error of org.aioble.Error.
 */
#pragma once

#define STREAM_HEADER_SIZE        24
#define STREAM_REPORT_HEADER_SIZE 42

enum {
	STREAM_NOTIFIED = 1,
	STREAM_INDICATED = 2,
	STREAM_REPORT = 3,
	STREAM_JSON = 4,
	STREAM_WRITTEN = 5,
	STREAM_SUBSCRIBED = 6,
	STREAM_READ = 7,
	STREAM_END = 0xff,
};
