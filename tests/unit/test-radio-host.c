/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts on descriptors: H4 whole and in pieces, garbage, hosts that hang up or do not read, the socket and the pty.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "aiobled/cleanup.h"

#include "host.h"
#include "radio.h"

#include "test.h"

struct end {
	int fd; /* ours */
	struct host *host;
	int ended, err;
	char why[100];
};

struct rig {
	struct loop *loop;
	struct air *air;
	struct end ends[2];
};

static void on_ended(struct host *host, int err, const char *why)
{
	struct end *e = host_data(host);

	e->ended++;
	e->err = err;
	(void)snprintf(e->why, sizeof(e->why), "%s", why);
	e->host = host_free(host);
}

static bool on_vendor(struct host *host, const uint8_t *pkt, size_t len)
{
	return pkt[0] == 0xff;
}

static const struct host_ops ops = {.ended = on_ended, .vendor = on_vendor};

static void add_end(struct rig *rig, struct end *e, const char *name, enum host_kind kind)
{
	struct addr a = {.b = {(uint8_t)name[0]}};
	struct profile p;
	int fds[2];

	assert_int_equal(profile_parse("5.2", &p), 0);
	assert_int_equal(
		socketpair(AF_UNIX,
	                   (kind == HOST_STREAM ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK, 0,
	                   fds),
		0);
	*e = (struct end){.fd = fds[0]};
	assert_int_equal(host_new(rig->air, name, &p, &a, fds[1], kind, &ops, e, &e->host), 0);
}

static int setup(void **state)
{
	static struct rig rig;

	assert_int_equal(loop_new_virtual(&rig.loop), 0);
	assert_int_equal(air_new(rig.loop, 1, &rig.air), 0);
	add_end(&rig, &rig.ends[0], "a", HOST_STREAM);
	add_end(&rig, &rig.ends[1], "b", HOST_STREAM);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rig->ends); i++) {
		rig->ends[i].host = host_free(rig->ends[i].host);
		closep(&rig->ends[i].fd);
	}
	rig->air = air_free(rig->air);
	rig->loop = loop_free(rig->loop);
	return 0;
}

static void put(struct rig *rig, struct end *e, const void *data, size_t len)
{
	assert_int_equal(write(e->fd, data, len), len);
	assert_int_equal(loop_settle(rig->loop), 0);
}

/* What came, or nothing */
static size_t take(struct end *e, uint8_t *buf, size_t size)
{
	ssize_t n = read(e->fd, buf, size);

	return n > 0 ? (size_t)n : 0;
}

static const uint8_t read_version[] = {0x01, 0x01, 0x10, 0x00};
static const uint8_t version_head[] = {0x04, 0x0e, 0x0c, 0x01, 0x01, 0x10, 0x00, 0x0b};

static void expect_version(struct end *e)
{
	uint8_t buf[64];

	assert_int_equal(take(e, buf, sizeof(buf)), 15);
	assert_memory_equal(buf, version_head, sizeof(version_head));
}

static void test_whole(void **state)
{
	struct rig *rig = *state;

	put(rig, &rig->ends[0], read_version, sizeof(read_version));
	expect_version(&rig->ends[0]);
	assert_int_equal(take(&rig->ends[1], (uint8_t[8]){0}, 8), 0);
}

static void test_pieces(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(read_version); i++)
		put(rig, &rig->ends[0], &read_version[i], 1);
	expect_version(&rig->ends[0]);
}

/* Several packets at once, one of them data for a link that is not there, and the begin of the next */
static void test_row(void **state)
{
	static const uint8_t row[] = {0x01, 0x01, 0x10, 0x00, 0x02, 0x40, 0x00, 0x02, 0x00,
	                              0xaa, 0xbb, 0x01, 0x01, 0x10, 0x00, 0x01, 0x01};
	struct rig *rig = *state;
	uint8_t buf[64];

	put(rig, &rig->ends[0], row, sizeof(row));
	assert_int_equal(take(&rig->ends[0], buf, sizeof(buf)), 30);
	put(rig, &rig->ends[0], &read_version[2], 2);
	expect_version(&rig->ends[0]);
}

/* Every byte that begins no packet ends its sender, and nobody else. */
static void test_garbage(void **state)
{
	static const uint8_t starts[] = {0x00, 0x04, 0x06, 0x7f, 0xff};
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		struct end *e = &rig->ends[0];

		put(rig, e, read_version, sizeof(read_version));
		expect_version(e);
		put(rig, e, &starts[i], 1);
		assert_int_equal(e->ended, 1);
		assert_int_equal(e->err, -EBADMSG);
		assert_non_null(strstr(e->why, "H4"));
		put(rig, &rig->ends[1], read_version, sizeof(read_version));
		expect_version(&rig->ends[1]);
		closep(&e->fd);
		add_end(rig, e, "a", HOST_STREAM);
	}
}

static void test_noise(void **state)
{
	struct rig *rig = *state;

	for (unsigned int seed = 1; seed < 200; seed++) {
		struct end *e = &rig->ends[0];
		uint8_t noise[256];
		uint32_t x = seed;

		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
		noise[0] = 1 + seed % 2; /* a packet, at least at first */
		put(rig, e, noise, sizeof(noise));
		put(rig, &rig->ends[1], read_version, sizeof(read_version));
		expect_version(&rig->ends[1]);
		e->host = host_free(e->host);
		closep(&e->fd);
		add_end(rig, e, "a", HOST_STREAM);
	}
}

static void test_hangup(void **state)
{
	struct rig *rig = *state;

	closep(&rig->ends[0].fd);
	rig->ends[0].fd = -1;
	assert_int_equal(loop_settle(rig->loop), 0);
	assert_int_equal(rig->ends[0].ended, 1);
	assert_int_equal(rig->ends[0].err, 0);
	assert_null(radio_find(rig->air, "a"));
	assert_non_null(radio_find(rig->air, "b"));
}

/* A host that only sends: its answers wait up to the bound, then it is ended. */
static void test_never_reads(void **state)
{
	struct rig *rig = *state;
	struct end *e = &rig->ends[0];

	for (int i = 0; i < 200000 && !e->ended; i++) {
		if (write(e->fd, read_version, sizeof(read_version)) < 0)
			assert_int_equal(errno, EAGAIN);
		assert_int_equal(loop_settle(rig->loop), 0);
	}
	assert_int_equal(e->ended, 1);
	assert_int_equal(e->err, -ENOBUFS);
}

/* Reports a host does not fetch are dropped and counted; what it reads later is whole packets, and it lives. */
static void test_slow_reader(void **state)
{
	static const uint8_t report[] = {0x04, 0x3e, 0x0c, 0x02, 1, 3, 0,   1,
	                                 2,    3,    4,    5,    6, 0, 0xce};
	struct rig *rig = *state;
	struct end *e = &rig->ends[0];
	static uint8_t buf[2 * HOST_QUEUE_MAX];
	size_t n, total = 0;

	for (int i = 0; i < 100000; i++)
		assert_int_equal(host_write(e->host, report, sizeof(report)), 0);
	assert_true(host_stats(e->host)->reports_dropped > 10000);
	assert_true(controller_congested(host_controller(e->host)));
	do {
		n = take(e, buf, sizeof(buf));
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf[i], report[(total + i) % sizeof(report)]);
		total += n;
		assert_int_equal(loop_settle(rig->loop), 0);
	} while (n);
	assert_int_equal(total % sizeof(report), 0);
	assert_int_equal(total / sizeof(report), host_stats(e->host)->tx);
	assert_int_equal(total / sizeof(report) + host_stats(e->host)->reports_dropped, 100000);
	assert_false(controller_congested(host_controller(e->host)));
	assert_int_equal(e->ended, 0);
}

/* As /dev/vhci is: one packet a read, vendor packets among them */
static void test_packets(void **state)
{
	static const uint8_t vendor[] = {0xff, 0x00, 0x03, 0x00},
			     longer[] = {0x01, 0x01, 0x10, 0x00, 0x00};
	struct rig *rig = *state;
	struct end e;

	add_end(rig, &e, "c", HOST_PACKETS);
	put(rig, &e, read_version, sizeof(read_version));
	expect_version(&e);
	put(rig, &e, vendor, sizeof(vendor));
	put(rig, &e, read_version, sizeof(read_version));
	expect_version(&e);
	put(rig, &e, longer, sizeof(longer));
	assert_int_equal(e.ended, 1);
	closep(&e.fd);
}

/* --- the world: sockets and terminals --- */

static int connect_to(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(sa.sun_path, path, strlen(path) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static size_t radios(struct world *w)
{
	struct radio *r;
	size_t n = 0;

	list_for_each (r, air_radios(world_air(w)), link)
		n++;
	return n;
}

static void test_socket(void **state)
{
	char dir[] = "/tmp/test-radio-host-XXXXXX", path[64];
	struct radio_options o = {.seed = 1, .speed = 1};
	struct loop *loop;
	struct world *w;
	struct end e[2];

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/socket", dir);
	assert_int_equal(profile_parse("5.2", &o.profile), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(world_new(loop, &o, &w), 0);
	assert_int_equal(world_listen(w, path, NULL), 0);
	for (int i = 0; i < 2; i++) {
		e[i] = (struct end){.fd = connect_to(path)};
		assert_int_equal(loop_settle(loop), 0);
		assert_int_equal(write(e[i].fd, read_version, sizeof(read_version)),
		                 sizeof(read_version));
	}
	assert_int_equal(loop_settle(loop), 0);
	expect_version(&e[0]);
	expect_version(&e[1]);
	assert_int_equal(radios(w), 2);
	closep(&e[0].fd);
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(radios(w), 1);
	assert_non_null(radio_find(world_air(w), "client1"));
	assert_int_equal(world_listen(w, "/tmp", NULL), -EEXIST);
	closep(&e[1].fd);
	w = world_free(w);
	loop = loop_free(loop);
	assert_int_equal(rmdir(dir), 0); /* nothing was left in it */
}

/* The controller behind a terminal survives the program that had it open. */
static void test_pty(void **state)
{
	char dir[] = "/tmp/test-radio-host-XXXXXX", path[64];
	struct radio_options o = {.seed = 1, .speed = 1};
	struct loop *loop;
	struct world *w;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/tty", dir);
	assert_int_equal(profile_parse("5.2", &o.profile), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(world_new(loop, &o, &w), 0);
	assert_int_equal(world_pty(w, path, NULL), 0);
	for (int i = 0; i < 2; i++) {
		struct end e = {.fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK)};
		struct pollfd p = {.fd = e.fd, .events = POLLIN};

		assert_true(e.fd >= 0);
		assert_int_equal(write(e.fd, read_version, sizeof(read_version)),
		                 sizeof(read_version));
		for (int k = 0; k < 100 && poll(&p, 1, 10) == 0; k++)
			assert_int_equal(loop_settle(loop), 0);
		expect_version(&e);
		closep(&e.fd);
		assert_int_equal(loop_settle(loop), 0);
	}
	assert_int_equal(radios(w), 1);
	w = world_free(w);
	loop = loop_free(loop);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_row, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noise, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_packets, setup, teardown),
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_pty),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
