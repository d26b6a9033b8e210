/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attribute values as people write them. A format is a list of fields, e.g. "u8,u16le"; the last
 * field repeats as long as there are bytes or arguments, and hex, base64, text and raw take all
 * that is left. Pure: no bus, no output.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

/* Core 5.4, Vol 3, Part F, 3.2.9: the longest attribute value */
#define VALUE_MAX        512
#define VALUE_FIELDS_MAX 32

enum value_kind {
	VALUE_SMART, /* hexadecimal, on a terminal with the text in it; reads as VALUE_HEX */
	VALUE_HEX,
	VALUE_BASE64,
	VALUE_TEXT,
	VALUE_RAW,
	VALUE_UINT,
	VALUE_INT,
	VALUE_FLOAT,     /* IEEE 754 of 4 or 8 bytes */
	VALUE_IEEE11073, /* FLOAT-Type of 4 bytes, SFLOAT-Type of 2 */
};

struct value_field {
	enum value_kind kind;
	uint8_t size; /* bytes; 0 for the kinds that take the rest */
	bool big_endian;
};

struct value_format {
	struct value_field fields[VALUE_FIELDS_MAX];
	size_t count;
};

/** value_format_parse() - e.g. "hex", "u8", "i24be", "f32le", "ieee11073", "u8,u16". Return: 0 or
 * -EINVAL. */
int value_format_parse(const char *text, struct value_format *ret);

/** value_format_names() - one sentence that lists what value_format_parse() takes */
const char *value_format_names(void);

/**
 * value_print() - append the value as text, fields separated by spaces
 * @terminal: the text of VALUE_SMART may be shown
 *
 * Return: 0, or -EBADMSG with the text so far when bytes are left over that the format does not
 * cover.
 */
int value_print(const struct value_format *f, const void *data, size_t len, bool terminal,
                struct text *ret);

/** value_json() - what value_print() says as JSON: a number, a string, an array of them, NULL when
 * it does not fit */
json_object *value_json(const struct value_format *f, const void *data, size_t len);

/**
 * value_parse() - read one piece of text and append its bytes
 * @field: number of the field to go on with; advanced, so that several pieces make one value
 * @why:   on failure, a fragment that names the trouble
 *
 * Numbers are separated by blanks or commas. Text and raw take @s as it is.
 *
 * Return: 0, -EINVAL (malformed), -ERANGE (number does not fit its field) or -EMSGSIZE (above
 * VALUE_MAX).
 */
int value_parse(const struct value_format *f, size_t *field, const char *s, size_t len,
                struct text *ret, struct text *why);

/** value_is_raw() - are the bytes wanted as they are, without newlines? */
static inline bool value_is_raw(const struct value_format *f)
{
	return f->count == 1 && f->fields[0].kind == VALUE_RAW;
}
