/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Controllers of the radio in one air on a virtual clock, each with a host that is a test: it sends commands as
 * hexadecimal text and keeps what comes back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/hci_pdu.h"
#include "aiobled/loop.h"

#include "air.h"
#include "controller.h"

#define BED_RADIOS  4
#define BED_PACKETS 8192 /* kept for each host; more are counted only */

struct bed_packet {
	uint64_t at_us;
	size_t len;
	uint8_t data[300];
};

struct bed_radio {
	struct controller *ctl;
	struct bed_packet *packets;
	size_t n, seen; /* @seen: looked at by bed_event() */
	/* the answer to the last command */
	uint8_t status;
	uint8_t ret[HCIP_EVENT_MAX];
	size_t ret_len;
};

struct bed {
	struct loop *loop;
	struct air *air;
	struct bed_radio radios[BED_RADIOS];
	size_t n;
};

void bed_init(struct bed *bed, uint64_t seed);
void bed_deinit(struct bed *bed);

/** bed_add() - one more controller; its public address is 00:AA:00:00:00:N+1. Event masks are open. */
struct bed_radio *bed_add(struct bed *bed, const char *profile);

/**
 * bed_cmd() - send a command and let it be answered
 * @params: hexadecimal text
 *
 * Return: the status of Command Complete or Status; its return parameters are in @r->ret. -1 without an answer.
 */
int bed_cmd(struct bed *bed, struct bed_radio *r, uint16_t opcode, const char *params);
int bed_cmd_bytes(struct bed *bed, struct bed_radio *r, uint16_t opcode, const void *params,
                  size_t len);

/** bed_event() - the next event with this code (for LE Meta: with this subevent) that was not looked at, or NULL */
const struct bed_packet *bed_event(struct bed_radio *r, uint8_t code, uint8_t subevent);

/** bed_reports() - all advertising reports since the last call; each is passed to @fn. Return: how many. */
size_t bed_reports(struct bed_radio *r,
                   void (*fn)(const struct hcip_report *report, uint64_t at_us, void *data),
                   void *data);

/** bed_forget() - what came so far was looked at */
void bed_forget(struct bed_radio *r);
