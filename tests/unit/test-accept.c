/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links that peers make, told by three sources in every order, against a fake kernel; time is virtual. */
#include "aiobled/adapter.h"

#include <poll.h>
#include <unistd.h>

#include "aiobled/att.h"
#include "aiobled/cleanup.h"
#include "aiobled/conn.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"

#include "test.h"
#include "world.h"

#define FACTS_MS   100  /* ACCEPT_FACTS_MS */
#define RETRY_MS   5000 /* ACCEPT_RETRY_MS */
#define WAITING    64   /* ACCEPTS_WAITING_MAX */
#define CHANNEL_MS 2350 /* ACL_CHANNEL_MS and seven intervals of 50 ms */
#define CONNS      512

static struct seen {
	struct conn *conn;
	struct conn_observer observer;
	bool down;
	uint8_t reason;
} seen[CONNS];
static unsigned int n_seen;
static bool end_at_once; /* conn_disconnect() inside conn_added() */

static void on_disconnected(struct conn *conn, struct conn_observer *observer)
{
	struct seen *s = container_of(observer, struct seen, observer);

	s->down = true;
	s->reason = conn_disconnect_reason(conn);
}

static void on_added(struct adapter *adapter, struct conn *conn, void *data)
{
	struct seen *s = &seen[n_seen++];

	assert_true(n_seen <= CONNS);
	*s = (struct seen){.conn = conn, .observer = {.disconnected = on_disconnected}};
	list_init(&s->observer.link);
	conn_observe(conn, &s->observer);
	if (end_at_once)
		assert_int_equal(conn_disconnect(conn, NULL, 0), 0);
}

static const struct adapter_events events = {.conn_added = on_added};

static struct addr peer_addr(unsigned int n)
{
	return (struct addr){{(uint8_t)n, (uint8_t)(n >> 8), 3, 4, 5, 0xc6}, ADDR_RANDOM};
}

static struct fake_link *incoming(unsigned int n, uint16_t handle, const char *order)
{
	struct addr peer = peer_addr(n);

	return fake_link_incoming(world.fk, 0, &peer, handle, order);
}

static struct adapter_stats stats(void)
{
	struct adapter_stats s;

	adapter_get_stats(world.adapter, &s);
	return s;
}

static void listen_to_adapter(void)
{
	assert_int_equal(adapter_state(world.adapter), ADAPTER_READY);
	adapter_set_events(world.adapter, &events, NULL);
}

static void ready(void)
{
	world_ready();
	listen_to_adapter();
}

static int setup(void **state)
{
	n_seen = 0;
	end_at_once = false;
	return world_setup(state);
}

/* The channel is the daemon's: it answers there. */
static void assert_answers(struct fake_link *l)
{
	static const uint8_t request[] = {ATT_MTU_REQ, 100, 0};
	uint8_t answer[8];

	fake_link_send(l, request, sizeof(request));
	world_advance(0);
	assert_int_equal(fake_link_recv(l, answer, sizeof(answer)), 3);
	assert_int_equal(answer[0], ATT_MTU_RSP);
}

static void assert_down(unsigned int i, uint8_t reason)
{
	assert_true(i < n_seen);
	assert_true(seen[i].down);
	assert_int_equal(seen[i].reason, reason);
}

static void assert_up(unsigned int i, uint16_t handle)
{
	assert_true(i < n_seen);
	assert_false(seen[i].down);
	assert_true(conn_is_up(seen[i].conn));
	assert_int_equal(conn_handle(seen[i].conn), handle);
}

/* --- wishes --- */

static struct connect_op wish;
static int wish_done, wish_res;

static void on_wish(struct op *op, int res)
{
	wish_done++;
	wish_res = res;
}

static void ask(unsigned int n, uint32_t timeout_ms)
{
	struct addr peer = peer_addr(n);

	op_init(&wish.op, world.loop, on_wish);
	wish_done = 0;
	assert_int_equal(
		connect_start(world.adapter, &peer, &CONNECT_PARAMS_DEFAULT, &wish, timeout_ms), 0);
}

static void want(unsigned int n, uint32_t timeout_ms)
{
	ask(n, timeout_ms);
	world_advance(0);
}

/* --- orders --- */

static const char *const orders[] = {
	"ham", "hma", "ahm", "amh", "mah", "mha", "ha", "ah", "am", "ma", "a",
};

static void every_order(void **state)
{
	ready();
	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		struct fake_link *l = incoming(i, (uint16_t)(0x40 + i), "");
		struct addr peer = peer_addr(i);
		bool facts = false, channel = false;

		for (const char *o = orders[i]; *o; o++) {
			fake_link_tell(l, (const char[]){*o, '\0'});
			world_advance(0);
			facts |= *o == 'h';
			channel |= *o == 'a';
			assert_int_equal(n_seen, i + (facts && channel));
		}
		world_advance(facts ? 0 : FACTS_MS - 1);
		assert_int_equal(n_seen, i + facts);
		world_advance(1);
		assert_up(i, (uint16_t)(0x40 + i));
		assert_false(conn_is_central(seen[i].conn));
		assert_true(addr_equal(conn_addr(seen[i].conn), &peer));
		assert_int_equal(conn_interval(seen[i].conn), facts ? 40 : 0);
		assert_int_equal(adapter_links_in_use(world.adapter), i + 1);
		assert_answers(l);
	}
	assert_int_equal(stats().accepts, ARRAY_SIZE(orders));
	assert_int_equal(stats().accept_failures, 0);
	assert_int_equal(stats().connects, 0);
	world_advance(60000); /* nobody holds them, and they stay */
	for (unsigned int i = 0; i < n_seen; i++)
		assert_up(i, (uint16_t)(0x40 + i));
}

static void in_one_go(void **state)
{
	ready();
	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		struct fake_link *l = incoming(i, (uint16_t)(0x40 + i), orders[i]);

		world_advance(FACTS_MS);
		assert_up(i, (uint16_t)(0x40 + i));
		fake_link_drop(l, 0x13);
		world_advance(100);
		assert_down(i, 0x13);
		assert_int_equal(adapter_links_in_use(world.adapter), 0);
	}
}

static void a_link_without_a_channel_is_only_counted(void **state)
{
	static const char *const rows[] = {"h", "hm", "mh"};

	ready();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_link *l = incoming(i, 0x40, rows[i]);

		world_advance(60000);
		assert_int_equal(n_seen, 0);
		assert_int_equal(adapter_links_in_use(world.adapter), 1);
		fake_link_drop(l, 0x08);
		world_advance(100);
		assert_int_equal(adapter_links_in_use(world.adapter), 0);
	}
	incoming(9, 0x40, "m"); /* mgmt alone: there will be no end of it either */
	world_advance(60000);
	assert_int_equal(n_seen, 0);
	assert_int_equal(adapter_links_in_use(world.adapter), 0);
}

/* The controller tells the private address it heard, the kernel knows whose it is. */
static void the_identity_behind_a_private_address(void **state)
{
	static const char *const rows[] = {"ha", "ah"};
	struct addr identity = peer_addr(7);

	ready();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_link *l = incoming(7, (uint16_t)(0x40 + i), "");

		for (const char *o = rows[i]; *o; o++) {
			l->peer.b[5] = *o == 'h' ? 0x46 : 0xc6;
			fake_link_tell(l, (const char[]){*o, '\0'});
			world_advance(0);
			l->peer.b[5] = 0xc6;
		}
		assert_up(i, (uint16_t)(0x40 + i));
		assert_true(addr_equal(conn_addr(seen[i].conn), &identity));
		fake_link_drop(l, 0x13);
		world_advance(100);
		assert_down(i, 0x13);
	}
}

/* --- short lives --- */

static void links_that_die_in_between(void **state)
{
	static const char *const rows[] = {"", "h", "a", "m", "ham"};

	ready();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t failures = stats().accept_failures;
		bool accepted = strchr(rows[i], 'a');
		struct fake_link *l = incoming(i, 0x40, rows[i]);

		fake_link_drop(l, 0x3e); /* nothing was read yet */
		world_advance(60000);
		for (unsigned int k = 0; k < n_seen; k++)
			assert_true(seen[k].down);
		assert_int_equal(adapter_links_in_use(world.adapter), 0);
		assert_int_equal(stats().accept_failures - failures, accepted);
	}
	assert_int_equal(n_seen, 0);
}

static void one_that_dies_while_it_waits(void **state)
{
	struct fake_link *l;

	ready();
	l = incoming(1, 0x40, "a");
	world_advance(FACTS_MS / 2);
	fake_link_drop(l, 0x13);
	world_advance(FACTS_MS);
	assert_int_equal(n_seen, 0);
	assert_int_equal(stats().accept_failures, 1);
	l = incoming(1, 0x40, "ha"); /* and it is not in the way of the next */
	world_advance(0);
	assert_up(0, 0x40);
}

static void an_aborted_channel_is_passed_over(void **state)
{
	ready();
	fake_accept_error(world.fk, -ECONNABORTED);
	incoming(1, 0x40, "ha");
	world_advance(0);
	fake_accept_error(world.fk, 0);
	incoming(2, 0x41, "ha");
	world_advance(0);
	assert_int_equal(n_seen, 1);
	assert_up(0, 0x41);
	assert_int_equal(stats().accept_failures, 1);
}

static void ended_by_us(void **state)
{
	ready();
	end_at_once = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		incoming(i, 0x40, orders[i]);
		world_advance(FACTS_MS + 100);
		assert_down(i, 0x16);
		assert_int_equal(adapter_links_in_use(world.adapter), 0);
	}
	assert_int_equal(fake_count(world.fk, MGMT_DISCONNECT, 0), ARRAY_SIZE(orders));
}

/* --- the same peer again --- */

static void again_with_the_same_handle(void **state)
{
	/* D: the end of the first is told; the raw channel keeps the order of D and h, at least */
	static const char *const rows[] = {"aDhm", "amDh", "Dahm", "Dhma", "mDah", "aD", "Da"};

	ready();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_link *old = incoming(1, 0x40, "ham"), *new;

		world_advance(0);
		assert_up(2 * i, 0x40);
		new = incoming(1, 0x40, "");
		for (const char *o = rows[i]; *o; o++) {
			if (*o == 'D')
				fake_link_drop(old, 0x13);
			else
				fake_link_tell(new, (const char[]){*o, '\0'});
			world_advance(0);
		}
		world_advance(strchr(rows[i], 'h') ? 0 : FACTS_MS);
		assert_up(2 * i + 1, 0x40);
		world_advance(100);
		assert_down(2 * i, 0x13);
		assert_answers(new);
		fake_link_drop(new, 0x08);
		world_advance(100);
		assert_down(2 * i + 1, 0x08);
	}
}

static void the_one_that_stays_is_the_peers(void **state)
{
	struct fake_link *old;

	ready();
	old = incoming(1, 0x40, "ham");
	world_advance(0);
	close(old->far);
	old->far = -1;
	incoming(1, 0x41, "ham");
	world_advance(0);
	want(1, 1000);
	assert_int_equal(wish_done, 1);
	assert_ptr_equal(wish.conn, seen[1].conn);
	assert_false(seen[0].down);
}

/* Who was about to get the first link gets the second. */
static void asked_for_while_it_is_replaced(void **state)
{
	struct fake_link *old;

	ready();
	old = incoming(1, 0x40, "ham");
	world_advance(0);
	ask(1, 10000);
	fake_link_drop(old, 0x13);
	incoming(1, 0x41, "ham");
	world_advance(0);
	assert_down(0, 0x13);
	assert_up(1, 0x41);
	assert_int_equal(wish_done, 1);
	assert_int_equal(wish_res, 0);
	assert_ptr_equal(wish.conn, seen[1].conn);
}

static void again_while_the_first_is_going_down(void **state)
{
	static const char *const rows[] = {"ham", "amh", "mah", "a"};

	ready();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_link *old = incoming(1, 0x40, "ham"), *new;

		world_advance(0);
		close(old->far); /* the channel went; the controller has not said so yet */
		old->far = -1;
		new = incoming(1, 0x41, rows[i]);
		world_advance(FACTS_MS);
		assert_up(2 * i + 1, 0x41);
		world_advance(3000);
		assert_int_equal(old->state,
		                 FAKE_LINK_DOWN); /* a link without its channel is ended */
		assert_true(seen[2 * i].down);
		assert_up(2 * i + 1, 0x41);
		assert_answers(new);
		fake_link_drop(new, 0x13);
		world_advance(1000);
		assert_down(2 * i + 1, 0x13);
		assert_int_equal(adapter_links_in_use(world.adapter), 0);
	}
}

/* Nobody ever tells of the end of the first: mgmt would take the second for it. */
static void the_end_of_the_first_is_lost(void **state)
{
	struct fake_link *old, *new;

	ready();
	old = incoming(1, 0x40, "ham");
	world_advance(0);
	old->state = FAKE_LINK_DOWN;
	close(old->far);
	old->far = -1;
	new = incoming(1, 0x41, "ham");
	world_advance(5000);
	assert_true(seen[0].down);
	assert_up(1, 0x41);
	assert_answers(new);
	assert_int_equal(fake_count(world.fk, MGMT_DISCONNECT, 0), 0);
	assert_int_equal(adapter_links_in_use(world.adapter), 1);
}

static void a_handle_that_comes_back_without_a_word(void **state)
{
	struct fake_link *old, *new;

	ready();
	old = incoming(1, 0x40, "ham");
	world_advance(0);
	old->state = FAKE_LINK_DOWN;
	new = incoming(2, 0x40, "a");
	world_advance(FACTS_MS - 1);
	assert_up(0, 0x40);
	world_advance(1 + 100);
	assert_true(seen[0].down);
	assert_up(1, 0x40);
	assert_answers(new);
}

/* A link of somebody else's without a channel, and nothing was read of its end when its handle comes back. */
static void a_handle_of_a_link_without_a_channel(void **state)
{
	struct fake_link *old, *new;
	struct addr second = peer_addr(2);

	ready();
	old = incoming(1, 0x40, "h");
	world_advance(0);
	new = incoming(2, 0x40, "a");
	world_advance(0);
	assert_int_equal(n_seen, 0);
	fake_link_drop(old, 0x13);
	world_advance(0);
	fake_link_tell(new, "h");
	world_advance(1000);
	assert_up(0, 0x40);
	assert_true(addr_equal(conn_addr(seen[0].conn), &second));
	assert_answers(new);
}

/* --- links that we want, too --- */

static void a_pending_attempt_gets_the_link(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		struct fake_link *pending, *l;

		if (!i)
			ready();
		want(i, 60000);
		pending = fake_link(world.fk, fake_links(world.fk) - 1);
		assert_int_equal(pending->state, FAKE_LINK_PENDING);
		l = incoming(i, (uint16_t)(0x40 + i), orders[i]);
		world_advance(FACTS_MS);
		assert_int_equal(wish_done, 1);
		assert_int_equal(wish_res, 0);
		assert_ptr_equal(wish.conn, seen[i].conn);
		assert_false(conn_is_central(wish.conn));
		assert_true(fake_link_cancelled(pending));
		assert_answers(l);
	}
}

static void a_second_link_of_the_attempt_is_ended(void **state)
{
	struct fake_link *pending, *l;

	ready();
	want(1, 60000);
	pending = fake_link(world.fk, fake_links(world.fk) - 1);
	l = incoming(1, 0x40, "ham");
	world_advance(0);
	assert_int_equal(wish_done, 1);
	fake_link_up(pending, 0x41); /* the controller was faster than its cancellation */
	world_advance(1000);
	assert_int_equal(pending->state, FAKE_LINK_DOWN);
	assert_int_equal(l->state, FAKE_LINK_UP);
	assert_int_equal(n_seen, 1);
	assert_up(0, 0x40);
	assert_answers(l);
}

static void a_connected_peer_is_connected(void **state)
{
	ready();
	incoming(1, 0x40, "ham");
	world_advance(0);
	want(1, 1000);
	assert_int_equal(wish_done, 1);
	assert_int_equal(wish_res, 0);
	assert_ptr_equal(wish.conn, seen[0].conn);
	assert_int_equal(fake_links(world.fk), 1);
}

/* The channel is in the queue already, and the controller has told of nothing. */
static void the_kernel_knows_the_link_before_us(void **state)
{
	struct fake_link *l;

	ready();
	l = incoming(1, 0x40, "");
	fake_connect_error(world.fk, -EBUSY);
	want(1, 5000);
	world_advance(200);
	assert_int_equal(wish_done, 0);
	fake_link_tell(l, "ah");
	world_advance(0);
	assert_int_equal(wish_done, 1);
	assert_int_equal(wish_res, 0);
	assert_ptr_equal(wish.conn, seen[0].conn);
}

static void an_attempt_for_another_peer_goes_on(void **state)
{
	struct fake_link *l;

	ready();
	want(2, 60000);
	l = incoming(1, 0x40, "ham");
	world_advance(0);
	fake_link_drop(l, 0x13);
	world_advance(1000);
	assert_int_equal(wish_done, 0);
	fake_link_up(fake_link(world.fk, 0), 0x41);
	world_advance(1000);
	assert_int_equal(wish_done, 1);
	assert_int_equal(wish_res, 0);
	assert_true(conn_is_central(wish.conn));
}

/* An incoming link of the peer that breaks at once says nothing about the attempt. */
static void a_link_without_a_channel_does_not_disturb_the_attempt(void **state)
{
	struct fake_link *pending, *l;

	ready();
	want(1, 60000);
	pending = fake_link(world.fk, 0);
	l = incoming(1, 0x40, "h");
	world_advance(0);
	fake_link_drop(l, 0x05);
	world_advance(100);
	fake_link_fail(pending, -ECONNREFUSED,
	               0); /* the reason of the other link is not its reason */
	world_advance(1000);
	assert_int_equal(wish_done, 0);
	pending = fake_link(world.fk, fake_links(world.fk) - 1);
	fake_link_up(pending, 0x41);
	world_advance(1000);
	assert_int_equal(wish_done, 1);
	assert_int_equal(wish_res, 0);
	assert_int_equal(conn_handle(wish.conn), 0x41);
	assert_int_equal(stats().connect_retries, 0);
}

/* Without its own channel, a link of ours that came too late is offered to the listener, too. */
static void a_late_link_of_ours_is_not_taken(void **state)
{
	static const char *const rows[] = {"ha", "ah"};

	ready();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_link *l;

		want(1, 10);
		world_advance(10);
		assert_int_equal(wish_res, -ETIMEDOUT);
		l = incoming(1, 0x40, "");
		l->incoming = false;
		for (const char *o = rows[i]; *o; o++) {
			fake_link_tell(l, (const char[]){*o, '\0'});
			world_advance(0);
		}
		world_advance(1000);
		assert_int_equal(n_seen, 0);
		assert_int_equal(l->state, FAKE_LINK_DOWN);
		assert_int_equal(adapter_links_in_use(world.adapter), 0);
	}
}

/* Another program connected to a peer without asking for the channel. */
static void somebody_elses_link(void **state)
{
	struct fake_link *l;

	ready();
	l = incoming(1, 0x40, "");
	l->incoming = false;
	fake_link_tell(l, "hma");
	world_advance(0);
	assert_up(0, 0x40);
	assert_true(conn_is_central(seen[0].conn));
	assert_answers(l);
}

/* --- how many --- */

static void one_link_too_many_is_ended(void **state)
{
	world.config.links_max = 2;
	ready();
	incoming(100, 0x30, "ham");
	incoming(101, 0x31, "ham");
	world_advance(0);
	assert_int_equal(n_seen, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		struct fake_link *l = incoming(i, 0x40, orders[i]);

		world_advance(1000);
		assert_int_equal(n_seen, 2);
		assert_int_equal(l->state, FAKE_LINK_DOWN);
		assert_int_equal(adapter_links_in_use(world.adapter), 2);
		assert_true(stats().accept_failures > i);
	}
	fake_link_drop(fake_link(world.fk, 0), 0x13);
	world_advance(100);
	incoming(1, 0x40, "ham");
	world_advance(1000);
	assert_int_equal(n_seen, 3);
	assert_up(2, 0x40);
}

static void it_may_take_the_place_of_an_attempt(void **state)
{
	world.config.links_max = 1;
	ready();
	want(1, 60000);
	incoming(2, 0x40, "ham");
	world_advance(1000);
	assert_up(0, 0x40);
	assert_int_equal(wish_done, 1);
	assert_int_equal(wish_res, RES_HCI(HCIP_STATUS_CONNECTION_LIMIT));
}

static void a_flood_of_channels(void **state)
{
	unsigned int open = 0;

	ready();
	for (unsigned int i = 0; i < 300; i++)
		incoming(i, (uint16_t)i, "a");
	world_advance(0);
	for (unsigned int i = 0; i < 300; i++)
		open += !fake_link_cancelled(fake_link(world.fk, i));
	assert_int_equal(open, WAITING);
	assert_int_equal(stats().accept_failures, 300 - WAITING);
	world_advance(FACTS_MS);
	assert_int_equal(n_seen, WAITING);
}

static void a_flood_of_links(void **state)
{
	ready();
	for (unsigned int i = 0; i < 400; i++) {
		incoming(i, (uint16_t)i, i % 2 ? "ham" : "hma");
		if (i % 20 == 0)
			world_advance(0);
	}
	world_advance(FACTS_MS);
	assert_int_equal(n_seen, 256); /* ACLS_MAX */
	assert_int_equal(stats().accepts, 256);
	assert_int_equal(stats().accept_failures, 400 - 256);
}

/* --- the listener --- */

static void it_follows_the_adapter(void **state)
{
	ready();
	assert_true(fake_listens(world.fk, 0));
	for (unsigned int i = 0; i < 3; i++) {
		struct fake_link *l = incoming(i, 0x40, "a");

		world_advance(0);
		fake_adapter_power(world.fk, 0, false);
		world_advance(1000);
		assert_false(fake_listens(world.fk, 0));
		assert_int_equal(l->state, FAKE_LINK_DOWN);
		fake_adapter_power(world.fk, 0, true);
		world_advance(1000);
		assert_true(fake_listens(world.fk, 0));
	}
	assert_int_equal(n_seen, 0);
	incoming(1, 0x40, "ham");
	world_advance(0);
	assert_up(0, 0x40);
	fake_adapter_power(world.fk, 0, false);
	world_advance(1000);
	assert_down(0, 0x16);
}

static void it_comes_back_with_the_adapter(void **state)
{
	ready();
	incoming(1, 0x40, "ham");
	incoming(2, 0x41, "a");
	world_advance(0);
	fake_adapter_unplug(world.fk, 0);
	world_advance(1000);
	assert_down(0, 0x16);
	fake_adapter_plug(world.fk, 0, &healthy);
	world_advance(1000);
	listen_to_adapter();
	assert_true(fake_listens(world.fk, 0));
	incoming(1, 0x40, "ham");
	world_advance(0);
	assert_up(1, 0x40);
}

static void it_listens_at_the_static_address(void **state)
{
	static const struct fake_controller nameless = {.extended = true};

	fake_adapter_plug(world.fk, 0, &nameless);
	assert_int_equal(world_start(), 0);
	listen_to_adapter();
	assert_int_equal(adapter_addr(world.adapter)->type, ADDR_RANDOM);
	assert_true(fake_listens(world.fk, 0));
	incoming(1, 0x40, "ham");
	world_advance(0);
	assert_up(0, 0x40);
}

static void it_is_tried_again(void **state)
{
	fake_listen_error(world.fk, -EACCES);
	ready(); /* an adapter that cannot listen is of use all the same */
	assert_false(fake_listens(world.fk, 0));
	world_advance(2 * RETRY_MS);
	assert_false(fake_listens(world.fk, 0));
	fake_listen_error(world.fk, 0);
	world_advance(RETRY_MS);
	assert_true(fake_listens(world.fk, 0));
	incoming(1, 0x40, "ham");
	world_advance(0);
	assert_up(0, 0x40);
}

static void not_while_the_adapter_is_off(void **state)
{
	fake_listen_error(world.fk, -EACCES);
	ready();
	fake_adapter_power(world.fk, 0, false);
	world_advance(1000);
	fake_listen_error(world.fk, 0);
	world_advance(4 * RETRY_MS);
	assert_false(fake_listens(world.fk, 0));
}

/* The queue is not lost, and nothing spins meanwhile. */
static void without_descriptors(void **state)
{
	ready();
	fake_accept_error(world.fk, -EMFILE);
	incoming(1, 0x40, "ham");
	incoming(2, 0x41, "ham");
	world_advance(RETRY_MS - 1);
	assert_int_equal(n_seen, 0);
	fake_accept_error(world.fk, 0);
	world_advance(1);
	assert_up(0, 0x40);
	assert_up(1, 0x41);
}

static void a_broken_listener_is_replaced(void **state)
{
	ready();
	fake_accept_error(world.fk, -EBADFD);
	incoming(1, 0x40, "ham");
	world_advance(0);
	assert_false(fake_listens(world.fk, 0));
	fake_accept_error(world.fk, 0);
	world_advance(RETRY_MS);
	assert_true(fake_listens(world.fk, 0));
	incoming(2, 0x41, "ham");
	world_advance(0);
	assert_int_equal(n_seen, 1);
	assert_up(0, 0x41);
}

/* The newest listener has the links: another program took one, the next is ours again. */
static void taken_by_another_program(void **state)
{
	const struct kernel *kernel = fake_kernel_table(world.fk);
	int theirs;

	ready();
	theirs = kernel->att_listen(kernel, adapter_addr(world.adapter));
	assert_true(theirs >= 0);
	incoming(1, 0x40, "ham");
	world_advance(CHANNEL_MS - 1);
	assert_int_equal(n_seen, 0);
	world_advance(1);
	incoming(2, 0x41, "ham");
	world_advance(0);
	assert_int_equal(n_seen, 1);
	assert_up(0, 0x41);
	close(theirs);
}

/* --- the end --- */

static int stopped;

static void on_stopped(void *data)
{
	stopped++;
}

static void the_daemon_stops(void **state)
{
	struct fake_link *a, *b, *late;

	ready();
	stopped = 0;
	a = incoming(1, 0x40, "ham");
	world_advance(0);
	b = incoming(2, 0x41, "a");
	world_advance(0);
	manager_stop(world.manager, on_stopped, NULL);
	assert_false(fake_listens(world.fk, 0));
	assert_true(fake_link_cancelled(b));
	late = incoming(3, 0x42, "ham");
	world_advance(1000);
	assert_int_equal(stopped, 1);
	assert_down(0, 0x16);
	assert_int_equal(a->state, FAKE_LINK_DOWN);
	assert_int_equal(late->far, -1);
	assert_int_equal(n_seen, 1);
}

static void freed_in_the_middle(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		if (i)
			world_setup(state);
		ready();
		(void)incoming(i, 0x40, orders[i]);
		if (i % 2)
			world_advance(0);
		if (i + 1 < ARRAY_SIZE(orders))
			world_teardown(state);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_order),
		T(in_one_go),
		T(a_link_without_a_channel_is_only_counted),
		T(the_identity_behind_a_private_address),
		T(links_that_die_in_between),
		T(one_that_dies_while_it_waits),
		T(an_aborted_channel_is_passed_over),
		T(ended_by_us),
		T(again_with_the_same_handle),
		T(again_while_the_first_is_going_down),
		T(the_one_that_stays_is_the_peers),
		T(asked_for_while_it_is_replaced),
		T(the_end_of_the_first_is_lost),
		T(a_handle_that_comes_back_without_a_word),
		T(a_handle_of_a_link_without_a_channel),
		T(a_pending_attempt_gets_the_link),
		T(a_second_link_of_the_attempt_is_ended),
		T(a_connected_peer_is_connected),
		T(the_kernel_knows_the_link_before_us),
		T(an_attempt_for_another_peer_goes_on),
		T(a_link_without_a_channel_does_not_disturb_the_attempt),
		T(a_late_link_of_ours_is_not_taken),
		T(somebody_elses_link),
		T(one_link_too_many_is_ended),
		T(it_may_take_the_place_of_an_attempt),
		T(a_flood_of_channels),
		T(a_flood_of_links),
		T(it_follows_the_adapter),
		T(it_comes_back_with_the_adapter),
		T(it_listens_at_the_static_address),
		T(it_is_tried_again),
		T(not_while_the_adapter_is_off),
		T(without_descriptors),
		T(a_broken_listener_is_replaced),
		T(taken_by_another_program),
		T(the_daemon_stops),
		T(freed_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
