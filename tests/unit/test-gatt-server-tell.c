/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notifications, indications and updates: to whom, in which order, and what when the kernel or the peer takes no more. */
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/result.h"

#include "../support/server_bed.h"
#include "test.h"

struct call {
	struct att_cmd cmd;
	struct gatt_indication ind;
	int count, res;
	void (*then)(struct call *c);
	struct server_bed *sb;
};

static void on_notified(struct op *op, int res)
{
	struct call *c = container_of(op, struct call, cmd.op);

	c->count++;
	c->res = res;
	if (c->then)
		c->then(c);
}

static void on_indicated(struct op *op, int res)
{
	struct call *c = container_of(op, struct call, ind.op);

	c->count++;
	c->res = res;
	if (c->then)
		c->then(c);
}

static void call_init(struct call *c, struct server_bed *sb)
{
	*c = (struct call){.sb = sb};
	op_init(&c->cmd.op, sb->loop, on_notified);
	op_init(&c->ind.op, sb->loop, on_indicated);
}

static int notify(struct server_bed *sb, int i, uint16_t handle, const char *text, struct call *c,
                  bool *cut)
{
	return gatt_server_notify(sb->links[i], server_bed_local(sb, handle), text,
	                          text ? strlen(text) : 0, &c->cmd, 1000, cut);
}

static int indicate(struct server_bed *sb, int i, uint16_t handle, const char *text, struct call *c)
{
	return gatt_server_indicate(sb->links[i], server_bed_local(sb, handle), text,
	                            text ? strlen(text) : 0, &c->ind, 1000, NULL);
}

static void ended(struct call *c, int res)
{
	assert_int_equal(c->count, 1);
	assert_int_equal(c->res, res);
	c->count = 0;
}

static void open_two(struct server_bed *sb, struct call *calls, size_t n)
{
	server_bed_open(sb);
	server_bed_connect(sb, 0, 23);
	server_bed_connect(sb, 1, 23);
	for (size_t i = 0; i < n; i++)
		call_init(&calls[i], sb);
}

/* --- notifications --- */

/* GATT/SR/GAN/BV-01-C; whoever is meant gets it, subscribed or not. */
static void a_notification_reaches_one(void **state)
{
	struct server_bed sb;
	struct call c;
	bool cut = true;

	open_two(&sb, &c, 1);
	bed_play(&sb.peers[1], "GATT/SR/GAN/BV-01-C", "< 12 32 00 01 00; > 13");
	assert_int_equal(notify(&sb, 0, H_TELL, "ab", &c, &cut), 0);
	assert_int_equal(c.count, 0);
	assert_false(cut);
	bed_play(&sb.peers[0], "GATT/SR/GAN/BV-01-C", "> 1b 31 00 61 62");
	bed_play(&sb.peers[1], "GATT/SR/GAN/BV-01-C", "=");
	ended(&c, 0);
	assert_int_equal(notify(&sb, 1, H_TELL, NULL, &c, NULL), 0);
	bed_play(&sb.peers[1], "GATT/SR/GAN/BV-01-C", "> 1b 31 00 10 11; < 0a 31 00; > 0b 10 11");
	ended(&c, 0);
	assert_int_equal(notify(&sb, 0, H_TELL, "", &c, NULL), 0);
	bed_play(&sb.peers[0], "empty", "> 1b 31 00");
	ended(&c, 0);
	assert_int_equal(gatt_server_stats(sb.server)->notifications, 3);
	server_bed_close(&sb);
}

static void a_notification_is_cut(void **state)
{
	struct server_bed sb;
	struct call c;
	bool cut;

	open_two(&sb, &c, 1);
	assert_int_equal(notify(&sb, 0, H_TELL, "aaaaaaaaaaaaaaaaaaaa", &c, &cut), 0);
	assert_false(cut);
	bed_play(&sb.peers[0], __func__, "> 1b 31 00 61*20");
	assert_int_equal(notify(&sb, 0, H_TELL, "aaaaaaaaaaaaaaaaaaaab", &c, &cut), 0);
	assert_true(cut);
	bed_play(&sb.peers[0], __func__, "> 1b 31 00 61*20; < 02 18 00; > 03 05 02");
	assert_int_equal(notify(&sb, 0, H_TELL, "aaaaaaaaaaaaaaaaaaaab", &c, &cut), 0);
	assert_false(cut);
	bed_play(&sb.peers[0], __func__, "> 1b 31 00 61*20 62");
	server_bed_close(&sb);
}

static void refused_calls(void **state)
{
	struct server_bed sb;
	struct call c;

	open_two(&sb, &c, 1);
	assert_int_equal(notify(&sb, 0, H_PLAIN, "a", &c, NULL), -EOPNOTSUPP);
	assert_int_equal(notify(&sb, 0, H_INDICATE, "a", &c, NULL), -EOPNOTSUPP);
	assert_int_equal(indicate(&sb, 0, H_SECRET, "a", &c), -EOPNOTSUPP);
	assert_int_equal(notify(&sb, 0, H_SECRET, "a", &c, NULL), -EACCES);
	server_bed_secure(&sb, 0, 2, 16, false);
	assert_int_equal(notify(&sb, 0, H_SECRET, "a", &c, NULL), 0);
	bed_play(&sb.peers[0], __func__, "> 1b 34 00 61");
	ended(&c, 0);
	bed_play(&sb.peers[0], __func__, "x");
	assert_int_equal(notify(&sb, 0, H_TELL, "a", &c, NULL), -ENOTCONN);
	server_bed_close(&sb);
}

static void a_full_kernel(void **state)
{
	struct server_bed sb;
	struct call c[3];

	open_two(&sb, c, 3);
	bed_fill(&sb.peers[0]);
	assert_int_equal(notify(&sb, 0, H_TELL, "1", &c[0], NULL), 0);
	assert_int_equal(notify(&sb, 0, H_TELL, "2", &c[1], NULL), 0);
	assert_int_equal(notify(&sb, 0, H_TELL, "3", &c[2], NULL), 0);
	assert_int_equal(loop_settle(sb.loop), 0);
	assert_int_equal(c[0].count, 0);
	assert_int_equal(loop_advance(sb.loop, 999), 0);
	op_drop(&c[1].cmd.op);
	assert_true(bed_drain(&sb.peers[0]) > 0);
	bed_play(&sb.peers[0], __func__, "> 1b 31 00 31; > 1b 31 00 33");
	ended(&c[0], 0);
	ended(&c[2], 0);
	assert_int_equal(c[1].count, 0);

	bed_fill(&sb.peers[0]);
	assert_int_equal(notify(&sb, 0, H_TELL, "1", &c[0], NULL), 0);
	assert_int_equal(loop_advance(sb.loop, 1000), 0);
	ended(&c[0], -ETIMEDOUT);
	assert_int_equal(notify(&sb, 0, H_TELL, "2", &c[1], NULL), 0);
	server_bed_disconnect(&sb, 0);
	ended(&c[1], -ENOTCONN);
	server_bed_close(&sb);
}

/* --- indications --- */

/* GATT/SR/GAI/BV-01-C */
static void an_indication_is_confirmed(void **state)
{
	struct server_bed sb;
	struct call c;

	open_two(&sb, &c, 1);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "ab", &c), 0);
	bed_play(&sb.peers[0], "GATT/SR/GAI/BV-01-C", "> 1d 37 00 61 62; ~ 999");
	assert_int_equal(c.count, 0);
	bed_play(&sb.peers[0], "GATT/SR/GAI/BV-01-C", "< 1e");
	ended(&c, 0);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, NULL, &c), 0);
	bed_play(&sb.peers[0], "GATT/SR/GAI/BV-01-C", "> 1d 37 00 69; < 1e; < 1e");
	ended(&c, 0);
	assert_int_equal(gatt_server_stats(sb.server)->confirmations, 2);
	server_bed_close(&sb);
}

/* One at a time for each link, in the order of the calls. */
static void indications_wait_for_each_other(void **state)
{
	struct server_bed sb;
	struct call c[4];

	open_two(&sb, c, 4);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "1", &c[0]), 0);
	assert_int_equal(indicate(&sb, 0, H_TELL, "2", &c[1]), 0);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "3", &c[2]), 0);
	assert_int_equal(indicate(&sb, 1, H_INDICATE, "4", &c[3]), 0);
	bed_play(&sb.peers[0], __func__, "> 1d 37 00 31; =");
	bed_play(&sb.peers[1], __func__, "> 1d 37 00 34; < 1e");
	ended(&c[3], 0);
	op_drop(&c[1].ind.op);
	bed_play(&sb.peers[0], __func__, "< 0a 22 00; > 0b 01 02 03; < 1e; > 1d 37 00 33");
	ended(&c[0], 0);
	bed_play(&sb.peers[0], __func__, "< 1e");
	ended(&c[2], 0);
	assert_int_equal(c[1].count, 0);
	server_bed_close(&sb);
}

/* The op ends, the slot does not, and neither does the link; a confirmation that comes late frees it. */
static void an_indication_times_out(void **state)
{
	struct server_bed sb;
	struct call c[2];

	open_two(&sb, c, 2);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "1", &c[0]), 0);
	bed_play(&sb.peers[0], __func__, "> 1d 37 00 31; ~ 1000");
	ended(&c[0], -ETIMEDOUT);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "2", &c[1]), 0);
	bed_play(&sb.peers[0], __func__, "=; < 0a 22 00; > 0b 01 02 03; ~ 1000");
	ended(&c[1], -ETIMEDOUT);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "3", &c[0]), 0);
	bed_play(&sb.peers[0], __func__, "=; < 1e; > 1d 37 00 33; < 1e");
	ended(&c[0], 0);
	server_bed_close(&sb);
}

static void thirty_seconds_end_the_bearer(void **state)
{
	struct server_bed sb;
	struct call c[2];

	open_two(&sb, c, 2);
	assert_int_equal(gatt_server_indicate(sb.links[0], server_bed_local(&sb, H_INDICATE), "1",
	                                      1, &c[0].ind, 0, NULL),
	                 0);
	assert_int_equal(gatt_server_indicate(sb.links[0], server_bed_local(&sb, H_INDICATE), "2",
	                                      1, &c[1].ind, 0, NULL),
	                 0);
	bed_play(&sb.peers[0], __func__, "> 1d 37 00 31; ~ 29999");
	assert_int_equal(sb.peers[0].closed_count, 0);
	assert_int_equal(loop_advance(sb.loop, 1), 0);
	ended(&c[0], -ETIMEDOUT);
	assert_int_equal(sb.peers[0].closed_count, 1);
	server_bed_disconnect(&sb, 0);
	ended(&c[1], -ENOTCONN);
	bed_play(&sb.peers[1], __func__, "< 0a 22 00; > 0b 01 02 03");
	server_bed_close(&sb);
}

static void an_indication_at_the_end_of_the_link(void **state)
{
	struct server_bed sb;
	struct call c[3];

	open_two(&sb, c, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(indicate(&sb, 0, H_INDICATE, "1", &c[i]), 0);
	bed_play(&sb.peers[0], __func__, "> 1d 37 00 31");
	server_bed_disconnect(&sb, 0);
	for (int i = 0; i < 3; i++)
		ended(&c[i], -ENOTCONN);
	server_bed_close(&sb);
}

static void again(struct call *c)
{
	c->then = NULL;
	assert_int_equal(indicate(c->sb, 0, H_INDICATE, "again", c), c->res == 0 ? 0 : -ENOTCONN);
}

static void done_starts_another(void **state)
{
	struct server_bed sb;
	struct call c;

	open_two(&sb, &c, 1);
	c.then = again;
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "1", &c), 0);
	bed_play(&sb.peers[0], __func__, "> 1d 37 00 31; < 1e; > 1d 37 00 61 67 61 69 6e");
	ended(&c, 0);
	c.then = again;
	server_bed_disconnect(&sb, 0);
	ended(&c, -ENOTCONN);
	server_bed_close(&sb);
}

static void hang_up(struct call *c)
{
	c->sb->links[0] = gatt_link_free(c->sb->links[0]);
}

static void done_frees_the_link(void **state)
{
	struct server_bed sb;
	struct call c[2];

	open_two(&sb, c, 2);
	c[0].then = hang_up;
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "1", &c[0]), 0);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "2", &c[1]), 0);
	bed_play(&sb.peers[0], __func__, "> 1d 37 00 31; < 1e; =; < 0a 22 00; > 01 0a 22 00 01");
	ended(&c[0], 0);
	ended(&c[1], -ENOTCONN);
	att_fail_all(sb.peers[0].att, -ENOTCONN);
	sb.peers[0].att = att_free(sb.peers[0].att);
	(void)close(sb.peers[0].peer);
	server_bed_close(&sb);
}

static void too_many_indications(void **state)
{
	static struct call c[GATT_INDICATIONS_MAX + 2];
	static char script[(GATT_INDICATIONS_MAX + 1) * 32];
	struct server_bed sb;

	open_two(&sb, c, ARRAY_SIZE(c));
	for (int i = 0; i <= GATT_INDICATIONS_MAX; i++) /* one is on the wire */
		assert_int_equal(indicate(&sb, 0, H_INDICATE, "1", &c[i]), 0);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "1", &c[GATT_INDICATIONS_MAX + 1]), -ENOBUFS);
	for (int i = 0; i <= GATT_INDICATIONS_MAX; i++)
		strcat(script, "> 1d 37 00 31; < 1e;");
	bed_play(&sb.peers[0], __func__, script);
	for (int i = 0; i <= GATT_INDICATIONS_MAX; i++)
		ended(&c[i], 0);
	server_bed_close(&sb);
}

static void the_application_goes(void **state)
{
	struct gatt_local_service *service;
	struct gatt_local *local;
	struct gatt_app *app;
	struct server_bed sb;
	struct call c[3];

	open_two(&sb, c, 3);
	app = server_bed_add(&sb, 1, NULL);
	service = list_first(&app->services, struct gatt_local_service, link);
	local = list_first(&service->characteristics, struct gatt_local, link);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			gatt_server_indicate(sb.links[0], local, "1", 1, &c[i].ind, 1000, NULL), 0);
	assert_int_equal(indicate(&sb, 0, H_INDICATE, "3", &c[2]), 0);
	assert_int_equal(loop_settle(sb.loop), 0);
	gatt_server_remove(app);
	assert_int_equal(c[0].count + c[1].count, 0);
	assert_int_equal(loop_settle(sb.loop), 0);
	ended(&c[0], -ECANCELED);
	ended(&c[1], -ECANCELED);
	bed_play(&sb.peers[0], __func__, "> 1d 7b 00 31; =; < 1e; > 1d 37 00 33; < 1e");
	ended(&c[2], 0);
	server_bed_close(&sb);
}

/* --- updates --- */

static void set(struct server_bed *sb, uint16_t handle, const char *text)
{
	assert_int_equal(gatt_local_set(server_bed_local(sb, handle), text, strlen(text)), 0);
}

static void update(struct server_bed *sb, uint16_t handle, const char *text)
{
	set(sb, handle, text);
	gatt_server_update(sb->server, server_bed_local(sb, handle));
}

static void an_update_reaches_the_subscribers(void **state)
{
	struct server_bed sb;

	open_two(&sb, NULL, 0);
	server_bed_connect(&sb, 2, 23);
	update(&sb, H_TELL, "0");
	update(&sb, H_PLAIN, "0");
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13");
	bed_play(&sb.peers[2], __func__, "< 12 32 00 02 00; > 13");
	update(&sb, H_TELL, "1");
	bed_play(&sb.peers[0], __func__, "> 1b 31 00 31");
	bed_play(&sb.peers[1], __func__, "=");
	bed_play(&sb.peers[2], __func__, "> 1d 31 00 31; < 1e; < 12 32 00 03 00; > 13");
	update(&sb, H_TELL, "2");
	bed_play(&sb.peers[0], __func__, "> 1b 31 00 32; < 12 32 00 00 00; > 13");
	bed_play(&sb.peers[2], "notify wins", "> 1b 31 00 32");
	update(&sb, H_TELL, "3");
	bed_play(&sb.peers[0], __func__, "=");
	bed_play(&sb.peers[2], __func__, "> 1b 31 00 33");
	assert_int_equal(gatt_server_stats(sb.server)->updates_merged, 0);
	server_bed_close(&sb);
}

static void an_update_that_waits_is_the_newest(void **state)
{
	struct server_bed sb;

	open_two(&sb, NULL, 0);
	server_bed_secure(&sb, 0, 2, 16, false);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13; < 12 35 00 01 00; > 13");
	bed_play(&sb.peers[1], __func__, "< 12 32 00 01 00; > 13");
	bed_fill(&sb.peers[0]);
	for (int i = 0; i < 999; i++) {
		update(&sb, H_TELL, "old");
		bed_play(&sb.peers[1], __func__, "> 1b 31 00 6f 6c 64");
	}
	update(&sb, H_TELL, "new");
	bed_play(&sb.peers[1], __func__, "> 1b 31 00 6e 65 77");
	update(&sb, H_SECRET, "s");
	assert_int_equal(gatt_server_stats(sb.server)->updates_merged, 999);
	assert_true(bed_drain(&sb.peers[0]) > 0);
	bed_play(&sb.peers[0], __func__, "> 1b 31 00 6e 65 77; > 1b 34 00 73; =");
	server_bed_close(&sb);
}

static void an_update_by_indication_waits_for_the_confirmation(void **state)
{
	struct server_bed sb;
	struct call c;

	open_two(&sb, &c, 1);
	bed_play(&sb.peers[0], __func__, "< 12 38 00 02 00; > 13; < 12 32 00 02 00; > 13");
	update(&sb, H_INDICATE, "1");
	update(&sb, H_INDICATE, "2");
	update(&sb, H_INDICATE, "3");
	update(&sb, H_TELL, "t");
	assert_int_equal(indicate(&sb, 0, H_TELL, "op", &c), 0);
	bed_play(&sb.peers[0], __func__,
	         "> 1d 37 00 31; =; < 1e; > 1d 31 00 6f 70; =; < 1e; > 1d 31 00 74; < 1e; > 1d 37 "
	         "00 33; < 1e");
	ended(&c, 0);
	assert_int_equal(gatt_server_stats(sb.server)->updates_merged, 1);
	server_bed_close(&sb);
}

/* Unsubscribed, gone, not allowed any more: nothing is left of it. */
static void an_update_that_is_not_wanted_any_more(void **state)
{
	struct server_bed sb;
	struct call c;

	open_two(&sb, &c, 1);
	bed_play(&sb.peers[0], __func__, "< 12 38 00 02 00; > 13");
	assert_int_equal(indicate(&sb, 0, H_TELL, "op", &c), 0);
	update(&sb, H_INDICATE, "1");
	bed_play(&sb.peers[0], __func__,
	         "> 1d 31 00 6f 70; < 12 38 00 00 00; > 13; < 1e; =; < 12 38 00 02 00; > 13; =");
	bed_play(&sb.peers[0], __func__, "=");
	server_bed_secure(&sb, 1, 2, 16, false);
	bed_play(&sb.peers[1], __func__, "< 12 35 00 01 00; > 13");
	server_bed_secure(&sb, 1, 1, 0, false);
	update(&sb, H_SECRET, "no");
	bed_play(&sb.peers[1], __func__, "=");
	server_bed_close(&sb);
}

/* A busy value does not starve the others when the kernel takes little at a time. */
static void updates_take_turns(void **state)
{
	uint8_t got[64], seen[2] = {0};
	struct server_bed sb;
	ssize_t n;

	open_two(&sb, NULL, 0);
	server_bed_secure(&sb, 0, 2, 16, false);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13; < 12 35 00 01 00; > 13");
	for (int i = 0; i < 50; i++) {
		bed_fill(&sb.peers[0]);
		update(&sb, H_TELL, "busy");
		update(&sb, H_SECRET, "rare");
		(void)bed_drain(&sb.peers[0]);
		while ((n = recv(sb.peers[0].peer, got, sizeof(got), MSG_DONTWAIT)) > 0)
			if (got[0] == ATT_NOTIFY)
				seen[got[1] == H_SECRET]++;
	}
	assert_int_equal(seen[0], 50);
	assert_int_equal(seen[1], 50);
	server_bed_close(&sb);
}

static void answers_are_not_held_up(void **state)
{
	struct server_bed sb;

	open_two(&sb, NULL, 0);
	bed_play(&sb.peers[0], __func__, "< 12 32 00 01 00; > 13");
	bed_fill(&sb.peers[0]);
	update(&sb, H_TELL, "1");
	assert_int_equal(send(sb.peers[0].peer, "\x0a\x22\x00", 3, MSG_DONTWAIT), 3);
	assert_int_equal(loop_settle(sb.loop), 0);
	assert_true(bed_drain(&sb.peers[0]) > 0);
	bed_play(&sb.peers[0], __func__, "> 0b 01 02 03; > 1b 31 00 31");
	server_bed_close(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_notification_reaches_one),
		cmocka_unit_test(a_notification_is_cut),
		cmocka_unit_test(refused_calls),
		cmocka_unit_test(a_full_kernel),
		cmocka_unit_test(an_indication_is_confirmed),
		cmocka_unit_test(indications_wait_for_each_other),
		cmocka_unit_test(an_indication_times_out),
		cmocka_unit_test(thirty_seconds_end_the_bearer),
		cmocka_unit_test(an_indication_at_the_end_of_the_link),
		cmocka_unit_test(done_starts_another),
		cmocka_unit_test(done_frees_the_link),
		cmocka_unit_test(too_many_indications),
		cmocka_unit_test(the_application_goes),
		cmocka_unit_test(an_update_reaches_the_subscribers),
		cmocka_unit_test(an_update_that_waits_is_the_newest),
		cmocka_unit_test(an_update_by_indication_waits_for_the_confirmation),
		cmocka_unit_test(an_update_that_is_not_wanted_any_more),
		cmocka_unit_test(updates_take_turns),
		cmocka_unit_test(answers_are_not_held_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
