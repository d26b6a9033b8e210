/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/uuid.h"

#include "test.h"

/* Core 5.4, Vol 3, Part B, 2.5.1: 0000180d-0000-1000-8000-00805f9b34fb, least significant byte first */
static const uint8_t heart_rate[16] = {0xfb, 0x34, 0x9b, 0x5f, 0x80, 0x00, 0x00, 0x80,
                                       0x00, 0x10, 0x00, 0x00, 0x0d, 0x18, 0x00, 0x00};

static void expands_short_forms(void **state)
{
	static const struct uuid table = UUID16_INIT(0x180d);
	struct uuid u = uuid_from16(0x180d), v;
	uint16_t n16 = 0;
	uint32_t n32 = 0;

	assert_memory_equal(u.b, heart_rate, 16);
	assert_memory_equal(table.b, heart_rate, 16);
	assert_true(uuid_is16(&u, &n16));
	assert_int_equal(n16, 0x180d);
	assert_true(uuid_is16(&u, NULL));
	assert_true(uuid_is32(&u, &n32));
	assert_int_equal(n32, 0x180d);
	v = uuid_from32(0x12345678);
	assert_false(uuid_is16(&v, &n16));
	assert_true(uuid_is32(&v, &n32));
	assert_int_equal(n32, 0x12345678);
	u = uuid_from16(0xffff);
	assert_true(uuid_is16(&u, &n16));
	assert_int_equal(n16, 0xffff);
	u = uuid_from32(0x10000);
	assert_false(uuid_is16(&u, NULL));
	u = uuid_from16(0x180d);
	assert_true(uuid_equal16(&u, 0x180d));
	assert_false(uuid_equal16(&v, 0x5678));
}

static void takes_wire_forms(void **state)
{
	static const uint8_t four[] = {0x0d, 0x18, 0x00, 0x00};
	static const size_t bad[] = {0, 1, 3, 5, 8, 15, 17, SIZE_MAX};
	struct uuid a, b, c;

	assert_int_equal(uuid_from_bytes(four, 2, &a), 0);
	assert_int_equal(uuid_from_bytes(four, 4, &b), 0);
	assert_int_equal(uuid_from_bytes(heart_rate, 16, &c), 0);
	assert_true(uuid_equal(&a, &c));
	assert_true(uuid_equal(&b, &c));
	assert_int_equal(uuid_hash(&a), uuid_hash(&c));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(uuid_from_bytes(heart_rate, bad[i], &a), -EINVAL);
}

static void gives_wire_forms_of_att(void **state)
{
	struct uuid s = uuid_from16(0x2a37), m = uuid_from32(0x00012a37);
	uint8_t buf[UUID_WIRE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	assert_int_equal(uuid_wire(&s, buf), 2);
	assert_int_equal(buf[0], 0x37);
	assert_int_equal(buf[1], 0x2a);
	assert_int_equal(uuid_wire(&m, buf), 16); /* ATT has no 32-bit form */
	assert_memory_equal(buf, m.b, 16);
	wr_uuid(&w, &s);
	assert_int_equal(wr_len(&w), 2);
	wr_uuid(&w, &m);
	assert_false(wr_ok(&w));
}

static void reads_and_writes_text(void **state)
{
	static const struct {
		const char *text, *shortest, *full;
	} rows[] = {
		{"180d", "180d", "0000180d-0000-1000-8000-00805f9b34fb"},
		{"0x180D", "180d", "0000180d-0000-1000-8000-00805f9b34fb"},
		{"0000180D", "180d", "0000180d-0000-1000-8000-00805f9b34fb"},
		{"0000180d-0000-1000-8000-00805F9B34FB", "180d",
	         "0000180d-0000-1000-8000-00805f9b34fb"},
		{"0X12345678", "12345678", "12345678-0000-1000-8000-00805f9b34fb"},
		{"0000", "0000", "00000000-0000-1000-8000-00805f9b34fb"},
		{"ffff", "ffff", "0000ffff-0000-1000-8000-00805f9b34fb"},
		{"00010000", "00010000", "00010000-0000-1000-8000-00805f9b34fb"},
		{"6E400001-b5a3-f393-e0a9-e50e24dcca9e", "6e400001-b5a3-f393-e0a9-e50e24dcca9e",
	         "6e400001-b5a3-f393-e0a9-e50e24dcca9e"},
	};
	char buf[UUID_STR_MAX];
	struct uuid u, again;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(uuid_parse(rows[i].text, &u), 0);
		assert_string_equal(uuid_format_full(&u, buf), rows[i].full);
		assert_string_equal(uuid_format(&u, buf), rows[i].shortest);
		assert_int_equal(uuid_parse(buf, &again), 0);
		assert_true(uuid_equal(&u, &again));
	}
}

static void refuses_other_text(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"0x",
		"180",
		"180dd",
		"0x180",
		"18 d",
		"180g",
		"-180d",
		"+180d",
		"0x0x180d",
		"x180d",
		"123456789",
		"1234567",
		"0000180d-0000-1000-8000-00805f9b34f",
		"0000180d-0000-1000-8000-00805f9b34fbb",
		"0000180d00001000800000805f9b34fb",
		"0000180d-0000-1000-8000-00805f9b34fg",
		"0000180d:0000-1000-8000-00805f9b34fb",
		"0000180d-00001-000-8000-00805f9b34fb",
		"{0000180d-0000-1000-8000-00805f9b34f}",
		"------------------------------------",
	};
	struct uuid u = uuid_from16(1), before = u;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(uuid_parse(bad[i], &u), -EINVAL);
		assert_true(uuid_equal(&u, &before));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expands_short_forms),     cmocka_unit_test(takes_wire_forms),
		cmocka_unit_test(gives_wire_forms_of_att), cmocka_unit_test(reads_and_writes_text),
		cmocka_unit_test(refuses_other_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
