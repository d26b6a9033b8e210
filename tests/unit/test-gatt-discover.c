/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discovery: transcripts of the SIG's test purposes, hostile databases, and how many requests it
 * takes.
 */
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
	list_for_each (s, gatt_services(gc), link) {
		p += sprintf(p, "%s%c%x-%x:%s", p == buf ? "" : " ", s->primary ? 'P' : 'S',
		             s->handle, s->end_handle, uuid_format(&s->uuid, text));
		list_for_each (chr, &s->characteristics, link) {
			p += sprintf(p, " (%x,%x-%x:%s/%x", chr->declaration, chr->handle,
			             chr->end_handle, uuid_format(&chr->uuid, text),
			             chr->properties);
			list_for_each (d, &chr->descriptors, link)
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

enum what {
	ALL,
	SERVICES,
	SERVICE_UUID,
	INCLUDED,
	CHARACTERISTICS,
	CHARACTERISTIC_UUID,
	DESCRIPTORS,
	FIND
};

#define LONG_UUID  "00112233-4455-6677-8899-aabbccddeeff"
#define LONG_BYTES "ff ee dd cc bb aa 99 88 77 66 55 44 33 22 11 00"

/* Services that GATT/CL/GAD/BV-03 and later start from. */
#define ONE_SERVICE                                                                                \
	"> 10 01 00 ff ff 00 28; < 11 06 01 00 10 00 0d 18; > 10 11 00 ff ff 00 28; < 01 10 11 "   \
	"00 0a"
#define ONE_CHARACTERISTIC                                                                         \
	"> 08 01 00 10 00 03 28; < 09 07 02 00 10 03 00 37 2a; > 08 03 00 10 00 03 28; < 01 08 "   \
	"03 00 0a"

#define GROUPS   "> 10 01 00 ff ff 00 28; "
#define CHARS    "> 08 01 00 10 00 03 28; "
#define INFOS    "> 04 04 00 10 00; "
#define INCLUDES "> 08 01 00 10 00 02 28; "

static const struct row {
	const char *name;
	enum what what;
	const char *uuid, *before,
		/* before: the service is known; with DESCRIPTORS a characteristic at 3, too */
		*script;
	int res;
	const char *picture; /* NULL: not looked at */
} rows[] = {
	{"GATT/CL/GAD/BV-01-C", SERVICES, NULL, NULL,
         "> 10 01 00 ff ff 00 28; < 11 06 01 00 05 00 00 18 06 00 09 00 01 18; > 10 0a 00 ff ff 00 "
         "28;"
         "< 11 14 0a 00 20 00 " LONG_BYTES "; > 10 21 00 ff ff 00 28; < 01 10 21 00 0a",
         0, "P1-5:1800 P6-9:1801 Pa-20:" LONG_UUID},
	{"GATT/CL/GAD/BV-01-C last handle", SERVICES, NULL, NULL,
         "> 10 01 00 ff ff 00 28; < 11 06 01 00 ff ff 00 18; =", 0, "P1-ffff:1800"},
	{"GATT/CL/GAD/BV-01-C empty", SERVICES, NULL, NULL,
         "> 10 01 00 ff ff 00 28; < 01 10 01 00 0a", 0, ""},
	{"services refused", SERVICES, NULL, NULL,
         "> 10 01 00 ff ff 00 28; < 01 10 01 00 05; =", RES_ATT(5), ""},
	{"GATT/CL/GAD/BV-02-C 16 bit", SERVICE_UUID, "180d", NULL,
         "> 06 01 00 ff ff 00 28 0d 18; < 07 01 00 07 00 10 00 1f 00; > 06 20 00 ff ff 00 28 0d "
         "18; < 01 06 20 00 0a",
         0, "P1-7:180d P10-1f:180d"},
	{"GATT/CL/GAD/BV-02-C 128 bit", SERVICE_UUID, LONG_UUID, NULL,
         "> 06 01 00 ff ff 00 28 " LONG_BYTES "; < 07 10 00 ff ff; =", 0, "P10-ffff:" LONG_UUID},
	{"GATT/CL/GAD/BV-02-C none", SERVICE_UUID, "180d", NULL,
         "> 06 01 00 ff ff 00 28 0d 18; < 01 06 01 00 0a; =", 0, ""},
	{"GATT/CL/GAD/BV-03-C 16 bit", INCLUDED, NULL, ONE_SERVICE,
         "> 08 01 00 10 00 02 28; < 09 08 02 00 20 00 25 00 0f 18; > 08 03 00 10 00 02 28; < 01 08 "
         "03 00 0a",
         0, "P1-10:180d S20-25:180f"},
	{"GATT/CL/GAD/BV-03-C 128 bit", INCLUDED, NULL, ONE_SERVICE,
         "> 08 01 00 10 00 02 28; < 09 06 02 00 20 00 25 00; > 08 03 00 10 00 02 28; < 01 08 03 00 "
         "0a;"
         "> 0a 20 00; < 0b " LONG_BYTES "; =",
         0, "P1-10:180d S20-25:" LONG_UUID},
	{"GATT/CL/GAD/BV-03-C none", INCLUDED, NULL, ONE_SERVICE,
         "> 08 01 00 10 00 02 28; < 01 08 01 00 0a; =", 0, "P1-10:180d"},
	{"GATT/CL/GAD/BV-04-C", CHARACTERISTICS, NULL, ONE_SERVICE,
         "> 08 01 00 10 00 03 28; < 09 07 02 00 10 03 00 37 2a 05 00 0a 06 00 38 2a; > 08 06 00 10 "
         "00 03 28;"
         "< 09 15 08 00 08 09 00 " LONG_BYTES "; > 08 09 00 10 00 03 28; < 01 08 09 00 0a",
         0, "P1-10:180d (2,3-4:2a37/10) (5,6-7:2a38/a) (8,9-10:" LONG_UUID "/8)"},
	{"GATT/CL/GAD/BV-05-C", CHARACTERISTIC_UUID, "2a38", ONE_SERVICE,
         "> 08 01 00 10 00 03 28; < 09 07 02 00 10 03 00 37 2a 05 00 0a 06 00 38 2a; > 08 06 00 10 "
         "00 03 28;"
         "< 09 07 08 00 08 09 00 39 2a; > 08 09 00 10 00 03 28; < 01 08 09 00 0a",
         0, "P1-10:180d (5,6-7:2a38/a)"},
	{"GATT/CL/GAD/BV-06-C", DESCRIPTORS, NULL, ONE_SERVICE,
         "> 04 04 00 10 00; < 05 01 04 00 02 29 05 00 01 29; > 04 06 00 10 00; < 05 02 06 "
         "00 " LONG_BYTES "; > 04 07 00 10 00; < 01 04 07 00 0a",
         0, "P1-10:180d (2,3-10:2a37/10 4:2902 5:2901 6:" LONG_UUID ")"},
	{"descriptors, none", DESCRIPTORS, NULL, ONE_SERVICE,
         "> 04 04 00 10 00; < 01 04 04 00 0a; =", 0, "P1-10:180d (2,3-10:2a37/10)"},
	{"everything", ALL, NULL, NULL,
         ONE_SERVICE ";> 08 01 00 ff ff 03 28; < 09 07 02 00 10 03 00 37 2a 05 00 02 06 00 38 2a; "
                     "> 08 06 00 ff ff 03 28;"
                     "< 01 08 06 00 0a; > 04 07 00 10 00; < 05 01 07 00 01 29; > 04 08 00 10 00;"
                     "< 01 04 08 00 0a; =",
         0, "P1-10:180d (2,3-4:2a37/10 4:2902) (5,6-10:2a38/2 7:2901)"},
	{"everything, a gap of one that is no CCCD", ALL, NULL, NULL,
         ONE_SERVICE ";> 08 01 00 ff ff 03 28; < 09 07 02 00 02 03 00 37 2a 05 00 10 06 00 38 2a; "
                     "> 08 06 00 ff ff 03 28;"
                     "< 01 08 06 00 0a; > 04 04 00 10 00; < 05 01 04 00 01 29 05 00 03 28 06 00 38 "
                     "2a 07 00 02 29; > 04 08 00 10 00;"
                     "< 01 04 08 00 0a; =",
         0, "P1-10:180d (2,3-4:2a37/2 4:2901) (5,6-10:2a38/10 7:2902)"},
	{"everything, secondary not known as a group", ALL, NULL, NULL,
         ONE_SERVICE ";> 08 01 00 ff ff 03 28; < 09 07 20 00 10 21 00 37 2a; > 08 21 00 ff ff 03 "
                     "28; < 01 08 21 00 0a;"
                     "> 10 11 00 ff ff 01 28; < 01 10 11 00 10; =",
         0, "P1-10:180d"},

	/*
	 * peers that break the rules: handles must rise, stay in the range, and end after they
	 * start
	 */
	{"service ends before it starts", SERVICES, NULL, NULL, GROUPS "< 11 06 05 00 04 00 00 18",
         -EBADMSG, ""},
	{"service at 0", SERVICES, NULL, NULL, GROUPS "< 11 06 00 00 04 00 00 18", -EBADMSG, ""},
	{"same service twice", SERVICES, NULL, NULL,
         GROUPS "< 11 06 01 00 04 00 00 18 01 00 04 00 00 18", -EBADMSG, NULL},
	{"services overlap", SERVICES, NULL, NULL,
         GROUPS "< 11 06 01 00 04 00 00 18 04 00 06 00 01 18", -EBADMSG, NULL},
	{"services fall", SERVICES, NULL, NULL,
         GROUPS "< 11 06 05 00 06 00 00 18 01 00 02 00 01 18", -EBADMSG, NULL},
	{"after the last handle", SERVICES, NULL, NULL,
         GROUPS "< 11 06 05 00 ff ff 00 18 01 00 02 00 01 18", -EBADMSG, NULL},
	{"the same answer again", SERVICES, NULL, NULL,
         GROUPS "< 11 06 01 00 04 00 00 18; > 10 05 00 ff ff 00 28; < 11 06 01 00 04 00 00 18; =",
         -EBADMSG, NULL},
	{"service without UUID", SERVICES, NULL, NULL, GROUPS "< 11 04 01 00 04 00", -EBADMSG, ""},
	{"service with 24 bit", SERVICES, NULL, NULL, GROUPS "< 11 07 01 00 04 00 00 18 00",
         -EBADMSG, ""},
	{"service with 32 bit", SERVICES, NULL, NULL, GROUPS "< 11 08 01 00 04 00 00 18 00 00",
         -EBADMSG, ""},
	{"item length 0", SERVICES, NULL, NULL, GROUPS "< 11 00 01 00 04 00 00 18", -EBADMSG, ""},
	{"no item", SERVICES, NULL, NULL, GROUPS "< 11 06", -EBADMSG, ""},
	{"half an item", SERVICES, NULL, NULL, GROUPS "< 11 06 01 00 04 00 00 18 05 00", -EBADMSG,
         ""},
	{"answer of one byte", SERVICES, NULL, NULL, GROUPS "< 11", -EBADMSG, ""},
	{"by UUID, end before start", SERVICE_UUID, "180d", NULL,
         "> 06 01 00 ff ff 00 28 0d 18; < 07 05 00 04 00", -EBADMSG, ""},
	{"by UUID, half an item", SERVICE_UUID, "180d", NULL,
         "> 06 01 00 ff ff 00 28 0d 18; < 07 05 00", -EBADMSG, ""},
	{"characteristic outside of the range", CHARACTERISTICS, NULL, ONE_SERVICE,
         CHARS "< 09 07 20 00 02 21 00 37 2a", -EBADMSG, NULL},
	{"value outside of the service", CHARACTERISTICS, NULL, ONE_SERVICE,
         CHARS "< 09 07 02 00 02 11 00 37 2a", -EBADMSG, NULL},
	{"value before its declaration", CHARACTERISTICS, NULL, ONE_SERVICE,
         CHARS "< 09 07 03 00 02 02 00 37 2a", -EBADMSG, NULL},
	{"value is its declaration", CHARACTERISTICS, NULL, ONE_SERVICE,
         CHARS "< 09 07 03 00 02 03 00 37 2a", -EBADMSG, NULL},
	{"declaration inside of a characteristic", CHARACTERISTICS, NULL, ONE_SERVICE,
         CHARS "< 09 07 03 00 02 08 00 37 2a 08 00 02 09 00 38 2a", -EBADMSG, NULL},
	{"characteristics fall", CHARACTERISTICS, NULL, ONE_SERVICE,
         CHARS "< 09 07 05 00 02 06 00 37 2a 03 00 02 04 00 38 2a", -EBADMSG, NULL},
	{"characteristic with 32 bit", CHARACTERISTICS, NULL, ONE_SERVICE,
         CHARS "< 09 09 02 00 02 03 00 37 2a 00 00", -EBADMSG, NULL},
	{"characteristic without UUID", CHARACTERISTICS, NULL, ONE_SERVICE,
         CHARS "< 09 05 02 00 02 03 00", -EBADMSG, NULL},
	{"item without value", CHARACTERISTICS, NULL, ONE_SERVICE, CHARS "< 09 02 02 00", -EBADMSG,
         NULL},
	{"unknown format", DESCRIPTORS, NULL, ONE_SERVICE, INFOS "< 05 03 04 00 02 29", -EBADMSG,
         NULL},
	{"format 0", DESCRIPTORS, NULL, ONE_SERVICE, INFOS "< 05 00 04 00 02 29", -EBADMSG, NULL},
	{"descriptor before the range", DESCRIPTORS, NULL, ONE_SERVICE, INFOS "< 05 01 03 00 02 29",
         -EBADMSG, NULL},
	{"descriptor behind the range", DESCRIPTORS, NULL, ONE_SERVICE, INFOS "< 05 01 11 00 02 29",
         -EBADMSG, NULL},
	{"descriptors fall", DESCRIPTORS, NULL, ONE_SERVICE,
         INFOS "< 05 01 05 00 02 29 04 00 01 29", -EBADMSG, NULL},
	{"descriptor twice", DESCRIPTORS, NULL, ONE_SERVICE,
         INFOS "< 05 01 05 00 02 29 05 00 01 29", -EBADMSG, NULL},
	{"include at 0", INCLUDED, NULL, ONE_SERVICE, INCLUDES "< 09 08 02 00 00 00 25 00 0f 18",
         -EBADMSG, NULL},
	{"include ends before it starts", INCLUDED, NULL, ONE_SERVICE,
         INCLUDES "< 09 08 02 00 25 00 20 00 0f 18", -EBADMSG, NULL},
	{"include of three bytes", INCLUDED, NULL, ONE_SERVICE, INCLUDES "< 09 05 02 00 20 00 25",
         -EBADMSG, NULL},
	{"include overlaps a service", INCLUDED, NULL, ONE_SERVICE,
         INCLUDES "< 09 08 02 00 08 00 25 00 0f 18; > 08 03 00 10 00 02 28; < 01 08 03 00 0a; =",
         -EBADMSG, NULL},
	{"include outside of the range", INCLUDED, NULL, ONE_SERVICE,
         INCLUDES "< 09 08 20 00 20 00 25 00 0f 18", -EBADMSG, NULL},
	{"included UUID of three bytes", INCLUDED, NULL, ONE_SERVICE,
         INCLUDES "< 09 06 02 00 20 00 25 00; > 08 03 00 10 00 02 28; < 01 08 03 00 0a; > 0a 20 "
                  "00; < 0b 01 02 03",
         -EBADMSG, NULL},
	{"included UUID not found", INCLUDED, NULL, ONE_SERVICE,
         INCLUDES "< 09 06 02 00 20 00 25 00; > 08 03 00 10 00 02 28; < 01 08 03 00 0a; > 0a 20 "
                  "00; < 01 0a 20 00 0a; =",
         RES_ATT(0x0a), NULL},
	{"another response", SERVICES, NULL, NULL, GROUPS "< 09 06 01 00 04 00 00 18", -EBADMSG,
         ""},
	{"error in the middle", SERVICES, NULL, NULL,
         GROUPS "< 11 06 01 00 04 00 00 18; > 10 05 00 ff ff 00 28; < 01 10 05 00 0e; =",
         RES_ATT(0x0e), "P1-4:1800"},
	{"find: next declaration inside", FIND, "2a37", NULL,
         "> 08 01 00 ff ff 03 28; < 09 07 02 00 10 05 00 37 2a 04 00 02 06 00 38 2a", -EBADMSG,
         NULL},
	{"find: refused", FIND, "2a37", NULL, "> 08 01 00 ff ff 03 28; < 01 08 01 00 0f",
         RES_ATT(0x0f), NULL},
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
		bed_play(&gb.bed, row->name, row->before);
	}
	if (row->what == DESCRIPTORS) {
		assert_int_equal(gatt_discover_characteristics(gb.bed.gc, &gb.g,
		                                               gatt_find_service(gb.bed.gc, 1),
		                                               NULL, 0),
		                 0);
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
		r = gatt_discover_descriptors(gb.bed.gc, &gb.g,
		                              gatt_find_characteristic(gb.bed.gc, 3), 5000);
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
