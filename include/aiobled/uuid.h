/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A UUID, always kept as 128 bits, little-endian; the short ones the SIG assigns are expanded over
 * the Base UUID, so a UUID compares equal to its own expansion and plain comparison of bytes is
 * equality (Core 5.4, Vol 3, Part B, 2.5.1).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "aiobled/bytes.h"

struct uuid {
	uint8_t b[16];
};

#define UUID_STR_MAX  37
#define UUID_WIRE_MAX 16

/* An initialiser for tables: static const struct uuid x = UUID16_INIT(0x180d); */
#define UUID16_INIT(n)                                                                             \
	{                                                                                          \
		{                                                                                  \
			0xfb, 0x34, 0x9b, 0x5f, 0x80, 0x00, 0x00, 0x80, 0x00, 0x10, 0x00, 0x00,    \
				(n)&0xff, (n) >> 8 & 0xff, 0x00, 0x00                              \
		}                                                                                  \
	}

struct uuid uuid_from16(uint16_t n);
struct uuid uuid_from32(uint32_t n);

/**
 * uuid_from_bytes() - from the little-endian forms of ATT and advertising data
 * @len: 2, 4 or 16
 *
 * Return: 0, or -EINVAL for any other length.
 */
int uuid_from_bytes(const uint8_t *b, size_t len, struct uuid *ret);

/** uuid_is16() - does it have a 16-bit form? @ret (may be NULL) receives that */
bool uuid_is16(const struct uuid *u, uint16_t *ret);

/** uuid_is32() - does it have a 32-bit form? True for the 16-bit ones too. */
bool uuid_is32(const struct uuid *u, uint32_t *ret);

/**
 * uuid_parse() - from text, any case
 *
 * Accepted: four or eight hexadecimal digits ("180d", "0000180d"), each with or without "0x", and
 * the 36 characters of the full form with its four dashes.
 *
 * Return: 0, or -EINVAL with *@ret untouched.
 */
int uuid_parse(const char *s, struct uuid *ret);

/**
 * uuid_format() - the shortest form, lower case: "180d", "12345678", or the full form of 36
 * characters
 *
 * Return: @buf; uuid_parse() reads it back.
 */
const char *uuid_format(const struct uuid *u, char buf[UUID_STR_MAX]);

/** uuid_format_full() - always the 36 characters, lower case. Return: @buf. */
const char *uuid_format_full(const struct uuid *u, char buf[UUID_STR_MAX]);

/**
 * uuid_wire() - as ATT wants it: 2 bytes when there is a 16-bit form, else 16 (never 4: Core 5.4,
 * Vol 3, Part F, 3.2.1)
 *
 * Return: 2 or 16, the number of bytes put at @buf.
 */
size_t uuid_wire(const struct uuid *u, uint8_t buf[UUID_WIRE_MAX]);

/** uuid_hash() - for hash tables of this process */
uint32_t uuid_hash(const struct uuid *u);

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool uuid_equal16(const struct uuid *u, uint16_t n)
{
	struct uuid o = UUID16_INIT(n);

	return uuid_equal(u, &o);
}

/** wr_uuid() - append the form of uuid_wire() */
static inline void wr_uuid(struct wr *w, const struct uuid *u)
{
	uint8_t b[UUID_WIRE_MAX];
	size_t n = uuid_wire(u, b);

	wr_bytes(w, b, n);
}
