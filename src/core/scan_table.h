/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the advertisers around said last: one entry for each address and advertising set, at most SCAN_DEVICES_MAX, the least
 * recently heard goes first. Entries are reused in place, so that strangers who change their address all the time cost no
 * allocation once the table is full.
 *
 * And the assembly of long extended advertising data from its fragments.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/ad.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/list.h"
#include "aiobled/scan.h"

#define SCAN_DATA_MAX                                                                              \
	1650 /* Core 5.4, Vol 4, Part E, 7.7.65.13: host advertising data of one set */
#define SCAN_FRAGMENTS_MAX    4      /* advertisers whose long data arrives interleaved */
#define SCAN_FRAGMENTS_MAX_US 500000 /* a longer pause between two fragments: the rest was lost */

/* Up to 31 bytes stand inside; memory for more is kept for the next time. */
struct scan_data {
	uint64_t time_us; /* when it was heard; 0: never */
	uint8_t *large;
	uint16_t large_size;
	uint16_t len;
	uint8_t small[AD_LEGACY_MAX];
};

struct scan_device {
	struct list heard;        /* table's, by time */
	struct scan_device *next; /* of the same bucket */
	uint32_t slot; /* index of the entry, < SCAN_DEVICES_MAX, for tables beside this one */
	uint32_t generation; /* not 0; another device in the same slot has another one */
	struct addr addr;
	uint8_t sid;
	uint8_t props; /* HCIP_ADV_* of its last advertisement */
	struct scan_data adv, rsp;
};

struct scan_table {
	struct list heard; /* least recent first */
	struct scan_device **slots;
	struct scan_device **buckets; /* as many as slots */
	uint32_t n, size;
	uint32_t generation;
};

void scan_table_init(struct scan_table *table);

/** scan_table_clear() - forget everything and free the memory */
void scan_table_clear(struct scan_table *table);

/** scan_table_get() - the entry, made when it is not there; it is the most recently heard now. NULL: no memory. */
struct scan_device *scan_table_get(struct scan_table *table, const struct addr *addr, uint8_t sid);

/** scan_data_set() - keep a copy. Return: 0; -EMSGSIZE, -ENOMEM: the old data stays. */
int scan_data_set(struct scan_data *data, const uint8_t *bytes, size_t len, uint64_t time_us);
void scan_data_clear(struct scan_data *data);

static inline const uint8_t *scan_data_bytes(const struct scan_data *data)
{
	return data->len > sizeof(data->small) ? data->large : data->small;
}

/* --- fragments --- */

struct scan_fragments {
	struct scan_assembly *slots; /* SCAN_FRAGMENTS_MAX, allocated with the first fragment */
};

/**
 * scan_assemble() - take one report
 *
 * Return: 1 when @report is whole now (its data may be a view into @fragments, valid until the next call); 0 when more is to
 * come; -EBADMSG when the advertiser's data is too long (told once, with its last fragment); -ENOMEM; -ENOBUFS when another
 * advertiser's half-assembled data had to give way (the report was taken).
 */
int scan_assemble(struct scan_fragments *fragments, struct hcip_report *report, uint64_t now_us);
void scan_fragments_clear(struct scan_fragments *fragments);
