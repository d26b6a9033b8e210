/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a server answers to those who discover and read: the SIG's test purposes, and what else can be asked. */
#include "../support/server_bed.h"
#include "test.h"

/* What the link is: nothing, bonded but not encrypted, just works with a short key, just works, protected. */
enum link { OPEN, KNOWN, WEAK, CODED, SAFE };

static const struct row {
	const char *name;
	enum link link;
	uint16_t mtu;
	const char *script;
} rows[] = {
	{"GATT/SR/GAC/BV-01-C", OPEN, 23, "< 02 40 00; > 03 05 02; < 0a 29 00; > 0b 4c*60"},
	{"GATT/SR/GAC/BV-01-C longer answers", OPEN, 40,
         "< 0a 29 00; > 0b 4c*39; < 0c 29 00 27 00; > 0d 4c*21"},

	{"GATT/SR/GAD/BV-01-C", OPEN, 23,
         "< 10 01 00 ff ff 00 28; > 11 06 01 00 05 00 00 18 06 00 0d 00 01 18 20 00 40 00 01 a0;"
         "< 10 41 00 ff ff 00 28; > 11 06 50 00 58 00 02 a0;"
         "< 10 59 00 ff ff 00 28; > 11 14 70 00 78 00 a4 00*15;"
         "< 10 79 00 ff ff 00 28; > 01 10 79 00 0a"},
	{"GATT/SR/GAD/BV-01-C by the long UUID", OPEN, 23,
         "< 10 41 00 ff ff fb 34 9b 5f 80 00 00 80 00 10 00 00 00 28 00 00; > 11 06 50 00 58 00 02 "
         "a0"},
	{"GATT/SR/GAD/BV-01-C large MTU", OPEN, 100,
         "< 10 01 00 ff ff 00 28; > 11 06 01 00 05 00 00 18 06 00 0d 00 01 18 20 00 40 00 01 a0 50 "
         "00 58 00 02 a0"},
	{"secondary services", OPEN, 23,
         "< 10 01 00 ff ff 01 28; > 11 06 60 00 62 00 03 a0; < 10 63 00 ff ff 01 28; > 01 10 63 00 "
         "0a"},
	{"groups of another type", OPEN, 23,
         "< 10 01 00 ff ff 03 28; > 01 10 01 00 10; < 10 01 00 ff ff a4 00*15; > 01 10 01 00 10"},
	{"groups, start 0", OPEN, 23, "< 10 00 00 ff ff 00 28; > 01 10 00 00 01"},
	{"groups, start above end", OPEN, 23, "< 10 05 00 04 00 00 28; > 01 10 05 00 01"},
	{"groups, wrong range before wrong type", OPEN, 23,
         "< 10 05 00 04 00 03 28; > 01 10 05 00 01"},
	{"groups, start inside of the last", OPEN, 23, "< 10 71 00 ff ff 00 28; > 01 10 71 00 0a"},

	{"GATT/SR/GAD/BV-02-C", OPEN, 23,
         "< 06 01 00 ff ff 00 28 01 a0; > 07 20 00 40 00; < 06 41 00 ff ff 00 28 01 a0; > 01 06 41 "
         "00 0a"},
	{"GATT/SR/GAD/BV-02-C 128 bits", OPEN, 23,
         "< 06 01 00 ff ff 00 28 a4 00*15; > 07 70 00 78 00"},
	{"GATT/SR/GAD/BV-02-C 16 bits written long", OPEN, 40,
         "< 06 01 00 ff ff 00 28 fb 34 9b 5f 80 00 00 80 00 10 00 00 01 a0 00 00; > 07 20 00 40 "
         "00"},
	{"GATT/SR/GAD/BV-02-C start above end", OPEN, 23,
         "< 06 09 00 08 00 00 28 01 a0; > 01 06 09 00 01"},
	{"GATT/SR/GAD/BV-02-C no such UUID", OPEN, 23,
         "< 06 01 00 ff ff 00 28 ee ff; > 01 06 01 00 0a"},
	{"a secondary service is no primary one", OPEN, 23,
         "< 06 01 00 ff ff 00 28 03 a0; > 01 06 01 00 0a; < 06 01 00 ff ff 01 28 03 a0; > 07 60 00 "
         "62 00"},
	{"find by value: of a characteristic", OPEN, 23,
         "< 06 01 00 ff ff 01 a1 01 02 03; > 07 22 00 22 00"},
	{"find by value: half of it", OPEN, 23, "< 06 01 00 ff ff 01 a1 01 02; > 01 06 01 00 0a"},
	{"find by value: a declaration", OPEN, 23,
         "< 06 01 00 ff ff 03 28 0a 22 00 01 a1; > 07 21 00 21 00"},
	{"find by value: a configuration", OPEN, 23,
         "< 06 30 00 36 00 02 29 00 00; > 07 32 00 32 00 35 00 35 00"},
	{"find by value does not tell what may not be read", OPEN, 23,
         "< 06 01 00 ff ff 04 a1 65; > 01 06 01 00 0a; < 06 01 00 ff ff 02 a1; > 01 06 01 00 0a"},
	{"find by value tells those who may", CODED, 23,
         "< 06 01 00 ff ff 04 a1 65; > 07 2b 00 2b 00"},
	{"find by value asks nobody", OPEN, 23,
         "< 06 01 00 ff ff 09 a1 6f 6e 65; > 01 06 01 00 0a; < 06 01 00 ff ff 09 a1 74 72 69; > 07 "
         "58 00 58 00"},

	{"GATT/SR/GAD/BV-03-C", OPEN, 23,
         "< 08 70 00 78 00 02 28; > 09 08 71 00 60 00 62 00 03 a0 72 00 20 00 40 00 01 a0; < 08 73 "
         "00 78 00 02 28;"
         "> 01 08 73 00 0a"},
	{"GATT/SR/GAD/BV-03-C none", OPEN, 23, "< 08 20 00 40 00 02 28; > 01 08 20 00 0a"},

	{"GATT/SR/GAD/BV-04-C", OPEN, 23,
         "< 08 50 00 58 00 03 28; > 09 07 51 00 0a 52 00 09 a1 53 00 02 54 00 09 a1 55 00 02 56 00 "
         "09 a1;"
         "< 08 56 00 58 00 03 28; > 09 07 57 00 02 58 00 09 a1; < 08 58 00 58 00 03 28; > 01 08 58 "
         "00 0a"},
	{"GATT/SR/GAD/BV-05-C", OPEN, 23,
         "< 08 30 00 38 00 03 28; > 09 07 30 00 32 31 00 07 a1 33 00 10 34 00 08 a1 36 00 20 37 00 "
         "0c a1"},
	{"GATT/SR/GAD/BV-05-C 128 bits after 16", OPEN, 60,
         "< 08 3b 00 40 00 03 28; > 09 07 3b 00 0a 3c 00 0d a1 3d 00 0a 3e 00 0e a1;"
         "< 08 3e 00 40 00 03 28; > 09 15 3f 00 02 40 00 b1 00*15"},

	{"GATT/SR/GAD/BV-06-C", OPEN, 23,
         "< 04 23 00 25 00; > 05 01 23 00 01 29 24 00 01 a9 25 00 02 a9; < 04 32 00 32 00; > 05 01 "
         "32 00 02 29"},
	{"GATT/SR/GAD/BV-06-C 128 bits", OPEN, 23,
         "< 04 3f 00 50 00; > 05 01 3f 00 03 28; < 04 40 00 50 00; > 05 02 40 00 b1 00*15; < 04 41 "
         "00 4f 00;"
         "> 01 04 41 00 0a"},
	{"GATT/SR/GAD/BV-06-C a full answer", OPEN, 23,
         "< 04 20 00 ff ff; > 05 01 20 00 00 28 21 00 03 28 22 00 01 a1 23 00 01 29 24 00 01 a9"},
	{"GATT/SR/GAD/BV-06-C start 0", OPEN, 23, "< 04 00 00 ff ff; > 01 04 00 00 01"},
	{"GATT/SR/GAD/BV-06-C start above end", OPEN, 23, "< 04 0b 00 0a 00; > 01 04 0b 00 01"},
	{"the last handle there can be", OPEN, 23, "< 04 ff ff ff ff; > 01 04 ff ff 0a"},

	{"GATT/SR/GAR/BV-01-C", OPEN, 23, "< 0a 22 00; > 0b 01 02 03"},
	{"GATT/SR/GAR/BV-01-C empty", OPEN, 23, "< 0a 3c 00; > 0b"},
	{"GATT/SR/GAR/BV-01-C encrypted", CODED, 23, "< 0a 2b 00; > 0b 65"},
	{"GATT/SR/GAR/BV-01-C protected", SAFE, 23, "< 0a 2d 00; > 0b 61"},
	{"GATT/SR/GAR/BV-01-C long key", CODED, 23, "< 0a 2f 00; > 0b 6b"},
	{"GATT/SR/GAR/BI-01-C", OPEN, 23, "< 0a 27 00; > 01 0a 27 00 02"},
	{"GATT/SR/GAR/BI-01-C before security", OPEN, 23, "< 0a 34 00; > 01 0a 34 00 02"},
	{"GATT/SR/GAR/BI-02-C", OPEN, 23, "< 0a f0 0f; > 01 0a f0 0f 01"},
	{"GATT/SR/GAR/BI-02-C handle 0", OPEN, 23, "< 0a 00 00; > 01 0a 00 00 01"},
	{"GATT/SR/GAR/BI-02-C between services", OPEN, 23, "< 0a 41 00; > 01 0a 41 00 01"},
	{"GATT/SR/GAR/BI-04-C", OPEN, 23,
         "< 0a 2b 00; > 01 0a 2b 00 05; < 0a 2d 00; > 01 0a 2d 00 05"},
	{"GATT/SR/GAR/BI-04-C just works is not enough", CODED, 23, "< 0a 2d 00; > 01 0a 2d 00 05"},
	{"GATT/SR/GAR/BI-05-C", WEAK, 23, "< 0a 2f 00; > 01 0a 2f 00 0c"},
	{"read, the key is there but not used", KNOWN, 23, "< 0a 2b 00; > 01 0a 2b 00 0f"},
	{"declarations are free", OPEN, 23,
         "< 0a 20 00; > 0b 01 a0; < 0a 21 00; > 0b 0a 22 00 01 a1; < 0a 71 00; > 0b 60 00 62 00 03 "
         "a0;"
         "< 0a 2a 00; > 0b 0a 2b 00 04 a1; < 0a 70 00; > 0b a4 00*15"},
	{"configurations are free to read", OPEN, 23, "< 0a 35 00; > 0b 00 00"},
	{"GAP", OPEN, 23,
         "< 0a 03 00; > 0b 61 69 6f 62 6c 65 64; < 0a 05 00; > 0b 00 03; < 0a 0b 00; > 0b 00"},

	{"GATT/SR/GAR/BV-03-C", OPEN, 23, "< 08 01 00 ff ff 01 a1; > 09 05 22 00 01 02 03"},
	{"GATT/SR/GAR/BV-03-C 128 bits", OPEN, 23,
         "< 08 01 00 ff ff b1 00*15; > 09 05 40 00 20 21 22"},
	{"GATT/SR/GAR/BV-03-C long", OPEN, 23, "< 08 01 00 ff ff 03 a1; > 09 15 29 00 4c*19"},
	{"GATT/SR/GAR/BV-03-C several", OPEN, 23,
         "< 08 01 00 ff ff 0f a1; > 09 06 62 00 61*4 74 00 62*4"},
	{"GATT/SR/GAR/BV-03-C no more room", OPEN, 23,
         "< 08 01 00 40 00 02 29; > 09 04 09 00 00*2 32 00 00*2 35 00 00*2 38 00 00*2"},
	{"by UUID, what may not be read ends the list", OPEN, 23,
         "< 08 75 00 ff ff 0f a1; > 09 07 76 00 63*5"},
	{"by UUID, the name", OPEN, 23,
         "< 08 01 00 ff ff 00 2a; > 09 09 03 00 61 69 6f 62 6c 65 64"},
	{"GATT/SR/GAR/BI-06-C", OPEN, 23, "< 08 01 00 ff ff 02 a1; > 01 08 27 00 02"},
	{"GATT/SR/GAR/BI-07-C", OPEN, 23, "< 08 01 00 ff ff ee ff; > 01 08 01 00 0a"},
	{"GATT/SR/GAR/BI-07-C not in the range", OPEN, 23,
         "< 08 23 00 ff ff 01 a1; > 01 08 23 00 0a"},
	{"GATT/SR/GAR/BI-08-C", OPEN, 23, "< 08 05 00 04 00 01 a1; > 01 08 05 00 01"},
	{"GATT/SR/GAR/BI-08-C start 0", OPEN, 23, "< 08 00 00 ff ff 01 a1; > 01 08 00 00 01"},
	{"GATT/SR/GAR/BI-10-C", OPEN, 23,
         "< 08 01 00 ff ff 05 a1; > 01 08 2d 00 05; < 08 77 00 ff ff 0f a1; > 01 08 78 00 05"},
	{"GATT/SR/GAR/BI-11-C", WEAK, 23, "< 08 01 00 ff ff 06 a1; > 01 08 2f 00 0c"},
	{"by UUID, the key is there but not used", KNOWN, 23,
         "< 08 01 00 ff ff 04 a1; > 01 08 2b 00 0f"},

	{"GATT/SR/GAR/BV-04-C", OPEN, 23,
         "< 0a 29 00; > 0b 4c*22; < 0c 29 00 16 00; > 0d 4c*22; < 0c 29 00 2c 00; > 0d 4c*16; < 0c "
         "29 00 3c 00; > 0d"},
	{"GATT/SR/GAR/BV-04-C a short one", OPEN, 23,
         "< 0c 22 00 01 00; > 0d 02 03; < 0c 22 00 00 00; > 0d 01 02 03"},
	{"GATT/SR/GAR/BI-12-C", OPEN, 23, "< 0c 27 00 00 00; > 01 0c 27 00 02"},
	{"GATT/SR/GAR/BI-13-C", OPEN, 23,
         "< 0c 29 00 3d 00; > 01 0c 29 00 07; < 0c 29 00 ff ff; > 01 0c 29 00 07"},
	{"GATT/SR/GAR/BI-14-C", OPEN, 23,
         "< 0c f0 0f 01 00; > 01 0c f0 0f 01; < 0c 00 00 01 00; > 01 0c 00 00 01"},
	{"GATT/SR/GAR/BI-16-C", OPEN, 23, "< 0c 2b 00 01 00; > 01 0c 2b 00 05"},
	{"GATT/SR/GAR/BI-17-C", WEAK, 23, "< 0c 2f 00 01 00; > 01 0c 2f 00 0c"},
	{"long read of a declaration", OPEN, 23,
         "< 0c 21 00 03 00; > 0d 01 a1; < 0c 21 00 06 00; > 01 0c 21 00 07"},
	{"long read of a configuration, of the features", OPEN, 23,
         "< 0c 32 00 01 00; > 0d 00; < 0c 32 00 03 00; > 01 0c 32 00 07; < 0c 0b 00 01 00; > 0d; < "
         "0c 0b 00 02 00; > 01 0c 0b 00 07"},

	{"GATT/SR/GAR/BV-05-C", OPEN, 23, "< 0e 22 00 31 00; > 0f 01 02 03 10 11"},
	{"GATT/SR/GAR/BV-05-C cut off", OPEN, 23,
         "< 0e 22 00 29 00; > 0f 01 02 03 4c*19; < 0e 29 00 22 00; > 0f 4c*22"},
	{"GATT/SR/GAR/BI-18-C", OPEN, 23, "< 0e 22 00 27 00; > 01 0e 27 00 02"},
	{"GATT/SR/GAR/BI-18-C behind what fits", OPEN, 23, "< 0e 29 00 27 00; > 01 0e 27 00 02"},
	{"GATT/SR/GAR/BI-19-C", OPEN, 23,
         "< 0e 22 00 f0 0f; > 01 0e f0 0f 01; < 0e 00 00 22 00; > 01 0e 00 00 01"},
	{"GATT/SR/GAR/BI-21-C", OPEN, 23, "< 0e 22 00 2b 00; > 01 0e 2b 00 05"},
	{"GATT/SR/GAR/BI-22-C", WEAK, 23, "< 0e 22 00 2f 00; > 01 0e 2f 00 0c"},
	{"GATT/SR/GAR/BI-18-C the first counts", OPEN, 23, "< 0e 27 00 f0 0f; > 01 0e 27 00 02"},
	{"GATT/SR/GAR/BV-09-C", OPEN, 23, "< 20 22 00 31 00; > 21 03 00 01 02 03 02 00 10 11"},
	{"GATT/SR/GAR/BV-09-C empty ones", OPEN, 23,
         "< 20 3c 00 22 00 3c 00; > 21 00 00 03 00 01 02 03 00 00"},
	{"GATT/SR/GAR/BV-09-C cut off", OPEN, 23,
         "< 20 22 00 29 00; > 21 03 00 01 02 03 3c 00 4c*15"},
	{"GATT/SR/GAR/BV-09-C a length is all that fits", OPEN, 23,
         "< 20 22 00 22 00 22 00 22 00 22 00 22 00; > 21 03 00 01 02 03 03 00 01 02 03 03 00 01 02 "
         "03 03 00 01 02 03 03 00"},
	{"GATT/SR/GAR/BV-09-C half a length is all that fits", OPEN, 23,
         "< 20 22 00 22 00 31 00 31 00 31 00 22 00; > 21 03 00 01 02 03 03 00 01 02 03 02 00 10 11 "
         "02 00 10 11 02 00 10 11"},
	{"GATT/SR/GAR/BI-36-C", OPEN, 23, "< 20 22 00 27 00; > 01 20 27 00 02"},
	{"GATT/SR/GAR/BI-38-C", OPEN, 23, "< 20 22 00 f0 0f; > 01 20 f0 0f 01"},
	{"GATT/SR/GAR/BI-42-C", OPEN, 23, "< 20 22 00 2d 00; > 01 20 2d 00 05"},
	{"GATT/SR/GAR/BI-44-C", WEAK, 23, "< 20 22 00 2f 00; > 01 20 2f 00 0c"},

	{"GATT/SR/GAR/BV-06-C", OPEN, 23, "< 0a 23 00; > 0b 74 65 78 74"},
	{"GATT/SR/GAR/BI-23-C", OPEN, 23, "< 0a 25 00; > 01 0a 25 00 02"},
	{"GATT/SR/GAR/BI-24-C", OPEN, 23, "< 0a ff ff; > 01 0a ff ff 01"},
	{"GATT/SR/GAR/BV-07-C", OPEN, 23, "< 0a 24 00; > 0b 64*22; < 0c 24 00 16 00; > 0d 64*18"},
	{"GATT/SR/GAR/BV-08-C", OPEN, 23, "< 0c 24 00 28 00; > 0d"},
	{"GATT/SR/GAR/BI-28-C", OPEN, 23, "< 0c 25 00 00 00; > 01 0c 25 00 02"},
	{"GATT/SR/GAR/BI-29-C", OPEN, 23, "< 0c 24 00 29 00; > 01 0c 24 00 07"},
	{"GATT/SR/GAR/BI-30-C", OPEN, 23, "< 0c ff ff 01 00; > 01 0c ff ff 01"},

	{"cut short", OPEN, 23,
         "< 04 01 00 ff; > 01 04 00 00 04; < 06 01 00 ff ff 00; > 01 06 00 00 04; < 08 01 00 ff ff "
         "00; > 01 08 00 00 04;"
         "< 0a 22; > 01 0a 00 00 04; < 0c 22 00 01; > 01 0c 00 00 04; < 0e 22 00; > 01 0e 00 00 04;"
         "< 10 01 00 ff; > 01 10 00 00 04; < 20 22 00 22; > 01 20 00 00 04; < 12 22; > 01 12 00 00 "
         "04;"
         "< 16 22 00 00; > 01 16 00 00 04; < 18; > 01 18 00 00 04"},
	{"too long", OPEN, 23,
         "< 0a 22 00 00; > 01 0a 00 00 04; < 0c 22 00 00 00 00; > 01 0c 00 00 04; < 04 01 00 ff ff "
         "00; > 01 04 00 00 04;"
         "< 18 01 00; > 01 18 00 00 04; < 08 01 00 ff ff 00 28 00; > 01 08 00 00 04"},
	{"robustness: unknown request", OPEN, 23,
         "< 3f 01 02; > 01 3f 00 00 06; < 0a 22 00; > 0b 01 02 03"},
	{"robustness: unknown command", OPEN, 23, "< 7f 01 02; =; < 0a 22 00; > 0b 01 02 03"},
	{"robustness: no response expected", OPEN, 23,
         "< 0b 01; =; < 1e; =; < 0a 22 00; > 0b 01 02 03"},
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
		server_bed_said(&sb, "");
		server_bed_close(&sb);
	}
}

/* One byte says the length of an item, and two bytes of it are the handle. */
static void by_uuid_no_more_than_a_byte_can_say(void **state)
{
	uint8_t bytes[300];
	struct server_bed sb;

	memset(bytes, 0x41, sizeof(bytes));
	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 517);
	assert_int_equal(gatt_local_set(server_bed_local(&sb, H_SAME_A), bytes, 300), 0);
	assert_int_equal(gatt_local_set(server_bed_local(&sb, H_SAME_B), bytes, 300), 0);
	bed_play(&sb.peers[0], __func__, "< 08 01 00 ff ff 0f a1; > 09 ff 62 00 41*253");
	assert_int_equal(gatt_local_set(server_bed_local(&sb, H_SAME_A), bytes, 253), 0);
	assert_int_equal(gatt_local_set(server_bed_local(&sb, H_SAME_B), bytes, 253), 0);
	bed_play(&sb.peers[0], __func__,
	         "< 08 01 00 ff ff 0f a1; > 09 ff 62 00 41*253 74 00 41*253");
	server_bed_close(&sb);
}

static void values_are_read_as_they_are_now(void **state)
{
	uint8_t bytes[512];
	struct server_bed sb;

	memset(bytes, 0x42, sizeof(bytes));
	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	assert_int_equal(gatt_local_set(server_bed_local(&sb, H_PLAIN), bytes, 512), 0);
	bed_play(&sb.peers[0], __func__,
	         "< 0a 22 00; > 0b 42*22; < 02 05 02; > 03 05 02; < 0a 22 00; > 0b 42*512;"
	         "< 0c 22 00 00 02; > 0d; < 0c 22 00 01 02; > 01 0c 22 00 07");
	assert_int_equal(gatt_local_set(server_bed_local(&sb, H_PLAIN), bytes, 1), 0);
	bed_play(&sb.peers[0], __func__, "< 0c 22 00 02 00; > 01 0c 22 00 07; < 0a 22 00; > 0b 42");
	server_bed_close(&sb);
}

static void two_links_at_once(void **state)
{
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	server_bed_connect(&sb, 1, 100);
	server_bed_secure(&sb, 1, 2, 16, false);
	bed_play(&sb.peers[0], __func__, "< 0a 29 00; > 0b 4c*22; < 0a 2b 00; > 01 0a 2b 00 05");
	bed_play(&sb.peers[1], __func__, "< 0a 29 00; > 0b 4c*60; < 0a 2b 00; > 0b 65");
	assert_ptr_equal(gatt_server_next_link(sb.server, NULL), sb.links[0]);
	assert_ptr_equal(gatt_server_next_link(sb.server, sb.links[0]), sb.links[1]);
	assert_null(gatt_server_next_link(sb.server, sb.links[1]));
	server_bed_disconnect(&sb, 0);
	bed_play(&sb.peers[1], __func__, "< 0a 22 00; > 0b 01 02 03");
	assert_int_equal(gatt_server_stats(sb.server)->reads, 4);
	assert_int_equal(gatt_server_stats(sb.server)->refused, 1);
	server_bed_close(&sb);
}

static void the_name_can_be_long(void **state)
{
	char name[250];
	struct server_bed sb;

	memset(name, 'n', sizeof(name));
	name[249] = '\0';
	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 200);
	assert_int_equal(gatt_server_set_gap(sb.server, name, 0), -EINVAL);
	name[248] = '\0';
	assert_int_equal(gatt_server_set_gap(sb.server, name, 0xffff), 0);
	bed_play(&sb.peers[0], __func__,
	         "< 0a 03 00; > 0b 6e*199; < 0c 03 00 c7 00; > 0d 6e*49; < 0a 05 00; > 0b ff ff;"
	         "< 12 03 00 41; > 01 12 03 00 03");
	server_bed_close(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcripts),
		cmocka_unit_test(by_uuid_no_more_than_a_byte_can_say),
		cmocka_unit_test(values_are_read_as_they_are_now),
		cmocka_unit_test(two_links_at_once),
		cmocka_unit_test(the_name_can_be_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
