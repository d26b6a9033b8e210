/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/addr.h"

#include "test.h"

static void reads_and_writes_text(void **state)
{
	static const char *const good[] = {"C0:FF:EE:01:02:0a", "c0ffee01020A",
	                                   "c0:ff:ee:01:02:0A"};
	static const uint8_t wire[] = {0x0a, 0x02, 0x01, 0xee, 0xff, 0xc0};
	char buf[ADDR_STR_MAX];
	struct addr a;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memset(&a, 0xaa, sizeof(a));
		assert_int_equal(addr_parse(good[i], ADDR_RANDOM, &a), 0);
		assert_memory_equal(a.b, wire, sizeof(wire));
		assert_int_equal(a.type, ADDR_RANDOM);
		assert_string_equal(addr_format(&a, buf), "C0:FF:EE:01:02:0A");
	}
}

static void refuses_other_text(void **state)
{
	static const char *const bad[] = {
		"",
		":",
		"C0:FF:EE:01:02",
		"C0:FF:EE:01:02:0",
		"C0:FF:EE:01:02:0G",
		"C0-FF-EE-01-02-0A",
		"C0:FF:EE:01:02:0A:",
		"C0FFEE0102",
		"C0FFEE01020",
		"C0FFEE01020AA",
		"C0:FF:EE:0102:0A:",
		" C0FFEE01020",
		"0xC0FFEE0102",
		"C0:FF:EE:01:020A0",
	};
	struct addr a = {.b = {1}, .type = 7}, before = a;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(addr_parse(bad[i], ADDR_PUBLIC, &a), -EINVAL);
		assert_memory_equal(&a, &before, sizeof(a));
	}
}

static void knows_types(void **state)
{
	uint8_t type = 9;

	assert_int_equal(addr_type_parse("random", &type), 0);
	assert_int_equal(type, ADDR_RANDOM);
	assert_int_equal(addr_type_parse("public", &type), 0);
	assert_int_equal(type, ADDR_PUBLIC);
	assert_int_equal(addr_type_parse("Public", &type), -EINVAL);
	assert_int_equal(addr_type_parse("", &type), -EINVAL);
	assert_string_equal(addr_type_name(ADDR_PUBLIC), "public");
	assert_string_equal(addr_type_name(ADDR_RANDOM), "random");
}

static void converts_kernel_numbers(void **state)
{
	uint8_t type = 9;

	assert_int_equal(addr_type_to_mgmt(ADDR_PUBLIC), 1);
	assert_int_equal(addr_type_to_mgmt(ADDR_RANDOM), 2);
	assert_int_equal(addr_type_from_mgmt(0, &type), -EINVAL);
	assert_int_equal(addr_type_from_mgmt(3, &type), -EINVAL);
	assert_int_equal(type, 9);
	assert_int_equal(addr_type_from_mgmt(1, &type), 0);
	assert_int_equal(type, ADDR_PUBLIC);
	assert_int_equal(addr_type_from_mgmt(2, &type), 0);
	assert_int_equal(type, ADDR_RANDOM);
}

static void folds_resolved_identities(void **state)
{
	static const uint8_t b[ADDR_LEN] = {1, 2, 3, 4, 5, 6};

	for (uint8_t type = 0; type < 4; type++) {
		struct addr a = addr_from_bytes(b, type);

		assert_int_equal(a.type, type % 2);
		assert_memory_equal(a.b, b, ADDR_LEN);
	}
}

static void tells_kinds_of_random_addresses(void **state)
{
	static const struct {
		const char *text;
		uint8_t type;
		enum addr_kind kind;
	} rows[] = {
		{"C0:00:00:00:00:01", ADDR_RANDOM, ADDR_KIND_STATIC},
		{"FF:00:00:00:00:01", ADDR_RANDOM, ADDR_KIND_STATIC},
		{"40:00:00:00:00:01", ADDR_RANDOM, ADDR_KIND_RESOLVABLE},
		{"7F:FF:FF:FF:FF:FF", ADDR_RANDOM, ADDR_KIND_RESOLVABLE},
		{"3F:00:00:00:00:01", ADDR_RANDOM, ADDR_KIND_NON_RESOLVABLE},
		{"80:00:00:00:00:01", ADDR_RANDOM, ADDR_KIND_RESERVED},
		{"C0:00:00:00:00:01", ADDR_PUBLIC, ADDR_KIND_PUBLIC},
	};
	struct addr a;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(addr_parse(rows[i].text, rows[i].type, &a), 0);
		assert_int_equal(addr_kind(&a), rows[i].kind);
	}
}

static void compares_type_and_bytes(void **state)
{
	struct addr a = {.b = {1, 2, 3, 4, 5, 6}}, b = a, none = {.type = ADDR_RANDOM};

	assert_true(addr_equal(&a, &b));
	assert_int_equal(addr_hash(&a), addr_hash(&b));
	b.type = ADDR_RANDOM;
	assert_false(addr_equal(&a, &b));
	assert_int_not_equal(addr_hash(&a), addr_hash(&b));
	b = a;
	b.b[5] ^= 1;
	assert_false(addr_equal(&a, &b));
	assert_int_not_equal(addr_hash(&a), addr_hash(&b));
	assert_true(addr_is_any(&none));
	assert_false(addr_is_any(&a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_text),
		cmocka_unit_test(refuses_other_text),
		cmocka_unit_test(knows_types),
		cmocka_unit_test(converts_kernel_numbers),
		cmocka_unit_test(folds_resolved_identities),
		cmocka_unit_test(tells_kinds_of_random_addresses),
		cmocka_unit_test(compares_type_and_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
