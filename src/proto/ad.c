/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AD structures: length 1 (type and value), type 1, value. Everything found here was chosen by
 * whoever advertises: the only promises are those of ad_next(), so the finders go through it and
 * through nothing else.
 */
#include "aiobled/ad.h"

#include "aiobled/cleanup.h"

struct ad_iter ad_iter2(const uint8_t *adv, size_t adv_len, const uint8_t *rsp, size_t rsp_len)
{
	return (struct ad_iter){.part = {rd_init(adv, adv_len), rd_init(rsp, rsp_len)}};
}

struct ad_iter ad_iter(const uint8_t *data, size_t len)
{
	return ad_iter2(data, len, NULL, 0);
}

/* The next structure of one payload; false ends that payload for good. */
static bool next_in(struct rd *r, struct ad_field *ret)
{
	size_t n = r->left > 1 ? rd_u8(r) : 0;

	if (n == 0) {
		r->left = 0;
		return false;
	}
	ret->type = rd_u8(r);
	n--;
	ret->truncated = n > r->left;
	ret->len = MIN(n, r->left);
	ret->data = rd_bytes(r, ret->len);
	return true;
}

bool ad_next(struct ad_iter *it, struct ad_field *ret)
{
	return next_in(&it->part[0], ret) || next_in(&it->part[1], ret);
}

bool ad_find(struct ad_iter it, uint8_t type, struct ad_field *ret)
{
	struct ad_field f;

	while (ad_next(&it, &f)) {
		if (f.type == type) {
			*ret = f;
			return true;
		}
	}
	return false;
}

bool ad_name(struct ad_iter it, struct ad_field *ret)
{
	struct ad_field f;

	while (ad_next(&it, &f)) {
		if (f.type == AD_NAME_SHORT || f.type == AD_NAME_COMPLETE) {
			*ret = f;
			return true;
		}
	}
	return false;
}

/* The first structure of @type whose value has @n bytes at least. */
static bool find_long(struct ad_iter it, uint8_t type, size_t n, struct rd *ret)
{
	struct ad_field f;

	while (ad_next(&it, &f)) {
		if (f.type == type && f.len >= n) {
			*ret = rd_init(f.data, f.len);
			return true;
		}
	}
	return false;
}

bool ad_flags(struct ad_iter it, uint8_t *ret)
{
	struct rd r;

	if (!find_long(it, AD_FLAGS, 1, &r))
		return false;
	*ret = rd_u8(&r);
	return true;
}

bool ad_appearance(struct ad_iter it, uint16_t *ret)
{
	struct rd r;

	if (!find_long(it, AD_APPEARANCE, 2, &r))
		return false;
	*ret = rd_le16(&r);
	return true;
}

bool ad_tx_power(struct ad_iter it, int8_t *ret_dbm)
{
	struct rd r;

	if (!find_long(it, AD_TX_POWER, 1, &r))
		return false;
	*ret_dbm = (int8_t)rd_u8(&r);
	return true;
}

bool ad_manufacturer_next(struct ad_iter *it, uint16_t *ret_company, const uint8_t **ret_data,
                          size_t *ret_len)
{
	struct ad_field f;
	struct rd r;

	while (ad_next(it, &f)) {
		if (f.type != AD_MANUFACTURER || f.len < 2)
			continue;
		r = rd_init(f.data, f.len);
		*ret_company = rd_le16(&r);
		*ret_data = rd_rest(&r, ret_len);
		return true;
	}
	return false;
}

/* Bytes of the UUID in front of service data of this type; 0: no service data. */
static size_t service_data_width(uint8_t type)
{
	switch (type) {
	case AD_SERVICE_DATA16:
		return 2;
	case AD_SERVICE_DATA32:
		return 4;
	case AD_SERVICE_DATA128:
		return 16;
	}
	return 0;
}

bool ad_service_data_next(struct ad_iter *it, struct uuid *ret_uuid, const uint8_t **ret_data,
                          size_t *ret_len)
{
	struct ad_field f;
	struct rd r;
	size_t width;

	while (ad_next(it, &f)) {
		width = service_data_width(f.type);
		r = rd_init(f.data, f.len);
		if (width == 0 || f.len < width ||
		    uuid_from_bytes(rd_bytes(&r, width), width, ret_uuid) < 0)
			continue;
		*ret_data = rd_rest(&r, ret_len);
		return true;
	}
	return false;
}

/* Bytes a UUID in a list of services of this type; 0: no such list. */
static size_t uuid_list_width(uint8_t type)
{
	switch (type) {
	case AD_UUID16_SOME:
	case AD_UUID16_ALL:
		return 2;
	case AD_UUID32_SOME:
	case AD_UUID32_ALL:
		return 4;
	case AD_UUID128_SOME:
	case AD_UUID128_ALL:
		return 16;
	}
	return 0;
}

struct ad_uuid_iter ad_uuid_iter(struct ad_iter it)
{
	return (struct ad_uuid_iter){.all = it, .it = it, .width = 2};
}

/* Moves to the next list of the present width, then of the next width; false after the last. */
static bool next_uuid_list(struct ad_uuid_iter *u)
{
	struct ad_field f;

	while (u->width) {
		while (ad_next(&u->it, &f)) {
			if (uuid_list_width(f.type) != u->width)
				continue;
			u->list = rd_init(f.data, f.len);
			return true;
		}
		u->it = u->all;
		u->width = u->width == 2 ? 4 : u->width == 4 ? 16 : 0;
	}
	return false;
}

bool ad_uuid_next(struct ad_uuid_iter *u, struct uuid *ret)
{
	while (u->list.left < u->width || u->width == 0) {
		if (!next_uuid_list(u))
			return false;
	}
	return uuid_from_bytes(rd_bytes(&u->list, u->width), u->width, ret) == 0;
}

bool ad_has_uuid(struct ad_iter it, const struct uuid *uuid)
{
	struct ad_uuid_iter u = ad_uuid_iter(it);
	struct uuid found;

	while (ad_uuid_next(&u, &found)) {
		if (uuid_equal(&found, uuid))
			return true;
	}
	return false;
}

/* --- text --- */

static const char replacement[] = "\xef\xbf\xbd";

/*
 * The well-formed sequences by their lead byte: how many bytes follow, and the range of the first
 * of them, which is where overlong forms, surrogates and what lies beyond U+10FFFF are refused
 * (Unicode 15, 3.9, table 3-7).
 */
struct utf8_lead {
	uint8_t first, last, tail, min, max;
};

static const struct utf8_lead leads[] = {
	{0x01, 0x7f, 0, 0, 0},       {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf},
	{0xe1, 0xec, 2, 0x80, 0xbf}, {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf},
	{0xf0, 0xf0, 3, 0x90, 0xbf}, {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
};

static const struct utf8_lead *utf8_lead(uint8_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(leads); i++) {
		if (c >= leads[i].first && c <= leads[i].last)
			return &leads[i];
	}
	return NULL;
}

/* U+FDD0 to U+FDEF, and the last two of each plane: valid UTF-8 that common D-Bus libraries refuse
 * all the same. */
static bool is_noncharacter(const uint8_t *s, size_t n)
{
	if (n == 3 && s[0] == 0xef && s[1] == 0xb7)
		return s[2] >= 0x90 && s[2] <= 0xaf;
	if (n == 3)
		return s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe;
	return n == 4 && (s[1] & 0x0f) == 0x0f && s[2] == 0xbf && s[3] >= 0xbe;
}

/* Measures what is at @s: *@ret_good says whether to copy it or to write a replacement for all of
 * it. */
static size_t utf8_step(const uint8_t *s, size_t left, bool *ret_good)
{
	const struct utf8_lead *lead = utf8_lead(s[0]);
	size_t n = 1;

	*ret_good = false;
	if (!lead)
		return 1;
	for (; n <= lead->tail; n++) {
		uint8_t min = n == 1 ? lead->min : 0x80, max = n == 1 ? lead->max : 0xbf;

		if (n >= left || s[n] < min || s[n] > max)
			return n;
	}
	*ret_good = !is_noncharacter(s, n);
	return n;
}

size_t ad_text(const uint8_t *src, size_t len, char *dst, size_t size)
{
	struct wr w = wr_init(dst, size - 1);
	size_t n;
	bool good;

	while (len > 0 && src[len - 1] == 0)
		len--;
	for (; len > 0 && wr_ok(&w); src += n, len -= n) {
		n = utf8_step(src, len, &good);
		if (good)
			wr_bytes(&w, src, n);
		else
			wr_bytes(&w, replacement, AD_REPLACEMENT_LEN);
	}
	dst[wr_len(&w)] = '\0';
	return wr_len(&w);
}

/* --- building --- */

bool ad_fits(const struct wr *w, size_t len)
{
	return wr_ok(w) && len <= AD_VALUE_MAX && w->left >= 2 + len;
}

/* The head of a structure with @len bytes to come; false, and the cursor bad, when they would not
 * fit. */
static bool put_head(struct wr *w, uint8_t type, size_t len)
{
	if (!ad_fits(w, len)) {
		w->bad = true;
		return false;
	}
	wr_u8(w, (uint8_t)(len + 1));
	wr_u8(w, type);
	return true;
}

void ad_put(struct wr *w, uint8_t type, const void *data, size_t len)
{
	if (put_head(w, type, len))
		wr_bytes(w, data, len);
}

unsigned int ad_uuid_width(const struct uuid *u)
{
	if (uuid_is16(u, NULL))
		return 2;
	return uuid_is32(u, NULL) ? 4 : 16;
}

/* The shortest form, as it stands in a list; ATT has no 32-bit form, advertising data has. */
static void put_shortest(struct wr *w, const struct uuid *u)
{
	unsigned int width = ad_uuid_width(u);

	wr_bytes(w, width == 16 ? u->b : u->b + 12, width);
}

void ad_put_uuids(struct wr *w, unsigned int width, const struct uuid *uuids, size_t n)
{
	uint8_t type = width == 2 ? AD_UUID16_ALL : width == 4 ? AD_UUID32_ALL : AD_UUID128_ALL;
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += ad_uuid_width(&uuids[i]) == width;
	if (count == 0 || !put_head(w, type, count * width))
		return;
	for (size_t i = 0; i < n; i++) {
		if (ad_uuid_width(&uuids[i]) == width)
			put_shortest(w, &uuids[i]);
	}
}

void ad_put_flags(struct wr *w, uint8_t flags)
{
	ad_put(w, AD_FLAGS, &flags, 1);
}

void ad_put_name(struct wr *w, const char *name)
{
	ad_put(w, AD_NAME_COMPLETE, name, strlen(name));
}

void ad_put_appearance(struct wr *w, uint16_t appearance)
{
	if (put_head(w, AD_APPEARANCE, 2))
		wr_le16(w, appearance);
}

void ad_put_manufacturer(struct wr *w, uint16_t company, const uint8_t *data, size_t len)
{
	if (len > AD_VALUE_MAX || !put_head(w, AD_MANUFACTURER, 2 + len)) {
		w->bad = true;
		return;
	}
	wr_le16(w, company);
	wr_bytes(w, data, len);
}

void ad_put_service_data(struct wr *w, const struct uuid *uuid, const uint8_t *data, size_t len)
{
	unsigned int width = ad_uuid_width(uuid);
	uint8_t type = width == 2   ? AD_SERVICE_DATA16
	               : width == 4 ? AD_SERVICE_DATA32
	                            : AD_SERVICE_DATA128;

	if (len > AD_VALUE_MAX || !put_head(w, type, width + len)) {
		w->bad = true;
		return;
	}
	put_shortest(w, uuid);
	wr_bytes(w, data, len);
}
