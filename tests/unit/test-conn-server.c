/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A link and the server of its adapter: from the first PDU on, with the security the kernel tells of, to the end. */
#include "aiobled/adapter.h"

#include "aiobled/conn.h"
#include "aiobled/gatt_server.h"
#include "aiobled/mgmt_pdu.h"

#include "test.h"
#include "world.h"

/* Handles: our own services end at 0x0d. */
#define SECRET      0x10
#define SECRET_CCCD 0x11

static struct conn *last;
static struct gatt_server *server;
static char story[256];

static void on_added(struct adapter *adapter, struct conn *conn, void *data)
{
	last = conn;
	strcat(story, "c");
}

static void on_written(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
                       const uint8_t *value, size_t len, void *data)
{
	struct conn *conn = gatt_link_data(link);

	assert_ptr_equal(conn_gatt_link(conn), link);
	strcat(story, "w");
}

static void on_subscribed(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
                          uint16_t cccd, void *data)
{
	struct conn *conn = gatt_link_data(link);

	assert_int_equal(conn_handle(conn), 0x40);
	strcat(story, cccd ? "+" : "-");
}

static void told(const char *what)
{
	assert_string_equal(story, what);
	story[0] = '\0';
}

static int setup(void **state)
{
	static const struct gatt_app_events app_events = {.written = on_written,
	                                                  .subscribed = on_subscribed};
	static const struct adapter_events events = {.conn_added = on_added};
	const struct gatt_def_characteristic chr = {.value = {.uuid = UUID16_INIT(0xa101),
	                                                      .initial = (const uint8_t *)"s",
	                                                      .initial_len = 1,
	                                                      .read = true,
	                                                      .write = true,
	                                                      .write_no_response = true,
	                                                      .notify = true,
	                                                      .read_level = GATT_LEVEL_ENCRYPTED,
	                                                      .write_level = GATT_LEVEL_ENCRYPTED,
	                                                      .key_size = 16}};
	const struct gatt_def_service service = {
		.uuid = UUID16_INIT(0xa001), .characteristics = &chr, .n_characteristics = 1};
	struct gatt_def_error error;
	struct gatt_app *app;

	last = NULL;
	story[0] = '\0';
	if (world_setup(state) < 0)
		return -1;
	world.config.device_name = "lamp";
	world.config.appearance = 0x05c0;
	world_ready();
	adapter_set_events(world.adapter, &events, NULL);
	server = adapter_gatt_server(world.adapter);
	return gatt_server_add(server, &service, 1, NULL, &app_events, NULL, &app, &error);
}

static struct addr identity(void)
{
	return (struct addr){{1, 2, 3, 4, 5, 0xc6}, ADDR_RANDOM};
}

static struct fake_link *up_as(struct addr peer)
{
	struct fake_link *l = fake_link_incoming(world.fk, 0, &peer, 0x40, "ham");

	world_advance(0);
	assert_non_null(last);
	assert_ptr_equal(gatt_link_data(conn_gatt_link(last)), last);
	return l;
}

static void down(struct fake_link *l)
{
	fake_link_drop(l, 0x13);
	world_advance(100);
	assert_null(gatt_server_next_link(server, NULL));
	last = NULL;
}

static void exchange(struct fake_link *l, const char *ask, size_t ask_len, const char *answer,
                     size_t answer_len)
{
	uint8_t got[64];
	ssize_t n;

	fake_link_send(l, ask, ask_len);
	world_advance(0);
	n = fake_link_recv(l, got, sizeof(got));
	assert_int_equal(n, answer_len);
	assert_memory_equal(got, answer, answer_len);
}

#define EXCHANGE(l, ask, answer) exchange(l, ask, sizeof(ask) - 1, answer, sizeof(answer) - 1)

static void encrypt(struct fake_link *l, uint8_t key_size)
{
	fake_link_encrypt(l, 2, key_size);
	world_advance(100);
}

/* The request is there before we know that there is a link. */
static void from_the_first_pdu_on(void **state)
{
	struct addr peer = identity();
	struct fake_link *l = fake_link_incoming(world.fk, 0, &peer, 0x40, "");
	uint8_t got[8];

	fake_link_tell(l, "a");
	fake_link_send(l, "\x0a\x03\x00", 3);
	fake_link_tell(l, "hm");
	world_advance(1000);
	assert_non_null(last);
	assert_int_equal(fake_link_recv(l, got, sizeof(got)), 5);
	assert_memory_equal(got, "\x0blamp", 5);
	EXCHANGE(l, "\x0a\x05\x00", "\x0b\xc0\x05");
}

static void what_the_kernel_says_counts(void **state)
{
	struct fake_link *l = up_as(identity());

	EXCHANGE(l, "\x0a\x10\x00", "\x01\x0a\x10\x00\x05");
	EXCHANGE(l, "\x12\x11\x00\x01\x00", "\x01\x12\x11\x00\x05");
	encrypt(l, 7);
	EXCHANGE(l, "\x0a\x10\x00", "\x01\x0a\x10\x00\x0c");
	encrypt(l, 16);
	EXCHANGE(l, "\x0a\x10\x00", "\x0bs");
	EXCHANGE(l, "\x12\x10\x00\x31", "\x13");
	EXCHANGE(l, "\x12\x11\x00\x01\x00", "\x13");
	told("cw+");
	down(l);
	told("-");
}

/* The request is read in the same pass as the controller's word: it was sent under the encryption. */
static void the_first_request_under_encryption(void **state)
{
	struct fake_link *l = up_as(identity());

	fake_link_encrypt(l, 2, 16);
	EXCHANGE(l, "\x0a\x10\x00", "\x0bs");
	down(l);
	l = up_as(identity());
	fake_link_encrypt(l, 2, 16);
	fake_link_send(l, "\x52\x10\x00\x32", 4);
	EXCHANGE(l, "\x0a\x10\x00", "\x0b\x32");
	down(l);
	l = up_as(identity());
	fake_link_encrypt(l, 2, 7);
	EXCHANGE(l, "\x0a\x10\x00", "\x01\x0a\x10\x00\x0c");
	assert_int_equal(gatt_server_stats(server)->refused, 1);
	down(l);
}

static void what_bonded_peers_configured_comes_back(void **state)
{
	struct fake_link *l = up_as(identity());

	fake_link_ask(l, true);
	encrypt(l, 16);
	fake_link_key(l, true);
	world_advance(0);
	EXCHANGE(l, "\x12\x11\x00\x01\x00", "\x13");
	down(l);
	told("c+-");
	l = up_as(identity());
	EXCHANGE(l, "\x0a\x10\x00", "\x01\x0a\x10\x00\x0f"); /* it has a key and does not use it */
	EXCHANGE(l, "\x0a\x11\x00", "\x0b\x00\x00");
	encrypt(l, 16);
	told("c+");
	EXCHANGE(l, "\x0a\x11\x00", "\x0b\x01\x00");
	down(l);
	told("-");
}

/* Somebody else with the same address: what the first one configured is not his. */
static void a_new_key_is_a_new_peer(void **state)
{
	struct fake_link *l = up_as(identity());

	fake_link_ask(l, true);
	encrypt(l, 16);
	fake_link_key(l, true);
	world_advance(0);
	EXCHANGE(l, "\x12\x11\x00\x01\x00", "\x13");
	down(l);
	story[0] = '\0';
	l = up_as(identity());
	fake_link_ask(l, true);
	fake_link_key(l, true);
	encrypt(l, 16);
	told("c");
	EXCHANGE(l, "\x0a\x11\x00", "\x0b\x00\x00");
	EXCHANGE(l, "\x12\x11\x00\x01\x00", "\x13");
	down(l);
	l = up_as(identity());
	encrypt(l, 16);
	told("+-c+");
}

/* Its address is a private one, and the identity comes with the keys: on the next link it is known by that. */
static void kept_by_identity(void **state)
{
	struct addr private = {{9, 9, 9, 9, 9, 0x49}, ADDR_RANDOM}, id = identity();
	struct fake_link *l = up_as(private);

	fake_link_ask(l, true);
	encrypt(l, 16);
	fake_link_identify(l, &id);
	fake_link_key(l, true);
	world_advance(0);
	EXCHANGE(l, "\x12\x11\x00\x01\x00", "\x13");
	down(l);
	story[0] = '\0';
	l = up_as(identity());
	encrypt(l, 16);
	told("c+");
}

/* Encrypted before we have the channel: applications hear of the link first, then of its subscriptions. */
static void encrypted_from_the_first(void **state)
{
	struct fake_link *l = up_as(identity());
	struct addr peer = identity();

	fake_link_ask(l, true);
	encrypt(l, 16);
	fake_link_key(l, true);
	world_advance(0);
	EXCHANGE(l, "\x12\x11\x00\x01\x00", "\x13");
	down(l);
	told("c+-");
	l = fake_link_incoming(world.fk, 0, &peer, 0x40, "");
	l->level = 2;
	l->key_size = 16;
	fake_link_tell(l, "ham");
	world_advance(0);
	told("c+");
	EXCHANGE(l, "\x0a\x11\x00", "\x0b\x01\x00");
}

static void asked_and_gone(void **state)
{
	struct fake_link *l = up_as(identity());

	EXCHANGE(l, "\x0a\x03\x00", "\x0blamp");
	fake_link_send(l, "\x0a\x03\x00", 3);
	fake_link_drop(l, 0x08); /* asked, and gone before the answer */
	world_advance(100);
	assert_ptr_equal(adapter_gatt_server(world.adapter), server);
	l = up_as(identity());
	EXCHANGE(l, "\x0a\x03\x00", "\x0blamp");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(from_the_first_pdu_on),
		T(what_the_kernel_says_counts),
		T(the_first_request_under_encryption),
		T(what_bonded_peers_configured_comes_back),
		T(a_new_key_is_a_new_peer),
		T(kept_by_identity),
		T(encrypted_from_the_first),
		T(asked_and_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
