/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Readers whose application is asked first: it answers, refuses, is slow, silent or gone. */
#include <unistd.h>

#include "aiobled/result.h"

#include "../support/server_bed.h"
#include "test.h"

/* What the application does with a question: the first letter for the first one, and so on; the last for all others. */
enum {
	ALLOW = 'a',
	REFUSE = 'r',
	SILENT = 's',
	SET = 'n',  /* sets "new", then allows */
	LONG = 'l', /* sets 60 bytes, then allows */
};

static const char *plan;
static const char sixty[] = "LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL";

static char next_act(void)
{
	char act = *plan;

	if (plan[1])
		plan++;
	return act;
}

static void act_on(struct server_bed *sb, struct gatt_local *local, uint32_t token)
{
	char act = next_act();

	if (act == LONG)
		assert_int_equal(gatt_local_set(local, sixty, 60), 0);
	if (act == SET)
		assert_int_equal(gatt_local_set(local, "new", 3), 0);
	switch (act) {
	case SET:
	case ALLOW:
	case LONG:
		assert_int_equal(gatt_server_allow(sb->server, token, 0), 0);
		break;
	case REFUSE:
		assert_int_equal(gatt_server_allow(sb->server, token, 0x81), 0);
		assert_int_equal(gatt_server_allow(sb->server, token, 0), -ENOENT);
		break;
	}
}

static const struct row {
	const char *name, *plan;
	bool encrypted;
	const char *script, *told;
} rows[] = {
	{"read", "a", false, "< 0a 52 00; > 0b 6f 6e 65", "read(0 0052)"},
	{"read, set before", "n", false, "< 0a 52 00; > 0b 6e 65 77", "read(0 0052)"},
	{"read, refused", "r", false, "< 0a 52 00; > 01 0a 52 00 81", "read(0 0052)"},
	{"read again asks again", "ara", false,
         "< 0a 52 00; > 0b 6f 6e 65; < 0a 52 00; > 01 0a 52 00 81; < 0a 52 00; > 0b 6f 6e 65",
         "read(0 0052) read(0 0052) read(0 0052)"},
	{"silent: the stored value", "s", false, "< 0a 52 00; ~ 999; =; ~ 1; > 0b 6f 6e 65",
         "read(0 0052) over"},
	{"silent: an error", "s", false, "< 0a 54 00; ~ 999; =; ~ 1; > 01 0a 54 00 80",
         "read(0 0054) over"},
	{"long read from the start", "a", false, "< 0c 52 00 00 00; > 0d 6f 6e 65", "read(0 0052)"},
	{"the rest of a long read is free", "l", false,
         "< 0a 52 00; > 0b 4c*22; < 0c 52 00 16 00; > 0d 4c*22; < 0a 22 00; > 0b 01 02 03; < 0c 52 "
         "00 2c 00; > 0d 4c*16;"
         "< 0c 52 00 3c 00; > 0d",
         "read(0 0052)"},
	{"the rest of one that began by UUID", "l", false,
         "< 08 50 00 53 00 09 a1; > 09 15 52 00 4c*19; < 0c 52 00 13 00; > 0d 4c*22",
         "read(0 0052)"},
	{"what came behind the end is no rest", "ar", false,
         "< 0a 52 00; > 0b 6f 6e 65; < 0c 52 00 03 00; > 0d; < 12 52 00 55*20; > 13; < 0c 52 00 03 "
         "00; "
         "> 01 0c 52 00 81",
         "read(0 0052) written(0 0052 5555555555555555555555555555555555555555) read(0 0052)"},
	{"a rest after half an hour is none", "lr", false,
         "< 0a 52 00; > 0b 4c*22; ~ 29999; < 0c 52 00 16 00; > 0d 4c*22; ~ 1800000; < 0c 52 00 2c "
         "00; > "
         "01 0c 52 00 81",
         "read(0 0052) read(0 0052)"},
	{"not the rest", "lrr", false,
         "< 0a 52 00; > 0b 4c*22; < 0c 52 00 01 00; > 01 0c 52 00 81; < 0c 52 00 16 00; > 01 0c 52 "
         "00 81",
         "read(0 0052) read(0 0052) read(0 0052)"},
	{"the same piece again", "l", false,
         "< 0a 52 00; > 0b 4c*22; < 0c 52 00 16 00; > 0d 4c*22; < 0c 52 00 16 00; > 0d 4c*22",
         "read(0 0052) read(0 0052)"},
	{"another value between", "la", false,
         "< 0a 52 00; > 0b 4c*22; < 0a 54 00; > 0b 74 77 6f; < 0c 52 00 16 00; > 0d 4c*22",
         "read(0 0052) read(0 0054) read(0 0052)"},
	{"an offset is no way around", "r", false,
         "< 0c 52 00 01 00; > 01 0c 52 00 81; < 0a 52 00; > 01 0a 52 00 81; < 0c 52 00 01 00; > 01 "
         "0c 52 00 81",
         "read(0 0052) read(0 0052) read(0 0052)"},
	{"an offset after a refusal", "ar", false,
         "< 0a 52 00; > 0b 6f 6e 65; < 0a 52 00; > 01 0a 52 00 81; < 0c 52 00 01 00; > 01 0c 52 00 "
         "81",
         "read(0 0052) read(0 0052) read(0 0052)"},
	{"an offset beyond the end", "a", false, "< 0c 52 00 04 00; > 01 0c 52 00 07",
         "read(0 0052)"},
	{"nobody is asked for what may not be read", "a", false, "< 0a 56 00; > 01 0a 56 00 05",
         ""},
	{"asked with the right key", "a", true, "< 0a 56 00; > 0b 73 69 78", "read(0 0056)"},
	{"nobody is asked by a write", "a", false,
         "< 12 52 00 31; > 13; < 52 52 00 31; =", "written(0 0052 31)"},

	{"by UUID: each that is in the answer", "a", false,
         "< 08 50 00 5f 00 09 a1; > 09 05 52 00 6f 6e 65 54 00 74 77 6f",
         "read(0 0052) read(0 0054)"},
	{"by UUID: all", "a", true,
         "< 08 50 00 5f 00 09 a1; > 09 05 52 00 6f 6e 65 54 00 74 77 6f 56 00 73 69 78 58 00 74 72 "
         "69",
         "read(0 0052) read(0 0054) read(0 0056)"},
	{"by UUID: a refused one ends the list", "ar", true,
         "< 08 50 00 5f 00 09 a1; > 09 05 52 00 6f 6e 65", "read(0 0052) read(0 0054)"},
	{"by UUID: the first is refused", "r", true, "< 08 50 00 5f 00 09 a1; > 01 08 52 00 81",
         "read(0 0052)"},
	{"by UUID: silent", "s", false,
         "< 08 50 00 5f 00 09 a1; ~ 1000; =; ~ 999; =; ~ 1; > 09 05 52 00 6f 6e 65",
         "read(0 0052) over read(0 0054) over"},
	{"by UUID: a new length ends the list", "n", true,
         "< 12 52 00 31; > 13; < 08 51 00 54 00 09 a1; > 09 05 52 00 6e 65 77 54 00 6e 65 77",
         "written(0 0052 31) read(0 0052) read(0 0054)"},

	{"several", "a", false, "< 0e 52 00 22 00 54 00; > 0f 6f 6e 65 01 02 03 74 77 6f",
         "read(0 0052) read(0 0054)"},
	{"several: twice the same", "a", false, "< 0e 52 00 52 00; > 0f 6f 6e 65 6f 6e 65",
         "read(0 0052)"},
	{"several: one is refused", "ar", false, "< 0e 52 00 22 00 54 00; > 01 0e 54 00 81",
         "read(0 0052) read(0 0054)"},
	{"several: nobody is asked when one may not be read", "a", false,
         "< 0e 52 00 27 00; > 01 0e 27 00 02", ""},
	{"several: nobody is asked for what does not fit", "a", false,
         "< 0e 29 00 52 00; > 0f 4c*22", ""},
	{"several of their lengths", "na", false,
         "< 20 52 00 54 00; > 21 03 00 6e 65 77 03 00 74 77 6f", "read(0 0052) read(0 0054)"},
	{"several of their lengths: silent", "s", false,
         "< 20 52 00 54 00; ~ 2000; > 01 20 54 00 80", "read(0 0052) over read(0 0054) over"},
};

static void transcripts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct server_bed sb;

		server_bed_open(&sb);
		server_bed_connect(&sb, 0, rows[i].encrypted ? 64 : 23);
		if (rows[i].encrypted)
			server_bed_secure(&sb, 0, 2, 16, false);
		sb.on_read = act_on;
		plan = rows[i].plan;
		bed_play(&sb.peers[0], rows[i].name, rows[i].script);
		if (strcmp(sb.log, rows[i].told) != 0)
			print_message("%s:\n", rows[i].name);
		server_bed_said(&sb, rows[i].told);
		server_bed_close(&sb);
	}
}

static void answered_later(void **state)
{
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	bed_play(&sb.peers[0], __func__, "< 0a 52 00; ~ 500; =");
	assert_int_equal(sb.deadline_us, loop_now_us(sb.loop) + 500000);
	assert_int_equal(gatt_local_set(server_bed_local(&sb, H_ASKED), "late", 4), 0);
	assert_int_equal(gatt_server_allow(sb.server, sb.token + 1, 0), -ENOENT);
	assert_int_equal(gatt_server_allow(sb.server, 0, 0), -ENOENT);
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0), 0);
	bed_play(&sb.peers[0], __func__, "> 0b 6c 61 74 65");
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0), -ENOENT);
	server_bed_said(&sb, "read(0 0052)");
	assert_int_equal(gatt_server_stats(sb.server)->read_timeouts, 0);
	server_bed_close(&sb);
}

static void an_answer_that_is_too_late(void **state)
{
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	bed_play(&sb.peers[0], __func__, "< 0a 52 00; ~ 1000; > 0b 6f 6e 65");
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0x81), -ENOENT);
	bed_play(&sb.peers[0], __func__, "=");
	server_bed_said(&sb, "read(0 0052) over");
	assert_int_equal(gatt_server_stats(sb.server)->read_timeouts, 1);
	server_bed_close(&sb);
}

/* While one peer's read waits, everything else goes on: its own commands, confirmations and values, and the other link. */
static void nobody_else_waits(void **state)
{
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	server_bed_connect(&sb, 1, 23);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 02 00; > 13; < 0a 52 00; =");
	gatt_server_update(sb.server, server_bed_local(&sb, H_TELL));
	bed_play(&sb.peers[0], __func__, "> 1d 31 00 10 11; < 1e; < 52 3a 00 01; =");
	bed_play(&sb.peers[1], __func__, "< 0a 22 00; > 0b 01 02 03; < 0a 54 00; =");
	server_bed_said(&sb, "subscribed(0 0031 2) read(0 0052) written(0 003a 01) read(1 0054)");
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0), 0);
	bed_play(&sb.peers[1], __func__, "> 0b 74 77 6f");
	bed_play(&sb.peers[0], __func__, "=; ~ 1000; > 0b 6f 6e 65");
	server_bed_close(&sb);
}

/* A second request before the answer to the first: it broke the order, and only one answer goes out. */
static void an_impatient_peer(void **state)
{
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	bed_play(&sb.peers[0], __func__,
	         "< 0a 52 00; < 0a 22 00; < 0a 52 00; =; ~ 1000; > 0b 6f 6e 65; < 0a 22 00; > 0b "
	         "01 02 03");
	server_bed_said(&sb, "read(0 0052) over");
	server_bed_close(&sb);
}

static void the_link_goes(void **state)
{
	struct server_bed sb;
	uint32_t token;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	bed_play(&sb.peers[0], __func__, "< 0a 52 00; =");
	token = sb.token;
	server_bed_disconnect(&sb, 0);
	server_bed_said(&sb, "read(0 0052) over");
	assert_int_equal(gatt_server_allow(sb.server, token, 0), -ENOENT);
	server_bed_connect(&sb, 0, 23);
	bed_play(&sb.peers[0], __func__, "< 0a 52 00; =");
	assert_true(sb.token != token);
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0),
	                 0); /* answered, and gone before it is sent */
	server_bed_disconnect(&sb, 0);
	server_bed_said(&sb, "read(0 0052)");
	assert_int_equal(loop_advance(sb.loop, 60000), 0);
	server_bed_close(&sb);
}

static struct gatt_local *first_of(struct gatt_app *app)
{
	return list_first(
		&list_first(&app->services, struct gatt_local_service, link)->characteristics,
		struct gatt_local, link);
}

static void the_application_goes(void **state)
{
	struct gatt_app *app;
	struct server_bed sb;
	char script[64];
	uint16_t handle;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	app = server_bed_add(&sb, 2, NULL);
	handle = first_of(app)->handle;
	(void)snprintf(script, sizeof(script), "< 0a %02x 00; =", handle);
	bed_play(&sb.peers[0], __func__, script);
	server_bed_said(&sb, "read(0 007b)");
	gatt_server_remove(app);
	(void)snprintf(script, sizeof(script), "> 01 0a %02x 00 01", handle);
	bed_play(&sb.peers[0], __func__, script);
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0), -ENOENT);
	server_bed_said(&sb, "");
	server_bed_close(&sb);
}

/* The question was the old one's, and so is what was said: whose the value is now is asked. */
static void the_application_is_replaced(void **state)
{
	struct gatt_app *app;
	struct server_bed sb;
	uint32_t old;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	app = server_bed_add(&sb, 2, NULL);
	bed_play(&sb.peers[0], __func__, "< 0a 7b 00; =");
	old = sb.token;
	app = server_bed_add(&sb, 2, app);
	assert_int_equal(gatt_server_allow(sb.server, old, 0), -ENOENT);
	bed_play(&sb.peers[0], __func__, "=");
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0x81), 0);
	bed_play(&sb.peers[0], __func__, "> 01 0a 7b 00 81");
	server_bed_said(&sb, "read(0 007b) read(0 007b)");

	bed_play(&sb.peers[0], __func__, "< 0e 7b 00 52 00; =");
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0), 0);
	bed_play(&sb.peers[0], __func__, "=");
	(void)server_bed_add(&sb, 2, app);
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0), 0);
	bed_play(&sb.peers[0], __func__, "=");
	assert_int_equal(gatt_server_allow(sb.server, sb.token, 0x81), 0);
	bed_play(&sb.peers[0], __func__, "> 01 0e 7b 00 81");
	server_bed_said(&sb, "read(0 007b) read(0 0052) read(0 007b)");
	server_bed_close(&sb);
}

static struct gatt_app *victim;

static void remove_victim(struct server_bed *sb, struct gatt_local *local, uint32_t token)
{
	if (victim)
		gatt_server_remove(victim);
	victim = NULL;
	assert_int_equal(gatt_server_allow(sb->server, token, 0), 0);
}

static void removed_while_it_is_asked(void **state)
{
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	victim = server_bed_add(&sb, 2, NULL);
	sb.on_read = remove_victim;
	bed_play(&sb.peers[0], __func__, "< 20 52 00 7b 00; > 01 20 7b 00 01");
	server_bed_said(&sb, "read(0 0052)");
	server_bed_close(&sb);
}

/* Many values of silent applications: the peer has its answer before its own patience ends. */
static void the_budget_of_a_request(void **state)
{
	struct gatt_def_characteristic chr[40] = {0};
	const struct gatt_def_service service = {.uuid = UUID16_INIT(0xa0aa),
	                                         .characteristics = chr,
	                                         .n_characteristics = ARRAY_SIZE(chr)};
	struct gatt_def_error error;
	struct gatt_app *app;
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 200);
	for (size_t i = 0; i < ARRAY_SIZE(chr); i++)
		chr[i].value = (struct gatt_def_value){.uuid = UUID16_INIT(0xa1aa),
		                                       .read = true,
		                                       .on_read = true,
		                                       .on_read_timeout_ms = 10000};
	assert_int_equal(gatt_server_add(sb.server, &service, 1, NULL, &server_bed_events, &sb,
	                                 &app, &error),
	                 0);
	bed_play(&sb.peers[0], __func__,
	         "< 08 79 00 a0 00 aa a1; ~ 24999; =; ~ 1; > 09 02 7b 00 7d 00 7f 00 81 00 83 00 "
	         "85 00 87 00 89 00 8b 00 8d 00 8f 00 91 00"
	         " 93 00 95 00 97 00 99 00 9b 00 9d 00 9f 00; < 0a 22 00; > 0b 01 02 03");
	server_bed_said(&sb, "read(0 007b) over read(0 007d) over read(0 007f) over");
	assert_int_equal(gatt_server_stats(sb.server)->read_timeouts, 19);
	server_bed_close(&sb);
}

static struct gatt_app *add_many(struct server_bed *sb)
{
	static struct gatt_def_characteristic chr[200];
	const struct gatt_def_service service = {.uuid = UUID16_INIT(0xa0aa),
	                                         .characteristics = chr,
	                                         .n_characteristics = ARRAY_SIZE(chr)};
	struct gatt_def_error error;
	struct gatt_app *app;

	for (size_t i = 0; i < ARRAY_SIZE(chr); i++)
		chr[i].value = (struct gatt_def_value){
			.uuid = UUID16_INIT(0xa1aa), .read = true, .on_read = true};
	assert_int_equal(gatt_server_add(sb->server, &service, 1, NULL, &server_bed_events, sb,
	                                 &app, &error),
	                 0);
	return app;
}

static int asked;

static void remove_after_the_last(struct server_bed *sb, struct gatt_local *local, uint32_t token)
{
	sb->log[0] = '\0';
	assert_int_equal(gatt_server_allow(sb->server, token, 0), 0);
	if (++asked != 201)
		return;
	gatt_server_remove(victim);
	victim = NULL;
}

/* What was granted goes when there is nearly all of the answer: it is made of what is there, and nobody is asked twice. */
static void more_questions_than_an_answer_holds(void **state)
{
	static const uint8_t request[] = {ATT_READ_BY_TYPE_REQ, 0x79, 0, 0xff, 0xff, 0xaa, 0xa1};
	struct server_bed sb;
	uint8_t got[600];

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 517);
	victim = add_many(&sb);
	(void)add_many(&sb);
	asked = 0;
	sb.on_read = remove_after_the_last;
	assert_int_equal(write(sb.peers[0].peer, request, sizeof(request)), sizeof(request));
	assert_int_equal(loop_settle(sb.loop), 0);
	assert_int_equal(read(sb.peers[0].peer, got, sizeof(got)), 2 + 200 * 2);
	assert_int_equal(got[0], ATT_READ_BY_TYPE_RSP);
	assert_int_equal(got[1], 2);
	assert_int_equal(asked, 400);
	bed_play(&sb.peers[0], __func__, "< 0a 22 00; > 0b 01 02 03");
	server_bed_close(&sb);
}

static void without_a_hook(void **state)
{
	static const struct gatt_app_events events = {0};
	const struct gatt_def_characteristic chr = {.value = {.uuid = UUID16_INIT(0xa1aa),
	                                                      .read = true,
	                                                      .write = true,
	                                                      .notify = true,
	                                                      .on_read = true}};
	const struct gatt_def_service service = {
		.uuid = UUID16_INIT(0xa0aa), .characteristics = &chr, .n_characteristics = 1};
	struct gatt_def_error error;
	struct gatt_app *app;
	struct server_bed sb;

	server_bed_open(&sb);
	server_bed_connect(&sb, 0, 23);
	assert_int_equal(gatt_server_add(sb.server, &service, 1, NULL, &events, NULL, &app, &error),
	                 0);
	bed_play(&sb.peers[0], __func__,
	         "< 0a 7b 00; > 0b; < 12 7b 00 01; > 13; < 12 7c 00 01 00; > 13; < 0a 7b 00; > 0b "
	         "01");
	server_bed_close(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcripts),
		cmocka_unit_test(answered_later),
		cmocka_unit_test(an_answer_that_is_too_late),
		cmocka_unit_test(nobody_else_waits),
		cmocka_unit_test(an_impatient_peer),
		cmocka_unit_test(the_link_goes),
		cmocka_unit_test(the_application_goes),
		cmocka_unit_test(the_application_is_replaced),
		cmocka_unit_test(removed_while_it_is_asked),
		cmocka_unit_test(the_budget_of_a_request),
		cmocka_unit_test(more_questions_than_an_answer_holds),
		cmocka_unit_test(without_a_hook),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
