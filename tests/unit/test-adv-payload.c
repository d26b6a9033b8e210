/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fields to advertising data and scan response: order, split, what does not fit, and raw data. */
#include <errno.h>

#include "aiobled/adv.h"
#include "aiobled/cleanup.h"

#include "test.h"
#include "vec.h"

static const struct uuid sense = UUID16_INIT(0x181a);
static struct uuid mixed[4], seven[7], wide[2];
static const uint8_t text[64] = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop";
static const struct adv_record beacon = {.company = 0xabcd, .data = text, .len = 4};
static const struct adv_record two[] = {
	{.company = 0x0001, .data = text, .len = 1},
	{.company = 0x0002, .data = text, .len = 0},
};
static struct adv_record data16, data128;

static int setup(void **state)
{
	static const uint8_t b[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

	mixed[0] = uuid_from32(0x12345678);
	mixed[1] = uuid_from16(0x180d);
	assert_int_equal(uuid_from_bytes(b, 16, &mixed[2]), 0);
	mixed[3] = uuid_from16(0x180f);
	for (size_t i = 0; i < ARRAY_SIZE(seven); i++)
		seven[i] = uuid_from32(0xaabb0000 + (uint32_t)i);
	wide[0] = wide[1] = mixed[2];
	data16 = (struct adv_record){.uuid = sense, .data = text, .len = 2};
	data128 = (struct adv_record){.uuid = mixed[2], .data = text, .len = 1};
	return 0;
}

static void expect(const struct adv_fields *f, bool extended, const char *adv, const char *rsp)
{
	struct vec a = vec(adv), r = vec(rsp);
	struct adv_fault fault = {0};
	struct adv_payload p;
	int res = adv_payload_build(f, extended, &p, &fault);

	if (res)
		fail_msg("%d: %s %s", res, fault.field, fault.text);
	assert_int_equal(p.adv_len, a.len);
	assert_memory_equal(p.adv, a.p, a.len);
	assert_int_equal(p.rsp_len, r.len);
	assert_memory_equal(p.rsp, r.p, r.len);
	free(a.p);
	free(r.p);
}

static void refuse(const struct adv_fields *f, bool extended, int res, const char *field, const char *text_part)
{
	struct adv_fault fault = {0};
	struct adv_payload p = {.adv_len = 77};

	assert_int_equal(adv_payload_build(f, extended, &p, &fault), res);
	assert_int_equal(p.adv_len, 77); /* untouched */
	assert_string_equal(fault.field, field);
	if (!strstr(fault.text, text_part))
		fail_msg("\"%s\" does not say \"%s\"", fault.text, text_part);
}

static void flags_are_always_there(void **state)
{
	static const struct {
		bool limited, br_edr;
		const char *adv;
	} rows[] = {
		{false, false, "02 01 06"},
		{true, false, "02 01 05"},
		{false, true, "02 01 1a"},
		{true, true, "02 01 19"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct adv_fields f = {.limited_disc = rows[i].limited, .br_edr = rows[i].br_edr};

		expect(&f, false, rows[i].adv, "");
	}
}

static void nothing_is_said_of_what_is_not_given(void **state)
{
	struct adv_fields f = {.name = "", .services = NULL, .appearance = 0};

	expect(&f, false, "02 01 06", "");
}

static void order_is_aiobles(void **state)
{
	struct adv_fields f = {
		.name = "temp-sense",
		.services = &sense,
		.n_services = 1,
		.appearance = 768,
		.manufacturer = &beacon,
		.n_manufacturer = 1,
	};

	/* the sensor of aioble's README fills the first packet to its last byte; aioble itself leaves that one */
	expect(&f, false,
	       "02 01 06  03 03 1a 18  0b 09 74 65 6d 70 2d 73 65 6e 73 65  03 19 00 03  07 ff cd ab 30 31 32 33", "");
	f.name = "temp-sensor";
	expect(&f, false, "02 01 06  03 03 1a 18  0c 09 74 65 6d 70 2d 73 65 6e 73 6f 72  03 19 00 03",
	       "07 ff cd ab 30 31 32 33");
}

static void services_go_by_width(void **state)
{
	struct adv_fields f = {.services = mixed, .n_services = 4};

	expect(&f, false, "02 01 06  05 03 0d 18 0f 18  05 05 78 56 34 12",
	       "11 07 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10");
}

/* 31 are to be used: aioble itself stops at 30. */
static void the_last_byte_counts(void **state)
{
	char name[40];
	struct adv_fields f = {.name = name};
	struct adv_payload p;
	struct adv_fault fault;

	for (size_t n = 1; n < sizeof(name); n++) {
		memset(name, 'n', n);
		name[n] = '\0';
		if (n > 29) {
			refuse(&f, false, -EMSGSIZE, "name", n == 30 ? "1 byte too many" : "bytes too many");
			continue;
		}
		assert_int_equal(adv_payload_build(&f, false, &p, &fault), 0);
		assert_int_equal(p.adv_len, n <= 26 ? 5 + n : 3);
		assert_int_equal(p.rsp_len, n <= 26 ? 0 : 2 + n);
	}
}

static void a_smaller_field_fills_the_gap(void **state)
{
	struct adv_fields f = {
		.name = "twenty-seven characters....",
		.appearance = 0x0340,
		.manufacturer = two,
		.n_manufacturer = 2,
	};

	expect(&f, false, "02 01 06  03 19 40 03  04 ff 01 00 30  03 ff 02 00",
	       "1c 09 74 77 65 6e 74 79 2d 73 65 76 65 6e 20 63 68 61 72 61 63 74 65 72 73 2e 2e 2e 2e");
}

static void beyond_aioble(void **state)
{
	struct adv_fields f = {
		.service_data = &data16,
		.n_service_data = 1,
		.has_tx_power = true,
		.tx_power_dbm = -8,
	};

	expect(&f, false, "02 01 06  05 16 1a 18 30 31  02 0a f8", "");
	f.service_data = &data128;
	expect(&f, false,
	       "02 01 06  12 21 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 30  02 0a f8", "");
}

static void a_name_is_counted_in_bytes(void **state)
{
	struct adv_fields f = {.name = "K\xc3\xbc" "che"};

	expect(&f, false, "02 01 06  07 09 4b c3 bc 63 68 65", "");
}

static void what_does_not_fit_is_named(void **state)
{
	struct adv_record big = {.company = 1, .data = text, .len = 40};
	struct adv_fields f = {.services = seven, .n_services = 7};

	expect(&f, false, "02 01 06",
	       "1d 05 00 00 bb aa 01 00 bb aa 02 00 bb aa 03 00 bb aa 04 00 bb aa 05 00 bb aa 06 00 bb aa");
	f.name = "0123456789012345678901234567";
	refuse(&f, false, -EMSGSIZE, "name", "2 bytes too many"); /* 30 are needed, 28 are left */
	f = (struct adv_fields){.services = wide, .n_services = 2};
	refuse(&f, false, -EMSGSIZE, "services", "3 bytes too many");
	f = (struct adv_fields){.manufacturer = &big, .n_manufacturer = 1};
	refuse(&f, false, -EMSGSIZE, "manufacturer", "13 bytes too many");
	big.uuid = sense;
	f = (struct adv_fields){.service_data = &big, .n_service_data = 1};
	refuse(&f, false, -EMSGSIZE, "service_data", "13 bytes too many");
	f = (struct adv_fields){.adv_data = text, .adv_data_len = 32};
	refuse(&f, false, -EMSGSIZE, "adv_data", "1 byte too many");
	f = (struct adv_fields){.resp_data = text, .resp_data_len = 33};
	refuse(&f, false, -EMSGSIZE, "resp_data", "2 bytes too many");
}

static void raw_data_rules_alone(void **state)
{
	struct vec a = vec("02 01 06 02 0a 00"), r = vec("03 09 61 62");
	struct adv_fields f = {
		.adv_data = a.p,
		.adv_data_len = a.len,
		.resp_data = r.p,
		.resp_data_len = r.len,
		.name = "not used",
		.limited_disc = true,
	};

	expect(&f, false, "02 01 06 02 0a 00", "03 09 61 62");
	f.resp_data = NULL;
	f.resp_data_len = 0;
	expect(&f, false, "02 01 06 02 0a 00", "");
	f.adv_data = NULL;
	f.adv_data_len = 0;
	expect(&f, false, "02 01 05  09 09 6e 6f 74 20 75 73 65 64", ""); /* empty is not given */
	free(a.p);
	free(r.p);
}

static void raw_data_must_please_the_kernel(void **state)
{
	static const struct {
		const char *adv, *rsp;
		int res;
		const char *field, *text;
	} rows[] = {
		{"02 01 06 05 09 61", "", -EINVAL, "adv_data", "whole AD structures"},
		{"02 01 06 01", "", -EINVAL, "adv_data", "whole AD structures"},
		{"02 01 06 ff", "", -EINVAL, "adv_data", "whole AD structures"},
		{"02 01 06", "03 09 61", -EINVAL, "resp_data", "whole AD structures"},
		{"02 01 06", "02 01 06", -EINVAL, "resp_data", "Flags"},
		{"", "00 02 01 06", -EINVAL, "resp_data", "Flags"},
		{"1c 09 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", "",
		 -EMSGSIZE, "adv_data", "28 at most, not 29"},
		{"1b 09 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", "", 0, NULL, NULL},
		{"02 01 06 00 00 02 0a 00", "00", 0, NULL, NULL},
		{"02 01 06 01 09", "", 0, NULL, NULL},
		{"", "01 09", 0, NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec a = vec(rows[i].adv), r = vec(rows[i].rsp);
		struct adv_fields f = {
			.adv_data = a.p, .adv_data_len = a.len, .resp_data = r.p, .resp_data_len = r.len};

		if (rows[i].res)
			refuse(&f, false, rows[i].res, rows[i].field, rows[i].text);
		else
			expect(&f, false, rows[i].adv, rows[i].rsp);
		free(a.p);
		free(r.p);
	}
}

static void extended_has_one_long_packet(void **state)
{
	static uint8_t raw[252] = {250, 0xff};
	struct adv_record long_data = {.company = 1, .data = raw, .len = 200};
	struct adv_fields f = {.name = "a", .manufacturer = &long_data, .n_manufacturer = 1};
	struct adv_fault fault;
	struct adv_payload p;

	assert_int_equal(adv_payload_build(&f, true, &p, &fault), 0);
	assert_int_equal(p.adv_len, 3 + 3 + 204);
	assert_int_equal(p.rsp_len, 0);
	long_data.len = 242;
	refuse(&f, true, -EMSGSIZE, "manufacturer", "1 byte too many");
	f = (struct adv_fields){.adv_data = raw, .adv_data_len = 251};
	refuse(&f, true, -EMSGSIZE, "adv_data", "248 at most, not 251");
	raw[0] = 2;
	raw[1] = 1;
	raw[2] = 6;
	raw[3] = 247;
	raw[4] = 0xff;
	assert_int_equal(adv_payload_build(&f, true, &p, &fault), 0);
	assert_int_equal(p.adv_len, 251);
	f.adv_data_len = 252;
	refuse(&f, true, -EMSGSIZE, "adv_data", "1 byte too many");
	f = (struct adv_fields){.adv_data = raw, .adv_data_len = 3, .resp_data = raw, .resp_data_len = 3};
	refuse(&f, true, -EINVAL, "resp_data", "extended");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_are_always_there),
		cmocka_unit_test(nothing_is_said_of_what_is_not_given),
		cmocka_unit_test(order_is_aiobles),
		cmocka_unit_test(services_go_by_width),
		cmocka_unit_test(the_last_byte_counts),
		cmocka_unit_test(a_smaller_field_fills_the_gap),
		cmocka_unit_test(beyond_aioble),
		cmocka_unit_test(a_name_is_counted_in_bytes),
		cmocka_unit_test(what_does_not_fit_is_named),
		cmocka_unit_test(raw_data_rules_alone),
		cmocka_unit_test(raw_data_must_please_the_kernel),
		cmocka_unit_test(extended_has_one_long_packet),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
