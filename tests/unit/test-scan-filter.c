/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../../src/core/scan_filter.h"

#include "aiobled/cleanup.h"
#include "test.h"

#include "../support/failing.h"

static long failed;

/* --- patterns --- */

static void patterns_match_like_a_shell(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} rows[] = {
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "anything", true},
		{"?", "", false},
		{"?", "a", true},
		{"?", "\xc3\xa4", true}, /* one character, two bytes */
		{"??", "\xc3\xa4", false},
		{"Polar*", "Polar H10", true},
		{"Polar*", "polar H10", false},
		{"*H10", "Polar H10", true},
		{"*H10", "Polar H10 ", false},
		{"P*r*H?0", "Polar H10", true},
		{"*a*b", "aaaab", true},
		{"*a*b", "aaaac", false},
		{"*ab", "aab", true},
		{"[a-c]x", "bx", true},
		{"[a-c]x", "dx", false},
		{"[!a-c]x", "dx", true},
		{"[^a-c]x", "ax", false},
		{"[]]", "]", true},
		{"[!]]", "]", false},
		{"[a-]", "-", true},
		{"[\\]]", "]", true},
		{"[\\]", "[]", true}, /* escaped, so never closed */
		{"[\\]", "\\", false},
		{"[\xc3\xa4-\xc3\xbc]", "\xc3\xb6", true}, /* a range of letters beyond ASCII */
		{"[\xc3\xa4-\xc3\xbc]", "o", false},
		{"[abc", "[abc", true}, /* never closed: itself */
		{"[abc", "a", false},
		{"\\*", "*", true},
		{"\\*", "a", false},
		{"a\\", "a\\", true},
		{"a\\", "a", false},
		{"*\\?", "why?", true},
		{"*\xef\xbf\xbd", "bad\xef\xbf\xbd", true},
		{"\xc3", "\xc3", true}, /* not UTF-8 on either side: bytes */
		{"abc", "ab", false},
		{"ab", "abc", false},
		{"ab*", "ab", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (scan_glob(rows[i].pattern, rows[i].text) != rows[i].match)
			fail_msg("\"%s\" against \"%s\"", rows[i].pattern, rows[i].text);
}

/* Exponential matchers would not come back from this one. */
static void many_stars_stay_cheap(void **state)
{
	char pattern[201], text[251];

	for (size_t i = 0; i < 200; i += 2)
		memcpy(pattern + i, "*a", 2);
	memcpy(pattern + 199, "b", 2);
	memset(text, 'a', 250);
	text[250] = '\0';
	assert_false(scan_glob(pattern, text));
	pattern[199] = 'a';
	assert_true(scan_glob(pattern, text));
}

/* --- filters --- */

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static const struct uuid heart_rate = UUID16_INIT(0x180d), battery = UUID16_INIT(0x180f);
static const struct uuid own = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const uint16_t company[] = {0x1234, 0x0059};
static const char *const names[] = {"Belt *", "Ring"};
static const struct addr peer = {{1, 2, 3, 4, 5, 6}, ADDR_RANDOM};
static const struct addr peer_public = {{1, 2, 3, 4, 5, 6}, ADDR_PUBLIC};
static const struct addr peer_any = {{1, 2, 3, 4, 5, 6}, 0xff};

struct row {
	const char *name;
	struct scan_filter filter;
	int8_t rssi;
	const uint8_t *adv;
	size_t adv_len;
	const uint8_t *rsp;
	size_t rsp_len;
	bool pass;
};

#define ANY .rssi_min_dbm = SCAN_RSSI_ANY

static const struct row rows[] = {
	{"no filter", {ANY}, -50, BYTES(2, 1, 6), NULL, 0, true},
	{"no filter, no data", {ANY}, 127, NULL, 0, NULL, 0, true},
	{"RSSI at the limit", {.rssi_min_dbm = -50}, -50, NULL, 0, NULL, 0, true},
	{"RSSI below", {.rssi_min_dbm = -50}, -51, NULL, 0, NULL, 0, false},
	{"RSSI not measured", {.rssi_min_dbm = -50}, SCAN_RSSI_NONE, NULL, 0, NULL, 0, false},
	{"address", {.addrs = &peer, .n_addrs = 1, ANY}, 0, NULL, 0, NULL, 0, true},
	{"address of the other type",
         {.addrs = &peer_public, .n_addrs = 1, ANY},
         0,
         NULL,
         0,
         NULL,
         0,
         false},
	{"address of any type", {.addrs = &peer_any, .n_addrs = 1, ANY}, 0, NULL, 0, NULL, 0, true},
	{"UUID in a complete list",
         {.uuids = &heart_rate, .n_uuids = 1, ANY},
         0,
         BYTES(3, 3, 0x0d, 0x18),
         NULL,
         0,
         true},
	{"UUID in an incomplete list",
         {.uuids = &heart_rate, .n_uuids = 1, ANY},
         0,
         BYTES(5, 2, 0x0f, 0x18, 0x0d, 0x18),
         NULL,
         0,
         true},
	{"UUID in service data",
         {.uuids = &heart_rate, .n_uuids = 1, ANY},
         0,
         BYTES(4, 0x16, 0x0d, 0x18, 7),
         NULL,
         0,
         true},
	{"UUID only solicited",
         {.uuids = &heart_rate, .n_uuids = 1, ANY},
         0,
         BYTES(3, 0x14, 0x0d, 0x18),
         NULL,
         0,
         false},
	{"another UUID",
         {.uuids = &battery, .n_uuids = 1, ANY},
         0,
         BYTES(3, 3, 0x0d, 0x18),
         NULL,
         0,
         false},
	{"UUID cut off",
         {.uuids = &heart_rate, .n_uuids = 1, ANY},
         0,
         BYTES(3, 3, 0x0d),
         NULL,
         0,
         false},
	{"128-bit UUID",
         {.uuids = &own, .n_uuids = 1, ANY},
         0,
         BYTES(17, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
         NULL,
         0,
         true},
	{"UUID in the scan response",
         {.uuids = &heart_rate, .n_uuids = 1, ANY},
         0,
         BYTES(2, 1, 6),
         BYTES(3, 3, 0x0d, 0x18),
         true},
	{"second company",
         {.companies = company, .n_companies = 2, ANY},
         0,
         BYTES(4, 0xff, 0x59, 0, 1),
         NULL,
         0,
         true},
	{"other company",
         {.companies = company, .n_companies = 2, ANY},
         0,
         BYTES(4, 0xff, 0x58, 0, 1),
         NULL,
         0,
         false},
	{"company cut off",
         {.companies = company, .n_companies = 2, ANY},
         0,
         BYTES(2, 0xff, 0x59),
         NULL,
         0,
         false},
	{"name",
         {.names = names, .n_names = 2, ANY},
         0,
         BYTES(7, 9, 'B', 'e', 'l', 't', ' ', '7'),
         NULL,
         0,
         true},
	{"short name in the scan response",
         {.names = names, .n_names = 2, ANY},
         0,
         BYTES(2, 9, 'x'),
         BYTES(5, 8, 'R', 'i', 'n', 'g'),
         true},
	{"padded name",
         {.names = names, .n_names = 2, ANY},
         0,
         BYTES(7, 9, 'R', 'i', 'n', 'g', 0, 0),
         NULL,
         0,
         true},
	{"other name",
         {.names = names, .n_names = 2, ANY},
         0,
         BYTES(6, 9, 'R', 'i', 'n', 'g', 's'),
         NULL,
         0,
         false},
	{"no name", {.names = names, .n_names = 2, ANY}, 0, BYTES(2, 1, 6), NULL, 0, false},
	{"name and UUID, one in each packet",
         {.names = names, .n_names = 2, .uuids = &heart_rate, .n_uuids = 1, ANY},
         0,
         BYTES(3, 3, 0x0d, 0x18),
         BYTES(5, 9, 'R', 'i', 'n', 'g'),
         true},
	{"name but not UUID",
         {.names = names, .n_names = 2, .uuids = &battery, .n_uuids = 1, ANY},
         0,
         BYTES(3, 3, 0x0d, 0x18),
         BYTES(5, 9, 'R', 'i', 'n', 'g'),
         false},
	{"a length over the end",
         {.names = names, .n_names = 2, ANY},
         0,
         BYTES(30, 9, 'R', 'i', 'n', 'g'),
         NULL,
         0,
         true},
	{"a zero length ends",
         {.names = names, .n_names = 2, ANY},
         0,
         BYTES(0, 5, 9, 'R', 'i', 'n', 'g'),
         NULL,
         0,
         false},
};

static void every_filter_given_must_pass(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct scan_report report = {.addr = peer,
		                             .rssi_dbm = row->rssi,
		                             .adv = row->adv,
		                             .adv_len = row->adv_len,
		                             .rsp = row->rsp,
		                             .rsp_len = row->rsp_len};

		if (scan_filter_match(&row->filter, &report) != row->pass)
			fail_msg("%s", row->name);
	}
}

static void a_copy_stands_alone(void **state)
{
	char pattern[] = "Belt *";
	const char *list[] = {pattern};
	struct uuid uuid = heart_rate;
	struct scan_filter copy, from = {.names = list,
	                                 .n_names = 1,
	                                 .uuids = &uuid,
	                                 .n_uuids = 1,
	                                 .addrs = &peer,
	                                 .n_addrs = 1,
	                                 .companies = company,
	                                 .n_companies = 2,
	                                 .rssi_min_dbm = -70};

	assert_int_equal(scan_filter_copy(&from, &copy), 0);
	memset(pattern, 'x', sizeof(pattern) - 1);
	memset(&uuid, 0, sizeof(uuid));
	list[0] = NULL;
	assert_string_equal(copy.names[0], "Belt *");
	assert_true(uuid_equal(&copy.uuids[0], &heart_rate));
	assert_true(addr_equal(&copy.addrs[0], &peer));
	assert_int_equal(copy.companies[1], 0x0059);
	assert_int_equal(copy.rssi_min_dbm, -70);
	scan_filter_deinit(&copy);
	assert_int_equal(copy.n_names, 0);
	scan_filter_deinit(&copy); /* twice does nothing */
}

static void every_allocation_of_a_copy_may_fail(void **state)
{
	const char *list[] = {"a", "b", "c"};
	struct uuid uuid = heart_rate;
	struct scan_filter copy, from = {.names = list,
	                                 .n_names = 3,
	                                 .uuids = &uuid,
	                                 .n_uuids = 1,
	                                 .addrs = &peer,
	                                 .n_addrs = 1,
	                                 .companies = company,
	                                 .n_companies = 2};

	for (fail_after = 0;; fail_after = failed + 1) {
		failed = fail_after;
		if (scan_filter_copy(&from, &copy) == 0)
			break;
	}
	fail_after = -1;
	assert_int_equal(failed, 7); /* four arrays and three names */
	scan_filter_deinit(&copy);
}

static void too_many_values_are_refused(void **state)
{
	struct scan_filter copy,
		from = {.companies = company, .n_companies = SCAN_FILTER_VALUES_MAX + 1};

	assert_int_equal(scan_filter_copy(&from, &copy), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_like_a_shell),
		cmocka_unit_test(many_stars_stay_cheap),
		cmocka_unit_test(every_filter_given_must_pass),
		cmocka_unit_test(a_copy_stands_alone),
		cmocka_unit_test(every_allocation_of_a_copy_may_fail),
		cmocka_unit_test(too_many_values_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
