/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the server asks of memory: nothing for what happens all the time, and an honest answer wherever there is none. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/alloc.h"
#include "../support/server_bed.h"
#include "test.h"

#define HARDLY 60 /* no call here takes more allocations than that */

static struct server_bed sb;

static void start(uint16_t mtu)
{
	server_bed_open(&sb);
	server_bed_connect(&sb, 0, mtu);
}

/* Reading, discovering, writing what is short, sending to those who listen. */
static void nothing_for_what_happens_all_the_time(void **state)
{
	unsigned long before;

	start(64);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13");
	before = alloc_count;
	bed_play(&sb.peers[0], __func__,
	         "< 0a 22 00; > 0b 01 02 03; < 0c 29 00 01 00; > 0d 4c*59; < 10 41 00 ff ff 00 28; "
	         "> 11 06 50 00 58 00 02 a0;"
	         "< 08 01 00 ff ff 01 a1; > 09 05 22 00 01 02 03; < 04 32 00 32 00; > 05 01 32 00 "
	         "02 29;"
	         "< 06 01 00 ff ff 00 28 01 a0; > 07 20 00 40 00; < 0e 22 00 31 00; > 0f 01 02 03 "
	         "10 11;"
	         "< 20 22 00 31 00; > 21 03 00 01 02 03 02 00 10 11; < 12 22 00 55*20; > 13; < 52 "
	         "3a 00 01; =;"
	         "< 12 32 00 03 00; > 13; < 0a f0 0f; > 01 0a f0 0f 01");
	for (int i = 0; i < 100; i++)
		gatt_server_update(sb.server, server_bed_local(&sb, H_TELL));
	for (int i = 0; i < 100; i++)
		assert_int_equal(recv(sb.peers[0].peer, (uint8_t[8]){0}, 8, 0), 5);
	bed_fill(&sb.peers[0]);
	for (int i = 0; i < 100; i++)
		gatt_server_update(sb.server, server_bed_local(&sb, H_TELL));
	assert_int_equal(alloc_count, before + 1); /* to learn that the kernel is full */
	assert_true(bed_drain(&sb.peers[0]) > 0);
	bed_play(&sb.peers[0], __func__, "> 1b 31 00 10 11");
	assert_int_equal(alloc_count, before + 1);
	server_bed_close(&sb);
}

/* The first allocation fails: an answer says so, and everything is as it was; then the same works. */
static void requests_without_memory(void **state)
{
	static const struct {
		const char *name, *setup, *fails, *then;
	} rows[] = {
		{"subscribe", "", "< 12 32 00 01 00; > 01 12 32 00 11",
	         "< 0a 32 00; > 0b 00 00; < 12 32 00 01 00; > 13"},
		{"a longer value", "", "< 12 22 00 41*60; > 01 12 22 00 11",
	         "< 0a 22 00; > 0b 01 02 03; < 12 22 00 41*60; > 13"},
		{"prepare", "", "< 16 22 00 00 00 41; > 01 16 22 00 11",
	         "< 18 01; > 19; < 0a 22 00; > 0b 01 02 03; < 16 22 00 00 00 41; > 17 22 00 00 00 "
	         "41"},
		{"a question", "", "< 0a 52 00; > 01 0a 52 00 11",
	         "< 0a 52 00; ~ 1000; > 0b 6f 6e 65; < 0a 52 00; ~ 1000; > 0b 6f 6e 65"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start(100);
		bed_play(&sb.peers[0], rows[i].name, rows[i].setup);
		alloc_fail_after = 0;
		bed_play(&sb.peers[0], rows[i].name, rows[i].fails);
		assert_int_equal(alloc_fail_after, -1);
		bed_play(&sb.peers[0], rows[i].name, rows[i].then);
		server_bed_close(&sb);
	}
}

/* Wherever it fails, either all was written and told, or nothing. */
static void execution_without_memory(void **state)
{
	int n;

	for (n = 0; n < HARDLY; n++) {
		uint8_t answer[8];

		start(100);
		bed_play(&sb.peers[0], __func__,
		         "< 16 24 00 28 00 43; > 17 24 00 28 00 43; < 16 22 00 00 00 41*40; > 17 "
		         "22 00 00 00 41*40;"
		         "< 16 27 00 00 00 42; > 17 27 00 00 00 42; < 16 32 00 00 00 01 00; > 17 "
		         "32 00 00 00 01 00");
		alloc_fail_after = n;
		assert_int_equal(send(sb.peers[0].peer, "\x18\x01", 2, 0), 2);
		assert_int_equal(loop_settle(sb.loop), 0);
		alloc_fail_after = -1;
		if (recv(sb.peers[0].peer, answer, sizeof(answer), 0) == 1)
			break;
		assert_int_equal(answer[0], ATT_ERROR_RSP);
		assert_int_equal(answer[4], ATT_ERR_RESOURCES);
		bed_play(&sb.peers[0], __func__,
		         "< 0a 22 00; > 0b 01 02 03; < 0a 24 00; > 0b 64*40; < 0a 32 00; > 0b 00 "
		         "00; < 18 01; > 19");
		server_bed_said(&sb, "");
		server_bed_close(&sb);
	}
	assert_true(n > 5 && n < HARDLY);
	bed_play(&sb.peers[0], __func__,
	         "< 0a 22 00; > 0b 41*40; < 0a 24 00; > 0b 64*40 43; < 0a 32 00; > 0b 01 00");
	server_bed_close(&sb);
}

static void on_done(struct op *op, int res)
{
	fail_msg("done: %d", res);
}

static void calls_without_memory(void **state)
{
	struct gatt_indication ind = {0};
	struct att_cmd cmd = {0};
	struct gatt_link *link;
	struct addr identity = server_bed_identity(1);

	start(23);
	op_init(&ind.op, sb.loop, on_done);
	op_init(&cmd.op, sb.loop, on_done);
	alloc_fail_after = 0;
	assert_int_equal(gatt_server_indicate(sb.links[0], server_bed_local(&sb, H_TELL), "x", 1,
	                                      &ind, 0, NULL),
	                 -ENOMEM);
	bed_fill(&sb.peers[0]);
	assert_int_equal(gatt_server_notify(sb.links[0], server_bed_local(&sb, H_TELL), "x", 1,
	                                    &cmd, 0, NULL),
	                 0);
	op_drop(&cmd.op); /* the first only learns that the kernel is full */
	alloc_fail_after = 0;
	assert_int_equal(gatt_server_notify(sb.links[0], server_bed_local(&sb, H_TELL), "x", 1,
	                                    &cmd, 0, NULL),
	                 -ENOMEM);
	alloc_fail_after = 0;
	assert_int_equal(gatt_link_new(sb.server, sb.peers[0].att, &identity, NULL, &link),
	                 -ENOMEM);
	assert_true(bed_drain(&sb.peers[0]) > 0);
	bed_play(&sb.peers[0], __func__, "< 0a 22 00; > 0b 01 02 03");
	server_bed_close(&sb);
}

static void a_server_without_memory(void **state)
{
	struct gatt_server *server;
	struct loop *loop;
	int n;

	assert_int_equal(loop_new_virtual(&loop), 0);
	for (n = 0; n < HARDLY; n++) {
		alloc_fail_after = n;
		if (gatt_server_new(loop, &server) == 0)
			break;
	}
	alloc_fail_after = -1;
	assert_true(n > 5 && n < HARDLY);
	server = gatt_server_free(server);
	loop = loop_free(loop);
}

/* Replacing fails: the old one is there as before, with its subscribers. */
static void registering_without_memory(void **state)
{
	const struct gatt_def_characteristic chr = {
		.value = {.uuid = UUID16_INIT(0xa1f0), .read = true, .notify = true}};
	const struct gatt_def_service service = {
		.uuid = UUID16_INIT(0xa0f9), .characteristics = &chr, .n_characteristics = 1};
	struct gatt_def_error error;
	struct gatt_app *old, *app;
	int n;

	start(23);
	old = server_bed_add(&sb, 1, NULL);
	bed_play(&sb.peers[0], __func__, "< 12 7c 00 01 00; > 13");
	for (n = 0; n < HARDLY; n++) {
		alloc_fail_after = n;
		if (gatt_server_add(sb.server, &service, 1, old, &server_bed_events, &sb, &app,
		                    &error) == 0)
			break;
		alloc_fail_after = -1;
		gatt_server_update(sb.server, server_bed_local(&sb, 0x7b));
		bed_play(&sb.peers[0], __func__, "> 1b 7b 00 78; < 0a 7c 00; > 0b 01 00");
	}
	alloc_fail_after = -1;
	assert_true(n > 2 && n < HARDLY);
	bed_play(&sb.peers[0], __func__, "< 0a 7b 00; > 01 0a 7b 00 01");
	server_bed_close(&sb);
}

/* No memory for the bond: nothing is kept, until it is asked for again. None to restore: subscribe again. */
static void bonds_without_memory(void **state)
{
	start(23);
	alloc_fail_after = 0;
	server_bed_secure(&sb, 0, 2, 16, true);
	assert_int_equal(alloc_fail_after, -1);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 00 00; < 12 32 00 01 00; > 13");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	alloc_fail_after = 0;
	server_bed_secure(&sb, 0, 2, 16, true);
	assert_int_equal(alloc_fail_after, -1);
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 00 00; < 12 32 00 01 00; > 13");
	server_bed_close(&sb);
}

static unsigned int sends_failing;

ssize_t __real_send(int fd, const void *buf, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
	if (sends_failing == 0 || fd != att_fd(sb.peers[0].att)) /* the peer's own go */
		return __real_send(fd, buf, len, flags);
	sends_failing--;
	errno = ENOBUFS;
	return -1;
}

static int confirmed;

static void on_confirmed(struct op *op, int res)
{
	assert_int_equal(res, 0);
	confirmed++;
}

/* It has no buffer for this moment: what was to be sent goes a little later, and nothing is lost or asked for all the time. */
static void a_kernel_without_memory(void **state)
{
	struct gatt_indication ind = {0};

	start(23);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13; < 12 38 00 02 00; > 13");
	sends_failing = 4;
	bed_play(&sb.peers[0], __func__, "< 0a 22 00; =");
	assert_true(sends_failing >= 2);
	bed_play(&sb.peers[0], __func__, "~ 1000; > 0b 01 02 03");
	assert_int_equal(sends_failing, 0);

	sends_failing = 2;
	gatt_server_update(sb.server, server_bed_local(&sb, H_TELL));
	bed_play(&sb.peers[0], __func__, "=; ~ 1000; > 1b 31 00 10 11");
	sends_failing = 2;
	gatt_server_update(sb.server, server_bed_local(&sb, H_INDICATE));
	bed_play(&sb.peers[0], __func__, "=; ~ 1000; > 1d 37 00 69; < 1e");

	op_init(&ind.op, sb.loop, on_confirmed);
	sends_failing = 2;
	assert_int_equal(gatt_server_indicate(sb.links[0], server_bed_local(&sb, H_INDICATE), NULL,
	                                      0, &ind, 0, NULL),
	                 0);
	bed_play(&sb.peers[0], __func__, "=; ~ 1000; > 1d 37 00 69; < 1e; =");
	assert_int_equal(confirmed, 1);
	sends_failing = 2;
	bed_play(&sb.peers[0], __func__, "< 1d 22 00 01; =; ~ 1000; > 1e");
	server_bed_close(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_for_what_happens_all_the_time),
		cmocka_unit_test(requests_without_memory),
		cmocka_unit_test(execution_without_memory),
		cmocka_unit_test(calls_without_memory),
		cmocka_unit_test(a_server_without_memory),
		cmocka_unit_test(registering_without_memory),
		cmocka_unit_test(bonds_without_memory),
		cmocka_unit_test(a_kernel_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
