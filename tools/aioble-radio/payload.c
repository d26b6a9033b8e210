/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small language of bytes: one pass over the text, one pass over the placeholders for each rendering. */
#include "payload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advertiser.h"

enum patch_kind {
	PATCH_COUNTER,
	PATCH_TIME,
	PATCH_INDEX,
	PATCH_RANDOM,
	PATCH_ADDRESS,
	PATCH_KINDS
};

static const char *const patch_names[PATCH_KINDS] = {"counter", "time", "index", "random",
                                                     "address"};

struct parser {
	const char *s;
	uint8_t bytes[ADV_DATA_MAX];
	size_t len, most;
	struct payload_patch patches[PAYLOAD_PATCHES_MAX];
	size_t n;
	bool open; /* inside an AD structure */
	size_t open_at;
	struct complaint *c;
};

static int put(struct parser *p, uint8_t byte)
{
	if (p->len == p->most)
		return complain(p->c, "", "is longer than %zu bytes", p->most);
	p->bytes[p->len++] = byte;
	return 0;
}

static int put_text(struct parser *p)
{
	for (p->s++; *p->s && *p->s != '\''; p->s++) {
		if (put(p, (uint8_t)*p->s) < 0)
			return -EINVAL;
	}
	if (!*p->s)
		return complain(p->c, "", "a ' is not closed");
	p->s++;
	return 0;
}

static int open_structure(struct parser *p)
{
	if (p->open)
		return complain(p->c, "", "a [ stands inside another");
	p->open = true;
	p->open_at = p->len;
	p->s++;
	return put(p, 0);
}

static int close_structure(struct parser *p)
{
	size_t len = p->len - p->open_at - 1;

	if (!p->open)
		return complain(p->c, "", "a ] has no [");
	if (len == 0 || len > UINT8_MAX)
		return complain(p->c, "", "a structure has %zu bytes, not 1 to 255", len);
	p->bytes[p->open_at] = (uint8_t)len;
	p->open = false;
	p->s++;
	return 0;
}

static int patch_kind(const char *s, size_t len)
{
	for (int k = 0; k < PATCH_KINDS; k++) {
		if (strlen(patch_names[k]) == len && memcmp(patch_names[k], s, len) == 0)
			return k;
	}
	return -EINVAL;
}

static bool read_len(const char *s, size_t n, int kind, struct payload_patch *ret)
{
	unsigned int len = 0, most = kind == PATCH_RANDOM ? UINT8_MAX : 8;

	ret->big_endian = n > 2 && memcmp(s + n - 2, "be", 2) == 0;
	if (ret->big_endian)
		n -= 2;
	if (n == 0 || n > 3)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		len = len * 10 + (unsigned int)(s[i] - '0');
	}
	ret->len = (uint8_t)len;
	return len >= 1 && len <= most;
}

static int put_patch(struct parser *p)
{
	const char *name = p->s + 1, *end = strchr(name, '}');
	size_t name_len = end ? strcspn(name, ":}") : 0;
	int kind = patch_kind(name, name_len);
	struct payload_patch patch = {
		.at = (uint16_t)p->len, .kind = (uint8_t)kind, .len = ADDR_LEN};

	if (!end || kind < 0)
		return complain(p->c, "", "\"%.20s\": no such placeholder", p->s);
	if (kind == PATCH_ADDRESS
	            ? name + name_len != end
	            : name[name_len] != ':' ||
	                      !read_len(name + name_len + 1, (size_t)(end - name) - name_len - 1,
	                                kind, &patch))
		return complain(p->c, "", "\"%.20s\": no such placeholder", p->s);
	if (p->n == PAYLOAD_PATCHES_MAX)
		return complain(p->c, "", "has more than %d placeholders", PAYLOAD_PATCHES_MAX);
	p->patches[p->n++] = patch;
	for (size_t i = 0; i < patch.len; i++) {
		if (put(p, 0) < 0)
			return -EINVAL;
	}
	p->s = end + 1;
	return 0;
}

static int put_hex(struct parser *p)
{
	char two[3] = {p->s[0], p->s[0] ? p->s[1] : 0};
	uint8_t byte;
	size_t n;

	if (!two[1] || two[0] == ' ' || two[1] == ' ' || hex_parse(two, &byte, 1, &n) < 0)
		return complain(p->c, "", "\"%.20s\": no hexadecimal byte", p->s);
	p->s += 2;
	return put(p, byte);
}

static int step(struct parser *p)
{
	switch (*p->s) {
	case ' ':
		p->s++;
		return 0;
	case '\'':
		return put_text(p);
	case '[':
		return open_structure(p);
	case ']':
		return close_structure(p);
	case '{':
		return put_patch(p);
	}
	return put_hex(p);
}

static int give(const struct parser *p, struct payload *ret)
{
	struct payload pl = {
		.bytes = malloc(p->len ? p->len : 1),
		.len = (uint16_t)p->len,
		.patches = malloc(p->n ? p->n * sizeof(*p->patches) : 1),
		.n = p->n,
	};

	if (!pl.bytes || !pl.patches) {
		payload_clear(&pl);
		return -ENOMEM;
	}
	memcpy(pl.bytes, p->bytes, p->len);
	memcpy(pl.patches, p->patches, p->n * sizeof(*p->patches));
	*ret = pl;
	return 0;
}

int payload_parse(const char *s, size_t most, struct payload *ret, struct complaint *c)
{
	struct parser p = {.s = s, .most = MIN(most, sizeof(p.bytes)), .c = c};

	while (*p.s) {
		if (step(&p) < 0)
			return -EINVAL;
	}
	if (p.open)
		return complain(c, "", "a [ is not closed");
	return give(&p, ret);
}

void payload_clear(struct payload *p)
{
	free(p->bytes);
	free(p->patches);
	*p = (struct payload){0};
}

static void put_number(const struct payload_patch *patch, uint64_t v, uint8_t *dst)
{
	for (unsigned int i = 0; i < patch->len; i++, v >>= 8)
		dst[patch->big_endian ? patch->len - 1 - i : i] = (uint8_t)v;
}

static void fill(const struct payload_patch *patch, const struct payload_vars *vars,
                 struct air *air, uint8_t *dst)
{
	switch ((enum patch_kind)patch->kind) {
	case PATCH_COUNTER:
		put_number(patch, vars->counter, dst);
		break;
	case PATCH_TIME:
		put_number(patch, vars->time_ms, dst);
		break;
	case PATCH_INDEX:
		put_number(patch, vars->index, dst);
		break;
	case PATCH_RANDOM:
		air_rand_bytes(air, dst, patch->len);
		break;
	case PATCH_ADDRESS:
		memcpy(dst, vars->addr->b, ADDR_LEN);
		break;
	case PATCH_KINDS:
		break;
	}
}

void payload_render(const struct payload *p, const struct payload_vars *vars, struct air *air,
                    uint8_t *dst)
{
	memcpy(dst, p->bytes, p->len);
	for (size_t i = 0; i < p->n; i++)
		fill(&p->patches[i], vars, air, dst + p->patches[i].at);
}
