/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the client asks of memory: nothing for a notification, and an honest error wherever there is
 * none.
 */
#include "aiobled/gatt_client.h"

#include <sys/socket.h>

#include "../support/alloc.h"
#include "../support/model_db.h"
#include "test.h"

static struct loop *loop;
static struct att *att, *peer_att;
static struct gatt_client *gc;
static struct model_db db;
static struct gatt_op g;
static struct gatt_sub sub;
static int done, result, heard;

static void on_done(struct op *op, int res)
{
	done++;
	result = res;
}

static void on_value(uint16_t handle, const uint8_t *value, size_t len, bool indication, void *data)
{
	gatt_client_value(gc, handle, value, len, indication);
}

static void on_heard(struct gatt_sub *s, const uint8_t *value, size_t len, bool indication)
{
	heard++;
}

static void on_ended(struct gatt_sub *s, int err)
{
}

static void on_closed(int err, void *data)
{
	fail_msg("the bearer closed: %d", err);
}

static const struct att_events events = {.value = on_value, .closed = on_closed};

static void open_links(void)
{
	int fds[2];

	assert_int_equal(loop_new_virtual(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	                 0);
	assert_int_equal(att_new(loop, fds[0], &events, NULL, &att), 0);
	assert_int_equal(att_new(loop, fds[1], &events, NULL, &peer_att), 0);
	assert_int_equal(gatt_client_new(loop, att, &gc), 0);
	op_init(&g.op, loop, on_done);
	sub = (struct gatt_sub){.notify = true, .value = on_heard, .ended = on_ended};
	model_init(&db);
	model_add(&db, "P1800 C2a00 D2901 P180d I8-10 C2a37 D2902 S180f CL0001");
	att_set_server(peer_att, &model_server, &db);
	done = heard = 0;
}

static void close_links(void)
{
	gatt_client_fail_all(gc, -ENOTCONN);
	gc = gatt_client_free(gc);
	att_fail_all(att, -ENOTCONN);
	att = att_free(att);
	peer_att = att_free(peer_att);
	assert_int_equal(loop_settle(loop), 0);
	loop = loop_free(loop);
}

static int start_all(void)
{
	return gatt_discover_all(gc, &g, 0);
}

static int start_included(void)
{
	return gatt_discover_included(gc, &g, gatt_find_service(gc, 5), 0);
}

static int start_find(void)
{
	struct uuid u = uuid_from16(0x2a37);

	return gatt_find_by_uuid(gc, &g, &u, 0);
}

static int start_read(void)
{
	return gatt_read(gc, &g, 2, 0, 0);
}

static int start_write(void)
{
	return gatt_write(gc, &g, 3, "A", 1, 0);
}

static int start_command(void)
{
	return gatt_write_command(gc, &g, 3, "A", 1, 0);
}

static int start_long(void)
{
	static const uint8_t value[60];

	return gatt_write_long(gc, &g, 3, 0, value, sizeof(value), 0);
}

static int start_subscribe(void)
{
	return gatt_subscribe(gc, &g, &sub, gatt_find_characteristic(gc, 8), 0);
}

static const struct {
	const char *name;
	int (*start)(void);
	bool needs_database;
} kinds[] = {
	{"discover all", start_all, false},   {"discover all again", start_all, true},
	{"included", start_included, true},   {"find", start_find, false},
	{"read", start_read, false},          {"write", start_write, false},
	{"command", start_command, false},    {"long write", start_long, false},
	{"subscribe", start_subscribe, true},
};

/* Discover what is needed, without a failure; no descriptors, so that subscribing has to look. */
static void know_database(void)
{
	struct gatt_service *s;

	assert_int_equal(gatt_discover_services(gc, &g, NULL, 0), 0);
	assert_int_equal(loop_settle(loop), 0);
	list_for_each (s, gatt_services(gc), link) {
		assert_int_equal(gatt_discover_characteristics(gc, &g, s, NULL, 0), 0);
		assert_int_equal(loop_settle(loop), 0);
	}
	assert_int_equal(result, 0);
	done = 0;
}

/* Return: the allocation that was to fail was asked for. */
static bool run(size_t k, long fail_at)
{
	bool failed;
	int r;

	open_links();
	if (kinds[k].needs_database)
		know_database();
	alloc_fail_after = fail_at;
	r = kinds[k].start();
	assert_int_equal(done, 0);
	assert_int_equal(loop_settle(loop), 0);
	failed = alloc_fail_after < 0;
	alloc_fail_after = -1;
	if (r < 0 || failed)
		assert_int_equal(r < 0 ? r : result, failed ? -ENOMEM : 0);
	assert_int_equal(done, r < 0 ? 0 : 1);
	/* as if nothing had been */
	done = 0;
	assert_int_equal(start_all(), 0);
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(done, 1);
	assert_int_equal(result, 0);
	close_links();
	return failed;
}

static void every_allocation_may_fail(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		long n = 0;

		while (run(k, n))
			n++;
		assert_true(n > 0);
	}
}

static void notify(int n)
{
	static const uint8_t pdu[] = {ATT_NOTIFY, 8, 0, 1, 2, 3};

	for (int i = 0; i < n; i++)
		assert_int_equal(send(att_fd(peer_att), pdu, sizeof(pdu), MSG_DONTWAIT),
		                 sizeof(pdu));
	assert_int_equal(loop_settle(loop), 0);
}

static void notifications_allocate_nothing(void **state)
{
	unsigned long before;

	open_links();
	know_database();
	assert_int_equal(start_subscribe(), 0);
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(result, 0);
	notify(1);
	before = alloc_count;
	notify(100);
	assert_int_equal(alloc_count, before);
	assert_int_equal(heard, 101);
	close_links();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(notifications_allocate_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
