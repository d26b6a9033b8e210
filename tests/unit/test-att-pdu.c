/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every PDU of the Attribute Protocol: fields by hand, round trips, all truncations, hostile lengths.
 */
#include "aiobled/att_pdu.h"

#include "../support/att-echo.h"
#include "vec.h"

#include "test.h"

#define NUS                                                                                        \
	"9ecadc240ee5a9e093f3a3b50100406e" /* 6e400001-b5a3-f393-e0a9-e50e24dcca9e on the wire */

/* A PDU of each layout. It is valid at @min bytes and at every further @step bytes; step 0: at @min only. */
static const struct {
	const char *hex;
	size_t min, step;
} rows[] = {
	{"01 0a 12 00 0a", 5, 0},
	{"02 17 00", 3, 0},
	{"03 05 02", 3, 0},
	{"04 01 00 ff ff", 5, 0},
	{"05 01 03 00 02 29 04 00 01 29", 6, 4},
	{"05 02 10 00" NUS "11 00" NUS, 20, 18},
	{"06 01 00 ff ff 00 28 0d 18", 7, 1},
	{"07 10 00 14 00 20 00 ff ff", 5, 4},
	{"08 01 00 ff ff 03 28", 7, 0},
	{"08 01 00 ff ff" NUS, 7, 14},
	{"09 07 02 00 12 03 00 37 2a 05 00 02 06 00 38 2a", 9, 7},
	{"09 02 02 00 03 00", 4, 2},
	{"0a 03 00", 3, 0},
	{"0b 48 69", 1, 1},
	{"0c 03 00 16 00", 5, 0},
	{"0d 48 69", 1, 1},
	{"0e 03 00 05 00 07 00", 5, 2},
	{"0f 48 69", 1, 1},
	{"10 01 00 ff ff 00 28", 7, 0},
	{"10 01 00 ff ff" NUS, 7, 14},
	{"11 06 01 00 07 00 00 18 08 00 0b 00 01 18", 8, 6},
	{"11 04 01 00 07 00", 6, 4},
	{"12 04 00 01 00", 3, 1},
	{"13", 1, 0},
	{"16 03 00 12 00 61 62", 5, 1},
	{"17 03 00 12 00 61 62", 5, 1},
	{"18 00", 2, 0},
	{"18 01", 2, 0},
	{"19", 1, 0},
	{"1b 03 00 16 48", 3, 1},
	{"1d 03 00 16 48", 3, 1},
	{"1e", 1, 0},
	{"20 03 00 05 00 07 00", 5, 2},
	{"21 02 00 01 02 03 00 61 62 63", 3, 1},
	{"21 00 00 00 00", 3, 1},
	{"23 03 00 01 00 aa 05 00 01 00 bb", 6, 5},
	{"52 04 00 01 00", 3, 1},
	{"d2 04 00 aa 01 02 03 04 05 06 07 08 09 0a 0b 0c", 15, 1},
};

static bool valid_at(size_t row, size_t len)
{
	if (len < rows[row].min)
		return false;
	return rows[row].step ? (len - rows[row].min) % rows[row].step == 0 : len == rows[row].min;
}

static void check_echo(const struct vec *v, bool valid)
{
	uint8_t *out = malloc(v->len ? v->len : 1);
	struct wr w = wr_init(out, v->len);
	int r = att_echo(v->p, v->len, &w);

	assert_int_equal(r, valid ? 0 : -EBADMSG);
	if (valid) {
		assert_true(wr_ok(&w));
		assert_int_equal(wr_len(&w), v->len);
		assert_memory_equal(out, v->p, v->len);
	}
	free(out);
}

static void writes_what_it_read_at_every_length(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec v = vec(rows[i].hex), longer;

		for (size_t n = 0; n <= v.len; n++) {
			struct vec cut = vec_prefix(&v, n);

			check_echo(&cut, valid_at(i, n));
			free(cut.p);
		}
		longer = (struct vec){.p = calloc(1, v.len + 1), .len = v.len + 1};
		memcpy(longer.p, v.p, v.len);
		/* one zero more is an offer of half a tuple or of a value's byte, never of a second field */
		check_echo(&longer, valid_at(i, longer.len));
		free(longer.p);
		free(v.p);
	}
}

static void takes_only_its_own_opcode(void **state)
{
	static const uint8_t foreign[] = {0x00, 0x14, 0x1a, 0x1f, 0x22,
	                                  0x24, 0x40, 0x7f, 0x92, 0xff};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vec v = vec(rows[i].hex);

		for (size_t k = 0; k < ARRAY_SIZE(foreign); k++) {
			v.p[0] = foreign[k];
			check_echo(&v, false);
		}
		free(v.p);
	}
}

static void refuses_hostile_lists(void **state)
{
	static const char *const bad[] = {
		"05 00 03 00 02 29",    /* format without a meaning */
		"05 03 03 00 02 29",    /* format without a meaning */
		"05 01",                /* nothing found is an error response, not an empty list */
		"05 02 03 00 02 29",    /* items of the other format */
		"07",                   /* empty */
		"07 10 00 14",          /* half an item */
		"09 00",                /* length 0, empty */
		"09 00 02 00 12 03 00", /* length 0 would never end */
		"09 01 02 00",          /* no room for a handle */
		"09 07",                /* empty */
		"09 07 02 00 12 03 00 37",       /* item cut */
		"09 07 02 00 12 03 00 37 2a 05", /* second item cut */
		"09 ff 02 00 12 03 00 37 2a",    /* longer than the PDU */
		"11 00 01 00 07 00 00 18",       /* length 0 */
		"11 03 01 00 07",                /* no room for two handles */
		"11 06 01 00 07 00 00",          /* item cut */
		"0e 03 00",                      /* one handle is not multiple */
		"20 03 00",                      /* one handle is not multiple */
		"23",                            /* empty */
		"23 03 00 02 00 aa",             /* value cut: allowed in responses, not here */
		"23 03 00 01 00 aa 05 00 ff ff", /* second value longer than the PDU */
		"18 02",                         /* flags without a meaning */
		"d2 04 00 01 02 03 04 05 06 07 08 09 0a 0b", /* signature cut */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vec v = vec(bad[i]);

		check_echo(&v, false);
		free(v.p);
	}
}

static void leaves_outputs_alone_on_failure(void **state)
{
	static const uint8_t pdu[] = {ATT_ERROR_RSP, 0x0a, 0x12};
	struct att_error e = {1, 2, 3};
	struct att_list l = {.item_len = 77};
	uint16_t n = 0xbeef;
	const uint8_t *p = pdu;
	size_t len = 5;

	assert_int_equal(att_parse_error(pdu, sizeof(pdu), &e), -EBADMSG);
	assert_int_equal(e.request, 1);
	assert_int_equal(e.handle, 2);
	assert_int_equal(att_parse_mtu(pdu, sizeof(pdu), &n), -EBADMSG);
	assert_int_equal(n, 0xbeef);
	assert_int_equal(att_parse_read_by_type_rsp(pdu, sizeof(pdu), &l), -EBADMSG);
	assert_int_equal(l.item_len, 77);
	assert_int_equal(att_parse_read_rsp(pdu, sizeof(pdu), &p, &len), -EBADMSG);
	assert_ptr_equal(p, pdu);
	assert_int_equal(len, 5);
}

static void knows_each_field(void **state)
{
	static const uint8_t error[] = {0x01, 0x08, 0x34, 0x12, 0x0a};
	static const uint8_t find[] = {0x06, 0x01, 0x00, 0x34, 0x12, 0x00, 0x28, 0x0d, 0x18};
	static const uint8_t by_type[] = {0x08, 0x02, 0x01, 0x04, 0x03, 0x03, 0x28};
	static const uint8_t blob[] = {0x0c, 0x03, 0x01, 0x16, 0x02};
	static const uint8_t prepare[] = {0x16, 0x03, 0x01, 0x16, 0x02, 0x61};
	struct att_error e;
	struct att_find_by_type f;
	struct att_by_type t;
	struct att_prepare p;
	uint16_t a, b;

	assert_int_equal(att_parse_error(error, sizeof(error), &e), 0);
	assert_int_equal(e.request, ATT_READ_BY_TYPE_REQ);
	assert_int_equal(e.handle, 0x1234);
	assert_int_equal(e.code, ATT_ERR_NOT_FOUND);
	assert_int_equal(att_parse_find_by_type_req(find, sizeof(find), &f), 0);
	assert_int_equal(f.range.start, 1);
	assert_int_equal(f.range.end, 0x1234);
	assert_int_equal(f.type, 0x2800);
	assert_ptr_equal(f.value, find + 7);
	assert_int_equal(f.value_len, 2);
	assert_int_equal(att_parse_read_by_type_req(by_type, sizeof(by_type), &t), 0);
	assert_int_equal(t.range.start, 0x0102);
	assert_int_equal(t.range.end, 0x0304);
	assert_true(uuid_equal16(&t.type, 0x2803));
	assert_int_equal(att_parse_read_blob_req(blob, sizeof(blob), &a, &b), 0);
	assert_int_equal(a, 0x0103);
	assert_int_equal(b, 0x0216);
	assert_int_equal(att_parse_prepare(prepare, sizeof(prepare), &p), 0);
	assert_int_equal(p.handle, 0x0103);
	assert_int_equal(p.offset, 0x0216);
	assert_int_equal(p.len, 1);
	assert_int_equal(p.value[0], 0x61);
}

static void walks_lists(void **state)
{
	struct vec info = vec("05 01 03 00 02 29 04 00 01 29");
	struct vec typed = vec("09 07 02 00 12 03 00 37 2a 05 00 02 06 00 38 2a");
	struct vec group = vec("11 06 01 00 07 00 00 18 08 00 0b 00 01 18");
	struct att_list l;
	struct att_range range;
	const uint8_t *value;
	struct uuid uuid;
	uint16_t handle;
	size_t len;

	assert_int_equal(att_parse_find_info_rsp(info.p, info.len, &l), 0);
	assert_true(att_next_info(&l, &handle, &uuid));
	assert_int_equal(handle, 3);
	assert_true(uuid_equal16(&uuid, 0x2902));
	assert_true(att_next_info(&l, &handle, &uuid));
	assert_int_equal(handle, 4);
	assert_false(att_next_info(&l, &handle, &uuid));
	assert_false(att_next_info(&l, &handle, &uuid));

	assert_int_equal(att_parse_read_by_type_rsp(typed.p, typed.len, &l), 0);
	assert_true(att_next_typed(&l, &handle, &value, &len));
	assert_true(att_next_typed(&l, &handle, &value, &len));
	assert_int_equal(handle, 5);
	assert_int_equal(len, 5);
	assert_ptr_equal(value, typed.p + 11);
	assert_false(att_next_typed(&l, &handle, &value, &len));

	assert_int_equal(att_parse_read_by_group_rsp(group.p, group.len, &l), 0);
	assert_true(att_next_group(&l, &range, &value, &len));
	assert_true(att_next_group(&l, &range, &value, &len));
	assert_int_equal(range.start, 8);
	assert_int_equal(range.end, 0x0b);
	assert_int_equal(len, 2);
	assert_false(att_next_group(&l, &range, &value, &len));
	free(info.p);
	free(typed.p);
	free(group.p);
}

static void shows_a_cut_tuple(void **state)
{
	struct vec v = vec("21 01 00 aa 05 00 61 62");
	struct att_list l;
	struct att_tuple t;
	uint16_t handle;

	assert_int_equal(att_parse_read_multi_var_rsp(v.p, v.len, &l), 0);
	assert_false(
		att_next_handle(&l, &handle)); /* not that kind of list: must not go on for ever */
	assert_true(att_next_tuple(&l, &t));
	assert_int_equal(t.len, 1);
	assert_int_equal(t.full_len, 1);
	assert_true(att_next_tuple(&l, &t));
	assert_int_equal(t.len, 2);
	assert_int_equal(t.full_len, 5);
	assert_int_equal(t.value[1], 0x62);
	assert_false(att_next_tuple(&l, &t));
	free(v.p);
}

static void cuts_only_where_the_clause_allows(void **state)
{
	static const uint8_t zeroes[0x0102];
	uint8_t buf[8], big[300];
	struct wr w = wr_init(buf, 6);

	att_put_read_multi_var_rsp(&w);
	assert_true(att_put_tuple(&w, (const uint8_t *)"a", 1));
	assert_false(att_put_tuple(&w, (const uint8_t *)"bcd", 3));
	assert_true(wr_ok(&w));
	assert_int_equal(wr_len(&w), 6);
	assert_memory_equal(buf, "\x21\x01\x00\x61\x03\x00", 6);

	w = wr_init(big, sizeof(big));
	assert_true(att_put_tuple(&w, zeroes, 0x0102));
	assert_memory_equal(big, "\x02\x01", 2);
	assert_int_equal(wr_len(&w), 2 + 0x0102);

	w = wr_init(buf, 8);
	att_put_notify_multi(&w);
	assert_true(att_put_value(&w, 1, (const uint8_t *)"a", 1));
	assert_false(att_put_value(&w, 2, (const uint8_t *)"b", 1));
	assert_true(wr_ok(&w));
	assert_int_equal(wr_len(&w), 6);

	w = wr_init(buf, 7);
	att_put_notify_multi(&w);
	assert_false(
		att_put_value(&w, 1, (const uint8_t *)"abc", 3)); /* its head alone would fit */
	assert_true(wr_ok(&w));
	assert_int_equal(wr_len(&w), 1);

	w = wr_init(buf, 5);
	att_put_write_req(&w, 1, (const uint8_t *)"abc", 3);
	assert_false(wr_ok(&w));
}

static void sorts_opcodes(void **state)
{
	static const struct {
		uint8_t opcode;
		enum att_kind kind;
		uint8_t response;
	} known[] = {
		{0x01, ATT_KIND_RESPONSE, 0},     {0x02, ATT_KIND_REQUEST, 0x03},
		{0x04, ATT_KIND_REQUEST, 0x05},   {0x06, ATT_KIND_REQUEST, 0x07},
		{0x08, ATT_KIND_REQUEST, 0x09},   {0x0a, ATT_KIND_REQUEST, 0x0b},
		{0x0c, ATT_KIND_REQUEST, 0x0d},   {0x0e, ATT_KIND_REQUEST, 0x0f},
		{0x10, ATT_KIND_REQUEST, 0x11},   {0x12, ATT_KIND_REQUEST, 0x13},
		{0x16, ATT_KIND_REQUEST, 0x17},   {0x18, ATT_KIND_REQUEST, 0x19},
		{0x20, ATT_KIND_REQUEST, 0x21},   {0x1b, ATT_KIND_NOTIFICATION, 0},
		{0x23, ATT_KIND_NOTIFICATION, 0}, {0x1d, ATT_KIND_INDICATION, 0x1e},
		{0x1e, ATT_KIND_CONFIRMATION, 0}, {0x52, ATT_KIND_COMMAND, 0},
		{0xd2, ATT_KIND_COMMAND, 0},
	};
	bool seen[256] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		assert_int_equal(att_kind(known[i].opcode), known[i].kind);
		assert_int_equal(att_response_of(known[i].opcode), known[i].response);
		assert_string_not_equal(att_opcode_name(known[i].opcode), "unknown");
		seen[known[i].opcode] = true;
		if (known[i].kind != ATT_KIND_REQUEST)
			continue;
		assert_int_equal(att_kind(known[i].response), ATT_KIND_RESPONSE);
		seen[known[i].response] = true;
	}
	for (unsigned int op = 0; op < 256; op++) {
		if (seen[op])
			continue;
		assert_string_equal(att_opcode_name((uint8_t)op), "unknown");
		assert_int_equal(att_response_of((uint8_t)op), 0);
		assert_int_equal(att_kind((uint8_t)op),
		                 op & 0x40 ? ATT_KIND_COMMAND : ATT_KIND_UNKNOWN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_what_it_read_at_every_length),
		cmocka_unit_test(takes_only_its_own_opcode),
		cmocka_unit_test(refuses_hostile_lists),
		cmocka_unit_test(leaves_outputs_alone_on_failure),
		cmocka_unit_test(knows_each_field),
		cmocka_unit_test(walks_lists),
		cmocka_unit_test(shows_a_cut_tuple),
		cmocka_unit_test(cuts_only_where_the_clause_allows),
		cmocka_unit_test(sorts_opcodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
