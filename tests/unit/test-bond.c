/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Peers that pair: what the kernel asks, and who is known as bonded afterwards. Against a fake kernel; time is virtual. */
#include "aiobled/adapter.h"

#include "aiobled/cleanup.h"
#include "aiobled/conn.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/mgmt_pdu.h"

#include "test.h"
#include "world.h"

#define BONDS   64 /* BONDS_MAX */
#define ANSWERS 8  /* BOND_ANSWERS_MAX */

static struct conn *last;
static struct conn_observer observer;
static unsigned int changes;

static void on_changed(struct conn *conn, struct conn_observer *o)
{
	changes++;
}

static void on_added(struct adapter *adapter, struct conn *conn, void *data)
{
	last = conn;
	changes = 0;
	if (list_linked(&observer.link))
		return;
	conn_observe(conn, &observer);
}

static const struct adapter_events events = {.conn_added = on_added};

static int setup(void **state)
{
	last = NULL;
	observer = (struct conn_observer){.changed = on_changed};
	list_init(&observer.link);
	if (world_setup(state) < 0)
		return -1;
	world_ready();
	adapter_set_events(world.adapter, &events, NULL);
	return 0;
}

static struct addr peer_addr(unsigned int n)
{
	return (struct addr){{(uint8_t)n, (uint8_t)(n >> 8), 3, 4, 5, 0xc6}, ADDR_RANDOM};
}

static struct fake_link *up_as(const struct addr *peer)
{
	struct fake_link *l = fake_link_incoming(world.fk, 0, peer, 0x40, "ham");

	world_advance(0);
	assert_non_null(last);
	assert_true(addr_equal(conn_addr(last), peer));
	assert_false(conn_bonded(last));
	return l;
}

static struct fake_link *up(unsigned int n)
{
	struct addr peer = peer_addr(n);

	return up_as(&peer);
}

static void down(struct fake_link *l)
{
	fake_link_drop(l, 0x13);
	world_advance(100);
	last = NULL;
}

static void encrypt(struct fake_link *l)
{
	fake_link_encrypt(l, 2, 16);
	world_advance(100);
	assert_int_equal(conn_security_level(last), 2);
}

static void pair(struct fake_link *l)
{
	fake_link_ask(l, true);
	encrypt(l);
	fake_link_key(l, true);
	world_advance(0);
	assert_true(conn_bonded(last));
}

static struct adapter_stats stats(void)
{
	struct adapter_stats s;

	adapter_get_stats(world.adapter, &s);
	return s;
}

static void expect(unsigned int yes, unsigned int no, unsigned int no_passkey)
{
	world_advance(0);
	assert_int_equal(fake_count(world.fk, MGMT_CONFIRM_REPLY, 0), yes);
	assert_int_equal(fake_count(world.fk, MGMT_CONFIRM_NEG_REPLY, 0), no);
	assert_int_equal(fake_count(world.fk, MGMT_PASSKEY_NEG_REPLY, 0), no_passkey);
	assert_int_equal(stats().pairings_refused, no + no_passkey);
}

/* --- the adapter --- */

static void the_kernel_lets_peers_pair(void **state)
{
	uint32_t settings = fake_adapter_settings(world.fk, 0);

	assert_true(settings & MGMT_SETTING_BONDABLE);
	assert_true(settings & MGMT_SETTING_SC);
	assert_int_equal(fake_count(world.fk, MGMT_SET_IO_CAP, 0), 1);
}

/* --- questions --- */

static void just_works_is_accepted(void **state)
{
	struct fake_link *l = up(1);

	fake_link_ask(l, true);
	expect(1, 0, 0);
	fake_link_ask(l, true); /* and again: it is the peer's business */
	expect(2, 0, 0);
}

static void numbers_are_refused(void **state)
{
	struct fake_link *l = up(1);

	fake_link_ask(l, false);
	expect(0, 1, 0);
	fake_link_ask_passkey(l);
	expect(0, 1, 1);
	assert_true(conn_is_up(last));
}

static void nobody_pairs_without_a_link(void **state)
{
	struct fake_link *l = up(1);
	struct addr other = peer_addr(2);

	l->peer = other; /* whom it asks for is somebody else */
	fake_link_ask(l, true);
	expect(0, 1, 0);
}

/* The question may come before the channel, and before everything. */
static void a_link_without_a_channel_is_a_link(void **state)
{
	struct addr peer = peer_addr(3);
	struct fake_link *l = fake_link_incoming(world.fk, 0, &peer, 0x40, "h");

	world_advance(0);
	fake_link_ask(l, true);
	expect(1, 0, 0);
}

static void known_to_the_kernel_by_its_identity(void **state)
{
	struct addr peer = peer_addr(3);
	struct fake_link *l = fake_link_incoming(world.fk, 0, &peer, 0x40, "");

	l->peer.b[5] = 0x46;
	fake_link_tell(l, "h");
	l->peer = peer;
	world_advance(0);
	fake_link_ask(l, true);
	expect(1, 0, 0);
}

static void questions_without_answers_are_counted(void **state)
{
	static const struct fake_rule silent =
		FAKE_RULE(MGMT_CONFIRM_REPLY, FAKE_ANY, 0, FAKE_SILENT);
	struct fake_link *l = up(1);

	fake_rule(world.fk, &silent);
	for (int i = 0; i < 2 * ANSWERS; i++)
		fake_link_ask(l, true);
	world_advance(0);
	assert_int_equal(stats().pairings_refused, ANSWERS);
	world_advance(60000);
	fake_rules_clear(world.fk);
	fake_link_ask(l, true);
	world_advance(0);
	assert_int_equal(stats().pairings_refused, ANSWERS);
}

static void events_that_are_cut_off(void **state)
{
	static const uint16_t codes[] = {MGMT_EV_USER_CONFIRM,    MGMT_EV_PASSKEY_REQUEST,
	                                 MGMT_EV_NEW_LTK,         MGMT_EV_NEW_IRK,
	                                 MGMT_EV_DEVICE_UNPAIRED, MGMT_EV_AUTH_FAILED};
	static const uint8_t zero[6];
	uint64_t before = stats().events_malformed;

	up(1);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		fake_mgmt_event(world.fk, codes[i], 0, zero, sizeof(zero));
	expect(0, 0, 0);
	assert_int_equal(stats().events_malformed - before, ARRAY_SIZE(codes));
}

/* --- who is bonded --- */

static void in_either_order(void **state)
{
	struct fake_link *l = up(1);

	encrypt(l);
	assert_false(conn_bonded(last));
	changes = 0;
	fake_link_key(l, true);
	world_advance(0);
	assert_true(conn_bonded(last));
	assert_int_equal(changes, 1);
	down(l);

	l = up(2);
	fake_link_key(l, true);
	world_advance(0);
	assert_false(conn_bonded(last)); /* not as long as nothing is encrypted */
	encrypt(l);
	assert_true(conn_bonded(last));
	assert_int_equal(stats().new_keys, 2);
}

static void the_next_link_is_bonded_once_it_is_encrypted(void **state)
{
	struct fake_link *l = up(1);

	pair(l);
	down(l);
	l = up(2);
	encrypt(l);
	assert_false(conn_bonded(last)); /* another peer */
	down(l);
	fake_adapter_power(world.fk, 0, false);
	world_advance(1000);
	fake_adapter_power(world.fk, 0, true); /* the kernel keeps its keys */
	world_advance(1000);
	l = up(1);
	encrypt(l);
	assert_true(conn_bonded(last));
	assert_int_equal(conn_key_size(last), 16);
}

static void not_after_the_adapter_was_unplugged(void **state)
{
	struct fake_link *l = up(1);

	pair(l);
	fake_adapter_unplug(world.fk, 0);
	world_advance(1000);
	fake_adapter_plug(world.fk, 0, &healthy);
	world_advance(1000);
	adapter_set_events(world.adapter, &events, NULL);
	l = up(1);
	encrypt(l);
	assert_false(conn_bonded(last));
}

static void a_key_for_once_replaces_the_bond(void **state)
{
	struct fake_link *l = up(1);

	fake_link_key(l, false);
	encrypt(l);
	assert_false(conn_bonded(last));
	fake_link_key(l, true);
	world_advance(0);
	assert_true(conn_bonded(last));
	fake_link_key(l, false);
	world_advance(0);
	assert_false(conn_bonded(last));
}

static void unpaired_by_another_program(void **state)
{
	struct fake_link *l = up(1);
	uint8_t addr7[7];

	pair(l);
	memcpy(addr7, l->peer.b, 6);
	addr7[6] = addr_type_to_mgmt(l->peer.type);
	changes = 0;
	fake_mgmt_event(world.fk, MGMT_EV_DEVICE_UNPAIRED, 0, addr7, sizeof(addr7));
	world_advance(0);
	assert_false(conn_bonded(last));
	assert_int_equal(changes, 1);
}

static void a_private_address_gets_its_identity(void **state)
{
	struct addr rpa = {{9, 9, 9, 9, 9, 0x49}, ADDR_RANDOM}, identity = peer_addr(1);
	struct fake_link *l = up_as(&rpa);

	assert_null(conn_identity(last));
	fake_link_ask(l, true);
	encrypt(l);
	changes = 0;
	fake_link_identify(l, &identity);
	world_advance(0);
	assert_int_equal(changes, 1);
	assert_true(addr_equal(conn_identity(last), &identity));
	assert_true(addr_equal(conn_addr(last), &rpa));
	fake_link_key(l, true); /* names the identity */
	world_advance(0);
	assert_true(conn_bonded(last));
	fake_link_ask(l, true); /* as does everything else */
	expect(2, 0, 0);
	assert_int_equal(conn_disconnect(last, NULL, 0), 0);
	world_advance(100);
	assert_int_equal(l->state, FAKE_LINK_DOWN);
	assert_int_equal(fake_count(world.fk, HCIP_DISCONNECT, 0), 0); /* mgmt knew whom we meant */
	last = NULL;

	l = up(1); /* the kernel resolves it from here on */
	assert_true(addr_equal(conn_identity(last), &identity));
	encrypt(l);
	assert_true(conn_bonded(last));
}

static struct connect_op wish;
static int wish_res;

static void on_wish(struct op *op, int res)
{
	wish_res = res;
}

static void it_is_found_by_both_names(void **state)
{
	struct addr rpa = {{9, 9, 9, 9, 9, 0x49}, ADDR_RANDOM}, identity = peer_addr(1);
	const struct addr *const names[] = {&rpa, &identity};

	fake_link_identify(up_as(&rpa), &identity);
	world_advance(0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		op_init(&wish.op, world.loop, on_wish);
		wish_res = 1;
		assert_int_equal(connect_start(world.adapter, names[i], &CONNECT_PARAMS_DEFAULT,
		                               &wish, 1000),
		                 0);
		world_advance(0);
		assert_int_equal(wish_res, 0);
		assert_ptr_equal(wish.conn, last);
	}
}

static void the_oldest_bonds_are_forgotten(void **state)
{
	struct fake_link *l;

	for (unsigned int i = 0; i < BONDS; i++) {
		l = up(i);
		pair(l);
		down(l);
	}
	l = up(0);
	for (int i = 0; i < 3; i++)
		pair(l); /* again: the newest now, and one all the same */
	down(l);
	l = up(BONDS);
	pair(l);
	down(l);
	l = up(2);
	encrypt(l);
	assert_true(conn_bonded(last));
	down(l);
	l = up(0);
	encrypt(l);
	assert_true(conn_bonded(last));
	down(l);
	l = up(1);
	encrypt(l);
	assert_false(conn_bonded(last));
}

/* Strangers that pair one after the other do not take the place of a peer that has a link. */
static void who_is_there_is_not_forgotten(void **state)
{
	struct fake_link *l = up(0);
	struct conn *first = last;

	pair(l);
	for (unsigned int i = 1; i <= BONDS; i++) {
		struct addr peer = peer_addr(i);

		l = fake_link_incoming(world.fk, 0, &peer, 0x41, "ham");
		world_advance(0);
		pair(l);
		down(l);
	}
	assert_true(conn_bonded(first));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_kernel_lets_peers_pair),
		T(just_works_is_accepted),
		T(numbers_are_refused),
		T(nobody_pairs_without_a_link),
		T(a_link_without_a_channel_is_a_link),
		T(known_to_the_kernel_by_its_identity),
		T(questions_without_answers_are_counted),
		T(events_that_are_cut_off),
		T(in_either_order),
		T(the_next_link_is_bonded_once_it_is_encrypted),
		T(not_after_the_adapter_was_unplugged),
		T(a_key_for_once_replaces_the_bond),
		T(unpaired_by_another_program),
		T(a_private_address_gets_its_identity),
		T(it_is_found_by_both_names),
		T(the_oldest_bonds_are_forgotten),
		T(who_is_there_is_not_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
