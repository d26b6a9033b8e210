/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Captures of the radio: files byte by byte, and what happens when a disk is full. */
#include "capture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "controller.h"
#include "recfile.h"

#include "test.h"

#define EPOCH_US INT64_C(1700000000000000)

struct bed {
	struct loop *loop;
	struct air *air;
	char dir[32];
	struct capture *capture;
};

static void ignore_packet(struct controller *ctl, const uint8_t *pkt, size_t len)
{
}

static const struct controller_ops ops = {.packet = ignore_packet};

static int setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_int_equal(loop_new_virtual(&b->loop), 0);
	assert_int_equal(air_new(b->loop, 1, &b->air), 0);
	strcpy(b->dir, "test-snoop-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;
	char cmd[64];

	b->capture = capture_free(b->capture);
	air_free(b->air);
	loop_free(b->loop);
	snprintf(cmd, sizeof(cmd), "rm -r %s", b->dir);
	free(b);
	return system(cmd);
}

static struct controller *plug(struct bed *b, const char *name)
{
	const struct addr addr = {.b = {1, 2, 3, 4, 5, 6}};
	struct controller *ctl;
	struct profile profile;

	assert_int_equal(profile_parse("5.2", &profile), 0);
	assert_int_equal(controller_new(b->air, name, &profile, &addr, &ops, NULL, &ctl), 0);
	return ctl;
}

static size_t slurp(const struct bed *b, const char *name, uint8_t *buf, size_t size)
{
	char path[128];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(buf, 1, size, f);
	fclose(f);
	return n;
}

/* The register of Vol 6, Part B, figure 3.4, bit by bit: another way to the same number. */
static uint32_t crc_by_bits(uint32_t crc, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < 8 * len; i++) {
		uint32_t bit = (crc >> 23 ^ data[i / 8] >> i % 8) & 1;

		crc = (crc << 1 & 0xffffff) ^ (bit ? 0x65b : 0);
	}
	return crc;
}

/* As sent: most significant bit first, while bytes of a file begin with the least. */
static uint32_t crc_in_file(const uint8_t *end)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < 24; i++)
		crc = crc << 1 | (end[-3 + (int)(i / 8)] >> i % 8 & 1);
	return crc;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void start(struct bed *b)
{
	assert_int_equal(capture_new(b->air, b->dir, EPOCH_US, &b->capture), 0);
}

static void packets_of_a_host(void **state)
{
	static const uint8_t reset[] = {1, 3, 0x0c, 0}, acl[] = {2, 1, 0, 0, 0};
	static const uint8_t head[] = {'b', 't', 's', 'n', 'o', 'o', 'p', 0,
	                               0,   0,   0,   1,   0,   0,   3,   0xea};
	struct bed *b = *state;
	struct controller *ctl = plug(b, "one"); /* there before the capture */
	uint8_t f[512];
	size_t n;

	start(b);
	loop_advance(b->loop, 250);
	controller_input(ctl, reset, sizeof(reset));
	controller_input(ctl, acl, sizeof(acl));
	loop_advance(b->loop, RECFILE_FLUSH_MS);
	n = slurp(b, "one.btsnoop", f, sizeof(f));
	assert_int_equal(n, 16 + 24 + 4 + 24 + 7 + 24 + 5);
	assert_memory_equal(f, head, sizeof(head));
	assert_int_equal(be32(f + 16), 4);
	assert_int_equal(be32(f + 20), 4);
	assert_int_equal(be32(f + 24), 2); /* command, from the host */
	assert_int_equal(be32(f + 28), 0);
	/* the air began at 1 s */
	assert_int_equal(be64(f + 32) - 0x00dcddb30f2f8000, EPOCH_US + 1250000);
	assert_memory_equal(f + 40, reset, sizeof(reset));
	assert_int_equal(be32(f + 44), 7);
	assert_int_equal(be32(f + 52), 3); /* event, to the host */
	assert_int_equal(f[68], 4);
	assert_int_equal(be32(f + 75 + 8), 0); /* data, from the host */
	controller_free(ctl);
}

static void a_name_goes_on_in_its_file(void **state)
{
	static const uint8_t reset[] = {1, 3, 0x0c, 0};
	struct bed *b = *state;
	struct controller *ctl;
	uint8_t f[512];
	size_t once;

	start(b);
	ctl = plug(b, "../x");
	controller_input(ctl, reset, sizeof(reset));
	controller_free(ctl); /* writes at once */
	once = slurp(b, "_._x.btsnoop", f, sizeof(f));
	assert_true(once > 16 + 24 + 4);
	ctl = plug(b, "../x");
	controller_input(ctl, reset, sizeof(reset));
	capture_flush(b->capture);
	assert_int_equal(slurp(b, "_._x.btsnoop", f, sizeof(f)), 2 * once - 16);
	assert_int_equal(capture_stats(b->capture).files, 2);
	assert_int_equal(capture_stats(b->capture).records, 4);
	controller_free(ctl);
}

/* A PDU and its CRC as in Core 5.4, Vol 6, Part C, 4: sample data are few, so tshark checks more of them elsewhere. */
static void pdus_with_their_crc(void **state)
{
	static const uint8_t adv[] = {0x42, 0x09, 1, 2, 3, 4, 5, 0xc6, 2, 1, 6};
	struct bed *b = *state;
	struct radio from;
	uint8_t f[512];
	struct air_pdu pdu = {
		.start_us = 1500000,
		.from = &from,
		.access_addr = PDU_ADV_ADDRESS,
		.channel = 38,
		.phy = PHY_1M,
		.tx_dbm = 4,
		.data = adv,
		.len = sizeof(adv),
	};

	start(b);
	radio_init(&from, b->air, "from");
	from.loss_db = 3;
	(void)air_broadcast(b->air, &pdu, NULL);
	capture_flush(b->capture);
	assert_int_equal(slurp(b, "air.pcap", f, sizeof(f)), 24 + 16 + 10 + 4 + sizeof(adv) + 3);
	assert_int_equal(le32(f), 0xa1b2c3d4);
	assert_int_equal(le32(f + 20), 256);
	assert_int_equal(le32(f + 24), 1700000001);
	assert_int_equal(le32(f + 28), 500000);
	assert_int_equal(le32(f + 32), 10 + 4 + sizeof(adv) + 3);
	assert_int_equal(f[40], 12); /* 2426 MHz */
	assert_int_equal((int8_t)f[41], 4 - AIR_LOSS_DEFAULT_DB - 3);
	assert_int_equal(f[48] | f[49] << 8, 0x0013);
	assert_int_equal(le32(f + 50), 0x8e89bed6);
	assert_memory_equal(f + 54, adv, sizeof(adv));
	assert_int_equal(crc_in_file(f + 54 + sizeof(adv) + 3),
	                 crc_by_bits(0x555555, adv, sizeof(adv)));
	radio_deinit(&from);
}

static uint16_t flags_of_last(const uint8_t *f, size_t n, size_t pdu_len)
{
	const uint8_t *p = f + n - 3 - pdu_len - 4 - 2;

	return (uint16_t)(p[0] | p[1] << 8);
}

static void data_knows_its_direction(void **state)
{
	static const uint8_t ind[] = {5, 34,   1,    1,    1,    1,    1,    1,    2,    2, 2, 2, 2,
	                              2, 0x11, 0x22, 0x33, 0x44, 0x56, 0x34, 0x12, 1,    0, 0, 6, 0,
	                              0, 0,    42,   0,    0xff, 0xff, 0xff, 0xff, 0x1f, 5};
	static const uint8_t empty[] = {1, 0};
	struct bed *b = *state;
	struct radio central, peripheral;
	struct air_pdu pdu = {.from = &central,
	                      .access_addr = PDU_ADV_ADDRESS,
	                      .channel = 37,
	                      .phy = PHY_1M,
	                      .data = ind,
	                      .len = sizeof(ind)},
		       got;
	uint8_t f[1024];
	size_t n;

	start(b);
	radio_init(&central, b->air, "central");
	radio_init(&peripheral, b->air, "peripheral");
	(void)air_pass(b->air, &pdu, &peripheral, &got, NULL);
	pdu = (struct air_pdu){.from = &central,
	                       .access_addr = 0x44332211,
	                       .channel = 7,
	                       .phy = PHY_2M,
	                       .data = empty,
	                       .len = 2};
	(void)air_pass(b->air, &pdu, &peripheral, &got, NULL);
	capture_flush(b->capture);
	n = slurp(b, "air.pcap", f, sizeof(f));
	assert_int_equal(flags_of_last(f, n, 2), 0x4000 | 0x0c13 | 0x100);
	pdu.from = &peripheral;
	(void)air_pass(b->air, &pdu, &central, &got, NULL);
	capture_flush(b->capture);
	n = slurp(b, "air.pcap", f, sizeof(f));
	assert_int_equal(flags_of_last(f, n, 2), 0x4000 | 0x0c13 | 0x180);
	assert_int_equal(crc_in_file(f + n), crc_by_bits(0x123456, empty, sizeof(empty)));
	radio_deinit(&central);
	radio_deinit(&peripheral);
}

/* A limit on file sizes stands in for a full disk: a write is cut short, the next one fails. */
static void full_disk_leaves_whole_records(void **state)
{
	struct bed *b = *state;
	struct rlimit old, small = {.rlim_cur = 100};
	char path[64];
	struct recfile f;
	struct stat st;

	snprintf(path, sizeof(path), "%s/f", b->dir);
	assert_int_equal(recfile_open(&f, b->loop, path, "head", 4), 0);
	recfile_add(&f, "0123456789", 10, "0123456789", 10);
	recfile_flush(&f);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 10; i++)
		recfile_add(&f, "0123456789", 10, "", 0);
	recfile_flush(&f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 24);
	assert_int_equal(f.lost, 10);
	assert_true(f.failed);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	recfile_add(&f, "abc", 3, "", 0);
	recfile_close(&f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 27);
	assert_int_equal(f.records, 2);
}

static void large_records_pass_the_buffer(void **state)
{
	static uint8_t large[3 * RECFILE_BUFFER];
	struct bed *b = *state;
	char path[64];
	struct recfile f;
	struct stat st;

	snprintf(path, sizeof(path), "%s/f", b->dir);
	assert_int_equal(recfile_open(&f, b->loop, path, "", 0), 0);
	recfile_add(&f, "a", 1, "b", 1);
	recfile_add(&f, "c", 1, large, sizeof(large));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3 + sizeof(large));
	recfile_close(&f);
	assert_int_equal(recfile_open(&f, b->loop, "no/such/folder", "", 0), -ENOENT);
}

static void a_folder_that_cannot_be_made(void **state)
{
	struct bed *b = *state;
	struct capture *c;

	assert_int_equal(capture_new(b->air, "no/such/folder", 0, &c), -ENOENT);
	assert_int_equal(capture_new(b->air, "/dev/null", 0, &c), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(packets_of_a_host, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_goes_on_in_its_file, setup, teardown),
		cmocka_unit_test_setup_teardown(pdus_with_their_crc, setup, teardown),
		cmocka_unit_test_setup_teardown(data_knows_its_direction, setup, teardown),
		cmocka_unit_test_setup_teardown(full_disk_leaves_whole_records, setup, teardown),
		cmocka_unit_test_setup_teardown(large_records_pass_the_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_made, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
