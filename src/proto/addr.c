/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text and numbers of device addresses. The text has the most significant byte first, struct addr
 * the least.
 */
#include "aiobled/addr.h"

#include <errno.h>
#include <stdio.h>

#include "hex.h"

int addr_parse(const char *s, uint8_t type, struct addr *ret)
{
	bool colons = strlen(s) == 17;
	struct addr a = {.type = type};
	int v;

	if (!colons && strlen(s) != 12)
		return -EINVAL;
	for (int i = ADDR_LEN - 1; i >= 0; i--) {
		v = hex_byte(s);
		if (v < 0)
			return -EINVAL;
		a.b[i] = (uint8_t)v;
		s += 2;
		if (colons && i > 0 && *s++ != ':')
			return -EINVAL;
	}
	*ret = a;
	return 0;
}

const char *addr_format(const struct addr *a, char buf[ADDR_STR_MAX])
{
	(void)snprintf(buf, ADDR_STR_MAX, "%02X:%02X:%02X:%02X:%02X:%02X", a->b[5], a->b[4],
	               a->b[3], a->b[2], a->b[1], a->b[0]);
	return buf;
}

int addr_type_parse(const char *s, uint8_t *ret)
{
	if (strcmp(s, "public") == 0)
		*ret = ADDR_PUBLIC;
	else if (strcmp(s, "random") == 0)
		*ret = ADDR_RANDOM;
	else
		return -EINVAL;
	return 0;
}

const char *addr_type_name(uint8_t type)
{
	return type == ADDR_PUBLIC ? "public" : "random";
}

enum addr_kind addr_kind(const struct addr *a)
{
	if (a->type == ADDR_PUBLIC)
		return ADDR_KIND_PUBLIC;
	switch (a->b[5] >> 6) {
	case 3:
		return ADDR_KIND_STATIC;
	case 1:
		return ADDR_KIND_RESOLVABLE;
	case 0:
		return ADDR_KIND_NON_RESOLVABLE;
	}
	return ADDR_KIND_RESERVED;
}

uint32_t addr_hash(const struct addr *a)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < ADDR_LEN; i++)
		h = (h ^ a->b[i]) * 16777619u;
	return (h ^ a->type) * 16777619u;
}

int addr_type_from_mgmt(uint8_t mgmt_type, uint8_t *ret)
{
	if (mgmt_type != 1 && mgmt_type != 2)
		return -EINVAL;
	*ret = mgmt_type - 1;
	return 0;
}
