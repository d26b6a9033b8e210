/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/conn.h"

#include <sys/socket.h>

#include "../../src/core/links_priv.h"
#include "../support/bed.h"
#include "aiobled/att.h"
#include "aiobled/gatt_client.h"
#include "aiobled/result.h"
#include "test.h"

static struct bed *bed;
static struct addr peer;
static struct conn *conn;
static char story[256]; /* what happened, a letter each */

static void tell(char c)
{
	story[strlen(story)] = c;
}

static void told(const char *what)
{
	assert_int_equal(loop_settle(bed->loop), 0);
	assert_string_equal(story, what);
	memset(story, 0, sizeof(story));
}

/* --- observers --- */

struct watcher {
	struct conn_observer observer;
	char letter;
	uint8_t reason;
	uint64_t notifications;     /* that had come by then */
	struct watcher *unobserve;  /* inside both */
	struct connect_op *connect; /* started inside disconnected() */
	int connect_result;
};

static void on_changed(struct conn *c, struct conn_observer *observer)
{
	struct watcher *me = container_of(observer, struct watcher, observer);

	tell(me->letter);
	if (me->unobserve)
		conn_unobserve(&me->unobserve->observer);
}

static void on_disconnected(struct conn *c, struct conn_observer *observer)
{
	struct watcher *me = container_of(observer, struct watcher, observer);

	assert_false(conn_is_up(c));
	assert_false(list_linked(&observer->link));
	me->reason = conn_disconnect_reason(c);
	me->notifications = att_stats(conn_att(c))->notifications;
	tell((char)(me->letter - 'a' + 'A'));
	if (me->unobserve)
		conn_unobserve(&me->unobserve->observer);
	if (me->connect)
		me->connect_result = connect_start(conn_adapter(c), conn_addr(c),
		                                   &CONNECT_PARAMS_DEFAULT, me->connect, 10000);
}

static struct watcher a, b, d;

static void watch(struct watcher *me, char letter)
{
	*me = (struct watcher){
		.letter = letter,
		.observer = {.changed = on_changed, .disconnected = on_disconnected}};
	list_init(&me->observer.link);
	conn_observe(conn, &me->observer);
}

/* --- a link --- */

static struct connect_op c;

static void on_connected(struct op *op, int res)
{
	assert_int_equal(res, 0);
	conn = c.conn;
}

static void up(uint16_t handle)
{
	conn = NULL;
	op_init(&c.op, bed->loop, on_connected);
	assert_int_equal(connect_start(&bed->adapter, &peer, &CONNECT_PARAMS_DEFAULT, &c, 10000),
	                 0);
	bed_run(bed, 0);
	bed_link_up(bed, &peer, handle);
	assert_non_null(conn);
	bed->log[0] = '\0';
}

static int setup(void **state)
{
	bed = bed_new();
	bed_up(bed);
	peer = bed_addr(1);
	memset(story, 0, sizeof(story));
	up(0x40);
	watch(&a, 'a');
	return 0;
}

static int teardown(void **state)
{
	op_drop(&c.op);
	bed_free(bed);
	return 0;
}

static void channel_dies(void)
{
	bed_channel_die(bed_channel(bed, &peer));
	assert_int_equal(loop_settle(bed->loop), 0);
}

/* --- the end --- */

static void the_two_halves_of_the_end(void **state)
{
	bed_disconnected(bed, 0x40, 0x08);
	told("");
	assert_true(conn_is_up(conn)); /* its last PDUs may still be in the channel */
	assert_int_equal(conn_disconnect_reason(conn), 0);
	channel_dies();
	bed_run(bed, 0);
	told("A");
	assert_int_equal(a.reason, 0x08);
	assert_int_equal(bed->adapter.stats.disconnects, 1);

	up(0x41);
	watch(&a, 'a');
	channel_dies();
	bed_run(bed, CONN_REASON_MS - 1);
	told("");
	bed_disconnected(bed, 0x41, 0x22);
	bed_run(bed, 0);
	told("A");
	assert_int_equal(a.reason, 0x22);
}

static void last_pdus_are_delivered_first(void **state)
{
	static const uint8_t notification[] = {0x1b, 0x0b, 0x00, 0x2a};
	struct bed_channel *channel = bed_channel(bed, &peer);

	for (int i = 0; i < 200; i++)
		assert_int_equal(send(channel->fd, notification, sizeof(notification), 0),
		                 sizeof(notification));
	close(channel->fd);
	channel->fd = -1;
	bed_disconnected(bed, 0x40, 0x13); /* the controller's word may well be read first */
	bed_run(bed, 0);
	told("A");
	assert_int_equal(a.notifications, 200);
}

static void only_the_controllers_word(void **state)
{
	bed_disconnected(bed, 0x40, 0x08);
	bed_run(bed, CONN_DRAIN_MS - 1);
	told("");
	bed_run(bed, 1);
	told("A");
	assert_int_equal(a.reason, 0x08);
}

static void only_mgmts_word(void **state)
{
	static const struct {
		uint8_t mgmt, hci;
	} rows[] = {{1, 0x08}, {2, 0x16}, {3, 0x13}, {4, 0x05}, {5, 0x16}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bed_mgmt_disconnected(bed, &peer, rows[i].mgmt);
		channel_dies();
		bed_run(bed, ACL_VERIFY_MS);
		bed_said(bed, "list");
		bed_run(bed, 0);
		told("A");
		assert_int_equal(a.reason, rows[i].hci);
		assert_int_equal(links_count(&bed->adapter), 0);
		up((uint16_t)(0x41 + i));
		watch(&a, 'a');
	}
}

/* mgmt tells of the link before this one: the kernel is asked, and this one stays. */
static void mgmts_word_about_an_earlier_link(void **state)
{
	bed->connected[0] = peer;
	bed->n_connected = 1;
	bed_mgmt_disconnected(bed, &peer, 3);
	bed_run(bed, 1000);
	bed_said(bed, "list");
	told("");
	assert_true(conn_is_up(conn));
}

static void only_the_channel_dies(void **state)
{
	channel_dies();
	bed_run(bed, CONN_REASON_MS - 1);
	bed_said(bed, "");
	bed_run(bed, 1);
	bed_said(bed, "drop 01"); /* the link is of no use without it */
	bed_run(bed, 0);
	told("A");
	assert_int_equal(a.reason, 0x16);
	assert_int_equal(links_count(&bed->adapter), 0);
}

static void nobody_can_drop_it(void **state)
{
	bed->mute_drop = bed->mute_hci = true;
	channel_dies();
	bed_run(bed, CONN_REASON_MS + CONN_DROP_MS);
	told("A");
	assert_int_equal(a.reason, HCIP_STATUS_UNSPECIFIED);
}

static void adapter_goes_away(void **state)
{
	static const int rows[] = {-ENETDOWN, -ENODEV};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		watch(&b, 'b');
		if (i)
			channel_dies(); /* whatever has come already */
		bed_down(bed, ADAPTER_OFF, rows[i]);
		assert_string_equal(story, "AB");
		told("AB"); /* and nothing later */
		assert_int_equal(a.reason, 0x16);
		assert_int_equal(links_count(&bed->adapter), 0);
		bed_up(bed);
		up(0x40);
		watch(&a, 'a');
	}
}

static void on_read_cut_off(struct op *op, int res)
{
	assert_int_equal(res, -ENOTCONN);
	tell('g');
}

static void everybody_is_told_in_order(void **state)
{
	struct gatt_op g[3];

	watch(&b, 'b');
	watch(&d, 'd');
	for (size_t i = 0; i < ARRAY_SIZE(g); i++) {
		op_init(&g[i].op, bed->loop, on_read_cut_off);
		assert_int_equal(gatt_read(conn_gatt(conn), &g[i], (uint16_t)(3 + i), 0, 0), 0);
	}
	bed_disconnected(bed, 0x40, 0x13);
	channel_dies();
	bed_run(bed, 0);
	told("gggABD");
}

static void observers_may_go_inside(void **state)
{
	watch(&b, 'b');
	watch(&d, 'd');
	b.unobserve = &d;
	a.unobserve = &a; /* itself: is off already */
	bed_link_down(bed, &peer, 0x40, 0x13);
	bed_run(bed, 0);
	told("AB");
}

static void one_who_left_is_not_told(void **state)
{
	watch(&b, 'b');
	conn_unobserve(&a.observer);
	conn_unobserve(&a.observer); /* twice is once */
	bed_link_down(bed, &peer, 0x40, 0x13);
	bed_run(bed, 0);
	told("B");
}

/* The peer is wanted again at once: the new link waits until the old one is really gone. */
static void reconnect_inside_disconnected(void **state)
{
	a.connect = &c;
	bed_link_down(bed, &peer, 0x40, 0x13);
	bed_run(bed, 0);
	assert_int_equal(a.connect_result, 0);
	bed_said(bed, "load 01 connect 01");
	conn = NULL;
	bed_link_up(bed, &peer, 0x40); /* handles come back */
	assert_non_null(conn);
	assert_true(conn_is_up(conn));
	assert_int_equal(conn_handle(conn), 0x40);
	bed_run(bed, 10000);
	told("A");
	assert_true(conn_is_up(conn));
}

static void connect_while_the_end_is_half_known(void **state)
{
	static const char *const halves[] = {"channel", "controller"};
	struct connect_op again;

	for (size_t i = 0; i < ARRAY_SIZE(halves); i++) {
		op_init(&again.op, bed->loop, on_connected);
		if (i)
			channel_dies();
		else
			bed_disconnected(bed, 0x40, 0x13);
		assert_int_equal(
			connect_start(&bed->adapter, &peer, &CONNECT_PARAMS_DEFAULT, &again, 10000),
			0);
		bed_run(bed, 10);
		bed_said(bed, "");
		if (i)
			bed_disconnected(bed, 0x40, 0x13);
		else
			channel_dies();
		bed_run(bed, 10);
		bed_said(bed, "load 01 connect 01");
		op_drop(&again.op);
		bed_run(bed, 0);
		up(0x40);
		watch(&a, 'a');
	}
}

/* --- ending it --- */

static struct op waits[2];
static unsigned int done[2];
static int results[2];

static void on_wait_done(struct op *op, int res)
{
	size_t i = (size_t)(op - waits);

	done[i]++;
	results[i] = res;
	tell('w');
}

static void disconnect(size_t i, uint32_t timeout_ms)
{
	op_init(&waits[i], bed->loop, on_wait_done);
	done[i] = 0;
	assert_int_equal(conn_disconnect(conn, &waits[i], timeout_ms), 0);
	assert_int_equal(done[i], 0);
}

static void disconnect_by_mgmt(void **state)
{
	disconnect(0, 2000);
	bed_said(bed, "drop 01");
	bed_run(bed, 0);
	assert_int_equal(results[0], 0);
	told("wA"); /* who asked, then who watches */
	assert_int_equal(a.reason, 0x16);
	assert_int_equal(links_count(&bed->adapter), 0);
}

static void disconnect_twice_is_once(void **state)
{
	bed->mute_drop = true;
	disconnect(0, 2000);
	disconnect(1, 2000);
	assert_int_equal(conn_disconnect(conn, NULL, 0), 0);
	bed_said(bed, "drop 01");
	bed_link_down(bed, &peer, 0x40, 0x16);
	bed_run(bed, 0);
	told("wwA");
	assert_int_equal(results[0] | results[1], 0);
}

/* Old kernels do not send Device Disconnected to the one who asked, and the raw event may be lost. */
static void the_answer_of_mgmt_is_enough(void **state)
{
	bed->quiet_drop = true;
	disconnect(0, 2000);
	bed_run(bed, ACL_REASON_MS);
	told("wA");
	assert_int_equal(a.reason, 0x16);
}

static void disconnect_when_mgmt_refuses(void **state)
{
	bed->drop_status = 0x0a; /* Busy */
	disconnect(0, 2000);
	bed_said(bed, "drop 01 hci-drop 0040");
	channel_dies();
	bed_run(bed, 0);
	told("wA");
	assert_int_equal(results[0], 0);
}

static void disconnect_when_mgmt_is_silent(void **state)
{
	bed->mute_drop = true;
	disconnect(0, 2000);
	bed_run(bed, ACL_DROP_MS - 1);
	bed_said(bed, "drop 01");
	bed_run(bed, 1);
	bed_said(bed, "hci-drop 0040");
	channel_dies();
	bed_run(bed, 0);
	told("wA");
}

static void disconnect_that_nothing_helps(void **state)
{
	bed->mute_drop = bed->mute_hci = true;
	disconnect(0, 2000);
	bed_run(bed, 2000);
	assert_int_equal(results[0], -ETIMEDOUT);
	told("w");
	assert_true(conn_is_up(conn));
	bed_link_down(bed, &peer, 0x40, 0x08);
	bed_run(bed, 0);
	told("A");
}

static void disconnect_of_a_handle_the_controller_does_not_know(void **state)
{
	bed->drop_status = MGMT_STATUS_NOT_CONNECTED;
	bed->refuse_opcode = HCIP_DISCONNECT;
	bed->refuse_status = HCIP_STATUS_NO_CONNECTION;
	bed->refuse_count = 1;
	disconnect(0, 2000);
	bed_said(bed, "drop 01 hci-drop 0040");
	bed_run(bed, CONN_DRAIN_MS);
	told("wA");
	assert_int_equal(links_count(&bed->adapter), 0);
}

/* The controller refuses while mgmt still owes its answer: the next try goes by HCI alone. */
static void disconnect_again_while_mgmt_is_silent(void **state)
{
	bed->mute_drop = true;
	bed->refuse_opcode = HCIP_DISCONNECT;
	bed->refuse_status = HCIP_STATUS_DISALLOWED;
	bed->refuse_count = 1;
	disconnect(0, 1500);
	bed_run(bed, ACL_DROP_MS);
	bed_said(bed, "drop 01 hci-drop 0040");
	bed_run(bed, 500);
	assert_int_equal(results[0], -ETIMEDOUT);
	told("w");
	disconnect(1, 1000);
	bed_said(bed, "hci-drop 0040");
	channel_dies();
	bed_run(bed, 0);
	told("wA");
	assert_int_equal(results[1], 0);
}

static void disconnect_op_may_be_dropped(void **state)
{
	disconnect(0, 2000);
	op_drop(&waits[0]);
	bed_run(bed, 10);
	told("A");
}

static void disconnect_of_what_is_down(void **state)
{
	bed_disconnected(bed, 0x40, 0x13);
	disconnect(0, 2000);
	bed_said(bed, "");
	channel_dies();
	bed_run(bed, 0);
	told("wA");
	assert_int_equal(results[0], 0);
}

static struct conn *dead;

static void on_read_failed(struct op *op, int res)
{
	disconnect(0, 0); /* on the dead conn, while it is being buried */
	assert_false(conn_is_up(dead));
	tell('g');
}

static void disconnect_inside_the_end(void **state)
{
	struct gatt_op g;

	dead = conn;
	op_init(&g.op, bed->loop, on_read_failed);
	assert_int_equal(gatt_read(conn_gatt(conn), &g, 3, 0, 0), 0);
	bed_link_down(bed, &peer, 0x40, 0x13);
	bed_run(bed, 0);
	told("gAw");
	assert_int_equal(results[0], 0);
}

static void on_read_timed_out(struct op *op, int res)
{
	assert_int_equal(res, -ETIMEDOUT);
	tell('g');
}

/* Thirty seconds without an answer end the bearer, and a link without a bearer ends, too. */
static void the_thirty_seconds(void **state)
{
	struct gatt_op g;

	op_init(&g.op, bed->loop, on_read_timed_out);
	assert_int_equal(gatt_read(conn_gatt(conn), &g, 3, 0, 0), 0);
	bed_run(bed, ATT_TRANSACTION_TIMEOUT_MS - 1);
	bed_said(bed, "");
	assert_true(conn_is_up(conn));
	bed_run(bed, 1);
	bed_said(bed, "drop 01");
	bed_run(bed, 0);
	told("gA");
	assert_int_equal(a.reason, 0x16);
}

/* --- while it is up --- */

static void parameters_change(void **state)
{
	bed_conn_updated(bed, 0x40, 12, 3, 200);
	told("a");
	assert_int_equal(conn_interval(conn), 12);
	assert_int_equal(conn_latency(conn), 3);
	assert_int_equal(conn_supervision_timeout(conn), 200);
	bed_conn_updated(bed, 0x41, 6, 0, 100); /* another link's */
	told("");
	assert_int_equal(conn_interval(conn), 12);
}

static void security_changes(void **state)
{
	assert_int_equal(conn_security_level(conn), 1);
	bed_encrypted(bed, 0x40); /* the kernel has not read it yet */
	bed_run(bed, 5);
	told("");
	bed->level = 2;
	bed->key_size = 16;
	bed_run(bed, 100);
	told("a");
	assert_int_equal(conn_security_level(conn), 2);
	assert_int_equal(conn_key_size(conn), 16);
	bed_run(bed, 10000);
	told("");
}

static void mtu_changes(void **state)
{
	static const uint8_t request[] = {0x02, 0x05, 0x02};
	uint8_t answer[8];
	struct bed_channel *channel = bed_channel(bed, &peer);

	assert_int_equal(send(channel->fd, request, sizeof(request), 0), sizeof(request));
	told("a");
	assert_int_equal(att_mtu(conn_att(conn)), 517);
	assert_int_equal(recv(channel->fd, answer, sizeof(answer), 0), 3);
}

static void observers_may_come_and_go_when_it_changes(void **state)
{
	watch(&b, 'b');
	watch(&d, 'd');
	a.unobserve = &b;
	bed_conn_updated(bed, 0x40, 12, 3, 200);
	told("ad");
	a.unobserve = &a;
	bed_conn_updated(bed, 0x40, 13, 3, 200);
	told("ad");
	d.unobserve = &d;
	bed_conn_updated(bed, 0x40, 14, 3, 200);
	told("d");
	bed_conn_updated(bed, 0x40, 15, 3, 200);
	told("");
}

static void the_links_of_an_adapter(void **state)
{
	assert_ptr_equal(conn_from_link(conn_links(&bed->adapter)->next), conn);
	assert_ptr_equal(conn_adapter(conn), &bed->adapter);
	bed_link_down(bed, &peer, 0x40, 0x13);
	bed_run(bed, 0);
	assert_true(list_empty(conn_links(&bed->adapter)));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_two_halves_of_the_end),
		T(last_pdus_are_delivered_first),
		T(only_the_controllers_word),
		T(only_mgmts_word),
		T(mgmts_word_about_an_earlier_link),
		T(only_the_channel_dies),
		T(nobody_can_drop_it),
		T(adapter_goes_away),
		T(everybody_is_told_in_order),
		T(observers_may_go_inside),
		T(one_who_left_is_not_told),
		T(reconnect_inside_disconnected),
		T(connect_while_the_end_is_half_known),
		T(disconnect_by_mgmt),
		T(disconnect_twice_is_once),
		T(the_answer_of_mgmt_is_enough),
		T(disconnect_when_mgmt_refuses),
		T(disconnect_when_mgmt_is_silent),
		T(disconnect_that_nothing_helps),
		T(disconnect_of_a_handle_the_controller_does_not_know),
		T(disconnect_again_while_mgmt_is_silent),
		T(disconnect_op_may_be_dropped),
		T(disconnect_of_what_is_down),
		T(disconnect_inside_the_end),
		T(the_thirty_seconds),
		T(parameters_change),
		T(security_changes),
		T(mtu_changes),
		T(observers_may_come_and_go_when_it_changes),
		T(the_links_of_an_adapter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
