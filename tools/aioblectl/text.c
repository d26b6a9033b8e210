/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Growing strings, and strings of strangers made harmless. Relies on the LC_CTYPE locale for the
 * width of characters: in one without UTF-8 everything beyond ASCII shows as a question mark.
 */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static void text_grow(struct text *t, size_t more)
{
	size_t need = t->len + more + 1;
	char *s;

	if (need <= t->size)
		return;
	t->size = MAX(need, t->size * 2);
	s = realloc(t->s, t->size);
	if (!s) {
		fputs("aioblectl: out of memory\n", stderr);
		exit(1);
	}
	t->s = s;
}

void text_add(struct text *t, const void *data, size_t len)
{
	text_grow(t, len);
	if (len)
		memcpy(t->s + t->len, data, len);
	t->len += len;
	t->s[t->len] = 0;
}

void text_adds(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	text_grow(t, (size_t)n);
	va_start(ap, fmt);
	(void)vsnprintf(t->s + t->len, (size_t)n + 1, fmt, ap); /* the length is known already */
	va_end(ap);
	t->len += (size_t)n;
}

void text_hex(struct text *t, const void *data, size_t len)
{
	const uint8_t *p = data;

	text_add(t, "", 0);
	for (size_t i = 0; i < len; i++)
		text_addf(t, "%02x", p[i]);
}

const char *text_str(const struct text *t)
{
	return t->s ? t->s : "";
}

char *text_steal(struct text *t)
{
	char *s;

	text_add(t, "", 0);
	s = steal(&t->s);
	*t = (struct text){0};
	return s;
}

/* Bytes of a character by its first one, 0 for none; *ret_min: the smallest code point that needs
 * so many */
static size_t utf8_length(uint8_t lead, uint32_t *ret_bits, uint32_t *ret_min)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t min;
	} forms[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if ((lead & forms[i].mask) != forms[i].lead)
			continue;
		*ret_bits = lead & (uint8_t)~forms[i].mask;
		*ret_min = forms[i].min;
		return i + 1;
	}
	return 0;
}

size_t utf8_next(const char *s, size_t len, uint32_t *ret)
{
	uint32_t ch, min;
	size_t n;

	*ret = 0xfffd;
	if (!len)
		return 0;
	n = utf8_length((uint8_t)s[0], &ch, &min);
	if (!n || n > len)
		return 1;
	for (size_t i = 1; i < n; i++) {
		if (((uint8_t)s[i] & 0xc0) != 0x80)
			return 1;
		ch = ch << 6 | ((uint8_t)s[i] & 0x3f);
	}
	if (ch < min || ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000))
		return 1;
	*ret = ch;
	return n;
}

bool utf8_valid(const void *data, size_t len)
{
	const char *s = data;
	uint32_t ch;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_next(s + i, len - i, &ch);

		if (ch == 0 || (ch == 0xfffd && n != 3))
			return false;
		i += n;
	}
	return true;
}

bool utf8_for_bus(const void *data, size_t len)
{
	const char *s = data;
	uint32_t ch;

	for (size_t i = 0; i < len;) {
		i += utf8_next(s + i, len - i, &ch);
		if ((ch >= 0xfdd0 && ch <= 0xfdef) || (ch & 0xfffe) == 0xfffe)
			return false;
	}
	return utf8_valid(data, len);
}

bool utf8_dangerous(uint32_t ch)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{0x0000, 0x001f}, /* C0 controls */
		{0x007f, 0x009f}, /* DEL, C1 controls */
		{0x00ad, 0x00ad}, /* soft hyphen */
		{0x061c, 0x061c},   {0x200e, 0x200f},
		{0x202a, 0x202e},   {0x2066, 0x2069}, /* direction */
		{0x200b, 0x200b},   {0x2060, 0x2064},
		{0x206a, 0x206f},   {0xfeff, 0xfeff}, /* invisible */
		{0x2028, 0x2029},                     /* line and paragraph separator */
		{0xfff9, 0xfffb},                     /* interlinear annotation */
		{0xe0000, 0xe007f},                   /* tags */
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (ch >= ranges[i].first && ch <= ranges[i].last)
			return true;
	return false;
}

void text_safe(struct text *t, const char *s, size_t len)
{
	uint32_t ch;

	text_add(t, "", 0);
	for (size_t i = 0; i < len;) {
		size_t n = utf8_next(s + i, len - i, &ch);

		if (ch == 0xfffd || utf8_dangerous(ch))
			text_adds(t, "\xef\xbf\xbd");
		else
			text_add(t, s + i, n);
		i += n;
	}
}

size_t text_width(const char *s)
{
	size_t len = strlen(s), width = 0;
	uint32_t ch;

	for (size_t i = 0; i < len;) {
		int w;

		i += utf8_next(s + i, len - i, &ch);
		w = wcwidth((wchar_t)ch);
		width += w < 0 ? 1 : (size_t)w;
	}
	return width;
}

void text_fit(struct text *t, const char *s, size_t width, bool pad)
{
	size_t len = strlen(s), used = 0;
	uint32_t ch;

	text_add(t, "", 0);
	for (size_t i = 0; i < len;) {
		size_t n = utf8_next(s + i, len - i, &ch);
		int w = wcwidth((wchar_t)ch);

		if (used + (w < 0 ? 1 : (size_t)w) > width)
			break;
		if (w < 0)
			text_adds(t, "?");
		else
			text_add(t, s + i, n);
		used += w < 0 ? 1 : (size_t)w;
		i += n;
	}
	for (; pad && used < width; used++)
		text_adds(t, " ");
}
