/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UUIDs: expansion over the Base UUID 00000000-0000-1000-8000-00805f9b34fb, and text. Bytes here
 * are little-endian, so the short number sits at index 12.
 */
#include "aiobled/uuid.h"

#include <errno.h>
#include <stdio.h>

#include "hex.h"

#define SHORT_AT 12 /* bytes before this one are the Base UUID's in every SIG UUID */

static const struct uuid base = UUID16_INIT(0);

struct uuid uuid_from32(uint32_t n)
{
	struct uuid u = base;
	struct wr w = wr_init(u.b + SHORT_AT, 4);

	wr_le32(&w, n);
	return u;
}

struct uuid uuid_from16(uint16_t n)
{
	return uuid_from32(n);
}

int uuid_from_bytes(const uint8_t *b, size_t len, struct uuid *ret)
{
	struct rd r = rd_init(b, len);

	switch (len) {
	case 2:
		*ret = uuid_from16(rd_le16(&r));
		return 0;
	case 4:
		*ret = uuid_from32(rd_le32(&r));
		return 0;
	case 16:
		rd_copy(&r, ret->b, sizeof(ret->b));
		return 0;
	}
	return -EINVAL;
}

bool uuid_is32(const struct uuid *u, uint32_t *ret)
{
	struct rd r = rd_init(u->b + SHORT_AT, 4);

	if (memcmp(u->b, base.b, SHORT_AT) != 0)
		return false;
	if (ret)
		*ret = rd_le32(&r);
	return true;
}

bool uuid_is16(const struct uuid *u, uint16_t *ret)
{
	uint32_t n;

	if (!uuid_is32(u, &n) || n > UINT16_MAX)
		return false;
	if (ret)
		*ret = (uint16_t)n;
	return true;
}

/* @digits hexadecimal digits and nothing after them. */
static int parse_short(const char *s, size_t digits, struct uuid *ret)
{
	uint32_t n = 0;

	for (size_t i = 0; i < digits; i++) {
		int v = hex_digit(s[i]);

		if (v < 0)
			return -EINVAL;
		n = n << 4 | (uint32_t)v;
	}
	*ret = uuid_from32(n);
	return 0;
}

static int parse_full(const char *s, struct uuid *ret)
{
	struct uuid u;
	int v;

	for (int i = 15; i >= 0; i--) {
		if ((i == 11 || i == 9 || i == 7 || i == 5) && *s++ != '-')
			return -EINVAL;
		v = hex_byte(s);
		if (v < 0)
			return -EINVAL;
		u.b[i] = (uint8_t)v;
		s += 2;
	}
	*ret = u;
	return 0;
}

int uuid_parse(const char *s, struct uuid *ret)
{
	size_t len = strlen(s);

	if (len == 36)
		return parse_full(s, ret);
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		s += 2;
		len -= 2;
	}
	return len == 4 || len == 8 ? parse_short(s, len, ret) : -EINVAL;
}

const char *uuid_format(const struct uuid *u, char buf[UUID_STR_MAX])
{
	uint32_t n;

	if (!uuid_is32(u, &n))
		return uuid_format_full(u, buf);
	(void)snprintf(buf, UUID_STR_MAX, n > UINT16_MAX ? "%08x" : "%04x", n);
	return buf;
}

/* By hand: a database has hundreds, and sixteen conversions by snprintf() were a third of the work of telling one. */
const char *uuid_format_full(const struct uuid *u, char buf[UUID_STR_MAX])
{
	static const char digits[] = "0123456789abcdef";
	char *p = buf;

	for (int i = (int)sizeof(u->b) - 1; i >= 0; i--) {
		*p++ = digits[u->b[i] >> 4];
		*p++ = digits[u->b[i] & 15];
		if (i == 12 || i == 10 || i == 8 || i == 6)
			*p++ = '-';
	}
	*p = '\0';
	return buf;
}

size_t uuid_wire(const struct uuid *u, uint8_t buf[UUID_WIRE_MAX])
{
	size_t len = uuid_is16(u, NULL) ? 2 : 16;

	memcpy(buf, len == 2 ? u->b + SHORT_AT : u->b, len);
	return len;
}

uint32_t uuid_hash(const struct uuid *u)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < sizeof(u->b); i++)
		h = (h ^ u->b[i]) * 16777619u;
	return h;
}
