/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of the SIG, and records as they come off a descriptor. */
#include "sig.h"
#include "stream.h"

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "aiobled/stream.h"
#include "test.h"

static void test_uuid_name(void **state)
{
	static const struct {
		const char *uuid, *name;
	} rows[] = {
		{"2a19", "Battery Level"},
		{"2A19", "Battery Level"},
		{"0x180d", "Heart Rate"},
		{"00002902-0000-1000-8000-00805f9b34fb", "Client Characteristic Configuration"},
		{"1800", "Generic Access Profile"}, /* first of the table */
		{"ffff", NULL},
		{"0000", NULL},
		{"6e400001-b5a3-f393-e0a9-e50e24dcca9e", NULL},
		{"12342a19", NULL},
		{"battery", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *name = sig_uuid_name(rows[i].uuid);

		print_message("%s\n", rows[i].uuid);
		if (rows[i].name)
			assert_string_equal(name, rows[i].name);
		else
			assert_null(name);
	}
}

static void test_name_matches(void **state)
{
	static const struct {
		const char *name, *text;
		bool matches;
	} rows[] = {
		{"Battery Level", "battery_level", true},
		{"Battery Level", "Battery Level", true},
		{"Battery Level", "batterylevel", true},
		{"Battery Level", "battery", false},
		{"Battery Level", "battery_level_x", false},
		{"Battery Service", "battery", true},
		{"Battery Service", "battery_service", true},
		{"Rank Characteristic", "rank", true},
		{"Characteristic", "", false},
		{"Characteristic", "___", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s: %s\n", rows[i].name, rows[i].text);
		assert_int_equal(sig_name_matches(rows[i].name, rows[i].text), rows[i].matches);
	}
}

static void test_name_known(void **state)
{
	uint16_t service;

	assert_true(sig_name_known("heart_rate", &service));
	assert_int_equal(service, 0x180d);
	assert_true(sig_name_known("heart_rate_measurement", &service));
	assert_int_equal(service, 0); /* a characteristic */
	assert_true(sig_name_known("device_time", &service));
	assert_int_equal(service, 0x1847); /* there is a characteristic of that name too */
	assert_false(sig_name_known("heart_beat", &service));
	assert_false(sig_name_known("", &service));
}

/* The hardware database may be missing on a machine: a name must be right, none is fine */
static void test_name_find(void **state)
{
	uint16_t n;

	assert_true(sig_name_find("battery_service", 0x1800, 0x18ff, &n));
	assert_int_equal(n, 0x180f);
	assert_true(sig_name_find("Device Time", 0x1800, 0x18ff, &n));
	assert_int_equal(n, 0x1847);
	assert_true(sig_name_find("device-time", 0x2a00, 0x2cff, &n));
	assert_int_equal(n, 0x2b90);
	assert_false(sig_name_find("battery level", 0x1800, 0x18ff, &n));
	assert_true(sig_name_find("battery level", 0x2a19, 0x2a19, &n));
	assert_false(sig_name_find("", 0, 0xffff, &n));
}

static void test_company(void **state)
{
	const char *name = sig_company_name(0x004c);

	if (name)
		assert_non_null(strstr(name, "Apple"));
	assert_null(sig_company_name(0xffff) ? strstr(sig_company_name(0xffff), "Apple") : NULL);
}

static void test_record(void **state)
{
	uint8_t buf[STREAM_HEADER_SIZE + 2];
	struct wr w = wr_init(buf, sizeof(buf));
	struct record r;

	wr_u8(&w, STREAM_NOTIFIED);
	wr_u8(&w, 0);
	wr_le16(&w, 0x0012);
	wr_le32(&w, 7);
	wr_le64(&w, 0x0102030405060708);
	wr_le64(&w, 99);
	wr_bytes(&w, "ab", 2);
	assert_true(wr_ok(&w));
	assert_int_equal(record_parse(buf, sizeof(buf), &r), 0);
	assert_int_equal(r.type, STREAM_NOTIFIED);
	assert_int_equal(r.handle, 0x0012);
	assert_int_equal(r.dropped, 7);
	assert_true(r.seq == 0x0102030405060708);
	assert_int_equal(r.time_us, 99);
	assert_int_equal(r.len, 2);
	assert_memory_equal(r.payload, "ab", 2);
	assert_int_equal(record_parse(buf, STREAM_HEADER_SIZE, &r), 0);
	assert_int_equal(r.len, 0);
	for (size_t n = 0; n < STREAM_HEADER_SIZE; n++)
		assert_int_equal(record_parse(buf, n, &r), -EBADMSG);
}

static void test_end_reason(void **state)
{
	static const struct {
		const char *payload;
		size_t len;
		uint8_t hci;
		const char *reason;
	} rows[] = {
		{"\0duration", 9, 0, "duration"},
		{"\x08org.aioble.Error.Disconnected", 30, 8, "org.aioble.Error.Disconnected"},
		{"\x13", 1, 0x13, "ended"},
		{"", 0, 0, "ended"},
	};
	uint8_t hci;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct record r = {.payload = (const uint8_t *)rows[i].payload, .len = rows[i].len};

		assert_string_equal(stream_end_reason(&r, &hci), rows[i].reason);
		assert_int_equal(hci, rows[i].hci);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uuid_name),  cmocka_unit_test(test_name_matches),
		cmocka_unit_test(test_name_known), cmocka_unit_test(test_company),
		cmocka_unit_test(test_name_find),  cmocka_unit_test(test_record),
		cmocka_unit_test(test_end_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
