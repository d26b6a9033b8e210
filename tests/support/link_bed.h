/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts on controllers of aioble-radio, over a virtual clock: commands in, events and data out, byte by byte.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/hci_pdu.h"
#include "aiobled/loop.h"

#include "controller.h"

#define BED_HOSTS_MAX  16
#define BED_EVENTS_MAX 512

struct bed_event {
	uint8_t code, sub; /* sub: of LE Meta */
	uint8_t data[255]; /* after them */
	size_t len;
	uint64_t at_us; /* of the air */
};

struct bed_host {
	struct link_bed *bed;
	struct controller *ctl;
	struct bed_event events[BED_EVENTS_MAX];
	size_t n_events;
	int status;       /* of the last command */
	uint8_t ret[255]; /* its return parameters */
	size_t ret_len;
	bool congested;
	unsigned int completed; /* packets given back, all links together */
	uint64_t rx_packets, rx_bytes, last_rx_us;
	/* data as it comes, with its ACL header; may be NULL */
	void (*acl)(struct bed_host *h, uint16_t head, const uint8_t *data, size_t len);
	/* events that are counted already; may be NULL */
	void (*event)(struct bed_host *h, const struct bed_event *e);
	void *data;
};

struct link_bed {
	struct loop *loop;
	struct air *air;
	struct bed_host hosts[BED_HOSTS_MAX];
	unsigned int n;
};

void bed_open(struct link_bed *bed, uint64_t seed);
void bed_close(struct link_bed *bed);

/** bed_host() - one more, with all events unmasked but Enhanced Connection Complete; named host0, host1, ... */
struct bed_host *bed_host(struct link_bed *bed, const char *profile);

void bed_unplug(struct bed_host *h);
void bed_run(struct link_bed *bed, uint32_t ms);
uint64_t bed_now_us(struct link_bed *bed);

/** bed_cmd() - Return: the status it was answered with; -1: no answer */
int bed_cmd(struct bed_host *h, uint16_t opcode, const void *params, size_t len);
#define BED_CMD(h, opcode, ...)                                                                    \
	bed_cmd(h, opcode, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/** bed_take() - the oldest event of a kind, which is forgotten; NULL: none. Valid until the next call. */
const struct bed_event *bed_take(struct bed_host *h, uint8_t code, uint8_t sub);

/** bed_need() - the same; its lack fails the test */
const struct bed_event *bed_need(struct bed_host *h, uint8_t code, uint8_t sub);
void bed_forget(struct bed_host *h);

void bed_send(struct bed_host *h, uint16_t handle, const void *data, size_t len);

/** bed_advertise() - ADV_IND every 20 ms */
void bed_advertise(struct bed_host *h);

struct bed_link {
	uint16_t interval, latency, timeout; /* 1.25 ms, -, 10 ms */
};

/** bed_create() - LE Create Connection to the public address of @to, scanning all the time */
int bed_create(struct bed_host *h, const struct bed_host *to, const struct bed_link *l);

/** bed_connect() - until both hosts know the link */
void bed_connect(struct bed_host *central, struct bed_host *peripheral, const struct bed_link *l,
                 uint16_t *ret_central, uint16_t *ret_peripheral);

/** bed_disconnected() - the reason of a Disconnection Complete of @handle, or -1 */
int bed_disconnected(struct bed_host *h, uint16_t handle);
