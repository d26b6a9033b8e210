/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AD structures: what advertisers send, well-formed or not, and what we send.
 */
#include "aiobled/ad.h"

#include "aiobled/cleanup.h"
#include "vec.h"

#include "test.h"

/* A heart rate sensor: flags, two services, shortened name, tx power. */
#define SENSOR "02 01 06  05 03 0d 18 0f 18  04 08 50 6f 6c  02 0a f4"

/* "TYPE=hex " for each structure, '!' behind a truncated one. */
static const char *dump(struct ad_iter it, char *buf, size_t size)
{
	struct ad_field f;
	size_t n = 0;

	buf[0] = '\0';
	while (ad_next(&it, &f)) {
		n += (size_t)snprintf(buf + n, size - n, "%02x=", f.type);
		for (size_t i = 0; i < f.len; i++)
			n += (size_t)snprintf(buf + n, size - n, "%02x", f.data[i]);
		n += (size_t)snprintf(buf + n, size - n, f.truncated ? "! " : " ");
	}
	return buf;
}

static void walks_whatever_comes(void **state)
{
	static const struct {
		const char *hex, *dump;
	} rows[] = {
		{SENSOR, "01=06 03=0d180f18 08=506f6c 0a=f4 "},
		{"", ""},
		{"00", ""},
		{"00 02 01 06", ""}, /* zero ends, what follows is padding */
		{"02 01 06 00 03 09 41 42", "01=06 "},
		{"01 09", "09= "},         /* an empty value is a value */
		{"02 01 06 01", "01=06 "}, /* a length without a type */
		{"02 01 06 05", "01=06 "},
		{"02 01 06 05 09 41", "01=06 09=41! "}, /* promises more than there is */
		{"02 01 06 05 09", "01=06 09=! "},
		{"ff ff 4c 00", "ff=4c00! "},
	};
	char buf[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec v = vec(rows[i].hex);

		assert_string_equal(dump(ad_iter(v.p, v.len), buf, sizeof(buf)), rows[i].dump);
		free(v.p);
	}
	assert_string_equal(dump(ad_iter(NULL, 0), buf, sizeof(buf)), "");
}

static void walks_every_truncation_to_its_end(void **state)
{
	struct vec v = vec(SENSOR);

	for (size_t n = 0; n <= v.len; n++) {
		struct vec cut = vec_prefix(&v, n);
		struct ad_iter it = ad_iter2(cut.p, cut.len, cut.p, cut.len);
		struct ad_field f;
		unsigned int count = 0;

		while (ad_next(&it, &f)) {
			assert_true(f.data >= cut.p && f.data + f.len <= cut.p + cut.len);
			count++;
		}
		assert_true(count <= n); /* two bytes a structure, two payloads */
		assert_false(ad_next(&it, &f));
		free(cut.p);
	}
	free(v.p);
}

static void reads_adv_before_rsp(void **state)
{
	struct vec adv = vec("02 01 06 00 07"), rsp = vec("03 19 41 03 02 0a 04");
	struct ad_iter it = ad_iter2(adv.p, adv.len, rsp.p, rsp.len);
	uint16_t appearance = 0;
	uint8_t flags = 0;
	struct ad_field f;
	int8_t dbm = 0;
	char buf[64];

	assert_string_equal(dump(it, buf, sizeof(buf)), "01=06 19=4103 0a=04 ");
	assert_true(ad_find(it, AD_TX_POWER, &f));
	assert_ptr_equal(f.data, rsp.p + 6);
	assert_false(ad_find(it, AD_MANUFACTURER, &f));
	assert_true(ad_flags(it, &flags));
	assert_int_equal(flags, AD_FLAG_GENERAL | AD_FLAG_NO_BREDR);
	assert_true(ad_appearance(it, &appearance));
	assert_int_equal(appearance, 0x0341);
	assert_true(ad_tx_power(it, &dbm));
	assert_int_equal(dbm, 4);
	free(adv.p);
	free(rsp.p);
}

static void passes_over_values_too_short(void **state)
{
	struct vec v = vec("01 01  02 19 41  01 0a  02 ff 4c  02 16 0d");
	struct ad_iter it = ad_iter(v.p, v.len);
	const uint8_t *data;
	struct uuid uuid;
	uint16_t n = 0;
	uint8_t b = 0;
	int8_t dbm = 0;
	size_t len;

	assert_false(ad_flags(it, &b));
	assert_false(ad_appearance(it, &n));
	assert_false(ad_tx_power(it, &dbm));
	assert_false(ad_manufacturer_next(&it, &n, &data, &len));
	it = ad_iter(v.p, v.len);
	assert_false(ad_service_data_next(&it, &uuid, &data, &len));
	free(v.p);
}

static void takes_the_first_name(void **state)
{
	static const struct {
		const char *adv, *rsp, *name; /* NULL: none */
	} rows[] = {
		{"03 09 41 42", "", "AB"},
		{"03 08 41 42", "04 09 41 42 43",
	         "AB"}, /* a short one first beats a complete one later */
		{"02 01 06", "04 09 41 42 43", "ABC"},
		{"01 09", "04 09 41 42 43", ""},
		{"09 09 41 42", "", "AB"}, /* truncated: what is there */
		{"02 01 06", "02 0a 00", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec adv = vec(rows[i].adv), rsp = vec(rows[i].rsp);
		struct ad_field f;
		bool found = ad_name(ad_iter2(adv.p, adv.len, rsp.p, rsp.len), &f);

		assert_int_equal(found, rows[i].name != NULL);
		if (found) {
			assert_int_equal(f.len, strlen(rows[i].name));
			assert_memory_equal(f.data, rows[i].name, f.len);
		}
		free(adv.p);
		free(rsp.p);
	}
}

static void lists_services_by_width(void **state)
{
	/* adv: 128 bits, then two of 16 with half a third; rsp: 32 bits, one more of 16 */
	struct vec adv = vec("11 07 9ecadc240ee5a9e093f3a3b50100406e 06 03 0d 18 0f 18 99");
	struct vec rsp = vec("05 05 78 56 34 12 03 02 0a 18");
	static const char *const expected[] = {"180d", "180f", "180a", "12345678",
	                                       "6e400001-b5a3-f393-e0a9-e50e24dcca9e"};
	struct ad_iter it = ad_iter2(adv.p, adv.len, rsp.p, rsp.len);
	struct ad_uuid_iter u = ad_uuid_iter(it);
	char buf[UUID_STR_MAX];
	struct uuid uuid;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_true(ad_uuid_next(&u, &uuid));
		assert_string_equal(uuid_format(&uuid, buf), expected[i]);
		assert_true(ad_has_uuid(it, &uuid));
	}
	assert_false(ad_uuid_next(&u, &uuid));
	assert_false(ad_uuid_next(&u, &uuid));
	uuid = uuid_from16(0x1899);
	assert_false(ad_has_uuid(it, &uuid));
	free(adv.p);
	free(rsp.p);
}

static void finds_every_company_and_service_data(void **state)
{
	struct vec v = vec("05 ff 4c 00 02 15  03 ff 99 04  05 16 6e fd 01 02 03 16 0f 18  07 20 "
	                   "78 56 34 12 aa bb"
	                   "12 21 9ecadc240ee5a9e093f3a3b50100406e 77");
	struct ad_iter it = ad_iter(v.p, v.len);
	static const struct {
		const char *uuid;
		size_t len;
	} services[] = {{"fd6e", 2},
	                {"180f", 0},
	                {"12345678", 2},
	                {"6e400001-b5a3-f393-e0a9-e50e24dcca9e", 1}};
	char buf[UUID_STR_MAX];
	const uint8_t *data;
	struct uuid uuid;
	uint16_t company;
	size_t len;

	assert_true(ad_manufacturer_next(&it, &company, &data, &len));
	assert_int_equal(company, 0x004c);
	assert_int_equal(len, 2);
	assert_ptr_equal(data, v.p + 4);
	assert_true(ad_manufacturer_next(&it, &company, &data, &len));
	assert_int_equal(company, 0x0499);
	assert_int_equal(len, 0);
	assert_false(ad_manufacturer_next(&it, &company, &data, &len));
	it = ad_iter(v.p, v.len);
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		assert_true(ad_service_data_next(&it, &uuid, &data, &len));
		assert_string_equal(uuid_format(&uuid, buf), services[i].uuid);
		assert_int_equal(len, services[i].len);
	}
	assert_false(ad_service_data_next(&it, &uuid, &data, &len));
	free(v.p);
}

#define R "\xef\xbf\xbd"

static void makes_text_safe(void **state)
{
	static const struct {
		const char *raw;
		size_t len;
		const char *text;
	} rows[] = {
		{"Polar", 5, "Polar"},
		{"", 0, ""},
		{"Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x98\x80", 16,
	         "Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"padded\0\0\0", 9, "padded"},
		{"a\0b\0", 4, "a" R "b"},
		{"\0\0", 2, ""},
		{"\xff\xfe", 2, R R},
		{"a\x80z", 3, "a" R "z"}, /* continuation without a lead */
		{"\xc3", 1, R},           /* cut by the payload's end */
		{"\xe2\x82", 2, R},       /* cut: one replacement for what was one character */
		{"\xe2\x82z", 3, R "z"},
		{"\xf0\x9f\x98", 3, R},
		{"\xc0\x80", 2, R R},             /* overlong NUL */
		{"\xe0\x80\xaf", 3, R R R},       /* overlong slash */
		{"\xed\xa0\x80", 3, R R R},       /* surrogate */
		{"\xf4\x90\x80\x80", 4, R R R R}, /* beyond U+10FFFF */
		{"\xf4\x8f\xbf\xbd", 4, "\xf4\x8f\xbf\xbd"},
		{"\xef\xb7\x90", 3, R}, /* U+FDD0, a noncharacter */
		{"\xef\xb7\xaf", 3, R},
		{"\xef\xb7\xb0", 3, "\xef\xb7\xb0"}, /* its neighbour is none */
		{"\xef\xbf\xbe", 3, R},              /* U+FFFE */
		{"\xef\xbf\xbd", 3, R},              /* U+FFFD itself */
		{"\xf0\x9f\xbf\xbf", 4, R},          /* U+1FFFF */
		{"\xf0\x9f\xbf\xbd", 4, "\xf0\x9f\xbf\xbd"},
		{"a\nb\x7f", 4, "a\nb\x7f"},
	};
	char buf[AD_TEXT_SIZE(16)];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec v = {.p = malloc(rows[i].len + 1), .len = rows[i].len};
		size_t n;

		memcpy(v.p, rows[i].raw, v.len);
		v.p = realloc(v.p, v.len ? v.len : 1);
		n = ad_text(v.p, v.len, buf, sizeof(buf));
		assert_string_equal(buf, rows[i].text);
		assert_int_equal(n, strlen(rows[i].text));
		free(v.p);
	}
}

/* UTF-8 by the plain arithmetic of its definition. Return: bytes. */
static size_t encode(uint32_t c, uint8_t *out)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | c >> 18);
	out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

static bool is_surrogate(uint32_t c)
{
	return c >= 0xd800 && c <= 0xdfff;
}

static bool is_noncharacter(uint32_t c)
{
	return (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;
}

static void knows_every_code_point(void **state)
{
	char out[AD_TEXT_SIZE(5)];
	uint8_t in[5];
	size_t n;

	for (uint32_t c = 1; c < 0x110000; c++) {
		n = encode(c, in);
		in[n] = '!';
		(void)ad_text(in, n + 1, out, sizeof(out));
		if (is_surrogate(c)) {
			assert_string_equal(out, R R R "!");
		} else if (is_noncharacter(c)) {
			assert_string_equal(out, R "!");
		} else {
			assert_memory_equal(out, in, n + 1);
			assert_int_equal(out[n + 1], 0);
		}
	}
}

/* Every pair of bytes before an ASCII one: part of a character, a character, or neither. */
static void knows_every_beginning(void **state)
{
	static uint8_t length[256][256]; /* of the characters that start so; 0: none does */
	char expected[16], out[AD_TEXT_SIZE(3)];
	uint8_t in[4];
	size_t n;

	for (uint32_t c = 0x80; c < 0x110000; c++) {
		if (is_surrogate(c))
			continue;
		n = encode(c, in);
		length[in[0]][in[1]] = (uint8_t)n;
	}
	for (unsigned int a = 0x80; a < 256; a++) {
		for (unsigned int b = 1; b < 256; b++) {
			in[0] = (uint8_t)a;
			in[1] = (uint8_t)b;
			in[2] = '!';
			if (length[a][b] == 2)
				(void)snprintf(expected, sizeof(expected), "%c%c!", (int)a, (int)b);
			else if (length[a][b])
				(void)snprintf(expected, sizeof(expected), R "!");
			else if (b < 0x80)
				(void)snprintf(expected, sizeof(expected), R "%c!", (int)b);
			else
				(void)snprintf(expected, sizeof(expected), R R "!");
			(void)ad_text(in, 3, out, sizeof(out));
			assert_string_equal(out, expected);
		}
	}
}

static void ends_text_at_a_whole_character(void **state)
{
	static const uint8_t euros[] = {0xe2, 0x82, 0xac, 'a', 0xe2, 0x82, 0xac};
	static const char *const by_size[] = {NULL,
	                                      "",
	                                      "",
	                                      "",
	                                      "\xe2\x82\xac",
	                                      "\xe2\x82\xac"
	                                      "a",
	                                      "\xe2\x82\xac"
	                                      "a",
	                                      "\xe2\x82\xac"
	                                      "a"};

	for (size_t size = 1; size < ARRAY_SIZE(by_size); size++) {
		char *dst = malloc(size); /* of exactly this size, for the sanitizer */

		(void)ad_text(euros, sizeof(euros), dst, size);
		assert_string_equal(dst, by_size[size]);
		free(dst);
	}
}

static void builds_payloads(void **state)
{
	struct uuid uuids[] = {uuid_from16(0x180d), uuid_from32(0x12345678), uuid_from16(0x180f)};
	struct vec expected =
		vec("02 01 06 05 03 0d 18 0f 18 05 05 78 56 34 12 03 09 48 69 03 19 41 03"
	            "04 ff 99 04 aa 04 16 0d 18 bb");
	uint8_t buf[64];
	struct wr w = wr_init(buf, sizeof(buf));

	ad_put_flags(&w, AD_FLAG_GENERAL | AD_FLAG_NO_BREDR);
	ad_put_uuids(&w, 2, uuids, 3);
	ad_put_uuids(&w, 4, uuids, 3);
	ad_put_uuids(&w, 16, uuids, 3); /* none of this width: nothing */
	ad_put_name(&w, "Hi");
	ad_put_appearance(&w, 0x0341);
	ad_put_manufacturer(&w, 0x0499, (const uint8_t *)"\xaa", 1);
	ad_put_service_data(&w, &uuids[0], (const uint8_t *)"\xbb", 1);
	assert_true(wr_ok(&w));
	assert_int_equal(wr_len(&w), expected.len);
	assert_memory_equal(buf, expected.p, expected.len);
	free(expected.p);
}

static void builds_whole_structures_or_none(void **state)
{
	uint8_t buf[300], value[AD_VALUE_MAX + 1] = {0};
	struct wr w = wr_init(buf, AD_LEGACY_MAX);

	ad_put_flags(&w, 6);
	assert_true(ad_fits(&w, 26));
	assert_false(ad_fits(&w, 27));
	ad_put(&w, AD_NAME_COMPLETE, value, 26); /* 31 exactly */
	assert_true(wr_ok(&w));
	assert_int_equal(wr_len(&w), AD_LEGACY_MAX);

	w = wr_init(buf, AD_LEGACY_MAX);
	ad_put_flags(&w, 6);
	ad_put(&w, AD_NAME_COMPLETE, value, 27);
	assert_false(wr_ok(&w));
	assert_int_equal(wr_len(&w), 3);

	w = wr_init(buf, sizeof(buf));
	ad_put(&w, AD_MANUFACTURER, value, AD_VALUE_MAX);
	assert_true(wr_ok(&w));
	assert_int_equal(buf[0], 0xff);
	ad_put(&w, AD_MANUFACTURER, value, AD_VALUE_MAX + 1);
	assert_false(wr_ok(&w));

	w = wr_init(buf, sizeof(buf));
	ad_put_manufacturer(&w, 1, value, SIZE_MAX);
	assert_false(wr_ok(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_whatever_comes),
		cmocka_unit_test(walks_every_truncation_to_its_end),
		cmocka_unit_test(reads_adv_before_rsp),
		cmocka_unit_test(passes_over_values_too_short),
		cmocka_unit_test(takes_the_first_name),
		cmocka_unit_test(lists_services_by_width),
		cmocka_unit_test(finds_every_company_and_service_data),
		cmocka_unit_test(makes_text_safe),
		cmocka_unit_test(knows_every_code_point),
		cmocka_unit_test(knows_every_beginning),
		cmocka_unit_test(ends_text_at_a_whole_character),
		cmocka_unit_test(builds_payloads),
		cmocka_unit_test(builds_whole_structures_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
