/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pictures of what happens, for tshark and its kin, all in one folder:
 *
 *  - NAME.btsnoop for each controller: its HCI packets (datalink 1002, H4). A controller that is plugged in again goes on
 *    in the file of its name.
 *  - air.pcap: every PDU on the air with its channel, access address, PHY and CRC (link type 256,
 *    LINKTYPE_BLUETOOTH_LE_LL_WITH_PHDR), as strong as a receiver would hear it that has the air's default loss to everybody.
 *
 * Times are air time, counted from the wall clock's time at the start.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "air.h"

#define SNOOP_FILES_MAX                                                                            \
	256 /* controllers with different names; later ones are not recorded, but counted */

struct snoop;
struct pcap;
struct capture;

struct capture_stats {
	uint64_t files, records;
	uint64_t lost;       /* records that could not be written */
	uint64_t unrecorded; /* controllers for which there was no file */
};

/**
 * capture_new() - @dir is made when it is not there
 * @epoch_us: Unix time in microseconds at which the air's time was 0
 *
 * Return: 0 or -errno of making the folder or air.pcap.
 */
int capture_new(struct air *air, const char *dir, int64_t epoch_us, struct capture **ret);
struct capture *capture_free(struct capture *c);

/** capture_epoch_us() - @epoch_us for air time that runs from the wall clock's now */
int64_t capture_epoch_us(struct air *air);

const char *capture_dir(const struct capture *c);
struct capture_stats capture_stats(const struct capture *c);
void capture_flush(struct capture *c);

/* Its two halves (snoop.c, pcap.c); capture_new() starts both. */
int snoop_new(struct air *air, const char *dir, int64_t epoch_us, struct snoop **ret);
struct snoop *snoop_free(struct snoop *s);
void snoop_count(const struct snoop *s, struct capture_stats *stats);
void snoop_flush(struct snoop *s);

int pcap_new(struct air *air, const char *path, int64_t epoch_us, struct pcap **ret);
struct pcap *pcap_free(struct pcap *p);
void pcap_count(const struct pcap *p, struct capture_stats *stats);
void pcap_flush(struct pcap *p);
