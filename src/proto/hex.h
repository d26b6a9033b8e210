/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hexadecimal digits for the parsers of this folder; plain ASCII, whatever the locale says. */
#pragma once

/** hex_digit() - 0 to 15, or -1 (the terminating NUL included) */
static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/** hex_byte() - the two digits at @s, or -1; never reads past a NUL */
static inline int hex_byte(const char *s)
{
	int hi = hex_digit(s[0]), lo = hi < 0 ? -1 : hex_digit(s[1]);

	return lo < 0 ? -1 : hi << 4 | lo;
}
