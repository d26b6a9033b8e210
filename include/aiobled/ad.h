/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertising data, scan response data and EIR: a row of AD structures, each a length, a type and a
 * value (Core 5.4, Vol 3, Part C, 11; the types: CSS, Part A). Nothing here allocates; values are
 * views into the caller's payload.
 *
 * Whoever advertises decides what the bytes are. So: a zero length ends the payload, a last
 * structure that says more than is there yields what is there (marked as truncated), types repeat
 * and come in any order, and text is not text before ad_text() has made it so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/bytes.h"
#include "aiobled/uuid.h"

#define AD_LEGACY_MAX 31  /* advertising data or scan response of legacy PDUs */
#define AD_VALUE_MAX  254 /* what one structure can carry: the length byte counts the type too */

enum ad_type {
	AD_FLAGS = 0x01,
	AD_UUID16_SOME = 0x02,
	AD_UUID16_ALL = 0x03,
	AD_UUID32_SOME = 0x04,
	AD_UUID32_ALL = 0x05,
	AD_UUID128_SOME = 0x06,
	AD_UUID128_ALL = 0x07,
	AD_NAME_SHORT = 0x08,
	AD_NAME_COMPLETE = 0x09,
	AD_TX_POWER = 0x0a,
	AD_SOLICIT16 = 0x14,
	AD_SOLICIT128 = 0x15,
	AD_SERVICE_DATA16 = 0x16,
	AD_APPEARANCE = 0x19,
	AD_SOLICIT32 = 0x1f,
	AD_SERVICE_DATA32 = 0x20,
	AD_SERVICE_DATA128 = 0x21,
	AD_MANUFACTURER = 0xff,
};

/* Bits of the AD_FLAGS value (CSS, Part A, 1.3). */
enum {
	AD_FLAG_LIMITED = 0x01,
	AD_FLAG_GENERAL = 0x02,
	AD_FLAG_NO_BREDR = 0x04,
};

struct ad_field {
	uint8_t type;
	const uint8_t *data; /* view; @len bytes */
	size_t len;
	bool truncated; /* its length byte promised more */
};

/* A walk over one payload, or over advertising data and then its scan response. Copy it to start
 * again. */
struct ad_iter {
	struct rd part[2];
};

/** ad_iter() - over one payload (NULL with length 0 will do) */
struct ad_iter ad_iter(const uint8_t *data, size_t len);

/** ad_iter2() - over advertising data, then scan response data; each part ends on its own */
struct ad_iter ad_iter2(const uint8_t *adv, size_t adv_len, const uint8_t *rsp, size_t rsp_len);

/** ad_next() - the next structure, or false at the end. Every call consumes at least two bytes or
 * ends. */
bool ad_next(struct ad_iter *it, struct ad_field *ret);

/* The finders below take a walk by value: they look at what it has left and leave the caller's own
 * walk alone. */

/** ad_find() - the first structure of @type */
bool ad_find(struct ad_iter it, uint8_t type, struct ad_field *ret);

/** ad_name() - the first name, complete or shortened, whichever comes first; may be empty. Raw: see
 * ad_text(). */
bool ad_name(struct ad_iter it, struct ad_field *ret);

/** ad_flags() - the first Flags structure's first octet */
bool ad_flags(struct ad_iter it, uint8_t *ret);

/** ad_appearance() - the first whole Appearance */
bool ad_appearance(struct ad_iter it, uint16_t *ret);

/** ad_tx_power() - the first Tx Power Level */
bool ad_tx_power(struct ad_iter it, int8_t *ret_dbm);

/** ad_manufacturer_next() - the next Manufacturer Specific Data of two bytes at least; advances @it
 */
bool ad_manufacturer_next(struct ad_iter *it, uint16_t *ret_company, const uint8_t **ret_data,
                          size_t *ret_len);

/** ad_service_data_next() - the next Service Data of any UUID width that holds a whole UUID;
 * advances @it */
bool ad_service_data_next(struct ad_iter *it, struct uuid *ret_uuid, const uint8_t **ret_data,
                          size_t *ret_len);

/*
 * The advertised service UUIDs: all 16-bit lists of the walk, then all 32-bit, then all 128-bit
 * ones, in the order on air, repeats included. A partial UUID at the end of a list is passed over.
 */
struct ad_uuid_iter {
	struct ad_iter all, it;
	struct rd list;
	unsigned int width; /* bytes a UUID: 2, 4, 16; 0 when all is done */
};

struct ad_uuid_iter ad_uuid_iter(struct ad_iter it);
bool ad_uuid_next(struct ad_uuid_iter *u, struct uuid *ret);

/** ad_has_uuid() - does a list of services carry @uuid? */
bool ad_has_uuid(struct ad_iter it, const struct uuid *uuid);

#define AD_REPLACEMENT_LEN 3 /* U+FFFD in UTF-8 */

/* What ad_text() needs at most for @n bytes, the NUL included. */
#define AD_TEXT_SIZE(n) ((n)*AD_REPLACEMENT_LEN + 1)

/**
 * ad_text() - bytes from the air as a string that is safe on the bus
 * @dst: caller's, @size > 0 bytes; always ends with NUL. When it is too small the text ends at a
 * whole character.
 *
 * Valid UTF-8 is copied. Each malformed sequence (by maximal subparts, Unicode 15, 3.9, table 3-8),
 * each NUL inside, and each code point that D-Bus or its common implementations refuse (surrogates,
 * noncharacters) becomes one U+FFFD. NULs at the end are dropped: they are padding. No other
 * character is changed; control characters are the display's business.
 *
 * Return: the length of the string.
 */
size_t ad_text(const uint8_t *src, size_t len, char *dst, size_t size);

/* --- building: appended to a cursor over a buffer of the payload's size; a whole structure or
 * nothing --- */

/** ad_put() - one structure; the cursor turns bad when it does not fit or @len exceeds AD_VALUE_MAX
 */
void ad_put(struct wr *w, uint8_t type, const void *data, size_t len);

/** ad_fits() - would a structure with a value of @len bytes still fit? */
bool ad_fits(const struct wr *w, size_t len);

/** ad_uuid_width() - bytes of a UUID in its shortest form: 2, 4 or 16 */
unsigned int ad_uuid_width(const struct uuid *uuid);

/**
 * ad_put_uuids() - one complete list of those among @uuids that have exactly this width; nothing
 * when there are none
 * @width: 2, 4 or 16: the shortest form a UUID has
 */
void ad_put_uuids(struct wr *w, unsigned int width, const struct uuid *uuids, size_t n);

void ad_put_flags(struct wr *w, uint8_t flags);
void ad_put_name(struct wr *w, const char *name);
void ad_put_appearance(struct wr *w, uint16_t appearance);
void ad_put_manufacturer(struct wr *w, uint16_t company, const uint8_t *data, size_t len);
void ad_put_service_data(struct wr *w, const struct uuid *uuid, const uint8_t *data, size_t len);
