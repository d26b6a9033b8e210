/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Discovery: transcripts of the SIG's test purposes, hostile databases, and how many requests it takes. */
#include "aiobled/gatt_client.h"
#include "aiobled/result.h"

#include "../support/gatt_bed.h"
#include "test.h"

/* The database as one line: service and characteristic and descriptor by handle. */
static const char *picture(struct gatt_client *gc)
{
	static char buf[4096];
	char text[UUID_STR_MAX];
	struct gatt_characteristic *chr;
	struct gatt_descriptor *d;
	struct gatt_service *s;
	char *p = buf;

	*p = '\0';
	list_for_each(s, gatt_services(gc), link) {
		p += sprintf(p, "%s%c%x-%x:%s", p == buf ? "" : " ", s->primary ? 'P' : 'S', s->handle, s->end_handle,
			     uuid_format(&s->uuid, text));
		list_for_each(chr, &s->characteristics, link) {
			p += sprintf(p, " (%x,%x-%x:%s/%x", chr->declaration, chr->handle, chr->end_handle,
				     uuid_format(&chr->uuid, text), chr->properties);
			list_for_each(d, &chr->descriptors, link)
				p += sprintf(p, " %x:%s", d->handle, uuid_format(&d->uuid, text));
			p += sprintf(p, ")");
		}
	}
	return buf;
}

static struct uuid uuid_of(const char *s)
{
	struct uuid u;

	assert_int_equal(uuid_parse(s, &u), 0);
	return u;
}

enum what { ALL, SERVICES, SERVICE_UUID, INCLUDED, CHARACTERISTICS, CHARACTERISTIC_UUID, DESCRIPTORS, FIND };

#define LONG_UUID  "00112233-4455-6677-8899-aabbccddeeff"
#define LONG_BYTES "ff ee dd cc bb aa 99 88 77 66 55 44 33 22 11 00"

/* Services that GATT/CL/GAD/BV-03 and later start from. */
#define ONE_SERVICE "> 10 01 00 ff ff 00 28; < 11 06 01 00 10 00 0d 18; > 10 11 00 ff ff 00 28; < 01 10 11 00 0a"
#define ONE_CHARACTERISTIC \
	"> 08 01 00 10 00 03 28; < 09 07 02 00 10 03 00 37 2a; > 08 03 00 10 00 03 28; < 01 08 03 00 0a"

static const struct row {
	const char *name;
	enum what what;
	const char *uuid, *before, *script;
	int res;
	const char *picture; /* NULL: not looked at */
} rows[] = {
	{ "GATT/CL/GAD/BV-01-C", SERVICES, NULL, NULL,
	  "> 10 01 00 ff ff 00 28; < 11 06 01 00 05 00 00 18 06 00 09 00 01 18; > 10 0a 00 ff ff 00 28;"
	  "< 11 14 0a 00 20 00 " LONG_BYTES "; > 10 21 00 ff ff 00 28; < 01 10 21 00 0a",
	  0, "P1-5:1800 P6-9:1801 Pa-20:" LONG_UUID },
	{ "GATT/CL/GAD/BV-01-C last handle", SERVICES, NULL, NULL,
	  "> 10 01 00 ff ff 00 28; < 11 06 01 00 ff ff 00 18; =", 0, "P1-ffff:1800" },
	{ "GATT/CL/GAD/BV-01-C empty", SERVICES, NULL, NULL, "> 10 01 00 ff ff 00 28; < 01 10 01 00 0a", 0, "" },
	{ "services refused", SERVICES, NULL, NULL, "> 10 01 00 ff ff 00 28; < 01 10 01 00 05; =", RES_ATT(5), "" },
	{ "GATT/CL/GAD/BV-02-C 16 bit", SERVICE_UUID, "180d", NULL,
	  "> 06 01 00 ff ff 00 28 0d 18; < 07 01 00 07 00 10 00 1f 00; > 06 20 00 ff ff 00 28 0d 18; < 01 06 20 00 0a",
	  0, "P1-7:180d P10-1f:180d" },
	{ "GATT/CL/GAD/BV-02-C 128 bit", SERVICE_UUID, LONG_UUID, NULL,
	  "> 06 01 00 ff ff 00 28 " LONG_BYTES "; < 07 10 00 ff ff; =", 0, "P10-ffff:" LONG_UUID },
	{ "GATT/CL/GAD/BV-02-C none", SERVICE_UUID, "180d", NULL,
	  "> 06 01 00 ff ff 00 28 0d 18; < 01 06 01 00 0a; =", 0, "" },
	{ "GATT/CL/GAD/BV-03-C 16 bit", INCLUDED, NULL, ONE_SERVICE,
	  "> 08 01 00 10 00 02 28; < 09 08 02 00 20 00 25 00 0f 18; > 08 03 00 10 00 02 28; < 01 08 03 00 0a",
	  0, "P1-10:180d S20-25:180f" },
	{ "GATT/CL/GAD/BV-03-C 128 bit", INCLUDED, NULL, ONE_SERVICE,
	  "> 08 01 00 10 00 02 28; < 09 06 02 00 20 00 25 00; > 08 03 00 10 00 02 28; < 01 08 03 00 0a;"
	  "> 0a 20 00; < 0b " LONG_BYTES "; =", 0, "P1-10:180d S20-25:" LONG_UUID },
	{ "GATT/CL/GAD/BV-03-C none", INCLUDED, NULL, ONE_SERVICE,
	  "> 08 01 00 10 00 02 28; < 01 08 01 00 0a; =", 0, "P1-10:180d" },
	{ "GATT/CL/GAD/BV-04-C", CHARACTERISTICS, NULL, ONE_SERVICE,
	  "> 08 01 00 10 00 03 28; < 09 07 02 00 10 03 00 37 2a 05 00 0a 06 00 38 2a; > 08 06 00 10 00 03 28;"
	  "< 09 15 08 00 08 09 00 " LONG_BYTES "; > 08 09 00 10 00 03 28; < 01 08 09 00 0a",
	  0, "P1-10:180d (2,3-4:2a37/10) (5,6-7:2a38/a) (8,9-10:" LONG_UUID "/8)" },
	{ "GATT/CL/GAD/BV-05-C", CHARACTERISTIC_UUID, "2a38", ONE_SERVICE,
	  "> 08 01 00 10 00 03 28; < 09 07 02 00 10 03 00 37 2a 05 00 0a 06 00 38 2a; > 08 06 00 10 00 03 28;"
	  "< 09 07 08 00 08 09 00 39 2a; > 08 09 00 10 00 03 28; < 01 08 09 00 0a",
	  0, "P1-10:180d (5,6-7:2a38/a)" },
	{ "GATT/CL/GAD/BV-06-C", DESCRIPTORS, NULL, ONE_SERVICE ";" "CHR",
	  "> 04 04 00 10 00; < 05 01 04 00 02 29 05 00 01 29; > 04 06 00 10 00; < 05 02 06 00 " LONG_BYTES
	  "; > 04 07 00 10 00; < 01 04 07 00 0a",
	  0, "P1-10:180d (2,3-10:2a37/10 4:2902 5:2901 6:" LONG_UUID ")" },
};

static void run(const struct row *row)
{
	struct gatt_bed gb;
	struct uuid uuid;

	gatt_bed_open(&gb, 23);
	if (row->uuid)
		uuid = uuid_of(row->uuid);
	if (row->before) {
		assert_int_equal(gatt_discover_services(gb.bed.gc, &gb.g, NULL, 0), 0);
		bed_play(&gb.bed, row->name, ONE_SERVICE);
	}
	if (row->what == DESCRIPTORS) {
		assert_int_equal(gatt_discover_characteristics(gb.bed.gc, &gb.g, gatt_find_service(gb.bed.gc, 1), NULL, 0), 0);
		bed_play(&gb.bed, row->name, ONE_CHARACTERISTIC);
	}
	gb.out.count = 0;
	struct gatt_service *s = gatt_find_service(gb.bed.gc, 1);
	int r = -1;

	switch (row->what) {
	case ALL:
		r = gatt_discover_all(gb.bed.gc, &gb.g, 5000);
		break;
	case SERVICES:
		r = gatt_discover_services(gb.bed.gc, &gb.g, NULL, 5000);
		break;
	case SERVICE_UUID:
		r = gatt_discover_services(gb.bed.gc, &gb.g, &uuid, 5000);
		break;
	case INCLUDED:
		r = gatt_discover_included(gb.bed.gc, &gb.g, s, 5000);
		break;
	case CHARACTERISTICS:
		r = gatt_discover_characteristics(gb.bed.gc, &gb.g, s, NULL, 5000);
		break;
	case CHARACTERISTIC_UUID:
		r = gatt_discover_characteristics(gb.bed.gc, &gb.g, s, &uuid, 5000);
		break;
	case DESCRIPTORS:
		r = gatt_discover_descriptors(gb.bed.gc, &gb.g, gatt_find_characteristic(gb.bed.gc, 3), 5000);
		break;
	case FIND:
		r = gatt_find_by_uuid(gb.bed.gc, &gb.g, &uuid, 5000);
		break;
	}
	assert_int_equal(r, 0);
	assert_int_equal(gb.out.count, 0);
	bed_play(&gb.bed, row->name, row->script);
	if (gb.out.count != 1 || gb.out.res != row->res)
		fail_msg("%s: done %d times, result 0x%x", row->name, gb.out.count, gb.out.res);
	if (row->picture && strcmp(picture(gb.bed.gc), row->picture) != 0)
		fail_msg("%s: picture is %s", row->name, picture(gb.bed.gc));
	gatt_bed_close(&gb);
}

static void transcripts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcripts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
