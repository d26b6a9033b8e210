/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One controller: brought up LE-only over mgmt, each step read back; owner of its scanners, attempts and links.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "aiobled/addr.h"
#include "aiobled/list.h"
#include "aiobled/op.h"

struct adapter;
struct conn;
struct gatt_server;

enum adapter_state {
	ADAPTER_STARTING, /* being brought up; work that arrives waits for the end of it */
	ADAPTER_READY,
	ADAPTER_OFF,     /* powered off, by us (adapter_power) or from outside */
	ADAPTER_BLOCKED, /* rfkill */
	ADAPTER_FAILED,  /* a bring-up step was refused or never answered: adapter_reason() */
};

struct adapter_stats {
	uint64_t reports, reports_dropped;
	uint64_t connects, connect_failures, connect_retries, disconnects;
	uint64_t accepts, accept_failures; /* links made by peers; those that came to nothing: one too many, or down at once */
	uint64_t new_keys; /* of pairings: one each, two of the old kind */
	uint64_t pairing_failures, pairings_refused; /* refused by us: there is nobody to look at numbers */
	uint64_t commands, command_timeouts, events_malformed, scan_restarts; /* commands: on the raw HCI channel */
	uint64_t foreign_changes; /* what other programs did to the adapter: settings, discovery */
};

struct adapter_events {
	/* state, power, address, conflict, links or scanning changed */
	void (*changed)(struct adapter *adapter, void *data);
	/* a link is up and its ATT bearer usable; before the done() of those who asked for it */
	void (*conn_added)(struct adapter *adapter, struct conn *conn, void *data);
};

/** adapter_set_events() - one listener: the bus; may be set inside manager_events.adapter_added() */
void adapter_set_events(struct adapter *adapter, const struct adapter_events *events, void *data);

struct adapter *adapter_from_link(struct list *adapter_link);
uint16_t adapter_index(const struct adapter *adapter);
const char *adapter_name(const struct adapter *adapter); /* "hci0" */
const struct addr *adapter_addr(const struct adapter *adapter);
enum adapter_state adapter_state(const struct adapter *adapter);
const char *adapter_reason(const struct adapter *adapter);   /* "" when ready */
const char *adapter_conflict(const struct adapter *adapter); /* "" when alone */
bool adapter_powered(const struct adapter *adapter);
bool adapter_extended_scan(const struct adapter *adapter);
bool adapter_scanning(const struct adapter *adapter);
uint8_t adapter_hci_version(const struct adapter *adapter);
uint16_t adapter_manufacturer(const struct adapter *adapter);
uint32_t adapter_links_in_use(const struct adapter *adapter);
uint32_t adapter_links_max(const struct adapter *adapter); /* 0: not known */
void adapter_get_stats(const struct adapter *adapter, struct adapter_stats *ret);

/** adapter_gatt_server() - the adapter's own, as long as it lives: what is registered outlasts a radio that is off */
struct gatt_server *adapter_gatt_server(const struct adapter *adapter);

/**
 * adapter_power() - turn the radio on or off
 *
 * Off ends every scanner with -ENETDOWN, attempt with -ENETDOWN and link. The state is read back and the command repeated
 * while links are going down (linux.md part 1).
 *
 * done(): 0, -ETIMEDOUT, -ENODEV, RES_MGMT(0x12) when blocked by rfkill, RES_MGMT(status).
 */
int adapter_power(struct adapter *adapter, bool on, struct op *op, uint32_t timeout_ms);

/**
 * adapter_await_ready() - wait for the end of bring-up; turns the radio on when our own adapter_power(off) turned it off
 *
 * done(): 0; -ENETDOWN (off from outside, blocked, failed: adapter_reason()), -ENODEV, -ETIMEDOUT.
 */
int adapter_await_ready(struct adapter *adapter, struct op *op, uint32_t timeout_ms);
