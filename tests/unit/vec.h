/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Byte vectors of tests, written as hexadecimal text ("02 17 00"). Each lives in an allocation of exactly its size, so
 * that the sanitizer sees a parser that reads one byte too many.
 */
#pragma once

#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct vec {
	uint8_t *p;
	size_t len;
};

static inline uint8_t vec_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = strchr(digits, tolower((unsigned char)c));

	assert(c && at);
	return (uint8_t)(at - digits);
}

/** vec() - to be freed with free(v.p) */
static inline struct vec vec(const char *hex)
{
	struct vec v = {.p = malloc(strlen(hex) / 2 + 1)};

	assert(v.p);
	for (; *hex; hex++) {
		if (*hex == ' ')
			continue;
		v.p[v.len++] = (uint8_t)(vec_digit(hex[0]) << 4 | vec_digit(hex[1]));
		hex++;
	}
	v.p = realloc(v.p, v.len ? v.len : 1);
	assert(v.p);
	return v;
}

/** vec_prefix() - the first @len bytes in an allocation of their own */
static inline struct vec vec_prefix(const struct vec *v, size_t len)
{
	struct vec c = {.p = malloc(len ? len : 1), .len = len};

	assert(c.p && len <= v->len);
	memcpy(c.p, v->p, len);
	return c;
}
