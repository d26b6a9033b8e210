/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hexadecimal text with holes: {start} and {handle} are the first two bytes behind the opcode of
 * the request, {end} the two behind those, {op} its opcode, {next} start plus seq plus 1, {seq} and
 * {time} a u32 and a u64 (microseconds, CLOCK_MONOTONIC), {h:UUID} the handle of a value, {fill:N}
 * N bytes counting up.
 */
#include "adv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aiobled/bytes.h"
#include "gatt.h"

static uint16_t word(const struct template_env *env, size_t at)
{
	if (!env->request || env->request_len < at + 2)
		return 0;
	return env->request[at] | env->request[at + 1] << 8;
}

uint64_t clock_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* always there */
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int fill_hole(const char *name, const struct template_env *env, struct wr *w)
{
	if (!strcmp(name, "start") || !strcmp(name, "handle"))
		wr_le16(w, word(env, 1));
	else if (!strcmp(name, "end"))
		wr_le16(w, word(env, 3));
	else if (!strcmp(name, "next"))
		wr_le16(w, word(env, 1) + env->seq + 1);
	else if (!strcmp(name, "op"))
		wr_u8(w, env->request_len ? env->request[0] : 0);
	else if (!strcmp(name, "seq"))
		wr_le32(w, env->seq);
	else if (!strcmp(name, "time"))
		wr_le64(w, clock_us());
	else if (!strncmp(name, "h:", 2) && env->handle_of)
		wr_le16(w, env->handle_of(env->data, name + 2));
	else if (!strncmp(name, "fill:", 5))
		for (long i = 0, n = strtol(name + 5, NULL, 0); i < n; i++)
			wr_u8(w, i & 0xff);
	else
		return -EINVAL;
	return 0;
}

int template_fill(const char *text, const struct template_env *env, uint8_t *ret, size_t size,
                  size_t *ret_len)
{
	struct wr w = wr_init(ret, size);
	char name[64];
	uint8_t byte;
	size_t n;

	while (*text) {
		if (*text == ' ') {
			text++;
		} else if (*text == '{') {
			if (sscanf(text, "{%63[^}]}", name) != 1 || fill_hole(name, env, &w) < 0)
				return -EINVAL;
			text += strlen(name) + 2;
		} else {
			char digits[3] = {text[0], text[1], 0};

			if (hex_parse(digits, &byte, 1, &n) < 0)
				return -EINVAL;
			wr_u8(&w, byte);
			text += 2;
		}
	}
	*ret_len = wr_len(&w);
	return wr_ok(&w) ? 0 : -EINVAL;
}
