/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a server makes of those who write: requests, commands, long and reliable writes. */
#include "aiobled/result.h"

#include "../support/server_bed.h"
#include "test.h"

enum link { OPEN, KNOWN, WEAK, CODED, SAFE };

static const struct row {
	const char *name;
	enum link link;
	uint16_t mtu;
	const char *script, *told;
	uint64_t dropped;
} rows[] = {
	{"GATT/SR/GAW/BV-03-C", OPEN, 23, "< 12 22 00 07 08; > 13; < 0a 22 00; > 0b 07 08",
         "written(0 0022 0708)", 0},
	{"GATT/SR/GAW/BV-03-C empty", OPEN, 23, "< 12 22 00; > 13; < 0a 22 00; > 0b",
         "written(0 0022 )", 0},
	{"GATT/SR/GAW/BV-03-C full", OPEN, 23, "< 12 22 00 55*20; > 13; < 0a 22 00; > 0b 55*20",
         "written(0 0022 5555555555555555555555555555555555555555)", 0},
	{"GATT/SR/GAW/BV-03-C the same twice", OPEN, 23, "< 12 22 00 01; > 13; < 12 22 00 01; > 13",
         "written(0 0022 01) written(0 0022 01)", 0},
	{"GATT/SR/GAW/BI-02-C", OPEN, 23,
         "< 12 f0 0f 01; > 01 12 f0 0f 01; < 12 00 00 01; > 01 12 00 00 01", "", 0},
	{"GATT/SR/GAW/BI-03-C", OPEN, 23, "< 12 29 00 01; > 01 12 29 00 03", "", 0},
	{"GATT/SR/GAW/BI-03-C declarations", OPEN, 23,
         "< 12 20 00 01; > 01 12 20 00 03; < 12 21 00 01; > 01 12 21 00 03; < 12 71 00 01; > 01 12 "
         "71 00 03",
         "", 0},
	{"GATT/SR/GAW/BI-03-C commands only", OPEN, 23, "< 12 3a 00 01; > 01 12 3a 00 03", "", 0},
	{"GATT/SR/GAW/BI-05-C", OPEN, 23,
         "< 12 2b 00 01; > 01 12 2b 00 05; < 12 2d 00 01; > 01 12 2d 00 05", "", 0},
	{"GATT/SR/GAW/BI-05-C just works is not enough", CODED, 23,
         "< 12 2d 00 01; > 01 12 2d 00 05; < 12 2b 00 01; > 13", "written(0 002b 01)", 0},
	{"GATT/SR/GAW/BI-06-C", WEAK, 23, "< 12 2f 00 01; > 01 12 2f 00 0c", "", 0},
	{"GATT/SR/GAW/BI-06-C long key", SAFE, 23, "< 12 2f 00 01; > 13", "written(0 002f 01)", 0},
	{"write, the key is there but not used", KNOWN, 23, "< 12 2b 00 01; > 01 12 2b 00 0f", "",
         0},
	{"GATT/SR/GAW/BI-32-C", OPEN, 23,
         "< 12 27 00 01*6; > 01 12 27 00 0d; < 12 27 00 01*5; > 13", "written(0 0027 0101010101)",
         0},
	{"truncated", OPEN, 23, "< 12 3e 00 01 02 03 04 05 06; > 13; < 0a 3e 00; > 0b 01 02 03 04",
         "written(0 003e 01020304)", 0},
	{"appended", OPEN, 23,
         "< 12 3c 00 01 02; > 13; < 12 3c 00 03; > 13; < 0a 3c 00; > 0b 01 02 03; < 0a 3c 00; > 0b "
         "01 02 03",
         "written(0 003c 0102) written(0 003c 03)", 0},
	{"appended too much", OPEN, 23,
         "< 12 3c 00 01*8; > 13; < 12 3c 00 02*3; > 01 12 3c 00 0d; < 0a 3c 00; > 0b 01*8",
         "written(0 003c 0101010101010101)", 0},

	{"GATT/SR/GAW/BV-01-C", OPEN, 23, "< 52 3a 00 01 02; =", "written(0 003a 0102)", 0},
	{"commands come in order with requests", OPEN, 23,
         "< 52 3a 00 01; < 12 22 00 02; > 13; < 52 3a 00 03; =",
         "written(0 003a 01) written(0 0022 02) written(0 003a 03)", 0},
	{"command, no permission", OPEN, 23,
         "< 52 22 00 01; < 52 29 00 01; < 52 2b 00 01; =; < 0a 22 00; > 0b 01 02 03", "", 3},
	{"command, no such handle", OPEN, 23, "< 52 f0 0f 01; < 52 00 00 01; =", "", 2},
	{"command, too long", OPEN, 40, "< 52 3a 00 01*21; =", "", 1},
	{"command, malformed", OPEN, 23, "< 52 3a; =", "", 1},
	{"command to a descriptor", OPEN, 23, "< 52 24 00 61; =; < 0a 24 00; > 0b 61",
         "written(0 0024 61)", 0},
	{"GATT/SR/GAW/BI-01-C", CODED, 23,
         "< d2 3a 00 01 02 00*12; < d2 22 00 01 00*12; =; < 0a 22 00; > 0b 01 02 03", "", 2},

	{"GATT/SR/GAW/BV-05-C", OPEN, 23,
         "< 16 22 00 00 00 41*18; > 17 22 00 00 00 41*18; < 16 22 00 12 00 42*4; > 17 22 00 12 00 "
         "42*4; < 0a 22 00; > 0b 01 02 03;"
         "< 18 01; > 19; < 0a 22 00; > 0b 41*18 42*4",
         "written(0 0022 41414141414141414141414141414141414142424242)", 0},
	{"GATT/SR/GAW/BV-05-C shorter than before", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 18 01; > 19; < 0a 22 00; > 0b 41",
         "written(0 0022 41)", 0},
	{"GATT/SR/GAW/BV-05-C in the middle", OPEN, 23,
         "< 16 22 00 01 00 41; > 17 22 00 01 00 41; < 18 01; > 19; < 0a 22 00; > 0b 01 41 03",
         "written(0 0022 014103)", 0},
	{"GATT/SR/GAW/BV-05-C behind the end", OPEN, 23,
         "< 16 22 00 03 00 41*2; > 17 22 00 03 00 41*2; < 18 01; > 19; < 0a 22 00; > 0b 01 02 03 "
         "41 41",
         "written(0 0022 0102034141)", 0},
	{"GATT/SR/GAW/BV-05-C nothing", OPEN, 23,
         "< 16 22 00 00 00; > 17 22 00 00 00; < 18 01; > 19; < 0a 22 00; > 0b", "written(0 0022 )",
         0},
	{"GATT/SR/GAW/BI-07-C", OPEN, 23, "< 16 f0 0f 00 00 41; > 01 16 f0 0f 01; < 18 01; > 19",
         "", 0},
	{"GATT/SR/GAW/BI-08-C", OPEN, 23,
         "< 16 29 00 00 00 41; > 01 16 29 00 03; < 16 3a 00 00 00 41; > 01 16 3a 00 03; < 18 01; > "
         "19",
         "", 0},
	{"GATT/SR/GAW/BI-09-C", OPEN, 23,
         "< 16 22 00 04 00 41; > 17 22 00 04 00 41; < 18 01; > 01 18 22 00 07; < 0a 22 00; > 0b 01 "
         "02 03; < 18 01; > 19",
         "", 0},
	{"GATT/SR/GAW/BI-09-C a gap", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 22 00 02 00 41; > 17 22 00 02 00 41; < 18 "
         "01; > 01 18 22 00 07;"
         "< 0a 22 00; > 0b 01 02 03",
         "", 0},
	{"GATT/SR/GAW/BI-09-C the end of 16 bits", OPEN, 23,
         "< 16 22 00 ff ff 41*18; > 17 22 00 ff ff 41*18; < 18 01; > 01 18 22 00 07; < 0a 22 00; > "
         "0b 01 02 03",
         "", 0},
	{"GATT/SR/GAW/BI-12-C", OPEN, 23, "< 16 2b 00 00 00 41; > 01 16 2b 00 05", "", 0},
	{"GATT/SR/GAW/BI-13-C", WEAK, 23, "< 16 2f 00 00 00 41; > 01 16 2f 00 0c", "", 0},
	{"long write, the key is there but not used", KNOWN, 23,
         "< 16 2b 00 00 00 41; > 01 16 2b 00 0f", "", 0},
	{"GATT/SR/GAW/BI-33-C", OPEN, 23,
         "< 16 27 00 00 00 41*5; > 17 27 00 00 00 41*5; < 16 27 00 05 00 41; > 17 27 00 05 00 41; "
         "< 18 01; > 01 18 27 00 0d",
         "", 0},
	{"GATT/SR/GAW/BI-33-C at once", OPEN, 23,
         "< 16 27 00 00 00 41*6; > 17 27 00 00 00 41*6; < 18 01; > 01 18 27 00 0d", "", 0},

	{"GATT/SR/GAW/BV-06-C", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 27 00 00 00 42; > 17 27 00 00 00 42; < 18 "
         "01; > 19; < 0a 22 00; > 0b 41",
         "written(0 0022 41) written(0 0027 42)", 0},
	{"GATT/SR/GAW/BV-06-C the same twice", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 22 00 00 00 42*2; > 17 22 00 00 00 42*2; "
         "< 18 01; > 19; < 0a 22 00; > 0b 42*2",
         "written(0 0022 41) written(0 0022 4242)", 0},
	{"GATT/SR/GAW/BV-06-C the second on top of the first", OPEN, 23,
         "< 16 22 00 00 00 41*5; > 17 22 00 00 00 41*5; < 16 22 00 01 00 42; > 17 22 00 01 00 42; "
         "< 18 01; > 19; < 0a 22 00; > 0b 41 42 41*3",
         "written(0 0022 4141414141) written(0 0022 4142414141)", 0},
	{"GATT/SR/GAW/BV-07-C", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 27 00 00 00 42; > 17 27 00 00 00 42; < 18 "
         "00; > 19; < 0a 22 00;"
         "> 0b 01 02 03; < 18 01; > 19",
         "", 0},
	{"GATT/SR/GAW/BV-10-C", OPEN, 23,
         "< 16 22 00 00 00 41*18; > 17 22 00 00 00 41*18; < 16 24 00 00 00 43*18; > 17 24 00 00 00 "
         "43*18;"
         "< 16 22 00 12 00 42*2; > 17 22 00 12 00 42*2; < 16 24 00 12 00 44*2; > 17 24 00 12 00 "
         "44*2; < 18 01; > 19;"
         "< 0a 22 00; > 0b 41*18 42*2; < 0a 24 00; > 0b 43*18 44*2",
         "written(0 0022 4141414141414141414141414141414141414242) written(0 0024 "
         "4343434343434343434343434343434343434444)",
         0},
	{"GATT/SR/GAW/BV-11-C", OPEN, 23, "< 18 01; > 19; < 18 00; > 19", "", 0},
	{"GATT/SR/GAW/BI-14-C", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 f0 0f 00 00 42; > 01 16 f0 0f 01; < 18 "
         "00; > 19; < 0a 22 00; > 0b 01 02 03",
         "", 0},
	{"GATT/SR/GAW/BI-15-C", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 29 00 00 00 42; > 01 16 29 00 03; < 18 "
         "01; > 19; < 0a 22 00; > 0b 41",
         "written(0 0022 41)", 0},
	{"all or nothing", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 27 00 00 00 42*6; > 17 27 00 00 00 42*6; "
         "< 18 01; > 01 18 27 00 0d;"
         "< 0a 22 00; > 0b 01 02 03",
         "", 0},
	{"executed, other flags", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 18 02; > 01 18 00 00 04; < 18 01; > 19",
         "written(0 0022 41)", 0},
	{"long write, truncated", OPEN, 23,
         "< 16 3e 00 00 00 41*3; > 17 3e 00 00 00 41*3; < 16 3e 00 03 00 42*18; > 17 3e 00 03 00 "
         "42*18; < 18 01; > 19; < 0a 3e 00; > 0b 41*3 42",
         "written(0 003e 41414142)", 0},
	{"long write, appended", OPEN, 23,
         "< 12 3c 00 01; > 13; < 16 3c 00 00 00 02*2; > 17 3c 00 00 00 02*2; < 16 3c 00 02 00 03; "
         "> 17 3c 00 02 00 03;"
         "< 16 3c 00 00 00 04; > 17 3c 00 00 00 04; < 18 01; > 19; < 0a 3c 00; > 0b 01 02 02 03 04",
         "written(0 003c 01) written(0 003c 020203) written(0 003c 04)", 0},
	{"long write, appended too much together", OPEN, 23,
         "< 16 3c 00 00 00 02*6; > 17 3c 00 00 00 02*6; < 16 3c 00 00 00 02*6; > 17 3c 00 00 00 "
         "02*6; < 18 01; > 01 18 3c 00 0d; < 0a 3c 00; > 0b",
         "", 0},
	{"long write, appended with an offset", OPEN, 23,
         "< 12 3c 00 01; > 13; < 16 3c 00 01 00 02; > 17 3c 00 01 00 02; < 18 01; > 01 18 3c 00 07",
         "written(0 003c 01)", 0},

	{"GATT/SR/GAW/BV-08-C", OPEN, 23, "< 12 24 00 61 62; > 13; < 0a 24 00; > 0b 61 62",
         "written(0 0024 6162)", 0},
	{"GATT/SR/GAW/BI-20-C", OPEN, 23, "< 12 ff ff 61; > 01 12 ff ff 01", "", 0},
	{"GATT/SR/GAW/BI-21-C", OPEN, 23, "< 12 23 00 61; > 01 12 23 00 03", "", 0},
	{"GATT/SR/GAW/BV-09-C", OPEN, 23,
         "< 16 24 00 00 00 41*18; > 17 24 00 00 00 41*18; < 16 24 00 12 00 42; > 17 24 00 12 00 "
         "42; < 18 01; > 19; < 0a 24 00; > 0b 41*18 42",
         "written(0 0024 41414141414141414141414141414141414142)", 0},
	{"GATT/SR/GAW/BI-25-C", OPEN, 23, "< 16 ff ff 00 00 41; > 01 16 ff ff 01", "", 0},
	{"GATT/SR/GAW/BI-26-C", OPEN, 23, "< 16 23 00 00 00 41; > 01 16 23 00 03", "", 0},

	{"a configuration by long write", OPEN, 23,
         "< 16 32 00 00 00 01; > 17 32 00 00 00 01; < 16 32 00 01 00 00; > 17 32 00 01 00 00; < 18 "
         "01; > 19; < 0a 32 00; > 0b 01 00",
         "subscribed(0 0031 1)", 0},
	{"a configuration and a value", OPEN, 23,
         "< 16 32 00 00 00 01 00; > 17 32 00 00 00 01 00; < 16 22 00 00 00 41; > 17 22 00 00 00 "
         "41; < 18 01; > 19",
         "subscribed(0 0031 1) written(0 0022 41)", 0},
	{"a configuration of one byte", OPEN, 23,
         "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 32 00 00 00 01; > 17 32 00 00 00 01; < 18 "
         "01; > 01 18 32 00 0d;"
         "< 0a 22 00; > 0b 01 02 03; < 0a 32 00; > 0b 00 00",
         "", 0},
	{"a configuration from its middle", OPEN, 23,
         "< 16 32 00 01 00 01 00; > 17 32 00 01 00 01 00; < 18 01; > 01 18 32 00 07", "", 0},
	{"a configuration that needs a key", OPEN, 23, "< 16 35 00 00 00 01 00; > 01 16 35 00 05",
         "", 0},
	{"features by long write", OPEN, 23,
         "< 16 0b 00 00 00 01; > 17 0b 00 00 00 01; < 18 01; > 19; < 0a 0b 00; > 0b 01; < 16 0b 00 "
         "00 00 00; > 17 0b 00 00 00 00;"
         "< 18 01; > 01 18 0b 00 13; < 16 0b 00 00 00; > 17 0b 00 00 00; < 18 01; > 01 18 0b 00 0d",
         "", 0},
};

static void secure(struct server_bed *sb, enum link link)
{
	switch (link) {
	case OPEN:
		break;
	case KNOWN:
		server_bed_secure(sb, 0, 1, 0, true);
		break;
	case WEAK:
		server_bed_secure(sb, 0, 3, 7, true);
		break;
	case CODED:
		server_bed_secure(sb, 0, 2, 16, false);
		break;
	case SAFE:
		server_bed_secure(sb, 0, 4, 16, true);
		break;
	}
}

static void transcripts(void **state)
{
	struct server_bed sb;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		server_bed_open(&sb);
		server_bed_connect(&sb, 0, rows[i].mtu);
		secure(&sb, rows[i].link);
		bed_play(&sb.peers[0], rows[i].name, rows[i].script);
		if (strcmp(sb.log, rows[i].told) != 0)
			print_message("%s:\n", rows[i].name);
		server_bed_said(&sb, rows[i].told);
		if (gatt_server_stats(sb.server)->writes_dropped != rows[i].dropped)
			fail_msg("%s: %d dropped", rows[i].name,
			         (int)gatt_server_stats(sb.server)->writes_dropped);
		sb.links[0] = gatt_link_free(
			sb.links[0]); /* subscribers are told off: not what is asked here */
		sb.links[0] = NULL;
		sb.log[0] = '\0';
		att_fail_all(sb.peers[0].att, -ENOTCONN);
		sb.peers[0].att = att_free(sb.peers[0].att);
		(void)close(sb.peers[0].peer);
		server_bed_close(&sb);
	}
}

/* --- the queue has two ends --- */

static void the_queue_is_full(void **state)
{
	struct server_bed sb;
	char script[128];

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 517);
	for (int i = 0; i < GATT_PREPARED_MAX; i++)
		bed_play(&sb.peers[0], __func__, "< 16 22 00 00 00 41; > 17 22 00 00 00 41");
	bed_play(&sb.peers[0], __func__,
	         "< 16 22 00 00 00 41; > 01 16 22 00 09; < 0a 22 00; > 0b 01 02 03; < 18 00; > 19");
	for (int i = 0; i < GATT_PREPARED_BYTES_MAX / 512; i++)
		bed_play(&sb.peers[0], __func__,
		         "< 16 22 00 00 00 41*512; > 17 22 00 00 00 41*512");
	bed_play(&sb.peers[0], __func__,
	         "< 16 22 00 00 00 41; > 01 16 22 00 09; < 16 22 00 00 00; > 17 22 00 00 00");
	(void)snprintf(script, sizeof(script), "< 18 01; > 19; < 0a 22 00; > 0b");
	bed_play(&sb.peers[0], __func__, script);
	sb.log[0] = '\0';
	server_bed_close(&sb);
}

/* A value as long as there can be; one byte more and one less room for the next. */
static void the_longest_value(void **state)
{
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 517);
	bed_play(&sb.peers[0], __func__,
	         "< 16 22 00 00 00 41*500; > 17 22 00 00 00 41*500; < 16 22 00 f4 01 42*12; > 17 "
	         "22 00 f4 01 42*12; < 18 01; > 19;"
	         "< 0a 22 00; > 0b 41*500 42*12; < 16 22 00 00 02 43; > 17 22 00 00 02 43; < 18 "
	         "01; > 01 18 22 00 0d;"
	         "< 16 22 00 00 02; > 17 22 00 00 02; < 18 01; > 19");
	server_bed_close(&sb);
}

static void checked_again_when_carried_out(void **state)
{
	struct gatt_app *app;
	struct server_bed sb;
	uint16_t handle;
	char script[160];

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	app = server_bed_add(&sb, 1, NULL);
	handle = list_first(&list_first(&app->services, struct gatt_local_service, link)
	                             ->characteristics,
	                    struct gatt_local, link)
	                 ->handle;
	(void)snprintf(script, sizeof(script),
	               "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 %02x 00 00 00 41; > 17 %02x "
	               "00 00 00 41",
	               handle, handle);
	bed_play(&sb.peers[0], __func__, script);
	gatt_server_remove(app);
	(void)snprintf(script, sizeof(script),
	               "< 18 01; > 01 18 %02x 00 01; < 0a 22 00; > 0b 01 02 03", handle);
	bed_play(&sb.peers[0], __func__, script);
	server_bed_said(&sb, "");
	server_bed_close(&sb);
}

static void security_is_checked_again(void **state)
{
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, false);
	bed_play(&sb.peers[0], __func__, "< 16 2b 00 00 00 41; > 17 2b 00 00 00 41");
	server_bed_secure(&sb, 0, 1, 0, false);
	bed_play(&sb.peers[0], __func__, "< 18 01; > 01 18 2b 00 05; < 18 01; > 19");
	server_bed_said(&sb, "");
	server_bed_close(&sb);
}

/* What one peer prepared is no other's, and ends with its link. */
static void the_queue_is_the_links(void **state)
{
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	server_bed_connect(&sb, 1, 23);
	bed_play(&sb.peers[0], __func__, "< 16 22 00 00 00 41; > 17 22 00 00 00 41");
	bed_play(&sb.peers[1], __func__, "< 18 01; > 19; < 0a 22 00; > 0b 01 02 03");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	bed_play(&sb.peers[0], __func__, "< 18 01; > 19; < 0a 22 00; > 0b 01 02 03");
	server_bed_said(&sb, "");
	server_bed_close(&sb);
}

static struct gatt_app *victim;

static void remove_victim(struct server_bed *sb, struct gatt_local *local)
{
	if (victim)
		gatt_server_remove(victim);
	victim = NULL;
}

/* Whoever is told removes another application, whose values are later in the same queue. */
static void removed_while_it_is_told(void **state)
{
	struct server_bed sb;
	uint16_t handle;
	char script[200];

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	victim = server_bed_add(&sb, 1, NULL);
	handle = list_first(&list_first(&victim->services, struct gatt_local_service, link)
	                             ->characteristics,
	                    struct gatt_local, link)
	                 ->handle;
	sb.on_written = remove_victim;
	(void)snprintf(script, sizeof(script),
	               "< 16 22 00 00 00 41; > 17 22 00 00 00 41; < 16 %02x 00 00 00 41; > 17 %02x "
	               "00 00 00 41; < 18 01; > 19;"
	               "< 0a %02x 00; > 01 0a %02x 00 01",
	               handle, handle, handle, handle);
	bed_play(&sb.peers[0], __func__, script);
	server_bed_said(&sb, "written(0 0022 41)");
	server_bed_close(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcripts),
		cmocka_unit_test(the_queue_is_full),
		cmocka_unit_test(the_longest_value),
		cmocka_unit_test(checked_again_when_carried_out),
		cmocka_unit_test(security_is_checked_again),
		cmocka_unit_test(the_queue_is_the_links),
		cmocka_unit_test(removed_while_it_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
