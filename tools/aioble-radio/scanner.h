/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiving side of scanning and initiating: windows, and a scanner that turns PDUs into reports (Core 5.4, Vol 6,
 * Part B, 4.4.3).
 *
 * A window is a pure function of time; a scanner has no timer but the one that bounds a wait for an auxiliary PDU.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"

#include "air.h"

/* When and where a receiver listens on the primary channels: one channel an interval, 37, 38, 39 in turn. */
struct scan_window {
	uint64_t start_us; /* since when; never before */
	uint8_t first;     /* 0 to 2: which of the channels comes first */
	uint32_t interval_us, window_us;
	uint8_t phy;
};

/** scan_window_hears() - is the whole PDU inside a window, on its channel and PHY? */
bool scan_window_hears(const struct scan_window *w, const struct air_pdu *pdu);

/* An auxiliary PDU that was pointed to: the receiver will be there. */
struct aux_wait {
	const struct radio *from; /* NULL: none */
	uint64_t start_us;
	uint8_t channel, phy;
};

#define AUX_WAIT_SLACK_US 320 /* an AuxPtr tells multiples of 30 or 300 us */

/** aux_wait_for() - what the AuxPtr in @ext, carried by @pdu, points to */
struct aux_wait aux_wait_for(const struct air_pdu *pdu, const struct pdu_ext *ext);

/** aux_wait_hears() - is @pdu the one? */
bool aux_wait_hears(const struct aux_wait *w, const struct air_pdu *pdu);

/* --- scanning --- */

#define SCANNER_AUX_MAX 32   /* extended advertisers followed at a time */
#define SCANNER_DUP_MAX 4096 /* advertisers the duplicate filter remembers; a power of two */

#define SCANNER_LAG_US 10000

struct scan_report {
	struct addr addr;   /* as on the air */
	struct addr target; /* of directed PDUs */
	bool anonymous, directed;
	uint8_t props;           /* HCIP_ADV_* */
	uint8_t kind;            /* enum hcip_adv_kind */
	uint8_t status;          /* enum hcip_data_status */
	int8_t rssi_dbm, tx_dbm; /* HCIP_DBM_UNKNOWN */
	uint8_t primary_phy, secondary_phy, sid;
	const uint8_t *data;
	size_t len;
};

struct scanner;

struct scanner_ops {
	/* is this advertiser to be heard at all (accept list, target)? On true *@ret_identity is who it is. */
	bool (*allows)(struct scanner *s, const struct air_pdu *pdu, const struct addr *adv_a,
	               const struct addr *target, struct addr *ret_identity);
	/* the address scan requests to @peer (as on the air) carry; false: none can be sent */
	bool (*own_addr)(struct scanner *s, const struct addr *peer, struct addr *ret);
	void (*report)(struct scanner *s, const struct scan_report *report,
	               const struct addr *identity);
};

/* An extended advertiser that is being followed from one PDU to the next. */
struct scanner_aux {
	struct aux_wait wait; /* .from NULL: free */
	struct addr adv_a, target, identity;
	bool has_adv_a, has_target, known; /* @known: its first auxiliary PDU has come */
	bool response;                     /* the wait is for (the rest of) a scan response */
	bool reported;                     /* a part of its data was: the host waits for the rest */
	uint8_t mode, sid, primary_phy;
	uint16_t did;
	int8_t tx_dbm;
};

/* A legacy scan response that is due. */
struct scanner_rsp {
	struct aux_wait wait;
	struct addr adv_a, identity;
	uint8_t props;
};

struct scanner {
	struct air_listener listener;
	const struct scanner_ops *ops;
	void *data;
	bool on, filter_duplicates;
	bool extended; /* hears ADV_EXT_IND and what follows; else it is as if they were not there */
	bool active[2];               /* per PHY: 1M, coded */
	struct scan_window window[2]; /* interval 0: not that PHY */
	/* backoff of scan requests (4.4.3.2) */
	unsigned int backoff_limit, backoff_count;
	unsigned int successes, failures;
	struct scanner_rsp rsp;
	struct scanner_aux aux[SCANNER_AUX_MAX];
	struct air_timer expiry; /* of the earliest wait for an auxiliary PDU */
	uint64_t *seen;          /* SCANNER_DUP_MAX hashes; 0: free */
	struct {
		uint64_t heard, duplicates, requests, responses, aux_missed, aux_dropped;
	} stats;
};

int scanner_init(struct scanner *s, struct radio *radio, const struct scanner_ops *ops, void *data);
void scanner_deinit(struct scanner *s);

/**
 * scanner_start() - windows run from now on; known advertisers stay known
 *
 * Within SCANNER_LAG_US, and from any channel on: clocks of the simulated air do not drift, so that two scanners which began
 * in step would stay in step and spoil each other's requests for ever.
 */
void scanner_start(struct scanner *s);
void scanner_stop(struct scanner *s);
void scanner_forget_duplicates(struct scanner *s);
