/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Observer. Each scanner has its own parameters, filters, duplicate policy and end; the controller runs one scan with what
 * all of an adapter's scanners need together. The controller's scan is stopped by others (a connect, mgmt discovery), so it
 * is a state machine that always comes back to what is wanted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"
#include "aiobled/cleanup.h"
#include "aiobled/uuid.h"

struct adapter;
struct scanner;

#define SCAN_INTERVAL_US_DEFAULT 1280000
#define SCAN_WINDOW_US_DEFAULT   11250
#define SCAN_INTERVAL_US_MIN     2500     /* 4 units of 625 us: Core 5.4, Vol 4, Part E, 7.8.10 */
#define SCAN_INTERVAL_US_MAX     40959375 /* 0xffff units; scanned with at most 10.24 s, the legacy command's limit */
#define SCANNERS_MAX             64       /* of an adapter */
#define SCAN_RSSI_NONE           127
#define SCAN_RSSI_ANY            (-128)
#define SCAN_FILTER_VALUES_MAX   256
#define SCAN_DEVICES_MAX         4096 /* advertisers whose last data is remembered, per adapter; least recent goes first */

enum scan_event_type { SCAN_IND, SCAN_DIRECT_IND, SCAN_SCAN_IND, SCAN_NONCONN_IND, SCAN_RSP };

enum scan_duplicates {
	SCAN_DUPLICATES_ALL,
	/* type, data or RSSI differ from what this scanner was last told of the device; advertisements and responses apart */
	SCAN_DUPLICATES_CHANGED,
	SCAN_DUPLICATES_FIRST, /* once a device and kind of packet (advertisement, scan response) */
};

/*
 * One packet from the air. A device here is an address and an advertising set. A scanner sees what was said since it began, and
 * scan responses only when it is active itself: other scanners do not change its picture. adv and rsp are the last of each;
 * rsp goes when the device stops to be scannable. Data of a device that fell out of the table, of SCAN_DEVICES_MAX, is forgotten, and
 * that it was told of is, too. In a scan response connectable and scannable are those of the advertisement before it.
 */

struct scan_report {
	struct addr addr;
	enum scan_event_type type;
	bool connectable, scannable, extended;
	int8_t rssi_dbm;      /* SCAN_RSSI_NONE: not measured */
	int8_t tx_power_dbm;  /* 127: not known */
	uint8_t sid;          /* 0xff: none */
	uint8_t primary_phy, secondary_phy; /* 0 none, 1 1M, 2 2M, 3 Coded */
	uint64_t time_us;
	const uint8_t *adv; /* the device's last advertising data; NULL: none heard */
	size_t adv_len;
	const uint8_t *rsp; /* its last scan response; NULL: none heard */
	size_t rsp_len;
};

/*
 * Every filter that is given must pass; one of its values is enough. The advertisement and the scan response are judged together.
 * Arrays, at most SCAN_FILTER_VALUES_MAX long each, are borrowed by scanner_new() and copied.
 */
struct scan_filter {
	const struct uuid *uuids;
	size_t n_uuids;
	const char *const *names; /* shell patterns, UTF-8: '*', '?', '[a-z]', '[!a]', '\\'; on the name as ad_text() gives it */
	size_t n_names;
	const struct addr *addrs; /* type 0xff: either type */
	size_t n_addrs;
	const uint16_t *companies;
	size_t n_companies;
	int8_t rssi_min_dbm; /* SCAN_RSSI_ANY: any; else reports without RSSI do not pass */
};

struct scan_params {
	uint32_t duration_ms; /* 0: until stopped */
	uint32_t interval_us, window_us;
	bool active;
	enum scan_duplicates duplicates;
	struct scan_filter filter;
};

enum scanner_state {
	SCANNER_WAITING, /* the controller has not scanned for it yet */
	SCANNER_RUNNING,
	SCANNER_PAUSED, /* somebody else has the scan engine, a connect usually; it comes back by itself */
	SCANNER_FINISHED,
};

struct scanner_events {
	/* a report that passed; valid during the call; the scanner may be freed inside */
	void (*report)(struct scanner *scanner, const struct scan_report *report, void *data);
	/* WAITING, RUNNING, PAUSED: changed; not told of FINISHED. May be NULL. The scanner may be freed inside. */
	void (*state)(struct scanner *scanner, void *data);
	/*
	 * Once: 0 the duration is over; -ENETDOWN; -ENODEV; -ECANCELED the daemon stops; RES_HCI(status), -ETIMEDOUT: the controller
	 * refuses to scan. No report follows. The owner still has to free it, here or later, the adapter may be gone by then.
	 */
	void (*finished)(struct scanner *scanner, int res, void *data);
};

/**
 * scanner_new() - start scanning
 *
 * The radio is turned on first when our own adapter_power(off) turned it off; while the adapter is starting it waits.
 * duration_ms counts from the moment the controller scans for the first time.
 *
 * Return: 0; -EINVAL (interval, window, number of filter values), -ENOBUFS (SCANNERS_MAX), -ENETDOWN (adapter_reason()), -ENOMEM.
 */
int scanner_new(struct adapter *adapter, const struct scan_params *params, const struct scanner_events *events, void *data,
		struct scanner **ret);
struct scanner *scanner_free(struct scanner *scanner);
DEFINE_CLEANUP(struct scanner *, scanner_free)

enum scanner_state scanner_state(const struct scanner *scanner);
const struct scan_params *scanner_params(const struct scanner *scanner);
uint64_t scanner_received(const struct scanner *scanner); /* reports of the controller while this scanner ran */
