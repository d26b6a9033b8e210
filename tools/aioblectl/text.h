/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Strings that came from the radio or a stranger on the bus, and growing buffers. Whatever reaches
 * the standard output or error as text passes text_safe() first: names may carry control sequences.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/cleanup.h"

/* A growing string; zero-initialised, always terminated once something was added, leaves the
 * program without memory. */
struct text {
	char *s;
	size_t len, size;
};

void text_add(struct text *t, const void *data, size_t len);
void text_adds(struct text *t, const char *s);
void text_addf(struct text *t, const char *fmt, ...) _printf_(2, 3);
void text_hex(struct text *t, const void *data, size_t len);

/** text_str() - the string, "" when nothing was added */
const char *text_str(const struct text *t);

/** text_steal() - hand the string over; free() it */
char *text_steal(struct text *t);

static inline void text_free(struct text *t)
{
	free(t->s);
	*t = (struct text){0};
}

/**
 * utf8_next() - decode one character
 * @ret: the code point, or 0xfffd for a byte that is none
 *
 * Return: bytes used, 1 for a bad one; 0 at the end.
 */
size_t utf8_next(const char *s, size_t len, uint32_t *ret);

/** utf8_valid() - is all of it UTF-8, without NUL? */
bool utf8_valid(const void *s, size_t len);

/** utf8_for_bus() - that, and free of the code points (U+FDD0 to U+FDEF, U+xxFFFE, U+xxFFFF) that sd-bus does not send */
bool utf8_for_bus(const void *s, size_t len);

/** utf8_dangerous() - control characters, line separators and marks that reorder or hide text */
bool utf8_dangerous(uint32_t ch);

/** text_safe() - append @s with bad bytes and dangerous characters as U+FFFD; newlines and tabs are
 * dangerous too */
void text_safe(struct text *t, const char *s, size_t len);

/** text_width() - columns on a terminal of this locale */
size_t text_width(const char *s);

/** text_fit() - append at most @width columns of @s, and spaces up to @width when @pad */
void text_fit(struct text *t, const char *s, size_t width, bool pad);
