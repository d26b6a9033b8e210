/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An advertising set on the air: its events, their PDUs, answers to scan requests (Core 5.4, Vol 6, Part B, 4.4.2). A
 * controller's sets and scripted advertisers are both made of it.
 *
 * An event starts after the interval and 0 to 10 ms at random and sends one PDU on each primary channel in use;
 * extended ones send their auxiliary PDUs afterwards, all three pointing to the same. One timer carries it through.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"

#include "air.h"

#define ADV_DELAY_MAX_US     10000   /* advDelay (4.4.2.2.1) */
#define ADV_DATA_MAX         1650    /* Vol 4, Part E, 7.8.54 */
#define ADV_HIGH_DUTY_US     3750    /* spacing of high duty cycle directed events (4.4.2.4.3) */
#define ADV_HIGH_DUTY_MAX_US 1280000 /* and how long they go on */

enum adv_props { /* as in LE Set Extended Advertising Parameters (Vol 4, Part E, 7.8.53) */
	         ADV_CONNECTABLE = 0x01,
	         ADV_SCANNABLE = 0x02,
	         ADV_DIRECTED = 0x04,
	         ADV_HIGH_DUTY = 0x08,
	         ADV_LEGACY = 0x10,
	         ADV_ANONYMOUS = 0x20,
	         ADV_WITH_TX_POWER = 0x40,
};

enum adv_end {
	ADV_END_DURATION, /* its time is over */
	ADV_END_EVENTS,   /* its number of events is over */
};

struct advertiser;

struct advertiser_ops {
	/* before each event: set adv->addr and adv->target anew when they change with time. May be NULL. */
	void (*refresh)(struct advertiser *adv);
	/* may @peer, an address as on the air, have a scan response, or a link? NULL: everybody may. */
	bool (*allows_scan)(struct advertiser *adv, const struct addr *peer);
	bool (*allows_connect)(struct advertiser *adv, const struct addr *peer);
	/* a scan request was answered. May be NULL. */
	void (*scanned)(struct advertiser *adv, const struct addr *peer);
	/* a connection request for us; on true the advertiser has to be stopped (not freed) by the callee */
	bool (*connect)(struct advertiser *adv, const struct air_pdu *ind);
	/* stopped by itself; may be restarted inside. May be NULL. */
	void (*ended)(struct advertiser *adv, enum adv_end why);
};

struct advertiser {
	struct radio *radio;
	const struct advertiser_ops *ops; /* may be NULL */
	void *data;                       /* of the owner of @ops */
	/* settings: change them while it is off (data and addr: any time) */
	uint16_t props; /* enum adv_props */
	struct addr addr, target;
	uint32_t interval_us;
	uint8_t channels; /* bits 0 to 2: channel index 37 to 39 */
	uint8_t primary_phy, secondary_phy, sid;
	bool channel_sel_2; /* says so in connectable legacy PDUs */
	int8_t tx_dbm;
	uint32_t duration_us; /* 0: until stopped */
	uint8_t max_events;   /* 0: any number; extended only */
	/* payloads; advertiser_set_data(), advertiser_set_response() */
	uint8_t *adv_data, *rsp_data;
	uint16_t adv_len, rsp_len, did;
	/* state */
	bool on;
	bool with_aux;     /* this event has auxiliary PDUs */
	uint8_t step;      /* which PDU of the event is next: 0 to 2 primary, then ADV_STEP_* */
	bool chain_of_rsp; /* the chain continues a scan response */
	uint8_t aux_channel;
	uint16_t chain_at; /* bytes of the payload that went out already */
	uint32_t events;   /* since it is on */
	uint64_t started_us, event_us, aux_us;
	struct air_timer timer;
};

void advertiser_init(struct advertiser *adv, struct radio *radio, const struct advertiser_ops *ops,
                     void *data);
void advertiser_deinit(struct advertiser *adv);

/** advertiser_set_data() - Return: 0, -EMSGSIZE or -ENOMEM (nothing changed) */
int advertiser_set_data(struct advertiser *adv, const uint8_t *data, size_t len);
int advertiser_set_response(struct advertiser *adv, const uint8_t *data, size_t len);

/** advertiser_start() - the first event follows at once, or within the random delay; starting again starts anew */
void advertiser_start(struct advertiser *adv);
void advertiser_stop(struct advertiser *adv);
