/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Subscriptions: who hears what, and what the CCCD holds. */
#include "aiobled/gatt_client.h"
#include "aiobled/result.h"

#include "../support/transcript.h"
#include "test.h"

static struct bed bed;

/* A subscriber with the op of its subscribing and unsubscribing. */
struct who {
	struct gatt_sub sub;
	struct gatt_op g;
	int count, res; /* of the op */
	int heard, indications, ended, ended_err;
	uint8_t last;
	void (*on_value)(struct who *w);
	void (*on_done)(struct who *w);
	void (*on_ended)(struct who *w);
};

static struct who a, b, c;

static void who_done(struct op *op, int res)
{
	struct who *w = container_of(op, struct who, g.op);

	w->count++;
	w->res = res;
	if (w->on_done)
		w->on_done(w);
}

static void who_value(struct gatt_sub *sub, const uint8_t *value, size_t len, bool indication)
{
	struct who *w = container_of(sub, struct who, sub);

	w->heard++;
	w->indications += indication;
	w->last = len ? value[len - 1] : 0;
	if (w->on_value)
		w->on_value(w);
}

static void who_ended(struct gatt_sub *sub, int err)
{
	struct who *w = container_of(sub, struct who, sub);

	w->ended++;
	w->ended_err = err;
	if (w->on_ended)
		w->on_ended(w);
}

static void who_init(struct who *w, bool notify, bool indicate)
{
	*w = (struct who){.sub = {.notify = notify,
	                          .indicate = indicate,
	                          .value = who_value,
	                          .ended = who_ended}};
	op_init(&w->g.op, bed.loop, who_done);
}

#define PLAY(script) bed_play(&bed, __func__, script)

/*
 * Service 1 to 7; characteristics at 3 (notify, indicate), with room for a descriptor, and at 7
 * (read), without.
 */
static int setup(void **state)
{
	struct who first;

	bed_open(&bed, 23);
	who_init(&first, false, false);
	assert_int_equal(gatt_discover_services(bed.gc, &first.g, NULL, 0), 0);
	PLAY("> 10 01 00 ff ff 00 28; < 11 06 01 00 07 00 0d 18; > 10 08 00 ff ff 00 28; < 01 10 "
	     "08 00 0a");
	assert_int_equal(gatt_discover_characteristics(bed.gc, &first.g,
	                                               gatt_find_service(bed.gc, 1), NULL, 0),
	                 0);
	PLAY("> 08 01 00 07 00 03 28; < 09 07 02 00 30 03 00 37 2a 06 00 32 07 00 38 2a");
	assert_int_equal(first.count, 2);
	who_init(&a, true, false);
	who_init(&b, true, false);
	who_init(&c, false, true);
	return 0;
}

static int teardown(void **state)
{
	op_drop(&a.g.op);
	op_drop(&b.g.op);
	op_drop(&c.g.op);
	bed_close(&bed);
	return 0;
}

static int subscribe_ms(struct who *w, uint32_t timeout_ms)
{
	return gatt_subscribe(bed.gc, &w->g, &w->sub, gatt_find_characteristic(bed.gc, 3),
	                      timeout_ms);
}

static void subscribe(struct who *w)
{
	assert_int_equal(subscribe_ms(w, 1000), 0);
	assert_int_equal(w->count, 0);
}

static void unsubscribe(struct who *w)
{
	w->count = 0;
	assert_int_equal(gatt_unsubscribe(bed.gc, &w->g, &w->sub, 1000), 0);
	assert_int_equal(w->count, 0);
}

#define FIND "> 04 04 00 05 00; < 05 01 04 00 02 29;"

static void assert_who(const struct who *w, int count, int res)
{
	assert_int_equal(w->count, count);
	assert_int_equal(w->res, res);
}

/* @w is on, the CCCD found and written. */
static void on_air(struct who *w)
{
	subscribe(w);
	bed_play(&bed, __func__,
	         w->sub.indicate ? FIND "> 12 04 00 02 00; < 13; ="
	                         : FIND "> 12 04 00 01 00; < 13; =");
	assert_who(w, 1, 0);
}

static void notifications(void **state)
{
	subscribe(&a);
	bed_play(&bed, "GATT/CL/GAN/BV-01-C",
	         "> 04 04 00 05 00; < 1b 03 00 01; < 05 01 04 00 02 29; > 12 04 00 01 00;"
	         "< 1b 03 00 02");
	assert_int_equal(a.count, 0);
	assert_int_equal(a.heard, 2); /* before the CCCD is written, and before the answer */
	PLAY("< 13; < 1b 03 00 03; < 1b 04 00 04; =");
	assert_who(&a, 1, 0);
	assert_int_equal(a.heard, 3);
	assert_int_equal(a.last, 3);
	assert_true(gatt_owns_cccd(bed.gc, 4));
	unsubscribe(&a);
	PLAY("> 12 04 00 00 00; < 1b 03 00 05; < 13");
	assert_who(&a, 1, 0);
	assert_int_equal(a.heard, 3);
	assert_false(gatt_owns_cccd(bed.gc, 4));
}

static void indications(void **state)
{
	subscribe(&c);
	bed_play(&bed, "GATT/CL/GAI/BV-01-C",
	         FIND "> 12 04 00 02 00; < 13; < 1d 03 00 09; > 1e; =");
	assert_who(&c, 1, 0);
	assert_int_equal(c.indications, 1);
	PLAY("< 1b 03 00 08; =");
	assert_int_equal(c.heard, 1); /* not what it asked for */
}

static void union_of_wishes(void **state)
{
	on_air(&a);
	subscribe(&b);
	PLAY("=");
	assert_who(&b, 1, 0);
	subscribe(&c);
	PLAY("> 12 04 00 03 00; < 13; =");
	assert_who(&c, 1, 0);
	PLAY("< 1b 03 00 01; < 1d 03 00 02; > 1e");
	assert_int_equal(a.heard + b.heard + c.heard, 3);
	unsubscribe(&a);
	PLAY("=");
	assert_who(&a, 1, 0);
	unsubscribe(&b);
	PLAY("> 12 04 00 02 00; < 13");
	assert_who(&b, 1, 0);
	unsubscribe(&c);
	PLAY("> 12 04 00 00 00; < 13");
	assert_who(&c, 1, 0);
}

static void several_at_once_share_the_write(void **state)
{
	subscribe(&a);
	subscribe(&b);
	PLAY("> 04 04 00 05 00");
	subscribe(&c);
	PLAY("< 05 01 04 00 02 29; > 12 04 00 03 00; < 13; =");
	assert_who(&a, 1, 0);
	assert_who(&b, 1, 0);
	assert_who(&c, 1, 0);
}

static void subscribing_while_the_clear_is_out(void **state)
{
	on_air(&a);
	unsubscribe(&a);
	PLAY("> 12 04 00 00 00");
	subscribe(&b);
	PLAY("=; < 13; > 12 04 00 01 00");
	assert_who(&a, 1, 0);
	assert_int_equal(b.count, 0);
	PLAY("< 13; =");
	assert_who(&b, 1, 0);
}

static void unsubscribing_while_the_write_is_out(void **state)
{
	on_air(&a);
	subscribe(&c);
	PLAY("> 12 04 00 03 00");
	unsubscribe(&a);
	PLAY("=; < 13; > 12 04 00 02 00; < 13; =");
	assert_who(&c, 1, 0);
	assert_who(&a, 1, 0);
}

static void same_wish_while_the_write_is_out(void **state)
{
	subscribe(&a);
	PLAY(FIND "> 12 04 00 01 00");
	subscribe(&b);
	PLAY("< 13; =");
	assert_who(&a, 1, 0);
	assert_who(&b, 1, 0);
}

static void refused_write(void **state)
{
	subscribe(&a);
	PLAY(FIND "> 12 04 00 01 00; < 1b 03 00 01; < 01 12 04 00 05; =");
	assert_who(&a, 1, RES_ATT(5));
	assert_int_equal(a.g.err_handle, 4);
	assert_int_equal(a.heard, 1);
	PLAY("< 1b 03 00 01; =");
	assert_int_equal(a.heard, 1); /* off */
	assert_int_equal(a.ended, 0);
}

static void refused_write_leaves_the_others(void **state)
{
	on_air(&a);
	subscribe(&c);
	PLAY("> 12 04 00 03 00; < 01 12 04 00 80; =; < 1b 03 00 01; =");
	assert_who(&c, 1, RES_ATT(0x80));
	assert_int_equal(a.heard, 1);
	unsubscribe(&a);
	PLAY("> 12 04 00 00 00; < 01 12 04 00 80; =");
	assert_who(&a, 1, RES_ATT(0x80)); /* off all the same */
	PLAY("< 1b 03 00 01; =");
	assert_int_equal(a.heard, 1);
}

static void after_a_refusal_the_next_one_tries_anew(void **state)
{
	subscribe(&a);
	PLAY(FIND "> 12 04 00 01 00");
	subscribe(&c);
	PLAY("< 01 12 04 00 05; > 12 04 00 02 00; < 13; =");
	assert_who(&a, 1, RES_ATT(5));
	assert_who(&c, 1, 0);
}

static void malformed_answer_to_the_write(void **state)
{
	subscribe(&a);
	PLAY(FIND "> 12 04 00 01 00; < 13 00; =");
	assert_who(&a, 1, -EBADMSG);
}

static void without_cccd(void **state)
{
	subscribe(&a);
	PLAY("> 04 04 00 05 00; < 05 01 04 00 01 29; > 04 05 00 05 00; < 01 04 05 00 0a; =");
	assert_who(&a, 1, -ENOENT);
	a.count = 0;
	subscribe(&a);
	PLAY("="); /* all descriptors are known by now */
	assert_who(&a, 1, -ENOENT);
	assert_int_equal(
		gatt_subscribe(bed.gc, &b.g, &b.sub, gatt_find_characteristic(bed.gc, 7), 0), 0);
	PLAY("="); /* no room for any */
	assert_who(&b, 1, -ENOENT);
}

static void search_refused(void **state)
{
	subscribe(&a);
	subscribe(&b);
	PLAY("> 04 04 00 05 00; < 01 04 04 00 0e; =");
	assert_who(&a, 1, RES_ATT(0x0e));
	assert_who(&b, 1, RES_ATT(0x0e));
}

static void without_property(void **state)
{
	struct gatt_characteristic *chr = gatt_find_characteristic(bed.gc, 3);

	chr->properties = GATT_INDICATE;
	subscribe(&a);
	PLAY("=");
	assert_who(&a, 1, -EOPNOTSUPP);
	who_init(&b, true, true); /* both: what there is */
	subscribe(&b);
	PLAY(FIND "> 12 04 00 02 00; < 13");
	assert_who(&b, 1, 0);
	assert_false(b.sub.notify);
	who_init(&a, false, false);
	assert_int_equal(subscribe_ms(&a, 0), -EINVAL);
}

static void timeouts(void **state)
{
	static const struct {
		const char *name, *before, *after;
	} rows[] = {
		{"searching", "> 04 04 00 05 00", "< 05 01 04 00 02 29; ="},
		{"writing", FIND "> 12 04 00 01 00", "=; < 13; > 12 04 00 00 00; < 13; ="},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int drop = 0; drop < 2; drop++) {
			assert_int_equal(subscribe_ms(&a, 100), 0);
			bed_play(&bed, rows[i].name, rows[i].before);
			if (drop)
				op_drop(&a.g.op);
			else
				PLAY("~ 100");
			assert_who(&a, drop ? 0 : 1, drop ? 0 : -ETIMEDOUT);
			PLAY("< 1b 03 00 01");
			assert_int_equal(a.heard, 0);
			bed_play(&bed, rows[i].name, rows[i].after);
			assert_int_equal(a.count, drop ? 0 : 1);
			(void)teardown(state);
			(void)setup(state);
		}
	}
}

static void timeout_in_the_queue_sends_nothing(void **state)
{
	struct who reader;

	who_init(&reader, false, false);
	assert_int_equal(gatt_read(bed.gc, &reader.g, 9, 0, 0), 0);
	assert_int_equal(subscribe_ms(&a, 100), 0);
	PLAY("> 0a 09 00; ~ 100");
	assert_who(&a, 1, -ETIMEDOUT);
	PLAY("< 0b; =");
	assert_int_equal(reader.count, 1);
}

static void queued_write_is_replaced(void **state)
{
	struct who reader;

	on_air(&a);
	who_init(&reader, false, false);
	assert_int_equal(gatt_read(bed.gc, &reader.g, 9, 0, 0), 0);
	subscribe(&c);
	unsubscribe(&a);
	PLAY("> 0a 09 00; < 0b; > 12 04 00 02 00; < 13; =");
	assert_who(&a, 1, 0);
	assert_who(&c, 1, 0);
}

static void unsubscribing_before_it_is_done(void **state)
{
	subscribe(&a);
	PLAY(FIND "> 12 04 00 01 00");
	assert_int_equal(gatt_unsubscribe(bed.gc, NULL, &a.sub, 0), 0);
	assert_int_equal(a.count, 0);
	PLAY("=; < 13; > 12 04 00 00 00; < 13; =");
	assert_who(&a, 1, -ECANCELED);
	assert_int_equal(gatt_unsubscribe(bed.gc, NULL, &a.sub, 0), 0); /* off: nothing */
	unsubscribe(&a);
	PLAY("=");
	assert_who(&a, 1, 0);
}

static void nobody_waits_for_the_clear(void **state)
{
	struct who *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	who_init(w, true, false);
	on_air(w);
	assert_int_equal(gatt_unsubscribe(bed.gc, NULL, &w->sub, 0), 0);
	free(w);
	PLAY("> 12 04 00 00 00; < 1b 03 00 01; < 13; =");
}

/* --- while a value is told --- */

static struct who *victim;

static void take_off(struct who *w)
{
	assert_int_equal(gatt_unsubscribe(bed.gc, NULL, &victim->sub, 0), 0);
}

static void put_on(struct who *w)
{
	w->on_value = NULL;
	subscribe(victim);
}

static void free_client(struct who *w)
{
	gatt_client_fail_all(bed.gc, -ENOTCONN);
	bed.gc = gatt_client_free(bed.gc);
}

static void fail_client(struct who *w)
{
	gatt_client_fail_all(bed.gc, -ENOTCONN);
}

static void two_on_air(void)
{
	on_air(&a);
	subscribe(&b);
	PLAY("=");
	assert_who(&b, 1, 0);
}

static void one_goes_itself(void **state)
{
	two_on_air();
	a.on_value = take_off;
	victim = &a;
	PLAY("< 1b 03 00 01; < 1b 03 00 02; =");
	assert_int_equal(a.heard, 1);
	assert_int_equal(b.heard, 2);
}

static void one_sends_the_next_away(void **state)
{
	two_on_air();
	a.on_value = take_off;
	victim = &b;
	PLAY("< 1b 03 00 01; =");
	assert_int_equal(a.heard, 1);
	assert_int_equal(b.heard, 0);
}

static void one_sends_the_one_before_away(void **state)
{
	two_on_air();
	b.on_value = take_off;
	victim = &a;
	PLAY("< 1b 03 00 01; < 1b 03 00 02; =");
	assert_int_equal(a.heard, 1);
	assert_int_equal(b.heard, 2);
}

static void a_new_one_hears_the_next_value(void **state)
{
	on_air(&a);
	a.on_value = put_on;
	victim = &b;
	PLAY("< 1b 03 00 01");
	assert_int_equal(b.heard, 0);
	PLAY("< 1b 03 00 02; =");
	assert_int_equal(b.heard, 1);
}

static void a_new_one_behind_others_hears_the_next_value(void **state)
{
	struct who d;

	two_on_air();
	who_init(&d, true, false);
	a.on_value = put_on;
	victim = &d;
	PLAY("< 1b 03 00 01");
	assert_int_equal(b.heard, 1);
	assert_int_equal(d.heard, 0);
	PLAY("< 1b 03 00 02; =");
	assert_int_equal(d.heard, 1);
	assert_int_equal(gatt_unsubscribe(bed.gc, NULL, &d.sub, 0), 0);
}

static void the_client_goes(void **state)
{
	two_on_air();
	a.on_value = free_client;
	PLAY("< 1b 03 00 01");
	assert_int_equal(a.heard, 1);
	assert_int_equal(b.heard, 0);
	assert_int_equal(a.ended + b.ended, 2);
	assert_null(bed.gc);
}

static void the_link_goes(void **state)
{
	two_on_air();
	a.on_value = fail_client;
	PLAY("< 1b 03 00 01; =");
	assert_int_equal(b.heard, 0);
	assert_int_equal(a.ended + b.ended, 2);
	assert_int_equal(b.ended_err, -ENOTCONN);
}

/* --- the end --- */

static void link_down(void **state)
{
	on_air(&a);
	subscribe(&c);
	PLAY("> 12 04 00 03 00; x");
	gatt_client_fail_all(bed.gc, -ENOTCONN);
	assert_int_equal(a.ended, 1);
	assert_who(&c, 1, -ENOTCONN);
	assert_int_equal(c.ended, 0); /* its op has said so */
	assert_int_equal(subscribe_ms(&b, 0), -ENOTCONN);
	unsubscribe(&a);
	assert_int_equal(loop_settle(bed.loop), 0);
	assert_who(&a, 1, 0);
}

static void link_down_between_success_and_its_telling(void **state)
{
	on_air(&a);
	subscribe(&b);
	gatt_client_fail_all(bed.gc, -ENOTCONN);
	assert_who(&b, 1, -ENOTCONN);
	assert_int_equal(b.ended, 0);
	assert_int_equal(loop_settle(bed.loop), 0);
	assert_int_equal(b.count, 1);
}

static void dropped_between_success_and_its_telling(void **state)
{
	on_air(&a);
	subscribe(&b);
	op_drop(&b.g.op);
	PLAY("< 1b 03 00 01; =");
	assert_int_equal(b.count, 0);
	assert_int_equal(b.heard, 0);
}

static void send_other_away(struct who *w)
{
	assert_int_equal(gatt_unsubscribe(bed.gc, NULL, &b.sub, 0), 0);
}

static void ended_may_send_others_away(void **state)
{
	two_on_air();
	a.on_ended = send_other_away;
	gatt_client_fail_all(bed.gc, -ENOTCONN);
	assert_int_equal(a.ended, 1);
	assert_int_equal(b.ended, 0);
}

static void done_may_free_the_client(void **state)
{
	subscribe(&a);
	subscribe(&b);
	a.on_done = free_client;
	PLAY(FIND "> 12 04 00 01 00; < 13");
	assert_who(&a, 1, 0);
	assert_who(&b, 1, -ENOTCONN);
	assert_null(bed.gc);
}

static void start_again(struct who *w)
{
	w->on_done = NULL;
	assert_int_equal(gatt_unsubscribe(bed.gc, &w->g, &w->sub, 0), 0);
}

static void done_may_start_another(void **state)
{
	a.on_done = start_again;
	subscribe(&a);
	PLAY(FIND "> 12 04 00 01 00; < 13; > 12 04 00 00 00; < 13; =");
	assert_who(&a, 2, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(notifications),
		T(indications),
		T(union_of_wishes),
		T(several_at_once_share_the_write),
		T(subscribing_while_the_clear_is_out),
		T(unsubscribing_while_the_write_is_out),
		T(same_wish_while_the_write_is_out),
		T(refused_write),
		T(refused_write_leaves_the_others),
		T(after_a_refusal_the_next_one_tries_anew),
		T(malformed_answer_to_the_write),
		T(without_cccd),
		T(search_refused),
		T(without_property),
		T(timeouts),
		T(timeout_in_the_queue_sends_nothing),
		T(queued_write_is_replaced),
		T(unsubscribing_before_it_is_done),
		T(nobody_waits_for_the_clear),
		T(one_goes_itself),
		T(one_sends_the_next_away),
		T(one_sends_the_one_before_away),
		T(a_new_one_hears_the_next_value),
		T(a_new_one_behind_others_hears_the_next_value),
		T(the_client_goes),
		T(the_link_goes),
		T(link_down),
		T(link_down_between_success_and_its_telling),
		T(dropped_between_success_and_its_telling),
		T(ended_may_send_others_away),
		T(done_may_free_the_client),
		T(done_may_start_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
