/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aioblectl's values, texts and records. Input: a format, a newline, and bytes that are a value, its text and a record.
 */
#include "stream.h"
#include "value.h"

#include "fuzz.h"

#define FORMAT_MAX 128

static bool is_float(const struct value_format *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->fields[i].kind == VALUE_FLOAT || f->fields[i].kind == VALUE_IEEE11073)
			return true;
	return false;
}

/* Text may have had something replaced, and numbers with a point have several forms; all else reads back as it was. */
static bool is_exact(const struct value_format *f)
{
	return !is_float(f) && f->fields[f->count - 1].kind != VALUE_TEXT;
}

static void check_print(const struct value_format *f, const uint8_t *data, size_t len)
{
	struct text shown = {0}, back = {0}, why = {0};
	json_object *o = value_json(f, data, len);
	size_t field = 0;

	FUZZ_CHECK(!o || json_object_to_json_string(o));
	if (value_print(f, data, len, true, &shown) >= 0 && is_exact(f) && len <= VALUE_MAX) {
		text_free(&shown);
		FUZZ_CHECK(value_print(f, data, len, false, &shown) == 0);
		FUZZ_CHECK(value_parse(f, &field, text_str(&shown), shown.len, &back, &why) == 0);
		FUZZ_CHECK(back.len == len && (len == 0 || memcmp(back.s, data, len) == 0));
	}
	if (o)
		json_object_put(o);
	text_free(&shown);
	text_free(&back);
	text_free(&why);
}

static void check_parse(const struct value_format *f, const char *s, size_t len)
{
	struct text value = {0}, why = {0}, shown = {0};
	size_t field = 0;

	if (value_parse(f, &field, s, len, &value, &why) < 0)
		FUZZ_CHECK(why.len > 0);
	else
		FUZZ_CHECK(value.len <= VALUE_MAX &&
		           value_print(f, value.s, value.len, true, &shown) == 0);
	text_free(&value);
	text_free(&why);
	text_free(&shown);
}

/* Safe text is UTF-8, has nothing in it that a terminal acts upon, and is its own safe form; a column is never exceeded. */
static void check_safe(const char *s, size_t len)
{
	struct text safe = {0}, again = {0}, cell = {0};
	uint32_t ch;

	text_safe(&safe, s, len);
	for (size_t i = 0; i < safe.len;) {
		size_t n = utf8_next(safe.s + i, safe.len - i, &ch);

		FUZZ_CHECK(n && (ch != 0xfffd || n == 3) && !utf8_dangerous(ch));
		i += n;
	}
	text_safe(&again, safe.s, safe.len);
	FUZZ_CHECK(again.len == safe.len && memcmp(again.s, safe.s, safe.len) == 0);
	text_fit(&cell, text_str(&safe), 10, true);
	FUZZ_CHECK(text_width(text_str(&cell)) == 10);
	text_free(&safe);
	text_free(&again);
	text_free(&cell);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t head = newline ? (size_t)(newline - data) : 0, left;
	char name[FORMAT_MAX];
	struct value_format f;
	struct record r;
	uint8_t hci;

	if (!newline || head >= sizeof(name) || size > FUZZ_INPUT_MAX)
		return 0;
	memcpy(name, data, head);
	name[head] = 0;
	data = newline + 1;
	left = size - head - 1;
	check_safe((const char *)data, left);
	if (record_parse(data, left, &r) == 0)
		FUZZ_CHECK(strlen(stream_end_reason(&r, &hci)) > 0 &&
		           r.payload + r.len == data + left);
	if (value_format_parse(name, &f) < 0)
		return 0;
	FUZZ_CHECK(f.count > 0 && f.count <= VALUE_FIELDS_MAX);
	check_print(&f, data, left);
	check_parse(&f, (const char *)data, left);
	return 0;
}
