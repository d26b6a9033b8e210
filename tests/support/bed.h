/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test bed for scanning and links: a ready adapter without its bring-up, over socketpairs behind which this file plays
 * the controller (raw channel), the kernel (mgmt) and the peers (ATT channels). Time is virtual.
 *
 * What the daemon does is written down as words in bed.log: "off", "params(active 96/48)", "on" for the scan, "load 01" for
 * Load Connection Parameters of the peer whose first byte is 01, "connect 01", "drop 01" for mgmt Disconnect, "list" for Get
 * Connections, "release" for Stop Discovery, "hci-drop 0040". bed_said() compares and clears.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../../src/core/adapter_priv.h"

#define BED_CHANNELS_MAX 128

/* One connect() of the daemon. */
struct bed_channel {
	struct addr peer;
	int fd;        /* our end; -1: the link is gone */
	int daemon_fd; /* its end, for the kernel's calls */
	int result;
	uint16_t handle;
};

struct bed {
	struct loop *loop;
	struct adapter adapter;
	struct manager_config config;
	struct kernel kernel;
	struct loop_io hci_io, mgmt_io;
	int hci_fd, mgmt_fd;
	char log[8192];
	/* the controller */
	uint16_t refuse_opcode; /* answered with refuse_status, refuse_count times */
	uint8_t refuse_status;
	int refuse_count;
	bool mute_hci;
	unsigned int hci_commands;
	/* the kernel */
	int connect_error, connect_errors; /* att_connect() fails with this, so often */
	bool deaf;                         /* does not scan for the peers of pending connects */
	uint8_t discovery_type;            /* expected in Stop Discovery */
	uint8_t release_status;            /* of Stop Discovery */
	uint8_t drop_status;
	bool mute_drop;  /* mgmt Disconnect is not answered */
	bool quiet_drop; /* answered, but there is no Disconnection Complete */
	struct addr connected[8];
	size_t n_connected;
	uint8_t level, key_size;
	uint16_t loaded[4];      /* last connection parameters: min, max, latency, timeout */
	uint16_t handle_of[256]; /* by the peer's first byte */
	struct bed_channel channels[BED_CHANNELS_MAX];
	size_t n_channels;
	/* the adapter's listener */
	unsigned int conns_added, changed;
	struct conn *last_conn;
	int want_result; /* of adapter_want() */
};

/** bed_new() - the adapter is still starting */
struct bed *bed_new(void);
void bed_up(struct bed *bed);
void bed_down(struct bed *bed, enum adapter_state state, int err);
void bed_free(struct bed *bed);

/** bed_said() - fails the test unless the log is @words; then clears it */
void bed_said(struct bed *bed, const char *words);

void bed_run(struct bed *bed, uint32_t ms);

/* --- the controller speaks --- */

void bed_event(struct bed *bed, uint8_t code, const void *params, size_t len);

/** bed_foreign_scan() - the kernel's own Set Scan Enable completes */
void bed_foreign_scan(struct bed *bed);
void bed_report(struct bed *bed, const struct addr *addr, uint8_t kind, int8_t rssi,
                const void *data, size_t len);

/** bed_ext_report() - @props as on the wire, data status in bits 5 and 6 */
void bed_ext_report(struct bed *bed, const struct addr *addr, uint16_t props, uint8_t sid,
                    const void *data, size_t len);
void bed_conn_complete(struct bed *bed, uint8_t status, uint16_t handle, const struct addr *peer,
                       uint8_t role);
void bed_features(struct bed *bed, uint8_t status, uint16_t handle);
void bed_disconnected(struct bed *bed, uint16_t handle, uint8_t reason);
void bed_conn_updated(struct bed *bed, uint16_t handle, uint16_t interval, uint16_t latency,
                      uint16_t timeout);
void bed_encrypted(struct bed *bed, uint16_t handle);

/* --- the kernel speaks --- */

void bed_mgmt_disconnected(struct bed *bed, const struct addr *peer, uint8_t reason);

/** bed_channel() - the newest connect of @peer that is open, or NULL */
struct bed_channel *bed_channel(struct bed *bed, const struct addr *peer);

/** bed_channel_closed() - by the daemon */
bool bed_channel_closed(const struct bed_channel *channel);
void bed_channel_up(struct bed_channel *channel, uint16_t handle);
void bed_channel_fail(struct bed_channel *channel, int err);

/** bed_channel_die() - the link behind it is gone */
void bed_channel_die(struct bed_channel *channel);

/** bed_link_up() - everything a new link causes: Connection Complete, features, usable channel */
void bed_link_up(struct bed *bed, const struct addr *peer, uint16_t handle);

/** bed_link_down() - and the end of one */
void bed_link_down(struct bed *bed, const struct addr *peer, uint16_t handle, uint8_t reason);

/** bed_addr() - a random static address that begins (on the wire) with @n */
struct addr bed_addr(uint8_t n);
