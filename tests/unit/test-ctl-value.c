/* SPDX-License-Identifier: GPL-2.0-or-later */
/* aioblectl's values, both ways, and the text of strangers. Pure code: no bus, no time. */
#include "value.h"

#include "test.h"

struct print_row {
	const char *format, *bytes; /* bytes in hexadecimal */
	const char *text, *json;    /* NULL: does not fit */
};

static const struct print_row print_rows[] = {
	{"hex", "", "", "\"\""},
	{"hex", "00ff7f", "00ff7f", "\"00ff7f\""},
	{"base64", "00", "AA==", "\"AA==\""},
	{"base64", "fbff", "+/8=", "\"+/8=\""},
	{"base64", "666f6f", "Zm9v", "\"Zm9v\""},
	{"text", "c3a9", "\xc3\xa9", "\"\xc3\xa9\""},
	{"text", "1b5b6d", "\xef\xbf\xbd[m", "\"\\u001b[m\""},
	{"text", "ff41",
         "\xef\xbf\xbd"
         "A",
         "null"},
	{"u8", "64", "100", "100"},
	{"u8", "0001ff", "0 1 255", "[0,1,255]"},
	{"i8", "80", "-128", "-128"},
	{"u16", "3412", "4660", "4660"},
	{"u16be", "1234", "4660", "4660"},
	{"i16le", "feff", "-2", "-2"},
	{"u24le", "563412", "1193046", "1193046"},
	{"i24be", "ffffff", "-1", "-1"},
	{"u64", "ffffffffffffffff", "18446744073709551615", "18446744073709551615"},
	{"i64", "0000000000000080", "-9223372036854775808", "-9223372036854775808"},
	{"f32", "0000c03f", "1.5", "1.5"},
	{"f32", "cdcccc3d", "0.1", "0.1"},
	{"f32be", "7fc00000", "nan", "\"nan\""},
	{"f64", "000000000000f0ff", "-inf", "\"-inf\""},
	{"f64be", "3fb999999999999a", "0.1", "0.1"},
	{"ieee11073", "6d0100ff", "36.5", "36.5"},
	{"ieee11073", "fdffffff", "-0.3", "-0.3"},
	{"ieee11073", "05000003", "5e3", "5e3"},
	{"ieee11073", "ffff7f00", "nan", "\"nan\""},
	{"ieee11073", "00008000", "nres", "\"nres\""},
	{"ieee11073", "feff7f00", "inf", "\"inf\""},
	{"ieee11073", "02008000", "-inf", "\"-inf\""},
	{"ieee11073-16", "72f0", "11.4", "11.4"},
	{"ieee11073-16", "ff07", "nan", "\"nan\""},
	{"ieee11073-16", "0208", "-inf", "\"-inf\""},
	{"u8,u16", "013412", "1 4660", "[1,4660]"},
	{"u8,u16", "0134127856", "1 4660 22136", "[1,4660,22136]"},
	{"u8,text", "036162", "3 ab", "[3,\"ab\"]"},
	{"u8", "", "", "[]"},
	{"u16", "01", NULL, NULL},
	{"u8,u16", "0102", NULL, NULL},
	{"ieee11073", "000000", NULL, NULL},
};

static size_t unhex(const char *s, uint8_t *ret)
{
	size_t n = strlen(s) / 2;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(sscanf(s + 2 * i, "%2hhx", &ret[i]), 1);
	return n;
}

static void check_print(const struct print_row *row)
{
	uint8_t bytes[VALUE_MAX];
	size_t len = unhex(row->bytes, bytes);
	struct value_format f;
	struct text t = {0};
	json_object *o;
	int r;

	print_message("%s of '%s'\n", row->format, row->bytes);
	assert_int_equal(value_format_parse(row->format, &f), 0);
	r = value_print(&f, bytes, len, true, &t);
	o = value_json(&f, bytes, len);
	if (row->text) {
		assert_int_equal(r, 0);
		assert_string_equal(text_str(&t), row->text);
		assert_string_equal(
			json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE),
			row->json);
	} else {
		assert_int_equal(r, -EBADMSG);
		assert_null(o);
	}
	json_object_put(o);
	text_free(&t);
}

static void test_print(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(print_rows); i++)
		check_print(&print_rows[i]);
}

static void test_smart(void **state)
{
	static const struct {
		const char *bytes;
		bool terminal;
		const char *text;
	} rows[] = {
		{"", false, ""},
		{"", true, "(empty)"},
		{"64", true, "64"}, /* one letter is more likely a number */
		{"486921", true, "486921  \"Hi!\""},
		{"486921", false, "486921"},
		{"48690a", true, "48690a"},
		{"48e280ae69", true, "48e280ae69"}, /* right-to-left override */
	};
	struct value_format f;

	assert_int_equal(value_format_parse("smart", &f), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t bytes[VALUE_MAX];
		struct text t = {0};
		size_t len = unhex(rows[i].bytes, bytes);

		assert_int_equal(value_print(&f, bytes, len, rows[i].terminal, &t), 0);
		assert_string_equal(text_str(&t), rows[i].text);
		text_free(&t);
	}
}

struct parse_row {
	const char *format, *text;
	int result;
	const char *bytes;
};

static const struct parse_row parse_rows[] = {
	{"hex", "", 0, ""},
	{"hex", "0a1B", 0, "0a1b"},
	{"hex", "0x0a1b", 0, "0a1b"},
	{"hex", "0a:1b 2c-3d,4e\n", 0, "0a1b2c3d4e"},
	{"hex", "0x0a 0x1b", 0, "0a1b"},
	{"hex", "0x", 0, ""},
	{"hex", "abc", -EINVAL, ""},
	{"hex", "a b", -EINVAL, ""},
	{"hex", "zz", -EINVAL, ""},
	{"base64", "AA==", 0, "00"},
	{"base64", "AA", 0, "00"},
	{"base64", "-_8", 0, "fbff"},
	{"base64", "Zm9v\nYmFy", 0, "666f6f626172"},
	{"base64", "A", -EINVAL, ""},
	{"base64", "AB==", -EINVAL, ""}, /* bits that belong to no byte */
	{"base64", "A===", -EINVAL, ""},
	{"base64", "AA=A", -EINVAL, ""},
	{"base64", "AAA==", -EINVAL, ""},
	{"text", "h\xc3\xa9 ", 0, "68c3a920"},
	{"raw", "a b", 0, "612062"},
	{"u8", "100", 0, "64"},
	{"u8", "0x64", 0, "64"},
	{"u8", "1 2,3", 0, "010203"},
	{"u8", "", 0, ""},
	{"u8", "256", -ERANGE, ""},
	{"u8", "-1", -ERANGE, ""},
	{"u8", "1x", -EINVAL, ""},
	{"u8", "x", -EINVAL, ""},
	{"i8", "-128", 0, "80"},
	{"i8", "127", 0, "7f"},
	{"i8", "128", -ERANGE, ""},
	{"i8", "-129", -ERANGE, ""},
	{"u16", "0x1234", 0, "3412"},
	{"u16be", "0x1234", 0, "1234"},
	{"i24", "-1", 0, "ffffff"},
	{"u24", "16777216", -ERANGE, ""},
	{"u64", "18446744073709551615", 0, "ffffffffffffffff"},
	{"u64", "18446744073709551616", -ERANGE, ""},
	{"i64", "-9223372036854775808", 0, "0000000000000080"},
	{"i64", "9223372036854775808", -ERANGE, ""},
	{"f32", "1.5", 0, "0000c03f"},
	{"f32", "1e39", -ERANGE, ""},
	{"f32", "inf", 0, "0000807f"},
	{"f64be", "0.1", 0, "3fb999999999999a"},
	{"f64", "1e999", -ERANGE, ""},
	{"f64", "one", -EINVAL, ""},
	{"ieee11073", "36.5", 0, "6d0100ff"},
	{"ieee11073", "-0.3", 0, "fdffffff"},
	{"ieee11073", "5e3", 0, "05000003"},
	{"ieee11073", "5000", 0, "88130000"},
	{"ieee11073", "0", 0, "00000000"},
	{"ieee11073", "nan", 0, "ffff7f00"},
	{"ieee11073", "-inf", 0, "02008000"},
	{"ieee11073", "8388605", 0, "fdff7f00"},
	{"ieee11073", "8388606", -ERANGE, ""}, /* that mantissa says "inf" */
	{"ieee11073", "83886060", -ERANGE, ""},
	{"ieee11073", "83886000", 0, "f8ff7f01"},
	{"ieee11073", "1e200", -ERANGE, ""},
	{"ieee11073", "1.2.3", -EINVAL, ""},
	{"ieee11073", "1e", -EINVAL, ""},
	{"ieee11073", ".", -EINVAL, ""},
	{"ieee11073-16", "11.4", 0, "72f0"},
	{"ieee11073-16", "-2045", 0, "0308"},
	{"ieee11073-16", "2046", -ERANGE, ""},
	{"u8,u16", "1 0x1234 0x5678", 0, "0134127856"},
	{"u8,text", "3 a b", 0, "03612062"},
	{"u8,hex", "3 0a", 0, "030a"},
};

static void check_parse(const struct parse_row *row)
{
	struct text t = {0}, why = {0};
	uint8_t bytes[VALUE_MAX];
	size_t len = unhex(row->bytes, bytes), field = 0;
	struct value_format f;

	print_message("%s from '%s'\n", row->format, row->text);
	assert_int_equal(value_format_parse(row->format, &f), 0);
	assert_int_equal(value_parse(&f, &field, row->text, strlen(row->text), &t, &why),
	                 row->result);
	if (row->result < 0)
		assert_true(why.len > 0);
	else
		assert_int_equal(t.len, len);
	if (row->result >= 0 && len)
		assert_memory_equal(t.s, bytes, len);
	text_free(&t);
	text_free(&why);
}

static void test_parse(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(parse_rows); i++)
		check_parse(&parse_rows[i]);
}

/* Several arguments make one value, and go on in the format where the one before stopped */
static void test_parse_pieces(void **state)
{
	struct text t = {0}, why = {0};
	struct value_format f;
	size_t field = 0;

	assert_int_equal(value_format_parse("u8,u16be,text", &f), 0);
	assert_int_equal(value_parse(&f, &field, "1", 1, &t, &why), 0);
	assert_int_equal(value_parse(&f, &field, "2", 1, &t, &why), 0);
	assert_int_equal(value_parse(&f, &field, "x y", 3, &t, &why), 0);
	assert_int_equal(t.len, 6);
	assert_memory_equal(t.s, "\x01\x00\x02x y", 6);
	text_free(&t);
}

static void test_parse_limits(void **state)
{
	struct text t = {0}, why = {0};
	char big[VALUE_MAX + 1];
	struct value_format f;
	size_t field = 0;

	memset(big, 'x', sizeof(big));
	assert_int_equal(value_format_parse("raw", &f), 0);
	assert_int_equal(value_parse(&f, &field, big, VALUE_MAX, &t, &why), 0);
	assert_int_equal(t.len, VALUE_MAX);
	assert_int_equal(value_parse(&f, &field, big, 1, &t, &why), -EMSGSIZE);
	text_free(&t);
	assert_int_equal(value_parse(&f, &field, "a\0b", 3, &t, &why), 0);
	assert_memory_equal(t.s, "a\0b", 3);
	text_free(&t);
	assert_int_equal(value_format_parse("u8", &f), 0);
	assert_int_equal(value_parse(&f, &field, "1\0002", 3, &t, &why), -EINVAL);
	text_free(&t);
	text_free(&why);
}

static void test_formats(void **state)
{
	static const char *const bad[] = {"",    "u",      "u7",        "u0",    "u72",  "u16xe",
	                                  "f16", "f24",    "i-8",       "u 8",   "hexx", "u8,",
	                                  ",u8", "hex,u8", "text,text", "u8;u8", "U8",   "u08"};
	char many[3 * (VALUE_FIELDS_MAX + 1) + 1] = "";
	struct value_format f;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		print_message("'%s'\n", bad[i]);
		assert_int_equal(value_format_parse(bad[i], &f), -EINVAL);
	}
	for (size_t i = 0; i < VALUE_FIELDS_MAX + 1; i++)
		strcat(many, i ? ",u8" : "u8");
	assert_int_equal(value_format_parse(many, &f), -EINVAL);
	assert_int_equal(value_format_parse(many + 3, &f), 0);
}

static void test_round_trip(void **state)
{
	static const char *const formats[] = {"hex", "base64", "u8",    "i8",  "u16be",
	                                      "i32", "u48",    "i56be", "f32", "f64be"};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct text shown = {0}, back = {0}, why = {0};
		uint8_t bytes[8 * 7 * 6];
		struct value_format f;
		size_t field = 0;

		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)(j * 37 + i) &
			           (formats[i][0] == 'f' ? 0x3f : 0xff); /* no nan */
		assert_int_equal(value_format_parse(formats[i], &f), 0);
		assert_int_equal(value_print(&f, bytes, sizeof(bytes), false, &shown), 0);
		assert_int_equal(value_parse(&f, &field, text_str(&shown), shown.len, &back, &why),
		                 0);
		assert_int_equal(back.len, sizeof(bytes));
		assert_memory_equal(back.s, bytes, sizeof(bytes));
		text_free(&shown);
		text_free(&back);
	}
}

/* Every SFLOAT that is a number reads back to the same number (not always the same bytes: 10e0 is 1e1) */
static void test_sfloat_all(void **state)
{
	struct value_format f;

	assert_int_equal(value_format_parse("ieee11073-16", &f), 0);
	for (unsigned v = 0; v <= 0xffff; v++) {
		uint8_t bytes[2] = {v & 0xff, v >> 8};
		struct text shown = {0}, back = {0}, again = {0}, why = {0};
		size_t field = 0;
		int r;

		assert_int_equal(value_print(&f, bytes, 2, false, &shown), 0);
		r = value_parse(&f, &field, text_str(&shown), shown.len, &back, &why);
		/* mantissas that are names with exponent 0 cannot be written with another one */
		if (r == -ERANGE) {
			assert_true((v & 0xfff) >= 0x7fe && (v & 0xfff) <= 0x802);
		} else {
			assert_int_equal(r, 0);
			assert_int_equal(value_print(&f, back.s, back.len, false, &again), 0);
			if (strcmp(text_str(&again), text_str(&shown)) != 0)
				assert_true(strtod(text_str(&again), NULL) ==
				            strtod(text_str(&shown), NULL));
		}
		text_free(&shown);
		text_free(&back);
		text_free(&again);
		text_free(&why);
	}
}

static void test_safe(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"plain", "plain"},
		{"a\x1b[31mb\x07", "a\xef\xbf\xbd[31mb\xef\xbf\xbd"},
		{"tab\tline\n", "tab\xef\xbf\xbdline\xef\xbf\xbd"},
		{"\xc2\x9b"
	         "31m",
	         "\xef\xbf\xbd"
	         "31m"}, /* CSI in one byte, as UTF-8 */
		{"\x9b"
	         "31m",
	         "\xef\xbf\xbd"
	         "31m"},
		{"\xe2\x80\xae"
	         "cod",
	         "\xef\xbf\xbd"
	         "cod"},
		{"\xe2\x81\xa6x", "\xef\xbf\xbdx"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* surrogate */
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"}, /* cut */
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct text t = {0};

		text_safe(&t, rows[i].in, strlen(rows[i].in));
		assert_string_equal(text_str(&t), rows[i].out);
		assert_true(utf8_valid(text_str(&t), t.len) ==
		                    (strstr(rows[i].out, "\xef\xbf\xbd") == NULL) ||
		            utf8_valid(text_str(&t), t.len));
		text_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print),        cmocka_unit_test(test_smart),
		cmocka_unit_test(test_parse),        cmocka_unit_test(test_parse_pieces),
		cmocka_unit_test(test_parse_limits), cmocka_unit_test(test_formats),
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_sfloat_all),
		cmocka_unit_test(test_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
