/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Little-endian cursors over memory somebody else owns. A cursor that runs over its end turns bad and stays bad: reads
 * give zeroes, writes write nothing; check once with rd_ok()/wr_ok() at the end. Never cast received bytes to structs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct rd {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static inline struct rd rd_init(const void *data, size_t len)
{
	return (struct rd){ .p = data, .left = len };
}

/** rd_bytes() - the next @n bytes as a view into the buffer, or NULL (and the cursor bad) */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		r->left = 0;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t rd_le16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);

	return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

static inline uint32_t rd_le32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);

	return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

static inline uint64_t rd_le64(struct rd *r)
{
	uint64_t lo = rd_le32(r);

	return lo | (uint64_t)rd_le32(r) << 32;
}

/** rd_copy() - copy the next @n bytes to @dst; @dst is untouched when they are not there */
static inline void rd_copy(struct rd *r, void *dst, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	if (p && n)
		memcpy(dst, p, n);
}

/** rd_rest() - everything that is left, as a view (never NULL for a good cursor over non-NULL data) */
static inline const uint8_t *rd_rest(struct rd *r, size_t *ret_len)
{
	*ret_len = r->left;
	return rd_bytes(r, r->left);
}

static inline bool rd_ok(const struct rd *r)
{
	return !r->bad;
}

/** rd_end() - good, and nothing left over */
static inline bool rd_end(const struct rd *r)
{
	return !r->bad && r->left == 0;
}

struct wr {
	uint8_t *start, *p;
	size_t left;
	bool bad;
};

static inline struct wr wr_init(void *buf, size_t size)
{
	return (struct wr){ .start = buf, .p = buf, .left = size };
}

/** wr_space() - room for @n bytes to be filled by the caller, or NULL (and the cursor bad) */
static inline uint8_t *wr_space(struct wr *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->bad || n > w->left) {
		w->bad = true;
		return NULL;
	}
	w->p += n;
	w->left -= n;
	return p;
}

static inline void wr_bytes(struct wr *w, const void *data, size_t n)
{
	uint8_t *p = wr_space(w, n);

	if (p && n)
		memcpy(p, data, n);
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	wr_bytes(w, &v, 1);
}

static inline void wr_le16(struct wr *w, uint16_t v)
{
	uint8_t b[2] = { v & 0xff, v >> 8 };

	wr_bytes(w, b, sizeof(b));
}

static inline void wr_le32(struct wr *w, uint32_t v)
{
	uint8_t b[4] = { v & 0xff, v >> 8 & 0xff, v >> 16 & 0xff, v >> 24 };

	wr_bytes(w, b, sizeof(b));
}

static inline void wr_le64(struct wr *w, uint64_t v)
{
	wr_le32(w, (uint32_t)v);
	wr_le32(w, (uint32_t)(v >> 32));
}

static inline bool wr_ok(const struct wr *w)
{
	return !w->bad;
}

/** wr_len() - bytes written so far */
static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}
