/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What peers configure, what is kept of it, and what they are told when the table changes. */
#include "aiobled/result.h"

#include "../support/server_bed.h"
#include "test.h"

static void start(struct server_bed *sb)
{
	server_bed_open(sb);
	server_bed_connect(sb, 0, 23);
}

static void configurations(void **state)
{
	static const struct {
		const char *name;
		uint8_t level;
		const char *script, *told;
	} rows[] = {
		{"notify", 1, "< 12 32 00 01 00; > 13; < 0a 32 00; > 0b 01 00",
	         "subscribed(0 0031 1)"},
		{"both", 1, "< 12 32 00 03 00; > 13; < 0a 32 00; > 0b 03 00",
	         "subscribed(0 0031 3)"},
		{"the same twice is told once", 1, "< 12 32 00 01 00; > 13; < 12 32 00 01 00; > 13",
	         "subscribed(0 0031 1)"},
		{"on and off", 1,
	         "< 12 32 00 01 00; > 13; < 12 32 00 00 00; > 13; < 0a 32 00; > 0b 00 00",
	         "subscribed(0 0031 1) subscribed(0 0031 0)"},
		{"off first", 1, "< 12 32 00 00 00; > 13", ""},
		{"bits it has no property for", 1,
	         "< 12 38 00 03 00; > 13; < 0a 38 00; > 0b 02 00; < 12 38 00 01 00; > 13; < 0a 38 "
	         "00; > 0b 00 00",
	         "subscribed(0 0037 2) subscribed(0 0037 0)"},
		{"all bits", 1, "< 12 32 00 ff ff; > 13; < 0a 32 00; > 0b 03 00",
	         "subscribed(0 0031 3)"},
		{"reserved bits alone", 1,
	         "< 12 32 00 00 ff; > 13; < 12 32 00 fc 00; > 13; < 0a 32 00; > 0b 00 00", ""},
		{"too short, too long", 1,
	         "< 12 32 00 01; > 01 12 32 00 0d; < 12 32 00 01 00 00; > 01 12 32 00 0d; < 12 32 "
	         "00; > 01 12 32 00 0d",
	         ""},
		{"by command", 1, "< 52 32 00 01 00; < 0a 32 00; > 0b 01 00",
	         "subscribed(0 0031 1)"},
		{"needs what reading needs", 1,
	         "< 12 35 00 01 00; > 01 12 35 00 05; < 0a 35 00; > 0b 00 00", ""},
		{"has what reading needs", 2, "< 12 35 00 01 00; > 13", "subscribed(0 0034 1)"},
		{"features: bits stay", 1,
	         "< 12 0b 00 01; > 13; < 0a 0b 00; > 0b 01; < 12 0b 00 05; > 13; < 12 0b 00 04; > "
	         "01 12 0b 00 13; < 0a 0b 00; > 0b 05",
	         ""},
		{"features: bits without a meaning", 1,
	         "< 12 0b 00 fc; > 13; < 0a 0b 00; > 0b 04; < 12 0b 00 ff ff ff; > 13; < 0a 0b 00; "
	         "> 0b 07",
	         ""},
		{"features: nothing", 1, "< 12 0b 00; > 01 12 0b 00 0d", ""},
		{"hash, Service Changed: not to be written, the latter not to be read", 1,
	         "< 12 0d 00 00; > 01 12 0d 00 03; < 12 08 00 00; > 01 12 08 00 03; < 0a 08 00; > "
	         "01 0a 08 00 02",
	         ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct server_bed sb;

		start(&sb);
		server_bed_secure(&sb, 0, rows[i].level, 16, false);
		bed_play(&sb.peers[0], rows[i].name, rows[i].script);
		if (strcmp(sb.log, rows[i].told) != 0)
			print_message("%s:\n", rows[i].name);
		server_bed_said(&sb, rows[i].told);
		server_bed_close(&sb);
	}
}

static void each_link_has_its_own(void **state)
{
	struct server_bed sb;

	start(&sb);
	server_bed_connect(&sb, 1, 23);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13; < 12 0b 00 01; > 13");
	bed_play(&sb.peers[1], __func__,
	         "< 0a 32 00; > 0b 00 00; < 0a 0b 00; > 0b 00; < 12 32 00 02 00; > 13");
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 01 00");
	assert_int_equal(gatt_link_cccd(sb.links[0], server_bed_local(&sb, H_TELL)), 1);
	assert_int_equal(gatt_link_cccd(sb.links[1], server_bed_local(&sb, H_TELL)), 2);
	assert_int_equal(gatt_link_cccd(sb.links[1], server_bed_local(&sb, H_PLAIN)), 0);
	sb.log[0] = '\0';
	server_bed_disconnect(&sb, 0);
	server_bed_said(&sb, "subscribed(0 0031 0)");
	server_bed_close(&sb);
}

/* GATT/SR/GAN/BV-01-C, GATT/SR/GAI/BV-01-C: without a bond nothing is kept. */
static void nothing_is_kept_without_a_bond(void **state)
{
	struct server_bed sb;

	start(&sb);
	server_bed_secure(&sb, 0, 2, 16, false);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13; < 12 0b 00 01; > 13");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 00 00");
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 00 00; < 0a 0b 00; > 0b 00");
	server_bed_close(&sb);
}

/* GATT/SR/GAN/BV-03-C, GATT/SR/GAI/BV-02-C: with one it is there again, but only for those who have the key. */
static void kept_for_bonded_peers(void **state)
{
	struct server_bed sb;

	start(&sb);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13");
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 12 38 00 02 00; > 13; < 12 0b 00 01; > 13");
	server_bed_disconnect(&sb, 0);
	server_bed_said(&sb, "subscribed(0 0031 1) subscribed(0 0037 2) subscribed(0 0031 0) "
	                     "subscribed(0 0037 0)");

	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 1, 0, true);
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 00 00; < 0a 0b 00; > 0b 00");
	server_bed_said(&sb, "");
	server_bed_secure(&sb, 0, 2, 16, true);
	server_bed_said(&sb, "subscribed(0 0031 1) subscribed(0 0037 2)");
	bed_play(&sb.peers[0], __func__,
	         "< 0a 32 00; > 0b 01 00; < 0a 38 00; > 0b 02 00; < 0a 0b 00; > 0b 01");
	server_bed_secure(&sb, 0, 2, 16, true);
	gatt_server_update(sb.server, server_bed_local(&sb, H_TELL));
	bed_play(&sb.peers[0], __func__, "> 1b 31 00 10 11; < 12 32 00 00 00; > 13");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	sb.log[0] = '\0';
	server_bed_secure(&sb, 0, 2, 16, true);
	server_bed_said(&sb, "subscribed(0 0037 2)");

	/* another peer is another peer */
	server_bed_connect(&sb, 1, 23);
	server_bed_secure(&sb, 1, 2, 16, true);
	bed_play(&sb.peers[1], __func__, "< 0a 38 00; > 0b 00 00");
	server_bed_close(&sb);
}

/* Written on this link before it was encrypted: newer than what was kept. */
static void the_newer_counts(void **state)
{
	struct server_bed sb;

	start(&sb);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13; < 12 38 00 02 00; > 13");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 02 00; > 13");
	sb.log[0] = '\0';
	server_bed_secure(&sb, 0, 2, 16, true);
	server_bed_said(&sb, "subscribed(0 0037 2)");
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 02 00");
	server_bed_close(&sb);
}

static void forgotten(void **state)
{
	struct addr identity = server_bed_identity(0), other = server_bed_identity(1);
	struct server_bed sb;

	start(&sb);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13");
	gatt_server_forget(sb.server, &other);
	server_bed_disconnect(&sb, 0);
	gatt_server_forget(sb.server, &identity);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 00 00; < 12 32 00 01 00; > 13");
	gatt_server_forget(sb.server,
	                   &identity); /* while it is here: what it has now stays until it goes */
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 01 00");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 00 00");
	server_bed_close(&sb);
}

/* The end of the old link comes after the new one was encrypted. */
static void two_links_of_one_peer(void **state)
{
	struct addr identity = server_bed_identity(0);
	struct server_bed sb;

	start(&sb);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13");
	server_bed_connect(&sb, 1, 23);
	gatt_link_set_identity(sb.links[1], &identity);
	server_bed_secure(&sb, 1, 2, 16, true);
	bed_play(&sb.peers[1], __func__, "< 0a 32 00; > 0b 00 00");
	server_bed_disconnect(&sb, 0);
	server_bed_said(&sb, "subscribed(0 0031 1) subscribed(0 0031 0) subscribed(1 0031 1)");
	server_bed_disconnect(&sb, 1);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 0a 32 00; > 0b 01 00");
	server_bed_close(&sb);
}

static void the_oldest_bond_makes_room(void **state)
{
	struct server_bed sb;

	start(&sb);
	for (int i = 0; i <= GATT_BONDS_MAX; i++) {
		struct addr identity = {{(uint8_t)i, 1}, ADDR_PUBLIC};

		if (!sb.links[0])
			server_bed_connect(&sb, 0, 23);
		gatt_link_set_identity(sb.links[0], &identity);
		server_bed_secure(&sb, 0, 2, 16, true);
		bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13");
		server_bed_disconnect(&sb, 0);
	}
	for (int i = 0; i < 3; i++) {
		struct addr identity = {{(uint8_t)(i == 2 ? GATT_BONDS_MAX : i), 1}, ADDR_PUBLIC};

		server_bed_connect(&sb, i, 23);
		gatt_link_set_identity(sb.links[i], &identity);
	}
	server_bed_secure(&sb, 1, 2, 16, true);
	server_bed_secure(&sb, 2, 2, 16, true);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], "the first", "< 0a 32 00; > 0b 00 00");
	bed_play(&sb.peers[1], "the second", "< 0a 32 00; > 0b 01 00");
	bed_play(&sb.peers[2], "the last", "< 0a 32 00; > 0b 01 00");
	server_bed_close(&sb);
}

/* --- the table changes --- */

#define SUBSCRIBE_CHANGED "< 12 09 00 02 00; > 13;"

static void service_changed(void **state)
{
	struct gatt_app *app;
	struct server_bed sb;

	start(&sb);
	server_bed_connect(&sb, 1, 23);
	bed_play(&sb.peers[0], __func__, SUBSCRIBE_CHANGED);
	app = server_bed_add(&sb, 1, NULL);
	bed_play(&sb.peers[0], __func__, "> 1d 08 00 79 00 7c 00; < 1e; < 0a 7b 00; > 0b 78");
	bed_play(&sb.peers[1], __func__, "=; < 0a 7b 00; > 0b 78");
	gatt_server_remove(app);
	bed_play(&sb.peers[0], __func__,
	         "> 1d 08 00 79 00 7c 00; < 1e; < 0a 7b 00; > 01 0a 7b 00 01");
	server_bed_close(&sb);
}

/* Several changes while the peer has not confirmed the first are told as one. */
static void changes_are_put_together(void **state)
{
	struct gatt_app *app[3];
	struct server_bed sb;

	start(&sb);
	bed_play(&sb.peers[0], __func__, SUBSCRIBE_CHANGED);
	for (int i = 0; i < 3; i++)
		app[i] = server_bed_add(&sb, 3, NULL);
	bed_play(&sb.peers[0], __func__,
	         "> 1d 08 00 79 00 7c 00; =; < 1e; > 1d 08 00 7d 00 84 00; < 1e");
	gatt_server_remove(app[0]);
	gatt_server_remove(app[2]);
	gatt_server_remove(app[1]);
	bed_play(&sb.peers[0], __func__, "> 1d 08 00 79 00 7c 00; < 12 09 00 00 00; > 13; < 1e; =");
	server_bed_close(&sb);
}

static void a_replaced_tree_of_the_same_shape(void **state)
{
	struct gatt_app *app;
	struct server_bed sb;

	start(&sb);
	bed_play(&sb.peers[0], __func__, SUBSCRIBE_CHANGED);
	app = server_bed_add(&sb, 1, NULL);
	bed_play(&sb.peers[0], __func__, "> 1d 08 00 79 00 7c 00; < 1e; < 12 7c 00 01 00; > 13");
	app = server_bed_add(&sb, 1, app);
	bed_play(&sb.peers[0], __func__, "=; < 0a 7c 00; > 0b 01 00");
	gatt_server_update(sb.server, server_bed_local(&sb, 0x7b));
	bed_play(&sb.peers[0], __func__, "> 1b 7b 00 78");
	app = server_bed_add(&sb, 3, app);
	bed_play(&sb.peers[0], __func__,
	         "> 1d 08 00 79 00 80 00; < 1e; < 0a 7c 00; > 01 0a 7c 00 01");
	server_bed_said(&sb, "subscribed(0 007b 1)");
	server_bed_close(&sb);
}

/* The same handles, but one of them lost a property: nobody can be subscribed to that. */
static void a_property_is_gone(void **state)
{
	struct gatt_def_characteristic chr[2] = {
		{.value = {.uuid = UUID16_INIT(0xa1f1),
	                   .handle = 0x101,
	                   .notify = true,
	                   .indicate = true}},
		{.value = {.uuid = UUID16_INIT(0xa1f2),
	                   .handle = 0x104,
	                   .notify = true,
	                   .indicate = true}},
	};
	const struct gatt_def_service service = {.uuid = UUID16_INIT(0xa0f1),
	                                         .handle = 0x100,
	                                         .characteristics = chr,
	                                         .n_characteristics = 2};
	struct gatt_def_error error = {0};
	struct gatt_app *app;
	struct server_bed sb;
	int r;

	start(&sb);
	assert_int_equal(gatt_server_add(sb.server, &service, 1, NULL, &server_bed_events, &sb,
	                                 &app, &error),
	                 0);
	bed_play(&sb.peers[0], __func__, "< 12 03 01 03 00; > 13; < 12 06 01 01 00; > 13");
	chr[0].value.indicate = false;
	chr[1].value.notify = false;
	r = gatt_server_add(sb.server, &service, 1, app, &server_bed_events, &sb, &app, &error);
	if (r < 0)
		fail_msg("%d: %s %s", r, error.key, error.text);
	bed_play(&sb.peers[0], __func__, "< 0a 03 01; > 0b 01 00; < 0a 06 01; > 0b 00 00");
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 12 06 01 02 00; > 13");
	server_bed_disconnect(&sb, 0);
	chr[0].value.indicate = chr[1].value.notify = true;
	chr[0].value.notify = chr[1].value.indicate = false;
	assert_int_equal(
		gatt_server_add(sb.server, &service, 1, app, &server_bed_events, &sb, &app, &error),
		0);
	server_bed_connect(&sb, 0, 23);
	sb.log[0] = '\0';
	server_bed_secure(&sb, 0, 2, 16, true);
	server_bed_said(&sb, "");
	bed_play(&sb.peers[0], "while it was away",
	         "< 0a 03 01; > 0b 00 00; < 0a 06 01; > 0b 00 00");
	server_bed_close(&sb);
}

/* A bonded peer that was away hears it when it is back and has shown its key. */
static void service_changed_for_those_who_were_away(void **state)
{
	struct server_bed sb;

	start(&sb);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, SUBSCRIBE_CHANGED);
	server_bed_disconnect(&sb, 0);
	(void)server_bed_add(&sb, 1, NULL);
	(void)server_bed_add(&sb, 3, NULL);
	server_bed_connect(&sb, 0, 23);
	bed_play(&sb.peers[0], __func__, "=");
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], "not confirmed", "> 1d 08 00 0e 00 15 00; =");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], "confirmed", "> 1d 08 00 0e 00 15 00; < 1e; =");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], "once", "=");
	server_bed_close(&sb);
}

/* Neither the peer's silence nor the end of its bearer is a confirmation. */
static void service_changed_without_a_confirmation(void **state)
{
	struct server_bed sb;

	start(&sb);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, SUBSCRIBE_CHANGED);
	(void)server_bed_add(&sb, 1, NULL);
	bed_play(&sb.peers[0], __func__, "> 1d 08 00 79 00 7c 00; ~ 30000");
	assert_int_equal(sb.peers[0].closed_count, 1);
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "> 1d 08 00 79 00 7c 00");
	att_fail_all(sb.peers[0].att, -ENOTCONN);
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "> 1d 08 00 79 00 7c 00; < 1e; =");
	server_bed_close(&sb);
}

/* The handle is another characteristic's when the peer is back: its subscription was not to that. */
static void another_characteristic_at_the_handle(void **state)
{
	struct gatt_def_characteristic chr = {
		.value = {.uuid = UUID16_INIT(0xa1ff), .notify = true}};
	struct gatt_def_service service = {
		.uuid = UUID16_INIT(0xa0ff), .characteristics = &chr, .n_characteristics = 1};
	struct gatt_app *app, *other;
	struct gatt_def_error error;
	struct server_bed sb;

	server_bed_open(&sb);
	app = server_bed_add(&sb, 1, NULL);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 12 11 00 01 00; > 13");
	server_bed_disconnect(&sb, 0);
	gatt_server_remove(app);
	assert_int_equal(gatt_server_add(sb.server, &service, 1, NULL, &server_bed_events, &sb,
	                                 &other, &error),
	                 0);
	sb.log[0] = '\0';
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 0a 11 00; > 0b 00 00");
	server_bed_said(&sb, "");
	server_bed_disconnect(&sb, 0);
	gatt_server_remove(other);
	(void)server_bed_add(&sb, 1, NULL);
	server_bed_close(&sb);
}

/* Batteries are all alike, but this one is somebody else's. */
static void the_same_characteristic_of_another_service(void **state)
{
	struct gatt_app *app;
	struct server_bed sb;

	server_bed_open(&sb);
	app = server_bed_add(&sb, 1, NULL);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 12 11 00 01 00; > 13");
	server_bed_said(&sb, "subscribed(0 0010 1)");
	server_bed_disconnect(&sb, 0);
	gatt_server_remove(app);
	(void)server_bed_add(&sb, 2, NULL);
	sb.log[0] = '\0';
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, "< 0a 11 00; > 0b 00 00");
	server_bed_said(&sb, "");
	server_bed_close(&sb);
}

/* --- those who know the table --- */

static void hash_changes_with_the_table(void **state)
{
	uint8_t before[GATT_HASH_LEN];
	struct gatt_local *hash;
	struct gatt_app *app;
	struct server_bed sb;

	start(&sb);
	hash = server_bed_local(&sb, H_HASH);
	assert_int_equal(hash->len, GATT_HASH_LEN);
	memcpy(before, hash->value, GATT_HASH_LEN);
	app = server_bed_add(&sb, 1, NULL);
	assert_int_not_equal(memcmp(before, hash->value, GATT_HASH_LEN), 0);
	gatt_server_remove(app);
	assert_memory_equal(before, hash->value, GATT_HASH_LEN);
	server_bed_close(&sb);
}

#define ROBUST "< 12 0b 00 01; > 13;"

static void robust_caching(void **state)
{
	static const struct {
		const char *name, *script;
	} rows[] = {
		{"read", "< 0a 22 00; > 01 0a 22 00 12; < 0a 22 00; > 0b 01 02 03"},
		{"read blob", "< 0c 22 00 00 00; > 01 0c 22 00 12; < 0a 22 00; > 0b 01 02 03"},
		{"several",
	         "< 0e 22 00 31 00; > 01 0e 22 00 12; < 0e 22 00 31 00; > 0f 01 02 03 10 11"},
		{"several of their lengths", "< 20 22 00 31 00; > 01 20 22 00 12"},
		{"write", "< 12 22 00 01; > 01 12 22 00 12; < 0a 22 00; > 0b 01 02 03"},
		{"prepare",
	         "< 16 22 00 00 00 01; > 01 16 22 00 12; < 18 01; > 19; < 0a 22 00; > 0b 01 02 03"},
		{"execute", "< 18 01; > 01 18 00 00 12; < 18 01; > 19"},
		{"cancel", "< 18 00; > 19; < 0a 22 00; > 01 0a 22 00 12"},
		{"a part of the table by type", "< 08 20 00 ff ff 01 a1; > 01 08 20 00 12; < 08 20 "
	                                        "00 ff ff 01 a1; > 09 05 22 00 01 02 03"},
		{"all of it by type",
	         "< 08 01 00 ff ff 01 a1; > 09 05 22 00 01 02 03; < 0a 22 00; > 01 0a 22 00 12"},
		{"discovery is free", "< 10 41 00 ff ff 00 28; > 11 06 50 00 58 00 02 a0;"
	                              "< 08 36 00 37 00 03 28; > 09 07 36 00 20 37 00 0c a1; < 04 "
	                              "32 00 32 00; > 05 01 32 00 02 29;"
	                              "< 06 20 00 ff ff 00 28 01 a0; > 07 20 00 40 00; < 08 20 00 "
	                              "21 00 02 28; > 01 08 20 00 0a;"
	                              "< 0a 22 00; > 01 0a 22 00 12"},
		{"malformed", "< 0a 22; > 01 0a 00 00 04; < 0a 22 00; > 01 0a 22 00 12"},
		{"commands are ignored", "< 52 3a 00 01; =; < 0a 22 00; > 01 0a 22 00 12; < 52 3a "
	                                 "00 01; < 0a 22 00; > 0b 01 02 03"},
		{"wrong handles are out of sync, too",
	         "< 0a f0 0f; > 01 0a f0 0f 12; < 0a f0 0f; > 01 0a f0 0f 01"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct server_bed sb;

		start(&sb);
		bed_play(&sb.peers[0], rows[i].name, ROBUST);
		(void)server_bed_add(&sb, 1, NULL);
		bed_play(&sb.peers[0], rows[i].name, rows[i].script);
		if (strstr(rows[i].script, "< 18 01; > 19; < 0a"))
			server_bed_said(&sb, "");
		server_bed_close(&sb);
	}
}

/* What the peer was told to have failed is not carried out with the next execution. */
static void a_refused_execution_empties_the_queue(void **state)
{
	struct server_bed sb;

	start(&sb);
	bed_play(&sb.peers[0], __func__, ROBUST "< 16 22 00 00 00 55; > 17 22 00 00 00 55");
	(void)server_bed_add(&sb, 1, NULL);
	bed_play(&sb.peers[0], __func__,
	         "< 18 01; > 01 18 00 00 12; < 16 24 00 00 00 61; > 17 24 00 00 00 61;"
	         "< 18 01; > 19; < 0a 22 00; > 0b 01 02 03; < 0a 24 00; > 0b 61");
	server_bed_said(&sb, "written(0 0024 61)");
	server_bed_close(&sb);
}

static void the_hash_makes_aware(void **state)
{
	uint8_t expected[4 + GATT_HASH_LEN] = {ATT_READ_BY_TYPE_RSP, 2 + GATT_HASH_LEN, H_HASH, 0},
			     got[64];
	struct server_bed sb;

	start(&sb);
	bed_play(&sb.peers[0], __func__, ROBUST);
	(void)server_bed_add(&sb, 1, NULL);
	memcpy(expected + 4, server_bed_local(&sb, H_HASH)->value, GATT_HASH_LEN);
	assert_int_equal(write(sb.peers[0].peer, "\x08\x01\x00\xff\xff\x2a\x2b", 7), 7);
	assert_int_equal(loop_settle(sb.loop), 0);
	assert_int_equal(read(sb.peers[0].peer, got, sizeof(got)), sizeof(expected));
	assert_memory_equal(got, expected, sizeof(expected));
	bed_play(&sb.peers[0], __func__, "< 0a 22 00; > 0b 01 02 03");
	server_bed_close(&sb);
}

/* What made aware, or would have with the next request, was about the table before. */
static void the_next_change_counts_again(void **state)
{
	struct server_bed sb;
	uint8_t got[64];

	start(&sb);
	bed_play(&sb.peers[0], __func__, ROBUST);
	assert_int_equal(write(sb.peers[0].peer, "\x0a\x0d\x00", 3), 3);
	assert_int_equal(loop_settle(sb.loop), 0);
	assert_int_equal(read(sb.peers[0].peer, got, sizeof(got)), 1 + GATT_HASH_LEN);
	(void)server_bed_add(&sb, 1, NULL);
	bed_play(&sb.peers[0], "the hash was read before", "< 0a 22 00; > 01 0a 22 00 12");
	(void)server_bed_add(&sb, 1, NULL);
	bed_play(&sb.peers[0], "told before",
	         "< 0a 22 00; > 01 0a 22 00 12; < 0a 22 00; > 0b 01 02 03");
	server_bed_close(&sb);
}

static void a_confirmation_makes_aware(void **state)
{
	struct server_bed sb;

	start(&sb);
	bed_play(&sb.peers[0], __func__, ROBUST SUBSCRIBE_CHANGED);
	(void)server_bed_add(&sb, 1, NULL);
	bed_play(&sb.peers[0], __func__, "> 1d 08 00 79 00 7c 00; < 1e; < 0a 22 00; > 0b 01 02 03");
	(void)server_bed_add(&sb, 1, NULL);
	bed_play(&sb.peers[0], "every change counts",
	         "> 1d 08 00 7d 00 80 00; < 0a 22 00; > 01 0a 22 00 12; < 1e; < 0a 22 00; > 0b 01 "
	         "02 03");
	server_bed_close(&sb);
}

static void on_done(struct op *op, int res)
{
}

/* Nothing but Service Changed goes to those who do not know the table; what waited goes afterwards. */
static void nothing_is_sent_to_the_unaware(void **state)
{
	struct gatt_indication ind = {0};
	struct att_cmd cmd = {0};
	struct server_bed sb;

	start(&sb);
	op_init(&ind.op, sb.loop, on_done);
	op_init(&cmd.op, sb.loop, on_done);
	bed_play(&sb.peers[0], __func__, ROBUST "< 12 32 00 01 00; > 13; < 12 38 00 02 00; > 13");
	(void)server_bed_add(&sb, 1, NULL);
	gatt_server_update(sb.server, server_bed_local(&sb, H_TELL));
	gatt_server_update(sb.server, server_bed_local(&sb, H_INDICATE));
	assert_int_equal(gatt_server_notify(sb.links[0], server_bed_local(&sb, H_TELL), "x", 1,
	                                    &cmd, 0, NULL),
	                 -EAGAIN);
	assert_int_equal(gatt_server_indicate(sb.links[0], server_bed_local(&sb, H_TELL), "x", 1,
	                                      &ind, 0, NULL),
	                 0);
	bed_play(&sb.peers[0], __func__,
	         "=; < 0a 22 00; > 01 0a 22 00 12; =; < 0a 22 00; > 1b 31 00 10 11; > 1d 31 00 78; "
	         "> 0b 01 02 03; < 1e; > 1d 37 00 69; < 1e");
	server_bed_close(&sb);
}

static void others_do_not_notice(void **state)
{
	struct server_bed sb;

	start(&sb);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13");
	(void)server_bed_add(&sb, 1, NULL);
	gatt_server_update(sb.server, server_bed_local(&sb, H_TELL));
	bed_play(&sb.peers[0], __func__,
	         "> 1b 31 00 10 11; < 0a 22 00; > 0b 01 02 03; < 52 3a 00 01; =");
	server_bed_said(&sb, "subscribed(0 0031 1) written(0 003a 01)");
	server_bed_close(&sb);
}

static void bonded_and_away_is_unaware(void **state)
{
	struct server_bed sb;

	start(&sb);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], __func__, ROBUST);
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], "nothing changed", "< 0a 22 00; > 0b 01 02 03");
	server_bed_disconnect(&sb, 0);
	(void)server_bed_add(&sb, 1, NULL);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], "changed", "< 0a 22 00; > 01 0a 22 00 12");
	server_bed_disconnect(&sb, 0);
	server_bed_connect(&sb, 0, 23);
	server_bed_secure(&sb, 0, 2, 16, true);
	bed_play(&sb.peers[0], "still", "< 0a 22 00; > 01 0a 22 00 12; < 0a 22 00; > 0b 01 02 03");
	server_bed_close(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configurations),
		cmocka_unit_test(each_link_has_its_own),
		cmocka_unit_test(nothing_is_kept_without_a_bond),
		cmocka_unit_test(kept_for_bonded_peers),
		cmocka_unit_test(the_newer_counts),
		cmocka_unit_test(forgotten),
		cmocka_unit_test(two_links_of_one_peer),
		cmocka_unit_test(the_oldest_bond_makes_room),
		cmocka_unit_test(service_changed),
		cmocka_unit_test(changes_are_put_together),
		cmocka_unit_test(a_replaced_tree_of_the_same_shape),
		cmocka_unit_test(a_property_is_gone),
		cmocka_unit_test(service_changed_for_those_who_were_away),
		cmocka_unit_test(service_changed_without_a_confirmation),
		cmocka_unit_test(another_characteristic_at_the_handle),
		cmocka_unit_test(the_same_characteristic_of_another_service),
		cmocka_unit_test(hash_changes_with_the_table),
		cmocka_unit_test(robust_caching),
		cmocka_unit_test(a_refused_execution_empties_the_queue),
		cmocka_unit_test(the_hash_makes_aware),
		cmocka_unit_test(the_next_change_counts_again),
		cmocka_unit_test(a_confirmation_makes_aware),
		cmocka_unit_test(nothing_is_sent_to_the_unaware),
		cmocka_unit_test(others_do_not_notice),
		cmocka_unit_test(bonded_and_away_is_unaware),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
