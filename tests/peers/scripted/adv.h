/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The advertiser. An emulated controller reports once when advertising is switched on, so repeating
 * is switching off and on; address and data may be different every time.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/loop.h"
#include "hci.h"

enum adv_kind { ADV_IND, ADV_DIRECT, ADV_SCAN, ADV_NONCONN };

struct adv {
	struct hci *hci;
	struct loop *loop;
	struct timer timer;
	bool extended_commands; /* what the controller has, unless the script insists */
	bool wanted;
	bool linked;
	bool set_up;
	enum adv_kind kind;
	bool extended_pdu;
	bool random;
	bool always; /* go on while connected */
	uint8_t address[6];
	unsigned int addresses; /* as many, counting up from address */
	char *data, *response;  /* templates */
	uint64_t period_us, next_us;
	uint32_t seq, count; /* reports made; stop after count, 0: never */
};

void adv_init(struct adv *a, struct hci *hci, struct loop *loop);
void adv_deinit(struct adv *a);

/** adv_apply() - {"data", "response", "address", "addresses", ...} or false. Return: 0 or -EINVAL
 */
int adv_apply(struct adv *a, struct json_object *spec);

/** adv_idle(), adv_link() - the controller has no command waiting; a link came or went */
void adv_idle(struct adv *a);
void adv_link(struct adv *a, bool linked);

/* --- bytes with holes, see tests/peers/README.md --- */

struct template_env {
	const uint8_t *request; /* the PDU that is answered */
	size_t request_len;
	uint32_t seq;
	uint16_t (*handle_of)(void *data, const char *uuid);
	void *data;
};

/** template_fill() - hexadecimal with {holes} as bytes. Return: 0 or -EINVAL */
int template_fill(const char *text, const struct template_env *env, uint8_t *ret, size_t size,
                  size_t *ret_len);

/** clock_us() - CLOCK_MONOTONIC now, not as of the start of this pass of the loop */
uint64_t clock_us(void);

/** address_parse() - "C0:11:22:33:44:55" as on the wire. Return: 0 or -EINVAL */
int address_parse(const char *text, uint8_t *ret);
