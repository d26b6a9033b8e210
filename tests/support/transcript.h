/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test bed for ATT: our bearer and GATT client on one end of a socket pair, and a script that is
 * the peer.
 *
 * A script is rows separated by ';':
 *   > 0a 03 00       we must send exactly this PDU now
 *   < 0b 01 41*20    the peer sends this one (41*20: twenty bytes 0x41)
 *   ~ 1000           the clock moves on by so many milliseconds
 *   =                we must have nothing to send
 *   x                the peer hangs up
 * Every row is followed by the loop settling. At the end of a script nothing may be left unread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/att.h"
#include "aiobled/gatt_client.h"
#include "aiobled/loop.h"

#define BED_PDU_MAX 520

struct bed {
	struct loop *loop;
	struct att *att;
	struct gatt_client *gc;
	int peer;    /* the other end */
	bool filled; /* between bed_fill() and bed_drain() */
	/* what the bearer told */
	int values, indications, closed_count, closed_err, mtu_events;
	uint16_t value_handle;
	uint8_t value[BED_PDU_MAX];
	size_t value_len;
	void (*on_value)(struct bed *bed); /* may be NULL */
	void (*on_closed)(struct bed *bed);
};

/**
 * bed_open() - a bearer with @mtu in force (the peer asks for it) and a client on top; cmocka fails
 * when it cannot
 */
void bed_open(struct bed *bed, uint16_t mtu);
void bed_close(struct bed *bed);

/** bed_play() - run @script; @name is for the message when it fails */
void bed_play(struct bed *bed, const char *name, const char *script);

/**
 * bed_fill() - stop the kernel from taking more PDUs of ours; bed_drain() lets it go on and returns
 * how many there were
 */
void bed_fill(struct bed *bed);
int bed_drain(struct bed *bed);

/* What came out of one operation. */
struct outcome {
	int count, res;
	uint16_t handle, err_handle;
	uint8_t value[BED_PDU_MAX];
	size_t value_len;
};

/** hex_parse() - "0a 03 41*20" up to ';' or the end into @buf; the number of bytes */
size_t hex_parse(const char *s, const char **ret_end, uint8_t *buf, size_t size);
