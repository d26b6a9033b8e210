/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading: the SIG's test purposes and what else can come back. */
#include "aiobled/gatt_client.h"
#include "aiobled/result.h"

#include "../support/gatt_bed.h"
#include "test.h"

enum how { READ, READ_AT, BY_UUID, MULTIPLE };

/*
 * READ and READ_AT: handle 3, offset @arg. BY_UUID: UUID 2a00 over 1 to ffff. MULTIPLE: handles 3
 * and 5.
 */
static const struct row {
	const char *name;
	enum how how;
	int arg;
	uint16_t mtu;
	const char *script;
	int res;
	const char *value; /* hex */
	uint16_t err_handle;
} rows[] = {
	{"GATT/CL/GAR/BV-01-C", READ, 0, 23, "> 0a 03 00; < 0b 01 02 03", 0, "01 02 03", 0},
	{"GATT/CL/GAR/BV-01-C empty", READ, 0, 23, "> 0a 03 00; < 0b", 0, "", 0},
	{"GATT/CL/GAR/BI-01-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 01", RES_ATT(0x01), "", 3},
	{"GATT/CL/GAR/BI-02-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 02", RES_ATT(0x02), "", 3},
	{"GATT/CL/GAR/BI-03-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 08", RES_ATT(0x08), "", 3},
	{"GATT/CL/GAR/BI-04-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 05", RES_ATT(0x05), "", 3},
	{"GATT/CL/GAR/BI-05-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 0c", RES_ATT(0x0c), "", 3},
	{"GATT/CL/GAR/BI-34-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 80", RES_ATT(0x80), "", 3},
	{"read, insufficient encryption", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 0f",
         RES_ATT(0x0f), "", 3},
	{"read, another response", READ, 0, 23, "> 0a 03 00; < 0d 01 02", -EBADMSG, "", 0},

	{"GATT/CL/GAR/BV-03-C", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 09 05 03 00 01 02 03", 0,
         "01 02 03", 0},
	{"GATT/CL/GAR/BV-03-C several", BY_UUID, 0, 23,
         "> 08 01 00 ff ff 00 2a; < 09 04 03 00 01 02 07 00 03 04", 0, "01 02", 0},
	{"GATT/CL/GAR/BV-03-C long", BY_UUID, 0, 23,
         "> 08 01 00 ff ff 00 2a; < 09 15 03 00 41*19; > 0c 03 00 13 00; < 0d 42 43", 0,
         "41*19 42 43", 0},
	{"GATT/CL/GAR/BV-03-C just full", BY_UUID, 0, 23,
         "> 08 01 00 ff ff 00 2a; < 09 15 03 00 41*19; > 0c 03 00 13 00; < 01 0c 03 00 0b", 0,
         "41*19", 0},
	{"GATT/CL/GAR/BV-03-C one byte of length", BY_UUID, 0, 517,
         "> 08 01 00 ff ff 00 2a; < 09 ff 03 00 41*253; > 0c 03 00 fd 00; < 0d 42*47", 0,
         "41*253 42*47", 0},
	{"GATT/CL/GAR/BI-06-C", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 01 08 03 00 02",
         RES_ATT(0x02), "", 3},
	{"GATT/CL/GAR/BI-07-C", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 01 08 01 00 0a", -ENOENT,
         "", 1},
	{"GATT/CL/GAR/BI-09-C", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 01 08 03 00 08",
         RES_ATT(0x08), "", 3},
	{"GATT/CL/GAR/BI-10-C", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 01 08 03 00 05",
         RES_ATT(0x05), "", 3},
	{"GATT/CL/GAR/BI-11-C", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 01 08 03 00 0c",
         RES_ATT(0x0c), "", 3},
	{"GATT/CL/GAR/BI-35-C", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 01 08 03 00 80",
         RES_ATT(0x80), "", 3},
	{"by UUID, handle 0", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 09 04 00 00 01 02",
         -EBADMSG, "", 0},
	{"by UUID, length 1", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 09 01 03", -EBADMSG, "",
         0},
	{"by UUID, length 0", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 09 00 03", -EBADMSG, "",
         0},
	{"by UUID, no item", BY_UUID, 0, 23, "> 08 01 00 ff ff 00 2a; < 09 04", -EBADMSG, "", 0},
	{"by UUID, half an item", BY_UUID, 0, 23,
         "> 08 01 00 ff ff 00 2a; < 09 04 03 00 01 02 04 00", -EBADMSG, "", 0},

	{"GATT/CL/GAR/BV-04-C", READ, 0, 23,
         "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 0d 42*22; > 0c 03 00 2c 00; < 0d 43", 0,
         "41*22 42*22 43", 0},
	{"GATT/CL/GAR/BV-04-C two full", READ, 0, 23,
         "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 0d 42*22; > 0c 03 00 2c 00; < 0d", 0,
         "41*22 42*22", 0},
	{"GATT/CL/GAR/BV-04-C not long", READ, 0, 23,
         "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 01 0c 03 00 0b", 0, "41*22", 0},
	{"GATT/CL/GAR/BI-13-C at the end", READ, 0, 23,
         "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 01 0c 03 00 07", 0, "41*22", 0},
	{"GATT/CL/GAR/BV-04-C no Read Blob", READ, 0, 23,
         "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 01 0c 03 00 06", 0, "41*22", 0},
	{"GATT/CL/GAR/BI-12-C", READ, 0, 23,
         "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 01 0c 03 00 02", RES_ATT(0x02), "", 3},
	{"GATT/CL/GAR/BI-13-C", READ_AT, 40, 23, "> 0c 03 00 28 00; < 01 0c 03 00 07",
         RES_ATT(0x07), "", 3},
	{"GATT/CL/GAR/BI-14-C", READ_AT, 1, 23, "> 0c 03 00 01 00; < 01 0c 03 00 01", RES_ATT(0x01),
         "", 3},
	{"GATT/CL/GAR/BI-15-C", READ, 0, 23,
         "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 01 0c 03 00 08", RES_ATT(0x08), "", 3},
	{"GATT/CL/GAR/BI-16-C", READ, 0, 23,
         "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 01 0c 03 00 05", RES_ATT(0x05), "", 3},
	{"GATT/CL/GAR/BI-17-C", READ, 0, 23,
         "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 01 0c 03 00 0c", RES_ATT(0x0c), "", 3},
	{"from an offset", READ_AT, 5, 23,
         "> 0c 03 00 05 00; < 0d 41*22; > 0c 03 00 1b 00; < 0d 42", 0, "41*22 42", 0},
	{"from an offset, not long", READ_AT, 5, 23, "> 0c 03 00 05 00; < 01 0c 03 00 0b",
         RES_ATT(0x0b), "", 3},
	{"512 and no more", READ, 0, 300,
         "> 0a 03 00; < 0b 41*299; > 0c 03 00 2b 01; < 0d 42*213; =", 0, "41*299 42*213", 0},
	{"above 512", READ, 0, 300,
         "> 0a 03 00; < 0b 41*299; > 0c 03 00 2b 01; < 0d 42*214; =", -EBADMSG, "", 0},
	{"above 512 at once", READ, 0, 517, "> 0a 03 00; < 0b 41*513; =", -EBADMSG, "", 0},
	{"exactly 512 at once", READ, 0, 517, "> 0a 03 00; < 0b 41*512; =", 0, "41*512", 0},
	{"MTU grows while a read is out", READ, 0, 23,
         "> 0a 03 00; < 02 05 02; > 03 05 02; < 0b 41*22; > 0c 03 00 16 00; < 0d 42*3", 0,
         "41*22 42*3", 0},
	{"MTU shrinks between pieces", READ, 0, 100,
         "> 0a 03 00; < 0b 41*99; > 0c 03 00 63 00; < 02 17 00; > 03 05 02; < 0d 42*22; > 0c 03 00 "
         "79 00; < 0d",
         0, "41*99 42*22", 0},

	{"GATT/CL/GAR/BV-05-C", MULTIPLE, 0, 23, "> 0e 03 00 05 00; < 0f 01 02 03 04", 0,
         "01 02 03 04", 0},
	{"GATT/CL/GAR/BI-18-C", MULTIPLE, 0, 23, "> 0e 03 00 05 00; < 01 0e 03 00 02",
         RES_ATT(0x02), "", 3},
	{"GATT/CL/GAR/BI-19-C", MULTIPLE, 0, 23, "> 0e 03 00 05 00; < 01 0e 05 00 01",
         RES_ATT(0x01), "", 5},
	{"GATT/CL/GAR/BI-20-C", MULTIPLE, 0, 23, "> 0e 03 00 05 00; < 01 0e 03 00 08",
         RES_ATT(0x08), "", 3},
	{"GATT/CL/GAR/BI-21-C", MULTIPLE, 0, 23, "> 0e 03 00 05 00; < 01 0e 03 00 05",
         RES_ATT(0x05), "", 3},
	{"GATT/CL/GAR/BI-22-C", MULTIPLE, 0, 23, "> 0e 03 00 05 00; < 01 0e 03 00 0c",
         RES_ATT(0x0c), "", 3},

	/* descriptors are read by the same procedures (4.12.1, 4.12.2) */
	{"GATT/CL/GAR/BV-06-C", READ, 0, 23, "> 0a 03 00; < 0b 00 00", 0, "00 00", 0},
	{"GATT/CL/GAR/BI-23-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 02", RES_ATT(0x02), "", 3},
	{"GATT/CL/GAR/BI-24-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 01", RES_ATT(0x01), "", 3},
	{"GATT/CL/GAR/BI-25-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 08", RES_ATT(0x08), "", 3},
	{"GATT/CL/GAR/BI-26-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 05", RES_ATT(0x05), "", 3},
	{"GATT/CL/GAR/BI-27-C", READ, 0, 23, "> 0a 03 00; < 01 0a 03 00 0c", RES_ATT(0x0c), "", 3},
	{"GATT/CL/GAR/BV-07-C", READ, 0, 23, "> 0a 03 00; < 0b 41*22; > 0c 03 00 16 00; < 0d 42", 0,
         "41*22 42", 0},
	{"GATT/CL/GAR/BI-28-C", READ_AT, 1, 23, "> 0c 03 00 01 00; < 01 0c 03 00 02", RES_ATT(0x02),
         "", 3},
	{"GATT/CL/GAR/BI-29-C", READ_AT, 99, 23, "> 0c 03 00 63 00; < 01 0c 03 00 07",
         RES_ATT(0x07), "", 3},
	{"GATT/CL/GAR/BI-30-C", READ_AT, 1, 23, "> 0c 03 00 01 00; < 01 0c 03 00 01", RES_ATT(0x01),
         "", 3},
	{"GATT/CL/GAR/BI-31-C", READ_AT, 1, 23, "> 0c 03 00 01 00; < 01 0c 03 00 08", RES_ATT(0x08),
         "", 3},
	{"GATT/CL/GAR/BI-32-C", READ_AT, 1, 23, "> 0c 03 00 01 00; < 01 0c 03 00 05", RES_ATT(0x05),
         "", 3},
	{"GATT/CL/GAR/BI-33-C", READ_AT, 1, 23, "> 0c 03 00 01 00; < 01 0c 03 00 0c", RES_ATT(0x0c),
         "", 3},
};

static int start(struct gatt_bed *gb, const struct row *row)
{
	static const uint16_t handles[] = {3, 5};
	struct uuid name = uuid_from16(0x2a00);

	switch (row->how) {
	case READ:
	case READ_AT:
		return gatt_read(gb->bed.gc, &gb->g, 3, (uint16_t)row->arg, 1000);
	case BY_UUID:
		return gatt_read_by_uuid(gb->bed.gc, &gb->g, &name, 1, 0xffff, 1000);
	case MULTIPLE:
		return gatt_read_multiple(gb->bed.gc, &gb->g, handles, 2, 1000);
	}
	return -EINVAL;
}

static void run(const struct row *row)
{
	struct gatt_bed gb;
	uint8_t value[BED_PDU_MAX];
	const char *end;
	size_t len = hex_parse(row->value, &end, value, sizeof(value));

	gatt_bed_open(&gb, row->mtu);
	assert_int_equal(start(&gb, row), 0);
	assert_int_equal(gb.out.count, 0);
	bed_play(&gb.bed, row->name, row->script);
	if (gb.out.count != 1 || gb.out.res != row->res || gb.out.err_handle != row->err_handle)
		fail_msg("%s: done %d times, result 0x%x, handle %x", row->name, gb.out.count,
		         gb.out.res, gb.out.err_handle);
	if (gb.out.value_len != len || memcmp(gb.out.value, value, len) != 0)
		fail_msg("%s: wrong value of %zu bytes", row->name, gb.out.value_len);
	if (row->res == 0 && row->how != MULTIPLE)
		assert_int_equal(gb.out.handle, 3);
	gatt_bed_close(&gb);
}

static void transcripts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run(&rows[i]);
}

static void refused_calls(void **state)
{
	struct uuid name = uuid_from16(0x2a00);
	uint16_t many[20] = {1};
	struct gatt_bed gb;

	gatt_bed_open(&gb, 23);
	assert_int_equal(gatt_read(gb.bed.gc, &gb.g, 0, 0, 0), -EINVAL);
	assert_int_equal(gatt_read_by_uuid(gb.bed.gc, &gb.g, &name, 0, 5, 0), -EINVAL);
	assert_int_equal(gatt_read_by_uuid(gb.bed.gc, &gb.g, &name, 6, 5, 0), -EINVAL);
	assert_int_equal(gatt_read_multiple(gb.bed.gc, &gb.g, many, 1, 0), -EINVAL);
	assert_int_equal(gatt_read_multiple(gb.bed.gc, &gb.g, many, 12, 0), -EMSGSIZE);
	gatt_client_fail_all(gb.bed.gc, -ENOTCONN);
	assert_int_equal(gatt_read(gb.bed.gc, &gb.g, 3, 0, 0), -ENOTCONN);
	bed_play(&gb.bed, __func__, "=");
	assert_int_equal(gb.out.count, 0);
	gatt_bed_close(&gb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcripts),
		cmocka_unit_test(refused_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
