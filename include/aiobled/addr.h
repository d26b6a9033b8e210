/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Bluetooth LE device address and its type. Bytes are kept as on the wire, least significant
 * first: text is the other way round. The type has HCI numbering everywhere in this program; the
 * kernel's mgmt channel and sockets count from one more, and only the two conversions below may
 * know that.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum addr_type {
	ADDR_PUBLIC = 0,
	ADDR_RANDOM = 1,
};

/* What a random address is, by its two most significant bits (Core 5.4, Vol 6, Part B, 1.3.2). */
enum addr_kind {
	ADDR_KIND_PUBLIC,
	ADDR_KIND_STATIC,         /* 0b11: constant from power-up to power-down at least */
	ADDR_KIND_RESOLVABLE,     /* 0b01: resolvable private (RPA); an IRK tells whose */
	ADDR_KIND_NON_RESOLVABLE, /* 0b00: non-resolvable private (NRPA) */
	ADDR_KIND_RESERVED,       /* 0b10 */
};

struct addr {
	uint8_t b[6];
	uint8_t type; /* enum addr_type */
};

#define ADDR_LEN     6
#define ADDR_STR_MAX 18

/**
 * addr_parse() - read "AA:BB:CC:DD:EE:FF" or "AABBCCDDEEFF", any case
 * @type: stored as the type; the text does not tell
 *
 * Return: 0, or -EINVAL with *@ret untouched.
 */
int addr_parse(const char *s, uint8_t type, struct addr *ret);

/** addr_format() - upper case with colons, without the type. Return: @buf. */
const char *addr_format(const struct addr *a, char buf[ADDR_STR_MAX]);

/** addr_type_parse() - "public" or "random". Return: 0 or -EINVAL. */
int addr_type_parse(const char *s, uint8_t *ret);

/** addr_type_name() - "public" or "random"; every value but ADDR_PUBLIC is random */
const char *addr_type_name(uint8_t type);

/** addr_kind() - what sort of address this is; by type first, then by the two most significant bits
 */
enum addr_kind addr_kind(const struct addr *a);

/** addr_hash() - for hash tables of this process; mixes the type in */
uint32_t addr_hash(const struct addr *a);

/** addr_from_bytes() - six wire bytes; HCI types 2 and 3 (identity resolved by the controller)
 * become 0 and 1 */
static inline struct addr addr_from_bytes(const uint8_t b[ADDR_LEN], uint8_t hci_type)
{
	struct addr a = {.type = hci_type & 1};

	memcpy(a.b, b, ADDR_LEN);
	return a;
}

static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->type == b->type && memcmp(a->b, b->b, ADDR_LEN) == 0;
}

/** addr_is_any() - all six bytes zero: "no address" in the kernel's interfaces */
static inline bool addr_is_any(const struct addr *a)
{
	static const uint8_t zero[ADDR_LEN];

	return memcmp(a->b, zero, ADDR_LEN) == 0;
}

/** addr_type_to_mgmt() - 0/1 to the kernel's BDADDR_LE_PUBLIC 1 / BDADDR_LE_RANDOM 2 (mgmt and
 * sockaddr_l2) */
static inline uint8_t addr_type_to_mgmt(uint8_t type)
{
	return (type & 1) + 1;
}

/** addr_type_from_mgmt() - the way back. Return: 0, or -EINVAL for what is no LE type (0 is
 * BR/EDR). */
int addr_type_from_mgmt(uint8_t mgmt_type, uint8_t *ret);
