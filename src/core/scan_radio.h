/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The controller's one scan: what is wanted against what is.
 *
 * The kernel and other programs use the same scan engine. A connect makes the kernel replace our scan by its own passive one,
 * and the end of that leaves scanning off; mgmt discovery does the same. Whoever did it, the raw channel shows a completion
 * of Set Scan Enable that is not ours: then, once it has been quiet for SCAN_SETTLE_US, our scan is made again from the
 * beginning (disable, parameters, enable: enable alone would re-use the kernel's parameters).
 *
 * Linux 6.12 takes an active scan, whoever made it, for its own discovery, and does not notice that it ends; as long as it
 * believes in a discovery it does not scan for the peers of pending connects. So the end of ours is followed by mgmt Stop
 * Discovery, which sets that right.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "aiobled/hci_chan.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/list.h"
#include "aiobled/loop.h"
#include "aiobled/mgmt.h"

struct adapter;

#define SCAN_SETTLE_US     50000  /* quiet time after somebody else used the scan engine */
#define SCAN_SETTLE_MAX_US 500000 /* others that never become quiet are not waited for longer */
#define SCAN_INITIATING_US                                                                         \
	1000000 /* while the kernel creates a connection the radio is left to it, but not for ever */
#define SCAN_SILENCE_US                                                                            \
	30000000 /* no report for so long: the controller may have lost the scan; made again */
#define SCAN_BACKOFF_US 50000 /* after a refusal; doubles */
#define SCAN_TRIES_MAX  8     /* refusals in a row that end the scanners */

enum scan_radio_state {
	RADIO_DOWN,      /* the adapter is not ready */
	RADIO_IDLE,      /* nothing wanted; the scan engine is left alone */
	RADIO_SETTLING,  /* wanted, but somebody else had the scan engine just now, or it refused */
	RADIO_DISABLING, /* the beginning of every (re)start */
	RADIO_CONFIGURING,
	RADIO_ENABLING,
	RADIO_ON,
	RADIO_STOPPING,
	RADIO_RELEASING, /* telling the kernel that there is no discovery any more */
};

struct scan_want {
	bool on;
	bool active;
	bool filter_duplicates;
	uint16_t interval, window; /* units of 0.625 ms */
};

struct scan_radio {
	struct adapter *adapter;
	enum scan_radio_state state;
	struct scan_want want, have; /* have: sent last */
	struct hci_cmd cmd;
	uint16_t cmd_opcode;
	struct timer timer; /* settling; silence */
	bool paused;        /* lost to somebody else and not back yet */
	bool disturbed;     /* somebody else used the scan engine while we were setting it up */
	bool initiating;    /* the kernel is creating a connection */
	bool marked; /* there was an active scan, and the kernel may believe in a discovery since */
	uint8_t discovery_type; /* as the kernel calls it */
	struct mgmt_cmd release;
	uint64_t others_us; /* when somebody else last used the scan engine */
	unsigned int tries;
	uint64_t settle_limit_us, heard_us;
	struct list stoppers;                      /* ops that wait for RADIO_IDLE or RADIO_DOWN */
	void (*changed)(struct scan_radio *radio); /* running or paused is another now */
	/* SCAN_TRIES_MAX refusals; the radio wants nothing any more */
	void (*failed)(struct scan_radio *radio, int res);
};

void scan_radio_init(struct scan_radio *radio, struct adapter *adapter,
                     void (*changed)(struct scan_radio *radio),
                     void (*failed)(struct scan_radio *radio, int res));
void scan_radio_up(struct scan_radio *radio);
void scan_radio_down(struct scan_radio *radio);

/** scan_radio_want() - what the scanners need now; takes effect at once unless the engine is busy */
void scan_radio_want(struct scan_radio *radio, const struct scan_want *want);

/** scan_radio_event() - every event of the raw channel: notices what others do to the scan engine */
void scan_radio_event(struct scan_radio *radio, const struct hcip_event *ev);

/** scan_radio_discovering() - mgmt's Discovering, which may well mean our own scan */
void scan_radio_discovering(struct scan_radio *radio, uint8_t type, bool on);

/** scan_radio_heard() - a report came: it is alive */
void scan_radio_heard(struct scan_radio *radio);

/** scan_radio_holds() - the scan engine runs for us, or is about to: the kernel's own scan is not there */
static inline bool scan_radio_holds(const struct scan_radio *radio)
{
	return radio->state != RADIO_DOWN && radio->state != RADIO_IDLE &&
	       radio->state != RADIO_SETTLING;
}

/** scan_radio_stop() - done(0) when the controller is not scanning for us any more; want must be off */
void scan_radio_stop(struct scan_radio *radio, struct op *op);
