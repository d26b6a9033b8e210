/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertising data as people write them: hexadecimal bytes, 'text', [AD structures] whose length is counted for them, and
 * {placeholders} that are filled in anew for each advertising event:
 *
 *	"[01 06] [09 'Belt'] [ff ffff {counter:2}]"
 *
 * {counter:N} counts the changes, {time:N} is the air's time in milliseconds, {index:N} the number of the address in its
 * group, {random:N} N random bytes, {address} the six bytes of the address. N is 1 to 8 (random: 1 to 255) bytes, least
 * significant first, with "be" behind it ({counter:4be}) most significant first.
 */
#pragma once

#include "aiobled/addr.h"

#include "keys.h"

struct air;

#define PAYLOAD_PATCHES_MAX 32

struct payload_patch {
	uint16_t at;
	uint8_t len;
	uint8_t kind;
	bool big_endian;
};

struct payload {
	uint8_t *bytes;
	uint16_t len;
	struct payload_patch *patches;
	size_t n;
};

struct payload_vars {
	uint32_t counter, index;
	uint64_t time_ms;
	const struct addr *addr;
};

/** payload_parse() - @most: bytes it may have. Return: 0, -EINVAL with *@c filled in (without a key), or -ENOMEM. */
int payload_parse(const char *s, size_t most, struct payload *ret, struct complaint *c);
void payload_clear(struct payload *p);

/** payload_render() - into @dst, which has room for p->len bytes */
void payload_render(const struct payload *p, const struct payload_vars *vars, struct air *air,
                    uint8_t *dst);
