/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Database Hash (Core 5.4, Vol 3, Part G, 7.3.1): AES-CMAC with a key of zeroes over the attributes
 * that make up the structure, in the order of their handles. Values of characteristics are no part
 * of it.
 */
#include <nettle/cmac.h>

#include "gatt_db_priv.h"

/* Descriptors whose type counts and whose value does not: 0x2901 to 0x2905. */
static bool is_counted(const struct uuid *type)
{
	uint16_t n;

	return uuid_is16(type, &n) && n > UUID_EXTENDED && n <= 0x2905;
}

static void put_content(struct wr *w, const struct gatt_attr *a)
{
	uint16_t n;

	switch ((enum gatt_attr_kind)a->kind) {
	case GATT_ATTR_SERVICE:
		wr_uuid(w, &a->service->uuid);
		break;
	case GATT_ATTR_INCLUDE:
		wr_le16(w, a->included->handle);
		wr_le16(w, a->included->end_handle);
		if (uuid_is16(&a->included->uuid, &n))
			wr_le16(w, n);
		break;
	case GATT_ATTR_DECLARATION:
		wr_u8(w, a->local->properties);
		wr_le16(w, a->local->handle);
		wr_uuid(w, &a->local->uuid);
		break;
	case GATT_ATTR_DESCRIPTOR:
		if (uuid_equal16(&a->type, UUID_EXTENDED))
			wr_bytes(w, a->local->value, a->local->len);
		break;
	case GATT_ATTR_VALUE:
	case GATT_ATTR_CCCD:
		break;
	}
}

static bool is_part(const struct gatt_attr *a)
{
	switch ((enum gatt_attr_kind)a->kind) {
	case GATT_ATTR_SERVICE:
	case GATT_ATTR_INCLUDE:
	case GATT_ATTR_DECLARATION:
	case GATT_ATTR_CCCD:
		return true;
	case GATT_ATTR_DESCRIPTOR:
		return is_counted(&a->type) || uuid_equal16(&a->type, UUID_EXTENDED);
	case GATT_ATTR_VALUE:
		return false;
	}
	return false;
}

void gatt_db_hash(const struct gatt_db *db, uint8_t ret[GATT_HASH_LEN])
{
	static const uint8_t key[AES128_KEY_SIZE];
	uint8_t digest[GATT_HASH_LEN], row[32];
	struct cmac_aes128_ctx ctx;

	cmac_aes128_set_key(&ctx, key);
	for (size_t i = 0; i < db->rows.n; i++) {
		const struct gatt_attr *a = &db->rows.v[i];
		struct wr w = wr_init(row, sizeof(row));

		if (!is_part(a))
			continue;
		wr_le16(&w, a->handle);
		wr_uuid(&w, &a->type);
		put_content(&w, a);
		cmac_aes128_update(&ctx, wr_len(&w), row);
	}
	cmac_aes128_digest(&ctx, sizeof(digest), digest);
	for (size_t i = 0; i < GATT_HASH_LEN; i++)
		ret[i] = digest[GATT_HASH_LEN - 1 - i];
}
