/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing: the SIG's test purposes, and the queue at the peer that must never be left filled. */
#include "aiobled/gatt_client.h"
#include "aiobled/result.h"

#include "../support/gatt_bed.h"
#include "test.h"

enum how { WRITE, COMMAND, SIGNED, LONG, RELIABLE };

#define PREPARED "> 16 03 00 00 00 41*18; < 17 03 00 00 00 41*18"

/* Handle 3. WRITE, COMMAND, SIGNED: 01 02 03. LONG: 41*20. RELIABLE: 01 02 to 3, 03 to 7. */
static const struct row {
	const char *name;
	enum how how;
	const char *script;
	int res;
	uint16_t err_handle;
} rows[] = {
	{"the peer exchanges the MTU meanwhile", WRITE,
         "> 12 03 00 01 02 03; < 02 64 00; > 03 05 02; < 13", 0, 0},
	{"GATT/CL/GAW/BV-01-C", COMMAND, "> 52 03 00 01 02 03; =", 0, 0},
	{"GATT/CL/GAW/BV-02-C", SIGNED, "> d2 03 00 01 02 03 5a*12; =", 0, 0},
	{"GATT/CL/GAW/BV-03-C", WRITE, "> 12 03 00 01 02 03; < 13", 0, 0},
	{"GATT/CL/GAW/BI-02-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 01", RES_ATT(0x01), 3},
	{"GATT/CL/GAW/BI-03-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 03", RES_ATT(0x03), 3},
	{"GATT/CL/GAW/BI-04-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 08", RES_ATT(0x08), 3},
	{"GATT/CL/GAW/BI-05-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 05", RES_ATT(0x05), 3},
	{"GATT/CL/GAW/BI-06-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 0c", RES_ATT(0x0c), 3},
	{"write, application error", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 80", RES_ATT(0x80),
         3},
	{"write, response with a tail", WRITE, "> 12 03 00 01 02 03; < 13 00", -EBADMSG, 0},
	{"write, another response", WRITE, "> 12 03 00 01 02 03; < 19", -EBADMSG, 0},

	{"GATT/CL/GAW/BV-05-C", LONG,
         PREPARED "; > 16 03 00 12 00 41 41; < 17 03 00 12 00 41 41; > 18 01; < 19", 0, 0},
	{"GATT/CL/GAW/BI-07-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 01; =", RES_ATT(0x01),
         3},
	{"GATT/CL/GAW/BI-08-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 03; =", RES_ATT(0x03),
         3},
	{"GATT/CL/GAW/BI-11-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 08; =", RES_ATT(0x08),
         3},
	{"GATT/CL/GAW/BI-12-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 05; =", RES_ATT(0x05),
         3},
	{"GATT/CL/GAW/BI-13-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 0c; =", RES_ATT(0x0c),
         3},
	{"queue full at the second piece", LONG,
         PREPARED "; > 16 03 00 12 00 41 41; < 01 16 03 00 09; > 18 00; < 19; =", RES_ATT(0x09), 3},
	{"execute refused", LONG,
         PREPARED "; > 16 03 00 12 00 41 41; < 17 03 00 12 00 41 41; > 18 01; < 01 18 03 00 07; =",
         RES_ATT(0x07), 3},
	{"echo with another value", LONG,
         "> 16 03 00 00 00 41*18; < 17 03 00 00 00 41*17 42; > 18 00; < 19; =", -EBADMSG, 0},
	{"echo with another offset", LONG,
         "> 16 03 00 00 00 41*18; < 17 03 00 01 00 41*18; > 18 00; < 19; =", -EBADMSG, 0},
	{"echo with another handle", LONG,
         "> 16 03 00 00 00 41*18; < 17 04 00 00 00 41*18; > 18 00; < 19; =", -EBADMSG, 0},
	{"echo too short", LONG,
         "> 16 03 00 00 00 41*18; < 17 03 00 00 00 41*17; > 18 00; < 01 18 00 00 06; =", -EBADMSG,
         0},
	{"echo without offset", LONG,
         "> 16 03 00 00 00 41*18; < 17 03 00; > 18 00; < 19; =", -EBADMSG, 0},
	{"MTU grows between the pieces", LONG,
         "> 16 03 00 00 00 41*18; < 02 64 00; > 03 05 02; < 17 03 00 00 00 41*18; > 16 03 00 12 00 "
         "41 41;"
         "< 17 03 00 12 00 41 41; > 18 01; < 19",
         0, 0},

	{"GATT/CL/GAW/BV-06-C", RELIABLE,
         "> 16 03 00 00 00 01 02; < 17 03 00 00 00 01 02; > 16 07 00 00 00 03; < 17 07 00 00 00 "
         "03; > 18 01; < 19",
         0, 0},
	{"GATT/CL/GAW/BI-14-C", RELIABLE,
         "> 16 03 00 00 00 01 02; < 01 16 03 00 01; =", RES_ATT(0x01), 3},
	{"GATT/CL/GAW/BI-15-C", RELIABLE,
         "> 16 03 00 00 00 01 02; < 01 16 03 00 03; =", RES_ATT(0x03), 3},
	{"GATT/CL/GAW/BI-17-C", RELIABLE,
         "> 16 03 00 00 00 01 02; < 01 16 03 00 08; =", RES_ATT(0x08), 3},
	{"GATT/CL/GAW/BI-18-C", RELIABLE,
         "> 16 03 00 00 00 01 02; < 01 16 03 00 05; =", RES_ATT(0x05), 3},
	{"GATT/CL/GAW/BI-19-C", RELIABLE,
         "> 16 03 00 00 00 01 02; < 17 03 00 00 00 01 02; > 16 07 00 00 00 03; < 01 16 07 00 0c; > "
         "18 00; < 19; =",
         RES_ATT(0x0c), 7},

	/* descriptors are written by the same procedures (4.12.3, 4.12.4) */
	{"GATT/CL/GAW/BV-08-C", WRITE, "> 12 03 00 01 02 03; < 13", 0, 0},
	{"GATT/CL/GAW/BI-20-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 01", RES_ATT(0x01), 3},
	{"GATT/CL/GAW/BI-21-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 03", RES_ATT(0x03), 3},
	{"GATT/CL/GAW/BI-22-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 08", RES_ATT(0x08), 3},
	{"GATT/CL/GAW/BI-23-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 05", RES_ATT(0x05), 3},
	{"GATT/CL/GAW/BI-24-C", WRITE, "> 12 03 00 01 02 03; < 01 12 03 00 0c", RES_ATT(0x0c), 3},
	{"GATT/CL/GAW/BV-09-C", LONG,
         PREPARED "; > 16 03 00 12 00 41 41; < 17 03 00 12 00 41 41; > 18 01; < 19", 0, 0},
	{"GATT/CL/GAW/BI-25-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 01; =", RES_ATT(0x01),
         3},
	{"GATT/CL/GAW/BI-26-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 03; =", RES_ATT(0x03),
         3},
	{"GATT/CL/GAW/BI-29-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 08; =", RES_ATT(0x08),
         3},
	{"GATT/CL/GAW/BI-30-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 05; =", RES_ATT(0x05),
         3},
	{"GATT/CL/GAW/BI-31-C", LONG, "> 16 03 00 00 00 41*18; < 01 16 03 00 0c; =", RES_ATT(0x0c),
         3},
};

static int start(struct gatt_bed *gb, struct gatt_op *g, enum how how, uint32_t timeout_ms)
{
	uint8_t twenty[20], signature[ATT_SIGNATURE_LEN];
	struct gatt_part parts[] = {{3, 0, "\1\2", 2}, {7, 0, "\3", 1}};

	memset(twenty, 0x41, sizeof(twenty));
	memset(signature, 0x5a, sizeof(signature));
	switch (how) {
	case WRITE:
		return gatt_write(gb->bed.gc, g, 3, "\1\2\3", 3, timeout_ms);
	case COMMAND:
		return gatt_write_command(gb->bed.gc, g, 3, "\1\2\3", 3, timeout_ms);
	case SIGNED:
		return gatt_write_signed(gb->bed.gc, g, 3, "\1\2\3", 3, signature, timeout_ms);
	case LONG:
		return gatt_write_long(gb->bed.gc, g, 3, 0, twenty, sizeof(twenty), timeout_ms);
	case RELIABLE:
		return gatt_write_reliable(gb->bed.gc, g, parts, 2, timeout_ms);
	}
	return -EINVAL;
}

static void transcripts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct gatt_bed gb;

		gatt_bed_open(&gb, 23);
		assert_int_equal(start(&gb, &gb.g, row->how, 1000), 0);
		assert_int_equal(gb.out.count, 0);
		bed_play(&gb.bed, row->name, row->script);
		if (gb.out.count != 1 || gb.out.res != row->res ||
		    gb.out.err_handle != row->err_handle)
			fail_msg("%s: done %d times, result 0x%x, handle %x", row->name,
			         gb.out.count, gb.out.res, gb.out.err_handle);
		gatt_bed_close(&gb);
	}
}

static void sizes(void **state)
{
	static const uint8_t value[600];
	struct gatt_part zero = {0, 0, value, 1};
	struct gatt_bed gb;

	gatt_bed_open(&gb, 23);
	assert_int_equal(gatt_write(gb.bed.gc, &gb.g, 3, value, 21, 0), -EMSGSIZE);
	assert_int_equal(gatt_write(gb.bed.gc, &gb.g, 0, value, 1, 0), -EINVAL);
	assert_int_equal(gatt_write_command(gb.bed.gc, &gb.g, 3, value, 21, 0), -EMSGSIZE);
	assert_int_equal(gatt_write_signed(gb.bed.gc, &gb.g, 3, value, 9, value, 0), -EMSGSIZE);
	assert_int_equal(gatt_write_long(gb.bed.gc, &gb.g, 3, 0, value, 513, 0), -EMSGSIZE);
	assert_int_equal(gatt_write_long(gb.bed.gc, &gb.g, 3, 512, value, 1, 0), -EMSGSIZE);
	assert_int_equal(gatt_write_long(gb.bed.gc, &gb.g, 0, 0, value, 1, 0), -EINVAL);
	assert_int_equal(gatt_write_reliable(gb.bed.gc, &gb.g, &zero, 0, 0), -EINVAL);
	assert_int_equal(gatt_write_reliable(gb.bed.gc, &gb.g, &zero, 1, 0), -EINVAL);
	assert_int_equal(gatt_write(gb.bed.gc, &gb.g, 3, NULL, 0, 0), 0);
	bed_play(&gb.bed, __func__, "> 12 03 00; < 13");
	assert_int_equal(gb.out.count, 1);
	assert_int_equal(gatt_write_long(gb.bed.gc, &gb.g, 3, 5, NULL, 0, 0), 0);
	bed_play(&gb.bed, __func__, "> 16 03 00 05 00; < 17 03 00 05 00; > 18 01; < 19");
	assert_int_equal(gb.out.count, 2);
	assert_int_equal(gb.out.res, 0);
	gatt_bed_close(&gb);
}

/* --- who leaves early leaves nothing behind --- */

static const struct leave {
	const char *name, *before, *after;
} leaves[] = {
	{"first piece on the wire", "> 16 03 00 00 00 41*18",
         "< 17 03 00 00 00 41*18; > 18 00; < 19; ="},
	{"second piece on the wire", PREPARED "; > 16 03 00 12 00 41 41",
         "< 17 03 00 12 00 41 41; > 18 00; < 19; ="},
	{"execute on the wire",
         PREPARED "; > 16 03 00 12 00 41 41; < 17 03 00 12 00 41 41; > 18 01", "< 19; ="},
};

static void timeout_cancels_at_the_peer(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct gatt_bed gb;

		gatt_bed_open(&gb, 23);
		assert_int_equal(start(&gb, &gb.g, LONG, 100), 0);
		bed_play(&gb.bed, leaves[i].name, leaves[i].before);
		bed_play(&gb.bed, leaves[i].name, "~ 100");
		assert_int_equal(gb.out.count, 1);
		assert_int_equal(gb.out.res, -ETIMEDOUT);
		bed_play(&gb.bed, leaves[i].name, leaves[i].after);
		assert_int_equal(gb.out.count, 1);
		gatt_bed_close(&gb);
	}
}

static void drop_cancels_at_the_peer(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct gatt_bed gb;

		gatt_bed_open(&gb, 23);
		assert_int_equal(start(&gb, &gb.g, LONG, 0), 0);
		bed_play(&gb.bed, leaves[i].name, leaves[i].before);
		op_drop(&gb.g.op);
		bed_play(&gb.bed, leaves[i].name, leaves[i].after);
		assert_int_equal(gb.out.count, 0);
		gatt_bed_close(&gb);
	}
}

static void nothing_sent_nothing_to_cancel(void **state)
{
	struct gatt_bed gb;
	struct gatt_op read;

	gatt_bed_open(&gb, 23);
	op_init(&read.op, gb.bed.loop, gatt_bed_done); /* dropped before it ends */
	assert_int_equal(gatt_read(gb.bed.gc, &read, 9, 0, 0), 0);
	assert_int_equal(start(&gb, &gb.g, LONG, 100), 0);
	bed_play(&gb.bed, __func__, "> 0a 09 00; ~ 100");
	assert_int_equal(gb.out.res, -ETIMEDOUT);
	op_drop(&read.op);
	bed_play(&gb.bed, __func__, "< 0b; =");
	gatt_bed_close(&gb);
}

struct other {
	struct gatt_op g;
	int count, res;
};

static void on_other(struct op *op, int res)
{
	struct other *o = container_of(op, struct other, g.op);

	o->count++;
	o->res = res;
}

/* One queue at the peer: the second long write may not begin before the first has emptied it. */
static void long_writes_take_turns(void **state)
{
	struct gatt_bed gb;
	struct other o = {0};

	gatt_bed_open(&gb, 23);
	op_init(&o.g.op, gb.bed.loop, on_other);
	assert_int_equal(start(&gb, &gb.g, LONG, 100), 0);
	assert_int_equal(start(&gb, &o.g, RELIABLE, 0), 0);
	bed_play(&gb.bed, __func__,
	         "> 16 03 00 00 00 41*18; =; ~ 100; =; < 17 03 00 00 00 41*18; > 18 00; < 19;"
	         "> 16 03 00 00 00 01 02; < 17 03 00 00 00 01 02; > 16 07 00 00 00 03;"
	         "< 17 07 00 00 00 03; > 18 01; < 19; =");
	assert_int_equal(gb.out.res, -ETIMEDOUT);
	assert_int_equal(o.count, 1);
	assert_int_equal(o.res, 0);
	gatt_bed_close(&gb);
}

static void the_one_behind_may_leave_first(void **state)
{
	struct gatt_bed gb;
	struct other o = {0};

	gatt_bed_open(&gb, 23);
	op_init(&o.g.op, gb.bed.loop, on_other);
	assert_int_equal(start(&gb, &gb.g, RELIABLE, 0), 0);
	assert_int_equal(start(&gb, &o.g, LONG, 100), 0);
	bed_play(&gb.bed, __func__,
	         "> 16 03 00 00 00 01 02; ~ 100; < 17 03 00 00 00 01 02; > 16 07 00 00 00 03;"
	         "< 17 07 00 00 00 03; > 18 01; < 19; =");
	assert_int_equal(o.res, -ETIMEDOUT);
	assert_int_equal(gb.out.res, 0);
	gatt_bed_close(&gb);
}

static void link_down_fails_all_of_them(void **state)
{
	struct gatt_bed gb;
	struct other o = {0};

	gatt_bed_open(&gb, 23);
	op_init(&o.g.op, gb.bed.loop, on_other);
	assert_int_equal(start(&gb, &gb.g, LONG, 0), 0);
	assert_int_equal(start(&gb, &o.g, LONG, 0), 0);
	bed_play(&gb.bed, __func__, PREPARED "; > 16 03 00 12 00 41 41; x");
	gatt_client_fail_all(gb.bed.gc, -ENOTCONN);
	assert_int_equal(gb.out.res, -ENOTCONN);
	assert_int_equal(o.res, -ENOTCONN);
	assert_int_equal(o.count + gb.out.count, 2);
	gatt_bed_close(&gb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcripts),
		cmocka_unit_test(sizes),
		cmocka_unit_test(timeout_cancels_at_the_peer),
		cmocka_unit_test(drop_cancels_at_the_peer),
		cmocka_unit_test(nothing_sent_nothing_to_cancel),
		cmocka_unit_test(long_writes_take_turns),
		cmocka_unit_test(the_one_behind_may_leave_first),
		cmocka_unit_test(link_down_fails_all_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
