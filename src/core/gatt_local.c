/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The values of the local attribute table. Room for short ones is there from the start, so that the
 * writing of a sensor's few bytes never waits for memory; a longer one gets max_len at once.
 */
#include <errno.h>

#include "aiobled/att_pdu.h"

#include "gatt_db_priv.h"

#define SHORT_VALUE 32

/* Room for @len bytes, what is there is kept. */
static int make_room(struct gatt_local *local, size_t len)
{
	size_t size = len <= SHORT_VALUE ? MIN(local->max_len, SHORT_VALUE) : local->max_len;
	uint8_t *value;

	if (local->value && len <= local->size)
		return 0;
	value = realloc(local->value, size);
	if (!value)
		return -ENOMEM;
	local->value = value;
	local->size = (uint16_t)size;
	return 0;
}

int gatt_local_set(struct gatt_local *local, const void *value, size_t len)
{
	int r;

	if (local->value && uuid_equal16(&local->uuid, UUID_EXTENDED))
		return -EPERM; /* peers that know the table know it, and the hash is over it */
	if (len > local->max_len)
		return -EMSGSIZE;
	r = make_room(local, len);
	if (r < 0)
		return r;
	if (len)
		memmove(local->value, value, len); /* it may be a part of what is there */
	local->len = (uint16_t)len;
	return 0;
}

void gatt_local_clear(struct gatt_local *local)
{
	local->len = 0;
}

uint8_t gatt_local_put(struct gatt_local *local, const uint8_t *value, size_t len)
{
	size_t at = local->append ? local->len : 0, room = local->max_len - at;
	size_t cut = len > room ? len - room : 0;

	if (cut && !local->truncate)
		return ATT_ERR_INVALID_LENGTH;
	len -= cut;
	if (make_room(local, at + len) < 0)
		return ATT_ERR_RESOURCES;
	if (len)
		memcpy(local->value + at, value, len);
	local->len = (uint16_t)(at + len);
	local->truncated += cut;
	return 0;
}
